/* SPDX-License-Identifier: BSD-2-Clause */
/* The ledger of transmissions: a multiset of frames whose entries never move. */
#include "support.h"

#include <stdlib.h>

static struct sxsk_priv_ledger ledger(uint32_t size)
{
	struct sxsk_priv_ledger l;

	cr_assert_eq(sxsk_priv_ledger_create(&l, size), 0);
	return l;
}

/* The entry that has this frame. */
static uint32_t entry(const struct sxsk_priv_ledger *l, uint32_t frame)
{
	for (uint32_t e = 0; e < l->size; e++)
		if (l->frame[e] == frame)
			return e;
	return NIL;
}

Test(ledger, what_was_added_is_removed_once)
{
	struct sxsk_priv_ledger l = ledger(8);

	cr_assert_not(sxsk_priv_ledger_remove(&l, 5), "empty");
	cr_assert(sxsk_priv_ledger_add(&l, 5));
	cr_assert_not(sxsk_priv_ledger_remove(&l, 6));
	cr_assert(sxsk_priv_ledger_remove(&l, 5));
	cr_assert_not(sxsk_priv_ledger_remove(&l, 5));
	cr_assert_eq(l.used, 0);
	sxsk_priv_ledger_destroy(&l);
}

Test(ledger, one_frame_is_in_it_as_often_as_it_is_sent)
{
	struct sxsk_priv_ledger l = ledger(8);

	for (unsigned i = 0; i < 3; i++)
		cr_assert(sxsk_priv_ledger_add(&l, 77));
	for (unsigned i = 0; i < 3; i++)
		cr_assert(sxsk_priv_ledger_remove(&l, 77));
	cr_assert_not(sxsk_priv_ledger_remove(&l, 77));
	sxsk_priv_ledger_destroy(&l);
}

Test(ledger, full_ledger_refuses_and_keeps_what_it_has)
{
	static const uint32_t size[] = { 1, 2, 64 };

	for (unsigned s = 0; s < 3; s++) {
		struct sxsk_priv_ledger l = ledger(size[s]);

		for (uint32_t i = 0; i < size[s]; i++)
			cr_assert(sxsk_priv_ledger_add(&l, i * 1000));
		cr_assert_not(sxsk_priv_ledger_add(&l, 1));
		for (uint32_t i = 0; i < size[s]; i++)
			cr_assert(sxsk_priv_ledger_remove(&l, i * 1000));
		cr_assert(sxsk_priv_ledger_add(&l, 1), "there is room again");
		sxsk_priv_ledger_destroy(&l);
	}
}

Test(ledger, entries_never_move)
{
	struct sxsk_priv_ledger l = ledger(64);
	uint32_t at[64];

	for (uint32_t i = 0; i < 64; i++) {
		cr_assert(sxsk_priv_ledger_add(&l, i));
		at[i] = entry(&l, i);
	}
	for (uint32_t i = 0; i < 64; i += 2)
		cr_assert(sxsk_priv_ledger_remove(&l, i));
	for (uint32_t i = 100; i < 132; i++)
		cr_assert(sxsk_priv_ledger_add(&l, i));
	for (uint32_t i = 1; i < 64; i += 2)
		cr_assert_eq(entry(&l, i), at[i]);
	sxsk_priv_ledger_destroy(&l);
}

/* Against a count per frame; few frames, so that chains are long. */
Test(ledger, random_use_agrees_with_a_model)
{
	struct sxsk_priv_ledger l = ledger(64);
	uint32_t count[32] = { 0 }, used = 0;

	srand48(7);
	for (unsigned i = 0; i < 200000; i++) {
		uint32_t f = (uint32_t)lrand48() % 32,
			 frame = f * 64; /* collide in a simple hash */

		if (lrand48() & 1) {
			cr_assert_eq(sxsk_priv_ledger_add(&l, frame), used < 64);
			count[f] += used < 64;
			used += used < 64;
		} else {
			cr_assert_eq(sxsk_priv_ledger_remove(&l, frame), count[f] > 0);
			used -= count[f] > 0;
			count[f] -= count[f] > 0;
		}
		cr_assert_eq(l.used, used);
	}
	sxsk_priv_ledger_destroy(&l);
}
