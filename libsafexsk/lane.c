/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Stocks of free frames (a half's, a lane's) and their way from and to the depot. A stock has one
 * thread; only the depot is shared. Frames in a stock have their units.
 */
#include "frame.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Would the caller, who has its units already, leave less in the depot than is kept for others? Two at a
 * time count both, and may both be told so: never the one frame too many. */
static bool kept_for_others(struct sxsk_priv_pool *pool, uint32_t quota)
{
	uint32_t kept = load_relaxed(&pool->kept);

	return unlikely(kept > quota) &&
	       UNITS_FRAMES(load_relaxed(&pool->units)) + load_relaxed(&pool->lost) + kept - quota >
		       pool->count;
}

/* Frames of the depot's, HOME(depot) still: as many magazines as `most` frames hold, one at least; and as
 * many units, of which the caller gives back those that no frame needs. Returns how many frames; 0: none
 * are there, nor units, or what is there is kept for sockets with a quota; `quota` is the caller's own. */
uint32_t sxsk_priv_magazines_take(struct sxsk_priv_pool *pool, uint32_t index[], uint32_t most,
				  uint32_t quota)
{
	uint32_t n = 0;

	prefetch_owned(&pool->depot);
	prefetch_owned(&pool->units);
	/* The units first: the frame must not be out of the depot without one. */
	if (sxsk_priv_depot_empty(pool) ||
	    !sxsk_priv_units_take(pool, load_relaxed(&pool->cookie), most))
		return 0;
	if (!kept_for_others(pool, quota))
		n = sxsk_priv_depot_pop(pool, index, most);
	if (n == 0)
		sxsk_priv_units_give(pool, most);
	return n;
}

/* One magazine from the depot into a stock that has room for it. Returns the frames that came. */
uint32_t sxsk_priv_stock_pull(struct sxsk_priv_pool *pool, struct sxsk_priv_stock *stock)
{
	uint32_t *at = stock->index + stock->n, n, moved;

	do {
		n = sxsk_priv_magazines_take(pool, at, pool->magazine, 0);
		moved = sxsk_priv_frames_move(pool, at, n, HOLDER_DEPOT, stock->holder);
		stock->n += moved;
		if (n > 0 && moved < pool->magazine)
			sxsk_priv_units_give(pool, pool->magazine - moved);
		/* A magazine whose frames are all retired is not an empty depot. */
	} while (n > 0 && moved == 0);
	return moved;
}

/* The oldest n frames of a stock to the depot, and their units back: the last access to the pool. */
void sxsk_priv_stock_spill(struct sxsk_priv_pool *pool, struct sxsk_priv_stock *stock, uint32_t n)
{
	uint32_t out[LANE_MAX], moved;

	if (n == 0)
		return;
	prefetch_owned(&pool->depot);
	prefetch_owned(&pool->units);
	memcpy(out, stock->index, n * sizeof(out[0]));
	stock->n -= n;
	memmove(stock->index, stock->index + n, stock->n * sizeof(out[0]));
	moved = sxsk_priv_frames_move(pool, out, n, stock->holder, HOLDER_DEPOT);
	sxsk_priv_depot_push(pool, out, moved);
	if (moved)
		sxsk_priv_units_give(pool, moved);
}

static void flush(struct sxsk_priv_pool *pool, struct sxsk_priv_lane *lane)
{
	sxsk_priv_stock_spill(pool, &lane->stock, lane->stock.n);
}

/* The pool asks for attention: frames to the depot; an orphaned pool's lane is detached. */
void sxsk_priv_lane_heed(struct sxsk_priv_pool *pool, struct sxsk_priv_lane *lane)
{
	bool orphaned = load_relaxed(&pool->attention) & ATTN_ORPHANED;

	flush(pool, lane);
	if (orphaned)
		lane->cookie = LANE_DETACHED;
}

/* Not the first of the thread's lanes. They keep their order: a signal handler that gives a Buf back may be
 * looking, too, in the middle of this. */
struct sxsk_priv_lane *sxsk_priv_lane_slow(struct sxsk_priv_thread *t, uint64_t cookie)
{
	struct sxsk_priv_lane *lane = t->lanes;

	while (lane && lane->cookie != cookie)
		lane = lane->next;
	return lane;
}

