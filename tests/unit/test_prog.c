/* SPDX-License-Identifier: BSD-2-Clause */
/* Programs as objects: whose they are, where they are attached, what is refused, and what stays behind. */
#include "refusal.h"
#include "sealed.h"
#include "udp.h"

TestSuite(prog, .init = make_network, .timeout = 60);

static struct sxsk_socket_opts with(struct sxsk_prog *prog)
{
	return (struct sxsk_socket_opts){ .sz = sizeof(struct sxsk_socket_opts), .prog = prog };
}

static struct sxsk_prog *prog_for_port(uint16_t port)
{
	const struct sxsk_rule rule = to_port(port, 0);

	return new_prog(&rule, 1);
}

/* ---- options -------------------------------------------------------------------------------------- */

static struct sxsk_pool *sealed_pool;
static struct sxsk_prog *sealed_prog;

static void prepare_options(void)
{
	sealed_pool = new_pool(64);
	sealed_prog = prog_for_port(1);
}

static void check_contradictions(void)
{
	const struct {
		uint32_t steer, flags, target, attach, metadata;
		int32_t map_fd;
		bool prog;
		int err;
		const char *words;
	} rows[] = {
		{ .steer = 2, .err = EINVAL, .words = "steer is 2" },
		{ .attach = SXSK_ATTACH_SKB, .err = EINVAL, .words = "no program is attached" },
		{ .target = 1, .err = EINVAL, .words = "targets are of prog" },
		{ .steer = 1, .target = 1, .err = EINVAL, .words = "targets are of prog" },
		{ .map_fd = -1, .err = EINVAL, .words = "map_fd is -1" },
		{ .map_fd = 9, .prog = true, .err = EINVAL, .words = "map_fd is another" },
		{ .map_fd = 9, .steer = 1, .err = EINVAL, .words = "and steer too" },
		{ .map_fd = 9, .attach = 1, .err = EINVAL, .words = "with map_fd no program" },
		{ .map_fd = 9, .attach = 3, .err = EINVAL, .words = "with map_fd no program" },
		{ .attach = 3, .err = EINVAL, .words = "with SXSK_STEER_NONE no program" },
		{ .steer = 1, .attach = 4, .err = EINVAL, .words = "attach is 4" },
		{ .steer = 1,
		  .attach = SXSK_ATTACH_DISPATCHER,
		  .metadata = SXSK_METADATA_RX_HASH,
		  .err = EOPNOTSUPP,
		  .words = "a program of the driver's own" },
		{ .map_fd = 9, .flags = SXSK_SOCKET_NO_RX, .err = EINVAL, .words = "no packet" },
		{ .prog = true, .steer = 1, .err = EINVAL, .words = "and steer too" },
		{ .prog = true, .flags = SXSK_SOCKET_NO_RX, .err = EINVAL, .words = "no packet" },
		{ .prog = true, .target = SXSK_MAX_TARGETS, .err = EINVAL, .words = "target is 16" },
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct sxsk_socket_opts opts = {
			.sz = sizeof(opts),
			.steer = rows[i].steer,
			.flags = rows[i].flags,
			.target = rows[i].target,
			.attach = rows[i].attach,
			.metadata = rows[i].metadata,
			.map_fd = rows[i].map_fd,
			.prog = rows[i].prog ? sealed_prog : NULL,
		};
		struct sxsk_socket *socket;

		check_refused(i, sxsk_socket_open(&socket, sealed_pool, "v0", 0, &opts),
			      rows[i].err, rows[i].words);
	}
}

Test(prog, contradictory_options_are_refused)
{
	cr_assert_eq(in_sealed_child(prepare_options, check_contradictions), 0);
}

Test(prog, options_of_another_version_are_refused)
{
	struct {
		struct sxsk_prog_opts opts;
		uint64_t later;
	} newer = { .opts.sz = sizeof(newer), .later = 1 };
	struct sxsk_prog *prog;

	refused_with(sxsk_prog_create(NULL, NULL), -EINVAL, "ret_prog");
	refused_with(sxsk_prog_create(&prog, &newer.opts), -EINVAL, "does not know");
	newer.opts.sz = 0;
	refused_with(sxsk_prog_create(&prog, &newer.opts), -EINVAL, "sxsk_prog_opts.sz is 0");
}

