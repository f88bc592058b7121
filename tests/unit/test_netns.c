/* SPDX-License-Identifier: BSD-2-Clause */
/* Sockets in another network namespace than the thread's: v1 and m1 are there, v0 and m0 here. */
#include "refusal.h"
#include "udp.h"

#include <sys/stat.h>

static struct neighbour there;
static char path[64];

static void begin(void)
{
	make_network();
	there = neighbour_begin();
	run("ip link set m1 netns %d; nsenter -t %d -n ip link set m1 up", (int)there.pid,
	    (int)there.pid);
	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)there.pid);
}

static void end(void)
{
	neighbour_end(&there);
}

TestSuite(netns, .init = begin, .fini = end, .timeout = 60);

static uint64_t namespace_of(const char *name)
{
	struct stat st;

	cr_assert_eq(stat(name, &st), 0);
	return st.st_ino;
}

static uint64_t here(void)
{
	return namespace_of("/proc/thread-self/ns/net");
}

static struct sxsk_socket_opts over_there(struct sxsk_socket_opts opts)
{
	opts.netns = path;
	return opts;
}

static void carries(uint32_t attach)
{
	const uint64_t home = here();
	struct sxsk_pool *pool = new_pool(1024), *far = new_pool(1024);
	struct sxsk_socket *a = open_socket(pool, "v0", 0, steered(attach)), *b;

	cr_assert_neq(home, namespace_of(path));
	b = open_socket(far, "v1", 0, over_there(steered(attach)));
	cr_expect_eq(here(), home, "the thread is back");
	cr_expect_eq(stats_of(b).attach, attach);
	carry(a, pool, b, 2000);
	carry(b, far, a, 2000);
	cr_expect_eq(sxsk_socket_error(b), 0);
	sxsk_socket_close(a);
	sxsk_socket_close(b);
	b = open_socket(far, "v1", 0, over_there(steered(attach)));
	sxsk_socket_close(b);
	cr_expect_eq(here(), home);
	sxsk_pool_unref(pool);
	sxsk_pool_unref(far);
}

Test(netns, packets_between_two_namespaces_native)
{
	carries(SXSK_ATTACH_NATIVE);
}

Test(netns, packets_between_two_namespaces_skb)
{
	carries(SXSK_ATTACH_SKB);
}

/* The same names and numbers are other interfaces there. */
Test(netns, names_are_those_of_the_namespace)
{
	struct sxsk_pool *pool = new_pool(1024);
	struct sxsk_socket *a, *b;

	refused(pool, "v1", 0, defaults(), -ENODEV, "no interface v1 in this network namespace");
	refused(pool, "v0", 0, over_there(defaults()), -ENODEV, "no interface v0");
	/* Before Linux 6.2 what is up keeps its name. */
	run("ip link set v0 down; ip link set v0 name same; ip link set same up");
	run("nsenter -t %d -n sh -c 'ip link set v1 down; ip link set v1 name same; "
	    "ip link set same up'",
	    (int)there.pid);
	a = open_socket(pool, "same", 0, steered(SXSK_ATTACH_AUTO));
	b = open_socket(pool, "same", 0, over_there(steered(SXSK_ATTACH_AUTO)));
	cr_expect_neq(stats_of(a).ifindex, 0);
	carry(a, pool, b, 100);
	sxsk_socket_close(a);
	sxsk_socket_close(b);
	sxsk_pool_unref(pool);
}

Test(netns, all_queues)
{
	const uint64_t home = here();
	struct sxsk_socket_opts opts = over_there(steered(SXSK_ATTACH_AUTO));
	struct sxsk_pool *pool = new_pool(1024);
	struct sxsk_socket *sockets[4];
	unsigned n = 1;

	cr_expect_eq(sxsk_socket_open_all(sockets, &n, pool, "m1", &opts), -E2BIG);
	cr_expect_eq(n, 2);
	cr_expect_eq(here(), home);
	cr_assert_eq(sxsk_socket_open_all(sockets, &n, pool, "m1", &opts), 0, "%s",
		     sxsk_last_error());
	cr_expect_eq(here(), home);
	sxsk_socket_close(sockets[0]);
	sxsk_socket_close(sockets[1]);
	sxsk_pool_unref(pool);
}

Test(netns, errors_leave_the_thread_where_it_was)
{
	const uint64_t home = here();
	struct sxsk_pool *pool = warm_pool(256);
	struct sxsk_socket_opts opts = steered(SXSK_ATTACH_AUTO);
	int before = open_descriptors();

	opts.netns = "/run/netns/nonexistent";
	refused(pool, "v1", 0, opts, -ENOENT, "namespace /run/netns/nonexistent: No such file");
	opts.netns = "/dev/null";
	refused(pool, "v1", 0, opts, -EINVAL, "/dev/null is no network namespace");
	opts.netns = "/proc/self/ns/uts";
	refused(pool, "v1", 0, opts, -EINVAL, "/proc/self/ns/uts is no network namespace");
	opts.netns = path;
	refused(pool, "mem:x", 0, opts, -EINVAL, "mem:x is in no network namespace");
	refused(pool, "v1", 1, opts, -EINVAL, "no queue 1");
	opts.mode = SXSK_MODE_ZEROCOPY;
	refused(pool, "v1", 0, opts, -EOPNOTSUPP, "no zero-copy");
	opts.mode = SXSK_MODE_AUTO;
	cr_expect_eq(here(), home);
	keep_capabilities(1ull << CAP_NET_RAW | 1ull << CAP_NET_ADMIN | 1ull << CAP_BPF |
			  1ull << CAP_SYS_PTRACE);
	refused(pool, "v1", 0, opts, -EPERM, "it needs CAP_SYS_ADMIN");
	cr_expect_eq(here(), home);
	cr_expect_eq(open_descriptors(), before);
	sxsk_pool_unref(pool);
}

