/* SPDX-License-Identifier: BSD-2-Clause */
/* The states of a frame: generations, transmissions and ledgers, and a kernel side that names frames
 * which it does not have. The test plays the kernel. */
#include "support.h"

/* ---- generations -------------------------------------------------------------------------------------- */

Test(frame, generation_grows_when_the_last_reference_goes_and_not_before)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_buf b = take(pool), clone = sxsk_buf_ref(b), was = b;
	uint64_t generation = b.id >> 20;

	cr_assert_eq(word_of(was) >> 20, generation);
	sxsk_buf_unref(&clone);
	cr_assert_eq(word_of(was) >> 20, generation);
	sxsk_buf_unref(&b);
	cr_assert_eq(word_of(was) >> 20, generation + 1);
	sxsk_pool_unref(pool);
}

Test(frame, generation_grows_at_a_send)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_socket *socket = new_socket(pool, "mem:gen", SXSK_SOCKET_NO_RX);
	struct sxsk_mem_rings k = take_rings(socket);
	struct sxsk_buf b = packet(pool, 60, 1), clone = sxsk_buf_ref(b), was = b;
	uint64_t generation = b.id >> 20;

	send_one(socket, b);
	cr_assert_eq(word_of(was) >> 20, generation, "the clone is still there");
	send_one(socket, clone);
	cr_assert_eq(word_of(was) >> 20, generation + 1);
	cr_assert_eq(kernel_complete_all(&k), 2);
	reap(socket);
	cr_assert_eq(word_of(was) >> 20, generation + 1);
	close_and_unref(socket, pool);
}

/* Else the next owner's handle would be equal to the last one's. */
Test(frame, generation_grows_when_the_last_user_goes_before_the_transmission)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_socket *socket = new_socket(pool, "mem:gen2", SXSK_SOCKET_NO_RX);
	struct sxsk_mem_rings k = take_rings(socket);
	struct sxsk_buf b = packet(pool, 60, 1), stale = b;
	uint64_t generation = b.id >> 20;

	cr_assert_eq(sxsk_lane_attach(pool), 0);
	send_one(socket, sxsk_buf_ref(b));
	sxsk_buf_unref(&b);
	cr_assert_eq(word_of(stale) >> 20, generation + 1);
	cr_assert_eq(kernel_complete_all(&k), 1);
	reap(socket);
	b = take(pool);
	cr_assert_eq(sxsk_buf_index(b), sxsk_buf_index(stale), "the frame that came home last");
	count_misuse();
	expect_misuse(SXSK_MISUSE_STALE, "sxsk_buf_data", cr_assert_null(sxsk_buf_data(stale)));
	sxsk_buf_unref(&b);
	sxsk_lane_detach(pool);
	close_and_unref(socket, pool);
}

/* All frames of the pool are used up: none ever comes again, and each is accounted for. */
static void expect_all_retired(struct sxsk_pool *pool)
{
	struct sxsk_buf b;

	cr_assert_eq(sxsk_pool_alloc(pool, &b, 1), 0);
	sxsk_lane_detach(pool);
	cr_assert_eq(pool_stats(pool).retired, pool_stats(pool).total, "%llu retired",
		     (unsigned long long)pool_stats(pool).retired);
	expect_accounted(pool);
	sxsk_pool_unref(pool);
}

Test(frame, used_up_generation_retires_the_frame)
{
	for (unsigned lane = 0; lane < 2; lane++) {
		struct sxsk_pool *pool = new_pool(64);
		struct sxsk_buf all[64];

		age_pool(pool, 1);
		if (lane)
			cr_assert_eq(sxsk_lane_attach(pool), 0);
		for (unsigned life = 0; life < 2; life++) {
			cr_assert_eq(take_all(pool, all, 64), 64, "life %u", life);
			cr_assert_eq(all[0].id >> 63, 0);
			sxsk_buf_unref_burst(all, 64);
		}
		expect_all_retired(pool);
	}
}

/* These were given away last with the last generation: they retire when they come back. */
static bool is_old(uint32_t frame)
{
	return frame < 4 || frame % 4 == 0; /* one of each magazine, and the whole first one */
}

