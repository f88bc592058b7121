/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The depot: a stack of magazines, linked through the frames' link words.
 *
 *    head {tag 40, index 24} --> first frame of the top magazine
 *    links[frame 0 of it] = {frame 1 24, first frame of the next magazine 24, frames 16}
 *    links[frame j of it] = {frames 3j-1, 3j, 3j+1: 21 bits each}
 *
 * A magazine comes from another thread as a rule, its links in that processor's cache: so its frames are
 * a tree, of which a third have links to read, and most of those not one after the other.
 *
 * A Treiber stack (IBM RJ 5118, 1986) of magazines (Bonwick and Adams, USENIX 2001). The tag, bumped
 * by each pop, keeps a pop that read a magazine's link, slept, and found the same magazine on top
 * again from installing a stale link: its compare-and-swap fails. 40 bits take years at full speed.
 * Links are relaxed atomics: a pop may read one while its owner rewrites it, and then fails likewise.
 *
 * Orders: a push is seq_cst, which includes the release that hands the magazine's links and words
 * to whoever pops it (acquire); seq_cst because the pusher then looks at `attention`, while a hungry
 * waiter sets `attention` and then looks at the head: one of the two sees the other.
 */
#include "frame.h"
#include "harden.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#define LINK(next, next_magazine, n)                                                               \
	((uint64_t)(next) | (uint64_t)(next_magazine) << 24 | (uint64_t)(n) << 48)
#define LINK_NEXT(l) ((uint32_t)(l)&0xffffffu)
#define LINK_MAGAZINE(l) ((uint32_t)((l) >> 24) & 0xffffffu)
#define LINK_COUNT(l) ((uint32_t)((l) >> 48))
#define BRANCHES 3
#define BRANCH_BITS 21
#define LINK_TO(a, b, c)                                                                           \
	((uint64_t)(a) | (uint64_t)(b) << BRANCH_BITS | (uint64_t)(c) << 2 * BRANCH_BITS)
#define POP_MAX 4u /* magazines at a time */
#define HEAD_INDEX(h) ((uint32_t)(h)&0xffffffu)
#define HEAD_TAG(h) ((h) & ~0xffffffull)
#define HEAD_TAG_ONE (1ull << 24)

/* Somebody sleeps until a frame comes home: whoever clears the bit wakes them all. */
static void feed_the_hungry(struct sxsk_priv_pool *pool)
{
	if (unlikely(load_seq_cst(&pool->attention) & ATTN_HUNGRY) &&
	    (fetch_and_seq_cst(&pool->attention, ~ATTN_HUNGRY) & ATTN_HUNGRY)) {
		uint64_t one = 1;
		ssize_t done = write(pool->eventfd, &one, sizeof(one));

		(void)done; /* the counter is never read: it overflows after 2^64 wakes */
	}
}

/* Link one magazine's frames after its first, whose link the caller writes. */
static void tie(struct sxsk_priv_pool *pool, const uint32_t index[], uint32_t n)
{
	atomic_u64 *links = pool->links;
	const uint32_t *to = index + 2, *end = index + n;

	for (index++; end - to >= BRANCHES; index++, to += BRANCHES)
		store_relaxed(&links[*index], LINK_TO(to[0], to[1], to[2]));
	if (to < end)
		store_relaxed(&links[*index], LINK_TO(to[0], to + 1 < end ? to[1] : 0, 0));
}

static inline uint32_t branch(struct sxsk_priv_pool *pool, uint64_t link, unsigned i)
{
	uint32_t index = (uint32_t)(link >> i * BRANCH_BITS) & ((1u << BRANCH_BITS) - 1);

	prefetch_owned(&pool->words[index]);
	return index;
}

/* The opposite: index[0] and [1] are known. The frames' words, which their new owner writes next, get on
 * their way. */
static void untie(struct sxsk_priv_pool *pool, uint32_t index[], uint32_t n)
{
	uint32_t *to = index + 2, *end = index + n;
	uint64_t link;

	for (index++; end - to >= BRANCHES; index++, to += BRANCHES) {
		link = load_relaxed(&pool->links[*index]);
		to[0] = branch(pool, link, 0);
		to[1] = branch(pool, link, 1);
		to[2] = branch(pool, link, 2);
	}
	if (to < end) {
		link = load_relaxed(&pool->links[*index]);
		for (unsigned i = 0; to < end; i++)
			*to++ = branch(pool, link, i);
	}
}

/* ---- as a queue: late reuse, at the price of a lock -------------------------------------------------- */

/* A signal handler may give a Buf back: not while its thread has the lock. */
static void fifo_lock(struct sxsk_priv_fifo *q, sigset_t *ret_signals)
{
	sigset_t all;

	sigfillset(&all);
	(void)pthread_sigmask(SIG_BLOCK, &all, ret_signals);
	pthread_mutex_lock(&q->lock);
}

static void fifo_unlock(struct sxsk_priv_fifo *q, const sigset_t *signals)
{
	pthread_mutex_unlock(&q->lock);
	(void)pthread_sigmask(SIG_SETMASK, signals, NULL);
}

int sxsk_priv_fifo_create(struct sxsk_priv_pool *pool)
{
	const int err = sxsk_priv_map(&pool->fifo_memory,
				      sizeof(*pool->fifo) + pool->count * sizeof(uint32_t), 0, 0,
				      "a queue of free frames");

	if (err)
		return err;
	pool->fifo = (struct sxsk_priv_fifo *)(void *)pool->fifo_memory.data;
	pthread_mutex_init(&pool->fifo->lock, NULL);
	return 0;
}

