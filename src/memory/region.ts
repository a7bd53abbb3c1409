// A region (mem id): one contiguous range laid out as netmap's mmap area, if pool, ring pool, buffer pool.

import { NETMAP_PAGE_SIZE } from '../../assembly/abi/netmap.js';
import { check, netmapError } from '../errors.js';
import type { ArenaOwner } from './arena.js';
import type { DataModel } from './data-model.js';
import { ObjectPool, type RegionLayout, type RegionPools, regionLayout } from './pools.js';

/** Id of the global allocator. */
export const GLOBAL_MEM_ID = 1;

/** How a region is made, where it is not as usual. */
export interface RegionForm {
  readonly external?: { readonly base: number; readonly layout: RegionLayout };
  /** Default: lp64. */
  readonly dataModel?: DataModel | null | undefined;
}

export class Region {
  readonly memId: number;
  /** Whom the headers of its rings are laid out for. */
  readonly dataModel: DataModel;
  /** Address of the region. */
  readonly base: number;
  readonly pools: RegionPools;
  readonly layout: RegionLayout;
  /** Whether its memory is a program's. */
  readonly isExternal: boolean;
  readonly ifs: ObjectPool;
  readonly rings: ObjectPool;
  readonly bufs: ObjectPool;
  readonly #arena: ArenaOwner;
  #users = 0;

  /**
   * @param form `external`: memory of a program's, in the place of some of the arena's, and where the pools lie in it
   */
  constructor(arena: ArenaOwner, memId: number, pools: RegionPools, { external, dataModel }: RegionForm = {}) {
    const layout = external?.layout ?? regionLayout(pools.ifPool, pools.ringPool, pools.bufPool);
    this.#arena = arena;
    this.memId = memId;
    this.dataModel = dataModel ?? 'lp64';
    this.pools = pools;
    this.layout = layout;
    this.isExternal = external !== undefined;
    this.base = external?.base ?? arena.allocRegion(layout.memsize, `region ${memId}`);
    // Objects are zero when they are handed out; buffers have what the program has put there.
    if (external) arena.wasm.memZero(this.base, layout.bufPoolOffset);
    this.ifs = new ObjectPool('if', pools.ifPool.objtotal);
    this.rings = new ObjectPool('ring', pools.ringPool.objtotal);
    this.bufs = new ObjectPool('buf', pools.bufPool.objtotal);
  }

  get isPrivate(): boolean {
    return this.memId !== GLOBAL_MEM_ID;
  }

  /** Address of buffer 0. */
  get bufBase(): number {
    return this.base + this.layout.bufPoolOffset;
  }

  /** Takes a netmap_if object: its address. @throws NetmapError ENOMEM when it does not fit or none is left */
  allocIf(bytes: number): number {
    const i = this.#take(this.ifs, bytes, this.pools.ifPool.objsize, 'netmap_if');
    return this.base + i * this.pools.ifPool.objsize;
  }

  freeIf(address: number): void {
    this.#give(this.ifs, (address - this.base) / this.pools.ifPool.objsize, address, this.pools.ifPool.objsize);
  }

  /** Takes a netmap_ring object: its address. @throws NetmapError ENOMEM when it does not fit or none is left */
  allocRing(bytes: number): number {
    const i = this.#take(this.rings, bytes, this.pools.ringPool.objsize, 'netmap_ring');
    return this.base + this.layout.ringPoolOffset + i * this.pools.ringPool.objsize;
  }

  freeRing(address: number): void {
    const { objsize } = this.pools.ringPool;
    this.#give(this.rings, (address - this.base - this.layout.ringPoolOffset) / objsize, address, objsize);
  }

  /** Takes `count` buffers, lowest indices first. @throws NetmapError ENOMEM, and then none is taken */
  allocBufs(count: number): number[] {
    if (count > this.bufs.freeCount) {
      throw netmapError('ENOMEM', `${count} buffers wanted, ${this.bufs.freeCount} left in region ${this.memId}`);
    }
    return Array.from({ length: count }, () => check(this.bufs.alloc()));
  }

  /** Gives a buffer back, zeroed. An index that is not handed out is ignored: it came from shared memory. */
  freeBuf(index: number): void {
    if (!this.bufs.isAllocated(index)) return;
    const { objsize } = this.pools.bufPool;
    this.#arena.wasm.memZero(this.bufBase + index * objsize, objsize);
    this.bufs.free(index);
  }

  addUser(): void {
    this.#users++;
  }

  /** True when that was the last user. The pools are then whole again, whatever the users did to the rings. */
  dropUser(): boolean {
    if (--this.#users > 0) return false;
    for (const pool of [this.ifs, this.rings, this.bufs]) pool.reset();
    return true;
  }

  /** Gives the memory back, zeroed; that of a program's as it is. */
  destroy(): void {
    if (!this.isExternal) this.#arena.freeRegion(this.base);
  }

  /** Zeroes everything, for the next user of a region that stays. */
  clear(): void {
    this.#arena.wasm.memZero(this.base, Math.ceil(this.layout.memsize / NETMAP_PAGE_SIZE) * NETMAP_PAGE_SIZE);
  }

  #take(pool: ObjectPool, bytes: number, objsize: number, what: string): number {
    if (bytes > objsize) {
      throw netmapError('ENOMEM', `a ${what} of ${bytes} bytes does not fit the pool's objects of ${objsize} bytes`);
    }
    const i = pool.alloc();
    if (i < 0) throw netmapError('ENOMEM', `no ${what} left in region ${this.memId} (${pool.objtotal} in its pool)`);
    return i;
  }

  #give(pool: ObjectPool, index: number, address: number, objsize: number): void {
    this.#arena.wasm.memZero(address, objsize);
    pool.free(index);
  }
}
