/* SPDX-License-Identifier: BSD-2-Clause */
/* Captures in pcapng (draft-ietf-opsawg-pcapng), for tshark and tcpdump, written from Bufs by one thread. */
#ifndef SXSK_EXAMPLES_PCAPNG_H
#define SXSK_EXAMPLES_PCAPNG_H

#include <safexsk/safexsk.h>
#include <stdio.h>

/* Begin a capture in a new file. NULL and errno. Later errors stay with the file: ferror(). */
FILE *pcapng_open(const char *path);

/* One more interface; they are numbered from 0. */
void pcapng_interface(FILE *f, const char *name, const char *description);

/* One packet, of n Bufs, at a time in nanoseconds since 1970. */
void pcapng_packet(FILE *f, uint32_t interface, uint64_t ns, const struct sxsk_buf bufs[],
		   unsigned n);

#endif
