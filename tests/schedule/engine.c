/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fibers: each begins in a context of its own (makecontext); from there on they change over by
 * setjmp and longjmp, which cost no system call.
 */
#undef _FORTIFY_SOURCE /* its longjmp wants one stack */
#include "engine.h"

#include "step.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#define STEPS_MAX 1500u
#define STACK_SIZE 65536u

enum fiber_state { FIBER_READY, FIBER_DONE };

static struct {
	const struct scenario *s;
	struct step step[STEPS_MAX];
	uint32_t steps;  /* done in this schedule */
	uint32_t replay; /* of them, given from the start */
	int threads, running;
	bool starting, redundant, failed, quiet, naive;
	jmp_buf escape; /* from a failure in the set-up or at the end */
	uint32_t sleep; /* for the next fresh step */
	int floor[THREADS_MAX];
	ucontext_t begin[THREADS_MAX];
	jmp_buf main, fiber[THREADS_MAX];
	char *stacks;
	enum fiber_state state[THREADS_MAX];
	struct op pending[THREADS_MAX];
	/* The last steps that a new one may depend on. */
	uint32_t clock[THREADS_MAX][THREADS_MAX], barrier[THREADS_MAX];
	uint32_t fence[THREADS_MAX], sc[THREADS_MAX];
	uint32_t wrote[LOCATIONS_MAX][THREADS_MAX], read_last[LOCATIONS_MAX][THREADS_MAX];
	int known; /* locations with clean entries above */
} e = { .running = -1 };

int schedule_thread(void)
{
	return e.running;
}

bool schedule_on_stack(const volatile void *p)
{
	return (uintptr_t)p - (uintptr_t)e.stacks < (uintptr_t)THREADS_MAX * STACK_SIZE;
}

/* ---- traces ------------------------------------------------------------------------------------- */

static void print_step(const struct step *s)
{
	static const char *const kinds[] = { "load", "store",  "update", "fence",  "membarrier",
					     "lock", "unlock", "await",  "signal", "sleep" };
	char name[64] = "";

	if (s->op.location >= 0)
		(void)world_name(memory_at(s->op.location)->address, name, sizeof(name));
	printf("    %c %s:%d %s %s", 'A' + s->thread, s->op.function, s->op.line, kinds[s->op.kind],
	       name);
	if (s->op.kind == OP_LOAD)
		printf(" = 0x%llx%s", (unsigned long long)s->was,
		       s->choice ? " (an older value)" : "");
	else if (s->op.kind == OP_STORE)
		printf(" <- 0x%llx", (unsigned long long)s->now);
	else if (s->op.kind == OP_UPDATE && s->effect == DID_WRITE)
		printf(" 0x%llx <- 0x%llx", (unsigned long long)s->was, (unsigned long long)s->now);
	else if (s->op.kind == OP_UPDATE)
		printf(" = 0x%llx, not as expected", (unsigned long long)s->was);
	printf("\n");
}

void schedule_fail(const char *format, ...)
{
	va_list args;

	e.failed = true;
	if (!e.quiet) {
		va_start(args, format);
		printf("  ");
		vprintf(format, args);
		printf("\n");
		va_end(args);
		for (uint32_t i = 0; e.s && i < e.steps; i++)
			print_step(&e.step[i]);
	}
	if (e.running < 0)
		longjmp(e.escape, 1);
	_longjmp(e.main, 1);
}

/* ---- what depends on what ----------------------------------------------------------------------- */

static bool is_sc(const struct op *op)
{
	return op->order == __ATOMIC_SEQ_CST && op->kind <= OP_FENCE;
}

/* Did the step, of another thread, and what this thread has done after it, have to be in this order? */
static bool conflict(const struct step *a, const struct step *b)
{
	if (a->effect == DID_ALL || b->effect == DID_ALL)
		return true;
	if ((a->effect == DID_FENCE && is_sc(&b->op)) || (b->effect == DID_FENCE && is_sc(&a->op)))
		return true;
	if (a->op.location != b->op.location || a->op.location < 0)
		return false;
	if (b->op.kind == OP_UNLOCK || (b->op.kind == OP_LOCK && a->op.kind == OP_UNLOCK))
		return false; /* never both possible */
	if (b->effect == DID_WRITE)
		return a->effect == DID_WRITE || a->effect == DID_READ ||
		       a->effect == DID_READ_LAST;
	return b->effect == DID_READ_LAST && a->effect == DID_WRITE;
}

