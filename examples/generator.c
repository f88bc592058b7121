/* SPDX-License-Identifier: BSD-2-Clause */
/* Who sends on mem: links where nobody else is: a thread with the cables' other ends. What it receives, it
 * drops. Its pool is its own: the program's account is of the program. */
#include "common.h"
#include "stamp.h"

#include <unistd.h>

#define BURST 32u /* packets each millisecond or so */

static struct sxsk_pool *pool;
static struct sxsk_socket *ends[MAX_LINKS]; /* of the links; NULL where somebody else is */
static pthread_t thread;

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

static void *generate(void *arg)
{
	struct program *p = arg;
	struct sxsk_buf bufs[MAX_BATCH];
	unsigned n;

	for (uint32_t seq = 0; !stopping(p); seq += BURST) {
		for (unsigned i = 0; i < p->link_count; i++) {
			while (ends[i] && (n = sxsk_rx_burst(ends[i], bufs, MAX_BATCH)) > 0)
				sxsk_buf_unref_burst(bufs, n);
			if (ends[i] && !(p->socket_flags & SXSK_SOCKET_NO_RX))
				send_burst(ends[i], (uint16_t)i, seq);
		}
		(void)usleep(1000);
	}
	return NULL;
}

bool generator_start(struct program *p)
{
	unsigned n = 0;

	for (unsigned i = 0; i < p->link_count; i++) {
		struct link *link = &p->links[i];

		if (strncmp(link->name, "mem:", 4) != 0)
			continue;
		if (!pool && sxsk_pool_create(&pool, NULL) != 0)
			return wrong(p, "%s", sxsk_last_error());
		/* A cable has two ends: this fails where the program has both. */
		n += sxsk_socket_open(&ends[i], pool, link->name, link->queue, NULL) == 0;
	}
	return n == 0 || pthread_create(&thread, NULL, generate, p) == 0 ||
	       wrong(p, "cannot start a thread");
}

void generator_stop(void)
{
	if (thread)
		pthread_join(thread, NULL);
	for (unsigned i = 0; i < MAX_LINKS; i++)
		sxsk_socket_close(ends[i]);
	sxsk_pool_unref(pool);
}
