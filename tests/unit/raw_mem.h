/* SPDX-License-Identifier: BSD-2-Clause */
/* One end of a mem: cable without the library above it: the test plays the user of the four rings. */
#ifndef RAW_MEM_H
#define RAW_MEM_H

#include "device_mem.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHUNK 2048u
#define CHUNKS 64u
#define DATA KERNEL_HEADROOM /* where received bytes start in a chunk, without headroom */

struct raw {
	struct sxsk_priv_pool pool;
	struct sxsk_priv_queue q;
	struct sxsk_priv_socket s;
};

/* Up to the point where bind comes; 0 or what failed. Sizes of the rings: rx, tx, fill, comp. */
static inline int raw_try_open(struct raw **ret_raw, const char *name, uint32_t flags,
			       const uint32_t size[4])
{
	struct raw *r = aligned_alloc(_Alignof(struct raw), sizeof(*r));
	int err;

	memset(r, 0, sizeof(*r));
	r->pool.base = aligned_alloc(CACHE_LINE, (size_t)CHUNKS * CHUNK);
	memset(r->pool.base, 0, (size_t)CHUNKS * CHUNK);
	r->pool.kernel_base = r->pool.base;
	r->pool.count = CHUNKS;
	r->pool.chunk = CHUNK;
	r->pool.shift = 11;
	r->pool.size = (size_t)CHUNKS * CHUNK;
	r->s.pool = &r->pool;
	r->s.q = &r->q;
	r->s.device = &sxsk_priv_device_mem;
	r->s.flags = flags;
	r->s.fd = -1;
	memcpy(r->s.ring_size, size, sizeof(r->s.ring_size));
	err = r->s.device->identify(name, 0, &r->q.device, &r->s.mtu);
	if (!err)
		err = r->s.device->open(&r->s, NULL);
	if (err) {
		free(r->pool.base);
		free(r);
		r = NULL;
	}
	*ret_raw = r;
	return err;
}

static inline struct raw *raw_open_sized(const char *name, uint32_t flags, const uint32_t size[4])
{
	struct raw *r;
	int err = raw_try_open(&r, name, flags, size);

	cr_assert_eq(err, 0, "%s: %s", name, sxsk_last_error());
	cr_assert_eq(r->s.device->bind(&r->s, NULL), 0);
	cr_assert_eq(r->s.device->steer(&r->s), 0);
	return r;
}

static inline struct raw *raw_open(const char *name, uint32_t flags)
{
	return raw_open_sized(name, flags, (const uint32_t[4]){ 64, 64, 64, 64 });
}

static inline void raw_close(struct raw *r)
{
	r->s.device->unsteer(&r->s);
	r->s.device->close(&r->s);
	free(r->pool.base);
	free(r);
}

/* A descriptor into TX. */
static inline void put(struct raw *r, uint64_t addr, uint32_t len, uint32_t options)
{
	uint32_t at = 0;

	cr_assert_eq(xsk_ring_prod__reserve(&r->s.tx_ring, 1, &at), 1);
	*xsk_ring_prod__tx_desc(&r->s.tx_ring, at) =
		(struct xdp_desc){ .addr = addr, .len = len, .options = options };
	xsk_ring_prod__submit(&r->s.tx_ring, 1);
}

/* n packets of 60 bytes, from chunk 0 on. */
static inline void put_many(struct raw *r, uint32_t n, uint32_t options)
{
	for (uint32_t i = 0; i < n; i++)
		put(r, (uint64_t)i * CHUNK, 60, options);
}

/* An address into FILL. */
static inline void give(struct raw *r, uint64_t addr)
{
	uint32_t at = 0;

	cr_assert_eq(xsk_ring_prod__reserve(&r->q.fill, 1, &at), 1);
	*xsk_ring_prod__fill_addr(&r->q.fill, at) = addr;
	xsk_ring_prod__submit(&r->q.fill, 1);
}

static inline int kick(struct raw *r)
{
	return r->s.device->kick_tx(&r->s);
}

/* One descriptor from RX; false when there is none. */
static inline bool take_rx(struct raw *r, struct xdp_desc *ret_desc)
{
	uint32_t at = 0;

	if (xsk_ring_cons__peek(&r->s.rx_ring, 1, &at) == 0)
		return false;
	*ret_desc = *xsk_ring_cons__rx_desc(&r->s.rx_ring, at);
	xsk_ring_cons__release(&r->s.rx_ring, 1);
	return true;
}

static inline bool take_comp(struct raw *r, uint64_t *ret_addr)
{
	uint32_t at = 0;

	if (xsk_ring_cons__peek(&r->q.comp, 1, &at) == 0)
		return false;
	*ret_addr = *xsk_ring_cons__comp_addr(&r->q.comp, at);
	xsk_ring_cons__release(&r->q.comp, 1);
	return true;
}

static inline uint32_t count_comp(struct raw *r)
{
	uint32_t n = 0;
	uint64_t addr;

	while (take_comp(r, &addr))
		n++;
	return n;
}

static inline uint32_t count_rx(struct raw *r)
{
	uint32_t n = 0;
	struct xdp_desc d;

	while (take_rx(r, &d))
		n++;
	return n;
}

/* Entries of TX that the device has taken. */
static inline uint32_t tx_taken(const struct raw *r)
{
	return *r->s.tx_ring.consumer;
}

static inline struct sxsk_kernel_stats stats(struct raw *r)
{
	struct sxsk_kernel_stats st;

	r->s.device->stats(&r->s, &st);
	return st;
}

static inline void expect_chunks(struct raw *r, const uint64_t chunk[], size_t n, int line)
{
	uint64_t addr;

	for (size_t i = 0; i < n; i++) {
		cr_assert(take_comp(r, &addr), "line %d: completion %zu is missing", line, i);
		cr_assert_eq(addr, chunk[i] * CHUNK, "line %d: completion %zu is 0x%llx", line, i,
			     (unsigned long long)addr);
	}
	cr_assert_not(take_comp(r, &addr), "line %d: a completion too many", line);
}

/* COMPLETION has the addresses of exactly these chunks, in this order. */
#define expect_comp(r, ...)                                                                        \
	expect_chunks(r, (const uint64_t[]){ __VA_ARGS__ },                                        \
		      sizeof((const uint64_t[]){ __VA_ARGS__ }) / sizeof(uint64_t), __LINE__)

#endif
