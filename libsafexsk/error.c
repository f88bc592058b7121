/* SPDX-License-Identifier: BSD-2-Clause */
/* Sentences for errors, and what happens on misuse. */
#include "frame.h"
#include "harden.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static __thread char last_error[256];

static struct {
	sxsk_misuse_fn *fn;
	void *arg;
} handler;

const char *sxsk_last_error(void)
{
	return last_error;
}

int sxsk_priv_fail(int err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(last_error, sizeof(last_error), format, args);
	va_end(args);
	return -err;
}

void sxsk_set_misuse_handler(sxsk_misuse_fn *fn, void *arg)
{
	handler.fn = fn;
	handler.arg = arg;
}

uint64_t sxsk_misuse_count(void)
{
	return load_relaxed(&sxsk_priv_registry.misuses);
}

char *sxsk_priv_printable(char *text)
{
	for (char *p = text; *p; p++)
		if (*p < 0x20 || *p > 0x7e)
			*p = '?';
	return text;
}

/* One write(2), so that lines of several threads do not mix, and no stdio lock in the way. */
static void print_line(const char *function, const char *sentence)
{
	char line[512];
	int n = snprintf(line, sizeof(line), "safexsk: misuse: %s: %s", function, sentence);

	if (n > 0) {
		const size_t len = strlen(sxsk_priv_printable(line));
		ssize_t done;

		line[len] = '\n'; /* in place of the end */
		done = write(STDERR_FILENO, line, len + 1);
		(void)done; /* nobody to tell */
	}
}

void sxsk_priv_misuse(enum sxsk_misuse_kind kind, const char *function, struct sxsk_priv_pool *pool,
		      uint32_t frame, const char *format, ...)
{
	char sentence[384];
	struct sxsk_misuse m = {
		.kind = kind,
		.function = function,
		.what = sentence,
		.pool = pool ? pool->name : "?",
		.frame = frame,
	};
	va_list args;

	va_start(args, format);
	(void)vsnprintf(sentence, sizeof(sentence), format, args);
	va_end(args);
	if (pool && pool->words && frame < (1u << 20))
		m.word = frame_word(pool, frame);
	fetch_add_relaxed(&sxsk_priv_registry.misuses, 1);
	(void)sxsk_priv_fail(EINVAL, "%s: %s", function, sentence);
	if (handler.fn) {
		handler.fn(&m, handler.arg);
		return;
	}
	print_line(function, sentence);
	if (pool && frame < pool->count)
		sxsk_priv_track_tell(pool, frame, stderr);
	abort();
}

/* What a frame is now, in words. */
static const char *describe(uint64_t w, char *to, size_t size)
{
	unsigned kind = FRAME_KIND_OF(w), detail = FRAME_DETAIL(w);

	if (w == 0)
		(void)snprintf(to, size, "no frame there");
	else if (FRAME_HAS_USERS(w))
		(void)snprintf(to, size, "held by %u reference%s, %u transmission%s%s",
			       FRAME_USERS_OF(w), FRAME_USERS_OF(w) == 1 ? "" : "s", FRAME_TX_OF(w),
			       FRAME_TX_OF(w) == 1 ? "" : "s",
			       kind == KIND_USER_SUSPECT || kind == KIND_TXN_SUSPECT ? ", suspect" :
										       "");
	else if (kind == KIND_HOME && detail == HOLDER_DEPOT)
		(void)snprintf(to, size, "free, in the depot");
	else if (kind == KIND_HOME)
		(void)snprintf(to, size, "free, in stock %u", detail);
	else if (kind == KIND_FILL)
		(void)snprintf(to, size, "with the kernel for receiving on queue %u", detail);
	else if (kind == KIND_TX1)
		(void)snprintf(to, size, "being sent on queue %u", detail);
	else if (kind == KIND_QUARANTINED)
		(void)snprintf(to, size, "in quarantine");
	else if (kind == KIND_RETIRED)
		(void)snprintf(to, size, "retired");
	else
		(void)snprintf(to, size, "being sent %u times", FRAME_TX_OF(w));
	return to;
}

