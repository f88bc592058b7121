/* SPDX-License-Identifier: BSD-2-Clause */
/* Scenarios in which something does not arrive, or must not even reach the kernel; and who counts it. */
#include "scenarios.h"

TestSuite(scenarios_limits, .init = make_network, .timeout = 60);

static uint64_t forgeries;

static void count_forgeries(const struct sxsk_misuse *m, void *arg)
{
	(void)arg;
	if (m->kind == SXSK_MISUSE_FORGED)
		forgeries++;
}

/* ---- invalid descriptors ------------------------------------------------------------------------- */

/* Whatever handle is given, the kernel sees valid descriptors only: `wrong` is between two good packets,
 * which arrive. Returns how many were not sent. */
static unsigned between_good_ones(struct scenario *s, struct stream *there, struct sxsk_buf wrong)
{
	const uint64_t before = stats_of(s->a.socket).tx_packets;
	struct sxsk_buf bufs[3] = { make_packet(s->a.pool, there->sent, PACKET_LEN), wrong,
				    make_packet(s->a.pool, there->sent + 1, PACKET_LEN) };

	cr_assert_eq(sxsk_tx_burst(s->a.socket, bufs, 3), 3);
	there->sent += 2;
	receive_until(&s->b, there, there->sent);
	cr_assert_eq(stats_of(s->a.socket).kernel.tx_invalid_descs, 0);
	return 3 - (unsigned)(stats_of(s->a.socket).tx_packets - before);
}

/* At an offset that no header was pulled to or pushed from. */
static struct sxsk_buf placed(struct sxsk_pool *pool, uint32_t number, uint32_t offset,
			      uint32_t length)
{
	struct sxsk_buf b;

	cr_assert_eq(sxsk_pool_alloc(pool, &b, 1), 1);
	if (offset < sxsk_buf_headroom(b)) {
		cr_assert_eq(sxsk_buf_push(&b, sxsk_buf_headroom(b) - offset), 0);
	} else {
		cr_assert_eq(sxsk_buf_put(&b, offset - sxsk_buf_headroom(b)), 0);
		cr_assert_eq(sxsk_buf_pull(&b, sxsk_buf_len(b)), 0);
	}
	cr_assert_eq(sxsk_buf_trim(&b, length), 0);
	fill_bytes(sxsk_buf_data_mut(b), number, 0, length);
	return b;
}

static void invalid_descriptors(uint32_t attach, uint32_t frame_size, uint32_t flags)
{
	struct sxsk_pool_opts opts = pool_options();
	struct sxsk_pool *other = new_pool(64);
	struct stream there = { .count = UINT32_MAX, .length = PACKET_LEN };
	struct scenario s;
	struct sxsk_buf b, copy;

	opts.frame_size = frame_size;
	opts.flags = flags;
	s = begin(attach, &opts, NULL);
	b = make_packet(s.a.pool, 0, PACKET_LEN);
	frame_size = sxsk_buf_headroom(b) + PACKET_LEN + sxsk_buf_tailroom(b); /* rounded up */
	sxsk_buf_unref(&b);
	sxsk_set_misuse_handler(count_forgeries, NULL);
	/* Valid ones to begin with: at the chunk's start, and at its very end. */
	b = placed(s.a.pool, 0, 0, PACKET_LEN);
	cr_assert_eq(sxsk_tx_burst(s.a.socket, &b, 1), 1);
	b = placed(s.a.pool, 1, frame_size - PACKET_LEN, PACKET_LEN);
	cr_assert_eq(sxsk_tx_burst(s.a.socket, &b, 1), 1);
	there.sent = 2;
	receive_until(&s.b, &there, 2);
	cr_assert_eq(sxsk_misuse_count(), 0);

	b = make_packet(s.a.pool, 0, PACKET_LEN);
	cr_assert_eq(sxsk_buf_trim(&b, 0), 0);
	cr_expect_eq(between_good_ones(&s, &there, b), 1, "empty");
	cr_expect_eq(between_good_ones(&s, &there, make_packet(s.a.pool, 0, 13)), 1, "short");
	cr_expect_eq(stats_of(s.a.socket).drop_short, 2);
	cr_expect_eq(between_good_ones(&s, &there, make_packet(other, 0, PACKET_LEN)), 1, "other");
	cr_expect_eq(stats_of(s.a.socket).drop_pool, 1);
	cr_expect_eq(between_good_ones(&s, &there, (struct sxsk_buf){ 0 }), 1, "null");
	cr_expect_eq(stats_of(s.a.socket).drop_null, 1);
	cr_assert_eq(sxsk_misuse_count(), 0, "these are no misuse");

	b = copy = make_packet(s.a.pool, 0, PACKET_LEN);
	copy.offset = (uint16_t)(frame_size - PACKET_LEN + 1);
	cr_expect_eq(between_good_ones(&s, &there, copy), 1, "crosses the chunk's end");
	copy = b;
	copy.offset = (uint16_t)frame_size;
	cr_expect_eq(between_good_ones(&s, &there, copy), 1, "the next chunk");
	copy = b;
	copy.length = (uint16_t)(frame_size + 1);
	cr_expect_eq(between_good_ones(&s, &there, copy), 1, "longer than a chunk");
	copy = b;
	copy.id += 1024 - sxsk_buf_index(b);
	cr_expect_eq(between_good_ones(&s, &there, copy), 1, "past the pool's end");
	cr_expect_eq(forgeries, 4);
	sxsk_buf_unref(&b);
	sxsk_pool_unref(other);
	finish(&s);
}

