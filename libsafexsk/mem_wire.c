/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The wire of the in-process device: what the kernel does in copy mode between sendto(2) on one
 * socket and the RX ring of another, with its checks, its order of checks and its counters. Probed on
 * Linux 6.18.44 over veth: what comes back on COMPLETION, when a batch stops, when an index moves.
 *
 * The kernel trusts the user's indices (a producer that overran sends stale slots again), and so does
 * this: nothing here goes beyond the mask of a ring, and addresses are checked before each use.
 */
#include "device_mem.h"

#include "metadata.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TX_BUDGET 32u /* descriptors per kick: the kernel's TX_BATCH_SIZE */

#define ETH_HEADER 14u
#define VLAN_HEADER 4u

void sxsk_priv_mem_notify(const struct mem_end *e)
{
	const uint64_t one = 1;
	ssize_t done;

	/* The eventfd is never read, it is waited for by edge; it does not fill up in a life time. */
	if (e->socket) {
		done = write(e->socket->fd, &one, sizeof(one));
		(void)done;
	}
}

/* ---- addresses -------------------------------------------------------------------------------------- */

#define UNALIGNED_BASE ((1ull << 48) - 1) /* of a chunk's address; above it is an offset */

/* Where FILL's or TX's address points, for one that the user gave with an offset in the top bits, too. */
static uint64_t address_of(const struct sxsk_priv_pool *pool, uint64_t addr)
{
	return pool->shift ? addr : (addr & UNALIGNED_BASE) + (addr >> 48);
}

/* What FILL is understood to mean. */
static uint64_t chunk_address(const struct sxsk_priv_pool *pool, uint64_t addr)
{
	return addr & (pool->shift ? ~(uint64_t)(pool->chunk - 1) : UNALIGNED_BASE);
}

static uint64_t rx_address(const struct sxsk_priv_pool *pool, uint64_t chunk, uint64_t offset)
{
	return pool->shift ? chunk + offset : chunk | offset << 48;
}

/* ---- lies ------------------------------------------------------------------------------------------- */

/* xorshift64*, Vigna 2016: enough to be varied and repeatable. */
static uint64_t next_random(struct mem_liar *l)
{
	l->random ^= l->random >> 12;
	l->random ^= l->random << 25;
	l->random ^= l->random >> 27;
	return l->random * 0x2545f4914f6cdd1dull >> 11;
}

void sxsk_priv_mem_lie(struct mem_end *e, const struct sxsk_mem_faults *faults, bool on)
{
	struct mem_liar *l = &e->liar;

	pthread_mutex_lock(&e->cable->lock);
	l->on = on;
	/* The generator must not start at zero, where it would stay. */
	l->random = faults->seed * 0x9e3779b97f4a7c15ull + 0x632be59bd9b4e019ull;
	l->random += l->random == 0;
	memcpy(l->one_in, faults->one_in, sizeof(l->one_in));
	pthread_mutex_unlock(&e->cable->lock);
}

static bool lie(struct mem_end *e, enum sxsk_mem_fault fault)
{
	struct mem_liar *l = &e->liar;

	if (likely(!l->on) || l->one_in[fault] == 0 || next_random(l) % l->one_in[fault] != 0)
		return false;
	l->told[fault]++;
	return true;
}

/* A wrong index near the right one: before it, in the ring, or past the ring's end. */
static uint32_t wrong_index(struct mem_end *e, const struct mem_ring *r, uint32_t right)
{
	uint64_t x = next_random(&e->liar);
	uint32_t off = 1 + (uint32_t)(x >> 1) % (2 * r->size);

	return x & 1 ? right + off : right - off;
}

/* The same place in another chunk. */
static uint64_t foreign_address(struct mem_end *e, uint64_t addr)
{
	const struct sxsk_priv_pool *pool = e->socket->pool;
	uint64_t step = 1 + next_random(&e->liar) % (pool->count - 1),
		 base = pool->shift ? addr : addr & UNALIGNED_BASE;

	return (base + step * pool->chunk) % pool->size + (addr - base);
}

