/* SPDX-License-Identifier: BSD-2-Clause */
/* What one can do wrong with pools, sockets, lanes and processes. */
#include "misuse.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- pools -------------------------------------------------------------------------------------------------- */

static struct sxsk_pool *dead_pool(void)
{
	struct sxsk_pool_opts o = { .sz = sizeof(o), .frame_count = 64 };
	struct sxsk_pool *pool;

	MUST(sxsk_pool_create(&pool, &o) == 0);
	sxsk_pool_unref(pool);
	return pool;
}

static bool alloc_from_dead_pool(struct stage *st)
{
	struct sxsk_buf b;

	(void)st;
	return sxsk_pool_alloc(dead_pool(), &b, 1) == 0;
}

static bool ref_dead_pool(struct stage *st)
{
	(void)st;
	return sxsk_pool_ref(dead_pool()) == NULL;
}

static bool unref_pool_twice(struct stage *st)
{
	(void)st;
	sxsk_pool_unref(dead_pool());
	return true;
}

static bool unref_pool_twice_with_bufs(struct stage *st)
{
	struct sxsk_pool_opts o = { .sz = sizeof(o), .frame_count = 64 };
	struct sxsk_pool *pool;
	struct sxsk_buf b;

	(void)st;
	MUST(sxsk_pool_create(&pool, &o) == 0);
	b = take(pool);
	sxsk_pool_unref(pool);
	sxsk_pool_unref(pool);
	return sxsk_buf_data(b) != NULL; /* the Buf still keeps it alive */
}

static bool ref_pool_without_owner(struct stage *st)
{
	struct sxsk_pool_opts o = { .sz = sizeof(o), .frame_count = 64 };
	struct sxsk_pool *pool;
	struct sxsk_buf b;

	(void)st;
	MUST(sxsk_pool_create(&pool, &o) == 0);
	b = take(pool);
	sxsk_pool_unref(pool);
	return sxsk_pool_ref(pool) == NULL && sxsk_buf_data(b) != NULL;
}

static bool stats_of_dead_pool(struct stage *st)
{
	struct sxsk_pool_stats s = { .sz = sizeof(s) };

	(void)st;
	sxsk_pool_stats(dead_pool(), &s);
	return s.total == 0;
}

static bool report_on_dead_pool(struct stage *st)
{
	(void)st;
	return sxsk_pool_report(dead_pool(), stderr) < 0;
}

static bool lane_of_dead_pool(struct stage *st)
{
	(void)st;
	return sxsk_lane_attach(dead_pool()) < 0;
}

static bool socket_on_dead_pool(struct stage *st)
{
	struct sxsk_socket *s;

	(void)st;
	return sxsk_socket_open(&s, dead_pool(), "mem:dead", 0, NULL) < 0;
}

static bool null_pool(struct stage *st)
{
	struct sxsk_buf b;

	(void)st;
	return sxsk_pool_alloc(NULL, &b, 1) == 0 && sxsk_pool_drain(NULL, 0) < 0;
}

static bool stats_without_size(struct stage *st)
{
	struct sxsk_pool_stats s = { 0 };

	sxsk_pool_stats(st->pool, &s);
	return s.total == 0;
}

/* ---- sockets ------------------------------------------------------------------------------------------------- */

static struct sxsk_socket *closed(struct stage *st)
{
	sxsk_socket_close(st->a);
	return st->a;
}

static bool receive_after_close(struct stage *st)
{
	struct sxsk_buf b;

	return sxsk_rx_burst(closed(st), &b, 1) == 0;
}

static bool receive_less_than_a_packet(struct stage *st)
{
	struct sxsk_socket_opts o = { .sz = sizeof(o), .flags = SXSK_SOCKET_MULTI_BUFFER };
	struct sxsk_buf bufs[SXSK_MAX_FRAGS], b = take(st->other_pool);
	struct sxsk_socket *s;

	sxsk_socket_close(st->a);
	MUST(sxsk_socket_open(&s, st->pool, "mem:misuse", 0, &o) == 0);
	send_one(st->b, b);
	if (sxsk_rx_burst(s, bufs, SXSK_MAX_FRAGS - 1) != 0)
		return false;
	/* It is still there. */
	if (sxsk_rx_burst(s, bufs, SXSK_MAX_FRAGS) != 1)
		return false;
	sxsk_buf_unref(&bufs[0]);
	return no_frame_lost(st->pool, 0);
}

