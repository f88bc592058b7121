/* SPDX-License-Identifier: BSD-2-Clause */
/* Offloads that packets ask for: what is refused, what becomes void, and what arrives. */
#include "support.h"

#include <time.h>

#define META (SXSK_METADATA_TX_CHECKSUM | SXSK_METADATA_TX_TIMESTAMP | SXSK_METADATA_TX_LAUNCH)

static struct sxsk_pool *meta_pool(uint32_t len)
{
	return new_pool_with((struct sxsk_pool_opts){ .frame_count = 256, .tx_metadata_len = len });
}

static struct sxsk_socket *meta_socket(struct sxsk_pool *pool, const char *name, uint32_t metadata,
				       uint32_t flags)
{
	struct sxsk_socket_opts o = { .sz = sizeof(o), .metadata = metadata, .flags = flags };
	struct sxsk_socket *socket;

	cr_assert_eq(sxsk_socket_open(&socket, pool, name, 0, &o), 0, "%s", sxsk_last_error());
	return socket;
}

/* ---- asking -------------------------------------------------------------------------------------------- */

Test(metadata, pool_without_room_for_it_says_so)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_buf b = packet(pool, 60, 1);

	expect_error(EOPNOTSUPP, "tx_metadata_len", sxsk_buf_tx_checksum(&b, 0, 0));
	expect_error(EOPNOTSUPP, "tx_metadata_len", sxsk_buf_tx_timestamp(&b));
	expect_error(EOPNOTSUPP, "tx_metadata_len", sxsk_buf_tx_launch(&b, 1));
	cr_assert_eq(b.flags, 0);
	sxsk_buf_unref(&b);
	sxsk_pool_unref(pool);
}

Test(metadata, each_wrong_request_is_refused)
{
	struct sxsk_pool *pool = meta_pool(24);
	struct sxsk_buf b = packet(pool, 60, 1), null = { 0 }, clone, stale;
	uint64_t ns;

	expect_error(EINVAL, "null handle", sxsk_buf_tx_timestamp(&null));
	expect_error(EINVAL, "null handle", sxsk_buf_tx_time(null, &ns));
	expect_error(EINVAL, "beyond the 60 bytes", sxsk_buf_tx_checksum(&b, 20, 39));
	expect_error(EINVAL, "beyond the 60 bytes", sxsk_buf_tx_checksum(&b, 61, 0));
	expect_error(EINVAL, "beyond", sxsk_buf_tx_checksum(&b, UINT32_MAX, 4));
	expect_error(EINVAL, "beyond", sxsk_buf_tx_checksum(&b, 4, UINT32_MAX));
	cr_assert_eq(sxsk_buf_tx_checksum(&b, 20, 38), 0);
	cr_assert_eq(sxsk_buf_push(&b, 233), 0);
	expect_error(EMSGSIZE, "23 bytes before the data", sxsk_buf_tx_timestamp(&b));
	cr_assert_eq(sxsk_buf_pull(&b, 1), 0);
	cr_assert_eq(sxsk_buf_tx_timestamp(&b), 0);
	expect_error(ENODATA, "not sent", sxsk_buf_tx_time(b, &ns));
	count_misuse();
	clone = sxsk_buf_ref(b);
	expect_misuse(SXSK_MISUSE_SHARED, "sxsk_buf_tx_checksum",
		      cr_assert_eq(sxsk_buf_tx_checksum(&b, 0, 0), -EINVAL));
	sxsk_buf_unref(&clone);
	stale = b;
	sxsk_buf_unref(&b);
	expect_misuse(SXSK_MISUSE_STALE, "sxsk_buf_tx_launch",
		      cr_assert_eq(sxsk_buf_tx_launch(&stale, 1), -EINVAL));
	expect_misuse(SXSK_MISUSE_STALE, "sxsk_buf_tx_time",
		      cr_assert_eq(sxsk_buf_tx_time(stale, &ns), -EINVAL));
	expect_all_home(pool);
	sxsk_pool_unref(pool);
}

