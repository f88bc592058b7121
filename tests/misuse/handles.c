/* SPDX-License-Identifier: BSD-2-Clause */
/* What one can do wrong with a handle. */
#include "misuse.h"

#include <string.h>

/* ---- stale: after unref ------------------------------------------------------------------------------- */

static struct sxsk_buf given_back(struct stage *st)
{
	struct sxsk_buf b = take(st->pool), copy = b;

	sxsk_buf_unref(&b);
	return copy;
}

static bool read_after_unref(struct stage *st)
{
	return sxsk_buf_data(given_back(st)) == NULL && no_frame_lost(st->pool, 0);
}

static bool write_after_unref(struct stage *st)
{
	return sxsk_buf_data_mut(given_back(st)) == NULL && no_frame_lost(st->pool, 0);
}

static bool send_after_unref(struct stage *st)
{
	struct sxsk_buf b = given_back(st);

	return sxsk_tx_burst(st->a, &b, 1) == 1 && sxsk_buf_is_null(b) &&
	       no_frame_lost(st->pool, 0);
}

static bool ref_after_unref(struct stage *st)
{
	return sxsk_buf_is_null(sxsk_buf_ref(given_back(st))) && no_frame_lost(st->pool, 0);
}

static bool unref_after_unref(struct stage *st)
{
	struct sxsk_buf b = given_back(st);

	sxsk_buf_unref(&b);
	return no_frame_lost(st->pool, 0);
}

static bool push_after_unref(struct stage *st)
{
	struct sxsk_buf b = given_back(st);

	return sxsk_buf_push(&b, 1) < 0;
}

static bool copy_after_unref(struct stage *st)
{
	struct sxsk_buf c;

	return sxsk_buf_copy(st->pool, given_back(st), &c) < 0 && no_frame_lost(st->pool, 0);
}

static bool unshare_after_unref(struct stage *st)
{
	struct sxsk_buf b = given_back(st);

	return sxsk_buf_unshare(&b) < 0 && no_frame_lost(st->pool, 0);
}

static bool user_after_unref(struct stage *st)
{
	return sxsk_buf_user(given_back(st)) == NULL;
}

/* ---- stale: after reuse, death, in a new pool --------------------------------------------------------- */

/* The frame has a new owner; its index is the old one's. */
static struct sxsk_buf reused(struct stage *st, struct sxsk_buf *ret_new)
{
	struct sxsk_buf old = given_back(st), all[256];
	unsigned n = sxsk_pool_alloc(st->pool, all, 256);

	*ret_new = (struct sxsk_buf){ 0 };
	for (unsigned i = 0; i < n; i++)
		if (sxsk_buf_index(all[i]) == sxsk_buf_index(old))
			*ret_new = all[i];
		else
			sxsk_buf_unref(&all[i]);
	MUST(!sxsk_buf_is_null(*ret_new));
	return old;
}

static bool read_after_reuse(struct stage *st)
{
	struct sxsk_buf now, old = reused(st, &now);

	return sxsk_buf_data(old) == NULL && sxsk_buf_data(now) != NULL;
}

static bool unref_after_reuse(struct stage *st)
{
	struct sxsk_buf now, old = reused(st, &now);

	sxsk_buf_unref(&old);
	return sxsk_buf_data_mut(now) != NULL && no_frame_lost(st->pool, 1);
}

static bool send_after_reuse(struct stage *st)
{
	struct sxsk_buf now, old = reused(st, &now);

	return sxsk_tx_burst(st->a, &old, 1) == 1 && sxsk_buf_data_mut(now) != NULL &&
	       no_frame_lost(st->pool, 1);
}

static struct sxsk_buf of_dead_pool(struct stage *st)
{
	struct sxsk_buf b = take(st->pool), copy = b;

	sxsk_socket_close(st->a);
	sxsk_pool_unref(st->pool);
	sxsk_buf_unref(&b);
	return copy;
}

static bool read_after_pool_death(struct stage *st)
{
	return sxsk_buf_data(of_dead_pool(st)) == NULL;
}

static bool unref_after_pool_death(struct stage *st)
{
	struct sxsk_buf b = of_dead_pool(st);

	sxsk_buf_unref(&b);
	return true;
}

static bool ref_after_pool_death(struct stage *st)
{
	return sxsk_buf_is_null(sxsk_buf_ref(of_dead_pool(st)));
}

