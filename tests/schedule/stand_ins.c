/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * In the place of what the harness leaves out of the library (packet memory and devices), and of the system calls that threads meet in: locks, eventfds, sleeps, membarrier(2). The linker's
 * --wrap leads the library's calls here; outside of the threads they go on to the C library.
 */
#include "napi.h"
#include "netns.h"
#include "world.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>

/* ---- napi.c: nobody asks for it here ------------------------------------------------------------- */

int sxsk_priv_busy_poll_check(struct sxsk_socket_opts *o)
{
	(void)o;
	return 0;
}

/* ---- prog.c: nor for a program ------------------------------------------------------------------ */

int sxsk_priv_prog_check(const struct sxsk_prog *prog, uint32_t target, uint32_t attach)
{
	(void)prog, (void)target, (void)attach;
	return 0;
}

/* ---- netns.c: there is one ---------------------------------------------------------------------- */

int sxsk_priv_netns_enter(const char *path, int *ret_home)
{
	(void)path;
	*ret_home = NETNS_HERE;
	return 0;
}

void sxsk_priv_netns_leave(int home)
{
	(void)home;
}

/* ---- memory.c ----------------------------------------------------------------------------------- */

int sxsk_priv_map(struct sxsk_priv_mapping *m, size_t size, uint32_t flags, uint32_t numa_node,
		  const char *what)
{
	(void)m, (void)size, (void)flags, (void)numa_node, (void)what;
	return -ENOMEM;
}

int sxsk_priv_map_twice(struct sxsk_priv_mapping *m, size_t size, uint32_t numa_node)
{
	(void)m, (void)size, (void)numa_node;
	return -ENOMEM;
}

/* All that anybody did with the bytes must have happened before. */
void sxsk_priv_unmap(struct sxsk_priv_mapping *m)
{
	int me = schedule_thread(), other;

	if (!m->data)
		return;
	if (world.deaths++)
		schedule_fail("packet memory is unmapped twice");
	other = me < 0 ? -1 : memory_touch(me, world.data, sizeof(world.data), true);
	if (other >= 0)
		schedule_fail("packet memory is unmapped while thread %c uses it", 'A' + other);
	m->data = NULL;
}

/* ---- a device without a kernel ------------------------------------------------------------------- */

static int do_nothing(struct sxsk_priv_socket *s)
{
	(void)s;
	return 0;
}

static void unsteer(struct sxsk_priv_socket *s)
{
	(void)s;
}

/* The rings are unmapped: all accesses to them must have happened before. */
static void close_rings(struct sxsk_priv_socket *s)
{
	struct world_socket *w = s->device_data;
	int me = schedule_thread(), other;

	if (w->gone)
		schedule_fail("the rings are unmapped twice");
	w->gone = true;
	other = me < 0 ? -1 : memory_touch(me, &w->rx, 4 * sizeof(w->rx), true);
	if (other >= 0)
		schedule_fail("the rings are unmapped while thread %c uses them", 'A' + other);
}

/* A look at what close takes away. */
static void look_at_rings(struct sxsk_priv_socket *s, struct sxsk_kernel_stats *ret_stats)
{
	struct world_socket *w = s->device_data;
	int me = schedule_thread();

	*ret_stats = (struct sxsk_kernel_stats){ 0 };
	if (w->gone || (me >= 0 && memory_touch(me, &w->rx, sizeof(w->rx), false) >= 0))
		schedule_fail("the rings are gone, and looked at");
}

static bool gone(const struct sxsk_priv_device_id *id)
{
	(void)id;
	return world.device_gone;
}

#define DEVICE                                                                                     \
	{                                                                                          \
		.name = "none", .unsteer = unsteer, .close = close_rings, .kick_tx = do_nothing,   \
		.kick_rx = do_nothing, .error = do_nothing, .stats = look_at_rings, .gone = gone   \
	}
const struct sxsk_priv_device sxsk_priv_device_mem = DEVICE;
const struct sxsk_priv_device sxsk_priv_device_xsk = DEVICE;

/* ---- the system ----------------------------------------------------------------------------------- */

/* Descriptors that no kernel knows: the pool's eventfd, each half's wake-up and epoll. */
#define FD_WAKE (FD_FOOD + 1)
#define FD_EPOLL (FD_WAKE + (int)HALVES_MAX)

int world_wake_fd(unsigned half)
{
	return FD_WAKE + (int)half;
}

int world_epoll_fd(unsigned half)
{
	return FD_EPOLL + (int)half;
}

long __wrap_syscall(long number, ...);
long __wrap_syscall(long number, ...)
{
	static uint32_t tid;

	if (number == SYS_gettid)
		return ++tid;
	if (number == SYS_membarrier)
		schedule_membarrier("membarrier", 0);
	return 0;
}

int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex)
{
	schedule_lock(mutex, "pthread_mutex_lock");
	return 0;
}

