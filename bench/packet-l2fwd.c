/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * packet-l2fwd: what l2fwd-1link does, without AF_XDP: over AF_PACKET's rings (TPACKET_V3), which any program
 * could use before, and still can on any interface. For bench/veth.
 *
 *   packet-l2fwd --link-name veth0 --duration 10
 *
 * As packet_mmap.rst says is fast: a receive ring of blocks, a send ring in the same mapping, no copy of what
 * this socket sends, no queueing discipline. A packet is copied from one ring to the other: a block goes back
 * whole. Packets come with the stack's cost: each is a socket buffer.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BLOCK_SIZE (1u << 17)
#define BLOCKS 64u
#define FRAME_SIZE 2048u
#define TX_FRAMES (BLOCKS * (BLOCK_SIZE / FRAME_SIZE))
#define RETIRE_MS 1u /* a block that is not full is handed over after so long */
#define SLEEP_MS 100
#define TX_BATCH 64u /* packets per sendto() */
/* Where a packet begins in a frame of the send ring. */
#define TX_DATA                                                                                    \
	((sizeof(struct tpacket3_hdr) + TPACKET_ALIGNMENT - 1) / TPACKET_ALIGNMENT *               \
	 TPACKET_ALIGNMENT)

#ifndef PACKET_IGNORE_OUTGOING
#define PACKET_IGNORE_OUTGOING 23 /* Linux 4.20 */
#endif