SCENARIO(scenarios_limits, invalid_descriptors_in_frames_of_4096)
{
	invalid_descriptors(attach, 4096, 0);
}

SCENARIO(scenarios_limits, invalid_descriptors_in_frames_of_2048)
{
	invalid_descriptors(attach, 2048, 0);
}

SCENARIO(scenarios_limits, invalid_descriptors_in_unaligned_frames)
{
	invalid_descriptors(attach, 4096, SXSK_POOL_UNALIGNED);
}

SCENARIO(scenarios_limits, invalid_descriptors_in_frames_of_4001)
{
	invalid_descriptors(attach, 4001, SXSK_POOL_UNALIGNED);
}

/* ---- statistics -------------------------------------------------------------------------------- */

/* Until the kernel's counter says so. */
static void counted(struct end *end, size_t counter, uint64_t n)
{
	const int64_t until = milliseconds() + PATIENCE_MS;
	struct sxsk_socket_stats st;
	uint64_t seen = 0;

	while (seen < n && milliseconds() < until) {
		st = stats_of(end->socket);
		seen = *(uint64_t *)(void *)((char *)&st.kernel + counter);
	}
	cr_assert_eq(seen, n, "the kernel counted %lu instead of %lu", (unsigned long)seen,
		     (unsigned long)n);
}

#define KERNEL_COUNTER(name) offsetof(struct sxsk_kernel_stats, name)

/* Packets that do not fit into what the headroom leaves of a frame. */
SCENARIO(scenarios_limits, statistics_of_dropped_packets)
{
	struct sxsk_pool_opts pool = pool_options();
	struct stream large = { .count = 128, .length = 1000 };
	struct stream small = { .count = 64, .length = PACKET_LEN };
	struct scenario s = begin(attach, NULL, NULL);

	pool.frame_size = 2048;
	pool.headroom = 2048 - 256 - 320 - 128;
	close_end(&s.b);
	s.b = open_end("v1", &pool, &s.a.opts);
	while (large.sent < large.count)
		cr_assert_gt(send_batch(&s.a, &large, BATCH), 0);
	counted(&s.b, KERNEL_COUNTER(rx_dropped), 128);
	pass(&s.a, &s.b, &small);
	cr_expect_eq(stats_of(s.b.socket).rx_packets, 64);
	finish(&s);
}

/* Nobody receives: what the ring has no room for is dropped, what it has stays in order. */
SCENARIO(scenarios_limits, statistics_of_a_full_rx_ring)
{
	struct sxsk_socket_opts opts = socket_options(attach);
	struct stream there = { .count = 256, .length = PACKET_LEN };
	struct scenario s;

	opts.rx_size = 64;
	s = begin(attach, NULL, &opts);
	while (there.sent < 256)
		cr_assert_gt(send_batch(&s.a, &there, BATCH), 0);
	counted(&s.b, KERNEL_COUNTER(rx_ring_full), 192);
	cr_assert_eq(sxsk_socket_wait(s.b.socket, SXSK_WAIT_RX, 0), SXSK_WAIT_RX);
	receive_until(&s.b, &there, 64);
	cr_expect_eq(receive_batch(&s.b, &there), 0);
	cr_expect_eq(sxsk_socket_wait(s.b.socket, SXSK_WAIT_RX, 20), 0);
	/* And then everything arrives again. */
	there = (struct stream){ .count = PACKETS, .length = PACKET_LEN };
	pass(&s.a, &s.b, &there);
	finish(&s);
}

