/* SPDX-License-Identifier: BSD-2-Clause */
/* The pool: packet memory (umem), its frame table, and the depot of free frames. */
#ifndef SAFEXSK_POOL_H
#define SAFEXSK_POOL_H

#include <safexsk/buf.h>

SXSK_BEGIN_DECLS

/** A pool. The pointer is a cookie, never dereferenced: a stale one is misuse, not a crash. */
struct sxsk_pool;

/** sxsk_pool_opts.flags */
enum sxsk_pool_flags {
	SXSK_POOL_HUGE_2M = 1u << 0, /**< packet memory in huge pages of 2 MiB, or fail */
	SXSK_POOL_HUGE_1G = 1u << 1, /**< packet memory in huge pages of 1 GiB, or fail */
	/** With one of these: fall back to ordinary pages instead. What it came to is in
	 * sxsk_pool_stats.page_size; after a fallback sxsk_last_error() says why. */
	SXSK_POOL_HUGE_TRY = 1u << 2,
	/** Frames of any size from 2048 to 4096 bytes, side by side (the kernel's unaligned chunk mode,
	 * Linux 5.4) */
	SXSK_POOL_UNALIGNED = 1u << 3,
	/** The kernel computes the checksums that packets ask for (metadata.h) itself in copy mode, instead
	 * of leaving it to the card: for tests, and for interfaces that only pretend to. Linux 6.8 */
	SXSK_POOL_TX_SW_CSUM = 1u << 4,
};

/** Numbers of NUMA nodes end before this one. */
#define SXSK_MAX_NUMA_NODES 1024
/** sxsk_pool_opts.numa_node for the node with this number, counted from 0. */
#define SXSK_NUMA_NODE(number) ((uint32_t)(number) + 1)

/** Pool options. Zero means the default everywhere; set sz = sizeof(struct sxsk_pool_opts). */
struct sxsk_pool_opts {
	size_t sz;            /**< size of this struct as compiled; 0 is refused */
	const char *name;     /**< for reports, up to 31 bytes; default "pool" */
	uint32_t frame_count; /**< frames, 64 to 1,048,576, rounded up to a multiple of 64; 16384 */
	uint32_t frame_size;  /**< bytes per frame (umem chunk), 2048 or 4096, with
			       * SXSK_POOL_UNALIGNED any size between, rounded up to a multiple
			       * of 2; 2048 */
	uint32_t headroom;    /**< bytes free before received data, beyond the kernel's 256; 0 */
	uint32_t user_size;   /**< bytes of user area per frame, rounded up to 8, at most 4096; 0 */
	uint32_t flags;       /**< SXSK_POOL_*; 0 */
	/** Bytes before each packet's data for what it asks of the device, see metadata.h: at least
	 * SXSK_TX_METADATA_LEN, a multiple of 8, below 256; 0. The kernel wants them before every Buf that is
	 * sent, also where nothing is asked: one without them is dropped and counted (drop_metadata) */
	uint32_t tx_metadata_len;
	const char *harden; /**< hardened levels, comma-separated: none, race-safe, fifo, canary,
			       * history, trace, guard, poison; NULL: the environment's
			       * SAFEXSK_HARDEN, or poison under ASan and Valgrind, unless
			       * the pool is to be in huge pages */
	/** SXSK_NUMA_NODE(n): packet memory and user areas on NUMA node n, as long as it has memory left,
	 * then on others; 0: no wish, that is the thread's policy at the first touch */
	uint32_t numa_node;
};

/** Frames by owner. Exact at rest; a snapshot taken frame by frame while threads run.
 * At rest user + lanes + depot + fill + tx + quarantined + retired == total. */
struct sxsk_pool_stats {
	size_t sz;            /**< caller sets it to sizeof(struct sxsk_pool_stats) */
	uint64_t total;       /**< frames */
	uint64_t user;        /**< held through at least one Buf */
	uint64_t lanes;       /**< free, in threads' lanes and in sockets' stocks */
	uint64_t depot;       /**< free, in the depot */
	uint64_t fill;        /**< given to the kernel for receiving */
	uint64_t tx;          /**< in transmission, no Buf left */
	uint64_t quarantined; /**< of a closed queue, the kernel may still write to them */
	uint64_t retired;     /**< generation used up; never used again */
	uint64_t owners;      /**< pool references */
	uint64_t sockets;     /**< open sockets */
	uint64_t page_size;   /**< bytes per page of packet memory: what huge pages came to */
};

