/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The objects behind the public cookies. A glossary:
 *
 *   word      the 64-bit state of a frame, see frame.h
 *   unit      a frame out of the depot, an owner or a socket: what keeps a pool alive
 *   holder    who has a free frame: the depot (0), a half's stock, a lane
 *   queue     FILL and COMPLETION ring of one (device, queue), shared by its sockets; its number is
 *             the "ring" in a frame's word, also after its close, while frames are in quarantine
 *   half      the RX or the TX side of a socket, one thread at a time
 *   slot      index of a pool or socket in type-stable memory; (slot, incarnation) is the cookie
 *
 * Everything a thread of another process image must not use after fork() lies in one block that the
 * kernel wipes in the child (MADV_WIPEONFORK): cookies no longer match there, views are empty, and
 * the locks are zero, which is unlocked.
 */
#ifndef SXSK_PRIV_INTERNAL_H
#define SXSK_PRIV_INTERNAL_H

#include "atomic.h"

#include <errno.h>
#include <linux/if_xdp.h>
#include <pthread.h>
#include <safexsk/safexsk.h>
#include <xdp/xsk.h>

#define CACHE_LINE 64
#define NIL 0xffffffu /* no frame: 24-bit index in links and the depot's head */
#define MAGAZINE_MAX 64u
#define STRUCT_MOST 4096u /* bytes: an sz beyond that was not set */
#define LANE_MAX 512u
#define BURST_CHUNK 64u
#define LANE_DETACHED 1ull /* no pool's cookie: those have a slot and an incarnation */
#define HOLDER_DEPOT 0u
#define KERNEL_HEADROOM 256u /* XDP_PACKET_HEADROOM: before received data, copy mode included */

/* ---- pool ----------------------------------------------------------------------------------------- */

/* pool->units: {owners 24, sockets 16, frames 24}; zero is death. */
#define UNIT_FRAME 1ull
#define UNIT_SOCKET (1ull << 24)
#define UNIT_OWNER (1ull << 40)
#define UNITS_FRAMES(u) ((uint32_t)((u)&0xffffffu))
#define UNITS_SOCKETS(u) ((uint32_t)((u) >> 24 & 0xffffu))
#define UNITS_OWNERS(u) ((uint32_t)((u) >> 40))

/* pool->attention */
#define ATTN_ORPHANED 1u /* no owner and no socket: for ever */
#define ATTN_HUNGRY 2u   /* somebody sleeps until a frame comes home */

/* A mapping of the library's own, guard pages included. */
struct sxsk_priv_mapping {
	unsigned char *data;
	void *addr;
	size_t len;
	void *alias; /* the same pages once more, or NULL */
	size_t page; /* bytes per page */
};

struct sxsk_priv_pool {
	_Alignas(CACHE_LINE) atomic_u64 units;
	_Alignas(CACHE_LINE) atomic_u64 depot; /* {tag 40, index 24}: top of the magazines' stack */
	/* From here on: written at creation and death, but for attention; shared by all readers. */
	_Alignas(CACHE_LINE) atomic_u64 cookie; /* (incarnation << 16 | slot); 0 = no pool here */
	atomic_u32 attention;
	uint32_t slot;
	atomic_u64 *words;   /* frame table: state words ... */
	atomic_u64 *links;   /* ... and links; type-stable, in this slot's reserved 20 MiB */
	unsigned char *base; /* packet memory */
	uint32_t count;      /* frames */
	uint32_t chunk;      /* bytes per frame */
	uint32_t shift;      /* log2(chunk); 0 = unaligned chunks */
	uint32_t headroom;   /* bytes, beyond KERNEL_HEADROOM */
	uint32_t magazine;   /* frames in a full magazine */
	uint32_t lane_max;   /* frames a lane may hold */
	uint32_t user_size;  /* bytes per user area */
	uint32_t flags;
	unsigned char *user;      /* user areas */
	uint32_t tx_metadata_len; /* bytes before the data, for the kernel; 0 = none */
	struct sxsk_priv_tx_request *tx_requests; /* per frame; NULL without */
	struct sxsk_priv_mapping memory, user_memory, request_memory;
	atomic_u32 kept; /* frames of the depot that are for sockets with a quota */
	atomic_u32
		lost; /* frames quarantined or retired: they have no unit, and are not in the depot */
	atomic_u32 harden; /* HARDEN_*, see harden.h; 0 = none. Atomic: a stale handle may look */
	struct sxsk_priv_track *track; /* per frame: history and traces, or NULL */
	struct sxsk_priv_mapping track_memory, fifo_memory;
	struct sxsk_priv_fifo *fifo; /* HARDEN_FIFO: the depot as a queue */
	unsigned char *
		kernel_base; /* packet memory as an in-process kernel side sees it: never guarded */
	size_t size;         /* bytes of packet memory: count * chunk */
	char name[32];
	uint64_t incarnation;     /* of this slot; grows at each creation */
	uint64_t next_generation; /* where this slot's next pool starts */
	int eventfd; /* written when a frame comes home to the hungry; kept with the slot */
	pthread_mutex_t lock;     /* the kernel's umem registration: one socket open at a time */
	atomic_u32 *notes;        /* behind the links, per frame: which queue a suspect waits for */
	pthread_mutex_t suspects; /* the notes */
};

