/* SPDX-License-Identifier: BSD-2-Clause */
/* A socket's options: the caller's, of whatever version, with ring sizes rounded up, or why not. */
#include "internal.h"
#include "metadata.h"
#include "napi.h"

#include <errno.h>

#define RING_MAX 65536u

static int round_ring(uint32_t *size, const char *name)
{
	uint32_t n = *size ? *size : 2048, p = 1;

	if (n > RING_MAX)
		return sxsk_priv_fail(EINVAL, "%s is %u: a ring has at most %u entries", name, n,
				      RING_MAX);
	while (p < n)
		p *= 2;
	*size = p;
	return 0;
}

/* Which packets come: of the ways to say it, one. */
static int check_steering(const struct sxsk_socket_opts *o)
{
	const char *which = o->prog ? "prog" : o->map_fd ? "map_fd" : NULL;

	if (o->steer > SXSK_STEER_ALL)
		return sxsk_priv_fail(EINVAL, "steer is %u: no such way to steer", o->steer);
	if (o->attach > SXSK_ATTACH_DISPATCHER)
		return sxsk_priv_fail(EINVAL, "attach is %u: use auto, native, SKB or dispatcher",
				      o->attach);
	if (o->map_fd < 0)
		return sxsk_priv_fail(EINVAL, "map_fd is %d: no descriptor", o->map_fd);
	if (o->prog && o->map_fd)
		return sxsk_priv_fail(EINVAL, "prog has a map of its own, and map_fd is another: "
					      "give one of them");
	if (which && o->steer != SXSK_STEER_NONE)
		return sxsk_priv_fail(EINVAL,
				      "%s says which packets come, and steer too: give one of them",
				      which);
	if (which && o->flags & SXSK_SOCKET_NO_RX)
		return sxsk_priv_fail(EINVAL, "%s, and SXSK_SOCKET_NO_RX: no packet comes", which);
	if (!which && o->target)
		return sxsk_priv_fail(EINVAL, "target is %u: targets are of prog or map_fd",
				      o->target);
	if (o->steer == SXSK_STEER_NONE && !o->prog && o->attach != SXSK_ATTACH_AUTO)
		return sxsk_priv_fail(EINVAL, "attach is %s: with %s no program is attached",
				      sxsk_attach_name(o->attach),
				      which ? which : "SXSK_STEER_NONE");
	if (o->attach == SXSK_ATTACH_DISPATCHER && o->metadata & METADATA_RX)
		return sxsk_priv_fail(EOPNOTSUPP,
				      "attach is dispatcher, and metadata of received packets is "
				      "asked for, which takes a program of the driver's own: open "
				      "without one of them");
	if (o->prog)
		return sxsk_priv_prog_check(o->prog, o->target, o->attach);
	return 0;
}

int sxsk_priv_socket_options(struct sxsk_socket_opts *o, const struct sxsk_socket_opts *from)
{
	const uint32_t known = SXSK_SOCKET_NO_RX | SXSK_SOCKET_NO_TX | SXSK_SOCKET_MULTI_BUFFER |
			       SXSK_SOCKET_NO_NEED_WAKEUP | SXSK_SOCKET_SHARE_QUEUE |
			       SXSK_SOCKET_MULTI_BUFFER_AUTO | SXSK_SOCKET_KEEP_NAPI;
	int err = sxsk_priv_options(o, sizeof(*o), from, "sxsk_socket_opts");

	if (!err)
		err = round_ring(&o->rx_size, "rx_size");
	if (!err)
		err = round_ring(&o->tx_size, "tx_size");
	if (!err)
		err = round_ring(&o->fill_size, "fill_size");
	if (!err)
		err = round_ring(&o->comp_size, "comp_size");
	if (err)
		return err;
	if (o->mode > SXSK_MODE_ZEROCOPY)
		return sxsk_priv_fail(EINVAL, "mode is %u: use auto, copy or zero-copy", o->mode);
	if (o->flags & ~known)
		return sxsk_priv_fail(EINVAL, "flags is 0x%x: 0x%x is not supported", o->flags,
				      o->flags & ~known);
	if ((o->flags & SXSK_SOCKET_NO_RX) && (o->flags & SXSK_SOCKET_NO_TX))
		return sxsk_priv_fail(EINVAL, "NO_RX and NO_TX together leave nothing to do");
	if (o->flags & SXSK_SOCKET_NO_RX && o->frame_quota)
		return sxsk_priv_fail(
			EINVAL, "frame_quota is %u: with SXSK_SOCKET_NO_RX no frame is filled",
			o->frame_quota);
	err = sxsk_priv_metadata_options(o);
	if (!err)
		err = check_steering(o);
	return err ? err : sxsk_priv_busy_poll_check(o);
}
