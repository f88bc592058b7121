/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The socket: one AF_XDP socket on (interface, queue) with its four rings, used through two halves.
 * The RX half is rx_burst, the TX half is tx_burst; each half serves one thread at a time, and the
 * two may be different threads. Handing a half to another thread needs the caller's own ordering (a
 * join, a lock, a queue).
 */
#ifndef SAFEXSK_SOCKET_H
#define SAFEXSK_SOCKET_H

#include <safexsk/buf.h>

SXSK_BEGIN_DECLS

struct sxsk_pool;
struct sxsk_prog;

/** A socket. The pointer is a cookie, never dereferenced: a stale one is misuse, not a crash. */
struct sxsk_socket;

/** Which packets of the queue come to the socket. */
enum sxsk_steer {
	SXSK_STEER_NONE =
		0,          /**< none: no program is attached, the kernel's stack sees everything */
	SXSK_STEER_ALL = 1, /**< all packets of the queue */
};

/** How the kernel moves packets. */
enum sxsk_mode {
	SXSK_MODE_AUTO = 0,     /**< zero-copy where the driver has it, else copy */
	SXSK_MODE_COPY = 1,     /**< copy */
	SXSK_MODE_ZEROCOPY = 2, /**< zero-copy, or -EOPNOTSUPP */
};

/** How the XDP program is attached. */
enum sxsk_attach {
	SXSK_ATTACH_AUTO = 0,   /**< native where the driver has it, else SKB */
	SXSK_ATTACH_NATIVE = 1, /**< in the driver */
	SXSK_ATTACH_SKB = 2,    /**< generic, works on every interface */
	/** In libxdp's dispatcher, so that other XDP programs stay: see prog.h */
	SXSK_ATTACH_DISPATCHER = 3,
	SXSK_ATTACH_NONE = 4, /**< reported only: no program is attached */
};

/** sxsk_socket_opts.flags */
enum sxsk_socket_flags {
	/** Send only: no frames in FILL, and no program, whatever `steer` says. */
	SXSK_SOCKET_NO_RX = 1u << 0,
	SXSK_SOCKET_NO_TX = 1u << 1, /**< receive only */
	/** Packets longer than a frame, both ways. sxsk_rx_burst() then wants room for the longest,
	 * SXSK_MAX_FRAGS Bufs: less is misuse. */
	SXSK_SOCKET_MULTI_BUFFER = 1u << 2,
	SXSK_SOCKET_NO_NEED_WAKEUP = 1u << 3, /**< bind without XDP_USE_NEED_WAKEUP */
	/** Several sockets of this process on one queue, all of them with this flag and one pool. They
	 * share FILL and COMPLETION, under a lock, so each burst of theirs costs two atomic RMW; who
	 * reaps, reaps for all. The program tells which packets are whose, see prog.h. */
	SXSK_SOCKET_SHARE_QUEUE = 1u << 4,
	/** SXSK_SOCKET_MULTI_BUFFER if a packet of the interface's MTU (at open) does not fit one frame;
	 * sxsk_socket_stats() says what came of it. So who sets it receives SXSK_MAX_FRAGS Bufs or more at a
	 * time */
	SXSK_SOCKET_MULTI_BUFFER_AUTO = 1u << 5,
	/** With busy_poll_us: leave the interface's NAPI settings as they are. */
	SXSK_SOCKET_KEEP_NAPI = 1u << 6,
};

/** sxsk_socket_wait() events */
enum sxsk_wait_events {
	SXSK_WAIT_RX = 1u << 0,   /**< packets to receive */
	SXSK_WAIT_TX = 1u << 1,   /**< room to send, or completions to reap */
	SXSK_WAIT_WAKE = 1u << 2, /**< sxsk_socket_wake() was called; always waited for */
};

/** Bufs of one packet on a multi-buffer socket: the kernel's limit in copy mode (MAX_SKB_FRAGS, 17, and
 * the linear part). A burst is received into no less room than that, see sxsk_rx_burst(). In zero-copy mode
 * a driver may send less at a time (xdp-zc-max-segs): a packet of more Bufs is dropped (drop_limit). */
