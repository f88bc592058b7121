/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The frame's word, and the functions that change it. No other file writes a word.
 *
 *   63                                20 19 18  16 15            0
 *   +----------------------------------+--+------+---------------+
 *   |            generation            |n | kind |    detail     |
 *   +----------------------------------+--+------+---------------+
 *   n = nobody has a reference. Generation 0 is never valid.
 *
 *   n  kind         detail                        meaning
 *   0  USER         {0, users - 1}                held by users, 1..255
 *   0  TXN          {transmissions, users - 1}    held by users and being sent
 *   0  USER_SUSPECT, TXN_SUSPECT                  the same, and the kernel may write to it: readable,
 *                                                 sendable, not mutable; ends in quarantine
 *   1  HOME         holder                        free, in that stock or lane, or in the depot (0)
 *   1  FILL         queue                         given to the kernel for receiving
 *   1  TX1          queue                         one transmission, no user
 *   1  TXN          {transmissions, 0}            several transmissions, or one in a ledger
 *   1  TXN_SUSPECT  {transmissions, 0}            the same, ends in quarantine
 *   1  QUARANTINED  queue, 65535 = for ever       the kernel may still write to it
 *   1  RETIRED      0                             generation used up
 *
 * The generation grows when the last user reference goes, whatever the frame becomes.
 *
 * What is stored is the word plus the frame's index. The one state that every packet passes through and
 * every access asks for, USER with one user, is zero: stored, it is the very id of the handle that may
 * touch the frame, and the check is one comparison with memory. A stored zero is no frame's. The hot
 * loops (runs.h) and the public accessors (buf.h) work on stored words, all others on words.
 */
#ifndef SXSK_PRIV_FRAME_H
#define SXSK_PRIV_FRAME_H

#include "internal.h"

enum frame_kind {
	/* with users */
	KIND_USER = 0,
	KIND_TXN = 1,
	KIND_USER_SUSPECT = 2,
	KIND_TXN_SUSPECT = 3,
	/* without: KIND_TXN and KIND_TXN_SUSPECT again, and */
	KIND_HOME = 0,
	KIND_FILL = 2,
	KIND_TX1 = 4,
	KIND_QUARANTINED = 5,
	KIND_RETIRED = 6,
};

#define FRAME_LOW SXSK_PRIV_LOW /* nobody, kind, detail; and the handle's index */
#define FRAME_NOBODY SXSK_PRIV_NOBODY
#define FRAME_KIND(k) ((uint64_t)(k) << 16)
#define FRAME_GENERATION (1ull << 20) /* one generation */
/* The top bit of the generation says that it is used up: no handle has it. The frame retires with its last
 * reference, or transmission. */
#define FRAME_USED_UP (1ull << 63)
#define FRAME_FOREVER 65535u

#define FRAME_UNIQUE FRAME_KIND(KIND_USER) /* one user, no transmission */
#define FRAME_FREE(k, detail) (FRAME_NOBODY | FRAME_KIND(k) | (uint64_t)(detail))
#define FRAME_HOME(holder) FRAME_FREE(KIND_HOME, holder)
#define FRAME_FILL(queue) FRAME_FREE(KIND_FILL, queue)
#define FRAME_TX1(queue) FRAME_FREE(KIND_TX1, queue)
#define FRAME_QUARANTINED(queue) FRAME_FREE(KIND_QUARANTINED, queue)
#define FRAME_RETIRED FRAME_FREE(KIND_RETIRED, 0)

#define FRAME_KIND_OF(w) ((unsigned)((w) >> 16) & 7u)
#define FRAME_HAS_USERS(w) ((w) != 0 && ((w)&FRAME_NOBODY) == 0)
#define FRAME_DETAIL(w) ((uint32_t)(w)&0xffffu)
#define FRAME_USERS_OF(w) (FRAME_HAS_USERS(w) ? ((uint32_t)(w)&0xffu) + 1 : 0)
#define FRAME_TX_OF(w) ((uint32_t)((w) >> 8) & 0xffu)
_Static_assert(FRAME_UNIQUE == 0, "the public accessors and the hot loops count on it");

/* A frame's word; 0 = there is no such frame. */
static inline uint64_t frame_word(const struct sxsk_priv_pool *pool, uint64_t index)
{
	/* Acquire: what the thread that stored it did with the frame. */
	uint64_t stored = load_acquire(&pool->words[index]);

	return stored ? stored - index : 0;
}

/* By the frame's only owner. Relaxed: see frame.c. */
static inline void frame_become(struct sxsk_priv_pool *pool, uint64_t index, uint64_t w)
{
	store_relaxed(&pool->words[index], w + index);
}

/* By one of several owners: the whole word, or nothing, and then *w is what was found. Acquire and
 * release: the last of them sees what the others did. */
static inline bool frame_change(struct sxsk_priv_pool *pool, uint64_t index, uint64_t *w,
				uint64_t next)
{
	uint64_t stored = *w + index;

	if (cas_acq_rel(&pool->words[index], &stored, next + index))
		return true;
	*w = stored ? stored - index : 0;
	return false;
}

/* All take frames or handles of this pool, and move each that is where it should be; the others are
 * skipped and reported (or, where the kernel side named them, counted). A unit is never taken here,
 * and given back only for a frame that ends in quarantine or retires. */

/* RX descriptors [at, at + n) -> bufs, up to the ring's wrap, or to one that is out of the ordinary.
 * Returns how many Bufs; *ret_bytes: their lengths' sum. */
uint32_t sxsk_priv_frames_receive(struct sxsk_priv_socket *s, uint32_t at, uint32_t n,
				  struct sxsk_buf bufs[], uint64_t *ret_bytes);
