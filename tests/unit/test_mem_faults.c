/* SPDX-License-Identifier: BSD-2-Clause */
/* The in-process device lies when told to, as told, and no more than that. */
#include "raw_mem.h"

/* A cable whose first end sends and whose second end receives; `fault` at every opportunity. */
struct lying {
	struct raw *a, *b;
};

static struct mem_end *end_of(struct raw *r)
{
	return r->s.device_data;
}

static uint64_t told(struct raw *r, enum sxsk_mem_fault fault)
{
	return end_of(r)->liar.told[fault];
}

static void tell(struct raw *r, enum sxsk_mem_fault fault)
{
	struct sxsk_mem_faults f = { .sz = sizeof(f), .seed = 1 };

	f.one_in[fault] = 1;
	sxsk_priv_mem_lie(end_of(r), &f, true);
}

static void truth(struct raw *r)
{
	sxsk_priv_mem_lie(end_of(r), &(struct sxsk_mem_faults){ .sz = 0 }, false);
}

static struct lying cable(void)
{
	struct lying c = { raw_open("mem:liar", 0), raw_open("mem:liar", 0) };

	for (unsigned i = 0; i < 32; i++)
		give(c.b, i * CHUNK);
	return c;
}

static void close_cable(struct lying c)
{
	raw_close(c.a);
	raw_close(c.b);
}

static int send(struct raw *r, uint32_t n)
{
	put_many(r, n, 0);
	return kick(r);
}

static struct xdp_desc next_rx(struct raw *r)
{
	struct xdp_desc d = { 0 };

	cr_assert(take_rx(r, &d), "an RX descriptor is missing");
	return d;
}

Test(mem_faults, loss_completes_and_does_not_arrive)
{
	struct lying c = cable();

	tell(c.a, SXSK_MEM_LOSS);
	cr_assert_eq(send(c.a, 2), 0);
	expect_comp(c.a, 0, 1);
	cr_assert_eq(count_rx(c.b), 0);
	cr_assert_eq(*c.b->q.fill.consumer, 0);
	cr_assert_eq(told(c.a, SXSK_MEM_LOSS), 2);
	truth(c.a);
	cr_assert_eq(send(c.a, 2), 0);
	cr_assert_eq(count_rx(c.b), 2);
	cr_assert_eq(told(c.a, SXSK_MEM_LOSS), 2);
	close_cable(c);
}

Test(mem_faults, busy_drops_with_an_error)
{
	struct lying c = cable();

	tell(c.a, SXSK_MEM_TX_BUSY);
	cr_assert_eq(send(c.a, 2), -EBUSY);
	expect_comp(c.a, 0);
	cr_assert_eq(kick(c.a), -EBUSY);
	expect_comp(c.a, 1);
	cr_assert_eq(count_rx(c.b), 0);
	close_cable(c);
}

Test(mem_faults, indices_are_wrong_for_one_kick)
{
	static const struct {
		enum sxsk_mem_fault fault;
		bool receiver;
	} cases[] = {
		{ SXSK_MEM_TX_INDEX, false },
		{ SXSK_MEM_COMP_INDEX, false },
		{ SXSK_MEM_FILL_INDEX, true },
		{ SXSK_MEM_RX_INDEX, true },
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct lying c = cable();
		struct raw *liar = cases[i].receiver ? c.b : c.a;
		uint32_t *const word[] = { c.a->s.tx_ring.consumer, c.a->q.comp.producer,
					   c.b->q.fill.consumer, c.b->s.rx_ring.producer };

		tell(liar, cases[i].fault);
		cr_assert_eq(send(c.a, 1), 0);
		for (unsigned k = 0; k < 4; k++)
			cr_assert_eq(*word[k] != 1, k == i, "fault %u, word %u is %u", i, k,
				     *word[k]);
		cr_assert_eq(told(liar, cases[i].fault), 1);
		truth(liar);
		cr_assert_eq(kick(c.a), 0);
		cr_assert_eq(*word[i], 1, "right again");
		close_cable(c);
	}
}

