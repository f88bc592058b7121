/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The loops that every packet goes through, a part of frame.c. What they cost is nearly all of what the
 * library costs, and that is instructions: so each
 *  - deals with the ordinary element only, stops at any other, and calls nothing: all it needs stays in
 *    registers. Who calls it deals with the odd element, and goes on behind it;
 *  - takes eight elements at a time: of an element's 20 instructions the loop's own were four. The kernel's
 *    side, receive and unref of 64 packets took 11.4 cycles per packet one at a time, and 11.1, 10.6, 10.2,
 *    10.1 with two, four, eight, sixteen (Zen 5, gcc 12).
 * A run is a part of a ring without its wrap.
 *
 * An element is checked, stored, and only then the next is loaded: one handle twice in a burst, or one
 * frame in two descriptors, is found by its second occurrence.
 */
#ifndef SXSK_PRIV_RUNS_H
#define SXSK_PRIV_RUNS_H

#include "frame.h"

#include <string.h>

#define ALWAYS_INLINE static inline __attribute__((always_inline))
#define EIGHT_TIMES(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7)

/* ---- handles ---------------------------------------------------------------------------------------- */

/* A handle's fields beside its id, in the order of struct sxsk_buf. A length is added to it. */
ALWAYS_INLINE uint64_t buf_view(uint64_t slot, uint64_t offset)
{
	return slot << 48 | offset << 16;
}

ALWAYS_INLINE void set_buf(struct sxsk_buf *b, uint64_t id, uint64_t view)
{
	b->id = id;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	/* One store for the four fields, from which a load of all of them can be forwarded. */
	memcpy((unsigned char *)b + sizeof(id), &view, sizeof(view));
#else
	b->length = (uint16_t)view;
	b->offset = (uint16_t)(view >> 16);
	b->flags = (uint16_t)(view >> 32);
	b->pool = (uint16_t)(view >> 48);
#endif
}

/* ---- receive: FILL -> USER -------------------------------------------------------------------------- */

/* A descriptor's length and, above, its options: a packet of several is longer than any. */
ALWAYS_INLINE uint64_t desc_len(const struct xdp_desc *d)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	uint64_t len;

	memcpy(&len, &d->len, sizeof(len)); /* one load */
	return len;
#else
	return d->len | (uint64_t)d->options << 32;
#endif
}

/* The ordinary descriptor starts at the ordinary offset. Taking that off leaves the chunk's address, and
 * rotating its offset bits to the top makes one comparison of two: bits that should be zero make the
 * index huge. The shift is a constant, so there is a loop for each frame size. `c` is a copy of *r that
 * the compiler keeps in registers. */
ALWAYS_INLINE bool receive_ordinary(const struct sxsk_priv_rx_run *c,
				    const struct sxsk_priv_rx_run *r, const struct xdp_desc *d,
				    struct sxsk_buf *out, uint64_t *bytes, uint32_t shift,
				    bool prefetch)
{
	uint64_t address = d->addr, len = desc_len(d), start = address + c->back,
		 index = start >> shift | start << (64 - shift), id;

	if (unlikely(index >= r->count))
		return false;
	if (unlikely(len > r->most))
		return false;
	/* What is stored for a unique user is the handle's id. Relaxed: the word is what this half's
	 * thread stored at refill, or a thread before it. */
	id = load_relaxed(&c->words[index]) - c->filled;
	if (unlikely((id - index) & FRAME_LOW))
		return false;
	if (prefetch)
		__builtin_prefetch(c->base + address, 0, 2);
	store_relaxed(&c->words[index], id);
	*bytes += len;
	set_buf(out, id, r->view + len);
	return true;
}

/* A packet's first line, which the kernel (or its device) wrote last, is seldom in this processor's first
 * caches: have it on its way while the burst is being taken. But only to the second cache: a core waits for a
 * dozen lines or so at a time, so the reader's own loads, of which it runs as many ahead, should find work
 * left. With all lines of a long burst asked for here, this loop waits, and the reader's does not; so of
 * those every other's, the rest being the reader's to ask for (sxsk_buf_prefetch()). Nanoseconds above
 * raw-list, bursts of 256 (Emerald Rapids, gcc, means of 146 runs in turns): all here, and the reader asks too 2.3;
 * half 0.9; half, and the reader does not ask 1.6. */
