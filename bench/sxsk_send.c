/* SPDX-License-Identifier: BSD-2-Clause */
/* Packets sent back, and packets made and sent, as users of this library write it. */
#include "sxsk.h"
#include "variants.h"

void bench_send_sxsk_run(struct world *w, unsigned burst, uint64_t packets)
{
	struct sxsk *s = (struct sxsk *)w;
	struct sxsk_buf bufs[BURST_MAX];

	for (uint64_t done = 0; done < packets;) {
		unsigned n = receive(w, burst, bufs);

		swap_received(bufs, n);
		send_all(s->socket, bufs, n);
		pump_transmit(&w->pump, n);
		done += n;
	}
	send_all(s->socket, NULL, 0); /* reaps the last burst */
}

void bench_make_sxsk_run(struct world *w, unsigned burst, uint64_t packets)
{
	struct sxsk *s = (struct sxsk *)w;
	struct sxsk_buf bufs[BURST_MAX];
	uint32_t size = w->pump.length;

	for (uint64_t done = 0; done < packets; done += burst) {
		if (sxsk_pool_alloc(s->pool, bufs, burst) != burst)
			bench_die("no frame");
		for (unsigned i = 0; i < burst; i++) {
			if (sxsk_buf_put(&bufs[i], size) != 0)
				bench_die("%s", sxsk_last_error());
			bench_write(sxsk_buf_data_mut(bufs[i]));
		}
		send_all(s->socket, bufs, burst);
		pump_transmit(&w->pump, burst);
	}
	send_all(s->socket, NULL, 0);
}
