/* SPDX-License-Identifier: BSD-2-Clause */
/* The functions that cases.c makes variants of, by file. */
#ifndef SXSK_BENCH_VARIANTS_H
#define SXSK_BENCH_VARIANTS_H

#include "bench.h"

/* raw.c: libxdp's ring functions and no safety */
bench_open_fn bench_raw_open;
bench_close_fn bench_raw_close;
bench_run_fn bench_floor_run, bench_raw_run, bench_raw_list_run, bench_raw_list_ahead_run,
	bench_arc_run;

/* raw_send.c */
bench_run_fn bench_send_floor_run, bench_send_raw_run, bench_send_raw_list_run, bench_send_arc_run;
bench_run_fn bench_make_floor_run, bench_make_raw_run, bench_make_raw_list_run, bench_make_arc_run;

/* raw_share.c */
bench_open_fn bench_share_raw_open;
bench_close_fn bench_share_raw_close;
bench_run_fn bench_share_raw_list_run, bench_share_arc_run, bench_share_raw_copy_run;
bench_run_fn bench_rewrite_raw_list_run, bench_rewrite_arc_run;

/* raw_flood.c */
bench_run_fn bench_flood_floor_run, bench_flood_raw_list_run, bench_flood_raw_copy_run,
	bench_flood_arc_run;

/* raw_parts.c */
bench_run_fn bench_parts_floor_run, bench_parts_raw_list_run, bench_parts_arc_run;

/* sxsk.c: the library */
bench_open_fn bench_sxsk_open, bench_sxsk_open_lane, bench_sxsk_open_race_safe,
	bench_sxsk_open_fifo, bench_sxsk_open_canary, bench_sxsk_open_history,
	bench_sxsk_open_trace, bench_sxsk_open_guard;
bench_close_fn bench_sxsk_close;
bench_run_fn bench_sxsk_run, bench_sxsk_single_run, bench_parts_sxsk_run;

/* sxsk_send.c */
bench_run_fn bench_send_sxsk_run, bench_make_sxsk_run;

/* sxsk_share.c */
bench_run_fn bench_share_sxsk_run, bench_share_sxsk_copy_run, bench_rewrite_sxsk_run;

/* sxsk_flood.c */
bench_open_fn bench_flood_sxsk_open, bench_flood_sxsk_open_lane;
bench_close_fn bench_flood_sxsk_close;
bench_run_fn bench_flood_sxsk_run, bench_flood_sxsk_copy_run;

/* handover_raw.c, handover_sxsk.c: received in one thread, freed in another */
bench_open_fn bench_handover_raw_open, bench_handover_sxsk_open, bench_handover_sxsk_open_lane;
bench_close_fn bench_handover_raw_close, bench_handover_sxsk_close;
bench_run_fn bench_handover_raw_run, bench_handover_raw_list_run, bench_handover_arc_run,
	bench_handover_sxsk_run;
bench_serve_fn bench_handover_raw_serve, bench_handover_arc_serve, bench_handover_sxsk_serve;

/* pipeline.c: received in one thread, changed in another, sent by the first one; the rest as above */
bench_run_fn bench_pipeline_raw_list_run, bench_pipeline_arc_run, bench_pipeline_sxsk_run;
bench_serve_fn bench_pipeline_sxsk_serve;

/* mbuf.c, mbuf_handover.c: DPDK, where it is installed */
bench_open_fn bench_mbuf_open, bench_handover_mbuf_open;
bench_close_fn bench_mbuf_close, bench_handover_mbuf_close;
bench_run_fn bench_mbuf_run, bench_send_mbuf_run, bench_make_mbuf_run, bench_share_mbuf_run,
	bench_rewrite_mbuf_run, bench_flood_mbuf_run, bench_handover_mbuf_run;
bench_serve_fn bench_handover_mbuf_serve;

/* avbuffer.c: FFmpeg, where it is installed */
bench_open_fn bench_avbuffer_open;
bench_close_fn bench_avbuffer_close;
bench_run_fn bench_avbuffer_run, bench_send_avbuffer_run, bench_make_avbuffer_run,
	bench_share_avbuffer_run, bench_rewrite_avbuffer_run, bench_handover_avbuffer_run;
bench_serve_fn bench_handover_avbuffer_serve;

#endif