/* ---- what reaches the kernel ------------------------------------------------------------------------------ */

struct sender {
	struct sxsk_pool *pool;
	struct sxsk_socket *socket;
	struct sxsk_mem_rings k;
};

static struct sender sender(const char *name, uint32_t len, uint32_t metadata)
{
	struct sender s = { .pool = meta_pool(len) };

	s.socket =
		meta_socket(s.pool, name, metadata, SXSK_SOCKET_NO_RX | SXSK_SOCKET_MULTI_BUFFER);
	s.k = take_rings(s.socket);
	return s;
}

static void expect_dropped(struct sender *s, struct sxsk_buf b)
{
	uint64_t before = socket_stats(s->socket).drop_metadata;

	send_one(s->socket, b);
	cr_assert_eq(*s->k.tx.producer, *s->k.tx.consumer);
	cr_assert_eq(socket_stats(s->socket).drop_metadata, before + 1);
}

static uint64_t request_word(const struct sender *s, uint64_t data, unsigned i)
{
	uint64_t word;

	memcpy(&word, s->k.umem + data + 8 * i, sizeof(word));
	return word;
}

Test(metadata, requests_lie_before_the_data)
{
	for (uint32_t len = 24; len < 256; len += 224) {
		struct sender s = sender("mem:meta1", len, META);
		struct sxsk_buf b = packet(s.pool, 100, 1);
		struct xdp_desc d;

		cr_assert_eq(sxsk_buf_tx_checksum(&b, 34, 16), 0);
		cr_assert_eq(sxsk_buf_tx_launch(&b, 0x123456789abcdefull), 0);
		send_one(s.socket, b);
		d = kernel_take_tx(&s.k);
		cr_assert_eq(d.options, 2);
		cr_assert_eq(request_word(&s, d.addr - len, 0), 2 | 4);
		cr_assert_eq(request_word(&s, d.addr - len, 1), 34 | 16 << 16);
		cr_assert_eq(request_word(&s, d.addr - len, 2), 0x123456789abcdefull);
		kernel_complete(&s.k, d.addr);
		b = packet(s.pool, 100, 1); /* the same frame, perhaps: without a request */
		send_one(s.socket, b);
		d = kernel_take_tx(&s.k);
		cr_assert_eq(d.options, 0);
		kernel_complete(&s.k, d.addr);
		close_and_unref(s.socket, s.pool);
	}
}

Test(metadata, owner_cannot_change_what_was_checked)
{
	struct sender s = sender("mem:meta2", 24, META);
	struct sxsk_buf b = packet(s.pool, 100, 1), header;
	struct xdp_desc d;

	cr_assert_eq(sxsk_buf_tx_checksum(&b, 34, 16), 0);
	header = b;
	cr_assert_eq(sxsk_buf_push(&header, 24), 0);
	memset(sxsk_buf_data_mut(header), 0xff, 24);
	send_one(s.socket, b);
	d = kernel_take_tx(&s.k);
	cr_assert_eq(request_word(&s, d.addr - 24, 0), 2, "written again");
	kernel_complete(&s.k, d.addr);

	b = packet(s.pool, 100, 1);
	cr_assert_eq(sxsk_buf_tx_timestamp(&b), 0);
	header = b;
	cr_assert_eq(sxsk_buf_push(&header, 24), 0);
	memset(sxsk_buf_data_mut(header), 0xff, 24);
	header = sxsk_buf_ref(b); /* shared now: it cannot be written */
	expect_dropped(&s, b);
	sxsk_buf_unref(&header);
	close_and_unref(s.socket, s.pool);
}

