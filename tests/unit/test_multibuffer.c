/* SPDX-License-Identifier: BSD-2-Clause */
/* Packets of several Bufs: whole ones pass, in both directions, and a broken one goes as a whole. */
#include "support.h"

#include <linux/if_xdp.h>

#ifndef XDP_PKT_CONTD
#define XDP_PKT_CONTD (1 << 0)
#endif

#define MULTI SXSK_SOCKET_MULTI_BUFFER

/* ---- helpers ------------------------------------------------------------------------------------------ */

/* A packet of these lengths, each byte its place in the packet. */
static unsigned make(struct sxsk_pool *pool, struct sxsk_buf bufs[], const uint32_t len[],
		     unsigned n)
{
	uint32_t at = 0;

	cr_assert_eq(sxsk_pool_alloc(pool, bufs, n), n);
	for (unsigned i = 0; i < n; i++) {
		unsigned char *data;

		cr_assert_eq(sxsk_buf_put(&bufs[i], len[i]), 0);
		data = sxsk_buf_data_mut(bufs[i]);
		for (uint32_t k = 0; k < len[i]; k++)
			data[k] = (unsigned char)(at++ * 7 % 251);
		bufs[i].flags = i + 1 < n ? SXSK_BUF_MORE : 0;
	}
	return n;
}

/* n Bufs of `len` bytes. */
static void make_even(struct sxsk_pool *pool, struct sxsk_buf bufs[], uint32_t len, unsigned n)
{
	uint32_t all[64];

	for (unsigned i = 0; i < n; i++)
		all[i] = len;
	(void)make(pool, bufs, all, n);
}

/* bufs[0..) start with a packet of `total` such bytes. Returns its number of Bufs. */
static unsigned check(const struct sxsk_buf bufs[], unsigned n, uint32_t total)
{
	uint32_t at = 0;
	unsigned i = 0;

	do {
		const unsigned char *data = sxsk_buf_data(bufs[i]);

		cr_assert_lt(i, n, "the packet has no end");
		for (uint32_t k = 0; k < sxsk_buf_len(bufs[i]); k++)
			cr_assert_eq(data[k], at++ * 7 % 251, "byte %u", at - 1);
	} while (bufs[i++].flags & SXSK_BUF_MORE);
	cr_assert_eq(at, total, "%u bytes", at);
	return i;
}

/* By hand, as the kernel does: into the RX ring, its end or not. */
static void post(struct sxsk_mem_rings *k, uint64_t addr, uint32_t len, uint32_t options)
{
	((struct xdp_desc *)k->rx.entries)[*k->rx.producer & (k->rx.size - 1)].options = options;
	kernel_post_rx(k, addr, len);
}

static void post_fill(struct sxsk_mem_rings *k, uint32_t len, bool more)
{
	uint64_t addr = kernel_take_fill(k) + 256;
	uint32_t at = *k->rx.producer;

	((struct xdp_desc *)k->rx.entries)[at & (k->rx.size - 1)] =
		(struct xdp_desc){ .addr = addr, .len = len, .options = more ? XDP_PKT_CONTD : 0 };
	__atomic_store_n(k->rx.producer, at + 1, __ATOMIC_RELEASE);
}

/* ---- both ways ------------------------------------------------------------------------------------------ */

Test(multibuffer, packets_of_several_bufs_come_as_they_went)
{
	static const uint32_t len[] = { 14, 1, 2048 - 256, 700, 33 };
	struct sxsk_pool *from = new_pool(256), *to = new_pool_with((struct sxsk_pool_opts){
							.frame_count = 256, .frame_size = 4096 });
	struct sxsk_socket *a = new_socket(from, "mem:mb1", MULTI),
			   *b = new_socket(to, "mem:mb1", MULTI);
	struct sxsk_buf bufs[64];
	uint32_t total = 0;
	unsigned n;

	for (unsigned k = 1; k <= 5; k++) {
		total = 0;
		for (unsigned i = 0; i < k; i++)
			total += len[i];
		n = make(from, bufs, len, k);
		n += make(from, bufs + n, len, k);
		cr_assert_eq(sxsk_tx_burst(a, bufs, n), n);
		n = sxsk_rx_burst(b, bufs, 64);
		cr_assert_eq(check(bufs, n, total) + check(bufs + n / 2, n - n / 2, total), n);
		sxsk_buf_unref_burst(bufs, n);
		reap(a);
	}
	cr_assert_eq(socket_stats(a).tx_packets, 10);
	cr_assert_eq(socket_stats(b).rx_packets, 10);
	cr_assert_eq(socket_stats(b).rx_bytes, socket_stats(a).tx_bytes);
	cr_assert_eq(sxsk_misuse_count(), 0);
	sxsk_socket_close(a);
	expect_accounted(from);
	sxsk_pool_unref(from);
	close_and_unref(b, to);
}

