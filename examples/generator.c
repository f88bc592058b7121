/* SPDX-License-Identifier: BSD-2-Clause */
/* Traffic for mem: links: a thread at their other ends that sends, and drops what it receives. */
#include "common.h"
#include "stamp.h"

#include <unistd.h>

#define BURST 32u /* packets each millisecond */

static struct {
	struct sxsk_pool *pool;
	struct sxsk_socket *ends[MAX_LINKS];
	unsigned count;
	bool silent; /* nobody would receive */
	atomic_bool stop;
	pthread_t thread;
} generator;

static void send_burst(uint16_t stream, uint32_t seq)
{
	struct sxsk_buf bufs[BURST];
	unsigned n = sxsk_pool_alloc(generator.pool, bufs, BURST), sent;

	for (unsigned i = 0; i < n; i++) {
		unsigned char *data = sxsk_buf_data_mut(bufs[i]);

		if (sxsk_buf_put(&bufs[i], STAMP_LEAST) != 0)
			continue; /* empty: counted as a drop */
		stamp_template(data, STAMP_LEAST, stream);
		stamp_write(data, STAMP_LEAST, stream, seq + i);
	}
	sent = sxsk_tx_burst(generator.ends[stream], bufs, n);
	sxsk_buf_unref_burst(bufs + sent, n - sent);
}

static void *generate(void *arg)
{
	struct sxsk_buf bufs[MAX_BATCH];
	unsigned n;

	(void)arg;
	for (uint32_t seq = 0; !atomic_load(&generator.stop); seq += BURST) {
		for (unsigned i = 0; i < generator.count; i++) {
			while ((n = sxsk_rx_burst(generator.ends[i], bufs, MAX_BATCH)) > 0)
				sxsk_buf_unref_burst(bufs, n);
			if (!generator.silent)
				send_burst((uint16_t)i, seq);
		}
		(void)usleep(1000);
	}
	return NULL;
}

/* Is this link's cable not between two links of the program? */
static bool loose(const struct program *p, const struct link *link)
{
	for (unsigned i = 0; i < p->link_count; i++) {
		const struct link *other = &p->links[i];

		if (other != link && other->queue == link->queue &&
		    strcmp(other->name, link->name) == 0)
			return false;
	}
	return strncmp(link->name, "mem:", 4) == 0;
}

bool generator_start(struct program *p)
{
	const struct sxsk_pool_opts opts = { .sz = sizeof(opts), .name = "generator" };
	bool ok = true;

	for (unsigned i = 0; i < p->link_count; i++) {
		if (!loose(p, &p->links[i]))
			continue;
		ok = (generator.pool || sxsk_pool_create(&generator.pool, &opts) == 0) &&
		     sxsk_socket_open(&generator.ends[generator.count], generator.pool,
				      p->links[i].name, p->links[i].queue, NULL) == 0;
		if (!ok)
			return wrong(p, "%s", sxsk_last_error());
		generator.count++;
	}
	generator.silent = p->socket_flags & SXSK_SOCKET_NO_RX;
	return generator.count == 0 ||
	       pthread_create(&generator.thread, NULL, generate, NULL) == 0 ||
	       wrong(p, "cannot start a thread");
}

void generator_stop(void)
{
	atomic_store(&generator.stop, true);
	if (generator.count)
		pthread_join(generator.thread, NULL);
	while (generator.count > 0)
		sxsk_socket_close(generator.ends[--generator.count]);
	sxsk_pool_unref(generator.pool);
}
