/* SPDX-License-Identifier: BSD-2-Clause */
/* Packets that go where a program's rules say, over veth, each test once with a native program and once with
 * an SKB one. */
#include "scenarios.h"
#include "udp.h"

#include <pthread.h>

TestSuite(prog_steer, .init = make_network, .timeout = 60);

static struct sxsk_socket_opts steered_by(struct sxsk_prog *prog, uint32_t attach, uint32_t target)
{
	return (struct sxsk_socket_opts){ .sz = sizeof(struct sxsk_socket_opts),
					  .prog = prog,
					  .attach = attach,
					  .target = target,
					  .flags = SXSK_SOCKET_SHARE_QUEUE };
}

/* A socket that gets numbered packets to ports. */
struct getter {
	struct sxsk_socket *socket;
	uint16_t port; /* all have to be to this one; 0: any */
	uint32_t received;
	uint32_t next; /* the number has to be at least this */
};

static void get(struct getter *g)
{
	struct sxsk_buf bufs[64];
	const unsigned n = sxsk_rx_burst(g->socket, bufs, 64);

	for (unsigned i = 0; i < n; i++) {
		const unsigned char *p = sxsk_buf_data(bufs[i]);

		cr_assert_geq(sxsk_buf_len(bufs[i]), UDP_HEADERS + 4);
		cr_assert(!g->port || udp_port(p) == g->port, "to port %u", udp_port(p));
		cr_assert_geq(udp_number(p), g->next, "%u again", udp_number(p));
		g->next = udp_number(p) + 1;
		g->received++;
	}
	sxsk_buf_unref_burst(bufs, n);
}

/* Until so many have arrived. */
static void get_until(struct getter *g, uint32_t n)
{
	const int64_t end = milliseconds() + PATIENCE_MS;

	while (g->received < n && milliseconds() < end)
		get(g);
	cr_assert_eq(g->received, n, "%u of %u", g->received, n);
}

SCENARIO(prog_steer, the_machine_answers_ping_while_a_socket_takes_one_port)
{
	struct neighbour there = neighbour_begin();
	const struct sxsk_rule rule = to_port(4242, 0);
	struct sxsk_prog *prog = new_prog(&rule, 1);
	struct sxsk_pool *pool = new_pool(1024);
	struct getter g = { .port = 4242 };
	const int far = udp_socket(&there, 9), wanted = udp_socket(NULL, 4242);
	const int other = udp_socket(NULL, 4243);
	uint32_t next = 0, none = 0;

	udp_send(far, 4242, 0);
	udp_receive(wanted, &none, PATIENCE_MS);
	cr_assert_eq(none, 1, "before, the stack has all");
	g.socket = open_socket(pool, "v0", 0, steered_by(prog, attach, 0));
	cr_expect_eq(stats_of(g.socket).attach, attach);
	for (uint32_t i = 0; i < 100; i++) {
		udp_send(far, 4242, i);
		udp_send(far, 4243, i);
		get(&g);
	}
	run("nsenter -t %d -n ping -q -c 3 -i 0.2 -W 5 10.0.0.1 >/dev/null", (int)there.pid);
	get_until(&g, 100);
	while (next < 100)
		udp_receive(other, &next, PATIENCE_MS);
	udp_receive(wanted, &none, 1);
	cr_expect_eq(none, 1, "the stack gets none of these");
	cr_expect_eq(stats_of(g.socket).rx_packets, 100, "and the socket nothing else");
	sxsk_socket_close(g.socket);
	cr_expect_eq(program_on("v0"), 0);
	udp_send(far, 4242, 1);
	udp_receive(wanted, &none, PATIENCE_MS);
	cr_expect_eq(none, 2, "afterwards the stack has all again");
	sxsk_prog_unref(prog);
	sxsk_pool_unref(pool);
	close(far);
	close(wanted);
	close(other);
	neighbour_end(&there);
}

