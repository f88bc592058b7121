/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Entering and leaving a half of a socket.
 *
 * A thread writes the half into its own record (`inside`), a compiler barrier, and only then looks at
 * the socket's state. Close writes the state, then membarrier(2), which is a full fence in every
 * thread of the process, and only then looks at the records. So either the thread sees the close and
 * leaves, or the close sees the thread and waits: no fence on this side. The record belongs to the
 * thread, not to the socket: a thread that slept between reading the cookie and entering may touch its
 * own record only, whatever has been opened in the socket's slot since.
 *
 * `busy` is not part of that: it finds two threads in one half, as well as a plain store can.
 *
 * `owner` is the thread that was inside last. An RX half's owner may put frames into its FILL ring
 * without a call of rx_burst (direct refill, burst.c): it enters as above, then looks at `owner`; from inside
 * a TX half, which `inside` says, it notes the RX half as `tending`. A
 * thread that takes the half over writes `owner`, then membarrier(2), then waits until no other thread
 * is inside: the same argument, so the two are never in the FILL ring together. That costs a system
 * call per hand-over; an RX half that changes hands often stops being direct for good.
 *
 * Likewise a TX half's owner may reap and kick without a call of tx_burst: in a wait for packets, and in
 * a drain. It notes the half as `tending`, since `inside` may be the RX half all the time. That is
 * seldom, so a TX half is direct only from then on: the owner writes `direct`, then a full fence, then
 * looks at `owner`; who takes over writes `owner`, then a full fence, then looks at `direct`. Either the
 * one sees the other's `direct` and waits, or the other sees that it was replaced.
 *
 * A thread that waits for several sockets is, in turn, inside the halves that it waits in, but for close it is in
 * all of them from the beginning to the end: it notes them as `waits`, by the same argument (wait.c).
 *
 * And any thread may look at a socket, at its counters say, while others are in its halves: it notes the
 * socket as `visiting`, for close alone.
 */
#ifndef SXSK_PRIV_HALF_H
#define SXSK_PRIV_HALF_H

#include "internal.h"

/* Cold: why the half cannot be entered. -ESHUTDOWN: the socket is being closed; -EBADF: misuse, as reported. */
int sxsk_priv_half_refused(struct sxsk_priv_socket *s, uint64_t cookie, uint32_t other,
			   const char *function) __attribute__((cold));
void sxsk_priv_half_take_over(struct sxsk_priv_half *half, struct sxsk_priv_thread *t)
	__attribute__((cold));

/* 0, or -errno as sxsk_priv_half_refused(). */
static inline int half_enter(struct sxsk_priv_socket *s, struct sxsk_priv_half *half,
			     uint64_t cookie, struct sxsk_priv_thread *t, const char *function)
{
	uint32_t other, tid = load_relaxed(&t->tid);

	if (unlikely(load_relaxed(
		    &t->inside))) /* a misuse or signal handler that calls the library */
		return sxsk_priv_half_refused(s, cookie, tid, function);
	/* Release: a close that waits for the half before this one may find this value in the place of the
	 * 0 that this thread left there, and must see no less. Free on x86. */
	store_release(&t->inside, (uint64_t)(uintptr_t)half);
	half_fence();
	/* Acquire: pairs with the release that opened the socket. */
	other = load_relaxed(&half->busy);
	if (unlikely(load_acquire(&s->state) != SOCKET_OPEN || load_relaxed(&s->cookie) != cookie ||
		     other)) {
		store_release(&t->inside, 0);
		return sxsk_priv_half_refused(s, cookie, other, function);
	}
	store_relaxed(&half->busy, tid);
	if (unlikely(load_relaxed(&half->owner) != tid))
		sxsk_priv_half_take_over(half, t);
	return 0;
}

static inline void half_leave(struct sxsk_priv_half *half, struct sxsk_priv_thread *t)
{
	/* Release: a thread that the half is handed to may look at busy first. */
	store_release(&half->busy, 0);
	/* Release: pairs with the acquire of close, which frees what was used in here, and of a
	 * take-over. */
	store_release(&t->inside, 0);
}

/* Enter the RX half of the socket that this thread received from last, only if it is still the
 * thread's, and open; noted in the thread's `record`, which is clear. Leave by clearing that. */
static inline bool half_enter_direct(struct sxsk_priv_socket *s, struct sxsk_priv_thread *t,
				     atomic_u64 *record)
{
	store_release(record, (uint64_t)(uintptr_t)&s->rx); /* release: as in half_enter */
	half_fence();
	if (likely(load_acquire(&s->state) == SOCKET_OPEN &&
		   load_relaxed(&s->cookie) == t->direct_cookie &&
		   load_relaxed(&s->rx.owner) == load_relaxed(&t->tid) &&
		   load_relaxed(&s->rx.direct)))
		return true;
	t->direct = NULL;
	store_release(record, 0);
	return false;
}

static inline bool socket_visit(struct sxsk_priv_socket *s, uint64_t cookie,
				struct sxsk_priv_thread *t)
{
	store_release(&t->visiting, (uint64_t)(uintptr_t)s); /* release: as in half_enter */
	half_fence();
	if (load_acquire(&s->state) == SOCKET_OPEN && load_relaxed(&s->cookie) == cookie)
		return true;
	store_release(&t->visiting, 0);
	return false;
}

static inline void socket_leave(struct sxsk_priv_thread *t)
{
	/* Release: as in half_leave. */
	store_release(&t->visiting, 0);
}

#endif
