/* SPDX-License-Identifier: BSD-2-Clause */
/* Whose packets they are, by what there is of their headers; and how many. (Nothing is read past their end:
 * programs/decode.c) */
#include "support.h"

#include <netinet/in.h>
#include <safexsk/flow.h>

/* A packet is written behind its MAC addresses, piece by piece. */
static unsigned char frame[256];
static uint32_t len;

static void begin(void)
{
	memset(frame, 0xee, sizeof(frame));
	len = 12;
}

#define add(...)                                                                                   \
	do {                                                                                       \
		const unsigned char bytes_[] = { __VA_ARGS__ };                                    \
		memcpy(frame + len, bytes_, sizeof(bytes_));                                       \
		len += (uint32_t)sizeof(bytes_);                                                   \
	} while (0)

static void add_ipv4(unsigned words, unsigned fragment, unsigned protocol)
{
	add(8, 0, (unsigned char)(0x40 + words), 0, 0, 0, 0, 0);
	add((unsigned char)(fragment >> 8), (unsigned char)fragment, 64, (unsigned char)protocol, 0,
	    0);
	add(10, 0, 0, 1, 10, 0, 0, 2);
	len += 4 * words - 20;
}

static void add_ipv6(unsigned next)
{
	add(0x86, 0xdd, 0x60, 0, 0, 0, 0, 0, (unsigned char)next, 64);
	add(0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1);
	add(0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2);
}

static void add_ports(void)
{
	add(0x10, 0x92, 0, 53, 0, 0, 0, 0);
}

static void expect_flow(const char *wanted)
{
	struct sxsk_flow flow;
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	memset(&flow, 0x77, sizeof(flow));
	sxsk_flow_of(frame, len, &flow);
	sxsk_flow_print(&flow, out);
	(void)fclose(out);
	cr_assert_str_eq(text, wanted);
	free(text);
}

Test(flow, of_ipv4)
{
	begin();
	add_ipv4(5, 0, IPPROTO_UDP);
	add_ports();
	expect_flow("10.0.0.1.4242 > 10.0.0.2.53, protocol 17");
	begin();
	add_ipv4(15, 0x4000, IPPROTO_TCP); /* with options, not to be cut up */
	add_ports();
	expect_flow("10.0.0.1.4242 > 10.0.0.2.53, protocol 6");
	begin();
	add_ipv4(5, 0, IPPROTO_ICMP);
	add_ports();
	expect_flow("10.0.0.1 > 10.0.0.2, protocol 1");
}

Test(flow, of_ipv6)
{
	begin();
	add_ipv6(IPPROTO_TCP);
	add_ports();
	expect_flow("fd00::1.4242 > fd00::2.53, protocol 6");
}

Test(flow, vlan_tags_are_passed_over)
{
	begin();
	add(0x88, 0xa8, 0, 5, 0x81, 0, 0, 7);
	add_ipv4(5, 0, IPPROTO_UDP);
	add_ports();
	expect_flow("10.0.0.1.4242 > 10.0.0.2.53, protocol 17");
}

