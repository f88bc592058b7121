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

void interval95(const double sorted[], unsigned n, double *ret_low, double *ret_high)
{
	double term = pow(0.5, n), below = term; /* P(k values below the median), and up to k */
	unsigned k = 0;

	*ret_low = *ret_high = NAN;
	while (below <= 0.025) {
		k++;
		term *= (double)(n - k + 1) / k;
		below += term;
	}
	if (k > 0) {
		*ret_low = sorted[k - 1];
		*ret_high = sorted[n - k];
	}
}

static void sort(double values[], unsigned n)
{
	qsort(values, n, sizeof(*values), compare);
}

static void summarise(const struct plan *p, struct cell *c)
{
	unsigned n = p->rounds * c->repetitions;
	double *sorted = malloc(p->rounds * sizeof(*sorted));

	if (!sorted)
		bench_die("no memory");
	for (unsigned i = 0; i < p->rounds; i++) {
		double *round = c->ns + i * c->repetitions;

		sort(round, c->repetitions);
		sorted[i] = c->round_median[i] = quantile(round, c->repetitions, 0.5);
	}
	sort(sorted, p->rounds);
	c->median = quantile(sorted, p->rounds, 0.5);
	interval95(sorted, p->rounds, &c->low95, &c->high95);
	free(sorted);
	sort(c->ns, n);
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
	struct above a = { NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN };
	double *difference;

	if (!base)
		return a;
	difference = malloc(r->plan.rounds * sizeof(*difference));
	if (!difference)
		bench_die("no memory");
	for (unsigned i = 0; i < r->plan.rounds; i++)
		difference[i] = c->round_median[i] - base->round_median[i];
	sort(difference, r->plan.rounds);
	a.ns = quantile(difference, r->plan.rounds, 0.5);
	a.low = difference[0];
	a.high = difference[r->plan.rounds - 1];
	interval95(difference, r->plan.rounds, &a.low95, &a.high95);
	free(difference);
	a.ratio = c->median / base->median;
	if (floor)
		a.ratio_without_floor =
			(c->median - floor->median) / (base->median - floor->median);
	if (arc)
		a.of_arc = a.ns / (arc->median - base->median);
	return a;
}
