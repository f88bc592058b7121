/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The state machine of a frame, at the kernel's rings: receive, send, complete. The orders are those of
 * frame.c.
 *
 * Packets of several buffers. Only whole ones pass: the descriptors of one whose end has not come stay in
 * the RX ring, and a packet to send is checked to its end before its first Buf is taken. One that breaks
 * on the way nevertheless (one handle in it twice, a descriptor that is refused) goes as a whole.
 */
#include "frame_inner.h"
#include "metadata.h"
#include "runs.h"

#ifndef XDP_PKT_CONTD
#define XDP_PKT_CONTD (1 << 0) /* Linux 6.6 */
#endif
#ifndef XDP_TX_METADATA
#define XDP_TX_METADATA (1 << 1) /* Linux 6.8 */
#endif
_Static_assert(SXSK_BUF_MORE == XDP_PKT_CONTD && SXSK_BUF_TX_METADATA == XDP_TX_METADATA,
	       "a handle's flags are a descriptor's options");

/* Where an address of the kernel's lies: in which frame, and where in it. False: in none. */
static bool locate(const struct sxsk_priv_pool *pool, uint64_t address, uint64_t *ret_index,
		   uint64_t *ret_offset)
{
	/* With unaligned chunks the offset is in the top 16 bits; we also send without. */
	const uint64_t low = pool->shift ? address : address & ((1ull << 48) - 1);

	*ret_index = low / pool->chunk;
	*ret_offset = low % pool->chunk + (pool->shift ? 0 : address >> 48);
	return *ret_index < pool->count && *ret_offset < pool->chunk;
}

/* A frame that the kernel had, to what it becomes. By compare-and-swap where that was asked for: the word
 * is this queue's, and this thread in the half. False: it is not what it was. */
static bool take_from_kernel(struct sxsk_priv_pool *pool, uint64_t index, uint64_t w, uint64_t next)
{
	if (unlikely(hardened(pool)))
		return frame_change(pool, index, &w, next);
	frame_become(pool, index, next);
	return true;
}

/* ---- receive: FILL -> USER ----------------------------------------------------------------------- */

static void refuse_rx(struct sxsk_priv_socket *s, uint64_t address)
{
	uint64_t index, offset;

	count_add(&s->rx_refused, 1);
	(void)locate(s->pool, address, &index, &offset);
	if (index < s->pool->count && FRAME_HAS_USERS(frame_word(s->pool, index)))
		sxsk_priv_frame_suspect(s->pool, (uint32_t)index, s->q->id);
}

/* Any descriptor: at another offset (the program moved the packet's head), or refused. */
static bool receive_one(struct sxsk_priv_socket *s, struct xdp_desc d, struct sxsk_buf *out)
{
	struct sxsk_priv_pool *pool = s->pool;
	uint64_t index, offset, w;

	if (locate(pool, d.addr, &index, &offset) && offset + d.len <= pool->chunk) {
		w = frame_word(pool, index);
		if ((w & FRAME_LOW) == FRAME_FILL(s->q->id) &&
		    take_from_kernel(pool, index, w, generation_of(w))) {
			track(pool, (uint32_t)index, TRACK_RECEIVED);
			set_buf(out, generation_of(w) | index,
				buf_view(pool->slot, offset) + d.len);
			return true;
		}
	}
	refuse_rx(s, d.addr);
	return false;
}

/* Read once: the other side may change it. */
static struct xdp_desc rx_desc(const struct sxsk_priv_socket *s, uint32_t at)
{
	return ((const struct xdp_desc *)s->rx_ring.ring)[at & s->rx_ring.mask];
}

/* The descriptors of the packet at `at`, its last one included, of n that are there. 0: its end is not. */
static uint32_t packet_descs(const struct sxsk_priv_socket *s, uint32_t at, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (!(rx_desc(s, at + i).options & XDP_PKT_CONTD))
			return i + 1;
	return 0;
}

/* n descriptors of one packet, out of the ordinary: several, or a single one. False: not all are sound,
 * and none is the user's. */
static bool receive_whole(struct sxsk_priv_socket *s, uint32_t at, uint32_t n,
			  struct sxsk_buf bufs[], uint64_t *bytes)
{
	uint64_t sum = 0;
	uint32_t m = 0;