enum prefetch { PREFETCH_NONE, PREFETCH_ALL, PREFETCH_HALF };

#define RECEIVE_ONE(i, prefetch)                                                                   \
	if (unlikely(!receive_ordinary(&c, r, d + (i), out + (i), &sum, shift, prefetch))) {       \
		left -= (i);                                                                       \
		goto stop;                                                                         \
	}
#define RECEIVE(i) RECEIVE_ONE(i, lines == PREFETCH_ALL || (lines == PREFETCH_HALF && (i) % 2))

/* Returns how many of the n descriptors were taken. */
ALWAYS_INLINE uint32_t receive_run(const struct sxsk_priv_rx_run *r, const struct xdp_desc *d,
				   uint32_t n, struct sxsk_buf *out, uint64_t *ret_bytes,
				   uint32_t shift, enum prefetch lines)
{
	const struct sxsk_priv_rx_run c = *r;
	uint64_t sum = 0;
	uint32_t left = n;

	for (; left >= 8; left -= 8, d += 8, out += 8) {
		EIGHT_TIMES(RECEIVE)
	}
	for (; left > 0; left--, d++, out++) {
		RECEIVE(0)
	}
stop:
	*ret_bytes = sum;
	return n - left;
}

/* ---- the last reference goes: USER -> HOME, FILL --------------------------------------------------- */

/* The ordinary handle is of this pool, and its frame has no other user and is not being sent: what is
 * stored is the handle's id. `freed` has the generation's increment, and what the frame becomes. A
 * generation that ends here is out of the ordinary. */
ALWAYS_INLINE bool unref_ordinary(atomic_u64 *words, uint16_t slot, const struct sxsk_buf *b,
				  uint64_t freed, uint64_t *ret_index)
{
	uint64_t id = b->id, f = id & FRAME_LOW;

	/* Acquire: what a former co-owner did with the frame happens before its next use. */
	if (unlikely(load_acquire(&words[f]) != id))
		return false;
	if (unlikely(b->pool != slot))
		return false;
	id += freed;
	if (unlikely(id & FRAME_USED_UP))
		return false;
	store_relaxed(&words[f], id);
	*ret_index = f;
	return true;
}

#define UNREF(i, result)                                                                           \
	if (unlikely(!unref_ordinary(words, slot, b + (i), freed, &f))) {                          \
		left -= (i);                                                                       \
		goto stop;                                                                         \
	}                                                                                          \
	out[i] = (result);

#define UNREF_HOME(i) UNREF(i, (uint32_t)f)
#define UNREF_FILL(i) UNREF(i, (f) * (chunk))

/* To HOME, the frames' numbers to out[]. Returns how many of the n handles were taken. */
ALWAYS_INLINE uint32_t unref_run(const struct sxsk_priv_pool *pool, const struct sxsk_buf *b,
				 uint32_t n, uint64_t freed, uint32_t *out)
{
	const uint16_t slot = (uint16_t)pool->slot;
	atomic_u64 *words = pool->words;
	uint32_t left = n;
	uint64_t f;

	for (; left >= 8; left -= 8, b += 8, out += 8) {
		EIGHT_TIMES(UNREF_HOME)
	}
	for (; left > 0; left--, b++, out++) {
		UNREF_HOME(0)
	}
stop:
	return n - left;
}

/* To FILL, the frames' addresses to out[], a part of the ring. */
ALWAYS_INLINE uint32_t recycle_run(const struct sxsk_priv_pool *pool, const struct sxsk_buf *b,
				   uint32_t n, uint64_t freed, uint64_t *out)
{
	const uint16_t slot = (uint16_t)pool->slot;
	const uint64_t chunk = pool->chunk;
	atomic_u64 *words = pool->words;
	uint32_t left = n;
	uint64_t f;

	for (; left >= 8; left -= 8, b += 8, out += 8) {
		EIGHT_TIMES(UNREF_FILL)
	}
	for (; left > 0; left--, b++, out++) {
		UNREF_FILL(0)
	}
stop:
	return n - left;
}

