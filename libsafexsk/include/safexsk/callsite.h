/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Opt-in: include this after safexsk.h, and the history of a pool made with the hardened level
 * "history" names file and line of each call instead of an address. C and C++; macros around calls.
 */
#ifndef SAFEXSK_CALLSITE_H
#define SAFEXSK_CALLSITE_H

#include <safexsk/safexsk.h>

SXSK_BEGIN_DECLS

/** Note where the calling thread is in its source, for histories.
 *
 * Returns:   nothing
 * Errors:    none
 * Ownership: lends file until the program ends (a string literal)
 * Threads:   any thread, for itself; wait-free
 * Ordering:  none
 * Syscalls:  none
 * Since:     0.1
 * Source:    own
 */
SXSK_API void sxsk_priv_here(const char *file, uint32_t line);

SXSK_END_DECLS

#define SXSK_HERE() sxsk_priv_here(__FILE__, __LINE__)
#define sxsk_pool_alloc(...) (SXSK_HERE(), sxsk_pool_alloc(__VA_ARGS__))
#define sxsk_rx_burst(...) (SXSK_HERE(), sxsk_rx_burst(__VA_ARGS__))
#define sxsk_tx_burst(...) (SXSK_HERE(), sxsk_tx_burst(__VA_ARGS__))
#define sxsk_buf_ref(...) (SXSK_HERE(), sxsk_buf_ref(__VA_ARGS__))
#define sxsk_buf_unref(...) (SXSK_HERE(), sxsk_buf_unref(__VA_ARGS__))
#define sxsk_buf_unref_burst(...) (SXSK_HERE(), sxsk_buf_unref_burst(__VA_ARGS__))
#define sxsk_buf_copy(...) (SXSK_HERE(), sxsk_buf_copy(__VA_ARGS__))
#define sxsk_buf_unshare(...) (SXSK_HERE(), sxsk_buf_unshare(__VA_ARGS__))

#endif
