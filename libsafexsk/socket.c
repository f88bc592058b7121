/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sockets: open, close, and what outlives a close, the quarantine.
 *
 * A closed queue's frames that the kernel still had (in FILL, in flight) may be written to or read by
 * it for some time: their memory may be unmapped (the kernel has the pages pinned), but not reused.
 * They become QUARANTINED and give their unit back, so they do not keep the pool alive. The queue's
 * record stays until the same (device, queue) is bound again by this process, or the device is
 * gone; then they go to the depot.
 */
#include "frame.h"
#include "half.h"
#include "metadata.h"
#include "napi.h"
#include "netns.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define ETH_HEADER 14u
#define VLAN_TAG 4u

struct sxsk_priv_socket *sxsk_priv_socket_slow(struct sxsk_socket *cookie, const char *function)
{
	if (sxsk_priv_socket_inherited((uint32_t)(uintptr_t)cookie & 0xffff))
		sxsk_priv_misuse(
			SXSK_MISUSE_FORKED, function, NULL, UINT32_MAX,
			"a socket of the parent process in a forked child; open a new one here");
	else
		sxsk_priv_misuse(SXSK_MISUSE_CLOSED, function, NULL, UINT32_MAX,
				 cookie ? "stale socket pointer %p: that socket is closed" :
					  "the socket pointer is NULL (%p)",
				 (void *)cookie);
	return NULL;
}

/* ---- quarantine, under the registry's lock ---------------------------------------------------------- */

static bool same_device(const struct sxsk_priv_device_id *a, const struct sxsk_priv_device_id *b)
{
	return a->ifindex == b->ifindex && a->queue == b->queue && a->netns == b->netns &&
	       (a->ifindex != 0 || strcmp(a->name, b->name) == 0);
}

/* The kernel is done with a record's frames: to the depot, if their pool still lives. */
static void end_quarantine(struct sxsk_priv_queue *q)
{
	struct sxsk_priv_pool *pool = &sxsk_priv_registry.pool[q->pool & 0xffff];

	q->state = QUEUE_FREE;
	if (!sxsk_priv_units_take(pool, q->pool, UNIT_FRAME))
		return;
	(void)sxsk_priv_frames_release(pool, q->id);
	sxsk_priv_units_give(pool, UNIT_FRAME);
}

static const struct sxsk_priv_device *device_of(const struct sxsk_priv_device_id *id)
{
	return id->ifindex ? &sxsk_priv_device_xsk : &sxsk_priv_device_mem;
}

static void end_quarantine_of(const struct sxsk_priv_device_id *rebound)
{
	for (uint32_t i = sxsk_priv_queues_used(); i > 0; i--) {
		struct sxsk_priv_queue *q = &sxsk_priv_registry.queue[i];

		if (q->state == QUEUE_QUARANTINE &&
		    (rebound ? same_device(&q->device, rebound) :
			       q->gone || device_of(&q->device)->gone(&q->device)))
			end_quarantine(q);
	}
}

/* Free what waited for devices that are gone by now. */
void sxsk_priv_quarantine_sweep(void)
{
	pthread_mutex_lock(&sxsk_priv_registry.lock);
	end_quarantine_of(NULL);
	pthread_mutex_unlock(&sxsk_priv_registry.lock);
}

/* ---- open --------------------------------------------------------------------------------------------- */

int sxsk_priv_no_partner(const struct sxsk_priv_queue *q)
{
	return sxsk_priv_fail(EBUSY,
			      "%s queue %u: its only socket is being opened or closed by another "
			      "thread: try again",
			      q->device.name, q->device.queue);
}

/* A live queue has a socket of this process already: it may take another one. */
static int join_queue(struct sxsk_priv_socket *s, struct sxsk_priv_queue *q)
{
	const struct sxsk_priv_device_id *id = &q->device;

	if (!(s->flags & q->flags & SXSK_SOCKET_SHARE_QUEUE))
		return sxsk_priv_fail(EBUSY,
				      "%s queue %u has a socket of this process already: to share "
				      "it, open all of its sockets with SXSK_SOCKET_SHARE_QUEUE",
				      id->name, id->queue);
	if (q->pool != load_relaxed(&s->pool_cookie))
		return sxsk_priv_fail(
			EBUSY,
			"%s queue %u has a socket with another pool: the sockets of a "
			"queue share one",
			id->name, id->queue);
	if (q->sockets == 0)
		return sxsk_priv_no_partner(q);
	q->sockets++;
	s->q = q;
	return 0;
}