void sxsk_priv_misuse_buf(struct sxsk_buf b, const char *function)
{
	const struct sxsk_priv_views *v = &sxsk_priv_registry.view;
	const uint32_t count = v->count[b.pool], chunk = v->chunk[b.pool];
	uint32_t index = sxsk_buf_index(b);
	uint64_t generation = b.id >> 20, w;
	struct sxsk_priv_pool *pool;
	char state[96];

	if (sxsk_priv_pool_inherited(b.pool)) {
		sxsk_priv_misuse(
			SXSK_MISUSE_FORKED, function, NULL, index,
			"a Buf of the parent process in a forked child; fork before the pool is made");
		return;
	}
	if (b.pool > SXSK_MAX_POOLS || !sxsk_priv_registry.pool[b.pool].words) {
		sxsk_priv_misuse(SXSK_MISUSE_FORGED, function, NULL, index,
				 "forged handle: no pool was ever in slot %u", b.pool);
		return;
	}
	pool = &sxsk_priv_registry.pool[b.pool];
	if (count == 0) {
		sxsk_priv_misuse(SXSK_MISUSE_STALE, function, pool, index,
				 "stale handle: frame %u of pool \"%s\", which is gone", index,
				 pool->name);
		return;
	}
	w = frame_word(pool, index);
	(void)describe(w, state, sizeof(state));
	if (index >= count || w >> 20 < generation)
		sxsk_priv_misuse(
			SXSK_MISUSE_FORGED, function, pool, index,
			"forged handle: frame %u, generation %llu of pool \"%s\" was never given out",
			index, (unsigned long long)generation, pool->name);
	else if (w >> 20 != generation || !FRAME_HAS_USERS(w))
		sxsk_priv_misuse(
			SXSK_MISUSE_STALE, function, pool, index,
			"stale handle: frame %u of pool \"%s\": its reference of generation %llu was "
			"given back; the frame is now %s, generation %llu",
			index, pool->name, (unsigned long long)generation, state,
			(unsigned long long)(w >> 20));
	else if ((uint32_t)b.offset + b.length > chunk)
		sxsk_priv_misuse(
			SXSK_MISUSE_FORGED, function, pool, index,
			"forged handle: frame %u of pool \"%s\": bytes %u to %u of a frame of %u",
			index, pool->name, b.offset, (unsigned)b.offset + b.length, chunk);
	else
		sxsk_priv_misuse(
			SXSK_MISUSE_SHARED, function, pool, index,
			"a shared Buf cannot be changed: frame %u of pool \"%s\" is %s; use "
			"sxsk_buf_unshare() first",
			index, pool->name, state);
}

const void *sxsk_priv_misuse_data(uint64_t id, uint64_t slot, uint64_t offset, uint64_t length,
				  const char *function)
{
	struct sxsk_buf b = { .id = id,
			      .pool = (uint16_t)slot,
			      .offset = (uint16_t)offset,
			      .length = (uint16_t)length };

	if (!sxsk_buf_is_null(b))
		sxsk_priv_misuse_buf(b, function);
	return NULL;
}

int sxsk_priv_misuse_view(struct sxsk_buf *b, uint32_t n, const char *function)
{
	if (sxsk_buf_is_null(*b))
		return sxsk_priv_fail(EINVAL, "%s: null handle", function);
	if (!sxsk_priv_live(*b) || !sxsk_priv_in_chunk(*b)) {
		sxsk_priv_misuse_buf(*b, function);
		return -EINVAL;
	}
	return sxsk_priv_fail(EMSGSIZE,
			      "%s: no room for %u bytes: headroom %u, length %u, tailroom %u",
			      function, n, b->offset, b->length, sxsk_buf_tailroom(*b));
}

int sxsk_priv_options(void *to, size_t size, const void *from, const char *what)
{
	const unsigned char *bytes = from;
	size_t sz;

	memset(to, 0, size);
	if (!from)
		return 0;
	memcpy(&sz, from, sizeof(sz)); /* sz is the first field of every option struct */
	if (sz < sizeof(sz) || sz > STRUCT_MOST)
		return sxsk_priv_fail(EINVAL, "%s.sz is %zu: set it to sizeof(struct %s)", what, sz,
				      what);
	for (size_t i = size; i < sz; i++)
		if (bytes[i])
			return sxsk_priv_fail(
				EINVAL,
				"%s has an option at byte %zu that this library does not know: "
				"the program was built for a newer one",
				what, i);
	memcpy(to, from, sz < size ? sz : size);
	return 0;
}
