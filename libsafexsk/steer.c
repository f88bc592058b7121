/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Steering rules: checked, and made into an XDP program. It first reads the packet's headers, as far as any
 * rule needs them, into slots on its stack; then it compares those, rule by rule.
 */
#include "prog_inner.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TYPE_VLAN 0x8100
#define TYPE_SVLAN 0x88a8
#define TYPE_IPV4 0x0800
#define TYPE_IPV6 0x86dd
#define VLAN_ID_MAX 4094
#define IPV6_EXTENSIONS 6 /* headers that are passed over */
enum { EXT_HOP = 0, EXT_ROUTING = 43, EXT_FRAGMENT = 44, EXT_AUTH = 51, EXT_DST = 60 };
enum { PROTO_TCP = 6, PROTO_UDP = 17 };

/* What is read of a packet; -1: it is not there. */
enum slot {
	AT_TYPE,
	AT_VLAN, /* 0xffff: no tag */
	AT_INNER,
	AT_VERSION,
	AT_PROTO,
	AT_SPORT,
	AT_DPORT,
	AT_SRC,              /* four, as on the wire */
	AT_DST = AT_SRC + 4, /* four */
	AT_MAC = AT_DST + 4, /* three: destination, source */
	AT_END = AT_MAC + 3
};
_Static_assert(AT_END <= SLOTS, "");

#define MATCH_PORTS (SXSK_MATCH_SRC_PORT | SXSK_MATCH_DST_PORT)
#define MATCH_ADDRESSES (SXSK_MATCH_SRC_IP | SXSK_MATCH_DST_IP)
#define MATCH_IP (MATCH_PORTS | MATCH_ADDRESSES | SXSK_MATCH_IP_PROTO)
#define MATCH_MACS (SXSK_MATCH_SRC_MAC | SXSK_MATCH_DST_MAC)
#define MATCH_ALL (2 * SXSK_MATCH_DST_MAC - 1u)

/* ---- checks --------------------------------------------------------------------------------------- */

struct field {
	uint32_t match; /* bits that make it count */
	size_t offset, size;
	const char *name;
};

#define FIELD(match, name)                                                                         \
	{                                                                                          \
		match, offsetof(struct sxsk_rule, name), sizeof(((struct sxsk_rule *)0)->name),    \
			#name                                                                      \
	}

static const struct field fields[] = {
	FIELD(SXSK_MATCH_ETHERTYPE, ethertype),   FIELD(SXSK_MATCH_VLAN, vlan),
	FIELD(SXSK_MATCH_INNER_VLAN, inner_vlan), FIELD(SXSK_MATCH_IP_PROTO, ip_proto),
	FIELD(SXSK_MATCH_SRC_PORT, src_port),     FIELD(SXSK_MATCH_DST_PORT, dst_port),
	FIELD(MATCH_ADDRESSES, ip_version),       FIELD(SXSK_MATCH_SRC_IP, src_bits),
	FIELD(SXSK_MATCH_DST_IP, dst_bits),       FIELD(SXSK_MATCH_SRC_IP, src_ip),
	FIELD(SXSK_MATCH_DST_IP, dst_ip),         FIELD(SXSK_MATCH_SRC_MAC, src_mac),
	FIELD(SXSK_MATCH_DST_MAC, dst_mac),       FIELD(0, reserved),
};

/* A value that was set and does not count is a forgotten bit. */
static int check_forgotten(const struct sxsk_rule *r, unsigned i)
{
	for (size_t f = 0; f < sizeof(fields) / sizeof(fields[0]); f++) {
		const unsigned char *bytes = (const unsigned char *)r + fields[f].offset;

		for (size_t b = 0; b < fields[f].size && !(r->match & fields[f].match); b++)
			if (bytes[b])
				return sxsk_priv_fail(
					EINVAL, "rule %u: %s is set, and match is 0x%x, without it",
					i, fields[f].name, r->match);
	}
	return 0;
}

static int check_tag(uint16_t id, const char *name, unsigned i)
{
	if (id > VLAN_ID_MAX && id != SXSK_NO_VLAN)
		return sxsk_priv_fail(EINVAL, "rule %u: %s is %u: at most %u, or SXSK_NO_VLAN", i,
				      name, id, VLAN_ID_MAX);
	return 0;
}

