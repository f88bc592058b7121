/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * flood: send packets as fast as one processor can, at a given rate, or so that a given number is on
 * the way, until they come back: to the same interface, or to the one that --back names.
 *
 *   flood IF --duration 3 [--back IF] [--window PACKETS | --rate PPS] [--size BYTES] [--program pass]
 *
 * The kernel runs an XDP program on packets of its own making and sends those that the program lets
 * pass (BPF_F_TEST_XDP_LIVE_FRAMES, Linux 5.18; the idea is xdp-trafficgen's): no system call, no
 * socket buffer, no copy per packet, so that the receiver is what a measurement measures. On a veth
 * the receiving end's XDP program runs on this processor, too. The peer needs an XDP program; packets
 * that it has no room for are gone. With a window smaller than the peer's rings there are none of
 * those, and yet it always has something to do.
 *
 * With --program pass the interface gets an XDP program of its own: drivers other than veth's send such
 * packets only then.
 *
 * What comes back is counted and dropped by a program at that interface's ingress (clsact).
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <net/if.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define BATCH 64u
#define CALL_PACKETS (1 << 26) /* per system call, which may wait for RCU before the first */
#define RATE_SHIFT 20
#define LOST_NS 50000000u /* without a return, and what is on the way is lost */

struct options {
	const char *ifname;
	unsigned ifindex, back, size;
	double duration, rate, window;
	bool program;
};

/* What the programs know: the one value of a map, which this process maps too. */
struct state {
	uint64_t credit; /* packets that may be sent before looking again */
	uint64_t sent;
	uint64_t window; /* may be on the way */
	uint64_t begin;  /* nanoseconds */
	uint64_t rate; /* packets per nanosecond << RATE_SHIFT; 0: a packet for each that came back */
	uint64_t pad[3];
	uint64_t returned; /* a cache line of its own: another processor writes it */
};

/* ---- programs ------------------------------------------------------------------------------------ */

/* clang-format off */
#define INSN(c, d, s, o, i) \
	{ .code = (c), .dst_reg = (d), .src_reg = (s), .off = (int16_t)(o), .imm = (int32_t)(i) }
#define MOV_IMM(d, i) INSN(BPF_ALU64 | BPF_MOV | BPF_K, d, 0, 0, i)
#define MOV(d, s) INSN(BPF_ALU64 | BPF_MOV | BPF_X, d, s, 0, 0)
#define ALU(op, d, s) INSN(BPF_ALU64 | (op) | BPF_X, d, s, 0, 0)
#define ALU_IMM(op, d, i) INSN(BPF_ALU64 | (op) | BPF_K, d, 0, 0, i)
#define LOAD(d, s, field) INSN(BPF_LDX | BPF_MEM | BPF_DW, d, s, offsetof(struct state, field), 0)
#define STORE(d, field, s) INSN(BPF_STX | BPF_MEM | BPF_DW, d, s, offsetof(struct state, field), 0)
#define JUMP(op, d, i, off) INSN(BPF_JMP | (op) | BPF_K, d, 0, off, i)
#define CALL(f) INSN(BPF_JMP | BPF_CALL, 0, 0, 0, f)
#define EXIT INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)
/* Two instructions: the address of the map's value. */
#define STATE(d, fd) INSN(BPF_LD | BPF_DW | BPF_IMM, d, BPF_PSEUDO_MAP_VALUE, 0, fd), { .code = 0 }
#define R(n) BPF_REG_##n

/* XDP_TX: the packet leaves where it is said to have come from. Per packet: */
static int load_sender(int map_fd)
{
	const struct bpf_insn code[] = {
		STATE(R(6), map_fd),
		LOAD(R(2), R(6), credit),
		JUMP(BPF_JNE, R(2), 0, 14), /* while there is credit: send */
		LOAD(R(7), R(6), rate),
		LOAD(R(3), R(6), returned),
		JUMP(BPF_JEQ, R(7), 0, 6),
		CALL(BPF_FUNC_ktime_get_ns), /* at a rate, they "return" as time goes by */
		MOV(R(3), R(0)),
		LOAD(R(4), R(6), begin),
		ALU(BPF_SUB, R(3), R(4)),
		ALU(BPF_MUL, R(3), R(7)),
		ALU_IMM(BPF_RSH, R(3), RATE_SHIFT),
		/* credit = window + returned - sent, if that is worth a batch */
		LOAD(R(2), R(6), window),
		ALU(BPF_ADD, R(2), R(3)),
		LOAD(R(4), R(6), sent),
		ALU(BPF_SUB, R(2), R(4)),
		JUMP(BPF_JSLT, R(2), BATCH, 7),
		ALU_IMM(BPF_SUB, R(2), 1),
		STORE(R(6), credit, R(2)),
		LOAD(R(4), R(6), sent),
		ALU_IMM(BPF_ADD, R(4), 1),
		STORE(R(6), sent, R(4)),
		MOV_IMM(R(0), XDP_TX),
		EXIT,
		MOV_IMM(R(0), XDP_DROP),
		EXIT,
	};

	return bpf_prog_load(BPF_PROG_TYPE_XDP, "flood", "Dual BSD/GPL", code,
			     sizeof(code) / sizeof(code[0]), NULL);
}

/* Runs on one processor at a time: the forwarder's. */
static int load_counter(int map_fd)
{
	const struct bpf_insn code[] = {
		STATE(R(6), map_fd),
		LOAD(R(2), R(6), returned),
		ALU_IMM(BPF_ADD, R(2), 1),
		STORE(R(6), returned, R(2)),
		MOV_IMM(R(0), TC_ACT_SHOT),
		EXIT,
	};

	return bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "flood_back", "Dual BSD/GPL", code,
			     sizeof(code) / sizeof(code[0]), NULL);
}
/* clang-format on */

