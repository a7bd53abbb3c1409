// The oracle's packet offsets: what an open with the option OFFSETS does to its rings. See oracle-host.ts.

import type { Kring } from './oracle.js';
import { OracleError } from './oracle-types.js';

export interface Offsets {
  readonly max: number;
  readonly initial: number;
  readonly bits: number;
}

/** Gives rings without offsets these ones; a pipe's ring and its peer have the same. Returns the largest, and an undo. */
export function setOffsets(krings: readonly Kring[], { max, initial, bits }: Offsets): { max: number; undo(): void } {
  const mask = (1n << BigInt(bits || 64)) - 1n;
  const { bufSize } = krings[0].region;
  if (bits > 64 || max > bufSize || BigInt(max) > mask || initial > max) throw new OracleError('EINVAL');
  const old = krings.filter((kr) => kr.mask !== 0n);
  if (old.some((kr) => (mask & ~kr.mask) !== 0n || max > kr.maxOffset)) throw new OracleError('EBUSY');
  const fresh = krings.filter((kr) => kr.mask === 0n);
  const set = (kr: Kring, bitmask: bigint, largest: number): void => {
    for (const one of kr.peer ? [kr, kr.peer] : [kr]) {
      one.mask = bitmask;
      one.maxOffset = largest;
    }
  };
  for (const kr of fresh) set(kr, mask, max);
  for (const kr of krings) {
    if (initial === 0 || kr.users > 0) continue;
    for (const slot of kr.shown.slots) slot.ptr = Number((BigInt(slot.ptr) & ~kr.mask) | BigInt(initial));
  }
  return {
    max: old[old.length - 1]?.maxOffset ?? max,
    undo: () => {
      for (const kr of fresh) set(kr, 0n, 0);
    },
  };
}