	for (uint32_t i = 0; i < n; i++)
		if (receive_one(s, rx_desc(s, at + i), &bufs[m])) {
			bufs[m].flags = i + 1 < n ? SXSK_BUF_MORE : 0;
			sum += bufs[m++].length;
		}
	if (m < n) {
		sxsk_buf_unref_burst(bufs, m);
		return false;
	}
	*bytes += sum;
	return true;
}

/* The packet at `at`, of several descriptors. Returns how many of the n that are there it took. */
static __attribute__((noinline)) uint32_t receive_packet(struct sxsk_priv_socket *s, uint32_t at,
							 uint32_t n, struct sxsk_buf bufs[],
							 struct sxsk_priv_received *r)
{
	bool multi = s->flags & SXSK_SOCKET_MULTI_BUFFER;
	uint32_t descs = multi ? packet_descs(s, at, n) : 1;

	if (descs == 0 && n < SXSK_MAX_FRAGS && !s->rx_endless)
		return 0;
	if (descs == 0 || descs > SXSK_MAX_FRAGS || s->rx_endless) {
		/* Longer than any packet: its frames go home until its end has come, which looks like a
		 * packet of one; so nothing is ordinary until then. */
		s->rx_endless = descs == 0;
		s->rx_run.count = 0;
		descs = descs ? descs : n;
		for (uint32_t i = 0; i < descs; i++)
			if (receive_one(s, rx_desc(s, at + i), bufs))
				sxsk_buf_unref(bufs);
		count_add(&s->rx_broken, !s->rx_endless);
		return descs;
	}
	if (receive_whole(s, at, descs, bufs, &r->bytes)) {
		r->bufs += descs;
		r->packets++;
	} else if (descs > 1) {
		count_add(&s->rx_broken, 1);
	}
	return descs;
}

static void make_rx_run(struct sxsk_priv_socket *s)
{
	const struct sxsk_priv_pool *pool = s->pool;
	const uint64_t offset = KERNEL_HEADROOM + pool->headroom;

	s->rx_run = (struct sxsk_priv_rx_run){ .words = pool->words,
					       .base = pool->base,
					       .back = -offset,
					       .filled = FRAME_FILL(s->q->id),
					       .count = hardened(pool) || !pool->shift ?
								0 :
								pool->count,
					       .most = pool->chunk - offset,
					       .view = buf_view(pool->slot, offset),
					       .shift = pool->shift };
}

ALWAYS_INLINE uint32_t receive_shift(const struct sxsk_priv_rx_run *r, const struct xdp_desc *d,
				     uint32_t n, struct sxsk_buf bufs[], uint64_t *ret_bytes,
				     enum prefetch lines)
{
	return r->shift == 11 ? receive_run(r, d, n, bufs, ret_bytes, 11, lines) :
				receive_run(r, d, n, bufs, ret_bytes, 12, lines);
}

uint32_t sxsk_priv_frames_receive(struct sxsk_priv_socket *s, uint32_t at, uint32_t n,
				  struct sxsk_buf bufs[], uint64_t *ret_bytes)
{
	const uint32_t first = at & s->rx_ring.mask, room = s->rx_ring.size - first;
	const struct xdp_desc *d = (const struct xdp_desc *)s->rx_ring.ring + first;
	const struct sxsk_priv_rx_run *r = &s->rx_run;

	n = n < room ? n : room;
	/* Not where another thread frees what this one receives, and likely reads it, too: that would only
	 * take the line from there. */
	if (unlikely(!r->ahead))
		return receive_shift(r, d, n, bufs, ret_bytes, PREFETCH_NONE);
	if (n <= 32)
		return receive_shift(r, d, n, bufs, ret_bytes, PREFETCH_ALL);
	return receive_shift(r, d, n, bufs, ret_bytes, PREFETCH_HALF);
}

