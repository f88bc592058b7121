/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The data path: receive with refill, send with reap and kick, and where the frames of an unref go.
 *
 * Direct refill: a thread that gives back Bufs while its last-used RX half lacks frames puts them
 * straight into that half's FILL ring, USER -> FILL, without a stop in a stock. Why it may is in half.h.
 */
#include "frame.h"
#include "half.h"
#include "harden.h"
#include "metadata.h"

#include <errno.h>
#include <string.h>

#define REFILL_BATCH 64u
/* Fewer completions are better off in a stock until they are a REFILL_BATCH. */
#define REAP_BATCH 16u
#define DEPOT_BATCH 256u /* what comes from another thread comes in fewer, larger parts */
#define TAKEOVERS_MAX 16u

int sxsk_priv_half_refused(struct sxsk_priv_socket *s, uint64_t cookie, uint32_t other,
			   const char *function)
{
	/* The state first: when the socket has gone since, and another was opened in its slot, who sees that one
	 * open sees its cookie. Acquire: pairs with the release that opened it. */
	const uint32_t state = load_acquire(&s->state);

	if (load_relaxed(&s->cookie) != cookie)
		(void)sxsk_priv_socket_slow((struct sxsk_socket *)(uintptr_t)cookie, function);
	else if (state != SOCKET_OPEN)
		return sxsk_priv_fail(ESHUTDOWN, "%s: the socket is being closed", function);
	else
		sxsk_priv_misuse(
			SXSK_MISUSE_THREADS, function, s->pool, UINT32_MAX,
			"thread %u is in this half of the socket on %s already: one thread at a time, "
			"and none from its own misuse or signal handler",
			other, s->q->device.name);
	return -EBADF;
}

/* This half was another thread's: from here on its unrefs leave the FILL ring alone. */
void sxsk_priv_half_take_over(struct sxsk_priv_half *half, struct sxsk_priv_thread *t)
{
	uint32_t first = load_relaxed(&half->owner) == 0;

	store_relaxed(&half->owner, load_relaxed(&t->tid));
	fence_seq_cst(); /* pairs with sxsk_priv_tend_own() */
	if (first || !load_relaxed(&half->direct))
		return;
	if (++half->takeovers > TAKEOVERS_MAX)
		store_relaxed(&half->direct, 0);
	sxsk_priv_membarrier();
	while (sxsk_priv_thread_inside(half, t))
		; /* a few dozen instructions, without a system call */
}

/* Where this half's free frames come from and go to: the thread's lane, or the half's own stock. */
static inline struct sxsk_priv_stock *
stock_for(struct sxsk_priv_socket *s, struct sxsk_priv_half *half, struct sxsk_priv_thread *t)
{
	struct sxsk_priv_lane *lane = lane_of(t, load_relaxed(&s->pool_cookie));

	if (unlikely(load_relaxed(&s->pool->attention))) {
		/* Hungry (or orphaned, which an open socket rules out): all spare frames to the depot. */
		sxsk_priv_stock_spill(s->pool, &half->stock, half->stock.n);
		if (lane)
			sxsk_priv_lane_heed(s->pool, lane);
	}
	return lane ? &lane->stock : &half->stock;
}

/* The kernel side broke the ring protocol: no index of its rings is to be believed any more. Nobody
 * touches them from now on, unrefs of this half's thread included. */
__attribute__((noinline, cold)) void sxsk_priv_poison(struct sxsk_priv_socket *s)
{
	store_relaxed(&s->failed, EPROTO);
	store_relaxed(&s->rx.direct, 0);
}

/* ---- receive ------------------------------------------------------------------------------------------ */

/* Is it time to refill? */
static inline bool lacks_batch(const struct sxsk_priv_queue *q)
{
	return (uint32_t)(q->fill_given - q->fill_returned) + q->fill_batch <= q->fill_target;
}

/* Frames that the kernel lacks. */
static inline uint32_t lacking(const struct sxsk_priv_queue *q)
{
	uint32_t has = (uint32_t)(q->fill_given - q->fill_returned);

	return has < q->fill_target ? q->fill_target - has : 0;
}

/* So many frames the kernel should have; refilled when it lacks a batch. */
void sxsk_priv_set_fill_target(struct sxsk_priv_queue *q, uint32_t target)
{
	q->fill_target = target;
	q->fill_batch = target < 2 * REFILL_BATCH ? (target + 1) / 2 : REFILL_BATCH;
}

