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
#include <poll.h>
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
static bool tx_ready(struct sxsk_priv_socket *s)
{
	struct sxsk_priv_queue *q = s->q;
	uint32_t used =
		*s->tx_ring.producer - __atomic_load_n(s->tx_ring.consumer, __ATOMIC_ACQUIRE);
	bool done, room;

	queue_lock(s, &q->comp_lock);
	done = q->comp.cached_prod != q->comp.cached_cons ||
	       __atomic_load_n(q->comp.producer, __ATOMIC_ACQUIRE) != q->comp.cached_cons;
	room = q->comp_given - q->comp_returned < q->comp.size;
	queue_unlock(s, &q->comp_lock);
	return done || (room && used < s->tx_ring.size);
}

/* The frames that the kernel has would not last for long, and there are none to give it. */
static bool starved(struct sxsk_priv_socket *s, struct sxsk_priv_stock *stock)
{
	struct sxsk_priv_queue *q = s->q;
	bool few;

	sxsk_priv_refill(s, stock, 1);
	queue_lock(s, &q->fill_lock);
	few = q->fill_given - q->fill_returned < (q->fill_target + 1) / 2;
	queue_unlock(s, &q->fill_lock);
	return few;
}

struct waiter {
	struct sxsk_priv_socket *s;
	uint64_t cookie;
	struct sxsk_priv_thread *t;
	struct sxsk_priv_half *half;
	struct sxsk_priv_stock *stock;
	struct sxsk_priv_lane *lane;
	unsigned events;
	bool soon; /* look again in a millisecond */
};

