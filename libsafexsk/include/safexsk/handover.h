/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A bounded queue that hands Bufs from one thread to another: one producer, one consumer, no locks.
 * Moving a Buf moves its reference, so nothing is counted; the queue's release and acquire are the
 * ordering that the Buf's next owner needs. Packets of several Bufs go in and come out whole.
 *
 *     receiver:  n = sxsk_handover_room(&q, SXSK_MAX_FRAGS);  that or more, or 0; q.size is more
 *                n = sxsk_rx_burst(in, bufs, n < 64 ? n : 64);
 *                pushed = sxsk_handover_push(&q, bufs, n);       all of them: there is room
 *                sxsk_buf_unref_burst(bufs + pushed, n - pushed);
 *     sender:    n = sxsk_handover_pop(&q, bufs, 64);
 *                sent = sxsk_tx_burst(out, bufs, n);
 *                sxsk_buf_unref_burst(bufs + sent, n - sent);    or send them next time
 *
 * Each side keeps the other's index in a copy and reads the real one only when the copy says full or
 * empty, so that a burst costs one write to a shared line.
 */
#ifndef SAFEXSK_HANDOVER_H
#define SAFEXSK_HANDOVER_H

#include <errno.h>
#include <safexsk/buf.h>

SXSK_BEGIN_DECLS

/** A queue. Its fields are the functions' below; it does not move once it is set up. */
struct sxsk_handover {
	uint32_t tail __attribute__((aligned(64))); /* the producer's */
	uint32_t seen_head;
	uint32_t head __attribute__((aligned(64))); /* the consumer's */
	uint32_t seen_tail;
	struct sxsk_buf *bufs __attribute__((aligned(64))); /* written at the set-up only */
	uint32_t size;
};

/** Set a queue up, empty. There is nothing to undo: what is still in it at its end is popped and
 * given back.
 *
 * Returns:   0 or -errno
 * Errors:    -EINVAL (size is not a power of two from 2 to 2^30); it sets no sxsk_last_error()
 * Ownership: lends bufs (room for `size` Bufs) until the last use of the queue
 * Threads:   caller locks: before either side starts
 * Ordering:  the caller publishes the queue to both threads
 * Syscalls:  none
 * Since:     0.1
 * Source:    own
 */
static inline SXSK_MUST_CHECK int sxsk_handover_init(struct sxsk_handover *q,
						     struct sxsk_buf bufs[], uint32_t size)
{
	if (size < 2 || size > 1u << 30 || (size & (size - 1)) != 0)
		return -EINVAL;
	q->tail = q->seen_head = q->head = q->seen_tail = 0;
	q->bufs = bufs;
	q->size = size;
	return 0;
}

/** How many Bufs may be pushed. A receiver that asks for no more than that never has to hold what does
 * not fit: a full queue holds it back, the kernel's ring fills up, and the kernel drops and counts.
 *
 * Returns:   a number of Bufs; 0 where it is less than `least`, the Bufs of the longest packet
 * Errors:    none
 * Ownership: borrows
 * Threads:   one producer; wait-free
 * Ordering:  acquire: the consumer has read what was in the room
 * Syscalls:  none
 * Since:     0.1
 * Source:    the copies of the other's index: FastForward, PPoPP 2008, and many after it
 */
static inline uint32_t sxsk_handover_room(struct sxsk_handover *q, uint32_t least)
{
	uint32_t tail = __atomic_load_n(&q->tail, __ATOMIC_RELAXED), room; /* own: no order */

	if (q->size - (tail - q->seen_head) < least)
		/* Acquire, with the release in pop: its copies come before our overwriting. */
		q->seen_head = __atomic_load_n(&q->head, __ATOMIC_ACQUIRE);
	room = q->size - (tail - q->seen_head);
	return room < least ? 0 : room;
}

/* Of n Bufs, how many there is room for, whole packets. */
static inline unsigned sxsk_priv_handover_fit(struct sxsk_handover *q, const struct sxsk_buf bufs[],
					      unsigned n)
{
	uint32_t tail = __atomic_load_n(&q->tail, __ATOMIC_RELAXED); /* own: no order */

	if (n > q->size - (tail - q->seen_head))
		q->seen_head = __atomic_load_n(&q->head, __ATOMIC_ACQUIRE); /* as in room */
	if (n > q->size - (tail - q->seen_head))
		for (n = q->size - (tail - q->seen_head);
		     n > 0 && bufs[n - 1].flags & SXSK_BUF_MORE;)
			n--;
	return n;
}

