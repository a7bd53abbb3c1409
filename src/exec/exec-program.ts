// The worker that a program runs in.

import type { NetmapHandle } from '../control/backend.js';
import { Netmap } from '../control/netmap.js';
import { parentPoster, receiveWorkerData } from '../threads/platform.js';
import { toWasiErrno, WASI } from './errno.js';
import { deviceFile, deviceFolder, inputFile, type OpenFile, outputFile } from './files.js';
import { netmapImports } from './netmap-imports.js';
import { type Ending, Process } from './process.js';
import { ProcessControl } from './process-control.js';
import { WASI_MODULE } from './program-module.js';
import { UserBytes } from './user-bytes.js';
import { wasiImports } from './wasi.js';

/** What the worker gets. */
export interface ProgramData {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  readonly control: SharedArrayBuffer;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly stdin: Uint8Array;
}

/** How it reaches a host: that of its memory, or a module of the package for one that its kernel makes there. */
export type ProgramHost = { readonly netmap: NetmapHandle } | { readonly wasm: WebAssembly.Module };

/** What it tells. */
export type ProgramMessage =
  | { readonly type: 'output'; readonly stream: 1 | 2; readonly bytes: Uint8Array }
  /** It has its first port. */
  | { readonly type: 'port' }
  /** It wants the host over its memory, and waits for the answer in its control line. */
  | { readonly type: 'host' }
  | { readonly type: 'exit'; readonly ending: Ending };

const given = await receiveWorkerData<ProgramHost & { data: ProgramData }>();
const { data } = given;
const post = (await parentPoster()) as (message: ProgramMessage) => void;
const control = new ProcessControl(data.control);
const process = new Process(new UserBytes(data.memory), control);
let netmap: Netmap | undefined;

/** The host of its memory. A program with a memory of its own asks its kernel for one. */
function hostHandle(): NetmapHandle {
  if ('netmap' in given) return given.netmap;
  const found = control.waitForHost(() => post({ type: 'host' }));
  data.memory.grow(0); // this thread's view of the memory has not grown by itself
  return { memory: data.memory, module: given.wasm, lookups: [], ...found };
}

/** The host, which the program joins when it opens its first device. */
function host(): Netmap {
  if (netmap) return netmap;
  netmap = Netmap.attachSync(hostHandle());
  control.waiter = netmap.waiterAddress;
  return netmap;
}

function openDevice(name: string): OpenFile | undefined {
  if (name !== 'netmap') return undefined;
  return deviceFile(host().openDevice({ memory: data.memory, dataModel: 'ilp32', errno: toWasiErrno }));
}

function importsOf(module: WebAssembly.Module): WebAssembly.Imports {
  const known: Record<string, Record<string, unknown>> = {
    env: { memory: data.memory },
    ptnet: netmapImports(process, () => post({ type: 'port' })),
    [WASI_MODULE]: wasiImports(process, { args: data.args, env: data.env, openDevice }),
  };
  const imports: Record<string, Record<string, WebAssembly.ImportValue>> = {};
  for (const { module: from, name } of WebAssembly.Module.imports(module)) {
    imports[from] ??= {};
    const found = Object.hasOwn(known[from], name) ? known[from][name] : () => WASI.NOSYS; // the rest of WASI
    imports[from][name] = found as WebAssembly.ImportValue;
  }
  return imports;
}

function run(): Ending {
  const output = (stream: 1 | 2): OpenFile => outputFile(control, (bytes) => post({ type: 'output', stream, bytes }));
  for (const file of [inputFile(data.stdin), output(1), output(2), deviceFolder()]) process.addFile(file);
  return process.run(data.module, importsOf(data.module));
}

const ending = run();
await (netmap as Netmap | undefined)?.close();
post({ type: 'exit', ending });
