/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The in-process device does what the kernel does. The figures in the tests of sending were read off
 * Linux 6.18.44 over veth: return value of sendto(2), indices, completions, XDP_STATISTICS.
 */
#include "raw_mem.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define MORE XDP_PKT_CONTD

/* ---- sending ---------------------------------------------------------------------------------------- */

Test(mem, sending_without_other_end_completes)
{
	struct raw *a = raw_open("mem:alone", 0);

	cr_assert_eq(kick(a), 0);
	cr_assert_eq(stats(a).tx_ring_empty_descs, 1);
	put_many(a, 2, 0);
	cr_assert_eq(kick(a), 0);
	cr_assert_eq(tx_taken(a), 2);
	expect_comp(a, 0, 1);
	cr_assert_eq(stats(a).tx_ring_empty_descs, 2);
	raw_close(a);
}

Test(mem, invalid_descriptor_ends_the_batch_and_comes_back)
{
	struct raw *a = raw_open("mem:invalid", 0);

	put(a, 0, 60, 0);
	put(a, 1 * CHUNK, 0, 0);
	put(a, 2 * CHUNK, 60, 0);
	cr_assert_eq(kick(a), 0);
	cr_assert_eq(tx_taken(a), 2);
	expect_comp(a, 0, 1);
	cr_assert_eq(stats(a).tx_invalid_descs, 1);
	cr_assert_eq(stats(a).tx_ring_empty_descs, 0);
	cr_assert_eq(kick(a), 0);
	cr_assert_eq(tx_taken(a), 3);
	expect_comp(a, 2);
	cr_assert_eq(stats(a).tx_invalid_descs, 1);
	raw_close(a);
}

Test(mem, what_makes_a_descriptor_invalid)
{
	static const struct {
		struct xdp_desc d;
		uint32_t invalid;
	} cases[] = {
		{ { .addr = 0, .len = 0 }, 1 },
		{ { .addr = 0, .len = CHUNK }, 0 },
		{ { .addr = 0, .len = CHUNK + 1 }, 1 },
		{ { .addr = 0, .len = UINT32_MAX }, 1 },
		{ { .addr = CHUNK - 60, .len = 60 }, 0 },
		{ { .addr = CHUNK - 59, .len = 60 }, 1 },
		{ { .addr = (uint64_t)CHUNKS * CHUNK - 60, .len = 60 }, 0 },
		{ { .addr = (uint64_t)CHUNKS * CHUNK, .len = 60 }, 1 },
		{ { .addr = UINT64_MAX, .len = 60 }, 1 },
		{ { .addr = 1ull << 48, .len = 60 }, 1 },
		{ { .addr = 0, .len = 60, .options = 4 }, 1 },
		{ { .addr = 0, .len = 60, .options = 1u << 31 }, 1 },
		{ { .addr = 0, .len = 0, .options = XDP_TX_METADATA }, 1 },
	};
	struct raw *a = raw_open("mem:cases", 0);

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t before = stats(a).tx_invalid_descs, addr;

		put(a, cases[i].d.addr, cases[i].d.len, cases[i].d.options);
		cr_assert_eq(kick(a), 0);
		cr_assert_eq(stats(a).tx_invalid_descs - before, cases[i].invalid, "case %u", i);
		cr_assert(take_comp(a, &addr));
		cr_assert_eq(addr, cases[i].d.addr,
			     "case %u: the address comes back as it was given", i);
		cr_assert_eq(count_comp(a), 0);
	}
	raw_close(a);
}

Test(mem, budget_is_32_descriptors_a_kick)
{
	struct raw *a = raw_open("mem:budget", 0);

	put_many(a, 33, 0);
	cr_assert_eq(kick(a), -EAGAIN);
	cr_assert_eq(tx_taken(a), 32);
	cr_assert_eq(count_comp(a), 32);
	cr_assert_eq(kick(a), 0);
	cr_assert_eq(count_comp(a), 1);
	put_many(a, 32, 0);
	cr_assert_eq(kick(a), 0);
	cr_assert_eq(count_comp(a), 32);
	/* The budget is looked at for valid descriptors only. */
	put_many(a, 32, 0);
	put(a, 33 * CHUNK, 0, 0);
	put(a, 34 * CHUNK, 60, 0);
	cr_assert_eq(kick(a), 0);
	cr_assert_eq(count_comp(a), 33);
	cr_assert_eq(kick(a), 0);
	cr_assert_eq(count_comp(a), 1);
	raw_close(a);
}

