/* SPDX-License-Identifier: BSD-2-Clause */
/* Packets of several Bufs, and unaligned frames, over the kernel's AF_XDP. */
#include "veth.h"

static void make_jumbo_network(void)
{
	make_network();
	run("ip link set v0 mtu 9000 && ip link set v1 mtu 9000");
}

TestSuite(xsk_frames, .init = make_jumbo_network, .timeout = 60);

static struct sxsk_pool *pool_of(uint32_t frame_size, uint32_t flags)
{
	const struct sxsk_pool_opts opts = {
		.sz = sizeof(opts), .frame_count = 4096, .frame_size = frame_size, .flags = flags
	};
	struct sxsk_pool *pool;

	cr_assert_eq(sxsk_pool_create(&pool, &opts), 0, "%s", sxsk_last_error());
	return pool;
}

static unsigned char byte_at(uint32_t number, uint32_t at)
{
	return at < 12  ? 2 :
	       at == 12 ? TYPE_HIGH :
	       at == 13 ? TYPE_LOW :
			  (unsigned char)(number + at * 7);
}

/* A packet of `len` bytes in as many Bufs as it takes. Returns how many. */
static unsigned make(struct sxsk_pool *pool, struct sxsk_buf bufs[], uint32_t number, uint32_t len)
{
	unsigned n = 0;

	for (uint32_t at = 0; at < len; n++) {
		unsigned char *data;
		uint32_t part;

		cr_assert_eq(sxsk_pool_alloc(pool, &bufs[n], 1), 1);
		part = sxsk_buf_tailroom(bufs[n]);
		part = part < len - at ? part : len - at;
		cr_assert_eq(sxsk_buf_put(&bufs[n], part), 0);
		data = sxsk_buf_data_mut(bufs[n]);
		for (uint32_t i = 0; i < part; i++)
			data[i] = byte_at(number, at++);
		bufs[n].flags = at < len ? SXSK_BUF_MORE : 0;
	}
	return n;
}

static void send_whole(struct sxsk_socket *from, struct sxsk_buf bufs[], unsigned n)
{
	for (unsigned sent = 0; sent < n;)
		sent += sxsk_tx_burst(from, bufs + sent, n - sent);
}

/* The next packet with our EtherType. Returns its length. */
static uint32_t receive_whole(struct sxsk_socket *to, uint32_t number)
{
	struct sxsk_buf bufs[SXSK_MAX_FRAGS];
	const int64_t end = milliseconds() + 20000;
	uint32_t at = 0;
	unsigned n = 0;

	while (n == 0 && milliseconds() < end)
		n = sxsk_rx_burst(to, bufs, SXSK_MAX_FRAGS);
	cr_assert_gt(n, 0, "packet %u", number);
	for (unsigned i = 0; i < n; i++) {
		const unsigned char *data = sxsk_buf_data(bufs[i]);

		for (uint32_t k = 0; k < sxsk_buf_len(bufs[i]); k++, at++)
			cr_assert_eq(data[k], byte_at(number, at), "packet %u byte %u", number, at);
		cr_assert_eq(bufs[i].flags, i + 1 < n ? SXSK_BUF_MORE : 0);
	}
	sxsk_buf_unref_burst(bufs, n);
	return at;
}

static void carry_all_sizes(uint32_t frame_size, uint32_t pool_flags, uint32_t flags,
			    uint32_t attach, uint32_t most)
{
	struct sxsk_pool *pool = pool_of(frame_size, pool_flags);
	struct sxsk_socket_opts opts = steered(attach);
	struct sxsk_socket *a, *b;
	struct sxsk_buf bufs[SXSK_MAX_FRAGS];
	uint32_t number = 0;

	if (flags & SXSK_SOCKET_MULTI_BUFFER)
		needs_linux(6, 6, "multi-buffer AF_XDP");
	opts.flags = flags;
	a = open_socket(pool, "v0", 0, opts);
	b = open_socket(pool, "v1", 0, opts);
	for (uint32_t len = 60; len <= most; len += 61, number++) {
		send_whole(a, bufs, make(pool, bufs, number, len));
		cr_assert_eq(receive_whole(b, number), len);
		cr_assert_eq(sxsk_tx_burst(a, NULL, 0), 0);
	}
	cr_assert_eq(stats_of(a).tx_packets, number);
	cr_assert_eq(stats_of(b).rx_packets, number);
	cr_assert_eq(stats_of(a).kernel.tx_invalid_descs, 0);
	sxsk_socket_close(a);
	sxsk_socket_close(b);
	sxsk_pool_unref(pool);
}

Test(xsk_frames, nine_thousand_bytes_native)
{
	carry_all_sizes(2048, 0, SXSK_SOCKET_MULTI_BUFFER, SXSK_ATTACH_NATIVE, 9014);
}

Test(xsk_frames, nine_thousand_bytes_skb)
{
	carry_all_sizes(4096, 0, SXSK_SOCKET_MULTI_BUFFER, SXSK_ATTACH_SKB, 9014);
}

Test(xsk_frames, unaligned_frames_native)
{
	carry_all_sizes(3001, SXSK_POOL_UNALIGNED, 0, SXSK_ATTACH_NATIVE, 2700);
}

Test(xsk_frames, unaligned_frames_skb)
{
	carry_all_sizes(2049, SXSK_POOL_UNALIGNED, 0, SXSK_ATTACH_SKB, 1750);
}