/* A queue record for this device. */
static int take_queue(struct sxsk_priv_socket *s, const struct sxsk_priv_device_id *id)
{
	struct sxsk_priv_queue *q;
	uint32_t slot;

	for (uint32_t i = sxsk_priv_queues_used(); i > 0; i--) {
		q = &sxsk_priv_registry.queue[i];
		if (q->state == QUEUE_LIVE && same_device(&q->device, id))
			return join_queue(s, q);
	}
	slot = sxsk_priv_queue_slot();
	if (slot == 0)
		return sxsk_priv_fail(ENFILE, "%u queues are open or in quarantine already",
				      MAX_QUEUES);
	q = &sxsk_priv_registry.queue[slot];
	*q = (struct sxsk_priv_queue){ .id = slot,
				       .state = QUEUE_LIVE,
				       .sockets = 1,
				       .flags = s->flags & SXSK_SOCKET_SHARE_QUEUE,
				       .pool = load_relaxed(&s->pool_cookie),
				       .device = *id };
	s->q = q;
	return 0;
}

static void init_half(struct sxsk_priv_half *half, uint32_t holder, bool direct,
		      const struct sxsk_priv_pool *pool)
{
	store_relaxed(&half->busy, 0);
	store_relaxed(&half->owner, 0);
	store_relaxed(&half->direct, direct);
	half->takeovers = 0;
	half->armed = 0;
	half->stock.holder = holder;
	half->stock.cap = 2 * pool->magazine;
	half->stock.n = 0;
	half->epoll = -1;
}

static void clear_counters(struct sxsk_priv_socket *s)
{
#define COUNTER(name) &s->name,
	atomic_u64 *all[] = { SXSK_SOCKET_COUNTERS(COUNTER) };
#undef COUNTER

	for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		store_relaxed(all[i], 0);
	store_relaxed(&s->failed, 0);
}

/* Under the registry's lock: whole magazines, which is how frames leave the depot. */
static int take_quota(struct sxsk_priv_socket *s, uint32_t quota)
{
	struct sxsk_priv_pool *pool = s->pool;
	uint32_t kept = load_relaxed(&pool->kept), rest = quota % pool->magazine;

	s->quota = 0;
	if (kept + quota > pool->count / 2)
		return sxsk_priv_fail(
			EINVAL,
			"frame_quota is %u: with the %u of other sockets it may be half of the "
			"pool's %u frames",
			quota, kept, pool->count);
	s->quota = quota + (rest ? pool->magazine - rest : 0);
	store_relaxed(&pool->kept, kept + s->quota);
	return 0;
}

static void give_quota(struct sxsk_priv_socket *s)
{
	store_relaxed(&s->pool->kept, load_relaxed(&s->pool->kept) - s->quota);
	s->quota = 0;
}

/* Under the registry's lock: a slot and a queue for the new socket. */
static int take_slot(struct sxsk_priv_socket **ret_s, struct sxsk_priv_pool *pool,
		     uint64_t pool_cookie, const struct sxsk_socket_opts *o,
		     const struct sxsk_priv_device_id *id, const struct sxsk_priv_device *device)
{
	uint32_t slot = sxsk_priv_socket_slot();
	struct sxsk_priv_socket *s = &sxsk_priv_registry.socket[slot];
	int err;

	if (slot == 0)
		return sxsk_priv_fail(ENFILE, "%d sockets are open already", SXSK_MAX_SOCKETS);
	s->slot = slot;
	s->pool = pool;
	store_relaxed(&s->pool_cookie, pool_cookie);
	s->device = device;
	s->flags = o->flags;
	s->metadata = o->metadata;
	s->fd = -1;
	s->prog = NULL;
	s->napi = NULL;
	s->device_data = NULL;
	s->rx_run.count = 0;
	s->rx_endless = 0;
	s->tx_untold = false;
	s->tx_most = SXSK_MAX_FRAGS;
	memset(s->map, 0, sizeof(s->map));
	err = take_quota(s, o->frame_quota);
	if (!err)
		err = take_queue(s, id);
	if (err) {
		give_quota(s);
		return err;
	}
	/* Straight to FILL only where that ring is one socket's. */
	init_half(&s->rx, 2 * slot, !(s->flags & SXSK_SOCKET_SHARE_QUEUE), pool);
	init_half(&s->tx, 2 * slot + 1, false, pool);
	clear_counters(s);
	store_relaxed(&s->state, SOCKET_OPENING);
	*ret_s = s;
	return 0;
}

