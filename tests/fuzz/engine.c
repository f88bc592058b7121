/* SPDX-License-Identifier: BSD-2-Clause */
/* The world of one input: made, run through its calls, looked at after each, and taken apart. */
#include "fuzz.h"

#include <stdarg.h>

struct f_world fw;
uint64_t fuzz_operations;

void broken(const char *format, ...)
{
	va_list args;

	(void)fprintf(stderr,
		      "fuzz: call %llu of the input, %s: ", (unsigned long long)fw.operations,
		      fw.name);
	va_start(args, format);
	(void)vfprintf(stderr, format, args);
	va_end(args);
	(void)fprintf(stderr, "\n");
	abort();
}

/* ---- calls by number, the usual ones more often ------------------------------------------------------------- */

static const struct call {
	op_fn *fn;
	const char *name;
	uint32_t weight;
} calls[] = {
	{ op_receive, "receive", 26 },
	{ op_send_made, "send made", 14 },
	{ op_send, "send", 16 },
	{ op_reap, "reap", 8 },
	{ op_pool_alloc, "alloc", 10 },
	{ op_unref, "unref", 24 },
	{ op_unref_burst, "unref burst", 10 },
	{ op_ref, "ref", 18 },
	{ op_data, "data", 8 },
	{ op_write, "write", 12 },
	{ op_view, "view", 10 },
	{ op_copy, "copy", 6 },
	{ op_unshare, "unshare", 5 },
	{ op_user, "user", 3 },
	{ op_forge, "forge", 6 },
	{ op_duplicate_handle, "duplicate", 3 },
	{ op_metadata, "metadata", 5 },
	{ op_lane_attach, "attach", 2 },
	{ op_lane_flush, "flush", 2 },
	{ op_lane_detach, "detach", 2 },
	{ op_pool_stats, "pool stats", 2 },
	{ op_pool_report, "report", 1 },
	{ op_pool_drain, "drain", 2 },
	{ op_wait, "wait", 3 },
	{ op_error, "error", 2 },
	{ op_socket_stats, "socket stats", 2 },
	{ op_wake, "wake", 1 },
	{ op_faults, "faults", 2 },
	{ op_truth, "truth", 4 },
	{ op_link, "link", 1 },
	{ op_take_rings, "take rings", 1 },
	{ op_kernel_receive, "kernel receives", 12 },
	{ op_kernel_transmit, "kernel transmits", 8 },
	{ op_kernel_rx, "kernel's RX", 5 },
	{ op_kernel_comp, "kernel's COMPLETION", 5 },
	{ op_kernel_index, "kernel's index", 1 },
	{ op_open, "open", 3 },
	{ op_close, "close", 1 },
	{ op_pool_create, "pool create", 1 },
	{ op_pool_ref, "pool ref", 1 },
	{ op_pool_unref, "pool unref", 1 },
	{ op_remove, "remove", 1 },
	{ op_send_timed, "send timed", 2 },
};

static const struct call *by_number[256];