static void join(uint32_t to[THREADS_MAX], const uint32_t from[THREADS_MAX])
{
	for (int t = 0; t < THREADS_MAX; t++)
		to[t] = to[t] > from[t] ? to[t] : from[t];
}

/* Note what the step depends on, and that later ones may depend on it. */
static void order_step(struct step *s, uint32_t index)
{
	uint32_t *clock = e.clock[s->thread];
	int l = s->op.location;

	for (; e.known <= l; e.known++) {
		memset(e.wrote[e.known], 0, sizeof(e.wrote[0]));
		memset(e.read_last[e.known], 0, sizeof(e.read_last[0]));
	}
	join(clock, e.barrier);
	if (is_sc(&s->op))
		join(clock, e.fence);
	if (s->effect == DID_FENCE)
		join(clock, e.sc);
	if (s->effect == DID_WRITE || s->effect == DID_READ_LAST)
		join(clock, e.wrote[l]);
	if (s->effect == DID_WRITE)
		join(clock, e.read_last[l]);
	if (s->read_step >= 0)
		join(clock, e.step[s->read_step].happened);
	for (int t = 0; s->effect == DID_ALL && t < THREADS_MAX; t++)
		join(clock, e.clock[t]);
	clock[s->thread] = index + 1;
	memcpy(s->happened, clock, sizeof(s->happened));
	if (s->effect == DID_ALL)
		join(e.barrier, clock);
	if (s->effect == DID_FENCE)
		join(e.fence, clock);
	if (is_sc(&s->op))
		join(e.sc, clock);
	if (s->effect == DID_WRITE)
		join(e.wrote[l], clock);
	if (s->effect == DID_READ_LAST)
		join(e.read_last[l], clock);
}

/* The step `at` and `last` could change places: see to it that at `at` a thread is tried that leads
 * there, one of those whose first step after it depends on nothing between (an initial). */
static void reverse(uint32_t at, uint32_t last)
{
	struct step *s = &e.step[at];
	uint32_t first[THREADS_MAX] = { 0 }, initials = 0;

	for (uint32_t i = at + 1; i <= last; i++) {
		const struct step *f = &e.step[i];
		bool initial = true;

		if (i != last && f->happened[s->thread] > at)
			continue; /* after `at`: not there when `at` is not */
		if (first[f->thread])
			continue;
		for (int t = 0; t < e.threads; t++)
			if (first[t] && f->happened[t] >= first[t])
				initial = false;
		first[f->thread] = i + 1;
		if (initial)
			initials |= 1u << f->thread;
	}
	if (initials & (s->backtrack | s->sleep))
		return;
	if (initials & s->enabled)
		s->backtrack |= 1u << __builtin_ctz(initials & s->enabled);
	else
		s->backtrack |= s->enabled;
}

/* All steps that the new one could change places with: it depends on them, and on nothing after them
 * that does. `before` is what its thread depended on before it. */
static void find_races(uint32_t index, const uint32_t before[THREADS_MAX])
{
	const struct step *s = &e.step[index];
	uint32_t covered[THREADS_MAX];

	memcpy(covered, before, sizeof(covered));
	for (uint32_t i = index; i-- > 0;) {
		const struct step *other = &e.step[i];

		if (other->thread == s->thread || covered[other->thread] > i || !conflict(other, s))
			continue;
		reverse(i, index);
		join(covered, other->happened);
	}
}

/* Threads asleep after the step: those whose next step it does not touch. A load that a store woke has
 * only the new value left to try. */
