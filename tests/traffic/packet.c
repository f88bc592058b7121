/* SPDX-License-Identifier: BSD-2-Clause */
#include "packet.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef PACKET_IGNORE_OUTGOING
#define PACKET_IGNORE_OUTGOING 23
#endif

double seconds_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

void swap_macs(unsigned char *data)
{
	unsigned char mac[6];

	memcpy(mac, data, 6);
	memcpy(data, data + 6, 6);
	memcpy(data + 6, mac, 6);
}

uint64_t number_option(const char *option, const char *value, uint64_t min, uint64_t max)
{
	char *rest;
	unsigned long long number;

	errno = 0;
	number = strtoull(value, &rest, 0);
	if (errno == 0 && *value >= '0' && *value <= '9' && *rest == '\0' && number >= min &&
	    number <= max)
		return number;
	fprintf(stderr, "%s: '%s' is not a number from %llu to %llu\n", option, value,
		(unsigned long long)min, (unsigned long long)max);
	exit(1);
}

static bool set(int fd, int level, int option, const void *value, socklen_t size)
{
	return setsockopt(fd, level, option, value, size) == 0;
}

/* A packet socket that has seen nothing yet: protocol 0 receives nothing until bind. */
static bool open_socket(struct end *end, const char *ifname)
{
	const int on = 1, size = 32 << 20;
	struct sockaddr_ll address = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = (int)if_nametoindex(ifname),
	};
	struct packet_mreq promisc = { .mr_ifindex = address.sll_ifindex,
				       .mr_type = PACKET_MR_PROMISC };

	if (address.sll_ifindex == 0)
		return false;
	end->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	/* Promiscuous: the MACs are random, and a real card would filter them. No queueing discipline:
	 * it may drop, and it reorders between queues. Own frames are not to be seen again. */
	return end->fd >= 0 &&
	       set(end->fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promisc, sizeof(promisc)) &&
	       set(end->fd, SOL_PACKET, PACKET_AUXDATA, &on, sizeof(on)) &&
	       set(end->fd, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof(on)) &&
	       set(end->fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on)) &&
	       set(end->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) &&
	       bind(end->fd, (struct sockaddr *)&address, sizeof(address)) == 0;
}

/* Go to a named network namespace: the file descriptor of the one before, -1 when it failed. */
static int enter_netns(const char *name)
{
	char path[512];
	int there, here = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

	snprintf(path, sizeof(path), "/run/netns/%s", name);
	there = open(path, O_RDONLY | O_CLOEXEC);
	if (here < 0 || there < 0 || setns(there, CLONE_NEWNET) != 0) {
		fprintf(stderr, "network namespace %s: %s\n", name, strerror(errno));
		if (here >= 0)
			close(here);
		here = -1;
	}
	if (there >= 0)
		close(there);
	return here;
}

bool end_open(struct end *end, const char *spec)
{
	const char *slash = strchr(spec, '/');
	char netns[256] = "";
	int home = -1;
	bool ok;

	end->spec = spec;
	end->fd = -1;
	if (slash != NULL) {
		snprintf(netns, sizeof(netns), "%.*s", (int)(slash - spec), spec);
		home = enter_netns(netns);
		if (home < 0)
			return false;
	}
	/* The socket stays in the namespace that it was made in. */
	ok = open_socket(end, slash != NULL ? slash + 1 : spec);
	if (!ok)
		fprintf(stderr, "%s: cannot open a packet socket: %s\n", spec, strerror(errno));
	if (home >= 0) {
		if (setns(home, CLONE_NEWNET) != 0) {
			fprintf(stderr, "cannot go back to the own network namespace\n");
			ok = false;
		}
		close(home);
	}
	return ok;
}

int end_send(struct end *end, struct frame *const frames[], unsigned n)
{
	struct mmsghdr messages[BURST];
	struct iovec vectors[BURST];
	int sent;

	memset(messages, 0, sizeof(messages));
	for (unsigned i = 0; i < n; i++) {
		vectors[i] = (struct iovec){ frames[i]->data, frames[i]->len };
		messages[i].msg_hdr.msg_iov = &vectors[i];
		messages[i].msg_hdr.msg_iovlen = 1;
	}
	sent = sendmmsg(end->fd, messages, n, MSG_DONTWAIT);
	return sent >= 0 ? sent : -errno;
}

/* Put the tag back that the kernel took out of the frame. */
static void restore_tag(struct frame *frame, struct msghdr *header)
{
	struct tpacket_auxdata aux;
	uint16_t tag[2];
	struct cmsghdr *control;

	for (control = CMSG_FIRSTHDR(header); control != NULL;
	     control = CMSG_NXTHDR(header, control)) {
		if (control->cmsg_level != SOL_PACKET || control->cmsg_type != PACKET_AUXDATA)
			continue;
		memcpy(&aux, CMSG_DATA(control), sizeof(aux));
		if (!(aux.tp_status & TP_STATUS_VLAN_VALID) || frame->len < 12)
			return;
		tag[0] = htons(aux.tp_status & TP_STATUS_VLAN_TPID_VALID ? aux.tp_vlan_tpid :
									   ETH_P_8021Q);
		tag[1] = htons(aux.tp_vlan_tci);
		memmove(frame->room, frame->data, 12);
		memcpy(frame->room + 12, tag, TAG_LEN);
		frame->data = frame->room;
		frame->len += TAG_LEN;
	}
}

int end_receive(struct end *end, struct frame frames[BURST])
{
	_Alignas(struct cmsghdr) char control[BURST][CMSG_SPACE(sizeof(struct tpacket_auxdata))];
	struct mmsghdr messages[BURST];
	struct iovec vectors[BURST];
	int got;

	memset(messages, 0, sizeof(messages));
	for (unsigned i = 0; i < BURST; i++) {
		frames[i].data = frames[i].room + TAG_LEN;
		vectors[i] = (struct iovec){ frames[i].data, FRAME_MAX };
		messages[i].msg_hdr = (struct msghdr){
			.msg_iov = &vectors[i],
			.msg_iovlen = 1,
			.msg_control = control[i],
			.msg_controllen = sizeof(control[i]),
		};
	}
	got = recvmmsg(end->fd, messages, BURST, MSG_DONTWAIT, NULL);
	if (got < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	for (int i = 0; i < got; i++) {
		frames[i].len = messages[i].msg_len;
		restore_tag(&frames[i], &messages[i].msg_hdr);
	}
	return got;
}

bool end_is_gone(int error)
{
	return error == -ENETDOWN || error == -ENXIO || error == -ENODEV;
}
