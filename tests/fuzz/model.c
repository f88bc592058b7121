/* SPDX-License-Identifier: BSD-2-Clause */
/* The shadow: who has which frame. It is told what the rings contain, and what a call was asked for. */
#include "fuzz.h"

struct f_pool *model_pool_of(struct sxsk_buf b)
{
	for (struct f_pool *p = fw.pool; p < fw.pool + POOLS; p++)
		if (p->cookie && p->in->slot == b.pool)
			return p;
	return NULL;
}

struct f_frame *model_frame(struct sxsk_buf b)
{
	struct f_pool *p = model_pool_of(b);
	uint32_t index = sxsk_buf_index(b);
	struct f_frame *f;

	if (!p || index >= p->in->count)
		return NULL;
	f = &p->frame[index];
	return f->where == HELD && f->users > 0 && f->generation == (b.id & ~FRAME_LOW) ? f : NULL;
}

uint32_t model_tx(const struct f_frame *f)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < SOCKETS; i++)
		n += f->tx[i];
	return n;
}

bool model_live(struct sxsk_buf b)
{
	return model_frame(b) != NULL;
}

bool model_unique(struct sxsk_buf b)
{
	const struct f_frame *f = model_frame(b);

	return f && f->users == 1 && !f->suspect && model_tx(f) == 0;
}

bool model_in_chunk(struct sxsk_buf b)
{
	const struct f_pool *p = model_pool_of(b);

	return p && (uint32_t)b.offset + b.length <= p->in->chunk;
}

uint64_t model_word(const struct f_frame *f, uint64_t actual)
{
	switch (f->where) {
	case HELD:
		return held(f->generation, f->users, model_tx(f), f->suspect);
	case FILLED:
		return f->generation | FRAME_FILL(f->queue);
	case TX1:
		return f->generation | FRAME_TX1(f->queue);
	case QUARANTINED:
		return f->generation | FRAME_QUARANTINED(f->queue);
	case RETIRED:
		return f->generation | FRAME_RETIRED;
	default: /* whose it is, is the library's affair */
		return f->generation | FRAME_HOME(FRAME_DETAIL(actual));
	}
}

void model_finish(struct f_frame *f)
{
	f->where = f->suspect ? QUARANTINED : f->generation & FRAME_USED_UP ? RETIRED : FREE;
	f->queue = f->suspect ? f->note : 0;
	f->suspect = false;
}

bool model_unref(struct sxsk_buf b)
{
	struct f_frame *f = model_frame(b);

	if (sxsk_buf_is_null(b))
		return true;
	if (!f) {
		fw.misuse++;
		return false;
	}
	model_bytes(model_pool_of(b), sxsk_buf_index(b));
	if (--f->users > 0)
		return true;
	f->generation += FRAME_GENERATION;
	f->tainted = false;
	if (model_tx(f) == 0)
		model_finish(f);
	return true;
}

void model_suspect(struct f_frame *f, uint32_t queue)
{
	f->note = f->suspect && f->note != queue ? FRAME_FOREVER : queue;
	f->suspect = true;
}

/* ---- bytes -------------------------------------------------------------------------------------------- */

/* Does the device still have this chunk, whatever the library believes? */
static bool kernel_has(const struct f_socket *s, uint32_t index)
{
	const struct mem_end *e = s->in->device_data;
	const struct sxsk_priv_pool *pool = s->pool->in;
	const uint64_t *fill = e->fill.entries, chunk = pool->chunk;
	uint32_t cons = s->taken ? *s->k.fill.consumer : e->fill.cons,
		 n = load_relaxed(e->fill.producer) - cons;

	for (uint32_t i = 0; i < e->n_spare; i++)
		if (e->spare[i] / chunk == index)
			return true;
	for (uint32_t i = 0; i < (n < e->fill.size ? n : e->fill.size); i++)
		if (fill[(cons + i) & e->fill.mask] / chunk == index)
			return true;
	return false;
}

void model_own(struct f_pool *p, uint32_t index, const struct f_socket *s)
{
	struct f_frame *f = &p->frame[index];
	size_t chunk = p->in->chunk;

	f->where = HELD;
	f->users = 1;
	f->suspect = f->tainted = false;
	for (uint32_t i = 0; i < SOCKETS; i++) {
		const struct f_socket *other = &fw.socket[i];

		if (!other->cookie || other->pool != p || !kernel_has(other, index))
			continue;
		expect(other->lied || (p->lied_to && other != s),
		       "frame %u is a user's while the kernel has it, which told no lie", index);
		f->tainted = true;
	}
	memcpy(p->bytes + index * chunk, p->in->base + index * chunk, chunk);
}

