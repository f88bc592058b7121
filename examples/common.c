/* SPDX-License-Identifier: BSD-2-Clause */
#include "common.h"

#include <errno.h>
#include <inttypes.h>
#include <safexsk/mem.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#define FINISH_MS 200  /* for each step of an orderly end */
#define REMOVAL_MS 600 /* from an interface's going down to its being gone */
#define LOOK_MS 128    /* a sleeping thread looks at stopping() */
#define PEER_BURST 32  /* packets in a millisecond */
#define SECOND 1000000000

/* All packets of the queue: an interface that these programs run on is theirs. */
static bool open_link(struct program *p, struct link *link)
{
	struct sxsk_socket_opts opts = { .sz = sizeof(opts),
					 .steer = SXSK_STEER_ALL,
					 .mode = p->mode,
					 .attach = p->attach,
					 .flags = p->socket_flags | SXSK_SOCKET_MULTI_BUFFER_AUTO,
					 .busy_poll_us = p->wait == WAIT_BUSY ? 20 : 0 };
	struct sxsk_socket_stats *s = &link->stats;
	int err;

	link->program = p;
	if (p->before_open && !p->before_open(link, &opts))
		return false;
	while ((err = sxsk_socket_open(&link->socket, p->pool, link->name, link->queue, &opts)) !=
		       0 &&
	       opts.metadata)
		opts.metadata = 0; /* it was a wish */
	if (err)
		return wrong("%s", sxsk_last_error());
	s->sz = sizeof(*s);
	sxsk_socket_stats(link->socket, s);
	link->batch = p->batch_size;
	if (s->multi_buffer && link->batch < SXSK_MAX_FRAGS)
		link->batch = SXSK_MAX_FRAGS; /* one packet may be that long */
	printf("%s: on %s queue %u: %s mode, %s%s\n", p->name, link->name, link->queue,
	       sxsk_mode_name(s->mode), sxsk_attach_name(s->attach),
	       s->multi_buffer ? ", multi-buffer" : "");
	return sxsk_monitor_add(p->monitor, link->socket, &link->bursts, link->batch) == 0 ||
	       wrong("%s", sxsk_last_error());
}

static bool open_all(struct program *p)
{
	const struct sxsk_pool_opts opts = { .sz = sizeof(opts),
					     .name = p->name,
					     .frame_size = p->bufsize,
					     .frame_count = p->bufnum };

	if (sxsk_pool_create(&p->pool, &opts) != 0 ||
	    sxsk_monitor_create(&p->monitor, p->name, p->pool) != 0)
		return wrong("%s", sxsk_last_error());
	for (unsigned i = 0; i < p->link_count; i++)
		if (!open_link(p, &p->links[i]))
			return false;
	return true;
}

/* Close takes care of everything that the sockets hold: received packets that nobody took go home,
 * and what the kernel still has is quarantined until it is provably done with it. */
static void close_all(struct program *p)
{
	sxsk_monitor_destroy(p->monitor);
	for (struct link *link = p->links; link < p->links + p->link_count; link++) {
		sxsk_mem_peer_close(link->peer);
		if (link->socket)
			sxsk_socket_stats(link->socket, &link->stats);
		sxsk_socket_close(link->socket);
	}
}

bool stopping(const struct program *p)
{
	return atomic_load_explicit(&p->stop, memory_order_relaxed) ||
	       atomic_load_explicit(&p->failed, memory_order_relaxed);
}

void received(struct link *link, struct sxsk_buf first)
{
	struct program *p = link->program;

	/* Relaxed: this thread alone writes it, and a table that people read needs no order. */
	__atomic_store_n(&link->bursts, link->bursts + 1, __ATOMIC_RELAXED);
	if (p->hold_one && link == p->links && sxsk_buf_is_null(p->held))
		p->held = sxsk_buf_ref(first);
}

bool link_fail(struct link *link)
{
	/* An interface that is removed goes down first: is it down, or on its way out? */
	for (int ms = 0; ms < REMOVAL_MS && sxsk_socket_error(link->socket) == -ENETDOWN; ms += 10)
		(void)usleep(10000);
	fprintf(stderr, "%s\n", sxsk_last_error());
	link->failed = true;
	atomic_store(&link->program->failed, true);
	(void)kill(getpid(), SIGTERM); /* for the main thread, see watch() */
	return false;
}

