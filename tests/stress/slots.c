/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two threads give the last two references to a pool's frame back at the same time, one of them in a burst
 * with a Buf of another pool behind it; and a new pool takes the slot at once. Whoever is not the last looks
 * at nothing of the pool any more.
 */
#include "stress.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

static struct sxsk_buf burst[2];
static _Atomic(uint32_t) turn; /* odd: the burst is the other thread's */
static _Atomic(bool) over;

static void *other_thread(void *arg)
{
	for (;;) {
		bool last = atomic_load(&over);

		if (atomic_load_explicit(&turn, memory_order_acquire) % 2) {
			sxsk_buf_unref_burst(burst, 2);
			/* Relaxed: what orders the two threads is to be in the library. */
			atomic_fetch_add_explicit(&turn, 1, memory_order_relaxed);
		} else if (last) {
			return arg;
		}
	}
}

int main(int argc, char **argv)
{
	struct sxsk_pool_opts opts = { .sz = sizeof(opts), .frame_count = 64 };
	uint64_t operations = 30000, done = 0;
	struct sxsk_pool *lasting, *pool;
	pthread_t thread;
	double limit = 60, begun = seconds();

	stress_options(argc, argv, &operations, &limit);
	check(sxsk_pool_create(&lasting, &opts) == 0);
	check(pthread_create(&thread, NULL, other_thread, NULL) == 0);
	for (; done < operations && seconds() < begun + limit; done++) {
		struct sxsk_buf b;

		/* The other thread has let go of the pool before: this one gets its slot. */
		while (atomic_load_explicit(&turn, memory_order_relaxed) % 2)
			(void)sched_yield();
		check(sxsk_pool_create(&pool, &opts) == 0);
		check(sxsk_pool_alloc(pool, &b, 1) == 1);
		sxsk_pool_unref(pool);
		burst[0] = sxsk_buf_ref(b);
		check(sxsk_pool_alloc(lasting, &burst[1], 1) == 1);
		atomic_fetch_add_explicit(&turn, 1, memory_order_release);
		sxsk_buf_unref(&b);
	}
	atomic_store(&over, true);
	check(pthread_join(thread, NULL) == 0);
	sxsk_pool_unref(lasting);
	(void)printf("%llu pools, one after the other\n", (unsigned long long)done);
	return done > 0 ? 0 : 1;
}