Test(multibuffer, clones_of_its_bufs_may_be_kept)
{
	struct sxsk_pool *pool = new_pool(256), *to = new_pool(256);
	struct sxsk_socket *a = new_socket(pool, "mem:mb2", MULTI),
			   *b = new_socket(to, "mem:mb2", MULTI);
	struct sxsk_buf bufs[64], keep;
	unsigned n;

	make_even(pool, bufs, 1000, 4);
	keep = sxsk_buf_ref(bufs[2]);
	cr_assert_eq(sxsk_tx_burst(a, bufs, 4), 4);
	reap(a);
	n = sxsk_rx_burst(b, bufs, 64);
	cr_assert_eq(check(bufs, n, 4000), n);
	sxsk_buf_unref_burst(bufs, n);
	cr_assert_not(sxsk_buf_is_shared(keep));
	sxsk_buf_unref(&keep);
	sxsk_socket_close(b);
	sxsk_pool_unref(to);
	close_and_unref(a, pool);
}

/* ---- receive ------------------------------------------------------------------------------------------ */

Test(multibuffer, burst_never_ends_in_mid_packet)
{
	struct sxsk_pool *pool = new_pool(256);
	struct sxsk_socket *s = new_socket(pool, "mem:mb3", MULTI | SXSK_SOCKET_NO_TX);
	struct sxsk_mem_rings k = take_rings(s);
	struct sxsk_buf bufs[20];

	cr_assert_eq(sxsk_rx_burst(s, bufs, 20), 0);
	for (unsigned i = 0; i < 15; i++)
		post_fill(&k, 60, false);
	for (unsigned i = 0; i < 7; i++)
		post_fill(&k, 60, i + 1 < 7);
	cr_assert_eq(sxsk_rx_burst(s, bufs, 20), 15, "the packet of seven does not fit any more");
	sxsk_buf_unref_burst(bufs, 15);
	cr_assert_eq(sxsk_rx_burst(s, bufs, 20), 7);
	cr_assert_eq(bufs[5].flags, SXSK_BUF_MORE);
	cr_assert_eq(bufs[6].flags, 0);
	sxsk_buf_unref_burst(bufs, 7);
	cr_assert_eq(socket_stats(s).rx_packets, 16);
	close_and_unref(s, pool);
}

Test(multibuffer, packet_whose_end_has_not_come_stays_in_the_ring)
{
	struct sxsk_pool *pool = new_pool(256);
	struct sxsk_socket *s = new_socket(pool, "mem:mb4", MULTI | SXSK_SOCKET_NO_TX);
	struct sxsk_mem_rings k = take_rings(s);
	struct sxsk_buf bufs[20];

	post_fill(&k, 60, false);
	post_fill(&k, 60, true);
	cr_assert_eq(sxsk_rx_burst(s, bufs, 20), 1);
	sxsk_buf_unref(bufs);
	cr_assert_eq(sxsk_rx_burst(s, bufs, 20), 0);
	post_fill(&k, 61, true);
	cr_assert_eq(sxsk_rx_burst(s, bufs, 20), 0);
	post_fill(&k, 62, false);
	cr_assert_eq(sxsk_rx_burst(s, bufs, 20), 3);
	cr_assert_eq(sxsk_buf_len(bufs[2]), 62);
	sxsk_buf_unref_burst(bufs, 3);
	post_fill(&k, 60, true); /* and the close finds one without an end */
	sxsk_socket_close(s);
	expect_accounted(pool);
	sxsk_pool_unref(pool);
}

Test(multibuffer, burst_below_the_fragment_limit_is_misuse)
{
	struct sxsk_pool *pool = new_pool(256);
	struct sxsk_socket *s = new_socket(pool, "mem:mb5", MULTI);
	struct sxsk_mem_rings k = take_rings(s);
	struct sxsk_buf bufs[SXSK_MAX_FRAGS];

	count_misuse();
	post_fill(&k, 60, false);
	expect_misuse(SXSK_MISUSE_ARGUMENT, "sxsk_rx_burst",
		      cr_assert_eq(sxsk_rx_burst(s, bufs, SXSK_MAX_FRAGS - 1), 0));
	cr_assert_eq(sxsk_rx_burst(s, bufs, 0), 0);
	cr_assert_eq(sxsk_rx_burst(s, bufs, SXSK_MAX_FRAGS), 1);
	sxsk_buf_unref(bufs);
	close_and_unref(s, pool);
}

