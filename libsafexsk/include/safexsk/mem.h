/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The in-process device "mem:NAME": an AF_XDP kernel side without kernel, root or NIC, over the same
 * rings. Two sockets opened on one NAME and queue are the two ends of a cable; their pools may
 * differ. Sending runs the "kernel" in the sender's thread: it copies the packet into a frame of the
 * other end's FILL ring, posts an RX descriptor there and a completion here, checks what the kernel
 * checks and counts what the kernel counts (Linux 6.18 in copy mode: 32 descriptors per kick, an
 * invalid descriptor ends the batch and comes back on COMPLETION, 18 fragments per packet). With the
 * other end not open, packets are dropped and completed. A cable exists while one end is open.
 *
 * There is no driver and no program: a mem: socket receives all that is sent to it, whatever `steer` says.
 * `prog`, `map_fd`, `attach`, metadata of received packets and busy polling are accepted as on an interface, and
 * have no effect.
 */
#ifndef SAFEXSK_MEM_H
#define SAFEXSK_MEM_H

#include <safexsk/base.h>

SXSK_BEGIN_DECLS

struct sxsk_socket;

/** One ring as the kernel sees it. */
struct sxsk_mem_ring {
	uint32_t *producer;
	uint32_t *consumer;
	uint32_t *flags; /**< XDP_RING_NEED_WAKEUP */
	void *entries;   /**< uint64_t addresses (FILL, COMPLETION) or struct xdp_desc (RX, TX) */
	uint32_t size;   /**< entries, a power of two */
};

/** The four rings and the packet memory of a mem: socket. */
struct sxsk_mem_rings {
	struct sxsk_mem_ring rx, tx, fill, comp;
	unsigned char *umem;
	uint64_t umem_size; /**< bytes */
	uint32_t chunk;     /**< bytes per frame */
	uint32_t headroom;  /**< bytes, beyond the kernel's 256 */
};

/** Become the kernel of a mem: socket: the device leaves its rings alone from here on, and wants no
 * wake-ups. For benches and tests.
 *
 * Returns:   0 and *ret_rings, or -errno
 * Errors:    -EINVAL (not a mem: socket); misuse: SXSK_MISUSE_CLOSED (then -EBADF)
 * Ownership: lends the rings until close
 * Threads:   caller locks against the socket's own calls
 * Ordering:  the caller's, as a kernel's: release the producers, acquire the consumers
 * Syscalls:  none
 * Since:     0.1
 * Source:    own
 */
SXSK_API SXSK_MUST_CHECK int sxsk_mem_take_rings(struct sxsk_socket *socket,
						 struct sxsk_mem_rings *ret_rings);

/** Set a mem: link up or down, on all its queues and both ends, as if someone had done it to the
 * interface. Nothing is sent while it is down, and sxsk_socket_error() is -ENETDOWN.
 *
 * Returns:   0 or -errno
 * Errors:    -ENODEV (no open socket on that name), -EINVAL (name)
 * Ownership: borrows
 * Threads:   any thread; blocking (the device's lock)
 * Ordering:  none
 * Syscalls:  write
 * Since:     0.1
 * Source:    own
 */
SXSK_API SXSK_MUST_CHECK int sxsk_mem_set_link(const char *ifname, bool up);

/** Remove a mem: device under its sockets, as `ip link del` does: their errors become -ENXIO for
 * good. The name is free at once: sockets opened on it from then on are on a new device.
 *
 * Returns:   0 or -errno
 * Errors:    -ENODEV (no open socket on that name), -EINVAL (name)
 * Ownership: borrows
 * Threads:   any thread; blocking (the device's lock)
 * Ordering:  none
 * Syscalls:  write
 * Since:     0.1
 * Source:    own
 */
SXSK_API SXSK_MUST_CHECK int sxsk_mem_remove(const char *ifname);

/** Somebody at the other end of a cable, with a pool and a socket of its own: traffic for a program that is
 * alone on a mem: link. Nothing happens but in sxsk_mem_peer_run(): there is no thread behind it. */
struct sxsk_mem_peer;

/** Sit down at the other end of mem:NAME's queue.
 *
 * Returns:   0 and *ret_peer, or -errno and *ret_peer untouched
 * Errors:    -EINVAL (not a mem: name), -EBUSY (both ends are open), -ENOMEM, and others of
 *            sxsk_pool_create() and sxsk_socket_open()
 * Ownership: returns owned (sxsk_mem_peer_close)
 * Threads:   any thread; blocking
 * Ordering:  the caller publishes the pointer to other threads
 * Syscalls:  as sxsk_pool_create() and sxsk_socket_open()
 * Since:     0.1
 * Source:    own
 */
SXSK_API SXSK_MUST_CHECK int sxsk_mem_peer_open(struct sxsk_mem_peer **ret_peer, const char *ifname,
						uint32_t queue, uint16_t stream);

/** Drop what has arrived, and send up to n packets: of 60 bytes, with the stamps (stamp.h) of the peer's stream,
 * numbered from 0 without a gap. What the cable does not take is not sent. NULL does nothing.
 *
 * Returns:   how many packets were dropped
 * Errors:    none; the socket's errors are those of the program's end
 * Ownership: borrows
 * Threads:   caller locks: one thread at a time
 * Ordering:  none
 * Syscalls:  write
 * Since:     0.1
 * Source:    own
 */
