/* SPDX-License-Identifier: BSD-2-Clause */
/* Rings whose other side says more than can be: nothing is believed of it, whatever the totals say. */
#include "support.h"

#define SIZE 64u

/* The ring's entries are those of packets before, whose frames are where a descriptor may name them. */
Test(rings, receiver_believes_no_producer_beyond_the_ring)
{
	struct sxsk_pool *pool = new_pool(256);
	struct sxsk_socket *socket = new_socket(pool, "mem:rx", SXSK_SOCKET_NO_TX);
	struct sxsk_mem_rings k = take_rings(socket);
	struct sxsk_buf bufs[SIZE];

	for (unsigned i = 0; i < SIZE; i++)
		(void)kernel_receive(&k, 60);
	cr_assert_eq(sxsk_rx_burst(socket, bufs, SIZE), SIZE);
	sxsk_buf_unref_burst(bufs, SIZE);
	cr_assert_eq(fill_level(&k), SIZE, "the same frames are in FILL again");
	__atomic_store_n(k.rx.producer, *k.rx.producer + SIZE + 1, __ATOMIC_RELEASE);
	cr_assert_eq(sxsk_rx_burst(socket, bufs, SIZE), 0);
	cr_assert_eq(pool_stats(pool).user, 0);
	cr_assert_eq(sxsk_socket_error(socket), -EPROTO);
	close_and_unref(socket, pool);
}

Test(rings, sender_believes_no_completions_beyond_the_ring)
{
	struct sxsk_pool *pool = new_pool(SIZE);
	struct sxsk_socket *socket = new_socket(pool, "mem:comp", SXSK_SOCKET_NO_RX);
	struct sxsk_mem_rings k = take_rings(socket);

	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < SIZE; i++)
			send_one(socket, packet(pool, 60, 1));
		if (round == 0)
			cr_assert_eq(kernel_complete_all(&k), SIZE);
		reap(socket);
	}
	__atomic_store_n(k.comp.producer, *k.comp.producer + SIZE + 1, __ATOMIC_RELEASE);
	reap(socket);
	cr_assert_eq(pool_stats(pool).tx, SIZE, "all are still being sent");
	cr_assert_eq(sxsk_socket_error(socket), -EPROTO);
	close_and_unref(socket, pool);
}

/* A kernel side that receives into frames which it leaves in the FILL ring. */
Test(rings, fill_is_not_filled_beyond_its_end)
{
	for (unsigned direct = 0; direct < 2; direct++) {
		struct sxsk_pool *pool = new_pool(256);
		struct sxsk_socket *socket = new_socket(pool, "mem:fill", SXSK_SOCKET_NO_TX);
		struct sxsk_mem_rings k = take_rings(socket);
		struct sxsk_buf bufs[SIZE / 2], none;

		cr_assert_eq(fill_level(&k), SIZE);
		for (uint32_t i = 0; i < SIZE / 2; i++)
			kernel_post_rx(&k, ((uint64_t *)k.fill.entries)[i] + 256, 60);
		cr_assert_eq(sxsk_rx_burst(socket, bufs, SIZE / 2), SIZE / 2);
		if (direct)
			sxsk_buf_unref_burst(bufs, SIZE / 2);
		cr_assert_eq(sxsk_rx_burst(socket, &none, 1), 0);
		cr_assert_eq(fill_level(&k), SIZE);
		if (!direct)
			sxsk_buf_unref_burst(bufs, SIZE / 2);
		close_and_unref(socket, pool);
	}
}

Test(rings, driver_is_woken_for_fill_whenever_it_asks_for_it)
{
	struct sxsk_pool *pool = new_pool(256);
	struct sxsk_socket *socket = new_socket(pool, "mem:wakeup", SXSK_SOCKET_NO_TX);
	struct sxsk_mem_rings k = take_rings(socket);
	struct sxsk_buf b;
	uint64_t kicks;

	cr_assert_eq(sxsk_rx_burst(socket, &b, 1), 0);
	kicks = socket_stats(socket).rx_kicks;
	cr_assert_eq(sxsk_rx_burst(socket, &b, 1), 0);
	cr_assert_eq(socket_stats(socket).rx_kicks, kicks, "nobody asked");
	*k.fill.flags |= XDP_RING_NEED_WAKEUP;
	cr_assert_eq(sxsk_rx_burst(socket, &b, 1), 0);
	cr_assert_eq(socket_stats(socket).rx_kicks, kicks + 1);
	close_and_unref(socket, pool);
}
