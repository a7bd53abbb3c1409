// Programs of the benches in AssemblyScript (bench/assembly), compiled when a bench first wants them.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { threadId } from 'node:worker_threads';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const COMPILER = join(ROOT, 'node_modules', 'assemblyscript', 'bin', 'asc.js');
/** As asconfig.json has it for the package's own module. */
const FLAGS = [
  ...['--runtime', 'stub', '--use', 'abort=', '--noAssert', '--converge', '--optimizeLevel', '3', '--shrinkLevel', '0'],
  ...['--importMemory', '--noExportMemory', '--sharedMemory', '--initialMemory', '1', '--maximumMemory', '65536'],
  ...['--enable', 'threads,simd,bulk-memory'],
];

/**
 * The exports of bench/assembly/`name`.ts over `memory`. It is compiled anew when it has changed, or one of the files in
 * assembly/ that it imports, directly or not.
 */
export function wasmProgram(name: string, imports: readonly string[], memory: WebAssembly.Memory): WebAssembly.Exports {
  const source = join(ROOT, 'bench', 'assembly', `${name}.ts`);
  const binary = join(ROOT, 'build', 'bench', `${name}.wasm`);
  const files = [source, ...imports.map((path) => join(ROOT, 'assembly', path))];
  const changed = Math.max(...files.map((path) => statSync(path).mtimeMs));
  if (!existsSync(binary) || changed > statSync(binary).mtimeMs) {
    mkdirSync(dirname(binary), { recursive: true });
    // Under another name first: who else runs the benches now keeps a whole module.
    const fresh = `${binary}.${process.pid}.${threadId}`;
    const args = [COMPILER, source, ...FLAGS, '--outFile', fresh];
    const { status, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8', cwd: ROOT });
    if (status !== 0) throw new Error(`asc failed:\n${stderr}`);
    renameSync(fresh, binary);
  }
  return new WebAssembly.Instance(new WebAssembly.Module(readFileSync(binary)), { env: { memory } }).exports;
}
