/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Packets for people: a line as of `tcpdump -e -n -S`, in brief. They may be broken: nothing is read past
 * their end, and what is missing is said.
 */
#include "bytes.h"
#include "internal.h"

#include <arpa/inet.h>
#include <safexsk/print.h>
#include <stdlib.h>
#include <string.h>

/* What is left of a packet: the bytes that are there, and how many there should be by its headers. */
struct rest {
	FILE *out;
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
		(void)fprintf(r->out, "[|%s] length %u", what, r->length);
	return r->n >= n;
}

static void print_mac(FILE *out, const char *before, const unsigned char *p)
{
	(void)fprintf(out, "%s%02x:%02x:%02x:%02x:%02x:%02x", before, p[0], p[1], p[2], p[3], p[4],
		      p[5]);
}

static void print_ip(FILE *out, const char *before, const unsigned char *p, unsigned size)
{
	char text[INET6_ADDRSTRLEN];

	(void)fprintf(out, "%s%s", before,
		      inet_ntop(size == 4 ? AF_INET : AF_INET6, p, text, sizeof(text)));
}

/* "A > B: ", or where there are ports "A.port > B.port: ". */
static void print_ends(const struct rest *r, bool ports)
{
	for (unsigned i = 0; i < 2; i++) {
		print_ip(r->out, i ? " > " : "", r->ends + i * r->end_size, r->end_size);
		if (ports && r->n >= 4)
			(void)fprintf(r->out, ".%u", be16(r->p + 2 * i));
	}
	(void)fprintf(r->out, ": ");
}

static void print_tcp(const struct rest *r)
{
	const unsigned char *p = r->p;
	const uint32_t header = r->n < 20 ? 0 : p[12] / 16 * 4u, data = r->length - header;

	if (!has(r, 20, "tcp"))
		return;
	(void)fprintf(r->out, "Flags [%s", p[13] ? "" : "none");
	for (unsigned bit = 0; bit < 8; bit++)
		if (p[13] & 1u << bit)
			(void)fputc("FSRP.UEW"[bit], r -> out);
	if (header < 20 || header > r->length) {
		(void)fprintf(r->out, "], bad header length %u, length %u", header, r->length);
		return;
	}
	(void)fprintf(r->out,
		      data      ? "], seq %u:%u" :
		      p[13] & 7 ? "], seq %u" :
				  "]",
		      be32(p + 4), be32(p + 4) + data);
	if (p[13] & 16)
		(void)fprintf(r->out, ", ack %u", be32(p + 8));
	(void)fprintf(r->out, ", win %u, length %u", be16(p + 14), data);
}

/* Its own length, if that can be: not of more than 65535 bytes, or of a first fragment. */
static void print_udp(const struct rest *r)
{
	const uint32_t length = r->n < 8 ? 0 : be16(r->p + 4);

	if (has(r, 8, "udp"))
		(void)fprintf(r->out, "UDP, length %u",
			      (length < 8 || length > r->length ? r->length : length) - 8);
}

static void print_icmp(const struct rest *r, bool six)
{
	const char *name = r->n < 8 ? NULL : icmp_names[six * 256 + r->p[0]];

	if (!has(r, 8, "icmp"))
		return;
	(void)fprintf(r->out, "%s %s, ", six ? "ICMP6," : "ICMP", name ? name : "other");
	if (name && strncmp(name, "echo", 4) == 0)
		(void)fprintf(r->out, "id %u, seq %u", be16(r->p + 4), be16(r->p + 6));
	else
		(void)fprintf(r->out, "type %u, code %u", r->p[0], r->p[1]);
	(void)fprintf(r->out, ", length %u", r->length);
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
		(void)fprintf(r->out, "ip-proto-%d, length %u", protocol, r->length);
}

/* The IP header says how long the packet is: less than there is (padding), or more (it was cut). */
static void set_length(struct rest *r, uint32_t length)
{
	r->length = length;
	if (length > r->n)
		(void)fprintf(r->out, "truncated-ip - %u bytes missing! ", length - r->n);
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
		(void)fprintf(r.out, "bad IPv4 header, length %u", r.n);
		return;
	}
	step(&r, header);
	if (be16(p + 6) & 0x1fff) {
		print_ends(&r, false);
		(void)fprintf(r.out, "ip-proto-%u at %u, length %u", p[9],
			      be16(p + 6) % 0x2000 * 8u, r.length);
	} else {
		print_above(&r, p[9], false);
	}
	(void)fprintf(r.out, be16(p + 6) & 0x2000 ? ", more fragments" : "");
}