void sxsk_priv_frames_receive_rest(struct sxsk_priv_socket *s, uint32_t at, uint32_t n,
				   struct sxsk_buf bufs[], struct sxsk_priv_received *r)
{
	while (r->descs < n) {
		uint64_t more;
		uint32_t left = n - r->descs, run;

		if (s->rx_run.count == 0 && !s->rx_endless)
			make_rx_run(s);
		run = sxsk_priv_frames_receive(s, at + r->descs, left, bufs + r->bufs, &more);
		if (run > 0) {
			r->descs += run;
			r->bufs += run;
			r->packets += run;
			r->bytes += more;
		} else {
			run = receive_packet(s, at + r->descs, left, bufs + r->bufs, r);
			if (run == 0)
				break;
			r->descs += run;
		}
	}
}

/* ---- send: USER -> TX ------------------------------------------------------------------------------ */

static void put_desc(struct sxsk_priv_socket *s, uint32_t at, struct sxsk_buf b, uint32_t options)
{
	struct xdp_desc *d = &((struct xdp_desc *)s->tx_ring.ring)[at & s->tx_ring.mask];

	d->addr = (b.id & FRAME_LOW) * s->pool->chunk + b.offset;
	d->len = b.length;
	d->options = options;
}

/* Why this Buf cannot be sent: the counter of that, or NULL. */
static atomic_u64 *unsound(struct sxsk_priv_socket *s, struct sxsk_buf b, uint32_t least)
{
	if (sxsk_buf_is_null(b))
		return &s->drop_null;
	if (!sxsk_priv_live(b) || !sxsk_priv_in_chunk(b))
		return &s->drop_misuse;
	if (b.pool != s->pool->slot)
		return &s->drop_pool;
	/* The kernel takes the room off each descriptor of such a pool, asked for or not. */
	if (b.offset < s->pool->tx_metadata_len)
		return &s->drop_metadata;
	if (b.flags & SXSK_BUF_TX_METADATA &&
	    (least != ETH_HEADER || !sxsk_priv_tx_request_ready(s, b)))
		return &s->drop_metadata;
	return b.length < least ? &s->drop_short : NULL;
}

/* Bufs of a packet that cannot be sent: taken, freed, reported where they were misused. */
static void drop_bufs(struct sxsk_buf bufs[], uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		if (sxsk_buf_is_null(bufs[i]) ||
		    (sxsk_priv_live(bufs[i]) && sxsk_priv_in_chunk(bufs[i]))) {
			sxsk_buf_unref(&bufs[i]);
			continue;
		}
		sxsk_priv_misuse_buf(bufs[i], "sxsk_tx_burst");
		bufs[i] = (struct sxsk_buf){ 0 };
	}
}

/* Has the frame for itself, and another generation to come: what send_run() takes for ordinary. */
static bool send_unique(struct sxsk_priv_socket *s, struct sxsk_buf b)
{
	uint64_t index = b.id & FRAME_LOW, w = frame_word(s->pool, index);

	if (w != (generation_of(b.id) | FRAME_UNIQUE) || (w + FRAME_GENERATION) & FRAME_USED_UP ||
	    hardened(s->pool))
		return false;
	frame_become(s->pool, index, w + FRAME_GENERATION + FRAME_TX1(s->q->id));
	return true;
}

/* With other users or transmissions: the ledger first, then the word, then the ring, so that a completion
 * finds the entry whenever it comes. NULL, or why not. */
static atomic_u64 *send_shared(struct sxsk_priv_socket *s, struct sxsk_buf b)
{
	uint32_t index = sxsk_buf_index(b);
	uint64_t w = frame_word(s->pool, index), next;

	if (!sxsk_priv_ledger_add(&s->q->ledger, index))
		return &s->drop_limit;
	do {
		uint32_t users = FRAME_USERS_OF(w), tx = FRAME_TX_OF(w);

		if (!matches(w, b) || tx == SXSK_MAX_REFS) {
			(void)sxsk_priv_ledger_remove(&s->q->ledger, index);
			return matches(w, b) ? &s->drop_limit : &s->drop_misuse;
		}
		/* Another thread has sent it since the request was looked at: its place is that kernel's. */
		if (b.flags & SXSK_BUF_TX_METADATA && tx > 0) {
			(void)sxsk_priv_ledger_remove(&s->q->ledger, index);
			return &s->drop_metadata;
		}
		next = held(generation_of(w) + (users == 1 ? FRAME_GENERATION : 0), users - 1,
			    tx + 1, is_suspect(w));
	} while (!frame_change(s->pool, index, &w, next));
	track(s->pool, index, TRACK_SENT);
	return NULL;
}

