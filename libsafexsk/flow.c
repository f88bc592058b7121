/* SPDX-License-Identifier: BSD-2-Clause */
#include "bytes.h"

#include <arpa/inet.h>
#include <safexsk/flow.h>
#include <stdbool.h>
#include <string.h>

_Static_assert(sizeof(struct sxsk_flow) == 38, "no padding: its bytes are compared");

/* What is left of the packet. */
struct left {
	const unsigned char *p;
	uint32_t n;
};

/* Pass over n bytes, if they are there. */
static bool pass(struct left *l, uint32_t n)
{
	if (n > l->n)
		return false;
	l->p += n;
	l->n -= n;
	return true;
}

/* Whether what is above IP begins here. */
static bool pass_ipv4(struct left *l, struct sxsk_flow *flow)
{
	const unsigned char *p = l->p;

	if (l->n < 20 || p[0] / 16 != 4)
		return false;
	flow->version = 4;
	flow->protocol = p[9];
	memcpy(flow->address[0], p + 12, 4);
	memcpy(flow->address[1], p + 16, 4);
	/* The header's length, unless that is wrong; of fragments, the first. */
	return p[0] % 16 >= 5 && pass(l, p[0] % 16 * 4u) && !(be16(p + 6) & 0x1fff);
}

static bool pass_ipv6(struct left *l, struct sxsk_flow *flow)
{
	const unsigned char *p = l->p;
	bool first = true; /* or the only fragment */

	if (l->n < 40 || p[0] / 16 != 6)
		return false;
	flow->version = 6;
	flow->protocol = p[6];
	memcpy(flow->address, p + 8, 32);
	(void)pass(l, 40);
	for (p = l->p; first; p = l->p) {
		const bool fragment = flow->protocol == IPPROTO_FRAGMENT;
		uint32_t unit = 8;

		switch (flow->protocol) {
		case IPPROTO_AH:
			unit = 4;
			break;
		case IPPROTO_HOPOPTS:
		case IPPROTO_ROUTING:
		case IPPROTO_DSTOPTS:
		case IPPROTO_FRAGMENT:
			break;
		default:
			return true;
		}
		if (l->n < 8 || !pass(l, 8 + (fragment ? 0 : p[1] * unit)))
			return false;
		flow->protocol = p[0];
		first = !fragment || !(be16(p + 2) & 0xfff8);
	}
	return false;
}

void sxsk_flow_of(const void *packet, uint32_t len, struct sxsk_flow *ret_flow)
{
	struct left l = { packet, packet ? len : 0 };
	bool above = false;
	uint32_t type;

	memset(ret_flow, 0, sizeof(*ret_flow));
	if (!pass(&l, 12))
		return;
	do /* behind each tag there is another type */
		type = l.n >= 2 ? be16(l.p) : 0;
	while ((type == 0x8100 || type == 0x88a8) && pass(&l, 4));
	if (!pass(&l, 2))
		return;
	if (type == 0x0800)
		above = pass_ipv4(&l, ret_flow);
	else if (type == 0x86dd)
		above = pass_ipv6(&l, ret_flow);
	if (above && l.n >= 4 &&
	    (ret_flow->protocol == IPPROTO_TCP || ret_flow->protocol == IPPROTO_UDP))
		for (unsigned i = 0; i < 2; i++)
			ret_flow->port[i] = be16(l.p + 2 * i);
}

void sxsk_flow_print(const struct sxsk_flow *flow, FILE *out)
{
	char text[INET6_ADDRSTRLEN];

	if (flow->version == 0) {
		(void)fprintf(out, "not IP");
		return;
	}
	for (unsigned i = 0; i < 2; i++) {
		(void)fprintf(out, "%s%s", i ? " > " : "",
			      inet_ntop(flow->version == 6 ? AF_INET6 : AF_INET, flow->address[i],
					text, sizeof(text)));
		if (flow->port[i])
			(void)fprintf(out, ".%u", flow->port[i]);
	}
	(void)fprintf(out, ", protocol %u", flow->protocol);
}
