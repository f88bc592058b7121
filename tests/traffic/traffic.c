/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * traffic: send numbered frames of random content and length, and check that they arrive complete,
 * in order and byte for byte.
 *
 *   traffic echo END            they come back to END, their MACs swapped exactly once
 *   traffic one-way END END     they arrive unchanged at the second END
 *   traffic forward END END     the same, in both directions at once
 *
 * END is an interface, or NETNS/INTERFACE. A frame's content follows from the seed, its flow and its
 * number, so the checker makes it again and compares. So many frames as the window says are on the
 * way at one time: fewer than a veth's queue of 256, since what that drops is nobody's bug.
 *
 * With --load SECONDS there is no window, and losses are counted, not errors; everything else is.
 */
#include "packet.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define ETHERTYPE 0x88b5u /* IEEE 802: local experiments */
#define MAGIC 0x7c5f3a91u
#define HEADER (14u + 2 * TAG_LEN + (uint32_t)sizeof(struct label))
#define MAX_COUNT (1ull << 26)
#define STALL 60 /* times 50 ms in which no frame came, and some are missing */

/* Behind the EtherType: which frame of which flow of which run this is. */
struct label {
	uint32_t magic;
	uint32_t flow;
	uint64_t run; /* differs between runs, so that frames of an earlier one are not taken for ours */
	uint64_t number;
};

struct options {
	uint64_t count, seed, window, min, max, vlan, timeout, load;
};

/* Frames from one end to another. */
struct flow {
	uint32_t id;
	struct end *from, *to;
	bool swapped; /* expected MACs */
	uint64_t sent, received, next;
	uint64_t reordered, duplicated, corrupted, unswapped;
	unsigned char *seen; /* one bit per number */
	struct frame unsent[BURST];
	unsigned first, filled; /* of unsent: made, but not taken by the kernel yet */
	bool gone;              /* the interface went down or away */
	bool failed;            /* another error, already printed */
};

static struct options options = {
	.count = 100000,
	.seed = 1,
	.window = 128,
	.min = 60,
	.max = 1514,
	.vlan = 25,
	.timeout = 60,
};
static uint64_t run;
static unsigned shown; /* differences printed */
static uint64_t strangers, misdirected;

static uint64_t between(uint64_t *state, uint64_t min, uint64_t max)
{
	return min + random_next(state) % (max - min + 1);
}

/* MACs that nobody has: unicast, local; one in 16 goes to a multicast address, which a forwarder must
 * not treat differently. */
static unsigned char *make_macs(unsigned char *p, uint64_t *state)
{
	uint64_t to = random_next(state), from = random_next(state);

	memcpy(p, &to, 6);
	memcpy(p + 6, &from, 6);
	p[0] = (unsigned char)((p[0] & 0xfc) | 2 | (random_next(state) % 16 == 0));
	p[6] = (unsigned char)((p[6] & 0xfc) | 2);
	return p + 12;
}

static unsigned char *make_tag(unsigned char *p, uint16_t type, uint64_t *state)
{
	uint16_t tag[2] = { htons(type), (uint16_t)random_next(state) };

	memcpy(p, tag, TAG_LEN);
	return p + TAG_LEN;
}

/* The frame with this number: a function of (seed, flow, number) alone. */
static void make_frame(struct frame *frame, const struct flow *flow, uint64_t number)
{
	uint64_t state =
		options.seed * 0x2545f4914f6cdd1du + flow->id * 0x632be59bd9b4e019u + number;
	struct label label = { MAGIC, flow->id, run, number };
	const uint16_t type = htons(ETHERTYPE);
	unsigned char *p, *end;

	random_next(&state);
	frame->len = (uint32_t)between(&state, options.min, options.max);
	frame->data = frame->room + TAG_LEN;
	p = make_macs(frame->data, &state);
	if (between(&state, 1, 100) <= options.vlan) {
		/* As a card sends it: one 802.1Q tag may make the frame longer than it could be without.
		 * Packet sockets do not allow that for an 802.1ad tag. */
		if (random_next(&state) % 4 == 0)
			p = make_tag(p, 0x88a8, &state);
		else
			frame->len += TAG_LEN;
		p = make_tag(p, 0x8100, &state);
	}
	memcpy(p, &type, 2);
	memcpy(p + 2, &label, sizeof(label));
	end = frame->data + frame->len;
	for (p += 2 + sizeof(label); p < end; p += 8) {
		uint64_t bytes = random_next(&state);

		memcpy(p, &bytes, end - p < 8 ? (size_t)(end - p) : 8);
	}
}

/* Is it one of this run? Then its label. */
static bool read_label(const struct frame *frame, struct label *label)
{
	const unsigned char *p = frame->data + 12, *end = frame->data + frame->len;
	uint16_t type;

	for (unsigned tags = 0; tags <= 2 && p + 2 + sizeof(*label) <= end; tags++, p += TAG_LEN) {
		memcpy(&type, p, 2);
		if (type == htons(ETHERTYPE)) {
			memcpy(label, p + 2, sizeof(*label));
			return label->magic == MAGIC && label->run == run;
		}
	}
	return false;
}

