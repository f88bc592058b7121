/* SPDX-License-Identifier: BSD-2-Clause */
/* Calls on sockets. What the rings hold is looked at before a call, and says what has to come of it. */
#include "fuzz.h"

#include "metadata.h"

struct f_socket *pick_socket(struct sxsk_socket **ret_cookie)
{
	uint32_t b = byte();
	struct f_socket *s = &fw.socket[b % SOCKETS];

	if (b == 255) {
		*ret_cookie = fw.stale_socket;
		return NULL;
	}
	for (uint32_t i = 0; i < SOCKETS && !s->cookie; i++)
		s = &fw.socket[(b + i) % SOCKETS];
	*ret_cookie = s->cookie ? s->cookie : fw.stale_socket;
	return s->cookie ? s : NULL;
}

static bool index_lies(const struct xsk_ring_cons *r)
{
	return *r->producer - r->cached_cons > r->size;
}

/* ---- open, close ---------------------------------------------------------------------------------------- */

static const char *cable_name(uint32_t cable)
{
	static char name[32];

	(void)snprintf(name, sizeof(name), "mem:fuzz%u", cable);
	return name;
}

static uint32_t open_on(uint32_t cable)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < SOCKETS; i++)
		n += fw.socket[i].cookie && fw.socket[i].cable == cable;
	return n;
}

void socket_open(uint32_t slot, struct f_pool *p, struct sxsk_pool *cookie, uint32_t cable,
		 uint32_t flags, uint32_t sizes)
{
	static const uint32_t size[] = { 64, 32, 16, 8 };
	struct f_socket *s = &fw.socket[slot];
	struct sxsk_socket_opts o = {
		.sz = sizeof(o),
		.rx_size = size[sizes & 3],
		.tx_size = size[sizes >> 2 & 3],
		.fill_size = size[sizes >> 4 & 3],
		.comp_size = size[sizes >> 6 & 3],
		.flags = flags & (SXSK_SOCKET_NO_RX | SXSK_SOCKET_NO_TX | SXSK_SOCKET_MULTI_BUFFER),
		.metadata = p && p->in->tx_metadata_len && !(flags & SXSK_SOCKET_NO_TX) ?
				    flags >> 4 & 7 :
				    0,
		.frame_quota = flags & 0x80 && !(flags & SXSK_SOCKET_NO_RX) ? 8 : 0,
	};
	struct f_permit permit = { 0 };
	struct sxsk_socket *socket;
	bool bad = (o.flags & SXSK_SOCKET_NO_RX) && (o.flags & SXSK_SOCKET_NO_TX);
	int err;

	if (s->cookie)
		return;
	err = sxsk_socket_open(&socket, cookie, cable_name(cable), 0, &o);
	if (!p) {
		fw.misuse += !bad;
		expect(err == -EINVAL, "open on a dead pool gives %d", err);
		return;
	}
	if (err) {
		expect(bad                         ? err == -EINVAL :
		       p->owners + p->sockets == 0 ? err == -ESHUTDOWN :
		       open_on(cable) == 2         ? err == -EBUSY :
		       o.frame_quota               ? err == -EINVAL :
						     false,
		       "open gives %d: %s", err, sxsk_last_error());
		model_released();
		return;
	}
	expect(!bad && p->owners + p->sockets > 0 && open_on(cable) < 2, "open should have failed");
	memset(s, 0, sizeof(*s));
	s->cookie = socket;
	s->in = &sxsk_priv_registry.socket[(uintptr_t)socket & 0xffff];
	s->pool = p;
	s->cable = cable;
	s->flags = o.flags;
	s->queue_id = s->in->q->id;
	p->sockets++;
	model_released();
	model_filled(s);
	model_adopt(p, &permit);
}

