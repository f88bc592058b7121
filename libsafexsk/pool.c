/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The pool: creation, the word of units that keeps it alive, and its death.
 *
 * units = {owners 24, sockets 16, frames 24}. Zero is death: whoever makes it zero unmaps, once.
 * Adding is a compare-and-swap that refuses zero, so nobody revives a dead pool; then the cookie is
 * compared again, so nobody holds the pool that came after it in the slot.
 *
 * Whoever takes owners and sockets to zero turns its handle into a frame unit in the same swap, so
 * that it may still touch the pool: it sets ORPHANED for ever (lanes and unrefs then send frames home
 * at once), flushes its own lane, and gives that unit back as its last access.
 */
#include "frame.h"
#include "harden.h"
#include "metadata.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define TABLE_FRAMES (1u << 20)
#define HUGE_PAGE (1u << 21)
#define TABLE_BYTES                                                                                \
	(TABLE_FRAMES * (2 * sizeof(uint64_t) + sizeof(uint32_t))) /* words, links, notes */

/* ---- units ---------------------------------------------------------------------------------------- */

static bool overflows(uint64_t now, uint64_t more)
{
	return UNITS_FRAMES(now) + (more & 0xffffff) > 0xffffff ||
	       UNITS_SOCKETS(now) + (more >> 24 & 0xffff) > 0xffff ||
	       UNITS_OWNERS(now) + (more >> 40) > 0xffffff;
}

bool sxsk_priv_units_take(struct sxsk_priv_pool *pool, uint64_t cookie, uint64_t units)
{
	uint64_t now = load_relaxed(&pool->units);

	do {
		if (now == 0 || overflows(now, units))
			return false;
		/* Acquire: pairs with publish(): who takes of the slot's next pool does not see the cookie of the
		 * one before. */
	} while (!cas_acquire(&pool->units, &now, now + units));
	if (likely(load_relaxed(&pool->cookie) == cookie))
		return true;
	sxsk_priv_units_give(pool, units); /* the slot has another pool by now */
	return false;
}

static void death(struct sxsk_priv_pool *pool);

void sxsk_priv_units_give(struct sxsk_priv_pool *pool, uint64_t units)
{
	/* Release: what this thread did with the pool happens before its death. Acquire, for whoever
	 * makes it zero: what all others did happens before it unmaps. */
	if (fetch_sub_acq_rel(&pool->units, units) == units)
		death(pool);
}

/* Give an owner or a socket back; the last of both leaves the pool orphaned. False: there was none. */
static bool give_handle(struct sxsk_priv_pool *pool, uint64_t handle)
{
	/* A thread without a record has no lane. */
	struct sxsk_priv_thread *t = sxsk_priv_thread_self;
	struct sxsk_priv_lane *lane = t ? lane_of(t, load_relaxed(&pool->cookie)) : NULL;
	uint64_t now = load_relaxed(&pool->units), next;
	bool last;

	do {
		if (handle == UNIT_OWNER ? UNITS_OWNERS(now) == 0 : UNITS_SOCKETS(now) == 0)
			return false;
		next = now - handle;
		last = next >> 24 == 0;
		if (last)
			next += UNIT_FRAME;
	} while (!cas_acq_rel(&pool->units, &now, next));
	if (!last)
		return true;
	fetch_or_seq_cst(&pool->attention, ATTN_ORPHANED);
	if (lane && lane_enter(t)) {
		sxsk_priv_lane_heed(pool, lane);
		lane_leave(t);
	}
	sxsk_priv_units_give(pool, UNIT_FRAME);
	return true;
}

void sxsk_priv_units_give_socket(struct sxsk_priv_pool *pool)
{
	(void)give_handle(pool, UNIT_SOCKET);
}

/* A pool without an owner or a socket is orphaned, and stays so. */
bool sxsk_priv_units_take_socket(struct sxsk_priv_pool *pool, uint64_t cookie)
{
	uint64_t now = load_relaxed(&pool->units);

	do {
		if (now >> 24 == 0 || overflows(now, UNIT_SOCKET))
			return false;
	} while (!cas_acquire(&pool->units, &now, now + UNIT_SOCKET)); /* acquire: as above */
	if (load_relaxed(&pool->cookie) == cookie)
		return true;
	sxsk_priv_units_give_socket(pool); /* the slot has another pool by now */
	return false;
}

/* ---- creation --------------------------------------------------------------------------------------- */