static int attach_pass(unsigned ifindex)
{
	const struct bpf_insn code[] = { MOV_IMM(R(0), XDP_PASS), EXIT };
	int program = bpf_prog_load(BPF_PROG_TYPE_XDP, "flood_pass", "Dual BSD/GPL", code,
				    sizeof(code) / sizeof(code[0]), NULL);

	/* The link goes with this process. */
	return program < 0 ? -1 : bpf_link_create(program, (int)ifindex, BPF_XDP, NULL);
}

static int attach_counter(unsigned ifindex, int program)
{
	struct bpf_tc_hook hook = { .sz = sizeof(hook),
				    .ifindex = (int)ifindex,
				    .attach_point = BPF_TC_INGRESS };
	struct bpf_tc_opts opts = { .sz = sizeof(opts),
				    .prog_fd = program,
				    .handle = 1,
				    .priority = 1,
				    .flags = BPF_TC_F_REPLACE };
	int err;

	libbpf_set_print(NULL);
	err = bpf_tc_hook_create(&hook);
	/* A former flood's hook, on the same interface, will do. */
	if (err == 0 || err == -EEXIST)
		err = bpf_tc_attach(&hook, &opts);
	errno = -err;
	return err;
}

static int send_packets(int program, const struct options *o)
{
	/* To nobody's address, of the EtherType for local experiments: no stack answers. */
	const unsigned char packet[2048] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb5 };
	struct xdp_md context = { .data_end = o->size, .ingress_ifindex = o->ifindex };
	struct bpf_test_run_opts opts = { .sz = sizeof(opts),
					  .data_in = packet,
					  .data_size_in = o->size,
					  .ctx_in = &context,
					  .ctx_size_in = sizeof(context),
					  .repeat = CALL_PACKETS,
					  .flags = BPF_F_TEST_XDP_LIVE_FRAMES,
					  .batch_size = BATCH };

	return bpf_prog_test_run_opts(program, &opts);
}

/* ---- the program --------------------------------------------------------------------------------- */

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t); /* bpf_ktime_get_ns() is the same clock */
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* What is on the way when nothing comes back any more is lost: room for others. */
static void *forget_lost(void *arg)
{
	volatile struct state *s = arg;
	const struct timespec pause = { .tv_nsec = LOST_NS };

	for (uint64_t returned = 0, sent = 0;; returned = s->returned, sent = s->sent) {
		nanosleep(&pause, NULL);
		if (s->returned == returned && s->sent == sent)
			s->sent = returned;
	}
	return NULL;
}

/* A signal ends the system call. */
static void wake(int signal)
{
	(void)signal;
}

