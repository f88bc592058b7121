/* SPDX-License-Identifier: BSD-2-Clause */
/* Sockets on the in-process device, through the public calls. */
#include <criterion/criterion.h>
#include <errno.h>
#include <linux/if_xdp.h>
#include <pthread.h>
#include <safexsk/mem.h>
#include <safexsk/safexsk.h>
#include <string.h>

#define BURST 32u

struct side {
	struct sxsk_pool *pool;
	struct sxsk_socket *socket;
};

static struct side side_open(const char *name, uint32_t frame_size)
{
	struct sxsk_pool_opts p = { .sz = sizeof(p), .frame_count = 256, .frame_size = frame_size };
	struct sxsk_socket_opts o = {
		.sz = sizeof(o), .rx_size = 64, .tx_size = 64, .fill_size = 64, .comp_size = 64
	};
	struct side s;

	cr_assert_eq(sxsk_pool_create(&s.pool, &p), 0, "%s", sxsk_last_error());
	cr_assert_eq(sxsk_socket_open(&s.socket, s.pool, name, 0, &o), 0, "%s", sxsk_last_error());
	return s;
}

static struct sxsk_socket_stats socket_stats(struct sxsk_socket *socket)
{
	struct sxsk_socket_stats st = { .sz = sizeof(st) };

	sxsk_socket_stats(socket, &st);
	return st;
}

static struct sxsk_pool_stats pool_stats(struct sxsk_pool *pool)
{
	struct sxsk_pool_stats st = { .sz = sizeof(st) };

	sxsk_pool_stats(pool, &st);
	return st;
}

/* Every frame is where the library says, and nobody has one any more. */
static void expect_accounted(struct sxsk_pool *pool)
{
	struct sxsk_pool_stats st = pool_stats(pool);

	cr_assert_eq(st.user, 0);
	cr_assert_eq(st.tx, 0);
	cr_assert_eq(st.lanes + st.depot + st.fill + st.quarantined + st.retired, st.total);
}

static void side_close(struct side s)
{
	sxsk_socket_close(s.socket);
	expect_accounted(s.pool);
	sxsk_pool_unref(s.pool);
}

/* Length and content follow from the number. */
static uint32_t length_of(uint32_t number)
{
	return 60 + number * 37 % 1400;
}

static unsigned char byte_of(uint32_t number, uint32_t at)
{
	return (unsigned char)(number + at * at + (at >> 8));
}

static void fill_packet(struct sxsk_buf *b, uint32_t number)
{
	unsigned char *data;

	cr_assert_eq(sxsk_buf_put(b, length_of(number)), 0);
	data = sxsk_buf_data_mut(*b);
	for (uint32_t i = 0; i < length_of(number); i++)
		data[i] = byte_of(number, i);
}

static void check_packet(struct sxsk_buf b, uint32_t number)
{
	const unsigned char *data = sxsk_buf_data(b);

	cr_assert_eq(sxsk_buf_len(b), length_of(number), "packet %u", number);
	for (uint32_t i = 0; i < length_of(number); i++)
		cr_assert_eq(data[i], byte_of(number, i), "packet %u, byte %u", number, i);
}

/* As many of the packets [from, to) as go out. */
static uint32_t send_some(struct side *s, uint32_t from, uint32_t to)
{
	struct sxsk_buf bufs[BURST];
	unsigned n = sxsk_pool_alloc(s->pool, bufs, to - from < BURST ? to - from : BURST), sent;

	for (unsigned i = 0; i < n; i++)
		fill_packet(&bufs[i], from + i);
	sent = sxsk_tx_burst(s->socket, bufs, n);
	sxsk_buf_unref_burst(bufs + sent, n - sent);
	return from + sent;
}

static uint32_t check_some(struct side *s, uint32_t expected)
{
	struct sxsk_buf bufs[BURST];
	unsigned n = sxsk_rx_burst(s->socket, bufs, BURST);

	for (unsigned i = 0; i < n; i++)
		check_packet(bufs[i], expected + i);
	sxsk_buf_unref_burst(bufs, n);
	return expected + n;
}

