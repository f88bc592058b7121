/* SPDX-License-Identifier: BSD-2-Clause */
/* Filters in classic BPF as the kernel runs them, against libpcap's interpreter. */
#include "expressions.h"
#include "packets.h"
#include "refusal.h"
#include "udp.h"

TestSuite(prog_filter, .timeout = 120);

static int load_filter(int map, const struct sock_filter filter[], unsigned n, bool frags)
{
	struct sxsk_priv_code c;

	cr_assert_eq(sxsk_priv_filter_check(filter, n), 0, "%s", sxsk_last_error());
	cr_assert_eq(sxsk_priv_code_init(&c, frags), 0);
	cr_assert_eq(sxsk_priv_filter_generate(&c, map, filter, n), 0, "%s", sxsk_last_error());
	return load_code(&c);
}

/* Returns how many of the packets matched. */
static unsigned compare(const char *what, int fd, const struct sock_filter filter[], uint64_t *rnd,
			unsigned packets, uint32_t longest)
{
	unsigned matched = 0;
	struct packet p;

	for (unsigned i = 0; i < packets; i++) {
		bool expected;

		random_packet(&p, rnd);
		p.n = p.n < longest ? p.n : longest;
		expected = expression_matches(filter, p.bytes, p.n);
		cr_assert_eq(run_on(fd, p.bytes, p.n), expected ? 0 : PASSED,
			     "%s: packet %u, %u bytes", what, i, p.n);
		matched += expected;
	}
	return matched;
}

static const char *const expressions[] = {
	"ip",
	"ip6",
	"arp",
	"not ip and not ip6",
	"tcp",
	"udp",
	"udp port 4242",
	"udp dst port 4242",
	"tcp src port 80 or udp src port 80",
	"portrange 20-100",
	"icmp or icmp6",
	"host 10.10.10.1",
	"net 10.0.0.0/8",
	"src net 10.10.0.0/16 and not dst net 192.0.0.0/8",
	"ip6 host 0a0a:0a0a:0a0a:0a0a:0a0a:0a0a:0a0a:0a01",
	"ip6 net 0a0a::/16",
	"ether src 02:00:00:00:00:01",
	"ether dst 02:00:00:00:00:02 and tcp",
	"ether proto 0x88b5",
	"vlan",
	"vlan 7",
	"vlan 7 and udp",
	"vlan and vlan and ip",
	"not vlan and port 22",
	"tcp[tcpflags] & (tcp-syn|tcp-fin) != 0",
	"ip[6:2] & 0x1fff != 0",
	"ip[0] & 0xf > 5 and udp",
	"len > 200",
	"less 100 and ip",
	"ether[20:4] % 7 = 3",
	"ip[2:2] / 3 < ip[8] / 2 - 1",
	"udp[8:2] << 3 = 0x1000 or ether[len - 1] > 100",
	"(tcp or udp) and (port 22 or port 80) and not (host 10.10.10.2 or host 10.10.10.3)",
	"ip proto 58 or ip6 proto 17",
	"not ether multicast and not broadcast and ip",
	"ether[4000] > 100",
};

#define EXPRESSIONS (sizeof(expressions) / sizeof(expressions[0]))
_Static_assert(EXPRESSIONS >= 30, "");

Test(prog_filter, expressions_mean_what_libpcap_says)
{
	static struct sock_filter filter[BPF_MAXINSNS];
	const int map = make_xskmap();
	unsigned met = 0;

	for (unsigned e = 0; e < EXPRESSIONS; e++) {
		const unsigned n = expression_compile(expressions[e], filter);
		uint64_t rnd = e + 1;
		unsigned matched;
		int fd;

		cr_assert_gt(n, 0, "%s", expressions[e]);
		fd = load_filter(map, filter, n, true);
		matched = compare(expressions[e], fd, filter, &rnd, 500, RUN_MAX);
		met += matched > 0 && matched < 500;
		close(fd);
	}
	cr_expect_geq(met, 30, "expressions that some packets match, and some do not: %u", met);
	close(map);
}