static uint64_t address_out_of_range(struct mem_end *e)
{
	uint64_t x = next_random(&e->liar);

	return e->socket->pool->size + (x & 1 ? x >> 40 : x << 11);
}

static void descriptor_out_of_range(struct mem_end *e, struct xdp_desc *d)
{
	uint32_t chunk = e->socket->pool->chunk;
	uint64_t x = next_random(&e->liar);

	switch (x & 3) {
	case 0: /* longer than a chunk */
		d->len = chunk + (uint32_t)(x >> 2) % chunk;
		break;
	case 1: /* up to 4 GiB */
		d->len = UINT32_MAX - (uint32_t)(x >> 2) % chunk;
		break;
	case 2: /* across the chunk's end */
		d->addr = address_of(e->socket->pool, d->addr) / chunk * chunk + chunk - 1;
		d->len = 2 + (uint32_t)(x >> 2) % chunk;
		break;
	default:
		d->addr = address_out_of_range(e);
	}
}

/* Of its frame, and as no kernel says it. */
static void odd_descriptor(struct mem_end *e, struct xdp_desc *d)
{
	const struct sxsk_priv_pool *pool = e->socket->pool;
	uint64_t x = next_random(&e->liar);

	switch (x & 3) {
	case 0:
		d->options |= XDP_PKT_CONTD;
		break;
	case 1:
		d->len = 0;
		break;
	case 2:
		d->addr = chunk_address(pool, d->addr) + (x >> 2) % KERNEL_HEADROOM;
		break;
	default:
		d->options = ~(uint32_t)XDP_PKT_CONTD;
	}
}

/* ---- rings ------------------------------------------------------------------------------------------ */

/* Room for the device as producer. A consumer index beyond the ring gives a wrong number, and nothing
 * worse. Acquire: the user read the entries before it released them. */
static uint32_t room(const struct mem_ring *r)
{
	return r->size - (r->prod - load_acquire(r->consumer));
}

/* Entries for the device as consumer. */
static uint32_t available(struct mem_ring *r)
{
	/* As the kernel: look at the user's index only when what was seen is used up. Acquire: the
	 * entries were written before the index. */
	if (r->cons == r->prod)
		r->prod = load_acquire(r->producer);
	return r->prod - r->cons;
}

/* Show the user where the device is in a ring. Returns whether that is news. Release: the entries were
 * written (or read) before the index says so. */
static bool publish(struct mem_end *e, struct mem_ring *r, atomic_u32 *word, uint32_t index,
		    enum sxsk_mem_fault fault)
{
	if (r->published == index && !r->wrong)
		return false;
	r->wrong = lie(e, fault);
	store_release(word, r->wrong ? wrong_index(e, r, index) : index);
	r->published = index;
	return true;
}

/* The next descriptor in TX. Each field is read once: whatever the user makes of it meanwhile, what
 * was checked is what is used. */
static bool peek_tx(struct mem_end *e, struct xdp_desc *ret_desc)
{
	struct xdp_desc *d = e->tx.entries;

	if (e->tx.size == 0 || available(&e->tx) == 0) {
		count_add(&e->tx_empty, 1);
		return false;
	}
	d += e->tx.cons & e->tx.mask;
	ret_desc->addr = __atomic_load_n(&d->addr, __ATOMIC_RELAXED);
	ret_desc->len = __atomic_load_n(&d->len, __ATOMIC_RELAXED);
	ret_desc->options = __atomic_load_n(&d->options, __ATOMIC_RELAXED);
	return true;
}

/* The one place where FILL is consumed. A bad address vanishes, and no counter tells. */
static bool take_fill(struct mem_end *e, uint64_t *ret_addr)
{
	const struct sxsk_priv_pool *pool = e->socket->pool;
	uint64_t *fill = e->fill.entries;

	if (lie(e, SXSK_MEM_FILL_EMPTY)) {
		count_add(&e->fill_empty, 1);
		return false;
	}
	if (e->n_spare > 0) {
		*ret_addr = e->spare[--e->n_spare];
		return true;
	}
	/* At most once round the ring: a wild index of the user must not keep us here. */
	for (uint32_t i = 0; i < e->fill.size && available(&e->fill) > 0; i++) {
		uint64_t *entry = &fill[e->fill.cons++ & e->fill.mask];

		*ret_addr = chunk_address(pool, __atomic_load_n(entry, __ATOMIC_RELAXED));
		if (*ret_addr < pool->size)
			return true;
	}
	count_add(&e->fill_empty, 1);
	return false;
}