/* All the receiver's frames are in its user's hands: 256 of them. Returns those that are packets. */
static unsigned hold_all(struct scenario *s, struct sxsk_buf held[256])
{
	struct stream there = { .count = UINT32_MAX, .length = PACKET_LEN };
	unsigned n = 0, got, free;

	do {
		cr_assert_gt(send_batch(&s->a, &there, 16), 0);
		do
			got = sxsk_rx_burst(s->b.socket, held + n, 256 - n);
		while (got == 0 && stats_of(s->b.socket).kernel.rx_dropped == 0);
		n += got;
	} while (got > 0);
	counted(&s->b, KERNEL_COUNTER(rx_dropped), there.sent - n);
	free = sxsk_pool_alloc(s->b.pool, held + n, 256 - n);
	cr_assert_eq(n + free, 256);
	return n;
}

SCENARIO(scenarios_limits, statistics_of_an_empty_fill_ring)
{
	struct stream lost = { .count = 64, .length = PACKET_LEN };
	struct stream there = { .count = 512, .length = PACKET_LEN };
	struct sxsk_pool_opts pool = pool_options();
	struct scenario s = begin(attach, NULL, NULL);
	struct sxsk_kernel_stats before;
	struct sxsk_buf held[256];

	pool.frame_count = 256;
	close_end(&s.b);
	s.b = open_end("v1", &pool, &s.a.opts);
	cr_assert_geq(hold_all(&s, held), 128);
	before = stats_of(s.b.socket).kernel;
	cr_assert_eq(send_batch(&s.a, &lost, BATCH), 64);
	counted(&s.b, KERNEL_COUNTER(rx_dropped), before.rx_dropped + 64);
	counted(&s.b, KERNEL_COUNTER(rx_fill_ring_empty_descs),
		before.rx_fill_ring_empty_descs + 64);
	sxsk_buf_unref_burst(held, 256);
	cr_expect_eq(receive_batch(&s.b, &lost), 0, "that refills");
	pass(&s.a, &s.b, &there);
	finish(&s);
}

/* ---- the kernel's budget ----------------------------------------------------------------------- */

#define KERNEL_BUDGET 32u
#define MAX_TX_SKB_BUDGET 9 /* Linux 6.17; the library raises it */

/* One kick sends the budget, and not one more: the next one of them takes another kick. */
SCENARIO(scenarios_limits, one_kick_sends_the_budget)
{
	struct scenario s = begin(attach, NULL, NULL);
	const int fd = sxsk_priv_socket_of(s.a.socket, "test")->fd;
	const uint32_t budget = KERNEL_BUDGET;
	struct stream there = { .count = 32 + 33 + 64, .length = PACKET_LEN };
	uint64_t kicks = 0;

	/* An older kernel's is fixed. */
	(void)setsockopt(fd, SOL_XDP, MAX_TX_SKB_BUDGET, &budget, sizeof(budget));
	for (unsigned i = 0; i < 3; i++) {
		const unsigned n = i == 0 ? 32 : i == 1 ? 33 : 64;
		const unsigned expected = i == 0 ? 1 : 2;

		cr_assert_eq(send_batch(&s.a, &there, n), n);
		cr_expect_eq(stats_of(s.a.socket).kicks - kicks, expected, "%u packets", n);
		kicks += expected;
		cr_expect_eq(stats_of(s.a.socket).kick_again, i, "%u packets", n);
		receive_until(&s.b, &there, there.sent);
		cr_assert_eq(sxsk_tx_burst(s.a.socket, NULL, 0), 0);
		cr_expect_eq(stats_of(s.a.socket).kicks, kicks, "nothing is left");
	}
	finish(&s);
}
