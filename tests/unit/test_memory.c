/* SPDX-License-Identifier: BSD-2-Clause */
/* Where a pool's memory comes from: huge pages, NUMA nodes. */
#include "hugepages.h"
#include "support.h"

#include <linux/mempolicy.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define KIB_2M 2048
#define KIB_1G 1048576

/* The line of this name in what /proc tells of the mapping at p, in KiB; -1 without one. */
static long smaps_kib(const void *p, const char *name)
{
	FILE *f = fopen("/proc/self/smaps", "re");
	char line[512], rest;
	unsigned long from, to;
	bool inside = false;
	long kib = -1;

	cr_assert(f);
	while (kib < 0 && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx%c", &from, &to, &rest) == 3 && rest == ' ')
			inside = (unsigned long)p >= from && (unsigned long)p < to;
		else if (inside && strncmp(line, name, strlen(name)) == 0)
			kib = atol(line + strlen(name));
	}
	fclose(f);
	return kib;
}

static const unsigned char *memory_of(struct sxsk_pool *pool)
{
	return inner_pool(pool)->base;
}

static struct sxsk_pool *huge_pool(uint32_t frames, uint32_t flags)
{
	return new_pool_with((struct sxsk_pool_opts){ .frame_count = frames, .flags = flags });
}

/* ---- huge pages ------------------------------------------------------------------------------------ */

Test(memory, a_pool_is_in_ordinary_pages_and_says_so)
{
	struct sxsk_pool *pool = new_pool(1024);

	cr_expect_eq(pool_stats(pool).page_size, (uint64_t)sysconf(_SC_PAGESIZE));
	cr_expect_eq(smaps_kib(memory_of(pool), "KernelPageSize:") * 1024, sysconf(_SC_PAGESIZE));
	sxsk_pool_unref(pool);
}

/* 4096 frames of 2048 bytes are four pages, and 64 more begin a fifth. */
Test(memory, a_pool_in_huge_pages_has_them_at_once_and_gives_them_back)
{
	struct hugepages h = reserve_hugepages(KIB_2M, 8);
	const long before = hugepages_count(KIB_2M, "free_hugepages");
	struct sxsk_pool *pool = huge_pool(4096 + 64, SXSK_POOL_HUGE_2M);
	struct sxsk_buf bufs[64];

	cr_expect_eq(pool_stats(pool).page_size, 2u << 20);
	cr_expect_eq(smaps_kib(memory_of(pool), "KernelPageSize:"), KIB_2M);
	cr_expect_eq(hugepages_count(KIB_2M, "free_hugepages"), before - 5);
	cr_assert_eq(sxsk_pool_alloc(pool, bufs, 64), 64);
	for (unsigned i = 0; i < 64; i++) {
		cr_assert_eq(sxsk_buf_put(&bufs[i], 1500), 0);
		memset(sxsk_buf_data_mut(bufs[i]), (int)i, 1500);
	}
	sxsk_pool_unref(pool);
	cr_expect_eq(hugepages_count(KIB_2M, "free_hugepages"), before - 5, "Bufs hold them");
	sxsk_buf_unref_burst(bufs, 64);
	cr_expect_eq(hugepages_count(KIB_2M, "free_hugepages"), before);
	return_hugepages(&h);
}

Test(memory, a_pool_in_pages_of_1_gib, .timeout = 120)
{
	struct hugepages h = reserve_hugepages(KIB_1G, 1);
	struct sxsk_pool *pool = huge_pool(1024, SXSK_POOL_HUGE_1G);

	cr_expect_eq(pool_stats(pool).page_size, 1u << 30);
	cr_expect_eq(smaps_kib(memory_of(pool), "KernelPageSize:"), KIB_1G);
	sxsk_pool_unref(pool);
	return_hugepages(&h);
}

