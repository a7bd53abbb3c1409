// Typed arrays over a memory. One that is not shared loses all of them when it grows, and its owner, an emulator, may grow
// it whenever code of the owner runs. Then they are made anew when their length is 0, and whoever keeps one keeps it no
// longer than until that code runs. Of all other memories they are plain fields, which V8 takes for constants.

/** Typed arrays over the whole of a memory. */
export interface Views {
  readonly i32: Int32Array;
  readonly u32: Uint32Array;
  readonly u8: Uint8Array;
  readonly u64: BigUint64Array;
}

export function viewsOf({ buffer }: WebAssembly.Memory): Views {
  return {
    i32: new Int32Array(buffer),
    u32: new Uint32Array(buffer),
    u8: new Uint8Array(buffer),
    u64: new BigUint64Array(buffer, 0, Math.floor(buffer.byteLength / 8)), // not >>>: there may be 2^32 bytes
  };
}

/** Gives `target` the properties of {@link Views}: always those of the memory as it is now. */
export function followMemory(target: object, memory: WebAssembly.Memory): void {
  let views = viewsOf(memory);
  const now = (): Views => {
    if (views.i32.length === 0) views = viewsOf(memory);
    return views;
  };
  Object.defineProperties(target, {
    i32: { get: () => now().i32 },
    u32: { get: () => now().u32 },
    u8: { get: () => now().u8 },
    u64: { get: () => now().u64 },
  });
}
