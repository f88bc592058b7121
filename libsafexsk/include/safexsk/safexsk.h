/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libsafexsk: AF_XDP frames that are safe to own, share and hand between threads.
 *
 *     NIC / veth          socket (one device queue)               your program
 *    +---------+   FILL  +--------------------------+
 *    | kernel  | <------ | RX half: rx_burst ------ | --> struct sxsk_buf  (USER: yours)
 *    |         | ------> |          (refills itself)|        |      |
 *    |         |    RX   +--------------------------+     unref   tx_burst
 *    |         |   TX    +--------------------------+        |      |
 *    |         | <------ | TX half: tx_burst <----- | <------|------+
 *    |         | ------> |          (kicks, reaps)  |        v
 *    +---------+   COMP  +--------------------------+     lane / depot (HOME: free)
 *
 * Who owns a frame, and which event moves it on:
 *
 *    HOME  --refill-->  FILL  --kernel receives, rx_burst-->  USER  --unref-->  HOME
 *    HOME  --alloc--->  USER  --tx_burst-->  TX  --kernel completes, reaped-->  HOME
 *
 * Objects: a **pool** owns the packet memory (umem) and the frame table; a **Buf** is a 16-byte
 * value handle to one frame; a **socket** is one AF_XDP socket on (interface, queue); a **lane** is
 * a thread's own stock of free frames. Every Buf holds its pool alive: the memory is unmapped by
 * whoever gives the last frame, socket or owner back, never earlier.
 *
 * What the library promises: no sequence of calls reads or writes a frame that the kernel or another
 * owner holds, or memory that is gone. The exceptions, all of them: a raw pointer from
 * sxsk_buf_data() is lent until unref or submit, which C cannot revoke; two threads that misuse ONE
 * reference (the same handle, no sxsk_buf_ref) at the same instant, and two threads in one half of a
 * socket, are noticed late or with luck. A thread that may be in a call is not to be ended by
 * pthread_cancel(3): what it is inside of would stay so.
 *
 * Words used in the doc comments, closed lists:
 *   Ownership: returns owned | borrows | takes | takes [0,ret) | shares | lends until X
 *   Threads:   any thread | one producer | one consumer | caller locks
 *   Progress:  wait-free | lock-free | blocking
 * Whatever they say of progress and system calls, a thread's first call may allocate the thread's record
 * (malloc(3)).
 *
 * Signal handlers may call sxsk_buf_ref(), sxsk_buf_unref(), sxsk_buf_unref_burst(), sxsk_pool_alloc() in a
 * thread that has called it before, sxsk_lane_flush(), sxsk_socket_wake(), and buf.h's inline functions that
 * return no error; nothing else. At the hardened levels history and trace, only sxsk_socket_wake() and the
 * inline functions.
 *
 * Errors are -errno with a sentence in sxsk_last_error(), but for sxsk_buf_tx_time()'s -EAGAIN,
 * sxsk_handover_init() and sxsk_stamp_read(), which leave it as it was. Misuse (a stale handle, a double unref,
 * writing to a shared Buf ...) is not an errno: it goes to the misuse handler, see below.
 */
#ifndef SAFEXSK_SAFEXSK_H
#define SAFEXSK_SAFEXSK_H

#include <safexsk/version.h>

#include <safexsk/pool.h>

#include <safexsk/buf.h>

#include <safexsk/socket.h>

#include <safexsk/metadata.h>

#include <safexsk/prog.h>

#include <safexsk/print.h>

#include <safexsk/flow.h>

#include <safexsk/monitor.h>

#include <safexsk/pcapng.h>

#include <safexsk/stamp.h>

#endif
