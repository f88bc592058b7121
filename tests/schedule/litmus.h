/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SCHEDULE_LITMUS_H
#define SCHEDULE_LITMUS_H

#include "engine.h"

/* True: the model shows exactly what C11 allows. */
bool litmus_run(const char *only);
/* True: the reduction loses no outcome of these programs. */
bool random_run(unsigned programs, uint64_t seed);

#endif
