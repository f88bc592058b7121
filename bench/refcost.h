/* SPDX-License-Identifier: BSD-2-Clause */
/* refcost's own parts: what was asked for, what was found, how it is shown. */
#ifndef SXSK_BENCH_REFCOST_H
#define SXSK_BENCH_REFCOST_H

#include "bench.h"

#include <stdio.h>

#define LIST_MAX 16u
#define BASELINE "raw-list"
#define FLOOR "floor"
#define COUNTED "arc" /* what the library is to be much cheaper than */

/* For one case. */
struct plan {
	const struct bench_case *of;
	const struct variant *variant[LIST_MAX];
	unsigned burst[LIST_MAX];
	uint32_t frames[LIST_MAX];
	unsigned variants, bursts, frame_counts;
	unsigned rounds, repetitions; /* fresh worlds per round; slices per cell and round */
	uint64_t packets;             /* per slice */
	double seconds;               /* to start another round in */
	double seconds_after;         /* that the cases after this one take, about */
};

/* One (frames, burst, variant). */
struct cell {
	double *ns;                   /* per packet, one per slice, in the order taken */
	unsigned repetitions;         /* slices per round */
	double p25, p75;              /* of all slices */
	double median, low95, high95; /* of the rounds' medians */
	double *round_median;
	double instructions, rmw; /* per packet; NAN = not counted */
};

struct result {
	struct plan plan;
	struct cell *cells;
};

static inline struct cell *result_cell(const struct result *r, unsigned frames, unsigned burst,
				       unsigned variant)
{
	const struct plan *p = &r->plan;

	return &r->cells[(frames * p->bursts + burst) * p->variants + variant];
}

/* check.c: does each variant do its work? */
void check_work(const struct plan *p);

/* run.c */
struct world *run_open(const struct variant *v, const struct bench_case *of, uint32_t frames);
/* Run, and make sure that it was as much as was asked for. */
void run_packets(const struct variant *v, struct world *w, unsigned burst, uint64_t packets);
struct result run_timed(const struct plan *p);
void run_progress_end(void);
/* Exactly `packets` packets of each cell after a warm-up, without timing; a line for each. */
void run_fixed(const struct plan *p, uint64_t packets);

/* statistics.c */
struct above {
	double ns, low,
		high; /* above raw-list: median of the rounds' differences; lowest, highest */
	double low95, high95; /* its interval */
	double ratio;         /* to raw-list */
	double ratio_without_floor;
	double of_arc; /* ns, as a part of arc's */
};

/*
 * The 95 % interval of the median: between which two of n sorted values it lies, whatever their distribution is
 * (order statistics: how many of n values lie below their median is binomial, with p = 1/2). Rounds are what
 * is independent of each other: each has fresh memory. Below 6 there is no such interval: NAN.
 */
void interval95(const double sorted[], unsigned n, double *ret_low, double *ret_high);
void result_summarise(struct result *r);
/* NAN where raw-list, floor or arc did not run. */
struct above result_above(const struct result *r, unsigned frames, unsigned burst,
			  unsigned variant);

/* count.c: false, with a line on stderr, when something is missing. */
bool count_executed(struct result results[], unsigned n);

/* show.c */
void show_json(FILE *out, const struct result results[], unsigned n);
void show_table(const struct result *r);
void show_about(void);

#endif