Test(mem_socket, packets_cross_whole_and_in_order)
{
	struct side s[2] = { side_open("mem:order", 2048), side_open("mem:order", 4096) };
	const uint32_t packets = 20000;

	for (unsigned d = 0; d < 2; d++) {
		uint32_t sent = 0, got = 0;

		while (got < packets) {
			sent = send_some(&s[d], sent, packets);
			got = check_some(&s[!d], got);
		}
	}
	for (unsigned d = 0; d < 2; d++) {
		struct sxsk_socket_stats st = socket_stats(s[d].socket);

		cr_assert_eq(st.rx_packets, packets);
		cr_assert_eq(st.tx_packets, packets);
		cr_assert_eq(st.rx_bytes, st.tx_bytes);
		cr_assert_eq(st.rx_refused + st.comp_refused + st.kernel.rx_dropped, 0);
		cr_assert_eq(st.mode, SXSK_MODE_COPY);
		cr_assert_eq(st.attach, SXSK_ATTACH_NONE);
		cr_assert_eq(st.ifindex, 0);
		cr_assert_str_eq(st.ifname, "mem:order");
	}
	side_close(s[0]);
	side_close(s[1]);
}

Test(mem_socket, third_socket_is_refused)
{
	struct side a = side_open("mem:third", 2048), b = side_open("mem:third", 2048);
	struct sxsk_socket *c = NULL;

	cr_assert_eq(sxsk_socket_open(&c, a.pool, "mem:third", 0, NULL), -EBUSY);
	cr_assert(strstr(sxsk_last_error(), "both are open"), "%s", sxsk_last_error());
	cr_assert_null(c);
	cr_assert_eq(sxsk_socket_open(&c, a.pool, "mem:third", 1, NULL), 0);
	sxsk_socket_close(c);
	side_close(a);
	side_close(b);
}

Test(mem_socket, link_down_and_up)
{
	struct side a = side_open("mem:updown", 2048), b = side_open("mem:updown", 2048);
	uint32_t got = 0;

	cr_assert_eq(sxsk_socket_error(a.socket), 0);
	cr_assert_eq(sxsk_mem_set_link("mem:updown", false), 0);
	cr_assert_eq(sxsk_socket_error(a.socket), -ENETDOWN);
	cr_assert_eq(sxsk_socket_wait(b.socket, SXSK_WAIT_RX, 10000), -ENETDOWN);
	cr_assert_eq(send_some(&a, 0, 5), 5, "taken, and waiting in TX");
	cr_assert_eq(check_some(&b, 0), 0);
	cr_assert_eq(sxsk_mem_set_link("mem:updown", true), 0);
	cr_assert_eq(sxsk_socket_error(b.socket), 0);
	cr_assert_eq(sxsk_tx_burst(a.socket, NULL, 0), 0);
	while (got < 5)
		got = check_some(&b, got);
	side_close(a);
	side_close(b);
}

Test(mem_socket, removed_device)
{
	struct side a = side_open("mem:gone", 2048), b = side_open("mem:gone", 2048);

	cr_assert_eq(sxsk_mem_remove("mem:gone"), 0);
	cr_assert_eq(sxsk_socket_error(a.socket), -ENXIO);
	cr_assert_eq(sxsk_socket_wait(b.socket, SXSK_WAIT_RX, 10000), -ENXIO);
	(void)send_some(&a, 0, 5);
	cr_assert_eq(check_some(&b, 0), 0);
	sxsk_socket_close(a.socket);
	sxsk_socket_close(b.socket);
	expect_accounted(a.pool);
	cr_assert_eq(pool_stats(a.pool).quarantined, 0, "nobody writes to them any more");
	cr_assert_eq(pool_stats(b.pool).quarantined, 0);
	sxsk_pool_unref(a.pool);
	sxsk_pool_unref(b.pool);
}

