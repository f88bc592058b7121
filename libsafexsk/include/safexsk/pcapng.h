/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Captures in pcapng (draft-ietf-opsawg-pcapng), for tshark, Wireshark and tcpdump, written straight from Bufs:
 *
 *     FILE *f = fopen("all.pcapng", "we");
 *     sxsk_pcapng_begin(f);
 *     sxsk_pcapng_interface(f, "eth1", "time by the system's clock");      interface 0
 *     sxsk_pcapng_packet(f, 0, nanoseconds, &buf, 1);
 *
 * A stream buffers, and remembers what went wrong: look at ferror() and fclose() at the end.
 */
#ifndef SAFEXSK_PCAPNG_H
#define SAFEXSK_PCAPNG_H

#include <safexsk/buf.h>
#include <stdio.h>

SXSK_BEGIN_DECLS

/** Begin a capture: the section's header.
 *
 * Returns:   nothing
 * Errors:    none; those of the stream are the caller's to see (ferror)
 * Ownership: borrows
 * Threads:   caller locks: one thread at a time for each stream; blocking on it
 * Ordering:  none
 * Syscalls:  write
 * Since:     0.1
 * Source:    rte_pcapng (DPDK)
 */
SXSK_API void sxsk_pcapng_begin(FILE *out);

/** Add an Ethernet interface, before its first packet; they are numbered from 0. Its times are nanoseconds.
 *
 * Returns:   nothing
 * Errors:    none; those of the stream are the caller's to see (ferror)
 * Ownership: borrows
 * Threads:   caller locks: one thread at a time for each stream; blocking on it
 * Ordering:  none
 * Syscalls:  write
 * Since:     0.1
 * Source:    rte_pcapng (DPDK)
 */
SXSK_API void sxsk_pcapng_interface(FILE *out, const char *name, const char *description);

/** Add a packet of n Bufs, which came at `ns` nanoseconds since 1970; 0: now. One of which a handle is not live is left
 * out, and one of more than 262144 bytes.
 *
 * Returns:   nothing
 * Errors:    none; those of the stream are the caller's to see (ferror); misuse: as sxsk_buf_data()
 * Ownership: borrows
 * Threads:   caller locks: one thread at a time for each stream; blocking on it
 * Ordering:  none
 * Syscalls:  write
 * Since:     0.1
 * Source:    rte_pcapng (DPDK)
 */
SXSK_API void sxsk_pcapng_packet(FILE *out, uint32_t interface, uint64_t ns,
				 const struct sxsk_buf bufs[], unsigned n);

SXSK_END_DECLS
#endif
