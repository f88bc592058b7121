/* SPDX-License-Identifier: BSD-2-Clause */
/* What happens to the world around a socket under traffic: interfaces that move, change their names, come
 * back under the same index; signals; limits; a sandbox. */
#include "veth.h"

#include <dlfcn.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>

TestSuite(xsk_changes, .init = make_network, .timeout = 60);

/* ---- interfaces ----------------------------------------------------------------------------------------- */

struct pair {
	struct sxsk_pool *pool, *far;
	struct sxsk_socket *to, *from; /* v0, v1 */
};

static struct pair pair(void)
{
	struct pair p = { .pool = new_pool(1024), .far = new_pool(1024) };

	p.to = open_socket(p.pool, "v0", 0, steered(SXSK_ATTACH_AUTO));
	p.from = open_socket(p.far, "v1", 0, steered(SXSK_ATTACH_AUTO));
	carry(p.from, p.far, p.to, 500);
	return p;
}

/* Some that have arrived and some that are on their way. */
static void leave_traffic(struct pair *p)
{
	(void)send_some(p->from, p->far, 0, 64);
	(void)send_some(p->to, p->pool, 0, 64);
}

/* Both ends are up again, and nothing is under way that was sent before. */
static void await_link(struct pair *p)
{
	const int64_t end = milliseconds() + 20000;
	struct sxsk_buf bufs[64];
	unsigned n;

	while ((sxsk_socket_error(p->from) || sxsk_socket_error(p->to)) && milliseconds() < end)
		usleep(1000);
	cr_assert_eq(sxsk_pool_drain(p->far, 5000), 0, "%s", sxsk_last_error());
	do {
		n = sxsk_rx_burst(p->to, bufs, 64);
		sxsk_buf_unref_burst(bufs, n);
	} while (n > 0);
}

/* Every frame of a pool without sockets is in the depot. */
static void expect_home(struct sxsk_pool *pool)
{
	struct sxsk_pool_stats st = { .sz = sizeof(st) };

	cr_assert_eq(sxsk_pool_drain(pool, 2000), 0, "%s", sxsk_last_error());
	sxsk_pool_stats(pool, &st);
	cr_assert_eq(st.sockets, 0);
	cr_assert_eq(st.depot, st.total, "%llu of %llu, %llu in quarantine",
		     (unsigned long long)st.depot, (unsigned long long)st.total,
		     (unsigned long long)st.quarantined);
}

static void expect_error(int err, const char *words, int ret)
{
	cr_assert_eq(ret, -err, "%d: %s", ret, sxsk_last_error());
	cr_assert(strstr(sxsk_last_error(), words), "\"%s\"", sxsk_last_error());
}

