/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A bounded queue that hands Bufs from one thread to another: one producer, one consumer, no locks.
 * Moving a Buf is moving its reference, so nothing is counted; the queue's release and acquire are
 * the ordering that the Buf's next owner needs. Packets of several Bufs go in and come out whole.
 *
 *   producer: room, push           consumer: pop
 *
 * Each side keeps the other's index in a copy and reads the real one only when the copy says full or
 * empty, so that a burst costs one write to a shared line (Lamport 1977; the copies: FastForward,
 * 2008, and many after it).
 */
#ifndef SXSK_EXAMPLES_HANDOVER_H
#define SXSK_EXAMPLES_HANDOVER_H

#include <safexsk/safexsk.h>
#include <stdatomic.h>

#define HANDOVER_SIZE 1024u /* Bufs, a power of two */

struct handover {
	_Alignas(64) _Atomic uint32_t tail; /* the producer's */
	uint32_t seen_head;
	_Alignas(64) _Atomic uint32_t head; /* the consumer's */
	uint32_t seen_tail;
	_Alignas(64) struct sxsk_buf bufs[HANDOVER_SIZE];
};

/* Producer: how many Bufs may be pushed; 0 where it is fewer than `least`. */
static inline unsigned handover_room(struct handover *q, unsigned least)
{
	uint32_t tail = atomic_load_explicit(&q->tail, memory_order_relaxed), room;

	if (HANDOVER_SIZE - (tail - q->seen_head) < least)
		q->seen_head = atomic_load_explicit(&q->head, memory_order_acquire);
	room = HANDOVER_SIZE - (tail - q->seen_head);
	return room < least ? 0 : room;
}

/* Producer: n is at most handover_room(). */
static inline void handover_push(struct handover *q, const struct sxsk_buf bufs[], unsigned n)
{
	uint32_t tail = atomic_load_explicit(&q->tail, memory_order_relaxed);

	for (unsigned i = 0; i < n; i++)
		q->bufs[(tail + i) % HANDOVER_SIZE] = bufs[i];
	atomic_store_explicit(&q->tail, tail + n, memory_order_release);
}

/* Consumer: take up to n Bufs, at least as many as the longest packet has; how many. */
static inline unsigned handover_pop(struct handover *q, struct sxsk_buf bufs[], unsigned n)
{
	uint32_t head = atomic_load_explicit(&q->head, memory_order_relaxed);

	if (q->seen_tail == head)
		q->seen_tail = atomic_load_explicit(&q->tail, memory_order_acquire);
	if (n > q->seen_tail - head)
		n = q->seen_tail - head;
	while (n > 0 && q->bufs[(head + n - 1) % HANDOVER_SIZE].flags & SXSK_BUF_MORE)
		n--;
	for (unsigned i = 0; i < n; i++)
		bufs[i] = q->bufs[(head + i) % HANDOVER_SIZE];
	atomic_store_explicit(&q->head, head + n, memory_order_release);
	return n;
}

#endif