Test(multibuffer, packet_without_an_end_is_dropped_up_to_where_it_has_one)
{
	struct sxsk_pool *pool = new_pool(512);
	struct sxsk_socket *s = new_socket_sized(pool, "mem:mb6", MULTI | SXSK_SOCKET_NO_TX, 128);
	struct sxsk_mem_rings k = take_rings(s);
	struct sxsk_buf bufs[32];

	for (unsigned i = 0; i < 50; i++)
		post_fill(&k, 60, true);
	cr_assert_eq(sxsk_rx_burst(s, bufs, 32), 0);
	cr_assert_eq(sxsk_rx_burst(s, bufs, 32), 0);
	cr_assert_eq(pool_stats(pool).user, 0);
	post_fill(&k, 60, false);
	post_fill(&k, 60, false); /* the next packet */
	cr_assert_eq(sxsk_rx_burst(s, bufs, 32), 1);
	cr_assert_eq(bufs[0].flags, 0);
	sxsk_buf_unref(bufs);
	cr_assert_eq(socket_stats(s).rx_broken, 1);
	cr_assert_eq(socket_stats(s).rx_packets, 1);
	close_and_unref(s, pool);
}

Test(multibuffer, packet_over_the_limit_is_dropped)
{
	struct sxsk_pool *pool = new_pool(512);
	struct sxsk_socket *s = new_socket_sized(pool, "mem:mb7", MULTI | SXSK_SOCKET_NO_TX, 128);
	struct sxsk_mem_rings k = take_rings(s);
	struct sxsk_buf bufs[64];

	for (unsigned i = 0; i < SXSK_MAX_FRAGS + 1; i++)
		post_fill(&k, 60, i < SXSK_MAX_FRAGS);
	for (unsigned i = 0; i < SXSK_MAX_FRAGS; i++)
		post_fill(&k, 60, i + 1 < SXSK_MAX_FRAGS);
	cr_assert_eq(sxsk_rx_burst(s, bufs, 64), SXSK_MAX_FRAGS);
	sxsk_buf_unref_burst(bufs, SXSK_MAX_FRAGS);
	cr_assert_eq(socket_stats(s).rx_broken, 1);
	cr_assert_eq(socket_stats(s).rx_packets, 1);
	close_and_unref(s, pool);
}

Test(multibuffer, packet_with_a_refused_part_goes_as_a_whole)
{
	struct sxsk_pool *pool = new_pool(256);
	struct sxsk_socket *s = new_socket(pool, "mem:mb8", MULTI | SXSK_SOCKET_NO_TX);
	struct sxsk_mem_rings k = take_rings(s);
	struct sxsk_buf bufs[20];

	post_fill(&k, 60, true);
	post(&k, 1ull << 40, 60, XDP_PKT_CONTD);
	((struct xdp_desc *)k.rx.entries)[(*k.rx.producer - 1) & (k.rx.size - 1)].options =
		XDP_PKT_CONTD;
	post_fill(&k, 60, false);
	post_fill(&k, 77, false);
	cr_assert_eq(sxsk_rx_burst(s, bufs, 20), 1);
	cr_assert_eq(sxsk_buf_len(bufs[0]), 77);
	sxsk_buf_unref(bufs);
	cr_assert_eq(socket_stats(s).rx_broken, 1);
	cr_assert_eq(socket_stats(s).rx_refused, 1);
	cr_assert_eq(pool_stats(pool).user, 0);
	expect_accounted(pool);
}

/* ---- send ---------------------------------------------------------------------------------------------- */

struct sender {
	struct sxsk_pool *pool;
	struct sxsk_socket *socket;
	struct sxsk_mem_rings k;
};

static struct sender sender(const char *name, uint32_t flags)
{
	struct sender s = { .pool = new_pool(256) };

	s.socket = new_socket(s.pool, name, flags | SXSK_SOCKET_NO_RX);
	s.k = take_rings(s.socket);
	count_misuse();
	return s;
}

static uint32_t with_kernel(const struct sender *s)
{
	return *s->k.tx.producer - *s->k.tx.consumer;
}

