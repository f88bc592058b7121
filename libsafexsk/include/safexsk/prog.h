/* SPDX-License-Identifier: BSD-2-Clause */
/* The XDP program and XSKMAP that steer packets to sockets. Sockets opened with SXSK_STEER_ALL and
 * no program of their own share one per interface; it is attached with a bpf_link, so it leaves with
 * its last socket, and with the process however that ends. */
#ifndef SAFEXSK_PROG_H
#define SAFEXSK_PROG_H

#include <safexsk/base.h>

SXSK_BEGIN_DECLS

/** A program with its XSKMAP. */
struct sxsk_prog;

SXSK_END_DECLS
#endif
