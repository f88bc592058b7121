/* SPDX-License-Identifier: BSD-2-Clause */
/* What the unit tests of the core share: objects made in one line, misuse that is counted instead of
 * fatal, a look inside, and the part of the kernel, played by hand on a mem: socket's rings. */
#ifndef SXSK_TEST_SUPPORT_H
#define SXSK_TEST_SUPPORT_H

#include "frame.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <safexsk/mem.h>
#include <safexsk/safexsk.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

/* ---- misuse ----------------------------------------------------------------------------------------- */

struct seen_misuse {
	enum sxsk_misuse_kind kind;
	char function[64];
	char what[384];
	char pool[32];
	uint32_t frame;
	uint64_t word;
};

extern struct seen_misuse seen; /* the last one */

/* Note misuse in `seen` and go on. */
void count_misuse(void);
void check_misuse(uint64_t before, enum sxsk_misuse_kind kind, const char *function, int line);

/* The statement is noticed as misuse, once, of this kind, by this function. */
#define expect_misuse(kind, function, ...)                                                         \
	do {                                                                                       \
		uint64_t before_ = sxsk_misuse_count();                                            \
		__VA_ARGS__;                                                                       \
		check_misuse(before_, kind, function, __LINE__);                                   \
	} while (0)

/* The call gives this error, and the sentence contains these words. */
#define expect_error(err, words, call)                                                             \
	do {                                                                                       \
		cr_assert_eq(call, -(err), "%s", sxsk_last_error());                               \
		cr_assert(strstr(sxsk_last_error(), words), "\"%s\"", sxsk_last_error());          \
	} while (0)

/* ---- objects ---------------------------------------------------------------------------------------- */

struct sxsk_pool *new_pool(uint32_t frames); /* of 2048 bytes */
struct sxsk_pool *new_pool_with(struct sxsk_pool_opts opts);
struct sxsk_socket *new_socket(struct sxsk_pool *pool, const char *name, uint32_t flags);
/* The same with rings of `size` entries instead of 64. */
struct sxsk_socket *new_socket_sized(struct sxsk_pool *pool, const char *name, uint32_t flags,
				     uint32_t size);
struct sxsk_buf take(struct sxsk_pool *pool);
/* A Buf with `len` bytes of this value. */
struct sxsk_buf packet(struct sxsk_pool *pool, uint32_t len, unsigned char value);
/* Take every free frame. Returns how many; `bufs` has room. */
unsigned take_all(struct sxsk_pool *pool, struct sxsk_buf bufs[], unsigned room);

struct sxsk_pool_stats pool_stats(struct sxsk_pool *pool);
struct sxsk_socket_stats socket_stats(struct sxsk_socket *socket);
/* Every frame is somewhere, and none in a Buf or in transmission. */
void expect_accounted(struct sxsk_pool *pool);
/* Every frame is in the depot, and the word of units agrees. */
void expect_all_home(struct sxsk_pool *pool);
/* Close, everything accounted for, and the memory goes. */
void close_and_unref(struct sxsk_socket *socket, struct sxsk_pool *pool);

bool is_mapped(const void *p);
/* Run in another thread, to its end. Assertions are for the test's own thread. */
void *in_thread(void *(*fn)(void *), void *arg);

/* ---- inside ----------------------------------------------------------------------------------------- */

struct sxsk_priv_pool *inner_pool(struct sxsk_pool *pool);
struct sxsk_priv_socket *inner_socket(struct sxsk_socket *socket);
uint64_t word_of(struct sxsk_buf b);
uint32_t units_frames(struct sxsk_pool *pool);
/* Make the last generation but `left` the one of every frame in the depot. */
void age_pool(struct sxsk_pool *pool, uint64_t left);

/* ---- the kernel's part, after sxsk_mem_take_rings() --------------------------------------------------- */

struct sxsk_mem_rings take_rings(struct sxsk_socket *socket);
uint64_t kernel_take_fill(struct sxsk_mem_rings *k);
void kernel_post_rx(struct sxsk_mem_rings *k, uint64_t addr, uint32_t len);
/* A packet comes in: FILL to RX. Returns its chunk's address. */
uint64_t kernel_receive(struct sxsk_mem_rings *k, uint32_t len);
struct xdp_desc kernel_take_tx(struct sxsk_mem_rings *k);
void kernel_complete(struct sxsk_mem_rings *k, uint64_t addr);
/* Complete all that is in TX. Returns how many. */
uint32_t kernel_complete_all(struct sxsk_mem_rings *k);
uint32_t fill_level(const struct sxsk_mem_rings *k);
struct sxsk_buf receive_one(struct sxsk_socket *socket, struct sxsk_mem_rings *k, uint32_t len);
void send_one(struct sxsk_socket *socket, struct sxsk_buf b);
/* Let the socket look at its COMPLETION ring. */
void reap(struct sxsk_socket *socket);

#endif
