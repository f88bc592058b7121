/* SPDX-License-Identifier: BSD-2-Clause */
#include "prog_inner.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#ifndef BPF_F_XDP_DEV_BOUND_ONLY
#define BPF_F_XDP_DEV_BOUND_ONLY (1u << 6) /* Linux 6.3 */
#endif
#define ROOM 32768u
/* The verifier's limit for offsets into a packet is 65535, what is added to them included. */
#define DIRECT_MAX 32767

int sxsk_priv_code_init(struct sxsk_priv_code *c, bool frags)
{
	*c = (struct sxsk_priv_code){ .frags = frags };
	c->insn = calloc(ROOM, sizeof(*c->insn));
	c->jumps_to = calloc(ROOM, sizeof(*c->jumps_to));
	c->placed = calloc(ROOM, sizeof(*c->placed));
	if (c->insn && c->jumps_to && c->placed)
		return 0;
	sxsk_priv_code_free(c);
	return sxsk_priv_fail(ENOMEM, "no memory to make an XDP program in");
}

void sxsk_priv_code_free(struct sxsk_priv_code *c)
{
	free(c->insn);
	free(c->jumps_to);
	free(c->placed);
	*c = (struct sxsk_priv_code){ 0 };
}

void sxsk_priv_code_emit(struct sxsk_priv_code *c, struct bpf_insn insn)
{
	if (c->n == ROOM)
		c->full = true;
	else
		c->insn[c->n++] = insn;
}

uint32_t sxsk_priv_code_label(struct sxsk_priv_code *c)
{
	if (c->labels == ROOM) {
		c->full = true;
		return 0;
	}
	return c->labels++;
}

void sxsk_priv_code_place(struct sxsk_priv_code *c, uint32_t label)
{
	c->placed[label] = c->n;
}

static void emit_jump(struct sxsk_priv_code *c, struct bpf_insn insn, uint32_t label)
{
	if (c->n < ROOM)
		c->jumps_to[c->n] = label + 1;
	sxsk_priv_code_emit(c, insn);
}

void sxsk_priv_code_jump(struct sxsk_priv_code *c, uint8_t op, uint8_t reg, int32_t value,
			 uint32_t label)
{
	emit_jump(c,
		  (struct bpf_insn){
			  .code = BPF_JMP32 | op | BPF_K, .dst_reg = reg & 15u, .imm = value },
		  label);
}

void sxsk_priv_code_jump_reg(struct sxsk_priv_code *c, uint8_t op, uint8_t reg, uint8_t other,
			     uint32_t label)
{
	emit_jump(c,
		  (struct bpf_insn){ .code = BPF_JMP32 | op | BPF_X,
				     .dst_reg = reg & 15u,
				     .src_reg = other & 15u },
		  label);
}

void sxsk_priv_code_jump_pointer(struct sxsk_priv_code *c, uint8_t op, uint8_t reg, uint8_t other,
				 uint32_t label)
{
	emit_jump(c,
		  (struct bpf_insn){ .code = BPF_JMP | op | BPF_X,
				     .dst_reg = reg & 15u,
				     .src_reg = other & 15u },
		  label);
}

void sxsk_priv_code_goto(struct sxsk_priv_code *c, uint32_t label)
{
	emit_jump(c, (struct bpf_insn){ .code = BPF_JMP | BPF_JA }, label);
}

/* Most packets lie in one piece as far as their headers go: read where they are. What is in another part
 * is copied to the stack. */
void sxsk_priv_code_fetch(struct sxsk_priv_code *c, uint32_t n, uint32_t missing)
{
	const uint32_t there = sxsk_priv_code_label(c);
	const uint32_t elsewhere = c->frags ? sxsk_priv_code_label(c) : missing;

	emit_jump(c,
		  (struct bpf_insn){ .code = BPF_JMP | BPF_JGT | BPF_K,
				     .dst_reg = BPF_REG_9,
				     .imm = DIRECT_MAX },
		  elsewhere);
	sxsk_priv_code_emit(c,
			    insn_load(BPF_W, BPF_REG_1, BPF_REG_6, offsetof(struct xdp_md, data)));
	sxsk_priv_code_emit(c, insn_load(BPF_W, BPF_REG_2, BPF_REG_6,
					 offsetof(struct xdp_md, data_end)));
	sxsk_priv_code_emit(c, insn_op(BPF_ADD, BPF_REG_1, BPF_REG_9));
	sxsk_priv_code_emit(c, insn_op(BPF_MOV, BPF_REG_3, BPF_REG_1));
	sxsk_priv_code_emit(c, insn_op_value(BPF_ADD, BPF_REG_3, (int32_t)n));
	sxsk_priv_code_jump_pointer(c, BPF_JLE, BPF_REG_3, BPF_REG_2, there);
	if (!c->frags) {
		sxsk_priv_code_goto(c, missing);
		sxsk_priv_code_place(c, there);
		return;
	}
	sxsk_priv_code_place(c, elsewhere);
	/* No packet is that long, and the helper takes 32 bits of the offset. */
	emit_jump(c,
		  (struct bpf_insn){
			  .code = BPF_JMP | BPF_JGT | BPF_K, .dst_reg = BPF_REG_9, .imm = 65535 },
		  missing);
	sxsk_priv_code_emit(c, insn_op(BPF_MOV, BPF_REG_1, BPF_REG_6));
	sxsk_priv_code_emit(c, insn_op(BPF_MOV, BPF_REG_2, BPF_REG_9));
	sxsk_priv_code_emit(c, insn_op(BPF_MOV, BPF_REG_3, BPF_REG_10));
	sxsk_priv_code_emit(c, insn_op_value(BPF_ADD, BPF_REG_3, SCRATCH));
	sxsk_priv_code_emit(c, insn_op_value(BPF_MOV, BPF_REG_4, (int32_t)n));
	sxsk_priv_code_emit(c, insn_call(BPF_FUNC_xdp_load_bytes));
	sxsk_priv_code_jump(c, BPF_JNE, BPF_REG_0, 0, missing);
	sxsk_priv_code_emit(c, insn_op(BPF_MOV, BPF_REG_1, BPF_REG_10));
	sxsk_priv_code_emit(c, insn_op_value(BPF_ADD, BPF_REG_1, SCRATCH));
	sxsk_priv_code_place(c, there);
}

