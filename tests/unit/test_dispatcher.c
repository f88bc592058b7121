/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Beside other XDP programs, in libxdp's dispatcher. For kernels that load programs of type EXT: tests/vm/run
 * runs this, and tests/run does not. A process of its own per test, with its own network and its own
 * /sys/fs/bpf, so nothing is found there that another test left.
 */
#include "dispatched.h"
#include "refusal.h"
#include "udp.h"

#include <linux/if_link.h>

static void mount_pins(void)
{
	cr_assert_eq(mount("bpf", "/sys/fs/bpf", "bpf", 0, NULL), 0, "%s", strerror(errno));
}

static void prepare(void)
{
	make_network();
	mount_pins();
}

TestSuite(dispatcher, .init = prepare, .timeout = 110);

/* How many programs are in the interface's dispatcher; 0: it has none. *ret_ours: of this library's name. */
static unsigned entries(const char *ifname, unsigned *ret_ours)
{
	struct xdp_multiprog *there = xdp_multiprog__get_from_ifindex((int)if_nametoindex(ifname));
	const struct xdp_program *p = NULL;
	unsigned n = 0, ours = 0;

	if (!libxdp_get_error(there)) {
		cr_assert(!xdp_multiprog__is_legacy(there));
		while ((p = xdp_multiprog__next_prog(p, there))) {
			ours += strncmp(xdp_program__name(p), "safexsk", 7) == 0;
			n++;
		}
		xdp_multiprog__close(there);
	}
	if (ret_ours)
		*ret_ours = ours;
	return n;
}

static void expect_entries(const char *ifname, unsigned all, unsigned ours)
{
	unsigned found_ours, found = entries(ifname, &found_ours);

	cr_expect_eq(found, all, "%u programs on %s, and not %u", found, ifname, all);
	cr_expect_eq(found_ours, ours, "%u of them ours, and not %u", found_ours, ours);
}

/* Pinned dispatchers. */
static unsigned pinned(void)
{
	DIR *dir = opendir("/sys/fs/bpf/xdp");
	struct dirent *e;
	unsigned n = 0;

	while (dir && (e = readdir(dir)))
		n += strncmp(e->d_name, "dispatch-", 9) == 0;
	if (dir)
		closedir(dir);
	return n;
}

static struct sxsk_socket *open_dispatched(struct sxsk_pool *pool, const char *ifname,
					   uint32_t queue)
{
	struct sxsk_socket *socket =
		open_socket(pool, ifname, queue, steered(SXSK_ATTACH_DISPATCHER));

	cr_assert_eq(stats_of(socket).attach, SXSK_ATTACH_DISPATCHER);
	return socket;
}

static struct sxsk_socket *open_sender(struct sxsk_pool *pool, const char *ifname)
{
	struct sxsk_socket_opts opts = defaults();

	opts.flags = SXSK_SOCKET_NO_RX;
	return open_socket(pool, ifname, 0, opts);
}

/* Send n packets, for which nobody has to wait. */
static void send_out(struct sxsk_socket *from, struct sxsk_pool *pool, unsigned n)
{
	const uint64_t all = stats_of(from).tx_completed + n;
	const int64_t end = milliseconds() + 20000;

	cr_assert_eq(send_some(from, pool, 0, n), n);
	while (stats_of(from).tx_completed < all && milliseconds() < end)
		cr_assert_eq(sxsk_tx_burst(from, NULL, 0), 0);
	cr_assert_eq(stats_of(from).tx_completed, all);
}

/* NAPI runs a little later than the sender's call. */
static void expect_counted(const struct counter *c, uint64_t n)
{
	const int64_t end = milliseconds() + 20000;

	while (counted(c) < n && milliseconds() < end)
		usleep(1000);
	cr_expect_eq(counted(c), n);
}

/* ---- beside another program -------------------------------------------------------------------------- */

