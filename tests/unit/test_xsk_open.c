/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Opening sockets on the kernel's AF_XDP where it cannot work, interfaces that come and go, and other
 * processes: an error with its cause, and nothing stays behind.
 */
#include "refusal.h"

#include <dlfcn.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <sys/resource.h>

TestSuite(xsk_open, .init = make_network, .timeout = 60);

/* ---- bad input --------------------------------------------------------------------------------- */

Test(xsk_open, names_and_queues_that_do_not_exist_are_refused)
{
	struct sxsk_pool *pool = warm_pool(64);
	const struct sxsk_socket_opts opts = steered(SXSK_ATTACH_AUTO);
	const int before = open_descriptors();

	refused(pool, "", 0, opts, -EINVAL, "empty");
	refused(pool, "abcdefghijklmnop", 0, opts, -EINVAL, "too long");
	refused(pool, "abcdefghijklmno", 0, opts, -ENODEV, "no interface abcdefghijklmno");
	refused(pool, "nosuch0", 0, opts, -ENODEV, "no interface nosuch0");
	refused(pool, "v0", 1, opts, -EINVAL, "it has 1 RX and 1 TX queues");
	refused(pool, "m0", 2, opts, -EINVAL, "it has 2 RX and 2 TX queues");
	refused(pool, "m0", UINT32_MAX, opts, -EINVAL, "no queue 4294967295");
	refused(pool, "lo", 1, opts, -EINVAL, "it has 1 RX queues");
	refused(pool, "n1", 2, opts, -EINVAL, "never receives on queue 2");
	cr_expect_eq(open_descriptors(), before);
	sxsk_pool_unref(pool);
}

Test(xsk_open, what_the_driver_lacks_is_refused)
{
	struct sxsk_pool *pool = warm_pool(256);
	struct sxsk_socket_opts opts = steered(SXSK_ATTACH_NATIVE);
	const int before = open_descriptors();
	struct sxsk_socket *socket;

	refused(pool, "lo", 0, opts, -EOPNOTSUPP, "no native XDP");
	refused(pool, "n0", 0, opts, -ENOSPC, "too few queues");
	opts.attach = SXSK_ATTACH_AUTO;
	opts.mode = SXSK_MODE_ZEROCOPY;
	refused(pool, "v0", 0, opts, -EOPNOTSUPP, "no zero-copy");
	cr_expect_eq(open_descriptors(), before);
	cr_expect_eq(program_on("n0"), 0);
	socket = open_socket(pool, "n0", 0, steered(SXSK_ATTACH_AUTO));
	cr_expect_eq(stats_of(socket).attach, SXSK_ATTACH_SKB, "automatic falls back");
	sxsk_socket_close(socket);
	sxsk_pool_unref(pool);
}

static const struct bpf_insn pass[] = {
	{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_PASS },
	{ .code = BPF_JMP | BPF_EXIT },
};

Test(xsk_open, another_program_on_the_interface_stays)
{
	const int fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "foreign", "GPL", pass, 2, NULL);
	const int ifindex = (int)if_nametoindex("v0");
	struct sxsk_pool *pool = new_pool(256);
	const uint32_t modes[] = { XDP_FLAGS_DRV_MODE, XDP_FLAGS_SKB_MODE };
	struct sxsk_socket *socket, *own;
	char id[32];

	/* A program of ours elsewhere does not make that one ours. */
	own = open_socket(pool, "m0", 0, steered(SXSK_ATTACH_AUTO));
	for (int i = 0; i < 2; i++) {
		cr_assert_eq(bpf_xdp_attach(ifindex, fd, modes[i], NULL), 0);
		snprintf(id, sizeof(id), "(id %u, foreign)", program_on("v0"));
		refused(pool, "v0", 0, steered(SXSK_ATTACH_AUTO), -EBUSY, id);
		cr_expect(strstr(sxsk_last_error(), "ip link set dev v0 xdp off"));
		cr_expect_neq(program_on("v0"), 0, "the other program must stay");
		cr_assert_eq(bpf_xdp_detach(ifindex, modes[i], NULL), 0);
	}
	close(fd);
	sxsk_socket_close(own);
	socket = open_socket(pool, "v0", 0, steered(SXSK_ATTACH_AUTO));
	sxsk_socket_close(socket);
	sxsk_pool_unref(pool);
}

