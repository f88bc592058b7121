/* SPDX-License-Identifier: BSD-2-Clause */
/* The world of the library's variants. */
#ifndef SXSK_BENCH_SXSK_H
#define SXSK_BENCH_SXSK_H

#include "bench.h"
#include "link.h"

#include <safexsk/safexsk.h>

struct sxsk {
	struct world world;
	struct sxsk_pool *pool;
	struct sxsk_socket *socket;
	struct sxsk_socket *port[PORTS_MAX];
	bool lane;
};

/* A burst comes in, and is received. */
static inline unsigned receive(struct world *w, unsigned burst, struct sxsk_buf bufs[])
{
	unsigned n;

	pump_packets(&w->pump, burst);
	n = sxsk_rx_burst(((struct sxsk *)w)->socket, bufs, burst);
	bench_check_progress(n);
	return n;
}

/* As buf.h says is fastest: of a short burst, sxsk_rx_burst() has fetched all. */
static inline void swap_received(struct sxsk_buf bufs[], unsigned n)
{
	if (n > 32) {
		for (unsigned i = 0; i < n; i++) {
			if (i + SXSK_PREFETCH_AHEAD < n)
				sxsk_buf_prefetch(bufs[i + SXSK_PREFETCH_AHEAD]);
			bench_swap_macs(sxsk_buf_data_mut(bufs[i]));
		}
		return;
	}
	for (unsigned i = 0; i < n; i++)
		bench_swap_macs(sxsk_buf_data_mut(bufs[i]));
}

/* To the partner. The link's entries are the handles: received where it will read them. */
static inline uint32_t take_into_link(struct world *w, uint32_t n)
{
	struct link *l = w->link;
	uint32_t tail = spsc_tail(&l->to), got;

	got = sxsk_rx_burst(((struct sxsk *)w)->socket, &l->buf[tail % LINK_SIZE],
			    link_up_to_wrap(tail, n));
	spsc_publish(&l->to, got);
	return got;
}

static inline void receive_into_link(struct world *w, unsigned burst)
{
	pump_packets(&w->pump, burst);
	for (uint32_t n = 0, got; n < burst; n += got) {
		got = take_into_link(w, burst - n);
		bench_check_progress(got);
	}
}

/* n = 0: just reap. */
static inline void send_all(struct sxsk_socket *socket, struct sxsk_buf bufs[], unsigned n)
{
	if (sxsk_tx_burst(socket, bufs, n) != n)
		bench_die("the TX ring is full");
}

#endif
