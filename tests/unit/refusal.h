/* SPDX-License-Identifier: BSD-2-Clause */
/* What tests of opening sockets share: an error with its sentence, descriptors that leak, capabilities. */
#ifndef SXSK_TEST_REFUSAL_H
#define SXSK_TEST_REFUSAL_H

#include "veth.h"

#include <dirent.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static inline int open_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	cr_assert(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* What a slot keeps once used, so that counts of descriptors do not see it. */
static inline struct sxsk_pool *warm_pool(uint32_t frames)
{
	struct sxsk_pool *pool = new_pool(frames);

	sxsk_socket_close(open_socket(pool, "v0", 0, steered(SXSK_ATTACH_AUTO)));
	return pool;
}

/* It failed with this error and a sentence that contains this. */
static inline void refused_with(int got, int err, const char *sentence)
{
	cr_expect_eq(got, err, "%d: %s", got, sxsk_last_error());
	cr_expect(strstr(sxsk_last_error(), sentence), "\"%s\" lacks \"%s\"", sxsk_last_error(),
		  sentence);
}

static inline void refused(struct sxsk_pool *pool, const char *ifname, uint32_t queue,
			   struct sxsk_socket_opts opts, int err, const char *sentence)
{
	struct sxsk_socket *socket;

	refused_with(sxsk_socket_open(&socket, pool, ifname, queue, &opts), err, sentence);
}

/* In a child process: give up all capabilities but these. */
static inline void keep_capabilities(uint64_t keep)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	const struct __user_cap_data_struct data[2] = {
		{ .effective = (uint32_t)keep, .permitted = (uint32_t)keep },
		{ .effective = (uint32_t)(keep >> 32), .permitted = (uint32_t)(keep >> 32) },
	};

	cr_assert_eq(syscall(SYS_capset, &header, data), 0);
}

/* A child process that ends with its parent, whatever that ends by. */
static inline pid_t fork_bounded(void)
{
	const pid_t parent = getpid(), pid = fork();

	cr_assert_geq(pid, 0);
	if (!pid && (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != parent))
		_exit(1);
	return pid;
}

#endif