/* Let the driver receive. */
__attribute__((noinline, cold)) void sxsk_priv_kick_rx(struct sxsk_priv_socket *s)
{
	(void)s->device->kick_rx(s);
	count_add(&s->rx_kicks, 1);
}

/* n addresses were written behind the FILL ring's producer: give them to the kernel. */
static inline void put_fill(struct sxsk_priv_socket *s, uint32_t n)
{
	struct sxsk_priv_queue *q = s->q;

	q->fill.cached_prod += n;
	q->fill_given += n;
	count_add(&s->fill_given, n);
	xsk_ring_prod__submit(&q->fill, n);
	if (unlikely(xsk_ring_prod__needs_wakeup(&q->fill)))
		sxsk_priv_kick_rx(s);
}

/* Frames of the depot's to FILL from position `at`, `want` at most, the others of a magazine to the stock,
 * which is empty. Returns whether there were any. */
static bool fill_from_depot(struct sxsk_priv_socket *s, struct sxsk_priv_stock *stock,
			    uint32_t want, uint32_t at, uint32_t *ret_filled)
{
	struct sxsk_priv_pool *pool = s->pool;
	struct sxsk_priv_stock from;
	uint32_t most = want < DEPOT_BATCH ? want : DEPOT_BATCH;

	most = most > pool->magazine ? most : pool->magazine;
	from.holder = HOLDER_DEPOT;
	from.n = sxsk_priv_magazines_take(pool, from.index, most, s->quota);
	if (unlikely(from.n == 0) && most > pool->magazine) {
		most = pool->magazine; /* so many may be left for this socket */
		from.n = sxsk_priv_magazines_take(pool, from.index, most, s->quota);
	}
	*ret_filled = 0;
	if (from.n == 0)
		return false;
	*ret_filled = sxsk_priv_frames_fill(pool, s->q, &from, from.n < want ? from.n : want, at);
	stock->n = sxsk_priv_frames_move(pool, from.index, from.n, HOLDER_DEPOT, stock->holder);
	memcpy(stock->index, from.index, stock->n * sizeof(stock->index[0]));
	if (*ret_filled + stock->n < most)
		sxsk_priv_units_give(pool, most - *ret_filled - stock->n);
	return true;
}

/* Other threads free what this half receives. */
static inline void from_others(struct sxsk_priv_socket *s)
{
	uint32_t eighth = s->q->fill_target / 8;

	s->rx_run.ahead = 0;
	if (eighth > REFILL_BATCH)
		s->q->fill_batch = eighth < DEPOT_BATCH ? eighth : DEPOT_BATCH;
}

static void refill(struct sxsk_priv_socket *s, struct sxsk_priv_stock *stock, uint32_t least)
{
	struct sxsk_priv_queue *q = s->q;
	uint32_t want = lacking(q), free_slots, done = 0;

	if (want < least || want == 0 || sxsk_priv_poisoned(s))
		return;
	free_slots = xsk_prod_nb_free(&q->fill, want);
	if (unlikely(free_slots > q->fill.size)) {
		sxsk_priv_poison(s);
		return;
	}
	want = want < free_slots ? want : free_slots;
	while (done < want) {
		uint32_t n = want - done, at = q->fill.cached_prod + done, filled;

		if (stock->n > 0) {
			n = n < stock->n ? n : stock->n; /* it stops at the ring's wrap */
			filled = sxsk_priv_frames_fill(s->pool, q, stock, n, at);
		} else if (!fill_from_depot(s, stock, n, at, &filled)) {
			count_add(&s->fill_starved, 1);
			break;
		} else {
			from_others(s);
		}
		done += filled;
	}
	if (done)
		put_fill(s, done);
}

/* Bring the kernel's frames up to the target, when it lacks `least` of them. */
void sxsk_priv_refill(struct sxsk_priv_socket *s, struct sxsk_priv_stock *stock, uint32_t least)
{
	queue_lock(s, &s->q->fill_lock);
	refill(s, stock, least);
	queue_unlock(s, &s->q->fill_lock);
}

