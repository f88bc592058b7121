/* SPDX-License-Identifier: BSD-2-Clause */
/* Socket options, and what the kernel hears of them: ring sizes, modes, wake-ups, sockets of one direction. */
#include "veth.h"

#include <linux/capability.h>
#include <linux/if_xdp.h>
#include <sys/socket.h>
#include <sys/syscall.h>

TestSuite(xsk_options, .init = make_network, .timeout = 60);

/* ---- what the library asks of the kernel ----------------------------------------------------------- */

static struct {
	uint32_t ring[16]; /* setsockopt(SOL_XDP, XDP_*_RING), 0 = none */
	int binds;
	uint16_t flags; /* of the last bind() */
	unsigned sends;
} heard;

int __real_setsockopt(int fd, int level, int option, const void *value, socklen_t len);
int __wrap_setsockopt(int fd, int level, int option, const void *value, socklen_t len);
int __real_bind(int fd, const struct sockaddr *address, socklen_t len);
int __wrap_bind(int fd, const struct sockaddr *address, socklen_t len);
ssize_t __real_sendto(int fd, const void *from, size_t size, int flags, const struct sockaddr *to,
		      socklen_t len);
ssize_t __wrap_sendto(int fd, const void *from, size_t size, int flags, const struct sockaddr *to,
		      socklen_t len);

int __wrap_setsockopt(int fd, int level, int option, const void *value, socklen_t len)
{
	if (level == SOL_XDP && option < 16 && len == sizeof(uint32_t))
		memcpy(&heard.ring[option], value, sizeof(uint32_t));
	return __real_setsockopt(fd, level, option, value, len);
}

int __wrap_bind(int fd, const struct sockaddr *address, socklen_t len)
{
	if (len == sizeof(struct sockaddr_xdp)) {
		heard.binds++;
		heard.flags = ((const struct sockaddr_xdp *)(const void *)address)->sxdp_flags;
	}
	return __real_bind(fd, address, len);
}

ssize_t __wrap_sendto(int fd, const void *from, size_t size, int flags, const struct sockaddr *to,
		      socklen_t len)
{
	heard.sends++;
	return __real_sendto(fd, from, size, flags, to, len);
}

static struct sxsk_socket *open_anew(struct sxsk_pool *pool, const char *ifname,
				     struct sxsk_socket_opts opts)
{
	memset(&heard, 0, sizeof(heard));
	return open_socket(pool, ifname, 0, opts);
}

static struct sxsk_priv_socket *inner(struct sxsk_socket *socket)
{
	return sxsk_priv_socket_of(socket, "test");
}

/* ---- binding --------------------------------------------------------------------------------------- */

static void expect_bound_with(uint32_t mode, uint32_t flags, uint16_t expected)
{
	struct sxsk_pool *pool = new_pool(1024);
	struct sxsk_socket_opts opts = steered(SXSK_ATTACH_AUTO);
	struct sxsk_socket *socket;

	opts.mode = mode;
	opts.flags = flags;
	socket = open_anew(pool, "v0", opts);
	cr_expect_geq(heard.binds, 1, "more while the queue's last socket is torn down");
	cr_expect_eq(heard.flags, expected, "mode %u, flags %u: 0x%x", mode, flags, heard.flags);
	sxsk_socket_close(socket);
	sxsk_pool_unref(pool);
}

Test(xsk_options, wakeups_are_asked_for_unless_they_are_not_wanted)
{
	expect_bound_with(SXSK_MODE_AUTO, 0, XDP_USE_NEED_WAKEUP);
	expect_bound_with(SXSK_MODE_AUTO, SXSK_SOCKET_NO_NEED_WAKEUP, 0);
	expect_bound_with(SXSK_MODE_COPY, 0, XDP_USE_NEED_WAKEUP | XDP_COPY);
	expect_bound_with(SXSK_MODE_COPY, SXSK_SOCKET_NO_NEED_WAKEUP, XDP_COPY);
}

/* Without the flag every burst is a system call, whatever the ring says. */
Test(xsk_options, without_wakeup_flags_each_burst_kicks)
{
	struct sxsk_pool *pool = new_pool(1024);
	struct sxsk_socket_opts opts = defaults();
	struct sxsk_socket *a, *b;

	a = open_socket(pool, "v0", 0, opts);
	opts.flags = SXSK_SOCKET_NO_NEED_WAKEUP;
	b = open_anew(pool, "v1", opts);
	*inner(a)->tx_ring.flags = *inner(b)->tx_ring.flags = 0;
	cr_assert_eq(send_some(a, pool, 0, 8), 8);
	cr_expect_eq(heard.sends, 0);
	cr_assert_eq(send_some(b, pool, 0, 8), 8);
	cr_expect_eq(heard.sends, 1);
	sxsk_socket_close(a);
	sxsk_socket_close(b);
	sxsk_pool_unref(pool);
}

