/* SPDX-License-Identifier: BSD-2-Clause */
/* The queue between two threads, here in one: how much goes in, and that packets stay whole. */
#include "support.h"

#include <safexsk/handover.h>

#define SIZE 16u

static struct sxsk_handover queue;
static struct sxsk_buf room[SIZE];

/* Handles are moved, not looked into: made up ones will do. */
static struct sxsk_buf buf(uint64_t id, bool more)
{
	return (struct sxsk_buf){ .id = id, .flags = more ? SXSK_BUF_MORE : 0 };
}

/* Bufs numbered from `first` on; those whose bit is set in `more` go on in the next. */
static unsigned push(uint64_t first, unsigned n, unsigned more)
{
	struct sxsk_buf bufs[2 * SIZE];

	for (unsigned i = 0; i < n; i++)
		bufs[i] = buf(first + i, more >> i & 1);
	return sxsk_handover_push(&queue, bufs, n);
}

static void expect_pop(unsigned most, uint64_t first, unsigned n)
{
	struct sxsk_buf bufs[2 * SIZE];

	cr_assert_eq(sxsk_handover_pop(&queue, bufs, most), n);
	for (unsigned i = 0; i < n; i++)
		cr_assert_eq(bufs[i].id, first + i);
}

/* Both indices at `start`, as after so many Bufs. */
static void begin_at(uint32_t start)
{
	cr_assert_eq(sxsk_handover_init(&queue, room, SIZE), 0);
	queue.head = queue.tail = queue.seen_head = queue.seen_tail = start;
}

Test(handover, size_is_a_power_of_two)
{
	static const uint32_t wrong[] = { 0, 1, 3, 1000, 1u << 31, UINT32_MAX };

	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		cr_assert_eq(sxsk_handover_init(&queue, room, wrong[i]), -EINVAL, "%u", wrong[i]);
	cr_assert_eq(sxsk_handover_init(&queue, room, 2), 0);
	cr_assert_eq(sxsk_handover_init(&queue, room, SIZE), 0);
}

Test(handover, in_order_and_no_more_than_fits)
{
	begin_at(0);
	expect_pop(SIZE, 0, 0);
	cr_assert_eq(sxsk_handover_room(&queue, 1), SIZE);
	cr_assert_eq(push(0, 10, 0), 10);
	cr_assert_eq(sxsk_handover_room(&queue, 1), SIZE - 10);
	cr_assert_eq(push(10, 10, 0), SIZE - 10, "a prefix");
	cr_assert_eq(sxsk_handover_room(&queue, 1), 0);
	cr_assert_eq(push(99, 1, 0), 0, "full");
	expect_pop(4, 0, 4);
	cr_assert_eq(sxsk_handover_room(&queue, 5), 0, "less than the longest packet may have");
	cr_assert_eq(sxsk_handover_room(&queue, 4), 4);
	expect_pop(2 * SIZE, 4, SIZE - 4);
	expect_pop(1, 0, 0);
}

Test(handover, round_the_end_of_the_indices)
{
	begin_at(UINT32_MAX - 5);
	for (uint64_t i = 0; i < 40; i += 10) {
		cr_assert_eq(push(i, 10, 0), 10);
		cr_assert_eq(sxsk_handover_room(&queue, 1), SIZE - 10);
		expect_pop(SIZE, i, 10);
	}
}

Test(handover, packets_of_several_bufs_stay_whole)
{
	begin_at(0);
	/* 12 Bufs, then a packet of three and one of two: the second does not fit any more. */
	cr_assert_eq(push(0, 12, 0), 12);
	cr_assert_eq(push(12, 5, 0xb), 3, "not its first Buf alone");
	cr_assert_eq(push(15, 2, 1), 0);
	expect_pop(13, 0, 12); /* not the first Buf of three alone */
	expect_pop(2, 0, 0);   /* it would have to be longer */
	expect_pop(3, 12, 3);
}