static int make_epoll(struct sxsk_priv_socket *s, struct sxsk_priv_half *half, bool rx)
{
	struct epoll_event wake = { .events = EPOLLIN, .data.u32 = SXSK_WAIT_WAKE };
	struct epoll_event food = { .events = EPOLLIN | EPOLLET };
	uint64_t stale;

	/* Kept with the slot and never closed: a late wake must not write to a stranger's file. */
	if (half->wake_fd <= 0)
		half->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	else if (read(half->wake_fd, &stale, sizeof(stale)) > 0)
		stale = 0; /* a wake of the slot's last socket */
	if (half->wake_fd < 0 || (half->epoll = epoll_create1(EPOLL_CLOEXEC)) < 0 ||
	    epoll_ctl(half->epoll, EPOLL_CTL_ADD, half->wake_fd, &wake) != 0 ||
	    epoll_ctl(half->epoll, EPOLL_CTL_ADD, s->pool->eventfd, &food) != 0 ||
	    (rx && sxsk_priv_arm(s) != 0))
		return sxsk_priv_fail(errno, "no descriptor to wait on: %s", strerror(errno));
	return 0;
}

/* Frames for the kernel before bind, since some drivers want them then: no more than half of what is
 * free, so that a second socket, and the program, find some too; sockets that are opened together have
 * equal shares. */
static void first_fill(struct sxsk_priv_socket *s)
{
	struct sxsk_priv_pool *pool = s->pool;
	struct sxsk_priv_queue *q = s->q;
	uint32_t out = UNITS_FRAMES(load_relaxed(&pool->units)), most, least;

	/* One that joins a queue finds its FILL filled, unless the others only send. */
	if (s->flags & SXSK_SOCKET_NO_RX || (q->sockets > 1 && q->fill_target > 0))
		return;
	/* What FILL has already counts as free: filling twice must not take more than once. */
	most = (uint32_t)(q->fill_given - q->fill_returned);
	if (out < pool->count)
		most += pool->count - out;
	most /= 1 + s->sharers;
	least = pool->count / (16 * s->sharers);
	/* Frames that are all with users now come home later: a target of none would never be filled. */
	if (most < least || most == 0)
		most = least + (least == 0);
	sxsk_priv_set_fill_target(q, most < q->fill.size ? most : q->fill.size);
	sxsk_priv_refill(s, &s->rx.stock, 1);
}

/* How much two sockets of a pool have in common, for sharing a registration. */
static int closeness(const struct sxsk_priv_queue *a, const struct sxsk_priv_queue *b)
{
	if (a == b)
		return 2;
	return a->device.ifindex == b->device.ifindex && a->device.netns == b->device.netns;
}

/* A bound socket of the same pool, whose umem registration can be shared: of the same queue or interface
 * if there is one. It stays bound while we hold the pool's lock, which its close takes too. */
static struct sxsk_priv_socket *find_donor(const struct sxsk_priv_socket *s)
{
	struct sxsk_priv_socket *donor = NULL;

	pthread_mutex_lock(&sxsk_priv_registry.lock);
	for (uint32_t i = sxsk_priv_sockets_used(); i > 0; i--) {
		struct sxsk_priv_socket *other = &sxsk_priv_registry.socket[i];

		if (load_acquire(&other->state) != SOCKET_OPEN ||
		    load_relaxed(&other->pool_cookie) != load_relaxed(&s->pool_cookie) ||
		    other->device != s->device)
			continue;
		if (!donor || closeness(other->q, s->q) > closeness(donor->q, s->q))
			donor = other;
	}
	pthread_mutex_unlock(&sxsk_priv_registry.lock);
	return donor;
}