static inline void took(struct sxsk_priv_socket *s, uint32_t descs, uint32_t packets,
			uint64_t bytes)
{
	struct sxsk_priv_queue *q = s->q;

	xsk_ring_cons__release(&s->rx_ring, descs);
	q->fill_returned += descs;
	if (unlikely(q->fill_returned > q->fill_given))
		sxsk_priv_poison(s);
	count_add(&s->rx_packets, packets);
	count_add(&s->rx_bytes, bytes);
}

/* `got` descriptors, of which the first m were taken. */
static __attribute__((noinline)) unsigned receive_rest(struct sxsk_priv_socket *s, uint32_t at,
						       uint32_t got, struct sxsk_buf bufs[],
						       uint32_t m, uint64_t bytes)
{
	struct sxsk_priv_received r = { m, m, m, bytes };

	sxsk_priv_frames_receive_rest(s, at, got, bufs, &r);
	if (r.descs < got) /* a packet's end is not there: look again next time */
		s->rx_ring.cached_prod = s->rx_ring.cached_cons = at + r.descs;
	took(s, r.descs, r.packets, r.bytes);
	return r.bufs;
}

static inline __attribute__((always_inline)) unsigned
receive(struct sxsk_priv_socket *s, struct sxsk_priv_thread *t, struct sxsk_buf bufs[], unsigned n)
{
	struct sxsk_priv_queue *q = s->q;
	uint64_t bytes;
	uint32_t at, got, m;

	if (unlikely(lacks_batch(q) || load_relaxed(&s->pool->attention))) {
		refill(s, stock_for(s, &s->rx, t), q->fill_batch);
		if (unlikely(sxsk_priv_poisoned(s)))
			return 0;
	}
	got = xsk_ring_cons__peek(&s->rx_ring, n, &at);
	if (got == 0) {
		/* The driver may have asked for it after the last refill looked. */
		if (unlikely(xsk_ring_prod__needs_wakeup(&q->fill)))
			sxsk_priv_kick_rx(s);
		return 0;
	}
	if (unlikely(s->rx_ring.cached_prod - at > s->rx_ring.size)) {
		sxsk_priv_poison(s);
		return 0;
	}
	m = sxsk_priv_frames_receive(s, at, got, bufs, &bytes);
	if (unlikely(m < got))
		return receive_rest(s, at, got, bufs, m, bytes);
	took(s, m, m, bytes);
	return m;
}

#define ODD_RX                                                                                     \
	(SXSK_SOCKET_NO_RX | SXSK_SOCKET_MULTI_BUFFER | SXSK_SOCKET_SHARE_QUEUE |                  \
	 SOCKET_BUSY_POLL | SOCKET_RX_METADATA)
#define ODD_TX (SXSK_SOCKET_NO_TX | SXSK_SOCKET_SHARE_QUEUE)

/* Of sockets that do not just receive Buf by Buf from a queue of their own. */
static __attribute__((noinline)) unsigned receive_odd(struct sxsk_priv_socket *s,
						      struct sxsk_priv_thread *t,
						      struct sxsk_buf bufs[], unsigned n)
{
	bool run_driver = s->flags & SOCKET_BUSY_POLL;
	unsigned got;

	if (s->flags & SXSK_SOCKET_NO_RX)
		return 0;
	if (s->flags & SXSK_SOCKET_MULTI_BUFFER && n < SXSK_MAX_FRAGS) {
		sxsk_priv_misuse(
			SXSK_MISUSE_ARGUMENT, "sxsk_rx_burst", s->pool, UINT32_MAX,
			"a burst of %u on a multi-buffer socket: one packet may be %u Bufs", n,
			SXSK_MAX_FRAGS);
		return 0;
	}
	queue_lock(s, &s->q->fill_lock);
	/* In one place, since this is inlined. */
	while ((got = receive(s, t, bufs, n)) == 0 && run_driver) {
		sxsk_priv_kick_rx(s); /* it runs in there, and fills the ring */
		run_driver = false;
	}
	queue_unlock(s, &s->q->fill_lock);
	if (s->flags & SOCKET_RX_METADATA)
		sxsk_priv_rx_metadata_take(s->pool, bufs, got);
	return got;
}

/* From now on this thread's last-used RX half is this socket's: see half_enter_direct(), which believes
 * none of it. */
static struct sxsk_priv_socket *receive_from(struct sxsk_priv_thread *t, struct sxsk_socket *socket)
{
	struct sxsk_priv_socket *s = sxsk_priv_socket_of(socket, "sxsk_rx_burst");

