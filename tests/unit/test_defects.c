/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Thirteen defects that an AF_XDP library with shared ownership of frames was found to have, and why
 * none of them can happen here: a test each. On the kernel's AF_XDP over veth, most of them also over
 * mem:, where a use after free is a crash under AddressSanitizer and the kernel side can be told to
 * misbehave.
 */
#include "veth.h"

#include <pthread.h>
#include <safexsk/mem.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>

TestSuite(defects, .init = make_network, .timeout = 90);

static const char *const cables[][2] = { { "v0", "v1" }, { "mem:cable", "mem:cable" } };

#define CABLES 2

static struct sxsk_socket *open_end(struct sxsk_pool *pool, const char *ifname, uint32_t rings,
				    uint32_t flags)
{
	const struct sxsk_socket_opts opts = { .sz = sizeof(opts),
					       .steer = SXSK_STEER_ALL,
					       .flags = flags,
					       .rx_size = rings,
					       .tx_size = rings,
					       .fill_size = rings,
					       .comp_size = rings };
	struct sxsk_socket *socket;

	cr_assert_eq(sxsk_socket_open(&socket, pool, ifname, 0, &opts), 0, "%s", sxsk_last_error());
	if (strncmp(ifname, "mem:", 4) != 0)
		log_real_socket();
	return socket;
}

static struct sxsk_pool_stats frames_of(struct sxsk_pool *pool)
{
	struct sxsk_pool_stats stats = { .sz = sizeof(stats) };

	sxsk_pool_stats(pool, &stats);
	return stats;
}

static const unsigned char *memory_of(struct sxsk_pool *pool)
{
	return sxsk_priv_registry.pool[(uintptr_t)pool & 0xffff].base;
}

static bool is_mapped(const unsigned char *p)
{
	unsigned char in_core;

	return mincore((void *)((uintptr_t)p & ~(uintptr_t)4095), 1, &in_core) == 0 ||
	       errno != ENOMEM;
}

/* Receive exactly n packets, whatever they are. */
static void receive_all(struct sxsk_socket *socket, struct sxsk_buf bufs[], unsigned n)
{
	const int64_t end = milliseconds() + 20000;
	unsigned got = 0;

	while (got < n && milliseconds() < end)
		got += sxsk_rx_burst(socket, bufs + got, n - got);
	cr_assert_eq(got, n, "%u of %u packets arrived", got, n);
}

/* A packet of this number, ready to be sent. */
static struct sxsk_buf numbered(struct sxsk_pool *pool, uint32_t number)
{
	struct sxsk_buf b;

	cr_assert_eq(sxsk_pool_alloc(pool, &b, 1), 1);
	cr_assert_eq(sxsk_buf_put(&b, packet_length(number)), 0);
	fill_packet(sxsk_buf_data_mut(b), number, packet_length(number));
	return b;
}

static void expect_numbered(struct sxsk_buf b, uint32_t number)
{
	unsigned char expected[1500];

	fill_packet(expected, number, packet_length(number));
	cr_assert_eq(sxsk_buf_len(b), packet_length(number), "packet %u", number);
	cr_assert_arr_eq(sxsk_buf_data(b), expected, packet_length(number), "packet %u", number);
}

static uint64_t misuses_of[16];

static void count_misuse(const struct sxsk_misuse *m, void *arg)
{
	(void)arg;
	misuses_of[m->kind]++;
}

/* ---- 1: ring structs freed before the socket that uses them -------------------------------------- */

struct teardown {
	struct sxsk_pool *pool;
	struct sxsk_socket *ends[2];
	struct sxsk_buf held[8];
};

static void tear_down(struct teardown *t, unsigned step)
{
	if (step < 2)
		sxsk_socket_close(t->ends[step]);
	else if (step == 2)
		sxsk_pool_unref(t->pool);
	else
		sxsk_buf_unref_burst(t->held, 8);
}

