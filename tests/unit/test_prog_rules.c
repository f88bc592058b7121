/* SPDX-License-Identifier: BSD-2-Clause */
/* Steering rules as the kernel runs them, against a model of them; and rules that are refused. */
#include "packets.h"

#include <stdlib.h>

TestSuite(prog_rules, .timeout = 120);

/* ---- the model ------------------------------------------------------------------------------------ */

/* A packet as its sender means it; -1 = there is no such thing. */
struct seen {
	int type, vlan, inner, version, proto, sport, dport;
	const unsigned char *mac, *src, *dst;
};

static int number_at(const struct packet *p, uint32_t at, unsigned bytes)
{
	int value = 0;

	if (at + bytes > p->n)
		return -1;
	while (bytes-- > 0)
		value = value << 8 | p->bytes[at++];
	return value;
}

static void see_ports(struct seen *s, const struct packet *p, uint32_t at)
{
	if ((s->proto == 17 || s->proto == 6) && at + 4 <= p->n) {
		s->sport = number_at(p, at, 2);
		s->dport = number_at(p, at + 2, 2);
	}
}

static void see_ipv4(struct seen *s, const struct packet *p, uint32_t at)
{
	const int first = number_at(p, at, 1);

	if (at + 20 > p->n || first >> 4 != 4 || (first & 15) < 5)
		return;
	s->version = 4;
	s->proto = p->bytes[at + 9];
	s->src = p->bytes + at + 12;
	s->dst = p->bytes + at + 16;
	if (number_at(p, at + 6, 2) % 0x2000 == 0)
		see_ports(s, p, at + 4 * ((uint32_t)first & 15));
}

static void see_ipv6(struct seen *s, const struct packet *p, uint32_t at)
{
	if (at + 40 > p->n || p->bytes[at] >> 4 != 6)
		return;
	s->version = 6;
	s->proto = p->bytes[at + 6];
	s->src = p->bytes + at + 8;
	s->dst = p->bytes + at + 24;
	at += 40;
	for (int passed = 0; passed < 6; passed++) {
		const int kind = s->proto;
		uint32_t length;

		if (kind != 0 && kind != 43 && kind != 44 && kind != 51 && kind != 60)
			break;
		if (at + 8 > p->n)
			return;
		s->proto = p->bytes[at];
		if (kind == 44 && number_at(p, at + 2, 2) >= 8)
			return;
		length = kind == 44 ? 8 :
			 kind == 51 ? 4u * p->bytes[at + 1] + 8 :
				      8u * p->bytes[at + 1] + 8;
		at += length;
	}
	see_ports(s, p, at);
}

static struct seen see(const struct packet *p)
{
	struct seen s = { -1, -1, -1, -1, -1, -1, -1, p->bytes, NULL, NULL };
	uint32_t at = 12;
	int *tag[] = { &s.vlan, &s.inner };

	s.type = number_at(p, at, 2);
	for (int i = 0; i < 2 && (s.type == 0x8100 || s.type == 0x88a8); i++) {
		if (at + 6 > p->n)
			return s;
		*tag[i] = number_at(p, at + 2, 2) % 4096;
		s.type = number_at(p, at + 4, 2);
		at += 4;
	}
	if (s.type == 0x0800)
		see_ipv4(&s, p, at + 2);
	if (s.type == 0x86dd)
		see_ipv6(&s, p, at + 2);
	return s;
}

static bool same_bits(const unsigned char *a, const unsigned char *b, unsigned bits)
{
	for (unsigned i = 0; i < bits; i++)
		if ((a[i / 8] ^ b[i / 8]) >> (7 - i % 8) & 1)
			return false;
	return true;
}

static bool same_tag(uint16_t wanted, int seen)
{
	return wanted == SXSK_NO_VLAN ? seen == -1 : wanted == seen;
}

static bool matches(const struct sxsk_rule *r, const struct seen *s)
{
	const uint32_t m = r->match;

	return !((m & SXSK_MATCH_ETHERTYPE && r->ethertype != s->type) ||
		 (m & SXSK_MATCH_VLAN && !same_tag(r->vlan, s->vlan)) ||
		 (m & SXSK_MATCH_INNER_VLAN && !same_tag(r->inner_vlan, s->inner)) ||
		 (m & SXSK_MATCH_IP_PROTO && r->ip_proto != s->proto) ||
		 (m & SXSK_MATCH_SRC_PORT && r->src_port != s->sport) ||
		 (m & SXSK_MATCH_DST_PORT && r->dst_port != s->dport) ||
		 (m & (SXSK_MATCH_SRC_IP | SXSK_MATCH_DST_IP) && r->ip_version != s->version) ||
		 (m & SXSK_MATCH_SRC_IP && !same_bits(r->src_ip, s->src, r->src_bits)) ||
		 (m & SXSK_MATCH_DST_IP && !same_bits(r->dst_ip, s->dst, r->dst_bits)) ||
		 (m & SXSK_MATCH_DST_MAC && memcmp(r->dst_mac, s->mac, 6) != 0) ||
		 (m & SXSK_MATCH_SRC_MAC && memcmp(r->src_mac, s->mac + 6, 6) != 0));
}

