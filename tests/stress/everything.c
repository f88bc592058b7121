/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Four threads that do whatever the library allows, by dice, to the same few objects: Bufs made, cloned,
 * read, mailed to each other, sent on several sockets at once, received; halves used by one thread after
 * another; sockets closed while the others are inside, and opened again; lanes attached, flushed and
 * left behind at a thread's exit; pools that die while their Bufs are with others. What is read is what
 * was written, the only misuse is a socket's pointer that has just become stale, and at the end every
 * frame is accounted for.
 */
#include "stress.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#define WORKERS 4u
#define FRAMES 1024u
#define OWN 64u     /* Bufs that a worker holds */
#define MAIL 32u    /* and has been sent */
#define LIFE 200000 /* operations of a thread, then another takes its place */

struct item {
	struct sxsk_buf b;
	uint64_t number;
	uint32_t skip;
};

/* One end of a cable. A half is used under its lock; a close takes none of the two. */
struct end {
	pthread_mutex_t rx, tx, change;
	_Atomic(struct sxsk_socket *) socket;
	char name[32];
	uint32_t queue;
};

struct worker {
	pthread_mutex_t lock;
	struct item mail[MAIL];
	unsigned mails;
	unsigned index;
	uint64_t dice;
	pthread_t thread;
};

static struct sxsk_pool *pool;
static struct end ends[WORKERS];
static struct worker workers[WORKERS];
static _Atomic(uint64_t) done, numbers;
static _Atomic(uint64_t) closes, pools, received, lives;
static uint64_t wanted = 3000000;
static double stop_at;

static void on_misuse(const struct sxsk_misuse *m, void *arg)
{
	(void)arg;
	if (m->kind == SXSK_MISUSE_CLOSED)
		return; /* closed between our look at the pointer and the call */
	(void)fprintf(stderr, "misuse: %s: %s\n", m->function, m->what);
	abort();
}

static void count(uint64_t n)
{
	atomic_fetch_add_explicit(&done, n, memory_order_relaxed);
}

static uint64_t new_number(void)
{
	return atomic_fetch_add_explicit(&numbers, 1, memory_order_relaxed);
}

/* ---- Bufs ----------------------------------------------------------------------------------------- */

struct own {
	struct item item[OWN];
	unsigned n;
	bool lane;
};

static struct item take_own(struct worker *w, struct own *own)
{
	unsigned i = dice(&w->dice, own->n);
	struct item item = own->item[i];

	own->item[i] = own->item[--own->n];
	return item;
}

static void alloc(struct worker *w, struct own *own)
{
	struct sxsk_buf bufs[16];
	unsigned want = 1 + dice(&w->dice, 16), n;

	want = want < OWN - own->n ? want : OWN - own->n;
	n = sxsk_pool_alloc(pool, bufs, want);
	for (unsigned i = 0; i < n; i++) {
		struct item item = { .b = bufs[i], .number = new_number() };

		packet_write(&item.b, item.number);
		own->item[own->n++] = item;
	}
	count(n);
}

static void look(struct worker *w, struct own *own)
{
	for (unsigned i = 0; i < 8 && own->n > 0; i++) {
		struct item item = own->item[dice(&w->dice, own->n)];

		packet_check(item.b, item.number, item.skip);
		count(1);
	}
}

static void clone_own(struct worker *w, struct own *own)
{
	for (unsigned i = 0; i < 8 && own->n > 0 && own->n < OWN; i++) {
		struct item item = own->item[dice(&w->dice, own->n)];

		item.b = sxsk_buf_ref(item.b);
		check(!sxsk_buf_is_null(item.b));
		if (item.skip < 4 && dice(&w->dice, 2)) {
			check(sxsk_buf_pull(&item.b, 8) == 0);
			item.skip++;
		}
		own->item[own->n++] = item;
		count(1);
	}
}

/* Who is alone may write: a new packet in the old one's place. */
static void rewrite(struct worker *w, struct own *own)
{
	struct item *item;

	if (own->n == 0)
		return;
	item = &own->item[dice(&w->dice, own->n)];
	if (sxsk_buf_is_shared(item->b))
		return;
	check(sxsk_buf_push(&item->b, 8 * item->skip) == 0);
	item->skip = 0;
	check(sxsk_buf_trim(&item->b, 0) == 0);
	item->number = new_number();
	packet_write(&item->b, item->number);
	count(1);
}