Test(mem_faults, rx_descriptors)
{
	struct lying c = cable();
	struct xdp_desc d;

	tell(c.b, SXSK_MEM_RX_DUPLICATE);
	cr_assert_eq(send(c.a, 1), 0);
	d = next_rx(c.b);
	cr_assert_eq(next_rx(c.b).addr, d.addr);

	tell(c.b, SXSK_MEM_RX_LATE);
	cr_assert_eq(send(c.a, 1), 0);
	cr_assert_eq(next_rx(c.b).addr, CHUNK + DATA);
	cr_assert_eq(next_rx(c.b).addr, DATA, "of the packet before");
	cr_assert_eq(told(c.b, SXSK_MEM_RX_LATE), 1);

	tell(c.b, SXSK_MEM_RX_FOREIGN);
	cr_assert_eq(send(c.a, 1), 0);
	d = next_rx(c.b);
	cr_assert_neq(d.addr / CHUNK, 2);
	cr_assert_lt(d.addr, CHUNKS * CHUNK);
	cr_assert_eq(d.addr % CHUNK, DATA);

	tell(c.b, SXSK_MEM_RX_MISSING);
	cr_assert_eq(send(c.a, 1), 0);
	cr_assert_eq(count_rx(c.b), 0);
	cr_assert_eq(*c.b->q.fill.consumer, 4, "it was taken from FILL");

	tell(c.b, SXSK_MEM_RX_FULL);
	cr_assert_eq(send(c.a, 1), 0);
	cr_assert_eq(count_rx(c.b), 0);
	cr_assert_eq(stats(c.b).rx_ring_full, 1);

	tell(c.b, SXSK_MEM_RX_REORDER);
	cr_assert_eq(send(c.a, 2), 0);
	cr_assert_eq(next_rx(c.b).addr, 5 * CHUNK + DATA);
	cr_assert_eq(next_rx(c.b).addr, 4 * CHUNK + DATA);
	cr_assert_eq(count_rx(c.b), 0);
	cr_assert_eq(told(c.b, SXSK_MEM_RX_REORDER), 1, "the first had none before it");
	close_cable(c);
}

Test(mem_faults, rx_descriptors_out_of_range)
{
	struct lying c = cable();
	unsigned beyond = 0, across = 0;

	tell(c.b, SXSK_MEM_RX_RANGE);
	for (unsigned i = 0; i < 30; i++) {
		struct xdp_desc d;

		cr_assert_eq(send(c.a, 1), 0);
		d = next_rx(c.b);
		if (d.addr >= CHUNKS * CHUNK)
			beyond++;
		else if (d.addr % CHUNK + d.len > CHUNK)
			across++;
		cr_assert_eq(count_comp(c.a), 1);
	}
	cr_assert_eq(beyond + across, 30);
	cr_assert(beyond > 0 && across > 0);
	close_cable(c);
}

Test(mem_faults, fill_taken_for_empty_drops)
{
	struct lying c = cable();

	tell(c.b, SXSK_MEM_FILL_EMPTY);
	cr_assert_eq(send(c.a, 2), 0);
	expect_comp(c.a, 0, 1);
	cr_assert_eq(count_rx(c.b), 0);
	cr_assert_eq(*c.b->q.fill.consumer, 0, "nothing was taken from FILL");
	cr_assert_eq(stats(c.b).rx_dropped, 2);
	cr_assert_eq(stats(c.b).rx_fill_ring_empty_descs, 2);
	cr_assert_eq(told(c.b, SXSK_MEM_FILL_EMPTY), 2);
	close_cable(c);
}

Test(mem_faults, rx_descriptors_that_no_kernel_posts)
{
	struct lying c = cable();
	unsigned goes_on = 0, empty = 0, early = 0, options = 0;

	tell(c.b, SXSK_MEM_RX_ODD);
	for (unsigned i = 0; i < 30; i++) {
		struct xdp_desc d;

		cr_assert_eq(send(c.a, 1), 0);
		d = next_rx(c.b);
		cr_assert_eq(d.addr / CHUNK, i, "the frame is the one that was used");
		goes_on += d.options == 1;
		options += d.options > 1;
		empty += d.len == 0;
		early += d.addr % CHUNK < DATA;
		cr_assert_eq(count_comp(c.a), 1);
	}
	cr_assert_eq(goes_on + options + empty + early, 30);
	cr_assert(goes_on > 0 && options > 0 && empty > 0 && early > 0);
	close_cable(c);
}

Test(mem_faults, completions)
{
	struct lying c = cable();
	uint64_t addr;

	tell(c.a, SXSK_MEM_COMP_DUPLICATE);
	cr_assert_eq(send(c.a, 1), 0);
	expect_comp(c.a, 0, 0);

	put(c.a, 7 * CHUNK, 60, 0);
	tell(c.a, SXSK_MEM_COMP_LATE);
	cr_assert_eq(kick(c.a), 0);
	expect_comp(c.a, 7, 0);

	tell(c.a, SXSK_MEM_COMP_FOREIGN);
	cr_assert_eq(send(c.a, 1), 0);
	cr_assert(take_comp(c.a, &addr));
	cr_assert(addr > 0 && addr < CHUNKS * CHUNK && addr % CHUNK == 0);

	put(c.a, 3 * CHUNK, 60, 0);
	put(c.a, 3 * CHUNK, 60, 0);
	tell(c.a, SXSK_MEM_COMP_ODD);
	cr_assert_eq(kick(c.a), 0);
	for (unsigned i = 0, low = 0; i < 2; i++) {
		cr_assert(take_comp(c.a, &addr));
		cr_assert_eq(addr / CHUNK, 3);
		cr_assert_neq(addr % CHUNK, low, "another place each time");
		low = (unsigned)(addr % CHUNK);
	}

	tell(c.a, SXSK_MEM_COMP_RANGE);
	cr_assert_eq(send(c.a, 1), 0);
	cr_assert(take_comp(c.a, &addr));
	cr_assert_geq(addr, CHUNKS * CHUNK);

	tell(c.a, SXSK_MEM_COMP_MISSING);
	cr_assert_eq(send(c.a, 1), 0);
	cr_assert_eq(count_comp(c.a), 0);

	tell(c.a, SXSK_MEM_COMP_REORDER);
	cr_assert_eq(send(c.a, 2), 0);
	expect_comp(c.a, 1, 0);

	tell(c.a, SXSK_MEM_COMP_FULL);
	cr_assert_eq(send(c.a, 1), -EAGAIN);
	cr_assert_eq(count_comp(c.a), 0);
	truth(c.a);
	cr_assert_eq(kick(c.a), 0);
	expect_comp(c.a, 0);
	close_cable(c);
}

