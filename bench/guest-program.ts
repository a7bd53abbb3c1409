// The application in Wasm, as a guest's program may be: bench/assembly/program.ts, compiled when a bench first wants it.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { abi, type NetmapRing } from 'ptnet';
import type { Drained } from './program.js';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const SOURCE = join(ROOT, 'bench', 'assembly', 'program.ts');
/** What it imports: where fields are. */
const LAYOUT = join(ROOT, 'assembly', 'abi', 'netmap.ts');
const BINARY = join(ROOT, 'build', 'bench', 'program.wasm');
const COMPILER = join(ROOT, 'node_modules', 'assemblyscript', 'bin', 'asc.js');
/** As asconfig.json has it for the package's own module. */
const FLAGS = [
  ...['--runtime', 'stub', '--use', 'abort=', '--noAssert', '--converge', '--optimizeLevel', '3', '--shrinkLevel', '0'],
  ...['--importMemory', '--noExportMemory', '--sharedMemory', '--initialMemory', '1', '--maximumMemory', '65536'],
  ...['--enable', 'threads,simd,bulk-memory'],
];

function compile(): Uint8Array<ArrayBuffer> {
  const changed = Math.max(...[SOURCE, LAYOUT].map((path) => statSync(path).mtimeMs));
  if (!existsSync(BINARY) || changed > statSync(BINARY).mtimeMs) {
    mkdirSync(dirname(BINARY), { recursive: true });
    // Under another name first: who else runs the benches now keeps a whole module.
    const fresh = `${BINARY}.${process.pid}`;
    const args = [COMPILER, SOURCE, ...FLAGS, '--outFile', fresh];
    const { status, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8', cwd: ROOT });
    if (status !== 0) throw new Error(`asc failed:\n${stderr}`);
    renameSync(fresh, BINARY);
  }
  return new Uint8Array(readFileSync(BINARY));
}

interface Exports {
  fill(ring: number, count: number, seq: number, len: number): void;
  drain(ring: number): number;
}

/** `fill` and `drain` of bench/program.ts, in Wasm; lengths do not vary. */
export interface GuestProgram {
  readonly fill: (ring: NetmapRing, count: number, seq: number, len: number) => void;
  readonly drain: (ring: NetmapRing, into: Drained) => void;
}

/** Address of a ring in the memory that the program shares with it. */
const addressOf = ({ slotBase }: NetmapRing): number => 4 * slotBase - abi.NETMAP_RING_SLOT;

export function guestProgram(memory: WebAssembly.Memory): GuestProgram {
  const instance = new WebAssembly.Instance(new WebAssembly.Module(compile()), { env: { memory } });
  const { fill, drain } = instance.exports as unknown as Exports;
  return {
    fill: (ring, count, seq, len) => fill(addressOf(ring), count, seq, len),
    drain: (ring, into) => {
      into.packets += ring.space;
      into.sum = (into.sum + drain(addressOf(ring))) | 0;
    },
  };
}
