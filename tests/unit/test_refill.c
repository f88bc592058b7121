/* SPDX-License-Identifier: BSD-2-Clause */
/* Direct refill: what the thread of an RX half gives back goes straight to its FILL ring; what another
 * thread gives back, or a former one, never touches that ring. */
#include "support.h"

#include <pthread.h>

/* A socket whose kernel is this test, which remembers what FILL has. */
struct rx {
	struct sxsk_pool *pool;
	struct sxsk_socket *socket;
	struct sxsk_mem_rings k;
};

static struct rx rx_of(uint32_t frames, const char *name)
{
	struct rx r = { .pool = new_pool(frames) };

	r.socket = new_socket(r.pool, name, 0);
	r.k = take_rings(r.socket);
	cr_assert_eq(fill_level(&r.k), frames > 128 ? 64 : frames / 2);
	return r;
}

static void receive_many(struct rx *r, struct sxsk_buf bufs[], unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		(void)kernel_receive(&r->k, 60);
	cr_assert_eq(sxsk_rx_burst(r->socket, bufs, n), n);
}

/* FILL has each frame at most once, and as many as the account says. */
static void expect_sound_fill(const struct rx *r)
{
	unsigned char at[1024] = { 0 };
	uint32_t i = *r->k.fill.consumer, end = *r->k.fill.producer;

	cr_assert_eq(pool_stats(r->pool).fill, end - i);
	for (; i != end; i++) {
		uint64_t addr = ((uint64_t *)r->k.fill.entries)[i & (r->k.fill.size - 1)];

		cr_assert_lt(addr, r->k.umem_size);
		cr_assert_eq(at[addr / 2048]++, 0, "frame %u twice", (unsigned)(addr / 2048));
	}
}

static void done(struct rx *r)
{
	expect_sound_fill(r);
	close_and_unref(r->socket, r->pool);
}

Test(refill, what_was_received_goes_straight_back_to_fill)
{
	struct rx r = rx_of(256, "mem:r1");
	uint64_t free_frames = pool_stats(r.pool).depot + pool_stats(r.pool).lanes;
	struct sxsk_buf bufs[30];

	receive_many(&r, bufs, 1);
	cr_assert_eq(fill_level(&r.k), 63);
	sxsk_buf_unref(&bufs[0]);
	cr_assert_eq(fill_level(&r.k), 64);
	receive_many(&r, bufs, 30);
	sxsk_buf_unref_burst(bufs, 30);
	cr_assert_eq(fill_level(&r.k), 64);
	cr_assert_eq(pool_stats(r.pool).depot + pool_stats(r.pool).lanes, free_frames);
	done(&r);
}

Test(refill, it_goes_round_the_ring)
{
	struct rx r = rx_of(256, "mem:r2");
	struct sxsk_buf bufs[30];

	for (unsigned i = 0; i < 1000; i++) {
		unsigned n = 1 + i % 30;

		receive_many(&r, bufs, n);
		sxsk_buf_unref_burst(bufs, n);
		expect_sound_fill(&r);
	}
	cr_assert_eq(socket_stats(r.socket).rx_refused, 0);
	done(&r);
}

Test(refill, fill_takes_no_more_than_its_target)
{
	struct rx r = rx_of(256, "mem:r3");
	struct sxsk_buf bufs[20], own[20];

	receive_many(&r, bufs, 20);
	cr_assert_eq(sxsk_pool_alloc(r.pool, own, 20), 20);
	sxsk_buf_unref_burst(own, 20); /* any of the pool will do */
	cr_assert_eq(fill_level(&r.k), 64);
	sxsk_buf_unref_burst(bufs, 20);
	cr_assert_eq(fill_level(&r.k), 64);
	done(&r);
}

Test(refill, only_the_last_reference_fills)
{
	struct rx r = rx_of(256, "mem:r4");
	struct sxsk_buf b, clone;

	receive_many(&r, &b, 1);
	clone = sxsk_buf_ref(b);
	sxsk_buf_unref(&b);
	cr_assert_eq(fill_level(&r.k), 63);
	sxsk_buf_unref(&clone);
	cr_assert_eq(fill_level(&r.k), 64);
	done(&r);
}

Test(refill, frame_in_transmission_does_not_go_to_fill)
{
	struct rx r = rx_of(256, "mem:r5");
	struct sxsk_buf b;

	receive_many(&r, &b, 1);
	send_one(r.socket, sxsk_buf_ref(b));
	sxsk_buf_unref(&b);
	cr_assert_eq(fill_level(&r.k), 63);
	cr_assert_eq(pool_stats(r.pool).tx, 1);
	cr_assert_eq(kernel_complete_all(&r.k), 1);
	reap(r.socket);
	done(&r);
}

