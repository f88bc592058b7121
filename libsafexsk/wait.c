/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Waiting. Each half has an epoll of its own, with the socket (receive), the half's wake eventfd, and
 * the pool's eventfd, edge-triggered: that one is written when a frame comes home to the hungry.
 *
 * poll(2) on an AF_XDP socket tells of received packets, but neither of errors, nor of completions (in
 * copy mode), and POLLOUT fires while a full COMPLETION ring stalls the kernel. So: sleeps are cut in
 * slices, after which the interface is looked at; a blocked sender, and a receiver whose thread has
 * sent what the kernel did not take yet, sleep a millisecond at a time, and kick and reap in between;
 * POLLOUT is not used.
 *
 * Armed. A socket that is in an epoll has a waiter in the kernel's eyes, whether anybody sleeps there
 * or not: a function call and a lock per packet sent, and per batch received on the other processor
 * (the veth driver, Linux 6.18: 0.82 instead of 0.97 of a plain loop's speed). So a receiver that is
 * busy leaves its epoll, and comes back when it waits.
 *
 * Hungry. A receiver whose frames are all with other threads would sleep for ever: no packet can
 * come. It sets HUNGRY in the pool, sends its own spare frames to the depot, looks at the depot once
 * more, and sleeps; who brings a frame home looks at HUNGRY after its push (both seq_cst), so that
 * either the waiter sees the frame or the freer sees the waiter.
 */
#include "clock.h"
#include "frame.h"
#include "half.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define ARMED_BURSTS 16u /* with packets, since the last wait: the receiver is busy */
#define SLICE_MS 250     /* an interface that goes away is noticed in that time */

static bool rx_ready(const struct sxsk_priv_socket *s)
{
	return s->rx_ring.cached_prod != s->rx_ring.cached_cons ||
	       __atomic_load_n(s->rx_ring.producer, __ATOMIC_ACQUIRE) != s->rx_ring.cached_cons;
}

/* Completions to reap, or room to send. */
static bool tx_ready(const struct sxsk_priv_socket *s)
{
	const struct sxsk_priv_queue *q = s->q;
	uint32_t used =
		*s->tx_ring.producer - __atomic_load_n(s->tx_ring.consumer, __ATOMIC_ACQUIRE);

	if (q->comp.cached_prod != q->comp.cached_cons ||
	    __atomic_load_n(q->comp.producer, __ATOMIC_ACQUIRE) != q->comp.cached_cons)
		return true;
	return used < s->tx_ring.size && q->comp_given - q->comp_returned < q->comp.size;
}

/* The frames that the kernel has would not last for long, and there are none to give it. */
static bool starved(struct sxsk_priv_socket *s, struct sxsk_priv_stock *stock)
{
	struct sxsk_priv_queue *q = s->q;

	sxsk_priv_refill(s, stock, 1);
	return q->fill_given - q->fill_returned < (q->fill_target + 1) / 2;
}

struct waiter {
	struct sxsk_priv_socket *s;
	uint64_t cookie;
	struct sxsk_priv_thread *t;
	struct sxsk_priv_half *half;
	struct sxsk_priv_stock *stock;
	struct sxsk_priv_lane *lane;
	unsigned events;
};

/* Reap and kick: in the TX half that was asked for, or if it is idle and this thread's. */
static uint32_t tend(struct waiter *w, bool spill)
{
	if (w->s->flags & SXSK_SOCKET_NO_TX)
		return 0;
	return w->events & SXSK_WAIT_TX ?
		       sxsk_priv_tend(w->s, w->stock, spill) :
		       sxsk_priv_tend_own(w->s, w->cookie, w->t, w->stock, spill);
}

/* Returns true when the depot has frames after all. */
static bool arm_hungry(struct waiter *w)
{
	struct sxsk_priv_pool *pool = w->s->pool;

	fetch_or_seq_cst(&pool->attention, ATTN_HUNGRY);
	(void)tend(w, true);
	sxsk_priv_stock_spill(pool, &w->s->rx.stock, w->s->rx.stock.n);
	if (w->lane)
		sxsk_priv_stock_spill(pool, &w->lane->stock, w->lane->stock.n);
	return !sxsk_priv_depot_empty(pool);
}

/* Get everything going, and say what is there. */
static unsigned look(struct waiter *w, bool *ret_short_sleep)
{
	struct sxsk_priv_socket *s = w->s;
	uint32_t out = tend(w, false);
	unsigned ready = 0;

	*ret_short_sleep = out & TEND_LEFT || (out & TEND_OUT && w->events & SXSK_WAIT_TX);
	if (w->events & SXSK_WAIT_RX) {
		if (!rx_ready(s) && kicks_rx(s))
			sxsk_priv_kick_rx(s);
		if (rx_ready(s)) {
			ready |= SXSK_WAIT_RX;
		} else if (starved(s, w->stock)) {
			bool fed = arm_hungry(w) && !starved(s, w->stock);

			/* Refilled: look again soon. Our own completions may be what comes home: likewise. */
			*ret_short_sleep |= fed || out & TEND_OUT;
		}
	}
	if ((w->events & SXSK_WAIT_TX) && tx_ready(s))
		ready |= SXSK_WAIT_TX;
	return ready;
}

int sxsk_priv_arm(struct sxsk_priv_socket *s)
{
	struct epoll_event data = { .events = EPOLLIN | EPOLLET, .data.u32 = SXSK_WAIT_RX };

	/* What has come in the meantime is an edge, too: the kernel looks when it adds. */
	if (s->rx.armed == 0 && epoll_ctl(s->rx.epoll, EPOLL_CTL_ADD, s->fd, &data) != 0)
		return -errno;
	s->rx.armed = ARMED_BURSTS;
	return 0;
}

void sxsk_priv_disarm(struct sxsk_priv_socket *s)
{
	(void)epoll_ctl(s->rx.epoll, EPOLL_CTL_DEL, s->fd, NULL); /* it is in there */
	s->rx.armed = 0;
}

/* Sleep at most ms. Returns SXSK_WAIT_WAKE when woken by sxsk_socket_wake, 0, or -errno. *ret_any:
 * something happened; an edge is gone once seen here, so the caller must look before it sleeps. */
static int sleep_on(struct sxsk_priv_half *half, int ms, bool *ret_any)
{
	struct epoll_event ev[4];
	int n = epoll_wait(half->epoll, ev, 4, ms), events = 0;
	uint64_t count;

	*ret_any = n > 0;
	if (n < 0)
		return -errno;
	for (int i = 0; i < n; i++)
		if (ev[i].data.u32 == SXSK_WAIT_WAKE &&
		    read(half->wake_fd, &count, sizeof(count)) > 0)
			events |= SXSK_WAIT_WAKE;
	return events;
}

/* Nothing more will come: -errno. A socket that failed takes nothing any more, but its TX ring may have
 * room for ever. */
static int stopped(const struct waiter *w)
{
	if (load_acquire(&w->s->state) != SOCKET_OPEN)
		return sxsk_priv_fail(ESHUTDOWN, "the socket was closed during the wait");
	if (load_relaxed(&w->s->failed))
		return sxsk_socket_error((struct sxsk_socket *)(uintptr_t)w->cookie);
	return 0;
}

static int wait_in(struct waiter *w, int timeout_ms)
{
	int64_t end = deadline(timeout_ms);
	bool soon, any;

	for (;;) {
		unsigned ready = look(w, &soon);
		int64_t left = timeout_ms < 0 ? SLICE_MS : ms_left(end);
		int slice = left > SLICE_MS ? SLICE_MS : (int)left, got, err;

		err = stopped(w);
		if (err)
			return err;
		if (soon && slice > 1)
			slice = 1;
		if (!ready && (w->events & SXSK_WAIT_RX) && (err = sxsk_priv_arm(w->s)) != 0)
			return sxsk_priv_fail(-err, "no descriptor to wait on: %s", strerror(-err));
		got = sleep_on(w->half, ready ? 0 : slice, &any);
		err = stopped(w); /* who closes wakes us too */
		if (err)
			return err;
		if (got < 0 && !ready)
			return sxsk_priv_fail(-got, "the wait was interrupted: %s", strerror(-got));
		if (ready || got > 0)
			return (int)ready | (got > 0 ? got : 0);
		if (any)
			continue;
		err = sxsk_socket_error((struct sxsk_socket *)(uintptr_t)w->cookie);
		if (err || (timeout_ms >= 0 && ms_left(end) == 0))
			return err;
	}
}

static struct sxsk_priv_half *pick_half(struct sxsk_priv_socket *s, unsigned events)
{
	return events & SXSK_WAIT_RX || !(events & SXSK_WAIT_TX) ? &s->rx : &s->tx;
}

/* Nothing would ever come there. */
static int missing_half(const struct sxsk_priv_socket *s, unsigned events)
{
	if (events & SXSK_WAIT_RX && s->flags & SXSK_SOCKET_NO_RX)
		return sxsk_priv_fail(EINVAL,
				      "SXSK_WAIT_RX: the socket was opened with SXSK_SOCKET_NO_RX");
	if (events & SXSK_WAIT_TX && s->flags & SXSK_SOCKET_NO_TX)
		return sxsk_priv_fail(EINVAL,
				      "SXSK_WAIT_TX: the socket was opened with SXSK_SOCKET_NO_TX");
	return 0;
}

int sxsk_socket_wait(struct sxsk_socket *socket, unsigned events, int timeout_ms)
{
	const unsigned known = SXSK_WAIT_RX | SXSK_WAIT_TX | SXSK_WAIT_WAKE;
	struct sxsk_priv_thread *t = thread_self();
	struct sxsk_priv_socket *s = sxsk_priv_socket_of(socket, "sxsk_socket_wait");
	uint64_t cookie = (uint64_t)(uintptr_t)socket;
	struct waiter w;
	int ret;

	if (!s)
		return -EINVAL;
	if (!t)
		return -ENOMEM;
	if (events == 0 || events & ~known)
		return sxsk_priv_fail(EINVAL, "events is 0x%x: use SXSK_WAIT_RX, _TX, _WAKE",
				      events);
	w = (struct waiter){
		.s = s, .cookie = cookie, .t = t, .half = pick_half(s, events), .events = events
	};
	if (!half_enter(s, w.half, cookie, t, "sxsk_socket_wait"))
		return -ESHUTDOWN;
	w.lane = lane_of(t, load_relaxed(&s->pool_cookie));
	w.stock = w.lane ? &w.lane->stock : &w.half->stock;
	ret = missing_half(s, events);
	if (!ret)
		ret = wait_in(&w, timeout_ms);
	half_leave(w.half, t);
	return ret;
}
