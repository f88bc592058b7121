/* SPDX-License-Identifier: BSD-2-Clause */
/* A thread's own stock of free frames: how much it holds, and when it gives it up. */
#include "support.h"

#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/time.h>
#include <unistd.h>

static void attach(struct sxsk_pool *pool)
{
	cr_assert_eq(sxsk_lane_attach(pool), 0, "%s", sxsk_last_error());
}

/* Put n frames into the calling thread's lane. False: there are not that many. */
static bool fill_lane(struct sxsk_pool *pool, unsigned n)
{
	struct sxsk_buf bufs[512];

	if (sxsk_pool_alloc(pool, bufs, n) != n)
		return false;
	sxsk_buf_unref_burst(bufs, n);
	return true;
}

/* ---- contents ------------------------------------------------------------------------------------------- */

Test(lane, holds_at_most_512_frames_and_a_quarter_of_the_pool)
{
	static const uint32_t count[] = { 64, 1024, 4096, 16384 };
	static struct sxsk_buf all[16384];

	for (unsigned i = 0; i < 4; i++) {
		struct sxsk_pool *pool = new_pool(count[i]);
		uint64_t most = count[i] / 4 < 512 ? count[i] / 4 : 512;

		attach(pool);
		cr_assert_eq(take_all(pool, all, count[i]), count[i]);
		for (uint32_t b = 0; b < count[i]; b++) {
			sxsk_buf_unref_burst(&all[b], 1);
			cr_assert_leq(inner_pool(pool)->lane_max, most);
			cr_assert_leq(sxsk_priv_thread_self->lanes->stock.n, most);
		}
		cr_assert_gt(pool_stats(pool).lanes, 0);
		cr_assert_leq(pool_stats(pool).lanes, most);
		expect_accounted(pool);
		sxsk_lane_detach(pool);
		expect_all_home(pool);
		sxsk_pool_unref(pool);
	}
}

/* Neither the depot nor the units are touched. */
Test(lane, burst_of_256_stays_in_the_lane)
{
	struct sxsk_pool *pool = new_pool(4096);
	struct sxsk_priv_pool *p = inner_pool(pool);
	uint64_t depot, units;

	attach(pool);
	cr_assert(fill_lane(pool, 256));
	depot = load_relaxed(&p->depot);
	units = load_relaxed(&p->units);
	for (unsigned i = 0; i < 100; i++) {
		cr_assert(fill_lane(pool, 256));
		cr_assert(fill_lane(pool, 1));
	}
	cr_assert_eq(load_relaxed(&p->depot), depot);
	cr_assert_eq(load_relaxed(&p->units), units);
	sxsk_lane_detach(pool);
	expect_all_home(pool);
	sxsk_pool_unref(pool);
}

/* Whole magazines do not go through a lane that is full; a single one makes room in it. */
Test(lane, long_burst_passes_a_full_lane_by)
{
	struct sxsk_pool *pool = new_pool(4096);
	struct sxsk_buf bufs[832]; /* thirteen magazines */

	attach(pool);
	cr_assert_eq(sxsk_pool_alloc(pool, bufs, 832), 832);
	sxsk_buf_unref_burst(bufs, 512);
	cr_assert_eq(pool_stats(pool).lanes, 512);
	cr_assert_eq(pool_stats(pool).depot, 4096 - 832);
	sxsk_buf_unref_burst(bufs + 512,
			     200); /* three magazines, and 8 that make room for themselves */
	cr_assert_eq(pool_stats(pool).lanes, 256 + 8);
	cr_assert_eq(pool_stats(pool).depot, 4096 - 832 + 3 * 64 + 256);
	cr_assert(fill_lane(pool, 1)); /* what went by is whole */
	cr_assert_eq(sxsk_pool_alloc(pool, bufs, 248), 248);
	sxsk_buf_unref_burst(bufs, 248);
	sxsk_buf_unref_burst(bufs + 712, 120);
	expect_accounted(pool);
	sxsk_lane_detach(pool);
	expect_all_home(pool);
	sxsk_pool_unref(pool);
}

Test(lane, second_attach_is_the_same_lane)
{
	struct sxsk_pool *pool = new_pool(64);

	attach(pool);
	cr_assert(fill_lane(pool, 3));
	attach(pool);
	expect_accounted(pool);
	cr_assert_gt(pool_stats(pool).lanes, 0);
	sxsk_lane_detach(pool);
	expect_all_home(pool);
	sxsk_lane_detach(pool);
	sxsk_lane_flush(pool);
	cr_assert_eq(sxsk_misuse_count(), 0, "without a lane they do nothing");
	sxsk_pool_unref(pool);
}

