/* SPDX-License-Identifier: BSD-2-Clause */
#include "common.h"

#include <errno.h>
#include <safexsk/mem.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#define FINISH_MS 200  /* for each step of an orderly end */
#define REMOVAL_MS 400 /* from an interface's going down to its being gone */
#define BUSY_POLL_US 20
#define PEER_BURST 32 /* packets in a millisecond */
#define LOOK_MS 128   /* a sleeping thread looks at stopping() */

/* ---- pool and sockets -------------------------------------------------------------------------- */

/* All packets of the queue: an interface that these programs run on is theirs. */
static bool open_link(struct program *p, struct link *link)
{
	struct sxsk_socket_opts opts = {
		.sz = sizeof(opts),
		.steer = SXSK_STEER_ALL,
		.mode = p->mode,
		.attach = p->attach,
		.flags = p->socket_flags | SXSK_SOCKET_MULTI_BUFFER_AUTO,
		.busy_poll_us = p->wait == WAIT_BUSY ? BUSY_POLL_US : 0,
	};

	int err;

	link->program = p;
	if (p->before_open && !p->before_open(link, &opts))
		return false;
	err = sxsk_socket_open(&link->socket, p->pool, link->name, link->queue, &opts);
	if (err == -EOPNOTSUPP && opts.metadata) { /* a wish */
		opts.metadata = 0;
		err = sxsk_socket_open(&link->socket, p->pool, link->name, link->queue, &opts);
	}
	if (err)
		return wrong(p, "%s", sxsk_last_error());
	account_look(link);
	link->batch = p->batch_size;
	if (link->stats.multi_buffer && link->batch < SXSK_MAX_FRAGS)
		link->batch = SXSK_MAX_FRAGS; /* one packet may be that long */
	printf("%s: on %s queue %u: %s mode, %s%s\n", p->name, link->name, link->queue,
	       sxsk_mode_name(link->stats.mode), sxsk_attach_name(link->stats.attach),
	       link->stats.multi_buffer ? ", multi-buffer" : "");
	return true;
}

static bool open_all(struct program *p)
{
	const struct sxsk_pool_opts opts = {
		.sz = sizeof(opts),
		.name = p->name,
		.frame_size = p->bufsize,
		.frame_count = p->bufnum,
	};
	bool ok = sxsk_pool_create(&p->pool, &opts) == 0 || wrong(p, "%s", sxsk_last_error());

	for (unsigned i = 0; i < p->link_count && ok; i++)
		ok = open_link(p, &p->links[i]);
	return ok;
}

/* Close takes care of everything that the sockets hold: received packets that nobody took go home,
 * and what the kernel still has is quarantined until it is provably done with it. */
static void close_all(struct program *p)
{
	for (unsigned i = 0; i < p->link_count; i++) {
		if (p->links[i].socket)
			account_look(&p->links[i]);
		sxsk_socket_close(p->links[i].socket);
		p->links[i].socket = NULL;
	}
}

/* ---- threads ------------------------------------------------------------------------------------ */

bool link_fail(struct link *link, int error)
{
	link->failed = true;
	atomic_store(&link->program->failed, true);
	/* An interface that is removed goes down first: is it down, or on its way out? */
	for (int ms = 0; error == -ENETDOWN && ms < REMOVAL_MS; ms += 10) {
		(void)usleep(10000);
		if (sxsk_socket_error(link->socket) == -ENXIO)
			error = -ENXIO;
	}
	fprintf(stderr, "%s: %s\n", link->name,
		error == -ENXIO    ? "interface removed" :
		error == -ENETDOWN ? "interface is down" :
				     sxsk_last_error());
	(void)kill(getpid(), SIGTERM); /* for the main thread, see watch() */
	return false;
}

bool links_sleep(struct link links[], const unsigned events[], unsigned n)
{
	struct program *p = links->program;
	struct sxsk_wait waits[LINKS_PER_THREAD] = { 0 };
	unsigned i;
	int got;

	if (p->wait == WAIT_BUSY)
		return true;
	/* Other threads may need the free frames that would rest in this thread's lane. */
	sxsk_lane_flush(p->pool);
	for (i = 0; i < n; i++)
		waits[i] = (struct sxsk_wait){ .socket = links[i].socket, .events = events[i] };
	if (n == 1 && p->wait == WAIT_EPOLL)
		got = sxsk_socket_wait(links->socket, events[0], LOOK_MS);
	else
		got = sxsk_sockets_wait(waits, n, LOOK_MS);
	if (got >= 0 || got == -EINTR) /* by the end of a stop (Ctrl-Z) */
		return true;
	for (i = 0; i < n - 1 && waits[i].got >= 0;)
		i++;
	return link_fail(&links[i], got);
}

void link_finish(struct link *link, struct sxsk_buf unsent[], unsigned n)
{
	unsigned sent = 0;

	for (int ms = 0; ms < FINISH_MS && sent < n && !link->failed; ms++) {
		sent += sxsk_tx_burst(link->socket, unsent + sent, n - sent);
		if (sent < n && sxsk_socket_wait(link->socket, SXSK_WAIT_TX, 1) < 0)
			break;
	}
	link->unsent += n - sent;
	sxsk_buf_unref_burst(unsent + sent, n - sent);
	/* Drain works on the halves that this thread used. If it times out, some Buf is still out, here
	 * or in another thread: the account will tell. What a failed link has to send stays there. */
	if (!atomic_load(&link->program->failed) &&
	    sxsk_pool_drain(link->program->pool, FINISH_MS) != 0)
		return;
}

