/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every allocation and every system call fails in turn: the first, the second, and so on, until there is
 * none left to fail, in the life of a pool and two sockets on one cable,
 *
 *     pool, lane, open, open, packets, wait, stats, drain, close, close, end
 *
 * over mem:, over mem: with hardened pools, and over a veth pair in a network namespace of its own. Each
 * time in a process of its own, which never used the library before; and again with all calls failing
 * from that one on, as when memory or descriptors run out, up to the end of the life.
 *
 * What fails says so, with -errno and a sentence; what does not, works. Every frame is accounted for
 * after the close. Then, in the same process, the same life succeeds, and after it neither memory nor
 * descriptors nor mappings are held beyond what two lives without a fault hold, nor is a program on an
 * interface.
 *
 *     faults [--all] [SCENE...]       one line per scene; --all: also with EPERM in the place of errors
 *     faults SCENE N once|from [ERRNO]     a single one, to look at
 */
#include "inject.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <net/if.h>
#include <safexsk/safexsk.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define PACKETS 16u
#define WALKERS 6u
#define NOT_BEFORE "ret_pool is NULL"

struct scene {
	const char *name;
	const char *end[2]; /* interfaces: the receiver's, the sender's */
	const char *harden;
};

static const struct scene scenes[] = {
	{ "mem", { "mem:faults", "mem:faults" }, "none" },
	{ "hardened", { "mem:faults", "mem:faults" }, "guard,fifo,history,canary" },
	{ "veth", { "v1", "v0" }, "none" },
};

static const struct scene *scene;

/* ---- what must not be ----------------------------------------------------------------------------------- */

static void __attribute__((format(printf, 1, 2), noreturn)) wrong(const char *format, ...)
{
	va_list args;

	inject_on = false;
	fprintf(stderr, "%s, call %ld (%s: %s): ", scene->name, inject.at,
		inject.what ? inject.what : "none failed", strerror(inject.said));
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	_exit(1);
}

/* Before a call that may fail: afterwards the sentence is another one. */
static void forget(void)
{
	memset(inject.since, 0, sizeof(inject.since));
	if (sxsk_pool_create(NULL, NULL) != -EINVAL)
		wrong("a pool was made into nowhere");
}

/* The caller learns a cause: by the number, or in the sentence. */
static bool tells_cause(int err)
{
	for (int e = 1; e < 192; e++)
		if (inject.since[e / 64] & 1ull << e % 64 &&
		    (err == -e || strstr(sxsk_last_error(), strerror(e))))
			return true;
	return false;
}

/* True: the call went well. Else it says why, and may. */
static bool went_well(const char *what, int err)
{
	if (err >= 0)
		return true;
	if (!inject.failed)
		wrong("%s fails by itself: %s (%s)", what, strerror(-err), sxsk_last_error());
	if (err < -4095)
		wrong("%s returns %d", what, err);
	if (!sxsk_last_error()[0] || strstr(sxsk_last_error(), NOT_BEFORE))
		wrong("%s returns %d without a sentence", what, err);
	if (!tells_cause(err))
		wrong("%s hides the cause: %d, %s", what, err, sxsk_last_error());
	return false;
}

/* ---- a life --------------------------------------------------------------------------------------------- */

static unsigned send_packets(struct sxsk_pool *pool, struct sxsk_socket *to)
{
	struct sxsk_buf bufs[PACKETS], clone;
	unsigned n = sxsk_pool_alloc(pool, bufs, PACKETS), sent;

	for (unsigned i = 0; i < n; i++) {
		unsigned char *bytes;

		if (sxsk_buf_put(&bufs[i], 64) != 0)
			wrong("a free frame has no room");
		bytes = sxsk_buf_data_mut(bufs[i]);
		if (!bytes)
			wrong("a frame of one's own cannot be written");
		memset(bytes, 0xff, 12);
		bytes[12] = 0x88; /* EtherType for experiments */
		bytes[13] = 0xb5;
		memset(bytes + 14, (int)i, 50);
	}
	clone = n ? sxsk_buf_ref(bufs[0]) : (struct sxsk_buf){ 0 };
	sent = to ? sxsk_tx_burst(to, bufs, n) : 0;
	sxsk_buf_unref_burst(bufs + sent, n - sent);
	sxsk_buf_unref(&clone);
	return sent;
}

static unsigned receive_packets(struct sxsk_socket *from)
{
	struct sxsk_buf bufs[PACKETS];
	unsigned n = sxsk_rx_burst(from, bufs, PACKETS), ours = 0;

	for (unsigned i = 0; i < n; i++) {
		const unsigned char *bytes = sxsk_buf_data(bufs[i]);

		if (!bytes)
			wrong("a received packet cannot be read");
		ours += bytes[12] == 0x88 && bytes[13] == 0xb5;
	}
	sxsk_buf_unref_burst(bufs, n);
	return ours;
}

