/* SPDX-License-Identifier: BSD-2-Clause */
/* The depot: a lock-free stack of magazines of free frames. */
#include "support.h"

#include <pthread.h>

#define TAG(head) ((head) >> 24)
#define TOP(head) ((uint32_t)(head)&NIL)

/* Leave the depot empty, as its frames' holder. */
static uint32_t pop_all(struct sxsk_priv_pool *p)
{
	uint32_t index[MAGAZINE_MAX], n, total = 0;

	while ((n = sxsk_priv_depot_pop(p, index, MAGAZINE_MAX)) > 0)
		total += n;
	cr_assert(sxsk_priv_depot_empty(p));
	return total;
}

Test(depot, magazine_is_a_sixteenth_of_the_pool_up_to_64)
{
	static const uint32_t count[] = { 64, 128, 192, 960, 1024, 1088, 65536 };
	static const uint32_t magazine[] = { 4, 8, 12, 60, 64, 64, 64 };

	for (unsigned i = 0; i < sizeof(count) / sizeof(count[0]); i++) {
		struct sxsk_pool *pool = new_pool(count[i]);
		uint32_t index[MAGAZINE_MAX];

		cr_assert_eq(inner_pool(pool)->magazine, magazine[i]);
		cr_assert_eq(sxsk_priv_depot_pop(inner_pool(pool), index, 1), magazine[i]);
		sxsk_priv_depot_push(inner_pool(pool), index, magazine[i]);
		cr_assert_eq(pop_all(inner_pool(pool)), count[i]);
		sxsk_pool_unref(pool);
	}
}

Test(depot, magazines_come_back_as_they_went_last_first)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_priv_pool *p = inner_pool(pool);
	static const uint32_t a[] = { 7, 3, 5, 1 }, b[] = { 9, 2 }, c[] = { 63 };
	uint32_t index[MAGAZINE_MAX];

	cr_assert_eq(pop_all(p), 64);
	sxsk_priv_depot_push(p, a, 4);
	sxsk_priv_depot_push(p, b, 2); /* partial ones too */
	sxsk_priv_depot_push(p, c, 1);
	cr_assert_eq(sxsk_priv_depot_pop(p, index, 1), 1);
	cr_assert_eq(index[0], 63);
	cr_assert_eq(sxsk_priv_depot_pop(p, index, 1), 2);
	cr_assert_eq(memcmp(index, b, sizeof(b)), 0);
	cr_assert_eq(sxsk_priv_depot_pop(p, index, 1), 4);
	cr_assert_eq(memcmp(index, a, sizeof(a)), 0);
	cr_assert_eq(sxsk_priv_depot_pop(p, index, 1), 0);
	sxsk_pool_unref(pool);
}

Test(depot, long_push_is_cut_into_magazines)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_priv_pool *p = inner_pool(pool);
	uint32_t all[64], index[MAGAZINE_MAX], n, next = 0;

	cr_assert_eq(pop_all(p), 64);
	for (uint32_t i = 0; i < 64; i++)
		all[i] = i;
	sxsk_priv_depot_push(p, all, 0);
	cr_assert(sxsk_priv_depot_empty(p));
	sxsk_priv_depot_push(p, all, 10); /* 4, 4 and 2 */
	while ((n = sxsk_priv_depot_pop(p, index, 1)) > 0) {
		cr_assert_leq(n, p->magazine);
		for (uint32_t i = 0; i < n; i++)
			cr_assert_eq(index[i], next++);
	}
	cr_assert_eq(next, 10);
	sxsk_pool_unref(pool);
}

Test(depot, pop_takes_as_many_magazines_as_asked_for)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_priv_pool *p = inner_pool(pool);
	uint32_t all[30], index[MAGAZINE_MAX], n = 0;

	cr_assert_eq(pop_all(p), 64);
	for (uint32_t i = 0; i < 30; i++)
		all[i] = 63 - i;
	sxsk_priv_depot_push(p, all, 30); /* seven of 4, and one of 2 */
	cr_assert_eq(sxsk_priv_depot_pop(p, index, 4), 4);
	cr_assert_eq(sxsk_priv_depot_pop(p, index + 4, 11), 8);
	cr_assert_eq(sxsk_priv_depot_pop(p, index + 12, 64), 16, "four at a time");
	cr_assert_eq(sxsk_priv_depot_pop(p, index + 28, 64), 2);
	cr_assert_eq(sxsk_priv_depot_pop(p, index, 64), 0);
	while (n < 30 && index[n] == all[n])
		n++;
	cr_assert_eq(n, 30, "in the order of the push");
	sxsk_pool_unref(pool);
}

