/* SPDX-License-Identifier: BSD-2-Clause */
#include "common.h"

#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define FINISH_MS 200  /* for each step of an orderly end */
#define REMOVAL_MS 400 /* from an interface's going down to its being gone */

/* ---- options ----------------------------------------------------------------------------------- */

bool wrong(const struct program *p, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fprintf(stderr, "%s: ", p->name);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	return false;
}

bool option_name(struct program *p, const struct option *o, char *text)
{
	(void)p;
	*(const char **)o->value = text;
	return true;
}

bool option_number(struct program *p, const struct option *o, char *text)
{
	char *rest;
	unsigned long long number = strtoull(text, &rest, 10);

	if (!isdigit((unsigned char)*text) || *rest || number < o->min || number > o->max)
		return wrong(p, "%s is '%s': give a number from %u to %u", o->name, text, o->min,
			     o->max);
	*(uint32_t *)o->value = (uint32_t)number;
	return true;
}

bool option_set(struct program *p, const struct option *o, char *text)
{
	uint32_t *value = o->value;

	(void)text;
	if (*value != 0 && *value != o->min)
		return wrong(p, "%s contradicts an option before it: use one of the two", o->name);
	*value = o->min;
	return true;
}

bool option_attach(struct program *p, const struct option *o, char *text)
{
	for (uint32_t attach = SXSK_ATTACH_AUTO; attach <= SXSK_ATTACH_SKB; attach++)
		if (strcmp(text, sxsk_attach_name(attach)) == 0) {
			*(uint32_t *)o->value = attach;
			return true;
		}
	return wrong(p, "%s is '%s': use auto, native or skb", o->name, text);
}

/* The last ":digits" is the queue, since mem:NAME has a colon too. Cuts it off in place. */
bool option_link(struct program *p, const struct option *o, char *text)
{
	char *colon = strrchr(text, ':');
	struct link *link = &p->links[p->link_count];
	const struct option queue = { .name = o->name, .value = &link->queue, .max = 65535 };

	if (p->link_count == MAX_LINKS)
		return wrong(p, "%s: at most %d links", o->name, MAX_LINKS);
	if (colon && colon[1] != '\0' && colon[1 + strspn(colon + 1, "0123456789")] == '\0') {
		*colon = '\0';
		if (!option_number(p, &queue, colon + 1))
			return false;
	}
	link->name = text;
	p->link_count++;
	return true;
}

static void help(const struct program *p, const struct option *o)
{
	printf("usage: %s OPTION...\n", p->name);
	for (; o->name; o++)
		printf("  %-15s %-11s %s\n", o->name, o->argument ? o->argument : "", o->help);
	printf("Exit status: 0 = ended as asked and every frame accounted for, 1 = anything else.\n");
}

static bool parse(struct program *p, const struct option options[], char **argv)
{
	const struct option *o;

	while (*argv) {
		char *name = *argv++;

		for (o = options; o->name && strcmp(o->name, name) != 0; o++)
			;
		if (!o->name)
			return wrong(p, "there is no option '%s': see --help", name);
		if (o->argument && !*argv)
			return wrong(p, "%s needs a value: see --help", name);
		if (!o->parse(p, o, o->argument ? *argv++ : NULL))
			return false;
	}
	/* Names have no defaults. */
	for (o = options; o->name; o++)
		if (o->parse == option_name && !*(const char **)o->value)
			return wrong(p, "which interface? Give %s", o->name);
	return p->link_count > 0 || wrong(p, "which interface? Give %s", options->name);
}

/* ---- pool and sockets -------------------------------------------------------------------------- */

/* All packets of the queue: an interface that these programs run on is theirs. */
static bool open_link(struct program *p, struct link *link)
{
	const struct sxsk_socket_opts opts = {
		.sz = sizeof(opts),
		.steer = SXSK_STEER_ALL,
		.mode = p->mode,
		.attach = p->attach,
		.flags = p->socket_flags | SXSK_SOCKET_MULTI_BUFFER_AUTO,
	};

	link->program = p;
	if (sxsk_socket_open(&link->socket, p->pool, link->name, link->queue, &opts) != 0)
		return false;
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
	bool ok = sxsk_pool_create(&p->pool, &opts) == 0;

	for (unsigned i = 0; i < p->link_count && ok; i++)
		ok = open_link(p, &p->links[i]);
	return ok || wrong(p, "%s", sxsk_last_error());
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

/* An interface that is removed goes down first: is it down, or on its way out? */
static int down_or_removed(struct link *link)
{
	for (int ms = 0; ms < REMOVAL_MS && sxsk_socket_error(link->socket) != -ENXIO; ms += 10)
		(void)usleep(10000);
	return sxsk_socket_error(link->socket) == -ENXIO ? -ENXIO : -ENETDOWN;
}

void link_fail(struct link *link, int error)
{
	link->failed = true;
	atomic_store(&link->program->failed, true);
	if (error == -ENETDOWN)
		error = down_or_removed(link);
	fprintf(stderr, "%s: %s\n", link->name,
		error == -ENXIO    ? "interface removed" :
		error == -ENETDOWN ? "interface is down" :
				     sxsk_last_error());
	(void)kill(getpid(), SIGTERM); /* for the main thread, see watch() */
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

/* A lane makes a thread's unrefs and refills cheap. It is the thread's own: attach it in the thread
 * that works, detach it there. */
static void *run_link(void *arg)
{
	struct link *link = arg;

	if (sxsk_lane_attach(link->program->pool) != 0)
		link_fail(link, -ENOMEM);
	else
		link->program->work(link);
	sxsk_lane_detach(link->program->pool);
	return NULL;
}

static unsigned start_threads(struct program *p)
{
	unsigned i = 0;

	while (i < p->link_count &&
	       pthread_create(&p->links[i].thread, NULL, run_link, &p->links[i]) == 0)
		i += p->links_per_thread;
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

static double now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Until a signal, a thread's too, or the end of the duration: one line a second. */
static void watch(struct program *p, const sigset_t *signals)
{
	const struct timespec second = { .tv_sec = 1 };
	double start = now(), last = start, t = start;

	while ((p->duration == 0 || t < start + p->duration) &&
	       sigtimedwait(signals, NULL, &second) < 0) {
		t = now();
		account_line(p, t - start, t - last);
		last = t;
	}
	p->seconds = now() - start;
}

/* ---- all of it ---------------------------------------------------------------------------------- */

static bool run(struct program *p, const sigset_t *signals)
{
	unsigned started = start_threads(p);
	bool ok = started >= p->link_count || wrong(p, "cannot start a thread");

	if (ok)
		watch(p, signals);
	stop_threads(p, started);
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
			help(p, options);
			return 0;
		}
	p->bufsize = 2048;
	p->bufnum = 65536;
	p->batch_size = 64;
	if (!parse(p, options, argv + 1))
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