/* Reap and kick: in the TX half, from inside, or if it is idle and this thread's. */
static uint32_t tend(struct waiter *w, bool spill)
{
	struct sxsk_priv_socket *s = w->s;

	if (s->flags & SXSK_SOCKET_NO_TX)
		return 0;
	if (w->half == &s->tx)
		return sxsk_priv_tend(s, w->stock, spill);
	/* With SXSK_WAIT_RX it is this thread's by what was asked for: whose it was may not have heard. */
	if (w->events & SXSK_WAIT_TX && load_relaxed(&s->tx.owner) != load_relaxed(&w->t->tid))
		sxsk_priv_half_take_over(&s->tx, w->t);
	return sxsk_priv_tend_own(s, w->cookie, w->t, w->stock, spill);
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
		w->soon = soon;
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

/* Whose half is it? 0, or -errno, with nothing entered. */
static int look_up(struct waiter *w, struct sxsk_socket *socket, unsigned events,
		   const char *function)
{
	const unsigned known = SXSK_WAIT_RX | SXSK_WAIT_TX | SXSK_WAIT_WAKE;
	struct sxsk_priv_thread *t = thread_self();
	struct sxsk_priv_socket *s = sxsk_priv_socket_of(socket, function);

	if (!s)
		return -EINVAL;
	if (!t)
		return -ENOMEM;
	if (events == 0 || events & ~known) {
		(void)sxsk_priv_fail(EINVAL, "events is 0x%x: use SXSK_WAIT_RX, _TX, _WAKE",
				     events);
		return -EINVAL;
	}
	*w = (struct waiter){ .s = s,
			      .cookie = (uint64_t)(uintptr_t)socket,
			      .t = t,
			      .half = pick_half(s, events),
			      .events = events };
	return 0;
}

/* Misuse is -EINVAL here: a descriptor is not what the caller gave. */
static int refused(int err)
{
	return err == -ESHUTDOWN ? err : -EINVAL;
}

static int wait_one(struct waiter *w, int timeout_ms, const char *function)
{
	struct sxsk_priv_socket *s = w->s;
	const unsigned events = w->events;
	int ret = half_enter(s, w->half, w->cookie, w->t, function);

	if (ret)
		return refused(ret);
	w->lane = lane_of(w->t, load_relaxed(&s->pool_cookie));
	w->stock = w->lane ? &w->lane->stock : &w->half->stock;
	ret = missing_half(s, events);
	if (!ret)
		ret = wait_in(w, timeout_ms);
	half_leave(w->half, w->t);
	return ret;
}

int sxsk_socket_wait(struct sxsk_socket *socket, unsigned events, int timeout_ms)
{
	struct waiter w;
	int err = look_up(&w, socket, events, "sxsk_socket_wait");

	return err ? err : wait_one(&w, timeout_ms, "sxsk_socket_wait");
}

/* ---- several sockets ----------------------------------------------------------------------------------- */

/*
 * Each socket is asked with time-out 0, which arms the epoll of its half, and then the thread sleeps in a
 * poll(2) of these. It can be inside one half only, but from the first question to the last it waits in all
 * of them: it notes them in its record, `waits`, as it notes where it is inside, and for the same reason
 * (half.h). So a close waits for it, and wakes it. While it sleeps the halves are busy.
 */

/* Note it as waited for, if it is open. 0 or -errno. */
static int join(struct waiter *w, const char *function)
{
	struct sxsk_priv_thread *t = w->t;
	const uint32_t n = load_relaxed(&t->waiting);

	if (sxsk_priv_thread_waits(t, w->half))
		return sxsk_priv_fail(EINVAL,
				      "%s: the same half of the socket on %s is there twice",
				      function, w->s->q->device.name);
	store_relaxed(&t->waits[n], (uint64_t)(uintptr_t)w->half);
	store_release(&t->waiting, n + 1); /* release: of waits[n]; else as half_enter() */
	half_fence();
	/* Acquire: as half_enter(). */
	if (load_acquire(&w->s->state) == SOCKET_OPEN && load_relaxed(&w->s->cookie) == w->cookie)
		return 0;
	store_release(&t->waiting, n);
	return refused(sxsk_priv_half_refused(w->s, w->cookie, 0, function));
}

/* From `was` to `tid`. Another thread may be there: by misuse, of which the next question tells. */
static void set_busy(const struct waiter w[], unsigned n, uint32_t was, uint32_t tid)
{
	for (unsigned i = 0; i < n; i++)
		if (load_relaxed(&w[i].half->busy) == was)
			store_release(&w[i].half->busy, tid); /* release: as half_leave() */
}

/* Ask each. Returns how many have events, or the first one's -errno; *ret_soon: look again soon. */
static int ask(struct waiter w[], struct sxsk_wait waits[], unsigned n, bool *ret_soon)
{
	int found = 0;

	*ret_soon = false;
	for (unsigned i = 0; i < n; i++) {
		waits[i].got = wait_one(&w[i], 0, "sxsk_sockets_wait");
		if (waits[i].got < 0)
			return waits[i].got;
		found += waits[i].got > 0;
		*ret_soon |= w[i].soon;
	}
	return found;
}

static int wait_all(struct waiter w[], struct sxsk_wait waits[], unsigned n, int timeout_ms)
{
	struct pollfd fds[SXSK_WAIT_MOST];
	int64_t end = deadline(timeout_ms);
	bool soon;
	int got;

	for (unsigned i = 0; i < n; i++)
		fds[i] = (struct pollfd){ .fd = w[i].half->epoll, .events = POLLIN };
	while ((got = ask(w, waits, n, &soon)) == 0) {
		int64_t left = timeout_ms < 0 ? SLICE_MS : ms_left(end),
			slice = soon ? 1 : SLICE_MS;

		if (left == 0)
			break;
		set_busy(w, n, 0, load_relaxed(&w->t->tid));
		got = poll(fds, n, (int)(left < slice ? left : slice));
		if (got < 0)
			got = sxsk_priv_fail(errno, "the wait was interrupted: %s",
					     strerror(errno));
		set_busy(w, n, load_relaxed(&w->t->tid), 0);
		if (got < 0)
			break;
	}
	return got;
}

int sxsk_sockets_wait(struct sxsk_wait waits[], unsigned n, int timeout_ms)
{
	struct waiter w[SXSK_WAIT_MOST];
	int ret = 0;

	for (unsigned i = 0; i < n; i++)
		waits[i].got = 0;
	if (n == 0 || n > SXSK_WAIT_MOST)
		return sxsk_priv_fail(EINVAL, "n is %u: wait for 1 to %u sockets", n,
				      SXSK_WAIT_MOST);
	for (unsigned i = 0; i < n && !ret; i++)
		waits[i].got = ret =
			look_up(&w[i], waits[i].socket, waits[i].events, "sxsk_sockets_wait");
	if (ret)
		return ret;
	if (load_relaxed(&w->t->waiting)) /* a signal handler during its thread's wait */
		return sxsk_priv_fail(EINVAL, "this thread is in sxsk_sockets_wait() already");
	for (unsigned i = 0; i < n && !ret; i++)
		waits[i].got = ret = join(&w[i], "sxsk_sockets_wait");
	if (!ret)
		ret = wait_all(w, waits, n, timeout_ms);
	store_release(&w->t->waiting, 0); /* release: as half_leave() */
	return ret;
}
