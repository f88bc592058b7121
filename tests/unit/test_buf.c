/* SPDX-License-Identifier: BSD-2-Clause */
/* The handle: what it leads to, what is refused, references and views. */
#include "support.h"

#include <stdlib.h>

/* ---- null ------------------------------------------------------------------------------------------- */

Test(buf, null_handle_is_harmless_everywhere)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_buf null = { 0 }, some[3] = { { 0 } };

	cr_assert(sxsk_buf_is_null(null));
	cr_assert_null(sxsk_buf_data(null));
	cr_assert_null(sxsk_buf_data_mut(null));
	cr_assert_null(sxsk_buf_user(null));
	cr_assert_null(sxsk_buf_user_mut(null));
	cr_assert_null(sxsk_buf_pool(null));
	cr_assert_not(sxsk_buf_is_shared(null));
	cr_assert_eq(sxsk_buf_len(null) + sxsk_buf_headroom(null) + sxsk_buf_tailroom(null), 0);
	cr_assert(sxsk_buf_is_null(sxsk_buf_ref(null)));
	sxsk_buf_unref(&null);
	sxsk_buf_unref_burst(some, 3);
	cr_assert_eq(sxsk_misuse_count(), 0);
	sxsk_pool_unref(pool);
}

Test(buf, null_handle_cannot_be_copied_or_viewed)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_buf null = { 0 }, copy;

	expect_error(EINVAL, "null handle", sxsk_buf_copy(pool, null, &copy));
	cr_assert(sxsk_buf_is_null(copy));
	expect_error(EINVAL, "null handle", sxsk_buf_unshare(&null));
	expect_error(EINVAL, "null handle", sxsk_buf_push(&null, 1));
	expect_error(EINVAL, "null handle", sxsk_buf_pull(&null, 1));
	expect_error(EINVAL, "null handle", sxsk_buf_put(&null, 1));
	expect_error(EINVAL, "null handle", sxsk_buf_trim(&null, 1));
	cr_assert_eq(sxsk_misuse_count(), 0);
	expect_all_home(pool);
	sxsk_pool_unref(pool);
}

/* ---- data ------------------------------------------------------------------------------------------- */

Test(buf, data_is_what_was_written)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_buf a = packet(pool, 1792, 0xaa), b = packet(pool, 1792, 0xbb);
	const unsigned char *data = sxsk_buf_data(a);

	cr_assert_eq(data, sxsk_buf_data_mut(a));
	for (unsigned i = 0; i < 1792; i++)
		cr_assert_eq(data[i], 0xaa, "byte %u", i);
	cr_assert_eq(sxsk_buf_pool(a), pool);
	cr_assert_neq(sxsk_buf_index(a), sxsk_buf_index(b));
	cr_assert_lt(sxsk_buf_index(a), 64);
	sxsk_buf_unref(&a);
	sxsk_buf_unref(&b);
	expect_all_home(pool);
	sxsk_pool_unref(pool);
}

Test(buf, fresh_buf_is_empty_behind_its_headroom)
{
	struct sxsk_pool *pool = new_pool_with(
		(struct sxsk_pool_opts){ .frame_count = 64, .frame_size = 4096, .headroom = 100 });
	struct sxsk_buf b = take(pool);

	cr_assert_eq(sxsk_buf_len(b), 0);
	cr_assert_eq(sxsk_buf_headroom(b), 356);
	cr_assert_eq(sxsk_buf_tailroom(b), 4096 - 356);
	cr_assert_eq(b.flags, 0);
	cr_assert_not(sxsk_buf_is_null(b));
	cr_assert_not(sxsk_buf_is_shared(b));
	sxsk_buf_unref(&b);
	cr_assert(sxsk_buf_is_null(b), "unref nulls its variable");
	sxsk_pool_unref(pool);
}

/* ---- stale handles ------------------------------------------------------------------------------------ */