/* Packets are received and held, and others are on the way, when the end begins. */
static void teardown_in_order(const char *const names[2], const unsigned order[4])
{
	struct teardown t = { .pool = new_pool(256) };
	const unsigned char *memory = memory_of(t.pool);
	bool held = true;

	for (unsigned i = 0; i < 2; i++)
		t.ends[i] = open_end(t.pool, names[i], 64, 0);
	cr_assert_eq(send_some(t.ends[0], t.pool, 0, 8), 8);
	receive_all(t.ends[1], t.held, 8);
	cr_assert_eq(send_some(t.ends[0], t.pool, 8, 8), 8);
	cr_assert_eq(send_some(t.ends[1], t.pool, 8, 8), 8);
	for (unsigned step = 0; step < 4; step++) {
		cr_assert(is_mapped(memory), "somebody still uses it");
		for (unsigned i = 0; i < 8 && held; i++)
			expect_numbered(t.held[i], i);
		tear_down(&t, order[step]);
		held = held && order[step] != 3;
	}
	cr_assert_not(is_mapped(memory), "order %u %u %u %u: the memory stays", order[0], order[1],
		      order[2], order[3]);
}

static void teardown_in_every_order(const char *const names[2])
{
	for (unsigned n = 0; n < 256; n++) {
		const unsigned order[4] = { n & 3, n >> 2 & 3, n >> 4 & 3, n >> 6 };

		if ((1u << order[0] | 1u << order[1] | 1u << order[2] | 1u << order[3]) == 15)
			teardown_in_order(names, order);
	}
	cr_assert_eq(sxsk_misuse_count(), 0);
}

Test(defects, teardown_in_any_order_uses_nothing_that_was_freed)
{
	teardown_in_every_order(cables[0]);
}

Test(defects, teardown_in_any_order_uses_nothing_that_was_freed_over_mem)
{
	teardown_in_every_order(cables[1]);
}

/* ---- 2: a Buf outlives its memory ------------------------------------------------------------------ */

Test(defects, buf_is_readable_after_its_pool_and_sockets_are_gone)
{
	for (unsigned c = 0; c < CABLES; c++) {
		struct sxsk_pool *pool = new_pool(256);
		const unsigned char *memory = memory_of(pool);
		struct sxsk_socket *from = open_end(pool, cables[c][0], 64, 0);
		struct sxsk_socket *to = open_end(pool, cables[c][1], 64, 0);
		struct sxsk_buf b, clone;

		cr_assert_eq(send_some(from, pool, 7, 1), 1);
		receive_all(to, &b, 1);
		sxsk_socket_close(from);
		sxsk_socket_close(to);
		sxsk_pool_unref(pool);
		expect_numbered(b, 7);
		*(unsigned char *)sxsk_buf_data_mut(b) = 0xff;
		clone = sxsk_buf_ref(b);
		sxsk_buf_unref(&b);
		expect_numbered(clone, 7);
		cr_assert(is_mapped(memory));
		sxsk_buf_unref(&clone);
		cr_assert_not(is_mapped(memory), "the last Buf takes it along");
	}
}

/* ---- 3: a length under the headroom of 256 becomes 2^64 - 128 ------------------------------------- */

/* No length, headroom or sum of them wraps: what does not fit is refused, and the view stays. */
static void expect_bounded(struct sxsk_buf b, uint32_t room)
{
	const uint32_t too_much[] = { room + 1, 65536, 65536 + room, UINT32_MAX - 255, UINT32_MAX };

	cr_assert_eq(sxsk_buf_tailroom(b), room);
	for (unsigned i = 0; i < sizeof(too_much) / sizeof(too_much[0]); i++) {
		cr_assert_eq(sxsk_buf_put(&b, too_much[i]), -EMSGSIZE);
		cr_assert_eq(sxsk_buf_trim(&b, too_much[i]), -EMSGSIZE);
		cr_assert_eq(sxsk_buf_pull(&b, too_much[i]), -EMSGSIZE);
		cr_assert_eq(sxsk_buf_push(&b, sxsk_buf_headroom(b) + too_much[i]),
			     too_much[i] > UINT32_MAX - sxsk_buf_headroom(b) ? 0 : -EMSGSIZE);
		cr_assert_eq(sxsk_buf_trim(&b, 0), 0);
	}
}