#define SXSK_MAX_FRAGS 18

/** Socket options. Zero means the default everywhere; set sz = sizeof(struct sxsk_socket_opts). */
struct sxsk_socket_opts {
	size_t sz;          /**< size of this struct as compiled; 0 is refused */
	uint32_t rx_size;   /**< RX ring entries, rounded up to a power of two, max 65536; 2048 */
	uint32_t tx_size;   /**< TX ring entries, likewise; 2048 */
	uint32_t fill_size; /**< FILL ring entries, likewise; 2048 */
	uint32_t comp_size; /**< COMPLETION ring entries, likewise; 2048 */
	uint32_t steer;     /**< enum sxsk_steer; SXSK_STEER_NONE */
	uint32_t mode;      /**< enum sxsk_mode; SXSK_MODE_AUTO */
	uint32_t attach;    /**< enum sxsk_attach; SXSK_ATTACH_AUTO */
	uint32_t flags;     /**< SXSK_SOCKET_*; 0 */
	/** The program that says which packets come, see prog.h; then `steer` stays SXSK_STEER_NONE. Shared
	 * until the socket is closed; NULL: none, or for SXSK_STEER_ALL the library's own */
	struct sxsk_prog *prog;
	/** Frames of the pool's depot that only this socket's FILL ring may have, so that others who keep
	 * their frames for long cannot starve it: sockets without a quota, and sxsk_pool_alloc, leave so
	 * many (rounded up to whole magazines: 64 frames, or a 16th of a smaller pool). All quotas
	 * together: at most half of the pool; 0 */
	uint32_t frame_quota;
	/** SXSK_METADATA_*: what packets of this socket may ask for, see metadata.h; or -EOPNOTSUPP; 0 */
	uint32_t metadata;
	/** Preferred busy polling: the driver runs in this socket's own calls (bursts, waits) and not in
	 * interrupts, so that one processor serves both without being interrupted. The program promises to
	 * call often; while it does not, the kernel runs the driver after gro_flush_timeout_ns. Needs
	 * CAP_NET_ADMIN and Linux 5.11. Drivers without it (veth ...) take it without an effect:
	 * sxsk_socket_stats.napi_id is 0 then. Microseconds; the kernel's way to switch it on, no call of
	 * this library waits; at most 1000000; 0 is off */
	uint32_t busy_poll_us;
	uint32_t busy_poll_budget; /**< packets that one run of the driver may take, to 65535; 64 */
	/** The interface's NAPI settings, which busy polling needs: set at open, put back when this process's
	 * last socket that wanted them closes. Sockets of one process that ask for different ones: -EBUSY.
	 * Setting them needs CAP_SYS_ADMIN, for a sysfs of the right network namespace; without, have them
	 * set in /sys/class/net/, and open with SXSK_SOCKET_KEEP_NAPI. They are all queues' and all
	 * processes': another process that sets them to the same loses them at the close of the first, and
	 * a process that is killed leaves them (back to Linux's own: write 0 to both files there).
	 * Runs of the driver that find nothing before interrupts are switched on again, at most INT32_MAX;
	 * 0: as it is, if that is not 0, else 2 */
	uint32_t napi_defer_hard_irqs;
	/** Nanoseconds until the kernel runs the driver because the program does not; 0: as it is, if that
	 * is not 0, else 200000 */
	uint32_t gro_flush_timeout_ns;
	/** With prog: which of its rules' targets this socket is on its queue, see prog.h. Several sockets on
	 * one queue (SXSK_SOCKET_SHARE_QUEUE) need different ones. With map_fd see there; 0 */
	uint32_t target;
	/** An XSKMAP of somebody else, whose program looks up what it redirects there: the socket is entered at
	 * its queue + target, which has to be empty, until it is closed. Nothing is loaded or attached, and
	 * no capability but CAP_NET_RAW is needed (before Linux 5.19 with
	 * kernel.unprivileged_bpf_disabled = 0 only). Borrowed for the call; 0: none, so not descriptor 0 */
	int32_t map_fd;
	/** The network namespace that the interface is in: a path like /run/netns/NAME or /proc/PID/ns/net. The
	 * thread enters it for the call and is back when that returns, on errors too; it needs CAP_SYS_ADMIN,
	 * in the thread's own namespace as well. The socket then works from anywhere, and keeps the namespace
	 * until it is closed; frames that the kernel had then stay in quarantine until the queue is opened
	 * again or the pool goes. Borrowed for the call; NULL: the thread's own */
	const char *netns;
};

