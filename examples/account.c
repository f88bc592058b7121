/* SPDX-License-Identifier: BSD-2-Clause */
#include "common.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define DRAIN_MS 1000

void account_look(struct link *link)
{
	link->stats.sz = sizeof(link->stats);
	sxsk_socket_stats(link->socket, &link->stats);
}

/* ---- while it runs ------------------------------------------------------------------------------ */

static double per_second(uint64_t now, uint64_t before, double interval)
{
	return (double)(now - before) / interval;
}

/* A link's part of the line, or its row of the table: how full its bursts were, too, in percent. */
static void show_link(struct link *link, double interval, bool row)
{
	struct sxsk_socket_stats before = link->stats, *s = &link->stats;
	uint64_t bursts = atomic_load_explicit(&link->bursts, memory_order_relaxed);
	double room = (double)((bursts - link->seen_bursts) * link->batch), rx, tx;

	account_look(link);
	rx = per_second(s->rx_packets, before.rx_packets, interval);
	tx = per_second(s->tx_packets, before.tx_packets, interval);
	if (!row) {
		printf("  %s:%u rx %.0f pps tx %.0f pps drops %" PRIu64, link->name, link->queue,
		       rx, tx, sxsk_socket_drops(s));
		return;
	}
	printf("%-16s %5u %9.0f %8.1f %9.0f %8.1f %5.1f%%  ", link->name, link->queue, rx,
	       per_second(s->rx_bytes, before.rx_bytes, interval) * 8e-6, tx,
	       per_second(s->tx_bytes, before.tx_bytes, interval) * 8e-6,
	       room > 0 ? rx * interval * 100 / room : 0.0);
	link->seen_bursts = bursts;
	sxsk_socket_stats_print(s, SXSK_PRINT_DROPS, stdout);
	printf("\033[K\n");
}

/* In place of the one before, in so many rows. Long lines are cut off, not wrapped: DEC's mode 7. */
static void show_table(struct program *p, double seconds, double interval, unsigned rows)
{
	static unsigned drawn;
	unsigned shown = p->link_count < rows - 4 ? p->link_count : rows - 4;
	struct sxsk_pool_stats frames = { .sz = sizeof(frames) };

	if (drawn)
		printf("\033[%uA", drawn);
	printf("\033[?7l%-16s queue    rx pps   Mbit/s    tx pps   Mbit/s  batch  drops\033[K\n",
	       p->name);
	for (unsigned i = 0; i < shown; i++)
		show_link(&p->links[i], interval, true);
	sxsk_pool_stats(p->pool, &frames);
	printf("%.0f s, %u of %u links\033[K", seconds, shown, p->link_count);
	sxsk_pool_stats_print(&frames, SXSK_PRINT_TEXT, stdout);
	printf("\033[?7h");
	fflush(stdout);
	drawn = shown + 2;
}

void account_show(struct program *p, double seconds, double interval)
{
	const char *term = getenv("TERM");
	struct winsize size = { 0 };

	if (isatty(STDOUT_FILENO) && term && strcmp(term, "dumb") != 0) {
		(void)ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
		show_table(p, seconds, interval, size.ws_row > 5 ? size.ws_row : 24);
		return;
	}
	printf("%4.0f s", seconds);
	for (unsigned i = 0; i < p->link_count; i++)
		show_link(&p->links[i], interval, false);
	printf("\n");
}

/* ---- at the end ---------------------------------------------------------------------------------- */

static void print_link(const struct program *p, const struct link *link)
{
	const struct sxsk_socket_stats *s = &link->stats;

	printf("%s queue %u, %s mode, %s: received %" PRIu64 ", sent %" PRIu64 ", unsent %" PRIu64
	       ", dropped %" PRIu64 "\n",
	       link->name, link->queue, sxsk_mode_name(s->mode), sxsk_attach_name(s->attach),
	       s->rx_packets, s->tx_packets, link->unsent, sxsk_socket_drops(s));
	sxsk_socket_stats_print(s, SXSK_PRINT_TEXT, stdout);
	if (p->account)
		p->account(link, false);
}

static void print_json(const struct program *p, const struct sxsk_pool_stats *frames, bool all)
{
	printf("{\"program\": \"%s\", \"seconds\": %.3f, \"links\": [", p->name, p->seconds);
	for (unsigned i = 0; i < p->link_count; i++) {
		const struct link *link = &p->links[i];

		printf(i ? ", {" : "{");
		sxsk_socket_stats_print(&link->stats, SXSK_PRINT_JSON, stdout);
		printf(", \"unsent\": %" PRIu64 ", \"bursts\": %" PRIu64, link->unsent,
		       link->bursts);
		if (p->account)
			p->account(link, true);
		printf("}");
	}
	printf("], \"frames\": {");
	sxsk_pool_stats_print(frames, SXSK_PRINT_JSON, stdout);
	printf("}, \"accounted\": %s}\n", all ? "true" : "false");
}

bool account_close(struct program *p)
{
	struct sxsk_pool_stats frames = { .sz = sizeof(frames) };
	bool drained = sxsk_pool_drain(p->pool, DRAIN_MS) == 0, all;

	printf("%s: %.3f s\n", p->name, p->seconds);
	for (unsigned i = 0; i < p->link_count; i++)
		print_link(p, &p->links[i]);
	sxsk_pool_stats(p->pool, &frames);
	all = sxsk_pool_report(p->pool, stdout) == 0 && drained && frames.user == 0 &&
	      frames.tx == 0;
	if (all)
		printf("every frame accounted for\n");
	else
		printf("NOT every frame is accounted for: %" PRIu64 " held in Bufs, %" PRIu64
		       " in transmission\n",
		       frames.user, frames.tx);
	if (p->json)
		print_json(p, &frames, all);
	return all;
}