Test(metadata, void_requests_drop_their_packet)
{
	struct sender s = sender("mem:meta3", 24, META & ~SXSK_METADATA_TX_LAUNCH);
	struct sxsk_buf b = packet(s.pool, 100, 1), bufs[2];

	cr_assert_eq(sxsk_buf_tx_timestamp(&b), 0);
	cr_assert_eq(sxsk_buf_push(&b, 14), 0); /* another view */
	expect_dropped(&s, b);

	b = packet(s.pool, 100, 1);
	cr_assert_eq(sxsk_buf_tx_checksum(&b, 34, 16), 0);
	cr_assert_eq(sxsk_buf_trim(&b, 51), 0); /* the sum's place is cut off */
	expect_dropped(&s, b);

	b = packet(s.pool, 100, 1);
	cr_assert_eq(sxsk_buf_tx_launch(&b, 1), 0); /* not in the socket's options */
	expect_dropped(&s, b);

	b = packet(s.pool, 100, 1);
	b.flags = SXSK_BUF_TX_METADATA; /* by hand */
	expect_dropped(&s, b);

	for (unsigned i = 0; i < 2; i++)
		bufs[i] = packet(s.pool, 100, 1);
	cr_assert_eq(sxsk_buf_tx_timestamp(&bufs[1]), 0); /* not the packet's first */
	bufs[0].flags = SXSK_BUF_MORE;
	cr_assert_eq(sxsk_tx_burst(s.socket, bufs, 2), 2);
	cr_assert_eq(socket_stats(s.socket).drop_metadata, 5);
	cr_assert_eq(*s.k.tx.producer, 0);
	expect_accounted(s.pool);
	close_and_unref(s.socket, s.pool);
}

/* The kernel looks whether there is room for it in front of every packet of such a pool, asked for or not. */
Test(metadata, packet_without_the_room_is_not_for_the_kernel)
{
	struct sender s = sender("mem:meta10", 248, META);
	struct sxsk_buf bufs[2], shared;

	for (unsigned bad = 0; bad < 2; bad++) {
		bufs[0] = packet(s.pool, 100, 1);
		bufs[1] = packet(s.pool, 100, 1);
		bufs[0].flags = SXSK_BUF_MORE;
		cr_assert_eq(sxsk_buf_push(&bufs[bad], 9), 0);
		cr_assert_eq(sxsk_tx_burst(s.socket, bufs, 2), 2);
		cr_assert_eq(socket_stats(s.socket).drop_metadata, bad + 1);
	}
	bufs[0] = packet(s.pool, 100, 1);
	cr_assert_eq(sxsk_buf_push(&bufs[0], 9), 0);
	shared = sxsk_buf_ref(bufs[0]);
	expect_dropped(&s, shared);
	expect_dropped(&s, bufs[0]);
	cr_assert_eq(*s.k.tx.producer, 0);
	bufs[0] = packet(s.pool, 100, 1);
	cr_assert_eq(sxsk_buf_push(&bufs[0], 8), 0);
	send_one(s.socket, bufs[0]);
	cr_assert_eq(*s.k.tx.producer, 1, "248 bytes are enough");
	close_and_unref(s.socket, s.pool);
}

/* Who is to send it may not touch the frame any more; the library still looks at the request. */
Test(metadata, frame_that_is_shut_when_it_is_sent)
{
	struct sxsk_pool *pool = new_pool_with((struct sxsk_pool_opts){
		.frame_count = 64, .frame_size = 4096, .tx_metadata_len = 24, .harden = "guard" });
	struct sxsk_socket *socket = meta_socket(pool, "mem:meta12", META, 0);
	struct sxsk_buf b = packet(pool, 100, 1);

	cr_assert_eq(sxsk_buf_tx_timestamp(&b), 0);
	send_one(socket, b);
	cr_assert_eq(socket_stats(socket).tx_packets, 1);
	close_and_unref(socket, pool);
}

