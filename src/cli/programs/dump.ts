// Packets as hexadecimal lines on standard error (pkt-gen -X): written at once, as the worker's thread does not come to
// its event loop while it sends or receives.

import { writeSync } from 'node:fs';
import type { NetmapRing } from '../../index.js';

const STDERR = 2;
const PER_LINE = 16;

function hexLines(bytes: Uint8Array): string {
  const lines: string[] = [];
  for (let at = 0; at < bytes.length; at += PER_LINE) {
    const part = [...bytes.subarray(at, at + PER_LINE)];
    const hex = part.map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
    const text = part.map((byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.')).join('');
    lines.push(`${at.toString().padStart(5)}: ${hex.padEnd(3 * PER_LINE)} ${text}\n`);
  }
  return lines.join('');
}

/** Writes all of `text`, also into a pipe that is full at the moment. */
function write(text: string): void {
  let left = Buffer.from(text);
  while (left.length > 0) {
    try {
      left = left.subarray(writeSync(STDERR, left));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') return; // nobody reads any more
    }
  }
}

/** Dumps what lies in the buffers of `count` slots, from slot `from` on. */
export function dumpSlots(ring: NetmapRing, from: number, count: number): void {
  for (let k = 0, i = from; k < count; k++, i = ring.next(i)) {
    const { bufIdx, len, flags } = ring.slot(i);
    const at = ring.bufAddress(i);
    const bytes = ring.u8.slice(at, at + Math.min(len, ring.bufSize));
    write(`ring ${ring.ringId} slot ${i} buffer ${bufIdx} length ${len} flags ${flags}\n${hexLines(bytes)}`);
  }
}