/** The counts by name, X(field) each, all uint64_t: for who prints or exports them all. */
#define SXSK_POOL_COUNTERS(X)                                                                      \
	X(total)                                                                                   \
	X(user) X(lanes) X(depot) X(fill) X(tx) X(quarantined) X(retired) X(owners) X(sockets)

/** Create a pool: map its memory, put every frame in the depot. Ordinary pages are touched when they are
 * used, or by the first socket; huge ones at once, from Linux 5.14 on.
 *
 * Returns:   0 and *ret_pool, or -errno and *ret_pool untouched
 * Errors:    -EINVAL (an option, the sentence names it; no such NUMA node), -ENOMEM (no memory, huge
 *            pages or address space), -EOPNOTSUPP (no huge pages of that size here), -EMFILE
 *            (descriptors), -ENFILE (SXSK_MAX_POOLS alive; descriptors), -EPERM or -ENOSYS (for
 *            numa_node: no mbind in this sandbox or kernel)
 * Ownership: returns owned (sxsk_pool_unref)
 * Threads:   any thread; blocking (a lock against other creations)
 * Ordering:  the caller publishes the pointer to other threads
 * Syscalls:  mmap, mprotect, madvise, eventfd2; mbind for a NUMA node; openat and read of /proc/cpuinfo for
 *            huge pages of 1 GiB; memfd_create and ftruncate at the level guard
 * Since:     0.1
 * Source:    own
 */
SXSK_API SXSK_MUST_CHECK int sxsk_pool_create(struct sxsk_pool **ret_pool,
					      const struct sxsk_pool_opts *opts);

/** Take another owner's reference.
 *
 * Returns:   pool, or NULL after misuse (no owner and no socket left) or when 16,777,215 owners exist
 * Errors:    misuse: SXSK_MISUSE_POOL
 * Ownership: returns owned
 * Threads:   any thread that has a reference; lock-free
 * Ordering:  relaxed: the caller's own reference already orders what it sees
 * Syscalls:  none
 * Since:     0.1
 * Source:    the argument for relaxed is in Linux refcount.h
 */
SXSK_API SXSK_MUST_CHECK struct sxsk_pool *sxsk_pool_ref(struct sxsk_pool *pool);

/** Give an owner's reference back. Never blocks, never waits for Bufs: the memory is unmapped with
 * the last Buf, the last socket and the last frame in a lane, by whoever gives that back.
 * NULL does nothing. In a forked child it does nothing.
 *
 * Returns:   nothing
 * Errors:    misuse: SXSK_MISUSE_POOL
 * Ownership: takes
 * Threads:   any thread; lock-free
 * Ordering:  release, and acquire by whoever unmaps
 * Syscalls:  munmap and madvise when it was the last
 * Since:     0.1
 * Source:    FFmpeg's buffer pool has the same life time rule
 */
SXSK_API void sxsk_pool_unref(struct sxsk_pool *pool);

/** Wait until no Buf and no transmission of the pool is out. Sockets' halves that the calling thread
 * used last are kicked and reaped meanwhile; other threads' halves are left to their threads.
 *
 * Returns:   0 or -errno
 * Errors:    -ETIMEDOUT, -ENOMEM (for the thread's record); misuse: SXSK_MISUSE_POOL (then -EINVAL)
 * Ownership: borrows
 * Threads:   any thread; blocking, at most timeout_ms milliseconds (-1: for ever)
 * Ordering:  acquire: what others did with their Bufs is visible after 0
 * Syscalls:  nanosleep, sendto, write; stat, socket and ioctl to see which interfaces are gone
 * Since:     0.1
 * Source:    own
 */
SXSK_API SXSK_MUST_CHECK int sxsk_pool_drain(struct sxsk_pool *pool, int timeout_ms);

/** Take free frames, as unique Bufs of length 0 whose data starts at 256 + headroom bytes.
 *
 * Returns:   how many of n; fewer when the pool is empty
 * Errors:    misuse: SXSK_MISUSE_POOL (then 0)
 * Ownership: returns owned
 * Threads:   any thread; lock-free; from the caller's lane without an atomic RMW if it has one
 * Ordering:  acquire on what the frames' last owners did
 * Syscalls:  write on an eventfd when somebody waits for frames; at hardened levels mprotect, rt_sigprocmask
 * Since:     0.1
 * Source:    magazines: Bonwick and Adams, USENIX 2001
 */
