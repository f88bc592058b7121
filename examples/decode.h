/* SPDX-License-Identifier: BSD-2-Clause */
/* Packets for people. They may be broken: nothing is read past their end, and what is missing is said. */
#ifndef SXSK_EXAMPLES_DECODE_H
#define SXSK_EXAMPLES_DECODE_H

#include <safexsk/safexsk.h>
#include <stdio.h>

/* Print an Ethernet packet of n Bufs: a line as of `tcpdump -e -n -S`, in brief; with `hex` its bytes, too. */
void decode(const struct sxsk_buf bufs[], unsigned n, bool hex);

/* decode_ip.c: what Ethernet carries, n bytes of this type: IPv4, IPv6 and ARP; of others only how many. */
void decode_payload(unsigned type, const unsigned char *p, uint32_t n);

static inline uint16_t be16(const unsigned char *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline void print_mac(const char *before, const unsigned char *p)
{
	printf("%s%02x:%02x:%02x:%02x:%02x:%02x", before, p[0], p[1], p[2], p[3], p[4], p[5]);
}

#endif