Test(handover, a_packet_handed_over_is_sent_by_the_other_side)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_socket *a = new_socket_sized(pool, "mem:handover", 0, 16),
			   *b = new_socket_sized(pool, "mem:handover", 0, 16);
	struct sxsk_buf sent = packet(pool, 100, 0x5a), got;

	begin_at(0);
	cr_assert_eq(sxsk_handover_push(&queue, &sent, 1), 1);
	cr_assert_eq(sxsk_handover_pop(&queue, &got, 1), 1);
	cr_assert_eq(sxsk_tx_burst(a, &got, 1), 1);
	cr_assert_eq(sxsk_rx_burst(b, &got, 1), 1);
	cr_assert_eq(*(const unsigned char *)sxsk_buf_data(got), 0x5a);
	sxsk_buf_unref(&got);
	sxsk_socket_close(a);
	close_and_unref(b, pool);
}

/* Two readers of the same packets, of one and of two Bufs; the second one's queue is nearly full. */
Test(handover, shared_bufs_have_a_reference_for_each_queue)
{
	static struct sxsk_handover small;
	static struct sxsk_buf small_room[4];
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_buf bufs[5], got[SIZE];

	begin_at(UINT32_MAX - 1);
	cr_assert_eq(sxsk_handover_init(&small, small_room, 4), 0);
	for (unsigned i = 0; i < 5; i++)
		bufs[i] = packet(pool, 60, (unsigned char)i);
	bufs[3].flags |= SXSK_BUF_MORE;
	cr_assert_eq(sxsk_handover_share(&queue, bufs, 5), 5);
	cr_assert_eq(sxsk_handover_share(&small, bufs, 5), 3, "no half packet");
	for (unsigned i = 0; i < 5; i++) {
		cr_assert(sxsk_buf_is_shared(bufs[i]));
		sxsk_buf_unref(&bufs[i]);
	}
	cr_assert_eq(sxsk_handover_pop(&queue, got, SIZE), 5);
	for (unsigned i = 0; i < 5; i++)
		cr_assert_eq(*(const unsigned char *)sxsk_buf_data(got[i]), i);
	sxsk_buf_unref_burst(got, 5);
	cr_assert_eq(pool_stats(pool).user, 3, "the other queue's");
	cr_assert_eq(sxsk_handover_pop(&small, got, SIZE), 3);
	sxsk_buf_unref_burst(got, 3);
	expect_all_home(pool);
	sxsk_pool_unref(pool);
}

Test(handover, packet_that_can_have_no_more_references_is_not_shared)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_buf bufs[4], refs[SXSK_MAX_REFS - 1], got[SIZE];

	begin_at(0);
	for (unsigned i = 0; i < 4; i++)
		bufs[i] = packet(pool, 60, 0);
	bufs[1].flags |= SXSK_BUF_MORE;
	for (unsigned i = 0; i < SXSK_MAX_REFS - 1; i++)
		refs[i] = sxsk_buf_ref(bufs[2]);
	cr_assert_eq(sxsk_handover_share(&queue, bufs, 4), 1, "the second one's end cannot");
	cr_assert_not(sxsk_buf_is_shared(bufs[1]));
	cr_assert_eq(sxsk_handover_pop(&queue, got, SIZE), 1);
	sxsk_buf_unref(&got[0]);
	sxsk_buf_unref_burst(refs, SXSK_MAX_REFS - 1);
	sxsk_buf_unref_burst(bufs, 4);
	expect_all_home(pool);
	sxsk_pool_unref(pool);
}

/* Pushed Buf by Buf, and looked for in between. */
Test(handover, packet_whose_end_comes_late_is_popped_whole)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_buf entries[8], part[2] = { packet(pool, 60, 1), packet(pool, 60, 2) }, out[8];
	struct sxsk_handover q;

	part[0].flags = SXSK_BUF_MORE;
	cr_assert_eq(sxsk_handover_init(&q, entries, 8), 0);
	cr_assert_eq(sxsk_handover_push(&q, &part[0], 1), 1);
	cr_assert_eq(sxsk_handover_pop(&q, out, 8), 0);
	cr_assert_eq(sxsk_handover_push(&q, &part[1], 1), 1);
	cr_assert_eq(sxsk_handover_pop(&q, out, 8), 2);
	sxsk_buf_unref_burst(out, 2);
	expect_all_home(pool);
	sxsk_pool_unref(pool);
}
