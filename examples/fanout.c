/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fanout: several threads look at the same packets, and none is copied.
 *
 *   fanout --link-name veth0 --pass-to veth1 --write all.pcapng
 *
 *                         ,==handover==> write: into a capture ------------,
 *      link --rx_burst--> |==handover==> forward: tx_burst to --pass-to ---|--unref--> home, after the last
 *                         '==handover==> count: packets by flow -----------'
 *
 * Each worker gets a reference to each Buf: it reads the bytes, or has them sent, while the others do. The
 * frame goes home when the last reference is given back, in whatever thread that is, and when it was sent.
 * Nobody waits for anybody: a worker that does not keep up (--hold) misses packets, which are counted, and the
 * others miss none.
 */
#include "common.h"

#include <errno.h>
#include <inttypes.h>
#include <safexsk/handover.h>
#include <search.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define QUEUE 4096 /* Bufs that wait for a worker, at most */
#define FLOWS 4096
#define SHOWN 5 /* flows, at the end */

struct worker {
	const char *role;
	/* At a packet of n Bufs; NULL: bursts are sent */
	void (*look)(const struct sxsk_buf bufs[], unsigned n);
	struct program *program;
	struct sxsk_handover in;
	struct sxsk_buf room[QUEUE];
	pthread_t thread;
	sem_t news;
	uint64_t packets, missed; /* missed: the receiver's */
};

static struct worker workers[3];
static uint32_t worker_count, hold_ms;
static atomic_bool ended; /* nothing will be pushed any more */
static const char *file;
static FILE *capture;
static struct link *pass_to;

/* ---- what the workers do --------------------------------------------------------------------------- */

static void write_one(const struct sxsk_buf bufs[], unsigned n)
{
	sxsk_pcapng_packet(capture, 0, now_ns(CLOCK_REALTIME), bufs, n);
}

/* In the tree they are by `key`; one more is room for the next. */
static struct flow {
	struct sxsk_flow key;
	uint64_t packets, bytes;
} flows[FLOWS + 1];
static unsigned known;
static uint64_t others; /* packets of flows that there was no room for */
static void *tree;

static int by_key(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct sxsk_flow));
}

static int most_first(const void *a, const void *b)
{
	const struct flow *one = a, *two = b;

	return (one->packets < two->packets) - (one->packets > two->packets);
}

static void count_flow(const struct sxsk_buf bufs[], unsigned n)
{
	struct flow *flow = &flows[known], **found;

	sxsk_flow_of(sxsk_buf_data(bufs[0]), sxsk_buf_len(bufs[0]), &flow->key);
	found = known < FLOWS ? tsearch(flow, &tree, by_key) : tfind(flow, &tree, by_key);
	others += !found;
	if (!found)
		return;
	known += *found == flow;
	(*found)->packets++;
	for (unsigned i = 0; i < n; i++)
		(*found)->bytes += sxsk_buf_len(bufs[i]);
}

/* The biggest ones; the tree is of no use afterwards. */
static void print_flows(void)
{
	qsort(flows, known, sizeof(flows[0]), most_first);
	for (const struct flow *f = flows; f < flows + known && f < flows + SHOWN; f++) {
		printf("  flow ");
		sxsk_flow_print(&f->key, stdout);
		printf(": %" PRIu64 " packets, %" PRIu64 " bytes\n", f->packets, f->bytes);
	}
	printf("  %u flows, and %" PRIu64 " packets of others\n", known, others);
}

/* ---- workers --------------------------------------------------------------------------------------- */

/* Until there is news. What was sent is seen to in the library's wait. */
static void sleep_a_while(struct worker *w)
{
	const unsigned news = SXSK_WAIT_WAKE;

	if (!w->look && !pass_to->failed) {
		(void)links_sleep(pass_to, &news, 1);
		return;
	}
	if (w->look == write_one)
		(void)fflush(capture);
	sxsk_lane_flush(w->program->pool); /* others may need the free frames in there */
	(void)sem_wait(&w->news);
}

static void tell(struct worker *w)
{
	(void)sem_post(&w->news);
	if (!w->look)
		sxsk_socket_wake(pass_to->socket);
}

/* A burst, which is the worker's. Where it is sent, the reference goes with the packet: it is given back when that
 * was sent. */
static void use(struct worker *w, struct sxsk_buf bufs[], unsigned n)
{
	for (unsigned i = 0, first = 0; i < n; i++) {
		if (!sxsk_buf_is_last(bufs[i]))
			continue;
		w->packets++;
		if (w->look)
			w->look(bufs + first, i + 1 - first);
		first = i + 1;
	}
	if (w->look == count_flow && !atomic_load(&ended))
		(void)usleep(hold_ms * 1000);
	if (w->look)
		sxsk_buf_unref_burst(bufs, n);
	else
		link_send(pass_to, bufs, n);
}

