/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A network namespace is entered by one thread (setns), and no descriptor of it is kept afterwards: that would
 * keep the namespace, and the interfaces in it, alive after the last socket. (A program in libxdp's dispatcher
 * has one until then.)
 */
#include "netns.h"
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int sxsk_priv_netns_here(void)
{
	/* The first is missing in some sandboxes. */
	int fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	return fd < 0 ? sxsk_priv_fail(errno,
				       "cannot note the thread's own network namespace: %s (is "
				       "/proc mounted?)",
				       strerror(errno)) :
			fd;
}

uint64_t sxsk_priv_netns_id(void)
{
	struct stat st;

	/* The first is missing before Linux 3.17 and in some sandboxes. */
	if (stat("/proc/thread-self/ns/net", &st) && stat("/proc/self/ns/net", &st))
		return 0;
	return st.st_ino;
}

static int enter_error(int err, const char *path)
{
	switch (err) {
	case EINVAL:
		return sxsk_priv_fail(EINVAL, "netns %s is no network namespace", path);
	case EPERM:
		return sxsk_priv_fail(
			EPERM, "may not enter the network namespace %s: it needs CAP_SYS_ADMIN",
			path);
	default:
		return sxsk_priv_fail(err, "cannot enter the network namespace %s: %s", path,
				      strerror(err));
	}
}

static int enter(const char *path, int home)
{
	const int there = open(path, O_RDONLY | O_CLOEXEC);
	int err = 0;

	if (there < 0)
		return enter_error(errno, path);
	/* The way back first, as a trial: who has no right to it must not leave. */
	if (setns(home, CLONE_NEWNET) || setns(there, CLONE_NEWNET))
		err = errno;
	close(there);
	return err ? enter_error(err, path) : 0;
}

int sxsk_priv_netns_enter(const char *path, int *ret_home)
{
	int home = NETNS_HERE, err;

	*ret_home = NETNS_HERE;
	if (!path)
		return 0;
	home = sxsk_priv_netns_here();
	if (home < 0)
		return home;
	err = enter(path, home);
	if (err)
		close(home);
	else
		*ret_home = home;
	return err;
}

void sxsk_priv_netns_leave(int home)
{
	static const char sentence[] = "safexsk: cannot return to the network namespace\n";

	if (home == NETNS_HERE)
		return;
	if (setns(home, CLONE_NEWNET)) {
		/* It was tried a moment ago. Going on in the wrong namespace is no choice. */
		ssize_t done = write(STDERR_FILENO, sentence, sizeof(sentence) - 1);

		(void)done;
		abort();
	}
	close(home);
}
