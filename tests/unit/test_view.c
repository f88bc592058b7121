/* SPDX-License-Identifier: BSD-2-Clause */
/* Copies of a Buf, its view, and the user area beside it. */
#include "support.h"

/* ---- copies and views --------------------------------------------------------------------------------- */

Test(view, copy_has_the_same_bytes_in_another_frame)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_buf b = packet(pool, 60, 9), copy;

	b.flags = SXSK_BUF_MORE;
	cr_assert_eq(sxsk_buf_pull(&b, 10), 0);
	cr_assert_eq(sxsk_buf_copy(pool, b, &copy), 0);
	cr_assert_neq(sxsk_buf_index(copy), sxsk_buf_index(b));
	cr_assert_eq(copy.offset, b.offset);
	cr_assert_eq(copy.length, 50);
	cr_assert_eq(copy.flags, SXSK_BUF_MORE);
	cr_assert_eq(memcmp(sxsk_buf_data(copy), sxsk_buf_data(b), 50), 0);
	memset(sxsk_buf_data_mut(copy), 1, 50);
	cr_assert_eq(*(const unsigned char *)sxsk_buf_data(b), 9);
	sxsk_buf_unref(&b);
	sxsk_buf_unref(&copy);
	expect_all_home(pool);
	sxsk_pool_unref(pool);
}

Test(view, copy_to_smaller_frames_fits_or_says_so)
{
	struct sxsk_pool *large =
		new_pool_with((struct sxsk_pool_opts){ .frame_count = 64, .frame_size = 4096 });
	struct sxsk_pool *small = new_pool(64);
	struct sxsk_buf b = packet(large, 2048, 9), copy;

	cr_assert_eq(sxsk_buf_copy(small, b, &copy), 0);
	cr_assert_eq(copy.offset, 0, "moved to where there is room");
	cr_assert_eq(copy.length, 2048);
	cr_assert_eq(sxsk_buf_pool(copy), small);
	cr_assert_eq(memcmp(sxsk_buf_data(copy), sxsk_buf_data(b), 2048), 0);
	sxsk_buf_unref(&copy);
	cr_assert_eq(sxsk_buf_put(&b, 1), 0);
	expect_error(EMSGSIZE, "do not fit", sxsk_buf_copy(small, b, &copy));
	cr_assert(sxsk_buf_is_null(copy));
	sxsk_buf_unref(&b);
	expect_all_home(large);
	expect_all_home(small);
	sxsk_pool_unref(large);
	sxsk_pool_unref(small);
}

Test(view, copy_from_an_empty_pool_says_so)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_buf all[64], copy;

	cr_assert_eq(take_all(pool, all, 64), 64);
	expect_error(ENOBUFS, "no free frame", sxsk_buf_copy(pool, all[0], &copy));
	cr_assert(sxsk_buf_is_null(copy));
	copy = sxsk_buf_ref(all[0]);
	expect_error(ENOBUFS, "no free frame", sxsk_buf_unshare(&copy));
	cr_assert_eq(copy.id, all[0].id, "unchanged");
	sxsk_buf_unref(&copy);
	sxsk_buf_unref_burst(all, 64);
	expect_all_home(pool);
	sxsk_pool_unref(pool);
}

Test(view, unshare_makes_a_private_copy_of_a_shared_buf_only)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_buf b = packet(pool, 60, 9), was = b, clone;

	cr_assert_eq(sxsk_buf_unshare(&b), 0);
	cr_assert_eq(memcmp(&b, &was, sizeof(b)), 0, "the only owner keeps its frame");
	clone = sxsk_buf_ref(b);
	cr_assert_eq(sxsk_buf_unshare(&clone), 0);
	cr_assert_neq(sxsk_buf_index(clone), sxsk_buf_index(b));
	memset(sxsk_buf_data_mut(clone), 1, 60);
	cr_assert_not(sxsk_buf_is_shared(b), "its reference was given back");
	cr_assert_eq(*(const unsigned char *)sxsk_buf_data(b), 9);
	sxsk_buf_unref(&b);
	sxsk_buf_unref(&clone);
	expect_all_home(pool);
	sxsk_pool_unref(pool);
}

