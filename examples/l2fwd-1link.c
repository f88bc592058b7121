/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * l2fwd-1link: swap the MAC addresses of every packet and send it back where it came from.
 *
 *   l2fwd-1link --link-name veth0 --duration 10
 *
 * The smallest useful program on one socket: receive a burst of Bufs, change them, send them. Frames
 * need no bookkeeping: rx_burst gives Bufs, tx_burst takes them and brings their frames home after
 * transmission, rx_burst refills the FILL ring from there.
 */
#include "common.h"

/* A received Buf has one owner, so it may be written to. Packets too short for an Ethernet header
 * are left alone; tx_burst will drop and count them. */
static void swap_macs(struct sxsk_buf buf)
{
	struct mac {
		unsigned char byte[6];
	} *mac = sxsk_buf_data_mut(buf), t;

	if (sxsk_buf_len(buf) < 14)
		return;
	t = mac[0];
	mac[0] = mac[1];
	mac[1] = t;
}

static void forward(struct link *link)
{
	struct sxsk_socket *socket = link->socket;
	struct sxsk_buf bufs[MAX_BATCH];
	unsigned n = 0, sent = 0, taken, idle = 0, events;

	while (!stopping(link->program)) {
		/* Only when all of the last burst is sent: what is still to be sent is swapped already. */
		if (sent == n) {
			sent = 0;
			n = sxsk_rx_burst(socket, bufs, link->batch);
			for (unsigned i = 0; i < n; i++) {
				if (i + SXSK_PREFETCH_AHEAD < n)
					sxsk_buf_prefetch(bufs[i + SXSK_PREFETCH_AHEAD]);
				if (i == 0 || sxsk_buf_is_last(bufs[i - 1]))
					swap_macs(bufs[i]);
			}
			if (n > 0)
				received(link, bufs[0]);
		}
		/* Takes as many as there is room for. With none it still moves on what was taken before. */
		taken = sxsk_tx_burst(socket, bufs + sent, n - sent);
		sent += taken;
		idle = n == 0 || taken == 0 ? idle + 1 : 0;
		events = sent < n ? SXSK_WAIT_TX : SXSK_WAIT_RX;
		if (idle >= IDLE_LOOKS && !links_sleep(link, &events, 1))
			break;
	}
	link_finish(link, bufs + sent, n - sent);
}

int main(int argc, char **argv)
{
	struct program program = {
		.name = "l2fwd-1link",
		.example = "--link-name veth0",
		.work = forward,
		.links_per_thread = 1,
		.link_count = 1,
	};
	struct link *link = &program.links[0];
	const struct option options[] = {
		{ "--link-name", "IF", "interface, or mem:NAME", option_text, &link->name, 1, 0 },
		{ "--link-channel", "Q", "its queue (0)", option_number, &link->queue, 0, 65535 },
		COMMON_OPTIONS(&program),
	};

	return program_run(&program, options, argc, argv);
}