static void another_program_stays(const char *ifname, const char *peer, uint32_t mode,
				  uint32_t attach)
{
	struct counter theirs = counter_attach(ifname, mode, true);
	struct sxsk_pool *pool = new_pool(1024), *far = new_pool(1024);
	struct sxsk_socket *from = open_sender(far, peer), *to = open_dispatched(pool, ifname, 0);
	struct bpf_xdp_query_opts on = { .sz = sizeof(on) };

	expect_entries(ifname, 2, 1);
	cr_assert_eq(bpf_xdp_query((int)if_nametoindex(ifname), 0, &on), 0);
	cr_expect_eq(on.attach_mode, attach);
	carry(from, far, to, 500);
	expect_counted(&theirs, 500);
	sxsk_socket_close(to);
	cr_expect(sxsk_priv_dispatcher_has(theirs.ifindex, theirs.id));
	expect_entries(ifname, 1, 0);
	send_out(from, far, 10);
	expect_counted(&theirs, 510);
	sxsk_socket_close(from);
	counter_detach(&theirs, mode);
	expect_entries(ifname, 0, 0);
	cr_expect_eq(pinned(), 0);
	sxsk_pool_unref(pool);
	sxsk_pool_unref(far);
}

Test(dispatcher, another_program_stays_and_sees_all_packets)
{
	another_program_stays("v0", "v1", XDP_MODE_NATIVE, XDP_ATTACHED_DRV);
}

Test(dispatcher, another_program_stays_in_skb_mode)
{
	another_program_stays("v0", "v1", XDP_MODE_SKB, XDP_ATTACHED_SKB);
}

Test(dispatcher, alone_it_is_native_where_the_driver_can)
{
	struct sxsk_pool *pool = new_pool(1024);
	struct sxsk_socket *a = open_dispatched(pool, "v0", 0), *b;
	struct bpf_xdp_query_opts on = { .sz = sizeof(on) };

	cr_assert_eq(bpf_xdp_query((int)if_nametoindex("v0"), 0, &on), 0);
	cr_expect_eq(on.attach_mode, XDP_ATTACHED_DRV);
	b = open_dispatched(pool, "v1", 0);
	carry(a, pool, b, 500);
	carry(b, pool, a, 500);
	cr_expect_eq(pinned(), 2);
	sxsk_socket_close(a);
	sxsk_socket_close(b);
	cr_expect_eq(program_on("v0"), 0);
	cr_expect_eq(program_on("v1"), 0);
	cr_expect_eq(pinned(), 0);
	sxsk_pool_unref(pool);
}

Test(dispatcher, falls_back_to_skb_mode)
{
	struct sxsk_pool *pool = new_pool(256);
	struct sxsk_socket *socket = open_dispatched(pool, "n0", 0);
	struct bpf_xdp_query_opts on = { .sz = sizeof(on) };

	cr_assert_eq(bpf_xdp_query((int)if_nametoindex("n0"), 0, &on), 0);
	cr_expect_eq(on.attach_mode, XDP_ATTACHED_SKB);
	sxsk_socket_close(socket);
	cr_expect_eq(program_on("n0"), 0);
	sxsk_pool_unref(pool);
}

/* ---- one process, several processes ------------------------------------------------------------------ */

Test(dispatcher, sockets_of_one_process_share_an_entry)
{
	struct sxsk_pool *pool = new_pool(1024);
	struct sxsk_socket *a = open_dispatched(pool, "m0", 0), *b;

	b = open_socket(pool, "m0", 1, steered(SXSK_ATTACH_AUTO));
	cr_expect_eq(stats_of(b).attach, SXSK_ATTACH_DISPATCHER);
	expect_entries("m0", 1, 1);
	sxsk_socket_close(a);
	expect_entries("m0", 1, 1);
	refused(pool, "m0", 0, steered(SXSK_ATTACH_NATIVE), -EBUSY, "as dispatcher");
	a = open_dispatched(pool, "m0", 0);
	sxsk_socket_close(b);
	sxsk_socket_close(a);
	expect_entries("m0", 0, 0);
	sxsk_pool_unref(pool);
}

