/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel's AF_XDP, by system calls: the only file that sets AF_XDP sockets up, binds, kicks and
 * closes them. Bursts run over the rings that are mapped here, with xsk.h's ring structs.
 *
 *   identify   who is this interface and queue?         SIOCGIF*, ETHTOOL_GCHANNELS
 *   open       socket, umem, ring sizes, mmap           setsockopt, mmap
 *   bind       FILL has frames by now                   bind (retried while the queue is busy)
 *   steer      the program and its XSKMAP               prog.c, attach.c
 *   close      unmap first, then close: mapped rings keep the socket, and its queue, alive
 */
#include "clock.h"
#include "metadata.h"
#include "napi.h"
#include "netns.h"
#include "sysfs.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* Newer than some distributions' headers (Debian 12 has those of Linux 6.1). */
#ifndef XDP_USE_SG
#define XDP_USE_SG (1 << 4) /* Linux 6.6 */
#endif
#ifndef XDP_UMEM_TX_SW_CSUM
#define XDP_UMEM_TX_SW_CSUM (1 << 1) /* Linux 6.8 */
#endif
#ifndef XDP_UMEM_TX_METADATA_LEN
#define XDP_UMEM_TX_METADATA_LEN (1 << 2) /* Linux 6.11 */
#endif
#ifndef XDP_MAX_TX_SKB_BUDGET
#define XDP_MAX_TX_SKB_BUDGET 9 /* Linux 6.17 */
#endif

/* The kernel's struct xdp_umem_reg as of Linux 6.11. A shorter one selects an older layout, which
 * silently drops fields; older kernels read the part that they know. */
struct umem_reg {
	uint64_t addr;
	uint64_t len;
	uint32_t chunk_size;
	uint32_t headroom;
	uint32_t flags;
	uint32_t tx_metadata_len;
};
_Static_assert(sizeof(struct umem_reg) == 32, "the kernel's layout, without padding");

enum { RING_RX, RING_TX, RING_FILL, RING_COMP };

/* Packets per sendto() in copy mode, where the kernel lets us say. On veth, 60-byte packets in bursts
 * of 256: 498 ns per packet at the kernel's 32, 460 at 64, 440 at 128, 429 at 256, no better above;
 * and one call keeps the processor that long. */
#define TX_BUDGET_DEFAULT 32u
#define TX_BUDGET_MAX 256u
/* The kernel tears a closed socket down a little later; until then its queue is busy. */
#define BIND_WAIT_MS 2000
#define BIND_STEP_MAX_MS 32

/* ---- identify ----------------------------------------------------------------------------------- */

/* Ask about an interface by name, in the calling thread's network namespace. 0 or -errno. */
static int interface_ioctl(const char *ifname, unsigned long request, struct ifreq *ifr)
{
	const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int err = 0;

	if (fd < 0)
		return -errno;
	strncpy(ifr->ifr_name, ifname, IFNAMSIZ - 1);
	if (ioctl(fd, request, ifr))
		err = -errno;
	close(fd);
	return err;
}

struct queue_count {
	uint32_t rx, tx; /* 0, 0 = unknown */
};

static struct queue_count queue_count(const char *ifname)
{
	struct ethtool_channels channels = { .cmd = ETHTOOL_GCHANNELS };
	struct ifreq ifr = { .ifr_data = (void *)&channels };
	struct queue_count n = { 0, 0 };

	/* Not all drivers have it (tap and lo do not): then bind() decides. */
	if (interface_ioctl(ifname, SIOCETHTOOL, &ifr) == 0) {
		n.rx = channels.combined_count + channels.rx_count;
		n.tx = channels.combined_count + channels.tx_count;
	}
	return n;
}

