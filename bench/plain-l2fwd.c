/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * plain-l2fwd: what l2fwd-1link does, as users of libxdp write it: swap the MAC addresses of every
 * packet and send it back. The baseline of bench/veth.
 *
 *   plain-l2fwd --link-name veth0 --duration 10
 *
 * xsk.h's calls and ring functions, a free list of addresses, no checks. Everything that is not the
 * library's is the same: burst, ring sizes, frames, bind flags, socket options, XDP program, when to
 * kick, how long to look before sleeping.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <getopt.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <xdp/xsk.h>

#ifndef XDP_MAX_TX_SKB_BUDGET
#define XDP_MAX_TX_SKB_BUDGET 9 /* Linux 6.17 */
#endif

#define RING_SIZE 2048u
#define CHUNK 2048u
#define TX_BUDGET 256u /* packets per sendto() in copy mode */
#define REFILL_BATCH 64u
#define BURST_MAX 1024u
#define IDLE_LOOKS 500u
#define SLEEP_MS 100
#define FINISH_MS 200

struct options {
	const char *ifname;
	uint32_t queue, bufnum, burst, duration;
	bool json;
};

struct plain {
	unsigned char *memory;
	struct xsk_umem *umem;
	struct xsk_socket *socket;
	int fd, map_fd, link_fd;
	struct xsk_ring_prod fill, tx;
	struct xsk_ring_cons comp, rx;
	uint64_t *list; /* addresses of free frames, last in first out */
	uint32_t free;
	uint32_t missing;     /* frames to bring FILL to its level again */
	uint32_t outstanding; /* descriptors given to TX, not completed */
	uint64_t rx_packets, tx_packets, completed, kicks, polls;
};

static volatile sig_atomic_t stop;

static void on_signal(int signal)
{
	(void)signal;
	stop = 1;
}

__attribute__((noreturn, cold, format(printf, 1, 2))) static void die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("plain-l2fwd: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	exit(1);
}

/* ---- setting up ---------------------------------------------------------------------------------- */

static int load_program(int map_fd)
{
	/* return bpf_redirect_map(&xskmap, ctx->rx_queue_index, XDP_PASS); */
	const struct bpf_insn code[] = {
		{ .code = BPF_LDX | BPF_MEM | BPF_W,
		  .dst_reg = BPF_REG_2,
		  .src_reg = BPF_REG_1,
		  .off = offsetof(struct xdp_md, rx_queue_index) },
		{ .code = BPF_LD | BPF_DW | BPF_IMM,
		  .dst_reg = BPF_REG_1,
		  .src_reg = BPF_PSEUDO_MAP_FD,
		  .imm = map_fd },
		{ .code = 0 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_3, .imm = XDP_PASS },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_redirect_map },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	struct bpf_prog_load_opts opts = { .sz = sizeof(opts), .prog_flags = BPF_F_XDP_HAS_FRAGS };

	return bpf_prog_load(BPF_PROG_TYPE_XDP, "plain", "Dual BSD/GPL", code,
			     sizeof(code) / sizeof(code[0]), &opts);
}

/* A program of our own, as the manuals advise where libxdp's default is in the way: its dispatcher
 * would add its cost to every received packet, and stay behind after a kill. */
static void steer(struct plain *p, const char *ifname)
{
	struct bpf_link_create_opts opts = { .sz = sizeof(opts), .flags = XDP_FLAGS_DRV_MODE };
	int program;

	p->map_fd = bpf_map_create(BPF_MAP_TYPE_XSKMAP, "plain", 4, 4, 64, NULL);
	program = p->map_fd < 0 ? -1 : load_program(p->map_fd);
	p->link_fd = program < 0 ?
			     -1 :
			     bpf_link_create(program, (int)if_nametoindex(ifname), BPF_XDP, &opts);
	if (p->link_fd < 0)
		die("XDP program on %s: %s", ifname, strerror(errno));
	close(program);
	if (xsk_socket__update_xskmap(p->socket, p->map_fd) != 0)
		die("XSKMAP: %s", strerror(errno));
}

static void open_socket(struct plain *p, const struct options *o)
{
	const struct xsk_umem_config umem = { .fill_size = RING_SIZE,
					      .comp_size = RING_SIZE,
					      .frame_size = CHUNK };
	const struct xsk_socket_config config = { .rx_size = RING_SIZE,
						  .tx_size = RING_SIZE,
						  .libxdp_flags =
							  XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD,
						  .bind_flags = XDP_USE_NEED_WAKEUP };
	const int budget = TX_BUDGET;
	const size_t size = (size_t)o->bufnum * CHUNK;
	int err;

	p->memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	p->list = calloc(o->bufnum, sizeof(*p->list));
	if (p->memory == MAP_FAILED || !p->list)
		die("no memory");
	err = xsk_umem__create(&p->umem, p->memory, size, &p->fill, &p->comp, &umem);
	if (err)
		die("umem: %s", strerror(-err));
	err = xsk_socket__create(&p->socket, o->ifname, o->queue, p->umem, &p->rx, &p->tx, &config);
	if (err)
		die("%s queue %u: %s", o->ifname, o->queue, strerror(-err));
	p->fd = xsk_socket__fd(p->socket);
	/* Best effort: kernels before 6.17 send 32 packets per call. */
	(void)setsockopt(p->fd, SOL_XDP, XDP_MAX_TX_SKB_BUDGET, &budget, sizeof(budget));
}

