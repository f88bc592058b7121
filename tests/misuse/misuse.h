/* SPDX-License-Identifier: BSD-2-Clause */
/* The catalogue of misuse: a row is a small program that does one wrong thing. */
#ifndef SXSK_TEST_MISUSE_H
#define SXSK_TEST_MISUSE_H

#include <safexsk/mem.h>
#include <safexsk/safexsk.h>

/* What a row has to work with: a cable, and a pool at each end. */
struct stage {
	struct sxsk_pool *pool, *other_pool;
	struct sxsk_socket *a, *b; /* the ends, of pool and other_pool */
};

/* How a misuse is noticed. */
enum found {
	ALWAYS,   /* the handler is called, in every build */
	REFUSED,  /* an error or a counter, never the handler: nothing can go wrong */
	HARMLESS, /* allowed and safe, or a silent no-op by design */
	EITHER,   /* by the schedule: safe, or the handler is called; nothing goes wrong */
	HARDENED, /* the handler is called at the level that the row names */
};

struct row {
	const char *name; /* what the programmer did */
	enum found found;
	const char *level; /* HARDENED: SAFEXSK_HARDEN */
	uint32_t kinds;    /* ALWAYS, HARDENED: 1 << kind of each that may be reported */
	/* Does it, and returns true when nothing was read, written or freed that must not be. */
	bool (*run)(struct stage *st);
};

extern const struct row handle_rows[], object_rows[], thread_rows[];
extern const unsigned handle_row_count, object_row_count, thread_row_count;

/* Helpers of the rows; they exit on what cannot fail. */
struct sxsk_buf take(struct sxsk_pool *pool);                 /* an allocated Buf of 64 bytes */
void send_one(struct sxsk_socket *socket, struct sxsk_buf b); /* sent, completed, reaped */
bool no_frame_lost(struct sxsk_pool *pool, uint64_t user);    /* sums balance; so many held */
void must(bool ok, const char *what);

#define KIND(k) (1u << SXSK_MISUSE_##k)
#define MUST(x) must(x, #x)

#endif