static int check_name(const char *ifname)
{
	if (!ifname || !ifname[0])
		return sxsk_priv_fail(EINVAL,
				      "the interface name is empty: give one, see `ip link`");
	if (strnlen(ifname, IFNAMSIZ) == IFNAMSIZ)
		return sxsk_priv_fail(
			EINVAL,
			"the interface name %.15s... is too long: the kernel's limit is %d "
			"bytes",
			ifname, IFNAMSIZ - 1);
	return 0;
}

static int no_such_interface(int err, const char *ifname)
{
	if (err == -ENODEV)
		return sxsk_priv_fail(
			ENODEV, "there is no interface %s in this network namespace, see `ip link`",
			ifname);
	return sxsk_priv_fail(-err, "cannot look up interface %s: %s", ifname, strerror(-err));
}

static int xsk_identify(const char *ifname, uint32_t queue, struct sxsk_priv_device_id *ret_id,
			uint32_t *ret_mtu)
{
	struct sxsk_priv_device_id id = { .queue = queue };
	struct ifreq index = { 0 }, mtu = { 0 };
	struct queue_count n;
	uint32_t most;
	int err = check_name(ifname);

	if (err)
		return err;
	err = interface_ioctl(ifname, SIOCGIFINDEX, &index);
	if (!err)
		err = interface_ioctl(ifname, SIOCGIFMTU, &mtu);
	if (err)
		return no_such_interface(err, ifname);
	n = queue_count(ifname);
	most = n.rx > n.tx ? n.rx : n.tx;
	if (most && queue >= most)
		return sxsk_priv_fail(
			EINVAL,
			"interface %s has no queue %u: it has %u RX and %u TX queues, "
			"counted from 0",
			ifname, queue, n.rx, n.tx);
	id.ifindex = (uint32_t)index.ifr_ifindex;
	id.netns = sxsk_priv_netns_id();
	/* An alternative name is for looking up only: sysfs does not have it. */
	if (!if_indextoname(id.ifindex, id.name))
		return no_such_interface(errno == ENXIO ? -ENODEV : -errno, ifname);
	*ret_id = id;
	*ret_mtu = (uint32_t)mtu.ifr_mtu;
	return 0;
}

static int xsk_queues(const char *ifname, bool tx, uint32_t *ret_n)
{
	struct sxsk_priv_device_id id;
	struct queue_count n;
	uint32_t mtu;
	int err = xsk_identify(ifname, 0, &id, &mtu), found;

	if (err)
		return err;
	n = queue_count(id.name);
	*ret_n = tx ? n.tx : n.rx;
	if (n.tx || n.rx)
		return 0;
	found = sxsk_priv_sysfs_queues(id.name, tx);
	if (found < 0 && found != -EPERM && found != -ENOSYS)
		return sxsk_priv_fail(-found, "cannot count the queues of %s in sysfs: %s", ifname,
				      strerror(-found));
	if (found <= 0)
		return sxsk_priv_fail(
			EOPNOTSUPP,
			"how many queues %s has, its driver does not tell, and sysfs not without "
			"CAP_SYS_ADMIN (%s): open them one by one",
			ifname, found < 0 ? strerror(-found) : "none are there");
	*ret_n = (uint32_t)found;
	return 0;
}

/* ---- open --------------------------------------------------------------------------------------- */

static int xsk_kick_rx(struct sxsk_priv_socket *s)
{
	return recvfrom(s->fd, NULL, 0, MSG_DONTWAIT, NULL, NULL) < 0 ? -errno : 0;
}

static void xsk_close(struct sxsk_priv_socket *s)
{
	/* Rings first: a mapping would keep the closed socket bound to its queue. */
	for (unsigned i = 0; i < (s->q->sockets > 0 ? 2u : 4u); i++) {
		struct ring_map *map = ring_map_of(s, i);

		if (map->addr)
			munmap(map->addr, map->len);
		*map = (struct ring_map){ NULL, 0 };
	}
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
	s->device_data = NULL;
	sxsk_priv_busy_poll_stop(s);
}