Test(prog, needs_two_capabilities)
{
	struct sxsk_prog *prog = prog_for_port(1), *other;

	keep_capabilities(1ull << CAP_NET_RAW | 1ull << CAP_NET_ADMIN);
	refused_with(sxsk_prog_create(&other, NULL), -EPERM, "CAP_BPF and CAP_NET_ADMIN");
	refused_with(sxsk_prog_steer(prog, NULL, 0), -EPERM, "CAP_BPF and CAP_NET_ADMIN");
	sxsk_prog_unref(prog);
}

/* ---- whose it is ---------------------------------------------------------------------------------- */

static uint32_t misuses;
static enum sxsk_misuse_kind misuse_kind;

static void note_misuse(const struct sxsk_misuse *m, void *arg)
{
	(void)arg;
	misuses++;
	misuse_kind = m->kind;
}

Test(prog, a_stale_pointer_is_misuse)
{
	struct sxsk_pool *pool = new_pool(256);
	struct sxsk_prog *prog = prog_for_port(1), *stale = prog;
	struct sxsk_socket *socket;
	const struct sxsk_socket_opts opts = with(stale);

	sxsk_set_misuse_handler(note_misuse, NULL);
	cr_assert_eq(sxsk_prog_ref(prog), prog);
	sxsk_prog_unref(prog);
	sxsk_prog_unref(prog);
	cr_assert_eq(misuses, 0);
	prog = prog_for_port(1); /* in its place, perhaps */
	sxsk_prog_unref(stale);
	cr_expect_null(sxsk_prog_ref(stale));
	cr_expect_eq(sxsk_prog_steer(stale, NULL, 0), -EINVAL);
	cr_expect_eq(sxsk_socket_open(&socket, pool, "v0", 0, &opts), -EINVAL);
	cr_expect_eq(sxsk_prog_steer(NULL, NULL, 0), -EINVAL);
	cr_expect_eq(misuses, 5);
	cr_expect_eq(misuse_kind, SXSK_MISUSE_PROG);
	sxsk_prog_unref(NULL);
	cr_expect_null(sxsk_prog_ref(NULL));
	cr_expect_eq(misuses, 5);
	sxsk_prog_unref(prog);
	sxsk_pool_unref(pool);
}

/* Given back while a socket has it: it stays, and nobody can have it any more. */
Test(prog, a_socket_keeps_its_program)
{
	struct sxsk_pool *pool = warm_pool(256);
	const int before = open_descriptors();
	struct sxsk_prog *prog = prog_for_port(1);
	struct sxsk_socket *socket = open_socket(pool, "v0", 0, with(prog));
	const uint32_t id = program_on("v0");

	cr_assert_neq(id, 0);
	sxsk_prog_unref(prog);
	cr_expect_eq(program_on("v0"), id);
	sxsk_set_misuse_handler(note_misuse, NULL);
	cr_expect_null(sxsk_prog_ref(prog));
	cr_expect_eq(misuses, 1);
	sxsk_socket_close(socket);
	cr_expect_eq(program_on("v0"), 0);
	cr_expect_eq(open_descriptors(), before);
	sxsk_pool_unref(pool);
}

