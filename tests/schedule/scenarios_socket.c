/* SPDX-License-Identifier: BSD-2-Clause */
/* Halves, close, hand-over and waiting. */
#include "scenarios.h"

#include <errno.h>

static struct sxsk_buf a, b; /* thread A's, B's */
static atomic_u32 yours;     /* the half has been handed over */

static void end_closed(uint32_t asleep)
{
	no_sleepers(asleep);
	/* A thread that comes when the socket is closed uses a stale pointer: that is misuse. */
	world_misuses(0, 1);
	if (!world.socket[0].gone)
		schedule_fail("the rings are still mapped");
	world_account(1, 0);
}

static void close_0(void)
{
	sxsk_socket_close(world.socket[0].cookie);
}

static void open_socket(void)
{
	world_reset(3, 1);
	(void)world_open(0, 2);
	a = world_buf();
}

/* ---- close ------------------------------------------------------------------------------------------ */

static void receive_0(void)
{
	struct sxsk_buf got[2];
	unsigned n = sxsk_rx_burst(world.socket[0].cookie, got, 2);

	sxsk_buf_unref_burst(got, n);
}

/* A packet that the kernel has put into frame 0, which was in FILL. */
static void packet_in_rx(void)
{
	struct world_socket *w = &world.socket[0];
	uint64_t address = w->fill.address[w->fill.consumer++ % RING_SIZE];

	w->rx.desc[w->rx.producer++ % RING_SIZE] =
		(struct xdp_desc){ .addr = address + KERNEL_HEADROOM, .len = 64 };
}

static void open_with_packet(void)
{
	world_reset(3, 1);
	(void)world_open(0, 2);
	receive_0(); /* fills FILL */
	packet_in_rx();
	world_thread(0)->direct = NULL;
	a = world_buf();
}

static void send_a(void)
{
	unsigned taken = sxsk_tx_burst(world.socket[0].cookie, &a, 1);

	sxsk_buf_unref_burst(&a + taken, 1 - taken);
}

static void wait_in(unsigned socket)
{
	int events = sxsk_socket_wait(world.socket[socket].cookie, SXSK_WAIT_RX, -1);

	if (events != -ESHUTDOWN && events != -EINVAL && events != SXSK_WAIT_WAKE)
		schedule_fail("the wait ended with %d", events);
}

static void wait_0(void)
{
	wait_in(0);
}

static void wake_0(void)
{
	sxsk_socket_wake(world.socket[0].cookie);
}

static void end_open(uint32_t asleep)
{
	no_sleepers(asleep);
	world_misuses(0, 0);
	world_account(1, 1);
}

/* A received from the socket before: its unrefs go straight to FILL. */
static void direct_a(void)
{
	open_socket();
	receive_0();
	world.socket[0].s->q->fill_target = RING_SIZE;
}

static void unref_a(void)
{
	sxsk_buf_unref(&a);
}

static void unref_b(void)
{
	sxsk_buf_unref(&b);
}

static void look_0(void)
{
	struct sxsk_socket_stats st = { .sz = sizeof(st) };

	sxsk_socket_stats(world.socket[0].cookie, &st);
	(void)!sxsk_socket_fd(world.socket[0].cookie);
}

static void end_looked(uint32_t asleep)
{
	no_sleepers(asleep);
	world_misuses(0, 2);
	if (!world.socket[0].gone)
		schedule_fail("the rings are still mapped");
	world_account(1, 0);
}

/* A receives with its lane, and is in its lane again when close looks. */
static void open_with_lane(void)
{
	open_socket();
	world_lane(0);
}

static void receive_flush_0(void)
{
	receive_0();
	sxsk_lane_flush(world.cookie);
}

/* A is in another socket by the time that close looks. */
static void open_two(void)
{
	open_socket();
	(void)world_open(1, 0);
}

static void receive_0_receive_1(void)
{
	struct sxsk_buf got;

	receive_0();
	(void)!sxsk_rx_burst(world.socket[1].cookie, &got, 1);
}

