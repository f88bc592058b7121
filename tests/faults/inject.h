/* SPDX-License-Identifier: BSD-2-Clause */
/* Allocations and system calls that fail when they are told to. The program defines what the C library
 * has, so that the library and the libraries below it come here. */
#ifndef SXSK_TEST_INJECT_H
#define SXSK_TEST_INJECT_H

#include <stdbool.h>
#include <stdint.h>

struct inject {
	long at;           /* the call that fails, counted from 1; 0 = none */
	bool from_there;   /* that one and all behind it */
	int error;         /* errno, or 0 for what that call would say */
	long calls;        /* so far */
	long failed;       /* of them */
	const char *what;  /* the last that failed */
	int said;          /* its errno */
	uint64_t since[3]; /* the set of those since the caller cleared it */
};

extern struct inject inject;
extern bool inject_on; /* else calls neither count nor fail */

/* What was asked for and not given back. */
struct held {
	long blocks; /* of memory */
	long mapped; /* bytes */
	long files;  /* descriptors open */
};

struct held held_now(void);

#endif