void model_bytes(struct f_pool *p, uint32_t index)
{
	const struct f_frame *f = &p->frame[index];
	size_t chunk = p->in->chunk;

	if (f->where != HELD || f->users == 0 || f->tainted || f->suspect || p->in->tx_metadata_len)
		return;
	if (load_relaxed(&p->in->cookie) != (uint64_t)(uintptr_t)p->cookie)
		return; /* gone with the last reference, which this call took */
	expect(memcmp(p->bytes + index * chunk, p->in->base + index * chunk, chunk) == 0,
	       "frame %u changed under its owner", index);
}

/* ---- rings -------------------------------------------------------------------------------------------- */

void model_filled(struct f_socket *s)
{
	const struct xsk_ring_prod *fill = &s->in->q->fill;
	const struct sxsk_priv_pool *pool = s->pool->in;

	expect(*fill->producer == fill->cached_prod, "FILL: %u written, %u published",
	       fill->cached_prod, *fill->producer);
	for (; s->filled != fill->cached_prod; s->filled++) {
		uint64_t address = ((uint64_t *)fill->ring)[s->filled & fill->mask],
			 index = address / pool->chunk;
		struct f_frame *f = &s->pool->frame[index];

		expect(address % pool->chunk == 0 && index < pool->count,
		       "FILL got the address 0x%llx", (unsigned long long)address);
		expect(f->where == FREE, "frame %llu went to FILL and was not free (%d)",
		       (unsigned long long)index, (int)f->where);
		f->where = FILLED;
		f->queue = s->queue_id;
	}
}

static bool locate(const struct f_pool *p, uint64_t address, uint64_t *ret_index,
		   uint64_t *ret_offset)
{
	const struct sxsk_priv_pool *pool = p->in;
	uint64_t base = address, high = 0;

	if (!pool->shift) {
		base = address & ((1ull << 48) - 1);
		high = address >> 48;
	}
	*ret_index = base / pool->chunk;
	*ret_offset = base % pool->chunk + high;
	return *ret_index < pool->count && *ret_offset < pool->chunk;
}

/* One RX descriptor: the user's, or refused. */
static bool receive_one(struct f_socket *s, const struct xdp_desc *d, uint32_t flags,
			struct sxsk_buf *ret)
{
	struct f_pool *p = s->pool;
	uint64_t index, offset;
	struct f_frame *f;

	if (locate(p, d->addr, &index, &offset) && offset + d->len <= p->in->chunk) {
		f = &p->frame[index];
		if (f->where == FILLED && f->queue == s->queue_id) {
			*ret = (struct sxsk_buf){ .id = f->generation | index,
						  .length = (uint16_t)d->len,
						  .offset = (uint16_t)offset,
						  .flags = (uint16_t)flags,
						  .pool = (uint16_t)p->in->slot };
			model_own(p, (uint32_t)index, s);
			return true;
		}
	}
	s->counted[0]++;
	if (index < p->in->count && p->frame[index].users > 0)
		model_suspect(&p->frame[index], s->queue_id);
	return false;
}

static void drop(struct sxsk_buf b)
{
	struct f_frame *f = model_frame(b);

	/* What the library did with it in the meantime is its own affair: a broken packet's frames. */
	f->tainted = true;
	(void)model_unref(b);
}

static const struct xdp_desc *rx_desc(const struct f_socket *s, uint32_t at)
{
	return (const struct xdp_desc *)s->in->rx_ring.ring + (at & s->in->rx_ring.mask);
}

/* The descriptors of the packet at `at`, of n; 0: its end is not there. */
static uint32_t packet_descs(const struct f_socket *s, uint32_t at, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (!(rx_desc(s, at + i)->options & XDP_PKT_CONTD))
			return i + 1;
	return 0;
}

