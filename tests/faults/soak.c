/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pools and sockets come and go, over mem: and over veth pairs in a network namespace of its own; Bufs are
 * cloned, flooded, forwarded, held, given to threads that free them and end; processes are killed under
 * load. All of it at random, from a seed.
 *
 * Every few seconds all is given back: then each pool's frames are accounted for, and what the process
 * holds is what it held after the warm-up, in which every slot was used once: descriptors, not one more;
 * heap, HEAP_GROWTH more at most; resident memory, RSS_GROWTH.
 *
 *     soak SECONDS SEED DATA     DATA: a line per look: seconds, RSS and heap in KiB, descriptors, frames
 *                                in Bufs, frames in quarantine, sockets, operations
 */
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <net/if.h>
#include <pthread.h>
#include <safexsk/mem.h>
#include <safexsk/safexsk.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define POOLS 4u
#define SOCKETS 8u
#define HELD 256u
#define SLOTS                                                                                      \
	(POOLS + SOCKETS + HELD + 1) /* as many pools may be alive: a socket or a Buf keeps one */
#define BURST 32u
#define FRAMES 1024u
#define HEAP_GROWTH 32u  /* KiB: what glibc itself keeps differs a little */
#define RSS_GROWTH 8192u /* KiB: freed pages that an allocator keeps */

static const struct end {
	const char *ifname;
	uint32_t queue;
} ends[] = {
	{ "mem:a", 0 }, { "mem:a", 0 }, { "mem:b", 0 }, { "mem:b", 1 },
	{ "mem:b", 0 }, { "mem:b", 1 }, { "v0", 0 },    { "v1", 0 },
	{ "m0", 0 },    { "m0", 1 },    { "m1", 0 },    { "m1", 1 },
};
#define ENDS (sizeof(ends) / sizeof(ends[0]))

static struct sxsk_pool *pools[POOLS];
static struct open {
	struct sxsk_socket *socket;
	struct sxsk_pool *pool;
	bool receives;
} sockets[SOCKETS];
static struct sxsk_buf held[HELD];
static unsigned holding;
static uint64_t operations, seed;

static void __attribute__((format(printf, 1, 2), noreturn)) wrong(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, " (seed %" PRIu64 ", operation %" PRIu64 ")\n", seed, operations);
	exit(1);
}

/* xorshift64*, Vigna 2014 */
static uint64_t state;
static uint32_t dice(uint32_t sides)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return (uint32_t)((state * 2685821657736338717ull) >> 33) % sides;
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* ---- what is held --------------------------------------------------------------------------------------- */

struct look {
	unsigned long rss, heap; /* KiB */
	unsigned files;
};

static struct look look(void)
{
	DIR *dir = opendir("/proc/self/fd");
	FILE *f = fopen("/proc/self/statm", "re");
	struct look l = { 0 };

	if (!dir || !f || fscanf(f, "%*u %lu", &l.rss) != 1)
		wrong("/proc does not tell");
	fclose(f);
	while (readdir(dir))
		l.files++;
	closedir(dir);
	l.rss *= (unsigned long)sysconf(_SC_PAGESIZE) / 1024;
	l.heap = mallinfo2().uordblks / 1024;
	return l;
}

static struct sxsk_pool_stats stats_of(struct sxsk_pool *pool)
{
	struct sxsk_pool_stats st = { .sz = sizeof(st) };

	sxsk_pool_stats(pool, &st);
	if (st.user + st.lanes + st.depot + st.fill + st.tx + st.quarantined + st.retired !=
	    st.total)
		wrong("frames are missing");
	return st;
}

static void note(FILE *data, double since)
{
	const struct look l = look();
	unsigned long user = 0, quarantined = 0;
	unsigned open = 0;

	for (unsigned i = 0; i < POOLS; i++)
		if (pools[i]) {
			struct sxsk_pool_stats st = stats_of(pools[i]);

			user += st.user;
			quarantined += st.quarantined;
		}
	for (unsigned i = 0; i < SOCKETS; i++)
		open += sockets[i].socket != NULL;
	fprintf(data, "%.2f %lu %lu %u %lu %lu %u %" PRIu64 "\n", seconds() - since, l.rss, l.heap,
		l.files, user, quarantined, open, operations);
}

/* ---- operations ----------------------------------------------------------------------------------------- */

