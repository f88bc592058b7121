/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Classic BPF, as tcpdump's expressions compile to, made into an XDP program. A and X are r7 and r8, 32 bits
 * wide with the upper half zero; the sixteen memory words are slots on the stack. A filter that returns
 * anything but 0 takes the packet. The meaning is that of libpcap's bpf_filter(): what reads past the packet's
 * end, or divides by zero, returns 0.
 */
#include "prog_inner.h"

#include <errno.h>
#include <linux/filter.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define A BPF_REG_7
#define X BPF_REG_8
#define WORDS BPF_MEMWORDS

/* ---- checks --------------------------------------------------------------------------------------- */

/* What socket filters have beside the packet, by its distance from SKF_AD_OFF, divided by four. */
static const char *const ancillary[] = {
	"protocol",
	"packet type",
	"interface",
	"netlink attribute",
	"nested netlink attribute",
	"mark",
	"queue",
	"hardware type",
	"receive hash",
	"processor",
	"xor",
	"VLAN tag",
	"VLAN tag present",
	"payload offset",
	"random number",
	"VLAN protocol",
};

static int check_offset(const struct sock_filter *f, unsigned i)
{
	const uint32_t at = f->k - (uint32_t)SKF_AD_OFF;

	if (f->k < 0x80000000)
		return 0;
	if (at < 4 * sizeof(ancillary) / sizeof(ancillary[0]))
		return sxsk_priv_fail(
			EOPNOTSUPP,
			"instruction %u of the filter loads the %s, which a socket filter has and an "
			"XDP program does not: compile for pcap_open_dead(), without what needs it",
			i, ancillary[at / 4]);
	return sxsk_priv_fail(EOPNOTSUPP,
			      "instruction %u of the filter loads at offset %d, from before the "
			      "packet's start",
			      i, (int32_t)f->k);
}

static int check_word(const struct sock_filter *f, unsigned i)
{
	return f->k < WORDS ?
		       0 :
		       sxsk_priv_fail(EINVAL,
				      "instruction %u of the filter uses memory word %u of %d", i,
				      f->k, WORDS);
}

static int check_loop(const struct sock_filter *f, unsigned i)
{
	return f->k < 0x80000000 ?
		       0 :
		       sxsk_priv_fail(EOPNOTSUPP,
				      "instruction %u of the filter jumps back: loops, as "
				      "\"protochain\" makes them, cannot be translated",
				      i);
}

static int check_alu(const struct sock_filter *f, unsigned i)
{
	const uint16_t op = BPF_OP(f->code);

	if (BPF_SRC(f->code) == BPF_K && (op == BPF_DIV || op == BPF_MOD) && f->k == 0)
		return sxsk_priv_fail(EINVAL, "instruction %u of the filter divides by zero", i);
	if (BPF_SRC(f->code) == BPF_K && (op == BPF_LSH || op == BPF_RSH) && f->k > 31)
		return sxsk_priv_fail(EINVAL, "instruction %u of the filter shifts by %u bits", i,
				      f->k);
	return 0;
}

static int unknown(const struct sock_filter *f, unsigned i)
{
	return sxsk_priv_fail(EOPNOTSUPP,
			      "instruction %u of the filter is 0x%02x, which is not classic BPF", i,
			      f->code);
}