/* Frames that were not used after all: the next packets get them before FILL is looked at. */
static void give_back(struct mem_end *e, const uint64_t addr[], uint32_t n)
{
	while (n > 0)
		e->spare[e->n_spare++] = addr[--n];
}

/* Enough for a packet of several frames? The kernel asks before it takes the first. */
static bool fill_has(struct mem_end *e, uint32_t n)
{
	uint32_t have;

	if (e->n_spare >= n)
		return true;
	have = available(&e->fill);
	if (have < n - e->n_spare) { /* the cached index may be old */
		e->fill.prod = load_acquire(e->fill.producer);
		have = e->fill.prod - e->fill.cons;
	}
	if (have == 0)
		count_add(&e->fill_empty, 1);
	return have >= n - e->n_spare;
}

static void write_rx(struct mem_end *e, const struct xdp_desc *d)
{
	struct xdp_desc *rx = e->rx.entries;

	rx[e->rx.prod++ & e->rx.mask] = *d;
}

/* What the liar does after a descriptor was written. It says one twice only at a packet's end: before
 * that, the room belongs to the packet's other frames. */
static void lie_after_rx(struct mem_end *e, const struct xdp_desc *d)
{
	struct mem_liar *l = &e->liar;
	struct xdp_desc *rx = e->rx.entries;
	bool end = !(d->options & XDP_PKT_CONTD);
	uint32_t last = e->rx.prod - 1, n = l->n_rx < MEM_RECENT ? l->n_rx : MEM_RECENT;

	if (last != e->rx.published && lie(e, SXSK_MEM_RX_REORDER)) {
		rx[last & e->rx.mask] = rx[(last - 1) & e->rx.mask];
		rx[(last - 1) & e->rx.mask] = *d;
	}
	if (end && room(&e->rx) > 0 && lie(e, SXSK_MEM_RX_DUPLICATE))
		write_rx(e, d);
	if (end && room(&e->rx) > 0 && n > 0 && lie(e, SXSK_MEM_RX_LATE))
		write_rx(e, &l->rx[next_random(l) % n]);
	l->rx[l->n_rx++ % MEM_RECENT] = *d;
}

/* The one place where an RX descriptor is posted. */
static void post_rx(struct mem_end *e, uint64_t addr, uint32_t len, uint32_t options)
{
	struct xdp_desc d = { .addr = addr, .len = len, .options = options };

	if (likely(!e->liar.on)) {
		write_rx(e, &d);
		return;
	}
	if (lie(e, SXSK_MEM_RX_MISSING))
		return;
	if (lie(e, SXSK_MEM_RX_FOREIGN))
		d.addr = foreign_address(e, addr);
	if (lie(e, SXSK_MEM_RX_RANGE))
		descriptor_out_of_range(e, &d);
	if (lie(e, SXSK_MEM_RX_ODD))
		odd_descriptor(e, &d);
	write_rx(e, &d);
	lie_after_rx(e, &d);
}

static void write_comp(struct mem_end *e, uint64_t addr)
{
	uint64_t *comp = e->comp.entries;

	comp[e->comp.prod++ & e->comp.mask] = addr;
}