/** The kernel's own counters (XDP_STATISTICS). */
struct sxsk_kernel_stats {
	uint64_t rx_dropped;               /**< packets dropped for other reasons */
	uint64_t rx_invalid_descs;         /**< bad FILL addresses */
	uint64_t tx_invalid_descs;         /**< bad TX descriptors */
	uint64_t rx_ring_full;             /**< packets dropped, RX ring full */
	uint64_t rx_fill_ring_empty_descs; /**< receives that found FILL empty */
	uint64_t tx_ring_empty_descs;      /**< sends that found TX empty */
};

/** A socket's counters and settings, as found by sxsk_socket_stats(). Counters start at open. */
struct sxsk_socket_stats {
	size_t sz;             /**< caller sets it to sizeof(struct sxsk_socket_stats) */
	char ifname[16];       /**< interface, or the mem: name, cut to 15 bytes */
	uint32_t ifindex;      /**< 0 for mem: */
	uint32_t queue;        /**< queue */
	uint32_t mode;         /**< enum sxsk_mode in force: COPY or ZEROCOPY */
	uint32_t attach;       /**< enum sxsk_attach in force */
	uint64_t rx_packets;   /**< packets received */
	uint64_t rx_bytes;     /**< bytes received */
	uint64_t tx_packets;   /**< packets given to the kernel */
	uint64_t tx_bytes;     /**< bytes given to the kernel */
	uint64_t tx_completed; /**< descriptors that the kernel gave back */
	uint64_t drop_null;    /**< sends of null handles */
	uint64_t drop_misuse;  /**< sends of misused handles */
	uint64_t drop_short;   /**< packets under 14 bytes, empty ones included: taken and freed */
	uint64_t drop_pool;    /**< packets of another pool: taken and freed */
	uint64_t drop_limit; /**< packets over the fragment, reference or frame limit: taken, freed */
	uint64_t drop_metadata; /**< packets with a request that is void, or not in opts.metadata, or with less
				  * than the pool's tx_metadata_len before the data */
	uint64_t rx_refused; /**< RX descriptors that were not outstanding, or out of bounds */
	uint64_t rx_broken; /**< packets of several Bufs dropped: a part was refused, or no end came */
	uint64_t comp_refused; /**< completions that were not outstanding, or out of bounds */
	/** Of them, of the pool's own frames: completed for the second time, as a rule. While the same frame
	 * is being sent again, a duplicate cannot be told; then the count shows it later (poisoned). */
	uint64_t comp_duplicate;
	uint64_t fill_given;   /**< frames given to the FILL ring */
	uint64_t fill_starved; /**< refills that found no free frame */
	uint64_t kicks;        /**< system calls made to start transmission */
	uint64_t kick_again;   /**< of them, "try again" */
	uint64_t kick_busy;    /**< of them, the kernel dropped the packet (too long, peer down) */
	uint64_t rx_kicks;     /**< system calls made to let the driver receive */
	uint32_t poisoned; /**< 1: the kernel side broke the ring protocol; closed for traffic */
	uint32_t multi_buffer; /**< 1: packets may be of several Bufs */
	uint32_t napi_id; /**< NAPI instance that busy polling runs; 0: none, it has no effect */
	struct sxsk_kernel_stats kernel; /**< the kernel's six, as far as it has them */
};