/* Packets to ports 1 and 2 in turn, until they stop; as fast as those are received. */
struct source {
	struct sxsk_pool *pool;
	struct sxsk_socket *socket;
	uint32_t sent;
};

/* No more under way than the rings hold. */
static void send_in_turn(struct source *from, struct getter g[2], uint32_t n)
{
	const int64_t end = milliseconds() + PATIENCE_MS;

	while (from->sent < n) {
		cr_assert_lt(milliseconds(), end, "%u of %u", from->sent, n);
		if (from->sent - g[0].received - g[1].received < 256) {
			send_udp(from->socket, from->pool, (uint16_t)(1 + from->sent % 2),
				 from->sent);
			from->sent++;
		}
		get(&g[0]);
		get(&g[1]);
	}
}

static void get_all(struct getter g[2], uint32_t n)
{
	const int64_t end = milliseconds() + PATIENCE_MS;

	while (g[0].received + g[1].received < n && milliseconds() < end) {
		get(&g[0]);
		get(&g[1]);
	}
	cr_assert_eq(g[0].received + g[1].received, n, "%u + %u of %u", g[0].received,
		     g[1].received, n);
}

static struct source source_begin(uint32_t attach)
{
	struct source from = { .pool = new_pool(1024) };

	from.socket = open_socket(from.pool, "v1", 0, steered(attach));
	return from;
}

static void source_end(struct source *from)
{
	sxsk_socket_close(from->socket);
	sxsk_pool_unref(from->pool);
}

static void all_home(struct sxsk_pool *pool)
{
	struct sxsk_pool_stats st = { .sz = sizeof(st) };

	cr_assert_eq(sxsk_pool_drain(pool, PATIENCE_MS), 0, "%s", sxsk_last_error());
	sxsk_pool_stats(pool, &st);
	cr_expect_eq(st.lanes + st.depot + st.fill + st.quarantined + st.retired, st.total);
	sxsk_pool_unref(pool);
}

/* Two sockets on one queue; these rules tell packets to port 1 from those to port 2. */
static void two_sockets(uint32_t attach, const struct sxsk_rule rules[2])
{
	struct source from = source_begin(attach);
	struct sxsk_pool *pool = new_pool(2048);
	struct sxsk_prog *prog = new_prog(rules, 2);
	struct getter g[2] = { { .port = 1 }, { .port = 2 } };

	g[0].socket = open_socket(pool, "v0", 0, steered_by(prog, attach, 0));
	g[1].socket = open_socket(pool, "v0", 0, steered_by(prog, attach, 7));
	sxsk_prog_unref(prog);
	send_in_turn(&from, g, 4096);
	get_all(g, 4096);
	cr_expect_eq(g[0].received, 2048);
	cr_expect_eq(g[1].received, 2048);
	/* Without the socket, what would be its goes to the stack; the other one goes on. */
	sxsk_socket_close(g[0].socket);
	cr_assert_neq(program_on("v0"), 0);
	for (uint32_t i = 4096; i < 4196; i++)
		send_udp(from.socket, from.pool, (uint16_t)(1 + i % 2), i);
	get_until(&g[1], 2048 + 50);
	cr_expect_eq(stats_of(g[1].socket).rx_refused, 0);
	sxsk_socket_close(g[1].socket);
	cr_assert_eq(program_on("v0"), 0);
	all_home(pool);
	source_end(&from);
}

SCENARIO(prog_steer, two_sockets_on_one_queue_by_port)
{
	const struct sxsk_rule rules[2] = { to_port(1, 0), to_port(2, 7) };

	two_sockets(attach, rules);
}

SCENARIO(prog_steer, two_sockets_on_one_queue_by_mac)
{
	struct sxsk_rule rules[2] = {
		{ .sz = sizeof(rules[0]),
		  .match = SXSK_MATCH_SRC_MAC,
		  .src_mac = { 2, 0, 0, 0, 0, 1 } },
		{ .sz = sizeof(rules[0]),
		  .match = SXSK_MATCH_SRC_MAC,
		  .src_mac = { 2, 0, 0, 0, 0, 2 },
		  .target = 7 },
	};

	two_sockets(attach, rules);
}