static int set_up(struct sxsk_priv_socket *s)
{
	struct sxsk_priv_socket *donor = find_donor(s);
	int err;

	err = s->device->open(s, donor);
	if (!err && s->q->ledger.size == 0)
		err = sxsk_priv_ledger_create(&s->q->ledger, s->ring_size[3]);
	if (!err)
		err = make_epoll(s, &s->rx, true);
	if (!err)
		err = make_epoll(s, &s->tx, false);
	if (err)
		return err;
	sxsk_priv_remember_fd(s->slot, s->fd);
	first_fill(s);
	return s->device->bind(s, donor);
}

/* After a successful bind: the queue's former frames are free again, and FILL may need some of them. */
static int start(struct sxsk_priv_socket *s)
{
	pthread_mutex_lock(&sxsk_priv_registry.lock);
	s->q->bound = 1;
	end_quarantine_of(&s->q->device);
	pthread_mutex_unlock(&sxsk_priv_registry.lock);
	if (s->q->fill_target < s->q->fill.size / 2)
		first_fill(s);
	return s->device->steer(s);
}

/* A packet of the interface's MTU, with two VLAN tags, where the kernel puts it. */
static bool fits_frame(const struct sxsk_priv_pool *pool, uint32_t mtu)
{
	return mtu + ETH_HEADER + 2 * VLAN_TAG <= pool->chunk - KERNEL_HEADROOM - pool->headroom;
}

static void tear_down(struct sxsk_priv_socket *s, bool bound);

static const struct sxsk_priv_device *device_named(const char *ifname)
{
	return strncmp(ifname, "mem:", 4) == 0 ? &sxsk_priv_device_mem : &sxsk_priv_device_xsk;
}

static int open_on(struct sxsk_priv_socket **ret_s, struct sxsk_priv_pool *pool,
		   uint64_t pool_cookie, const char *ifname, uint32_t queue,
		   const struct sxsk_socket_opts *o, uint32_t sharers)
{
	const struct sxsk_priv_device *device = device_named(ifname);
	struct sxsk_priv_device_id id = { 0 };
	struct sxsk_priv_socket *s = NULL;
	uint32_t mtu = 0;
	int err = device->identify(ifname, queue, &id, &mtu);
	bool bound;

	if (err)
		return err;
	pthread_mutex_lock(&pool->lock);
	pthread_mutex_lock(&sxsk_priv_registry.lock);
	end_quarantine_of(NULL);
	err = take_slot(&s, pool, pool_cookie, o, &id, device);
	pthread_mutex_unlock(&sxsk_priv_registry.lock);
	if (err) {
		pthread_mutex_unlock(&pool->lock);
		return err;
	}
	s->mtu = mtu;
	if (o->flags & SXSK_SOCKET_MULTI_BUFFER_AUTO && !fits_frame(pool, mtu))
		s->flags |= SXSK_SOCKET_MULTI_BUFFER;
	s->sharers = sharers;
	s->mode = o->mode;
	s->attach = o->attach;
	s->steer = o->steer;
	s->target = o->target;
	s->opts = o;
	s->ring_size[0] = o->rx_size;
	s->ring_size[1] = o->tx_size;
	s->ring_size[2] = o->fill_size;
	s->ring_size[3] = o->comp_size;
	err = set_up(s);
	pthread_mutex_unlock(&pool->lock);
	bound = !err;
	if (!err)
		err = start(s);
	s->opts = NULL;
	if (err)
		tear_down(s, bound);
	*ret_s = s;
	return err;
}

static int check_device(const char *ifname, const struct sxsk_socket_opts *o)
{
	if (o->netns && device_named(ifname) == &sxsk_priv_device_mem)
		return sxsk_priv_fail(EINVAL, "netns is %s: %s is in no network namespace",
				      o->netns, ifname);
	return 0;
}