/* All n Bufs are taken, none reached the kernel, and all frames are home. */
static void expect_dropped(struct sender *s, struct sxsk_buf bufs[], unsigned n)
{
	cr_assert_eq(sxsk_tx_burst(s->socket, bufs, n), n);
	cr_assert_eq(with_kernel(s), 0);
	cr_assert_eq(pool_stats(s->pool).user, 0);
	cr_assert_eq(pool_stats(s->pool).tx, 0);
	expect_accounted(s->pool);
}

Test(multibuffer, packet_without_a_tail_is_taken_and_freed)
{
	struct sender s = sender("mem:mb10", MULTI);
	struct sxsk_buf bufs[4];

	make_even(s.pool, bufs, 100, 4);
	bufs[3].flags = SXSK_BUF_MORE;
	expect_dropped(&s, bufs, 4);
	cr_assert_eq(socket_stats(s.socket).drop_limit, 1);
	close_and_unref(s.socket, s.pool);
}

Test(multibuffer, packet_of_more_bufs_than_the_kernel_takes_never_reaches_it)
{
	struct sender s = sender("mem:mb11", MULTI);
	struct sxsk_buf bufs[SXSK_MAX_FRAGS + 1];

	make_even(s.pool, bufs, 100, SXSK_MAX_FRAGS + 1);
	expect_dropped(&s, bufs, SXSK_MAX_FRAGS + 1);
	cr_assert_eq(socket_stats(s.socket).drop_limit, 1);
	make_even(s.pool, bufs, 100, SXSK_MAX_FRAGS);
	cr_assert_eq(sxsk_tx_burst(s.socket, bufs, SXSK_MAX_FRAGS), SXSK_MAX_FRAGS);
	cr_assert_eq(with_kernel(&s), SXSK_MAX_FRAGS);
	for (unsigned i = 0; i < SXSK_MAX_FRAGS; i++)
		cr_assert_eq(((struct xdp_desc *)s.k.tx.entries)[i].options,
			     i + 1 < SXSK_MAX_FRAGS ? XDP_PKT_CONTD : 0);
	cr_assert_eq(socket_stats(s.socket).tx_packets, 1);
	(void)kernel_complete_all(&s.k);
	close_and_unref(s.socket, s.pool);
}

/* In zero-copy mode a driver may take fewer than the kernel does in copy mode. */
Test(multibuffer, packet_of_more_bufs_than_the_driver_takes_never_reaches_it)
{
	struct sender s = sender("mem:mb12", MULTI);
	struct sxsk_buf bufs[4];

	inner_socket(s.socket)->tx_most = 3;
	make_even(s.pool, bufs, 100, 4);
	expect_dropped(&s, bufs, 4);
	cr_assert_eq(socket_stats(s.socket).drop_limit, 1);
	make_even(s.pool, bufs, 100, 3);
	cr_assert_eq(sxsk_tx_burst(s.socket, bufs, 3), 3);
	cr_assert_eq(with_kernel(&s), 3);
	(void)kernel_complete_all(&s.k);
	close_and_unref(s.socket, s.pool);
}

Test(multibuffer, socket_without_the_flag_drops_the_whole_packet)
{
	struct sender s = sender("mem:mb12", 0);
	struct sxsk_buf bufs[4];

	make_even(s.pool, bufs, 100, 3);
	bufs[3] = packet(s.pool, 60, 1);
	cr_assert_eq(sxsk_tx_burst(s.socket, bufs, 4), 4);
	cr_assert_eq(with_kernel(&s), 1, "and the one behind it is sent");
	cr_assert_eq(socket_stats(s.socket).drop_limit, 1);
	(void)kernel_complete_all(&s.k);
	close_and_unref(s.socket, s.pool);
}

Test(multibuffer, packet_waits_until_there_is_room_for_all_of_it)
{
	struct sender s = sender("mem:mb13", MULTI); /* rings of 64 */
	struct sxsk_buf bufs[64];

	for (unsigned i = 0; i < 60; i++)
		bufs[i] = packet(s.pool, 60, 1);
	cr_assert_eq(sxsk_tx_burst(s.socket, bufs, 60), 60);
	make_even(s.pool, bufs, 100, 5);
	cr_assert_eq(sxsk_tx_burst(s.socket, bufs, 5), 0);
	cr_assert_eq(with_kernel(&s), 60);
	cr_assert_not_null(sxsk_buf_data_mut(bufs[4]), "still the caller's");
	kernel_complete(&s.k, kernel_take_tx(&s.k).addr);
	cr_assert_eq(sxsk_tx_burst(s.socket, bufs, 5), 5);
	cr_assert_eq(with_kernel(&s), 64);
	(void)kernel_complete_all(&s.k);
	close_and_unref(s.socket, s.pool);
}

