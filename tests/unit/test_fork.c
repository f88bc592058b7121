/* SPDX-License-Identifier: BSD-2-Clause */
/* A forked child: the parent's objects are stale there, giving them back does nothing, and the child can
 * make its own. */
#include "support.h"

#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* What the parent had at the fork. */
struct parents {
	struct sxsk_pool *pool;
	struct sxsk_socket *socket;
	struct sxsk_buf b, received[2];
	const void *umem;
	struct sxsk_mem_rings k;
};

static struct parents parents(const char *name)
{
	struct parents p = { .pool = new_pool(256) };

	cr_assert_eq(sxsk_lane_attach(p.pool), 0);
	p.socket = new_socket(p.pool, name, 0);
	p.k = take_rings(p.socket);
	p.b = packet(p.pool, 60, 0x21);
	p.received[0] = receive_one(p.socket, &p.k, 60);
	p.received[1] = receive_one(p.socket, &p.k, 60);
	p.umem = p.k.umem;
	return p;
}

/* All is as it was before the fork. */
static void expect_untouched(struct parents *p)
{
	struct sxsk_buf b;

	cr_assert_eq(pool_stats(p->pool).user, 3);
	cr_assert_eq(pool_stats(p->pool).owners, 1);
	cr_assert_eq(pool_stats(p->pool).sockets, 1);
	cr_assert_eq(((const unsigned char *)sxsk_buf_data(p->b))[59], 0x21);
	b = receive_one(p->socket, &p->k, 100);
	cr_assert_eq(sxsk_buf_len(b), 100);
	sxsk_buf_unref(&b);
	sxsk_buf_unref(&p->b);
	sxsk_buf_unref_burst(p->received, 2);
	sxsk_lane_detach(p->pool);
	close_and_unref(p->socket, p->pool);
	cr_assert_eq(sxsk_misuse_count(), 0);
}

/* Criterion's assertions are not for children: they say what failed and exit. */
#define check(condition)                                                                           \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			dprintf(STDERR_FILENO, "in the child, line %d: %s: %s\n", __LINE__,        \
				#condition, sxsk_last_error());                                    \
			_exit(1);                                                                  \
		}                                                                                  \
	} while (0)

static void in_child(void (*fn)(struct parents *), struct parents *p)
{
	pid_t child = fork();
	int status;

	cr_assert_geq(child, 0);
	if (child == 0) {
		(void)alarm(30);
		fn(p);
		_exit(0);
	}
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the child's status is 0x%x",
		  status);
}

/* ---- giving back ---------------------------------------------------------------------------------------- */

static void give_all_back(struct parents *p)
{
	struct sxsk_buf b = p->b, received[2] = { p->received[0], p->received[1] };

	sxsk_buf_unref(&b);
	check(sxsk_buf_is_null(b));
	sxsk_buf_unref_burst(received, 2);
	sxsk_lane_flush(p->pool);
	sxsk_lane_detach(p->pool);
	sxsk_pool_unref(p->pool);
	sxsk_pool_unref(p->pool);
	sxsk_socket_close(p->socket);
	sxsk_socket_close(p->socket);
	check(sxsk_misuse_count() == 0);
}

Test(fork, giving_back_what_is_the_parents_does_nothing)
{
	struct parents p = parents("mem:fork1");

	in_child(give_all_back, &p);
	expect_untouched(&p);
}

static void *parents_in_thread(void *arg)
{
	struct parents *p = arg;

	*p = parents("mem:fork2");
	sxsk_lane_detach(p->pool);
	return NULL;
}

/* The thread that forks has never called the library. */
Test(fork, giving_back_does_nothing_in_a_thread_unknown_to_the_library)
{
	struct parents p;

	(void)in_thread(parents_in_thread, &p);
	in_child(give_all_back, &p);
	expect_untouched(&p);
}

static void leave(void)
{
	_exit(0);
}

static void exit_thread(struct parents *p)
{
	(void)p;
	/* The process ends with its only thread. What the parent allocated is not the child's to free. */
	check(atexit(leave) == 0);
	pthread_exit(NULL);
}