/* A packet that was dropped has no time. */
Test(metadata, time_of_what_was_not_sent_is_none)
{
	struct sender s = sender("mem:meta11", 24, META);
	struct sxsk_buf bufs[2], keep;
	uint64_t ns;

	bufs[0] = packet(s.pool, 13, 1); /* too short */
	cr_assert_eq(sxsk_buf_tx_timestamp(&bufs[0]), 0);
	keep = sxsk_buf_ref(bufs[0]);
	send_one(s.socket, bufs[0]);
	cr_assert_eq(socket_stats(s.socket).drop_short, 1);
	expect_error(ENODATA, "not sent", sxsk_buf_tx_time(keep, &ns));
	sxsk_buf_unref(&keep);
	bufs[0] = packet(s.pool, 100, 1);
	bufs[1] = (struct sxsk_buf){ 0 }; /* its rest is none */
	cr_assert_eq(sxsk_buf_tx_timestamp(&bufs[0]), 0);
	keep = sxsk_buf_ref(bufs[0]);
	bufs[0].flags |= SXSK_BUF_MORE;
	cr_assert_eq(sxsk_tx_burst(s.socket, bufs, 2), 2);
	expect_error(ENODATA, "not sent", sxsk_buf_tx_time(keep, &ns));
	sxsk_buf_unref(&keep);
	close_and_unref(s.socket, s.pool);
}

Test(metadata, pool_without_it_drops_a_flag_by_hand)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_socket *socket = meta_socket(pool, "mem:meta4", 0, SXSK_SOCKET_NO_RX);
	struct sender s = { pool, socket, take_rings(socket) };
	struct sxsk_buf b = packet(pool, 100, 1);

	b.flags = SXSK_BUF_TX_METADATA;
	expect_dropped(&s, b);
	close_and_unref(socket, pool);
}

Test(metadata, kept_reference_reads_the_time_after_the_completion)
{
	struct sender s = sender("mem:meta5", 24, META);
	struct sxsk_buf b = packet(s.pool, 100, 1), keep, again;
	struct xdp_desc d;
	uint64_t ns = 0x5555;

	cr_assert_eq(sxsk_buf_tx_timestamp(&b), 0);
	keep = sxsk_buf_ref(b);
	expect_error(ENODATA, "not sent", sxsk_buf_tx_time(keep, &ns));
	send_one(s.socket, b);
	cr_assert_eq(sxsk_buf_tx_time(keep, &ns), -EAGAIN);
	d = kernel_take_tx(&s.k);
	cr_assert_eq(d.options, 2);
	again = sxsk_buf_ref(keep); /* while the kernel may be writing there */
	expect_dropped(&s, again);
	memcpy(s.k.umem + d.addr - 16, &ns, sizeof(ns));
	kernel_complete(&s.k, d.addr);
	ns = 0;
	reap(s.socket);
	cr_assert_eq(sxsk_buf_tx_time(keep, &ns), 0);
	cr_assert_eq(ns, 0x5555);
	cr_assert_eq(sxsk_buf_tx_timestamp(&keep), 0, "a new request of the only owner");
	expect_error(ENODATA, "not sent", sxsk_buf_tx_time(keep, &ns));
	sxsk_buf_unref(&keep);
	close_and_unref(s.socket, s.pool);
}

/* What the time is read from is where the packet was sent from, whatever the handle shows by now. */
Test(metadata, time_is_found_from_any_view)
{
	struct sender s = sender("mem:meta7", 24, META);
	struct sxsk_buf all[256], b = { 0 }, keep;
	struct xdp_desc d;
	uint64_t ns = 0x5555;

	cr_assert_eq(take_all(s.pool, all, 256), 256);
	for (unsigned i = 0; i < 256; i++)
		if (sxsk_buf_index(all[i]) == 0) { /* before this frame is no memory */
			b = all[i];
			all[i] = (struct sxsk_buf){ 0 };
		}
	sxsk_buf_unref_burst(all, 256);
	cr_assert_eq(sxsk_buf_put(&b, 100), 0);
	cr_assert_eq(sxsk_buf_tx_timestamp(&b), 0);
	keep = sxsk_buf_ref(b);
	send_one(s.socket, b);
	d = kernel_take_tx(&s.k);
	memcpy(s.k.umem + d.addr - 16, &ns, sizeof(ns));
	kernel_complete(&s.k, d.addr);
	reap(s.socket);
	cr_assert_eq(sxsk_buf_push(&keep, keep.offset), 0);
	ns = 0;
	cr_assert_eq(sxsk_buf_tx_time(keep, &ns), 0);
	cr_assert_eq(ns, 0x5555);
	cr_assert_eq(sxsk_buf_pull(&keep, 300), 0);
	cr_assert_eq(sxsk_buf_tx_time(keep, &ns), 0);
	cr_assert_eq(ns, 0x5555);
	sxsk_buf_unref(&keep);
	close_and_unref(s.socket, s.pool);
}