Test(defects, no_length_is_ever_negative)
{
	for (uint32_t size = 1; size < 2048; size++) {
		const struct sxsk_pool_opts opts = { .sz = sizeof(opts), .frame_size = size };
		struct sxsk_pool *pool;

		cr_assert_eq(sxsk_pool_create(&pool, &opts), -EINVAL, "%u bytes", size);
	}
	for (uint32_t size = 2048; size <= 4096; size *= 2)
		for (uint32_t most = 0; most < 2; most++) {
			const struct sxsk_pool_opts opts = {
				.sz = sizeof(opts),
				.frame_count = 64,
				.frame_size = size,
				.headroom = most * (size - 256 - 320 - 128),
			};
			struct sxsk_pool *pool;
			struct sxsk_buf b;

			cr_assert_eq(sxsk_pool_create(&pool, &opts), 0, "%s", sxsk_last_error());
			cr_assert_eq(sxsk_pool_alloc(pool, &b, 1), 1);
			cr_assert_eq(sxsk_buf_len(b), 0);
			expect_bounded(b, size - 256 - opts.headroom);
			sxsk_buf_unref(&b);
			sxsk_pool_unref(pool);
		}
}

/* ---- 4: Bufs of one pool in the rings of another --------------------------------------------------- */

static void two_pools(const char *const names[2])
{
	struct sxsk_pool *near = new_pool(256), *far = new_pool(256);
	struct sxsk_socket *from = open_end(near, names[0], 64, 0);
	struct sxsk_socket *to = open_end(far, names[1], 64, 0);
	struct sxsk_buf bufs[24];

	/* Sent: taken, given back to its own pool, and counted; the others go their way. */
	for (uint32_t i = 0; i < 16; i++)
		bufs[i] = numbered(i % 2 ? far : near, i);
	cr_assert_eq(sxsk_tx_burst(from, bufs, 16), 16);
	cr_assert_eq(stats_of(from).drop_pool, 8);
	cr_assert_eq(stats_of(from).tx_packets, 8);
	receive_all(to, bufs, 8);
	for (uint32_t i = 0; i < 8; i++)
		expect_numbered(bufs[i], 2 * i);
	/* Refilled: this thread received from `to` last, so that what it gives back may go straight
	 * to that FILL ring, but for the frames of the other pool. */
	for (uint32_t i = 8; i < 24; i++)
		bufs[i] = numbered(near, i);
	sxsk_buf_unref_burst(bufs, 24);
	cr_assert_eq(sxsk_rx_burst(to, bufs, 1), 0);
	cr_assert_eq(sxsk_pool_drain(near, 5000), 0, "%s", sxsk_last_error());
	cr_assert_eq(frames_of(near).fill, stats_of(from).fill_given);
	cr_assert_eq(frames_of(far).fill, stats_of(to).fill_given - 8);
	cr_assert_eq(frames_of(far).user, 0);
	sxsk_socket_close(from);
	sxsk_socket_close(to);
	sxsk_pool_unref(near);
	sxsk_pool_unref(far);
	cr_assert_eq(sxsk_misuse_count(), 0);
}

Test(defects, bufs_of_one_pool_stay_out_of_anothers_rings)
{
	for (unsigned c = 0; c < CABLES; c++)
		two_pools(cables[c]);
}

/* ---- 5: transmissions that nobody kicks ------------------------------------------------------------ */

/* The kernel took none of 64 packets, and the caller has no more to send. */
static struct sxsk_socket *strand(struct sxsk_pool *pool, const char *name)
{
	struct sxsk_mem_faults busy = { .sz = sizeof(busy), .seed = 1 };
	struct sxsk_socket *from = open_end(pool, name, 64, 0);

	busy.one_in[SXSK_MEM_COMP_FULL] = 1;
	cr_assert_eq(sxsk_mem_set_faults(from, &busy), 0);
	cr_assert_eq(send_some(from, pool, 0, 64), 64);
	cr_assert_eq(frames_of(pool).tx, 64);
	cr_assert_gt(stats_of(from).kick_again, 0);
	return from;
}

