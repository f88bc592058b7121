/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Each packet sent to several ports, as users of libxdp write it: its address goes into each port's TX ring,
 * and it is free when it has come back over all of their COMPLETION rings, which a number per frame tells
 * (raw-list); the same number, kept so that the ports may be other threads' (arc); or each port but
 * the last one gets a copy (raw-copy).
 */
#include "raw.h"
#include "variants.h"

#include <string.h>

void bench_flood_floor_run(struct world *w, unsigned burst, uint64_t packets)
{
	struct raw *r = (struct raw *)w;
	const unsigned ports = w->of->ports;

	for (uint64_t done = 0; done < packets;) {
		unsigned n = pump_packets(&w->pump, burst);

		bench_check_progress(n);
		xsk_ring_cons__release(&r->rx, n);
		for (unsigned j = 0; j < ports; j++) {
			xsk_ring_prod__submit(&r->port[j].tx, n);
			pump_transmit(&w->port[j], n);
			xsk_ring_cons__release(&r->port[j].comp, n);
		}
		xsk_ring_prod__submit(&r->fill, n);
		done += n;
	}
}

/* ---- what is done with a frame for each port, and when it comes back ----------------------------------- */

static inline void begin(struct raw *r, uint64_t addr, uint32_t users)
{
	atomic_store_explicit(&r->count[addr / CHUNK], users, memory_order_relaxed);
}

static inline void end_plain(struct raw *r, uint64_t addr)
{
	unsigned left = atomic_load_explicit(&r->count[addr / CHUNK], memory_order_relaxed) - 1;

	atomic_store_explicit(&r->count[addr / CHUNK], left, memory_order_relaxed);
	if (left == 0)
		r->list[r->n++] = addr;
}

static inline void end_copy(struct raw *r, uint64_t addr)
{
	r->list[r->n++] = addr;
}

static inline __attribute__((always_inline)) uint64_t
for_port(struct raw *r, uint64_t addr, unsigned left, bool copies, bool counts)
{
	uint64_t to;

	if (counts && left > 0)
		frame_ref(r, addr);
	if (!copies || left == 0)
		return addr;
	if (r->n == 0)
		bench_die("no frame for a copy");
	to = r->list[--r->n] / CHUNK * CHUNK + addr % CHUNK;
	memcpy(r->umem + to, r->umem + addr, r->world.pump.length);
	return to;
}

/* ---- the loop ------------------------------------------------------------------------------------------- */

static inline __attribute__((always_inline)) void flood(struct world *w, unsigned burst,
							uint64_t packets, bool copies, bool counts,
							void (*end)(struct raw *r, uint64_t addr))
{
	struct raw *r = (struct raw *)w;
	const unsigned ports = w->of->ports;

	for (uint64_t done = 0; done < packets;) {
		uint32_t rx, tx, n;

		pump_packets(&w->pump, burst);
		n = xsk_ring_cons__peek(&r->rx, burst, &rx);
		bench_check_progress(n);
		for (uint32_t i = 0; i < n && !copies; i++)
			begin(r, xsk_ring_cons__rx_desc(&r->rx, rx + i)->addr, counts ? 1 : ports);
		for (unsigned j = 0; j < ports; j++) {
			if (xsk_ring_prod__reserve(&r->port[j].tx, n, &tx) != n)
				bench_die("the TX ring is full");
			for (uint32_t i = 0; i < n; i++) {
				const struct xdp_desc *in = xsk_ring_cons__rx_desc(&r->rx, rx + i);

				*xsk_ring_prod__tx_desc(&r->port[j].tx, tx + i) =
					(struct xdp_desc){ .addr = for_port(r, in->addr,
									    ports - 1 - j, copies,
									    counts),
							   .len = in->len };
			}
			xsk_ring_prod__submit(&r->port[j].tx, n);
			pump_transmit(&w->port[j], n);
		}
		xsk_ring_cons__release(&r->rx, n);
		for (unsigned j = 0; j < ports; j++) {
			uint32_t idx, m = xsk_ring_cons__peek(&r->port[j].comp, RING_SIZE, &idx);

			for (uint32_t i = 0; i < m; i++)
				end(r, *xsk_ring_cons__comp_addr(&r->port[j].comp, idx + i));
			xsk_ring_cons__release(&r->port[j].comp, m);
		}
		raw_refill(r, n);
		done += n;
	}
}

void bench_flood_raw_list_run(struct world *w, unsigned burst, uint64_t packets)
{
	flood(w, burst, packets, false, false, end_plain);
}

void bench_flood_arc_run(struct world *w, unsigned burst, uint64_t packets)
{
	flood(w, burst, packets, false, true, frame_unref);
}

void bench_flood_raw_copy_run(struct world *w, unsigned burst, uint64_t packets)
{
	flood(w, burst, packets, true, false, end_copy);
}
