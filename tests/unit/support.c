/* SPDX-License-Identifier: BSD-2-Clause */
#include "support.h"

#include <pthread.h>
#include <sys/mman.h>

/* Under AddressSanitizer pools are hardened by default, all frames by the slow way: these are tests of
 * the fast one, unless somebody asks for another. */
__attribute__((constructor)) static void choose_the_fast_way(void)
{
	(void)setenv("SAFEXSK_HARDEN", "none", 0);
}

/* ---- misuse ----------------------------------------------------------------------------------------- */

struct seen_misuse seen;

static void note(const struct sxsk_misuse *m, void *arg)
{
	struct seen_misuse *to = arg;

	to->kind = m->kind;
	(void)snprintf(to->function, sizeof(to->function), "%s", m->function);
	(void)snprintf(to->what, sizeof(to->what), "%s", m->what);
	(void)snprintf(to->pool, sizeof(to->pool), "%s", m->pool);
	to->frame = m->frame;
	to->word = m->word;
}

void count_misuse(void)
{
	sxsk_set_misuse_handler(note, &seen);
}

void check_misuse(uint64_t before, enum sxsk_misuse_kind kind, const char *function, int line)
{
	cr_assert_eq(sxsk_misuse_count() - before, 1, "line %d: %llu misuses, last: %s", line,
		     (unsigned long long)(sxsk_misuse_count() - before), seen.what);
	cr_assert_eq(seen.kind, kind, "line %d: kind %d: %s", line, (int)seen.kind, seen.what);
	cr_assert_str_eq(seen.function, function, "line %d: %s: %s", line, seen.function,
			 seen.what);
}

/* ---- objects ---------------------------------------------------------------------------------------- */

struct sxsk_pool *new_pool_with(struct sxsk_pool_opts opts)
{
	struct sxsk_pool *pool;

	opts.sz = sizeof(opts);
	cr_assert_eq(sxsk_pool_create(&pool, &opts), 0, "%s", sxsk_last_error());
	return pool;
}

struct sxsk_pool *new_pool(uint32_t frames)
{
	return new_pool_with((struct sxsk_pool_opts){ .frame_count = frames });
}

struct sxsk_socket *new_socket_sized(struct sxsk_pool *pool, const char *name, uint32_t flags,
				     uint32_t size)
{
	struct sxsk_socket_opts o = { .sz = sizeof(o),
				      .rx_size = size,
				      .tx_size = size,
				      .fill_size = size,
				      .comp_size = size,
				      .flags = flags };
	struct sxsk_socket *socket;

	cr_assert_eq(sxsk_socket_open(&socket, pool, name, 0, &o), 0, "%s", sxsk_last_error());
	return socket;
}

struct sxsk_socket *new_socket(struct sxsk_pool *pool, const char *name, uint32_t flags)
{
	return new_socket_sized(pool, name, flags, 64);
}

struct sxsk_buf take(struct sxsk_pool *pool)
{
	struct sxsk_buf b;

	cr_assert_eq(sxsk_pool_alloc(pool, &b, 1), 1, "%s", sxsk_last_error());
	return b;
}

struct sxsk_buf packet(struct sxsk_pool *pool, uint32_t len, unsigned char value)
{
	struct sxsk_buf b = take(pool);

	cr_assert_eq(sxsk_buf_put(&b, len), 0, "%s", sxsk_last_error());
	memset(sxsk_buf_data_mut(b), value, len);
	return b;
}

unsigned take_all(struct sxsk_pool *pool, struct sxsk_buf bufs[], unsigned room)
{
	unsigned n = sxsk_pool_alloc(pool, bufs, room);
	struct sxsk_buf more;

	cr_assert(n < room || sxsk_pool_alloc(pool, &more, 1) == 0, "more than %u frames", room);
	return n;
}

struct sxsk_pool_stats pool_stats(struct sxsk_pool *pool)
{
	struct sxsk_pool_stats st = { .sz = sizeof(st) };

	sxsk_pool_stats(pool, &st);
	return st;
}

struct sxsk_socket_stats socket_stats(struct sxsk_socket *socket)
{
	struct sxsk_socket_stats st = { .sz = sizeof(st) };

	sxsk_socket_stats(socket, &st);
	return st;
}

void expect_accounted(struct sxsk_pool *pool)
{
	struct sxsk_pool_stats st = pool_stats(pool);

	cr_assert_eq(st.user, 0, "%llu frames in Bufs", (unsigned long long)st.user);
	cr_assert_eq(st.tx, 0, "%llu frames in transmission", (unsigned long long)st.tx);
	cr_assert_eq(st.lanes + st.depot + st.fill + st.quarantined + st.retired, st.total);
	/* Frames with the kernel, in lanes and stocks have a unit each; the others have none. */
	cr_assert_eq(units_frames(pool), st.lanes + st.fill, "units of %u frames, not %llu",
		     units_frames(pool), (unsigned long long)(st.lanes + st.fill));
}

void expect_all_home(struct sxsk_pool *pool)
{
	expect_accounted(pool);
	cr_assert_eq(pool_stats(pool).depot, pool_stats(pool).total, "%llu in the depot",
		     (unsigned long long)pool_stats(pool).depot);
}

void close_and_unref(struct sxsk_socket *socket, struct sxsk_pool *pool)
{
	const void *base = inner_pool(pool)->base;

	sxsk_socket_close(socket);
	expect_accounted(pool);
	sxsk_pool_unref(pool);
	cr_assert_not(is_mapped(base));
}

