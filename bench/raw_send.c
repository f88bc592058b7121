/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Packets sent back, and packets made and sent, as users of libxdp write it. A sent frame is the kernel's
 * until its address comes back over the COMPLETION ring; then it goes straight to where the next one
 * is needed (raw), into a free list (raw-list), the same with a reference count on the pool per packet,
 * taken when it is received or made and dropped when it is completed (arc).
 */
#include "raw.h"
#include "variants.h"

static inline void put_desc(struct raw_port *port, uint32_t idx, uint64_t addr, uint32_t len)
{
	*xsk_ring_prod__tx_desc(&port->tx, idx) = (struct xdp_desc){ .addr = addr, .len = len };
}

static inline void unref_each(struct raw *r, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		pool_unref(r);
}

/* ---- received, and sent back -------------------------------------------------------------------------- */

void bench_send_floor_run(struct world *w, unsigned burst, uint64_t packets)
{
	struct raw *r = (struct raw *)w;

	for (uint64_t done = 0; done < packets;) {
		unsigned n = pump_packets(&w->pump, burst);

		bench_check_progress(n);
		xsk_ring_cons__release(&r->rx, n);
		xsk_ring_prod__submit(&r->port[0].tx, n);
		pump_transmit(&w->pump, n);
		xsk_ring_cons__release(&r->port[0].comp, n);
		xsk_ring_prod__submit(&r->fill, n);
		done += n;
	}
}

/* What was sent goes to FILL. */
static inline void reap_to_fill(struct raw *r)
{
	uint32_t from, to, n = xsk_ring_cons__peek(&r->port[0].comp, RING_SIZE, &from);

	if (n == 0)
		return;
	if (xsk_ring_prod__reserve(&r->fill, n, &to) != n)
		bench_die("the FILL ring is full");
	for (uint32_t i = 0; i < n; i++)
		*xsk_ring_prod__fill_addr(&r->fill, to + i) =
			*xsk_ring_cons__comp_addr(&r->port[0].comp, from + i);
	xsk_ring_cons__release(&r->port[0].comp, n);
	xsk_ring_prod__submit(&r->fill, n);
}

static inline void reap_to_list(struct raw *r, bool counts)
{
	uint32_t n = raw_reap(r, &r->port[0]);

	if (counts)
		unref_each(r, n);
	raw_refill(r, n);
}

static inline __attribute__((always_inline)) void
send_back(struct world *w, unsigned burst, uint64_t packets, bool list, bool counts)
{
	struct raw *r = (struct raw *)w;
	unsigned char *umem = r->umem;

	for (uint64_t done = 0; done < packets;) {
		uint32_t rx, tx, n;

		pump_packets(&w->pump, burst);
		n = xsk_ring_cons__peek(&r->rx, burst, &rx);
		bench_check_progress(n);
		if (xsk_ring_prod__reserve(&r->port[0].tx, n, &tx) != n)
			bench_die("the TX ring is full");
		for (uint32_t i = 0; i < n; i++) {
			const struct xdp_desc *desc = xsk_ring_cons__rx_desc(&r->rx, rx + i);

			if (counts)
				pool_ref(r);
			bench_swap_macs(xsk_umem__get_data(umem, desc->addr));
			put_desc(&r->port[0], tx + i, desc->addr, desc->len);
		}
		xsk_ring_cons__release(&r->rx, n);
		xsk_ring_prod__submit(&r->port[0].tx, n);
		pump_transmit(&w->pump, n);
		if (list)
			reap_to_list(r, counts);
		else
			reap_to_fill(r);
		done += n;
	}
}

void bench_send_raw_run(struct world *w, unsigned burst, uint64_t packets)
{
	send_back(w, burst, packets, false, false);
}

void bench_send_raw_list_run(struct world *w, unsigned burst, uint64_t packets)
{
	send_back(w, burst, packets, true, false);
}

void bench_send_arc_run(struct world *w, unsigned burst, uint64_t packets)
{
	send_back(w, burst, packets, true, true);
}

/* ---- made, and sent ----------------------------------------------------------------------------------- */

void bench_make_floor_run(struct world *w, unsigned burst, uint64_t packets)
{
	struct raw *r = (struct raw *)w;

	for (uint64_t done = 0; done < packets; done += burst) {
		xsk_ring_prod__submit(&r->port[0].tx, burst);
		pump_transmit(&w->pump, burst);
		xsk_ring_cons__release(&r->port[0].comp, burst);
	}
}

static inline __attribute__((always_inline)) void make(struct world *w, unsigned burst,
						       uint64_t packets, bool counts)
{
	struct raw *r = (struct raw *)w;
	unsigned char *umem = r->umem;
	uint32_t size = w->pump.length;

	for (uint64_t done = 0; done < packets; done += burst) {
		const uint64_t *top = r->list + r->n;
		uint32_t tx, n;

		if (r->n < burst || xsk_ring_prod__reserve(&r->port[0].tx, burst, &tx) != burst)
			bench_die("no frame or no room in TX");
		for (uint32_t i = 0; i < burst; i++) {
			uint64_t addr = *--top;

			if (counts)
				pool_ref(r);
			bench_write(xsk_umem__get_data(umem, addr));
			put_desc(&r->port[0], tx + i, addr, size);
		}
		r->n -= burst;
		xsk_ring_prod__submit(&r->port[0].tx, burst);
		pump_transmit(&w->pump, burst);
		n = raw_reap(r, &r->port[0]);
		if (counts)
			unref_each(r, n);
	}
}

/* A frame that has been sent is the next to be written. */
void bench_make_raw_run(struct world *w, unsigned burst, uint64_t packets)
{
	struct raw *r = (struct raw *)w;
	struct raw_port *port = &r->port[0];
	uint64_t fresh = r->n; /* the frames of the first burst come from the list */
	unsigned char *umem = r->umem;
	uint32_t from = 0, size = w->pump.length;

	for (uint64_t done = 0; done < packets; done += burst) {
		uint32_t tx;

		if (done > 0 && xsk_ring_cons__peek(&port->comp, burst, &from) != burst)
			bench_die("the kernel's side does not complete");
		if (xsk_ring_prod__reserve(&port->tx, burst, &tx) != burst)
			bench_die("the TX ring is full");
		for (uint32_t i = 0; i < burst; i++) {
			uint64_t addr = done > 0 ?
						*xsk_ring_cons__comp_addr(&port->comp, from + i) :
						r->list[--fresh];

			bench_write(xsk_umem__get_data(umem, addr));
			put_desc(port, tx + i, addr, size);
		}
		if (done > 0)
			xsk_ring_cons__release(&port->comp, burst);
		xsk_ring_prod__submit(&port->tx, burst);
		pump_transmit(&w->pump, burst);
	}
	r->n = (uint32_t)fresh;
	raw_reap(r, port);
}

void bench_make_raw_list_run(struct world *w, unsigned burst, uint64_t packets)
{
	make(w, burst, packets, false);
}

void bench_make_arc_run(struct world *w, unsigned burst, uint64_t packets)
{
	make(w, burst, packets, true);
}