SXSK_API SXSK_MUST_CHECK unsigned sxsk_pool_alloc(struct sxsk_pool *pool, struct sxsk_buf bufs[],
						  unsigned n);

/** Count the pool's frames by owner.
 *
 * Returns:   nothing; *ret_stats, of which ret_stats->sz bytes are written
 * Errors:    misuse: SXSK_MISUSE_POOL (all zero), SXSK_MISUSE_ARGUMENT (sz 0)
 * Ownership: borrows
 * Threads:   any thread; wait-free, walks the frame table (8 bytes per frame)
 * Ordering:  relaxed; exact at rest
 * Syscalls:  none
 * Since:     0.1
 * Source:    own
 */
SXSK_API void sxsk_pool_stats(struct sxsk_pool *pool, struct sxsk_pool_stats *ret_stats);

/** Print who holds what.
 *
 * Returns:   the number of frames not accounted for: 0 when all are; -EINVAL after misuse
 * Errors:    misuse: SXSK_MISUSE_POOL
 * Ownership: borrows pool and out
 * Threads:   any thread; blocking on the stream; exact at rest
 * Ordering:  relaxed
 * Syscalls:  write
 * Since:     0.1
 * Source:    own
 */
SXSK_API SXSK_MUST_CHECK int sxsk_pool_report(struct sxsk_pool *pool, FILE *out);

/** At the end, when the sockets are closed: wait for the last Bufs and transmissions, as sxsk_pool_drain(), print
 * the report, and "every frame accounted for", or that it is not so.
 *
 * Returns:   the number of frames in Bufs, in transmission, or nowhere: 0 when every frame is accounted for;
 *            or -errno
 * Errors:    -ENOMEM (for the thread's record); misuse: SXSK_MISUSE_POOL (then -EINVAL)
 * Ownership: borrows pool and out
 * Threads:   any thread; blocking, timeout_ms milliseconds (-1: for ever), and on the stream
 * Ordering:  as sxsk_pool_drain()
 * Syscalls:  as sxsk_pool_drain(); write
 * Since:     0.1
 * Source:    own
 */
SXSK_API SXSK_MUST_CHECK int sxsk_pool_settle(struct sxsk_pool *pool, int timeout_ms, FILE *out);

/** Give the calling thread a lane: its own stock of the pool's free frames (at most
 * min(512, frames/4)), from which its unrefs, refills and allocations are served without an atomic
 * read-modify-write. A second attach of the same pool does nothing. A thread with a lane that is
 * about to block or stay idle calls sxsk_lane_flush(): that many frames may rest in the lane.
 *
 * Returns:   0 or -errno
 * Errors:    -ESHUTDOWN (no owner and no socket left), -ENOMEM, -ENFILE (too many lanes);
 *            misuse: SXSK_MISUSE_POOL (then -EINVAL)
 * Ownership: borrows; the lane does not keep the pool alive, frames in it do
 * Threads:   any thread, for itself
 * Ordering:  none
 * Syscalls:  none
 * Since:     0.1
 * Source:    Bonwick and Adams, USENIX 2001 (per-CPU magazines; here per thread, on request)
 */
SXSK_API SXSK_MUST_CHECK int sxsk_lane_attach(struct sxsk_pool *pool);

/** Send the frames in the calling thread's lane to the depot. Does nothing without a lane.
 *
 * Returns:   nothing
 * Errors:    misuse: SXSK_MISUSE_POOL
 * Ownership: borrows
 * Threads:   any thread, for its own lane; lock-free
 * Ordering:  release on the frames' contents
 * Syscalls:  write on an eventfd when somebody waits for frames; munmap and madvise when it had the last
 *            frames of a pool without owners
 * Since:     0.1
 * Source:    own
 */
SXSK_API void sxsk_lane_flush(struct sxsk_pool *pool);

/** Flush the calling thread's lane and remove it. It happens by itself at thread exit.
 *
 * Returns:   nothing
 * Errors:    misuse: SXSK_MISUSE_POOL
 * Ownership: borrows
 * Threads:   any thread, for its own lane; lock-free
 * Ordering:  as sxsk_lane_flush()
 * Syscalls:  as sxsk_lane_flush()
 * Since:     0.1
 * Source:    own
 */
SXSK_API void sxsk_lane_detach(struct sxsk_pool *pool);

SXSK_END_DECLS
#endif