	if (s) {
		t->direct = s;
		t->direct_cookie = (uint64_t)(uintptr_t)socket;
		t->direct_slot = (uint32_t)load_relaxed(&s->pool_cookie) & 0xffff;
	}
	return s;
}

unsigned sxsk_rx_burst(struct sxsk_socket *socket, struct sxsk_buf bufs[], unsigned n)
{
	uint64_t cookie = (uint64_t)(uintptr_t)socket;
	struct sxsk_priv_thread *t = thread_self();
	struct sxsk_priv_socket *s;
	unsigned got = 0;

	if (unlikely(!t))
		return 0;
	s = __atomic_load_n(&t->direct, __ATOMIC_RELAXED); /* once, as in unref_to_fill() */
	if (unlikely(!s || t->direct_cookie != cookie))
		s = receive_from(t, socket);
	if (unlikely(!s) || half_enter(s, &s->rx, cookie, t, "sxsk_rx_burst") != 0)
		return 0;
	if (likely(!load_relaxed(&s->failed) && n > 0))
		got = likely(!(s->flags & ODD_RX)) ? receive(s, t, bufs, n) :
						     receive_odd(s, t, bufs, n);
	if (unlikely(s->rx.armed) && got && --s->rx.armed == 0)
		sxsk_priv_disarm(s);
	half_leave(&s->rx, t);
	return got;
}

/* ---- send ---------------------------------------------------------------------------------------------- */

static inline uint32_t in_flight(const struct sxsk_priv_queue *q)
{
	return (uint32_t)(q->comp_given - q->comp_returned);
}

/* n completions were taken: tell the kernel. */
static inline void reaped(struct sxsk_priv_socket *s, uint32_t n)
{
	struct sxsk_priv_queue *q = s->q;

	xsk_ring_cons__release(&q->comp, n);
	q->comp_returned += n;
	count_add(&s->tx_completed, n);
	if (unlikely(q->comp_returned > q->comp_given))
		sxsk_priv_poison(s);
}

/* Take completions. Returns how many descriptors the kernel gave back. */
uint32_t sxsk_priv_reap(struct sxsk_priv_socket *s, struct sxsk_priv_stock *stock)
{
	struct sxsk_priv_queue *q = s->q;
	uint32_t at, got, most, total = 0;

	while (!sxsk_priv_poisoned(s)) {
		if (stock->cap - stock->n < BURST_CHUNK)
			sxsk_priv_stock_spill(s->pool, stock, (stock->n + 1) / 2);
		most = stock->cap - stock->n < BURST_CHUNK ? stock->cap - stock->n : BURST_CHUNK;
		got = xsk_ring_cons__peek(&q->comp, most, &at);
		if (got == 0)
			break;
		if (unlikely(q->comp.cached_prod - at > q->comp.size)) {
			sxsk_priv_poison(s);
			break;
		}
		stock->n += sxsk_priv_frames_complete(s, at, got, stock->holder,
						      stock->index + stock->n);
		reaped(s, got);
		total += got;
		if (got < most)
			break;
	}
	return total;
}

/* Completions, as many as come, straight into the FILL ring of the half that this thread received from last:
 * the frames of a thread that sends what it received. */
static inline void reap_to_fill(struct sxsk_priv_socket *s, struct sxsk_priv_thread *t)
{
	struct sxsk_priv_socket *to = t->direct;
	struct sxsk_priv_pool *pool = s->pool;
	uint32_t out = in_flight(s->q), at, got, want, done, run;

	if (out < REAP_BATCH && out < s->q->comp.size / 4)
		return;
	if (!to || t->direct_slot != pool->slot || !pool->shift || hardened(pool) ||
	    load_relaxed(&pool->attention) || !half_enter_direct(to, t, &t->tending))
		return;
	want = lacking(to->q);
	if (want > 0 && xsk_prod_nb_free(&to->q->fill, want) >= want &&
	    (got = xsk_ring_cons__peek(&s->q->comp, want, &at)) > 0) {
		/* A producer index that cannot be is left for sxsk_priv_reap() to find. */
		run = s->q->comp.cached_prod - at <= s->q->comp.size;
		for (done = 0; done < got && run > 0; done += run)
			run = sxsk_priv_frames_complete_fill(s, at + done, got - done, to->q,
							     to->q->fill.cached_prod + done);
		xsk_ring_cons__cancel(&s->q->comp, got - done);
		if (done)
			put_fill(to, done);
		to->rx_run.ahead = 1;
		reaped(s, done);
	}
	/* Release: pairs with the acquire of a take-over or close. */
	store_release(&t->tending, 0);
}

