/* SPDX-License-Identifier: BSD-2-Clause */
#include "decode.h"

#include <string.h>

static const char *type_name(unsigned type)
{
	switch (type) {
	case 0x0800:
		return "IPv4";
	case 0x0806:
		return "ARP";
	case 0x8100:
		return "802.1Q";
	case 0x86dd:
		return "IPv6";
	case 0x88a8:
		return "802.1Q-QinQ";
	case 0x88cc:
		return "LLDP";
	default:
		return "Unknown";
	}
}

static void print_line(const unsigned char *frame, uint32_t n)
{
	uint32_t at = 12; /* of the type; behind each tag there is another one */
	unsigned type;

	if (n < 14) {
		printf("[|ether] length %u", n);
		return;
	}
	print_mac("", frame + 6);
	print_mac(" > ", frame);
	for (;; at += 4) {
		type = be16(frame + at);
		if (type <= 1500)
			printf(", 802.3");
		else
			printf(", ethertype %s (0x%04x)", type_name(type), type);
		printf(at == 12 ? ", length %u: " : ", ", n);
		if ((type != 0x8100 && type != 0x88a8) || n < at + 6)
			break;
		printf("vlan %u, p %u", be16(frame + at + 2) & 0xfffu, frame[at + 2] / 32);
	}
	decode_payload(type, frame + at + 2, n - at - 2);
}

static void print_hex(const unsigned char *frame, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		if (i % 16 == 0)
			printf("\n\t0x%04x: ", i);
		printf(i % 2 ? "%02x" : " %02x", frame[i]);
	}
}

/* Most packets are one Buf, and read where they are. */
void decode(const struct sxsk_buf bufs[], unsigned n, bool hex)
{
	static unsigned char room[SXSK_MAX_FRAGS * 4096];
	const unsigned char *frame = n > 1 ? room : sxsk_buf_data(bufs[0]);
	uint32_t bytes = 0;

	for (unsigned i = 0; i < n; i++) {
		if (n > 1)
			memcpy(room + bytes, sxsk_buf_data(bufs[i]), sxsk_buf_len(bufs[i]));
		bytes += sxsk_buf_len(bufs[i]);
	}
	print_line(frame, bytes);
	if (hex)
		print_hex(frame, bytes);
	printf("\n");
}