static void next_sleep(const struct step *s)
{
	e.sleep = s->sleep & ~(1u << s->thread);
	memcpy(e.floor, s->floor, sizeof(e.floor));
	e.floor[s->thread] = -1;
	for (int t = 0; t < e.threads; t++) {
		const struct op *op = &e.pending[t];
		struct step next = { .op = *op, .effect = DID_WRITE };

		if (t == s->thread)
			continue;
		if (op->kind == OP_BARRIER)
			next.effect = DID_ALL;
		else if (op->kind == OP_FENCE)
			next.effect = op->order == __ATOMIC_SEQ_CST ? DID_FENCE : DID_NOTHING;
		else if (op->kind == OP_LOAD)
			next.effect = op->order == __ATOMIC_SEQ_CST ? DID_READ_LAST : DID_READ;
		else if (op->kind == OP_AWAIT)
			next.effect = DID_NOTHING;
		if (s->effect == DID_ALL) {
			e.sleep &= ~(1u << t);
			e.floor[t] = -1;
		} else if (next.effect == DID_READ && s->effect == DID_WRITE &&
			   op->location == s->op.location) {
			if (e.sleep & 1u << t)
				e.floor[t] = memory_last(op->location) - 1;
			e.sleep &= ~(1u << t);
		} else if (!(s->effect == DID_READ && next.effect == DID_WRITE) &&
			   conflict(s, &next)) {
			e.sleep &= ~(1u << t);
		}
	}
}

/* ---- the scheduler ------------------------------------------------------------------------------ */

static bool can_run(int t)
{
	const struct op *op = &e.pending[t];

	if (e.state[t] == FIBER_DONE)
		return false;
	if (op->kind == OP_LOCK)
		return memory_at(op->location)->value[memory_last(op->location)].value == 0;
	if (op->kind == OP_AWAIT)
		return memory_last(op->location) > memory_seen(t, op->location);
	if (op->kind == OP_SLEEP)
		return op->ready(op->arg);
	return true;
}

/* The thread of the next step; -1: this schedule is at its end. */
static int pick(void)
{
	struct step *s = &e.step[e.steps];
	uint32_t enabled = 0, awake;

	for (int t = 0; t < e.threads; t++)
		if (can_run(t))
			enabled |= 1u << t;
	if (!enabled)
		return -1;
	if (e.steps < e.replay)
		return s->thread;
	if (e.steps == STEPS_MAX)
		schedule_fail("more than %u steps", STEPS_MAX);
	awake = enabled & ~e.sleep;
	if (!awake) {
		e.redundant = true;
		return -1;
	}
	if (e.running >= 0 && awake & 1u << e.running)
		s->thread = e.running;
	else
		s->thread = __builtin_ctz(awake);
	s->enabled = enabled;
	s->sleep = e.sleep;
	memcpy(s->floor, e.floor, sizeof(s->floor));
	s->backtrack = e.naive ? enabled : 1u << s->thread;
	s->choice = 0;
	return s->thread;
}

/* Run the thread whose turn it is; returns when that is the caller. */
static void pass_on(void)
{
	int me = e.running, next = pick();

	if (next == me && e.state[me] != FIBER_DONE)
		return;
	e.running = next;
	if (next < 0)
		_longjmp(e.main, 1);
	world_switched(next);
	if (e.state[me] == FIBER_DONE || !_setjmp(e.fiber[me]))
		_longjmp(e.fiber[next], 1);
}

int schedule_index(void)
{
	return (int)e.steps;
}

const volatile void *schedule_last(void)
{
	return memory_at(e.step[e.steps - 1].op.location)->address;
}

struct step *schedule_turn(struct op op)
{
	struct step *s;
	int me = e.running;

	e.pending[me] = op;
	if (!e.starting)
		pass_on();
	else if (!_setjmp(e.fiber[me]))
		_longjmp(e.main, 1);
	s = &e.step[e.steps];
	s->op = op;
	s->read_step = -1;
	s->choices = 1;
	s->effect = DID_NOTHING;
	return s;
}

void schedule_done(struct step *s)
{
	uint32_t before[THREADS_MAX], index = e.steps;
	bool fresh = e.steps + 1 >= e.replay && !e.naive;

	memcpy(before, e.clock[s->thread], sizeof(before));
	order_step(s, index);
	if (fresh) {
		find_races(index, before);
		next_sleep(s);
	}
	memory_tick(s->thread);
	e.steps++;
}

static void fiber_main(int t)
{
	e.s->thread[t]();
	e.state[t] = FIBER_DONE;
	if (e.starting)
		_longjmp(e.main, 1);
	pass_on();
	abort(); /* not reached */
}