void op_open(void)
{
	uint32_t b = byte(), flags = byte(), sizes = byte();
	struct sxsk_pool *cookie;
	struct f_pool *p = pick_pool(&cookie);

	/* Mostly both ways. */
	if (b & 0x40)
		flags &= ~(uint32_t)(SXSK_SOCKET_NO_RX | SXSK_SOCKET_NO_TX);
	for (uint32_t i = 0; i < SOCKETS; i++)
		if (!fw.socket[(b + i) % SOCKETS].cookie) {
			socket_open((b + i) % SOCKETS, p, cookie, b >> 2 & 1, flags, sizes);
			return;
		}
}

static struct f_record *new_record(void)
{
	for (uint32_t i = 0; i < RECORDS; i++)
		if (!fw.record[i].active)
			return &fw.record[i];
	broken("more than %u records of closed queues", RECORDS);
}

void socket_close(struct f_socket *s)
{
	struct f_pool *p = s->pool;
	struct f_permit permit = { .closing = s, .closing_queue = s->queue_id };
	struct f_record *r = new_record();

	*r = (struct f_record){ .active = true,
				.queue = s->queue_id,
				.pool = p,
				.pool_cookie = (uint64_t)(uintptr_t)p->cookie,
				.device = s->in->q->device };
	sxsk_socket_close(s->cookie);
	fw.stale_socket = s->cookie;
	p->sockets--;
	s->cookie = NULL;
	if (load_relaxed(&p->in->cookie) == (uint64_t)(uintptr_t)p->cookie) {
		model_adopt(p, &permit);
		model_released();
		/* What it had received went home; this thread's last half may have it, which a lie takes at once
		 * when that is closed next. */
		for (struct f_socket *other = fw.socket; other < fw.socket + SOCKETS; other++)
			if (other->cookie && other->pool == p)
				model_filled(other);
		return;
	}
	/* It was the last that kept the pool: its frames are gone with it. */
	for (uint32_t i = 0; i < p->in->count; i++) {
		expect(p->frame[i].users == 0, "a pool died while frame %u is a user's", i);
		p->frame[i].where = FREE;
	}
	r->active = false;
	model_released();
}

void op_close(void)
{
	struct sxsk_socket *cookie;
	struct f_socket *s = pick_socket(&cookie);

	if (s) {
		socket_close(s);
		return;
	}
	sxsk_socket_close(cookie);
	fw.misuse += cookie != NULL;
}

/* ---- receive -------------------------------------------------------------------------------------------- */

void op_receive(void)
{
	struct sxsk_socket *cookie;
	struct f_socket *s = pick_socket(&cookie);
	struct sxsk_buf bufs[64];
	uint32_t n = byte() % 65, got, at, avail, end;
	const struct xsk_ring_cons *rx;
	bool lies, off;

	if (!s) {
		got = sxsk_rx_burst(cookie, bufs, n);
		expect(got == 0, "%u packets of a closed socket", got);
		fw.misuse++;
		return;
	}
	/* A burst that is too small is tried now and then only. */
	if (s->flags & SXSK_SOCKET_MULTI_BUFFER && n < SXSK_MAX_FRAGS && n % 4)
		n = SXSK_MAX_FRAGS + n;
	rx = &s->in->rx_ring;
	at = *rx->consumer;
	avail = rx->cached_prod != at ? rx->cached_prod - at : *rx->producer - at;
	lies = avail > rx->size;
	off = load_relaxed(&s->in->failed) || s->flags & SXSK_SOCKET_NO_RX || n == 0;
	if (!off && s->flags & SXSK_SOCKET_MULTI_BUFFER && n < SXSK_MAX_FRAGS) {
		fw.misuse++;
		off = true;
	}
	got = sxsk_rx_burst(cookie, bufs, n);
	model_filled(s);
	end = *rx->consumer;
	expect(rx->cached_cons == end || load_relaxed(&s->in->failed),
	       "RX: consumed to %u, published %u", rx->cached_cons, end);
	avail = avail < n ? avail : n;
	if (off || lies || load_relaxed(&s->in->failed)) {
		if (lies && !off)
			expect(load_relaxed(&s->in->failed) == EPROTO, "RX index: not poisoned");
		if (off || lies) {
			expect(got == 0 && end == at, "%u Bufs, %u descriptors", got, end - at);
			return;
		}
	}
	if (!(s->flags & SXSK_SOCKET_MULTI_BUFFER) && !load_relaxed(&s->in->failed))
		expect(end == at + avail, "%u of %u descriptors taken", end - at, avail);
	expect(end - at <= avail, "%u of %u descriptors taken", end - at, avail);
	model_receive(s, at, end, at + avail, bufs, got);
	keep(bufs, got);
}

