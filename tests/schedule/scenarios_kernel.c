/* SPDX-License-Identifier: BSD-2-Clause */
/* Frames that the kernel has: flooding and completions, suspects, quarantine. */
#include "scenarios.h"

#include <errno.h>

static struct sxsk_buf a, b, c; /* thread A's, B's, C's */

/* ---- a kernel: takes descriptors, reads the bytes, posts completions ------------------------------- */

static void complete_one(struct world_socket *w)
{
	uint32_t at = w->tx.consumer, to = w->comp.producer;
	uint64_t address;

	if (__atomic_load_n(&w->tx.producer, __ATOMIC_ACQUIRE) == at)
		return;
	address = w->tx.desc[at % RING_SIZE].addr;
	world_kernel(address, false);
	__atomic_store_n(&w->tx.consumer, at + 1, __ATOMIC_RELEASE);
	w->comp.address[to % RING_SIZE] = address;
	__atomic_store_n(&w->comp.producer, to + 1, __ATOMIC_RELEASE);
}

static void kernel_0(void)
{
	complete_one(&world.socket[0]);
}

static void send(unsigned socket, struct sxsk_buf *bufs)
{
	if (sxsk_tx_burst(world.socket[socket].cookie, bufs, 1) != 1)
		schedule_fail("not sent");
}

static void reap(unsigned socket)
{
	if (sxsk_tx_burst(world.socket[socket].cookie, NULL, 0) != 0)
		schedule_fail("something was sent");
}

static struct sxsk_buf another(struct sxsk_buf from)
{
	struct sxsk_buf to = sxsk_buf_ref(from);

	if (sxsk_buf_is_null(to))
		schedule_fail("an owner cannot make a reference");
	return to;
}

/* ---- flooding --------------------------------------------------------------------------------------- */

static void one_frame_two_sockets(void)
{
	world_reset(2, 1);
	(void)world_open(0, 0);
	(void)world_open(1, 0);
	a = world_buf();
	b = another(a);
}

/* As in copy mode: the kernel runs in the sender's call, here right after it. */
static void send_complete_reap_a(void)
{
	send(0, &a);
	complete_one(&world.socket[0]);
	reap(0);
}

static void send_complete_reap_b(void)
{
	send(1, &b);
	complete_one(&world.socket[1]);
	reap(1);
}

static void read_unref_b(void)
{
	(void)world_read(b, false);
	sxsk_buf_unref(&b);
}

static void unref_c(void)
{
	sxsk_buf_unref(&c);
}

static void one_frame_two_sockets_and_a_clone(void)
{
	one_frame_two_sockets();
	c = another(a);
}

static void send_reap_reap_a(void)
{
	send(0, &a);
	reap(0);
	reap(0);
}

/* Take what has come home, and write to it. */
static void take_write_c(void)
{
	if (sxsk_pool_alloc(world.cookie, &c, 1) != 1)
		return;
	world_write(c, 2);
	sxsk_buf_unref(&c);
}

static void sent_once(void)
{
	world_reset(1, 1);
	(void)world_open(0, 0);
	a = world_buf();
	b = another(a);
	send(0, &a);
	complete_one(&world.socket[0]);
}

static void reap_a(void)
{
	reap(0);
	world_as(schedule_thread());
}

static void end_completed(uint32_t asleep)
{
	no_sleepers(asleep);
	world_misuses(0, 0);
	for (unsigned i = 0; i < SOCKETS_MAX; i++) {
		struct world_socket *w = &world.socket[i];

		if (!w->s)
			continue;
		complete_one(w);
		reap(i);
		if (w->s->q->ledger.used || load_relaxed(&w->s->comp_refused))
			schedule_fail("ledger entries %u, refused %llu", w->s->q->ledger.used,
				      (unsigned long long)load_relaxed(&w->s->comp_refused));
	}
	if (world_count(false, KIND_HOME) != world.pool->count)
		schedule_fail("a frame did not come home");
	world_account(1, world.socket[1].s ? 2 : 1);
}

/* ---- a kernel that lies ------------------------------------------------------------------------------- */

/* It says that it received into frame 0, which B holds. */
static void lie(void)
{
	struct world_socket *w = &world.socket[0];

	world_reset(2, 1);
	(void)world_open(0, 1);
	b = world_buf();
	if (sxsk_rx_burst(w->cookie, &a, 1) != 0)
		schedule_fail("received from nowhere");
	w->fill.consumer++;
	w->rx.desc[w->rx.producer++] =
		(struct xdp_desc){ .addr = ((uint64_t)sxsk_buf_index(b) << 11) + 256, .len = 64 };
}

