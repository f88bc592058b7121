/* SPDX-License-Identifier: BSD-2-Clause */
#include "scenarios.h"

/* ---- ends -------------------------------------------------------------------------------------- */

struct sxsk_pool_opts pool_options(void)
{
	return (struct sxsk_pool_opts){ .sz = sizeof(struct sxsk_pool_opts),
					.frame_count = 1024,
					.frame_size = 4096 };
}

struct sxsk_socket_opts socket_options(uint32_t attach)
{
	struct sxsk_socket_opts opts = steered(attach);

	opts.rx_size = opts.tx_size = opts.fill_size = opts.comp_size = 2048;
	return opts;
}

void reopen_socket(struct end *end)
{
	end->socket = open_socket(end->pool, end->ifname, 0, end->opts);
	cr_assert_eq(stats_of(end->socket).attach, end->opts.attach);
	cr_assert_eq(stats_of(end->socket).mode, SXSK_MODE_COPY);
}

struct end open_end(const char *ifname, const struct sxsk_pool_opts *pool,
		    const struct sxsk_socket_opts *socket)
{
	struct end end = { .ifname = ifname,
			   .opts = *socket,
			   .headroom = KERNEL_HEADROOM + pool->headroom };

	cr_assert_eq(sxsk_pool_create(&end.pool, pool), 0, "%s", sxsk_last_error());
	reopen_socket(&end);
	return end;
}

struct scenario begin(uint32_t attach, const struct sxsk_pool_opts *pool,
		      const struct sxsk_socket_opts *socket)
{
	const struct sxsk_pool_opts usual = pool_options();
	const struct sxsk_socket_opts usual_socket = socket_options(attach);
	struct scenario s;

	pool = pool ? pool : &usual;
	socket = socket ? socket : &usual_socket;
	s.a = open_end("v0", pool, socket);
	s.b = open_end("v1", pool, socket);
	return s;
}

void settle(struct end *end)
{
	struct sxsk_pool_stats f = { .sz = sizeof(f) };

	cr_assert_eq(sxsk_pool_drain(end->pool, PATIENCE_MS), 0, "%s: %s", end->ifname,
		     sxsk_last_error());
	sxsk_pool_stats(end->pool, &f);
	cr_assert_eq(f.user + f.tx, 0);
	cr_assert_eq(f.lanes + f.depot + f.fill + f.quarantined + f.retired, f.total);
}

void close_socket(struct end *end)
{
	const struct sxsk_socket_stats st = stats_of(end->socket);

	cr_assert_eq(st.rx_refused, 0, "%s", end->ifname);
	cr_assert_eq(st.comp_refused, 0, "%s", end->ifname);
	cr_assert_eq(st.kernel.tx_invalid_descs, 0, "%s", end->ifname);
	cr_assert_eq(st.kernel.rx_invalid_descs, 0, "%s", end->ifname);
	cr_assert_eq(st.poisoned, 0, "%s", end->ifname);
	sxsk_socket_close(end->socket);
}

void close_end(struct end *end)
{
	close_socket(end);
	settle(end);
	cr_assert_eq(program_on(end->ifname), 0);
	sxsk_pool_unref(end->pool);
}

void finish(struct scenario *s)
{
	settle(&s->a);
	settle(&s->b);
	close_end(&s->a);
	close_end(&s->b);
}

/* ---- packets ----------------------------------------------------------------------------------- */

void fill_bytes(unsigned char *p, uint32_t number, uint32_t from, uint32_t n)
{
	unsigned char head[18];

	fill_packet(head, number, sizeof(head));
	for (uint32_t i = from; i < from + n; i++)
		*p++ = i < sizeof(head) ? head[i] : (unsigned char)(number * 3 + i * 7 + (i >> 8));
}

unsigned make_bufs(struct sxsk_pool *pool, struct sxsk_buf bufs[SXSK_MAX_FRAGS], uint32_t number,
		   uint32_t length)
{
	uint32_t at = 0, room;
	unsigned n = 0;

	do {
		cr_assert_lt(n, SXSK_MAX_FRAGS);
		cr_assert_eq(sxsk_pool_alloc(pool, &bufs[n], 1), 1);
		room = sxsk_buf_tailroom(bufs[n]);
		room = room < length - at ? room : length - at;
		cr_assert_eq(sxsk_buf_put(&bufs[n], room), 0);
		fill_bytes(sxsk_buf_data_mut(bufs[n]), number, at, room);
		at += room;
		bufs[n].flags = at < length ? SXSK_BUF_MORE : 0;
	} while (bufs[n++].flags);
	return n;
}