/* ---- send ----------------------------------------------------------------------------------------------- */

struct sending {
	struct f_socket *s;
	uint32_t at; /* in the TX ring */
	uint32_t descs;
	uint64_t drop[6]; /* null, misuse, short, pool, limit, metadata */
};

enum { DROP_NULL, DROP_MISUSE, DROP_SHORT, DROP_POOL, DROP_LIMIT, DROP_METADATA, SENT };

/* Is what it asks for in the frame, for all who share it? Looked at before the call, which may change it. */
static bool is_written(const struct f_pool *p, struct sxsk_buf b)
{
	const struct sxsk_priv_tx_request *r;
	struct tx_metadata m;

	if (!p || !p->in->tx_metadata_len || b.offset < p->in->tx_metadata_len || !model_live(b) ||
	    !model_in_chunk(b) || model_pool_of(b) != p)
		return false;
	r = &p->in->tx_requests[sxsk_buf_index(b)];
	memcpy(&m,
	       p->in->base + (size_t)sxsk_buf_index(b) * p->in->chunk + b.offset -
		       p->in->tx_metadata_len,
	       sizeof(m));
	return m.flags == r->what && m.request.csum_start == r->sum_start &&
	       m.request.csum_offset == r->sum_offset && m.request.launch_time == r->launch;
}

static bool request_ready(const struct f_socket *s, struct sxsk_buf b, bool written)
{
	const struct f_pool *p = s->pool;
	const struct sxsk_priv_tx_request *r;

	if (!p->in->tx_metadata_len || b.offset < p->in->tx_metadata_len)
		return false;
	r = &p->in->tx_requests[sxsk_buf_index(b)];
	if (r->offset != b.offset || r->what == 0 || (r->what & ~s->in->metadata) ||
	    (r->what & SXSK_METADATA_TX_CHECKSUM &&
	     (uint32_t)r->sum_start + r->sum_offset + 2 > b.length))
		return false;
	return model_unique(b) || (written && model_tx(model_frame(b)) == 0);
}

static uint32_t verdict(struct f_socket *s, struct sxsk_buf b, uint32_t least, bool written)
{
	if (sxsk_buf_is_null(b))
		return DROP_NULL;
	if (!model_live(b) || !model_in_chunk(b))
		return DROP_MISUSE;
	if (b.pool != s->pool->in->slot)
		return DROP_POOL;
	if (b.offset < s->pool->in->tx_metadata_len)
		return DROP_METADATA;
	if (b.flags & SXSK_BUF_TX_METADATA && (least != 14 || !request_ready(s, b, written)))
		return DROP_METADATA;
	return b.length < least ? DROP_SHORT : SENT;
}

static void drop(const struct sxsk_buf bufs[], uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (sxsk_buf_is_null(bufs[i]) || (model_live(bufs[i]) && model_in_chunk(bufs[i])))
			(void)model_unref(bufs[i]);
		else
			fw.misuse++;
}

/* Completions that never come leave it full. */
static uint32_t in_ledger(const struct f_socket *s)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < s->pool->in->count; i++)
		n += s->pool->frame[i].tx[s - fw.socket];
	return n;
}

