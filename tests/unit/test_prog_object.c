/* SPDX-License-Identifier: BSD-2-Clause */
/* Programs of a user's own, from an object file (steer.bpf.c); each scenario once with it attached native, and
 * once as SKB. */
#include "refusal.h"
#include "scenarios.h"

#include <bpf/libbpf.h>

TestSuite(prog_object, .init = make_network, .timeout = 60);

static struct sxsk_prog *from_object(const char *program)
{
	const struct sxsk_prog_opts opts = {
		.sz = sizeof(opts), .object = BPF_OBJECT, .program = program, .map = "sockets"
	};
	struct sxsk_prog *prog;

	cr_assert_eq(sxsk_prog_create(&prog, &opts), 0, "%s", sxsk_last_error());
	return prog;
}

/* The receiving end with this program; a has the library's. */
static struct scenario begin_with(const char *program, uint32_t attach)
{
	struct sxsk_pool_opts pool = pool_options();
	struct sxsk_socket_opts opts = socket_options(attach);
	struct scenario s;

	s.a = open_end("v0", &pool, &opts);
	opts.steer = SXSK_STEER_NONE;
	opts.prog = from_object(program);
	s.b = open_end("v1", &pool, &opts);
	sxsk_prog_unref(opts.prog);
	return s;
}

SCENARIO(prog_object, all_packets)
{
	struct scenario s = begin_with("all", attach);
	struct stream there = { .count = PACKETS, .length = PACKET_LEN };
	struct stream back = there;

	pass(&s.a, &s.b, &there);
	pass(&s.b, &s.a, &back);
	finish(&s);
}

/* Send a stream in batches; `check` is called for each packet that arrives, until `expected` have. */
static void collect(struct scenario *s, struct stream *there, uint32_t expected,
		    void (*check)(struct sxsk_buf b, uint32_t nth))
{
	const int64_t end = milliseconds() + PATIENCE_MS;
	struct sxsk_buf bufs[BATCH];
	uint32_t got = 0;

	while (got < expected && milliseconds() < end) {
		unsigned n;

		/* What was sent has arrived, but for what does not: less than two batches are out. */
		if (there->sent < there->count &&
		    there->sent <= got * there->count / expected + BATCH)
			(void)send_batch(&s->a, there, BATCH);
		cr_assert_eq(sxsk_tx_burst(s->a.socket, NULL, 0), 0);
		n = sxsk_rx_burst(s->b.socket, bufs, BATCH);
		for (unsigned i = 0; i < n; i++)
			check(bufs[i], got++);
		sxsk_buf_unref_burst(bufs, n);
	}
	cr_assert_eq(got, expected, "%u of %u", got, expected);
}

static void is_packet(struct sxsk_buf b, uint32_t number, uint32_t length)
{
	unsigned char bytes[4096];

	fill_bytes(bytes, number, 0, length);
	cr_assert_arr_eq(sxsk_buf_data(b), bytes, length, "packet %u", number);
}

static void is_even(struct sxsk_buf b, uint32_t nth)
{
	cr_assert_eq(sxsk_buf_len(b), PACKET_LEN);
	is_packet(b, 2 * nth, PACKET_LEN);
}

SCENARIO(prog_object, half_of_the_packets_are_dropped)
{
	struct scenario s = begin_with("half", attach);
	struct stream there = { .count = PACKETS, .length = PACKET_LEN };

	collect(&s, &there, PACKETS / 2, is_even);
	cr_expect_eq(there.sent, PACKETS);
	cr_expect_eq(stats_of(s.b.socket).kernel.rx_dropped, 0, "they are the program's affair");
	finish(&s);
}

static void is_shorter(struct sxsk_buf b, uint32_t nth)
{
	cr_assert_eq(sxsk_buf_len(b), 1000 - 20);
	is_packet(b, nth, 1000 - 20);
}

SCENARIO(prog_object, the_tail_shrinks)
{
	struct scenario s = begin_with("shrink", attach);
	struct stream there = { .count = PACKETS, .length = 1000 };

	collect(&s, &there, PACKETS, is_shorter);
	finish(&s);
}