static int check_code(const struct sock_filter *f, unsigned i)
{
	switch (f->code) {
	case BPF_LD | BPF_W | BPF_ABS:
	case BPF_LD | BPF_H | BPF_ABS:
	case BPF_LD | BPF_B | BPF_ABS:
	case BPF_LD | BPF_W | BPF_IND:
	case BPF_LD | BPF_H | BPF_IND:
	case BPF_LD | BPF_B | BPF_IND:
	case BPF_LDX | BPF_B | BPF_MSH:
		return check_offset(f, i);
	case BPF_LD | BPF_MEM:
	case BPF_LDX | BPF_MEM:
	case BPF_ST:
	case BPF_STX:
		return check_word(f, i);
	case BPF_JMP | BPF_JA:
		return check_loop(f, i);
	case BPF_LD | BPF_IMM:
	case BPF_LD | BPF_W | BPF_LEN:
	case BPF_LDX | BPF_IMM:
	case BPF_LDX | BPF_W | BPF_LEN:
	case BPF_ALU | BPF_NEG:
	case BPF_RET | BPF_K:
	case BPF_RET | BPF_A:
	case BPF_MISC | BPF_TAX:
	case BPF_MISC | BPF_TXA:
		return 0;
	}
	if (BPF_CLASS(f->code) == BPF_ALU && BPF_OP(f->code) <= BPF_XOR && !(f->code & ~0xff))
		return BPF_OP(f->code) == BPF_NEG ? unknown(f, i) : check_alu(f, i);
	if (BPF_CLASS(f->code) == BPF_JMP && BPF_OP(f->code) >= BPF_JEQ &&
	    BPF_OP(f->code) <= BPF_JSET && !(f->code & ~0xff))
		return 0;
	return unknown(f, i);
}

/* Where it goes on; the targets of jumps. */
static void successors(const struct sock_filter *f, uint64_t i, uint64_t to[2])
{
	to[0] = to[1] = i + 1;
	if (f->code == (BPF_JMP | BPF_JA)) {
		to[0] = to[1] = i + 1 + f->k;
	} else if (BPF_CLASS(f->code) == BPF_JMP) {
		to[0] = i + 1 + f->jt;
		to[1] = i + 1 + f->jf;
	}
}

int sxsk_priv_filter_check(const struct sock_filter filter[], unsigned n)
{
	uint64_t to[2];
	int err = 0;

	if (!n || !filter)
		return sxsk_priv_fail(EINVAL, "the filter is empty");
	if (n > BPF_MAXINSNS)
		return sxsk_priv_fail(E2BIG, "a filter of %u instructions: %d at most", n,
				      BPF_MAXINSNS);
	for (unsigned i = 0; !err && i < n; i++) {
		err = check_code(&filter[i], i);
		successors(&filter[i], i, to);
		if (!err && BPF_CLASS(filter[i].code) != BPF_RET && (to[0] >= n || to[1] >= n))
			err = sxsk_priv_fail(EINVAL,
					     "instruction %u of the filter leads past its end", i);
	}
	return err;
}

/* ---- instructions --------------------------------------------------------------------------------- */

struct translation {
	struct sxsk_priv_code *c;
	uint32_t first;       /* label of instruction 0; the others follow */
	uint32_t taken, pass; /* labels */
	bool takes;           /* some instruction returns something else than 0 */
};

/* r9 = k, or X + k, without a carry lost. */
static void set_offset(struct sxsk_priv_code *c, uint32_t k, bool indirect)
{
	sxsk_priv_code_emit(c, insn_op32_value(BPF_MOV, BPF_REG_9, (int32_t)k));
	if (indirect)
		sxsk_priv_code_emit(c, insn_op(BPF_ADD, BPF_REG_9, X));
}

static void load_packet(const struct translation *t, const struct sock_filter *f)
{
	const uint8_t size = BPF_SIZE(f->code);
	const unsigned bytes = size == BPF_W ? 4 : size == BPF_H ? 2 : 1;

	set_offset(t->c, f->k, BPF_MODE(f->code) == BPF_IND);
	sxsk_priv_code_fetch(t->c, bytes, t->pass);
	sxsk_priv_code_emit(t->c, insn_load(size, A, BPF_REG_1, 0));
	if (bytes > 1)
		sxsk_priv_code_emit(t->c, insn_from_wire(A, (int32_t)(8 * bytes)));
}

