/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The part of an XDP program that asks the driver what it knows of a packet, and writes it before the packet.
 * Asked by kernel functions (kfuncs), which are named by their number in the kernel's BTF; the driver's
 * answers are bound in when the program is loaded for its interface.
 */
#include "metadata.h"
#include "netdev.h"
#include "prog_inner.h"

#include <bpf/btf.h>
#include <errno.h>
#include <stddef.h>

#define IMAGE SCRATCH /* on the stack: what will lie before the packet */
#define IMAGE_OF(field) ((int16_t)(IMAGE + (int)offsetof(struct sxsk_rx_metadata, field)))
_Static_assert(sizeof(struct sxsk_rx_metadata) <= FETCH_MAX, "its room");

static const struct question {
	uint32_t what;
	uint64_t feature;
	const char *name, *kfunc;
	int16_t answer[2]; /* where they go; 0: there is one only */
} questions[] = {
	{ SXSK_METADATA_RX_TIMESTAMP,
	  NETDEV_RX_TIMESTAMP,
	  "timestamp",
	  "bpf_xdp_metadata_rx_timestamp",
	  { IMAGE_OF(timestamp), 0 } },
	{ SXSK_METADATA_RX_HASH,
	  NETDEV_RX_HASH,
	  "hash",
	  "bpf_xdp_metadata_rx_hash",
	  { IMAGE_OF(hash), IMAGE_OF(hash_type) } },
	{ SXSK_METADATA_RX_VLAN,
	  NETDEV_RX_VLAN,
	  "VLAN tag",
	  "bpf_xdp_metadata_rx_vlan_tag",
	  { IMAGE_OF(vlan_proto), IMAGE_OF(vlan_tci) } },
};
#define QUESTIONS (sizeof(questions) / sizeof(questions[0]))

int sxsk_priv_rx_questions(const struct sxsk_priv_source *from, int32_t ret_question[RX_QUESTIONS])
{
	const char *ifname = from->ifname;
	struct sxsk_priv_netdev driver;
	struct btf *kernel;
	int err;

	for (unsigned i = 0; i < QUESTIONS; i++)
		ret_question[i] = 0;
	if (!from->metadata)
		return 0;
	_Static_assert(QUESTIONS == RX_QUESTIONS, "one each");
	err = sxsk_priv_netdev_get(from->ifindex, &driver);
	if (err == -ENOENT)
		return sxsk_priv_fail(EOPNOTSUPP, "metadata of received packets needs Linux 6.3");
	if (err)
		return sxsk_priv_fail(-err, "cannot ask what the driver of %s knows of a packet",
				      ifname);
	for (unsigned i = 0; i < QUESTIONS; i++)
		if (from->metadata & questions[i].what &&
		    !(driver.rx_metadata & questions[i].feature))
			return sxsk_priv_fail(EOPNOTSUPP,
					      "the driver of %s tells no %s of received packets: "
					      "open without it",
					      ifname, questions[i].name);
	kernel = btf__parse("/sys/kernel/btf/vmlinux", NULL);
	if (!kernel)
		return sxsk_priv_fail(EOPNOTSUPP,
				      "metadata of received packets needs a kernel with its types "
				      "in /sys/kernel/btf/vmlinux (CONFIG_DEBUG_INFO_BTF)");
	for (unsigned i = 0; i < QUESTIONS; i++)
		ret_question[i] =
			from->metadata & questions[i].what ?
				btf__find_by_name_kind(kernel, questions[i].kfunc, BTF_KIND_FUNC) :
				0;
	btf__free(kernel);
	for (unsigned i = 0; i < QUESTIONS; i++)
		if (ret_question[i] < 0)
			return sxsk_priv_fail(EOPNOTSUPP, "this kernel has no %s()",
					      questions[i].kfunc);
	return 0;
}