/* ---- the loop ------------------------------------------------------------------------------------ */

static inline void swap_macs(void *packet)
{
	struct mac {
		unsigned char byte[6];
	} *mac = packet, t = mac[0];

	mac[0] = mac[1];
	mac[1] = t;
}

/* Give the kernel the frames that it lacks, a batch at a time. */
static inline void refill(struct plain *p)
{
	uint32_t n = p->missing < p->free ? p->missing : p->free, at;
	const uint64_t *top = p->list + p->free;

	if (n < REFILL_BATCH || xsk_ring_prod__reserve(&p->fill, n, &at) != n)
		return;
	for (uint32_t i = 0; i < n; i++)
		*xsk_ring_prod__fill_addr(&p->fill, at + i) = *--top;
	xsk_ring_prod__submit(&p->fill, n);
	p->free -= n;
	p->missing -= n;
	if (xsk_ring_prod__needs_wakeup(&p->fill))
		(void)recvfrom(p->fd, NULL, 0, MSG_DONTWAIT, NULL, NULL);
}

static inline void complete(struct plain *p)
{
	uint32_t at, n = xsk_ring_cons__peek(&p->comp, RING_SIZE, &at);
	uint64_t *top = p->list + p->free;

	if (n == 0)
		return;
	for (uint32_t i = 0; i < n; i++)
		*top++ =
			*xsk_ring_cons__comp_addr(&p->comp, at + i); /* FILL takes an offset, too */
	xsk_ring_cons__release(&p->comp, n);
	p->free += n;
	p->outstanding -= n;
	p->completed += n;
}

static uint32_t waiting(const struct plain *p)
{
	return *p->tx.producer - __atomic_load_n(p->tx.consumer, __ATOMIC_ACQUIRE);
}

/* Kick while the kernel gets on with it. */
static void kick(struct plain *p)
{
	uint32_t left = waiting(p), before;

	do {
		if (left == 0 || !xsk_ring_prod__needs_wakeup(&p->tx))
			return;
		before = left;
		if (sendto(p->fd, NULL, 0, MSG_DONTWAIT, NULL, 0) < 0 && errno != EAGAIN &&
		    errno != EBUSY && errno != ENOBUFS)
			die("send: %s", strerror(errno));
		p->kicks++;
		left = waiting(p);
	} while (left < before);
}

/* Receive a burst into the TX ring. Returns the number of packets. */
static uint32_t bounce(struct plain *p, uint32_t burst)
{
	uint32_t n = burst, room = xsk_prod_nb_free(&p->tx, burst), rx, tx;

	if (room > RING_SIZE - p->outstanding)
		room = RING_SIZE - p->outstanding;
	n = xsk_ring_cons__peek(&p->rx, n < room ? n : room, &rx);
	if (n == 0)
		return 0;
	if (xsk_ring_prod__reserve(&p->tx, n, &tx) != n)
		die("the TX ring has less room than it said");
	for (uint32_t i = 0; i < n; i++) {
		const struct xdp_desc *in = xsk_ring_cons__rx_desc(&p->rx, rx + i);

		swap_macs(xsk_umem__get_data(p->memory, in->addr));
		*xsk_ring_prod__tx_desc(&p->tx, tx + i) =
			(struct xdp_desc){ .addr = in->addr, .len = in->len };
	}
	xsk_ring_cons__release(&p->rx, n);
	xsk_ring_prod__submit(&p->tx, n);
	p->missing += n;
	p->outstanding += n;
	p->rx_packets += n;
	p->tx_packets += n;
	return n;
}

static void forward(struct plain *p, uint32_t burst)
{
	struct pollfd wait = { .fd = p->fd, .events = POLLIN };
	uint32_t idle = 0;

	while (!stop) {
		complete(p);
		refill(p);
		idle = bounce(p, burst) ? 0 : idle + 1;
		if (p->outstanding)
			kick(p);
		if (idle < IDLE_LOOKS)
			continue;
		p->polls++;
		if (poll(&wait, 1, p->outstanding ? 1 : SLEEP_MS) < 0 && errno != EINTR)
			die("poll: %s", strerror(errno));
	}
	for (int ms = 0; ms < FINISH_MS && p->outstanding; ms++) {
		kick(p);
		complete(p);
		usleep(1000);
	}
}

/* ---- the program --------------------------------------------------------------------------------- */

static const char usage[] =
	"usage: plain-l2fwd --link-name IF [OPTION...]\n"
	"l2fwd-1link as users of libxdp write it, without safety: the baseline of bench/veth.\n"
	"  --link-name IF      interface\n"
	"  --link-channel Q    its queue (0)\n"
	"  --bufnum N          frames (65536)\n"
	"  --batch-size N      packets at a time (64)\n"
	"  --duration SECONDS  end by itself (0: on SIGINT or SIGTERM)\n"
	"  --json              make the last line one JSON object\n";

