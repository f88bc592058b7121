/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The shipped code is compiled with -fsanitize=thread and not linked to its run-time library: the
 * compiler then announces each plain access by a call, and does each atomic built-in (ring indices,
 * the handle's inline accessors) by one. These are those calls.
 */
#include "engine.h"
#include "schedule_hooks.h"

#include <string.h>

static void touch(const volatile void *p, unsigned size, bool write, const void *from)
{
	int me = schedule_thread(), other;

	if (me < 0 || schedule_on_stack(p))
		return;
	other = memory_touch(me, p, size, write);
	if (other >= 0) {
		char name[64];

		schedule_fail("data race: thread %c %s %s (return address %p) with thread %c",
			      'A' + me, write ? "writes" : "reads",
			      world_name(p, name, sizeof(name)), from, 'A' + other);
	}
}

#define PLAIN(size)                                                                                \
	void __tsan_read##size(void *p);                                                           \
	void __tsan_read##size(void *p)                                                            \
	{                                                                                          \
		touch(p, size, false, __builtin_return_address(0));                                \
	}                                                                                          \
	void __tsan_write##size(void *p);                                                          \
	void __tsan_write##size(void *p)                                                           \
	{                                                                                          \
		touch(p, size, true, __builtin_return_address(0));                                 \
	}                                                                                          \
	void __tsan_unaligned_read##size(void *p);                                                 \
	void __tsan_unaligned_read##size(void *p)                                                  \
	{                                                                                          \
		touch(p, size, false, __builtin_return_address(0));                                \
	}                                                                                          \
	void __tsan_unaligned_write##size(void *p);                                                \
	void __tsan_unaligned_write##size(void *p)                                                 \
	{                                                                                          \
		touch(p, size, true, __builtin_return_address(0));                                 \
	}

PLAIN(1)
PLAIN(2)
PLAIN(4)
PLAIN(8)
PLAIN(16)

void __tsan_read_range(void *p, size_t size);
void __tsan_read_range(void *p, size_t size)
{
	touch(p, (unsigned)size, false, __builtin_return_address(0));
}

void __tsan_write_range(void *p, size_t size);
void __tsan_write_range(void *p, size_t size)
{
	touch(p, (unsigned)size, true, __builtin_return_address(0));
}

void __tsan_init(void);
void __tsan_init(void)
{
}

void __tsan_func_entry(void *from);
void __tsan_func_entry(void *from)
{
	(void)from;
}

void __tsan_func_exit(void);
void __tsan_func_exit(void)
{
}

/* ---- the atomic built-ins ----------------------------------------------------------------------- */

#define UPDATE(bits, name, change)                                                                 \
	uint##bits##_t __tsan_atomic##bits##_##name(volatile uint##bits##_t *p, uint##bits##_t v,  \
						    int order);                                    \
	uint##bits##_t __tsan_atomic##bits##_##name(volatile uint##bits##_t *p, uint##bits##_t v,  \
						    int order)                                     \
	{                                                                                          \
		return (uint##bits##_t)schedule_update(p, bits / 8, change, v, order,              \
						       "(built-in)", 0);                           \
	}

#define ATOMIC(bits)                                                                               \
	uint##bits##_t __tsan_atomic##bits##_load(const volatile uint##bits##_t *p, int order);    \
	uint##bits##_t __tsan_atomic##bits##_load(const volatile uint##bits##_t *p, int order)     \
	{                                                                                          \
		return (uint##bits##_t)schedule_load(p, bits / 8, order, "(built-in)", 0);         \
	}                                                                                          \
	void __tsan_atomic##bits##_store(volatile uint##bits##_t *p, uint##bits##_t v, int order); \
	void __tsan_atomic##bits##_store(volatile uint##bits##_t *p, uint##bits##_t v, int order)  \
	{                                                                                          \
		schedule_store(p, bits / 8, v, order, "(built-in)", 0);                            \
	}                                                                                          \
	int __tsan_atomic##bits##_compare_exchange_strong(volatile uint##bits##_t *p,              \
							  uint##bits##_t *e, uint##bits##_t v,     \
							  int order, int failed);                  \
	int __tsan_atomic##bits##_compare_exchange_strong(volatile uint##bits##_t *p,              \
							  uint##bits##_t *e, uint##bits##_t v,     \
							  int order, int failed)                   \
	{                                                                                          \
		(void)failed;                                                                      \
		return schedule_cas(p, bits / 8, e, v, order, "(built-in)", 0);                    \
	}                                                                                          \
	int __tsan_atomic##bits##_compare_exchange_weak(volatile uint##bits##_t *p,                \
							uint##bits##_t *e, uint##bits##_t v,       \
							int order, int failed);                    \
	int __tsan_atomic##bits##_compare_exchange_weak(volatile uint##bits##_t *p,                \
							uint##bits##_t *e, uint##bits##_t v,       \
							int order, int failed)                     \
	{                                                                                          \
		(void)failed;                                                                      \
		return schedule_cas(p, bits / 8, e, v, order, "(built-in)", 0);                    \
	}                                                                                          \
	uint##bits##_t __tsan_atomic##bits##_compare_exchange_val(volatile uint##bits##_t *p,      \
								  uint##bits##_t e,                \
								  uint##bits##_t v, int order,     \
								  int failed);                     \
	uint##bits##_t __tsan_atomic##bits##_compare_exchange_val(volatile uint##bits##_t *p,      \
								  uint##bits##_t e,                \
								  uint##bits##_t v, int order,     \
								  int failed)                      \
	{                                                                                          \
		(void)failed;                                                                      \
		(void)schedule_cas(p, bits / 8, &e, v, order, "(built-in)", 0);                    \
		return e;                                                                          \
	}                                                                                          \
	UPDATE(bits, fetch_add, CHANGE_ADD)                                                        \
	UPDATE(bits, fetch_sub, CHANGE_SUB)                                                        \
	UPDATE(bits, fetch_or, CHANGE_OR)                                                          \
	UPDATE(bits, fetch_and, CHANGE_AND)                                                        \
	UPDATE(bits, fetch_xor, CHANGE_XOR)                                                        \
	UPDATE(bits, exchange, CHANGE_TO)

ATOMIC(8)
ATOMIC(16)
ATOMIC(32)
ATOMIC(64)

void __tsan_atomic_thread_fence(int order);
void __tsan_atomic_thread_fence(int order)
{
	schedule_fence(order, "(built-in)", 0);
}

void __tsan_atomic_signal_fence(int order);
void __tsan_atomic_signal_fence(int order)
{
	(void)order;
}
