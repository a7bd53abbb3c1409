// The regions of a host, by mem id (netmap_mem_find): the global one and private ones. Control thread only.

import { netmapError } from '../errors.js';
import type { ArenaOwner } from '../memory/arena.js';
import type { DataModel } from '../memory/data-model.js';
import { checkProgramRange, EXTMEM_OP, type ExtmemOptions, extmemParams, extmemPools } from '../memory/extmem.js';
import {
  GLOBAL_POOLS,
  type GlobalPoolParams,
  globalRegionPools,
  PRIVATE_MIN_POOLS,
  type PrivatePoolParams,
  type PrivateRegionNeeds,
  privateRegionPools,
  type RegionLayout,
  type RegionPools,
  regionLayout,
} from '../memory/pools.js';
import { GLOBAL_MEM_ID, Region } from '../memory/region.js';

/** A region as a request is told of it, in bytes and objects. */
export interface MemoryInfo extends RegionLayout, RegionPools {
  readonly memId: number;
}

const MAX_MEM_ID = 0xffff;

export class Regions {
  readonly #arena: ArenaOwner;
  readonly #regions = new Map<number, Region>();
  readonly #pools: GlobalPoolParams;
  readonly #privatePools: PrivatePoolParams;
  #lastMemId = GLOBAL_MEM_ID;

  /** @throws NetmapError EINVAL for bad parameters: now, not at the first open */
  constructor(arena: ArenaOwner, pools?: Partial<GlobalPoolParams>, privatePools?: Partial<PrivatePoolParams>) {
    this.#arena = arena;
    this.#pools = { ...GLOBAL_POOLS, ...pools };
    this.#privatePools = { ...PRIVATE_MIN_POOLS, ...privatePools };
    globalRegionPools(this.#pools);
    privateRegionPools({ txRings: 1, txSlots: 1, rxRings: 1, rxSlots: 1, extraBufs: 0, pipes: 0 }, this.#privatePools);
  }

  get all(): Region[] {
    return [...this.#regions.values()];
  }

  /** @throws NetmapError EINVAL for a mem id that no region has */
  check(memId: number, port: string): void {
    if (memId === 0 || memId === GLOBAL_MEM_ID || this.#regions.has(memId)) return;
    throw netmapError('EINVAL', `there is no region with mem id ${memId}`, { op: 'open', port });
  }

  /** The region with this mem id, which has been checked; the global one is made when it is first used. */
  get(memId: number, dataModel?: DataModel): Region {
    return (
      this.#regions.get(memId) ??
      this.#add(new Region(this.#arena, GLOBAL_MEM_ID, globalRegionPools(this.#pools), { dataModel }))
    );
  }

  /** A new private region. @throws NetmapError EINVAL, ENOMEM */
  makePrivate(needs: PrivateRegionNeeds, dataModel?: DataModel): Region {
    const pools = privateRegionPools(needs, this.#privatePools);
    return this.#add(new Region(this.#arena, this.#newMemId(), pools, { dataModel }));
  }

  /**
   * A region in memory of a program's; the one that there is, when it was given before.
   * @throws NetmapError EINVAL, EFAULT, ENOMEM, EBUSY (a part of it is another region)
   */
  external(options: ExtmemOptions): Region {
    checkProgramRange(this.#arena, options);
    const { base, size } = options;
    const params = extmemParams(options, this.#privatePools);
    const { layout, ...pools } = extmemPools(size, params);
    const there = this.all.filter((one) => base < one.base + one.layout.memsize && one.base < base + layout.memsize);
    if (there.length === 0)
      return this.#add(new Region(this.#arena, this.#newMemId(), pools, { external: { base, layout } }));
    if (there[0].base === base && there[0].layout.memsize === layout.memsize) return there[0];
    // DIFF: netmap has both regions use the memory.
    throw netmapError('EBUSY', `a part of ${base}+${size} is region ${there[0].memId}`, { op: EXTMEM_OP });
  }

  /** The pools' parameters of an external region, with the defaults. */
  externalParams(options: ExtmemOptions): GlobalPoolParams {
    return extmemParams(options, this.#privatePools);
  }

  /** Size and pools of a region, also of the global one when nobody uses it yet. @throws NetmapError EINVAL */
  info(memId: number): MemoryInfo {
    const region = this.#regions.get(memId);
    if (region) return { memId, ...region.layout, ...region.pools };
    this.check(memId, '');
    const pools = globalRegionPools(this.#pools);
    return { memId, ...regionLayout(pools.ifPool, pools.ringPool, pools.bufPool), ...pools };
  }

  /** Gives a region back that no adapter has come to use. */
  releaseUnused(region: Region): void {
    region.addUser();
    if (!region.dropUser()) return;
    region.destroy();
    this.forget(region);
  }

  /** Its mem id is free again. */
  forget({ memId }: Region): void {
    this.#regions.delete(memId);
  }

  #add(region: Region): Region {
    this.#regions.set(region.memId, region);
    return region;
  }

  #newMemId(): number {
    for (let tries = 0; tries < MAX_MEM_ID; tries++) {
      this.#lastMemId = this.#lastMemId >= MAX_MEM_ID ? GLOBAL_MEM_ID + 1 : this.#lastMemId + 1;
      if (!this.#regions.has(this.#lastMemId)) return this.#lastMemId;
    }
    throw netmapError('ENOMEM', 'no mem id left', { op: 'open' });
  }
}
