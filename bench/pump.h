/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel's side of a socket, reduced to what no kernel can leave out: take addresses from the FILL
 * ring and post descriptors to the RX ring; take descriptors from the TX ring and post addresses to
 * the COMPLETION ring. In a translation unit of its own, so that every variant runs against the same
 * object code.
 */
#ifndef SXSK_BENCH_PUMP_H
#define SXSK_BENCH_PUMP_H

#include <linux/if_xdp.h>
#include <safexsk/mem.h>

/* <linux/if_xdp.h> has it since 6.6. */
#ifndef XDP_PKT_CONTD
#define XDP_PKT_CONTD 1u
#endif

#define PUMP_LENGTH 64u
#define PUMP_OFFSET_SHIFT 48 /* addresses in unaligned mode: base below, offset above */

struct pump {
	struct sxsk_mem_rings rings;
	uint64_t chunk_mask; /* FILL addresses lose their low bits, as in the kernel's aligned mode */
	uint64_t data;       /* what is added to that: the data's offset in the chunk */
	uint32_t length;     /* bytes per descriptor */
	uint32_t fill_taken; /* the kernel's own copies of the indices that it moves */
	uint32_t rx_posted;
	uint32_t tx_taken;
	uint32_t comp_posted;
};

void pump_init(struct pump *p, const struct sxsk_mem_rings *rings);

/* "Receive" up to n packets; how many: fewer when FILL is short or RX is full. */
unsigned pump_packets(struct pump *p, unsigned n);

/* The same in packets of so many frames each, a divisor of n; how many frames. */
unsigned pump_parts(struct pump *p, unsigned n, unsigned frames);

/* "Send" what is in TX, up to n packets, and complete it; how many. */
unsigned pump_transmit(struct pump *p, unsigned n);

/* FILL entries that the kernel may take now. */
uint32_t pump_fill_level(const struct pump *p);

/* Where the packet at a ring's address lies, in either mode. */
static inline unsigned char *pump_data(const struct pump *p, uint64_t addr)
{
	return p->rings.umem + (addr & ((1ull << PUMP_OFFSET_SHIFT) - 1)) +
	       (addr >> PUMP_OFFSET_SHIFT);
}

#endif
