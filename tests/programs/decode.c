/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sxsk_packet_print() and sxsk_flow_of() read no byte that a packet does not have: packets that were cut short
 * and spoilt at random, each in memory of its own, which AddressSanitizer watches. Each comes to one line of text.
 */
#include "packet_print.c"

#include <safexsk/flow.h>
#include <stdlib.h>

#define PACKETS 200000u
#define LONGEST 160u

static uint64_t state = 1;

/* splitmix64 */
static uint32_t below(uint32_t n)
{
	uint64_t z = state += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return (uint32_t)((z ^ (z >> 31)) >> 32) % n;
}

/* Likely numbers where headers may have them: types, versions, protocols, lengths. */
static uint32_t make(unsigned char *p)
{
	static const unsigned char types[][2] = { { 8, 0 },       { 8, 6 },       { 0x81, 0 },
						  { 0x88, 0xa8 }, { 0x86, 0xdd }, { 0, 40 } };
	static const unsigned char protocols[] = { 0, 1, 6, 17, 43, 44, 51, 58, 59, 60, 132 };
	uint32_t at = 12, n;

	for (uint32_t i = 0; i < LONGEST; i++)
		p[i] = below(3) ? (unsigned char)below(12) : (unsigned char)below(256);
	do {
		memcpy(p + at, types[below(6)], 2);
		at += p[at] == 0x81 || p[at] == 0x88 ? 4 : 2;
	} while (at < 40 && p[at - 4] >= 0x81 && p[at - 4] <= 0x88);
	p[at] = (unsigned char)(p[at - 2] == 8 ? 0x45 + below(2) * below(6) : 0x60);
	for (uint32_t i = 2; i < 6; i++) /* lengths, or nothing of the kind */
		p[at + i] = i % 2 ? (unsigned char)below(80) : below(4) == 0;
	p[at + 6] = protocols[below(sizeof(protocols))];
	if (p[at - 2] == 8 && below(8)) /* no fragment */
		p[at + 6] = p[at + 7] = 0;
	p[at + 9] = protocols[below(sizeof(protocols))];
	p[at + 40] = protocols[below(sizeof(protocols))];
	p[at + 32] = p[at + 52] = (unsigned char)below(256); /* a TCP header's length */
	n = below(3) ? at + below(70) : below(LONGEST + 1);
	return n;
}

int main(void)
{
	unsigned char packet[LONGEST + 64];
	struct sxsk_flow flow;
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	for (uint32_t i = 0; i < PACKETS; i++) {
		uint32_t n = make(packet);
		unsigned char *exact = malloc(n ? n : 1);

		memcpy(exact, packet, n);
		rewind(out);
		print_line(out, exact, n);
		sxsk_flow_of(exact, n, &flow);
		(void)fflush(out);
		free(exact);
		if (size == 0 || size > 600 || memchr(text, '\n', size)) {
			printf("packet %u of %u bytes: %zu bytes of text: %s\n", i, n, size, text);
			return 1;
		}
	}
	fclose(out);
	free(text);
	printf("%u packets\n", PACKETS);
	return 0;
}
