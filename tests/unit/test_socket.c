/* SPDX-License-Identifier: BSD-2-Clause */
/* The socket: options, its cookie, its halves, what cannot be sent, opening and closing. */
#include "sealed.h"
#include "support.h"

#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <sys/resource.h>

/* ---- options ------------------------------------------------------------------------------------------ */

static struct sxsk_pool *sealed_pool;

static void make_sealed_pool(void)
{
	sealed_pool = new_pool(1024);
}

static void refuse_wrong_options(const char *ifname)
{
	static const struct {
		struct sxsk_socket_opts o;
		const char *words;
	} wrong[] = {
		{ { .rx_size = 65537 }, "rx_size is 65537: a ring has at most 65536 entries" },
		{ { .tx_size = 65537 }, "tx_size is 65537" },
		{ { .fill_size = UINT32_MAX }, "fill_size is 4294967295" },
		{ { .comp_size = 65537 }, "comp_size is 65537" },
		{ { .steer = 2 }, "steer is 2" },
		{ { .mode = 3 }, "mode is 3: use auto, copy or zero-copy" },
		{ { .attach = SXSK_ATTACH_NONE }, "attach is 4" },
		{ { .attach = UINT32_MAX }, "attach is" },
		{ { .flags = 1u << 31 }, "flags is 0x80000000" },
		{ { .flags = SXSK_SOCKET_NO_RX | SXSK_SOCKET_NO_TX }, "leave nothing to do" },
		{ { .flags = SXSK_SOCKET_NO_RX, .frame_quota = 1 },
		  "frame_quota is 1: with SXSK_SOCKET_NO_RX no frame is filled" },
		{ { .attach = SXSK_ATTACH_NATIVE }, "attach is native: with SXSK_STEER_NONE" },
		{ { .attach = SXSK_ATTACH_SKB }, "attach is skb: with SXSK_STEER_NONE" },
		{ { .busy_poll_us = 1000001 }, "busy_poll_us is 1000001: at most 1000000" },
		{ { .busy_poll_us = 1, .busy_poll_budget = 65536 }, "busy_poll_budget is 65536" },
		{ { .busy_poll_us = 1, .napi_defer_hard_irqs = 1u << 31 },
		  "napi_defer_hard_irqs is 2147483648" },
		{ { .busy_poll_budget = 1 }, "busy_poll_budget is set, and busy_poll_us is 0" },
		{ { .napi_defer_hard_irqs = 1 }, "napi_defer_hard_irqs is set, and busy_poll_us" },
		{ { .gro_flush_timeout_ns = 1 }, "gro_flush_timeout_ns is set, and busy_poll_us" },
		{ { .flags = SXSK_SOCKET_KEEP_NAPI }, "KEEP_NAPI is set, and busy_poll_us is 0" },
		{ { .flags = SXSK_SOCKET_KEEP_NAPI, .busy_poll_us = 1, .napi_defer_hard_irqs = 1 },
		  "SXSK_SOCKET_KEEP_NAPI leaves these alone" },
		{ { .flags = SXSK_SOCKET_KEEP_NAPI, .busy_poll_us = 1, .gro_flush_timeout_ns = 1 },
		  "SXSK_SOCKET_KEEP_NAPI leaves these alone" },
		{ { .metadata = SXSK_METADATA_TX_TIMESTAMP }, "made without tx_metadata_len" },
		{ { .frame_quota = 513 }, "frame_quota is 513: it may be half of the pool's 1024" },
		{ { .frame_quota = UINT32_MAX }, "frame_quota is 4294967295" },
	};
	struct sxsk_socket *socket = NULL;

	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct sxsk_socket_opts o = wrong[i].o;

		o.sz = sizeof(o);
		check_refused(i, sxsk_socket_open(&socket, sealed_pool, ifname, 0, &o), EINVAL,
			      wrong[i].words);
		check_refused(i, socket ? 0 : -EINVAL, EINVAL, ""); /* untouched on failure */
	}
	check_refused(0, sxsk_socket_open(NULL, sealed_pool, ifname, 0, NULL), EINVAL,
		      "ret_socket is NULL");
	check_refused(0, sxsk_socket_open(&socket, sealed_pool, NULL, 0, NULL), EINVAL,
		      "ifname is NULL");
}

static void refuse_on_either_device(void)
{
	refuse_wrong_options("mem:options");
	refuse_wrong_options("lo");
}

