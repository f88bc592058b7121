/* SPDX-License-Identifier: BSD-2-Clause */
#include "memory.h"

#include "engine.h"

#include <string.h>

#define VIEWS_MAX 4096
#define HASH_SIZE 1024u /* locations */
#define CELLS 16384u    /* plain memory, 4 bytes each */

static struct {
	struct location location[LOCATIONS_MAX];
	int locations;
	struct view view[VIEWS_MAX];
	int views;
	struct {
		struct view now;      /* what it knows */
		struct view acquired; /* what an acquire fence would add */
		struct view released; /* what its relaxed stores carry since its last release fence */
		bool fenced;
	} thread[THREADS_MAX];
	struct view sc; /* what seq_cst fences and stores agreed on */
	struct {
		uint32_t epoch;
		int16_t location;
	} hash[HASH_SIZE];
	struct cell {
		uint32_t epoch;
		uintptr_t at;
		int writer;
		uint32_t written;
		uint32_t read[THREADS_MAX];
	} cell[CELLS];
	uint32_t epoch;
} m;

uint64_t memory_raw_load(const volatile void *p, unsigned size)
{
	switch (size) {
	case 8:
		return *(const volatile uint64_t *)p;
	case 4:
		return *(const volatile uint32_t *)p;
	case 2:
		return *(const volatile uint16_t *)p;
	case 1:
		return *(const volatile uint8_t *)p;
	default:
		return 0;
	}
}

void memory_raw_store(volatile void *p, unsigned size, uint64_t value)
{
	switch (size) {
	case 8:
		*(volatile uint64_t *)p = value;
		break;
	case 4:
		*(volatile uint32_t *)p = (uint32_t)value;
		break;
	case 2:
		*(volatile uint16_t *)p = (uint16_t)value;
		break;
	case 1:
		*(volatile uint8_t *)p = (uint8_t)value;
		break;
	default:
		break;
	}
}

void memory_reset(void)
{
	m.locations = 0;
	m.views = 0;
	m.epoch++;
	memset(m.thread, 0, sizeof(m.thread));
	memset(&m.sc, 0, sizeof(m.sc));
	for (int t = 0; t < THREADS_MAX; t++)
		m.thread[t].now.clock[t] = 1;
}

/* ---- locations -------------------------------------------------------------------------------- */

static uint32_t hash_of(uintptr_t at)
{
	return (uint32_t)((uint64_t)at * 0x9e3779b97f4a7c15ull >> 40);
}

int memory_location(const volatile void *p, unsigned size)
{
	struct location *l;
	uint32_t h = hash_of((uintptr_t)p) % HASH_SIZE;

	for (; m.hash[h].epoch == m.epoch; h = (h + 1) % HASH_SIZE)
		if (m.location[m.hash[h].location].address == p)
			return m.hash[h].location;
	if (m.locations == LOCATIONS_MAX)
		schedule_fail("more than %d atomic locations", LOCATIONS_MAX);
	m.hash[h].epoch = m.epoch;
	m.hash[h].location = (int16_t)m.locations;
	l = &m.location[m.locations];
	l->address = p;
	l->size = size;
	l->last = 0;
	l->value[0] = (struct value){ .value = memory_raw_load(p, size), .step = -1 };
	return m.locations++;
}

const struct location *memory_at(int location)
{
	return &m.location[location];
}

int memory_last(int location)
{
	return m.location[location].last;
}

int memory_seen(int thread, int location)
{
	return m.thread[thread].now.at[location];
}

int memory_oldest(int thread, int location, int order)
{
	int seen = m.thread[thread].now.at[location], agreed = m.sc.at[location];

	return order == __ATOMIC_SEQ_CST && agreed > seen ? agreed : seen;
}

/* ---- views ------------------------------------------------------------------------------------- */

static void join_at(struct view *to, const struct view *from)
{
	for (int i = 0; i < m.locations; i++)
		to->at[i] = to->at[i] > from->at[i] ? to->at[i] : from->at[i];
}

static void join(struct view *to, const struct view *from)
{
	for (int t = 0; t < THREADS_MAX; t++)
		to->clock[t] = to->clock[t] > from->clock[t] ? to->clock[t] : from->clock[t];
	join_at(to, from);
}

static struct view *new_view(const struct view *from)
{
	struct view *v = &m.view[m.views];

	if (m.views == VIEWS_MAX)
		schedule_fail("more than %d stores in one schedule", VIEWS_MAX);
	m.views++;
	memcpy(v->clock, from->clock, sizeof(v->clock));
	/* Locations that come later start at 0 everywhere. */
	memcpy(v->at, from->at, sizeof(v->at));
	return v;
}

