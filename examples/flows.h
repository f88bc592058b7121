/* SPDX-License-Identifier: BSD-2-Clause */
/* Packets and bytes by flow: a direction of addresses, protocol and ports. For one thread. */
#ifndef SXSK_EXAMPLES_FLOWS_H
#define SXSK_EXAMPLES_FLOWS_H

#include <safexsk/safexsk.h>

/* Count a packet of n Bufs. */
void flows_count(const struct sxsk_buf bufs[], unsigned n);

/* How many there are. */
uint64_t flows_known(void);

/* Print the biggest ones, to stdout. */
void flows_print(unsigned most);

#endif
