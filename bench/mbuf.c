/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * DPDK's packets: rte_mbuf, each with a reference count, from a mempool with a cache per thread. As its
 * AF_XDP driver does (net_af_xdp in zero-copy mode), the mempool is the packet memory, in unaligned mode, and
 * the mbuf lies in front of its data: so a ring's address is the mbuf's.
 *
 * Done the way that DPDK's documentation says is fast: bulk allocation, bulk free, a cache for each thread
 * that is as large as may be, mbufs that are never chained nor attached. FILL is refilled with as
 * many at a time as in the other variants, which the driver itself would do at each receive.
 */
#include "mbuf.h"

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void start_eal(void)
{
	static bool started;
	char cpu[32], name[] = "refcost", lcores[] = "--lcores", no_huge[] = "--no-huge",
		      m[] = "-m", size[24], no_shconf[] = "--no-shconf", no_pci[] = "--no-pci",
		      no_telemetry[] = "--no-telemetry", iova[] = "--iova-mode=va",
		      log[] = "--log-level=*:error";
	char *argv[] = { name,      lcores, cpu,          no_huge, m,   size,
			 no_shconf, no_pci, no_telemetry, iova,    log, NULL };
	const long memory = sysconf(_SC_PHYS_PAGES) / 2 * (sysconf(_SC_PAGESIZE) / 1024) / 1024;

	if (started)
		return;
	/* Megabytes: enough for the largest pool while what lies around it is another's; taken when it is used. */
	snprintf(size, sizeof(size), "%ld", memory < 8192 ? memory : 8192);
	/* This thread stays where it is. */
	snprintf(cpu, sizeof(cpu), "0@%d", sched_getcpu());
	if (rte_eal_init(sizeof(argv) / sizeof(argv[0]) - 1, argv) < 0)
		bench_die("DPDK does not start: %s", rte_strerror(rte_errno));
	started = true;
}

struct world *bench_mbuf_open(const struct bench_case *of, uint32_t frames)
{
	static unsigned serial;
	struct mbufs *m = aligned_alloc(64, sizeof(*m));
	struct sxsk_mem_rings rings = { .chunk = CHUNK };
	const struct rte_mempool_memhdr *memory;
	char name[32];

	if (!m)
		bench_die("no memory");
	*m = (struct mbufs){ .raw.frames = frames };
	start_eal();
	snprintf(name, sizeof(name), "refcost%u", serial++);
	m->pool = rte_pktmbuf_pool_create(
		name, frames,
		frames >= 2 * RTE_MEMPOOL_CACHE_MAX_SIZE ? RTE_MEMPOOL_CACHE_MAX_SIZE : frames / 2,
		0, CHUNK, SOCKET_ID_ANY);
	if (!m->pool)
		bench_die("mempool: %s", rte_strerror(rte_errno));
	memory = STAILQ_FIRST(&m->pool->mem_list);
	if (m->pool->nb_mem_chunks != 1)
		bench_die("the mempool is in pieces");
	rings.umem = memory->addr;
	rings.umem_size = memory->len;
	raw_map(&m->raw, of, &rings);
	m->raw.world.of = of;
	m->raw.world.pump.chunk_mask = ADDRESS_MASK;
	m->raw.world.pump.data = (uint64_t)DATA_OFFSET << PUMP_OFFSET_SHIFT;
	m->raw.missing = bench_fill_level(of, frames);
	mbuf_fill(m);
	if (m->raw.missing > 0)
		bench_die("the mempool has not enough for FILL");
	return &m->raw.world;
}

void bench_mbuf_close(struct world *w)
{
	struct mbufs *m = (struct mbufs *)w;

	if (rte_mempool_avail_count(m->pool) + pump_fill_level(&w->pump) != m->raw.frames)
		bench_die("mbuf: %u frames free, %u in FILL, of %u",
			  rte_mempool_avail_count(m->pool), pump_fill_level(&w->pump),
			  m->raw.frames);
	raw_unmap(&m->raw);
	rte_mempool_free(m->pool);
	free(m);
}

/* ---- one thread ----------------------------------------------------------------------------------------- */

void bench_mbuf_run(struct world *w, unsigned burst, uint64_t packets)
{
	struct mbufs *m = (struct mbufs *)w;
	struct rte_mbuf *bufs[BURST_MAX];

	for (uint64_t done = 0; done < packets;) {
		uint32_t n = mbuf_receive(m, burst, bufs);

		mbuf_swap_all(bufs, n);
		rte_pktmbuf_free_bulk(bufs, n);
		done += n;
	}
}