Test(view, push_pull_put_and_trim_move_the_view)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_buf b = packet(pool, 60, 9);

	cr_assert_eq(sxsk_buf_push(&b, 256), 0);
	cr_assert_eq(b.offset, 0);
	cr_assert_eq(b.length, 316);
	cr_assert_eq(sxsk_buf_pull(&b, 300), 0);
	cr_assert_eq(b.offset, 300);
	cr_assert_eq(b.length, 16);
	cr_assert_eq(sxsk_buf_put(&b, sxsk_buf_tailroom(b)), 0);
	cr_assert_eq(b.offset + b.length, 2048);
	cr_assert_eq(sxsk_buf_tailroom(b), 0);
	cr_assert_eq(sxsk_buf_trim(&b, 5), 0);
	cr_assert_eq(b.length, 5);
	cr_assert_eq(sxsk_buf_trim(&b, 2048 - 300), 0, "trim sets the length, longer too");
	cr_assert_eq(sxsk_buf_pull(&b, 2048 - 300), 0);
	cr_assert_eq(b.length, 0);
	cr_assert_eq(b.offset, 2048);
	sxsk_buf_unref(&b);
	sxsk_pool_unref(pool);
}

Test(view, view_without_room_is_refused_and_unchanged)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_buf b = packet(pool, 60, 9), was = b;

	expect_error(EMSGSIZE, "no room for 257 bytes", sxsk_buf_push(&b, 257));
	expect_error(EMSGSIZE, "no room for 61 bytes", sxsk_buf_pull(&b, 61));
	expect_error(EMSGSIZE, "no room", sxsk_buf_put(&b, 2048 - 256 - 60 + 1));
	expect_error(EMSGSIZE, "no room", sxsk_buf_trim(&b, 2048 - 256 + 1));
	expect_error(EMSGSIZE, "no room", sxsk_buf_push(&b, UINT32_MAX));
	expect_error(EMSGSIZE, "no room", sxsk_buf_pull(&b, UINT32_MAX));
	expect_error(EMSGSIZE, "no room", sxsk_buf_put(&b, UINT32_MAX));
	expect_error(EMSGSIZE, "no room", sxsk_buf_trim(&b, UINT32_MAX));
	cr_assert_eq(memcmp(&b, &was, sizeof(b)), 0);
	cr_assert_eq(sxsk_misuse_count(), 0);
	sxsk_buf_unref(&b);
	sxsk_pool_unref(pool);
}

Test(view, clones_have_views_of_their_own)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_buf b = packet(pool, 60, 9), clone = sxsk_buf_ref(b);

	cr_assert_eq(sxsk_buf_pull(&clone, 14), 0, "also on shared Bufs");
	cr_assert_eq(sxsk_buf_push(&b, 4), 0);
	cr_assert_eq(sxsk_buf_len(b), 64);
	cr_assert_eq(sxsk_buf_len(clone), 46);
	cr_assert_eq((const char *)sxsk_buf_data(clone) - (const char *)sxsk_buf_data(b), 18);
	sxsk_buf_unref(&b);
	sxsk_buf_unref(&clone);
	sxsk_pool_unref(pool);
}

/* ---- user area ---------------------------------------------------------------------------------------- */

Test(view, user_areas_are_apart_and_aligned)
{
	struct sxsk_pool *pool =
		new_pool_with((struct sxsk_pool_opts){ .frame_count = 64, .user_size = 13 });
	struct sxsk_buf all[64];

	cr_assert_eq(take_all(pool, all, 64), 64);
	for (unsigned i = 0; i < 64; i++) {
		cr_assert_eq((uintptr_t)sxsk_buf_user_mut(all[i]) % 8, 0);
		memset(sxsk_buf_user_mut(all[i]), (int)i, 16);
	}
	for (unsigned i = 0; i < 64; i++)
		for (unsigned j = 0; j < 16; j++)
			cr_assert_eq(((const unsigned char *)sxsk_buf_user(all[i]))[j], i);
	sxsk_buf_unref_burst(all, 64);
	sxsk_pool_unref(pool);
}

Test(view, pool_without_user_areas_has_none)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_buf b = take(pool);

	cr_assert_null(sxsk_buf_user(b));
	cr_assert_null(sxsk_buf_user_mut(b));
	cr_assert_eq(sxsk_misuse_count(), 0);
	sxsk_buf_unref(&b);
	sxsk_pool_unref(pool);
}