static bool send_after_close(struct stage *st)
{
	struct sxsk_buf b = take(st->pool);

	return sxsk_tx_burst(closed(st), &b, 1) == 0 && sxsk_buf_data(b) != NULL;
}

static bool close_twice(struct stage *st)
{
	sxsk_socket_close(closed(st));
	return no_frame_lost(st->pool, 0);
}

static bool stats_after_close(struct stage *st)
{
	struct sxsk_socket_stats s = { .sz = sizeof(s) };

	sxsk_socket_stats(closed(st), &s);
	return s.rx_packets == 0;
}

static bool wait_after_close(struct stage *st)
{
	return sxsk_socket_wait(closed(st), SXSK_WAIT_RX, 0) < 0;
}

static bool wait_for_several_after_close(struct stage *st)
{
	struct sxsk_wait waits[2] = { { NULL, SXSK_WAIT_RX, 0 }, { NULL, SXSK_WAIT_RX, 0 } };

	MUST(sxsk_socket_open(&waits[0].socket, st->pool, "mem:another", 0, NULL) == 0);
	waits[1].socket = closed(st);
	return sxsk_sockets_wait(waits, 2, 0) < 0 && waits[0].got == 0 && waits[1].got < 0;
}

static bool wake_after_close(struct stage *st)
{
	sxsk_socket_wake(closed(st));
	return true;
}

static bool fd_after_close(struct stage *st)
{
	return sxsk_socket_fd(closed(st)) < 0;
}

static bool error_after_close(struct stage *st)
{
	return sxsk_socket_error(closed(st)) < 0;
}

static bool old_pointer_after_reopen(struct stage *st)
{
	struct sxsk_socket *old = closed(st), *now;
	struct sxsk_buf b = take(st->pool);
	bool refused;

	MUST(sxsk_socket_open(&now, st->pool, "mem:misuse", 0, NULL) == 0);
	refused = sxsk_tx_burst(old, &b, 1) == 0;
	return refused && sxsk_tx_burst(now, &b, 1) == 1;
}

static bool null_socket(struct stage *st)
{
	struct sxsk_buf b;

	(void)st;
	return sxsk_rx_burst(NULL, &b, 1) == 0;
}

static bool close_with_bufs_out(struct stage *st)
{
	struct sxsk_buf b = take(st->pool);

	memset(sxsk_buf_data_mut(b), 7, 64);
	sxsk_socket_close(st->a);
	return *(const char *)sxsk_buf_data(b) == 7 && no_frame_lost(st->pool, 1);
}

static bool pool_and_sockets_before_bufs(struct stage *st)
{
	struct sxsk_buf b = take(st->pool);
	bool ok;

	memset(sxsk_buf_data_mut(b), 7, 64);
	sxsk_socket_close(st->a);
	sxsk_pool_unref(st->pool);
	ok = *(const char *)sxsk_buf_data(b) == 7;
	sxsk_buf_unref(&b);
	return ok;
}

/* ---- programs ------------------------------------------------------------------------------------------------ */

/* Gone; where this process may not load one, never there. */
static struct sxsk_prog *dead_program(void)
{
	struct sxsk_prog *prog;

	if (sxsk_prog_create(&prog, NULL) < 0)
		return (struct sxsk_prog *)(uintptr_t)1000;
	sxsk_prog_unref(prog);
	return prog;
}

static bool ref_dead_program(struct stage *st)
{
	(void)st;
	return sxsk_prog_ref(dead_program()) == NULL;
}

static bool unref_program_twice(struct stage *st)
{
	(void)st;
	sxsk_prog_unref(dead_program());
	return true;
}

static bool steer_by_dead_program(struct stage *st)
{
	(void)st;
	return sxsk_prog_steer(dead_program(), NULL, 0) < 0;
}

static bool socket_with_dead_program(struct stage *st)
{
	struct sxsk_socket_opts o = { .sz = sizeof(o), .prog = dead_program() };
	struct sxsk_socket *s;

	return sxsk_socket_open(&s, st->pool, "none0", 0, &o) < 0 && no_frame_lost(st->pool, 0);
}

/* ---- options ------------------------------------------------------------------------------------------------- */

static bool options_without_size(struct stage *st)
{
	struct sxsk_pool_opts o = { 0 };
	struct sxsk_socket_opts so = { 0 };
	struct sxsk_pool *pool;
	struct sxsk_socket *s;

	return sxsk_pool_create(&pool, &o) < 0 &&
	       sxsk_socket_open(&s, st->pool, "mem:x", 0, &so) < 0;
}