/* What the kernel itself says of a socket. */
static uint32_t mode_of(struct sxsk_socket *socket)
{
	struct xdp_options options = { 0 };
	socklen_t len = sizeof(options);

	cr_assert_eq(getsockopt(inner(socket)->fd, SOL_XDP, XDP_OPTIONS, &options, &len), 0);
	return options.flags & XDP_OPTIONS_ZEROCOPY ? SXSK_MODE_ZEROCOPY : SXSK_MODE_COPY;
}

Test(xsk_options, forced_zero_copy_is_refused_where_the_driver_has_none)
{
	struct sxsk_pool *pool = new_pool(1024);
	struct sxsk_socket_opts opts = steered(SXSK_ATTACH_AUTO);
	struct sxsk_socket *socket = NULL;

	opts.mode = SXSK_MODE_ZEROCOPY;
	cr_expect_eq(sxsk_socket_open(&socket, pool, "v0", 0, &opts), -EOPNOTSUPP);
	cr_expect_str_eq(sxsk_last_error(), "the driver of v0 has no zero-copy AF_XDP: use "
					    "SXSK_MODE_AUTO or SXSK_MODE_COPY");
	cr_expect_eq(heard.flags, XDP_USE_NEED_WAKEUP | XDP_ZEROCOPY, "it was really asked for");
	cr_expect_null(socket);
	cr_expect_eq(program_on("v0"), 0);
	opts.mode = SXSK_MODE_AUTO;
	socket = open_socket(pool, "v0", 0, opts);
	cr_expect_eq(stats_of(socket).mode, SXSK_MODE_COPY, "automatic says what it came to");
	cr_expect_eq(mode_of(socket), SXSK_MODE_COPY);
	sxsk_socket_close(socket);
	opts.mode = SXSK_MODE_COPY;
	socket = open_socket(pool, "v0", 0, opts);
	cr_expect_eq(stats_of(socket).mode, SXSK_MODE_COPY);
	cr_expect_eq(mode_of(socket), SXSK_MODE_COPY);
	sxsk_socket_close(socket);
	sxsk_pool_unref(pool);
}

/* ---- ring sizes ------------------------------------------------------------------------------------ */

static void expect_rings(struct sxsk_socket_opts opts, uint32_t rx, uint32_t tx, uint32_t fill,
			 uint32_t comp, uint32_t packets)
{
	struct sxsk_pool *pool = new_pool(4096);
	struct sxsk_socket *a = open_anew(pool, "v0", opts), *b;

	cr_expect_eq(heard.ring[XDP_RX_RING], rx);
	cr_expect_eq(heard.ring[XDP_TX_RING], tx);
	cr_expect_eq(heard.ring[XDP_UMEM_FILL_RING], fill);
	cr_expect_eq(heard.ring[XDP_UMEM_COMPLETION_RING], comp);
	cr_expect_eq(inner(a)->rx_ring.size, rx);
	cr_expect_eq(inner(a)->tx_ring.size, tx);
	cr_expect_eq(inner(a)->q->fill.size, fill);
	cr_expect_eq(inner(a)->q->comp.size, comp);
	b = open_socket(pool, "v1", 0, steered(SXSK_ATTACH_AUTO));
	carry(a, pool, b, packets);
	sxsk_socket_close(a);
	sxsk_socket_close(b);
	sxsk_pool_unref(pool);
}

Test(xsk_options, rings_are_2048_or_what_is_asked_for_rounded_up)
{
	struct sxsk_socket_opts opts = steered(SXSK_ATTACH_AUTO);

	expect_rings(opts, 2048, 2048, 2048, 2048, 1000);
	opts.rx_size = 1;
	opts.tx_size = 2;
	opts.fill_size = 3;
	opts.comp_size = 5;
	expect_rings(opts, 1, 2, 4, 8, 200);
	opts.rx_size = opts.tx_size = opts.fill_size = opts.comp_size = 65536;
	expect_rings(opts, 65536, 65536, 65536, 65536, 1000);
	opts.rx_size = opts.tx_size = opts.fill_size = opts.comp_size = 32769;
	expect_rings(opts, 65536, 65536, 65536, 65536, 1000);
}

