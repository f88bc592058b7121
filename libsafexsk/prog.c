/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Programs and their XSKMAPs. The library's own for SXSK_STEER_ALL is one per interface, shared by this
 * process's sockets on it; one of sxsk_prog_create() goes where its sockets are. Either ends with
 *
 *     return bpf_redirect_map(&xskmap, target * 4096 + ctx->rx_queue_index, XDP_PASS);
 *
 * so a queue without a socket goes on to the kernel's stack.
 *
 * Whether a program of ours is (still) on an interface is asked of the kernel each time, by program
 * id: ids are never ambiguous, while an interface's name and index are, across namespaces and after
 * a removal.
 */
#include "dispatcher.h"

#include "clock.h"
#include "netns.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define XSKMAP_ENTRIES (SXSK_MAX_TARGETS * TARGET_QUEUES) /* 512 KiB */
/* After a SIGKILL the kernel takes the dead process's link off a little later. */
#define LEFTOVER_WAIT_MS 2000
#define LEFTOVER_STEP_MS 5

/* Under the registry's lock. A forked child starts with an empty list. */
static struct {
	struct sxsk_priv_prog *first;
	uint64_t last_cookie; /* not started anew in a child: no cookie of its parent's matches there */
	uint64_t inherited; /* the highest cookie of an ancestor */
	pid_t pid;          /* whose list it is */
	bool fork_aware;    /* fork handlers are registered */
} programs;

static __thread bool fork_locked; /* this thread forks, and holds the lock */
static sigset_t lock_mask;        /* of who holds the lock by lock_to_load() */

static void lock(void)
{
	pthread_mutex_lock(&sxsk_priv_registry.lock);
}

static void unlock(void)
{
	pthread_mutex_unlock(&sxsk_priv_registry.lock);
}

/* Signals wait meanwhile: the kernel's verifier gives up (EAGAIN) when one is pending, and libbpf, which
 * tries five times, takes that for a feature that is missing when it is probing, for good: programs
 * without names, say. */
static void lock_to_load(void)
{
	sigset_t all, mask;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &mask);
	lock();
	lock_mask = mask;
}

static void unlock_loaded(void)
{
	const sigset_t mask = lock_mask;

	unlock();
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
}

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

static void program_free(struct sxsk_priv_prog *prog)
{
	close_fd(prog->link_fd);
	close_fd(prog->entry_fd);
	close_fd(prog->owner_fd);
	close_fd(prog->netns_fd);
	close_fd(prog->prog_fd);
	close_fd(prog->map_fd);
	free(prog->from.what);
	free(prog);
}

/* ---- fork ------------------------------------------------------------------------------------------- */

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
		unlock();
}

static void forget_all(void)
{
	programs.first = NULL;
	programs.inherited = programs.last_cookie;
	programs.pid = getpid();
}

static void after_fork_in_child(void)
{
	struct sxsk_priv_prog *prog = fork_locked ? programs.first : NULL, *next;

	for (; prog; prog = next) {
		next = prog->next;
		program_free(prog);
	}
	forget_all();
}

/* The list is this process's own, and a forked child's will be. */
static void programs_init(void)
{
	if (programs.pid != getpid()) /* the first call, or a child made without the handlers */
		forget_all();
	if (!programs.fork_aware)
		programs.fork_aware =
			pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child) == 0;
}

/* ---- objects ---------------------------------------------------------------------------------------- */

static int record_create(struct sxsk_priv_prog **ret_prog)
{
	struct sxsk_priv_prog *prog = calloc(1, sizeof(*prog));

	if (!prog)
		return sxsk_priv_fail(ENOMEM, "no memory for the XDP program's record");
	prog->map_fd = prog->prog_fd = prog->link_fd = -1;
	prog->entry_fd = prog->owner_fd = prog->netns_fd = -1;
	*ret_prog = prog;
	return 0;
}

static void list(struct sxsk_priv_prog *prog)
{
	prog->next = programs.first;
	programs.first = prog;
}