/* The frame goes to TX: of one user alone, or by the ledger. */
static uint32_t submit(struct f_socket *s, struct sxsk_buf b)
{
	struct f_frame *f = model_frame(b);
	bool unique = model_unique(b) && !((f->generation + FRAME_GENERATION) & FRAME_USED_UP);

	if (!unique && in_ledger(s) == s->in->q->ledger.size)
		return DROP_LIMIT;
	if (!f)
		return DROP_MISUSE;
	if (model_tx(f) == SXSK_MAX_REFS)
		return DROP_LIMIT;
	model_bytes(s->pool, sxsk_buf_index(b));
	if (--f->users == 0)
		f->generation += FRAME_GENERATION;
	if (unique) {
		f->where = TX1;
		f->queue = s->queue_id;
	} else {
		f->tx[s - fw.socket]++;
	}
	return SENT;
}

static void take_back(struct f_socket *s, const struct sxsk_buf bufs[], uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		struct f_frame *f = &s->pool->frame[sxsk_buf_index(bufs[i])];

		if (f->where == TX1) {
			f->where = FREE;
		} else {
			f->tx[s - fw.socket]--;
			if (f->users == 0 && model_tx(f) == 0)
				model_finish(f);
		}
	}
}

static void check_desc(const struct sending *g, uint32_t i, struct sxsk_buf b, bool more)
{
	const struct xsk_ring_prod *tx = &g->s->in->tx_ring;
	const struct xdp_desc *d = (const struct xdp_desc *)tx->ring + ((g->at + i) & tx->mask);
	uint64_t address = (uint64_t)sxsk_buf_index(b) * g->s->pool->in->chunk + b.offset;
	uint32_t options = (more ? XDP_PKT_CONTD : 0u) | (b.flags & XDP_TX_METADATA);

	expect(d->addr == address && d->len == b.length && d->options == options,
	       "TX descriptor {0x%llx, %u, %u}, should be {0x%llx, %u, %u}",
	       (unsigned long long)d->addr, d->len, d->options, (unsigned long long)address,
	       b.length, options);
}

/* A packet of n Bufs, its end among them if `whole`. */
static void model_packet(struct sending *g, const struct sxsk_buf bufs[], const bool written[],
			 uint32_t n, bool whole)
{
	struct f_socket *s = g->s;
	uint32_t most = s->flags & SXSK_SOCKET_MULTI_BUFFER ? SXSK_MAX_FRAGS : 1, why = SENT;

	most = most < s->in->tx_ring.size ? most : s->in->tx_ring.size;
	most = most < s->in->q->comp.size ? most : s->in->q->comp.size;
	if (!whole || n > most)
		why = DROP_LIMIT;
	for (uint32_t i = 0; i < n && why == SENT; i++)
		why = verdict(s, bufs[i], i == 0 ? 14 : 1, written[i]);
	if (why != SENT) {
		drop(bufs, n);
		g->drop[why]++;
		return;
	}
	for (uint32_t i = 0; i < n; i++) {
		why = submit(s, bufs[i]);
		if (why != SENT) {
			take_back(s, bufs, i);
			drop(bufs + i, n - i);
			g->drop[why]++;
			return;
		}
	}
	for (uint32_t i = 0; i < n; i++)
		check_desc(g, g->descs + i, bufs[i], i + 1 < n);
	g->descs += n;
}

static uint32_t packet_bufs(const struct sxsk_buf bufs[], uint32_t n, bool *ret_whole)
{
	uint32_t k = 0;

	while (k < n && bufs[k].flags & SXSK_BUF_MORE)
		k++;
	*ret_whole = k < n;
	return k < n ? k + 1 : k;
}

