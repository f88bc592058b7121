/* SPDX-License-Identifier: BSD-2-Clause */
#include "world.h"

#include <stdio.h>
#include <string.h>

#define SLOT 1u
#define CHUNK 2048u

struct world world;

static _Alignas(64) atomic_u64 words[FRAMES_MAX], links[FRAMES_MAX];
static atomic_u32 notes[FRAMES_MAX];
static unsigned char memory[FRAMES_MAX * CHUNK];
static struct sxsk_priv_thread *record[THREADS_MAX];
static uint32_t ledger[SOCKETS_MAX][3 * RING_SIZE];

void world_switched(int thread)
{
	sxsk_priv_thread_self = record[thread];
}

void world_as(int thread)
{
	world_switched(thread);
}

struct sxsk_priv_thread *world_thread(int thread)
{
	return record[thread];
}

/* ---- making ------------------------------------------------------------------------------------ */

static void reset_thread(int t)
{
	struct sxsk_priv_thread *r = record[t];

	if (!r) {
		sxsk_priv_thread_self = NULL;
		r = record[t] = sxsk_priv_thread_slow();
		if (!r)
			schedule_fail("no record for a thread");
	}
	store_relaxed(&r->inside, 0);
	store_relaxed(&r->tending, 0);
	store_relaxed(&r->visiting, 0);
	r->direct = NULL;
	r->direct_cookie = 0;
	for (struct sxsk_priv_lane *lane = r->lanes; lane; lane = lane->next) {
		lane->cookie = LANE_DETACHED;
		lane->stock.n = 0;
	}
}

static void reset_pool(uint32_t frames, uint32_t magazine)
{
	struct sxsk_priv_pool *p = &sxsk_priv_registry.pool[SLOT];
	struct sxsk_priv_views *v = &sxsk_priv_registry.view;

	memset(p, 0, sizeof(*p));
	p->slot = SLOT;
	p->words = words;
	p->links = links;
	p->notes = notes;
	p->base = memory;
	p->count = frames;
	p->chunk = CHUNK;
	p->shift = 11;
	p->magazine = magazine;
	p->lane_max = frames;
	p->size = sizeof(memory);
	p->memory =
		(struct sxsk_priv_mapping){ .data = memory, .addr = memory, .len = sizeof(memory) };
	memcpy(p->name, "world", 6);
	p->incarnation = 7;
	p->next_generation = 1;
	p->eventfd = FD_FOOD;
	store_relaxed(&p->cookie, 7u << 16 | SLOT);
	store_relaxed(&p->units, UNIT_OWNER);
	store_relaxed(&p->depot, NIL);
	v->table[SLOT] = ((uintptr_t)words - (uintptr_t)v) / sizeof(uint64_t);
	v->base[SLOT] = memory;
	v->count[SLOT] = frames;
	v->chunk[SLOT] = CHUNK;
	v->pool[SLOT] = (struct sxsk_pool *)(uintptr_t)(7u << 16 | SLOT);
	for (uint32_t i = 0; i < FRAMES_MAX; i++) {
		store_relaxed(&words[i],
			      i < frames ? (FRAME_GENERATION | FRAME_HOME(HOLDER_DEPOT)) + i : 0);
		store_relaxed(&links[i], 0);
		store_relaxed(&notes[i], 0);
	}
	for (uint32_t end = frames; end > 0; end -= magazine) {
		uint32_t index[MAGAZINE_MAX];

		for (uint32_t i = 0; i < magazine; i++)
			index[i] = end - magazine + i;
		sxsk_priv_depot_push(p, index, magazine);
	}
	world.pool = p;
	world.cookie = v->pool[SLOT];
}

static void note_misuse(const struct sxsk_misuse *m, void *arg)
{
	(void)arg;
	world.misuses++;
	if (m->kind == SXSK_MISUSE_THREADS)
		schedule_fail("said of a half that one thread uses: %s", m->what);
}

void world_reset(uint32_t frames, uint32_t magazine)
{
	memset(&world, 0, sizeof(world));
	sxsk_set_misuse_handler(note_misuse, NULL);
	if (sxsk_priv_registry_init() != 0)
		schedule_fail("no registry");
	for (uint32_t i = 1; i <= SOCKETS_MAX; i++) {
		memset(&sxsk_priv_registry.socket[i], 0, sizeof(sxsk_priv_registry.socket[i]));
		memset(&sxsk_priv_registry.queue[i], 0, sizeof(sxsk_priv_registry.queue[i]));
	}
	memset(&sxsk_priv_registry.lock, 0, sizeof(sxsk_priv_registry.lock));
	for (int t = 0; t < THREADS_MAX; t++)
		reset_thread(t);
	reset_pool(frames, magazine);
	world_as(0);
}

