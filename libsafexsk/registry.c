/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is type-stable: slots of pools, sockets and queues, and the records of threads. Their memory is
 * never given back, so that a stale cookie can be looked at and found stale.
 *
 * After fork() the kernel hands the child a wiped registry, but for the table of empty slots. Which slots the parent used is noted
 * outside of it: the child never uses those, so that no handle of the parent can match there.
 */
#include "clock.h"
#include "frame.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

struct sxsk_priv_registry sxsk_priv_registry;
struct sxsk_priv_views *const sxsk_priv_views = &sxsk_priv_registry.view;
__thread struct sxsk_priv_thread *sxsk_priv_thread_self;

/* Ordinary memory: a child finds the parent's values here. */
static struct {
	atomic_u32 used; /* 1 once the registry was initialised, in this process or an ancestor */
	atomic_u32 pool, socket, queue; /* highest slot ever used; written under the lock */
	uint32_t pool_floor, socket_floor, queue_floor; /* an ancestor's: not for this process */
	atomic_u32 holder;                              /* last number given to a lane */
	pthread_key_t exit_key;
	bool have_exit_key;
} notes = { .holder = 2 * (SXSK_MAX_SOCKETS + 1) };

static _Atomic(struct sxsk_priv_thread *) threads;
static _Atomic(int) socket_fd[SXSK_MAX_SOCKETS + 1]; /* fd + 1, for close in a forked child */

/* Before anything is made, too: a handle may be forged at any time. */
__attribute__((constructor)) static void empty_slots_lead_nowhere(void)
{
	/* Volatile: at run time. A compiler that does it at compile time makes all of the registry initialised
	 * data, 40 MiB of a file's, which cannot be wiped on fork. */
	*(volatile uint64_t *)&sxsk_priv_registry.view.nowhere[0] = SXSK_PRIV_NOWHERE;
}

bool sxsk_priv_forked(void)
{
	return load_relaxed(&sxsk_priv_registry.alive) == 0 && load_relaxed(&notes.used) != 0;
}

/* A pool or socket of an ancestor process: in a child that has made objects of its own too. */
bool sxsk_priv_pool_inherited(uint32_t slot)
{
	return sxsk_priv_forked() || (slot != 0 && slot <= notes.pool_floor);
}

bool sxsk_priv_socket_inherited(uint32_t slot)
{
	return sxsk_priv_forked() || (slot != 0 && slot <= notes.socket_floor);
}

static void thread_exits(void *arg)
{
	struct sxsk_priv_thread *t = arg;

	if (!sxsk_priv_forked())
		sxsk_priv_lanes_of_exiting(t);
	sxsk_priv_thread_self = NULL;
	/* Release: pairs with the acquire of the thread that takes this record over. */
	store_release(&t->tid, 0);
}

/* Under the lock. */
static int init_locked(void)
{
	const size_t kept = sizeof(sxsk_priv_registry.view.nowhere);

	if (load_relaxed(&sxsk_priv_registry.alive))
		return 0;
	if (madvise((char *)&sxsk_priv_registry + kept, sizeof(sxsk_priv_registry) - kept,
		    MADV_WIPEONFORK) != 0)
		return sxsk_priv_fail(errno, "madvise(MADV_WIPEONFORK): %s; it needs Linux 4.14",
				      strerror(errno));
	if (!notes.have_exit_key) {
		int err = pthread_key_create(&notes.exit_key, thread_exits);

		if (err)
			return sxsk_priv_fail(err, "no thread-specific key left: %s",
					      strerror(err));
		notes.have_exit_key = true;
	}
	if (load_relaxed(&notes.used)) { /* a forked child */
		notes.pool_floor = notes.pool;
		notes.socket_floor = notes.socket;
		notes.queue_floor = notes.queue;
	}
	store_relaxed(&notes.used, 1);
	store_release(&sxsk_priv_registry.alive, 1);
	return 0;
}

int sxsk_priv_registry_init(void)
{
	int err;

	if (load_acquire(&sxsk_priv_registry.alive))
		return 0;
	pthread_mutex_lock(&sxsk_priv_registry.lock);
	err = init_locked();
	pthread_mutex_unlock(&sxsk_priv_registry.lock);
	return err;
}

static void note_highest(atomic_u32 *highest, uint32_t slot)
{
	if (slot > load_relaxed(highest))
		store_relaxed(highest, slot);
}

/* ---- slots, all under the lock -------------------------------------------------------------------- */

uint32_t sxsk_priv_pool_slot(void)
{
	for (uint32_t i = notes.pool_floor + 1; i <= SXSK_MAX_POOLS; i++) {
		struct sxsk_priv_pool *p = &sxsk_priv_registry.pool[i];

		/* Acquire: pairs with the release of the death of the slot's last pool. A slot whose
		 * generations are used up is not used again. */
		if (load_acquire(&p->cookie) == 0 && p->next_generation < FRAME_USED_UP >> 20) {
			note_highest(&notes.pool, i);
			return i;
		}
	}
	return 0;
}

uint32_t sxsk_priv_socket_slot(void)
{
	for (uint32_t i = notes.socket_floor + 1; i <= SXSK_MAX_SOCKETS; i++)
		if (load_acquire(&sxsk_priv_registry.socket[i].state) == SOCKET_FREE) {
			note_highest(&notes.socket, i);
			return i;
		}
	return 0;
}

