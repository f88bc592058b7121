/* SPDX-License-Identifier: BSD-2-Clause */
/* Statistics as text, for people, and as JSON; packets as text. */
#ifndef SAFEXSK_PRINT_H
#define SAFEXSK_PRINT_H

#include <safexsk/pool.h>
#include <safexsk/socket.h>

SXSK_BEGIN_DECLS

/** How statistics are printed. */
enum sxsk_print {
	/** Indented lines, "name number, name number ...", of the counters that are not zero; none where
	 * all are */
	SXSK_PRINT_TEXT = 0,
	/** The members of a JSON object, all of them, without the braces: a caller adds its own */
	SXSK_PRINT_JSON,
	/** "name number, name number ...", of the drops (SXSK_SOCKET_DROPS, SXSK_KERNEL_DROPS) that are not
	 * zero; no line end, and nothing where all are */
	SXSK_PRINT_DROPS,
};

/** Print what sxsk_socket_stats() found.
 *
 * Returns:   nothing
 * Errors:    none; those of the stream are the caller's to see (ferror)
 * Ownership: borrows
 * Threads:   any thread; blocking on the stream
 * Ordering:  none
 * Syscalls:  write
 * Since:     0.1
 * Source:    own
 */
SXSK_API void sxsk_socket_stats_print(const struct sxsk_socket_stats *stats, enum sxsk_print how,
				      FILE *out);

/** Print what sxsk_pool_stats() found.
 *
 * Returns:   nothing
 * Errors:    none; those of the stream are the caller's to see (ferror)
 * Ownership: borrows
 * Threads:   any thread; blocking on the stream
 * Ordering:  none
 * Syscalls:  write
 * Since:     0.1
 * Source:    own
 */
SXSK_API void sxsk_pool_stats_print(const struct sxsk_pool_stats *stats, enum sxsk_print how,
				    FILE *out);

/** Packets lost between the wire and the wire, whoever dropped them: the sum of the drops.
 *
 * Returns:   packets
 * Errors:    none
 * Ownership: borrows
 * Threads:   any thread; wait-free
 * Ordering:  none
 * Syscalls:  none
 * Since:     0.1
 * Source:    own
 */
SXSK_API uint64_t sxsk_socket_drops(const struct sxsk_socket_stats *stats);

/** Print a packet: a line as of `tcpdump -e -n -S`, in brief (Ethernet, VLAN, ARP, IPv4, IPv6, TCP, UDP, ICMP),
 * of headers that may be cut short or wrong; with `hex`, its bytes, too, sixteen in a line. n Bufs are one
 * packet. A handle that is not live, more than 262144 bytes, or memory that is short, makes it "no packet".
 *
 * Returns:   nothing
 * Errors:    none; those of the stream are the caller's to see (ferror); misuse: as sxsk_buf_data()
 * Ownership: borrows
 * Threads:   any thread; blocking on the stream
 * Ordering:  none
 * Syscalls:  write
 * Since:     0.1
 * Source:    rte_pktmbuf_dump (DPDK), tcpdump
 */
SXSK_API void sxsk_packet_print(const struct sxsk_buf bufs[], unsigned n, bool hex, FILE *out);

SXSK_END_DECLS
#endif
