/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Receive in one thread, free in another, as users of this library write it: Bufs go over a ring, and
 * nothing comes back over another.
 */
#include "link.h"
#include "sxsk.h"
#include "variants.h"

#include <string.h>

struct world *bench_handover_sxsk_open(const struct bench_case *of, uint32_t frames)
{
	struct world *w = bench_sxsk_open(of, frames);

	w->link = link_new();
	return w;
}

struct world *bench_handover_sxsk_open_lane(const struct bench_case *of, uint32_t frames)
{
	struct world *w = bench_sxsk_open_lane(of, frames);

	w->link = link_new();
	return w;
}

void bench_handover_sxsk_close(struct world *w)
{
	link_free(w->link);
	bench_sxsk_close(w);
}

void bench_handover_sxsk_run(struct world *w, unsigned burst, uint64_t packets)
{
	struct link *l = w->link;
	uint64_t sent = link_is_done(l), end = sent + packets;

	while (sent < end) {
		/* Whole bursts only, so that the packets are as many as were asked for. */
		if (spsc_room(&l->to, burst) < burst) {
			link_relax();
			continue;
		}
		if (pump_fill_level(&w->pump) < burst) {
			(void)take_into_link(w, burst); /* none, but it refills */
			link_relax();
			continue;
		}
		receive_into_link(w, burst);
		sent += burst;
	}
	while (link_is_done(l) != sent)
		link_relax();
}

void bench_handover_sxsk_serve(struct world *w)
{
	struct sxsk *s = (struct sxsk *)w;
	struct link *l = w->link;

	if (s->lane && sxsk_lane_attach(s->pool) != 0)
		bench_die("%s", sxsk_last_error());
	atomic_store_explicit(&l->running, true, memory_order_release);
	while (!link_stopped(l)) {
		uint32_t head = spsc_head(&l->to);
		uint32_t n = link_up_to_wrap(head, spsc_ready(&l->to, l->burst));
		struct sxsk_buf *bufs = &l->buf[head % LINK_SIZE];

		if (n == 0) {
			link_relax();
			continue;
		}
		for (uint32_t i = 0; i < n; i++) {
			if (i + SXSK_PREFETCH_AHEAD < n)
				sxsk_buf_prefetch_handed(bufs[i + SXSK_PREFETCH_AHEAD]);
			bench_swap_macs(sxsk_buf_data_mut(bufs[i]));
		}
		sxsk_buf_unref_burst(bufs, n);
		spsc_release(&l->to, n);
		link_done(l, n);
	}
	if (s->lane)
		sxsk_lane_detach(s->pool);
}