Test(mem, full_completion_ring_says_again)
{
	struct raw *a = raw_open_sized("mem:full", 0, (const uint32_t[4]){ 64, 64, 64, 4 });

	put_many(a, 6, 0);
	cr_assert_eq(kick(a), -EAGAIN);
	cr_assert_eq(kick(a), -EAGAIN);
	cr_assert_eq(tx_taken(a), 4);
	expect_comp(a, 0, 1, 2, 3);
	cr_assert_eq(kick(a), 0);
	expect_comp(a, 4, 5);
	put_many(a, 4, 0);
	put(a, 9 * CHUNK, 0, 0);
	cr_assert_eq(kick(a), -EAGAIN);
	cr_assert_eq(stats(a).tx_invalid_descs, 0, "no room to say so");
	expect_comp(a, 0, 1, 2, 3);
	cr_assert_eq(kick(a), 0);
	cr_assert_eq(stats(a).tx_invalid_descs, 1);
	expect_comp(a, 9);
	/* What is held of a packet has its room reserved. */
	put_many(a, 5, MORE);
	put(a, 6 * CHUNK, 60, 0);
	cr_assert_eq(kick(a), -EAGAIN);
	cr_assert_eq(kick(a), -EAGAIN);
	cr_assert_eq(count_comp(a), 0);
	raw_close(a);
}

Test(mem, packet_under_14_bytes_is_dropped_with_busy)
{
	struct raw *a = raw_open("mem:short", 0), *b = raw_open("mem:short", 0);

	give(b, 0);
	put(a, 6 * CHUNK, 13, 0);
	put(a, 7 * CHUNK, 14, 0);
	cr_assert_eq(kick(a), -EBUSY);
	cr_assert_eq(tx_taken(a), 1);
	expect_comp(a, 6);
	cr_assert_eq(kick(a), 0);
	expect_comp(a, 7);
	cr_assert_eq(count_rx(b), 1);
	put(a, 0, 7, MORE);
	put(a, CHUNK, 6, 0);
	cr_assert_eq(kick(a), -EBUSY);
	expect_comp(a, 0, 1);
	cr_assert_eq(stats(a).tx_invalid_descs, 0);
	raw_close(a);
	raw_close(b);
}

Test(mem, metadata_without_registration_completes_and_stays)
{
	struct raw *a = raw_open("mem:metadata", 0);

	put(a, 10 * CHUNK, 60, XDP_TX_METADATA);
	cr_assert_eq(kick(a), -EINVAL);
	cr_assert_eq(kick(a), -EINVAL);
	cr_assert_eq(tx_taken(a), 0);
	expect_comp(a, 10, 10);
	raw_close(a);
}

Test(mem, overrun_of_the_producer_sends_stale_slots_and_stays_in_the_ring)
{
	struct raw *a = raw_open_sized("mem:overrun", 0, (const uint32_t[4]){ 4, 4, 4, 64 });

	put_many(a, 4, 0);
	__atomic_store_n(a->s.tx_ring.producer, 10, __ATOMIC_RELEASE);
	cr_assert_eq(kick(a), 0);
	expect_comp(a, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1);
	raw_close(a);
}

Test(mem, tx_asks_for_wake_ups_and_fill_does_not)
{
	struct raw *a = raw_open("mem:wakeup", 0);

	cr_assert(xsk_ring_prod__needs_wakeup(&a->s.tx_ring));
	cr_assert_not(xsk_ring_prod__needs_wakeup(&a->q.fill));
	cr_assert_eq(a->s.device->kick_rx(&a->s), 0);
	raw_close(a);
}

/* ---- packets of several descriptors ----------------------------------------------------------------- */

Test(mem, partial_packet_is_held_until_its_end)
{
	struct raw *a = raw_open("mem:partial", 0);

	put(a, 8 * CHUNK, 60, MORE);
	cr_assert_eq(kick(a), 0);
	cr_assert_eq(tx_taken(a), 1);
	cr_assert_eq(count_comp(a), 0);
	put(a, 9 * CHUNK, 60, 0);
	cr_assert_eq(kick(a), 0);
	expect_comp(a, 8, 9);
	cr_assert_eq(stats(a).tx_invalid_descs, 0);
	raw_close(a);
}