static int foreign = -1; /* a program that goes away when the library asks who that is */

int bpf_prog_get_fd_by_id(uint32_t id)
{
	int (*next)(uint32_t);

	*(void **)&next = dlsym(RTLD_NEXT, "bpf_prog_get_fd_by_id");
	if (foreign >= 0) {
		bpf_xdp_detach((int)if_nametoindex("v0"), XDP_FLAGS_SKB_MODE, NULL);
		close(foreign);
		foreign = -1;
	}
	return next(id);
}

Test(xsk_open, a_program_that_goes_away_meanwhile_is_in_nobodys_way)
{
	struct sxsk_pool *pool = new_pool(256);

	foreign = bpf_prog_load(BPF_PROG_TYPE_XDP, "foreign", "GPL", pass, 2, NULL);
	cr_assert_eq(bpf_xdp_attach((int)if_nametoindex("v0"), foreign, XDP_FLAGS_SKB_MODE, NULL),
		     0);
	sxsk_socket_close(open_socket(pool, "v0", 0, steered(SXSK_ATTACH_AUTO)));
	cr_expect_eq(foreign, -1, "the library asked");
	sxsk_pool_unref(pool);
}

Test(xsk_open, one_interface_one_way_to_attach)
{
	struct sxsk_pool *pool = new_pool(4096);
	struct sxsk_socket *a = open_socket(pool, "m0", 0, steered(SXSK_ATTACH_SKB)), *b;
	const uint32_t id = program_on("m0");

	refused(pool, "m0", 1, steered(SXSK_ATTACH_NATIVE), -EBUSY, "as skb");
	b = open_socket(pool, "m0", 1, steered(SXSK_ATTACH_AUTO));
	cr_expect_eq(stats_of(b).attach, SXSK_ATTACH_SKB);
	cr_expect_eq(program_on("m0"), id, "they share one program");
	sxsk_socket_close(a);
	cr_expect_eq(program_on("m0"), id, "it stays until its last socket closes");
	sxsk_socket_close(b);
	cr_expect_eq(program_on("m0"), 0);
	sxsk_pool_unref(pool);
}

Test(xsk_open, no_privilege_at_all)
{
	struct sxsk_pool *pool = new_pool(256);

	keep_capabilities(0);
	refused(pool, "v0", 0, steered(SXSK_ATTACH_AUTO), -EPERM, "CAP_NET_RAW");
	sxsk_pool_unref(pool);
}

Test(xsk_open, a_socket_needs_one_capability_and_the_program_two_more)
{
	struct sxsk_pool *pool = warm_pool(256);
	struct sxsk_socket_opts opts = steered(SXSK_ATTACH_AUTO);
	struct sxsk_socket *socket;
	const int before = open_descriptors();

	keep_capabilities(1ull << CAP_NET_RAW | 1ull << CAP_NET_ADMIN | 1ull << CAP_BPF);
	socket = open_socket(pool, "v0", 0, opts);
	sxsk_socket_close(socket);
	keep_capabilities(1ull << CAP_NET_RAW | 1ull << CAP_NET_ADMIN);
	refused(pool, "v0", 0, opts, -EPERM, "CAP_BPF and CAP_NET_ADMIN");
	keep_capabilities(1ull << CAP_NET_RAW);
	opts.steer = SXSK_STEER_NONE;
	socket = open_socket(pool, "v0", 0, opts);
	sxsk_socket_close(socket);
	cr_expect_eq(open_descriptors(), before);
	sxsk_pool_unref(pool);
}

