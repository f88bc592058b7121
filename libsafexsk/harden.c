/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The levels of hardened mode that keep something per frame: canary, history, trace, guard. Their
 * memory is mapped at the pool's creation and touched only for frames that are used.
 *
 * A frame's track is written by whoever changes its word, after the change; two threads that change
 * the word of one frame at a time may mix their entries up, which costs a line of a report.
 */
#include "harden.h"

#include "frame.h"
#include "sysfs.h"

#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#if __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#else
#define VALGRIND_MAKE_MEM_NOACCESS(at, size) ((void)(at), (void)(size), 0)
#define VALGRIND_MAKE_MEM_DEFINED(at, size) ((void)(at), (void)(size), 0)
#endif

#define EVENTS 8   /* kept per frame */
#define DEPTH 10   /* of a back-trace */
#define SAMPLE 16u /* one acquisition in so many is traced */
#define CANARY 0xa5

static const struct {
	const char *name;
	uint32_t bit;
} levels[] = {
	{ "none", 0 },
	{ "race-safe", HARDEN_RACE_SAFE },
	{ "fifo", HARDEN_FIFO },
	{ "canary", HARDEN_CANARY },
	{ "history", HARDEN_HISTORY },
	{ "trace", HARDEN_TRACE },
	{ "guard", HARDEN_GUARD },
	{ "poison", HARDEN_POISON },
};

/* AddressSanitizer's runtime, when the program was built with it; the library need not be. */
extern void __asan_poison_memory_region(const volatile void *at, size_t size) __attribute__((weak));
extern void __asan_unpoison_memory_region(const volatile void *at, size_t size)
	__attribute__((weak));

static bool poison_works(void)
{
	char byte = 0;

	/* Memcheck answers. Valgrind's other tools do not, and one that counts instructions should count
	 * those of an ordinary run. */
	return __asan_poison_memory_region != NULL || VALGRIND_MAKE_MEM_DEFINED(&byte, 1) != 0;
}

void sxsk_priv_fresh(void *at, size_t size)
{
	if (__asan_unpoison_memory_region)
		__asan_unpoison_memory_region(at, size);
}

static const char *const event_names[] = {
	[TRACK_NONE] = "",
	[TRACK_RECEIVED] = "received",
	[TRACK_ALLOCATED] = "allocated",
	[TRACK_REFERENCED] = "referenced",
	[TRACK_UNREFERENCED] = "one reference given back",
	[TRACK_FREED] = "last reference given back",
	[TRACK_SENT] = "sent",
	[TRACK_COMPLETED] = "one transmission completed",
	[TRACK_CAME_HOME] = "last transmission completed",
	[TRACK_FILLED] = "given to the kernel",
	[TRACK_LOST] = "quarantined or retired",
};

struct event {
	uint64_t ns;        /* CLOCK_MONOTONIC */
	const char *file;   /* where the program says so (SXSK_CALL_SITES), else NULL */
	const void *caller; /* return address of the public call */
	uint32_t line;
	uint32_t tid;
	uint32_t what;
};

#define EVENT_WORDS (sizeof(struct event) / sizeof(uint64_t))

/* Several threads may have a reference, and each of them something to note. Relaxed, all of it: each event has
 * a place of its own, until EVENTS others have come, and what is read may be half of one and half of another. */
struct sxsk_priv_track {
	atomic_u32 next; /* events ever */
	uint32_t depth;
	atomic_u64 event[EVENTS][EVENT_WORDS];
	void *trace[DEPTH];
};

/* ---- choosing ------------------------------------------------------------------------------------------ */