/* ---- stocks, lanes and threads ---------------------------------------------------------------------- */

/* A stock of free frames that one thread at a time uses: a half's (at most two magazines) or a
 * thread's lane. A stack: the frame that came last leaves first, while it is in the cache. */
struct sxsk_priv_stock {
	uint32_t holder; /* its name in the frames' words */
	uint32_t cap;
	uint32_t n;
	uint32_t index[LANE_MAX];
};

/* A thread's own free frames of one pool. */
struct sxsk_priv_lane {
	uint64_t cookie; /* the pool's, or LANE_DETACHED; a lane of a dead pool is empty, reusable */
	struct sxsk_priv_lane *next;
	struct sxsk_priv_stock stock;
};

/* What the library knows of a thread: type-stable, listed for ever, reused after thread exit. */
struct sxsk_priv_thread {
	atomic_u64
		inside; /* the half (its address) this thread is in, or waits in; IN_LANE; 0 = none */
	atomic_u64 tending; /* another half that it works on meanwhile, see half.h */
	atomic_u32 tid;     /* 0 = free record */
	struct sxsk_priv_lane *lanes;
	struct sxsk_priv_socket
		*direct;        /* received from last: unref may go straight to its FILL ring */
	uint64_t direct_cookie; /* its cookie then */
	const char *file;       /* call site, where the program says so: safexsk/callsite.h */
	uint32_t line;
	uint32_t direct_slot; /* its pool's slot: a forked child must not look into the socket */
	atomic_u64 visiting;  /* the socket that it looks at, in none of its halves, see half.h */
	atomic_u32 waiting;   /* halves in waits[]: it is in sxsk_sockets_wait() */
	atomic_u64 waits[SXSK_WAIT_MOST];
	struct sxsk_priv_thread *next; /* in the list of all, set once */
};

/* ---- queue and socket ------------------------------------------------------------------------------- */

struct ring_map {
	void *addr;
	size_t len;
};

enum queue_state { QUEUE_FREE = 0, QUEUE_LIVE, QUEUE_QUARANTINE };

/* Whose rings: enough to tell whether a later open is of the same (device, queue). */
struct sxsk_priv_device_id {
	uint32_t ifindex; /* 0 for mem: */
	uint32_t queue;
	uint64_t netns; /* inode of the network namespace; for mem: the cable's serial number */
	char name[64];
};

/* A transmission that the word does not tell by itself (TX1 does): the frame has users or other
 * transmissions. Entries never move. */
struct sxsk_priv_ledger {
	uint32_t size;  /* entries, a power of two */
	uint32_t used;  /* entries in use */
	uint32_t free;  /* head of the free list */
	uint32_t *head; /* per bucket: first entry, or NIL */
	uint32_t *next; /* per entry */
	uint32_t *frame;
};