bool links_sleep(struct link links[], const unsigned events[], unsigned n)
{
	struct program *p = links->program;
	struct sxsk_wait waits[LINKS_PER_THREAD] = { 0 };
	static _Thread_local uint64_t next_look; /* at whether the link is there, when busy */
	unsigned i;
	int got;

	if (p->wait == WAIT_BUSY && sxsk_stamp_clock() < next_look)
		return true;
	next_look = sxsk_stamp_clock() + LOOK_MS * (SECOND / 1000);
	/* Other threads may need the free frames that would rest in this thread's lane. */
	sxsk_lane_flush(p->pool);
	for (i = 0; i < n; i++)
		waits[i] = (struct sxsk_wait){ .socket = links[i].socket, .events = events[i] };
	if (n == 1 && p->wait == WAIT_EPOLL)
		got = sxsk_socket_wait(links->socket, events[0], LOOK_MS);
	else
		got = sxsk_sockets_wait(waits, n, p->wait == WAIT_BUSY ? 0 : LOOK_MS);
	if (got >= 0 || got == -EINTR) /* by the end of a stop (Ctrl-Z) */
		return true;
	for (i = 0; i < n - 1 && waits[i].got >= 0;)
		i++;
	return link_fail(&links[i]);
}

void link_send(struct link *link, struct sxsk_buf bufs[], unsigned n)
{
	const unsigned room = SXSK_WAIT_TX;
	unsigned sent = 0;

	do
		sent += sxsk_tx_burst(link->socket, bufs + sent, n - sent);
	while (sent < n && !stopping(link->program) && links_sleep(link, &room, 1));
	if (sent < n)
		link_finish(link, bufs + sent, n - sent);
}

void link_finish(struct link *link, struct sxsk_buf unsent[], unsigned n)
{
	unsigned sent = 0;

	for (int ms = 0; ms < FINISH_MS && sent < n && !link->failed; ms++) {
		sent += sxsk_tx_burst(link->socket, unsent + sent, n - sent);
		if (sent < n && sxsk_socket_wait(link->socket, SXSK_WAIT_TX, 1) < 0)
			break;
	}
	for (unsigned i = sent; i < n; i++)
		link->unsent += sxsk_buf_is_last(unsent[i]);
	sxsk_buf_unref_burst(unsent + sent, n - sent);
	/* Drain works on the halves that this thread used. If it times out, some Buf is still out, here
	 * or in another thread: the account will tell. What a failed link has to send stays there. */
	if (!atomic_load(&link->program->failed))
		(void)!sxsk_pool_drain(link->program->pool, FINISH_MS);
}

void pin_thread(const struct program *p, unsigned number, uint32_t cpu)
{
	cpu_set_t set;

	if (!cpu && !p->cpu_count)
		return;
	CPU_ZERO(&set);
	CPU_SET((cpu ? cpu : p->cpus[number % p->cpu_count]) - 1, &set);
	(void)sched_setaffinity(0, sizeof(set), &set); /* it was allowed */
}

/* A lane makes a thread's unrefs and refills cheap. It is the thread's own: attach it in the thread
 * that works, detach it there. */
static void *run_link(void *arg)
{
	struct link *link = arg;
	struct program *p = link->program;

	pin_thread(p, (unsigned)(link - p->links) / p->links_per_thread, link->cpu);
	if (sxsk_lane_attach(p->pool) != 0)
		link_fail(link);
	p->work(link); /* ends at once if that failed: others may wait for its last words */
	sxsk_lane_detach(p->pool);
	if (atomic_fetch_sub(&p->working, 1) == 1)
		(void)kill(getpid(), SIGTERM); /* for the main thread, see watch() */
	return NULL;
}

static unsigned start_threads(struct program *p)
{
	unsigned i = 0;

	p->begun = (double)sxsk_stamp_clock() * 1e-9;
	p->working = p->link_count / p->links_per_thread;
	for (; i < p->link_count; i += p->links_per_thread)
		if (pthread_create(&p->links[i].thread, NULL, run_link, &p->links[i]) != 0)
			break;
	p->failed |= i < p->link_count && !wrong("cannot start a thread");
	for (unsigned k = i; k < p->link_count; k += p->links_per_thread)
		run_link(&p->links[k]); /* likewise */
	return i;
}

/* Threads may sleep: a wake ends that at once, and is not lost if they do not sleep yet. */
static void stop_threads(struct program *p, unsigned started)
{
	atomic_store(&p->stop, true);
	for (unsigned i = 0; i < started; i += p->links_per_thread)
		sxsk_socket_wake(p->links[i].socket);
	for (unsigned i = 0; i < started; i += p->links_per_thread)
		pthread_join(p->links[i].thread, NULL);
	p->seconds = (double)sxsk_stamp_clock() * 1e-9 - p->begun;
}