Test(frame, one_used_up_frame_does_not_hold_others_back)
{
	for (unsigned lane = 0; lane < 2; lane++) {
		struct sxsk_pool *pool = new_pool(64);
		struct sxsk_priv_pool *p = inner_pool(pool);
		struct sxsk_buf all[64];

		for (uint32_t i = 0; i < 64; i++)
			if (is_old(i))
				frame_become(p, i,
					     (FRAME_USED_UP - FRAME_GENERATION) |
						     FRAME_HOME(HOLDER_DEPOT));
		if (lane)
			cr_assert_eq(sxsk_lane_attach(pool), 0);
		cr_assert_eq(take_all(pool, all, 64), 64);
		sxsk_buf_unref_burst(all, 64);
		cr_assert_eq(pool_stats(pool).retired, 19);
		cr_assert_eq(take_all(pool, all, 64), 64 - 19);
		cr_assert_eq(units_frames(pool), 64 - 19);
		sxsk_buf_unref_burst(all, 64 - 19);
		expect_accounted(pool);
		sxsk_lane_detach(pool);
		expect_accounted(pool);
		sxsk_pool_unref(pool);
	}
}

Test(frame, used_up_generation_retires_at_the_completion)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_socket *socket = new_socket(pool, "mem:old", SXSK_SOCKET_NO_RX);
	struct sxsk_mem_rings k = take_rings(socket);
	struct sxsk_buf b, clone;

	age_pool(pool, 0);
	send_one(socket, packet(pool, 60, 1));
	b = packet(pool, 60, 1);
	clone = sxsk_buf_ref(b);
	send_one(socket, b);
	send_one(socket, clone);
	cr_assert_eq(kernel_complete_all(&k), 3);
	reap(socket);
	cr_assert_eq(pool_stats(pool).retired, 2);
	expect_accounted(pool);
	close_and_unref(socket, pool);
}

Test(frame, used_up_generation_is_not_received_again)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_socket *socket;
	struct sxsk_mem_rings k;
	struct sxsk_buf b;

	age_pool(pool, 0);
	socket = new_socket(pool, "mem:older", SXSK_SOCKET_NO_TX);
	k = take_rings(socket);
	while (fill_level(&k) > 0) {
		b = receive_one(socket, &k, 60);
		cr_assert_eq(b.id >> 63, 0);
		sxsk_buf_unref(&b); /* back to FILL it does not go */
		if (fill_level(&k) > 0 && pool_stats(pool).user == 0)
			break;
	}
	for (unsigned i = 0; i < 200 && fill_level(&k) > 0; i++) {
		(void)kernel_receive(&k, 60);
		if (sxsk_rx_burst(socket, &b, 1) == 1) {
			cr_assert_eq(b.id >> 63, 0);
			sxsk_buf_unref(&b);
		}
	}
	cr_assert_gt(pool_stats(pool).retired, 0);
	cr_assert_eq(sxsk_misuse_count(), 0);
	expect_accounted(pool);
	close_and_unref(socket, pool);
}

/* ---- holders ------------------------------------------------------------------------------------------ */

/* What two threads leave behind that gave one reference back at the same instant: the frame's number in
 * this stock, and its word says that it is elsewhere. */
static void plant(struct sxsk_priv_stock *stock, struct sxsk_priv_pool *pool)
{
	uint32_t f = pool->count;

	do
		cr_assert_gt(f, 0);
	while ((frame_word(pool, --f) & FRAME_LOW) != FRAME_HOME(HOLDER_DEPOT));
	stock->index[stock->n++] = f;
}

static struct sxsk_priv_stock *lane_with_frames(struct sxsk_pool *pool)
{
	struct sxsk_buf some[3];

	cr_assert_eq(sxsk_lane_attach(pool), 0);
	cr_assert_eq(sxsk_pool_alloc(pool, some, 3), 3);
	sxsk_buf_unref_burst(some, 3);
	return &sxsk_priv_thread_self->lanes->stock;
}

Test(frame, frame_leaves_home_only_from_the_holder_that_its_word_names)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_priv_stock *stock = lane_with_frames(pool);
	struct sxsk_buf all[65];
	unsigned char at[64] = { 0 };

	plant(stock, inner_pool(pool));
	count_misuse();
	expect_misuse(SXSK_MISUSE_CORRUPT, "free frames",
		      cr_assert_eq(sxsk_pool_alloc(pool, all, 65), 64));
	for (unsigned i = 0; i < 64; i++)
		cr_assert_eq(at[sxsk_buf_index(all[i])]++, 0, "one frame was given out twice");
	sxsk_buf_unref_burst(all, 64);
	expect_accounted(pool);
	sxsk_lane_detach(pool);
	expect_all_home(pool);
	sxsk_pool_unref(pool);
}