static void expect(const char *what, int err)
{
	if (err)
		wrong("%s: %s (%d)", what, sxsk_last_error(), err);
}

static void make_pool(unsigned i)
{
	const struct sxsk_pool_opts opts = { .sz = sizeof(opts),
					     .frame_count = FRAMES,
					     .user_size = dice(2) * 16,
					     .flags = dice(4) ? 0 : SXSK_POOL_UNALIGNED };

	if (!pools[i])
		expect("pool", sxsk_pool_create(&pools[i], &opts));
}

/* Its sockets and Bufs may live on. */
static void drop_pool(unsigned i)
{
	sxsk_pool_unref(pools[i]);
	pools[i] = NULL;
}

static void open_socket(unsigned i)
{
	const struct end *end = &ends[dice(ENDS)];
	const struct sxsk_socket_opts opts = { .sz = sizeof(opts),
					       .rx_size = 64u << dice(3),
					       .tx_size = 64u << dice(3),
					       .fill_size = 128,
					       .comp_size = 128,
					       .steer = dice(4) ? SXSK_STEER_ALL : SXSK_STEER_NONE,
					       .flags = dice(6) ? 0 : SXSK_SOCKET_NO_RX };
	struct sxsk_pool *pool = pools[dice(POOLS)];
	struct open *o = &sockets[i];
	int err;

	if (o->socket || !pool)
		return;
	o->pool = pool;
	err = sxsk_socket_open(&o->socket, o->pool, end->ifname, end->queue, &opts);
	if (err && err != -EBUSY) /* of our own sockets */
		wrong("%s: %s (%d)", end->ifname, sxsk_last_error(), err);
	if (err)
		o->socket = NULL;
	o->receives = !(opts.flags & SXSK_SOCKET_NO_RX);
}

static void close_socket(unsigned i)
{
	sxsk_socket_close(sockets[i].socket);
	sockets[i].socket = NULL;
}

static void hold(struct sxsk_buf b)
{
	if (holding == HELD || sxsk_buf_is_null(b))
		sxsk_buf_unref(&b);
	else
		held[holding++] = b;
}

/* To up to three sockets of the pool, without a copy; some are held. */
static void flood(const struct open *first)
{
	struct sxsk_buf bufs[BURST], clones[BURST];
	unsigned n;

	if (!first->socket)
		return;
	n = sxsk_pool_alloc(first->pool, bufs, 1 + dice(BURST));
	for (unsigned i = 0; i < n; i++) {
		unsigned char *p;

		expect("put", sxsk_buf_put(&bufs[i], 60 + dice(1000)));
		p = sxsk_buf_data_mut(bufs[i]);
		memset(p, 0xff, 12);
		p[12] = 0x88;
		p[13] = 0xb5;
	}
	for (unsigned s = 0, times = dice(3); s < SOCKETS && times; s++) {
		unsigned sent;

		if (!sockets[s].socket || sockets[s].pool != first->pool)
			continue;
		for (unsigned i = 0; i < n; i++)
			clones[i] = sxsk_buf_ref(bufs[i]);
		sent = sxsk_tx_burst(sockets[s].socket, clones, n);
		sxsk_buf_unref_burst(clones + sent, n - sent);
		times--;
	}
	for (unsigned i = 0; i < n; i++)
		if (dice(8) == 0)
			hold(sxsk_buf_ref(bufs[i]));
	sxsk_buf_unref_burst(bufs, n);
}

/* Held, sent on by another socket, or given back. */
static void receive(const struct open *o)
{
	const struct open *on = &sockets[dice(SOCKETS)];
	struct sxsk_buf bufs[BURST];
	unsigned n, sent = 0;

	if (!o->socket)
		return;
	if (o->receives && dice(4) == 0) {
		int got = sxsk_socket_wait(o->socket, SXSK_WAIT_RX, (int)dice(3));

		if (got < 0 && got != -ENETDOWN)
			wrong("wait: %s (%d)", sxsk_last_error(), got);
	}
	n = sxsk_rx_burst(o->socket, bufs, BURST);
	if (n && dice(4) == 0) {
		hold(bufs[n - 1]);
		n--;
	}
	if (on->socket && on->pool == o->pool)
		sent = sxsk_tx_burst(on->socket, bufs, n);
	sxsk_buf_unref_burst(bufs + sent, n - sent);
}

