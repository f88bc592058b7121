/* SPDX-License-Identifier: BSD-2-Clause */
/* Preferred busy polling: the socket's options, the interface's settings, and who runs the driver when. */
#include "napi.h"
#include "sysfs.h"
#include "veth.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <safexsk/mem.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define DEFER "napi_defer_hard_irqs"
#define TIMEOUT "gro_flush_timeout"

TestSuite(xsk_busy_poll, .init = make_network, .timeout = 60);

/* ---- what the library asks of the kernel --------------------------------------------------------- */

static unsigned receives; /* calls of recvfrom() */
static bool no_sending;   /* sendto() does nothing, and says that all is well */
static int budget = -1;   /* which cannot be read back */

ssize_t __real_recvfrom(int fd, void *to, size_t size, int flags, struct sockaddr *from,
			socklen_t *len);
ssize_t __wrap_recvfrom(int fd, void *to, size_t size, int flags, struct sockaddr *from,
			socklen_t *len);
ssize_t __real_sendto(int fd, const void *from, size_t size, int flags, const struct sockaddr *to,
		      socklen_t len);
ssize_t __wrap_sendto(int fd, const void *from, size_t size, int flags, const struct sockaddr *to,
		      socklen_t len);
int __real_setsockopt(int fd, int level, int option, const void *value, socklen_t len);
int __wrap_setsockopt(int fd, int level, int option, const void *value, socklen_t len);

ssize_t __wrap_recvfrom(int fd, void *to, size_t size, int flags, struct sockaddr *from,
			socklen_t *len)
{
	receives++;
	return __real_recvfrom(fd, to, size, flags, from, len);
}

ssize_t __wrap_sendto(int fd, const void *from, size_t size, int flags, const struct sockaddr *to,
		      socklen_t len)
{
	return no_sending ? 0 : __real_sendto(fd, from, size, flags, to, len);
}

int __wrap_setsockopt(int fd, int level, int option, const void *value, socklen_t len)
{
	if (level == SOL_SOCKET && option == SO_BUSY_POLL_BUDGET)
		memcpy(&budget, value, sizeof(budget));
	return __real_setsockopt(fd, level, option, value, len);
}

static int option_of(struct sxsk_socket *socket, int option)
{
	socklen_t len = sizeof(int);
	int value = -1;

	cr_assert_eq(getsockopt(sxsk_priv_socket_of(socket, "test")->fd, SOL_SOCKET, option, &value,
				&len),
		     0);
	return value;
}

static struct sxsk_socket_opts busy(uint32_t us)
{
	struct sxsk_socket_opts opts = steered(SXSK_ATTACH_AUTO);

	opts.busy_poll_us = us;
	return opts;
}

/* A setting of an interface of this thread's namespace. */
static int64_t setting(const char *ifname, const char *name)
{
	const int sysfs = sxsk_priv_sysfs_open();
	const int fd = sxsk_priv_sysfs_file(sysfs, ifname, name, O_RDONLY);
	const int64_t number = sxsk_priv_sysfs_number(fd);

	cr_assert_geq(fd, 0, "%s of %s: %s", name, ifname, strerror(-fd));
	close(fd);
	close(sysfs);
	return number;
}

static void set(const char *ifname, const char *name, unsigned value)
{
	run("echo %u >/sys/class/net/%s/%s", value, ifname, name);
}

static void expect_settings(const char *ifname, int64_t defer, int64_t timeout)
{
	cr_expect_eq(setting(ifname, DEFER), defer, "%s: %ld", ifname,
		     (long)setting(ifname, DEFER));
	cr_expect_eq(setting(ifname, TIMEOUT), timeout, "%s: %ld", ifname,
		     (long)setting(ifname, TIMEOUT));
}

static void refused(struct sxsk_pool *pool, const char *ifname, uint32_t queue,
		    struct sxsk_socket_opts opts, int err, const char *sentence)
{
	struct sxsk_socket *socket;

	cr_expect_eq(sxsk_socket_open(&socket, pool, ifname, queue, &opts), err, "%s",
		     sxsk_last_error());
	cr_expect(strstr(sxsk_last_error(), sentence), "\"%s\" lacks \"%s\"", sxsk_last_error(),
		  sentence);
}

