/* SPDX-License-Identifier: BSD-2-Clause */
/* Waiting for several sockets at once: as for one, and what is of each is told of each. */
#include "support.h"

#include <pthread.h>
#include <sched.h>
#include <sys/time.h>
#include <time.h>

/* Three cables: this program has one end of each, of one pool, and the others are of another. */
struct ends {
	struct sxsk_pool *pool, *far;
	struct sxsk_socket *socket[3], *peer[3];
	char name[3][16];
	struct sxsk_wait waits[3];
};

static struct ends ends(const char *test)
{
	struct ends e = { .pool = new_pool(256), .far = new_pool(256) };

	for (unsigned i = 0; i < 3; i++) {
		snprintf(e.name[i], sizeof(e.name[i]), "mem:%s%u", test, i);
		e.socket[i] = new_socket(e.pool, e.name[i], 0);
		e.peer[i] = new_socket(e.far, e.name[i], 0);
		e.waits[i] = (struct sxsk_wait){ e.socket[i], SXSK_WAIT_RX, 99 };
	}
	return e;
}

static void cut(struct ends *e)
{
	for (unsigned i = 0; i < 3; i++) {
		sxsk_socket_close(e->socket[i]);
		sxsk_socket_close(e->peer[i]);
	}
	expect_accounted(e->pool);
	expect_accounted(e->far);
	sxsk_pool_unref(e->pool);
	sxsk_pool_unref(e->far);
}

static void send_to(struct ends *e, unsigned i)
{
	send_one(e->peer[i], packet(e->far, 60, 1));
	reap(e->peer[i]);
}

static void expect_got(const struct ends *e, int a, int b, int c)
{
	cr_assert(e->waits[0].got == a && e->waits[1].got == b && e->waits[2].got == c,
		  "%d %d %d, not %d %d %d", e->waits[0].got, e->waits[1].got, e->waits[2].got, a, b,
		  c);
}

/* ---- in another thread ------------------------------------------------------------------------------------ */

struct waiter {
	struct sxsk_wait *waits;
	struct sxsk_priv_thread *_Atomic record;
	int ret;
	atomic_bool done;
	pthread_t thread;
};

static void *wait_there(void *arg)
{
	struct waiter *w = arg;

	(void)!sxsk_socket_error(w->waits[0].socket); /* makes the record */
	w->record = sxsk_priv_thread_self;
	w->ret = sxsk_sockets_wait(w->waits, 3, -1);
	w->done = true;
	return NULL;
}

/* In none of its halves, and all of them busy: it sleeps, or is about to. */
static bool sleeps(const struct waiter *w)
{
	return w->record && load_relaxed(&w->record->inside) == 0 &&
	       load_relaxed(&w->record->waiting) == 3 &&
	       load_relaxed(&inner_socket(w->waits[2].socket)->rx.busy) != 0;
}

static void start(struct waiter *w, struct ends *e)
{
	*w = (struct waiter){ .waits = e->waits };
	cr_assert_eq(pthread_create(&w->thread, NULL, wait_there, w), 0);
	while (!sleeps(w))
		(void)sched_yield();
}

static int finish(struct waiter *w)
{
	cr_assert_eq(pthread_join(w->thread, NULL), 0);
	return w->ret;
}

/* ---- events ----------------------------------------------------------------------------------------------- */

Test(waits, packets_of_each_are_told_of_each)
{
	struct ends e = ends("a");

	send_to(&e, 0);
	send_to(&e, 2);
	cr_assert_eq(sxsk_sockets_wait(e.waits, 3, -1), 2);
	expect_got(&e, SXSK_WAIT_RX, 0, SXSK_WAIT_RX);
	cut(&e);
}

Test(waits, packet_on_any_ends_the_sleep)
{
	for (unsigned i = 0; i < 3; i++) {
		struct ends e = ends("b");
		struct waiter w;

		start(&w, &e);
		send_to(&e, i);
		cr_assert_eq(finish(&w), 1);
		for (unsigned k = 0; k < 3; k++)
			cr_assert_eq(e.waits[k].got, k == i ? SXSK_WAIT_RX : 0);
		cut(&e);
	}
}

Test(waits, events_differ_by_socket)
{
	struct ends e = ends("c");

	e.waits[1].events = SXSK_WAIT_TX;
	e.waits[2].events = SXSK_WAIT_WAKE;
	send_to(&e, 2); /* nobody asks */
	sxsk_socket_wake(e.socket[2]);
	cr_assert_eq(sxsk_sockets_wait(e.waits, 3, -1), 2);
	expect_got(&e, 0, SXSK_WAIT_TX, SXSK_WAIT_WAKE);
	cut(&e);
}

