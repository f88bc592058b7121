/* SPDX-License-Identifier: BSD-2-Clause */
/* What frame.c and frame_io.c share. */
#ifndef SXSK_PRIV_FRAME_INNER_H
#define SXSK_PRIV_FRAME_INNER_H

#include "frame.h"
#include "harden.h"

static inline uint64_t generation_of(uint64_t w)
{
	return w & ~FRAME_LOW;
}

static inline uint64_t held(uint64_t generation, uint32_t users, uint32_t tx, bool suspect)
{
	unsigned kind = tx ? (suspect ? KIND_TXN_SUSPECT : KIND_TXN) :
			     (suspect ? KIND_USER_SUSPECT : KIND_USER);

	return generation | FRAME_KIND(kind) | (uint64_t)tx << 8 |
	       (users ? users - 1 : FRAME_NOBODY);
}

static inline bool is_suspect(uint64_t w)
{
	unsigned kind = FRAME_KIND_OF(w);

	return kind == KIND_TXN_SUSPECT || (FRAME_HAS_USERS(w) && kind == KIND_USER_SUSPECT);
}

static inline bool matches(uint64_t w, struct sxsk_buf b)
{
	return w >> 20 == b.id >> 20 && FRAME_HAS_USERS(w);
}

/* What a frame becomes when nobody has it any more: `home`, a HOME(holder) or a FILL(queue), if it can
 * be used again. */
uint64_t sxsk_priv_frame_finished(struct sxsk_priv_pool *pool, uint32_t index, uint64_t generation,
				  bool suspect, uint64_t home);
/* After a word became that: quarantined and retired frames give their unit back now, those that came
 * home give it back when they are in the depot. */
bool sxsk_priv_frame_came_home(struct sxsk_priv_pool *pool, uint32_t index, uint64_t w,
			       enum track_event event);
/* The kernel side named a frame that it does not have. If users hold it, they may go on reading, but
 * its bytes are not theirs alone. */
void sxsk_priv_frame_suspect(struct sxsk_priv_pool *pool, uint32_t index, uint32_t queue);

static inline uint64_t *fill_entry(const struct sxsk_priv_queue *q, uint32_t at)
{
	return (uint64_t *)q->fill.ring + (at & q->fill.mask);
}

#endif