static int create_socket(struct sxsk_priv_socket *s)
{
	s->fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (s->fd >= 0)
		return 0;
	switch (errno) {
	case EPERM:
		return sxsk_priv_fail(
			EPERM, "may not create an AF_XDP socket: it needs CAP_NET_RAW (or root)");
	case EAFNOSUPPORT:
		return sxsk_priv_fail(
			EAFNOSUPPORT,
			"this kernel has no AF_XDP (CONFIG_XDP_SOCKETS), or a sandbox "
			"forbids it");
	default:
		return sxsk_priv_fail(errno, "cannot create an AF_XDP socket: %s", strerror(errno));
	}
}

/* As much locked memory as this process may have; refused or not, registration decides. */
static void raise_memlock(void)
{
	const struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	struct rlimit limit;

	if (setrlimit(RLIMIT_MEMLOCK, &unlimited) && !getrlimit(RLIMIT_MEMLOCK, &limit)) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_MEMLOCK, &limit);
	}
}

static int umem_error(int err, const struct sxsk_priv_pool *pool)
{
	struct rlimit limit = { 0 };

	switch (err) {
	case ENOBUFS:
		getrlimit(RLIMIT_MEMLOCK, &limit);
		return sxsk_priv_fail(
			ENOBUFS,
			"the pool's %zu KiB are more than this user may lock in memory "
			"(RLIMIT_MEMLOCK is %llu KiB, for all its pools): raise it with "
			"`ulimit -l`, give CAP_IPC_LOCK, or make the pool smaller",
			pool->size / 1024, (unsigned long long)limit.rlim_cur / 1024);
	case ENOMEM:
		return sxsk_priv_fail(
			ENOMEM, "the kernel has no memory for the pool's %zu KiB: make it smaller",
			pool->size / 1024);
	case EINVAL:
		if (pool->tx_metadata_len)
			return sxsk_priv_fail(
				EOPNOTSUPP, "this kernel takes no tx_metadata_len: it needs Linux "
					    "6.11");
		return sxsk_priv_fail(
			EINVAL,
			"the kernel refuses the pool's memory: frames of %u bytes with %u "
			"bytes of headroom",
			pool->chunk, pool->headroom);
	default:
		return sxsk_priv_fail(err, "cannot register the pool's memory: %s", strerror(err));
	}
}

static uint32_t umem_flags(const struct sxsk_priv_pool *pool)
{
	return (pool->shift ? 0u : XDP_UMEM_UNALIGNED_CHUNK_FLAG) |
	       (pool->flags & SXSK_POOL_TX_SW_CSUM ? XDP_UMEM_TX_SW_CSUM : 0u) |
	       (pool->tx_metadata_len ? XDP_UMEM_TX_METADATA_LEN : 0u);
}

static int register_umem(const struct sxsk_priv_socket *s)
{
	const struct umem_reg reg = {
		.addr = (uint64_t)(uintptr_t)s->pool->kernel_base,
		.len = s->pool->size,
		.chunk_size = s->pool->chunk,
		.headroom = s->pool->headroom,
		.flags = umem_flags(s->pool),
		.tx_metadata_len = s->pool->tx_metadata_len,
	};

	if (!setsockopt(s->fd, SOL_XDP, XDP_UMEM_REG, &reg, sizeof(reg)))
		return 0;
	if (errno != ENOBUFS)
		return umem_error(errno, s->pool);
	raise_memlock();
	if (!setsockopt(s->fd, SOL_XDP, XDP_UMEM_REG, &reg, sizeof(reg)))
		return 0;
	return umem_error(errno, s->pool);
}

/* A socket on another queue inherits mode, wake-up and multi-buffer flags with the registration.
 * SXSK_MODE_AUTO inherits only from the same interface, whose queues as a rule can do the same; on
 * another one it is for the kernel to find out, with a registration of its own. */
