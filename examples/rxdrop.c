/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rxdrop: receive and count; with --verify, what has become of txgen's packets on their way.
 *
 *   rxdrop --link veth0 --link veth1:3        (queue 0 of veth0, queue 3 of veth1)
 *
 * A receive-only program: an unref sends a frame home, and the next rx_burst gives it to the kernel
 * again, so it never runs out of them.
 */
#include "common.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- --verify ------------------------------------------------------------------------------------ */

#define STREAMS 64u            /* of one run; packets of more are others' */
#define WINDOW 65536u          /* packets: how late one may be, and be told from a duplicate */
#define STEPS 32u              /* latencies are counted in 32 steps per power of two: 3 % */
#define LATENCIES (STEPS * 45) /* up to 2^48 nanoseconds */

struct stream {
	uint16_t id;
	uint32_t first, next;       /* the number that came first, the one after the highest */
	uint64_t seen[WINDOW / 64]; /* of those before `next` */
};

/* Of one link, and its thread's alone. */
struct verify {
	uint64_t packets, lost, reordered, duplicate, corrupt, other, max; /* max: latency, ns */
	uint64_t latencies[LATENCIES];
	unsigned streams;
	struct stream stream[STREAMS];
};

static uint32_t verify;
static struct verify *verifies[MAX_LINKS];

/* Note number seq, and return whether it was noted before. */
static bool note(struct stream *stream, uint32_t seq)
{
	uint64_t *word = &stream->seen[seq % WINDOW / 64], bit = 1ull << seq % 64;
	bool seen = *word & bit;

	*word |= bit;
	return seen;
}

static void forget(struct stream *stream, uint32_t seq)
{
	stream->seen[seq % WINDOW / 64] &= ~(1ull << seq % 64);
}

static struct stream *stream_of(struct verify *v, const struct sxsk_stamp *stamp)
{
	for (unsigned i = 0; i < v->streams; i++)
		if (v->stream[i].id == stamp->stream)
			return &v->stream[i];
	if (v->streams == STREAMS)
		return NULL;
	v->stream[v->streams].id = stamp->stream;
	v->stream[v->streams].first = v->stream[v->streams].next = stamp->seq;
	return &v->stream[v->streams++];
}

/* What is missing counts as lost until it comes after all. */
static void place(struct verify *v, struct stream *stream, uint32_t seq)
{
	int32_t ahead = (int32_t)(seq - stream->next);

	if (ahead >= 0) {
		for (int32_t i = 0; i <= ahead && i < (int32_t)WINDOW; i++)
			forget(stream, seq - (uint32_t)i);
		(void)note(stream, seq);
		stream->next = seq + 1;
		v->lost += (uint64_t)ahead;
	} else if (ahead >= -(int32_t)WINDOW && note(stream, seq)) {
		v->duplicate++;
	} else {
		v->reordered++;
		/* One that was sent before the first that came was not missed. */
		v->lost -= (int32_t)(seq - stream->first) > 0 && v->lost > 0;
	}
}

static void note_latency(struct verify *v, uint64_t ns)
{
	unsigned shift = ns < 2 * STEPS ? 0 : 58 - (unsigned)__builtin_clzll(ns);

	v->latencies[shift * STEPS + (ns >> shift)]++;
	v->max = ns > v->max ? ns : v->max;
}

static void verify_packet(struct verify *v, const unsigned char *data, uint32_t len, uint64_t now)
{
	struct sxsk_stamp stamp;
	int error = sxsk_stamp_read(data, len, &stamp);
	struct stream *stream;

	v->other += error == -ENOMSG;
	v->corrupt += error == -EBADMSG;
	if (error)
		return;
	stream = stream_of(v, &stamp);
	v->packets += stream != NULL;
	v->other += stream == NULL;
	if (!stream)
		return;
	place(v, stream, stamp.seq);
	note_latency(v, (now - stamp.ns) & SXSK_STAMP_NS);
}

