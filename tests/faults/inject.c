/* SPDX-License-Identifier: BSD-2-Clause */
#include "inject.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

struct inject inject;
bool inject_on;

static long blocks, mapped;

#define WHOLES 64u /* the last so many mappings */
static struct {
	void *at;
	size_t len;
} whole[WHOLES];
static unsigned wholes;

/* Is it this one's turn? `usual`: what it would say. */
static bool fails(const char *what, int usual)
{
	if (!inject_on)
		return false;
	inject.calls++;
	if (!inject.at || inject.calls < inject.at ||
	    (inject.calls > inject.at && !inject.from_there))
		return false;
	inject.failed++;
	inject.what = what;
	/* Memory has one reason only. */
	inject.said = inject.error && usual != ENOMEM ? inject.error : usual;
	inject.since[inject.said / 64] |= 1ull << inject.said % 64;
	errno = inject.said;
	return true;
}

/* ---- memory: glibc's own, by its other names ------------------------------------------------------------ */

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

static void *counted(void *p)
{
	if (p)
		__atomic_fetch_add(&blocks, 1, __ATOMIC_RELAXED);
	return p;
}

void *malloc(size_t size)
{
	return fails("malloc", ENOMEM) ? NULL : counted(__libc_malloc(size));
}

void *calloc(size_t n, size_t size)
{
	return fails("calloc", ENOMEM) ? NULL : counted(__libc_calloc(n, size));
}

void *realloc(void *p, size_t size)
{
	if (fails("realloc", ENOMEM))
		return NULL;
	return p ? __libc_realloc(p, size) : counted(__libc_realloc(p, size));
}

void *aligned_alloc(size_t alignment, size_t size)
{
	return fails("aligned_alloc", ENOMEM) ? NULL : counted(__libc_memalign(alignment, size));
}

int posix_memalign(void **ret, size_t alignment, size_t size)
{
	if (fails("posix_memalign", ENOMEM))
		return inject.said;
	*ret = counted(__libc_memalign(alignment, size));
	return *ret ? 0 : ENOMEM;
}

void free(void *p)
{
	if (p)
		__atomic_fetch_sub(&blocks, 1, __ATOMIC_RELAXED);
	__libc_free(p);
}

/* ---- system calls --------------------------------------------------------------------------------------- */

/* The C library's: a function pointer to *ret. */
static void find(const char *name, void *ret)
{
	const bool on = inject_on;
	void *found;

	inject_on = false; /* dlsym() may allocate */
	found = dlsym(RTLD_NEXT, name);
	inject_on = on;
	if (!found)
		abort();
	memcpy(ret, &found, sizeof(found));
}

#define REAL(name)                                                                                 \
	__extension__({                                                                            \
		__typeof__(&name) found_;                                                          \
		find(#name, &found_);                                                              \
		found_;                                                                            \
	})

void *mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
	void *p;

	if (fails("mmap", ENOMEM))
		return MAP_FAILED;
	p = REAL(mmap)(addr, len, prot, flags, fd, offset);
	if (p != MAP_FAILED) {
		mapped += (long)len;
		whole[wholes++ % WHOLES].at = p;
		whole[(wholes - 1) % WHOLES].len = len;
	}
	return p;
}

/* Of a whole mapping it takes no other one, and does not fail. */
int mprotect(void *addr, size_t len, int prot)
{
	for (unsigned i = 0; i < WHOLES; i++)
		if (whole[i].at == addr && whole[i].len == len)
			return REAL(mprotect)(addr, len, prot);
	return fails("mprotect", ENOMEM) ? -1 : REAL(mprotect)(addr, len, prot);
}

/* Done nevertheless, as close() is: neither fails in a way that leaves things as they were. */
int munmap(void *addr, size_t len)
{
	mapped -= (long)len;
	(void)REAL(munmap)(addr, len);
	return fails("munmap", ENOMEM) ? -1 : 0;
}

int close(int fd)
{
	const int done = REAL(close)(fd);

	return fails("close", EIO) ? -1 : done;
}

