/* SPDX-License-Identifier: BSD-2-Clause */
/* Counters by name, for people and for programs, and which of them are losses. */
#include <inttypes.h>
#include <safexsk/safexsk.h>
#include <string.h>

/* A counter in one of the structs. */
struct field {
	const char *name;
	size_t at;
};

/* clang-format off */
#define SOCKET(name) { #name, offsetof(struct sxsk_socket_stats, name) },
#define KERNEL(name) { #name, offsetof(struct sxsk_socket_stats, kernel.name) },
#define POOL(name) { #name, offsetof(struct sxsk_pool_stats, name) },
static const struct field socket_fields[] = { SXSK_SOCKET_COUNTERS(SOCKET) { 0 } };
static const struct field kernel_fields[] = { SXSK_KERNEL_COUNTERS(KERNEL) { 0 } };
static const struct field drop_fields[] = { SXSK_SOCKET_DROPS(SOCKET) SXSK_KERNEL_DROPS(KERNEL) { 0 } };
static const struct field pool_fields[] = { SXSK_POOL_COUNTERS(POOL) { 0 } };
/* clang-format on */

static uint64_t value(const void *stats, const struct field *field)
{
	uint64_t number;

	memcpy(&number, (const char *)stats + field->at, sizeof(number));
	return number;
}

/* A line of the counters that are not zero, if there are any. */
static void text(const char *before, const void *stats, const struct field *field,
		 const char *after, FILE *out)
{
	const char *start = before;

	for (; field->name; field++) {
		if (value(stats, field) == 0)
			continue;
		fprintf(out, "%s%s %" PRIu64, before, field->name, value(stats, field));
		before = ", ";
	}
	if (before != start)
		fputs(after, out);
}

static void json(const void *stats, const struct field *field, FILE *out)
{
	const char *before = "";

	for (; field->name; field++, before = ", ")
		fprintf(out, "%s\"%s\": %" PRIu64, before, field->name, value(stats, field));
}

/* An interface may have any name but for '/' and white space. */
static void json_string(const char *string, FILE *out)
{
	fputc('"', out);
	for (; *string; string++) {
		unsigned char c = (unsigned char)*string;

		if (c < 0x20 || c > 0x7e || c == '"' || c == '\\')
			fprintf(out, "\\u%04x", c);
		else
			fputc(c, out);
	}
	fputc('"', out);
}

static void socket_json(const struct sxsk_socket_stats *stats, FILE *out)
{
	fputs("\"name\": ", out);
	json_string(stats->ifname, out);
	fprintf(out, ", \"queue\": %u, \"mode\": \"%s\", \"attach\": \"%s\", ", stats->queue,
		sxsk_mode_name(stats->mode), sxsk_attach_name(stats->attach));
	json(stats, socket_fields, out);
	fprintf(out, ", \"poisoned\": %u, \"kernel\": {", stats->poisoned);
	json(stats, kernel_fields, out);
	fputc('}', out);
}

/* The caller's struct may be of an older version: what it lacks is zero. */
static struct sxsk_socket_stats complete(const struct sxsk_socket_stats *stats)
{
	struct sxsk_socket_stats copy = { 0 };

	memcpy(&copy, stats, stats->sz < sizeof(copy) ? stats->sz : sizeof(copy));
	return copy;
}

void sxsk_socket_stats_print(const struct sxsk_socket_stats *stats, enum sxsk_print how, FILE *out)
{
	struct sxsk_socket_stats st = complete(stats);

	if (how == SXSK_PRINT_JSON) {
		socket_json(&st, out);
	} else if (how == SXSK_PRINT_DROPS) {
		text("", &st, drop_fields, "", out);
	} else {
		text("  socket: ", &st, socket_fields, "\n", out);
		text("  kernel: ", &st, kernel_fields, "\n", out);
	}
}

void sxsk_pool_stats_print(const struct sxsk_pool_stats *stats, enum sxsk_print how, FILE *out)
{
	struct sxsk_pool_stats st = { 0 };

	memcpy(&st, stats, stats->sz < sizeof(st) ? stats->sz : sizeof(st));
	if (how == SXSK_PRINT_JSON)
		json(&st, pool_fields, out);
	else if (how == SXSK_PRINT_TEXT)
		text("  frames: ", &st, pool_fields, "\n", out);
}

uint64_t sxsk_socket_drops(const struct sxsk_socket_stats *stats)
{
	struct sxsk_socket_stats st = complete(stats);
	uint64_t sum = 0;

	for (const struct field *field = drop_fields; field->name; field++)
		sum += value(&st, field);
	return sum;
}