SCENARIO(prog_steer, changed_rules_move_packets_and_lose_none)
{
	const struct sxsk_rule here[2] = { to_port(1, 0), to_port(2, 1) };
	const struct sxsk_rule crossed[2] = { to_port(1, 1), to_port(2, 0) };
	struct source from = source_begin(attach);
	struct sxsk_pool *pool = new_pool(2048);
	struct sxsk_prog *prog = new_prog(here, 2);
	struct getter g[2] = { { .port = 0 }, { .port = 0 } };
	uint32_t n = 0;

	for (uint32_t i = 0; i < 2; i++)
		g[i].socket = open_socket(pool, "v0", 0, steered_by(prog, attach, i));
	for (unsigned swap = 0; swap < 50; swap++) {
		n += 100;
		send_in_turn(&from, g, n); /* up to 256 are under way now */
		cr_assert_eq(sxsk_prog_steer(prog, swap % 2 ? here : crossed, 2), 0, "%s",
			     sxsk_last_error());
	}
	get_all(g, n);
	cr_expect_gt(g[0].received, 0);
	cr_expect_gt(g[1].received, 0);
	/* And at rest: exactly as the last rules say. */
	g[0].port = 1;
	g[1].port = 2;
	send_in_turn(&from, g, n + 200);
	get_all(g, n + 200);
	for (uint32_t i = 0; i < 2; i++) {
		cr_expect_eq(stats_of(g[i].socket).kernel.rx_dropped, 0);
		sxsk_socket_close(g[i].socket);
	}
	sxsk_prog_unref(prog);
	all_home(pool);
	source_end(&from);
}

/* Rules that come and go without a bearing on these packets: each arrives, in order, while another thread
 * changes the program all the time. */
struct changer {
	struct sxsk_prog *prog;
	int stop, changes, err;
};

static void *change_rules(void *arg)
{
	const struct sxsk_rule rules[4] = { to_port(77, SXSK_TARGET_STACK), to_port(1, 0),
					    to_port(2, 1), to_port(78, 5) };
	struct changer *c = arg;

	while (!__atomic_load_n(&c->stop, __ATOMIC_ACQUIRE) && !c->err) {
		c->err = sxsk_prog_steer(c->prog, c->changes % 2 ? rules : rules + 1,
					 c->changes % 2 ? 4 : 2);
		__atomic_store_n(&c->changes, c->changes + 1, __ATOMIC_RELEASE);
	}
	return NULL;
}

SCENARIO(prog_steer, a_program_replaced_under_traffic_loses_and_misdelivers_none)
{
	const struct sxsk_rule rules[2] = { to_port(1, 0), to_port(2, 1) };
	struct source from = source_begin(attach);
	struct sxsk_pool *pool = new_pool(2048);
	struct sxsk_prog *prog = new_prog(rules, 2);
	struct getter g[2] = { { .port = 1 }, { .port = 2 } };
	struct changer c = { .prog = prog };
	pthread_t thread;
	uint32_t n = 0;

	for (uint32_t i = 0; i < 2; i++)
		g[i].socket = open_socket(pool, "v0", 0, steered_by(prog, attach, i));
	cr_assert_eq(pthread_create(&thread, NULL, change_rules, &c), 0);
	while (n < 100000 && __atomic_load_n(&c.changes, __ATOMIC_ACQUIRE) < 200) {
		n += 1000;
		send_in_turn(&from, g, n);
	}
	__atomic_store_n(&c.stop, 1, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	cr_assert_eq(c.err, 0);
	cr_expect_gt(c.changes, 2);
	get_all(g, n);
	cr_expect_eq(g[0].received, n / 2);
	cr_expect_eq(g[1].received, n / 2);
	for (uint32_t i = 0; i < 2; i++)
		sxsk_socket_close(g[i].socket);
	sxsk_prog_unref(prog);
	all_home(pool);
	source_end(&from);
}