static bool can_share(const struct sxsk_priv_socket *s, const struct sxsk_priv_socket *donor)
{
	const uint32_t inherited = SXSK_SOCKET_MULTI_BUFFER | SXSK_SOCKET_NO_NEED_WAKEUP;

	if (!donor || ((s->flags ^ donor->flags) & inherited))
		return false;
	if (s->mode != SXSK_MODE_AUTO)
		return s->mode == donor->mode;
	return s->q->device.ifindex == donor->q->device.ifindex &&
	       s->q->device.netns == donor->q->device.netns;
}

static int ring_option(const struct sxsk_priv_socket *s, int ring)
{
	static const int option[4] = { XDP_RX_RING, XDP_TX_RING, XDP_UMEM_FILL_RING,
				       XDP_UMEM_COMPLETION_RING };
	static const char *const name[4] = { "RX", "TX", "FILL", "COMPLETION" };
	const uint32_t size = s->ring_size[ring];

	if (!setsockopt(s->fd, SOL_XDP, option[ring], &size, sizeof(size)))
		return 0;
	return sxsk_priv_fail(errno, "the kernel refuses a %s ring of %u entries: %s", name[ring],
			      size, strerror(errno));
}

static int ring_offsets(const struct sxsk_priv_socket *s, struct xdp_mmap_offsets *off)
{
	socklen_t len = sizeof(*off);

	if (getsockopt(s->fd, SOL_XDP, XDP_MMAP_OFFSETS, off, &len))
		return sxsk_priv_fail(errno, "cannot ask for the rings' layout: %s",
				      strerror(errno));
	/* Linux before 5.4 has rings without flags, and no wake-up flag. */
	if (len != sizeof(*off))
		return sxsk_priv_fail(EOPNOTSUPP,
				      "this kernel's AF_XDP is too old: Linux 5.9 is needed");
	return 0;
}

static int map_ring(struct sxsk_priv_socket *s, unsigned ring, uint64_t descs, size_t entry,
		    uint64_t page_offset)
{
	const size_t len = descs + s->ring_size[ring] * entry;
	void *addr = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, s->fd,
			  (off_t)page_offset);

	if (addr == MAP_FAILED)
		return sxsk_priv_fail(errno, "cannot map a ring of %u entries: %s",
				      s->ring_size[ring], strerror(errno));
	*ring_map_of(s, ring) = (struct ring_map){ addr, len };
	/* A forked child's copy would keep the queue bound after our close. */
	if (madvise(addr, len, MADV_DONTFORK))
		return sxsk_priv_fail(errno, "cannot keep a ring from forked children: %s",
				      strerror(errno));
	return 0;
}

static uint32_t *at(struct sxsk_priv_socket *s, unsigned ring, uint64_t offset)
{
	return (uint32_t *)(void *)((char *)ring_map_of(s, ring)->addr + offset);
}

/* The two ring structs differ in name only. cached_cons of a ring that we fill is a ring's length
 * ahead of the kernel's, as xsk_prod_nb_free() expects. */
#define RING_INIT(r, s, which, off, ahead)                                                         \
	do {                                                                                       \
		(r)->size = (s)->ring_size[which];                                                 \
		(r)->mask = (r)->size - 1;                                                         \
		(r)->producer = at(s, which, (off).producer);                                      \
		(r)->consumer = at(s, which, (off).consumer);                                      \
		(r)->flags = at(s, which, (off).flags);                                            \
		(r)->ring = at(s, which, (off).desc);                                              \
		(r)->cached_prod = *(r)->producer;                                                 \
		(r)->cached_cons = *(r)->consumer + (ahead);                                       \
	} while (0)

static int open_queue_rings(struct sxsk_priv_socket *s, const struct xdp_mmap_offsets *off)
{
	int err = map_ring(s, RING_FILL, off->fr.desc, sizeof(uint64_t), XDP_UMEM_PGOFF_FILL_RING);

	if (!err)
		err = map_ring(s, RING_COMP, off->cr.desc, sizeof(uint64_t),
			       XDP_UMEM_PGOFF_COMPLETION_RING);
	if (err)
		return err;
	RING_INIT(&s->q->fill, s, RING_FILL, off->fr, s->ring_size[RING_FILL]);
	RING_INIT(&s->q->comp, s, RING_COMP, off->cr, 0);
	return 0;
}

