// Memory of a program's in the arena: frames one behind the other, for slots with NS_INDIRECT. Nobody writes there.

import { BROADCAST, MACS } from './addresses.js';
import { frameBytes } from './ring-pair.js';

export const PROGRAM_BASE = 65536;
/** What the host has of the memory. */
export const PRIVATE_RANGE = { base: 1 << 20, size: (1 << 24) - (1 << 20) };
export const REGION_RANGE = { base: 1 << 24, size: (1 << 26) - (1 << 24) };

const FRAME = 100;
/** Where frames start: also between ranges, and at their ends. */
export const PROGRAM_FRAMES = MACS.length + 1;
export const PROGRAM_BYTES = Uint8Array.from(
  Array.from({ length: PROGRAM_FRAMES }, (_, f) => {
    const dst = f === 0 ? BROADCAST : MACS[f - 1];
    return [...frameBytes({ dst, src: MACS[(7 * f) % MACS.length], body: f }, FRAME)];
  }).flat(),
);

/** Ranges that ports register, as offsets: neighbours, one in another, one of few bytes, all. */
export const RANGES = [
  { from: 0, to: 300 },
  { from: 300, to: 660 },
  { from: 350, to: 420 },
  { from: 700, to: 720 },
  { from: 0, to: PROGRAM_BYTES.length },
] as const;

/** Addresses that are wrong by a byte, by 2^32, or that are the host's. */
export const ODD_ADDRESSES = [
  PROGRAM_BASE - 1,
  PROGRAM_BASE + PROGRAM_BYTES.length,
  PROGRAM_BASE + 2 ** 32,
  0,
  2 ** 32 - 1,
  PRIVATE_RANGE.base + 4096,
  2 ** 26 - 20,
];
