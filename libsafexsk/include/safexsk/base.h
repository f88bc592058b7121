/* SPDX-License-Identifier: BSD-2-Clause */
/* Attributes, limits, errors and misuse: what every other public header needs. */
#ifndef SAFEXSK_BASE_H
#define SAFEXSK_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#if UINTPTR_MAX < UINT64_MAX
#error "libsafexsk needs a 64-bit platform"
#endif

#ifdef __cplusplus
#define SXSK_BEGIN_DECLS extern "C" {
#define SXSK_END_DECLS }
#else
#define SXSK_BEGIN_DECLS
#define SXSK_END_DECLS
#endif

#define SXSK_API __attribute__((visibility("default")))
#define SXSK_MUST_CHECK __attribute__((warn_unused_result))

/** Pools alive at one time in a process. */
#define SXSK_MAX_POOLS 1023
/** Sockets open at one time in a process. */
#define SXSK_MAX_SOCKETS 4095
/** References to one frame, and transmissions of one frame, at one time. */
#define SXSK_MAX_REFS 255

SXSK_BEGIN_DECLS

/** What the last failing call of this thread had to say: one sentence, with the cause and a remedy.
 *
 * Returns:   a string, never NULL; empty when nothing has failed yet
 * Errors:    none
 * Ownership: lends until the thread's next failing call
 * Threads:   any thread (each sees its own); wait-free
 * Ordering:  none
 * Syscalls:  none
 * Since:     0.1
 * Source:    the idea is dlerror(3)'s
 */
SXSK_API const char *sxsk_last_error(void);

/** The kinds of misuse. */
enum sxsk_misuse_kind {
	SXSK_MISUSE_STALE =
		1, /**< a handle whose reference is gone: after unref, send, reuse, death */
	SXSK_MISUSE_DOUBLE, /**< a second unref or send of one reference */
	SXSK_MISUSE_FORGED, /**< a handle that the library never gave out, or a view past the frame */
	SXSK_MISUSE_SHARED, /**< mutation of a Buf that others (a clone, the kernel) read */
	SXSK_MISUSE_THREADS, /**< two threads in one half of a socket, or a call from its own handler */
	SXSK_MISUSE_CLOSED,   /**< a socket pointer after its close */
	SXSK_MISUSE_POOL,     /**< a pool pointer after its last unref */
	SXSK_MISUSE_ARGUMENT, /**< an argument that cannot be right */
	SXSK_MISUSE_CORRUPT,  /**< a frame is not where the library left it */
	SXSK_MISUSE_FORKED,   /**< use of a parent's object in a forked child */
	SXSK_MISUSE_PROG,     /**< a program pointer after its last unref */
};

/** One misuse, as the handler sees it. Fields may be added at the end. */
struct sxsk_misuse {
	enum sxsk_misuse_kind kind;
	const char *function; /**< the public call that noticed, e.g. "sxsk_buf_unref" */
	const char *what;     /**< the sentence that would be printed */
	const char *pool;     /**< the pool's name, or "?" */
	uint32_t frame;       /**< frame index; UINT32_MAX when none is meant */
	uint64_t word;        /**< the frame's state word when it was looked at; 0 when none */
};

/** Called instead of abort(). It must not call the library, but for sxsk_last_error() and
 * sxsk_misuse_count(). */
typedef void sxsk_misuse_fn(const struct sxsk_misuse *m, void *arg);

/** Say what happens on misuse. The default (NULL) prints a line starting with
 * "safexsk: misuse: " on stderr and raises SIGABRT. With a handler that returns, the program goes
 * on: the offending element is left alone (`data` gives NULL, `ref` the null handle; a misused
 * handle in a burst is nulled and counted as taken), and nothing is read, written or freed.
 *
 * Returns:   nothing
 * Errors:    none
 * Ownership: shares fn and arg until the next call
 * Threads:   caller locks against other calls of this function; call it before threads start
 * Ordering:  none
 * Syscalls:  none
 * Since:     0.1
 * Source:    own
 */
SXSK_API void sxsk_set_misuse_handler(sxsk_misuse_fn *fn, void *arg);

/** How many misuses this process has noticed.
 *
 * Returns:   the count since the start of the process
 * Errors:    none
 * Ownership: none
 * Threads:   any thread; wait-free
 * Ordering:  relaxed
 * Syscalls:  none
 * Since:     0.1
 * Source:    own
 */
SXSK_API uint64_t sxsk_misuse_count(void);

SXSK_END_DECLS
#endif
