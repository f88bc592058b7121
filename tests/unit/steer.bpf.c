/* SPDX-License-Identifier: BSD-2-Clause */
/* XDP programs as users write them, for tests of programs from an object file. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u32);
} sockets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u32);
} forgotten SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} counter SEC(".maps");

/* Of this test's packets? EtherType 0x88b5. */
static __always_inline unsigned char *ours(struct xdp_md *ctx, int bytes)
{
	unsigned char *p = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;

	if (p + bytes > end || p[12] != 0x88 || p[13] != 0xb5)
		return NULL;
	return p;
}

SEC("xdp.frags")
int all(struct xdp_md *ctx)
{
	return bpf_redirect_map(&sockets, ctx->rx_queue_index, XDP_PASS);
}

/* By the packet's number: odd ones are dropped. */
SEC("xdp.frags")
int half(struct xdp_md *ctx)
{
	unsigned char *p = ours(ctx, 18);

	if (!p || p[14] & 1)
		return XDP_DROP;
	return bpf_redirect_map(&sockets, ctx->rx_queue_index, XDP_PASS);
}

/* Odd ones to entry 1. */
SEC("xdp.frags")
int turns(struct xdp_md *ctx)
{
	unsigned char *p = ours(ctx, 18);

	return p ? bpf_redirect_map(&sockets, p[14] & 1, XDP_PASS) : XDP_PASS;
}

SEC("xdp.frags")
int shrink(struct xdp_md *ctx)
{
	if (!ours(ctx, 18) || bpf_xdp_adjust_tail(ctx, -20))
		return XDP_DROP;
	return bpf_redirect_map(&sockets, ctx->rx_queue_index, XDP_PASS);
}

SEC("xdp.frags")
int grow(struct xdp_md *ctx)
{
	if (!ours(ctx, 18) || bpf_xdp_adjust_tail(ctx, 20))
		return XDP_DROP;
	return bpf_redirect_map(&sockets, ctx->rx_queue_index, XDP_PASS);
}

/* The packet's number, and a count of packets, before the data. */
SEC("xdp.frags")
int remark(struct xdp_md *ctx)
{
	__u32 zero = 0, *count = bpf_map_lookup_elem(&counter, &zero), *meta;
	unsigned char *p;

	if (!count || bpf_xdp_adjust_meta(ctx, -8))
		return XDP_DROP;
	p = ours(ctx, 18);
	meta = (void *)(long)ctx->data_meta;
	if (!p || (void *)(meta + 2) > (void *)(long)ctx->data)
		return XDP_DROP;
	meta[0] = p[14] | p[15] << 8;
	meta[1] = (*count)++;
	return bpf_redirect_map(&sockets, ctx->rx_queue_index, XDP_PASS);
}

SEC("xdp.frags")
int mapless(struct xdp_md *ctx)
{
	return XDP_PASS;
}

SEC("xdp.frags")
int unbounded(struct xdp_md *ctx)
{
	return ((unsigned char *)(long)ctx->data)[0];
}

SEC("tc")
int classifier(struct __sk_buff *skb)
{
	return 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";
