/* SPDX-License-Identifier: BSD-2-Clause */
/* The pool: options, the word of units, life and death, the account. */
#include "sealed.h"
#include "support.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* ---- options ------------------------------------------------------------------------------------------ */

Test(pool, defaults_are_16384_frames_of_2048)
{
	struct sxsk_pool_opts zero = { .sz = sizeof(zero) };
	struct sxsk_pool *a, *b;
	struct sxsk_buf buf;

	cr_assert_eq(sxsk_pool_create(&a, NULL), 0);
	cr_assert_eq(sxsk_pool_create(&b, &zero), 0);
	cr_assert_eq(pool_stats(a).total, 16384);
	cr_assert_eq(pool_stats(b).total, 16384);
	buf = take(b);
	cr_assert_eq(sxsk_buf_headroom(buf), 256);
	cr_assert_eq(sxsk_buf_headroom(buf) + sxsk_buf_tailroom(buf), 2048);
	cr_assert_null(sxsk_buf_user(buf));
	sxsk_buf_unref(&buf);
	sxsk_pool_unref(a);
	sxsk_pool_unref(b);
}

Test(pool, frame_count_is_rounded_up_to_64)
{
	static const uint32_t asked[] = { 64, 65, 1000, 1048575 },
			      got[] = { 64, 128, 1024, 1048576 };

	for (unsigned i = 0; i < 4; i++) {
		struct sxsk_pool *pool = new_pool(asked[i]);

		cr_assert_eq(pool_stats(pool).total, got[i]);
		sxsk_pool_unref(pool);
	}
}

static void nothing(void)
{
}

static void refuse_wrong_options(void)
{
	static const struct {
		struct sxsk_pool_opts o;
		const char *words;
	} wrong[] = {
		{ { .frame_count = 1 }, "frame_count is 1:" },
		{ { .frame_count = 63 }, "frame_count is 63:" },
		{ { .frame_count = 1048577 }, "64 to 1048576 frames" },
		{ { .frame_count = UINT32_MAX }, "frame_count is 4294967295" },
		{ { .frame_size = 1024 }, "frame_size is 1024: use 2048 or 4096" },
		{ { .frame_size = 3000 }, "frame_size is 3000" },
		{ { .frame_size = 8192 }, "frame_size is 8192" },
		{ { .frame_size = UINT32_MAX }, "frame_size is" },
		{ { .headroom = 1345 }, "headroom is 1345: at most 1344 bytes" },
		{ { .headroom = 3393, .frame_size = 4096 }, "at most 3392 bytes" },
		{ { .headroom = UINT32_MAX }, "headroom is" },
		{ { .user_size = 4097 }, "user_size is 4097: at most 4096" },
		{ { .user_size = UINT32_MAX }, "user_size is" },
		{ { .flags = 1u << 31 }, "flags is 0x80000000" },
		{ { .flags = SXSK_POOL_HUGE_TRY }, "choose one size" },
		{ { .flags = SXSK_POOL_HUGE_2M | SXSK_POOL_HUGE_1G }, "choose one size" },
		{ { .tx_metadata_len = 8 }, "tx_metadata_len is 8" },
		{ { .tx_metadata_len = 16 }, "tx_metadata_len is 16" },
		{ { .tx_metadata_len = 28 }, "a multiple of 8, from 24 to 248" },
		{ { .tx_metadata_len = 256 }, "tx_metadata_len is 256" },
		{ { .flags = SXSK_POOL_TX_SW_CSUM }, "needs tx_metadata_len" },
		{ { .numa_node = SXSK_NUMA_NODE(1024) },
		  "numa_node is 1025: use SXSK_NUMA_NODE()" },
		{ { .name = "a name of exactly 32 bytes......" }, "at most 31 bytes" },
		{ { .harden = "fifo, fido" }, "sxsk_pool_opts.harden: no level \"fido\"" },
		{ { .harden = "guard" }, "guard needs frames of 4096 bytes" },
		{ { .harden = "guard", .frame_size = 4096, .flags = SXSK_POOL_HUGE_2M },
		  "no huge pages" },
	};
	struct sxsk_pool *pool = NULL;

	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct sxsk_pool_opts o = wrong[i].o;

		o.sz = sizeof(o);
		check_refused(i, sxsk_pool_create(&pool, &o), EINVAL, wrong[i].words);
		check_refused(i, pool ? 0 : -EINVAL, EINVAL, ""); /* untouched on failure */
	}
	check_refused(0, sxsk_pool_create(NULL, NULL), EINVAL, "ret_pool is NULL");
}

