/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The Buf: a 16-byte value handle to one frame. Copies of a handle are ONE reference; sxsk_buf_ref()
 * makes another. A handle carries its own offset and length, so clones of one frame may have
 * different views of it. Sharing excludes mutation: data_mut gives NULL (and misuse) unless the
 * caller is the only owner. The zeroed handle is null, and harmless everywhere.
 */
#ifndef SAFEXSK_BUF_H
#define SAFEXSK_BUF_H

#include <safexsk/base.h>

SXSK_BEGIN_DECLS

struct sxsk_pool;

/** A Buf. Move it, or share it between threads each with a reference of its own. */
struct sxsk_buf {
	uint64_t id;     /**< generation 44 bits, frame index 20 bits */
	uint16_t length; /**< data bytes */
	uint16_t offset; /**< first data byte, from the chunk's start */
	uint16_t flags;  /**< SXSK_BUF_* */
	uint16_t pool;   /**< pool slot; 0 = the null handle */
};

/** The packet goes on in the next Buf of the burst (multi-buffer). */
#define SXSK_BUF_MORE 1u
/** The packet asks for offloads, see metadata.h; set there. */
#define SXSK_BUF_TX_METADATA 2u
/** Something is known of the packet, see metadata.h; set by sxsk_rx_burst(). */
#define SXSK_BUF_RX_METADATA 4u

/* ---- private: the exported view of each pool, and the layout of a frame's word ---------------- */

/* What is stored for a frame is {generation 44, index 20}, as in a handle's id, plus the frame's state:
 * 0 for a unique owner, up to 2^19 with others, from there to 2^20 when nobody has a reference. All states
 * are in the library's frame.h. */
#define SXSK_PRIV_LOW 0xfffffull
#define SXSK_PRIV_NOBODY (1ull << 19)
#define SXSK_PRIV_NOWHERE                                                                          \
	(~0ull) /* stored where no frame is; zero, for handles of generation 1 and up */

/* The exported view of the pools, by slot: an array for each thing, so that a 16-bit slot is all it
 * takes to address an entry. An empty slot, and all of them in a forked child, is zero: its table is
 * then the one that no handle matches, with its every index. So a handle with any bits at all can be
 * looked up without another test. */
struct sxsk_priv_views {
	uint64_t nowhere[SXSK_PRIV_LOW + 1]; /* SXSK_PRIV_NOWHERE and zeros, always */
	uint64_t table[65536];      /* the frames' state words: where, in words from here */
	unsigned char *base[65536]; /* packet memory */
	uint32_t chunk[65536]; /* bytes per frame; 0 = no pool in this slot, or a forked child */
	uint32_t count[65536]; /* frames */
	struct sxsk_pool *pool[65536]; /* the cookie */
};

SXSK_API extern struct sxsk_priv_views *const sxsk_priv_views;
SXSK_API const void *sxsk_priv_misuse_data(uint64_t id, uint64_t slot, uint64_t offset,
					   uint64_t length, const char *function)
	__attribute__((cold));
SXSK_API int sxsk_priv_misuse_view(struct sxsk_buf *b, uint32_t n, const char *function)
	__attribute__((cold));

static inline uint64_t sxsk_priv_stored(struct sxsk_buf b)
{
	const struct sxsk_priv_views *v = sxsk_priv_views;
	uint64_t slot = b.pool, index = b.id & SXSK_PRIV_LOW;

	/* Acquire: pairs with the release of the thread that put the frame into this state, so that a
	 * handle that matches also sees the bytes that go with it. Free on x86. */
	return __atomic_load_n((const uint64_t *)((uintptr_t)v + 8 * (v->table[slot] + index)),
			       __ATOMIC_ACQUIRE);
}

static inline bool sxsk_priv_live(struct sxsk_buf b)
{
	uint64_t stored = sxsk_priv_stored(b);

	/* Same generation, and somebody still has a reference. */
	return stored >= b.id && stored - b.id < SXSK_PRIV_NOBODY;
}

static inline bool sxsk_priv_unique(struct sxsk_buf b)
{
	return sxsk_priv_stored(b) == b.id;
}

