/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Three stages on two threads: the first thread receives, the second one swaps the MACs (the partner
 * of the hand-over), and the first one sends what comes back.
 */
#include "link.h"
#include "raw.h"
#include "sxsk.h"
#include "variants.h"

/* Whole bursts only, so that the packets are as many as were asked for. */
static inline bool may_receive(struct world *w, unsigned burst)
{
	return spsc_room(&w->link->to, burst) >= burst && pump_fill_level(&w->pump) >= burst;
}

/* ---- with libxdp, without safety ------------------------------------------------------------------------ */

static inline void raw_receive(struct raw *r, struct link *l, unsigned burst, bool counts)
{
	uint32_t idx, n, tail = spsc_tail(&l->to);

	pump_packets(&r->world.pump, burst);
	n = xsk_ring_cons__peek(&r->rx, burst, &idx);
	for (uint32_t i = 0; i < n; i++) {
		l->desc[(tail + i) % LINK_SIZE] = *xsk_ring_cons__rx_desc(&r->rx, idx + i);
		if (counts)
			pool_ref(r);
	}
	xsk_ring_cons__release(&r->rx, n);
	spsc_publish(&l->to, n);
}

static inline uint32_t raw_send(struct raw *r, struct link *l, unsigned burst, bool counts)
{
	uint32_t n = spsc_ready(&l->back, burst), head = spsc_head(&l->back), tx;

	if (n == 0)
		return 0;
	if (xsk_ring_prod__reserve(&r->port[0].tx, n, &tx) != n)
		bench_die("the TX ring is full");
	for (uint32_t i = 0; i < n; i++)
		*xsk_ring_prod__tx_desc(&r->port[0].tx, tx + i) =
			(struct xdp_desc){ .addr = l->address[(head + i) % LINK_SIZE],
					   .len = r->world.pump.length };
	spsc_release(&l->back, n);
	xsk_ring_prod__submit(&r->port[0].tx, n);
	pump_transmit(&r->world.pump, n);
	n = raw_reap(r, &r->port[0]);
	for (uint32_t i = 0; i < n && counts; i++)
		pool_unref(r);
	raw_refill(r, n);
	return n;
}

static inline __attribute__((always_inline)) void raw_run(struct world *w, unsigned burst,
							  uint64_t packets, bool counts)
{
	struct raw *r = (struct raw *)w;
	uint64_t received = 0, sent = 0;

	packets = (packets + burst - 1) / burst * burst;
	while (sent < packets) {
		uint32_t n = raw_send(r, w->link, burst, counts);

		sent += n;
		if (received < packets && may_receive(w, burst)) {
			raw_receive(r, w->link, burst, counts);
			received += burst;
		} else if (n == 0) {
			link_relax();
		}
	}
}

void bench_pipeline_raw_list_run(struct world *w, unsigned burst, uint64_t packets)
{
	raw_run(w, burst, packets, false);
}

void bench_pipeline_arc_run(struct world *w, unsigned burst, uint64_t packets)
{
	raw_run(w, burst, packets, true);
}

/* ---- with this library ---------------------------------------------------------------------------------- */

static inline uint32_t sxsk_send(struct sxsk *s, struct link *l, unsigned burst)
{
	uint32_t head = spsc_head(&l->back), n = link_up_to_wrap(head, spsc_ready(&l->back, burst));

	if (n == 0)
		return 0;
	send_all(s->socket, &l->back_buf[head % LINK_SIZE], n);
	spsc_release(&l->back, n);
	pump_transmit(&s->world.pump, n);
	return n;
}

void bench_pipeline_sxsk_run(struct world *w, unsigned burst, uint64_t packets)
{
	struct sxsk *s = (struct sxsk *)w;
	uint64_t received = 0, sent = 0;

	packets = (packets + burst - 1) / burst * burst;
	while (sent < packets) {
		uint32_t n = sxsk_send(s, w->link, burst);

		sent += n;
		if (received < packets && may_receive(w, burst)) {
			receive_into_link(w, burst);
			received += burst;
		} else if (n == 0) {
			struct sxsk_buf none;

			/* Nothing comes in, but these reap and refill. */
			send_all(s->socket, NULL, 0);
			if (sxsk_rx_burst(s->socket, &none, 1) != 0)
				bench_die("a packet out of nowhere");
			link_relax();
		}
	}
	send_all(s->socket, NULL, 0);
}

void bench_pipeline_sxsk_serve(struct world *w)
{
	struct link *l = w->link;

	atomic_store_explicit(&l->running, true, memory_order_release);
	while (!link_stopped(l)) {
		uint32_t n = link_ready(l), head = spsc_head(&l->to), tail = spsc_tail(&l->back);

		if (n == 0) {
			link_relax();
			continue;
		}
		for (uint32_t i = 0; i < n; i++) {
			struct sxsk_buf b = l->buf[(head + i) % LINK_SIZE];

			if (i + SXSK_PREFETCH_AHEAD < n)
				sxsk_buf_prefetch_handed(
					l->buf[(head + i + SXSK_PREFETCH_AHEAD) % LINK_SIZE]);
			bench_swap_macs(sxsk_buf_data_mut(b));
			l->back_buf[(tail + i) % LINK_SIZE] = b;
		}
		spsc_release(&l->to, n);
		spsc_publish(&l->back, n);
	}
}
