/* SPDX-License-Identifier: BSD-2-Clause */
/* The depot, and the lanes before it. */
#include "scenarios.h"

#include <errno.h>

static struct sxsk_buf a, b, c; /* thread A's, B's, C's */

static void end_home(uint32_t asleep)
{
	no_sleepers(asleep);
	world_misuses(0, 0);
	world_account(1, 0);
	world_flush(THREADS_MAX);
	if (world_count(false, KIND_HOME) != world.pool->count)
		schedule_fail("a frame did not come home");
	world_account(1, 0);
}

static void end_dead(uint32_t asleep)
{
	no_sleepers(asleep);
	world_misuses(0, 0);
	world_dead();
}

/* A frame from the depot is its owner's alone. */
static struct sxsk_buf take(void)
{
	struct sxsk_buf mine = { 0 };

	if (sxsk_pool_alloc(world.cookie, &mine, 1) == 1)
		world_write(mine, 2);
	return mine;
}

static void give(struct sxsk_buf mine)
{
	if (sxsk_buf_is_null(mine))
		return;
	world_write(mine, 3);
	sxsk_buf_unref(&mine);
}

static void unref_a(void)
{
	sxsk_buf_unref(&a);
}

static void unref_b(void)
{
	sxsk_buf_unref(&b);
}

static void take_give(void)
{
	give(take());
}

/* ---- push and pop --------------------------------------------------------------------------------- */

static void three_frames(void)
{
	world_reset(3, 1);
}

/* Take two and give the first back: the top is what it was, what lies below is not (ABA). */
static void take_two_give_first(void)
{
	struct sxsk_buf first = take(), second = take();

	give(first);
	give(second);
}

static void one_out(void)
{
	world_reset(2, 1);
	a = world_buf();
}

static void two_out(void)
{
	world_reset(3, 1);
	a = world_buf();
	b = world_buf();
}

/* A magazine of two, one frame of which is taken: the rest goes back. */
static void one_magazine(void)
{
	world_reset(2, 2);
}

/* ---- lanes ----------------------------------------------------------------------------------------- */

static void two_lanes(void)
{
	world_reset(4, 2);
	world_lane(0);
	world_lane(1);
}

static void flush(void)
{
	sxsk_lane_flush(world.cookie);
}

static void lane_take_give_flush(void)
{
	take_give();
	flush();
}

/* A lane of A's with a frame, and one frame in a Buf of B's. */
static void frame_in_lane(void)
{
	world_reset(2, 1);
	world_lane(0);
	a = world_buf();
	unref_a();
	world_as(1);
	b = world_buf();
	world_as(0);
}

static void frame_in_lane_only(void)
{
	frame_in_lane();
	unref_b();
}

static void pool_unref(void)
{
	sxsk_pool_unref(world.cookie);
}

static void detach(void)
{
	sxsk_lane_detach(world.cookie);
}

static void thread_exit(void)
{
	sxsk_priv_lanes_of_exiting(world_thread(schedule_thread()));
}

static void one_buf(void)
{
	world_reset(2, 1);
	a = world_buf();
}

/* The pool may be without owners by now, but a Buf is out: attach says so, or the lane is flushed. */
static void attach_unref_exit_a(void)
{
	int err = sxsk_lane_attach(world.cookie);

	if (err && err != -ESHUTDOWN)
		schedule_fail("attach: %d", err);
	unref_a();
	thread_exit();
}

/* The next call of a thread whose lane is of an orphaned pool sends the frames home. */
static void unref_twice_a(void)
{
	unref_a();
	sxsk_buf_unref(&c);
	if (!(load_relaxed(&world.pool->attention) & ATTN_ORPHANED))
		thread_exit();
}

static void two_bufs_lane(void)
{
	world_reset(2, 1);
	world_lane(0);
	a = world_buf();
	c = world_buf();
	flush();
}

static void end_flushed(uint32_t asleep)
{
	no_sleepers(asleep);
	world_misuses(0, 0);
	/* What the thread could not see yet goes with its exit. */
	if (world_alive())
		sxsk_priv_lanes_of_exiting(world_thread(0));
	world_dead();
}

const struct scenario scenarios_depot[] = {
	{ "push-pop", "a frame pushed is popped once", one_out, { unref_a, take_give }, end_home },
	{ "pop-pop", "two pops get two frames", three_frames, { take_give, take_give }, end_home },
	{ "pop-aba",
	  "a pop that slept does not install what it read before",
	  three_frames,
	  { take_give, take_two_give_first },
	  end_home },
	{ "push-push-pop",
	  "two pushes and a pop",
	  two_out,
	  { unref_a, unref_b, take_give },
	  end_home },
	{ "pop-rest",
	  "the rest of a magazine goes back",
	  one_magazine,
	  { take_give, take_give },
	  end_home },
	{ "lanes",
	  "two lanes fill and flush by magazines",
	  two_lanes,
	  { lane_take_give_flush, lane_take_give_flush },
	  end_home },
	{ "flush-pop", "a flush against a pop", frame_in_lane_only, { flush, take_give }, end_home },
	{ "flush-death",
	  "a lane's last frame against the last owner",
	  frame_in_lane_only,
	  { flush, pool_unref },
	  end_dead },
	{ "detach-death",
	  "the same by detach",
	  frame_in_lane_only,
	  { detach, pool_unref },
	  end_dead },
	{ "exit-death",
	  "the same by thread exit",
	  frame_in_lane_only,
	  { thread_exit, pool_unref },
	  end_dead },
	{ "flush-unref-death",
	  "a lane, a Buf and the last owner",
	  frame_in_lane,
	  { flush, unref_b, pool_unref },
	  end_dead },
	{ "attach-death",
	  "a lane attached while the last owner goes",
	  one_buf,
	  { attach_unref_exit_a, pool_unref },
	  end_dead },
	{ "heed-death",
	  "a lane's thread heeds at its next call",
	  two_bufs_lane,
	  { unref_twice_a, pool_unref },
	  end_flushed },
	{ .name = NULL },
};