/* Every call refuses this handle in the same way, and leaves everything as it was. */
static void expect_refused(struct sxsk_buf b, enum sxsk_misuse_kind kind, struct sxsk_pool *to)
{
	struct sxsk_buf v = b, copy;
	struct sxsk_rx_metadata m;
	uint64_t ns;

	count_misuse();
	expect_misuse(kind, "sxsk_buf_data", cr_assert_null(sxsk_buf_data(b)));
	expect_misuse(kind, "sxsk_buf_data_mut", cr_assert_null(sxsk_buf_data_mut(b)));
	expect_misuse(kind, "sxsk_buf_user", cr_assert_null(sxsk_buf_user(b)));
	expect_misuse(kind, "sxsk_buf_user_mut", cr_assert_null(sxsk_buf_user_mut(b)));
	expect_misuse(kind, "sxsk_buf_push", cr_assert_eq(sxsk_buf_push(&v, 0), -EINVAL));
	expect_misuse(kind, "sxsk_buf_pull", cr_assert_eq(sxsk_buf_pull(&v, 0), -EINVAL));
	expect_misuse(kind, "sxsk_buf_put", cr_assert_eq(sxsk_buf_put(&v, 0), -EINVAL));
	expect_misuse(kind, "sxsk_buf_trim", cr_assert_eq(sxsk_buf_trim(&v, 0), -EINVAL));
	expect_misuse(kind, "sxsk_buf_rx_metadata",
		      cr_assert_eq(sxsk_buf_rx_metadata(b, &m), -EINVAL));
	expect_misuse(kind, "sxsk_buf_tx_time", cr_assert_eq(sxsk_buf_tx_time(b, &ns), -EINVAL));
	expect_misuse(kind, "sxsk_buf_ref", cr_assert(sxsk_buf_is_null(sxsk_buf_ref(b))));
	expect_misuse(kind, "sxsk_buf_data", cr_assert_eq(sxsk_buf_copy(to, b, &copy), -EINVAL));
	cr_assert(sxsk_buf_is_null(copy));
	expect_misuse(kind, "sxsk_buf_data", cr_assert_eq(sxsk_buf_unshare(&v), -EINVAL));
	cr_assert_not(sxsk_buf_is_shared(b));
	cr_assert_eq(memcmp(&v, &b, sizeof(b)), 0, "the handle is left alone");
	expect_misuse(kind, "sxsk_buf_unref", sxsk_buf_unref(&v));
	cr_assert(sxsk_buf_is_null(v));
	v = b;
	expect_misuse(kind, "sxsk_buf_unref_burst", sxsk_buf_unref_burst(&v, 1));
	cr_assert(sxsk_buf_is_null(v), "a misused element is nulled");
}

Test(buf, stale_handle_after_unref_is_refused)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_buf b = packet(pool, 60, 1), stale = b;
	uint64_t word;

	sxsk_buf_unref(&b);
	word = word_of(stale);
	expect_refused(stale, SXSK_MISUSE_STALE, pool);
	cr_assert_eq(word_of(stale), word, "nothing was written");
	expect_all_home(pool);
	sxsk_pool_unref(pool);
}

Test(buf, stale_handle_after_reuse_is_refused)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_buf b = packet(pool, 60, 1), stale = b, all[64];
	unsigned n, i = 0;

	sxsk_buf_unref(&b);
	n = take_all(pool, all, 64);
	cr_assert_eq(n, 64);
	while (sxsk_buf_index(all[i]) != sxsk_buf_index(stale))
		i++;
	cr_assert_eq(all[i].id >> 20, (stale.id >> 20) + 1, "the generation grew");
	sxsk_buf_unref(&all[i ? 0 : 1]); /* one to copy to */
	expect_refused(stale, SXSK_MISUSE_STALE, pool);
	all[i ? 0 : 1] = (struct sxsk_buf){ 0 };
	cr_assert_not_null(sxsk_buf_data_mut(all[i]), "the new owner keeps its frame");
	sxsk_buf_unref_burst(all, n);
	expect_all_home(pool);
	sxsk_pool_unref(pool);
}