static int check_addresses(const struct sxsk_rule *r, unsigned i)
{
	const unsigned most = r->ip_version == 4 ? 32 : 128;
	const unsigned bits = r->src_bits > r->dst_bits ? r->src_bits : r->dst_bits;

	if (!(r->match & MATCH_ADDRESSES))
		return 0;
	if (r->ip_version != 4 && r->ip_version != 6)
		return sxsk_priv_fail(EINVAL, "rule %u: ip_version is %u: for addresses, 4 or 6", i,
				      r->ip_version);
	if (bits > most)
		return sxsk_priv_fail(EINVAL,
				      "rule %u: a prefix of %u bits, of addresses of %u bits", i,
				      bits, most);
	return 0;
}

/* A rule that no packet can match is a mistake. */
static int check_possible(const struct sxsk_rule *r, unsigned i)
{
	const uint16_t type = r->ethertype;

	if (r->match & MATCH_PORTS && r->match & SXSK_MATCH_IP_PROTO && r->ip_proto != PROTO_TCP &&
	    r->ip_proto != PROTO_UDP)
		return sxsk_priv_fail(EINVAL,
				      "rule %u: ports are UDP's and TCP's, and ip_proto is %u", i,
				      r->ip_proto);
	if (r->match & SXSK_MATCH_ETHERTYPE && r->match & MATCH_IP && type != TYPE_IPV4 &&
	    type != TYPE_IPV6)
		return sxsk_priv_fail(
			EINVAL, "rule %u: ethertype is 0x%04x, and the rest is of IPv4 or IPv6", i,
			type);
	if (r->match & SXSK_MATCH_ETHERTYPE && r->match & MATCH_ADDRESSES &&
	    type != (r->ip_version == 4 ? TYPE_IPV4 : TYPE_IPV6))
		return sxsk_priv_fail(EINVAL, "rule %u: ethertype is 0x%04x, and ip_version is %u",
				      i, type, r->ip_version);
	if (r->match & SXSK_MATCH_VLAN && r->vlan == SXSK_NO_VLAN &&
	    r->match & SXSK_MATCH_INNER_VLAN && r->inner_vlan != SXSK_NO_VLAN)
		return sxsk_priv_fail(EINVAL, "rule %u: a second VLAN tag without a first", i);
	return 0;
}

static int check_rule(const struct sxsk_rule *r, unsigned i)
{
	int err;

	if (r->match & ~MATCH_ALL)
		return sxsk_priv_fail(EINVAL, "rule %u: match is 0x%x: 0x%x is not known", i,
				      r->match, r->match & ~MATCH_ALL);
	if (r->target >= SXSK_MAX_TARGETS && r->target != SXSK_TARGET_STACK)
		return sxsk_priv_fail(EINVAL,
				      "rule %u: target is %u: at most %u, or SXSK_TARGET_STACK", i,
				      r->target, SXSK_MAX_TARGETS - 1);
	err = check_forgotten(r, i);
	if (!err)
		err = check_tag(r->vlan, "vlan", i);
	if (!err)
		err = check_tag(r->inner_vlan, "inner_vlan", i);
	if (!err)
		err = check_addresses(r, i);
	return err ? err : check_possible(r, i);
}

int sxsk_priv_rules_check(const struct sxsk_rule rules[], unsigned n, struct sxsk_rule **ret_rules)
{
	const size_t stride = n && rules ? rules[0].sz : 0;
	struct sxsk_rule *copy;
	int err = 0;

	if (n && !rules)
		return sxsk_priv_fail(EINVAL, "rules is NULL");
	if (n > SXSK_MAX_RULES)
		return sxsk_priv_fail(E2BIG, "%u rules: a program has at most %u", n,
				      SXSK_MAX_RULES);
	copy = calloc(n + 1, sizeof(*copy));
	if (!copy)
		return sxsk_priv_fail(ENOMEM, "no memory for %u rules", n);
	for (unsigned i = 0; !err && i < n; i++) {
		const void *from = (const char *)rules + i * stride;

		err = sxsk_priv_options(&copy[i], sizeof(*copy), from, "sxsk_rule");
		if (!err && copy[i].sz != stride)
			err = sxsk_priv_fail(EINVAL, "rule %u: sz is %zu, and of rule 0 it is %zu",
					     i, copy[i].sz, stride);
		if (!err)
			err = check_rule(&copy[i], i);
	}
	if (err)
		free(copy);
	else
		*ret_rules = copy;
	return err;
}

