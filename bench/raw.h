/* SPDX-License-Identifier: BSD-2-Clause */
/* A raw variant's world, and what its loops share. */
#ifndef SXSK_BENCH_RAW_H
#define SXSK_BENCH_RAW_H

#include "bench.h"

#include <stdatomic.h>
#include <xdp/xsk.h>

struct raw_port {
	struct xsk_ring_prod tx;
	struct xsk_ring_cons comp;
	void *tx_map, *comp_map;
};

struct raw {
	struct world world;
	struct xsk_ring_cons rx;
	struct xsk_ring_prod fill;
	struct raw_port port[PORTS_MAX]; /* the first one is the receiving socket's own, too */
	unsigned char *umem;
	uint64_t *list; /* addresses of free frames, last in first out */
	uint32_t n;
	uint32_t missing; /* frames to bring FILL to its level again */
	uint32_t frames;
	size_t umem_size;
	void *rx_map, *fill_map;
	atomic_uint *count; /* of each frame's references, where frames are shared */
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

/* Each frame has a count of its own, as a reference-counted packet has; whoever takes the last one puts
 * the frame into the list. */
static inline void frame_ref(struct raw *r, uint64_t addr)
{
	atomic_fetch_add_explicit(&r->count[addr / CHUNK], 1, memory_order_relaxed);
}

static inline void frame_unref(struct raw *r, uint64_t addr)
{
	if (atomic_fetch_sub_explicit(&r->count[addr / CHUNK], 1, memory_order_acq_rel) == 1)
		r->list[r->n++] = addr;
}

static inline bool frame_is_shared(struct raw *r, uint64_t addr)
{
	return atomic_load_explicit(&r->count[addr / CHUNK], memory_order_acquire) > 1;
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

/* n more frames left FILL: give it others once a batch is missing, as far as the list has some. */
static inline void raw_refill(struct raw *r, uint32_t n)
{
	r->missing += n;
	if (r->missing >= REFILL_BATCH)
		raw_fill(r, r->missing < r->n ? r->missing : r->n);
}

/* Addresses of sent packets to the list. */
static inline uint32_t raw_reap(struct raw *r, struct raw_port *port)
{
	uint32_t idx, n = xsk_ring_cons__peek(&port->comp, RING_SIZE, &idx);
	uint64_t *top = r->list + r->n;

	for (uint32_t i = 0; i < n; i++)
		*top++ = *xsk_ring_cons__comp_addr(&port->comp, idx + i);
	r->n += n;
	xsk_ring_cons__release(&port->comp, n);
	return n;
}

/* raw.c: the rings, for a kernel's side of their own, over rings->umem; and away with them. */
void raw_map(struct raw *r, const struct bench_case *of, struct sxsk_mem_rings *rings);
void raw_unmap(struct raw *r);

#endif
