/* SPDX-License-Identifier: BSD-2-Clause */
#include "pump.h"

#define KERNEL_HEADROOM 256u

void pump_init(struct pump *p, const struct sxsk_mem_rings *rings)
{
	*p = (struct pump){
		.rings = *rings,
		.chunk_mask = ~(uint64_t)(rings->chunk - 1),
		.data = KERNEL_HEADROOM + rings->headroom,
		.length = PUMP_LENGTH,
	};
	if (rings->rx.producer) {
		p->fill_taken = *rings->fill.consumer;
		p->rx_posted = *rings->rx.producer;
	}
	if (rings->tx.producer) {
		p->tx_taken = *rings->tx.consumer;
		p->comp_posted = *rings->comp.producer;
	}
}

static inline __attribute__((always_inline)) unsigned receive(struct pump *p, unsigned n,
							      unsigned frames)
{
	const uint64_t *fill = p->rings.fill.entries;
	struct xdp_desc *rx = p->rings.rx.entries;
	uint32_t fill_mask = p->rings.fill.size - 1, rx_mask = p->rings.rx.size - 1;
	uint32_t length = p->length;
	uint32_t given = __atomic_load_n(p->rings.fill.producer, __ATOMIC_ACQUIRE) - p->fill_taken;
	uint32_t room = p->rings.rx.size -
			(p->rx_posted - __atomic_load_n(p->rings.rx.consumer, __ATOMIC_ACQUIRE));

	if (n > given)
		n = given;
	if (n > room)
		n = room;
	n -= n % frames;
	for (uint32_t i = 0; i < n; i++) {
		struct xdp_desc *desc = &rx[(p->rx_posted + i) & rx_mask];

		desc->addr = (fill[(p->fill_taken + i) & fill_mask] & p->chunk_mask) + p->data;
		desc->len = length;
		desc->options = (i + 1) % frames ? XDP_PKT_CONTD : 0;
	}
	p->fill_taken += n;
	p->rx_posted += n;
	__atomic_store_n(p->rings.fill.consumer, p->fill_taken, __ATOMIC_RELEASE);
	__atomic_store_n(p->rings.rx.producer, p->rx_posted, __ATOMIC_RELEASE);
	return n;
}

unsigned pump_packets(struct pump *p, unsigned n)
{
	return receive(p, n, 1);
}

unsigned pump_parts(struct pump *p, unsigned n, unsigned frames)
{
	return receive(p, n, frames);
}

unsigned pump_transmit(struct pump *p, unsigned n)
{
	const struct xdp_desc *tx = p->rings.tx.entries;
	uint64_t *comp = p->rings.comp.entries;
	uint32_t tx_mask = p->rings.tx.size - 1, comp_mask = p->rings.comp.size - 1;
	uint32_t given = __atomic_load_n(p->rings.tx.producer, __ATOMIC_ACQUIRE) - p->tx_taken;
	uint32_t room =
		p->rings.comp.size -
		(p->comp_posted - __atomic_load_n(p->rings.comp.consumer, __ATOMIC_ACQUIRE));

	if (n > given)
		n = given;
	if (n > room)
		n = room;
	for (uint32_t i = 0; i < n; i++)
		comp[(p->comp_posted + i) & comp_mask] = tx[(p->tx_taken + i) & tx_mask].addr;
	p->tx_taken += n;
	p->comp_posted += n;
	__atomic_store_n(p->rings.tx.consumer, p->tx_taken, __ATOMIC_RELEASE);
	__atomic_store_n(p->rings.comp.producer, p->comp_posted, __ATOMIC_RELEASE);
	return n;
}

uint32_t pump_fill_level(const struct pump *p)
{
	return *p->rings.fill.producer - p->fill_taken;
}
