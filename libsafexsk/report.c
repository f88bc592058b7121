/* SPDX-License-Identifier: BSD-2-Clause */
/* Who holds what: counts, the report, drain. All walk the frame table; exact at rest. */
#include "clock.h"
#include "frame.h"
#include "half.h"
#include "harden.h"

#include <errno.h>
#include <string.h>
#include <time.h>

/* Which column of the account a word belongs to. */
static uint64_t *column(struct sxsk_pool_stats *st, uint64_t w)
{
	if (w == 0)
		return NULL;
	if (FRAME_HAS_USERS(w))
		return &st->user;
	switch (FRAME_KIND_OF(w)) {
	case KIND_HOME:
		return FRAME_DETAIL(w) == HOLDER_DEPOT ? &st->depot : &st->lanes;
	case KIND_FILL:
		return &st->fill;
	case KIND_QUARANTINED:
		return &st->quarantined;
	case KIND_RETIRED:
		return &st->retired;
	case KIND_TX1:
	case KIND_TXN:
	case KIND_TXN_SUSPECT:
		return &st->tx;
	default:
		return NULL;
	}
}

static void count(struct sxsk_priv_pool *pool, struct sxsk_pool_stats *st)
{
	uint64_t units = load_relaxed(&pool->units);

	memset(st, 0, sizeof(*st));
	st->total = pool->count;
	st->owners = UNITS_OWNERS(units);
	st->sockets = UNITS_SOCKETS(units);
	st->page_size = pool->memory.page;
	for (uint32_t i = 0; i < pool->count; i++) {
		uint64_t *c = column(st, frame_word(pool, i));

		if (c)
			(*c)++;
	}
}

static uint64_t accounted(const struct sxsk_pool_stats *st)
{
	return st->user + st->lanes + st->depot + st->fill + st->tx + st->quarantined + st->retired;
}

/* The caller's struct, of which so many bytes are written. */
static bool sound_size(size_t sz, const char *function)
{
	if (sz >= sizeof(sz) && sz <= STRUCT_MOST)
		return true;
	sxsk_priv_misuse(SXSK_MISUSE_ARGUMENT, function, NULL, UINT32_MAX,
			 "ret_stats->sz is %zu: set it to sizeof(struct %s)", sz, function);
	return false;
}

void sxsk_pool_stats(struct sxsk_pool *cookie, struct sxsk_pool_stats *ret_stats)
{
	struct sxsk_priv_pool *pool = sxsk_priv_pool_of(cookie, "sxsk_pool_stats");
	struct sxsk_pool_stats st = { 0 };
	size_t sz = ret_stats->sz;

	if (!sound_size(sz, "sxsk_pool_stats"))
		return;
	if (pool)
		count(pool, &st);
	st.sz = sz;
	memset(ret_stats, 0, sz);
	memcpy(ret_stats, &st, sz < sizeof(st) ? sz : sizeof(st));
}

#define REPORT_FRAMES 8

static void list_held(struct sxsk_priv_pool *pool, FILE *out)
{
	uint32_t listed = 0;

	for (uint32_t i = 0; i < pool->count; i++) {
		uint64_t w = frame_word(pool, i);

		if (!FRAME_HAS_USERS(w))
			continue;
		if (listed++ >= REPORT_FRAMES)
			continue;
		fprintf(out,
			"  frame %u: held by %u reference%s, %u transmission%s%s, generation %llu\n",
			i, FRAME_USERS_OF(w), FRAME_USERS_OF(w) == 1 ? "" : "s", FRAME_TX_OF(w),
			FRAME_TX_OF(w) == 1 ? "" : "s",
			FRAME_KIND_OF(w) >= KIND_USER_SUSPECT ? ", suspect" : "",
			(unsigned long long)(w >> 20));
		sxsk_priv_track_tell(pool, i, out);
	}
	if (listed > REPORT_FRAMES)
		fprintf(out, "  ... and %u more held frames\n", listed - REPORT_FRAMES);
}

int sxsk_pool_report(struct sxsk_pool *cookie, FILE *out)
{
	struct sxsk_priv_pool *pool = sxsk_priv_pool_of(cookie, "sxsk_pool_report");
	struct sxsk_pool_stats st;
	char name[sizeof(pool->name)];
	int missing;

	if (!pool)
		return -EINVAL;
	memcpy(name, pool->name, sizeof(name));
	count(pool, &st);
	missing = (int)(st.total - accounted(&st));
	fprintf(out,
		"pool \"%s\": %llu frames of %u bytes: user %llu, lanes %llu, depot %llu, fill %llu, tx %llu, "
		"quarantined %llu, retired %llu; %llu owners, %llu sockets; %d not accounted for\n",
		sxsk_priv_printable(name), (unsigned long long)st.total, pool->chunk,
		(unsigned long long)st.user, (unsigned long long)st.lanes,
		(unsigned long long)st.depot, (unsigned long long)st.fill,
		(unsigned long long)st.tx, (unsigned long long)st.quarantined,
		(unsigned long long)st.retired, (unsigned long long)st.owners,
		(unsigned long long)st.sockets, missing);
	if (st.user)
		list_held(pool, out);
	return missing;
}

/* ---- drain -------------------------------------------------------------------------------------------- */

/* The TX halves of this pool that the calling thread used last: kick and reap. */
static void reap_own(uint64_t pool_cookie, struct sxsk_priv_thread *t)
{
	for (uint32_t i = sxsk_priv_sockets_used(); i > 0; i--) {
		struct sxsk_priv_socket *s = &sxsk_priv_registry.socket[i];
		uint64_t cookie = load_acquire(&s->cookie);

		if (cookie != 0 && load_acquire(&s->state) == SOCKET_OPEN &&
		    load_relaxed(&s->pool_cookie) == pool_cookie)
			(void)sxsk_priv_tend_own(s, cookie, t, &s->tx.stock, true);
	}
}