/* ---- send: USER -> TX1 ------------------------------------------------------------------------------ */

#define ETH_HEADER 14u /* the kernel refuses shorter packets */

struct tx_run {
	atomic_u64 *words;
	uint64_t chunk;
	uint64_t most;  /* see send_ordinary() */
	uint32_t least; /* offset: the pool's tx_metadata_len, for which the kernel wants room */
	uint64_t sent;  /* the generation's increment, and TX1(queue) */
	uint32_t pool;  /* slot << 16: its handles without flags */
};

/* The ordinary Buf is of this pool, has the frame for itself, no flags, and a length that can be sent. */
ALWAYS_INLINE bool send_ordinary(const struct tx_run *r, const struct sxsk_buf *b,
				 struct xdp_desc *d, uint64_t *bytes)
{
	uint64_t id = b->id, f = id & FRAME_LOW;
	uint32_t len = b->length, offset = b->offset;

	/* Acquire: as in unref_ordinary(). */
	if (unlikely(load_acquire(&r->words[f]) != id))
		return false;
	if (unlikely((b->flags | (uint32_t)b->pool << 16) != r->pool))
		return false;
	/* Too short is huge, and so is too near to the frame's start. */
	if (unlikely((uint64_t)(len - ETH_HEADER) + (offset - r->least) > r->most))
		return false;
	id += r->sent;
	if (unlikely(id & FRAME_USED_UP))
		return false;
	store_relaxed(&r->words[f], id);
	d->addr = f * r->chunk + offset;
	d->len = len;
	d->options = 0;
	*bytes += len;
	return true;
}

#define SEND(i)                                                                                    \
	if (unlikely(!send_ordinary(r, b + (i), d + (i), &sum))) {                                 \
		left -= (i);                                                                       \
		goto stop;                                                                         \
	}

/* Returns how many of the n Bufs were taken. */
ALWAYS_INLINE uint32_t send_run(const struct tx_run *r, const struct sxsk_buf *b, uint32_t n,
				struct xdp_desc *d, uint64_t *bytes)
{
	uint64_t sum = 0;
	uint32_t left = n;

	for (; left >= 8; left -= 8, b += 8, d += 8) {
		EIGHT_TIMES(SEND)
	}
	for (; left > 0; left--, b++, d++) {
		SEND(0)
	}
stop:
	*bytes += sum;
	return n - left;
}

/* ---- completion, from and to the depot, alloc, refill: TX1 -> HOME, FILL, HOME -> HOME, USER, FILL ------------ */

/* The ordinary frame is in state `from`. */
ALWAYS_INLINE bool move_ordinary(atomic_u64 *words, uint64_t f, uint64_t from, uint64_t to)
{
	uint64_t x = load_relaxed(&words[f]) - from;

	if (unlikely((x - f) & FRAME_LOW))
		return false;
	store_relaxed(&words[f], x + to);
	return true;
}

ALWAYS_INLINE bool complete_ordinary(atomic_u64 *words, uint64_t count, uint64_t f, uint64_t from,
				     uint64_t to)
{
	return likely(f < count) && move_ordinary(words, f, from, to);
}

#define COMPLETE(i)                                                                                \
	f = ring[i] >> shift;                                                                      \
	if (unlikely(!complete_ordinary(words, count, f, from, to))) {                             \
		left -= (i);                                                                       \
		goto stop;                                                                         \
	}                                                                                          \
	out[i] = (uint32_t)f;

/* A part of the COMPLETION ring: the frames' numbers to out[]. Returns how many of the n were taken. */
ALWAYS_INLINE uint32_t complete_run(const struct sxsk_priv_pool *pool, const uint64_t *ring,
				    uint32_t n, uint64_t from, uint64_t to, uint32_t *out)
{
	const uint64_t count = pool->count;
	const uint32_t shift = pool->shift;
	atomic_u64 *words = pool->words;
	uint64_t f;
	uint32_t left = n;

	for (; left >= 8; left -= 8, ring += 8, out += 8) {
		EIGHT_TIMES(COMPLETE)
	}
	for (; left > 0; left--, ring++, out++) {
		COMPLETE(0)
	}
stop:
	return n - left;
}

