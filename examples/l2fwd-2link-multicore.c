/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * l2fwd-2link-multicore: many cables. Each --pair is one: it forwards every packet, unchanged, from a
 * queue of one interface to a queue of another, and back.
 *
 *   l2fwd-2link-multicore --pair veth0:0=veth1:0@0 --pair veth0:1=veth1:1@1
 *
 * One thread per pair, on the CPU behind the '@', does both directions to the end:
 *
 *      pair 1   A:0 --rx--> worker on CPU 0 --tx--> B:0        (and back)
 *      pair 2   A:1 --rx--> worker on CPU 1 --tx--> B:1        (and back)
 *
 * No packet crosses threads, so the workers share nothing but the pool, and of that only the depot,
 * where a worker goes once in many packets: each has a lane. Interfaces may appear in several pairs,
 * queues in one. Which packets come to which queue is the sender's or the card's choice (RSS; over a
 * veth it is the sender's TX queue), and packets of one queue stay in order.
 *
 * Counters: sxsk_socket_stats() may be called by any thread at any time. It only reads, so that the
 * main thread's line each second costs the workers no more than a cache miss or two.
 */
#include "common.h"

#include <string.h>

/* One of a pair's two ways. */
struct way {
	struct link *from, *to;
	struct sxsk_buf
		bufs[MAX_BATCH]; /* received; bufs[sent] to bufs[n - 1] are still to be sent */
	unsigned n, sent;
};

/* ---- the worker --------------------------------------------------------------------------------- */

/* Receive, if all of the last burst is sent, and send. Returns how many moved. */
static unsigned move(struct way *way)
{
	unsigned got = 0, taken;

	if (way->sent == way->n) {
		way->sent = 0;
		way->n = got = sxsk_rx_burst(way->from->socket, way->bufs, way->from->batch);
		if (got > 0)
			received(way->from, way->bufs[0]);
	}
	/* With nothing to send this still moves on what was taken before. */
	taken = sxsk_tx_burst(way->to->socket, way->bufs + way->sent, way->n - way->sent);
	way->sent += taken;
	return taken + got;
}

/* Sleep until one of the links has packets, but for those that would wait here until others are sent. */
static bool sleep_a_while(struct link links[2], const struct way ways[2])
{
	unsigned events[2];

	for (unsigned i = 0; i < 2; i++)
		events[i] = ways[i].sent < ways[i].n ? SXSK_WAIT_WAKE : SXSK_WAIT_RX;
	for (unsigned i = 0; i < 2; i++)
		if (ways[i].sent < ways[i].n)
			events[1 - i] |= SXSK_WAIT_TX;
	return links_sleep(links, events, 2);
}

/* links[0] and links[1] are the pair's. */
static void forward(struct link *links)
{
	struct way ways[2] = { { .from = &links[0], .to = &links[1] },
			       { .from = &links[1], .to = &links[0] } };
	unsigned idle = 0;

	while (!stopping(links->program)) {
		unsigned moved = move(&ways[0]) + move(&ways[1]);

		idle = moved ? 0 : idle + 1;
		if (idle >= IDLE_LOOKS && !sleep_a_while(links, ways))
			break;
	}
	for (unsigned i = 0; i < 2; i++)
		link_finish(ways[i].to, ways[i].bufs + ways[i].sent, ways[i].n - ways[i].sent);
}

/* ---- options ------------------------------------------------------------------------------------ */

/* A[:Q]=B[:Q][@CPU] */
static bool option_pair(const struct option *o, char *text)
{
	struct program *p = o->value;
	const struct option at = { .name = o->name, .value = &p->links[p->link_count].cpu };
	char *second = strchr(text, '='), *cpu = strrchr(text, '@');

	if (!second)
		return wrong("%s is '%s': give A:Q=B:Q@CPU", o->name, text);
	if (p->link_count + 2 > MAX_LINKS)
		return wrong("%s: at most %d pairs", o->name, MAX_LINKS / 2);
	*second++ = '\0';
	if (cpu)
		*cpu++ = '\0';
	return (!cpu || option_cpu(&at, cpu)) && option_link(o, text) && option_link(o, second);
}

int main(int argc, char **argv)
{
	static struct program program = {
		.name = "l2fwd-2link-multicore",
		.example = "--pair veth0:0=veth1:0@0 --pair veth0:1=veth1:1@1",
		.work = forward,
		.links_per_thread = 2,
	};
	const struct option options[] = {
		{ "--pair", "A:Q=B:Q@CPU",
		  "two interfaces or mem:NAMEs, queues (0), and a CPU (any); may be repeated",
		  option_pair, &program, 0, 0 },
		COMMON_OPTIONS(&program),
	};

	return program_run(&program, options, argc, argv);
}
