/* SPDX-License-Identifier: BSD-2-Clause */
/* Several sockets on one queue of a real interface: FILL and COMPLETION are theirs together. */
#include "veth.h"

#include <pthread.h>

TestSuite(xsk_queue, .init = make_network, .timeout = 60);

static struct sxsk_socket_opts sharing(uint32_t flags)
{
	struct sxsk_socket_opts opts = steered(SXSK_ATTACH_AUTO);

	opts.flags = flags | SXSK_SOCKET_SHARE_QUEUE;
	return opts;
}

static void expect_error(int err, const char *words, int ret)
{
	cr_assert_eq(ret, -err, "%d: %s", ret, sxsk_last_error());
	cr_assert(strstr(sxsk_last_error(), words), "\"%s\"", sxsk_last_error());
}

static uint64_t sum_of(const struct sxsk_pool_stats *st)
{
	return st->user + st->lanes + st->depot + st->fill + st->tx + st->quarantined + st->retired;
}

static void expect_accounted(struct sxsk_pool *pool)
{
	struct sxsk_pool_stats st = { .sz = sizeof(st) };

	sxsk_pool_stats(pool, &st);
	cr_assert_eq(st.user + st.tx, 0, "%llu in Bufs, %llu in transmission",
		     (unsigned long long)st.user, (unsigned long long)st.tx);
	cr_assert_eq(sum_of(&st), st.total);
}

Test(xsk_queue, second_socket_needs_the_flag_and_the_pool)
{
	struct sxsk_pool *pool = new_pool(1024), *other = new_pool(1024);
	struct sxsk_socket_opts plain = defaults(), opts = sharing(SXSK_SOCKET_NO_RX);
	struct sxsk_socket *a = open_socket(pool, "v0", 0, plain), *b;

	expect_error(EBUSY, "SXSK_SOCKET_SHARE_QUEUE", sxsk_socket_open(&b, pool, "v0", 0, &opts));
	sxsk_socket_close(a);
	a = open_socket(pool, "v0", 0, opts);
	expect_error(EBUSY, "SXSK_SOCKET_SHARE_QUEUE", sxsk_socket_open(&b, pool, "v0", 0, &plain));
	expect_error(EBUSY, "another pool", sxsk_socket_open(&b, other, "v0", 0, &opts));
	opts.flags |= SXSK_SOCKET_NO_NEED_WAKEUP;
	expect_error(EINVAL, "agree", sxsk_socket_open(&b, pool, "v0", 0, &opts));
	opts = sharing(SXSK_SOCKET_NO_RX);
	b = open_socket(pool, "v0", 0, opts);
	sxsk_socket_close(b);
	sxsk_socket_close(a);
	expect_accounted(pool);
	sxsk_pool_unref(pool);
	sxsk_pool_unref(other);
}

/* The program sends a queue's packets to one socket: the first that asked. */
Test(xsk_queue, second_receiver_is_refused)
{
	struct sxsk_pool *pool = new_pool(1024), *far = new_pool(1024);
	struct sxsk_socket_opts opts = sharing(0);
	struct sxsk_socket *a = open_socket(pool, "v0", 0, opts), *b,
			   *to = open_socket(far, "v1", 0, defaults());

	expect_error(EBUSY, "gets the packets", sxsk_socket_open(&b, pool, "v0", 0, &opts));
	carry(to, far, a, 100);
	sxsk_socket_close(a);
	sxsk_socket_close(to);
	sxsk_pool_unref(pool);
	sxsk_pool_unref(far);
}

static struct sxsk_priv_socket *inner(struct sxsk_socket *socket)
{
	return &sxsk_priv_registry.socket[(uintptr_t)socket & 0xffff];
}

struct reaper {
	struct sxsk_socket *socket;
	uint32_t done;
};

static void *reap(void *arg)
{
	struct reaper *r = arg;

	if (sxsk_tx_burst(r->socket, NULL, 0) == 0)
		__atomic_store_n(&r->done, 1, __ATOMIC_RELEASE);
	return NULL;
}

/* A thread that is slow to come to the lock is not seen to ignore it; one that waits there always passes. */
Test(xsk_queue, one_sender_at_a_time_is_at_the_rings)
{
	struct sxsk_pool *pool = new_pool(1024);
	struct sxsk_socket *a = open_socket(pool, "v0", 0, sharing(SXSK_SOCKET_NO_RX)),
			   *b = open_socket(pool, "v0", 0, sharing(SXSK_SOCKET_NO_RX));
	struct reaper r = { .socket = b };
	pthread_t thread;

	pthread_mutex_lock(&inner(a)->q->comp_lock);
	cr_assert_eq(pthread_create(&thread, NULL, reap, &r), 0);
	while (!sxsk_priv_thread_inside(&inner(b)->tx, NULL) &&
	       !__atomic_load_n(&r.done, __ATOMIC_ACQUIRE))
		usleep(1000);
	usleep(20000);
	cr_assert_eq(__atomic_load_n(&r.done, __ATOMIC_ACQUIRE), 0);
	pthread_mutex_unlock(&inner(a)->q->comp_lock);
	cr_assert_eq(pthread_join(thread, NULL), 0);
	cr_assert_eq(r.done, 1);
	sxsk_socket_close(a);
	sxsk_socket_close(b);
	sxsk_pool_unref(pool);
}

