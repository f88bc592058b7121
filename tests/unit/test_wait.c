/* SPDX-License-Identifier: BSD-2-Clause */
/* Waiting: what ends it, and that nobody sleeps for ever for want of frames. */
#include "support.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/time.h>
#include <time.h>

/* Two ends of a cable, each with a pool. */
struct cable {
	struct sxsk_pool *pool, *far;
	struct sxsk_socket *socket, *peer;
};

static struct cable cable(const char *name)
{
	struct cable c = { .pool = new_pool(64), .far = new_pool(256) };

	c.socket = new_socket(c.pool, name, 0);
	c.peer = new_socket(c.far, name, 0);
	return c;
}

static void cut(struct cable *c)
{
	sxsk_socket_close(c->socket);
	close_and_unref(c->peer, c->far);
	expect_all_home(c->pool);
	sxsk_pool_unref(c->pool);
}

/* From the other end. */
static void send_packets(struct cable *c, unsigned n)
{
	while (n-- > 0)
		send_one(c->peer, packet(c->far, 60, 1));
	reap(c->peer);
}

/* A thread in sxsk_socket_wait(). */
struct waiter {
	struct sxsk_socket *socket;
	unsigned events;
	int timeout_ms, ret;
	pthread_t thread;
};

static void *wait_there(void *arg)
{
	struct waiter *w = arg;

	w->ret = sxsk_socket_wait(w->socket, w->events, w->timeout_ms);
	return NULL;
}

static bool is_waiting(const struct waiter *w)
{
	struct sxsk_priv_socket *s = inner_socket(w->socket);

	return load_relaxed(w->events == SXSK_WAIT_TX ? &s->tx.busy : &s->rx.busy) != 0;
}

static struct waiter *start(struct sxsk_socket *socket, unsigned events)
{
	struct waiter *w = malloc(sizeof(*w));

	*w = (struct waiter){ .socket = socket, .events = events, .timeout_ms = -1 };
	cr_assert_eq(pthread_create(&w->thread, NULL, wait_there, w), 0);
	while (!is_waiting(w))
		(void)sched_yield();
	return w;
}

static int finish(struct waiter *w)
{
	int ret;

	cr_assert_eq(pthread_join(w->thread, NULL), 0);
	ret = w->ret;
	free(w);
	return ret;
}

/* ---- events ------------------------------------------------------------------------------------------------ */

Test(wait, received_packet_ends_it)
{
	struct cable c = cable("mem:w1");
	struct waiter *w;
	struct sxsk_buf b;

	send_packets(&c, 1);
	cr_assert_eq(sxsk_socket_wait(c.socket, SXSK_WAIT_RX, -1), SXSK_WAIT_RX,
		     "it is there already");
	cr_assert_eq(sxsk_rx_burst(c.socket, &b, 1), 1);
	sxsk_buf_unref(&b);
	w = start(c.socket, SXSK_WAIT_RX);
	send_packets(&c, 1);
	cr_assert_eq(finish(w), SXSK_WAIT_RX);
	cut(&c);
}

Test(wait, time_out_is_zero)
{
	struct cable c = cable("mem:w2");

	cr_assert_eq(sxsk_socket_wait(c.socket, SXSK_WAIT_RX, 0), 0);
	cr_assert_eq(sxsk_socket_wait(c.socket, SXSK_WAIT_WAKE, 0), 0);
	cr_assert_eq(sxsk_socket_wait(c.socket, SXSK_WAIT_RX | SXSK_WAIT_WAKE, 5), 0);
	cut(&c);
}

Test(wait, room_to_send_is_an_event)
{
	struct cable c = cable("mem:w3");
	struct sxsk_mem_rings k;
	struct sxsk_buf bufs[64];

	cr_assert_eq(sxsk_socket_wait(c.peer, SXSK_WAIT_TX, -1), SXSK_WAIT_TX);
	k = take_rings(c.peer);
	cr_assert_eq(sxsk_pool_alloc(c.far, bufs, 64), 64);
	for (unsigned i = 0; i < 64; i++)
		cr_assert_eq(sxsk_buf_put(&bufs[i], 60), 0);
	cr_assert_eq(sxsk_tx_burst(c.peer, bufs, 64), 64);
	cr_assert_eq(sxsk_socket_wait(c.peer, SXSK_WAIT_TX, 0), 0, "the ring is full");
	(void)kernel_take_tx(&k);
	cr_assert_eq(sxsk_socket_wait(c.peer, SXSK_WAIT_TX, 0), 0, "so many may be in flight");
	kernel_complete(&k, ((struct xdp_desc *)k.tx.entries)[0].addr);
	cr_assert_eq(sxsk_socket_wait(c.peer, SXSK_WAIT_TX, -1), SXSK_WAIT_TX);
	cr_assert_eq(kernel_complete_all(&k), 63);
	reap(c.peer);
	cut(&c);
}

