/* SPDX-License-Identifier: BSD-2-Clause */
/* A busy receiver's socket is in no epoll, where it would cost the kernel a call per packet; a waiting
 * one's is, and nothing that comes in between is missed. */
#include "support.h"

#include <poll.h>
#include <stdio.h>

#define ENOUGH 64 /* bursts with packets, after which a receiver is busy */

/* What the kernel says: is the socket's descriptor in its half's epoll? */
static bool in_epoll(struct sxsk_socket *socket)
{
	const struct sxsk_priv_socket *s = inner_socket(socket);
	char path[64], line[256];
	bool found = false;
	int fd;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", s->rx.epoll);
	f = fopen(path, "re");
	cr_assert(f);
	while (fgets(line, sizeof(line), f))
		found |= sscanf(line, "tfd: %d", &fd) == 1 && fd == s->fd;
	fclose(f);
	return found;
}

static void receive(struct sxsk_socket *socket, struct sxsk_mem_rings *k, unsigned bursts)
{
	while (bursts-- > 0) {
		struct sxsk_buf b = receive_one(socket, k, 60);

		sxsk_buf_unref(&b);
	}
}

static bool readable(struct sxsk_socket *socket)
{
	struct pollfd p = { .fd = sxsk_socket_fd(socket), .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

Test(armed, busy_receiver_leaves_its_epoll_and_comes_back_to_wait)
{
	struct sxsk_pool *pool = new_pool(256);
	struct sxsk_socket *socket = new_socket(pool, "mem:armed1", 0);
	struct sxsk_mem_rings k = take_rings(socket);

	for (int i = 0; i < 3; i++) {
		cr_assert_eq(sxsk_socket_wait(socket, SXSK_WAIT_RX, 0), 0);
		cr_assert(in_epoll(socket), "waiting");
		receive(socket, &k, 1);
		cr_assert(in_epoll(socket), "one packet after each sleep costs no call");
		receive(socket, &k, ENOUGH);
		cr_assert_not(in_epoll(socket), "busy");
	}
	close_and_unref(socket, pool);
}

Test(armed, empty_bursts_are_not_busy)
{
	struct sxsk_pool *pool = new_pool(256);
	struct sxsk_socket *socket = new_socket(pool, "mem:armed2", 0);
	struct sxsk_buf b;

	for (int i = 0; i < ENOUGH; i++)
		cr_assert_eq(sxsk_rx_burst(socket, &b, 1), 0);
	cr_assert(in_epoll(socket));
	close_and_unref(socket, pool);
}

Test(armed, packet_after_a_busy_time_is_not_missed)
{
	struct sxsk_pool *pool = new_pool(256), *far = new_pool(256);
	struct sxsk_socket *socket = new_socket(pool, "mem:armed3", 0);
	struct sxsk_socket *peer = new_socket(far, "mem:armed3", 0);
	struct sxsk_buf b;

	for (int i = 0; i < ENOUGH; i++) {
		send_one(peer, packet(far, 60, 1));
		reap(peer);
		cr_assert_eq(sxsk_rx_burst(socket, &b, 1), 1);
		sxsk_buf_unref(&b);
	}
	cr_assert_not(in_epoll(socket));
	/* Before the wait, */
	send_one(peer, packet(far, 60, 1));
	cr_assert_eq(sxsk_socket_wait(socket, SXSK_WAIT_RX, -1), SXSK_WAIT_RX);
	cr_assert_eq(sxsk_rx_burst(socket, &b, 1), 1);
	sxsk_buf_unref(&b);
	/* and after it, by the caller's own poll. */
	cr_assert_eq(sxsk_socket_wait(socket, SXSK_WAIT_RX, 0), 0);
	cr_assert_not(readable(socket));
	send_one(peer, packet(far, 60, 1));
	cr_assert(readable(socket));
	close_and_unref(peer, far);
	close_and_unref(socket, pool);
}
