// One ring of an endpoint and its twin, and what an application does to both: moves indices, writes slots and payload.

import type { NetmapRing } from '../../src/index.js';
import type { Frame } from './commands.js';
import type { Kring } from './oracle.js';

export interface RingPair {
  readonly real: NetmapRing;
  readonly model: Kring;
}

export function slotAt({ model }: RingPair, ahead: number): number {
  const { head } = model.shown;
  return ((head < model.n ? head : 0) + ahead) % model.n;
}

/** The index `ahead` of head; undefined where head is none. */
export function inRing({ model }: RingPair, ahead: number): number | undefined {
  return model.shown.head < model.n ? (model.shown.head + ahead) % model.n : undefined;
}

export function moveTo({ real, model }: RingPair, head: number | undefined, cur: number | undefined): void {
  if (head !== undefined) real.head = model.shown.head = head;
  if (cur !== undefined) real.cur = model.shown.cur = cur;
}

export function setSlot(
  { real, model }: RingPair,
  i: number,
  bufIdx: number | undefined,
  len: number,
  flags: number,
  ptr = (len * 65537 + flags) >>> 0,
): void {
  const slot = model.shown.slots[i];
  if (bufIdx !== undefined) {
    // -1 and -2 stand for the first index behind the pool and the last one in it.
    slot.bufIdx = bufIdx < 0 ? model.region.numBufs + 1 + bufIdx : bufIdx;
    real.setBufIdx(i, slot.bufIdx);
  }
  slot.len = len;
  slot.flags = flags;
  slot.ptr = ptr;
  real.setSlot(i, len, flags);
  real.i32[real.slotBase + 4 * i + 2] = ptr >>> 0;
  real.i32[real.slotBase + 4 * i + 3] = Math.floor(ptr / 2 ** 32);
}

export function setPayload({ real, model }: RingPair, i: number, bytes: Uint8Array, offset = 0): void {
  const { bufIdx } = model.shown.slots[i];
  if (!model.region.isBuffer(bufIdx)) return;
  model.region.bytes(bufIdx).set(bytes, offset);
  real.u8.set(bytes, real.bufBase + bufIdx * real.bufSize + offset);
}

/** A frame whose bytes tell where they belong. */
export function frameBytes({ dst, src, body }: Frame, length: number): Uint8Array {
  const bytes = Uint8Array.from({ length }, (_, i) => body + i * 7 + 1);
  const header = `${dst}:${src}`.split(':').map((byte) => Number.parseInt(byte, 16));
  bytes.set(header.slice(0, length));
  return bytes;
}
