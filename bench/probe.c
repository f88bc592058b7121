/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * probe: how long a packet takes to a forwarder and back, one at a time, among whatever else is on the way.
 *
 *   probe IF --duration 2 [--back IF] [--interval MICROSECONDS]
 *
 * A packet socket sends a packet with a number and the time, and waits for it there, or at the interface that
 * --back names. Prints how many were sent
 * and came back, and quantiles of the time in microseconds. A packet that is not back after LOST_MS is
 * lost. The socket sees packets before a program at the interface's ingress does.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ETHERTYPE 0x88b6u /* for local experiments, the second one: flood has the first */
#define SAMPLES_MAX 1000000u
#define LOST_MS 100

struct packet {
	unsigned char macs[12];
	unsigned char type[2];
	unsigned char pad[2];
	uint64_t number, sent;
	unsigned char rest[28];
};

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int fail(const char *what)
{
	fprintf(stderr, "probe: %s: %s\n", what, strerror(errno));
	return 1;
}

static int open_socket(const char *ifname)
{
	/* Only packets of our type that came in. */
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 12),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETHERTYPE, 0, 3),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_PKTTYPE)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PACKET_OUTGOING, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, 0xffff),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	const struct sock_fprog filter = { .len = sizeof(code) / sizeof(code[0]), .filter = code };
	const struct sockaddr_ll address = { .sll_family = AF_PACKET,
					     .sll_protocol = __builtin_bswap16(ETH_P_ALL),
					     .sll_ifindex = (int)if_nametoindex(ifname) };
	/* The filter first, so that nothing else ever comes in. */
	int fd = socket(AF_PACKET, SOCK_RAW, 0);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter)) != 0 ||
	    bind(fd, (const struct sockaddr *)&address, sizeof(address)) != 0)
		return -1;
	return fd;
}

/* The packet with this number, or 0; earlier ones are passed over. */
static uint64_t await(int fd, uint64_t number)
{
	struct pollfd wait = { .fd = fd, .events = POLLIN };
	struct packet in;

	while (poll(&wait, 1, LOST_MS) > 0)
		if (recv(fd, &in, sizeof(in), MSG_DONTWAIT) == (ssize_t)sizeof(in) &&
		    in.number == number)
			return now() - in.sent;
	return 0;
}

static int compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static double quantile(const uint64_t sorted[], unsigned n, double q)
{
	return n ? (double)sorted[(unsigned)(q * (n - 1))] / 1000 : 0;
}

int main(int argc, char *argv[])
{
	struct packet out = { .macs = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2 },
			      .type = { ETHERTYPE >> 8, ETHERTYPE & 0xff } };
	uint64_t *taken = malloc(SAMPLES_MAX * sizeof(*taken)), end;
	double duration = 1, interval = 500;
	unsigned n = 0, sent = 0;
	const char *back = argc > 1 ? argv[1] : NULL;
	int fd, back_fd;

	for (int i = 2; i + 1 < argc; i += 2)
		if (strcmp(argv[i], "--duration") == 0)
			duration = strtod(argv[i + 1], NULL);
		else if (strcmp(argv[i], "--interval") == 0)
			interval = strtod(argv[i + 1], NULL);
		else if (strcmp(argv[i], "--back") == 0)
			back = argv[i + 1];
	if (argc < 2 || argc % 2 != 0 || !(duration > 0 && duration <= 60) ||
	    !(interval >= 0 && interval <= 1e6)) {
		fputs("usage: probe IF [--duration SECONDS] [--back IF] [--interval MICROSECONDS]\n",
		      stderr);
		return 1;
	}
	/* Before flood, which is always busy, on the same processor. Best effort. */
	(void)sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){ .sched_priority = 1 });
	fd = open_socket(argv[1]);
	back_fd = strcmp(back, argv[1]) == 0 ? fd : open_socket(back);
	if (fd < 0 || back_fd < 0 || !taken)
		return fail(argv[1]);
	end = now() + (uint64_t)(duration * 1e9);
	while (now() < end && sent < SAMPLES_MAX) {
		uint64_t t;

		out.number = ++sent;
		out.sent = now();
		if (send(fd, &out, sizeof(out), 0) != (ssize_t)sizeof(out) && errno != ENOBUFS)
			return fail("send");
		t = await(back_fd, out.number);
		if (t)
			taken[n++] = t;
		usleep((unsigned)interval);
	}
	qsort(taken, n, sizeof(*taken), compare);
	printf("{\"sent\": %u, \"back\": %u, \"p50\": %.2f, \"p99\": %.2f, \"p999\": %.2f, \"max\": %.2f}\n",
	       sent, n, quantile(taken, n, 0.5), quantile(taken, n, 0.99),
	       quantile(taken, n, 0.999), quantile(taken, n, 1));
	free(taken);
	close(fd);
	return 0;
}
