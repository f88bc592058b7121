/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Programs in libxdp's dispatcher, which calls the programs of an interface one after the other. It is pinned
 * in the BPF file system, so what is in there outlives its process.
 */
#ifndef SXSK_PRIV_DISPATCHER_H
#define SXSK_PRIV_DISPATCHER_H

#include "prog_inner.h"

struct bpf_object;

/* dispatcher.c, under the registry's lock */
/* Beside what is in there, on the interface of prog->ifname: 0 or -errno; -EAGAIN as sxsk_priv_prog_attach().
 * Entries that killed processes left are taken out first. */
int sxsk_priv_dispatcher_enter(struct sxsk_priv_prog *prog, uint32_t ifindex);
/* One made of something else takes the place of the program that is in there. */
int sxsk_priv_dispatcher_replace(struct sxsk_priv_prog *prog, const struct sxsk_priv_source *to);
void sxsk_priv_dispatcher_leave(struct sxsk_priv_prog *prog);
/* Is the program of this id in the interface's dispatcher? */
bool sxsk_priv_dispatcher_has(uint32_t ifindex, uint32_t id);

/* Is an entry of this name ours, and its process gone? Nobody may say so of what cannot be looked at. */
bool sxsk_priv_dispatcher_stale(const char *name);

/* libxdp.c: what libxdp's thread has to do. Each run() gives -errno with a sentence, or what it says. */
struct sxsk_priv_job {
	int (*run)(struct sxsk_priv_job *j);
	struct sxsk_priv_prog *prog;
	const struct sxsk_priv_source *from; /* what the entry is made of */
	char name[BPF_OBJ_NAME_LEN];         /* and what it is called */
	bool frags;
	int netns_fd; /* where; -1: where the caller is */
	uint32_t ifindex;
	const char *ifname;
	uint32_t id; /* of the program that is put in, or looked for */
	int err;
	char sentence[256];
};
/* 0: stale entries are out, a new one is in. */
int sxsk_priv_libxdp_enter(struct sxsk_priv_job *j);
int sxsk_priv_libxdp_replace(struct sxsk_priv_job *j);
int sxsk_priv_libxdp_leave(struct sxsk_priv_job *j);
/* 1: the program is there; 0: it is not. */
int sxsk_priv_libxdp_look(struct sxsk_priv_job *j);

/* entry.c */
/* What libxdp makes an entry of: one program, of these instructions. */
int sxsk_priv_entry_open(struct bpf_object **ret_object, const char *name,
			 const struct bpf_insn insn[], uint32_t n);
/* May this process make entries, and does the kernel load them? 0 or -errno; *ret_frags: it has packets in
 * parts. */
int sxsk_priv_entry_possible(bool *ret_frags);

#endif
