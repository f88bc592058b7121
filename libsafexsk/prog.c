/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The library's own XDP program: one per interface, shared by this process's sockets on it.
 *
 *     return bpf_redirect_map(&xskmap, ctx->rx_queue_index, XDP_PASS);
 *
 * so a queue without a socket goes on to the kernel's stack. It is held by a bpf_link, which the
 * kernel takes off when its last descriptor is closed, SIGKILL included; nothing is pinned.
 *
 * Whether a program of ours is (still) on an interface is asked of the kernel each time, by program
 * id: ids are never ambiguous, while an interface's name and index are, across namespaces and after
 * a removal.
 *
 * Only libbpf's thin wrappers of bpf(2) and its link query are used: they print nothing, so the
 * process-wide libbpf_set_print() stays the application's.
 */
#include "internal.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PROGRAM_NAME "safexsk"
/* Entries of the XSKMAP: as many queues as the kernel lets an interface be created with; 32 KiB. */
#define XSKMAP_ENTRIES 4096u
/* After a SIGKILL the kernel takes the dead process's link off a little later. */
#define LEFTOVER_WAIT_MS 2000
#define LEFTOVER_STEP_MS 5

struct sxsk_prog {
	struct sxsk_prog *next;
	uint32_t refs;
	uint32_t id;     /* the kernel's program id */
	uint32_t attach; /* in force: SXSK_ATTACH_NATIVE or _SKB */
	int map_fd;
	int link_fd;
	int owner[XSKMAP_ENTRIES]; /* descriptor of the socket entered per queue, -1 = none */
};

/* Under the registry's lock. A forked child starts with an empty list. */
static struct {
	struct sxsk_prog *first;
	pid_t pid;       /* whose list it is */
	bool fork_aware; /* fork handlers are registered */
} programs;

static __thread bool fork_locked; /* this thread forks, and holds the lock */

static const char *attach_name(uint32_t attach)
{
	return attach == SXSK_ATTACH_NATIVE ? "native" : "SKB";
}

/* ---- loading and attaching ---------------------------------------------------------------------- */

static int program_load(int map_fd)
{
	const struct bpf_insn code[] = {
		/* r2 = ctx->rx_queue_index */
		{ .code = BPF_LDX | BPF_MEM | BPF_W,
		  .dst_reg = BPF_REG_2,
		  .src_reg = BPF_REG_1,
		  .off = offsetof(struct xdp_md, rx_queue_index) },
		/* r1 = the map, two instructions */
		{ .code = BPF_LD | BPF_DW | BPF_IMM,
		  .dst_reg = BPF_REG_1,
		  .src_reg = BPF_PSEUDO_MAP_FD,
		  .imm = map_fd },
		{ .code = 0 },
		/* r3 = what to return for an empty entry (Linux 5.3) */
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_3, .imm = XDP_PASS },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_redirect_map },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	struct bpf_prog_load_opts opts = { .sz = sizeof(opts), .prog_flags = BPF_F_XDP_HAS_FRAGS };
	const size_t n = sizeof(code) / sizeof(code[0]);
	int fd;

	fd = bpf_prog_load(BPF_PROG_TYPE_XDP, PROGRAM_NAME, "Dual BSD/GPL", code, n, &opts);
	if (fd != -EINVAL)
		return fd;
	/* Before 5.18: no multi-buffer packets. */
	opts.prog_flags = 0;
	return bpf_prog_load(BPF_PROG_TYPE_XDP, PROGRAM_NAME, "Dual BSD/GPL", code, n, &opts);
}

static int link_create(int prog_fd, uint32_t ifindex, uint32_t attach)
{
	struct bpf_link_create_opts opts = {
		.sz = sizeof(opts),
		.flags = attach == SXSK_ATTACH_NATIVE ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE,
	};

	return bpf_link_create(prog_fd, (int)ifindex, BPF_XDP, &opts);
}

/* Does this error mean that the driver cannot, as opposed to that nobody may? */
static bool native_refused(int err)
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
	if (automatic && native_refused(fd)) {
		*attach = SXSK_ATTACH_SKB;
		fd = link_create(prog_fd, ifindex, *attach);
	}
	return fd;
}

static int load_error(int err, const char *what)
{
	if (err == EPERM)
		return sxsk_priv_fail(
			err,
			"may not %s: it needs CAP_BPF and CAP_NET_ADMIN (or root); open "
			"with SXSK_STEER_NONE to do without a program",
			what);
	return sxsk_priv_fail(err, "cannot %s: %s", what, strerror(err));
}

