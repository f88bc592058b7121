/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The sharp edges of AF_XDP, as a list: for each of them that its users cannot reach it, or survive it.
 * On the kernel's AF_XDP over veth where that has the edge, over mem: with the kernel's part played by
 * hand where it takes a kernel that misbehaves. Other tests look closer; this one is what to read.
 */
#include "support.h"

#include "veth.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

TestSuite(edges, .init = make_network, .timeout = 60);

/* ---- what these share ---------------------------------------------------------------------------- */

static struct sxsk_socket *open_sized(struct sxsk_pool *pool, const char *ifname, uint32_t size,
				      uint32_t flags)
{
	struct sxsk_socket_opts opts = steered(SXSK_ATTACH_AUTO);

	opts.rx_size = opts.tx_size = opts.fill_size = opts.comp_size = size;
	opts.flags = flags;
	return open_socket(pool, ifname, 0, opts);
}

static struct sxsk_buf numbered(struct sxsk_pool *pool, uint32_t number)
{
	struct sxsk_buf b = take(pool);

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

/* Exactly n packets, whatever they are. */
static void receive_n(struct sxsk_socket *socket, struct sxsk_buf bufs[], unsigned n)
{
	const int64_t end = milliseconds() + 20000;
	unsigned got = 0;

	while (got < n && milliseconds() < end)
		got += sxsk_rx_burst(socket, bufs + got, n - got);
	cr_assert_eq(got, n, "%u of %u packets arrived", got, n);
}

/* All frames' addresses that wait in the FILL ring: of different frames of the pool, at their starts. */
static uint32_t expect_fill_is_sound(struct sxsk_pool *pool, struct sxsk_mem_rings *k)
{
	const struct sxsk_priv_pool *p = inner_pool(pool);
	bool *posted = calloc(p->count, sizeof(*posted));
	uint32_t n = fill_level(k), left = n;

	for (; left > 0; left--) {
		const uint64_t address = kernel_take_fill(k);

		cr_assert_lt(address, p->size);
		cr_assert_eq(address % p->chunk, 0);
		cr_assert_not(posted[address / p->chunk], "frame %lu twice",
			      (unsigned long)(address / p->chunk));
		posted[address / p->chunk] = true;
	}
	free(posted);
	return n;
}

/* ---- 1 to 3: what is given to the kernel ----------------------------------------------------------- */

Test(edges, e01_no_chunk_is_posted_twice_to_fill)
{
	struct sxsk_pool *pool = new_pool(256);
	struct sxsk_socket *socket = new_socket(pool, "mem:e01", 0);
	struct sxsk_mem_rings k = take_rings(socket);
	struct sxsk_buf b[2];

	count_misuse();
	for (unsigned i = 0; i < 40; i++) {
		b[0] = b[1] = receive_one(socket, &k, 60);
		expect_misuse(SXSK_MISUSE_STALE, "sxsk_buf_unref_burst",
			      sxsk_buf_unref_burst(b, 2));
	}
	cr_assert_eq(sxsk_rx_burst(socket, b, 1), 0);
	cr_assert_gt(expect_fill_is_sound(pool, &k), 32);
}

Test(edges, e02_no_bad_address_gets_into_fill)
{
	struct sxsk_pool *pool = new_pool(256);
	struct sxsk_socket *socket = new_socket(pool, "mem:e02", 0);
	struct sxsk_mem_rings k = take_rings(socket);
	const uint64_t given = socket_stats(socket).fill_given;
	struct sxsk_buf good = receive_one(socket, &k, 60), bad;

	count_misuse();
	/* Other indexes, in the pool and out of it, and other generations. */
	for (uint64_t id = 1; id < 1ull << 60; id <<= 1) {
		bad = good;
		bad.id ^= id;
		sxsk_buf_unref(&bad);
	}
	cr_assert_eq(sxsk_misuse_count(), 60);
	cr_assert_eq(socket_stats(socket).fill_given, given, "none of them");
	/* The view is the user's, and is not what goes into FILL. */
	cr_assert_eq(sxsk_buf_pull(&good, 13), 0);
	sxsk_buf_unref(&good);
	cr_assert_eq(socket_stats(socket).fill_given, given + 1);
	cr_assert_gt(expect_fill_is_sound(pool, &k), 0);
}

Test(edges, e03_invalid_transmissions_do_not_reach_the_kernel_and_leak_nothing)
{
	struct sxsk_pool *pool = new_pool(256), *other = new_pool(64);
	struct sxsk_socket *socket = open_sized(pool, "v0", 64, SXSK_SOCKET_NO_RX);
	struct sxsk_buf b, bad;

	count_misuse();
	for (unsigned i = 0; i < 1000; i++) {
		b = numbered(pool, i);
		cr_assert_eq(sxsk_buf_trim(&b, i % 14), 0);
		send_one(socket, b); /* empty, or under 14 bytes */
		send_one(socket, packet(other, 60, 1));
		b = bad = numbered(pool, i);
		bad.offset = (uint16_t)(2048 - i % 14);
		send_one(socket, bad); /* crosses its chunk */
		send_one(socket, b);
	}
	cr_assert_eq(sxsk_pool_drain(pool, 5000), 0, "%s", sxsk_last_error());
	cr_assert_eq(stats_of(socket).kernel.tx_invalid_descs, 0);
	cr_assert_eq(stats_of(socket).tx_completed, 1000);
	expect_accounted(pool);
	expect_accounted(other);
	sxsk_socket_close(socket);
	expect_all_home(other);
	cr_assert_eq(sxsk_pool_alloc(pool, &b, 1), 1);
}

/* ---- 4 to 6: metadata and completions -------------------------------------------------------------- */

/* Flags of a descriptor are the library's: whatever a handle has there, the kernel sees none but that a
 * packet goes on. */
Test(edges, e04_no_flag_of_a_handle_becomes_transmit_metadata)
{
	const uint32_t kinds[] = { SXSK_SOCKET_NO_RX,
				   SXSK_SOCKET_NO_RX | SXSK_SOCKET_MULTI_BUFFER };
	struct sxsk_pool *pool = new_pool(256);

	count_misuse();
	for (unsigned kind = 0; kind < 2; kind++)
		for (unsigned bit = 0; bit < 16; bit++) {
			struct sxsk_socket *socket = new_socket(pool, "mem:e04", kinds[kind]);
			struct sxsk_mem_rings k = take_rings(socket);
			struct sxsk_buf b[2] = { packet(pool, 60, 1), packet(pool, 60, 2) };
			const uint32_t goes_on = kind && bit == 0;

			b[0].flags = (uint16_t)(1u << bit);
			cr_assert_eq(sxsk_tx_burst(socket, b, 2), 2);
			if (*k.tx.producer > 0)
				cr_assert_eq(kernel_take_tx(&k).options, goes_on, "bit %u", bit);
			while (*k.tx.producer != *k.tx.consumer)
				cr_assert_eq(kernel_take_tx(&k).options, 0, "bit %u", bit);
			sxsk_socket_close(socket);
		}
}

Test(edges, e05_completions_that_are_duplicate_or_out_of_range_are_refused)
{
	struct sxsk_pool *pool = new_pool(256);
	struct sxsk_socket *socket = new_socket(pool, "mem:e05", SXSK_SOCKET_NO_RX);
	struct sxsk_mem_rings k = take_rings(socket);
	const uint64_t wrong[] = { 256 * 2048, UINT64_MAX, 1ull << 48, 3 * 2048, 7 * 2048 };
	struct sxsk_buf kept = packet(pool, 60, 5);
	uint64_t address;

	/* Room in what was given for what is refused: else the socket is poisoned. */
	for (unsigned i = 0; i < 10; i++)
		send_one(socket, packet(pool, 60, 1));
	address = kernel_take_tx(&k).addr;
	kernel_complete(&k, address);
	kernel_complete(&k, address);
	for (unsigned i = 0; i < 5; i++)
		kernel_complete(&k, wrong[i]);
	kernel_complete(&k, (uint64_t)sxsk_buf_index(kept) * 2048);
	reap(socket);
	cr_assert_geq(socket_stats(socket).comp_refused, 5, "%lu",
		      (unsigned long)socket_stats(socket).comp_refused);
	cr_assert_eq(*(const unsigned char *)sxsk_buf_data(kept), 5, "readable");
	cr_assert_eq(sxsk_misuse_count(), 0);
	cr_assert(sxsk_buf_is_shared(kept), "the kernel may write to it");
	/* And one more than was given. */
	for (unsigned i = 0; i < 8; i++)
		kernel_complete(&k, address);
	reap(socket);
	cr_assert_eq(sxsk_socket_error(socket), -EPROTO);
	sxsk_buf_unref(&kept);
	sxsk_socket_close(socket);
	expect_accounted(pool);
}

/* What was checked is what reaches the kernel: a request that a later change made void keeps its packet
 * back. */
Test(edges, e04_void_metadata_does_not_reach_the_kernel)
{
	struct sxsk_pool *pool =
		new_pool_with((struct sxsk_pool_opts){ .frame_count = 64, .tx_metadata_len = 24 });
	const struct sxsk_socket_opts opts = { .sz = sizeof(opts),
					       .flags = SXSK_SOCKET_NO_RX,
					       .metadata = SXSK_METADATA_TX_CHECKSUM };
	struct sxsk_socket *socket;
	struct sxsk_mem_rings k;
	struct sxsk_buf b;

	cr_assert_eq(sxsk_socket_open(&socket, pool, "mem:e04", 0, &opts), 0);
	k = take_rings(socket);
	b = packet(pool, 60, 1);
	cr_assert_eq(sxsk_buf_tx_checksum(&b, 20, 39), -EINVAL, "past the packet");
	cr_assert_eq(sxsk_buf_tx_checksum(&b, 20, 38), 0);
	cr_assert_eq(sxsk_buf_trim(&b, 59), 0);
	send_one(socket, b);
	cr_assert_eq(*k.tx.producer, 0);
	cr_assert_eq(socket_stats(socket).drop_metadata, 1);
	cr_assert_eq(pool_stats(pool).user, 0, "taken and freed");
}

/* Less than what the kernel writes there would let it write into the packet. With none it writes nothing. */
Test(edges, e06_metadata_that_is_too_short_is_refused)
{
	struct sxsk_pool_opts opts = { .sz = sizeof(opts), .frame_count = 64 };
	struct sxsk_pool *pool;

	for (uint32_t len = 1; len < 24; len++) {
		opts.tx_metadata_len = len;
		expect_error(EINVAL, "tx_metadata_len", sxsk_pool_create(&pool, &opts));
	}
}

Test(edges, e06_bytes_before_a_sent_packet_stay)
{
	struct sxsk_pool *pool = new_pool(1024);
	struct sxsk_socket *from = open_sized(pool, "v0", 64, SXSK_SOCKET_NO_RX);
	struct sxsk_socket *to = open_sized(pool, "v1", 64, 0);
	struct sxsk_buf whole, sent, got;

	sent = take(pool);
	cr_assert_eq(sxsk_buf_put(&sent, 256), 0);
	memset(sxsk_buf_data_mut(sent), 0x5a, 256);
	fill_packet((unsigned char *)sxsk_buf_data_mut(sent) + 128, 3, 128);
	whole = sxsk_buf_ref(sent);
	cr_assert_eq(sxsk_buf_pull(&sent, 128), 0);
	send_one(from, sent);
	receive_n(to, &got, 1);
	sxsk_buf_unref(&got);
	for (int64_t end = milliseconds() + 20000; sxsk_buf_is_shared(whole);) {
		reap(from);
		cr_assert_lt(milliseconds(), end, "not completed");
	}
	for (unsigned i = 0; i < 128; i++)
		cr_assert_eq(((const unsigned char *)sxsk_buf_data(whole))[i], 0x5a, "byte %u", i);
	sxsk_buf_unref(&whole);
	sxsk_socket_close(from);
	sxsk_socket_close(to);
	expect_accounted(pool);
}

/* ---- 7 to 11: whose bytes these are ------------------------------------------------------------------ */

Test(edges, e07_what_was_sent_cannot_be_written)
{
	struct sxsk_pool *pool = new_pool(256);
	struct sxsk_socket *socket = new_socket(pool, "mem:e07", SXSK_SOCKET_NO_RX);
	struct sxsk_mem_rings k = take_rings(socket);
	struct sxsk_buf b = packet(pool, 60, 1), clone = sxsk_buf_ref(b), copy = b;

	count_misuse();
	send_one(socket, b);
	expect_misuse(SXSK_MISUSE_SHARED, "sxsk_buf_data_mut",
		      cr_assert_null(sxsk_buf_data_mut(clone)));
	cr_assert_not_null(sxsk_buf_data(clone), "but read");
	(void)kernel_complete_all(&k);
	reap(socket);
	cr_assert_not_null(sxsk_buf_data_mut(clone), "the kernel is done");
	sxsk_buf_unref(&clone);
	expect_misuse(SXSK_MISUSE_STALE, "sxsk_buf_data_mut",
		      cr_assert_null(sxsk_buf_data_mut(copy)));
}

Test(edges, e08_received_data_stay_while_a_reference_does)
{
	struct sxsk_pool *near = new_pool(256), *far = new_pool(128);
	struct sxsk_socket *from = open_sized(near, "v0", 64, SXSK_SOCKET_NO_RX);
	struct sxsk_socket *to = open_sized(far, "v1", 64, SXSK_SOCKET_NO_TX);
	struct sxsk_buf kept, got[8];

	cr_assert_eq(send_some(from, near, 1, 1), 1);
	receive_n(to, &kept, 1);
	for (uint32_t n = 2; n < 2 + 128 * 10; n += 8) {
		cr_assert_eq(send_some(from, near, n, 8), 8);
		receive_n(to, got, 8);
		for (unsigned i = 0; i < 8; i++)
			cr_assert_neq(sxsk_buf_index(got[i]), sxsk_buf_index(kept));
		sxsk_buf_unref_burst(got, 8);
	}
	expect_numbered(kept, 1);
	sxsk_buf_unref(&kept);
	sxsk_socket_close(from);
	sxsk_socket_close(to);
}

Test(edges, e09_frames_come_home_from_any_offset)
{
	struct sxsk_pool_opts headroom = { .frame_count = 256, .headroom = 100 };
	struct sxsk_pool *pool = new_pool_with(headroom);
	struct sxsk_socket *from = open_sized(pool, "v0", 64, 0);
	struct sxsk_socket *to = open_sized(pool, "v1", 64, 0);
	struct sxsk_buf b;

	for (uint32_t i = 0; i < 1000; i++) {
		b = take(pool);
		cr_assert_eq(sxsk_buf_push(&b, i % 357), 0);
		cr_assert_eq(sxsk_buf_trim(&b, 60), 0);
		fill_packet(sxsk_buf_data_mut(b), i, 60);
		send_one(from, b);
		receive_n(to, &b, 1);
		cr_assert_eq(sxsk_buf_headroom(b), 356, "received where the pool says");
		sxsk_buf_unref(&b);
	}
	cr_assert_eq(sxsk_pool_drain(pool, 5000), 0);
	cr_assert_eq(stats_of(from).comp_refused + stats_of(to).rx_refused, 0);
	cr_assert_eq(stats_of(from).tx_completed, 1000);
	expect_accounted(pool);
	sxsk_socket_close(from);
	sxsk_socket_close(to);
}

Test(edges, e10_frames_lie_on_a_fixed_grid)
{
	for (uint32_t size = 2048; size <= 4096; size *= 2) {
		struct sxsk_pool *pool = new_pool_with(
			(struct sxsk_pool_opts){ .frame_count = 128, .frame_size = size });
		const unsigned char *base = inner_pool(pool)->base;
		struct sxsk_buf bufs[128];

		cr_assert_eq(take_all(pool, bufs, 128), 128);
		for (unsigned i = 0; i < 128; i++) {
			const unsigned char *start = (const unsigned char *)sxsk_buf_data(bufs[i]) -
						     sxsk_buf_headroom(bufs[i]);

			cr_assert_eq(start - base, (ptrdiff_t)sxsk_buf_index(bufs[i]) * size);
			cr_assert_eq(sxsk_buf_headroom(bufs[i]) + sxsk_buf_tailroom(bufs[i]), size);
			for (unsigned j = 0; j < i; j++)
				cr_assert_neq(sxsk_buf_index(bufs[i]), sxsk_buf_index(bufs[j]));
		}
		sxsk_buf_unref_burst(bufs, 128);
		sxsk_pool_unref(pool);
	}
}

Test(edges, e11_no_ring_is_overrun)
{
	struct sxsk_pool *pool = new_pool(256);
	const struct sxsk_socket_opts opts = {
		.sz = sizeof(opts), .flags = SXSK_SOCKET_NO_RX, .tx_size = 16, .comp_size = 64
	};
	struct sxsk_socket *socket;
	struct sxsk_mem_rings k;
	struct sxsk_buf bufs[64];
	uint32_t taken = 0;

	cr_assert_eq(sxsk_socket_open(&socket, pool, "mem:e11", 0, &opts), 0);
	k = take_rings(socket);
	for (unsigned i = 0; i < 64; i++)
		bufs[i] = packet(pool, 60 + i, (unsigned char)i);
	for (unsigned sent = 0; taken < 64;) {
		sent += sxsk_tx_burst(socket, bufs + sent, 64 - sent);
		cr_assert_leq(*k.tx.producer - *k.tx.consumer, 16);
		cr_assert_eq(*k.tx.producer, sent);
		/* Two of them, in order, each once. */
		for (unsigned i = 0; i < 2; i++) {
			struct xdp_desc d = kernel_take_tx(&k);

			cr_assert_eq(d.len, 60 + taken++);
			kernel_complete(&k, d.addr);
		}
	}
	reap(socket);
	cr_assert_eq(*k.tx.producer, 64, "and none again");
	cr_assert_eq(pool_stats(pool).tx, 0);
}

/* ---- 12 to 15: threads, kicks and waits ------------------------------------------------------------ */

static void *wait_for_packets(void *arg)
{
	return (void *)(intptr_t)sxsk_socket_wait(arg, SXSK_WAIT_RX, 20000);
}

Test(edges, e12_two_threads_in_one_ring_are_noticed)
{
	struct sxsk_pool *pool = new_pool(256);
	struct sxsk_socket *socket = new_socket(pool, "mem:e12", 0);
	struct sxsk_priv_socket *s = inner_socket(socket);
	struct sxsk_buf b;
	pthread_t other;
	void *ret;

	count_misuse();
	cr_assert_eq(pthread_create(&other, NULL, wait_for_packets, socket), 0);
	while (!load_acquire(&s->rx.busy))
		sched_yield();
	expect_misuse(SXSK_MISUSE_THREADS, "sxsk_rx_burst",
		      cr_assert_eq(sxsk_rx_burst(socket, &b, 1), 0));
	sxsk_socket_wake(socket);
	cr_assert_eq(pthread_join(other, &ret), 0);
	cr_assert_eq((intptr_t)ret, SXSK_WAIT_WAKE);
	cr_assert_eq(sxsk_rx_burst(socket, &b, 1), 0, "one after the other is no misuse");
	cr_assert_eq(sxsk_misuse_count(), 1);
}

/* Past the kernel's budget, and past packets that cannot be sent, without another call of the sender's. */
Test(edges, e13_burst_does_not_stall_in_the_middle)
{
	struct sxsk_pool *pool = new_pool(2048);
	struct sxsk_socket *from = open_sized(pool, "v0", 512, SXSK_SOCKET_NO_RX);
	struct sxsk_socket *to = open_sized(pool, "v1", 512, 0);
	struct sxsk_buf bufs[540], got[270];

	for (uint32_t i = 0; i < 540; i++) {
		bufs[i] = take(pool);
		cr_assert_eq(sxsk_buf_put(&bufs[i], i % 2 ? 0 : 60), 0);
		if (i % 2 == 0)
			fill_packet(sxsk_buf_data_mut(bufs[i]), i / 2, 60);
	}
	cr_assert_eq(sxsk_tx_burst(from, bufs, 540), 540);
	receive_n(to, got, 270);
	for (uint32_t i = 0; i < 270; i++)
		cr_assert_eq(memcmp((const char *)sxsk_buf_data(got[i]) + 14, &i, sizeof(i)), 0);
	sxsk_buf_unref_burst(got, 270);
	cr_assert_eq(sxsk_pool_drain(pool, 5000), 0);
	sxsk_socket_close(from);
	sxsk_socket_close(to);
}

Test(edges, e14_full_completion_ring_does_not_stall_the_kernel)
{
	struct sxsk_pool *pool = new_pool(1024);
	struct sxsk_socket_opts opts = steered(SXSK_ATTACH_AUTO);
	struct sxsk_socket *from, *to = open_sized(pool, "v1", 256, 0);
	struct sxsk_priv_queue *q;
	struct sxsk_buf bufs[64], got[16];
	uint32_t next = 0;

	opts.tx_size = 256;
	opts.comp_size = 16;
	from = open_socket(pool, "v0", 0, opts);
	q = inner_socket(from)->q;
	for (unsigned round = 0; round < 50; round++) {
		unsigned sent = 0;

		for (uint32_t i = 0; i < 64; i++)
			bufs[i] = numbered(pool, next + i);
		while (sent < 64) {
			const unsigned n = sxsk_tx_burst(from, bufs + sent, 64 - sent);

			cr_assert_leq(q->comp_given - q->comp_returned, 16);
			receive_n(to, got, n);
			for (unsigned i = 0; i < n; i++)
				expect_numbered(got[i], next + sent + i);
			sxsk_buf_unref_burst(got, n);
			sent += n;
		}
		next += 64;
	}
	sxsk_socket_close(from);
	sxsk_socket_close(to);
}

Test(edges, e15_wait_tells_of_an_interface_that_is_down_or_gone)
{
	struct sxsk_pool *pool = new_pool(256);
	struct sxsk_socket *socket = open_sized(pool, "v0", 64, 0);

	cr_assert_eq(sxsk_socket_wait(socket, SXSK_WAIT_RX, 0), 0);
	run("ip link set v0 down");
	expect_error(ENETDOWN, "down", sxsk_socket_wait(socket, SXSK_WAIT_RX, 5000));
	run("ip link set v0 up");
	cr_assert_eq(sxsk_socket_wait(socket, SXSK_WAIT_RX, 0), 0);
	run("ip link del v0");
	expect_error(ENXIO, "removed", sxsk_socket_wait(socket, SXSK_WAIT_RX, 5000));
	sxsk_socket_close(socket);
	expect_accounted(pool);
}

/* ---- 16 to 19: life time ----------------------------------------------------------------------------- */

/* A forked child that lives on, and an executed program, have none of it. */
Test(edges, e16_nothing_keeps_a_closed_queue_bound)
{
	struct sxsk_pool *pool = new_pool(256);
	struct sxsk_socket *socket = open_sized(pool, "v0", 64, 0);
	pid_t child;
	DIR *dir = opendir("/proc/self/fd");
	int at_exec = 0, closed[2];
	char byte;

	cr_assert_eq(pipe2(closed, O_CLOEXEC), 0);
	for (struct dirent *e; (e = readdir(dir));) {
		const int fd = atoi(e->d_name), flags = fcntl(fd, F_GETFD);
		char target[64] = "", path[300];

		(void)snprintf(path, sizeof(path), "/proc/self/fd/%s", e->d_name);
		if (readlink(path, target, sizeof(target) - 1) < 0 || flags & FD_CLOEXEC)
			continue;
		at_exec += strstr(target, "socket:") || strstr(target, "anon_inode:[event") ||
			   strstr(target, "bpf");
	}
	closedir(dir);
	cr_assert_eq(at_exec, 0, "%d descriptors would stay open", at_exec);
	child = fork();
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		sxsk_socket_close(socket); /* its descriptors; its rings are not there */
		(void)!write(closed[1], "", 1);
		pause();
		_exit(0);
	}
	cr_assert_eq(read(closed[0], &byte, 1), 1);
	sxsk_socket_close(socket);
	socket = open_sized(pool, "v0", 64, 0);
	cr_assert_eq(waitpid(child, NULL, WNOHANG), 0, "the child lives");
	sxsk_socket_close(socket);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

/* The pool's registration is the first socket's. */
Test(edges, e17_first_socket_leaves_the_others_alone)
{
	struct sxsk_pool *pool = new_pool(4096);
	struct sxsk_socket_opts opts = steered(SXSK_ATTACH_AUTO);
	struct sxsk_socket *first, *second;

	opts.mode = SXSK_MODE_COPY;
	first = open_socket(pool, "v0", 0, opts);
	second = open_socket(pool, "v1", 0, opts);
	carry(first, pool, second, 500);
	sxsk_socket_close(first);
	cr_assert_eq(program_on("v0"), 0);
	first = open_socket(pool, "v0", 0, opts);
	carry(second, pool, first, 500);
	carry(first, pool, second, 500);
	sxsk_socket_close(first);
	sxsk_socket_close(second);
	cr_assert_eq(sxsk_pool_drain(pool, 5000), 0);
}

Test(edges, e18_frames_that_the_kernel_had_at_close_are_not_used_until_it_is_done)
{
	struct sxsk_pool *pool = new_pool(256);
	struct sxsk_socket *socket = open_sized(pool, "v0", 64, 0);
	struct sxsk_buf bufs[256];
	unsigned n;

	cr_assert_eq(pool_stats(pool).fill, 64);
	sxsk_socket_close(socket);
	cr_assert_eq(pool_stats(pool).quarantined, 64);
	n = take_all(pool, bufs, 256);
	cr_assert_eq(n, 192);
	sxsk_buf_unref_burst(bufs, n);
	/* Bound again: the last one's kernel side is gone. */
	socket = open_sized(pool, "v0", 64, 0);
	cr_assert_eq(pool_stats(pool).quarantined, 0);
	sxsk_socket_close(socket);
	cr_assert_eq(pool_stats(pool).quarantined, 64);
	run("ip link del v0");
	cr_assert_eq(sxsk_pool_drain(pool, 0), 0);
	cr_assert_eq(pool_stats(pool).quarantined, 0, "the interface is gone");
	expect_all_home(pool);
}

/* Nobody's heap or stack shares a page with packet memory; nobody gets it by an overrun either. */
Test(edges, e19_packet_memory_is_a_mapping_of_the_librarys_own)
{
	struct sxsk_pool *pool = new_pool(256);
	const uintptr_t base = (uintptr_t)inner_pool(pool)->base, end = base + 256 * 2048;
	FILE *maps = fopen("/proc/self/smaps", "r");
	bool here = false, found = false, kept_from_children = false;
	unsigned long from, to;
	char line[512], mode[8];

	while (fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%lx-%lx %7s", &from, &to, mode) == 3) {
			here = from <= base && to >= end;
			found |= from == base && to == end && strcmp(mode, "rw-p") == 0;
			cr_assert_not(to == base && mode[0] != '-', "no guard below");
			cr_assert_not(from == end && mode[0] != '-', "no guard above");
		} else if (here && strncmp(line, "VmFlags:", 8) == 0) {
			kept_from_children = strstr(line, " dc") != NULL;
		}
	}
	fclose(maps);
	cr_assert(found, "a mapping of exactly that size");
	cr_assert(kept_from_children, "a child's write would give the parent other pages");
	sxsk_pool_unref(pool);
}

