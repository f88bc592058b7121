/* SPDX-License-Identifier: BSD-2-Clause */
/* Packets over the kernel's AF_XDP, in every mode, and what sockets of one pool share. */
#include "veth.h"

#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>

TestSuite(xsk, .init = make_network, .timeout = 60);

/* ---- packets pass ------------------------------------------------------------------------------ */

static void both_ways(uint32_t attach, uint32_t mode, uint32_t flags, uint32_t in_force)
{
	struct sxsk_pool *pool = new_pool(4096);
	struct sxsk_socket_opts opts = steered(attach);
	struct sxsk_socket *a, *b;

	opts.mode = mode;
	opts.flags = flags;
	a = open_socket(pool, "v0", 0, opts);
	b = open_socket(pool, "v1", 0, opts);
	cr_expect_eq(stats_of(a).attach, in_force);
	cr_expect_eq(stats_of(a).mode, SXSK_MODE_COPY, "veth has no zero-copy");
	cr_expect_neq(program_on("v0"), 0);
	carry(a, pool, b, 3000);
	carry(b, pool, a, 3000);
	cr_expect_eq(stats_of(a).kernel.rx_dropped, 0);
	sxsk_socket_close(a);
	sxsk_socket_close(b);
	cr_expect_eq(program_on("v0"), 0);
	cr_expect_eq(program_on("v1"), 0);
	sxsk_pool_unref(pool);
}

Test(xsk, packets_pass_both_ways_with_the_defaults)
{
	both_ways(SXSK_ATTACH_AUTO, SXSK_MODE_AUTO, 0, SXSK_ATTACH_NATIVE);
}

Test(xsk, packets_pass_both_ways_native)
{
	both_ways(SXSK_ATTACH_NATIVE, SXSK_MODE_COPY, 0, SXSK_ATTACH_NATIVE);
}

Test(xsk, packets_pass_both_ways_skb)
{
	both_ways(SXSK_ATTACH_SKB, SXSK_MODE_COPY, 0, SXSK_ATTACH_SKB);
}

Test(xsk, packets_pass_both_ways_without_need_wakeup)
{
	both_ways(SXSK_ATTACH_AUTO, SXSK_MODE_AUTO, SXSK_SOCKET_NO_NEED_WAKEUP, SXSK_ATTACH_NATIVE);
}

Test(xsk, sockets_of_one_direction_have_the_rings_of_one)
{
	struct sxsk_pool *pool = new_pool(4096);
	struct sxsk_socket_opts opts = steered(SXSK_ATTACH_AUTO);
	struct sxsk_socket *from, *to;

	opts.flags = SXSK_SOCKET_NO_TX;
	to = open_socket(pool, "v0", 0, opts);
	opts.flags = SXSK_SOCKET_NO_RX;
	from = open_socket(pool, "v1", 0, opts);
	cr_expect_eq(stats_of(from).attach, SXSK_ATTACH_NONE, "a sender needs no program");
	cr_expect_eq(program_on("v1"), 0);
	carry(from, pool, to, 1000);
	sxsk_socket_close(from);
	sxsk_socket_close(to);
	sxsk_pool_unref(pool);
}

Test(xsk, one_system_call_sends_a_whole_burst)
{
	struct sxsk_pool *pool = new_pool(1024);
	struct sxsk_socket *socket = open_socket(pool, "v0", 0, defaults());
	const uint32_t budget = 64;

	if (setsockopt(sxsk_priv_socket_of(socket, "test")->fd, SOL_XDP,
		       9 /* XDP_MAX_TX_SKB_BUDGET */, &budget, sizeof(budget)))
		cr_skip_test("this kernel has no XDP_MAX_TX_SKB_BUDGET (Linux 6.17)");
	sxsk_socket_close(socket);
	socket = open_socket(pool, "v0", 0, defaults());
	for (uint32_t i = 0; i < 10; i++)
		cr_assert_eq(send_some(socket, pool, 0, 64), 64);
	cr_expect_eq(stats_of(socket).kicks, 10, "%lu kicks",
		     (unsigned long)stats_of(socket).kicks);
	cr_expect_eq(stats_of(socket).kick_again, 0);
	sxsk_socket_close(socket);
	sxsk_pool_unref(pool);
}

