/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One thread writes packets, three others read clones of each, every one through a view of its own, and
 * give them back: with a lane, without, in bursts. What a reader sees is whole, although the writer
 * writes into the same few frames again as soon as all references are gone.
 */
#include "stress.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#define READERS 3u
#define RING 64u
#define FRAMES 128u

struct item {
	struct sxsk_buf b;
	uint64_t number;
	uint32_t skip;
};

static struct reader {
	_Alignas(64) _Atomic(uint32_t) head; /* given */
	_Alignas(64) _Atomic(uint32_t) tail; /* taken */
	struct item ring[RING];
	uint64_t read;
	unsigned index;
} readers[READERS];

static struct sxsk_pool *pool;
static _Atomic(bool) over;

static bool give(struct reader *r, struct item item)
{
	uint32_t head = atomic_load_explicit(&r->head, memory_order_relaxed);

	if (head - atomic_load_explicit(&r->tail, memory_order_acquire) == RING)
		return false;
	r->ring[head % RING] = item;
	atomic_store_explicit(&r->head, head + 1, memory_order_release);
	return true;
}

static unsigned take(struct reader *r, struct item items[], unsigned n)
{
	uint32_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed), got = 0;

	while (got < n && tail != atomic_load_explicit(&r->head, memory_order_acquire))
		items[got++] = r->ring[tail++ % RING];
	atomic_store_explicit(&r->tail, tail, memory_order_release);
	return got;
}

static void *reader_thread(void *arg)
{
	struct reader *r = arg;
	struct item items[16];
	struct sxsk_buf bufs[16];

	if (r->index != 1)
		check(sxsk_lane_attach(pool) == 0);
	for (;;) {
		bool last = atomic_load(&over);
		unsigned n = take(r, items, r->index == 2 ? 1 : 16);

		for (unsigned i = 0; i < n; i++) {
			packet_check(items[i].b, items[i].number, items[i].skip);
			bufs[i] = items[i].b;
		}
		sxsk_buf_unref_burst(bufs, n);
		r->read += n;
		if (n == 0 && last)
			return NULL;
		if (n == 0) {
			sxsk_lane_flush(pool); /* idle: the writer may want them */
			(void)sched_yield();
		}
	}
}

/* A clone with a view of its own. */
static struct item clone_for(struct sxsk_buf b, uint64_t number, uint32_t skip)
{
	struct item item = { .b = sxsk_buf_ref(b), .number = number, .skip = skip };

	check(!sxsk_buf_is_null(item.b));
	check(sxsk_buf_pull(&item.b, 8 * skip) == 0);
	return item;
}

static uint64_t write_packets(uint64_t wanted, double end)
{
	uint64_t number = 0;

	while (number < wanted && (number % 1024 != 0 || seconds() < end)) {
		struct sxsk_buf b;

		if (sxsk_pool_alloc(pool, &b, 1) == 0) {
			(void)sched_yield();
			continue;
		}
		packet_write(&b, number);
		for (unsigned i = 0; i < READERS; i++) {
			struct item item = clone_for(b, number, i);

			while (!give(&readers[i], item))
				(void)sched_yield();
		}
		sxsk_buf_unref(&b);
		number++;
	}
	return number;
}

int main(int argc, char **argv)
{
	struct sxsk_pool_opts opts = { .sz = sizeof(opts), .frame_count = FRAMES };
	struct sxsk_pool_stats st = { .sz = sizeof(st) };
	uint64_t operations = 3000000, written;
	pthread_t thread[READERS];
	double limit = 120, begun = seconds();

	stress_options(argc, argv, &operations, &limit);
	check(sxsk_pool_create(&pool, &opts) == 0);
	for (unsigned i = 0; i < READERS; i++) {
		readers[i].index = i;
		check(pthread_create(&thread[i], NULL, reader_thread, &readers[i]) == 0);
	}
	/* Of each packet: written, cloned, read and given back three times. */
	written = write_packets(operations / 10, begun + limit);
	atomic_store(&over, true);
	for (unsigned i = 0; i < READERS; i++) {
		check(pthread_join(thread[i], NULL) == 0);
		check(readers[i].read == written);
	}
	sxsk_pool_stats(pool, &st);
	check(st.depot == st.total);
	sxsk_pool_unref(pool);
	(void)printf("%llu packets read three times each in %.1f s\n", (unsigned long long)written,
		     seconds() - begun);
	return written > 0 ? 0 : 1;
}