static struct sxsk_pool *new_pool_in(struct sxsk_buf old)
{
	struct sxsk_pool_opts o = { .sz = sizeof(o), .frame_count = 256 };
	struct sxsk_pool *pool;
	struct sxsk_buf b;

	MUST(sxsk_pool_create(&pool, &o) == 0);
	b = take(pool);
	MUST(b.pool == old.pool); /* the same slot */
	sxsk_buf_unref(&b);
	return pool;
}

static bool read_in_new_pool(struct stage *st)
{
	struct sxsk_buf old = of_dead_pool(st);
	struct sxsk_pool *pool = new_pool_in(old);

	return sxsk_buf_data(old) == NULL && no_frame_lost(pool, 0);
}

static bool unref_in_new_pool(struct stage *st)
{
	struct sxsk_buf old = of_dead_pool(st);
	struct sxsk_pool *pool = new_pool_in(old);

	sxsk_buf_unref(&old);
	return no_frame_lost(pool, 0);
}

/* ---- double ------------------------------------------------------------------------------------------------ */

static bool double_unref_in_burst(struct stage *st)
{
	struct sxsk_buf b = take(st->pool), bufs[2] = { b, b };

	sxsk_buf_unref_burst(bufs, 2);
	return no_frame_lost(st->pool, 0);
}

static bool double_unref_in_lane(struct stage *st)
{
	struct sxsk_buf b = take(st->pool), bufs[2] = { b, b };

	MUST(sxsk_lane_attach(st->pool) == 0);
	sxsk_buf_unref_burst(bufs, 2);
	return no_frame_lost(st->pool, 0);
}

static bool unref_burst_twice(struct stage *st)
{
	struct sxsk_buf bufs[8];

	MUST(sxsk_pool_alloc(st->pool, bufs, 8) == 8);
	sxsk_buf_unref_burst(bufs, 8);
	sxsk_buf_unref_burst(bufs, 8);
	return no_frame_lost(st->pool, 0);
}

static bool third_unref_of_two(struct stage *st)
{
	struct sxsk_buf b = take(st->pool), c = sxsk_buf_ref(b), copy = b;

	sxsk_buf_unref(&b);
	sxsk_buf_unref(&c);
	sxsk_buf_unref(&copy);
	return no_frame_lost(st->pool, 0);
}

static bool send_twice(struct stage *st)
{
	struct sxsk_buf b = take(st->pool), copy = b;

	send_one(st->a, b);
	return sxsk_tx_burst(st->a, &copy, 1) == 1 && no_frame_lost(st->pool, 0);
}

static bool send_twice_in_burst(struct stage *st)
{
	struct sxsk_buf b = take(st->pool), bufs[2] = { b, b };

	return sxsk_tx_burst(st->a, bufs, 2) == 2 && sxsk_tx_burst(st->a, NULL, 0) == 0 &&
	       no_frame_lost(st->pool, 0);
}

/* ---- after send -------------------------------------------------------------------------------------------- */

static bool read_after_send(struct stage *st)
{
	struct sxsk_buf b = take(st->pool);

	send_one(st->a, b);
	return sxsk_buf_data(b) == NULL;
}

static bool write_after_send(struct stage *st)
{
	struct sxsk_buf b = take(st->pool);

	MUST(sxsk_tx_burst(st->a, &b, 1) == 1);
	return sxsk_buf_data_mut(b) == NULL;
}

static bool unref_after_send(struct stage *st)
{
	struct sxsk_buf b = take(st->pool);

	send_one(st->a, b);
	sxsk_buf_unref(&b);
	return no_frame_lost(st->pool, 0);
}

/* ---- shared ------------------------------------------------------------------------------------------------- */

static bool write_to_clone(struct stage *st)
{
	struct sxsk_buf b = take(st->pool), c = sxsk_buf_ref(b);

	return sxsk_buf_data(c) != NULL && sxsk_buf_data_mut(c) == NULL &&
	       no_frame_lost(st->pool, 1);
}

static bool write_while_sent(struct stage *st)
{
	struct sxsk_buf b = take(st->pool), c = sxsk_buf_ref(b);

	MUST(sxsk_tx_burst(st->a, &b, 1) == 1); /* its completion is not reaped yet */
	return sxsk_buf_data_mut(c) == NULL && sxsk_buf_data(c) != NULL;
}

static bool metadata_on_shared(struct stage *st)
{
	struct sxsk_buf b = take(st->pool), c = sxsk_buf_ref(b);

	return sxsk_buf_user_mut(c) == NULL && sxsk_buf_user(c) != NULL;
}

