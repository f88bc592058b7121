/* SPDX-License-Identifier: BSD-2-Clause */
/* Scenarios of packets that are longer than a frame, and of frames that straddle pages. */
#include "scenarios.h"

TestSuite(scenarios_frames, .init = make_network, .timeout = 60);

#define JUMBO 9000u
#define JUMBO_MTU "9000"

static struct scenario begin_multi(uint32_t attach, const struct sxsk_pool_opts *pool)
{
	struct sxsk_socket_opts opts = socket_options(attach);

	needs_linux(6, 6, "multi-buffer AF_XDP");
	run("ip link set v0 mtu " JUMBO_MTU "; ip link set v1 mtu " JUMBO_MTU);
	opts.flags = SXSK_SOCKET_MULTI_BUFFER;
	return begin(attach, pool, &opts);
}

/* ---- unaligned frames ---------------------------------------------------------------------------- */

/* 3000 bytes: the data of some frames lie on two pages, of others on one. */
static struct sxsk_pool_opts unaligned_pool(void)
{
	struct sxsk_pool_opts pool = pool_options();

	pool.frame_size = 3000;
	pool.flags = SXSK_POOL_UNALIGNED;
	return pool;
}

SCENARIO(scenarios_frames, packets_straddle_a_page)
{
	const struct sxsk_pool_opts pool = unaligned_pool();
	struct scenario s = begin(attach, &pool, NULL);
	struct stream there = { .count = PACKETS, .length = 1500 };

	pass(&s.a, &s.b, &there);
	cr_expect_eq(stats_of(s.b.socket).kernel.rx_dropped, 0);
	finish(&s);
}

SCENARIO(scenarios_frames, packets_of_9000_bytes_in_unaligned_frames)
{
	const struct sxsk_pool_opts pool = unaligned_pool();
	struct scenario s = begin_multi(attach, &pool);
	struct stream there = { .count = 512, .length = JUMBO, .batch = 32 };

	pass(&s.a, &s.b, &there);
	finish(&s);
}

/* ---- packets of several frames --------------------------------------------------------------------- */

SCENARIO(scenarios_frames, packets_of_9000_bytes)
{
	struct scenario s = begin_multi(attach, NULL);
	struct stream there = { .count = 1024, .length = JUMBO },
		      small = { .count = 256, .length = PACKET_LEN };

	pass(&s.a, &s.b, &there);
	pass(&s.a, &s.b, &small);
	cr_expect_eq(stats_of(s.b.socket).rx_packets, 1024 + 256);
	cr_expect_eq(stats_of(s.b.socket).rx_broken, 0);
	cr_expect_eq(stats_of(s.b.socket).kernel.rx_dropped, 0);
	finish(&s);
}

/* A packet of n Bufs of 100 bytes. */
static unsigned in_pieces(struct sxsk_pool *pool, struct sxsk_buf bufs[], uint32_t number,
			  unsigned n)
{
	cr_assert_eq(sxsk_pool_alloc(pool, bufs, n), n);
	for (unsigned i = 0; i < n; i++) {
		cr_assert_eq(sxsk_buf_put(&bufs[i], 100), 0);
		fill_bytes(sxsk_buf_data_mut(bufs[i]), number, i * 100, 100);
		bufs[i].flags = i + 1 < n ? SXSK_BUF_MORE : 0;
	}
	return n;
}

SCENARIO(scenarios_frames, too_many_fragments)
{
	struct scenario s = begin_multi(attach, NULL);
	struct stream there = { .count = 3, .length = 100 * SXSK_MAX_FRAGS };
	struct sxsk_buf bufs[80];
	unsigned n;

	n = in_pieces(s.a.pool, bufs, 0, SXSK_MAX_FRAGS);
	n += in_pieces(s.a.pool, bufs + n, 0, SXSK_MAX_FRAGS + 1);
	n += in_pieces(s.a.pool, bufs + n, 1, SXSK_MAX_FRAGS);
	cr_assert_eq(sxsk_tx_burst(s.a.socket, bufs, n), n);
	cr_expect_eq(stats_of(s.a.socket).drop_limit, 1);
	cr_expect_eq(stats_of(s.a.socket).tx_packets, 2);
	there.sent = 2;
	receive_until(&s.b, &there, 2);
	pass(&s.a, &s.b, &there);
	finish(&s);
}

/* ---- invalid descriptors in them --------------------------------------------------------------------- */

enum wrong { EMPTY, CROSSING, STALE, FOREIGN, ENDLESS, WRONGS };

/* Piece `at` of three becomes wrong. Returns what is to be given back afterwards. */
static struct sxsk_buf spoil(struct sxsk_pool *other, struct sxsk_buf bufs[3], unsigned at,
			     enum wrong wrong)
{
	struct sxsk_buf good = bufs[at];

	switch (wrong) {
	case EMPTY:
		cr_assert_eq(sxsk_buf_trim(&bufs[at], 0), 0);
		break;
	case CROSSING: /* a forged handle is left alone, and so is its frame */
		bufs[at].offset = 4000;
		return good;
	case STALE:
		sxsk_buf_unref(&good);
		break;
	case FOREIGN:
		bufs[at] = make_packet(other, 0, 100);
		bufs[at].flags = good.flags;
		return good;
	default:
		bufs[2].flags = SXSK_BUF_MORE;
	}
	return (struct sxsk_buf){ 0 };
}

static void note(const struct sxsk_misuse *m, void *arg)
{
	(void)m;
	(void)arg;
}

/* Wherever it is in the packet, what is wrong keeps the whole packet back, and nothing else; but one
 * without an end takes the next one for its end. */
SCENARIO(scenarios_frames, invalid_descriptors_in_packets_of_several_frames)
{
	struct scenario s = begin_multi(attach, NULL);
	struct sxsk_pool *other = new_pool(64);
	struct stream there = { .count = UINT32_MAX, .length = 300 };
	struct sxsk_buf bufs[24], good;

	sxsk_set_misuse_handler(note, NULL);
	for (enum wrong wrong = EMPTY; wrong < WRONGS; wrong++)
		for (unsigned at = 0; at < 3; at++) {
			const uint64_t before = stats_of(s.a.socket).tx_packets;
			/* With what follows, the endless one is over the limit. */
			const unsigned last = wrong == ENDLESS ? SXSK_MAX_FRAGS : 3;

			(void)in_pieces(s.a.pool, bufs, there.sent, 3);
			(void)in_pieces(s.a.pool, bufs + 3, 0, 3);
			(void)in_pieces(s.a.pool, bufs + 6, there.sent + 1, last);
			good = spoil(other, bufs + 3, at, wrong);
			cr_assert_eq(sxsk_tx_burst(s.a.socket, bufs, 6 + last), 6 + last);
			sxsk_buf_unref(&good);
			there.sent += wrong == ENDLESS ? 1 : 2;
			receive_until(&s.b, &there, there.sent);
			cr_expect_eq(stats_of(s.a.socket).tx_packets - before,
				     wrong == ENDLESS ? 1 : 2, "%u at %u", wrong, at);
		}
	sxsk_pool_unref(other);
	finish(&s);
}
