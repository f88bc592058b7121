/* SPDX-License-Identifier: BSD-2-Clause */
/* The world of the library's variants. */
#ifndef SXSK_BENCH_SXSK_H
#define SXSK_BENCH_SXSK_H

#include "bench.h"

#include <safexsk/safexsk.h>

struct sxsk {
	struct world world;
	struct sxsk_pool *pool;
	struct sxsk_socket *socket;
	struct sxsk_socket *port[PORTS_MAX];
	bool lane;
};

/* n = 0: just reap. */
static inline void send_all(struct sxsk_socket *socket, struct sxsk_buf bufs[], unsigned n)
{
	if (sxsk_tx_burst(socket, bufs, n) != n)
		bench_die("the TX ring is full");
}

#endif
