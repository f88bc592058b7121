/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Hardened mode: what a pool does beyond the checks that are always on. Chosen when the pool is made,
 * by sxsk_pool_opts.harden or the environment's SAFEXSK_HARDEN. A hardened pool takes every frame
 * through the one-at-a-time functions of frame.c, all by compare-and-swap, and those call
 * sxsk_priv_track(): the burst loops have one branch per burst for it, and nothing per packet.
 */
#ifndef SXSK_PRIV_HARDEN_H
#define SXSK_PRIV_HARDEN_H

#include "internal.h"

#define HARDEN_RACE_SAFE 1u /* transitions by compare-and-swap: implied by all the others */
#define HARDEN_FIFO 2u      /* a freed frame is used again as late as possible */
#define HARDEN_CANARY 4u    /* free frames are filled with a pattern, checked when they leave */
#define HARDEN_HISTORY 8u   /* the last events of each frame, with call sites */
#define HARDEN_TRACE 16u    /* back-traces of sampled acquisitions */
#define HARDEN_GUARD 32u    /* frames that the user does not own cannot be touched */
#define HARDEN_POISON                                                                              \
	64u /* the same, told to AddressSanitizer or Valgrind: on by itself under them */
#define HARDEN_TWICE                                                                               \
	(HARDEN_GUARD | HARDEN_POISON) /* the in-process kernel needs a mapping of its own */

enum track_event {
	TRACK_NONE,
	TRACK_RECEIVED,     /* FILL -> USER */
	TRACK_ALLOCATED,    /* HOME -> USER */
	TRACK_REFERENCED,   /* one more user */
	TRACK_UNREFERENCED, /* one user less, others left */
	TRACK_FREED,        /* the last user gone, the frame home */
	TRACK_SENT,         /* a user less, a transmission more */
	TRACK_COMPLETED,    /* a transmission less */
	TRACK_CAME_HOME,    /* the last transmission gone, the frame home */
	TRACK_FILLED,       /* HOME -> FILL */
	TRACK_LOST,         /* quarantined or retired */
};

struct sxsk_priv_fifo {
	pthread_mutex_t lock;
	uint32_t head, n;
	uint32_t index[]; /* pool->count */
};
int sxsk_priv_fifo_create(struct sxsk_priv_pool *pool);
void sxsk_priv_fifo_destroy(struct sxsk_priv_pool *pool);

/* o->harden, "race-safe,fifo" say -> bits; NULL: the environment's. -EINVAL with a sentence for an unknown
 * name, and where other options contradict. Without a system call. */
int sxsk_priv_harden_parse(const struct sxsk_pool_opts *o, uint32_t *ret_bits);
/* Set up what the pool's levels need; -errno with a sentence. */
int sxsk_priv_harden_create(struct sxsk_priv_pool *pool);
void sxsk_priv_harden_destroy(struct sxsk_priv_pool *pool);
/* Memory was mapped. A forked child does not get its parent's packet memory, but AddressSanitizer's notes
 * of what was poisoned there; what the child maps may come to lie in the same place. */
void sxsk_priv_fresh(void *at, size_t size);
/* A frame's word has changed, or (leaving HOME) is about to. */
void sxsk_priv_track_slow(struct sxsk_priv_pool *pool, uint32_t index, enum track_event event);
/* Append what is known of the frame's past to a report. */
void sxsk_priv_track_tell(struct sxsk_priv_pool *pool, uint32_t index, FILE *out);
/* The pool's levels; 0 = none. */
static inline uint32_t hardened(const struct sxsk_priv_pool *pool)
{
	return load_relaxed(&pool->harden);
}

static inline void track(struct sxsk_priv_pool *pool, uint32_t index, enum track_event event)
{
	if (unlikely(hardened(pool)))
		sxsk_priv_track_slow(pool, index, event);
}

#endif
