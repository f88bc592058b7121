/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Run a generated program in the kernel on a packet of ours (BPF_PROG_TEST_RUN). Instead of redirecting it
 * returns the key that it would look up, so that the verdict shows without sockets: all other
 * instructions are those of the library.
 */
#ifndef SXSK_TEST_XDP_RUN_H
#define SXSK_TEST_XDP_RUN_H

#include "prog_inner.h"

#include <bpf/bpf.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#define PASSED (-1)     /* the verdict: to the stack; otherwise the target */
#define RUN_MAX 9000    /* bytes of a packet */
#define RUN_HEAD_MAX 14 /* bytes: the kernel runs nothing shorter */

/* A deterministic source of numbers. */
static inline uint32_t random_number(uint64_t *state)
{
	*state = *state * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(*state >> 33);
}

static inline uint32_t random_below(uint64_t *state, uint32_t n)
{
	return random_number(state) % n;
}

/* Load it; frees the code. */
static inline int load_code(struct sxsk_priv_code *c)
{
	struct bpf_prog_load_opts opts = { .sz = sizeof(opts), .prog_flags = BPF_F_XDP_HAS_FRAGS };
	static char log[1 << 16];
	int fd;

	for (uint32_t i = 0; i < c->n; i++)
		if (c->insn[i].code == (BPF_JMP | BPF_CALL) &&
		    c->insn[i].imm == BPF_FUNC_redirect_map)
			c->insn[i] = insn_op(BPF_MOV, BPF_REG_0, BPF_REG_2);
	fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "test", "GPL", c->insn, c->n, &opts);
	if (fd < 0) {
		opts.log_buf = log;
		opts.log_size = sizeof(log);
		opts.log_level = 1;
		(void)bpf_prog_load(BPF_PROG_TYPE_XDP, "test", "GPL", c->insn, c->n, &opts);
		cr_assert(false, "%s: ...%s", strerror(-fd),
			  log + (strlen(log) > 2000 ? strlen(log) - 2000 : 0));
	}
	sxsk_priv_code_free(c);
	return fd;
}

static inline int run_on(int prog_fd, const unsigned char *packet, uint32_t length)
{
	struct bpf_test_run_opts opts = { .sz = sizeof(opts),
					  .data_in = packet,
					  .data_size_in = length };
	const int err = bpf_prog_test_run_opts(prog_fd, &opts);

	cr_assert_eq(err, 0, "%u bytes: %s", length, strerror(-err));
	if (opts.retval == XDP_PASS)
		return PASSED;
	cr_assert_eq(opts.retval % TARGET_QUEUES, 0, "%u", opts.retval);
	return (int)(opts.retval / TARGET_QUEUES);
}

static inline int make_xskmap(void)
{
	const int fd = bpf_map_create(BPF_MAP_TYPE_XSKMAP, "test", 4, 4, 1, NULL);

	cr_assert_geq(fd, 0, "%s: these tests need root", strerror(-fd));
	return fd;
}

#endif