uint64_t memory_read(int thread, int location, int at, int order)
{
	const struct value *v = &m.location[location].value[at];
	struct view *now = &m.thread[thread].now;

	if (at > now->at[location])
		now->at[location] = (uint16_t)at;
	if (v->view)
		join(acquires(order) ? now : &m.thread[thread].acquired, v->view);
	return v->value;
}

/* The view that goes with a value: the thread's own after a release, else what a release fence left;
 * and, for a read-modify-write, what the value before it carried (the release sequence). */
static const struct view *carried(int thread, int order, const struct view *before)
{
	const struct view *own = releases(order)         ? &m.thread[thread].now :
				 m.thread[thread].fenced ? &m.thread[thread].released :
							   NULL;
	struct view *v;

	if (!own)
		return before;
	v = new_view(own);
	if (before)
		join(v, before);
	return v;
}

static void append(int thread, int location, uint64_t value, int order, int step,
		   const struct view *before)
{
	struct location *l = &m.location[location];

	if (l->last + 1 == VALUES_MAX)
		schedule_fail("more than %d values in one location", VALUES_MAX);
	l->last++;
	m.thread[thread].now.at[location] = (uint16_t)l->last;
	if (order == __ATOMIC_SEQ_CST)
		m.sc.at[location] = (uint16_t)l->last;
	l->value[l->last] = (struct value){ value, carried(thread, order, before), step };
	memory_raw_store((volatile void *)(uintptr_t)l->address, l->size, value);
}

void memory_write(int thread, int location, uint64_t value, int order, int step)
{
	append(thread, location, value, order, step, NULL);
}

void memory_update(int thread, int location, uint64_t value, int order, int step)
{
	append(thread, location, value, order, step,
	       m.location[location].value[m.location[location].last].view);
}

void memory_fence(int thread, int order)
{
	struct view *now = &m.thread[thread].now;

	if (acquires(order))
		join(now, &m.thread[thread].acquired);
	if (order == __ATOMIC_SEQ_CST) {
		join_at(now, &m.sc);
		join_at(&m.sc, now);
	}
	if (releases(order)) {
		m.thread[thread].released = *now;
		m.thread[thread].fenced = true;
	}
}

void memory_barrier_all(int thread)
{
	memory_fence(thread, __ATOMIC_SEQ_CST);
	for (int t = 0; t < THREADS_MAX; t++)
		if (t != thread) {
			/* Each of the others has a fence at some moment of its own: it knows what the caller
			 * knew, and the caller in the end what all know; what they know of each other is left
			 * open. */
			join_at(&m.thread[t].now, &m.thread[thread].now);
			join(&m.thread[t].now, &m.thread[t].acquired);
			m.thread[t].released = m.thread[t].now;
			m.thread[t].fenced = true;
		}
	for (int t = 0; t < THREADS_MAX; t++)
		join_at(&m.sc, &m.thread[t].now);
	memory_fence(thread, __ATOMIC_SEQ_CST);
}

void memory_tick(int thread)
{
	m.thread[thread].now.clock[thread]++;
}

/* ---- plain accesses ---------------------------------------------------------------------------- */

static struct cell *cell_of(uintptr_t at)
{
	uint32_t h = hash_of(at) % CELLS, tries = 0;

	for (; m.cell[h].epoch == m.epoch; h = (h + 1) % CELLS) {
		if (m.cell[h].at == at)
			return &m.cell[h];
		if (++tries == CELLS / 2)
			schedule_fail("more than %u words of plain memory", CELLS / 2);
	}
	m.cell[h] = (struct cell){ .epoch = m.epoch, .at = at, .writer = -1 };
	return &m.cell[h];
}

static int race_with(int thread, const struct cell *c, bool write)
{
	const uint32_t *clock = m.thread[thread].now.clock;

	if (c->writer >= 0 && c->writer != thread && c->written > clock[c->writer])
		return c->writer;
	for (int t = 0; write && t < THREADS_MAX; t++)
		if (t != thread && c->read[t] > clock[t])
			return t;
	return -1;
}

int memory_touch(int thread, const volatile void *p, unsigned size, bool write)
{
	uintptr_t first = (uintptr_t)p / 4, end = ((uintptr_t)p + size + 3) / 4;
	uint32_t now = m.thread[thread].now.clock[thread];
	int with = -1;

	for (uintptr_t at = first; at < end; at++) {
		struct cell *c = cell_of(at);

		if (with < 0)
			with = race_with(thread, c, write);
		if (write) {
			c->writer = thread;
			c->written = now;
		} else {
			c->read[thread] = now;
		}
	}
	return with;
}
