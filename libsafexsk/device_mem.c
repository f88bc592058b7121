/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The in-process device "mem:NAME": names, cables and their ends. A cable is made when the first end
 * of (name, queue) opens, and is gone when both are closed. See device_mem.h for the picture.
 *
 * Locks: the world's (the list of cables, who has which end), then a cable's (everything on it). A
 * kick takes the cable's only.
 */
#include "device_mem.h"

#include "half.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#define PREFIX "mem:"
#define NAME_MAX_LEN 59u /* with the prefix it fits in 64 bytes */

/* Where the words of a ring are, as Linux 6.18 has them: a cache line each, and one between them that
 * keeps the prefetcher from pulling the neighbour. */
#define AT_PRODUCER 0
#define AT_CONSUMER 128
#define AT_FLAGS 196
#define AT_ENTRIES 320

enum { RX, TX, FILL, COMP };

/* Wiped in a forked child, as the registry is: there are no cables there and the lock is free. */
static struct {
	_Alignas(REGISTRY_ALIGN) pthread_mutex_t lock;
	struct mem_cable *live, *unused;
	uint64_t ids;
	bool wiped_on_fork;
} world;

/* ---- names and cables, under the world's lock ----------------------------------------------------- */

static int check_name(const char *ifname)
{
	size_t len;

	if (!ifname || strncmp(ifname, PREFIX, strlen(PREFIX)) != 0)
		return sxsk_priv_fail(EINVAL,
				      "\"%s\" is not the name of an in-process device: those "
				      "start with \"mem:\"",
				      ifname ? ifname : "(null)");
	len = strnlen(ifname + strlen(PREFIX), NAME_MAX_LEN + 1);
	if (len == 0)
		return sxsk_priv_fail(EINVAL,
				      "\"mem:\" without a name: put 1 to %u bytes after the "
				      "colon",
				      NAME_MAX_LEN);
	if (len > NAME_MAX_LEN)
		return sxsk_priv_fail(EINVAL,
				      "the name \"%.20s...\" is too long: at most %u bytes after "
				      "\"mem:\"",
				      ifname, NAME_MAX_LEN);
	return 0;
}

static int world_init(void)
{
	if (world.wiped_on_fork)
		return 0;
	if (madvise(&world, sizeof(world), MADV_WIPEONFORK) != 0)
		return sxsk_priv_fail(errno, "madvise(MADV_WIPEONFORK): %s; it needs Linux 4.14",
				      strerror(errno));
	world.wiped_on_fork = true;
	return 0;
}

/* The next cable of that name after `c` (NULL: the first) that was not removed. */
static struct mem_cable *next_of_name(struct mem_cable *c, const char *ifname)
{
	for (c = c ? c->next : world.live; c; c = c->next)
		if (!load_relaxed(&c->removed) && strcmp(c->name, ifname) == 0)
			break;
	return c;
}

static struct mem_cable *find_cable(const char *ifname, uint32_t queue)
{
	struct mem_cable *c = next_of_name(NULL, ifname);

	while (c && c->queue != queue)
		c = next_of_name(c, ifname);
	return c;
}

static struct mem_cable *new_cable(const struct sxsk_priv_device_id *id)
{
	struct mem_cable *sibling = next_of_name(NULL, id->name), *c = world.unused;

	if (c) {
		world.unused = c->next;
	} else {
		c = calloc(1, sizeof(*c));
		if (!c)
			return NULL;
		(void)pthread_mutex_init(&c->lock, NULL);
		c->end[0].cable = c->end[1].cable = c;
	}
	c->queue = id->queue;
	memcpy(c->name, id->name, sizeof(c->name));
	/* Another queue of the same device: its link is this one's too. */
	store_relaxed(&c->down, sibling ? load_relaxed(&sibling->down) : 0);
	store_relaxed(&c->removed, 0);
	c->next = world.live;
	world.live = c;
	return c;
}

static void retire_cable(struct mem_cable *c)
{
	struct mem_cable **at = &world.live;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	c->end[0].id = c->end[1].id = 0;
	c->next = world.unused;
	world.unused = c;
}

static struct mem_end *free_end(struct mem_cable *c)
{
	for (unsigned i = 0; i < 2; i++)
		if (!c->end[i].socket)
			return &c->end[i];
	return NULL;
}