/* n packets come and are sent on, and `own` ones are sent; all are complete, and not reaped. */
static void send_on(struct rx *r, struct rx *to, unsigned n, unsigned own)
{
	struct sxsk_buf bufs[40];

	receive_many(r, bufs, n);
	for (unsigned i = 0; i < own; i++)
		bufs[n + i] = packet(to->pool, 60, 1);
	cr_assert_eq(sxsk_tx_burst(to->socket, bufs, n + own), n + own);
	cr_assert_eq(kernel_complete_all(&to->k), n + own);
}

Test(refill, completions_go_straight_to_fill)
{
	struct rx r = rx_of(256, "mem:r22");
	uint64_t elsewhere = pool_stats(r.pool).depot + pool_stats(r.pool).lanes;

	send_on(&r, &r, 30, 0);
	cr_assert_eq(fill_level(&r.k), 34);
	reap(r.socket);
	cr_assert_eq(fill_level(&r.k), 64);
	cr_assert_eq(pool_stats(r.pool).depot + pool_stats(r.pool).lanes, elsewhere);
	cr_assert_eq(socket_stats(r.socket).tx_completed, 30);
	for (unsigned i = 0; i < 100; i++) { /* round both rings */
		send_on(&r, &r, 20 + i % 11, 0);
		reap(r.socket);
		expect_sound_fill(&r);
	}
	done(&r);
}

Test(refill, completions_fill_no_more_than_is_lacking)
{
	struct rx r = rx_of(256, "mem:r23");

	send_on(&r, &r, 20, 20);
	reap(r.socket);
	cr_assert_eq(fill_level(&r.k), 64);
	cr_assert_eq(pool_stats(r.pool).tx, 0);
	done(&r);
}

Test(refill, completions_do_not_fill_while_somebody_is_hungry)
{
	struct rx r = rx_of(256, "mem:r24");

	send_on(&r, &r, 20, 0);
	fetch_or_seq_cst(&inner_pool(r.pool)->attention, ATTN_HUNGRY);
	reap(r.socket);
	cr_assert_eq(fill_level(&r.k), 44);
	cr_assert_eq(pool_stats(r.pool).tx, 0);
	done(&r);
}

Test(refill, completions_of_another_pool_do_not_fill)
{
	struct rx r = rx_of(256, "mem:r25"), other = rx_of(256, "mem:r26");
	struct sxsk_buf held[20];

	receive_many(&r, held, 20);
	send_on(&other, &other, 0, 20);
	receive_many(&r, held + 19, 0); /* the half that this thread received from last */
	reap(other.socket);
	cr_assert_eq(fill_level(&r.k), 44);
	cr_assert_eq(fill_level(&other.k), 64);
	expect_accounted(other.pool);
	sxsk_buf_unref_burst(held, 20);
	done(&r);
	done(&other);
}

Test(refill, suspect_goes_to_quarantine_and_not_to_fill)
{
	struct rx r = rx_of(256, "mem:r6");
	struct sxsk_buf bufs[2];

	receive_many(&r, bufs, 1);
	kernel_post_rx(&r.k, (uint64_t)sxsk_buf_index(bufs[0]) * 2048 + 256, 60);
	cr_assert_eq(sxsk_rx_burst(r.socket, bufs + 1, 1), 0);
	sxsk_buf_unref(&bufs[0]);
	cr_assert_eq(pool_stats(r.pool).quarantined, 1);
	cr_assert_eq(socket_stats(r.socket).rx_refused, 1);
	done(&r);
}

Test(refill, unref_twice_in_one_burst_fills_once)
{
	struct rx r = rx_of(256, "mem:r7");
	struct sxsk_buf bufs[4];

	receive_many(&r, bufs, 3);
	bufs[3] = bufs[1];
	count_misuse();
	expect_misuse(SXSK_MISUSE_STALE, "sxsk_buf_unref_burst", sxsk_buf_unref_burst(bufs, 4));
	cr_assert(sxsk_buf_is_null(bufs[3]));
	cr_assert_eq(fill_level(&r.k), 64);
	done(&r);
}

Test(refill, handles_of_other_pools_and_nulls_in_the_burst_go_their_own_way)
{
	struct rx r = rx_of(256, "mem:r8");
	struct sxsk_pool *other = new_pool(64);
	struct sxsk_buf bufs[5];

	receive_many(&r, bufs, 3);
	bufs[3] = bufs[1];
	bufs[1] = packet(other, 60, 1);
	bufs[4] = bufs[2];
	bufs[2] = (struct sxsk_buf){ 0 };
	sxsk_buf_unref_burst(bufs, 5);
	cr_assert_eq(fill_level(&r.k), 64);
	expect_all_home(other);
	/* A frame of another pool with the number of one that is held here, and the same generation. */
	receive_many(&r, bufs, 2);
	bufs[2] = bufs[0];
	bufs[3] = bufs[1];
	bufs[3].pool = bufs[4].pool = 0;
	cr_assert_eq(sxsk_pool_alloc(other, &bufs[4], 1), 1);
	bufs[3] = bufs[4];
	bufs[3].id = bufs[1].id; /* forged, but only to say which */
	count_misuse();
	sxsk_buf_unref_burst(bufs + 2, 2);
	cr_assert_eq(pool_stats(r.pool).user, 1, "it is not this pool's to free");
	cr_assert_eq(sxsk_misuse_count(), 1);
	sxsk_buf_unref(&bufs[1]);
	sxsk_buf_unref(&bufs[4]);
	sxsk_pool_unref(other);
	done(&r);
}