static int parse(const char *names, uint32_t by_default, uint32_t *ret_bits)
{
	const char *from = names ? "sxsk_pool_opts.harden" : "SAFEXSK_HARDEN";

	if (!names)
		names = secure_getenv("SAFEXSK_HARDEN");
	*ret_bits = names ? 0 : by_default;
	while (names && *names) {
		size_t len = strcspn(names, ", "), i;

		for (i = 0; i < sizeof(levels) / sizeof(levels[0]); i++)
			if (strlen(levels[i].name) == len &&
			    strncmp(names, levels[i].name, len) == 0)
				break;
		if (len > 0 && i == sizeof(levels) / sizeof(levels[0]))
			return sxsk_priv_fail(
				EINVAL,
				"%s: no level \"%.*s\"; there are none, race-safe, fifo, canary, "
				"history, trace, guard and poison",
				from, (int)len, names);
		if (len > 0 && levels[i].bit)
			*ret_bits |= levels[i].bit | HARDEN_RACE_SAFE;
		names += len + strspn(names + len, ", ");
	}
	return 0;
}

/* Huge pages are mapped once: the in-process kernel has no mapping of its own, where nothing is shut. */
static int check_levels(uint32_t bits, uint32_t frame_size, bool huge)
{
	if (bits & HARDEN_GUARD && (frame_size != 4096 || huge || sysconf(_SC_PAGESIZE) != 4096))
		return sxsk_priv_fail(
			EINVAL, "guard needs frames of 4096 bytes, pages of 4096 bytes and no huge "
				"pages: the processor guards whole pages");
	if (bits & HARDEN_POISON && huge)
		return sxsk_priv_fail(
			EINVAL, "poison does not work with huge pages, which can be mapped once "
				"only: do without one of them");
	if (bits & HARDEN_POISON && !poison_works())
		return sxsk_priv_fail(EOPNOTSUPP,
				      "poison needs a program built with -fsanitize=address, or "
				      "one that runs under Valgrind");
	return 0;
}

int sxsk_priv_harden_parse(const struct sxsk_pool_opts *o, uint32_t *ret_bits)
{
	const bool huge = o->flags & (SXSK_POOL_HUGE_2M | SXSK_POOL_HUGE_1G);
	const uint32_t by_default = !huge && poison_works() ? HARDEN_POISON | HARDEN_RACE_SAFE : 0;
	const int err = parse(o->harden, by_default, ret_bits);

	return err ? err : check_levels(*ret_bits, o->frame_size, huge);
}

/* mprotect() fails for want of mappings only, when the rest of the process has used up what
 * check_mappings() saw. A frame that cannot be shut stays open, and its misuse is not caught. */
static void shut(const struct sxsk_priv_pool *pool, unsigned char *at, size_t size)
{
	if (hardened(pool) & HARDEN_GUARD)
		(void)mprotect(at, size, PROT_NONE);
	if (hardened(pool) & HARDEN_POISON) {
		if (__asan_poison_memory_region)
			__asan_poison_memory_region(at, size);
		VALGRIND_MAKE_MEM_NOACCESS(at, size);
	}
}

static void open_up(const struct sxsk_priv_pool *pool, unsigned char *at, size_t size)
{
	/* To open one frame takes two mappings more; to open all takes none, and gives back what the others
	 * had. They are shut again when they are given back next. */
	if (hardened(pool) & HARDEN_GUARD && mprotect(at, size, PROT_READ | PROT_WRITE) != 0)
		(void)mprotect(pool->base, pool->size, PROT_READ | PROT_WRITE);
	if (hardened(pool) & HARDEN_POISON) {
		if (__asan_unpoison_memory_region)
			__asan_unpoison_memory_region(at, size);
		VALGRIND_MAKE_MEM_DEFINED(at, size);
	}
}

/* Each guarded frame can cost a mapping of its own. */
static int check_mappings(const struct sxsk_priv_pool *pool)
{
	const int file = open("/proc/sys/vm/max_map_count", O_RDONLY | O_CLOEXEC);
	int64_t most = file < 0 ? -1 : sxsk_priv_sysfs_number(file);

	if (file >= 0)
		close(file);
	if (most < 0)
		most = 65530; /* the kernel's default, where it does not tell */
	if (pool->count > most / 2)
		return sxsk_priv_fail(
			EINVAL,
			"guard takes at most %lld frames (half of vm.max_map_count): make the pool "
			"smaller",
			(long long)most / 2);
	return 0;
}

