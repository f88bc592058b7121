/* SPDX-License-Identifier: BSD-2-Clause */
/* The kernel's part: the device told to lie, and rings taken from it, on which the harness lies itself. */
#include "fuzz.h"

static struct f_socket *lying(void)
{
	struct sxsk_socket *cookie;
	struct f_socket *s = pick_socket(&cookie);

	if (s) {
		s->lied = true;
		s->pool->lied_to = true;
	}
	return s;
}

/* ---- the device's faults ---------------------------------------------------------------------------------- */

void op_faults(void)
{
	struct f_socket *s = lying();
	struct sxsk_mem_faults f = { .sz = sizeof(f), .seed = byte() };
	uint32_t n = 1 + byte() % 4;

	for (; n > 0; n--)
		f.one_in[byte() % SXSK_MEM_FAULTS] = 1u << (byte() & 3);
	if (s)
		expect(sxsk_mem_set_faults(s->cookie, &f) == 0, "faults: %s", sxsk_last_error());
}

void op_truth(void)
{
	struct sxsk_socket *cookie;
	struct f_socket *s = pick_socket(&cookie);
	int err = sxsk_mem_set_faults(cookie, NULL);

	expect(err == (s ? 0 : -EBADF), "the truth: %d", err);
	fw.misuse += s == NULL;
}

void op_link(void)
{
	struct sxsk_socket *cookie;
	struct f_socket *s = pick_socket(&cookie);

	if (s)
		expect(sxsk_mem_set_link(s->in->q->device.name, byte() & 3) <= 0, "link");
}

/* The next sockets of this cable are on a new device. */
void op_remove(void)
{
	struct sxsk_socket *cookie;
	struct f_socket *s = pick_socket(&cookie);

	if (!s || s->cable == CABLES || byte() & 0xf0)
		return;
	expect(sxsk_mem_remove(s->in->q->device.name) == 0, "remove: %s", sxsk_last_error());
	for (struct f_socket *other = fw.socket; other < fw.socket + SOCKETS; other++)
		if (other->cookie && strcmp(other->in->q->device.name, s->in->q->device.name) == 0)
			other->cable = CABLES; /* none that is opened any more */
}

/* ---- the harness as the kernel ------------------------------------------------------------------------------ */

static struct f_socket *taken(void)
{
	uint32_t b = byte();

	for (uint32_t i = 0; i < SOCKETS; i++) {
		struct f_socket *s = &fw.socket[(b + i) % SOCKETS];

		if (s->cookie && s->taken)
			return s;
	}
	return NULL;
}

void op_take_rings(void)
{
	struct sxsk_socket *cookie;
	struct f_socket *s = pick_socket(&cookie);

	if (!s || s->taken || byte() & 1)
		return;
	expect(sxsk_mem_take_rings(s->cookie, &s->k) == 0, "rings: %s", sxsk_last_error());
	s->taken = true;
	s->rewound = s->lied; /* the index that the device left may be a lie */
}

static void post_rx(struct f_socket *s, struct xdp_desc d)
{
	struct xdp_desc *rx = s->k.rx.entries;
	uint32_t at = *s->k.rx.producer;

	rx[at & (s->k.rx.size - 1)] = d;
	__atomic_store_n(s->k.rx.producer, at + 1, __ATOMIC_RELEASE);
}

static void post_comp(struct f_socket *s, uint64_t address)
{
	uint64_t *comp = s->k.comp.entries;
	uint32_t at = *s->k.comp.producer;

	comp[at & (s->k.comp.size - 1)] = address;
	__atomic_store_n(s->k.comp.producer, at + 1, __ATOMIC_RELEASE);
}

static uint32_t level(const struct sxsk_mem_ring *r)
{
	return *r->producer - *r->consumer;
}

