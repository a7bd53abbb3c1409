// The interface's queues (src/ptnet/interface-{tx,rx,receive,header}.ts) over the twins of driver, switch and coalescing.
import { abi, type Capability, type NetmapRing, type PacketMetadata, type RxFrame, type TxFrame } from 'ptnet';
import { coalesceFlush, coalesceReset, receiveAdd } from './coalesce.js';
import { Lro } from './flow.js';
import { type Memory, memoryOf, notInTheBench } from './memory.js';
import { ptnetRxsync, ptnetTxsync } from './sync.js';

const { ETHERTYPE_IPV6, ETHERTYPE_QINQ, ETHERTYPE_VLAN, ETHER_TYPE, LRO_MAX_LIMIT, NS_MOREFRAG, RX_ALL } = abi;
const { VIRTIO_NET_HDR_F_MASK, VIRTIO_NET_HDR_F_NEEDS_CSUM, VIRTIO_NET_HDR_GSO_ECN, VIRTIO_NET_HDR_GSO_NONE } = abi;
const { VIRTIO_NET_HDR_GSO_TCPV4, VIRTIO_NET_HDR_GSO_TCPV6, VIRTIO_NET_HDR_MRG_LEN } = abi;
const HEADER = VIRTIO_NET_HDR_MRG_LEN;
const MAX_PACKET = 65536;
const QUEUE_LIMIT = 4096;
const BUDGET = 512;
const TX_BATCH = 64;
const STAGE_MIN = 512;
const BATCH_BYTES = 4 * (MAX_PACKET + HEADER);
/** Where a batch begins: address 0 would say that there is no header. */
const FIRST = 8;
const GSO_TYPES = [0, 1, 3, 4];
const NONE: PacketMetadata = Object.freeze({});
const CAPABILITIES: ReadonlySet<Capability> = new Set<Capability>(['txcsum', 'txcsum6', 'tso4', 'tso6']);

/** What both queues of a port need: its memory, guest kring and ring, and the doorbell. */
export interface TwinQueue {
  readonly mem: Memory;
  readonly gk: number;
  readonly ring: NetmapRing;
  readonly kick: () => void;
}

interface Counters {
  packets: number;
  bytes: number;
  multicasts: number;
}

/** All capabilities are on: this only finds that out. */
function checkTransmit(frame: Uint8Array, { flags = 0, gsoType = 0, vlan }: PacketMetadata): boolean {
  if (vlan !== undefined) notInTheBench();
  if ((flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) === 0 && gsoType === VIRTIO_NET_HDR_GSO_NONE) return true;
  const type = (frame[ETHER_TYPE] << 8) | frame[ETHER_TYPE + 1];
  if (type === ETHERTYPE_VLAN || type === ETHERTYPE_QINQ) notInTheBench();
  const checksum = CAPABILITIES.has(type === ETHERTYPE_IPV6 ? 'txcsum6' : 'txcsum');
  const gso = gsoType & ~VIRTIO_NET_HDR_GSO_ECN;
  if (gso === VIRTIO_NET_HDR_GSO_TCPV4) return checksum && CAPABILITIES.has('tso4');
  return checksum && (gso !== VIRTIO_NET_HDR_GSO_TCPV6 || CAPABILITIES.has('tso6'));
}

function checkMetadata(metadata: PacketMetadata, length: number): boolean {
  const { flags = 0, gsoType = 0, hdrLen = 0, gsoSize = 0, csumStart = 0, csumOffset = 0 } = metadata;
  const fields = [flags, gsoType, hdrLen, gsoSize, csumStart, csumOffset];
  for (const value of fields) if (!Number.isInteger(value) || value < 0 || value > 0xffff) return false;
  if ((flags & ~VIRTIO_NET_HDR_F_MASK) !== 0) return false;
  if (!GSO_TYPES.includes(gsoType & ~VIRTIO_NET_HDR_GSO_ECN) || gsoType > 0xff) return false;
  if (gsoType !== 0 && gsoSize === 0) return false;
  return ((flags & 1) === 0 || csumStart + csumOffset + 2 <= length) && hdrLen <= length;
}

