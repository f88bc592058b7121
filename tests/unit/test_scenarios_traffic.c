/* SPDX-License-Identifier: BSD-2-Clause */
/* Scenarios in which everything that is sent arrives. */
#include "scenarios.h"

#include <pthread.h>

TestSuite(scenarios_traffic, .init = make_network, .timeout = 60);

/* ---- send and receive -------------------------------------------------------------------------- */

static void send_and_receive(uint32_t attach, struct sxsk_pool_opts pool, uint32_t count)
{
	struct scenario s = begin(attach, &pool, NULL);
	struct stream there = { .count = count, .length = PACKET_LEN };

	pass(&s.a, &s.b, &there);
	cr_expect_eq(stats_of(s.a.socket).tx_packets, count);
	cr_expect_eq(stats_of(s.b.socket).rx_bytes, (uint64_t)count * PACKET_LEN);
	cr_expect_eq(stats_of(s.b.socket).kernel.rx_dropped, 0);
	finish(&s);
}

SCENARIO(scenarios_traffic, packets_in_frames_of_4096)
{
	send_and_receive(attach, pool_options(), PACKETS);
}

SCENARIO(scenarios_traffic, packets_in_frames_of_2048)
{
	struct sxsk_pool_opts pool = pool_options();

	pool.frame_size = 2048;
	send_and_receive(attach, pool, PACKETS);
}

SCENARIO(scenarios_traffic, single_packet)
{
	send_and_receive(attach, pool_options(), 1);
}

/* ---- headroom ---------------------------------------------------------------------------------- */

SCENARIO(scenarios_traffic, headroom)
{
	struct sxsk_pool_opts pool = pool_options();

	pool.headroom = 128;
	send_and_receive(attach, pool, PACKETS);
	pool.frame_size = 2048;
	pool.headroom = 2048 - 256 - 320 - 128; /* the most */
	send_and_receive(attach, pool, 256);
}

/* ---- both ways --------------------------------------------------------------------------------- */

static void both_ways_at_once(struct scenario *s)
{
	struct stream there = { .count = PACKETS, .length = PACKET_LEN }, back = there;

	while (there.received < PACKETS || back.received < PACKETS) {
		(void)send_batch(&s->a, &there, BATCH);
		(void)send_batch(&s->b, &back, BATCH);
		receive_until(&s->b, &there, there.sent);
		receive_until(&s->a, &back, back.sent);
	}
}

/* And once more on the same interfaces, with the ends and their pools swapped. */
SCENARIO(scenarios_traffic, both_ways_then_swapped)
{
	struct scenario s = begin(attach, NULL, NULL);
	const char *name = s.a.ifname;

	both_ways_at_once(&s);
	close_socket(&s.a);
	close_socket(&s.b);
	s.a.ifname = s.b.ifname;
	s.b.ifname = name;
	reopen_socket(&s.a);
	reopen_socket(&s.b);
	both_ways_at_once(&s);
	finish(&s);
}

/* ---- waiting ----------------------------------------------------------------------------------- */

SCENARIO(scenarios_traffic, wait_before_receiving)
{
	struct scenario s = begin(attach, NULL, NULL);
	struct stream there = { .count = PACKETS, .length = PACKET_LEN };

	while (there.received < PACKETS) {
		(void)send_batch(&s.a, &there, BATCH);
		while (there.received < there.sent) {
			cr_assert_eq(sxsk_socket_wait(s.b.socket, SXSK_WAIT_RX, PATIENCE_MS),
				     SXSK_WAIT_RX, "%s", sxsk_last_error());
			cr_assert_gt(receive_batch(&s.b, &there), 0, "it said so");
		}
	}
	cr_expect_eq(sxsk_socket_wait(s.b.socket, SXSK_WAIT_RX, 20), 0, "no more is to come");
	finish(&s);
}

struct late {
	struct end *from;
	struct sxsk_buf packet;
};

static void *send_late(void *arg)
{
	struct late *late = arg;
	const struct timespec ms50 = { .tv_nsec = 50000000 };

	nanosleep(&ms50, NULL);
	return (void *)(uintptr_t)sxsk_tx_burst(late->from->socket, &late->packet, 1);
}

/* The packet comes when the receiver sleeps. */
SCENARIO(scenarios_traffic, packet_ends_a_wait)
{
	struct scenario s = begin(attach, NULL, NULL);
	struct stream there = { .count = 1, .length = PACKET_LEN };
	struct late late = { .from = &s.a, .packet = make_packet(s.a.pool, 0, PACKET_LEN) };
	pthread_t thread;
	void *sent;

	cr_assert_eq(pthread_create(&thread, NULL, send_late, &late), 0);
	cr_expect_eq(sxsk_socket_wait(s.b.socket, SXSK_WAIT_RX, PATIENCE_MS), SXSK_WAIT_RX);
	pthread_join(thread, &sent);
	cr_assert_eq((uintptr_t)sent, 1);
	receive_until(&s.b, &there, 1);
	cr_assert_eq(sxsk_tx_burst(s.a.socket, NULL, 0), 0);
	finish(&s);
}