/* Descriptors that the kernel has not taken from the TX ring yet. */
uint32_t sxsk_priv_tx_waiting(struct sxsk_priv_socket *s)
{
	return *s->tx_ring.producer - __atomic_load_n(s->tx_ring.consumer, __ATOMIC_ACQUIRE);
}

/* One kick moves 32 packets in copy mode (more where the budget could be raised): kick while it gets
 * on, as often as that takes for what is queued. "Busy" means that the kernel dropped and completed a
 * packet: that is progress. "Try again" may be, where the kernel does not tell how far it got. With busy
 * polling, completions too take a call. */
void sxsk_priv_kick(struct sxsk_priv_socket *s)
{
	uint32_t left = sxsk_priv_tx_waiting(s);

	if ((!left && !(s->flags & SOCKET_BUSY_POLL)) || sxsk_priv_poisoned(s))
		return;
	for (uint32_t tries = left / 32 + 2; tries; tries--) {
		uint32_t before = left;
		int err;

		if (unlikely(left > s->tx_ring.size)) { /* it took more than was given */
			sxsk_priv_poison(s);
			return;
		}
		if (!(s->flags & (SXSK_SOCKET_NO_NEED_WAKEUP | SOCKET_BUSY_POLL)) &&
		    !xsk_ring_prod__needs_wakeup(&s->tx_ring))
			return;
		err = s->device->kick_tx(s);
		count_add(&s->kicks, 1);
		left = sxsk_priv_tx_waiting(s);
		if (err == -EBUSY)
			count_add(&s->kick_busy, 1);
		else if (err == -EAGAIN)
			count_add(&s->kick_again, 1);
		else if (err == -ENXIO)
			(void)cas_relaxed(&s->failed, &(uint32_t){ 0 },
					  ENXIO); /* poisoned: for good */
		if (!left || (left == before && !(s->tx_untold && err == -EAGAIN)))
			return;
	}
}

static unsigned transmit(struct sxsk_priv_socket *s, struct sxsk_priv_stock *stock,
			 struct sxsk_buf bufs[], unsigned n)
{
	struct sxsk_priv_queue *q = s->q;
	uint32_t room, slots, descs;
	unsigned taken;

	(void)sxsk_priv_reap(s, stock);
	if (unlikely(sxsk_priv_poisoned(s)))
		return 0;
	/* Never more in flight than COMPLETION holds: a full one would stall the kernel. */
	room = q->comp.size - in_flight(q);
	slots = xsk_prod_nb_free(&s->tx_ring, n);
	if (unlikely(slots > s->tx_ring.size)) {
		sxsk_priv_poison(s);
		return 0;
	}
	taken = sxsk_priv_frames_send(s, bufs, n, s->tx_ring.cached_prod,
				      room < slots ? room : slots, &descs);
	if (descs) {
		s->tx_ring.cached_prod += descs;
		q->comp_given += descs;
		xsk_ring_prod__submit(&s->tx_ring, descs);
	}
	if (q->comp_given != q->comp_returned)
		sxsk_priv_kick(s);
	return taken;
}

static __attribute__((noinline)) unsigned transmit_shared(struct sxsk_priv_socket *s,
							  struct sxsk_priv_stock *stock,
							  struct sxsk_buf bufs[], unsigned n)
{
	queue_lock(s, &s->q->comp_lock);
	n = transmit(s, stock, bufs, n);
	queue_unlock(s, &s->q->comp_lock);
	return n;
}

unsigned sxsk_tx_burst(struct sxsk_socket *socket, struct sxsk_buf bufs[], unsigned n)
{
	struct sxsk_priv_thread *t = thread_self();
	struct sxsk_priv_socket *s = sxsk_priv_socket_of(socket, "sxsk_tx_burst");
	unsigned taken = 0;

	if (unlikely(!s || !t) ||
	    half_enter(s, &s->tx, (uint64_t)(uintptr_t)socket, t, "sxsk_tx_burst") != 0)
		return 0;
	if (likely(!(s->flags & ODD_TX) && !load_relaxed(&s->failed))) {
		reap_to_fill(s, t);
		taken = transmit(s, stock_for(s, &s->tx, t), bufs, n);
	} else if (!(s->flags & SXSK_SOCKET_NO_TX) && !load_relaxed(&s->failed)) {
		taken = transmit_shared(s, stock_for(s, &s->tx, t), bufs, n);
	}
	half_leave(&s->tx, t);
	return taken;
}

