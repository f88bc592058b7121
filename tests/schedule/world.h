/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the threads of a scenario share: a small pool, sockets with rings of four entries and no
 * kernel behind them, a record per thread. world_reset() makes all of it anew before each schedule;
 * in the set-up and at the end the library's calls are plain calls.
 */
#ifndef SCHEDULE_WORLD_H
#define SCHEDULE_WORLD_H

#include "engine.h"
#include "frame.h"

#define FRAMES_MAX 8u
#define SOCKETS_MAX 3u
#define RING_SIZE 4u
#define HALVES_MAX (2 * SOCKETS_MAX)
#define FD_FOOD 100 /* the pool's eventfd */

/* A ring's memory, as the kernel maps it. */
struct ring_memory {
	uint32_t producer, consumer, flags;
	union {
		uint64_t address[RING_SIZE];
		struct xdp_desc desc[RING_SIZE];
	};
};

struct world_socket {
	struct sxsk_priv_socket *s;
	struct sxsk_socket *cookie;
	struct ring_memory rx, tx, fill, comp;
	bool gone; /* the rings are unmapped */
};

extern struct world {
	struct sxsk_priv_pool *pool;
	struct sxsk_pool *cookie;
	unsigned deaths;            /* of packet memory */
	unsigned misuses;           /* reported in this schedule */
	unsigned events;            /* writes to the pool's eventfd */
	unsigned eaten[HALVES_MAX]; /* how many of them a half's epoll has shown: it is edge-triggered */
	unsigned wakes[HALVES_MAX];             /* writes to a half's wake-up, not read yet */
	const volatile void *spin[THREADS_MAX]; /* the word that a loop waits for */
	bool device_gone;                       /* quarantines may end */
	uint32_t data[FRAMES_MAX];              /* a frame's bytes */
	struct world_socket socket[SOCKETS_MAX];
} world;

/* A pool with one owner; magazines of so many frames, all in the depot. */
void world_reset(uint32_t frames, uint32_t magazine);
/* In the set-up, after that: the pool is hardened; HARDEN_*. */
void world_harden(uint32_t levels);
/* Be this thread, in the set-up or at the end. */
void world_as(int thread);
struct sxsk_priv_thread *world_thread(int thread);
/* In the set-up: the thread attaches a lane. */
void world_lane(int thread);
bool world_is_ledger(const void *p);
int world_wake_fd(unsigned half);
int world_epoll_fd(unsigned half);
/* In the set-up: a Buf, with 64 bytes in it. */
struct sxsk_buf world_buf(void);
/* In the set-up, or under the registry's lock: an open socket that wants `fill` frames for receiving. */
struct sxsk_socket *world_open(unsigned i, uint32_t fill);

/* The Buf's bytes, through the handle. Reading returns what was written; 0 after misuse, if `may`. */
void world_write(struct sxsk_buf b, uint32_t value);
uint32_t world_read(struct sxsk_buf b, bool may);
/* A kernel's access to a frame. */
void world_kernel(uint64_t address, bool write);

/* At the end. The pool lives: each frame in one place, the word says which, the units agree. */
void world_account(unsigned owners, unsigned sockets);
/* The pool died: once. */
void world_dead(void);
bool world_alive(void);
/* Send what threads and halves have in stock to the depot, as the threads would. */
void world_flush(int threads);
/* How many frames have this kind of word. */
unsigned world_count(bool users, enum frame_kind kind);
/* Fail unless so many misuses were reported. */
void world_misuses(unsigned least, unsigned most);

#endif