void model_receive(struct f_socket *s, uint32_t at, uint32_t end, uint32_t seen,
		   const struct sxsk_buf bufs[], uint32_t n)
{
	bool multi = s->flags & SXSK_SOCKET_MULTI_BUFFER;
	struct sxsk_buf got[RING_MOST];
	uint32_t out = 0;

	while (at != end) {
		uint32_t left = seen - at, k = multi ? packet_descs(s, at, left) : 1, m = out;
		bool endless = s->endless || k == 0 || k > SXSK_MAX_FRAGS, whole = !endless;

		expect(k > 0 || left >= SXSK_MAX_FRAGS || s->endless,
		       "a packet was taken whose end has not come");
		if (endless)
			s->endless = k == 0;
		k = k ? k : left;
		for (uint32_t i = 0; i < k; i++) {
			uint32_t flags = multi && i + 1 < k && !endless ? SXSK_BUF_MORE : 0;

			if (!receive_one(s, rx_desc(s, at + i), flags, &got[m]))
				whole = false;
			else if (endless)
				drop(got[m]);
			else
				m++;
		}
		at += k;
		if (endless) {
			s->counted[1] += !s->endless;
			continue;
		}
		if (whole) {
			out = m;
			continue;
		}
		while (m > out)
			drop(got[--m]);
		s->counted[1] += k > 1;
	}
	expect(out == n, "%u Bufs came of the descriptors, not %u", n, out);
	for (uint32_t i = 0; i < n; i++)
		expect(memcmp(&got[i], &bufs[i], sizeof(got[i])) == 0,
		       "Buf %u is frame %u, generation %llu, offset %u, length %u, flags %u; "
		       "should be frame %u, generation %llu, offset %u, length %u, flags %u",
		       i, sxsk_buf_index(bufs[i]), (unsigned long long)bufs[i].id >> 20,
		       bufs[i].offset, bufs[i].length, bufs[i].flags, sxsk_buf_index(got[i]),
		       (unsigned long long)got[i].id >> 20, got[i].offset, got[i].length,
		       got[i].flags);
}

void model_complete(struct f_socket *s, const uint64_t *comp, uint32_t n)
{
	struct f_pool *p = s->pool;

	for (uint32_t i = 0; i < n; i++) {
		uint64_t index, offset;
		struct f_frame *f;

		(void)locate(p, comp[i], &index, &offset);
		f = index < p->in->count ? &p->frame[index] : NULL;
		if (f && f->where == TX1 && f->queue == s->queue_id) {
			f->where = FREE;
		} else if (f && f->where == HELD && f->tx[s - fw.socket] > 0) {
			f->tx[s - fw.socket]--;
			if (f->users == 0 && model_tx(f) == 0)
				model_finish(f);
		} else {
			s->counted[2]++;
			if (f && f->where == HELD && f->users > 0)
				model_suspect(f, s->queue_id);
		}
	}
}

/* ---- calls whose order is their own affair ---------------------------------------------------------------- */

/* Where the ledgers are, for one frame: which of several sockets took a completion is theirs to know. */
static void read_ledgers(struct f_pool *p, uint32_t index, const struct f_permit *permit)
{
	for (uint32_t i = 0; i < SOCKETS; i++) {
		const struct f_socket *s = &fw.socket[i];
		const struct sxsk_priv_ledger *l;
		uint32_t n = 0;

		if (s->cookie && s->pool == p && s != permit->closing) {
			l = &s->in->q->ledger;
			for (uint32_t e = 0; e < l->size; e++)
				n += l->frame[e] == index;
		}
		expect(n <= p->frame[index].tx[i], "frame %u: a transmission that nobody asked for",
		       index);
		p->frame[index].tx[i] = n;
	}
}

static void adopt_held(struct f_pool *p, uint32_t index, uint64_t w, const struct f_permit *permit)
{
	struct f_frame *f = &p->frame[index];

	if (model_tx(f) > 0)
		read_ledgers(p, index, permit);
	if ((FRAME_HAS_USERS(w) || FRAME_TX_OF(w)) && is_suspect(w) && !f->suspect) {
		expect(permit->suspects || permit->closing, "frame %u is a suspect, and why?",
		       index);
		f->suspect = true;
	}
	if (f->suspect || permit->suspects || permit->closing)
		f->note = load_relaxed(&p->in->notes[index]);
	if (f->users > 0 || model_tx(f) > 0)
		return;
	if (w == (f->generation | FRAME_QUARANTINED(f->note)) && permit->closing)
		f->suspect = true;
	model_finish(f);
}

static void adopt(struct f_pool *p, uint32_t index, uint64_t w, const struct f_permit *permit)
{
	struct f_frame *f = &p->frame[index];
	bool closed = permit->closing && f->queue == permit->closing_queue;

	if (f->where == HELD && f->suspect)
		f->note = load_relaxed(&p->in->notes[index]);
	if (w == model_word(f, w))
		return;
	if (f->where == HELD) {
		adopt_held(p, index, w, permit);
	} else if (f->where == TX1 &&
		   ((permit->completions && (w & ~FRAME_LOW) == f->generation) || closed)) {
		f->where = w == (f->generation | FRAME_QUARANTINED(f->queue)) ? QUARANTINED : FREE;
	} else if (f->where == FILLED && closed) {
		/* Received and given back, or abandoned; and then perhaps released, see below. */
		if (w >> 20 == (f->generation >> 20) + 1) {
			f->generation += FRAME_GENERATION;
			f->note = f->queue;
			f->suspect = w == (f->generation | FRAME_QUARANTINED(f->queue));
			model_finish(f); /* a suspect, if the ring named it twice */
		} else {
			f->where = QUARANTINED;
		}
	}
}