/** The counters by name, X(field) each, all uint64_t: for who prints or exports them all. */
/* clang-format off */
#define SXSK_SOCKET_COUNTERS(X) \
	X(rx_packets) X(rx_bytes) X(tx_packets) X(tx_bytes) X(tx_completed) X(drop_null) \
	X(drop_misuse) X(drop_short) X(drop_pool) X(drop_limit) X(drop_metadata) X(rx_refused) X(rx_broken) \
	X(comp_refused) X(comp_duplicate) X(fill_given) X(fill_starved) X(kicks) X(kick_again) X(kick_busy) \
	X(rx_kicks)
#define SXSK_KERNEL_COUNTERS(X) \
	X(rx_dropped) X(rx_invalid_descs) X(tx_invalid_descs) X(rx_ring_full) \
	X(rx_fill_ring_empty_descs) X(tx_ring_empty_descs)
/** Those of them that count packets lost between the wire and the wire, whoever dropped them. */
#define SXSK_SOCKET_DROPS(X) \
	X(drop_null) X(drop_misuse) X(drop_short) X(drop_pool) X(drop_limit) X(drop_metadata) \
	X(rx_refused) X(rx_broken) X(kick_busy)
#define SXSK_KERNEL_DROPS(X) X(rx_dropped) X(rx_ring_full)
/* clang-format on */

/** Open a socket on a queue of an interface, with frames of the pool. Several sockets may use one
 * pool, on several queues and interfaces. "mem:NAME" is the in-process device (see mem.h).
 *
 * Returns:   0 and *ret_socket, or -errno and *ret_socket untouched
 * Errors:    -EINVAL (an option or name; no such queue), -ENODEV (no such interface), -ENETDOWN (it is
 *            down, and its driver wants it up), -EBUSY (queue taken, or a foreign XDP program attached; no
 *            place in the dispatcher; other NAPI settings), -EPERM or -EACCES (needs CAP_NET_RAW, and
 *            CAP_NET_ADMIN and CAP_BPF for the program; for the dispatcher see prog.h, for busy polling and
 *            netns the options), -EOPNOTSUPP (zero-copy, native or metadata refused by the driver; no busy
 *            polling, or no dispatcher, in this kernel, or one that is too old; SXSK_SOCKET_SHARE_QUEUE or
 *            zero-copy on "mem:NAME"), -ENOSPC or -ERANGE (a native program refused: too few queues, MTU too
 *            large), -EAFNOSUPPORT (no AF_XDP in this kernel), -ENOENT (no such netns), -ENOBUFS (locked
 *            memory), -ENOMEM, -EMFILE (descriptors), -ENFILE (SXSK_MAX_SOCKETS; descriptors), -ESHUTDOWN
 *            (the pool has no owner and no socket); misuse: SXSK_MISUSE_POOL, SXSK_MISUSE_PROG (then -EINVAL)
 * Ownership: returns owned (sxsk_socket_close); shares the pool and the program
 * Threads:   any thread; blocking (up to 2 s while the queue's last socket is being torn down)
 * Ordering:  the caller publishes the pointer to other threads
 * Syscalls:  socket, setsockopt, getsockopt, ioctl, stat, mmap, madvise, bind, bpf, membarrier,
 *            epoll_create1, epoll_ctl, eventfd2, read, nanosleep; for the program netlink; with netns openat,
 *            setns; for busy polling fsopen, fsconfig, fsmount, openat, pread64, pwrite64; for the dispatcher
 *            what libxdp makes, in a thread (clone3, unshare, setns, openat, flock, mkdir, unlink, rmdir)
 * Since:     0.1
 * Source:    Linux Documentation/networking/af_xdp.rst
 */
SXSK_API SXSK_MUST_CHECK int sxsk_socket_open(struct sxsk_socket **ret_socket,
					      struct sxsk_pool *pool, const char *ifname,
					      uint32_t queue, const struct sxsk_socket_opts *opts);

