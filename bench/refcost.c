/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * refcost: what safety costs per packet, above the same loop over libxdp with a free list.
 *
 * raw-list-again is raw-list a second time: what it shows above raw-list is what this measurement
 * cannot tell apart.
 */
#include "refcost.h"

#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define CASES_MAX 32u
/* To start another round, all cases; counting takes as long again. */
#define SECONDS 35.0
#define SECONDS_QUICK 15.0
#define SECONDS_FULL 250.0

void bench_die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("refcost: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	exit(1);
}

/* ---- what is asked for ------------------------------------------------------------------------------ */

static const char usage[] =
	"usage: refcost [OPTION...]\n"
	"What libsafexsk costs per packet above a plain libxdp loop.\n"
	"  --json             print one JSON array and nothing else\n"
	"  --output FILE      write the JSON array to a file, too\n"
	"  --quick            a tenth of the samples\n"
	"  --full             all bursts and frames of all cases\n"
	"  --case C[,C]       of receive-free (receive, swap MACs, free, refill in one thread),\n"
	"                     hand-over (receive in one thread, the rest in another),\n"
	"                     receive-transmit (receive, swap MACs, send back, reap, refill),\n"
	"                     allocate-transmit (allocate, write MACs, send, reap),\n"
	"                     fan-out-KxBYTES (give each packet to K readers),\n"
	"                     rewrite-BYTES (change a header that another reader looks at),\n"
	"                     flood-KxBYTES (send each packet to K sockets),\n"
	"                     pipeline (receive, swap MACs in another thread, send back),\n"
	"                     multi-buffer (receive-free of packets of four frames),\n"
	"                     pool-size (receive-free of pools of all sizes),\n"
	"                     hardened (receive-free on hardened pools); the start of a name\n"
	"                     means all of them (all; without --full\n"
	"                     not all numbers of K and BYTES, and not pool-size)\n"
	"  --variant V[,V]    of floor, raw, raw-list, raw-list-again, raw-list-ahead, arc, sxsk,\n"
	"                     sxsk-nolane, sxsk-single, raw-copy, sxsk-copy, mbuf (DPDK),\n"
	"                     avbuffer (FFmpeg), race-safe, fifo, history, trace, canary, guard (all)\n"
	"  --burst N[,N]      packets per burst, 1 to 256 (1,8,32,64,256; without --full, but in the\n"
	"                     first two cases: 64)\n"
	"  --frames N[,N]     frames of the pool, a multiple of 64, 512 to 1048576 (4096,65536; without\n"
	"                     --full, but in the first two cases: 4096)\n"
	"  --cpu N            CPU to run on (the last one); a second thread has another\n"
	"  --no-count         do not count instructions and read-modify-writes (valgrind)\n"
	"  --fixed N          run N packets of each cell without timing, for a profiler\n"
	"  --about            print machine, kernel and compiler\n";

enum option_code {
	OPT_JSON = 1,
	OPT_OUTPUT,
	OPT_QUICK,
	OPT_FULL,
	OPT_CASE,
	OPT_VARIANT,
	OPT_BURST,
	OPT_FRAMES,
	OPT_CPU,
	OPT_NO_COUNT,
	OPT_FIXED,
	OPT_ABOUT,
	OPT_HELP
};

struct options {
	struct plan common; /* of all cases, but for case and variants */
	const struct bench_case *cases[CASES_MAX];
	const char *variants[LIST_MAX]; /* none: all */
	unsigned case_count, variant_count;
	bool json, count, about, quick, full, cases_asked, bursts_asked, frames_asked;
	const char *output;
	uint64_t fixed;
	int cpu; /* -1: the last of those allowed */
};

static unsigned long number(const char *text, const char *what, unsigned long min,
			    unsigned long max)
{
	char *end;
	unsigned long n;

	errno = 0;
	n = strtoul(text, &end, 10);
	if (errno || end == text || *end || *text == '-' || n < min || n > max)
		bench_die("%s is '%s': use a number from %lu to %lu", what, text, min, max);
	return n;
}

/* All cases whose names start with this. */
static void add_cases(struct options *o, const char *name)
{
	unsigned before = o->case_count;

	for (const struct bench_case *c = bench_cases; c->name; c++)
		if (strncmp(c->name, name, strlen(name)) == 0) {
			if (o->case_count == CASES_MAX)
				bench_die("at most %u cases", CASES_MAX);
			o->cases[o->case_count++] = c;
		}
	if (o->case_count == before)
		bench_die("there is no case '%s', see --help", name);
}

static const char *variant_name(const char *name)
{
	for (const struct bench_case *c = bench_cases; c->name; c++)
		for (const struct variant *v = c->variants; v->name; v++)
			if (strcmp(v->name, name) == 0)
				return v->name;
	bench_die("there is no variant '%s', see --help", name);
}

