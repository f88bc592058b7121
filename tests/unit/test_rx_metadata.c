/* SPDX-License-Identifier: BSD-2-Clause */
/* What the driver knows of received packets: a veth tells all that there is. */
#include "refusal.h"
#include "sealed.h"
#include "udp.h"

#include "metadata.h"
#include "netdev.h"
#include "prog_inner.h"

#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>

TestSuite(rx_metadata, .init = make_network, .timeout = 60);

#define ALL METADATA_RX

static struct sxsk_socket_opts wanting(uint32_t metadata)
{
	struct sxsk_socket_opts opts = steered(SXSK_ATTACH_AUTO);

	opts.metadata = metadata;
	return opts;
}

/* The packet that comes next. */
static struct sxsk_buf receive(struct sxsk_socket *socket)
{
	const int64_t end = milliseconds() + 20000;
	struct sxsk_buf b;

	while (sxsk_rx_burst(socket, &b, 1) == 0)
		cr_assert_lt(milliseconds(), end);
	return b;
}

static struct sxsk_rx_metadata metadata_of(struct sxsk_buf b)
{
	struct sxsk_rx_metadata m;

	cr_assert_eq(sxsk_buf_rx_metadata(b, &m), 0, "%s", sxsk_last_error());
	return m;
}

Test(rx_metadata, comes_with_each_packet)
{
	struct sxsk_pool *pool = new_pool(256), *far = new_pool(256);
	struct sxsk_socket *to = open_socket(pool, "v0", 0, wanting(ALL));
	struct sxsk_socket *from = open_socket(far, "v1", 0, steered(SXSK_ATTACH_AUTO));

	for (uint32_t i = 0; i < 1000; i++) {
		struct sxsk_buf b;
		struct sxsk_rx_metadata m;

		send_udp(from, far, 7, i);
		b = receive(to);
		m = metadata_of(b);
		cr_assert_eq(sxsk_buf_len(b), UDP_LENGTH);
		cr_assert_eq(udp_number(sxsk_buf_data(b)), i);
		cr_assert_eq(m.valid, SXSK_METADATA_RX_TIMESTAMP | SXSK_METADATA_RX_HASH, "%x",
			     m.valid);
		cr_assert_eq(m.mark, 0);
		sxsk_buf_unref(&b);
	}
	sxsk_socket_close(to);
	sxsk_socket_close(from);
	sxsk_pool_unref(pool);
	sxsk_pool_unref(far);
}

/* From here on what v1 sends by its stack has a tag, beside the packet and not in it. */
static void tag_packets(uint16_t tci)
{
	const struct bpf_insn code[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_2, .imm = htons(0x8100) },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_3, .imm = tci },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_skb_vlan_push },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	struct bpf_tc_hook hook = { .sz = sizeof(hook),
				    .ifindex = (int)if_nametoindex("v1"),
				    .attach_point = BPF_TC_EGRESS };
	struct bpf_tc_opts opts = { .sz = sizeof(opts) };

	opts.prog_fd = bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "tag", "GPL", code, 5, NULL);
	cr_assert_geq(opts.prog_fd, 0);
	cr_assert_eq(bpf_tc_hook_create(&hook), 0);
	cr_assert_eq(bpf_tc_attach(&hook, &opts), 0);
	close(opts.prog_fd);
}

static void send_by_stack(void)
{
	const struct sockaddr_ll at = { .sll_family = AF_PACKET,
					.sll_ifindex = (int)if_nametoindex("v1"),
					.sll_halen = 6 };
	unsigned char packet[UDP_LENGTH];
	const int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

	fill_udp(packet, 7, 0);
	cr_assert_eq(sendto(fd, packet, sizeof(packet), 0, (const void *)&at, sizeof(at)),
		     sizeof(packet), "%s", strerror(errno));
	close(fd);
}

Test(rx_metadata, has_the_vlan_tag)
{
	struct sxsk_pool *pool = new_pool(256);
	struct sxsk_socket *to = open_socket(pool, "v0", 0, wanting(SXSK_METADATA_RX_VLAN));
	struct sxsk_rx_metadata m;
	struct sxsk_buf b;

	send_by_stack();
	b = receive(to);
	cr_expect_eq(metadata_of(b).valid, 0);
	sxsk_buf_unref(&b);
	tag_packets(3 << 13 | 42);
	send_by_stack();
	b = receive(to);
	m = metadata_of(b);
	cr_expect_eq(sxsk_buf_len(b), UDP_LENGTH);
	cr_expect_eq(m.valid, SXSK_METADATA_RX_VLAN);
	cr_expect_eq(m.vlan_proto, 0x8100);
	cr_expect_eq(m.vlan_tci, 3 << 13 | 42);
	sxsk_buf_unref(&b);
	sxsk_socket_close(to);
	sxsk_pool_unref(pool);
}