static void unref(struct worker *w, struct own *own)
{
	struct sxsk_buf bufs[16];
	unsigned n = dice(&w->dice, 16) + 1;

	n = n < own->n ? n : own->n;
	for (unsigned i = 0; i < n; i++) {
		struct item item = take_own(w, own);

		packet_check(item.b, item.number, item.skip);
		bufs[i] = item.b;
	}
	if (n == 1)
		sxsk_buf_unref(&bufs[0]);
	else
		sxsk_buf_unref_burst(bufs, n);
	count(n);
}

static void post(struct worker *w, struct own *own)
{
	struct worker *to = &workers[dice(&w->dice, WORKERS)];

	(void)pthread_mutex_lock(&to->lock);
	for (unsigned i = 0; i < 8 && own->n > 0 && to->mails < MAIL; i++) {
		to->mail[to->mails++] = take_own(w, own);
		count(1);
	}
	(void)pthread_mutex_unlock(&to->lock);
}

static void fetch(struct worker *w, struct own *own)
{
	unsigned from = own->n;

	(void)pthread_mutex_lock(&w->lock);
	while (w->mails > 0 && own->n < OWN)
		own->item[own->n++] = w->mail[--w->mails];
	(void)pthread_mutex_unlock(&w->lock);
	for (unsigned i = from; i < own->n; i++)
		packet_check(own->item[i].b, own->item[i].number, own->item[i].skip);
	count(own->n - from);
}

/* ---- sockets -------------------------------------------------------------------------------------- */

static struct sxsk_socket *open_end(struct end *e)
{
	struct sxsk_socket_opts o = {
		.sz = sizeof(o), .rx_size = 64, .tx_size = 64, .fill_size = 64, .comp_size = 64
	};
	struct sxsk_socket *s;

	check(sxsk_socket_open(&s, pool, e->name, e->queue, &o) == 0);
	return s;
}

/* Under the others' feet. */
static void reopen(struct worker *w)
{
	struct end *e = &ends[dice(&w->dice, WORKERS)];

	(void)pthread_mutex_lock(&e->change);
	sxsk_socket_close(atomic_load(&e->socket));
	atomic_store(&e->socket, open_end(e));
	(void)pthread_mutex_unlock(&e->change);
	atomic_fetch_add(&closes, 1);
	count(1);
}

static void receive(struct worker *w, struct own *own)
{
	struct end *e = &ends[dice(&w->dice, 4) ? w->index : dice(&w->dice, WORKERS)];
	struct sxsk_buf bufs[16];
	unsigned n, keep;

	(void)pthread_mutex_lock(&e->rx);
	n = sxsk_rx_burst(atomic_load(&e->socket), bufs, 16);
	if (n == 0 && dice(&w->dice, 16) == 0) {
		bool both = dice(&w->dice, 2);
		struct sxsk_wait wait = { atomic_load(&e->socket),
					  SXSK_WAIT_RX | (both ? SXSK_WAIT_TX : 0), 0 };
		int ms = dice(&w->dice, 32) == 0, err;

		if (both)
			(void)pthread_mutex_lock(&e->tx);
		err = dice(&w->dice, 2) ? sxsk_socket_wait(wait.socket, wait.events, ms) :
					  sxsk_sockets_wait(&wait, 1, ms);
		if (both)
			(void)pthread_mutex_unlock(&e->tx);
		check(err >= 0 || err == -ESHUTDOWN || err == -EINVAL);
	}
	(void)pthread_mutex_unlock(&e->rx);
	for (unsigned i = 0; i < n; i++)
		packet_check_received(bufs[i]);
	keep = OWN - own->n < n / 2 ? OWN - own->n : n / 2;
	for (unsigned i = 0; i < keep; i++) {
		uint64_t number;

		memcpy(&number, sxsk_buf_data(bufs[i]), 8);
		own->item[own->n++] = (struct item){ .b = bufs[i], .number = number };
	}
	sxsk_buf_unref_burst(bufs + keep, n - keep);
	atomic_fetch_add_explicit(&received, n, memory_order_relaxed);
	count(2 * n);
}

