/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two threads on the two ends of one cable, each opening, sending, receiving and closing as it likes,
 * while a third takes the link down and up and removes the device now and then: what arrives is whole,
 * and at the end every frame is accounted for. For ThreadSanitizer as well: Criterion cannot run there.
 */
#include <errno.h>
#include <pthread.h>
#include <safexsk/mem.h>
#include <safexsk/safexsk.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NAME "mem:threads"
#define ROUNDS 150
#define BURSTS 60
#define BURST 16u
/* Both threads go on until so many packets arrived: on one busy processor they may take turns for a
 * hundred rounds and never have their ends open at the same time. */
#define RECEIVED 1000u
#define SECONDS 60

static _Atomic(uint64_t) received;
static _Atomic(int) running = 2;

#define check(condition)                                                                           \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			(void)fprintf(stderr, "line %d: %s: %s\n", __LINE__, #condition,           \
				      sxsk_last_error());                                          \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

/* A packet is its number, over and over. */
static void write_packet(struct sxsk_buf *b, uint64_t number)
{
	uint32_t len = 64 + (uint32_t)(number % 170) * 8;
	unsigned char *data;

	check(sxsk_buf_put(b, len) == 0);
	data = sxsk_buf_data_mut(*b);
	for (uint32_t i = 0; i < len; i += 8)
		memcpy(data + i, &number, 8);
}

static void check_packet(struct sxsk_buf b)
{
	const unsigned char *data = sxsk_buf_data(b);
	uint64_t number;

	memcpy(&number, data, 8);
	check(sxsk_buf_len(b) == 64 + number % 170 * 8);
	for (uint32_t i = 0; i < sxsk_buf_len(b); i += 8)
		check(memcmp(data + i, &number, 8) == 0);
}

static void use(struct sxsk_pool *pool, struct sxsk_socket *s, uint64_t *number)
{
	struct sxsk_buf bufs[BURST];

	for (unsigned i = 0; i < BURSTS; i++) {
		unsigned n = sxsk_pool_alloc(pool, bufs, BURST), sent;

		for (unsigned k = 0; k < n; k++)
			write_packet(&bufs[k], (*number)++);
		sent = sxsk_tx_burst(s, bufs, n);
		sxsk_buf_unref_burst(bufs + sent, n - sent);
		n = sxsk_rx_burst(s, bufs, BURST);
		for (unsigned k = 0; k < n; k++)
			check_packet(bufs[k]);
		sxsk_buf_unref_burst(bufs, n);
		received += n;
	}
}

static void *end_thread(void *arg)
{
	struct sxsk_pool_opts p = { .sz = sizeof(p), .frame_count = 512 };
	struct sxsk_socket_opts o = {
		.sz = sizeof(o), .rx_size = 64, .tx_size = 64, .fill_size = 64, .comp_size = 64
	};
	struct sxsk_pool_stats st = { .sz = sizeof(st) };
	uint64_t number = (uint64_t)(arg != NULL) << 32;
	struct sxsk_pool *pool;
	time_t begun = time(NULL);
	struct sxsk_socket *s;

	check(sxsk_pool_create(&pool, &p) == 0);
	for (unsigned round = 0;
	     round < ROUNDS || (received < RECEIVED && time(NULL) < begun + SECONDS); round++) {
		int err;

		/* An end is free as soon as its socket is closed, and there are two of us. */
		err = sxsk_socket_open(&s, pool, NAME, 0, &o);
		check(err == 0);
		use(pool, s, &number);
		sxsk_socket_close(s);
		sxsk_pool_stats(pool, &st);
		check(st.user == 0 && st.tx == 0);
		check(st.depot + st.lanes + st.quarantined + st.retired == st.total);
	}
	sxsk_pool_unref(pool);
	running--;
	return NULL;
}

int main(void)
{
	const struct timespec pause = { .tv_nsec = 200000 };
	pthread_t thread[2];
	unsigned turn = 0, removed = 0;

	for (uintptr_t i = 0; i < 2; i++)
		check(pthread_create(&thread[i], NULL, end_thread, i ? &running : NULL) == 0);
	while (running) {
		int err = ++turn % 16 ? sxsk_mem_set_link(NAME, turn & 1) : sxsk_mem_remove(NAME);

		check(err == 0 || err == -ENODEV);
		removed += turn % 16 == 0 && err == 0;
		(void)nanosleep(&pause, NULL);
	}
	for (unsigned i = 0; i < 2; i++)
		check(pthread_join(thread[i], NULL) == 0);
	(void)printf("%llu packets received, %u removals\n", (unsigned long long)received, removed);
	return received >= RECEIVED ? 0 : 1;
}
