/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libcalls: count the system calls that a program moves packets and waits with, and this library's bursts in it.
 * For bench/veth, which counts all forwarders by it, whoever wrote them, in runs that are not timed:
 *
 *   LD_PRELOAD=build/bench/libcalls.so PROGRAM
 *
 * At the program's end it says on stderr "calls N bursts N bufs N": bursts are those sxsk_rx_burst()s that
 * received some.
 */
#include <dlfcn.h>
#include <poll.h>
#include <safexsk/socket.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static atomic_ullong calls, bursts, bufs; /* read when all threads are gone */

static void count(atomic_ullong *counter, unsigned n)
{
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

/* The function that this one stands before. Threads that meet here store the same. */
#define REAL(name)                                                                                 \
	static __typeof__(&name) real;                                                             \
	if (!real)                                                                                 \
	*(void **)&real = dlsym(RTLD_NEXT, #name)

/* clang-format off */
#define COUNTED(type, name, parameters, arguments) \
	type name parameters \
	{ \
		REAL(name); \
		count(&calls, 1); \
		return real arguments; \
	}

COUNTED(ssize_t, send, (int fd, const void *p, size_t n, int flags), (fd, p, n, flags))
COUNTED(ssize_t, sendto, (int fd, const void *p, size_t n, int flags, __CONST_SOCKADDR_ARG to,
			  socklen_t size), (fd, p, n, flags, to, size))
COUNTED(ssize_t, recv, (int fd, void *p, size_t n, int flags), (fd, p, n, flags))
COUNTED(ssize_t, recvfrom, (int fd, void *p, size_t n, int flags, __SOCKADDR_ARG from,
			    socklen_t *size), (fd, p, n, flags, from, size))
COUNTED(ssize_t, read, (int fd, void *p, size_t n), (fd, p, n))
COUNTED(ssize_t, write, (int fd, const void *p, size_t n), (fd, p, n))
COUNTED(int, poll, (struct pollfd *fds, nfds_t n, int ms), (fds, n, ms))
COUNTED(int, epoll_wait, (int fd, struct epoll_event *events, int n, int ms), (fd, events, n, ms))
COUNTED(int, epoll_ctl, (int fd, int what, int of, struct epoll_event *event), (fd, what, of, event))
/* clang-format on */

unsigned sxsk_rx_burst(struct sxsk_socket *socket, struct sxsk_buf b[], unsigned n)
{
	REAL(sxsk_rx_burst);
	n = real(socket, b, n);
	count(&bursts, n > 0);
	count(&bufs, n);
	return n;
}

__attribute__((destructor)) static void say(void)
{
	fprintf(stderr, "calls %llu bursts %llu bufs %llu\n", atomic_load(&calls),
		atomic_load(&bursts), atomic_load(&bufs));
}
