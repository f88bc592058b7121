/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A socket's ledger: the transmissions that the frame's word does not tell by itself, because the
 * frame still has users or other transmissions. A hash with chains over a fixed array: entries never
 * move, and there are as many as the COMPLETION ring has places, so it is never full when a
 * descriptor may be queued. Used by the thread in the TX half only.
 */
#include "frame.h"

#include <errno.h>
#include <stdlib.h>

int sxsk_priv_ledger_create(struct sxsk_priv_ledger *l, uint32_t size)
{
	uint32_t *block = calloc(3 * (size_t)size, sizeof(*block));

	if (!block)
		return sxsk_priv_fail(ENOMEM, "no memory for a ledger of %u transmissions", size);
	l->head = block;
	l->next = block + size;
	l->frame = block + 2 * (size_t)size;
	l->size = size;
	l->used = 0;
	l->free = 0;
	for (uint32_t i = 0; i < size; i++) {
		l->head[i] = NIL;
		l->next[i] = i + 1 < size ? i + 1 : NIL;
		l->frame[i] = NIL;
	}
	return 0;
}

void sxsk_priv_ledger_destroy(struct sxsk_priv_ledger *l)
{
	free(l->head);
	*l = (struct sxsk_priv_ledger){ 0 };
}

static uint32_t *bucket(struct sxsk_priv_ledger *l, uint32_t frame)
{
	return &l->head[(frame * 2654435761u >> 7) & (l->size - 1)];
}

bool sxsk_priv_ledger_add(struct sxsk_priv_ledger *l, uint32_t frame)
{
	uint32_t e = l->free, *b = bucket(l, frame);

	if (l->used == l->size)
		return false;
	l->free = l->next[e];
	l->frame[e] = frame;
	l->next[e] = *b;
	*b = e;
	l->used++;
	return true;
}

bool sxsk_priv_ledger_remove(struct sxsk_priv_ledger *l, uint32_t frame)
{
	if (l->used == 0)
		return false;
	for (uint32_t *link = bucket(l, frame); *link != NIL; link = &l->next[*link]) {
		uint32_t e = *link;

		if (l->frame[e] != frame)
			continue;
		*link = l->next[e];
		l->frame[e] = NIL;
		l->next[e] = l->free;
		l->free = e;
		l->used--;
		return true;
	}
	return false;
}
