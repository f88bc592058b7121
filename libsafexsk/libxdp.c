/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The dispatcher by libxdp's calls, each function in a thread of its own, see dispatcher.c. What libxdp and
 * libbpf have to say goes where the application's libxdp_set_print() and libbpf_set_print() send it, stderr
 * by default.
 */
#include "dispatcher.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <xdp/libxdp.h>
#include <xdp/prog_dispatcher.h>

/* After the others, which by libxdp's default have 50: they see the packets that come to our sockets. */
#define PRIORITY 100
/* While others take out what we see. */
#define TRIES 10u

/* ---- what is on the interface ------------------------------------------------------------------------ */

static bool has(const struct xdp_multiprog *there, uint32_t id)
{
	const struct xdp_program *p = NULL;

	while ((p = xdp_multiprog__next_prog(p, there)))
		if (xdp_program__id(p) == id)
			return true;
	return false;
}

/* NULL: no dispatcher that can be read. */
static struct xdp_multiprog *dispatcher_of(uint32_t ifindex)
{
	struct xdp_multiprog *there = xdp_multiprog__get_from_ifindex((int)ifindex);

	if (libxdp_get_error(there))
		return NULL;
	if (!xdp_multiprog__is_legacy(there))
		return there;
	xdp_multiprog__close(there);
	return NULL;
}

/* What killed processes left: how many went, or -errno. */
static int take_stale_out(const struct xdp_multiprog *there, uint32_t ifindex)
{
	struct xdp_program *stale[MAX_DISPATCHER_ACTIONS], *p = NULL;
	unsigned n = 0;
	int err;

	while (n < MAX_DISPATCHER_ACTIONS && (p = xdp_multiprog__next_prog(p, there)))
		if (sxsk_priv_dispatcher_stale(xdp_program__name(p)))
			stale[n++] = p;
	if (!n)
		return 0;
	err = xdp_program__detach_multi(stale, n, (int)ifindex, xdp_multiprog__attach_mode(there),
					0);
	/* Somebody else did it. */
	return err && err != -ENOENT ? err : (int)n;
}

static int occupied(uint32_t id, const char *ifname)
{
	int err = sxsk_priv_occupied(id, ifname, PROGRAM_NAME);

	return err == -EAGAIN ?
		       err :
		       sxsk_priv_fail(
			       EBUSY,
			       "%s has an XDP program (id %u) that is in no dispatcher of "
			       "libxdp, or whose pins are not under /sys/fs/bpf here: take it "
			       "off, and attach it with `xdp-loader load`",
			       ifname, id);
}

static int enter_error(int err, const char *ifname)
{
	switch (err) {
	case E2BIG:
		return sxsk_priv_fail(
			EBUSY,
			"the dispatcher of %s has no place left, of %d: end a program that holds one",
			ifname, MAX_DISPATCHER_ACTIONS);
	case EBUSY:
	case EEXIST:
		return sxsk_priv_fail(
			EBUSY, "the XDP programs of %s change all the time: try again", ifname);
	case ENOENT:
		return sxsk_priv_fail(
			EOPNOTSUPP,
			"libxdp does not find its dispatcher, xdp-dispatcher.o: install libxdp "
			"whole, or say in LIBXDP_OBJECT_PATH where it is");
	}
	return sxsk_priv_attach_error(err, ifname, SXSK_ATTACH_DISPATCHER);
}

/* How the dispatcher is attached, XDP_MODE_UNSPEC: there is none; or -errno. */
static int make_way(uint32_t ifindex, const char *ifname)
{
	for (unsigned tries = 0; tries < TRIES; tries++) {
		const int64_t id = sxsk_priv_attached_id(ifindex, ifname);
		struct xdp_multiprog *there;
		int mode, n;

		if (id <= 0)
			return id ? (int)id : XDP_MODE_UNSPEC;
		there = dispatcher_of(ifindex);
		if (!there)
			return occupied((uint32_t)id, ifname);
		mode = (int)xdp_multiprog__attach_mode(there);
		n = take_stale_out(there, ifindex);
		xdp_multiprog__close(there);
		if (n == 0)
			return mode;
		if (n < 0)
			return sxsk_priv_fail(-n,
					      "cannot take a killed process's program out of the "
					      "dispatcher of %s: %s",
					      ifname, strerror(-n));
	}
	return enter_error(EBUSY, ifname);
}

/* ---- entries ---------------------------------------------------------------------------------------- */

