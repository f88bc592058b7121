/* SPDX-License-Identifier: BSD-2-Clause */
/* Who sends on mem: links where nobody else is: the main thread, with the cables' other ends. What it receives,
 * it drops. Its pool is its own: the program's account is of the program. */
#include "common.h"
#include "stamp.h"

#define BURST 32u

static struct sxsk_pool *pool;
static struct sxsk_socket *ends[MAX_LINKS]; /* of the links; NULL where somebody else is */

bool generator_open(struct program *p)
{
	bool any = false;

	for (unsigned i = 0; i < p->link_count; i++) {
		const struct link *link = &p->links[i];

		/* A cable has two ends: where the program has both, there is none left. */
		if (strncmp(link->name, "mem:", 4) == 0 &&
		    (pool || sxsk_pool_create(&pool, NULL) == 0))
			any |= sxsk_socket_open(&ends[i], pool, link->name, link->queue, NULL) == 0;
	}
	return any;
}

static void send_burst(struct sxsk_socket *end, uint16_t stream, uint32_t seq)
{
	struct sxsk_buf bufs[BURST];
	unsigned n = sxsk_pool_alloc(pool, bufs, BURST), sent;

	for (unsigned i = 0; i < n; i++) {
		unsigned char *data = sxsk_buf_data_mut(bufs[i]);

		if (sxsk_buf_put(&bufs[i], STAMP_LEAST) != 0)
			continue; /* there is room in a frame */
		memcpy(data, stamp_headers, sizeof(stamp_headers));
		stamp_write(data, STAMP_LEAST, stream, seq + i);
	}
	sent = sxsk_tx_burst(end, bufs, n);
	sxsk_buf_unref_burst(bufs + sent, n - sent);
}

void generator_run(const struct program *p)
{
	static uint32_t seq;
	struct sxsk_buf bufs[MAX_BATCH];
	unsigned n;

	for (unsigned i = 0; i < p->link_count; i++) {
		while (ends[i] && (n = sxsk_rx_burst(ends[i], bufs, MAX_BATCH)) > 0)
			sxsk_buf_unref_burst(bufs, n);
		if (ends[i] && !(p->socket_flags & SXSK_SOCKET_NO_RX))
			send_burst(ends[i], (uint16_t)i, seq);
	}
	seq += BURST;
}

void generator_close(void)
{
	for (unsigned i = 0; i < MAX_LINKS; i++)
		sxsk_socket_close(ends[i]);
	sxsk_pool_unref(pool);
}
