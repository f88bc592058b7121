/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The state machine of a frame: every change of a word is here, and in frame_io.c, what the kernel's rings
 * have a part in.
 *
 * Orders. A frame goes from thread to thread through the depot (release push, acquire pop), through
 * the kernel's rings (release producer, acquire consumer), or as a Buf that the user hands over with
 * an ordering of his own. So the plain transitions of a frame that one owner holds alone are relaxed
 * stores after a compare: no other thread may change the word then, but through misuse, and misuse
 * is what the compare looks for. Words that several owners may change at a time (references,
 * transmissions beside them) change by compare-and-swap of the whole word: comparing one count only
 * would bring a frame home twice. A decrement releases, and whoever makes zero acquires.
 *
 * In a burst each element is checked, stored, and only then the next is loaded: one handle twice in
 * a burst is found by its second occurrence.
 */
#include "frame_inner.h"
#include "runs.h"

#include <string.h>

/* ---- what becomes of a frame -------------------------------------------------------------------------- */

/* Relaxed: for quotas, which are of frames by the hundred. */
static void lose(struct sxsk_priv_pool *pool, uint32_t n)
{
	(void)fetch_add_relaxed(&pool->lost, n);
}

uint64_t sxsk_priv_frame_finished(struct sxsk_priv_pool *pool, uint32_t index, uint64_t generation,
				  bool suspect, uint64_t home)
{
	if (suspect)
		return generation | FRAME_QUARANTINED(load_relaxed(&pool->notes[index]));
	if (generation & FRAME_USED_UP)
		return generation | FRAME_RETIRED;
	return generation | home;
}

bool sxsk_priv_frame_came_home(struct sxsk_priv_pool *pool, uint32_t index, uint64_t w,
			       enum track_event event)
{
	if (FRAME_KIND_OF(w) == KIND_HOME || FRAME_KIND_OF(w) == KIND_FILL) {
		track(pool, index, event);
		return true;
	}
	track(pool, index, TRACK_LOST);
	lose(pool, 1);
	sxsk_priv_units_give(pool, UNIT_FRAME);
	return false;
}

/* A frame cannot leave the stock that has its number: two threads misused one reference at the same
 * instant and both took it home. It stays with the other. */
static __attribute__((noinline)) void cannot_leave(struct sxsk_priv_pool *pool, uint32_t index,
						   uint32_t holder)
{
	sxsk_priv_misuse(
		SXSK_MISUSE_CORRUPT, "free frames", pool, index,
		"frame %u of pool \"%s\" is not in stock %u any more: two threads gave one "
		"reference back at the same time",
		index, pool->name, holder);
}

/* ---- suspects: the kernel may write to a frame that users hold ------------------------------------- */

/* Note which queue's end a suspect waits for; a second queue makes it wait for ever. The note has a
 * place of its own: a user may give the frame back before the word says that it is a suspect, and then
 * its link is the depot's. */
static void note_suspect(struct sxsk_priv_pool *pool, uint32_t index, uint64_t w, uint32_t queue)
{
	uint32_t noted = load_relaxed(&pool->notes[index]);

	store_relaxed(&pool->notes[index], is_suspect(w) && noted != queue ? FRAME_FOREVER : queue);
}

void sxsk_priv_frame_suspect(struct sxsk_priv_pool *pool, uint32_t index, uint32_t queue)
{
	uint64_t w;

	pthread_mutex_lock(&pool->suspects);
	w = frame_word(pool, index);
	while (FRAME_HAS_USERS(w)) {
		note_suspect(pool, index, w, queue);
		if (frame_change(pool, index, &w,
				 held(generation_of(w), FRAME_USERS_OF(w), FRAME_TX_OF(w), true)))
			break;
	}
	pthread_mutex_unlock(&pool->suspects);
}

uint32_t sxsk_priv_frame_abandon_tx(struct sxsk_priv_pool *pool, uint32_t index, uint32_t queue)
{
	uint64_t w, next;

	pthread_mutex_lock(&pool->suspects);
	w = frame_word(pool, index);
	do {
		uint32_t users = FRAME_USERS_OF(w), tx = FRAME_TX_OF(w) - 1;

		note_suspect(pool, index, w, queue);
		next = users || tx ?
			       held(generation_of(w), users, tx, true) :
			       sxsk_priv_frame_finished(pool, index, generation_of(w), true, 0);
	} while (!frame_change(pool, index, &w, next));
	pthread_mutex_unlock(&pool->suspects);
	if (FRAME_KIND_OF(next) != KIND_QUARANTINED || FRAME_HAS_USERS(next))
		return 0;
	lose(pool, 1);
	return 1;
}