Test(defects, nothing_is_stranded_when_the_callers_queue_is_empty)
{
	struct sxsk_pool *pool = new_pool(1024);
	struct sxsk_socket *to = open_end(pool, "mem:strand", 256, 0);
	struct sxsk_socket *from = strand(pool, "mem:strand");
	struct sxsk_buf bufs[64];

	cr_assert_eq(sxsk_rx_burst(to, bufs, 64), 0);
	cr_assert_eq(sxsk_mem_set_faults(from, NULL), 0);
	cr_assert_eq(sxsk_tx_burst(from, NULL, 0), 0);
	cr_assert_eq(sxsk_rx_burst(to, bufs, 64), 64, "that kicked all of them");
	sxsk_buf_unref_burst(bufs, 64);
	cr_assert_eq(sxsk_tx_burst(from, NULL, 0), 0);
	cr_assert_eq(frames_of(pool).tx, 0, "and reaped");
	sxsk_socket_close(from);
	sxsk_socket_close(to);
	sxsk_pool_unref(pool);
}

/* More than the kernel sends for one kick. */
Test(defects, burst_beyond_the_kernels_budget_is_sent_whole)
{
	struct sxsk_pool *pool = new_pool(1024);
	struct sxsk_socket *from = open_end(pool, "v0", 256, 0), *to = open_end(pool, "v1", 256, 0);
	struct sxsk_buf bufs[200];

	for (uint32_t i = 0; i < 200; i++)
		bufs[i] = numbered(pool, i);
	cr_assert_eq(sxsk_tx_burst(from, bufs, 200), 200);
	cr_assert_eq(sxsk_tx_burst(from, NULL, 0), 0);
	receive_all(to, bufs, 200);
	for (uint32_t i = 0; i < 200; i++)
		expect_numbered(bufs[i], i);
	sxsk_buf_unref_burst(bufs, 200);
	sxsk_socket_close(from);
	sxsk_socket_close(to);
	sxsk_pool_unref(pool);
}

static int longest_sleep;

/* In place of the C library's, for this program: note for how long the library would sleep. */
int epoll_wait(int fd, struct epoll_event *events, int n, int ms)
{
	if (ms < 0 || ms > longest_sleep)
		longest_sleep = ms < 0 ? INT32_MAX : ms;
	return (int)syscall(SYS_epoll_pwait, fd, events, n, ms, NULL, (size_t)8);
}

Test(defects, receiver_with_packets_still_to_be_sent_sleeps_lightly)
{
	struct sxsk_pool *pool = new_pool(1024);
	struct sxsk_socket *to = open_end(pool, "mem:light", 256, 0);
	struct sxsk_socket *from = strand(pool, "mem:light");
	struct sxsk_buf bufs[64];

	longest_sleep = 0;
	cr_assert_eq(sxsk_socket_wait(from, SXSK_WAIT_RX, 40), 0);
	cr_assert_eq(longest_sleep, 1, "%d ms", longest_sleep);
	cr_assert_eq(sxsk_mem_set_faults(from, NULL), 0);
	cr_assert_eq(sxsk_socket_wait(from, SXSK_WAIT_RX, 40), 0);
	cr_assert_eq(sxsk_rx_burst(to, bufs, 64), 64, "the wait has kicked");
	sxsk_buf_unref_burst(bufs, 64);
	longest_sleep = 0;
	cr_assert_eq(sxsk_socket_wait(from, SXSK_WAIT_RX, 40), 0);
	cr_assert_gt(longest_sleep, 1, "with nothing left to do");
	sxsk_socket_close(from);
	sxsk_socket_close(to);
	sxsk_pool_unref(pool);
}

/* ---- 6: an error that is not the kernel's ----------------------------------------------------------- */

Test(defects, error_is_the_one_that_the_kernel_gave)
{
	const struct sxsk_socket_opts opts = defaults();
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_priv_pool *inner = &sxsk_priv_registry.pool[(uintptr_t)pool & 0xffff];
	struct sxsk_socket *socket;

	/* Memory that the kernel may not write to. */
	cr_assert_eq(mprotect(inner->kernel_base, inner->size, PROT_READ), 0);
	cr_assert_eq(sxsk_socket_open(&socket, pool, "v0", 0, &opts), -EFAULT, "%s",
		     sxsk_last_error());
	cr_assert(strstr(sxsk_last_error(), strerror(EFAULT)), "%s", sxsk_last_error());
	cr_assert_eq(mprotect(inner->kernel_base, inner->size, PROT_READ | PROT_WRITE), 0);
	cr_assert_eq(sxsk_socket_open(&socket, pool, "v9", 0, &opts), -ENODEV);
	socket = open_socket(pool, "v0", 0, opts);
	run("ip link set v0 down");
	cr_assert_eq(sxsk_socket_error(socket), -ENETDOWN);
	run("ip link del v0");
	cr_assert_eq(sxsk_socket_error(socket), -ENXIO);
	sxsk_socket_close(socket);
	sxsk_pool_unref(pool);
}

