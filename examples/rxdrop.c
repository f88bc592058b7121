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
	struct program *program = link->program;
	struct sxsk_buf bufs[MAX_BATCH];
	unsigned n, idle = 0;
	int error;

	while (!stopping(program)) {
		n = sxsk_rx_burst(link->socket, bufs, link->batch);
		if (n > 0)
			hold_one(link, bufs[0]);
		sxsk_buf_unref_burst(bufs, n);
		idle = n ? 0 : idle + 1;
		if (idle < IDLE_LOOKS)
			continue;
		/* Other threads may need the free frames that would rest in this thread's lane. */
		sxsk_lane_flush(program->pool);
		error = sxsk_socket_wait(link->socket, SXSK_WAIT_RX, SLEEP_MS);
		if (error < 0) {
			link_fail(link, error);
			break;
		}
	}
	link_finish(link, NULL, 0);
}

int main(int argc, char **argv)
{
	struct program program = {
		.name = "rxdrop",
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