static void number_calls(void)
{
	uint32_t total = 0;

	for (uint32_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		for (uint32_t k = 0; k < calls[i].weight && total < 256; k++)
			by_number[total++] = &calls[i];
	for (uint32_t i = 0; total < 256; i++)
		by_number[total++] = &calls[i % 8];
}

/* ---- before and after each call ----------------------------------------------------------------------------- */

static void written_words(const struct f_socket *s, uint32_t word[4])
{
	word[0] = *s->in->rx_ring.consumer;
	word[1] = *s->in->tx_ring.producer;
	word[2] = *s->in->q->fill.producer;
	word[3] = *s->in->q->comp.consumer;
}

static void look_before(struct f_socket *s)
{
	written_words(s, s->word);
	s->counted[0] = load_relaxed(&s->in->rx_refused);
	s->counted[1] = load_relaxed(&s->in->rx_broken);
	s->counted[2] = load_relaxed(&s->in->comp_refused);
}

static void look_after(struct f_socket *s)
{
	const struct sxsk_priv_queue *q = s->in->q;
	uint32_t failed = load_relaxed(&s->in->failed), word[4];

	model_filled(s);
	expect(load_relaxed(&s->in->rx_refused) == s->counted[0],
	       "%llu RX descriptors refused, should be %llu",
	       (unsigned long long)load_relaxed(&s->in->rx_refused),
	       (unsigned long long)s->counted[0]);
	expect(load_relaxed(&s->in->rx_broken) == s->counted[1],
	       "%llu packets broken, should be %llu",
	       (unsigned long long)load_relaxed(&s->in->rx_broken),
	       (unsigned long long)s->counted[1]);
	expect(load_relaxed(&s->in->comp_refused) == s->counted[2],
	       "%llu completions refused, should be %llu",
	       (unsigned long long)load_relaxed(&s->in->comp_refused),
	       (unsigned long long)s->counted[2]);
	if (s->poisoned) {
		written_words(s, word);
		expect(failed == EPROTO, "a poisoned socket is not any more: %u", failed);
		expect(memcmp(word, s->word, sizeof(word)) == 0,
		       "a poisoned socket's rings were touched");
		return;
	}
	s->poisoned = failed == EPROTO;
	expect(!s->poisoned || s->lied, "poisoned, and nobody lied");
	expect(s->poisoned ||
		       (q->fill_returned <= q->fill_given && q->comp_returned <= q->comp_given),
	       "more came back than was given, and the socket is not poisoned");
	expect(s->poisoned || q->comp_given - q->comp_returned <= q->comp.size,
	       "more in flight than COMPLETION holds");
}

static void look_at_all(void)
{
	for (struct f_socket *s = fw.socket; s < fw.socket + SOCKETS; s++)
		if (s->cookie)
			look_after(s);
	for (struct f_pool *p = fw.pool; p < fw.pool + POOLS; p++) {
		if (p->cookie)
			pool_settle(p);
		if (p->cookie)
			model_compare(p);
	}
	expect(sxsk_misuse_count() == fw.misuse, "misuse noticed %llu times, should be %llu: %s",
	       (unsigned long long)sxsk_misuse_count(), (unsigned long long)fw.misuse,
	       sxsk_last_error());
}

static void all_bytes(void)
{
	for (struct f_pool *p = fw.pool; p < fw.pool + POOLS; p++)
		for (uint32_t i = 0; p->cookie && i < p->in->count; i++)
			model_bytes(p, i);
}

static void call(op_fn *fn, const char *name)
{
	fw.name = name;
	fw.operations++;
	for (struct f_socket *s = fw.socket; s < fw.socket + SOCKETS; s++)
		if (s->cookie)
			look_before(s);
	fn();
	look_at_all();
	if (fw.operations % 16 == 0)
		all_bytes();
}

/* ---- an input --------------------------------------------------------------------------------------------- */

static void ignore(const struct sxsk_misuse *m, void *arg)
{
	(void)m;
	(void)arg;
}

/* A pool or two, the ends of a cable, and a socket whose kernel the harness is. */
static void op_begin(void)
{
	uint32_t b = byte(), flags = byte(), sizes = byte();
	struct f_pool *second = &fw.pool[b & 0x40 ? 1 : 0];

	pool_open(0, b & 7);
	if (b & 0x40)
		pool_open(1, b >> 3 & 7);
	socket_open(0, &fw.pool[0], fw.pool[0].cookie, 0, flags & 0x74, sizes);
	socket_open(1, second, second->cookie, 0, flags & 0x74, sizes);
	socket_open(2, &fw.pool[0], fw.pool[0].cookie, 1, flags & 0x74, sizes >> 2);
	if (b & 0x80 && sxsk_mem_take_rings(fw.socket[2].cookie, &fw.socket[2].k) == 0)
		fw.socket[2].taken = true;
}

static void op_close_all(void)
{
	for (struct f_socket *s = fw.socket; s < fw.socket + SOCKETS; s++)
		if (s->cookie)
			socket_close(s);
}

/* All references, whoever had the handles. */
static void op_unref_all(void)
{
	for (struct f_pool *p = fw.pool; p < fw.pool + POOLS; p++)
		for (uint32_t i = 0; p->cookie && i < p->in->count; i++)
			while (p->frame[i].users > 0) {
				struct sxsk_buf b = { .id = p->frame[i].generation | i,
						      .pool = (uint16_t)p->in->slot };

				(void)model_unref(b);
				sxsk_buf_unref(&b);
			}
}

/* What is in the depot, is there once. */
static void op_take_all(void)
{
	for (struct f_pool *p = fw.pool; p < fw.pool + POOLS; p++) {
		struct sxsk_buf bufs[FRAMES + 1];
		uint32_t n, free_frames = 0;

		if (!p->cookie || p->owners == 0)
			continue;
		sxsk_lane_detach(p->cookie);
		for (uint32_t i = 0; i < p->in->count; i++)
			free_frames += p->frame[i].where == FREE;
		n = sxsk_pool_alloc(p->cookie, bufs, FRAMES + 1);
		expect(n == free_frames, "%u frames are in the depot, and %u are free", n,
		       free_frames);
		for (uint32_t i = 0; i < n; i++) {
			expect(p->frame[sxsk_buf_index(bufs[i])].where == FREE,
			       "frame %u is not free", sxsk_buf_index(bufs[i]));
			model_own(p, sxsk_buf_index(bufs[i]), NULL);
		}
		for (uint32_t i = 0; i < n; i++)
			(void)model_unref(bufs[i]);
		sxsk_buf_unref_burst(bufs, n);
	}
}

static void op_unref_pools(void)
{
	for (struct f_pool *p = fw.pool; p < fw.pool + POOLS; p++)
		for (; p->cookie && p->owners > 0; p->owners--)
			sxsk_pool_unref(p->cookie);
}

static void start(void)
{
	number_calls();
	(void)setenv("SAFEXSK_HARDEN", "none", 0);
	sxsk_set_misuse_handler(ignore, NULL);
	fw.null = fopen("/dev/null", "w");
	if (!fw.null)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!fw.null)
		start();
	memset(fw.handle, 0, sizeof(fw.handle));
	memset(fw.record, 0, sizeof(fw.record));
	fw.stale_pool = NULL;
	fw.stale_socket = NULL;
	fw.misuse = sxsk_misuse_count();
	fw.operations = 0;
	fw.data = data;
	fw.end = data + size;
	call(op_begin, "begin");
	while (fw.data < fw.end) {
		const struct call *c = by_number[byte()];

		call(c->fn, c->name);
	}
	all_bytes();
	call(op_close_all, "close all");
	call(op_unref_all, "unref all");
	call(op_take_all, "take all");
	call(op_unref_pools, "unref pools");
	for (struct f_pool *p = fw.pool; p < fw.pool + POOLS; p++)
		expect(!p->cookie, "a pool is left");
	fuzz_operations += fw.operations;
	return 0;
}
