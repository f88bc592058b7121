/* SPDX-License-Identifier: BSD-2-Clause */
/* Each packet sent to several ports, as users of this library write it: a reference for each, or a copy. */
#include "sxsk.h"
#include "variants.h"

#include <stdio.h>

static struct world *open_ports(struct world *w)
{
	struct sxsk *s = (struct sxsk *)w;
	struct sxsk_socket_opts opts = { .sz = sizeof(opts), .flags = SXSK_SOCKET_NO_RX };
	static unsigned serial;
	char name[32];

	for (unsigned i = 0; i < w->of->ports; i++) {
		struct sxsk_mem_rings rings;

		snprintf(name, sizeof(name), "mem:port%u", serial++);
		if (sxsk_socket_open(&s->port[i], s->pool, name, 0, &opts) != 0 ||
		    sxsk_mem_take_rings(s->port[i], &rings) != 0)
			bench_die("%s", sxsk_last_error());
		pump_init(&w->port[i], &rings);
	}
	return w;
}

struct world *bench_flood_sxsk_open(const struct bench_case *of, uint32_t frames)
{
	return open_ports(bench_sxsk_open(of, frames));
}

struct world *bench_flood_sxsk_open_lane(const struct bench_case *of, uint32_t frames)
{
	return open_ports(bench_sxsk_open_lane(of, frames));
}

void bench_flood_sxsk_close(struct world *w)
{
	for (unsigned i = 0; i < w->of->ports; i++)
		sxsk_socket_close(((struct sxsk *)w)->port[i]);
	bench_sxsk_close(w);
}

/* For all ports but the last one, which gets what was received. */
static inline struct sxsk_buf another(struct sxsk *s, struct sxsk_buf b, bool copies)
{
	struct sxsk_buf other;

	if (!copies)
		return sxsk_buf_ref(b);
	if (sxsk_buf_copy(s->pool, b, &other) != 0)
		bench_die("%s", sxsk_last_error());
	return other;
}

static inline __attribute__((always_inline)) void flood(struct world *w, unsigned burst,
							uint64_t packets, bool copies)
{
	struct sxsk *s = (struct sxsk *)w;
	struct sxsk_buf bufs[BURST_MAX], others[BURST_MAX];
	const unsigned ports = w->of->ports;

	for (uint64_t done = 0; done < packets;) {
		unsigned n = receive(w, burst, bufs);

		for (unsigned j = 0; j < ports; j++) {
			bool last = j + 1 == ports;

			for (unsigned i = 0; i < n && !last; i++)
				others[i] = another(s, bufs[i], copies);
			send_all(s->port[j], last ? bufs : others, n);
			pump_transmit(&w->port[j], n);
		}
		done += n;
	}
	for (unsigned j = 0; j < ports; j++)
		send_all(s->port[j], NULL, 0); /* reaps the last burst */
}

void bench_flood_sxsk_run(struct world *w, unsigned burst, uint64_t packets)
{
	flood(w, burst, packets, false);
}

void bench_flood_sxsk_copy_run(struct world *w, unsigned burst, uint64_t packets)
{
	flood(w, burst, packets, true);
}