Test(mem, invalid_fragment_takes_its_packet_with_it)
{
	struct raw *a = raw_open("mem:fragment", 0);

	put(a, 0, 60, MORE);
	put(a, 1 * CHUNK, 0, MORE);
	put(a, 2 * CHUNK, 60, MORE);
	put(a, 3 * CHUNK, 60, 0);
	put(a, 4 * CHUNK, 60, 0);
	cr_assert_eq(kick(a), 0);
	expect_comp(a, 0, 1);
	cr_assert_eq(stats(a).tx_invalid_descs, 2);
	cr_assert_eq(kick(a), 0);
	expect_comp(a, 2, 3, 4);
	cr_assert_eq(stats(a).tx_invalid_descs, 4);
	/* An invalid last fragment ends it. */
	put(a, 0, 60, MORE);
	put(a, 1 * CHUNK, 0, 0);
	put(a, 2 * CHUNK, 60, 0);
	cr_assert_eq(kick(a), 0);
	cr_assert_eq(kick(a), 0);
	expect_comp(a, 0, 1, 2);
	cr_assert_eq(stats(a).tx_invalid_descs, 6);
	raw_close(a);
}

Test(mem, more_than_18_fragments_are_dropped_to_the_packets_end)
{
	struct raw *a = raw_open("mem:fragments", SXSK_SOCKET_MULTI_BUFFER);
	struct raw *b = raw_open("mem:fragments", SXSK_SOCKET_MULTI_BUFFER);

	for (unsigned i = 0; i < 3; i++)
		give(b, i * CHUNK);
	put_many(a, 17, MORE);
	put(a, 17 * CHUNK, 60, 0);
	cr_assert_eq(kick(a), 0);
	cr_assert_eq(count_comp(a), 18);
	cr_assert_eq(stats(a).tx_invalid_descs, 0);
	cr_assert_eq(count_rx(b), 1, "18 x 60 bytes fit in one frame");
	put_many(a, 25, MORE);
	put(a, 25 * CHUNK, 60, 0);
	cr_assert_eq(kick(a), 0);
	cr_assert_eq(count_comp(a), 26);
	cr_assert_eq(stats(a).tx_invalid_descs, 26);
	put_many(a, 18, MORE);
	cr_assert_eq(kick(a), 0);
	cr_assert_eq(count_comp(a), 18);
	put(a, 18 * CHUNK, 60, 0);
	cr_assert_eq(kick(a), 0);
	cr_assert_eq(count_comp(a), 1);
	cr_assert_eq(stats(a).tx_invalid_descs, 26 + 19);
	cr_assert_eq(count_rx(b), 0);
	raw_close(a);
	raw_close(b);
}

Test(mem, long_packet_arrives_in_several_frames)
{
	struct raw *a = raw_open("mem:jumbo", 0),
		   *b = raw_open("mem:jumbo", SXSK_SOCKET_MULTI_BUFFER);
	const uint32_t size = CHUNK - DATA;
	struct xdp_desc d;
	uint32_t at = 0;

	for (unsigned i = 0; i < 3 * CHUNK; i++)
		a->pool.base[i] = (unsigned char)(i * 7 + i / 256);
	for (unsigned i = 0; i < 4; i++)
		give(b, (10 + i) * CHUNK);
	put(a, 0, CHUNK, MORE);
	put(a, CHUNK, CHUNK, MORE);
	put(a, 2 * CHUNK, 100, 0);
	cr_assert_eq(kick(a), 0);
	for (unsigned i = 0; i < 3; i++) {
		cr_assert(take_rx(b, &d));
		cr_assert_eq(d.addr, (10 + i) * CHUNK + DATA);
		cr_assert_eq(d.len, i < 2 ? size : 2 * CHUNK + 100 - 2 * size);
		cr_assert_eq(d.options, i < 2 ? MORE : 0);
		cr_assert_eq(memcmp(b->pool.base + d.addr, a->pool.base + at, d.len), 0);
		at += d.len;
	}
	cr_assert_not(take_rx(b, &d));
	raw_close(a);
	raw_close(b);
}

