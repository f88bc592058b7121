/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One scenario on the virtio-net interfaces of a virtual machine:
 *
 *     eth0 ---- eth1      eth2 ---- eth3      one queue each
 *     eth4 ==== eth5                          two queues each
 *
 * The last line of output is "row MODE SENT RECEIVED VERIFIED", with the mode of the socket that the
 * scenario is about as the kernel tells it; or "lacks: WHY" (exit status 77), or "failed: WHY" (1).
 */
#include "ends.h"

#include <errno.h>
#include <net/if.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COPY SXSK_MODE_COPY
#define ZEROCOPY SXSK_MODE_ZEROCOPY
#define PACKETS 3000u
#define HALF (FLOWS / 2)

static void row(uint32_t mode, const struct tally *t)
{
	if (t->sent == 0 || t->received == 0 || t->verified != t->received)
		die("%llu packets sent, %llu received, %llu verified", (unsigned long long)t->sent,
		    (unsigned long long)t->received, (unsigned long long)t->verified);
	printf("row %s %llu %llu %llu\n", sxsk_mode_name(mode), (unsigned long long)t->sent,
	       (unsigned long long)t->received, (unsigned long long)t->verified);
}

/* ---- two sockets of one process ------------------------------------------------------------------- */

/* From eth0 to eth1, and back where both ends are alike. */
static void pass(uint32_t from, uint32_t to, uint32_t about)
{
	struct sxsk_pool *pool = pool_of(8192);
	struct sxsk_socket *a = open_end(pool, "eth0", 0, from), *b = open_end(pool, "eth1", 0, to);
	struct tally tally = { 0 };
	struct receiver there = { .tally = &tally, .complete = true }, back = there;
	uint32_t mode = stats_of(about == to ? b : a).mode;

	carry(a, pool, b, &there, PACKETS);
	if (from == to)
		carry(b, pool, a, &back, PACKETS);
	sxsk_socket_close(a);
	sxsk_socket_close(b);
	account(pool);
	row(mode, &tally);
}

static void rx_zerocopy(void)
{
	pass(COPY, ZEROCOPY, ZEROCOPY);
}

static void tx_zerocopy(void)
{
	pass(ZEROCOPY, COPY, ZEROCOPY);
}

static void both_zerocopy(void)
{
	pass(ZEROCOPY, ZEROCOPY, ZEROCOPY);
}

static void copy(void)
{
	pass(COPY, COPY, COPY);
}

/* Zero-copy by programs in libxdp's dispatcher. */
static void dispatcher(void)
{
	const struct sxsk_socket_opts opts = { .sz = sizeof(opts),
					       .steer = SXSK_STEER_ALL,
					       .attach = SXSK_ATTACH_DISPATCHER,
					       .mode = ZEROCOPY };
	struct sxsk_pool *pool = pool_of(8192);
	struct sxsk_socket *a = open_with(pool, "eth0", 0, &opts);
	struct sxsk_socket *b = open_with(pool, "eth1", 0, &opts);
	struct tally tally = { 0 };
	struct receiver there = { .tally = &tally, .complete = true }, back = there;

	if (stats_of(b).attach != SXSK_ATTACH_DISPATCHER)
		die("the program is attached as %s", sxsk_attach_name(stats_of(b).attach));
	carry(a, pool, b, &there, PACKETS);
	carry(b, pool, a, &back, PACKETS);
	sxsk_socket_close(a);
	sxsk_socket_close(b);
	account(pool);
	row(ZEROCOPY, &tally);
}

/* virtio-net does nothing for a packet by itself; the kernel does, in copy mode. */
static void metadata(void)
{
	const struct sxsk_pool_opts pool_opts = { .sz = sizeof(pool_opts),
						  .frame_count = 8192,
						  .tx_metadata_len = SXSK_TX_METADATA_LEN };
	struct sxsk_socket_opts opts = { .sz = sizeof(opts),
					 .steer = SXSK_STEER_ALL,
					 .mode = ZEROCOPY,
					 .metadata = SXSK_METADATA_TX_CHECKSUM };
	struct sxsk_pool *pool;
	struct sxsk_socket *a, *b;
	struct tally tally = { 0 };
	struct receiver there = { .tally = &tally, .complete = true };
	int err;

	if (sxsk_pool_create(&pool, &pool_opts) < 0)
		die("%s", sxsk_last_error());
	err = sxsk_socket_open(&a, pool, "eth0", 0, &opts);
	if (err == -EOPNOTSUPP && !strstr(sxsk_last_error(), "no checksums"))
		lacks("%s", sxsk_last_error());
	if (err != -EOPNOTSUPP)
		die("opened with %d: %s", err, err < 0 ? sxsk_last_error() : "");
	opts.mode = COPY;
	a = open_with(pool, "eth0", 0, &opts);
	b = open_end(pool, "eth1", 0, COPY);
	carry(a, pool, b, &there, PACKETS);
	sxsk_socket_close(a);
	sxsk_socket_close(b);
	account(pool);
	row(COPY, &tally);
}