static bool complete_one(struct sxsk_priv_socket *s, uint64_t index, uint32_t holder);

/* The first n Bufs of a packet are on their way to the kernel, which has not been told: back. */
static void take_back(struct sxsk_priv_socket *s, const struct sxsk_buf bufs[], uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		uint32_t index = sxsk_buf_index(bufs[i]);

		if (complete_one(s, index, HOLDER_DEPOT)) {
			sxsk_priv_depot_push(s->pool, &index, 1);
			sxsk_priv_units_give(s->pool, UNIT_FRAME);
		}
	}
}

/* A packet of n Bufs, descriptors from position `at`. NULL, or why it was dropped. */
static atomic_u64 *send_whole(struct sxsk_priv_socket *s, struct sxsk_buf bufs[], uint32_t n,
			      uint32_t at)
{
	atomic_u64 *why = NULL;

	for (uint32_t i = 0; i < n && !why; i++)
		why = unsound(s, bufs[i], i == 0 ? ETH_HEADER : 1);
	for (uint32_t i = 0; i < n && !why; i++) {
		const bool asks = bufs[i].flags & SXSK_BUF_TX_METADATA;

		why = send_unique(s, bufs[i]) ? NULL : send_shared(s, bufs[i]);
		if (why) {
			take_back(s, bufs, i);
			drop_bufs(bufs + i, n - i);
			return why;
		}
		/* Sent by another thread, and completed, in between: the time is there instead. */
		if (asks && !sxsk_priv_tx_request_written(s->pool, bufs[i])) {
			take_back(s, bufs, i + 1);
			drop_bufs(bufs + i + 1, n - i - 1);
			return &s->drop_metadata;
		}
		put_desc(s, at + i, bufs[i],
			 (i + 1 < n ? XDP_PKT_CONTD : 0u) | (bufs[i].flags & XDP_TX_METADATA));
	}
	if (why)
		drop_bufs(bufs, n);
	else if (bufs[0].flags & SXSK_BUF_TX_METADATA)
		sxsk_priv_tx_request_sent(s->pool, bufs[0]);
	return why;
}

/* The Bufs of the first of n packets, its last one included. *ret_whole: its end is among them. */
static uint32_t packet_bufs(const struct sxsk_buf bufs[], uint32_t n, bool *ret_whole)
{
	uint32_t k = 0;

	while (k < n && bufs[k].flags & SXSK_BUF_MORE)
		k++;
	*ret_whole = k < n;
	return k < n ? k + 1 : k;
}

/* The first packet of bufs[0..n), out of the ordinary. Returns how many Bufs were taken; 0: there is no
 * room for it now. */
static uint32_t send_packet(struct sxsk_priv_socket *s, struct sxsk_buf bufs[], uint32_t n,
			    uint32_t at, uint32_t room, struct sxsk_priv_sent *sent)
{
	bool whole, multi = s->flags & SXSK_SOCKET_MULTI_BUFFER;
	uint32_t k = packet_bufs(bufs, n, &whole), most = multi ? s->tx_most : 1;
	uint64_t bytes = 0;
	atomic_u64 *why;

	most = most < s->tx_ring.size ? most : s->tx_ring.size;
	most = most < s->q->comp.size ? most : s->q->comp.size;
	if (whole && k <= most && k > room)
		return 0;
	if (whole && k <= most) {
		for (uint32_t i = 0; i < k; i++)
			bytes += bufs[i].length;
		why = send_whole(s, bufs, k, at);
	} else {
		drop_bufs(bufs, k);
		why = &s->drop_limit;
	}
	if (why) {
		count_add(why, 1);
		return k;
	}
	sent->descs += k;
	sent->packets++;
	sent->bytes += bytes;
	return k;
}

/* Packets of one Buf whose frames have other users or transmissions, as many as come: flooding. Stops at
 * any other, the ordinary ones included. Returns how many were taken. */
