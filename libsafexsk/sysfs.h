/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What only sysfs tells of an interface. A sysfs shows the interfaces of the network namespace that it
 * was mounted in, and nothing tells which one that was: at /sys there may well be another namespace's,
 * with an interface of the same name. So this mounts its own, in the calling thread's namespace, at no
 * place: it is a descriptor, and gone when that is closed. It takes CAP_SYS_ADMIN, and Linux 5.2.
 */
#ifndef SXSK_PRIV_SYSFS_H
#define SXSK_PRIV_SYSFS_H

#include <stdbool.h>
#include <stdint.h>

/* The descriptor, or -errno; no sentence. */
int sxsk_priv_sysfs_open(void);
/* A file of this interface: the descriptor, or -errno; no sentence. */
int sxsk_priv_sysfs_file(int sysfs, const char *ifname, const char *name, int flags);
/* The number that is in a file, or -1. */
int64_t sxsk_priv_sysfs_number(int file);
/* How many RX or TX queues an interface has now; -errno. */
int sxsk_priv_sysfs_queues(const char *ifname, bool tx);

#endif
