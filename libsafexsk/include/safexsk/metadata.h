/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a packet carries beside its bytes. On the way out: offloads that it asks the device for. The
 * requests lie in the packet's frame, in sxsk_pool_opts.tx_metadata_len bytes before its data, where the
 * kernel reads them; and in the library, which writes them there, so that what reaches the kernel is
 * what was checked. A socket says in its options which of them its packets may have.
 *
 *     enum sxsk_metadata    needs                       where
 *     TX_CHECKSUM           Linux 6.11                  any interface in copy mode; zero-copy: a driver
 *     TX_TIMESTAMP          Linux 6.11                  that has it (`ethtool`, netdev's xsk-features)
 *     TX_LAUNCH             Linux 6.15                  likewise; in copy mode a qdisc that heeds it (etf)
 *
 * On the way in: what the device knows of a packet. Its XDP program asks the driver and writes the answers
 * right before the packet; so that takes a program of the library's (SXSK_STEER_ALL, or prog), attached
 * natively, or one of somebody else's (map_fd) that writes a struct sxsk_rx_metadata there, by
 * bpf_xdp_adjust_meta(). The kernel moves it along with the packet, in copy mode too.
 *
 *     RX_TIMESTAMP          Linux 6.3, and a driver that has it (netdev's xdp-rx-metadata-features)
 *     RX_HASH               likewise
 *     RX_VLAN               Linux 6.8, likewise
 */
#ifndef SAFEXSK_METADATA_H
#define SAFEXSK_METADATA_H

#include <safexsk/buf.h>

SXSK_BEGIN_DECLS

/** sxsk_socket_opts.metadata, and what a Buf asks for */
enum sxsk_metadata {
	SXSK_METADATA_TX_TIMESTAMP = 1u << 0, /**< note when the packet was sent */
	SXSK_METADATA_TX_CHECKSUM = 1u << 1,  /**< complete a checksum in the packet */
	SXSK_METADATA_TX_LAUNCH = 1u << 2,    /**< send it at a given time */
	SXSK_METADATA_RX_TIMESTAMP = 1u << 8, /**< when the packet came */
	SXSK_METADATA_RX_HASH = 1u << 9,      /**< the hash that spreads packets over queues */
	SXSK_METADATA_RX_VLAN = 1u << 10,     /**< the VLAN tag that the device took out */
};

/** The least sxsk_pool_opts.tx_metadata_len, in bytes: what the kernel reads and writes there. */
#define SXSK_TX_METADATA_LEN 24

/** Have the packet's checksum completed when it is sent: the Internet checksum of the bytes from `start`
 * on, into the two bytes at start + offset, which have to hold the pseudo header's sum (not its
 * complement), as a protocol stack leaves it to a card (CHECKSUM_PARTIAL). It is of the first Buf of a
 * packet. A later change of this handle's view or data makes the request void: the packet is then taken,
 * freed and counted (drop_metadata).
 *
 * Returns:   0 or -errno
 * Errors:    -EINVAL (null handle; the sum lies beyond the data), -EOPNOTSUPP (the pool was made without
 *            tx_metadata_len), -EMSGSIZE (less than that is free before the data); misuse:
 *            SXSK_MISUSE_SHARED and as sxsk_buf_data_mut() (then -EINVAL)
 * Ownership: borrows; the only owner
 * Threads:   caller locks (it changes *b and the frame); wait-free
 * Ordering:  none
 * Syscalls:  none
 * Since:     0.1
 * Source:    Linux Documentation/networking/xsk-tx-metadata.rst
 */
SXSK_API SXSK_MUST_CHECK int sxsk_buf_tx_checksum(struct sxsk_buf *b, uint32_t start,
						  uint32_t offset);

/** Have the kernel or the card note when the packet is sent. To read it, keep a reference over the send
 * (sxsk_buf_ref), and see sxsk_buf_tx_time(). Otherwise as sxsk_buf_tx_checksum().
 *
 * Returns:   0 or -errno
 * Errors:    as sxsk_buf_tx_checksum()
 * Ownership: borrows; the only owner
 * Threads:   caller locks; wait-free
 * Ordering:  none
 * Syscalls:  none
 * Since:     0.1
 * Source:    Linux Documentation/networking/xsk-tx-metadata.rst
 */
SXSK_API SXSK_MUST_CHECK int sxsk_buf_tx_timestamp(struct sxsk_buf *b);

/** Have the packet sent at a time of the card's clock (in copy mode: the qdisc's), in nanoseconds.
 * Otherwise as sxsk_buf_tx_checksum().
 *
 * Returns:   0 or -errno
 * Errors:    as sxsk_buf_tx_checksum()
 * Ownership: borrows; the only owner
 * Threads:   caller locks; wait-free
 * Ordering:  none
 * Syscalls:  none
 * Since:     0.1
 * Source:    Linux Documentation/networking/xsk-tx-metadata.rst
 */
SXSK_API SXSK_MUST_CHECK int sxsk_buf_tx_launch(struct sxsk_buf *b, uint64_t ns);

/** When was the packet sent, for which sxsk_buf_tx_timestamp() asked? Through a reference that was kept.
 *
 * Returns:   0 and *ret_ns, nanoseconds (in copy mode of CLOCK_TAI, in zero-copy of the card's clock)
 * Errors:    -EAGAIN (it is being sent; completions are taken by sxsk_tx_burst(); it sets no
 *            sxsk_last_error()), -ENODATA (nobody asked, or it was not sent yet), -EINVAL (null handle);
 *            misuse as sxsk_buf_data() (-EINVAL)
 * Ownership: borrows
 * Threads:   any thread that has a reference; wait-free
 * Ordering:  acquire on the transmission's end
 * Syscalls:  none
 * Since:     0.1
 * Source:    Linux Documentation/networking/xsk-tx-metadata.rst
 */
SXSK_API SXSK_MUST_CHECK int sxsk_buf_tx_time(struct sxsk_buf b, uint64_t *ret_ns);

/** sxsk_rx_metadata.mark */
#define SXSK_RX_METADATA_MARK 0x6b73786566617300ull

/** What is known of a received packet; and what the XDP program writes before it. */
struct sxsk_rx_metadata {
	uint64_t timestamp; /**< of the device's clock, nanoseconds */
	uint32_t hash;      /**< as the device makes it */
	uint32_t hash_type; /**< of what: enum xdp_rss_hash_type, bits 0 to 9: what it covers */
	uint16_t vlan_proto; /**< of the tag that the device took out: as on the wire, 0x8100 or 0x88a8 */
	uint16_t vlan_tci; /**< the tag: id in the low 12 bits, priority in the top 3; host byte order */
	uint32_t valid; /**< SXSK_METADATA_RX_*: which of these are there */
	uint64_t mark;  /**< SXSK_RX_METADATA_MARK; 0 once the packet was received */
};

/** What the device knew of the packet, of which this is the first Buf: for sockets that were opened with
 * SXSK_METADATA_RX_*. It lies before the data as they were received, until something is written there
 * (sxsk_buf_push); a copy has none.
 *
 * Returns:   0 and *ret_metadata, of which `valid` says what is there; or -errno
 * Errors:    -ENODATA (nothing came with the packet), -EINVAL (null handle); misuse as sxsk_buf_data()
 *            (then -EINVAL)
 * Ownership: borrows
 * Threads:   any thread that has a reference; wait-free
 * Ordering:  acquire
 * Syscalls:  none
 * Since:     0.1
 * Source:    Linux Documentation/networking/xdp-rx-metadata.rst
 */
SXSK_API SXSK_MUST_CHECK int sxsk_buf_rx_metadata(struct sxsk_buf b,
						  struct sxsk_rx_metadata *ret_metadata);

SXSK_END_DECLS
#endif
