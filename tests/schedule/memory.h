/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The memory of the model, weaker than any processor's in what it lets a load see.
 *
 * Each atomic location keeps all values ever stored to it, in order. A store is in that list at once,
 * but another thread may go on reading older values until something makes it know better: that is
 * what a store buffer does, a cache line late in coming, or a load done early. A thread knows, per
 * location, how far along the list it is (its view). It never goes back; a store-release leaves the
 * storer's view with the value, a load-acquire that reads the value takes it over; a
 * read-modify-write reads the last value always. Fences, seq_cst and membarrier(2) likewise. This is
 * C11 (as repaired by Lahav and others, "RC11", PLDI 2017) but for two things: stores to one location
 * take effect in the order in which the schedule runs them, and no load is delayed past a later
 * store of its own thread. Every x86-TSO execution is one of these; so is every one of the weaker
 * machines but for those two.
 *
 * A view has a vector clock beside it, which orders the plain accesses (packet bytes, stocks, rings,
 * fields): two of them from different threads, one a write, with neither ordered before the other,
 * are a data race, and a failure.
 */
#ifndef SCHEDULE_MEMORY_H
#define SCHEDULE_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

#define THREADS_MAX 4
#define LOCATIONS_MAX 160
#define VALUES_MAX 64

struct view {
	uint32_t clock[THREADS_MAX];
	uint16_t at[LOCATIONS_MAX];
};

struct value {
	uint64_t value;
	const struct view *view; /* what a reader that acquires gets to know; NULL: nothing */
	int step;                /* who stored it; -1: the set-up */
};

struct location {
	const volatile void *address;
	unsigned size; /* bytes; 0: no memory behind it, a lock or an event */
	int last;
	struct value value[VALUES_MAX];
};

static inline bool acquires(int order)
{
	return order != __ATOMIC_RELAXED && order != __ATOMIC_RELEASE;
}

static inline bool releases(int order)
{
	return order == __ATOMIC_RELEASE || order == __ATOMIC_ACQ_REL || order == __ATOMIC_SEQ_CST;
}

void memory_reset(void);
/* The number of a location; its first value is what is there now. */
int memory_location(const volatile void *p, unsigned size);
const struct location *memory_at(int location);
int memory_last(int location);
/* The oldest value that a load may return. */
int memory_oldest(int thread, int location, int order);
/* How far the thread is. */
int memory_seen(int thread, int location);
uint64_t memory_read(int thread, int location, int at, int order);
void memory_write(int thread, int location, uint64_t value, int order, int step);
/* Read the last value and store the next in one. */
void memory_update(int thread, int location, uint64_t value, int order, int step);
void memory_fence(int thread, int order);
/* membarrier(2): a full fence in every thread, for this one. */
void memory_barrier_all(int thread);
/* The thread's step is over: what it does from now on comes after what it published. */
void memory_tick(int thread);
/* A plain access. Returns the thread that it races with, or -1. */
int memory_touch(int thread, const volatile void *p, unsigned size, bool write);

uint64_t memory_raw_load(const volatile void *p, unsigned size);
void memory_raw_store(volatile void *p, unsigned size, uint64_t value);

#endif