int sxsk_priv_harden_create(struct sxsk_priv_pool *pool)
{
	int err = 0;

	pool->track = NULL;
	pool->fifo = NULL;
	if (hardened(pool) & HARDEN_GUARD)
		err = check_mappings(pool);
	if (!err && hardened(pool) & HARDEN_FIFO)
		err = sxsk_priv_fifo_create(pool);
	if (!err && hardened(pool) & (HARDEN_HISTORY | HARDEN_TRACE)) {
		err = sxsk_priv_map(&pool->track_memory,
				    pool->count * sizeof(struct sxsk_priv_track), 0, 0,
				    "frame histories");
		pool->track = (struct sxsk_priv_track *)(void *)pool->track_memory.data;
	}
	if (!err && hardened(pool) & HARDEN_CANARY)
		memset(pool->kernel_base, CANARY, pool->size);
	if (!err)
		shut(pool, pool->base, pool->size); /* the depot has them all */
	return err;
}

void sxsk_priv_harden_destroy(struct sxsk_priv_pool *pool)
{
	if (pool->base)
		open_up(pool, pool->base,
			pool->size); /* the addresses may be somebody else's next */
	sxsk_priv_unmap(&pool->track_memory);
	pool->track = NULL;
	sxsk_priv_fifo_destroy(pool);
}

/* ---- guard and canary ---------------------------------------------------------------------------------- */

/* Through the alias: never guarded. */
static unsigned char *bytes_of(const struct sxsk_priv_pool *pool, uint32_t index)
{
	return pool->kernel_base + (size_t)index * pool->chunk;
}

static void guard(const struct sxsk_priv_pool *pool, uint32_t index, bool open)
{
	(open ? open_up : shut)(pool, pool->base + (size_t)index * pool->chunk, pool->chunk);
}

static void canary_check(struct sxsk_priv_pool *pool, uint32_t index)
{
	const unsigned char *p = bytes_of(pool, index);

	for (uint32_t i = 0; i < pool->chunk; i++)
		if (p[i] != CANARY) {
			sxsk_priv_misuse(
				SXSK_MISUSE_CORRUPT, "free frames", pool, index,
				"frame %u of pool \"%s\" was written to at byte %u after it was given back: "
				"a raw pointer was kept after unref or send",
				index, pool->name, i);
			return;
		}
}

/* What the frame's new owner may do with its bytes. */
static void memory_follows(struct sxsk_priv_pool *pool, uint32_t index, enum track_event event)
{
	bool guarded = hardened(pool) & HARDEN_TWICE, canary = hardened(pool) & HARDEN_CANARY;

	switch (event) {
	case TRACK_ALLOCATED:
	case TRACK_FILLED:
		if (canary)
			canary_check(pool, index);
		if (guarded && event == TRACK_ALLOCATED)
			guard(pool, index, true);
		break;
	case TRACK_RECEIVED:
		if (guarded)
			guard(pool, index, true);
		break;
	case TRACK_FREED:
	case TRACK_CAME_HOME:
	case TRACK_SENT:
	case TRACK_LOST:
		if (guarded && !FRAME_HAS_USERS(frame_word(pool, index)))
			guard(pool, index, false);
		if (canary && (event == TRACK_FREED || event == TRACK_CAME_HOME))
			memset(bytes_of(pool, index), CANARY, pool->chunk);
		break;
	default:
		break;
	}
}

/* ---- history and trace --------------------------------------------------------------------------------- */

/* The first return address outside of the library: who called it. */
static const void *caller(void)
{
	void *at[8];
	Dl_info self, info;
	int n = backtrace(at, 8);

	if (!dladdr((void *)(uintptr_t)&sxsk_priv_track_slow, &self))
		return NULL;
	for (int i = 1; i < n; i++)
		if (dladdr(at[i], &info) && info.dli_fbase != self.dli_fbase)
			return at[i];
	return n > 3 ? at[3] : NULL; /* linked statically: all is one object */
}

