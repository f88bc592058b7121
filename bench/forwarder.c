/* SPDX-License-Identifier: BSD-2-Clause */
#include "forwarder.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

volatile sig_atomic_t forwarder_stop;
static const char *program_name = "forwarder";

static void on_signal(int signal)
{
	(void)signal;
	forwarder_stop = 1;
}

void forwarder_die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fprintf(stderr, "%s: ", program_name);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	exit(1);
}

/* ---- options ------------------------------------------------------------------------------------------ */

static void usage(void)
{
	forwarder_die("usage: %s drop|1link|2link|2threads IF [IF] [--bufnum N] [--batch-size N] "
		      "[--duration SECONDS]",
		      program_name);
}

static uint32_t number(const char *text, uint32_t min, uint32_t max)
{
	char *end;
	unsigned long n;

	errno = 0;
	n = strtoul(text, &end, 10);
	if (errno || end == text || *end || *text == '-' || n < min || n > max)
		forwarder_die("'%s': use a number from %u to %u", text, min, max);
	return (uint32_t)n;
}

static enum forwarder_mode parse_mode(const char *text)
{
	static const char *const names[] = { "drop", "1link", "2link", "2threads" };

	for (unsigned i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (strcmp(text, names[i]) == 0)
			return (enum forwarder_mode)i;
	usage();
	return FORWARDER_DROP;
}

void forwarder_parse(struct forwarder *f, const char *name, int argc, char *argv[])
{
	program_name = name;
	*f = (struct forwarder){ .name = name, .bufnum = 65536, .burst = 64 };
	if (argc < 3)
		usage();
	f->mode = parse_mode(argv[1]);
	for (int i = 2; i < argc; i++)
		if (argv[i][0] != '-' && f->links < FORWARDER_LINKS)
			f->ifname[f->links++] = argv[i];
		else if (i + 1 == argc)
			usage();
		else if (strcmp(argv[i], "--bufnum") == 0)
			f->bufnum = number(argv[++i], 8192, 1u << 20);
		else if (strcmp(argv[i], "--batch-size") == 0)
			f->burst = number(argv[++i], 1, 1024);
		else if (strcmp(argv[i], "--duration") == 0)
			f->duration = number(argv[++i], 0, 86400);
		else
			usage();
	if (f->links != (f->mode >= FORWARDER_CABLE ? 2u : 1u))
		usage();
}

/* ---- the XDP program ---------------------------------------------------------------------------------- */

static int load(int map_fd)
{
	/* return bpf_redirect_map(&xskmap, ctx->rx_queue_index, XDP_PASS); */
	const struct bpf_insn redirect[] = {
		{ .code = BPF_LDX | BPF_MEM | BPF_W,
		  .dst_reg = BPF_REG_2,
		  .src_reg = BPF_REG_1,
		  .off = offsetof(struct xdp_md, rx_queue_index) },
		{ .code = BPF_LD | BPF_DW | BPF_IMM,
		  .dst_reg = BPF_REG_1,
		  .src_reg = BPF_PSEUDO_MAP_FD,
		  .imm = map_fd },
		{ .code = 0 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_3, .imm = XDP_PASS },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_redirect_map },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	const struct bpf_insn pass[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_PASS },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	struct bpf_prog_load_opts opts = { .sz = sizeof(opts), .prog_flags = BPF_F_XDP_HAS_FRAGS };
	const bool all = map_fd < 0;

	return bpf_prog_load(
		BPF_PROG_TYPE_XDP, "bench", "Dual BSD/GPL", all ? pass : redirect,
		all ? sizeof(pass) / sizeof(*pass) : sizeof(redirect) / sizeof(*redirect), &opts);
}

/* A program of our own, as the manuals advise where libxdp's default is in the way: its dispatcher would add its
 * cost to every received packet, and stay behind after a kill. */
int forwarder_attach(const char *ifname, int map_fd)
{
	struct bpf_link_create_opts opts = { .sz = sizeof(opts), .flags = XDP_FLAGS_DRV_MODE };
	int program = load(map_fd), link = -1;

	if (program >= 0)
		link = bpf_link_create(program, (int)if_nametoindex(ifname), BPF_XDP, &opts);
	if (link < 0)
		forwarder_die("XDP program on %s: %s", ifname, strerror(errno));
	close(program);
	return link;
}

/* ---- from begin to end -------------------------------------------------------------------------------- */

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

void forwarder_begin(struct forwarder *f, const char *how)
{
	const struct sigaction action = { .sa_handler = on_signal };

	setvbuf(stdout, NULL, _IOLBF, 0);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGALRM, &action, NULL);
	alarm(f->duration);
	for (unsigned i = 0; i < f->links; i++)
		printf("%s: on %s: %s\n", f->name, f->ifname[i], how);
	f->begin = now();
}

void forwarder_end(const struct forwarder *f)
{
	printf("{\"program\": \"%s\", \"seconds\": %.3f, \"links\": [{\"rx_packets\": %llu, "
	       "\"rx_bursts\": %llu, \"tx_packets\": %llu, \"kicks\": %llu, \"polls\": %llu}]}\n",
	       f->name, now() - f->begin, (unsigned long long)f->rx_packets,
	       (unsigned long long)f->rx_bursts, (unsigned long long)f->tx_packets,
	       (unsigned long long)f->kicks, (unsigned long long)f->polls);
}