static uint32_t magazine_size(uint32_t count)
{
	uint32_t n = count / 16;

	return n < 1 ? 1 : n > MAGAZINE_MAX ? MAGAZINE_MAX : n;
}

static int check_options(struct sxsk_pool_opts *o, const struct sxsk_pool_opts *from)
{
	const uint32_t known = SXSK_POOL_HUGE_2M | SXSK_POOL_HUGE_1G | SXSK_POOL_HUGE_TRY |
			       SXSK_POOL_UNALIGNED | SXSK_POOL_TX_SW_CSUM;
	int err = sxsk_priv_options(o, sizeof(*o), from, "sxsk_pool_opts");

	if (err)
		return err;
	if (!o->frame_count)
		o->frame_count = 16384;
	if (!o->frame_size)
		o->frame_size = 2048;
	if (o->frame_count < 64 || o->frame_count > TABLE_FRAMES)
		return sxsk_priv_fail(EINVAL, "frame_count is %u: a pool has 64 to 1048576 frames",
				      o->frame_count);
	o->frame_count = (o->frame_count + 63) & ~63u;
	if (o->frame_size != 2048 && o->frame_size != 4096 && !(o->flags & SXSK_POOL_UNALIGNED))
		return sxsk_priv_fail(EINVAL,
				      "frame_size is %u: use 2048 or 4096 bytes, or a size between "
				      "them with SXSK_POOL_UNALIGNED",
				      o->frame_size);
	if (o->frame_size < 2048 || o->frame_size > 4096)
		return sxsk_priv_fail(EINVAL, "frame_size is %u: use 2048 to 4096 bytes",
				      o->frame_size);
	/* Linux 6.18 returns the address of a packet that it has sent without its lowest bit: at the start
	 * of a chunk that is another frame's address, unless chunks start at even addresses. */
	o->frame_size += o->frame_size % 2;
	/* The kernel reserves 256 before the data, and 320 behind it in newer versions, and wants a
	 * packet of 128 to fit: 1344 bytes for 2048, 3392 for 4096. */
	if (o->headroom > o->frame_size - KERNEL_HEADROOM - 320 - 128)
		return sxsk_priv_fail(EINVAL, "headroom is %u: at most %u bytes in frames of %u",
				      o->headroom, o->frame_size - KERNEL_HEADROOM - 320 - 128,
				      o->frame_size);
	if (o->user_size > 4096)
		return sxsk_priv_fail(EINVAL, "user_size is %u: at most 4096 bytes", o->user_size);
	o->user_size = (o->user_size + 7) & ~7u;
	if (o->flags & ~known)
		return sxsk_priv_fail(EINVAL, "flags is 0x%x: no such pool option", o->flags);
	/* With 8 or 16 the kernel's timestamp would go to the packet's first bytes. */
	if (o->tx_metadata_len && (o->tx_metadata_len < SXSK_TX_METADATA_LEN ||
				   o->tx_metadata_len % 8 || o->tx_metadata_len >= 256))
		return sxsk_priv_fail(
			EINVAL, "tx_metadata_len is %u: a multiple of 8, from %u to 248 bytes",
			o->tx_metadata_len, SXSK_TX_METADATA_LEN);
	if (o->flags & SXSK_POOL_TX_SW_CSUM && !o->tx_metadata_len)
		return sxsk_priv_fail(EINVAL, "SXSK_POOL_TX_SW_CSUM needs tx_metadata_len");
	if (o->numa_node > SXSK_MAX_NUMA_NODES)
		return sxsk_priv_fail(
			EINVAL,
			"numa_node is %u: use SXSK_NUMA_NODE() with a node's number, 0 "
			"to %d",
			o->numa_node, SXSK_MAX_NUMA_NODES - 1);
	if ((o->flags & SXSK_POOL_HUGE_2M && o->flags & SXSK_POOL_HUGE_1G) ||
	    (o->flags & (SXSK_POOL_HUGE_2M | SXSK_POOL_HUGE_1G | SXSK_POOL_HUGE_TRY)) ==
		    SXSK_POOL_HUGE_TRY)
		return sxsk_priv_fail(EINVAL, "flags is 0x%x: choose one size of huge pages",
				      o->flags);
	if (o->name && strnlen(o->name, 32) == 32)
		return sxsk_priv_fail(EINVAL,
				      "name is too long: a pool's name has at most 31 bytes");
	return 0;
}