static int open_rx(struct sxsk_priv_socket *s, const struct xdp_mmap_offsets *off)
{
	const int err =
		map_ring(s, RING_RX, off->rx.desc, sizeof(struct xdp_desc), XDP_PGOFF_RX_RING);

	if (!err)
		RING_INIT(&s->rx_ring, s, RING_RX, off->rx, 0);
	return err;
}

static int open_tx(struct sxsk_priv_socket *s, const struct xdp_mmap_offsets *off)
{
	const uint32_t size = s->ring_size[RING_TX];
	uint32_t budget = size < TX_BUDGET_MAX ? size : TX_BUDGET_MAX;
	const int err =
		map_ring(s, RING_TX, off->tx.desc, sizeof(struct xdp_desc), XDP_PGOFF_TX_RING);

	if (err)
		return err;
	RING_INIT(&s->tx_ring, s, RING_TX, off->tx, size);
	/* Best effort: a kernel without it drains the same ring in smaller steps; and it is one that does
	 * not tell after each step how far it got (both came with Linux 6.17). */
	budget = budget > TX_BUDGET_DEFAULT ? budget : TX_BUDGET_DEFAULT;
	s->tx_untold = setsockopt(s->fd, SOL_XDP, XDP_MAX_TX_SKB_BUDGET, &budget, sizeof(budget)) !=
		       0;
	return 0;
}

/* The queue's FILL and COMPLETION are there: another socket's on it. */
static bool joins_queue(const struct sxsk_priv_socket *s)
{
	return s->q->sockets > 1;
}

static int open_rings(struct sxsk_priv_socket *s)
{
	const bool rx = !(s->flags & SXSK_SOCKET_NO_RX), tx = !(s->flags & SXSK_SOCKET_NO_TX);
	const bool joins = joins_queue(s);
	struct xdp_mmap_offsets off;
	int err = joins ? 0 : ring_option(s, RING_FILL);

	if (!err && !joins)
		err = ring_option(s, RING_COMP);
	if (!err && rx)
		err = ring_option(s, RING_RX);
	if (!err && tx)
		err = ring_option(s, RING_TX);
	if (!err)
		err = ring_offsets(s, &off);
	if (!err && !joins)
		err = open_queue_rings(s, &off);
	if (!err && rx)
		err = open_rx(s, &off);
	if (!err && tx)
		err = open_tx(s, &off);
	return err;
}

static int xsk_open(struct sxsk_priv_socket *s, struct sxsk_priv_socket *donor)
{
	int err = create_socket(s);

	/* device_data: the socket whose registration this one shares, or NULL */
	s->device_data = can_share(s, donor) ? donor : NULL;
	if (!err && joins_queue(s) && (!donor || donor->q != s->q))
		err = sxsk_priv_no_partner(s->q);
	if (!err && joins_queue(s) && !s->device_data)
		err = sxsk_priv_fail(
			EINVAL,
			"%s queue %u: the queue's other socket has another mode, another setting of "
			"MULTI_BUFFER or NO_NEED_WAKEUP: the sockets of a queue agree in these",
			s->q->device.name, s->q->device.queue);
	if (!err)
		err = sxsk_priv_busy_poll_start(s);
	if (!err && !s->device_data)
		err = register_umem(s);
	if (!err)
		err = open_rings(s);
	if (err)
		xsk_close(s);
	return err;
}

/* ---- bind --------------------------------------------------------------------------------------- */