static int fail_full(const char *ifname, uint32_t queue)
{
	return sxsk_priv_fail(EBUSY,
			      "%s queue %u: a cable has two ends, and both are open; close one, "
			      "or use another name or queue",
			      ifname, queue);
}

/* ---- the two ends ----------------------------------------------------------------------------------- */

/* The identity of an end is a number of its own. An end that is closed while the other one is open
 * keeps it, so that its next socket is known to be on the same queue. */
static int mem_identify(const char *ifname, uint32_t queue, struct sxsk_priv_device_id *ret_id,
			uint32_t *ret_mtu)
{
	struct sxsk_priv_device_id id = { .queue = queue };
	struct mem_cable *c;
	struct mem_end *e = NULL;
	int err = check_name(ifname);

	if (err)
		return err;
	memcpy(id.name, ifname, strlen(ifname));
	pthread_mutex_lock(&world.lock);
	err = world_init();
	c = find_cable(ifname, queue);
	if (c)
		e = free_end(c);
	if (!err && c && !e)
		err = fail_full(ifname, queue);
	if (!err)
		id.netns = e && e->id ? e->id : ++world.ids;
	pthread_mutex_unlock(&world.lock);
	if (err)
		return err;
	*ret_id = id;
	*ret_mtu = MEM_MTU;
	return 0;
}

/* Queues come into being with their first socket. For somebody who takes them all, there are as many as
 * have one at the other end; one where there is nobody. */
static int mem_queues(const char *ifname, bool tx, uint32_t *ret_n)
{
	struct mem_cable *c;
	uint32_t n = 0;
	int err = check_name(ifname);

	(void)tx;
	if (err)
		return err;
	pthread_mutex_lock(&world.lock);
	while ((c = find_cable(ifname, n)) != NULL && free_end(c))
		n++;
	pthread_mutex_unlock(&world.lock);
	*ret_n = n ? n : 1;
	return 0;
}

/* Others may have come and gone since mem_identify(): any free end will do, under our identity. */
static int claim_end(struct sxsk_priv_socket *s)
{
	const struct sxsk_priv_device_id *id = &s->q->device;
	struct mem_cable *c;
	struct mem_end *e = NULL;

	pthread_mutex_lock(&world.lock);
	c = find_cable(id->name, id->queue);
	if (!c)
		c = new_cable(id);
	if (c)
		e = free_end(c);
	if (e) {
		pthread_mutex_lock(&c->lock);
		e->id = id->netns;
		e->socket = s;
		pthread_mutex_unlock(&c->lock);
	}
	pthread_mutex_unlock(&world.lock);
	if (!c)
		return sxsk_priv_fail(ENOMEM, "no memory for the cable %s", id->name);
	if (!e)
		return fail_full(id->name, id->queue);
	s->device_data = e;
	return 0;
}

/* From here on nobody else touches this end: a kick that is under way has left the lock, and the next
 * one finds nobody here. */
static void leave_end(struct mem_end *e)
{
	struct mem_cable *c = e->cable;

	pthread_mutex_lock(&world.lock);
	pthread_mutex_lock(&c->lock);
	e->socket = NULL;
	e->bound = e->receiving = e->taken = e->dropping = false;
	e->n_held = e->n_spare = 0;
	memset(&e->liar, 0, sizeof(e->liar));
	store_relaxed(&e->rx_dropped, 0);
	store_relaxed(&e->tx_invalid, 0);
	store_relaxed(&e->rx_full, 0);
	store_relaxed(&e->fill_empty, 0);
	store_relaxed(&e->tx_empty, 0);
	pthread_mutex_unlock(&c->lock);
	if (!c->end[0].socket && !c->end[1].socket)
		retire_cable(c);
	pthread_mutex_unlock(&world.lock);
}

/* ---- open and close --------------------------------------------------------------------------------- */

static int map_ring(struct sxsk_priv_socket *s, unsigned which, size_t entry, struct mem_ring *ret)
{
	static const char *const names[] = { "RX", "TX", "FILL", "COMPLETION" };
	struct ring_map *map = ring_map_of(s, which);
	struct mem_ring r = { .size = s->ring_size[which], .mask = s->ring_size[which] - 1 };
	size_t len = AT_ENTRIES + r.size * entry;
	unsigned char *p =
		mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return sxsk_priv_fail(errno, "mmap of the %s ring of %u entries: %s", names[which],
				      r.size, strerror(errno));
	map->addr = p;
	map->len = len;
	/* A child must not run on its parent's rings. */
	if (madvise(p, len, MADV_DONTFORK) != 0)
		return sxsk_priv_fail(errno, "madvise(MADV_DONTFORK): %s", strerror(errno));
	r.base = p;
	r.producer = (void *)(p + AT_PRODUCER);
	r.consumer = (void *)(p + AT_CONSUMER);
	r.flags = (void *)(p + AT_FLAGS);
	r.entries = p + AT_ENTRIES;
	*ret = r;
	return 0;
}