Test(mem, long_packet_comes_whole_or_not_at_all)
{
	struct raw *a = raw_open("mem:whole", 0);
	struct raw *b = raw_open_sized("mem:whole", SXSK_SOCKET_MULTI_BUFFER,
				       (const uint32_t[4]){ 2, 64, 64, 64 });
	struct sxsk_kernel_stats st;

	/* Three frames are needed; the kernel asks FILL first, then RX, before it takes any. */
	for (unsigned i = 0; i < 3; i++) {
		st = stats(b);
		cr_assert_eq(st.rx_dropped, i);
		cr_assert_eq(st.rx_fill_ring_empty_descs, i ? 1 : 0,
			     "only when FILL has none at all");
		put(a, 0, CHUNK, MORE);
		put(a, CHUNK, CHUNK, 0);
		cr_assert_eq(kick(a), 0);
		give(b, i * CHUNK);
	}
	put(a, 0, CHUNK, MORE);
	put(a, CHUNK, CHUNK, 0);
	cr_assert_eq(kick(a), 0);
	st = stats(b);
	cr_assert_eq(st.rx_dropped, 3);
	cr_assert_eq(st.rx_ring_full, 1);
	cr_assert_eq(*b->q.fill.consumer, 0);
	cr_assert_eq(count_rx(b), 0);
	raw_close(a);
	raw_close(b);
}

Test(mem, frames_of_a_packet_that_failed_are_used_for_the_next)
{
	struct raw *a = raw_open("mem:spare", 0),
		   *b = raw_open("mem:spare", SXSK_SOCKET_MULTI_BUFFER);
	struct xdp_desc d;

	/* FILL looks long enough for three frames, but the third address is bad. */
	give(b, 8 * CHUNK);
	give(b, 9 * CHUNK);
	give(b, UINT64_MAX);
	put(a, 0, CHUNK, MORE);
	put(a, CHUNK, CHUNK, 0);
	cr_assert_eq(kick(a), 0);
	cr_assert_eq(stats(b).rx_dropped, 1);
	cr_assert_eq(count_rx(b), 0);
	put(a, 0, CHUNK, 0);
	cr_assert_eq(kick(a), 0);
	for (unsigned i = 0; i < 2; i++) {
		cr_assert(take_rx(b, &d));
		cr_assert_eq(d.addr, (8 + i) * CHUNK + DATA);
	}
	cr_assert_eq(stats(b).rx_dropped, 1);
	cr_assert_eq(stats(b).rx_fill_ring_empty_descs, 1, "FILL was not needed");
	raw_close(a);
	raw_close(b);
}

/* ---- receiving -------------------------------------------------------------------------------------- */

Test(mem, cable_carries_bytes_both_ways)
{
	struct raw *a = raw_open("mem:bytes", 0), *b = raw_open("mem:bytes", 0);
	struct raw *const from[] = { a, b }, *const to[] = { b, a };
	struct xdp_desc d;

	b->pool.headroom = 128;
	for (uint32_t i = 0; i < 1000; i++) {
		struct raw *x = from[i % 2], *y = to[i % 2];
		uint64_t out = (i % 32) * CHUNK + i % 200, in = (32 + i % 32) * CHUNK;
		uint32_t len = 14 + i % 1400;

		for (uint32_t k = 0; k < len; k++)
			x->pool.base[out + k] = (unsigned char)(i + k * k);
		give(y, in + i % CHUNK); /* the low bits are masked */
		put(x, out, len, 0);
		cr_assert_eq(kick(x), 0);
		cr_assert(take_rx(y, &d));
		cr_assert_eq(d.addr, in + DATA + y->pool.headroom);
		cr_assert_eq(d.len, len);
		cr_assert_eq(d.options, 0);
		cr_assert_eq(memcmp(y->pool.base + d.addr, x->pool.base + out, len), 0);
		cr_assert_eq(count_comp(x), 1);
	}
	cr_assert_eq(stats(a).rx_dropped + stats(b).rx_dropped, 0);
	raw_close(a);
	raw_close(b);
}

Test(mem, nothing_is_delivered_before_bind_nor_after_unsteer)
{
	struct raw *a = raw_open("mem:bind", 0), *b;

	cr_assert_eq(raw_try_open(&b, "mem:bind", 0, (const uint32_t[4]){ 64, 64, 64, 64 }), 0);
	cr_assert_eq(kick(b), -ENXIO);
	give(b, 0);
	give(b, CHUNK);
	put(a, 0, 60, 0);
	cr_assert_eq(kick(a), 0);
	expect_comp(a, 0);
	cr_assert_eq(count_rx(b), 0);
	cr_assert_eq(b->s.device->bind(&b->s, NULL), 0);
	put(a, 0, 60, 0);
	cr_assert_eq(kick(a), 0);
	cr_assert_eq(count_rx(b), 1);
	b->s.device->unsteer(&b->s);
	put(a, 0, 60, 0);
	cr_assert_eq(kick(a), 0);
	cr_assert_eq(count_rx(b), 0);
	cr_assert_eq(stats(b).rx_dropped, 0);
	raw_close(a);
	raw_close(b);
}