static uint16_t bind_flags(const struct sxsk_priv_socket *s)
{
	unsigned flags = s->flags & SXSK_SOCKET_NO_NEED_WAKEUP ? 0 : XDP_USE_NEED_WAKEUP;

	if (s->device_data)
		return XDP_SHARED_UMEM; /* the rest is inherited, and refused here */
	if (s->mode == SXSK_MODE_COPY)
		flags |= XDP_COPY;
	if (s->mode == SXSK_MODE_ZEROCOPY)
		flags |= XDP_ZEROCOPY;
	if (s->flags & SXSK_SOCKET_MULTI_BUFFER)
		flags |= XDP_USE_SG;
	return (uint16_t)flags;
}

/* 0 or a positive errno. Memory and rings stay as they are over a failed bind(). */
static int bind_patiently(const struct sxsk_priv_socket *s)
{
	const struct sxsk_priv_socket *donor = s->device_data;
	const struct sockaddr_xdp address = {
		.sxdp_family = AF_XDP,
		.sxdp_flags = bind_flags(s),
		.sxdp_ifindex = s->q->device.ifindex,
		.sxdp_queue_id = s->q->device.queue,
		.sxdp_shared_umem_fd = donor ? (uint32_t)donor->fd : 0,
	};
	const int64_t end = deadline(BIND_WAIT_MS);

	/* By the clock: a signal cuts a pause short. */
	for (long step = 1;; step *= step < BIND_STEP_MAX_MS ? 2 : 1) {
		const struct timespec pause = { .tv_nsec = step * 1000000L };

		if (!bind(s->fd, (const void *)&address, sizeof(address)))
			return 0;
		if (errno != EBUSY || ms_left(end) == 0)
			return errno;
		nanosleep(&pause, NULL);
	}
}

/* For a sentence only: what /sys shows may be another network namespace's. */
static uint32_t rx_queues_in_sysfs(const char *ifname)
{
	char path[128];
	uint32_t n = 0;

	do
		(void)snprintf(path, sizeof(path), "/sys/class/net/%s/queues/rx-%u", ifname, n);
	while (!access(path, F_OK) && ++n < 4096);
	return n;
}

static int bind_invalid(const struct sxsk_priv_socket *s)
{
	const struct sxsk_priv_device_id *id = &s->q->device;
	const struct queue_count n = queue_count(id->name);
	const uint32_t rx = rx_queues_in_sysfs(id->name);

	if (!n.rx && !n.tx && rx && id->queue >= rx)
		return sxsk_priv_fail(
			EINVAL, "interface %s has no queue %u: it has %u RX queues, counted from 0",
			id->name, id->queue, rx);
	if (s->mode == SXSK_MODE_ZEROCOPY)
		return sxsk_priv_fail(
			EINVAL,
			"%s queue %u: the driver refuses zero-copy for this pool and these "
			"rings: use SXSK_MODE_AUTO, frames of 4096 bytes, or for unaligned frames "
			"huge pages",
			id->name, id->queue);
	return sxsk_priv_fail(EINVAL,
			      "the kernel refuses the socket on %s queue %u: no such queue, or its "
			      "options need a newer kernel (multi-buffer: 6.6)",
			      id->name, id->queue);
}

static int bind_error(const struct sxsk_priv_socket *s, int err)
{
	const struct sxsk_priv_device_id *id = &s->q->device;

	switch (err) {
	case EBUSY:
		return sxsk_priv_fail(
			EBUSY,
			"%s queue %u is taken by another AF_XDP socket (waited %d s): close "
			"that one, `ss --xdp` shows it, or use another queue",
			id->name, id->queue, BIND_WAIT_MS / 1000);
	case EOPNOTSUPP:
		return sxsk_priv_fail(
			EOPNOTSUPP,
			"the driver of %s has no zero-copy AF_XDP: use SXSK_MODE_AUTO or "
			"SXSK_MODE_COPY",
			id->name);
	case EINVAL:
		return bind_invalid(s);
	case ENODEV:
		return sxsk_priv_fail(ENODEV, "interface %s is gone", id->name);
	case ENETDOWN:
		return sxsk_priv_fail(ENETDOWN, "interface %s is down: `ip link set dev %s up`",
				      id->name, id->name);
	case EPERM:
	case EACCES:
		return sxsk_priv_fail(err,
				      "may not bind to %s queue %u: it needs CAP_NET_RAW (or root)",
				      id->name, id->queue);
	default:
		return sxsk_priv_fail(err, "cannot bind to %s queue %u: %s", id->name, id->queue,
				      strerror(err));
	}
}

