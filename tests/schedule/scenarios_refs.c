/* SPDX-License-Identifier: BSD-2-Clause */
/* References to frames and to the pool. */
#include "scenarios.h"

static struct sxsk_buf a, b, c; /* thread A's, B's, C's */

void no_sleepers(uint32_t asleep)
{
	if (asleep)
		schedule_fail("threads sleep for ever (mask 0x%x)", asleep);
}

static struct sxsk_buf another(struct sxsk_buf from)
{
	struct sxsk_buf to = sxsk_buf_ref(from);

	if (sxsk_buf_is_null(to))
		schedule_fail("an owner cannot make a reference");
	return to;
}

/* ---- proper use: nothing is lost, and nothing reported ------------------------------------------- */

static void two_clones(void)
{
	world_reset(2, 1);
	a = world_buf();
	b = another(a);
}

static void three_clones(void)
{
	two_clones();
	c = another(a);
}

static void two_clones_orphaned(void)
{
	two_clones();
	sxsk_pool_unref(world.cookie);
}

/* Two frames; who gives back the second unmaps, and the first must have been read by then. */
static void two_frames_orphaned(void)
{
	world_reset(2, 1);
	a = world_buf();
	b = world_buf();
	sxsk_pool_unref(world.cookie);
}

static void read_unref_a(void)
{
	(void)world_read(a, false);
	sxsk_buf_unref(&a);
}

static void read_unref_b(void)
{
	(void)world_read(b, false);
	sxsk_buf_unref(&b);
}

static void read_unref_c(void)
{
	(void)world_read(c, false);
	sxsk_buf_unref(&c);
}