Test(pool, each_wrong_option_is_refused_with_a_sentence_before_any_system_call)
{
	cr_assert_eq(in_sealed_child(nothing, refuse_wrong_options), 0);
}

static void take_the_defaults(void)
{
	struct sxsk_pool *pool;

	(void)!sxsk_pool_create(&pool, NULL);
}

Test(pool, a_system_call_would_be_noticed)
{
	const int status = in_sealed_child(nothing, take_the_defaults);

	cr_assert(WIFSIGNALED(status));
	cr_assert_eq(WTERMSIG(status), SIGSYS);
}

Test(pool, options_at_their_limits_are_taken)
{
	struct sxsk_pool *a =
		new_pool_with((struct sxsk_pool_opts){ .frame_count = 64,
						       .headroom = 1344,
						       .user_size = 4096,
						       .name = "a name of just 31 bytes........" });
	struct sxsk_pool *b = new_pool_with(
		(struct sxsk_pool_opts){ .frame_count = 64, .frame_size = 4096, .headroom = 3392 });
	struct sxsk_buf buf = take(b);

	cr_assert_eq(sxsk_buf_headroom(buf), 256 + 3392);
	sxsk_buf_unref(&buf);
	sxsk_pool_unref(a);
	sxsk_pool_unref(b);
}

Test(pool, option_struct_of_another_version)
{
	struct {
		struct sxsk_pool_opts o;
		uint64_t later[4];
	} newer = { .o = { .sz = sizeof(newer), .frame_count = 64 } };
	/* The struct of a version that ended behind frame_count. */
	struct sxsk_pool_opts older = { .sz = offsetof(struct sxsk_pool_opts, frame_size),
					.frame_count = 64,
					.frame_size = 1 };
	struct sxsk_pool *pool = NULL;

	newer.later[2] = 1;
	expect_error(EINVAL, "does not know", sxsk_pool_create(&pool, &newer.o));
	newer.later[2] = 0;
	cr_assert_eq(sxsk_pool_create(&pool, &newer.o), 0, "an unknown tail of zeros is fine");
	sxsk_pool_unref(pool);
	cr_assert_eq(sxsk_pool_create(&pool, &older), 0, "what is behind sz is not read");
	cr_assert_eq(pool_stats(pool).total, 64);
	sxsk_pool_unref(pool);
	newer.o.sz = 0;
	expect_error(EINVAL, "sxsk_pool_opts.sz is 0: set it to sizeof",
		     sxsk_pool_create(&pool, &newer.o));
	newer.o.sz = SIZE_MAX;
	expect_error(EINVAL, "sxsk_pool_opts.sz is", sxsk_pool_create(&pool, &newer.o));
}

/* ---- creation ----------------------------------------------------------------------------------------- */

static size_t pages_in_core(const void *p, size_t len)
{
	size_t pages = len / 4096, n = 0;
	unsigned char *in_core = malloc(pages);

	cr_assert_eq(mincore((void *)(uintptr_t)p, len, in_core), 0);
	for (size_t i = 0; i < pages; i++)
		n += in_core[i] & 1;
	free(in_core);
	return n;
}

Test(pool, creation_and_account_touch_no_packet_page)
{
	static const uint32_t count[] = { 64, 4096, 1048576 }, size[] = { 2048, 4096 };

	for (unsigned i = 0; i < 6; i++) {
		struct sxsk_pool *pool = new_pool_with((struct sxsk_pool_opts){
			.frame_count = count[i % 3], .frame_size = size[i / 3] });
		size_t len = (size_t)count[i % 3] * size[i / 3];
		const void *base = inner_pool(pool)->base;

		cr_assert_eq(inner_pool(pool)->size, len);
		expect_all_home(pool);
		cr_assert_eq(pages_in_core(base, len), 0);
		sxsk_pool_unref(pool);
		cr_assert_not(is_mapped(base));
		cr_assert_not(is_mapped((const char *)base + len - 1));
	}
}