/* Map and program, on no interface. */
static int program_create(struct sxsk_priv_prog **ret_prog, const struct sxsk_rule rules[],
			  unsigned n)
{
	struct sxsk_priv_prog *prog = NULL;
	struct sxsk_rule *checked = NULL;
	int err = record_create(&prog);

	if (err)
		return err;
	err = sxsk_priv_rules_check(rules, n, &checked);
	if (err) {
		program_free(prog);
		return err;
	}
	prog->from = (struct sxsk_priv_source){ .generate = sxsk_priv_rules_generate,
						.what = checked,
						.n = n };
	prog->map_fd = bpf_map_create(BPF_MAP_TYPE_XSKMAP, PROGRAM_NAME, sizeof(uint32_t),
				      sizeof(uint32_t), XSKMAP_ENTRIES, NULL);
	if (prog->map_fd < 0)
		err = sxsk_priv_load_error(-prog->map_fd, "create the XSKMAP");
	if (!err)
		prog->prog_fd = sxsk_priv_code_load(prog->map_fd, &prog->from);
	if (!err && prog->prog_fd < 0)
		err = prog->prog_fd;
	if (err) {
		program_free(prog);
		return err;
	}
	sxsk_priv_program_known(prog);
	list(prog);
	*ret_prog = prog;
	return 0;
}

/* Nobody has it any more: neither an owner nor a socket. */
static void program_release(struct sxsk_priv_prog *prog)
{
	struct sxsk_priv_prog **p = &programs.first;

	if (prog->owners || prog->sockets)
		return;
	while (*p && *p != prog)
		p = &(*p)->next;
	if (*p)
		*p = prog->next;
	program_free(prog);
}

static struct sxsk_priv_prog *program_by_id(uint32_t id)
{
	struct sxsk_priv_prog *prog = programs.first;

	while (prog && prog->id != id)
		prog = prog->next;
	return prog;
}

/* Who is called with a program that is gone says so only after the lock is given back: a misuse handler
 * may do what it likes. */
static struct sxsk_priv_prog *program_of(const struct sxsk_prog *cookie)
{
	const uint64_t c = (uint64_t)(uintptr_t)cookie;
	struct sxsk_priv_prog *prog = programs.first;

	while (prog && (prog->cookie != c || !prog->owners))
		prog = prog->next;
	return c ? prog : NULL;
}

/* A parent's object in its forked child; under the lock. */
static bool is_inherited(const struct sxsk_prog *cookie)
{
	return (uint64_t)(uintptr_t)cookie <= programs.inherited;
}

static void misused(const struct sxsk_prog *cookie, bool inherited, const char *function)
{
	if (cookie && inherited)
		sxsk_priv_misuse(
			SXSK_MISUSE_FORKED, function, NULL, UINT32_MAX,
			"a program of the parent process in a forked child; make a new one here");
	else
		sxsk_priv_misuse(SXSK_MISUSE_PROG, function, NULL, UINT32_MAX,
				 cookie ? "stale program pointer %p: its last owner gave it back" :
					  "the program pointer is NULL (%p)",
				 (const void *)cookie);
}

static int program_from_object(struct sxsk_priv_prog **ret_prog, const struct sxsk_prog_opts *o)
{
	struct sxsk_priv_prog *prog = NULL;
	int err = record_create(&prog);

	if (err)
		return err;
	prog->map_of_another = true;
	err = sxsk_priv_object_load(prog, o);
	if (err) {
		program_free(prog);
		return err;
	}
	sxsk_priv_program_known(prog);
	list(prog);
	*ret_prog = prog;
	return 0;
}

int sxsk_prog_create(struct sxsk_prog **ret_prog, const struct sxsk_prog_opts *opts)
{
	struct sxsk_prog_opts o;
	struct sxsk_priv_prog *prog;
	int err;

	if (!ret_prog)
		return sxsk_priv_fail(EINVAL, "ret_prog is NULL");
	err = sxsk_priv_options(&o, sizeof(o), opts, "sxsk_prog_opts");
	if (!err && !o.object && (o.program || o.map))
		err = sxsk_priv_fail(EINVAL, "%s is given, and no object file to find it in",
				     o.program ? "program" : "map");
	if (!err)
		err = sxsk_priv_registry_init();
	if (err)
		return err;
	lock_to_load();
	programs_init();
	err = o.object ? program_from_object(&prog, &o) : program_create(&prog, NULL, 0);
	if (!err) {
		prog->owners = 1;
		prog->cookie = ++programs.last_cookie;
		*ret_prog = (struct sxsk_prog *)(uintptr_t)prog->cookie;
	}
	unlock_loaded();
	return err;
}

