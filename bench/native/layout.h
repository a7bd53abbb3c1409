// The structures of the native twin. What an application or a guest sees (slot, ring, CSB) is laid out as in
// assembly/abi, byte for byte; the host's own structs have the same fields on the same cache lines, with pointers of
// 8 bytes where the Wasm side has addresses of 4.
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

#define LINE _Alignas(64)
#define COLD __attribute__((noinline, cold))

enum { NS_BUF_CHANGED = 1, NS_INDIRECT = 0x10, NS_MOREFRAG = 0x20, NS_RFRAGS_SHIFT = 8 };
enum { NR_RX = 0, NR_TX = 1 };
enum { NAF_FORCE_READ = 1, NAF_FORCE_RECLAIM = 2 };
enum { BATCH = 1024, MAX_FRAGS = 64, MAX_RINGS = 16, BROADCAST = 254, NOPORT = 255 };
enum { EIO_ = 5, EBUSY_ = 16 };

// A slot's first word (buf_idx, len, flags) is read once, as one load: no compiler may read it again after the checks.
struct slot {
  _Atomic u64 word;
  u64 ptr;
};
#define SLOT_IDX(w) ((u32)(w))
#define SLOT_LEN(w) ((u32)((w) >> 32) & 0xffff)
#define SLOT_FLAGS(w) ((u32)((w) >> 48))

static inline u64 slot_word(const struct slot *s) { return atomic_load_explicit(&s->word, memory_order_relaxed); }
// A slot's index or flags alone: after a store to len and flags, a load of the whole word would wait for that store to retire.
static inline u32 slot_idx(const struct slot *s) { return *(const volatile u32 *)s; }
static inline u32 slot_flags(const struct slot *s) { return ((const volatile u16 *)s)[3]; }
static inline void slot_set_len_flags(struct slot *s, u32 v) { ((volatile u32 *)s)[1] = v; }
static inline void slot_set_flags(struct slot *s, u16 v) { ((volatile u16 *)s)[3] = v; }

struct ring {
  int64_t buf_ofs;
  u32 num_slots, nr_buf_size;
  u16 ringid, dir;
  volatile u32 head, cur, tail;
  u32 flags;
  u8 pad[220];
  struct slot slot[];
};
_Static_assert(offsetof(struct ring, head) == 20 && offsetof(struct ring, slot) == 256, "netmap's ring");

enum {
  STAT_PACKETS,
  STAT_BYTES,
  STAT_SYNCS,
  STAT_REINITS,
  STAT_BAD_SLOT,
  STAT_KICKS,
  STAT_INTERRUPTS,
  STAT_FORWARDED,
  STAT_DROP_SHORT,
  STAT_DROP_SELF,
  STAT_DROP_NO_PORT,
  STAT_DROP_NO_SPACE,
  STAT_DROP_BAD_SLOT,
  STAT_DROP_TOO_LONG,
  STAT_DROP_FRAGS,
  STAT_DROP_BUSY,
  STAT_DROP_HEADER,
  STAT_DELIVERED,
  STAT_DELIVERED_BYTES,
  STAT_COUNT
};

struct lease {
  _Atomic u32 state;
  u32 owner, start, end;
};
enum { LEASE_FREE, LEASE_OPEN, LEASE_DONE };
enum { RUN = 0, LOCKED = 3 };
enum { KIND_PIPE = 2, KIND_VALE = 3 };

struct port;
struct kloop;

struct kring {
  LINE struct ring *ring;
  u8 *bufbase;
  struct port *port;
  struct kring *peer;
  struct lease *leases;
  _Atomic(struct kloop *) loop;
  u32 nslots, nbufs, bufsize;
  u8 kind, dir, index, mode;
  _Atomic u32 stop;
  // written by the thread that holds the ring
  LINE _Atomic u32 busy;
  u32 rhead, rcur, rtail;
  _Atomic u32 hwcur;
  u32 hwtail, syncs;
  // written by others
  LINE _Atomic u32 mailtail;
  _Atomic u32 lock;
  u32 hwlease;
  _Atomic u32 lease_head;
  u32 lease_tail;
  LINE _Atomic u64 waiters, watchers;
  _Atomic u32 contended;
  u32 event; // the ring's bit in its loop's event word
  LINE _Atomic u64 stats[STAT_COUNT];
};

struct bridge;
struct port {
  u32 kind, ntx, nrx, index, hdrlen, mfs;
  struct kring *tx, *rx;
  _Atomic(struct bridge *) bridge;
  u64 last_src;
  _Atomic u64 *last_src_entry;
};

enum { FDB_BUCKETS_LOG2 = 10, FDB_WAYS = 8 };
struct bridge {
  _Atomic u64 *fdb;
  _Atomic u32 lock;
  u64 fdb_full;
  LINE _Atomic(struct port *) ports[254];
};

// Working memory of one thread's switch. An entry is 16 bytes, as in the Wasm.
struct entry {
  u8 *addr;
  u16 len, frags;
  union {
    u16 dest;    // what the lookup decided
    u16 run_end; // once queued, in a run's first entry
  };
  u16 next;
};
_Static_assert(sizeof(struct entry) == 16, "one entry, a quarter of a line");
struct queue {
  u32 head, tail, slots, packets;
};
enum { BROADCAST_QUEUE = 254 * 16, NQUEUES = 255 * 16, QUEUE_END = 0xffff };
struct scratch {
  struct entry entries[BATCH + MAX_FRAGS];
  struct queue queues[NQUEUES];
  u32 dests[NQUEUES];
};

// The communication status block, 64 bytes an entry, one writer a line.
struct atok {
  LINE _Atomic u32 head;
  _Atomic u32 cur, appl_need_kick, sync_flags;
};
struct ktoa {
  LINE _Atomic u32 hwcur;
  _Atomic u32 hwtail, kern_need_kick;
};

enum { LOOP_IDLE, LOOP_RUNNING };
enum { MODE_BUSY, MODE_NOTIFY, MODE_DIRECT };
struct thread;
enum { EVENT_REST = 31 };
#define EVENT_ALL 0xffffffffu

struct kloop {
  // read-mostly, but for the events, which notifiers look at before they set them
  LINE _Atomic u32 state;
  _Atomic u32 event;
  u32 budget;
  u8 mode, ntx, nrx, irqs_on;
  struct atok *atok;
  struct ktoa *ktoa;
  struct thread *thread, *guest;
  struct kring *tx, *rx;
  // written by the thread that runs the loop
  _Atomic u32 irq_pending;
  _Atomic u32 owner;
  u32 passes;
  u64 interrupts; // delivered to the guest
};
_Static_assert(offsetof(struct kloop, irq_pending) == 64, "two lines, as in assembly/abi");

enum { MAX_LOOPS = 512 };
struct thread {
  LINE _Atomic u32 seq;
  _Atomic u32 sleepers;
  LINE u32 id;
  u32 spin_limit;
  struct scratch *scratch;
  struct thread *threads;
  _Atomic u32 attention, nloops, passes;
  u32 doorbells;
  bool due; // it has itself set an event of a loop that it runs
  _Atomic(struct kloop *) loops[MAX_LOOPS];
  u32 ndevices;
  struct kloop *devices[2]; // those of the guests that run here
};

// The guest driver's kring.
struct gkring {
  LINE struct ring *ring;
  struct atok *atok;
  struct ktoa *ktoa;
  u32 nslots, rhead, rcur, rtail, hwcur, hwtail, irq_off, reinits;
};
