// The arena ABI: ours, versioned, private to the host. Guests never see these structs; every address in them is an
// absolute address in the arena's memory. Fields are 32 bit unless a comment says otherwise.

export const ARENA_MAGIC = 0x4e54504e; // "NPTN"
export const ARENA_ABI = 1;

// struct arena: one per arena, 64 bytes, then the thread table
export const ARENA_MAGIC_OFS = 0;
export const ARENA_ABI_OFS = 4;
export const ARENA_THREADS = 8; // address of the thread table
export const ARENA_NTHREADS = 12; // records in it
export const ARENA_SIZE = 64;

// struct thread: one per attached thread. Thread ids are 1..63; 0 means "none" and is the value of a free lock.
//   line 0: written by wakers      line 1: written by the thread and by the control thread
export const THREAD_SEQ = 0; // the waiter word: incremented by every event that concerns the thread
export const THREAD_SLEEPERS = 4; // not 0: waits may be pending on THREAD_SEQ that nobody has notified
export const THREAD_STATE = 64; // THREAD_FREE and on
export const THREAD_ID = 68;
export const THREAD_ARENA = 72;
export const THREAD_SCRATCH = 76; // address of struct scratch
export const THREAD_TOKEN = 80; // handle token that the thread attached with
export const THREAD_ATTENTION = 84; // ATTENTION_ALL, or bits of those loops that have interrupts for the thread
export const THREAD_SPIN_LIMIT = 88; // polls of a contended lock before giving up
export const THREAD_NLOOPS = 92; // entries of THREAD_LOOPS in use (holes are 0)
export const THREAD_PASSES = 96; // odd while the thread is in a pass over its loops
export const THREAD_LOOKUPS = 100; // lookups of the user's that the thread has: entries 1 and on of its function table
export const THREAD_LOOKING = 104; // number of the batch that a lookup of the user's decides on, 0 = none
export const THREAD_LOOKUP_AT = 108; // index of the entry that it decides on
export const THREAD_LOOKED = 112; // THREAD_SEQ when all loops became due last, plus what the thread itself has added since
export const THREAD_DUE = 120; // u64, the thread's own: bit i = its next pass looks at the loops in the places i, i + 64, …
export const THREAD_REQ_STATE = 128; // request slot: REQ_IDLE, REQ_POSTED, REQ_TAKEN, REQ_DONE
export const THREAD_REQ_LEN = 132; // bytes of JSON in the slot
export const THREAD_REQ_PTR = 136; // where they are: in the slot, or in memory of the control thread's for a long answer
export const THREAD_REQ_DATA = 192;
export const THREAD_REQ_SIZE = 7744;
export const THREAD_LOOPS = 7936; // THREAD_MAX_LOOPS addresses of the struct kloop that this thread serves, 0 = hole
export const THREAD_MAX_LOOPS = 512;
export const THREAD_SIZE = 10240;
export const THREAD_MAX = 64;

export const THREAD_FREE = 0;
export const THREAD_CLAIMED = 1; // being set up; the bits from THREAD_CLAIM_SHIFT on are the token
export const THREAD_LIVE = 2;
export const THREAD_LEAVING = 3; // has said that it ends
export const THREAD_LEFT = 4; // the control thread knows that it has ended
export const THREAD_CLAIM_SHIFT = 3;

export const ATTENTION_ALL = 1; // requests, or anything: look at everything
export const ATTENTION_LOOPS = 31; // bits for interrupts, from bit 1 on

export const REQ_IDLE = 0;
export const REQ_POSTED = 1;
export const REQ_TAKEN = 2;
export const REQ_DONE = 3;