/* With options that were checked. */
static int open_one(struct sxsk_socket **ret_socket, struct sxsk_pool *pool_cookie_arg,
		    const char *ifname, uint32_t queue, const struct sxsk_socket_opts *o,
		    uint32_t sharers)
{
	static atomic_u64 incarnation;
	uint64_t pool_cookie = (uint64_t)(uintptr_t)pool_cookie_arg, cookie;
	struct sxsk_priv_pool *pool = sxsk_priv_pool_of(pool_cookie_arg, "sxsk_socket_open");
	struct sxsk_priv_socket *s = NULL;
	int err;

	if (!pool)
		return -EINVAL;
	if (o->frame_quota > pool->count / 2)
		return sxsk_priv_fail(
			EINVAL, "frame_quota is %u: it may be half of the pool's %u frames at most",
			o->frame_quota, pool->count);
	if (o->metadata & METADATA_TX && !pool->tx_metadata_len)
		return sxsk_priv_fail(EINVAL,
				      "metadata is 0x%x: the pool was made without tx_metadata_len",
				      o->metadata);
	sxsk_priv_membarrier_register();
	if (!sxsk_priv_units_take_socket(pool, pool_cookie))
		return sxsk_priv_fail(ESHUTDOWN, "pool \"%s\" has no owner and no socket left",
				      pool->name);
	err = open_on(&s, pool, pool_cookie, ifname, queue, o, sharers);
	if (err) {
		sxsk_priv_units_give_socket(pool);
		return err;
	}
	cookie = (fetch_add_relaxed(&incarnation, 1) + 1) << 16 | s->slot;
	store_relaxed(&s->cookie, cookie);
	/* Release: pairs with the acquire in half_enter: who sees OPEN sees the socket. */
	store_release(&s->state, SOCKET_OPEN);
	*ret_socket = (struct sxsk_socket *)(uintptr_t)cookie;
	return 0;
}

int sxsk_socket_open(struct sxsk_socket **ret_socket, struct sxsk_pool *pool, const char *ifname,
		     uint32_t queue, const struct sxsk_socket_opts *opts)
{
	struct sxsk_socket_opts o;
	int err, home;

	if (!ret_socket || !ifname)
		return sxsk_priv_fail(EINVAL, "%s is NULL", ret_socket ? "ifname" : "ret_socket");
	err = sxsk_priv_socket_options(&o, opts);
	if (!err)
		err = check_device(ifname, &o);
	if (!err)
		err = sxsk_priv_netns_enter(o.netns, &home);
	if (err)
		return err;
	err = open_one(ret_socket, pool, ifname, queue, &o, 1);
	sxsk_priv_netns_leave(home);
	return err;
}

static int open_all(struct sxsk_socket *ret_sockets[], unsigned *n, struct sxsk_pool *pool,
		    const char *ifname, const struct sxsk_socket_opts *o)
{
	uint32_t queues, done;
	int err = device_named(ifname)->queues(ifname, o->flags & SXSK_SOCKET_NO_RX, &queues);

	if (err)
		return err;
	if (queues > *n) {
		err = sxsk_priv_fail(E2BIG, "%s has %u queues, and there is room for %u sockets",
				     ifname, queues, *n);
		*n = queues;
		return err;
	}
	for (done = 0; !err && done < queues; done += !err)
		err = open_one(&ret_sockets[done], pool, ifname, done, o, queues - done);
	if (!err)
		*n = queues;
	while (err && done > 0) {
		sxsk_socket_close(ret_sockets[--done]);
		ret_sockets[done] = NULL;
	}
	return err;
}

int sxsk_socket_open_all(struct sxsk_socket *ret_sockets[], unsigned *n, struct sxsk_pool *pool,
			 const char *ifname, const struct sxsk_socket_opts *opts)
{
	struct sxsk_socket_opts o;
	int err, home;

	if (!n || !ifname || (!ret_sockets && *n))
		return sxsk_priv_fail(EINVAL, "%s is NULL",
				      !n      ? "n" :
				      !ifname ? "ifname" :
						"ret_sockets");
	err = sxsk_priv_socket_options(&o, opts);
	if (!err)
		err = check_device(ifname, &o);
	if (!err)
		err = sxsk_priv_netns_enter(o.netns, &home);
	if (err)
		return err;
	err = open_all(ret_sockets, n, pool, ifname, &o);
	sxsk_priv_netns_leave(home);
	return err;
}

/* ---- close -------------------------------------------------------------------------------------------- */

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* What stays in this TX ring is never completed, and would be missing from what the queue's other sockets may
 * send. In copy mode the kernel takes it in system calls only: kicks, and polls of an epoll with the socket.
 * Where it does not tell how far it got, some of that room stays lost. */
static void leave_unsent(struct sxsk_priv_socket *s)
{
	const uint32_t out = (uint32_t)(s->q->comp_given - s->q->comp_returned);
	uint32_t left;

	if (s->rx.armed)
		sxsk_priv_disarm(s);
	left = sxsk_priv_tx_waiting(s);
	s->q->comp_given -= left < out ? left : out;
}