Test(prog_filter, without_the_helpers_for_packets_in_parts)
{
	static struct sock_filter filter[BPF_MAXINSNS];
	const int map = make_xskmap();
	unsigned met = 0;

	for (unsigned e = 0; e < EXPRESSIONS; e++) {
		const unsigned n = expression_compile(expressions[e], filter);
		const int fd = load_filter(map, filter, n, false);
		uint64_t rnd = e + 1;

		met += compare(expressions[e], fd, filter, &rnd, 100, 3000) > 0;
		close(fd);
	}
	cr_expect_gt(met, 20);
	close(map);
}

/* ---- random filters ------------------------------------------------------------------------------- */

static struct sock_filter random_load(uint64_t *rnd)
{
	static const uint16_t codes[] = {
		BPF_LD | BPF_W | BPF_ABS,  BPF_LD | BPF_H | BPF_ABS, BPF_LD | BPF_B | BPF_ABS,
		BPF_LD | BPF_W | BPF_IND,  BPF_LD | BPF_H | BPF_IND, BPF_LD | BPF_B | BPF_IND,
		BPF_LDX | BPF_B | BPF_MSH,
	};
	const uint16_t code = ONE_OF(rnd, codes);

	return (struct sock_filter)BPF_STMT(code, random_below(rnd, 64));
}

static struct sock_filter random_alu(uint64_t *rnd)
{
	static const uint16_t ops[] = { BPF_ADD, BPF_SUB, BPF_MUL, BPF_DIV, BPF_OR, BPF_AND,
					BPF_LSH, BPF_RSH, BPF_MOD, BPF_XOR, BPF_NEG };
	const uint16_t op = ONE_OF(rnd, ops);
	const uint16_t from = op != BPF_NEG && random_below(rnd, 2) ? BPF_X : BPF_K;
	uint32_t k = random_below(rnd, 2) ? random_number(rnd) * 2 : random_below(rnd, 40);

	if (op == BPF_LSH || op == BPF_RSH)
		k %= 32;
	return (struct sock_filter)BPF_STMT(BPF_ALU | op | from, k ? k : 1);
}

static struct sock_filter random_other(uint64_t *rnd)
{
	static const uint16_t codes[] = {
		BPF_LD | BPF_IMM,
		BPF_LDX | BPF_IMM,
		BPF_LD | BPF_MEM,
		BPF_LDX | BPF_MEM,
		BPF_ST,
		BPF_STX,
		BPF_LD | BPF_W | BPF_LEN,
		BPF_LDX | BPF_W | BPF_LEN,
		BPF_MISC | BPF_TAX,
		BPF_MISC | BPF_TXA,
	};
	const uint16_t code = ONE_OF(rnd, codes);
	const bool word = code != (BPF_LD | BPF_IMM) && code != (BPF_LDX | BPF_IMM);

	return (struct sock_filter)BPF_STMT(code, word ? random_below(rnd, BPF_MEMWORDS) :
						  random_below(rnd, 3) ? random_below(rnd, 50) :
									 random_number(rnd) * 2);
}

static struct sock_filter random_jump(uint64_t *rnd, unsigned left)
{
	static const uint16_t ops[] = { BPF_JA, BPF_JEQ, BPF_JGT, BPF_JGE, BPF_JSET };
	const uint16_t op = ONE_OF(rnd, ops);
	const uint8_t jt = (uint8_t)random_below(rnd, left), jf = (uint8_t)random_below(rnd, left);

	if (op == BPF_JA)
		return (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA, jt);
	return (struct sock_filter)BPF_JUMP(
		BPF_JMP | op | (random_below(rnd, 2) ? BPF_X : BPF_K),
		random_below(rnd, 2) ? random_number(rnd) * 2 : random_below(rnd, 300), jt, jf);
}

/* All memory words are written first: libpcap's are anything before. */
static unsigned random_filter(struct sock_filter f[], uint64_t *rnd)
{
	const unsigned n = BPF_MEMWORDS + 2 + random_below(rnd, 30);
	unsigned i;

	for (i = 0; i < BPF_MEMWORDS; i++)
		f[i] = (struct sock_filter)BPF_STMT(BPF_ST, i);
	for (; i < n; i++) {
		const uint32_t kind = random_below(rnd, 10);

		f[i] = kind < 3 ? random_load(rnd) :
		       kind < 6 ? random_alu(rnd) :
		       kind < 8 ? random_other(rnd) :
		       kind < 9 ? random_jump(rnd, n - i < 6 ? n - i : 6) :
				  (struct sock_filter)BPF_STMT(BPF_RET | BPF_K,
							       random_below(rnd, 3));
		if (kind == 9 && random_below(rnd, 4)) /* too many would end too early */
			f[i] = random_alu(rnd);
	}
	f[n] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_A, 0);
	return n + 1;
}

