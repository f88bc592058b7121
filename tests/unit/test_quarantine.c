/* SPDX-License-Identifier: BSD-2-Clause */
/* What a closed socket's kernel side may still write to is not used again before it is provably done. */
#include "support.h"

/* One end under test, and the other one, which keeps the device alive. */
struct cable {
	struct sxsk_pool *pool, *far;
	struct sxsk_socket *socket, *peer;
	struct sxsk_mem_rings k;
};

static struct cable cable(const char *name, uint32_t flags)
{
	struct cable c = { .pool = new_pool(256), .far = new_pool(256) };

	c.socket = new_socket(c.pool, name, flags);
	c.peer = new_socket(c.far, name, 0);
	c.k = take_rings(c.socket);
	return c;
}

static uint64_t quarantined(const struct cable *c)
{
	return pool_stats(c->pool).quarantined;
}

/* With the other end the device goes, and the last quarantine ends. */
static void cut(struct cable *c)
{
	sxsk_socket_close(c->peer);
	expect_all_home(c->pool);
	expect_all_home(c->far);
	sxsk_pool_unref(c->pool);
	sxsk_pool_unref(c->far);
}

Test(quarantine, frames_that_the_kernel_has_at_close_are_not_used_again)
{
	struct cable c = cable("mem:q1", 0);
	struct sxsk_buf all[256];
	unsigned char with_kernel[256] = { 0 };
	uint32_t n = fill_level(&c.k);

	for (uint32_t i = 0; i < n; i++)
		with_kernel[((uint64_t *)c.k.fill.entries)[i] / 2048] = 1;
	for (unsigned i = 0; i < 4; i++) {
		struct sxsk_buf b = packet(c.pool, 60, 1);

		with_kernel[sxsk_buf_index(b)] = 1;
		send_one(c.socket, b);
	}
	sxsk_socket_close(c.socket);
	cr_assert_eq(quarantined(&c), n + 4);
	cr_assert_eq(units_frames(c.pool), 0, "they gave their units back");
	expect_accounted(c.pool);
	cr_assert_eq(take_all(c.pool, all, 256), 256 - (n + 4));
	for (unsigned i = 0; i < 256 - (n + 4); i++)
		cr_assert_eq(with_kernel[sxsk_buf_index(all[i])], 0, "frame %u",
			     sxsk_buf_index(all[i]));
	sxsk_buf_unref_burst(all, 256 - (n + 4));
	cut(&c);
}

Test(quarantine, what_is_in_the_rings_at_close_comes_home)
{
	struct cable c = cable("mem:q2", 0);
	uint32_t n = fill_level(&c.k);

	for (unsigned i = 0; i < 4; i++)
		send_one(c.socket, packet(c.pool, 60, 1));
	for (unsigned i = 0; i < 3; i++)
		(void)kernel_receive(&c.k, 60);
	kernel_complete(&c.k, kernel_take_tx(&c.k).addr);
	sxsk_socket_close(c.socket);
	cr_assert_eq(quarantined(&c), n - 3 + 4 - 1);
	cut(&c);
}

Test(quarantine, it_does_not_keep_the_pool_alive)
{
	struct cable c = cable("mem:q3", 0);

	sxsk_socket_close(c.socket);
	cr_assert_gt(quarantined(&c), 0);
	sxsk_pool_unref(c.pool);
	cr_assert_not(is_mapped(c.k.umem));
	c.pool = new_pool(64); /* in the same slot: the record is not for this one */
	sxsk_socket_close(c.peer);
	expect_all_home(c.pool);
	sxsk_pool_unref(c.pool);
	sxsk_pool_unref(c.far);
}

Test(quarantine, it_ends_when_the_same_device_and_queue_is_open_again)
{
	struct cable c = cable("mem:q4", 0);
	struct sxsk_socket *other;
	uint64_t n;

	sxsk_socket_close(c.socket);
	n = quarantined(&c);
	cr_assert_gt(n, 0);
	cr_assert_eq(sxsk_socket_open(&other, c.pool, "mem:q4", 1, NULL), 0);
	sxsk_socket_close(other);
	cr_assert_geq(quarantined(&c), n, "another queue is no sign");
	other = new_socket(c.pool, "mem:elsewhere", 0);
	sxsk_socket_close(other);
	cr_assert_geq(quarantined(&c), n, "nor is another device");
	c.socket = new_socket(c.pool, "mem:q4", 0);
	cr_assert_eq(quarantined(&c), 0);
	sxsk_socket_close(c.socket);
	cut(&c);
}

Test(quarantine, it_does_not_end_with_a_failed_reopen)
{
	struct cable c = cable("mem:q5", 0);
	struct sxsk_socket_opts zerocopy = { .sz = sizeof(zerocopy), .mode = SXSK_MODE_ZEROCOPY };
	uint64_t n;

	sxsk_socket_close(c.socket);
	n = quarantined(&c);
	cr_assert_eq(sxsk_socket_open(&c.socket, c.pool, "mem:q5", 0, &zerocopy), -EOPNOTSUPP);
	cr_assert_eq(quarantined(&c), n);
	expect_accounted(c.pool);
	cut(&c);
}