/* Of which the third is AH, in units of four bytes, and the last a first fragment. */
Test(flow, extension_headers_are_passed_over)
{
	begin();
	add_ipv6(IPPROTO_HOPOPTS);
	add(IPPROTO_ROUTING, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
	add(IPPROTO_AH, 0, 0, 0, 0, 0, 0, 0);
	add(IPPROTO_DSTOPTS, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
	add(IPPROTO_FRAGMENT, 0, 0, 0, 0, 0, 0, 0);
	add(IPPROTO_UDP, 9, 0, 1, 0, 0, 0, 0);
	add_ports();
	expect_flow("fd00::1.4242 > fd00::2.53, protocol 17");
}

Test(flow, later_fragments_have_no_ports)
{
	begin();
	add_ipv4(5, 0x2001, IPPROTO_UDP);
	add_ports();
	expect_flow("10.0.0.1 > 10.0.0.2, protocol 17");
	begin();
	add_ipv6(IPPROTO_FRAGMENT);
	add(IPPROTO_UDP, 0, 0, 8, 0, 0, 0, 0);
	add_ports();
	expect_flow("fd00::1 > fd00::2, protocol 17");
}

/* Byte by byte: the flow is of what is whole. */
Test(flow, of_packets_that_were_cut)
{
	begin();
	add_ipv4(5, 0, IPPROTO_UDP);
	add(0x10, 0x92, 0, 53);
	while (len-- > 14 + 20)
		expect_flow("10.0.0.1 > 10.0.0.2, protocol 17");
	for (len++; len-- > 0;)
		expect_flow("not IP");
	begin();
	add_ipv6(IPPROTO_UDP);
	len--;
	expect_flow("not IP");
}

Test(flow, of_headers_that_are_wrong)
{
	begin();
	add_ipv4(5, 0, IPPROTO_UDP);
	add_ports();
	frame[14] = 0x44;
	expect_flow("10.0.0.1 > 10.0.0.2, protocol 17");
	frame[14] = 0x65;
	expect_flow("not IP");
	begin();
	add(8, 6, 0, 1, 8, 0, 6, 4, 0, 1);
	len += 40;
	expect_flow("not IP");
}

Test(flow, of_the_same_direction_is_the_same_bytes)
{
	struct sxsk_flow a, b, none = { 0 };

	memset(&a, 1, sizeof(a));
	memset(&b, 2, sizeof(b));
	begin();
	add_ipv4(5, 0, IPPROTO_UDP);
	add_ports();
	sxsk_flow_of(frame, len, &a);
	frame[6] ^= 1; /* another router */
	frame[14 + 8]--;
	sxsk_flow_of(frame, len, &b);
	cr_assert_eq(memcmp(&a, &b, sizeof(a)), 0);
	frame[14 + 20] ^= 1;
	sxsk_flow_of(frame, len, &b);
	cr_assert_neq(memcmp(&a, &b, sizeof(a)), 0);
	sxsk_flow_of(NULL, 60, &b);
	cr_assert_eq(memcmp(&b, &none, sizeof(b)), 0);
}

/* ---- the table --------------------------------------------------------------------------------------------- */

/* A packet from `port`, of two Bufs. */
static void count(struct sxsk_flow_table *t, struct sxsk_pool *pool, unsigned port)
{
	struct sxsk_buf bufs[2];

	begin();
	add_ipv4(5, 0, IPPROTO_UDP);
	add((unsigned char)(port >> 8), (unsigned char)port, 0, 53, 0, 0, 0, 0);
	bufs[0] = packet(pool, len, 0);
	memcpy(sxsk_buf_data_mut(bufs[0]), frame, len);
	bufs[1] = packet(pool, 100, 0);
	sxsk_flow_table_count(t, bufs, 2);
	sxsk_buf_unref_burst(bufs, 2);
}

static char *printed(const struct sxsk_flow_table *t, unsigned most)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	sxsk_flow_table_print(t, most, out);
	(void)fclose(out);
	return text;
}

static unsigned times(const char *text, const char *key)
{
	unsigned n = 0;

	while ((text = strstr(text, key)) != NULL) {
		text += strlen(key);
		n++;
	}
	return n;
}

Test(flow, table_counts_packets_and_bytes_of_each)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_flow_table *t;
	char *text;

	cr_assert_eq(sxsk_flow_table_create(&t, 1024), 0);
	for (unsigned i = 0; i < 3; i++)
		count(t, pool, 1);
	for (unsigned i = 0; i < 300; i++)
		count(t, pool, 1000 + i % 100);
	count(t, pool, 2);
	for (unsigned i = 0; i < 5; i++)
		count(t, pool, 3);
	cr_assert_eq(sxsk_flow_table_flows(t), 103);
	text = printed(t, 1);
	cr_assert_str_eq(text,
			 "  flow 10.0.0.1.3 > 10.0.0.2.53, protocol 17: 5 packets, 710 bytes\n"
			 "  103 flows, and 0 packets of others\n");
	free(text);
	/* All of them, those of three packets too, each once, and the smallest last. */
	text = printed(t, 1000);
	cr_assert(strstr(text, "10.0.0.1.2 > 10.0.0.2.53, protocol 17: 1 packets, 142 bytes\n"
			       "  103 flows"));
	for (unsigned port = 1000; port < 1100; port++) {
		char key[64];

		snprintf(key, sizeof(key), "10.0.0.1.%u > 10.0.0.2.53, protocol 17: 3 packets",
			 port);
		cr_assert_eq(times(text, key), 1, "%s", key);
	}
	free(text);
	sxsk_flow_table_destroy(t);
	expect_all_home(pool);
	sxsk_pool_unref(pool);
}

Test(flow, table_that_is_full_counts_others)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_flow_table *t;
	char *text;

	cr_assert_eq(sxsk_flow_table_create(&t, 2), 0);
	for (unsigned port = 1; port <= 5; port++)
		count(t, pool, port);
	count(t, pool, 1);
	text = printed(t, 0);
	cr_assert_str_eq(text, "  2 flows, and 3 packets of others\n");
	free(text);
	sxsk_flow_table_destroy(t);
	sxsk_flow_table_destroy(NULL);
	expect_error(EINVAL, "room for 0 flows", sxsk_flow_table_create(&t, 0));
	expect_error(EINVAL, "room for 16777217 flows", sxsk_flow_table_create(&t, (1u << 24) + 1));
	sxsk_pool_unref(pool);
}