/* Reserved at the slot's first use and kept for ever: a stale handle may be looked up at any time. */
static int reserve_slot(struct sxsk_priv_pool *pool, bool large)
{
	void *table;

	if (!pool->words) {
		table = mmap(NULL, TABLE_BYTES + HUGE_PAGE, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (table == MAP_FAILED)
			return sxsk_priv_fail(ENOMEM,
					      "no address space for a frame table (20 MiB): %s",
					      strerror(errno));
		sxsk_priv_fresh(table, TABLE_BYTES + HUGE_PAGE);
		/* Aligned, so that the table of a large pool can have huge pages. */
		table = (void *)(((uintptr_t)table + HUGE_PAGE - 1) & ~(uintptr_t)(HUGE_PAGE - 1));
		(void)madvise(table, TABLE_BYTES, MADV_DONTFORK); /* only saves a fork some work */
		pool->links = (atomic_u64 *)table + TABLE_FRAMES;
		pool->notes = (atomic_u32 *)(pool->links + TABLE_FRAMES);
		pool->words = table;
		pool->eventfd = -1;
		pool->next_generation = 1;
	}
	/* A page fault for each 512 words is what the creation of a large pool would spend its time on. */
	(void)madvise(pool->words, TABLE_BYTES, large ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	if (pool->eventfd < 0) {
		pool->eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (pool->eventfd < 0)
			return sxsk_priv_fail(errno, "no eventfd for the pool: %s",
					      strerror(errno));
	}
	return 0;
}

static void fill_depot(struct sxsk_priv_pool *pool)
{
	uint32_t index[MAGAZINE_MAX];

	for (uint32_t i = 0; i < pool->count; i++)
		frame_become(pool, i, pool->next_generation << 20 | FRAME_HOME(HOLDER_DEPOT));
	store_relaxed(&pool->depot, NIL);
	for (uint32_t end = pool->count; end > 0; end -= pool->magazine) {
		for (uint32_t i = 0; i < pool->magazine; i++)
			index[i] = end - pool->magazine + i;
		sxsk_priv_depot_push(pool, index, pool->magazine);
	}
}

static void publish(struct sxsk_priv_pool *pool)
{
	struct sxsk_priv_views *v = &sxsk_priv_registry.view;
	const uint32_t slot = pool->slot;
	uint64_t cookie = ++pool->incarnation << 16 | slot;

	v->table[slot] = ((uintptr_t)pool->words - (uintptr_t)v) / sizeof(uint64_t);
	v->base[slot] = pool->base;
	__atomic_store_n(&v->chunk[slot], pool->chunk, __ATOMIC_RELAXED);
	v->pool[slot] = (struct sxsk_pool *)(uintptr_t)cookie;
	v->count[slot] = pool->count;
	store_relaxed(&pool->attention, 0);
	store_release(&pool->units,
		      UNIT_OWNER); /* release: pairs with the acquire of who takes some */
	/* Release: pairs with the acquire in pool_of: who sees the cookie sees the pool. */
	store_release(&pool->cookie, cookie);
}

static void unmap_pool(struct sxsk_priv_pool *pool)
{
	sxsk_priv_harden_destroy(pool);
	sxsk_priv_unmap(&pool->memory);
	sxsk_priv_unmap(&pool->user_memory);
	sxsk_priv_unmap(&pool->request_memory);
	pool->tx_requests = NULL;
	pool->base = pool->user = pool->kernel_base = NULL;
}

static int map_pool(struct sxsk_priv_pool *pool, uint32_t numa_node)
{
	int err;

	if (hardened(pool) & HARDEN_TWICE) /* then it is not in huge pages */
		err = sxsk_priv_map_twice(&pool->memory, pool->size, numa_node);
	else
		err = sxsk_priv_map(&pool->memory, pool->size, pool->flags, numa_node,
				    "packet memory");
	if (!err && pool->user_size)
		err = sxsk_priv_map(&pool->user_memory, (size_t)pool->count * pool->user_size, 0,
				    numa_node, "user areas");
	if (!err && pool->tx_metadata_len)
		err = sxsk_priv_map(&pool->request_memory,
				    pool->count * sizeof(pool->tx_requests[0]), 0, numa_node,
				    "requests for offloads");
	pool->base = pool->memory.data;
	pool->kernel_base = pool->memory.alias ? pool->memory.alias : pool->base;
	pool->user = pool->user_memory.data;
	pool->tx_requests = (void *)pool->request_memory.data;
	if (!err)
		err = sxsk_priv_harden_create(pool);
	if (err)
		unmap_pool(pool);
	return err;
}

/* Under the registry's lock: a slot is this thread's until it is published. */
static int create(struct sxsk_priv_pool **ret_pool, const struct sxsk_pool_opts *o, uint32_t harden)
{
	uint32_t slot = sxsk_priv_pool_slot();
	struct sxsk_priv_pool *pool = &sxsk_priv_registry.pool[slot];
	int err;

	if (slot == 0)
		return sxsk_priv_fail(ENFILE, "%d pools are alive already", SXSK_MAX_POOLS);
	/* Once and for all: a burst that gave back the last pool's last reference still looks whether the Buf
	 * behind it is of this slot, too. */
	if (!pool->slot)
		pool->slot = slot;
	err = reserve_slot(pool, o->frame_count >= TABLE_FRAMES / 8);
	if (err)
		return err;
	pool->count = o->frame_count;
	pool->chunk = o->frame_size;
	pool->shift = o->flags & SXSK_POOL_UNALIGNED ? 0 : o->frame_size == 2048 ? 11 : 12;
	pool->headroom = o->headroom;
	pool->magazine = magazine_size(o->frame_count);
	pool->lane_max = o->frame_count / 4 < LANE_MAX ? o->frame_count / 4 : LANE_MAX;
	pool->user_size = o->user_size;
	pool->tx_metadata_len = o->tx_metadata_len;
	pool->flags = o->flags;
	pool->size = (size_t)o->frame_count * o->frame_size;
	(void)snprintf(pool->name, sizeof(pool->name), "%s", o->name ? o->name : "pool");
	store_relaxed(&pool->kept, 0);
	store_relaxed(&pool->lost, 0);
	store_relaxed(&pool->harden, harden);
	err = map_pool(pool, o->numa_node);
	if (err)
		return err;
	fill_depot(pool);
	publish(pool);
	*ret_pool = pool;
	return 0;
}

int sxsk_pool_create(struct sxsk_pool **ret_pool, const struct sxsk_pool_opts *opts)
{
	struct sxsk_priv_pool *pool;
	struct sxsk_pool_opts o;
	uint32_t harden;
	int err;

	if (!ret_pool)
		return sxsk_priv_fail(EINVAL, "ret_pool is NULL: there is nowhere to put the pool");
	err = check_options(&o, opts);
	if (!err)
		err = sxsk_priv_harden_parse(&o, &harden);
	if (!err)
		err = sxsk_priv_registry_init();
	if (err)
		return err;
	pthread_mutex_lock(&sxsk_priv_registry.lock);
	err = create(&pool, &o, harden);
	pthread_mutex_unlock(&sxsk_priv_registry.lock);
	if (!err)
		*ret_pool = pool_cookie(pool);
	return err;
}

/* ---- death ------------------------------------------------------------------------------------------ */

/* The caller made units zero: no thread has a handle, no kernel ring a frame that may be reused. The
 * frame table's next pool starts behind every generation given out, so no handle matches again. */
static void death(struct sxsk_priv_pool *pool)
{
	struct sxsk_priv_views *v = &sxsk_priv_registry.view;
	uint64_t highest = 0;

	__atomic_store_n(&v->chunk[pool->slot], 0, __ATOMIC_RELAXED);
	v->count[pool->slot] = 0;
	v->pool[pool->slot] = NULL;
	for (uint32_t i = 0; i < pool->count; i++) {
		uint64_t w = frame_word(pool, i);

		highest = w > highest ? w : highest;
	}
	pool->next_generation = (highest >> 20) + 1;
	unmap_pool(pool);
	/* A stored zero matches no handle of generation 1 and up; this, at index 0, no other either. */
	(void)madvise(pool->words, TABLE_BYTES, MADV_DONTNEED);
	store_relaxed(&pool->words[0], SXSK_PRIV_NOWHERE);
	/* Release: pairs with the acquire of the slot's next creation. */
	store_release(&pool->cookie, 0);
}

/* ---- owners ----------------------------------------------------------------------------------------- */

struct sxsk_priv_pool *sxsk_priv_pool_of(struct sxsk_pool *cookie, const char *function)
{
	uint64_t c = (uint64_t)(uintptr_t)cookie;
	uint32_t slot = (uint32_t)(c & 0xffff);

	if (likely(slot != 0 && slot <= SXSK_MAX_POOLS &&
		   load_acquire(&sxsk_priv_registry.pool[slot].cookie) == c))
		return &sxsk_priv_registry.pool[slot];
	if (sxsk_priv_pool_inherited(slot))
		sxsk_priv_misuse(
			SXSK_MISUSE_FORKED, function, NULL, UINT32_MAX,
			"a pool of the parent process in a forked child; make a new one here");
	else
		sxsk_priv_misuse(SXSK_MISUSE_POOL, function, NULL, UINT32_MAX,
				 cookie ? "stale pool pointer %p: that pool is gone" :
					  "the pool pointer is NULL (%p)",
				 (void *)cookie);
	return NULL;
}

struct sxsk_pool *sxsk_pool_ref(struct sxsk_pool *cookie)
{
	struct sxsk_priv_pool *pool = sxsk_priv_pool_of(cookie, "sxsk_pool_ref");
	uint64_t now;

	if (!pool)
		return NULL;
	now = load_relaxed(&pool->units);
	do {
		if (now >> 24 == 0) {
			sxsk_priv_misuse(SXSK_MISUSE_POOL, "sxsk_pool_ref", pool, UINT32_MAX,
					 "pool \"%s\" has no owner and no socket left", pool->name);
			return NULL;
		}
		if (overflows(now, UNIT_OWNER)) {
			(void)sxsk_priv_fail(EOVERFLOW, "pool \"%s\" has 16777215 owners already",
					     pool->name);
			return NULL;
		}
	} while (!cas_relaxed(&pool->units, &now, now + UNIT_OWNER));
	return cookie;
}

void sxsk_pool_unref(struct sxsk_pool *cookie)
{
	struct sxsk_priv_pool *pool;

	if (!cookie || sxsk_priv_pool_inherited((uint32_t)(uintptr_t)cookie & 0xffff))
		return;
	pool = sxsk_priv_pool_of(cookie, "sxsk_pool_unref");
	if (pool && !give_handle(pool, UNIT_OWNER))
		sxsk_priv_misuse(SXSK_MISUSE_POOL, "sxsk_pool_unref", pool, UINT32_MAX,
				 "pool \"%s\" has no owner left to give back", pool->name);
}

/* ---- allocation ------------------------------------------------------------------------------------- */

/* Without a lane: straight from the depot; what is left of the magazine goes back. */
static unsigned alloc_from_depot(struct sxsk_priv_pool *pool, struct sxsk_buf bufs[], unsigned n)
{
	struct sxsk_priv_stock stock;
	unsigned done = 0;

	stock.holder = HOLDER_DEPOT;
	while (done < n) {
		uint32_t k;

		stock.n = sxsk_priv_magazines_take(pool, stock.index, pool->magazine, 0);
		if (stock.n == 0)
			break;
		k = n - done < stock.n ? n - done : stock.n;
		k = sxsk_priv_frames_alloc(pool, &stock, k, bufs + done);
		done += k;
		sxsk_priv_depot_push(pool, stock.index, stock.n);
		if (k < pool->magazine)
			sxsk_priv_units_give(pool, pool->magazine - k);
	}
	return done;
}

static unsigned alloc_from_lane(struct sxsk_priv_pool *pool, struct sxsk_priv_lane *lane,
				struct sxsk_buf bufs[], unsigned n)
{
	unsigned done = 0;

	while (done < n) {
		uint32_t k = n - done;

		if (lane->stock.n == 0 && sxsk_priv_stock_pull(pool, &lane->stock) == 0)
			break;
		k = k < lane->stock.n ? k : lane->stock.n;
		done += sxsk_priv_frames_alloc(pool, &lane->stock, k, bufs + done);
	}
	return done;
}

unsigned sxsk_pool_alloc(struct sxsk_pool *cookie, struct sxsk_buf bufs[], unsigned n)
{
	struct sxsk_priv_pool *pool = sxsk_priv_pool_of(cookie, "sxsk_pool_alloc");
	struct sxsk_priv_thread *t = thread_self();
	struct sxsk_priv_lane *lane;
	unsigned done;

	if (!pool || !t || !bufs)
		return 0;
	lane = lane_of(t, (uint64_t)(uintptr_t)cookie);
	if (!lane || !lane_enter(t))
		return alloc_from_depot(pool, bufs, n);
	if (unlikely(load_relaxed(&pool->attention)))
		sxsk_priv_lane_heed(pool, lane);
	done = lane->cookie == (uint64_t)(uintptr_t)cookie ? alloc_from_lane(pool, lane, bufs, n) :
							     alloc_from_depot(pool, bufs, n);
	lane_leave(t);
	return done;
}
