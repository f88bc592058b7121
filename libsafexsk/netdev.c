/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two requests of generic netlink, each one message there and one back: which number the family "netdev"
 * has, then what it knows of an interface. (libbpf 1.1 does not ask for these features yet.)
 */
#include "netdev.h"
#include "metadata.h"

#include <errno.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* linux/netdev.h, which came after the headers that this has to compile with */
#define FAMILY "netdev"
#define CMD_DEV_GET 1
#define DEV_IFINDEX 1
#define DEV_ZC_MAX_SEGS 4
#define DEV_RX_METADATA 5
#define DEV_XSK 6

#define ANSWER_MAX 8192u
#define ATTR_HEAD 4u /* NLA_HDRLEN, which is signed */

struct request {
	struct nlmsghdr nl;
	struct genlmsghdr genl;
	struct nlattr attr;
	char value[8];
};

struct answer {
	_Alignas(struct nlmsghdr) char bytes[ANSWER_MAX];
	size_t len;
};

static uint32_t padded(uint32_t len)
{
	return (len + NLA_ALIGNTO - 1u) & ~(NLA_ALIGNTO - 1u);
}

/* One attribute there, the answer back. */
static int ask(int fd, uint16_t family, uint8_t command, uint16_t attr, const void *value,
	       uint16_t len, struct answer *ret_answer)
{
	struct request r = {
		.nl = { .nlmsg_len = NLMSG_LENGTH(GENL_HDRLEN) + ATTR_HEAD + padded(len),
			.nlmsg_type = family,
			.nlmsg_flags = NLM_F_REQUEST },
		.genl = { .cmd = command, .version = 1 },
		.attr = { .nla_len = (uint16_t)(ATTR_HEAD + len), .nla_type = attr },
	};
	struct nlmsghdr *nl = (struct nlmsghdr *)ret_answer->bytes;
	ssize_t n;

	memcpy(r.value, value, len);
	if (send(fd, &r, r.nl.nlmsg_len, 0) < 0)
		return -errno;
	do
		n = recv(fd, ret_answer->bytes, sizeof(ret_answer->bytes), 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if ((size_t)n < sizeof(*nl) || nl->nlmsg_len > (size_t)n)
		return -EPROTO;
	if (nl->nlmsg_type == NLMSG_ERROR)
		return nl->nlmsg_len < NLMSG_LENGTH(sizeof(struct nlmsgerr)) ?
			       -EPROTO :
			       ((const struct nlmsgerr *)NLMSG_DATA(nl))->error;
	if (nl->nlmsg_len < NLMSG_LENGTH(GENL_HDRLEN))
		return -EPROTO;
	ret_answer->len = nl->nlmsg_len;
	return 0;
}

/* An attribute's value as a number; 0 where it is missing or shorter. */
static uint64_t number(const struct answer *a, uint16_t attr, size_t len)
{
	size_t at = NLMSG_LENGTH(GENL_HDRLEN);
	uint64_t value = 0;

	while (at + ATTR_HEAD <= a->len) {
		const struct nlattr *found = (const struct nlattr *)(a->bytes + at);

		if (found->nla_len < ATTR_HEAD || at + found->nla_len > a->len)
			break;
		if ((found->nla_type & NLA_TYPE_MASK) == attr &&
		    found->nla_len >= ATTR_HEAD + len) {
			uint16_t u16;
			uint32_t u32;

			memcpy(&u16, a->bytes + at + ATTR_HEAD, sizeof(u16));
			if (len == sizeof(u16))
				return u16;
			memcpy(&u32, a->bytes + at + ATTR_HEAD, sizeof(u32));
			if (len == sizeof(u32))
				return u32;
			memcpy(&value, a->bytes + at + ATTR_HEAD, sizeof(value));
			return value;
		}
		at += padded(found->nla_len);
	}
	return 0;
}

int sxsk_priv_netdev_get(uint32_t ifindex, struct sxsk_priv_netdev *ret_features)
{
	const int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
	struct answer answer;
	uint16_t family;
	int err;

	if (fd < 0)
		return -errno;
	err = ask(fd, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, CTRL_ATTR_FAMILY_NAME, FAMILY,
		  sizeof(FAMILY), &answer);
	if (!err) {
		family = (uint16_t)number(&answer, CTRL_ATTR_FAMILY_ID, sizeof(family));
		err = ask(fd, family, CMD_DEV_GET, DEV_IFINDEX, &ifindex, sizeof(ifindex), &answer);
	}
	if (!err)
		*ret_features = (struct sxsk_priv_netdev){
			.rx_metadata = number(&answer, DEV_RX_METADATA, sizeof(uint64_t)),
			.xsk = number(&answer, DEV_XSK, sizeof(uint64_t)),
			.zc_max_segs = (uint32_t)number(&answer, DEV_ZC_MAX_SEGS, sizeof(uint32_t)),
		};
	close(fd);
	return err;
}

int sxsk_priv_zerocopy_check(struct sxsk_priv_socket *s, uint32_t ifindex)
{
	static const struct {
		uint32_t what;
		uint64_t feature;
		const char *name;
	} requests[] = {
		{ SXSK_METADATA_TX_TIMESTAMP, NETDEV_TX_TIMESTAMP, "timestamps" },
		{ SXSK_METADATA_TX_CHECKSUM, NETDEV_TX_CHECKSUM, "checksums" },
		{ SXSK_METADATA_TX_LAUNCH, NETDEV_TX_LAUNCH, "launch times" },
	};
	struct sxsk_priv_netdev driver = { 0 };
	int err;

	if (s->mode != SXSK_MODE_ZEROCOPY ||
	    !(s->metadata & METADATA_TX || s->flags & SXSK_SOCKET_MULTI_BUFFER))
		return 0;
	err = sxsk_priv_netdev_get(ifindex, &driver);
	if (err && err != -ENOENT &&
	    s->metadata & METADATA_TX) /* before Linux 6.3 no driver has any */
		return sxsk_priv_fail(-err, "cannot ask what the driver of %s does for packets",
				      s->q->device.name);
	if (driver.zc_max_segs && driver.zc_max_segs < s->tx_most)
		s->tx_most = driver.zc_max_segs;
	for (unsigned i = 0; i < sizeof(requests) / sizeof(requests[0]); i++)
		if (s->metadata & requests[i].what && !(driver.xsk & requests[i].feature))
			return sxsk_priv_fail(
				EOPNOTSUPP,
				"the driver of %s has no %s for packets in zero-copy mode: open "
				"without, or with SXSK_MODE_COPY",
				s->q->device.name, requests[i].name);
	return 0;
}