/* A process with a socket in the dispatcher, until it is killed. */
static pid_t another_process(const char *ifname, uint32_t queue)
{
	int pipe_fds[2];
	char byte;
	pid_t pid;

	cr_assert_eq(pipe(pipe_fds), 0);
	pid = fork();
	cr_assert_geq(pid, 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)open_dispatched(new_pool(256), ifname, queue);
		cr_assert_eq(write(pipe_fds[1], "", 1), 1);
		for (;;)
			pause();
	}
	close(pipe_fds[1]);
	cr_assert_eq(read(pipe_fds[0], &byte, 1), 1, "the other process could not open");
	close(pipe_fds[0]);
	return pid;
}

static void kill_it(pid_t pid)
{
	cr_assert_eq(kill(pid, SIGKILL), 0);
	cr_assert_eq(waitpid(pid, NULL, 0), pid);
}

Test(dispatcher, what_a_killed_process_left_goes_with_the_next_open)
{
	struct counter theirs = counter_attach("v0", XDP_MODE_NATIVE, true);
	struct sxsk_pool *pool = new_pool(1024), *far = new_pool(1024);
	struct sxsk_socket *from = open_sender(far, "v1"), *to;

	kill_it(another_process("v0", 0));
	expect_entries("v0", 2, 1);
	/* It takes nothing. */
	send_out(from, far, 10);
	expect_counted(&theirs, 10);
	refused(pool, "v0", 0, steered(SXSK_ATTACH_AUTO), -EBUSY,
		"open with SXSK_ATTACH_DISPATCHER to be in there too");
	to = open_dispatched(pool, "v0", 0);
	expect_entries("v0", 2, 1);
	cr_expect(sxsk_priv_dispatcher_has(theirs.ifindex, theirs.id));
	carry(from, far, to, 100);
	expect_counted(&theirs, 110);
	sxsk_socket_close(to);
	expect_entries("v0", 1, 0);
	sxsk_socket_close(from);
	sxsk_pool_unref(pool);
	sxsk_pool_unref(far);
}

Test(dispatcher, what_several_killed_processes_left_goes)
{
	struct sxsk_pool *pool = new_pool(256);
	const pid_t first = another_process("m0", 0), second = another_process("m0", 1);

	expect_entries("m0", 2, 2);
	kill_it(first);
	kill_it(second);
	expect_entries("m0", 2, 2);
	sxsk_socket_close(open_dispatched(pool, "m0", 0));
	expect_entries("m0", 0, 0);
	cr_expect_eq(pinned(), 0);
	sxsk_pool_unref(pool);
}

Test(dispatcher, a_living_process_keeps_its_entry)
{
	struct sxsk_pool *pool = new_pool(256);
	const pid_t other = another_process("m0", 0);
	struct sxsk_socket *socket;

	refused(pool, "m0", 0, steered(SXSK_ATTACH_DISPATCHER), -EBUSY, "");
	expect_entries("m0", 1, 1);
	socket = open_dispatched(pool, "m0", 1);
	expect_entries("m0", 2, 2);
	sxsk_socket_close(socket);
	expect_entries("m0", 1, 1);
	kill_it(other);
	sxsk_pool_unref(pool);
}

