/* SPDX-License-Identifier: BSD-2-Clause */
/* Statistics as text and as JSON, each counter by its own name, and second by second; the account at the end; packets
 * as text and in captures. */
#include "support.h"

#include <time.h>

/* What a print function wrote. */
static char *printed;

#define expect_printed(wanted, ...)                                                                \
	do {                                                                                       \
		size_t len_;                                                                       \
		FILE *out = open_memstream(&printed, &len_);                                       \
		__VA_ARGS__;                                                                       \
		(void)fclose(out);                                                                 \
		cr_assert_str_eq(printed, wanted);                                                 \
		free(printed);                                                                     \
	} while (0)

Test(print, text_of_what_is_not_zero)
{
	struct sxsk_socket_stats s = { .sz = sizeof(s) };
	struct sxsk_pool_stats p = { .sz = sizeof(p) };

	expect_printed("", sxsk_socket_stats_print(&s, SXSK_PRINT_TEXT, out));
	expect_printed("", sxsk_pool_stats_print(&p, SXSK_PRINT_TEXT, out));
	s.rx_packets = 7;
	s.kicks = UINT64_MAX;
	s.kernel.rx_ring_full = 3;
	p.total = 64;
	p.fill = 32;
	expect_printed("  socket: rx_packets 7, kicks 18446744073709551615\n"
		       "  kernel: rx_ring_full 3\n",
		       sxsk_socket_stats_print(&s, SXSK_PRINT_TEXT, out));
	expect_printed("  frames: total 64, fill 32\n",
		       sxsk_pool_stats_print(&p, SXSK_PRINT_TEXT, out));
}

/* Each counter of X has the value of its line in the table; then this is what is printed of all. */
Test(print, json_of_everything)
{
	struct sxsk_socket_stats s = { .sz = sizeof(s),
				       .ifname = "a\"\\\x7f",
				       .queue = 5,
				       .mode = SXSK_MODE_COPY,
				       .attach = SXSK_ATTACH_SKB,
				       .poisoned = 1 };
	struct sxsk_pool_stats p = { .sz = sizeof(p) };
	uint64_t number = 0;

#define NUMBER(name) s.name = ++number;
	SXSK_SOCKET_COUNTERS(NUMBER)
#undef NUMBER
#define NUMBER(name) s.kernel.name = ++number;
	SXSK_KERNEL_COUNTERS(NUMBER)
#undef NUMBER
	expect_printed(
		"\"name\": \"a\\u0022\\u005c\\u007f\", \"queue\": 5, \"mode\": \"copy\", "
		"\"attach\": \"skb\", \"rx_packets\": 1, \"rx_bytes\": 2, \"tx_packets\": 3, "
		"\"tx_bytes\": 4, \"tx_completed\": 5, \"drop_null\": 6, \"drop_misuse\": 7, "
		"\"drop_short\": 8, \"drop_pool\": 9, \"drop_limit\": 10, \"drop_metadata\": 11, "
		"\"rx_refused\": 12, \"rx_broken\": 13, \"comp_refused\": 14, "
		"\"comp_duplicate\": 15, \"fill_given\": 16, \"fill_starved\": 17, \"kicks\": 18, "
		"\"kick_again\": 19, \"kick_busy\": 20, \"rx_kicks\": 21, \"poisoned\": 1, "
		"\"kernel\": {\"rx_dropped\": 22, \"rx_invalid_descs\": 23, "
		"\"tx_invalid_descs\": 24, \"rx_ring_full\": 25, "
		"\"rx_fill_ring_empty_descs\": 26, \"tx_ring_empty_descs\": 27}",
		sxsk_socket_stats_print(&s, SXSK_PRINT_JSON, out));
	p.quarantined = 1;
	p.sockets = 2;
	expect_printed("\"total\": 0, \"user\": 0, \"lanes\": 0, \"depot\": 0, \"fill\": 0, "
		       "\"tx\": 0, \"quarantined\": 1, \"retired\": 0, \"owners\": 0, "
		       "\"sockets\": 2",
		       sxsk_pool_stats_print(&p, SXSK_PRINT_JSON, out));
}

