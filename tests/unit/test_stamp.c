/* SPDX-License-Identifier: BSD-2-Clause */
/* Stamped packets, and who sends them at the other end of a mem: cable. */
#include "bytes.h"
#include "support.h"

#include <safexsk/stamp.h>

static const uint32_t lengths[] = { 60, 61, 67, 590, 1514, 9014, 61200, 65549 };
#define LENGTHS (sizeof(lengths) / sizeof(lengths[0]))

static unsigned char data[65549];

/* ---- stamps ------------------------------------------------------------------------------------------------ */

Test(stamp, what_was_written_is_read)
{
	struct sxsk_stamp s;

	for (unsigned i = 0; i < LENGTHS; i++) {
		uint64_t before = sxsk_stamp_clock() & SXSK_STAMP_NS;

		sxsk_stamp_write(data, lengths[i], (uint16_t)(65535 - i), UINT32_MAX - i);
		cr_assert_eq(sxsk_stamp_read(data, lengths[i], &s), 0);
		cr_assert(s.stream == 65535 - i && s.seq == UINT32_MAX - i);
		cr_assert_leq((s.ns - before) & SXSK_STAMP_NS, sxsk_stamp_clock() - before);
	}
}

Test(stamp, any_flipped_bit_is_noticed_but_of_the_mac_addresses)
{
	struct sxsk_stamp s;

	memset(data, 0x5a, 100);
	sxsk_stamp_write(data, 100, 1, 2);
	for (unsigned bit = 0; bit < 8 * 100; bit++) {
		const bool magic = bit / 8 == 82 || bit / 8 == 83;

		data[bit / 8] ^= (unsigned char)(1u << bit % 8);
		cr_assert_eq(sxsk_stamp_read(data, 100, &s),
			     bit < 8 * 12 ? 0 :
			     magic        ? -ENOMSG :
					    -EBADMSG,
			     "bit %u", bit);
		data[bit / 8] ^= (unsigned char)(1u << bit % 8);
	}
	cr_assert_neq(sxsk_stamp_read(data, 99, &s), 0, "cut");
}

Test(stamp, packets_of_others_have_none)
{
	struct sxsk_stamp s;

	memset(data, 0, sizeof(data));
	cr_assert_eq(sxsk_stamp_read(data, 1514, &s), -ENOMSG);
	cr_assert_eq(sxsk_stamp_read(data, 0, &s), -ENOMSG);
}

/* At the end of memory that is the packet's, and under AddressSanitizer. */
Test(stamp, short_packets_are_left_alone)
{
	unsigned char *small = calloc(1, 59);
	struct sxsk_stamp s;

	for (uint32_t len = 0; len < 60; len++) {
		sxsk_stamp_headers(small + 59 - len, len);
		sxsk_stamp_write(small + 59 - len, len, 1, 2);
		cr_assert_eq(sxsk_stamp_read(small + 59 - len, len, &s), -ENOMSG);
	}
	for (unsigned i = 0; i < 59; i++)
		cr_assert_eq(small[i], 0);
	free(small);
}

Test(stamp, headers_say_how_long_the_packet_is)
{
	for (unsigned i = 0; i < LENGTHS; i++) {
		uint32_t sum = 0;

		sxsk_stamp_headers(data, lengths[i]);
		cr_assert_eq(be16(data + 16), lengths[i] - 14, "of IP");
		cr_assert_eq(be16(data + 38), lengths[i] - 34, "of UDP");
		for (unsigned k = 14; k < 34; k += 2)
			sum += be16(data + k);
		cr_assert_eq((sum & 0xffff) + (sum >> 16), 0xffff, "checksum for %u", lengths[i]);
	}
}

/* ---- the peer ---------------------------------------------------------------------------------------------- */

Test(stamp, peer_sends_numbered_packets)
{
	struct sxsk_pool *pool = new_pool(256);
	struct sxsk_socket *socket = new_socket(pool, "mem:p1", 0);
	struct sxsk_mem_peer *peer;
	struct sxsk_buf bufs[64];
	struct sxsk_stamp s;
	uint32_t seq = 0;

	cr_assert_eq(sxsk_mem_peer_open(&peer, "mem:p1", 0, 77), 0);
	cr_assert_eq(sxsk_rx_burst(socket, bufs, 64), 0, "nothing comes by itself");
	for (unsigned n = 1; n <= 16; n++) {
		cr_assert_eq(sxsk_mem_peer_run(peer, n), 0);
		cr_assert_eq(sxsk_rx_burst(socket, bufs, 64), n);
		for (unsigned i = 0; i < n; i++) {
			cr_assert_eq(sxsk_stamp_read(sxsk_buf_data(bufs[i]), sxsk_buf_len(bufs[i]),
						     &s),
				     0);
			cr_assert(s.stream == 77 && s.seq == seq++);
		}
		sxsk_buf_unref_burst(bufs, n);
	}
	sxsk_mem_peer_close(peer);
	close_and_unref(socket, pool);
}

/* More than its frames, and than its rings hold. */
Test(stamp, peer_drops_what_arrives_for_ever)
{
	struct sxsk_pool *pool = new_pool(256);
	struct sxsk_socket *socket = new_socket(pool, "mem:p2", 0);
	struct sxsk_mem_peer *peer;
	unsigned dropped = 0;

	cr_assert_eq(sxsk_mem_peer_open(&peer, "mem:p2", 0, 0), 0);
	for (unsigned i = 0; i < 10000; i++) {
		send_one(socket, packet(pool, 60, 1));
		reap(socket);
		if (i % 100 == 0)
			dropped += sxsk_mem_peer_run(peer, 0);
	}
	dropped += sxsk_mem_peer_run(peer, 0);
	cr_assert_eq(dropped, 10000);
	sxsk_mem_peer_close(peer);
	close_and_unref(socket, pool);
}

/* Also by its end of the cable: somebody else may have it afterwards. */
Test(stamp, peer_leaves_its_end)
{
	struct sxsk_pool *pool = new_pool(256);
	struct sxsk_socket *socket = new_socket(pool, "mem:p3", 0), *other;
	struct sxsk_mem_peer *peer, *second = NULL;

	cr_assert_eq(sxsk_mem_peer_open(&peer, "mem:p3", 0, 0), 0);
	cr_assert_eq(sxsk_mem_peer_open(&second, "mem:p3", 0, 0), -EBUSY);
	cr_assert_null(second);
	sxsk_mem_peer_close(peer);
	other = new_socket(pool, "mem:p3", 0);
	cr_assert_eq(sxsk_mem_peer_open(&second, "mem:p3", 0, 0), -EBUSY);
	sxsk_socket_close(other);
	close_and_unref(socket, pool);
}

Test(stamp, peer_of_nothing_is_refused)
{
	struct sxsk_mem_peer *peer;

	expect_error(EINVAL, "eth0 is not mem:NAME", sxsk_mem_peer_open(&peer, "eth0", 0, 0));
	expect_error(EINVAL, "NULL is not mem:NAME", sxsk_mem_peer_open(&peer, NULL, 0, 0));
	cr_assert_eq(sxsk_mem_peer_open(&peer, "mem:", 0, 0), -EINVAL);
	cr_assert_eq(sxsk_mem_peer_run(NULL, 5), 0);
	sxsk_mem_peer_close(NULL);
	cr_assert_eq(sxsk_misuse_count(), 0);
}
