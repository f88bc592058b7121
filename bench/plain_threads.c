/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What l2fwd-2link does, over plain libxdp: a thread for each link receives there, and sends there what the other
 * one has received. Descriptors go to the other thread over a ring; addresses come back over another once they are
 * sent, since the FILL ring and the list of free frames that feeds it are the receiver's. A thread that sleeps is
 * woken by an eventfd.
 */
#include "link.h"
#include "plain.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct side {
	struct forwarder f; /* this thread's counters */
	struct port *port;
	struct side *other;
	struct link link;   /* what this side received, to be sent by the other */
	atomic_bool sleeps; /* or is about to: wake it for news */
	int event;
};

static struct side sides[2];

/* The fences, here and in sleep_a_while(), see to it that either this thread sees `sleeps` or the other one the
 * news. */
static void tell(struct side *s)
{
	const uint64_t one = 1;

	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load_explicit(&s->sleeps, memory_order_relaxed) &&
	    atomic_exchange(&s->sleeps, false))
		if (write(s->event, &one, sizeof(one)) != (ssize_t)sizeof(one))
			forwarder_die("eventfd: %s", strerror(errno));
}

/* Into the list: what the other side has sent. */
static void collect(struct side *s)
{
	struct link *l = &s->link;
	uint32_t n = spsc_ready(&l->back, LINK_SIZE), head = spsc_head(&l->back);

	if (n == 0)
		return;
	for (uint32_t i = 0; i < n; i++)
		s->port->free->list[s->port->free->n++] = l->address[(head + i) % LINK_SIZE];
	spsc_release(&l->back, n);
}

static uint32_t receive(struct side *s)
{
	struct link *l = &s->link;
	uint32_t n = spsc_room(&l->to, s->f.burst), tail = spsc_tail(&l->to), rx;

	collect(s);
	refill(&s->f, s->port);
	n = xsk_ring_cons__peek(&s->port->rx, n < s->f.burst ? n : s->f.burst, &rx);
	if (n == 0)
		return 0;
	for (uint32_t i = 0; i < n; i++)
		l->desc[(tail + i) % LINK_SIZE] = *xsk_ring_cons__rx_desc(&s->port->rx, rx + i);
	spsc_publish(&l->to, n);
	received(&s->f, s->port, n);
	tell(s->other);
	return n;
}

/* Addresses of what was sent, to where it was received. */
static void complete(struct side *s)
{
	struct link *l = &s->other->link;
	uint32_t n = spsc_room(&l->back, LINK_SIZE), tail = spsc_tail(&l->back), at;

	n = xsk_ring_cons__peek(&s->port->comp, n, &at);
	if (n == 0)
		return;
	for (uint32_t i = 0; i < n; i++)
		l->address[(tail + i) % LINK_SIZE] =
			*xsk_ring_cons__comp_addr(&s->port->comp, at + i);
	xsk_ring_cons__release(&s->port->comp, n);
	spsc_publish(&l->back, n);
	s->port->outstanding -= n;
}

static uint32_t send_received(struct side *s)
{
	struct link *l = &s->other->link;
	uint32_t n = spsc_ready(&l->to, s->f.burst), head = spsc_head(&l->to), tx;
	uint32_t room = RING_SIZE - s->port->outstanding;

	complete(s);
	n = n < room ? n : room;
	if (n > 0 && xsk_ring_prod__reserve(&s->port->tx, n, &tx) == n) {
		for (uint32_t i = 0; i < n; i++) {
			const struct xdp_desc *in = &l->desc[(head + i) % LINK_SIZE];

			*xsk_ring_prod__tx_desc(&s->port->tx, tx + i) =
				(struct xdp_desc){ .addr = in->addr, .len = in->len };
		}
		spsc_release(&l->to, n);
		xsk_ring_prod__submit(&s->port->tx, n);
		s->port->outstanding += n;
		s->f.tx_packets += n;
		tell(s->other); /* it may wait for room */
	}
	if (s->port->outstanding)
		kick(&s->f, s->port);
	return n;
}

static void sleep_a_while(struct side *s)
{
	struct pollfd wait[2] = { { .fd = s->event, .events = POLLIN },
				  { .fd = s->port->fd, .events = POLLIN } };
	uint64_t count;
	bool news;

	atomic_store_explicit(&s->sleeps, true, memory_order_relaxed);
	atomic_thread_fence(memory_order_seq_cst);
	/* Look again, now that the other thread can see that it has to wake this one. */
	news = spsc_ready(&s->other->link.to, 1) > 0;
	if (!news) {
		s->f.polls++;
		/* With no room for what comes in, the other thread has to be waited for. */
		if (poll(wait, spsc_room(&s->link.to, 1) > 0 ? 2 : 1,
			 s->port->outstanding ? 1 : FORWARDER_SLEEP_MS) < 0 &&
		    errno != EINTR)
			forwarder_die("poll: %s", strerror(errno));
		if (wait[0].revents & POLLIN)
			(void)!read(s->event, &count, sizeof(count));
	}
	atomic_store_explicit(&s->sleeps, false, memory_order_relaxed);
}

static void *run(void *arg)
{
	struct side *s = arg;
	uint32_t idle = 0;

	while (!forwarder_stop) {
		uint32_t moved = receive(s);

		idle = send_received(s) + moved ? 0 : idle + 1;
		if (idle >= IDLE_LOOKS)
			sleep_a_while(s);
	}
	for (int ms = 0; ms < FINISH_MS && s->port->outstanding; ms++) {
		kick(&s->f, s->port);
		complete(s);
		collect(s);
		usleep(1000);
	}
	return NULL;
}

void plain_run_threads(struct plain *p)
{
	pthread_t thread;

	for (unsigned i = 0; i < 2; i++) {
		sides[i] = (struct side){ .f = { .burst = p->f.burst },
					  .port = &p->port[i],
					  .other = &sides[1 - i],
					  .event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) };
		if (sides[i].event < 0)
			forwarder_die("eventfd: %s", strerror(errno));
	}
	if (pthread_create(&thread, NULL, run, &sides[1]) != 0)
		forwarder_die("cannot start a thread");
	run(&sides[0]);
	pthread_join(thread, NULL);
	for (unsigned i = 0; i < 2; i++) {
		p->f.rx_packets += sides[i].f.rx_packets;
		p->f.rx_bursts += sides[i].f.rx_bursts;
		p->f.tx_packets += sides[i].f.tx_packets;
		p->f.kicks += sides[i].f.kicks;
		p->f.polls += sides[i].f.polls;
		close(sides[i].event);
	}
}