struct sender {
	struct sxsk_socket *socket;
	struct sxsk_pool *pool;
	uint32_t packets, sent;
};

static void *send_all(void *arg)
{
	struct sender *s = arg;
	struct sxsk_buf bufs[32];

	while (s->sent < s->packets) {
		unsigned n = sxsk_pool_alloc(s->pool, bufs, 32), done = 0;

		for (unsigned i = 0; i < n; i++) {
			if (sxsk_buf_put(&bufs[i], 60) != 0)
				return NULL;
			fill_packet(sxsk_buf_data_mut(bufs[i]), 0, 60);
		}
		while (done < n)
			done += sxsk_tx_burst(s->socket, bufs + done, n - done);
		s->sent += n;
		if (n == 0)
			(void)!sxsk_tx_burst(s->socket, NULL, 0);
	}
	return s;
}

/* Whoever reaps: the counts of a queue are its sockets' sum, and all frames come home. */
Test(xsk_queue, two_threads_send_on_one_queue)
{
	struct sxsk_pool *pool = new_pool(4096);
	struct sxsk_socket_opts opts = sharing(SXSK_SOCKET_NO_RX);
	struct sender s[2] = { { .pool = pool, .packets = 20000 },
			       { .pool = pool, .packets = 20000 } };
	struct sxsk_socket *to = open_socket(new_pool(4096), "v1", 0, steered(SXSK_ATTACH_AUTO));
	struct sxsk_buf bufs[64];
	pthread_t thread[2];

	for (unsigned i = 0; i < 2; i++)
		s[i].socket = open_socket(pool, "v0", 0, opts);
	for (unsigned i = 0; i < 2; i++)
		cr_assert_eq(pthread_create(&thread[i], NULL, send_all, &s[i]), 0);
	for (int64_t end = milliseconds() + 1000; milliseconds() < end;)
		sxsk_buf_unref_burst(bufs, sxsk_rx_burst(to, bufs, 64));
	for (unsigned i = 0; i < 2; i++)
		cr_assert_eq(pthread_join(thread[i], NULL), 0);
	for (unsigned i = 0; i < 2; i++) {
		cr_assert_geq(s[i].sent, 20000);
		cr_assert_eq(stats_of(s[i].socket).tx_packets, s[i].sent);
		cr_assert_eq(stats_of(s[i].socket).comp_refused, 0);
	}
	while (stats_of(s[0].socket).tx_completed + stats_of(s[1].socket).tx_completed <
	       s[0].sent + s[1].sent)
		cr_assert_eq(sxsk_tx_burst(s[1].socket, NULL, 0), 0);
	cr_assert_eq(sxsk_pool_drain(pool, 1000), 0, "%s", sxsk_last_error());
	sxsk_socket_close(s[0].socket); /* which opened the queue */
	s[1].packets += 1000;
	cr_assert_eq(send_all(&s[1]), &s[1]);
	sxsk_socket_close(s[1].socket);
	expect_accounted(pool);
	sxsk_pool_unref(pool);
	sxsk_socket_close(to);
}

/* A Buf that both send, and a user keeps: each transmission is in the queue's ledger. */
Test(xsk_queue, one_buf_on_both_sockets)
{
	struct sxsk_pool *pool = new_pool(1024);
	struct sxsk_socket_opts opts = sharing(SXSK_SOCKET_NO_RX);
	struct sxsk_socket *a = open_socket(pool, "v0", 0, opts),
			   *b = open_socket(pool, "v0", 0, opts);
	struct sxsk_buf keep, clone;

	cr_assert_eq(sxsk_pool_alloc(pool, &keep, 1), 1);
	cr_assert_eq(sxsk_buf_put(&keep, 60), 0);
	fill_packet(sxsk_buf_data_mut(keep), 0, 60);
	for (unsigned i = 0; i < 100; i++) {
		clone = sxsk_buf_ref(keep);
		cr_assert_eq(sxsk_tx_burst(i % 2 ? a : b, &clone, 1), 1);
	}
	cr_assert_eq(sxsk_tx_burst(b, NULL, 0), 0);
	cr_assert_eq(stats_of(a).comp_refused + stats_of(b).comp_refused, 0);
	sxsk_socket_close(a);
	cr_assert_eq(sxsk_tx_burst(b, NULL, 0), 0);
	cr_assert_not(sxsk_buf_is_shared(keep), "all transmissions are over");
	sxsk_buf_unref(&keep);
	sxsk_socket_close(b);
	expect_accounted(pool);
	sxsk_pool_unref(pool);
}