Test(xsk_open, the_limit_of_locked_memory_is_named)
{
	const struct rlimit low = { 65536, 65536 };
	struct sxsk_pool *pool = new_pool(1024);
	struct sxsk_socket_opts opts = { .sz = sizeof(opts) };

	cr_assert_eq(setrlimit(RLIMIT_MEMLOCK, &low), 0);
	keep_capabilities(1ull << CAP_NET_RAW);
	refused(pool, "v0", 0, opts, -ENOBUFS, "RLIMIT_MEMLOCK is 64 KiB");
	sxsk_pool_unref(pool);
}

Test(xsk_open, a_soft_limit_of_locked_memory_is_raised)
{
	struct rlimit soft;
	struct sxsk_pool *pool = new_pool(1024);
	struct sxsk_socket *socket;

	cr_assert_eq(getrlimit(RLIMIT_MEMLOCK, &soft), 0);
	if (soft.rlim_max < 4 << 20)
		cr_skip_test("the hard limit of locked memory is under 4 MiB");
	soft.rlim_cur = 65536;
	cr_assert_eq(setrlimit(RLIMIT_MEMLOCK, &soft), 0);
	keep_capabilities(1ull << CAP_NET_RAW);
	socket = open_socket(pool, "v0", 0, defaults());
	sxsk_socket_close(socket);
	sxsk_pool_unref(pool);
}

/* Each descriptor that opening takes is refused once: nothing may leak, and nothing stay behind. */
Test(xsk_open, running_out_of_descriptors_leaks_nothing)
{
	struct sxsk_pool *pool = warm_pool(256);
	const struct sxsk_socket_opts opts = steered(SXSK_ATTACH_AUTO);
	const int lowest = dup(0);
	struct sxsk_socket *socket;
	struct rlimit limit;
	int err = -1, failures = 0;

	close(lowest);
	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	for (int allowed = 0; err && allowed < 64; allowed++) {
		const int before = open_descriptors();

		limit.rlim_cur = (rlim_t)(lowest + allowed);
		cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
		err = sxsk_socket_open(&socket, pool, "v0", 0, &opts);
		limit.rlim_cur = limit.rlim_max;
		cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
		if (!err)
			break;
		cr_expect_neq(sxsk_last_error()[0], 0);
		cr_expect_eq(open_descriptors(), before, "%d allowed: %s", allowed,
			     sxsk_last_error());
		cr_expect_eq(program_on("v0"), 0, "%d allowed: %s", allowed, sxsk_last_error());
		failures++;
	}
	cr_assert_eq(err, 0, "%s", sxsk_last_error());
	cr_expect_geq(failures, 4);
	sxsk_socket_close(socket);
	sxsk_pool_unref(pool);
}

/* ---- interfaces come and go --------------------------------------------------------------------- */

Test(xsk_open, an_interface_that_is_down_is_an_error_until_it_is_up)
{
	struct sxsk_pool *pool = new_pool(256);
	struct sxsk_socket *socket = open_socket(pool, "v0", 0, steered(SXSK_ATTACH_AUTO));

	cr_expect_eq(sxsk_socket_error(socket), 0);
	run("ip link set v0 down");
	cr_expect_eq(sxsk_socket_error(socket), -ENETDOWN);
	cr_expect_eq(sxsk_socket_error(socket), -ENETDOWN);
	run("ip link set v0 name v9; ip link set v9 up");
	cr_expect_eq(sxsk_socket_error(socket), 0, "also under another name");
	sxsk_socket_close(socket);
	sxsk_pool_unref(pool);
}