void world_harden(uint32_t levels)
{
	world.pool->harden = levels;
}

void world_lane(int thread)
{
	world_as(thread);
	if (sxsk_lane_attach(world.cookie) != 0)
		schedule_fail("no lane");
	world_as(0);
}

struct sxsk_buf world_buf(void)
{
	struct sxsk_buf b;

	if (sxsk_pool_alloc(world.cookie, &b, 1) != 1)
		schedule_fail("no frame left");
	b.length = 64;
	world.data[sxsk_buf_index(b)] = 1;
	return b;
}

static void reset_half(struct sxsk_priv_half *half, uint32_t holder, bool direct, unsigned number)
{
	store_relaxed(&half->direct, direct);
	half->stock.holder = holder;
	half->stock.cap = 2 * world.pool->magazine;
	half->epoll = world_epoll_fd(number);
	half->wake_fd = world_wake_fd(number);
}

static void map_prod(struct xsk_ring_prod *r, struct ring_memory *m)
{
	*r = (struct xsk_ring_prod){ .cached_cons = RING_SIZE,
				     .mask = RING_SIZE - 1,
				     .size = RING_SIZE,
				     .producer = &m->producer,
				     .consumer = &m->consumer,
				     .ring = m->address,
				     .flags = &m->flags };
}

static void map_cons(struct xsk_ring_cons *r, struct ring_memory *m)
{
	*r = (struct xsk_ring_cons){ .mask = RING_SIZE - 1,
				     .size = RING_SIZE,
				     .producer = &m->producer,
				     .consumer = &m->consumer,
				     .ring = m->address,
				     .flags = &m->flags };
}

bool world_is_ledger(const void *p)
{
	return (uintptr_t)p - (uintptr_t)ledger < sizeof(ledger);
}

static void reset_ledger(struct sxsk_priv_ledger *l, uint32_t *block)
{
	*l = (struct sxsk_priv_ledger){ .size = RING_SIZE,
					.head = block,
					.next = block + RING_SIZE,
					.frame = block + 2 * RING_SIZE };
	for (uint32_t i = 0; i < RING_SIZE; i++) {
		l->head[i] = l->frame[i] = NIL;
		l->next[i] = i + 1 < RING_SIZE ? i + 1 : NIL;
	}
}

struct sxsk_socket *world_open(unsigned i, uint32_t fill)
{
	struct world_socket *w = &world.socket[i];
	uint32_t slot = sxsk_priv_socket_slot();
	struct sxsk_priv_socket *s = &sxsk_priv_registry.socket[slot];
	struct sxsk_priv_queue *q = &sxsk_priv_registry.queue[sxsk_priv_queue_slot()];

	*q = (struct sxsk_priv_queue){ .id = slot,
				       .state = QUEUE_LIVE,
				       .sockets = 1,
				       .bound = 1,
				       .pool = (uint64_t)(uintptr_t)world.cookie };
	(void)snprintf(q->device.name, sizeof(q->device.name), "mem:%u", i);
	w->s = s;
	w->cookie = (struct sxsk_socket *)(uintptr_t)((9u + i) << 16 | slot);
	s->slot = slot;
	s->pool = world.pool;
	s->pool_cookie = q->pool;
	s->q = q;
	s->device = &sxsk_priv_device_mem;
	s->device_data = w;
	s->fd = -1;
	reset_half(&s->rx, 2 * slot, true, 2 * i);
	reset_half(&s->tx, 2 * slot + 1, false, 2 * i + 1);
	map_cons(&s->rx_ring, &w->rx);
	map_prod(&s->tx_ring, &w->tx);
	map_prod(&q->fill, &w->fill);
	map_cons(&q->comp, &w->comp);
	reset_ledger(&s->q->ledger, ledger[i]);
	sxsk_priv_set_fill_target(q, fill);
	if (!sxsk_priv_units_take_socket(world.pool, q->pool))
		schedule_fail("no unit for a socket");
	store_relaxed(&s->cookie, (uint64_t)(uintptr_t)w->cookie);
	store_release(&s->state, SOCKET_OPEN);
	return w->cookie;
}

/* ---- the end ------------------------------------------------------------------------------------ */

bool world_alive(void)
{
	return load_relaxed(&world.pool->cookie) != 0;
}

static void place(unsigned places[FRAMES_MAX], uint32_t index, uint64_t low, const char *where)
{
	if (index >= world.pool->count)
		schedule_fail("%s has frame %u, and there are %u", where, index, world.pool->count);
	places[index]++;
	if (places[index] > 1)
		schedule_fail("frame %u is in two places, one is %s", index, where);
	if ((frame_word(world.pool, index) & FRAME_LOW) != low)
		schedule_fail("frame %u is in %s, its word is 0x%llx", index, where,
			      (unsigned long long)frame_word(world.pool, index));
}

