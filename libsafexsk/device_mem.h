/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The in-process device's objects: a cable with two ends, each the kernel side of one socket.
 *
 *     socket 0                    cable                     socket 1
 *    TX   ---------->  end 0                  end 1  <----------  TX
 *    COMP <----------    |    copy, under       |    ---------->  COMP
 *    FILL ---------->    |<-- the cable's   --->|    <----------  FILL
 *    RX   <----------    |    lock              |    ---------->  RX
 *
 * A kick runs in the sender's thread, and moves packets from its end into the other one's rings.
 * device_mem.c opens, closes and finds cables; mem_wire.c is what happens on them.
 */
#ifndef SXSK_PRIV_DEVICE_MEM_H
#define SXSK_PRIV_DEVICE_MEM_H

#include "internal.h"

#include <safexsk/mem.h>

/* Missing in the headers of Linux 6.1. */
#ifndef XDP_PKT_CONTD
#define XDP_PKT_CONTD (1 << 0)
#endif
#ifndef XDP_TX_METADATA
#define XDP_TX_METADATA (1 << 1)
#endif

#define MEM_FRAGS 18u  /* descriptors of one packet: MAX_SKB_FRAGS and the linear part */
#define MEM_RECENT 16u /* posted earlier, to be posted again */
#define MEM_MTU 65535u

/* A ring from the device's side. The user's words are read when needed and never believed beyond the
 * mask; the device's own position is here and only published there. */
struct mem_ring {
	unsigned char *base; /* of the mapping, which the user shares */
	atomic_u32 *producer, *consumer, *flags;
	void *entries;
	uint32_t size, mask;
	uint32_t prod, cons;
	uint32_t published; /* of them the device's own, as the user was told */
	bool wrong;         /* the user was told something else */
};

/* What it takes to lie, see enum sxsk_mem_fault. */
struct mem_liar {
	bool on;
	uint64_t random;
	uint32_t one_in[SXSK_MEM_FAULTS];
	uint64_t told[SXSK_MEM_FAULTS];
	struct xdp_desc rx[MEM_RECENT];
	uint64_t comp[MEM_RECENT];
	uint32_t n_rx, n_comp; /* ever; the slot is modulo MEM_RECENT */
};

/* All but the counters: under the cable's lock. */
struct mem_end {
	struct mem_cable *cable;
	struct sxsk_priv_socket *socket; /* NULL: this end is not open */
	uint64_t id; /* its identity, kept while it is closed and the other end open; 0 = none yet */
	bool bound;
	bool receiving; /* bound, and takes packets */
	bool taken;     /* somebody else plays the kernel: hands off */
	bool dropping;  /* up to the end of this packet, which was found invalid */
	struct mem_ring rx, tx, fill, comp;
	struct xdp_desc held[MEM_FRAGS]; /* taken from TX, the packet's end has not come */
	uint32_t n_held;
	uint64_t spare[MEM_FRAGS]; /* taken from FILL and not used: the kernel's free list */
	uint32_t n_spare;
	struct mem_liar liar;
	/* Written under the lock, read by anybody. */
	atomic_u64 rx_dropped, tx_invalid, rx_full, fill_empty, tx_empty;
};

/* Type-stable: a cable whose ends are both closed waits for reuse, so that whoever still has a pointer
 * to an end finds an end. */
struct mem_cable {
	pthread_mutex_t lock;
	struct mem_cable *next; /* of the live, or of the unused; under the world's lock */
	uint32_t queue;
	char name[64]; /* with its "mem:" */
	atomic_u32 down, removed;
	struct mem_end end[2];
};

/* Send what is in TX, as sendto(2) does. Under the lock. */
int sxsk_priv_mem_transmit(struct mem_end *from, struct mem_end *to);
/* See sxsk_mem_set_faults(); `on` false: no lies. */
void sxsk_priv_mem_lie(struct mem_end *e, const struct sxsk_mem_faults *faults, bool on);
/* Make the end's socket readable: something happened. Under the lock. */
void sxsk_priv_mem_notify(const struct mem_end *e);

#endif