/* ---- free frames: HOME -> FILL, USER, HOME -------------------------------------------------------- */

/* HOME(holder) -> `to` (a low part) for one frame, if it is where its number was found. Returns its
 * generation, or NOT_HOME. */
#define NOT_HOME (~0ull)

static __attribute__((noinline)) uint64_t leave_home_hardened(struct sxsk_priv_pool *pool,
							      uint32_t f, uint64_t home,
							      uint64_t to, enum track_event event)
{
	uint64_t w = frame_word(pool, f), generation = generation_of(w);

	if (w != (generation | home) || !frame_change(pool, f, &w, generation | to)) {
		cannot_leave(pool, f, (uint32_t)(home & 0xffff));
		return NOT_HOME;
	}
	track(pool, f, event);
	return generation;
}

static inline __attribute__((always_inline)) uint64_t leave_home(struct sxsk_priv_pool *pool,
								 uint64_t f, uint64_t home,
								 uint64_t to,
								 enum track_event event)
{
	/* The generation, if the frame is there. */
	uint64_t x = load_relaxed(&pool->words[f]) - f - home;

	if (unlikely(x & FRAME_LOW)) {
		cannot_leave(pool, (uint32_t)f, (uint32_t)(home & 0xffff));
		return NOT_HOME;
	}
	if (unlikely(hardened(pool)))
		return leave_home_hardened(pool, (uint32_t)f, home, to, event);
	frame_become(pool, f, x + to);
	return x;
}

uint32_t sxsk_priv_frames_fill(struct sxsk_priv_pool *pool, struct sxsk_priv_queue *q,
			       struct sxsk_priv_stock *stock, uint32_t n, uint32_t at)
{
	const uint64_t home = FRAME_HOME(stock->holder), filled = FRAME_FILL(q->id);
	const uint32_t first = at & q->fill.mask, room = q->fill.size - first;
	const uint32_t *top = stock->index + stock->n;
	uint64_t *ring = (uint64_t *)q->fill.ring + first;
	uint32_t i = 0, m = 0;

	n = n < room ? n : room; /* up to the ring's wrap: the caller comes again */
	while (i < n) {
		uint32_t run = unlikely(hardened(pool)) ?
				       0 :
				       fill_run(pool, top - i, n - i, home, filled, ring + m);

		i += run;
		m += run;
		if (unlikely(run == 0)) {
			uint64_t f = top[-1 - (int)i++];

			if (leave_home(pool, f, home, filled, TRACK_FILLED) != NOT_HOME)
				ring[m++] = f * pool->chunk;
		}
	}
	stock->n -= n;
	return m;
}

/* Of a new Buf: empty, behind the headroom. */
static inline uint64_t alloc_view(const struct sxsk_priv_pool *pool)
{
	return buf_view(pool->slot, (uint64_t)KERNEL_HEADROOM + pool->headroom);
}

/* One by one: hardened, or some are not where their number was found. */
static __attribute__((noinline)) uint32_t alloc_rest(struct sxsk_priv_pool *pool,
						     struct sxsk_priv_stock *stock, uint32_t n,
						     struct sxsk_buf bufs[])
{
	const uint64_t home = FRAME_HOME(stock->holder), view = alloc_view(pool);
	uint32_t m = 0;

	for (uint32_t i = 0; i < n; i++) {
		uint64_t f = stock->index[--stock->n],
			 generation = leave_home(pool, f, home, FRAME_UNIQUE, TRACK_ALLOCATED);

		if (generation != NOT_HOME)
			set_buf(&bufs[m++], generation | f, view);
	}
	return m;
}

uint32_t sxsk_priv_frames_alloc(struct sxsk_priv_pool *pool, struct sxsk_priv_stock *stock,
				uint32_t n, struct sxsk_buf bufs[])
{
	uint32_t m = 0;

	if (likely(!hardened(pool)))
		m = alloc_run(pool, stock->index + stock->n, n, FRAME_HOME(stock->holder),
			      alloc_view(pool), bufs);
	stock->n -= m;
	return likely(m == n) ? m : m + alloc_rest(pool, stock, n - m, bufs + m);
}