/* A word of the ring for those who use it with __atomic built-ins on plain integers. */
static uint32_t *word(const struct mem_ring *r, size_t at)
{
	return (void *)(r->base + at);
}

/* The user's views, as libxdp makes them. A producer's cached_cons is a ring size ahead. */
static void view_prod(struct xsk_ring_prod *v, const struct mem_ring *r)
{
	*v = (struct xsk_ring_prod){
		.cached_cons = r->size,
		.mask = r->mask,
		.size = r->size,
		.producer = word(r, AT_PRODUCER),
		.consumer = word(r, AT_CONSUMER),
		.flags = word(r, AT_FLAGS),
		.ring = r->entries,
	};
}

static void view_cons(struct xsk_ring_cons *v, const struct mem_ring *r)
{
	*v = (struct xsk_ring_cons){
		.mask = r->mask,
		.size = r->size,
		.producer = word(r, AT_PRODUCER),
		.consumer = word(r, AT_CONSUMER),
		.flags = word(r, AT_FLAGS),
		.ring = r->entries,
	};
}

static void mem_close(struct sxsk_priv_socket *s)
{
	if (s->device_data)
		leave_end(s->device_data);
	s->device_data = NULL;
	for (unsigned i = 0; i < 4; i++) {
		struct ring_map *map = ring_map_of(s, i);

		if (map->addr)
			(void)munmap(map->addr, map->len);
		*map = (struct ring_map){ NULL, 0 };
	}
	if (s->fd >= 0)
		(void)close(s->fd);
	s->fd = -1;
}

static int mem_open(struct sxsk_priv_socket *s, struct sxsk_priv_socket *donor)
{
	struct mem_ring rx, tx, fill, comp;
	struct mem_end *e;
	int err;

	(void)donor; /* there is no registration to share */
	if (s->flags & SXSK_SOCKET_SHARE_QUEUE)
		return sxsk_priv_fail(EOPNOTSUPP,
				      "%s: SXSK_SOCKET_SHARE_QUEUE is for real interfaces; an "
				      "in-process cable has one socket at each end",
				      s->q->device.name);
	s->device_data = NULL;
	s->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	err = s->fd < 0 ? sxsk_priv_fail(errno, "eventfd: %s", strerror(errno)) : 0;
	if (err || (err = map_ring(s, RX, sizeof(struct xdp_desc), &rx)) ||
	    (err = map_ring(s, TX, sizeof(struct xdp_desc), &tx)) ||
	    (err = map_ring(s, FILL, sizeof(uint64_t), &fill)) ||
	    (err = map_ring(s, COMP, sizeof(uint64_t), &comp)) || (err = claim_end(s))) {
		mem_close(s);
		return err;
	}
	/* In copy mode TX always asks for a wake-up, and FILL never does. */
	store_relaxed(tx.flags, XDP_RING_NEED_WAKEUP);
	e = s->device_data;
	pthread_mutex_lock(&e->cable->lock);
	e->rx = rx;
	e->tx = tx;
	e->fill = fill;
	e->comp = comp;
	pthread_mutex_unlock(&e->cable->lock);
	view_cons(&s->rx_ring, &rx);
	view_prod(&s->tx_ring, &tx);
	view_prod(&s->q->fill, &fill);
	view_cons(&s->q->comp, &comp);
	return 0;
}

static int mem_bind(struct sxsk_priv_socket *s, struct sxsk_priv_socket *donor)
{
	struct mem_end *e = s->device_data;

	(void)donor;
	if (s->mode == SXSK_MODE_ZEROCOPY)
		return sxsk_priv_fail(EOPNOTSUPP,
				      "%s has no zero-copy mode: ask for copy, or leave the "
				      "mode to the library",
				      s->q->device.name);
	s->mode = SXSK_MODE_COPY;
	s->attach = SXSK_ATTACH_NONE;
	pthread_mutex_lock(&e->cable->lock);
	e->bound = true;
	e->receiving = !(s->flags & SXSK_SOCKET_NO_RX);
	pthread_mutex_unlock(&e->cable->lock);
	return 0;
}