void bench_send_mbuf_run(struct world *w, unsigned burst, uint64_t packets)
{
	struct mbufs *m = (struct mbufs *)w;
	struct rte_mbuf *bufs[BURST_MAX];

	for (uint64_t done = 0; done < packets;) {
		uint32_t n = mbuf_receive(m, burst, bufs);

		mbuf_swap_all(bufs, n);
		mbuf_send(m, &m->raw.port[0], bufs, n);
		pump_transmit(&w->pump, n);
		mbuf_reap(m, &m->raw.port[0]);
		done += n;
	}
}

void bench_make_mbuf_run(struct world *w, unsigned burst, uint64_t packets)
{
	struct mbufs *m = (struct mbufs *)w;
	struct rte_mbuf *bufs[BURST_MAX];
	uint16_t size = (uint16_t)w->pump.length;

	for (uint64_t done = 0; done < packets; done += burst) {
		if (rte_pktmbuf_alloc_bulk(m->pool, bufs, burst) != 0)
			bench_die("no mbuf");
		for (uint32_t i = 0; i < burst; i++)
			bench_write(rte_pktmbuf_append(bufs[i], size));
		mbuf_send(m, &m->raw.port[0], bufs, burst);
		pump_transmit(&w->pump, burst);
		mbuf_reap(m, &m->raw.port[0]);
	}
}

/* ---- shared ---------------------------------------------------------------------------------------------- */

static uint64_t read_and_free(struct rte_mbuf *bufs[], uint32_t n)
{
	uint64_t seen = 0;

	for (uint32_t i = 0; i < n; i++)
		seen += bench_read(rte_pktmbuf_mtod(bufs[i], const void *));
	rte_pktmbuf_free_bulk(bufs, n);
	return seen;
}

void bench_share_mbuf_run(struct world *w, unsigned burst, uint64_t packets)
{
	struct mbufs *m = (struct mbufs *)w;
	struct rte_mbuf *bufs[BURST_MAX];
	const unsigned readers = w->of->readers;

	for (uint64_t done = 0; done < packets;) {
		uint32_t n = mbuf_receive(m, burst, bufs);

		/* All readers' at once: one count, and no clone with a view of its own. */
		for (uint32_t i = 0; i < n; i++)
			rte_pktmbuf_refcnt_update(bufs[i], (int16_t)readers);
		for (unsigned j = 0; j < readers; j++)
			w->seen += read_and_free(bufs, n);
		rte_pktmbuf_free_bulk(bufs, n);
		done += n;
	}
}

void bench_rewrite_mbuf_run(struct world *w, unsigned burst, uint64_t packets)
{
	struct mbufs *m = (struct mbufs *)w;
	struct rte_mbuf *bufs[BURST_MAX], *own[BURST_MAX];

	for (uint64_t done = 0; done < packets;) {
		uint32_t n = mbuf_receive(m, burst, bufs);

		for (uint32_t i = 0; i < n; i++)
			rte_pktmbuf_refcnt_update(bufs[i], 1);
		for (uint32_t i = 0; i < n; i++) {
			own[i] = bufs[i];
			if (rte_mbuf_refcnt_read(bufs[i]) > 1) {
				own[i] = rte_pktmbuf_copy(bufs[i], m->pool, 0, UINT32_MAX);
				if (!own[i])
					bench_die("no mbuf for a copy");
				rte_pktmbuf_free(bufs[i]);
			}
			bench_swap_macs(rte_pktmbuf_mtod(own[i], void *));
		}
		w->seen += read_and_free(bufs, n);
		w->seen += read_and_free(own, n);
		done += n;
	}
}

void bench_flood_mbuf_run(struct world *w, unsigned burst, uint64_t packets)
{
	struct mbufs *m = (struct mbufs *)w;
	struct rte_mbuf *bufs[BURST_MAX];
	const unsigned ports = w->of->ports;

	for (uint64_t done = 0; done < packets;) {
		uint32_t n = mbuf_receive(m, burst, bufs);

		for (uint32_t i = 0; i < n; i++)
			rte_pktmbuf_refcnt_update(bufs[i], (int16_t)(ports - 1));
		for (unsigned j = 0; j < ports; j++) {
			mbuf_send(m, &m->raw.port[j], bufs, n);
			pump_transmit(&w->port[j], n);
		}
		for (unsigned j = 0; j < ports; j++)
			mbuf_reap(m, &m->raw.port[j]);
		done += n;
	}
}
