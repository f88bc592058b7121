/* SPDX-License-Identifier: BSD-2-Clause */
#include "clock.h"
#include "internal.h"

#include <inttypes.h>
#include <safexsk/monitor.h>
#include <safexsk/safexsk.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define ROWS 24 /* of a terminal that does not say */

struct row {
	struct sxsk_socket *socket;
	const uint64_t *bursts; /* NULL: nobody counts them */
	unsigned batch;
	uint64_t seen_bursts;
	struct sxsk_socket_stats stats; /* as last shown */
};

struct sxsk_monitor {
	char title[32];
	struct sxsk_pool *pool;
	struct row *row;
	unsigned rows, drawn;  /* drawn: lines of the table that is to be replaced */
	int64_t begun, looked; /* nanoseconds */
};

int sxsk_monitor_create(struct sxsk_monitor **ret_monitor, const char *title,
			struct sxsk_pool *pool)
{
	struct sxsk_monitor *m = calloc(1, sizeof(*m));

	if (!m)
		return sxsk_priv_fail(ENOMEM, "no memory for a monitor");
	(void)snprintf(m->title, sizeof(m->title), "%s", title);
	(void)sxsk_priv_printable(m->title);
	m->pool = pool;
	m->begun = m->looked = now_ns();
	*ret_monitor = m;
	return 0;
}

int sxsk_monitor_add(struct sxsk_monitor *m, struct sxsk_socket *socket, const uint64_t *bursts,
		     unsigned batch)
{
	struct row *row = realloc(m->row, (m->rows + 1) * sizeof(*row));

	if (!row)
		return sxsk_priv_fail(ENOMEM, "no memory for a monitor of %u sockets", m->rows + 1);
	m->row = row;
	row += m->rows++;
	*row = (struct row){ .socket = socket, .bursts = bursts, .batch = batch };
	row->stats.sz = sizeof(row->stats);
	sxsk_socket_stats(socket, &row->stats);
	return 0;
}

void sxsk_monitor_destroy(struct sxsk_monitor *m)
{
	if (m)
		free(m->row);
	free(m);
}

/* A socket's part of the line, or its row of the table: how full its bursts were, too, in percent. */
static void show_row(struct row *row, double seconds, bool table, FILE *out)
{
	const struct sxsk_socket_stats before = row->stats, *now = &row->stats;
	uint64_t bursts = row->bursts ? __atomic_load_n(row->bursts, __ATOMIC_RELAXED) : 0;
	double room = (double)(bursts - row->seen_bursts) * row->batch, rx, tx;

	row->seen_bursts = bursts;
	sxsk_socket_stats(row->socket, &row->stats);
	(void)sxsk_priv_printable(row->stats.ifname);
	rx = (double)(now->rx_packets - before.rx_packets) / seconds;
	tx = (double)(now->tx_packets - before.tx_packets) / seconds;
	if (!table) {
		(void)fprintf(out, "  %s:%u rx %.0f pps tx %.0f pps drops %" PRIu64, now->ifname,
			      now->queue, rx, tx, sxsk_socket_drops(now));
		return;
	}
	(void)fprintf(out, "%-16s %5u %9.0f %8.1f %9.0f %8.1f ", now->ifname, now->queue, rx,
		      (double)(now->rx_bytes - before.rx_bytes) * 8e-6 / seconds, tx,
		      (double)(now->tx_bytes - before.tx_bytes) * 8e-6 / seconds);
	if (row->bursts)
		(void)fprintf(out, "%5.1f%%  ", room > 0 ? rx * seconds * 100 / room : 0.0);
	else
		(void)fprintf(out, "%6s  ", "");
	sxsk_socket_stats_print(now, SXSK_PRINT_DROPS, out);
	(void)fprintf(out, "\033[K\n");
}

/* In place of the one before, in so many rows. Long lines are cut off, not wrapped: DEC's mode 7. */
static void show_table(struct sxsk_monitor *m, double age, double seconds, unsigned rows, FILE *out)
{
	struct sxsk_pool_stats frames = { .sz = sizeof(frames) };
	unsigned shown = m->rows < rows - 4 ? m->rows : rows - 4;

	if (m->drawn)
		(void)fprintf(out, "\033[%uA", m->drawn);
	(void)fprintf(
		out,
		"\033[?7l%-16s queue    rx pps   Mbit/s    tx pps   Mbit/s  batch  drops\033[K\n",
		m->title);
	for (unsigned i = 0; i < shown; i++)
		show_row(&m->row[i], seconds, true, out);
	sxsk_pool_stats(m->pool, &frames);
	(void)fprintf(out, "%.0f s, %u of %u links\033[K", age, shown, m->rows);
	sxsk_pool_stats_print(&frames, SXSK_PRINT_TEXT, out);
	(void)fprintf(out, "\033[?7h");
	(void)fflush(out);
	m->drawn = shown + 2;
}

void sxsk_monitor_show(struct sxsk_monitor *m, FILE *out)
{
	const int64_t now = now_ns();
	const double age = (double)(now - m->begun) * 1e-9;
	const double seconds = (double)(now - m->looked + (now == m->looked)) * 1e-9;
	const char *term = getenv("TERM");
	struct winsize size = { 0 };

	m->looked = now;
	if (isatty(fileno(out)) && term && strcmp(term, "dumb") != 0) {
		(void)ioctl(fileno(out), TIOCGWINSZ, &size);
		show_table(m, age, seconds, size.ws_row > 5 ? size.ws_row : ROWS, out);
		return;
	}
	(void)fprintf(out, "%4.0f s", age);
	for (unsigned i = 0; i < m->rows; i++)
		show_row(&m->row[i], seconds, false, out);
	(void)fprintf(out, "\n");
}