/* FILL goes on while one of its sockets is gone, whichever that is, and ends with the last. */
Test(xsk_queue, receiver_outlives_the_socket_that_opened_the_queue)
{
	for (unsigned sender_first = 0; sender_first < 2; sender_first++) {
		struct sxsk_pool *pool = new_pool(4096), *far = new_pool(4096);
		struct sxsk_socket *send = NULL, *receive, *to;
		struct sxsk_pool_stats st = { .sz = sizeof(st) };

		to = open_socket(far, "v1", 0, steered(SXSK_ATTACH_AUTO));
		if (sender_first)
			send = open_socket(pool, "v0", 0, sharing(SXSK_SOCKET_NO_RX));
		receive = open_socket(pool, "v0", 0, sharing(0));
		if (!sender_first)
			send = open_socket(pool, "v0", 0, sharing(SXSK_SOCKET_NO_RX));
		carry(to, far, receive, 1000);
		carry(send, pool, to, 1000);
		sxsk_socket_close(send);
		carry(to, far, receive, 5000);
		sxsk_pool_stats(pool, &st);
		cr_assert_gt(st.fill, 0);
		cr_assert_eq(st.quarantined, 0, "nothing is, while the queue lives");
		sxsk_socket_close(receive);
		sxsk_pool_stats(pool, &st);
		cr_assert_gt(st.quarantined, 0);
		receive = open_socket(pool, "v0", 0, defaults());
		sxsk_pool_stats(pool, &st);
		cr_assert_eq(st.quarantined, 0, "the queue was bound again");
		sxsk_socket_close(receive);
		sxsk_socket_close(to);
		sxsk_pool_unref(pool);
		sxsk_pool_unref(far);
	}
}

/* ---- several threads open and close ------------------------------------------------------------------ */

struct opener {
	struct sxsk_pool *pool;
	pthread_barrier_t *together;
	int err;
	char sentence[256];
};

static void *open_and_close(void *arg)
{
	struct opener *o = arg;
	struct sxsk_socket_opts opts = defaults();
	struct sxsk_socket *socket;

	opts.flags |= SXSK_SOCKET_SHARE_QUEUE;
	for (unsigned i = 0; i < 25; i++) {
		(void)pthread_barrier_wait(o->together);
		do /* -EBUSY says: try again */
			o->err = sxsk_socket_open(&socket, o->pool, "v0", 0, &opts);
		while (o->err == -EBUSY);
		if (!o->err)
			sxsk_socket_close(socket);
		else if (!o->sentence[0]) /* not an assertion: the others would wait at the barrier */
			(void)snprintf(o->sentence, sizeof(o->sentence), "%s", sxsk_last_error());
	}
	return NULL;
}

static unsigned ring_mappings(void)
{
	FILE *f = fopen("/proc/self/maps", "re");
	char line[512];
	unsigned n = 0;

	cr_assert_not_null(f);
	while (fgets(line, sizeof(line), f))
		n += strstr(line, "socket:[") != NULL;
	(void)fclose(f);
	return n;
}

/* The first to come makes the rings, the last to go takes them down, whoever that is. */
Test(xsk_queue, threads_that_open_and_close_at_the_same_time_leave_nothing)
{
	struct opener openers[3];
	struct sxsk_pool *pool = new_pool(1024);
	pthread_barrier_t together;
	pthread_t thread[3];

	cr_assert_eq(pthread_barrier_init(&together, NULL, 3), 0);
	for (unsigned i = 0; i < 3; i++) {
		openers[i] = (struct opener){ .pool = pool, .together = &together };
		cr_assert_eq(pthread_create(&thread[i], NULL, open_and_close, &openers[i]), 0);
	}
	for (unsigned i = 0; i < 3; i++)
		cr_assert_eq(pthread_join(thread[i], NULL), 0);
	for (unsigned i = 0; i < 3; i++)
		cr_assert_eq(openers[i].sentence[0], '\0', "%s", openers[i].sentence);
	cr_assert_eq(ring_mappings(), 0);
	sxsk_socket_close(open_socket(pool, "v0", 0, defaults())); /* the queue is free */
	expect_accounted(pool);
	sxsk_pool_unref(pool);
}

/* What a socket could not send before it was closed is nobody's to send; the others may as much as before. */
Test(xsk_queue, what_a_closed_socket_had_to_send_is_not_missed)
{
	struct sxsk_pool *pool = new_pool(1024), *far = new_pool(1024);
	struct sxsk_socket_opts opts = sharing(SXSK_SOCKET_NO_RX);
	struct sxsk_socket *left[2], *stays, *to;

	opts.comp_size = opts.tx_size = 64;
	to = open_socket(far, "v1", 0, steered(SXSK_ATTACH_AUTO));
	stays = open_socket(pool, "v0", 0, opts);
	for (unsigned i = 0; i < 2; i++)
		left[i] = open_socket(pool, "v0", 0, opts);
	run("ip link set v0 down");
	for (unsigned i = 0; i < 2; i++)
		cr_assert_eq(send_some(left[i], pool, 0, 32), 32);
	for (unsigned i = 0; i < 2; i++)
		sxsk_socket_close(left[i]);
	run("ip link set v0 up");
	carry(stays, pool, to, 200);
	sxsk_socket_close(stays);
	sxsk_socket_close(open_socket(pool, "v0", 0, defaults()));
	expect_accounted(pool);
	sxsk_socket_close(to);
	sxsk_pool_unref(pool);
	sxsk_pool_unref(far);
}