Test(prog_filter, random_filters_mean_what_libpcap_says)
{
	const int map = make_xskmap();
	unsigned matched = 0;

	for (unsigned seed = 1; seed <= 1000; seed++) {
		struct sock_filter f[64];
		char name[32];
		uint64_t rnd = seed;
		const unsigned n = random_filter(f, &rnd);
		const int fd = load_filter(map, f, n, seed % 8 != 0);

		snprintf(name, sizeof(name), "seed %u", seed);
		matched += compare(name, fd, f, &rnd, 20, seed % 8 ? RUN_MAX : 3000);
		close(fd);
	}
	cr_expect_gt(matched, 3000, "%u", matched);
	cr_expect_lt(matched, 17000, "%u", matched);
	close(map);
}

/* X + k is beyond the packet, though its low 32 bits are in it. */
Test(prog_filter, offsets_do_not_wrap)
{
	const struct sock_filter f[] = {
		BPF_STMT(BPF_LDX | BPF_IMM, UINT32_MAX),
		BPF_STMT(BPF_LD | BPF_B | BPF_IND, 13),
		BPF_STMT(BPF_RET | BPF_K, 1),
	};
	const unsigned char packet[64] = { 0 };
	const int map = make_xskmap(), fd = load_filter(map, f, 3, true);

	cr_expect_not(expression_matches(f, packet, sizeof(packet)));
	cr_expect_eq(run_on(fd, packet, sizeof(packet)), PASSED);
	close(fd);
	close(map);
}

/* ---- refused -------------------------------------------------------------------------------------- */

#define REFUSED(err, sentence, ...)                                                                \
	do {                                                                                       \
		const struct sock_filter refused_filter[] = { __VA_ARGS__ };                       \
		refused_with(sxsk_priv_filter_check(refused_filter,                                \
						    sizeof(refused_filter) /                       \
							    sizeof(refused_filter[0])),            \
			     err, sentence);                                                       \
	} while (0)
#define RETURN BPF_STMT(BPF_RET | BPF_K, 1)

Test(prog_filter, what_cannot_be_translated_is_refused_by_name)
{
	static struct sock_filter loop[BPF_MAXINSNS];
	const struct sock_filter ret = RETURN;
	const unsigned n = expression_compile("ip6 protochain 17", loop);

	cr_assert_gt(n, 0);
	refused_with(sxsk_priv_filter_check(loop, n), -EOPNOTSUPP, "jumps back");
	REFUSED(-EOPNOTSUPP, "loads the VLAN tag present,",
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, (uint32_t)SKF_AD_OFF + SKF_AD_VLAN_TAG_PRESENT),
		RETURN);
	REFUSED(-EOPNOTSUPP, "loads the VLAN protocol,",
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, (uint32_t)SKF_AD_OFF + SKF_AD_VLAN_TPID),
		RETURN);
	REFUSED(-EOPNOTSUPP, "loads the protocol,",
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, (uint32_t)SKF_AD_OFF), RETURN);
	REFUSED(-EOPNOTSUPP, "offset -1048576",
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)SKF_NET_OFF), RETURN);
	REFUSED(-EOPNOTSUPP, "instruction 1 of the filter is 0xff", BPF_STMT(BPF_LD | BPF_IMM, 0),
		BPF_STMT(0xff, 0), RETURN);
	REFUSED(-EOPNOTSUPP, "is 0x19c", BPF_STMT(BPF_ALU | BPF_MOD | 8 | 0x100, 1), RETURN);
	REFUSED(-EOPNOTSUPP, "is 0x85", BPF_STMT(BPF_JMP | BPF_CALL, 1), RETURN);
	REFUSED(-EOPNOTSUPP, "is 0x0e", BPF_STMT(BPF_RET | BPF_X, 1));
	REFUSED(-EINVAL, "memory word 16", BPF_STMT(BPF_ST, 16), RETURN);
	REFUSED(-EINVAL, "divides by zero", BPF_STMT(BPF_ALU | BPF_DIV | BPF_K, 0), RETURN);
	REFUSED(-EINVAL, "divides by zero", BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, 0), RETURN);
	REFUSED(-EINVAL, "shifts by 32 bits", BPF_STMT(BPF_ALU | BPF_LSH | BPF_K, 32), RETURN);
	REFUSED(-EINVAL, "leads past its end", BPF_STMT(BPF_LD | BPF_IMM, 0));
	REFUSED(-EINVAL, "leads past its end", BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1),
		RETURN);
	REFUSED(-EINVAL, "leads past its end", BPF_STMT(BPF_JMP | BPF_JA, INT32_MAX), RETURN);
	refused_with(sxsk_priv_filter_check(&ret, 0), -EINVAL, "empty");
	refused_with(sxsk_priv_filter_check(NULL, 1), -EINVAL, "empty");
	refused_with(sxsk_priv_filter_check(&ret, BPF_MAXINSNS + 1), -E2BIG, "4097 instructions");
}

