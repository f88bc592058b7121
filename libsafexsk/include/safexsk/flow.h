/* SPDX-License-Identifier: BSD-2-Clause */
/* Whose packet is it? The key of a table of flows. */
#ifndef SAFEXSK_FLOW_H
#define SAFEXSK_FLOW_H

#include <safexsk/base.h>
#include <stdio.h>

SXSK_BEGIN_DECLS

/** One direction of a conversation. What a packet does not have is 0, and there is nothing between the fields:
 * equal flows are equal bytes, for memcmp() and any hash. */
struct sxsk_flow {
	uint8_t version;  /**< of IP: 4 or 6; 0: not IP, or not enough of it */
	uint8_t protocol; /**< above IP: IPPROTO_* */
	uint16_t port[2]; /**< source and destination, of TCP and UDP; 0: none, or in another fragment */
	uint8_t address[2][16]; /**< source and destination; IPv4's have four bytes */
};

/** Find the flow of a packet, which may be cut short or wrong: nothing is read past its `len` bytes. VLAN tags
 * and IPv6's extension headers are passed over. Of a packet of several Bufs the first has it all.
 *
 * Returns:   nothing; *ret_flow
 * Errors:    none; a packet that is NULL has no flow
 * Ownership: borrows
 * Threads:   any thread; wait-free
 * Ordering:  none
 * Syscalls:  none
 * Since:     0.1
 * Source:    Linux, skb_flow_dissect
 */
SXSK_API void sxsk_flow_of(const void *packet, uint32_t len, struct sxsk_flow *ret_flow);

/** Print a flow, as "10.0.0.1.4242 > 10.0.0.2.53, protocol 17"; or "not IP".
 *
 * Returns:   nothing
 * Errors:    none; those of the stream are the caller's to see (ferror)
 * Ownership: borrows
 * Threads:   any thread; blocking on the stream
 * Ordering:  none
 * Syscalls:  write
 * Since:     0.1
 * Source:    tcpdump
 */
SXSK_API void sxsk_flow_print(const struct sxsk_flow *flow, FILE *out);

SXSK_END_DECLS
#endif
