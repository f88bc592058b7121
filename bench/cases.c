/* SPDX-License-Identifier: BSD-2-Clause */
/* Which cases there are, and their variants. */
#include "variants.h"

/* A variant whose library is not here has a name and nothing else. */
#ifdef BENCH_DPDK
#define MBUF(open, run, close, serve)                                                              \
	{                                                                                          \
		"mbuf", open, run, close, serve, .peer = true                                      \
	}
#define DPDK_MISSING
#else
#define MBUF(...)                                                                                  \
	{                                                                                          \
		.name = "mbuf"                                                                     \
	}
#define DPDK_MISSING "mbuf: DPDK is not installed (Debian: libdpdk-dev). "
#endif
#ifdef BENCH_AVUTIL
#define AVBUFFER(run, serve)                                                                       \
	{                                                                                          \
		"avbuffer", bench_avbuffer_open, run, bench_avbuffer_close, serve, .slow = true,   \
										   .peer = true    \
	}
#define AVUTIL_MISSING
#else
#define AVBUFFER(...)                                                                              \
	{                                                                                          \
		.name = "avbuffer"                                                                 \
	}
#define AVUTIL_MISSING "avbuffer: FFmpeg's libavutil is not installed (Debian: libavutil-dev). "
#endif

const char bench_missing[] = "" DPDK_MISSING AVUTIL_MISSING;

static const struct variant receive_free[] = {
	{ "floor", bench_raw_open, bench_floor_run, bench_raw_close, NULL },
	{ "raw", bench_raw_open, bench_raw_run, bench_raw_close, NULL },
	{ "raw-list", bench_raw_open, bench_raw_list_run, bench_raw_close, NULL },
	{ "raw-list-again", bench_raw_open, bench_raw_list_run, bench_raw_close, NULL },
	{ "raw-list-ahead", bench_raw_open, bench_raw_list_ahead_run, bench_raw_close, NULL },
	{ "arc", bench_raw_open, bench_arc_run, bench_raw_close, NULL },
	{ "sxsk", bench_sxsk_open_lane, bench_sxsk_run, bench_sxsk_close, NULL },
	{ "sxsk-nolane", bench_sxsk_open, bench_sxsk_run, bench_sxsk_close, NULL },
	{ "sxsk-single", bench_sxsk_open_lane, bench_sxsk_single_run, bench_sxsk_close, NULL },
	MBUF(bench_mbuf_open, bench_mbuf_run, bench_mbuf_close, NULL),
	AVBUFFER(bench_avbuffer_run, NULL),
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
	MBUF(bench_handover_mbuf_open, bench_handover_mbuf_run, bench_handover_mbuf_close,
	     bench_handover_mbuf_serve),
	AVBUFFER(bench_handover_avbuffer_run, bench_handover_avbuffer_serve),
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
	MBUF(bench_mbuf_open, bench_send_mbuf_run, bench_mbuf_close, NULL),
	AVBUFFER(bench_send_avbuffer_run, NULL),
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
	MBUF(bench_mbuf_open, bench_make_mbuf_run, bench_mbuf_close, NULL),
	AVBUFFER(bench_make_avbuffer_run, NULL),
	{ .name = NULL },
};

static const struct variant fan_out[] = {
	{ "floor", bench_raw_open, bench_floor_run, bench_raw_close, NULL },
	{ "raw-list", bench_share_raw_open, bench_share_raw_list_run, bench_share_raw_close, NULL },
	{ "raw-list-again", bench_share_raw_open, bench_share_raw_list_run, bench_share_raw_close,
	  NULL },
	{ "raw-copy", bench_share_raw_open, bench_share_raw_copy_run, bench_share_raw_close, NULL },
	{ "arc", bench_share_raw_open, bench_share_arc_run, bench_share_raw_close, NULL },
	{ "sxsk", bench_sxsk_open_lane, bench_share_sxsk_run, bench_sxsk_close, NULL },
	{ "sxsk-nolane", bench_sxsk_open, bench_share_sxsk_run, bench_sxsk_close, NULL },
	{ "sxsk-copy", bench_sxsk_open_lane, bench_share_sxsk_copy_run, bench_sxsk_close, NULL },
	MBUF(bench_mbuf_open, bench_share_mbuf_run, bench_mbuf_close, NULL),
	AVBUFFER(bench_share_avbuffer_run, NULL),
	{ .name = NULL },
};