Test(frame, flush_gives_back_the_units_of_what_it_moved_only)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_priv_stock *stock = lane_with_frames(pool);

	plant(stock, inner_pool(pool));
	count_misuse();
	expect_misuse(SXSK_MISUSE_CORRUPT, "free frames", sxsk_lane_flush(pool));
	expect_all_home(pool);
	sxsk_pool_unref(pool);
}

Test(frame, refill_takes_only_what_the_stock_really_has)
{
	struct sxsk_pool *pool = new_pool(256);
	struct sxsk_socket *socket = new_socket(pool, "mem:stock", 0);
	struct sxsk_mem_rings k = take_rings(socket);
	struct sxsk_buf bufs[40];
	unsigned char at[256] = { 0 };

	for (unsigned i = 0; i < 40; i++)
		(void)kernel_receive(&k, 60);
	cr_assert_eq(sxsk_rx_burst(socket, bufs, 40), 40);
	plant(&inner_socket(socket)->rx.stock, inner_pool(pool));
	count_misuse();
	expect_misuse(SXSK_MISUSE_CORRUPT, "free frames",
		      (void)!sxsk_rx_burst(socket, bufs + 39, 1));
	while (fill_level(&k) > 0)
		cr_assert_eq(at[kernel_take_fill(&k) / 2048]++, 0, "one frame was given twice");
	sxsk_buf_unref_burst(bufs, 40);
	close_and_unref(socket, pool);
}

/* ---- transmissions ------------------------------------------------------------------------------------ */

Test(frame, lone_send_needs_no_ledger_and_a_shared_one_does)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_socket *socket = new_socket(pool, "mem:ledger", SXSK_SOCKET_NO_RX);
	struct sxsk_mem_rings k = take_rings(socket);
	struct sxsk_buf b = packet(pool, 60, 1), clone;
	struct sxsk_priv_ledger *ledger = &inner_socket(socket)->q->ledger;

	send_one(socket, packet(pool, 60, 1));
	cr_assert_eq(ledger->used, 0);
	clone = sxsk_buf_ref(b);
	send_one(socket, clone);
	cr_assert_eq(ledger->used, 1);
	cr_assert_eq(kernel_complete_all(&k), 2);
	reap(socket);
	cr_assert_eq(ledger->used, 0);
	cr_assert_eq(socket_stats(socket).comp_refused, 0);
	cr_assert_not_null(sxsk_buf_data_mut(b), "it is the only owner again");
	sxsk_buf_unref(&b);
	close_and_unref(socket, pool);
}

Test(frame, one_buf_floods_two_sockets_without_a_copy)
{
	struct sxsk_pool *pool = new_pool(64), *far = new_pool(256);
	struct sxsk_socket *to[2] = { new_socket(pool, "mem:flood0", SXSK_SOCKET_NO_RX),
				      new_socket(pool, "mem:flood1", SXSK_SOCKET_NO_RX) };
	struct sxsk_socket *end[2] = { new_socket(far, "mem:flood0", 0),
				       new_socket(far, "mem:flood1", 0) };
	struct sxsk_buf b = packet(pool, 100, 0x5c), got;
	const unsigned char *data = sxsk_buf_data(b);

	count_misuse();
	for (unsigned i = 0; i < 2; i++)
		send_one(to[i], sxsk_buf_ref(b));
	cr_assert_eq(sxsk_buf_data(b), data, "readable meanwhile");
	cr_assert(sxsk_buf_is_shared(b));
	expect_misuse(SXSK_MISUSE_SHARED, "sxsk_buf_data_mut",
		      cr_assert_null(sxsk_buf_data_mut(b)));
	cr_assert_eq(pool_stats(pool).user + pool_stats(pool).tx, 1, "one frame for all");
	for (unsigned i = 0; i < 2; i++) {
		reap(to[i]);
		cr_assert_eq(sxsk_rx_burst(end[i], &got, 1), 1);
		cr_assert_eq(sxsk_buf_len(got), 100);
		cr_assert_eq(memcmp(sxsk_buf_data(got), data, 100), 0);
		sxsk_buf_unref(&got);
	}
	cr_assert_eq(sxsk_buf_data_mut(b), data, "both are done: mutable again");
	sxsk_buf_unref(&b);
	for (unsigned i = 0; i < 2; i++) {
		sxsk_socket_close(to[i]);
		sxsk_socket_close(end[i]);
	}
	expect_all_home(pool);
	expect_all_home(far);
	sxsk_pool_unref(pool);
	sxsk_pool_unref(far);
}