/* ---- copies ------------------------------------------------------------------------------------------------ */

Test(metadata, copy_asks_for_the_same)
{
	struct sender s = sender("mem:meta8", 24, META);
	struct sxsk_buf b = packet(s.pool, 100, 1), other = packet(s.pool, 100, 2), copy, rest[256],
			clone;
	unsigned n = take_all(s.pool, rest, 256); /* the next frame is the one given back last */
	uint32_t index;

	/* The copy's frame was another packet's, which asked for something else. */
	cr_assert_eq(sxsk_buf_tx_launch(&other, 77), 0);
	index = sxsk_buf_index(other);
	sxsk_buf_unref(&other);
	cr_assert_eq(sxsk_buf_tx_checksum(&b, 20, 16), 0);
	clone = sxsk_buf_ref(b);
	copy = clone;
	cr_assert_eq(sxsk_buf_unshare(&copy), 0);
	cr_assert_eq(sxsk_buf_index(copy), index, "the test's premise");
	send_one(s.socket, copy);
	cr_assert_eq(request_word(&s, kernel_take_tx(&s.k).addr - 24, 0),
		     SXSK_METADATA_TX_CHECKSUM);
	sxsk_buf_unref(&b);
	sxsk_buf_unref_burst(rest, n);
	sxsk_socket_close(s.socket);
	sxsk_pool_unref(s.pool);
}

/* What was void in the original, or has no room in the copy, is void there: not what the frame's last
 * packet asked for. */
Test(metadata, copy_of_a_void_request_is_void)
{
	struct sender s = sender("mem:meta9", 24, META);
	struct sxsk_buf b = packet(s.pool, 100, 1), other = packet(s.pool, 100, 2), copy, rest[256];
	unsigned n = take_all(s.pool, rest, 256); /* the next frame is the one given back last */
	uint32_t index;

	cr_assert_eq(sxsk_buf_tx_checksum(&b, 20, 16), 0);
	cr_assert_eq(sxsk_buf_pull(&b, 4), 0);
	cr_assert_eq(sxsk_buf_pull(&other, 4), 0);
	cr_assert_eq(sxsk_buf_tx_launch(&other, 77), 0);
	index = sxsk_buf_index(other);
	sxsk_buf_unref(&other);
	cr_assert_eq(sxsk_buf_copy(s.pool, b, &copy), 0);
	cr_assert_eq(sxsk_buf_index(copy), index, "the test's premise");
	expect_dropped(&s, copy);
	sxsk_buf_unref(&b);
	sxsk_buf_unref_burst(rest, n);
	close_and_unref(s.socket, s.pool);
}

Test(metadata, copy_in_a_pool_without_it_was_not_sent)
{
	struct sxsk_pool *from = meta_pool(24), *to = new_pool(64);
	struct sxsk_buf b = packet(from, 100, 1), copy, back;
	uint64_t ns;

	cr_assert_eq(sxsk_buf_tx_timestamp(&b), 0);
	cr_assert_eq(sxsk_buf_copy(to, b, &copy), 0);
	expect_error(ENODATA, "not sent", sxsk_buf_tx_time(copy, &ns));
	cr_assert_eq(sxsk_buf_copy(from, copy, &back), 0);
	expect_error(ENODATA, "not sent", sxsk_buf_tx_time(back, &ns));
	sxsk_buf_unref(&b);
	sxsk_buf_unref(&copy);
	sxsk_buf_unref(&back);
	sxsk_pool_unref(from);
	sxsk_pool_unref(to);
}

