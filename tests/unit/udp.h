/* SPDX-License-Identifier: BSD-2-Clause */
/* Numbered UDP packets, and a neighbour: v1 in a network namespace of its own, at 10.0.0.2, while v0 has
 * 10.0.0.1. */
#ifndef SXSK_TEST_UDP_H
#define SXSK_TEST_UDP_H

#include "veth.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define UDP_HEADERS 42u
#define UDP_LENGTH 64u

static inline struct sxsk_rule to_port(uint16_t port, uint32_t target)
{
	return (struct sxsk_rule){ .sz = sizeof(struct sxsk_rule),
				   .match = SXSK_MATCH_IP_PROTO | SXSK_MATCH_DST_PORT,
				   .ip_proto = 17,
				   .dst_port = port,
				   .target = target };
}

static inline struct sxsk_prog *new_prog(const struct sxsk_rule rules[], unsigned n)
{
	struct sxsk_prog *prog;

	cr_assert_eq(sxsk_prog_create(&prog, NULL), 0, "%s", sxsk_last_error());
	cr_assert_eq(sxsk_prog_steer(prog, rules, n), 0, "%s", sxsk_last_error());
	return prog;
}

/* Bytes of a packet to the port, with a number. */
static inline void fill_udp(unsigned char *p, uint16_t port, uint32_t number)
{
	static const unsigned char head[] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2,  0, 0,  0,
					      0,    9,    8,    0, /* Ethernet */
					      0x45, 0,    0,    50,   0,    0,    0,  0, 64, 17,
					      0,    0,    10,   0,    0,    2,    10, 0, 0,  1,
					      0,    9,    0,    0,    0,    30,   0,  0 };

	memset(p, 0, UDP_LENGTH);
	memcpy(p, head, sizeof(head));
	p[36] = (unsigned char)(port >> 8);
	p[11] = p[37] = (unsigned char)port; /* the port tells by the sender's MAC, too */
	memcpy(p + UDP_HEADERS, &number, sizeof(number));
}

static inline uint16_t udp_port(const unsigned char *p)
{
	return (uint16_t)(p[36] << 8 | p[37]);
}

static inline uint32_t udp_number(const unsigned char *p)
{
	uint32_t number;

	memcpy(&number, p + UDP_HEADERS, sizeof(number));
	return number;
}

static inline void send_udp(struct sxsk_socket *from, struct sxsk_pool *pool, uint16_t port,
			    uint32_t number)
{
	const int64_t end = milliseconds() + 20000;
	struct sxsk_buf b;

	while (sxsk_pool_alloc(pool, &b, 1) == 0) {
		cr_assert_lt(milliseconds(), end);
		cr_assert_eq(sxsk_tx_burst(from, NULL, 0), 0);
	}
	cr_assert_eq(sxsk_buf_put(&b, UDP_LENGTH), 0);
	fill_udp(sxsk_buf_data_mut(b), port, number);
	while (sxsk_tx_burst(from, &b, 1) == 0)
		cr_assert_lt(milliseconds(), end);
}

/* ---- the neighbour -------------------------------------------------------------------------------- */

struct neighbour {
	pid_t pid; /* a process that does nothing, in the namespace */
};

static inline void neighbour_end(struct neighbour *n)
{
	kill(n->pid, SIGKILL);
	waitpid(n->pid, NULL, 0);
}

static inline struct neighbour neighbour_begin(void)
{
	const pid_t parent = getpid();
	struct neighbour n = { .pid = -1 };
	int ready[2];
	char byte = 0;

	cr_assert_eq(pipe(ready), 0);
	n.pid = fork();
	cr_assert_geq(n.pid, 0);
	if (!n.pid) {
		if (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != parent ||
		    unshare(CLONE_NEWNET) || write(ready[1], &byte, 1) != 1)
			_exit(1);
		pause();
		_exit(0);
	}
	close(ready[1]);
	cr_assert_eq(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	run("ip link set v0 address 02:00:00:00:00:01; ip addr add 10.0.0.1/24 dev v0");
	run("ip link set v1 address 02:00:00:00:00:02; ip link set v1 netns %d", (int)n.pid);
	run("nsenter -t %d -n sh -c 'ip link set lo up; ip link set v1 up; ip addr add "
	    "10.0.0.2/24 dev v1; ip neigh add 10.0.0.1 dev v1 lladdr 02:00:00:00:00:01'",
	    (int)n.pid);
	/* By hand: address resolution is none of the tests' business. */
	run("ip neigh add 10.0.0.2 dev v0 lladdr 02:00:00:00:00:02");
	return n;
}

/* An ordinary UDP socket, at 10.0.0.1 here or 10.0.0.2 there. */
static inline int udp_socket(const struct neighbour *there, uint16_t port)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(port) };
	const int here = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	char path[64];
	int fd, ns;

	if (there) {
		snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)there->pid);
		ns = open(path, O_RDONLY | O_CLOEXEC);
		cr_assert_eq(setns(ns, CLONE_NEWNET), 0);
		close(ns);
	}
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	at.sin_addr.s_addr = inet_addr(there ? "10.0.0.2" : "10.0.0.1");
	cr_assert_eq(bind(fd, (const void *)&at, sizeof(at)), 0, "%s", strerror(errno));
	cr_assert_eq(setns(here, CLONE_NEWNET), 0);
	close(here);
	return fd;
}

static inline void udp_send(int fd, uint16_t port, uint32_t number)
{
	const struct sockaddr_in to = { .sin_family = AF_INET,
					.sin_port = htons(port),
					.sin_addr.s_addr = inet_addr("10.0.0.1") };

	cr_assert_eq(sendto(fd, &number, sizeof(number), 0, (const void *)&to, sizeof(to)),
		     sizeof(number), "%s", strerror(errno));
}

/* Datagrams that are there, or come within the patience; they are numbered from *next. */
static inline void udp_receive(int fd, uint32_t *next, int patience_ms)
{
	struct timeval patience = { patience_ms / 1000, patience_ms % 1000 * 1000 };
	uint32_t number;

	cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
	if (recv(fd, &number, sizeof(number), 0) != sizeof(number))
		return;
	cr_assert_eq(number, *next, "%u instead of %u", number, *next);
	++*next;
}

#endif