Test(pool, no_more_pools_than_slots)
{
	static struct sxsk_pool *pool[SXSK_MAX_POOLS];
	struct sxsk_pool_opts o = { .sz = sizeof(o), .frame_count = 64 };
	struct sxsk_pool *more = NULL;

	for (unsigned i = 0; i < SXSK_MAX_POOLS; i++)
		pool[i] = new_pool(64);
	expect_error(ENFILE, "1023 pools are alive already", sxsk_pool_create(&more, &o));
	cr_assert_null(more);
	sxsk_pool_unref(pool[500]);
	cr_assert_eq(sxsk_pool_create(&pool[500], &o), 0, "there is a slot again");
	for (unsigned i = 0; i < SXSK_MAX_POOLS; i++)
		sxsk_pool_unref(pool[i]);
}

Test(pool, creation_without_memory_fails_with_a_sentence)
{
	struct sxsk_pool_opts o = { .sz = sizeof(o), .frame_count = 64, .user_size = 4096 };
	struct rlimit was, little = { 0, 0 };
	struct sxsk_pool *pool = new_pool(64), *none = NULL;
	int err;

	cr_assert_eq(getrlimit(RLIMIT_AS, &was), 0);
	little.rlim_max = was.rlim_max;
	(void)sxsk_last_error();
	cr_assert_eq(setrlimit(RLIMIT_AS, &little), 0);
	err = sxsk_pool_create(&none, &o);
	cr_assert_eq(setrlimit(RLIMIT_AS, &was), 0);
	expect_error(ENOMEM, "no address space for a frame table", err);
	cr_assert_null(none);
	/* The slot's table is there now: next is the packet memory. */
	sxsk_pool_unref(pool);
	cr_assert_eq(setrlimit(RLIMIT_AS, &little), 0);
	err = sxsk_pool_create(&none, &o);
	cr_assert_eq(setrlimit(RLIMIT_AS, &was), 0);
	expect_error(ENOMEM, "no memory for 131072 bytes", err);
	cr_assert_null(none);
	cr_assert_eq(sxsk_pool_create(&pool, &o), 0, "%s", sxsk_last_error());
	expect_all_home(pool);
	sxsk_pool_unref(pool);
}

Test(pool, creation_without_descriptors_fails_with_a_sentence)
{
	struct rlimit was, none = { 0, 0 };
	struct sxsk_pool *pool = NULL;
	int err;

	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &was), 0);
	none.rlim_max = was.rlim_max;
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	err = sxsk_pool_create(&pool, NULL);
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &was), 0);
	expect_error(EMFILE, "no eventfd", err);
	cr_assert_null(pool);
	cr_assert_eq(sxsk_pool_create(&pool, NULL), 0);
	sxsk_pool_unref(pool);
}

/* ---- units ------------------------------------------------------------------------------------------ */

Test(pool, add_is_refused_at_zero)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_priv_pool *p = inner_pool(pool);
	uint64_t cookie = (uintptr_t)pool;

	cr_assert(sxsk_priv_units_take(p, cookie, UNIT_FRAME));
	sxsk_priv_units_give(p, UNIT_FRAME);
	sxsk_pool_unref(pool);
	cr_assert_eq(load_relaxed(&p->units), 0);
	cr_assert_not(sxsk_priv_units_take(p, cookie, UNIT_FRAME));
	cr_assert_not(sxsk_priv_units_take(p, cookie, UNIT_SOCKET));
	cr_assert_not(sxsk_priv_units_take(p, 0, UNIT_FRAME));
	cr_assert_eq(load_relaxed(&p->units), 0, "nobody revives it");
}

Test(pool, add_is_refused_for_the_next_pool_of_the_slot)
{
	struct sxsk_pool *pool = new_pool(64), *next;
	struct sxsk_priv_pool *p = inner_pool(pool);
	uint64_t units;

	sxsk_pool_unref(pool);
	next = new_pool(64);
	cr_assert_eq(inner_pool(next), p);
	units = load_relaxed(&p->units);
	cr_assert_not(sxsk_priv_units_take(p, (uintptr_t)pool, UNIT_FRAME));
	cr_assert_eq(load_relaxed(&p->units), units);
	sxsk_pool_unref(next);
}

