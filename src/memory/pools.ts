// The arithmetic of netmap's allocator (sys/dev/netmap/netmap_mem2.c): how large the three pools of a region are, where
// they lie in it, and which object is handed out next. No memory is touched here: the registry places the region in an
// arena and writes the objects. Sizes and offsets are bytes; offsets count from the start of the region.

import { ENOMEM } from '../../assembly/abi/errno.js';
import {
  NETMAP_IF_RING_OFS_SIZE,
  NETMAP_IF_SIZE,
  NETMAP_PAGE_SIZE,
  NETMAP_RING_SIZE,
  NETMAP_SLOT_SIZE,
} from '../../assembly/abi/netmap.js';
import { netmapError } from '../errors.js';

/** A region's pools: `netmap_if` objects, `netmap_ring` objects, packet buffers. */
export type PoolKind = 'if' | 'ring' | 'buf';

/** How many objects of which size (bytes) are wanted. */
export interface PoolRequest {
  readonly num: number;
  readonly size: number;
}

/** Geometry of a pool, as the allocator settles it. */
export interface PoolConfig {
  /** `_objsize`: bytes from one object to the next, a multiple of 64. */
  readonly objsize: number;
  /** `objtotal`: objects in the pool, whole clusters of them. */
  readonly objtotal: number;
  /** `_clustentries`: objects in the smallest cluster that is a whole number of pages. */
  readonly clusterEntries: number;
  /** `memtotal`: bytes of the pool, a multiple of the page. */
  readonly memtotal: number;
}

/** The three pools of a region. */
export interface RegionPools {
  readonly ifPool: PoolConfig;
  readonly ringPool: PoolConfig;
  readonly bufPool: PoolConfig;
}

/** Where the pools lie in their region, in bytes, named as in `struct nmreq_pools_info`. */
export interface RegionLayout {
  readonly ifPoolOffset: number;
  readonly ringPoolOffset: number;
  readonly bufPoolOffset: number;
  /** `nr_memsize`: bytes of the region, whole pages. */
  readonly memsize: number;
}

/** Parameters of the global region; the names are those of netmap's sysctls `dev.netmap.*` (netmap(4)). */
export interface GlobalPoolParams {
  readonly if_size: number;
  readonly if_num: number;
  readonly ring_size: number;
  readonly ring_num: number;
  readonly buf_size: number;
  readonly buf_num: number;
}

/** Minimum parameters of private regions; the names are those of netmap's sysctls `dev.netmap.priv_*`. */
export interface PrivatePoolParams {
  readonly priv_if_size: number;
  readonly priv_if_num: number;
  readonly priv_ring_size: number;
  readonly priv_ring_num: number;
  readonly priv_buf_size: number;
  readonly priv_buf_num: number;
}

/** What a private region must have room for. Rings are NIC rings; the host rings are added here. */
export interface PrivateRegionNeeds {
  readonly txRings: number;
  /** Slots of each tx ring. */
  readonly txSlots: number;
  readonly rxRings: number;
  /** Slots of each rx ring. */
  readonly rxSlots: number;
  /** Extra buffers (`nr_extra_bufs`). */
  readonly extraBufs: number;
  /** Pipes that may hang on the port: 2 for VALE ports, 0 for copy monitors. */
  readonly pipes: number;
  /** Times that the port is open at once, beyond what netmap expects. Default 0. */
  readonly openings?: number;
}

// DIFF: netmap's buffers are 2048 bytes. At that stride all headers fall into 2 of the 64 sets of an L1 cache, which
// made forwarding of 60-byte frames three times slower; an odd number of cache lines (33) spreads them over all sets.
const DEFAULT_BUF_SIZE = 2112;

/** Default parameters of the global region (mem id 1), netmap's but for `buf_size`: 2112 instead of 2048. */
export const GLOBAL_POOLS: GlobalPoolParams = Object.freeze({
  if_size: 1024,
  if_num: 100,
  ring_size: 9 * NETMAP_PAGE_SIZE,
  ring_num: 200,
  buf_size: DEFAULT_BUF_SIZE,
  buf_num: 163840,
});

/** Default minimum parameters of private regions, netmap's but for `priv_buf_size`: 2112 instead of 2048. */
export const PRIVATE_MIN_POOLS: PrivatePoolParams = Object.freeze({
  priv_if_size: 1024,
  priv_if_num: 2,
  priv_ring_size: 5 * NETMAP_PAGE_SIZE,
  priv_ring_num: 4,
  priv_buf_size: DEFAULT_BUF_SIZE,
  priv_buf_num: 4098,
});

/** Buffers at the start of a buffer pool that nobody gets: 0 is the scratch buffer for bad indices, 1 is unused. */
export const RESERVED_BUFS = 2;

const OBJECT_ALIGN = 64;
const MAX_CLUSTER_SIZE = 4 * 1024 * 1024;

