// Debian's clang for wasm32, where it is: C programs for the tests.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

// Seen from build/ts/tests/support.
export const root = fileURLToPath(new URL('../../../../', import.meta.url));
const CLANG = process.env['PTNET_CLANG'] ?? 'clang';

/** The line of the README. */
const FLAGS = ['--target=wasm32-wasi', '-O2', `-I${join(root, 'include')}`, `-I${join(root, 'include/wasi')}`];

/** clang runs a wasm-opt that it finds, and npm puts one on the path (binaryen's, of asc), which takes the names away. */
const PATH = (process.env['PATH'] ?? '').split(':').filter((folder) => !folder.includes('node_modules'));
/** The environment without it. */
export const compilerEnv = { PATH: PATH.join(':') };
const env = { ...process.env, ...compilerEnv };

function run(source: string, output: string, flags: readonly string[]): { ok: boolean; said: string } {
  const args = [...FLAGS, ...flags, source, '-o', output];
  const { status, stderr, error } = spawnSync(CLANG, args, { encoding: 'utf8', env });
  return { ok: status === 0, said: error?.message ?? stderr };
}

function look(): string | false {
  const folder = mkdtempSync(join(tmpdir(), 'ptnet-clang-'));
  try {
    const source = join(folder, 'empty.c');
    writeFileSync(source, '#include <stdio.h>\nint main(void) { puts(""); return 0; }\n');
    const { ok } = run(source, join(folder, 'empty.wasm'), []);
    return ok ? false : `${CLANG} makes no programs for wasm32-wasi (clang, lld, wasi-libc, libclang-rt-14-dev-wasm32)`;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Why tests that need the compiler are skipped, if they are. */
export const wasmCompiler: { readonly skip: string | false } = { skip: look() };

/** Compiles a program, without warnings; its module. */
export function compileWasm(source: string, output: string, ...flags: string[]): Uint8Array {
  const { ok, said } = run(source, output, ['-Wall', '-Wextra', '-Werror', ...flags]);
  assert.ok(ok, said);
  return readFileSync(output);
}