Test(wait, several_events_are_told_together)
{
	struct cable c = cable("mem:w4");
	const unsigned all = SXSK_WAIT_RX | SXSK_WAIT_TX | SXSK_WAIT_WAKE;

	cr_assert_eq(sxsk_socket_wait(c.socket, all, -1), SXSK_WAIT_TX);
	send_packets(&c, 1);
	sxsk_socket_wake(c.socket);
	cr_assert_eq(sxsk_socket_wait(c.socket, all, -1), (int)all);
	cut(&c);
}

Test(wait, wrong_events_are_refused)
{
	struct cable c = cable("mem:w5");

	expect_error(EINVAL, "events is 0x0", sxsk_socket_wait(c.socket, 0, -1));
	expect_error(EINVAL, "events is 0x9", sxsk_socket_wait(c.socket, 1u << 3 | 1, -1));
	cr_assert_eq(sxsk_misuse_count(), 0);
	cut(&c);
}

/* ---- wake ---------------------------------------------------------------------------------------------------- */

Test(wait, wake_from_another_thread_ends_it)
{
	static const unsigned events[] = { SXSK_WAIT_RX, SXSK_WAIT_WAKE,
					   SXSK_WAIT_RX | SXSK_WAIT_WAKE };

	for (unsigned i = 0; i < 3; i++) {
		struct cable c = cable("mem:w6");
		struct waiter *w = start(c.socket, events[i]);

		sxsk_socket_wake(c.socket);
		cr_assert_eq(finish(w), SXSK_WAIT_WAKE);
		cut(&c);
	}
}

Test(wait, wake_reaches_both_halves)
{
	struct cable c = cable("mem:w7");
	struct sxsk_buf bufs[64];
	struct waiter *rx, *tx;

	(void)take_rings(c.peer);
	for (unsigned i = 0; i < 64; i++)
		bufs[i] = packet(c.far, 60, 1);
	cr_assert_eq(sxsk_tx_burst(c.peer, bufs, 64), 64, "no more room");
	rx = start(c.peer, SXSK_WAIT_RX);
	tx = start(c.peer, SXSK_WAIT_TX);
	sxsk_socket_wake(c.peer);
	cr_assert_eq(finish(rx), SXSK_WAIT_WAKE);
	cr_assert_eq(finish(tx), SXSK_WAIT_WAKE);
	sxsk_socket_close(c.peer);
	sxsk_socket_close(c.socket);
	expect_accounted(c.pool);
	expect_accounted(c.far);
	sxsk_pool_unref(c.pool);
	sxsk_pool_unref(c.far);
}

Test(wait, wake_before_the_wait_is_not_lost_and_counts_once)
{
	struct cable c = cable("mem:w8");

	sxsk_socket_wake(c.socket);
	sxsk_socket_wake(c.socket);
	cr_assert_eq(sxsk_socket_wait(c.socket, SXSK_WAIT_RX, -1), SXSK_WAIT_WAKE);
	cr_assert_eq(sxsk_socket_wait(c.socket, SXSK_WAIT_RX, 0), 0);
	cut(&c);
}

Test(wait, wake_of_the_slots_last_socket_is_forgotten)
{
	struct cable c = cable("mem:w9");
	struct sxsk_priv_socket *slot = inner_socket(c.socket);

	sxsk_socket_wake(c.socket);
	sxsk_socket_close(c.socket);
	c.socket = new_socket(c.pool, "mem:w9", 0);
	cr_assert_eq(inner_socket(c.socket), slot);
	cr_assert_eq(sxsk_socket_wait(c.socket, SXSK_WAIT_RX, 0), 0);
	cut(&c);
}

Test(wait, close_ends_it)
{
	struct cable c = cable("mem:w10");
	struct waiter *w = start(c.socket, SXSK_WAIT_RX);

	sxsk_socket_close(c.socket);
	cr_assert_eq(finish(w), -ESHUTDOWN);
	close_and_unref(c.peer, c.far);
	expect_all_home(c.pool);
	sxsk_pool_unref(c.pool);
	cr_assert_eq(sxsk_misuse_count(), 0);
}

