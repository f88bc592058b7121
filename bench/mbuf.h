/* SPDX-License-Identifier: BSD-2-Clause */
/* What the loops over rte_mbuf share: net_af_xdp's receive, send and reap. */
#ifndef SXSK_BENCH_MBUF_H
#define SXSK_BENCH_MBUF_H

#include "raw.h"
#include "variants.h"

#include <rte_mbuf.h>
#include <rte_mempool.h>

#define ADDRESS_MASK ((1ull << PUMP_OFFSET_SHIFT) - 1)
#define MBUF_AHEAD 3
#define DATA_OFFSET (sizeof(struct rte_mbuf) + RTE_PKTMBUF_HEADROOM) /* no private area */

struct mbufs {
	struct raw raw; /* its rings; its list is the mempool */
	struct rte_mempool *pool;
};

static inline struct rte_mbuf *mbuf_at(const struct mbufs *m, uint64_t addr)
{
	return (struct rte_mbuf *)(void *)(m->raw.umem + (addr & ADDRESS_MASK));
}

static inline uint64_t mbuf_addr(const struct mbufs *m, const struct rte_mbuf *b)
{
	return (uint64_t)((const unsigned char *)b - m->raw.umem);
}

/* All that are missing to FILL; or none, when so many are with others. */
static inline void mbuf_fill(struct mbufs *m)
{
	struct rte_mbuf *bufs[RING_SIZE];
	uint32_t idx, missing = m->raw.missing;

	if (rte_pktmbuf_alloc_bulk(m->pool, bufs, missing) != 0)
		return;
	if (xsk_ring_prod__reserve(&m->raw.fill, missing, &idx) != missing)
		bench_die("the FILL ring is full");
	for (uint32_t i = 0; i < missing; i++)
		*xsk_ring_prod__fill_addr(&m->raw.fill, idx + i) = mbuf_addr(m, bufs[i]);
	m->raw.missing = 0;
	xsk_ring_prod__submit(&m->raw.fill, missing);
}

/* A burst of what came in. */
static inline uint32_t mbuf_take(struct mbufs *m, unsigned burst, struct rte_mbuf *bufs[])
{
	uint32_t idx, n;

	if (m->raw.missing >= REFILL_BATCH)
		mbuf_fill(m);
	n = xsk_ring_cons__peek(&m->raw.rx, burst, &idx);
	for (uint32_t i = 0; i < n; i++) {
		const struct xdp_desc *desc = xsk_ring_cons__rx_desc(&m->raw.rx, idx + i);

		bufs[i] = mbuf_at(m, desc->addr);
		bufs[i]->data_off =
			(uint16_t)((desc->addr >> PUMP_OFFSET_SHIFT) - sizeof(struct rte_mbuf));
		bufs[i]->port = 0;
		rte_pktmbuf_pkt_len(bufs[i]) = desc->len;
		rte_pktmbuf_data_len(bufs[i]) = (uint16_t)desc->len;
	}
	xsk_ring_cons__release(&m->raw.rx, n);
	m->raw.missing += n;
	return n;
}

/* Those to come are asked for as DPDK's l3fwd does. */
static inline void mbuf_swap_all(struct rte_mbuf *bufs[], uint32_t n)
{
	for (uint32_t i = 0; i < MBUF_AHEAD && i < n; i++)
		rte_prefetch0(rte_pktmbuf_mtod(bufs[i], void *));
	for (uint32_t i = 0; i < n; i++) {
		if (i + MBUF_AHEAD < n)
			rte_prefetch0(rte_pktmbuf_mtod(bufs[i + MBUF_AHEAD], void *));
		bench_swap_macs(rte_pktmbuf_mtod(bufs[i], void *));
	}
}

static inline uint32_t mbuf_receive(struct mbufs *m, unsigned burst, struct rte_mbuf *bufs[])
{
	uint32_t n;

	pump_packets(&m->raw.world.pump, burst);
	n = mbuf_take(m, burst, bufs);
	bench_check_progress(n);
	return n;
}

static inline void mbuf_send(struct mbufs *m, struct raw_port *port, struct rte_mbuf *bufs[],
			     uint32_t n)
{
	uint32_t idx;

	if (xsk_ring_prod__reserve(&port->tx, n, &idx) != n)
		bench_die("the TX ring is full");
	for (uint32_t i = 0; i < n; i++) {
		uint64_t offset = bufs[i]->data_off + sizeof(struct rte_mbuf);

		*xsk_ring_prod__tx_desc(&port->tx, idx + i) =
			(struct xdp_desc){ .addr = mbuf_addr(m, bufs[i]) |
						   offset << PUMP_OFFSET_SHIFT,
					   .len = rte_pktmbuf_pkt_len(bufs[i]) };
	}
	xsk_ring_prod__submit(&port->tx, n);
}

/* The driver frees them one by one; in bulk is faster. */
static inline void mbuf_reap(struct mbufs *m, struct raw_port *port)
{
	struct rte_mbuf *bufs[RING_SIZE];
	uint32_t idx, n = xsk_ring_cons__peek(&port->comp, RING_SIZE, &idx);

	for (uint32_t i = 0; i < n; i++)
		bufs[i] = mbuf_at(m, *xsk_ring_cons__comp_addr(&port->comp, idx + i));
	xsk_ring_cons__release(&port->comp, n);
	rte_pktmbuf_free_bulk(bufs, n);
}

#endif