/* A frame that had some, and then a packet without: the mark is gone. */
Test(rx_metadata, is_that_of_this_packet_only)
{
	struct sxsk_pool *pool = new_pool(64), *far = new_pool(256);
	struct sxsk_socket *to = open_socket(pool, "v0", 0, wanting(ALL));
	struct sxsk_socket *from = open_socket(far, "v1", 0, steered(SXSK_ATTACH_AUTO));
	const int map = bpf_map_create(BPF_MAP_TYPE_XSKMAP, "bare", 4, 4, 1, NULL);
	struct sxsk_rule all = { .sz = sizeof(all) };
	const struct sxsk_priv_source from_rules = { .generate = sxsk_priv_rules_generate,
						     .what = &all,
						     .n = 1 };
	struct sxsk_socket_opts opts = defaults();
	struct sxsk_rx_metadata m;
	int prog, link;

	for (uint32_t i = 0; i < 200; i++) {
		struct sxsk_buf b;

		send_udp(from, far, 7, i);
		b = receive(to);
		cr_assert(metadata_of(b).valid);
		sxsk_buf_unref(&b);
	}
	sxsk_socket_close(to);
	prog = sxsk_priv_code_load(map, &from_rules);
	link = bpf_link_create(prog, (int)if_nametoindex("v0"), BPF_XDP, NULL);
	cr_assert(prog >= 0 && link >= 0);
	opts.map_fd = map;
	opts.metadata = ALL;
	to = open_socket(pool, "v0", 0, opts);
	for (uint32_t i = 0; i < 200; i++) {
		struct sxsk_buf b;

		send_udp(from, far, 7, i);
		b = receive(to);
		refused_with(sxsk_buf_rx_metadata(b, &m), -ENODATA, "nothing came");
		sxsk_buf_unref(&b);
	}
	sxsk_socket_close(to);
	sxsk_socket_close(from);
	close(link);
	close(prog);
	close(map);
	sxsk_pool_unref(pool);
	sxsk_pool_unref(far);
}

/* What lies before a copy's data is some other packet's. */
Test(rx_metadata, is_not_a_copys)
{
	struct sxsk_pool *pool = new_pool(256), *far = new_pool(256);
	struct sxsk_socket *to = open_socket(pool, "v0", 0, wanting(ALL));
	struct sxsk_socket *from = open_socket(far, "v1", 0, steered(SXSK_ATTACH_AUTO));
	struct sxsk_rx_metadata m;
	struct sxsk_buf b, copy;

	send_udp(from, far, 7, 0);
	b = receive(to);
	cr_assert_eq(sxsk_buf_copy(pool, b, &copy), 0);
	cr_expect(metadata_of(b).valid);
	refused_with(sxsk_buf_rx_metadata(copy, &m), -ENODATA, "nothing came");
	sxsk_buf_unref(&b);
	sxsk_buf_unref(&copy);
	sxsk_socket_close(to);
	sxsk_socket_close(from);
	sxsk_pool_unref(pool);
	sxsk_pool_unref(far);
}

/* In packets of several Bufs it is the first one's. */
Test(rx_metadata, is_the_first_bufs)
{
	struct sxsk_pool *pool = new_pool(256), *far = new_pool(256);
	struct sxsk_socket_opts opts = wanting(ALL), plain = steered(SXSK_ATTACH_AUTO);
	struct sxsk_socket *to, *from;
	struct sxsk_buf b[SXSK_MAX_FRAGS];
	unsigned n;

	run("ip link set v0 mtu 9000; ip link set v1 mtu 9000");
	opts.flags = plain.flags = SXSK_SOCKET_MULTI_BUFFER;
	to = open_socket(pool, "v0", 0, opts);
	from = open_socket(far, "v1", 0, plain);
	cr_assert_eq(sxsk_pool_alloc(far, b, 3), 3);
	for (unsigned i = 0; i < 3; i++) {
		cr_assert_eq(sxsk_buf_put(&b[i], 1500), 0);
		memset(sxsk_buf_data_mut(b[i]), 0x88, 1500);
		b[i].flags = i < 2 ? SXSK_BUF_MORE : 0;
	}
	cr_assert_eq(sxsk_tx_burst(from, b, 3), 3);
	for (const int64_t end = milliseconds() + 20000;
	     (n = sxsk_rx_burst(to, b, SXSK_MAX_FRAGS)) == 0;)
		cr_assert_lt(milliseconds(), end);
	cr_assert_gt(n, 1);
	cr_expect(metadata_of(b[0]).valid);
	for (unsigned i = 1; i < n; i++)
		cr_expect_eq(b[i].flags & SXSK_BUF_RX_METADATA, 0);
	sxsk_buf_unref_burst(b, n);
	sxsk_socket_close(to);
	sxsk_socket_close(from);
	sxsk_pool_unref(pool);
	sxsk_pool_unref(far);
}