Test(xsk_open, an_interface_that_was_removed_is_an_error)
{
	struct sxsk_pool *pool = new_pool(256);
	struct sxsk_socket *socket = open_socket(pool, "v0", 0, steered(SXSK_ATTACH_AUTO)), *again;
	struct sxsk_priv_device_id id, elsewhere;
	struct sxsk_buf bufs[2];
	uint32_t mtu;

	cr_assert_eq(DEVICE.identify("v0", 0, &id, &mtu), 0);
	cr_expect_eq(mtu, 1500);
	elsewhere = id;
	elsewhere.netns++;
	cr_expect_not(DEVICE.gone(&id));
	run("ip link del v0");
	cr_expect_eq(sxsk_socket_error(socket), -ENXIO);
	cr_expect_eq(sxsk_socket_error(socket), -ENXIO, "it stays one");
	cr_expect_eq(sxsk_pool_alloc(pool, bufs, 2), 2);
	for (unsigned i = 0; i < 2; i++)
		cr_expect_eq(sxsk_buf_put(&bufs[i], 60), 0);
	cr_expect_eq(sxsk_tx_burst(socket, &bufs[0], 1), 1, "the kick tells");
	cr_expect_eq(sxsk_tx_burst(socket, &bufs[1], 1), 0, "nothing is taken any more");
	sxsk_buf_unref(&bufs[1]);
	cr_expect(DEVICE.gone(&id));
	cr_expect_not(DEVICE.gone(&elsewhere), "another namespace's interface cannot be looked up");

	/* The same name and index, a new interface: the old program is not on it. */
	run("ip link add v0 index %u type veth peer name v1; ip link set v0 up; ip link set v1 up",
	    id.ifindex);
	cr_expect_not(DEVICE.gone(&id));
	sxsk_socket_close(socket);
	again = open_socket(pool, "v0", 0, steered(SXSK_ATTACH_AUTO));
	cr_expect_neq(program_on("v0"), 0);
	cr_expect_eq(sxsk_socket_error(again), 0);
	sxsk_socket_close(again);
	cr_expect_eq(program_on("v0"), 0);
	sxsk_pool_unref(pool);
}

/* ---- other processes ---------------------------------------------------------------------------- */

/* A process with a socket on queue 0, that ends when killed, or when the returned descriptor is
 * closed. */
static pid_t other_process(const char *ifname, int *ret_fd)
{
	int ready[2], hold[2];
	char byte = 0;
	pid_t pid;

	cr_assert(!pipe(ready) && !pipe(hold));
	pid = fork_bounded();
	if (!pid) {
		const struct sxsk_socket_opts opts = steered(SXSK_ATTACH_AUTO);
		struct sxsk_pool *pool;
		struct sxsk_socket *socket;

		close(hold[1]);
		if (sxsk_pool_create(&pool, NULL) ||
		    sxsk_socket_open(&socket, pool, ifname, 0, &opts))
			_exit(1);
		if (write(ready[1], &byte, 1) != 1 || read(hold[0], &byte, 1) < 0)
			_exit(2);
		_exit(0);
	}
	close(hold[0]);
	close(ready[1]);
	cr_assert_eq(read(ready[0], &byte, 1), 1, "the other process could not open its socket");
	close(ready[0]);
	*ret_fd = hold[1];
	return pid;
}

Test(xsk_open, a_queue_of_another_process_is_busy)
{
	int fd;
	const pid_t pid = other_process("v0", &fd);
	struct sxsk_pool *pool = new_pool(256);
	const int64_t begin = milliseconds();

	refused(pool, "v0", 0, steered(SXSK_ATTACH_AUTO), -EBUSY, "taken by another AF_XDP socket");
	cr_expect_lt(milliseconds() - begin, 10000, "the retry is bounded");
	close(fd);
	waitpid(pid, NULL, 0);
	sxsk_pool_unref(pool);
}

Test(xsk_open, a_queue_is_waited_for)
{
	int fd;
	const pid_t pid = other_process("v0", &fd);
	struct sxsk_pool *pool = new_pool(4096);
	const pid_t killer = fork_bounded();
	struct sxsk_socket *to, *from;

	if (!killer) {
		usleep(300000);
		kill(pid, SIGKILL);
		_exit(0);
	}
	/* Bound at a later try, with the frames that were put into FILL before the first. */
	to = open_socket(pool, "v0", 0, steered(SXSK_ATTACH_AUTO));
	from = open_socket(pool, "v1", 0, steered(SXSK_ATTACH_AUTO));
	carry(from, pool, to, 1000);
	waitpid(pid, NULL, 0);
	waitpid(killer, NULL, 0);
	close(fd);
	sxsk_socket_close(to);
	sxsk_socket_close(from);
	sxsk_pool_unref(pool);
}