Test(xsk_busy_poll, socket_and_interface_are_set_up_and_the_interface_is_put_back)
{
	struct sxsk_pool *pool = new_pool(1024);
	struct sxsk_socket *socket = open_socket(pool, "v0", 0, busy(20));

	cr_expect_eq(option_of(socket, SO_PREFER_BUSY_POLL), 1);
	cr_expect_eq(option_of(socket, SO_BUSY_POLL), 20);
	cr_expect_eq(budget, 64);
	expect_settings("v0", 2, 200000);
	expect_settings("v1", 0, 0);
	sxsk_socket_close(socket);
	expect_settings("v0", 0, 0);
	budget = -1;
	socket = open_socket(pool, "v0", 0, steered(SXSK_ATTACH_AUTO));
	cr_expect_eq(option_of(socket, SO_PREFER_BUSY_POLL), 0, "not unless asked for");
	cr_expect_eq(budget, -1);
	expect_settings("v0", 0, 0);
	sxsk_socket_close(socket);
	sxsk_pool_unref(pool);
}

Test(xsk_busy_poll, what_is_asked_for_is_set)
{
	struct sxsk_pool *pool = new_pool(1024);
	struct sxsk_socket_opts opts = busy(1000000);
	struct sxsk_socket *socket;

	opts.busy_poll_budget = 65535;
	opts.napi_defer_hard_irqs = 0x7fffffff;
	opts.gro_flush_timeout_ns = UINT32_MAX;
	socket = open_socket(pool, "v0", 0, opts);
	cr_expect_eq(option_of(socket, SO_BUSY_POLL), 1000000);
	cr_expect_eq(budget, 65535);
	expect_settings("v0", 0x7fffffff, UINT32_MAX);
	sxsk_socket_close(socket);
	expect_settings("v0", 0, 0);
	sxsk_pool_unref(pool);
}

/* ---- whose settings they are ----------------------------------------------------------------------- */

Test(xsk_busy_poll, the_last_of_several_sockets_puts_the_settings_back)
{
	struct sxsk_pool *pool = new_pool(4096);
	struct sxsk_socket *a = open_socket(pool, "m0", 0, busy(20)), *b;

	b = open_socket(pool, "m0", 1, busy(50));
	sxsk_socket_close(a);
	expect_settings("m0", 2, 200000);
	a = open_socket(pool, "m0", 0, steered(SXSK_ATTACH_AUTO));
	sxsk_socket_close(b);
	expect_settings("m0", 0, 0);
	sxsk_socket_close(a);
	sxsk_pool_unref(pool);
}

Test(xsk_busy_poll, sockets_of_one_process_agree)
{
	struct sxsk_pool *pool = new_pool(4096);
	struct sxsk_socket_opts opts = busy(20), other = opts;
	struct sxsk_socket *a, *b;

	opts.napi_defer_hard_irqs = 5;
	a = open_socket(pool, "m0", 0, opts);
	other.napi_defer_hard_irqs = 6;
	refused(pool, "m0", 1, other, -EBUSY,
		"has m0's napi_defer_hard_irqs at 5, this one asks for 6");
	other.napi_defer_hard_irqs = 5;
	other.gro_flush_timeout_ns = 100000;
	refused(pool, "m0", 1, other, -EBUSY,
		"has m0's gro_flush_timeout at 200000, this one asks for 100000");
	expect_settings("m0", 5, 200000);
	b = open_socket(pool, "m1", 1, other);
	expect_settings("m1", 5, 100000);
	sxsk_socket_close(b);
	b = open_socket(pool, "m0", 1, busy(20));
	sxsk_socket_close(a);
	expect_settings("m0", 5, 200000);
	sxsk_socket_close(b);
	expect_settings("m0", 0, 0);
	sxsk_pool_unref(pool);
}

Test(xsk_busy_poll, what_somebody_has_set_is_left_as_it_is)
{
	struct sxsk_pool *pool = new_pool(1024);
	struct sxsk_socket_opts opts = busy(20);
	struct sxsk_socket *socket;

	set("v0", DEFER, 7);
	socket = open_socket(pool, "v0", 0, opts);
	expect_settings("v0", 7, 200000);
	sxsk_socket_close(socket);
	expect_settings("v0", 7, 0);
	opts.napi_defer_hard_irqs = 3;
	socket = open_socket(pool, "v0", 0, opts);
	expect_settings("v0", 3, 200000);
	set("v0", TIMEOUT, 12345);
	sxsk_socket_close(socket);
	expect_settings("v0", 7, 12345);
	sxsk_pool_unref(pool);
}