Test(socket, each_wrong_option_is_refused_with_a_sentence_before_any_system_call)
{
	cr_assert_eq(in_sealed_child(make_sealed_pool, refuse_on_either_device), 0);
}

static void take_the_defaults(void)
{
	struct sxsk_socket *socket;

	(void)!sxsk_socket_open(&socket, sealed_pool, "lo", 0, NULL);
}

Test(socket, a_system_call_would_be_noticed)
{
	const int status = in_sealed_child(make_sealed_pool, take_the_defaults);

	cr_assert(WIFSIGNALED(status));
	cr_assert_eq(WTERMSIG(status), SIGSYS);
}

Test(socket, a_name_that_cannot_be_is_refused)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_socket *socket;

	expect_error(EINVAL, "\"mem:\" without a name",
		     sxsk_socket_open(&socket, pool, "mem:", 0, NULL));
	expect_all_home(pool);
	cr_assert_eq(pool_stats(pool).sockets, 0);
	sxsk_pool_unref(pool);
}

Test(socket, option_struct_of_another_version)
{
	struct {
		struct sxsk_socket_opts o;
		uint64_t later[4];
	} newer = { .o = { .sz = sizeof(newer) } };
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_socket *socket = NULL;

	newer.later[3] = 1;
	expect_error(EINVAL, "does not know",
		     sxsk_socket_open(&socket, pool, "mem:newer", 0, &newer.o));
	newer.later[3] = 0;
	cr_assert_eq(sxsk_socket_open(&socket, pool, "mem:newer", 0, &newer.o), 0);
	sxsk_socket_close(socket);
	newer.o.sz = 0;
	expect_error(EINVAL, "sxsk_socket_opts.sz is 0",
		     sxsk_socket_open(&socket, pool, "mem:newer", 0, &newer.o));
	sxsk_pool_unref(pool);
}

Test(socket, ring_sizes_default_to_2048_and_are_rounded_up)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_socket_opts o = {
		.sz = sizeof(o), .rx_size = 1, .tx_size = 33, .fill_size = 64, .comp_size = 65536
	};
	struct sxsk_socket *socket;
	struct sxsk_mem_rings k;

	cr_assert_eq(sxsk_socket_open(&socket, pool, "mem:rings", 0, NULL), 0);
	k = take_rings(socket);
	cr_assert_eq(k.rx.size, 2048);
	cr_assert_eq(k.tx.size, 2048);
	cr_assert_eq(k.fill.size, 2048);
	cr_assert_eq(k.comp.size, 2048);
	sxsk_socket_close(socket);
	cr_assert_eq(sxsk_socket_open(&socket, pool, "mem:rings", 0, &o), 0);
	k = take_rings(socket);
	cr_assert_eq(k.rx.size, 1);
	cr_assert_eq(k.tx.size, 64);
	cr_assert_eq(k.fill.size, 64);
	cr_assert_eq(k.comp.size, 65536);
	close_and_unref(socket, pool);
}

Test(socket, send_only_and_receive_only)
{
	struct sxsk_pool *pool = new_pool(256);
	struct sxsk_socket *tx = new_socket(pool, "mem:only", SXSK_SOCKET_NO_RX);
	struct sxsk_socket *rx = new_socket(pool, "mem:only", SXSK_SOCKET_NO_TX);
	struct sxsk_buf b = packet(pool, 60, 1);

	cr_assert_eq(socket_stats(tx).fill_given, 0, "no frames for FILL");
	cr_assert_eq(socket_stats(rx).fill_given, 64);
	cr_assert_eq(sxsk_tx_burst(rx, &b, 1), 0);
	cr_assert_not_null(sxsk_buf_data_mut(b), "not taken");
	send_one(tx, b);
	cr_assert_eq(sxsk_rx_burst(tx, &b, 1), 0);
	cr_assert_eq(sxsk_rx_burst(rx, &b, 1), 1);
	sxsk_buf_unref(&b);
	sxsk_socket_close(tx);
	close_and_unref(rx, pool);
}

/* ---- opening -------------------------------------------------------------------------------------------- */

static unsigned open_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	while (readdir(dir))
		n++;
	(void)closedir(dir);
	return n;
}

static unsigned mappings(void)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	unsigned n = 0;
	int c;

	while ((c = fgetc(maps)) != EOF)
		n += c == '\n';
	(void)fclose(maps);
	return n;
}