Test(mem, send_only_socket_receives_nothing_and_counts_nothing)
{
	struct raw *a = raw_open("mem:norx", 0), *b = raw_open("mem:norx", SXSK_SOCKET_NO_RX);

	put(a, 0, 60, 0);
	cr_assert_eq(kick(a), 0);
	expect_comp(a, 0);
	cr_assert_eq(stats(b).rx_dropped, 0);
	raw_close(a);
	raw_close(b);
}

Test(mem, empty_fill_drops_and_counts_twice)
{
	struct raw *a = raw_open("mem:hungry", 0), *b = raw_open("mem:hungry", 0);

	give(b, 0);
	put_many(a, 3, 0);
	cr_assert_eq(kick(a), 0);
	cr_assert_eq(count_comp(a), 3);
	cr_assert_eq(count_rx(b), 1);
	cr_assert_eq(stats(b).rx_dropped, 2);
	cr_assert_eq(stats(b).rx_fill_ring_empty_descs, 2);
	cr_assert_eq(stats(b).rx_ring_full, 0);
	cr_assert_eq(stats(a).rx_dropped, 0);
	raw_close(a);
	raw_close(b);
}

Test(mem, full_rx_ring_keeps_one_frame_for_the_next_packet)
{
	struct raw *a = raw_open("mem:rxfull", 0);
	struct raw *b = raw_open_sized("mem:rxfull", 0, (const uint32_t[4]){ 2, 64, 64, 64 });
	struct xdp_desc d;

	for (unsigned i = 0; i < 8; i++)
		give(b, i * CHUNK);
	put_many(a, 5, 0);
	cr_assert_eq(kick(a), 0);
	cr_assert_eq(stats(b).rx_ring_full, 3);
	cr_assert_eq(stats(b).rx_dropped, 0);
	cr_assert_eq(*b->q.fill.consumer, 3);
	cr_assert_eq(count_rx(b), 2);
	put_many(a, 1, 0);
	cr_assert_eq(kick(a), 0);
	cr_assert(take_rx(b, &d));
	cr_assert_eq(d.addr, 2 * CHUNK + DATA, "the frame that was kept");
	cr_assert_eq(*b->q.fill.consumer, 3);
	raw_close(a);
	raw_close(b);
}

Test(mem, too_long_for_one_frame_is_dropped)
{
	struct raw *a = raw_open("mem:long", 0), *b = raw_open("mem:long", 0);

	for (unsigned i = 0; i < 4; i++)
		give(b, i * CHUNK);
	put(a, 0, CHUNK - DATA + 1, 0);
	put(a, 0, CHUNK - DATA, 0);
	cr_assert_eq(kick(a), 0);
	cr_assert_eq(count_comp(a), 2);
	cr_assert_eq(stats(b).rx_dropped, 1);
	cr_assert_eq(count_rx(b), 1);
	b->pool.headroom = 64;
	put(a, 0, CHUNK - DATA - 63, 0);
	put(a, 0, CHUNK - DATA - 64, 0);
	cr_assert_eq(kick(a), 0);
	cr_assert_eq(stats(b).rx_dropped, 2);
	cr_assert_eq(count_rx(b), 1);
	cr_assert_eq(*b->q.fill.consumer, 2);
	raw_close(a);
	raw_close(b);
}

Test(mem, bad_fill_address_vanishes_uncounted)
{
	struct raw *a = raw_open("mem:badfill", 0), *b = raw_open("mem:badfill", 0);
	const uint64_t bad[] = { (uint64_t)CHUNKS * CHUNK, UINT64_MAX, 1ull << 48 };
	struct xdp_desc d;

	for (unsigned i = 0; i < 3; i++)
		give(b, bad[i]);
	give(b, 5 * CHUNK);
	put_many(a, 1, 0);
	cr_assert_eq(kick(a), 0);
	cr_assert(take_rx(b, &d));
	cr_assert_eq(d.addr, 5 * CHUNK + DATA);
	cr_assert_eq(*b->q.fill.consumer, 4);
	cr_assert_eq(stats(b).rx_invalid_descs, 0);
	cr_assert_eq(stats(b).rx_dropped, 0);
	/* A wild producer index over bad addresses comes to an end. */
	for (unsigned i = 0; i < 64; i++)
		*xsk_ring_prod__fill_addr(&b->q.fill, i) = UINT64_MAX;
	__atomic_store_n(b->q.fill.producer, 0xfffffff0u, __ATOMIC_RELEASE);
	put_many(a, 1, 0);
	cr_assert_eq(kick(a), 0);
	cr_assert_eq(stats(b).rx_dropped, 1);
	raw_close(a);
	raw_close(b);
}