Test(pool, overflow_of_units_is_refused)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_priv_pool *p = inner_pool(pool);
	uint64_t cookie = (uintptr_t)pool;
	static const uint64_t one[] = { UNIT_OWNER, UNIT_SOCKET, UNIT_FRAME };
	static const uint64_t most[] = { 0xffffff, 0xffff, 0xffffff };

	for (unsigned i = 0; i < 3; i++) {
		uint64_t full = most[i] * one[i] | UNIT_OWNER;

		store_relaxed(&p->units, full);
		cr_assert_not(sxsk_priv_units_take(p, cookie, one[i]), "field %u", i);
		cr_assert_eq(load_relaxed(&p->units), full);
		store_relaxed(&p->units, full - one[i]);
		cr_assert(sxsk_priv_units_take(p, cookie, one[i]));
	}
	store_relaxed(&p->units, 0xffffff * UNIT_OWNER);
	cr_assert_null(sxsk_pool_ref(pool));
	cr_assert(strstr(sxsk_last_error(), "16777215 owners"), "%s", sxsk_last_error());
	store_relaxed(&p->units, 0xffffff * UNIT_FRAME | UNIT_OWNER);
	cr_assert_eq(sxsk_pool_alloc(pool, &(struct sxsk_buf){ 0 }, 1), 0);
	store_relaxed(&p->units, UNIT_OWNER);
	cr_assert_eq(sxsk_misuse_count(), 0);
	sxsk_pool_unref(pool);
}

Test(pool, units_count_owners_sockets_and_frames)
{
	struct sxsk_pool *pool = new_pool(64), *same = sxsk_pool_ref(pool);
	struct sxsk_socket *socket = new_socket(pool, "mem:units", 0);
	struct sxsk_buf b;
	struct sxsk_pool_stats st = pool_stats(pool);

	cr_assert_eq(same, pool);
	cr_assert_eq(st.owners, 2);
	cr_assert_eq(st.sockets, 1);
	cr_assert_eq(units_frames(pool), st.fill + st.lanes);
	b = take(pool);
	cr_assert_eq(units_frames(pool), st.fill + st.lanes + 1);
	sxsk_buf_unref(&b);
	sxsk_pool_unref(same);
	close_and_unref(socket, pool);
}

/* ---- life and death ----------------------------------------------------------------------------------- */

Test(pool, memory_goes_with_the_last_owner)
{
	struct sxsk_pool *pool =
		new_pool_with((struct sxsk_pool_opts){ .frame_count = 64, .user_size = 64 });
	const void *base = inner_pool(pool)->base, *user = inner_pool(pool)->user;

	cr_assert_eq(sxsk_pool_ref(pool), pool);
	sxsk_pool_unref(pool);
	cr_assert(is_mapped(base));
	sxsk_pool_unref(pool);
	cr_assert_not(is_mapped(base));
	cr_assert_not(is_mapped(user));
	sxsk_pool_unref(NULL);
	cr_assert_eq(sxsk_misuse_count(), 0);
}

Test(pool, memory_goes_with_the_last_buf)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_buf b = packet(pool, 60, 7), clone = sxsk_buf_ref(b);
	const unsigned char *data = sxsk_buf_data(b);

	sxsk_pool_unref(pool);
	cr_assert_eq(data[59], 7);
	sxsk_buf_unref(&b);
	cr_assert_eq(data[59], 7);
	sxsk_buf_unref(&clone);
	cr_assert_not(is_mapped(data));
}

Test(pool, memory_goes_with_the_last_socket)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_socket *socket = new_socket(pool, "mem:last", 0);
	struct sxsk_mem_rings k = take_rings(socket);
	struct sxsk_buf b;

	sxsk_pool_unref(pool);
	b = receive_one(socket, &k, 60);
	cr_assert_eq(sxsk_buf_len(b), 60, "the socket goes on");
	sxsk_buf_unref(&b);
	cr_assert_eq(sxsk_pool_ref(pool), pool, "a socket is enough to become an owner again");
	sxsk_pool_unref(pool);
	sxsk_socket_close(socket);
	cr_assert_not(is_mapped(k.umem));
}

