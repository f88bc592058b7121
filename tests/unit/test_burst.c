/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One odd element at any place of a burst: the loops are unrolled, and each place has its own code. Every
 * burst here is longer than two rounds of such a loop, and round after round crosses the rings' ends.
 */
#include "support.h"

#define LONG 19u /* eight, eight and a rest */

struct link {
	struct sxsk_pool *pool;
	struct sxsk_socket *socket;
	struct sxsk_mem_rings k;
};

static struct link link_of(const char *name, uint32_t flags)
{
	struct link l = { .pool = new_pool(512) };

	l.socket = new_socket(l.pool, name, flags);
	l.k = take_rings(l.socket);
	count_misuse();
	return l;
}

/* Each frame is in one place only: whoever takes all that are free gets each once. */
static void expect_no_frame_twice(struct sxsk_pool *pool)
{
	struct sxsk_buf all[512];
	unsigned char at[512] = { 0 };
	unsigned n = take_all(pool, all, 512);

	for (unsigned i = 0; i < n; i++)
		cr_assert_eq(at[sxsk_buf_index(all[i])]++, 0, "frame %u", sxsk_buf_index(all[i]));
	sxsk_buf_unref_burst(all, n);
	expect_accounted(pool);
}

/* The handle at i again at j: the second is refused and nulled, the others are dealt with. */
static void unref_twice(struct sxsk_buf bufs[LONG], unsigned i, unsigned j)
{
	struct sxsk_buf displaced = bufs[j];

	bufs[j] = bufs[i];
	expect_misuse(SXSK_MISUSE_STALE, "sxsk_buf_unref_burst", sxsk_buf_unref_burst(bufs, LONG));
	for (unsigned b = 0; b < LONG; b++)
		cr_assert_eq(sxsk_buf_is_null(bufs[b]), b == j, "%u and %u: %u", i, j, b);
	sxsk_buf_unref(&displaced);
}

static void unref_twice_everywhere(struct sxsk_pool *pool)
{
	struct sxsk_buf bufs[LONG];

	for (unsigned i = 0; i < LONG; i++)
		for (unsigned j = i + 1; j < LONG; j++) {
			cr_assert_eq(sxsk_pool_alloc(pool, bufs, LONG), LONG);
			unref_twice(bufs, i, j);
			expect_accounted(pool);
		}
	expect_no_frame_twice(pool);
}

Test(burst, unref_twice_at_any_two_places)
{
	struct sxsk_pool *pool = new_pool(256);

	count_misuse();
	unref_twice_everywhere(pool);
	expect_all_home(pool);
	cr_assert_eq(sxsk_lane_attach(pool), 0);
	unref_twice_everywhere(pool);
	sxsk_lane_detach(pool);
	expect_all_home(pool);
	sxsk_pool_unref(pool);
}

Test(burst, unref_twice_at_any_two_places_on_the_way_to_fill)
{
	struct link l = link_of("mem:b1", 0);
	struct sxsk_buf bufs[LONG];

	for (unsigned i = 0; i < LONG; i++)
		for (unsigned j = i + 1; j < LONG; j++) {
			for (unsigned b = 0; b < LONG; b++)
				(void)kernel_receive(&l.k, 60);
			cr_assert_eq(sxsk_rx_burst(l.socket, bufs, LONG), LONG);
			unref_twice(bufs, i, j);
			expect_accounted(l.pool);
			cr_assert_eq(fill_level(&l.k), 64);
		}
	expect_no_frame_twice(l.pool);
	cr_assert_eq(socket_stats(l.socket).rx_refused, 0);
	close_and_unref(l.socket, l.pool);
}

/* A shared one, a null one, one of another pool at every place: the others are not held up. */
Test(burst, unref_of_an_odd_handle_at_any_place)
{
	struct link l = link_of("mem:b2", 0);
	struct sxsk_pool *other = new_pool(64);
	struct sxsk_buf bufs[LONG], clone;

	for (unsigned i = 0; i < 3 * LONG; i++) {
		struct sxsk_buf *odd = &bufs[i % LONG];

		for (unsigned b = 0; b < LONG; b++)
			(void)kernel_receive(&l.k, 60);
		cr_assert_eq(sxsk_rx_burst(l.socket, bufs, LONG), LONG);
		clone = *odd;
		if (i / LONG == 0)
			clone = sxsk_buf_ref(*odd);
		else
			*odd = i / LONG == 1 ? (struct sxsk_buf){ 0 } : packet(other, 60, 1);
		sxsk_buf_unref_burst(bufs, LONG);
		cr_assert_eq(pool_stats(l.pool).user, 1);
		cr_assert_not_null(sxsk_buf_data_mut(clone));
		sxsk_buf_unref(&clone);
		expect_accounted(l.pool);
		expect_all_home(other);
	}
	cr_assert_eq(sxsk_misuse_count(), 0);
	sxsk_pool_unref(other);
	close_and_unref(l.socket, l.pool);
}

Test(burst, descriptor_received_twice_at_any_two_places)
{
	struct link l = link_of("mem:b3", SXSK_SOCKET_NO_TX);
	struct sxsk_buf bufs[LONG];
	uint64_t refused = 0;

	for (unsigned i = 0; i < LONG; i++)
		for (unsigned j = i + 1; j < LONG; j++) {
			uint64_t addr[LONG];

			for (unsigned b = 0; b < LONG; b++) {
				addr[b] = b == j ? addr[i] : kernel_take_fill(&l.k) + 256;
				kernel_post_rx(&l.k, addr[b], 60 + b);
			}
			cr_assert_eq(sxsk_rx_burst(l.socket, bufs, LONG), LONG - 1);
			cr_assert_eq(socket_stats(l.socket).rx_refused, ++refused);
			for (unsigned b = 0; b < LONG - 1; b++)
				cr_assert_eq(sxsk_buf_len(bufs[b]), 60 + b + (b >= j));
			cr_assert_eq(pool_stats(l.pool).user, LONG - 1);
			/* The frame that was named twice is suspect, and quarantined. */
			sxsk_buf_unref_burst(bufs, LONG - 1);
			cr_assert_eq(pool_stats(l.pool).quarantined, refused);
			inner_socket(l.socket)
				->q->fill_returned--; /* the lie took a place in the count */
		}
	close_and_unref(l.socket, l.pool);
}

