/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Does the harness walk what it says? The classic small programs, with the outcomes that C11 allows:
 * every one of them must be seen, and no other. Names as in "Herding cats" (Alglave, Maranget and
 * Tautschnig, TOPLAS 2014).
 */
#include "litmus.h"

#include "atomic.h"

#include <stdio.h>
#include <string.h>

static struct {
	atomic_u32 x, y;
	uint32_t plain;
	uint32_t r[4];
	uint32_t seen; /* bit i: outcome i; the outcome is r[0] + 2 * r[1] + 4 * r[2] + 8 * r[3] */
} l;

static void begin(void)
{
	uint32_t seen = l.seen;

	memset(&l, 0, sizeof(l));
	l.seen = seen;
}

static void end(uint32_t asleep)
{
	if (asleep)
		schedule_fail("threads sleep for ever");
	l.seen |= 1u << (l.r[0] + 2 * l.r[1] + 4 * l.r[2] + 8 * l.r[3]);
}

static void touch(bool write)
{
	if (memory_touch(schedule_thread(), &l.plain, 4, write) >= 0)
		schedule_fail("data race");
}

/* Store buffering: only a fence or seq_cst on both sides keeps both from reading 0. */
static void sb_a(void)
{
	store_relaxed(&l.x, 1);
	l.r[0] = load_relaxed(&l.y);
}

static void sb_b(void)
{
	store_relaxed(&l.y, 1);
	l.r[1] = load_relaxed(&l.x);
}

static void sb_fence_a(void)
{
	store_relaxed(&l.x, 1);
	fence_seq_cst();
	l.r[0] = load_relaxed(&l.y);
}

static void sb_fence_b(void)
{
	store_relaxed(&l.y, 1);
	fence_seq_cst();
	l.r[1] = load_relaxed(&l.x);
}

static void sb_sc_a(void)
{
	(void)fetch_or_seq_cst(&l.x, 1);
	l.r[0] = load_seq_cst(&l.y);
}

static void sb_sc_b(void)
{
	(void)fetch_or_seq_cst(&l.y, 1);
	l.r[1] = load_seq_cst(&l.x);
}

static void sb_barrier_b(void)
{
	store_relaxed(&l.y, 1);
	schedule_membarrier("litmus", 0);
	l.r[1] = load_relaxed(&l.x);
}

/* Message passing. */
static void mp_a(void)
{
	store_relaxed(&l.x, 1);
	store_relaxed(&l.y, 1);
}

static void mp_release_a(void)
{
	store_relaxed(&l.x, 1);
	store_release(&l.y, 1);
}

static void mp_b(void)
{
	l.r[0] = load_relaxed(&l.y);
	l.r[1] = load_relaxed(&l.x);
}

static void mp_acquire_b(void)
{
	l.r[0] = load_acquire(&l.y);
	l.r[1] = load_relaxed(&l.x);
}

static void mp_plain_a(void)
{
	touch(true);
	store_release(&l.y, 1);
}

static void mp_plain_relaxed_a(void)
{
	touch(true);
	store_relaxed(&l.y, 1);
}

static void mp_plain_b(void)
{
	l.r[0] = load_acquire(&l.y);
	if (l.r[0])
		touch(false);
}

/* Coherence of one location; four readings of two stores. */
static void one_a(void)
{
	store_relaxed(&l.x, 1);
}

static void coherence_b(void)
{
	l.r[0] = load_relaxed(&l.x);
	l.r[1] = load_relaxed(&l.x);
}

/* Independent reads of independent writes. */
static void iriw_b(void)
{
	store_relaxed(&l.y, 1);
}

static void iriw_c(void)
{
	l.r[0] = load_acquire(&l.x);
	l.r[1] = load_acquire(&l.y);
}

static void iriw_d(void)
{
	l.r[2] = load_acquire(&l.y);
	l.r[3] = load_acquire(&l.x);
}

/* Two increments by compare-and-swap: none is lost. */
static void increment(void)
{
	uint32_t x = load_relaxed(&l.x);

	while (!cas_relaxed(&l.x, &x, x + 1))
		;
}

static void end_increment(uint32_t asleep)
{
	l.r[0] = load_relaxed(&l.x) == 3;
	end(asleep);
}

/* A release sequence: the read-modify-write between does not hide the release before it. */
static void sequence_b(void)
{
	(void)fetch_add_relaxed(&l.y, 1);
}

static void sequence_c(void)
{
	l.r[0] = load_acquire(&l.y) == 2;
	l.r[1] = load_relaxed(&l.x);
}

static const struct litmus {
	struct scenario s;
	uint32_t outcomes;
	uint64_t schedules; /* the number of different executions; 0: not counted by hand */
	bool races;
} litmus[] = {
	{ { "SB", "both may read 0", begin, { sb_a, sb_b }, end }, 0xf, 4, false },
	{ { "SB+fences", "not both 0", begin, { sb_fence_a, sb_fence_b }, end }, 0xe, 0, false },
	{ { "SB+fence", "both 0", begin, { sb_a, sb_fence_b }, end }, 0xf, 0, false },
	{ { "SB+seq_cst", "not both 0", begin, { sb_sc_a, sb_sc_b }, end }, 0xe, 0, false },
	{ { "SB+membarrier", "not both 0", begin, { sb_a, sb_barrier_b }, end }, 0xe, 0, false },
	{ { "MP", "the flag without the data", begin, { mp_a, mp_b }, end }, 0xf, 4, false },
	{ { "MP+release", "still", begin, { mp_release_a, mp_b }, end }, 0xf, 4, false },
	{ { "MP+acquire", "still", begin, { mp_a, mp_acquire_b }, end }, 0xf, 4, false },
	{ { "MP+both", "no more", begin, { mp_release_a, mp_acquire_b }, end }, 0xd, 3, false },
	{ { "MP+plain", "no race", begin, { mp_plain_a, mp_plain_b }, end }, 0x3, 2, false },
	{ { "MP+plain+relaxed", "race", begin, { mp_plain_relaxed_a, mp_plain_b }, end },
	  0,
	  0,
	  true },
	{ { "CoRR", "never back", begin, { one_a, coherence_b }, end }, 0xd, 3, false },
	{ { "IRIW", "any", begin, { one_a, iriw_b, iriw_c, iriw_d }, end }, 0xffff, 16, false },
	{ { "3 increments", "", begin, { increment, increment, increment }, end_increment },
	  2,
	  0,
	  false },
	{ { "release sequence", "", begin, { mp_release_a, sequence_b, sequence_c }, end },
	  0xd,
	  0,
	  false },
};

bool litmus_run(const char *only)
{
	bool good = true;

	for (unsigned i = 0; i < sizeof(litmus) / sizeof(litmus[0]); i++) {
		const struct litmus *t = &litmus[i];
		struct walk w;

		if (only && strcmp(only, t->s.name) != 0)
			continue;
		l.seen = 0;
		w = schedule_walk(&t->s, 100000, t->races);
		if (w.failed == t->races && (t->races || l.seen == t->outcomes) &&
		    (!t->schedules || w.schedules == t->schedules))
			continue;
		printf("not ok: litmus test %s: outcomes 0x%x for 0x%x, %llu schedules for %llu%s\n",
		       t->s.name, l.seen, t->outcomes, (unsigned long long)w.schedules,
		       (unsigned long long)t->schedules, w.failed ? ", failed" : "");
		good = false;
	}
	return good;
}