static void *unref_there(void *arg)
{
	sxsk_buf_unref(arg);
	return NULL;
}

Test(pool, last_unref_in_another_thread_unmaps)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_buf b = packet(pool, 60, 7);
	const void *data = sxsk_buf_data(b);

	sxsk_pool_unref(pool);
	(void)in_thread(unref_there, &b);
	cr_assert_not(is_mapped(data));
}

Test(pool, unref_without_an_owner_is_refused)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_buf b = packet(pool, 60, 7);

	count_misuse();
	sxsk_pool_unref(pool);
	expect_misuse(SXSK_MISUSE_POOL, "sxsk_pool_unref", sxsk_pool_unref(pool));
	cr_assert(strstr(seen.what, "no owner left"), "%s", seen.what);
	cr_assert_eq(*(const unsigned char *)sxsk_buf_data(b), 7);
	sxsk_buf_unref(&b);
}

Test(pool, unref_without_an_owner_does_not_take_the_sockets_unit)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_socket *socket = new_socket(pool, "mem:noowner", 0);
	struct sxsk_mem_rings k = take_rings(socket);

	count_misuse();
	sxsk_pool_unref(pool);
	expect_misuse(SXSK_MISUSE_POOL, "sxsk_pool_unref", sxsk_pool_unref(pool));
	cr_assert_eq(pool_stats(pool).owners, 0);
	cr_assert_eq(pool_stats(pool).sockets, 1);
	sxsk_socket_close(socket);
	cr_assert_not(is_mapped(k.umem));
}

Test(pool, ref_of_an_orphaned_pool_is_refused)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_buf b = packet(pool, 60, 7);
	const void *data = sxsk_buf_data(b);

	count_misuse();
	sxsk_pool_unref(pool);
	expect_misuse(SXSK_MISUSE_POOL, "sxsk_pool_ref", cr_assert_null(sxsk_pool_ref(pool)));
	sxsk_buf_unref(&b);
	cr_assert_not(is_mapped(data), "it did not become an owner");
}

Test(pool, orphaned_pool_takes_neither_lanes_nor_sockets)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_buf b = packet(pool, 60, 7);
	struct sxsk_socket *socket = NULL;

	sxsk_pool_unref(pool);
	expect_error(ESHUTDOWN, "no owner and no socket", sxsk_lane_attach(pool));
	expect_error(ESHUTDOWN, "no owner and no socket",
		     sxsk_socket_open(&socket, pool, "mem:orphan", 0, NULL));
	cr_assert_null(socket);
	sxsk_buf_unref(&b);
	cr_assert_eq(sxsk_misuse_count(), 0);
}

/* Every call that takes a pool, with the pointer of one that is gone. */
static void expect_stale_pool(struct sxsk_pool *pool)
{
	const enum sxsk_misuse_kind kind = SXSK_MISUSE_POOL;
	struct sxsk_pool *other = new_pool(64);
	struct sxsk_buf b = take(other), copy;
	struct sxsk_socket *socket = NULL;

	count_misuse();
	expect_misuse(kind, "sxsk_pool_ref", cr_assert_null(sxsk_pool_ref(pool)));
	expect_misuse(kind, "sxsk_pool_drain", cr_assert_eq(sxsk_pool_drain(pool, 0), -EINVAL));
	expect_misuse(kind, "sxsk_pool_alloc", cr_assert_eq(sxsk_pool_alloc(pool, &copy, 1), 0));
	expect_misuse(kind, "sxsk_pool_stats", cr_assert_eq(pool_stats(pool).total, 0));
	expect_misuse(kind, "sxsk_pool_report",
		      cr_assert_eq(sxsk_pool_report(pool, stdout), -EINVAL));
	expect_misuse(kind, "sxsk_lane_attach", cr_assert_eq(sxsk_lane_attach(pool), -EINVAL));
	expect_misuse(kind, "sxsk_lane_flush", sxsk_lane_flush(pool));
	expect_misuse(kind, "sxsk_lane_detach", sxsk_lane_detach(pool));
	expect_misuse(kind, "sxsk_buf_copy", cr_assert_eq(sxsk_buf_copy(pool, b, &copy), -EINVAL));
	expect_misuse(kind, "sxsk_socket_open",
		      cr_assert_eq(sxsk_socket_open(&socket, pool, "mem:x", 0, NULL), -EINVAL));
	cr_assert_null(socket);
	sxsk_buf_unref(&b);
	sxsk_pool_unref(other);
}