/* Longer than a jump reaches, once translated: said, not miscompiled. */
Test(prog_filter, too_long_is_refused)
{
	static struct sock_filter f[BPF_MAXINSNS];
	struct sxsk_priv_code c;

	for (unsigned i = 0; i < BPF_MAXINSNS - 1; i++)
		f[i] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, i);
	f[BPF_MAXINSNS - 1] = (struct sock_filter)RETURN;
	cr_assert_eq(sxsk_priv_filter_check(f, BPF_MAXINSNS), 0);
	cr_assert_eq(sxsk_priv_code_init(&c, true), 0);
	refused_with(sxsk_priv_filter_generate(&c, 0, f, BPF_MAXINSNS), -E2BIG,
		     "32768 instructions");
	sxsk_priv_code_free(&c);
}

/* ---- over a cable --------------------------------------------------------------------------------- */

static void filtered(uint32_t attach)
{
	static struct sock_filter filter[BPF_MAXINSNS];
	const unsigned n = expression_compile("udp dst port 4242", filter);
	struct sxsk_pool *pool = new_pool(1024), *far = new_pool(1024);
	struct sxsk_socket_opts opts = { .sz = sizeof(opts), .attach = attach };
	struct sxsk_socket *from = open_socket(far, "v1", 0, steered(attach)), *to;
	const int64_t end = milliseconds() + 20000;
	struct sxsk_buf bufs[64];
	uint32_t next = 0;

	opts.prog = new_prog(NULL, 0);
	to = open_socket(pool, "v0", 0, opts);
	cr_assert_eq(sxsk_prog_filter(opts.prog, filter, n), 0, "%s", sxsk_last_error());
	sxsk_prog_unref(opts.prog);
	for (uint32_t i = 0; i < 200; i++)
		send_udp(from, far, (uint16_t)(4242 + i % 2), i);
	while (next < 200 && milliseconds() < end) {
		const unsigned got = sxsk_rx_burst(to, bufs, 64);

		for (unsigned i = 0; i < got; i++, next += 2)
			cr_assert_eq(udp_number(sxsk_buf_data(bufs[i])), next);
		sxsk_buf_unref_burst(bufs, got);
		cr_assert_eq(sxsk_tx_burst(from, NULL, 0), 0);
	}
	cr_expect_eq(next, 200);
	cr_expect_eq(stats_of(to).rx_packets, 100);
	sxsk_socket_close(from);
	sxsk_socket_close(to);
	cr_expect_eq(program_on("v0"), 0);
	sxsk_pool_unref(pool);
	sxsk_pool_unref(far);
}

Test(prog_filter, only_what_matches_comes_native, .init = make_network)
{
	filtered(SXSK_ATTACH_NATIVE);
}

Test(prog_filter, only_what_matches_comes_skb, .init = make_network)
{
	filtered(SXSK_ATTACH_SKB);
}