static bool options_of_the_future(struct stage *st)
{
	struct {
		struct sxsk_pool_opts o;
		uint64_t unknown;
	} f = { .o = { .sz = sizeof(f) }, .unknown = 1 };
	struct sxsk_pool *pool;

	(void)st;
	return sxsk_pool_create(&pool, &f.o) < 0;
}

/* ---- lanes and leaks ----------------------------------------------------------------------------------------- */

static bool lane_kept_past_pool(struct stage *st)
{
	struct sxsk_buf b;

	MUST(sxsk_lane_attach(st->pool) == 0);
	b = take(st->pool);
	sxsk_buf_unref(&b);
	sxsk_socket_close(st->a);
	sxsk_pool_unref(st->pool); /* flushes this thread's lane: the pool is gone now */
	b = take(st->other_pool);
	sxsk_buf_unref(&b);
	return no_frame_lost(st->other_pool, 0);
}

static bool leak_is_reported(struct stage *st)
{
	struct sxsk_buf b = take(st->pool);
	char text[4096] = { 0 };
	FILE *out = fmemopen(text, sizeof(text) - 1, "w");
	bool named;

	MUST(out != NULL);
	named = sxsk_pool_drain(st->pool, 0) < 0 && sxsk_pool_report(st->pool, out) == 0;
	(void)fclose(out);
	return named && strstr(text, "user 1") && strstr(text, "held by 1 reference") &&
	       !sxsk_buf_is_null(b);
}

/* ---- fork ---------------------------------------------------------------------------------------------------- */

/* Run in a forked child; true when it returned true there. In abort mode the child's SIGABRT is ours. */
static bool in_child(bool (*run)(struct stage *st, struct sxsk_buf b), struct stage *st)
{
	struct sxsk_buf b = take(st->pool);
	uint64_t before = sxsk_misuse_count();
	int status = -1;
	pid_t pid = fork();

	if (pid == 0)
		_exit(run(st, b) ? (sxsk_misuse_count() > 0 ? 10 : 11) : 12);
	MUST(pid > 0 && waitpid(pid, &status, 0) == pid);
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT)
		abort();
	/* What the child did is not ours to see: the parent's frame and count are as before. */
	return WIFEXITED(status) && WEXITSTATUS(status) == 10 && sxsk_misuse_count() == before &&
	       no_frame_lost(st->pool, 1);
}

static bool child_reads(struct stage *st, struct sxsk_buf b)
{
	(void)st;
	return sxsk_buf_data(b) == NULL;
}

static bool child_receives(struct stage *st, struct sxsk_buf b)
{
	return sxsk_rx_burst(st->a, &b, 1) == 0;
}

static bool child_allocates(struct stage *st, struct sxsk_buf b)
{
	return sxsk_pool_alloc(st->pool, &b, 1) == 0;
}

static bool child_gives_back(struct stage *st, struct sxsk_buf b)
{
	sxsk_buf_unref(&b);
	sxsk_lane_flush(st->pool);
	sxsk_socket_close(st->a);
	sxsk_pool_unref(st->pool);
	return sxsk_misuse_count() == 0;
}

/* The parent's own count says nothing about the child: misuse in the child is what the row is for, so
 * report one here when the child noticed it. */
static bool noticed_in_child(bool ok)
{
	struct sxsk_buf b = { 0 };

	b.pool = 1000; /* a forged handle: makes the count of this process agree with the child's */
	return ok && sxsk_buf_data(b) == NULL;
}

static bool read_in_child(struct stage *st)
{
	return noticed_in_child(in_child(child_reads, st));
}

static bool receive_in_child(struct stage *st)
{
	return noticed_in_child(in_child(child_receives, st));
}

static bool allocate_in_child(struct stage *st)
{
	return noticed_in_child(in_child(child_allocates, st));
}

static bool give_back_in_child(struct stage *st)
{
	struct sxsk_buf b = take(st->pool);
	int status = -1;
	pid_t pid = fork();

	if (pid == 0)
		_exit(child_gives_back(st, b) ? 0 : 1);
	MUST(pid > 0 && waitpid(pid, &status, 0) == pid);
	return status == 0 && sxsk_buf_data(b) != NULL && no_frame_lost(st->pool, 1);
}

static bool daemon_after_open(struct stage *st)
{
	struct sxsk_buf b = take(st->pool);
	int status = -1;
	pid_t pid = fork(); /* what daemon(3) does: the parent exits, the child goes on */

	if (pid == 0) {
		bool stale = sxsk_buf_data(b) == NULL && sxsk_tx_burst(st->a, &b, 1) == 0;

		_exit(stale ? 0 : 1);
	}
	MUST(pid > 0 && waitpid(pid, &status, 0) == pid);
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT)
		abort();
	return noticed_in_child(status == 0);
}

