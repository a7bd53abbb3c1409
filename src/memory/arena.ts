// The arena: one WebAssembly.Memory, ours or somebody else's, in which regions (shared with guests) and private state
// (krings, tables, counters, threads) have independent bases. Nothing lies at a fixed address.

import {
  ARENA_ABI,
  ARENA_ABI_OFS,
  ARENA_MAGIC,
  ARENA_MAGIC_OFS,
  ARENA_NTHREADS,
  ARENA_SIZE,
  ARENA_THREADS,
  THREAD_MAX,
  THREAD_SIZE,
} from '../../assembly/abi/arena.js';
import { NETMAP_PAGE_SIZE } from '../../assembly/abi/netmap.js';
import { netmapError } from '../errors.js';
import { compileModule, instantiate, isShared, type WasmApi } from '../wasm/module.js';
import { RangeAllocator } from './ranges.js';
import { followMemory, type Views, viewsOf } from './views.js';

/** A range of an arena's memory, in bytes. */
export interface MemoryRange {
  readonly base: number;
  readonly size: number;
}

export interface ArenaOptions {
  /** Memory to live in; made if absent. A memory that is not shared serves one thread. */
  readonly memory?: WebAssembly.Memory;
  /** Bytes of a memory that we make; untouched pages cost nothing. Default 1 GiB. */
  readonly memorySize?: number;
  /** Whether a memory that we make is shared between threads. Default: yes, where the platform has it. */
  readonly shared?: boolean;
  /** Where private state goes. Default: the start of the memory. Zeroed when the arena is made. */
  readonly privateRange?: MemoryRange;
  /** Where regions go. Default: the rest of the memory. Zeroed when the arena is made. */
  readonly regionRange?: MemoryRange;
}

const WASM_PAGE = 65536;
const DEFAULT_MEMORY = 1 << 30;
const DEFAULT_PRIVATE = 1 << 26;
const LINE = 64;
const MAX_ADDRESS = 2 ** 32;

/** One thread's view of an arena: typed arrays over its memory and the Wasm instance bound to it. */
export class Arena implements Views {
  readonly memory: WebAssembly.Memory;
  readonly shared: boolean;
  readonly grows: boolean;
  readonly module: WebAssembly.Module;
  readonly wasm: WasmApi;
  /** Address of `struct arena`. */
  readonly ptr: number;
  declare readonly i32: Int32Array;
  declare readonly u32: Uint32Array;
  declare readonly u8: Uint8Array;
  declare readonly u64: BigUint64Array;

  /** @param grows its owner may grow the memory, which is not shared, whenever code of the owner runs */
  constructor(memory: WebAssembly.Memory, ptr: number, module?: WebAssembly.Module, grows = false) {
    this.memory = memory;
    this.shared = isShared(memory);
    this.grows = grows;
    this.module = module ?? compileModule(this.shared);
    this.wasm = instantiate(this.module, memory);
    this.ptr = ptr;
    if (grows) followMemory(this, memory);
    else ({ i32: this.i32, u32: this.u32, u8: this.u8, u64: this.u64 } = viewsOf(memory));
  }

  /** Opens an arena that another thread has made. @throws NetmapError EINVAL if it is none, or of another version */
  static attach(memory: WebAssembly.Memory, ptr: number, module?: WebAssembly.Module): Arena {
    const arena = new Arena(memory, ptr, module);
    const found = arena.load(ptr + ARENA_MAGIC_OFS) === ARENA_MAGIC ? arena.load(ptr + ARENA_ABI_OFS) : 0;
    if (found !== ARENA_ABI) {
      throw netmapError('EINVAL', `arena ABI ${ARENA_ABI} wanted, ${found || 'no arena'} found`, { op: 'attach' });
    }
    return arena;
  }

  /** Reads a 32-bit word (seq-cst), unsigned. */
  load(ptr: number): number {
    return Atomics.load(this.u32, ptr >>> 2);
  }

  /** Writes a 32-bit word (seq-cst). */
  store(ptr: number, value: number): void {
    Atomics.store(this.u32, ptr >>> 2, value);
  }

  /** Reads a 64-bit counter. Counters stay far below 2^53. */
  counter(ptr: number): number {
    return Number(Atomics.load(this.u64, ptr >>> 3));
  }

  /** Address of the record of thread `id`. */
  threadPtr(id: number): number {
    return this.load(this.ptr + ARENA_THREADS) + id * THREAD_SIZE;
  }
}

