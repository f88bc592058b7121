/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * packet: what rxdrop, l2fwd-1link and l2fwd-2link do, without AF_XDP: over AF_PACKET's rings (TPACKET_V3), which
 * any program could use before, and still can on any interface. For bench/veth.
 *
 *   packet 1link veth0 --duration 10
 *
 * As packet_mmap.rst says is fast: a receive ring of blocks, a send ring in the same mapping, no copy of what
 * this socket sends, no queueing discipline. A packet is copied from one ring to the other: a block goes back
 * whole. Packets come with the stack's cost: each is a socket buffer.
 */
#include "forwarder.h"

#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define BLOCK_SIZE (1u << 17)
#define BLOCKS 64u
#define FRAME_SIZE 2048u
#define TX_FRAMES (BLOCKS * (BLOCK_SIZE / FRAME_SIZE))
#define RETIRE_MS 1u /* a block that is not full is handed over after so long */
#define TX_BATCH 64u /* packets per sendto() */
/* Where a packet begins in a frame of the send ring. */
#define TX_DATA                                                                                    \
	((sizeof(struct tpacket3_hdr) + TPACKET_ALIGNMENT - 1) / TPACKET_ALIGNMENT *               \
	 TPACKET_ALIGNMENT)

#ifndef PACKET_IGNORE_OUTGOING
#define PACKET_IGNORE_OUTGOING 23 /* Linux 4.20 */
#endif

/* One link's socket. */
struct port {
	int fd, link_fd;
	unsigned char *map;
	uint32_t block, tx; /* next ones */
};

static void option(int fd, int name, const void *value, socklen_t size, const char *what)
{
	if (setsockopt(fd, SOL_PACKET, name, value, size) != 0)
		forwarder_die("%s: %s", what, strerror(errno));
}

static void open_socket(struct port *p, const char *ifname)
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
		forwarder_die("there is no interface '%s'", ifname);
	p->link_fd = forwarder_attach(ifname, -1);
	p->fd = socket(AF_PACKET, SOCK_RAW, 0);
	if (p->fd < 0)
		forwarder_die("socket: %s", strerror(errno));
	tx.tp_retire_blk_tov = 0;
	option(p->fd, PACKET_VERSION, &version, sizeof(version), "TPACKET_V3");
	option(p->fd, PACKET_IGNORE_OUTGOING, &on, sizeof(on), "PACKET_IGNORE_OUTGOING");
	option(p->fd, PACKET_QDISC_BYPASS, &on, sizeof(on), "PACKET_QDISC_BYPASS");
	option(p->fd, PACKET_RX_RING, &rx, sizeof(rx), "receive ring");
	option(p->fd, PACKET_TX_RING, &tx, sizeof(tx), "send ring");
	p->map = mmap(NULL, 2ul * BLOCKS * BLOCK_SIZE, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_POPULATE, p->fd, 0);
	if (p->map == MAP_FAILED)
		forwarder_die("mmap: %s", strerror(errno));
	if (bind(p->fd, (const struct sockaddr *)&address, sizeof(address)) != 0)
		forwarder_die("%s: %s", ifname, strerror(errno));
}

static struct tpacket3_hdr *tx_frame(const struct port *p, uint32_t at)
{
	return (struct tpacket3_hdr *)(void *)(p->map + (size_t)BLOCKS * BLOCK_SIZE +
					       (size_t)(at % TX_FRAMES) * FRAME_SIZE);
}

static void kick(struct forwarder *f, const struct port *p)
{
	if (sendto(p->fd, NULL, 0, MSG_DONTWAIT, NULL, 0) < 0 && errno != EAGAIN &&
	    errno != ENOBUFS)
		forwarder_die("send: %s", strerror(errno));
	f->kicks++;
}

/* From one ring to the other; MACs are swapped on the way. */
static void send_packet(struct forwarder *f, struct port *p, const struct tpacket3_hdr *in)
{
	const unsigned char *from = (const unsigned char *)in + in->tp_mac;
	const unsigned swap = f->mode == FORWARDER_BOUNCE ? 6 : 0;
	struct tpacket3_hdr *out = tx_frame(p, p->tx);
	unsigned char *to = (unsigned char *)out + TX_DATA;

	while (__atomic_load_n(&out->tp_status, __ATOMIC_ACQUIRE) != TP_STATUS_AVAILABLE &&
	       !forwarder_stop)
		kick(f, p);
	memcpy(to, from + swap, 6);
	memcpy(to + 6, from + 6 - swap, 6);
	memcpy(to + 12, from + 12, in->tp_snaplen - 12);
	out->tp_len = in->tp_snaplen;
	out->tp_snaplen = in->tp_snaplen;
	out->tp_next_offset = 0;
	__atomic_store_n(&out->tp_status, TP_STATUS_SEND_REQUEST, __ATOMIC_RELEASE);
	p->tx++;
	f->tx_packets++;
	if (p->tx % TX_BATCH == 0)
		kick(f, p);
}

static void forward_block(struct forwarder *f, const struct tpacket_block_desc *block,
			  struct port *to)
{
	const unsigned char *at = (const unsigned char *)block + block->hdr.bh1.offset_to_first_pkt;
	const uint64_t sent = f->tx_packets;

	f->rx_bursts++;
	for (uint32_t i = 0; i < block->hdr.bh1.num_pkts; i++) {
		const struct tpacket3_hdr *packet = (const void *)at;

		f->rx_packets++;
		if (f->mode != FORWARDER_DROP && packet->tp_snaplen >= ETH_HLEN &&
		    packet->tp_snaplen + TX_DATA <= FRAME_SIZE)
			send_packet(f, to, packet);
		at += packet->tp_next_offset;
	}
	if (f->tx_packets != sent && to->tx % TX_BATCH != 0)
		kick(f, to);
}

/* The next block, if the kernel has handed it over. */
static bool move(struct forwarder *f, struct port *from, struct port *to)
{
	struct tpacket_block_desc *block =
		(void *)(from->map + (size_t)(from->block % BLOCKS) * BLOCK_SIZE);

	if (!(__atomic_load_n(&block->hdr.bh1.block_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER))
		return false;
	forward_block(f, block, to);
	__atomic_store_n(&block->hdr.bh1.block_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
	from->block++;
	return true;
}

static void run(struct forwarder *f, struct port ports[])
{
	struct pollfd wait[FORWARDER_LINKS] = { { .fd = ports[0].fd, .events = POLLIN },
						{ .fd = ports[1].fd, .events = POLLIN } };

	while (!forwarder_stop) {
		bool moved = false;

		for (unsigned i = 0; i < f->links; i++)
			moved |= move(f, &ports[i], &ports[f->links - 1 - i]);
		if (moved)
			continue;
		f->polls++;
		if (poll(wait, f->links, FORWARDER_SLEEP_MS) < 0 && errno != EINTR)
			forwarder_die("poll: %s", strerror(errno));
	}
}

int main(int argc, char *argv[])
{
	struct port ports[FORWARDER_LINKS] = { { .fd = -1 }, { .fd = -1 } };
	struct forwarder f;

	forwarder_parse(&f, "packet", argc, argv);
	if (f.mode == FORWARDER_THREADS)
		forwarder_die("one thread only: use 2link");
	for (unsigned i = 0; i < f.links; i++)
		open_socket(&ports[i], f.ifname[i]);
	forwarder_begin(&f, "TPACKET_V3");
	run(&f, ports);
	for (unsigned i = 0; i < f.links; i++) {
		close(ports[i].link_fd);
		close(ports[i].fd);
	}
	forwarder_end(&f);
	return 0;
}
