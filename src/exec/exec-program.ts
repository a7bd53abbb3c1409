// The worker that a program, or one of its threads, runs in.

import type { NetmapHandle } from '../control/backend.js';
import { Netmap } from '../control/netmap.js';
import { parentPoster, processors, receiveWorkerData } from '../threads/platform.js';
import { CONTROL_THREAD } from '../threads/thread.js';
import type { AlarmTimes } from './alarm.js';
import { SystemError, toWasiErrno, WASI } from './errno.js';
import { EventCounter } from './event-files.js';
import { FILE, type FileEntry, FileTable } from './file-table.js';
import { deviceFile, deviceFolder, eventFile, inputFile, type OpenFile, outputFile } from './files.js';
import { netmapImports } from './netmap-imports.js';
import { type Ending, Process } from './process.js';
import { ProcessControl } from './process-control.js';
import { WASI_MODULE } from './program-module.js';
import { NONBLOCK, SEMAPHORE_FLAG, type ThreadStart, threadImports } from './thread-imports.js';
import type { ThreadTemplate } from './thread-module.js';
import { runThread } from './thread-run.js';
import { UserBytes } from './user-bytes.js';
import { wasiImports } from './wasi.js';

/** What the worker gets. */
export interface ProgramData {
  readonly module: WebAssembly.Module;
  /** Of a program that makes threads. */
  readonly threads?: ThreadTemplate;
  readonly maxThreads: number;
  readonly memory: WebAssembly.Memory;
  readonly control: SharedArrayBuffer;
  readonly files: SharedArrayBuffer;
  readonly eventfds: SharedArrayBuffer;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly stdin: Uint8Array;
  /** The thread to run. Absent: the first one, with the program's main function. */
  readonly thread?: ThreadStart;
}

/** How it reaches a host: that of its memory, or a module of the package for one that its kernel makes there. */
export type ProgramHost = { readonly netmap: NetmapHandle } | { readonly wasm: WebAssembly.Module };

/** What it tells. */
export type ProgramMessage =
  | { readonly type: 'output'; readonly stream: 1 | 2; readonly bytes: Uint8Array }
  /** It has its first port. */
  | { readonly type: 'port' }
  /** A thread wants the host over its memory, and waits for the answer in its line. */
  | { readonly type: 'host'; readonly line: number }
  | { readonly type: 'thread'; readonly start: ThreadStart }
  | { readonly type: 'alarm'; readonly times: AlarmTimes }
  /** The program ends by itself, and waits until no other thread is left. */
  | { readonly type: 'end-threads' }
  | { readonly type: 'exit'; readonly ending: Ending; readonly line: number };

const given = await receiveWorkerData<ProgramHost & { data: ProgramData }>();
const { data } = given;
const { memory, thread } = data;
const post = (await parentPoster()) as (message: ProgramMessage) => void;
const available = await processors();
const control = new ProcessControl(memory, data.control, thread?.line ?? 0);
const files = new FileTable(data.files, makeFile);
const process = new Process(new UserBytes(memory), control, files);
let netmap: Netmap | undefined;

/** The host of its memory. A program with a memory of its own asks its kernel for one. */
function hostHandle(): NetmapHandle {
  if ('netmap' in given) return given.netmap;
  const found = control.waitForHost(() => post({ type: 'host', line: control.line }));
  memory.grow(0); // this thread's view of the memory has not grown by itself
  return { memory, module: given.wasm, lookups: [], ...found };
}

/** The host, which the thread joins when it needs it first. */
function host(): Netmap {
  if (netmap) return netmap;
  netmap = Netmap.attachSync(hostHandle());
  control.waiter = netmap.waiterAddress;
  if ('netmap' in given && control.line === 0) control.owner = netmap.threadId;
  return netmap;
}

function eventCounter(fd: number): EventCounter | undefined {
  return files.get(fd)?.counter;
}

/** This thread's object for a file of the program. */
function makeFile({ kind, value, flags }: FileEntry, fd: number): OpenFile {
  const output = (stream: 1 | 2): OpenFile => outputFile(control, (bytes) => post({ type: 'output', stream, bytes }));
  if (kind === FILE.STDIN) return inputFile(data.stdin, (length, end) => files.takeInput(length, end));
  if (kind === FILE.STDOUT) return output(1);
  if (kind === FILE.STDERR) return output(2);
  if (kind === FILE.DEVICES) return deviceFolder();
  if (kind === FILE.EVENTFD) {
    const isSemaphore = (flags & SEMAPHORE_FLAG) !== 0;
    return eventFile(
      new EventCounter(control, data.eventfds, value, {
        isSemaphore,
        nonblocking: () => (files.flags(fd) & NONBLOCK) !== 0,
      }),
    );
  }
  const options = { memory, dataModel: 'wasm32', errno: toWasiErrno, eventfds: { get: eventCounter } } as const;
  const joined = host();
  return deviceFile(joined.openDevice({ ...options, ...Netmap.sharedDescriptor(control.owner, value) }));
}

function openDevice(name: string): number {
  if (name !== 'netmap') throw new SystemError(WASI.NOENT);
  host();
  const fd = files.add(FILE.NETMAP, files.newValue(FILE.NETMAP));
  if (fd === undefined) throw new SystemError(WASI.MFILE);
  return fd;
}

function spawn(start: ThreadStart): void {
  if ('netmap' in given && control.owner === 0) host(); // what a thread opens belongs to the first one
  post({ type: 'thread', start });
}

function alarm(times: AlarmTimes): void {
  post({ type: 'alarm', times });
}

function importsOf(module: WebAssembly.Module): WebAssembly.Imports {
  const threading = {
    tlsSize: data.threads?.locals?.size ?? 0,
    maxThreads: data.maxThreads,
    eventfds: data.eventfds,
    processors: available,
    spawn,
    alarm,
  };
  const known: Record<string, Record<string, unknown>> = {
    env: { memory },
    ptnet: { ...netmapImports(process, () => post({ type: 'port' })), ...threadImports(process, threading) },
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

/** The program's main function. */
function runProgram(): Ending {
  // In a memory of its own, the program's descriptors end with the host there.
  if (!('netmap' in given)) control.owner = CONTROL_THREAD;
  for (const kind of [FILE.STDIN, FILE.STDOUT, FILE.STDERR, FILE.DEVICES]) files.add(kind, 0);
  const ending = process.run(() => {
    const { _start: start } = process.instantiate(data.module, importsOf(data.module));
    if (typeof start === 'function') start();
  });
  if (control.hasThreads) {
    post({ type: 'end-threads' });
    control.waitForThreads();
  }
  files.closeAll();
  return ending ?? { code: 0 };
}

const ending = thread && data.threads ? runThread(process, data.threads, thread, importsOf) : runProgram();
files.giveUpAll();
await (netmap as Netmap | undefined)?.close();
if (ending) post({ type: 'exit', ending, line: control.line });