/* Reap and kick, from inside; frames to `stock`. `spill`: the half's own spare frames to the depot. */
uint32_t sxsk_priv_tend(struct sxsk_priv_socket *s, struct sxsk_priv_stock *stock, bool spill)
{
	struct sxsk_priv_queue *q = s->q;
	uint32_t out;

	queue_lock(s, &q->comp_lock);
	if (q->comp_given != q->comp_returned) {
		(void)sxsk_priv_reap(s, stock);
		sxsk_priv_kick(s);
	}
	out = (q->comp_given != q->comp_returned ? TEND_OUT : 0) |
	      (sxsk_priv_tx_waiting(s) ? TEND_LEFT : 0);
	queue_unlock(s, &q->comp_lock);
	if (spill)
		sxsk_priv_stock_spill(s->pool, &s->tx.stock, s->tx.stock.n);
	return out;
}

/* The same for the thread that used the TX half last, from outside; nothing when it is another's now. */
uint32_t sxsk_priv_tend_own(struct sxsk_priv_socket *s, uint64_t cookie, struct sxsk_priv_thread *t,
			    struct sxsk_priv_stock *stock, bool spill)
{
	const bool idle = load_relaxed(&t->inside) == 0;
	uint32_t out = 0;

	if (load_relaxed(&s->tx.owner) != load_relaxed(&t->tid) || load_relaxed(&s->tx.busy) ||
	    load_relaxed(&t->tending)) /* a signal handler's drain during ours, or during a send */
		return 0;
	if (!idle && load_relaxed(&t->inside) != (uint64_t)(uintptr_t)&s->rx)
		return 0; /* likewise: its thread is in another half, and may have the lock of this queue */
	if (idle) /* in a drain: a handler's bursts are refused, as in any call. Release: as below */
		store_release(&t->inside, (uint64_t)(uintptr_t)&s->tx);
	store_relaxed(&s->tx.direct, 1);
	store_release(&t->tending, (uint64_t)(uintptr_t)&s->tx); /* release: as in half_enter */
	fence_seq_cst(); /* pairs with sxsk_priv_half_take_over(), and with close as in half_enter() */
	if (load_acquire(&s->state) == SOCKET_OPEN && load_relaxed(&s->cookie) == cookie &&
	    load_relaxed(&s->tx.owner) == load_relaxed(&t->tid) && load_relaxed(&s->tx.direct) &&
	    !(s->flags & SXSK_SOCKET_NO_TX) && !load_relaxed(&s->failed))
		out = sxsk_priv_tend(s, stock, spill);
	/* Release: pairs with the acquire of a take-over or close. */
	store_release(&t->tending, 0);
	if (idle)
		store_release(&t->inside, 0);
	return out;
}

/* ---- references: where the frames of an unref go --------------------------------------------------- */

/* Without a lane: straight to the depot. */
static unsigned unref_to_depot(struct sxsk_priv_pool *pool, struct sxsk_buf bufs[], unsigned n,
			       const char *function)
{
	uint32_t index[256], home;

	n = sxsk_priv_frames_unref(pool, bufs, n < 256 ? n : 256, HOLDER_DEPOT, index, &home,
				   function);
	if (home) {
		sxsk_priv_depot_push(pool, index, home);
		sxsk_priv_units_give(pool, home);
	}
	return n;
}

static unsigned unref_to_lane(struct sxsk_priv_pool *pool, struct sxsk_priv_lane *lane,
			      struct sxsk_buf bufs[], unsigned n, const char *function)
{
	struct sxsk_priv_stock *stock = &lane->stock;
	uint32_t home;