static void is_longer(struct sxsk_buf b, uint32_t nth)
{
	static const unsigned char zero[20];

	cr_assert_eq(sxsk_buf_len(b), 1000 + 20);
	is_packet(b, nth, 1000);
	cr_assert_arr_eq((const unsigned char *)sxsk_buf_data(b) + 1000, zero, 20, "packet %u",
			 nth);
}

SCENARIO(prog_object, the_tail_grows)
{
	struct scenario s = begin_with("grow", attach);
	struct stream there = { .count = PACKETS, .length = 1000 };

	collect(&s, &there, PACKETS, is_longer);
	finish(&s);
}

/* What the program puts before the data arrives with it, in the frame's headroom. */
static void is_remarked(struct sxsk_buf b, uint32_t nth)
{
	uint32_t meta[2];

	is_packet(b, nth, PACKET_LEN);
	cr_assert_eq(sxsk_buf_push(&b, sizeof(meta)), 0, "%s", sxsk_last_error());
	memcpy(meta, sxsk_buf_data(b), sizeof(meta));
	cr_assert_eq(meta[0], nth & 0xffff);
	cr_assert_eq(meta[1], nth);
}

SCENARIO(prog_object, metadata_lies_before_the_data)
{
	struct scenario s = begin_with("remark", attach);
	struct stream there = { .count = PACKETS, .length = PACKET_LEN };

	collect(&s, &there, PACKETS, is_remarked);
	finish(&s);
}

/* The program says by the map's entry whose a packet is. */
SCENARIO(prog_object, two_sockets_on_one_queue)
{
	struct sxsk_pool *pool = new_pool(1024), *far = new_pool(1024);
	struct sxsk_socket *from = open_socket(far, "v0", 0, steered(attach)), *to[2];
	struct sxsk_socket_opts opts = { .sz = sizeof(opts),
					 .prog = from_object("turns"),
					 .attach = attach,
					 .flags = SXSK_SOCKET_SHARE_QUEUE };
	uint32_t sent = 0, received[2] = { 0 };
	const int64_t end = milliseconds() + PATIENCE_MS;
	struct sxsk_buf bufs[64];

	for (opts.target = 0; opts.target < 2; opts.target++)
		to[opts.target] = open_socket(pool, "v1", 0, opts);
	sxsk_prog_unref(opts.prog);
	while (received[0] + received[1] < 2000 && milliseconds() < end) {
		if (sent < 2000 && sent - received[0] - received[1] < 256)
			sent += send_some(from, far, sent, 2000 - sent < 50 ? 2000 - sent : 50);
		cr_assert_eq(sxsk_tx_burst(from, NULL, 0), 0);
		for (unsigned k = 0; k < 2; k++) {
			const unsigned n = sxsk_rx_burst(to[k], bufs, 64);

			for (unsigned i = 0; i < n; i++) {
				const unsigned char *p = sxsk_buf_data(bufs[i]);
				uint32_t number;

				memcpy(&number, p + 14, sizeof(number));
				cr_assert_eq(number, 2 * received[k]++ + k);
			}
			sxsk_buf_unref_burst(bufs, n);
		}
	}
	cr_expect_eq(received[0], 1000);
	cr_expect_eq(received[1], 1000);
	sxsk_socket_close(to[0]);
	sxsk_socket_close(to[1]);
	sxsk_socket_close(from);
	cr_expect_eq(program_on("v1"), 0);
	sxsk_pool_unref(pool);
	sxsk_pool_unref(far);
}

/* ---- refused -------------------------------------------------------------------------------------- */

/* Where libbpf would print: the tests' output is not the place. */
static int silent(enum libbpf_print_level level, const char *format, va_list args)
{
	(void)level;
	(void)format;
	(void)args;
	return 0;
}

static void refused_object(const char *object, const char *program, const char *map, int err,
			   const char *sentence)
{
	const struct sxsk_prog_opts opts = {
		.sz = sizeof(opts), .object = object, .program = program, .map = map
	};
	struct sxsk_prog *prog;

	refused_with(sxsk_prog_create(&prog, &opts), err, sentence);
}