Test(multibuffer, packet_that_never_fits_the_rings_is_dropped)
{
	struct sxsk_pool *pool = new_pool(256);
	struct sxsk_socket *socket =
		new_socket_sized(pool, "mem:mb14", MULTI | SXSK_SOCKET_NO_RX, 4);
	struct sender s = { pool, socket, take_rings(socket) };
	struct sxsk_buf bufs[5];

	make_even(pool, bufs, 100, 5);
	expect_dropped(&s, bufs, 5);
	cr_assert_eq(socket_stats(socket).drop_limit, 1);
	close_and_unref(socket, pool);
}

/* What is wrong with one Buf of a packet of five goes for all. */
Test(multibuffer, one_bad_buf_drops_its_packet)
{
	struct sender s = sender("mem:mb15", MULTI);
	struct sxsk_pool *other = new_pool(64);
	struct sxsk_buf bufs[5], was;
	struct sxsk_socket_stats st;

	make_even(s.pool, bufs, 100, 5);
	sxsk_buf_unref(&bufs[2]);
	bufs[2].flags = SXSK_BUF_MORE;
	expect_dropped(&s, bufs, 5); /* null */

	make_even(s.pool, bufs, 100, 5);
	was = bufs[3];
	sxsk_buf_unref(&was);
	expect_misuse(SXSK_MISUSE_STALE, "sxsk_tx_burst", expect_dropped(&s, bufs, 5));

	make_even(s.pool, bufs, 100, 5);
	bufs[1].length = 4000; /* forged */
	cr_assert_eq(sxsk_tx_burst(s.socket, bufs, 5), 5);
	cr_assert_eq(with_kernel(&s), 0);
	cr_assert_eq(pool_stats(s.pool).user, 1, "nothing is done with a forged handle");

	make_even(s.pool, bufs, 100, 5);
	sxsk_buf_unref(&bufs[4]);
	bufs[4] = packet(other, 100, 1);
	cr_assert_eq(sxsk_tx_burst(s.socket, bufs, 5), 5);
	cr_assert_eq(pool_stats(other).user, 0);

	make_even(s.pool, bufs, 100, 5);
	cr_assert_eq(sxsk_buf_trim(&bufs[0], 13), 0);
	cr_assert_eq(sxsk_tx_burst(s.socket, bufs, 5), 5);
	make_even(s.pool, bufs, 100, 5);
	cr_assert_eq(sxsk_buf_trim(&bufs[4], 0), 0);
	cr_assert_eq(sxsk_tx_burst(s.socket, bufs, 5), 5);

	cr_assert_eq(with_kernel(&s), 0);
	cr_assert_eq(pool_stats(s.pool).user, 1);
	st = socket_stats(s.socket);
	cr_assert_eq(st.drop_null, 1);
	cr_assert_eq(st.drop_misuse, 2);
	cr_assert_eq(st.drop_pool, 1);
	cr_assert_eq(st.drop_short, 2);
	cr_assert_eq(st.tx_packets, 0);
	sxsk_pool_unref(other);
}

/* Each Buf is checked before the first is taken, and all but the second occurrence are sound. */
Test(multibuffer, one_handle_twice_in_a_packet_takes_the_first_back)
{
	for (unsigned shared = 0; shared < 2; shared++) {
		struct sender s = sender("mem:mb16", MULTI);
		struct sxsk_buf bufs[5], keep = { 0 };

		make_even(s.pool, bufs, 100, 4);
		if (shared)
			keep = sxsk_buf_ref(bufs[1]);
		bufs[4] = bufs[1];
		bufs[4].flags = 0;
		bufs[3].flags = SXSK_BUF_MORE;
		if (shared) {
			/* Two references, both spent on this packet: no misuse, until the owner's own. */
			cr_assert_eq(sxsk_tx_burst(s.socket, bufs, 5), 5);
			cr_assert_eq(with_kernel(&s), 5);
			(void)kernel_complete_all(&s.k);
			reap(s.socket);
			expect_misuse(SXSK_MISUSE_STALE, "sxsk_buf_unref", sxsk_buf_unref(&keep));
		} else {
			expect_misuse(SXSK_MISUSE_STALE, "sxsk_tx_burst",
				      expect_dropped(&s, bufs, 5));
			cr_assert_eq(socket_stats(s.socket).drop_misuse, 1);
		}
		expect_accounted(s.pool);
		close_and_unref(s.socket, s.pool);
	}
}