Test(buf, stale_handle_of_a_dead_pool_is_refused)
{
	struct sxsk_pool *pool = new_pool(64), *other;
	struct sxsk_buf b = packet(pool, 60, 1), stale = b;

	sxsk_buf_unref(&b);
	sxsk_pool_unref(pool);
	cr_assert_null(sxsk_buf_pool(stale));
	cr_assert_eq(sxsk_buf_tailroom(stale), 0);
	expect_refused(stale, SXSK_MISUSE_STALE, pool);
	/* The same slot has another pool now, whose generations begin behind. */
	other = new_pool(64);
	b = take(other);
	cr_assert_eq(b.pool, stale.pool);
	sxsk_buf_unref(&b);
	seen.kind = 0;
	for (unsigned i = 0; i < 100; i++) {
		struct sxsk_buf all[64];
		unsigned n = take_all(other, all, 64);

		cr_assert_eq(n, 64);
		cr_assert_null(sxsk_buf_data(stale), "round %u", i);
		sxsk_buf_unref_burst(all, n);
	}
	expect_refused(stale, SXSK_MISUSE_STALE, other);
	expect_all_home(other);
	sxsk_pool_unref(other);
}

/* A smaller pool in the slot of a larger one: the handle's frame is not there at all. */
Test(buf, stale_handle_past_the_end_of_a_new_pool_is_refused)
{
	struct sxsk_pool *pool = new_pool(1024), *small;
	struct sxsk_buf all[1024], stale = { 0 };

	cr_assert_eq(take_all(pool, all, 1024), 1024);
	for (unsigned i = 0; i < 1024; i++)
		if (sxsk_buf_index(all[i]) == 1000)
			stale = all[i];
	sxsk_buf_unref_burst(all, 1024);
	sxsk_pool_unref(pool);
	small = new_pool(64);
	cr_assert_eq((uintptr_t)small & 0xffff, stale.pool);
	expect_refused(stale, SXSK_MISUSE_FORGED, small);
	expect_all_home(small);
	sxsk_pool_unref(small);
}

Test(buf, handle_after_send_is_refused)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_socket *socket = new_socket(pool, "mem:sent", SXSK_SOCKET_NO_RX);
	struct sxsk_mem_rings k = take_rings(socket);
	struct sxsk_buf b = packet(pool, 60, 1);

	send_one(socket, b);
	expect_refused(b, SXSK_MISUSE_STALE, pool);
	expect_misuse(SXSK_MISUSE_STALE, "sxsk_tx_burst", send_one(socket, b));
	cr_assert_eq(socket_stats(socket).drop_misuse, 1);
	cr_assert_eq(pool_stats(pool).tx, 1);
	cr_assert_eq(kernel_complete_all(&k), 1, "the second send wrote no descriptor");
	reap(socket);
	expect_refused(b, SXSK_MISUSE_STALE, pool);
	expect_accounted(pool);
	close_and_unref(socket, pool);
}

Test(buf, stale_data_aborts, .signal = SIGABRT)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_buf b = packet(pool, 60, 1), stale = b;

	sxsk_buf_unref(&b);
	(void)sxsk_buf_data(stale);
}

Test(buf, double_unref_aborts, .signal = SIGABRT)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_buf b = packet(pool, 60, 1), again = b;

	sxsk_buf_unref(&b);
	sxsk_buf_unref(&again);
}

Test(buf, forged_handle_aborts, .signal = SIGABRT)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_buf b = packet(pool, 60, 1);

	b.id += 1ull << 20;
	(void)sxsk_buf_data(b);
}

Test(buf, mutation_of_a_shared_buf_aborts, .signal = SIGABRT)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_buf b = packet(pool, 60, 1), clone = sxsk_buf_ref(b);

	(void)sxsk_buf_data_mut(clone);
}

