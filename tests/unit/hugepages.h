/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Huge pages for the time of a test. They are the machine's: a process of its own, the keeper, reserves
 * them, and gives them back when the test's process ends, however that ends. It holds a lock meanwhile,
 * so that two tests do not undo each other's numbers.
 */
#ifndef SXSK_TEST_HUGEPAGES_H
#define SXSK_TEST_HUGEPAGES_H

#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

struct hugepages {
	pid_t keeper;
	int held; /* closed: give them back */
};

static inline long huge_number(int fd)
{
	char text[32] = "";

	return pread(fd, text, sizeof(text) - 1, 0) > 0 ? atol(text) : -1;
}

static inline _Noreturn void keep_hugepages(unsigned kib, long n, int tell, int held)
{
	char path[96], byte;
	int fd, done;
	long before, now = -1;

	for (int s = SIGHUP; s < SIGRTMIN; s++)
		signal(s, SIG_IGN); /* but for SIGKILL */
	snprintf(path, sizeof(path), "/sys/kernel/mm/hugepages/hugepages-%ukB/nr_hugepages", kib);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0 || flock(fd, LOCK_EX))
		_exit(1);
	before = huge_number(fd);
	if (dprintf(fd, "%ld", before + n) > 0)
		now = huge_number(fd) - before;
	done = write(tell, &now, sizeof(now)) == sizeof(now) && read(held, &byte, 1) == 0;
	if (dprintf(fd, "%ld", before) < 0)
		done = 0;
	_exit(!done);
}

/* n free huge pages of so many KiB. Skips the test where they cannot be had. Before any pool is made. */
static inline struct hugepages reserve_hugepages(unsigned kib, long n)
{
	int tell[2], held[2];
	struct hugepages h;
	long got = -1;

	cr_assert(!pipe2(tell, O_CLOEXEC) && !pipe2(held, O_CLOEXEC));
	h.keeper = fork();
	cr_assert_geq(h.keeper, 0);
	if (h.keeper == 0) {
		close(held[1]);
		keep_hugepages(kib, n, tell[1], held[0]);
	}
	close(tell[1]);
	close(held[0]);
	h.held = held[1];
	if (read(tell[0], &got, sizeof(got)) != sizeof(got))
		got = -1;
	close(tell[0]);
	if (got < n)
		cr_skip_test("%ld huge pages of %u KiB could be reserved, %ld are needed", got, kib,
			     n);
	return h;
}

static inline void return_hugepages(struct hugepages *h)
{
	int status;

	close(h->held);
	cr_assert_eq(waitpid(h->keeper, &status, 0), h->keeper);
	cr_assert_eq(status, 0, "the huge pages were not given back");
}

/* One of the numbers of /sys/kernel/mm/hugepages, or -1. */
static inline long hugepages_count(unsigned kib, const char *what)
{
	char path[96];
	long n;
	int fd;

	snprintf(path, sizeof(path), "/sys/kernel/mm/hugepages/hugepages-%ukB/%s", kib, what);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	n = huge_number(fd);
	close(fd);
	return n;
}

#endif
