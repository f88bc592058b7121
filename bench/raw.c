/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The loop as users of libxdp write it, on libxdp's own inline ring functions, over rings and packet
 * memory that this file maps as the library does. Four variants: the kernel's side alone (floor),
 * each frame straight back to FILL (raw), a free list (raw-list), a free list with a reference
 * count on the pool per Buf (arc).
 */
#include "raw.h"
#include "variants.h"

#include <stdlib.h>
#include <sys/mman.h>

/* Where the kernel puts things in a mapped ring (struct xdp_ring in net/xdp/xsk_queue.h). */
#define RING_PRODUCER 0u
#define RING_CONSUMER 128u
#define RING_FLAGS 196u
#define RING_ENTRIES 320u

/* Packets asked for ahead of the one that is read, where any are: as many as in the other variants. */
#define AHEAD 8u

static void *map(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		bench_die("no memory for %zu bytes", size);
	return p;
}

static struct sxsk_mem_ring map_ring(size_t entry, void **ret_map)
{
	unsigned char *p = *ret_map = map(RING_ENTRIES + RING_SIZE * entry);

	return (struct sxsk_mem_ring){
		.producer = (void *)(p + RING_PRODUCER),
		.consumer = (void *)(p + RING_CONSUMER),
		.flags = (void *)(p + RING_FLAGS),
		.entries = p + RING_ENTRIES,
		.size = RING_SIZE,
	};
}

/* The two structs have the same fields; what differs is that a producer's copy of the consumer index
 * is ahead by the ring's size. */
#define RING_OF_USER(type, r)                                                                      \
	(struct type)                                                                              \
	{                                                                                          \
		.mask = (r)->size - 1, .size = (r)->size, .producer = (r)->producer,               \
		.consumer = (r)->consumer, .ring = (r)->entries, .flags = (r)->flags               \
	}

static void open_port(struct raw_port *port, struct sxsk_mem_rings *rings)
{
	rings->tx = map_ring(sizeof(struct xdp_desc), &port->tx_map);
	rings->comp = map_ring(sizeof(uint64_t), &port->comp_map);
	port->tx = RING_OF_USER(xsk_ring_prod, &rings->tx);
	port->tx.cached_cons = RING_SIZE;
	port->comp = RING_OF_USER(xsk_ring_cons, &rings->comp);
}

static void close_port(struct raw_port *port)
{
	munmap(port->tx_map, RING_ENTRIES + RING_SIZE * sizeof(struct xdp_desc));
	munmap(port->comp_map, RING_ENTRIES + RING_SIZE * sizeof(uint64_t));
}

void raw_map(struct raw *r, const struct bench_case *of, struct sxsk_mem_rings *rings)
{
	rings->rx = map_ring(sizeof(struct xdp_desc), &r->rx_map);
	rings->fill = map_ring(sizeof(uint64_t), &r->fill_map);
	open_port(&r->port[0], rings);
	r->rx = RING_OF_USER(xsk_ring_cons, &rings->rx);
	r->fill = RING_OF_USER(xsk_ring_prod, &rings->fill);
	r->fill.cached_cons = RING_SIZE;
	r->umem = rings->umem;
	r->umem_size = rings->umem_size;
	pump_init(&r->world.pump, rings);
	for (unsigned i = 0; i < of->ports; i++) {
		struct sxsk_mem_rings port = *rings;

		if (i > 0)
			open_port(&r->port[i], &port);
		pump_init(&r->world.port[i], &port);
	}
}

void raw_unmap(struct raw *r)
{
	for (unsigned i = 0; i < PORTS_MAX && r->port[i].tx_map; i++)
		close_port(&r->port[i]);
	munmap(r->fill_map, RING_ENTRIES + RING_SIZE * sizeof(uint64_t));
	munmap(r->rx_map, RING_ENTRIES + RING_SIZE * sizeof(struct xdp_desc));
}

struct world *bench_raw_open(const struct bench_case *of, uint32_t frames)
{
	struct raw *r = aligned_alloc(64, sizeof(*r));
	struct sxsk_mem_rings rings = { .umem_size = (uint64_t)frames * CHUNK, .chunk = CHUNK };
	uint32_t level = bench_fill_level(of, frames), idx;

	if (!r)
		bench_die("no memory");
	*r = (struct raw){ .frames = frames };
	rings.umem = map(rings.umem_size);
	raw_map(r, of, &rings);
	r->list = map(frames * sizeof(*r->list));
	r->references = 1;