static void nothing(int signal)
{
	(void)signal;
}

Test(wait, signal_interrupts_it)
{
	struct cable c = cable("mem:w11");
	struct sigaction sa = { .sa_handler = nothing };
	/* Again and again: the first may come before the sleep. */
	struct itimerval often = { { 0, 10000 }, { 0, 10000 } }, never = { { 0, 0 }, { 0, 0 } };

	cr_assert_eq(sigaction(SIGALRM, &sa, NULL), 0);
	cr_assert_eq(setitimer(ITIMER_REAL, &often, NULL), 0);
	expect_error(EINTR, "interrupted", sxsk_socket_wait(c.socket, SXSK_WAIT_RX, -1));
	cr_assert_eq(setitimer(ITIMER_REAL, &never, NULL), 0);
	cut(&c);
}

/* ---- the caller's own poll ---------------------------------------------------------------------------------- */

static bool readable(int fd, int timeout_ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, timeout_ms) == 1;
}

Test(wait, descriptor_tells_of_packets_and_wakes)
{
	struct cable c = cable("mem:w12");
	int fd = sxsk_socket_fd(c.socket);

	cr_assert_geq(fd, 0);
	cr_assert_eq(sxsk_socket_wait(c.socket, SXSK_WAIT_RX, 0), 0);
	cr_assert_not(readable(fd, 0));
	send_packets(&c, 1);
	cr_assert(readable(fd, -1));
	cr_assert_eq(sxsk_socket_wait(c.socket, SXSK_WAIT_RX, 0), SXSK_WAIT_RX);
	sxsk_socket_wake(c.socket);
	cr_assert(readable(fd, -1));
	cut(&c);
}

/* However it received meanwhile: a wait with time-out 0 arms the descriptor again. */
Test(wait, descriptor_tells_of_packets_after_many_bursts)
{
	struct cable c = cable("mem:w13");
	int fd = sxsk_socket_fd(c.socket);
	struct sxsk_buf b;

	for (unsigned i = 0; i < 100; i++) {
		send_packets(&c, 1);
		cr_assert_eq(sxsk_rx_burst(c.socket, &b, 1), 1);
		sxsk_buf_unref(&b);
		if (i % 33 != 0)
			continue;
		cr_assert_eq(sxsk_socket_wait(c.socket, SXSK_WAIT_RX, 0), 0);
		cr_assert_not(readable(fd, 0));
		send_packets(&c, 1);
		cr_assert(readable(fd, -1), "packet %u", i);
		cr_assert_eq(sxsk_socket_wait(c.socket, SXSK_WAIT_RX, -1), SXSK_WAIT_RX);
		cr_assert_eq(sxsk_rx_burst(c.socket, &b, 1), 1);
		sxsk_buf_unref(&b);
	}
	cut(&c);
}

/* ---- hunger -------------------------------------------------------------------------------------------------- */

/* Everything of the pool is in `held`: FILL is empty, and no packet can come. */
static unsigned hold_everything(struct cable *c, struct sxsk_buf held[64])
{
	unsigned n = 0;

	send_packets(c, 64);
	for (unsigned got = 1; got > 0; n += got)
		got = sxsk_rx_burst(c->socket, &held[n], 64 - n);
	n += take_all(c->pool, &held[n], 64 - n);
	for (unsigned got = 1; got > 0; n += got) {
		send_packets(c, 8);
		got = sxsk_rx_burst(c->socket, &held[n], 64 - n);
	}
	cr_assert_eq(n, 64, "%u", n);
	return n;
}

/* By the FILL ring: a frame's word says FILL before its address is in the ring. */
static uint32_t frames_with_kernel(const struct cable *c)
{
	const struct xsk_ring_prod *fill = &inner_socket(c->socket)->q->fill;

	return __atomic_load_n(fill->producer, __ATOMIC_ACQUIRE) -
	       __atomic_load_n(fill->consumer, __ATOMIC_ACQUIRE);
}

struct freer {
	struct sxsk_pool *pool;
	struct sxsk_buf *bufs;
	unsigned n;
	bool lane;
};

static void *give_back(void *arg)
{
	struct freer *f = arg;

	if (f->lane && sxsk_lane_attach(f->pool) != 0)
		return NULL;
	sxsk_buf_unref_burst(f->bufs, f->n);
	sxsk_lane_flush(f->pool); /* its named duty before it goes idle */
	return f;
}

