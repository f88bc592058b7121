/* SPDX-License-Identifier: BSD-2-Clause */
/* The second thread of the cases that have two. */
#include "bench.h"
#include "link.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static struct {
	pthread_t thread;
	const struct variant *variant;
	struct world *world;
	int cpu; /* the partner's; -1: any */
	bool sleep;
} partner = { .cpu = -1 };

void partner_place(int cpu, bool sleep)
{
	partner.cpu = cpu;
	partner.sleep = sleep;
}

void link_relax(void)
{
	const struct timespec moment = { .tv_nsec = 20000 };

	/* Not by the C library, where a thread may be cancelled: that is two read-modify-writes. */
	if (partner.sleep)
		syscall(SYS_nanosleep, &moment, NULL);
	else
		__builtin_ia32_pause();
}

struct link *link_new(void)
{
	struct link *l = aligned_alloc(64, sizeof(*l));

	if (!l)
		bench_die("no memory");
	*l = (struct link){ .stop = true };
	return l;
}

void link_free(struct link *l)
{
	free(l);
}

static void *serve(void *arg)
{
	cpu_set_t set;

	(void)arg;
	if (partner.cpu >= 0) {
		CPU_ZERO(&set);
		CPU_SET((unsigned)partner.cpu, &set);
		if (pthread_setaffinity_np(pthread_self(), sizeof(set), &set) != 0)
			bench_die("cannot run on CPU %d", partner.cpu);
	}
	partner.variant->serve(partner.world);
	return NULL;
}

void partner_start(const struct variant *v, struct world *w, unsigned burst)
{
	if (!v->serve)
		return;
	partner.variant = v;
	partner.world = w;
	w->link->burst = burst;
	atomic_store(&w->link->stop, false);
	atomic_store(&w->link->running, false);
	if (pthread_create(&partner.thread, NULL, serve, NULL) != 0)
		bench_die("cannot start a thread");
	while (!atomic_load_explicit(&w->link->running, memory_order_acquire))
		link_relax();
}

void partner_stop(const struct variant *v, struct world *w)
{
	if (!v->serve)
		return;
	atomic_store(&w->link->stop, true);
	pthread_join(partner.thread, NULL);
}