/* ---- double unref ------------------------------------------------------------------------------------- */

Test(buf, unref_through_a_copy_of_the_handle_is_refused)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_buf b = packet(pool, 60, 1), copy = b, all[64];

	count_misuse();
	sxsk_buf_unref(&b);
	expect_misuse(SXSK_MISUSE_STALE, "sxsk_buf_unref", sxsk_buf_unref(&copy));
	cr_assert(sxsk_buf_is_null(copy));
	cr_assert_eq(take_all(pool, all, 64), 64, "the frame is free once");
	sxsk_buf_unref_burst(all, 64);
	expect_all_home(pool);
	sxsk_pool_unref(pool);
}

/* Checking a whole burst before the first store would miss it. */
static void unref_one_twice_in_a_burst(struct sxsk_pool *pool)
{
	struct sxsk_buf bufs[4], all[64];
	unsigned n = sxsk_pool_alloc(pool, bufs, 3), from, at[64] = { 0 };

	cr_assert_eq(n, 3);
	bufs[3] = bufs[2];
	bufs[2] = bufs[0];
	count_misuse();
	expect_misuse(SXSK_MISUSE_STALE, "sxsk_buf_unref_burst", sxsk_buf_unref_burst(bufs, 4));
	cr_assert(sxsk_buf_is_null(bufs[2]), "the misused element is nulled");
	cr_assert_not(sxsk_buf_is_null(bufs[3]), "the others are not");
	cr_assert_eq(pool_stats(pool).user, 0, "the burst went on");
	from = take_all(pool, all, 64);
	for (unsigned i = 0; i < from; i++)
		cr_assert_eq(at[sxsk_buf_index(all[i])]++, 0, "a frame was given out twice");
	sxsk_buf_unref_burst(all, from);
}

Test(buf, unref_twice_in_one_burst_is_refused)
{
	struct sxsk_pool *pool = new_pool(64);

	unref_one_twice_in_a_burst(pool);
	expect_all_home(pool);
	sxsk_pool_unref(pool);
}

Test(buf, unref_twice_in_one_burst_into_a_lane_is_refused)
{
	struct sxsk_pool *pool = new_pool(64);

	cr_assert_eq(sxsk_lane_attach(pool), 0);
	unref_one_twice_in_a_burst(pool);
	expect_accounted(pool);
	sxsk_lane_detach(pool);
	expect_all_home(pool);
	sxsk_pool_unref(pool);
}

Test(buf, burst_of_handles_of_several_pools_goes_home_each_to_its_own)
{
	struct sxsk_pool *a = new_pool(64), *b = new_pool(64);
	struct sxsk_buf bufs[7] = {
		packet(a, 60, 1), packet(b, 60, 2), packet(b, 60, 3), { 0 }, packet(a, 60, 4)
	};

	bufs[5] = bufs[1];
	bufs[6] = packet(a, 60, 5);
	count_misuse();
	expect_misuse(SXSK_MISUSE_STALE, "sxsk_buf_unref_burst", sxsk_buf_unref_burst(bufs, 7));
	expect_all_home(a);
	expect_all_home(b);
	sxsk_pool_unref(a);
	sxsk_pool_unref(b);
}

Test(buf, burst_frees_no_frame_of_the_same_number_in_another_pool)
{
	struct sxsk_pool *a = new_pool(64), *b = new_pool(64);
	struct sxsk_buf of_a[64], of_b[64], bufs[2];
	unsigned i = 1;

	cr_assert_eq(take_all(a, of_a, 64) + take_all(b, of_b, 64), 128);
	while (sxsk_buf_index(of_b[i]) == sxsk_buf_index(of_a[0]))
		i++;
	bufs[0] = of_a[0];
	bufs[1] = of_b[i];
	sxsk_buf_unref_burst(bufs, 2);
	cr_assert_eq(pool_stats(a).user, 63);
	cr_assert_eq(pool_stats(b).user, 63);
	of_b[i] = (struct sxsk_buf){ 0 };
	sxsk_buf_unref_burst(of_a + 1, 63);
	sxsk_buf_unref_burst(of_b, 64);
	cr_assert_eq(sxsk_misuse_count(), 0);
	expect_all_home(a);
	expect_all_home(b);
	sxsk_pool_unref(a);
	sxsk_pool_unref(b);
}

