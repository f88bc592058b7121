/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rxdrop: receive and count.
 *
 *   rxdrop --link veth0 --link veth1:3        (queue 0 of veth0, queue 3 of veth1)
 *
 * A receive-only program: an unref sends a frame home, and the next rx_burst gives it to the kernel
 * again, so it never runs out of them.
 */
#include "common.h"

static void receive(struct link *link)
{
	const unsigned events = SXSK_WAIT_RX;
	struct sxsk_buf bufs[MAX_BATCH];
	unsigned n, idle = 0;

	while (!stopping(link->program)) {
		n = sxsk_rx_burst(link->socket, bufs, link->batch);
		if (n > 0)
			received(link, bufs, n);
		sxsk_buf_unref_burst(bufs, n);
		idle = n ? 0 : idle + 1;
		if (idle >= IDLE_LOOKS && !links_sleep(link, &events, 1))
			break;
	}
	link_finish(link, NULL, 0);
}

int main(int argc, char **argv)
{
	struct program program = {
		.name = "rxdrop",
		.example = "--link veth0 --link veth1:3",
		.work = receive,
		.links_per_thread = 1,
		.socket_flags = SXSK_SOCKET_NO_TX,
	};
	const struct option options[] = {
		{ "--link", "IF[:Q]", "interface, or mem:NAME, and its queue (0); may be repeated",
		  option_link, NULL, 0, 0 },
		COMMON_OPTIONS(&program),
	};

	return program_run(&program, options, argc, argv);
}