/* X = an IPv4 header's length */
static void load_header_length(const struct translation *t, const struct sock_filter *f)
{
	set_offset(t->c, f->k, false);
	sxsk_priv_code_fetch(t->c, 1, t->pass);
	sxsk_priv_code_emit(t->c, insn_load(BPF_B, X, BPF_REG_1, 0));
	sxsk_priv_code_emit(t->c, insn_op32_value(BPF_AND, X, 15));
	sxsk_priv_code_emit(t->c, insn_op32_value(BPF_LSH, X, 2));
}

static void load_length(struct sxsk_priv_code *c, uint8_t to)
{
	if (c->frags) {
		sxsk_priv_code_emit(c, insn_op(BPF_MOV, BPF_REG_1, BPF_REG_6));
		sxsk_priv_code_emit(c, insn_call(BPF_FUNC_xdp_get_buff_len));
		sxsk_priv_code_emit(c, insn_op32(BPF_MOV, to, BPF_REG_0));
		return;
	}
	sxsk_priv_code_emit(c,
			    insn_load(BPF_W, BPF_REG_1, BPF_REG_6, offsetof(struct xdp_md, data)));
	sxsk_priv_code_emit(c, insn_load(BPF_W, to, BPF_REG_6, offsetof(struct xdp_md, data_end)));
	sxsk_priv_code_emit(c, insn_op(BPF_SUB, to, BPF_REG_1));
}

static void load(const struct translation *t, const struct sock_filter *f)
{
	const uint8_t to = BPF_CLASS(f->code) == BPF_LD ? A : X;

	switch (BPF_MODE(f->code)) {
	case BPF_ABS:
	case BPF_IND:
		load_packet(t, f);
		break;
	case BPF_MSH:
		load_header_length(t, f);
		break;
	case BPF_LEN:
		load_length(t->c, to);
		break;
	case BPF_MEM:
		sxsk_priv_code_emit(t->c, insn_load(BPF_W, to, BPF_REG_10, SLOT(f->k)));
		break;
	case BPF_IMM:
		sxsk_priv_code_emit(t->c, insn_op32_value(BPF_MOV, to, (int32_t)f->k));
		break;
	}
}

static void compute(const struct translation *t, const struct sock_filter *f)
{
	const uint8_t op = (uint8_t)BPF_OP(f->code);
	const uint32_t small = sxsk_priv_code_label(t->c);

	if (op == BPF_NEG) {
		sxsk_priv_code_emit(t->c, insn_op32_value(BPF_NEG, A, 0));
	} else if (BPF_SRC(f->code) == BPF_K) {
		sxsk_priv_code_emit(t->c, insn_op32_value(op, A, (int32_t)f->k));
	} else if (op == BPF_LSH || op == BPF_RSH) {
		/* By 32 bits and more, nothing is left; the processor would take the number's low bits. */
		const uint32_t done = sxsk_priv_code_label(t->c);

		sxsk_priv_code_jump(t->c, BPF_JLT, X, 32, small);
		sxsk_priv_code_emit(t->c, insn_op32_value(BPF_MOV, A, 0));
		sxsk_priv_code_goto(t->c, done);
		sxsk_priv_code_place(t->c, small);
		sxsk_priv_code_emit(t->c, insn_op32(op, A, X));
		sxsk_priv_code_place(t->c, done);
	} else {
		if (op == BPF_DIV || op == BPF_MOD)
			sxsk_priv_code_jump(t->c, BPF_JEQ, X, 0, t->pass);
		sxsk_priv_code_emit(t->c, insn_op32(op, A, X));
	}
}

static void jump(const struct translation *t, const struct sock_filter *f, unsigned i)
{
	const uint8_t op = (uint8_t)BPF_OP(f->code);
	uint64_t to[2];

	successors(f, i, to);
	if (to[0] != to[1]) {
		if (BPF_SRC(f->code) == BPF_K)
			sxsk_priv_code_jump(t->c, op, A, (int32_t)f->k, t->first + (uint32_t)to[0]);
		else
			sxsk_priv_code_jump_reg(t->c, op, A, X, t->first + (uint32_t)to[0]);
	}
	if (to[1] != i + 1)
		sxsk_priv_code_goto(t->c, t->first + (uint32_t)to[1]);
}