static void end_one_closed(uint32_t asleep)
{
	no_sleepers(asleep);
	world_misuses(0, 1);
	if (!world.socket[0].gone || world.socket[1].gone)
		schedule_fail("the wrong rings are mapped");
	world_account(1, 1);
}

/* Closed, and at once another socket is in its slot. */
static void close_0_open_1(void)
{
	struct sxsk_priv_socket *s = world.socket[0].s;

	close_0();
	pthread_mutex_lock(&sxsk_priv_registry.lock);
	if (load_acquire(&s->state) == SOCKET_FREE)
		(void)world_open(1, 0);
	pthread_mutex_unlock(&sxsk_priv_registry.lock);
}

/* What was told the one socket's pointer has not closed the other. */
static void end_reopened(uint32_t asleep)
{
	const bool opened = world.socket[1].s != NULL;

	no_sleepers(asleep);
	world_misuses(0, 2);
	if (!world.socket[0].gone || world.socket[1].gone)
		schedule_fail("the wrong rings are mapped");
	if (opened && load_relaxed(&world.socket[1].s->state) != SOCKET_OPEN)
		schedule_fail("the new socket is not open");
	world_account(1, opened);
}

/* B has a Buf of a pool whose last owner goes. */
static bool opened;

static void one_owner(void)
{
	world_reset(3, 1);
	b = world_buf();
	opened = false;
}

static void disown(void)
{
	sxsk_pool_unref(world.cookie);
}

static void take_socket(void)
{
	opened = sxsk_priv_units_take_socket(world.pool, (uint64_t)(uintptr_t)world.cookie);
}

static void end_opened(uint32_t asleep)
{
	const bool orphaned = load_relaxed(&world.pool->attention) & ATTN_ORPHANED;

	no_sleepers(asleep);
	world_misuses(0, 0);
	if (orphaned == opened)
		schedule_fail(opened ? "a socket on an orphan" : "no socket, and no orphan");
	world_account(0, opened);
}

/* ---- one half, two threads ---------------------------------------------------------------------- */

static void hand_over(void)
{
	direct_a();
	store_relaxed(&yours, 0);
}

static void give_half_unref_a(void)
{
	store_release(&yours, 1);
	unref_a();
}

static void take_half_receive(void)
{
	if (load_acquire(&yours))
		receive_0();
}

/* There and back again: B owned it, hands it to A, and gives back a Buf of its own. */
static void both_direct(void)
{
	world_reset(4, 1);
	(void)world_open(0, 2);
	a = world_buf();
	b = world_buf();
	receive_0();
	world_as(1);
	receive_0();
	world_as(0);
	store_relaxed(&yours, 0);
	world.socket[0].s->q->fill_target = RING_SIZE;
}

static void take_half_receive_unref_a(void)
{
	if (load_acquire(&yours))
		receive_0();
	unref_a();
}

static void give_half_unref_b(void)
{
	store_release(&yours, 1);
	unref_b();
}

/* ---- the idle TX half of a thread that waits for packets ----------------------------------------- */

static void complete_all(unsigned socket)
{
	struct world_socket *w = &world.socket[socket];

	for (; w->tx.consumer != w->tx.producer; w->tx.consumer++)
		w->comp.address[w->comp.producer++ % RING_SIZE] =
			w->tx.desc[w->tx.consumer % RING_SIZE].addr;
}

/* A has sent, and the completion has come. */
static void sent(void)
{
	world_reset(2, 1);
	(void)world_open(0, 0);
	a = world_buf();
	if (sxsk_tx_burst(world.socket[0].cookie, &a, 1) != 1)
		schedule_fail("not sent");
	complete_all(0);
	store_relaxed(&yours, 0);
}

static void look_for_packets(void)
{
	int events = sxsk_socket_wait(world.socket[0].cookie, SXSK_WAIT_RX, 0);

	if (events != 0 && events != -ESHUTDOWN && events != -EINVAL && events != SXSK_WAIT_WAKE)
		schedule_fail("the wait ended with %d", events);
}