Test(mem, both_sockets_become_readable)
{
	struct raw *a = raw_open("mem:poll", 0), *b = raw_open("mem:poll", 0);
	struct pollfd p[2] = { { .fd = a->s.fd, .events = POLLIN },
			       { .fd = b->s.fd, .events = POLLIN } };

	cr_assert_eq(kick(a), 0);
	cr_assert_eq(poll(p, 2, 0), 0, "nothing happened");
	give(b, 0);
	put_many(a, 1, 0);
	cr_assert_eq(kick(a), 0);
	cr_assert_eq(poll(p, 2, 0), 2, "a completion here, a packet there");
	raw_close(a);
	raw_close(b);
}

/* ---- the device ------------------------------------------------------------------------------------- */

Test(mem, third_end_is_refused_and_queues_are_separate)
{
	const uint32_t size[4] = { 2, 2, 2, 2 };
	struct raw *a = raw_open("mem:two", 0), *b = raw_open("mem:two", 0), *c;
	struct sxsk_priv_device_id id;
	uint32_t mtu;

	cr_assert_eq(raw_try_open(&c, "mem:two", 0, size), -EBUSY);
	cr_assert(strstr(sxsk_last_error(), "mem:two queue 0: a cable has two ends"), "%s",
		  sxsk_last_error());
	cr_assert_eq(sxsk_priv_device_mem.identify("mem:two", 1, &id, &mtu), 0);
	cr_assert_eq(raw_try_open(&c, "mem:tw", 0, size), 0, "another name");
	raw_close(c);
	raw_close(b);
	b = raw_open("mem:two", 0);
	raw_close(a);
	raw_close(b);
}

Test(mem, names)
{
	static const char *const bad[] = {
		"mem:", "mem", "veth0", "",
		"mem:123456789012345678901234567890123456789012345678901234567890"
	};
	struct sxsk_priv_device_id id;
	uint32_t mtu;

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		cr_assert_eq(sxsk_priv_device_mem.identify(bad[i], 0, &id, &mtu), -EINVAL);
		cr_assert(strstr(sxsk_last_error(), "mem:"), "%s", sxsk_last_error());
		cr_assert_eq(sxsk_mem_set_link(bad[i], false), -EINVAL);
		cr_assert_eq(sxsk_mem_remove(bad[i]), -EINVAL);
	}
	cr_assert_eq(sxsk_mem_remove(NULL), -EINVAL);
	cr_assert_eq(sxsk_mem_set_link("mem:nobody", false), -ENODEV);
	cr_assert_eq(sxsk_mem_remove("mem:nobody"), -ENODEV);
	raw_close(raw_open("mem:12345678901234567890123456789012345678901234567890123456789", 0));
}

Test(mem, zero_copy_is_refused)
{
	struct raw *a;

	cr_assert_eq(raw_try_open(&a, "mem:zc", 0, (const uint32_t[4]){ 2, 2, 2, 2 }), 0);
	a->s.mode = SXSK_MODE_ZEROCOPY;
	cr_assert_eq(a->s.device->bind(&a->s, NULL), -EOPNOTSUPP);
	cr_assert(strstr(sxsk_last_error(), "zero-copy"));
	a->s.mode = SXSK_MODE_AUTO;
	cr_assert_eq(a->s.device->bind(&a->s, NULL), 0);
	cr_assert_eq(a->s.mode, SXSK_MODE_COPY);
	cr_assert_eq(a->s.attach, SXSK_ATTACH_NONE);
	raw_close(a);
}

