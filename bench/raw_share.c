/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Packets that several readers read, and headers rewritten while another reader looks, as users of libxdp
 * write it: everybody reads the one frame, and whoever wrote the program knows who is the last (raw-list);
 * a reference count per frame, one more for each reader, and whoever drops the last frees it (arc); a
 * copy for each reader (raw-copy).
 */
#include "raw.h"
#include "variants.h"

#include <stdlib.h>
#include <string.h>

struct world *bench_share_raw_open(const struct bench_case *of, uint32_t frames)
{
	struct world *w = bench_raw_open(of, frames);
	struct raw *r = (struct raw *)w;

	r->count = calloc(frames, sizeof(*r->count));
	if (!r->count)
		bench_die("no memory");
	return w;
}

void bench_share_raw_close(struct world *w)
{
	struct raw *r = (struct raw *)w;

	for (uint32_t i = 0; i < r->frames; i++)
		if (atomic_load(&r->count[i]) != 0)
			bench_die("frame %u still has %u references", i, atomic_load(&r->count[i]));
	free(r->count);
	bench_raw_close(w);
}

/* Receive a burst's addresses. */
static inline uint32_t receive(struct world *w, unsigned burst, uint64_t addr[BURST_MAX])
{
	struct raw *r = (struct raw *)w;
	uint32_t idx, n;

	pump_packets(&w->pump, burst);
	n = xsk_ring_cons__peek(&r->rx, burst, &idx);
	bench_check_progress(n);
	for (uint32_t i = 0; i < n; i++)
		addr[i] = xsk_ring_cons__rx_desc(&r->rx, idx + i)->addr;
	xsk_ring_cons__release(&r->rx, n);
	return n;
}

static inline void free_all(struct raw *r, const uint64_t addr[], uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		r->list[r->n++] = addr[i];
}

/* ---- several readers ---------------------------------------------------------------------------------- */

static inline __attribute__((always_inline)) void
fan_out(struct world *w, unsigned burst, uint64_t packets,
	void (*reader)(struct raw *r, const uint64_t addr[], uint32_t n, unsigned readers),
	void (*done_with)(struct raw *r, const uint64_t addr[], uint32_t n))
{
	struct raw *r = (struct raw *)w;
	const unsigned readers = w->of->readers;
	uint64_t addr[BURST_MAX];

	for (uint64_t done = 0; done < packets;) {
		uint32_t n = receive(w, burst, addr);

		reader(r, addr, n, readers);
		done_with(r, addr, n);
		raw_refill(r, n);
		done += n;
	}
}

static inline uint64_t read_all(const struct raw *r, const uint64_t addr[], uint32_t n)
{
	uint64_t seen = 0;

	for (uint32_t i = 0; i < n; i++)
		seen += bench_read(r->umem + addr[i]);
	return seen;
}

static inline void readers_of_one(struct raw *r, const uint64_t addr[], uint32_t n,
				  unsigned readers)
{
	for (unsigned j = 0; j < readers; j++)
		r->world.seen += read_all(r, addr, n);
}

void bench_share_raw_list_run(struct world *w, unsigned burst, uint64_t packets)
{
	fan_out(w, burst, packets, readers_of_one, free_all);
}

/* The receiver's own reference and one for each reader. */
static inline void ref_all(struct raw *r, const uint64_t addr[], uint32_t n, unsigned readers)
{
	for (uint32_t i = 0; i < n; i++) {
		atomic_store_explicit(&r->count[addr[i] / CHUNK], 1, memory_order_relaxed);
		for (unsigned j = 0; j < readers; j++)
			frame_ref(r, addr[i]);
	}
}

static inline void unref_all(struct raw *r, const uint64_t addr[], uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		frame_unref(r, addr[i]);
}

static inline void counting_readers(struct raw *r, const uint64_t addr[], uint32_t n,
				    unsigned readers)
{
	ref_all(r, addr, n, readers);
	for (unsigned j = 0; j < readers; j++) {
		r->world.seen += read_all(r, addr, n);
		unref_all(r, addr, n);
	}
}

void bench_share_arc_run(struct world *w, unsigned burst, uint64_t packets)
{
	fan_out(w, burst, packets, counting_readers, unref_all);
}

static inline uint64_t copy_frame(struct raw *r, uint64_t from)
{
	uint64_t to;

	if (r->n == 0)
		bench_die("no frame for a copy");
	to = r->list[--r->n] / CHUNK * CHUNK + from % CHUNK;
	memcpy(r->umem + to, r->umem + from, r->world.pump.length);
	return to;
}

static inline void copying_readers(struct raw *r, const uint64_t addr[], uint32_t n,
				   unsigned readers)
{
	uint64_t copy[READERS_MAX][BURST_MAX];

	for (unsigned j = 0; j < readers; j++)
		for (uint32_t i = 0; i < n; i++)
			copy[j][i] = copy_frame(r, addr[i]);
	for (unsigned j = 0; j < readers; j++) {
		r->world.seen += read_all(r, copy[j], n);
		free_all(r, copy[j], n);
	}
}

void bench_share_raw_copy_run(struct world *w, unsigned burst, uint64_t packets)
{
	fan_out(w, burst, packets, copying_readers, free_all);
}

/* ---- headers rewritten ---------------------------------------------------------------------------------- */

/* Another reader has the packet: change a copy, and let both go. */
void bench_rewrite_raw_list_run(struct world *w, unsigned burst, uint64_t packets)
{
	struct raw *r = (struct raw *)w;
	uint64_t addr[BURST_MAX], copy[BURST_MAX];

	for (uint64_t done = 0; done < packets;) {
		uint32_t n = receive(w, burst, addr);

		for (uint32_t i = 0; i < n; i++) {
			copy[i] = copy_frame(r, addr[i]);
			bench_swap_macs(r->umem + copy[i]);
		}
		w->seen += read_all(r, addr, n) + read_all(r, copy, n);
		free_all(r, addr, n);
		free_all(r, copy, n);
		raw_refill(r, n);
		done += n;
	}
}

/* The same, for who finds out by the count that it has to be a copy. */
void bench_rewrite_arc_run(struct world *w, unsigned burst, uint64_t packets)
{
	struct raw *r = (struct raw *)w;
	uint64_t addr[BURST_MAX], own[BURST_MAX];

	for (uint64_t done = 0; done < packets;) {
		uint32_t n = receive(w, burst, addr);

		ref_all(r, addr, n, 1);
		for (uint32_t i = 0; i < n; i++) {
			own[i] = addr[i];
			if (frame_is_shared(r, addr[i])) {
				own[i] = copy_frame(r, addr[i]);
				atomic_store_explicit(&r->count[own[i] / CHUNK], 1,
						      memory_order_relaxed);
				frame_unref(r, addr[i]);
			}
			bench_swap_macs(r->umem + own[i]);
		}
		w->seen += read_all(r, addr, n) + read_all(r, own, n);
		unref_all(r, addr, n);
		unref_all(r, own, n);
		raw_refill(r, n);
		done += n;
	}
}