// struct kring: the trusted twin of a ring, 512 bytes, 64-byte aligned
//   line 0: set up by the control thread, read-mostly
export const KRING_RING = 0; // address of the netmap_ring, 0 = none (fake or unbound)
export const KRING_NSLOTS = 4;
export const KRING_NBUFS = 8; // objtotal of the region's buffer pool
export const KRING_BUFBASE = 12; // address of buffer 0
export const KRING_BUFSIZE = 16;
export const KRING_KIND = 20; // PORT_KIND_*, with KRING_MONITORED
export const KRING_DIR = 24; // NR_RX, NR_TX
export const KRING_INDEX = 28;
export const KRING_PORT = 32; // address of struct port
export const KRING_PEER = 36; // address of the kring at the other end: of a pipe, of a link; monitors: the ring they pull
export const KRING_LEASES = 40; // rx rings that others copy into: address of the lease array, nslots entries of LEASE_SIZE
export const KRING_MODE = 44; // 1 = in netmap mode
export const KRING_STOP = 48; // KRING_RUN, KRING_STOPPED, KRING_LOCKED
export const KRING_LOOP = 52; // address of the struct kloop that runs this ring, 0 = none
export const KRING_ELSE = 56; // links, tx: where frames go while KRING_GATE is closed. NIC rx: the host stack. 0 = nowhere
export const KRING_GATE = 60; // links, tx: address of the kring whose mode decides, 0 = always KRING_PEER
//   line 1: written by the thread that holds the ring
export const KRING_BUSY = 64; // thread id of the holder, 0 = free
export const KRING_RHEAD = 68;
export const KRING_RCUR = 72;
export const KRING_RTAIL = 76;
export const KRING_HWCUR = 80;
export const KRING_HWTAIL = 84;
export const KRING_SYNCS = 88; // incremented at each release: tells the control thread that a sync has ended
//   line 2: written by others
export const KRING_MAILTAIL = 128; // the mailbox: hwtail as the other side (pipe peer, switch) last published it
export const KRING_LOCK = 132; // VALE rx: holder of the lease lock
export const KRING_HWLEASE = 136; // VALE rx: first slot not leased
export const KRING_LEASE_HEAD = 140; // VALE rx: oldest lease not yet published
export const KRING_LEASE_TAIL = 144; // VALE rx: next lease
export const KRING_ASKED = 148; // polled tx rings: 1 + the head that a txsync has found no way to hand over, 0 = none
//   line 3: who is to be woken; who watches; packet offsets
export const KRING_WAITERS = 192; // u64: bit t set = thread t waits for this ring
export const KRING_CONTENDED = 200; // somebody found the ring busy: its waiters are woken when it is free
export const KRING_MONITORS = 204; // address of the first struct monitor, 0 = none
export const KRING_ZMON = 208; // address of the rx kring of the first zero-copy monitor, 0 = none
export const KRING_OFS_MAX = 212; // largest packet offset; larger ones are cropped
export const KRING_OFS_MASK = 216; // u64: bits of a slot's ptr that are the packet's offset in its buffer, 0 = no offsets
export const KRING_WATCHERS = 224; // u64: bit t set = thread t runs the kernel loop of a monitor of this ring
export const KRING_EVENT = 232; // the ring's bit in KLOOP_EVENT of its loop
//   line 4 and on: counters, u64 each
export const KRING_STATS = 256;
export const KRING_SIZE = 512;

export const KRING_RUN = 0;
export const KRING_STOPPED = 2;
export const KRING_LOCKED = 3;