uint32_t sxsk_priv_frames_move(struct sxsk_priv_pool *pool, uint32_t index[], uint32_t n,
			       uint32_t from, uint32_t to)
{
	uint32_t i = 0, m = 0;

	while (i < n) {
		uint32_t run =
			unlikely(hardened(pool)) ?
				0 :
				move_run(pool, index + i, n - i, FRAME_HOME(from), FRAME_HOME(to));

		if (m < i)
			memmove(index + m, index + i, run * sizeof(index[0]));
		i += run;
		m += run;
		if (unlikely(run == 0)) {
			uint32_t f = index[i++];

			if (leave_home(pool, f, FRAME_HOME(from), FRAME_HOME(to), TRACK_NONE) !=
			    NOT_HOME)
				index[m++] = f;
		}
	}
	return m;
}

/* ---- references ------------------------------------------------------------------------------------ */

bool sxsk_priv_frame_ref(struct sxsk_priv_pool *pool, struct sxsk_buf b)
{
	uint32_t index = sxsk_buf_index(b);
	uint64_t w = frame_word(pool, index);

	/* Never a blind add: it would revive a frame whose last reference just went. */
	do {
		if (!matches(w, b)) {
			sxsk_priv_misuse_buf(b, "sxsk_buf_ref");
			return false;
		}
		if (FRAME_USERS_OF(w) == SXSK_MAX_REFS) {
			(void)sxsk_priv_fail(12 /* ENOMEM */,
					     "frame %u of pool \"%s\" has %u references already",
					     sxsk_buf_index(b), pool->name, SXSK_MAX_REFS);
			return false;
		}
	} while (!frame_change(pool, index, &w, w + 1));
	track(pool, index, TRACK_REFERENCED);
	return true;
}

/* The general unref, by compare-and-swap. True: the frame became `home`. */
static __attribute__((noinline)) bool release(struct sxsk_priv_pool *pool, struct sxsk_buf *b,
					      uint64_t home, const char *function)
{
	uint32_t index = sxsk_buf_index(*b);
	uint64_t w = frame_word(pool, index), next;

	do {
		uint64_t generation = generation_of(w);
		uint32_t tx = FRAME_TX_OF(w);

		if (!matches(w, *b)) {
			sxsk_priv_misuse_buf(*b, function);
			*b = (struct sxsk_buf){ 0 };
			return false;
		}
		if (FRAME_USERS_OF(w) > 1)
			next = w - 1;
		else if (tx)
			next = held(generation + FRAME_GENERATION, 0, tx, is_suspect(w));
		else
			next = sxsk_priv_frame_finished(pool, index, generation + FRAME_GENERATION,
							is_suspect(w), home);
	} while (!frame_change(pool, index, &w, next));
	if (FRAME_HAS_USERS(next) || FRAME_TX_OF(w)) {
		track(pool, index, TRACK_UNREFERENCED);
		return false;
	}
	return sxsk_priv_frame_came_home(pool, index, next, TRACK_FREED);
}

/* Where events are noted, the note comes after the reference has gone, and with it perhaps the pool: a unit
 * keeps that for so long. */
static __attribute__((noinline, cold)) bool
release_noted(struct sxsk_priv_pool *pool, struct sxsk_buf *b, uint64_t home, const char *function)
{
	const bool kept = sxsk_priv_units_take(pool, load_relaxed(&pool->cookie), UNIT_FRAME);
	const bool came_home = release(pool, b, home, function);

	if (kept)
		sxsk_priv_units_give(pool, UNIT_FRAME);
	return came_home;
}

uint32_t sxsk_priv_frames_unref(struct sxsk_priv_pool *pool, struct sxsk_buf bufs[], uint32_t n,
				uint32_t holder, uint32_t index[], uint32_t *ret_home,
				const char *function)
{
	const uint64_t freed = FRAME_GENERATION + FRAME_HOME(holder);
	uint32_t i = 0, home = 0;

	while (i < n && likely(bufs[i].pool == pool->slot)) {
		uint32_t run = unlikely(hardened(pool)) ?
				       0 :
				       unref_run(pool, bufs + i, n - i, freed, index + home);

		i += run;
		home += run;
		if (unlikely(run == 0)) {
			if ((unlikely(hardened(pool)) ? release_noted : release)(
				    pool, &bufs[i], FRAME_HOME(holder), function))
				index[home++] = sxsk_buf_index(bufs[i]);
			i++;
		}
	}
	*ret_home = home;
	return i;
}