Test(xsk_busy_poll, an_open_that_fails_puts_the_settings_back)
{
	struct sxsk_pool *pool = new_pool(1024);
	struct sxsk_socket_opts opts = busy(20);

	opts.mode = SXSK_MODE_ZEROCOPY;
	refused(pool, "v0", 0, opts, -EOPNOTSUPP, "no zero-copy");
	expect_settings("v0", 0, 0);
	sxsk_pool_unref(pool);
}

Test(xsk_busy_poll, an_interface_that_was_renamed_is_put_back_and_one_that_is_gone_is_not)
{
	struct sxsk_pool *pool = new_pool(1024);
	struct sxsk_socket *socket = open_socket(pool, "v0", 0, busy(20));

	run("ip link set v0 down; ip link set v0 name v9; ip link set v9 up");
	sxsk_socket_close(socket);
	expect_settings("v9", 0, 0);
	socket = open_socket(pool, "v9", 0, busy(20));
	run("ip link del v9");
	sxsk_socket_close(socket);
	sxsk_pool_unref(pool);
}

/* /sys shows another network namespace, with an interface of the same name. */
Test(xsk_busy_poll, the_interface_is_the_one_of_the_threads_namespace)
{
	const int other = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	struct sxsk_pool *pool = new_pool(1024);
	struct sxsk_socket *socket;

	cr_assert_eq(unshare(CLONE_NEWNET), 0);
	run("ip link add v0 type veth peer name v1; ip link set v0 up; ip link set v1 up");
	socket = open_socket(pool, "v0", 0, busy(20));
	expect_settings("v0", 2, 200000);
	run("[ $(cat /sys/class/net/v0/napi_defer_hard_irqs) = 0 ]");
	run("[ $(cat /sys/class/net/v0/gro_flush_timeout) = 0 ]");
	sxsk_socket_close(socket);
	expect_settings("v0", 0, 0);
	close(other);
	sxsk_pool_unref(pool);
}

/* What the header says of it. */
Test(xsk_busy_poll, a_killed_process_leaves_its_settings)
{
	struct sxsk_pool *pool;
	struct sxsk_socket *socket;
	int ready[2];
	char byte = 0;
	pid_t pid;

	cr_assert_eq(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)open_socket(new_pool(1024), "v0", 0, busy(20));
		if (write(ready[1], &byte, 1) == 1)
			pause();
		_exit(1);
	}
	cr_assert_eq(read(ready[0], &byte, 1), 1);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	expect_settings("v0", 2, 200000);
	pool = new_pool(1024);
	socket = open_socket(pool, "v0", 0, busy(20));
	sxsk_socket_close(socket);
	expect_settings("v0", 2, 200000);
	sxsk_pool_unref(pool);
}

/* ---- who may -------------------------------------------------------------------------------------- */

static void keep_capabilities(uint64_t keep)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	const struct __user_cap_data_struct data[2] = {
		{ .effective = (uint32_t)keep, .permitted = (uint32_t)keep },
		{ .effective = (uint32_t)(keep >> 32), .permitted = (uint32_t)(keep >> 32) },
	};

	cr_assert_eq(syscall(SYS_capset, &header, data), 0);
}

Test(xsk_busy_poll, capabilities_and_how_to_do_with_fewer)
{
	struct sxsk_pool *pool = new_pool(1024);
	struct sxsk_socket_opts opts = busy(20);
	struct sxsk_socket *socket;

	opts.steer = SXSK_STEER_NONE;
	set("v0", DEFER, 9);
	keep_capabilities(1ull << CAP_NET_RAW | 1ull << CAP_NET_ADMIN);
	refused(pool, "v0", 0, opts, -EPERM, "CAP_SYS_ADMIN");
	refused(pool, "v0", 0, opts, -EPERM, "have them set, and open with SXSK_SOCKET_KEEP_NAPI");
	opts.flags = SXSK_SOCKET_KEEP_NAPI;
	socket = open_socket(pool, "v0", 0, opts);
	cr_expect_eq(option_of(socket, SO_PREFER_BUSY_POLL), 1);
	run("[ $(cat /sys/class/net/v0/napi_defer_hard_irqs) = 9 ]");
	run("[ $(cat /sys/class/net/v0/gro_flush_timeout) = 0 ]");
	sxsk_socket_close(socket);
	run("[ $(cat /sys/class/net/v0/napi_defer_hard_irqs) = 9 ]");
	keep_capabilities(1ull << CAP_NET_RAW);
	refused(pool, "v0", 0, opts, -EPERM, "busy polling needs CAP_NET_ADMIN");
	sxsk_pool_unref(pool);
}