Test(memory, huge_pages_that_are_not_free_are_an_error_or_a_stated_fallback)
{
	struct hugepages h = reserve_hugepages(KIB_2M, 2);
	const uint32_t frames = (uint32_t)(hugepages_count(KIB_2M, "free_hugepages") + 1) * 1024;
	struct sxsk_pool_opts o = { .sz = sizeof(o),
				    .frame_count = frames,
				    .flags = SXSK_POOL_HUGE_2M };
	struct sxsk_pool *pool;
	char words[64];

	snprintf(words, sizeof(words), "%u huge pages of 2 MiB are not free", frames / 1024);
	expect_error(ENOMEM, words, sxsk_pool_create(&pool, &o));
	expect_error(ENOMEM, "/proc/sys/vm/nr_hugepages", sxsk_pool_create(&pool, &o));
	pool = huge_pool(frames, SXSK_POOL_HUGE_2M | SXSK_POOL_HUGE_TRY);
	cr_expect_eq(pool_stats(pool).page_size, (uint64_t)sysconf(_SC_PAGESIZE));
	cr_expect(strstr(sxsk_last_error(), words), "\"%s\"", sxsk_last_error());
	sxsk_pool_unref(pool);
	pool = huge_pool(1024, SXSK_POOL_HUGE_2M | SXSK_POOL_HUGE_TRY);
	cr_expect_eq(pool_stats(pool).page_size, 2u << 20, "what is free is taken");
	sxsk_pool_unref(pool);
	return_hugepages(&h);
}