/* There is no program, and nobody else on the wire to leave packets to. */
static int mem_steer(struct sxsk_priv_socket *s)
{
	s->attach = SXSK_ATTACH_NONE;
	return 0;
}

static void mem_unsteer(struct sxsk_priv_socket *s)
{
	struct mem_end *e = s->device_data;

	if (!e)
		return;
	pthread_mutex_lock(&e->cable->lock);
	e->receiving = false;
	pthread_mutex_unlock(&e->cable->lock);
}

/* ---- use -------------------------------------------------------------------------------------------- */

static int mem_error(struct sxsk_priv_socket *s)
{
	const struct mem_end *e = s->device_data;

	if (!e)
		return 0;
	if (load_relaxed(&e->cable->removed))
		return sxsk_priv_fail(ENXIO, "%s: interface removed", s->q->device.name);
	if (load_relaxed(&e->cable->down))
		return sxsk_priv_fail(ENETDOWN, "%s: interface is down; set its link up",
				      s->q->device.name);
	return 0;
}

static int mem_kick_tx(struct sxsk_priv_socket *s)
{
	struct mem_end *e = s->device_data;
	struct mem_cable *c = e->cable;
	int err;

	pthread_mutex_lock(&c->lock);
	if (!e->bound)
		err = sxsk_priv_fail(ENXIO, "%s: the socket is not bound", c->name);
	else
		err = mem_error(s);
	if (!err && !e->taken)
		err = sxsk_priv_mem_transmit(e, &c->end[e == &c->end[0]]);
	pthread_mutex_unlock(&c->lock);
	return err;
}

/* Copy mode: receiving needs no help. */
static int mem_kick_rx(struct sxsk_priv_socket *s)
{
	(void)s;
	return 0;
}

static void mem_stats(struct sxsk_priv_socket *s, struct sxsk_kernel_stats *ret_stats)
{
	const struct mem_end *e = s->device_data;

	memset(ret_stats, 0, sizeof(*ret_stats));
	if (!e)
		return;
	/* rx_invalid_descs stays 0: the kernel reads it from the RX ring, where nothing counts. */
	ret_stats->rx_dropped = load_relaxed(&e->rx_dropped);
	ret_stats->tx_invalid_descs = load_relaxed(&e->tx_invalid);
	ret_stats->rx_ring_full = load_relaxed(&e->rx_full);
	ret_stats->rx_fill_ring_empty_descs = load_relaxed(&e->fill_empty);
	ret_stats->tx_ring_empty_descs = load_relaxed(&e->tx_empty);
}

static bool mem_gone(const struct sxsk_priv_device_id *id)
{
	const struct mem_cable *c;
	bool gone;

	pthread_mutex_lock(&world.lock);
	for (c = world.live; c; c = c->next)
		if (c->end[0].id == id->netns || c->end[1].id == id->netns)
			break;
	/* A removed cable carries nothing any more, whoever still holds its ends. */
	gone = !c || load_relaxed(&c->removed);
	pthread_mutex_unlock(&world.lock);
	return gone;
}

const struct sxsk_priv_device sxsk_priv_device_mem = {
	.name = "mem",
	.identify = mem_identify,
	.queues = mem_queues,
	.open = mem_open,
	.bind = mem_bind,
	.steer = mem_steer,
	.unsteer = mem_unsteer,
	.close = mem_close,
	.kick_tx = mem_kick_tx,
	.kick_rx = mem_kick_rx,
	.error = mem_error,
	.stats = mem_stats,
	.gone = mem_gone,
};

/* ---- public ----------------------------------------------------------------------------------------- */

/* Store `value` in down (or removed) of all cables of a name, and wake who waits. */
static int change_name(const char *ifname, bool remove, uint32_t value)
{
	struct mem_cable *c, *next;
	int err = check_name(ifname);

	if (err)
		return err;
	pthread_mutex_lock(&world.lock);
	c = next_of_name(NULL, ifname);
	if (!c)
		err = sxsk_priv_fail(
			ENODEV, "no socket is open on %s: the device exists while one is", ifname);
	for (; c; c = next) {
		next = next_of_name(c, ifname);
		/* Under its lock: when this returns, no packet is under way. */
		pthread_mutex_lock(&c->lock);
		store_relaxed(remove ? &c->removed : &c->down, value);
		sxsk_priv_mem_notify(&c->end[0]);
		sxsk_priv_mem_notify(&c->end[1]);
		pthread_mutex_unlock(&c->lock);
	}
	pthread_mutex_unlock(&world.lock);
	return err;
}