/* Every size of a magazine, in a random order: what its frames' links say is what was pushed. */
Test(depot, magazine_of_any_size_comes_back)
{
	struct sxsk_pool *pool = new_pool(1024);
	struct sxsk_priv_pool *p = inner_pool(pool);

	cr_assert_eq(pop_all(p), 1024);
	for (uint32_t size = 1; size <= MAGAZINE_MAX; size++) {
		uint32_t in[MAGAZINE_MAX], out[MAGAZINE_MAX];

		for (uint32_t i = 0; i < size; i++)
			in[i] = (i * 397 + size * 31) % 1024;
		sxsk_priv_depot_push(p, in, size);
		cr_assert_eq(sxsk_priv_depot_pop(p, out, 1), size);
		cr_assert_eq(memcmp(in, out, size * sizeof(in[0])), 0, "%u frames", size);
	}
	sxsk_pool_unref(pool);
}

/* A pop that read the head, slept, and finds the same magazine on top of others than before must not
 * install what it read. */
Test(depot, each_pop_bumps_the_tag)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_priv_pool *p = inner_pool(pool);
	uint64_t head = load_relaxed(&p->depot), stale = head;
	uint32_t first[MAGAZINE_MAX], second[MAGAZINE_MAX], n, m;

	n = sxsk_priv_depot_pop(p, first, 1);
	cr_assert_eq(TAG(load_relaxed(&p->depot)), TAG(head) + 1);
	m = sxsk_priv_depot_pop(p, second, 1);
	sxsk_priv_depot_push(p, first, n);
	cr_assert_eq(TOP(load_relaxed(&p->depot)), TOP(head), "the same magazine on top");
	cr_assert_eq(TAG(load_relaxed(&p->depot)), TAG(head) + 2);
	cr_assert_not(cas_acquire(&p->depot, &stale, HOLDER_DEPOT), "and yet another head");
	sxsk_priv_depot_push(p, second, m);
	sxsk_pool_unref(pool);
}

Test(depot, tag_has_40_bits_of_its_own)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_priv_pool *p = inner_pool(pool);
	uint64_t head = load_relaxed(&p->depot);
	uint32_t index[MAGAZINE_MAX];

	store_relaxed(&p->depot, head | ~(uint64_t)NIL); /* the last tag */
	cr_assert_eq(sxsk_priv_depot_pop(p, index, 1), 4);
	cr_assert_eq(TAG(load_relaxed(&p->depot)), 0, "it wraps, and leaves the index alone");
	cr_assert_eq(sxsk_priv_depot_pop(p, index, 1), 4);
	sxsk_pool_unref(pool);
}

struct worker {
	struct sxsk_pool *pool;
	unsigned char *owned; /* by frame: who has it, checked without a lock */
	unsigned char id;
	bool lane;
};

static void *alloc_and_unref(void *arg)
{
	struct worker *w = arg;
	struct sxsk_buf bufs[96];

	if (w->lane && sxsk_lane_attach(w->pool) != 0)
		return NULL;
	for (unsigned round = 0; round < 4000; round++) {
		unsigned n = sxsk_pool_alloc(w->pool, bufs, 1 + round * 7 % 96);

		for (unsigned i = 0; i < n; i++) {
			unsigned char *owner = &w->owned[sxsk_buf_index(bufs[i])];

			if (__atomic_exchange_n(owner, w->id, __ATOMIC_RELAXED) != 0)
				return NULL;
		}
		for (unsigned i = 0; i < n; i++) {
			unsigned char *owner = &w->owned[sxsk_buf_index(bufs[i])];

			if (__atomic_exchange_n(owner, 0, __ATOMIC_RELAXED) != w->id)
				return NULL;
		}
		sxsk_buf_unref_burst(bufs, n);
	}
	return w;
}

Test(depot, no_frame_has_two_owners_under_contention, .timeout = 60)
{
	struct sxsk_pool *pool = new_pool(256);
	unsigned char owned[256] = { 0 };
	struct worker w[4];
	pthread_t thread[4];
	void *ok;

	for (unsigned i = 0; i < 4; i++) {
		w[i] = (struct worker){ pool, owned, (unsigned char)(i + 1), i & 1 };
		cr_assert_eq(pthread_create(&thread[i], NULL, alloc_and_unref, &w[i]), 0);
	}
	for (unsigned i = 0; i < 4; i++) {
		cr_assert_eq(pthread_join(thread[i], &ok), 0);
		cr_assert_not_null(ok);
	}
	expect_all_home(pool);
	cr_assert_eq(pop_all(inner_pool(pool)), 256, "and all are in the stack");
	sxsk_pool_unref(pool);
}
