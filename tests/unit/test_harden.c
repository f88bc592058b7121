/* SPDX-License-Identifier: BSD-2-Clause */
/* Hardened pools: what a raw pointer that was kept does to a frame that is somebody else's. */
#include "support.h"

#include "harden.h"

#include <sys/mman.h>
#include <unistd.h>

/* How often mprotect() refuses to open less than a whole pool, as when a process has no mapping left. */
static unsigned refused;
static size_t whole;

int __real_mprotect(void *addr, size_t len, int prot);
int __wrap_mprotect(void *addr, size_t len, int prot);

/* A kernel with large pages, as arm64 has them. */
static size_t large;

long __real_sysconf(int name);
long __wrap_sysconf(int name);

long __wrap_sysconf(int name)
{
	return large && name == _SC_PAGESIZE ? (long)large : __real_sysconf(name);
}

int __wrap_mprotect(void *addr, size_t len, int prot)
{
	if (whole && len < whole) {
		refused++;
		errno = ENOMEM;
		return -1;
	}
	return __real_mprotect(addr, len, prot);
}

static struct sxsk_pool *hardened_pool(const char *harden)
{
	return new_pool_with(
		(struct sxsk_pool_opts){ .frame_count = 64, .frame_size = 4096, .harden = harden });
}

Test(harden, guarded_frames_are_their_owners)
{
	struct sxsk_pool *pool = hardened_pool("guard");
	struct sxsk_socket *socket = new_socket(pool, "mem:guard", 0);
	struct sxsk_mem_rings k = take_rings(socket);
	struct sxsk_buf b = packet(pool, 60, 7), received;

	cr_assert_eq(((const unsigned char *)sxsk_buf_data(b))[59], 7);
	received = receive_one(socket, &k, 60);
	cr_assert_not_null(memset(sxsk_buf_data_mut(received), 1, 60));
	sxsk_buf_unref(&b);
	sxsk_buf_unref(&received);
	close_and_unref(socket, pool);
}

/* Asked of a system call, which says so where an access would end the process. */
static bool is_readable(const void *at)
{
	int ends[2];
	bool can;

	cr_assert_eq(pipe(ends), 0);
	can = write(ends[1], at, 1) == 1;
	close(ends[0]);
	close(ends[1]);
	return can;
}

Test(harden, guarded_frame_that_was_given_back_is_nobodys)
{
	struct sxsk_pool *pool = hardened_pool("guard");
	struct sxsk_buf b = packet(pool, 60, 7);
	const unsigned char *raw = sxsk_buf_data(b);

	cr_assert(is_readable(raw));
	sxsk_buf_unref(&b);
	cr_assert_not(is_readable(raw));
	sxsk_pool_unref(pool);
}

/* Its thread would put it straight into FILL, were it not for the guard. */
Test(harden, guarded_frame_that_was_received_and_given_back_is_nobodys)
{
	struct sxsk_pool *pool = hardened_pool("guard");
	struct sxsk_socket *socket = new_socket(pool, "mem:guard", 0);
	struct sxsk_mem_rings k = take_rings(socket);
	struct sxsk_buf b = receive_one(socket, &k, 60);
	const unsigned char *raw = sxsk_buf_data(b);

	cr_assert(is_readable(raw));
	sxsk_buf_unref(&b);
	cr_assert_not(is_readable(raw));
	close_and_unref(socket, pool);
}

/* Each mapping has its guards, of a page; and what guards frames one by one is refused. */
Test(harden, large_pages_are_guarded_whole)
{
	const struct sxsk_pool_opts opts = {
		.sz = sizeof(opts), .frame_count = 64, .frame_size = 4096, .harden = "guard"
	};
	struct sxsk_pool *pool = NULL;
	const struct sxsk_priv_mapping *m;

	large = 65536;
	expect_error(EINVAL, "pages of 4096 bytes", sxsk_pool_create(&pool, &opts));
	pool = hardened_pool("none");
	m = &inner_pool(pool)->memory;
	cr_expect_eq(m->data - (unsigned char *)m->addr, 65536);
	cr_expect_eq(m->len, 64 * 4096 + 2 * 65536);
	large = 0;
	sxsk_pool_unref(pool);
}

Test(harden, guard_is_for_as_many_frames_as_there_may_be_mappings)
{
	const struct sxsk_pool_opts opts = {
		.sz = sizeof(opts), .frame_count = 1 << 20, .frame_size = 4096, .harden = "guard"
	};
	struct sxsk_pool *pool = NULL;

	expect_error(EINVAL, "max_map_count", sxsk_pool_create(&pool, &opts));
	cr_assert_null(pool);
}