/* Nobody here could look it up; but the socket knew. */
Test(netns, an_interface_removed_there_keeps_no_frame)
{
	struct sxsk_pool *pool = new_pool(256);
	struct sxsk_socket *socket = open_socket(pool, "m1", 0, over_there(steered(0)));
	struct sxsk_pool_stats st = { .sz = sizeof(st) };

	run("nsenter -t %d -n ip link del m1", (int)there.pid);
	cr_expect_eq(sxsk_socket_error(socket), -ENXIO);
	sxsk_socket_close(socket);
	sxsk_pool_stats(pool, &st);
	cr_expect_eq(st.quarantined, 0);
	cr_expect_eq(st.depot, st.total);
	sxsk_pool_unref(pool);
}

/* Whose registration is shared where there is a choice: a socket's of the same interface, whatever else has its
 * number elsewhere. With SXSK_MODE_AUTO no other one is. */
Test(netns, registration_is_that_of_the_interface_and_not_of_its_index)
{
	struct sxsk_pool *pool = new_pool(8192);
	struct sxsk_socket *a, *b, *c;
	const struct sxsk_priv_socket *s;

	run("nsenter -t %d -n sh -c 'ip link add u0 index %u type veth peer name u1; "
	    "ip link set u0 up; ip link set u1 up'",
	    (int)there.pid, if_nametoindex("m0"));
	a = open_socket(pool, "m0", 0, defaults());
	b = open_socket(pool, "u0", 0, over_there(defaults()));
	c = open_socket(pool, "m0", 1, defaults());
	s = &sxsk_priv_registry.socket[(uintptr_t)c & 0xffff];
	cr_expect_eq(s->device_data, &sxsk_priv_registry.socket[(uintptr_t)a & 0xffff]);
	sxsk_socket_close(c);
	sxsk_socket_close(b);
	sxsk_socket_close(a);
	sxsk_pool_unref(pool);
}

/* A program that asks a driver is made for its interface, which is in one namespace. */
Test(netns, a_program_that_asks_the_driver_is_steered_from_there)
{
	const struct sxsk_rule rule = to_port(7, 0);
	struct sxsk_prog *prog = new_prog(&rule, 1);
	struct sxsk_socket_opts opts = over_there(defaults());
	struct sxsk_pool *pool = new_pool(256);
	struct sxsk_socket *socket;
	const int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	const int other = open(path, O_RDONLY | O_CLOEXEC);

	cr_assert(home >= 0 && other >= 0);
	opts.prog = prog;
	opts.metadata = SXSK_METADATA_RX_HASH;
	socket = open_socket(pool, "v1", 0, opts);
	refused_with(sxsk_prog_steer(prog, &rule, 1), -EXDEV, "steer it from a thread in there");
	cr_assert_eq(setns(other, CLONE_NEWNET), 0);
	cr_expect_eq(sxsk_prog_steer(prog, &rule, 1), 0, "%s", sxsk_last_error());
	cr_assert_eq(setns(home, CLONE_NEWNET), 0);
	sxsk_socket_close(socket);
	cr_expect_eq(sxsk_prog_steer(prog, &rule, 1), 0, "%s", sxsk_last_error());
	close(home);
	close(other);
	sxsk_prog_unref(prog);
	sxsk_pool_unref(pool);
}

Test(netns, a_program_asks_the_driver_of_its_next_interface_under_the_same_index)
{
	const struct sxsk_rule rule = to_port(7, 0);
	struct sxsk_prog *prog = new_prog(&rule, 1);
	struct sxsk_socket_opts opts = defaults();
	struct sxsk_pool *pool = new_pool(256);
	struct sxsk_socket *socket;

	run("nsenter -t %d -n sh -c 'ip link add u0 index %u type veth peer name u1; "
	    "ip link set u0 up; ip link set u1 up'",
	    (int)there.pid, if_nametoindex("m0"));
	opts.prog = prog;
	opts.metadata = SXSK_METADATA_RX_HASH;
	socket = open_socket(pool, "m0", 0, opts);
	sxsk_socket_close(socket);
	socket = open_socket(pool, "u0", 0, over_there(opts));
	sxsk_socket_close(socket);
	sxsk_prog_unref(prog);
	sxsk_pool_unref(pool);
}