Test(wait, hungry_receiver_is_fed_by_another_thread)
{
	for (unsigned lane = 0; lane < 2; lane++) {
		struct cable c = cable("mem:h1");
		struct sxsk_buf held[64], b;
		struct freer f = { c.pool, held, hold_everything(&c, held), lane };
		struct waiter *w;

		w = start(c.socket, SXSK_WAIT_RX);
		while (!(load_relaxed(&inner_pool(c.pool)->attention) & ATTN_HUNGRY))
			(void)sched_yield();
		cr_assert_eq(in_thread(give_back, &f), &f);
		while (frames_with_kernel(&c) == 0) /* the waiter refills */
			(void)sched_yield();
		send_packets(&c, 1);
		cr_assert_eq(finish(w), SXSK_WAIT_RX);
		cr_assert_eq(sxsk_rx_burst(c.socket, &b, 1), 1);
		sxsk_buf_unref(&b);
		cut(&c);
	}
}

Test(wait, descriptor_tells_the_hungry_that_a_frame_came_home)
{
	struct cable c = cable("mem:h2");
	struct sxsk_buf held[64];
	struct freer f = { c.pool, held, hold_everything(&c, held), false };
	int fd = sxsk_socket_fd(c.socket);

	while (readable(fd, 0)) /* what came before; the calls between sleeps consume it */
		cr_assert_eq(sxsk_socket_wait(c.socket, SXSK_WAIT_RX, 0), 0);
	cr_assert(load_relaxed(&inner_pool(c.pool)->attention) & ATTN_HUNGRY, "armed");
	cr_assert_not(readable(fd, 0));
	cr_assert_eq(in_thread(give_back, &f), &f);
	cr_assert(readable(fd, 0));
	cr_assert_eq(sxsk_socket_wait(c.socket, SXSK_WAIT_RX, 0), 0);
	cr_assert_gt(frames_with_kernel(&c), 0, "and it was fed");
	cut(&c);
}

/* ---- frames of one's own -------------------------------------------------------------------------------------- */

Test(wait, spare_frames_of_the_waiters_lane_go_to_fill)
{
	struct cable c = cable("mem:o1");
	struct sxsk_buf held[64];
	unsigned n = hold_everything(&c, held);
	struct sxsk_priv_stock *stock;

	cr_assert_eq(sxsk_lane_attach(c.pool), 0);
	stock = &sxsk_priv_thread_self->lanes->stock;
	store_relaxed(&inner_socket(c.socket)->rx.direct, 0); /* not straight to FILL */
	sxsk_buf_unref_burst(held, 16);
	cr_assert_eq(stock->n, 16);
	cr_assert_eq(sxsk_socket_wait(c.socket, SXSK_WAIT_RX, 0), 0);
	cr_assert_eq(frames_with_kernel(&c), 16);
	sxsk_buf_unref_burst(held + 16, n - 16);
	sxsk_lane_detach(c.pool);
	cut(&c);
}

/* Left there before the thread had a lane. */
Test(wait, spare_frames_of_the_halfs_stock_go_to_fill)
{
	struct cable c = cable("mem:o6");
	struct sxsk_buf held[64];
	struct freer f = { c.pool, held, 4, false };
	unsigned n = hold_everything(&c, held);

	cr_assert_eq(in_thread(give_back, &f), &f);
	cr_assert_eq(sxsk_priv_stock_pull(inner_pool(c.pool), &inner_socket(c.socket)->rx.stock),
		     4);
	cr_assert_eq(sxsk_lane_attach(c.pool), 0);
	cr_assert_eq(sxsk_socket_wait(c.socket, SXSK_WAIT_RX, 0), 0);
	cr_assert_eq(frames_with_kernel(&c), 4);
	sxsk_buf_unref_burst(held + 4, n - 4);
	sxsk_lane_detach(c.pool);
	cut(&c);
}