Test(mem, end_keeps_its_identity_while_the_cable_lives)
{
	struct raw *a = raw_open("mem:identity", 0), *b = raw_open("mem:identity", 0);
	const struct sxsk_priv_device *dev = &sxsk_priv_device_mem;
	struct sxsk_priv_device_id ida = a->q.device, idb = b->q.device;

	cr_assert_neq(ida.netns, idb.netns);
	cr_assert_eq(ida.ifindex, 0);
	cr_assert_str_eq(ida.name, "mem:identity");
	raw_close(b);
	cr_assert_not(dev->gone(&ida));
	cr_assert_not(dev->gone(&idb), "it may come back");
	b = raw_open("mem:identity", 0);
	cr_assert_eq(memcmp(&b->q.device, &idb, sizeof(idb)), 0);
	raw_close(a);
	a = raw_open("mem:identity", 0);
	cr_assert_eq(memcmp(&a->q.device, &ida, sizeof(ida)), 0);
	raw_close(a);
	raw_close(b);
	cr_assert(dev->gone(&ida));
	cr_assert(dev->gone(&idb));
	a = raw_open("mem:identity", 0);
	cr_assert(dev->gone(&ida) && dev->gone(&idb), "a new device of the old name");
	cr_assert_neq(a->q.device.netns, ida.netns);
	raw_close(a);
}

/* Two threads that open the two ends at once both look before either opens. */
Test(mem, two_opens_at_once_get_the_two_ends)
{
	struct sxsk_priv_device_id id[2];
	struct raw *r[2];
	uint32_t mtu;

	cr_assert_eq(sxsk_priv_device_mem.identify("mem:race", 0, &id[0], &mtu), 0);
	cr_assert_eq(sxsk_priv_device_mem.identify("mem:race", 0, &id[1], &mtu), 0);
	cr_assert_neq(id[0].netns, id[1].netns);
	for (unsigned i = 0; i < 2; i++) {
		r[i] = raw_open("mem:elsewhere", 0);
		r[i]->s.device->close(&r[i]->s);
		r[i]->q.device = id[i];
		cr_assert_eq(r[i]->s.device->open(&r[i]->s, NULL), 0);
		cr_assert_eq(r[i]->s.device->bind(&r[i]->s, NULL), 0);
	}
	give(r[1], 0);
	put(r[0], 0, 60, 0);
	cr_assert_eq(kick(r[0]), 0);
	cr_assert_eq(count_rx(r[1]), 1);
	raw_close(r[0]);
	raw_close(r[1]);
}

Test(mem, link_down_stops_everything_and_wakes)
{
	struct raw *a = raw_open("mem:link", 0), *b = raw_open("mem:link", 0);
	struct pollfd p[2] = { { .fd = a->s.fd, .events = POLLIN },
			       { .fd = b->s.fd, .events = POLLIN } };

	give(b, 0);
	put(a, 0, 60, 0);
	cr_assert_eq(sxsk_mem_set_link("mem:link", false), 0);
	cr_assert_eq(poll(p, 2, 0), 2);
	cr_assert_eq(kick(a), -ENETDOWN);
	cr_assert(strstr(sxsk_last_error(), "mem:link: interface is down"), "%s",
		  sxsk_last_error());
	cr_assert_eq(a->s.device->error(&a->s), -ENETDOWN);
	cr_assert_eq(b->s.device->error(&b->s), -ENETDOWN);
	cr_assert_eq(tx_taken(a), 0, "nothing is consumed");
	cr_assert_eq(count_comp(a), 0);
	cr_assert_eq(sxsk_mem_set_link("mem:link", true), 0);
	cr_assert_eq(a->s.device->error(&a->s), 0);
	cr_assert_eq(kick(a), 0);
	cr_assert_eq(count_rx(b), 1);
	raw_close(a);
	raw_close(b);
}

Test(mem, new_queue_of_a_device_that_is_down_is_down)
{
	struct raw *a = raw_open("mem:queues", 0), *b = raw_open("mem:elsewhere", 0);

	b->s.device->close(&b->s);
	cr_assert_eq(sxsk_mem_set_link("mem:queues", false), 0);
	cr_assert_eq(b->s.device->identify("mem:queues", 1, &b->q.device, &b->s.mtu), 0);
	cr_assert_eq(b->s.device->open(&b->s, NULL), 0);
	cr_assert_eq(b->s.device->error(&b->s), -ENETDOWN);
	cr_assert_eq(sxsk_mem_set_link("mem:queues", true), 0);
	cr_assert_eq(a->s.device->error(&a->s), 0);
	cr_assert_eq(b->s.device->error(&b->s), 0);
	raw_close(a);
	raw_close(b);
}