static void ask(struct sxsk_priv_code *c, const struct question *q, int32_t kfunc)
{
	const uint32_t unknown = sxsk_priv_code_label(c);

	sxsk_priv_code_emit(c, insn_op(BPF_MOV, BPF_REG_1, BPF_REG_6));
	for (unsigned i = 0; i < 2 && q->answer[i]; i++) {
		sxsk_priv_code_emit(c, insn_op(BPF_MOV, (uint8_t)(BPF_REG_2 + i), BPF_REG_10));
		sxsk_priv_code_emit(c,
				    insn_op_value(BPF_ADD, (uint8_t)(BPF_REG_2 + i), q->answer[i]));
	}
	sxsk_priv_code_emit(c, (struct bpf_insn){ .code = BPF_JMP | BPF_CALL,
						  .src_reg = BPF_PSEUDO_KFUNC_CALL,
						  .imm = kfunc });
	sxsk_priv_code_jump(c, BPF_JNE, BPF_REG_0, 0, unknown);
	sxsk_priv_code_emit(c, insn_op_value(BPF_OR, BPF_REG_7, (int32_t)q->what));
	sxsk_priv_code_place(c, unknown);
}

void sxsk_priv_code_rx_metadata(struct sxsk_priv_code *c)
{
	const int32_t *kfunc = c->rx_question;
	uint32_t without;

	if (!kfunc[0] && !kfunc[1] && !kfunc[2])
		return;
	without = sxsk_priv_code_label(c);
	/* First the answers, to the stack: pointers into the packet do not outlive the calls. */
	for (int16_t at = 0; at < (int16_t)sizeof(struct sxsk_rx_metadata); at += 8)
		sxsk_priv_code_emit(c, insn_store_value(BPF_DW, BPF_REG_10, IMAGE + at, 0));
	sxsk_priv_code_emit(c, insn_op_value(BPF_MOV, BPF_REG_7, 0)); /* valid */
	for (unsigned i = 0; i < QUESTIONS; i++)
		if (kfunc[i])
			ask(c, &questions[i], kfunc[i]);
	sxsk_priv_code_emit(c, insn_store(BPF_W, BPF_REG_10, IMAGE_OF(valid), BPF_REG_7));
	sxsk_priv_code_emit(c, insn_store_value(BPF_W, BPF_REG_10, IMAGE_OF(mark),
						(int32_t)(SXSK_RX_METADATA_MARK & UINT32_MAX)));
	sxsk_priv_code_emit(c, insn_store_value(BPF_W, BPF_REG_10, (int16_t)(IMAGE_OF(mark) + 4),
						(int32_t)(SXSK_RX_METADATA_MARK >> 32)));
	/* Room before the packet; without it, the packet goes on without. */
	sxsk_priv_code_emit(c, insn_op(BPF_MOV, BPF_REG_1, BPF_REG_6));
	sxsk_priv_code_emit(c, insn_op_value(BPF_MOV, BPF_REG_2,
					     -(int32_t)sizeof(struct sxsk_rx_metadata)));
	sxsk_priv_code_emit(c, insn_call(BPF_FUNC_xdp_adjust_meta));
	sxsk_priv_code_jump(c, BPF_JNE, BPF_REG_0, 0, without);
	sxsk_priv_code_emit(c, insn_load(BPF_W, BPF_REG_1, BPF_REG_6,
					 offsetof(struct xdp_md, data_meta)));
	sxsk_priv_code_emit(c,
			    insn_load(BPF_W, BPF_REG_2, BPF_REG_6, offsetof(struct xdp_md, data)));
	sxsk_priv_code_emit(c, insn_op(BPF_MOV, BPF_REG_3, BPF_REG_1));
	sxsk_priv_code_emit(c, insn_op_value(BPF_ADD, BPF_REG_3,
					     (int32_t)sizeof(struct sxsk_rx_metadata)));
	sxsk_priv_code_jump_pointer(c, BPF_JGT, BPF_REG_3, BPF_REG_2, without);
	for (int16_t at = 0; at < (int16_t)sizeof(struct sxsk_rx_metadata); at += 8) {
		sxsk_priv_code_emit(c, insn_load(BPF_DW, BPF_REG_3, BPF_REG_10, IMAGE + at));
		sxsk_priv_code_emit(c, insn_store(BPF_DW, BPF_REG_1, at, BPF_REG_3));
	}
	sxsk_priv_code_place(c, without);
}