/* ---- 7: frames of dropped packets never return ------------------------------------------------------- */

/* For many times as many packets as there are frames; the receiver calls nothing but these two. */
static void receive_only(const char *const names[2], bool one_by_one)
{
	struct sxsk_pool *near = new_pool(256), *far = new_pool(64);
	struct sxsk_socket *from = open_end(near, names[0], 64, SXSK_SOCKET_NO_RX);
	struct sxsk_socket *to = open_end(far, names[1], 64, SXSK_SOCKET_NO_TX);
	struct sxsk_buf bufs[8];

	for (uint32_t n = 0; n < 64 * 40; n += 8) {
		cr_assert_eq(send_some(from, near, n, 8), 8);
		receive_all(to, bufs, 8);
		for (uint32_t i = 0; i < 8; i++)
			expect_numbered(bufs[i], n + i);
		for (uint32_t i = 0; i < 8 && one_by_one; i++)
			sxsk_buf_unref(&bufs[i]);
		if (!one_by_one)
			sxsk_buf_unref_burst(bufs, 8);
	}
	cr_assert_eq(frames_of(far).user, 0);
	cr_assert_eq(frames_of(far).total, 64);
	sxsk_socket_close(from);
	sxsk_socket_close(to);
	sxsk_pool_unref(near);
	sxsk_pool_unref(far);
}

Test(defects, frame_of_a_dropped_packet_comes_back)
{
	for (unsigned c = 0; c < CABLES; c++) {
		receive_only(cables[c], false);
		receive_only(cables[c], true);
	}
}

/* ---- 8: ring sizes that are ignored ------------------------------------------------------------------ */

/* The kernel behaves like rings of 16 RX, 32 TX, 512 FILL and 64 COMPLETION entries. */
Test(defects, ring_sizes_are_those_asked_for)
{
	struct sxsk_pool *pool = new_pool(4096);
	const struct sxsk_socket_opts opts = { .sz = sizeof(opts),
					       .steer = SXSK_STEER_ALL,
					       .rx_size = 16,
					       .tx_size = 32,
					       .fill_size = 512,
					       .comp_size = 64 };
	struct sxsk_socket *small = open_socket(pool, "v0", 0, opts);
	struct sxsk_socket *other = open_end(pool, "v1", 1024, 0);
	struct sxsk_buf bufs[100];

	cr_assert_eq(frames_of(pool).fill, 512 + 1024);
	for (uint32_t i = 0; i < 100; i++)
		bufs[i] = numbered(pool, i);
	cr_assert_eq(sxsk_tx_burst(small, bufs, 100), 32, "TX");
	cr_assert_eq(sxsk_tx_burst(small, bufs + 32, 68), 32, "TX, empty again");
	sxsk_buf_unref_burst(bufs + 64, 36);
	receive_all(other, bufs, 64);
	sxsk_buf_unref_burst(bufs, 64);

	cr_assert_eq(send_some(other, pool, 0, 64), 64);
	for (int64_t end = milliseconds() + 20000; milliseconds() < end;)
		if (stats_of(small).kernel.rx_ring_full >= 48)
			break;
	cr_assert_eq(stats_of(small).kernel.rx_ring_full, 48, "RX");
	cr_assert_eq(sxsk_rx_burst(small, bufs, 100), 16, "RX");
	sxsk_buf_unref_burst(bufs, 16);
	sxsk_socket_close(small);
	sxsk_socket_close(other);
	sxsk_pool_unref(pool);
}

/* ---- 9: completions that nobody has room for -------------------------------------------------------- */