static void model_send(struct f_socket *s, const struct sxsk_buf bufs[], const bool written[],
		       uint32_t n, uint32_t taken, uint32_t at, const uint64_t dropped[])
{
	const struct sxsk_priv_queue *q = s->in->q;
	struct sending g = { .s = s, .at = at };
	const atomic_u64 *drops[] = {
		&s->in->drop_null, &s->in->drop_misuse, &s->in->drop_short,
		&s->in->drop_pool, &s->in->drop_limit,  &s->in->drop_metadata
	};
	uint32_t i = 0, k, room = q->comp.size - (uint32_t)(q->comp_given - q->comp_returned),
		 slots = s->in->tx_ring.cached_cons - s->in->tx_ring.cached_prod;
	bool whole;

	while (i < taken) {
		k = packet_bufs(bufs + i, n - i, &whole);
		expect(k <= taken - i, "a packet of %u Bufs was taken in part", k);
		model_packet(&g, bufs + i, written + i, k, whole);
		i += k;
	}
	expect(g.descs == s->in->tx_ring.cached_prod - at, "%u descriptors in TX, should be %u",
	       s->in->tx_ring.cached_prod - at, g.descs);
	for (k = 0; k < 6; k++)
		expect(load_relaxed(drops[k]) - dropped[k] == g.drop[k],
		       "drop counter %u is %llu more, should be %llu", k,
		       (unsigned long long)(load_relaxed(drops[k]) - dropped[k]),
		       (unsigned long long)g.drop[k]);
	if (taken < n && load_relaxed(&s->in->failed) != EPROTO) {
		k = packet_bufs(bufs + taken, n - taken, &whole);
		expect(room < k || slots < k,
		       "%u of %u taken: COMPLETION has room for %u, TX for %u", taken, n, room,
		       slots);
	}
}

/* Send, or only reap, and see what came of it. Returns how many were taken. */
static uint32_t send(struct f_socket *s, struct sxsk_buf bufs[], uint32_t n)
{
	const struct xsk_ring_cons *comp = &s->in->q->comp;
	const struct sxsk_priv_socket *in = s->in;
	struct sxsk_buf before[64];
	bool written[64], off = load_relaxed(&in->failed) || s->flags & SXSK_SOCKET_NO_TX;
	bool lies = index_lies(comp);
	uint64_t done[RING_MOST],
		returned = in->q->comp_returned,
		dropped[] = { load_relaxed(&in->drop_null),  load_relaxed(&in->drop_misuse),
			      load_relaxed(&in->drop_short), load_relaxed(&in->drop_pool),
			      load_relaxed(&in->drop_limit), load_relaxed(&in->drop_metadata) };
	uint32_t avail = lies ? 0 : *comp->producer - comp->cached_cons,
		 at = in->tx_ring.cached_prod, taken, reaped;

	if (n > 0)
		memcpy(before, bufs, n * sizeof(bufs[0]));
	for (uint32_t i = 0; i < n; i++)
		written[i] = is_written(s->pool, bufs[i]);
	for (uint32_t i = 0; i < avail; i++)
		done[i] = ((uint64_t *)comp->ring)[(comp->cached_cons + i) & comp->mask];
	taken = sxsk_tx_burst(s->cookie, bufs, n);
	reaped = (uint32_t)(in->q->comp_returned - returned);
	if (off) {
		expect(taken == 0 && reaped == 0, "a socket that is off took %u, reaped %u", taken,
		       reaped);
		return 0;
	}
	expect(taken <= n, "%u of %u taken", taken, n);
	if (load_relaxed(&in->failed) != EPROTO)
		expect(reaped == avail && !lies, "%u of %u completions taken, index lies: %d",
		       reaped, avail, lies);
	expect(reaped <= avail, "%u completions taken, and %u were there", reaped, avail);
	model_complete(s, done, reaped);
	if (lies || in->q->comp_returned > in->q->comp_given) {
		expect(load_relaxed(&in->failed) == EPROTO, "COMPLETION: not poisoned");
		expect(taken == 0 && in->tx_ring.cached_prod == at, "%u sent, poisoned", taken);
		return 0;
	}
	model_send(s, before, written, n, taken, at, dropped);
	for (uint32_t i = 0; i < taken; i++)
		expect(bufs[i].pool == 0 || memcmp(&bufs[i], &before[i], sizeof(bufs[i])) == 0,
		       "handle %u of a burst is another one", i);
	return taken;
}