/* Packets there and back home: all of them unless something failed. */
static void traffic(struct sxsk_pool *pool, struct sxsk_socket *rx, struct sxsk_socket *tx)
{
	unsigned sent = 0, received = 0;

	for (unsigned round = 0; round < 3; round++)
		sent += send_packets(pool, tx);
	for (unsigned i = 0; rx && received < sent && i < (inject.failed ? 3u : 500u); i++) {
		forget();
		(void)went_well("wait", sxsk_socket_wait(rx, SXSK_WAIT_RX, 10));
		received += receive_packets(rx);
		if (tx && sxsk_tx_burst(tx, NULL, 0) != 0)
			wrong("nothing was to be sent, and something was");
	}
	if (!inject.failed && rx && tx && (sent != 3 * PACKETS || received != sent))
		wrong("%u of %u packets arrived", received, sent);
}

static struct sxsk_socket *open_end(struct sxsk_pool *pool, unsigned end)
{
	const struct sxsk_socket_opts opts = {
		.sz = sizeof(opts),
		.rx_size = 64,
		.tx_size = 64,
		.fill_size = 64,
		.comp_size = 64,
		.flags = end == 0 ? SXSK_SOCKET_NO_TX : SXSK_SOCKET_NO_RX,
		.steer = SXSK_STEER_ALL,
		.busy_poll_us = end == 0 && strcmp(scene->name, "veth") == 0 ? 20 : 0,
	};
	struct sxsk_socket *socket = NULL;
	int err;

	forget();
	err = sxsk_socket_open(&socket, pool, scene->end[end], 0, &opts);
	if (went_well("open", err) != (socket != NULL))
		wrong("open returns %d and %p", err, (void *)socket);
	return socket;
}

static void expect_accounted(struct sxsk_pool *pool)
{
	struct sxsk_pool_stats st = { .sz = sizeof(st) };
	const bool on = inject_on;

	inject_on = false;
	sxsk_pool_stats(pool, &st);
	if (st.user || st.fill || st.tx || st.sockets ||
	    st.lanes + st.depot + st.quarantined + st.retired != st.total)
		wrong("frames: user %lu, lanes %lu, depot %lu, fill %lu, tx %lu, quarantined %lu of "
		      "%lu; %lu sockets",
		      (unsigned long)st.user, (unsigned long)st.lanes, (unsigned long)st.depot,
		      (unsigned long)st.fill, (unsigned long)st.tx, (unsigned long)st.quarantined,
		      (unsigned long)st.total, (unsigned long)st.sockets);
	inject_on = on;
}

static void life(void)
{
	const struct sxsk_pool_opts opts = { .sz = sizeof(opts),
					     .frame_count = 256,
					     .frame_size = 4096,
					     .user_size = 8,
					     .harden = scene->harden };
	struct sxsk_socket_stats stats = { .sz = sizeof(stats) };
	struct sxsk_pool *pool = NULL;
	struct sxsk_socket *rx, *tx;
	int err;

	forget();
	if (!went_well("pool", sxsk_pool_create(&pool, &opts)))
		return;
	forget();
	(void)went_well("lane", sxsk_lane_attach(pool));
	rx = open_end(pool, 0);
	tx = open_end(pool, 1);
	traffic(pool, rx, tx);
	if (rx) {
		sxsk_socket_stats(rx, &stats);
		forget();
		(void)went_well("error", sxsk_socket_error(rx));
	}
	sxsk_lane_flush(pool);
	forget();
	err = sxsk_pool_drain(pool, inject.failed ? 1 : 5000);
	if (err != -ETIMEDOUT || !inject.failed)
		(void)went_well("drain", err);
	sxsk_socket_close(tx);
	sxsk_socket_close(rx);
	expect_accounted(pool);
	sxsk_lane_detach(pool);
	sxsk_pool_unref(pool);
}

static uint32_t program_on(const char *ifname)
{
	struct bpf_xdp_query_opts opts = { .sz = sizeof(opts) };

	if (strncmp(ifname, "mem:", 4) == 0)
		return 0;
	if (bpf_xdp_query((int)if_nametoindex(ifname), 0, &opts))
		wrong("the interface does not say which program it has");
	return opts.prog_id;
}

/* ---- a process each ------------------------------------------------------------------------------------- */

struct outcome {
	long calls, failed;
	struct held held;
};

/* A life with its fault, then one without. */
static struct outcome live_twice(const struct inject *fault)
{
	struct held before;
	struct outcome o;

	before = held_now();
	inject = *fault;
	inject_on = true;
	life();
	inject_on = false;
	o.calls = inject.calls;
	o.failed = inject.failed;
	if (program_on(scene->end[0]))
		wrong("a program is left on %s", scene->end[0]);
	inject.failed = 0;
	life();
	o.held = held_now();
	o.held.blocks -= before.blocks;
	o.held.mapped -= before.mapped;
	o.held.files -= before.files;
	return o;
}

