/* SPDX-License-Identifier: BSD-2-Clause */
/* libpcap's compiler and interpreter of filters. Its headers and the kernel's do not go together in a file. */
#ifndef SXSK_TEST_EXPRESSIONS_H
#define SXSK_TEST_EXPRESSIONS_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stdint.h>

/* How many instructions; 0: it does not compile. */
unsigned expression_compile(const char *expression, struct sock_filter filter[BPF_MAXINSNS]);
bool expression_matches(const struct sock_filter filter[], const unsigned char *packet, uint32_t n);

#endif
