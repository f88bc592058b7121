/* SPDX-License-Identifier: BSD-2-Clause */
#include "decode.h"

#include <arpa/inet.h>
#include <string.h>

/* What is left of a packet: the bytes that are there, and how many there should be by its headers. */
struct rest {
	const unsigned char *p;
	uint32_t n, length;
	const unsigned char *ends; /* of IP: source and destination, of so many bytes each */
	unsigned end_size;
};

/* clang-format off */
static const char *const icmp_names[512] = { /* from 256 on ICMPv6's */
	[0] = "echo reply", [3] = "unreachable", [5] = "redirect", [8] = "echo request",
	[11] = "time exceeded", [12] = "parameter problem",
	[257] = "unreachable", [258] = "packet too big", [259] = "time exceeded",
	[260] = "parameter problem", [384] = "echo request", [385] = "echo reply",
	[389] = "router solicitation", [390] = "router advertisement",
	[391] = "neighbor solicitation", [392] = "neighbor advertisement",
};
static const char *const extension_names[256] = {
	[IPPROTO_HOPOPTS] = "HBH", [IPPROTO_DSTOPTS] = "DSTOPT", [IPPROTO_ROUTING] = "srcrt",
	[IPPROTO_FRAGMENT] = "frag", [IPPROTO_AH] = "AH",
};
/* clang-format on */

static uint32_t be32(const unsigned char *p)
{
	return (uint32_t)be16(p) << 16 | be16(p + 2);
}

/* Pass over a header, which is there. */
static void step(struct rest *r, uint32_t n)
{
	r->p += n;
	r->n -= n;
	r->length -= n;
}

/* Are so many bytes of a header there? */
static bool has(const struct rest *r, uint32_t n, const char *what)
{
	if (r->n < n)
		printf("[|%s] length %u", what, r->length);
	return r->n >= n;
}

static void print_ip(const char *before, const unsigned char *p, unsigned size)
{
	char text[INET6_ADDRSTRLEN];

	printf("%s%s", before, inet_ntop(size == 4 ? AF_INET : AF_INET6, p, text, sizeof(text)));
}

/* "A > B: ", or where there are ports "A.port > B.port: ". */
static void print_ends(const struct rest *r, bool ports)
{
	for (unsigned i = 0; i < 2; i++) {
		print_ip(i ? " > " : "", r->ends + i * r->end_size, r->end_size);
		if (ports && r->n >= 4)
			printf(".%u", be16(r->p + 2 * i));
	}
	printf(": ");
}

static void print_tcp(const struct rest *r)
{
	const unsigned char *p = r->p;
	const uint32_t header = r->n < 20 ? 0 : p[12] / 16 * 4u, data = r->length - header;

	if (!has(r, 20, "tcp"))
		return;
	printf("Flags [%s", p[13] ? "" : "none");
	for (unsigned bit = 0; bit < 8; bit++)
		if (p[13] & 1u << bit)
			putchar("FSRP.UEW"[bit]);
	if (header < 20 || header > r->length) {
		printf("], bad header length %u, length %u", header, r->length);
		return;
	}
	printf(data      ? "], seq %u:%u" :
	       p[13] & 7 ? "], seq %u" :
			   "]",
	       be32(p + 4), be32(p + 4) + data);
	if (p[13] & 16)
		printf(", ack %u", be32(p + 8));
	printf(", win %u, length %u", be16(p + 14), data);
}

/* Its own length, if that can be: not of more than 65535 bytes, or of a first fragment. */
static void print_udp(const struct rest *r)
{
	const uint32_t length = r->n < 8 ? 0 : be16(r->p + 4);

	if (has(r, 8, "udp"))
		printf("UDP, length %u",
		       (length < 8 || length > r->length ? r->length : length) - 8);
}

static void print_icmp(const struct rest *r, bool six)
{
	const char *name = r->n < 8 ? NULL : icmp_names[six * 256 + r->p[0]];

	if (!has(r, 8, "icmp"))
		return;
	printf("%s %s, ", six ? "ICMP6," : "ICMP", name ? name : "other");
	if (name && strncmp(name, "echo", 4) == 0)
		printf("id %u, seq %u", be16(r->p + 4), be16(r->p + 6));
	else
		printf("type %u, code %u", r->p[0], r->p[1]);
	printf(", length %u", r->length);
}

