/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fuzzing of call sequences, with a kernel side that lies. Bytes are decoded to calls; a shadow model says
 * what each call has to return, which frames it moves, and how often misuse is noticed. After every call
 * each frame's word is compared with the model's, so that a frame is always accounted for, and bytes of
 * held frames with a copy of their own.
 *
 *    engine.c   the world: bytes to calls, what holds after every call, the end of an input
 *    model.c    the shadow: frames, references, what a list of descriptors or completions comes to
 *    bufs.c     calls on handles and pools        sockets.c   calls on sockets
 *    kernel.c   the lies: faults of the device, and the harness as the kernel of rings that it took
 *    main.c     inputs by a seed and from files, for who has no libFuzzer
 */
#ifndef SXSK_FUZZ_H
#define SXSK_FUZZ_H

#include "device_mem.h"
#include "frame.h"
#include "frame_inner.h"

#include <errno.h>
#include <safexsk/mem.h>
#include <safexsk/metadata.h>
#include <safexsk/safexsk.h>
#include <stdlib.h>
#include <string.h>

#define POOLS 3u
#define SOCKETS 4u
#define CABLES 2u
#define HANDLES 64u
#define FRAMES 128u    /* in a pool, at most */
#define RING_MOST 256u /* entries that a ring may have */
#define RECORDS 64u    /* queues that were closed */

/* ---- the shadow --------------------------------------------------------------------------------------- */

enum where {
	FREE, /* in the depot, a stock or a lane */
	HELD, /* by users, or by transmissions that a ledger knows */
	FILLED,
	TX1,
	QUARANTINED,
	RETIRED,
};

struct f_frame {
	uint64_t generation; /* shifted, as in a word */
	enum where where;
	uint32_t queue; /* FILLED, TX1, QUARANTINED */
	uint32_t users;
	uint32_t tx[SOCKETS]; /* transmissions in the ledger of each socket's queue */
	uint32_t note;        /* the queue that a suspect waits for */
	bool suspect;
	bool tainted; /* the kernel side has it as well, by a lie that cannot be told: bytes may change */
};

struct f_pool {
	struct sxsk_pool *cookie; /* NULL: not alive */
	struct sxsk_priv_pool *in;
	uint32_t owners, sockets;
	bool lied_to; /* by a kernel side, ever */
	struct f_frame frame[FRAMES];
	unsigned char *bytes; /* what the frames of users contain */
};

struct f_socket {
	struct sxsk_socket *cookie; /* NULL: closed */
	struct sxsk_priv_socket *in;
	struct f_pool *pool;
	uint32_t cable, queue_id, flags;
	bool taken; /* the harness is its kernel */
	bool lied, poisoned, endless;
	bool rewound; /* the harness moved FILL's consumer index */
	struct sxsk_mem_rings k;
	uint32_t filled;  /* FILL's producer, as far as the model has seen it */
	uint32_t word[4]; /* what the library wrote into RX, TX, FILL, COMPLETION before this call */
	uint64_t counted[3]; /* rx_refused, rx_broken, comp_refused before this call */
};

/* A closed queue whose frames wait. */
struct f_record {
	bool active;
	uint32_t queue;
	struct f_pool *pool;
	uint64_t pool_cookie;
	struct sxsk_priv_device_id device;
};

struct f_world {
	const uint8_t *data, *end;
	struct f_pool pool[POOLS];
	struct f_socket socket[SOCKETS];
	struct f_record record[RECORDS];
	struct sxsk_buf handle[HANDLES];
	struct sxsk_pool *stale_pool;
	struct sxsk_socket *stale_socket;
	uint64_t misuse; /* expected so far */
	uint64_t operations;
	const char *name; /* of the call */
	FILE *null;
};

extern struct f_world fw;
extern uint64_t fuzz_operations; /* of all inputs */

/* ---- engine.c ----------------------------------------------------------------------------------------- */