/* There is no vector of the caller's to be full: not even a full lane and stock hold them up. */
Test(defects, completions_are_taken_wherever_their_frames_can_go)
{
	for (unsigned c = 0; c < CABLES; c++) {
		struct sxsk_pool *pool = new_pool(256);
		struct sxsk_socket *from = open_end(pool, cables[c][0], 256, SXSK_SOCKET_NO_RX);
		struct sxsk_buf bufs[256], spare[64];

		cr_assert_eq(sxsk_lane_attach(pool), 0);
		for (unsigned round = 0; round < 20; round++) {
			cr_assert_eq(sxsk_pool_alloc(pool, spare, 64), 64);
			for (uint32_t i = 0; i < 192; i++)
				bufs[i] = numbered(pool, i);
			cr_assert_eq(sxsk_tx_burst(from, bufs, 192), 192);
			sxsk_buf_unref_burst(spare,
					     64); /* the lane is full: a quarter of the pool */
			cr_assert_eq(sxsk_pool_drain(pool, 5000), 0, "%s", sxsk_last_error());
		}
		cr_assert_eq(stats_of(from).tx_completed, 20 * 192);
		cr_assert_eq(sxsk_pool_alloc(pool, bufs, 256), 256, "all are free again");
		sxsk_buf_unref_burst(bufs, 256);
		sxsk_lane_detach(pool);
		sxsk_socket_close(from);
		sxsk_pool_unref(pool);
	}
}

/* ---- 10: a name that is none --------------------------------------------------------------------------- */

Test(defects, interface_name_that_is_none_is_an_error)
{
	static const struct {
		const char *name;
		int err;
	} names[] = {
		{ NULL, -EINVAL },
		{ "", -EINVAL },
		{ "\0v0", -EINVAL },
		{ "abcdefghijklmnop", -EINVAL }, /* 16: one more than fits */
		{ "abcdefghijklmno", -ENODEV },
		{ "v0 ", -ENODEV },
		{ "../v0", -ENODEV },
		{ "%s%n", -ENODEV },
		{ "\xff\x01\n", -ENODEV },
		{ "mem:", -EINVAL },
	};
	char huge[70000];
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_socket *socket = NULL;

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		cr_assert_eq(sxsk_socket_open(&socket, pool, names[i].name, 0, NULL), names[i].err,
			     "name %u: %s", i, sxsk_last_error());
		cr_assert_gt(strlen(sxsk_last_error()), 10, "name %u", i);
	}
	memset(huge, 'x', sizeof(huge) - 1);
	huge[sizeof(huge) - 1] = '\0';
	cr_assert_eq(sxsk_socket_open(&socket, pool, huge, 0, NULL), -EINVAL);
	memcpy(huge, "mem:", 4);
	cr_assert_eq(sxsk_socket_open(&socket, pool, huge, 0, NULL), -EINVAL);
	cr_assert_null(socket);
	sxsk_pool_unref(pool);
}

/* ---- 11: huge pages that fail without a reason ---------------------------------------------------------- */

/* 4 GiB in huge pages: more than is reserved where tests run. */
Test(defects, huge_pages_that_are_not_there_are_an_error_with_a_reason)
{
	struct sxsk_pool_opts opts = { .sz = sizeof(opts),
				       .frame_count = 1048576,
				       .frame_size = 4096,
				       .flags = SXSK_POOL_HUGE_2M };
	struct sxsk_pool *pool = NULL;
	int err = sxsk_pool_create(&pool, &opts);

	cr_assert(err == -ENOMEM || err == -EOPNOTSUPP, "%d", err);
	cr_assert(strstr(sxsk_last_error(), "huge pages of 2 MiB"), "%s", sxsk_last_error());
	if (err == -ENOMEM)
		cr_assert(strstr(sxsk_last_error(), "/proc/sys/vm/nr_hugepages"), "%s",
			  sxsk_last_error());
	opts.flags = SXSK_POOL_HUGE_1G;
	err = sxsk_pool_create(&pool, &opts);
	cr_assert(err == -ENOMEM || err == -EOPNOTSUPP, "%d", err);
	cr_assert(strstr(sxsk_last_error(), "huge pages of 1 GiB"), "%s", sxsk_last_error());
	cr_assert_null(pool);
	opts = (struct sxsk_pool_opts){ .sz = sizeof(opts),
					.frame_count = 64,
					.flags = SXSK_POOL_HUGE_2M | SXSK_POOL_HUGE_TRY };
	cr_assert_eq(sxsk_pool_create(&pool, &opts), 0, "%s", sxsk_last_error());
	sxsk_pool_unref(pool);
}