Test(buf, long_bursts_are_unreferenced_whole)
{
	struct sxsk_pool *pool = new_pool(2048);
	struct sxsk_buf bufs[2048];

	for (unsigned lane = 0; lane < 2; lane++) {
		cr_assert_eq(take_all(pool, bufs, 2048), 2048);
		if (lane)
			cr_assert_eq(sxsk_lane_attach(pool), 0);
		sxsk_buf_unref_burst(bufs, 2048);
		expect_accounted(pool);
	}
	sxsk_lane_detach(pool);
	expect_all_home(pool);
	sxsk_pool_unref(pool);
}

/* ---- forged handles ----------------------------------------------------------------------------------- */

Test(buf, forged_generation_is_refused)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_buf b = packet(pool, 60, 1), forged = b;

	forged.id += 1ull << 20;
	expect_refused(forged, SXSK_MISUSE_FORGED, pool);
	forged.id = b.id | (1ull << 63);
	expect_refused(forged, SXSK_MISUSE_FORGED, pool);
	forged.id = b.id - (1ull << 20);
	expect_refused(forged, SXSK_MISUSE_STALE, pool);
	cr_assert_not_null(sxsk_buf_data_mut(b), "the frame's owner is not hurt");
	sxsk_buf_unref(&b);
	expect_all_home(pool);
	sxsk_pool_unref(pool);
}

Test(buf, forged_index_is_refused)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_buf b = packet(pool, 60, 1), forged = b;

	forged.id = (b.id & ~0xfffffull) | 0xfffff;
	expect_refused(forged, SXSK_MISUSE_FORGED, pool);
	forged.id = (b.id & ~0xfffffull) | 64;
	expect_refused(forged, SXSK_MISUSE_FORGED, pool);
	/* A frame that is in the depot, of the same generation. */
	forged.id = b.id ^ 1;
	expect_refused(forged, SXSK_MISUSE_STALE, pool);
	sxsk_buf_unref(&b);
	expect_all_home(pool);
	sxsk_pool_unref(pool);
}

Test(buf, forged_slot_is_refused)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_buf b = packet(pool, 60, 1), forged = b;
	static const uint16_t slot[] = { 2, SXSK_MAX_POOLS, SXSK_MAX_POOLS + 1, 4096, UINT16_MAX };

	for (unsigned i = 0; i < sizeof(slot) / sizeof(slot[0]); i++) {
		forged.pool = slot[i];
		cr_assert_null(sxsk_buf_pool(forged));
		expect_refused(forged, SXSK_MISUSE_FORGED, pool);
	}
	sxsk_buf_unref(&b);
	expect_all_home(pool);
	sxsk_pool_unref(pool);
}

/* Of the ids with each index, those that what is found there could be taken for. */
Test(buf, slot_without_a_pool_matches_no_id)
{
	struct sxsk_pool *pool =
		new_pool_with((struct sxsk_pool_opts){ .frame_count = 64, .name = "eth0" });
	static const uint16_t slot[] = { SXSK_MAX_POOLS, SXSK_MAX_POOLS + 1, UINT16_MAX };
	unsigned matches = 0;

	for (unsigned i = 0; i < sizeof(slot) / sizeof(slot[0]); i++)
		for (uint64_t index = 0; index < 1u << 20; index++) {
			struct sxsk_buf b = { .id = index, .pool = slot[i] };

			b.id |= sxsk_priv_stored(b) & ~0xfffffull;
			matches += sxsk_priv_live(b);
			b.id -= 1ull << 20;
			matches += sxsk_priv_live(b);
		}
	cr_assert_eq(matches, 0);
	sxsk_pool_unref(pool);
}

