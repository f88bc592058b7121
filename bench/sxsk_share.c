/* SPDX-License-Identifier: BSD-2-Clause */
/* Packets that several readers read, and headers rewritten while another reader looks, as users of this
 * library write it. */
#include "sxsk.h"
#include "variants.h"

/* One reader: looks at its Bufs and lets them go. */
static inline uint64_t read_and_unref(struct sxsk_buf bufs[], unsigned n)
{
	uint64_t seen = 0;

	for (unsigned i = 0; i < n; i++)
		seen += bench_read(sxsk_buf_data(bufs[i]));
	sxsk_buf_unref_burst(bufs, n);
	return seen;
}

void bench_share_sxsk_run(struct world *w, unsigned burst, uint64_t packets)
{
	struct sxsk_buf bufs[BURST_MAX], reader[READERS_MAX][BURST_MAX];
	const unsigned readers = w->of->readers;

	for (uint64_t done = 0; done < packets;) {
		unsigned n = receive(w, burst, bufs);

		for (unsigned i = 0; i < n; i++)
			for (unsigned j = 0; j < readers; j++)
				reader[j][i] = sxsk_buf_ref(bufs[i]);
		for (unsigned j = 0; j < readers; j++)
			w->seen += read_and_unref(reader[j], n);
		sxsk_buf_unref_burst(bufs, n);
		done += n;
	}
}

void bench_share_sxsk_copy_run(struct world *w, unsigned burst, uint64_t packets)
{
	struct sxsk *s = (struct sxsk *)w;
	struct sxsk_buf bufs[BURST_MAX], reader[READERS_MAX][BURST_MAX];
	const unsigned readers = w->of->readers;

	for (uint64_t done = 0; done < packets;) {
		unsigned n = receive(w, burst, bufs);

		for (unsigned i = 0; i < n; i++)
			for (unsigned j = 0; j < readers; j++)
				if (sxsk_buf_copy(s->pool, bufs[i], &reader[j][i]) != 0)
					bench_die("%s", sxsk_last_error());
		for (unsigned j = 0; j < readers; j++)
			w->seen += read_and_unref(reader[j], n);
		sxsk_buf_unref_burst(bufs, n);
		done += n;
	}
}

void bench_rewrite_sxsk_run(struct world *w, unsigned burst, uint64_t packets)
{
	struct sxsk_buf bufs[BURST_MAX], other[BURST_MAX];

	for (uint64_t done = 0; done < packets;) {
		unsigned n = receive(w, burst, bufs);

		for (unsigned i = 0; i < n; i++)
			other[i] = sxsk_buf_ref(bufs[i]);
		for (unsigned i = 0; i < n; i++) {
			if (sxsk_buf_unshare(&bufs[i]) != 0)
				bench_die("%s", sxsk_last_error());
			bench_swap_macs(sxsk_buf_data_mut(bufs[i]));
		}
		w->seen += read_and_unref(other, n);
		w->seen += read_and_unref(bufs, n);
		done += n;
	}
}