/* Open and close a socket, over and over, right after a process with a socket on queue 0 was killed
 * and may not be gone yet. */
static void after_a_kill(const char *ifname, uint32_t queue)
{
	struct sxsk_pool *pool = new_pool(1024);

	for (int i = 0; i < 10; i++) {
		int fd;
		const pid_t pid = other_process(ifname, &fd);

		cr_expect_neq(program_on(ifname), 0);
		kill(pid, SIGKILL);
		sxsk_socket_close(open_socket(pool, ifname, queue, steered(SXSK_ATTACH_AUTO)));
		waitpid(pid, NULL, 0);
		close(fd);
		cr_expect_eq(program_on(ifname), 0);
	}
	sxsk_pool_unref(pool);
}

Test(xsk_open, a_killed_process_leaves_nothing_on_its_queue)
{
	after_a_kill("v0", 0);
}

/* Here the queue is free at once, and the dead process's program the only thing in the way. */
Test(xsk_open, a_killed_process_leaves_nothing_on_its_interface)
{
	after_a_kill("m0", 1);
}

/* A forked child that closes its copy of the socket, as it should, and goes on living. */
static pid_t child_that_lives(struct sxsk_socket *socket)
{
	int closed[2];
	char byte = 0;
	pid_t pid;

	cr_assert_eq(pipe(closed), 0);
	pid = fork_bounded();
	if (!pid) {
		sxsk_socket_close(socket);
		if (write(closed[1], &byte, 1) != 1)
			_exit(1);
		pause();
		_exit(0);
	}
	close(closed[1]);
	cr_assert_eq(read(closed[0], &byte, 1), 1, "the child did not survive the close");
	close(closed[0]);
	return pid;
}

/* Mapped rings would keep the queue bound for as long as a forked child lives, its copy of the link
 * the program attached. */
Test(xsk_open, a_forked_child_holds_neither_queue_nor_program)
{
	struct sxsk_pool *pool = new_pool(256);
	struct sxsk_socket *socket = open_socket(pool, "v0", 0, steered(SXSK_ATTACH_AUTO));
	const pid_t pid = child_that_lives(socket);

	cr_expect_neq(program_on("v0"), 0, "the parent's socket goes on");
	sxsk_socket_close(socket);
	cr_expect_eq(program_on("v0"), 0);
	socket = open_socket(pool, "v0", 0, steered(SXSK_ATTACH_AUTO));
	sxsk_socket_close(socket);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	sxsk_pool_unref(pool);
}

/* The same with a process that is killed and leaves the child behind. */
Test(xsk_open, a_killed_process_with_a_child_leaves_nothing)
{
	struct sxsk_pool *pool;
	int told[2];
	pid_t orphan = 0, pid;

	cr_assert_eq(pipe(told), 0);
	pid = fork_bounded();
	if (!pid) {
		struct sxsk_socket *socket =
			open_socket(new_pool(256), "v0", 0, steered(SXSK_ATTACH_AUTO));

		orphan = fork();
		if (!orphan) {
			alarm(30);
			sxsk_socket_close(socket);
			orphan = getpid();
			if (write(told[1], &orphan, sizeof(orphan)) < 0)
				_exit(1);
			pause();
		}
		pause();
		_exit(0);
	}
	close(told[1]);
	cr_assert_eq(read(told[0], &orphan, sizeof(orphan)), sizeof(orphan));
	cr_expect_neq(program_on("v0"), 0);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	cr_expect_eq(program_on("v0"), 0);
	pool = new_pool(256);
	sxsk_socket_close(open_socket(pool, "v0", 0, steered(SXSK_ATTACH_AUTO)));
	kill(orphan, SIGKILL);
	close(told[0]);
	sxsk_pool_unref(pool);
}