/* The rest of the process may have used up its mappings: then a frame's owner has it nevertheless. */
Test(harden, guard_without_mappings_opens_a_frame_to_its_owner)
{
	struct sxsk_pool *pool = hardened_pool("guard");
	struct sxsk_socket *socket = new_socket(pool, "mem:mappings", 0);
	struct sxsk_mem_rings k = take_rings(socket);
	struct sxsk_buf b, received;

	whole = 64 * 4096;
	b = packet(pool, 60, 7);
	cr_assert_gt(refused, 0);
	received = receive_one(socket, &k, 60);
	cr_assert_not_null(memset(sxsk_buf_data_mut(received), 1, 60));
	cr_assert_eq(((const unsigned char *)sxsk_buf_data(b))[59], 7);
	sxsk_buf_unref(&b);
	sxsk_buf_unref(&received);
	whole = 0;
	close_and_unref(socket, pool);
}

/* Of a pool made so, with a packet through the in-process kernel: it reads and writes frames that are nobody's. */
static uint32_t levels_by_default(uint32_t flags)
{
	struct sxsk_pool *pool =
		new_pool_with((struct sxsk_pool_opts){ .frame_count = 256, .flags = flags });
	const uint32_t levels = load_relaxed(&inner_pool(pool)->harden);
	struct sxsk_socket *a = new_socket(pool, "mem:huge", 0);
	struct sxsk_socket *b = new_socket(pool, "mem:huge", 0);
	struct sxsk_buf sent = packet(pool, 60, 7), came;

	cr_assert_eq(sxsk_tx_burst(a, &sent, 1), 1);
	cr_assert_eq(sxsk_rx_burst(b, &came, 1), 1);
	cr_assert_eq(((const unsigned char *)sxsk_buf_data(came))[59], 7);
	sxsk_buf_unref(&came);
	sxsk_socket_close(a);
	close_and_unref(b, pool);
	return levels;
}

extern void __asan_poison_memory_region(const volatile void *at, size_t size) __attribute__((weak));

/* Those that were not to be had, and so are ordinary ones, included. */
Test(harden, poison_is_not_for_huge_pages)
{
	const char *const harden[] = { "poison", "canary,poison" };

	cr_assert_eq(unsetenv("SAFEXSK_HARDEN"), 0);
	cr_expect_eq(levels_by_default(0) != 0, __asan_poison_memory_region != NULL);
	cr_expect_eq(levels_by_default(SXSK_POOL_HUGE_2M | SXSK_POOL_HUGE_TRY), 0);
	for (unsigned i = 0; i < 2; i++) {
		const struct sxsk_pool_opts opts = { .sz = sizeof(opts),
						     .flags = SXSK_POOL_HUGE_2M |
							      SXSK_POOL_HUGE_TRY,
						     .harden = harden[i] };
		struct sxsk_pool *pool = NULL;

		expect_error(EINVAL, "huge pages", sxsk_pool_create(&pool, &opts));
		cr_assert_null(pool);
	}
}

Test(harden, write_after_free_is_noticed_at_the_next_use)
{
	for (unsigned fill = 0; fill < 2; fill++) {
		struct sxsk_pool *pool = hardened_pool("canary");
		struct sxsk_buf b = packet(pool, 60, 7), all[64];
		unsigned char *raw = sxsk_buf_data_mut(b);
		struct sxsk_socket *socket = NULL;

		sxsk_buf_unref(&b);
		raw[100] ^= 1;
		count_misuse();
		if (fill)
			expect_misuse(SXSK_MISUSE_CORRUPT, "free frames",
				      socket = new_socket(pool, "mem:canary", 0));
		else
			expect_misuse(SXSK_MISUSE_CORRUPT, "free frames",
				      sxsk_buf_unref_burst(all, take_all(pool, all, 64)));
		sxsk_socket_close(socket);
		sxsk_pool_unref(pool);
	}
}

/* What a quarantine held is the kernel's no more, and was written to by it before. */
Test(harden, what_comes_from_a_quarantine_is_not_a_write_after_free)
{
	struct sxsk_pool *pool = hardened_pool("canary");
	struct sxsk_socket *socket = new_socket(pool, "mem:canary2", 0);
	struct sxsk_buf b = packet(pool, 60, 1), all[64];
	unsigned n;

	count_misuse();
	cr_assert_eq(sxsk_mem_set_link("mem:canary2", false), 0);
	cr_assert_eq(sxsk_tx_burst(socket, &b, 1), 1); /* stays there */
	sxsk_socket_close(socket);
	n = take_all(pool, all, 64);
	cr_assert_eq(n, 64, "the test's premise");
	cr_assert_eq(sxsk_misuse_count(), 0);
	sxsk_buf_unref_burst(all, n);
	sxsk_pool_unref(pool);
}