static int model(const struct sxsk_rule rules[], unsigned n, const struct packet *p)
{
	const struct seen s = see(p);

	for (unsigned i = 0; i < n; i++)
		if (matches(&rules[i], &s))
			return rules[i].target == SXSK_TARGET_STACK ? PASSED : (int)rules[i].target;
	return PASSED;
}

/* ---- random rules --------------------------------------------------------------------------------- */

static void random_address(uint64_t *rnd, uint8_t *to, uint8_t *bits, unsigned bytes)
{
	*bits = (uint8_t)random_below(rnd, 8 * bytes + 1);
	memset(to, random_below(rnd, 4) ? 0x0a : 0xc0, bytes);
	to[bytes - 1] = (uint8_t)random_below(rnd, 4);
}

static void random_mac(uint64_t *rnd, uint8_t *to)
{
	memset(to, 0, 6);
	to[0] = 2;
	to[5] = (uint8_t)random_below(rnd, 3);
}

static uint16_t random_tag(uint64_t *rnd)
{
	return random_below(rnd, 4) ? ONE_OF(rnd, some_vlans) : SXSK_NO_VLAN;
}

/* One that is allowed; `most` conditions. */
static struct sxsk_rule random_rule(uint64_t *rnd, unsigned most)
{
	struct sxsk_rule r = { .sz = sizeof(r) }, *copy;
	const unsigned bytes = random_below(rnd, 2) ? 4 : 16;

	for (unsigned i = random_below(rnd, most) + 1; i > 0; i--)
		r.match |= 1u << random_below(rnd, 10);
	r.target = random_below(rnd, 4) ? random_below(rnd, SXSK_MAX_TARGETS) : SXSK_TARGET_STACK;
	if (r.match & SXSK_MATCH_ETHERTYPE)
		r.ethertype = random_below(rnd, 9) ? ONE_OF(rnd, some_types) : 0x8100;
	if (r.match & SXSK_MATCH_VLAN)
		r.vlan = random_tag(rnd);
	if (r.match & SXSK_MATCH_INNER_VLAN)
		r.inner_vlan = random_tag(rnd);
	if (r.match & SXSK_MATCH_IP_PROTO)
		r.ip_proto = random_below(rnd, 9) ? ONE_OF(rnd, some_protos) : 44;
	if (r.match & SXSK_MATCH_SRC_PORT)
		r.src_port = ONE_OF(rnd, some_ports);
	if (r.match & SXSK_MATCH_DST_PORT)
		r.dst_port = ONE_OF(rnd, some_ports);
	if (r.match & (SXSK_MATCH_SRC_IP | SXSK_MATCH_DST_IP))
		r.ip_version = bytes == 4 ? 4 : 6;
	if (r.match & SXSK_MATCH_SRC_IP)
		random_address(rnd, r.src_ip, &r.src_bits, bytes);
	if (r.match & SXSK_MATCH_DST_IP)
		random_address(rnd, r.dst_ip, &r.dst_bits, bytes);
	if (r.match & SXSK_MATCH_SRC_MAC)
		random_mac(rnd, r.src_mac);
	if (r.match & SXSK_MATCH_DST_MAC)
		random_mac(rnd, r.dst_mac);
	if (sxsk_priv_rules_check(&r, 1, &copy) != 0)
		return random_rule(rnd, most);
	free(copy);
	return r;
}

static int load_rules(int map, const struct sxsk_rule rules[], unsigned n, bool frags)
{
	struct sxsk_priv_code c;

	cr_assert_eq(sxsk_priv_code_init(&c, frags), 0);
	cr_assert_eq(sxsk_priv_rules_generate(&c, map, rules, n), 0, "%s", sxsk_last_error());
	return load_code(&c);
}

static void compare(int fd, const struct sxsk_rule rules[], unsigned n, const struct packet *p,
		    unsigned seed)
{
	const int expected = model(rules, n, p), got = run_on(fd, p->bytes, p->n);

	if (expected == got)
		return;
	for (uint32_t i = 0; i < p->n && i < 200; i++)
		fprintf(stderr, "%02x%s", p->bytes[i], i % 16 == 15 ? "\n" : " ");
	cr_assert(false, "seed %u, %u rules, %u bytes: %d instead of %d", seed, n, p->n, got,
		  expected);
}

