/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * plain: what rxdrop, l2fwd-1link and l2fwd-2link do, as users of libxdp write it: the baseline of bench/veth.
 *
 *   plain 1link veth0 --duration 10
 *
 * xsk.h's calls and ring functions, a free list of addresses, no checks. Everything that is not the
 * library's is the same: burst, ring sizes, frames, bind flags, socket options, XDP program, when to
 * kick, how long to look before sleeping. Two links share the packet memory, so that nothing is copied between
 * them; one thread serves both, or each has its own (2threads).
 */
#include "plain.h"

#include <bpf/bpf.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef XDP_MAX_TX_SKB_BUDGET
#define XDP_MAX_TX_SKB_BUDGET 9 /* Linux 6.17 */
#endif

/* ---- setting up ---------------------------------------------------------------------------------- */

static void open_memory(struct plain *p)
{
	const struct xsk_umem_config umem = { .fill_size = RING_SIZE,
					      .comp_size = RING_SIZE,
					      .frame_size = CHUNK };
	const size_t size = (size_t)p->f.bufnum * CHUNK;
	const unsigned lists = p->f.mode == FORWARDER_THREADS ? 2 : 1;
	int err;

	p->memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p->memory == MAP_FAILED)
		forwarder_die("no memory");
	/* The first socket has these rings. */
	err = xsk_umem__create(&p->umem, p->memory, size, &p->port[0].fill, &p->port[0].comp,
			       &umem);
	if (err)
		forwarder_die("umem: %s", strerror(-err));
	for (unsigned i = 0; i < lists; i++) {
		p->free[i].list = calloc(p->f.bufnum, sizeof(*p->free[i].list));
		if (!p->free[i].list)
			forwarder_die("no memory");
	}
	for (uint32_t i = p->f.bufnum; i-- > 0;) {
		struct frames *free = &p->free[i % lists];

		free->list[free->n++] = (uint64_t)i * CHUNK;
	}
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
	port->free = &p->free[p->f.mode == FORWARDER_THREADS && port != p->port];
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

static inline void complete(struct port *port)
{
	uint32_t at, n = xsk_ring_cons__peek(&port->comp, RING_SIZE, &at);
	uint64_t *top = port->free->list + port->free->n;

	if (n == 0)
		return;
	for (uint32_t i = 0; i < n; i++) /* FILL takes an offset, too */
		*top++ = *xsk_ring_cons__comp_addr(&port->comp, at + i);
	xsk_ring_cons__release(&port->comp, n);
	port->free->n += n;
	port->outstanding -= n;
}

/* Receive a burst into the list. Returns the number of packets, as the next one does. */
static uint32_t drop(struct plain *p, struct port *port)
{
	uint32_t rx, n = xsk_ring_cons__peek(&port->rx, p->f.burst, &rx);
	uint64_t *top = port->free->list + port->free->n;

	if (n == 0)
		return 0;
	for (uint32_t i = 0; i < n; i++)
		*top++ = xsk_ring_cons__rx_desc(&port->rx, rx + i)->addr;
	port->free->n += n;
	received(&p->f, port, n);
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
	received(&p->f, from, n);
	to->outstanding += n;
	p->f.tx_packets += n;
	return n;
}

static inline uint32_t move(struct plain *p, struct port *from, struct port *to, bool swap)
{
	uint32_t n;

	complete(to);
	refill(&p->f, from);
	n = bounce(p, from, to, swap);
	if (to->outstanding)
		kick(&p->f, to);
	return n;
}

static uint32_t turn(struct plain *p)
{
	struct port *one = &p->port[0], *two = &p->port[1];

	if (p->f.mode == FORWARDER_BOUNCE)
		return move(p, one, one, true);
	if (p->f.mode == FORWARDER_CABLE)
		return move(p, one, two, false) + move(p, two, one, false);
	refill(&p->f, one);
	return drop(p, one);
}

static void finish(struct plain *p, struct port *port)
{
	for (int ms = 0; ms < FINISH_MS && port->outstanding; ms++) {
		kick(&p->f, port);
		complete(port);
		usleep(1000);
	}
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
	for (unsigned i = 0; i < p->f.links; i++)
		finish(p, &p->port[i]);
}

/* ---- the program --------------------------------------------------------------------------------- */

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
		refill(&p.f, &p.port[i]);
		steer(&p.port[i], p.f.ifname[i]);
	}
	forwarder_begin(&p.f, zero_copy(p.port[0].fd) ? "zero-copy mode" : "copy mode");
	if (p.f.mode == FORWARDER_THREADS)
		plain_run_threads(&p);
	else
		run(&p);
	forwarder_end(&p.f);
	for (unsigned i = 0; i < p.f.links; i++) {
		close(p.port[i].link_fd);
		close(p.port[i].map_fd);
		xsk_socket__delete(p.port[i].socket);
	}
	(void)xsk_umem__delete(p.umem);
	return 0;
}