static void list_item(struct options *o, enum option_code what, const char *word, unsigned n)
{
	switch (what) {
	case OPT_CASE:
		if (n == 0)
			o->case_count = 0;
		o->cases_asked = true;
		add_cases(o, word);
		break;
	case OPT_VARIANT:
		o->variants[n] = variant_name(word);
		o->variant_count = n + 1;
		break;
	case OPT_BURST:
		o->common.burst[n] = (unsigned)number(word, "--burst", 1, BURST_MAX);
		o->common.bursts = n + 1;
		o->bursts_asked = true;
		break;
	default:
		o->common.frames[n] = (uint32_t)number(word, "--frames", 512, 1 << 20) & ~63u;
		o->common.frame_counts = n + 1;
		o->frames_asked = true;
	}
}

/* Split at commas. */
static void list(struct options *o, enum option_code what, char *text)
{
	const unsigned max = what == OPT_CASE ? CASES_MAX : LIST_MAX;
	unsigned n = 0;
	char *rest;

	for (char *word = strtok_r(text, ",", &rest); word;
	     word = strtok_r(NULL, ",", &rest), n++) {
		if (n == max)
			bench_die("at most %u values in this list", max);
		list_item(o, what, word, n);
	}
	if (n == 0)
		bench_die("an empty list");
}

static struct options defaults(void)
{
	struct options o = {
		.common = { .burst = { 1, 8, 32, 64, 256 },
			    .bursts = 5,
			    .frames = { 4096, 65536 },
			    .frame_counts = 2,
			    .rounds = 40,
			    .repetitions = 16,
			    .packets = 1 << 15 },
		.count = true,
		.cpu = -1,
	};

	while (bench_cases[o.case_count].name) {
		o.cases[o.case_count] = &bench_cases[o.case_count];
		o.case_count++;
	}
	return o;
}

static struct options parse(int argc, char *argv[])
{
	static const struct option long_options[] = {
		{ "json", 0, NULL, OPT_JSON },         { "output", 1, NULL, OPT_OUTPUT },
		{ "quick", 0, NULL, OPT_QUICK },       { "full", 0, NULL, OPT_FULL },
		{ "case", 1, NULL, OPT_CASE },         { "cpu", 1, NULL, OPT_CPU },
		{ "variant", 1, NULL, OPT_VARIANT },   { "fixed", 1, NULL, OPT_FIXED },
		{ "burst", 1, NULL, OPT_BURST },       { "about", 0, NULL, OPT_ABOUT },
		{ "frames", 1, NULL, OPT_FRAMES },     { "help", 0, NULL, OPT_HELP },
		{ "no-count", 0, NULL, OPT_NO_COUNT }, { NULL, 0, NULL, 0 },
	};
	struct options o = defaults();
	int code;

	while ((code = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		switch (code) {
		case OPT_JSON:
			o.json = true;
			break;
		case OPT_OUTPUT:
			o.output = optarg;
			break;
		case OPT_QUICK:
			o.quick = true;
			o.common.rounds = 8;
			o.common.repetitions = 8;
			o.common.packets = 1 << 13;
			break;
		case OPT_FULL:
			o.full = true;
			break;
		case OPT_CASE:
		case OPT_VARIANT:
		case OPT_BURST:
		case OPT_FRAMES:
			list(&o, (enum option_code)code, optarg);
			break;
		case OPT_CPU:
			o.cpu = (int)number(optarg, "--cpu", 0, CPU_SETSIZE - 1);
			break;
		case OPT_NO_COUNT:
			o.count = false;
			break;
		case OPT_FIXED:
			o.fixed = number(optarg, "--fixed", 1, 1ul << 31);
			break;
		case OPT_ABOUT:
			o.about = true;
			break;
		case OPT_HELP:
			fputs(usage, stdout);
			exit(0);
		default:
			fputs(usage, stderr);
			exit(1);
		}
	}
	if (optind < argc)
		bench_die("'%s' is no option, see --help", argv[optind]);
	return o;
}

static bool wanted(const struct options *o, const struct variant *v)
{
	for (unsigned i = 0; i < o->variant_count; i++)
		if (strcmp(o->variants[i], v->name) == 0)
			return true;
	return o->variant_count == 0 && (o->full || !v->peer);
}

static void one_cell(struct plan *p, const struct options *o, const struct bench_case *c)
{
	if (c->burst && !o->bursts_asked) {
		p->burst[0] = c->burst;
		p->bursts = 1;
	}
	if (c->frames && !o->frames_asked) {
		p->frames[0] = c->frames;
		p->frame_counts = 1;
	}
}

static void all_cells(struct plan *p, const struct options *o, const struct bench_case *c)
{
	if (!c->full_frames || o->frames_asked)
		return;
	for (p->frame_counts = 0; c->full_frames[p->frame_counts]; p->frame_counts++)
		p->frames[p->frame_counts] = c->full_frames[p->frame_counts];
}

static void drop_small_bursts(struct plan *p, unsigned min)
{
	unsigned n = 0;

	for (unsigned i = 0; i < p->bursts; i++)
		if (p->burst[i] >= min)
			p->burst[n++] = p->burst[i];
	p->bursts = n;
}

static struct plan plan_case(const struct options *o, const struct bench_case *c)
{
	struct plan p = o->common;

