/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Walk all schedules of all scenarios, or of those named: schedule [-v] [SCENARIO...]
 * The last line is "N passed, N failed, N skipped".
 */
#include "litmus.h"
#include "scenarios.h"

#include <stdio.h>
#include <string.h>

#define SCHEDULES_MAX 3000000u
#define PROGRAMS 500u

static struct {
	char **wanted;
	int n;
	unsigned passed, failed;
} run;

static bool wanted(const char *name)
{
	for (int i = 0; i < run.n; i++)
		if (strcmp(run.wanted[i], name) == 0)
			return true;
	return run.n == 0;
}

static void count(bool good)
{
	if (good)
		run.passed++;
	else
		run.failed++;
}

static void walk(const struct scenario *s)
{
	struct walk w = schedule_walk(s, SCHEDULES_MAX, false);

	printf("%s: %s: %s: %llu schedules walked, %u steps at most, %llu equal ones left out, %s\n",
	       w.failed ? "not ok" : "ok", s->name, s->what, (unsigned long long)w.schedules,
	       w.steps, (unsigned long long)w.redundant, w.failed ? "failed" : "exhausted");
	(void)fflush(stdout);
	count(!w.failed);
}

int main(int argc, char **argv)
{
	const struct scenario *const all[] = { scenarios_refs, scenarios_depot, scenarios_socket,
					       scenarios_kernel, scenarios_safe };

	run.wanted = argv + 1;
	run.n = argc - 1;
	if (wanted("litmus")) {
		bool good = litmus_run(NULL);

		printf("%s: litmus: the model shows what C11 allows, and nothing else\n",
		       good ? "ok" : "not ok");
		count(good);
	}
	if (wanted("random"))
		count(random_run(PROGRAMS, 1));
	for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		for (const struct scenario *s = all[i]; s->name; s++)
			if (wanted(s->name))
				walk(s);
	if (run.passed + run.failed == 0)
		printf("not ok: no such scenario\n");
	printf("%u passed, %u failed, 0 skipped\n", run.passed, run.failed);
	return run.failed == 0 && run.passed > 0 ? 0 : 1;
}