struct sxsk_priv_queue {
	uint32_t id;      /* 1.. */
	uint32_t state;   /* enum queue_state; under the registry's lock */
	uint32_t sockets; /* on it, opening and closing ones included; under the registry's lock */
	uint32_t bound;   /* one of them ever was: the kernel may have had frames; likewise */
	uint32_t gone;    /* its device is, whatever has the same index now; likewise */
	uint32_t flags;   /* what its sockets agree in: SXSK_SOCKET_SHARE_QUEUE */
	uint64_t pool;    /* cookie of the pool whose frames it has */
	struct sxsk_priv_device_id device;
	struct xsk_ring_prod fill;
	struct xsk_ring_cons comp;
	uint32_t fill_target;   /* frames to keep with the kernel */
	uint32_t fill_batch;    /* refill when it lacks so many */
	uint64_t fill_given;    /* frames put into FILL ever */
	uint64_t fill_returned; /* RX descriptors taken ever, refused ones included */
	uint64_t comp_given;    /* descriptors put into TX ever */
	uint64_t comp_returned; /* completions taken ever, refused ones included */
	struct sxsk_priv_ledger ledger;
	struct ring_map map[2]; /* FILL and COMPLETION, mapped */
	/* Of a queue that several sockets share: who is at the FILL ring and its counts, who at the
	 * COMPLETION ring, its counts and the ledger. */
	pthread_mutex_t fill_lock, comp_lock;
};

struct sxsk_priv_device; /* below */
struct sxsk_priv_prog;

/* in flags, behind the public ones */
#define SOCKET_BUSY_POLL (1u << 31) /* run the driver, see napi.h */
#define SOCKET_RX_METADATA                                                                         \
	(1u << 30) /* look at what lies before received packets, see metadata.h */

enum socket_state { SOCKET_FREE = 0, SOCKET_OPENING, SOCKET_OPEN, SOCKET_CLOSING };

struct sxsk_priv_half {
	atomic_u32
		busy; /* tid of the thread inside; two threads in one half are seen here, best effort */
	atomic_u32 owner; /* tid of the thread that was inside last */
	atomic_u32 direct; /* the owner may use this half's rings outside of its bursts, see half.h */
	uint32_t takeovers;
	uint32_t armed; /* bursts until the socket leaves `epoll`; 0 = it has left, see wait.c */
	struct sxsk_priv_stock stock;
	int epoll; /* what this half's waiter sleeps on, see wait.c */
	int wake_fd; /* eventfd: sxsk_socket_wake() and close end a wait with it; kept with the slot */
};

/* What the receive loop wants to know, see runs.h. Made at the first burst: until then, and always for a
 * hardened pool, count is 0. */
struct sxsk_priv_rx_run {
	atomic_u64 *words;
	const unsigned char *base;
	uint64_t back; /* from where the kernel puts data by itself to the chunk's start, negative */
	uint64_t filled; /* FILL(queue) */
	/* There are not enough registers for these: they are read where they are used. */
	uint64_t count; /* frames */
	uint64_t most;  /* bytes that fit where the kernel puts data */
	uint64_t view;  /* a handle's fields beside its id, but for the length */
	uint32_t shift; /* log2(chunk) */
	uint32_t ahead; /* prefetch packets: the thread that receives frees, too */
};

struct sxsk_priv_socket {
	/* Read by every call. */
	_Alignas(CACHE_LINE) atomic_u64 cookie;
	atomic_u32 state;  /* enum socket_state */
	atomic_u32 failed; /* -errno as a positive number, sticky: EPROTO, ENXIO */
	uint32_t slot;
	uint32_t flags;    /* SXSK_SOCKET_* */
	uint32_t quota;    /* its part of pool->kept */
	uint32_t metadata; /* SXSK_METADATA_* that its packets may ask for */
	uint32_t sharers; /* sockets being opened together that are still to be filled, itself included */
	struct sxsk_priv_pool *pool;
	atomic_u64 pool_cookie;
	struct sxsk_priv_queue *q;
	const struct sxsk_priv_device *device;

	_Alignas(CACHE_LINE) struct sxsk_priv_half rx;
	struct xsk_ring_cons rx_ring;
	struct sxsk_priv_rx_run rx_run;
	uint32_t rx_endless; /* in a packet longer than any: it is dropped up to its end */
	atomic_u64 rx_packets, rx_bytes, rx_refused, rx_broken, fill_starved, fill_given, rx_kicks;

