/* SPDX-License-Identifier: BSD-2-Clause */
#include "refcost.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int compare(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* Of a sorted array, between its elements where q falls between them. */
static double quantile(const double sorted[], unsigned n, double q)
{
	double at = q * (n - 1);
	unsigned i = (unsigned)at;

	return i + 1 < n ? sorted[i] + (at - i) * (sorted[i + 1] - sorted[i]) : sorted[n - 1];
}

static void summarise(const struct plan *p, struct cell *c)
{
	unsigned n = p->rounds * p->repetitions;

	for (unsigned i = 0; i < p->rounds; i++) {
		double *round = c->ns + i * p->repetitions;

		qsort(round, p->repetitions, sizeof(*round), compare);
		c->round_median[i] = quantile(round, p->repetitions, 0.5);
	}
	qsort(c->ns, n, sizeof(*c->ns), compare);
	c->median = quantile(c->ns, n, 0.5);
	c->p25 = quantile(c->ns, n, 0.25);
	c->p75 = quantile(c->ns, n, 0.75);
}

void result_summarise(struct result *r)
{
	const struct plan *p = &r->plan;

	for (unsigned i = 0; i < p->frame_counts * p->bursts * p->variants; i++)
		summarise(p, &r->cells[i]);
}

static const struct cell *find(const struct result *r, unsigned frames, unsigned burst,
			       const char *name)
{
	for (unsigned v = 0; v < r->plan.variants; v++)
		if (strcmp(r->plan.variant[v]->name, name) == 0)
			return result_cell(r, frames, burst, v);
	return NULL;
}

struct above result_above(const struct result *r, unsigned frames, unsigned burst, unsigned variant)
{
	const struct cell *c = result_cell(r, frames, burst, variant);
	const struct cell *base = find(r, frames, burst, BASELINE),
			  *floor = find(r, frames, burst, FLOOR),
			  *arc = find(r, frames, burst, COUNTED);
	struct above a = { NAN, NAN, NAN, NAN, NAN, NAN };

	if (!base)
		return a;
	a.ns = c->median - base->median;
	a.low = INFINITY;
	a.high = -INFINITY;
	for (unsigned i = 0; i < r->plan.rounds; i++) {
		double d = c->round_median[i] - base->round_median[i];

		a.low = d < a.low ? d : a.low;
		a.high = d > a.high ? d : a.high;
	}
	a.ratio = c->median / base->median;
	if (floor)
		a.ratio_without_floor =
			(c->median - floor->median) / (base->median - floor->median);
	if (arc)
		a.of_arc = a.ns / (arc->median - base->median);
	return a;
}