static inline bool sxsk_priv_in_chunk(struct sxsk_buf b)
{
	uint64_t slot = b.pool, offset = b.offset, length = b.length;

	return offset + length <= sxsk_priv_views->chunk[slot];
}

static inline unsigned char *sxsk_priv_at(struct sxsk_buf b)
{
	const struct sxsk_priv_views *v = sxsk_priv_views;
	uint64_t slot = b.pool, index = b.id & SXSK_PRIV_LOW, offset = b.offset;

	return v->base[slot] + index * v->chunk[slot] + offset;
}

/* ---- accessors, inline ------------------------------------------------------------------------- */

/** How far ahead of the Buf being read the two functions below do most. */
#define SXSK_PREFETCH_AHEAD 8

/** Have the Buf's first bytes on their way to this processor: a hint, which looks at nothing.
 *
 * sxsk_rx_burst() does so for bursts of up to 32 of a thread that gives back what it receives, and cannot
 * do all of it for longer ones: there, a loop that reads bufs[i] calls this for bufs[i + SXSK_PREFETCH_AHEAD].
 *
 * Returns:   nothing; takes any handle, null and stale ones too, without an error
 * Errors:    none
 * Ownership: borrows the Buf
 * Threads:   any thread; wait-free
 * Ordering:  none
 * Syscalls:  none
 * Since:     0.1
 * Source:    own
 */
static inline void sxsk_buf_prefetch(struct sxsk_buf b)
{
	const struct sxsk_priv_views *v = sxsk_priv_views;
	uint64_t slot = b.pool, index = b.id & SXSK_PRIV_LOW, offset = b.offset;

	/* A number, since it need not be the address of anything. */
	__builtin_prefetch(
		(const void *)((uintptr_t)v->base[slot] + index * v->chunk[slot] + offset));
}

/** As sxsk_buf_prefetch(), for a Buf that another thread handed over, in bursts of any length: what that
 * thread wrote of the frame's state comes, too.
 *
 * Returns:   nothing; takes any handle, null and stale ones too, without an error
 * Errors:    none
 * Ownership: borrows the Buf
 * Threads:   any thread; wait-free
 * Ordering:  none
 * Syscalls:  none
 * Since:     0.1
 * Source:    own
 */
static inline void sxsk_buf_prefetch_handed(struct sxsk_buf b)
{
	const struct sxsk_priv_views *v = sxsk_priv_views;
	uintptr_t word = (uintptr_t)v + 8 * (v->table[b.pool] + (b.id & SXSK_PRIV_LOW));

	/* To be written, by the send or unref to come: a line that is fetched to be read is asked for again
	 * then. Compilers emit this for newer targets only; older processors take it for a no-op. */
#if defined(__x86_64__)
	__asm__ volatile("prefetchw %0" : : "m"(*(const char *)word));
#else
	__builtin_prefetch((const void *)word, 1);
#endif
	sxsk_buf_prefetch(b);
}

/** The Buf's bytes, to read.
 *
 * Returns:   the first data byte; NULL for the null handle and after misuse
 * Errors:    misuse: SXSK_MISUSE_STALE, SXSK_MISUSE_FORGED
 * Ownership: lends until unref or submit of this Buf
 * Threads:   any thread with a reference; wait-free
 * Ordering:  acquire
 * Syscalls:  none
 * Since:     0.1
 * Source:    own
 */
static inline const void *sxsk_buf_data(struct sxsk_buf b)
{
	if (__builtin_expect(sxsk_priv_live(b) && sxsk_priv_in_chunk(b), 1))
		return sxsk_priv_at(b);
	return sxsk_priv_misuse_data(b.id, b.pool, b.offset, b.length, "sxsk_buf_data");
}

/** The Buf's bytes, to change: for the only owner of a frame that is not being sent.
 *
 * Returns:   the first data byte; NULL for the null handle and after misuse
 * Errors:    misuse: SXSK_MISUSE_STALE, SXSK_MISUSE_SHARED, SXSK_MISUSE_FORGED
 * Ownership: lends until unref, ref or submit of this Buf
 * Threads:   any thread, the only one with a reference; wait-free
 * Ordering:  acquire
 * Syscalls:  none
 * Since:     0.1
 * Source:    own
 */
