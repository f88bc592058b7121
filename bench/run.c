/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Running a case's variants, timed or a fixed number of packets.
 *
 * Every variant's slices alternate with every other's in a new random order each time, each slice
 * after a warm-up; every round has fresh memory, so that where pages happened to lie is part of the
 * spread.
 */
#include "refcost.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* Packets: the rings twice around, so every frame in use is touched. */
#define WARM_UP (2 * RING_SIZE)
/* Fewer have no interval for their median, see statistics.c. */
#define ROUNDS_MIN 6u
#define SLOW_SHARE 8u

struct world *run_open(const struct variant *v, const struct bench_case *of, uint32_t frames)
{
	struct world *w = v->open(of, frames);

	w->of = of;
	if (of->size)
		w->pump.length = of->size;
	return w;
}

static uint32_t moved(const struct world *w)
{
	return w->of->work == WORK_WRITE ? w->pump.tx_taken : w->pump.rx_posted;
}

void run_packets(const struct variant *v, struct world *w, unsigned burst, uint64_t packets)
{
	uint32_t before = moved(w);

	v->run(w, burst, packets);
	if (moved(w) - before != (packets + burst - 1) / burst * burst)
		bench_die("%s: %u packets instead of %llu", v->name, moved(w) - before,
			  (unsigned long long)packets);
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double time_slice(const struct variant *v, struct world *w, unsigned burst, uint64_t packets)
{
	double begin, end;

	if (v->slow)
		packets /= SLOW_SHARE;
	partner_start(v, w, burst);
	run_packets(v, w, burst, v->slow ? WARM_UP / SLOW_SHARE : WARM_UP);
	begin = seconds();
	run_packets(v, w, burst, packets);
	end = seconds();
	partner_stop(v, w);
	return (end - begin) * 1e9 / (double)packets;
}

static void shuffle(unsigned order[], unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		order[i] = i;
	for (unsigned i = n; i-- > 1;) {
		unsigned j = (unsigned)random() % (i + 1), t = order[i];

		order[i] = order[j];
		order[j] = t;
	}
}

/* The first round says how many repetitions there is time for. */
static void set_repetitions(struct result *r, unsigned repetitions)
{
	const struct plan *p = &r->plan;

	r->plan.repetitions = repetitions;
	for (unsigned i = 0; i < p->frame_counts * p->bursts * p->variants; i++)
		r->cells[i].repetitions = p->variant[i % p->variants]->slow ?
						  (repetitions + SLOW_SHARE - 1) / SLOW_SHARE :
						  repetitions;
}

/* One pool size, one round: every burst of every variant, `repetitions` times; or, the very first time, as
 * many times as fit into the round's share of the time. */
static void time_round(struct result *r, unsigned f, unsigned round)
{
	const struct plan *p = &r->plan;
	const double until = seconds() + p->seconds / ROUNDS_MIN / p->frame_counts;
	unsigned burst_order[LIST_MAX], variant_order[LIST_MAX];
	struct world *world[LIST_MAX];

	shuffle(variant_order, p->variants); /* who gets which memory */
	for (unsigned i = 0; i < p->variants; i++)
		world[variant_order[i]] =
			run_open(p->variant[variant_order[i]], p->of, p->frames[f]);
	for (unsigned rep = 0; rep < p->repetitions; rep++) {
		if (round == 0 && f == 0 && rep > 0 && seconds() > until)
			set_repetitions(r, rep);
		if (rep >= p->repetitions)
			break;
		shuffle(burst_order, p->bursts);
		for (unsigned i = 0; i < p->bursts; i++) {
			unsigned b = burst_order[i];

			shuffle(variant_order, p->variants);
			for (unsigned j = 0; j < p->variants; j++) {
				unsigned v = variant_order[j];
				struct cell *c = result_cell(r, f, b, v);

				if (rep >= c->repetitions)
					continue;
				c->ns[round * c->repetitions + rep] = time_slice(
					p->variant[v], world[v], p->burst[b], p->packets);
			}
		}
	}
	for (unsigned v = 0; v < p->variants; v++)
		p->variant[v]->close(world[v]);
}

static void *array(size_t n, size_t size)
{
	void *p = calloc(n, size);

	if (!p)
		bench_die("no memory");
	return p;
}

static struct result new_result(const struct plan *p)
{
	unsigned cells = p->frame_counts * p->bursts * p->variants;
	struct result r = { .plan = *p, .cells = array(cells, sizeof(*r.cells)) };

	for (unsigned i = 0; i < cells; i++) {
		r.cells[i] = (struct cell){
			.ns = array((size_t)p->rounds * p->repetitions, sizeof(double)),
			.round_median = array(p->rounds, sizeof(double)),
			.instructions = NAN,
			.rmw = NAN,
		};
	}
	set_repetitions(&r, p->repetitions);
	return r;
}

/* A line on a terminal, over the last one. */
static void progress(const struct plan *p, unsigned round, double spent)
{
	double rounds = round > 0 ? p->seconds / (spent / round) : p->rounds;
	double left = round > 0 ?
			      spent / round * (fmin(fmax(rounds, ROUNDS_MIN), p->rounds) - round) :
			      p->seconds;

	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r%-18s round %2u, %3.0f s left of it; then about %3.0f s\033[K",
			p->of->name, round + 1, fmax(left, 0), p->seconds_after);
}

void run_progress_end(void)
{
	if (isatty(STDERR_FILENO))
		fputs("\r\033[K", stderr);
}

/* On a busy machine there are fewer rounds. */
struct result run_timed(const struct plan *p)
{
	struct result r = new_result(p);
	double begin = seconds();
	unsigned round = 0;

	do {
		progress(p, round, seconds() - begin);
		for (unsigned f = 0; f < p->frame_counts; f++)
			time_round(&r, f, round);
	} while (++round < p->rounds && (round < ROUNDS_MIN || seconds() - begin < p->seconds));
	r.plan.rounds = round;
	result_summarise(&r);
	return r;
}

/* What the counter counts from its entry to its return: see count.py, which knows its name. */
__attribute__((noinline)) void bench_counted(const struct variant *v, struct world *w,
					     unsigned burst, uint64_t packets);
void bench_counted(const struct variant *v, struct world *w, unsigned burst, uint64_t packets)
{
	v->run(w, burst, packets);
	__asm__ volatile("" ::: "memory"); /* no tail call: this function has to return itself */
}

static void run_fixed_cell(const struct plan *p, const struct variant *v, struct world *w,
			   uint32_t frames, unsigned burst, uint64_t packets)
{
	packets = (packets + burst - 1) / burst * burst;
	partner_start(v, w, burst);
	run_packets(v, w, burst, WARM_UP);
	bench_counted(v, w, burst, packets);
	partner_stop(v, w);
	printf("%s %s %u %u %llu\n", p->of->name, v->name, burst, frames,
	       (unsigned long long)packets);
}

void run_fixed(const struct plan *p, uint64_t packets)
{
	for (unsigned f = 0; f < p->frame_counts; f++)
		for (unsigned v = 0; v < p->variants; v++) {
			struct world *w = run_open(p->variant[v], p->of, p->frames[f]);

			for (unsigned b = 0; b < p->bursts; b++)
				run_fixed_cell(p, p->variant[v], w, p->frames[f], p->burst[b],
					       packets);
			p->variant[v]->close(w);
		}
}
