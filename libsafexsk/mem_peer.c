/* SPDX-License-Identifier: BSD-2-Clause */
/* Somebody at the other end of a mem: cable: a user of the library like any other. */
#include "internal.h"

#include <safexsk/mem.h>
#include <safexsk/stamp.h>
#include <stdlib.h>
#include <string.h>

#define FRAMES 4096u
#define BURST 64u

struct sxsk_mem_peer {
	struct sxsk_pool *pool;
	struct sxsk_socket *socket;
	uint16_t stream;
	uint32_t seq;
};

int sxsk_mem_peer_open(struct sxsk_mem_peer **ret_peer, const char *ifname, uint32_t queue,
		       uint16_t stream)
{
	const struct sxsk_pool_opts opts = { .sz = sizeof(opts),
					     .name = "mem peer",
					     .frame_count = FRAMES };
	struct sxsk_mem_peer *peer;
	int err;

	if (!ifname || strncmp(ifname, "mem:", 4) != 0)
		return sxsk_priv_fail(EINVAL, "%s is not mem:NAME: others have a peer already",
				      ifname ? ifname : "NULL");
	peer = calloc(1, sizeof(*peer));
	if (!peer)
		return sxsk_priv_fail(ENOMEM, "no memory for a peer of %s", ifname);
	peer->stream = stream;
	err = sxsk_pool_create(&peer->pool, &opts);
	if (!err)
		err = sxsk_socket_open(&peer->socket, peer->pool, ifname, queue, NULL);
	if (err)
		sxsk_mem_peer_close(peer);
	else
		*ret_peer = peer;
	return err;
}

static void send_burst(struct sxsk_mem_peer *peer, unsigned n)
{
	struct sxsk_buf bufs[BURST];
	unsigned sent;

	n = sxsk_pool_alloc(peer->pool, bufs, n);
	for (unsigned i = 0; i < n; i++) {
		void *data = sxsk_buf_data_mut(bufs[i]);

		if (sxsk_buf_put(&bufs[i], SXSK_STAMP_LEAST) != 0)
			continue; /* there is room in any frame */
		sxsk_stamp_headers(data, SXSK_STAMP_LEAST);
		sxsk_stamp_write(data, SXSK_STAMP_LEAST, peer->stream, peer->seq + i);
	}
	sent = sxsk_tx_burst(peer->socket, bufs, n);
	sxsk_buf_unref_burst(bufs + sent, n - sent);
	peer->seq += sent;
}

unsigned sxsk_mem_peer_run(struct sxsk_mem_peer *peer, unsigned n)
{
	struct sxsk_buf bufs[BURST];
	unsigned got, dropped = 0;

	if (!peer)
		return 0;
	/* Who sends faster than this can drop does not keep it here. */
	for (; dropped < FRAMES && (got = sxsk_rx_burst(peer->socket, bufs, BURST)) > 0;
	     dropped += got)
		sxsk_buf_unref_burst(bufs, got);
	for (; n > BURST; n -= BURST)
		send_burst(peer, BURST);
	send_burst(peer, n);
	return dropped;
}

void sxsk_mem_peer_close(struct sxsk_mem_peer *peer)
{
	if (!peer)
		return;
	sxsk_socket_close(peer->socket);
	sxsk_pool_unref(peer->pool);
	free(peer);
}