/* What the rings still hold for us: received packets and completions. */
static void drain_rings(struct sxsk_priv_socket *s)
{
	struct sxsk_buf bufs[BURST_CHUNK];
	uint32_t at, got;

	while (!(s->flags & SXSK_SOCKET_NO_RX) && !sxsk_priv_poisoned(s) &&
	       (got = xsk_ring_cons__peek(&s->rx_ring, BURST_CHUNK, &at)) > 0 &&
	       s->rx_ring.cached_prod - at <= s->rx_ring.size) {
		struct sxsk_priv_received r = { 0 };

		sxsk_priv_frames_receive_rest(s, at, got, bufs, &r);
		sxsk_buf_unref_burst(bufs, r.bufs);
		queue_lock(s, &s->q->fill_lock);
		s->q->fill_returned += r.descs;
		queue_unlock(s, &s->q->fill_lock);
		if (r.descs == 0) /* a packet without an end: what it has is the quarantine's */
			break;
		s->rx_ring.cached_prod = s->rx_ring.cached_cons = at + r.descs;
		xsk_ring_cons__release(&s->rx_ring, r.descs);
	}
	if (s->flags & SXSK_SOCKET_NO_TX || sxsk_priv_poisoned(s))
		return;
	queue_lock(s, &s->q->comp_lock);
	if (s->flags & SXSK_SOCKET_SHARE_QUEUE)
		sxsk_priv_kick(s);
	while (sxsk_priv_reap(s, &s->tx.stock) > 0)
		;
	if (s->flags & SXSK_SOCKET_SHARE_QUEUE && s->mode == SXSK_MODE_COPY && !s->tx_untold)
		leave_unsent(s);
	queue_unlock(s, &s->q->comp_lock);
}

/* The transmissions in the ledger, off their frames. Returns the units of those that had no other. */
static uint32_t abandon_ledger(struct sxsk_priv_socket *s)
{
	struct sxsk_priv_ledger *l = &s->q->ledger;
	uint32_t units = 0;

	for (uint32_t e = 0; e < l->size; e++)
		if (l->frame[e] != NIL)
			units += sxsk_priv_frame_abandon_tx(s->pool, l->frame[e], s->q->id);
	sxsk_priv_ledger_destroy(l);
	return units;
}

/* The queue's last socket goes: what the kernel still has. Returns the units to give back. */
static uint32_t abandon_queue(struct sxsk_priv_socket *s)
{
	uint32_t units = sxsk_priv_frames_abandon(s->pool, s->q->id, !s->q->bound);

	return units + abandon_ledger(s);
}

/* Undo whatever was set up; `bound`: the kernel may have had our frames. The socket's unit stays. */
static void tear_down(struct sxsk_priv_socket *s, bool bound)
{
	struct sxsk_priv_pool *pool = s->pool;
	struct sxsk_priv_queue *q = s->q;
	uint32_t left = 0;
	bool last, gone;

	s->device->unsteer(s);
	if (bound)
		drain_rings(s);
	sxsk_priv_stock_spill(pool, &s->rx.stock, s->rx.stock.n);
	sxsk_priv_stock_spill(pool, &s->tx.stock, s->tx.stock.n);
	pthread_mutex_lock(&pool->lock); /* nobody shares our registration while it goes */
	store_relaxed(&s->state, SOCKET_CLOSING);
	sxsk_priv_remember_fd(s->slot, -1);
	/* While the socket can tell: later there may be another interface with the same index, or no thread
	 * in the interface's namespace. One that never was bound says the same of itself. */
	gone = bound && s->device->kick_rx(s) == -ENXIO;
	pthread_mutex_lock(&sxsk_priv_registry.lock);
	q->gone |= gone;
	last = --q->sockets == 0;
	pthread_mutex_unlock(&sxsk_priv_registry.lock);
	s->device->close(s);
	pthread_mutex_unlock(&pool->lock);
	if (last)
		left = abandon_queue(s);
	if (left)
		sxsk_priv_units_give(pool, left * UNIT_FRAME);
	close_fd(&s->rx.epoll);
	close_fd(&s->tx.epoll);
	pthread_mutex_lock(&sxsk_priv_registry.lock);
	give_quota(s);
	/* Also when no frame is left there now: a suspect's last unref may come later. */
	if (last)
		q->state = q->bound ? QUEUE_QUARANTINE : QUEUE_FREE;
	end_quarantine_of(NULL); /* the device may be gone already */
	store_relaxed(&s->cookie, 0);
	store_release(&s->state, SOCKET_FREE);
	pthread_mutex_unlock(&sxsk_priv_registry.lock);
}