/* Whichever descriptor cannot be had: the sentence says so, and everything is undone. */
Test(socket, open_fails_cleanly_at_each_descriptor)
{
	struct sxsk_pool *pool = new_pool(256);
	struct rlimit was, tight;
	unsigned more = 0, before;
	struct sxsk_socket *socket = NULL;
	int err;

	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &was), 0);
	before = open_descriptors();
	do {
		tight = was;
		/* readdir() counted "." and "..", and the directory itself. */
		tight.rlim_cur = before - 3 + more++;
		cr_assert_eq(setrlimit(RLIMIT_NOFILE, &tight), 0);
		err = sxsk_socket_open(&socket, pool, "mem:tight", 0, NULL);
		cr_assert_eq(setrlimit(RLIMIT_NOFILE, &was), 0);
		if (err) {
			cr_assert_eq(err, -EMFILE, "%d", err);
			cr_assert(strstr(sxsk_last_error(), "Too many open files"), "%s",
				  sxsk_last_error());
			cr_assert_null(socket);
			expect_all_home(pool);
			cr_assert_eq(pool_stats(pool).sockets, 0);
		}
		cr_assert_lt(more, 50);
	} while (err);
	cr_assert_gt(more, 3, "it needs some");
	sxsk_socket_close(socket);
	/* What wakes waiters stays with the slot: a late write must not reach a stranger's file. */
	cr_assert_leq(open_descriptors(), before + 2);
	sxsk_pool_unref(pool);
}

Test(socket, close_leaves_no_descriptor_and_no_mapping)
{
	struct sxsk_pool *pool = new_pool(256);
	unsigned fds = 0, maps = 0;

	for (unsigned i = 0; i < 20; i++) {
		sxsk_socket_close(new_socket(pool, "mem:again", 0));
		if (i == 1) {
			fds = open_descriptors();
			maps = mappings();
		}
	}
	cr_assert_eq(open_descriptors(), fds);
	cr_assert_leq(mappings(), maps + 2, "none per round");
	expect_all_home(pool);
	sxsk_pool_unref(pool);
}

Test(socket, no_more_sockets_than_slots)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_socket *more = NULL, *last;

	/* All but the last slot are taken: that many descriptors are not always to be had. */
	for (uint32_t i = 1; i < SXSK_MAX_SOCKETS; i++)
		store_relaxed(&sxsk_priv_registry.socket[i].state, SOCKET_OPENING);
	last = new_socket(pool, "mem:last", 0);
	cr_assert_eq((uintptr_t)last & 0xffff, SXSK_MAX_SOCKETS);
	expect_error(ENFILE, "4095 sockets are open already",
		     sxsk_socket_open(&more, pool, "mem:one-more", 0, NULL));
	cr_assert_null(more);
	cr_assert_eq(pool_stats(pool).sockets, 1);
	close_and_unref(last, pool);
}

/* Its first frames come when somebody gives some back. */
Test(socket, socket_of_an_empty_pool_receives_once_frames_come_home)
{
	struct sxsk_pool *pool = new_pool(64), *far = new_pool(64);
	struct sxsk_buf all[64], b;
	struct sxsk_socket *rx, *tx = new_socket(far, "mem:empty", SXSK_SOCKET_NO_RX);

	cr_assert_eq(take_all(pool, all, 64), 64);
	rx = new_socket(pool, "mem:empty", 0);
	cr_assert_eq(sxsk_rx_burst(rx, &b, 1), 0);
	sxsk_buf_unref_burst(all, 64);
	cr_assert_eq(sxsk_rx_burst(rx, &b, 1), 0);
	send_one(tx, packet(far, 60, 1));
	cr_assert_eq(sxsk_rx_burst(rx, &b, 1), 1);
	sxsk_buf_unref(&b);
	close_and_unref(rx, pool);
	close_and_unref(tx, far);
}

Test(socket, half_of_the_free_frames_go_to_fill)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_socket *s[3];
	static const uint64_t given[] = { 32, 16, 8 };
	static const char *const name[] = { "mem:h0", "mem:h1", "mem:h2" };

	for (unsigned i = 0; i < 3; i++) {
		s[i] = new_socket(pool, name[i], 0);
		cr_assert_eq(socket_stats(s[i]).fill_given, given[i]);
	}
	for (unsigned i = 0; i < 3; i++)
		sxsk_socket_close(s[i]);
	expect_all_home(pool);
	sxsk_pool_unref(pool);
}

