// Copies frames from one memory to another. No instruction of the data path's Wasm reaches two memories, so a tiny module
// that has two does it: a frame of 60 bytes takes a lane 8 ns in Deno 2, one of 1500 bytes 28 ns. Node before 22 has no
// such modules: there it is a loop over 64-bit elements (15 and up to 100 ns in Node 20). Neither allocates. Float64Array is no
// alternative: an engine may change the bits of a NaN.

/** A memory as a copy sees it. `memory` is what the views show, if the port can tell. */
export interface CopyMemory {
  readonly i32: Int32Array;
  readonly u8: Uint8Array;
  readonly memory?: WebAssembly.Memory | undefined;
}

/**
 * Copies exactly `len` bytes from address `from` of one memory to address `to` of the other. The caller has checked both
 * ranges.
 */
export type Copy = (to: number, from: number, len: number) => void;

/** V8 keeps 64-bit elements in registers when it has optimised a loop; other engines make a BigInt of each. */
const { versions } = (globalThis as { process?: { versions?: { v8?: string } } }).process ?? {};
const hasQuads = versions?.v8 !== undefined;

/** The fastest way from `src` to `dst` that the engine has. */
export function makeCopy(dst: CopyMemory, src: CopyMemory): Copy {
  return copyByModule(dst, src) ?? (hasQuads ? copyByQuads(dst, src) : copyByWords(dst, src));
}

/** By a module with both memories; undefined where the engine has no such modules, or a port does not tell its memory. */
export function copyByModule(dst: CopyMemory, src: CopyMemory): Copy | undefined {
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
    ...section(2, 2, ...memory('s', src.memory), ...memory('d', dst.memory)), // s.m and d.m
    ...section(3, 1, 0),
    ...section(7, 1, 1, 0x63, 0, 0), // exported as c
    ...section(10, 1, 12, 0, 0x20, 0, 0x20, 1, 0x20, 2, 0xfc, 10, 1, 0, 0x0b), // the parameters, memory.copy, end
  );
  if (!WebAssembly.validate(binary)) return undefined;
  const imports = { s: { m: src.memory }, d: { m: dst.memory } };
  return new WebAssembly.Instance(new WebAssembly.Module(binary), imports).exports['c'] as Copy;
}

/** By 64-bit elements, where both addresses are multiples of 8. */
export function copyByQuads(dst: CopyMemory, src: CopyMemory): Copy {
  let s = arraysOf(src);
  let d = arraysOf(dst);
  const byWords = copyByWords(dst, src);
  return (to, from, len) => {
    if (s.i64.length === 0) s = arraysOf(src); // the memory has grown
    if (d.i64.length === 0) d = arraysOf(dst);
    if (((to | from) & 7) !== 0) {
      byWords(to, from, len);
      return;
    }
    copyElements(d.i64, (to / 8) >>> 0, s.i64, (from / 8) >>> 0, len >>> 3);
    copyTail(d, to, s, from, len & ~7, len);
  };
}

/** Arrays over a memory as it is now. */
interface Arrays {
  readonly i64: BigInt64Array;
  readonly i32: Int32Array;
  readonly u8: Uint8Array;
}

function arraysOf({ i32, u8 }: CopyMemory): Arrays {
  return { i64: new BigInt64Array(u8.buffer, 0, Math.floor(u8.length / 8)), i32, u8 };
}

/** By 32-bit words, where both addresses are multiples of 4. */
export function copyByWords(dst: CopyMemory, src: CopyMemory): Copy {
  return (to, from, len) => {
    if (((to | from) & 3) !== 0) {
      copyBytes(dst.u8, to, src.u8, from, len);
      return;
    }
    copyWords(dst.i32, to >>> 2, src.i32, from >>> 2, len >>> 2);
    copyTail(dst, to, src, from, len & ~3, len);
  };
}

// The loops are functions of their own, one for each kind of array: with the arrays of the enclosing function V8 takes a
// fifth longer at 1500 bytes.

function copyElements(d: BigInt64Array, to: number, s: BigInt64Array, from: number, count: number): void {
  let k = to;
  let i = from;
  const end = i + count;
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
}

function copyWords(d: Int32Array, to: number, s: Int32Array, from: number, count: number): void {
  let k = to;
  let i = from;
  const end = i + count;
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
}

function copyBytes(d: Uint8Array, to: number, s: Uint8Array, from: number, len: number): void {
  for (let at = 0; at < len; at++) d[to + at] = s[from + at];
}

/** What is left from byte `at` on: at most 7 bytes. */
function copyTail(
  d: Omit<Arrays, 'i64'>,
  to: number,
  s: Omit<Arrays, 'i64'>,
  from: number,
  at: number,
  len: number,
): void {
  let i = at;
  if (len - i >= 4) {
    d.i32[(to + i) >>> 2] = s.i32[(from + i) >>> 2];
    i += 4;
  }
  for (; i < len; i++) d.u8[to + i] = s.u8[from + i];
}
