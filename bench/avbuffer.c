/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * FFmpeg's AVBufferPool, the classic counted pool: each buffer holds a reference to its pool, and goes back
 * there with its own last reference. Its documentation knows one way: av_buffer_pool_get() for each frame
 * that FILL gets, av_buffer_unref() when it is done with, av_buffer_ref() for another reader and
 * av_buffer_make_writable() before a change.
 */
#include "link.h"
#include "raw.h"
#include "variants.h"

#include <libavutil/buffer.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct avbuffers {
	struct raw raw; /* its rings; its list is the pool */
	AVBufferPool *pool;
	AVBufferRef **with_kernel; /* by frame: the reference that FILL or TX holds */
	uint32_t created;          /* frames that the pool has asked for */
};

static void keep(void *opaque, uint8_t *data)
{
	(void)opaque;
	(void)data;
}

/* The pool wants another frame: there are as many as the packet memory has. */
static AVBufferRef *create(void *opaque, size_t size)
{
	struct avbuffers *a = opaque;

	if (a->created == a->raw.frames)
		return NULL;
	return av_buffer_create(a->raw.umem + (size_t)a->created++ * CHUNK, size, keep, NULL, 0);
}

static inline void fill(struct avbuffers *a, uint32_t n)
{
	uint32_t idx;

	if (xsk_ring_prod__reserve(&a->raw.fill, n, &idx) != n)
		bench_die("the FILL ring is full");
	for (uint32_t i = 0; i < n; i++) {
		AVBufferRef *ref = av_buffer_pool_get(a->pool);
		uint64_t addr;

		if (!ref)
			bench_die("no buffer for FILL");
		addr = (uint64_t)(ref->data - a->raw.umem);
		a->with_kernel[addr / CHUNK] = ref;
		*xsk_ring_prod__fill_addr(&a->raw.fill, idx + i) = addr;
	}
	a->raw.missing -= n;
	xsk_ring_prod__submit(&a->raw.fill, n);
}

struct world *bench_avbuffer_open(const struct bench_case *of, uint32_t frames)
{
	struct avbuffers *a = aligned_alloc(64, sizeof(*a));
	struct sxsk_mem_rings rings = { .umem_size = (uint64_t)frames * CHUNK, .chunk = CHUNK };

	if (!a)
		bench_die("no memory");
	*a = (struct avbuffers){ .raw.frames = frames };
	rings.umem = mmap(NULL, rings.umem_size, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	a->with_kernel = calloc(frames, sizeof(*a->with_kernel));
	a->pool = av_buffer_pool_init2(CHUNK, a, create, NULL);
	if (rings.umem == MAP_FAILED || !a->with_kernel || !a->pool)
		bench_die("no memory");
	raw_map(&a->raw, of, &rings);
	a->raw.world.of = of;
	a->raw.world.link = link_new();
	a->raw.missing = bench_fill_level(of, frames);
	fill(a, a->raw.missing);
	return &a->raw.world;
}

void bench_avbuffer_close(struct world *w)
{
	struct avbuffers *a = (struct avbuffers *)w;
	const struct sxsk_mem_ring *ring = &w->pump.rings.fill;
	const uint64_t *addr = ring->entries;
	uint32_t out = 0;

	/* Only FILL holds any. */
	for (uint32_t i = w->pump.fill_taken; i != *ring->producer; i++)
		av_buffer_unref(&a->with_kernel[addr[i & (ring->size - 1)] / CHUNK]);
	for (uint32_t i = 0; i < a->raw.frames; i++)
		out += a->with_kernel[i] != NULL;
	if (out > 0)
		bench_die("avbuffer: %u frames are not accounted for", out);
	av_buffer_pool_uninit(&a->pool);
	raw_unmap(&a->raw);
	link_free(w->link);
	munmap(a->raw.umem, a->raw.umem_size);
	free(a->with_kernel);
	free(a);
}

/* The reference that the kernel held. */
static inline AVBufferRef *take(struct avbuffers *a, uint64_t addr)
{
	AVBufferRef *ref = a->with_kernel[addr / CHUNK];

	a->with_kernel[addr / CHUNK] = NULL;
	return ref;
}

static inline unsigned char *data(AVBufferRef *ref)
{
	return ref->data + 256; /* the kernel's headroom */
}

static inline uint32_t receive(struct avbuffers *a, unsigned burst, AVBufferRef *refs[])
{
	uint32_t idx, n;

	if (a->raw.missing >= REFILL_BATCH)
		fill(a, a->raw.missing);
	pump_packets(&a->raw.world.pump, burst);
	n = xsk_ring_cons__peek(&a->raw.rx, burst, &idx);
	bench_check_progress(n);
	for (uint32_t i = 0; i < n; i++)
		refs[i] = take(a, xsk_ring_cons__rx_desc(&a->raw.rx, idx + i)->addr);
	xsk_ring_cons__release(&a->raw.rx, n);
	a->raw.missing += n;
	return n;
}

void bench_avbuffer_run(struct world *w, unsigned burst, uint64_t packets)
{
	struct avbuffers *a = (struct avbuffers *)w;
	AVBufferRef *refs[BURST_MAX];

	for (uint64_t done = 0; done < packets;) {
		uint32_t n = receive(a, burst, refs);

		for (uint32_t i = 0; i < n; i++) {
			bench_swap_macs(data(refs[i]));
			av_buffer_unref(&refs[i]);
		}
		done += n;
	}
}

/* ---- sent ------------------------------------------------------------------------------------------------ */

static inline void send_and_reap(struct avbuffers *a, AVBufferRef *refs[], uint32_t n)
{
	struct raw_port *port = &a->raw.port[0];
	uint32_t idx;

	if (xsk_ring_prod__reserve(&port->tx, n, &idx) != n)
		bench_die("the TX ring is full");
	for (uint32_t i = 0; i < n; i++) {
		uint64_t addr = (uint64_t)(data(refs[i]) - a->raw.umem);

		a->with_kernel[addr / CHUNK] = refs[i];
		*xsk_ring_prod__tx_desc(&port->tx, idx + i) =
			(struct xdp_desc){ .addr = addr, .len = a->raw.world.pump.length };
	}
	xsk_ring_prod__submit(&port->tx, n);
	pump_transmit(&a->raw.world.pump, n);
	n = xsk_ring_cons__peek(&port->comp, RING_SIZE, &idx);
	for (uint32_t i = 0; i < n; i++) {
		AVBufferRef *ref = take(a, *xsk_ring_cons__comp_addr(&port->comp, idx + i));

		av_buffer_unref(&ref);
	}
	xsk_ring_cons__release(&port->comp, n);
}

void bench_send_avbuffer_run(struct world *w, unsigned burst, uint64_t packets)
{
	struct avbuffers *a = (struct avbuffers *)w;
	AVBufferRef *refs[BURST_MAX];

	for (uint64_t done = 0; done < packets;) {
		uint32_t n = receive(a, burst, refs);

		for (uint32_t i = 0; i < n; i++)
			bench_swap_macs(data(refs[i]));
		send_and_reap(a, refs, n);
		done += n;
	}
}

void bench_make_avbuffer_run(struct world *w, unsigned burst, uint64_t packets)
{
	struct avbuffers *a = (struct avbuffers *)w;
	AVBufferRef *refs[BURST_MAX];

	for (uint64_t done = 0; done < packets; done += burst) {
		for (uint32_t i = 0; i < burst; i++) {
			refs[i] = av_buffer_pool_get(a->pool);
			if (!refs[i])
				bench_die("no buffer");
			bench_write(data(refs[i]));
		}
		send_and_reap(a, refs, burst);
	}
}

/* ---- shared ---------------------------------------------------------------------------------------------- */

static inline uint64_t read_and_unref(AVBufferRef *refs[], uint32_t n)
{
	uint64_t seen = 0;

	for (uint32_t i = 0; i < n; i++) {
		seen += bench_read(data(refs[i]));
		av_buffer_unref(&refs[i]);
	}
	return seen;
}

static inline void ref_all(AVBufferRef *const refs[], AVBufferRef *to[], uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		to[i] = av_buffer_ref(refs[i]);
		if (!to[i])
			bench_die("no memory");
	}
}

