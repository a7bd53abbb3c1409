// JavaScript in a table of Wasm functions. A table takes exported Wasm functions only, so the function passes through a
// module that imports it and exports it again.

const TYPE = 1;
const IMPORT = 2;
const EXPORT = 7;
const FUNCTION = 0x60;
const I32 = 0x7f;
const NAME = [1, 0x66]; // "f"

const modules = new Map<string, WebAssembly.Module>();

/** A module that imports f.f, of `params` i32 parameters and `results` (0 or 1) i32 results, and exports it as f. */
function passThrough(params: number, results: number): WebAssembly.Module {
  const i32s = (n: number): number[] => [n, ...new Array<number>(n).fill(I32)];
  const section = (id: number, bytes: readonly number[]): number[] => [id, bytes.length, ...bytes];
  return new WebAssembly.Module(
    Uint8Array.from([
      ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
      ...section(TYPE, [1, FUNCTION, ...i32s(params), ...i32s(results)]),
      ...section(IMPORT, [1, ...NAME, ...NAME, 0, 0]),
      ...section(EXPORT, [1, ...NAME, 0, 0]),
    ]),
  );
}

/** `call` as a Wasm function of i32s, which a table takes. */
export function asTableFunction(call: (...args: number[]) => number | void, params: number, results: 0 | 1): unknown {
  const key = `${params}:${results}`;
  const module = modules.get(key) ?? passThrough(params, results);
  modules.set(key, module);
  return new WebAssembly.Instance(module, { f: { f: call } }).exports.f;
}