SCENARIO(scenarios_traffic, wait_before_sending)
{
	struct scenario s = begin(attach, NULL, NULL);
	struct stream there = { .count = PACKETS, .length = PACKET_LEN };

	while (there.received < PACKETS) {
		cr_assert_eq(sxsk_socket_wait(s.a.socket, SXSK_WAIT_TX, PATIENCE_MS), SXSK_WAIT_TX,
			     "%s", sxsk_last_error());
		cr_assert_gt(send_batch(&s.a, &there, BATCH), 0, "it said so");
		receive_until(&s.b, &there, there.sent);
	}
	finish(&s);
}

/* The kernel takes nothing from the TX ring of an interface that is down. */
SCENARIO(scenarios_traffic, wait_with_a_full_tx_ring)
{
	struct sxsk_socket_opts opts = socket_options(attach);
	struct scenario s;
	struct stream there = { .count = 192, .length = PACKET_LEN };

	opts.tx_size = 64;
	s = begin(attach, NULL, &opts);
	run("ip link set v0 down");
	cr_assert_eq(send_batch(&s.a, &there, BATCH), 64);
	cr_assert_eq(send_batch(&s.a, &there, BATCH), 0, "the ring is full");
	cr_expect_eq(sxsk_socket_wait(s.a.socket, SXSK_WAIT_TX, 300), -ENETDOWN,
		     "there is no room, and why");
	run("ip link set v0 up");
	cr_assert_eq(sxsk_socket_wait(s.a.socket, SXSK_WAIT_TX, PATIENCE_MS), SXSK_WAIT_TX);
	cr_assert_eq(send_batch(&s.a, &there, BATCH), 64);
	receive_until(&s.b, &there, there.sent);
	pass(&s.a, &s.b, &there);
	finish(&s);
}

/* ---- ring sizes -------------------------------------------------------------------------------- */

static struct sxsk_socket_opts rings_of(uint32_t attach, uint32_t size)
{
	struct sxsk_socket_opts opts = socket_options(attach);

	opts.rx_size = opts.tx_size = opts.fill_size = opts.comp_size = size;
	return opts;
}

static void rings(uint32_t attach, uint32_t size, uint32_t count, unsigned batch)
{
	const struct sxsk_socket_opts opts = rings_of(attach, size);
	struct scenario s = begin(attach, NULL, &opts);
	struct stream there = { .count = count, .length = PACKET_LEN, .batch = batch },
		      back = there;

	pass(&s.a, &s.b, &there);
	pass(&s.b, &s.a, &back);
	finish(&s);
}

SCENARIO(scenarios_traffic, smallest_rings)
{
	rings(attach, 1, 256, 1);
	rings(attach, 2, 256, 2);
}

SCENARIO(scenarios_traffic, largest_rings)
{
	struct sxsk_socket_opts opts = rings_of(attach, 65537);
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_socket *socket;

	rings(attach, 65536, PACKETS, BATCH);
	cr_expect_eq(sxsk_socket_open(&socket, pool, "v0", 0, &opts), -EINVAL);
	sxsk_pool_unref(pool);
}

/* ---- teardown ---------------------------------------------------------------------------------- */

/* Packets are in rings of both ends, some received and some not, when one closes and then the other. */
SCENARIO(scenarios_traffic, teardown_under_traffic_ten_times)
{
	struct scenario s = begin(attach, NULL, NULL);
	struct end *first, *last;

	for (int round = 0; round < 10; round++) {
		struct stream there = { .count = PACKETS, .length = PACKET_LEN, .batch = 16 };
		struct stream back = there, more = there;

		(void)send_batch(&s.a, &there, BATCH);
		(void)send_batch(&s.b, &back, BATCH);
		receive_until(&s.b, &there, 32);
		receive_until(&s.a, &back, 16);
		first = round % 2 ? &s.a : &s.b;
		last = round % 2 ? &s.b : &s.a;
		close_socket(first);
		(void)send_batch(last, &more, BATCH);
		close_socket(last);
		settle(&s.a);
		settle(&s.b);
		reopen_socket(&s.a);
		reopen_socket(&s.b);
		there = (struct stream){ .count = 256, .length = PACKET_LEN };
		pass(&s.a, &s.b, &there);
	}
	finish(&s);
}
