/* SPDX-License-Identifier: BSD-2-Clause */
/* All queues of an interface in one call. */
#include "veth.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/if_tun.h>
#include <safexsk/mem.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#define ROOM 8

TestSuite(open_all, .init = make_network, .timeout = 60);

/* q0 has 4 RX and 5 TX queues, q1 the other way round. */
static void many_queues(void)
{
	run("ip link add q0 numrxqueues 4 numtxqueues 5 type veth peer name q1 "
	    "numrxqueues 5 numtxqueues 4");
	run("ip link set q0 up; ip link set q1 up");
}

static void refused(struct sxsk_pool *pool, const char *ifname, unsigned room,
		    struct sxsk_socket_opts opts, int err, const char *sentence)
{
	struct sxsk_socket *sockets[ROOM] = { NULL };
	struct sxsk_pool_stats before = { .sz = sizeof(before) }, after = before;
	unsigned n = room;

	sxsk_pool_stats(pool, &before);
	cr_expect_eq(sxsk_socket_open_all(sockets, &n, pool, ifname, &opts), err, "%s",
		     sxsk_last_error());
	cr_expect(strstr(sxsk_last_error(), sentence), "\"%s\" lacks \"%s\"", sxsk_last_error(),
		  sentence);
	for (unsigned i = 0; i < ROOM; i++)
		cr_expect_null(sockets[i]);
	sxsk_pool_stats(pool, &after);
	cr_expect_eq(after.sockets, before.sockets, "none is open");
	if (err != -E2BIG)
		cr_expect_eq(n, room);
}

/* Open all, of which there are this many, in order. */
static void open_them(struct sxsk_socket *sockets[], unsigned number, struct sxsk_pool *pool,
		      const char *ifname, struct sxsk_socket_opts opts)
{
	unsigned n = ROOM;

	cr_assert_eq(sxsk_socket_open_all(sockets, &n, pool, ifname, &opts), 0, "%s",
		     sxsk_last_error());
	log_real_socket();
	cr_assert_eq(n, number);
	for (unsigned i = 0; i < n; i++)
		cr_expect_eq(stats_of(sockets[i]).queue, i);
}

static void close_them(struct sxsk_socket *sockets[], unsigned n)
{
	while (n > 0)
		sxsk_socket_close(sockets[--n]);
}

Test(open_all, each_rx_queue_has_its_socket)
{
	struct sxsk_pool *pool = new_pool(8192);
	struct sxsk_socket *to[ROOM], *from[ROOM];
	struct sxsk_socket_opts sender = defaults();

	many_queues();
	sender.flags = SXSK_SOCKET_NO_RX;
	open_them(to, 4, pool, "q0", steered(SXSK_ATTACH_AUTO));
	open_them(from, 4, pool, "q1", sender);
	for (unsigned q = 0; q < 4; q++) {
		carry(from[q], pool, to[q], 300);
		cr_expect_eq(stats_of(to[q]).rx_packets, 300);
	}
	close_them(to, 4);
	close_them(from, 4);
	cr_expect_eq(program_on("q0"), 0);
	sxsk_pool_unref(pool);
}

Test(open_all, rx_and_tx_queues_are_counted_apart)
{
	struct sxsk_pool *pool = new_pool(8192);
	struct sxsk_socket *sockets[ROOM];
	struct sxsk_socket_opts opts = defaults();

	many_queues();
	opts.flags = SXSK_SOCKET_NO_RX;
	open_them(sockets, 5, pool, "q0", opts);
	close_them(sockets, 5);
	open_them(sockets, 4, pool, "q1", opts);
	close_them(sockets, 4);
	open_them(sockets, 5, pool, "q1", defaults());
	close_them(sockets, 5);
	sxsk_pool_unref(pool);
}

Test(open_all, frames_are_shared_equally)
{
	struct sxsk_pool *pool = new_pool(1024);
	struct sxsk_pool_stats stats = { .sz = sizeof(stats) };
	struct sxsk_socket *sockets[ROOM];
	uint64_t first;

	many_queues();
	open_them(sockets, 4, pool, "q0", defaults());
	first = stats_of(sockets[0]).fill_given;
	for (unsigned i = 1; i < 4; i++)
		cr_expect_leq(llabs((long long)(stats_of(sockets[i]).fill_given - first)), 64,
			      "a magazine of difference");
	sxsk_pool_stats(pool, &stats);
	cr_expect_geq(first, 1024 / 6);
	cr_expect_geq(stats.total - stats.fill, 1024 / 6, "some are left for the program");
	close_them(sockets, 4);
	sxsk_pool_unref(pool);
}

