/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel's side of a receiving socket, reduced to what no kernel can leave out: take addresses
 * from the FILL ring, post descriptors to the RX ring. In a translation unit of its own, so that
 * every variant runs against the same object code.
 */
#ifndef SXSK_BENCH_PUMP_H
#define SXSK_BENCH_PUMP_H

#include <safexsk/mem.h>

#define PUMP_LENGTH 64u

struct pump {
	struct sxsk_mem_rings rings;
	uint64_t chunk_mask; /* FILL addresses lose their low bits, as in the kernel's aligned mode */
	uint64_t data;       /* offset of the data in a chunk */
	uint32_t fill_taken; /* the kernel's own copies of the indices that it moves */
	uint32_t rx_posted;
};

void pump_init(struct pump *p, const struct sxsk_mem_rings *rings);

/* "Receive" up to n packets; how many: fewer when FILL is short or RX is full. */
unsigned pump_packets(struct pump *p, unsigned n);

/* FILL entries that the kernel may take now. */
uint32_t pump_fill_level(const struct pump *p);

#endif
