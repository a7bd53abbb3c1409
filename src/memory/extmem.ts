// Regions in memory of a program's (NETMAP_REQ_OPT_EXTMEM): where they may lie, and how their pools fill it.

import { NETMAP_PAGE_SIZE } from '../../assembly/abi/netmap.js';
import { type ErrnoCode, netmapError } from '../errors.js';
import type { ArenaOwner } from './arena.js';
import {
  type GlobalPoolParams,
  type PoolConfig,
  type PoolKind,
  type PrivatePoolParams,
  poolConfig,
  RESERVED_BUFS,
  type RegionLayout,
  type RegionPools,
} from './pools.js';

/** Memory of a program's, and the pools that are wanted in it. */
export interface ExtmemOptions {
  /** Address in the host's memory, a multiple of 4096. */
  readonly base: number;
  /** Bytes; what is left of them after the pools are further buffers. */
  readonly size: number;
  /** Objects and their sizes. Those that are absent or 0 are the minimum of private regions (`privatePools`). */
  readonly pools?: Partial<GlobalPoolParams>;
}

/** `op` of the errors that are the option's. */
export const EXTMEM_OP = 'extmem';

const KINDS = ['if', 'ring', 'buf'] as const;

function refuse(code: ErrnoCode, what: string): Error {
  return netmapError(code, what, { op: EXTMEM_OP });
}

/**
 * Checks that a range is a program's to give: none of the host's private state, and none of the memory for regions but for
 * what is reserved for programs.
 * @throws NetmapError EINVAL (no whole pages), EFAULT
 */
export function checkProgramRange(arena: ArenaOwner, { base, size }: ExtmemOptions): void {
  if (!Number.isSafeInteger(base) || base < 0 || base % NETMAP_PAGE_SIZE !== 0) {
    throw refuse('EINVAL', `address ${base} is not that of a page`);
  }
  if (!Number.isSafeInteger(size) || size < 0) throw refuse('EINVAL', `${size} is no number of bytes`);
  const end = base + size;
  if (base === 0 || end > arena.u8.length) throw refuse('EFAULT', `range ${base}+${size} is not within the memory`);
  const { privates, regions } = arena;
  const isApart = [privates, regions].every((range) => end <= range.start || base >= range.end);
  const isReserved = [...arena.reserved].some(([start, bytes]) => base >= start && end <= start + bytes);
  if (!isApart && !isReserved) throw refuse('EFAULT', `range ${base}+${size} overlaps memory of the host's`);
}

/** The parameters with their defaults: what the option comes back with. */
export function extmemParams({ pools = {} }: ExtmemOptions, minimum: PrivatePoolParams): GlobalPoolParams {
  return {
    if_num: pools.if_num || minimum.priv_if_num,
    if_size: pools.if_size || minimum.priv_if_size,
    ring_num: pools.ring_num || minimum.priv_ring_num,
    ring_size: pools.ring_size || minimum.priv_ring_size,
    buf_num: pools.buf_num || minimum.priv_buf_num,
    buf_size: pools.buf_size || minimum.priv_buf_size,
  };
}

/**
 * Pools that fill a range: each starts with a page, and the buffers go on to its end.
 * @param size bytes of the range; only whole pages are used
 * @throws NetmapError ENOMEM when what is wanted does not fit, EINVAL for what no pool may have
 */
export function extmemPools(size: number, params: GlobalPoolParams): RegionPools & { readonly layout: RegionLayout } {
  const bytes = size - (size % NETMAP_PAGE_SIZE);
  const wanted = KINDS.map((kind) => ({ kind, num: params[`${kind}_num`], size: params[`${kind}_size`] }));
  for (const { kind, num, size: objsize } of wanted) {
    if (Number.isSafeInteger(num) && num > 0 && Number.isSafeInteger(objsize) && objsize > 0) continue;
    throw refuse('EINVAL', `${num} objects of ${objsize} bytes (${kind} pool) are none`);
  }
  let left = bytes;
  for (const { kind, num, size: objsize } of wanted) {
    left -= num * objsize;
    if (!(left >= 0))
      throw refuse('ENOMEM', `${num} objects of ${objsize} bytes (${kind} pool) do not fit ${size} bytes`);
  }
  const extra = Math.ceil(left / params.buf_size);
  const [ifPool, ringPool, all] = wanted.map(({ kind, num, size: objsize }) =>
    config(kind, kind === 'buf' ? num + extra : num, objsize),
  );
  const ringPoolOffset = ifPool.memtotal;
  const bufPoolOffset = ringPoolOffset + ringPool.memtotal;
  const objtotal = Math.min(all.objtotal, Math.floor((bytes - bufPoolOffset) / all.objsize));
  if (objtotal <= RESERVED_BUFS) throw refuse('ENOMEM', `${size} bytes leave no buffers behind the other pools`);
  const bufPool = { ...all, objtotal, memtotal: objtotal * all.objsize };
  return { ifPool, ringPool, bufPool, layout: { ifPoolOffset: 0, ringPoolOffset, bufPoolOffset, memsize: bytes } };
}

function config(kind: PoolKind, num: number, size: number): PoolConfig {
  try {
    return poolConfig(kind, { num, size }, true);
  } catch (error) {
    throw refuse('EINVAL', (error as Error).message);
  }
}