Test(pool, stale_pointer_is_refused_everywhere)
{
	struct sxsk_pool *pool = new_pool(64), *next;

	sxsk_pool_unref(pool);
	expect_stale_pool(pool);
	expect_misuse(SXSK_MISUSE_POOL, "sxsk_pool_unref", sxsk_pool_unref(pool));
	next = new_pool(64);
	cr_assert_eq((uintptr_t)next & 0xffff, (uintptr_t)pool & 0xffff, "the same slot");
	expect_stale_pool(pool);
	expect_misuse(SXSK_MISUSE_POOL, "sxsk_pool_unref", sxsk_pool_unref(pool));
	cr_assert_eq(pool_stats(next).owners, 1);
	sxsk_pool_unref(next);
}

Test(pool, wild_pointers_are_refused)
{
	static const uintptr_t wild[] = { 0,     1,       1023,           1024,
					  65535, 0x10001, 0x7fffdeadbeef, UINTPTR_MAX };

	for (unsigned i = 0; i < sizeof(wild) / sizeof(wild[0]); i++)
		expect_stale_pool((struct sxsk_pool *)wild[i]);
}

Test(pool, stale_pointer_aborts, .signal = SIGABRT)
{
	struct sxsk_pool *pool = new_pool(64);

	sxsk_pool_unref(pool);
	sxsk_pool_unref(pool);
}

Test(pool, generations_go_on_behind_the_slots_last_pool)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_buf b = take(pool);
	uint64_t highest;

	for (unsigned i = 0; i < 1000; i++) {
		sxsk_buf_unref(&b);
		b = take(pool);
	}
	highest = b.id >> 20;
	sxsk_buf_unref(&b);
	sxsk_pool_unref(pool);
	pool = new_pool(64);
	for (unsigned i = 0; i < 64; i++) {
		b = take(pool);
		/* The frame was free at the pool's death, one generation on: the next pool begins behind. */
		cr_assert_geq(b.id >> 20, highest + 2);
		sxsk_buf_unref(&b);
	}
	sxsk_pool_unref(pool);
}

Test(pool, frame_table_is_kept_and_its_memory_given_back)
{
	struct sxsk_pool *pool = new_pool(65536);
	struct sxsk_priv_pool *p = inner_pool(pool);
	const atomic_u64 *words = p->words;

	cr_assert_leq((uintptr_t)p->links - (uintptr_t)p->words, (uintptr_t)8 << 20);
	cr_assert_gt(pages_in_core(words, 65536 * 8), 100);
	sxsk_pool_unref(pool);
	cr_assert(is_mapped(words), "a stale handle may be looked up at any time");
	cr_assert_eq(pages_in_core(words, 65536 * 8), 1, "of frame 0 it says that it is nowhere");
	pool = new_pool(64);
	cr_assert_eq(inner_pool(pool)->words, words);
	sxsk_pool_unref(pool);
}

Test(pool, slot_whose_generations_are_used_up_is_left)
{
	struct sxsk_pool *pool = new_pool(64), *next;
	struct sxsk_buf b;

	age_pool(pool, 0);
	b = take(pool);
	sxsk_buf_unref(&b);
	sxsk_pool_unref(pool);
	next = new_pool(64);
	cr_assert_neq((uintptr_t)next & 0xffff, (uintptr_t)pool & 0xffff);
	sxsk_pool_unref(next);
}

/* ---- alloc ------------------------------------------------------------------------------------------ */

Test(pool, alloc_gives_each_frame_once_and_then_none)
{
	static const uint32_t count[] = { 64, 192, 1024, 4096 };
	static struct sxsk_buf all[4097];

	for (unsigned c = 0; c < 4; c++) {
		struct sxsk_pool *pool = new_pool(count[c]);
		unsigned char at[4096] = { 0 };

		for (unsigned lane = 0; lane < 2; lane++) {
			cr_assert_eq(sxsk_pool_alloc(pool, all, count[c] + 1), count[c]);
			cr_assert_eq(sxsk_pool_alloc(pool, all + 1, 1), 0);
			cr_assert_eq(pool_stats(pool).user, count[c]);
			memset(at, 0, sizeof(at));
			for (unsigned i = 0; i < count[c]; i++)
				cr_assert_eq(at[sxsk_buf_index(all[i])]++, 0);
			sxsk_buf_unref_burst(all, count[c]);
			expect_accounted(pool);
			cr_assert_eq(sxsk_lane_attach(pool), 0);
		}
		sxsk_pool_unref(pool);
	}
}