/* ---- reading a packet ----------------------------------------------------------------------------- */

static void load_slot(struct sxsk_priv_code *c, uint8_t reg, unsigned slot)
{
	sxsk_priv_code_emit(c, insn_load(BPF_W, reg, BPF_REG_10, SLOT(slot)));
}

static void store_slot(struct sxsk_priv_code *c, unsigned slot, uint8_t reg)
{
	sxsk_priv_code_emit(c, insn_store(BPF_W, BPF_REG_10, SLOT(slot), reg));
}

static void set_slots(struct sxsk_priv_code *c, unsigned first, unsigned n, int32_t value)
{
	for (unsigned i = first; i < first + n; i++)
		sxsk_priv_code_emit(c, insn_store_value(BPF_W, BPF_REG_10, SLOT(i), value));
}

/* reg = the n-byte number at r1 + off, of 1 or 2 bytes */
static void load_number(struct sxsk_priv_code *c, uint8_t reg, int16_t off, unsigned n)
{
	sxsk_priv_code_emit(c, insn_load(n == 1 ? BPF_B : BPF_H, reg, BPF_REG_1, off));
	if (n == 2)
		sxsk_priv_code_emit(c, insn_from_wire(reg, 16));
}

static void copy_number(struct sxsk_priv_code *c, unsigned slot, int16_t off, unsigned n)
{
	load_number(c, BPF_REG_2, off, n);
	store_slot(c, slot, BPF_REG_2);
}

/* n words at r1 + off, as they are */
static void copy_words(struct sxsk_priv_code *c, unsigned slot, int16_t off, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		sxsk_priv_code_emit(c, insn_load(BPF_W, BPF_REG_2, BPF_REG_1,
						 (int16_t)(off + (int)(4 * i))));
		store_slot(c, slot + i, BPF_REG_2);
	}
}

static void advance(struct sxsk_priv_code *c, int32_t n)
{
	sxsk_priv_code_emit(c, insn_op_value(BPF_ADD, BPF_REG_9, n));
}

/* Go on where the type so far is a tag's. */
static void expect_tag(struct sxsk_priv_code *c, uint32_t done)
{
	const uint32_t tag = sxsk_priv_code_label(c);

	load_slot(c, BPF_REG_2, AT_TYPE);
	sxsk_priv_code_jump(c, BPF_JEQ, BPF_REG_2, TYPE_VLAN, tag);
	sxsk_priv_code_jump(c, BPF_JNE, BPF_REG_2, TYPE_SVLAN, done);
	sxsk_priv_code_place(c, tag);
}

static void read_tags(struct sxsk_priv_code *c, uint32_t rules)
{
	const uint32_t untagged = sxsk_priv_code_label(c);

	for (unsigned slot = AT_VLAN; slot <= AT_INNER; slot++) {
		expect_tag(c, untagged);
		sxsk_priv_code_fetch(c, 4, rules);
		load_number(c, BPF_REG_2, 0, 2);
		sxsk_priv_code_emit(c, insn_op32_value(BPF_AND, BPF_REG_2, 0xfff));
		store_slot(c, slot, BPF_REG_2);
		copy_number(c, AT_TYPE, 2, 2);
		advance(c, 4);
	}
	sxsk_priv_code_place(c, untagged);
}

/* The header's first byte in r2: the version, or no IP. */
static void check_version(struct sxsk_priv_code *c, int32_t version, uint32_t rules)
{
	load_number(c, BPF_REG_2, 0, 1);
	sxsk_priv_code_emit(c, insn_op(BPF_MOV, BPF_REG_3, BPF_REG_2));
	sxsk_priv_code_emit(c, insn_op32_value(BPF_RSH, BPF_REG_3, 4));
	sxsk_priv_code_jump(c, BPF_JNE, BPF_REG_3, version, rules);
}