Test(open_all, too_little_room_is_refused_with_the_number)
{
	struct sxsk_pool *pool = new_pool(1024);
	struct sxsk_socket *sockets[3] = { NULL };
	unsigned n = 3;

	many_queues();
	cr_expect_eq(sxsk_socket_open_all(sockets, &n, pool, "q0", NULL), -E2BIG);
	cr_expect_eq(n, 4);
	cr_expect(strstr(sxsk_last_error(), "q0 has 4 queues, and there is room for 3"), "%s",
		  sxsk_last_error());
	n = 0;
	cr_expect_eq(sxsk_socket_open_all(NULL, &n, pool, "q0", NULL), -E2BIG);
	cr_expect_eq(n, 4);
	refused(pool, "q0", 0, defaults(), -E2BIG, "room for 0");
	sxsk_pool_unref(pool);
}

Test(open_all, wrong_arguments_are_refused)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_socket *sockets[ROOM];
	struct sxsk_socket_opts wrong = defaults();
	unsigned n = ROOM;

	wrong.mode = 7;
	refused(pool, "v0", ROOM, wrong, -EINVAL, "mode is 7");
	refused(pool, "nosuch0", ROOM, defaults(), -ENODEV, "no interface nosuch0");
	refused(pool, "", ROOM, defaults(), -EINVAL, "empty");
	refused(pool, "mem:", ROOM, defaults(), -EINVAL, "without a name");
	cr_expect_eq(sxsk_socket_open_all(sockets, NULL, pool, "v0", NULL), -EINVAL);
	cr_expect_eq(sxsk_socket_open_all(NULL, &n, pool, "v0", NULL), -EINVAL);
	cr_expect_eq(sxsk_socket_open_all(sockets, &n, pool, NULL, NULL), -EINVAL);
	sxsk_pool_unref(pool);
}