static void give_half_look(void)
{
	store_release(&yours, 1);
	look_for_packets();
}

static void take_half_reap(void)
{
	if (load_acquire(&yours) && sxsk_tx_burst(world.socket[0].cookie, NULL, 0) != 0)
		schedule_fail("sent what was not there");
}

static void drain(void)
{
	(void)!sxsk_pool_drain(world.cookie, 0);
}

static void give_half_drain(void)
{
	store_release(&yours, 1);
	drain();
}

static void take_half_wait_for_both(void)
{
	if (load_acquire(&yours) &&
	    sxsk_socket_wait(world.socket[0].cookie, SXSK_WAIT_RX | SXSK_WAIT_TX, 0) < 0)
		schedule_fail("the wait failed: %s", sxsk_last_error());
}

/* The one that is closed comes first in a drain, another after it. */
static void sent_on_two(void)
{
	world_reset(3, 1);
	(void)world_open(1, 0);
	(void)world_open(0, 0);
	(void)!sxsk_tx_burst(world.socket[1].cookie, NULL, 0);
	a = world_buf();
	if (sxsk_tx_burst(world.socket[0].cookie, &a, 1) != 1)
		schedule_fail("not sent");
	complete_all(0);
}

static void end_reaped(uint32_t asleep)
{
	end_open(asleep);
	if (load_relaxed(&world.socket[0].s->failed))
		schedule_fail("the socket is poisoned");
	world_as(1);
	(void)!sxsk_tx_burst(world.socket[0].cookie, NULL, 0);
	if (world_count(false, KIND_HOME) != world.pool->count)
		schedule_fail("a frame did not come home");
	world_account(1, 1);
}

/* ---- completions on their way to the FILL ring of another socket ------------------------------------ */

/* A has received from the first, and sent on the second, and the completion has come. */
static void sent_on_another(void)
{
	world_reset(4, 1);
	(void)world_open(0, 2);
	(void)world_open(1, 0);
	a = world_buf();
	receive_0();
	world.socket[0].s->q->fill_target = RING_SIZE;
	if (sxsk_tx_burst(world.socket[1].cookie, &a, 1) != 1)
		schedule_fail("not sent");
	complete_all(1);
	store_relaxed(&yours, 0);
}

static void reap_1(void)
{
	(void)!sxsk_tx_burst(world.socket[1].cookie, NULL, 0);
}

static void give_half_reap_1(void)
{
	store_release(&yours, 1);
	reap_1();
}

static void end_both_open(uint32_t asleep)
{
	no_sleepers(asleep);
	world_misuses(0, 0);
	world_account(1, 2);
}

/* ---- hungry ---------------------------------------------------------------------------------------- */

/* A sleeps for lack of frames; the only one is with B. */
static void one_frame_out(void)
{
	world_reset(1, 1);
	(void)world_open(0, 1);
	world_as(1);
	b = world_buf();
	world_as(0);
}

static void one_frame_out_lane(void)
{
	one_frame_out();
	world_lane(1);
}

static void unref_flush_b(void)
{
	unref_b();
	sxsk_lane_flush(world.cookie);
}

/* A may sleep, since no packet comes; but not while its frame lies in the depot. */
static void end_fed(uint32_t asleep)
{
	struct sxsk_priv_queue *q = world.socket[0].s->q;

	if (asleep != 1)
		schedule_fail("asleep: mask 0x%x", asleep);
	if (q->fill_given == 0)
		schedule_fail("A sleeps without frames, and one has come home");
	world_misuses(0, 0);
	world_account(1, 1);
}

/* Two sleep; one frame comes home, and either may have it. */
static void two_hungry(void)
{
	world_reset(1, 1);
	(void)world_open(0, 1);
	(void)world_open(1, 1);
	world_as(2);
	a = world_buf();
	world_as(0);
}

static void wait_1(void)
{
	wait_in(1);
}

