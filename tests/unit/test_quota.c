/* SPDX-License-Identifier: BSD-2-Clause */
/* Frames kept for a socket: who keeps his own for long takes none of those. */
#include "support.h"

#define FRAMES 1024u
#define HELD 1024u

static int open_with(struct sxsk_socket **ret_socket, struct sxsk_pool *pool, const char *name,
		     uint32_t quota)
{
	const struct sxsk_socket_opts opts = { .sz = sizeof(opts),
					       .rx_size = 128,
					       .fill_size = 128,
					       .steer = SXSK_STEER_ALL,
					       .frame_quota = quota };

	return sxsk_socket_open(ret_socket, pool, name, 0, &opts);
}

static struct sxsk_socket *socket_with(struct sxsk_pool *pool, const char *name, uint32_t quota)
{
	struct sxsk_socket *s;

	cr_assert_eq(open_with(&s, pool, name, quota), 0, "%s", sxsk_last_error());
	return s;
}

/* Packets come as long as the kernel has frames, and all are kept. Returns how many. */
static unsigned hoard(struct sxsk_socket *s, struct sxsk_buf held[])
{
	struct sxsk_mem_rings k = take_rings(s);
	unsigned n = 0, got;

	do {
		for (unsigned i = 0; i < 32 && fill_level(&k) > 0; i++)
			(void)kernel_receive(&k, 60);
		got = sxsk_rx_burst(s, held + n, 32);
		n += got;
	} while (got > 0 || fill_level(&k) > 0);
	return n;
}

/* 100 packets one after the other come and go: freed here and there, they find a frame each. */
static void expect_served(struct sxsk_socket *s)
{
	struct sxsk_mem_rings k = take_rings(s);

	for (unsigned i = 0; i < 100; i++) {
		struct sxsk_buf b = receive_one(s, &k, 60);

		sxsk_buf_unref(&b);
	}
}

Test(quota, slow_consumer_leaves_them)
{
	static struct sxsk_buf held[HELD];
	struct sxsk_pool *pool = new_pool(FRAMES);
	struct sxsk_socket *slow = socket_with(pool, "mem:slow", 0),
			   *kept = socket_with(pool, "mem:kept", 200);
	unsigned n = hoard(slow, held), more;

	cr_assert_leq(n, FRAMES - 256 - 128, "a quota of 200 is 256, and FILL has 128");
	cr_assert_geq(n, FRAMES - 256 - 128 - 64, "but no magazine more than that is left");
	more = hoard(kept, held + n);
	cr_assert_geq(more, 256 + 128, "what was kept comes, and what FILL had");
	for (unsigned i = n; i < n + more; i++)
		sxsk_buf_unref(&held[i]);
	expect_served(kept);
	sxsk_buf_unref_burst(held, n);
	sxsk_socket_close(slow);
	close_and_unref(kept, pool);
}

Test(quota, without_one_the_slow_consumer_starves_the_other)
{
	static struct sxsk_buf held[HELD];
	struct sxsk_pool *pool = new_pool(FRAMES);
	struct sxsk_socket *slow = socket_with(pool, "mem:slow", 0),
			   *other = socket_with(pool, "mem:other", 0);
	unsigned n = hoard(slow, held);

	cr_assert_eq(n, FRAMES - 128);
	n += hoard(other, held + n);
	cr_assert_eq(n, FRAMES);
	sxsk_buf_unref_burst(held, n);
	sxsk_socket_close(slow);
	close_and_unref(other, pool);
}

Test(quota, allocation_leaves_them_too)
{
	static struct sxsk_buf bufs[FRAMES];
	struct sxsk_pool *pool = new_pool(FRAMES);
	struct sxsk_socket *kept = socket_with(pool, "mem:kept", 256);
	unsigned n = sxsk_pool_alloc(pool, bufs, FRAMES);

	cr_assert_eq(n, FRAMES - 128 - 256);
	cr_assert_eq(sxsk_lane_attach(pool), 0);
	cr_assert_eq(sxsk_pool_alloc(pool, bufs + n, 1), 0, "nor with a lane");
	sxsk_buf_unref_burst(bufs, n);
	sxsk_lane_detach(pool);
	sxsk_socket_close(kept);
	n = sxsk_pool_alloc(pool, bufs, FRAMES);
	cr_assert_eq(n, FRAMES - pool_stats(pool).quarantined, "closed, it keeps nothing");
	sxsk_buf_unref_burst(bufs, n);
	sxsk_pool_unref(pool);
}

/* Frames in quarantine are not in the depot. */
Test(quota, lost_frames_do_not_count_as_kept)
{
	static struct sxsk_buf bufs[FRAMES];
	struct sxsk_pool *pool = new_pool(FRAMES);
	struct sxsk_socket *gone = socket_with(pool, "mem:gone", 0), *peer, *kept;
	unsigned n;

	peer = socket_with(new_pool(FRAMES), "mem:gone",
			   0); /* the cable stays: its quarantine, too */
	sxsk_socket_close(gone);
	cr_assert_eq(pool_stats(pool).quarantined, 128);
	kept = socket_with(pool, "mem:kept", 256);
	n = sxsk_pool_alloc(pool, bufs, FRAMES);
	cr_assert_eq(n, FRAMES - 128 - 128 - 256);
	sxsk_buf_unref_burst(bufs, n);
	sxsk_socket_close(peer);
	close_and_unref(kept, pool);
}

/* Nor, once they are back, as lost. */
Test(quota, released_frames_can_be_had_again)
{
	static struct sxsk_buf bufs[FRAMES];
	struct sxsk_pool *pool = new_pool(FRAMES);
	struct sxsk_socket *kept = socket_with(pool, "mem:kept", 256);
	unsigned n;

	for (unsigned i = 0; i < 4; i++) {
		sxsk_socket_close(socket_with(pool, "mem:gone", 0));
		cr_assert_eq(pool_stats(pool).quarantined, 0, "the device went with its socket");
	}
	n = sxsk_pool_alloc(pool, bufs, FRAMES);
	cr_assert_eq(n, FRAMES - 128 - 256);
	sxsk_buf_unref_burst(bufs, n);
	close_and_unref(kept, pool);
}

Test(quota, all_together_are_half_of_the_pool_at_most)
{
	struct sxsk_pool *pool = new_pool(FRAMES);
	struct sxsk_socket *first, *none = NULL;

	expect_error(EINVAL, "half", open_with(&none, pool, "mem:big", FRAMES / 2 + 1));
	expect_error(EINVAL, "half", open_with(&none, pool, "mem:big", UINT32_MAX));
	first = socket_with(pool, "mem:first", FRAMES / 2 - 64);
	expect_error(EINVAL, "448", open_with(&none, pool, "mem:second", 65));
	sxsk_socket_close(socket_with(pool, "mem:second", 64));
	sxsk_socket_close(socket_with(pool, "mem:second", 64));
	cr_assert_null(none);
	close_and_unref(first, pool);
}