struct forwarder {
	int fd, link_fd;
	unsigned char *map;
	uint32_t block, tx; /* next ones */
	uint64_t rx_packets, tx_packets, kicks, polls;
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
	fputs("packet-l2fwd: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	exit(1);
}

/* A veth that packets are sent to by an XDP program needs one itself: this one passes everything. */
static int pass_all(unsigned ifindex)
{
	const struct bpf_insn code[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_PASS },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	struct bpf_link_create_opts opts = { .sz = sizeof(opts), .flags = XDP_FLAGS_DRV_MODE };
	int link, program = bpf_prog_load(BPF_PROG_TYPE_XDP, "pass", "Dual BSD/GPL", code, 2, NULL);

	link = program < 0 ? -1 : bpf_link_create(program, (int)ifindex, BPF_XDP, &opts);
	if (link < 0)
		die("XDP program: %s", strerror(errno));
	close(program);
	return link;
}

static void option(int fd, int name, const void *value, socklen_t size, const char *what)
{
	if (setsockopt(fd, SOL_PACKET, name, value, size) != 0)
		die("%s: %s", what, strerror(errno));
}

static void open_socket(struct forwarder *f, const char *ifname)
{
	struct tpacket_req3 rx = { .tp_block_size = BLOCK_SIZE,
				   .tp_block_nr = BLOCKS,
				   .tp_frame_size = FRAME_SIZE,
				   .tp_frame_nr = BLOCKS * (BLOCK_SIZE / FRAME_SIZE),
				   .tp_retire_blk_tov = RETIRE_MS };
	struct tpacket_req3 tx = rx;
	struct sockaddr_ll address = { .sll_family = AF_PACKET,
				       .sll_protocol = __builtin_bswap16(ETH_P_ALL),
				       .sll_ifindex = (int)if_nametoindex(ifname) };
	const int version = TPACKET_V3, on = 1;

	if (address.sll_ifindex == 0)
		die("there is no interface '%s'", ifname);
	f->link_fd = pass_all((unsigned)address.sll_ifindex);
	f->fd = socket(AF_PACKET, SOCK_RAW, 0);
	if (f->fd < 0)
		die("socket: %s", strerror(errno));
	tx.tp_retire_blk_tov = 0;
	option(f->fd, PACKET_VERSION, &version, sizeof(version), "TPACKET_V3");
	option(f->fd, PACKET_IGNORE_OUTGOING, &on, sizeof(on), "PACKET_IGNORE_OUTGOING");
	option(f->fd, PACKET_QDISC_BYPASS, &on, sizeof(on), "PACKET_QDISC_BYPASS");
	option(f->fd, PACKET_RX_RING, &rx, sizeof(rx), "receive ring");
	option(f->fd, PACKET_TX_RING, &tx, sizeof(tx), "send ring");
	f->map = mmap(NULL, 2ul * BLOCKS * BLOCK_SIZE, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_POPULATE, f->fd, 0);
	if (f->map == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	if (bind(f->fd, (const struct sockaddr *)&address, sizeof(address)) != 0)
		die("%s: %s", ifname, strerror(errno));
}

static struct tpacket3_hdr *tx_frame(const struct forwarder *f, uint32_t at)
{
	return (struct tpacket3_hdr *)(void *)(f->map + (size_t)BLOCKS * BLOCK_SIZE +
					       (size_t)(at % TX_FRAMES) * FRAME_SIZE);
}

static void kick(struct forwarder *f)
{
	if (sendto(f->fd, NULL, 0, MSG_DONTWAIT, NULL, 0) < 0 && errno != EAGAIN &&
	    errno != ENOBUFS)
		die("send: %s", strerror(errno));
	f->kicks++;
}

/* Swap the MACs on the way from one ring to the other. */
static void send_back(struct forwarder *f, const struct tpacket3_hdr *in)
{
	const unsigned char *from = (const unsigned char *)in + in->tp_mac;
	struct tpacket3_hdr *out = tx_frame(f, f->tx);
	unsigned char *to = (unsigned char *)out + TX_DATA;

	while (__atomic_load_n(&out->tp_status, __ATOMIC_ACQUIRE) != TP_STATUS_AVAILABLE && !stop)
		kick(f);
	memcpy(to, from + 6, 6);
	memcpy(to + 6, from, 6);
	memcpy(to + 12, from + 12, in->tp_snaplen - 12);
	out->tp_len = in->tp_snaplen;
	out->tp_snaplen = in->tp_snaplen;
	out->tp_next_offset = 0;
	__atomic_store_n(&out->tp_status, TP_STATUS_SEND_REQUEST, __ATOMIC_RELEASE);
	f->tx++;
	f->tx_packets++;
	if (f->tx % TX_BATCH == 0)
		kick(f);
}

static void forward_block(struct forwarder *f, const struct tpacket_block_desc *block)
{
	const unsigned char *at = (const unsigned char *)block + block->hdr.bh1.offset_to_first_pkt;

	for (uint32_t i = 0; i < block->hdr.bh1.num_pkts; i++) {
		const struct tpacket3_hdr *packet = (const void *)at;

		f->rx_packets++;
		if (packet->tp_snaplen >= ETH_HLEN && packet->tp_snaplen + TX_DATA <= FRAME_SIZE)
			send_back(f, packet);
		at += packet->tp_next_offset;
	}
	if (f->tx % TX_BATCH != 0)
		kick(f);
}

static void forward(struct forwarder *f)
{
	struct pollfd wait = { .fd = f->fd, .events = POLLIN };

	while (!stop) {
		struct tpacket_block_desc *block =
			(void *)(f->map + (size_t)(f->block % BLOCKS) * BLOCK_SIZE);

		if (!(__atomic_load_n(&block->hdr.bh1.block_status, __ATOMIC_ACQUIRE) &
		      TP_STATUS_USER)) {
			f->polls++;
			if (poll(&wait, 1, SLEEP_MS) < 0 && errno != EINTR)
				die("poll: %s", strerror(errno));
			continue;
		}
		forward_block(f, block);
		__atomic_store_n(&block->hdr.bh1.block_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
		f->block++;
	}
}

static unsigned number(const char *text)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (end == text || *end || *text == '-' || n > 86400)
		die("'%s': use a number of seconds", text);
	return (unsigned)n;
}

int main(int argc, char *argv[])
{
	const struct sigaction action = { .sa_handler = on_signal };
	struct forwarder f = { .fd = -1 };
	const char *ifname = NULL;
	unsigned duration = 0;

	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], "--link-name") == 0 && i + 1 < argc)
			ifname = argv[++i];
		else if (strcmp(argv[i], "--duration") == 0 && i + 1 < argc)
			duration = number(argv[++i]);
		else if (strcmp(argv[i], "--json") != 0) /* always */
			die("usage: packet-l2fwd --link-name IF [--duration SECONDS] [--json]");
	if (!ifname)
		die("which interface? Give --link-name");
	setvbuf(stdout, NULL, _IOLBF, 0);
	open_socket(&f, ifname);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGALRM, &action, NULL);
	alarm(duration);
	printf("packet-l2fwd: on %s\n", ifname);
	forward(&f);
	printf("{\"program\": \"packet-l2fwd\", \"links\": [{\"name\": \"%s\", \"rx_packets\": %llu, "
	       "\"tx_packets\": %llu, \"kicks\": %llu, \"polls\": %llu}]}\n",
	       ifname, (unsigned long long)f.rx_packets, (unsigned long long)f.tx_packets,
	       (unsigned long long)f.kicks, (unsigned long long)f.polls);
	close(f.link_fd); /* takes the program off */
	close(f.fd);
	return 0;
}