static uint32_t number(const char *text, uint32_t min, uint32_t max)
{
	char *end;
	unsigned long n;

	errno = 0;
	n = strtoul(text, &end, 10);
	if (errno || end == text || *end || *text == '-' || n < min || n > max)
		die("'%s': use a number from %u to %u", text, min, max);
	return (uint32_t)n;
}

static struct options parse(int argc, char *argv[])
{
	static const struct option table[] = {
		{ "link-name", 1, NULL, 'l' }, { "link-channel", 1, NULL, 'q' },
		{ "bufnum", 1, NULL, 'n' },    { "batch-size", 1, NULL, 'b' },
		{ "duration", 1, NULL, 'd' },  { "json", 0, NULL, 'j' },
		{ "help", 0, NULL, 'h' },      { NULL, 0, NULL, 0 },
	};
	struct options o = { .bufnum = 65536, .burst = 64 };
	int code;

	while ((code = getopt_long(argc, argv, "", table, NULL)) != -1)
		if (code == 'l')
			o.ifname = optarg;
		else if (code == 'q')
			o.queue = number(optarg, 0, 63);
		else if (code == 'n')
			o.bufnum = number(optarg, RING_SIZE * 2, 1u << 20);
		else if (code == 'b')
			o.burst = number(optarg, 1, BURST_MAX);
		else if (code == 'd')
			o.duration = number(optarg, 0, 86400);
		else if (code == 'j')
			o.json = true;
		else {
			fputs(usage, code == 'h' ? stdout : stderr);
			exit(code == 'h' ? 0 : 1);
		}
	if (optind < argc || !o.ifname)
		die("%s, see --help",
		    o.ifname ? argv[optind] : "which interface? Give --link-name");
	return o;
}

static double clock_seconds(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static bool zero_copy(int fd)
{
	struct xdp_options options = { 0 };
	socklen_t len = sizeof(options);

	return getsockopt(fd, SOL_XDP, XDP_OPTIONS, &options, &len) == 0 &&
	       options.flags & XDP_OPTIONS_ZEROCOPY;
}

static void show(const struct plain *p, const struct options *o, double seconds, double cpu)
{
	struct xdp_statistics k = { 0 };
	socklen_t len = sizeof(k);

	(void)getsockopt(p->fd, SOL_XDP, XDP_STATISTICS, &k, &len);
	printf("received %llu, sent %llu, %.3f s\n", (unsigned long long)p->rx_packets,
	       (unsigned long long)p->tx_packets, seconds);
	if (o->json)
		printf("{\"program\": \"plain-l2fwd\", \"seconds\": %.3f, \"cpu_seconds\": %.6f, "
		       "\"links\": [{\"name\": \"%s\", \"queue\": %u, \"rx_packets\": %llu, "
		       "\"tx_packets\": %llu, \"tx_completed\": %llu, \"kicks\": %llu, "
		       "\"polls\": %llu, \"kernel\": {\"rx_dropped\": %llu, \"rx_ring_full\": %llu, "
		       "\"rx_fill_ring_empty_descs\": %llu, \"tx_ring_empty_descs\": %llu}}]}\n",
		       seconds, cpu, o->ifname, o->queue, (unsigned long long)p->rx_packets,
		       (unsigned long long)p->tx_packets, (unsigned long long)p->completed,
		       (unsigned long long)p->kicks, (unsigned long long)p->polls, k.rx_dropped,
		       k.rx_ring_full, k.rx_fill_ring_empty_descs, k.tx_ring_empty_descs);
}

static void catch_signals(uint32_t duration)
{
	const struct sigaction action = { .sa_handler = on_signal };

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGALRM, &action, NULL);
	alarm(duration);
}

int main(int argc, char *argv[])
{
	const struct options o = parse(argc, argv);
	struct plain p = { .fd = -1 };
	double begin, cpu;

	setvbuf(stdout, NULL, _IOLBF, 0);
	open_socket(&p, &o);
	for (uint32_t i = o.bufnum; i-- > 0;)
		p.list[p.free++] = (uint64_t)i * CHUNK;
	p.missing = RING_SIZE;
	refill(&p);
	steer(&p, o.ifname);
	catch_signals(o.duration);
	printf("plain-l2fwd: on %s queue %u: %s mode\n", o.ifname, o.queue,
	       zero_copy(p.fd) ? "zero-copy" : "copy");
	begin = clock_seconds(CLOCK_MONOTONIC);
	cpu = clock_seconds(CLOCK_PROCESS_CPUTIME_ID);
	forward(&p, o.burst);
	show(&p, &o, clock_seconds(CLOCK_MONOTONIC) - begin,
	     clock_seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu);
	close(p.link_fd); /* takes the program off */
	close(p.map_fd);
	xsk_socket__delete(p.socket);
	(void)xsk_umem__delete(p.umem);
	return 0;
}
