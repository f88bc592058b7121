/* SPDX-License-Identifier: BSD-2-Clause */
#include "sysfs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

int sxsk_priv_sysfs_open(void)
{
	const int fs = (int)syscall(SYS_fsopen, "sysfs", FSOPEN_CLOEXEC);
	int fd = -1, err;

	if (fs < 0)
		return -errno;
	if (!syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		fd = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, 0);
	err = -errno;
	close(fs);
	return fd < 0 ? err : fd;
}

int sxsk_priv_sysfs_file(int sysfs, const char *ifname, const char *name, int flags)
{
	char path[128];
	int fd;

	(void)snprintf(path, sizeof(path), "class/net/%s/%s", ifname, name);
	fd = openat(sysfs, path, flags | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int64_t sxsk_priv_sysfs_number(int file)
{
	char text[32] = "";

	const ssize_t n = pread(file, text, sizeof(text) - 1, 0);

	return n > 0 ? strtoll(text, NULL, 10) : n < 0 ? -errno : -EIO;
}

int sxsk_priv_sysfs_queues(const char *ifname, bool tx)
{
	const int sysfs = sxsk_priv_sysfs_open();
	char name[32];
	int n, fd;

	if (sysfs < 0)
		return sysfs;
	for (n = 0;; n++) {
		(void)snprintf(name, sizeof(name), "queues/%s-%d", tx ? "tx" : "rx", n);
		fd = sxsk_priv_sysfs_file(sysfs, ifname, name, O_PATH);
		if (fd < 0)
			break;
		close(fd);
	}
	close(sysfs);
	return fd == -ENOENT ? n : fd;
}