Test(mem_socket, quarantine_ends_with_reopen_or_with_the_device)
{
	struct side a = side_open("mem:ward", 2048), b = side_open("mem:ward", 2048);

	sxsk_socket_close(a.socket);
	cr_assert_gt(pool_stats(a.pool).quarantined, 0);
	cr_assert_eq(sxsk_socket_open(&a.socket, a.pool, "mem:ward", 0, NULL), 0);
	cr_assert_eq(pool_stats(a.pool).quarantined, 0);
	sxsk_socket_close(a.socket);
	cr_assert_gt(pool_stats(a.pool).quarantined, 0);
	sxsk_socket_close(b.socket);
	cr_assert_eq(pool_stats(a.pool).quarantined, 0);
	cr_assert_eq(pool_stats(b.pool).quarantined, 0);
	expect_accounted(a.pool);
	expect_accounted(b.pool);
	sxsk_pool_unref(a.pool);
	sxsk_pool_unref(b.pool);
}

Test(mem_socket, take_rings_makes_the_caller_the_kernel)
{
	struct side a = side_open("mem:taken", 2048), b = side_open("mem:taken", 2048);
	struct sxsk_mem_rings k;
	struct sxsk_buf buf;
	struct xdp_desc *rx;
	uint64_t addr;

	cr_assert_eq(sxsk_mem_take_rings(a.socket, &k), 0);
	cr_assert_eq(k.rx.size, 64);
	cr_assert_eq(k.umem_size, 256 * 2048);
	cr_assert_eq(k.chunk, 2048);
	cr_assert_eq(k.headroom, 0);
	cr_assert_eq(*k.tx.flags, 0);
	/* Receive: the first address of FILL, with 60 bytes in it. */
	cr_assert_eq(*k.fill.producer, 64);
	addr = ((uint64_t *)k.fill.entries)[0];
	__atomic_store_n(k.fill.consumer, 1, __ATOMIC_RELEASE);
	memset(k.umem + addr + 256, 0x5a, 60);
	rx = k.rx.entries;
	rx[0] = (struct xdp_desc){ .addr = addr + 256, .len = 60 };
	__atomic_store_n(k.rx.producer, 1, __ATOMIC_RELEASE);
	cr_assert_eq(sxsk_rx_burst(a.socket, &buf, 1), 1);
	cr_assert_eq(((const unsigned char *)sxsk_buf_data(buf))[59], 0x5a);
	/* Send: it waits in TX until we complete it, and nobody is kicked. */
	cr_assert_eq(sxsk_tx_burst(a.socket, &buf, 1), 1);
	cr_assert_eq(*k.tx.producer, 1);
	cr_assert_eq(*k.tx.consumer, 0);
	cr_assert_eq(socket_stats(a.socket).kicks, 0);
	((uint64_t *)k.comp.entries)[0] = ((struct xdp_desc *)k.tx.entries)[0].addr;
	__atomic_store_n(k.tx.consumer, 1, __ATOMIC_RELEASE);
	__atomic_store_n(k.comp.producer, 1, __ATOMIC_RELEASE);
	cr_assert_eq(sxsk_tx_burst(a.socket, NULL, 0), 0);
	cr_assert_eq(socket_stats(a.socket).tx_completed, 1);
	/* The other end's packets do not come here. */
	cr_assert_eq(send_some(&b, 0, 3), 3);
	cr_assert_eq(*k.rx.producer, 1);
	cr_assert_eq(rx[1].len, 0);
	side_close(a);
	side_close(b);
}

/* A socket that kicks without being asked kicks in vain. */
Test(mem_socket, taken_rings_are_left_alone_by_kicks)
{
	struct sxsk_pool_opts p = { .sz = sizeof(p), .frame_count = 256 };
	struct sxsk_socket_opts o = { .sz = sizeof(o), .flags = SXSK_SOCKET_NO_NEED_WAKEUP };
	struct sxsk_mem_rings k;
	struct side a;

	cr_assert_eq(sxsk_pool_create(&a.pool, &p), 0);
	cr_assert_eq(sxsk_socket_open(&a.socket, a.pool, "mem:vain", 0, &o), 0);
	cr_assert_eq(sxsk_mem_take_rings(a.socket, &k), 0);
	cr_assert_eq(send_some(&a, 0, 3), 3);
	cr_assert_gt(socket_stats(a.socket).kicks, 0);
	cr_assert_eq(*k.tx.producer, 3);
	cr_assert_eq(*k.tx.consumer, 0);
	side_close(a);
}

