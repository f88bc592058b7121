/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A program whose executed instructions are known, for check-count. It takes refcost's --fixed, has
 * cases instead of variants, and per "packet" executes what check-count says of each.
 */
#include "known.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t word;

/* Four read-modify-writes, of which two have prefixes or forms of their own. */
static void locked(uint64_t i)
{
	uint64_t a = 1, b = i;

	__asm__ volatile("lock xadd %0, %2\n\t"
			 "lock incq %2\n\t"
			 "xchg %1, %2\n\t"
			 "xchgb %b1, %2"
			 : "+r"(a), "+q"(b), "+m"(word)
			 :
			 : "cc");
}

/* None: registers exchanged, a no-op that is an xchg, memory changed without a lock. */
static void plain(uint64_t i)
{
	uint64_t a = i, b = i + 1;

	__asm__ volatile("xchg %0, %1\n\t"
			 "xchg %%r10, %%r11\n\t"
			 "xchg %%ax, %%ax\n\t"
			 "xadd %0, %2\n\t"
			 "incq %2\n\t"
			 "cmpxchg %1, %2"
			 : "+r"(a), "+r"(b), "+m"(word)
			 :
			 : "cc", "rax", "r10", "r11");
}

/* One, each third time. */
static void sometimes(uint64_t i)
{
	if (i % 3 == 0)
		__asm__ volatile("lock orq $1, %0" : "+m"(word) : : "cc");
}

/* One that fails and one that succeeds: both are executed. */
static void compare(uint64_t i)
{
	uint64_t expected = i;

	__atomic_store_n(&word, i, __ATOMIC_RELAXED);
	(void)__atomic_compare_exchange_n(&word, &expected, i + 1, 0, __ATOMIC_ACQ_REL,
					  __ATOMIC_RELAXED);
	(void)__atomic_compare_exchange_n(&word, &expected, i, 0, __ATOMIC_ACQ_REL,
					  __ATOMIC_RELAXED);
}

static void nops_10(uint64_t i)
{
	(void)i;
	__asm__ volatile(".rept 10\n\tnop\n\t.endr");
}

static void nops_110(uint64_t i)
{
	(void)i;
	__asm__ volatile(".rept 110\n\tnop\n\t.endr");
}

static const struct {
	const char *name;
	void (*packet)(uint64_t i);
} cases[] = {
	{ "locked", locked },         { "plain", plain },     { "sometimes", sometimes },
	{ "compare", compare },       { "nops-10", nops_10 }, { "nops-110", nops_110 },
	{ "library", known_library },
};

__attribute__((noinline)) void bench_counted(void (*packet)(uint64_t i), uint64_t packets);
void bench_counted(void (*packet)(uint64_t i), uint64_t packets)
{
	for (uint64_t i = 0; i < packets; i++)
		packet(i);
	__asm__ volatile("" ::: "memory");
}

int main(int argc, char *argv[])
{
	if (argc != 3 || strcmp(argv[1], "--fixed") != 0)
		return 1;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t packets = strtoul(argv[2], NULL, 10);

		locked(i); /* not counted: outside */
		bench_counted(cases[i].packet, packets);
		printf("known %s 1 0 %lu\n", cases[i].name, packets);
	}
	return 0;
}