	_Alignas(CACHE_LINE) struct sxsk_priv_half tx;
	struct xsk_ring_prod tx_ring;
	atomic_u64 tx_packets, tx_bytes, tx_completed, comp_refused, comp_duplicate;
	atomic_u64 drop_null, drop_misuse, drop_short, drop_pool, drop_limit, drop_metadata;
	atomic_u64 kicks, kick_again, kick_busy;
	uint32_t tx_most; /* Bufs of a packet that the kernel side takes; without multi-buffer, one */
	bool tx_untold; /* the TX ring's consumer may be further than the kernel says: device_xsk.c */

	/* Set up at open, used by the device and by slow paths. */
	_Alignas(CACHE_LINE) int fd; /* the AF_XDP socket, or the mem: device's event; for poll */
	uint32_t ring_size[4];       /* rx, tx, fill, comp: entries asked for, powers of two */
	uint32_t mode;               /* asked for, then in force */
	uint32_t attach;             /* asked for, then in force */
	uint32_t steer;
	uint32_t mtu;
	const struct sxsk_socket_opts *opts; /* while it is being opened, else NULL */
	struct sxsk_priv_prog *prog;         /* program in use, counted */
	uint32_t target;                     /* of the program's rules */
	struct sxsk_priv_napi *napi;         /* its interface's NAPI settings, counted; or NULL */
	void *device_data;                   /* the device's own */
	struct ring_map map[2];              /* RX and TX, mapped */
};

/* What differs between the kernel's AF_XDP and the in-process device. Bursts do not come here: both
 * have the same rings. All return 0 or -errno with the sentence in sxsk_last_error(). */
struct sxsk_priv_device {
	const char *name;
	/* Fill in q->device (identity) for this name and queue, check that they exist; s->mtu. */
	int (*identify)(const char *ifname, uint32_t queue, struct sxsk_priv_device_id *ret_id,
			uint32_t *ret_mtu);
	/* How many RX queues, or `tx` TX queues, this name has. 0 or -errno. */
	int (*queues)(const char *ifname, bool tx, uint32_t *ret_n);
	/* Create the socket and its rings (s->fd, s->rx_ring, s->tx_ring, q->fill, q->comp, the maps),
	 * register the pool's memory. On failure everything is undone. `donor` is a bound socket of the
	 * same pool whose umem registration can be shared, or NULL; of the same queue, whose FILL and
	 * COMPLETION are then this socket's too. */
	int (*open)(struct sxsk_priv_socket *s, struct sxsk_priv_socket *donor);
	/* Bind to the queue; FILL is already filled. Sets s->mode to the mode in force. -EBUSY: taken. */
	int (*bind)(struct sxsk_priv_socket *s, struct sxsk_priv_socket *donor);
	/* Attach the program / enter the XSKMAP; sets s->attach to what is in force. */
	int (*steer)(struct sxsk_priv_socket *s);
	/* Out of the XSKMAP: no packet comes any more that is not already in the rings. */
	void (*unsteer)(struct sxsk_priv_socket *s);
	/* Unmap the rings (FILL and COMPLETION with the queue's last socket), then close the socket. Also
	 * undoes a half-made open. */
	void (*close)(struct sxsk_priv_socket *s);
	/* One system call to start transmission. 0, -EAGAIN, -EBUSY, -ENETDOWN, -ENXIO, ... */
	int (*kick_tx)(struct sxsk_priv_socket *s);
	/* One system call to wake the receiver. */
	int (*kick_rx)(struct sxsk_priv_socket *s);
	/* The NAPI instance that busy polling runs, 0 = none; NULL: it never has one. */
	uint32_t (*napi_id)(struct sxsk_priv_socket *s);
	/* Is something wrong with the interface? 0, -ENETDOWN (down), -ENXIO (removed). */
	int (*error)(struct sxsk_priv_socket *s);
	/* The kernel's six counters. */
	void (*stats)(struct sxsk_priv_socket *s, struct sxsk_kernel_stats *ret_stats);
	/* Is the device provably gone, so that nobody writes to its frames any more? */
	bool (*gone)(const struct sxsk_priv_device_id *id);
};

extern const struct sxsk_priv_device sxsk_priv_device_xsk, sxsk_priv_device_mem;

/* In the order of ring_size: RX, TX, FILL, COMPLETION. */
static inline struct ring_map *ring_map_of(struct sxsk_priv_socket *s, unsigned ring)
{
	return ring < 2 ? &s->map[ring] : &s->q->map[ring - 2];
}

