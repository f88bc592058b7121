/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libxdp's dispatcher, as far as any kernel goes: what libxdp is given, and where the kernel does not load what
 * it makes, a refusal that leaves nothing. What it does is in test_dispatcher.c, which runs under kernels that
 * do (tests/vm/run).
 */
#include "dispatched.h"
#include "refusal.h"

TestSuite(prog_dispatcher, .init = make_network, .timeout = 60);

Test(prog_dispatcher, an_entry_is_a_program_that_runs)
{
	unsigned char packet[64] = { 0 };
	const uint32_t key = 0;
	const int map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "count", 4, 8, 1, NULL);
	struct bpf_object *object = counting_object(map);
	struct bpf_program *program = bpf_object__next_program(object, NULL);
	struct bpf_test_run_opts run = {
		.sz = sizeof(run), .data_in = packet, .data_size_in = sizeof(packet), .repeat = 3
	};
	uint64_t n;

	cr_assert_geq(map, 0);
	cr_assert_str_eq(bpf_program__name(program), "theirs");
	cr_assert_eq(bpf_program__type(program), BPF_PROG_TYPE_XDP);
	cr_assert_eq(bpf_object__load(object), 0);
	cr_assert_eq(bpf_prog_test_run_opts(bpf_program__fd(program), &run), 0);
	cr_expect_eq(run.retval, XDP_PASS);
	cr_assert_eq(bpf_map_lookup_elem(map, &key, &n), 0);
	cr_expect_eq(n, 3);
	bpf_object__close(object);
	close(map);
}

/* The kernel takes the types, without which it would not load the program as an extension. */
Test(prog_dispatcher, an_entry_says_what_it_takes)
{
	const int map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "count", 4, 8, 1, NULL);
	struct bpf_object *object = counting_object(map);
	struct bpf_func_info function = { .insn_off = 99 };
	struct bpf_prog_info info = { .nr_func_info = 1,
				      .func_info_rec_size = sizeof(function),
				      .func_info = (uintptr_t)&function };
	uint32_t len = sizeof(info);
	int fd;

	cr_assert_eq(bpf_object__load(object), 0);
	fd = bpf_program__fd(bpf_object__next_program(object, NULL));
	cr_assert_eq(bpf_obj_get_info_by_fd(fd, &info, &len), 0);
	cr_expect_neq(info.btf_id, 0);
	cr_expect_eq(info.nr_func_info, 1);
	cr_expect_eq(function.insn_off, 0);
	cr_expect_gt(function.type_id, 0);
	bpf_object__close(object);
	close(map);
}

Test(prog_dispatcher, where_it_cannot_be_the_sentence_says_why)
{
	struct sxsk_socket_opts opts = steered(SXSK_ATTACH_DISPATCHER);
	struct sxsk_pool *pool = warm_pool(256);
	const int before = open_descriptors();
	struct sxsk_socket *socket;
	bool frags;

	if (!sxsk_priv_entry_possible(&frags)) {
		/* The kernel loads extensions; but here is no BPF file system. */
		refused(pool, "v0", 0, opts, -EOPNOTSUPP, "mount -t bpf");
	} else {
		refused(pool, "v0", 0, opts, -EOPNOTSUPP,
			"this kernel does not load programs of type EXT (freplace), which libxdp's "
			"dispatcher needs");
		cr_expect(strstr(sxsk_last_error(), "use SXSK_ATTACH_AUTO"));
	}
	cr_expect_eq(program_on("v0"), 0);
	cr_expect_eq(open_descriptors(), before);
	socket = open_socket(pool, "m0", 0, steered(SXSK_ATTACH_AUTO));
	cr_expect_eq(stats_of(socket).attach, SXSK_ATTACH_NATIVE);
	/* Another way on the same interface is refused before anything is tried. */
	refused(pool, "m0", 1, opts, -EBUSY, "to m0 as native");
	sxsk_socket_close(socket);
	sxsk_pool_unref(pool);
}

Test(prog_dispatcher, needs_to_look_up_programs)
{
	struct sxsk_pool *pool = warm_pool(256);

	keep_capabilities(1ull << CAP_NET_RAW | 1ull << CAP_NET_ADMIN | 1ull << CAP_BPF |
			  1ull << CAP_PERFMON);
	refused(pool, "v0", 0, steered(SXSK_ATTACH_DISPATCHER), -EPERM, "CAP_SYS_ADMIN");
	cr_expect_eq(program_on("v0"), 0);
}