/** Open a socket on each RX queue of an interface (with SXSK_SOCKET_NO_RX, on each TX queue), all with the
 * same options, in ret_sockets[0] for queue 0 and so on. All of them, or none. Each gets about the
 * same share of the pool's free frames.
 * A "mem:NAME" has the queues 0, 1, ... that somebody has opened the other end of; one where nobody has.
 *
 * Returns:   0, and in *n how many; or -errno, and no socket is open
 * Errors:    -E2BIG: *n, the room in ret_sockets, is less than the number of queues, which is in *n now
 *            (*n = 0 and ret_sockets = NULL asks for it); -EOPNOTSUPP also where neither the driver
 *            tells the number of queues, nor sysfs, which takes CAP_SYS_ADMIN; as sxsk_socket_open()
 * Ownership: returns owned (sxsk_socket_close each); shares the pool
 * Threads:   any thread; blocking
 * Ordering:  as sxsk_socket_open()
 * Syscalls:  as sxsk_socket_open(); fsopen, fsconfig, fsmount where the driver does not tell
 * Since:     0.1
 * Source:    own
 */
SXSK_API SXSK_MUST_CHECK int sxsk_socket_open_all(struct sxsk_socket *ret_sockets[], unsigned *n,
						  struct sxsk_pool *pool, const char *ifname,
						  const struct sxsk_socket_opts *opts);

/** Close a socket. Other threads inside its halves or its wait are told (-ESHUTDOWN) and waited for.
 * Received frames go home; frames still with the kernel are quarantined until it is provably done
 * with them. The thread's own frames in Bufs stay valid. NULL does nothing. In a forked child it
 * closes the file descriptors only.
 *
 * Returns:   nothing
 * Errors:    misuse: SXSK_MISUSE_CLOSED, SXSK_MISUSE_THREADS (from inside the socket's own call)
 * Ownership: takes
 * Threads:   any thread; blocking until other threads left the socket (about a millisecond)
 * Ordering:  everything other threads did in the socket's calls happens before the return
 * Syscalls:  membarrier, bpf, sendto, recvfrom, write, nanosleep, munmap, madvise, close; stat, socket and
 *            ioctl to see which interfaces are gone; after busy polling pread64, pwrite64; in the
 *            dispatcher as sxsk_socket_open()
 * Since:     0.1
 * Source:    the asymmetric fence: membarrier(2)
 */
SXSK_API void sxsk_socket_close(struct sxsk_socket *socket);

/** Receive up to n Bufs, whole packets; refill the FILL ring. On a socket that is multi-buffer, also by
 * SXSK_SOCKET_MULTI_BUFFER_AUTO, n is SXSK_MAX_FRAGS or more (or 0, which does nothing).
 *
 * Returns:   how many; 0 when none are there, on a socket opened with SXSK_SOCKET_NO_RX, or on error
 *            (sxsk_socket_error())
 * Errors:    misuse: SXSK_MISUSE_CLOSED, SXSK_MISUSE_THREADS, SXSK_MISUSE_ARGUMENT (n under SXSK_MAX_FRAGS on
 *            a multi-buffer socket)
 * Ownership: returns owned
 * Threads:   one consumer per socket; lock-free, but for the queue's lock with SXSK_SOCKET_SHARE_QUEUE,
 *            and a short spin when another thread used the half before
 * Ordering:  acquire on the kernel's writes
 * Syscalls:  recvfrom when the driver asks for a wake-up, and with busy polling when there is nothing;
 *            epoll_ctl once when busy after a wait; write on an eventfd when somebody waits for frames;
 *            membarrier when another thread used the half before; futex for the queue's lock
 * Since:     0.1
 * Source:    DPDK's rte_eth_rx_burst
 */
SXSK_API SXSK_MUST_CHECK unsigned sxsk_rx_burst(struct sxsk_socket *socket, struct sxsk_buf bufs[],
						unsigned n);