// counters of a kring: index of a u64 behind KRING_STATS
export const STAT_PACKETS = 0; // tx rings of VALE ports: packets that left the ring. Pipes, rx: that were taken from the peer
export const STAT_BYTES = 1; // their bytes
export const STAT_SYNCS = 2;
export const STAT_REINITS = 3; // prologue failures
export const STAT_BAD_SLOT = 4; // slots with an index or a length out of range
export const STAT_KICKS = 5; // doorbells of this ring
export const STAT_INTERRUPTS = 6; // interrupts raised for this ring
export const STAT_FORWARDED = 7; // VALE tx: copies delivered (a broadcast counts once per destination, segmented or not)
// drops by reason, on the tx kring of the source
export const STAT_DROP_SHORT = 8; // frame shorter than an Ethernet header
export const STAT_DROP_SELF = 9; // destination is the port it came from
export const STAT_DROP_NO_PORT = 10; // destination or source port is gone, not in netmap mode, or has no such ring
export const STAT_DROP_NO_SPACE = 11; // destination ring full
export const STAT_DROP_BAD_SLOT = 12; // frame with a bad slot. Pipes, on the rx kring: bad slots of the peer
export const STAT_DROP_TOO_LONG = 13; // does not fit the destination's buffers
export const STAT_DROP_FRAGS = 14; // more than NETMAP_MAX_FRAGS slots
export const STAT_DROP_BUSY = 15; // the destination ring's lock stayed taken
export const STAT_DROP_HEADER = 16; // malformed virtio-net header, or no frame behind it
export const STAT_DROP_GSO = 17; // to be segmented for the destination, and cannot be
// rx krings of VALE ports, added atomically by all senders
export const STAT_DELIVERED = 18; // packets put into the ring; of a packet that was segmented, its segments
export const STAT_DELIVERED_BYTES = 19;
// and two more drops, on the tx kring of the source
export const STAT_DROP_FILTERED = 20; // a lookup of the user's has decided so
export const STAT_DROP_LOOKUP = 21; // a lookup of the user's has failed
// VALE tx: packets for everybody, and how many copies of them were due: packets - flooded + flood copies = forwarded + drops
export const STAT_FLOODED = 22;
export const STAT_FLOOD_COPIES = 23;
export const STAT_COUNT = 24;

// entry of the lease array of a VALE rx ring
export const LEASE_STATE = 0; // LEASE_FREE, LEASE_OPEN, LEASE_DONE
export const LEASE_OWNER = 4; // thread id
export const LEASE_START = 8; // first slot
export const LEASE_END = 12; // slot after the last
export const LEASE_SIZE = 16;
export const LEASE_FREE = 0;
export const LEASE_OPEN = 1;
export const LEASE_DONE = 2;

// struct port
export const PORT_KIND = 0;
export const PORT_ID = 4;
export const PORT_NTX = 8;
export const PORT_NRX = 12;
export const PORT_TX = 16; // address of the first tx kring
export const PORT_RX = 20; // address of the first rx kring
export const PORT_BRIDGE = 24; // VALE: address of struct bridge, 0 = not attached
export const PORT_BDG_INDEX = 28; // VALE: index on the bridge
export const PORT_HDR_LEN = 32; // virtio-net header length: 0, 10, 12
export const PORT_MFS = 36; // maximum frame size: what packets for this port are segmented to
export const PORT_LAST_SRC = 40; // u64: last source address learned from this port
export const PORT_LAST_SRC_ENTRY = 48; // address of its forwarding table entry
export const PORT_FWD = 52; // NICs: 1 = forward every released frame (dev.netmap.fwd)
export const PORT_RANGES = 64; // NS_INDIRECT: PORT_RANGES_MAX entries of u64, address | length << 32, 0 = free
export const PORT_RANGES_MAX = 16;
export const PORT_SIZE = 192;

export const PORT_KIND_NULL = 1;
export const PORT_KIND_PIPE = 2;
export const PORT_KIND_VALE = 3;
export const PORT_KIND_NIC = 4; // NIC rings: tx waits for the wire
export const PORT_KIND_LINK = 5; // host rings, and the ends of a NIC's wire and host stack: tx never waits
export const PORT_KIND_MONITOR = 6;
export const PORT_KIND_POLLED = 7; // in KRING_KIND, wire tx: a poller hands to the switch what its owner publishes
export const PORT_KIND_MASK = 0xff;
export const KRING_MONITORED = 0x100; // in KRING_KIND: syncs of this ring are watched

// struct monitor: a copy monitor's ring on a ring that it watches
export const MONITOR_NEXT = 0;
export const MONITOR_RING = 4; // the monitor's rx kring
export const MONITOR_TAIL = 8; // watched rx rings: up to where it has seen
export const MONITOR_SIZE = 64;