Test(lane, flush_sends_all_to_the_depot_and_keeps_the_lane)
{
	struct sxsk_pool *pool = new_pool(64);

	attach(pool);
	cr_assert(fill_lane(pool, 10));
	sxsk_lane_flush(pool);
	expect_all_home(pool);
	cr_assert(fill_lane(pool, 10));
	cr_assert_gt(pool_stats(pool).lanes, 0);
	sxsk_lane_detach(pool);
	expect_all_home(pool);
	cr_assert(fill_lane(pool, 10));
	expect_all_home(pool);
	sxsk_pool_unref(pool);
}

Test(lane, lanes_of_several_pools_do_not_mix)
{
	struct sxsk_pool *pool[4];

	for (unsigned i = 0; i < 4; i++) {
		pool[i] = new_pool(64);
		attach(pool[i]);
	}
	for (unsigned round = 0; round < 20; round++) {
		struct sxsk_buf mixed[8];

		for (unsigned i = 0; i < 8; i++)
			mixed[i] = take(pool[(i * 3 + round) % 4]);
		sxsk_buf_unref_burst(mixed, 8);
	}
	for (unsigned i = 0; i < 4; i++) {
		expect_accounted(pool[i]);
		cr_assert_gt(pool_stats(pool[i]).lanes, 0);
	}
	for (unsigned i = 0; i < 4; i++) {
		sxsk_lane_detach(pool[i]);
		expect_all_home(pool[i]);
		sxsk_pool_unref(pool[i]);
	}
}

/* ---- threads --------------------------------------------------------------------------------------------- */

static void *attach_and_exit(void *arg)
{
	return sxsk_lane_attach(arg) == 0 && fill_lane(arg, 10) ? arg : NULL;
}

Test(lane, exit_of_the_thread_sends_its_frames_home)
{
	struct sxsk_pool *pool = new_pool(64);

	for (unsigned i = 0; i < 20; i++) {
		cr_assert_eq(in_thread(attach_and_exit, pool), pool);
		expect_all_home(pool);
	}
	sxsk_pool_unref(pool);
}

Test(lane, lanes_of_threads_that_ended_are_used_again)
{
	struct sxsk_pool *pool = new_pool(64);
	uint32_t before, after;

	cr_assert_eq(in_thread(attach_and_exit, pool), pool);
	before = sxsk_priv_lane_holder();
	for (unsigned i = 0; i < 200; i++)
		cr_assert_eq(in_thread(attach_and_exit, pool), pool);
	after = sxsk_priv_lane_holder();
	cr_assert_eq(after, before + 1);
	sxsk_pool_unref(pool);
}

Test(lane, lane_of_a_dead_pool_is_used_again)
{
	struct sxsk_priv_lane *lane;
	struct sxsk_pool *pool = new_pool(64);

	attach(pool);
	lane = sxsk_priv_thread_self->lanes;
	sxsk_pool_unref(pool);
	pool = new_pool(64);
	cr_assert(fill_lane(pool, 10));
	expect_all_home(pool); /* the new pool in the slot has no lane here */
	attach(pool);
	cr_assert_eq(sxsk_priv_thread_self->lanes, lane);
	cr_assert_null(lane->next);
	cr_assert(fill_lane(pool, 10));
	expect_accounted(pool);
	sxsk_pool_unref(pool);
}

Test(lane, numbers_that_are_used_up_are_an_error)
{
	struct sxsk_pool *pool = new_pool(64);

	while (sxsk_priv_lane_holder() != 0)
		;
	expect_error(ENFILE, "too many lanes", sxsk_lane_attach(pool));
	cr_assert(fill_lane(pool, 10), "without a lane it goes on");
	expect_all_home(pool);
	sxsk_pool_unref(pool);
}

/* ---- attention --------------------------------------------------------------------------------------------- */

static bool was_fed(struct sxsk_priv_pool *p)
{
	struct pollfd fd = { .fd = p->eventfd, .events = POLLIN };

	return poll(&fd, 1, 0) == 1;
}

Test(lane, lane_whose_thread_sees_hunger_goes_to_the_depot)
{
	for (unsigned call = 0; call < 3; call++) {
		struct sxsk_pool *pool = new_pool(64);
		struct sxsk_priv_pool *p = inner_pool(pool);
		struct sxsk_buf b;

		attach(pool);
		cr_assert(fill_lane(pool, 10));
		b = take(pool);
		cr_assert_not(was_fed(p));
		fetch_or_seq_cst(&p->attention, ATTN_HUNGRY);
		if (call == 0)
			sxsk_buf_unref(&b);
		else if (call == 1)
			sxsk_lane_flush(pool);
		else
			sxsk_buf_unref_burst((struct sxsk_buf[]){ take(pool) }, 1);
		cr_assert(was_fed(p), "call %u", call);
		cr_assert_eq(load_relaxed(&p->attention), 0, "who brings frames home clears it");
		sxsk_buf_unref(&b);
		sxsk_lane_detach(pool);
		expect_all_home(pool);
		store_relaxed(&p->attention, 0);
		(void)!read(p->eventfd, &(uint64_t){ 0 }, sizeof(uint64_t));
		sxsk_pool_unref(pool);
	}
}

