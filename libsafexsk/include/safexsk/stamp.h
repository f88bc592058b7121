/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Test packets: Ethernet, IPv4, UDP to the discard port, and in the last 18 bytes a stamp, by which a receiver
 * tells which ones are missing, late, doubled or spoilt, and how old they are.
 *
 *     sender:    sxsk_stamp_headers(data, len);
 *                sxsk_stamp_write(data, len, stream, seq++);
 *     receiver:  if (sxsk_stamp_read(data, len, &stamp) == 0)
 *                        age = (sxsk_stamp_clock() - stamp.ns) & SXSK_STAMP_NS;
 */
#ifndef SAFEXSK_STAMP_H
#define SAFEXSK_STAMP_H

#include <safexsk/base.h>

SXSK_BEGIN_DECLS

/** Bytes of the shortest packet with a stamp: Ethernet's least, without its checksum. */
#define SXSK_STAMP_LEAST 60u

/** The bits of a time that a stamp has: it is back at 0 after three days. */
#define SXSK_STAMP_NS ((1ull << 48) - 1)

/** What is in a stamp. */
struct sxsk_stamp {
	uint16_t stream; /**< a sender's; each is numbered for itself */
	uint32_t seq;    /**< its packets' number, from 0, and round */
	uint64_t ns;     /**< nanoseconds, of sxsk_stamp_clock(), when it was written */
};

/** The clock of the stamps: CLOCK_MONOTONIC, so of this machine.
 *
 * Returns:   nanoseconds
 * Errors:    none
 * Ownership: none
 * Threads:   any thread; wait-free
 * Ordering:  none
 * Syscalls:  none
 * Since:     0.1
 * Source:    own
 */
SXSK_API uint64_t sxsk_stamp_clock(void);

/** Begin a packet of `len` bytes, 60 to 65549, with 42 bytes of headers: MAC addresses of nobody's, RFC 2544's
 * IP addresses, the lengths that go with `len`, and no UDP checksum. A shorter one is left alone.
 *
 * Returns:   nothing
 * Errors:    none
 * Ownership: borrows
 * Threads:   caller locks: the packet is the caller's
 * Ordering:  none
 * Syscalls:  none
 * Since:     0.1
 * Source:    RFC 2544
 */
SXSK_API void sxsk_stamp_headers(void *packet, uint32_t len);

/** End a packet of `len` bytes with a stamp of now. It is the last thing to be written to it, but for the MAC
 * addresses, which forwarders change. One of less than SXSK_STAMP_LEAST bytes is left alone.
 *
 * Returns:   nothing
 * Errors:    none
 * Ownership: borrows
 * Threads:   caller locks: the packet is the caller's
 * Ordering:  none
 * Syscalls:  none
 * Since:     0.1
 * Source:    own
 */
SXSK_API void sxsk_stamp_write(void *packet, uint32_t len, uint16_t stream, uint32_t seq);

/** Read a packet's stamp.
 *
 * Returns:   0 and *ret_stamp, or -errno
 * Errors:    -ENOMSG (it has none), -EBADMSG (it is not as it was written); they set no sxsk_last_error()
 * Ownership: borrows
 * Threads:   any thread; wait-free
 * Ordering:  none
 * Syscalls:  none
 * Since:     0.1
 * Source:    own
 */
SXSK_API SXSK_MUST_CHECK int sxsk_stamp_read(const void *packet, uint32_t len,
					     struct sxsk_stamp *ret_stamp);

SXSK_END_DECLS
#endif
