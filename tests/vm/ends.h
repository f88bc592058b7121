/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * For the scenarios that run in a guest, between two interfaces of a virtual machine: sockets, packets with
 * numbers whose every byte is checked, and the example programs as child processes. Whatever goes wrong
 * ends the program with a sentence.
 */
#ifndef SXSK_TEST_VM_ENDS_H
#define SXSK_TEST_VM_ENDS_H

#include <safexsk/safexsk.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define FLOWS 16u /* UDP flows: a device spreads them over its queues */
/* Packets on the way. Half of an interface's 256 buffers may be waiting for their refill; and QEMU lets a
 * packet overtake those for which there was no buffer. */
#define WINDOW 96u

/* What the row of a scenario says. */
struct tally {
	_Atomic uint64_t sent;
	uint64_t received, verified;
};

_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The kernel has no such thing: exit status 77. */
_Noreturn void lacks(const char *format, ...) __attribute__((format(printf, 1, 2)));

struct sxsk_pool *pool_of(uint32_t frames);
/* All packets of the queue, in this mode, which is read back. */
struct sxsk_socket *open_end(struct sxsk_pool *pool, const char *ifname, uint32_t queue,
			     uint32_t mode);
/* The same with other options, of which the mode is read back. */
struct sxsk_socket *open_with(struct sxsk_pool *pool, const char *ifname, uint32_t queue,
			      const struct sxsk_socket_opts *opts);
struct sxsk_socket_stats stats_of(struct sxsk_socket *socket);
/* Everything is closed: no frame is in a Buf or on its way, and none is missing. Gives the pool back. */
void account(struct sxsk_pool *pool);

/* Send up to n (64 at most) packets numbered from `first`: how many were taken. */
unsigned send_numbered(struct sxsk_socket *socket, struct sxsk_pool *pool, uint32_t first,
		       unsigned n);

/* Who receives. */
struct receiver {
	struct tally *tally;
	uint32_t next[FLOWS]; /* lowest number that may come */
	bool swapped;         /* their MAC addresses are */
	bool complete;        /* none may be missing */
	bool overtaken;       /* one may come after the next: more are sent than WINDOW allows */
};

/* Receive what is there; others' packets are not counted. */
void receive_numbered(struct sxsk_socket *socket, struct receiver *r);

/* Send n packets and receive them all. `back` is where they arrive; it may be `from`. */
void carry(struct sxsk_socket *from, struct sxsk_pool *pool, struct sxsk_socket *back,
	   struct receiver *r, uint32_t n);

/* A thread that sends for as long as it is not told to end. */
struct traffic;
struct traffic *traffic_start(struct sxsk_socket *socket, struct sxsk_pool *pool,
			      struct tally *tally);
void traffic_stop(struct traffic *t);

/* An example program. */
struct child {
	pid_t pid;
	int out; /* what it prints */
	char printed[8192];
	size_t length;
};

/* Start it; returns when it has opened `links` links, each of them in this mode. */
void child_start(struct child *c, const char *const argv[], unsigned links, const char *mode);
/* It ends with this exit status by itself, or because of the signal, and then printed this line. */
void child_end(struct child *c, int signal, int status, const char *line);

double seconds(void);

#endif