void op_send(void)
{
	struct sxsk_socket *cookie;
	struct f_socket *s = pick_socket(&cookie);
	struct sxsk_buf bufs[24];
	uint32_t n = 1 + byte() % 24, step = byte();

	for (uint32_t i = 0; i < n; i++)
		bufs[i] = step & 1 ? *pick() : fw.handle[(step + i) % HANDLES];
	if (!s) {
		expect(sxsk_tx_burst(cookie, bufs, n) == 0, "a closed socket sends");
		fw.misuse++;
		return;
	}
	(void)send(s, bufs, n);
}

/* The ordinary packet: allocated, written, sent; of several Bufs where the socket takes them. */
void op_send_made(void)
{
	struct sxsk_socket *cookie;
	struct f_socket *s = pick_socket(&cookie);
	struct sxsk_buf bufs[16];
	uint32_t n = 1 + byte() % 16, len = 14 + two_bytes() % 2200, value = byte(), got, taken;

	if (!s)
		return;
	got = sxsk_pool_alloc(s->pool->cookie, bufs, n);
	for (uint32_t i = 0; i < got; i++) {
		uint32_t room = sxsk_buf_tailroom(bufs[i]);

		model_own(s->pool, sxsk_buf_index(bufs[i]), NULL);
		expect(sxsk_buf_put(&bufs[i], len < room ? len : room) == 0, "no room");
		memset(sxsk_buf_data_mut(bufs[i]), (int)(value + i), bufs[i].length);
		model_own(s->pool, sxsk_buf_index(bufs[i]), NULL);
		if (value & 1 && i + 1 < got && s->flags & SXSK_SOCKET_MULTI_BUFFER)
			bufs[i].flags = SXSK_BUF_MORE;
	}
	taken = send(s, bufs, got);
	keep(bufs + taken, got - taken);
}

/* A packet that asks for its time, read through a reference with another view. */
void op_send_timed(void)
{
	struct sxsk_socket *cookie;
	struct f_socket *s = pick_socket(&cookie);
	uint32_t move = byte();
	struct sxsk_buf b, clone;

	if (!s || !s->pool->in->tx_metadata_len || sxsk_pool_alloc(s->pool->cookie, &b, 1) == 0)
		return;
	model_own(s->pool, sxsk_buf_index(b), NULL);
	expect(sxsk_buf_put(&b, 60 + move) == 0 && sxsk_buf_tx_timestamp(&b) == 0, "a request: %s",
	       sxsk_last_error());
	clone = sxsk_buf_ref(b);
	model_frame(b)->users++;
	if (send(s, &b, 1) == 0)
		keep(&b, 1);
	(void)send(s, NULL, 0);
	expect((move & 1 ? sxsk_buf_push(&clone, move) : sxsk_buf_pull(&clone, move)) == 0,
	       "a view");
	read_time(clone);
	keep(&clone, 1);
}

void op_reap(void)
{
	struct sxsk_socket *cookie;
	struct f_socket *s = pick_socket(&cookie);

	if (s)
		(void)send(s, NULL, 0);
}

/* ---- calls that reap, kick and refill in an order of their own ---------------------------------------------- */

struct account {
	uint64_t tx, completed;
};

static struct account account(const struct f_pool *p)
{
	struct account a = { 0 };

	for (uint32_t i = 0; i < p->in->count; i++)
		a.tx += (p->frame[i].where == TX1) + model_tx(&p->frame[i]);
	for (const struct f_socket *s = fw.socket; s < fw.socket + SOCKETS; s++)
		if (s->cookie && s->pool == p)
			a.completed += load_relaxed(&s->in->tx_completed) -
				       load_relaxed(&s->in->comp_refused);
	return a;
}

