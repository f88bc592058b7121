/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A program of ours beside others', by libxdp's dispatcher:
 *
 *     interface -- xdp_dispatcher --+-- prog0 = somebody's
 *                                   +-- prog1 = safexsk0000002a
 *
 * libxdp makes a new dispatcher for each program that comes or goes, puts it in the old one's place in one
 * step, and pins all of it under /sys/fs/bpf/xdp; no descriptor holds it, so a killed process's entry
 * stays. It harms nobody: its XSKMAP is empty, and all packets pass. Whose it is tells its name: the number
 * is the id of a map that the owner has open and nobody else, so where there is no such map there is no owner.
 * The next to come takes such entries out.
 *
 * In there a program cannot be replaced: a new one is put beside the old, then that is taken out.
 *
 * libxdp leaves descriptors open (1.3.1: one of the dispatcher per look), so its calls, in libxdp.c, are made
 * by a thread that has a table of descriptors of its own, and then ends.
 */
#include "dispatcher.h"
#include "netns.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define OWNER_NAME "safexsk_owner"

/* ---- owners ----------------------------------------------------------------------------------------- */

static int map_info(int fd, struct bpf_map_info *ret_info)
{
	uint32_t len = sizeof(*ret_info);

	memset(ret_info, 0, sizeof(*ret_info));
	return bpf_obj_get_info_by_fd(fd, ret_info, &len);
}

/* The map that says that we are there; name is what the entry is called. */
static int own(struct sxsk_priv_prog *prog, char ret_name[static BPF_OBJ_NAME_LEN])
{
	struct bpf_map_info info;
	int err = 0;

	prog->owner_fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, OWNER_NAME, 4, 4, 1, NULL);
	if (prog->owner_fd < 0)
		err = prog->owner_fd;
	else
		err = map_info(prog->owner_fd, &info);
	if (err)
		return sxsk_priv_load_error(-err, "create a map to be known by");
	(void)snprintf(ret_name, BPF_OBJ_NAME_LEN, PROGRAM_NAME "%08x", info.id);
	return 0;
}

bool sxsk_priv_dispatcher_stale(const char *name)
{
	unsigned owner;
	int end = 0, fd;
	bool stale;
	struct bpf_map_info info;

	if (sscanf(name, PROGRAM_NAME "%8x%n", &owner, &end) != 1 ||
	    strlen(name) != sizeof(PROGRAM_NAME) - 1 + 8 || name[end])
		return false;
	fd = bpf_map_get_fd_by_id(owner);
	if (fd < 0)
		return fd == -ENOENT;
	stale = !map_info(fd, &info) && strcmp(info.name, OWNER_NAME) != 0;
	close(fd);
	return stale;
}

/* ---- libxdp's thread -------------------------------------------------------------------------------- */

static void *job_thread(void *arg)
{
	struct sxsk_priv_job *j = arg;
	/* Where that is forbidden it works all the same, and leaves what it leaves. */
	const bool own_table = unshare(CLONE_FILES) == 0;

	if (j->netns_fd >= 0 && setns(j->netns_fd, CLONE_NEWNET))
		j->err = sxsk_priv_fail(errno, "cannot enter the network namespace of %s: %s",
					j->ifname, strerror(errno));
	else
		j->err = j->run(j);
	if (j->err < 0)
		(void)snprintf(j->sentence, sizeof(j->sentence), "%s", sxsk_last_error());
	/* A join does not wait for the table to go, and copies keep sockets alive (Linux 5.9). */
	if (own_table)
		(void)syscall(SYS_close_range, 0u, ~0u, 0u);
	return NULL;
}

/* What run() says, with its sentence. No signal handler of the application's runs in there. */
static int do_job(struct sxsk_priv_job *j)
{
	sigset_t all, before;
	pthread_t thread;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&thread, NULL, job_thread, j);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (err)
		return sxsk_priv_fail(ENOMEM, "no thread to call libxdp in: %s", strerror(err));
	pthread_join(thread, NULL);
	return j->err < 0 ? sxsk_priv_fail(-j->err, "%s", j->sentence) : j->err;
}

static struct sxsk_priv_job job_for(int (*run)(struct sxsk_priv_job *j),
				    struct sxsk_priv_prog *prog)
{
	return (struct sxsk_priv_job){ .run = run,
				       .prog = prog,
				       .from = &prog->from,
				       .netns_fd = prog->netns_fd,
				       .ifindex = prog->ifindex,
				       .ifname = prog->ifname };
}

/* ---- in and out ------------------------------------------------------------------------------------- */

static void forget(struct sxsk_priv_prog *prog)
{
	int *const fds[] = { &prog->entry_fd, &prog->owner_fd, &prog->netns_fd };

	for (unsigned i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
}

/* The entry's program is held from now on. */
static int hold(struct sxsk_priv_prog *prog, uint32_t id)
{
	const int fd = bpf_prog_get_fd_by_id(id);

	if (fd < 0)
		return sxsk_priv_fail(-fd, "the XDP program went from the dispatcher of %s: %s",
				      prog->ifname, strerror(-fd));
	if (prog->entry_fd >= 0)
		close(prog->entry_fd);
	prog->entry_fd = fd;
	return 0;
}

int sxsk_priv_dispatcher_enter(struct sxsk_priv_prog *prog, uint32_t ifindex)
{
	struct sxsk_priv_job j;
	int err;

	prog->ifindex = ifindex;
	j = job_for(sxsk_priv_libxdp_enter, prog);
	err = sxsk_priv_entry_possible(&j.frags);
	if (!err)
		err = own(prog, j.name);
	if (!err)
		err = prog->netns_fd = sxsk_priv_netns_here();
	if (err >= 0)
		err = do_job(&j);
	if (!err)
		err = hold(prog, j.id);
	if (err)
		forget(prog);
	else
		sxsk_priv_program_known(prog);
	return err;
}

int sxsk_priv_dispatcher_replace(struct sxsk_priv_prog *prog, const struct sxsk_priv_source *to)
{
	struct sxsk_priv_job j = job_for(sxsk_priv_libxdp_replace, prog);
	int err = sxsk_priv_entry_possible(&j.frags);

	j.from = to;
	memcpy(j.name, prog->name, sizeof(j.name));
	if (!err)
		err = do_job(&j);
	return err ? err : hold(prog, j.id);
}

/* Who has no right to take it out any more leaves what a killed process leaves. */
void sxsk_priv_dispatcher_leave(struct sxsk_priv_prog *prog)
{
	struct sxsk_priv_job j = job_for(sxsk_priv_libxdp_leave, prog);

	(void)do_job(&j);
	forget(prog);
	sxsk_priv_program_known(prog);
}

bool sxsk_priv_dispatcher_has(uint32_t ifindex, uint32_t id)
{
	struct sxsk_priv_job j = { .run = sxsk_priv_libxdp_look,
				   .netns_fd = -1,
				   .ifindex = ifindex,
				   .ifname = "",
				   .id = id };

	return do_job(&j) > 0;
}