/* In place of the C library's, for this program: Linux before 6.17, which knows no other budget than 32,
 * and which when that is spent does not tell in the TX ring how far it got. */
static uint32_t *tells; /* the TX ring's consumer index; NULL: this kernel as it is */

int setsockopt(int fd, int level, int option, const void *value, socklen_t len)
{
	if (tells && level == SOL_XDP && option == 9 /* XDP_MAX_TX_SKB_BUDGET */) {
		errno = ENOPROTOOPT;
		return -1;
	}
	return (int)syscall(SYS_setsockopt, fd, level, option, value, len);
}

ssize_t sendto(int fd, const void *data, size_t n, int flags, __CONST_SOCKADDR_ARG to,
	       socklen_t to_len)
{
	const uint32_t before = tells ? *tells : 0;
	const ssize_t sent = syscall(SYS_sendto, fd, data, n, flags, to.__sockaddr__, to_len);

	if (tells && sent < 0 && errno == EAGAIN)
		*tells = before;
	return sent;
}

Test(xsk, whole_burst_is_sent_by_kernels_that_do_not_tell_how_far_they_got)
{
	struct sxsk_pool *pool = new_pool(4096);
	struct sxsk_socket *from, *to = open_socket(pool, "v1", 0, steered(SXSK_ATTACH_AUTO));
	uint32_t number = 0, nothing = 0;

	tells = &nothing;
	from = open_socket(pool, "v0", 0, defaults());
	tells = sxsk_priv_socket_of(from, "test")->tx_ring.consumer;
	cr_assert_eq(send_some(from, pool, 0, 64), 64);
	/* Without another call of the sender's. */
	for (int64_t end = milliseconds() + 20000; number < 64 && milliseconds() < end;)
		receive_some(to, &number);
	cr_expect_eq(number, 64);
	cr_expect_eq(stats_of(from).kicks, 2);
	sxsk_socket_close(from);
	sxsk_socket_close(to);
	sxsk_pool_unref(pool);
}

Test(xsk, the_kernels_counters_are_read)
{
	struct sxsk_pool *pool = new_pool(4096);
	struct sxsk_socket_opts opts = steered(SXSK_ATTACH_AUTO);
	struct sxsk_socket *from, *to;

	opts.fill_size = opts.rx_size = 64;
	to = open_socket(pool, "v0", 0, opts);
	from = open_socket(pool, "v1", 0, steered(SXSK_ATTACH_AUTO));
	for (uint32_t i = 0; i < 4; i++)
		cr_assert_eq(send_some(from, pool, 0, 64), 64);
	cr_assert_eq(sxsk_pool_drain(pool, 5000), 0, "all were sent");
	for (int64_t end = milliseconds() + 20000; milliseconds() < end;)
		if (stats_of(to).kernel.rx_dropped + stats_of(to).kernel.rx_ring_full >= 192)
			break;
	cr_expect_eq(stats_of(to).kernel.rx_dropped + stats_of(to).kernel.rx_ring_full, 192,
		     "64 of 256 fit");
	sxsk_socket_close(from);
	sxsk_socket_close(to);
	sxsk_pool_unref(pool);
}

/* The kernel's stack sees what is sent on a queue that has no socket. */
Test(xsk, a_queue_without_a_socket_goes_to_the_stack)
{
	const struct sockaddr_ll address = { .sll_family = AF_PACKET,
					     .sll_protocol = htons(TYPE_HIGH << 8 | TYPE_LOW),
					     .sll_ifindex = (int)if_nametoindex("m0") };
	struct sxsk_pool *pool = new_pool(4096);
	struct sxsk_socket *q1 = open_socket(pool, "m0", 1, steered(SXSK_ATTACH_AUTO));
	struct sxsk_socket *from0 = open_socket(pool, "m1", 0, steered(SXSK_ATTACH_AUTO));
	struct sxsk_socket *from1 = open_socket(pool, "m1", 1, steered(SXSK_ATTACH_AUTO));
	struct pollfd stack = { .fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0),
				.events = POLLIN };
	unsigned char packet[2048];

	cr_assert_eq(bind(stack.fd, (const void *)&address, sizeof(address)), 0);
	cr_assert_eq(send_some(from0, pool, 7, 1), 1);
	cr_assert_eq(poll(&stack, 1, 20000), 1, "the packet of queue 0 did not reach the stack");
	cr_expect_eq(recv(stack.fd, packet, sizeof(packet), 0), packet_length(7));
	cr_expect_eq(packet[14], 7);
	carry(from1, pool, q1, 500);
	cr_expect_eq(poll(&stack, 1, 0), 0, "packets of queue 1 are the socket's alone");
	close(stack.fd);
	sxsk_socket_close(q1);
	sxsk_socket_close(from0);
	sxsk_socket_close(from1);
	sxsk_pool_unref(pool);
}

