/* SPDX-License-Identifier: BSD-2-Clause */
/* A raw variant's world, and what its loops share. */
#ifndef SXSK_BENCH_RAW_H
#define SXSK_BENCH_RAW_H

#include "bench.h"

#include <stdatomic.h>
#include <xdp/xsk.h>

struct raw {
	struct world world;
	struct xsk_ring_cons rx;
	struct xsk_ring_prod fill;
	unsigned char *umem;
	uint64_t *list; /* addresses of free frames, last in first out */
	uint32_t n;
	uint32_t missing; /* frames to bring FILL to its level again */
	uint32_t frames;
	size_t umem_size;
	void *rx_map, *fill_map;
	_Alignas(64) atomic_uint_fast64_t references; /* arc's count of the pool */
};

/* Each Buf counts its pool, as a reference-counted pointer in it does: one more when it is made, one
 * less when it goes, and whoever takes the last frees the pool. */
static inline void pool_ref(struct raw *r)
{
	atomic_fetch_add_explicit(&r->references, 1, memory_order_relaxed);
}

static inline void pool_unref(struct raw *r)
{
	if (atomic_fetch_sub_explicit(&r->references, 1, memory_order_acq_rel) == 1)
		bench_die("the pool is gone under its owner");
}

/* n frames from the list to FILL, which has room for what it had before. */
static inline bool raw_fill(struct raw *r, uint32_t n)
{
	const uint64_t *top = r->list + r->n;
	uint32_t idx;

	if (xsk_ring_prod__reserve(&r->fill, n, &idx) != n)
		return false;
	for (uint32_t i = 0; i < n; i++)
		*xsk_ring_prod__fill_addr(&r->fill, idx + i) = *--top;
	r->n -= n;
	r->missing -= n;
	xsk_ring_prod__submit(&r->fill, n);
	return true;
}

#endif
