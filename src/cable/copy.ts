// Copies bytes from one memory to another. No instruction of the data path's Wasm reaches two memories, so short frames
// go word by word in JavaScript, which allocates nothing. Long ones go through a tiny module with two memories where the
// engine has that: five times as fast at 1500 bytes (npm run bench cable). Float64Array is no alternative: an engine may
// change the bits of a NaN.

/** A memory as a copy sees it. `memory` is what the views show, if the port can tell. */
export interface CopyMemory {
  readonly i32: Int32Array;
  readonly u8: Uint8Array;
  readonly memory?: WebAssembly.Memory | undefined;
}

/** Copies `len` bytes from address `from` of one memory to address `to` of the other. */
export type Copy = (to: number, from: number, len: number) => void;

/** Up to here the words cost less than a call. */
export const SHORT = 128;

/**
 * Exactly `len` bytes, word by word. The caller has checked both ranges: what lies outside the arrays is not written, and
 * reads as 0.
 */
export function copyWords(dst: CopyMemory, to: number, src: CopyMemory, from: number, len: number): void {
  let at = 0;
  if (((to | from) & 3) === 0) {
    const s = src.i32;
    const d = dst.i32;
    let i = from >>> 2;
    let k = to >>> 2;
    const end = i + (len >>> 2);
    for (const end8 = end - 7; i < end8; i += 8, k += 8) {
      d[k] = s[i];
      d[k + 1] = s[i + 1];
      d[k + 2] = s[i + 2];
      d[k + 3] = s[i + 3];
      d[k + 4] = s[i + 4];
      d[k + 5] = s[i + 5];
      d[k + 6] = s[i + 6];
      d[k + 7] = s[i + 7];
    }
    for (; i < end; i++, k++) d[k] = s[i];
    at = len & ~3;
  }
  for (; at < len; at++) dst.u8[to + at] = src.u8[from + at];
}

/** How frames of SHORT bytes and more are copied best from `src` to `dst`. */
export function longCopy(dst: CopyMemory, src: CopyMemory): Copy {
  return twoMemories(dst, src) ?? ((to, from, len) => copyWords(dst, to, src, from, len));
}

/** (module (import "s" "m" (memory …)) (import "d" "m" (memory …)) (func (export "c") … memory.copy 1 0)) */
function twoMemories(dst: CopyMemory, src: CopyMemory): Copy | undefined {
  if (!dst.memory || !src.memory) return undefined;
  const section = (id: number, ...content: number[]): number[] => [id, content.length, ...content];
  const memory = (name: string, { buffer }: WebAssembly.Memory): number[] => {
    // Shared memories are imported with a maximum, here 65536 pages; for others any size will do.
    const limits = buffer instanceof ArrayBuffer ? [0, 0] : [3, 0, 0x80, 0x80, 4];
    return [1, name.charCodeAt(0), 1, 0x6d, 2, ...limits];
  };
  const binary = Uint8Array.of(
    ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, 1, 0x60, 3, 0x7f, 0x7f, 0x7f, 0), // a type: three i32
    ...section(2, 2, ...memory('s', src.memory), ...memory('d', dst.memory)),
    ...section(3, 1, 0),
    ...section(7, 1, 1, 0x63, 0, 0), // exported as c
    ...section(10, 1, 12, 0, 0x20, 0, 0x20, 1, 0x20, 2, 0xfc, 10, 1, 0, 0x0b), // the parameters, memory.copy, end
  );
  if (!WebAssembly.validate(binary)) return undefined; // the engine has no modules with two memories
  const instance = new WebAssembly.Instance(new WebAssembly.Module(binary), {
    s: { m: src.memory },
    d: { m: dst.memory },
  });
  return instance.exports['c'] as Copy;
}