struct sxsk_prog *sxsk_prog_ref(struct sxsk_prog *cookie)
{
	struct sxsk_priv_prog *prog;
	bool inherited;

	if (!cookie)
		return NULL;
	lock();
	programs_init();
	prog = program_of(cookie);
	inherited = is_inherited(cookie);
	if (prog)
		prog->owners++;
	unlock();
	if (!prog)
		misused(cookie, inherited, "sxsk_prog_ref");
	return prog ? cookie : NULL;
}

void sxsk_prog_unref(struct sxsk_prog *cookie)
{
	struct sxsk_priv_prog *prog;
	bool inherited;

	if (!cookie)
		return;
	lock();
	programs_init();
	prog = program_of(cookie);
	inherited = is_inherited(cookie);
	if (prog) {
		prog->owners--;
		program_release(prog);
	}
	unlock();
	if (!prog && !inherited)
		misused(cookie, false, "sxsk_prog_unref");
}

static int link_replace(const struct sxsk_priv_prog *prog, int fd)
{
	const int err = bpf_link_update(prog->link_fd, fd, NULL);

	if (err == -ENOLINK)
		return sxsk_priv_fail(ENODEV, "interface %s is gone, and its XDP program with it",
				      prog->ifname);
	return err ? sxsk_priv_load_error(-err, "replace the XDP program") : 0;
}

/* Under the lock: the program of a new descriptor takes the place of the one before. */
static int program_replace(struct sxsk_priv_prog *prog, int fd, const struct sxsk_priv_source *to)
{
	int err = 0;

	if (prog->link_fd >= 0)
		err = link_replace(prog, fd);
	else if (prog->entry_fd >= 0)
		err = sxsk_priv_dispatcher_replace(prog, to);
	if (err) {
		close(fd);
		return err;
	}
	close(prog->prog_fd);
	prog->prog_fd = fd;
	sxsk_priv_program_known(prog);
	return 0;
}

/* From now on by a program that is made of something else; `to->what` is the prog's then. */
static int program_renew(struct sxsk_priv_prog *prog, const struct sxsk_priv_source *to)
{
	const int fd = sxsk_priv_code_load(prog->map_fd, to);
	const int err = fd < 0 ? fd : program_replace(prog, fd, to);

	if (err)
		return err;
	if (prog->from.what != to->what)
		free(prog->from.what);
	prog->from = *to;
	prog->from.ifname = prog->ifname;
	return 0;
}

/* One that asks a driver is loaded for an interface of the thread's network namespace. */
static int check_place(const struct sxsk_priv_source *to)
{
	if (!to->metadata || to->netns == sxsk_priv_netns_id())
		return 0;
	return sxsk_priv_fail(EXDEV,
			      "the program asks the driver of %s, which is in another network "
			      "namespace: steer it from a thread in there",
			      to->ifname);
}

/* By something that was checked, and allocated: it is taken, also on error. */
static int steer_by(struct sxsk_prog *cookie, sxsk_priv_generate_fn *generate, void *what,
		    unsigned n, const char *function)
{
	struct sxsk_priv_prog *prog;
	struct sxsk_priv_source to;
	bool inherited;
	int err = -EINVAL;

	lock_to_load();
	programs_init();
	prog = program_of(cookie);
	inherited = is_inherited(cookie);
	if (prog && prog->map_of_another) {
		err = sxsk_priv_fail(EOPNOTSUPP,
				     "program %s is of an object file: it decides by itself",
				     prog->name);
	} else if (prog) {
		to = prog->from; /* what it asks the driver stays, while it is there */
		to.metadata = prog->sockets ? to.metadata : 0;
		to.generate = generate;
		to.what = what;
		to.n = n;
		err = check_place(&to);
		if (!err)
			err = program_renew(prog, &to);
	}
	unlock_loaded();
	if (err)
		free(what);
	if (!prog)
		misused(cookie, inherited, function);
	return err;
}

