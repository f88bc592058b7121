/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * plain: what rxdrop, l2fwd-1link and l2fwd-2link do, as users of libxdp write it: the baseline of bench/veth.
 *
 *   plain 1link veth0 --duration 10
 *
 * xsk.h's calls and ring functions, a free list of addresses, no checks. Everything that is not the
 * library's is the same: burst, ring sizes, frames, bind flags, socket options, XDP program, when to
 * kick, how long to look before sleeping. Two links are served by one thread and share the packet memory, so
 * that nothing is copied between them.
 */
#include "forwarder.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include <xdp/xsk.h>

#ifndef XDP_MAX_TX_SKB_BUDGET
#define XDP_MAX_TX_SKB_BUDGET 9 /* Linux 6.17 */
#endif

#define RING_SIZE 2048u
#define CHUNK 2048u
#define TX_BUDGET 256u /* packets per sendto() in copy mode */
#define REFILL_BATCH 64u
/* An empty look takes a third to a quarter of what the examples' takes: so this is as long as their 500. */
#define IDLE_LOOKS 1750u
#define FINISH_MS 200

/* One link's socket. */
struct port {
	struct xsk_socket *socket;
	int fd, map_fd, link_fd;
	struct xsk_ring_prod fill, tx;
	struct xsk_ring_cons comp, rx;
	uint32_t missing;     /* frames to bring FILL to its level again */
	uint32_t outstanding; /* descriptors given to TX, not completed */
};

struct plain {
	struct forwarder f;
	unsigned char *memory;
	struct xsk_umem *umem;
	uint64_t *list; /* addresses of free frames, last in first out */
	uint32_t free;
	struct port port[FORWARDER_LINKS];
};

/* ---- setting up ---------------------------------------------------------------------------------- */

static void open_memory(struct plain *p)
{
	const struct xsk_umem_config umem = { .fill_size = RING_SIZE,
					      .comp_size = RING_SIZE,
					      .frame_size = CHUNK };
	const size_t size = (size_t)p->f.bufnum * CHUNK;
	int err;

	p->memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	p->list = calloc(p->f.bufnum, sizeof(*p->list));
	if (p->memory == MAP_FAILED || !p->list)
		forwarder_die("no memory");
	/* The first socket has these rings. */
	err = xsk_umem__create(&p->umem, p->memory, size, &p->port[0].fill, &p->port[0].comp,
			       &umem);
	if (err)
		forwarder_die("umem: %s", strerror(-err));
	for (uint32_t i = p->f.bufnum; i-- > 0;)
		p->list[p->free++] = (uint64_t)i * CHUNK;
}

static void open_socket(struct plain *p, struct port *port, const char *ifname)
{
	const struct xsk_socket_config config = { .rx_size = RING_SIZE,
						  .tx_size = RING_SIZE,
						  .libxdp_flags =
							  XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD,
						  .bind_flags = XDP_USE_NEED_WAKEUP };
	const int budget = TX_BUDGET;
	int err = xsk_socket__create_shared(&port->socket, ifname, 0, p->umem, &port->rx,
					    p->f.mode == FORWARDER_DROP ? NULL : &port->tx,
					    &port->fill, &port->comp, &config);

	if (err)
		forwarder_die("%s: %s", ifname, strerror(-err));
	port->fd = xsk_socket__fd(port->socket);
	/* Best effort: kernels before 6.17 send 32 packets per call. */
	(void)setsockopt(port->fd, SOL_XDP, XDP_MAX_TX_SKB_BUDGET, &budget, sizeof(budget));
	port->missing = RING_SIZE;
}

static void steer(struct port *port, const char *ifname)
{
	port->map_fd = bpf_map_create(BPF_MAP_TYPE_XSKMAP, "plain", 4, 4, 64, NULL);
	if (port->map_fd < 0)
		forwarder_die("XSKMAP: %s", strerror(errno));
	port->link_fd = forwarder_attach(ifname, port->map_fd);
	if (xsk_socket__update_xskmap(port->socket, port->map_fd) != 0)
		forwarder_die("XSKMAP: %s", strerror(errno));
}

/* ---- the loop ------------------------------------------------------------------------------------ */

static inline void swap_macs(void *packet)
{
	struct mac {
		unsigned char byte[6];
	} *mac = packet, t = mac[0];

	mac[0] = mac[1];
	mac[1] = t;
}

/* Give the kernel the frames that it lacks, a batch at a time. */
static inline void refill(struct plain *p, struct port *port)
{
	uint32_t n = port->missing < p->free ? port->missing : p->free, at;
	const uint64_t *top = p->list + p->free;

	if (n < REFILL_BATCH || xsk_ring_prod__reserve(&port->fill, n, &at) != n)
		return;
	for (uint32_t i = 0; i < n; i++)
		*xsk_ring_prod__fill_addr(&port->fill, at + i) = *--top;
	xsk_ring_prod__submit(&port->fill, n);
	p->free -= n;
	port->missing -= n;
	if (xsk_ring_prod__needs_wakeup(&port->fill)) {
		(void)recvfrom(port->fd, NULL, 0, MSG_DONTWAIT, NULL, NULL);
		p->f.kicks++;
	}
}

static inline void complete(struct plain *p, struct port *port)
{
	uint32_t at, n = xsk_ring_cons__peek(&port->comp, RING_SIZE, &at);
	uint64_t *top = p->list + p->free;

	if (n == 0)
		return;
	for (uint32_t i = 0; i < n; i++) /* FILL takes an offset, too */
		*top++ = *xsk_ring_cons__comp_addr(&port->comp, at + i);
	xsk_ring_cons__release(&port->comp, n);
	p->free += n;
	port->outstanding -= n;
}