/* With a registration of one's own instead of the donor's: this queue cannot do what the donor's does, so find
 * out what it can; or the donor's interface was removed, which took it off its queue (EBADF). */
static bool can_bind_alone(const struct sxsk_priv_socket *s, int err)
{
	if (!s->device_data || joins_queue(s))
		return false;
	return err == EBADF || (s->mode == SXSK_MODE_AUTO && (err == EOPNOTSUPP || err == EINVAL));
}

static int bind_alone(struct sxsk_priv_socket *s)
{
	int err;

	s->device_data = NULL;
	/* A failed bind() leaves no shared registration behind, so there is room for one's own. */
	err = register_umem(s);
	if (err)
		return err;
	err = bind_patiently(s);
	return err ? bind_error(s, err) : 0;
}

static int xsk_bind(struct sxsk_priv_socket *s, struct sxsk_priv_socket *donor)
{
	struct xdp_options options = { 0 };
	socklen_t len = sizeof(options);
	int err = bind_patiently(s);

	(void)donor; /* open decided, see device_data */
	if (can_bind_alone(s, err))
		err = bind_alone(s);
	else if (err)
		err = bind_error(s, err);
	if (err)
		return err;
	/* Cannot fail on a bound socket; must not either, since the kernel has frames now. */
	(void)getsockopt(s->fd, SOL_XDP, XDP_OPTIONS, &options, &len);
	s->mode = options.flags & XDP_OPTIONS_ZEROCOPY ? SXSK_MODE_ZEROCOPY : SXSK_MODE_COPY;
	return 0;
}

/* ---- steer -------------------------------------------------------------------------------------- */

static void xsk_unsteer(struct sxsk_priv_socket *s)
{
	if (s->prog) {
		sxsk_priv_prog_leave(s->prog, s->q->device.queue, s->target);
		sxsk_priv_prog_put(s->prog);
	}
	s->prog = NULL;
}

static int xsk_steer(struct sxsk_priv_socket *s)
{
	const struct sxsk_priv_device_id *id = &s->q->device;
	const struct sxsk_priv_steering wanted = { .prog = s->opts->prog,
						   .map_fd = s->opts->map_fd,
						   .ifindex = id->ifindex,
						   .netns = id->netns,
						   .ifname = id->name,
						   .attach = s->attach,
						   .metadata = s->metadata & METADATA_RX };
	struct queue_count n;
	int err = sxsk_priv_zerocopy_check(s, id->ifindex);

	s->attach = SXSK_ATTACH_NONE;
	if (err)
		return err;
	if ((s->steer == SXSK_STEER_NONE && !wanted.prog && !wanted.map_fd) ||
	    (s->flags & SXSK_SOCKET_NO_RX))
		return 0;
	n = queue_count(id->name);
	if (n.rx && id->queue >= n.rx)
		return sxsk_priv_fail(
			EINVAL,
			"%s never receives on queue %u: it has %u RX queues, counted from "
			"0; open with SXSK_SOCKET_NO_RX to send only",
			id->name, id->queue, n.rx);
	err = sxsk_priv_prog_get(&wanted, &s->prog, &s->attach);
	if (err) {
		s->prog = NULL;
		return err;
	}
	err = sxsk_priv_prog_enter(s->prog, id->queue, s->target, s->fd);
	if (err) {
		sxsk_priv_prog_put(s->prog);
		s->prog = NULL;
		s->attach = SXSK_ATTACH_NONE;
	}
	return err;
}

