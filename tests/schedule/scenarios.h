/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SCHEDULE_SCENARIOS_H
#define SCHEDULE_SCENARIOS_H

#include "world.h"

/* Each ends with a scenario without a name. */
extern const struct scenario scenarios_refs[], scenarios_depot[], scenarios_socket[],
	scenarios_kernel[], scenarios_safe[];

/* At the end: fail when a thread sleeps for ever. */
void no_sleepers(uint32_t asleep);

#endif