/* ---- the cookie ------------------------------------------------------------------------------------------ */

static void expect_closed(struct sxsk_socket *socket)
{
	const enum sxsk_misuse_kind kind = SXSK_MISUSE_CLOSED;
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_buf b = packet(pool, 60, 1), got;
	struct sxsk_socket_stats st = { .sz = sizeof(st), .rx_packets = 7 };

	count_misuse();
	expect_misuse(kind, "sxsk_rx_burst", cr_assert_eq(sxsk_rx_burst(socket, &got, 1), 0));
	expect_misuse(kind, "sxsk_tx_burst", cr_assert_eq(sxsk_tx_burst(socket, &b, 1), 0));
	cr_assert_not_null(sxsk_buf_data_mut(b), "not taken");
	expect_misuse(kind, "sxsk_socket_wait",
		      cr_assert_eq(sxsk_socket_wait(socket, SXSK_WAIT_RX, -1), -EINVAL));
	expect_misuse(kind, "sxsk_socket_fd", cr_assert_eq(sxsk_socket_fd(socket), -EBADF));
	expect_misuse(kind, "sxsk_socket_error", cr_assert_eq(sxsk_socket_error(socket), -EBADF));
	expect_misuse(kind, "sxsk_socket_wake", sxsk_socket_wake(socket));
	expect_misuse(kind, "sxsk_socket_stats", sxsk_socket_stats(socket, &st));
	cr_assert_eq(st.rx_packets, 0);
	sxsk_buf_unref(&b);
	sxsk_pool_unref(pool);
}

Test(socket, closed_pointer_is_refused_everywhere)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_socket *socket = new_socket(pool, "mem:closed", 0);

	sxsk_socket_close(socket);
	expect_closed(socket);
	expect_misuse(SXSK_MISUSE_CLOSED, "sxsk_socket_close", sxsk_socket_close(socket));
	expect_all_home(pool);
	sxsk_pool_unref(pool);
}

Test(socket, reopened_slot_does_not_answer_to_the_old_pointer)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_socket *socket = new_socket(pool, "mem:old", 0), *next;
	struct sxsk_buf b;

	/* A thread remembers where it received from last. */
	cr_assert_eq(sxsk_rx_burst(socket, &b, 1), 0);
	sxsk_socket_close(socket);
	next = new_socket(pool, "mem:old", 0);
	cr_assert_eq(inner_socket(next), inner_socket(socket), "the same slot");
	expect_closed(socket);
	expect_misuse(SXSK_MISUSE_CLOSED, "sxsk_socket_close", sxsk_socket_close(socket));
	cr_assert_eq(sxsk_socket_error(next), 0, "still open");
	close_and_unref(next, pool);
}

Test(socket, wild_pointers_are_refused)
{
	static const uintptr_t wild[] = { 0, 1, 4095, 4096, 65535, 0x7fffdeadbee0, UINTPTR_MAX };

	for (unsigned i = 0; i < sizeof(wild) / sizeof(wild[0]); i++)
		expect_closed((struct sxsk_socket *)wild[i]);
	sxsk_socket_close(NULL);
	cr_assert_eq(sxsk_misuse_count(), 7 * sizeof(wild) / sizeof(wild[0]),
		     "closing NULL is nothing");
}

Test(socket, use_after_close_aborts, .signal = SIGABRT)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_socket *socket = new_socket(pool, "mem:abort", 0);
	struct sxsk_buf b;

	sxsk_socket_close(socket);
	(void)!sxsk_rx_burst(socket, &b, 1);
}

/* A late write to one must not reach a stranger's file. */
Test(socket, descriptors_that_others_write_to_stay_with_their_slots)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_socket *socket = new_socket(pool, "mem:stay", 0);
	struct sxsk_priv_socket *s = inner_socket(socket);
	struct sxsk_priv_pool *p = inner_pool(pool);
	int food = p->eventfd, rx = s->rx.wake_fd, tx = s->tx.wake_fd;

	for (unsigned i = 0; i < 3; i++) {
		close_and_unref(socket, pool);
		pool = new_pool(64);
		socket = new_socket(pool, "mem:stay", 0);
		cr_assert_eq(inner_pool(pool), p);
		cr_assert_eq(inner_socket(socket), s);
		cr_assert(p->eventfd == food && s->rx.wake_fd == rx && s->tx.wake_fd == tx);
	}
	close_and_unref(socket, pool);
}

