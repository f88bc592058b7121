/* SPDX-License-Identifier: BSD-2-Clause */
/* The calling thread in another network namespace for a while. */
#ifndef SXSK_PRIV_NETNS_H
#define SXSK_PRIV_NETNS_H

#include <stdint.h>

#define NETNS_HERE (-1)

/* Enter the namespace that a path stands for, NULL: stay. 0 or -errno, and then the thread is where it was.
 * *ret_home is for the way back. */
int sxsk_priv_netns_enter(const char *path, int *ret_home);
void sxsk_priv_netns_leave(int home);
/* A descriptor of the thread's own, or -errno. */
int sxsk_priv_netns_here(void);
/* What tells the thread's own from others that are there: its inode; 0 = unknown, without /proc. */
uint64_t sxsk_priv_netns_id(void);

#endif