Test(print, drops_by_cause_and_their_sum)
{
	struct sxsk_socket_stats s = { .sz = sizeof(s) };

	expect_printed("", sxsk_socket_stats_print(&s, SXSK_PRINT_DROPS, out));
	cr_assert_eq(sxsk_socket_drops(&s), 0);
	/* No packet is lost by these. */
	s.rx_packets = s.kicks = s.kick_again = s.fill_starved = s.comp_refused = 1000;
	s.kernel.rx_fill_ring_empty_descs = 1000;
	s.drop_null = 1;
	s.drop_misuse = 2;
	s.drop_short = 4;
	s.drop_pool = 8;
	s.drop_limit = 16;
	s.drop_metadata = 32;
	s.rx_refused = 64;
	s.rx_broken = 128;
	s.kick_busy = 256;
	s.kernel.rx_dropped = 512;
	s.kernel.rx_ring_full = 1024;
	expect_printed("drop_null 1, drop_misuse 2, drop_short 4, drop_pool 8, drop_limit 16, "
		       "drop_metadata 32, rx_refused 64, rx_broken 128, kick_busy 256, "
		       "rx_dropped 512, rx_ring_full 1024",
		       sxsk_socket_stats_print(&s, SXSK_PRINT_DROPS, out));
	cr_assert_eq(sxsk_socket_drops(&s), 2047);
}

/* Of a program compiled against an older version: nothing beyond its end may be read. The compiler is not to
 * know how little there is. */
static void *older(size_t sz)
{
	void *(*volatile allocate)(size_t, size_t) = calloc;
	size_t *stats = allocate(1, sz);

	*stats = sz;
	return stats;
}

Test(print, a_shorter_struct)
{
	struct sxsk_socket_stats *s = older(offsetof(struct sxsk_socket_stats, kicks));
	struct sxsk_pool_stats *p = older(offsetof(struct sxsk_pool_stats, depot));

	s->drop_short = 3;
	p->user = 9;
	expect_printed("  socket: drop_short 3\n",
		       sxsk_socket_stats_print(s, SXSK_PRINT_TEXT, out));
	expect_printed("  frames: user 9\n", sxsk_pool_stats_print(p, SXSK_PRINT_TEXT, out));
	cr_assert_eq(sxsk_socket_drops(s), 3);
	free(s);
	free(p);
}

/* ---- second by second, and at the end --------------------------------------------------------------------- */

/* Into a file, so lines. The rates are what there was between two times, whatever these were. */
Test(print, monitor_shows_what_came_since_the_last_time)
{
	struct sxsk_pool *pool = new_pool(256);
	struct sxsk_socket *a = new_socket(pool, "mem:m1", 0), *b = new_socket(pool, "mem:m1", 0);
	struct sxsk_monitor *m;
	struct sxsk_buf bufs[64];
	double rx, tx, other;
	unsigned drops;
	char *text;
	size_t size;

	cr_assert_eq(sxsk_monitor_create(&m, "title", pool), 0);
	send_one(a, packet(pool, 60, 1)); /* before: of no interest */
	cr_assert_eq(sxsk_monitor_add(m, a, NULL, 0), 0);
	cr_assert_eq(sxsk_monitor_add(m, b, NULL, 0), 0);
	for (unsigned times = 0; times < 2; times++) {
		FILE *out = open_memstream(&text, &size);

		if (times == 0) {
			for (unsigned i = 0; i < 3; i++)
				send_one(a, packet(pool, 60, 1));
			send_one(a, (struct sxsk_buf){ 0 }); /* a drop */
			cr_assert_eq(sxsk_rx_burst(b, bufs, 64), 4);
			sxsk_buf_unref_burst(bufs, 4);
		}
		sxsk_monitor_show(m, out);
		(void)fclose(out);
		cr_assert_eq(sscanf(text, "   0 s  mem:m1:0 rx %lf pps tx %lf pps drops %u", &rx,
				    &tx, &drops),
			     3, "%s", text);
		cr_assert(rx == 0 && (times == 0 ? tx > 3 : tx == 0) && drops == 1, "%s", text);
		cr_assert_eq(sscanf(strstr(text, "drops 1") + 7,
				    "  mem:m1:0 rx %lf pps tx %lf pps drops %u", &other, &tx,
				    &drops),
			     3, "%s", text);
		cr_assert((times == 0 ? other > 4 : other == 0) && tx == 0 && drops == 0, "%s",
			  text);
		free(text);
	}
	sxsk_monitor_destroy(m);
	sxsk_monitor_destroy(NULL);
	sxsk_socket_close(a);
	close_and_unref(b, pool);
}

static int settle(struct sxsk_pool *pool, const char *verdict)
{
	char *text, *last;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	int left = sxsk_pool_settle(pool, 0, out);

	(void)fclose(out);
	last = strstr(text, verdict);
	cr_assert(strncmp(text, "pool \"", 6) == 0 && last &&
			  last + strlen(verdict) == text + size && last[-1] == '\n',
		  "%s", text);
	free(text);
	return left;
}