Test(buf, forged_handle_before_the_first_pool_is_refused)
{
	struct sxsk_buf forged = { .pool = 7, .flags = SXSK_BUF_RX_METADATA };

	expect_refused(forged, SXSK_MISUSE_FORGED, NULL);
	forged.id = ~0ull;
	expect_refused(forged, SXSK_MISUSE_FORGED, NULL);
}

/* A hint looks at nothing, so there is nothing that it could be wrong about. */
Test(buf, prefetch_takes_any_handle)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_buf b = packet(pool, 60, 1), copy = b, shared = sxsk_buf_ref(b),
			forged = { .pool = b.pool, .id = ~0ull, .offset = 0xffff }, null = { 0 };
	const struct sxsk_buf any[] = { b, shared, forged, null, { .id = ~0ull, .pool = 0xffff } };

	for (size_t i = 0; i < sizeof(any) / sizeof(any[0]); i++) {
		sxsk_buf_prefetch(any[i]);
		sxsk_buf_prefetch_handed(any[i]);
	}
	sxsk_buf_unref(&b);
	sxsk_buf_unref(&shared);
	sxsk_buf_prefetch_handed(copy);
	expect_all_home(pool);
	sxsk_pool_unref(pool);
	sxsk_buf_prefetch_handed(copy);
	cr_assert_eq(sxsk_misuse_count(), 0);
}

/* Ids that what is stored for no frame, a zero or its opposite, could be taken for. */
Test(buf, forged_extreme_id_is_refused)
{
	struct sxsk_pool *pool = new_pool(64), *gone = new_pool(64);
	struct sxsk_buf b = packet(pool, 60, 1), of_gone = take(gone), forged = { .pool = b.pool };

	sxsk_buf_unref(&of_gone);
	sxsk_pool_unref(gone);
	expect_refused(forged, SXSK_MISUSE_STALE, pool); /* frame 0, generation 0, no bytes */
	forged.id = ~0ull;
	expect_refused(forged, SXSK_MISUSE_FORGED, pool);
	forged.id = ~0xfffffull | 1u << 19;
	expect_refused(forged, SXSK_MISUSE_FORGED, pool);
	forged = (struct sxsk_buf){ .pool = (uint16_t)((uintptr_t)gone & 0xffff) };
	expect_refused(forged, SXSK_MISUSE_STALE, pool);
	forged.id = ~0ull;
	expect_refused(forged, SXSK_MISUSE_STALE, pool);
	forged = (struct sxsk_buf){ .pool = SXSK_MAX_POOLS };
	expect_refused(forged, SXSK_MISUSE_FORGED, pool);
	forged.id = ~0ull;
	expect_refused(forged, SXSK_MISUSE_FORGED, pool);
	sxsk_buf_unref(&b);
	expect_all_home(pool);
	sxsk_pool_unref(pool);
}

Test(buf, forged_view_leads_nowhere)
{
	static const uint16_t view[][2] = {
		{ 2048, 1 }, { 0, 2049 }, { 1989, 60 }, { 65535, 65535 }
	};
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_buf b = packet(pool, 60, 1), forged = b, copy;

	count_misuse();
	for (unsigned i = 0; i < sizeof(view) / sizeof(view[0]); i++) {
		forged.offset = view[i][0];
		forged.length = view[i][1];
		expect_misuse(SXSK_MISUSE_FORGED, "sxsk_buf_data",
			      cr_assert_null(sxsk_buf_data(forged)));
		expect_misuse(SXSK_MISUSE_FORGED, "sxsk_buf_data_mut",
			      cr_assert_null(sxsk_buf_data_mut(forged)));
		expect_misuse(SXSK_MISUSE_FORGED, "sxsk_buf_data",
			      cr_assert_eq(sxsk_buf_copy(pool, forged, &copy), -EINVAL));
		cr_assert_eq(sxsk_buf_tailroom(forged), 0);
		expect_misuse(SXSK_MISUSE_FORGED, "sxsk_buf_put",
			      cr_assert_eq(sxsk_buf_put(&forged, 1), -EINVAL));
	}
	sxsk_buf_unref(&b);
	expect_all_home(pool);
	sxsk_pool_unref(pool);
}

