/* SPDX-License-Identifier: BSD-2-Clause */
#include "clock.h"

#include <endian.h>
#include <errno.h>
#include <safexsk/stamp.h>
#include <string.h>

#define MAGIC 0x7873u
#define SUM_SIZE 4u /* behind the stamp, at the packet's end */
#define MACS 12u    /* bytes that the sum leaves out */

/* Little-endian. */
struct __attribute__((packed)) wire {
	uint16_t magic, stream;
	uint32_t seq;
	uint8_t ns[6];
};

/* Of a packet of 60 bytes. */
static const unsigned char headers[] = {
	2,    0, 0, 0,  0, 2,  2, 0, 0,  0,  0, 1, 8,   0,                       /* Ethernet */
	0x45, 0, 0, 46, 0, 0,  0, 0, 64, 17, 0, 0, 198, 18, 0, 1, 198, 18, 0, 2, /* IPv4 */
	0,    9, 0, 9,  0, 26, 0, 0                                              /* UDP */
};
#define IP_SUM 0x113au /* of its header, but for the length */

uint64_t sxsk_stamp_clock(void)
{
	return (uint64_t)now_ns();
}

static void put_be16(unsigned char *p, uint32_t value)
{
	p[0] = (unsigned char)(value >> 8);
	p[1] = (unsigned char)value;
}

void sxsk_stamp_headers(void *packet, uint32_t len)
{
	unsigned char *p = packet;
	uint32_t sum = IP_SUM + (len - 14);

	if (len < SXSK_STAMP_LEAST)
		return;
	memcpy(p, headers, sizeof(headers));
	put_be16(p + 16, len - 14);
	put_be16(p + 24, ~((sum & 0xffff) + (sum >> 16)));
	put_be16(p + 38, len - 34);
}

static uint32_t sum_of(const unsigned char *data, uint32_t len)
{
	uint64_t sum = len, part = 0;

	for (uint32_t i = MACS; i < len - SUM_SIZE; i += 8) {
		memcpy(&part, data + i, len - SUM_SIZE - i < 8 ? len - SUM_SIZE - i : 8);
		sum = (sum ^ part) * 0x9e3779b97f4a7c15u;
		sum ^= sum >> 32;
	}
	return (uint32_t)sum;
}

void sxsk_stamp_write(void *packet, uint32_t len, uint16_t stream, uint32_t seq)
{
	const uint64_t ns = htole64(sxsk_stamp_clock());
	struct wire wire = { htole16(MAGIC), htole16(stream), htole32(seq), { 0 } };
	unsigned char *end = (unsigned char *)packet + len;
	uint32_t sum;

	if (len < SXSK_STAMP_LEAST)
		return;
	memcpy(wire.ns, &ns, sizeof(wire.ns));
	memcpy(end - SUM_SIZE - sizeof(wire), &wire, sizeof(wire));
	sum = sum_of(packet, len);
	memcpy(end - SUM_SIZE, &sum, SUM_SIZE);
}

int sxsk_stamp_read(const void *packet, uint32_t len, struct sxsk_stamp *ret_stamp)
{
	const unsigned char *end = (const unsigned char *)packet + len;
	struct wire wire;
	uint64_t ns = 0;
	uint32_t sum;

	if (len < SXSK_STAMP_LEAST)
		return -ENOMSG;
	memcpy(&wire, end - SUM_SIZE - sizeof(wire), sizeof(wire));
	if (le16toh(wire.magic) != MAGIC)
		return -ENOMSG;
	memcpy(&sum, end - SUM_SIZE, SUM_SIZE);
	if (sum != sum_of(packet, len))
		return -EBADMSG;
	memcpy(&ns, wire.ns, sizeof(wire.ns));
	*ret_stamp = (struct sxsk_stamp){ le16toh(wire.stream), le32toh(wire.seq), le64toh(ns) };
	return 0;
}
