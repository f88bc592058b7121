/* SPDX-License-Identifier: BSD-2-Clause */
/* Frames of any size from 2048 to 4096 bytes, on the library's own grid. */
#include "support.h"

static const uint32_t sizes[] = { 2048, 2049, 2500, 3001, 4001, 4095, 4096 };
#define SIZES (sizeof(sizes) / sizeof(sizes[0]))

/* What becomes of it. */
static uint32_t even(uint32_t size)
{
	return size + size % 2;
}

static struct sxsk_pool *unaligned_pool(uint32_t size, uint32_t headroom)
{
	return new_pool_with((struct sxsk_pool_opts){ .frame_count = 256,
						      .frame_size = size,
						      .headroom = headroom,
						      .flags = SXSK_POOL_UNALIGNED });
}

Test(unaligned, sizes_are_checked)
{
	struct sxsk_pool_opts o = { .sz = sizeof(o), .frame_size = 3000 };
	struct sxsk_pool *pool;

	expect_error(EINVAL, "SXSK_POOL_UNALIGNED", sxsk_pool_create(&pool, &o));
	o.flags = SXSK_POOL_UNALIGNED;
	o.frame_size = 2047;
	expect_error(EINVAL, "2048 to 4096", sxsk_pool_create(&pool, &o));
	o.frame_size = 4097;
	expect_error(EINVAL, "2048 to 4096", sxsk_pool_create(&pool, &o));
	o.frame_size = 3001;
	o.headroom = 3002 - 256 - 320 - 128 + 1;
	expect_error(EINVAL, "headroom", sxsk_pool_create(&pool, &o));
}

Test(unaligned, frames_lie_side_by_side)
{
	for (unsigned i = 0; i < SIZES; i++) {
		struct sxsk_pool *pool = unaligned_pool(sizes[i], 0);
		struct sxsk_buf all[256];

		cr_assert_eq(take_all(pool, all, 256), 256);
		for (unsigned k = 0; k < 256; k++) {
			cr_assert_eq(sxsk_buf_push(&all[k], 256), 0);
			cr_assert_eq(sxsk_buf_tailroom(all[k]), even(sizes[i]) - 256);
			cr_assert_eq(sxsk_buf_put(&all[k], even(sizes[i]) - 256), 0);
			memset(sxsk_buf_data_mut(all[k]), (int)k, even(sizes[i]));
		}
		for (unsigned k = 0; k < 256; k++) {
			const unsigned char *data = sxsk_buf_data(all[k]);

			for (uint32_t at = 0; at < even(sizes[i]); at++)
				cr_assert_eq(data[at], k);
		}
		sxsk_buf_unref_burst(all, 256);
		expect_all_home(pool);
		sxsk_pool_unref(pool);
	}
}

/* Packets of every length that fits, through a cable between pools of different sizes, and everything
 * comes home: descriptors and completions with their offsets are the frames' that they are of. */
Test(unaligned, packets_cross_a_cable)
{
	for (unsigned i = 0; i < SIZES; i++) {
		struct sxsk_pool *from = unaligned_pool(sizes[i], 0),
				 *to = unaligned_pool(sizes[SIZES - 1 - i], 100);
		struct sxsk_socket *a = new_socket(from, "mem:grid", 0),
				   *b = new_socket(to, "mem:grid", 0);
		uint32_t most = even(sizes[SIZES - 1 - i]) - 356;

		most = most < even(sizes[i]) - 256 ? most : even(sizes[i]) - 256;
		for (uint32_t len = 60; len <= most; len += 13) {
			struct sxsk_buf p = packet(from, len, (unsigned char)len), got;

			send_one(a, p);
			cr_assert_eq(sxsk_rx_burst(b, &got, 1), 1, "%u bytes", len);
			cr_assert_eq(sxsk_buf_len(got), len);
			cr_assert_eq(sxsk_buf_headroom(got), 356);
			cr_assert_eq(((const unsigned char *)sxsk_buf_data(got))[len - 1],
				     len & 255);
			cr_assert_eq(sxsk_buf_index(got) * (uint64_t)even(sizes[SIZES - 1 - i]) +
					     356,
				     (uint64_t)((const unsigned char *)sxsk_buf_data(got) -
						inner_pool(to)->base));
			sxsk_buf_unref(&got);
			reap(a);
		}
		cr_assert_eq(socket_stats(a).comp_refused, 0);
		cr_assert_eq(socket_stats(b).rx_refused, 0);
		sxsk_socket_close(a);
		expect_accounted(from);
		sxsk_pool_unref(from);
		close_and_unref(b, to);
	}
}

Test(unaligned, data_at_any_offset_is_sent_from_there)
{
	struct sxsk_pool *pool = unaligned_pool(2500, 0);
	struct sxsk_socket *s = new_socket(pool, "mem:offset", SXSK_SOCKET_NO_RX);
	struct sxsk_mem_rings k = take_rings(s);

	for (unsigned offset = 0; offset <= 2400; offset += 37) {
		struct sxsk_buf b = take(pool), was;
		struct xdp_desc d;

		cr_assert_eq(sxsk_buf_push(&b, 256), 0);
		cr_assert_eq(sxsk_buf_put(&b, 2244), 0);
		cr_assert_eq(sxsk_buf_pull(&b, offset), 0);
		cr_assert_eq(sxsk_buf_trim(&b, 60), 0);
		was = b;
		send_one(s, b);
		d = kernel_take_tx(&k);
		cr_assert_eq((d.addr & ((1ull << 48) - 1)) + (d.addr >> 48),
			     sxsk_buf_index(was) * 2500ull + offset);
		kernel_complete(&k, d.addr);
		reap(s);
		expect_accounted(pool);
	}
	close_and_unref(s, pool);
}

Test(unaligned, addresses_that_are_not_on_the_grid_are_refused)
{
	struct sxsk_pool *pool = unaligned_pool(2500, 0);
	struct sxsk_socket *s = new_socket(pool, "mem:off-grid", SXSK_SOCKET_NO_TX);
	struct sxsk_mem_rings k = take_rings(s);
	uint64_t chunk = kernel_take_fill(&k);
	struct sxsk_buf b, again;

	kernel_post_rx(&k, (2500ull * 256) | 256ull << 48, 60); /* behind the last frame */
	kernel_post_rx(&k, chunk | 2500ull << 48, 60);          /* outside of its frame */
	kernel_post_rx(&k, chunk | 2441ull << 48, 60);          /* partly */
	kernel_post_rx(&k, ~0ull, 60);
	cr_assert_eq(sxsk_rx_burst(s, &b, 1), 0);
	cr_assert_eq(socket_stats(s).rx_refused, 1);
	for (unsigned i = 0; i < 3; i++)
		cr_assert_eq(sxsk_rx_burst(s, &b, 1), 0);
	cr_assert_eq(socket_stats(s).rx_refused, 4);
	kernel_post_rx(&k, chunk | 256ull << 48, 60);
	cr_assert_eq(sxsk_rx_burst(s, &b, 1), 1);
	kernel_post_rx(&k, chunk | 256ull << 48, 60); /* once more */
	cr_assert_eq(sxsk_rx_burst(s, &again, 1), 0);
	cr_assert_eq(socket_stats(s).rx_refused, 5);
	sxsk_buf_unref(&b);
	cr_assert_eq(sxsk_misuse_count(), 0);
}