void bench_share_avbuffer_run(struct world *w, unsigned burst, uint64_t packets)
{
	struct avbuffers *a = (struct avbuffers *)w;
	AVBufferRef *refs[BURST_MAX], *reader[READERS_MAX][BURST_MAX];
	const unsigned readers = w->of->readers;

	for (uint64_t done = 0; done < packets;) {
		uint32_t n = receive(a, burst, refs);

		for (unsigned j = 0; j < readers; j++)
			ref_all(refs, reader[j], n);
		for (unsigned j = 0; j < readers; j++)
			w->seen += read_and_unref(reader[j], n);
		for (uint32_t i = 0; i < n; i++)
			av_buffer_unref(&refs[i]);
		done += n;
	}
}

static inline void replace_by_copy(struct avbuffers *a, AVBufferRef **ref)
{
	AVBufferRef *copy = av_buffer_pool_get(a->pool);

	if (!copy)
		bench_die("no buffer for a copy");
	memcpy(data(copy), data(*ref), a->raw.world.pump.length);
	av_buffer_unref(ref);
	*ref = copy;
}

void bench_rewrite_avbuffer_run(struct world *w, unsigned burst, uint64_t packets)
{
	struct avbuffers *a = (struct avbuffers *)w;
	AVBufferRef *refs[BURST_MAX], *other[BURST_MAX];

	for (uint64_t done = 0; done < packets;) {
		uint32_t n = receive(a, burst, refs);

		ref_all(refs, other, n);
		for (uint32_t i = 0; i < n; i++) {
			if (!av_buffer_is_writable(refs[i]))
				replace_by_copy(a, &refs[i]);
			bench_swap_macs(data(refs[i]));
		}
		w->seen += read_and_unref(other, n);
		w->seen += read_and_unref(refs, n);
		done += n;
	}
}

/* ---- between two threads ---------------------------------------------------------------------------------- */

void bench_handover_avbuffer_run(struct world *w, unsigned burst, uint64_t packets)
{
	struct avbuffers *a = (struct avbuffers *)w;
	struct link *l = w->link;
	uint64_t sent = link_is_done(l), end = sent + packets;
	AVBufferRef *refs[BURST_MAX];

	while (sent < end) {
		uint32_t n, tail = spsc_tail(&l->to);

		if (spsc_room(&l->to, burst) < burst) {
			link_relax();
			continue;
		}
		n = receive(a, burst, refs);
		for (uint32_t i = 0; i < n; i++)
			l->object[(tail + i) % LINK_SIZE] = refs[i];
		spsc_publish(&l->to, n);
		sent += n;
	}
	while (link_is_done(l) != sent)
		link_relax();
}

void bench_handover_avbuffer_serve(struct world *w)
{
	struct link *l = w->link;

	atomic_store_explicit(&l->running, true, memory_order_release);
	while (!link_stopped(l)) {
		uint32_t head = spsc_head(&l->to), n = spsc_ready(&l->to, l->burst);

		if (n == 0) {
			link_relax();
			continue;
		}
		for (uint32_t i = 0; i < n; i++) {
			AVBufferRef *ref = l->object[(head + i) % LINK_SIZE];

			bench_swap_macs(data(ref));
			av_buffer_unref(&ref);
		}
		spsc_release(&l->to, n);
		link_done(l, n);
	}
}
