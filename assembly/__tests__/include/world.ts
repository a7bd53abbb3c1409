// What the control thread would build: an arena with threads, regions of buffers, ports with rings and krings, pipes.
import {
  ARENA_ABI,
  ARENA_ABI_OFS,
  ARENA_MAGIC,
  ARENA_NTHREADS,
  ARENA_SIZE,
  ARENA_THREADS,
  KRING_BUFBASE,
  KRING_BUFSIZE,
  KRING_DIR,
  KRING_HWCUR,
  KRING_HWLEASE,
  KRING_HWTAIL,
  KRING_INDEX,
  KRING_KIND,
  KRING_LEASES,
  KRING_MAILTAIL,
  KRING_MODE,
  KRING_NBUFS,
  KRING_NSLOTS,
  KRING_PEER,
  KRING_PORT,
  KRING_RCUR,
  KRING_RHEAD,
  KRING_RING,
  KRING_RTAIL,
  KRING_SIZE,
  KRING_STATS,
  LEASE_SIZE,
  PORT_KIND,
  PORT_KIND_PIPE,
  PORT_MFS,
  PORT_NRX,
  PORT_NTX,
  PORT_RX,
  PORT_SIZE,
  PORT_TX,
  SCRATCH_SIZE,
  THREAD_ARENA,
  THREAD_ID,
  THREAD_LIVE,
  THREAD_MAX,
  THREAD_SCRATCH,
  THREAD_SEQ,
  THREAD_SIZE,
  THREAD_SPIN_LIMIT,
  THREAD_STATE,
} from '../../abi/arena';
import {
  NETMAP_RING_BUF_OFS,
  NETMAP_RING_CUR,
  NETMAP_RING_DIR,
  NETMAP_RING_HEAD,
  NETMAP_RING_NR_BUF_SIZE,
  NETMAP_RING_NUM_SLOTS,
  NETMAP_RING_RINGID,
  NETMAP_RING_SLOT,
  NETMAP_RING_TAIL,
  NETMAP_SLOT_SIZE,
  NR_RX,
  NR_TX,
} from '../../abi/netmap';
import { ringSync } from '../../sync/sync';
import { area, guarded } from './check';

/** A pool of buffers; indices 0 and 1 are never handed out. */
export class Region {
  next: u32 = 2;
  constructor(
    public base: usize,
    public nbufs: u32,
    public bufSize: u32,
  ) {}

  buf(idx: u32): usize {
    return this.base + <usize>idx * this.bufSize;
  }
}

/** `skew` moves the buffers off their alignment. */
export function newRegion(nbufs: u32, bufSize: u32, skew: u32 = 0): Region {
  const p = guarded(<usize>nbufs * bufSize + skew);
  memory.fill(p, 0xa5, <usize>nbufs * bufSize + skew);
  return new Region(p + skew, nbufs, bufSize);
}

function newArena(): usize {
  const arena = area(ARENA_SIZE + THREAD_MAX * THREAD_SIZE);
  store<u32>(arena, ARENA_MAGIC);
  store<u32>(arena, ARENA_ABI, ARENA_ABI_OFS);
  store<u32>(arena, <u32>arena + ARENA_SIZE, ARENA_THREADS);
  store<u32>(arena, THREAD_MAX, ARENA_NTHREADS);
  return arena;
}

const arena = newArena();

/** The record of thread `id`, attached if it was not. */
export function thread(id: u32): usize {
  const t = arena + ARENA_SIZE + <usize>id * THREAD_SIZE;
  if (load<u32>(t, THREAD_STATE) == THREAD_LIVE) return t;
  store<u32>(t, id, THREAD_ID);
  store<u32>(t, <u32>arena, THREAD_ARENA);
  store<u32>(t, <u32>guarded(SCRATCH_SIZE), THREAD_SCRATCH);
  store<u32>(t, 100, THREAD_SPIN_LIMIT);
  store<u32>(t, THREAD_LIVE, THREAD_STATE);
  return t;
}

/** The thread that runs the tests. */
export const self = thread(1);

export function seq(t: usize): u32 {
  return load<u32>(t, THREAD_SEQ);
}