Test(mem, removed_device_is_an_error_for_good_and_its_name_is_free)
{
	struct raw *a = raw_open("mem:removed", 0), *b = raw_open("mem:removed", 0), *c, *d;
	struct pollfd p[2] = { { .fd = a->s.fd, .events = POLLIN },
			       { .fd = b->s.fd, .events = POLLIN } };

	put(a, 0, 60, 0);
	cr_assert_eq(sxsk_mem_remove("mem:removed"), 0);
	cr_assert_eq(poll(p, 2, 0), 2);
	cr_assert_eq(kick(a), -ENXIO);
	cr_assert_eq(a->s.device->error(&a->s), -ENXIO);
	cr_assert_eq(b->s.device->error(&b->s), -ENXIO);
	cr_assert(a->s.device->gone(&a->q.device));
	cr_assert_eq(sxsk_mem_set_link("mem:removed", true), -ENODEV);
	cr_assert_eq(sxsk_mem_remove("mem:removed"), -ENODEV);
	c = raw_open("mem:removed", 0);
	d = raw_open("mem:removed", 0);
	give(d, 0);
	put(c, 0, 60, 0);
	cr_assert_eq(kick(c), 0);
	cr_assert_eq(count_rx(d), 1);
	cr_assert_eq(count_rx(b), 0);
	cr_assert_eq(a->s.device->error(&a->s), -ENXIO);
	raw_close(a);
	raw_close(b);
	cr_assert_not(c->s.device->gone(&c->q.device));
	raw_close(c);
	raw_close(d);
}

Test(mem, closed_end_is_left_alone)
{
	struct raw *a = raw_open("mem:closed", 0), *b = raw_open("mem:closed", 0);

	give(b, 0);
	raw_close(b);
	put(a, 0, 60, 0);
	cr_assert_eq(kick(a), 0);
	expect_comp(a, 0);
	b = raw_open("mem:closed", 0);
	cr_assert_eq(stats(b).rx_dropped, 0);
	give(b, CHUNK);
	put(a, 0, 60, 0);
	cr_assert_eq(kick(a), 0);
	cr_assert_eq(count_rx(b), 1);
	raw_close(a);
	raw_close(b);
}

Test(mem, reopened_end_starts_afresh)
{
	struct raw *a = raw_open("mem:afresh", 0), *b = raw_open("mem:afresh", 0);

	put(a, 0, 60, MORE);
	cr_assert_eq(kick(a), 0);
	put(b, 0, 0, 0);
	cr_assert_eq(kick(b), 0);
	cr_assert_eq(stats(b).tx_invalid_descs, 1);
	raw_close(a);
	a = raw_open("mem:afresh", 0);
	put(a, 5 * CHUNK, 60, 0);
	cr_assert_eq(kick(a), 0);
	expect_comp(a, 5);
	raw_close(b);
	b = raw_open("mem:afresh", 0);
	cr_assert_eq(stats(b).tx_invalid_descs, 0);
	raw_close(a);
	raw_close(b);
}

/* A mapping that is not there: mincore(2) says ENOMEM. */
static bool mapped(void *page)
{
	unsigned char resident;

	return mincore(page, 1, &resident) == 0;
}

Test(mem, close_gives_rings_and_descriptor_back)
{
	struct raw *a = raw_open("mem:back", 0);
	void *ring[4];
	int fd = a->s.fd;

	for (unsigned i = 0; i < 4; i++) {
		ring[i] = ring_map_of(&a->s, i)->addr;
		cr_assert(mapped(ring[i]));
	}
	raw_close(a);
	for (unsigned i = 0; i < 4; i++)
		cr_assert_not(mapped(ring[i]));
	cr_assert_eq(fcntl(fd, F_GETFD), -1);
}

Test(mem, forked_child_has_devices_of_its_own)
{
	struct raw *a = raw_open("mem:fork", 0), *b = raw_open("mem:fork", 0);
	int status;
	pid_t child = fork();

	if (child == 0) {
		struct sxsk_priv_device_id id;
		uint32_t mtu;

		_exit(!mapped(a->s.map[0].addr) && sxsk_mem_remove("mem:fork") == -ENODEV &&
				      sxsk_priv_device_mem.identify("mem:fork", 0, &id, &mtu) == 0 ?
			      0 :
			      1);
	}
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_assert_eq(status, 0);
	cr_assert_eq(a->s.device->error(&a->s), 0);
	raw_close(a);
	raw_close(b);
}
