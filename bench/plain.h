/* SPDX-License-Identifier: BSD-2-Clause */
/* What the loops over plain libxdp share: a link's socket, and what each loop does with its rings. */
#ifndef SXSK_BENCH_PLAIN_H
#define SXSK_BENCH_PLAIN_H

#include "forwarder.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <xdp/xsk.h>

#define RING_SIZE 2048u
#define CHUNK 2048u
#define TX_BUDGET 256u /* packets per sendto() in copy mode */
#define REFILL_BATCH 64u
/* An empty look takes a third to a quarter of what the examples' takes: so this is as long as their 500. */
#define IDLE_LOOKS 1750u
#define FINISH_MS 200

/* Addresses of free frames, last in first out. */
struct frames {
	uint64_t *list;
	uint32_t n;
};

/* One link's socket. */
struct port {
	struct xsk_socket *socket;
	int fd, map_fd, link_fd;
	struct xsk_ring_prod fill, tx;
	struct xsk_ring_cons comp, rx;
	struct frames *free;
	uint32_t missing;     /* frames to bring FILL to its level again */
	uint32_t outstanding; /* descriptors given to TX, not completed */
};

struct plain {
	struct forwarder f;
	unsigned char *memory;
	struct xsk_umem *umem;
	struct frames free[FORWARDER_LINKS]; /* the second one where threads are two */
	struct port port[FORWARDER_LINKS];
};

static inline void swap_macs(void *packet)
{
	struct mac {
		unsigned char byte[6];
	} *mac = packet, t = mac[0];

	mac[0] = mac[1];
	mac[1] = t;
}

/* Give the kernel the frames that it lacks, a batch at a time. */
static inline void refill(struct forwarder *f, struct port *port)
{
	uint32_t n = port->missing < port->free->n ? port->missing : port->free->n, at;
	const uint64_t *top = port->free->list + port->free->n;

	if (n < REFILL_BATCH || xsk_ring_prod__reserve(&port->fill, n, &at) != n)
		return;
	for (uint32_t i = 0; i < n; i++)
		*xsk_ring_prod__fill_addr(&port->fill, at + i) = *--top;
	xsk_ring_prod__submit(&port->fill, n);
	port->free->n -= n;
	port->missing -= n;
	if (xsk_ring_prod__needs_wakeup(&port->fill)) {
		(void)recvfrom(port->fd, NULL, 0, MSG_DONTWAIT, NULL, NULL);
		f->kicks++;
	}
}

static inline uint32_t waiting(const struct port *port)
{
	return *port->tx.producer - __atomic_load_n(port->tx.consumer, __ATOMIC_ACQUIRE);
}

/* Kick while the kernel gets on with it. */
static inline void kick(struct forwarder *f, struct port *port)
{
	uint32_t left = waiting(port), before;

	do {
		if (left == 0 || !xsk_ring_prod__needs_wakeup(&port->tx))
			return;
		before = left;
		if (sendto(port->fd, NULL, 0, MSG_DONTWAIT, NULL, 0) < 0 && errno != EAGAIN &&
		    errno != EBUSY && errno != ENOBUFS)
			forwarder_die("send: %s", strerror(errno));
		f->kicks++;
		left = waiting(port);
	} while (left < before);
}

static inline void received(struct forwarder *f, struct port *port, uint32_t n)
{
	xsk_ring_cons__release(&port->rx, n);
	port->missing += n;
	f->rx_packets += n;
	f->rx_bursts++;
}

/* plain_threads.c: from each link to the other, with a thread for each. Returns when all is sent. */
void plain_run_threads(struct plain *p);

#endif