/** A netmap_ring with `n` buffers of the region, all slots as long as a buffer. */
function newRing(region: Region, dir: u32, index: u32, n: u32): usize {
  const ring = guarded(<usize>n * NETMAP_SLOT_SIZE + NETMAP_RING_SLOT);
  store<u64>(ring, <u64>(<i64>region.base - <i64>ring), NETMAP_RING_BUF_OFS);
  store<u32>(ring, n, NETMAP_RING_NUM_SLOTS);
  store<u32>(ring, region.bufSize, NETMAP_RING_NR_BUF_SIZE);
  store<u16>(ring, index, NETMAP_RING_RINGID);
  store<u16>(ring, dir, NETMAP_RING_DIR);
  store<u32>(ring, dir == NR_TX ? n - 1 : 0, NETMAP_RING_TAIL);
  for (let i: u32 = 0; i < n; i++) {
    const slot = ring + NETMAP_RING_SLOT + <usize>i * NETMAP_SLOT_SIZE;
    store<u32>(slot, region.next++);
    store<u32>(slot, region.bufSize & 0xffff, 4);
  }
  return ring;
}

function fillKring(kr: usize, port: usize, kind: u32, dir: u32, index: u32, n: u32, region: Region): void {
  const ring = newRing(region, dir, index, n);
  const tail: u32 = dir == NR_TX ? n - 1 : 0;
  store<u32>(kr, <u32>ring, KRING_RING);
  store<u32>(kr, n, KRING_NSLOTS);
  store<u32>(kr, region.nbufs, KRING_NBUFS);
  store<u32>(kr, <u32>region.base, KRING_BUFBASE);
  store<u32>(kr, region.bufSize, KRING_BUFSIZE);
  store<u32>(kr, kind, KRING_KIND);
  store<u32>(kr, dir, KRING_DIR);
  store<u32>(kr, index, KRING_INDEX);
  store<u32>(kr, <u32>port, KRING_PORT);
  store<u32>(kr, 1, KRING_MODE);
  store<u32>(kr, tail, KRING_RTAIL);
  store<u32>(kr, tail, KRING_HWTAIL);
  store<u32>(kr, tail, KRING_MAILTAIL);
  if (dir == NR_RX) store<u32>(kr, <u32>guarded(<usize>n * LEASE_SIZE), KRING_LEASES);
}

/** A port with its rings open; the region has (ntx + nrx) * n buffers left for it. */
export function newPort(kind: u32, ntx: u32, nrx: u32, n: u32, region: Region): usize {
  const port = guarded(PORT_SIZE);
  const tx = guarded(<usize>ntx * KRING_SIZE);
  const rx = guarded(<usize>nrx * KRING_SIZE);
  for (let i: u32 = 0; i < nrx; i++) fillKring(rx + <usize>i * KRING_SIZE, port, kind, NR_RX, i, n, region);
  for (let i: u32 = 0; i < ntx; i++) fillKring(tx + <usize>i * KRING_SIZE, port, kind, NR_TX, i, n, region);
  store<u32>(port, kind, PORT_KIND);
  store<u32>(port, ntx, PORT_NTX);
  store<u32>(port, nrx, PORT_NRX);
  store<u32>(port, <u32>tx, PORT_TX);
  store<u32>(port, <u32>rx, PORT_RX);
  store<u32>(port, 1514, PORT_MFS);
  return port;
}

export function txKring(port: usize, i: u32 = 0): usize {
  return <usize>load<u32>(port, PORT_TX) + <usize>i * KRING_SIZE;
}

export function rxKring(port: usize, i: u32 = 0): usize {
  return <usize>load<u32>(port, PORT_RX) + <usize>i * KRING_SIZE;
}

/** A region that is large enough for `rings` rings of `n` slots, with `spare` more buffers. */
export function regionFor(rings: u32, n: u32, bufSize: u32 = 256, spare: u32 = 0): Region {
  return newRegion(2 + rings * n + spare, bufSize);
}

/** One end of a pipe with one ring each way; the other is `peerOf`. The rx rings name the buffers of the tx rings. */
export function newPipe(n: u32, bufSize: u32 = 256): usize {
  const region = regionFor(4, n, bufSize, 16);
  const a = newPort(PORT_KIND_PIPE, 1, 1, n, region);
  const b = newPort(PORT_KIND_PIPE, 1, 1, n, region);
  pair(txKring(a), rxKring(b), n);
  pair(txKring(b), rxKring(a), n);
  return a;
}