static void remember(struct sxsk_priv_track *t, enum track_event event)
{
	struct sxsk_priv_thread *self = thread_self();
	const uint32_t place = fetch_add_relaxed(&t->next, 1) % EVENTS;
	uint64_t words[EVENT_WORDS];
	struct event e = { .what = event };
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	e.ns = (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
	if (self) {
		e.tid = load_relaxed(&self->tid);
		e.file = self->file;
		e.line = self->line;
	}
	if (!e.file)
		e.caller = caller(); /* nearly all that history costs */
	memcpy(words, &e, sizeof(e));
	for (size_t i = 0; i < EVENT_WORDS; i++)
		store_relaxed(&t->event[place][i], words[i]);
}

static void sample(struct sxsk_priv_track *t)
{
	static atomic_u32 acquisitions;

	t->depth = 0;
	if (fetch_add_relaxed(&acquisitions, 1) % SAMPLE == 0)
		t->depth = (uint32_t)backtrace(t->trace, DEPTH);
}

void sxsk_priv_track_slow(struct sxsk_priv_pool *pool, uint32_t index, enum track_event event)
{
	if (hardened(pool) & (HARDEN_CANARY | HARDEN_TWICE))
		memory_follows(pool, index, event);
	if (!pool->track)
		return;
	if (hardened(pool) & HARDEN_HISTORY)
		remember(&pool->track[index], event);
	if (hardened(pool) & HARDEN_TRACE && (event == TRACK_RECEIVED || event == TRACK_ALLOCATED))
		sample(&pool->track[index]);
}

static void tell_event(const struct sxsk_priv_track *t, uint32_t number, FILE *out)
{
	uint64_t words[EVENT_WORDS];
	struct timespec ts;
	struct event event, *e = &event;
	double ago;

	for (size_t i = 0; i < EVENT_WORDS; i++)
		words[i] = load_relaxed(&t->event[number % EVENTS][i]);
	memcpy(e, words, sizeof(*e));
	if (e->what == TRACK_NONE) /* not written yet */
		return;
	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	ago = (double)ts.tv_sec + (double)ts.tv_nsec / 1e9 - (double)e->ns / 1e9;
	fprintf(out, "    %s %.6f s ago by thread %u", event_names[e->what], ago, e->tid);
	if (e->file) {
		fprintf(out, " at %s:%u\n", e->file, e->line);
	} else if (e->caller) {
		void *at = (void *)(uintptr_t)e->caller;
		char **name = backtrace_symbols(&at, 1);

		fprintf(out, " at %s\n", name ? name[0] : "?");
		free(name);
	} else {
		fprintf(out, "\n");
	}
}

void sxsk_priv_track_tell(struct sxsk_priv_pool *pool, uint32_t index, FILE *out)
{
	const struct sxsk_priv_track *t = pool->track ? &pool->track[index] : NULL;
	const uint32_t next = t ? load_relaxed(&t->next) : 0;

	if (!t || (next == 0 && t->depth == 0)) {
		if (!(hardened(pool) & HARDEN_HISTORY))
			fprintf(out, "    to learn who took it and what happened last, run with "
				     "SAFEXSK_HARDEN=history (or trace)\n");
		return;
	}
	for (uint32_t i = 0; i < EVENTS && i < next; i++)
		tell_event(t, next - 1 - i, out);
	if (t->depth) {
		char **names = backtrace_symbols(t->trace, (int)t->depth);

		fprintf(out, "    taken from:\n");
		for (uint32_t i = 0; names && i < t->depth; i++)
			fprintf(out, "      %s\n", names[i]);
		free(names);
	}
}

/* Declared in safexsk/callsite.h, whose macros are not for us. */
SXSK_API void sxsk_priv_here(const char *file, uint32_t line);

void sxsk_priv_here(const char *file, uint32_t line)
{
	struct sxsk_priv_thread *self = thread_self();

	if (self) {
		self->file = file;
		self->line = line;
	}
}