void link_send(struct link *link, struct sxsk_buf bufs[], unsigned n)
{
	const unsigned room = SXSK_WAIT_TX;
	unsigned sent = 0;

	do
		sent += sxsk_tx_burst(link->socket, bufs + sent, n - sent);
	while (sent < n && !link->failed && !stopping(link->program) &&
	       links_sleep(link, &room, 1));
	if (sent < n)
		link_finish(link, bufs + sent, n - sent);
}

/* A lane makes a thread's unrefs and refills cheap. It is the thread's own: attach it in the thread
 * that works, detach it there. */
static void *run_link(void *arg)
{
	struct link *link = arg;
	struct program *p = link->program;

	if (sxsk_lane_attach(p->pool) != 0)
		link_fail(link, -ENOMEM);
	else
		p->work(link);
	sxsk_lane_detach(p->pool);
	if (atomic_fetch_sub(&p->working, 1) == 1)
		(void)kill(getpid(), SIGTERM); /* for the main thread, see watch() */
	return NULL;
}

static void pin(pthread_t thread, uint32_t cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu - 1, &set);
	(void)pthread_setaffinity_np(thread, sizeof(set), &set); /* it was allowed */
}

static unsigned start_threads(struct program *p)
{
	unsigned i = 0, cpu = 0;

	p->working = p->link_count / p->links_per_thread;
	for (; i < p->link_count; i += p->links_per_thread) {
		struct link *link = &p->links[i];

		if (pthread_create(&link->thread, NULL, run_link, link) != 0)
			break;
		if (link->cpu || p->cpu_count)
			pin(link->thread, link->cpu ? link->cpu : p->cpus[cpu++ % p->cpu_count]);
	}
	return i;
}

/* Threads may sleep in sxsk_socket_wait(): a wake ends that at once, and is not lost if they do not
 * sleep yet. */
static void stop_threads(struct program *p, unsigned started)
{
	atomic_store(&p->stop, true);
	for (unsigned i = 0; i < started; i += p->links_per_thread)
		sxsk_socket_wake(p->links[i].socket);
	for (unsigned i = 0; i < started; i += p->links_per_thread)
		pthread_join(p->links[i].thread, NULL);
}

/* Who sends on mem: links where nobody else is: the main thread, which comes back every millisecond. */
static struct sxsk_mem_peer *peers[MAX_LINKS]; /* NULL where somebody else is */

static bool open_peers(const struct program *p)
{
	bool any = false;

	for (unsigned i = 0; i < p->link_count; i++)
		any |= strncmp(p->links[i].name, "mem:", 4) == 0 &&
		       sxsk_mem_peer_open(&peers[i], p->links[i].name, p->links[i].queue,
					  (uint16_t)i) == 0;
	return any;
}

static void run_peers(const struct program *p)
{
	for (unsigned i = 0; i < p->link_count; i++)
		(void)sxsk_mem_peer_run(peers[i],
					p->socket_flags & SXSK_SOCKET_NO_RX ? 0 : PEER_BURST);
}

/* Until a signal, a thread's too, or the end of the duration. */
static void watch(struct program *p, const sigset_t *signals)
{
	bool generates = open_peers(p);
	const struct timespec pause = { .tv_sec = !generates, .tv_nsec = generates ? 1000000 : 0 };
	const uint64_t second = 1000000000, start = sxsk_stamp_clock(),
		       end = start + p->duration * second;
	uint64_t shown = start, now = start;

	while ((p->duration == 0 || now < end) && sigtimedwait(signals, NULL, &pause) < 0) {
		now = sxsk_stamp_clock();
		run_peers(p);
		if (now - shown < second)
			continue;
		if (!p->quiet)
			account_show(p, (double)(now - start) * 1e-9, (double)(now - shown) * 1e-9);
		shown = now;
	}
	p->seconds = (double)(sxsk_stamp_clock() - start) * 1e-9;
}

/* ---- all of it ---------------------------------------------------------------------------------- */

static bool run(struct program *p, const sigset_t *signals)
{
	unsigned started = start_threads(p);
	bool ok = started >= p->link_count || wrong(p, "cannot start a thread");

	if (ok)
		watch(p, signals);
	stop_threads(p, started);
	for (unsigned i = 0; i < p->link_count; i++)
		sxsk_mem_peer_close(peers[i]);
	close_all(p);
	return account_close(p) && ok && !atomic_load(&p->failed);
}

int program_run(struct program *p, const struct option options[], int argc, char **argv)
{
	sigset_t signals;
	bool ok;

	setvbuf(stdout, NULL, _IOLBF, 0); /* the live line is live in a pipe too */
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], "--help") == 0) {
			options_help(p, options);
			return 0;
		}
	p->bufsize = 2048;
	p->bufnum = 65536;
	p->batch_size = 64;
	if (!options_parse(p, options, argv + 1) || (p->prepare && !p->prepare(p)))
		return 1;
	/* Blocked here, and so in all threads to come: nobody is interrupted, watch() asks for them. */
	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	(void)pthread_sigmask(SIG_BLOCK, &signals, NULL);

	ok = open_all(p) && run(p, &signals);
	close_all(p);
	sxsk_buf_unref(&p->held);
	sxsk_pool_unref(p->pool);
	return ok ? 0 : 1;
}
