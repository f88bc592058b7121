/* SPDX-License-Identifier: BSD-2-Clause */
#include "known.h"

static uint64_t word;

/* Called, so that callgrind writes the cost of a call too, which must not be counted twice. */
__attribute__((noinline)) static void once(uint64_t i)
{
	__atomic_fetch_add(&word, i, __ATOMIC_RELAXED);
	__asm__ volatile("" ::: "memory");
}

void known_library(uint64_t i)
{
	once(i);
	once(i + 1);
	__asm__ volatile("" ::: "memory");
}
