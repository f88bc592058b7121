/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * l2fwd-2link: forward every packet, unchanged, from each of two links to the other: a cable.
 *
 *   l2fwd-2link --link1-name veth0 --link2-name veth1
 *
 * One thread per link. It receives from its link and hands the Bufs to the other thread, and sends on
 * its link what the other thread has received:
 *
 *      link 1 --rx--> thread 1 ==handover==> thread 2 --tx--> link 2
 *      link 1 <--tx-- thread 1 <==handover== thread 2 <--rx-- link 2
 *
 * Both sockets share one pool, so a frame that the kernel filled on one link is sent on the other
 * without a copy, and comes home there. A hand-over queue that is full holds its receiver back: the
 * kernel's ring fills up and the kernel drops, and counts, what the links cannot carry.
 */
#include "common.h"

#include <safexsk/handover.h>
#include <sched.h>

#define HANDOVER_SIZE 1024 /* Bufs */

struct side {
	struct link *link;
	struct side *other;
	struct sxsk_handover out; /* received by this side's thread, to be sent by the other's */
	struct sxsk_buf out_bufs[HANDOVER_SIZE];
	atomic_bool sleeps;   /* in sxsk_socket_wait(), or about to: wake it for news */
	atomic_bool receives; /* something may still be pushed to `out` */
	/* What this side's thread has taken over and not sent yet: tx[sent] to tx[n - 1]. */
	struct sxsk_buf tx[MAX_BATCH];
	unsigned n, sent;
};

static struct side sides[2];

/* There is news in a queue for the other thread. A system call, so only if it sleeps. The fences, here
 * and in sleep_a_while(), see to it that either this thread sees `sleeps` or the other sees the news. */
static void tell(struct side *other)
{
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load_explicit(&other->sleeps, memory_order_relaxed) &&
	    atomic_exchange(&other->sleeps, false))
		sxsk_socket_wake(other->link->socket);
}

/* How many Bufs may be received; none where the longest packet might not find room. */
static unsigned room_for(struct side *side)
{
	unsigned longest = side->link->stats.multi_buffer ? SXSK_MAX_FRAGS : 1,
		 room = sxsk_handover_room(&side->out, longest), batch = side->link->batch;

	return room < batch ? room : batch;
}

/* Receive no more than the hand-over queue has room for. Returns how many. */
static unsigned receive(struct side *side)
{
	struct sxsk_buf bufs[MAX_BATCH];
	unsigned n = room_for(side), pushed;

	if (n > 0)
		n = sxsk_rx_burst(side->link->socket, bufs, n);
	if (n == 0)
		return 0;
	received(side->link, bufs[0]);
	pushed = sxsk_handover_push(&side->out, bufs, n); /* all: there is room */
	sxsk_buf_unref_burst(bufs + pushed, n - pushed);
	tell(side->other);
	return n;
}

/* Send what the other thread has received. Returns how many were sent, or taken over. */
static unsigned send(struct side *side)
{
	unsigned taken, fresh = 0;

	if (side->sent == side->n) {
		side->sent = 0;
		side->n = sxsk_handover_pop(&side->other->out, side->tx, side->other->link->batch);
		fresh = side->n;
	}
	if (fresh)
		tell(side->other); /* it may wait for room */
	/* With nothing to send this still moves on what was taken before. */
	taken = sxsk_tx_burst(side->link->socket, side->tx + side->sent, side->n - side->sent);
	side->sent += taken;
	return taken + fresh;
}

/* Sleep until there is something to do. False: the link has failed. */
static bool sleep_a_while(struct side *side)
{
	unsigned events = SXSK_WAIT_WAKE;
	bool ok = true;

	atomic_store_explicit(&side->sleeps, true, memory_order_relaxed);
	atomic_thread_fence(memory_order_seq_cst);
	/* Look again, now that the other thread can see that it has to wake this one. */
	if (room_for(side) > 0)
		events |= SXSK_WAIT_RX;
	if (send(side) == 0) {
		if (side->sent < side->n)
			events |= SXSK_WAIT_TX;
		ok = links_sleep(side->link, &events, 1);
	}
	atomic_store_explicit(&side->sleeps, false, memory_order_relaxed);
	return ok;
}

/* Receive no more, but send what the other thread still hands over, until it has ended too. */
static void finish(struct side *side)
{
	struct side *other = side->other;
	bool more;

	atomic_store(&side->receives, false);
	tell(other);
	do {
		more = atomic_load(&other->receives);
		while (!side->link->failed && send(side) > 0)
			;
		if (more && (side->link->failed || !sleep_a_while(side)))
			sched_yield(); /* nothing can be sent, but the last Bufs are still to come */
	} while (more);
	/* What could not be sent, here and in the queue, is given back and counted. */
	do {
		link_finish(side->link, side->tx + side->sent, side->n - side->sent);
		side->sent = 0;
		side->n = sxsk_handover_pop(&other->out, side->tx, MAX_BATCH);
	} while (side->n > 0);
}

static void forward(struct link *link)
{
	struct program *program = link->program;
	struct side *side = &sides[link - program->links];
	unsigned idle = 0;

	while (!stopping(program)) {
		unsigned done = receive(side) + send(side);

		idle = done ? 0 : idle + 1;
		if (idle >= IDLE_LOOKS && !sleep_a_while(side))
			break;
	}
	finish(side);
}

int main(int argc, char **argv)
{
	struct program program = {
		.name = "l2fwd-2link",
		.example = "--link1-name veth0 --link2-name veth1",
		.work = forward,
		.links_per_thread = 1,
		.link_count = 2,
	};
	struct link *one = &program.links[0], *two = &program.links[1];
	const struct option options[] = {
		{ "--link1-name", "IF", "interface, or mem:NAME", option_text, &one->name, 1, 0 },
		{ "--link1-channel", "Q", "its queue (0)", option_number, &one->queue, 0, 65535 },
		{ "--link2-name", "IF", "the other interface", option_text, &two->name, 1, 0 },
		{ "--link2-channel", "Q", "its queue (0)", option_number, &two->queue, 0, 65535 },
		COMMON_OPTIONS(&program),
	};

	for (unsigned i = 0; i < 2; i++) {
		sides[i].link = &program.links[i];
		sides[i].other = &sides[1 - i];
		atomic_init(&sides[i].receives, true);
		if (sxsk_handover_init(&sides[i].out, sides[i].out_bufs, HANDOVER_SIZE) != 0)
			return 1;
	}
	return program_run(&program, options, argc, argv);
}