/* Around what the sockets of a queue have in common; nothing where there is one socket only. */
static inline void queue_lock(struct sxsk_priv_socket *s, pthread_mutex_t *lock)
{
	if (unlikely(s->flags & SXSK_SOCKET_SHARE_QUEUE))
		pthread_mutex_lock(lock);
}

static inline void queue_unlock(struct sxsk_priv_socket *s, pthread_mutex_t *lock)
{
	if (unlikely(s->flags & SXSK_SOCKET_SHARE_QUEUE))
		pthread_mutex_unlock(lock);
}

/* ---- registry: everything type-stable --------------------------------------------------------------- */

#define MAX_QUEUES 32767u /* live ones, and quarantine records */

/* A whole number of pages, since madvise(2) works on pages. */
#if defined(__x86_64__)
#define REGISTRY_ALIGN 4096
#else
#define REGISTRY_ALIGN 65536
#endif

struct sxsk_priv_registry {
	_Alignas(REGISTRY_ALIGN) struct sxsk_priv_views view;
	struct sxsk_priv_pool pool[SXSK_MAX_POOLS + 1];
	struct sxsk_priv_socket socket[SXSK_MAX_SOCKETS + 1];
	struct sxsk_priv_queue queue[MAX_QUEUES + 1];
	pthread_mutex_t
		lock; /* slots, queues, programs: opens, closes and creations, never a burst */
	struct sxsk_priv_napi *napi; /* NAPI settings of interfaces, see napi.h; under the lock */
	atomic_u32 alive; /* 1 in the process that initialised it; wiped in a forked child */
	atomic_u64 misuses;
};

_Static_assert((SXSK_MAX_SOCKETS & (SXSK_MAX_SOCKETS + 1)) == 0, "used as a mask");
extern struct sxsk_priv_registry sxsk_priv_registry __attribute__((visibility("hidden")));

/* registry.c */
int sxsk_priv_registry_init(void); /* first creation of anything; -errno */
bool sxsk_priv_forked(void);       /* this process is a child that inherited the registry */
bool sxsk_priv_pool_inherited(uint32_t slot); /* not this process's, but an ancestor's */
bool sxsk_priv_socket_inherited(uint32_t slot);
struct sxsk_priv_thread *sxsk_priv_thread_slow(void); /* NULL: no memory, or a forked child */
/* Is a thread in this half, or waiting in it, or visiting this socket? `self` is not looked at. */
bool sxsk_priv_thread_inside(const void *place, const struct sxsk_priv_thread *self);
/* Is this thread waiting in this half, among others? */
bool sxsk_priv_thread_waits(struct sxsk_priv_thread *t, const void *place);
bool sxsk_priv_thread_at(struct sxsk_priv_thread *t, const void *place); /* waiting included */
uint32_t sxsk_priv_pool_slot(void);    /* under the lock; 0 = none */
uint32_t sxsk_priv_socket_slot(void);  /* under the lock; 0 = none */
uint32_t sxsk_priv_queue_slot(void);   /* under the lock; 0 = none */
uint32_t sxsk_priv_lane_holder(void);  /* a number for a new lane; 0 = none */
uint32_t sxsk_priv_sockets_used(void); /* the highest slot ever used */
uint32_t sxsk_priv_queues_used(void);
void sxsk_priv_remember_fd(uint32_t socket_slot, int fd); /* for close in a forked child */
void sxsk_priv_close_in_child(uint32_t socket_slot);

extern __thread struct sxsk_priv_thread *sxsk_priv_thread_self
	__attribute__((tls_model("initial-exec")));

/* The calling thread's record; NULL only when there is no memory for one. */
static inline struct sxsk_priv_thread *thread_self(void)
{
	struct sxsk_priv_thread *t = sxsk_priv_thread_self;

	return likely(t != NULL) ? t : sxsk_priv_thread_slow();
}

/* error.c: sentences and misuse */
/* Set sxsk_last_error() and return -err (err positive). */
int sxsk_priv_fail(int err, const char *format, ...) __attribute__((format(printf, 2, 3)));
void sxsk_priv_misuse(enum sxsk_misuse_kind kind, const char *function, struct sxsk_priv_pool *pool,
		      uint32_t frame, const char *format, ...)
	__attribute__((format(printf, 5, 6), cold));