static const struct variant rewrite[] = {
	{ "floor", bench_raw_open, bench_floor_run, bench_raw_close, NULL },
	{ "raw-list", bench_share_raw_open, bench_rewrite_raw_list_run, bench_share_raw_close,
	  NULL },
	{ "raw-list-again", bench_share_raw_open, bench_rewrite_raw_list_run, bench_share_raw_close,
	  NULL },
	{ "arc", bench_share_raw_open, bench_rewrite_arc_run, bench_share_raw_close, NULL },
	{ "sxsk", bench_sxsk_open_lane, bench_rewrite_sxsk_run, bench_sxsk_close, NULL },
	{ "sxsk-nolane", bench_sxsk_open, bench_rewrite_sxsk_run, bench_sxsk_close, NULL },
	MBUF(bench_mbuf_open, bench_rewrite_mbuf_run, bench_mbuf_close, NULL),
	AVBUFFER(bench_rewrite_avbuffer_run, NULL),
	{ .name = NULL },
};

static const struct variant flood[] = {
	{ "floor", bench_raw_open, bench_flood_floor_run, bench_raw_close, NULL },
	{ "raw-list", bench_share_raw_open, bench_flood_raw_list_run, bench_share_raw_close, NULL },
	{ "raw-list-again", bench_share_raw_open, bench_flood_raw_list_run, bench_share_raw_close,
	  NULL },
	{ "raw-copy", bench_share_raw_open, bench_flood_raw_copy_run, bench_share_raw_close, NULL },
	{ "arc", bench_share_raw_open, bench_flood_arc_run, bench_share_raw_close, NULL },
	{ "sxsk", bench_flood_sxsk_open_lane, bench_flood_sxsk_run, bench_flood_sxsk_close, NULL },
	{ "sxsk-nolane", bench_flood_sxsk_open, bench_flood_sxsk_run, bench_flood_sxsk_close,
	  NULL },
	{ "sxsk-copy", bench_flood_sxsk_open_lane, bench_flood_sxsk_copy_run,
	  bench_flood_sxsk_close, NULL },
	MBUF(bench_mbuf_open, bench_flood_mbuf_run, bench_mbuf_close, NULL),
	{ .name = NULL },
};

static const struct variant pipeline[] = {
	{ "floor", bench_raw_open, bench_send_floor_run, bench_raw_close, NULL },
	{ "raw-list", bench_handover_raw_open, bench_pipeline_raw_list_run,
	  bench_handover_raw_close, bench_handover_raw_serve },
	{ "raw-list-again", bench_handover_raw_open, bench_pipeline_raw_list_run,
	  bench_handover_raw_close, bench_handover_raw_serve },
	{ "arc", bench_handover_raw_open, bench_pipeline_arc_run, bench_handover_raw_close,
	  bench_handover_raw_serve },
	{ "sxsk", bench_handover_sxsk_open_lane, bench_pipeline_sxsk_run, bench_handover_sxsk_close,
	  bench_pipeline_sxsk_serve },
	{ "sxsk-nolane", bench_handover_sxsk_open, bench_pipeline_sxsk_run,
	  bench_handover_sxsk_close, bench_pipeline_sxsk_serve },
	{ .name = NULL },
};

static const struct variant multi_buffer[] = {
	{ "floor", bench_raw_open, bench_parts_floor_run, bench_raw_close, NULL },
	{ "raw-list", bench_raw_open, bench_parts_raw_list_run, bench_raw_close, NULL },
	{ "raw-list-again", bench_raw_open, bench_parts_raw_list_run, bench_raw_close, NULL },
	{ "arc", bench_raw_open, bench_parts_arc_run, bench_raw_close, NULL },
	{ "sxsk", bench_sxsk_open_lane, bench_parts_sxsk_run, bench_sxsk_close, NULL },
	{ "sxsk-nolane", bench_sxsk_open, bench_parts_sxsk_run, bench_sxsk_close, NULL },
	{ .name = NULL },
};