int sxsk_prog_steer(struct sxsk_prog *prog, const struct sxsk_rule rules[], unsigned n)
{
	struct sxsk_rule *checked;
	const int err = sxsk_priv_rules_check(rules, n, &checked);

	return err ? err : steer_by(prog, sxsk_priv_rules_generate, checked, n, "sxsk_prog_steer");
}

int sxsk_prog_filter(struct sxsk_prog *prog, const struct sock_filter *filter, unsigned n)
{
	const int err = sxsk_priv_filter_check(filter, n);
	struct sock_filter *copy;

	if (err)
		return err;
	copy = malloc(n * sizeof(*copy));
	if (!copy)
		return sxsk_priv_fail(ENOMEM, "no memory for a filter of %u instructions", n);
	memcpy(copy, filter, n * sizeof(*copy));
	return steer_by(prog, sxsk_priv_filter_generate, copy, n, "sxsk_prog_filter");
}

/* ---- for a socket ----------------------------------------------------------------------------------- */

int sxsk_priv_prog_check(const struct sxsk_prog *cookie, uint32_t target, uint32_t attach)
{
	struct sxsk_priv_prog *prog;
	bool inherited, too_high, foreign;

	lock();
	prog = program_of(cookie);
	inherited = is_inherited(cookie);
	too_high = prog && !prog->map_of_another && target >= SXSK_MAX_TARGETS;
	foreign = prog && prog->map_of_another && attach == SXSK_ATTACH_DISPATCHER;
	unlock();
	if (foreign)
		return sxsk_priv_fail(EOPNOTSUPP,
				      "attach is dispatcher, and prog is of an object file: attach "
				      "it with `xdp-loader load`, and give its map as map_fd");
	if (too_high)
		return sxsk_priv_fail(EINVAL, "target is %u: at most %d", target,
				      SXSK_MAX_TARGETS - 1);
	if (!prog)
		misused(cookie, inherited, "sxsk_socket_open");
	return prog ? 0 : -EINVAL;
}

/* One that is on the interface already. */
static int program_share(struct sxsk_priv_prog *prog, const struct sxsk_priv_steering *w)
{
	if (!prog->map_of_another && w->metadata & ~prog->from.metadata)
		return sxsk_priv_fail(
			EBUSY,
			"the program on %s was attached for a socket without this metadata: open "
			"its first socket with all that any of them wants",
			w->ifname);
	if (w->attach != SXSK_ATTACH_AUTO && w->attach != prog->attach)
		return sxsk_priv_fail(
			EBUSY,
			"another socket of this process attached the XDP program to %s as "
			"%s: ask for SXSK_ATTACH_AUTO or the same for all its sockets",
			w->ifname, sxsk_attach_name(prog->attach));
	prog->sockets++;
	return 0;
}

/* Another program has the interface. */
static int in_the_way(uint32_t id, const char *ifname, const char *name)
{
	const struct sxsk_priv_prog *prog = program_by_id(id);

	if (!prog)
		return sxsk_priv_occupied(id, ifname, name);
	return sxsk_priv_fail(EBUSY,
			      "%s has another program of this process, for %s: an interface's "
			      "sockets share one",
			      ifname, prog->cookie ? "sxsk_socket_opts.prog" : "SXSK_STEER_ALL");
}

/* The program asks the driver what the first socket wants to know: always anew, since the interface of before
 * may be gone, and another have its index. One of an object file does as it likes. */
static int program_ask(struct sxsk_priv_prog *prog, const struct sxsk_priv_steering *w)
{
	struct sxsk_priv_source to = prog->from;

	if (prog->map_of_another || (!w->metadata && !to.metadata))
		return 0;
	to.metadata = w->metadata;
	to.ifindex = w->ifindex;
	to.netns = w->netns;
	to.ifname = w->ifname;
	return program_renew(prog, &to);
}

