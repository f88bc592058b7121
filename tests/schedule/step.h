/* SPDX-License-Identifier: BSD-2-Clause */
/* A step of a schedule: between the engine, which says whose turn it is, and the operations. */
#ifndef SCHEDULE_STEP_H
#define SCHEDULE_STEP_H

#include "engine.h"

enum op_kind {
	OP_LOAD,
	OP_STORE,
	OP_UPDATE,
	OP_FENCE,
	OP_BARRIER,
	OP_LOCK,
	OP_UNLOCK,
	OP_AWAIT,
	OP_SIGNAL,
	OP_SLEEP,
};

/* How a step that was done commutes with others on its location. */
enum effect {
	DID_NOTHING,
	DID_READ,      /* commutes with the stores that it did not see */
	DID_READ_LAST, /* does not: a seq_cst load, a compare-and-swap that failed */
	DID_WRITE,
	DID_FENCE, /* against seq_cst operations */
	DID_ALL,   /* membarrier: commutes with nothing */
};

struct op {
	enum op_kind kind;
	int order;
	int location; /* -1: none */
	const char *function;
	int line;
	bool (*ready)(const void *);
	const void *arg;
};

/* A step of the schedule being walked, and what was and is still to be tried in its place. */
struct step {
	int thread;
	struct op op;
	enum effect effect;
	int choice, choices; /* which of the values that a load may return */
	uint64_t was, now;
	int read_step;                  /* whose store it saw; -1: none's */
	uint32_t happened[THREADS_MAX]; /* the steps that it depends on: the last, plus one, by thread */
	uint32_t enabled, backtrack, sleep;
	int floor[THREADS_MAX]; /* a load's values up to here were tried already; -1: none were */
};

/* The calling fiber is about to do an operation: returns its step when its turn has come. */
struct step *schedule_turn(struct op op);
/* The operation has been done. */
void schedule_done(struct step *s);
/* The step's number, for the values that it stores. */
int schedule_index(void);

#endif
