/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Receive in one thread, free in another, as users of libxdp write it: descriptors go over one ring,
 * and addresses come back over another, since the FILL ring has one producer. Three variants: what
 * comes back goes straight to FILL (raw), into a free list that keeps FILL at its level (raw-list),
 * the same with a reference count on the pool per Buf (arc), made by one thread and dropped by the
 * other.
 */
#include "link.h"
#include "raw.h"
#include "variants.h"

struct world *bench_handover_raw_open(const struct bench_case *of, uint32_t frames)
{
	struct world *w = bench_raw_open(of, frames);

	w->link = link_new();
	return w;
}

/* Into the list: as much as is there. */
static void collect(struct raw *r, struct link *l)
{
	uint32_t n = spsc_ready(&l->back, LINK_SIZE), head = spsc_head(&l->back);

	for (uint32_t i = 0; i < n; i++)
		r->list[r->n++] = l->address[(head + i) % LINK_SIZE];
	spsc_release(&l->back, n);
}

void bench_handover_raw_close(struct world *w)
{
	struct raw *r = (struct raw *)w;

	collect(r, w->link);
	link_free(w->link);
	bench_raw_close(w);
}

/* ---- what becomes of the frames that came back, at the receiver ------------------------------------- */

static inline void return_direct(struct raw *r, struct link *l, uint32_t least)
{
	uint32_t n = spsc_ready(&l->back, LINK_SIZE), head = spsc_head(&l->back), idx;

	if (n < least || xsk_ring_prod__reserve(&r->fill, n, &idx) != n)
		return;
	for (uint32_t i = 0; i < n; i++)
		*xsk_ring_prod__fill_addr(&r->fill, idx + i) = l->address[(head + i) % LINK_SIZE];
	spsc_release(&l->back, n);
	xsk_ring_prod__submit(&r->fill, n);
}

static inline void return_to_list(struct raw *r, struct link *l, uint32_t least)
{
	collect(r, l);
	if (r->missing >= least && r->n > 0)
		raw_fill(r, r->missing < r->n ? r->missing : r->n);
}

/* ---- the receiver ------------------------------------------------------------------------------------ */

/* Whole bursts only, so that the packets are as many as were asked for: wait until there is room. */
static inline bool ready(struct world *w, unsigned burst)
{
	return spsc_room(&w->link->to, burst) >= burst && pump_fill_level(&w->pump) >= burst;
}

static inline __attribute__((always_inline)) void
receive(struct world *w, unsigned burst, uint64_t packets,
	void (*give_back)(struct raw *r, struct link *l, uint32_t least), bool counts)
{
	struct raw *r = (struct raw *)w;
	struct link *l = w->link;
	uint64_t sent = link_is_done(l), end = sent + packets;

	while (sent < end) {
		uint32_t idx, n, tail = spsc_tail(&l->to);

		give_back(r, l, REFILL_BATCH);
		if (!ready(w, burst)) {
			give_back(r, l, 1);
			link_relax();
			continue;
		}
		pump_packets(&w->pump, burst);
		n = xsk_ring_cons__peek(&r->rx, burst, &idx);
		for (uint32_t i = 0; i < n; i++) {
			l->desc[(tail + i) % LINK_SIZE] = *xsk_ring_cons__rx_desc(&r->rx, idx + i);
			if (counts)
				pool_ref(r);
		}
		xsk_ring_cons__release(&r->rx, n);
		spsc_publish(&l->to, n);
		r->missing += n;
		sent += n;
	}
	while (link_is_done(l) != sent) {
		give_back(r, l, 1);
		link_relax();
	}
}

void bench_handover_raw_run(struct world *w, unsigned burst, uint64_t packets)
{
	receive(w, burst, packets, return_direct, false);
}

void bench_handover_raw_list_run(struct world *w, unsigned burst, uint64_t packets)
{
	receive(w, burst, packets, return_to_list, false);
}

void bench_handover_arc_run(struct world *w, unsigned burst, uint64_t packets)
{
	receive(w, burst, packets, return_to_list, true);
}

/* ---- its partner -------------------------------------------------------------------------------------- */

static inline __attribute__((always_inline)) void serve(struct world *w, bool counts)
{
	struct raw *r = (struct raw *)w;
	struct link *l = w->link;
	unsigned char *umem = r->umem;

	atomic_store_explicit(&l->running, true, memory_order_release);
	while (!link_stopped(l)) {
		uint32_t n = link_ready(l), head = spsc_head(&l->to), tail = spsc_tail(&l->back);

		if (n == 0) {
			link_relax();
			continue;
		}
		for (uint32_t i = 0; i < n; i++) {
			uint64_t addr = l->desc[(head + i) % LINK_SIZE].addr;

			bench_swap_macs(xsk_umem__get_data(umem, addr));
			l->address[(tail + i) % LINK_SIZE] = addr;
			if (counts)
				pool_unref(r);
		}
		spsc_release(&l->to, n);
		spsc_publish(&l->back, n);
		link_done(l, n);
	}
}

void bench_handover_raw_serve(struct world *w)
{
	serve(w, false);
}

void bench_handover_arc_serve(struct world *w)
{
	serve(w, true);
}