/* ---- 20: packets of several frames --------------------------------------------------------------------- */

/* The kernel would hold the beginning back until its end comes, and would give away the next packet with
 * it; and of what comes in, no burst has half a packet. */
Test(edges, e20_no_part_of_a_packet_passes_without_the_rest)
{
	struct sxsk_pool *pool = new_pool(256);
	struct sxsk_socket *socket = new_socket(pool, "mem:e20", SXSK_SOCKET_MULTI_BUFFER);
	struct sxsk_mem_rings k = take_rings(socket);
	struct sxsk_buf bufs[64];
	uint64_t chunk[20];

	for (unsigned i = 0; i < 3; i++) {
		bufs[i] = packet(pool, 60, 1);
		bufs[i].flags |= SXSK_BUF_MORE;
	}
	cr_assert_eq(sxsk_tx_burst(socket, bufs, 3), 3, "taken");
	cr_assert_eq(*k.tx.producer, 0, "and not sent");
	cr_assert_eq(pool_stats(pool).user, 0, "but freed");
	cr_assert_eq(socket_stats(socket).drop_limit, 1);

	/* 18 packets of one frame, and the beginning of one more: the burst ends before it. */
	for (unsigned i = 0; i < 20; i++)
		chunk[i] = kernel_take_fill(&k);
	for (unsigned i = 0; i < 19; i++)
		kernel_post_rx(&k, chunk[i] + 256, 60);
	((struct xdp_desc *)k.rx.entries)[18].options = 1;
	cr_assert_eq(sxsk_rx_burst(socket, bufs, 64), 18);
	sxsk_buf_unref_burst(bufs, 18);
	cr_assert_eq(sxsk_rx_burst(socket, bufs, 64), 0, "its end is not there");
	kernel_post_rx(&k, chunk[19] + 256, 60);
	cr_assert_eq(sxsk_rx_burst(socket, bufs, 64), 2);
	cr_assert_eq(bufs[0].flags, SXSK_BUF_MORE);
	cr_assert_eq(bufs[1].flags, 0);
	sxsk_buf_unref_burst(bufs, 2);
	cr_assert_eq(sxsk_misuse_count(), 0);
}

