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
#include <semaphore.h>
#include <string.h>
#include <unistd.h>

#define QUEUE 4096 /* Bufs that wait for a worker, at most */
#define FLOWS 4096
#define SHOWN 5 /* of them, at the end */

struct worker {
	const char *role;
	/* At a packet of n Bufs; NULL: bursts are sent */
	void (*look)(const struct sxsk_buf bufs[], unsigned n);
	struct sxsk_handover in;
	struct sxsk_buf room[QUEUE];
	pthread_t thread;
	sem_t news;
	uint64_t packets, missed; /* missed: the receiver's */
};

static struct program program;
static struct worker workers[3];
static uint32_t worker_count, hold_ms;
static atomic_bool ended; /* nothing will be pushed any more */
static const char *file;
static FILE *capture;
static struct sxsk_flow_table *flows;
static struct link *pass_to;

static void write_one(const struct sxsk_buf bufs[], unsigned n)
{
	sxsk_pcapng_packet(capture, 0, 0, bufs, n);
}

static void count_flow(const struct sxsk_buf bufs[], unsigned n)
{
	sxsk_flow_table_count(flows, bufs, n);
}

/* Until there is news. What was sent is seen to in the library's wait. */
static void sleep_a_while(struct worker *w)
{
	const unsigned news = SXSK_WAIT_WAKE;

	if (w->look == write_one)
		(void)fflush(capture);
	sxsk_lane_flush(program.pool); /* others may need the free frames in there */
	if (w->look || pass_to->failed)
		(void)sem_wait(&w->news);
	else
		(void)links_sleep(pass_to, &news, 1);
}

static void tell(struct worker *w)
{
	(void)sem_post(&w->news);
	if (!w->look)
		sxsk_socket_wake(pass_to->socket);
}

/* A burst, which is the worker's. Where it is sent, the reference goes with the packet: it is given back when
 * that was sent. */
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
	bool last = sxsk_lane_attach(program.pool) != 0;
	unsigned n;

	pin_thread(&program, 1 + (unsigned)(w - workers), 0);
	do {
		last |= atomic_load(&ended); /* so what was pushed is seen below */
		if (!last)
			sleep_a_while(w);
		while ((n = sxsk_handover_pop(&w->in, bufs, MAX_BATCH)) > 0)
			use(w, bufs, n);
	} while (!last);
	if (!w->look)
		link_finish(pass_to, NULL, 0);
	sxsk_lane_detach(program.pool);
	return NULL;
}

/* A reference to each Buf for the worker; whole packets are missed where its queue is full. */
static void give(struct worker *w, const struct sxsk_buf bufs[], unsigned n)
{
	unsigned given = sxsk_handover_share(&w->in, bufs, n);

	if (given > 0)
		tell(w);
	for (; given < n; given++)
		w->missed += sxsk_buf_is_last(bufs[given]);
}

static bool start(struct worker *w)
{
	return sxsk_handover_init(&w->in, w->room, QUEUE) == 0 && sem_init(&w->news, 0, 0) == 0 &&
	       pthread_create(&w->thread, NULL, work, w) == 0;
}

/* When the sockets are open: what cannot run writes over no file. */
static bool begin_capture(const struct link *link)
{
	capture = fopen(file, "we");
	if (!capture)
		return wrong("cannot write %s: %s", file, strerror(errno));
	sxsk_pcapng_begin(capture);
	sxsk_pcapng_interface(capture, link->name, "time by the system's clock");
	return true;
}

static void receive(struct link *link)
{
	const unsigned packets = SXSK_WAIT_RX;
	struct sxsk_buf bufs[MAX_BATCH];
	unsigned n, idle = 0, started = 0;

	if (file && !stopping(&program) && !begin_capture(link))
		program.failed = true;
	while (!program.failed && started < worker_count && start(&workers[started]))
		started++;
	if (!program.failed && started < worker_count)
		program.failed = !wrong("cannot start a thread");
	while (!stopping(&program) && !(capture && ferror(capture))) {
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
	if (file)
		workers[worker_count++] = (struct worker){ .role = "write", .look = write_one };
	if (p->link_count > 1) {
		pass_to = &p->links[1];
		workers[worker_count++] = (struct worker){ .role = "forward" };
	}
	workers[worker_count++] = (struct worker){ .role = "count", .look = count_flow };
	return sxsk_flow_table_create(&flows, FLOWS) == 0 || wrong("%s", sxsk_last_error());
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
	if (json)
		printf(", \"flows\": %u", sxsk_flow_table_flows(flows));
	else
		sxsk_flow_table_print(flows, SHOWN, stdout);
}

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

int main(int argc, char **argv)
{
	struct link *link = program.links;
	const struct option options[] = {
		{ "--link-name", "IF", "interface, or mem:NAME", option_text, &link->name, 1, 0 },
		{ "--link-channel", "Q", "its queue (0)", option_number, &link->queue, 0, 65535 },
		{ "--write", "FILE", "a worker writes a capture", option_text, &file, 0, 0 },
		{ "--pass-to", "IF[:Q]", "a worker sends them there", option_link, &program, 0, 1 },
		{ "--hold", "MS", "the one that counts takes so long per burst (0)", option_number,
		  &hold_ms, 0, 1000 },
		COMMON_OPTIONS(&program),
	};
	int status = program_run(&program, options, argc, argv);
	bool bad;

	sxsk_flow_table_destroy(flows);
	bad = capture && ferror(capture) != 0;
	if (capture && (fclose(capture) != 0 || bad))
		return !wrong("cannot write all to %s: is there room?", file);
	return status;
}
