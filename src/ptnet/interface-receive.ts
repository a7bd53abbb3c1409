// What becomes of received packets before the stack gets them: checksums are validated or completed, segments are merged
// (LRO) or packets cut, as the enabled capabilities say (assembly/packet/receive.ts). The packets of a batch lie in a memory
// of the interface's own, as nobody else can change them there, and the Wasm works on it.

import { ETHER_HDR_LEN, ETHERTYPE_IPV6 } from '../../assembly/abi/ether.js';
import {
  IOV_SIZE,
  LRO_DROPS,
  LRO_MAX_FRAMES,
  LRO_MAX_LIMIT,
  LRO_OUT,
  LRO_SIZE,
  OUT_FIRST,
  OUT_IOV,
  OUT_LEN,
  OUT_SIZE,
  RECEIVE_CSUM,
  RECEIVE_HEADER,
  RECEIVE_SHORT,
  RX_CSUM,
  RX_CSUM6,
  SEG_MAX_LEN,
  SEG_SIZE,
} from '../../assembly/abi/offload.js';
import { VIRTIO_NET_HDR_F_DATA_VALID } from '../../assembly/abi/virtio-net.js';
import { compileModule, instantiate, type WasmApi } from '../wasm/module.js';
import { etherTypeOf } from './interface-frame.js';
import { LONGEST_PACKET, type MakeReceived } from './interface-header.js';

/** Why a received packet was dropped. */
export type ReceiveDrop =
  /** Shorter than its headers. */
  | 'short'
  /** Longer than the longest packet (64 KiB), or than the ring. */
  | 'long'
  /** A slot with an impossible buffer index or length. */
  | 'slot'
  /** A virtio-net header with unknown flags or type, or without a segment size. */
  | 'header'
  /** The checksum was to go outside the frame. */
  | 'csum'
  /** To be cut, and not possible: not TCP or UDP, malformed, or into too many pieces. */
  | 'gso';

/** Packets of a batch. */
export const BATCH_PACKETS = LRO_MAX_FRAMES;
/** Bytes of them. */
const BATCH_BYTES = 4 * LONGEST_PACKET;
/** Pieces that a packet may be cut into: a hostile segment size must not make a batch endless. */
const MAX_SEGMENTS = 512;
/** The same of all packets of a batch: more than those with any real segment size are cut into. */
const BATCH_SEGMENTS = 8192;
const PAGE = 65536;

const align8 = (n: number): number => (n + 7) & ~7;

const LRO = 1024;
const LIST = align8(LRO + LRO_SIZE);
const PAIR = LIST + BATCH_PACKETS * IOV_SIZE;
const SEGMENTER = PAIR + IOV_SIZE;
const SEGMENT = SEGMENTER + SEG_SIZE;
const IN = SEGMENT + align8(LONGEST_PACKET);
const OUT = IN + align8(BATCH_BYTES);
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
  readonly #i32: Int32Array;
  readonly #wasm: WasmApi | undefined;
  #count = 0;
  #segments = 0;
  #used = 0;

  /** @param headerLength bytes of virtio-net header in front of each frame: 0 (then nothing is looked at), 10 or 12 */
  constructor(headerLength: number) {
    this.headerLength = headerLength;
    const pages = Math.ceil(SIZE / PAGE);
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
    if (headerLength !== 0) this.#wasm = instantiate(compileModule(false), memory);
    this.u8 = new Uint8Array(memory.buffer);
    this.#i32 = new Int32Array(memory.buffer);
  }

  begin(): void {
    this.#count = 0;
    this.#segments = 0;
    this.#used = IN;
  }

  /** Where the next packet goes, with room for the longest one; -1 when the batch is full. */
  reserve(): number {
    return this.#used + LONGEST_PACKET <= OUT && this.#count < BATCH_PACKETS ? this.#used : -1;
  }

  /** The packet of `length` bytes that was written there belongs to the batch. */
  add(length: number): void {
    const pair = (LIST >>> 2) + 2 * this.#count++;
    this.#i32[pair] = this.#used;
    this.#i32[pair + 1] = length;
    this.#used += align8(length); // at other distances the next copy into it would be one of single bytes
  }

  /**
   * What the stack gets, valid until the next `begin`.
   * @param caps RX_*: what is done with the packets
   */
  finish<T>(caps: number, make: MakeReceived<T>, onDrop: (reason: ReceiveDrop) => void): T[] {
    return this.#wasm ? this.#offload(this.#wasm, caps, make, onDrop) : this.#asTheyAre(make, onDrop);
  }

  #asTheyAre<T>(make: MakeReceived<T>, onDrop: (reason: ReceiveDrop) => void): T[] {
    const received: T[] = [];
    for (let i = 0, pair = LIST >>> 2; i < this.#count; i++, pair += 2) {
      const length = this.#i32[pair + 1];
      if (length < ETHER_HDR_LEN) onDrop('short');
      else received.push(make(this.u8, this.#i32[pair], length, 0));
    }
    return received;
  }

  #offload<T>(wasm: WasmApi, caps: number, make: MakeReceived<T>, onDrop: (reason: ReceiveDrop) => void): T[] {
    const count = wasm.receiveBatch(LRO, LIST, this.#count, this.headerLength, caps, OUT);
    if (this.#i32[(LRO + LRO_DROPS) >>> 2] !== 0) {
      for (let i = 0, pair = LIST >>> 2; i < this.#count; i++, pair += 2) {
        if (this.#i32[pair] === 0) onDrop(REASONS[this.#i32[pair + 1]]);
      }
    }
    const received: T[] = [];
    for (let i = 0, out = (LRO + LRO_OUT) >>> 2; i < count; i++, out += OUT_SIZE >>> 2) {
      const at = this.#i32[out + (OUT_IOV >>> 2)];
      const length = this.#i32[out + (OUT_LEN >>> 2)];
      if (this.#i32[out + (OUT_FIRST >>> 2)] === 0) {
        received.push(make(this.u8, at, length, this.headerLength));
      } else if (!this.#cut(wasm, caps, at, length, make, received)) {
        onDrop('gso');
      }
    }
    return received;
  }

  /** Cuts a packet into frames with complete checksums, in memory of their own: they may be longer than all that came. */
  #cut<T>(wasm: WasmApi, caps: number, at: number, length: number, make: MakeReceived<T>, received: T[]): boolean {
    const { headerLength } = this;
    const frame = at + headerLength;
    this.#i32.set([frame, length - headerLength], PAIR >>> 2);
    const count = wasm.segmentPrepare(PAIR, 1, at, LRO_MAX_LIMIT, SEGMENTER);
    if (count <= 0 || count > MAX_SEGMENTS || this.#segments + count > BATCH_SEGMENTS) return false;
    this.#segments += count;
    const isV6 = etherTypeOf(this.u8, frame, length - headerLength).type === ETHERTYPE_IPV6;
    const flags = caps & (isV6 ? RX_CSUM6 : RX_CSUM) ? VIRTIO_NET_HDR_F_DATA_VALID : 0;
    const room = align8(headerLength + this.#i32[(SEGMENTER + SEG_MAX_LEN) >>> 2]);
    const u8 = new Uint8Array(count * room);
    for (let to = 0; to < u8.length; to += room) {
      const size = wasm.segmentNext(SEGMENTER, SEGMENT, LONGEST_PACKET);
      u8[to] = flags;
      u8.set(this.u8.subarray(SEGMENT, SEGMENT + size), to + headerLength);
      received.push(make(u8, to, headerLength + size, headerLength));
    }
    return true;
  }
}