Test(lane, unref_of_a_shared_or_nothing_feeds_nobody)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_priv_pool *p = inner_pool(pool);
	struct sxsk_buf b = take(pool), clone = sxsk_buf_ref(b);

	fetch_or_seq_cst(&p->attention, ATTN_HUNGRY);
	sxsk_buf_unref(&clone);
	cr_assert_not(was_fed(p), "no frame came home");
	sxsk_buf_unref(&b);
	cr_assert(was_fed(p));
	sxsk_pool_unref(pool);
}

/* ---- orphaned pools ------------------------------------------------------------------------------------------ */

Test(lane, last_pool_unref_in_the_lanes_thread_frees)
{
	struct sxsk_pool *pool = new_pool(64);
	const void *base = inner_pool(pool)->base;

	attach(pool);
	cr_assert(fill_lane(pool, 10));
	sxsk_pool_unref(pool);
	cr_assert_not(is_mapped(base));
}

Test(lane, last_close_in_the_lanes_thread_frees)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_socket *socket = new_socket(pool, "mem:lanes", 0);
	const void *base = inner_pool(pool)->base;

	attach(pool);
	cr_assert(fill_lane(pool, 10));
	sxsk_pool_unref(pool);
	cr_assert(is_mapped(base));
	sxsk_socket_close(socket);
	cr_assert_not(is_mapped(base));
}

Test(lane, last_pool_unref_with_an_empty_lane_frees)
{
	struct sxsk_pool *pool = new_pool(64);
	const void *base = inner_pool(pool)->base;

	attach(pool);
	sxsk_pool_unref(pool);
	cr_assert_not(is_mapped(base), "a lane does not keep the pool alive, frames in it do");
}

static void *unref_pool(void *arg)
{
	sxsk_pool_unref(arg);
	return NULL;
}

enum next_call { ALLOC, UNREF, FLUSH, DETACH, ATTACH, CALLS };

/* Another thread took the last owner away: the lane's thread notices at its next call. */
static void orphan(enum next_call call)
{
	struct sxsk_pool *pool = new_pool(64);
	const void *base = inner_pool(pool)->base;
	struct sxsk_buf b;

	attach(pool);
	cr_assert(fill_lane(pool, 10));
	b = take(pool);
	(void)in_thread(unref_pool, pool);
	cr_assert(is_mapped(base));
	cr_assert_eq(*(const volatile unsigned char *)sxsk_buf_data(b), 0,
		     "the accessors do not care");
	cr_assert_gt(pool_stats(pool).lanes, 0);
	if (call == ALLOC)
		cr_assert(fill_lane(pool, 2)); /* of the depot's: no lane any more */
	else if (call == UNREF)
		sxsk_buf_unref(&b);
	else if (call == FLUSH)
		sxsk_lane_flush(pool);
	else if (call == DETACH)
		sxsk_lane_detach(pool);
	else
		cr_assert_eq(sxsk_lane_attach(pool), -ESHUTDOWN);
	if (call != UNREF) {
		cr_assert_eq(pool_stats(pool).lanes, 0, "call %u", call);
		sxsk_buf_unref(&b);
	}
	cr_assert_not(is_mapped(base), "call %u", call);
	cr_assert_eq(sxsk_misuse_count(), 0);
}

Test(lane, lane_of_an_orphaned_pool_is_given_up_at_the_next_call)
{
	for (enum next_call call = 0; call < CALLS; call++)
		orphan(call);
}

struct sleeper {
	struct sxsk_pool *pool;
	sem_t ready, leave;
};

static void *sleep_with_lane(void *arg)
{
	struct sleeper *s = arg;
	bool ok = attach_and_exit(s->pool) != NULL;

	(void)sem_post(&s->ready);
	(void)sem_wait(&s->leave);
	return ok ? s : NULL;
}

Test(lane, lane_of_an_orphaned_pool_is_given_up_at_thread_exit)
{
	struct sleeper s = { .pool = new_pool(64) };
	const void *base = inner_pool(s.pool)->base;
	pthread_t thread;
	void *ok;

	cr_assert_eq(sem_init(&s.ready, 0, 0) + sem_init(&s.leave, 0, 0), 0);
	cr_assert_eq(pthread_create(&thread, NULL, sleep_with_lane, &s), 0);
	cr_assert_eq(sem_wait(&s.ready), 0);
	sxsk_pool_unref(s.pool);
	cr_assert(is_mapped(base), "its frames are in that lane");
	cr_assert_eq(sem_post(&s.leave), 0);
	cr_assert_eq(pthread_join(thread, &ok), 0);
	cr_assert_not_null(ok);
	cr_assert_not(is_mapped(base));
}

