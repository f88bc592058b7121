/* SPDX-License-Identifier: BSD-2-Clause */
/* Deadlines, for who waits so many milliseconds: never less. */
#ifndef SXSK_PRIV_CLOCK_H
#define SXSK_PRIV_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Nanoseconds: cut to milliseconds, the beginning of one would count as all of it. */
static inline int64_t now_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static inline int64_t deadline(int timeout_ms)
{
	return now_ns() + (int64_t)timeout_ms * 1000000;
}

/* Milliseconds until then, of which the last is a part; 0: it has passed. */
static inline int64_t ms_left(int64_t end)
{
	int64_t left = end - now_ns();

	return left > 0 ? (left + 999999) / 1000000 : 0;
}

#endif
