/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Packets of one's own: Ethernet, IPv4, UDP to the discard port, and in the last bytes a stamp, by which
 * `rxdrop --verify` tells which ones are missing, late, doubled or spoilt, and how old they are.
 */
#ifndef SXSK_EXAMPLES_STAMP_H
#define SXSK_EXAMPLES_STAMP_H

#include <endian.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#define STAMP_MAGIC 0x7873u
#define STAMP_LEAST 60u /* bytes: Ethernet's least, and just the headers and a stamp */
#define STAMP_SIZE 14u  /* of it in the packet; a sum of 4 bytes follows */
#define STAMP_NS ((1ull << 48) - 1)

struct stamp {
	uint16_t magic, stream; /* a sender's; each is numbered for itself */
	uint32_t seq;           /* from 0, and round */
	uint64_t ns;            /* of CLOCK_MONOTONIC, when it was made; 48 bits, little-endian */
};

/* Of a packet of STAMP_LEAST bytes: MACs of nobody's, RFC 2544's addresses, UDP to discard. */
static const unsigned char stamp_headers[] = {
	2,    0, 0, 0,  0, 2,  2, 0, 0,  0,  0,    1,    8,   0, /* Ethernet */
	0x45, 0, 0, 46, 0, 0,  0, 0, 64, 17, 0xee, 0x97, 198, 18, 0, 1, 198, 18, 0, 2, /* IPv4 */
	0,    9, 0, 9,  0, 26, 0, 0                                                    /* UDP */
};

static inline uint64_t stamp_now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* Of all but the MAC addresses, which forwarders swap, and the sum itself. */
static inline uint32_t stamp_sum(const unsigned char *data, uint32_t len)
{
	uint64_t sum = len, part = 0;

	for (uint32_t i = 12; i < len - 4; i += 8) {
		memcpy(&part, data + i, len - 4 - i < 8 ? len - 4 - i : 8);
		sum = (sum ^ part) * 0x9e3779b97f4a7c15u;
		sum ^= sum >> 32;
	}
	return (uint32_t)sum;
}

/* The last thing to be written to a packet of at least STAMP_LEAST bytes. */
static inline void stamp_write(unsigned char *data, uint32_t len, uint16_t stream, uint32_t seq)
{
	struct stamp stamp = { STAMP_MAGIC, stream, seq, htole64(stamp_now()) };
	uint32_t sum;

	memcpy(data + len - STAMP_SIZE - 4, &stamp, STAMP_SIZE);
	sum = stamp_sum(data, len);
	memcpy(data + len - 4, &sum, 4);
}

#endif