static int open_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	cr_assert(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

Test(open_all, one_queue_that_is_taken_and_none_is_open)
{
	struct sxsk_pool *pool = new_pool(8192);
	struct sxsk_socket *sockets[ROOM], *third;
	int before;

	many_queues();
	/* What slots keep once used. */
	open_them(sockets, 4, pool, "q0", steered(SXSK_ATTACH_AUTO));
	close_them(sockets, 4);
	third = open_socket(pool, "q0", 2, defaults());
	before = open_descriptors();
	refused(pool, "q0", ROOM, steered(SXSK_ATTACH_AUTO), -EBUSY, "q0 queue 2 has a socket");
	cr_expect_eq(open_descriptors(), before);
	cr_expect_eq(program_on("q0"), 0);
	sxsk_socket_close(third);
	open_them(sockets, 4, pool, "q0", steered(SXSK_ATTACH_AUTO));
	close_them(sockets, 4);
	sxsk_pool_unref(pool);
}

/* A tap has as many queues as it is opened times. */
static void open_tap(const char *name, short flags)
{
	struct ifreq ifr = { .ifr_flags = (short)(IFF_TAP | IFF_NO_PI | flags) };
	const int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	cr_assert_geq(fd, 0);
	strncpy(ifr.ifr_name, name, IFNAMSIZ - 1);
	cr_assert_eq(ioctl(fd, TUNSETIFF, &ifr), 0, "%s", strerror(errno));
}

Test(open_all, a_tap_has_as_many_queues_as_it_is_opened_times)
{
	struct sxsk_pool *pool = new_pool(8192);
	struct sxsk_socket *sockets[ROOM];

	for (int i = 0; i < 3; i++)
		open_tap("t0", IFF_MULTI_QUEUE);
	run("ip link set t0 up");
	open_them(sockets, 3, pool, "t0", defaults());
	close_them(sockets, 3);
	sxsk_pool_unref(pool);
}

/* In the middle of the files that are counted, when it is set: descriptors are out. */
static bool descriptors_end;

int __real_openat64(int dir, const char *path, int flags);
int __wrap_openat64(int dir, const char *path, int flags);

int __wrap_openat64(int dir, const char *path, int flags)
{
	if (descriptors_end && strstr(path, "/queues/rx-2")) {
		errno = EMFILE;
		return -1;
	}
	return __real_openat64(dir, path, flags);
}

/* Fewer sockets than queues would look like all of them. */
Test(open_all, queues_that_cannot_be_counted_to_the_end_are_an_error)
{
	struct sxsk_pool *pool = new_pool(8192);
	struct sxsk_socket *sockets[ROOM];

	run("ip link add i0 numrxqueues 3 numtxqueues 2 type ifb; ip link set i0 up");
	descriptors_end = true;
	refused(pool, "i0", ROOM, defaults(), -EMFILE, "count the queues of i0");
	descriptors_end = false;
	open_them(sockets, 3, pool, "i0", defaults());
	close_them(sockets, 3);
	sxsk_pool_unref(pool);
}

/* Two drivers that do not tell how many queues they have. */
Test(open_all, sysfs_knows_where_the_driver_does_not_tell)
{
	struct sxsk_pool *pool = new_pool(8192);
	struct sxsk_socket *sockets[ROOM];
	struct sxsk_socket_opts opts = defaults();

	run("ip link add i0 numrxqueues 3 numtxqueues 2 type ifb; ip link set i0 up");
	/* Whatever is at /sys, it is not asked: it may be another namespace's. */
	run("umount -l /sys");
	open_them(sockets, 3, pool, "i0", opts);
	close_them(sockets, 3);
	opts.flags = SXSK_SOCKET_NO_RX;
	open_them(sockets, 2, pool, "i0", opts);
	close_them(sockets, 2);
	open_them(sockets, 1, pool, "lo", defaults());
	close_them(sockets, 1);
	sxsk_pool_unref(pool);
}

/* sysfs knows an interface by its name only: where the sockets' queues and NAPI settings are. */
Test(open_all, an_alternative_name_is_as_good)
{
	struct sxsk_pool *pool = new_pool(8192);
	struct sxsk_socket *sockets[ROOM], *socket;
	struct sxsk_socket_opts opts = defaults();

	run("ip link add i0 numrxqueues 3 numtxqueues 2 type ifb; ip link set i0 up");
	run("ip link property add dev i0 altname other");
	run("ip link property add dev v0 altname another");
	open_them(sockets, 3, pool, "other", opts);
	cr_expect_str_eq(stats_of(sockets[2]).ifname, "i0");
	close_them(sockets, 3);
	opts.busy_poll_us = 20;
	socket = open_socket(pool, "another", 0, opts);
	cr_expect_str_eq(stats_of(socket).ifname, "v0");
	sxsk_socket_close(socket);
	sxsk_pool_unref(pool);
}

Test(open_all, nobody_tells_without_the_capability_to_see_sysfs)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	const uint32_t kept = 1u << CAP_NET_RAW | 1u << CAP_IPC_LOCK;
	const struct __user_cap_data_struct keep[2] = { { .effective = kept, .permitted = kept } };
	struct sxsk_pool *pool = new_pool(8192);
	struct sxsk_socket *sockets[ROOM];

	cr_assert_eq(syscall(SYS_capset, &header, keep), 0);
	refused(pool, "lo", ROOM, defaults(), -EOPNOTSUPP, "sysfs not without CAP_SYS_ADMIN");
	open_them(sockets, 2, pool, "m0", defaults());
	close_them(sockets, 2);
	sxsk_pool_unref(pool);
}

/* ---- in the process ------------------------------------------------------------------------------ */

Test(open_all, a_mem_device_has_the_queues_of_the_other_end)
{
	struct sxsk_pool *pool = new_pool(8192);
	struct sxsk_socket *here[ROOM], *there[ROOM];

	for (unsigned q = 0; q < 3; q++)
		cr_assert_eq(sxsk_socket_open(&here[q], pool, "mem:all", q, NULL), 0);
	open_them(there, 3, pool, "mem:all", defaults());
	for (unsigned q = 0; q < 3; q++)
		carry(here[q], pool, there[q], 100);
	refused(pool, "mem:all", ROOM, defaults(), -EBUSY, "a cable has two ends");
	close_them(there, 3);
	close_them(here, 3);
	open_them(here, 1, pool, "mem:all", defaults());
	close_them(here, 1);
	sxsk_pool_unref(pool);
}
