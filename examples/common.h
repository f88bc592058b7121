/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the example programs share. How the library is used stands in common.c (pool, sockets, waiting,
 * close, account) and in each example (bursts).
 *
 *   main thread   options -> pool -> sockets -> | a table or a line each second | -> close -> account
 *   each thread                                 | work(link): bursts, waits     |
 */
#ifndef SXSK_EXAMPLES_COMMON_H
#define SXSK_EXAMPLES_COMMON_H

#include <err.h>
#include <pthread.h>
#include <safexsk/safexsk.h>
#include <stdatomic.h>

#define MAX_LINKS 512
#define LINKS_PER_THREAD 2 /* at most */
#define MAX_BATCH 1024
#define IDLE_LOOKS 500 /* in vain, until a thread sleeps: about as long as falling asleep takes */

/* Say what is wrong; false. */
#define wrong(...) (warnx(__VA_ARGS__), false)

/* One queue of one interface. */
struct link {
	const char *name; /* interface, or mem:NAME */
	uint32_t queue;
	uint32_t cpu; /* of its thread, counted from 1; 0: what --cpu says */
	struct sxsk_socket *socket;
	struct sxsk_mem_peer *peer; /* who sends on a mem: link where nobody else is, or NULL */
	struct program *program;
	pthread_t thread; /* that serves it, and links_per_thread - 1 links behind it */
	bool failed;      /* its thread ends with an error, which it has printed */
	unsigned batch;   /* Bufs to receive at a time */
	uint64_t unsent;  /* packets received, but given back at the end instead of sent */
	uint64_t bursts;  /* that were not empty */
	_Alignas(64) struct sxsk_socket_stats stats; /* at the open, then at the close */
};

enum { WAIT_EPOLL, WAIT_POLL, WAIT_BUSY }; /* --wait */

struct program {
	const char *name, *example;         /* the example's arguments, for --help */
	bool (*prepare)(struct program *p); /* with the options; false: it has said why. Or NULL */
	void (*work)(struct link *link);    /* of each thread, until stopping() or by itself */
	/* Change how a link's socket is about to be opened; false as above. NULL: all packets come */
	bool (*before_open)(struct link *link, struct sxsk_socket_opts *opts);
	/* More for a link's closing account: lines, or JSON members, each after a comma. NULL: nothing */
	void (*account)(const struct link *link, bool json);
	unsigned links_per_thread; /* its first one is given to work() */
	uint32_t socket_flags;     /* SXSK_SOCKET_* */
	bool quiet;                /* it prints by itself: no table, no line each second */
	struct link links[MAX_LINKS];
	unsigned link_count;
	/* Options that all programs have: COMMON_OPTIONS. */
	uint32_t bufsize, bufnum, batch_size, duration, mode, attach, wait, json, hold_one;
	uint32_t cpus[MAX_LINKS], cpu_count; /* for the threads in turn, counted from 1 */

	struct sxsk_pool *pool;
	struct sxsk_monitor *monitor;
	struct sxsk_buf held;     /* see received() */
	atomic_bool stop, failed; /* a link has failed */
	atomic_uint working;      /* threads */
	double begun, seconds;
};

/* What becomes of an option's text; false after an error, which is printed. */
struct option;
typedef bool option_fn(const struct option *o, char *text);
option_fn option_text;   /* value: const char *; min 1: an interface, has to be given */
option_fn option_number; /* value: uint32_t, min to max */
option_fn option_set;    /* no text; value: uint32_t, becomes min; refuses a second opinion */
option_fn option_choice; /* value: uint32_t, which of the argument's words, "epoll|poll|busy" */
option_fn option_cpu;    /* value: uint32_t, a CPU counted from 1 */
option_fn option_cpus;   /* value: the program; for one more thread */
/* value: the program; one more link, IF[:Q]; one at least. max 1: the only thread's second link, of which
 * the last one given counts */
option_fn option_link;

/* One row of a program's option table, which ends with COMMON_OPTIONS. */
struct option {
	const char *name, *argument, *help; /* argument NULL: it has none. name NULL: the end */
	option_fn *parse;
	void *value;
	uint32_t min, max;
};

/* clang-format off */
#define COMMON_OPTIONS(p) \
	{ "--bufsize", "BYTES", "of a frame: 2048 or 4096 (2048)", option_number, &(p)->bufsize, 2048, 4096 }, \
	{ "--bufnum", "N", "frames (65536)", option_number, &(p)->bufnum, 64, 1048576 }, \
	{ "--batch-size", "N", "packets (64)", option_number, &(p)->batch_size, 1, MAX_BATCH }, \
	{ "--duration", "SECONDS", "end by itself (0: on SIGINT or SIGTERM)", \
	  option_number, &(p)->duration, 0, 100000000 }, \
	{ "--zero-copy", NULL, "or not at all", option_set, &(p)->mode, SXSK_MODE_ZEROCOPY, 0 }, \
	{ "--copy", NULL, "never zero-copy", option_set, &(p)->mode, SXSK_MODE_COPY, 0 }, \
	{ "--attach", "auto|native|skb|dispatcher", "auto, native, skb, or beside others: dispatcher (auto)", \
	  option_choice, &(p)->attach, 0, 0 }, \
	{ "--wait", "epoll|poll|busy", "epoll, poll, or busy: never sleep, run the driver (epoll)", option_choice, &(p)->wait, 0, 0 }, \
	{ "--cpu", "CPU", "of a thread; may be repeated, for the threads in turn (any)", option_cpus, (p), 0, 0 }, \
	{ "--hold-one", NULL, "keep one Buf on purpose: the account must find it", option_set, &(p)->hold_one, 1, 0 }, \
	{ "--json", NULL, "make the last line one JSON object", option_set, &(p)->json, 1, 0 }, \
	{ NULL, NULL, NULL, option_set, NULL, 0, 0 }
/* clang-format on */

bool options_parse(const struct program *p, const struct option options[], char **argv);

/* Parse, run, account: the whole of main(). Returns the exit status: 0 = ended as asked and every
 * frame accounted for, 1 = anything else. */
int program_run(struct program *program, const struct option options[], int argc, char **argv);

/* Run this thread on that CPU (from 1), or 0: on the next of --cpu's, if there are any, by its number. */
void pin_thread(const struct program *p, unsigned number, uint32_t cpu);

/* Has the program been asked to end, or does it because a link has failed? */
bool stopping(const struct program *program);

/* The rest is for a link's thread. It has received a burst: count it. With --hold-one its first Buf is
 * kept, so that a frame is missing at the end: "every frame accounted for" is earned. */
void received(struct link *link, struct sxsk_buf first);

/* It has nothing to do: as --wait says, sleep until one of its n links has news (events[]: SXSK_WAIT_*),
 * or it is time to look at stopping(). False: a link has failed; the program ends. */
bool links_sleep(struct link links[], const unsigned events[], unsigned n);

/* End the program because of an error on this link, which is in sxsk_last_error(). False. */
bool link_fail(struct link *link);

/* Send all, and wait for room meanwhile; what cannot be sent any more goes to link_finish(). */
void link_send(struct link *link, struct sxsk_buf bufs[], unsigned n);

/* At its end: for a moment, send what is still to be sent; give back the rest; let the kernel finish. */
void link_finish(struct link *link, struct sxsk_buf unsent[], unsigned n);

#endif