/** Send up to n Bufs: reap completions, queue, kick. A packet that cannot be sent (null, under 14
 * bytes, of another pool ...) is taken, freed and counted with its cause, so that a burst never
 * livelocks. So is one whose end is not among the n (drop_limit): a call gets whole packets. n = 0 only
 * reaps and kicks. The taken handles are dead, not cleared.
 *
 * Returns:   how many were taken, a prefix; fewer when the ring is full or on error
 *            (sxsk_socket_error()); 0 on a socket opened with SXSK_SOCKET_NO_TX
 * Errors:    misuse: SXSK_MISUSE_CLOSED, SXSK_MISUSE_THREADS, and per element (taken and nulled)
 * Ownership: takes [0,ret)
 * Threads:   one producer per socket; lock-free, but for the queue's lock with SXSK_SOCKET_SHARE_QUEUE,
 *            and a short spin when another thread used the half before
 * Ordering:  release on the caller's writes to the packets
 * Syscalls:  sendto when the kernel asks for a wake-up, and with busy polling while something is out;
 *            then also poll, for drivers that sendto does not get to; as sxsk_rx_burst(), whose FILL ring
 *            gets what comes back
 * Since:     0.1
 * Source:    DPDK's rte_eth_tx_burst
 */
SXSK_API SXSK_MUST_CHECK unsigned sxsk_tx_burst(struct sxsk_socket *socket, struct sxsk_buf bufs[],
						unsigned n);

/** Wait until something can be done. With SXSK_WAIT_RX the caller owns the RX half for the call, with
 * SXSK_WAIT_TX the TX half; with SXSK_WAIT_WAKE alone, the RX half. It also flushes the caller's lane of
 * the pool when frames are short, so that a receiver without frames is woken when one comes home. A
 * caller's own epoll on sxsk_socket_fd() calls it with time-out 0 before each sleep and after each wake.
 *
 * Returns:   events (SXSK_WAIT_*), 0 = time-out, or -errno
 * Errors:    -EINTR, -ENETDOWN (interface down), -ENXIO (interface removed), -ESHUTDOWN (being closed),
 *            -EPROTO (poisoned), -EINVAL (no events, unknown ones, or of a half that the socket was opened
 *            without), -ENOMEM, -ENOSPC (fs.epoll.max_user_watches); misuse: SXSK_MISUSE_CLOSED,
 *            SXSK_MISUSE_THREADS (then -EINVAL)
 * Ownership: borrows
 * Threads:   one consumer (RX), one producer (TX); blocking, timeout_ms milliseconds (-1: for ever)
 * Ordering:  none
 * Syscalls:  epoll_wait, epoll_ctl, read; sendto, recvfrom, write, membarrier and poll as the bursts
 * Since:     0.1
 * Source:    own
 */
SXSK_API SXSK_MUST_CHECK int sxsk_socket_wait(struct sxsk_socket *socket, unsigned events,
					      int timeout_ms);

/** One of the sockets that sxsk_sockets_wait() waits for. */
struct sxsk_wait {
	struct sxsk_socket *socket;
	unsigned events; /**< SXSK_WAIT_*, at least one: the halves are the caller's as in sxsk_socket_wait() */
	int got; /**< what came of it: events (SXSK_WAIT_*), 0, or -errno */
};

/** Sockets that one call may wait for. For more of them there is sxsk_socket_fd(). */
#define SXSK_WAIT_MOST 64u

/** Wait until something can be done on one of n sockets, each as in sxsk_socket_wait(). A wake or close of
 * one of them ends it.
 *
 * Returns:   how many have events, see waits[].got; 0 = time-out; or -errno, where that is one socket's
 *            own also in its `got`
 * Errors:    as sxsk_socket_wait(); -EINVAL also: n is 0 or more than SXSK_WAIT_MOST, a half is there twice,
 *            this thread is in such a wait already (its signal handler)
 * Ownership: borrows
 * Threads:   one consumer (RX) and one producer (TX) of each; blocking, timeout_ms milliseconds (-1: for ever)
 * Ordering:  none
 * Syscalls:  poll; as sxsk_socket_wait()
 * Since:     0.1
 * Source:    poll(2)
 */
