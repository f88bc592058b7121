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

#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

/* One of a pair's two ways. */
struct way {
	struct link *from, *to;
	struct sxsk_buf
		bufs[MAX_BATCH]; /* received; bufs[sent] to bufs[n - 1] are still to be sent */
	unsigned n, sent;
};

/* Each pair's CPU; -1: wherever the scheduler likes. */
static int cpus[MAX_LINKS / 2];

/* ---- the worker --------------------------------------------------------------------------------- */

/* Receive, if all of the last burst is sent, and send. Returns how many moved. */
static unsigned move(struct way *way)
{
	unsigned got = 0, taken;

	if (way->sent == way->n) {
		way->sent = 0;
		way->n = got = sxsk_rx_burst(way->from->socket, way->bufs, way->from->batch);
		if (got > 0)
			hold_one(way->from, way->bufs[0]);
	}
	/* With nothing to send this still moves on what was taken before. */
	taken = sxsk_tx_burst(way->to->socket, way->bufs + way->sent, way->n - way->sent);
	way->sent += taken;
	return taken + got;
}

/* Does the kernel still have packets of this link to send? No event tells when it has sent them. */
static bool sending(struct link *link)
{
	struct sxsk_socket_stats stats = { .sz = sizeof(stats) };

	sxsk_socket_stats(link->socket, &stats);
	return stats.tx_packets != stats.tx_completed;
}

/* Two sockets cannot be waited for in one sxsk_socket_wait(). With a poll of one's own, it is called
 * with time-out 0 before each sleep, which arms the socket's descriptor, and after each wake, which
 * this is too: the caller comes here again, unless packets move. Returns the link that has failed. */
static struct link *sleep_a_while(struct way ways[2], int *ret_error)
{
	struct pollfd fds[2];
	int ms = SLEEP_MS;

	/* The other workers may need the free frames that would rest in this thread's lane. */
	sxsk_lane_flush(ways[0].from->program->pool);
	for (unsigned i = 0; i < 2; i++) {
		struct link *link = ways[i].from;
		int got = sxsk_socket_wait(link->socket, SXSK_WAIT_RX, 0);

		/* Packets that wait here until those before them are sent are no reason to stay up. */
		if (got > 0 && ways[i].sent == ways[i].n)
			return NULL;
		*ret_error = got;
		if (got < 0)
			return link;
		if (ways[i].sent < ways[i].n || sending(link))
			ms = 1;
		fds[i] = (struct pollfd){ .fd = sxsk_socket_fd(link->socket), .events = POLLIN };
	}
	(void)poll(fds, 2, ms);
	return NULL;
}

/* links[0] and links[1] are the pair's. */
static void forward(struct link *links)
{
	struct program *program = links->program;
	int cpu = cpus[(links - program->links) / 2], error = 0;
	struct way ways[2] = { { .from = &links[0], .to = &links[1] },
			       { .from = &links[1], .to = &links[0] } };
	struct link *failed = NULL;
	unsigned idle = 0;
	cpu_set_t set;

	CPU_ZERO(&set);
	if (cpu >= 0) {
		CPU_SET((size_t)cpu, &set);
		(void)pthread_setaffinity_np(pthread_self(), sizeof(set),
					     &set); /* it was allowed */
	}
	while (!stopping(program) && !failed) {
		unsigned moved = move(&ways[0]) + move(&ways[1]);

		idle = moved ? 0 : idle + 1;
		if (idle >= IDLE_LOOKS)
			failed = sleep_a_while(ways, &error);
	}
	if (failed)
		link_fail(failed, error);
	for (unsigned i = 0; i < 2; i++)
		link_finish(ways[i].to, ways[i].bufs + ways[i].sent, ways[i].n - ways[i].sent);
}

/* ---- options ------------------------------------------------------------------------------------ */

/* "@CPU" at the end: cuts it off, and leaves -1 where there is none. */
static bool parse_cpu(struct program *p, const struct option *o, char *text, int *ret_cpu)
{
	char *at = strrchr(text, '@'), *rest;
	unsigned long cpu;
	cpu_set_t allowed;

	*ret_cpu = -1;
	if (!at)
		return true;
	cpu = strtoul(at + 1, &rest, 10);
	if (!isdigit((unsigned char)at[1]) || *rest != '\0')
		return wrong(p, "%s: '%s' is no CPU: give its number", o->name, at + 1);
	if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0 || cpu >= CPU_SETSIZE ||
	    !CPU_ISSET(cpu, &allowed))
		return wrong(p, "%s: CPU %lu is not there, or not for this process", o->name, cpu);
	*at = '\0';
	*ret_cpu = (int)cpu;
	return true;
}

/* A[:Q]=B[:Q][@CPU] */
static bool option_pair(struct program *p, const struct option *o, char *text)
{
	char *second = strchr(text, '=');

	if (!second)
		return wrong(p, "%s is '%s': give A:Q=B:Q@CPU", o->name, text);
	*second++ = '\0';
	return p->link_count + 2 > MAX_LINKS ?
		       wrong(p, "%s: at most %d pairs", o->name, MAX_LINKS / 2) :
		       parse_cpu(p, o, second, &cpus[p->link_count / 2]) &&
			       option_link(p, o, text) && option_link(p, o, second);
}

int main(int argc, char **argv)
{
	static struct program program = {
		.name = "l2fwd-2link-multicore",
		.work = forward,
		.links_per_thread = 2,
	};
	const struct option options[] = {
		{ "--pair", "A:Q=B:Q@CPU",
		  "two interfaces or mem:NAMEs, queues (0), and a CPU (any); may be repeated",
		  option_pair, NULL, 0, 0 },
		COMMON_OPTIONS(&program),
	};

	return program_run(&program, options, argc, argv);
}