Test(xsk_busy_poll, settings_that_may_not_be_changed_are_an_error_unless_they_are_right)
{
	struct sxsk_pool *pool = new_pool(1024);
	struct sxsk_socket_opts opts = busy(20);
	struct sxsk_socket *socket;

	opts.steer = SXSK_STEER_NONE;
	set("v0", DEFER, 2);
	set("v0", TIMEOUT, 50000);
	/* A sysfs of its own, but not its files for writing: they are root's. */
	cr_assert_eq(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0), 0);
	cr_assert_eq(setuid(65534), 0);
	keep_capabilities(1ull << CAP_NET_RAW | 1ull << CAP_NET_ADMIN | 1ull << CAP_SYS_ADMIN |
			  1ull << CAP_IPC_LOCK);
	socket = open_socket(pool, "v0", 0, opts);
	sxsk_socket_close(socket);
	expect_settings("v0", 2, 50000);
	opts.gro_flush_timeout_ns = 60000;
	refused(pool, "v0", 0, opts, -EPERM, "cannot change v0's NAPI settings");
	expect_settings("v0", 2, 50000);
	sxsk_pool_unref(pool);
}

/* ---- traffic -------------------------------------------------------------------------------------- */

Test(xsk_busy_poll, packets_pass_both_ways)
{
	struct sxsk_pool *pool = new_pool(4096);
	struct sxsk_socket *a = open_socket(pool, "v0", 0, busy(20));
	struct sxsk_socket *b = open_socket(pool, "v1", 0, busy(20));

	carry(a, pool, b, 3000);
	carry(b, pool, a, 3000);
	sxsk_socket_close(a);
	sxsk_socket_close(b);
	sxsk_pool_unref(pool);
}

static unsigned receive_nothing(struct sxsk_socket *socket)
{
	const unsigned before = receives;
	struct sxsk_buf bufs[32];

	cr_assert_eq(sxsk_rx_burst(socket, bufs, 32), 0);
	return receives - before;
}

Test(xsk_busy_poll, a_burst_that_finds_nothing_runs_the_driver_and_others_do_not)
{
	struct sxsk_pool *pool = new_pool(4096);
	struct sxsk_socket *a = open_socket(pool, "v0", 0, steered(SXSK_ATTACH_AUTO));
	struct sxsk_socket *b = open_socket(pool, "v1", 0, busy(20));
	struct sxsk_buf bufs[32];

	cr_expect_eq(receive_nothing(a), 0);
	cr_expect_eq(receive_nothing(b), 1);
	cr_expect_eq(stats_of(a).rx_kicks, 0);
	cr_expect_eq(stats_of(b).rx_kicks, 1);
	cr_assert_eq(send_some(a, pool, 0, 32), 32);
	cr_assert_eq(sxsk_socket_wait(b, SXSK_WAIT_RX, 5000), SXSK_WAIT_RX);
	receives = 0;
	cr_assert_geq(sxsk_rx_burst(b, bufs, 1), 1);
	cr_expect_eq(receives, 0, "there was something");
	sxsk_buf_unref_burst(bufs, 1);
	sxsk_socket_close(a);
	sxsk_socket_close(b);
	sxsk_pool_unref(pool);
}

