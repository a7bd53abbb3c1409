// What becomes of received packets before the stack gets them: checksums are validated or completed, segments are merged
// (LRO) or packets cut, as the enabled capabilities say. The packets of a batch lie in a memory of the interface's own, as
// nobody else can change them there, and the Wasm works on it.

import { ETHER_HDR_LEN, ETHERTYPE_IPV6 } from '../../assembly/abi/ether.js';
import {
  IOV_ADDR,
  IOV_LEN,
  IOV_SIZE,
  LRO_MAX_LIMIT,
  LRO_OUT,
  LRO_SIZE,
  OUT_IOV,
  OUT_LEN,
  OUT_PIECES,
  OUT_SIZE,
  OUT_VNET,
  RECEIVE_CSUM,
  RECEIVE_HEADER,
  RECEIVE_SHORT,
  RX_CSUM,
  RX_CSUM6,
  RX_LRO,
  SEG_MAX_LEN,
  SEG_SIZE,
} from '../../assembly/abi/offload.js';
import {
  VIRTIO_NET_HDR_CSUM_OFFSET,
  VIRTIO_NET_HDR_CSUM_START,
  VIRTIO_NET_HDR_F_DATA_VALID,
  VIRTIO_NET_HDR_F_NEEDS_CSUM,
  VIRTIO_NET_HDR_GSO_NONE,
  VIRTIO_NET_HDR_GSO_TYPE,
  VIRTIO_NET_HDR_MRG_LEN,
} from '../../assembly/abi/virtio-net.js';
import { compileModule, instantiate, type WasmApi } from '../wasm/module.js';
import { etherTypeOf } from './interface-frame.js';
import { LONGEST_PACKET, type Packet } from './interface-header.js';

/** Why a received packet was dropped. */
export type ReceiveDrop =
  /** Shorter than its headers. */
  | 'short'
  /** Longer than the longest packet (64 KiB). */
  | 'long'
  /** A slot with an impossible buffer index or length. */
  | 'slot'
  /** A virtio-net header with unknown flags or type, or without a segment size. */
  | 'header'
  /** The checksum was to go outside the frame. */
  | 'csum'
  /** To be cut, and not possible: not TCP or UDP, malformed, or into too many pieces. */
  | 'gso';

/** Bytes of packets that a stack gets at once. */
const BATCH_BYTES = 4 * LONGEST_PACKET;
/** Pieces that a packet may be cut into: a hostile segment size must not make a batch endless. */
const MAX_SEGMENTS = 512;
const PAGE = 65536;

const align8 = (n: number): number => (n + 7) & ~7;

const LRO = 1024;
const SEGMENTER = align8(LRO + LRO_SIZE);
const SEGMENT = SEGMENTER + SEG_SIZE;
const IN = SEGMENT + align8(LONGEST_PACKET);
const OUT = IN + align8(BATCH_BYTES);
/** Merged packets are shorter than their pieces. */
const SIZE = OUT + align8(BATCH_BYTES);

const REASONS: Readonly<Record<number, ReceiveDrop>> = {
  [-RECEIVE_SHORT]: 'short',
  [-RECEIVE_HEADER]: 'header',
  [-RECEIVE_CSUM]: 'csum',
};

/** The packets of a batch, one after the other. Used again for the next one. */
export class ReceiveBatch {
  readonly u8: Uint8Array;
  readonly headerLength: number;
  readonly #view: DataView;
  readonly #wasm: WasmApi | undefined;
  #caps = 0;
  #packets: Packet[] = [];
  #used = 0;

  /** @param headerLength bytes of virtio-net header in front of each frame: 0 (then nothing is looked at), 10 or 12 */
  constructor(headerLength: number) {
    this.headerLength = headerLength;
    if (headerLength === 0) {
      this.u8 = new Uint8Array(BATCH_BYTES);
    } else {
      const pages = Math.ceil(SIZE / PAGE);
      const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
      this.#wasm = instantiate(compileModule(false), memory);
      this.u8 = new Uint8Array(memory.buffer);
    }
    this.#view = new DataView(this.u8.buffer);
  }

  /** @param caps RX_*: what is done with the packets of this batch */
  begin(caps: number): void {
    this.#caps = caps;
    this.#packets = [];
    this.#used = this.#wasm ? IN : 0;
    this.#wasm?.coalesceReset(LRO, LRO_MAX_LIMIT, caps);
  }

  /** Where the next packet goes, with room for the longest one; -1 when the batch is full. */
  reserve(): number {
    const end = this.#wasm ? OUT : this.u8.length;
    return this.#used + LONGEST_PACKET <= end ? this.#used : -1;
  }

