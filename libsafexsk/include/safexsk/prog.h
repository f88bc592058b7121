/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The XDP program and XSKMAP that steer packets to sockets: which of an interface's packets come to
 * which socket. What no socket gets goes on to the kernel's stack.
 *
 *     steer = SXSK_STEER_ALL     all packets of the queue; the library's own program, one per interface
 *     prog = sxsk_prog_create()  what its rules say (sxsk_prog_steer), a filter (sxsk_prog_filter), or an
 *                                object file of your own
 *     map_fd = an XSKMAP         what a program of somebody else looks up in there
 *     nothing                    none (SXSK_STEER_NONE)
 *
 * A program is on one interface at a time: from the open of its first socket to the close of its last.
 * It is held by a bpf_link, so it leaves with the process however that ends; nothing is pinned.
 *
 * Other XDP programs stay on the interface if they and this one are in libxdp's dispatcher
 * (sxsk_socket_opts.attach = SXSK_ATTACH_DISPATCHER; `xdp-loader load` puts programs there, `xdp-loader status`
 * shows them). It runs after those with libxdp's default priority: what these drop does not come, and what no
 * socket gets goes on to the next. There
 * - it is native where the driver can, else SKB, or as the dispatcher is already;
 * - it is pinned, so a killed process leaves its program behind (safexsk and a number): that one takes no
 *   packets, and goes with the next open with SXSK_ATTACH_DISPATCHER on the interface. So it does where the
 *   last close may not take it out any more;
 * - an interface that goes leaves its pins behind (`xdp-loader clean`);
 * - other processes that live keep theirs: several may have sockets on the interface, on different queues;
 * - packets longer than a page come if all programs in there can take them (xdp.frags);
 * - sxsk_prog_steer() puts the new rules beside the old for a moment: a packet meets the old ones, then, if
 *   they leave it to the stack, the new;
 * - programs of object files and metadata of received packets are refused.
 * It takes a kernel that loads programs of type EXT (Linux 5.10, unless it is told not to) and the BPF file
 * system in /sys/fs/bpf; -EOPNOTSUPP says what is missing.
 *
 *     call                                needs
 *     sxsk_prog_create, _steer, _filter   CAP_BPF and CAP_NET_ADMIN
 *     sxsk_socket_open, nothing steers    CAP_NET_RAW
 *       with map_fd                       CAP_NET_RAW
 *       with prog or SXSK_STEER_ALL       CAP_NET_RAW, and CAP_BPF and CAP_NET_ADMIN
 *     _open, _close, sxsk_prog_steer and  CAP_SYS_ADMIN as well
 *       _filter, in the dispatcher
 *     all others                          nothing
 *
 * So a program without privileges can do with a descriptor of the map, from one that has them (SCM_RIGHTS).
 *
 * A packet is seen as it is in memory: a VLAN tag that the card took out (`ethtool -K IF rxvlan off`
 * leaves it in) is not there.
 */
#ifndef SAFEXSK_PROG_H
#define SAFEXSK_PROG_H

#include <safexsk/base.h>

SXSK_BEGIN_DECLS

struct sock_filter; /* <linux/filter.h>; libpcap's struct bpf_insn is the same */

/** A program with its XSKMAP. The pointer is a cookie, never dereferenced. */
struct sxsk_prog;

/** Sockets that the rules of one program can tell apart on one queue. */
#define SXSK_MAX_TARGETS 16
/** Rules of one program. They are tried one by one, about 1 ns each. */
#define SXSK_MAX_RULES 256
/** sxsk_rule.target: to the kernel's stack, and no further rule is tried. */
#define SXSK_TARGET_STACK UINT32_MAX
/** sxsk_rule.vlan and inner_vlan: packets without that tag. */
#define SXSK_NO_VLAN 0xffff