uint32_t sxsk_priv_queue_slot(void)
{
	for (uint32_t i = notes.queue_floor + 1; i <= MAX_QUEUES; i++) {
		struct sxsk_priv_queue *q = &sxsk_priv_registry.queue[i];
		uint32_t slot = (uint32_t)q->pool & 0xffff;

		/* A quarantine record ends with its pool. */
		if (q->state == QUEUE_QUARANTINE &&
		    load_acquire(&sxsk_priv_registry.pool[slot].cookie) != q->pool)
			q->state = QUEUE_FREE;
		if (q->state == QUEUE_FREE) {
			note_highest(&notes.queue, i);
			return i;
		}
	}
	return 0;
}

uint32_t sxsk_priv_lane_holder(void)
{
	uint32_t n = load_relaxed(&notes.holder);

	do {
		if (n >= 65534)
			return 0;
	} while (!cas_relaxed(&notes.holder, &n, n + 1));
	return n + 1;
}

uint32_t sxsk_priv_sockets_used(void)
{
	return load_relaxed(&notes.socket);
}

uint32_t sxsk_priv_queues_used(void)
{
	return load_relaxed(&notes.queue);
}

void sxsk_priv_remember_fd(uint32_t socket_slot, int fd)
{
	store_relaxed(&socket_fd[socket_slot], fd + 1);
}

/* The rings are not mapped here (MADV_DONTFORK), but the child's descriptor keeps the queue bound. */
void sxsk_priv_close_in_child(uint32_t socket_slot)
{
	if (socket_slot <= SXSK_MAX_SOCKETS && load_relaxed(&socket_fd[socket_slot]) > 0) {
		close(load_relaxed(&socket_fd[socket_slot]) - 1);
		store_relaxed(&socket_fd[socket_slot], 0);
	}
}

/* ---- threads ------------------------------------------------------------------------------------------ */

static struct sxsk_priv_thread *record_for(uint32_t tid)
{
	struct sxsk_priv_thread *t, *head = atomic_load_explicit(&threads, memory_order_acquire);

	for (t = head; t; t = t->next) {
		uint32_t none = 0;

		/* Acquire: pairs with thread_exits(). */
		if (load_relaxed(&t->tid) == 0 && cas_acquire(&t->tid, &none, tid))
			return t;
	}
	t = calloc(1, sizeof(*t));
	if (!t)
		return NULL;
	store_relaxed(&t->tid, tid);
	do
		t->next = head;
	while (!atomic_compare_exchange_weak_explicit(&threads, &head, t, memory_order_release,
						      memory_order_relaxed));
	return t;
}

struct sxsk_priv_thread *sxsk_priv_thread_slow(void)
{
	struct sxsk_priv_thread *t;

	/* A forked child is not set up by a call on what it inherited, but by making its own. */
	if (sxsk_priv_forked() || sxsk_priv_registry_init() != 0)
		return NULL;
	t = record_for((uint32_t)syscall(SYS_gettid));
	if (!t || pthread_setspecific(notes.exit_key, t) != 0) {
		if (t)
			store_release(&t->tid, 0);
		(void)sxsk_priv_fail(ENOMEM, "no memory for this thread's record");
		return NULL;
	}
	sxsk_priv_thread_self = t;
	return t;
}

bool sxsk_priv_thread_waits(struct sxsk_priv_thread *t, const void *place)
{
	/* Acquire: as in sxsk_priv_thread_inside(). */
	const uint32_t n = load_acquire(&t->waiting);

	for (uint32_t i = 0; i < n; i++)
		if (load_relaxed(&t->waits[i]) == (uint64_t)(uintptr_t)place)
			return true;
	return false;
}

bool sxsk_priv_thread_at(struct sxsk_priv_thread *t, const void *place)
{
	/* Acquire: pairs with the release in half_leave, so that what the thread did in the half
	 * happens before the close that saw it gone. */
	return load_acquire(&t->inside) == (uint64_t)(uintptr_t)place ||
	       load_acquire(&t->tending) == (uint64_t)(uintptr_t)place ||
	       load_acquire(&t->visiting) == (uint64_t)(uintptr_t)place ||
	       sxsk_priv_thread_waits(t, place);
}

bool sxsk_priv_thread_inside(const void *place, const struct sxsk_priv_thread *self)
{
	struct sxsk_priv_thread *t = atomic_load_explicit(&threads, memory_order_acquire);

	for (; t; t = t->next)
		if (t != self && sxsk_priv_thread_at(t, place))
			return true;
	return false;
}

/* ---- membarrier --------------------------------------------------------------------------------------- */

#define MEMBARRIER_MS 10

atomic_u32 sxsk_priv_no_membarrier;

void sxsk_priv_membarrier_register(void)
{
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) != 0)
		store_relaxed(&sxsk_priv_no_membarrier, 1);
}

/* Every thread of the process executes a full fence between our stores before and our loads after. */
void sxsk_priv_membarrier(void)
{
	const struct timespec ms = { .tv_nsec = 1000000 };
	const int64_t end = deadline(MEMBARRIER_MS);

	fence_seq_cst();
	if (load_relaxed(&sxsk_priv_no_membarrier) ||
	    !syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0))
		return;
	/* It was there at the open: a sandbox came later. From now on who enters fences, and who entered
	 * without has stored what we look for, since no processor keeps a store to itself for so long. */
	store_relaxed(&sxsk_priv_no_membarrier, 1);
	while (ms_left(end) > 0)
		(void)nanosleep(&ms, NULL);
}