	/* A full lane is a thread's that only gives back: whole magazines need not lie in it before they go
	 * on, which costs a dozen instructions per frame. One alone would cost more atomic operations. */
	if (stock->n == stock->cap && n >= 2 * pool->magazine)
		return unref_to_depot(pool, bufs, n - n % pool->magazine, function);
	if (stock->n == stock->cap)
		sxsk_priv_stock_spill(pool, stock, (stock->cap + 1) / 2);
	if (n > stock->cap - stock->n)
		n = stock->cap - stock->n;
	n = sxsk_priv_frames_unref(pool, bufs, n, stock->holder, stock->index + stock->n, &home,
				   function);
	stock->n += home;
	return n;
}

/* Straight to the FILL ring of the half that this thread received from last. Returns how many elements
 * were dealt with. */
static inline unsigned unref_to_fill(struct sxsk_buf bufs[], unsigned n, const char *function)
{
	struct sxsk_priv_thread *t = sxsk_priv_thread_self;
	/* Once: a signal handler's unref may clear it. */
	struct sxsk_priv_socket *s = t ? __atomic_load_n(&t->direct, __ATOMIC_RELAXED) : NULL;
	struct sxsk_priv_queue *q;
	unsigned done = 0;

	if (unlikely(!s || n == 0 || bufs[0].pool != t->direct_slot || load_relaxed(&t->inside)))
		return 0;
	if (unlikely(!half_enter_direct(s, t, &t->inside)))
		return 0;
	q = s->q;
	if (unlikely((uint32_t)(q->fill_given - q->fill_returned) + n > q->fill_target))
		n = lacking(q);
	if (likely(n > 0 && !load_relaxed(&s->pool->attention) && !hardened(s->pool) &&
		   xsk_prod_nb_free(&q->fill, n) >= n)) {
		uint32_t at = q->fill.cached_prod, filled;

		done = filled = sxsk_priv_frames_recycle(s->pool, q, bufs, n, at);
		if (unlikely(done < n))
			done += sxsk_priv_frames_recycle_rest(s->pool, q, bufs + done, n - done, at,
							      &filled, function);
		s->rx_run.ahead = 1;
		put_fill(s, filled);
	}
	/* Release: pairs with the acquire of a take-over or close. */
	store_release(&t->inside, 0);
	return done;
}

/* Everything else: bufs[0] and those behind it that are of the same pool. */
static __attribute__((noinline)) unsigned
unref_home(struct sxsk_priv_thread *t, struct sxsk_buf bufs[], unsigned n, const char *function)
{
	uint32_t slot = bufs[0].pool;
	struct sxsk_priv_pool *pool = &sxsk_priv_registry.pool[slot & SXSK_MAX_POOLS];
	struct sxsk_priv_lane *lane;

	if (slot == 0)
		return 1;
	if (unlikely(slot > SXSK_MAX_POOLS || load_acquire(&pool->cookie) == 0)) {
		if (!sxsk_priv_pool_inherited(slot))
			sxsk_priv_misuse_buf(bufs[0], function);
		bufs[0] = (struct sxsk_buf){ 0 };
		return 1;
	}
	lane = t ? lane_of(t, load_relaxed(&pool->cookie)) : NULL;
	if (!lane || !lane_enter(t))
		return unref_to_depot(pool, bufs, n, function);
	if (unlikely(load_relaxed(&pool->attention)))
		sxsk_priv_lane_heed(pool, lane);
	n = lane->cookie == LANE_DETACHED ? unref_to_depot(pool, bufs, n, function) :
					    unref_to_lane(pool, lane, bufs, n, function);
	lane_leave(t);
	return n;
}

static __attribute__((noinline)) void unref_rest(struct sxsk_buf bufs[], unsigned n,
						 const char *function)
{
	while (n > 0) {
		unsigned done = unref_to_fill(bufs, n, function);

		/* A thread without a record has no lane, and does not get one here: this may be a signal handler. */
		if (done == 0)
			done = unref_home(sxsk_priv_thread_self, bufs, n, function);
		bufs += done;
		n -= done;
	}
}

static void unref(struct sxsk_buf bufs[], unsigned n, const char *function)
{
	unsigned done = unref_to_fill(bufs, n, function);

	if (unlikely(done < n))
		unref_rest(bufs + done, n - done, function);
}

void sxsk_buf_unref_burst(struct sxsk_buf bufs[], unsigned n)
{
	unref(bufs, n, "sxsk_buf_unref_burst");
}

void sxsk_buf_unref(struct sxsk_buf *b)
{
	unref(b, 1, "sxsk_buf_unref");
	*b = (struct sxsk_buf){ 0 };
}