/** sxsk_rule.match: which of a rule's fields count. All of them have to match; none: every packet does. */
enum sxsk_match {
	SXSK_MATCH_ETHERTYPE = 1u << 0,  /**< ethertype */
	SXSK_MATCH_VLAN = 1u << 1,       /**< vlan */
	SXSK_MATCH_INNER_VLAN = 1u << 2, /**< inner_vlan */
	SXSK_MATCH_IP_PROTO = 1u << 3,   /**< ip_proto */
	SXSK_MATCH_SRC_PORT = 1u << 4,   /**< src_port */
	SXSK_MATCH_DST_PORT = 1u << 5,   /**< dst_port */
	SXSK_MATCH_SRC_IP = 1u << 6,     /**< src_ip, src_bits, ip_version */
	SXSK_MATCH_DST_IP = 1u << 7,     /**< dst_ip, dst_bits, ip_version */
	SXSK_MATCH_SRC_MAC = 1u << 8,    /**< src_mac */
	SXSK_MATCH_DST_MAC = 1u << 9,    /**< dst_mac */
};

/** One rule. Set sz = sizeof(struct sxsk_rule) and match; fields that are not matched have to be zero.
 * Numbers are in host byte order, addresses as on the wire. */
struct sxsk_rule {
	size_t sz;      /**< size of this struct as compiled, the same in all rules of a call */
	uint32_t match; /**< SXSK_MATCH_* */
	/** Who gets the packets: the socket of the queue that was opened with this sxsk_socket_opts.target,
	 * under SXSK_MAX_TARGETS; while there is none, the kernel's stack. Or SXSK_TARGET_STACK. */
	uint32_t target;
	uint16_t ethertype;  /**< after up to two VLAN tags (0x8100, 0x88a8), e.g. 0x0806 */
	uint16_t vlan;       /**< id in the first tag, to 4094; or SXSK_NO_VLAN */
	uint16_t inner_vlan; /**< id in the second tag; or SXSK_NO_VLAN */
	/** Of UDP or TCP, whichever; a fragment that is not the first has none. IPv6's extension headers,
	 * up to six, are passed over. */
	uint16_t src_port;
	uint16_t dst_port;   /**< likewise */
	uint8_t ip_proto;    /**< of IPv4 or IPv6 (there: after extension headers), e.g. 17 */
	uint8_t ip_version;  /**< of src_ip and dst_ip: 4 or 6 */
	uint8_t src_bits;    /**< length of the prefix, to 32 or 128 */
	uint8_t dst_bits;    /**< likewise */
	uint8_t src_ip[16];  /**< prefix of the source address; IPv4 in the first 4 bytes */
	uint8_t dst_ip[16];  /**< prefix of the destination address, likewise */
	uint8_t src_mac[6];  /**< source address */
	uint8_t dst_mac[6];  /**< destination address */
	uint8_t reserved[6]; /**< zero */
};

/** Program options. Zero means the default everywhere; set sz = sizeof(struct sxsk_prog_opts). */
struct sxsk_prog_opts {
	size_t sz; /**< size of this struct as compiled; 0 is refused */
	/** A file with a program of your own (clang -target bpf), which redirects packets to an XSKMAP in it.
	 * A socket is entered in there at its queue + target. NULL: a program of the library's, with rules */
	const char *object;
	const char *program; /**< its name in there; NULL: the only one */
	const char *map;     /**< the XSKMAP's name; NULL: the only one */
};

/** Make a program, and give it to sockets as sxsk_socket_opts.prog. Without an object file it has no rules and
 * takes nothing, until sxsk_prog_steer(). Of an object file, programs but this one are not loaded; what
 * libbpf has to say goes where libbpf_set_print() sends it, stderr by default.
 *
 * Returns:   0 and *ret_prog, or -errno and *ret_prog untouched
 * Errors:    -EINVAL (an option; no BPF object file; the program is no XDP program or does not use the map;
 *            the map is no XSKMAP), -ENOENT (no such file, program or map in it), -EACCES (the
 *            file may not be read), -EPERM (needs CAP_BPF and CAP_NET_ADMIN), -EMFILE, -ENOMEM; what the
 *            kernel has against the program (-EACCES as a rule)
 * Ownership: returns owned (sxsk_prog_unref)
 * Threads:   any thread; blocking
 * Ordering:  the caller publishes the pointer to other threads
 * Syscalls:  bpf; openat, read
 * Since:     0.1
 * Source:    Linux Documentation/bpf/map_xskmap.rst
 */
