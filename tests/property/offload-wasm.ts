// The offload functions over a memory of their own, by arrays instead of addresses. Every frame ends with the memory, or is
// followed by bytes that must stay as they are, so that reading or writing too far does not go unnoticed.

import assert from 'node:assert/strict';
import * as abi from '../../src/abi.js';
import { compileModule, instantiate } from '../../src/wasm/module.js';
import type { Frame, Output, Vnet } from './offload-coalesce-oracle.js';
import type { Parsed } from './offload-oracle.js';

export interface OffloadApi {
  checksumAddIov(iov: number, n: number, from: number, sum: bigint): bigint;
  checksumCopy(dst: number, src: number, len: number, sum: bigint): bigint;
  checksumFold(sum: bigint): number;
  checksumUpdate16(check: number, before: number, after: number): number;
  checksumUpdate32(check: number, before: number, after: number): number;
  coalesceAdd(lro: number, frame: number, len: number, vnet: number): number;
  coalesceBatch(lro: number, frames: number, n: number, limit: number): number;
  coalesceFlush(lro: number): number;
  coalesceReset(lro: number, limit: number, caps: number): void;
  offloadComplete(iov: number, n: number, start: number, offset: number): number;
  offloadValidate(frame: number, packet: number): number;
  packetParse(frame: number, len: number, packet: number): number;
  segmentNext(state: number, dst: number, dstSize: number): number;
  segmentPrepare(iov: number, n: number, hdr: number, limit: number, state: number): number;
  vnetBuild(hdr: number, packet: number, gsoSize: number): number;
  vnetRead(src: number, dst: number): number;
  vnetWrite(
    hdr: number,
    flags: number,
    gsoType: number,
    hdrLen: number,
    gsoSize: number,
    csumStart: number,
    csumOffset: number,
  ): void;
}

const PAGES = 64;
const NOISE = 0xa5;
const PACKET = 64;
const VNET = 128;
const STATE = 192;
const LRO = 1024;
const IOV = 32768;
const OUT = 65536;
const FRAMES = 262144;

/** Cuts a packet of `length` bytes: the places, in any order and as often as they come, as fractions. */
export type Cuts = readonly number[];

export class Offload {
  readonly memory: WebAssembly.Memory;
  readonly api: OffloadApi;
  readonly bytes: Uint8Array;
  readonly view: DataView;

  constructor(shared: boolean) {
    this.memory = new WebAssembly.Memory({ initial: PAGES, maximum: PAGES, shared });
    this.api = instantiate(compileModule(shared), this.memory) as unknown as OffloadApi;
    this.bytes = new Uint8Array(this.memory.buffer);
    this.view = new DataView(this.memory.buffer);
  }

  /** The frame as the last bytes of the memory: reading behind it traps. */
  putLast(frame: Uint8Array): number {
    const at = this.bytes.length - frame.length;
    this.bytes.set(frame, at);
    return at;
  }

  /** The frame in pieces, apart from each other, the last one at the end of the memory. Returns how many. */
  putPieces(frame: Uint8Array, cuts: Cuts): number {
    const places = [0, ...cuts.map((cut) => Math.floor(cut * frame.length)).sort((a, b) => a - b), frame.length];
    let at = FRAMES;
    for (let i = 0; i + 1 < places.length; i++) {
      const piece = frame.subarray(places[i], places[i + 1]);
      const last = i + 2 === places.length;
      const address = last ? this.putLast(piece) : at;
      this.bytes.fill(NOISE, at, at + piece.length + 37);
      this.bytes.set(piece, address);
      this.view.setUint32(IOV + i * 8, address, true);
      this.view.setUint32(IOV + i * 8 + 4, piece.length, true);
      at += piece.length + 1 + ((i * 7) % 37);
    }
    return places.length - 1;
  }

  takePieces(n: number): Uint8Array {
    return this.#gather(IOV, n);
  }