Test(buf, any_bits_at_all_are_looked_up_safely)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_buf keep = packet(pool, 60, 0x77);
	uint64_t misuse, refused = 0;

	count_misuse();
	srand48(1);
	for (unsigned i = 0; i < 200000; i++) {
		struct sxsk_buf b = {
			.id = (uint64_t)mrand48() << 32 ^ (uint64_t)lrand48(),
			/* Half of them point to the pool that is there. */
			.pool = (uint16_t)(i & 1 ? keep.pool : mrand48()),
			.offset = (uint16_t)mrand48(),
			.length = (uint16_t)mrand48(),
			.flags = (uint16_t)mrand48(),
		};

		misuse = sxsk_misuse_count();
		cr_assert_null(sxsk_buf_data(b));
		cr_assert_null(sxsk_buf_data_mut(b));
		cr_assert(sxsk_buf_is_null(sxsk_buf_ref(b)));
		cr_assert_neq(sxsk_buf_trim(&b, 0), 0);
		sxsk_buf_unref(&b);
		refused += sxsk_misuse_count() - misuse == 5;
	}
	cr_assert_geq(refused, 199990, "but for the null handle's slot");
	cr_assert_eq(*(const unsigned char *)sxsk_buf_data(keep), 0x77);
	sxsk_buf_unref(&keep);
	expect_all_home(pool);
	sxsk_pool_unref(pool);
}

Test(buf, misuse_says_what_it_is_about)
{
	struct sxsk_pool *pool =
		new_pool_with((struct sxsk_pool_opts){ .frame_count = 64, .name = "blue" });
	struct sxsk_buf b = packet(pool, 60, 1), stale = b;

	count_misuse();
	sxsk_buf_unref(&b);
	expect_misuse(SXSK_MISUSE_STALE, "sxsk_buf_data", (void)sxsk_buf_data(stale));
	cr_assert_str_eq(seen.pool, "blue");
	cr_assert_eq(seen.frame, sxsk_buf_index(stale));
	cr_assert_eq(seen.word, word_of(stale));
	cr_assert(strstr(seen.what, "stale handle") && strstr(seen.what, "free, in the depot"),
		  "%s", seen.what);
	cr_assert(strstr(sxsk_last_error(), seen.what), "%s", sxsk_last_error());
	sxsk_pool_unref(pool);
}

/* ---- references --------------------------------------------------------------------------------------- */

Test(buf, clone_is_a_reference_of_its_own)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_buf b = packet(pool, 60, 9), clone = sxsk_buf_ref(b);

	cr_assert_eq(sxsk_buf_index(clone), sxsk_buf_index(b));
	cr_assert(sxsk_buf_is_shared(b));
	sxsk_buf_unref(&b);
	cr_assert_not(sxsk_buf_is_shared(clone));
	cr_assert_eq(*(const unsigned char *)sxsk_buf_data(clone), 9);
	cr_assert_not_null(sxsk_buf_data_mut(clone), "the last one is the only owner");
	cr_assert_eq(pool_stats(pool).user, 1);
	sxsk_buf_unref(&clone);
	expect_all_home(pool);
	sxsk_pool_unref(pool);
}

Test(buf, copies_of_a_handle_are_one_reference)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_buf b = packet(pool, 60, 9), copy = b;

	cr_assert_not(sxsk_buf_is_shared(b));
	cr_assert_eq(sxsk_buf_data_mut(copy), sxsk_buf_data_mut(b));
	sxsk_buf_unref(&copy);
	expect_all_home(pool);
	sxsk_pool_unref(pool);
}