#define COMPLETE_FILL(i)                                                                           \
	f = ring[i] >> shift;                                                                      \
	if (unlikely(!complete_ordinary(words, count, f, from, to))) {                             \
		left -= (i);                                                                       \
		goto stop;                                                                         \
	}                                                                                          \
	out[i] = f << shift;

/* The same to FILL: the frames' addresses to out[], a part of the FILL ring. */
ALWAYS_INLINE uint32_t complete_fill_run(const struct sxsk_priv_pool *pool, const uint64_t *ring,
					 uint32_t n, uint64_t from, uint64_t to, uint64_t *out)
{
	const uint64_t count = pool->count;
	const uint32_t shift = pool->shift;
	atomic_u64 *words = pool->words;
	uint64_t f;
	uint32_t left = n;

	for (; left >= 8; left -= 8, ring += 8, out += 8) {
		EIGHT_TIMES(COMPLETE_FILL)
	}
	for (; left > 0; left--, ring++, out++) {
		COMPLETE_FILL(0)
	}
stop:
	return n - left;
}

#define MOVE(i)                                                                                    \
	if (unlikely(!move_ordinary(words, index[i], from, to))) {                                 \
		left -= (i);                                                                       \
		goto stop;                                                                         \
	}

/* Returns how many of the n frames were moved. */
ALWAYS_INLINE uint32_t move_run(const struct sxsk_priv_pool *pool, const uint32_t *index,
				uint32_t n, uint64_t from, uint64_t to)
{
	atomic_u64 *words = pool->words;
	uint32_t left = n;

	for (; left >= 8; left -= 8, index += 8) {
		EIGHT_TIMES(MOVE)
	}
	for (; left > 0; left--, index++) {
		MOVE(0)
	}
stop:
	return n - left;
}

#define ALLOC(i)                                                                                   \
	f = top[-1 - (i)];                                                                         \
	id = load_relaxed(&words[f]) - from;                                                       \
	if (unlikely((id - f) & FRAME_LOW)) {                                                      \
		left -= (i);                                                                       \
		goto stop;                                                                         \
	}                                                                                          \
	store_relaxed(&words[f], id); /* of a unique user */                                       \
	set_buf(out + (i), id, view);

/* HOME -> USER: the numbers below `top`, downwards. Returns how many of the n were taken. */
ALWAYS_INLINE uint32_t alloc_run(const struct sxsk_priv_pool *pool, const uint32_t *top, uint32_t n,
				 uint64_t from, uint64_t view, struct sxsk_buf *out)
{
	atomic_u64 *words = pool->words;
	uint64_t f, id;
	uint32_t left = n;

	for (; left >= 8; left -= 8, top -= 8, out += 8) {
		EIGHT_TIMES(ALLOC)
	}
	for (; left > 0; left--, top--, out++) {
		ALLOC(0)
	}
stop:
	return n - left;
}

#define FILL(i)                                                                                    \
	f = top[-1 - (i)];                                                                         \
	if (unlikely(!move_ordinary(words, f, from, to))) {                                        \
		left -= (i);                                                                       \
		goto stop;                                                                         \
	}                                                                                          \
	out[i] = f * chunk;

/* The numbers below `top`, downwards: the frames' addresses to out[], a part of the FILL ring. Returns
 * how many of the n were taken. */
ALWAYS_INLINE uint32_t fill_run(const struct sxsk_priv_pool *pool, const uint32_t *top, uint32_t n,
				uint64_t from, uint64_t to, uint64_t *out)
{
	const uint64_t chunk = pool->chunk;
	atomic_u64 *words = pool->words;
	uint64_t f;
	uint32_t left = n;

	for (; left >= 8; left -= 8, top -= 8, out += 8) {
		EIGHT_TIMES(FILL)
	}
	for (; left > 0; left--, top--, out++) {
		FILL(0)
	}
stop:
	return n - left;
}

#endif