static int take_out(int entry_fd, uint32_t ifindex)
{
	struct xdp_program *entry = xdp_program__from_fd(entry_fd);
	struct xdp_multiprog *there;
	int err = (int)libxdp_get_error(entry);

	if (err)
		return err;
	there = dispatcher_of(ifindex);
	if (there && has(there, xdp_program__id(entry)))
		err = xdp_program__detach(entry, (int)ifindex, xdp_multiprog__attach_mode(there),
					  0);
	xdp_multiprog__close(there);
	xdp_program__close(entry);
	return err;
}

/* Where libxdp finds that it can make no dispatcher, it attaches a program without. */
static int check_entered(const struct sxsk_priv_job *j, struct xdp_program *entry,
			 enum xdp_attach_mode mode)
{
	struct xdp_multiprog *there = dispatcher_of(j->ifindex);
	const bool entered = there && has(there, xdp_program__id(entry));

	xdp_multiprog__close(there);
	if (entered)
		return 0;
	(void)xdp_program__detach(entry, (int)j->ifindex, mode, 0);
	return sxsk_priv_fail(
		EOPNOTSUPP,
		"libxdp makes no dispatcher on %s: it needs the BPF file system (mount -t bpf bpf "
		"/sys/fs/bpf), and LIBXDP_SKIP_DISPATCHER not to be set",
		j->ifname);
}

/* 0 or -errno, without a sentence. */
static int attach_as(const struct sxsk_priv_job *j, struct xdp_program *entry,
		     enum xdp_attach_mode mode)
{
	int err = xdp_program__set_run_prio(entry, PRIORITY);

	if (!err && j->frags)
		err = xdp_program__set_xdp_frags_support(entry, true);
	return err ? err : xdp_program__attach(entry, (int)j->ifindex, mode, 0);
}

static int put_object_in(struct sxsk_priv_job *j, struct bpf_object *object,
			 enum xdp_attach_mode mode, bool *ret_again)
{
	struct xdp_program *entry = xdp_program__from_bpf_obj(object, NULL);
	int err = (int)libxdp_get_error(entry);

	if (err)
		return enter_error(-err, j->ifname);
	err = attach_as(j, entry, mode);
	*ret_again = sxsk_priv_native_refused(err);
	err = err ? enter_error(-err, j->ifname) : check_entered(j, entry, mode);
	j->id = xdp_program__id(entry);
	xdp_program__close(entry);
	return err;
}

/* Sets j->id. */
static int put_in(struct sxsk_priv_job *j, enum xdp_attach_mode mode)
{
	const bool automatic = mode == XDP_MODE_UNSPEC;
	struct bpf_object *object;
	struct sxsk_priv_code c;
	bool again = false;
	int err = sxsk_priv_code_make(&c, j->frags, j->prog->map_fd, j->from);

	if (err)
		return err;
	err = sxsk_priv_entry_open(&object, j->name, c.insn, c.n);
	sxsk_priv_code_free(&c);
	if (err)
		return err;
	err = put_object_in(j, object, automatic ? XDP_MODE_NATIVE : mode, &again);
	bpf_object__close(object);
	return automatic && again ? put_in(j, XDP_MODE_SKB) : err;
}

int sxsk_priv_libxdp_enter(struct sxsk_priv_job *j)
{
	const int mode = make_way(j->ifindex, j->ifname);

	return mode < 0 ? mode : put_in(j, (enum xdp_attach_mode)mode);
}

/* Both are in there for a moment, the old one first. */
int sxsk_priv_libxdp_replace(struct sxsk_priv_job *j)
{
	struct xdp_multiprog *there = dispatcher_of(j->ifindex);
	const bool found = there && has(there, j->prog->id);
	const enum xdp_attach_mode mode = xdp_multiprog__attach_mode(there);
	int err, fd;

	xdp_multiprog__close(there);
	if (!found)
		return sxsk_priv_fail(ENODEV,
				      "the XDP program is no longer in the dispatcher of %s: the "
				      "interface is gone, or somebody took it off",
				      j->ifname);
	err = put_in(j, mode);
	if (err)
		return err;
	err = take_out(j->prog->entry_fd, j->ifindex);
	if (!err)
		return 0;
	fd = bpf_prog_get_fd_by_id(j->id);
	(void)take_out(fd, j->ifindex);
	close(fd);
	return sxsk_priv_fail(-err, "cannot take the old program out of the dispatcher of %s: %s",
			      j->ifname, strerror(-err));
}

int sxsk_priv_libxdp_leave(struct sxsk_priv_job *j)
{
	return take_out(j->prog->entry_fd, j->ifindex);
}

int sxsk_priv_libxdp_look(struct sxsk_priv_job *j)
{
	struct xdp_multiprog *there = dispatcher_of(j->ifindex);
	const bool found = there && has(there, j->id);

	xdp_multiprog__close(there);
	return found;
}
