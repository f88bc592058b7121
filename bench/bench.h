/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What refcost's files share. A case is a packet loop, a variant one way to write it; a world is one
 * variant's packet memory and rings, with a kernel's side of its own.
 */
#ifndef SXSK_BENCH_BENCH_H
#define SXSK_BENCH_BENCH_H

#include "pump.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RING_SIZE 2048u /* entries, all rings: the library's default, and libxdp's */
#define CHUNK 2048u     /* bytes per frame */
#define BURST_MAX 256u
#define REFILL_BATCH 64u /* refill once as many are missing: the library's own */

struct link;

struct world {
	struct pump pump;
	struct link *link; /* to the second thread, where there is one */
};

struct variant {
	const char *name;
	struct world *(*open)(uint32_t frames);
	/* Receive, read and swap the MACs of, free and refill at least `packets` packets, a whole number
	 * of bursts; what the second thread does of that it has done at the return. */
	void (*run)(struct world *w, unsigned burst, uint64_t packets);
	/* Checks that no frame was lost, then gives everything back. */
	void (*close)(struct world *w);
	/* The second thread, until it is told to stop; NULL: there is none. */
	void (*serve)(struct world *w);
};

struct bench_case {
	const char *name;
	const char *what;
	unsigned threads;
	const struct variant *variants; /* ends with one without a name */
	/* Where nothing else is asked for; 0: as the others. */
	unsigned burst, repetitions;
	uint32_t frames;
	uint64_t packets; /* per slice */
};

extern const struct bench_case bench_cases[]; /* likewise */

/* The work in one thread: raw.c, sxsk.c */
struct world *bench_raw_open(uint32_t frames);
void bench_raw_close(struct world *w);
void bench_floor_run(struct world *w, unsigned burst, uint64_t packets);
void bench_raw_run(struct world *w, unsigned burst, uint64_t packets);
void bench_raw_list_run(struct world *w, unsigned burst, uint64_t packets);
void bench_arc_run(struct world *w, unsigned burst, uint64_t packets);

struct world *bench_sxsk_open(uint32_t frames);
struct world *bench_sxsk_open_lane(uint32_t frames);
struct world *bench_sxsk_open_race_safe(uint32_t frames);
struct world *bench_sxsk_open_fifo(uint32_t frames);
struct world *bench_sxsk_open_canary(uint32_t frames);
struct world *bench_sxsk_open_history(uint32_t frames);
struct world *bench_sxsk_open_trace(uint32_t frames);
struct world *bench_sxsk_open_guard(uint32_t frames);
void bench_sxsk_close(struct world *w);
void bench_sxsk_run(struct world *w, unsigned burst, uint64_t packets);
void bench_sxsk_single_run(struct world *w, unsigned burst, uint64_t packets);

/* Received in one thread, freed in another: handover_raw.c, handover_sxsk.c */
struct world *bench_handover_raw_open(uint32_t frames);
void bench_handover_raw_close(struct world *w);
void bench_handover_raw_run(struct world *w, unsigned burst, uint64_t packets);
void bench_handover_raw_list_run(struct world *w, unsigned burst, uint64_t packets);
void bench_handover_arc_run(struct world *w, unsigned burst, uint64_t packets);
void bench_handover_raw_serve(struct world *w);
void bench_handover_arc_serve(struct world *w);

struct world *bench_handover_sxsk_open(uint32_t frames);
struct world *bench_handover_sxsk_open_lane(uint32_t frames);
void bench_handover_sxsk_close(struct world *w);
void bench_handover_sxsk_run(struct world *w, unsigned burst, uint64_t packets);
void bench_handover_sxsk_serve(struct world *w);

/* The FILL ring is kept at the level that the library keeps, in every variant: how many frames are
 * under way decides how the caches do. Found by opening a socket. */
uint32_t bench_fill_level(uint32_t frames);

/* partner.c: the second thread, on its CPU (-1: any); with `sleep`, a thread that has nothing to do
 * sleeps instead of looking again. For variants without one nothing happens. */
void partner_place(int cpu, bool sleep);
void partner_start(const struct variant *v, struct world *w, unsigned burst);
void partner_stop(const struct variant *v, struct world *w);

__attribute__((noreturn, cold, format(printf, 1, 2))) void bench_die(const char *format, ...);

/* The kernel's side had packets to give, and none came: the loop would never end. */
static inline void bench_check_progress(unsigned n)
{
	if (__builtin_expect(n == 0, 0))
		bench_die("the receiver starves");
}

/* The work: what a macswap or l2fwd does with each packet. */
static inline void bench_swap_macs(void *packet)
{
	struct mac {
		unsigned char byte[6];
	} *mac = packet, t = mac[0];

	mac[0] = mac[1];
	mac[1] = t;
}

#endif