static void wake(struct sxsk_priv_half *half)
{
	uint64_t one = 1;
	ssize_t done = write(half->wake_fd, &one, sizeof(one));

	(void)done; /* full only when nobody reads: then it is readable anyhow */
}

static void wait_until_out(struct sxsk_priv_socket *s, const struct sxsk_priv_thread *self)
{
	const struct timespec ms = { .tv_nsec = 1000000 };

	while (sxsk_priv_thread_inside(&s->rx, self) || sxsk_priv_thread_inside(&s->tx, self) ||
	       sxsk_priv_thread_inside(s, self)) {
		wake(&s->rx);
		wake(&s->tx);
		(void)nanosleep(&ms, NULL);
	}
}

/* One thread closes, and this socket: not one that was opened in its slot since. A cookie goes under the lock. */
static bool begin_close(struct sxsk_priv_socket *s, struct sxsk_socket *socket)
{
	bool ours, first;

	pthread_mutex_lock(&sxsk_priv_registry.lock);
	ours = load_relaxed(&s->cookie) == (uint64_t)(uintptr_t)socket;
	/* Acquire: what the opening thread set up. */
	first = ours && load_acquire(&s->state) == SOCKET_OPEN;
	if (first)
		store_relaxed(&s->state, SOCKET_CLOSING);
	pthread_mutex_unlock(&sxsk_priv_registry.lock);
	if (!ours)
		(void)sxsk_priv_socket_slow(socket, "sxsk_socket_close");
	else if (!first)
		sxsk_priv_misuse(SXSK_MISUSE_CLOSED, "sxsk_socket_close", s->pool, UINT32_MAX,
				 "the socket is being closed by another thread");
	return first;
}

void sxsk_socket_close(struct sxsk_socket *socket)
{
	struct sxsk_priv_thread *t;
	struct sxsk_priv_socket *s;
	struct sxsk_priv_pool *pool;
	if (!socket)
		return;
	if (sxsk_priv_socket_inherited((uint32_t)(uintptr_t)socket & 0xffff)) {
		sxsk_priv_close_in_child((uint32_t)(uintptr_t)socket & 0xffff);
		return;
	}
	t = thread_self();
	s = sxsk_priv_socket_of(socket, "sxsk_socket_close");
	if (!s)
		return;
	/* By a misuse or signal handler. */
	if (t && (sxsk_priv_thread_at(t, &s->rx) || sxsk_priv_thread_at(t, &s->tx) ||
		  sxsk_priv_thread_at(t, s))) {
		sxsk_priv_misuse(SXSK_MISUSE_THREADS, "sxsk_socket_close", s->pool, UINT32_MAX,
				 "the socket on %s is closed from inside its own call",
				 s->q->device.name);
		return;
	}
	if (!begin_close(s, socket))
		return;
	pool = s->pool;
	s->device->unsteer(s);
	sxsk_priv_membarrier();
	wait_until_out(s, t);
	tear_down(s, true);
	sxsk_priv_units_give_socket(pool);
}

/* ---- the rest ----------------------------------------------------------------------------------------- */

int sxsk_socket_fd(struct sxsk_socket *socket)
{
	struct sxsk_priv_thread *t = thread_self();
	struct sxsk_priv_socket *s = sxsk_priv_socket_of(socket, "sxsk_socket_fd");
	int fd;

	if (!s || !t)
		return -EBADF;
	if (!socket_visit(s, (uint64_t)(uintptr_t)socket, t)) {
		(void)sxsk_priv_half_refused(s, (uint64_t)(uintptr_t)socket, 0, "sxsk_socket_fd");
		return -EBADF;
	}
	fd = s->rx.epoll;
	socket_leave(t);
	return fd;
}

void sxsk_socket_wake(struct sxsk_socket *socket)
{
	struct sxsk_priv_socket *s = sxsk_priv_socket_of(socket, "sxsk_socket_wake");

	if (!s)
		return;
	wake(&s->rx);
	wake(&s->tx);
}
