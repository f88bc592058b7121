/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the device knows of a received packet. The XDP program writes it right before the packet, where the
 * kernel puts the data by itself, with a mark. A frame may have the last packet's there still, when the
 * program could not write this one's: so whoever receives takes the mark off, and says in the handle that
 * there was one.
 */
#include "frame.h"
#include "metadata.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

_Static_assert(sizeof(struct sxsk_rx_metadata) == 32, "what the program makes room for");

/* Not aligned in unaligned frames. */
static unsigned char *metadata_of(const struct sxsk_priv_pool *pool, struct sxsk_buf b)
{
	return pool->base + (size_t)sxsk_buf_index(b) * pool->chunk + KERNEL_HEADROOM +
	       pool->headroom - sizeof(struct sxsk_rx_metadata);
}

void sxsk_priv_rx_metadata_take(const struct sxsk_priv_pool *pool, struct sxsk_buf bufs[],
				unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		unsigned char *at =
			metadata_of(pool, bufs[i]) + offsetof(struct sxsk_rx_metadata, mark);
		uint64_t mark;

		if (i > 0 && bufs[i - 1].flags & SXSK_BUF_MORE)
			continue; /* a packet has it before its first Buf */
		if (bufs[i].offset < KERNEL_HEADROOM + pool->headroom)
			continue; /* a program moved the data's start: there may be data */
		memcpy(&mark, at, sizeof(mark));
		if (mark != SXSK_RX_METADATA_MARK)
			continue;
		memset(at, 0, sizeof(mark));
		if (bufs[i].offset == KERNEL_HEADROOM + pool->headroom)
			bufs[i].flags |= SXSK_BUF_RX_METADATA;
	}
}

int sxsk_buf_rx_metadata(struct sxsk_buf b, struct sxsk_rx_metadata *ret_metadata)
{
	if (sxsk_buf_is_null(b))
		return sxsk_priv_fail(EINVAL, "sxsk_buf_rx_metadata: null handle");
	if (!sxsk_priv_live(b) || !sxsk_priv_in_chunk(b)) {
		sxsk_priv_misuse_buf(b, "sxsk_buf_rx_metadata");
		return -EINVAL;
	}
	if (!(b.flags & SXSK_BUF_RX_METADATA))
		return sxsk_priv_fail(ENODATA,
				      "sxsk_buf_rx_metadata: nothing came with the packet");
	memcpy(ret_metadata, metadata_of(pool_of_buf(b), b), sizeof(*ret_metadata));
	ret_metadata->vlan_proto = ntohs(ret_metadata->vlan_proto);
	return 0;
}