static int program_attach(struct sxsk_priv_prog *prog, const struct sxsk_priv_steering *w)
{
	int err = program_ask(prog, w);

	/* One that asks a driver runs there, and nowhere else. */
	if (!err)
		err = sxsk_priv_prog_attach(prog, w->ifindex, w->ifname,
					    prog->from.metadata ? SXSK_ATTACH_NATIVE : w->attach);
	prog->sockets += !err;
	program_release(prog); /* on error, if it was made for this */
	return err;
}

/* Is it on the interface, where `id` is, alone or in the dispatcher? */
static bool is_on(const struct sxsk_priv_prog *prog, uint32_t id,
		  const struct sxsk_priv_steering *w)
{
	return prog->entry_fd >= 0 ? sxsk_priv_dispatcher_has(w->ifindex, prog->id) :
				     prog->id == id;
}

/* Only libxdp's dispatcher has room for one more. */
static bool has_room(uint32_t id, const struct sxsk_priv_steering *w)
{
	return !id || (w->attach == SXSK_ATTACH_DISPATCHER && !program_by_id(id));
}

/* The library's own. */
static int find_own(uint32_t id, const struct sxsk_priv_steering *w,
		    struct sxsk_priv_prog **ret_prog)
{
	const struct sxsk_rule all = { .sz = sizeof(all) };
	struct sxsk_priv_prog *prog = id ? programs.first : NULL;
	int err;

	while (prog && (prog->cookie || !is_on(prog, id, w)))
		prog = prog->next;
	if (prog) {
		*ret_prog = prog;
		return program_share(prog, w);
	}
	if (!has_room(id, w))
		return in_the_way(id, w->ifname, PROGRAM_NAME);
	err = program_create(ret_prog, &all, 1);
	return err ? err : program_attach(*ret_prog, w);
}

/* The user's. */
static int find_given(uint32_t id, const struct sxsk_priv_steering *w,
		      struct sxsk_priv_prog **ret_prog)
{
	struct sxsk_priv_prog *prog = program_of(w->prog);

	if (!prog)
		return -ESTALE; /* said without the lock */
	*ret_prog = prog;
	if (prog->sockets && id && is_on(prog, id, w))
		return program_share(prog, w);
	if (prog->sockets)
		return sxsk_priv_fail(
			EBUSY,
			"the program was put on %s: it cannot be on %s too, make one for each "
			"interface",
			prog->ifname, w->ifname);
	return has_room(id, w) ? program_attach(prog, w) : in_the_way(id, w->ifname, prog->name);
}

static int check_map(int fd, int given)
{
	struct bpf_map_info info = { 0 };
	uint32_t len = sizeof(info);
	const int err = bpf_obj_get_info_by_fd(fd, &info, &len);

	if (err == -EPERM)
		return sxsk_priv_fail(
			EPERM,
			"may not look at map_fd %d: before Linux 5.19 bpf(2) takes CAP_BPF, unless "
			"kernel.unprivileged_bpf_disabled is 0",
			given);
	return err || info.type != BPF_MAP_TYPE_XSKMAP ?
		       sxsk_priv_fail(EINVAL, "map_fd is %d: that is no XSKMAP", given) :
		       0;
}

/* Somebody else's map: he steers. Nothing in here takes a privilege. */
static int find_map(int given, struct sxsk_priv_prog **ret_prog)
{
	struct sxsk_priv_prog *prog = NULL;
	int err = record_create(&prog);

	if (err)
		return err;
	prog->map_of_another = true;
	prog->attach = SXSK_ATTACH_NONE;
	prog->map_fd = fcntl(given, F_DUPFD_CLOEXEC, 0);
	if (prog->map_fd < 0)
		err = sxsk_priv_fail(errno, "map_fd is %d: %s", given, strerror(errno));
	else
		err = check_map(prog->map_fd, given);
	if (err) {
		program_free(prog);
		return err;
	}
	prog->sockets = 1;
	list(prog);
	*ret_prog = prog;
	return 0;
}