Test(waits, both_halves_of_one_socket)
{
	struct ends e = ends("d");

	e.waits[1] = (struct sxsk_wait){ e.socket[0], SXSK_WAIT_TX, 0 };
	cr_assert_eq(sxsk_sockets_wait(e.waits, 2, -1), 1);
	expect_got(&e, 0, SXSK_WAIT_TX, 99);
	cut(&e);
}

Test(waits, time_out_is_zero_and_not_short)
{
	struct ends e = ends("e");
	struct timespec a, b;

	cr_assert_eq(sxsk_sockets_wait(e.waits, 3, 0), 0);
	expect_got(&e, 0, 0, 0);
	(void)clock_gettime(CLOCK_MONOTONIC, &a);
	cr_assert_eq(sxsk_sockets_wait(e.waits, 3, 300), 0); /* longer than a slice */
	(void)clock_gettime(CLOCK_MONOTONIC, &b);
	cr_assert_geq((b.tv_sec - a.tv_sec) * 1000000000 + b.tv_nsec - a.tv_nsec, 300000000);
	cut(&e);
}

Test(waits, wake_of_any_ends_it)
{
	for (unsigned i = 0; i < 3; i++) {
		struct ends e = ends("f");
		struct waiter w;

		start(&w, &e);
		sxsk_socket_wake(e.socket[i]);
		cr_assert_eq(finish(&w), 1);
		cr_assert_eq(e.waits[i].got, SXSK_WAIT_WAKE);
		cut(&e);
	}
}

/* ---- ends ------------------------------------------------------------------------------------------------- */

Test(waits, close_of_any_ends_it)
{
	for (unsigned i = 0; i < 3; i++) {
		struct ends e = ends("g");
		struct waiter w;

		start(&w, &e);
		sxsk_socket_close(e.socket[i]);
		e.socket[i] = NULL;
		cr_assert_eq(finish(&w), -ESHUTDOWN);
		cr_assert_eq(e.waits[i].got, -ESHUTDOWN);
		cr_assert_eq(sxsk_misuse_count(), 0);
		cut(&e);
	}
}

Test(waits, interface_that_is_down_or_gone)
{
	struct ends e = ends("h");
	struct waiter w;

	cr_assert_eq(sxsk_mem_set_link(e.name[1], false), 0);
	expect_error(ENETDOWN, "mem:h1", sxsk_sockets_wait(e.waits, 3, -1));
	expect_got(&e, 0, -ENETDOWN, 0);
	cr_assert_eq(sxsk_mem_set_link(e.name[1], true), 0);
	start(&w, &e);
	cr_assert_eq(sxsk_mem_remove(e.name[2]), 0);
	cr_assert_eq(finish(&w), -ENXIO);
	expect_got(&e, 0, 0, -ENXIO);
	cut(&e);
}

static void nothing(int signal)
{
	(void)signal;
}

static void every_10_ms(void (*handler)(int))
{
	struct sigaction sa = { .sa_handler = handler };
	struct itimerval often = { { 0, 10000 }, { 0, 10000 } };

	cr_assert_eq(sigaction(SIGALRM, &sa, NULL), 0);
	cr_assert_eq(setitimer(ITIMER_REAL, handler == SIG_IGN ? &(struct itimerval){ 0 } : &often,
			       NULL),
		     0);
}

Test(waits, signal_interrupts_it)
{
	struct ends e = ends("i");

	every_10_ms(nothing);
	expect_error(EINTR, "interrupted", sxsk_sockets_wait(e.waits, 3, -1));
	every_10_ms(SIG_IGN);
	cut(&e);
}

/* ---- what is refused -------------------------------------------------------------------------------------- */

static struct sxsk_socket *to_close;
static uint64_t tries;

static void close_it(int signal)
{
	(void)signal;
	if (load_relaxed(&sxsk_priv_thread_self->waiting) == 0)
		return;
	tries++;
	sxsk_socket_close(to_close);
}

/* Its own thread is in there: that would never end. */
Test(waits, close_from_its_own_signal_handler_is_misuse)
{
	struct ends e = ends("j");

	count_misuse();
	to_close = e.socket[1];
	cr_assert_eq(sxsk_socket_error(to_close), 0);
	every_10_ms(close_it);
	cr_assert_eq(sxsk_sockets_wait(e.waits, 3, -1), -EINTR);
	every_10_ms(SIG_IGN);
	cr_assert_gt(tries, 0);
	cr_assert_eq(sxsk_misuse_count(), tries);
	cr_assert_eq(seen.kind, SXSK_MISUSE_THREADS);
	cr_assert_eq(sxsk_sockets_wait(e.waits, 3, 0), 0, "they are open");
	cut(&e);
}

