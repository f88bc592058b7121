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
	bool lane;
};

#endif
