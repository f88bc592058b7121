/* SPDX-License-Identifier: BSD-2-Clause */
#include "ends.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE 30.0 /* seconds without what has to come: this is an emulated machine */
#define HEADERS 42u   /* bytes: Ethernet, IPv4, UDP */

__attribute__((format(printf, 3, 0))) static _Noreturn void end(int status, const char *label,
								const char *format, va_list args)
{
	printf("%s", label);
	vprintf(format, args);
	printf("\n");
	exit(status);
}

_Noreturn void die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	end(1, "failed: ", format, args);
}

_Noreturn void lacks(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	end(77, "lacks: ", format, args);
}

double seconds(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* ---- sockets ----------------------------------------------------------------------------------- */

struct sxsk_pool *pool_of(uint32_t frames)
{
	const struct sxsk_pool_opts opts = { .sz = sizeof(opts), .frame_count = frames };
	struct sxsk_pool *pool;

	if (sxsk_pool_create(&pool, &opts))
		die("%s", sxsk_last_error());
	return pool;
}

struct sxsk_socket_stats stats_of(struct sxsk_socket *socket)
{
	struct sxsk_socket_stats stats = { .sz = sizeof(stats) };

	sxsk_socket_stats(socket, &stats);
	return stats;
}

struct sxsk_socket *open_with(struct sxsk_pool *pool, const char *ifname, uint32_t queue,
			      const struct sxsk_socket_opts *opts)
{
	const uint32_t mode = opts->mode;
	struct sxsk_socket *socket;
	int err = sxsk_socket_open(&socket, pool, ifname, queue, opts);

	if (mode == SXSK_MODE_ZEROCOPY && (err == -EOPNOTSUPP || err == -EINVAL))
		lacks("zero-copy on %s: %s (%s)", ifname, sxsk_last_error(), strerror(-err));
	if (err)
		die("%s", sxsk_last_error());
	if (stats_of(socket).mode != mode)
		die("%s is in %s mode", ifname, sxsk_mode_name(stats_of(socket).mode));
	return socket;
}

struct sxsk_socket *open_end(struct sxsk_pool *pool, const char *ifname, uint32_t queue,
			     uint32_t mode)
{
	const struct sxsk_socket_opts opts = { .sz = sizeof(opts),
					       .steer = SXSK_STEER_ALL,
					       .mode = mode };

	return open_with(pool, ifname, queue, &opts);
}

void account(struct sxsk_pool *pool)
{
	struct sxsk_pool_stats f = { .sz = sizeof(f) };
	uint64_t missing;

	if (sxsk_pool_drain(pool, 5000))
		die("%s", sxsk_last_error());
	sxsk_pool_stats(pool, &f);
	missing = f.total - (f.lanes + f.depot + f.fill + f.quarantined + f.retired);
	if (f.user || f.tx || missing)
		die("%llu frames are in Bufs, %llu are being sent, %llu are missing",
		    (unsigned long long)f.user, (unsigned long long)f.tx,
		    (unsigned long long)missing);
	sxsk_pool_unref(pool);
}

/* ---- packets ----------------------------------------------------------------------------------- */

static uint32_t length_of(uint32_t number)
{
	return 60 + number % 1400;
}

/* Of an IPv4 header whose checksum is zero yet: a bridge may look at it. */
static void set_checksum(unsigned char *ip)
{
	uint32_t sum = 0;

	for (unsigned i = 0; i < 20; i += 2)
		sum += (uint32_t)ip[i] << 8 | ip[i + 1];
	sum = (sum >> 16) + (sum & 0xffff);
	sum = ~((sum >> 16) + sum);
	ip[10] = (unsigned char)(sum >> 8);
	ip[11] = (unsigned char)sum;
}

/* UDP over IPv4, so that devices tell flows from each other. */
static void fill(unsigned char *p, uint32_t number, bool swapped)
{
	const uint32_t len = length_of(number);
	const unsigned char headers[] = { 0x08, 0x00, 0x45, 0x00, (unsigned char)((len - 14) >> 8),
					  (unsigned char)(len - 14), 0, 0, 0, 0, 64, 17, 0, 0,
					  /* addresses, for documentation */
					  192, 0, 2, 1, 192, 0, 2, 2,
					  /* ports: the flow's, discard */
					  0x80, (unsigned char)(number % FLOWS), 0, 9,
					  (unsigned char)((len - 34) >> 8),
					  (unsigned char)(len - 34), 0, 0 };

	memset(p + (swapped ? 6 : 0), 0xff, 6);
	memset(p + (swapped ? 0 : 6), 2, 6);
	memcpy(p + 12, headers, sizeof(headers));
	set_checksum(p + 14);
	memcpy(p + HEADERS, &number, sizeof(number));
	memset(p + HEADERS + sizeof(number), (int)(number * 7 + 1), len - HEADERS - sizeof(number));
}

unsigned send_numbered(struct sxsk_socket *socket, struct sxsk_pool *pool, uint32_t first,
		       unsigned n)
{
	struct sxsk_buf bufs[64];
	unsigned got = sxsk_pool_alloc(pool, bufs, n), sent;

	for (unsigned i = 0; i < got; i++) {
		if (sxsk_buf_put(&bufs[i], length_of(first + i)))
			die("%s", sxsk_last_error());
		fill(sxsk_buf_data_mut(bufs[i]), first + i, false);
	}
	sent = sxsk_tx_burst(socket, bufs, got);
	sxsk_buf_unref_burst(bufs + sent, got - sent);
	return sent;
}

static bool is_ours(struct sxsk_buf b, bool swapped)
{
	const unsigned char *p = sxsk_buf_data(b);
	const unsigned char type[] = { 0x08, 0x00, 0x45 };

	return sxsk_buf_len(b) >= 60 && memcmp(p + 12, type, sizeof(type)) == 0 &&
	       p[6] == (swapped ? 0xff : 2);
}

static void verify(struct sxsk_buf b, struct receiver *r)
{
	const unsigned char *p = sxsk_buf_data(b);
	unsigned char expected[1500];
	uint32_t number, *next;

	memcpy(&number, p + HEADERS, sizeof(number));
	next = &r->next[r->complete ? 0 : number % FLOWS];
	r->tally->received++;
	if (!r->overtaken && (number < *next || (r->complete && number != *next)))
		die("packet %u came, and %u is what should", number, *next);
	*next = number + 1;
	fill(expected, number, r->swapped);
	if (sxsk_buf_len(b) != length_of(number) || memcmp(p, expected, length_of(number)) != 0)
		die("packet %u is not as it was sent (%u bytes)", number, sxsk_buf_len(b));
	r->tally->verified++;
}

void receive_numbered(struct sxsk_socket *socket, struct receiver *r)
{
	struct sxsk_buf bufs[64];
	const unsigned n = sxsk_rx_burst(socket, bufs, 64);

	for (unsigned i = 0; i < n; i++)
		if (is_ours(bufs[i], r->swapped))
			verify(bufs[i], r);
	sxsk_buf_unref_burst(bufs, n);
}

void carry(struct sxsk_socket *from, struct sxsk_pool *pool, struct sxsk_socket *back,
	   struct receiver *r, uint32_t n)
{
	const uint64_t begun = r->tally->received;
	const uint32_t first = r->next[0];
	double end = seconds() + PATIENCE;
	uint32_t sent = 0;
	uint64_t got = 0, before;

	while (got < n) {
		if (sent < n && sent - got <= WINDOW - 32)
			sent += send_numbered(from, pool, first + sent,
					      n - sent < 32 ? n - sent : 32);
		else if (sxsk_tx_burst(from, NULL, 0)) /* completions come home */
			die("something was sent that nobody had");
		before = got;
		receive_numbered(back, r);
		got = r->tally->received - begun;
		if (got > before)
			end = seconds() + PATIENCE;
		else if (seconds() > end)
			break;
	}
	r->tally->sent += sent;
	if (got == 0 && stats_of(from).tx_completed == 0)
		lacks("%s mode on %s: %u packets were queued, and the driver sent none",
		      sxsk_mode_name(stats_of(from).mode), stats_of(from).ifname, sent);
	if (got < n)
		die("%llu of %u packets arrived", (unsigned long long)got, sent);
}

/* ---- traffic in the background ------------------------------------------------------------------ */

struct traffic {
	struct sxsk_socket *socket;
	struct sxsk_pool *pool;
	struct tally *tally;
	atomic_bool stop;
	pthread_t thread;
};

static void *traffic_run(void *arg)
{
	const struct timespec pause = { .tv_nsec = 2000000 };
	struct traffic *t = arg;
	uint32_t number = 1;

	while (!atomic_load(&t->stop)) {
		const unsigned n = send_numbered(t->socket, t->pool, number, 16);

		number += n;
		t->tally->sent += n;
		/* Fast enough to be in the way of whatever happens, slow enough for an emulated machine. */
		(void)nanosleep(&pause, NULL);
	}
	return NULL;
}

struct traffic *traffic_start(struct sxsk_socket *socket, struct sxsk_pool *pool,
			      struct tally *tally)
{
	struct traffic *t = calloc(1, sizeof(*t));

	if (!t)
		die("no memory");
	t->socket = socket;
	t->pool = pool;
	t->tally = tally;
	if (pthread_create(&t->thread, NULL, traffic_run, t))
		die("no thread");
	return t;
}

void traffic_stop(struct traffic *t)
{
	atomic_store(&t->stop, true);
	pthread_join(t->thread, NULL);
	free(t);
}

/* ---- child processes ---------------------------------------------------------------------------- */

/* Read on, until there is `what` so many times, or the end. */
static bool child_says(struct child *c, const char *what, unsigned times)
{
	struct pollfd out = { .fd = c->out, .events = POLLIN };
	const double end = seconds() + PATIENCE;

	for (;;) {
		unsigned n = 0;
		ssize_t got;

		for (const char *p = c->printed; times && (p = strstr(p, what)); p++)
			n++;
		if (times && n >= times)
			return true;
		if (seconds() > end || poll(&out, 1, 1000) < 0)
			return false;
		if (!out.revents)
			continue;
		got = read(c->out, c->printed + c->length, sizeof(c->printed) - 1 - c->length);
		if (got <= 0)
			return !times;
		c->length += (size_t)got;
		c->printed[c->length] = '\0';
	}
}

void child_start(struct child *c, const char *const argv[], unsigned links, const char *mode)
{
	int pipes[2];
	char opened[64];

	*c = (struct child){ 0 };
	if (pipe(pipes))
		die("no pipe");
	fflush(stdout);
	c->pid = fork();
	if (c->pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(pipes[1], STDOUT_FILENO);
		dup2(pipes[1], STDERR_FILENO);
		close(pipes[0]);
		close(pipes[1]);
		execvp(argv[0], (char *const *)(uintptr_t)argv);
		_exit(126);
	}
	close(pipes[1]);
	c->out = pipes[0];
	(void)snprintf(opened, sizeof(opened), ": %s mode,", mode);
	if (c->pid < 0 || !child_says(c, opened, links))
		die("%s did not open its links in %s mode: %s", argv[0], mode, c->printed);
}

void child_end(struct child *c, int signal, int status, const char *line)
{
	int how;

	if (signal)
		kill(c->pid, signal);
	if (!child_says(c, "", 0)) {
		kill(c->pid, SIGKILL);
		die("the program did not end: %s", c->printed);
	}
	waitpid(c->pid, &how, 0);
	close(c->out);
	if (signal == SIGKILL ? !WIFSIGNALED(how) : !WIFEXITED(how) || WEXITSTATUS(how) != status)
		die("the program ended with status 0x%x: %s", (unsigned)how, c->printed);
	if (line && !strstr(c->printed, line))
		die("the program did not say \"%s\": %s", line, c->printed);
}