/* Whatever the order, the frame comes home with the last of its users and transmissions, once. */
Test(frame, frame_comes_home_with_the_last_of_users_and_transmissions)
{
	for (unsigned order = 0; order < 6; order++) {
		static const unsigned char what[6][3] = { { 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 },
							  { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 } };
		struct sxsk_pool *pool = new_pool(64);
		struct sxsk_socket *s[2] = { new_socket(pool, "mem:one", SXSK_SOCKET_NO_RX),
					     new_socket(pool, "mem:two", SXSK_SOCKET_NO_RX) };
		struct sxsk_mem_rings k[2] = { take_rings(s[0]), take_rings(s[1]) };
		struct sxsk_buf b = packet(pool, 60, 1), was = b;

		send_one(s[0], sxsk_buf_ref(b));
		send_one(s[1], sxsk_buf_ref(b));
		for (unsigned i = 0; i < 3; i++) {
			unsigned x = what[order][i];

			cr_assert_eq(FRAME_HAS_USERS(word_of(was)) ? pool_stats(pool).user :
								     pool_stats(pool).tx,
				     1);
			if (x < 2) {
				cr_assert_eq(kernel_complete_all(&k[x]), 1);
				reap(s[x]);
			} else {
				sxsk_buf_unref(&b);
			}
		}
		expect_accounted(pool);
		sxsk_socket_close(s[0]);
		sxsk_socket_close(s[1]);
		expect_all_home(pool);
		sxsk_pool_unref(pool);
	}
}

Test(frame, transmission_256_is_taken_freed_and_counted)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_socket *socket = new_socket_sized(pool, "mem:limit", SXSK_SOCKET_NO_RX, 512);
	struct sxsk_mem_rings k = take_rings(socket);
	struct sxsk_buf b = packet(pool, 60, 1);

	for (unsigned i = 0; i < SXSK_MAX_REFS + 3; i++)
		send_one(socket, sxsk_buf_ref(b));
	cr_assert_eq(socket_stats(socket).drop_limit, 3);
	cr_assert_eq(socket_stats(socket).tx_packets, SXSK_MAX_REFS);
	cr_assert_eq(sxsk_misuse_count(), 0);
	cr_assert_eq(inner_socket(socket)->q->ledger.used, SXSK_MAX_REFS);
	cr_assert_eq(kernel_complete_all(&k), SXSK_MAX_REFS);
	reap(socket);
	cr_assert_not_null(sxsk_buf_data_mut(b), "no reference is left behind");
	send_one(socket, b);
	cr_assert_eq(kernel_complete_all(&k), 1, "there is room again");
	reap(socket);
	close_and_unref(socket, pool);
}

Test(frame, sent_twice_in_one_burst_is_refused)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_socket *socket = new_socket(pool, "mem:twice", SXSK_SOCKET_NO_RX);
	struct sxsk_mem_rings k = take_rings(socket);
	struct sxsk_buf bufs[3] = { packet(pool, 60, 1), { 0 }, packet(pool, 60, 2) };

	bufs[1] = bufs[0];
	count_misuse();
	expect_misuse(SXSK_MISUSE_STALE, "sxsk_tx_burst",
		      cr_assert_eq(sxsk_tx_burst(socket, bufs, 3), 3));
	cr_assert(sxsk_buf_is_null(bufs[1]));
	cr_assert_eq(socket_stats(socket).drop_misuse, 1);
	cr_assert_eq(socket_stats(socket).tx_packets, 2);
	cr_assert_eq(kernel_complete_all(&k), 2);
	reap(socket);
	close_and_unref(socket, pool);
}

/* ---- completions that are not due ----------------------------------------------------------------------- */

Test(frame, completion_matches_its_own_queue_only)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_socket *s[2] = { new_socket(pool, "mem:mine", SXSK_SOCKET_NO_RX),
				     new_socket(pool, "mem:other", SXSK_SOCKET_NO_RX) };
	struct sxsk_mem_rings k[2] = { take_rings(s[0]), take_rings(s[1]) };
	struct sxsk_buf alone = packet(pool, 60, 1), shared = packet(pool, 60, 2), keep;
	struct xdp_desc sent[2];

	keep = sxsk_buf_ref(shared);
	send_one(s[0], alone);
	send_one(s[0], shared);
	for (unsigned i = 0; i < 2; i++) {
		sent[i] = kernel_take_tx(&k[0]);
		send_one(s[1], packet(pool, 60, 3)); /* so that its total is not exceeded */
		kernel_complete(&k[1], sent[i].addr);
	}
	reap(s[1]);
	cr_assert_eq(socket_stats(s[1]).comp_refused, 2);
	cr_assert_eq(word_of(alone) & FRAME_LOW, FRAME_TX1(inner_socket(s[0])->q->id));
	cr_assert_eq(FRAME_TX_OF(word_of(keep)), 1);
	for (unsigned i = 0; i < 2; i++)
		kernel_complete(&k[0], sent[i].addr);
	reap(s[0]);
	cr_assert_eq(socket_stats(s[0]).comp_refused, 0);
	cr_assert_not(FRAME_HAS_USERS(word_of(alone)));
	sxsk_buf_unref(&keep);
	sxsk_socket_close(s[0]);
	sxsk_socket_close(s[1]);
	expect_accounted(pool);
	sxsk_pool_unref(pool);
}

