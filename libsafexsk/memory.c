/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Packet memory: the library's own private mapping, so that nobody can madvise or remap it by an
 * allocator's accident, which would detach it from the kernel silently. A child does not inherit it
 * (a fork would copy pages under the kernel's pins). Ordinary pages have guard pages around; nothing
 * is touched here, the kernel does that at the first registration.
 */
#include "harden.h"
#include "tsan.h"

#include <errno.h>
#include <linux/mempolicy.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef MAP_HUGE_SHIFT
#define MAP_HUGE_SHIFT 26
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif

/* ---- NUMA nodes ------------------------------------------------------------------------------------ */

/* Preferred, not bound: where a bound node is full, the kernel ends the process. Nothing is touched
 * yet, so every page comes from where this says. */
static int place(void *addr, size_t len, uint32_t numa_node)
{
	unsigned long nodes[SXSK_MAX_NUMA_NODES / 64] = { 0 };
	const uint32_t node = numa_node - 1;

	if (!numa_node)
		return 0;
	nodes[node / 64] = 1ul << node % 64;
	if (!syscall(SYS_mbind, addr, len, MPOL_PREFERRED, nodes, SXSK_MAX_NUMA_NODES + 1, 0))
		return 0;
	if (errno == EINVAL)
		return sxsk_priv_fail(
			EINVAL,
			"there is no NUMA node %u with memory that this process may use: see "
			"/sys/devices/system/node/has_memory, and Mems_allowed_list in /proc/self/status",
			node);
	return sxsk_priv_fail(errno, "cannot put the pool's memory on NUMA node %u: %s", node,
			      strerror(errno));
}

/* ---- huge pages ------------------------------------------------------------------------------------ */

/* Huge pages of 2^log bytes. */
struct huge {
	unsigned log;
	const char *name;
	const char *reserve; /* how to have more of them */
};

static const struct huge two_mib = { 21, "2 MiB", "/proc/sys/vm/nr_hugepages" };
static const struct huge one_gib = {
	30, "1 GiB",
	"/sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages (or boot with "
	"hugepagesz=1G hugepages=N)"
};

/* Does the processor have pages of 1 GiB, as far as it tells? */
static bool has_1g(void)
{
	bool found = true;
#ifdef __x86_64__
	char word[64];
	FILE *f = fopen("/proc/cpuinfo", "re");

	if (f) {
		do
			found = fscanf(f, "%63s", word) == 1;
		while (found && strcmp(word, "pdpe1gb") != 0);
		(void)fclose(f);
	}
#endif
	return found;
}

static int no_huge(int err, const struct huge *h, size_t pages)
{
	if (err == EINVAL)
		return sxsk_priv_fail(EOPNOTSUPP,
				      "no huge pages of %s: this kernel has none of them", h->name);
	return sxsk_priv_fail(
		err, "%zu huge pages of %s are not free (%s): write at least that number to %s",
		pages, h->name, strerror(err), h->reserve);
}

/* mmap() has reserved them, but a cgroup's limit shows at the first touch only, and there it would end
 * the process: so touch them here, where it is an error. */
static int touch_huge(void *addr, size_t len, const struct huge *h)
{
	/* EINVAL: Linux before 5.14. */
	if (!madvise(addr, len, MADV_POPULATE_WRITE) || errno == EINVAL)
		return 0;
	return sxsk_priv_fail(
		ENOMEM,
		"%zu huge pages of %s are reserved, but not to be had: look at the cgroup's "
		"hugetlb limits",
		len >> h->log, h->name);
}

static int map_huge(struct sxsk_priv_mapping *m, size_t size, const struct huge *h,
		    uint32_t numa_node)
{
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB |
			  (int)(h->log << MAP_HUGE_SHIFT);
	const size_t page = (size_t)1 << h->log, len = (size + page - 1) & ~(page - 1);
	void *p;
	int err = 0;

	if (h == &one_gib && !has_1g())
		return sxsk_priv_fail(EOPNOTSUPP,
				      "no huge pages of 1 GiB: the processor has none (there is no "
				      "pdpe1gb in /proc/cpuinfo): use SXSK_POOL_HUGE_2M");
	p = mmap(NULL, len, PROT_READ | PROT_WRITE, flags, -1, 0);
	if (p == MAP_FAILED)
		return no_huge(errno, h, len / page);
	sxsk_priv_fresh(p, len);
	if (madvise(p, len, MADV_DONTFORK) != 0)
		err = sxsk_priv_fail(errno, "madvise(MADV_DONTFORK) on huge pages: %s",
				     strerror(errno));
	if (!err)
		err = place(p, len, numa_node);
	if (!err)
		err = touch_huge(p, len, h);
	if (err) {
		munmap(p, len);
		return err;
	}
	*m = (struct sxsk_priv_mapping){ .data = p, .addr = p, .len = len, .page = page };
	return 0;
}

/* ---- mappings -------------------------------------------------------------------------------------- */

int sxsk_priv_map(struct sxsk_priv_mapping *m, size_t size, uint32_t flags, uint32_t numa_node,
		  const char *what)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	const size_t len = ((size + page - 1) & ~(page - 1)) + 2 * page;
	unsigned char *all;
	int err;

	if (flags & (SXSK_POOL_HUGE_2M | SXSK_POOL_HUGE_1G)) {
		err = map_huge(m, size, flags & SXSK_POOL_HUGE_1G ? &one_gib : &two_mib, numa_node);
		if (!err || !(flags & SXSK_POOL_HUGE_TRY))
			return err;
	}
	all = mmap(NULL, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (all == MAP_FAILED ||
	    mprotect(all + page, len - 2 * page, PROT_READ | PROT_WRITE) != 0 ||
	    madvise(all, len, MADV_DONTFORK) != 0) {
		err = errno;
		if (all != MAP_FAILED)
			munmap(all, len);
		return sxsk_priv_fail(
			ENOMEM, "no memory for %zu bytes of %s (%s): use fewer or smaller frames",
			size, what, strerror(err));
	}
	sxsk_priv_fresh(all, len);
	*m = (struct sxsk_priv_mapping){ .data = all + page, .addr = all, .len = len, .page = page };
	err = place(m->data, len - 2 * page, numa_node);
	if (err)
		sxsk_priv_unmap(m);
	return err;
}

/* Twice, so that one mapping can be guarded frame by frame while the other stays open. */
int sxsk_priv_map_twice(struct sxsk_priv_mapping *m, size_t size, uint32_t numa_node)
{
	int fd = memfd_create("safexsk", MFD_CLOEXEC), err;
	void *a = MAP_FAILED, *b = MAP_FAILED;
	bool failed;

	if (fd >= 0 && ftruncate(fd, (off_t)size) == 0) {
		a = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		b = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	}
	failed = a == MAP_FAILED || b == MAP_FAILED || madvise(a, size, MADV_DONTFORK) != 0 ||
		 madvise(b, size, MADV_DONTFORK) != 0;
	err = errno;
	if (fd >= 0)
		close(fd);
	if (failed) {
		if (a != MAP_FAILED)
			munmap(a, size);
		if (b != MAP_FAILED)
			munmap(b, size);
		return sxsk_priv_fail(ENOMEM, "no memory for %zu bytes of guarded frames: %s", size,
				      strerror(err));
	}
	sxsk_priv_fresh(a, size);
	sxsk_priv_fresh(b, size);
	*m = (struct sxsk_priv_mapping){
		.data = a, .addr = a, .len = size, .alias = b, .page = (size_t)sysconf(_SC_PAGESIZE)
	};
	err = place(a, size, numa_node); /* the pages are shared, and so is what is said of them */
	if (err)
		sxsk_priv_unmap(m);
	return err;
}

void sxsk_priv_unmap(struct sxsk_priv_mapping *m)
{
	if (m->addr) {
		tsan_death(m->addr, m->len);
		munmap(m->addr, m->len);
	}
	if (m->alias)
		munmap(m->alias, m->len);
	*m = (struct sxsk_priv_mapping){ 0 };
}