int __wrap_pthread_mutex_unlock(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_unlock(pthread_mutex_t *mutex)
{
	schedule_unlock(mutex, "pthread_mutex_unlock");
	return 0;
}

ssize_t __wrap_write(int fd, const void *bytes, size_t n);
ssize_t __wrap_write(int fd, const void *bytes, size_t n)
{
	(void)bytes;
	schedule_signal("write");
	if (fd == FD_FOOD)
		world.events++;
	else if (fd >= FD_WAKE && fd < FD_EPOLL)
		world.wakes[fd - FD_WAKE]++;
	else
		schedule_fail("a write to descriptor %d", fd);
	return (ssize_t)n;
}

ssize_t __wrap_read(int fd, void *bytes, size_t n);
ssize_t __wrap_read(int fd, void *bytes, size_t n)
{
	uint64_t count;

	schedule_signal("read");
	count = world.wakes[fd - FD_WAKE];
	if (count == 0)
		return -1;
	world.wakes[fd - FD_WAKE] = 0;
	memcpy(bytes, &count, sizeof(count));
	return (ssize_t)n;
}

static bool something(const void *arg)
{
	int half = *(const int *)arg;

	return world.wakes[half] > 0 || world.events != world.eaten[half];
}

static bool at_once(const void *arg)
{
	(void)arg;
	return true;
}

/* What is in an epoll makes no difference here: a waiter is asked what it waits for. */
int __wrap_epoll_ctl(int fd, int op, int other, struct epoll_event *ev);
int __wrap_epoll_ctl(int fd, int op, int other, struct epoll_event *ev)
{
	(void)fd;
	(void)op;
	(void)other;
	(void)ev;
	return 0;
}

/* A sleep that would end by itself does so at once when it is short, and never when it is long: then
 * only what it waits for may end it. */
int __wrap_epoll_wait(int fd, struct epoll_event *ev, int n, int ms);
int __wrap_epoll_wait(int fd, struct epoll_event *ev, int n, int ms)
{
	int half = fd - FD_EPOLL, got = 0;

	(void)n;
	schedule_sleep(ms >= 0 && ms <= 1 ? at_once : something, &half, "epoll_wait");
	if (world.wakes[half] > 0)
		ev[got++] = (struct epoll_event){ .events = EPOLLIN, .data.u32 = SXSK_WAIT_WAKE };
	if (world.events != world.eaten[half])
		ev[got++] = (struct epoll_event){ .events = EPOLLIN };
	world.eaten[half] = world.events;
	return got;
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *ts);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ts)
{
	(void)clock;
	*ts = (struct timespec){ 0 };
	return 0;
}

/* ---- loops that wait for another thread to leave a half --------------------------------------------- */

static void await_change(const char *function)
{
	int me = schedule_thread();
	const volatile void *at = me < 0 ? NULL : world.spin[me];

	if (!at)
		return;
	world.spin[me] = NULL;
	schedule_await(at, 8, function);
}

int __wrap_nanosleep(const struct timespec *time, struct timespec *left);
int __wrap_nanosleep(const struct timespec *time, struct timespec *left)
{
	(void)time, (void)left;
	await_change("nanosleep");
	return 0;
}

bool __real_sxsk_priv_thread_inside(const void *place, const struct sxsk_priv_thread *self);
bool __wrap_sxsk_priv_thread_inside(const void *place, const struct sxsk_priv_thread *self);
bool __wrap_sxsk_priv_thread_inside(const void *place, const struct sxsk_priv_thread *self)
{
	bool inside;

	await_change("sxsk_priv_thread_inside"); /* it says the same until somebody stores there */
	inside = __real_sxsk_priv_thread_inside(place, self);
	if (inside && schedule_thread() >= 0)
		world.spin[schedule_thread()] = schedule_last();
	return inside;
}

/* ---- memory that goes ---------------------------------------------------------------------------------- */

int __real_madvise(void *p, size_t size, int advice);
int __wrap_madvise(void *p, size_t size, int advice);
int __wrap_madvise(void *p, size_t size, int advice)
{
	atomic_u64 *words = p;

	if (!world.pool || words != world.pool->words)
		return __real_madvise(p, size, advice);
	for (uint32_t i = 0; i < world.pool->count; i++)
		store_relaxed(&words[i], 0);
	return 0;
}

void __real_free(void *p);
void __wrap_free(void *p);
void __wrap_free(void *p)
{
	int me = schedule_thread(), other;

	if (!world_is_ledger(p)) {
		__real_free(p);
		return;
	}
	other = me < 0 ? -1 : memory_touch(me, p, 3 * RING_SIZE * sizeof(uint32_t), true);
	if (other >= 0)
		schedule_fail("a ledger is freed while thread %c uses it", 'A' + other);
}

int __wrap_close(int fd);
int __wrap_close(int fd)
{
	(void)fd;
	return 0;
}