/* A socket with four transmissions under way, of which a lie may take the place. */
struct sending {
	struct sxsk_pool *pool;
	struct sxsk_socket *socket;
	struct sxsk_mem_rings k;
	struct xdp_desc sent[4];
};

static struct sending four_on_the_way(const char *name, uint32_t flags)
{
	struct sending s = { .pool = new_pool(256) };

	s.socket = new_socket(s.pool, name, flags);
	s.k = take_rings(s.socket);
	for (unsigned i = 0; i < 4; i++) {
		send_one(s.socket, packet(s.pool, 60, 1));
		s.sent[i] = kernel_take_tx(&s.k);
	}
	return s;
}

Test(frame, duplicate_completion_brings_a_frame_home_once)
{
	struct sending s = four_on_the_way("mem:dup", SXSK_SOCKET_NO_RX);
	struct sxsk_buf all[256];
	unsigned char at[256] = { 0 };
	unsigned n;

	kernel_complete(&s.k, s.sent[0].addr);
	kernel_complete(&s.k, s.sent[0].addr);
	kernel_complete(&s.k, s.sent[0].addr + 1); /* the same chunk */
	reap(s.socket);
	cr_assert_eq(socket_stats(s.socket).comp_refused, 2);
	cr_assert_eq(socket_stats(s.socket).comp_duplicate, 2);
	cr_assert_eq(pool_stats(s.pool).tx, 3);
	n = take_all(s.pool, all, 256);
	for (unsigned i = 0; i < n; i++)
		cr_assert_eq(at[sxsk_buf_index(all[i])]++, 0);
	sxsk_buf_unref_burst(all, n);
	sxsk_socket_close(s.socket);
	expect_accounted(s.pool);
	sxsk_pool_unref(s.pool);
}

Test(frame, completion_out_of_range_is_refused_and_counted)
{
	static const uint64_t wild[] = { 256 * 2048, 256 * 2048 + 1, 1ull << 31, 1ull << 48,
					 UINT64_MAX };

	for (unsigned i = 0; i < sizeof(wild) / sizeof(wild[0]); i++) {
		struct sending s = four_on_the_way("mem:wild", SXSK_SOCKET_NO_RX);

		kernel_complete(&s.k, wild[i]);
		kernel_complete(&s.k, s.sent[1].addr);
		reap(s.socket);
		cr_assert_eq(socket_stats(s.socket).comp_refused, 1);
		cr_assert_eq(socket_stats(s.socket).comp_duplicate, 0);
		cr_assert_eq(pool_stats(s.pool).tx, 3);
		cr_assert_eq(sxsk_socket_error(s.socket), 0);
		sxsk_socket_close(s.socket);
		expect_accounted(s.pool);
		sxsk_pool_unref(s.pool);
	}
}

Test(frame, completion_of_a_frame_that_is_not_being_sent_leaves_it_where_it_is)
{
	struct sending s = four_on_the_way("mem:foreign", 0);
	uint64_t free_frame = 0, filled = ((uint64_t *)s.k.fill.entries)[0];
	struct sxsk_priv_pool *p = inner_pool(s.pool);
	uint64_t word[2];

	while ((frame_word(p, free_frame) & FRAME_LOW) != FRAME_HOME(HOLDER_DEPOT))
		free_frame++;
	word[0] = load_relaxed(&p->words[free_frame]);
	word[1] = load_relaxed(&p->words[filled / 2048]);
	kernel_complete(&s.k, free_frame * 2048);
	kernel_complete(&s.k, filled);
	reap(s.socket);
	cr_assert_eq(socket_stats(s.socket).comp_refused, 2);
	cr_assert_eq(load_relaxed(&p->words[free_frame]), word[0]);
	cr_assert_eq(load_relaxed(&p->words[filled / 2048]), word[1]);
	sxsk_socket_close(s.socket);
	expect_accounted(s.pool);
	sxsk_pool_unref(s.pool);
}