/* ---- halves ---------------------------------------------------------------------------------------------- */

static sem_t entered, go_on;
static uint64_t kinds[16];

/* Stay in the half until told. */
static void stay(const struct sxsk_misuse *m, void *arg)
{
	(void)arg;
	__atomic_add_fetch(&kinds[m->kind], 1, __ATOMIC_RELAXED);
	if (m->kind == SXSK_MISUSE_STALE) {
		(void)sem_post(&entered);
		(void)sem_wait(&go_on);
	}
}

struct sending {
	struct sxsk_socket *socket;
	struct sxsk_buf b;
};

static void *send_there(void *arg)
{
	struct sending *s = arg;

	return sxsk_tx_burst(s->socket, &s->b, 1) == 1 ? s : NULL;
}

Test(socket, second_thread_in_the_tx_half_is_refused)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sending s = { new_socket(pool, "mem:halves", 0), packet(pool, 60, 1) };
	struct sxsk_buf b = s.b, mine = packet(pool, 60, 1);
	pthread_t thread;

	cr_assert_eq(sem_init(&entered, 0, 0) + sem_init(&go_on, 0, 0), 0);
	sxsk_set_misuse_handler(stay, NULL);
	sxsk_buf_unref(&b); /* so that the other thread gets into the handler, inside its half */
	cr_assert_eq(pthread_create(&thread, NULL, send_there, &s), 0);
	cr_assert_eq(sem_wait(&entered), 0);
	cr_assert_eq(sxsk_tx_burst(s.socket, &mine, 1), 0);
	cr_assert_eq(kinds[SXSK_MISUSE_THREADS], 1);
	cr_assert_not_null(sxsk_buf_data_mut(mine), "not taken");
	cr_assert_eq(sxsk_rx_burst(s.socket, &b, 1), 0, "the other half is free");
	cr_assert_eq(kinds[SXSK_MISUSE_THREADS], 1);
	cr_assert_eq(sem_post(&go_on), 0);
	cr_assert_eq(pthread_join(thread, NULL), 0);
	send_one(s.socket, mine);
	cr_assert_eq(sxsk_misuse_count(), 2);
	close_and_unref(s.socket, pool);
}

static void *wait_there(void *arg)
{
	return sxsk_socket_wait(arg, SXSK_WAIT_RX, -1) == SXSK_WAIT_WAKE ? arg : NULL;
}

Test(socket, second_thread_in_the_rx_half_is_refused)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_socket *socket = new_socket(pool, "mem:halves2", 0);
	struct sxsk_buf b;
	pthread_t thread;
	void *woken;

	count_misuse();
	cr_assert_eq(pthread_create(&thread, NULL, wait_there, socket), 0);
	while (load_relaxed(&inner_socket(socket)->rx.busy) == 0)
		(void)sched_yield();
	expect_misuse(SXSK_MISUSE_THREADS, "sxsk_rx_burst",
		      cr_assert_eq(sxsk_rx_burst(socket, &b, 1), 0));
	sxsk_socket_wake(socket);
	cr_assert_eq(pthread_join(thread, &woken), 0);
	cr_assert_eq(woken, socket);
	cr_assert_eq(sxsk_rx_burst(socket, &b, 1), 0);
	cr_assert_eq(sxsk_misuse_count(), 1);
	close_and_unref(socket, pool);
}

static struct sxsk_socket *own;

static void call_from_inside(const struct sxsk_misuse *m, void *arg)
{
	struct sxsk_buf b;

	(void)arg;
	kinds[m->kind]++;
	if (m->kind == SXSK_MISUSE_STALE) {
		sxsk_socket_close(own);
		(void)!sxsk_rx_burst(own, &b, 1);
	}
}

Test(socket, close_from_inside_its_own_call_is_refused)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_buf b = packet(pool, 60, 1), stale = b;

	own = new_socket(pool, "mem:inside", 0);
	sxsk_buf_unref(&b);
	sxsk_set_misuse_handler(call_from_inside, NULL);
	cr_assert_eq(sxsk_tx_burst(own, &stale, 1), 1);
	cr_assert_eq(kinds[SXSK_MISUSE_STALE], 1);
	cr_assert_eq(kinds[SXSK_MISUSE_THREADS], 2);
	cr_assert_eq(sxsk_socket_error(own), 0, "still open");
	send_one(own, packet(pool, 60, 1));
	close_and_unref(own, pool);
}