/* Above IP; the addresses may be printed already. */
static void print_above(const struct rest *r, int protocol, bool printed)
{
	const bool ports = protocol == IPPROTO_TCP || protocol == IPPROTO_UDP;

	if (!printed || ports)
		print_ends(r, ports);
	if (protocol == IPPROTO_TCP)
		print_tcp(r);
	else if (protocol == IPPROTO_UDP)
		print_udp(r);
	else if (protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6)
		print_icmp(r, protocol == IPPROTO_ICMPV6);
	else
		printf("ip-proto-%d, length %u", protocol, r->length);
}

/* The IP header says how long the packet is: less than there is (padding), or more (it was cut). */
static void set_length(struct rest *r, uint32_t length)
{
	r->length = length;
	if (length > r->n)
		printf("truncated-ip - %u bytes missing! ", length - r->n);
	else
		r->n = length;
}

static void print_ipv4(struct rest r)
{
	const unsigned char *p = r.p;
	const uint32_t header = r.n > 0 ? p[0] % 16 * 4u : 0;

	if (!has(&r, 20, "ip"))
		return;
	r.ends = p + 12;
	r.end_size = 4;
	if (be16(p + 2)) /* 0: the card was to cut it up */
		set_length(&r, be16(p + 2));
	if (p[0] / 16 != 4 || header < 20 || header > r.n) {
		printf("bad IPv4 header, length %u", r.n);
		return;
	}
	step(&r, header);
	if (be16(p + 6) & 0x1fff) {
		print_ends(&r, false);
		printf("ip-proto-%u at %u, length %u", p[9], be16(p + 6) % 0x2000 * 8u, r.length);
	} else {
		print_above(&r, p[9], false);
	}
	printf(be16(p + 6) & 0x2000 ? ", more fragments" : "");
}

/* Pass over an extension header. Returns what follows it; -1: no more to be seen. */
static int print_extension(struct rest *r, int protocol)
{
	const unsigned char *p = r->p;
	const bool fragment = protocol == IPPROTO_FRAGMENT;
	const uint32_t unit = fragment ? 0 : protocol == IPPROTO_AH ? 4 : 8;

	printf("%s ", extension_names[protocol]);
	if (!has(r, 8, "ip6") || !has(r, 8 + p[1] * unit, "ip6"))
		return -1;
	step(r, 8 + p[1] * unit);
	if (fragment)
		printf("(%u|%u) ", be16(p + 2) & 0xfff8u, r->length);
	return fragment && be16(p + 2) & 0xfff8 ? -1 : p[0];
}

static void print_ipv6(struct rest r)
{
	const unsigned char *p = r.p;
	int protocol = r.n < 40 ? 0 : p[6];

	if (!has(&r, 40, "ip6"))
		return;
	r.ends = p + 8;
	r.end_size = 16;
	if (be16(p + 4) || protocol != IPPROTO_HOPOPTS) /* 0: a jumbogram */
		set_length(&r, be16(p + 4) + 40u);
	step(&r, 40);
	if (extension_names[protocol])
		print_ends(&r, false);
	while (protocol >= 0 && extension_names[protocol])
		protocol = print_extension(&r, protocol);
	if (protocol >= 0)
		print_above(&r, protocol, protocol != p[6]);
}

static void print_arp(struct rest r)
{
	if (!has(&r, 28, "arp"))
		return;
	if (be16(r.p + 6) == 2) {
		print_ip("Reply ", r.p + 14, 4);
		print_mac(" is-at ", r.p + 8);
	} else {
		print_ip("Request who-has ", r.p + 24, 4);
		print_ip(" tell ", r.p + 14, 4);
	}
	printf(", length %u", r.n);
}

void decode_payload(unsigned type, const unsigned char *p, uint32_t n)
{
	const struct rest r = { .p = p, .n = n, .length = n };

	if (type == 0x0800)
		print_ipv4(r);
	else if (type == 0x86dd)
		print_ipv6(r);
	else if (type == 0x0806)
		print_arp(r);
	else
		printf("%u bytes", n);
}