struct sxsk_buf make_packet(struct sxsk_pool *pool, uint32_t number, uint32_t length)
{
	struct sxsk_buf bufs[SXSK_MAX_FRAGS];

	cr_assert_eq(make_bufs(pool, bufs, number, length), 1);
	return bufs[0];
}

/* The Bufs of a packet, which is whole. */
static unsigned bufs_of(const struct sxsk_buf bufs[], unsigned n)
{
	unsigned i = 0;

	while (bufs[i].flags & SXSK_BUF_MORE) {
		i++;
		cr_assert_lt(i, n, "the packet has no end");
	}
	return i + 1;
}

unsigned send_batch(struct end *from, struct stream *s, unsigned n)
{
	struct sxsk_buf bufs[BATCH * 4];
	unsigned used = 0, taken, packets = 0;

	n = n < s->count - s->sent ? n : s->count - s->sent;
	for (unsigned i = 0; i < n; i++) {
		cr_assert_leq(used + s->length / 2048 + 1, BATCH * 4);
		used += make_bufs(from->pool, bufs + used, s->sent + i, s->length);
	}
	taken = sxsk_tx_burst(from->socket, bufs, used);
	sxsk_buf_unref_burst(bufs + taken, used - taken);
	for (unsigned i = 0; i < taken; packets++)
		i += bufs_of(bufs + i, taken - i);
	s->sent += packets;
	return packets;
}

static bool is_ours(struct sxsk_buf b)
{
	const unsigned char *p = sxsk_buf_data(b);

	return p[12] == TYPE_HIGH && p[13] == TYPE_LOW;
}

static void check_packet(const struct end *to, const struct stream *s, const struct sxsk_buf bufs[],
			 unsigned n)
{
	unsigned char expected[4096];
	uint32_t at = 0;

	for (unsigned i = 0; i < n; i++) {
		const uint32_t len = sxsk_buf_len(bufs[i]);

		fill_bytes(expected, s->received, at, len);
		cr_assert_arr_eq(sxsk_buf_data(bufs[i]), expected, len, "packet %u from byte %u",
				 s->received, at);
		cr_assert_eq(sxsk_buf_headroom(bufs[i]), to->headroom, "packet %u", s->received);
		at += len;
	}
	cr_assert_eq(at, s->length, "packet %u", s->received);
}

unsigned receive_batch(struct end *to, struct stream *s)
{
	struct sxsk_buf bufs[BATCH];
	const unsigned n = sxsk_rx_burst(to->socket, bufs, s->batch ? s->batch : BATCH);
	const uint32_t before = s->received;
	unsigned k;

	for (unsigned i = 0; i < n; i += k) {
		k = bufs_of(bufs + i, n - i);
		if (!is_ours(bufs[i]))
			continue;
		check_packet(to, s, bufs + i, k);
		s->received++;
	}
	sxsk_buf_unref_burst(bufs, n);
	return s->received - before;
}

void receive_until(struct end *to, struct stream *s, uint32_t received)
{
	const int64_t end = milliseconds() + PATIENCE_MS;

	while (s->received < received && milliseconds() < end)
		(void)receive_batch(to, s);
	cr_assert_eq(s->received, received, "%u packets arrived, not %u", s->received, received);
}

void pass(struct end *from, struct end *to, struct stream *s)
{
	while (s->received < s->count) {
		const int64_t end = milliseconds() + PATIENCE_MS;

		(void)send_batch(from, s, s->batch ? s->batch : BATCH);
		cr_assert_gt(s->sent, s->received, "nothing could be sent");
		while (s->received < s->sent && milliseconds() < end) {
			(void)receive_batch(to, s);
			cr_assert_eq(sxsk_tx_burst(from->socket, NULL, 0), 0);
		}
		cr_assert_eq(s->received, s->sent, "%u packets arrived, not %u", s->received,
			     s->sent);
	}
	cr_assert_eq(sxsk_tx_burst(from->socket, NULL, 0), 0);
}