/* ---- kicks, errors, counters --------------------------------------------------------------------- */

static int xsk_send(const struct sxsk_priv_socket *s)
{
	return sendto(s->fd, NULL, 0, MSG_DONTWAIT, NULL, 0) < 0 ? -errno : 0;
}

/* With busy polling the kernel runs one NAPI instance in there, the one that receives. A driver that sends
 * in another one (virtio-net) would never get to it; but poll() wakes it, whatever is preferred. */
static int xsk_send_busy(const struct sxsk_priv_socket *s)
{
	const uint32_t *consumer = s->tx_ring.consumer;
	const uint32_t before = __atomic_load_n(consumer, __ATOMIC_RELAXED);
	struct pollfd wake = { .fd = s->fd, .events = POLLOUT };
	const int err = xsk_send(s);

	if (!err && before != *s->tx_ring.producer &&
	    before == __atomic_load_n(consumer, __ATOMIC_RELAXED))
		(void)poll(&wake, 1, 0);
	return err;
}

static int xsk_kick_tx(struct sxsk_priv_socket *s)
{
	return s->flags & SOCKET_BUSY_POLL ? xsk_send_busy(s) : xsk_send(s);
}

static int xsk_error(struct sxsk_priv_socket *s)
{
	/* The kernel looks at the binding (ENXIO: the interface is gone) and at the interface's state
	 * (ENETDOWN) before anything else in a receive call, which does not consume: so this needs no
	 * name, which may change, works from any network namespace, and shows recovery. SO_ERROR
	 * would tell a removal once only, and poll() never does. */
	const int err = xsk_kick_rx(s);

	if (err == -ENXIO)
		return sxsk_priv_fail(ENXIO, "%s: interface removed", s->q->device.name);
	if (err == -ENETDOWN)
		return sxsk_priv_fail(ENETDOWN, "%s: interface is down; set its link up",
				      s->q->device.name);
	return 0;
}

static void xsk_stats(struct sxsk_priv_socket *s, struct sxsk_kernel_stats *ret_stats)
{
	struct xdp_statistics found = { 0 }; /* kernels before 5.9 fill in the first three */
	socklen_t len = sizeof(found);

	memset(ret_stats, 0, sizeof(*ret_stats));
	if (getsockopt(s->fd, SOL_XDP, XDP_STATISTICS, &found, &len))
		return;
	ret_stats->rx_dropped = found.rx_dropped;
	ret_stats->rx_invalid_descs = found.rx_invalid_descs;
	ret_stats->tx_invalid_descs = found.tx_invalid_descs;
	ret_stats->rx_ring_full = found.rx_ring_full;
	ret_stats->rx_fill_ring_empty_descs = found.rx_fill_ring_empty_descs;
	ret_stats->tx_ring_empty_descs = found.tx_ring_empty_descs;
}

static bool xsk_gone(const struct sxsk_priv_device_id *id)
{
	char name[IF_NAMESIZE];

	/* Only the interface's own namespace can tell. An interface that left it was unregistered
	 * there, which took its sockets off it. */
	if (!id->netns || id->netns != sxsk_priv_netns_id())
		return false;
	return !if_indextoname(id->ifindex, name) && errno == ENXIO;
}

const struct sxsk_priv_device sxsk_priv_device_xsk = {
	.name = "AF_XDP",
	.identify = xsk_identify,
	.queues = xsk_queues,
	.open = xsk_open,
	.bind = xsk_bind,
	.steer = xsk_steer,
	.unsteer = xsk_unsteer,
	.close = xsk_close,
	.kick_tx = xsk_kick_tx,
	.kick_rx = xsk_kick_rx,
	.napi_id = sxsk_priv_napi_id,
	.error = xsk_error,
	.stats = xsk_stats,
	.gone = xsk_gone,
};
