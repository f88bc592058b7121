/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Packets made up: Ethernet, IPv4, UDP to the discard port, and in the last bytes a stamp, by which
 * `rxdrop --verify` tells which ones are missing, late, doubled or spoilt, and how old they are.
 */
#ifndef SXSK_EXAMPLES_STAMP_H
#define SXSK_EXAMPLES_STAMP_H

#include <endian.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#define STAMP_MAGIC 0x7873u
#define STAMP_LEAST 60u /* bytes: Ethernet's least, and just the headers and the stamp */
#define STAMP_NS_MASK ((1ull << 48) - 1)

struct stamp {
	uint16_t magic;
	uint16_t stream; /* of the sender; each counts for itself */
	uint32_t seq;    /* from 0, and round */
	uint64_t ns;     /* of CLOCK_MONOTONIC, when it was sent; 48 bits, little-endian */
} __attribute__((packed));
#define STAMP_SIZE 14u /* of it in the packet; a sum of 4 bytes follows */

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

/* What a packet of this stream has in common with all others of this length, at least STAMP_LEAST. */
static inline void stamp_template(unsigned char *data, uint32_t len, uint16_t stream)
{
	static const unsigned char headers[42] = {
		2,    0,  0, 0, 0,   2,  2, 0, 0,  0,  0, 1,
		8,    0,                                     /* MACs of nobody's; IPv4 */
		0x45, 0,  0, 0, 0,   0,  0, 0, 64, 17, 0, 0, /* TTL 64, UDP */
		198,  18, 0, 1, 198, 18, 0, 2, 0,  9,  0, 9,
		0,    0 /* RFC 2544's addresses; discard */
	};
	uint16_t words[10];
	uint32_t sum = 0;

	memset(data, 0, len);
	memcpy(data, headers, sizeof(headers));
	data[16] = (unsigned char)((len - 14) >> 8), data[17] = (unsigned char)(len - 14);
	data[34] = (unsigned char)(0x80 | stream >> 8), data[35] = (unsigned char)stream;
	data[38] = (unsigned char)((len - 34) >> 8), data[39] = (unsigned char)(len - 34);
	memcpy(words, data + 14, sizeof(words));
	for (unsigned i = 0; i < 10; i++)
		sum += words[i];
	words[0] = (uint16_t) ~(sum + (sum >> 16));
	memcpy(data + 24, words, 2);
}

/* The last thing to be written to a packet. */
static inline void stamp_write(unsigned char *data, uint32_t len, uint16_t stream, uint32_t seq)
{
	struct stamp stamp = { STAMP_MAGIC, stream, seq, htole64(stamp_now()) };
	uint32_t sum;

	memcpy(data + len - STAMP_SIZE - 4, &stamp, STAMP_SIZE);
	sum = stamp_sum(data, len);
	memcpy(data + len - 4, &sum, 4);
}

#endif