SXSK_API unsigned sxsk_mem_peer_run(struct sxsk_mem_peer *peer, unsigned n);

/** Leave. NULL does nothing.
 *
 * Returns:   nothing
 * Errors:    none
 * Ownership: takes
 * Threads:   caller locks: no thread runs it
 * Ordering:  none
 * Syscalls:  as sxsk_socket_close() and sxsk_pool_unref()
 * Since:     0.1
 * Source:    own
 */
SXSK_API void sxsk_mem_peer_close(struct sxsk_mem_peer *peer);

/** The ways in which a mem: socket's kernel side can lie. "Foreign": an address inside the umem, of
 * another frame than the one that was used. Packet bytes are only ever written to frames that the
 * device took from FILL; it is the rings that lie. */
enum sxsk_mem_fault {
	SXSK_MEM_LOSS = 0,     /**< a sent packet is completed and never arrives */
	SXSK_MEM_TX_BUSY,      /**< the same, and the kick says -EBUSY */
	SXSK_MEM_TX_INDEX,     /**< TX consumer index: off by 1 to 2 x size, for one kick */
	SXSK_MEM_FILL_INDEX,   /**< FILL consumer index, likewise */
	SXSK_MEM_FILL_EMPTY,   /**< the FILL ring is taken for empty */
	SXSK_MEM_RX_DUPLICATE, /**< an RX descriptor is posted twice */
	SXSK_MEM_RX_LATE,      /**< an RX descriptor of up to 16 packets ago is posted again */
	SXSK_MEM_RX_FOREIGN,   /**< an RX descriptor names a foreign frame */
	SXSK_MEM_RX_RANGE,     /**< an RX descriptor is beyond the umem, or not inside one frame */
	/** an RX descriptor says that its packet goes on, has no bytes, starts before the headroom, or has
	 * options that do not exist */
	SXSK_MEM_RX_ODD,
	SXSK_MEM_RX_REORDER, /**< an RX descriptor changes places with the one before, if unread */
	SXSK_MEM_RX_MISSING, /**< an RX descriptor is not posted; its frame stays with the device */
	SXSK_MEM_RX_FULL,    /**< the RX ring is taken for full */
	SXSK_MEM_RX_INDEX,   /**< RX producer index: off by 1 to 2 x size, for one kick */
	SXSK_MEM_COMP_DUPLICATE, /**< a completion is posted twice */
	SXSK_MEM_COMP_LATE,      /**< a completion of up to 16 ago is posted again */
	SXSK_MEM_COMP_FOREIGN,   /**< a completion names a foreign frame */
	SXSK_MEM_COMP_RANGE,     /**< a completion names an address beyond the umem */
	SXSK_MEM_COMP_ODD,       /**< a completion names another place in the same frame */
	SXSK_MEM_COMP_REORDER,   /**< a completion changes places with the one before, if unread */
	SXSK_MEM_COMP_MISSING,   /**< a completion is not posted */
	SXSK_MEM_COMP_FULL,      /**< the COMPLETION ring is taken for full: -EAGAIN */
	SXSK_MEM_COMP_INDEX, /**< COMPLETION producer index: off by 1 to 2 x size, for one kick */
	SXSK_MEM_FAULTS      /**< how many there are */
};

/** How often to lie. The same seed and the same calls give the same lies. */
struct sxsk_mem_faults {
	size_t sz;                        /**< sizeof(struct sxsk_mem_faults) */
	uint64_t seed;                    /**< of the device's generator, restarted by each call */
	uint32_t one_in[SXSK_MEM_FAULTS]; /**< by enum sxsk_mem_fault: once in so many; 0 = never */
};

/** Tell the kernel side of a mem: socket to lie, from now on: RX and FILL faults hit what this socket
 * receives, the others what it sends. NULL: the truth again.
 *
 * Returns:   0 or -errno
 * Errors:    -EINVAL (not a mem: socket; sz); misuse: SXSK_MISUSE_CLOSED (then -EBADF)
 * Ownership: borrows
 * Threads:   any thread; blocking (the device's lock)
 * Ordering:  none
 * Syscalls:  none
 * Since:     0.1
 * Source:    own
 */
SXSK_API SXSK_MUST_CHECK int sxsk_mem_set_faults(struct sxsk_socket *socket,
						 const struct sxsk_mem_faults *faults);

/** How many lies of one kind a mem: socket's kernel side has told since open.
 *
 * Returns:   the count; 0 when the socket is not a mem: socket
 * Errors:    misuse: SXSK_MISUSE_CLOSED, SXSK_MISUSE_ARGUMENT (no such fault)
 * Ownership: borrows
 * Threads:   any thread; blocking (the device's lock)
 * Ordering:  none
 * Syscalls:  none
 * Since:     0.1
 * Source:    own
 */
SXSK_API uint64_t sxsk_mem_fault_count(struct sxsk_socket *socket, enum sxsk_mem_fault fault);

SXSK_END_DECLS
#endif