Test(prog_object, what_is_not_there_is_refused)
{
	struct sxsk_pool *pool = warm_pool(256);
	const int before = open_descriptors();

	libbpf_set_print(silent);
	refused_object("/nonexistent.o", "all", "sockets", -ENOENT,
		       "cannot read the object file /nonexistent.o: No such file");
	refused_object("/proc/self/exe", "all", "sockets", -EINVAL, "is no BPF object file");
	refused_object("/dev/null", "all", "sockets", -EINVAL, "is no BPF object file");
	refused_object(BPF_OBJECT, "none", "sockets", -ENOENT, "has no program none");
	refused_object(BPF_OBJECT, NULL, "sockets", -EINVAL, "has 9 programs: say which");
	refused_object(BPF_OBJECT, "all", "none", -ENOENT, "has no map none");
	refused_object(BPF_OBJECT, "all", NULL, -EINVAL, "has 2 XSKMAPs: say which");
	refused_object(BPF_OBJECT, "all", "counter", -EINVAL, "is no XSKMAP");
	refused_object(BPF_OBJECT, "all", "forgotten", -EINVAL, "does not use the map forgotten");
	refused_object(BPF_OBJECT, "mapless", "sockets", -EINVAL, "does not use the map sockets");
	refused_object(BPF_OBJECT, "classifier", "sockets", -EINVAL,
		       "is no XDP program (section \"tc\")");
	refused_object(BPF_OBJECT, "unbounded", "sockets", -EACCES,
		       "the kernel refuses program unbounded");
	refused_object(NULL, "all", NULL, -EINVAL, "program is given, and no object file");
	refused_object(NULL, NULL, "sockets", -EINVAL, "map is given, and no object file");
	keep_capabilities(1ull << CAP_NET_RAW);
	refused_object(BPF_OBJECT, "all", "sockets", -EPERM, "CAP_BPF and CAP_NET_ADMIN");
	cr_expect_eq(open_descriptors(), before);
	sxsk_pool_unref(pool);
}

Test(prog_object, decides_by_itself_and_has_so_many_entries)
{
	struct sxsk_pool *pool = new_pool(256);
	struct sxsk_prog *prog = from_object("all");
	struct sxsk_socket_opts opts = { .sz = sizeof(opts), .prog = prog, .target = 4 };

	refused_with(sxsk_prog_steer(prog, NULL, 0), -EOPNOTSUPP, "it decides by itself");
	refused(pool, "v0", 0, opts, -EINVAL, "no entry 4");
	opts.attach = SXSK_ATTACH_DISPATCHER;
	refused(pool, "v0", 0, opts, -EOPNOTSUPP, "prog is of an object file");
	cr_expect_eq(program_on("v0"), 0);
	sxsk_prog_unref(prog);
	sxsk_pool_unref(pool);
}

/* As the library's own programs do. */
Test(prog_object, leaves_with_a_killed_process)
{
	struct sxsk_pool *pool = new_pool(1024);
	struct sxsk_prog *prog = from_object("all");
	struct sxsk_socket_opts opts = { .sz = sizeof(opts), .prog = prog };
	char byte = 0;
	int ready[2];
	pid_t pid;

	cr_assert_eq(pipe(ready), 0);
	pid = fork_bounded();
	if (!pid) {
		opts.prog = from_object("all");
		open_socket(new_pool(256), "v0", 0, opts);
		if (write(ready[1], &byte, 1) != 1)
			_exit(1);
		pause();
	}
	cr_assert_eq(read(ready[0], &byte, 1), 1);
	cr_assert_neq(program_on("v0"), 0);
	kill(pid, SIGKILL);
	sxsk_socket_close(open_socket(pool, "v0", 0, opts));
	waitpid(pid, NULL, 0);
	cr_expect_eq(program_on("v0"), 0);
	sxsk_prog_unref(prog);
	sxsk_pool_unref(pool);
}
