/* SPDX-License-Identifier: BSD-2-Clause */
/* Packet bytes, through the inline accessors of the public header; compiled as the library is. */
#include "world.h"

static void touch(uint32_t index, bool write)
{
	int other;

	if (world.deaths)
		schedule_fail("frame %u: its memory is gone", index);
	other = memory_touch(schedule_thread(), &world.data[index], 4, write);
	if (other >= 0)
		schedule_fail("data race on the bytes of frame %u with thread %c", index,
			      'A' + other);
}

void world_write(struct sxsk_buf b, uint32_t value)
{
	uint32_t index = sxsk_buf_index(b);

	if (!sxsk_buf_data_mut(b))
		schedule_fail("the only owner of frame %u may not write", index);
	touch(index, true);
	world.data[index] = value;
}

uint32_t world_read(struct sxsk_buf b, bool may)
{
	uint32_t index = sxsk_buf_index(b);

	if (!sxsk_buf_data(b)) {
		if (!may)
			schedule_fail("an owner of frame %u may not read", index);
		return 0;
	}
	touch(index, false);
	return world.data[index];
}

void world_kernel(uint64_t address, bool write)
{
	uint32_t index = (uint32_t)(address >> 11);

	if (index >= FRAMES_MAX)
		schedule_fail("the kernel has address 0x%llx", (unsigned long long)address);
	touch(index, write);
}
