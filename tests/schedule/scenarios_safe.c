/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One reference misused by two threads at the same instant. At the race-safe level exactly one of them
 * has it, and the other is reported; nobody else is harmed.
 */
#include "harden.h"
#include "scenarios.h"

static struct sxsk_buf a, b, c; /* thread A's, B's, C's */

static void race_safe(void)
{
	world_reset(2, 1);
	world_harden(HARDEN_RACE_SAFE);
	a = world_buf();
	b = c = a;
}

static void race_safe_lanes(void)
{
	world_reset(4, 2);
	world_harden(HARDEN_RACE_SAFE);
	world_lane(0);
	world_lane(1);
	a = world_buf();
	b = a;
	sxsk_lane_flush(world.cookie);
}

static void race_safe_socket(void)
{
	race_safe();
	(void)world_open(0, 0);
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

static void ref_a(void)
{
	struct sxsk_buf more = sxsk_buf_ref(a);

	if (sxsk_buf_is_null(more))
		return;
	(void)world_read(more, false);
	sxsk_buf_unref(&more);
}

static void send_a(void)
{
	if (sxsk_tx_burst(world.socket[0].cookie, &a, 1) != 1)
		schedule_fail("not taken");
}

/* Its frame may be what comes back at once: that one is this thread's own. */
static void unref_alloc_a(void)
{
	unref_a();
	if (sxsk_pool_alloc(world.cookie, &a, 1) != 1)
		return;
	world_write(a, 2);
	if (world_read(a, false) != 2)
		schedule_fail("somebody else wrote there");
	sxsk_buf_unref(&a);
}

static void end_one_noticed(uint32_t asleep)
{
	no_sleepers(asleep);
	world_misuses(1, 1);
	world_flush(2);
	if (world_count(false, KIND_HOME) != world.pool->count)
		schedule_fail("a frame did not come home");
	world_account(1, 0);
}

static void end_two_noticed(uint32_t asleep)
{
	no_sleepers(asleep);
	world_misuses(2, 2);
	world_account(1, 0);
}

static void end_in_time_or_noticed(uint32_t asleep)
{
	no_sleepers(asleep);
	world_misuses(0, 1);
	world_account(1, 0);
}

static void end_sent_or_home(uint32_t asleep)
{
	no_sleepers(asleep);
	world_misuses(1, 1);
	if (world_count(false, KIND_HOME) + world_count(false, KIND_TX1) +
		    world_count(false, KIND_TXN) !=
	    world.pool->count)
		schedule_fail("neither sent nor home");
	world_account(1, 1);
}

const struct scenario scenarios_safe[] = {
	{ "safe-double-unref",
	  "race-safe: one of two unrefs of one reference is reported",
	  race_safe,
	  { unref_a, unref_b },
	  end_one_noticed },
	{ "safe-double-unref-lanes",
	  "race-safe: also into two lanes",
	  race_safe_lanes,
	  { unref_a, unref_b },
	  end_one_noticed },
	{ "safe-triple-unref",
	  "race-safe: two of three",
	  race_safe,
	  { unref_a, unref_b, unref_c },
	  end_two_noticed },
	{ "safe-unref-reused",
	  "race-safe: a second unref never hits the frame's next owner",
	  race_safe,
	  { unref_alloc_a, unref_b },
	  end_one_noticed },
	{ "safe-ref-unref",
	  "race-safe: a ref is in time, or reported",
	  race_safe,
	  { ref_a, unref_b },
	  end_in_time_or_noticed },
	{ "safe-send-unref",
	  "race-safe: sent or given back, not both",
	  race_safe_socket,
	  { send_a, unref_b },
	  end_sent_or_home },
	{ .name = NULL },
};