  #gather(iov: number, n: number): Uint8Array {
    const parts: number[] = [];
    for (let i = 0; i < n; i++) {
      const at = this.view.getUint32(iov + i * 8, true);
      parts.push(...this.bytes.subarray(at, at + this.view.getUint32(iov + i * 8 + 4, true)));
    }
    return Uint8Array.from(parts);
  }

  parse(frame: Uint8Array): Parsed {
    this.bytes.fill(NOISE, PACKET, PACKET + abi.PACKET_SIZE);
    const result = this.api.packetParse(this.putLast(frame), frame.length, PACKET);
    const field = (offset: number): number => this.view.getUint32(PACKET + offset, true);
    assert.equal(this.view.getInt32(PACKET + abi.PACKET_RESULT, true), result);
    return {
      result,
      flags: field(abi.PACKET_FLAGS),
      l3: field(abi.PACKET_L3),
      l4: field(abi.PACKET_L4),
      hdrLen: field(abi.PACKET_HDR_LEN),
      payload: field(abi.PACKET_PAYLOAD),
      end: field(abi.PACKET_END),
      l3Proto: this.view.getUint16(PACKET + abi.PACKET_L3_PROTO, true),
      l4Proto: this.bytes[PACKET + abi.PACKET_L4_PROTO],
      vlans: this.bytes[PACKET + abi.PACKET_VLANS],
    };
  }

  validate(frame: Uint8Array): number {
    const at = this.putLast(frame);
    this.api.packetParse(at, frame.length, PACKET);
    return this.api.offloadValidate(at, PACKET);
  }

  complete(frame: Uint8Array, cuts: Cuts, start: number, offset: number): Uint8Array | undefined {
    const n = this.putPieces(frame, cuts);
    const result = this.api.offloadComplete(IOV, n, start, offset);
    if (result === 0) return this.takePieces(n);
    assert.equal(result, -abi.EINVAL);
    assert.deepEqual(this.takePieces(n), frame, 'a refused packet is as it was');
    return undefined;
  }

  /** The folded sum, as a big-endian number, of the pieces from `from` on. */
  sum(frame: Uint8Array, cuts: Cuts, from: number): number {
    const n = this.putPieces(frame, cuts);
    const stored = this.api.checksumFold(this.api.checksumAddIov(IOV, n, from, 0n));
    return 0xffff - (((stored & 255) << 8) | (stored >> 8));
  }

  /** The segments, or why there are none. The destination of each is as long as it, which also is the room it has. */
  segment(frame: Uint8Array, cuts: Cuts, gsoType: number, gsoSize: number, limit: number): Uint8Array[] | number {
    const n = this.putPieces(frame, cuts);
    this.api.vnetWrite(VNET, 0, gsoType, 0, gsoSize, 0, 0);
    const count = this.api.segmentPrepare(IOV, n, VNET, limit, STATE);
    if (count <= 0) return count;
    const longest = this.view.getUint32(STATE + abi.SEG_MAX_LEN, true);
    assert.ok(longest <= limit);
    const segments: Uint8Array[] = [];
    for (;;) {
      this.bytes.fill(NOISE, OUT, OUT + longest + 128);
      const dst = OUT + 64 + (segments.length % 3);
      if (segments.length === 0) {
        assert.equal(this.api.segmentNext(STATE, dst, longest - 1), -abi.SEGMENT_NO_ROOM);
        assert.ok(this.bytes.subarray(OUT, OUT + longest + 128).every((byte) => byte === NOISE));
      }
      const length = this.api.segmentNext(STATE, dst, longest);
      if (length === 0) break;
      assert.ok(length > 0 && length <= longest);
      segments.push(this.bytes.slice(dst, dst + length));
      const around = [this.bytes.subarray(OUT, dst), this.bytes.subarray(dst + length, OUT + longest + 128)];
      for (const bytes of around)
        assert.ok(
          bytes.every((byte) => byte === NOISE),
          'bytes outside were written',
        );
    }
    assert.equal(segments.length, count);
    assert.deepEqual(this.takePieces(n), frame, 'the source is as it was');
    return segments;
  }

  #putVnet(at: number, vnet: Vnet): void {
    const { flags, gsoType, hdrLen, gsoSize, csumStart, csumOffset } = vnet;
    this.api.vnetWrite(at, flags, gsoType, hdrLen, gsoSize, csumStart, csumOffset);
  }

  #takeVnet(at: number): Vnet {
    const field = (offset: number): number => this.view.getUint16(at + offset, true);
    assert.equal(field(abi.VIRTIO_NET_HDR_NUM_BUFFERS), 0);
    return {
      flags: this.bytes[at + abi.VIRTIO_NET_HDR_FLAGS],
      gsoType: this.bytes[at + abi.VIRTIO_NET_HDR_GSO_TYPE],
      hdrLen: field(abi.VIRTIO_NET_HDR_HDR_LEN),
      gsoSize: field(abi.VIRTIO_NET_HDR_GSO_SIZE),
      csumStart: field(abi.VIRTIO_NET_HDR_CSUM_START),
      csumOffset: field(abi.VIRTIO_NET_HDR_CSUM_OFFSET),
    };
  }

  /** The output packets of a batch. */
  coalesce(frames: readonly Frame[], limit: number): Output[] {
    this.bytes.fill(NOISE, LRO, LRO + abi.LRO_SIZE + 64);
    let at = FRAMES;
    const addresses = frames.map(({ bytes }, i) => {
      this.bytes.set(bytes, at);
      this.view.setUint32(IOV + i * 8, at, true);
      this.view.setUint32(IOV + i * 8 + 4, bytes.length, true);
      at += bytes.length;
      this.bytes.fill(NOISE, at, at + 32);
      at += 32;
      return at - 32 - bytes.length;
    });
    let count: number;
    if (frames.some(({ vnet }) => vnet)) {
      this.api.coalesceReset(LRO, limit, abi.RX_ALL);
      for (const [i, { bytes, vnet }] of frames.entries()) {
        if (vnet) this.#putVnet(VNET, vnet);
        assert.equal(this.api.coalesceAdd(LRO, addresses[i], bytes.length, vnet ? VNET : 0), 1);
      }
      count = this.api.coalesceFlush(LRO);
    } else {
      count = this.api.coalesceBatch(LRO, IOV, frames.length, limit);
    }
    assert.ok(this.bytes.subarray(LRO + abi.LRO_SIZE, LRO + abi.LRO_SIZE + 64).every((byte) => byte === NOISE));
    for (const [i, { bytes }] of frames.entries()) {
      const end = addresses[i] + bytes.length;
      assert.ok(this.bytes.subarray(end, end + 32).every((byte) => byte === NOISE));
    }
    return Array.from({ length: count }, (_, i) => {
      const out = LRO + abi.LRO_OUT + i * abi.OUT_SIZE;
      const pieces = this.view.getUint32(out + abi.OUT_PIECES, true);
      const bytes = this.#gather(this.view.getUint32(out + abi.OUT_IOV, true), pieces);
      assert.equal(bytes.length, this.view.getUint32(out + abi.OUT_LEN, true));
      return { bytes, pieces, vnet: this.#takeVnet(out + abi.OUT_VNET) };
    });
  }

  /** What vnetRead makes of the ten bytes: the header, or the error. */
  readVnet(header: Uint8Array): Vnet | number {
    this.bytes.fill(NOISE, VNET, VNET + 12);
    const result = this.api.vnetRead(this.putLast(header), VNET);
    return result < 0 ? result : this.#takeVnet(VNET);
  }

  buildVnet(frame: Uint8Array, gsoSize: number): Vnet | number {
    this.bytes.fill(NOISE, VNET, VNET + 12);
    this.api.packetParse(this.putLast(frame), frame.length, PACKET);
    const result = this.api.vnetBuild(VNET, PACKET, gsoSize);
    return result < 0 ? result : this.#takeVnet(VNET);
  }
}