/* The others, from descriptor r->descs on, which is to be at + that: all but those of a packet whose end
 * has not come. */
struct sxsk_priv_received {
	uint32_t descs, bufs, packets; /* taken; of them given to the user, in so many packets */
	uint64_t bytes;
};
void sxsk_priv_frames_receive_rest(struct sxsk_priv_socket *s, uint32_t at, uint32_t n,
				   struct sxsk_buf bufs[], struct sxsk_priv_received *r);
/* HOME(holder) -> FILL: the top n of the stock into the FILL ring from position `at`. */
uint32_t sxsk_priv_frames_fill(struct sxsk_priv_pool *pool, struct sxsk_priv_queue *q,
			       struct sxsk_priv_stock *stock, uint32_t n, uint32_t at);
/* HOME(holder) -> USER, length 0. */
uint32_t sxsk_priv_frames_alloc(struct sxsk_priv_pool *pool, struct sxsk_priv_stock *stock,
				uint32_t n, struct sxsk_buf bufs[]);
/* HOME(from) -> HOME(to): index[] is compacted to those that moved. */
uint32_t sxsk_priv_frames_move(struct sxsk_priv_pool *pool, uint32_t index[], uint32_t n,
			       uint32_t from, uint32_t to);
/* One reference each of bufs[0..n), as long as they are of this pool; frames whose last it was
 * become HOME(holder) and are written to index[]. Returns how many elements were dealt with. */
uint32_t sxsk_priv_frames_unref(struct sxsk_priv_pool *pool, struct sxsk_buf bufs[], uint32_t n,
				uint32_t holder, uint32_t index[], uint32_t *ret_home,
				const char *function);
/* The same, but frames become FILL, their addresses in the FILL ring from position `at`, where n are
 * free. Up to the ring's wrap, or to a handle that is out of the ordinary: the _rest() function takes
 * those, of this pool; *filled grows by how many frames became FILL. */
uint32_t sxsk_priv_frames_recycle(struct sxsk_priv_pool *pool, struct sxsk_priv_queue *q,
				  const struct sxsk_buf bufs[], uint32_t n, uint32_t at);
uint32_t sxsk_priv_frames_recycle_rest(struct sxsk_priv_pool *pool, struct sxsk_priv_queue *q,
				       struct sxsk_buf bufs[], uint32_t n, uint32_t at,
				       uint32_t *filled, const char *function);
/* USER -> TX for up to n of bufs, whole packets, descriptors into the TX ring from position `at`, at most
 * `room`. Packets that cannot be sent are taken, freed and counted. Returns how many Bufs were taken. */
struct sxsk_priv_sent {
	uint32_t descs, packets;
	uint64_t bytes;
};
uint32_t sxsk_priv_frames_send(struct sxsk_priv_socket *s, struct sxsk_buf bufs[], uint32_t n,
			       uint32_t at, uint32_t room, uint32_t *ret_descs);
/* Completions [at, at + n) -> HOME(holder), written to index[]. Returns how many came home. */
uint32_t sxsk_priv_frames_complete(struct sxsk_priv_socket *s, uint32_t at, uint32_t n,
				   uint32_t holder, uint32_t index[]);
/* Completions [at, at + n) -> FILL of an aligned pool's queue `to`, their addresses in its FILL ring from
 * position `fill_at`, where n are free. Up to a ring's wrap, or to one that is out of the ordinary. Returns
 * how many were taken. */
uint32_t sxsk_priv_frames_complete_fill(struct sxsk_priv_socket *s, uint32_t at, uint32_t n,
					struct sxsk_priv_queue *to, uint32_t fill_at);
/* One more reference. */
bool sxsk_priv_frame_ref(struct sxsk_priv_pool *pool, struct sxsk_buf b);
/* What a closed queue leaves behind. FILL and TX1 of this queue -> QUARANTINED (or, `unbound`, HOME:
 * the kernel never had them). Returns the number of units to give back. */
uint32_t sxsk_priv_frames_abandon(struct sxsk_priv_pool *pool, uint32_t queue, bool unbound);
/* A transmission in the ledger of a closing socket: taken off, the frame is SUSPECT. Returns units. */
uint32_t sxsk_priv_frame_abandon_tx(struct sxsk_priv_pool *pool, uint32_t index, uint32_t queue);
/* QUARANTINED(queue) -> HOME(depot), pushed; suspects of this queue are cleared. Returns how many
 * were released. */
uint32_t sxsk_priv_frames_release(struct sxsk_priv_pool *pool, uint32_t queue);

/* ledger.c */
int sxsk_priv_ledger_create(struct sxsk_priv_ledger *l, uint32_t size);
void sxsk_priv_ledger_destroy(struct sxsk_priv_ledger *l);
bool sxsk_priv_ledger_add(struct sxsk_priv_ledger *l, uint32_t frame);
bool sxsk_priv_ledger_remove(struct sxsk_priv_ledger *l, uint32_t frame);

/* The pool of a handle: when it was checked, its own reference keeps the pool alive; before, it may be no
 * more than a place that can be read. */
static inline struct sxsk_priv_pool *pool_of_buf(struct sxsk_buf b)
{
	return &sxsk_priv_registry.pool[b.pool <= SXSK_MAX_POOLS ? b.pool : 0];
}

static inline struct sxsk_pool *pool_cookie(const struct sxsk_priv_pool *pool)
{
	return (struct sxsk_pool *)(uintptr_t)load_relaxed(
		&((struct sxsk_priv_pool *)(uintptr_t)pool)->cookie);
}

#endif