static void read_ipv4(struct sxsk_priv_code *c, uint32_t needs, uint32_t ports, uint32_t rules)
{
	sxsk_priv_code_fetch(c, 20, rules);
	check_version(c, 4, rules);
	sxsk_priv_code_emit(c, insn_op32_value(BPF_AND, BPF_REG_2, 15));
	sxsk_priv_code_jump(c, BPF_JLT, BPF_REG_2, 5, rules);
	sxsk_priv_code_emit(c, insn_op32_value(BPF_LSH, BPF_REG_2, 2));
	sxsk_priv_code_emit(c, insn_op(BPF_ADD, BPF_REG_9, BPF_REG_2)); /* options included */
	set_slots(c, AT_VERSION, 1, 4);
	if (needs & MATCH_ADDRESSES) {
		copy_words(c, AT_SRC, 12, 1);
		copy_words(c, AT_DST, 16, 1);
	}
	copy_number(c, AT_PROTO, 9, 1);
	load_number(c, BPF_REG_2, 6, 2);
	sxsk_priv_code_emit(c, insn_op32_value(BPF_AND, BPF_REG_2, 0x1fff));
	sxsk_priv_code_jump(c, BPF_JNE, BPF_REG_2, 0, rules); /* not the first fragment */
	sxsk_priv_code_goto(c, ports);
}

/* An extension header at r9, if the protocol so far is one; r3 becomes its length. */
static void read_extension(struct sxsk_priv_code *c, uint32_t ports, uint32_t rules)
{
	const uint32_t plain = sxsk_priv_code_label(c), fragment = sxsk_priv_code_label(c);
	const uint32_t ext = sxsk_priv_code_label(c), next = sxsk_priv_code_label(c);

	load_slot(c, BPF_REG_2, AT_PROTO);
	sxsk_priv_code_jump(c, BPF_JEQ, BPF_REG_2, EXT_HOP, ext);
	sxsk_priv_code_jump(c, BPF_JEQ, BPF_REG_2, EXT_ROUTING, ext);
	sxsk_priv_code_jump(c, BPF_JEQ, BPF_REG_2, EXT_DST, ext);
	sxsk_priv_code_jump(c, BPF_JEQ, BPF_REG_2, EXT_FRAGMENT, ext);
	sxsk_priv_code_jump(c, BPF_JNE, BPF_REG_2, EXT_AUTH, ports);
	sxsk_priv_code_place(c, ext);
	sxsk_priv_code_fetch(c, 8, rules);
	load_slot(c, BPF_REG_4, AT_PROTO);
	copy_number(c, AT_PROTO, 0, 1);
	load_number(c, BPF_REG_3, 1, 1);
	sxsk_priv_code_jump(c, BPF_JEQ, BPF_REG_4, EXT_FRAGMENT, fragment);
	sxsk_priv_code_jump(c, BPF_JNE, BPF_REG_4, EXT_AUTH, plain);
	sxsk_priv_code_emit(c,
			    insn_op32_value(BPF_ADD, BPF_REG_3, 2)); /* counts in 4 bytes, less 2 */
	sxsk_priv_code_emit(c, insn_op32_value(BPF_LSH, BPF_REG_3, 2));
	sxsk_priv_code_goto(c, next);
	sxsk_priv_code_place(c, plain);
	sxsk_priv_code_emit(c, insn_op32_value(BPF_ADD, BPF_REG_3, 1));
	sxsk_priv_code_emit(c, insn_op32_value(BPF_LSH, BPF_REG_3, 3));
	sxsk_priv_code_goto(c, next);
	sxsk_priv_code_place(c, fragment);
	load_number(c, BPF_REG_2, 2, 2);
	sxsk_priv_code_emit(c, insn_op32_value(BPF_AND, BPF_REG_2, 0xfff8));
	sxsk_priv_code_jump(c, BPF_JNE, BPF_REG_2, 0, rules); /* not the first */
	sxsk_priv_code_emit(c, insn_op_value(BPF_MOV, BPF_REG_3, 8));
	sxsk_priv_code_place(c, next);
	sxsk_priv_code_emit(c, insn_op(BPF_ADD, BPF_REG_9, BPF_REG_3));
}

