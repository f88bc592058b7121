/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The scenarios of the kernel's own test of AF_XDP, as this library's user meets them: over v0 ---- v1 (see
 * veth.h), each once with a native program and once with an SKB one. The common set-up: 4096 packets of 64
 * bytes, 1024 frames of 4096 bytes at each end, rings of 2048 entries, bursts of 64. Whoever receives checks
 * order, every byte, and where in the frame the packet lies.
 *
 *     SCENARIO(suite, name)
 *     {
 *             struct scenario s = begin(attach, NULL, NULL);
 *             ...
 *             finish(&s);
 *     }
 */
#ifndef SXSK_TEST_SCENARIOS_H
#define SXSK_TEST_SCENARIOS_H

#include "veth.h"

#define PACKETS 4096u
#define PACKET_LEN 64u
#define BATCH 64u
#define PATIENCE_MS 20000

/* Two tests; `attach` is how the programs are to be attached. */
#define SCENARIO(suite, name)                                                                      \
	static void name(uint32_t attach);                                                         \
	Test(suite, name##_native)                                                                 \
	{                                                                                          \
		name(SXSK_ATTACH_NATIVE);                                                          \
	}                                                                                          \
	Test(suite, name##_skb)                                                                    \
	{                                                                                          \
		name(SXSK_ATTACH_SKB);                                                             \
	}                                                                                          \
	static void name(uint32_t attach)

/* One end of the cable. */
struct end {
	struct sxsk_pool *pool;
	struct sxsk_socket *socket;
	uint32_t headroom; /* where received data has to start */
	const char *ifname;
	struct sxsk_socket_opts opts;
};

struct scenario {
	struct end a, b;
};

/* Options of the set-up; change what the scenario is about. */
struct sxsk_pool_opts pool_options(void);
struct sxsk_socket_opts socket_options(uint32_t attach);

/* Both ends with these options; NULL: those of the set-up. */
struct scenario begin(uint32_t attach, const struct sxsk_pool_opts *pool,
		      const struct sxsk_socket_opts *socket);
struct end open_end(const char *ifname, const struct sxsk_pool_opts *pool,
		    const struct sxsk_socket_opts *socket);
/* Close it, with nothing left: no frame in a Buf or in transmission, none refused, none missing. */
void close_end(struct end *end);
void finish(struct scenario *s);
void close_socket(struct end *end);
void reopen_socket(struct end *end);

/* Packets in one direction, numbered from 0; longer ones than a frame on multi-buffer sockets. */
struct stream {
	uint32_t count, length;
	uint32_t sent, received;
	unsigned batch; /* 0: BATCH */
};

/* Bytes [from, from + n) of a packet: a header with its number, and a pattern that depends on it too. */
void fill_bytes(unsigned char *p, uint32_t number, uint32_t from, uint32_t n);
/* A packet of this number and length, ready to be sent: in one Buf, or in as many as it takes. */
struct sxsk_buf make_packet(struct sxsk_pool *pool, uint32_t number, uint32_t length);
unsigned make_bufs(struct sxsk_pool *pool, struct sxsk_buf bufs[SXSK_MAX_FRAGS], uint32_t number,
		   uint32_t length);
/* Give so many packets to tx_burst, once: how many were taken (the others are given back). */
unsigned send_batch(struct end *from, struct stream *s, unsigned n);
/* Receive what is there, and check it. Returns how many packets of the stream. */
unsigned receive_batch(struct end *to, struct stream *s);
void receive_until(struct end *to, struct stream *s, uint32_t received);
/* The whole stream: a batch is sent when the last one has arrived. The sender kicks meanwhile. */
void pass(struct end *from, struct end *to, struct stream *s);
/* All frames are home, after completions. */
void settle(struct end *end);

#endif