Test(dispatcher, a_forked_child_takes_nothing_out)
{
	struct sxsk_pool *pool = new_pool(256);
	struct sxsk_socket *socket = open_dispatched(pool, "v0", 0);
	const pid_t pid = fork();
	int status;

	cr_assert_geq(pid, 0);
	if (pid == 0) {
		sxsk_socket_close(socket);
		_exit(0);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_expect_eq(status, 0);
	expect_entries("v0", 1, 1);
	sxsk_socket_close(socket);
	expect_entries("v0", 0, 0);
	sxsk_pool_unref(pool);
}

/* ---- packets in parts -------------------------------------------------------------------------------- */

static bool takes_parts(const char *ifname)
{
	struct xdp_multiprog *there = xdp_multiprog__get_from_ifindex((int)if_nametoindex(ifname));
	bool frags;

	cr_assert_eq(libxdp_get_error(there), 0);
	frags = xdp_multiprog__xdp_frags_support(there);
	xdp_multiprog__close(there);
	return frags;
}

Test(dispatcher, packets_in_parts_where_the_others_take_them)
{
	struct sxsk_socket_opts opts = steered(SXSK_ATTACH_DISPATCHER);
	struct sxsk_pool *pool = new_pool(1024);
	struct sxsk_socket *from, *to;
	struct sxsk_buf bufs[SXSK_MAX_FRAGS];
	const unsigned parts = 4;
	struct counter theirs;
	unsigned n = 0, got = 0;
	uint32_t bytes = 0;

	needs_linux(6, 6, "multi-buffer AF_XDP");
	run("ip link set v0 mtu 9000; ip link set v1 mtu 9000");
	theirs = counter_attach("v0", XDP_MODE_NATIVE, true);
	opts.flags = SXSK_SOCKET_MULTI_BUFFER;
	to = open_socket(pool, "v0", 0, opts);
	cr_expect(takes_parts("v0"));
	opts = defaults();
	opts.flags = SXSK_SOCKET_NO_RX | SXSK_SOCKET_MULTI_BUFFER;
	from = open_socket(pool, "v1", 0, opts);
	n = sxsk_pool_alloc(pool, bufs, parts);
	cr_assert_eq(n, parts);
	for (unsigned i = 0; i < n; i++) {
		cr_assert_eq(sxsk_buf_put(&bufs[i], 1500), 0);
		fill_packet(sxsk_buf_data_mut(bufs[i]), i, 1500);
		if (i + 1 < n)
			bufs[i].flags |= SXSK_BUF_MORE;
	}
	cr_assert_eq(sxsk_tx_burst(from, bufs, n), n);
	while (got == 0 && sxsk_socket_wait(to, SXSK_WAIT_RX, 20000) > 0)
		got = sxsk_rx_burst(to, bufs, SXSK_MAX_FRAGS);
	for (unsigned i = 0; i < got; i++)
		bytes += sxsk_buf_len(bufs[i]);
	cr_expect_gt(got, 1);
	cr_expect_eq(bytes, parts * 1500);
	expect_counted(&theirs, 1);
	sxsk_buf_unref_burst(bufs, got);
	sxsk_socket_close(from);
	sxsk_socket_close(to);
	sxsk_pool_unref(pool);
}

Test(dispatcher, beside_a_program_that_takes_none_none_come)
{
	struct counter theirs = counter_attach("v0", XDP_MODE_NATIVE, false);
	struct sxsk_pool *pool = new_pool(1024), *far = new_pool(1024);
	struct sxsk_socket *from = open_sender(far, "v1"), *to = open_dispatched(pool, "v0", 0);

	cr_expect_not(takes_parts("v0"));
	carry(from, far, to, 100);
	expect_counted(&theirs, 100);
	sxsk_socket_close(to);
	sxsk_socket_close(from);
	sxsk_pool_unref(pool);
	sxsk_pool_unref(far);
}

/* ---- rules ------------------------------------------------------------------------------------------ */

static struct sxsk_socket_opts by(struct sxsk_prog *prog, uint32_t attach)
{
	struct sxsk_socket_opts opts = defaults();

	opts.prog = prog;
	opts.attach = attach;
	return opts;
}

/* The next packet that comes is that one. */
static void expect_udp(struct sxsk_socket *to, uint16_t port, uint32_t number)
{
	struct sxsk_buf buf;

	cr_assert_gt(sxsk_socket_wait(to, SXSK_WAIT_RX, 20000), 0, "number %u", number);
	cr_assert_eq(sxsk_rx_burst(to, &buf, 1), 1);
	cr_expect_eq(udp_port(sxsk_buf_data(buf)), port);
	cr_expect_eq(udp_number(sxsk_buf_data(buf)), number);
	sxsk_buf_unref(&buf);
}

Test(dispatcher, leaves_no_descriptor_open)
{
	const struct sxsk_rule seven = to_port(7, 0);
	struct sxsk_pool *pool = warm_pool(256);
	struct sxsk_prog *prog = new_prog(&seven, 1);
	const int before = open_descriptors();
	struct sxsk_socket *socket = open_socket(pool, "v0", 0, by(prog, SXSK_ATTACH_DISPATCHER));
	const int in_there = open_descriptors();

	cr_assert_eq(sxsk_prog_steer(prog, NULL, 0), 0, "%s", sxsk_last_error());
	cr_expect_eq(open_descriptors(), in_there);
	sxsk_socket_close(socket);
	cr_expect_eq(open_descriptors(), before);
	sxsk_prog_unref(prog);
	sxsk_pool_unref(pool);
}

Test(dispatcher, rules_change_while_it_is_in_there)
{
	struct counter theirs = counter_attach("v0", XDP_MODE_NATIVE, true);
	const struct sxsk_rule seven = to_port(7, 0), eight = to_port(8, 0);
	struct sxsk_pool *pool = new_pool(1024), *far = new_pool(1024);
	struct sxsk_prog *prog = new_prog(&seven, 1);
	struct sxsk_socket *from = open_sender(far, "v1");
	struct sxsk_socket *to = open_socket(pool, "v0", 0, by(prog, SXSK_ATTACH_DISPATCHER));

	expect_entries("v0", 2, 1);
	send_udp(from, far, 8, 1); /* to the stack */
	send_udp(from, far, 7, 2);
	expect_udp(to, 7, 2);
	cr_assert_eq(sxsk_prog_steer(prog, &eight, 1), 0, "%s", sxsk_last_error());
	expect_entries("v0", 2, 1);
	send_udp(from, far, 7, 3);
	send_udp(from, far, 8, 4);
	expect_udp(to, 8, 4);
	cr_assert_eq(sxsk_prog_steer(prog, NULL, 0), 0, "%s", sxsk_last_error());
	expect_entries("v0", 2, 1);
	cr_assert_eq(sxsk_prog_steer(prog, &seven, 1), 0, "%s", sxsk_last_error());
	send_udp(from, far, 7, 5);
	expect_udp(to, 7, 5);
	expect_counted(&theirs, 5);
	sxsk_socket_close(to);
	expect_entries("v0", 1, 0);
	/* It is the same program that goes elsewhere, and in another way. */
	counter_detach(&theirs, XDP_MODE_NATIVE);
	to = open_socket(pool, "v0", 0, by(prog, SXSK_ATTACH_NATIVE));
	send_udp(from, far, 8, 6);
	send_udp(from, far, 7, 7);
	expect_udp(to, 7, 7);
	sxsk_socket_close(to);
	sxsk_socket_close(from);
	sxsk_prog_unref(prog);
	sxsk_pool_unref(pool);
	sxsk_pool_unref(far);
}

Test(dispatcher, two_programs_of_one_process)
{
	const struct sxsk_rule seven = to_port(7, 0);
	struct sxsk_pool *pool = new_pool(1024);
	struct sxsk_prog *prog = new_prog(&seven, 1);
	struct sxsk_socket *a = open_dispatched(pool, "m0", 0);
	struct sxsk_socket *b = open_socket(pool, "m0", 1, by(prog, SXSK_ATTACH_DISPATCHER));

	expect_entries("m0", 2, 2);
	sxsk_socket_close(a);
	expect_entries("m0", 1, 1);
	cr_expect_eq(sxsk_prog_steer(prog, NULL, 0), 0, "%s", sxsk_last_error());
	sxsk_socket_close(b);
	expect_entries("m0", 0, 0);
	sxsk_prog_unref(prog);
	sxsk_pool_unref(pool);
}

/* ---- refused, and gone ------------------------------------------------------------------------------- */

Test(dispatcher, a_program_outside_a_dispatcher_is_in_the_way)
{
	struct sxsk_pool *pool = new_pool(256);
	const int map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "count", 4, 8, 1, NULL);
	struct bpf_object *object = counting_object(map);
	const int ifindex = (int)if_nametoindex("v0");
	uint32_t id;
	int fd;

	cr_assert_eq(bpf_object__load(object), 0);
	fd = bpf_program__fd(bpf_object__next_program(object, NULL));
	cr_assert_eq(bpf_xdp_attach(ifindex, fd, XDP_FLAGS_DRV_MODE, NULL), 0);
	id = program_on("v0");
	refused(pool, "v0", 0, steered(SXSK_ATTACH_DISPATCHER), -EBUSY, "is in no dispatcher");
	cr_expect_eq(program_on("v0"), id);
	bpf_object__close(object);
	sxsk_pool_unref(pool);
}