static int attach_error(int err, const char *ifname, uint32_t attach)
{
	const char *name = attach_name(attach);

	switch (err) {
	case EPERM:
		return load_error(err, "attach the XDP program");
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
	return sxsk_priv_fail(err, "cannot attach the XDP program to %s (%s): %s", ifname, name,
			      strerror(err));
}

/* ---- what is on the interface already ------------------------------------------------------------- */

/* Id of the program on the interface, 0 = none; -errno. */
static int64_t attached_id(uint32_t ifindex)
{
	struct bpf_xdp_query_opts opts = { .sz = sizeof(opts) };
	const int err = bpf_xdp_query((int)ifindex, 0, &opts);

	if (err)
		return err;
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

/* Somebody else's program: say whose. -EAGAIN: another process's of this library, perhaps a killed
 * one's that goes in a moment; or one that went since we looked. */
static int occupied(uint32_t id, const char *ifname)
{
	const int fd = bpf_prog_get_fd_by_id(id);
	const struct bpf_prog_info info = program_info(fd);

	if (fd >= 0)
		close(fd);
	if (fd == -ENOENT || strcmp(info.name, PROGRAM_NAME) == 0) {
		sxsk_priv_fail(
			EBUSY,
			"another process using libsafexsk has its XDP program on %s (id %u, see "
			"`bpftool link`): end that process, or serve all queues from one",
			ifname, id);
		return -EAGAIN;
	}
	return sxsk_priv_fail(
		EBUSY,
		"%s has another XDP program attached (id %u%s%s): take it off with `ip "
		"link set dev %s xdp off`, or end the program that holds it",
		ifname, id, info.name[0] ? ", " : "", info.name, ifname);
}

/* ---- get and put ------------------------------------------------------------------------------------ */

static void program_free(struct sxsk_prog *prog)
{
	if (prog->link_fd >= 0)
		close(prog->link_fd);
	if (prog->map_fd >= 0)
		close(prog->map_fd);
	free(prog);
}

/* A child's copies of the links would keep the programs on their interfaces after this process. So
 * the child closes them, unless some thread was in the middle of an open at the fork: waiting for
 * it could deadlock a thread that forks while it is in here. */
static void before_fork(void)
{
	fork_locked = pthread_mutex_trylock(&sxsk_priv_registry.lock) == 0;
}

static void after_fork_in_parent(void)
{
	if (fork_locked)
		pthread_mutex_unlock(&sxsk_priv_registry.lock);
}

static void after_fork_in_child(void)
{
	struct sxsk_prog *prog = fork_locked ? programs.first : NULL, *next;

	for (; prog; prog = next) {
		next = prog->next;
		program_free(prog);
	}
	programs.first = NULL;
}

/* The list is this process's own, and a forked child's will be. */
static void programs_init(void)
{
	if (programs.pid != getpid()) /* a child made without the handlers */
		programs.first = NULL;
	programs.pid = getpid();
	if (!programs.fork_aware)
		programs.fork_aware =
			pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child) == 0;
}

/* Map, program, link. */
static int program_setup(struct sxsk_prog *prog, uint32_t ifindex, const char *ifname)
{
	int64_t id;
	int fd;

	prog->map_fd = bpf_map_create(BPF_MAP_TYPE_XSKMAP, PROGRAM_NAME, sizeof(uint32_t),
				      sizeof(uint32_t), XSKMAP_ENTRIES, NULL);
	if (prog->map_fd < 0)
		return load_error(-prog->map_fd, "create the XSKMAP");
	fd = program_load(prog->map_fd);
	if (fd < 0)
		return load_error(-fd, "load the XDP program");
	prog->id = program_info(fd).id;
	prog->link_fd = program_attach(fd, ifindex, &prog->attach);
	close(fd);
	if (prog->link_fd >= 0)
		return 0;
	if (prog->link_fd != -EBUSY && prog->link_fd != -EEXIST)
		return attach_error(-prog->link_fd, ifname, prog->attach);
	/* Somebody came between our look and our attach; or a device above or below has one. */
	id = attached_id(ifindex);
	return id > 0 ? occupied((uint32_t)id, ifname) :
			attach_error(-prog->link_fd, ifname, prog->attach);
}

static int program_create(uint32_t ifindex, const char *ifname, uint32_t attach,
			  struct sxsk_prog **ret_prog)
{
	struct sxsk_prog *prog = calloc(1, sizeof(*prog));
	int err;

	if (!prog)
		return sxsk_priv_fail(ENOMEM, "no memory for the XDP program's record");
	prog->attach = attach;
	prog->refs = 1;
	prog->map_fd = prog->link_fd = -1;
	for (uint32_t i = 0; i < XSKMAP_ENTRIES; i++)
		prog->owner[i] = -1;
	err = program_setup(prog, ifindex, ifname);
	if (err) {
		program_free(prog);
		return err;
	}
	prog->next = programs.first;
	programs.first = prog;
	*ret_prog = prog;
	return 0;
}

static int program_share(struct sxsk_prog *prog, const char *ifname, uint32_t attach)
{
	if (attach != SXSK_ATTACH_AUTO && attach != prog->attach)
		return sxsk_priv_fail(
			EBUSY,
			"another socket of this process attached the XDP program to %s as "
			"%s: ask for SXSK_ATTACH_AUTO or the same for all its sockets",
			ifname, attach_name(prog->attach));
	prog->refs++;
	return 0;
}

static int program_find(uint32_t ifindex, const char *ifname, uint32_t attach,
			struct sxsk_prog **ret_prog)
{
	const int64_t id = attached_id(ifindex);

	programs_init();
	if (id < 0)
		return sxsk_priv_fail((int)-id, "cannot ask which XDP program %s has: %s", ifname,
				      strerror((int)-id));
	if (!id)
		return program_create(ifindex, ifname, attach, ret_prog);
	for (struct sxsk_prog *prog = programs.first; prog; prog = prog->next) {
		if (prog->id == (uint32_t)id) {
			*ret_prog = prog;
			return program_share(prog, ifname, attach);
		}
	}
	return occupied((uint32_t)id, ifname);
}

struct sxsk_prog *sxsk_priv_prog_get(uint32_t ifindex, const char *ifname, uint32_t attach,
				     uint32_t *ret_attach)
{
	const struct timespec step = { .tv_nsec = LEFTOVER_STEP_MS * 1000000L };
	struct sxsk_prog *prog = NULL;
	int err = -EAGAIN;

	if (attach > SXSK_ATTACH_SKB) {
		sxsk_priv_fail(
			EOPNOTSUPP,
			"the library's own program attaches as SXSK_ATTACH_AUTO, _NATIVE or _SKB");
		errno = EOPNOTSUPP;
		return NULL;
	}
	/* The lock is not held while waiting: other sockets come and go meanwhile. */
	for (int ms = 0; err == -EAGAIN && ms < LEFTOVER_WAIT_MS; ms += LEFTOVER_STEP_MS) {
		if (ms)
			nanosleep(&step, NULL);
		pthread_mutex_lock(&sxsk_priv_registry.lock);
		err = program_find(ifindex, ifname, attach, &prog);
		pthread_mutex_unlock(&sxsk_priv_registry.lock);
	}
	if (err) {
		errno = err == -EAGAIN ? EBUSY : -err;
		return NULL;
	}
	*ret_attach = prog->attach;
	return prog;
}

void sxsk_priv_prog_put(struct sxsk_prog *prog)
{
	struct sxsk_prog **p = &programs.first;

	if (!prog)
		return;
	pthread_mutex_lock(&sxsk_priv_registry.lock);
	if (--prog->refs == 0) {
		while (*p && *p != prog)
			p = &(*p)->next;
		if (*p)
			*p = prog->next;
		/* Also when some process was forked without running our handlers. */
		bpf_link_detach(prog->link_fd);
		program_free(prog);
	}
	pthread_mutex_unlock(&sxsk_priv_registry.lock);
}

/* ---- the XSKMAP --------------------------------------------------------------------------------------- */

int sxsk_priv_prog_enter(struct sxsk_prog *prog, uint32_t queue, int fd)
{
	int err;

	if (queue >= XSKMAP_ENTRIES)
		return sxsk_priv_fail(EINVAL, "queue %u: the XSKMAP has queues 0 to %u only", queue,
				      XSKMAP_ENTRIES - 1);
	pthread_mutex_lock(&sxsk_priv_registry.lock);
	/* NOEXIST: success means that the entry is this socket's and that nobody's was replaced. An
	 * XSKMAP cannot be read back. */
	err = bpf_map_update_elem(prog->map_fd, &queue, &fd, BPF_NOEXIST);
	if (!err)
		prog->owner[queue] = fd;
	pthread_mutex_unlock(&sxsk_priv_registry.lock);
	if (!err)
		return 0;
	if (err == -EEXIST)
		return sxsk_priv_fail(
			EBUSY,
			"another socket of this process gets the packets of queue %u: close "
			"it first",
			queue);
	return sxsk_priv_fail(-err, "cannot enter queue %u in the XSKMAP: %s", queue,
			      strerror(-err));
}

void sxsk_priv_prog_leave(struct sxsk_prog *prog, uint32_t queue, int fd)
{
	if (queue >= XSKMAP_ENTRIES)
		return;
	pthread_mutex_lock(&sxsk_priv_registry.lock);
	if (prog->owner[queue] == fd) {
		prog->owner[queue] = -1;
		/* Can only fail when the entry is gone: the interface was removed. */
		bpf_map_delete_elem(prog->map_fd, &queue);
	}
	pthread_mutex_unlock(&sxsk_priv_registry.lock);
}