void sxsk_priv_code_return(struct sxsk_priv_code *c, int32_t action)
{
	sxsk_priv_code_emit(c, insn_op_value(BPF_MOV, BPF_REG_0, action));
	sxsk_priv_code_emit(c, (struct bpf_insn){ .code = BPF_JMP | BPF_EXIT });
}

void sxsk_priv_code_redirect(struct sxsk_priv_code *c, int map_fd, uint32_t pass)
{
	sxsk_priv_code_rx_metadata(c);
	sxsk_priv_code_emit(c, insn_load(BPF_W, BPF_REG_2, BPF_REG_6,
					 offsetof(struct xdp_md, rx_queue_index)));
	sxsk_priv_code_jump(c, BPF_JGE, BPF_REG_2, TARGET_QUEUES, pass);
	sxsk_priv_code_emit(c, insn_op(BPF_ADD, BPF_REG_2, BPF_REG_9));
	/* r1 = the map, two instructions */
	sxsk_priv_code_emit(c, (struct bpf_insn){ .code = BPF_LD | BPF_DW | BPF_IMM,
						  .dst_reg = BPF_REG_1,
						  .src_reg = BPF_PSEUDO_MAP_FD,
						  .imm = map_fd });
	sxsk_priv_code_emit(c, (struct bpf_insn){ .code = 0 });
	/* r3 = what to return for an empty entry (Linux 5.3) */
	sxsk_priv_code_emit(c, insn_op_value(BPF_MOV, BPF_REG_3, XDP_PASS));
	sxsk_priv_code_emit(c, insn_call(BPF_FUNC_redirect_map));
	sxsk_priv_code_emit(c, (struct bpf_insn){ .code = BPF_JMP | BPF_EXIT });
}

int sxsk_priv_code_finish(struct sxsk_priv_code *c)
{
	/* As many instructions as a jump reaches: all distances fit. */
	for (uint32_t i = 0; i < c->n && !c->full; i++)
		if (c->jumps_to[i])
			c->insn[i].off = (int16_t)(c->placed[c->jumps_to[i] - 1] - i - 1);
	return c->full ?
		       sxsk_priv_fail(E2BIG, "the XDP program would have more than %u instructions",
				      ROOM) :
		       0;
}

int sxsk_priv_code_make(struct sxsk_priv_code *c, bool frags, int map_fd,
			const struct sxsk_priv_source *from)
{
	int err = sxsk_priv_code_init(c, frags);

	if (err)
		return err;
	err = sxsk_priv_rx_questions(from, c->rx_question);
	if (!err)
		err = from->generate(c, map_fd, from->what, from->n);
	if (err)
		sxsk_priv_code_free(c);
	return err;
}

int sxsk_priv_code_load(int map_fd, const struct sxsk_priv_source *from)
{
	struct bpf_prog_load_opts opts = { .sz = sizeof(opts),
					   .prog_ifindex = from->metadata ? from->ifindex : 0 };
	const uint32_t bound = from->metadata ? BPF_F_XDP_DEV_BOUND_ONLY : 0;
	struct sxsk_priv_code c;
	int fd = -EINVAL;

	/* Without the flag before Linux 5.18: no multi-buffer packets. */
	for (int frags = 1; frags >= 0 && fd == -EINVAL; frags--) {
		const int err = sxsk_priv_code_make(&c, frags, map_fd, from);

		if (err)
			return err;
		opts.prog_flags = (frags ? BPF_F_XDP_HAS_FRAGS : 0) | bound;
		fd = bpf_prog_load(BPF_PROG_TYPE_XDP, PROGRAM_NAME, "Dual BSD/GPL", c.insn, c.n,
				   &opts);
		sxsk_priv_code_free(&c);
	}
	return fd < 0 ? sxsk_priv_load_error(-fd, "load the XDP program") : fd;
}