/* A process in a network namespace of its own, until its pipe ends. */
static pid_t elsewhere(int *ret_fd)
{
	int hold[2], ready[2];
	char byte = 0;
	pid_t pid;

	cr_assert_eq(pipe(hold) + pipe(ready), 0);
	pid = fork();
	cr_assert_geq(pid, 0);
	if (pid == 0) {
		close(hold[1]);
		if (unshare(CLONE_NEWNET) || write(ready[1], &byte, 1) != 1 ||
		    read(hold[0], &byte, 1) < 0)
			_exit(1);
		_exit(0);
	}
	close(hold[0]);
	close(ready[1]);
	cr_assert_eq(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	*ret_fd = hold[1];
	return pid;
}

Test(xsk_changes, interface_that_moves_to_another_namespace_is_gone)
{
	struct pair p = pair();
	struct sxsk_socket *none = NULL;
	int fd;
	const pid_t pid = elsewhere(&fd);

	leave_traffic(&p);
	run("ip link set v0 netns %d", pid);
	cr_assert_eq(sxsk_socket_error(p.to), -ENXIO, "%s", sxsk_last_error());
	receive_some(p.to, &(uint32_t){ 0 }); /* what came before may be there */
	expect_error(ENXIO, "removed", sxsk_socket_wait(p.to, SXSK_WAIT_RX, -1));
	expect_error(ENODEV, "no interface v0",
		     sxsk_socket_open(&none, p.pool, "v0", 0,
				      &(struct sxsk_socket_opts){ .sz = sizeof(none) }));
	sxsk_socket_close(p.to);
	expect_home(p.pool);
	/* It took nothing along. */
	run("nsenter -t %d -n ip -d link show v0 | grep -q veth && "
	    "! nsenter -t %d -n ip -d link show v0 | grep -q xdp",
	    pid, pid);
	sxsk_socket_close(p.from);
	close(fd);
	waitpid(pid, NULL, 0);
	sxsk_pool_unref(p.pool);
	sxsk_pool_unref(p.far);
}

/* Sockets are on an interface, not on a name. */
Test(xsk_changes, interface_that_is_renamed_keeps_its_sockets)
{
	struct pair p = pair();
	struct sxsk_socket_opts plain = defaults();
	struct sxsk_socket *again = NULL;

	leave_traffic(&p);
	run("ip link set v0 down; ip link set v0 name w0; ip link set w0 up");
	run("ip link add v0 type veth peer name w1; ip link set v0 up; ip link set w1 up");
	expect_error(EBUSY, "SXSK_SOCKET_SHARE_QUEUE",
		     sxsk_socket_open(&again, p.pool, "w0", 0, &plain));
	again = open_socket(p.pool, "v0", 0, steered(SXSK_ATTACH_AUTO)); /* the new one */
	cr_assert_neq(program_on("v0"), program_on("w0"));
	await_link(&p);
	carry(p.from, p.far, p.to, 500);
	sxsk_socket_close(p.to);
	cr_assert_eq(program_on("w0"), 0);
	cr_assert_neq(program_on("v0"), 0, "it is the other interface's");
	p.to = open_socket(p.pool, "w0", 0, steered(SXSK_ATTACH_AUTO));
	carry(p.from, p.far, p.to, 500);
	sxsk_socket_close(again);
	sxsk_socket_close(p.to);
	sxsk_socket_close(p.from);
	run("ip link del v0; ip link del w0");
	expect_home(p.pool);
	expect_home(p.far);
	sxsk_pool_unref(p.pool);
	sxsk_pool_unref(p.far);
}

/* A closed socket's frames do not wait for whatever has its interface's number now. */
Test(xsk_changes, another_interface_of_the_same_index_holds_no_frames)
{
	struct pair p = pair();
	const unsigned index = if_nametoindex("v0");
	struct sxsk_socket *next;

	leave_traffic(&p);
	run("ip link del v0");
	run("ip link add u0 index %u type veth peer name u1; ip link set u0 up; ip link set u1 up",
	    index);
	cr_assert_eq(if_nametoindex("u0"), index);
	sxsk_socket_close(p.to);
	sxsk_socket_close(p.from);
	expect_home(p.pool);
	next = open_socket(p.pool, "u0", 0, steered(SXSK_ATTACH_AUTO));
	cr_assert_eq(sxsk_socket_error(next), 0);
	sxsk_socket_close(next);
	run("ip link del u0");
	expect_home(p.pool);
	sxsk_pool_unref(p.pool);
	sxsk_pool_unref(p.far);
}

/* Its registration of the pool's memory cannot be shared any more: the next socket has one of its own. */
Test(xsk_changes, socket_of_a_removed_interface_is_in_nobodys_way)
{
	struct sxsk_socket_opts opts = steered(SXSK_ATTACH_AUTO);
	struct sxsk_pool *pool = new_pool(1024), *far = new_pool(1024);
	struct sxsk_socket *gone, *to, *from;

	opts.mode = SXSK_MODE_COPY;
	gone = open_socket(pool, "v0", 0, opts);
	run("ip link del v0");
	to = open_socket(pool, "m0", 0, opts);
	from = open_socket(far, "m1", 0, opts);
	cr_assert_eq(sxsk_socket_error(gone), -ENXIO);
	carry(from, far, to, 500);
	sxsk_socket_close(gone);
	carry(from, far, to, 500);
	sxsk_socket_close(to);
	sxsk_socket_close(from);
	run("ip link del m0");
	expect_home(pool);
	expect_home(far);
	sxsk_pool_unref(pool);
	sxsk_pool_unref(far);
}

Test(xsk_changes, interface_that_is_down_for_a_while_loses_packets_only)
{
	struct pair p = pair();

	for (unsigned i = 0; i < 3; i++) {
		leave_traffic(&p);
		run("ip link set v0 down");
		expect_error(ENETDOWN, "down", sxsk_socket_error(p.to));
		run("ip link set v0 up");
		await_link(&p);
		carry(p.from, p.far, p.to, 500);
	}
	sxsk_socket_close(p.to);
	sxsk_socket_close(p.from);
	run("ip link del v0");
	expect_home(p.pool);
	expect_home(p.far);
	sxsk_pool_unref(p.pool);
	sxsk_pool_unref(p.far);
}

/* ---- signals -------------------------------------------------------------------------------------------- */

static unsigned signals;

static void count_signal(int number)
{
	(void)number;
	signals++;
}

/* A signal every millisecond, as a profiler sends them. */
static void signals_start(int flags)
{
	const struct sigaction sa = { .sa_handler = count_signal, .sa_flags = flags };
	const struct itimerval often = { { 0, 1000 }, { 0, 1000 } };

	cr_assert_eq(sigaction(SIGALRM, &sa, NULL), 0);
	cr_assert_eq(setitimer(ITIMER_REAL, &often, NULL), 0);
}

static void signals_stop(void)
{
	const struct itimerval never = { { 0, 0 }, { 0, 0 } };

	cr_assert_eq(setitimer(ITIMER_REAL, &never, NULL), 0);
	cr_assert_gt(signals, 0);
}

/* Whether or not system calls are to go on after a signal: epoll never does. */
Test(xsk_changes, wait_is_interrupted_with_and_without_restart)
{
	struct pair p = pair();

	for (unsigned i = 0; i < 2; i++) {
		signals_start(i ? SA_RESTART : 0);
		expect_error(EINTR, "interrupted", sxsk_socket_wait(p.to, SXSK_WAIT_RX, -1));
		signals_stop();
	}
	carry(p.from, p.far, p.to, 500);
	sxsk_socket_close(p.to);
	sxsk_socket_close(p.from);
	sxsk_pool_unref(p.pool);
	sxsk_pool_unref(p.far);
}

/* libbpf's way into the kernel: loads, and probing loads, with the signal let in and with it waiting. The
 * kernel gives up a load for a signal, which happens too seldom here to wait for. */
static unsigned loads_interruptible, loads_undisturbed;

long syscall(long number, ...)
{
	long (*real)(long, ...);
	sigset_t mask;
	long arg[6];
	va_list args;

	va_start(args, number);
	for (int i = 0; i < 6; i++)
		arg[i] = va_arg(args, long);
	va_end(args);
	*(void **)&real = dlsym(RTLD_NEXT, "syscall");
	if (number == SYS_bpf && arg[0] == BPF_PROG_LOAD && !pthread_sigmask(0, NULL, &mask))
		++*(sigismember(&mask, SIGALRM) ? &loads_undisturbed : &loads_interruptible);
	return real(number, arg[0], arg[1], arg[2], arg[3], arg[4], arg[5]);
}

/* Opening, sending, draining and closing are not: they are done, or not, as without. */
Test(xsk_changes, everything_else_goes_on_under_signals)
{
	struct pair p;

	signals_start(0);
	p = pair();
	cr_assert_gt(loads_undisturbed, 0);
	cr_assert_eq(loads_interruptible, 0, "of %u", loads_undisturbed);
	carry(p.to, p.pool, p.from, 5000);
	cr_assert_eq(sxsk_pool_drain(p.pool, 5000), 0, "%s", sxsk_last_error());
	sxsk_socket_close(p.to);
	sxsk_socket_close(p.from);
	signals_stop();
	sxsk_pool_unref(p.pool);
	sxsk_pool_unref(p.far);
}

struct holder {
	pid_t pid;
	int leash; /* it lives until this is closed */
	pthread_t thread;
};

/* Another process with a socket on m0's queue 0, steered or not. */
static struct holder holder(uint32_t steer)
{
	struct sxsk_socket_opts opts = defaults();
	struct sxsk_socket *socket;
	struct sxsk_pool *pool;
	char byte = 0;
	int ready[2], leash[2];
	pid_t pid;

	cr_assert_eq(pipe(ready), 0);
	cr_assert_eq(pipe(leash), 0);
	pid = fork();
	cr_assert_geq(pid, 0);
	if (pid == 0) {
		opts.steer = steer;
		if (sxsk_pool_create(&pool, NULL) ||
		    sxsk_socket_open(&socket, pool, "m0", 0, &opts) ||
		    write(ready[1], &byte, 1) != 1)
			_exit(1);
		close(leash[1]);
		_exit(read(leash[0], &byte, 1) == 0 ? 0 : 2);
	}
	close(ready[1]);
	close(leash[0]);
	cr_assert_eq(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return (struct holder){ .pid = pid, .leash = leash[1] };
}

static void *let_go(void *arg)
{
	struct holder *h = arg;

	usleep(500000);
	close(h->leash);
	return NULL;
}

/* Signals do not shorten the time for which a queue, or a program, that is about to go is waited for. */
Test(xsk_changes, open_is_as_patient_under_signals)
{
	for (uint32_t queue = 0; queue < 2; queue++) {
		struct holder h = holder(queue == 0 ? SXSK_STEER_NONE : SXSK_STEER_ALL);
		struct sxsk_pool *pool = new_pool(256);

		cr_assert_eq(pthread_create(&h.thread, NULL, let_go, &h), 0);
		signals_start(0);
		sxsk_socket_close(open_socket(pool, "m0", queue, steered(SXSK_ATTACH_AUTO)));
		signals_stop();
		pthread_join(h.thread, NULL);
		waitpid(h.pid, NULL, 0);
		sxsk_pool_unref(pool);
	}
}

/* ---- limits and sandboxes ------------------------------------------------------------------------------- */

Test(xsk_changes, rings_that_do_not_fit_the_address_space_are_an_error)
{
	struct sxsk_pool *pool = new_pool(256);
	struct sxsk_socket_opts opts = defaults();
	struct sxsk_socket *socket = open_socket(pool, "v0", 0, opts);
	struct rlimit was, none;

	sxsk_socket_close(socket);
	cr_assert_eq(getrlimit(RLIMIT_AS, &was), 0);
	none = was;
	none.rlim_cur = 0;
	opts.rx_size = opts.tx_size = 32768;
	cr_assert_eq(setrlimit(RLIMIT_AS, &none), 0);
	expect_error(ENOMEM, "cannot map a ring of",
		     sxsk_socket_open(&socket, pool, "v0", 0, &opts));
	cr_assert_eq(setrlimit(RLIMIT_AS, &was), 0);
	sxsk_socket_close(open_socket(pool, "v0", 0, opts));
	run("ip link del v0");
	expect_home(pool);
	sxsk_pool_unref(pool);
}

/* Whatever opened its sockets first, and then gave up what it needed no more. */
static void forbid_membarrier(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_membarrier, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = { .len = 4, .filter = code };

	cr_assert_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	cr_assert_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

Test(xsk_changes, membarrier_that_is_forbidden_later_is_done_without)
{
	struct pair p = pair();

	cr_assert_eq(load_relaxed(&sxsk_priv_no_membarrier), 0);
	forbid_membarrier();
	sxsk_socket_close(p.to);
	cr_assert_eq(load_relaxed(&sxsk_priv_no_membarrier), 1, "halves fence from now on");
	p.to = open_socket(p.pool, "v0", 0, steered(SXSK_ATTACH_AUTO));
	carry(p.from, p.far, p.to, 500);
	sxsk_socket_close(p.to);
	sxsk_socket_close(p.from);
	sxsk_pool_unref(p.pool);
	sxsk_pool_unref(p.far);
}