Test(print, settled_is_what_has_every_frame_accounted_for)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_socket *socket = new_socket(pool, "mem:m2", 0);
	struct sxsk_mem_rings k = take_rings(socket);
	struct sxsk_buf b = take(pool);

	cr_assert_eq(settle(pool, "NOT every frame is accounted for: 1 held in Bufs, "
				  "0 in transmission\n"),
		     1);
	send_one(socket, packet(pool, 60, 1));
	cr_assert_eq(settle(pool, "NOT every frame is accounted for: 1 held in Bufs, "
				  "1 in transmission\n"),
		     2);
	sxsk_buf_unref(&b);
	cr_assert_eq(kernel_complete_all(&k), 1);
	cr_assert_eq(settle(pool, "every frame accounted for\n"), 0, "it drains, too");
	count_misuse();
	close_and_unref(socket, pool);
	expect_misuse(SXSK_MISUSE_POOL, "sxsk_pool_drain",
		      cr_assert_eq(sxsk_pool_settle(pool, 0, stdout), -EINVAL));
}

/* ---- names that a terminal would obey --------------------------------------------------------------------- */

#define CLEARS "\x1b[2J\xff"
#define CLEARED "?[2J?"

static void expect_tame(const char *text, const char *words)
{
	cr_expect(strstr(text, words), "%s", text);
	for (const char *p = text; *p; p++)
		cr_expect((*p >= 0x20 && *p <= 0x7e) || *p == '\n', "byte 0x%02x",
			  (unsigned char)*p);
}

Test(print, names_are_shown_and_not_obeyed)
{
	struct sxsk_pool *pool =
		new_pool_with((struct sxsk_pool_opts){ .frame_count = 64, .name = "pool" CLEARS });
	struct sxsk_socket *socket = new_socket(pool, "mem:" CLEARS, 0);
	struct sxsk_monitor *m;
	char *text;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	cr_assert_eq(sxsk_monitor_create(&m, "title" CLEARS, pool), 0);
	cr_assert_eq(sxsk_monitor_add(m, socket, NULL, 0), 0);
	sxsk_monitor_show(m, out);
	sxsk_monitor_destroy(m);
	(void)fclose(out);
	expect_tame(text, "mem:" CLEARED ":0 rx");
	free(text);
	out = open_memstream(&text, &size);
	cr_expect_eq(sxsk_pool_report(pool, out), 0);
	(void)fclose(out);
	expect_tame(text, "pool \"pool" CLEARED "\": 64 frames");
	free(text);
	close_and_unref(socket, pool);
}

/* ---- packets ---------------------------------------------------------------------------------------------- */

/* An ARP request in two Bufs, the first of which ends in the middle of an address. */
static void arp(struct sxsk_pool *pool, struct sxsk_buf bufs[2])
{
	static const unsigned char request[] = {
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0,  0, 0, 0, 1, 8, 6, 0, 1, 8, 0,  6, 4, 0,
		1,    2,    0,    0,    0,    0,    1, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 2,
	};

	for (unsigned i = 0; i < 2; i++) {
		bufs[i] = packet(pool, 21, 0);
		memcpy(sxsk_buf_data_mut(bufs[i]), request + 21 * i, 21);
	}
}

Test(print, packet_of_several_bufs_is_one_line)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_buf bufs[2];

	arp(pool, bufs);
	expect_printed("02:00:00:00:00:01 > ff:ff:ff:ff:ff:ff, ethertype ARP (0x0806), length 42: "
		       "Request who-has 10.0.0.2 tell 10.0.0.1, length 28\n",
		       sxsk_packet_print(bufs, 2, false, out));
	expect_printed("02:00:00:00:00:01 > ff:ff:ff:ff:ff:ff, ethertype ARP (0x0806), length 21: "
		       "[|arp] length 7\n"
		       "\t0x0000:  ffff ffff ffff 0200 0000 0001 0806 0001\n"
		       "\t0x0010:  0800 0604 00\n",
		       sxsk_packet_print(bufs, 1, true, out));
	sxsk_buf_unref_burst(bufs, 2);
	sxsk_pool_unref(pool);
}

Test(print, packet_that_is_gone_is_misuse_and_no_packet)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_buf bufs[2], gone;

	arp(pool, bufs);
	gone = bufs[1];
	sxsk_buf_unref(&gone);
	count_misuse();
	expect_misuse(SXSK_MISUSE_STALE, "sxsk_buf_data",
		      expect_printed("no packet\n", sxsk_packet_print(bufs, 2, true, out)));
	expect_misuse(SXSK_MISUSE_STALE, "sxsk_buf_data",
		      expect_printed("no packet\n", sxsk_packet_print(bufs + 1, 1, true, out)));
	expect_misuse(SXSK_MISUSE_STALE, "sxsk_buf_data",
		      expect_printed("", sxsk_pcapng_packet(out, 0, 1, bufs, 2)));
	expect_printed("no packet\n", sxsk_packet_print(NULL, 0, false, out));
	sxsk_buf_unref(&bufs[0]);
	sxsk_pool_unref(pool);
}