	if (xsk_ring_prod__reserve(&r->fill, level, &idx) != level)
		bench_die("the FILL ring has no room");
	for (uint32_t i = 0; i < level; i++)
		*xsk_ring_prod__fill_addr(&r->fill, idx + i) = (uint64_t)i * CHUNK;
	xsk_ring_prod__submit(&r->fill, level);
	for (uint32_t i = frames; i-- > level;)
		r->list[r->n++] = (uint64_t)i * CHUNK;
	return &r->world;
}

void bench_raw_close(struct world *w)
{
	struct raw *r = (struct raw *)w;

	if (r->n + pump_fill_level(&w->pump) != r->frames || r->references != 1)
		bench_die("raw: %u frames free, %u in FILL, of %u", r->n, pump_fill_level(&w->pump),
			  r->frames);
	raw_unmap(r);
	munmap(r->list, r->frames * sizeof(*r->list));
	munmap(r->umem, r->umem_size);
	free(r);
}

/* The kernel's side alone: a user who moves the indices and looks at nothing. The addresses of the
 * last lap are still in the FILL ring. */
void bench_floor_run(struct world *w, unsigned burst, uint64_t packets)
{
	struct raw *r = (struct raw *)w;

	for (uint64_t done = 0; done < packets;) {
		unsigned n = pump_packets(&w->pump, burst);

		bench_check_progress(n);
		xsk_ring_cons__release(&r->rx, n);
		xsk_ring_prod__submit(&r->fill, n);
		done += n;
	}
}

void bench_raw_run(struct world *w, unsigned burst, uint64_t packets)
{
	struct raw *r = (struct raw *)w;
	unsigned char *umem = r->umem;

	for (uint64_t done = 0; done < packets;) {
		uint32_t rx, fill, n;

		pump_packets(&w->pump, burst);
		n = xsk_ring_cons__peek(&r->rx, burst, &rx);
		bench_check_progress(n);
		if (xsk_ring_prod__reserve(&r->fill, n, &fill) != n)
			bench_die("the FILL ring is full");
		for (uint32_t i = 0; i < n; i++) {
			uint64_t addr = xsk_ring_cons__rx_desc(&r->rx, rx + i)->addr;

			bench_swap_macs(xsk_umem__get_data(umem, addr));
			*xsk_ring_prod__fill_addr(&r->fill, fill + i) = addr;
		}
		xsk_ring_cons__release(&r->rx, n);
		xsk_ring_prod__submit(&r->fill, n);
		done += n;
	}
}

static inline __attribute__((always_inline)) void
list_run(struct world *w, unsigned burst, uint64_t packets, bool counts, unsigned ahead)
{
	struct raw *r = (struct raw *)w;
	unsigned char *umem = r->umem;

	for (uint64_t done = 0; done < packets;) {
		uint64_t *top = r->list + r->n;
		uint32_t idx, n;

		pump_packets(&w->pump, burst);
		n = xsk_ring_cons__peek(&r->rx, burst, &idx);
		bench_check_progress(n);
		for (uint32_t i = 0; i < n; i++) {
			uint64_t addr = xsk_ring_cons__rx_desc(&r->rx, idx + i)->addr;

			if (ahead && i + ahead < n)
				__builtin_prefetch(xsk_umem__get_data(
					umem,
					xsk_ring_cons__rx_desc(&r->rx, idx + i + ahead)->addr));
			if (counts)
				pool_ref(r);
			bench_swap_macs(xsk_umem__get_data(umem, addr));
			*top++ = addr; /* FILL takes addresses with an offset */
			if (counts)
				pool_unref(r);
		}
		r->n += n;
		xsk_ring_cons__release(&r->rx, n);
		raw_refill(r, n);
		done += n;
	}
}

void bench_raw_list_run(struct world *w, unsigned burst, uint64_t packets)
{
	list_run(w, burst, packets, false, 0);
}

/* What a reader's prefetching alone is worth. */
void bench_raw_list_ahead_run(struct world *w, unsigned burst, uint64_t packets)
{
	list_run(w, burst, packets, false, AHEAD);
}

void bench_arc_run(struct world *w, unsigned burst, uint64_t packets)
{
	list_run(w, burst, packets, true, 0);
}