static void lie_after_comp(struct mem_end *e, uint64_t addr)
{
	struct mem_liar *l = &e->liar;
	uint64_t *comp = e->comp.entries;
	uint32_t last = e->comp.prod - 1, n = l->n_comp < MEM_RECENT ? l->n_comp : MEM_RECENT;

	if (last != e->comp.published && lie(e, SXSK_MEM_COMP_REORDER)) {
		comp[last & e->comp.mask] = comp[(last - 1) & e->comp.mask];
		comp[(last - 1) & e->comp.mask] = addr;
	}
	/* One more than promised needs more room than the held descriptors have reserved. */
	if (room(&e->comp) > e->n_held && lie(e, SXSK_MEM_COMP_DUPLICATE))
		write_comp(e, addr);
	if (room(&e->comp) > e->n_held && n > 0 && lie(e, SXSK_MEM_COMP_LATE))
		write_comp(e, l->comp[next_random(l) % n]);
	l->comp[l->n_comp++ % MEM_RECENT] = addr;
}

/* The one place where a completion is posted: the address comes back as it was given. */
static void post_comp(struct mem_end *e, uint64_t addr)
{
	if (likely(!e->liar.on)) {
		write_comp(e, addr);
		return;
	}
	if (lie(e, SXSK_MEM_COMP_MISSING))
		return;
	if (lie(e, SXSK_MEM_COMP_FOREIGN))
		addr = foreign_address(e, addr);
	if (lie(e, SXSK_MEM_COMP_ODD))
		addr = address_of(e->socket->pool, addr) / e->socket->pool->chunk *
			       e->socket->pool->chunk +
		       next_random(&e->liar) % e->socket->pool->chunk;
	if (lie(e, SXSK_MEM_COMP_RANGE))
		addr = address_out_of_range(e);
	write_comp(e, addr);
	lie_after_comp(e, addr);
}

/* Bytes of a chunk that received data can fill. */
static uint32_t rx_frame_size(const struct sxsk_priv_pool *pool)
{
	return pool->chunk - KERNEL_HEADROOM - pool->headroom;
}

/* ---- what a packet asks for ---------------------------------------------------------------------------- */

/* In front of the packet's first descriptor. */
static unsigned char *metadata_of(const struct mem_end *e, const struct xdp_desc *d)
{
	const struct sxsk_priv_pool *pool = e->socket->pool;

	return pool->kernel_base + address_of(pool, d->addr) - pool->tx_metadata_len;
}

/* Linux 6.18 completes the descriptor of a request that it refuses, and does not consume it. */
static bool metadata_valid(const struct mem_end *e, const struct xdp_desc *d)
{
	const uint32_t len = e->socket->pool->tx_metadata_len;
	struct tx_metadata m;

	if (len == 0 || address_of(e->socket->pool, d->addr) < len)
		return false;
	memcpy(&m, metadata_of(e, d), sizeof(m));
	return !(m.flags & ~(uint64_t)METADATA_TX) &&
	       (!(m.flags & SXSK_METADATA_TX_CHECKSUM) ||
		(uint32_t)m.request.csum_start + m.request.csum_offset + 2 <= d->len);
}

/* The checksum that a packet asked for: which bytes of it, and their value there. */
struct checksum {
	uint32_t at; /* UINT32_MAX: none */
	unsigned char byte[2];
};

/* RFC 1071, over the held packet from `start` on. */
static uint32_t sum_held(const struct mem_end *e, uint32_t start)
{
	const struct sxsk_priv_pool *pool = e->socket->pool;
	uint32_t sum = 0, at = 0;

	for (uint32_t i = 0; i < e->n_held; i++) {
		const unsigned char *p = pool->kernel_base + address_of(pool, e->held[i].addr);

		for (uint32_t k = 0; k < e->held[i].len; k++, at++)
			if (at >= start) {
				sum += (uint32_t)p[k] << ((at - start) & 1 ? 0 : 8);
				sum = (sum & 0xffff) + (sum >> 16);
			}
	}
	return ~sum & 0xffff ? ~sum & 0xffff : 0xffff;
}

static struct checksum checksum_of(const struct mem_end *e)
{
	struct checksum c = { .at = UINT32_MAX };
	struct tx_metadata m;
	uint32_t sum;