SXSK_API SXSK_MUST_CHECK int sxsk_sockets_wait(struct sxsk_wait waits[], unsigned n,
					       int timeout_ms);

/** A descriptor for the caller's own poll or epoll: readable when packets have come, when sxsk_socket_wake() was
 * called, and when a frame comes home to a receiver without any. Call sxsk_socket_wait(socket, events, 0)
 * with SXSK_WAIT_RX before each sleep and after each wake. It tells neither of room to send and completions,
 * nor of the link: sleep 1 ms at most while something is to be sent, 250 ms at most to see the interface go.
 *
 * Returns:   the descriptor, or -errno
 * Errors:    -EBADF (being closed); misuse: SXSK_MISUSE_CLOSED (then -EBADF)
 * Ownership: lends until close
 * Threads:   any thread; wait-free
 * Ordering:  none
 * Syscalls:  none
 * Since:     0.1
 * Source:    own
 */
SXSK_API SXSK_MUST_CHECK int sxsk_socket_fd(struct sxsk_socket *socket);

/** Why a burst returned fewer than asked.
 *
 * Returns:   0 (nothing wrong), -ENETDOWN (interface down), -ENXIO (interface removed), -ESHUTDOWN
 *            (closing), -EPROTO (poisoned: the kernel side broke the ring protocol)
 * Errors:    misuse: SXSK_MISUSE_CLOSED (then -EBADF)
 * Ownership: borrows
 * Threads:   any thread; wait-free
 * Ordering:  none
 * Syscalls:  recvfrom
 * Since:     0.1
 * Source:    own
 */
SXSK_API SXSK_MUST_CHECK int sxsk_socket_error(struct sxsk_socket *socket);

/** End a wait in this socket, now or the next one. One that comes while another thread closes the socket may
 * wake who waits in the next that is opened: a wake says "look", not why.
 *
 * Returns:   nothing
 * Errors:    misuse: SXSK_MISUSE_CLOSED
 * Ownership: borrows
 * Threads:   any thread; wait-free
 * Ordering:  what the caller did before is visible to the woken thread
 * Syscalls:  write
 * Since:     0.1
 * Source:    own
 */
SXSK_API void sxsk_socket_wake(struct sxsk_socket *socket);

/** Read the socket's settings and counters.
 *
 * Returns:   nothing; *ret_stats, of which ret_stats->sz bytes are written
 * Errors:    misuse: SXSK_MISUSE_CLOSED (all zero), SXSK_MISUSE_ARGUMENT (sz 0)
 * Ownership: borrows
 * Threads:   any thread; wait-free
 * Ordering:  relaxed
 * Syscalls:  getsockopt
 * Since:     0.1
 * Source:    own
 */
SXSK_API void sxsk_socket_stats(struct sxsk_socket *socket, struct sxsk_socket_stats *ret_stats);

/** The name of an enum sxsk_mode, for people.
 *
 * Returns:   "auto", "copy" or "zero-copy"; "?" for none of them
 * Errors:    none
 * Ownership: lends until the end of the program
 * Threads:   any thread; wait-free
 * Ordering:  none
 * Syscalls:  none
 * Since:     0.1
 * Source:    own
 */
SXSK_API const char *sxsk_mode_name(uint32_t mode);

/** The name of an enum sxsk_attach, for people.
 *
 * Returns:   "auto", "native", "skb", "dispatcher" or "none"; "?" for none of them
 * Errors:    none
 * Ownership: lends until the end of the program
 * Threads:   any thread; wait-free
 * Ordering:  none
 * Syscalls:  none
 * Since:     0.1
 * Source:    own
 */
SXSK_API const char *sxsk_attach_name(uint32_t attach);

SXSK_END_DECLS
#endif