static void release(unsigned n)
{
	while (holding && n--) {
		unsigned i = dice(holding);

		sxsk_buf_unref(&held[i]);
		held[i] = held[--holding];
	}
}

struct leaver {
	struct sxsk_buf bufs[HELD];
	struct sxsk_pool *pool; /* whose lane it takes, or NULL */
	unsigned n;
	int err;
};

static void *free_and_leave(void *arg)
{
	struct leaver *l = arg;

	if (l->pool)
		l->err = sxsk_lane_attach(l->pool);
	sxsk_buf_unref_burst(l->bufs, l->n);
	return NULL; /* the lane goes with the thread */
}

static void free_elsewhere(void)
{
	struct leaver l = { .pool = pools[dice(POOLS)] };
	pthread_t thread;

	while (holding && l.n < HELD)
		l.bufs[l.n++] = held[--holding];
	if (pthread_create(&thread, NULL, free_and_leave, &l) != 0 ||
	    pthread_join(thread, NULL) != 0)
		wrong("no thread");
	expect("lane", l.err);
}

/* ---- processes that are killed -------------------------------------------------------------------------- */

static int victim(void)
{
	const struct sxsk_socket_opts opts = { .sz = sizeof(opts), .steer = SXSK_STEER_ALL };
	struct sxsk_socket *socket;
	struct sxsk_pool *pool;
	struct sxsk_buf bufs[64];
	unsigned n, sent;

	alarm(20);
	expect("victim", sxsk_pool_create(&pool, NULL));
	expect("victim", sxsk_socket_open(&socket, pool, "k0", 0, &opts));
	if (write(STDOUT_FILENO, "", 1) != 1)
		return 1;
	for (;;) {
		n = sxsk_pool_alloc(pool, bufs, 64);
		for (unsigned i = 0; i < n; i++)
			expect("victim", sxsk_buf_put(&bufs[i], 60));
		sent = sxsk_tx_burst(socket, bufs, n);
		sxsk_buf_unref_burst(bufs + sent, n - sent);
		sxsk_buf_unref_burst(bufs, sxsk_rx_burst(socket, bufs, 64));
	}
}

static void kill_one(void)
{
	const struct sxsk_socket_opts opts = { .sz = sizeof(opts), .steer = SXSK_STEER_ALL };
	struct sxsk_socket *socket;
	struct sxsk_pool *pool;
	int ready[2];
	pid_t pid;
	char byte;

	if (pipe(ready) != 0 || (pid = fork()) < 0)
		wrong("no process");
	if (pid == 0) {
		dup2(ready[1], STDOUT_FILENO);
		execl("/proc/self/exe", "soak", "victim", NULL);
		_exit(1);
	}
	close(ready[1]);
	if (read(ready[0], &byte, 1) != 1)
		wrong("the victim did not start");
	close(ready[0]);
	usleep(dice(30000));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	expect("pool", sxsk_pool_create(&pool, NULL));
	expect("open after a kill", sxsk_socket_open(&socket, pool, "k0", 0, &opts));
	sxsk_socket_close(socket);
	sxsk_pool_unref(pool);
}

/* ---- all of it ------------------------------------------------------------------------------------------ */

static void step(void)
{
	const uint32_t what = dice(100);

	operations++;
	if (what < 1)
		drop_pool(dice(POOLS));
	else if (what < 4)
		make_pool(dice(POOLS));
	else if (what < 7)
		open_socket(dice(SOCKETS));
	else if (what < 9)
		close_socket(dice(SOCKETS));
	else if (what < 10)
		free_elsewhere();
	else if (what < 11 && dice(20) == 0)
		kill_one();
	else if (what < 20)
		release(1 + dice(8));
	else if (what < 60)
		receive(&sockets[dice(SOCKETS)]);
	else
		flood(&sockets[dice(SOCKETS)]);
}

static uint32_t program_on(const char *ifname)
{
	struct bpf_xdp_query_opts opts = { .sz = sizeof(opts) };

	if (bpf_xdp_query((int)if_nametoindex(ifname), 0, &opts))
		wrong("%s does not say which program it has", ifname);
	return opts.prog_id;
}