function writeHeader(u8: Uint8Array, at: number, metadata: PacketMetadata): void {
  const { flags = 0, gsoType = 0, hdrLen = 0, gsoSize = 0, csumStart = 0, csumOffset = 0 } = metadata;
  u8[at] = flags;
  u8[at + 1] = gsoType;
  u8[at + 2] = hdrLen;
  u8[at + 3] = hdrLen >>> 8;
  u8[at + 4] = gsoSize;
  u8[at + 5] = gsoSize >>> 8;
  u8[at + 6] = csumStart;
  u8[at + 7] = csumStart >>> 8;
  u8[at + 8] = csumOffset;
  u8[at + 9] = csumOffset >>> 8;
  u8[at + 10] = 0;
  u8[at + 11] = 0;
}

function readHeader(u8: Uint8Array, at: number): PacketMetadata {
  if ((u8[at] | u8[at + 1]) === 0) return NONE;
  return {
    flags: u8[at],
    gsoType: u8[at + 1],
    hdrLen: u8[at + 2] | (u8[at + 3] << 8),
    gsoSize: u8[at + 4] | (u8[at + 5] << 8),
    csumStart: u8[at + 6] | (u8[at + 7] << 8),
    csumOffset: u8[at + 8] | (u8[at + 9] << 8),
  };
}

export class TwinTx {
  readonly counters: Counters = { packets: 0, bytes: 0, multicasts: 0 };
  readonly #queue: TwinQueue;
  readonly #minSpace: number;
  readonly #staging = new Uint8Array(MAX_PACKET + HEADER);
  #waiting: TxFrame[] = [];
  #next = 0;
  #unpublished = 0;

  constructor(queue: TwinQueue) {
    this.#queue = queue;
    this.#minSpace = Math.ceil(MAX_PACKET / queue.ring.bufSize) + 2;
  }

