/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Building XDP programs, instruction by instruction. Registers of all programs made here:
 *
 *     r0-r5   scratch                  r8   X of a filter
 *     r6      the context              r9   offset into the packet; then the target's part of the key
 *     r7      A of a filter            r10  the stack's end
 *
 * Jumps go to labels, which are placed later; finish() fills in the distances. Room never runs out in
 * the middle: what does not fit is noted, and finish() fails.
 */
#ifndef SXSK_PRIV_CODEGEN_H
#define SXSK_PRIV_CODEGEN_H

#include "internal.h"

#include <linux/bpf.h>

/* Entries per target in the library's own XSKMAPs: as many queues as the kernel lets an interface be
 * created with. */
#define TARGET_QUEUES 4096u

/* The stack, from r10 down: 8-byte slots for values, then room for bytes copied out of a packet. */
#define SLOTS 24
#define FETCH_MAX 40
/* In the slot's upper half: the verifier follows what is stored to a slot's start from branch to branch, and
 * would look at each combination of values anew. */
#define SLOT(i) ((int16_t)(-8 * ((int)(i) + 1) + 4))
#define SCRATCH ((int16_t)(-8 * SLOTS - FETCH_MAX))

#define RX_QUESTIONS 3

struct sxsk_priv_code {
	struct bpf_insn *insn; /* 32768: the reach of a jump */
	uint32_t *jumps_to;    /* per instruction: label + 1, or 0 */
	uint32_t *placed;      /* per label: the instruction */
	uint32_t n, labels;
	bool full;
	/* The kernel's functions that a redirect asks first what is known of the packet, see rx_program.c; 0:
	 * nothing is asked. */
	int32_t rx_question[RX_QUESTIONS];
	bool frags; /* the kernel has programs for packets in parts, and helpers to read them (5.18) */
};

/* 0 or -ENOMEM. */
int sxsk_priv_code_init(struct sxsk_priv_code *c, bool frags);
void sxsk_priv_code_free(struct sxsk_priv_code *c);
void sxsk_priv_code_emit(struct sxsk_priv_code *c, struct bpf_insn insn);
uint32_t sxsk_priv_code_label(struct sxsk_priv_code *c);
void sxsk_priv_code_place(struct sxsk_priv_code *c, uint32_t label);
/* Jump when the 32-bit register compares so with the constant, or with the other register. */
void sxsk_priv_code_jump(struct sxsk_priv_code *c, uint8_t op, uint8_t reg, int32_t value,
			 uint32_t label);
void sxsk_priv_code_jump_reg(struct sxsk_priv_code *c, uint8_t op, uint8_t reg, uint8_t other,
			     uint32_t label);
/* Likewise of 64 bits, for pointers into the packet. */
void sxsk_priv_code_jump_pointer(struct sxsk_priv_code *c, uint8_t op, uint8_t reg, uint8_t other,
				 uint32_t label);
void sxsk_priv_code_goto(struct sxsk_priv_code *c, uint32_t label);
/* r1 = where n bytes of the packet at offset r9 are; jumps when they are not all there. */
void sxsk_priv_code_fetch(struct sxsk_priv_code *c, uint32_t n, uint32_t missing);
/* Return: the socket of the packet's queue in the map, at r9 + queue, or XDP_PASS. */
void sxsk_priv_code_redirect(struct sxsk_priv_code *c, int map_fd, uint32_t pass);
void sxsk_priv_code_return(struct sxsk_priv_code *c, int32_t action);
/* 0 or -E2BIG. */
int sxsk_priv_code_finish(struct sxsk_priv_code *c);

/* Make the instructions, into an initialised c, up to finish(). 0 or -errno. */
typedef int sxsk_priv_generate_fn(struct sxsk_priv_code *c, int map_fd, const void *what,
				  unsigned n);
/* What a program is made of. */
struct sxsk_priv_source {
	sxsk_priv_generate_fn *generate;
	void *what;
	unsigned n;
	/* It asks the driver of one interface, and runs there only. */
	uint32_t metadata; /* SXSK_METADATA_RX_*, 0 = it does not */
	uint32_t ifindex;
	uint64_t netns; /* where that is the interface's index */
	const char *ifname;
};
/* Its instructions: 0, and free them; or -errno. */
int sxsk_priv_code_make(struct sxsk_priv_code *c, bool frags, int map_fd,
			const struct sxsk_priv_source *from);
/* The program's descriptor or -errno, with a sentence. */
int sxsk_priv_code_load(int map_fd, const struct sxsk_priv_source *from);

/* ---- instructions --------------------------------------------------------------------------------- */

/* to = *(from + off), of BPF_B, _H or _W */
static inline struct bpf_insn insn_load(uint8_t size, uint8_t to, uint8_t from, int16_t off)
{
	return (struct bpf_insn){ .code = BPF_LDX | BPF_MEM | size,
				  .dst_reg = to & 15u,
				  .src_reg = from & 15u,
				  .off = off };
}

static inline struct bpf_insn insn_store(uint8_t size, uint8_t to, int16_t off, uint8_t from)
{
	return (struct bpf_insn){ .code = BPF_STX | BPF_MEM | size,
				  .dst_reg = to & 15u,
				  .src_reg = from & 15u,
				  .off = off };
}

static inline struct bpf_insn insn_store_value(uint8_t size, uint8_t to, int16_t off, int32_t value)
{
	return (struct bpf_insn){
		.code = BPF_ST | BPF_MEM | size, .dst_reg = to & 15u, .off = off, .imm = value
	};
}

/* 64 bits wide: pointers and offsets */
static inline struct bpf_insn insn_op(uint8_t op, uint8_t to, uint8_t from)
{
	return (struct bpf_insn){ .code = BPF_ALU64 | op | BPF_X,
				  .dst_reg = to & 15u,
				  .src_reg = from & 15u };
}

static inline struct bpf_insn insn_op_value(uint8_t op, uint8_t to, int32_t value)
{
	return (struct bpf_insn){ .code = BPF_ALU64 | op | BPF_K,
				  .dst_reg = to & 15u,
				  .imm = value };
}

/* 32 bits wide, the upper half becomes zero */
static inline struct bpf_insn insn_op32(uint8_t op, uint8_t to, uint8_t from)
{
	return (struct bpf_insn){ .code = BPF_ALU | op | BPF_X,
				  .dst_reg = to & 15u,
				  .src_reg = from & 15u };
}

static inline struct bpf_insn insn_op32_value(uint8_t op, uint8_t to, int32_t value)
{
	return (struct bpf_insn){ .code = BPF_ALU | op | BPF_K, .dst_reg = to & 15u, .imm = value };
}

/* Big endian to host order, 16 or 32 bits. */
static inline struct bpf_insn insn_from_wire(uint8_t reg, int32_t bits)
{
	return (struct bpf_insn){ .code = BPF_ALU | BPF_END | BPF_TO_BE,
				  .dst_reg = reg & 15u,
				  .imm = bits };
}

static inline struct bpf_insn insn_call(int32_t helper)
{
	return (struct bpf_insn){ .code = BPF_JMP | BPF_CALL, .imm = helper };
}

#endif
