/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Programs, inside:
 *
 *   prog.c      the objects: who owns one, which sockets it has, its XSKMAP
 *   attach.c    onto an interface, and what is there already
 *   dispatcher.c   beside others' programs, by libxdp's dispatcher; with libxdp.c and entry.c
 *   steer.c     rules to instructions
 *   filter.c    classic BPF to instructions
 *   codegen.c   instructions
 *   object.c    programs from object files
 *
 * All of it under the registry's lock.
 */
#ifndef SXSK_PRIV_PROG_INNER_H
#define SXSK_PRIV_PROG_INNER_H

#include "codegen.h"

#define PROGRAM_NAME "safexsk"

struct sxsk_priv_prog {
	struct sxsk_priv_prog *next;
	uint64_t cookie;  /* of sxsk_prog_create(); 0: made by sockets, for themselves */
	uint32_t owners;  /* of the cookie */
	uint32_t sockets; /* that it steers to: while there are any, it is attached */
	uint32_t id;      /* the kernel's program id */
	char name[16];    /* and its name */
	uint32_t attach;  /* in force while attached: SXSK_ATTACH_NATIVE, _SKB or _DISPATCHER */
	char ifname[16];  /* where it is attached, for sentences */
	int map_fd;
	int prog_fd; /* -1: somebody else's program, of whom we have the map */
	int link_fd; /* -1: not attached, or in the dispatcher */
	/* In libxdp's dispatcher, otherwise all -1, see dispatcher.c. */
	int entry_fd;     /* the program that is in there, prog_fd's double */
	int owner_fd;     /* the map that says that we live */
	int netns_fd;     /* where the interface is; for no longer than a socket is there */
	uint32_t ifindex; /* and which */
	struct sxsk_priv_source from; /* of a program of the library's */
	bool map_of_another; /* keyed by queue + target; otherwise by target * TARGET_QUEUES + queue */
};

/* steer.c */
/* Copy and check rules of the caller's version; 0 or -errno. Free *ret_rules. */
int sxsk_priv_rules_check(const struct sxsk_rule rules[], unsigned n, struct sxsk_rule **ret_rules);
/* Of checked rules. */
sxsk_priv_generate_fn sxsk_priv_rules_generate;

/* filter.c */
int sxsk_priv_filter_check(const struct sock_filter *filter, unsigned n);
/* Of a checked filter. */
sxsk_priv_generate_fn sxsk_priv_filter_generate;

/* rx_program.c */
/* The kernel's functions for what the program asks, 0 where it does not; -EOPNOTSUPP with a sentence where
 * the kernel or the driver has not what it asks for. */
int sxsk_priv_rx_questions(const struct sxsk_priv_source *from, int32_t ret_question[RX_QUESTIONS]);
/* Ask, and write the answers before the packet. Uses r0 to r3 and r7. */
void sxsk_priv_code_rx_metadata(struct sxsk_priv_code *c);

/* object.c: fill in map and program, or -errno; what is filled in is freed with the record. */
int sxsk_priv_object_load(struct sxsk_priv_prog *prog, const struct sxsk_prog_opts *opts);

/* attach.c */
/* Put it on the interface: -EAGAIN, somebody's is there that may go in a moment. */
int sxsk_priv_prog_attach(struct sxsk_priv_prog *prog, uint32_t ifindex, const char *ifname,
			  uint32_t attach);
void sxsk_priv_prog_detach(struct sxsk_priv_prog *prog);
/* Id of the program on the interface, 0 = none; or -errno with a sentence. */
int64_t sxsk_priv_attached_id(uint32_t ifindex, const char *ifname);
/* Somebody else's program is there: -EBUSY with a sentence, or -EAGAIN. `name` is ours. */
int sxsk_priv_occupied(uint32_t id, const char *ifname, const char *name);
int sxsk_priv_load_error(int err, const char *what);
int sxsk_priv_attach_error(int err, const char *ifname, uint32_t attach);
/* Does this error mean that the driver cannot, as opposed to that nobody may? */
bool sxsk_priv_native_refused(int err);
/* Its id and name, from the descriptor. */
void sxsk_priv_program_known(struct sxsk_priv_prog *prog);

#endif
