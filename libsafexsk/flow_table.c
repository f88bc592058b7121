/* SPDX-License-Identifier: BSD-2-Clause */
#include "internal.h"

#include <inttypes.h>
#include <safexsk/flow.h>
#include <stdlib.h>
#include <string.h>

#define MOST_ROOM (1u << 24)
#define PROBES 16u /* places where a flow may be */

struct entry {
	struct sxsk_flow flow;
	uint64_t packets, bytes; /* packets 0: nothing here */
};

struct sxsk_flow_table {
	uint32_t room, used;
	uint64_t others; /* packets */
	struct entry entry[];
};

int sxsk_flow_table_create(struct sxsk_flow_table **ret_table, uint32_t room)
{
	struct sxsk_flow_table *t;

	if (room == 0 || room > MOST_ROOM)
		return sxsk_priv_fail(EINVAL, "room for %u flows: use 1 to %u", room, MOST_ROOM);
	t = calloc(1, sizeof(*t) + room * sizeof(t->entry[0]));
	if (!t)
		return sxsk_priv_fail(ENOMEM, "no memory for %u flows", room);
	t->room = room;
	*ret_table = t;
	return 0;
}

void sxsk_flow_table_destroy(struct sxsk_flow_table *t)
{
	free(t);
}

/* FNV-1a */
static uint32_t hash_of(const struct sxsk_flow *flow)
{
	const unsigned char *p = (const unsigned char *)flow;
	uint32_t hash = 2166136261u;

	for (size_t i = 0; i < sizeof(*flow); i++)
		hash = (hash ^ p[i]) * 16777619u;
	return hash;
}

/* A flow stays where it is, and nothing before it goes: so it is in the first place that is free or its own. */
static struct entry *find(struct sxsk_flow_table *t, const struct sxsk_flow *flow)
{
	const uint32_t hash = hash_of(flow);

	for (uint32_t i = 0; i < PROBES; i++) {
		struct entry *e = &t->entry[(hash + i) % t->room];

		if (e->packets == 0 || memcmp(&e->flow, flow, sizeof(*flow)) == 0)
			return e;
	}
	return NULL;
}

void sxsk_flow_table_count(struct sxsk_flow_table *t, const struct sxsk_buf bufs[], unsigned n)
{
	struct sxsk_flow flow;
	struct entry *e;

	if (n == 0)
		return;
	sxsk_flow_of(sxsk_buf_data(bufs[0]), sxsk_buf_len(bufs[0]), &flow);
	e = find(t, &flow);
	if (!e) {
		t->others++;
		return;
	}
	if (e->packets == 0) {
		e->flow = flow;
		t->used++;
	}
	e->packets++;
	for (unsigned i = 0; i < n; i++)
		e->bytes += sxsk_buf_len(bufs[i]);
}

uint32_t sxsk_flow_table_flows(const struct sxsk_flow_table *t)
{
	return t->used;
}

/* The biggest one behind `last`; NULL: that was the smallest. */
static const struct entry *next_of(const struct sxsk_flow_table *t, const struct entry *last)
{
	const struct entry *next = NULL;

	for (const struct entry *e = t->entry; e < t->entry + t->room; e++)
		if ((!last || e->packets < last->packets ||
		     (e->packets == last->packets && e > last)) &&
		    e->packets > (next ? next->packets : 0))
			next = e;
	return next;
}

void sxsk_flow_table_print(const struct sxsk_flow_table *t, unsigned most, FILE *out)
{
	const struct entry *e = NULL;

	while (most-- > 0 && (e = next_of(t, e))) {
		(void)fprintf(out, "  flow ");
		sxsk_flow_print(&e->flow, out);
		(void)fprintf(out, ": %" PRIu64 " packets, %" PRIu64 " bytes\n", e->packets,
			      e->bytes);
	}
	(void)fprintf(out, "  %" PRIu32 " flows, and %" PRIu64 " packets of others\n", t->used,
		      t->others);
}