/* As a kernel does: a chunk of FILL, its bytes, its descriptor. */
void op_kernel_receive(void)
{
	struct f_socket *s = taken();
	uint32_t n = 1 + byte() % 16, len = 14 + two_bytes() % 1700, how = byte();

	while (s && n-- > 0 && level(&s->k.fill) - 1u < s->k.fill.size &&
	       level(&s->k.rx) < s->k.rx.size) {
		uint64_t *fill = s->k.fill.entries;
		uint32_t at = *s->k.fill.consumer, most = s->k.chunk - 256 - s->k.headroom;
		uint64_t chunk = fill[at & (s->k.fill.size - 1)], offset = 256 + s->k.headroom;

		if (how & 1) /* a program moved the packet's head */
			offset -= how;
		most += how & 1 ? how : 0;
		len = len < most ? len : most;
		__atomic_store_n(s->k.fill.consumer, at + 1, __ATOMIC_RELEASE);
		if (chunk + s->k.chunk > s->k.umem_size)
			continue;
		/* After FILL's index was moved it may be a chunk that it had before. */
		if (!s->rewound || s->pool->frame[chunk / s->k.chunk].where == FILLED)
			memset(s->k.umem + chunk + offset, (int)at, len);
		post_rx(s,
			(struct xdp_desc){
				.addr = s->pool->in->shift ? chunk + offset : chunk | offset << 48,
				.len = len,
				.options = s->flags & SXSK_SOCKET_MULTI_BUFFER && how & 2 ?
						   XDP_PKT_CONTD :
						   0 });
	}
}

void op_kernel_transmit(void)
{
	struct f_socket *s = taken();
	uint32_t n = 1 + byte() % 32;

	while (s && n-- > 0 && level(&s->k.tx) - 1u < s->k.tx.size &&
	       level(&s->k.comp) < s->k.comp.size) {
		const struct xdp_desc *tx = s->k.tx.entries;
		uint32_t at = *s->k.tx.consumer;
		uint64_t address = tx[at & (s->k.tx.size - 1)].addr;

		__atomic_store_n(s->k.tx.consumer, at + 1, __ATOMIC_RELEASE);
		post_comp(s, address);
	}
}

/* An address that may be anything, and mostly is near a frame. */
static uint64_t wild_address(const struct f_socket *s)
{
	static const uint32_t offsets[] = { 256, 0, 10, 1, 2047, 0xffff, 300, 257 };
	uint32_t b = byte(), o = offsets[byte() & 7];
	uint64_t chunk = s->k.chunk, base = b % s->pool->in->count * chunk;

	o += o == 256 ? s->k.headroom : 0;
	if (b >= 0xf8)
		base = b == 0xff ? ~0ull - chunk : s->k.umem_size + (b - 0xf8) * chunk;
	if (!s->pool->in->shift && o & 1)
		return base | (uint64_t)o << 48;
	return base + o;
}

static struct f_socket *taken_and_lying(void)
{
	struct f_socket *s = taken();

	if (s) {
		s->lied = true;
		s->pool->lied_to = true;
	}
	return s;
}

void op_kernel_rx(void)
{
	static const uint32_t lengths[] = { 64, 0, 1, 1500, 4096, 4097, 0x10000, 0xffffffff };
	struct f_socket *s = taken_and_lying();
	uint32_t how = byte(), n = how & 0x80 ? 20 : 1 + (how >> 5 & 1);
	struct xdp_desc d;

	if (!s)
		return;
	d.addr = wild_address(s);
	d.len = lengths[how & 7];
	d.options = (how & 0x18) == 0x18 ? 0xffffffff : (how & 0x18) == 0x10 ? XDP_PKT_CONTD : 0;
	while (n-- > 0)
		post_rx(s, d);
}

void op_kernel_comp(void)
{
	struct f_socket *s = taken_and_lying();
	uint32_t n = 1 + byte() % 2;
	uint64_t address;

	if (!s)
		return;
	address = wild_address(s);
	while (n-- > 0)
		post_comp(s, address);
}

void op_kernel_index(void)
{
	static const uint32_t steps[] = { 1, -1u, 2, 8, 64, 65, -64u, 0x80000000u };
	struct f_socket *s = taken_and_lying();
	uint32_t which = byte(), by = steps[which >> 2 & 7];

	if (!s)
		return;
	if ((which & 3) == 0)
		*s->k.rx.producer += by;
	else if ((which & 3) == 1)
		*s->k.comp.producer += by;
	else if ((which & 3) == 2)
		*s->k.tx.consumer += by;
	else {
		*s->k.fill.consumer += by;
		s->rewound = true;
	}
}