static void end_one_fed(uint32_t asleep)
{
	if (asleep != 3)
		schedule_fail("asleep: mask 0x%x", asleep);
	if (world.socket[0].s->q->fill_given + world.socket[1].s->q->fill_given != 1)
		schedule_fail("both sleep without frames, and there is one");
	world_misuses(0, 0);
	world_account(1, 2);
}

const struct scenario scenarios_socket[] = {
	{ "close-receive",
	  "close waits for a receive with refill, or stops it",
	  open_with_packet,
	  { receive_0, close_0 },
	  end_closed },
	{ "close-send",
	  "close waits for a send, or stops it",
	  open_socket,
	  { send_a, close_0 },
	  end_closed },
	{ "close-direct",
	  "close waits for an unref straight to FILL, or stops it",
	  direct_a,
	  { unref_a, close_0 },
	  end_closed },
	{ "close-lane",
	  "what a thread did in the socket is done, though it is in its lane by now",
	  open_with_lane,
	  { receive_flush_0, close_0 },
	  end_closed },
	{ "close-other",
	  "the same when it is in another socket",
	  open_two,
	  { receive_0_receive_1, close_0 },
	  end_one_closed },
	{ "close-open",
	  "a thread that finds its socket closed and another in its slot is not told of two threads",
	  open_socket,
	  { receive_0, close_0_open_1 },
	  end_reopened },
	{ "close-close",
	  "of two that close one socket, none closes what was opened in its slot meanwhile",
	  open_socket,
	  { close_0, close_0_open_1 },
	  end_reopened },
	{ "open-orphan",
	  "a socket is opened before its pool's last owner goes, or not at all",
	  one_owner,
	  { disown, take_socket },
	  end_opened },
	{ "close-wait", "close ends a wait", open_socket, { wait_0, close_0 }, end_closed },
	{ "wake-wait", "a wake-up ends a wait", open_socket, { wait_0, wake_0 }, end_open },
	{ "hand-over",
	  "the old owner's unref stays out of the new one's FILL ring",
	  hand_over,
	  { give_half_unref_a, take_half_receive },
	  end_open },
	{ "hand-over-back",
	  "the same when the new owner is direct as well",
	  both_direct,
	  { take_half_receive_unref_a, give_half_unref_b },
	  end_open },
	{ "tend-hand-over",
	  "who waits for packets reaps its TX half, unless that is another's by now",
	  sent,
	  { give_half_look, take_half_reap },
	  end_reaped },
	{ "tend-both",
	  "who waits for packets and for room, and has the TX half from one that drains, is alone in it",
	  sent,
	  { give_half_drain, take_half_wait_for_both },
	  end_reaped },
	{ "tend-close",
	  "close waits for that, or stops it",
	  sent,
	  { look_for_packets, close_0 },
	  end_closed },
	{ "tend-drain", "likewise a drain", sent, { drain, close_0 }, end_closed },
	{ "tend-drain-two",
	  "though it is in another socket by now",
	  sent_on_two,
	  { drain, close_0 },
	  end_one_closed },
	{ "reap-close",
	  "close waits for completions on their way to FILL, or stops them",
	  sent_on_another,
	  { reap_1, close_0 },
	  end_one_closed },
	{ "reap-hand-over",
	  "they stay out of the FILL ring when the receiving half is another's by now",
	  sent_on_another,
	  { give_half_reap_1, take_half_receive },
	  end_both_open },
	{ "close-look",
	  "close waits for who looks at counters",
	  open_socket,
	  { look_0, close_0 },
	  end_looked },
	{ "hungry",
	  "a frame that comes home wakes who waits for one",
	  one_frame_out,
	  { wait_0, unref_b },
	  end_fed },
	{ "hungry-lane",
	  "the same by way of a lane",
	  one_frame_out_lane,
	  { wait_0, unref_flush_b },
	  end_fed },
	{ "hungry-two",
	  "two wait, and one frame comes home",
	  two_hungry,
	  { wait_0, wait_1, unref_a },
	  end_one_fed },
	{ .name = NULL },
};