/* It runs the driver before it sleeps, and wakes up when a packet comes. */
Test(xsk_busy_poll, waiting_works)
{
	struct sxsk_pool *pool = new_pool(4096);
	struct sxsk_socket *a = open_socket(pool, "v0", 0, busy(20));
	struct sxsk_socket *b = open_socket(pool, "v1", 0, busy(20));
	pid_t pid;

	receives = 0;
	cr_expect_eq(sxsk_socket_wait(b, SXSK_WAIT_RX, 0), 0);
	cr_expect_geq(receives, 1);
	pid = fork();
	if (pid == 0) {
		/* Something for the stack, from an interface without a socket of ours in this process. */
		usleep(200000);
		execlp("ip", "ip", "link", "set", "v1", "down", (char *)NULL);
		_exit(1);
	}
	cr_expect_eq(sxsk_socket_wait(b, SXSK_WAIT_RX, 20000), -ENETDOWN);
	waitpid(pid, NULL, 0);
	run("ip link set v1 up");
	for (uint32_t i = 0, next = 0; i < 50; i++) {
		cr_assert_eq(send_some(a, pool, i, 1), 1);
		while (next == i) {
			cr_assert_eq(sxsk_socket_wait(b, SXSK_WAIT_RX, 5000), SXSK_WAIT_RX, "%u",
				     i);
			receive_some(b, &next);
		}
		cr_assert_geq(sxsk_socket_wait(a, SXSK_WAIT_TX, 5000), 0);
	}
	sxsk_socket_close(a);
	sxsk_socket_close(b);
	sxsk_pool_unref(pool);
}

/* As with a driver whose sending has a NAPI instance of its own. */
Test(xsk_busy_poll, what_sendto_does_not_move_is_moved_by_poll)
{
	struct sxsk_pool *pool = new_pool(4096);
	struct sxsk_socket *plain = open_socket(pool, "v0", 0, defaults());
	struct sxsk_socket *socket = open_socket(pool, "v1", 0, busy(20));

	no_sending = true;
	cr_assert_eq(send_some(plain, pool, 0, 8), 8);
	cr_assert_eq(send_some(socket, pool, 0, 8), 8);
	cr_assert_eq(sxsk_tx_burst(plain, NULL, 0), 0);
	for (int64_t end = milliseconds() + 5000; milliseconds() < end;) {
		cr_assert_eq(sxsk_tx_burst(socket, NULL, 0), 0);
		if (stats_of(socket).tx_completed == 8)
			break;
	}
	cr_expect_eq(stats_of(socket).tx_completed, 8);
	cr_expect_eq(stats_of(plain).tx_completed, 0);
	no_sending = false;
	sxsk_socket_close(plain);
	sxsk_socket_close(socket);
	sxsk_pool_unref(pool);
}

/* The kernel's part is the test's, and asks for no wake-up. */
Test(xsk_busy_poll, sending_kicks_while_something_is_out_whether_asked_for_or_not)
{
	struct sxsk_pool *pool = new_pool(1024);
	struct sxsk_socket *plain = open_socket(pool, "mem:plain", 0, defaults());
	struct sxsk_socket *socket = open_socket(pool, "mem:busy", 0, busy(20));
	struct sxsk_mem_rings k;
	struct xdp_desc *sent;

	cr_assert_eq(sxsk_mem_take_rings(plain, &k), 0);
	cr_assert_eq(sxsk_mem_take_rings(socket, &k), 0);
	cr_assert_eq(send_some(plain, pool, 0, 8), 8);
	cr_expect_eq(stats_of(plain).kicks, 0);
	cr_assert_eq(sxsk_tx_burst(socket, NULL, 0), 0);
	cr_expect_eq(stats_of(socket).kicks, 0, "nothing is out");
	cr_assert_eq(send_some(socket, pool, 0, 1), 1);
	cr_expect_eq(stats_of(socket).kicks, 1);
	sent = (struct xdp_desc *)k.tx.entries;
	__atomic_store_n(k.tx.consumer, 1, __ATOMIC_RELEASE);
	cr_assert_eq(sxsk_tx_burst(socket, NULL, 0), 0);
	cr_expect_eq(stats_of(socket).kicks, 2, "the driver has it, and has not completed it");
	((uint64_t *)k.comp.entries)[0] = sent[0].addr;
	__atomic_store_n(k.comp.producer, 1, __ATOMIC_RELEASE);
	cr_assert_eq(sxsk_tx_burst(socket, NULL, 0), 0);
	cr_expect_eq(stats_of(socket).kicks, 2, "nothing is out any more");
	cr_expect_eq(stats_of(socket).tx_completed, 1);
	sxsk_socket_close(socket);
	sxsk_socket_close(plain);
	sxsk_pool_unref(pool);
}
