/* SPDX-License-Identifier: BSD-2-Clause */
/* Packets of several frames, as users of libxdp write it: the header is in the first one. */
#include "raw.h"
#include "variants.h"

void bench_parts_floor_run(struct world *w, unsigned burst, uint64_t packets)
{
	struct raw *r = (struct raw *)w;

	for (uint64_t done = 0; done < packets;) {
		unsigned n = pump_parts(&w->pump, burst, w->of->fragments);

		bench_check_progress(n);
		xsk_ring_cons__release(&r->rx, n);
		xsk_ring_prod__submit(&r->fill, n);
		done += n;
	}
}

static inline __attribute__((always_inline)) void receive_parts(struct world *w, unsigned burst,
								uint64_t packets, bool counts)
{
	struct raw *r = (struct raw *)w;
	unsigned char *umem = r->umem;
	bool more = false;

	for (uint64_t done = 0; done < packets;) {
		uint64_t *top = r->list + r->n;
		uint32_t idx, n;

		pump_parts(&w->pump, burst, w->of->fragments);
		n = xsk_ring_cons__peek(&r->rx, burst, &idx);
		bench_check_progress(n);
		for (uint32_t i = 0; i < n; i++) {
			const struct xdp_desc *desc = xsk_ring_cons__rx_desc(&r->rx, idx + i);

			if (counts)
				pool_ref(r);
			if (!more)
				bench_swap_macs(xsk_umem__get_data(umem, desc->addr));
			more = desc->options & XDP_PKT_CONTD;
			*top++ = desc->addr;
			if (counts)
				pool_unref(r);
		}
		r->n += n;
		xsk_ring_cons__release(&r->rx, n);
		raw_refill(r, n);
		done += n;
	}
}

void bench_parts_raw_list_run(struct world *w, unsigned burst, uint64_t packets)
{
	receive_parts(w, burst, packets, false);
}

void bench_parts_arc_run(struct world *w, unsigned burst, uint64_t packets)
{
	receive_parts(w, burst, packets, true);
}