Test(pool, alloc_into_nowhere_gives_nothing)
{
	struct sxsk_pool *pool = new_pool(64);

	cr_assert_eq(sxsk_pool_alloc(pool, NULL, 5), 0);
	cr_assert_eq(sxsk_pool_alloc(pool, &(struct sxsk_buf){ 0 }, 0), 0);
	expect_all_home(pool);
	sxsk_pool_unref(pool);
}

/* ---- account ------------------------------------------------------------------------------------------ */

Test(pool, stats_add_up_whoever_has_the_frames)
{
	struct sxsk_pool *pool = new_pool(256);
	struct sxsk_socket *socket = new_socket(pool, "mem:sum", 0);
	struct sxsk_mem_rings k = take_rings(socket);
	struct sxsk_buf held = packet(pool, 60, 1), lane[8];
	struct sxsk_pool_stats st;

	cr_assert_eq(sxsk_lane_attach(pool), 0);
	cr_assert_eq(sxsk_pool_alloc(pool, lane, 8), 8);
	sxsk_buf_unref_burst(lane, 8);
	send_one(socket, packet(pool, 60, 2));
	st = pool_stats(pool);
	cr_assert_eq(st.user, 1);
	cr_assert_eq(st.tx, 1);
	cr_assert_eq(st.fill, 64);
	cr_assert_gt(st.lanes, 0);
	cr_assert_eq(st.user + st.tx + st.fill + st.lanes + st.depot, 256);
	cr_assert_eq(st.quarantined + st.retired, 0);
	cr_assert_eq(kernel_complete_all(&k), 1);
	reap(socket);
	sxsk_buf_unref(&held);
	sxsk_lane_detach(pool);
	close_and_unref(socket, pool);
}

Test(pool, stats_write_as_much_as_the_caller_has)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_pool_stats st;
	unsigned char large[sizeof(st) + 64];

	memset(&st, 0xee, sizeof(st));
	st.sz = offsetof(struct sxsk_pool_stats, user);
	sxsk_pool_stats(pool, &st);
	cr_assert_eq(st.total, 64);
	cr_assert_eq(st.user, 0xeeeeeeeeeeeeeeee);
	memset(large, 0xee, sizeof(large));
	((struct sxsk_pool_stats *)large)->sz = sizeof(large);
	sxsk_pool_stats(pool, (struct sxsk_pool_stats *)large);
	cr_assert_eq(large[sizeof(large) - 1], 0,
		     "fields that this library does not know are zero");
	count_misuse();
	st.sz = 0;
	expect_misuse(SXSK_MISUSE_ARGUMENT, "sxsk_pool_stats", sxsk_pool_stats(pool, &st));
	st.sz = 0xeeeeeeeeeeeeeeee; /* never set */
	expect_misuse(SXSK_MISUSE_ARGUMENT, "sxsk_pool_stats", sxsk_pool_stats(pool, &st));
	cr_assert_eq(st.total, 64, "left alone");
	sxsk_pool_unref(pool);
}

/* What the report says, and what it returns. */
static const char *report(struct sxsk_pool *pool, int *ret_missing)
{
	static char text[4096];
	FILE *out = fmemopen(text, sizeof(text), "w");

	cr_assert_not_null(out);
	*ret_missing = sxsk_pool_report(pool, out);
	cr_assert_eq(fclose(out), 0);
	return text;
}

