/* SPDX-License-Identifier: BSD-2-Clause */
/* The operations on the model's memory, each one step. Outside of the threads they are plain. */
#include "schedule_hooks.h"
#include "step.h"

#include <string.h>

static const char sleep_object; /* all wake-ups */

static struct step *begin(enum op_kind kind, const volatile void *p, unsigned size, int order,
			  const char *function, int line)
{
	return schedule_turn((struct op){ .kind = kind,
					  .order = order,
					  .location = p ? memory_location(p, size) : -1,
					  .function = function,
					  .line = line });
}

uint64_t schedule_load(const volatile void *p, unsigned size, int order, const char *function,
		       int line)
{
	int me = schedule_thread(), l, oldest, at;
	struct step *s;

	if (me < 0)
		return memory_raw_load(p, size);
	s = begin(OP_LOAD, p, size, order, function, line);
	l = s->op.location;
	oldest = memory_oldest(me, l, order);
	if (oldest <= s->floor[me])
		oldest = s->floor[me] + 1;
	s->choices = memory_last(l) - oldest + 1;
	at = memory_last(l) - s->choice;
	s->read_step = memory_at(l)->value[at].step;
	s->was = memory_read(me, l, at, order);
	s->effect = order == __ATOMIC_SEQ_CST ? DID_READ_LAST : DID_READ;
	schedule_done(s);
	return s->was;
}

void schedule_store(volatile void *p, unsigned size, uint64_t value, int order,
		    const char *function, int line)
{
	struct step *s;

	if (schedule_thread() < 0) {
		memory_raw_store(p, size, value);
		return;
	}
	s = begin(OP_STORE, p, size, order, function, line);
	s->now = value;
	s->effect = DID_WRITE;
	memory_write(s->thread, s->op.location, value, order, schedule_index());
	schedule_done(s);
}

static uint64_t read_last(struct step *s, int order)
{
	s->was = memory_read(s->thread, s->op.location, memory_last(s->op.location), order);
	return s->was;
}

bool schedule_cas(volatile void *p, unsigned size, void *expected, uint64_t value, int order,
		  const char *function, int line)
{
	uint64_t want = memory_raw_load(expected, size), was;
	struct step *s = NULL;

	if (schedule_thread() < 0) {
		was = memory_raw_load(p, size);
		if (was == want)
			memory_raw_store(p, size, value);
	} else {
		s = begin(OP_UPDATE, p, size, order, function, line);
		was = read_last(s, order);
		s->now = value;
		s->effect = was == want ? DID_WRITE : DID_READ_LAST;
		if (was == want)
			memory_update(s->thread, s->op.location, value, order, schedule_index());
		schedule_done(s);
	}
	if (was != want)
		memory_raw_store(expected, size, was);
	return was == want;
}

static uint64_t changed(uint64_t was, enum schedule_change change, uint64_t value)
{
	switch (change) {
	case CHANGE_ADD:
		return was + value;
	case CHANGE_SUB:
		return was - value;
	case CHANGE_OR:
		return was | value;
	case CHANGE_AND:
		return was & value;
	case CHANGE_XOR:
		return was ^ value;
	default:
		return value;
	}
}

uint64_t schedule_update(volatile void *p, unsigned size, enum schedule_change change,
			 uint64_t value, int order, const char *function, int line)
{
	uint64_t mask = size == 8 ? UINT64_MAX : (1ull << 8 * size) - 1, was;
	struct step *s;

	if (schedule_thread() < 0) {
		was = memory_raw_load(p, size);
		memory_raw_store(p, size, changed(was, change, value));
		return was;
	}
	s = begin(OP_UPDATE, p, size, order, function, line);
	was = read_last(s, order);
	s->now = changed(was, change, value) & mask;
	s->effect = DID_WRITE;
	memory_update(s->thread, s->op.location, s->now, order, schedule_index());
	schedule_done(s);
	return was;
}

void schedule_fence(int order, const char *function, int line)
{
	struct step *s;

	if (schedule_thread() < 0)
		return;
	s = begin(OP_FENCE, NULL, 0, order, function, line);
	s->effect = order == __ATOMIC_SEQ_CST ? DID_FENCE : DID_NOTHING;
	memory_fence(s->thread, order);
	schedule_done(s);
}

void schedule_membarrier(const char *function, int line)
{
	struct step *s;

	if (schedule_thread() < 0)
		return;
	s = begin(OP_BARRIER, NULL, 0, __ATOMIC_SEQ_CST, function, line);
	s->effect = DID_ALL;
	memory_barrier_all(s->thread);
	schedule_done(s);
}

/* ---- what the system does ---------------------------------------------------------------------- */

static void update_object(enum op_kind kind, const volatile void *p, uint64_t value,
			  const char *function)
{
	struct step *s = begin(kind, p, 0, __ATOMIC_ACQ_REL, function, 0);

	s->effect = DID_WRITE;
	(void)read_last(s, __ATOMIC_ACQ_REL);
	memory_update(s->thread, s->op.location, value, __ATOMIC_ACQ_REL, schedule_index());
	schedule_done(s);
}

void schedule_lock(const volatile void *lock, const char *function)
{
	if (schedule_thread() >= 0)
		update_object(OP_LOCK, lock, 1, function);
}

void schedule_unlock(const volatile void *lock, const char *function)
{
	if (schedule_thread() >= 0)
		update_object(OP_UNLOCK, lock, 0, function);
}

void schedule_signal(const char *function)
{
	if (schedule_thread() >= 0)
		update_object(OP_SIGNAL, &sleep_object, 0, function);
}

void schedule_sleep(bool (*ready)(const void *), const void *arg, const char *function)
{
	struct step *s = schedule_turn((struct op){ .kind = OP_SLEEP,
						    .order = __ATOMIC_ACQ_REL,
						    .location = memory_location(&sleep_object, 0),
						    .function = function,
						    .ready = ready,
						    .arg = arg });

	s->effect = DID_WRITE;
	(void)read_last(s, __ATOMIC_ACQ_REL);
	memory_update(s->thread, s->op.location, 0, __ATOMIC_ACQ_REL, schedule_index());
	schedule_done(s);
}

void schedule_await(const volatile void *p, unsigned size, const char *function)
{
	struct step *s = begin(OP_AWAIT, p, size, __ATOMIC_RELAXED, function, 0);
	int l = s->op.location, at = memory_seen(s->thread, l) + 1;

	s->read_step = memory_at(l)->value[at].step;
	s->was = memory_read(s->thread, l, at, __ATOMIC_RELAXED);
	schedule_done(s);
}