// struct bridge
export const BRIDGE_ACTIVE = 0; // address of the active list: u32 count, u32 port index...
export const BRIDGE_FDB = 4; // address of the forwarding table
export const BRIDGE_LOCK = 8; // holder of the learning lock
export const BRIDGE_LOOKUP = 12; // which lookup decides: 0 = the learning switch, else an entry of the threads' tables
export const BRIDGE_FDB_FULL = 16; // u64: addresses not learned for want of room
export const BRIDGE_PORTS = 64; // 254 addresses of struct port, 0 = free
export const BRIDGE_LIST_A = 1088; // the two active lists that BRIDGE_ACTIVE alternates between
export const BRIDGE_LIST_B = 2176;
export const BRIDGE_SIZE = 3264;

// forwarding table: FDB_BUCKETS buckets, one cache line each, of 8 u64 entries: mac | (port + 1) << 48, 0 = free
export const FDB_BUCKET_SHIFT = 6;
export const FDB_BUCKETS_LOG2 = 10;
export const FDB_BUCKETS = 1024;
export const FDB_WAYS = 8;
export const FDB_SIZE = 65536;

// what a lookup of the user's returns: port | ring << 8, with NM_BDG_BROADCAST and NM_BDG_NOPORT as ports, or
export const LOOKUP_LEARN = 0x1000; // what the learning switch would do
export const LOOKUP_MAX_DEST = 0xfff; // the highest port | ring << 8

// struct scratch: working memory of one thread's switch, between gather, classify and deliver
export const SCRATCH_ENTRY_SIZE = 16;
export const SCRATCH_ADDR = 0; // address of the fragment's bytes
export const SCRATCH_LEN = 4; // u16
export const SCRATCH_FRAGS = 6; // u16: slots of the packet, in its first entry
export const SCRATCH_DEST = 8; // port | ring << 8: what the lookup decided
export const SCRATCH_RUN_END = 8; // once queued, in the first entry of a run: index after the run's last entry
export const SCRATCH_NEXT = 12; // once queued, in the first entry of a run: first entry of the next run, or QUEUE_END
export const SCRATCH_ENTRIES = 0; // NM_BDG_BATCH + NETMAP_MAX_FRAGS entries
export const SCRATCH_QUEUES = 17408; // a queue per port and ring (port * 16 + ring), then the broadcast queue
export const SCRATCH_QUEUE_SIZE = 16;
export const QUEUE_HEAD = 0; // first entry of the first run
export const QUEUE_TAIL = 4; // first entry of the last run
export const QUEUE_SLOTS = 8; // slots in it
export const QUEUE_PACKETS = 12; // packets in it, 0 = empty
export const SCRATCH_BROADCAST = 4064; // index of the broadcast queue: NM_BDG_BROADCAST * NM_BDG_MAXRINGS
export const SCRATCH_DESTS = 82688; // u32 list of queue indices in use
export const SCRATCH_TRANSLATION = 99072; // struct translation
export const SCRATCH_SIZE = 165824;