/* ---- received descriptors that are not due -------------------------------------------------------------- */

Test(frame, received_descriptor_that_leaves_its_frame_is_refused)
{
	struct sxsk_pool *pool = new_pool(256);
	struct sxsk_socket *socket = new_socket(pool, "mem:bounds", 0);
	struct sxsk_mem_rings k = take_rings(socket);
	struct sxsk_buf bufs[16];
	uint64_t addr = kernel_take_fill(&k);
	const struct xdp_desc wrong[] = {
		{ .addr = addr, .len = 2049 },
		{ .addr = addr + 256, .len = 1793 },
		{ .addr = addr + 2047, .len = 2 },
		{ .addr = addr, .len = UINT32_MAX },
		{ .addr = 256 * 2048, .len = 60 },
		{ .addr = UINT64_MAX, .len = 60 },
		{ .addr = addr | 1ull << 48, .len = 60 }, /* an unaligned umem's offset bits */
	};
	const unsigned n = sizeof(wrong) / sizeof(wrong[0]);

	for (unsigned i = 0; i < n; i++)
		kernel_post_rx(&k, wrong[i].addr, wrong[i].len);
	kernel_post_rx(&k, addr + 256, 1792); /* and the truth at last */
	cr_assert_eq(sxsk_rx_burst(socket, bufs, 16), 1, "the burst goes on behind them");
	cr_assert_eq(sxsk_buf_len(bufs[0]), 1792);
	cr_assert_eq(socket_stats(socket).rx_refused, n);
	cr_assert_eq(socket_stats(socket).rx_packets, 1);
	sxsk_buf_unref(&bufs[0]);
	close_and_unref(socket, pool);
}

Test(frame, received_descriptor_of_a_frame_not_given_is_refused)
{
	struct sending s = four_on_the_way("mem:notgiven", 0);
	struct sxsk_priv_pool *p = inner_pool(s.pool);
	uint64_t free_frame = 0, word[2];
	struct sxsk_buf bufs[4];

	while ((frame_word(p, free_frame) & FRAME_LOW) != FRAME_HOME(HOLDER_DEPOT))
		free_frame++;
	word[0] = load_relaxed(&p->words[free_frame]);
	word[1] = load_relaxed(&p->words[s.sent[0].addr / 2048]);
	kernel_post_rx(&s.k, free_frame * 2048, 60);
	kernel_post_rx(&s.k, s.sent[0].addr, 60);
	cr_assert_eq(sxsk_rx_burst(s.socket, bufs, 4), 0);
	cr_assert_eq(socket_stats(s.socket).rx_refused, 2);
	cr_assert_eq(load_relaxed(&p->words[free_frame]), word[0]);
	cr_assert_eq(load_relaxed(&p->words[s.sent[0].addr / 2048]), word[1], "still being sent");
	sxsk_socket_close(s.socket);
	expect_accounted(s.pool);
	sxsk_pool_unref(s.pool);
}

/* The program may have moved the packet's head; among ordinary ones, and round the ring's end. */
Test(frame, received_packet_may_start_anywhere_in_its_frame)
{
	struct sxsk_pool *pool = new_pool(256);
	struct sxsk_socket *socket = new_socket(pool, "mem:head", 0);
	struct sxsk_mem_rings k = take_rings(socket);
	static const uint32_t start[] = { 256, 0, 256, 256, 2047, 200, 256, 300, 256 };
	struct sxsk_buf bufs[9];

	for (unsigned round = 0; round < 20; round++) {
		uint64_t bytes = socket_stats(socket).rx_bytes;

		for (unsigned i = 0; i < 9; i++)
			kernel_post_rx(&k, kernel_take_fill(&k) + start[i], i == 4 ? 1 : 60 + i);
		cr_assert_eq(sxsk_rx_burst(socket, bufs, 9), 9);
		for (unsigned i = 0; i < 9; i++) {
			cr_assert_eq(sxsk_buf_headroom(bufs[i]), start[i]);
			cr_assert_eq(sxsk_buf_len(bufs[i]), i == 4 ? 1 : 60 + i);
			cr_assert_eq(bufs[i].flags, 0);
			cr_assert_not_null(sxsk_buf_data_mut(bufs[i]));
		}
		cr_assert_eq(socket_stats(socket).rx_bytes - bytes, 8 * 60 + 32 + 1);
		sxsk_buf_unref_burst(bufs, 9);
	}
	cr_assert_eq(socket_stats(socket).rx_refused, 0);
	close_and_unref(socket, pool);
}