	if (likely(!(e->held[0].options & XDP_TX_METADATA)))
		return c;
	memcpy(&m, metadata_of(e, &e->held[0]), sizeof(m));
	if (!(m.flags & SXSK_METADATA_TX_CHECKSUM))
		return c;
	sum = sum_held(e, m.request.csum_start);
	c.at = (uint32_t)m.request.csum_start + m.request.csum_offset;
	c.byte[0] = (unsigned char)(sum >> 8);
	c.byte[1] = (unsigned char)sum;
	return c;
}

/* Before the completion, as the kernel does. */
static void write_time(const struct mem_end *e, const struct xdp_desc *d)
{
	struct tx_metadata m;
	struct timespec now;

	memcpy(&m, metadata_of(e, d), sizeof(m));
	if (!(m.flags & SXSK_METADATA_TX_TIMESTAMP))
		return;
	(void)clock_gettime(CLOCK_TAI, &now);
	m.completion.tx_timestamp = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
	memcpy(metadata_of(e, d), &m, sizeof(m));
}

/* ---- receiving -------------------------------------------------------------------------------------- */

/* The packet held by `from`, into one frame after the other of `to`. Here, and only here, the device
 * touches packet memory; the frames belong to it, by TX and by FILL. */
static void copy_packet(struct mem_end *to, const struct mem_end *from, const uint64_t addr[],
			uint32_t frames)
{
	const struct sxsk_priv_pool *in = from->socket->pool, *out = to->socket->pool;
	const uint32_t offset = KERNEL_HEADROOM + out->headroom, size = rx_frame_size(out);
	const struct checksum sum = checksum_of(from);
	uint32_t i = 0, read = 0; /* bytes read of from->held[i] */

	for (uint32_t f = 0; f < frames; f++) {
		unsigned char *data = out->kernel_base + addr[f] + offset;
		uint32_t len = 0;

		while (len < size && i < from->n_held) {
			const struct xdp_desc *d = &from->held[i];
			uint32_t n = d->len - read < size - len ? d->len - read : size - len;

			/* Not memcpy: who gave one chunk to both rings has it at both ends. */
			memmove(data + len, in->kernel_base + address_of(in, d->addr) + read, n);
			len += n;
			read += n;
			if (read == d->len) {
				i++;
				read = 0;
			}
		}
		for (uint32_t k = 0; k < 2; k++)
			if (sum.at != UINT32_MAX && (sum.at + k) / size == f)
				data[(sum.at + k) % size] = sum.byte[k];
		post_rx(to, rx_address(out, addr[f], offset), len,
			f + 1 < frames ? XDP_PKT_CONTD : 0);
	}
}

/* Frames from FILL for one packet, all or none. */
static bool take_frames(struct mem_end *e, uint64_t addr[], uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (!take_fill(e, &addr[i])) {
			give_back(e, addr, i);
			return false;
		}
	return true;
}

/* A packet of `len` bytes comes in at `to`: the kernel's xsk_rcv(), whose order of checks shows in
 * the counters. For one frame it takes from FILL before it looks at the RX ring, so that a full RX
 * ring costs a frame, which it keeps for the next packet; for several it asks both first. */
static void receive(struct mem_end *to, const struct mem_end *from, uint32_t len)
{
	uint32_t frames = (len - 1) / rx_frame_size(to->socket->pool) + 1;
	uint64_t addr[MEM_FRAGS];
	bool full;

	if ((frames > 1 && !(to->socket->flags & SXSK_SOCKET_MULTI_BUFFER)) || frames > MEM_FRAGS ||
	    (frames > 1 && !fill_has(to, frames))) {
		count_add(&to->rx_dropped, 1);
		return;
	}
	full = room(&to->rx) < frames || lie(to, SXSK_MEM_RX_FULL);
	if (full && frames > 1) {
		count_add(&to->rx_full, 1);
		return;
	}
	if (!take_frames(to, addr, frames)) {
		count_add(&to->rx_dropped, 1);
		return;
	}
	if (full) {
		give_back(to, addr, frames);
		count_add(&to->rx_full, 1);
		return;
	}
	copy_packet(to, from, addr, frames);
}

/* ---- sending ---------------------------------------------------------------------------------------- */

