/* SPDX-License-Identifier: BSD-2-Clause */
/* What the programs that the examples are compared with have in common: options, the XDP program, signals, the
 * account at the end. Nothing of it is in their loops. */
#ifndef SXSK_BENCH_FORWARDER_H
#define SXSK_BENCH_FORWARDER_H

#include <signal.h>
#include <stdint.h>

#define FORWARDER_LINKS 2
#define FORWARDER_SLEEP_MS 100

enum forwarder_mode {
	FORWARDER_DROP,   /* receive and count, as rxdrop */
	FORWARDER_BOUNCE, /* swap the MACs and send back, as l2fwd-1link */
	FORWARDER_CABLE,  /* to the other link, unchanged, as l2fwd-2link-multicore */
	FORWARDER_THREADS /* the same with a thread for each link, as l2fwd-2link */
};

struct forwarder {
	const char *name;
	enum forwarder_mode mode;
	const char *ifname[FORWARDER_LINKS];
	unsigned links;
	uint32_t bufnum, burst, duration;
	/* Counters of all links: packets, receive calls that got some, system calls. */
	uint64_t rx_packets, rx_bursts, tx_packets, kicks, polls;
	double begin;
};

/* By a signal, or at the end of the duration. */
extern volatile sig_atomic_t forwarder_stop;

/* Ends the program where the options are wrong. */
void forwarder_parse(struct forwarder *f, const char *name, int argc, char *argv[]);

/* Attach an XDP program, natively. With an XSKMAP it gives packets to the socket of their queue; with -1 it
 * passes all of them: a veth that another XDP program sends to needs one. Returns the link, and closing that takes
 * it off. */
int forwarder_attach(const char *ifname, int map_fd);

/* Just before the loop: say so, and let signals end it. */
void forwarder_begin(struct forwarder *f, const char *how);

/* After it: print the account, one JSON object. */
void forwarder_end(const struct forwarder *f);

__attribute__((noreturn, cold, format(printf, 1, 2))) void forwarder_die(const char *format, ...);

#endif