static uint32_t send_shared_run(struct sxsk_priv_socket *s, const struct sxsk_buf bufs[],
				uint32_t n, uint32_t at, uint64_t *bytes)
{
	uint64_t sum = 0;
	uint32_t i;

	for (i = 0; i < n; i++) {
		struct sxsk_buf b = bufs[i];

		if (b.flags || unsound(s, b, ETH_HEADER) ||
		    load_relaxed(&s->pool->words[b.id & FRAME_LOW]) == b.id ||
		    send_shared(s, b) != NULL)
			break;
		put_desc(s, at + i, b, 0);
		sum += b.length;
	}
	*bytes += sum;
	return i;
}

/* The first packet that send_run() does not take, and those behind it that are shared, too. Returns how
 * many Bufs were taken; 0: there is no room now for the first packet. */
static __attribute__((noinline)) uint32_t send_odd(struct sxsk_priv_socket *s,
						   struct sxsk_buf bufs[], uint32_t n, uint32_t at,
						   uint32_t room, struct sxsk_priv_sent *sent)
{
	const uint32_t run = send_shared_run(s, bufs, n < room ? n : room, at, &sent->bytes);

	sent->descs += run;
	sent->packets += run;
	return run ? run : send_packet(s, bufs, n, at, room, sent);
}

/* As many ordinary ones of bufs[0..n) as come, up to the ring's wrap. */
ALWAYS_INLINE uint32_t send_first(struct sxsk_priv_socket *s, const struct sxsk_buf bufs[],
				  uint32_t n, uint32_t at, uint32_t room, uint64_t *bytes)
{
	const struct sxsk_priv_pool *pool = s->pool;
	const struct tx_run r = { .words = pool->words,
				  .chunk = pool->chunk,
				  .most = pool->chunk - ETH_HEADER - pool->tx_metadata_len,
				  .least = pool->tx_metadata_len,
				  .sent = FRAME_GENERATION + FRAME_TX1(s->q->id),
				  .pool = pool->slot << 16 };
	const uint32_t first = at & s->tx_ring.mask, end = s->tx_ring.size - first;

	if (unlikely(hardened(pool)))
		return 0;
	room = room < end ? room : end;
	return send_run(&r, bufs, n < room ? n : room, (struct xdp_desc *)s->tx_ring.ring + first,
			bytes);
}

/* Behind the first ones, which *sent counts: up to `room` descriptors. Returns how many of the n Bufs it
 * took. */
static __attribute__((noinline)) uint32_t send_rest(struct sxsk_priv_socket *s,
						    struct sxsk_buf bufs[], uint32_t n, uint32_t at,
						    uint32_t room, struct sxsk_priv_sent *sent)
{
	uint32_t i = 0;

	while (i < n && sent->descs < room) {
		uint32_t left = room - sent->descs,
			 run = send_first(s, bufs + i, n - i, at + sent->descs, left, &sent->bytes);

		sent->descs += run;
		sent->packets += run;
		if (run == 0)
			run = send_odd(s, bufs + i, n - i, at + sent->descs, left, sent);
		if (run == 0)
			break;
		i += run;
	}
	return i;
}

uint32_t sxsk_priv_frames_send(struct sxsk_priv_socket *s, struct sxsk_buf bufs[], uint32_t n,
			       uint32_t at, uint32_t room, uint32_t *ret_descs)
{
	struct sxsk_priv_sent sent = { 0 };
	uint32_t taken = send_first(s, bufs, n, at, room, &sent.bytes);

	sent.descs = sent.packets = taken;
	if (unlikely(taken < n && taken < room))
		taken += send_rest(s, bufs + taken, n - taken, at, room, &sent);
	count_add(&s->tx_packets, sent.packets);
	count_add(&s->tx_bytes, sent.bytes);
	*ret_descs = sent.descs;
	return taken;
}

/* ---- completion: TX -> HOME ------------------------------------------------------------------------ */

static void refuse_completion(struct sxsk_priv_socket *s, uint64_t index)
{
	count_add(&s->comp_refused, 1);
	if (index >= s->pool->count)
		return;
	count_add(&s->comp_duplicate, 1);
	sxsk_priv_frame_suspect(s->pool, (uint32_t)index, s->q->id);
}

