/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Walks every schedule of a small program of two to four threads. The threads are fibers of one; each
 * operation on an atomic, a lock or an event is a scheduling point (the code is compiled with
 * -DSXSK_SCHEDULE); what a load may return is memory.h's. A walk is depth first: run to the end, go
 * back to the last place where another choice was left, run again from the start up to there and
 * take it.
 *
 * Schedules that differ only in the order of operations that do not touch each other are walked once:
 * dynamic partial-order reduction with source sets and sleep sets (Abdulla, Aronis, Jonsson and
 * Sagonas, POPL 2014). A load that returned an old value commutes with the store that it did not
 * see, so a store is tried before each concurrent load, never the other way round.
 */
#ifndef SCHEDULE_ENGINE_H
#define SCHEDULE_ENGINE_H

#include "memory.h"

struct scenario {
	const char *name;
	const char *what; /* what must hold, in a sentence */
	void (*setup)(void);
	void (*thread[THREADS_MAX])(void);
	/* After each schedule; the threads in the mask sleep for ever. NULL: none may. */
	void (*end)(uint32_t asleep);
};

struct walk {
	uint64_t schedules; /* walked to their end */
	uint64_t redundant; /* given up as equal to one that was walked */
	uint32_t steps;     /* of the longest */
	bool failed;
};

/* Returns when every schedule was walked or one failed (its trace is on stdout). Too many steps in a
 * schedule, or too many schedules, is a failure. */
struct walk schedule_walk(const struct scenario *s, uint64_t most, bool quiet);
/* The same without any reduction, to check the reduction against. */
struct walk schedule_walk_all(const struct scenario *s, uint64_t most);
/* In a scenario's functions and what they call: this schedule is wrong. Does not return. */
void schedule_fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
/* The running thread, from 0; -1 in the set-up and at the end. */
int schedule_thread(void);
bool schedule_on_stack(const volatile void *p);

/* Operations beside those of schedule_hooks.h. */
void schedule_membarrier(const char *function, int line);
void schedule_lock(const volatile void *lock, const char *function);
void schedule_unlock(const volatile void *lock, const char *function);
/* Wait until the atomic, which this thread has read, gets another value. */
void schedule_await(const volatile void *p, unsigned size, const char *function);
/* The address of the calling thread's last operation. */
const volatile void *schedule_last(void);
/* Something happened that a sleeper may wait for: all wake-ups are one object. */
void schedule_signal(const char *function);
/* Sleep until ready(arg); what was signalled happened before. */
void schedule_sleep(bool (*ready)(const void *), const void *arg, const char *function);

/* The harness tells which of the library's threads runs. */
void world_switched(int thread);
/* A name for an address, for traces. */
const char *world_name(const volatile void *p, char *to, unsigned size);

#endif
