/* SPDX-License-Identifier: BSD-2-Clause */
/* Inside: what an interface's driver can, as Linux's netdev family tells it (generic netlink, Linux 6.3). */
#ifndef SXSK_PRIV_NETDEV_H
#define SXSK_PRIV_NETDEV_H

#include "internal.h"

/* netdev's xdp-rx-metadata-features and xsk-features (linux/netdev.h) */
#define NETDEV_RX_TIMESTAMP 1u
#define NETDEV_RX_HASH 2u
#define NETDEV_RX_VLAN 4u
#define NETDEV_TX_TIMESTAMP 1u
#define NETDEV_TX_CHECKSUM 2u
#define NETDEV_TX_LAUNCH 4u

struct sxsk_priv_netdev {
	uint64_t rx_metadata; /* NETDEV_RX_* */
	uint64_t xsk;         /* NETDEV_TX_*, of zero-copy sockets */
	uint32_t zc_max_segs; /* descriptors of one packet in zero-copy mode; 0: it does not tell */
};

/* In this thread's network namespace. 0, or -errno without a sentence: -ENOENT, this kernel has no such
 * family. */
int sxsk_priv_netdev_get(uint32_t ifindex, struct sxsk_priv_netdev *ret_features);

#endif