  /** The packet of `length` bytes that was written there belongs to the batch, unless there is a reason to drop it. */
  add(length: number): ReceiveDrop | undefined {
    const at = this.#used;
    if (this.#wasm) {
      const result = this.#wasm.receiveAdd(LRO, at, length, this.headerLength);
      if (result !== 0) return REASONS[result];
    } else {
      if (length < ETHER_HDR_LEN) return 'short';
      this.#packets.push({ u8: this.u8, at, length });
    }
    this.#used += align8(length); // at other distances the next copy into it would be one of single bytes
    return undefined;
  }

  /** The packets for the stack, valid until the next `begin`. @param onDrop is told of those that could not be cut */
  finish(onDrop: (reason: ReceiveDrop) => void): readonly Packet[] {
    if (!this.#wasm) return this.#packets;
    const count = this.#wasm.coalesceFlush(LRO);
    this.#used = OUT;
    for (let i = 0; i < count; i++) {
      const out = LRO + LRO_OUT + i * OUT_SIZE;
      const reason = this.#deliver(this.#wasm, out);
      if (reason) onDrop(reason);
    }
    return this.#packets;
  }

  #word(address: number): number {
    return this.#view.getUint32(address, true);
  }

  /** One packet of the batch, as the stack wants it. */
  #deliver(wasm: WasmApi, out: number): ReceiveDrop | undefined {
    const vnet = out + OUT_VNET;
    const flags = this.u8[vnet];
    const isGso = this.u8[vnet + VIRTIO_NET_HDR_GSO_TYPE] !== VIRTIO_NET_HDR_GSO_NONE;
    if (flags !== 0 || isGso) {
      const first = this.#word(this.#word(out + OUT_IOV) + IOV_ADDR);
      const isV6 = etherTypeOf(this.u8, first, this.#word(out + OUT_LEN)).type === ETHERTYPE_IPV6;
      const knows = (this.#caps & (isV6 ? RX_CSUM6 : RX_CSUM)) !== 0;
      if (isGso && !(knows && (this.#caps & RX_LRO) !== 0)) return this.#cut(wasm, out, knows);
      if (!knows) this.#complete(wasm, out, flags);
    }
    this.#place(out);
    return undefined;
  }

  /** For a stack that knows nothing of virtio-net headers: the checksum is put in, and the header says nothing. */
  #complete(wasm: WasmApi, out: number, flags: number): void {
    const vnet = out + OUT_VNET;
    if (flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) {
      const start = this.#view.getUint16(vnet + VIRTIO_NET_HDR_CSUM_START, true);
      const offset = this.#view.getUint16(vnet + VIRTIO_NET_HDR_CSUM_OFFSET, true);
      wasm.offloadComplete(this.#word(out + OUT_IOV), this.#word(out + OUT_PIECES), start, offset);
    }
    this.u8.fill(0, vnet, vnet + VIRTIO_NET_HDR_MRG_LEN);
  }

  /** Puts the header in front of a packet, and a merged packet's pieces together. */
  #place(out: number): void {
    const { u8, headerLength } = this;
    const pieces = this.#word(out + OUT_PIECES);
    const length = headerLength + this.#word(out + OUT_LEN);
    const iov = this.#word(out + OUT_IOV);
    let at = this.#word(iov + IOV_ADDR) - headerLength;
    if (pieces > 1) {
      at = this.#used;
      this.#used += align8(length);
      let to = at + headerLength;
      for (let i = 0; i < pieces; i++) {
        const piece = iov + i * IOV_SIZE;
        const from = this.#word(piece + IOV_ADDR);
        const size = this.#word(piece + IOV_LEN);
        u8.copyWithin(to, from, from + size);
        to += size;
      }
    }
    u8.copyWithin(at, out + OUT_VNET, out + OUT_VNET + headerLength);
    this.#packets.push({ u8, at, length });
  }

  /** Cuts a packet into frames with complete checksums, in memory of their own: they may be longer than all that came. */
  #cut(wasm: WasmApi, out: number, knowsChecksums: boolean): ReceiveDrop | undefined {
    const iov = this.#word(out + OUT_IOV);
    const count = wasm.segmentPrepare(iov, this.#word(out + OUT_PIECES), out + OUT_VNET, LRO_MAX_LIMIT, SEGMENTER);
    if (count <= 0 || count > MAX_SEGMENTS) return 'gso';
    const room = align8(this.headerLength + this.#word(SEGMENTER + SEG_MAX_LEN));
    const u8 = new Uint8Array(count * room);
    for (let at = 0; at < u8.length; at += room) {
      const size = wasm.segmentNext(SEGMENTER, SEGMENT, LONGEST_PACKET);
      if (knowsChecksums) u8[at] = VIRTIO_NET_HDR_F_DATA_VALID;
      u8.set(this.u8.subarray(SEGMENT, SEGMENT + size), at + this.headerLength);
      this.#packets.push({ u8, at, length: this.headerLength + size });
    }
    return undefined;
  }
}