Test(refill, hungry_pool_gets_its_frames_in_the_depot)
{
	struct rx r = rx_of(256, "mem:r9");
	uint64_t depot = pool_stats(r.pool).depot;
	struct sxsk_buf b;

	receive_many(&r, &b, 1);
	fetch_or_seq_cst(&inner_pool(r.pool)->attention, ATTN_HUNGRY);
	sxsk_buf_unref(&b);
	cr_assert_eq(fill_level(&r.k), 63);
	cr_assert_eq(pool_stats(r.pool).depot, depot + 1);
	cr_assert_eq(load_relaxed(&inner_pool(r.pool)->attention), 0);
	done(&r);
}

/* ---- handlers ------------------------------------------------------------------------------------------- */

static void give_back(const struct sxsk_misuse *misuse, void *buf)
{
	(void)misuse;
	sxsk_buf_unref(buf);
}

/* It runs while its thread writes to the ring. */
Test(refill, unref_in_a_handler_inside_the_half_leaves_the_ring_alone)
{
	struct rx r = rx_of(256, "mem:r27");
	struct sxsk_buf bufs[3], held;

	receive_many(&r, bufs, 3);
	held = bufs[2];
	bufs[2] = bufs[0];
	sxsk_set_misuse_handler(give_back, &held);
	sxsk_buf_unref_burst(bufs, 3);
	cr_assert_eq(sxsk_misuse_count(), 1);
	cr_assert(sxsk_buf_is_null(held));
	cr_assert_eq(fill_level(&r.k), 63, "that of the handler is elsewhere");
	done(&r);
}

/* ---- other threads -------------------------------------------------------------------------------------- */

struct given {
	struct rx *r;
	struct sxsk_buf bufs[8];
	unsigned n;
};

static void *unref_there(void *arg)
{
	struct given *g = arg;

	sxsk_buf_unref_burst(g->bufs, g->n);
	return NULL;
}

static void *receive_there(void *arg)
{
	struct given *g = arg;
	struct sxsk_buf b;

	if (sxsk_rx_burst(g->r->socket, &b, 1) != 1)
		return NULL;
	sxsk_buf_unref(&b);
	return g;
}

Test(refill, other_threads_unrefs_leave_the_ring_alone)
{
	struct rx r = rx_of(256, "mem:r10");
	struct given g = { .r = &r, .n = 8 };
	uint32_t producer;

	receive_many(&r, g.bufs, 8);
	producer = *r.k.fill.producer;
	(void)in_thread(unref_there, &g);
	cr_assert_eq(*r.k.fill.producer, producer);
	cr_assert_eq(pool_stats(r.pool).user, 0);
	done(&r);
}

Test(refill, ring_goes_with_the_half_to_another_thread_and_back)
{
	struct rx r = rx_of(256, "mem:r11");
	struct given g = { .r = &r };
	struct sxsk_buf mine[4], b;
	uint32_t producer;

	receive_many(&r, mine, 4);
	sxsk_buf_unref(&mine[0]);
	cr_assert_eq(fill_level(&r.k), 61, "this thread's half");
	(void)kernel_receive(&r.k, 60);
	cr_assert_eq(in_thread(receive_there, &g), &g); /* and it fills what it gives back */
	cr_assert_eq(fill_level(&r.k), 61);
	producer = *r.k.fill.producer;
	sxsk_buf_unref(&mine[1]);
	cr_assert_eq(*r.k.fill.producer, producer, "not this thread's ring any more");
	receive_many(&r, &b, 1);
	producer = *r.k.fill.producer;
	sxsk_buf_unref(&mine[2]);
	cr_assert_eq(*r.k.fill.producer, producer + 1, "and again it is");
	sxsk_buf_unref(&mine[3]);
	sxsk_buf_unref(&b);
	done(&r);
}