/* ---- forwarding ----------------------------------------------------------------------------------- */

static const char *const one_link[] = { "l2fwd-1link", "--link-name", "eth1", "--zero-copy",
					"--duration",  "120",         NULL };
static const char *const two_links[] = { "l2fwd-2link",  "--link1-name", "eth1",
					 "--link2-name", "eth2",         "--zero-copy",
					 "--duration",   "120",          NULL };

static void forward_1link(void)
{
	struct sxsk_pool *pool = pool_of(8192);
	struct sxsk_socket *a = open_end(pool, "eth0", 0, ZEROCOPY);
	struct tally tally = { 0 };
	struct receiver r = { .tally = &tally, .complete = true, .swapped = true };
	uint32_t mode = stats_of(a).mode;
	struct child program;

	child_start(&program, one_link, 1, "zero-copy");
	carry(a, pool, a, &r, PACKETS);
	child_end(&program, SIGINT, 0, "every frame accounted for");
	sxsk_socket_close(a);
	account(pool);
	row(mode, &tally);
}

static void forward_2link(void)
{
	struct sxsk_pool *pool = pool_of(8192);
	struct sxsk_socket *a = open_end(pool, "eth0", 0, ZEROCOPY);
	struct sxsk_socket *b = open_end(pool, "eth3", 0, ZEROCOPY);
	struct tally tally = { 0 };
	struct receiver there = { .tally = &tally, .complete = true }, back = there;
	uint32_t mode = stats_of(b).mode;
	struct child program;

	child_start(&program, two_links, 2, "zero-copy");
	carry(a, pool, b, &there, PACKETS);
	carry(b, pool, a, &back, PACKETS);
	child_end(&program, SIGINT, 0, "every frame accounted for");
	sxsk_socket_close(a);
	sxsk_socket_close(b);
	account(pool);
	row(mode, &tally);
}

/* ---- coming and going under traffic ---------------------------------------------------------------- */

static void receive_more(struct sxsk_socket *socket, struct receiver *r, uint64_t n)
{
	const double end = seconds() + 30;
	const uint64_t enough = r->tally->received + n;

	while (r->tally->received < enough) {
		if (sxsk_socket_wait(socket, SXSK_WAIT_RX, 1000) < 0)
			die("%s", sxsk_last_error());
		receive_numbered(socket, r);
		if (seconds() > end)
			die("%llu packets more should have come",
			    (unsigned long long)(enough - r->tally->received));
	}
}

static void reopen(void)
{
	struct sxsk_pool *here = pool_of(4096), *there = pool_of(4096);
	struct sxsk_socket *a = open_end(here, "eth0", 0, ZEROCOPY), *b;
	struct tally tally = { 0 };
	struct receiver r = { .tally = &tally, .overtaken = true };
	struct traffic *traffic = traffic_start(a, here, &tally);
	uint32_t mode = 0;

	for (int round = 0; round < 10; round++) {
		b = open_end(there, "eth1", 0, ZEROCOPY);
		mode = stats_of(b).mode;
		receive_more(b, &r, 300);
		sxsk_socket_close(b);
	}
	traffic_stop(traffic);
	sxsk_socket_close(a);
	account(here);
	account(there);
	row(mode, &tally);
}

static void kill_and_restart(void)
{
	struct sxsk_pool *pool = pool_of(4096);
	struct sxsk_socket *a = open_end(pool, "eth0", 0, ZEROCOPY);
	struct tally tally = { 0 };
	struct receiver r = { .tally = &tally, .swapped = true, .overtaken = true };
	struct traffic *traffic;
	uint32_t mode = stats_of(a).mode;
	struct child program;

	child_start(&program, one_link, 1, "zero-copy");
	traffic = traffic_start(a, pool, &tally);
	for (int round = 0; round < 5; round++) {
		receive_more(a, &r, 200);
		child_end(&program, SIGKILL, 0, NULL);
		child_start(&program, one_link, 1, "zero-copy");
	}
	receive_more(a, &r, 200);
	traffic_stop(traffic);
	child_end(&program, SIGINT, 0, "every frame accounted for");
	sxsk_socket_close(a);
	account(pool);
	row(mode, &tally);
}