int sxsk_mem_set_link(const char *ifname, bool up)
{
	return change_name(ifname, false, !up);
}

int sxsk_mem_remove(const char *ifname)
{
	return change_name(ifname, true, 1);
}

/* The end behind a public pointer; NULL with *ret_err. It stays open until socket_leave(). */
static struct mem_end *visit_end(struct sxsk_socket *socket, struct sxsk_priv_thread *t,
				 const char *function, int *ret_err)
{
	struct sxsk_priv_socket *s = sxsk_priv_socket_of(socket, function);

	*ret_err = -EBADF;
	if (!s || !t)
		return NULL;
	if (!socket_visit(s, (uint64_t)(uintptr_t)socket, t)) {
		(void)sxsk_priv_half_refused(s, (uint64_t)(uintptr_t)socket, 0, function);
		return NULL;
	}
	if (s->device == &sxsk_priv_device_mem)
		return s->device_data;
	*ret_err = sxsk_priv_fail(EINVAL, "%s: the socket is not on a mem: device", function);
	socket_leave(t);
	return NULL;
}

static struct sxsk_mem_ring ring_for_user(const struct mem_ring *r)
{
	return (struct sxsk_mem_ring){
		.producer = word(r, AT_PRODUCER),
		.consumer = word(r, AT_CONSUMER),
		.flags = word(r, AT_FLAGS),
		.entries = r->entries,
		.size = r->size,
	};
}

int sxsk_mem_take_rings(struct sxsk_socket *socket, struct sxsk_mem_rings *ret_rings)
{
	int err;
	struct sxsk_priv_thread *t = thread_self();
	struct mem_end *e = visit_end(socket, t, "sxsk_mem_take_rings", &err);
	const struct sxsk_priv_pool *pool;

	if (!e)
		return err;
	pthread_mutex_lock(&e->cable->lock);
	pool = e->socket->pool;
	e->taken = true;
	store_relaxed(e->tx.flags, 0);
	*ret_rings = (struct sxsk_mem_rings){
		.rx = ring_for_user(&e->rx),
		.tx = ring_for_user(&e->tx),
		.fill = ring_for_user(&e->fill),
		.comp = ring_for_user(&e->comp),
		.umem = pool->kernel_base,
		.umem_size = pool->size,
		.chunk = pool->chunk,
		.headroom = pool->headroom,
	};
	pthread_mutex_unlock(&e->cable->lock);
	socket_leave(t);
	return 0;
}

int sxsk_mem_set_faults(struct sxsk_socket *socket, const struct sxsk_mem_faults *faults)
{
	struct sxsk_mem_faults f;
	int err;
	struct sxsk_priv_thread *t = thread_self();
	struct mem_end *e = visit_end(socket, t, "sxsk_mem_set_faults", &err);

	if (!e)
		return err;
	err = sxsk_priv_options(&f, sizeof(f), faults, "sxsk_mem_faults");
	if (!err)
		sxsk_priv_mem_lie(e, &f, faults != NULL);
	socket_leave(t);
	return err;
}

uint64_t sxsk_mem_fault_count(struct sxsk_socket *socket, enum sxsk_mem_fault fault)
{
	struct sxsk_priv_thread *t = thread_self();
	struct mem_end *e;
	uint64_t n;
	int err;

	if ((unsigned)fault >= SXSK_MEM_FAULTS) {
		sxsk_priv_misuse(SXSK_MISUSE_ARGUMENT, "sxsk_mem_fault_count", NULL, UINT32_MAX,
				 "fault %d: there are %d", (int)fault, SXSK_MEM_FAULTS);
		return 0;
	}
	e = visit_end(socket, t, "sxsk_mem_fault_count", &err);
	if (!e)
		return 0;
	pthread_mutex_lock(&e->cable->lock);
	n = e->liar.told[fault];
	pthread_mutex_unlock(&e->cable->lock);
	socket_leave(t);
	return n;
}