/* ---- one registration of the pool's memory for several sockets --------------------------------- */

static bool shares(struct sxsk_socket *socket)
{
	return sxsk_priv_socket_of(socket, "test")->device_data != NULL;
}

Test(xsk, sockets_of_one_mode_share_the_registration)
{
	struct sxsk_pool *pool = new_pool(8192);
	struct sxsk_socket_opts opts = steered(SXSK_ATTACH_AUTO);
	struct sxsk_socket *a, *b, *c;

	opts.mode = SXSK_MODE_COPY;
	a = open_socket(pool, "v0", 0, opts);
	b = open_socket(pool, "v1", 0, opts);
	cr_expect_not(shares(a));
	cr_expect(shares(b));
	carry(a, pool, b, 1000);
	/* Who registered leaves first. */
	sxsk_socket_close(a);
	c = open_socket(pool, "v0", 0, opts);
	cr_expect(shares(c));
	carry(b, pool, c, 1000);
	carry(c, pool, b, 1000);
	sxsk_socket_close(b);
	sxsk_socket_close(c);
	sxsk_pool_unref(pool);
}

Test(xsk, what_would_be_inherited_wrongly_is_not_shared)
{
	struct sxsk_pool *pool = new_pool(8192);
	struct sxsk_socket_opts opts = steered(SXSK_ATTACH_AUTO);
	struct sxsk_socket *a, *b;

	opts.mode = SXSK_MODE_COPY;
	a = open_socket(pool, "v0", 0, opts);
	opts.flags = SXSK_SOCKET_NO_NEED_WAKEUP;
	b = open_socket(pool, "v1", 0, opts);
	cr_expect_not(shares(b));
	carry(a, pool, b, 500);
	carry(b, pool, a, 500);
	sxsk_socket_close(b);
	opts.flags = 0;
	opts.mode = SXSK_MODE_AUTO;
	b = open_socket(pool, "v1", 0, opts);
	cr_expect_not(shares(b), "another interface may have zero-copy");
	carry(a, pool, b, 500);
	sxsk_socket_close(a);
	sxsk_socket_close(b);
	sxsk_pool_unref(pool);
}

/* A bind with a shared registration that the kernel refuses leaves room for one's own. */
Test(xsk, automatic_mode_falls_back_to_its_own_registration)
{
	struct sxsk_pool *pool = new_pool(1024);
	struct sxsk_socket *first = open_socket(pool, "m0", 0, steered(SXSK_ATTACH_AUTO));
	struct sxsk_priv_socket *donor = sxsk_priv_socket_of(first, "test");
	static struct sxsk_priv_socket s;
	struct sxsk_priv_queue q = { .id = 1 };

	s = (struct sxsk_priv_socket){
		.fd = -1, .pool = donor->pool, .q = &q, .ring_size = { 64, 64, 64, 64 }
	};
	cr_assert_eq(DEVICE.identify("m0", 1, &q.device, &s.mtu), 0);
	cr_assert_eq(DEVICE.open(&s, donor), 0, "%s", sxsk_last_error());
	cr_expect(s.device_data == donor);
	q.device.queue = 9; /* which the kernel refuses in any case */
	cr_expect_eq(DEVICE.bind(&s, donor), -EINVAL);
	cr_expect_null(s.device_data);
	q.device.queue = 1;
	cr_expect_eq(DEVICE.bind(&s, NULL), 0, "%s", sxsk_last_error());
	cr_expect_eq(s.mode, SXSK_MODE_COPY);
	DEVICE.close(&s);
	DEVICE.close(&s);
	sxsk_socket_close(first);
	sxsk_pool_unref(pool);
}
