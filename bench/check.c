/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Does each variant do its work? Before, a header is put into each frame that the kernel's side will take;
 * afterwards the descriptors of all packets are still in the rings, and their frames have not been used
 * again.
 */
#include "refcost.h"

#include <linux/if_xdp.h>
#include <string.h>

#define CHECK_PACKETS 192u
#define CHECK_BURST 64u
#define CHECK_FRAMES 4096u

static void stamp(const struct pump *p)
{
	const struct sxsk_mem_ring *fill = &p->rings.fill;
	const uint64_t *addr = fill->entries;

	for (uint32_t i = *fill->consumer; i != *fill->producer; i++)
		memcpy(pump_data(p, (addr[i & (fill->size - 1)] & p->chunk_mask) + p->data), STAMP,
		       strlen(STAMP));
}

/* Of the last packets in a ring, how many start with these bytes? */
static unsigned with_header(const struct pump *p, const struct sxsk_mem_ring *ring,
			    const char *header)
{
	const struct xdp_desc *desc = ring->entries;
	unsigned found = 0;

	for (uint32_t i = 0; i < CHECK_PACKETS; i++) {
		uint32_t at = (*ring->producer - 1 - i) & (ring->size - 1);

		found += memcmp(pump_data(p, desc[at].addr), header, strlen(header)) == 0;
	}
	return found;
}

static void expect(const struct variant *v, const char *what, unsigned long long found,
		   unsigned long long expected)
{
	if (found != expected)
		bench_die("%s does not do its work: %s: %llu instead of %llu", v->name, what, found,
			  expected);
}

static void check_ports(const struct variant *v, const struct world *w)
{
	for (unsigned i = 0; i < w->of->ports; i++) {
		const struct pump *p = &w->port[i];

		expect(v, "packets sent to each port", p->tx_taken, CHECK_PACKETS);
		expect(v, "of them as they came", with_header(p, &p->rings.tx, STAMP),
		       CHECK_PACKETS);
	}
}

static void check_variant(const struct variant *v, const struct bench_case *of)
{
	struct world *w = run_open(v, of, CHECK_FRAMES);
	const struct pump *p = &w->pump;
	/* The floor does no work; what canary frees, it overwrites. */
	bool works = strcmp(v->name, FLOOR) != 0 && strcmp(v->name, "canary") != 0;

	stamp(p);
	partner_start(v, w, CHECK_BURST);
	run_packets(v, w, CHECK_BURST, CHECK_PACKETS);
	partner_stop(v, w);
	if (works && of->work == WORK_SWAP)
		expect(v, "frames received, with their MACs swapped",
		       with_header(p, &p->rings.rx, STAMP_SWAPPED),
		       CHECK_PACKETS / (of->fragments ? of->fragments : 1));
	if (works && (of->work == WORK_SEND || of->work == WORK_WRITE)) {
		expect(v, "packets sent", p->tx_taken, CHECK_PACKETS);
		expect(v, "of them with their MACs swapped",
		       with_header(p, &p->rings.tx, STAMP_SWAPPED), CHECK_PACKETS);
	}
	if (works && of->work == WORK_FLOOD)
		check_ports(v, w);
	if (works && of->work == WORK_READ)
		expect(v, "sum of what was read", w->seen,
		       CHECK_PACKETS * of->readers * bench_read(STAMP));
	if (works && of->work == WORK_REWRITE)
		expect(v, "sum of what was read", w->seen,
		       CHECK_PACKETS * (bench_read(STAMP) + bench_read(STAMP_SWAPPED)));
	v->close(w);
}

void check_work(const struct plan *p)
{
	for (unsigned v = 0; v < p->variants; v++)
		check_variant(p->variant[v], p->of);
}