Test(mem_socket, faults_are_checked_and_counted)
{
	struct side a = side_open("mem:opts", 2048);
	struct sxsk_mem_faults f = { .sz = 0 };

	cr_assert_eq(sxsk_mem_set_faults(a.socket, &f), -EINVAL);
	cr_assert(strstr(sxsk_last_error(), "sxsk_mem_faults.sz"), "%s", sxsk_last_error());
	f.sz = sizeof(f);
	f.one_in[SXSK_MEM_LOSS] = 2;
	cr_assert_eq(sxsk_mem_set_faults(a.socket, &f), 0);
	cr_assert_eq(send_some(&a, 0, 32), 32);
	cr_assert_gt(sxsk_mem_fault_count(a.socket, SXSK_MEM_LOSS), 0);
	cr_assert_lt(sxsk_mem_fault_count(a.socket, SXSK_MEM_LOSS), 32);
	cr_assert_eq(sxsk_mem_fault_count(a.socket, SXSK_MEM_RX_LATE), 0);
	cr_assert_eq(sxsk_mem_set_faults(a.socket, NULL), 0);
	side_close(a);
}

/* A kernel side that lies in one way: the library refuses what it can tell, and keeps the account. */
static void run_lying(enum sxsk_mem_fault fault)
{
	struct side a = side_open("mem:lies", 2048), b = side_open("mem:lies", 2048);
	struct sxsk_mem_faults f = { .sz = sizeof(f), .seed = 3 };
	struct sxsk_buf bufs[BURST];
	struct sxsk_socket_stats st;
	uint64_t told;

	f.one_in[fault] = 10;
	cr_assert_eq(sxsk_mem_set_faults(a.socket, &f), 0);
	cr_assert_eq(sxsk_mem_set_faults(b.socket, &f), 0);
	for (unsigned i = 0; i < 300; i++) {
		(void)send_some(&a, 0, 8);
		sxsk_buf_unref_burst(bufs, sxsk_rx_burst(b.socket, bufs, BURST));
	}
	told = sxsk_mem_fault_count(a.socket, fault) + sxsk_mem_fault_count(b.socket, fault);
	st = socket_stats(a.socket);
	cr_assert_gt(told, 0, "fault %u", fault);
	if (fault == SXSK_MEM_COMP_RANGE)
		cr_assert_eq(st.comp_refused, told);
	st = socket_stats(b.socket);
	if (fault == SXSK_MEM_RX_RANGE)
		cr_assert_eq(st.rx_refused, told);
	sxsk_socket_close(a.socket);
	sxsk_socket_close(b.socket);
	expect_accounted(a.pool);
	expect_accounted(b.pool);
	sxsk_pool_unref(a.pool);
	sxsk_pool_unref(b.pool);
}

Test(mem_socket, every_lie_leaves_every_frame_accounted)
{
	for (unsigned i = 0; i < SXSK_MEM_FAULTS; i++)
		run_lying((enum sxsk_mem_fault)i);
}

/* Criterion's assertions are for the test's own thread. */
static void *send_later(void *arg)
{
	struct side *s = arg;
	struct sxsk_buf b;
	bool sent = sxsk_pool_alloc(s->pool, &b, 1) == 1 && sxsk_buf_put(&b, 60) == 0 &&
		    sxsk_tx_burst(s->socket, &b, 1) == 1;

	return sent ? s : NULL;
}

Test(mem_socket, packet_from_another_thread_ends_a_wait)
{
	struct side a = side_open("mem:wait", 2048), b = side_open("mem:wait", 2048);
	struct sxsk_buf buf;
	pthread_t sender;
	void *sent;

	cr_assert_eq(sxsk_socket_wait(b.socket, SXSK_WAIT_RX, 0), 0);
	cr_assert_eq(pthread_create(&sender, NULL, send_later, &a), 0);
	cr_assert_eq(sxsk_socket_wait(b.socket, SXSK_WAIT_RX, -1), SXSK_WAIT_RX);
	cr_assert_eq(pthread_join(sender, &sent), 0);
	cr_assert_not_null(sent);
	cr_assert_eq(sxsk_rx_burst(b.socket, &buf, 1), 1);
	cr_assert_eq(sxsk_buf_len(buf), 60);
	sxsk_buf_unref(&buf);
	side_close(a);
	side_close(b);
}