Test(quarantine, it_ends_when_the_device_is_gone)
{
	struct cable c = cable("mem:q6", 0);

	sxsk_socket_close(c.socket);
	cr_assert_gt(quarantined(&c), 0);
	sxsk_socket_close(c.peer);
	cr_assert_eq(quarantined(&c), 0);
	expect_all_home(c.pool);
	expect_all_home(c.far);
	sxsk_pool_unref(c.pool);
	sxsk_pool_unref(c.far);
}

Test(quarantine, drain_looks_for_devices_that_are_gone)
{
	struct cable c = cable("mem:q7", 0);

	sxsk_socket_close(c.socket);
	cr_assert_gt(quarantined(&c), 0);
	cr_assert_eq(sxsk_mem_remove("mem:q7"), 0);
	cr_assert_eq(sxsk_pool_drain(c.pool, 0), 0);
	cr_assert_eq(quarantined(&c), 0);
	cut(&c);
}

/* A Buf that was in flight at the close of its socket, and a user's reference to it. */
static struct sxsk_buf held_in_flight(struct cable *c)
{
	struct sxsk_buf b = packet(c->pool, 60, 0x33);

	send_one(c->socket, sxsk_buf_ref(b));
	sxsk_socket_close(c->socket);
	return b;
}

Test(quarantine, frame_in_flight_with_users_is_suspect_after_close)
{
	struct cable c = cable("mem:q8", 0);
	struct sxsk_buf b = held_in_flight(&c), was = b;
	uint64_t n = quarantined(&c);

	count_misuse();
	cr_assert_eq(((const unsigned char *)sxsk_buf_data(b))[59], 0x33, "readable");
	cr_assert_eq(FRAME_TX_OF(word_of(b)), 0, "the transmission is taken off");
	cr_assert(sxsk_buf_is_shared(b));
	expect_misuse(SXSK_MISUSE_SHARED, "sxsk_buf_data_mut",
		      cr_assert_null(sxsk_buf_data_mut(b)));
	cr_assert_eq(pool_stats(c.pool).user, 1);
	cr_assert_eq(units_frames(c.pool), 1);
	sxsk_buf_unref(&b);
	cr_assert_eq(quarantined(&c), n + 1, "the last unref quarantines");
	cr_assert_eq(word_of(was) >> 20, (was.id >> 20) + 1);
	expect_accounted(c.pool);
	c.socket = new_socket(c.pool, "mem:q8", 0);
	cr_assert_eq(quarantined(&c), 0, "and the reopen ends it");
	sxsk_socket_close(c.socket);
	cut(&c);
}

Test(quarantine, suspect_can_be_sent_elsewhere_and_ends_in_quarantine)
{
	struct cable c = cable("mem:q9", 0);
	struct sxsk_socket *other = new_socket(c.pool, "mem:q9b", SXSK_SOCKET_NO_RX);
	struct sxsk_mem_rings k = take_rings(other);
	struct sxsk_buf b = held_in_flight(&c), clone = sxsk_buf_ref(b);
	uint64_t n = quarantined(&c);

	send_one(other, b);
	send_one(other, clone);
	cr_assert_eq(pool_stats(c.pool).tx, 1);
	cr_assert_eq(kernel_complete_all(&k), 2);
	reap(other);
	cr_assert_eq(socket_stats(other).comp_refused, 0);
	cr_assert_eq(quarantined(&c), n + 1);
	sxsk_socket_close(other);
	cut(&c);
}

/* Nothing else was with the kernel: the record is needed all the same. */
Test(quarantine, suspect_alone_is_enough_for_a_quarantine_that_ends)
{
	struct cable c = cable("mem:q10", SXSK_SOCKET_NO_RX);
	struct sxsk_buf b = held_in_flight(&c);

	cr_assert_eq(quarantined(&c), 0);
	sxsk_buf_unref(&b);
	cr_assert_eq(quarantined(&c), 1);
	c.socket = new_socket(c.pool, "mem:q10", SXSK_SOCKET_NO_RX);
	cr_assert_eq(quarantined(&c), 0);
	sxsk_socket_close(c.socket);
	cut(&c);
}

/* The kernel was done with the frame while the user still held it. */
Test(quarantine, suspect_is_cleared_by_the_reopen)
{
	struct cable c = cable("mem:q11", 0);
	struct sxsk_buf b = held_in_flight(&c);

	c.socket = new_socket(c.pool, "mem:q11", 0);
	cr_assert_not_null(sxsk_buf_data_mut(b), "the only owner again");
	sxsk_buf_unref(&b);
	cr_assert_eq(quarantined(&c), 0);
	sxsk_socket_close(c.socket);
	cut(&c);
}