void model_adopt(struct f_pool *p, const struct f_permit *permit)
{
	for (uint32_t i = 0; i < p->in->count; i++)
		adopt(p, i, frame_word(p->in, i), permit);
}

/* Is nobody there any more who could write to this queue's frames? */
static bool may_be_released(const struct f_record *r)
{
	if (sxsk_priv_device_mem.gone(&r->device))
		return true;
	for (const struct f_socket *s = fw.socket; s < fw.socket + SOCKETS; s++)
		if (s->cookie && s->in->q->device.netns == r->device.netns)
			return true;
	return false;
}

void model_released(void)
{
	for (struct f_record *r = fw.record; r < fw.record + RECORDS; r++) {
		const struct sxsk_priv_queue *q = &sxsk_priv_registry.queue[r->queue];

		if (!r->active || (q->state == QUEUE_QUARANTINE && q->pool == r->pool_cookie &&
				   q->device.netns == r->device.netns))
			continue;
		r->active = false;
		if (!r->pool->cookie || (uint64_t)(uintptr_t)r->pool->cookie != r->pool_cookie)
			continue;
		expect(may_be_released(r), "queue %u's quarantine ended too early", r->queue);
		for (uint32_t i = 0; i < r->pool->in->count; i++) {
			struct f_frame *f = &r->pool->frame[i];

			if (f->where == QUARANTINED && f->queue == r->queue)
				model_finish(f);
			else if (f->where == HELD && f->suspect && f->note == r->queue)
				f->suspect = false;
		}
	}
}

/* ---- what holds after every call -------------------------------------------------------------------------- */

void model_compare(struct f_pool *p)
{
	uint64_t units = load_relaxed(&p->in->units);
	uint32_t out = 0;

	for (uint32_t i = 0; i < p->in->count; i++) {
		uint64_t w = frame_word(p->in, i);

		expect(w == model_word(&p->frame[i], w),
		       "frame %u's word is 0x%llx, should be 0x%llx", i, (unsigned long long)w,
		       (unsigned long long)model_word(&p->frame[i], w));
		out += !(p->frame[i].where == QUARANTINED || p->frame[i].where == RETIRED ||
			 (w & FRAME_LOW) == FRAME_HOME(HOLDER_DEPOT));
	}
	expect(UNITS_FRAMES(units) == out, "units of %u frames, and %u are out",
	       UNITS_FRAMES(units), out);
	expect(UNITS_OWNERS(units) == p->owners && UNITS_SOCKETS(units) == p->sockets,
	       "%u owners, %u sockets; should be %u, %u", UNITS_OWNERS(units), UNITS_SOCKETS(units),
	       p->owners, p->sockets);
}

void model_totals(struct f_pool *p)
{
	struct sxsk_pool_stats st = { .sz = sizeof(st) };
	uint64_t n[RETIRED + 1] = { 0 }, users = 0;

	for (uint32_t i = 0; i < p->in->count; i++) {
		n[p->frame[i].where]++;
		users += p->frame[i].users > 0;
	}
	sxsk_pool_stats(p->cookie, &st);
	expect(st.user == users && st.lanes + st.depot == n[FREE] && st.fill == n[FILLED] &&
		       st.tx == n[TX1] + n[HELD] - users && st.quarantined == n[QUARANTINED] &&
		       st.retired == n[RETIRED],
	       "user %llu, lanes %llu, depot %llu, fill %llu, tx %llu, quarantined %llu, retired %llu; "
	       "should be %llu, free %llu, %llu, %llu, %llu, %llu",
	       (unsigned long long)st.user, (unsigned long long)st.lanes,
	       (unsigned long long)st.depot, (unsigned long long)st.fill, (unsigned long long)st.tx,
	       (unsigned long long)st.quarantined, (unsigned long long)st.retired,
	       (unsigned long long)users, (unsigned long long)n[FREE],
	       (unsigned long long)n[FILLED], (unsigned long long)(n[TX1] + n[HELD] - users),
	       (unsigned long long)n[QUARANTINED], (unsigned long long)n[RETIRED]);
	expect(st.user + st.lanes + st.depot + st.fill + st.tx + st.quarantined + st.retired ==
		       st.total,
	       "not every frame is accounted for");
}