/* The kernel's xp_aligned_validate_desc() and xp_unaligned_validate_desc(). */
static bool desc_valid(const struct mem_end *e, const struct xdp_desc *d)
{
	const struct sxsk_priv_pool *pool = e->socket->pool;
	const uint64_t before = pool->tx_metadata_len, len = d->len + before,
		       addr = address_of(pool, d->addr) - before, /* huge, if it was less */
		room = pool->shift ? pool->chunk - (addr & (pool->chunk - 1)) : pool->size - addr;

	return d->len != 0 && addr < pool->size && len <= room && len <= pool->chunk &&
	       (d->options & ~(uint32_t)(XDP_PKT_CONTD | XDP_TX_METADATA)) == 0;
}

/* All held descriptors go back to the user. */
static void complete_held(struct mem_end *e, bool sent)
{
	uint32_t n = e->n_held;

	for (uint32_t i = 0; i < n; i++) {
		if (unlikely(e->held[i].options & XDP_TX_METADATA) && sent)
			write_time(e, &e->held[i]);
		e->n_held--; /* its reservation becomes the completion */
		post_comp(e, e->held[i].addr);
	}
}

/* A whole packet is held. 0, or -EBUSY: dropped. */
static int send_held(struct mem_end *from, struct mem_end *to)
{
	uint32_t len = 0;

	/* At most 18 chunks of 4096: no overflow. */
	for (uint32_t i = 0; i < from->n_held; i++)
		len += from->held[i].len;
	if (len < ETH_HEADER || len > MEM_MTU + ETH_HEADER + VLAN_HEADER)
		return -EBUSY;
	if (lie(from, SXSK_MEM_TX_BUSY))
		return -EBUSY;
	if (lie(from, SXSK_MEM_LOSS))
		return 0;
	if (to->receiving && !to->taken)
		receive(to, from, len);
	return 0;
}

/* The kernel's __xsk_generic_xmit(): until TX is empty, the budget is spent, a packet was dropped, or
 * a descriptor was invalid. That one, what was held of its packet and what comes of it afterwards are
 * counted and completed. */
static int transmit(struct mem_end *from, struct mem_end *to)
{
	uint32_t budget = TX_BUDGET;
	struct xdp_desc d;
	int err;

	while (peek_tx(from, &d)) {
		bool valid = desc_valid(from, &d);

		if (valid && budget-- == 0)
			return -EAGAIN;
		if (room(&from->comp) <= from->n_held || lie(from, SXSK_MEM_COMP_FULL))
			return -EAGAIN;
		if (valid && d.options & XDP_TX_METADATA && !metadata_valid(from, &d)) {
			post_comp(from, d.addr);
			return -EINVAL;
		}
		from->tx.cons++;
		from->held[from->n_held++] = d;
		if (!valid || from->dropping ||
		    (from->n_held == MEM_FRAGS && d.options & XDP_PKT_CONTD)) {
			count_add(&from->tx_invalid, from->n_held);
			complete_held(from, false);
			from->dropping = d.options & XDP_PKT_CONTD;
			if (!valid)
				return 0;
			continue;
		}
		if (d.options & XDP_PKT_CONTD)
			continue;
		err = send_held(from, to);
		complete_held(from, true);
		if (err)
			return err;
	}
	return 0;
}

int sxsk_priv_mem_transmit(struct mem_end *from, struct mem_end *to)
{
	int err = transmit(from, to);

	publish(from, &from->tx, from->tx.consumer, from->tx.cons, SXSK_MEM_TX_INDEX);
	if (publish(from, &from->comp, from->comp.producer, from->comp.prod, SXSK_MEM_COMP_INDEX))
		sxsk_priv_mem_notify(from);
	if (to->receiving && !to->taken) {
		publish(to, &to->fill, to->fill.consumer, to->fill.cons, SXSK_MEM_FILL_INDEX);
		if (publish(to, &to->rx, to->rx.producer, to->rx.prod, SXSK_MEM_RX_INDEX))
			sxsk_priv_mem_notify(to);
	}
	return err;
}