Test(refill, half_that_changes_hands_often_is_refilled_by_its_bursts_only)
{
	struct rx r = rx_of(256, "mem:r12");
	struct given g = { .r = &r };
	struct sxsk_buf b;

	for (unsigned i = 0; i < 20; i++) {
		(void)kernel_receive(&r.k, 60);
		cr_assert_eq(in_thread(receive_there, &g), &g);
	}
	receive_many(&r, &b, 1);
	cr_assert_eq(load_relaxed(&inner_socket(r.socket)->rx.direct), 0);
	sxsk_buf_unref(&b);
	expect_sound_fill(&r);
	for (unsigned i = 0; i < 200; i++) {
		receive_many(&r, &b, 1);
		sxsk_buf_unref(&b);
	}
	cr_assert_gt(fill_level(&r.k), 31, "rx_burst goes on refilling");
	done(&r);
}

/* ---- after close ------------------------------------------------------------------------------------------ */

Test(refill, closed_and_reopened_socket_is_not_touched)
{
	struct rx r = rx_of(256, "mem:r13");
	struct sxsk_socket *peer = new_socket(r.pool, "mem:r13", SXSK_SOCKET_NO_RX);
	struct sxsk_buf bufs[3], fresh;
	uint32_t level;

	receive_many(&r, bufs, 3);
	sxsk_socket_close(r.socket);
	sxsk_buf_unref(&bufs[0]);
	r.socket = new_socket(r.pool, "mem:r13", 0);
	r.k = take_rings(r.socket);
	level = fill_level(&r.k);
	(void)kernel_receive(&r.k, 60); /* it lacks one */
	sxsk_buf_unref(&bufs[1]);
	cr_assert_eq(fill_level(&r.k), level - 1,
		     "it was another socket's half that this thread had");
	cr_assert_eq(sxsk_rx_burst(r.socket, &fresh, 1), 1);
	sxsk_buf_unref(&bufs[2]);
	cr_assert_eq(fill_level(&r.k), level, "now it has this one");
	sxsk_buf_unref(&fresh);
	sxsk_socket_close(peer);
	done(&r);
}

Test(refill, last_unref_after_close_and_pool_unref_still_frees)
{
	struct rx r = rx_of(256, "mem:r14");
	struct sxsk_buf b;

	receive_many(&r, &b, 1);
	sxsk_socket_close(r.socket);
	sxsk_pool_unref(r.pool);
	cr_assert(is_mapped(r.k.umem));
	sxsk_buf_unref(&b);
	cr_assert_not(is_mapped(r.k.umem));
}

/* ---- hand-over under load --------------------------------------------------------------------------------- */

/* Threads take turns in the half; what each received it gives back after its turn, while the next one is
 * inside. */
struct turns {
	struct sxsk_socket *socket;
	pthread_mutex_t turn;
	_Atomic(int) left;
	_Atomic(int) received;
};

static void *take_turns(void *arg)
{
	struct turns *t = arg;
	struct sxsk_buf bufs[16];

	while (t->left > 0) {
		unsigned n;

		pthread_mutex_lock(&t->turn);
		n = sxsk_rx_burst(t->socket, bufs, 16);
		t->left--;
		pthread_mutex_unlock(&t->turn);
		t->received += (int)n;
		for (unsigned i = 0; i < n; i++)
			sxsk_buf_unref(&bufs[i]);
	}
	return NULL;
}

static void hand_over(void)
{
	struct sxsk_pool *pool = new_pool(256), *far = new_pool(256);

	for (unsigned round = 0; round < 100; round++) {
		struct turns t = { .socket = new_socket(pool, "mem:turns", SXSK_SOCKET_NO_TX),
				   .turn = PTHREAD_MUTEX_INITIALIZER,
				   .left = 40 };
		struct sxsk_socket *peer = new_socket(far, "mem:turns", SXSK_SOCKET_NO_RX);
		pthread_t thread[2];
		struct sxsk_socket_stats st;

		for (unsigned i = 0; i < 2; i++)
			cr_assert_eq(pthread_create(&thread[i], NULL, take_turns, &t), 0);
		while (t.left > 0)
			send_one(peer, packet(far, 60, 1));
		for (unsigned i = 0; i < 2; i++)
			cr_assert_eq(pthread_join(thread[i], NULL), 0);
		st = socket_stats(t.socket);
		cr_assert_eq(st.rx_refused, 0);
		cr_assert_eq(st.poisoned, 0);
		expect_accounted(pool);
		sxsk_socket_close(t.socket);
		sxsk_socket_close(peer);
		expect_all_home(pool);
		expect_all_home(far);
	}
	cr_assert_eq(sxsk_misuse_count(), 0);
	sxsk_pool_unref(pool);
	sxsk_pool_unref(far);
}

Test(refill, hand_over_while_the_former_thread_gives_back, .timeout = 60)
{
	hand_over();
}

Test(refill, hand_over_without_membarrier, .timeout = 60)
{
	store_relaxed(&sxsk_priv_no_membarrier, 1);
	hand_over();
}
