/* SPDX-License-Identifier: BSD-2-Clause */
#include "flows.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#define FLOWS 4096u
#define PROBES 16u

struct flow {
	unsigned char version, protocol; /* version 0: no IP */
	unsigned char ports[4], ends[32], zero[2];
	uint64_t packets, bytes; /* packets 0: nothing here */
};

static uint16_t be16(const unsigned char *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static struct flow table[FLOWS];
static uint64_t used, others; /* others: packets of flows that there was no room for */

/* Whose packet it is. Nothing is read past its end. */
static struct flow key_of(const unsigned char *p, uint32_t n)
{
	struct flow key = { 0 };
	uint32_t at = 12, header = 0, size;

	while (n >= at + 6 && (be16(p + at) == 0x8100 || be16(p + at) == 0x88a8))
		at += 4;
	if (n >= at + 22 && be16(p + at) == 0x0800) {
		header = p[at + 2] % 16 * 4u;
		key.version = 4;
		key.protocol = p[at + 2 + 9];
		memcpy(key.ends, p + at + 2 + 12, 8);
		if (be16(p + at + 2 + 6) & 0x1fff)
			return key; /* a fragment without ports */
	} else if (n >= at + 42 && be16(p + at) == 0x86dd) {
		header = 40;
		key.version = 6;
		key.protocol = p[at + 2 + 6];
		memcpy(key.ends, p + at + 2 + 8, 32);
	}
	size = key.protocol == IPPROTO_TCP || key.protocol == IPPROTO_UDP ? 4 : 0;
	if (header >= 20 && n >= at + 2 + header + size)
		memcpy(key.ports, p + at + 2 + header, size);
	return key;
}

#define KEY_BYTES offsetof(struct flow, packets)

/* FNV-1a */
static uint32_t hash_of(const struct flow *key)
{
	const unsigned char *p = (const unsigned char *)key;
	uint32_t hash = 2166136261u;

	for (size_t i = 0; i < KEY_BYTES; i++)
		hash = (hash ^ p[i]) * 16777619u;
	return hash;
}

void flows_count(const struct sxsk_buf bufs[], unsigned n)
{
	const struct flow key = key_of(sxsk_buf_data(bufs[0]), sxsk_buf_len(bufs[0]));
	const uint32_t hash = hash_of(&key);

	for (uint32_t i = 0; i < PROBES; i++) {
		struct flow *flow = &table[(hash + i) % FLOWS];

		if (flow->packets == 0) {
			memcpy(flow, &key, sizeof(key));
			used++;
		} else if (memcmp(flow, &key, KEY_BYTES) != 0) {
			continue;
		}
		flow->packets++;
		for (unsigned k = 0; k < n; k++)
			flow->bytes += sxsk_buf_len(bufs[k]);
		return;
	}
	others++;
}

static void print_end(const struct flow *flow, unsigned end)
{
	const bool six = flow->version == 6;
	char text[INET6_ADDRSTRLEN];

	printf("%s", inet_ntop(six ? AF_INET6 : AF_INET, flow->ends + end * (six ? 16 : 4), text,
			       sizeof(text)));
	if (be16(flow->ports + 2 * end))
		printf(".%u", be16(flow->ports + 2 * end));
}

uint64_t flows_known(void)
{
	return used;
}

void flows_print(unsigned most)
{
	const struct flow *last = NULL, *next;

	for (unsigned n = 0; n < most; n++, last = next) {
		next = NULL;
		for (const struct flow *f = table; f < table + FLOWS; f++)
			if ((!last || f->packets < last->packets ||
			     (f->packets == last->packets && f > last)) &&
			    f->packets > (next ? next->packets : 0))
				next = f;
		if (!next)
			break;
		printf("  flow ");
		if (next->version) {
			print_end(next, 0);
			printf(" > ");
			print_end(next, 1);
		} else {
			printf("of what is not IP");
		}
		printf(", protocol %u: %" PRIu64 " packets, %" PRIu64 " bytes\n", next->protocol,
		       next->packets, next->bytes);
	}
	printf("  %" PRIu64 " flows, and %" PRIu64 " packets of others\n", used, others);
}