/* True: the frame came home. */
static __attribute__((noinline)) bool complete_one(struct sxsk_priv_socket *s, uint64_t index,
						   uint32_t holder)
{
	struct sxsk_priv_pool *pool = s->pool;
	uint64_t w = index < pool->count ? frame_word(pool, index) : 0, next;

	if ((w & FRAME_LOW) == FRAME_TX1(s->q->id))
		return take_from_kernel(pool, index, w, generation_of(w) | FRAME_HOME(holder));
	if (w == 0 || !sxsk_priv_ledger_remove(&s->q->ledger, (uint32_t)index)) {
		refuse_completion(s, index);
		return false;
	}
	do {
		uint32_t users = FRAME_USERS_OF(w), tx = FRAME_TX_OF(w) - 1;

		next = users || tx ?
			       held(generation_of(w), users, tx, is_suspect(w)) :
			       sxsk_priv_frame_finished(pool, (uint32_t)index, generation_of(w),
							is_suspect(w), FRAME_HOME(holder));
	} while (!frame_change(pool, index, &w, next));
	if (FRAME_HAS_USERS(next) || FRAME_TX_OF(w) > 1) {
		track(pool, (uint32_t)index, TRACK_COMPLETED);
		return false;
	}
	return sxsk_priv_frame_came_home(pool, (uint32_t)index, next, TRACK_CAME_HOME);
}

/* The first completion, and those behind it up to one that complete_run() takes. Returns how many were
 * dealt with. */
static __attribute__((noinline)) uint32_t complete_odd(struct sxsk_priv_socket *s, uint32_t at,
						       uint32_t n, uint32_t holder,
						       uint32_t index[], uint32_t *m)
{
	const struct sxsk_priv_pool *pool = s->pool;
	const uint64_t *ring = s->q->comp.ring, sent = FRAME_TX1(s->q->id);
	uint32_t i;

	for (i = 0; i < n; i++) {
		uint64_t f, offset;

		(void)locate(pool, ring[(at + i) & s->q->comp.mask], &f, &offset);
		if (i > 0 && pool->shift && f < pool->count &&
		    (frame_word(pool, f) & FRAME_LOW) == sent)
			break;
		if (complete_one(s, f, holder))
			index[(*m)++] = (uint32_t)f;
	}
	return i;
}

/* As many ordinary ones of the n completions from position `at` as come, up to the ring's wrap. */
ALWAYS_INLINE uint32_t complete_first(struct sxsk_priv_socket *s, uint32_t at, uint32_t n,
				      uint32_t holder, uint32_t index[])
{
	const struct xsk_ring_cons *comp = &s->q->comp;
	const uint32_t first = at & comp->mask, end = comp->size - first;

	if (unlikely(!s->pool->shift))
		return 0;
	return complete_run(s->pool, (const uint64_t *)comp->ring + first, n < end ? n : end,
			    FRAME_TX1(s->q->id), FRAME_HOME(holder), index);
}

static __attribute__((noinline)) uint32_t complete_rest(struct sxsk_priv_socket *s, uint32_t at,
							uint32_t n, uint32_t holder,
							uint32_t index[])
{
	uint32_t i = 0, m = 0;

	while (i < n) {
		uint32_t run = complete_first(s, at + i, n - i, holder, index + m);

		i += run;
		m += run;
		if (run == 0)
			i += complete_odd(s, at + i, n - i, holder, index, &m);
	}
	return m;
}

uint32_t sxsk_priv_frames_complete(struct sxsk_priv_socket *s, uint32_t at, uint32_t n,
				   uint32_t holder, uint32_t index[])
{
	uint32_t m = complete_first(s, at, n, holder, index);

	return likely(m == n) ? m : m + complete_rest(s, at + m, n - m, holder, index + m);
}

uint32_t sxsk_priv_frames_complete_fill(struct sxsk_priv_socket *s, uint32_t at, uint32_t n,
					struct sxsk_priv_queue *to, uint32_t fill_at)
{
	const struct xsk_ring_cons *comp = &s->q->comp;
	const uint32_t first = at & comp->mask, end = comp->size - first,
		       room = to->fill.size - (fill_at & to->fill.mask);

	n = n < end ? n : end;
	return complete_fill_run(s->pool, (const uint64_t *)comp->ring + first, n < room ? n : room,
				 FRAME_TX1(s->q->id), FRAME_FILL(to->id), fill_entry(to, fill_at));
}
