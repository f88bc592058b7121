/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Between two threads: rings with one producer and one consumer, as the kernel's are, without locks
 * and read-modify-writes. Each side keeps the other's index in a copy, and looks at the real one only
 * when the copy does not suffice, so that a burst costs one write to a shared line (Lamport 1977; the
 * copies: FastForward, 2008).
 */
#ifndef SXSK_BENCH_LINK_H
#define SXSK_BENCH_LINK_H

#include <linux/if_xdp.h>
#include <safexsk/buf.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define LINK_SIZE 1024u /* entries, a power of two; four bursts of the largest size */

struct spsc {
	_Alignas(64) _Atomic uint32_t tail; /* the producer's */
	uint32_t seen_head;
	_Alignas(64) _Atomic uint32_t head; /* the consumer's */
	uint32_t seen_tail;
};

/* Producer: how many entries are free; looked up if that seems to be less than n. Entries lie at
 * (tail + i) % LINK_SIZE. */
static inline uint32_t spsc_room(struct spsc *q, uint32_t n)
{
	uint32_t tail = atomic_load_explicit(&q->tail, memory_order_relaxed);

	if (LINK_SIZE - (tail - q->seen_head) < n)
		q->seen_head = atomic_load_explicit(&q->head, memory_order_acquire);
	return LINK_SIZE - (tail - q->seen_head);
}

static inline uint32_t spsc_tail(struct spsc *q)
{
	return atomic_load_explicit(&q->tail, memory_order_relaxed);
}

static inline void spsc_publish(struct spsc *q, uint32_t n)
{
	atomic_store_explicit(&q->tail, spsc_tail(q) + n, memory_order_release);
}

/* Consumer: how many entries are there, up to n. Entries lie at (head + i) % LINK_SIZE. */
static inline uint32_t spsc_ready(struct spsc *q, uint32_t n)
{
	uint32_t head = atomic_load_explicit(&q->head, memory_order_relaxed);

	if (q->seen_tail - head < n)
		q->seen_tail = atomic_load_explicit(&q->tail, memory_order_acquire);
	return q->seen_tail - head < n ? q->seen_tail - head : n;
}

static inline uint32_t spsc_head(struct spsc *q)
{
	return atomic_load_explicit(&q->head, memory_order_relaxed);
}

static inline void spsc_release(struct spsc *q, uint32_t n)
{
	atomic_store_explicit(&q->head, spsc_head(q) + n, memory_order_release);
}

/* From the receiver to its partner, and back. */
struct link {
	struct spsc to, back;
	_Alignas(64) atomic_bool running, stop; /* the partner */
	uint32_t burst;                         /* packets it takes at a time */
	_Alignas(64) _Atomic uint64_t done;     /* packets that it is done with */
	union {
		_Alignas(64) struct xdp_desc desc[LINK_SIZE];
		struct sxsk_buf buf[LINK_SIZE];
		void *object[LINK_SIZE];
	};
	union { /* on the way back */
		_Alignas(64) uint64_t address[LINK_SIZE];
		struct sxsk_buf back_buf[LINK_SIZE];
	};
};

/* The partner: how many packets it may take, whose frames find room on the way back. */
static inline uint32_t link_ready(struct link *l)
{
	uint32_t n = spsc_ready(&l->to, l->burst), room = spsc_room(&l->back, n);

	return n < room ? n : room;
}

/* Bursts start at a multiple of their size as a rule; otherwise one ends where the ring does. */
static inline uint32_t link_up_to_wrap(uint32_t at, uint32_t n)
{
	uint32_t left = LINK_SIZE - at % LINK_SIZE;

	return n < left ? n : left;
}

struct link *link_new(void);
void link_free(struct link *l);

/* Nothing to do for the moment. */
void link_relax(void);

static inline bool link_stopped(struct link *l)
{
	return atomic_load_explicit(&l->stop, memory_order_relaxed);
}

static inline void link_done(struct link *l, uint32_t n)
{
	uint64_t done = atomic_load_explicit(&l->done, memory_order_relaxed);

	atomic_store_explicit(&l->done, done + n, memory_order_release);
}

static inline uint64_t link_is_done(struct link *l)
{
	return atomic_load_explicit(&l->done, memory_order_acquire);
}

#endif