/* All frames wait in the waiter's own COMPLETION ring. */
Test(wait, own_completions_are_reaped)
{
	struct cable c = cable("mem:o2");
	struct sxsk_buf held[64];
	unsigned n = hold_everything(&c, held);

	for (unsigned i = 0; i < n; i++)
		cr_assert_eq(sxsk_buf_trim(&held[i], 60), 0);
	cr_assert_eq(sxsk_tx_burst(c.socket, held, n), n);
	cr_assert_eq(pool_stats(c.pool).tx, n);
	cr_assert_eq(sxsk_socket_wait(c.socket, SXSK_WAIT_RX, 0), 0);
	cr_assert_gt(frames_with_kernel(&c), 0);
	send_packets(&c, 1);
	cr_assert_eq(sxsk_socket_wait(c.socket, SXSK_WAIT_RX, -1), SXSK_WAIT_RX);
	cut(&c);
}

/* They were reaped by a send before, into the stock of the waiter's TX half. */
Test(wait, spare_frames_of_ones_own_tx_half_are_used)
{
	struct cable c = cable("mem:o3");
	struct sxsk_buf held[64];
	unsigned n = hold_everything(&c, held);

	for (unsigned i = 0; i < 4; i++)
		cr_assert_eq(sxsk_buf_trim(&held[i], 60), 0);
	cr_assert_eq(sxsk_tx_burst(c.socket, held, 4), 4);
	reap(c.socket);
	cr_assert_eq(inner_socket(c.socket)->tx.stock.n, 4);
	cr_assert_eq(sxsk_socket_wait(c.socket, SXSK_WAIT_RX, 0), 0);
	cr_assert_gt(frames_with_kernel(&c), 0);
	sxsk_buf_unref_burst(held + 4, n - 4);
	cut(&c);
}

/* A thread that sends, and then waits for packets. */
struct hand_over {
	struct sxsk_socket *socket;
	struct sxsk_buf *bufs;
	unsigned n;
	_Atomic(int) sent;
	int ret;
	pthread_t thread;
};

static void *send_and_wait(void *arg)
{
	struct hand_over *h = arg;

	h->sent = sxsk_tx_burst(h->socket, h->bufs, h->n) == h->n ? 1 : -1;
	h->ret = sxsk_socket_wait(h->socket, SXSK_WAIT_RX, -1);
	return NULL;
}

static void start_sender(struct hand_over *h)
{
	cr_assert_eq(pthread_create(&h->thread, NULL, send_and_wait, h), 0);
	while (h->sent == 0 || load_relaxed(&inner_socket(h->socket)->rx.busy) == 0)
		(void)sched_yield();
	cr_assert_eq(h->sent, 1);
}

/* The kernel is done with them only while the waiter sleeps, and wakes nobody. */
Test(wait, completions_that_come_during_the_sleep_feed_the_waiter)
{
	struct cable c = cable("mem:o4");
	struct sxsk_buf held[64], b;
	struct hand_over h = { .socket = c.socket, .bufs = held, .n = hold_everything(&c, held) };
	struct sxsk_mem_rings k = take_rings(c.socket);

	for (unsigned i = 0; i < h.n; i++)
		cr_assert_eq(sxsk_buf_trim(&held[i], 60), 0);
	start_sender(&h);
	cr_assert_eq(kernel_complete_all(&k), h.n);
	while (fill_level(&k) == 0)
		(void)sched_yield();
	(void)kernel_receive(&k, 60);
	cr_assert_eq(pthread_join(h.thread, NULL), 0);
	cr_assert_eq(h.ret, SXSK_WAIT_RX);
	cr_assert_eq(sxsk_rx_burst(c.socket, &b, 1), 1);
	sxsk_buf_unref(&b);
	cut(&c);
}

/* It sent once, and now only receives: its TX half has gone to another thread meanwhile. */
Test(wait, receiver_does_not_reap_a_tx_half_that_it_handed_over)
{
	struct cable c = cable("mem:o5");
	struct sxsk_mem_rings k = take_rings(c.socket);
	struct sxsk_buf b = packet(c.pool, 60, 1);
	struct hand_over h = { .socket = c.socket, .bufs = &b, .n = 1 };
	const struct timespec slices = { .tv_nsec = 600000000 };

	start_sender(&h);
	send_one(c.socket, packet(c.pool, 60, 2)); /* from here on it is this thread's half */
	cr_assert_eq(kernel_complete_all(&k), 2);
	(void)nanosleep(&slices, NULL); /* the waiter looks around once in 250 ms */
	cr_assert_eq(socket_stats(c.socket).tx_completed, 0,
		     "that ring is not the waiter's any more");
	reap(c.socket);
	cr_assert_eq(socket_stats(c.socket).tx_completed, 2);
	sxsk_socket_wake(c.socket);
	cr_assert_eq(pthread_join(h.thread, NULL), 0);
	cr_assert_eq(h.ret, SXSK_WAIT_WAKE);
	cut(&c);
}