// struct translation: a queue on its way to a port with a virtio-net header of another length
export const TRANS_SRC_HDR_LEN = 0; // header length of the source
export const TRANS_DST_HDR_LEN = 4; // and of the destination
export const TRANS_MFS = 8; // bytes of the longest segment
export const TRANS_ROOM = 12; // bytes that fit a slot of the destination
//   the packets to come: of the unicast and then of the broadcast queue
export const TRANS_UNICAST = 16;
export const TRANS_BROADCAST = 28;
export const WALK_PACKET = 0; // entry of the next packet, or QUEUE_END
export const WALK_RUN_END = 4; // entry behind its run
export const WALK_NEXT_RUN = 8; // entry of the run after it, or QUEUE_END
//   the packet at hand, as the destination will get it
export const TRANS_SLOTS = 40;
export const TRANS_FRAMES = 44; // frames that it makes
export const TRANS_BYTES = 48; // bytes in all of its slots
export const TRANS_IS_GSO = 52;
export const TRANS_CSUM_START = 56; // byte of the frame where summing starts; without a sum, behind the end of any
export const TRANS_CSUM_AT = 60; // byte of the frame where the checksum goes
export const TRANS_HDR = 64; // the virtio-net header: read once, 12 bytes
export const TRANS_IOV = 128; // NETMAP_MAX_FRAGS pairs: the fragments without the header
export const TRANS_SEGMENTER = 640; // struct segmenter
export const TRANS_SEGMENT = 1216; // a segment that is too long for one slot of the destination
export const TRANS_SEGMENT_SIZE = 65536;
export const TRANS_SIZE = 66752;

// struct kloop: one per passed-through port, and one for the rings that a thread polls
//   line 0: read-mostly, but for the events, which notifiers look at before they set them
export const KLOOP_STATE = 0; // KLOOP_*: the word by which rings are handed to a thread and taken back
export const KLOOP_EVENT = 4; // bit i: ring i (tx rings first) was kicked, or its port has notified
export const KLOOP_MODE = 8; // KLOOP_MODE_*
export const KLOOP_NTX = 12;
export const KLOOP_NRX = 16;
export const KLOOP_ATOK = 20; // address of the atok array
export const KLOOP_KTOA = 24; // address of the ktoa array
export const KLOOP_THREAD = 28; // address of the thread record that serves it
export const KLOOP_GUEST = 32; // address of the thread record that takes interrupts, 0 = none
export const KLOOP_BUDGET = 40; // slots per ring and activation
export const KLOOP_TX = 44; // address of the first tx kring
export const KLOOP_RX = 48;
export const KLOOP_IRQS_ON = 52; // 0 = no interrupts wanted (no irqfd)
export const KLOOP_WATCHES = 60; // 1 = of a monitor: what arrives for the rings that it watches tells its thread, not the loop
//   line 1: written by the thread that runs the loop
export const KLOOP_IRQ_PENDING = 64; // bit i = vector i
export const KLOOP_STARTS = 68; // how many times it was started
export const KLOOP_SEEN = 72; // THREAD_SEQ of its thread when it last looked
export const KLOOP_PORT_GONE = 76; // 1 = the interface was taken away: the guest's driver is told
export const KLOOP_PLACE = 80; // its place in the list of its thread
export const KLOOP_ATTENTION = 84; // its bit in the THREAD_ATTENTION of the thread that takes interrupts; others may have the same
export const KLOOP_OWNER = 88; // thread id while somebody works on the loop, 0 = free
export const KLOOP_PASSES = 92; // how many times somebody has
export const KLOOP_SIZE = 128;

export const KLOOP_EVENT_REST = 31; // the bit of all rings from number 31 on
export const KLOOP_EVENT_ALL = 0xffffffff;

export const KLOOP_IDLE = 0;
export const KLOOP_RUNNING = 1;

export const KLOOP_MODE_BUSY = 0;
export const KLOOP_MODE_NOTIFY = 1;
export const KLOOP_MODE_DIRECT = 2;
export const KLOOP_MODE_POLL = 3; // no CSB: hands the tx rings to the switch, without a pause (VALE polling)

// struct gkring: the guest driver's kring, in guest RAM, 64 bytes
export const GKRING_RING = 0;
export const GKRING_NSLOTS = 4;
export const GKRING_ATOK = 8;
export const GKRING_KTOA = 12;
export const GKRING_RHEAD = 16;
export const GKRING_RCUR = 20;
export const GKRING_RTAIL = 24;
export const GKRING_HWCUR = 28;
export const GKRING_HWTAIL = 32;
export const GKRING_IRQ_OFF = 36; // notifications administratively off
export const GKRING_REINITS = 40;
export const GKRING_SIZE = 64;