Test(frame, duplicate_received_descriptor_gives_one_buf)
{
	struct sxsk_pool *pool = new_pool(256);
	struct sxsk_socket *socket = new_socket(pool, "mem:rxdup", 0);
	struct sxsk_mem_rings k = take_rings(socket);
	struct sxsk_buf bufs[4];
	uint64_t addr = kernel_receive(&k, 60);

	kernel_post_rx(&k, addr + 256, 60);
	cr_assert_eq(sxsk_rx_burst(socket, bufs, 4), 1);
	cr_assert_eq(socket_stats(socket).rx_refused, 1);
	sxsk_buf_unref(&bufs[0]);
	close_and_unref(socket, pool);
}

/* ---- suspects ----------------------------------------------------------------------------------------- */

/* A Buf that the kernel side named although it does not have it. */
static struct sxsk_buf suspect(struct sending *s)
{
	struct sxsk_buf b = packet(s->pool, 60, 0x11);

	kernel_complete(&s->k, (uint64_t)sxsk_buf_index(b) * 2048);
	reap(s->socket);
	cr_assert_eq(socket_stats(s->socket).comp_refused, 1);
	return b;
}

Test(frame, suspect_buf_is_readable_and_not_mutable_and_ends_in_quarantine)
{
	struct sending s = four_on_the_way("mem:suspect", 0);
	struct sxsk_buf b = suspect(&s), was = b, clone;

	count_misuse();
	cr_assert_eq(((const unsigned char *)sxsk_buf_data(b))[59], 0x11);
	expect_misuse(SXSK_MISUSE_SHARED, "sxsk_buf_data_mut",
		      cr_assert_null(sxsk_buf_data_mut(b)));
	cr_assert(strstr(seen.what, "suspect"), "%s", seen.what);
	clone = sxsk_buf_ref(b);
	sxsk_buf_unref(&b);
	cr_assert_eq(pool_stats(s.pool).user, 1);
	sxsk_buf_unref(&clone);
	cr_assert_eq(pool_stats(s.pool).quarantined, 1);
	cr_assert_eq(word_of(was) >> 20, (was.id >> 20) + 1);
	sxsk_socket_close(s.socket);
	expect_accounted(s.pool);
	sxsk_pool_unref(s.pool);
}

Test(frame, suspect_buf_can_be_sent_and_unshared)
{
	struct sending s = four_on_the_way("mem:suspect2", 0);
	struct sxsk_buf b = suspect(&s), own = sxsk_buf_ref(b);

	cr_assert_eq(sxsk_buf_unshare(&own), 0);
	cr_assert_eq(((unsigned char *)sxsk_buf_data_mut(own))[59], 0x11, "a sound copy");
	send_one(s.socket, b);
	cr_assert_eq(kernel_complete_all(&s.k), 1);
	reap(s.socket);
	cr_assert_eq(socket_stats(s.socket).comp_refused, 1, "that completion was due");
	cr_assert_eq(pool_stats(s.pool).quarantined, 1);
	sxsk_buf_unref(&own);
	sxsk_socket_close(s.socket);
	expect_accounted(s.pool);
	sxsk_pool_unref(s.pool);
}

Test(frame, received_descriptor_of_a_held_buf_makes_it_suspect)
{
	struct sxsk_pool *pool = new_pool(256);
	struct sxsk_socket *socket = new_socket(pool, "mem:rxheld", 0);
	struct sxsk_mem_rings k = take_rings(socket);
	struct sxsk_buf b = receive_one(socket, &k, 60), more;

	count_misuse();
	kernel_post_rx(&k, (uint64_t)sxsk_buf_index(b) * 2048 + 256, 60);
	cr_assert_eq(sxsk_rx_burst(socket, &more, 1), 0);
	cr_assert_not_null(sxsk_buf_data(b));
	expect_misuse(SXSK_MISUSE_SHARED, "sxsk_buf_data_mut",
		      cr_assert_null(sxsk_buf_data_mut(b)));
	sxsk_buf_unref(&b);
	cr_assert_eq(pool_stats(pool).quarantined, 1, "the kernel may still write to it");
	close_and_unref(socket, pool);
}

/* ---- poison ------------------------------------------------------------------------------------------- */