/* A signal handler's close: its thread's record says where it is, which may be a place besides the half. */
Test(socket, close_of_what_its_thread_works_in_is_refused)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_socket *socket = new_socket(pool, "mem:works", 0);
	struct sxsk_priv_socket *s = inner_socket(socket);
	struct sxsk_priv_thread *t = thread_self();
	const struct {
		atomic_u64 *record;
		void *place;
	} at[] = { { &t->tending, &s->rx }, { &t->tending, &s->tx }, { &t->visiting, s } };

	count_misuse();
	for (unsigned i = 0; i < 3; i++) {
		store_relaxed(at[i].record, (uint64_t)(uintptr_t)at[i].place);
		expect_misuse(SXSK_MISUSE_THREADS, "sxsk_socket_close", sxsk_socket_close(socket));
		store_relaxed(at[i].record, 0);
	}
	cr_assert_eq(sxsk_socket_error(socket), 0, "still open");
	close_and_unref(socket, pool);
}

struct traffic {
	struct sxsk_socket *socket;
	struct sxsk_pool *pool;
	_Atomic(int) stop, calls;
};

static void *receive_until_told(void *arg)
{
	struct traffic *t = arg;
	struct sxsk_buf bufs[32];

	while (!t->stop) {
		sxsk_buf_unref_burst(bufs, sxsk_rx_burst(t->socket, bufs, 32));
		t->calls++;
	}
	return NULL;
}

static void *send_until_told(void *arg)
{
	struct traffic *t = arg;
	struct sxsk_buf bufs[8];

	while (!t->stop) {
		unsigned n = sxsk_pool_alloc(t->pool, bufs, 8), sent;

		for (unsigned i = 0; i < n; i++)
			if (sxsk_buf_put(&bufs[i], 60) != 0)
				return arg;
		sent = sxsk_tx_burst(t->socket, bufs, n);
		sxsk_buf_unref_burst(bufs + sent, n - sent);
		t->calls++;
	}
	return NULL;
}

static void count_kinds(const struct sxsk_misuse *m, void *arg)
{
	(void)arg;
	__atomic_add_fetch(&kinds[m->kind], 1, __ATOMIC_RELAXED);
}

static void close_under_bursts(void)
{
	struct sxsk_pool *pool = new_pool(512);

	sxsk_set_misuse_handler(count_kinds, NULL);
	for (unsigned round = 0; round < 50; round++) {
		/* Each end has a thread that receives from it and one that sends. */
		struct traffic t = { .pool = pool, .socket = new_socket(pool, "mem:under", 0) };
		struct sxsk_socket *peer = new_socket(pool, "mem:under", 0);
		struct traffic p = { .pool = pool, .socket = peer };
		pthread_t thread[3];

		cr_assert_eq(pthread_create(&thread[0], NULL, receive_until_told, &t), 0);
		cr_assert_eq(pthread_create(&thread[1], NULL, send_until_told, &t), 0);
		cr_assert_eq(pthread_create(&thread[2], NULL, send_until_told, &p), 0);
		while (t.calls < 20 || p.calls < 20)
			(void)sched_yield();
		sxsk_socket_close(t.socket);
		t.stop = p.stop = 1;
		for (unsigned i = 0; i < 3; i++)
			cr_assert_eq(pthread_join(thread[i], NULL), 0);
		sxsk_socket_close(peer);
		expect_all_home(pool);
	}
	cr_assert_eq(sxsk_misuse_count(), kinds[SXSK_MISUSE_CLOSED],
		     "calls after the close, no more");
	sxsk_pool_unref(pool);
}

Test(socket, close_under_bursts_in_other_threads, .timeout = 60)
{
	close_under_bursts();
}

/* Where the kernel has no membarrier(2), the halves fence themselves. */
Test(socket, close_under_bursts_without_membarrier, .timeout = 60)
{
	store_relaxed(&sxsk_priv_no_membarrier, 1);
	close_under_bursts();
}

/* ---- sending ---------------------------------------------------------------------------------------------- */