/* A frame further on in a magazine, as depot.c ties them. */
static uint32_t child(uint32_t index, uint32_t n)
{
	return (uint32_t)(load_relaxed(&links[index]) >> 21 * n) & 0x1fffff;
}

static void place_depot(unsigned places[FRAMES_MAX])
{
	uint32_t head = (uint32_t)load_relaxed(&world.pool->depot) & NIL;

	while (head != NIL) {
		uint64_t link = head < FRAMES_MAX ? load_relaxed(&links[head]) : 0;
		uint32_t n = (uint32_t)(link >> 48), index = head;

		if (n == 0 || n > world.pool->magazine)
			schedule_fail("a magazine of %u frames at frame %u", n, head);
		head = (uint32_t)(link >> 24) & NIL;
		for (uint32_t i = 0, of[FRAMES_MAX]; i < n; i++) {
			if (i > 0)
				index = i == 1 ? (uint32_t)link & NIL :
						 child(of[(i + 1) / 3], (i + 1) % 3);
			of[i] = index;
			place(places, index, FRAME_HOME(HOLDER_DEPOT), "the depot");
		}
	}
}

static void place_stock(unsigned places[FRAMES_MAX], const struct sxsk_priv_stock *stock,
			const char *where)
{
	for (uint32_t i = 0; i < stock->n; i++)
		place(places, stock->index[i], FRAME_HOME(stock->holder), where);
}

static void place_sockets(unsigned places[FRAMES_MAX])
{
	for (unsigned i = 0; i < SOCKETS_MAX; i++) {
		const struct world_socket *w = &world.socket[i];

		if (!w->s || w->gone)
			continue;
		place_stock(places, &w->s->rx.stock, "the stock of an RX half");
		place_stock(places, &w->s->tx.stock, "the stock of a TX half");
		for (uint32_t at = w->fill.consumer; at != w->fill.producer; at++)
			place(places, (uint32_t)(w->fill.address[at % RING_SIZE] / CHUNK),
			      FRAME_FILL(w->s->q->id), "a FILL ring");
	}
}

void world_account(unsigned owners, unsigned sockets)
{
	unsigned places[FRAMES_MAX] = { 0 };
	uint64_t units = load_relaxed(&world.pool->units);
	uint32_t out = 0;

	if (!world_alive() || world.deaths)
		schedule_fail("the pool died");
	place_depot(places);
	for (int t = 0; t < THREADS_MAX; t++)
		for (struct sxsk_priv_lane *lane = record[t]->lanes; lane; lane = lane->next)
			if (lane->cookie == (uint64_t)(uintptr_t)world.cookie)
				place_stock(places, &lane->stock, "a lane");
	place_sockets(places);
	for (uint32_t i = 0; i < world.pool->count; i++) {
		uint64_t w = frame_word(world.pool, i);
		unsigned kind = FRAME_KIND_OF(w);
		bool users = FRAME_HAS_USERS(w),
		     free = !users && (kind == KIND_HOME || kind == KIND_FILL);

		if (places[i] != free)
			schedule_fail("frame %u is in %u places, its word is 0x%llx", i, places[i],
				      (unsigned long long)w);
		if (users ||
		    ((w & FRAME_LOW) != FRAME_HOME(HOLDER_DEPOT) && kind < KIND_QUARANTINED))
			out++;
	}
	if (units != owners * UNIT_OWNER + sockets * UNIT_SOCKET + out)
		schedule_fail("units 0x%llx with %u frames out, %u owners, %u sockets",
			      (unsigned long long)units, out, owners, sockets);
}

void world_dead(void)
{
	if (world_alive() || world.deaths != 1)
		schedule_fail("the pool has died %u times, units 0x%llx", world.deaths,
			      (unsigned long long)load_relaxed(&world.pool->units));
	for (uint32_t i = 0; i < world.pool->count; i++)
		if (load_relaxed(&words[i]) != (i == 0 ? SXSK_PRIV_NOWHERE : 0))
			schedule_fail("frame %u has a word after the pool's death", i);
}

void world_flush(int threads)
{
	for (int t = 0; t < threads && world_alive(); t++) {
		world_as(t);
		sxsk_lane_flush(world.cookie);
	}
	world_as(0);
}

unsigned world_count(bool users, enum frame_kind kind)
{
	unsigned n = 0;

	for (uint32_t i = 0; i < world.pool->count; i++) {
		uint64_t w = frame_word(world.pool, i);

		n += FRAME_HAS_USERS(w) == users && FRAME_KIND_OF(w) == kind;
	}
	return n;
}