	p.of = c;
	if (o->full && !c->one_cell)
		all_cells(&p, o, c);
	else
		one_cell(&p, o, c);
	drop_small_bursts(&p, c->burst_min);
	if (c->repetitions && c->repetitions < p.repetitions)
		p.repetitions = c->repetitions;
	if (c->packets && c->packets < p.packets)
		p.packets = c->packets;
	for (const struct variant *v = c->variants; v->name; v++)
		if (v->open && wanted(o, v))
			p.variant[p.variants++] = v;
	return p;
}

/* Each case gets time as it has work. */
static unsigned plan_all(const struct options *o, struct plan plans[CASES_MAX])
{
	double seconds = o->full ? SECONDS_FULL : o->quick ? SECONDS_QUICK : SECONDS, all = 0;
	unsigned n = 0;

	for (unsigned i = 0; i < o->case_count; i++) {
		struct plan p = plan_case(o, o->cases[i]);

		if (o->cases[i]->only_full && !o->full && !o->cases_asked)
			continue;
		if (p.variants == 0 || p.bursts == 0)
			continue;
		p.seconds = p.variants * p.bursts * p.frame_counts;
		all += p.seconds;
		plans[n++] = p;
	}
	for (unsigned i = n; i-- > 0;) {
		plans[i].seconds *= seconds / all;
		if (i > 0)
			plans[i - 1].seconds_after = plans[i].seconds_after + plans[i].seconds;
	}
	return n;
}

/* ---- where it runs, what it shows ------------------------------------------------------------------- */

/* Each thread keeps to one CPU: the last one allowed, by default, since interrupts tend to go to the
 * first; and the first other one. */
static void pin(const cpu_set_t *allowed, int cpu, bool sleep)
{
	int other = -1;
	cpu_set_t set;

	for (unsigned i = CPU_SETSIZE; i-- > 0 && cpu < 0;)
		if (CPU_ISSET(i, allowed))
			cpu = (int)i;
	for (unsigned i = 0; i < CPU_SETSIZE && other < 0; i++)
		if (CPU_ISSET(i, allowed) && (int)i != cpu)
			other = (int)i;
	CPU_ZERO(&set);
	CPU_SET((unsigned)cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) != 0)
		bench_die("cannot run on CPU %d: %s", cpu, strerror(errno));
	partner_place(other, sleep || other < 0);
}

static int show(const struct options *o, const struct result results[], unsigned n)
{
	if (o->output) {
		FILE *f = fopen(o->output, "we");

		if (!f)
			bench_die("%s: %s", o->output, strerror(errno));
		show_json(f, results, n);
		if (fclose(f) != 0)
			bench_die("%s: %s", o->output, strerror(errno));
	}
	if (o->json)
		show_json(stdout, results, n);
	else
		for (unsigned i = 0; i < n; i++)
			show_table(&results[i]);
	return fflush(stdout) == 0 ? 0 : 1;
}

int main(int argc, char *argv[])
{
	const struct options o = parse(argc, argv);
	struct plan plans[CASES_MAX];
	struct result results[CASES_MAX];
	unsigned n = 0;
	cpu_set_t all;

	if (o.about) {
		show_about();
		return 0;
	}
	if (sched_getaffinity(0, sizeof(all), &all) != 0)
		bench_die("sched_getaffinity: %s", strerror(errno));
	/* Under a profiler that runs one thread at a time, all that comes of looking again is counted. */
	pin(&all, o.cpu, o.fixed != 0);
	srandom(1);
	n = plan_all(&o, plans);
	if (*bench_missing && !o.fixed)
		fprintf(stderr, "refcost: left out: %s\n", bench_missing);
	for (unsigned i = 0; i < n; i++)
		if (o.fixed) {
			run_fixed(&plans[i], o.fixed);
		} else {
			check_work(&plans[i]);
			results[i] = run_timed(&plans[i]);
		}
	if (o.fixed)
		return 0;
	run_progress_end();
	/* Only now, with all CPUs again: nothing else runs while times are taken. */
	(void)sched_setaffinity(0, sizeof(all), &all);
	if (o.count)
		(void)count_executed(results, n);
	return show(&o, results, n);
}
