/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * For tests on the kernel's AF_XDP. Each test has a network namespace of its own, without a name,
 * which ends with the test's process however that ends:
 *
 *     v0 ---- v1         one queue each
 *     m0 ==== m1         two queues each
 *     n0 ---- n1         n0 has one RX queue, n1 has four TX queues: no native XDP on n0
 */
#ifndef SXSK_TEST_VETH_H
#define SXSK_TEST_VETH_H

#include "internal.h"

#include <bpf/bpf.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#define TYPE_HIGH 0x88 /* EtherType 0x88b5, for experiments: nothing else on the cable uses it */
#define TYPE_LOW 0xb5
#define DEVICE sxsk_priv_device_xsk

__attribute__((format(printf, 1, 2))) static inline void run(const char *format, ...)
{
	char command[512];
	va_list args;

	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	cr_assert_eq(system(command), 0, "%s", command);
}

static inline void make_network(void)
{
	/* /sys shows the interfaces of the namespace that mounts it. */
	cr_assert_eq(unshare(CLONE_NEWNET | CLONE_NEWNS), 0, "these tests need root");
	cr_assert_eq(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	cr_assert_eq(mount("sysfs", "/sys", "sysfs", 0, NULL), 0);
	/* IPv6 would send by itself. */
	run("f=/proc/sys/net/ipv6/conf/default/disable_ipv6; [ ! -e $f ] || echo 1 >$f");
	run("ip link add v0 type veth peer name v1");
	run("ip link add m0 numrxqueues 2 numtxqueues 2 type veth peer name m1 "
	    "numrxqueues 2 numtxqueues 2");
	run("ip link add n0 numrxqueues 1 numtxqueues 1 type veth peer name n1 "
	    "numrxqueues 1 numtxqueues 4");
	run("for i in lo v0 v1 m0 m1 n0 n1; do ip link set $i up || exit; done");
}

#ifndef SXSK_TEST_SUPPORT_H /* which has the same */
static inline struct sxsk_pool *new_pool(uint32_t frames)
{
	const struct sxsk_pool_opts opts = { .sz = sizeof(opts), .frame_count = frames };
	struct sxsk_pool *pool;

	cr_assert_eq(sxsk_pool_create(&pool, &opts), 0, "%s", sxsk_last_error());
	return pool;
}
#endif

static inline struct sxsk_socket_opts defaults(void)
{
	return (struct sxsk_socket_opts){ .sz = sizeof(struct sxsk_socket_opts) };
}

static inline struct sxsk_socket_opts steered(uint32_t attach)
{
	return (struct sxsk_socket_opts){ .sz = sizeof(struct sxsk_socket_opts),
					  .steer = SXSK_STEER_ALL,
					  .attach = attach };
}

/* tests/run counts the tests that really opened one. */
static inline void log_real_socket(void)
{
	const char *name = getenv("SXSK_XSK_LOG");
	FILE *log = name ? fopen(name, "a") : NULL;

	if (!log)
		return;
	fprintf(log, "%s\n", criterion_current_test->name);
	fclose(log);
}

static inline struct sxsk_socket *open_socket(struct sxsk_pool *pool, const char *ifname,
					      uint32_t queue, struct sxsk_socket_opts opts)
{
	struct sxsk_socket *socket;

	cr_assert_eq(sxsk_socket_open(&socket, pool, ifname, queue, &opts), 0, "%s",
		     sxsk_last_error());
	log_real_socket();
	return socket;
}

static inline struct sxsk_socket_stats stats_of(struct sxsk_socket *socket)
{
	struct sxsk_socket_stats stats = { .sz = sizeof(stats) };

	sxsk_socket_stats(socket, &stats);
	return stats;
}

/* The test is skipped on a kernel before that one. */
static inline void needs_linux(unsigned major, unsigned minor, const char *what)
{
	unsigned has_major = 0, has_minor = 0;
	struct utsname kernel;

	cr_assert_eq(uname(&kernel), 0);
	cr_assert_eq(sscanf(kernel.release, "%u.%u", &has_major, &has_minor), 2);
	if (has_major < major || (has_major == major && has_minor < minor))
		cr_skip_test("this kernel has no %s (Linux %u.%u)", what, major, minor);
}

static inline int64_t milliseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Id of the XDP program on an interface, 0 = none. */
static inline uint32_t program_on(const char *ifname)
{
	struct bpf_xdp_query_opts opts = { .sz = sizeof(opts) };

	cr_assert_eq(bpf_xdp_query((int)if_nametoindex(ifname), 0, &opts), 0);
	return opts.prog_id;
}

static inline void fill_packet(unsigned char *p, uint32_t number, uint32_t len)
{
	memset(p, (int)number, len);
	memset(p, 0xff, 6);
	memset(p + 6, 2, 6);
	p[12] = TYPE_HIGH;
	p[13] = TYPE_LOW;
	memcpy(p + 14, &number, sizeof(number));
}

static inline uint32_t packet_length(uint32_t number)
{
	return 60 + number % 1400;
}

static inline unsigned send_some(struct sxsk_socket *socket, struct sxsk_pool *pool, uint32_t first,
				 unsigned n)
{
	struct sxsk_buf bufs[64];
	unsigned got = sxsk_pool_alloc(pool, bufs, n), sent = 0;

	for (unsigned i = 0; i < got; i++) {
		const uint32_t len = packet_length(first + i);

		cr_assert_eq(sxsk_buf_put(&bufs[i], len), 0);
		fill_packet(sxsk_buf_data_mut(bufs[i]), first + i, len);
	}
	while (sent < got)
		sent += sxsk_tx_burst(socket, bufs + sent, got - sent);
	return got;
}

/* Receive what is there; packets are numbered from *next. */
static inline void receive_some(struct sxsk_socket *socket, uint32_t *next)
{
	struct sxsk_buf bufs[64];
	unsigned char expected[1500];
	const unsigned n = sxsk_rx_burst(socket, bufs, 64);

	for (unsigned i = 0; i < n; i++) {
		const unsigned char *p = sxsk_buf_data(bufs[i]);
		const uint32_t len = packet_length(*next);

		if (p[12] != TYPE_HIGH || p[13] != TYPE_LOW)
			continue;
		fill_packet(expected, *next, len);
		cr_assert_eq(sxsk_buf_len(bufs[i]), len, "packet %u", *next);
		cr_assert_arr_eq(p, expected, len, "packet %u", *next);
		++*next;
	}
	sxsk_buf_unref_burst(bufs, n);
}

/* In SKB mode a packet waits in a queue of the processor that sent it: who moved to another would be overtaken
 * by himself. */
static inline void stay_on_processor(cpu_set_t *ret_before)
{
	cpu_set_t here;

	CPU_ZERO(&here);
	CPU_SET((size_t)sched_getcpu(), &here);
	cr_assert_eq(sched_getaffinity(0, sizeof(*ret_before), ret_before), 0);
	cr_assert_eq(sched_setaffinity(0, sizeof(here), &here), 0);
}

/* Send packets and receive them all, in order, byte for byte. */
static inline void carry(struct sxsk_socket *from, struct sxsk_pool *pool, struct sxsk_socket *to,
			 uint32_t n)
{
	const int64_t end = milliseconds() + 20000;
	uint32_t sent = 0, received = 0;
	cpu_set_t before;

	stay_on_processor(&before);
	while (received < n && milliseconds() < end) {
		if (sent < n && sent - received <= 256 - 64)
			sent += send_some(from, pool, sent, n - sent < 64 ? n - sent : 64);
		cr_assert_eq(sxsk_tx_burst(from, NULL, 0), 0); /* completions come home */
		receive_some(to, &received);
	}
	cr_assert_eq(received, n, "%u of %u packets arrived", received, n);
	cr_assert_eq(sched_setaffinity(0, sizeof(before), &before), 0);
}

#endif