/* What both sides saw of 200 packets, as one number. */
static uint64_t transcript(uint64_t seed)
{
	struct lying c = cable();
	struct sxsk_mem_faults f = { .sz = sizeof(f), .seed = seed };
	uint64_t sum = 14695981039346656037ull, addr;
	struct xdp_desc d;

	for (unsigned i = 0; i < SXSK_MEM_FAULTS; i++)
		f.one_in[i] = 7;
	f.one_in[SXSK_MEM_TX_INDEX] = f.one_in[SXSK_MEM_FILL_INDEX] = 0;
	f.one_in[SXSK_MEM_COMP_INDEX] = f.one_in[SXSK_MEM_RX_INDEX] = 0;
	sxsk_priv_mem_lie(end_of(c.a), &f, true);
	sxsk_priv_mem_lie(end_of(c.b), &f, true);
	for (unsigned i = 0; i < 200; i++) {
		sum = (sum ^ (unsigned)-send(c.a, 1 + i % 3)) * 1099511628211ull;
		while (take_comp(c.a, &addr))
			sum = (sum ^ addr) * 1099511628211ull;
		while (take_rx(c.b, &d)) {
			sum = (sum ^ d.addr ^ (uint64_t)d.len << 32) * 1099511628211ull;
			if (*c.b->q.fill.producer - *c.b->q.fill.consumer < 32)
				give(c.b, d.addr % (CHUNKS * CHUNK));
		}
	}
	close_cable(c);
	return sum;
}

Test(mem_faults, same_seed_same_lies)
{
	cr_assert_eq(transcript(42), transcript(42));
	cr_assert_neq(transcript(42), transcript(43));
	cr_assert_neq(transcript(0), transcript(1));
}

/* Every fault at once, and a user that lies too: all stays inside rings and packet memory, which the
 * sanitizer and the pages around the rings watch. */
Test(mem_faults, liars_on_both_sides_stay_in_bounds)
{
	struct raw *r[2];
	struct sxsk_mem_faults f = { .sz = sizeof(f), .seed = 7 };
	uint64_t x = 88172645463325252ull, sent = 0;

	for (unsigned i = 0; i < SXSK_MEM_FAULTS; i++)
		f.one_in[i] = 5;
	for (unsigned i = 0; i < 2; i++) {
		r[i] = raw_open_sized("mem:chaos", SXSK_SOCKET_MULTI_BUFFER,
				      (const uint32_t[4]){ 16, 16, 16, 16 });
		sxsk_priv_mem_lie(end_of(r[i]), &f, true);
	}
	for (unsigned i = 0; i < 100000; i++) {
		struct raw *a = r[i % 2];
		struct xdp_desc *d = xsk_ring_prod__tx_desc(&a->s.tx_ring, i);
		uint32_t *const words[] = { a->s.tx_ring.producer, a->q.fill.producer,
					    a->s.rx_ring.consumer, a->q.comp.consumer };

		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		d->addr = x & 1 ? x % (CHUNKS * CHUNK) : x;
		d->len = x & 2 ? (uint32_t)(x >> 20) % CHUNK : (uint32_t)(x >> 20);
		d->options = x & 0x3c ? (uint32_t)(x >> 8) & 1 : (uint32_t)(x >> 8);
		*xsk_ring_prod__fill_addr(&a->q.fill, i) = x & 64 ? x : x % (CHUNKS * CHUNK);
		__atomic_fetch_add(words[x >> 30 & 3], (uint32_t)(x >> 40) % 9, __ATOMIC_RELEASE);
		if (x >> 59 == 0)
			__atomic_store_n(words[x >> 32 & 3], (uint32_t)x, __ATOMIC_RELEASE);
		sent += kick(a) == 0;
	}
	cr_assert_gt(sent, 0);
	raw_close(r[0]);
	raw_close(r[1]);
}