Test(dispatcher, no_place_left)
{
	struct sxsk_pool *pool = new_pool(256);
	struct counter theirs;

	for (int i = 0; i < 10; i++)
		theirs = counter_attach("v0", XDP_MODE_NATIVE, true);
	refused(pool, "v0", 0, steered(SXSK_ATTACH_DISPATCHER), -EBUSY, "no place left, of 10");
	expect_entries("v0", 10, 0);
	counter_detach(&theirs, XDP_MODE_NATIVE);
	sxsk_socket_close(open_dispatched(pool, "v0", 0));
	expect_entries("v0", 9, 0);
	sxsk_pool_unref(pool);
}

Test(dispatcher, without_its_file_system_nothing_is_attached)
{
	struct sxsk_pool *pool = warm_pool(256);
	const int before = open_descriptors();

	cr_assert_eq(umount("/sys/fs/bpf"), 0);
	refused(pool, "v0", 0, steered(SXSK_ATTACH_DISPATCHER), -EOPNOTSUPP, "mount -t bpf bpf");
	cr_expect_eq(program_on("v0"), 0);
	cr_expect_eq(open_descriptors(), before);
	sxsk_pool_unref(pool);
}

/* Somebody took all programs off. */
Test(dispatcher, an_entry_that_was_taken_out_comes_back_with_the_next_open)
{
	const struct sxsk_rule seven = to_port(7, 0);
	struct sxsk_pool *pool = new_pool(256);
	struct sxsk_prog *prog = new_prog(&seven, 1);
	struct sxsk_socket *socket = open_socket(pool, "v0", 0, by(prog, SXSK_ATTACH_DISPATCHER));
	struct xdp_multiprog *there = xdp_multiprog__get_from_ifindex((int)if_nametoindex("v0"));

	cr_assert_eq(xdp_multiprog__detach(there), 0);
	xdp_multiprog__close(there);
	refused_with(sxsk_prog_steer(prog, NULL, 0), -ENODEV, "somebody took it off");
	sxsk_socket_close(socket);
	socket = open_socket(pool, "v0", 0, by(prog, SXSK_ATTACH_DISPATCHER));
	expect_entries("v0", 1, 1);
	sxsk_socket_close(socket);
	expect_entries("v0", 0, 0);
	sxsk_prog_unref(prog);
	sxsk_pool_unref(pool);
}