uint32_t sxsk_priv_frames_recycle(struct sxsk_priv_pool *pool, struct sxsk_priv_queue *q,
				  const struct sxsk_buf bufs[], uint32_t n, uint32_t at)
{
	const uint32_t room = q->fill.size - (at & q->fill.mask);

	return recycle_run(pool, bufs, n < room ? n : room, FRAME_GENERATION + FRAME_FILL(q->id),
			   fill_entry(q, at));
}

uint32_t sxsk_priv_frames_recycle_rest(struct sxsk_priv_pool *pool, struct sxsk_priv_queue *q,
				       struct sxsk_buf bufs[], uint32_t n, uint32_t at,
				       uint32_t *filled, const char *function)
{
	uint32_t i = 0;

	while (i < n && bufs[i].pool == pool->slot) {
		uint32_t run = sxsk_priv_frames_recycle(pool, q, bufs + i, n - i, at + *filled);

		i += run;
		*filled += run;
		if (run == 0) {
			if (release(pool, &bufs[i], FRAME_FILL(q->id), function))
				*fill_entry(q, at + (*filled)++) =
					(uint64_t)sxsk_buf_index(bufs[i]) * pool->chunk;
			i++;
		}
	}
	return i;
}

/* ---- close and quarantine, walks of the whole table --------------------------------------------------- */

uint32_t sxsk_priv_frames_abandon(struct sxsk_priv_pool *pool, uint32_t queue, bool unbound)
{
	uint32_t home[MAGAZINE_MAX] = { 0 }, n = 0, left = 0;

	for (uint32_t i = 0; i < pool->count; i++) {
		uint64_t w = frame_word(pool, i), low = w & FRAME_LOW;

		if (low != FRAME_FILL(queue) && low != FRAME_TX1(queue))
			continue;
		left++;
		if (!unbound) {
			frame_become(pool, i, generation_of(w) | FRAME_QUARANTINED(queue));
			continue;
		}
		frame_become(pool, i, generation_of(w) | FRAME_HOME(HOLDER_DEPOT));
		home[n++] = i;
		if (n == MAGAZINE_MAX) {
			sxsk_priv_depot_push(pool, home, n);
			n = 0;
		}
	}
	sxsk_priv_depot_push(pool, home, n);
	if (!unbound)
		lose(pool, left);
	return left;
}

/* The kernel was done with it before its users were (or another socket's transmission is): it is no
 * suspect any more. */
static void acquit(struct sxsk_priv_pool *pool, uint32_t index, uint32_t queue)
{
	uint64_t w;

	pthread_mutex_lock(&pool->suspects);
	w = frame_word(pool, index);
	while (is_suspect(w) && load_relaxed(&pool->notes[index]) == queue &&
	       !frame_change(pool, index, &w,
			     held(generation_of(w), FRAME_USERS_OF(w), FRAME_TX_OF(w), false)))
		; /* somebody gave a reference back: look again */
	pthread_mutex_unlock(&pool->suspects);
}

uint32_t sxsk_priv_frames_release(struct sxsk_priv_pool *pool, uint32_t queue)
{
	uint32_t home[MAGAZINE_MAX], n = 0, released = 0;

	for (uint32_t i = 0; i < pool->count; i++) {
		uint64_t w = frame_word(pool, i), next;

		if (is_suspect(w)) {
			acquit(pool, i, queue);
			w = frame_word(pool, i); /* quarantined meanwhile? */
		}
		if ((w & FRAME_LOW) != FRAME_QUARANTINED(queue))
			continue;
		next = sxsk_priv_frame_finished(pool, i, generation_of(w), false,
						FRAME_HOME(HOLDER_DEPOT));
		if (!frame_change(pool, i, &w, next))
			continue;
		released++;
		if (FRAME_KIND_OF(next) != KIND_HOME)
			continue;
		lose(pool, -1u);
		track(pool, i, TRACK_CAME_HOME);
		home[n++] = i;
		if (n == MAGAZINE_MAX) {
			sxsk_priv_depot_push(pool, home, n);
			n = 0;
		}
	}
	sxsk_priv_depot_push(pool, home, n);
	return released;
}