/* After so long, and again until it was heeded. */
static int wake_after(double seconds)
{
	const struct sigaction action = { .sa_handler = wake };
	const struct itimerval timer = {
		.it_value = { (time_t)seconds, (suseconds_t)(seconds * 1e6) % 1000000 },
		.it_interval = { 0, 10000 },
	};

	return sigaction(SIGALRM, &action, NULL) == 0 ? setitimer(ITIMER_REAL, &timer, NULL) : -1;
}

/* With no signals: they are for the thread that sends. */
static int watch(struct state *s)
{
	sigset_t all, before;
	pthread_t thread;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	errno = pthread_create(&thread, NULL, forget_lost, s);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return errno ? -1 : 0;
}

static int run(const struct options *o, int program, struct state *state)
{
	volatile struct state *s = state;
	uint64_t end;

	s->begin = now();
	end = s->begin + (uint64_t)(o->duration * 1e9);
	s->rate = (uint64_t)(o->rate / 1e9 * (1 << RATE_SHIFT));
	s->window = o->window > 0 ? (uint64_t)o->window : o->rate > 0 ? BATCH : UINT64_MAX >> 1;
	if (wake_after(o->duration) != 0 || (o->window > 0 && watch(state) != 0))
		return -1;
	while (now() < end)
		if (send_packets(program, o) != 0 && errno != EINTR)
			return -1;
	printf("flood: %llu packets sent, %llu came back\n", (unsigned long long)s->sent,
	       (unsigned long long)s->returned);
	return 0;
}

static double number(const char *text, double min, double max)
{
	char *end;
	double n = strtod(text, &end);

	if (end == text || *end || !(n >= min && n <= max)) {
		fprintf(stderr, "flood: '%s': use a number from %g to %g\n", text, min, max);
		exit(1);
	}
	return n;
}

static struct options parse(int argc, char *argv[])
{
	struct options o = { .size = 60, .duration = 1 };

	if (argc > 1 && argc % 2 == 0)
		o.back = o.ifindex = if_nametoindex(o.ifname = argv[1]);
	for (int i = 2; i + 1 < argc; i += 2)
		if (strcmp(argv[i], "--duration") == 0)
			o.duration = number(argv[i + 1], 0, 3600);
		else if (strcmp(argv[i], "--rate") == 0)
			o.rate = number(argv[i + 1], 0, 1e8);
		else if (strcmp(argv[i], "--window") == 0)
			o.window = number(argv[i + 1], 0, 1e6);
		else if (strcmp(argv[i], "--size") == 0)
			o.size = (unsigned)number(argv[i + 1], 14, 1514);
		else if (strcmp(argv[i], "--program") == 0 && strcmp(argv[i + 1], "pass") == 0)
			o.program = true;
		else if (strcmp(argv[i], "--back") == 0)
			o.back = if_nametoindex(argv[i + 1]);
		else
			o.ifindex = 0;
	if (o.ifindex == 0 || o.back == 0 || (o.rate > 0 && o.window > 0)) {
		fputs("usage: flood IF [--duration SECONDS] [--back IF] "
		      "[--window PACKETS | --rate PPS] [--size BYTES] [--program pass]\n",
		      stderr);
		exit(1);
	}
	return o;
}

int main(int argc, char *argv[])
{
	struct bpf_map_create_opts opts = { .sz = sizeof(opts), .map_flags = BPF_F_MMAPABLE };
	const struct options o = parse(argc, argv);
	int map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "flood", 4, sizeof(struct state), 1, &opts);
	int sender = map < 0 ? -1 : load_sender(map), counter = map < 0 ? -1 : load_counter(map);
	void *state = MAP_FAILED;

	if (map >= 0)
		state = mmap(NULL, sizeof(struct state), PROT_READ | PROT_WRITE, MAP_SHARED, map,
			     0);
	if (sender < 0 || counter < 0 || state == MAP_FAILED ||
	    (o.program && attach_pass(o.ifindex) < 0) || attach_counter(o.back, counter) != 0 ||
	    run(&o, sender, state) != 0) {
		fprintf(stderr, "flood: %s: %s\n", o.ifname, strerror(errno));
		return 1;
	}
	return 0;
}