static inline void *sxsk_buf_data_mut(struct sxsk_buf b)
{
	if (__builtin_expect(sxsk_priv_unique(b) && sxsk_priv_in_chunk(b), 1))
		return sxsk_priv_at(b);
	/* The cold path returns NULL always; the cast only drops its const. */
	return (void *)(uintptr_t)sxsk_priv_misuse_data(b.id, b.pool, b.offset, b.length,
							"sxsk_buf_data_mut");
}

/** Data bytes of this Buf. Returns: bytes. Errors: none. Ownership: borrows. Threads: any thread;
 * wait-free. Ordering: none. Syscalls: none. Since: 0.1. Source: own. */
static inline uint32_t sxsk_buf_len(struct sxsk_buf b)
{
	return b.length;
}

/** Bytes from the chunk's start to the data. Returns: bytes. Errors: none. Ownership: borrows.
 * Threads: any thread; wait-free. Ordering: none. Syscalls: none. Since: 0.1. Source: skb_headroom. */
static inline uint32_t sxsk_buf_headroom(struct sxsk_buf b)
{
	return b.offset;
}

/** Bytes from the data's end to the chunk's end. Returns: bytes; 0 for a null or dead handle.
 * Errors: none. Ownership: borrows. Threads: any thread; wait-free. Ordering: none. Syscalls: none.
 * Since: 0.1. Source: skb_tailroom. */
static inline uint32_t sxsk_buf_tailroom(struct sxsk_buf b)
{
	uint32_t end = (uint32_t)b.offset + b.length, chunk = sxsk_priv_views->chunk[b.pool];

	return end < chunk ? chunk - end : 0;
}

/** The frame's index in its pool, 0 to frame_count - 1. Returns: the index. Errors: none. Ownership:
 * borrows. Threads: any thread; wait-free. Ordering: none. Syscalls: none. Since: 0.1. Source: own. */
static inline uint32_t sxsk_buf_index(struct sxsk_buf b)
{
	return (uint32_t)(b.id & SXSK_PRIV_LOW);
}

/** Is this the null handle? Returns: true for a zeroed handle. Errors: none. Ownership: borrows.
 * Threads: any thread; wait-free. Ordering: none. Syscalls: none. Since: 0.1. Source: own. */
static inline bool sxsk_buf_is_null(struct sxsk_buf b)
{
	return b.pool == 0;
}

/** Is it the last Buf of a packet, or the only one? Returns: false where the packet goes on in the next Buf.
 * Errors: none. Ownership: borrows. Threads: any thread; wait-free. Ordering: none. Syscalls: none.
 * Since: 0.1. Source: own. */
static inline bool sxsk_buf_is_last(struct sxsk_buf b)
{
	return !(b.flags & SXSK_BUF_MORE);
}

/** May others read this frame: a second reference, or the kernel sending it? Returns: false only for
 * the unique owner; false for null and dead handles. Errors: none. Ownership: borrows. Threads: any
 * thread; wait-free. Ordering: acquire. Syscalls: none. Since: 0.1. Source: skb_shared. */
static inline bool sxsk_buf_is_shared(struct sxsk_buf b)
{
	return sxsk_priv_live(b) && !sxsk_priv_unique(b);
}

/** The pool of a Buf. Returns: the pool, NULL for null handles and pools that are gone. Errors: none.
 * Ownership: borrows. Threads: any thread; wait-free. Ordering: none. Syscalls: none. Since: 0.1.
 * Source: own. */
static inline struct sxsk_pool *sxsk_buf_pool(struct sxsk_buf b)
{
	return sxsk_priv_views->pool[b.pool];
}

/** Extend the data towards the chunk's start by n bytes (to put a header in front). It changes this
 * handle's view only, so it works on shared Bufs too.
 *
 * Returns:   0, or -errno and *b unchanged
 * Errors:    -EMSGSIZE (no room), -EINVAL (null handle); misuse: SXSK_MISUSE_STALE,
 *            SXSK_MISUSE_FORGED (then -EINVAL)
 * Ownership: borrows
 * Threads:   caller locks the handle variable; wait-free
 * Ordering:  none
 * Syscalls:  none
 * Since:     0.1
 * Source:    skb_push
 */