/* A receiver's TX ring has room for ever, and a sender's RX ring never a packet. */
Test(wait, half_that_the_socket_was_opened_without_is_refused)
{
	struct sxsk_pool *pool = new_pool(256);
	struct sxsk_socket *only_rx = new_socket(pool, "mem:o6", SXSK_SOCKET_NO_TX),
			   *only_tx = new_socket(pool, "mem:o6", SXSK_SOCKET_NO_RX);

	expect_error(EINVAL, "SXSK_SOCKET_NO_TX", sxsk_socket_wait(only_rx, SXSK_WAIT_TX, -1));
	expect_error(EINVAL, "SXSK_SOCKET_NO_TX",
		     sxsk_socket_wait(only_rx, SXSK_WAIT_RX | SXSK_WAIT_TX, -1));
	expect_error(EINVAL, "SXSK_SOCKET_NO_RX", sxsk_socket_wait(only_tx, SXSK_WAIT_RX, -1));
	cr_assert_eq(sxsk_socket_wait(only_rx, SXSK_WAIT_RX, 0), 0);
	cr_assert_eq(sxsk_socket_wait(only_tx, SXSK_WAIT_TX, 0), SXSK_WAIT_TX);
	sxsk_socket_close(only_rx);
	close_and_unref(only_tx, pool);
}

/* It sleeps a millisecond at a time, since what it sent is not taken. */
Test(wait, time_out_is_never_short)
{
	struct cable c = cable("mem:o7");
	struct sxsk_mem_rings k = take_rings(c.socket);

	send_one(c.socket, packet(c.pool, 60, 1));
	for (unsigned i = 0; i < 60; i++) {
		struct timespec a, b;

		(void)clock_gettime(CLOCK_MONOTONIC, &a);
		cr_assert_eq(sxsk_socket_wait(c.socket, SXSK_WAIT_RX, 3), 0);
		(void)clock_gettime(CLOCK_MONOTONIC, &b);
		cr_assert_geq((b.tv_sec - a.tv_sec) * 1000000000 + b.tv_nsec - a.tv_nsec, 3000000);
	}
	cr_assert_eq(kernel_complete_all(&k), 1);
	cut(&c);
}

/* ---- a drain that is interrupted ------------------------------------------------------------------------ */

static struct sxsk_socket *handlers;
static unsigned corrupt, refused;

static void use_in_handler(const struct sxsk_misuse *m, void *arg)
{
	struct sxsk_priv_thread *t = sxsk_priv_thread_self;
	struct sxsk_pool *pool = arg;

	refused += m->kind == SXSK_MISUSE_THREADS;
	if (m->kind != SXSK_MISUSE_CORRUPT || corrupt++)
		return;
	cr_assert_eq(sxsk_tx_burst(handlers, NULL, 0), 0);
	cr_assert_eq(sxsk_rx_burst(handlers, NULL, 0), 0);
	cr_assert_eq(sxsk_pool_drain(pool, 0), -ETIMEDOUT);
	cr_assert_neq(load_relaxed(&t->inside), 0, "still in the drain");
	cr_assert_neq(load_relaxed(&t->tending), 0, "still in the drain");
}

/* As a signal handler may come in the midst of it: here that of a misuse does, since the half's stock has a
 * number of a frame that is elsewhere. */
Test(wait, handler_in_a_drain_may_not_be_in_the_half)
{
	struct cable c = cable("mem:w30");
	struct sxsk_priv_stock *stock = &inner_socket(c.socket)->tx.stock;
	struct sxsk_buf held = packet(c.pool, 60, 1);

	send_one(c.socket, packet(c.pool, 60, 1));
	reap(c.socket);
	handlers = c.socket;
	sxsk_set_misuse_handler(use_in_handler, c.pool);
	stock->index[stock->n++] = sxsk_buf_index(held);
	cr_assert_eq(sxsk_pool_drain(c.pool, 0), -ETIMEDOUT, "one is held");
	cr_assert_eq(corrupt, 1);
	cr_assert_eq(refused, 2);
	cr_assert_eq(load_relaxed(&sxsk_priv_thread_self->inside), 0);
	sxsk_set_misuse_handler(NULL, NULL);
	sxsk_buf_unref(&held);
	cut(&c);
}