Test(fork, end_of_a_thread_in_the_child_leaves_the_parents_lane_alone)
{
	struct parents p = parents("mem:fork3");

	in_child(exit_thread, &p);
	expect_untouched(&p);
}

static int parents_fd;

static void close_and_look(struct parents *p)
{
	check(fcntl(parents_fd, F_GETFD) >= 0);
	sxsk_socket_close(p->socket);
	check(fcntl(parents_fd, F_GETFD) < 0);
}

Test(fork, close_in_the_child_closes_its_descriptor)
{
	struct parents p = parents("mem:fork4");

	parents_fd = inner_socket(p.socket)->fd;
	in_child(close_and_look, &p);
	cr_assert_geq(fcntl(parents_fd, F_GETFD), 0);
	expect_untouched(&p);
}

/* ---- stale ---------------------------------------------------------------------------------------------- */

#define check_forked(function_, ...)                                                               \
	do {                                                                                       \
		uint64_t before_ = sxsk_misuse_count();                                            \
		seen.kind = 0;                                                                     \
		check(__VA_ARGS__);                                                                \
		check(sxsk_misuse_count() == before_ + 1);                                         \
		check(seen.kind == SXSK_MISUSE_FORKED);                                            \
		check(strcmp(seen.function, function_) == 0);                                      \
	} while (0)

static void use_bufs(struct parents *p)
{
	struct sxsk_buf b = p->b, forged = { .pool = 7, .flags = SXSK_BUF_RX_METADATA }, copy;
	struct sxsk_rx_metadata m;

	count_misuse();
	check_forked("sxsk_buf_data", sxsk_buf_data(b) == NULL);
	check_forked("sxsk_buf_data_mut", sxsk_buf_data_mut(b) == NULL);
	check_forked("sxsk_buf_ref", sxsk_buf_is_null(sxsk_buf_ref(b)));
	check_forked("sxsk_buf_put", sxsk_buf_put(&b, 1) == -EINVAL);
	check_forked("sxsk_buf_user", sxsk_buf_user(b) == NULL);
	check_forked("sxsk_buf_data", sxsk_buf_copy(p->pool, b, &copy) == -EINVAL);
	check_forked("sxsk_buf_data", sxsk_buf_unshare(&b) == -EINVAL);
	/* Of a slot that was never used: all zero but for that, as what a child finds is. */
	check_forked("sxsk_buf_trim", sxsk_buf_trim(&forged, 0) == -EINVAL);
	check_forked("sxsk_buf_rx_metadata", sxsk_buf_rx_metadata(forged, &m) == -EINVAL);
	check(!sxsk_buf_is_shared(b));
	check(sxsk_buf_pool(b) == NULL);
	check(sxsk_buf_tailroom(b) == 0);
}

static void use_pool(struct parents *p)
{
	struct sxsk_buf b;

	count_misuse();
	check_forked("sxsk_pool_ref", sxsk_pool_ref(p->pool) == NULL);
	check_forked("sxsk_pool_alloc", sxsk_pool_alloc(p->pool, &b, 1) == 0);
	check_forked("sxsk_pool_drain", sxsk_pool_drain(p->pool, 0) == -EINVAL);
	check_forked("sxsk_pool_stats", pool_stats(p->pool).total == 0);
	check_forked("sxsk_pool_report", sxsk_pool_report(p->pool, stderr) == -EINVAL);
	check(sxsk_lane_attach(p->pool) == -ESHUTDOWN);
	check(strstr(sxsk_last_error(), "parent") != NULL);
}