Test(socket, what_cannot_be_sent_is_taken_freed_and_counted)
{
	struct sxsk_pool *pool = new_pool(64), *other = new_pool(64);
	struct sxsk_socket *socket = new_socket(pool, "mem:drops", SXSK_SOCKET_NO_RX);
	struct sxsk_mem_rings k = take_rings(socket);
	struct sxsk_buf stale = packet(pool, 60, 0), forged = packet(pool, 60, 0), copy = stale;
	struct sxsk_buf bufs[] = {
		packet(pool, 60, 1),  { 0 }, take(pool), packet(pool, 13, 2), packet(pool, 14, 3),
		packet(other, 60, 4), stale, forged,     packet(pool, 60, 5),
	};
	const unsigned n = sizeof(bufs) / sizeof(bufs[0]);
	struct sxsk_socket_stats st;

	sxsk_buf_unref(&copy);
	bufs[7].length = 2000;
	count_misuse();
	cr_assert_eq(sxsk_tx_burst(socket, bufs, n), n);
	st = socket_stats(socket);
	cr_assert_eq(st.drop_null, 1);
	cr_assert_eq(st.drop_short, 2);
	cr_assert_eq(st.drop_pool, 1);
	cr_assert_eq(st.drop_misuse, 2);
	cr_assert_eq(sxsk_misuse_count(), 2);
	cr_assert(sxsk_buf_is_null(bufs[6]) && sxsk_buf_is_null(bufs[7]));
	cr_assert_eq(st.tx_packets, 3);
	cr_assert_eq(st.tx_bytes, 60 + 14 + 60);
	expect_all_home(other);
	cr_assert_eq(pool_stats(pool).user, 1, "the forged one's owner keeps it");
	sxsk_buf_unref(&forged);
	cr_assert_eq(kernel_complete_all(&k), 3);
	reap(socket);
	close_and_unref(socket, pool);
	sxsk_pool_unref(other);
}

Test(socket, part_of_a_packet_is_dropped_without_multi_buffer)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_socket *socket = new_socket(pool, "mem:more", SXSK_SOCKET_NO_RX);
	struct sxsk_mem_rings k = take_rings(socket);
	struct sxsk_buf b = packet(pool, 60, 1);

	b.flags = SXSK_BUF_MORE;
	send_one(socket, b);
	cr_assert_eq(socket_stats(socket).drop_limit, 1);
	cr_assert_eq(*k.tx.producer, 0);
	expect_all_home(pool);
	close_and_unref(socket, pool);
}

Test(socket, full_ring_takes_a_prefix)
{
	struct sxsk_pool *pool = new_pool(256);
	struct sxsk_socket *socket = new_socket(pool, "mem:full", SXSK_SOCKET_NO_RX);
	struct sxsk_mem_rings k = take_rings(socket);
	struct sxsk_buf bufs[100];

	for (unsigned i = 0; i < 100; i++)
		bufs[i] = packet(pool, 60, (unsigned char)i);
	cr_assert_eq(sxsk_tx_burst(socket, bufs, 100), 64);
	for (unsigned i = 64; i < 100; i++)
		cr_assert_eq(*(unsigned char *)sxsk_buf_data_mut(bufs[i]), i, "still the caller's");
	cr_assert_eq(sxsk_tx_burst(socket, bufs + 64, 36), 0);
	/* TX has room again, but not COMPLETION: no more may be in flight than it holds. */
	for (unsigned i = 0; i < 10; i++)
		(void)kernel_take_tx(&k);
	cr_assert_eq(sxsk_tx_burst(socket, bufs + 64, 36), 0);
	kernel_complete(&k, ((struct xdp_desc *)k.tx.entries)[0].addr);
	cr_assert_eq(sxsk_tx_burst(socket, bufs + 64, 36), 1);
	sxsk_buf_unref_burst(bufs + 65, 35);
	sxsk_socket_close(socket);
	expect_accounted(pool);
	sxsk_pool_unref(pool);
}

Test(socket, kick_ends_whatever_the_consumer_index_says)
{
	struct sxsk_pool *pool = new_pool(256);
	struct sxsk_socket *socket = new_socket(pool, "mem:kick", SXSK_SOCKET_NO_RX);
	struct sxsk_mem_faults f = { .sz = sizeof(f), .seed = 1 };

	f.one_in[SXSK_MEM_TX_INDEX] = 1;
	cr_assert_eq(sxsk_mem_set_faults(socket, &f), 0);
	for (unsigned i = 0; i < 20; i++) {
		struct sxsk_buf b = packet(pool, 60, 1);

		if (sxsk_tx_burst(socket, &b, 1) == 0)
			sxsk_buf_unref(&b);
	}
	cr_assert_leq(socket_stats(socket).kicks, 20 * 4);
	sxsk_socket_close(socket);
	expect_accounted(pool);
	sxsk_pool_unref(pool);
}