static void settle(struct f_pool *p, struct account before)
{
	struct f_permit permit = { .completions = true, .suspects = p->lied_to };
	struct account now;

	model_released();
	model_adopt(p, &permit);
	for (struct f_socket *s = fw.socket; s < fw.socket + SOCKETS; s++)
		if (s->cookie && s->pool == p) {
			model_filled(s);
			s->counted[2] = load_relaxed(&s->in->comp_refused);
		}
	now = account(p);
	expect(before.tx - now.tx == now.completed - before.completed,
	       "%llu transmissions ended, and %llu completions were accepted",
	       (unsigned long long)(before.tx - now.tx),
	       (unsigned long long)(now.completed - before.completed));
}

void op_wait(void)
{
	struct sxsk_socket *cookie;
	struct f_socket *s = pick_socket(&cookie);
	uint32_t events = byte() & 15, sides = 0;
	struct account before;
	bool poisoned;
	int got;

	if (!s) {
		got = sxsk_socket_wait(cookie, events, 0);
		expect(got == -EINVAL, "wait on a closed socket gives %d", got);
		fw.misuse++;
		return;
	}
	sides |= s->flags & SXSK_SOCKET_NO_RX ? SXSK_WAIT_RX : 0;
	sides |= s->flags & SXSK_SOCKET_NO_TX ? SXSK_WAIT_TX : 0;
	poisoned = load_relaxed(&s->in->failed) == EPROTO;
	before = account(s->pool);
	got = sxsk_socket_wait(cookie, events, 0);
	settle(s->pool, before);
	if (events == 0 || events & 8 || events & sides)
		expect(got == -EINVAL, "wait for 0x%x gives %d", events, got);
	else if (poisoned)
		expect(got == -EPROTO, "wait on a poisoned socket gives %d", got);
	else
		expect(got == -ENETDOWN || got == -ENXIO || got == -EPROTO ||
			       (got >= 0 && (got & ~(int)(events | SXSK_WAIT_WAKE)) == 0),
		       "wait for 0x%x gives %d", events, got);
}

void op_pool_drain(void)
{
	struct sxsk_pool *cookie;
	struct f_pool *p = pick_pool(&cookie);
	struct account before;
	uint32_t out = 0;
	int err;

	if (!p) {
		expect(sxsk_pool_drain(cookie, 0) == -EINVAL, "a dead pool drains");
		fw.misuse++;
		return;
	}
	before = account(p);
	err = sxsk_pool_drain(cookie, 0);
	settle(p, before);
	for (uint32_t i = 0; i < p->in->count; i++)
		out += p->frame[i].where == HELD || p->frame[i].where == TX1;
	expect(err == (out ? -ETIMEDOUT : 0), "drain gives %d, %u are out", err, out);
}

/* ---- looks ---------------------------------------------------------------------------------------------- */

void op_error(void)
{
	struct sxsk_socket *cookie;
	struct f_socket *s = pick_socket(&cookie);
	int err = sxsk_socket_error(cookie);

	if (!s) {
		expect(err == -EBADF, "error of a closed socket: %d", err);
		fw.misuse++;
	} else {
		expect(s->poisoned ? err == -EPROTO : err == 0 || err == -ENETDOWN || err == -ENXIO,
		       "error: %d", err);
	}
}

void op_socket_stats(void)
{
	struct sxsk_socket *cookie;
	struct f_socket *s = pick_socket(&cookie);
	struct sxsk_socket_stats st = { .sz = sizeof(st) };

	sxsk_socket_stats(cookie, &st);
	fw.misuse += s == NULL;
	if (s)
		expect(st.poisoned == s->poisoned && st.comp_duplicate <= st.comp_refused,
		       "poisoned %u, should be %d", st.poisoned, s->poisoned);
}

void op_wake(void)
{
	struct sxsk_socket *cookie;

	fw.misuse += pick_socket(&cookie) == NULL;
	sxsk_socket_wake(cookie);
}
