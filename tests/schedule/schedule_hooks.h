/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What libsafexsk/atomic.h includes with -DSXSK_SCHEDULE, in the place of C11 atomics: each operation
 * is a scheduling point of tests/schedule/engine.c. Orders are the compiler's __ATOMIC_ numbers, the
 * place is for the trace of a schedule that fails.
 */
#ifndef SCHEDULE_HOOKS_H
#define SCHEDULE_HOOKS_H

#include <stdbool.h>
#include <stdint.h>

uint64_t schedule_load(const volatile void *p, unsigned size, int order, const char *function,
		       int line);
void schedule_store(volatile void *p, unsigned size, uint64_t value, int order,
		    const char *function, int line);
bool schedule_cas(volatile void *p, unsigned size, void *expected, uint64_t value, int order,
		  const char *function, int line);
enum schedule_change { CHANGE_ADD, CHANGE_SUB, CHANGE_OR, CHANGE_AND, CHANGE_XOR, CHANGE_TO };
uint64_t schedule_update(volatile void *p, unsigned size, enum schedule_change change,
			 uint64_t value, int order, const char *function, int line);
void schedule_fence(int order, const char *function, int line);

#define SCHEDULE_AT __func__, __LINE__
/* The type of the value in an atomic. */
#define SCHEDULE_TYPE(p) __typeof__(atomic_load_explicit(p, memory_order_relaxed))
#define SCHEDULE_LOAD(p, order)                                                                    \
	((SCHEDULE_TYPE(p))schedule_load(p, sizeof(*(p)), order, SCHEDULE_AT))
#define SCHEDULE_STORE(p, v, order)                                                                \
	schedule_store(p, sizeof(*(p)), (uint64_t)(v), order, SCHEDULE_AT)
#define SCHEDULE_CAS(p, e, v, order)                                                               \
	schedule_cas(p, sizeof(*(p)), e, (uint64_t)(v), order, SCHEDULE_AT)
/* As with the built-ins, nobody has to look at the result. */
#define SCHEDULE_UPDATE(p, change, v, order)                                                       \
	__extension__({                                                                            \
		(SCHEDULE_TYPE(p)) schedule_update(p, sizeof(*(p)), change, (uint64_t)(v), order,  \
						   SCHEDULE_AT);                                   \
	})

#define load_relaxed(p) SCHEDULE_LOAD(p, __ATOMIC_RELAXED)
#define load_acquire(p) SCHEDULE_LOAD(p, __ATOMIC_ACQUIRE)
#define load_seq_cst(p) SCHEDULE_LOAD(p, __ATOMIC_SEQ_CST)
#define store_relaxed(p, v) SCHEDULE_STORE(p, v, __ATOMIC_RELAXED)
#define store_release(p, v) SCHEDULE_STORE(p, v, __ATOMIC_RELEASE)
#define cas_relaxed(p, e, v) SCHEDULE_CAS(p, e, v, __ATOMIC_RELAXED)
#define cas_acquire(p, e, v) SCHEDULE_CAS(p, e, v, __ATOMIC_ACQUIRE)
#define cas_acq_rel(p, e, v) SCHEDULE_CAS(p, e, v, __ATOMIC_ACQ_REL)
#define cas_seq_cst(p, e, v) SCHEDULE_CAS(p, e, v, __ATOMIC_SEQ_CST)
#define fetch_sub_acq_rel(p, v) SCHEDULE_UPDATE(p, CHANGE_SUB, v, __ATOMIC_ACQ_REL)
#define fetch_add_relaxed(p, v) SCHEDULE_UPDATE(p, CHANGE_ADD, v, __ATOMIC_RELAXED)
#define fetch_or_seq_cst(p, v) SCHEDULE_UPDATE(p, CHANGE_OR, v, __ATOMIC_SEQ_CST)
#define fetch_and_seq_cst(p, v) SCHEDULE_UPDATE(p, CHANGE_AND, v, __ATOMIC_SEQ_CST)
#define exchange_seq_cst(p, v) SCHEDULE_UPDATE(p, CHANGE_TO, v, __ATOMIC_SEQ_CST)
#define fence_seq_cst() schedule_fence(__ATOMIC_SEQ_CST, SCHEDULE_AT)
/* Binds the compiler only; the model runs each thread in program order anyway. */
#define fence_compiler() ((void)0)

#endif
