/* SPDX-License-Identifier: BSD-2-Clause */
/* Numbers as packets have them. */
#ifndef SXSK_PRIV_BYTES_H
#define SXSK_PRIV_BYTES_H

#include <stdint.h>

/* No packet has more bytes, and programs that read captures take no longer one. */
#define PACKET_MAX 262144u

static inline uint16_t be16(const unsigned char *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t be32(const unsigned char *p)
{
	return (uint32_t)be16(p) << 16 | be16(p + 2);
}

#endif