Test(prog, in_a_forked_child_nothing_is_left_of_it)
{
	struct sxsk_pool *pool = new_pool(256);
	struct sxsk_prog *prog = prog_for_port(1);
	struct sxsk_socket *socket = open_socket(pool, "v0", 0, with(prog));
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork_bounded();
	if (!pid) {
		struct sxsk_prog *own;

		sxsk_set_misuse_handler(note_misuse, NULL);
		sxsk_prog_unref(prog);
		if (misuses)
			_exit(1);
		if (sxsk_prog_ref(prog) || misuses != 1 || misuse_kind != SXSK_MISUSE_FORKED)
			_exit(2);
		if (sxsk_prog_steer(prog, NULL, 0) != -EINVAL || misuses != 2)
			_exit(3);
		if (sxsk_prog_create(&own, NULL) || own == prog)
			_exit(4);
		sxsk_prog_unref(own);
		_exit(misuses == 2 ? 0 : 5);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_expect_eq(status, 0, "%d", WEXITSTATUS(status));
	cr_expect_neq(program_on("v0"), 0, "the parent's goes on");
	cr_expect_eq(sxsk_prog_steer(prog, NULL, 0), 0);
	sxsk_socket_close(socket);
	sxsk_prog_unref(prog);
	sxsk_pool_unref(pool);
}

/* ---- where it is ---------------------------------------------------------------------------------- */

Test(prog, is_on_one_interface_at_a_time)
{
	struct sxsk_pool *pool = new_pool(1024);
	struct sxsk_prog *prog = prog_for_port(1);
	struct sxsk_socket *a = open_socket(pool, "m0", 0, with(prog)), *b;
	const uint32_t id = program_on("m0");

	refused(pool, "v0", 0, with(prog), -EBUSY, "was put on m0: it cannot be on v0 too");
	b = open_socket(pool, "m0", 1, with(prog));
	cr_expect_eq(program_on("m0"), id);
	sxsk_socket_close(a);
	cr_expect_eq(program_on("m0"), id, "it stays until its last socket closes");
	cr_expect_eq(sxsk_prog_steer(prog, NULL, 0), 0);
	cr_expect_neq(program_on("m0"), id);
	a = open_socket(pool, "m0", 0, with(prog));
	sxsk_socket_close(a);
	sxsk_socket_close(b);
	cr_expect_eq(program_on("m0"), 0);
	b = open_socket(pool, "v0", 0, with(prog));
	cr_expect_neq(program_on("v0"), 0);
	sxsk_socket_close(b);
	sxsk_prog_unref(prog);
	sxsk_pool_unref(pool);
}

Test(prog, an_interface_has_one_program)
{
	struct sxsk_pool *pool = new_pool(1024);
	struct sxsk_prog *prog = prog_for_port(1), *other = prog_for_port(2);
	struct sxsk_socket *a = open_socket(pool, "m0", 0, with(prog));
	const uint32_t id = program_on("m0");

	refused(pool, "m0", 1, with(other), -EBUSY, "another program of this process");
	refused(pool, "m0", 1, steered(SXSK_ATTACH_AUTO), -EBUSY, "for sxsk_socket_opts.prog");
	cr_expect_eq(program_on("m0"), id);
	sxsk_socket_close(a);
	a = open_socket(pool, "m0", 0, steered(SXSK_ATTACH_AUTO));
	refused(pool, "m0", 1, with(prog), -EBUSY, "for SXSK_STEER_ALL");
	sxsk_socket_close(a);
	cr_expect_eq(program_on("m0"), 0);
	sxsk_prog_unref(prog);
	sxsk_prog_unref(other);
	sxsk_pool_unref(pool);
}

Test(prog, a_target_has_one_socket)
{
	struct sxsk_pool *pool = new_pool(1024);
	struct sxsk_prog *prog = prog_for_port(1);
	struct sxsk_socket_opts opts = with(prog);
	struct sxsk_socket *a;

	opts.flags = SXSK_SOCKET_SHARE_QUEUE;
	opts.target = 3;
	a = open_socket(pool, "v0", 0, opts);
	refused(pool, "v0", 0, opts, -EBUSY, "queue 0, target 3");
	opts.target = 4;
	sxsk_socket_close(open_socket(pool, "v0", 0, opts));
	sxsk_socket_close(a);
	sxsk_prog_unref(prog);
	sxsk_pool_unref(pool);
}

Test(prog, goes_with_its_interface)
{
	struct sxsk_pool *pool = new_pool(1024);
	struct sxsk_prog *prog = prog_for_port(1);
	struct sxsk_socket *socket = open_socket(pool, "v0", 0, with(prog));

	run("ip link del v0");
	refused_with(sxsk_prog_steer(prog, NULL, 0), -ENODEV, "interface v0 is gone");
	sxsk_socket_close(socket);
	cr_expect_eq(sxsk_prog_steer(prog, NULL, 0), 0, "%s", sxsk_last_error());
	socket = open_socket(pool, "m0", 0, with(prog));
	sxsk_socket_close(socket);
	sxsk_prog_unref(prog);
	sxsk_pool_unref(pool);
}

Test(prog, a_killed_process_leaves_none)
{
	struct sxsk_pool *pool = new_pool(1024);

	for (int i = 0; i < 5; i++) {
		struct sxsk_prog *prog;
		char byte = 0;
		int ready[2];
		pid_t pid;

		cr_assert_eq(pipe(ready), 0);
		pid = fork_bounded();
		if (!pid) {
			open_socket(new_pool(256), "v0", 0, with(prog_for_port(1)));
			if (write(ready[1], &byte, 1) != 1)
				_exit(1);
			pause();
		}
		cr_assert_eq(read(ready[0], &byte, 1), 1);
		cr_assert_neq(program_on("v0"), 0);
		kill(pid, SIGKILL);
		prog = prog_for_port(2);
		sxsk_socket_close(open_socket(pool, "v0", 0, with(prog)));
		sxsk_prog_unref(prog);
		waitpid(pid, NULL, 0);
		cr_expect_eq(program_on("v0"), 0);
		close(ready[0]);
		close(ready[1]);
	}
	sxsk_pool_unref(pool);
}