static unsigned send_on(struct end *e, struct sxsk_buf bufs[], unsigned n)
{
	unsigned taken;

	(void)pthread_mutex_lock(&e->tx);
	taken = sxsk_tx_burst(atomic_load(&e->socket), bufs, n);
	(void)pthread_mutex_unlock(&e->tx);
	return taken;
}

/* Whole packets only: the receiver looks for the number at the start. */
static void send(struct worker *w, struct own *own)
{
	struct end *e = &ends[dice(&w->dice, 4) ? w->index : dice(&w->dice, WORKERS)];
	struct sxsk_buf bufs[8];
	unsigned n = 0, taken;

	while (n < 8 && own->n > 0) {
		struct item item = take_own(w, own);

		check(sxsk_buf_push(&item.b, 8 * item.skip) == 0);
		bufs[n++] = item.b;
	}
	taken = send_on(e, bufs, n);
	sxsk_buf_unref_burst(bufs + taken, n - taken);
	count(n);
}

/* One packet on all sockets, without a copy. */
static void flood(struct worker *w, struct own *own)
{
	struct item item;

	if (own->n == 0)
		return;
	item = take_own(w, own);
	check(sxsk_buf_push(&item.b, 8 * item.skip) == 0);
	for (unsigned i = 0; i < WORKERS; i++) {
		struct sxsk_buf more = sxsk_buf_ref(item.b);

		if (!sxsk_buf_is_null(more) && send_on(&ends[i], &more, 1) == 0)
			sxsk_buf_unref(&more);
	}
	packet_check(item.b, item.number, 0);
	sxsk_buf_unref(&item.b);
	count(2 * WORKERS);
}

/* ---- lanes and pools -------------------------------------------------------------------------------- */

static void change_lane(struct worker *w, struct own *own)
{
	if (!own->lane) {
		check(sxsk_lane_attach(pool) == 0);
		own->lane = true;
	} else if (dice(&w->dice, 2)) {
		sxsk_lane_flush(pool);
	} else {
		sxsk_lane_detach(pool);
		own->lane = false;
	}
	count(1);
}

/* A pool whose last owner goes at once: it ends with the last of its Bufs, at whoever has that. */
static void short_pool(struct worker *w, struct own *own)
{
	struct sxsk_pool_opts opts = { .sz = sizeof(opts), .frame_count = 64, .name = "short" };
	struct sxsk_buf bufs[4];
	struct sxsk_pool *other;
	unsigned n;

	check(sxsk_pool_create(&other, &opts) == 0);
	if (dice(&w->dice, 2))
		check(sxsk_lane_attach(other) == 0);
	n = sxsk_pool_alloc(other, bufs, 4);
	check(n == 4);
	for (unsigned i = 0; i < n; i++) {
		struct item item = { .b = bufs[i], .number = new_number() };

		packet_write(&item.b, item.number);
		if (own->n < OWN)
			own->item[own->n++] = item;
		else
			sxsk_buf_unref(&item.b);
	}
	sxsk_pool_unref(other);
	atomic_fetch_add(&pools, 1);
	count(n);
}

/* What the others may do meanwhile: look, and reap what this thread has sent. */
static void tend(struct worker *w)
{
	struct sxsk_pool_stats st = { .sz = sizeof(st) };
	struct sxsk_socket_stats of = { .sz = sizeof(of) };
	int err;

	if (dice(&w->dice, 4) == 0) {
		sxsk_pool_stats(pool, &st);
		check(st.total == FRAMES);
		sxsk_socket_stats(atomic_load(&ends[w->index].socket), &of);
	}
	sxsk_socket_wake(atomic_load(&ends[w->index].socket));
	(void)!sxsk_socket_error(atomic_load(&ends[w->index].socket));
	err = sxsk_pool_drain(pool, 0);
	check(err == 0 || err == -ETIMEDOUT);
	count(1);
}

/* ---- threads -------------------------------------------------------------------------------------------- */