static void use_socket(struct parents *p)
{
	struct sxsk_wait wait = { p->socket, SXSK_WAIT_RX, 0 };
	struct sxsk_buf b = p->b;

	count_misuse();
	check_forked("sxsk_rx_burst", sxsk_rx_burst(p->socket, &b, 1) == 0);
	check_forked("sxsk_tx_burst", sxsk_tx_burst(p->socket, &b, 1) == 0);
	check_forked("sxsk_socket_wait", sxsk_socket_wait(p->socket, SXSK_WAIT_RX, -1) == -EINVAL);
	check_forked("sxsk_sockets_wait", sxsk_sockets_wait(&wait, 1, -1) == -EINVAL);
	check_forked("sxsk_socket_error", sxsk_socket_error(p->socket) == -EBADF);
	check_forked("sxsk_socket_fd", sxsk_socket_fd(p->socket) == -EBADF);
	check_forked("sxsk_socket_wake", (sxsk_socket_wake(p->socket), true));
	check_forked("sxsk_socket_stats", socket_stats(p->socket).rx_packets == 0);
}

static void look_at_memory(struct parents *p)
{
	check(!is_mapped(p->umem));
	check(!is_mapped(p->k.rx.entries));
	check(!is_mapped(p->k.tx.entries));
	check(!is_mapped(p->k.fill.entries));
	check(!is_mapped(p->k.comp.entries));
}

Test(fork, parents_bufs_are_stale)
{
	struct parents p = parents("mem:fork5");

	in_child(use_bufs, &p);
	expect_untouched(&p);
}

Test(fork, parents_pool_is_stale)
{
	struct parents p = parents("mem:fork6");

	in_child(use_pool, &p);
	expect_untouched(&p);
}

Test(fork, parents_socket_is_stale)
{
	struct parents p = parents("mem:fork7");

	in_child(use_socket, &p);
	expect_untouched(&p);
}

Test(fork, parents_memory_and_rings_are_not_there)
{
	struct parents p = parents("mem:fork8");

	in_child(look_at_memory, &p);
	expect_untouched(&p);
}

/* ---- the child's own ------------------------------------------------------------------------------------- */

/* A pool, two sockets, a packet from one to the other, and everything given back. */
static struct sxsk_pool *own_traffic(uint16_t *ret_slot, uintptr_t *ret_socket_slot)
{
	struct sxsk_pool_opts po = { .sz = sizeof(po), .frame_count = 256 };
	struct sxsk_socket *s[2];
	struct sxsk_pool *pool;
	struct sxsk_buf b;

	check(sxsk_pool_create(&pool, &po) == 0);
	check(sxsk_lane_attach(pool) == 0);
	for (unsigned i = 0; i < 2; i++)
		check(sxsk_socket_open(&s[i], pool, "mem:own", 0, NULL) == 0);
	check(sxsk_pool_alloc(pool, &b, 1) == 1);
	check(sxsk_buf_put(&b, 60) == 0);
	*ret_slot = b.pool;
	*ret_socket_slot = (uintptr_t)s[0] & 0xffff;
	check(sxsk_tx_burst(s[0], &b, 1) == 1);
	check(sxsk_rx_burst(s[1], &b, 1) == 1);
	check(sxsk_buf_len(b) == 60);
	sxsk_buf_unref(&b);
	sxsk_socket_close(s[0]);
	sxsk_socket_close(s[1]);
	sxsk_lane_detach(pool);
	check(sxsk_pool_drain(pool, 0) == 0);
	check(pool_stats(pool).depot == 256);
	check(sxsk_misuse_count() == 0);
	return pool;
}

static void make_own(struct parents *p)
{
	uintptr_t socket_slot;
	uint16_t slot;
	struct sxsk_pool *pool = own_traffic(&slot, &socket_slot);

	check(slot > p->b.pool);
	check(socket_slot > ((uintptr_t)p->socket & 0xffff));
	/* The parent's handle is refused now as before, and giving it back is still nothing. */
	count_misuse();
	check(sxsk_buf_data(p->b) == NULL);
	check(sxsk_misuse_count() == 1);
	check(sxsk_buf_is_null(sxsk_buf_ref(p->b)));
	check(sxsk_misuse_count() == 2);
	sxsk_pool_unref(pool);
}

