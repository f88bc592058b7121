/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * misuse: run the catalogue and print its table.
 *
 * Each row runs in a process of its own, twice: in abort mode, where a noticed misuse must end it with
 * SIGABRT and a line "safexsk: misuse: ..."; and in count mode, where the handler must be called
 * with the right kind, the program goes on, and every frame is where it should be. Built without
 * sanitizers, against the library as released.
 */
#include "misuse.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static uint32_t kinds_seen;
static unsigned calls;

static void count(const struct sxsk_misuse *m, void *arg)
{
	(void)arg;
	kinds_seen |= 1u << m->kind;
	calls++;
}

void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "misuse: cannot set the stage: %s: %s\n", what, sxsk_last_error());
	exit(3);
}

struct sxsk_buf take(struct sxsk_pool *pool)
{
	struct sxsk_buf b;

	MUST(sxsk_pool_alloc(pool, &b, 1) == 1);
	MUST(sxsk_buf_put(&b, 64) == 0);
	return b;
}

void send_one(struct sxsk_socket *socket, struct sxsk_buf b)
{
	MUST(sxsk_tx_burst(socket, &b, 1) == 1);
	MUST(sxsk_tx_burst(socket, NULL, 0) == 0);
}

bool no_frame_lost(struct sxsk_pool *pool, uint64_t user)
{
	struct sxsk_pool_stats s = { .sz = sizeof(s) };

	sxsk_pool_stats(pool, &s);
	if (s.user == user &&
	    s.user + s.lanes + s.depot + s.fill + s.tx + s.quarantined + s.retired == s.total)
		return true;
	fprintf(stderr, "misuse: frames do not add up\n");
	MUST(sxsk_pool_report(pool, stderr) >= 0);
	return false;
}

static void set_stage(struct stage *st)
{
	struct sxsk_pool_opts o = { .sz = sizeof(o),
				    .frame_count = 256,
				    .frame_size = 4096,
				    .user_size = 16,
				    .name = "catalogue" };
	struct sxsk_socket_opts so = {
		.sz = sizeof(so), .rx_size = 64, .tx_size = 64, .fill_size = 64, .comp_size = 64
	};

	MUST(sxsk_pool_create(&st->pool, &o) == 0);
	MUST(sxsk_pool_create(&st->other_pool, &o) == 0);
	MUST(sxsk_socket_open(&st->a, st->pool, "mem:misuse", 0, &so) == 0);
	MUST(sxsk_socket_open(&st->b, st->other_pool, "mem:misuse", 0, &so) == 0);
}

/* In the row's own process. Exit status: 0 as expected; 2 a wrong outcome. */
static int act(const struct row *row, bool counting)
{
	struct stage st;
	bool sound;

	if (counting)
		sxsk_set_misuse_handler(count, NULL);
	set_stage(&st);
	sound = row->run(&st);
	if (!sound)
		return 2;
	if (row->found == ALWAYS || row->found == HARDENED)
		return calls > 0 && !(kinds_seen & ~row->kinds) ? 0 : 2;
	return calls == 0 || (row->found == EITHER && !(kinds_seen & ~row->kinds)) ? 0 : 2;
}

static const struct row *find(const char *name)
{
	for (unsigned i = 0; i < handle_row_count; i++)
		if (strcmp(handle_rows[i].name, name) == 0)
			return &handle_rows[i];
	for (unsigned i = 0; i < object_row_count; i++)
		if (strcmp(object_rows[i].name, name) == 0)
			return &object_rows[i];
	for (unsigned i = 0; i < thread_row_count; i++)
		if (strcmp(thread_rows[i].name, name) == 0)
			return &thread_rows[i];
	return NULL;
}

/* ---- the director ---------------------------------------------------------------------------------------- */

/* Run a row in its own process; what it says on stderr goes to `said`. */
static int perform(const struct row *row, const char *mode, char *said, size_t size)
{
	int pipefd[2], status = 0;
	ssize_t n;
	size_t len = 0;
	pid_t pid;

	if (pipe(pipefd) != 0)
		return -1;
	pid = fork();
	if (pid == 0) {
		dup2(pipefd[1], STDERR_FILENO);
		close(pipefd[0]);
		if (row->level)
			setenv("SAFEXSK_HARDEN", row->level, 1);
		alarm(20);
		execl("/proc/self/exe", "misuse", mode, row->name, (char *)NULL);
		_exit(4);
	}
	close(pipefd[1]);
	while ((n = read(pipefd[0], said + len, size - 1 - len)) > 0 && len < size - 1)
		len += (size_t)n;
	said[len] = '\0';
	close(pipefd[0]);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	return status;
}

static bool judge(const struct row *row, bool counting, int status, const char *said)
{
	bool noticed = row->found == ALWAYS || row->found == HARDENED;
	bool aborted = WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT &&
		       strstr(said, "safexsk: misuse: ");

	if (!counting && (noticed || (row->found == EITHER && aborted)))
		return aborted;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static unsigned failed, done;

static void show(const struct row *row)
{
	static const char *const how[] = { "always", "refused", "harmless", "either", "hardened" };
	bool ok[2];

	for (int counting = 0; counting < 2; counting++) {
		char said[4096];
		int status = perform(row, counting ? "--count" : "--abort", said, sizeof(said));

		ok[counting] = judge(row, counting, status, said);
		done++;
		if (!ok[counting]) {
			failed++;
			printf("# %s, %s mode: wait status 0x%x\n# %s\n", row->name,
			       counting ? "count" : "abort", (unsigned)status, said);
		}
	}
	printf("%-58s %-8s %-10s %-5s %-5s\n", row->name, how[row->found],
	       row->level ? row->level : "", ok[0] ? "ok" : "FAIL", ok[1] ? "ok" : "FAIL");
	fflush(stdout);
}

/* The rows as MISUSE.md has them; a test compares. */
static void print_markdown(const struct row *rows, unsigned n)
{
	static const char *const how[] = { "always", "refused with an error or counter",
					   "allowed, and safe", "always, or safe, by the schedule",
					   "" };

	for (unsigned i = 0; i < n; i++)
		if (rows[i].found == HARDENED)
			printf("| %s | at level `%s` |\n", rows[i].name, rows[i].level);
		else
			printf("| %s | %s |\n", rows[i].name, how[rows[i].found]);
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "--markdown") == 0) {
		print_markdown(handle_rows, handle_row_count);
		print_markdown(object_rows, object_row_count);
		print_markdown(thread_rows, thread_row_count);
		return 0;
	}
	if (argc == 3) {
		const struct row *row = find(argv[2]);

		return row ? act(row, strcmp(argv[1], "--count") == 0) : 4;
	}
	printf("%-58s %-8s %-10s %-5s %-5s\n", "what the program does", "noticed", "level", "abort",
	       "count");
	for (unsigned i = 0; i < handle_row_count; i++)
		show(&handle_rows[i]);
	for (unsigned i = 0; i < object_row_count; i++)
		show(&object_rows[i]);
	for (unsigned i = 0; i < thread_row_count; i++)
		show(&thread_rows[i]);
	printf("%u passed, %u failed\n", done - failed, failed);
	return failed != 0;
}
