/* SPDX-License-Identifier: BSD-2-Clause */
/* Receive in one thread, free in another, with rte_mbuf: pointers go over a ring, and what the second thread
 * has freed comes back through the mempool, between the two threads' caches. */
#include "link.h"
#include "mbuf.h"

#include <rte_errno.h>
#include <rte_lcore.h>

struct world *bench_handover_mbuf_open(const struct bench_case *of, uint32_t frames)
{
	struct world *w = bench_mbuf_open(of, frames);

	w->link = link_new();
	return w;
}

void bench_handover_mbuf_close(struct world *w)
{
	link_free(w->link);
	bench_mbuf_close(w);
}

void bench_handover_mbuf_run(struct world *w, unsigned burst, uint64_t packets)
{
	struct mbufs *m = (struct mbufs *)w;
	struct link *l = w->link;
	uint64_t sent = link_is_done(l), end = sent + packets;
	struct rte_mbuf *bufs[BURST_MAX];

	while (sent < end) {
		uint32_t n, tail = spsc_tail(&l->to);

		/* Whole bursts only, so that the packets are as many as were asked for. */
		if (spsc_room(&l->to, burst) < burst || pump_fill_level(&w->pump) < burst) {
			if (m->raw.missing > 0)
				mbuf_fill(m);
			link_relax();
			continue;
		}
		n = mbuf_receive(m, burst, bufs);
		for (uint32_t i = 0; i < n; i++)
			l->object[(tail + i) % LINK_SIZE] = bufs[i];
		spsc_publish(&l->to, n);
		sent += n;
	}
	while (link_is_done(l) != sent)
		link_relax();
}

void bench_handover_mbuf_serve(struct world *w)
{
	struct link *l = w->link;
	struct rte_mbuf *bufs[BURST_MAX];

	/* Only a thread that DPDK knows has a cache. */
	if (rte_thread_register() != 0)
		bench_die("DPDK does not take the thread: %s", rte_strerror(rte_errno));
	atomic_store_explicit(&l->running, true, memory_order_release);
	while (!link_stopped(l)) {
		uint32_t head = spsc_head(&l->to), n = spsc_ready(&l->to, l->burst);

		if (n == 0) {
			link_relax();
			continue;
		}
		for (uint32_t i = 0; i < n; i++)
			bufs[i] = l->object[(head + i) % LINK_SIZE];
		mbuf_swap_all(bufs, n);
		spsc_release(&l->to, n);
		rte_pktmbuf_free_bulk(bufs, n);
		link_done(l, n);
	}
	rte_thread_unregister();
}