static void read_ipv6(struct sxsk_priv_code *c, uint32_t needs, uint32_t ports, uint32_t rules)
{
	sxsk_priv_code_fetch(c, 40, rules);
	check_version(c, 6, rules);
	set_slots(c, AT_VERSION, 1, 6);
	if (needs & MATCH_ADDRESSES) {
		copy_words(c, AT_SRC, 8, 4);
		copy_words(c, AT_DST, 24, 4);
	}
	copy_number(c, AT_PROTO, 6, 1);
	advance(c, 40);
	for (unsigned i = 0; i < IPV6_EXTENSIONS; i++)
		read_extension(c, ports, rules);
}

static void read_ports(struct sxsk_priv_code *c, uint32_t rules)
{
	const uint32_t have = sxsk_priv_code_label(c);

	load_slot(c, BPF_REG_2, AT_PROTO);
	sxsk_priv_code_jump(c, BPF_JEQ, BPF_REG_2, PROTO_UDP, have);
	sxsk_priv_code_jump(c, BPF_JNE, BPF_REG_2, PROTO_TCP, rules);
	sxsk_priv_code_place(c, have);
	sxsk_priv_code_fetch(c, 4, rules);
	copy_number(c, AT_SPORT, 0, 2);
	copy_number(c, AT_DPORT, 2, 2);
}

static void read_ip(struct sxsk_priv_code *c, uint32_t needs, uint32_t rules)
{
	const uint32_t ipv6 = sxsk_priv_code_label(c), ports = sxsk_priv_code_label(c);

	load_slot(c, BPF_REG_2, AT_TYPE);
	sxsk_priv_code_jump(c, BPF_JEQ, BPF_REG_2, TYPE_IPV6, ipv6);
	sxsk_priv_code_jump(c, BPF_JNE, BPF_REG_2, TYPE_IPV4, rules);
	read_ipv4(c, needs, ports, rules);
	sxsk_priv_code_place(c, ipv6);
	read_ipv6(c, needs, ports, rules);
	sxsk_priv_code_place(c, ports);
	if (needs & MATCH_PORTS)
		read_ports(c, rules);
}

/* As far as the rules need it; then, or where the packet ends earlier, go on at `rules`. */
static void read_packet(struct sxsk_priv_code *c, uint32_t needs, uint32_t rules)
{
	set_slots(c, AT_TYPE, 1, -1);
	set_slots(c, AT_VLAN, 2, SXSK_NO_VLAN);
	if (needs & MATCH_IP)
		set_slots(c, AT_VERSION, 4, -1);
	if (needs & MATCH_ADDRESSES)
		set_slots(c, AT_SRC, 8, -1);
	if (needs & MATCH_MACS)
		set_slots(c, AT_MAC, 3, -1);
	sxsk_priv_code_emit(c, insn_op_value(BPF_MOV, BPF_REG_9, 0));
	sxsk_priv_code_fetch(c, 14, rules);
	copy_number(c, AT_TYPE, 12, 2);
	if (needs & MATCH_MACS)
		copy_words(c, AT_MAC, 0, 3);
	advance(c, 14);
	read_tags(c, rules);
	if (needs & MATCH_IP)
		read_ip(c, needs, rules);
}

/* ---- rules ---------------------------------------------------------------------------------------- */

static void compare(struct sxsk_priv_code *c, unsigned slot, uint32_t value, uint32_t mask,
		    uint32_t differs)
{
	load_slot(c, BPF_REG_1, slot);
	if (mask != UINT32_MAX)
		sxsk_priv_code_emit(c, insn_op32_value(BPF_AND, BPF_REG_1, (int32_t)mask));
	sxsk_priv_code_jump(c, BPF_JNE, BPF_REG_1, (int32_t)(value & mask), differs);
}

