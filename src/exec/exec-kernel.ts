// The kernel of a program that has a memory of its own: the worker that starts it, makes the host over its memory when it
// opens its first device, and answers its requests.

import { ENOMEM } from '../abi.js';
import type { NetmapHandle } from '../control/backend.js';
import { Netmap } from '../control/netmap.js';
import { NetmapError } from '../errors.js';
import { type GlobalPoolParams, globalRegionPools, regionLayout } from '../memory/pools.js';
import { endWorker, parentPoster, receiveWorkerData, spawnWorker, type WorkerHandle } from '../threads/platform.js';
import { Alarm } from './alarm.js';
import { Attempt } from './attempt.js';
import type { ProgramData, ProgramHost, ProgramMessage } from './exec-program.js';
import { guestUpstream } from './guest-upstream.js';
import type { Ending } from './process.js';
import { ProcessControl } from './process-control.js';
import { PAGE } from './program-module.js';
import { ProgramRequests } from './program-requests.js';
import { ProgramWorkers } from './program-workers.js';
import { hostUpstream } from './upstream.js';

/** What this worker gets. */
export interface KernelData {
  readonly program: ProgramData;
  readonly pools: Partial<GlobalPoolParams>;
  /** Id of the guest that the program runs in; 0: on the host. */
  readonly guest: number;
}

/** What it tells. */
export type KernelMessage = ProgramMessage;

/** Pools of the program's region, unless told otherwise. */
const POOLS: GlobalPoolParams = {
  if_size: 1024,
  if_num: 64,
  ring_size: 65792, // 4096 slots, the most that a port has
  ring_num: 64,
  buf_size: 2112,
  buf_num: 16384,
};
/** Bytes of the host's private state. */
const PRIVATE = 1 << 22;

const { netmap: handle, data } = await receiveWorkerData<{ netmap: NetmapHandle; data: KernelData }>();
const post = (await parentPoster()) as (message: KernelMessage) => void;
const { memory } = data.program;
const control = new ProcessControl(memory, data.program.control);
/** The host over its memory, once a thread has wanted it. */
const inner = new Attempt(makeHost);
const alarm = new Alarm(control);
/** What its threads have joined that host with, by line. */
const handles = new Map<number, NetmapHandle>();
/** Where the pages for the host begin, once there are any. */
let hostBase: number | undefined;
let requests: ProgramRequests | undefined;

const upstream =
  data.guest === 0
    ? hostUpstream(await Netmap.attach(handle))
    : guestUpstream(await Netmap.attachGuest({ netmap: handle, guest: data.guest }));

/** Adds pages to the program's memory, and makes a host in them. */
async function makeHost(): Promise<Netmap> {
  const params = { ...POOLS, ...data.pools };
  const pools = globalRegionPools(params);
  const { memsize } = regionLayout(pools.ifPool, pools.ringPool, pools.bufPool);
  if (hostBase !== undefined) new Uint8Array(memory.buffer, hostBase, PRIVATE).fill(0); // left by an attempt that failed
  hostBase ??= memory.grow(Math.ceil((PRIVATE + memsize) / PAGE)) * PAGE;
  const base = hostBase;
  requests = new ProgramRequests(upstream, stop);
  const host = await Netmap.createFor(requests.intercept, {
    memory,
    privateRange: { base, size: PRIVATE },
    regionRange: { base: base + PRIVATE, size: memsize },
    pools: params,
  });
  requests.host = host;
  return host;
}

/** Lets a thread of the program join that host. */
async function giveHost(line: number): Promise<void> {
  try {
    const given = (await inner.result()).handle();
    handles.set(line, given);
    control.forLine(line).giveHost(given.arena, given.token);
  } catch (error) {
    control.forLine(line).refuseHost(error instanceof NetmapError ? error.errno : ENOMEM);
  }
}

/** The worker of a thread has ended. */
async function threadEnded(line: number): Promise<void> {
  const joined = handles.get(line);
  handles.delete(line);
  if (joined) (await inner.last)?.release(joined);
}

/** The real host is gone, or the memory of the program destroyed: it could wait for ever. */
function stop(error: NetmapError): void {
  void end({ code: 1, reason: error.message }, false);
}

function on(message: ProgramMessage): void {
  if (message.type === 'host') {
    void giveHost(message.line);
  } else if (message.type === 'thread') {
    void threads.start(message.start, (line) => void threadEnded(line)).catch(onError);
  } else if (message.type === 'alarm') {
    alarm.set(message.times);
  } else if (message.type === 'end-threads') {
    void threads.end();
  } else if (message.type === 'exit') {
    void end(message.ending, true);
  } else {
    post(message);
  }
}

let ending = false;
/** @param drains whether what it has sent by ports that are still open may be waited for */
async function end(result: Ending, drains: boolean): Promise<void> {
  if (ending) return;
  ending = true;
  post({ type: 'exit', ending: result, line: 0 }); // first: what follows touches memory that the program may have destroyed
  alarm.clear();
  child.terminate();
  await Promise.all([child.ended, threads.end()]);
  if (drains) await drain();
  await requests?.close();
  await (await inner.last)?.close();
  await upstream.close();
  endWorker();
}

/** What threads held when they were ended is released first, as the syncs need it. */
async function drain(): Promise<void> {
  try {
    for (const line of [...handles.keys()]) await threadEnded(line);
    await requests?.drain();
  } catch {
    // The program has destroyed its memory.
  }
}

function onError(error: unknown): void {
  void end({ code: 134, reason: error instanceof Error ? error.message : String(error) }, false);
}

const host: ProgramHost = { wasm: handle.module };
const spawn = (program: ProgramData): Promise<WorkerHandle> =>
  spawnWorker(new URL('./exec-program.js', import.meta.url), {
    data: { ...host, data: program },
    keepAlive: true,
    onMessage: (message) => on(message as ProgramMessage),
    onError,
  });
const threads = new ProgramWorkers(data.program, control, spawn);
const child = await spawn(data.program);