Test(metadata, forged_pool_is_refused)
{
	struct sxsk_pool *pool = meta_pool(24);
	struct sxsk_buf b = packet(pool, 100, 1), forged = b;
	uint64_t ns;

	count_misuse();
	forged.pool = 65535;
	expect_misuse(SXSK_MISUSE_FORGED, "sxsk_buf_tx_time",
		      cr_assert_eq(sxsk_buf_tx_time(forged, &ns), -EINVAL));
	sxsk_buf_unref(&b);
	sxsk_pool_unref(pool);
}

/* ---- what arrives ----------------------------------------------------------------------------------------- */

static uint16_t sum_of(const unsigned char *p, uint32_t len)
{
	uint32_t sum = 0;

	for (uint32_t i = 0; i < len; i++)
		sum += (uint32_t)p[i] << (i & 1 ? 0 : 8);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

Test(metadata, device_completes_checksums_and_notes_the_time)
{
	struct sxsk_pool *pool = meta_pool(24), *far = new_pool(256);
	struct sxsk_socket *a = meta_socket(pool, "mem:meta6", META, 0),
			   *b = new_socket(far, "mem:meta6", 0);
	struct timespec now;

	(void)clock_gettime(CLOCK_TAI, &now);
	for (uint32_t len = 60; len < 200; len += 7) {
		struct sxsk_buf out = packet(pool, len, (unsigned char)(len * 3)), keep, in;
		const unsigned char *data;
		uint64_t ns;

		cr_assert_eq(sxsk_buf_tx_checksum(&out, 20, 18), 0);
		cr_assert_eq(sxsk_buf_tx_timestamp(&out), 0);
		keep = sxsk_buf_ref(out);
		send_one(a, out);
		reap(a);
		cr_assert_eq(sxsk_rx_burst(b, &in, 1), 1);
		data = sxsk_buf_data(in);
		/* Its complement is in the place of what was there, and that was the start's value. */
		cr_assert_neq(data[38] << 8 | data[39], (len * 3 & 255) * 257, "%u", len);
		cr_assert_eq(data[37], len * 3 & 255);
		cr_assert_eq((uint16_t) ~(data[38] << 8 | data[39]),
			     sum_of(sxsk_buf_data(keep) ?
					    (const unsigned char *)sxsk_buf_data(keep) + 20 :
					    NULL,
				    len - 20));
		cr_assert_eq(sxsk_buf_tx_time(keep, &ns), 0, "%s", sxsk_last_error());
		cr_assert_geq(ns / 1000000000, (uint64_t)now.tv_sec);
		cr_assert_leq(ns / 1000000000, (uint64_t)now.tv_sec + 60);
		sxsk_buf_unref(&in);
		sxsk_buf_unref(&keep);
	}
	cr_assert_eq(socket_stats(a).comp_refused, 0);
	sxsk_socket_close(b);
	sxsk_pool_unref(far);
	close_and_unref(a, pool);
}

Test(metadata, socket_options_are_checked)
{
	struct sxsk_pool *pool = meta_pool(24);
	struct sxsk_socket_opts o = { .sz = sizeof(o), .metadata = 1u << 30 };
	struct sxsk_socket *socket;

	expect_error(EINVAL, "no such request",
		     sxsk_socket_open(&socket, pool, "mem:meta7", 0, &o));
	o.metadata = SXSK_METADATA_TX_CHECKSUM;
	o.flags = SXSK_SOCKET_NO_TX;
	expect_error(EINVAL, "NO_TX", sxsk_socket_open(&socket, pool, "mem:meta7", 0, &o));
	sxsk_pool_unref(pool);
}