/* DEFINE(type, name, usual errno, parameters, arguments) */
#define DEFINE(type, name, usual, parameters, arguments)                                           \
	type name parameters                                                                       \
	{                                                                                          \
		return fails(#name, usual) ? (type)-1 : REAL(name) arguments;                      \
	}

DEFINE(int, madvise, ENOMEM, (void *addr, size_t len, int advice), (addr, len, advice))
DEFINE(int, memfd_create, EMFILE, (const char *name, unsigned flags), (name, flags))
DEFINE(int, ftruncate, ENOSPC, (int fd, off_t len), (fd, len))
DEFINE(int, socket, EMFILE, (int domain, int type, int protocol), (domain, type, protocol))
DEFINE(int, setsockopt, ENOBUFS, (int fd, int level, int name, const void *value, socklen_t len),
       (fd, level, name, value, len))
DEFINE(int, getsockopt, ENOBUFS,
       (int fd, int level, int name, void *restrict value, socklen_t *restrict len),
       (fd, level, name, value, len))
DEFINE(int, bind, EADDRINUSE, (int fd, __CONST_SOCKADDR_ARG address, socklen_t len),
       (fd, address, len))
DEFINE(int, getsockname, ENOBUFS, (int fd, __SOCKADDR_ARG address, socklen_t *restrict len),
       (fd, address, len))
DEFINE(int, epoll_create1, EMFILE, (int flags), (flags))
DEFINE(int, epoll_ctl, ENOSPC, (int epoll, int op, int fd, struct epoll_event *event),
       (epoll, op, fd, event))
DEFINE(int, epoll_wait, EINTR, (int epoll, struct epoll_event *events, int most, int ms),
       (epoll, events, most, ms))
DEFINE(int, eventfd, EMFILE, (unsigned count, int flags), (count, flags))
DEFINE(int, poll, EINTR, (struct pollfd * fds, nfds_t n, int ms), (fds, n, ms))
DEFINE(ssize_t, read, EINTR, (int fd, void *to, size_t len), (fd, to, len))
DEFINE(ssize_t, pread, EIO, (int fd, void *to, size_t len, off_t at), (fd, to, len, at))
DEFINE(ssize_t, pwrite, EINTR, (int fd, const void *from, size_t len, off_t at),
       (fd, from, len, at))
DEFINE(ssize_t, send, ENOBUFS, (int fd, const void *from, size_t len, int flags),
       (fd, from, len, flags))
DEFINE(ssize_t, sendto, ENOBUFS,
       (int fd, const void *from, size_t len, int flags, __CONST_SOCKADDR_ARG to, socklen_t to_len),
       (fd, from, len, flags, to, to_len))
DEFINE(ssize_t, recvfrom, ENOBUFS,
       (int fd, void *restrict to, size_t len, int flags, __SOCKADDR_ARG from,
	socklen_t *restrict from_len),
       (fd, to, len, flags, from, from_len))
DEFINE(ssize_t, recvmsg, ENOBUFS, (int fd, struct msghdr *message, int flags), (fd, message, flags))
DEFINE(int, stat, EMFILE, (const char *restrict path, struct stat *restrict to), (path, to))
DEFINE(int, access, EMFILE, (const char *path, int mode), (path, mode))

/* Its counterpart would be written to by the program's own prints: those are not on when it is. */
DEFINE(ssize_t, write, EAGAIN, (int fd, const void *from, size_t len), (fd, from, len))

int ioctl(int fd, unsigned long request, ...)
{
	va_list args;
	void *arg;

	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);
	return fails("ioctl", EMFILE) ? -1 : REAL(ioctl)(fd, request, arg);
}

int fcntl(int fd, int command, ...)
{
	va_list args;
	long arg;

	va_start(args, command);
	arg = va_arg(args, long);
	va_end(args);
	return fails("fcntl", EMFILE) ? -1 : REAL(fcntl)(fd, command, arg);
}

/* None of them creates a file. */
int open(const char *path, int flags, ...)
{
	return fails("open", EMFILE) ? -1 : REAL(open)(path, flags);
}

int openat(int dir, const char *path, int flags, ...)
{
	return fails("openat", EMFILE) ? -1 : REAL(openat)(dir, path, flags);
}

/* bpf(2), membarrier(2), fsopen(2) and its like; a thread's number is always to be had. */
long syscall(long number, ...)
{
	long arg[6];
	va_list args;

	va_start(args, number);
	for (int i = 0; i < 6; i++)
		arg[i] = va_arg(args, long);
	va_end(args);
	if (number != SYS_gettid && fails(number == SYS_bpf        ? "bpf" :
					  number == SYS_membarrier ? "membarrier" :
								     "syscall",
					  EMFILE))
		return -1;
	return REAL(syscall)(number, arg[0], arg[1], arg[2], arg[3], arg[4], arg[5]);
}

char *if_indextoname(unsigned index, char name[IF_NAMESIZE])
{
	return fails("if_indextoname", EMFILE) ? NULL : REAL(if_indextoname)(index, name);
}

int pthread_key_create(pthread_key_t *key, void (*destructor)(void *))
{
	return fails("pthread_key_create", EAGAIN) ? inject.said :
						     REAL(pthread_key_create)(key, destructor);
}

int pthread_setspecific(pthread_key_t key, const void *value)
{
	return fails("pthread_setspecific", ENOMEM) ? inject.said :
						      REAL(pthread_setspecific)(key, value);
}

struct held held_now(void)
{
	DIR *files = opendir("/proc/self/fd");
	long n = 0;

	if (!files)
		abort();
	while (readdir(files))
		n++;
	closedir(files);
	return (struct held){ .blocks = blocks, .mapped = mapped, .files = n };
}