static int program_find(const struct sxsk_priv_steering *w, struct sxsk_priv_prog **ret_prog)
{
	int64_t id;

	programs_init();
	if (w->map_fd)
		return find_map(w->map_fd, ret_prog);
	id = sxsk_priv_attached_id(w->ifindex, w->ifname);
	if (id < 0)
		return (int)id;
	return w->prog ? find_given((uint32_t)id, w, ret_prog) :
			 find_own((uint32_t)id, w, ret_prog);
}

int sxsk_priv_prog_get(const struct sxsk_priv_steering *w, struct sxsk_priv_prog **ret_prog,
		       uint32_t *ret_attach)
{
	const struct timespec step = { .tv_nsec = LEFTOVER_STEP_MS * 1000000L };
	const int64_t end = deadline(LEFTOVER_WAIT_MS);
	struct sxsk_priv_prog *prog = NULL;
	bool inherited;
	int err;

	for (;;) {
		lock_to_load();
		err = program_find(w, &prog);
		if (!err)
			*ret_attach = prog->attach;
		inherited = is_inherited(w->prog);
		unlock_loaded();
		/* By the clock: a signal cuts a pause short. */
		if (err != -EAGAIN || ms_left(end) == 0)
			break;
		/* The lock is not held while waiting: other sockets come and go meanwhile. */
		nanosleep(&step, NULL);
	}
	if (err == -ESTALE) {
		misused(w->prog, inherited, "sxsk_socket_open");
		return -EINVAL;
	}
	*ret_prog = prog;
	return err == -EAGAIN ? -EBUSY : err;
}

void sxsk_priv_prog_put(struct sxsk_priv_prog *prog)
{
	lock();
	if (--prog->sockets == 0)
		sxsk_priv_prog_detach(prog);
	program_release(prog);
	unlock();
}

/* ---- the XSKMAP ------------------------------------------------------------------------------------- */

static uint32_t map_key(const struct sxsk_priv_prog *prog, uint32_t queue, uint32_t target)
{
	return prog->map_of_another ? queue + target : target * TARGET_QUEUES + queue;
}

/* Of somebody else's map. */
static int no_entry(uint32_t queue, uint32_t target)
{
	return sxsk_priv_fail(EINVAL, "the map has no entry %llu (queue %u and target %u)",
			      (unsigned long long)queue + target, queue, target);
}

static int enter_error(const struct sxsk_priv_prog *prog, int err, uint32_t queue, uint32_t target)
{
	const uint32_t key = map_key(prog, queue, target);

	if (err == EEXIST && prog->map_of_another)
		return sxsk_priv_fail(EBUSY, "entry %u of the map has a socket: close that first",
				      key);
	if (err == EEXIST)
		return sxsk_priv_fail(
			EBUSY,
			"another socket of this process gets the packets of queue %u, target %u: "
			"close it first",
			queue, target);
	if (err == E2BIG)
		return no_entry(queue, target);
	return sxsk_priv_fail(err, "cannot enter queue %u in the XSKMAP: %s", queue, strerror(err));
}

int sxsk_priv_prog_enter(struct sxsk_priv_prog *prog, uint32_t queue, uint32_t target, int fd)
{
	const uint32_t key = map_key(prog, queue, target);
	int err;

	if (queue >= TARGET_QUEUES && !prog->map_of_another)
		return sxsk_priv_fail(EINVAL, "queue %u: the XSKMAP has queues 0 to %u only", queue,
				      TARGET_QUEUES - 1);
	if (prog->map_of_another && target > UINT32_MAX - queue)
		return no_entry(queue, target);
	/* NOEXIST: success means that the entry is this socket's and that nobody's was replaced. An
	 * XSKMAP cannot be read back. */
	err = bpf_map_update_elem(prog->map_fd, &key, &fd, BPF_NOEXIST);
	return err ? enter_error(prog, -err, queue, target) : 0;
}

void sxsk_priv_prog_leave(struct sxsk_priv_prog *prog, uint32_t queue, uint32_t target)
{
	const uint32_t key = map_key(prog, queue, target);

	/* Can only fail when the entry is gone: the interface was removed. */
	bpf_map_delete_elem(prog->map_fd, &key);
}
