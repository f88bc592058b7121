/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Onto an interface: by a bpf_link, which the kernel takes off when its last descriptor is closed, SIGKILL
 * included; and what is there already.
 *
 * Only libbpf's thin wrappers of bpf(2) and its link query are used: they print nothing, so the
 * process-wide libbpf_set_print() stays the application's.
 */
#include "dispatcher.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <string.h>
#include <unistd.h>

/* ---- attaching ---------------------------------------------------------------------------------- */

static int link_create(int prog_fd, uint32_t ifindex, uint32_t attach)
{
	struct bpf_link_create_opts opts = {
		.sz = sizeof(opts),
		.flags = attach == SXSK_ATTACH_NATIVE ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE,
	};

	return bpf_link_create(prog_fd, (int)ifindex, BPF_XDP, &opts);
}

bool sxsk_priv_native_refused(int err)
{
	return err < 0 && err != -EBUSY && err != -EEXIST && err != -EPERM && err != -ENODEV &&
	       err != -ENOMEM && err != -EMFILE && err != -ENFILE;
}

/* The link's descriptor or -errno; *attach becomes what is in force. */
static int program_attach(int prog_fd, uint32_t ifindex, uint32_t *attach)
{
	const bool automatic = *attach == SXSK_ATTACH_AUTO;
	int fd;

	if (automatic)
		*attach = SXSK_ATTACH_NATIVE;
	fd = link_create(prog_fd, ifindex, *attach);
	if (automatic && sxsk_priv_native_refused(fd)) {
		*attach = SXSK_ATTACH_SKB;
		fd = link_create(prog_fd, ifindex, *attach);
	}
	return fd;
}

int sxsk_priv_load_error(int err, const char *what)
{
	if (err == EPERM)
		return sxsk_priv_fail(
			err,
			"may not %s: it needs CAP_BPF and CAP_NET_ADMIN (or root); open "
			"with SXSK_STEER_NONE to do without a program",
			what);
	return sxsk_priv_fail(err, "cannot %s: %s", what, strerror(err));
}

int sxsk_priv_attach_error(int err, const char *ifname, uint32_t attach)
{
	switch (err) {
	case EPERM:
		return sxsk_priv_load_error(err, "attach the XDP program");
	case ENODEV:
		return sxsk_priv_fail(err, "interface %s is gone", ifname);
	case ENOSPC:
		return sxsk_priv_fail(
			err,
			"%s refuses a native XDP program, it has too few queues (a veth "
			"needs as many RX queues as its peer has TX queues): add queues or "
			"use SXSK_ATTACH_SKB",
			ifname);
	case ERANGE:
		return sxsk_priv_fail(
			err,
			"%s refuses a native XDP program at this MTU: lower the MTU or use "
			"SXSK_ATTACH_SKB",
			ifname);
	case EOPNOTSUPP:
	case EINVAL:
		if (attach == SXSK_ATTACH_NATIVE)
			return sxsk_priv_fail(
				EOPNOTSUPP,
				"the driver of %s has no native XDP: use SXSK_ATTACH_AUTO "
				"or SXSK_ATTACH_SKB",
				ifname);
	}
	return sxsk_priv_fail(err, "cannot attach the XDP program to %s (%s): %s", ifname,
			      sxsk_attach_name(attach), strerror(err));
}

/* ---- what is on the interface already ------------------------------------------------------------- */

int64_t sxsk_priv_attached_id(uint32_t ifindex, const char *ifname)
{
	struct bpf_xdp_query_opts opts = { .sz = sizeof(opts) };
	const int err = bpf_xdp_query((int)ifindex, 0, &opts);

	if (err)
		return sxsk_priv_fail(-err, "cannot ask which XDP program %s has: %s", ifname,
				      strerror(-err));
	if (opts.prog_id)
		return opts.prog_id;
	if (opts.drv_prog_id)
		return opts.drv_prog_id;
	return opts.skb_prog_id ? opts.skb_prog_id : opts.hw_prog_id;
}

static struct bpf_prog_info program_info(int fd)
{
	struct bpf_prog_info info = { 0 };
	uint32_t len = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		memset(&info, 0, sizeof(info));
	return info;
}

void sxsk_priv_program_known(struct sxsk_priv_prog *prog)
{
	const struct bpf_prog_info info =
		program_info(prog->entry_fd >= 0 ? prog->entry_fd : prog->prog_fd);

	prog->id = info.id;
	memcpy(prog->name, info.name, sizeof(prog->name));
}

/* Somebody else's program: say whose. -EAGAIN: another process's of the same name, perhaps a killed
 * one's that goes in a moment; or one that went since we looked. */
int sxsk_priv_occupied(uint32_t id, const char *ifname, const char *name)
{
	const int fd = bpf_prog_get_fd_by_id(id);
	const struct bpf_prog_info info = program_info(fd);

	if (fd >= 0)
		close(fd);
	if (fd != -EPERM && (!info.id || strcmp(info.name, name) == 0)) {
		sxsk_priv_fail(
			EBUSY,
			"another process has its XDP program \"%s\" on %s (id %u, see `bpftool "
			"link`): end that process, or serve all queues from one",
			name, ifname, id);
		return -EAGAIN;
	}
	if (strcmp(info.name, "xdp_dispatcher") == 0)
		return sxsk_priv_fail(
			EBUSY,
			"%s has libxdp's dispatcher (id %u, see `xdp-loader status`): "
			"open with SXSK_ATTACH_DISPATCHER to be in there too",
			ifname, id);
	return sxsk_priv_fail(
		EBUSY,
		"%s has another XDP program attached (id %u%s%s): take it off with `ip "
		"link set dev %s xdp off`, or end the program that holds it",
		ifname, id, info.name[0] ? ", " : "", info.name, ifname);
}

/* ---- on and off ------------------------------------------------------------------------------------- */

int sxsk_priv_prog_attach(struct sxsk_priv_prog *prog, uint32_t ifindex, const char *ifname,
			  uint32_t attach)
{
	int64_t id;
	int fd;

	strncpy(prog->ifname, ifname, sizeof(prog->ifname) - 1);
	if (attach == SXSK_ATTACH_DISPATCHER) {
		prog->attach = attach;
		return sxsk_priv_dispatcher_enter(prog, ifindex);
	}
	fd = program_attach(prog->prog_fd, ifindex, &attach);
	if (fd >= 0) {
		prog->link_fd = fd;
		prog->attach = attach;
		return 0;
	}
	if (fd != -EBUSY && fd != -EEXIST)
		return sxsk_priv_attach_error(-fd, ifname, attach);
	/* Somebody came between our look and our attach; or a device above or below has one. */
	id = sxsk_priv_attached_id(ifindex, ifname);
	return id > 0 ? sxsk_priv_occupied((uint32_t)id, ifname, prog->name) :
			sxsk_priv_attach_error(-fd, ifname, attach);
}

void sxsk_priv_prog_detach(struct sxsk_priv_prog *prog)
{
	if (prog->entry_fd >= 0)
		sxsk_priv_dispatcher_leave(prog);
	if (prog->link_fd < 0)
		return;
	/* Also when some process was forked without running our handlers. */
	bpf_link_detach(prog->link_fd);
	close(prog->link_fd);
	prog->link_fd = -1;
}
