/* SPDX-License-Identifier: BSD-2-Clause */
/* Bursts of Bufs that have other users or transmissions, among them some that have not, and some that
 * cannot be sent: each goes its own way. */
#include "support.h"

/* Another reference, with another view. */
static struct sxsk_buf shared(struct sxsk_buf b, uint16_t offset, uint16_t length, uint16_t flags)
{
	struct sxsk_buf clone = sxsk_buf_ref(b);

	clone.offset = offset;
	clone.length = length;
	clone.flags = flags;
	return clone;
}

Test(flood, what_cannot_be_sent_is_taken_freed_and_counted)
{
	struct sxsk_pool *pool = new_pool(64), *other = new_pool(64);
	struct sxsk_socket *socket = new_socket(pool, "mem:reasons", SXSK_SOCKET_NO_RX);
	struct sxsk_mem_rings k = take_rings(socket);
	struct sxsk_buf good = packet(pool, 60, 1), foreign = packet(other, 60, 2),
			stale = packet(pool, 60, 3), gone = stale;
	struct sxsk_buf bufs[] = {
		sxsk_buf_ref(good),
		sxsk_buf_ref(foreign),
		sxsk_buf_ref(good),
		shared(good, 256, 13, 0),
		sxsk_buf_ref(good),
		shared(good, 256, 60, SXSK_BUF_MORE),
		sxsk_buf_ref(good),
		sxsk_buf_ref(good),
		stale,
		sxsk_buf_ref(good),
	};
	const unsigned n = sizeof(bufs) / sizeof(bufs[0]);
	struct sxsk_socket_stats st;

	sxsk_buf_unref(&gone);
	count_misuse();
	cr_assert_eq(sxsk_tx_burst(socket, bufs, n), n);
	st = socket_stats(socket);
	cr_assert_eq(st.drop_pool, 1);
	cr_assert_eq(st.drop_short, 1);
	cr_assert_eq(st.drop_misuse, 1);
	cr_assert_eq(sxsk_misuse_count(), 1);
	cr_assert_eq(st.drop_limit, 1, "a part of a packet, which its rest makes no better");
	cr_assert_eq(st.tx_packets, 5);
	cr_assert_eq(st.tx_bytes, 5 * 60);
	cr_assert_eq(inner_socket(socket)->q->ledger.used, 5);
	cr_assert_eq(kernel_complete_all(&k), 5);
	reap(socket);
	cr_assert_not_null(sxsk_buf_data_mut(good), "nobody else has it any more");
	cr_assert_not_null(sxsk_buf_data_mut(foreign));
	sxsk_buf_unref(&good);
	sxsk_buf_unref(&foreign);
	expect_all_home(other);
	close_and_unref(socket, pool);
	sxsk_pool_unref(other);
}

/* A view that ends behind the chunk would be another frame's bytes. */
Test(flood, shared_view_past_the_frame_is_not_sent)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_socket *socket = new_socket(pool, "mem:past", SXSK_SOCKET_NO_RX);
	struct sxsk_mem_rings k = take_rings(socket);
	struct sxsk_buf b = packet(pool, 60, 1), past = shared(b, 2048 - 59, 60, 0), last = past;

	last.length = 59;
	count_misuse();
	send_one(socket, past);
	cr_assert_eq(socket_stats(socket).drop_misuse, 1);
	send_one(socket, last);
	cr_assert_eq(socket_stats(socket).tx_packets, 1);
	cr_assert_eq(kernel_complete_all(&k), 1);
	reap(socket);
	sxsk_buf_unref(&b);
	close_and_unref(socket, pool);
}

/* Unique and shared ones in turns, sent and completed around the rings' wrap, some before others. */
Test(flood, mixed_bursts_are_sent_in_order_and_come_home_in_any)
{
	struct sxsk_pool *pool = new_pool(256);
	struct sxsk_socket *socket = new_socket_sized(pool, "mem:mixed", SXSK_SOCKET_NO_RX, 64);
	struct sxsk_mem_rings k = take_rings(socket);
	struct sxsk_buf keep = packet(pool, 60, 1), bufs[40];
	uint64_t addr[40];

	for (unsigned round = 0; round < 20; round++) {
		for (unsigned i = 0; i < 40; i++)
			bufs[i] = i % (round + 2) ? shared(keep, 256, (uint16_t)(60 + i), 0) :
						    packet(pool, (uint16_t)(60 + i), 2);
		cr_assert_eq(sxsk_tx_burst(socket, bufs, 40), 40);
		for (unsigned i = 0; i < 40; i++) {
			struct xdp_desc d = kernel_take_tx(&k);

			cr_assert_eq(d.len, 60 + i, "packet %u is another", i);
			cr_assert_eq(d.options, 0);
			cr_assert_eq(d.addr == sxsk_buf_index(keep) * 2048ull + 256,
				     i % (round + 2) != 0);
			addr[i * 7 % 40] = d.addr;
		}
		for (unsigned i = 0; i < 40; i++)
			kernel_complete(&k, addr[i]);
		reap(socket);
		cr_assert_eq(pool_stats(pool).tx, 0);
		cr_assert_eq(inner_socket(socket)->q->ledger.used, 0);
		cr_assert_not(sxsk_buf_is_shared(keep));
	}
	cr_assert_eq(socket_stats(socket).tx_completed, 800);
	cr_assert_eq(socket_stats(socket).comp_refused + socket_stats(socket).comp_duplicate, 0);
	sxsk_buf_unref(&keep);
	close_and_unref(socket, pool);
}