static inline SXSK_MUST_CHECK int sxsk_buf_push(struct sxsk_buf *b, uint32_t n)
{
	if (!sxsk_priv_live(*b) || n > b->offset || n > UINT16_MAX - (uint32_t)b->length)
		return sxsk_priv_misuse_view(b, n, "sxsk_buf_push");
	b->offset = (uint16_t)(b->offset - n);
	b->length = (uint16_t)(b->length + n);
	return 0;
}

/** Drop n bytes from the data's start (to step over a header). Otherwise as sxsk_buf_push().
 *
 * Returns:   0, or -errno and *b unchanged
 * Errors:    -EMSGSIZE (fewer than n bytes), -EINVAL (null handle); misuse: SXSK_MISUSE_STALE,
 *            SXSK_MISUSE_FORGED (then -EINVAL)
 * Ownership: borrows
 * Threads:   caller locks the handle variable; wait-free
 * Ordering:  none
 * Syscalls:  none
 * Since:     0.1
 * Source:    skb_pull
 */
static inline SXSK_MUST_CHECK int sxsk_buf_pull(struct sxsk_buf *b, uint32_t n)
{
	if (!sxsk_priv_live(*b) || n > b->length)
		return sxsk_priv_misuse_view(b, n, "sxsk_buf_pull");
	b->offset = (uint16_t)(b->offset + n);
	b->length = (uint16_t)(b->length - n);
	return 0;
}

/** Extend the data at its end by n bytes. Otherwise as sxsk_buf_push().
 *
 * Returns:   0, or -errno and *b unchanged
 * Errors:    -EMSGSIZE (no room), -EINVAL (null handle); misuse: SXSK_MISUSE_STALE,
 *            SXSK_MISUSE_FORGED (then -EINVAL)
 * Ownership: borrows
 * Threads:   caller locks the handle variable; wait-free
 * Ordering:  none
 * Syscalls:  none
 * Since:     0.1
 * Source:    skb_put
 */
static inline SXSK_MUST_CHECK int sxsk_buf_put(struct sxsk_buf *b, uint32_t n)
{
	if (!sxsk_priv_live(*b) || n > sxsk_buf_tailroom(*b))
		return sxsk_priv_misuse_view(b, n, "sxsk_buf_put");
	b->length = (uint16_t)(b->length + n);
	return 0;
}

/** Set the data's length to n bytes, shorter or longer. Otherwise as sxsk_buf_push().
 *
 * Returns:   0, or -errno and *b unchanged
 * Errors:    -EMSGSIZE (past the chunk's end), -EINVAL (null handle); misuse: SXSK_MISUSE_STALE,
 *            SXSK_MISUSE_FORGED (then -EINVAL)
 * Ownership: borrows
 * Threads:   caller locks the handle variable; wait-free
 * Ordering:  none
 * Syscalls:  none
 * Since:     0.1
 * Source:    skb_trim, which only shortens
 */
static inline SXSK_MUST_CHECK int sxsk_buf_trim(struct sxsk_buf *b, uint32_t n)
{
	uint32_t chunk = sxsk_priv_views->chunk[b->pool];

	if (!sxsk_priv_live(*b) || b->offset > chunk || n > chunk - b->offset)
		return sxsk_priv_misuse_view(b, n, "sxsk_buf_trim");
	b->length = (uint16_t)n;
	return 0;
}

/* ---- functions ---------------------------------------------------------------------------------- */

/** Make another reference to the frame.
 *
 * Returns:   a handle equal to b; null for null, after misuse, and past SXSK_MAX_REFS (then
 *            sxsk_last_error() says so)
 * Errors:    misuse: SXSK_MISUSE_STALE, SXSK_MISUSE_FORGED
 * Ownership: returns owned
 * Threads:   any thread with a reference; lock-free (one compare-and-swap)
 * Ordering:  relaxed: the caller's own reference orders what it sees
 * Syscalls:  none
 * Since:     0.1
 * Source:    Linux refcount.h
 */
SXSK_API SXSK_MUST_CHECK struct sxsk_buf sxsk_buf_ref(struct sxsk_buf b);

