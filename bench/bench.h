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

#define PORTS_MAX 4u   /* that a packet is sent to */
#define READERS_MAX 4u /* that a packet is given to */

/* What check.c stamps on each packet that comes in, and how it is when its MACs are swapped: the first
 * eight bytes of it as a reader takes them in. */
#define STAMP "ABCDEFabcdef"
#define STAMP_SWAPPED "abcdefABCDEF"

struct link;
struct bench_case;

struct world {
	const struct bench_case *of;
	struct pump pump;
	struct pump port[PORTS_MAX]; /* where packets are sent, in cases that have ports */
	struct link *link;           /* to the second thread, where there is one */
	uint64_t seen;               /* sum of what the readers read */
};

typedef struct world *bench_open_fn(const struct bench_case *of, uint32_t frames);
/* Do the case's work with at least `packets` packets, a whole number of bursts; what the second thread
 * does of that it has done at the return. */
typedef void bench_run_fn(struct world *w, unsigned burst, uint64_t packets);
/* Check that no frame was lost, then give everything back. */
typedef void bench_close_fn(struct world *w);
/* The second thread, until it is told to stop. */
typedef void bench_serve_fn(struct world *w);

struct variant {
	const char *name;
	bench_open_fn *open; /* NULL: left out, see bench_missing */
	bench_run_fn *run;
	bench_close_fn *close;
	bench_serve_fn *serve; /* NULL: there is no second thread */
	bool slow; /* microseconds per packet: gets an eighth of the slices and packets */
	bool peer; /* another project's: not without --full, unless asked for by --variant */
};

/* How check.c finds out that the work is done. */
enum bench_work {
	WORK_SWAP,   /* each received packet's MACs are swapped, in its frame */
	WORK_SEND,   /* each packet goes back with its MACs swapped */
	WORK_WRITE,  /* packets are made, with such MACs, and sent */
	WORK_FLOOD,  /* each packet is sent once to each port as it came */
	WORK_READ,   /* each reader reads each packet as it came */
	WORK_REWRITE /* each packet is read as it came, and as a copy with its MACs swapped */
};

struct bench_case {
	const char *name;
	const char *what;
	unsigned threads;
	enum bench_work work;
	const struct variant *variants; /* ends with one without a name */
	unsigned readers;               /* of each packet */
	unsigned ports;                 /* each packet is sent to */
	unsigned size;                  /* bytes per packet; 0: 64 */
	unsigned fragments;             /* frames per packet; 0: 1 */
	uint32_t in_flight;             /* frames in FILL; 0: what the library keeps there */
	/* Where nothing else is asked for; 0: as the others. */
	unsigned burst, repetitions;
	uint32_t frames;
	uint64_t packets;            /* per slice */
	const uint32_t *full_frames; /* with --full, if not as the others; ends with 0 */
	unsigned burst_min;          /* of those that others have */
	bool one_cell;               /* with --full, too */
	bool only_full;              /* not without --full, unless asked for by --case */
};

extern const struct bench_case bench_cases[]; /* likewise */

/* Variants that were left out for want of a library, a sentence for each. */
extern const char bench_missing[];

/* The FILL ring is kept at the level that the library keeps, in every variant: how many frames are
 * under way decides how the caches do. Found by opening a socket. */
uint32_t bench_fill_level(const struct bench_case *of, uint32_t frames);

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

/* What a reader does with each packet: look at the header. */
static inline uint64_t bench_read(const void *packet)
{
	uint64_t first;

	__builtin_memcpy(&first, packet, sizeof(first));
	return first;
}

/* What a generator does with each packet: write the header. */
static inline void bench_write(void *packet)
{
	__builtin_memcpy(packet, STAMP_SWAPPED, 12);
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