/* Bits [from, to) of the bytes on the wire, from slots that hold them as words. */
static void compare_bits(struct sxsk_priv_code *c, unsigned slot, const unsigned char *bytes,
			 unsigned from, unsigned to, uint32_t differs)
{
	for (unsigned w = from / 32; w * 32 < to; w++) {
		unsigned char mask[4] = { 0 }, wanted[4] = { 0 };
		uint32_t m, v;

		for (unsigned bit = w * 32; bit < w * 32 + 32; bit++)
			if (bit >= from && bit < to) {
				mask[bit / 8 % 4] |= (unsigned char)(0x80 >> bit % 8);
				wanted[bit / 8 % 4] = bytes[(bit - from) / 8];
			}
		memcpy(&m, mask, 4);
		memcpy(&v, wanted, 4);
		compare(c, slot + w, v, m, differs);
	}
}

static void generate_rule(struct sxsk_priv_code *c, const struct sxsk_rule *r, uint32_t redirect,
			  uint32_t pass)
{
	const uint32_t differs = sxsk_priv_code_label(c);

	if (r->match & SXSK_MATCH_DST_PORT)
		compare(c, AT_DPORT, r->dst_port, UINT32_MAX, differs);
	if (r->match & SXSK_MATCH_SRC_PORT)
		compare(c, AT_SPORT, r->src_port, UINT32_MAX, differs);
	if (r->match & SXSK_MATCH_IP_PROTO)
		compare(c, AT_PROTO, r->ip_proto, UINT32_MAX, differs);
	if (r->match & SXSK_MATCH_ETHERTYPE)
		compare(c, AT_TYPE, r->ethertype, UINT32_MAX, differs);
	if (r->match & SXSK_MATCH_VLAN)
		compare(c, AT_VLAN, r->vlan, UINT32_MAX, differs);
	if (r->match & SXSK_MATCH_INNER_VLAN)
		compare(c, AT_INNER, r->inner_vlan, UINT32_MAX, differs);
	if (r->match & MATCH_ADDRESSES)
		compare(c, AT_VERSION, r->ip_version, UINT32_MAX, differs);
	if (r->match & SXSK_MATCH_SRC_IP)
		compare_bits(c, AT_SRC, r->src_ip, 0, r->src_bits, differs);
	if (r->match & SXSK_MATCH_DST_IP)
		compare_bits(c, AT_DST, r->dst_ip, 0, r->dst_bits, differs);
	if (r->match & SXSK_MATCH_DST_MAC)
		compare_bits(c, AT_MAC, r->dst_mac, 0, 48, differs);
	if (r->match & SXSK_MATCH_SRC_MAC)
		compare_bits(c, AT_MAC, r->src_mac, 48, 96, differs);
	if (r->target == SXSK_TARGET_STACK) {
		sxsk_priv_code_goto(c, pass);
	} else {
		sxsk_priv_code_emit(c, insn_op_value(BPF_MOV, BPF_REG_9,
						     (int32_t)(r->target * TARGET_QUEUES)));
		sxsk_priv_code_goto(c, redirect);
	}
	sxsk_priv_code_place(c, differs);
}

/* Rules behind one that every packet matches would be instructions that nothing reaches, which the
 * verifier refuses. */
int sxsk_priv_rules_generate(struct sxsk_priv_code *c, int map_fd, const void *what, unsigned n)
{
	const struct sxsk_rule *rules = what;
	const uint32_t begin = sxsk_priv_code_label(c), redirect = sxsk_priv_code_label(c);
	const uint32_t pass = sxsk_priv_code_label(c);
	bool redirects = false, decided = false;
	uint32_t needs = 0;
	unsigned used = 0;

	while (used < n && !decided) {
		needs |= rules[used].match;
		redirects |= rules[used].target != SXSK_TARGET_STACK;
		decided = rules[used++].match == 0;
	}
	sxsk_priv_code_emit(c, insn_op(BPF_MOV, BPF_REG_6, BPF_REG_1));
	if (needs)
		read_packet(c, needs, begin);
	sxsk_priv_code_place(c, begin);
	for (unsigned i = 0; i < used; i++)
		generate_rule(c, &rules[i], redirect, pass);
	if (!decided)
		sxsk_priv_code_goto(c, pass);
	sxsk_priv_code_place(c, redirect);
	if (redirects)
		sxsk_priv_code_redirect(c, map_fd, pass);
	sxsk_priv_code_place(c, pass);
	sxsk_priv_code_return(c, XDP_PASS);
	return sxsk_priv_code_finish(c);
}