static uint32_t waiting(const struct port *port)
{
	return *port->tx.producer - __atomic_load_n(port->tx.consumer, __ATOMIC_ACQUIRE);
}

/* Kick while the kernel gets on with it. */
static void kick(struct plain *p, struct port *port)
{
	uint32_t left = waiting(port), before;

	do {
		if (left == 0 || !xsk_ring_prod__needs_wakeup(&port->tx))
			return;
		before = left;
		if (sendto(port->fd, NULL, 0, MSG_DONTWAIT, NULL, 0) < 0 && errno != EAGAIN &&
		    errno != EBUSY && errno != ENOBUFS)
			forwarder_die("send: %s", strerror(errno));
		p->f.kicks++;
		left = waiting(port);
	} while (left < before);
}

static inline void received(struct plain *p, struct port *port, uint32_t n)
{
	xsk_ring_cons__release(&port->rx, n);
	port->missing += n;
	p->f.rx_packets += n;
	p->f.rx_bursts++;
}

/* Receive a burst into the list. Returns the number of packets, as the next one does. */
static uint32_t drop(struct plain *p, struct port *port)
{
	uint32_t rx, n = xsk_ring_cons__peek(&port->rx, p->f.burst, &rx);
	uint64_t *top = p->list + p->free;

	if (n == 0)
		return 0;
	for (uint32_t i = 0; i < n; i++)
		*top++ = xsk_ring_cons__rx_desc(&port->rx, rx + i)->addr;
	p->free += n;
	received(p, port, n);
	return n;
}

/* Receive a burst into a TX ring. */
static inline uint32_t bounce(struct plain *p, struct port *from, struct port *to, bool swap)
{
	uint32_t n = p->f.burst, room = xsk_prod_nb_free(&to->tx, n), rx, tx;

	if (room > RING_SIZE - to->outstanding)
		room = RING_SIZE - to->outstanding;
	n = xsk_ring_cons__peek(&from->rx, n < room ? n : room, &rx);
	if (n == 0)
		return 0;
	if (xsk_ring_prod__reserve(&to->tx, n, &tx) != n)
		forwarder_die("the TX ring has less room than it said");
	for (uint32_t i = 0; i < n; i++) {
		const struct xdp_desc *in = xsk_ring_cons__rx_desc(&from->rx, rx + i);

		if (swap)
			swap_macs(xsk_umem__get_data(p->memory, in->addr));
		*xsk_ring_prod__tx_desc(&to->tx, tx + i) =
			(struct xdp_desc){ .addr = in->addr, .len = in->len };
	}
	xsk_ring_prod__submit(&to->tx, n);
	received(p, from, n);
	to->outstanding += n;
	p->f.tx_packets += n;
	return n;
}

static inline uint32_t move(struct plain *p, struct port *from, struct port *to, bool swap)
{
	uint32_t n;

	complete(p, to);
	refill(p, from);
	n = bounce(p, from, to, swap);
	if (to->outstanding)
		kick(p, to);
	return n;
}

static uint32_t turn(struct plain *p)
{
	struct port *one = &p->port[0], *two = &p->port[1];

	if (p->f.mode == FORWARDER_BOUNCE)
		return move(p, one, one, true);
	if (p->f.mode == FORWARDER_CABLE)
		return move(p, one, two, false) + move(p, two, one, false);
	refill(p, one);
	return drop(p, one);
}

static void run(struct plain *p)
{
	struct pollfd wait[FORWARDER_LINKS] = { { .fd = p->port[0].fd, .events = POLLIN },
						{ .fd = p->port[1].fd, .events = POLLIN } };
	uint32_t idle = 0;

	while (!forwarder_stop) {
		idle = turn(p) ? 0 : idle + 1;
		if (idle < IDLE_LOOKS)
			continue;
		p->f.polls++;
		if (poll(wait, p->f.links,
			 p->port[0].outstanding + p->port[1].outstanding ? 1 : FORWARDER_SLEEP_MS) <
			    0 &&
		    errno != EINTR)
			forwarder_die("poll: %s", strerror(errno));
	}
}

/* ---- the program --------------------------------------------------------------------------------- */

static void finish(struct plain *p, struct port *port)
{
	for (int ms = 0; ms < FINISH_MS && port->outstanding; ms++) {
		kick(p, port);
		complete(p, port);
		usleep(1000);
	}
}

static bool zero_copy(int fd)
{
	struct xdp_options options = { 0 };
	socklen_t len = sizeof(options);

	return getsockopt(fd, SOL_XDP, XDP_OPTIONS, &options, &len) == 0 &&
	       options.flags & XDP_OPTIONS_ZEROCOPY;
}

int main(int argc, char *argv[])
{
	struct plain p = { 0 };

	forwarder_parse(&p.f, "plain", argc, argv);
	open_memory(&p);
	for (unsigned i = 0; i < p.f.links; i++) {
		open_socket(&p, &p.port[i], p.f.ifname[i]);
		refill(&p, &p.port[i]);
		steer(&p.port[i], p.f.ifname[i]);
	}
	forwarder_begin(&p.f, zero_copy(p.port[0].fd) ? "zero-copy mode" : "copy mode");
	run(&p);
	for (unsigned i = 0; i < p.f.links; i++)
		finish(&p, &p.port[i]);
	forwarder_end(&p.f);
	for (unsigned i = 0; i < p.f.links; i++) {
		close(p.port[i].link_fd);
		close(p.port[i].map_fd);
		xsk_socket__delete(p.port[i].socket);
	}
	(void)xsk_umem__delete(p.umem);
	return 0;
}
