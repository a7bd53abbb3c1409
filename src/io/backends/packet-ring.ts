// The receive ring of a packet socket (PACKET_MMAP, TPACKET_V2): the kernel puts packets into memory that is mapped here,
// and they are copied into the slots of a wire's tx ring without a call. Packets that are longer than a frame of the ring
// come by a call each.

import { EAGAIN } from '../../abi.js';
import { netmapError } from '../../errors.js';
import type { NetmapRing } from '../../ring/ring.js';
import type { Libc } from '../ffi.js';
import type { PacketReceiver } from './packet-receiver.js';
import { FRAME_SIZE, PACKET_HEADER, RING_SIZE } from './packet-socket.js';
import { hasTag, insertTag, TAG_SIZE } from './vlan-tag.js';

const BATCH = 64;
const FRAMES = RING_SIZE / FRAME_SIZE;

// struct tpacket2_hdr: words and half words.
const LENGTH = 4 / 4;
const SNAPLEN = 8 / 4;
const MAC = 12 / 2;
const TCI = 24 / 2;
const TPID = 26 / 2;
const TP_STATUS_KERNEL = 0;
const TP_STATUS_USER = 0x1;
const TP_STATUS_COPY = 0x2;

/** Lengths of copies: views of them are made once. Up to 64 bytes more than a packet has are copied, or all of its frame. */
const CLASSES = [76, 140, 268, 588, 1100];

export class PacketRing {
  /** Of the last `receive`: packets that were put into the ring, their bytes without headers, packets that were lost. */
  packets = 0;
  bytes = 0;
  oversized = 0;
  readonly #ring: NetmapRing;
  readonly #long: PacketReceiver;
  readonly #words: Int32Array;
  readonly #halves: Uint16Array;
  /** Of each frame, by class; made when it is first used: where a packet starts is the kernel's choice. */
  readonly #views: Uint8Array[][] = Array.from({ length: FRAMES }, () => []);
  readonly #starts = new Uint16Array(FRAMES);
  #next = 0;
  /** Whether the last look found nothing: then an error may be what there is. */
  #wasEmpty = true;

  /**
   * @param long takes the packets that come by a call
   * @throws NetmapError EINVAL when a frame of the packet ring does not fit a slot
   */
  constructor(libc: Libc, mapped: number, ring: NetmapRing, long: PacketReceiver) {
    if (ring.bufSize < FRAME_SIZE + TAG_SIZE) {
      throw netmapError('EINVAL', `ring=1 needs buffers of ${FRAME_SIZE + TAG_SIZE} bytes, not ${ring.bufSize}`, {
        op: 'packet',
      });
    }
    const buffer = libc.view(mapped, RING_SIZE);
    this.#ring = ring;
    this.#long = long;
    this.#words = new Int32Array(buffer);
    this.#halves = new Uint16Array(buffer);
  }

  /** Takes a batch. @returns above 0 when there was one, or -errno */
  receive(): number {
    const ring = this.#ring;
    const { space } = ring;
    this.packets = 0;
    this.bytes = 0;
    this.oversized = 0;
    let seen = 0;
    let i = ring.head;
    for (; seen < BATCH && this.packets < space; seen++) {
      const w = (this.#next * FRAME_SIZE) / 4;
      const status = Atomics.load(this.#words, w);
      if ((status & TP_STATUS_USER) === 0) break;
      if ((status & TP_STATUS_COPY) !== 0) {
        if (seen === 0) this.#takeLong(w);
        break; // what came before goes first
      }
      const length = this.#words[w + LENGTH];
      if (this.#words[w + SNAPLEN] === length) {
        i = this.#take(i, w, status, length);
      } else {
        this.oversized++; // and there was no room for a copy of it
      }
      this.#release(w);
    }
    if (seen !== 0) ring.advance(this.packets);
    const found = seen !== 0 || this.packets + this.oversized !== 0;
    const result = found ? 1 : this.#wasEmpty ? this.#takeError() : -EAGAIN;
    this.#wasEmpty = !found;
    return result;
  }

  /** Copies a packet into slot i. @returns the slot after it */
  #take(i: number, w: number, status: number, length: number): number {
    const ring = this.#ring;
    const at = ring.bufAddress(i);
    const size = PACKET_HEADER + length;
    ring.u8.set(this.#view(w, size), at);
    const tagged = hasTag(status);
    if (tagged) insertTag(ring.u8, at, size, status, this.#halves[2 * w + TPID], this.#halves[2 * w + TCI]);
    const bytes = length + (tagged ? TAG_SIZE : 0);
    ring.setSlot(i, PACKET_HEADER + bytes);
    this.packets++;
    this.bytes += bytes;
    return ring.next(i);
  }

  /** The bytes of the next frame's packet from its virtio-net header on, at least `size` of them. */
  #view(w: number, size: number): Uint8Array {
    const start = this.#halves[2 * w + MAC] - PACKET_HEADER;
    let views = this.#views[this.#next];
    if (this.#starts[this.#next] !== start) {
      const from = 4 * w + start;
      const rest = FRAME_SIZE - start;
      views = [...CLASSES, rest].map((bytes) => new Uint8Array(this.#words.buffer, from, bytes));
      this.#views[this.#next] = views;
      this.#starts[this.#next] = start;
    }
    let k = 0;
    while (k < CLASSES.length && CLASSES[k] < size) k++;
    return views[k];
  }

  #takeLong(w: number): void {
    const long = this.#long;
    if (long.receive(1) > 0) {
      this.packets = long.packets;
      this.bytes = long.bytes;
      this.oversized = long.oversized;
    } else {
      this.oversized = 1;
    }
    this.#release(w);
  }

  /** Only a call tells what is wrong with the socket. @returns -errno */
  #takeError(): number {
    const n = this.#long.receive(1);
    if (n <= 0) return n;
    this.packets = this.#long.packets; // from before there was a ring
    this.bytes = this.#long.bytes;
    return n;
  }

  #release(w: number): void {
    Atomics.store(this.#words, w, TP_STATUS_KERNEL);
    this.#next = this.#next + 1 === FRAMES ? 0 : this.#next + 1;
  }
}