/** What a pool's objects may be. */
export interface PoolLimits {
  /** Bytes of an object. */
  readonly minSize: number;
  readonly maxSize: number;
  readonly minNum: number;
  readonly maxNum: number;
}

/** Limits of the pools, netmap's. */
export const POOL_LIMITS: Readonly<Record<PoolKind, PoolLimits>> = {
  if: { minSize: NETMAP_IF_SIZE, maxSize: NETMAP_PAGE_SIZE, minNum: 10, maxNum: 10000 },
  ring: { minSize: NETMAP_RING_SIZE, maxSize: 32 * NETMAP_PAGE_SIZE, minNum: 2, maxNum: 1024 },
  buf: { minSize: 64, maxSize: 65536, minNum: 4, maxNum: 1000000 },
};
/** Limits of the if pool of a private region. */
export const PRIVATE_IF_LIMITS: PoolLimits = { ...POOL_LIMITS.if, minNum: 1, maxNum: 100 };

/**
 * Settles the geometry of a pool (`netmap_config_obj_allocator`): sizes are rounded up to whole cache lines and counts
 * to whole clusters, a cluster being the fewest objects that fill pages exactly.
 *
 * @param kind which pool
 * @param request objects wanted and their size in bytes
 * @param isPrivate whether the pool is of a private region, where the if pool may have 1..100 objects
 * @throws NetmapError EINVAL if size or number is out of the pool's limits, or if no cluster of up to 4 MiB fits
 */
export function poolConfig(kind: PoolKind, request: PoolRequest, isPrivate: boolean): PoolConfig {
  const { minSize, maxSize, minNum, maxNum } = kind === 'if' && isPrivate ? PRIVATE_IF_LIMITS : POOL_LIMITS[kind];
  const objsize = roundUp(request.size, OBJECT_ALIGN);
  if (!Number.isSafeInteger(request.size) || objsize < minSize || objsize > maxSize) {
    throw invalid('poolConfig', `size ${request.size} of the ${kind} pool's objects is not in ${minSize}..${maxSize}`);
  }
  if (!Number.isSafeInteger(request.num) || request.num < minNum || request.num > maxNum) {
    throw invalid('poolConfig', `number ${request.num} of the ${kind} pool's objects is not in ${minNum}..${maxNum}`);
  }
  let clusterEntries = 1;
  while ((clusterEntries * objsize) % NETMAP_PAGE_SIZE !== 0) clusterEntries++;
  if (clusterEntries * objsize > MAX_CLUSTER_SIZE) {
    throw invalid('poolConfig', `no cluster of up to 4 MiB is whole pages of ${objsize}-byte objects (${kind} pool)`);
  }
  const objtotal = roundUp(request.num, clusterEntries);
  return { objsize, objtotal, clusterEntries, memtotal: objtotal * objsize };
}

/**
 * Pools of the global region.
 *
 * @throws NetmapError EINVAL if a parameter is out of its pool's limits
 */
export function globalRegionPools(params: GlobalPoolParams = GLOBAL_POOLS): RegionPools {
  return {
    ifPool: poolConfig('if', { num: params.if_num, size: params.if_size }, false),
    ringPool: poolConfig('ring', { num: params.ring_num, size: params.ring_size }, false),
    bufPool: poolConfig('buf', { num: params.buf_num, size: params.buf_size }, false),
  };
}

/**
 * Pools of a private region (`netmap_mem_private_new`): the minimum parameters, raised to what the port needs.
 *
 * @param needs rings, slots, extra buffers and pipes of the port
 * @param params minimum parameters
 * @throws NetmapError EINVAL if a need is not a whole number of at least 0, or exceeds the pools' limits. Rings above
 *   64 KiB also need a size that fills clusters: 4096 slots have one, 4081..4084 and 4089..4092 slots have none
 */
export function privateRegionPools(
  needs: PrivateRegionNeeds,
  params: PrivatePoolParams = PRIVATE_MIN_POOLS,
): RegionPools {
  for (const [name, value] of Object.entries(needs)) {
    if (Number.isSafeInteger(value) && value >= 0) continue;
    throw invalid('privateRegionPools', `${name} ${value} is not a whole number`);
  }
  const { txSlots, rxSlots, extraBufs, pipes, openings = 0 } = needs;
  // netmap reserves for the pair of host rings too, although these ports have none in the region.
  const txRings = needs.txRings + 1;
  const rxRings = needs.rxRings + 1;
  const ifSize = NETMAP_IF_SIZE + NETMAP_IF_RING_OFS_SIZE * (txRings + rxRings);
  const ringSize = NETMAP_RING_SIZE + NETMAP_SLOT_SIZE * Math.max(txSlots, rxSlots);
  const bufNum = (4 * pipes + rxRings) * rxSlots + (4 * pipes + txRings) * txSlots + RESERVED_BUFS + extraBufs;
  const request = (minNum: number, num: number, minSize: number, size: number): PoolRequest => ({
    num: Math.max(minNum, num),
    size: Math.max(minSize, size),
  });
  return {
    ifPool: poolConfig('if', request(params.priv_if_num, 2 + 4 * pipes + openings, params.priv_if_size, ifSize), true),
    ringPool: poolConfig(
      'ring',
      request(params.priv_ring_num, txRings + rxRings + 8 * pipes, params.priv_ring_size, ringSize),
      true,
    ),
    bufPool: poolConfig('buf', request(params.priv_buf_num, bufNum, params.priv_buf_size, 0), true),
  };
}