SXSK_API SXSK_MUST_CHECK int sxsk_prog_create(struct sxsk_prog **ret_prog,
					      const struct sxsk_prog_opts *opts);

/** One more owner of the program.
 *
 * Returns:   prog; NULL for NULL, and after misuse
 * Errors:    misuse: SXSK_MISUSE_PROG
 * Ownership: returns owned (sxsk_prog_unref)
 * Threads:   any thread; blocking
 * Ordering:  none
 * Syscalls:  none
 * Since:     0.1
 * Source:    own
 */
SXSK_API SXSK_MUST_CHECK struct sxsk_prog *sxsk_prog_ref(struct sxsk_prog *prog);

/** Give the program back. Its sockets go on; it leaves with the last of them. NULL does nothing; nor does
 * this in a forked child.
 *
 * Returns:   nothing
 * Errors:    misuse: SXSK_MISUSE_PROG
 * Ownership: takes
 * Threads:   any thread; blocking
 * Ordering:  none
 * Syscalls:  close
 * Since:     0.1
 * Source:    own
 */
SXSK_API void sxsk_prog_unref(struct sxsk_prog *prog);

/** Replace the program's rules. The first rule that matches a packet decides; what none matches goes to
 * the kernel's stack. Under traffic too: each packet meets either all the old rules or all the new ones (but
 * in the dispatcher, see above).
 * What the sockets' rings hold already stays. On error the old rules stay.
 *
 * While sockets want metadata of received packets, the kernel makes the program for their interface: the call
 * is for a thread in the interface's network namespace.
 *
 * Returns:   0 or -errno
 * Errors:    -EINVAL (a rule that is wrong or can never match), -E2BIG (more than SXSK_MAX_RULES),
 *            -EPERM (needs CAP_BPF and CAP_NET_ADMIN), -ENODEV (the interface is gone), -ENOMEM,
 *            -EOPNOTSUPP (a program of an object file), -EBUSY (no place in the dispatcher), -EXDEV
 *            (with metadata: the interface is in another network namespace);
 *            misuse: SXSK_MISUSE_PROG (then -EINVAL)
 * Ownership: borrows
 * Threads:   any thread; blocking
 * Ordering:  when it returns, no packet meets the old rules any more, but for those on their way
 * Syscalls:  bpf
 * Since:     0.1
 * Source:    bpf_link_update, Linux 5.9; for the dispatcher xdp-tools, lib/libxdp/protocol.org
 */
SXSK_API SXSK_MUST_CHECK int sxsk_prog_steer(struct sxsk_prog *prog, const struct sxsk_rule rules[],
					     unsigned n);

/** Replace the program's rules by a filter in classic BPF: what it returns anything but 0 for goes to the
 * socket of target 0, the rest to the kernel's stack. tcpdump's expressions compile to it, with
 *
 *     pcap_compile(pcap_open_dead(DLT_EN10MB, 65535), &program, "udp port 53", 1, PCAP_NETMASK_UNKNOWN);
 *     sxsk_prog_filter(prog, (const struct sock_filter *)program.bf_insns, program.bf_len);
 *
 * A capture handle of a real interface may compile to loads of what only socket filters have (VLAN tags
 * beside the packet): those are refused. Otherwise as sxsk_prog_steer().
 *
 * Returns:   0 or -errno
 * Errors:    -EINVAL (empty; a jump past the end, a division by zero, a shift by more than 31, a memory word
 *            of 16 or more), -EOPNOTSUPP (what cannot be translated: other instructions, loops), -E2BIG (too
 *            long); as sxsk_prog_steer()
 * Ownership: borrows
 * Threads:   any thread; blocking
 * Ordering:  as sxsk_prog_steer()
 * Syscalls:  bpf
 * Since:     0.1
 * Source:    McCanne and Jacobson, The BSD Packet Filter, 1993; Linux Documentation/networking/filter.rst
 */
SXSK_API SXSK_MUST_CHECK int sxsk_prog_filter(struct sxsk_prog *prog,
					      const struct sock_filter *filter, unsigned n);

SXSK_END_DECLS
#endif