static void *work(void *arg)
{
	struct sxsk_buf bufs[MAX_BATCH];
	struct worker *w = arg;
	bool last = sxsk_lane_attach(w->program->pool) != 0;
	unsigned n;

	do {
		last |= atomic_load(&ended); /* so what was pushed is seen below */
		if (!last)
			sleep_a_while(w);
		while ((n = sxsk_handover_pop(&w->in, bufs, MAX_BATCH)) > 0)
			use(w, bufs, n);
	} while (!last);
	if (!w->look)
		link_finish(pass_to, NULL, 0);
	sxsk_lane_detach(w->program->pool);
	return NULL;
}

/* A reference to each Buf for the worker; whole packets are missed where its queue is full. */
static void give(struct worker *w, const struct sxsk_buf bufs[], unsigned n)
{
	struct sxsk_buf theirs[MAX_BATCH];
	unsigned given;

	for (unsigned i = 0; i < n; i++)
		theirs[i] = sxsk_buf_ref(bufs[i]);
	given = sxsk_handover_push(&w->in, theirs, n);
	if (given > 0)
		tell(w);
	for (unsigned i = given; i < n; i++)
		w->missed += sxsk_buf_is_last(theirs[i]);
	sxsk_buf_unref_burst(theirs + given, n - given);
}

static bool start(struct worker *w, struct program *p)
{
	w->program = p;
	return sxsk_handover_init(&w->in, w->room, QUEUE) == 0 && sem_init(&w->news, 0, 0) == 0 &&
	       pthread_create(&w->thread, NULL, work, w) == 0;
}

static void receive(struct link *link)
{
	struct program *p = link->program;
	const unsigned packets = SXSK_WAIT_RX;
	struct sxsk_buf bufs[MAX_BATCH];
	unsigned n, idle = 0, started = 0;

	while (started < worker_count && start(&workers[started], p))
		started++;
	if (started < worker_count)
		atomic_store(&p->failed, !wrong(p, "cannot start a thread"));
	while (!stopping(p) && !atomic_load(&p->failed) && !(capture && ferror(capture))) {
		n = sxsk_rx_burst(link->socket, bufs, link->batch);
		if (n > 0)
			received(link, bufs[0]);
		for (unsigned i = 0; i < worker_count && n > 0; i++)
			give(&workers[i], bufs, n);
		sxsk_buf_unref_burst(bufs, n);
		idle = n ? 0 : idle + 1;
		if (idle >= IDLE_LOOKS && !links_sleep(link, &packets, 1))
			break;
	}
	atomic_store(&ended, true);
	for (unsigned i = 0; i < started; i++) {
		tell(&workers[i]);
		pthread_join(workers[i].thread, NULL);
	}
	link_finish(link, NULL, 0);
}

static bool prepare(struct program *p)
{
	if (file) {
		capture = fopen(file, "we");
		if (!capture)
			return wrong(p, "cannot write %s: %s", file, strerror(errno));
		sxsk_pcapng_begin(capture);
		sxsk_pcapng_interface(capture, p->links[0].name, "time by the system's clock");
		workers[worker_count++] = (struct worker){ .role = "write", .look = write_one };
	}
	if (p->link_count > 1) {
		pass_to = &p->links[1];
		workers[worker_count++] = (struct worker){ .role = "forward" };
	}
	workers[worker_count++] = (struct worker){ .role = "count", .look = count_flow };
	return true;
}

static bool before_open(struct link *link, struct sxsk_socket_opts *opts)
{
	opts->flags |= link == pass_to ? SXSK_SOCKET_NO_RX : SXSK_SOCKET_NO_TX;
	return true;
}

static void account(const struct link *link, bool json)
{
	if (link != link->program->links)
		return;
	for (struct worker *w = workers; w < workers + worker_count; w++)
		printf(json ? ", \"%s\": %" PRIu64 ", \"missed_by_%s\": %" PRIu64 :
			      "  %s: %" PRIu64 " packets, missed by %s: %" PRIu64 "\n",
		       w->role, w->packets, w->role, w->missed);
	json ? (void)printf(", \"flows\": %u", known) : print_flows();
}

int main(int argc, char **argv)
{
	static struct program program = {
		.name = "fanout",
		.example = "--link-name veth0 --pass-to veth1",
		.prepare = prepare,
		.before_open = before_open,
		.work = receive,
		.account = account,
		.links_per_thread = 1,
		.link_count = 1,
	};
	struct link *link = program.links;
	const struct option options[] = {
		{ "--link-name", "IF", "interface, or mem:NAME", option_text, &link->name, 1, 0 },
		{ "--link-channel", "Q", "its queue (0)", option_number, &link->queue, 0, 65535 },
		{ "--write", "FILE", "a worker writes a capture", option_text, &file, 0, 0 },
		{ "--pass-to", "IF[:Q]", "a worker sends them there", option_pass_to, NULL, 0, 0 },
		{ "--hold", "MS", "the one that counts takes so long per burst (0)", option_number,
		  &hold_ms, 0, 1000 },
		COMMON_OPTIONS(&program),
	};
	int status = program_run(&program, options, argc, argv);

	if (capture && (ferror(capture) | fclose(capture)) != 0)
		return !wrong(&program, "cannot write all to %s: is there room?", file);
	return status;
}