/* The latency that so many of a thousand packets do not exceed, microseconds. */
static double latency(const struct verify *v, unsigned of_1000)
{
	uint64_t all = 0, below = 0;
	unsigned i = 0;

	for (unsigned k = 0; k < LATENCIES; k++)
		all += v->latencies[k];
	while (i < LATENCIES - 1 && (below += v->latencies[i]) * 1000 < all * of_1000)
		i++;
	return i < 2 * STEPS ? i * 1e-3 :
			       (double)((uint64_t)(i % STEPS + STEPS) << (i / STEPS - 1)) * 1e-3;
}

static void account(const struct link *link, bool json)
{
	const struct verify *v = verifies[link - link->program->links];

	if (!v)
		return;
	printf(json ? ", \"verify\": {\"packets\": %" PRIu64 ", \"streams\": %u, \"lost\": %" PRIu64
		      ", \"reordered\": %" PRIu64 ", \"duplicates\": %" PRIu64
		      ", \"corrupted\": %" PRIu64 ", \"others\": %" PRIu64
		      ", \"latency_us\": {\"p50\": %.3f, \"p90\": %.3f, "
		      "\"p99\": %.3f, \"p99.9\": %.3f, \"max\": %.3f}}" :
		      "  verify: packets %" PRIu64 ", streams %u, lost %" PRIu64
		      ", reordered %" PRIu64 ", duplicates %" PRIu64 ", corrupted %" PRIu64
		      ", others %" PRIu64
		      "\n  latency in us: 50 %% %.1f, 90 %% %.1f, 99 %% %.1f, 99.9 %% %.1f, max %.1f\n",
	       v->packets, v->streams, v->lost, v->reordered, v->duplicate, v->corrupt, v->other,
	       latency(v, 500), latency(v, 900), latency(v, 990), latency(v, 999),
	       (double)v->max * 1e-3);
}

static bool prepare(struct program *p)
{
	for (unsigned i = 0; i < p->link_count && verify; i++) {
		verifies[i] = calloc(1, sizeof(*verifies[i]));
		if (!verifies[i])
			return wrong("--verify: no memory for so many links");
	}
	return true;
}

/* ---- receiving ----------------------------------------------------------------------------------- */

/* The stamp is at the end, and of all bytes: a packet of several Bufs is put together. */
static void verify_burst(struct verify *v, const struct sxsk_buf bufs[], unsigned n)
{
	unsigned char whole[SXSK_MAX_FRAGS * 4096];
	uint64_t now = sxsk_stamp_clock();
	uint32_t before = 0;

	for (unsigned i = 0; i < n; i++) {
		const unsigned char *data = sxsk_buf_data(bufs[i]);
		uint32_t len = sxsk_buf_len(bufs[i]);
		const bool last = sxsk_buf_is_last(bufs[i]);

		if ((before || !last) && before + len <= sizeof(whole)) {
			memcpy(whole + before, data, len);
			data = whole;
			len = before += len;
		}
		if (last)
			verify_packet(v, data, len, now);
		before = last ? 0 : before;
	}
}

static void receive(struct link *link)
{
	struct verify *v = verifies[link - link->program->links];
	const unsigned events = SXSK_WAIT_RX;
	struct sxsk_buf bufs[MAX_BATCH];
	unsigned n, idle = 0;

	while (!stopping(link->program)) {
		n = sxsk_rx_burst(link->socket, bufs, link->batch);
		if (n > 0)
			received(link, bufs[0]);
		if (v)
			verify_burst(v, bufs, n);
		sxsk_buf_unref_burst(bufs, n);
		idle = n ? 0 : idle + 1;
		if (idle >= IDLE_LOOKS && !links_sleep(link, &events, 1))
			break;
	}
	link_finish(link, NULL, 0);
}

int main(int argc, char **argv)
{
	static struct program program = {
		.name = "rxdrop",
		.example = "--link veth0 --link veth1:3",
		.prepare = prepare,
		.work = receive,
		.account = account,
		.links_per_thread = 1,
		.socket_flags = SXSK_SOCKET_NO_TX,
	};
	const struct option options[] = {
		{ "--link", "IF[:Q]", "interface, or mem:NAME, and its queue (0); may be repeated",
		  option_link, &program, 0, 0 },
		{ "--verify", NULL, "say what became of txgen's packets", option_set, &verify, 1,
		  0 },
		COMMON_OPTIONS(&program),
	};

	return program_run(&program, options, argc, argv);
}