/**
 * Offsets of the pools in their region, in bytes. They lie one behind the other, each a whole number of pages. Whether
 * the region fits an arena is for the caller to check: the limits allow far more than a Wasm memory.
 */
export function regionLayout(ifPool: PoolConfig, ringPool: PoolConfig, bufPool: PoolConfig): RegionLayout {
  const ringPoolOffset = ifPool.memtotal;
  const bufPoolOffset = ringPoolOffset + ringPool.memtotal;
  const memsize = roundUp(bufPoolOffset + bufPool.memtotal, NETMAP_PAGE_SIZE);
  return { ifPoolOffset: 0, ringPoolOffset, bufPoolOffset, memsize };
}

/** Bitmap of a pool's objects. Always hands out the lowest free index, as netmap does: fresh ports are predictable. */
export class ObjectPool {
  readonly kind: PoolKind;
  /** Objects in the pool, the reserved ones included. */
  readonly objtotal: number;
  /** The first objects, which are never handed out. */
  readonly reserved: number;
  readonly #free: Uint32Array; // bit set = free
  #freeCount = 0;
  #firstWord = 0; // no word before it has a free bit

  /**
   * @param kind which pool; used for messages and for the default of `reserved`
   * @param objtotal objects in the pool
   * @param reserved objects at the start that are never handed out: 2 in buffer pools, else 0
   * @throws NetmapError EINVAL if `objtotal` or `reserved` is not a whole number, or `reserved` exceeds `objtotal`
   */
  constructor(kind: PoolKind, objtotal: number, reserved: number = kind === 'buf' ? RESERVED_BUFS : 0) {
    if (!Number.isSafeInteger(objtotal) || !Number.isSafeInteger(reserved) || reserved < 0 || reserved > objtotal) {
      throw invalid('ObjectPool', `a ${kind} pool cannot have ${objtotal} objects with ${reserved} reserved`);
    }
    this.kind = kind;
    this.objtotal = objtotal;
    this.reserved = reserved;
    this.#free = new Uint32Array(Math.ceil(objtotal / 32));
    this.reset();
  }

  /** Objects that are left. */
  get freeCount(): number {
    return this.#freeCount;
  }

  /** Takes the lowest free object: its index, or `-ENOMEM` when none is left (`check` from errors.ts throws it). */
  alloc(): number {
    for (let word = this.#firstWord; word < this.#free.length; word++) {
      const bits = this.#free[word];
      if (bits === 0) continue;
      const lowest = bits & -bits;
      this.#free[word] = bits ^ lowest;
      this.#freeCount--;
      this.#firstWord = word;
      return word * 32 + (31 - Math.clz32(lowest));
    }
    this.#firstWord = this.#free.length;
    return -ENOMEM;
  }

  /**
   * Gives an object back.
   *
   * @throws NetmapError EINVAL if the index is out of range or reserved, or if the object is free already
   */
  free(index: number): void {
    if (!this.#owns(index)) {
      throw invalid('free', `${this.kind} ${index} is not in ${this.reserved}..${this.objtotal - 1}`);
    }
    if (!this.isAllocated(index)) throw invalid('free', `${this.kind} ${index} is already free`);
    const word = index >>> 5;
    this.#free[word] |= 1 << (index & 31);
    this.#freeCount++;
    if (word < this.#firstWord) this.#firstWord = word;
  }

  /** Whether an object is handed out; false for reserved and out-of-range indices, so a guest's index may be asked. */
  isAllocated(index: number): boolean {
    return this.#owns(index) && (this.#free[index >>> 5] & (1 << (index & 31))) === 0;
  }

  /** Makes all objects free but the reserved ones, as netmap does when the last user of a region leaves. */
  reset(): void {
    this.#free.fill(0xffffffff);
    const tail = this.objtotal & 31;
    if (tail !== 0) this.#free[this.#free.length - 1] = 2 ** tail - 1;
    for (let index = 0; index < this.reserved; index++) this.#free[index >>> 5] &= ~(1 << (index & 31));
    this.#freeCount = this.objtotal - this.reserved;
    this.#firstWord = 0;
  }

  #owns(index: number): boolean {
    return Number.isInteger(index) && index >= this.reserved && index < this.objtotal;
  }
}

function roundUp(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit;
}

function invalid(op: string, message: string): Error {
  return netmapError('EINVAL', message, { op });
}