/* What must have come by, for the comparison to mean anything. */
struct met {
	unsigned steered, passed, tagged, ipv6_ports, beyond;
};

static void compare_random(unsigned seed, unsigned n, unsigned most, unsigned packets, bool frags,
			   struct met *met)
{
	uint64_t rnd = seed;
	struct sxsk_rule rules[SXSK_MAX_RULES];
	struct packet p;
	const int map = make_xskmap();
	int fd;

	for (unsigned i = 0; i < n; i++)
		rules[i] = random_rule(&rnd, most);
	fd = load_rules(map, rules, n, frags);
	for (unsigned i = 0; i < packets; i++) {
		struct seen s;

		random_packet(&p, &rnd);
		if (!frags && p.n > 3000)
			p.n = 3000; /* a packet in parts is only for a program that can read them */
		s = see(&p);
		compare(fd, rules, n, &p, seed);
		met->steered += model(rules, n, &p) != PASSED;
		met->passed += model(rules, n, &p) == PASSED;
		met->tagged += s.inner >= 0 && s.dport >= 0;
		met->ipv6_ports += s.version == 6 && s.dport >= 0;
		met->beyond += s.dport >= 0 && p.n > 4200;
	}
	close(fd);
	close(map);
}

Test(prog_rules, random_packets_go_where_the_rules_say)
{
	struct met met = { 0 };

	for (unsigned seed = 1; seed <= 300; seed++)
		compare_random(seed, 1 + seed % 12, 1 + seed % 3, 100, true, &met);
	cr_expect_gt(met.steered, 3000, "%u", met.steered);
	cr_expect_gt(met.passed, 3000, "%u", met.passed);
	cr_expect_gt(met.tagged, 300, "%u", met.tagged);
	cr_expect_gt(met.ipv6_ports, 1000, "%u", met.ipv6_ports);
	cr_expect_gt(met.beyond, 3, "headers past the first page: %u", met.beyond);
}

Test(prog_rules, as_many_as_a_program_can_have)
{
	struct met met = { 0 };

	for (unsigned seed = 1; seed <= 3; seed++)
		compare_random(seed, SXSK_MAX_RULES, 10, 100, true, &met);
	cr_expect_gt(met.steered, 30, "%u", met.steered);
}

/* As on a kernel without programs for packets in parts. */
Test(prog_rules, without_the_helper_for_packets_in_parts)
{
	struct met met = { 0 };

	for (unsigned seed = 1; seed <= 30; seed++)
		compare_random(seed, 4, 2, 100, false, &met);
	cr_expect_gt(met.steered, 300, "%u", met.steered);
}

/* Prefixes of each length, at the bit that decides. */
Test(prog_rules, prefixes_to_the_bit)
{
	const int map = make_xskmap();
	struct packet p;
	uint64_t rnd = 1;

	for (unsigned bits = 1; bits <= 128; bits++) {
		struct sxsk_rule r = { .sz = sizeof(r),
				       .match = SXSK_MATCH_DST_IP,
				       .ip_version = 6 };
		int fd;

		do
			random_packet(&p, &rnd);
		while (see(&p).version != 6);
		memcpy(r.dst_ip, see(&p).dst, 16);
		r.dst_bits = (uint8_t)bits;
		fd = load_rules(map, &r, 1, true);
		cr_expect_eq(run_on(fd, p.bytes, p.n), 0, "%u bits", bits);
		p.bytes[see(&p).dst - p.bytes + (bits - 1) / 8] ^=
			(unsigned char)(0x80 >> (bits - 1) % 8);
		cr_expect_eq(run_on(fd, p.bytes, p.n), PASSED, "%u bits", bits);
		close(fd);
	}
	close(map);
}

Test(prog_rules, the_first_rule_decides_and_all_that_follow_one_for_everything_are_void)
{
	struct sxsk_rule rules[] = {
		{ .match = SXSK_MATCH_ETHERTYPE, .ethertype = 0x88b5, .target = SXSK_TARGET_STACK },
		{ .match = SXSK_MATCH_ETHERTYPE, .ethertype = 0x88b5, .target = 1 },
		{ .match = 0, .target = 3 },
		{ .match = SXSK_MATCH_ETHERTYPE, .ethertype = 0x0806, .target = 4 },
	};
	unsigned char p[64] = { [12] = 0x88, [13] = 0xb5 };
	const int map = make_xskmap(), none = load_rules(map, NULL, 0, true);
	const int fd = load_rules(map, rules, 4, true), all = load_rules(map, rules + 2, 1, true);

	cr_expect_eq(run_on(fd, p, 64), PASSED);
	cr_expect_eq(run_on(none, p, 64), PASSED);
	cr_expect_eq(run_on(all, p, 14), 3);
	p[12] = 8;
	p[13] = 6;
	cr_expect_eq(run_on(fd, p, 64), 3);
	close(none);
	close(all);
	close(fd);
	close(map);
}