int sxsk_pool_drain(struct sxsk_pool *cookie, int timeout_ms)
{
	struct sxsk_priv_pool *pool = sxsk_priv_pool_of(cookie, "sxsk_pool_drain");
	struct sxsk_priv_thread *t = thread_self();
	struct timespec pause = { .tv_nsec = 100000 };
	int64_t end = deadline(timeout_ms);
	struct sxsk_pool_stats st;

	if (!pool || !t)
		return pool ? -ENOMEM : -EINVAL;
	for (;;) {
		reap_own((uint64_t)(uintptr_t)cookie, t);
		sxsk_priv_quarantine_sweep();
		count(pool, &st);
		if (st.user == 0 && st.tx == 0)
			return 0;
		if (timeout_ms >= 0 && ms_left(end) == 0)
			return sxsk_priv_fail(
				ETIMEDOUT, "pool \"%s\": %llu frames in Bufs, %llu in transmission",
				pool->name, (unsigned long long)st.user, (unsigned long long)st.tx);
		(void)nanosleep(&pause, NULL);
		if (pause.tv_nsec < 5000000)
			pause.tv_nsec *= 2;
	}
}

/* ---- socket ------------------------------------------------------------------------------------------- */

static void copy_counters(struct sxsk_priv_socket *s, struct sxsk_socket_stats *st)
{
#define COPY(name) st->name = load_relaxed(&s->name);
	SXSK_SOCKET_COUNTERS(COPY)
#undef COPY
	st->poisoned = load_relaxed(&s->failed) == EPROTO;
}

/* A socket that is being closed shows nothing any more. */
static void look_at_socket(struct sxsk_priv_socket *s, uint64_t cookie, struct sxsk_priv_thread *t,
			   struct sxsk_socket_stats *st)
{
	if (!socket_visit(s, cookie, t)) {
		(void)sxsk_priv_half_refused(s, cookie, 0, "sxsk_socket_stats");
		return;
	}
	(void)snprintf(st->ifname, sizeof(st->ifname), "%.15s", s->q->device.name);
	st->ifindex = s->q->device.ifindex;
	st->queue = s->q->device.queue;
	st->mode = s->mode;
	st->attach = s->attach;
	st->multi_buffer = (s->flags & SXSK_SOCKET_MULTI_BUFFER) != 0;
	st->napi_id = s->device->napi_id ? s->device->napi_id(s) : 0;
	copy_counters(s, st);
	s->device->stats(s, &st->kernel);
	socket_leave(t);
}

void sxsk_socket_stats(struct sxsk_socket *socket, struct sxsk_socket_stats *ret_stats)
{
	struct sxsk_priv_thread *t = thread_self();
	struct sxsk_priv_socket *s = sxsk_priv_socket_of(socket, "sxsk_socket_stats");
	struct sxsk_socket_stats st = { 0 };
	size_t sz = ret_stats->sz;

	if (!sound_size(sz, "sxsk_socket_stats"))
		return;
	if (s && t)
		look_at_socket(s, (uint64_t)(uintptr_t)socket, t, &st);
	st.sz = sz;
	memset(ret_stats, 0, sz);
	memcpy(ret_stats, &st, sz < sizeof(st) ? sz : sizeof(st));
}

const char *sxsk_mode_name(uint32_t mode)
{
	static const char *const names[] = { "auto", "copy", "zero-copy" };

	return mode < sizeof(names) / sizeof(names[0]) ? names[mode] : "?";
}

const char *sxsk_attach_name(uint32_t attach)
{
	static const char *const names[] = { "auto", "native", "skb", "dispatcher", "none" };

	return attach < sizeof(names) / sizeof(names[0]) ? names[attach] : "?";
}

int sxsk_pool_settle(struct sxsk_pool *pool, int timeout_ms, FILE *out)
{
	struct sxsk_pool_stats st = { .sz = sizeof(st) };
	int left = sxsk_pool_drain(pool, timeout_ms);

	if (left == 0 || left == -ETIMEDOUT) /* else misuse, which was told */
		left = sxsk_pool_report(pool, out);
	if (left < 0)
		return left;
	sxsk_pool_stats(pool, &st);
	left += (int)(st.user + st.tx);
	if (left == 0)
		fprintf(out, "every frame accounted for\n");
	else
		fprintf(out,
			"NOT every frame is accounted for: %llu held in Bufs, %llu in transmission\n",
			(unsigned long long)st.user, (unsigned long long)st.tx);
	return left;
}

static int error_of(struct sxsk_priv_socket *s)
{
	uint32_t failed = load_relaxed(&s->failed);

	if (failed == EPROTO)
		return sxsk_priv_fail(
			EPROTO, "%s: the kernel side broke the ring protocol; close the socket",
			s->q->device.name);
	if (failed)
		return sxsk_priv_fail((int)failed, "%s: interface removed", s->q->device.name);
	return s->device->error(s);
}

int sxsk_socket_error(struct sxsk_socket *socket)
{
	struct sxsk_priv_thread *t = thread_self();
	struct sxsk_priv_socket *s = sxsk_priv_socket_of(socket, "sxsk_socket_error");
	uint64_t cookie = (uint64_t)(uintptr_t)socket;
	int err;

	if (!s || !t)
		return -EBADF;
	if (!socket_visit(s, cookie, t))
		return sxsk_priv_half_refused(s, cookie, 0, "sxsk_socket_error");
	err = error_of(s);
	socket_leave(t);
	return err;
}