static void give_verdict(struct translation *t, const struct sock_filter *f)
{
	if (BPF_RVAL(f->code) == BPF_A)
		sxsk_priv_code_jump(t->c, BPF_JEQ, A, 0, t->pass);
	else if (f->k == 0) {
		sxsk_priv_code_goto(t->c, t->pass);
		return;
	}
	sxsk_priv_code_goto(t->c, t->taken);
	t->takes = true;
}

static void translate(struct translation *t, const struct sock_filter *f, unsigned i)
{
	sxsk_priv_code_place(t->c, t->first + i);
	switch (BPF_CLASS(f->code)) {
	case BPF_LD:
	case BPF_LDX:
		load(t, f);
		break;
	case BPF_ST:
	case BPF_STX:
		sxsk_priv_code_emit(t->c, insn_store(BPF_W, BPF_REG_10, SLOT(f->k),
						     BPF_CLASS(f->code) == BPF_ST ? A : X));
		break;
	case BPF_ALU:
		compute(t, f);
		break;
	case BPF_JMP:
		jump(t, f, i);
		break;
	case BPF_RET:
		give_verdict(t, f);
		break;
	case BPF_MISC:
		sxsk_priv_code_emit(t->c, BPF_MISCOP(f->code) == BPF_TAX ?
						  insn_op32(BPF_MOV, X, A) :
						  insn_op32(BPF_MOV, A, X));
		break;
	}
}

/* Which instructions can be reached: the verifier refuses a program with others. Jumps go forward only. */
static bool *find_reached(const struct sock_filter filter[], unsigned n)
{
	bool *reached = calloc(n, sizeof(*reached));
	uint64_t to[2];

	if (!reached)
		return NULL;
	reached[0] = true;
	for (unsigned i = 0; i < n; i++) {
		if (!reached[i] || BPF_CLASS(filter[i].code) == BPF_RET)
			continue;
		successors(&filter[i], i, to);
		reached[to[0]] = reached[to[1]] = true;
	}
	return reached;
}

int sxsk_priv_filter_generate(struct sxsk_priv_code *c, int map_fd, const void *what, unsigned n)
{
	const struct sock_filter *filter = what;
	struct translation t = { .c = c };
	bool *reached = find_reached(filter, n);

	if (!reached)
		return sxsk_priv_fail(ENOMEM, "no memory to translate a filter in");
	t.taken = sxsk_priv_code_label(c);
	t.pass = sxsk_priv_code_label(c);
	t.first = sxsk_priv_code_label(c);
	for (unsigned i = 1; i < n; i++)
		(void)sxsk_priv_code_label(c);
	sxsk_priv_code_emit(c, insn_op(BPF_MOV, BPF_REG_6, BPF_REG_1));
	sxsk_priv_code_emit(c, insn_op_value(BPF_MOV, A, 0));
	sxsk_priv_code_emit(c, insn_op_value(BPF_MOV, X, 0));
	for (unsigned i = 0; i < WORDS; i++)
		sxsk_priv_code_emit(c, insn_store_value(BPF_W, BPF_REG_10, SLOT(i), 0));
	for (unsigned i = 0; i < n; i++)
		if (reached[i])
			translate(&t, &filter[i], i);
	free(reached);
	sxsk_priv_code_place(c, t.taken);
	if (t.takes) {
		sxsk_priv_code_emit(c, insn_op_value(BPF_MOV, BPF_REG_9, 0));
		sxsk_priv_code_redirect(c, map_fd, t.pass);
	}
	sxsk_priv_code_place(c, t.pass);
	sxsk_priv_code_return(c, XDP_PASS);
	return sxsk_priv_code_finish(c);
}