/* ---- refused, before any system call -------------------------------------------------------------- */

static void refused_as(struct sxsk_rule r, int err, const char *sentence)
{
	struct sxsk_rule *copy;

	r.sz = r.sz ? r.sz : sizeof(r);
	cr_expect_eq(sxsk_priv_rules_check(&r, 1, &copy), err, "%s", sentence);
	cr_expect(strstr(sxsk_last_error(), sentence), "\"%s\" lacks \"%s\"", sxsk_last_error(),
		  sentence);
}

#define RULE(...) ((struct sxsk_rule){ __VA_ARGS__ })

Test(prog_rules, what_is_wrong_is_refused)
{
	struct sxsk_rule *copy, two[2] = { { .sz = sizeof(two[0]) }, { .sz = 8 } };

	refused_as(RULE(.sz = 4), -EINVAL, "sxsk_rule.sz is 4");
	refused_as(RULE(.match = 1u << 10), -EINVAL, "0x400 is not known");
	refused_as(RULE(.target = SXSK_MAX_TARGETS), -EINVAL, "target is 16");
	refused_as(RULE(.dst_port = 80), -EINVAL, "dst_port is set");
	refused_as(RULE(.match = SXSK_MATCH_DST_PORT, .src_port = 80), -EINVAL, "src_port is set");
	refused_as(RULE(.ip_version = 4), -EINVAL, "ip_version is set");
	refused_as(RULE(.reserved = { 1 }), -EINVAL, "reserved is set");
	refused_as(RULE(.match = SXSK_MATCH_VLAN, .vlan = 4095), -EINVAL, "vlan is 4095");
	refused_as(RULE(.match = SXSK_MATCH_INNER_VLAN, .inner_vlan = 4096), -EINVAL,
		   "inner_vlan is 4096");
	refused_as(RULE(.match = SXSK_MATCH_SRC_IP, .src_bits = 8), -EINVAL, "ip_version is 0");
	refused_as(RULE(.match = SXSK_MATCH_SRC_IP, .ip_version = 4, .src_bits = 33), -EINVAL,
		   "33 bits");
	refused_as(RULE(.match = SXSK_MATCH_DST_IP, .ip_version = 6, .dst_bits = 129), -EINVAL,
		   "129 bits");
	refused_as(RULE(.match = SXSK_MATCH_DST_PORT | SXSK_MATCH_IP_PROTO, .ip_proto = 1), -EINVAL,
		   "ip_proto is 1");
	refused_as(RULE(.match = SXSK_MATCH_ETHERTYPE | SXSK_MATCH_IP_PROTO, .ethertype = 0x0806),
		   -EINVAL, "ethertype is 0x0806");
	refused_as(RULE(.match = SXSK_MATCH_ETHERTYPE | SXSK_MATCH_SRC_IP, .ethertype = 0x0800,
			.ip_version = 6),
		   -EINVAL, "ip_version is 6");
	refused_as(RULE(.match = SXSK_MATCH_VLAN | SXSK_MATCH_INNER_VLAN, .vlan = SXSK_NO_VLAN,
			.inner_vlan = 3),
		   -EINVAL, "second VLAN tag");
	cr_expect_eq(sxsk_priv_rules_check(two, 2, &copy), -EINVAL);
	cr_expect(strstr(sxsk_last_error(), "rule 1: sz is 8"), "%s", sxsk_last_error());
	cr_expect_eq(sxsk_priv_rules_check(NULL, 1, &copy), -EINVAL);
	cr_expect_eq(sxsk_priv_rules_check(two, SXSK_MAX_RULES + 1, &copy), -E2BIG);
}

/* Of a caller that was compiled with more fields than this library knows, or fewer. */
Test(prog_rules, of_another_version)
{
	struct {
		struct sxsk_rule rule;
		uint32_t later, later_too;
	} newer[2] = { { .rule = { .sz = sizeof(newer[0]), .target = 3 } },
		       { .rule = { .sz = sizeof(newer[0]), .target = 5 } } };
	struct sxsk_rule *copy;

	cr_assert_eq(sxsk_priv_rules_check(&newer[0].rule, 2, &copy), 0, "%s", sxsk_last_error());
	cr_expect_eq(copy[0].target, 3);
	cr_expect_eq(copy[1].target, 5);
	free(copy);
	newer[1].later = 1;
	cr_expect_eq(sxsk_priv_rules_check(&newer[0].rule, 2, &copy), -EINVAL);
	cr_expect(strstr(sxsk_last_error(), "does not know"), "%s", sxsk_last_error());
}