/* ---- forged -------------------------------------------------------------------------------------------------- */

static bool nothing_from(struct sxsk_buf b)
{
	return sxsk_buf_data(b) == NULL && sxsk_buf_data_mut(b) == NULL &&
	       sxsk_buf_is_null(sxsk_buf_ref(b));
}

static bool forged_generation(struct stage *st)
{
	struct sxsk_buf b = take(st->pool);

	b.id += 5ull << 20;
	return nothing_from(b) && no_frame_lost(st->pool, 1);
}

static bool forged_index(struct stage *st)
{
	struct sxsk_buf b = take(st->pool);

	b.id ^= 1ull << 7;
	return nothing_from(b) && no_frame_lost(st->pool, 1);
}

static bool forged_index_past_end(struct stage *st)
{
	struct sxsk_buf b = take(st->pool);

	b.id |= 0xfffff;
	return nothing_from(b) && no_frame_lost(st->pool, 1);
}

static bool forged_slot(struct stage *st)
{
	struct sxsk_buf b = take(st->pool);
	bool ok = true;

	for (unsigned bit = 2; bit < 16; bit++) {
		struct sxsk_buf f = b;

		f.pool = (uint16_t)(f.pool ^ 1u << bit);
		ok = nothing_from(f) && ok;
		sxsk_buf_unref(&f);
	}
	return ok && no_frame_lost(st->pool, 1);
}

static bool forged_view(struct stage *st)
{
	struct sxsk_buf b = take(st->pool);

	b.offset = 4090;
	return sxsk_buf_data(b) == NULL && sxsk_buf_data_mut(b) == NULL;
}

static bool length_past_frame_sent(struct stage *st)
{
	struct sxsk_buf b = take(st->pool);

	b.length = 4096;
	return sxsk_tx_burst(st->a, &b, 1) == 1 && sxsk_buf_is_null(b);
}

static bool random_bits(struct stage *st)
{
	uint64_t x = 88172645463325252ull;

	(void)st;
	for (int i = 0; i < 20000; i++) {
		struct sxsk_buf b;

		x ^= x << 13, x ^= x >> 7, x ^= x << 17;
		memcpy(&b, &(uint64_t[2]){ x, x * 2685821657736338717ull }, sizeof(b));
		if (sxsk_buf_data(b) || sxsk_buf_data_mut(b) || !sxsk_buf_is_null(sxsk_buf_ref(b)))
			return false;
		sxsk_buf_unref(&b);
	}
	return no_frame_lost(st->pool, 0);
}

/* ---- refused without the handler --------------------------------------------------------------------------- */

static bool length_past_frame_put(struct stage *st)
{
	struct sxsk_buf b = take(st->pool), before = b;

	return sxsk_buf_put(&b, 4096) < 0 && sxsk_buf_push(&b, 4096) < 0 &&
	       sxsk_buf_pull(&b, 65) < 0 && sxsk_buf_trim(&b, 4097) < 0 &&
	       memcmp(&b, &before, sizeof(b)) == 0;
}

static bool handle_of_other_pool(struct stage *st)
{
	struct sxsk_buf b = take(st->other_pool);
	struct sxsk_socket_stats s = { .sz = sizeof(s) };
	bool ok = sxsk_tx_burst(st->a, &b, 1) == 1;

	sxsk_socket_stats(st->a, &s);
	return ok && s.drop_pool == 1 && s.tx_packets == 0 && no_frame_lost(st->other_pool, 0);
}

static bool empty_packet(struct stage *st)
{
	struct sxsk_buf b;
	struct sxsk_socket_stats s = { .sz = sizeof(s) };

	MUST(sxsk_pool_alloc(st->pool, &b, 1) == 1);
	if (sxsk_tx_burst(st->a, &b, 1) != 1)
		return false;
	sxsk_socket_stats(st->a, &s);
	return s.drop_short == 1 && s.tx_packets == 0 && no_frame_lost(st->pool, 0);
}

static bool null_handle(struct stage *st)
{
	struct sxsk_buf b = { 0 };

	sxsk_buf_unref(&b);
	return !sxsk_buf_data(b) && !sxsk_buf_data_mut(b) && sxsk_buf_is_null(sxsk_buf_ref(b)) &&
	       sxsk_tx_burst(st->a, &b, 1) == 1;
}