Test(pool, report_names_the_frames_that_are_held)
{
	struct sxsk_pool *pool =
		new_pool_with((struct sxsk_pool_opts){ .frame_count = 64, .name = "blue" });
	struct sxsk_buf b = packet(pool, 60, 1), clone = sxsk_buf_ref(b), all[63];
	const char *text;
	char line[80];
	int missing;

	text = report(pool, &missing);
	cr_assert_eq(missing, 0);
	cr_assert(strstr(text, "pool \"blue\": 64 frames of 2048 bytes: user 1, lanes 0, depot 63"),
		  "%s", text);
	(void)snprintf(line, sizeof(line), "frame %u: held by 2 references", sxsk_buf_index(b));
	cr_assert(strstr(text, line), "%s", text);
	cr_assert_eq(take_all(pool, all, 63), 63);
	text = report(pool, &missing);
	cr_assert(strstr(text, "user 64") && strstr(text, "... and 56 more held frames"), "%s",
		  text);
	sxsk_buf_unref_burst(all, 63);
	sxsk_buf_unref(&b);
	sxsk_buf_unref(&clone);
	text = report(pool, &missing);
	cr_assert_eq(missing, 0);
	cr_assert(strstr(text, "depot 64") && !strstr(text, "held by"), "%s", text);
	sxsk_pool_unref(pool);
}

Test(pool, report_counts_frames_that_nobody_has)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_priv_pool *p = inner_pool(pool);
	uint64_t word = load_relaxed(&p->words[5]);
	const char *text;
	int missing;

	store_relaxed(&p->words[5], 0);
	text = report(pool, &missing);
	cr_assert_eq(missing, 1);
	cr_assert(strstr(text, "1 not accounted for"), "%s", text);
	store_relaxed(&p->words[5], word);
	sxsk_pool_unref(pool);
}

/* ---- drain -------------------------------------------------------------------------------------------- */

Test(pool, drain_of_a_pool_at_rest_returns_at_once)
{
	struct sxsk_pool *pool = new_pool(64);

	cr_assert_eq(sxsk_pool_drain(pool, 0), 0);
	cr_assert_eq(sxsk_pool_drain(pool, -1), 0);
	sxsk_pool_unref(pool);
}

Test(pool, drain_times_out_on_a_held_buf)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_buf b = take(pool);

	expect_error(ETIMEDOUT, "1 frames in Bufs, 0 in transmission", sxsk_pool_drain(pool, 0));
	expect_error(ETIMEDOUT, "1 frames in Bufs", sxsk_pool_drain(pool, 5));
	sxsk_buf_unref(&b);
	cr_assert_eq(sxsk_pool_drain(pool, 0), 0);
	sxsk_pool_unref(pool);
}

static void *unref_soon(void *arg)
{
	const struct timespec soon = { .tv_nsec = 5000000 };

	(void)nanosleep(&soon, NULL);
	sxsk_buf_unref(arg);
	return NULL;
}

Test(pool, drain_waits_for_other_threads)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_buf b = take(pool);
	pthread_t thread;

	cr_assert_eq(pthread_create(&thread, NULL, unref_soon, &b), 0);
	cr_assert_eq(sxsk_pool_drain(pool, -1), 0);
	expect_all_home(pool);
	cr_assert_eq(pthread_join(thread, NULL), 0);
	sxsk_pool_unref(pool);
}

struct sender {
	struct sxsk_socket *socket;
	struct sxsk_buf b;
};

static void *send_there(void *arg)
{
	struct sender *s = arg;

	return sxsk_tx_burst(s->socket, &s->b, 1) == 1 ? s : NULL;
}

Test(pool, drain_reaps_what_the_thread_sent_itself)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_socket *socket = new_socket(pool, "mem:own", SXSK_SOCKET_NO_RX);

	send_one(socket, packet(pool, 60, 1));
	cr_assert_eq(pool_stats(pool).tx, 1, "its completion waits in the ring");
	cr_assert_eq(sxsk_pool_drain(pool, -1), 0);
	close_and_unref(socket, pool);
}

Test(pool, drain_leaves_other_threads_halves_alone)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sender s = { new_socket(pool, "mem:theirs", SXSK_SOCKET_NO_RX),
			    packet(pool, 60, 1) };

	cr_assert_not_null(in_thread(send_there, &s));
	expect_error(ETIMEDOUT, "1 in transmission", sxsk_pool_drain(pool, 5));
	reap(s.socket); /* handed over to this thread */
	cr_assert_eq(sxsk_pool_drain(pool, 0), 0);
	close_and_unref(s.socket, pool);
}
