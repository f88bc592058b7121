/* SPDX-License-Identifier: BSD-2-Clause */
/* What was found: as JSON for programs, as a table for people. */
#include "refcost.h"

#include <math.h>
#include <stdio.h>
#include <sys/utsname.h>

/* JSON has no NAN. */
static void number(FILE *out, const char *name, double value, int digits)
{
	if (isfinite(value))
		fprintf(out, ", \"%s\": %.*f", name, digits, value);
	else
		fprintf(out, ", \"%s\": null", name);
}

static void show_object(FILE *out, const struct result *r, unsigned f, unsigned b, unsigned v)
{
	const struct plan *p = &r->plan;
	const struct cell *c = result_cell(r, f, b, v);
	struct above a = result_above(r, f, b, v);

	fprintf(out,
		"{\"case\": \"%s\", \"threads\": %u, \"burst\": %u, \"frames\": %u, \"variant\": \"%s\"",
		p->of->name, p->of->threads, p->burst[b], p->frames[f], p->variant[v]->name);
	number(out, "ns_per_packet", c->median, 4);
	number(out, "ns_p25", c->p25, 4);
	number(out, "ns_p75", c->p75, 4);
	number(out, "ns_low95", c->low95, 4);
	number(out, "ns_high95", c->high95, 4);
	number(out, "ns_above_raw_list", a.ns, 4);
	number(out, "ns_above_low95", a.low95, 4);
	number(out, "ns_above_high95", a.high95, 4);
	number(out, "ns_above_low", a.low, 4);
	number(out, "ns_above_high", a.high, 4);
	number(out, "ratio_to_raw_list", a.ratio, 4);
	number(out, "ratio_without_floor", a.ratio_without_floor, 4);
	number(out, "of_arc", a.of_arc, 4);
	number(out, "rmw_per_packet", c->rmw, 5);
	number(out, "instructions_per_packet", c->instructions, 3);
	fprintf(out, ", \"samples\": %u, \"rounds\": %u}", p->rounds * c->repetitions, p->rounds);
}

static void show_objects(FILE *out, const struct result *r, const char **before)
{
	const struct plan *p = &r->plan;

	for (unsigned f = 0; f < p->frame_counts; f++)
		for (unsigned b = 0; b < p->bursts; b++)
			for (unsigned v = 0; v < p->variants; v++) {
				fputs(*before, out);
				show_object(out, r, f, b, v);
				*before = ",\n";
			}
}

void show_json(FILE *out, const struct result results[], unsigned n)
{
	const char *before = "[\n";

	if (n == 0)
		fputc('[', out);
	for (unsigned i = 0; i < n; i++)
		show_objects(out, &results[i], &before);
	fputs("\n]\n", out);
}

static void cell_text(int width, int digits, double value)
{
	if (isfinite(value))
		printf(" %*.*f", width, digits, value);
	else
		printf(" %*s", width, "-");
}

static void show_line(const struct result *r, unsigned f, unsigned b, unsigned v)
{
	const struct plan *p = &r->plan;
	const struct cell *c = result_cell(r, f, b, v);
	struct above a = result_above(r, f, b, v);

	printf("%7u %6u  %-15s", p->frames[f], p->burst[b], p->variant[v]->name);
	cell_text(7, 2, c->median);
	cell_text(7, 2, c->low95);
	cell_text(7, 2, c->high95);
	cell_text(8, 2, a.ns);
	cell_text(7, 2, a.low95);
	cell_text(7, 2, a.high95);
	cell_text(6, 2, a.ratio);
	cell_text(6, 2, a.ratio_without_floor);
	cell_text(6, 2, a.of_arc);
	cell_text(8, 1, c->instructions);
	cell_text(8, 4, c->rmw);
	putchar('\n');
}

void show_table(const struct result *r)
{
	const struct plan *p = &r->plan;

	printf("%s: %s.\n"
	       "Nanoseconds, instructions and executed read-modify-writes per packet, %u thread%s.\n"
	       "Medians of %u rounds, with their 95 %% intervals. above: raw-list, in the same round.\n"
	       "ratio: to raw-list; then with the kernel's side (floor) taken off both.\n"
	       "of arc: what is above raw-list, as a part of what arc is above it.\n\n",
	       p->of->name, p->of->what, p->of->threads, p->of->threads == 1 ? "" : "s", p->rounds);
	printf("%7s %6s  %-15s %7s %7s %7s %8s %7s %7s %6s %6s %6s %8s %8s\n", "frames", "burst",
	       "variant", "ns", "low", "high", "above", "low", "high", "ratio", "-floor", "of arc",
	       "instr", "RMW");
	for (unsigned f = 0; f < p->frame_counts; f++)
		for (unsigned b = 0; b < p->bursts; b++) {
			for (unsigned v = 0; v < p->variants; v++)
				show_line(r, f, b, v);
			putchar('\n');
		}
}

/* The processor's name, as the kernel has it. */
static void machine(char *name, int size)
{
	FILE *f = fopen("/proc/cpuinfo", "re");
	char line[256];
	int len = 0;

	snprintf(name, (size_t)size, "unknown");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "model name : %n", &len) == 0 && len > 0) {
			snprintf(name, (size_t)size, "%.*s",
				 (int)__builtin_strcspn(line + len, "\"\\\n"), line + len);
			break;
		}
	if (f)
		fclose(f);
}

void show_about(void)
{
	struct utsname u;
	char name[128];
#ifdef __clang__
	const char *compiler = "clang " __clang_version__;
#else
	const char *compiler = "gcc " __VERSION__;
#endif
#ifdef __OPTIMIZE__
	const char *optimized = "true";
#else
	const char *optimized = "false";
#endif

	machine(name, sizeof(name));
	uname(&u);
	printf("{\"machine\": \"%s\", \"arch\": \"%s\", \"kernel\": \"%s\", \"compiler\": \"%s\", "
	       "\"optimized\": %s, \"flags\": \"%s\", \"missing\": \"%s\"}\n",
	       name, u.machine, u.release, compiler, optimized, BENCH_FLAGS, bench_missing);
}
