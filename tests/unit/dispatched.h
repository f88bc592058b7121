/* SPDX-License-Identifier: BSD-2-Clause */
/* Somebody else's program in libxdp's dispatcher: it counts packets, and lets them pass. */
#ifndef SXSK_TEST_DISPATCHED_H
#define SXSK_TEST_DISPATCHED_H

#include "dispatcher.h"
#include "veth.h"

#include <xdp/libxdp.h>

struct counter {
	int map, prog;
	uint32_t id, ifindex;
};

static inline struct bpf_object *counting_object(int map)
{
	const struct bpf_insn code[] = {
		insn_store_value(BPF_W, BPF_REG_10, -4, 0),
		insn_op(BPF_MOV, BPF_REG_2, BPF_REG_10),
		insn_op_value(BPF_ADD, BPF_REG_2, -4),
		{ .code = BPF_LD | BPF_DW | BPF_IMM,
		  .dst_reg = BPF_REG_1,
		  .src_reg = BPF_PSEUDO_MAP_FD,
		  .imm = map },
		{ .code = 0 },
		insn_call(BPF_FUNC_map_lookup_elem),
		{ .code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = BPF_REG_0, .off = 2 },
		insn_op_value(BPF_MOV, BPF_REG_1, 1),
		{ .code = BPF_STX | BPF_DW | BPF_ATOMIC,
		  .dst_reg = BPF_REG_0,
		  .src_reg = BPF_REG_1,
		  .imm = BPF_ADD },
		insn_op_value(BPF_MOV, BPF_REG_0, XDP_PASS),
		{ .code = BPF_JMP | BPF_EXIT },
	};
	struct bpf_object *object;

	cr_assert_eq(sxsk_priv_entry_open(&object, "theirs", code, sizeof(code) / sizeof(code[0])),
		     0, "%s", sxsk_last_error());
	return object;
}

static inline struct counter counter_attach(const char *ifname, enum xdp_attach_mode mode,
					    bool frags)
{
	struct counter c = { .map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "count", 4, 8, 1, NULL),
			     .ifindex = if_nametoindex(ifname) };
	struct bpf_object *object;
	struct xdp_program *prog;

	cr_assert_geq(c.map, 0);
	object = counting_object(c.map);
	prog = xdp_program__from_bpf_obj(object, NULL);
	cr_assert_eq(libxdp_get_error(prog), 0);
	cr_assert_eq(xdp_program__set_xdp_frags_support(prog, frags), 0);
	cr_assert_eq(xdp_program__attach(prog, (int)c.ifindex, mode, 0), 0);
	c.id = xdp_program__id(prog);
	c.prog = dup(xdp_program__fd(prog));
	xdp_program__close(prog);
	bpf_object__close(object);
	return c;
}

static inline uint64_t counted(const struct counter *c)
{
	const uint32_t key = 0;
	uint64_t n = 0;

	cr_assert_eq(bpf_map_lookup_elem(c->map, &key, &n), 0);
	return n;
}

static inline void counter_detach(struct counter *c, enum xdp_attach_mode mode)
{
	struct xdp_program *prog = xdp_program__from_fd(c->prog);

	cr_assert_eq(libxdp_get_error(prog), 0);
	cr_assert_eq(xdp_program__detach(prog, (int)c->ifindex, mode, 0), 0);
	xdp_program__close(prog);
	close(c->prog);
	close(c->map);
}

#endif
