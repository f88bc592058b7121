/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Is the reduction right? Small programs by dice, each walked twice: with the reduction and without
 * any. Both must see the same outcomes, and the reduction none twice that the other does not.
 */
#include "litmus.h"

#include "schedule_hooks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OPS_MAX 4
#define OUTCOMES_MAX 65536u

static struct {
	struct code {
		int what, where, order;
	} code[3][OPS_MAX];
	int ops;
	uint32_t variable[3];
	uint8_t lock;
	uint64_t outcome; /* of this schedule: a hash of all that was read and of how it ended */
	uint64_t read[3];
	uint64_t *seen;
	uint32_t count;
} r;

static uint32_t dice(uint64_t *state, uint32_t n)
{
	*state = *state * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(*state >> 33) % n;
}

static void one_op(struct code c, int me, uint32_t value)
{
	static const int load[] = { __ATOMIC_RELAXED, __ATOMIC_ACQUIRE, __ATOMIC_SEQ_CST };
	static const int store[] = { __ATOMIC_RELAXED, __ATOMIC_RELEASE, __ATOMIC_SEQ_CST };
	static const int update[] = { __ATOMIC_RELAXED, __ATOMIC_ACQ_REL, __ATOMIC_SEQ_CST };
	uint32_t *p = &r.variable[c.where], expected = 0;
	uint64_t got = 7;

	switch (c.what) {
	case 0:
	case 1:
	case 2:
		got = schedule_load(p, 4, load[c.order], "random", 0);
		break;
	case 3:
	case 4:
		schedule_store(p, 4, value, store[c.order], "random", 0);
		break;
	case 5:
		got = schedule_update(p, 4, CHANGE_ADD, 1, update[c.order], "random", 0);
		break;
	case 6:
		got = schedule_cas(p, 4, &expected, value, update[c.order], "random", 0);
		break;
	case 7:
		schedule_fence(c.order ? __ATOMIC_SEQ_CST : __ATOMIC_ACQ_REL, "random", 0);
		break;
	case 8:
		schedule_membarrier("random", 0);
		break;
	case 9:
		schedule_lock(&r.lock, "random");
		got = schedule_load(p, 4, __ATOMIC_RELAXED, "random", 0);
		schedule_store(p, 4, value, __ATOMIC_RELAXED, "random", 0);
		schedule_unlock(&r.lock, "random");
		break;
	default:
		break;
	}
	r.read[me] = r.read[me] * 1000003 + got + expected * 31;
}

static void thread(int me)
{
	for (int i = 0; i < r.ops; i++)
		one_op(r.code[me][i], me, (uint32_t)(100 * (me + 1) + i));
}

static void thread_a(void)
{
	thread(0);
}

static void thread_b(void)
{
	thread(1);
}

static void thread_c(void)
{
	thread(2);
}

static void begin(void)
{
	memset(r.variable, 0, sizeof(r.variable));
	memset(r.read, 0, sizeof(r.read));
}

static void end(uint32_t asleep)
{
	uint64_t h = asleep;

	for (int i = 0; i < 3; i++)
		h = (h * 0x9e3779b97f4a7c15ull + r.read[i]) * 0x9e3779b97f4a7c15ull + r.variable[i];
	for (uint32_t i = 0; i < r.count; i++)
		if (r.seen[i] == h)
			return;
	if (r.count < OUTCOMES_MAX)
		r.seen[r.count++] = h;
}

static int compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static uint64_t outcomes(struct walk w)
{
	uint64_t h = w.failed;

	qsort(r.seen, r.count, sizeof(r.seen[0]), compare);
	for (uint32_t i = 0; i < r.count; i++)
		h = h * 0x9e3779b97f4a7c15ull + r.seen[i];
	return h;
}

static void print_program(int threads)
{
	static const char *const what[] = { "load", "load", "load",  "store",      "store",
					    "add",  "cas",  "fence", "membarrier", "locked" };

	for (int t = 0; t < threads; t++) {
		printf("  %c:", 'A' + t);
		for (int i = 0; i < r.ops; i++)
			printf(" %s(%d, order %d)", what[r.code[t][i].what], r.code[t][i].where,
			       r.code[t][i].order);
		printf("\n");
	}
}

static bool one_program(uint64_t *state, uint64_t *walked, uint64_t *all)
{
	struct scenario s = { "random", "", begin, { thread_a, thread_b }, end };
	struct walk w;
	uint64_t reduced;
	uint32_t n;

	/* Two threads of four operations, or three of two, so that all schedules can be walked. */
	r.ops = dice(state, 2) ? 4 : 2;
	if (r.ops == 2)
		s.thread[2] = thread_c;
	for (int t = 0; t < 3; t++)
		for (int i = 0; i < r.ops; i++)
			r.code[t][i] = (struct code){ (int)dice(state, 10), (int)dice(state, 2),
						      (int)dice(state, 3) };
	r.count = 0;
	w = schedule_walk(&s, 1000000, true);
	*walked += w.schedules + w.redundant;
	reduced = outcomes(w);
	n = r.count;
	r.count = 0;
	w = schedule_walk_all(&s, 1000000);
	*all += w.schedules;
	if (w.failed || outcomes(w) != reduced) {
		printf("  %u outcomes with the reduction, %u without\n", n, r.count);
		print_program(s.thread[2] ? 3 : 2);
		return false;
	}
	return true;
}

bool random_run(unsigned programs, uint64_t seed)
{
	uint64_t walked = 0, all = 0, state = seed;
	bool good = true;

	r.seen = calloc(OUTCOMES_MAX, sizeof(r.seen[0]));
	if (!r.seen)
		return false;
	for (unsigned i = 0; i < programs && good; i++)
		good = one_program(&state, &walked, &all);
	printf("%s: %u random programs (seed %llu): %llu schedules for %llu without reduction\n",
	       good ? "ok" : "not ok", programs, (unsigned long long)seed,
	       (unsigned long long)walked, (unsigned long long)all);
	free(r.seen);
	return good;
}
