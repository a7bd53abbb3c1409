// Latency: a 60-byte frame to and fro between two guests, each in a worker, over a pipe. `busy`: the programs poll, one frame
// after the other. `notify`: a frame now and then, for which the other side sleeps in poll(2); with kernel loops in the programs'
// own workers, and in a third one (`loop thread`), which sleeps, too, so that a frame takes two wake-ups. Beside it the same in C, where
// poll sleeps in a futex, and the bare cost of a wake-up, by Atomics.notify and by a native futex. A run is one series of
// frames, of which two percentiles are cases.
import { Worker } from 'node:worker_threads';
import { type LoopMode, Netmap } from 'ptnet';
import type { NativeTwin } from '../native.js';
import { OURS } from '../results.js';
import { PING_BYTES } from '../threads/control.js';
import type { PingMode, PingTask } from '../threads/ping.js';
import { Absent, LOOP_THREAD, type Run, type SuiteOptions, type TimedCase, type TimedContender } from '../types.js';
import { PIPE } from '../world.js';

const WORKER = new URL('../threads/ping.js', import.meta.url);
const MEMORY = 1 << 27;
/** Milliseconds between frames in `notify`: many times as long as anybody spins before sleeping. */
const REST = 0.5;
const PATIENCE = 60_000;
const HIGH = '99 %';

const percentile = (sorted: Float64Array, p: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * p))];

/** One way in µs: the median; other percentiles as further figures. */
function oneWay(ways: ArrayLike<number>): Run {
  const sorted = Float64Array.from(ways, (ns) => ns / 1000).sort();
  const at = (per: number): number => percentile(sorted, per / 100);
  return { value: at(50), extra: { '90 %': at(90), [HIGH]: at(99), '99.9 %': at(99.9) } };
}

function nextMessage<T>(worker: Worker): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('a worker does not answer')), PATIENCE);
    const settled = (then: () => void): void => {
      clearTimeout(timer);
      worker.off('message', onMessage);
      worker.off('error', onError);
      then();
    };
    const onMessage = (message: T): void => settled(() => resolve(message));
    const onError = (error: Error): void => settled(() => reject(error));
    worker.on('message', onMessage);
    worker.on('error', onError);
  });
}

async function openPing(
  name: string,
  mode: PingMode,
  rounds: number,
  loop: LoopMode = 'direct',
): Promise<TimedContender> {
  const threads = loop === 'direct' ? 0 : 1;
  const netmap = mode === 'atomics' ? undefined : await Netmap.create({ memorySize: MEMORY, threads });
  const words = new SharedArrayBuffer(PING_BYTES);
  const rest = mode === 'busy' ? 0 : REST;
  const workers: Worker[] = [];
  for (const [i, port] of PIPE.entries()) {
    const guest = await netmap?.createGuest();
    await guest?.passthrough(port, { loop });
    const handle = netmap && guest && { netmap: netmap.handle(), guest: guest.id };
    const task: PingTask = { starts: i === 0, mode, rest, words, ...(handle && { guest: handle }) };
    const worker = new Worker(WORKER, { workerData: task });
    await nextMessage(worker);
    workers.push(worker);
  }
  const run = async (): Promise<Run> => {
    const answers = workers.map((worker) => nextMessage<Float64Array>(worker));
    for (const worker of [...workers].reverse()) worker.postMessage(rounds);
    const times = await Promise.all(answers);
    return oneWay(times.find(({ length }) => length > 0) ?? []);
  };
  const close = async (): Promise<void> => {
    for (const worker of workers) {
      const ended = new Promise((resolve) => worker.once('exit', resolve));
      worker.postMessage(0);
      await ended;
    }
    await netmap?.close();
  };
  return { name, run, close };
}

/** A native program that says the ways. */
async function nativePing(
  native: NativeTwin | undefined,
  name: string,
  ways: (native: NativeTwin) => number[],
): Promise<TimedContender> {
  if (!native) throw new Absent(`${name}: no C compiler`);
  return { name, run: async () => oneWay(ways(native)), close: async () => {} };
}

export function latencySuite({ native, quick }: SuiteOptions): TimedCase[] {
  const common = { suite: 'latency', unit: 'µs one way' };
  const [few, many] = quick ? [50, 500] : [500, 20_000];
  return [
    {
      ...common,
      name: 'busy, median',
      further: { [`busy, ${HIGH}`]: HIGH },
      entrants: [() => openPing(OURS, 'busy', many), () => nativePing(native, 'c', ({ pings }) => pings(many, 0))],
    },
    {
      ...common,
      name: 'notify, median',
      further: { [`notify, ${HIGH}`]: HIGH },
      entrants: [
        () => openPing(OURS, 'notify', few),
        () => openPing(LOOP_THREAD, 'notify', few, 'notify'),
        () => nativePing(native, 'c', ({ pings }) => pings(few, REST)),
        () => openPing('Atomics', 'atomics', few),
        () => nativePing(native, 'futex', ({ futexWays }) => futexWays(few, REST)),
      ],
    },
  ];
}