/* 64 Bufs of 4096 bytes are the most; the lengths of so many that their sum does not fit are none of a packet. */
Test(print, packet_that_is_too_long_is_no_packet)
{
	struct sxsk_pool *pool =
		new_pool_with((struct sxsk_pool_opts){ .frame_count = 64, .frame_size = 4096 });
	const unsigned many = 1u << 20;
	struct sxsk_buf b = packet(pool, 1, 0), *all = malloc(many * sizeof(*all));
	uint32_t head[2];
	size_t len;
	char *bytes;
	FILE *capture = open_memstream(&bytes, &len);

	cr_assert_not_null(all);
	cr_assert_eq(sxsk_buf_push(&b, sxsk_buf_headroom(b)), 0);
	cr_assert_eq(sxsk_buf_trim(&b, 4096), 0);
	memset(sxsk_buf_data_mut(b), 0, 4096);
	for (unsigned i = 0; i < many; i++)
		all[i] = b;
	sxsk_pcapng_packet(capture, 0, 1, all, 64);
	sxsk_pcapng_packet(capture, 0, 1, all, 65);
	(void)fclose(capture);
	memcpy(head, bytes, sizeof(head));
	cr_assert_eq(len, 32 + 64 * 4096);
	cr_assert_eq(head[1], len);
	free(bytes);
	expect_printed(
		"00:00:00:00:00:00 > 00:00:00:00:00:00, 802.3, length 262144: 262130 bytes\n",
		sxsk_packet_print(all, 64, false, out));
	expect_printed("no packet\n", sxsk_packet_print(all, 65, false, out));
	expect_printed("no packet\n", sxsk_packet_print(all, many, false, out));
	for (unsigned i = 0; i < 5; i++)
		all[i].length = UINT16_MAX;
	count_misuse();
	expect_misuse(SXSK_MISUSE_FORGED, "sxsk_buf_data",
		      expect_printed("no packet\n", sxsk_packet_print(all, 5, false, out)));
	free(all);
	sxsk_buf_unref(&b);
	sxsk_pool_unref(pool);
}

Test(print, capture_of_what_came_just_now)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_buf bufs[2];
	uint32_t head[5];
	uint64_t before = (uint64_t)time(NULL), seconds;
	size_t len;
	char *bytes;
	FILE *out = open_memstream(&bytes, &len);

	arp(pool, bufs);
	sxsk_pcapng_packet(out, 0, 0, bufs, 2);
	(void)fclose(out);
	memcpy(head, bytes, sizeof(head));
	seconds = ((uint64_t)head[3] << 32 | head[4]) / 1000000000;
	cr_assert(seconds + 1 >= before && seconds <= (uint64_t)time(NULL));
	free(bytes);
	sxsk_buf_unref_burst(bufs, 2);
	sxsk_pool_unref(pool);
}

/* A section, an interface with three options, a packet of two Bufs whose 42 bytes are padded. */
Test(print, capture_is_blocks_that_say_their_length_twice)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_buf bufs[2];
	uint32_t block[3] = { 0 };
	size_t len, at = 0;
	char *bytes;
	FILE *out = open_memstream(&bytes, &len);

	arp(pool, bufs);
	sxsk_pcapng_begin(out);
	sxsk_pcapng_interface(out, "eth1", "a clock");
	sxsk_pcapng_packet(out, 0, 0x123456789abull, bufs, 2);
	(void)fclose(out);
	for (unsigned i = 0; i < 3; i++) {
		uint32_t again;

		memcpy(&block[i], bytes + at, 4);
		at += *(uint32_t *)(void *)(bytes + at + 4);
		cr_assert_leq(at, len);
		memcpy(&again, bytes + at - 4, 4);
		cr_assert_eq(again, *(uint32_t *)(void *)(bytes + at - again + 4));
	}
	cr_assert_eq(at, len);
	cr_assert(block[0] == 0x0a0d0d0a && block[1] == 1 && block[2] == 6);
	cr_assert_eq(memcmp(bytes + len - 4 - 44, sxsk_buf_data(bufs[0]), 21), 0);
	cr_assert_eq(memcmp(bytes + len - 4 - 44 + 21, sxsk_buf_data(bufs[1]), 21), 0);
	cr_assert_eq(memcmp(bytes + len - 4 - 44 - 16, "\x23\x01\0\0\xab\x89\x67\x45", 8), 0,
		     "the time");
	free(bytes);
	sxsk_buf_unref_burst(bufs, 2);
	sxsk_pool_unref(pool);
}