static void end_home(uint32_t asleep)
{
	no_sleepers(asleep);
	world_misuses(0, 0);
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

/* The last owner may write, and sees what the others did. */
static void write_if_unique_b(void)
{
	if (!sxsk_buf_is_shared(b))
		world_write(b, 2);
	sxsk_buf_unref(&b);
}

static void ref_unref_a(void)
{
	struct sxsk_buf more = another(a);

	(void)world_read(more, false);
	sxsk_buf_unref(&more);
	read_unref_a();
}

/* Unref, and take the next frame: perhaps the same. */
static void unref_alloc_b(void)
{
	read_unref_b();
	if (sxsk_pool_alloc(world.cookie, &b, 1) != 1)
		return;
	world_write(b, 2);
	sxsk_buf_unref(&b);
}

static void one_frame_two_clones(void)
{
	world_reset(1, 1);
	a = world_buf();
	b = another(a);
}

/* ---- misuse: one reference in two threads ---------------------------------------------------------- */

static void one_buf(void)
{
	world_reset(2, 1);
	a = world_buf();
	b = a;
}

static void ref_a(void)
{
	struct sxsk_buf more = sxsk_buf_ref(a);

	if (sxsk_buf_is_null(more))
		return;
	(void)world_read(more, true);
	sxsk_buf_unref(&more);
}

static void unref_a(void)
{
	sxsk_buf_unref(&a);
}

static void unref_b(void)
{
	sxsk_buf_unref(&b);
}

static void unref_c(void)
{
	sxsk_buf_unref(&c);
}

/* Noticed, or as if it had not been; the frame is in one place. */
static void end_one_place(uint32_t asleep)
{
	no_sleepers(asleep);
	world_misuses(0, 2);
	if (world_count(false, KIND_HOME) != world.pool->count)
		schedule_fail("a frame did not come home");
	world_account(1, 0);
}

static void one_buf_two_lanes(void)
{
	world_reset(4, 2);
	world_lane(0);
	world_lane(1);
	a = world_buf();
	b = a;
	sxsk_lane_flush(world.cookie);
}

static void two_clones_three_lanes(void)
{
	one_buf_two_lanes();
	world_lane(2);
	b = another(a);
	c = b;
}

/* Both may believe that the frame is theirs: it is noticed when the stocks are emptied, at the latest,
 * and the frame leaves one of them only. */
static void end_noticed(uint32_t asleep)
{
	no_sleepers(asleep);
	world_flush(3);
	world_misuses(1, 2);
	world_account(1, 0);
}

/* ---- pools ---------------------------------------------------------------------------------------- */

static void last_buf(void)
{
	world_reset(2, 1);
	a = world_buf();
}

static void two_owners(void)
{
	last_buf();
	if (!sxsk_pool_ref(world.cookie))
		schedule_fail("an owner cannot make another");
}

static void buf_and_lanes(void)
{
	struct sxsk_buf mine;

	world_reset(4, 1);
	world_lane(0);
	world_lane(1);
	a = world_buf();
	world_as(1);
	mine = world_buf();
	sxsk_buf_unref(&mine);
	world_as(0);
}

static void pool_unref(void)
{
	sxsk_pool_unref(world.cookie);
}

static void pool_ref_unref_a(void)
{
	struct sxsk_pool *pool = sxsk_pool_ref(world.cookie);

	if (pool && memory_raw_load(&world.pool->attention, 4) & ATTN_ORPHANED)
		schedule_fail("an orphaned pool has an owner");
	sxsk_pool_unref(pool);
	read_unref_a();
}

static void alloc_a(void)
{
	struct sxsk_buf more;

	if (sxsk_pool_alloc(world.cookie, &more, 1) == 1) {
		world_write(more, 2);
		sxsk_buf_unref(&more);
	}
	read_unref_a();
}

static void unref_exit_a(void)
{
	read_unref_a();
	sxsk_priv_lanes_of_exiting(world_thread(0));
}

/* Refused, reported, or in time. */
static void end_dead_or_refused(uint32_t asleep)
{
	no_sleepers(asleep);
	world_misuses(0, 1);
	world_dead();
}

/* One unref too many, and a frame out: the pool lives until that is back. */
static void end_refused(uint32_t asleep)
{
	no_sleepers(asleep);
	world_misuses(1, 1);
	world_account(0, 0);
	sxsk_buf_unref(&a);
	world_dead();
}

const struct scenario scenarios_refs[] = {
	{ "unref-unref",
	  "two clones given back: the frame comes home once",
	  two_clones,
	  { read_unref_a, read_unref_b },
	  end_home },
	{ "unref-unref-unref",
	  "three",
	  three_clones,
	  { read_unref_a, read_unref_b, read_unref_c },
	  end_home },
	{ "unref-unref-orphaned",
	  "the last of them unmaps, after all reads",
	  two_clones_orphaned,
	  { read_unref_a, read_unref_b },
	  end_dead },
	{ "unref-two-orphaned",
	  "so does the last of two frames",
	  two_frames_orphaned,
	  { read_unref_a, read_unref_b },
	  end_dead },
	{ "unref-reuse",
	  "what is read through a clone is read before the frame is used again",
	  one_frame_two_clones,
	  { read_unref_a, unref_alloc_b },
	  end_home },
	{ "unref-write",
	  "who is unique may write, after the others' reads",
	  two_clones,
	  { read_unref_a, write_if_unique_b },
	  end_home },
	{ "ref-unref",
	  "a new reference counts",
	  two_clones,
	  { ref_unref_a, read_unref_b },
	  end_home },
	{ "ref-unref-misused",
	  "ref of a reference that another thread gives back: noticed or in time",
	  one_buf,
	  { ref_a, unref_b },
	  end_one_place },
	{ "double-unref-lanes",
	  "one reference given back by two threads with lanes: noticed",
	  one_buf_two_lanes,
	  { unref_a, unref_b },
	  end_noticed },
	{ "double-unref-clone",
	  "two references given back by three threads: noticed",
	  two_clones_three_lanes,
	  { unref_a, unref_b, unref_c },
	  end_noticed },
	{ "last-unref-pool-unref",
	  "the memory goes once, with the last of both",
	  last_buf,
	  { read_unref_a, pool_unref },
	  end_dead },
	{ "last-unref-pool-unref-lanes",
	  "also when there are frames in lanes",
	  buf_and_lanes,
	  { unref_exit_a, pool_unref },
	  end_dead },
	{ "pool-unref-pool-unref",
	  "two owners and a Buf",
	  two_owners,
	  { read_unref_a, pool_unref, pool_unref },
	  end_dead },
	{ "pool-ref-last-unref",
	  "a pool without owners gets none again",
	  last_buf,
	  { pool_ref_unref_a, pool_unref },
	  end_dead_or_refused },
	{ "pool-unref-too-often", "is refused", last_buf, { pool_unref, pool_unref }, end_refused },
	{ "alloc-pool-unref",
	  "a Buf's holder may allocate while the last owner goes",
	  last_buf,
	  { alloc_a, pool_unref },
	  end_dead },
	{ .name = NULL },
};