/* Another processor, as far as a process can tell. */
static void replace_cpuinfo(const char *flags)
{
	char path[] = "/tmp/sxsk-cpuinfo-XXXXXX";
	int fd = mkstemp(path);

	cr_assert_geq(fd, 0);
	cr_assert_gt(dprintf(fd, "processor\t: 0\nflags\t\t: fpu %s lm\n", flags), 0);
	cr_assert_eq(unshare(CLONE_NEWNS), 0, "this test needs root");
	cr_assert_eq(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	cr_assert_eq(mount(path, "/proc/cpuinfo", NULL, MS_BIND, NULL), 0);
	unlink(path);
	close(fd);
}

Test(memory, pages_of_1_gib_on_a_processor_without_are_refused_with_that_sentence)
{
#ifndef __x86_64__
	cr_skip_test("other processors do not tell");
#endif
	struct sxsk_pool_opts o = { .sz = sizeof(o), .flags = SXSK_POOL_HUGE_1G };
	struct sxsk_pool *pool;

	replace_cpuinfo("pse36 pdpe1gbx");
	expect_error(EOPNOTSUPP, "the processor has none (there is no pdpe1gb in /proc/cpuinfo)",
		     sxsk_pool_create(&pool, &o));
	pool = huge_pool(64, SXSK_POOL_HUGE_1G | SXSK_POOL_HUGE_TRY);
	cr_expect_eq(pool_stats(pool).page_size, (uint64_t)sysconf(_SC_PAGESIZE));
	cr_expect(strstr(sxsk_last_error(), "no pdpe1gb"), "%s", sxsk_last_error());
	sxsk_pool_unref(pool);
}

/* ---- NUMA nodes ------------------------------------------------------------------------------------ */

/* The policy of the page at p, and its nodes. */
static int policy_of(const void *p, unsigned long nodes[SXSK_MAX_NUMA_NODES / 64])
{
	int policy = -1;

	cr_assert_eq(syscall(SYS_get_mempolicy, &policy, nodes, SXSK_MAX_NUMA_NODES + 1, p,
			     MPOL_F_ADDR),
		     0);
	return policy;
}

/* The node that the page at p is on, or -errno. */
static int node_of(const void *p)
{
	void *page = (void *)((uintptr_t)p & ~(uintptr_t)(sysconf(_SC_PAGESIZE) - 1));
	int status = -1;

	cr_assert_eq(syscall(SYS_move_pages, 0, 1ul, &page, NULL, &status, 0), 0);
	return status;
}

static void expect_on_node(const void *p, unsigned node)
{
	unsigned long nodes[SXSK_MAX_NUMA_NODES / 64] = { 0 };

	cr_expect_eq(policy_of(p, nodes), MPOL_PREFERRED);
	cr_expect_eq(nodes[node / 64], 1ul << node % 64);
	cr_expect_eq(node_of(p), (int)node);
}

/* The nodes with memory that this process may use, from what the kernel tells as "0-1,4". */
static bool allowed(unsigned node)
{
	FILE *f = fopen("/proc/self/status", "re");
	char line[512], *at;
	bool found = false;

	cr_assert(f);
	while (fgets(line, sizeof(line), f)) {
		if (strncmp(line, "Mems_allowed_list:", 18) != 0)
			continue;
		for (at = line + 18; *at && *at != '\n' && !found;) {
			unsigned long from = strtoul(at, &at, 10), to = from;

			if (*at == '-')
				to = strtoul(at + 1, &at, 10);
			found = node >= from && node <= to;
			at += *at == ',';
		}
	}
	fclose(f);
	return found;
}

static unsigned first_without(void)
{
	unsigned node = 0;

	while (node < SXSK_MAX_NUMA_NODES - 1 && allowed(node))
		node++;
	return node;
}

static void pool_on_node(uint32_t flags, const char *harden, unsigned node)
{
	struct sxsk_pool *pool =
		new_pool_with((struct sxsk_pool_opts){ .frame_count = 1024,
						       .frame_size = 4096,
						       .user_size = 64,
						       .flags = flags,
						       .harden = harden,
						       .numa_node = SXSK_NUMA_NODE(node) });
	struct sxsk_buf buf = take(pool);

	cr_assert_eq(sxsk_buf_put(&buf, 100), 0);
	memset(sxsk_buf_data_mut(buf), 1, 100);
	memset(sxsk_buf_user_mut(buf), 1, 64);
	expect_on_node(sxsk_buf_data(buf), node);
	expect_on_node(sxsk_buf_user(buf), node);
	sxsk_buf_unref(&buf);
	sxsk_pool_unref(pool);
}

Test(memory, without_a_wish_the_threads_policy_is_in_force)
{
	unsigned long nodes[SXSK_MAX_NUMA_NODES / 64];
	struct sxsk_pool *pool = new_pool(64);

	cr_expect_eq(policy_of(memory_of(pool), nodes), MPOL_DEFAULT);
	sxsk_pool_unref(pool);
	cr_expect_eq(SXSK_NUMA_NODE(-1), 0, "what /sys tells of a device without a node");
}

Test(memory, a_pool_on_each_node_there_is)
{
	for (unsigned node = 0; node < SXSK_MAX_NUMA_NODES; node++)
		if (allowed(node))
			pool_on_node(0, NULL, node);
	cr_expect_neq(first_without(), 0, "there is a node");
}

Test(memory, a_guarded_pool_on_a_node)
{
	pool_on_node(0, "guard", 0);
}

Test(memory, a_pool_in_huge_pages_on_a_node)
{
	struct hugepages h = reserve_hugepages(KIB_2M, 2);

	pool_on_node(SXSK_POOL_HUGE_2M, NULL, 0);
	return_hugepages(&h);
}

Test(memory, a_node_that_does_not_exist_is_refused)
{
	struct hugepages h = reserve_hugepages(KIB_2M, 2);
	const unsigned missing[] = { first_without(), SXSK_MAX_NUMA_NODES - 1 };
	struct sxsk_pool_opts o = { .sz = sizeof(o), .frame_count = 64 };
	const uint32_t flags[] = { 0, SXSK_POOL_HUGE_2M };
	const long before = hugepages_count(KIB_2M, "free_hugepages");
	struct sxsk_pool *pool;
	char words[64];

	for (unsigned i = 0; i < 4; i++) {
		o.numa_node = SXSK_NUMA_NODE(missing[i / 2]);
		o.flags = flags[i % 2];
		snprintf(words, sizeof(words), "no NUMA node %u with memory", missing[i / 2]);
		expect_error(EINVAL, words, sxsk_pool_create(&pool, &o));
	}
	cr_expect_eq(hugepages_count(KIB_2M, "free_hugepages"), before, "nothing stays mapped");
	return_hugepages(&h);
}