/* Only the queue that may still read the frame can say that it is done. */
Test(quarantine, suspect_is_not_cleared_by_another_queues_reopen)
{
	struct cable c = cable("mem:q15", SXSK_SOCKET_NO_RX);
	struct sxsk_socket *other = new_socket(c.pool, "mem:q15b", SXSK_SOCKET_NO_RX);
	struct sxsk_socket *peer = new_socket(c.far, "mem:q15b", 0);
	struct sxsk_buf b = held_in_flight(&c);

	sxsk_socket_close(other);
	other = new_socket(c.pool, "mem:q15b", SXSK_SOCKET_NO_RX);
	sxsk_buf_unref(&b);
	cr_assert_eq(quarantined(&c), 1, "the first one is not open again");
	sxsk_socket_close(other);
	sxsk_socket_close(peer);
	cut(&c);
}

Test(quarantine, frame_in_flight_on_two_queues_waits_for_ever)
{
	struct cable c = cable("mem:q12", SXSK_SOCKET_NO_RX);
	struct sxsk_socket *other = new_socket(c.pool, "mem:q12b", SXSK_SOCKET_NO_RX);
	struct sxsk_socket *peer = new_socket(c.far, "mem:q12b", 0);
	struct sxsk_buf b = packet(c.pool, 60, 0x33);

	(void)take_rings(other);
	send_one(c.socket, sxsk_buf_ref(b));
	send_one(other, sxsk_buf_ref(b));
	sxsk_socket_close(c.socket);
	sxsk_socket_close(other);
	sxsk_buf_unref(&b);
	cr_assert_eq(quarantined(&c), 1);
	other = new_socket(c.pool, "mem:q12b", SXSK_SOCKET_NO_RX);
	cr_assert_eq(quarantined(&c), 1, "the first one is not open again");
	sxsk_socket_close(other);
	c.socket = new_socket(c.pool, "mem:q12", SXSK_SOCKET_NO_RX);
	cr_assert_eq(quarantined(&c), 1, "nor are both at once");
	sxsk_socket_close(c.socket);
	sxsk_socket_close(peer);
	sxsk_socket_close(c.peer);
	expect_accounted(c.pool);
	sxsk_pool_unref(c.pool);
	sxsk_pool_unref(c.far);
}

Test(quarantine, transmission_without_users_on_two_sockets_survives_the_close_of_one)
{
	struct cable c = cable("mem:q13", SXSK_SOCKET_NO_RX);
	struct sxsk_socket *other = new_socket(c.pool, "mem:q13b", SXSK_SOCKET_NO_RX);
	struct sxsk_mem_rings k = take_rings(other);
	struct sxsk_buf b = packet(c.pool, 60, 0x33), was = b;

	send_one(c.socket, sxsk_buf_ref(b));
	send_one(other, b);
	sxsk_socket_close(c.socket);
	cr_assert_eq(pool_stats(c.pool).tx, 1);
	cr_assert_eq(FRAME_TX_OF(word_of(was)), 1);
	cr_assert_eq(kernel_complete_all(&k), 1);
	reap(other);
	cr_assert_eq(socket_stats(other).comp_refused, 0);
	cr_assert_eq(quarantined(&c), 1, "the closed one's kernel side may still read it");
	sxsk_socket_close(other);
	cut(&c);
}

Test(quarantine, frame_that_the_kernel_named_wrongly_is_released_by_the_reopen)
{
	struct cable c = cable("mem:q14", SXSK_SOCKET_NO_RX);
	struct sxsk_buf b = packet(c.pool, 60, 0x33);

	send_one(c.socket, packet(c.pool, 60, 1));
	kernel_complete(&c.k, (uint64_t)sxsk_buf_index(b) * 2048);
	kernel_complete(&c.k, kernel_take_tx(&c.k).addr);
	reap(c.socket);
	sxsk_buf_unref(&b);
	cr_assert_eq(quarantined(&c), 1);
	sxsk_socket_close(c.socket);
	cr_assert_eq(quarantined(&c), 1);
	c.socket = new_socket(c.pool, "mem:q14", SXSK_SOCKET_NO_RX);
	cr_assert_eq(quarantined(&c), 0);
	sxsk_socket_close(c.socket);
	cut(&c);
}

/* Else the records of queues that nobody opens again would be used up one day. */
Test(quarantine, record_ends_with_its_pool)
{
	struct cable c = cable("mem:record", 0);
	struct sxsk_priv_queue *q = sxsk_priv_registry.queue, record = { 0 };

	sxsk_socket_close(c.socket);
	sxsk_pool_unref(c.pool);
	for (uint32_t i = 1; i <= MAX_QUEUES; i++)
		if (q[i].state == QUEUE_QUARANTINE)
			record = q[i];
	cr_assert_eq(record.state, QUEUE_QUARANTINE);
	for (uint32_t i = 1; i <= MAX_QUEUES; i++)
		if (q[i].state == QUEUE_FREE)
			q[i] = record;
	c.pool = new_pool(64);
	close_and_unref(new_socket(c.pool, "mem:next", 0), c.pool);
	sxsk_socket_close(c.peer);
	sxsk_pool_unref(c.far);
}
