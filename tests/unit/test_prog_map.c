/* SPDX-License-Identifier: BSD-2-Clause */
/* A program of somebody else, of whom the library has the XSKMAP only; with next to no privileges. */
#include "refusal.h"
#include "scenarios.h"

#include <linux/if_link.h>

TestSuite(prog_map, .init = make_network, .timeout = 60);

static struct sxsk_socket_opts with_map(int map)
{
	return (struct sxsk_socket_opts){ .sz = sizeof(struct sxsk_socket_opts), .map_fd = map };
}

static int xskmap(uint32_t entries)
{
	const int fd = bpf_map_create(BPF_MAP_TYPE_XSKMAP, "theirs", 4, 4, entries, NULL);

	cr_assert_geq(fd, 0, "%s", strerror(-fd));
	return fd;
}

/* Somebody's program on v0: all packets of all queues to that entry of the map. The link's descriptor. */
static int attach_theirs(int map, int32_t key, uint32_t attach)
{
	const struct bpf_insn code[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_2, .imm = key },
		{ .code = BPF_LD | BPF_DW | BPF_IMM,
		  .dst_reg = BPF_REG_1,
		  .src_reg = BPF_PSEUDO_MAP_FD,
		  .imm = map },
		{ .code = 0 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_3, .imm = XDP_PASS },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_redirect_map },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	const struct bpf_link_create_opts opts = {
		.sz = sizeof(opts),
		.flags = attach == SXSK_ATTACH_NATIVE ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE,
	};
	const int prog = bpf_prog_load(BPF_PROG_TYPE_XDP, "theirs", "GPL", code, 6, NULL);
	int link;

	cr_assert_geq(prog, 0, "%s", strerror(-prog));
	link = bpf_link_create(prog, (int)if_nametoindex("v0"), BPF_XDP, &opts);
	cr_assert_geq(link, 0, "%s", strerror(-link));
	close(prog);
	return link;
}

SCENARIO(prog_map, one_capability_and_a_map_are_enough)
{
	struct sxsk_pool *pool = warm_pool(256), *far = new_pool(1024);
	const int map = xskmap(4), link = attach_theirs(map, 0, attach);
	struct sxsk_socket *from = open_socket(far, "v1", 0, steered(attach)), *to;
	const uint32_t id = program_on("v0");
	int before;

	sxsk_socket_close(open_socket(pool, "v0", 0, defaults()));
	keep_capabilities(1ull << CAP_NET_RAW);
	refused(pool, "m0", 0, steered(SXSK_ATTACH_AUTO), -EPERM, "CAP_BPF");
	before = open_descriptors();
	to = open_socket(pool, "v0", 0, with_map(map));
	cr_expect_eq(stats_of(to).attach, SXSK_ATTACH_NONE);
	cr_expect_eq(program_on("v0"), id, "theirs stays");
	carry(from, far, to, 2000);
	sxsk_socket_close(to);
	cr_expect_eq(open_descriptors(), before);
	to = open_socket(pool, "v0", 0, with_map(map));
	carry(from, far, to, 100);
	sxsk_socket_close(to);
	sxsk_socket_close(from);
	cr_expect_eq(program_on("v0"), id);
	close(link);
	close(map);
	sxsk_pool_unref(pool);
	sxsk_pool_unref(far);
}

/* Any entry: the queue is where counting starts. */
SCENARIO(prog_map, a_target_is_counted_from_the_queue)
{
	const int map = xskmap(4), link = attach_theirs(map, 3, attach);
	struct sxsk_pool *pool = new_pool(256), *far = new_pool(1024);
	struct sxsk_socket *from = open_socket(far, "v1", 0, steered(attach)), *to;
	struct sxsk_socket_opts opts = with_map(map);

	opts.target = 3;
	to = open_socket(pool, "v0", 0, opts);
	carry(from, far, to, 1000);
	sxsk_socket_close(to);
	sxsk_socket_close(from);
	close(link);
	close(map);
	sxsk_pool_unref(pool);
	sxsk_pool_unref(far);
}

Test(prog_map, what_is_no_free_entry_of_an_xskmap_is_refused)
{
	const int map = xskmap(4);
	const int hash = bpf_map_create(BPF_MAP_TYPE_HASH, "hash", 4, 4, 4, NULL);
	struct sxsk_pool *pool = warm_pool(1024);
	struct sxsk_socket_opts opts = with_map(map);
	struct sxsk_socket *socket;
	int before;

	/* Two at a time, as below: what their slots keep. */
	socket = open_socket(pool, "m0", 0, defaults());
	sxsk_socket_close(open_socket(pool, "v0", 0, defaults()));
	sxsk_socket_close(socket);
	before = open_descriptors();
	refused(pool, "v0", 0, with_map(9999), -EBADF, "map_fd is 9999: Bad file");
	refused(pool, "v0", 0, with_map(hash), -EINVAL, "no XSKMAP");
	refused(pool, "v0", 0, with_map(2), -EINVAL, "no XSKMAP");
	opts.target = 4;
	refused(pool, "v0", 0, opts, -EINVAL, "no entry 4");
	opts.target = UINT32_MAX;
	refused(pool, "m0", 1, opts, -EINVAL, "no entry 4294967296");
	socket = open_socket(pool, "m0", 0, with_map(map));
	refused(pool, "v0", 0, with_map(map), -EBUSY, "entry 0 of the map");
	opts.target = 1;
	sxsk_socket_close(open_socket(pool, "v0", 0, opts));
	sxsk_socket_close(socket);
	sxsk_socket_close(open_socket(pool, "v0", 0, with_map(map)));
	cr_expect_eq(open_descriptors(), before);
	close(map);
	close(hash);
	sxsk_pool_unref(pool);
}