static void expect_poisoned(struct sxsk_socket *socket, struct sxsk_pool *pool)
{
	struct sxsk_buf b = packet(pool, 60, 1);

	expect_error(EPROTO, "broke the ring protocol", sxsk_socket_error(socket));
	cr_assert_eq(socket_stats(socket).poisoned, 1);
	cr_assert_eq(sxsk_tx_burst(socket, &b, 1), 0);
	cr_assert_not_null(sxsk_buf_data_mut(b), "it was not taken");
	sxsk_buf_unref(&b);
	cr_assert_eq(sxsk_rx_burst(socket, &b, 1), 0);
	cr_assert_eq(sxsk_socket_wait(socket, SXSK_WAIT_WAKE, 1000), -EPROTO);
	sxsk_socket_close(socket);
	expect_accounted(pool);
	sxsk_pool_unref(pool);
}

Test(frame, more_completions_than_were_given_poison)
{
	struct sending s = four_on_the_way("mem:toomany", 0);

	for (unsigned i = 0; i < 4; i++)
		kernel_complete(&s.k, s.sent[i].addr);
	reap(s.socket);
	cr_assert_eq(sxsk_socket_error(s.socket), 0);
	kernel_complete(&s.k, s.sent[3].addr);
	reap(s.socket);
	expect_poisoned(s.socket, s.pool);
}

/* A late duplicate of an address that is outstanding again cannot be told from the real one: the count
 * tells in the end. */
Test(frame, late_duplicate_of_an_address_sent_again_shows_in_the_total)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_socket *socket = new_socket(pool, "mem:late", SXSK_SOCKET_NO_RX);
	struct sxsk_mem_rings k = take_rings(socket);
	struct sxsk_buf b = packet(pool, 60, 1);
	uint32_t index = sxsk_buf_index(b);
	uint64_t addr;

	cr_assert_eq(sxsk_lane_attach(pool), 0);
	send_one(socket, b);
	cr_assert_eq(kernel_complete_all(&k), 1);
	reap(socket);
	b = packet(pool, 60, 2);
	cr_assert_eq(sxsk_buf_index(b), index, "the frame that came home last");
	send_one(socket, b);
	addr = kernel_take_tx(&k).addr;
	kernel_complete(&k, addr); /* the duplicate, and then the real one */
	reap(socket);
	cr_assert_eq(socket_stats(socket).comp_refused, 0);
	cr_assert_eq(sxsk_socket_error(socket), 0);
	kernel_complete(&k, addr);
	reap(socket);
	cr_assert_eq(socket_stats(socket).comp_refused, 1);
	sxsk_lane_detach(pool);
	expect_poisoned(socket, pool);
}

Test(frame, more_received_than_was_given_poisons)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_socket *socket = new_socket(pool, "mem:rxmany", SXSK_SOCKET_NO_TX);
	struct sxsk_mem_rings k = take_rings(socket);
	uint32_t given = fill_level(&k);
	struct sxsk_buf bufs[64];
	uint64_t addr = 0;

	for (uint32_t i = 0; i < given; i++)
		addr = kernel_receive(&k, 60);
	inner_socket(socket)->q->fill_target = 0; /* nothing more is given meanwhile */
	kernel_post_rx(&k, addr + 256, 60);
	cr_assert_eq(sxsk_rx_burst(socket, bufs, 64), given);
	sxsk_buf_unref_burst(bufs, given);
	expect_error(EPROTO, "broke the ring protocol", sxsk_socket_error(socket));
	cr_assert_eq(socket_stats(socket).rx_refused, 1);
	expect_poisoned(socket, pool);
}

/* The library looks at an index when what it knows is used up: make it look. */
static void look_at_all(struct sxsk_socket *socket)
{
	struct sxsk_buf received[64], nothing[64] = { { 0 } };
	unsigned n = sxsk_rx_burst(socket, received, 64);

	(void)!sxsk_rx_burst(socket, nothing, 64);
	(void)!sxsk_tx_burst(socket, nothing, 64);
	sxsk_buf_unref_burst(received, n);
}

Test(frame, index_beyond_its_ring_poisons)
{
	for (unsigned which = 0; which < 4; which++) {
		struct sending s = four_on_the_way("mem:index", 0);
		uint32_t *word[] = { s.k.rx.producer, s.k.comp.producer, s.k.tx.consumer,
				     s.k.fill.consumer };

		if (which == 3) /* all of FILL is used: the next refill has to look */
			for (unsigned i = 0; i < 64; i++)
				(void)kernel_receive(&s.k, 60);
		__atomic_store_n(word[which], *word[which] + 65, __ATOMIC_RELEASE);
		look_at_all(s.socket);
		cr_assert_eq(sxsk_socket_error(s.socket), -EPROTO, "index %u", which);
		expect_poisoned(s.socket, s.pool);
	}
}
