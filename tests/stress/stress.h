/* SPDX-License-Identifier: BSD-2-Clause */
/* What the stress programs share: checks, dice, a clock, packets that can be told apart. */
#ifndef STRESS_H
#define STRESS_H

#include <safexsk/safexsk.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define check(condition)                                                                           \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			(void)fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #condition,   \
				      sxsk_last_error());                                          \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

static inline uint32_t dice(uint64_t *state, uint32_t n)
{
	*state = *state * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)((*state >> 33) % n);
}

static inline double seconds(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* A packet is known by its number: its length follows from it, and each eight bytes. */
static inline uint32_t packet_length(uint64_t number)
{
	return number % 61 == 0 ? 1512 : 64 + (uint32_t)(number % 7) * 8;
}

static inline void packet_write(struct sxsk_buf *b, uint64_t number)
{
	uint32_t len = packet_length(number);
	unsigned char *data;

	check(sxsk_buf_put(b, len) == 0);
	data = sxsk_buf_data_mut(*b);
	check(data != NULL);
	for (uint64_t i = 0; i < len / 8; i++) {
		uint64_t word = number + (i << 48);

		memcpy(data + 8 * i, &word, 8);
	}
}

/* The view may begin `skip` times eight bytes behind the packet's start. */
static inline void packet_check(struct sxsk_buf b, uint64_t number, uint32_t skip)
{
	const unsigned char *data = sxsk_buf_data(b);
	uint32_t len = sxsk_buf_len(b);

	check(data != NULL);
	check(len + 8 * skip == packet_length(number));
	for (uint64_t i = 0; i < len / 8; i++) {
		uint64_t word;

		memcpy(&word, data + 8 * i, 8);
		check(word == number + ((i + skip) << 48));
	}
}

/* A packet that came over a cable says its number itself. */
static inline void packet_check_received(struct sxsk_buf b)
{
	uint64_t number;

	check(sxsk_buf_len(b) >= 64);
	memcpy(&number, sxsk_buf_data(b), 8);
	packet_check(b, number, 0);
}

/* [--operations N] [--seconds N]: at least so many operations, unless the time is up before. */
static inline void stress_options(int argc, char **argv, uint64_t *operations, double *limit)
{
	for (int i = 1; i + 1 < argc; i += 2) {
		if (strcmp(argv[i], "--operations") == 0)
			*operations = strtoull(argv[i + 1], NULL, 10);
		else if (strcmp(argv[i], "--seconds") == 0)
			*limit = strtod(argv[i + 1], NULL);
	}
	if (*operations == 0 || *limit <= 0 || argc % 2 == 0) {
		(void)fprintf(stderr, "usage: %s [--operations N] [--seconds N]\n", argv[0]);
		exit(1);
	}
}

#endif