/* Everything back; all frames are somewhere. */
static void calm(void)
{
	release(HELD);
	for (unsigned i = 0; i < SOCKETS; i++)
		close_socket(i);
	for (unsigned i = 0; i < POOLS; i++) {
		struct sxsk_pool_stats st;

		if (!pools[i])
			continue;
		expect("drain", sxsk_pool_drain(pools[i], 5000));
		st = stats_of(pools[i]);
		if (st.user || st.tx || st.fill || st.sockets || st.retired)
			wrong("after the close: user %lu, tx %lu, fill %lu, sockets %lu",
			      (unsigned long)st.user, (unsigned long)st.tx, (unsigned long)st.fill,
			      (unsigned long)st.sockets);
		drop_pool(i);
	}
	for (unsigned i = 0; i < ENDS; i++)
		if (ends[i].ifname[0] != 'm' || ends[i].ifname[1] != 'e')
			if (program_on(ends[i].ifname))
				wrong("a program is left on %s", ends[i].ifname);
	if (sxsk_misuse_count())
		wrong("misuse");
}

/* Every slot of a pool or socket keeps some descriptors once it was used. */
static void use_all_slots(void)
{
	struct sxsk_socket *all[2 * SOCKETS];
	struct sxsk_pool *some[SLOTS];
	char name[32];

	for (unsigned i = 0; i < SLOTS; i++)
		expect("pool",
		       sxsk_pool_create(&some[i], &(struct sxsk_pool_opts){
							  .sz = sizeof(struct sxsk_pool_opts),
							  .frame_count = FRAMES }));
	for (unsigned i = 0; i < 2 * SOCKETS; i++) {
		snprintf(name, sizeof(name), "mem:first%u", i);
		expect("open", sxsk_socket_open(&all[i], some[0], name, 0, NULL));
	}
	for (unsigned i = 0; i < 2 * SOCKETS; i++)
		sxsk_socket_close(all[i]);
	for (unsigned i = 0; i < SLOTS; i++)
		sxsk_pool_unref(some[i]);
}

static void make_network(void)
{
	if (unshare(CLONE_NEWNET) != 0 ||
	    system("f=/proc/sys/net/ipv6/conf/default/disable_ipv6; [ ! -e $f ] || echo 1 >$f; "
		   "ip link add v0 type veth peer name v1 && ip link add k0 type veth peer name k1 && "
		   "ip link add m0 numrxqueues 2 numtxqueues 2 type veth peer name m1 numrxqueues 2 "
		   "numtxqueues 2 && for i in v0 v1 m0 m1 k0 k1; do ip link set $i up || exit; "
		   "done") != 0) {
		fputs("no network: this needs root and iproute2\n", stderr);
		exit(1);
	}
}

int main(int argc, char **argv)
{
	double begun, end, next, warm_until;
	struct look most = { 0 }, now = { 0 };
	FILE *data;

	if (argc == 2 && strcmp(argv[1], "victim") == 0)
		return victim();
	if (argc != 4 || !(data = fopen(argv[3], "we"))) {
		fputs("usage: soak SECONDS SEED DATA\n", stderr);
		return 1;
	}
	make_network();
	seed = strtoull(argv[2], NULL, 10);
	state = seed * 2 + 1;
	begun = seconds();
	end = begun + strtod(argv[1], NULL);
	warm_until = begun + (end - begun) / 4;
	use_all_slots();
	kill_one();
	for (next = begun; next < end;) {
		next += (end - begun) / 24;
		while (seconds() < next) {
			for (unsigned i = 0; i < 500 && seconds() < next; i++)
				step();
			note(data, begun);
		}
		calm();
		now = look();
		note(data, begun);
		if (next <= warm_until) {
			most.rss = now.rss > most.rss ? now.rss : most.rss;
			most.heap = now.heap > most.heap ? now.heap : most.heap;
			most.files = now.files > most.files ? now.files : most.files;
			continue;
		}
		if (now.files > most.files || now.heap > most.heap + HEAP_GROWTH ||
		    now.rss > most.rss + RSS_GROWTH)
			wrong("%u descriptors, %lu KiB of heap, %lu KiB resident; after the warm-up "
			      "%u, %lu, %lu",
			      now.files, now.heap, now.rss, most.files, most.heap, most.rss);
	}
	fclose(data);
	printf("%" PRIu64
	       " operations; %u descriptors, %lu KiB of heap, %lu KiB resident; after the "
	       "warm-up %u, %lu, %lu\n",
	       operations, now.files, now.heap, now.rss, most.files, most.heap, most.rss);
	return 0;
}