/* What lies at the end of this link. */
static void device_of(const char *ifname, char *ret_name, size_t room)
{
	char path[64], target[256];
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/sys/class/net/%s/device", ifname);
	n = readlink(path, target, sizeof(target) - 1);
	if (n < 0)
		die("%s: %s", path, strerror(errno));
	target[n] = '\0';
	(void)snprintf(ret_name, room, "%s", strrchr(target, '/') + 1);
}

static void to_driver(const char *verb, const char *device)
{
	char path[64];
	FILE *f;

	(void)snprintf(path, sizeof(path), "/sys/bus/virtio/drivers/virtio_net/%s", verb);
	f = fopen(path, "w");
	if (!f || fputs(device, f) < 0 || fclose(f))
		die("%s: %s", path, strerror(errno));
}

/* The driver lets go of the device, and takes it again. */
static void removal(void)
{
	struct sxsk_pool *here = pool_of(4096), *there = pool_of(4096);
	struct sxsk_socket *a = open_end(here, "eth0", 0, ZEROCOPY);
	struct sxsk_socket *b = open_end(there, "eth1", 0, ZEROCOPY);
	struct tally tally = { 0 };
	struct receiver r = { .tally = &tally, .overtaken = true };
	struct traffic *traffic = traffic_start(a, here, &tally);
	uint32_t mode = stats_of(b).mode;
	char device[64];
	int err;

	device_of("eth1", device, sizeof(device));
	receive_more(b, &r, 500);
	/* Both halves are in use. */
	if (send_numbered(b, there, 0, 64) == 0)
		die("nothing could be sent");
	to_driver("unbind", device);
	do {
		receive_numbered(b, &r);
		err = sxsk_socket_wait(b, SXSK_WAIT_RX, 5000);
	} while (err > 0);
	if (err != -ENXIO || sxsk_socket_error(b) != -ENXIO)
		die("the wait on an interface that was removed says %d: %s", err,
		    sxsk_last_error());
	(void)send_numbered(b, there, 0, 64);
	sxsk_socket_close(b);
	to_driver("bind", device);
	if (system("ip link set eth1 promisc on up"))
		die("eth1 is not back");
	b = open_end(there, "eth1", 0, ZEROCOPY);
	receive_more(b, &r, 500);
	traffic_stop(traffic);
	sxsk_socket_close(a);
	sxsk_socket_close(b);
	account(here);
	account(there);
	row(mode, &tally);
}

/* ---- busy polling ------------------------------------------------------------------------------------ */

static struct sxsk_socket *open_busy(struct sxsk_pool *pool, const char *ifname, uint32_t flags)
{
	const struct sxsk_socket_opts opts = { .sz = sizeof(opts),
					       .steer = SXSK_STEER_ALL,
					       .mode = ZEROCOPY,
					       .flags = flags,
					       .busy_poll_us = 20 };

	return open_with(pool, ifname, 0, &opts);
}

static void expect_setting(const char *name, long expected)
{
	long found = -1;
	char path[64];
	FILE *f;

	(void)snprintf(path, sizeof(path), "/sys/class/net/eth0/%s", name);
	f = fopen(path, "r");
	if (!f || fscanf(f, "%ld", &found) != 1 || fclose(f) || found != expected)
		die("%s is %ld, and not %ld", path, found, expected);
}

/* The next n packets one by one: the receiver waits for each, the sender for its completion. */
static void one_by_one(struct sxsk_socket *from, struct sxsk_pool *pool, struct sxsk_socket *to,
		       struct receiver *r, uint32_t n)
{
	const uint32_t first = (uint32_t)r->tally->sent;

	for (uint32_t i = first; i < first + n; i++) {
		if (send_numbered(from, pool, i, 1) != 1)
			die("packet %u was not taken", i);
		r->tally->sent++;
		while (r->tally->received <= i) {
			if (sxsk_socket_wait(to, SXSK_WAIT_RX, 5000) <= 0)
				die("packet %u did not come: %s", i, sxsk_last_error());
			receive_numbered(to, r);
		}
		while (stats_of(from).tx_completed <= i) {
			if (sxsk_socket_wait(from, SXSK_WAIT_TX, 5000) <= 0)
				die("packet %u was not completed: %s", i, sxsk_last_error());
			if (sxsk_tx_burst(from, NULL, 0))
				die("something was sent that nobody had");
		}
	}
}