static void make_own_and_give_parents_back(struct parents *p)
{
	uintptr_t socket_slot;
	uint16_t slot;
	struct sxsk_pool *pool = own_traffic(&slot, &socket_slot);

	check(fcntl(parents_fd, F_GETFD) >= 0);
	give_all_back(p);
	check(fcntl(parents_fd, F_GETFD) < 0);
	check(pool_stats(pool).depot == 256);
	sxsk_pool_unref(pool);
	check(sxsk_misuse_count() == 0);
}

Test(fork, child_makes_its_own_in_other_slots)
{
	struct parents p = parents("mem:fork9");

	in_child(make_own, &p);
	expect_untouched(&p);
}

Test(fork, giving_back_what_is_the_parents_does_nothing_in_a_child_with_its_own_either)
{
	struct parents p = parents("mem:fork10");

	parents_fd = inner_socket(p.socket)->fd;
	in_child(make_own_and_give_parents_back, &p);
	expect_untouched(&p);
}

static void grandchild(struct parents *p)
{
	uintptr_t socket_slot;
	uint16_t slot;
	struct sxsk_pool *pool = own_traffic(&slot, &socket_slot);

	check(slot > 2);
	check(p->b.pool < slot);
	sxsk_pool_unref(pool);
}

static void child_that_forks(struct parents *p)
{
	uintptr_t socket_slot;
	uint16_t slot;
	struct sxsk_pool *pool = own_traffic(&slot, &socket_slot);
	pid_t pid = fork();
	int status;

	check(pid >= 0);
	if (pid == 0) {
		(void)alarm(30);
		grandchild(p);
		_exit(0);
	}
	check(waitpid(pid, &status, 0) == pid && status == 0);
	check(pool_stats(pool).depot == 256);
	sxsk_pool_unref(pool);
}

Test(fork, grandchild_uses_slots_of_neither)
{
	struct parents p = parents("mem:fork11");

	in_child(child_that_forks, &p);
	expect_untouched(&p);
}

static sem_t locked, done;

static void *hold_locks(void *arg)
{
	struct parents *p = arg;

	pthread_mutex_lock(&sxsk_priv_registry.lock);
	pthread_mutex_lock(&inner_pool(p->pool)->lock);
	(void)sem_post(&locked);
	(void)sem_wait(&done);
	pthread_mutex_unlock(&inner_pool(p->pool)->lock);
	pthread_mutex_unlock(&sxsk_priv_registry.lock);
	return NULL;
}

Test(fork, locks_that_a_thread_of_the_parent_held_are_free)
{
	struct parents p = parents("mem:fork12");
	pthread_t thread;

	cr_assert_eq(sem_init(&locked, 0, 0) + sem_init(&done, 0, 0), 0);
	cr_assert_eq(pthread_create(&thread, NULL, hold_locks, &p), 0);
	cr_assert_eq(sem_wait(&locked), 0);
	in_child(make_own, &p);
	cr_assert_eq(sem_post(&done), 0);
	cr_assert_eq(pthread_join(thread, NULL), 0);
	expect_untouched(&p);
}

/* The parent's packet memory is not mapped in the child, and AddressSanitizer still takes it for poisoned:
 * what the child maps may lie there. */
static void fill_the_hole(struct parents *p)
{
	(void)p;
	for (unsigned i = 0; i < 4; i++) {
		const struct sxsk_pool_opts o = { .sz = sizeof(o),
						  .frame_count = 16384,
						  .harden = "none" };
		struct sxsk_pool *pool;
		struct sxsk_buf b;

		check(sxsk_pool_create(&pool, &o) == 0);
		check(sxsk_pool_alloc(pool, &b, 1) == 1);
		check(sxsk_buf_put(&b, 60) == 0);
		memset(sxsk_buf_data_mut(b), 1, 60);
	}
}

Test(fork, child_maps_where_the_parents_poisoned_frames_were)
{
	struct sxsk_pool *pool = new_pool_with(
		(struct sxsk_pool_opts){ .frame_count = 1 << 18, .harden = "poison" });
	struct parents none = { .pool = pool };

	in_child(fill_the_hole, &none);
	sxsk_pool_unref(pool);
}
