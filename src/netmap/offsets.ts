// Packet offsets (NETMAP_REQ_OPT_OFFSETS): the room before each packet that an application asks for. Control thread only.

import { NR_ZCOPY_MON } from '../abi.js';
import { netmapError } from '../errors.js';
import type { Adapter } from './adapter.js';
import type { Kring } from './kring.js';

/** Room before the packets in their buffers; bytes. */
export interface OffsetOptions {
  /** Largest offset that a slot may have (nro_max_offset). */
  readonly max: number;
  /** Written into all slots, if the rings have no other user (nro_initial_offset). Default 0. */
  readonly initial?: number;
  /** Low bits of a slot's ptr that are the offset (nro_offset_bits). Default 0: all. */
  readonly bits?: number;
}

/** `op` of the errors that are the option's. */
export const OFFSETS_OP = 'offsets';

const ALL = (1n << 64n) - 1n;

/**
 * Gives the rings that are to be opened their offsets; `undo` takes them back. Rings that have some keep them, if the
 * request is content with those.
 * @returns nro_max_offset: the largest offset that all the rings take
 * @throws NetmapError EOPNOTSUPP, EINVAL, EBUSY
 */
export function setOffsets(
  adapter: Adapter,
  krings: readonly Kring[],
  flags: number,
  options: OffsetOptions,
  undo: (() => void)[],
): number {
  const { max, initial = 0, bits = 0 } = options;
  const refuse = (code: 'EINVAL' | 'EBUSY' | 'EOPNOTSUPP', what: string): Error =>
    netmapError(code, what, { op: OFFSETS_OP, port: adapter.name });
  if (flags & NR_ZCOPY_MON) throw refuse('EOPNOTSUPP', 'zero-copy monitors have no offsets of their own');
  for (const [name, value] of Object.entries({ max, initial, bits })) {
    if (!Number.isSafeInteger(value) || value < 0) throw refuse('EINVAL', `offsets.${name} ${value} is not a count`);
  }
  if (bits > 64) throw refuse('EINVAL', `${bits} offset bits, of 64`);
  const mask = bits === 0 || bits === 64 ? ALL : (1n << BigInt(bits)) - 1n;
  const { objsize } = adapter.region.pools.bufPool;
  if (max > objsize) throw refuse('EINVAL', `offset ${max} is beyond the buffers of ${objsize} bytes`);
  if (BigInt(max) > mask) throw refuse('EINVAL', `offset ${max} does not fit ${bits} bits`);
  if (initial > max) throw refuse('EINVAL', `initial offset ${initial} is larger than the maximum ${max}`);
  let effective = max;
  for (const kring of krings) {
    const { mask: old, max: oldMax } = adapter.offsets(kring);
    if (old === 0n) continue;
    if ((mask & ~old) !== 0n || max > oldMax) throw refuse('EBUSY', `a ring has offsets up to ${oldMax} already`);
    effective = oldMax;
  }
  for (const kring of krings) {
    if (adapter.offsets(kring).mask === 0n) {
      adapter.setOffsets(kring, mask, max);
      undo.push(() => adapter.setOffsets(kring, 0n, 0));
    }
    if (initial !== 0 && kring.users === 0) adapter.writeOffsets(kring, BigInt(initial));
  }
  return effective;
}
