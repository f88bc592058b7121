/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stream: send bytes over TCP, check every one of them.
 *
 *   stream receive PORT MIB SEED
 *   stream send ADDRESS PORT MIB SEED
 *
 * Both ends make the same pseudo-random bytes. The receiver says so only when all have come, in order
 * and nothing after them; the sender only when the receiver has said so to it.
 */
#include "packet.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define BLOCK (64u * 1024)
#define STALL 10 /* seconds without progress */

static void make_block(unsigned char *block, uint64_t *state)
{
	for (unsigned i = 0; i < BLOCK; i += 8) {
		uint64_t bytes = random_next(state);

		memcpy(block + i, &bytes, 8);
	}
}

static bool failed(const char *what)
{
	fprintf(stderr, "stream: %s: %s\n", what, strerror(errno));
	return false;
}

static void bound(int fd)
{
	const struct timeval stall = { .tv_sec = STALL };

	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &stall, sizeof(stall));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &stall, sizeof(stall));
}

static bool receive(int fd, uint64_t mib, uint64_t state)
{
	static unsigned char expected[BLOCK], got[BLOCK];

	for (uint64_t i = 0; i < mib * 16; i++) {
		ssize_t n = recv(fd, got, BLOCK, MSG_WAITALL);

		if (n != BLOCK)
			return failed("the stream ended early");
		make_block(expected, &state);
		for (unsigned at = 0; at < BLOCK; at++)
			if (got[at] != expected[at]) {
				fprintf(stderr, "stream: byte %llu is wrong\n",
					(unsigned long long)i * BLOCK + at);
				return false;
			}
	}
	if (send(fd, "k", 1, MSG_NOSIGNAL) != 1 || recv(fd, got, 1, 0) != 0)
		return failed("no orderly end");
	return true;
}

static bool transmit(int fd, uint64_t mib, uint64_t state)
{
	static unsigned char block[BLOCK];
	char answer;

	for (uint64_t i = 0; i < mib * 16; i++) {
		make_block(block, &state);
		for (unsigned at = 0; at < BLOCK;) {
			ssize_t n = send(fd, block + at, BLOCK - at, MSG_NOSIGNAL);

			if (n <= 0)
				return failed("send");
			at += (unsigned)n;
		}
	}
	return recv(fd, &answer, 1, 0) == 1 || failed("no answer");
}

/* A connection, or -1. */
static int connection(const struct sockaddr_in *address, bool listening)
{
	const int on = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), accepted;

	if (fd < 0)
		return -1;
	bound(fd);
	if (!listening) {
		if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0)
			return fd;
		close(fd);
		return -1;
	}
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	accepted = bind(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 &&
				   listen(fd, 1) == 0 ?
			   accept4(fd, NULL, NULL, SOCK_CLOEXEC) :
			   -1;
	close(fd);
	if (accepted >= 0)
		bound(accepted);
	return accepted;
}

int main(int argc, char **argv)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	bool listening = argc == 5 && strcmp(argv[1], "receive") == 0, ok;
	char **rest = argv + (listening ? 2 : 3);
	uint64_t mib, seed;
	double start;
	int fd;

	if (!listening && (argc != 6 || strcmp(argv[1], "send") != 0 ||
			   inet_pton(AF_INET, argv[2], &address.sin_addr) != 1)) {
		fprintf(stderr,
			"usage: stream receive PORT MIB SEED | send ADDRESS PORT MIB SEED\n");
		return 1;
	}
	address.sin_port = htons((uint16_t)number_option("PORT", rest[0], 1, 65535));
	mib = number_option("MIB", rest[1], 1, 1u << 20);
	seed = number_option("SEED", rest[2], 0, UINT64_MAX);
	fd = connection(&address, listening);
	if (fd < 0)
		return failed("no connection"), 1;
	start = seconds_now();
	ok = listening ? receive(fd, mib, seed) : transmit(fd, mib, seed);
	close(fd);
	if (!ok)
		return 1;
	printf("stream: %llu MiB %s, %.1f s\n", (unsigned long long)mib,
	       listening ? "received, every byte as sent" : "sent", seconds_now() - start);
	return 0;
}
