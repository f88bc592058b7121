/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The atomics of the library: the memory order is in the name, so that each use can be read against
 * its comment. One file, so that a test harness can put a scheduler in their place
 * (-DSXSK_SCHEDULE): release builds see plain C11 atomics and nothing else.
 */
#ifndef SXSK_PRIV_ATOMIC_H
#define SXSK_PRIV_ATOMIC_H

#include "tsan.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

typedef _Atomic(uint64_t) atomic_u64;
typedef _Atomic(uint32_t) atomic_u32;

#ifdef SXSK_SCHEDULE
#include "schedule_hooks.h"
#else
#define load_relaxed(p) atomic_load_explicit(p, memory_order_relaxed)
#define load_acquire(p) atomic_load_explicit(p, memory_order_acquire)
#define load_seq_cst(p) atomic_load_explicit(p, memory_order_seq_cst)
#define store_relaxed(p, v) atomic_store_explicit(p, v, memory_order_relaxed)
#define store_release(p, v) atomic_store_explicit(p, v, memory_order_release)
/* Strong compare-and-swap; on failure *e holds what was found (acquire, where success acquires). */
#define cas_relaxed(p, e, v)                                                                       \
	atomic_compare_exchange_strong_explicit(p, e, v, memory_order_relaxed, memory_order_relaxed)
#define cas_acquire(p, e, v)                                                                       \
	atomic_compare_exchange_strong_explicit(p, e, v, memory_order_acquire, memory_order_acquire)
#define cas_acq_rel(p, e, v)                                                                       \
	atomic_compare_exchange_strong_explicit(p, e, v, memory_order_acq_rel, memory_order_acquire)
#define cas_seq_cst(p, e, v)                                                                       \
	atomic_compare_exchange_strong_explicit(p, e, v, memory_order_seq_cst, memory_order_seq_cst)
#define fetch_sub_acq_rel(p, v) atomic_fetch_sub_explicit(p, v, memory_order_acq_rel)
#define fetch_add_relaxed(p, v) atomic_fetch_add_explicit(p, v, memory_order_relaxed)
#define fetch_or_seq_cst(p, v) atomic_fetch_or_explicit(p, v, memory_order_seq_cst)
#define fetch_and_seq_cst(p, v) atomic_fetch_and_explicit(p, v, memory_order_seq_cst)
#define exchange_seq_cst(p, v) atomic_exchange_explicit(p, v, memory_order_seq_cst)
#ifdef SXSK_TSAN
/* It does not know fences. Nobody else sees this variable: a fence, and no order among threads. */
#define fence_seq_cst() ((void)atomic_exchange(&(atomic_u32){ 0 }, 1))
#else
#define fence_seq_cst() atomic_thread_fence(memory_order_seq_cst)
#endif
/* Keeps the compiler, not the processor, from moving accesses across. */
#define fence_compiler() atomic_signal_fence(memory_order_seq_cst)
#endif

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/* Have a line on its way to be written. By itself a load of what another processor wrote last fetches it
 * shared, and the store then has to ask again. Compilers emit the instruction for newer targets only;
 * older processors take it for a no-op. */
static inline void prefetch_owned(const void *p)
{
#if defined(__x86_64__)
	__asm__ volatile("prefetchw %0" : : "m"(*(const char *)p));
#else
	__builtin_prefetch(p, 1, 3);
#endif
}

/* A counter with one writer, read by anybody: no read-modify-write. */
#define count_add(p, n) store_relaxed(p, load_relaxed(p) + (n))

#endif
