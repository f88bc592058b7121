/* SPDX-License-Identifier: BSD-2-Clause */
/* What one can do wrong with threads, handlers and raw pointers. */
#include "misuse.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

/* ---- two threads in one half ------------------------------------------------------------------------------ */

static _Atomic bool stop, waiting;

static void *wait_for_packets(void *arg)
{
	struct stage *st = arg;

	atomic_store(&waiting, true);
	if (sxsk_socket_wait(st->a, SXSK_WAIT_RX, 15000) == 0)
		return NULL;
	return NULL;
}

static bool receive_while_another_waits(struct stage *st)
{
	struct sxsk_buf b;
	pthread_t t;
	bool refused;

	MUST(pthread_create(&t, NULL, wait_for_packets, st) == 0);
	while (!atomic_load(&waiting))
		;
	do /* the other is about to wait, or looks around just then */
		refused = sxsk_rx_burst(st->a, &b, 1) == 0;
	while (refused && sxsk_misuse_count() == 0);
	sxsk_socket_wake(st->a);
	pthread_join(t, NULL);
	return refused && no_frame_lost(st->pool, 0);
}

static bool close_under_wait(struct stage *st)
{
	pthread_t t;

	MUST(pthread_create(&t, NULL, wait_for_packets, st) == 0);
	while (!atomic_load(&waiting))
		;
	usleep(20000);
	sxsk_socket_close(st->a); /* ends the wait */
	pthread_join(t, NULL);
	return no_frame_lost(st->pool, 0);
}

static void *receive_for_ever(void *arg)
{
	struct stage *st = arg;
	struct sxsk_buf bufs[16];

	while (!atomic_load(&stop) && sxsk_socket_error(st->b) == 0) {
		unsigned n = sxsk_rx_burst(st->b, bufs, 16);

		sxsk_buf_unref_burst(bufs, n);
	}
	return NULL;
}

/* A burst during the close returns 0; one after it has a stale pointer, which is a misuse of its own. */
static bool close_under_burst(struct stage *st)
{
	pthread_t t;

	MUST(pthread_create(&t, NULL, receive_for_ever, st) == 0);
	for (int i = 0; i < 200; i++) {
		struct sxsk_buf b = take(st->pool);

		while (sxsk_tx_burst(st->a, &b, 1) == 0)
			;
	}
	sxsk_socket_close(st->b);
	atomic_store(&stop, true);
	pthread_join(t, NULL);
	return sxsk_tx_burst(st->a, NULL, 0) == 0 && no_frame_lost(st->other_pool, 0);
}

/* ---- one reference in two threads ------------------------------------------------------------------------- */

static struct sxsk_buf contested[64];
static pthread_barrier_t start;

static void *unref_them(void *arg)
{
	(void)arg;
	for (int i = 0; i < 2000; i++) {
		struct sxsk_buf mine[64];

		pthread_barrier_wait(&start);
		memcpy(mine, contested, sizeof(mine));
		sxsk_buf_unref_burst(mine, 64);
		pthread_barrier_wait(&start);
	}
	return NULL;
}

static bool racing_double_unref(struct stage *st)
{
	pthread_t t[2];

	pthread_barrier_init(&start, NULL, 3);
	for (int i = 0; i < 2; i++)
		MUST(pthread_create(&t[i], NULL, unref_them, NULL) == 0);
	for (int i = 0; i < 2000; i++) {
		MUST(sxsk_pool_alloc(st->pool, contested, 64) == 64);
		pthread_barrier_wait(&start);
		pthread_barrier_wait(&start);
	}
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	return no_frame_lost(st->pool, 0);
}

/* ---- handlers ----------------------------------------------------------------------------------------------- */

static struct sxsk_buf for_handler[4096];
static volatile sig_atomic_t handled;

static void unref_in_handler(int sig)
{
	(void)sig;
	if (handled < 4096)
		sxsk_buf_unref(&for_handler[handled++]);
}

/* A lane's thread is interrupted anywhere in its own calls: the handler's unref goes to the depot. */
static bool unref_in_signal_handler(struct stage *st)
{
	struct sxsk_pool_opts o = { .sz = sizeof(o), .frame_count = 8192 };
	struct sxsk_pool *pool;
	timer_t timer;
	struct itimerspec every = { .it_interval = { .tv_nsec = 50000 },
				    .it_value = { .tv_nsec = 50000 } };

	(void)st;
	MUST(sxsk_pool_create(&pool, &o) == 0);
	MUST(sxsk_lane_attach(pool) == 0);
	MUST(sxsk_pool_alloc(pool, for_handler, 4096) == 4096);
	signal(SIGALRM, unref_in_handler);
	MUST(timer_create(CLOCK_MONOTONIC, NULL, &timer) == 0);
	MUST(timer_settime(timer, 0, &every, NULL) == 0);
	while (handled < 4096) {
		struct sxsk_buf bufs[32];
		unsigned n = sxsk_pool_alloc(pool, bufs, 32);

		sxsk_buf_unref_burst(bufs, n);
	}
	timer_delete(timer);
	signal(SIGALRM, SIG_IGN);
	return no_frame_lost(pool, 0);
}

/* ---- raw pointers kept: for the levels of hardened mode -------------------------------------------------- */

static bool raw_write_after_unref(struct stage *st)
{
	struct sxsk_buf b = take(st->pool), all[256];
	unsigned char *raw = sxsk_buf_data_mut(b);
	unsigned n;

	sxsk_buf_unref(&b);
	raw[5] = 1;
	n = sxsk_pool_alloc(st->pool, all, 256); /* the frame is looked at when it leaves home */
	sxsk_buf_unref_burst(all, n);
	return n > 0;
}

static bool raw_write_after_send(struct stage *st)
{
	struct sxsk_buf b = take(st->pool);
	unsigned char *raw = sxsk_buf_data_mut(b);

	MUST(sxsk_tx_burst(st->a, &b, 1) == 1);
	MUST(sxsk_tx_burst(st->a, NULL, 0) == 0); /* completed: the frame is home */
	raw[5] = 1;
	sxsk_socket_close(st->a); /* its stock goes to the depot */
	for (int i = 0; i < 4; i++) {
		struct sxsk_buf all[256];
		unsigned n = sxsk_pool_alloc(st->pool, all, 256);

		sxsk_buf_unref_burst(all, n);
	}
	return true;
}

const struct row thread_rows[] = {
	{ "receive while another thread waits in the half", ALWAYS, NULL, KIND(THREADS),
	  receive_while_another_waits },
	{ "close under another thread's wait", HARMLESS, NULL, 0, close_under_wait },
	{ "close under another thread's bursts", EITHER, NULL, KIND(CLOSED), close_under_burst },
	{ "two threads unref one reference at the same time", HARDENED, "race-safe",
	  KIND(STALE) | KIND(DOUBLE), racing_double_unref },
	{ "unref in a signal handler", HARMLESS, NULL, 0, unref_in_signal_handler },
	{ "write through a raw pointer kept after unref", HARDENED, "canary", KIND(CORRUPT),
	  raw_write_after_unref },
	{ "write through a raw pointer kept after send", HARDENED, "canary,fifo", KIND(CORRUPT),
	  raw_write_after_send },
};
const unsigned thread_row_count = sizeof(thread_rows) / sizeof(thread_rows[0]);
