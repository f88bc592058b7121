/* SPDX-License-Identifier: BSD-2-Clause */
#include <pcap.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define INSTRUCTIONS_MAX 4096

/* As in expressions.h, but for the type's name; the layout is one. */
struct sock_filter;
unsigned expression_compile(const char *expression, struct sock_filter *filter);
bool expression_matches(const struct sock_filter *filter, const unsigned char *packet, uint32_t n);

unsigned expression_compile(const char *expression, struct sock_filter *filter)
{
	pcap_t *handle = pcap_open_dead(DLT_EN10MB, 65535);
	struct bpf_program program;
	unsigned n = 0;

	if (handle && !pcap_compile(handle, &program, expression, 1, PCAP_NETMASK_UNKNOWN)) {
		if (program.bf_len <= INSTRUCTIONS_MAX) {
			n = program.bf_len;
			memcpy(filter, program.bf_insns, n * sizeof(*program.bf_insns));
		}
		pcap_freecode(&program);
	}
	if (handle)
		pcap_close(handle);
	return n;
}

bool expression_matches(const struct sock_filter *filter, const unsigned char *packet, uint32_t n)
{
	return bpf_filter((const struct bpf_insn *)(const void *)filter, packet, n, n) != 0;
}