/* ---- 12: packets that wait to be sent are changed again -------------------------------------------------- */

/* A burst is sent in parts. What was taken cannot be changed any more; what was not is the caller's,
 * as it left it: no packet is changed twice, none is sent twice. */
static void sent_in_parts(const char *const names[2])
{
	struct sxsk_pool *pool = new_pool(1024);
	struct sxsk_socket *from = open_end(pool, names[0], 16, SXSK_SOCKET_NO_RX);
	struct sxsk_socket *to = open_end(pool, names[1], 256, 0);
	struct sxsk_buf bufs[64], got[65];
	unsigned sent = 0, parts = 0, taken;

	for (uint32_t i = 0; i < 64; i++)
		bufs[i] = numbered(pool, i);
	for (; sent < 64; sent += taken, parts++) {
		uint64_t before = sxsk_misuse_count();

		taken = sxsk_tx_burst(from, bufs + sent, 64 - sent);
		cr_assert_leq(taken, 16);
		for (unsigned i = 0; i < sent + taken; i++)
			cr_assert_null(sxsk_buf_data_mut(bufs[i]), "packet %u is taken", i);
		cr_assert_eq(sxsk_misuse_count() - before, sent + taken);
		for (unsigned i = sent + taken; i < 64; i++) {
			cr_assert_not(sxsk_buf_is_shared(bufs[i]));
			expect_numbered(bufs[i], i);
		}
	}
	cr_assert_geq(parts, 4);
	cr_assert_eq(misuses_of[SXSK_MISUSE_STALE], sxsk_misuse_count());
	receive_all(to, got, 64);
	for (uint32_t i = 0; i < 64; i++)
		expect_numbered(got[i], i);
	cr_assert_eq(sxsk_rx_burst(to, got + 64, 1), 0);
	cr_assert_eq(stats_of(from).tx_packets, 64);
	sxsk_buf_unref_burst(got, 64);
	sxsk_socket_close(from);
	sxsk_socket_close(to);
	sxsk_pool_unref(pool);
}

Test(defects, packet_is_the_callers_until_it_is_taken_and_never_after)
{
	sxsk_set_misuse_handler(count_misuse, NULL);
	for (unsigned c = 0; c < CABLES; c++)
		sent_in_parts(cables[c]);
}

/* ---- 13: empty packets vanish ------------------------------------------------------------------------------ */

static void empty_ones_between(const char *const names[2])
{
	struct sxsk_pool *pool = new_pool(256);
	struct sxsk_socket *from = open_end(pool, names[0], 64, SXSK_SOCKET_NO_RX);
	struct sxsk_socket *to = open_end(pool, names[1], 64, 0);
	struct sxsk_buf bufs[24];

	for (uint32_t i = 0; i < 24; i++) {
		bufs[i] = numbered(pool, i);
		if (i % 3 == 1)
			cr_assert_eq(sxsk_buf_trim(&bufs[i], 0), 0);
		if (i % 3 == 2)
			cr_assert_eq(sxsk_buf_trim(&bufs[i], 13), 0);
	}
	cr_assert_eq(sxsk_tx_burst(from, bufs, 24), 24, "all are taken");
	cr_assert_eq(stats_of(from).drop_short, 16, "counted");
	cr_assert_eq(stats_of(from).tx_packets, 8);
	cr_assert_eq(frames_of(pool).user, 0, "and freed");
	receive_all(to, bufs, 8);
	for (uint32_t i = 0; i < 8; i++)
		expect_numbered(bufs[i], 3 * i);
	sxsk_buf_unref_burst(bufs, 8);
	cr_assert_eq(sxsk_pool_drain(pool, 5000), 0, "%s", sxsk_last_error());
	cr_assert_eq(stats_of(from).kernel.tx_invalid_descs, 0, "the kernel never saw them");
	cr_assert_eq(stats_of(from).tx_completed, 8);
	sxsk_socket_close(from);
	sxsk_socket_close(to);
	sxsk_pool_unref(pool);
}

Test(defects, empty_packets_are_taken_freed_and_counted)
{
	for (unsigned c = 0; c < CABLES; c++)
		empty_ones_between(cables[c]);
}