Test(burst, sent_twice_at_any_two_places)
{
	struct link l = link_of("mem:b4", SXSK_SOCKET_NO_RX);
	struct sxsk_buf bufs[LONG], displaced;

	for (unsigned i = 0; i < LONG; i++)
		for (unsigned j = i + 1; j < LONG; j++) {
			for (unsigned b = 0; b < LONG; b++)
				bufs[b] = packet(l.pool, 60 + b, 1);
			displaced = bufs[j];
			bufs[j] = bufs[i];
			expect_misuse(SXSK_MISUSE_STALE, "sxsk_tx_burst",
				      cr_assert_eq(sxsk_tx_burst(l.socket, bufs, LONG), LONG));
			cr_assert(sxsk_buf_is_null(bufs[j]));
			for (unsigned b = 0; b < LONG; b++) {
				struct xdp_desc d;

				if (b == j)
					continue;
				d = kernel_take_tx(&l.k);
				cr_assert_eq(d.len, 60 + b);
				kernel_complete(&l.k, d.addr);
			}
			reap(l.socket);
			sxsk_buf_unref(&displaced);
			expect_accounted(l.pool);
		}
	expect_no_frame_twice(l.pool);
	cr_assert_eq(socket_stats(l.socket).comp_refused, 0);
	close_and_unref(l.socket, l.pool);
}

/* LONG packets are sent; the completion at j comes as that at i again, and late. */
static void complete_twice(struct link *l, struct sxsk_buf bufs[LONG], unsigned i, unsigned j)
{
	uint64_t addr[LONG], late, refused = socket_stats(l->socket).comp_refused;

	cr_assert_eq(sxsk_tx_burst(l->socket, bufs, LONG), LONG);
	for (unsigned b = 0; b < LONG; b++)
		addr[b] = kernel_take_tx(&l->k).addr;
	late = addr[j];
	addr[j] = addr[i];
	for (unsigned b = 0; b < LONG; b++)
		kernel_complete(&l->k, addr[b]);
	reap(l->socket);
	cr_assert_eq(socket_stats(l->socket).comp_refused, refused + 1);
	cr_assert_eq(pool_stats(l->pool).tx, 1, "the one that is not complete yet");
	inner_socket(l->socket)->q->comp_returned--; /* the lie took a place in the count */
	kernel_complete(&l->k, late);
	reap(l->socket);
	expect_accounted(l->pool);
}

Test(burst, completed_twice_at_any_two_places)
{
	struct link l = link_of("mem:b5", SXSK_SOCKET_NO_RX);
	struct sxsk_buf bufs[LONG];

	for (unsigned i = 0; i < LONG; i++)
		for (unsigned j = i + 1; j < LONG; j++) {
			for (unsigned b = 0; b < LONG; b++)
				bufs[b] = packet(l.pool, 60, 1);
			complete_twice(&l, bufs, i, j);
		}
	expect_no_frame_twice(l.pool);
	close_and_unref(l.socket, l.pool);
}

Test(burst, completed_twice_at_any_two_places_on_the_way_to_fill)
{
	struct link l = link_of("mem:b6", 0);
	struct sxsk_buf bufs[LONG];

	for (unsigned i = 0; i < LONG; i++)
		for (unsigned j = i + 1; j < LONG; j++) {
			for (unsigned b = 0; b < LONG; b++)
				(void)kernel_receive(&l.k, 60);
			cr_assert_eq(sxsk_rx_burst(l.socket, bufs, LONG), LONG);
			complete_twice(&l, bufs, i, j);
		}
	expect_no_frame_twice(l.pool);
	close_and_unref(l.socket, l.pool);
}

/* What two threads leave behind that gave one reference back at the same instant: a stock has the number of
 * a frame that is elsewhere. */
Test(burst, number_of_a_frame_that_left_at_any_place_of_a_stock)
{
	count_misuse();
	for (unsigned i = 0; i < LONG; i++) {
		struct sxsk_pool *pool = new_pool(512);
		struct sxsk_buf bufs[LONG], other;
		struct sxsk_priv_stock *stock;

		other = packet(pool, 60, 1);
		cr_assert_eq(sxsk_lane_attach(pool), 0);
		cr_assert_eq(sxsk_pool_alloc(pool, bufs, LONG), LONG);
		sxsk_buf_unref_burst(bufs, LONG);
		stock = &sxsk_priv_thread_self->lanes->stock;
		memmove(&stock->index[stock->n + 1 - i], &stock->index[stock->n - i],
			i * sizeof(stock->index[0]));
		stock->index[stock->n++ - i] = sxsk_buf_index(other);
		expect_misuse(SXSK_MISUSE_CORRUPT, "free frames",
			      cr_assert_eq(sxsk_pool_alloc(pool, bufs, LONG), LONG));
		for (unsigned b = 0; b < LONG; b++)
			cr_assert_neq(sxsk_buf_index(bufs[b]), sxsk_buf_index(other), "%u, %u", i,
				      b);
		sxsk_buf_unref_burst(bufs, LONG);
		sxsk_buf_unref(&other);
		expect_no_frame_twice(pool);
		sxsk_lane_detach(pool);
		expect_all_home(pool);
		sxsk_pool_unref(pool);
	}
}
