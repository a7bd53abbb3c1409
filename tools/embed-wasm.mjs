// Writes build/ts/src/wasm/binaries.js from build/wasm/*.wasm. Base64 in a module is the one form of loading that is
// synchronous and the same in Node, Deno, Bun and browsers. src/wasm/binaries.d.ts declares what is written here.
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';

const root = new URL('../', import.meta.url);
const outDir = new URL('build/ts/src/wasm/', root);
const base64 = (target) => readFileSync(new URL(`build/wasm/ptnet.${target}.wasm`, root)).toString('base64');

mkdirSync(outDir, { recursive: true });
writeFileSync(
  new URL('binaries.js', outDir),
  ['shared', 'unshared'].map((target) => `export const ${target} =\n  '${base64(target)}';\n`).join(''),
);
copyFileSync(new URL('src/wasm/binaries.d.ts', root), new URL('binaries.d.ts', outDir));
