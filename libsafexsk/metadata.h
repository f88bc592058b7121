/* SPDX-License-Identifier: BSD-2-Clause */
/* Inside: what packets ask for on the way out, and what is known of them on the way in, see
 * safexsk/metadata.h. */
#ifndef SXSK_PRIV_METADATA_H
#define SXSK_PRIV_METADATA_H

#include "internal.h"

#include <safexsk/metadata.h>

#define METADATA_TX                                                                                \
	(SXSK_METADATA_TX_TIMESTAMP | SXSK_METADATA_TX_CHECKSUM | SXSK_METADATA_TX_LAUNCH)

#define METADATA_RX (SXSK_METADATA_RX_TIMESTAMP | SXSK_METADATA_RX_HASH | SXSK_METADATA_RX_VLAN)

/* The kernel's struct xsk_tx_metadata as of Linux 6.15. */
struct tx_metadata {
	uint64_t flags;
	union {
		struct {
			uint16_t csum_start;
			uint16_t csum_offset;
			uint32_t padding; /* of the kernel's, too */
			uint64_t launch_time;
		} request;
		struct {
			uint64_t tx_timestamp;
		} completion;
	};
};
_Static_assert(sizeof(struct tx_metadata) == SXSK_TX_METADATA_LEN, "the kernel's layout");

/* What the owner of a frame asked for; valid with the flag in a handle. */
struct sxsk_priv_tx_request {
	uint64_t launch;     /* nanoseconds */
	uint32_t what;       /* SXSK_METADATA_TX_* */
	uint16_t offset;     /* of the data that it was asked for, in the frame */
	uint16_t sum_start;  /* of what is summed, from the data's start */
	uint16_t sum_offset; /* from there to where the sum goes */
	uint16_t reserved;
	atomic_u32 sent; /* with a timestamp to come: read by who kept a reference */
};

/* `to`, with the flag, is a copy of `from`: it asks for the same, or its request is void. */
void sxsk_priv_tx_request_copy(struct sxsk_buf from, struct sxsk_buf to);
/* A packet's first Buf, with the flag, is about to be sent: are the requests sound, and may this socket's
 * packets have them? Then they are in the frame. */
bool sxsk_priv_tx_request_ready(struct sxsk_priv_socket *s, struct sxsk_buf b);
/* Is the request still in its place before the data? A kernel that sent the frame writes the time there. */
bool sxsk_priv_tx_request_written(const struct sxsk_priv_pool *pool, struct sxsk_buf b);
/* The packet is on its way: a time is to come, if it asked for one. */
void sxsk_priv_tx_request_sent(const struct sxsk_priv_pool *pool, struct sxsk_buf b);

/* Options that cannot be meant: -EINVAL with a sentence. Sets SOCKET_RX_METADATA. */
int sxsk_priv_metadata_options(struct sxsk_socket_opts *o);
/* netdev.c. A bound socket in zero-copy mode: can the interface do what its packets may ask for? In copy mode the
 * kernel does it. Sets tx_most. */
int sxsk_priv_zerocopy_check(struct sxsk_priv_socket *s, uint32_t ifindex);

/* Bufs that were just received: with the flag if something lies before their data, which is then taken for
 * read. */
void sxsk_priv_rx_metadata_take(const struct sxsk_priv_pool *pool, struct sxsk_buf bufs[],
				unsigned n);

#endif
