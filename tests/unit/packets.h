/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random packets that are nearly right: tags, IPv4 with options, IPv6 with extension headers, fragments,
 * wrong versions and lengths, cut off anywhere. Values come from few, so that rules meet them.
 */
#ifndef SXSK_TEST_PACKETS_H
#define SXSK_TEST_PACKETS_H

#include "xdp_run.h"

static const uint16_t some_types[] = { 0x0800, 0x86dd, 0x0806, 0x88b5 };
static const uint16_t some_vlans[] = { 1, 7, 4094 };
static const uint16_t some_ports[] = { 22, 80, 4242, 65535 };
static const uint16_t some_fragments[] = { 0, 0x2000, 0x2001, 1, 0x1000, 0xffff, 0xe000 };
static const uint8_t some_protos[] = { 17, 6, 1, 58 };

#define ONE_OF(state, array) array[random_below(state, sizeof(array) / sizeof(array[0]))]

struct packet {
	unsigned char bytes[RUN_MAX];
	uint32_t n;
};

static inline void put(struct packet *p, unsigned bytes, uint32_t value)
{
	while (bytes-- > 0)
		p->bytes[p->n++] = (unsigned char)(value >> 8 * bytes);
}

/* An address byte by byte from two values, but for a tail. */
static inline void put_address(struct packet *p, uint64_t *rnd, unsigned bytes)
{
	const unsigned char seed = random_below(rnd, 4) ? 0x0a : 0xc0;

	for (unsigned i = 0; i < bytes; i++)
		put(p, 1, i < bytes - 1 ? seed : random_below(rnd, 4));
}

static inline void put_mac(struct packet *p, uint64_t *rnd)
{
	put(p, 4, 0x02000000);
	put(p, 2, random_below(rnd, 3));
}

static inline void put_payload(struct packet *p, uint64_t *rnd, uint8_t proto)
{
	const uint32_t length = random_below(rnd, 60);

	if (proto == 17 || proto == 6 || random_below(rnd, 2)) {
		put(p, 2, ONE_OF(rnd, some_ports));
		put(p, 2, ONE_OF(rnd, some_ports));
		if (proto == 6) {
			put(p, 4, random_number(rnd));
			put(p, 4, random_number(rnd));
			put(p, 1, 0x50);
			put(p, 1, random_below(rnd, 64)); /* flags */
		}
	}
	for (uint32_t i = 0; i < length; i++)
		put(p, 1, random_below(rnd, 256));
}

static inline void put_ipv4(struct packet *p, uint64_t *rnd)
{
	const uint8_t proto = ONE_OF(rnd, some_protos);
	const unsigned version = random_below(rnd, 20) ? 4 : random_below(rnd, 16);
	unsigned words = random_below(rnd, 2) ? 5 : 5 + random_below(rnd, 11);

	words = random_below(rnd, 20) ? words : random_below(rnd, 5);
	put(p, 1, version << 4 | words);
	put(p, 1, 0);
	put(p, 2, 20 + random_below(rnd, 100)); /* total length */
	put(p, 2, 0);
	put(p, 2, random_below(rnd, 3) ? 0x4000 : ONE_OF(rnd, some_fragments));
	put(p, 1, 64);
	put(p, 1, proto);
	put(p, 2, 0);
	put_address(p, rnd, 4);
	put_address(p, rnd, 4);
	for (unsigned i = 5; i < words; i++)
		put(p, 4, random_number(rnd));
	put_payload(p, rnd, proto);
}

/* The extension header `kind`, before `next`. */
static inline void put_extension(struct packet *p, uint64_t *rnd, uint8_t kind, uint8_t next)
{
	unsigned units = random_below(rnd, 3) ? random_below(rnd, 3) : 160 + random_below(rnd, 96);
	uint32_t rest;

	put(p, 1, next);
	if (kind == 44) {
		put(p, 1, random_below(rnd, 256));
		put(p, 2, random_below(rnd, 2) ? random_below(rnd, 8) : random_number(rnd));
		put(p, 4, random_number(rnd));
		return;
	}
	if (kind == 51)
		units += units == 0; /* it is 12 bytes long at least */
	put(p, 1, units);
	rest = (kind == 51 ? 4 * (units + 2) : 8 * (units + 1)) - 2;
	while (rest-- > 0)
		put(p, 1, random_below(rnd, 256));
}

static inline void put_ipv6(struct packet *p, uint64_t *rnd)
{
	static const uint8_t kinds[] = { 0, 43, 44, 51, 60 };
	const uint8_t proto = random_below(rnd, 20) ? ONE_OF(rnd, some_protos) : 59;
	const unsigned n = random_below(rnd, 2) ? 0 : random_below(rnd, 9);
	uint8_t chain[10];

	for (unsigned i = 0; i < n; i++)
		chain[i] = ONE_OF(rnd, kinds);
	chain[n] = proto;
	put(p, 1, random_below(rnd, 20) ? 0x60 : random_below(rnd, 256));
	put(p, 3, 0);
	put(p, 2, random_below(rnd, 1500)); /* payload length */
	put(p, 1, chain[0]);
	put(p, 1, 64);
	put_address(p, rnd, 16);
	put_address(p, rnd, 16);
	for (unsigned i = 0; i < n && p->n < RUN_MAX - 2500; i++)
		put_extension(p, rnd, chain[i], chain[i + 1]);
	put_payload(p, rnd, proto);
}

static inline void random_packet(struct packet *p, uint64_t *rnd)
{
	const uint16_t type = ONE_OF(rnd, some_types);
	const unsigned tags = random_below(rnd, 2) ? 0 : random_below(rnd, 4);

	p->n = 0;
	put_mac(p, rnd);
	put_mac(p, rnd);
	for (unsigned i = 0; i < tags; i++) {
		put(p, 2, random_below(rnd, 2) ? 0x8100 : 0x88a8);
		put(p, 2, random_below(rnd, 16) << 12 | ONE_OF(rnd, some_vlans));
	}
	put(p, 2, type);
	if (type == 0x0800)
		put_ipv4(p, rnd);
	else if (type == 0x86dd)
		put_ipv6(p, rnd);
	else
		put_payload(p, rnd, 0);
	if (!random_below(rnd, 4)) /* cut off */
		p->n = RUN_HEAD_MAX + random_below(rnd, p->n - RUN_HEAD_MAX + 1);
}

#endif
