/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two threads send and receive over a cable; two others read all that can be read of the sockets and the
 * pool meanwhile. No counter ever decreases, no frame is counted twice, and at the end the counters say
 * what was done.
 */
#include "stress.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#define BURST 32u
#define FRAMES 1024u
#define WINDOW 128u /* packets on the way: fewer than what is in FILL, so that none is dropped */
#define READERS 2u

static struct sxsk_pool *pool;
static struct sxsk_socket *sender, *receiver;
static _Atomic(bool) over;
static uint64_t wanted, sent, sent_bytes, received_bytes;
static _Atomic(uint64_t) received;
static double end;

static unsigned burst_of(struct sxsk_buf bufs[])
{
	unsigned n = sxsk_pool_alloc(pool, bufs, BURST);

	for (unsigned i = 0; i < n; i++)
		packet_write(&bufs[i], sent + i);
	return n;
}

static void *send_thread(void *arg)
{
	struct sxsk_buf bufs[BURST], odd[2];

	(void)arg;
	while (sent < wanted && (sent % 1024 != 0 || seconds() < end)) {
		unsigned n = burst_of(bufs), done = 0;

		for (unsigned i = 0; i < n; i++)
			sent_bytes += sxsk_buf_len(bufs[i]);
		sent += n;
		while (done < n)
			done += sxsk_tx_burst(sender, bufs + done, n - done);
		/* Taken and counted, too: nothing, and a packet that is too short. */
		odd[0] = (struct sxsk_buf){ 0 };
		if (sxsk_pool_alloc(pool, &odd[1], 1) == 1)
			while (sxsk_tx_burst(sender, odd, 2) == 0)
				;
		while (sent - atomic_load(&received) > WINDOW - BURST && seconds() < end + 60) {
			check(sxsk_tx_burst(sender, NULL, 0) == 0);
			(void)sched_yield();
		}
	}
	while (sxsk_pool_drain(pool, 10) != 0 && seconds() < end + 60)
		check(sxsk_tx_burst(sender, NULL, 0) == 0);
	atomic_store(&over, true);
	return NULL;
}

static void *receive_thread(void *arg)
{
	struct sxsk_buf bufs[BURST];
	bool last = false;
	unsigned n;

	(void)arg;
	do {
		last = atomic_load(&over);
		n = sxsk_rx_burst(receiver, bufs, BURST);
		for (unsigned i = 0; i < n; i++) {
			packet_check_received(bufs[i]);
			received_bytes += sxsk_buf_len(bufs[i]);
		}
		sxsk_buf_unref_burst(bufs, n);
		atomic_fetch_add(&received, n);
		if (n == 0)
			(void)sched_yield();
	} while (n > 0 || !last);
	return NULL;
}

static void read_socket(struct sxsk_socket *socket, struct sxsk_socket_stats *before)
{
	struct sxsk_socket_stats now = { .sz = sizeof(now) };

	sxsk_socket_stats(socket, &now);
#define GROWS(name) check(now.name >= before->name);
	SXSK_SOCKET_COUNTERS(GROWS)
#undef GROWS
#define GROWS(name) check(now.kernel.name >= before->kernel.name);
	SXSK_KERNEL_COUNTERS(GROWS)
#undef GROWS
	check(strcmp(now.ifname, "mem:statistics") == 0 && now.mode == SXSK_MODE_COPY);
	check(sxsk_socket_error(socket) == 0 && sxsk_socket_fd(socket) >= 0);
	*before = now;
}

static void read_pool(FILE *out)
{
	struct sxsk_pool_stats st = { .sz = sizeof(st) };

	sxsk_pool_stats(pool, &st);
	check(st.total == FRAMES && st.sockets == 2 && st.page_size > 0);
	check(st.user + st.lanes + st.depot + st.fill + st.tx <= FRAMES);
	rewind(out);
	check(sxsk_pool_report(pool, out) >= 0);
}

static void *read_thread(void *arg)
{
	struct sxsk_socket_stats before[2] = { { .sz = 0 } };
	uint64_t *reads = arg;
	FILE *out = fopen("/dev/null", "w");

	check(out != NULL);
	do {
		read_socket(sender, &before[0]);
		read_socket(receiver, &before[1]);
		if (*reads % 64 == 0)
			read_pool(out);
		++*reads;
	} while (!atomic_load(&over));
	(void)fclose(out);
	return NULL;
}

static void expect_the_end(void)
{
	struct sxsk_socket_stats s = { .sz = sizeof(s) }, r = s;

	sxsk_socket_stats(sender, &s);
	sxsk_socket_stats(receiver, &r);
	check(s.tx_packets == sent && s.tx_completed == sent && s.tx_bytes == sent_bytes);
	check(r.rx_packets == received && r.rx_bytes == received_bytes);
	check(received == sent && r.kernel.rx_dropped == 0 && r.kernel.rx_ring_full == 0);
	check(s.drop_null == s.drop_short && s.drop_null > 0);
	check(s.drop_misuse == 0 && s.drop_pool == 0 && s.drop_limit == 0 && s.comp_refused == 0);
	check(r.rx_refused == 0 && r.fill_given > r.rx_packets && s.kicks > 0);
}

int main(int argc, char **argv)
{
	struct sxsk_pool_opts opts = { .sz = sizeof(opts), .frame_count = FRAMES };
	uint64_t reads[READERS] = { 0 };
	pthread_t thread[2 + READERS];
	double limit = 60, begun = seconds();

	wanted = 50000;
	stress_options(argc, argv, &wanted, &limit);
	end = begun + limit;
	check(sxsk_pool_create(&pool, &opts) == 0);
	check(sxsk_socket_open(&sender, pool, "mem:statistics", 0, NULL) == 0);
	check(sxsk_socket_open(&receiver, pool, "mem:statistics", 0, NULL) == 0);
	check(pthread_create(&thread[0], NULL, receive_thread, NULL) == 0);
	for (unsigned i = 0; i < READERS; i++)
		check(pthread_create(&thread[2 + i], NULL, read_thread, &reads[i]) == 0);
	check(pthread_create(&thread[1], NULL, send_thread, NULL) == 0);
	for (unsigned i = 0; i < 2 + READERS; i++)
		check(pthread_join(thread[i], NULL) == 0);
	expect_the_end();
	sxsk_socket_close(sender);
	sxsk_socket_close(receiver);
	sxsk_pool_unref(pool);
	(void)printf("%llu packets sent and received, statistics read %llu times in %.1f s\n",
		     (unsigned long long)sent, (unsigned long long)(reads[0] + reads[1]),
		     seconds() - begun);
	return sent > 0 && reads[0] > 0 && reads[1] > 0 ? 0 : 1;
}