static void receive_nothing(void)
{
	if (sxsk_rx_burst(world.socket[0].cookie, &a, 1) != 0)
		schedule_fail("received what B holds");
}

/* Whichever was first, the depot is sound. The frame that the lie was told for stays with the kernel. */
static void end_lied(uint32_t asleep)
{
	unsigned quarantined;

	no_sleepers(asleep);
	world_misuses(0, 0);
	if (load_relaxed(&world.socket[0].s->rx_refused) != 1)
		schedule_fail("the lie was not noticed");
	quarantined = world_count(false, KIND_QUARANTINED);
	if (world_count(true, KIND_USER_SUSPECT) || quarantined > 1)
		schedule_fail("still suspect");
	world.socket[0].fill.consumer--; /* it is FILL's in our books */
	world_account(1, 1);
}

/* ---- quarantine ------------------------------------------------------------------------------------------ */

/* Sent by A's socket, not completed, and a clone with B. */
static void in_flight(void)
{
	world_reset(2, 1);
	(void)world_open(0, 0);
	a = world_buf();
	b = another(a);
	send(0, &a);
}

static void close_0(void)
{
	sxsk_socket_close(world.socket[0].cookie);
}

static void end_quarantined(uint32_t asleep)
{
	no_sleepers(asleep);
	world_misuses(0, 0);
	if (world_count(false, KIND_QUARANTINED) != 1)
		schedule_fail("the frame in flight is not in quarantine");
	world_account(1, 0);
	world.device_gone = true;
	sxsk_priv_quarantine_sweep();
	if (world_count(false, KIND_HOME) != world.pool->count)
		schedule_fail("the quarantine does not end");
	world_account(1, 0);
}

/* Its socket is closed: the frame that B holds is a suspect. */
static void suspect(void)
{
	in_flight();
	close_0();
	world.device_gone = true;
}

/* The frame is in quarantine. */
static void quarantined(void)
{
	suspect();
	sxsk_buf_unref(&b);
}

static void sweep(void)
{
	sxsk_priv_quarantine_sweep();
}

static void end_released(uint32_t asleep)
{
	no_sleepers(asleep);
	world_misuses(0, 0);
	if (world_count(false, KIND_HOME) != world.pool->count)
		schedule_fail("a frame did not come home");
	world_account(1, 0);
}

static void pool_unref(void)
{
	sxsk_pool_unref(world.cookie);
}

static void end_dead(uint32_t asleep)
{
	no_sleepers(asleep);
	world_misuses(0, 0);
	world_dead();
}

const struct scenario scenarios_kernel[] = {
	{ "flood",
	  "one frame on two sockets: home once, after both completions",
	  one_frame_two_sockets,
	  { send_complete_reap_a, send_complete_reap_b },
	  end_completed },
	{ "flood-unref",
	  "and a third reference given back",
	  one_frame_two_sockets_and_a_clone,
	  { send_complete_reap_a, send_complete_reap_b, unref_c },
	  end_completed },
	{ "flood-kernel",
	  "the kernel takes and completes when it likes",
	  one_frame_two_sockets,
	  { send_reap_reap_a, read_unref_b, kernel_0 },
	  end_completed },
	{ "complete-unref",
	  "a completion and the last reference: home once, and not before",
	  sent_once,
	  { reap_a, read_unref_b, take_write_c },
	  end_completed },
	{ "lie-unref",
	  "a lie about a frame that its holder gives back",
	  lie,
	  { receive_nothing, read_unref_b },
	  end_lied },
	{ "close-in-flight",
	  "a transmission is given up while a reference goes",
	  in_flight,
	  { close_0, read_unref_b },
	  end_quarantined },
	{ "release-unref",
	  "the quarantine ends while a suspect's last reference goes",
	  suspect,
	  { sweep, read_unref_b },
	  end_released },
	{ "release-death",
	  "the quarantine ends while the pool dies",
	  quarantined,
	  { sweep, pool_unref },
	  end_dead },
	{ "release-unref-death",
	  "the same with a suspect's last reference",
	  suspect,
	  { sweep, read_unref_b, pool_unref },
	  end_dead },
	{ .name = NULL },
};