/* An unref that sees the orphan goes straight to the depot, and the memory with it. */
Test(lane, frames_of_an_orphaned_pool_do_not_rest_in_lanes)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_buf b[3] = { take(pool), take(pool), take(pool) };
	const void *base = inner_pool(pool)->base;

	attach(pool);
	sxsk_pool_unref(pool);
	sxsk_buf_unref(&b[0]);
	cr_assert_eq(units_frames(pool), 2);
	sxsk_buf_unref_burst(&b[1], 2);
	cr_assert_not(is_mapped(base));
}

/* ---- signal handlers ---------------------------------------------------------------------------------------- */

/* A handler that interrupts its thread inside the lane leaves it alone. */
Test(lane, handler_inside_the_lane_works_with_the_depot)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_priv_stock *stock;
	struct sxsk_buf b;

	attach(pool);
	cr_assert(fill_lane(pool, 10));
	stock = &sxsk_priv_thread_self->lanes->stock;
	cr_assert(lane_enter(sxsk_priv_thread_self));
	for (unsigned n = stock->n; n > 0; n = 0) {
		b = take(pool);
		cr_assert_eq(stock->n, n);
		sxsk_buf_unref(&b);
		sxsk_lane_flush(pool);
		cr_assert_eq(stock->n, n);
	}
	lane_leave(sxsk_priv_thread_self);
	sxsk_lane_detach(pool);
	expect_all_home(pool);
	sxsk_pool_unref(pool);
}

static struct sxsk_pool *interrupted;
static volatile sig_atomic_t interrupts, failures;

static void use_pool(int signal)
{
	struct sxsk_buf bufs[5];
	unsigned n = sxsk_pool_alloc(interrupted, bufs, 5);

	(void)signal;
	for (unsigned i = 0; i < n; i++)
		if (!sxsk_buf_data_mut(bufs[i]))
			failures = 1;
	sxsk_buf_unref_burst(bufs, n);
	interrupts = interrupts + 1;
}

Test(lane, handlers_that_use_the_pool_disturb_nobody, .timeout = 60)
{
	struct sigaction sa = { .sa_handler = use_pool, .sa_flags = SA_RESTART };
	struct itimerval often = { { 0, 200 }, { 0, 200 } }, never = { { 0, 0 }, { 0, 0 } };
	struct sxsk_buf bufs[40];

	interrupted = new_pool(256);
	attach(interrupted);
	cr_assert_eq(sigaction(SIGALRM, &sa, NULL), 0);
	cr_assert_eq(setitimer(ITIMER_REAL, &often, NULL), 0);
	while (interrupts < 1000) {
		unsigned char at[256] = { 0 };
		unsigned n = sxsk_pool_alloc(interrupted, bufs, 40);

		for (unsigned i = 0; i < n; i++)
			cr_assert_eq(at[sxsk_buf_index(bufs[i])]++, 0);
		sxsk_buf_unref_burst(bufs, n);
	}
	cr_assert_eq(setitimer(ITIMER_REAL, &never, NULL), 0);
	cr_assert_eq(failures, 0);
	cr_assert_eq(sxsk_misuse_count(), 0);
	sxsk_lane_detach(interrupted);
	expect_all_home(interrupted);
	sxsk_pool_unref(interrupted);
}

static struct sxsk_pool *several[4];

static void use_one_of_several(int signal)
{
	interrupted = several[interrupts % 4];
	use_pool(signal);
}

/* While a thread looks for its lane its handler looks for another. */
Test(lane, handlers_may_look_for_lanes_too, .timeout = 60)
{
	struct sigaction sa = { .sa_handler = use_one_of_several, .sa_flags = SA_RESTART };
	struct itimerval often = { { 0, 100 }, { 0, 100 } }, never = { { 0, 0 }, { 0, 0 } };

	for (unsigned i = 0; i < 4; i++) {
		several[i] = new_pool(64);
		attach(several[i]);
	}
	cr_assert_eq(sigaction(SIGALRM, &sa, NULL), 0);
	cr_assert_eq(setitimer(ITIMER_REAL, &often, NULL), 0);
	for (unsigned i = 0; interrupts < 3000; i++) {
		struct sxsk_buf b = take(several[i % 4]);

		sxsk_buf_unref(&b);
	}
	cr_assert_eq(setitimer(ITIMER_REAL, &never, NULL), 0);
	cr_assert_eq(failures, 0);
	for (unsigned i = 0; i < 4; i++) {
		sxsk_lane_detach(several[i]);
		expect_all_home(several[i]);
		sxsk_pool_unref(several[i]);
	}
}