function pair(tx: usize, rx: usize, n: u32): void {
  store<u32>(tx, <u32>rx, KRING_PEER);
  store<u32>(rx, <u32>tx, KRING_PEER);
  memory.copy(slotAt(rx, 0), slotAt(tx, 0), <usize>n * NETMAP_SLOT_SIZE);
}

export function peerOf(port: usize): usize {
  return load<u32>(load<u32>(txKring(port), KRING_PEER), KRING_PORT);
}

// A ring as its application sees it, by the kring's address.

export function slots(kr: usize): u32 {
  return load<u32>(kr, KRING_NSLOTS);
}

export function slotAt(kr: usize, i: u32): usize {
  return <usize>load<u32>(kr, KRING_RING) + NETMAP_RING_SLOT + <usize>i * NETMAP_SLOT_SIZE;
}

export function slotIdx(kr: usize, i: u32): u32 {
  return load<u32>(slotAt(kr, i));
}

export function slotLen(kr: usize, i: u32): u32 {
  return load<u16>(slotAt(kr, i), 4);
}

export function slotFlags(kr: usize, i: u32): u32 {
  return load<u16>(slotAt(kr, i), 6);
}

export function setSlot(kr: usize, i: u32, idx: u32, len: u32, flags: u32): void {
  store<u32>(slotAt(kr, i), idx);
  store<u16>(slotAt(kr, i), <u16>len, 4);
  store<u16>(slotAt(kr, i), <u16>flags, 6);
}

/** Address of the buffer of slot i. */
export function bufOf(kr: usize, i: u32): usize {
  return <usize>load<u32>(kr, KRING_BUFBASE) + <usize>slotIdx(kr, i) * load<u32>(kr, KRING_BUFSIZE);
}

export function head(kr: usize): u32 {
  return load<u32>(load<u32>(kr, KRING_RING), NETMAP_RING_HEAD);
}

export function cur(kr: usize): u32 {
  return load<u32>(load<u32>(kr, KRING_RING), NETMAP_RING_CUR);
}

export function tail(kr: usize): u32 {
  return load<u32>(load<u32>(kr, KRING_RING), NETMAP_RING_TAIL);
}

export function setHead(kr: usize, h: u32, c: u32 = h): void {
  store<u32>(load<u32>(kr, KRING_RING), h, NETMAP_RING_HEAD);
  store<u32>(load<u32>(kr, KRING_RING), c, NETMAP_RING_CUR);
}

/** Slots between head and tail: space of a tx ring, packets' slots of an rx ring. */
export function avail(kr: usize): u32 {
  return (tail(kr) + slots(kr) - head(kr)) % slots(kr);
}

export function advance(kr: usize, k: u32): void {
  setHead(kr, (head(kr) + k) % slots(kr));
}

/** NIOCTXSYNC or NIOCRXSYNC by the tests' thread. */
export function sync(kr: usize): i32 {
  return ringSync(kr, self);
}

export function word(kr: usize, field: u32): u32 {
  return load<u32>(kr + field);
}

export function setWord(kr: usize, field: u32, value: u32): void {
  store<u32>(kr + field, value);
}

export function stat(kr: usize, which: u32): i64 {
  return load<i64>(kr + KRING_STATS + ((<usize>which) << 3));
}

/** Puts all indices of a quiet ring to `at`, as if that many slots had gone through it. */
export function turnTo(kr: usize, at: u32): void {
  const n = slots(kr);
  const t = load<u32>(kr, KRING_DIR) == NR_TX ? (at + n - 1) % n : at;
  setWord(kr, KRING_RHEAD, at);
  setWord(kr, KRING_RCUR, at);
  setWord(kr, KRING_HWCUR, at);
  setWord(kr, KRING_HWLEASE, at);
  setWord(kr, KRING_RTAIL, t);
  setWord(kr, KRING_HWTAIL, t);
  setWord(kr, KRING_MAILTAIL, t);
  setHead(kr, at);
  store<u32>(load<u32>(kr, KRING_RING), t, NETMAP_RING_TAIL);
}