#define CHILD (KIND(FORKED) | KIND(FORGED))

const struct row object_rows[] = {
	{ "allocate from a dead pool", ALWAYS, NULL, KIND(POOL), alloc_from_dead_pool },
	{ "ref a dead pool", ALWAYS, NULL, KIND(POOL), ref_dead_pool },
	{ "unref a pool twice", ALWAYS, NULL, KIND(POOL), unref_pool_twice },
	{ "unref a pool twice while Bufs are out", ALWAYS, NULL, KIND(POOL),
	  unref_pool_twice_with_bufs },
	{ "ref a pool that only Bufs keep alive", ALWAYS, NULL, KIND(POOL),
	  ref_pool_without_owner },
	{ "stats of a dead pool", ALWAYS, NULL, KIND(POOL), stats_of_dead_pool },
	{ "report on a dead pool", ALWAYS, NULL, KIND(POOL), report_on_dead_pool },
	{ "attach a lane to a dead pool", ALWAYS, NULL, KIND(POOL), lane_of_dead_pool },
	{ "open a socket on a dead pool", ALWAYS, NULL, KIND(POOL), socket_on_dead_pool },
	{ "NULL as a pool", ALWAYS, NULL, KIND(POOL), null_pool },
	{ "stats without their size", ALWAYS, NULL, KIND(ARGUMENT), stats_without_size },
	{ "receive after close", ALWAYS, NULL, KIND(CLOSED), receive_after_close },
	{ "receive less than SXSK_MAX_FRAGS on a multi-buffer socket", ALWAYS, NULL, KIND(ARGUMENT),
	  receive_less_than_a_packet },
	{ "send after close", ALWAYS, NULL, KIND(CLOSED), send_after_close },
	{ "close twice", ALWAYS, NULL, KIND(CLOSED), close_twice },
	{ "stats after close", ALWAYS, NULL, KIND(CLOSED), stats_after_close },
	{ "wait after close", ALWAYS, NULL, KIND(CLOSED), wait_after_close },
	{ "wait for several sockets after the close of one", ALWAYS, NULL, KIND(CLOSED),
	  wait_for_several_after_close },
	{ "wake after close", ALWAYS, NULL, KIND(CLOSED), wake_after_close },
	{ "fd after close", ALWAYS, NULL, KIND(CLOSED), fd_after_close },
	{ "error after close", ALWAYS, NULL, KIND(CLOSED), error_after_close },
	{ "a closed socket's pointer after its slot is reopened", ALWAYS, NULL, KIND(CLOSED),
	  old_pointer_after_reopen },
	{ "NULL as a socket", ALWAYS, NULL, KIND(CLOSED), null_socket },
	{ "ref a program that is gone", ALWAYS, NULL, KIND(PROG), ref_dead_program },
	{ "unref a program twice", ALWAYS, NULL, KIND(PROG), unref_program_twice },
	{ "steer by a program that is gone", ALWAYS, NULL, KIND(PROG), steer_by_dead_program },
	{ "open a socket with a program that is gone", ALWAYS, NULL, KIND(PROG),
	  socket_with_dead_program },
	{ "close a socket while its Bufs are out", HARMLESS, NULL, 0, close_with_bufs_out },
	{ "give sockets and pool back before the Bufs", HARMLESS, NULL, 0,
	  pool_and_sockets_before_bufs },
	{ "options without their size", REFUSED, NULL, 0, options_without_size },
	{ "options of a newer library", REFUSED, NULL, 0, options_of_the_future },
	{ "forget to detach a lane", HARMLESS, NULL, 0, lane_kept_past_pool },
	{ "leak a Buf: drain and the report name it", REFUSED, NULL, 0, leak_is_reported },
	{ "read a Buf in a forked child", ALWAYS, NULL, CHILD, read_in_child },
	{ "receive in a forked child", ALWAYS, NULL, CHILD, receive_in_child },
	{ "allocate in a forked child", ALWAYS, NULL, CHILD, allocate_in_child },
	{ "daemon() after open", ALWAYS, NULL, CHILD, daemon_after_open },
	{ "unref, flush, close and pool_unref in a forked child", HARMLESS, NULL, 0,
	  give_back_in_child },
};
const unsigned object_row_count = sizeof(object_rows) / sizeof(object_rows[0]);