/** Hand Bufs over: as many whole packets as there is room for. The handles that were taken are the
 * consumer's from here on.
 *
 * Returns:   how many were taken, a prefix
 * Errors:    none
 * Ownership: takes [0,ret)
 * Threads:   one producer; wait-free
 * Ordering:  release: what was written to the packets is visible to who pops them
 * Syscalls:  none
 * Since:     0.1
 * Source:    Lamport 1977: one producer, one consumer, two indices
 */
static inline SXSK_MUST_CHECK unsigned sxsk_handover_push(struct sxsk_handover *q,
							  const struct sxsk_buf bufs[], unsigned n)
{
	uint32_t tail = __atomic_load_n(&q->tail, __ATOMIC_RELAXED); /* own: no order */

	n = sxsk_priv_handover_fit(q, bufs, n);
	for (uint32_t i = 0; i < n; i++)
		q->bufs[(tail + i) & (q->size - 1)] = bufs[i];
	/* Release, with the acquire in pop: the handles, and the packets, come before the news. */
	__atomic_store_n(&q->tail, tail + n, __ATOMIC_RELEASE);
	return n;
}

/** Hand over a reference to each Buf, and keep one's own: as many whole packets as there is room for. Queues that
 * are given the same Bufs so have readers of the same packets, none of which waits for another.
 *
 * Returns:   how many were shared, a prefix; it ends before a packet that can have no more references, too
 * Errors:    misuse: as sxsk_buf_ref()
 * Ownership: shares [0,ret)
 * Threads:   one producer; lock-free
 * Ordering:  release: as sxsk_handover_push()
 * Syscalls:  none
 * Since:     0.1
 * Source:    own
 */
static inline SXSK_MUST_CHECK unsigned sxsk_handover_share(struct sxsk_handover *q,
							   const struct sxsk_buf bufs[], unsigned n)
{
	uint32_t tail = __atomic_load_n(&q->tail, __ATOMIC_RELAXED); /* own: no order */
	unsigned whole = 0, i;

	n = sxsk_priv_handover_fit(q, bufs, n);
	for (i = 0; i < n; i++) {
		struct sxsk_buf theirs = sxsk_buf_ref(bufs[i]);

		if (sxsk_buf_is_null(theirs))
			break;
		q->bufs[(tail + i) & (q->size - 1)] = theirs;
		if (sxsk_buf_is_last(theirs))
			whole = i + 1;
	}
	while (i > whole)
		sxsk_buf_unref(&q->bufs[(tail + --i) & (q->size - 1)]);
	/* Release, with the acquire in pop: the handles, and the packets, come before the news. */
	__atomic_store_n(&q->tail, tail + whole, __ATOMIC_RELEASE);
	return whole;
}

/** Take Bufs over, whole packets.
 *
 * Returns:   how many of n; 0 also where n is less than the next packet's Bufs
 * Errors:    none
 * Ownership: returns owned
 * Threads:   one consumer; wait-free
 * Ordering:  acquire: what the producer wrote to the packets is visible
 * Syscalls:  none
 * Since:     0.1
 * Source:    Lamport 1977
 */
static inline SXSK_MUST_CHECK unsigned sxsk_handover_pop(struct sxsk_handover *q,
							 struct sxsk_buf bufs[], unsigned n)
{
	uint32_t head = __atomic_load_n(&q->head, __ATOMIC_RELAXED); /* own: no order */

	if (q->seen_tail == head)
		q->seen_tail = __atomic_load_n(&q->tail, __ATOMIC_ACQUIRE); /* release in push */
	if (n > q->seen_tail - head)
		n = q->seen_tail - head;
	while (n > 0 && q->bufs[(head + n - 1) & (q->size - 1)].flags & SXSK_BUF_MORE)
		n--;
	if (n == 0)
		q->seen_tail =
			head; /* what was seen is a packet without its end: look again next time */
	for (uint32_t i = 0; i < n; i++)
		bufs[i] = q->bufs[(head + i) & (q->size - 1)];
	__atomic_store_n(&q->head, head + n, __ATOMIC_RELEASE); /* acquire in room */
	return n;
}

SXSK_END_DECLS
#endif