/* Pass over an extension header. Returns what follows it; -1: no more to be seen. */
static int print_extension(struct rest *r, int protocol)
{
	const unsigned char *p = r->p;
	const bool fragment = protocol == IPPROTO_FRAGMENT;
	const uint32_t unit = fragment ? 0 : protocol == IPPROTO_AH ? 4 : 8;

	(void)fprintf(r->out, "%s ", extension_names[protocol]);
	if (!has(r, 8, "ip6") || !has(r, 8 + p[1] * unit, "ip6"))
		return -1;
	step(r, 8 + p[1] * unit);
	if (fragment)
		(void)fprintf(r->out, "(%u|%u) ", be16(p + 2) & 0xfff8u, r->length);
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
		print_ip(r.out, "Reply ", r.p + 14, 4);
		print_mac(r.out, " is-at ", r.p + 8);
	} else {
		print_ip(r.out, "Request who-has ", r.p + 24, 4);
		print_ip(r.out, " tell ", r.p + 14, 4);
	}
	(void)fprintf(r.out, ", length %u", r.n);
}

static void print_payload(FILE *out, unsigned type, const unsigned char *p, uint32_t n)
{
	const struct rest r = { .out = out, .p = p, .n = n, .length = n };

	if (type == 0x0800)
		print_ipv4(r);
	else if (type == 0x86dd)
		print_ipv6(r);
	else if (type == 0x0806)
		print_arp(r);
	else
		(void)fprintf(out, "%u bytes", n);
}

static const char *type_name(unsigned type)
{
	switch (type) {
	case 0x0800:
		return "IPv4";
	case 0x0806:
		return "ARP";
	case 0x8100:
		return "802.1Q";
	case 0x86dd:
		return "IPv6";
	case 0x88a8:
		return "802.1Q-QinQ";
	case 0x88cc:
		return "LLDP";
	default:
		return "Unknown";
	}
}

static void print_line(FILE *out, const unsigned char *frame, uint32_t n)
{
	uint32_t at = 12; /* of the type; behind each tag there is another one */
	unsigned type;

	if (n < 14) {
		(void)fprintf(out, "[|ether] length %u", n);
		return;
	}
	print_mac(out, "", frame + 6);
	print_mac(out, " > ", frame);
	for (;; at += 4) {
		type = be16(frame + at);
		if (type <= 1500)
			(void)fprintf(out, ", 802.3");
		else
			(void)fprintf(out, ", ethertype %s (0x%04x)", type_name(type), type);
		(void)fprintf(out, at == 12 ? ", length %u: " : ", ", n);
		if ((type != 0x8100 && type != 0x88a8) || n < at + 6)
			break;
		(void)fprintf(out, "vlan %u, p %u", be16(frame + at + 2) & 0xfffu,
			      frame[at + 2] / 32);
	}
	print_payload(out, type, frame + at + 2, n - at - 2);
}

static void print_hex(FILE *out, const unsigned char *frame, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		if (i % 16 == 0)
			(void)fprintf(out, "\n\t0x%04x: ", i);
		(void)fprintf(out, i % 2 ? "%02x" : " %02x", frame[i]);
	}
}

/* The bytes of a packet of several Bufs, one after the other; *ret_n: how many. NULL: a handle is not live,
 * they are too many, or there is no memory. */
static unsigned char *joined(const struct sxsk_buf bufs[], unsigned n, uint32_t *ret_n)
{
	unsigned char *all;
	uint32_t at = 0;

	*ret_n = 0;
	for (unsigned i = 0; i < n; i++) {
		*ret_n += sxsk_buf_len(bufs[i]);
		/* A forged length is misuse in the first place. */
		if (!sxsk_buf_data(bufs[i]) || *ret_n > PACKET_MAX)
			return NULL;
	}
	all = malloc(*ret_n + 1);
	for (unsigned i = 0; all && i < n; i++) {
		const void *data = sxsk_buf_data(bufs[i]);

		if (!data) {
			free(all);
			return NULL;
		}
		memcpy(all + at, data, sxsk_buf_len(bufs[i]));
		at += sxsk_buf_len(bufs[i]);
	}
	return all;
}

/* Most packets are one Buf, and read where they are. */
void sxsk_packet_print(const struct sxsk_buf bufs[], unsigned n, bool hex, FILE *out)
{
	uint32_t bytes = n == 1 ? sxsk_buf_len(bufs[0]) : 0;
	unsigned char *all = n > 1 ? joined(bufs, n, &bytes) : NULL;
	const unsigned char *frame = n > 1 ? all : n == 1 ? sxsk_buf_data(bufs[0]) : NULL;

	if (frame) {
		print_line(out, frame, bytes);
		if (hex)
			print_hex(out, frame, bytes);
	} else {
		(void)fprintf(out, "no packet");
	}
	(void)fputc('\n', out);
	free(all);
}