Test(dispatcher, closes_with_an_interface_that_is_gone)
{
	struct sxsk_pool *pool = new_pool(256);
	struct sxsk_socket *socket = open_dispatched(pool, "v0", 0);

	run("ip link del v0");
	sxsk_socket_close(socket);
	run("ip link add v0 type veth peer name v1; ip link set v0 up; ip link set v1 up");
	sxsk_socket_close(open_dispatched(pool, "v0", 0));
	expect_entries("v0", 0, 0);
	sxsk_pool_unref(pool);
}

/* Closed from elsewhere. */
Test(dispatcher, in_another_network_namespace)
{
	struct neighbour there = neighbour_begin();
	struct sxsk_socket_opts opts = steered(SXSK_ATTACH_DISPATCHER);
	struct sxsk_pool *pool = new_pool(1024), *far = new_pool(1024);
	struct sxsk_socket *from = open_sender(pool, "v0"), *to;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)there.pid);
	opts.netns = path;
	to = open_socket(far, "v1", 0, opts);
	cr_expect_eq(pinned(), 1);
	carry(from, pool, to, 100);
	sxsk_socket_close(to);
	cr_expect_eq(pinned(), 0);
	sxsk_socket_close(from);
	neighbour_end(&there);
	sxsk_pool_unref(pool);
	sxsk_pool_unref(far);
}