/* A lane that is detached, or whose pool is gone (it is empty then). */
static struct sxsk_priv_lane *reusable(struct sxsk_priv_thread *t)
{
	for (struct sxsk_priv_lane *lane = t->lanes; lane; lane = lane->next) {
		uint32_t slot = (uint32_t)lane->cookie & 0xffff;

		if (lane->cookie == LANE_DETACHED ||
		    load_acquire(&sxsk_priv_registry.pool[slot].cookie) != lane->cookie)
			return lane;
	}
	return NULL;
}

static int new_lane(struct sxsk_priv_lane **ret_lane, struct sxsk_priv_thread *t)
{
	struct sxsk_priv_lane *lane = calloc(1, sizeof(*lane));

	if (!lane)
		return sxsk_priv_fail(ENOMEM, "no memory for a lane");
	lane->stock.holder = sxsk_priv_lane_holder();
	if (lane->stock.holder == 0) {
		free(lane);
		return sxsk_priv_fail(ENFILE, "too many lanes: their numbers are used up");
	}
	lane->next = t->lanes;
	fence_compiler(); /* a signal handler finds the old list, or the new one */
	t->lanes = lane;
	*ret_lane = lane;
	return 0;
}

int sxsk_lane_attach(struct sxsk_pool *cookie)
{
	struct sxsk_priv_thread *t;
	struct sxsk_priv_pool *pool;
	struct sxsk_priv_lane *lane;
	int err = 0;

	if (sxsk_priv_pool_inherited((uint32_t)(uintptr_t)cookie & 0xffff))
		return sxsk_priv_fail(ESHUTDOWN, "the pool belongs to the parent process");
	pool = sxsk_priv_pool_of(cookie, "sxsk_lane_attach");
	if (!pool)
		return -EINVAL;
	if (load_relaxed(&pool->attention) & ATTN_ORPHANED) {
		err = sxsk_priv_fail(ESHUTDOWN, "pool \"%s\" has no owner and no socket left",
				     pool->name);
		sxsk_lane_flush(
			cookie); /* a lane from before goes now, and perhaps the pool with it */
		return err;
	}
	t = thread_self();
	if (!t)
		return -ENOMEM;
	if (lane_of(t, (uint64_t)(uintptr_t)cookie))
		return 0;
	lane = reusable(t);
	if (!lane)
		err = new_lane(&lane, t);
	if (err)
		return err;
	lane->stock.n = 0;
	lane->stock.cap = pool->lane_max;
	fence_compiler(); /* likewise */
	lane->cookie = (uint64_t)(uintptr_t)cookie;
	return 0;
}

static struct sxsk_priv_lane *own_lane(struct sxsk_pool *cookie, struct sxsk_priv_pool **ret_pool,
				       const char *function)
{
	struct sxsk_priv_thread *t = sxsk_priv_thread_self;

	if (sxsk_priv_pool_inherited((uint32_t)(uintptr_t)cookie & 0xffff))
		return NULL;
	*ret_pool = sxsk_priv_pool_of(cookie, function);
	return *ret_pool && t ? lane_of(t, (uint64_t)(uintptr_t)cookie) : NULL;
}

void sxsk_lane_flush(struct sxsk_pool *cookie)
{
	struct sxsk_priv_pool *pool;
	struct sxsk_priv_lane *lane = own_lane(cookie, &pool, "sxsk_lane_flush");

	if (lane && lane_enter(sxsk_priv_thread_self)) {
		sxsk_priv_lane_heed(pool, lane);
		lane_leave(sxsk_priv_thread_self);
	}
}

static void detach(struct sxsk_priv_pool *pool, struct sxsk_priv_lane *lane)
{
	lane->cookie = LANE_DETACHED; /* before the flush, which may be the pool's end */
	flush(pool, lane);
}

void sxsk_lane_detach(struct sxsk_pool *cookie)
{
	struct sxsk_priv_pool *pool;
	struct sxsk_priv_lane *lane = own_lane(cookie, &pool, "sxsk_lane_detach");

	if (lane && lane_enter(sxsk_priv_thread_self)) {
		detach(pool, lane);
		lane_leave(sxsk_priv_thread_self);
	}
}

/* At thread exit. The lanes stay with the thread's record, for the next thread that gets it. */
void sxsk_priv_lanes_of_exiting(struct sxsk_priv_thread *t)
{
	for (struct sxsk_priv_lane *lane = t->lanes; lane; lane = lane->next) {
		struct sxsk_priv_pool *pool = &sxsk_priv_registry.pool[lane->cookie & 0xffff];

		if (load_acquire(&pool->cookie) == lane->cookie)
			detach(pool, lane);
		lane->cookie = LANE_DETACHED;
	}
}