/* The field that most cases do not set stays 0. What is not one of the first two cases is looked at in one
 * cell, unless more is asked for. */
#define ONE_CELL .burst = 64, .frames = 4096
#define ALL_CELLS .burst = 0
/* So that a slice of what costs more takes no longer. */
#define SHORT .packets = 1 << 13

static const uint32_t pool_sizes[] = { 1024, 4096, 16384, 65536, 262144, 1048576, 0 };

#define FAN_OUT(k, bytes, ...)                                                                     \
	{                                                                                          \
		.name = "fan-out-" #k "x" #bytes,                                                  \
		.what = "receive " #bytes "-byte packets, give each to " #k                        \
			" readers, who free it",                                                   \
		.threads = 1, .work = WORK_READ, .variants = fan_out, .readers = k, .size = bytes, \
		SHORT, ONE_CELL, __VA_ARGS__                                                       \
	}
#define FLOOD(k, bytes, ...)                                                                       \
	{                                                                                          \
		.name = "flood-" #k "x" #bytes,                                                    \
		.what = "receive " #bytes "-byte packets, send each to " #k " sockets, reap",      \
		.threads = 1, .work = WORK_FLOOD, .variants = flood, .ports = k, .size = bytes,    \
		SHORT, ONE_CELL, __VA_ARGS__                                                       \
	}
#define REWRITE(bytes, ...)                                                                        \
	{                                                                                          \
		.name = "rewrite-" #bytes,                                                         \
		.what = "receive " #bytes                                                          \
			"-byte packets, rewrite the header while another reads, free both",        \
		.threads = 1, .work = WORK_REWRITE, .variants = rewrite, .size = bytes, SHORT,     \
		ONE_CELL, __VA_ARGS__                                                              \
	}

const struct bench_case bench_cases[] = {
	{ "receive-free", "receive, swap MACs, free, refill", 1, WORK_SWAP, receive_free,
	  ALL_CELLS },
	{ "hand-over", "receive in one thread, swap MACs and free in another", 2, WORK_SWAP,
	  hand_over, ALL_CELLS },
	{ "receive-transmit", "receive, swap MACs, send back, reap, refill", 1, WORK_SEND,
	  receive_transmit, ONE_CELL },
	{ "allocate-transmit", "allocate, write MACs, send, reap", 1, WORK_WRITE, allocate_transmit,
	  .only_full = true, ONE_CELL },
	FAN_OUT(2, 64, .only_full = true),
	FAN_OUT(2, 512, .only_full = true),
	FAN_OUT(2, 1514, .only_full = true),
	FAN_OUT(4, 64, .only_full = true),
	FAN_OUT(4, 512, .only_full = true),
	FAN_OUT(4, 1514, .only_full = true),
	REWRITE(64, .only_full = true),
	REWRITE(512, .only_full = true),
	REWRITE(1514, .only_full = true),
	FLOOD(2, 64, .only_full = true),
	FLOOD(4, 64, .only_full = true),
	FLOOD(4, 1514, .only_full = true),
	{ "pipeline",
	  "receive in one thread, swap MACs in another, send back and reap in the first", 2,
	  WORK_SEND, pipeline, .only_full = true, ONE_CELL },
	{ "multi-buffer", "receive-free of packets of four frames; per frame", 1, WORK_SWAP,
	  multi_buffer, .fragments = 4, .size = 1500, .burst_min = 32, .only_full = true,
	  ONE_CELL },
	{ "pool-size", "receive-free, 512 frames in FILL however large the pool is", 1, WORK_SWAP,
	  receive_free, .in_flight = 512, .full_frames = pool_sizes, .only_full = true, ONE_CELL },
	{ "hardened", "receive-free with each level of hardening", 1, WORK_SWAP, hardened, ONE_CELL,
	  .repetitions = 4, .packets = 1 << 10, .one_cell = true },
	{ .name = NULL },
};
