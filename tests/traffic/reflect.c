/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * reflect: a forwarder over packet sockets, right or wrong as asked. The checker is checked with it.
 *
 *   reflect echo END           send every frame back, its MACs swapped
 *   reflect forward END END    send every frame to the other end, unchanged
 *
 * --fault NAME[:EVERY] makes a mistake with one frame in EVERY (1000). --seconds N ends it.
 */
#include "packet.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const faults[] = {
	"none", "drop", "duplicate", "reorder", "corrupt", "truncate", "untag", "noswap",
};
enum { NONE, DROP, DUPLICATE, REORDER, CORRUPT, TRUNCATE, UNTAG, NOSWAP, FAULTS };

static unsigned fault;
static uint64_t every = 1000, seconds = 60, frames_seen;

static void send_one(struct end *to, struct frame *frame)
{
	int sent;

	while ((sent = end_send(to, &frame, 1)) == -ENOBUFS || sent == -EAGAIN)
		usleep(100);
	if (sent < 0) {
		fprintf(stderr, "%s: %s\n", to->spec, strerror(-sent));
		exit(1);
	}
}

/* Do it wrong, but for the sending. */
static void spoil(struct frame *frame)
{
	switch (fault) {
	case CORRUPT:
		frame->data[frame->len - 1] ^= 0x10;
		break;
	case TRUNCATE:
		frame->len--;
		break;
	case UNTAG:
		memmove(frame->data + TAG_LEN, frame->data, 12);
		frame->data += TAG_LEN;
		frame->len -= TAG_LEN;
		break;
	case NOSWAP:
		swap_macs(frame->data);
		break;
	}
}

static bool is_tagged(const struct frame *frame)
{
	return (frame->data[12] == 0x81 && frame->data[13] == 0) ||
	       (frame->data[12] == 0x88 && frame->data[13] == 0xa8);
}

static void reflect(struct end *to, struct frame *frame, bool swap)
{
	static struct frame held;
	static bool holding;
	bool wrong = fault != NONE && ++frames_seen % every == 0;

	if (fault == UNTAG && !is_tagged(frame))
		wrong = false;
	if (swap)
		swap_macs(frame->data);
	if (wrong)
		spoil(frame);
	if (wrong && fault == DROP)
		return;
	if (wrong && fault == REORDER) {
		held.len = frame->len;
		held.data = held.room;
		memcpy(held.data, frame->data, frame->len);
		holding = true;
		return;
	}
	send_one(to, frame);
	if (wrong && fault == DUPLICATE)
		send_one(to, frame);
	if (holding) {
		holding = false;
		send_one(to, &held);
	}
}

/* true: something came. */
static bool pump(struct end *from, struct end *to, bool swap)
{
	static struct frame frames[BURST];
	int got = end_receive(from, frames);

	if (got < 0) {
		fprintf(stderr, "%s: %s\n", from->spec, strerror(-got));
		exit(1);
	}
	for (int i = 0; i < got; i++)
		if (frames[i].len >= 14)
			reflect(to, &frames[i], swap);
	return got > 0;
}

static void set_fault(const char *value)
{
	size_t len = strcspn(value, ":");

	for (fault = 0; fault < FAULTS; fault++)
		if (strlen(faults[fault]) == len && strncmp(faults[fault], value, len) == 0)
			break;
	if (fault == FAULTS) {
		fprintf(stderr, "--fault: there is no '%s'\n", value);
		exit(1);
	}
	if (value[len] == ':')
		every = number_option("--fault", value + len + 1, 1, UINT64_MAX);
}

int main(int argc, char **argv)
{
	bool echo = argc > 2 && strcmp(argv[1], "echo") == 0;
	bool forward = argc > 3 && strcmp(argv[1], "forward") == 0;
	struct end ends[2];
	double end;

	for (int i = echo ? 3 : 4; i < argc; i += 2) {
		if (i + 1 < argc && strcmp(argv[i], "--fault") == 0)
			set_fault(argv[i + 1]);
		else if (i + 1 < argc && strcmp(argv[i], "--seconds") == 0)
			seconds = number_option(argv[i], argv[i + 1], 1, 3600);
		else
			echo = forward = false;
	}
	if (!echo && !forward) {
		fprintf(stderr, "usage: reflect echo END | forward END END  "
				"[--fault NAME[:EVERY]] [--seconds N]\n");
		return 1;
	}
	if (!end_open(&ends[0], argv[2]) || (forward && !end_open(&ends[1], argv[3])))
		return 1;
	puts("reflect: ready");
	fflush(stdout);
	for (end = seconds_now() + (double)seconds; seconds_now() < end;) {
		struct pollfd in[2] = { { .fd = ends[0].fd, .events = POLLIN },
					{ .fd = forward ? ends[1].fd : -1, .events = POLLIN } };
		bool busy = pump(&ends[0], forward ? &ends[1] : &ends[0], echo);

		if (forward)
			busy |= pump(&ends[1], &ends[0], false);
		if (!busy)
			poll(in, 2, 100);
	}
	return 0;
}
