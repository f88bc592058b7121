/* SPDX-License-Identifier: BSD-2-Clause */
/* Whose packet is it? The key of a table of flows, and a table that counts. */
#ifndef SAFEXSK_FLOW_H
#define SAFEXSK_FLOW_H

#include <safexsk/buf.h>
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

/** Packets and bytes by flow. */
struct sxsk_flow_table;

/** Make an empty table.
 *
 * Returns:   0 and *ret_table, or -errno and *ret_table untouched
 * Errors:    -EINVAL (room is not from 1 to 2^24), -ENOMEM
 * Ownership: returns owned (sxsk_flow_table_destroy)
 * Threads:   any thread; blocking
 * Ordering:  none
 * Syscalls:  those of malloc(3)
 * Since:     0.1
 * Source:    own
 */
SXSK_API SXSK_MUST_CHECK int sxsk_flow_table_create(struct sxsk_flow_table **ret_table,
						    uint32_t room);

/** Count a packet of n Bufs. Flows beyond the table's room (about that: it looks in few places) are counted
 * together, as others. One whose first handle is null, or dead (after the misuse), counts as not IP.
 *
 * Returns:   nothing
 * Errors:    misuse: as sxsk_buf_data()
 * Ownership: borrows
 * Threads:   caller locks: one thread at a time for each table
 * Ordering:  none
 * Syscalls:  none
 * Since:     0.1
 * Source:    own
 */
SXSK_API void sxsk_flow_table_count(struct sxsk_flow_table *table, const struct sxsk_buf bufs[],
				    unsigned n);

/** How many flows are in the table.
 *
 * Returns:   flows
 * Errors:    none
 * Ownership: borrows
 * Threads:   caller locks: one thread at a time for each table
 * Ordering:  none
 * Syscalls:  none
 * Since:     0.1
 * Source:    own
 */
SXSK_API uint32_t sxsk_flow_table_flows(const struct sxsk_flow_table *table);

/** Print the flows that had most packets, `most` at most, a line each, and how many there are.
 *
 * Returns:   nothing
 * Errors:    none; those of the stream are the caller's to see (ferror)
 * Ownership: borrows
 * Threads:   caller locks: one thread at a time for each table; blocking on the stream
 * Ordering:  none
 * Syscalls:  write
 * Since:     0.1
 * Source:    own
 */
SXSK_API void sxsk_flow_table_print(const struct sxsk_flow_table *table, unsigned most, FILE *out);

/** Make an end of it. NULL does nothing.
 *
 * Returns:   nothing
 * Errors:    none
 * Ownership: takes
 * Threads:   caller locks: one thread at a time for each table
 * Ordering:  none
 * Syscalls:  those of free(3)
 * Since:     0.1
 * Source:    own
 */
SXSK_API void sxsk_flow_table_destroy(struct sxsk_flow_table *table);

SXSK_END_DECLS
#endif