/** The control thread's arena: also hands out its memory. What is freed is zeroed, so what is handed out is zero. */
export class ArenaOwner extends Arena {
  readonly privates: RangeAllocator;
  readonly regions: RangeAllocator;
  /** Memory for regions that programs have in their place: sizes by address. */
  readonly reserved = new Map<number, number>();
  /** How many kernel loops of a thread watch a ring, by kring and thread. */
  readonly watches = new Map<string, number>();

  private constructor(
    memory: WebAssembly.Memory,
    ptr: number,
    privates: RangeAllocator,
    regions: RangeAllocator,
    grows: boolean,
  ) {
    super(memory, ptr, undefined, grows);
    this.privates = privates;
    this.regions = regions;
  }

  static create(options: ArenaOptions = {}): ArenaOwner {
    const memory = options.memory ?? makeMemory(options);
    const size = memory.buffer.byteLength;
    const privateRange = options.privateRange ?? { base: LINE, size: Math.min(DEFAULT_PRIVATE, size / 4) - LINE };
    const rest = privateRange.base + privateRange.size;
    const regionRange = options.regionRange ?? { base: rest, size: size - rest };
    checkRange(privateRange, size, 'privateRange');
    checkRange(regionRange, size, 'regionRange');
    if (privateRange.base < regionRange.base + regionRange.size && regionRange.base < rest) {
      throw netmapError('EINVAL', 'privateRange and regionRange overlap', { op: 'create' });
    }
    // Address 0 stands for "none" everywhere: nothing is put there.
    const privates = new RangeAllocator(Math.max(privateRange.base, LINE), rest, LINE);
    const regionBase = Math.max(regionRange.base, NETMAP_PAGE_SIZE);
    const regions = new RangeAllocator(regionBase, regionRange.base + regionRange.size, NETMAP_PAGE_SIZE);
    const ptr = privates.alloc(ARENA_SIZE, 'the arena header');
    const grows = options.memory !== undefined && !isShared(memory);
    const arena = new ArenaOwner(memory, ptr, privates, regions, grows);
    if (options.memory) {
      arena.wasm.memZero(privates.start, privates.end - privates.start);
      arena.wasm.memZero(regions.start, regions.end - regions.start);
    }
    const threads = arena.alloc(THREAD_SIZE * THREAD_MAX, 'the thread table');
    arena.store(ptr + ARENA_THREADS, threads);
    arena.store(ptr + ARENA_NTHREADS, THREAD_MAX);
    arena.store(ptr + ARENA_ABI_OFS, ARENA_ABI);
    arena.store(ptr + ARENA_MAGIC_OFS, ARENA_MAGIC);
    return arena;
  }

  /** Zeroed private memory, 64-byte aligned. @throws NetmapError ENOMEM */
  alloc(size: number, what: string): number {
    return this.privates.alloc(size, what);
  }

  free(address: number): void {
    this.wasm.memZero(address, this.privates.sizeOf(address));
    this.privates.free(address);
  }

  /** Zeroed memory for a region, page aligned. @throws NetmapError ENOMEM */
  allocRegion(size: number, what: string): number {
    return this.regions.alloc(size, what);
  }

  freeRegion(address: number): void {
    this.wasm.memZero(address, this.regions.sizeOf(address));
    this.regions.free(address);
  }
}

function makeMemory({ memorySize = DEFAULT_MEMORY, shared }: ArenaOptions): WebAssembly.Memory {
  if (!Number.isSafeInteger(memorySize) || memorySize < 1 << 20 || memorySize > MAX_ADDRESS) {
    throw netmapError('EINVAL', `memorySize ${memorySize} is not within 1 MiB..4 GiB`, { op: 'create' });
  }
  const pages = Math.ceil(memorySize / WASM_PAGE);
  const wantShared = shared ?? typeof SharedArrayBuffer !== 'undefined';
  return new WebAssembly.Memory({ initial: pages, maximum: pages, shared: wantShared });
}

function checkRange({ base, size }: MemoryRange, memorySize: number, name: string): void {
  const valid = Number.isSafeInteger(base) && Number.isSafeInteger(size) && base >= 0 && size > 0;
  if (!valid || base + size > memorySize) {
    throw netmapError('EINVAL', `${name} ${base}+${size} is not within the memory's ${memorySize} bytes`, {
      op: 'create',
    });
  }
}