Test(buf, shared_buf_cannot_be_changed)
{
	struct sxsk_pool *pool =
		new_pool_with((struct sxsk_pool_opts){ .frame_count = 64, .user_size = 16 });
	struct sxsk_buf b = packet(pool, 60, 9), clone = sxsk_buf_ref(b);

	count_misuse();
	cr_assert_not_null(sxsk_buf_data(clone));
	cr_assert_not_null(sxsk_buf_user(clone));
	expect_misuse(SXSK_MISUSE_SHARED, "sxsk_buf_data_mut",
		      cr_assert_null(sxsk_buf_data_mut(b)));
	expect_misuse(SXSK_MISUSE_SHARED, "sxsk_buf_data_mut",
		      cr_assert_null(sxsk_buf_data_mut(clone)));
	expect_misuse(SXSK_MISUSE_SHARED, "sxsk_buf_user_mut",
		      cr_assert_null(sxsk_buf_user_mut(b)));
	sxsk_buf_unref(&b);
	sxsk_buf_unref(&clone);
	sxsk_pool_unref(pool);
}

/* A blind add would revive a frame whose last reference just went. */
Test(buf, ref_of_a_free_frame_changes_nothing)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_buf b = packet(pool, 60, 9), stale = b;
	uint64_t word;

	count_misuse();
	sxsk_buf_unref(&b);
	word = word_of(stale);
	expect_misuse(SXSK_MISUSE_STALE, "sxsk_buf_ref", (void)!sxsk_buf_ref(stale).id);
	cr_assert_eq(word_of(stale), word);
	expect_all_home(pool);
	sxsk_pool_unref(pool);
}

Test(buf, reference_256_is_refused_without_harm)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_buf ref[SXSK_MAX_REFS + 1] = { packet(pool, 60, 9) };

	for (unsigned i = 1; i < SXSK_MAX_REFS; i++) {
		ref[i] = sxsk_buf_ref(ref[0]);
		cr_assert_not(sxsk_buf_is_null(ref[i]), "reference %u", i);
	}
	for (unsigned i = 0; i < 3; i++)
		cr_assert(sxsk_buf_is_null(sxsk_buf_ref(ref[i])));
	cr_assert(strstr(sxsk_last_error(), "has 255 references already"), "%s", sxsk_last_error());
	cr_assert_eq(sxsk_misuse_count(), 0, "a limit is not misuse");
	sxsk_buf_unref(&ref[100]);
	ref[100] = sxsk_buf_ref(ref[0]);
	cr_assert_not(sxsk_buf_is_null(ref[100]), "there is room for one again");
	sxsk_buf_unref_burst(ref, SXSK_MAX_REFS - 1);
	cr_assert_eq(*(const unsigned char *)sxsk_buf_data(ref[SXSK_MAX_REFS - 1]), 9);
	sxsk_buf_unref_burst(&ref[SXSK_MAX_REFS - 1], 1);
	expect_all_home(pool);
	sxsk_pool_unref(pool);
}

Test(buf, reference_outlives_pool_and_sockets)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_socket *socket = new_socket(pool, "mem:keep", 0);
	struct sxsk_mem_rings k = take_rings(socket);
	struct sxsk_buf b;
	const unsigned char *data;

	memset(k.umem, 0x42, k.umem_size);
	b = receive_one(socket, &k, 1000);
	sxsk_socket_close(socket);
	sxsk_pool_unref(pool);
	data = sxsk_buf_data(b);
	for (unsigned i = 0; i < 1000; i++)
		cr_assert_eq(data[i], 0x42);
	cr_assert_not_null(sxsk_buf_data_mut(b));
	sxsk_buf_unref(&b);
	cr_assert_not(is_mapped(data), "the memory went with the last Buf");
}