void world_misuses(unsigned least, unsigned most)
{
	if (world.misuses < least || world.misuses > most)
		schedule_fail("%u misuses were reported, not %u to %u", world.misuses, least, most);
}

/* ---- names --------------------------------------------------------------------------------------- */

struct name {
	const volatile void *at;
	const char *name;
};

static const char *name_in(const struct name *names, size_t n, const volatile void *p)
{
	for (size_t i = 0; i < n; i++)
		if (names[i].at == p)
			return names[i].name;
	return NULL;
}

static const char *ring_name(const struct world_socket *w, const volatile void *p)
{
	const struct name names[] = {
		{ &w->rx.producer, "RX.producer" },
		{ &w->rx.consumer, "RX.consumer" },
		{ &w->tx.producer, "TX.producer" },
		{ &w->tx.consumer, "TX.consumer" },
		{ &w->fill.producer, "FILL.producer" },
		{ &w->fill.consumer, "FILL.consumer" },
		{ &w->comp.producer, "COMPLETION.producer" },
		{ &w->comp.consumer, "COMPLETION.consumer" },
	};

	return name_in(names, sizeof(names) / sizeof(names[0]), p);
}

static const char *socket_name(const volatile void *p)
{
	const char *name = NULL;

	for (unsigned i = 0; i < SOCKETS_MAX && !name; i++) {
		const struct sxsk_priv_socket *s = world.socket[i].s;
		const struct name names[] = {
			{ &s->cookie, "socket.cookie" },
			{ &s->state, "socket.state" },
			{ &s->failed, "socket.failed" },
			{ &s->pool, "socket.pool" },
			{ &s->q, "socket.q" },
			{ &s->rx.busy, "rx.busy" },
			{ &s->rx.owner, "rx.owner" },
			{ &s->rx.direct, "rx.direct" },
			{ &s->rx.stock.n, "rx.stock.n" },
			{ &s->tx.busy, "tx.busy" },
			{ &s->tx.owner, "tx.owner" },
			{ &s->tx.stock.n, "tx.stock.n" },
		};

		if (!s)
			continue;
		name = name_in(names, sizeof(names) / sizeof(names[0]), p);
		if (!name && s->q && p == &s->q->fill.cached_prod)
			name = "fill.cached_prod";
		if (!name)
			name = ring_name(&world.socket[i], p);
	}
	return name;
}

/* Where in an array, if there; -1 otherwise. */
static int in_array(const volatile void *p, const void *array, size_t size, size_t n)
{
	uintptr_t at = (uintptr_t)p - (uintptr_t)array;

	return at < size * n ? (int)(at / size) : -1;
}

const char *world_name(const volatile void *p, char *to, unsigned size)
{
	const struct sxsk_priv_pool *pool = &sxsk_priv_registry.pool[SLOT];
	const struct name names[] = {
		{ &pool->units, "units" },        { &pool->depot, "depot" },
		{ &pool->cookie, "pool.cookie" }, { &pool->attention, "attention" },
		{ &pool->suspects, "suspects" },  { &sxsk_priv_registry.alive, "registry.alive" },
		{ &pool->base, "pool.base" },     { &sxsk_priv_registry.lock, "registry.lock" },
	};
	const char *name = name_in(names, sizeof(names) / sizeof(names[0]), p);
	int i;

	if (!name)
		name = socket_name(p);
	if (name)
		(void)snprintf(to, size, "%s", name);
	else if ((i = in_array(p, words, 8, FRAMES_MAX)) >= 0)
		(void)snprintf(to, size, "word[%d]", i);
	else if ((i = in_array(p, links, 8, FRAMES_MAX)) >= 0)
		(void)snprintf(to, size, "link[%d]", i);
	else if ((i = in_array(p, notes, 4, FRAMES_MAX)) >= 0)
		(void)snprintf(to, size, "note[%d]", i);
	else if ((i = in_array(p, world.data, 4, FRAMES_MAX)) >= 0)
		(void)snprintf(to, size, "bytes of frame %d", i);
	else
		(void)snprintf(to, size, "%p", (void *)(uintptr_t)p);
	for (int t = 0; t < THREADS_MAX && record[t]; t++)
		if (in_array(p, record[t], sizeof(*record[t]), 1) == 0)
			(void)snprintf(to, size, "%c.%s", 'A' + t,
				       p == &record[t]->inside  ? "inside" :
				       p == &record[t]->tending ? "tending" :
				       p == &record[t]->tid     ? "tid" :
								  "record");
	return to;
}
