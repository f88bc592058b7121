/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Preferred busy polling: the interface's driver runs in the socket's own system calls, on the caller's
 * processor, instead of in interrupts.
 *
 *   socket      SO_PREFER_BUSY_POLL, SO_BUSY_POLL, SO_BUSY_POLL_BUDGET
 *   interface   napi_defer_hard_irqs: so many runs of the driver that find nothing before interrupts are
 *               switched on again; gro_flush_timeout: nanoseconds after which the kernel runs the driver
 *               by itself, because the socket does not. Without them interrupts stay on.
 *
 * The interface's settings are everybody's. This process's first socket that wants them notes what it
 * finds, the last one puts that back, unless somebody has changed them meanwhile. Since Linux 6.13 there
 * are settings per NAPI instance too, through netdev genetlink; but which instance is a queue's not every
 * driver tells, and sysfs sets all of them, on every kernel that has preferred busy polling.
 */
#ifndef SXSK_PRIV_NAPI_H
#define SXSK_PRIV_NAPI_H

#include "internal.h"

/* Options that cannot be meant: -EINVAL with a sentence. Sets the defaults, and SOCKET_BUSY_POLL. */
int sxsk_priv_busy_poll_check(struct sxsk_socket_opts *o);
/* For s->opts; 0 or -errno with a sentence, and nothing is changed. */
int sxsk_priv_busy_poll_start(struct sxsk_priv_socket *s);
/* Does nothing when it was not started, or was stopped. */
void sxsk_priv_busy_poll_stop(struct sxsk_priv_socket *s);
/* The NAPI instance that the kernel runs for this socket; 0 = none that it knows of. */
uint32_t sxsk_priv_napi_id(struct sxsk_priv_socket *s);

#endif