/* One entry of each is the least that the kernel takes: packets pass, one at a time. */
Test(xsk_options, rings_of_one_entry)
{
	struct sxsk_socket_opts opts = steered(SXSK_ATTACH_AUTO);
	struct sxsk_pool *pool = new_pool(1024);
	struct sxsk_socket *a, *b;
	uint32_t next = 0;

	opts.rx_size = opts.tx_size = opts.fill_size = opts.comp_size = 1;
	a = open_socket(pool, "v0", 0, opts);
	b = open_socket(pool, "v1", 0, opts);
	for (uint32_t i = 0; i < 100; i++) {
		cr_assert_eq(send_some(a, pool, i, 1), 1);
		while (next == i) {
			cr_assert_eq(sxsk_socket_wait(b, SXSK_WAIT_RX, 20000), SXSK_WAIT_RX);
			receive_some(b, &next);
		}
	}
	sxsk_socket_close(a);
	sxsk_socket_close(b);
	sxsk_pool_unref(pool);
}

/* ---- sockets of one direction ------------------------------------------------------------------------ */

static void keep_capabilities(uint64_t keep)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	const struct __user_cap_data_struct data[2] = {
		{ .effective = (uint32_t)keep, .permitted = (uint32_t)keep },
		{ .effective = (uint32_t)(keep >> 32), .permitted = (uint32_t)(keep >> 32) },
	};

	cr_assert_eq(syscall(SYS_capset, &header, data), 0);
}

Test(xsk_options, who_only_sends_needs_no_program_no_frames_to_fill_and_one_capability)
{
	struct sxsk_pool *pool = new_pool(4096), *own = new_pool(1024);
	struct sxsk_socket *to = open_socket(pool, "v0", 0, steered(SXSK_ATTACH_AUTO)), *from;
	struct sxsk_pool_stats stats = { .sz = sizeof(stats) };
	struct sxsk_socket_opts opts = defaults();
	struct sxsk_buf b;

	keep_capabilities(1ull << CAP_NET_RAW | 1ull << CAP_IPC_LOCK);
	opts.flags = SXSK_SOCKET_NO_RX;
	from = open_anew(own, "v1", opts);
	cr_expect_eq(stats_of(from).attach, SXSK_ATTACH_NONE);
	cr_expect_eq(heard.ring[XDP_RX_RING], 0, "the kernel has no RX ring");
	cr_expect_null(inner(from)->map[0].addr);
	carry(from, own, to, 1000);
	cr_expect_eq(sxsk_rx_burst(from, &b, 1), 0);
	sxsk_pool_stats(own, &stats);
	cr_expect_eq(stats.fill, 0);
	cr_expect_eq(stats_of(from).fill_given, 0);
	cr_expect_eq(*inner(from)->q->fill.producer, 0);
	cr_expect_eq(stats_of(from).rx_packets, 0);
	sxsk_socket_close(from);
	sxsk_socket_close(to);
	sxsk_pool_unref(own);
	sxsk_pool_unref(pool);
}

Test(xsk_options, who_only_receives_never_sends)
{
	struct sxsk_pool *pool = new_pool(4096), *own = new_pool(4096);
	struct sxsk_socket_opts opts = steered(SXSK_ATTACH_AUTO);
	struct sxsk_socket *to, *from;
	struct sxsk_buf b;
	uint32_t next = 0;

	from = open_socket(pool, "v1", 0, defaults());
	opts.flags = SXSK_SOCKET_NO_TX;
	to = open_anew(own, "v0", opts);
	cr_expect_eq(heard.ring[XDP_TX_RING], 0, "the kernel has no TX ring");
	cr_expect_null(inner(to)->map[1].addr);
	for (uint32_t i = 0; i < 20; i++) {
		cr_assert_eq(send_some(from, pool, 32 * i, 32), 32);
		heard.sends = 0;
		while (next < 32 * (i + 1)) {
			cr_assert_eq(sxsk_socket_wait(to, SXSK_WAIT_RX, 20000), SXSK_WAIT_RX);
			receive_some(to, &next);
		}
		cr_assert_eq(sxsk_pool_alloc(own, &b, 1), 1);
		cr_assert_eq(sxsk_buf_put(&b, 60), 0);
		cr_expect_eq(sxsk_tx_burst(to, &b, 1), 0, "not taken");
		sxsk_buf_unref(&b);
		cr_expect_eq(heard.sends, 0);
	}
	cr_expect_eq(stats_of(to).kicks, 0);
	cr_expect_eq(*inner(to)->q->comp.producer, 0);
	cr_expect_eq(stats_of(to).tx_packets, 0);
	sxsk_socket_close(from);
	sxsk_socket_close(to);
	sxsk_pool_unref(own);
	sxsk_pool_unref(pool);
}