/* Run a fiber until it comes back. */
static void enter(int t, bool begin)
{
	e.running = t;
	world_switched(t);
	if (_setjmp(e.main))
		return;
	if (begin)
		setcontext(&e.begin[t]);
	_longjmp(e.fiber[t], 1);
}

static void start_fibers(void)
{
	e.starting = true;
	for (e.threads = 0; e.threads < THREADS_MAX && e.s->thread[e.threads] && !e.failed;) {
		int t = e.threads++;
		ucontext_t *c = &e.begin[t];

		c->uc_stack.ss_sp = e.stacks + (size_t)t * STACK_SIZE;
		c->uc_stack.ss_size = STACK_SIZE;
		c->uc_link = NULL;
		makecontext(c, (void (*)(void))fiber_main, 1, t);
		e.state[t] = FIBER_READY;
		enter(t, true); /* up to its first operation */
	}
	e.starting = false;
	e.running = -1;
}

/* One schedule, from the start. */
static void run(void)
{
	int first;

	memory_reset();
	e.steps = 0;
	e.running = -1;
	e.redundant = false;
	e.known = 0;
	memset(e.clock, 0, sizeof(e.clock));
	memset(e.barrier, 0, sizeof(e.barrier));
	memset(e.fence, 0, sizeof(e.fence));
	memset(e.sc, 0, sizeof(e.sc));
	e.s->setup();
	if (e.replay == 0) {
		e.sleep = 0;
		for (int t = 0; t < THREADS_MAX; t++)
			e.floor[t] = -1;
	}
	start_fibers();
	first = e.failed ? -1 : pick();
	if (first >= 0)
		enter(first, false);
	e.running = -1;
}

/* Go back to where something is left to try. False: nothing is. */
static bool next_schedule(void)
{
	while (e.steps > 0) {
		struct step *s = &e.step[e.steps - 1];
		uint32_t left;

		if (++s->choice < s->choices) {
			e.replay = e.steps;
			return true;
		}
		if (e.naive)
			s->backtrack &= ~(1u << s->thread);
		else
			s->sleep |= 1u << s->thread;
		left = s->backtrack & s->enabled & ~s->sleep;
		if (left) {
			s->thread = __builtin_ctz(left);
			s->choice = 0;
			e.replay = e.steps;
			return true;
		}
		e.steps--;
	}
	return false;
}

static void end_of_schedule(struct walk *w)
{
	uint32_t asleep = 0;

	w->steps = e.steps > w->steps ? e.steps : w->steps;
	if (e.redundant) {
		w->redundant++;
		return;
	}
	w->schedules++;
	for (int t = 0; t < e.threads; t++)
		if (e.state[t] != FIBER_DONE)
			asleep |= 1u << t;
	if (e.s->end)
		e.s->end(asleep);
	else if (asleep)
		schedule_fail("threads sleep for ever (mask 0x%x)", asleep);
}

static void make_stacks(void)
{
	e.stacks = mmap(NULL, (size_t)THREADS_MAX * STACK_SIZE, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (e.stacks == MAP_FAILED)
		abort();
	for (int t = 0; t < THREADS_MAX; t++)
		if (getcontext(&e.begin[t]) != 0)
			abort();
}

/* False: the schedule, or the scenario's end, failed. */
static bool walk_one(struct walk *w)
{
	if (setjmp(e.escape) != 0)
		return false;
	run();
	if (!e.failed)
		end_of_schedule(w);
	return !e.failed;
}

struct walk schedule_walk_all(const struct scenario *s, uint64_t most)
{
	struct walk w;

	e.naive = true;
	w = schedule_walk(s, most, true);
	e.naive = false;
	return w;
}

struct walk schedule_walk(const struct scenario *s, uint64_t most, bool quiet)
{
	struct walk w = { 0 };

	if (!e.stacks)
		make_stacks();
	e.s = s;
	e.replay = 0;
	e.failed = false;
	e.quiet = quiet;
	while (walk_one(&w) && next_schedule())
		if (w.schedules + w.redundant >= most) {
			printf("  more than %llu schedules\n", (unsigned long long)most);
			e.failed = true;
			break;
		}
	w.failed = e.failed;
	return w;
}