Test(xsk_frames, unaligned_frames_and_nine_thousand_bytes)
{
	carry_all_sizes(2500, SXSK_POOL_UNALIGNED, SXSK_SOCKET_MULTI_BUFFER, SXSK_ATTACH_AUTO,
			9014);
}

/* The kernel takes 18, and what it would refuse never reaches it. */
Test(xsk_frames, packet_of_the_most_fragments_passes)
{
	struct sxsk_pool *pool = pool_of(2048, 0);
	struct sxsk_socket_opts opts = steered(SXSK_ATTACH_AUTO);
	struct sxsk_socket *a, *b;
	struct sxsk_buf bufs[SXSK_MAX_FRAGS + 1];

	needs_linux(6, 6, "multi-buffer AF_XDP");
	opts.flags = SXSK_SOCKET_MULTI_BUFFER;
	a = open_socket(pool, "v0", 0, opts);
	b = open_socket(pool, "v1", 0, opts);
	for (unsigned n = SXSK_MAX_FRAGS - 1; n <= SXSK_MAX_FRAGS + 1; n++) {
		uint32_t at = 0;

		cr_assert_eq(sxsk_pool_alloc(pool, bufs, n), n);
		for (unsigned i = 0; i < n; i++) {
			unsigned char *data;

			cr_assert_eq(sxsk_buf_put(&bufs[i], 100), 0);
			data = sxsk_buf_data_mut(bufs[i]);
			for (unsigned k = 0; k < 100; k++)
				data[k] = byte_at(n, at++);
			bufs[i].flags = i + 1 < n ? SXSK_BUF_MORE : 0;
		}
		send_whole(a, bufs, n);
		if (n <= SXSK_MAX_FRAGS)
			cr_assert_eq(receive_whole(b, n), n * 100);
	}
	cr_assert_eq(stats_of(a).drop_limit, 1);
	cr_assert_eq(stats_of(a).kernel.tx_invalid_descs, 0);
	cr_assert_eq(stats_of(a).tx_packets, 2);
	sxsk_socket_close(a);
	sxsk_socket_close(b);
	sxsk_pool_unref(pool);
}

/* ---- offloads ----------------------------------------------------------------------------------------- */

static uint16_t sum_of(const unsigned char *p, uint32_t len)
{
	uint32_t sum = 0;

	for (uint32_t i = 0; i < len; i++)
		sum += (uint32_t)p[i] << (i & 1 ? 0 : 8);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* On veth there is no card: the kernel computes the sum itself, and takes the time. */
Test(xsk_frames, kernel_completes_checksums_and_notes_the_time)
{
	const struct sxsk_pool_opts pool_opts = { .sz = sizeof(pool_opts),
						  .tx_metadata_len = 32,
						  .flags = SXSK_POOL_TX_SW_CSUM };
	struct sxsk_socket_opts opts = steered(SXSK_ATTACH_AUTO);
	struct sxsk_socket *a, *b;
	struct sxsk_pool *pool;

	needs_linux(6, 11, "tx_metadata_len");
	cr_assert_eq(sxsk_pool_create(&pool, &pool_opts), 0, "%s", sxsk_last_error());
	opts.metadata = SXSK_METADATA_TX_CHECKSUM | SXSK_METADATA_TX_TIMESTAMP;
	a = open_socket(pool, "v0", 0, opts);
	b = open_socket(pool, "v1", 0, steered(SXSK_ATTACH_AUTO));
	for (uint32_t len = 60; len < 1400; len += 97) {
		const int64_t end = milliseconds() + 20000;
		struct sxsk_buf out, keep, in[64];
		const unsigned char *sent, *got = NULL;
		struct timespec now;
		uint64_t ns = 0;
		unsigned n = 0;

		cr_assert_eq(make(pool, &out, len, len), 1);
		cr_assert_eq(sxsk_buf_tx_checksum(&out, 20, 18), 0, "%s", sxsk_last_error());
		cr_assert_eq(sxsk_buf_tx_timestamp(&out), 0);
		keep = sxsk_buf_ref(out);
		sent = sxsk_buf_data(keep);
		cr_assert_eq(sxsk_tx_burst(a, &out, 1), 1);
		while (n == 0 && milliseconds() < end)
			n = sxsk_rx_burst(b, in, 64);
		cr_assert_eq(n, 1);
		got = sxsk_buf_data(in[0]);
		cr_assert_eq(sxsk_buf_len(in[0]), len);
		cr_assert_eq((uint16_t) ~(got[38] << 8 | got[39]), sum_of(sent + 20, len - 20));
		while (sxsk_buf_tx_time(keep, &ns) == -EAGAIN && milliseconds() < end)
			cr_assert_eq(sxsk_tx_burst(a, NULL, 0), 0);
		cr_assert_eq(sxsk_buf_tx_time(keep, &ns), 0, "%s", sxsk_last_error());
		(void)clock_gettime(CLOCK_TAI, &now);
		cr_assert_leq(ns / 1000000000, (uint64_t)now.tv_sec);
		cr_assert_geq(ns / 1000000000, (uint64_t)now.tv_sec - 10);
		sxsk_buf_unref(&in[0]);
		sxsk_buf_unref(&keep);
	}
	cr_assert_eq(stats_of(a).comp_refused, 0);
	cr_assert_eq(stats_of(a).drop_metadata, 0);
	sxsk_socket_close(a);
	sxsk_socket_close(b);
	sxsk_pool_unref(pool);
}