/* ---- also ------------------------------------------------------------------------------------------------ */

Test(edges, also_opening_right_after_a_close_is_not_busy)
{
	struct sxsk_pool *pool = new_pool(256);

	for (unsigned i = 0; i < 20; i++)
		sxsk_socket_close(open_sized(pool, "v0", 64, 0));
	cr_assert_eq(sxsk_pool_drain(pool, 0), 0);
	expect_accounted(pool);
}

Test(edges, also_no_program_stays_after_a_crash)
{
	pid_t child = fork();

	if (child == 0) {
		(void)open_sized(new_pool(64), "v0", 64, 0);
		_exit(program_on("v0") ? raise(SIGKILL) : 1);
	}
	{
		int status;

		cr_assert_eq(waitpid(child, &status, 0), child);
		cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	}
	for (int64_t end = milliseconds() + 20000; program_on("v0") && milliseconds() < end;)
		usleep(1000);
	cr_assert_eq(program_on("v0"), 0);
}

/* The entry of a queue is the socket's that is bound to it, and stays so when another one leaves. */
Test(edges, also_each_queue_steers_to_its_own_socket)
{
	struct sxsk_pool *pool = new_pool(4096);
	struct sxsk_socket *to[2], *from[2];

	for (uint32_t q = 0; q < 2; q++) {
		to[q] = open_socket(pool, "m0", q, steered(SXSK_ATTACH_AUTO));
		from[q] = open_socket(pool, "m1", q, steered(SXSK_ATTACH_AUTO));
	}
	for (uint32_t q = 0; q < 2; q++)
		carry(from[q], pool, to[q], 300);
	cr_assert_eq(stats_of(to[0]).rx_packets, 300);
	cr_assert_eq(stats_of(to[1]).rx_packets, 300);
	sxsk_socket_close(to[0]);
	carry(from[1], pool, to[1], 300);
	to[0] = open_socket(pool, "m0", 0, steered(SXSK_ATTACH_AUTO));
	carry(from[0], pool, to[0], 300);
	cr_assert_eq(stats_of(to[0]).rx_packets, 300);
	for (uint32_t q = 0; q < 2; q++) {
		sxsk_socket_close(to[q]);
		sxsk_socket_close(from[q]);
	}
}

Test(edges, also_receiver_that_sends_nothing_never_runs_dry)
{
	struct sxsk_pool *near = new_pool(256), *far = new_pool(64);
	struct sxsk_socket *from = open_sized(near, "v0", 64, SXSK_SOCKET_NO_RX);
	struct sxsk_socket *to = open_sized(far, "v1", 64, SXSK_SOCKET_NO_TX);
	struct sxsk_buf b;

	for (uint32_t i = 0; i < 64 * 20; i++) {
		cr_assert_eq(send_some(from, near, i, 1), 1);
		receive_n(to, &b, 1);
		expect_numbered(b, i);
		sxsk_buf_unref(&b);
	}
	cr_assert_eq(stats_of(to).kernel.rx_fill_ring_empty_descs, 0);
	sxsk_socket_close(from);
	sxsk_socket_close(to);
}