static void act(struct worker *w, struct own *own)
{
	uint32_t what = dice(&w->dice, 1000);

	if (what < 150)
		alloc(w, own);
	else if (what < 300)
		look(w, own);
	else if (what < 370)
		clone_own(w, own);
	else if (what < 400)
		rewrite(w, own);
	else if (what < 500)
		unref(w, own);
	else if (what < 600)
		post(w, own);
	else if (what < 700)
		fetch(w, own);
	else if (what < 850)
		receive(w, own);
	else if (what < 950)
		send(w, own);
	else if (what < 980)
		flood(w, own);
	else if (what < 994)
		change_lane(w, own);
	else if (what < 997)
		short_pool(w, own);
	else if (what < 999)
		tend(w);
	else if (dice(&w->dice, 4) == 0)
		reopen(w);
}

static bool over(void)
{
	return atomic_load_explicit(&done, memory_order_relaxed) >= wanted || seconds() > stop_at;
}

static void *worker_thread(void *arg)
{
	struct worker *w = arg;
	struct own own = { .n = 0 };

	for (unsigned i = 0; i < LIFE && (i % 64 || !over()); i++)
		act(w, &own);
	while (own.n > 0)
		unref(w, &own);
	atomic_fetch_add(&lives, 1);
	return NULL; /* its lane, if it has one, is flushed at its exit */
}

static void set_up(void)
{
	struct sxsk_pool_opts opts = { .sz = sizeof(opts),
				       .frame_count = FRAMES,
				       .name = "everything" };

	sxsk_set_misuse_handler(on_misuse, NULL);
	check(sxsk_pool_create(&pool, &opts) == 0);
	for (unsigned i = 0; i < WORKERS; i++) {
		struct end *e = &ends[i];

		check(pthread_mutex_init(&e->rx, NULL) == 0 &&
		      pthread_mutex_init(&e->tx, NULL) == 0);
		check(pthread_mutex_init(&e->change, NULL) == 0);
		check(pthread_mutex_init(&workers[i].lock, NULL) == 0);
		workers[i].index = i;
		workers[i].dice = 12345 + i;
		(void)snprintf(e->name, sizeof(e->name), "mem:everything");
		e->queue = i / 2; /* two ends each */
		atomic_store(&e->socket, open_end(e));
	}
}

/* Everything back: nothing is lost, and the pool dies. */
static void account(void)
{
	struct sxsk_pool_stats st = { .sz = sizeof(st) };

	for (unsigned i = 0; i < WORKERS; i++)
		sxsk_socket_close(atomic_load(&ends[i].socket));
	for (unsigned i = 0; i < WORKERS; i++)
		for (unsigned k = 0; k < workers[i].mails; k++) {
			packet_check(workers[i].mail[k].b, workers[i].mail[k].number,
				     workers[i].mail[k].skip);
			sxsk_buf_unref(&workers[i].mail[k].b);
		}
	check(sxsk_pool_drain(pool, 1000) == 0);
	check(sxsk_pool_report(pool, stdout) == 0);
	sxsk_pool_stats(pool, &st);
	check(st.depot + st.quarantined == st.total && st.owners == 1 && st.sockets == 0);
	sxsk_pool_unref(pool);
}

int main(int argc, char **argv)
{
	double limit = 120, begun = seconds();

	stress_options(argc, argv, &wanted, &limit);
	stop_at = begun + limit;
	set_up();
	while (!over()) {
		for (unsigned i = 0; i < WORKERS; i++)
			check(pthread_create(&workers[i].thread, NULL, worker_thread,
					     &workers[i]) == 0);
		for (unsigned i = 0; i < WORKERS; i++)
			check(pthread_join(workers[i].thread, NULL) == 0);
	}
	account();
	(void)printf(
		"%llu operations in %.1f s%s: %llu packets received, %llu sockets closed, %llu pools died, "
		"%llu threads\n",
		(unsigned long long)done, seconds() - begun,
		done < wanted ? " (the time was up)" : "", (unsigned long long)received,
		(unsigned long long)closes, (unsigned long long)pools, (unsigned long long)lives);
	return received > 0 && closes > 0 && pools > 0 ? 0 : 1;
}