static void busy_poll(void)
{
	struct sxsk_pool *pool = pool_of(8192);
	struct sxsk_socket *a = open_busy(pool, "eth0", 0), *b = open_busy(pool, "eth1", 0);
	struct tally tally = { 0 };
	struct receiver there = { .tally = &tally, .complete = true };
	uint32_t mode = stats_of(b).mode;

	expect_setting("napi_defer_hard_irqs", 2);
	expect_setting("gro_flush_timeout", 200000);
	one_by_one(a, pool, b, &there, 100);
	there.next[0] = 0;
	carry(b, pool, a, &there, PACKETS);
	if (stats_of(a).rx_kicks == 0)
		die("the driver was never run");
	sxsk_socket_close(a);
	sxsk_socket_close(b);
	expect_setting("napi_defer_hard_irqs", 0);
	expect_setting("gro_flush_timeout", 0);
	account(pool);
	row(mode, &tally);
}

/* Nobody receives on the NAPI instance that the kernel runs for sendto(). */
static void busy_send(void)
{
	struct sxsk_pool *pool = pool_of(4096);
	struct sxsk_socket *a = open_busy(pool, "eth0", SXSK_SOCKET_NO_RX);
	struct sxsk_socket *b = open_end(pool, "eth1", 0, COPY);
	struct tally tally = { 0 };
	struct receiver r = { .tally = &tally, .complete = true };
	uint32_t mode = stats_of(a).mode;

	carry(a, pool, b, &r, PACKETS);
	sxsk_socket_close(a);
	sxsk_socket_close(b);
	account(pool);
	row(mode, &tally);
}

/* ---- several queues ---------------------------------------------------------------------------------- */

static void two_queues(void)
{
	struct sxsk_pool *pool = pool_of(16384);
	struct sxsk_socket *from[2], *to[2];
	struct tally tally = { 0 };
	struct receiver r = { .tally = &tally };
	const double end = seconds() + 30;
	uint32_t mode = ZEROCOPY, next = 0;

	for (uint32_t q = 0; q < 2; q++) {
		from[q] = open_end(pool, "eth4", q, ZEROCOPY);
		to[q] = open_end(pool, "eth5", q, ZEROCOPY);
		mode = stats_of(to[q]).mode == mode ? mode : COPY;
	}
	while (tally.received < PACKETS && seconds() < end) {
		if (tally.sent < PACKETS && tally.sent - tally.received <= WINDOW - HALF) {
			/* Half of the flows on each queue, so that each is in order. */
			unsigned n = send_numbered(from[next / HALF % 2], pool, next,
						   HALF - next % HALF);

			next += n;
			tally.sent += n;
		}
		for (unsigned q = 0; q < 2; q++) {
			if (sxsk_tx_burst(from[q], NULL, 0))
				die("something was sent that nobody had");
			receive_numbered(to[q], &r);
		}
	}
	for (unsigned q = 0; q < 2; q++)
		if (stats_of(to[q]).rx_packets == 0)
			die("queue %u received nothing; the other, %llu packets", q,
			    (unsigned long long)tally.received);
	for (unsigned q = 0; q < 2; q++) {
		sxsk_socket_close(from[q]);
		sxsk_socket_close(to[q]);
	}
	account(pool);
	if (tally.received < PACKETS)
		die("%llu of %llu packets arrived", (unsigned long long)tally.received,
		    (unsigned long long)tally.sent);
	row(mode, &tally);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} scenarios[] = {
		{ "copy", copy },
		{ "dispatcher", dispatcher },
		{ "rx-zerocopy", rx_zerocopy },
		{ "tx-zerocopy", tx_zerocopy },
		{ "zerocopy", both_zerocopy },
		{ "forward-1link", forward_1link },
		{ "forward-2link", forward_2link },
		{ "reopen", reopen },
		{ "kill", kill_and_restart },
		{ "removal", removal },
		{ "busy-poll", busy_poll },
		{ "busy-send", busy_send },
		{ "two-queues", two_queues },
		{ "metadata", metadata },
	};

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (unsigned i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++)
		if (argc == 2 && strcmp(argv[1], scenarios[i].name) == 0) {
			scenarios[i].run();
			return 0;
		}
	fprintf(stderr, "usage: scenario NAME\n");
	for (unsigned i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++)
		fprintf(stderr, "  %s\n", scenarios[i].name);
	return 1;
}