Test(waits, receive_while_another_thread_waits_is_misuse)
{
	struct ends e = ends("k");
	struct sxsk_buf b;
	struct waiter w;

	count_misuse();
	start(&w, &e);
	while (sxsk_misuse_count() == 0) /* at once, if the waiter does not look around just then */
		cr_assert_eq(sxsk_rx_burst(e.socket[0], &b, 1), 0);
	cr_assert_eq(seen.kind, SXSK_MISUSE_THREADS);
	sxsk_socket_wake(e.socket[1]);
	(void)finish(&w);
	cut(&e);
}

Test(waits, wrong_arguments_are_refused)
{
	struct ends e = ends("l");
	struct sxsk_socket *only_tx = new_socket(e.pool, "mem:l3", SXSK_SOCKET_NO_RX);

	expect_error(EINVAL, "n is 0", sxsk_sockets_wait(e.waits, 0, -1));
	e.waits[1].events = 0;
	expect_error(EINVAL, "events is 0x0", sxsk_sockets_wait(e.waits, 3, -1));
	expect_got(&e, 0, -EINVAL, 0);
	e.waits[1] = (struct sxsk_wait){ e.socket[0], SXSK_WAIT_RX | SXSK_WAIT_TX, 0 };
	expect_error(EINVAL, "mem:l0 is there twice", sxsk_sockets_wait(e.waits, 3, -1));
	e.waits[1] = (struct sxsk_wait){ only_tx, SXSK_WAIT_RX, 0 };
	expect_error(EINVAL, "SXSK_SOCKET_NO_RX", sxsk_sockets_wait(e.waits, 3, -1));
	count_misuse();
	e.waits[1] = (struct sxsk_wait){ NULL, SXSK_WAIT_RX, 0 };
	expect_misuse(SXSK_MISUSE_CLOSED, "sxsk_sockets_wait",
		      cr_assert_eq(sxsk_sockets_wait(e.waits, 3, -1), -EINVAL));
	sxsk_socket_close(only_tx);
	cut(&e);
}

/* A wait in a wait would leave its thread's halves to others. */
static struct ends *nested;

static void wait_again(int signal)
{
	(void)signal;
	if (load_relaxed(&sxsk_priv_thread_self->waiting) == 0)
		return;
	tries++;
	cr_assert_eq(sxsk_sockets_wait(nested->waits, 1, 0), -EINVAL);
	cr_assert_eq(load_relaxed(&sxsk_priv_thread_self->waiting), 3);
}

Test(waits, wait_in_its_own_signal_handler_is_refused)
{
	struct ends e = ends("n");

	nested = &e;
	cr_assert_eq(sxsk_socket_error(e.socket[0]), 0);
	every_10_ms(wait_again);
	cr_assert_eq(sxsk_sockets_wait(e.waits, 3, -1), -EINTR);
	every_10_ms(SIG_IGN);
	cr_assert_gt(tries, 0);
	cr_assert_eq(sxsk_misuse_count(), 0);
	cut(&e);
}

Test(waits, more_than_64_are_refused)
{
	struct sxsk_wait waits[SXSK_WAIT_MOST + 1] = { 0 };

	expect_error(EINVAL, "n is 65", sxsk_sockets_wait(waits, SXSK_WAIT_MOST + 1, -1));
	cr_assert_eq(sxsk_misuse_count(), 0);
}

/* ---- hunger ----------------------------------------------------------------------------------------------- */

/* All frames of the pool are in Bufs; the waiter sleeps until some come home, and passes them on. */
Test(waits, hungry_receivers_are_fed_by_another_thread)
{
	struct ends e = ends("m");
	struct sxsk_buf held[256];
	unsigned n = 0;
	struct waiter w;

	while (n < 256) {
		n += take_all(e.pool, &held[n], 256 - n);
		for (unsigned k = 0; k < 3; k++) {
			send_to(&e, k);
			n += sxsk_rx_burst(e.socket[k], &held[n], 256 - n);
		}
	}
	start(&w, &e);
	cr_assert(load_relaxed(&inner_pool(e.pool)->attention) & ATTN_HUNGRY);
	sxsk_buf_unref_burst(held, n);
	do
		send_to(&e, 1);
	while (!w.done);
	cr_assert_eq(finish(&w), 1);
	expect_got(&e, 0, SXSK_WAIT_RX, 0);
	cut(&e);
}