/* Until a signal, a thread's too, or the end of the duration. Peers are run each millisecond. */
static void watch(struct program *p, const sigset_t *signals)
{
	struct link *const end = p->links + p->link_count;
	uint64_t now = sxsk_stamp_clock(), shown = now, most = now + (uint64_t)p->duration * SECOND;
	struct timespec pause = { .tv_sec = 1 };

	for (struct link *link = p->links; link < end; link++)
		if (sxsk_mem_peer_open(&link->peer, link->name, link->queue, 0) == 0)
			pause = (struct timespec){ .tv_nsec = 1000000 };
	while ((!p->duration || now < most) && !ferror(stdout) &&
	       sigtimedwait(signals, NULL, &pause) < 0) {
		now = sxsk_stamp_clock();
		for (struct link *link = p->links; link < end; link++)
			(void)sxsk_mem_peer_run(
				link->peer, p->socket_flags & SXSK_SOCKET_NO_RX ? 0 : PEER_BURST);
		if (now - shown < SECOND || p->quiet)
			continue;
		sxsk_monitor_show(p->monitor, stdout);
		shown = now;
	}
}

static void print_link(const struct program *p, const struct link *link)
{
	const struct sxsk_socket_stats *s = &link->stats;

	printf("%s queue %u, %s mode, %s: received %" PRIu64 ", sent %" PRIu64 ", unsent %" PRIu64
	       ", dropped %" PRIu64 "\n",
	       link->name, link->queue, sxsk_mode_name(s->mode), sxsk_attach_name(s->attach),
	       s->rx_packets, s->tx_packets, link->unsent, sxsk_socket_drops(s));
	sxsk_socket_stats_print(s, SXSK_PRINT_TEXT, stdout);
	if (p->account)
		p->account(link, false);
}

static void print_json(const struct program *p, bool all)
{
	struct sxsk_pool_stats frames = { .sz = sizeof(frames) };

	printf("{\"program\": \"%s\", \"seconds\": %.3f, \"links\": [", p->name, p->seconds);
	for (const struct link *link = p->links; link < p->links + p->link_count; link++) {
		printf(link == p->links ? "{" : ", {");
		sxsk_socket_stats_print(&link->stats, SXSK_PRINT_JSON, stdout);
		printf(", \"unsent\": %" PRIu64 ", \"bursts\": %" PRIu64, link->unsent,
		       link->bursts);
		if (p->account)
			p->account(link, true);
		printf("}");
	}
	printf("], \"frames\": {");
	sxsk_pool_stats(p->pool, &frames);
	sxsk_pool_stats_print(&frames, SXSK_PRINT_JSON, stdout);
	printf("}, \"accounted\": %s}\n", all ? "true" : "false");
}

/* Where every packet and frame went. Returns whether all frames are accounted for. */
static bool account(const struct program *p)
{
	bool all;

	printf("%s: %.3f s\n", p->name, p->seconds);
	for (unsigned i = 0; i < p->link_count; i++)
		print_link(p, &p->links[i]);
	all = sxsk_pool_settle(p->pool, 1000, stdout) == 0;
	if (p->json)
		print_json(p, all);
	return all;
}

int program_run(struct program *p, const struct option options[], int argc, char **argv)
{
	static const int ends[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
	sigset_t signals;
	bool opened, ok;

	(void)argc;
	setvbuf(stdout, NULL, _IOLBF, 0); /* the live line is live in a pipe too */
	p->bufsize = 2048;
	p->bufnum = 65536;
	p->batch_size = 64;
	if (!options_parse(p, options, argv + 1) || (p->prepare && !p->prepare(p)))
		return 1;
	/* Blocked here, and so in all threads to come: nobody is interrupted, watch() asks for them. */
	sigemptyset(&signals);
	for (unsigned i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		if (i < 2 || signal(ends[i], SIG_IGN) != SIG_IGN) /* nohup's stay away */
			sigaddset(&signals, ends[i]);
	(void)pthread_sigmask(SIG_BLOCK, &signals, NULL);
	(void)signal(SIGPIPE, SIG_IGN); /* who reads our lines may go: ferror() tells */

	opened = open_all(p);
	if (opened) {
		const unsigned started = start_threads(p);

		watch(p, &signals);
		stop_threads(p, started);
	}
	close_all(p);
	ok = opened && account(p) && !p->failed;
	if (fflush(stdout) != 0 || ferror(stdout))
		ok = wrong("cannot write all of this: is there room, or somebody who reads?");
	sxsk_buf_unref(&p->held);
	sxsk_pool_unref(p->pool);
	return ok ? 0 : 1;
}