Test(rx_metadata, a_driver_without_it_is_named)
{
	struct sxsk_pool *pool = new_pool(64);

	run("ip tuntap add t0 mode tap && ip link set t0 up");
	refused(pool, "t0", 0, wanting(SXSK_METADATA_RX_HASH), -EOPNOTSUPP,
		"the driver of t0 tells no hash");
	cr_expect_eq(program_on("t0"), 0);
	sxsk_pool_unref(pool);
}

/* ---- a program that goes from interface to interface ------------------------------------------------- */

static void expect_metadata(struct sxsk_prog *prog, const char *ifname, const char *peer)
{
	struct sxsk_pool *pool = new_pool(256), *far = new_pool(256);
	struct sxsk_socket_opts opts = defaults();
	struct sxsk_socket *to, *from;
	struct sxsk_buf b;

	opts.prog = prog;
	opts.metadata = SXSK_METADATA_RX_TIMESTAMP;
	to = open_socket(pool, ifname, 0, opts);
	from = open_socket(far, peer, 0, steered(SXSK_ATTACH_AUTO));
	send_udp(from, far, 7, 1);
	b = receive(to);
	cr_expect_eq(metadata_of(b).valid, SXSK_METADATA_RX_TIMESTAMP);
	sxsk_buf_unref(&b);
	sxsk_socket_close(to);
	sxsk_socket_close(from);
	sxsk_pool_unref(pool);
	sxsk_pool_unref(far);
}

/* While it is on none, it asks none: its rules can be replaced, wherever it was before. */
Test(rx_metadata, a_program_is_steered_when_its_interface_is_gone)
{
	const struct sxsk_rule nothing = to_port(8, 0), rule = to_port(7, 0);
	struct sxsk_prog *prog = new_prog(&rule, 1);

	expect_metadata(prog, "v0", "v1");
	run("ip link del v0");
	cr_expect_eq(sxsk_prog_steer(prog, &nothing, 1), 0, "%s", sxsk_last_error());
	cr_expect_eq(sxsk_prog_steer(prog, &rule, 1), 0, "%s", sxsk_last_error());
	expect_metadata(prog, "m0", "m1");
	sxsk_prog_unref(prog);
}

Test(rx_metadata, a_new_interface_of_the_same_index_is_asked_anew)
{
	const struct sxsk_rule rule = to_port(7, 0);
	struct sxsk_prog *prog = new_prog(&rule, 1);
	const unsigned index = if_nametoindex("v0");

	expect_metadata(prog, "v0", "v1");
	run("ip link del v0");
	run("ip link add u0 index %u type veth peer name u1; ip link set u0 up; ip link set u1 up",
	    index);
	expect_metadata(prog, "u0", "u1");
	sxsk_prog_unref(prog);
}

/* ---- options, before any system call ---------------------------------------------------------------- */

static struct sxsk_pool *sealed_pool;

static void prepare(void)
{
	sealed_pool = new_pool(64);
}

static void check_options_refused(void)
{
	const struct {
		uint32_t metadata, steer, attach, flags;
		const char *words;
	} rows[] = {
		{ ALL, SXSK_STEER_NONE, 0, 0, "comes from an XDP program" },
		{ ALL, SXSK_STEER_ALL, SXSK_ATTACH_SKB, 0, "takes a native program" },
		{ ALL, SXSK_STEER_NONE, 0, SXSK_SOCKET_NO_RX, "and NO_RX" },
		{ 1u << 20, SXSK_STEER_ALL, 0, 0, "no such request" },
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct sxsk_socket_opts opts = { .sz = sizeof(opts),
						       .metadata = rows[i].metadata,
						       .steer = rows[i].steer,
						       .attach = rows[i].attach,
						       .flags = rows[i].flags };
		struct sxsk_socket *socket;

		check_refused(i, sxsk_socket_open(&socket, sealed_pool, "v0", 0, &opts), EINVAL,
			      rows[i].words);
	}
}

Test(rx_metadata, contradictory_options_are_refused)
{
	cr_assert_eq(in_sealed_child(prepare, check_options_refused), 0);
}

/* ---- misuse ------------------------------------------------------------------------------------------- */

Test(rx_metadata, of_no_packet_is_refused)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_rx_metadata m;
	struct sxsk_buf b = { 0 };

	refused_with(sxsk_buf_rx_metadata(b, &m), -EINVAL, "null handle");
	cr_assert_eq(sxsk_pool_alloc(pool, &b, 1), 1);
	refused_with(sxsk_buf_rx_metadata(b, &m), -ENODATA, "nothing came");
	sxsk_buf_unref(&b);
	sxsk_pool_unref(pool);
}
