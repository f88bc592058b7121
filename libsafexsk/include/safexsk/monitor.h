/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What sockets do, for people, second by second: on a terminal a table, in place; elsewhere a line each time.
 *
 *     sxsk_monitor_create(&m, "forwarder", pool);
 *     sxsk_monitor_add(m, socket, NULL, 0);             each socket
 *     for (;;) { sleep(1); sxsk_monitor_show(m, stdout); }
 *     sxsk_monitor_destroy(m);                          before the sockets are closed
 */
#ifndef SAFEXSK_MONITOR_H
#define SAFEXSK_MONITOR_H

#include <safexsk/base.h>
#include <stdio.h>

SXSK_BEGIN_DECLS

struct sxsk_pool;
struct sxsk_socket;

/** Shows sockets of one pool. It only reads counters, which costs their threads a cache miss or two. */
struct sxsk_monitor;

/** Make one, which shows nothing yet.
 *
 * Returns:   0 and *ret_monitor, or -errno and *ret_monitor untouched
 * Errors:    -ENOMEM
 * Ownership: returns owned (sxsk_monitor_destroy); title is copied, pool has to stay
 * Threads:   any thread; blocking
 * Ordering:  none
 * Syscalls:  those of malloc(3)
 * Since:     0.1
 * Source:    own
 */
SXSK_API SXSK_MUST_CHECK int sxsk_monitor_create(struct sxsk_monitor **ret_monitor,
						 const char *title, struct sxsk_pool *pool);

/** Show one more socket. Who counts its bursts that received something, in *bursts, and asks for `batch` Bufs each
 * time, can see how full they are; NULL: nobody counts.
 *
 * Returns:   0 or -errno
 * Errors:    -ENOMEM; misuse: as sxsk_socket_stats()
 * Ownership: lends bursts until sxsk_monitor_destroy(); the socket has to stay open until then
 * Threads:   caller locks: one thread at a time for each monitor
 * Ordering:  relaxed, also of *bursts
 * Syscalls:  getsockopt; those of malloc(3)
 * Since:     0.1
 * Source:    own
 */
SXSK_API SXSK_MUST_CHECK int sxsk_monitor_add(struct sxsk_monitor *monitor,
					      struct sxsk_socket *socket, const uint64_t *bursts,
					      unsigned batch);

/** Show what happened since the last time: packets and megabits per second, both ways, and what was dropped since
 * the socket was opened. A table takes the terminal's height, and shows as many sockets as fit.
 *
 * Returns:   nothing
 * Errors:    none; those of the stream are the caller's to see (ferror); misuse: as sxsk_socket_stats()
 * Ownership: borrows
 * Threads:   caller locks: one thread at a time for each monitor; blocking on the stream
 * Ordering:  relaxed
 * Syscalls:  getsockopt, ioctl, write
 * Since:     0.1
 * Source:    own
 */
SXSK_API void sxsk_monitor_show(struct sxsk_monitor *monitor, FILE *out);

/** Make an end of it. NULL does nothing.
 *
 * Returns:   nothing
 * Errors:    none
 * Ownership: takes
 * Threads:   caller locks: one thread at a time for each monitor
 * Ordering:  none
 * Syscalls:  those of free(3)
 * Since:     0.1
 * Source:    own
 */
SXSK_API void sxsk_monitor_destroy(struct sxsk_monitor *monitor);

SXSK_END_DECLS
#endif