void broken(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn, cold));
#define expect(condition, ...)                                                                     \
	do {                                                                                       \
		if (__builtin_expect(!(condition), 0))                                             \
			broken(__VA_ARGS__);                                                       \
	} while (0)

static inline uint32_t byte(void)
{
	return fw.data < fw.end ? *fw.data++ : 0;
}

static inline uint32_t two_bytes(void)
{
	uint32_t b = byte();

	return b << 8 | byte();
}

/* The generator of random inputs knows how many calls there are. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- model.c ------------------------------------------------------------------------------------------ */

struct f_pool *model_pool_of(struct sxsk_buf b); /* NULL: none alive in that slot */
struct f_frame *model_frame(struct sxsk_buf b);  /* NULL: the handle is not live */
uint32_t model_tx(const struct f_frame *f);
bool model_live(struct sxsk_buf b);
bool model_unique(struct sxsk_buf b);
bool model_in_chunk(struct sxsk_buf b);
uint64_t model_word(const struct f_frame *f, uint64_t actual);
/* One reference goes; misuse is expected when there is none. False: it was misuse. */
bool model_unref(struct sxsk_buf b);
/* The last transmission or reference went. */
void model_finish(struct f_frame *f);
void model_suspect(struct f_frame *f, uint32_t queue);
/* A frame comes to a user: its bytes from now on are his. */
void model_own(struct f_pool *p, uint32_t index, const struct f_socket *s);
void model_bytes(struct f_pool *p, uint32_t index);
/* The frames that came into FILL since the model last looked. */
void model_filled(struct f_socket *s);
/* Descriptors [at, end) of RX went to these Bufs. */
void model_receive(struct f_socket *s, uint32_t at, uint32_t end, uint32_t seen,
		   const struct sxsk_buf bufs[], uint32_t n);
/* n completions were taken. */
void model_complete(struct f_socket *s, const uint64_t *comp, uint32_t n);
/* What a call may have done whose order is its own affair: wait, drain, open, close. */
struct f_permit {
	bool completions; /* of this pool's sockets */
	const struct f_socket *closing;
	uint32_t closing_queue;
	bool suspects; /* a kernel side named frames */
};
void model_adopt(struct f_pool *p, const struct f_permit *permit);
void model_released(void);
void model_compare(struct f_pool *p);
void model_totals(struct f_pool *p);

/* ---- calls -------------------------------------------------------------------------------------------- */

struct sxsk_buf *pick(void);
struct f_pool *pick_pool(struct sxsk_pool **ret_cookie);
struct f_socket *pick_socket(struct sxsk_socket **ret_cookie);
struct sxsk_buf *room_for_handle(void);
void keep(const struct sxsk_buf bufs[], uint32_t n);

void read_time(struct sxsk_buf b);

typedef void op_fn(void);
op_fn op_pool_create, op_pool_ref, op_pool_unref, op_pool_alloc, op_pool_stats, op_pool_report,
	op_pool_drain, op_lane_attach, op_lane_flush, op_lane_detach;
op_fn op_data, op_write, op_ref, op_unref, op_unref_burst, op_copy, op_unshare, op_view, op_user,
	op_forge, op_metadata, op_duplicate_handle;
op_fn op_open, op_close, op_receive, op_send, op_send_made, op_send_timed, op_reap, op_wait,
	op_error, op_socket_stats, op_wake;
op_fn op_faults, op_truth, op_link, op_remove, op_take_rings, op_kernel_receive, op_kernel_transmit,
	op_kernel_rx, op_kernel_comp, op_kernel_index;

void pool_open(uint32_t slot, uint32_t kind);
void pool_settle(struct f_pool *p); /* did it die? */
void socket_open(uint32_t slot, struct f_pool *p, struct sxsk_pool *cookie, uint32_t cable,
		 uint32_t flags, uint32_t sizes);
void socket_close(struct f_socket *s);

#endif
