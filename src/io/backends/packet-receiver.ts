// Batches of packets from a packet socket into the slots of a wire's tx ring: a packet a slot, while they are short. What
// does not fit goes on in memory of its own, and is spread over slots afterwards. VLAN tags, which the kernel takes out of
// frames, are put back.

import { NS_MOREFRAG } from '../../abi.js';
import type { NetmapRing } from '../../ring/ring.js';
import type { Libc } from '../ffi.js';
import { MAX_PACKET } from '../tun.js';
import { MessageTable } from './message-table.js';
import { PACKET_HEADER } from './packet-socket.js';
import { IovecTable, slotAddresses } from './slot-table.js';
import { hasTag, insertTag, TAG_SIZE } from './vlan-tag.js';

const BATCH = 32;
const MSG_TRUNC = 0x20;
const MSG_DONTWAIT = 0x40;

// struct cmsghdr, and struct tpacket_auxdata behind it: words and half words.
const CONTROL_SIZE = 40;
const AUX_STATUS = 16 / 4;
const AUX_TCI = 32 / 2;
const AUX_TPID = 34 / 2;

export class PacketReceiver {
  /** Of the last `receive`: packets that were put into the ring, their bytes without headers, slots, packets too long. */
  packets = 0;
  bytes = 0;
  slots = 0;
  oversized = 0;
  readonly #libc: Libc;
  readonly #fd: number;
  readonly #ring: NetmapRing;
  readonly #messages: MessageTable;
  /** Memory behind each slot's buffer; messages of a batch have different ones. */
  readonly #rest: readonly Uint8Array[];
  readonly #control: SharedArrayBuffer;
  readonly #status: Uint32Array;
  readonly #aux: Uint16Array;
  /** Bytes that the slot's own buffer takes: a tag fits in, too. */
  readonly #room: number;
  /** Slots of the longest packet. */
  readonly #most: number;
  readonly #saved: Uint8Array;
  /** Tables that the kernel reads are kept alive by these. */
  readonly #vectors: IovecTable;

  constructor(libc: Libc, fd: number, ring: NetmapRing) {
    this.#libc = libc;
    this.#fd = fd;
    this.#ring = ring;
    this.#room = ring.bufSize - TAG_SIZE;
    this.#most = Math.ceil((PACKET_HEADER + MAX_PACKET + TAG_SIZE) / ring.bufSize);
    this.#rest = Array.from({ length: BATCH }, () => new Uint8Array(new SharedArrayBuffer(PACKET_HEADER + MAX_PACKET)));
    this.#saved = new Uint8Array(BATCH * ring.bufSize);
    this.#control = new SharedArrayBuffer(ring.numSlots * CONTROL_SIZE);
    this.#status = new Uint32Array(this.#control);
    this.#aux = new Uint16Array(this.#control);
    this.#messages = new MessageTable(libc, ring.numSlots);
    this.#vectors = new IovecTable(libc, 2 * ring.numSlots);
    const rests = this.#rest.map((rest) => libc.address(rest));
    const control = libc.address(new Uint8Array(this.#control));
    for (const [i, address] of slotAddresses(libc, ring).entries()) {
      this.#vectors.set(2 * i, address, this.#room);
      this.#vectors.set(2 * i + 1, rests[i % BATCH], this.#rest[0].length);
      this.#messages.setVector(i, this.#vectors.at(2 * i), 2);
      this.#messages.setControl(i, control + i * CONTROL_SIZE, CONTROL_SIZE);
    }
  }

  /** Takes a batch of at most `limit`. @returns how many messages there were, 0 when the ring has no room, or -errno */
  receive(limit = BATCH): number {
    const ring = this.#ring;
    const first = ring.head;
    const { space } = ring;
    this.packets = 0;
    this.bytes = 0;
    this.slots = 0;
    this.oversized = 0;
    if (space === 0) return 0;
    // A batch ends with the ring, so that its messages lie one behind the other. All of it may be long packets.
    const count = Math.min(limit, ring.numSlots - first, Math.max(1, Math.floor(space / this.#most)));
    const messages = this.#messages;
    for (let k = 0; k < count; k++) messages.setControlLength(first + k, CONTROL_SIZE);
    const n = this.#libc.recvmmsg(this.#fd, messages.at(first), count, MSG_DONTWAIT);
    if (n <= 0) return n;
    let plain = true;
    for (let i = first; i < first + n; i++) {
      const length = messages.length(i);
      const tag = this.#hasTag(i) ? TAG_SIZE : 0;
      if (tag !== 0) this.#insertTag(i, Math.min(length, this.#room));
      plain &&= length <= this.#room && messages.flags(i) === 0;
      ring.setSlot(i, length + tag);
      this.bytes += length + tag;
    }
    this.packets = n;
    this.slots = n;
    if (!plain) this.#spread(first, n, space);
    this.bytes -= PACKET_HEADER * this.packets;
    ring.advance(this.slots);
    return n;
  }

  #hasTag(i: number): boolean {
    return this.#messages.controlLength(i) !== 0 && hasTag(this.#status[(i * CONTROL_SIZE) / 4 + AUX_STATUS]);
  }

  /** @param length bytes in the slot's own buffer */
  #insertTag(i: number, length: number): void {
    const half = (i * CONTROL_SIZE) / 2;
    const status = this.#status[half / 2 + AUX_STATUS];
    const { u8 } = this.#ring;
    insertTag(u8, this.#ring.bufAddress(i), length, status, this.#aux[half + AUX_TPID], this.#aux[half + AUX_TCI]);
  }

  /** Lays out `n` packets anew, when some of them do not fit their slots. */
  #spread(first: number, n: number, space: number): void {
    const ring = this.#ring;
    const { bufSize } = ring;
    const lengths: number[] = [];
    for (let k = 0; k < n; k++) {
      const i = first + k;
      const at = ring.bufAddress(i);
      this.#saved.set(ring.u8.subarray(at, at + bufSize), k * bufSize);
      lengths.push(this.#messages.length(i) + (this.#hasTag(i) ? TAG_SIZE : 0));
    }
    this.packets = 0;
    this.bytes = 0;
    this.slots = 0;
    for (let k = 0, j = first; k < n; k++) {
      const i = first + k;
      const length = lengths[k];
      const slots = Math.ceil(length / bufSize);
      if ((this.#messages.flags(i) & MSG_TRUNC) !== 0 || this.slots + slots > space) {
        this.oversized++;
        continue;
      }
      const own = Math.min(length, this.#room + (this.#hasTag(i) ? TAG_SIZE : 0));
      const parts = [
        this.#saved.subarray(k * bufSize, k * bufSize + own),
        this.#rest[i % BATCH].subarray(0, length - own),
      ];
      j = fillSlots(ring, j, parts, length);
      this.packets++;
      this.bytes += length;
      this.slots += slots;
    }
  }
}

/** Writes a packet of `length` bytes, given in pieces, into full slots from i on. @returns the slot after it */
function fillSlots(ring: NetmapRing, i: number, parts: readonly Uint8Array[], length: number): number {
  const { bufSize } = ring;
  let slot = i;
  let filled = 0; // of this slot
  let left = length;
  for (const part of parts) {
    for (let at = 0; at < part.length; ) {
      const size = Math.min(part.length - at, bufSize - filled);
      ring.u8.set(part.subarray(at, at + size), ring.bufAddress(slot) + filled);
      at += size;
      filled += size;
      left -= size;
      if (filled !== bufSize && left !== 0) continue;
      ring.setSlot(slot, filled, left === 0 ? 0 : NS_MOREFRAG);
      slot = ring.next(slot);
      filled = 0;
    }
  }
  return slot;
}
