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

/* How full the bursts were since the last look, percent. */
static double batch_fill(struct link *link)
{
	uint64_t bursts = atomic_load_explicit(&link->bursts, memory_order_relaxed);
	uint64_t bufs = atomic_load_explicit(&link->bufs, memory_order_relaxed);
	double fill = (double)(bufs - link->seen_bufs) * 100 / (double)link->batch;

	fill /= bursts > link->seen_bursts ? (double)(bursts - link->seen_bursts) : 1;
	link->seen_bursts = bursts;
	link->seen_bufs = bufs;
	return fill;
}

static void show_link(struct link *link, double interval, bool row)
{
	struct sxsk_socket_stats before = link->stats, *s = &link->stats;
	double rx, tx;

	account_look(link);
	rx = (double)(s->rx_packets - before.rx_packets) / interval;
	tx = (double)(s->tx_packets - before.tx_packets) / interval;
	if (!row) {
		printf("  %s:%u rx %.0f pps tx %.0f pps drops %" PRIu64, link->name, link->queue,
		       rx, tx, sxsk_socket_drops(s));
		return;
	}
	printf("%-16s %5u %9.0f %8.1f %9.0f %8.1f %5.1f%%  ", link->name, link->queue, rx,
	       (double)(s->rx_bytes - before.rx_bytes) * 8e-6 / interval, tx,
	       (double)(s->tx_bytes - before.tx_bytes) * 8e-6 / interval, batch_fill(link));
	sxsk_socket_stats_print(s, SXSK_PRINT_DROPS, stdout);
	printf("\033[K\n");
}

/* A terminal that can go up a line, high enough. Long lines are cut off, not wrapped: DEC's mode 7. */
static void show_table(struct program *p, double seconds, double interval, unsigned rows)
{
	static unsigned drawn;
	unsigned shown = p->link_count < rows - 4 ? p->link_count : rows - 4;
	struct sxsk_pool_stats f = { .sz = sizeof(f) };

	if (drawn)
		printf("\033[%uA", drawn);
	printf("\033[?7l%-16s queue    rx pps   Mbit/s    tx pps   Mbit/s  batch  drops\033[K\n",
	       p->name);
	for (unsigned i = 0; i < shown; i++)
		show_link(&p->links[i], interval, true);
	sxsk_pool_stats(p->pool, &f);
	printf("%.0f s, %u of %u links; frames:", seconds, shown, p->link_count);
	printf(" user %" PRIu64 ", lanes %" PRIu64 ", depot %" PRIu64 ", fill %" PRIu64
	       ", tx %" PRIu64 ", quarantined %" PRIu64 "\033[K\n\033[?7h",
	       f.user, f.lanes, f.depot, f.fill, f.tx, f.quarantined);
	drawn = shown + 2;
}

void account_show(struct program *p, double seconds, double interval)
{
	const char *term = getenv("TERM");
	struct winsize size = { 0 };

	(void)ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
	if (isatty(STDOUT_FILENO) && term && strcmp(term, "dumb") != 0) {
		show_table(p, seconds, interval, size.ws_row > 5 ? size.ws_row : 24);
		return;
	}
	printf("%4.0f s", seconds);
	for (unsigned i = 0; i < p->link_count; i++)
		show_link(&p->links[i], interval, false);
	printf("\n");
}

/* ---- at the end ---------------------------------------------------------------------------------- */

static void close_link(const struct program *p, const struct link *link)
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

		printf("%s{", i ? ", " : "");
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
	struct sxsk_pool_stats f = { .sz = sizeof(f) };
	bool drained = sxsk_pool_drain(p->pool, DRAIN_MS) == 0, all;

	printf("%s: %.3f s\n", p->name, p->seconds);
	for (unsigned i = 0; i < p->link_count; i++)
		close_link(p, &p->links[i]);
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