static bool references_past_limit(struct stage *st)
{
	struct sxsk_buf b = take(st->pool);

	for (int i = 1; i < SXSK_MAX_REFS; i++)
		MUST(!sxsk_buf_is_null(sxsk_buf_ref(b)));
	return sxsk_buf_is_null(sxsk_buf_ref(b)) && sxsk_buf_data(b) != NULL;
}

#define STALE (KIND(STALE) | KIND(DOUBLE))

const struct row handle_rows[] = {
	{ "read after unref", ALWAYS, NULL, STALE, read_after_unref },
	{ "write after unref", ALWAYS, NULL, STALE, write_after_unref },
	{ "send after unref", ALWAYS, NULL, STALE, send_after_unref },
	{ "ref after unref", ALWAYS, NULL, STALE, ref_after_unref },
	{ "unref after unref, through a copy", ALWAYS, NULL, STALE, unref_after_unref },
	{ "push after unref", ALWAYS, NULL, STALE, push_after_unref },
	{ "copy after unref", ALWAYS, NULL, STALE, copy_after_unref },
	{ "unshare after unref", ALWAYS, NULL, STALE, unshare_after_unref },
	{ "user area after unref", ALWAYS, NULL, STALE, user_after_unref },
	{ "read after the frame's reuse", ALWAYS, NULL, STALE, read_after_reuse },
	{ "unref after the frame's reuse", ALWAYS, NULL, STALE, unref_after_reuse },
	{ "send after the frame's reuse", ALWAYS, NULL, STALE, send_after_reuse },
	{ "read after the pool's death", ALWAYS, NULL, STALE, read_after_pool_death },
	{ "unref after the pool's death", ALWAYS, NULL, STALE, unref_after_pool_death },
	{ "ref after the pool's death", ALWAYS, NULL, STALE, ref_after_pool_death },
	{ "read in a new pool in the same slot", ALWAYS, NULL, STALE, read_in_new_pool },
	{ "unref in a new pool in the same slot", ALWAYS, NULL, STALE, unref_in_new_pool },
	{ "one handle twice in an unref burst", ALWAYS, NULL, STALE, double_unref_in_burst },
	{ "one handle twice in an unref burst, with a lane", ALWAYS, NULL, STALE,
	  double_unref_in_lane },
	{ "an unref burst twice", ALWAYS, NULL, STALE, unref_burst_twice },
	{ "a third unref of two references", ALWAYS, NULL, STALE, third_unref_of_two },
	{ "send twice", ALWAYS, NULL, STALE, send_twice },
	{ "one handle twice in a send burst", ALWAYS, NULL, STALE, send_twice_in_burst },
	{ "read after send", ALWAYS, NULL, STALE, read_after_send },
	{ "write after send", ALWAYS, NULL, STALE, write_after_send },
	{ "unref after send", ALWAYS, NULL, STALE, unref_after_send },
	{ "write to a clone", ALWAYS, NULL, KIND(SHARED), write_to_clone },
	{ "write to a clone of what is being sent", ALWAYS, NULL, KIND(SHARED), write_while_sent },
	{ "user area of a clone", ALWAYS, NULL, KIND(SHARED), metadata_on_shared },
	{ "forged generation", ALWAYS, NULL, STALE | KIND(FORGED), forged_generation },
	{ "forged frame index", ALWAYS, NULL, STALE | KIND(FORGED), forged_index },
	{ "forged frame index past the pool's end", ALWAYS, NULL, STALE | KIND(FORGED),
	  forged_index_past_end },
	{ "forged pool slot", ALWAYS, NULL, STALE | KIND(FORGED), forged_slot },
	{ "forged offset", ALWAYS, NULL, KIND(FORGED), forged_view },
	{ "length past the frame, set by hand, sent", ALWAYS, NULL, KIND(FORGED),
	  length_past_frame_sent },
	{ "random bits as handles", ALWAYS, NULL, STALE | KIND(FORGED), random_bits },
	{ "length past the frame by put, push, pull, trim", REFUSED, NULL, 0,
	  length_past_frame_put },
	{ "send a handle of another pool", REFUSED, NULL, 0, handle_of_other_pool },
	{ "send an empty packet", REFUSED, NULL, 0, empty_packet },
	{ "a 256th reference", REFUSED, NULL, 0, references_past_limit },
	{ "use the null handle", HARMLESS, NULL, 0, null_handle },
};
const unsigned handle_row_count = sizeof(handle_rows) / sizeof(handle_rows[0]);
