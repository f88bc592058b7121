/* SPDX-License-Identifier: BSD-2-Clause */
/* A socket whose kernel side broke the ring protocol leaves its rings alone from then on: whichever call
 * finds out, and whichever comes after. */
#include "support.h"

struct side {
	struct sxsk_pool *pool;
	struct sxsk_socket *socket;
	struct sxsk_mem_rings k;
	uint32_t word[4];
};

static void words_of(const struct side *s, uint32_t word[4])
{
	word[0] = *s->k.rx.consumer;
	word[1] = *s->k.tx.producer;
	word[2] = *s->k.fill.producer;
	word[3] = *s->k.comp.consumer;
}

static struct side side(const char *name)
{
	struct side s = { .pool = new_pool(256) };

	s.socket = new_socket(s.pool, name, 0);
	s.k = take_rings(s.socket);
	return s;
}

static void expect_poisoned(struct side *s)
{
	cr_assert_eq(sxsk_socket_error(s->socket), -EPROTO);
	words_of(s, s->word);
}

static void expect_untouched(const struct side *s)
{
	uint32_t word[4];

	words_of(s, word);
	for (unsigned i = 0; i < 4; i++)
		cr_assert_eq(word[i], s->word[i], "word %u was %u, is %u", i, s->word[i], word[i]);
}

static void over(struct side *s)
{
	sxsk_socket_close(s->socket);
	expect_accounted(s->pool);
	sxsk_pool_unref(s->pool);
}

Test(poison, burst_that_finds_a_completion_too_many_sends_nothing)
{
	struct side s = side("mem:p1");
	struct sxsk_buf b = packet(s.pool, 60, 1);
	uint64_t addr;

	send_one(s.socket, packet(s.pool, 60, 2));
	addr = kernel_take_tx(&s.k).addr;
	kernel_complete(&s.k, addr);
	kernel_complete(&s.k, addr);
	cr_assert_eq(sxsk_tx_burst(s.socket, &b, 1), 0);
	cr_assert_eq(*s.k.tx.producer, 1, "one was sent before");
	cr_assert_not_null(sxsk_buf_data(b), "it is still the caller's");
	expect_poisoned(&s);
	sxsk_buf_unref(&b);
	over(&s);
}

/* FILL's consumer says more than it was given, and a packet waits. */
Test(poison, burst_that_finds_a_wrong_fill_index_receives_nothing)
{
	struct side s = side("mem:p2");
	struct sxsk_buf bufs[64], more;
	unsigned n = 32;

	for (unsigned i = 0; i < n; i++)
		bufs[i] = receive_one(s.socket, &s.k, 60);
	(void)kernel_receive(&s.k, 60);
	*s.k.fill.consumer = *s.k.fill.producer + 5;
	cr_assert_eq(sxsk_rx_burst(s.socket, &more, 1), 0);
	cr_assert_eq(*s.k.rx.consumer, n);
	expect_poisoned(&s);
	sxsk_buf_unref_burst(bufs, n);
	over(&s);
}

static void wrong_rx_index(struct side *s)
{
	struct sxsk_buf b;

	*s->k.rx.producer += 1000;
	cr_assert_eq(sxsk_rx_burst(s->socket, &b, 1), 0);
	expect_poisoned(s);
}

/* What this thread received last goes straight to FILL when it is given back: not any more. */
Test(poison, unrefs_leave_the_fill_ring_alone)
{
	struct side s = side("mem:p3");
	struct sxsk_buf a = receive_one(s.socket, &s.k, 60), b = receive_one(s.socket, &s.k, 60);
	uint32_t before = *s.k.fill.producer;

	sxsk_buf_unref(&a);
	cr_assert_eq(*s.k.fill.producer, before + 1, "the test's premise");
	wrong_rx_index(&s);
	sxsk_buf_unref(&b);
	expect_untouched(&s);
	over(&s);
}

Test(poison, waits_and_drains_leave_all_rings_alone)
{
	struct side s = side("mem:p4");
	struct sxsk_buf held[40];

	for (unsigned i = 0; i < 40; i++) /* FILL lacks frames */
		held[i] = receive_one(s.socket, &s.k, 60);
	send_one(s.socket, packet(s.pool, 60, 1));
	wrong_rx_index(&s);
	kernel_complete(&s.k, kernel_take_tx(&s.k).addr);
	cr_assert_eq(sxsk_socket_wait(s.socket, SXSK_WAIT_RX, 0), -EPROTO);
	cr_assert_eq(sxsk_socket_wait(s.socket, SXSK_WAIT_TX, 0), -EPROTO);
	cr_assert_eq(sxsk_pool_drain(s.pool, 0), -ETIMEDOUT);
	sxsk_buf_unref_burst(held, 40);
	cr_assert_eq(sxsk_rx_burst(s.socket, held, 40), 0);
	cr_assert_eq(sxsk_tx_burst(s.socket, NULL, 0), 0);
	expect_untouched(&s);
	over(&s);
}
