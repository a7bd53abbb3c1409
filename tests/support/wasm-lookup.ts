// A lookup in Wasm, written by hand: the port is `data[last byte of the destination address]`; where that is 13, it traps.
import { isShared } from '../../src/wasm/module.js';

const bytesOf = (text: string): number[] => [text.length, ...new TextEncoder().encode(text)];
const section = (id: number, bytes: readonly number[]): number[] => [id, bytes.length, ...bytes];

export function wasmLookup(memory: WebAssembly.Memory | boolean, exported = 'lookup'): Uint8Array<ArrayBuffer> {
  const shared = typeof memory === 'boolean' ? memory : isShared(memory);
  return Uint8Array.from([
    ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, [1, 0x60, 5, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 1, 0x7f]),
    ...section(2, [
      2,
      ...[...bytesOf('env'), ...bytesOf('memory'), 2, shared ? 3 : 1, 1, 0x80, 0x80, 4], // 1..65536 pages
      ...[...bytesOf('env'), ...bytesOf('data'), 3, 0x7f, 0],
    ]),
    ...section(3, [1, 0]),
    ...section(7, [1, ...bytesOf(exported), 0, 0]),
    ...section(10, [
      1,
      ...[26, 1, 1, 0x7f], // one local i32
      ...[0x20, 0, 0x2d, 0, 5, 0x23, 0, 0x6a, 0x2d, 0, 0, 0x22, 5], // 5 = u8[data + u8[address + 5]]
      ...[0x41, 13, 0x46, 0x04, 0x40, 0, 0x0b], // if it is 13: unreachable
      ...[0x20, 5, 0x0b],
    ]),
  ]);
}