static void show(const struct flow *flow, uint64_t number, const struct frame *expected,
		 const struct frame *got)
{
	uint32_t at = 0;

	if (shown++ >= 5)
		return;
	while (at < expected->len && at < got->len && expected->data[at] == got->data[at])
		at++;
	printf("frame %llu to %s: expected %u bytes, got %u; first difference at byte %u\n",
	       (unsigned long long)number, flow->to->spec, expected->len, got->len, at);
}

/* Is the content right? */
static void check_content(struct flow *flow, uint64_t number, const struct frame *got)
{
	static struct frame expected;

	make_frame(&expected, flow, number);
	if (flow->swapped)
		swap_macs(expected.data);
	if (got->len == expected.len && memcmp(got->data, expected.data, got->len) == 0)
		return;
	show(flow, number, &expected, got);
	swap_macs(expected.data);
	if (got->len == expected.len && memcmp(got->data, expected.data, got->len) == 0)
		flow->unswapped++;
	else
		flow->corrupted++;
}

/* Is it the one that comes next? */
static void check_order(struct flow *flow, uint64_t number)
{
	unsigned char bit = (unsigned char)(1u << number % 8);

	if (flow->seen[number / 8] & bit) {
		flow->duplicated++;
		return;
	}
	flow->seen[number / 8] |= bit;
	flow->received++;
	if (number < flow->next) {
		flow->reordered++;
		return;
	}
	flow->next = number + 1;
}

static void check_frame(struct flow *flows, unsigned n, const struct end *at,
			const struct frame *got)
{
	struct label label;
	struct flow *flow;

	if (!read_label(got, &label)) {
		strangers++;
		return;
	}
	if (label.flow >= n || label.number >= flows[label.flow].sent) {
		strangers++; /* a broken label: its own frame will be missing */
		return;
	}
	flow = &flows[label.flow];
	if (flow->to != at) {
		misdirected++;
		return;
	}
	check_order(flow, label.number);
	check_content(flow, label.number, got);
}

static void set_error(struct flow *flow, const struct end *end, const char *what, int error)
{
	flow->gone = end_is_gone(error);
	flow->failed = !flow->gone || options.load == 0;
	if (flow->failed)
		fprintf(stderr, "%s: %s: %s\n", end->spec, what, strerror(-error));
}

/* true: something came. */
static bool receive(struct flow *flows, unsigned n, struct flow *flow)
{
	static struct frame frames[BURST];
	int got = end_receive(flow->to, frames);

	if (got < 0)
		set_error(flow, flow->to, "receive", got);
	for (int i = 0; i < got; i++)
		check_frame(flows, n, flow->to, &frames[i]);
	return got > 0;
}

/* Make the next burst, as far as the window allows. */
static void fill(struct flow *flow, double now, double end)
{
	uint64_t room = flow->next + options.window - flow->sent;

	flow->first = flow->filled = 0;
	if (options.load != 0)
		room = now < end ? BURST : 0;
	while (flow->filled < BURST && room > 0 && flow->sent < options.count) {
		make_frame(&flow->unsent[flow->filled++], flow, flow->sent++);
		room--;
	}
}

/* true: there was something to send. */
static bool send_some(struct flow *flow, double now, double end)
{
	struct frame *frames[BURST];
	unsigned n = 0;
	int sent;

	if (flow->first == flow->filled)
		fill(flow, now, end);
	for (unsigned i = flow->first; i < flow->filled; i++)
		frames[n++] = &flow->unsent[i];
	if (n == 0)
		return false;
	sent = end_send(flow->from, frames, n);
	if (sent >= 0)
		flow->first += (unsigned)sent;
	else if (sent == -ENOBUFS || sent == -EAGAIN)
		usleep(100); /* the device's queue is full, and the frame was not sent */
	else
		set_error(flow, flow->from, "send", sent);
	return true;
}

static bool complete(const struct flow *flow, double now, double end)
{
	return options.load != 0 ? now > end + 0.3 : flow->received == options.count;
}

/* true: every flow went to its end. */
static bool exchange(struct flow *flows, unsigned n, double start)
{
	double now = start, end = start + (double)options.load;
	unsigned in_vain = 0; /* looks, and not the clock, which goes on while nobody runs */

	while (now < start + (double)options.timeout && in_vain < STALL) {
		bool busy = false, all = true;
		struct pollfd poll_in[2];

		for (unsigned i = 0; i < n; i++) {
			struct flow *flow = &flows[i];
			uint64_t before = flow->received;

			busy |= send_some(flow, now, end);
			busy |= receive(flows, n, flow);
			if (flow->received != before || options.load != 0)
				in_vain = 0;
			if (flow->gone || flow->failed)
				return !flow->failed;
			all &= complete(flow, now, end);
			poll_in[i] = (struct pollfd){ .fd = flow->to->fd, .events = POLLIN };
		}
		if (all)
			return true;
		if (!busy && poll(poll_in, n, 50) == 0)
			in_vain++;
		now = seconds_now();
	}
	printf("gave up after %.1f s: %s\n", now - start,
	       in_vain < STALL ? "time is up" : "frames are missing");
	return false;
}