/** Give a reference back and null *b. The frame goes home with its last reference.
 *
 * Returns:   nothing
 * Errors:    misuse: SXSK_MISUSE_STALE or _DOUBLE, SXSK_MISUSE_FORGED
 * Ownership: takes
 * Threads:   any thread with a reference; lock-free; no atomic RMW for a unique Buf when the calling
 *            thread has a lane
 * Ordering:  release; acquire by whoever takes the frame home
 * Syscalls:  recvfrom when the frame goes straight to a FILL ring whose driver asks for a wake-up; write on an
 *            eventfd when somebody waits for frames; munmap and madvise when it was the last frame of a
 *            pool without owners; at hardened levels mprotect, rt_sigprocmask
 * Since:     0.1
 * Source:    Linux refcount.h
 */
SXSK_API void sxsk_buf_unref(struct sxsk_buf *b);

/** Give n references back. The array is not cleared (but for misused elements, which are nulled):
 * its handles are dead, and using one is found as misuse.
 *
 * Returns:   nothing
 * Errors:    misuse per element; the burst goes on
 * Ownership: takes
 * Threads:   as sxsk_buf_unref()
 * Ordering:  as sxsk_buf_unref()
 * Syscalls:  as sxsk_buf_unref()
 * Since:     0.1
 * Source:    own
 */
SXSK_API void sxsk_buf_unref_burst(struct sxsk_buf bufs[], unsigned n);

/** Copy a Buf's bytes into a new frame of a pool: same length and flags, same offset where it fits.
 *
 * Returns:   0 and *ret_copy, or -errno and *ret_copy null
 * Errors:    -ENOBUFS (`to` is empty), -EMSGSIZE (longer than its frames hold), -EINVAL (null handle,
 *            or after misuse)
 * Ownership: borrows b; *ret_copy returns owned
 * Threads:   any thread with a reference; lock-free
 * Ordering:  as sxsk_pool_alloc()
 * Syscalls:  as sxsk_pool_alloc()
 * Since:     0.1
 * Source:    skb_copy
 */
SXSK_API SXSK_MUST_CHECK int sxsk_buf_copy(struct sxsk_pool *to, struct sxsk_buf b,
					   struct sxsk_buf *ret_copy);

/** Make *b the only reference to its bytes: nothing if it is already, else a private copy in the same
 * pool, and the shared reference given back. For header rewrites while flooding.
 *
 * Returns:   0, or -errno and *b unchanged
 * Errors:    as sxsk_buf_copy()
 * Ownership: takes the old reference on success; *b returns owned
 * Threads:   caller locks the handle variable; lock-free
 * Ordering:  as sxsk_buf_copy() and sxsk_buf_unref()
 * Syscalls:  as sxsk_buf_copy() and sxsk_buf_unref()
 * Since:     0.1
 * Source:    skb_unshare
 */
SXSK_API SXSK_MUST_CHECK int sxsk_buf_unshare(struct sxsk_buf *b);

/** The frame's user area (sxsk_pool_opts.user_size bytes), to read. Undefined after receive.
 *
 * Returns:   the area, 8-byte aligned; NULL when the pool has none, for null handles, after misuse
 * Errors:    misuse: SXSK_MISUSE_STALE, SXSK_MISUSE_FORGED
 * Ownership: lends until unref or submit of this Buf
 * Threads:   any thread with a reference; wait-free
 * Ordering:  acquire
 * Syscalls:  none
 * Since:     0.1
 * Source:    DPDK's rte_mbuf_to_priv
 */
SXSK_API const void *sxsk_buf_user(struct sxsk_buf b);

/** The frame's user area, to change: for the only owner. Otherwise as sxsk_buf_user().
 *
 * Returns:   the area, 8-byte aligned; NULL when the pool has none, for null handles, after misuse
 * Errors:    misuse: SXSK_MISUSE_STALE, SXSK_MISUSE_SHARED, SXSK_MISUSE_FORGED
 * Ownership: lends until unref, ref or submit of this Buf
 * Threads:   any thread, the only one with a reference; wait-free
 * Ordering:  acquire
 * Syscalls:  none
 * Since:     0.1
 * Source:    DPDK's rte_mbuf_to_priv
 */
SXSK_API void *sxsk_buf_user_mut(struct sxsk_buf b);

SXSK_END_DECLS
#endif