bool is_mapped(const void *p)
{
	uintptr_t page = (uintptr_t)p & ~(uintptr_t)4095;
	unsigned char in_core;

	return mincore((void *)page, 1, &in_core) == 0 || errno != ENOMEM;
}

void *in_thread(void *(*fn)(void *), void *arg)
{
	pthread_t thread;
	void *ret;

	cr_assert_eq(pthread_create(&thread, NULL, fn, arg), 0);
	cr_assert_eq(pthread_join(thread, &ret), 0);
	return ret;
}

/* ---- inside ----------------------------------------------------------------------------------------- */

struct sxsk_priv_pool *inner_pool(struct sxsk_pool *pool)
{
	return &sxsk_priv_registry.pool[(uintptr_t)pool & 0xffff];
}

struct sxsk_priv_socket *inner_socket(struct sxsk_socket *socket)
{
	return &sxsk_priv_registry.socket[(uintptr_t)socket & 0xffff];
}

uint64_t word_of(struct sxsk_buf b)
{
	return frame_word(&sxsk_priv_registry.pool[b.pool], sxsk_buf_index(b));
}

uint32_t units_frames(struct sxsk_pool *pool)
{
	return UNITS_FRAMES(load_relaxed(&inner_pool(pool)->units));
}

void age_pool(struct sxsk_pool *pool, uint64_t left)
{
	struct sxsk_priv_pool *p = inner_pool(pool);
	uint64_t last = (FRAME_USED_UP - FRAME_GENERATION) - left * FRAME_GENERATION;

	for (uint32_t i = 0; i < p->count; i++) {
		cr_assert_eq(frame_word(p, i) & FRAME_LOW, FRAME_HOME(HOLDER_DEPOT));
		frame_become(p, i, last | FRAME_HOME(HOLDER_DEPOT));
	}
}

/* ---- the kernel's part ------------------------------------------------------------------------------ */

struct sxsk_mem_rings take_rings(struct sxsk_socket *socket)
{
	struct sxsk_mem_rings k;

	cr_assert_eq(sxsk_mem_take_rings(socket, &k), 0, "%s", sxsk_last_error());
	return k;
}

uint32_t fill_level(const struct sxsk_mem_rings *k)
{
	return __atomic_load_n(k->fill.producer, __ATOMIC_ACQUIRE) - *k->fill.consumer;
}

uint64_t kernel_take_fill(struct sxsk_mem_rings *k)
{
	uint32_t at = *k->fill.consumer;
	uint64_t addr;

	cr_assert_gt(fill_level(k), 0, "the FILL ring is empty");
	addr = ((uint64_t *)k->fill.entries)[at & (k->fill.size - 1)];
	__atomic_store_n(k->fill.consumer, at + 1, __ATOMIC_RELEASE);
	return addr;
}

void kernel_post_rx(struct sxsk_mem_rings *k, uint64_t addr, uint32_t len)
{
	uint32_t at = *k->rx.producer;

	((struct xdp_desc *)k->rx.entries)[at & (k->rx.size - 1)] =
		(struct xdp_desc){ .addr = addr, .len = len };
	__atomic_store_n(k->rx.producer, at + 1, __ATOMIC_RELEASE);
}

uint64_t kernel_receive(struct sxsk_mem_rings *k, uint32_t len)
{
	uint64_t addr = kernel_take_fill(k);

	kernel_post_rx(k, addr + 256 + k->headroom, len);
	return addr;
}

struct xdp_desc kernel_take_tx(struct sxsk_mem_rings *k)
{
	uint32_t at = *k->tx.consumer;

	cr_assert_neq(__atomic_load_n(k->tx.producer, __ATOMIC_ACQUIRE), at,
		      "the TX ring is empty");
	__atomic_store_n(k->tx.consumer, at + 1, __ATOMIC_RELEASE);
	return ((struct xdp_desc *)k->tx.entries)[at & (k->tx.size - 1)];
}

void kernel_complete(struct sxsk_mem_rings *k, uint64_t addr)
{
	uint32_t at = *k->comp.producer;

	((uint64_t *)k->comp.entries)[at & (k->comp.size - 1)] = addr;
	__atomic_store_n(k->comp.producer, at + 1, __ATOMIC_RELEASE);
}

uint32_t kernel_complete_all(struct sxsk_mem_rings *k)
{
	uint32_t n = 0;

	for (; __atomic_load_n(k->tx.producer, __ATOMIC_ACQUIRE) != *k->tx.consumer; n++)
		kernel_complete(k, kernel_take_tx(k).addr);
	return n;
}

struct sxsk_buf receive_one(struct sxsk_socket *socket, struct sxsk_mem_rings *k, uint32_t len)
{
	struct sxsk_buf b;

	(void)kernel_receive(k, len);
	cr_assert_eq(sxsk_rx_burst(socket, &b, 1), 1, "%s", sxsk_last_error());
	return b;
}

void send_one(struct sxsk_socket *socket, struct sxsk_buf b)
{
	cr_assert_eq(sxsk_tx_burst(socket, &b, 1), 1, "%s", sxsk_last_error());
}

void reap(struct sxsk_socket *socket)
{
	cr_assert_eq(sxsk_tx_burst(socket, NULL, 0), 0);
}
