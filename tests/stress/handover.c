/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two threads at the two sides of a hand-over queue, and one pool: packets of three, one and one Bufs,
 * pushed and popped as many at a time as the dice say. Each arrives once, in order, whole, with its bytes,
 * and at the end every frame is home. For ThreadSanitizer: nothing but the queue orders the bytes.
 */
#include "stress.h"

#include <pthread.h>
#include <safexsk/handover.h>
#include <sched.h>
#include <stdatomic.h>

#define QUEUE 64u
#define BURST 40u
#define ROUND 5u /* Bufs: a packet of three, and two of one */

static struct sxsk_handover queue;
static struct sxsk_buf room[QUEUE];
static struct sxsk_pool *pool;
static uint64_t operations = 400000;
static double limit = 30;
static _Atomic(uint64_t) total =
	UINT64_MAX; /* Bufs; known at the end. Relaxed: it orders nothing */

/* Up to n Bufs, whole rounds, numbered. */
static unsigned make(struct sxsk_buf bufs[BURST], uint64_t number, unsigned n)
{
	unsigned got = sxsk_pool_alloc(pool, bufs, n);

	n = got - got % ROUND;
	sxsk_buf_unref_burst(bufs + n, got - n);
	for (unsigned i = 0; i < n; i++) {
		packet_write(&bufs[i], number + i);
		if (i % ROUND < 2)
			bufs[i].flags |= SXSK_BUF_MORE;
	}
	return n;
}

static void *produce(void *arg)
{
	struct sxsk_buf bufs[BURST];
	uint64_t number = 0, state = 1;
	double end = seconds() + limit;

	(void)arg;
	check(sxsk_lane_attach(pool) == 0);
	while (number < operations && seconds() < end) {
		unsigned n = make(bufs, number, (1 + dice(&state, BURST / ROUND)) * ROUND);

		for (unsigned sent = 0; sent < n;) {
			if (sxsk_handover_room(&queue, 3) == 0)
				(void)sched_yield();
			sent += sxsk_handover_push(&queue, bufs + sent, n - sent);
		}
		number += n;
	}
	atomic_store_explicit(&total, number, memory_order_relaxed);
	sxsk_lane_detach(pool);
	return NULL;
}

/* Returns how many came, or 0 when there was nothing. */
static unsigned consume(uint64_t number, uint64_t *state)
{
	struct sxsk_buf bufs[BURST];
	unsigned n = sxsk_handover_pop(&queue, bufs, 3 + dice(state, BURST - 3));

	for (unsigned i = 0; i < n; i++) {
		packet_check(bufs[i], number + i, 0);
		check((bufs[i].flags == SXSK_BUF_MORE) == ((number + i) % ROUND < 2));
	}
	check(n == 0 || !(bufs[n - 1].flags & SXSK_BUF_MORE));
	sxsk_buf_unref_burst(bufs, n);
	return n;
}

int main(int argc, char **argv)
{
	struct sxsk_pool_opts opts = { .sz = sizeof(opts), .frame_count = 128 };
	struct sxsk_pool_stats st = { .sz = sizeof(st) };
	uint64_t number = 0, state = 2;
	pthread_t producer;

	stress_options(argc, argv, &operations, &limit);
	check(sxsk_pool_create(&pool, &opts) == 0);
	check(sxsk_handover_init(&queue, room, QUEUE) == 0);
	check(pthread_create(&producer, NULL, produce, NULL) == 0);
	while (number < atomic_load_explicit(&total, memory_order_relaxed)) {
		unsigned n = consume(number, &state);

		number += n;
		if (n == 0)
			(void)sched_yield();
	}
	check(pthread_join(producer, NULL) == 0);
	check(number == total && consume(number, &state) == 0);
	sxsk_pool_stats(pool, &st);
	check(st.depot == st.total);
	sxsk_pool_unref(pool);
	printf("%llu Bufs handed over\n", (unsigned long long)number);
	return 0;
}
