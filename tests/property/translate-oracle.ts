// What the switch should make of a packet for a port with another virtio-net header, written the slow and obvious way.

import * as abi from '../../src/abi.js';
import { complete, concat, segment } from './offload-oracle.js';

export interface Slot {
  readonly bytes: Uint8Array;
  readonly flags: number;
}

/** A port, as far as it matters. */
export interface Side {
  readonly hdrLen: number;
  readonly mfs: number;
  readonly bufSize: number;
}

export type Reason = 'short' | 'header' | 'gso' | 'tooLong' | 'noSpace';

/** The frames that the packet becomes, each in its slots, or why it is dropped. */
export function translate(slots: readonly Uint8Array[], from: Side, to: Side): Slot[][] | Reason {
  if (from.hdrLen === to.hdrLen) return slots.some(({ length }) => length > to.bufSize) ? 'tooLong' : [flagged(slots)];
  if (slots[0].length < from.hdrLen) return 'header';
  const header = slots[0].subarray(0, from.hdrLen);
  const fragments = [slots[0].subarray(from.hdrLen), ...slots.slice(1)];
  const frame = concat(...fragments);
  if (frame.length === 0) return 'header';
  if (to.hdrLen !== 0) {
    const added = new Uint8Array(to.hdrLen);
    added.set(header.subarray(0, 10));
    return whole([concat(added, fragments[0]), ...fragments.slice(1)], to);
  }
  const { flags, gsoType, gsoSize, start, offset } = fieldsOf(header);
  if (flags > 3 || ![0, 1, 3, 4].includes(gsoType & 0x7f)) return 'header';
  if (gsoType !== 0) {
    const segments = segment(frame, gsoType, gsoSize, to.mfs);
    if (typeof segments === 'number') return 'gso';
    const frames = segments.map((bytes) => flagged(cutAll([bytes], to.bufSize), 0));
    return frames.some(({ length }) => length > abi.NETMAP_MAX_FRAGS) ? 'tooLong' : frames;
  }
  const done = flags & 1 ? complete(frame, start, offset) : frame;
  if (!done) return 'header';
  const kept = fragments[0].length === 0 ? fragments.slice(1) : fragments;
  let at = 0;
  return whole(
    kept.map(({ length }) => done.subarray(at, (at += length))),
    to,
  );
}

function fieldsOf(header: Uint8Array): Record<'flags' | 'gsoType' | 'gsoSize' | 'start' | 'offset', number> {
  const [flags, gsoType, , , gsoLow, gsoHigh, startLow, startHigh, offsetLow, offsetHigh] = header;
  return {
    flags,
    gsoType,
    gsoSize: gsoLow + 256 * gsoHigh,
    start: startLow + 256 * startHigh,
    offset: offsetLow + 256 * offsetHigh,
  };
}

function whole(fragments: readonly Uint8Array[], { bufSize }: Side): Slot[][] | Reason {
  const cut = cutAll(fragments, bufSize);
  return cut.length > abi.NETMAP_MAX_FRAGS ? 'tooLong' : [flagged(cut)];
}

/** Each fragment in pieces of a buffer; one of no bytes stays one. */
function cutAll(fragments: readonly Uint8Array[], size: number): Uint8Array[] {
  return fragments.flatMap((bytes) =>
    Array.from({ length: Math.max(1, Math.ceil(bytes.length / size)) }, (_, i) =>
      bytes.subarray(i * size, (i + 1) * size),
    ),
  );
}

/** @param alone flags of a packet of one slot */
function flagged(pieces: readonly Uint8Array[], alone = 0x100): Slot[] {
  const { length } = pieces;
  return pieces.map((bytes, i) => ({
    bytes,
    flags: length === 1 ? alone : (length << 8) | (i + 1 < length ? abi.NS_MOREFRAG : 0),
  }));
}

/** What arrives of a batch at a port that has `free` slots, and why the rest does not. */
export function deliver(
  packets: readonly (readonly Uint8Array[])[],
  from: Side,
  to: Side,
  free: number,
): { frames: Slot[][]; drops: Reason[] } {
  const frames: Slot[][] = [];
  const drops: Reason[] = [];
  let left = free;
  let stopped = false;
  for (const packet of packets) {
    const result = translate(packet, from, to);
    // Between like ports a batch ends with the first packet that does not fit; it is not looked at further.
    const like = from.hdrLen === to.hdrLen;
    const slots = typeof result === 'string' ? (like ? packet.length : 0) : result.flat().length;
    if (stopped || (like && slots > left)) {
      stopped = true;
      drops.push(typeof result === 'string' && !like ? result : 'noSpace');
    } else if (typeof result === 'string') {
      drops.push(result);
    } else if (slots > left) {
      drops.push('noSpace');
    } else {
      frames.push(...result);
      left -= slots;
    }
    if (like && left === 0) stopped = true;
  }
  return { frames, drops };
}
