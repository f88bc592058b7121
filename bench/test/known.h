/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SXSK_BENCH_KNOWN_H
#define SXSK_BENCH_KNOWN_H

#include <stdint.h>

/* In a shared library: two read-modify-writes. */
void known_library(uint64_t i);

#endif
