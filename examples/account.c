/* SPDX-License-Identifier: BSD-2-Clause */
#include "common.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define DRAIN_MS 1000

/* A counter in one of the library's structs. */
struct field {
	const char *name;
	size_t at;
};

/* clang-format off */
#define SOCKET(name) { #name, offsetof(struct sxsk_socket_stats, name) },
#define KERNEL(name) { #name, offsetof(struct sxsk_kernel_stats, name) },
#define POOL(name) { #name, offsetof(struct sxsk_pool_stats, name) },
static const struct field socket_fields[] = { SXSK_SOCKET_COUNTERS(SOCKET) { 0 } };
static const struct field kernel_fields[] = { SXSK_KERNEL_COUNTERS(KERNEL) { 0 } };
static const struct field pool_fields[] = { SXSK_POOL_COUNTERS(POOL) { 0 } };
/* clang-format on */

static uint64_t value(const void *stats, const struct field *field)
{
	uint64_t number;

	memcpy(&number, (const char *)stats + field->at, sizeof(number));
	return number;
}

void account_look(struct link *link)
{
	link->stats.sz = sizeof(link->stats);
	sxsk_socket_stats(link->socket, &link->stats);
}

/* Packets that are lost between the wire and the wire, whoever dropped them. */
static uint64_t drops(const struct sxsk_socket_stats *s)
{
	return s->drop_null + s->drop_misuse + s->drop_short + s->drop_pool + s->drop_limit +
	       s->drop_metadata + s->rx_broken + s->rx_refused + s->kick_busy +
	       s->kernel.rx_dropped + s->kernel.rx_ring_full;
}

void account_line(struct program *p, double seconds, double interval)
{
	printf("%4.0f s", seconds);
	for (unsigned i = 0; i < p->link_count; i++) {
		struct link *link = &p->links[i];
		struct sxsk_socket_stats before = link->stats;

		account_look(link);
		printf("  %s:%u rx %.0f pps tx %.0f pps drops %" PRIu64, link->name, link->queue,
		       (double)(link->stats.rx_packets - before.rx_packets) / interval,
		       (double)(link->stats.tx_packets - before.tx_packets) / interval,
		       drops(&link->stats));
	}
	printf("\n");
}

/* Name and value of each counter; in a text of those that are not zero, in JSON of all. */
static void print_fields(const char *title, const void *stats, const struct field *field, bool json)
{
	const char *before = title;

	for (; field->name; field++) {
		if (!json && value(stats, field) == 0)
			continue;
		printf(json ? "%s\"%s\": %" PRIu64 : "%s%s %" PRIu64, before, field->name,
		       value(stats, field));
		before = ", ";
	}
	if (!json && before != title)
		printf("\n");
}

static void print_account(const struct program *p)
{
	printf("%s: %.3f s\n", p->name, p->seconds);
	for (unsigned i = 0; i < p->link_count; i++) {
		const struct link *link = &p->links[i];

		printf("%s queue %u, %s mode, %s: received %" PRIu64 ", sent %" PRIu64
		       ", unsent %" PRIu64 ", dropped %" PRIu64 "\n",
		       link->name, link->queue, sxsk_mode_name(link->stats.mode),
		       sxsk_attach_name(link->stats.attach), link->stats.rx_packets,
		       link->stats.tx_packets, link->unsent, drops(&link->stats));
		print_fields("  socket: ", &link->stats, socket_fields, false);
		print_fields("  kernel: ", &link->stats.kernel, kernel_fields, false);
	}
}

/* ---- the closing account, as JSON -------------------------------------------------------------- */

static void json_text(const char *text)
{
	putchar('"');
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c < 0x20 || c > 0x7e || c == '"' || c == '\\')
			printf("\\u%04x", c);
		else
			putchar(c);
	}
	putchar('"');
}

static void json_link(const struct link *link)
{
	printf("{\"name\": ");
	json_text(link->name);
	printf(", \"queue\": %u, \"mode\": \"%s\", \"attach\": \"%s\", ", link->queue,
	       sxsk_mode_name(link->stats.mode), sxsk_attach_name(link->stats.attach));
	print_fields("", &link->stats, socket_fields, true);
	printf(", \"poisoned\": %u, \"unsent\": %" PRIu64 ", \"kernel\": {", link->stats.poisoned,
	       link->unsent);
	print_fields("", &link->stats.kernel, kernel_fields, true);
	printf("}}");
}

static void print_json(const struct program *p, const struct sxsk_pool_stats *frames, bool all)
{
	printf("{\"program\": \"%s\", \"seconds\": %.3f, \"links\": [", p->name, p->seconds);
	for (unsigned i = 0; i < p->link_count; i++) {
		printf("%s", i ? ", " : "");
		json_link(&p->links[i]);
	}
	printf("], \"frames\": {");
	print_fields("", frames, pool_fields, true);
	printf("}, \"accounted\": %s}\n", all ? "true" : "false");
}

bool account_close(struct program *p)
{
	struct sxsk_pool_stats f = { .sz = sizeof(f) };
	bool drained = sxsk_pool_drain(p->pool, DRAIN_MS) == 0, all;

	print_account(p);
	sxsk_pool_stats(p->pool, &f);
	all = sxsk_pool_report(p->pool, stdout) == 0 && drained && f.user == 0 && f.tx == 0;
	if (all)
		printf("every frame accounted for\n");
	else
		printf("NOT every frame is accounted for: %" PRIu64 " held in Bufs, %" PRIu64
		       " in transmission\n",
		       f.user, f.tx);
	if (p->json)
		print_json(p, &f, all);
	return all;
}