/* Misuse of a handle: looks at the frame and says what is wrong. */
void sxsk_priv_misuse_buf(struct sxsk_buf b, const char *function) __attribute__((cold));
/* Bytes of a name that a terminal would obey, or not show, become '?'. Returns text. */
char *sxsk_priv_printable(char *text);
/* Copy an option struct of the caller's version: unknown fields must be zero. */
int sxsk_priv_options(void *to, size_t size, const void *from, const char *what);

/* memory.c */
int sxsk_priv_map(struct sxsk_priv_mapping *m, size_t size, uint32_t flags, uint32_t numa_node,
		  const char *what);
int sxsk_priv_map_twice(struct sxsk_priv_mapping *m, size_t size, uint32_t numa_node);
void sxsk_priv_unmap(struct sxsk_priv_mapping *m);

/* pool.c */
struct sxsk_priv_pool *sxsk_priv_pool_of(struct sxsk_pool *cookie, const char *function);
bool sxsk_priv_units_take(struct sxsk_priv_pool *pool, uint64_t cookie, uint64_t units);
bool sxsk_priv_units_take_socket(struct sxsk_priv_pool *pool, uint64_t cookie);
void sxsk_priv_units_give(struct sxsk_priv_pool *pool, uint64_t units);
void sxsk_priv_units_give_socket(struct sxsk_priv_pool *pool);

/* depot.c */
void sxsk_priv_depot_push(struct sxsk_priv_pool *pool, const uint32_t index[], uint32_t n);
uint32_t sxsk_priv_depot_pop(struct sxsk_priv_pool *pool, uint32_t index[], uint32_t most);
bool sxsk_priv_depot_empty(struct sxsk_priv_pool *pool);

/* lane.c */
#define IN_LANE 1ull /* t->inside: busy with the thread's lanes */

/* A signal handler that interrupts this thread in its lane, or in a half, must leave the lane alone: it
 * finds `inside` set, and works with the depot, which is lock-free. False: we are such a handler. */
static inline bool lane_enter(struct sxsk_priv_thread *t)
{
	if (unlikely(load_relaxed(&t->inside)))
		return false;
	store_release(&t->inside, IN_LANE); /* release: as in half_enter */
	fence_compiler();
	return true;
}

static inline void lane_leave(struct sxsk_priv_thread *t)
{
	/* Release: the handler's reason, for the compiler; and as in half_enter. */
	store_release(&t->inside, 0);
}

struct sxsk_priv_lane *sxsk_priv_lane_slow(struct sxsk_priv_thread *t, uint64_t cookie);
uint32_t sxsk_priv_magazines_take(struct sxsk_priv_pool *pool, uint32_t index[], uint32_t most,
				  uint32_t quota);
uint32_t sxsk_priv_stock_pull(struct sxsk_priv_pool *pool, struct sxsk_priv_stock *stock);
void sxsk_priv_stock_spill(struct sxsk_priv_pool *pool, struct sxsk_priv_stock *stock, uint32_t n);
void sxsk_priv_lane_heed(struct sxsk_priv_pool *pool, struct sxsk_priv_lane *lane);
void sxsk_priv_lanes_of_exiting(struct sxsk_priv_thread *t);

/* The calling thread's lane of the pool with this cookie; NULL without one. */
static inline struct sxsk_priv_lane *lane_of(struct sxsk_priv_thread *t, uint64_t cookie)
{
	struct sxsk_priv_lane *lane = t->lanes;

	if (likely(lane == NULL || lane->cookie == cookie))
		return lane;
	return sxsk_priv_lane_slow(t, cookie);
}

/* wait.c: is the socket in its RX half's epoll? For the half's owner. */
int sxsk_priv_arm(struct sxsk_priv_socket *s); /* put it there; -errno */
void sxsk_priv_disarm(struct sxsk_priv_socket *s);

/* socket.c */
struct sxsk_priv_socket *sxsk_priv_socket_slow(struct sxsk_socket *cookie, const char *function)
	__attribute__((cold));