  transmitBatch(frames: readonly TxFrame[]): number {
    for (const { data, metadata } of frames) {
      if (data.length < 14 || data.length > MAX_PACKET) notInTheBench();
      if (metadata && !(checkMetadata(metadata, data.length) && checkTransmit(data, metadata))) notInTheBench();
    }
    for (const frame of frames) {
      if (this.#waiting.length - this.#next >= QUEUE_LIMIT) notInTheBench();
      this.#waiting.push(frame);
    }
    let sent = 0;
    while (this.#next !== this.#waiting.length) {
      if (this.#queue.ring.space < this.#minSpace && !this.#reclaim()) notInTheBench();
      this.#putFrame(this.#waiting[this.#next++]);
      if (++sent % TX_BATCH === 0) this.#publish();
    }
    if (sent % TX_BATCH !== 0) this.#publish();
    this.#waiting = [];
    this.#next = 0;
    return frames.length;
  }

  offer(packet: Uint8Array): number {
    if (packet.length < HEADER + 14 || packet.length > MAX_PACKET + HEADER) notInTheBench();
    if (this.#queue.ring.space < this.#minSpace && !this.#reclaim()) notInTheBench();
    this.#put(packet, 0, HEADER);
    if (++this.#unpublished === TX_BATCH) this.push();
    return 0;
  }

  push(): void {
    if (this.#unpublished === 0) return;
    this.#unpublished = 0;
    this.#publish();
  }

  #publish(): void {
    ptnetTxsync(this.#queue.mem, this.#queue.gk, 0, this.#queue.kick);
  }

  #reclaim(): boolean {
    const { ring } = this.#queue;
    ring.cur = ring.tail;
    this.#publish();
    const enough = ring.space >= this.#minSpace;
    if (enough) ring.cur = ring.head;
    return enough;
  }

  #putFrame({ data, metadata = NONE }: TxFrame): void {
    // As in ours: between addresses that differ modulo 8, an engine copies shared memory byte by byte.
    if (data.length > STAGE_MIN && ((data.byteOffset - HEADER) & 7) !== 0) {
      this.#staging.set(data, HEADER);
      writeHeader(this.#staging, 0, metadata);
      this.#put(this.#staging.subarray(0, HEADER + data.length), 0, HEADER);
      return;
    }
    const { ring } = this.#queue;
    writeHeader(ring.u8, ring.bufAddress(ring.head), metadata);
    this.#put(data, HEADER, 0);
  }

  #put(data: Uint8Array, used: number, start: number): void {
    const { ring } = this.#queue;
    const { u8, i32, slotBase, bufSize, numSlots } = ring;
    let i = ring.head;
    for (let from = 0; from < data.length; used = 0) {
      const n = Math.min(bufSize - used, data.length - from);
      u8.set(n === data.length ? data : data.subarray(from, from + n), ring.bufAddress(i) + used);
      from += n;
      i32[slotBase + 4 * i + 1] = (used + n) | (from === data.length ? 0 : NS_MOREFRAG << 16);
      i = i + 1 === numSlots ? 0 : i + 1;
    }
    ring.head = i;
    ring.cur = i;
    this.counters.packets++;
    this.counters.bytes += data.length - start;
    if (data[start] & 1) this.counters.multicasts++;
  }
}

/** Makes of a packet what the handler gets. */
export type Make<T> = (memory: Uint8Array, at: number, length: number) => T;

export const toFrame: Make<RxFrame> = (memory, at, length) => {
  const type = at + HEADER + ETHER_TYPE;
  if (((memory[type] << 8) | memory[type + 1]) === ETHERTYPE_VLAN) notInTheBench(); // into the metadata
  return { data: memory.subarray(at + HEADER, at + length), metadata: readHeader(memory, at) };
};

export const toPacket: Make<Uint8Array> = (memory, at, length) => memory.subarray(at, at + length);

export class TwinRx {
  readonly counters: Counters = { packets: 0, bytes: 0, multicasts: 0 };
  readonly #queue: TwinQueue;
  readonly #mem = memoryOf(new ArrayBuffer(FIRST + ((BATCH_BYTES + 7) & ~7)));
  readonly #lro = new Lro();

  constructor(queue: TwinQueue) {
    this.#queue = queue;
  }

  receive<T>(make: Make<T>, handler: (frames: T[]) => void): void {
    for (let taken = 0; taken < BUDGET; ) {
      this.#sync();
      coalesceReset(this.#lro, LRO_MAX_LIMIT, RX_ALL);
      const count = this.#collect(BUDGET - taken);
      if (count === 0) return;
      taken += count;
      this.#sync();
      handler(this.#finish(make));
    }
  }

  #sync(): void {
    ptnetRxsync(this.#queue.mem, this.#queue.gk, 0, this.#queue.kick);
  }

  #collect(limit: number): number {
    const { ring } = this.#queue;
    const { u8 } = this.#mem;
    let count = 0;
    for (let used = FIRST; count < limit && ring.head !== ring.tail; count++) {
      const end = this.#packetEnd();
      if (end < 0 || used + MAX_PACKET + HEADER > u8.length) break;
      const length = this.#copy(end, used);
      receiveAdd(this.#mem, this.#lro, used, length);
      this.counters.packets++;
      this.counters.bytes += length - HEADER;
      if (u8[used + HEADER] & 1) this.counters.multicasts++;
      used += (length + 7) & ~7;
      ring.head = end;
      ring.cur = end;
    }
    return count;
  }

  #packetEnd(): number {
    const { i32, slotBase, numSlots, head, tail } = this.#queue.ring;
    for (let i = head; i !== tail; ) {
      const more = (i32[slotBase + 4 * i + 1] >>> 16) & NS_MOREFRAG;
      i = i + 1 === numSlots ? 0 : i + 1;
      if (more === 0) return i;
    }
    return -1;
  }

  #copy(end: number, to: number): number {
    const { i32, u8, slotBase, bufBase, bufSize, numBufs, numSlots, head } = this.#queue.ring;
    let length = 0;
    for (let i = head; i !== end; i = i + 1 === numSlots ? 0 : i + 1) {
      const idx = i32[slotBase + 4 * i] >>> 0;
      const len = i32[slotBase + 4 * i + 1] & 0xffff;
      if (idx < 2 || idx >= numBufs || len > bufSize || length + len > MAX_PACKET + HEADER) notInTheBench();
      const at = bufBase + idx * bufSize;
      this.#mem.u8.set(u8.subarray(at, at + len), to + length);
      length += len;
    }
    return length;
  }

  /** The packets of the batch, each behind its header. All capabilities are on, so that none is cut or completed. */
  #finish<T>(make: Make<T>): T[] {
    const { u8 } = this.#mem;
    const { iov, outs } = this.#lro;
    const count = coalesceFlush(this.#mem, this.#lro);
    return Array.from({ length: count }, (_, i) => {
      const out = outs[i];
      if (out.pieces !== 1) notInTheBench(); // to be put together
      const at = iov[out.iov] - HEADER;
      writeHeader(u8, at, out);
      return make(u8, at, HEADER + out.len);
    });
  }
}
