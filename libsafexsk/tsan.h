/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What ThreadSanitizer has to be told, in builds that have it; nothing in all others.
 *
 * It orders accesses by the atomics that it sees, and those suffice: close and a take-over order
 * themselves after a thread by its release of `inside`, not by membarrier(2), which only keeps the
 * processors from hiding it. (A read-modify-write that all threads share in the place of the
 * membarrier would order everything with everything, and hide what is looked for.)
 */
#ifndef SXSK_PRIV_TSAN_H
#define SXSK_PRIV_TSAN_H

#include <stddef.h>

#ifdef __SANITIZE_THREAD__
#define SXSK_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SXSK_TSAN 1
#endif
#endif

#ifdef SXSK_TSAN
void __tsan_write_range(void *p, long size); /* in its run-time library */

/* Memory is about to be unmapped: for ThreadSanitizer a write to all of it, so that an access which was
 * not ordered before is a race. */
static inline void tsan_death(void *p, size_t size)
{
	__tsan_write_range(p, (long)size);
}
#else
static inline void tsan_death(void *p, size_t size)
{
	(void)p;
	(void)size;
}
#endif

#endif