/* False: it said what was wrong. */
static bool in_process(const struct inject *fault, struct outcome *ret)
{
	int ends[2], status;
	pid_t child;

	if (pipe(ends) != 0)
		abort();
	child = fork();
	if (child == 0) {
		struct outcome o;

		alarm(20);
		o = live_twice(fault);
		_exit(write(ends[1], &o, sizeof(o)) == sizeof(o) ? 0 : 1);
	}
	close(ends[1]);
	if (read(ends[0], ret, sizeof(*ret)) != sizeof(*ret))
		*ret = (struct outcome){ 0 };
	close(ends[0]);
	if (child < 0 || waitpid(child, &status, 0) != child)
		abort();
	if (WIFSIGNALED(status))
		fprintf(stderr, "%s, call %ld%s: %s\n", scene->name, fault->at,
			fault->from_there ? " and all behind it" : "", strsignal(WTERMSIG(status)));
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void make_cable(void)
{
	if (unshare(CLONE_NEWNET) != 0 ||
	    system("f=/proc/sys/net/ipv6/conf/default/disable_ipv6; [ ! -e $f ] || echo 1 >$f; "
		   "ip link add v0 type veth peer name v1 && ip link set v0 up && ip link set v1 up") !=
		    0) {
		fputs("no network: this needs root and iproute2\n", stderr);
		exit(1);
	}
}

/* Every so-manieth of the scene's calls. Returns how many did wrong. */
static unsigned walk(struct inject fault, const struct outcome *sound, unsigned first)
{
	struct outcome o = { .failed = 1 };
	unsigned bad = 0;

	make_cable();
	for (fault.at = first; o.failed && bad < 10; fault.at += WALKERS) {
		if (!in_process(&fault, &o)) {
			o.failed = 1;
			bad++;
		} else if (o.failed && (o.held.blocks > sound->held.blocks ||
					o.held.mapped > sound->held.mapped ||
					o.held.files > sound->held.files)) {
			fprintf(stderr,
				"%s, call %ld%s leaves %ld blocks of memory, %ld bytes mapped, %ld "
				"descriptors\n",
				scene->name, fault.at, fault.from_there ? " and all behind it" : "",
				o.held.blocks - sound->held.blocks,
				o.held.mapped - sound->held.mapped,
				o.held.files - sound->held.files);
			bad++;
		}
	}
	return bad;
}

/* All calls, several at a time: mostly they wait for the kernel. */
static bool all_calls(struct inject fault, const struct outcome *sound)
{
	pid_t walker[WALKERS];
	bool good = true;
	int status;

	for (unsigned i = 0; i < WALKERS; i++) {
		walker[i] = fork();
		if (walker[i] == 0)
			_exit(walk(fault, sound, i + 1) > 0);
	}
	for (unsigned i = 0; i < WALKERS; i++)
		if (walker[i] < 0 || waitpid(walker[i], &status, 0) != walker[i] || status != 0)
			good = false;
	printf("%s: %s, %s: %s, %ld calls\n", good ? "ok" : "not ok", scene->name,
	       fault.from_there ? "all from one on" : "one at a time",
	       fault.error ? strerror(fault.error) : "its usual error", sound->calls);
	fflush(stdout);
	return good;
}

static bool chosen(int argc, char **argv, const char *name)
{
	bool any = false;

	for (int i = 1; i < argc; i++) {
		if (argv[i][0] == '-')
			continue;
		any = true;
		if (strcmp(argv[i], name) == 0)
			return true;
	}
	return !any;
}

int main(int argc, char **argv)
{
	const bool all = argc > 1 && strcmp(argv[1], "--all") == 0;
	unsigned passed = 0, failed = 0;
	struct inject fault = { 0 };
	struct outcome sound;

	make_cable();
	for (unsigned i = 0; i < sizeof(scenes) / sizeof(scenes[0]); i++) {
		scene = &scenes[i];
		if (argc > 3 && !all) { /* SCENE N once|from */
			if (strcmp(scene->name, argv[1]) != 0)
				continue;
			fault.at = atol(argv[2]);
			fault.from_there = strcmp(argv[3], "from") == 0;
			fault.error = argc > 4 ? atoi(argv[4]) : 0;
			live_twice(&fault);
			return 0;
		}
		if (!chosen(argc, argv, scene->name))
			continue;
		fault = (struct inject){ 0 };
		if (!in_process(&fault, &sound)) {
			failed++;
			continue;
		}
		for (unsigned kind = 0; kind < (all ? 4u : 2u); kind++) {
			fault.from_there = kind & 1;
			fault.error = kind & 2 ? EPERM : 0;
			if (all_calls(fault, &sound))
				passed++;
			else
				failed++;
		}
	}
	if (passed + failed == 0) {
		fputs("usage: faults [--all] [mem|hardened|veth] | faults SCENE N once|from [ERRNO]\n",
		      stderr);
		return 1;
	}
	printf("%u passed, %u failed, 0 skipped\n", passed, failed);
	return failed > 0;
}
