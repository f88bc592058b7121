/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the example programs share: options, the life of a program around its threads, the live line
 * and the closing account. How the library is used stands in common.c (pool, sockets, close, drain)
 * and in each example (bursts, waiting).
 *
 *   main thread   options -> pool -> sockets -> | one line a second          | -> close -> account
 *   each thread                                 | work(link): bursts, waits  |
 */
#ifndef SXSK_EXAMPLES_COMMON_H
#define SXSK_EXAMPLES_COMMON_H

#include <pthread.h>
#include <safexsk/safexsk.h>
#include <stdatomic.h>

#define MAX_LINKS 512
#define MAX_BATCH 1024

/* Empty looks at the rings before a thread goes to sleep: about as long as falling asleep takes. */
#define IDLE_LOOKS 500
/* A sleeping thread is woken by packets, by sxsk_socket_wake(), and to be on the safe side, ms. */
#define SLEEP_MS 100

struct program;

/* Where the MTU exceeds a frame, a packet is several Bufs, all but the last with this flag. Bursts are
 * of whole packets. */
static inline bool ends_packet(struct sxsk_buf buf)
{
	return !(buf.flags & SXSK_BUF_MORE);
}

/* One queue of one interface. */
struct link {
	const char *name; /* interface, or mem:NAME */
	uint32_t queue;
	struct sxsk_socket *socket;
	struct program *program;
	pthread_t thread; /* that serves it, and links_per_thread - 1 links behind it */
	bool failed;      /* its thread ends with an error, which it has printed */
	uint64_t unsent;  /* packets received, but given back at the end instead of sent */
	struct sxsk_socket_stats stats; /* at the last look */
	unsigned batch;                 /* Bufs to receive at a time */
};

struct program {
	const char *name;
	void (*work)(struct link *link); /* what each thread does; ends when stopping() */
	unsigned links_per_thread;       /* its first one is given to work() */
	uint32_t socket_flags;           /* SXSK_SOCKET_* */
	struct link links[MAX_LINKS];
	unsigned link_count;
	/* Options that all programs have: COMMON_OPTIONS. */
	uint32_t bufsize, bufnum, batch_size, duration, mode, attach, json, hold_one;

	struct sxsk_pool *pool;
	struct sxsk_buf held;     /* see hold_one() */
	atomic_bool stop, failed; /* a link has failed */
	double seconds;
};

/* What becomes of an option's text; false after an error, which is printed. */
struct option;
typedef bool option_fn(struct program *p, const struct option *o, char *text);

option_fn option_name;   /* value: const char *; has to be given */
option_fn option_number; /* value: uint32_t, min to max */
option_fn option_set;    /* no text; value: uint32_t, becomes min; refuses a second opinion */
option_fn option_attach; /* value: uint32_t, enum sxsk_attach */
option_fn option_link;   /* one more link, IF[:Q]; one at least */

/* One row of a program's option table, which ends with COMMON_OPTIONS. */
struct option {
	const char *name;     /* with its dashes; NULL after the last row */
	const char *argument; /* NULL: it has none */
	const char *help;
	option_fn *parse;
	void *value;
	uint32_t min, max;
};

/* Say what is wrong; false. */
bool wrong(const struct program *program, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* clang-format off */
#define COMMON_OPTIONS(p) \
	{ "--bufsize", "BYTES", "of a frame: 2048 or 4096 (2048)", \
	  option_number, &(p)->bufsize, 2048, 4096 }, \
	{ "--bufnum", "N", "frames (65536)", option_number, &(p)->bufnum, 64, 1048576 }, \
	{ "--batch-size", "N", "packets (64)", option_number, &(p)->batch_size, 1, MAX_BATCH }, \
	{ "--duration", "SECONDS", "end by itself (0: on SIGINT or SIGTERM)", \
	  option_number, &(p)->duration, 0, 100000000 }, \
	{ "--zero-copy", NULL, "or not at all", option_set, &(p)->mode, SXSK_MODE_ZEROCOPY, 0 }, \
	{ "--copy", NULL, "never zero-copy", option_set, &(p)->mode, SXSK_MODE_COPY, 0 }, \
	{ "--attach", "HOW", "auto, native or skb (auto)", option_attach, &(p)->attach, 0, 0 }, \
	{ "--hold-one", NULL, "keep one Buf on purpose: the account must find it", \
	  option_set, &(p)->hold_one, 1, 0 }, \
	{ "--json", NULL, "make the last line one JSON object", option_set, &(p)->json, 1, 0 }, \
	{ NULL, NULL, NULL, option_set, NULL, 0, 0 }
/* clang-format on */

/* Parse, run, account: the whole of main(). Returns the exit status: 0 = ended as asked and every
 * frame accounted for, 1 = anything else. */
int program_run(struct program *program, const struct option options[], int argc, char **argv);

/* Has the program been asked to end? */
static inline bool stopping(const struct program *program)
{
	return atomic_load_explicit(&program->stop, memory_order_relaxed);
}

/* For a link's thread: end the program because of -errno `error` on this link. */
void link_fail(struct link *link, int error);

/* For a link's thread, at its end: send what is still to be sent, for a moment, give back the
 * rest, let transmissions finish. */
void link_finish(struct link *link, struct sxsk_buf unsent[], unsigned n);

/* With --hold-one: keep a reference to one Buf, so that one frame is missing at the end and the
 * account must say so. It shows that "every frame accounted for" is earned. */
static inline void hold_one(struct link *link, struct sxsk_buf buf)
{
	struct program *program = link->program;

	if (program->hold_one && link == &program->links[0] && sxsk_buf_is_null(program->held))
		program->held = sxsk_buf_ref(buf);
}

/* ---- account.c: for common.c ------------------------------------------------------------------- */

/* Read the counters of a link's socket into link->stats. */
void account_look(struct link *link);

/* The line of each second: rates over the last `interval` seconds, drops since the start. */
void account_line(struct program *program, double seconds, double interval);

/* After the sockets are closed: where every packet and every frame went. Returns whether all frames
 * are accounted for. */
bool account_close(struct program *program);

#endif