/* ---- counters ---------------------------------------------------------------------------------------------- */

Test(socket, stats_count_packets_bytes_and_refills)
{
	struct sxsk_pool *pool = new_pool(256);
	struct sxsk_socket *a = new_socket(pool, "mem:stats", 0),
			   *b = new_socket(pool, "mem:stats", 0);
	struct sxsk_buf bufs[3] = { packet(pool, 60, 1), packet(pool, 100, 1),
				    packet(pool, 1000, 1) };
	struct sxsk_socket_stats st;

	cr_assert_eq(sxsk_tx_burst(a, bufs, 3), 3);
	reap(a);
	st = socket_stats(a);
	cr_assert_eq(st.tx_packets, 3);
	cr_assert_eq(st.tx_bytes, 1160);
	cr_assert_eq(st.tx_completed, 3);
	cr_assert_gt(st.kicks, 0);
	cr_assert_eq(st.rx_packets, 0);
	cr_assert_eq(sxsk_rx_burst(b, bufs, 3), 3);
	st = socket_stats(b);
	cr_assert_eq(st.rx_packets, 3);
	cr_assert_eq(st.rx_bytes, 1160);
	cr_assert_eq(st.fill_given, 64);
	cr_assert_eq(st.poisoned, 0);
	cr_assert_eq(st.sz, sizeof(st));
	sxsk_buf_unref_burst(bufs, 3);
	sxsk_socket_close(a);
	close_and_unref(b, pool);
}

Test(socket, stats_start_at_zero_in_a_reused_slot)
{
	struct sxsk_pool *pool = new_pool(256);
	struct sxsk_socket *socket = new_socket(pool, "mem:zero", SXSK_SOCKET_NO_RX);
	struct sxsk_socket_stats st;

	send_one(socket, packet(pool, 60, 1));
	send_one(socket, packet(pool, 5, 1));
	sxsk_socket_close(socket);
	socket = new_socket(pool, "mem:zero", SXSK_SOCKET_NO_RX);
	st = socket_stats(socket);
	cr_assert_eq(st.tx_packets + st.tx_bytes + st.tx_completed + st.kicks + st.drop_short, 0);
	close_and_unref(socket, pool);
}

Test(socket, stats_write_as_much_as_the_caller_has)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_socket *socket = new_socket(pool, "mem:sz", 0);
	struct sxsk_socket_stats st;

	memset(&st, 0xee, sizeof(st));
	st.sz = offsetof(struct sxsk_socket_stats, rx_packets);
	sxsk_socket_stats(socket, &st);
	cr_assert_str_eq(st.ifname, "mem:sz");
	cr_assert_eq(st.rx_packets, 0xeeeeeeeeeeeeeeee);
	count_misuse();
	st.sz = 0;
	expect_misuse(SXSK_MISUSE_ARGUMENT, "sxsk_socket_stats", sxsk_socket_stats(socket, &st));
	st.sz = 0xeeeeeeeeeeeeeeee; /* never set */
	expect_misuse(SXSK_MISUSE_ARGUMENT, "sxsk_socket_stats", sxsk_socket_stats(socket, &st));
	cr_assert_str_eq(st.ifname, "mem:sz", "left alone");
	close_and_unref(socket, pool);
}

Test(socket, starved_refills_are_counted)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_socket *socket = new_socket(pool, "mem:starved", 0);
	struct sxsk_mem_rings k = take_rings(socket);
	struct sxsk_buf all[64], b;
	unsigned n = take_all(pool, all, 64), got = 0;

	while (fill_level(&k) > 0) {
		(void)kernel_receive(&k, 60);
		got += sxsk_rx_burst(socket, &all[n + got], 1);
	}
	cr_assert_eq(sxsk_rx_burst(socket, &b, 1), 0);
	cr_assert_gt(socket_stats(socket).fill_starved, 0);
	sxsk_buf_unref_burst(all, n + got);
	cr_assert_eq(sxsk_rx_burst(socket, &b, 1), 0);
	cr_assert_gt(fill_level(&k), 0, "refilled once there are frames");
	close_and_unref(socket, pool);
}