void sxsk_priv_fifo_destroy(struct sxsk_priv_pool *pool)
{
	sxsk_priv_unmap(&pool->fifo_memory); /* perhaps in a signal handler: no free() */
	pool->fifo = NULL;
}

static void fifo_push(struct sxsk_priv_pool *pool, const uint32_t index[], uint32_t n)
{
	struct sxsk_priv_fifo *q = pool->fifo;
	sigset_t signals;

	fifo_lock(q, &signals);
	for (uint32_t i = 0; i < n; i++)
		q->index[(q->head + q->n++) % pool->count] = index[i];
	fifo_unlock(q, &signals);
}

static uint32_t fifo_pop(struct sxsk_priv_pool *pool, uint32_t index[])
{
	struct sxsk_priv_fifo *q = pool->fifo;
	sigset_t signals;
	uint32_t n;

	fifo_lock(q, &signals);
	n = q->n < pool->magazine ? q->n : pool->magazine;
	for (uint32_t i = 0; i < n; i++)
		index[i] = q->index[(q->head + i) % pool->count];
	q->head = (q->head + n) % pool->count;
	q->n -= n;
	fifo_unlock(q, &signals);
	return n;
}

static bool fifo_empty(struct sxsk_priv_pool *pool)
{
	struct sxsk_priv_fifo *q = pool->fifo;
	sigset_t signals;
	bool empty;

	fifo_lock(q, &signals);
	empty = q->n == 0;
	fifo_unlock(q, &signals);
	return empty;
}

/* ---- as a stack --------------------------------------------------------------------------------------- */

/* Push frames that are HOME(depot) already, as magazines, with one compare-and-swap for all. Their
 * units are the caller's to give back afterwards. */
void sxsk_priv_depot_push(struct sxsk_priv_pool *pool, const uint32_t index[], uint32_t n)
{
	uint32_t size = pool->magazine, last = 0;
	uint64_t head = load_relaxed(&pool->depot), link;

	if (n == 0)
		return;
	if (unlikely(pool->fifo)) {
		fifo_push(pool, index, n);
		fence_seq_cst();
		feed_the_hungry(pool);
		return;
	}
	for (uint32_t at = 0; at < n; at += size) {
		uint32_t k = n - at < size ? n - at : size;

		tie(pool, index + at, k);
		last = at;
		store_relaxed(&pool->links[index[at]],
			      LINK(k > 1 ? index[at + 1] : NIL,
				   at + size < n ? index[at + size] : NIL, k));
	}
	link = load_relaxed(&pool->links[index[last]]);
	do
		store_relaxed(&pool->links[index[last]],
			      LINK(LINK_NEXT(link), HEAD_INDEX(head), LINK_COUNT(link)));
	while (!cas_seq_cst(&pool->depot, &head, HEAD_TAG(head) | index[0]));
	feed_the_hungry(pool);
}

struct popped {
	uint32_t magazines, next;
	struct {
		uint32_t first;
		uint64_t link;
	} of[POP_MAX];
};

/* The top magazines, of `most` frames at most, or the first alone. They are somebody else's while we
 * look: whatever the links say, and then the compare-and-swap fails, or the truth. */
static void look_at_top(struct sxsk_priv_pool *pool, uint64_t head, uint32_t most, struct popped *p)
{
	uint32_t n = 0;

	p->magazines = 0;
	p->next = HEAD_INDEX(head);
	do {
		uint64_t link = load_relaxed(&pool->links[p->next]);

		n += LINK_COUNT(link);
		if (p->magazines > 0 && n > most)
			return;
		p->of[p->magazines].first = p->next;
		p->of[p->magazines++].link = link;
		p->next = LINK_MAGAZINE(link);
	} while (p->next < pool->count && p->magazines < POP_MAX);
}

/* Pop as many magazines as `most` frames hold, one at least. The caller has that many units, and no
 * less than for one magazine. One compare-and-swap for all. */
uint32_t sxsk_priv_depot_pop(struct sxsk_priv_pool *pool, uint32_t index[], uint32_t most)
{
	uint64_t head = load_acquire(&pool->depot);
	struct popped p;
	uint32_t n = 0;

	if (unlikely(pool->fifo))
		return fifo_pop(pool, index);
	do {
		if (HEAD_INDEX(head) == NIL)
			return 0;
		look_at_top(pool, head, most, &p);
	} while (!cas_acquire(&pool->depot, &head, (HEAD_TAG(head) + HEAD_TAG_ONE) | p.next));
	/* Ours alone now, and the links as they were read: they are rewritten by another owner only
	 * after a pop, which changes the tag, and then the swap fails. */
	for (uint32_t i = 0; i < p.magazines; i++) {
		uint32_t k = LINK_COUNT(p.of[i].link);

		index[n] = p.of[i].first;
		prefetch_owned(&pool->words[index[n]]);
		if (k > 1) {
			index[n + 1] = LINK_NEXT(p.of[i].link);
			prefetch_owned(&pool->words[index[n + 1]]);
		}
		untie(pool, index + n, k);
		n += k;
	}
	return n;
}

bool sxsk_priv_depot_empty(struct sxsk_priv_pool *pool)
{
	if (unlikely(pool->fifo))
		return fifo_empty(pool);
	return HEAD_INDEX(load_seq_cst(&pool->depot)) == NIL;
}
