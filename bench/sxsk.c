/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The loop as users of this library write it: public calls of the shared library, default options,
 * on an in-process socket whose kernel's side is the same pump as everybody's.
 */
#include "sxsk.h"
#include "variants.h"

#include <stdlib.h>
#include <string.h>

static struct world *open_world(const struct bench_case *of, uint32_t frames, bool lane,
				const char *harden)
{
	static unsigned serial;
	struct sxsk_pool_opts opts = {
		.sz = sizeof(opts), .frame_count = frames, .frame_size = CHUNK, .harden = harden
	};
	struct sxsk_socket_opts socket_opts = { .sz = sizeof(socket_opts),
						.fill_size = of->in_flight,
						.flags = of->fragments ? SXSK_SOCKET_MULTI_BUFFER :
									 0 };
	struct sxsk_mem_rings rings;
	struct sxsk *s = calloc(1, sizeof(*s));
	char name[32];

	if (!s)
		bench_die("no memory");
	if (strcmp(harden, "guard") == 0)
		opts.frame_size = 4096; /* it works on pages */
	snprintf(name, sizeof(name), "mem:refcost%u", serial++);
	if (sxsk_pool_create(&s->pool, &opts) != 0 ||
	    sxsk_socket_open(&s->socket, s->pool, name, 0, &socket_opts) != 0 ||
	    sxsk_mem_take_rings(s->socket, &rings) != 0 || (lane && sxsk_lane_attach(s->pool) != 0))
		bench_die("%s", sxsk_last_error());
	s->world.of = of;
	s->lane = lane;
	pump_init(&s->world.pump, &rings);
	if (rings.rx.size != RING_SIZE ||
	    rings.fill.size != (of->in_flight ? of->in_flight : RING_SIZE) ||
	    rings.chunk != opts.frame_size)
		bench_die("the library's rings are not the raw variants'");
	return &s->world;
}

struct world *bench_sxsk_open(const struct bench_case *of, uint32_t frames)
{
	return open_world(of, frames, false, "none");
}

struct world *bench_sxsk_open_lane(const struct bench_case *of, uint32_t frames)
{
	return open_world(of, frames, true, "none");
}

struct world *bench_sxsk_open_race_safe(const struct bench_case *of, uint32_t frames)
{
	return open_world(of, frames, true, "race-safe");
}

struct world *bench_sxsk_open_fifo(const struct bench_case *of, uint32_t frames)
{
	return open_world(of, frames, true, "fifo");
}

struct world *bench_sxsk_open_canary(const struct bench_case *of, uint32_t frames)
{
	return open_world(of, frames, true, "canary");
}

struct world *bench_sxsk_open_history(const struct bench_case *of, uint32_t frames)
{
	return open_world(of, frames, true, "history");
}

struct world *bench_sxsk_open_trace(const struct bench_case *of, uint32_t frames)
{
	return open_world(of, frames, true, "trace");
}

struct world *bench_sxsk_open_guard(const struct bench_case *of, uint32_t frames)
{
	return open_world(of, frames, true, "guard");
}

uint32_t bench_fill_level(const struct bench_case *of, uint32_t frames)
{
	static const struct bench_case *last_of;
	static uint32_t level, last_frames;

	if (frames != last_frames || of != last_of) {
		struct world *w = open_world(of, frames, false, "none");

		last_frames = frames;
		last_of = of;
		level = pump_fill_level(&w->pump);
		bench_sxsk_close(w);
	}
	return level;
}

void bench_sxsk_close(struct world *w)
{
	struct sxsk *s = (struct sxsk *)w;
	struct sxsk_pool_stats stats = { .sz = sizeof(stats) };

	sxsk_pool_stats(s->pool, &stats);
	if (stats.user + stats.tx + stats.quarantined + stats.retired != 0 ||
	    stats.lanes + stats.depot + stats.fill != stats.total || sxsk_misuse_count() != 0)
		bench_die("sxsk: frames are not accounted for");
	if (s->lane)
		sxsk_lane_detach(s->pool);
	sxsk_socket_close(s->socket);
	sxsk_pool_unref(s->pool);
	free(s);
}

void bench_sxsk_run(struct world *w, unsigned burst, uint64_t packets)
{
	struct sxsk_buf bufs[BURST_MAX];

	for (uint64_t done = 0; done < packets;) {
		unsigned n = receive(w, burst, bufs);

		swap_received(bufs, n);
		sxsk_buf_unref_burst(bufs, n);
		done += n;
	}
}

/* The same packets arrive at once; they are taken and given back one at a time. */
void bench_sxsk_single_run(struct world *w, unsigned burst, uint64_t packets)
{
	struct sxsk *s = (struct sxsk *)w;

	for (uint64_t done = 0; done < packets; done += burst) {
		pump_packets(&w->pump, burst);
		for (unsigned i = 0; i < burst; i++) {
			struct sxsk_buf buf;

			bench_check_progress(sxsk_rx_burst(s->socket, &buf, 1));
			bench_swap_macs(sxsk_buf_data_mut(buf));
			sxsk_buf_unref(&buf);
		}
	}
}

/* Packets of several Bufs: the header is in the first one. */
void bench_parts_sxsk_run(struct world *w, unsigned burst, uint64_t packets)
{
	struct sxsk *s = (struct sxsk *)w;
	struct sxsk_buf bufs[BURST_MAX];
	bool more = false;

	for (uint64_t done = 0; done < packets;) {
		unsigned n;

		pump_parts(&w->pump, burst, w->of->fragments);
		n = sxsk_rx_burst(s->socket, bufs, burst);
		bench_check_progress(n);
		for (unsigned i = 0; i < n; i++) {
			if (!more)
				bench_swap_macs(sxsk_buf_data_mut(bufs[i]));
			more = bufs[i].flags & SXSK_BUF_MORE;
		}
		sxsk_buf_unref_burst(bufs, n);
		done += n;
	}
}
