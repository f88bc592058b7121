/* SPDX-License-Identifier: BSD-2-Clause */
/* Have count.py run this program again under callgrind, and read what it found. */
#include "refcost.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATH_SIZE 4096
#define LIST_SIZE 512
/* Larger pools take minutes under callgrind, and execute the same. */
#define COUNTED_FRAMES 4096u
#define COUNTED_PACKETS (1u << 14)

struct arguments {
	char self[PATH_SIZE], script[PATH_SIZE];
	char of[LIST_SIZE], variants[LIST_SIZE], bursts[LIST_SIZE], frames[LIST_SIZE];
	char packets[LIST_SIZE];
};

static void append(char list[LIST_SIZE], const char *word)
{
	size_t n = strlen(list);

	snprintf(list + n, LIST_SIZE - n, "%s%s", n ? "," : "", word);
}

static void append_number(char list[LIST_SIZE], unsigned value)
{
	char word[16];

	snprintf(word, sizeof(word), "%u", value);
	append(list, word);
}

/* The script lies beside this program. */
static bool prepare(struct arguments *a, const struct plan *p)
{
	ssize_t n = readlink("/proc/self/exe", a->self, sizeof(a->self) - 1);
	char *slash;

	if (n < 0)
		return false;
	a->self[n] = 0;
	slash = strrchr(a->self, '/');
	if (!slash || snprintf(a->script, sizeof(a->script), "%.*s/count.py",
			       (int)(slash - a->self), a->self) >= (int)sizeof(a->script))
		return false;
	append(a->of, p->of->name);
	append_number(a->packets,
		      p->packets < COUNTED_PACKETS ? (unsigned)p->packets : COUNTED_PACKETS);
	for (unsigned i = 0; i < p->variants; i++)
		append(a->variants, p->variant[i]->name);
	for (unsigned i = 0; i < p->bursts; i++)
		append_number(a->bursts, p->burst[i]);
	for (unsigned i = 0; i < p->frame_counts; i++)
		if (p->frames[i] <= COUNTED_FRAMES)
			append_number(a->frames, p->frames[i]);
	return true;
}

static pid_t start(struct arguments *a, int *ret_fd)
{
	int fds[2];
	pid_t pid;

	if (pipe(fds) != 0)
		return -1;
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		char variant[] = "--variant", burst[] = "--burst", frames[] = "--frames";
		char python[] = "python3", of[] = "--case", packets[] = "--packets";
		char *argv[] = { python,      a->script,  of,        a->of,  variant,
				 a->variants, burst,      a->bursts, frames, a->frames,
				 packets,     a->packets, a->self,   NULL };

		dup2(fds[1], STDOUT_FILENO);
		close(fds[0]);
		close(fds[1]);
		execvp(python, argv);
		fprintf(stderr, "refcost: python3: %s\n", strerror(errno));
		_exit(127);
	}
	close(fds[1]);
	*ret_fd = fds[0];
	if (pid < 0)
		close(fds[0]);
	return pid;
}

static unsigned store(struct result *r, const char *name, unsigned burst, unsigned frames,
		      double instructions, double rmw)
{
	const struct plan *p = &r->plan;
	unsigned stored = 0;

	for (unsigned f = 0; f < p->frame_counts; f++)
		for (unsigned b = 0; b < p->bursts; b++)
			for (unsigned v = 0; v < p->variants; v++)
				if (p->frames[f] == frames && p->burst[b] == burst &&
				    strcmp(p->variant[v]->name, name) == 0) {
					result_cell(r, f, b, v)->instructions = instructions;
					result_cell(r, f, b, v)->rmw = rmw;
					stored++;
				}
	return stored;
}

static unsigned read_counts(struct result *r, int fd)
{
	FILE *f = fdopen(fd, "r");
	char name[64];
	unsigned burst, frames, stored = 0;
	double instructions, rmw;

	if (!f) {
		close(fd);
		return 0;
	}
	while (fscanf(f, "%*s %63s %u %u %lf %lf", name, &burst, &frames, &instructions, &rmw) == 5)
		stored += store(r, name, burst, frames, instructions, rmw);
	fclose(f);
	return stored;
}

/* One run of the script, for one case. */
struct counting {
	struct result *result;
	int fd;
	pid_t pid;
};

static struct counting begin(struct result *r)
{
	struct arguments a = { .self = "" };
	struct counting c = { .result = r };

	c.pid = prepare(&a, &r->plan) ? start(&a, &c.fd) : -1;
	return c;
}

static unsigned cells_to_count(const struct plan *p)
{
	unsigned n = 0;

	for (unsigned i = 0; i < p->frame_counts; i++)
		n += p->frames[i] <= COUNTED_FRAMES;
	return n * p->bursts * p->variants;
}

static bool finish(struct counting *c)
{
	unsigned stored;
	int status = 1;

	if (c->pid < 0)
		return false;
	stored = read_counts(c->result, c->fd);
	while (waitpid(c->pid, &status, 0) < 0 && errno == EINTR)
		;
	return status == 0 && stored >= cells_to_count(&c->result->plan);
}

bool count_executed(struct result results[], unsigned n)
{
	bool counted = true;

	for (unsigned i = 0; i < n && counted; i += 2) {
		struct counting one = begin(&results[i]), other = { .pid = -1 };

		if (isatty(STDERR_FILENO))
			fprintf(stderr, "\rcounting %u of %u\033[K", i + 1, n);
		if (i + 1 < n)
			other = begin(&results[i + 1]);
		counted = finish(&one);
		if (i + 1 < n)
			counted = finish(&other) && counted;
	}
	run_progress_end();
	if (!counted)
		fputs("refcost: instructions and read-modify-writes were not counted: that needs python3, valgrind "
		      "and objdump (Debian: python3 valgrind binutils)\n",
		      stderr);
	return counted;
}