/* The socket of a cookie; NULL after misuse was reported. */
static inline struct sxsk_priv_socket *sxsk_priv_socket_of(struct sxsk_socket *cookie,
							   const char *function)
{
	uint64_t c = (uint64_t)(uintptr_t)cookie;
	struct sxsk_priv_socket *s = &sxsk_priv_registry.socket[c & SXSK_MAX_SOCKETS];

	if (likely(c != 0 && load_acquire(&s->cookie) == c))
		return s;
	return sxsk_priv_socket_slow(cookie, function);
}
void sxsk_priv_quarantine_sweep(void);
int sxsk_priv_no_partner(const struct sxsk_priv_queue *q); /* -EBUSY, with a sentence */

/* socket_opts.c */
int sxsk_priv_socket_options(struct sxsk_socket_opts *o, const struct sxsk_socket_opts *from);

/* burst.c */
/* Between "I am inside" and the look at the socket's state: the compiler only, since close runs
 * membarrier(2). Where the kernel has none, a full fence on this side too. */
extern atomic_u32 sxsk_priv_no_membarrier;
void sxsk_priv_membarrier_register(void);
void sxsk_priv_membarrier(void);
static inline void half_fence(void)
{
	if (unlikely(load_relaxed(&sxsk_priv_no_membarrier)))
		fence_seq_cst();
	else
		fence_compiler();
}
void sxsk_priv_set_fill_target(struct sxsk_priv_queue *q, uint32_t target);
void sxsk_priv_refill(struct sxsk_priv_socket *s, struct sxsk_priv_stock *stock, uint32_t least);
uint32_t sxsk_priv_tx_waiting(
	struct sxsk_priv_socket *s); /* descriptors that the kernel has not taken yet */
uint32_t sxsk_priv_reap(struct sxsk_priv_socket *s, struct sxsk_priv_stock *stock);
void sxsk_priv_kick(struct sxsk_priv_socket *s);
void sxsk_priv_kick_rx(struct sxsk_priv_socket *s);
void sxsk_priv_poison(struct sxsk_priv_socket *s);
static inline bool sxsk_priv_poisoned(const struct sxsk_priv_socket *s)
{
	return load_relaxed(&((struct sxsk_priv_socket *)(uintptr_t)s)->failed) == EPROTO;
}
/* Is it for this socket's own calls to get the driver to receive? */
static inline bool kicks_rx(const struct sxsk_priv_socket *s)
{
	return s->flags & SOCKET_BUSY_POLL || xsk_ring_prod__needs_wakeup(&s->q->fill);
}
#define TEND_OUT 1u  /* transmissions are under way */
#define TEND_LEFT 2u /* of them some that the kernel has not taken from the ring: kick again soon */
uint32_t sxsk_priv_tend(struct sxsk_priv_socket *s, struct sxsk_priv_stock *stock, bool spill);
uint32_t sxsk_priv_tend_own(struct sxsk_priv_socket *s, uint64_t cookie, struct sxsk_priv_thread *t,
			    struct sxsk_priv_stock *stock, bool spill);

/* prog.c: the program that steers packets to a socket */
struct sxsk_priv_steering {
	struct sxsk_prog *prog; /* NULL: the library's own of the interface, for all packets */
	int map_fd;             /* or an XSKMAP, not 0: whoever made it has a program */
	uint32_t ifindex;
	uint64_t netns; /* of the interface, and the thread's */
	const char *ifname;
	uint32_t attach;
	uint32_t metadata; /* SXSK_METADATA_RX_* that the program has to write */
};
/* Before the first system call: is it one, has it such a target, can it be attached so? 0 or -errno. */
int sxsk_priv_prog_check(const struct sxsk_prog *prog, uint32_t target, uint32_t attach);
/* 0 and *ret_prog, attached and counted as *ret_attach says; or -errno. */
int sxsk_priv_prog_get(const struct sxsk_priv_steering *wanted, struct sxsk_priv_prog **ret_prog,
		       uint32_t *ret_attach);
void sxsk_priv_prog_put(struct sxsk_priv_prog *prog);
/* The socket's entry in the program's XSKMAP. */
int sxsk_priv_prog_enter(struct sxsk_priv_prog *prog, uint32_t queue, uint32_t target, int fd);
void sxsk_priv_prog_leave(struct sxsk_priv_prog *prog, uint32_t queue, uint32_t target);

#endif
