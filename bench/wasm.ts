// What the public API does not show: functions of the built module, bound to the memory of a world.
import { readFileSync } from 'node:fs';

/** The exports that benches call; addresses and lengths in bytes, sums as 64-bit numbers. */
export interface WasmFunctions {
  packetChecksum(ptr: number, len: number): number;
  packetCopy(dst: number, src: number, len: number): void;
  checksumCopy(dst: number, src: number, len: number, sum: bigint): bigint;
  checksumFold(sum: bigint): number;
  segmentPrepare(iov: number, n: number, hdr: number, limit: number, state: number): number;
  segmentNext(state: number, dst: number, dstSize: number): number;
  coalesceBatch(lro: number, frames: number, n: number, limit: number): number;
}

export function wasmFunctions(memory: WebAssembly.Memory): WasmFunctions {
  const binary = readFileSync(new URL('../../wasm/ptnet.shared.wasm', import.meta.url));
  const instance = new WebAssembly.Instance(new WebAssembly.Module(binary), { env: { memory } });
  return instance.exports as unknown as WasmFunctions;
}