static bool report(const struct flow *flow, double seconds)
{
	uint64_t sent = flow->sent - (flow->filled - flow->first), lost = sent - flow->received;

	printf("%s -> %s: sent %llu, received %llu, lost %llu, reordered %llu, duplicated %llu, "
	       "corrupted %llu, MACs wrong %llu, %.0f kpps\n",
	       flow->from->spec, flow->to->spec, (unsigned long long)sent,
	       (unsigned long long)flow->received, (unsigned long long)lost,
	       (unsigned long long)flow->reordered, (unsigned long long)flow->duplicated,
	       (unsigned long long)flow->corrupted, (unsigned long long)flow->unswapped,
	       (double)flow->received / seconds / 1000);
	return (lost == 0 || options.load != 0) && flow->received != 0 &&
	       flow->reordered + flow->duplicated + flow->corrupted + flow->unswapped == 0;
}

static void usage(void)
{
	fprintf(stderr,
		"usage: traffic echo END | one-way END END | forward END END   (END: [NETNS/]IF)\n"
		"  --count N (%llu)  --seed N (%llu)  --window FRAMES (%llu)  --timeout SECONDS (%llu)\n"
		"  --min BYTES (%llu)  --max BYTES (%llu)  --vlan PERCENT (%llu)\n"
		"  --load SECONDS  for that long as fast as it goes; losses are no errors\n",
		(unsigned long long)options.count, (unsigned long long)options.seed,
		(unsigned long long)options.window, (unsigned long long)options.timeout,
		(unsigned long long)options.min, (unsigned long long)options.max,
		(unsigned long long)options.vlan);
	exit(1);
}

static void parse(int argc, char **argv)
{
	static const struct {
		const char *name;
		uint64_t *value, min, max;
	} table[] = {
		{ "--count", &options.count, 1, MAX_COUNT },
		{ "--seed", &options.seed, 0, UINT64_MAX },
		{ "--window", &options.window, 1, 65536 },
		{ "--min", &options.min, HEADER, FRAME_MAX - 2 * TAG_LEN },
		{ "--max", &options.max, HEADER, FRAME_MAX - 2 * TAG_LEN },
		{ "--vlan", &options.vlan, 0, 100 },
		{ "--timeout", &options.timeout, 1, 3600 },
		{ "--load", &options.load, 1, 3600 },
	};

	for (int i = 0; i < argc; i += 2) {
		unsigned at = 0;

		while (at < sizeof(table) / sizeof(table[0]) &&
		       strcmp(table[at].name, argv[i]) != 0)
			at++;
		if (at == sizeof(table) / sizeof(table[0]) || i + 1 == argc)
			usage();
		*table[at].value =
			number_option(argv[i], argv[i + 1], table[at].min, table[at].max);
	}
	if (options.min > options.max)
		usage();
	if (options.load != 0)
		options.count = MAX_COUNT;
}

/* How many flows; 0 = none of the modes. */
static unsigned make_flows(const char *mode, struct end ends[2], struct flow flows[2])
{
	bool echo = strcmp(mode, "echo") == 0, both = strcmp(mode, "forward") == 0;

	if (!echo && !both && strcmp(mode, "one-way") != 0)
		return 0;
	flows[0] = (struct flow){ .from = &ends[0], .to = &ends[echo ? 0 : 1], .swapped = echo };
	flows[1] = (struct flow){ .id = 1, .from = &ends[1], .to = &ends[0] };
	return both ? 2 : 1;
}

int main(int argc, char **argv)
{
	static struct flow flows[2];
	struct end ends[2];
	unsigned n, specs;
	double start;
	bool ok;

	n = argc > 2 ? make_flows(argv[1], ends, flows) : 0;
	specs = n == 1 && flows[0].from == flows[0].to ? 1 : 2;
	if (n == 0 || argc < 2 + (int)specs)
		usage();
	parse(argc - 2 - (int)specs, argv + 2 + specs);
	for (unsigned i = 0; i < specs; i++)
		if (!end_open(&ends[i], argv[2 + i]))
			return 1;
	for (unsigned i = 0; i < n; i++)
		flows[i].seen = calloc(options.count / 8 + 1, 1);
	if (flows[0].seen == NULL || (n == 2 && flows[1].seen == NULL) ||
	    getrandom(&run, sizeof(run), 0) != sizeof(run))
		return 1;
	start = seconds_now();
	ok = exchange(flows, n, start);
	for (unsigned i = 0; i < n; i++) {
		ok &= report(&flows[i], seconds_now() - start);
		free(flows[i].seen);
	}
	if (strangers + misdirected != 0)
		printf("%llu other frames, %llu at the wrong end\n", (unsigned long long)strangers,
		       (unsigned long long)misdirected);
	ok &= misdirected == 0;
	if (ok)
		puts("traffic: ok");
	else
		printf("traffic: FAILED, seed %llu\n", (unsigned long long)options.seed);
	return ok ? 0 : 1;
}
