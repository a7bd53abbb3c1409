// The data path's Wasm module: compiled once, instantiated once per thread over the arena's memory. Two builds of one
// source: a module for shared memory refuses unshared memory, and the reverse.

import { netmapError } from '../errors.js';
import { shared, unshared } from './binaries.js';

/** The export list of assembly/index.ts. Addresses are unsigned, but come back signed: use `>>> 0`. */
export interface WasmApi {
  /** The instance's function table: what the thread puts into it, the switch calls (src/vale/lookups.ts). */
  readonly table: WebAssembly.Table;
  checksumAdd(ptr: number, len: number, sum: bigint): bigint;
  checksumFold(sum: bigint): number;
  packetChecksum(ptr: number, len: number): number;
  packetCopy(dst: number, src: number, len: number): void;
  receiveBatch(lro: number, list: number, n: number, hdrLen: number, caps: number, room: number): number;
  segmentPrepare(iov: number, n: number, hdr: number, limit: number, state: number): number;
  segmentNext(state: number, dst: number, dstSize: number): number;
  memZero(ptr: number, len: number): void;
  slotsSwap(rxRing: number, txRing: number, limit: number, rxSlots: number, txSlots: number): number;
  slotsCopy(
    rxRing: number,
    txRing: number,
    limit: number,
    rxSlots: number,
    txSlots: number,
    rxBase: number,
    txBase: number,
    rxSize: number,
    txSize: number,
    rxBufs: number,
    txBufs: number,
  ): number;
  threadWake(thread: number): void;
  kringNotify(kring: number, self: number): void;
  kringRelease(kring: number): void;
  pollRing(kring: number, self: number): number;
  pollTake(kring: number): void;
  ringSync(kring: number, self: number): number;
  ringForward(kring: number, tx: number, ntx: number, self: number): void;
  fdbLookup(fdb: number, mac: bigint): number;
  fdbPurge(fdb: number, size: number, port: number): void;
  leaseLock(kring: number, self: number): number;
  leaseUnlock(kring: number): void;
  leasePublish(kring: number, self: number): void;
  leaseIsOpen(kring: number): number;
  leaseDiscard(kring: number): void;
  leaseRecover(kring: number, tid: number, self: number): void;
  valeGather(kring: number, scratch: number, head: number): number;
  valeClassify(kring: number, port: number, scratch: number, count: number, ring: number, self: number): void;
  valeLookup(
    kring: number,
    port: number,
    scratch: number,
    from: number,
    count: number,
    limit: number,
    ring: number,
    self: number,
    lookup: number,
  ): number;
  valeLookupFailed(kring: number, scratch: number, from: number, count: number, limit: number): number;
  valeDeliver(kring: number, port: number, scratch: number, count: number, self: number): void;
  csbInit(kring: number, atok: number, ktoa: number): void;
  kloopDoorbell(loop: number, ring: number, self: number): number;
  kloopKick(loop: number, ring: number, self: number): void;
  kloopPass(self: number): number;
  ptnetTxsync(gkring: number, flags: number): number;
  ptnetRxsync(gkring: number, flags: number): number;
  ptnetKicked(gkring: number): void;
  ptnetSyncFromCsb(gkring: number, head: number, cur: number): void;
}

const modules = new Map<boolean, WebAssembly.Module>();

/** Compiles the module for shared or for unshared memory, once per thread. */
export function compileModule(isShared: boolean): WebAssembly.Module {
  let module = modules.get(isShared);
  if (!module) {
    const binary = Uint8Array.from(atob(isShared ? shared : unshared), (c) => c.charCodeAt(0));
    module = new WebAssembly.Module(binary);
    modules.set(isShared, module);
  }
  return module;
}

/**
 * Binds the data path to a memory. The module has no state of its own, so any number of instances may share one.
 * @throws NetmapError EINVAL if the memory may grow without limit
 */
export function instantiate(module: WebAssembly.Module, memory: WebAssembly.Memory): WasmApi {
  try {
    return new WebAssembly.Instance(module, { env: { memory } }).exports as unknown as WasmApi;
  } catch (error) {
    if (!(error instanceof WebAssembly.LinkError)) throw error;
    throw netmapError('EINVAL', `the memory cannot be used: ${error.message}`, { op: 'instantiate' });
  }
}

/** Whether the memory may be used by several threads. */
export function isShared(memory: WebAssembly.Memory): boolean {
  return typeof SharedArrayBuffer !== 'undefined' && memory.buffer instanceof SharedArrayBuffer;
}
