/* SPDX-License-Identifier: BSD-2-Clause */
/* Which cases there are, and their variants. */
#include "variants.h"

static const struct variant receive_free[] = {
	{ "floor", bench_raw_open, bench_floor_run, bench_raw_close, NULL },
	{ "raw", bench_raw_open, bench_raw_run, bench_raw_close, NULL },
	{ "raw-list", bench_raw_open, bench_raw_list_run, bench_raw_close, NULL },
	{ "raw-list-again", bench_raw_open, bench_raw_list_run, bench_raw_close, NULL },
	{ "arc", bench_raw_open, bench_arc_run, bench_raw_close, NULL },
	{ "sxsk", bench_sxsk_open_lane, bench_sxsk_run, bench_sxsk_close, NULL },
	{ "sxsk-nolane", bench_sxsk_open, bench_sxsk_run, bench_sxsk_close, NULL },
	{ "sxsk-single", bench_sxsk_open_lane, bench_sxsk_single_run, bench_sxsk_close, NULL },
	{ .name = NULL },
};

static const struct variant hand_over[] = {
	{ "floor", bench_raw_open, bench_floor_run, bench_raw_close, NULL },
	{ "raw", bench_handover_raw_open, bench_handover_raw_run, bench_handover_raw_close,
	  bench_handover_raw_serve },
	{ "raw-list", bench_handover_raw_open, bench_handover_raw_list_run,
	  bench_handover_raw_close, bench_handover_raw_serve },
	{ "raw-list-again", bench_handover_raw_open, bench_handover_raw_list_run,
	  bench_handover_raw_close, bench_handover_raw_serve },
	{ "arc", bench_handover_raw_open, bench_handover_arc_run, bench_handover_raw_close,
	  bench_handover_arc_serve },
	{ "sxsk", bench_handover_sxsk_open_lane, bench_handover_sxsk_run, bench_handover_sxsk_close,
	  bench_handover_sxsk_serve },
	{ "sxsk-nolane", bench_handover_sxsk_open, bench_handover_sxsk_run,
	  bench_handover_sxsk_close, bench_handover_sxsk_serve },
	{ .name = NULL },
};

/* What each level of sxsk_pool_opts.harden costs; each has race-safe in it. Poison works under
 * AddressSanitizer or Valgrind only, which cost more than it does. */
static const struct variant hardened[] = {
	{ "raw-list", bench_raw_open, bench_raw_list_run, bench_raw_close, NULL },
	{ "sxsk", bench_sxsk_open_lane, bench_sxsk_run, bench_sxsk_close, NULL },
	{ "race-safe", bench_sxsk_open_race_safe, bench_sxsk_run, bench_sxsk_close, NULL },
	{ "fifo", bench_sxsk_open_fifo, bench_sxsk_run, bench_sxsk_close, NULL },
	{ "history", bench_sxsk_open_history, bench_sxsk_run, bench_sxsk_close, NULL },
	{ "trace", bench_sxsk_open_trace, bench_sxsk_run, bench_sxsk_close, NULL },
	{ "canary", bench_sxsk_open_canary, bench_sxsk_run, bench_sxsk_close, NULL },
	{ "guard", bench_sxsk_open_guard, bench_sxsk_run, bench_sxsk_close, NULL },
	{ .name = NULL },
};

static const struct variant receive_transmit[] = {
	{ "floor", bench_raw_open, bench_send_floor_run, bench_raw_close, NULL },
	{ "raw", bench_raw_open, bench_send_raw_run, bench_raw_close, NULL },
	{ "raw-list", bench_raw_open, bench_send_raw_list_run, bench_raw_close, NULL },
	{ "raw-list-again", bench_raw_open, bench_send_raw_list_run, bench_raw_close, NULL },
	{ "arc", bench_raw_open, bench_send_arc_run, bench_raw_close, NULL },
	{ "sxsk", bench_sxsk_open_lane, bench_send_sxsk_run, bench_sxsk_close, NULL },
	{ "sxsk-nolane", bench_sxsk_open, bench_send_sxsk_run, bench_sxsk_close, NULL },
	{ .name = NULL },
};

static const struct variant allocate_transmit[] = {
	{ "floor", bench_raw_open, bench_make_floor_run, bench_raw_close, NULL },
	{ "raw", bench_raw_open, bench_make_raw_run, bench_raw_close, NULL },
	{ "raw-list", bench_raw_open, bench_make_raw_list_run, bench_raw_close, NULL },
	{ "raw-list-again", bench_raw_open, bench_make_raw_list_run, bench_raw_close, NULL },
	{ "arc", bench_raw_open, bench_make_arc_run, bench_raw_close, NULL },
	{ "sxsk", bench_sxsk_open_lane, bench_make_sxsk_run, bench_sxsk_close, NULL },
	{ "sxsk-nolane", bench_sxsk_open, bench_make_sxsk_run, bench_sxsk_close, NULL },
	{ .name = NULL },
};

/* The field that most cases do not set stays 0. What is not one of the first two cases is looked at in one
 * cell, unless more is asked for. */
#define ONE_CELL .burst = 64, .frames = 4096
#define ALL_CELLS .burst = 0

const struct bench_case bench_cases[] = {
	{ "receive-free", "receive, swap MACs, free, refill", 1, WORK_SWAP, receive_free,
	  ALL_CELLS },
	{ "hand-over", "receive in one thread, swap MACs and free in another", 2, WORK_SWAP,
	  hand_over, ALL_CELLS },
	{ "receive-transmit", "receive, swap MACs, send back, reap, refill", 1, WORK_SEND,
	  receive_transmit, ONE_CELL },
	{ "allocate-transmit", "allocate, write MACs, send, reap", 1, WORK_WRITE, allocate_transmit,
	  ONE_CELL },
	{ "hardened", "receive-free with each level of hardening", 1, WORK_SWAP, hardened, ONE_CELL,
	  .repetitions = 4, .packets = 1 << 10, .one_cell = true },
	{ .name = NULL },
};
