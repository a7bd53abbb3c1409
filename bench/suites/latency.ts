// Latency: a 60-byte frame to and fro between two guests, each in a worker, over a pipe. `busy`: the programs poll, one frame
// after the other. `notify`: a frame now and then, for which the other side sleeps in poll(2); with kernel loops in the programs'
// own workers, and in a third one (`loop thread`), which sleeps, too, so that a frame takes two wake-ups. Beside it the same in C, where
// poll sleeps in a futex, and the bare cost of a wake-up: by Atomics.notify, once and relayed by a third worker, and by a native
// futex. A round is a series of frames, played in parts by which the contenders take turns; two of its percentiles are cases.
import { Worker } from 'node:worker_threads';
import { type LoopMode, Netmap } from 'ptnet';
import type { Pinger } from '../native.js';
import { OURS } from '../results.js';
import { PING_BYTES } from '../threads/control.js';
import type { PingMode, PingPart, PingTask } from '../threads/ping.js';
import { Absent, LOOP_THREAD, type Run, type SuiteOptions, type TimedCase, type TimedContender } from '../types.js';
import { PIPE } from '../world.js';

const WORKER = new URL('../threads/ping.js', import.meta.url);
const MEMORY = 1 << 27;
/** Milliseconds between frames in `notify`: many times as long as anybody spins before sleeping. */
const REST = 0.5;
const PATIENCE = 60_000;
const HIGH = '99 %';
/** Parts of a round, in which the contenders take turns. */
const PARTS = 32;
/** Frames at the start of a part that are not counted: the threads come from elsewhere. */
const UNCOUNTED = 2;

/** What is played: frames before all others, until the engine has optimised what they run, and each part. */
interface Series {
  readonly warmUp: PingPart;
  readonly part: PingPart;
}

const BUSY: Series = { warmUp: { count: 50_000, rest: 0 }, part: { count: 500, rest: 0 } };
const RESTS: Series = { warmUp: { count: 5_000, rest: REST / 10 }, part: { count: 50, rest: REST } };
const QUICK_BUSY: Series = { warmUp: { count: 100, rest: 0 }, part: { count: 100, rest: 0 } };
const QUICK_RESTS: Series = { warmUp: { count: 10, rest: REST }, part: { count: 20, rest: REST } };

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

/** Frames that go to and fro when they are asked for. */
interface Player {
  /** ns of each frame's way. */
  play(part: PingPart): Promise<ArrayLike<number>>;
  close(): Promise<void>;
}

async function startWorker(task: PingTask): Promise<Worker> {
  const worker = new Worker(WORKER, { workerData: task });
  await nextMessage(worker);
  return worker;
}

async function openWords(relayed: boolean): Promise<Player> {
  const words = new SharedArrayBuffer(PING_BYTES);
  const roles = relayed ? (['first', 'relay', 'second'] as const) : (['first', 'second'] as const);
  const workers: Worker[] = [];
  for (const role of roles) workers.push(await startWorker({ role, mode: 'atomics', words, relayed }));
  return playerOf(workers);
}

async function openGuests(mode: PingMode, loop: LoopMode): Promise<Player> {
  const netmap = await Netmap.create({ memorySize: MEMORY, threads: loop === 'direct' ? 0 : 1 });
  const words = new SharedArrayBuffer(PING_BYTES);
  const workers: Worker[] = [];
  for (const [i, port] of PIPE.entries()) {
    const guest = await netmap.createGuest();
    await guest.passthrough(port, { loop });
    const handle = { netmap: netmap.handle(), guest: guest.id };
    workers.push(await startWorker({ role: i === 0 ? 'first' : 'second', mode, words, guest: handle }));
  }
  const { play, close } = playerOf(workers);
  return { play, close: () => close().then(() => netmap.close()) };
}

/** Of workers that play together; the one that starts is the last to be told. */
function playerOf(workers: readonly Worker[]): Player {
  const play = async (part: PingPart): Promise<ArrayLike<number>> => {
    const answers = workers.map((worker) => nextMessage<Float64Array>(worker));
    for (const worker of [...workers].reverse()) worker.postMessage(part);
    const times = await Promise.all(answers);
    return times.find(({ length }) => length > 0) ?? [];
  };
  const close = async (): Promise<void> => {
    for (const worker of workers) {
      const ended = new Promise((resolve) => worker.once('exit', resolve));
      worker.postMessage({ count: 0, rest: 0 } satisfies PingPart);
      await ended;
    }
  };
  return { play, close };
}

/** Warms the players up. Each part of a round begins with frames that are not counted. */
async function contenderOf(
  name: string,
  { play, close }: Player,
  warmUp: PingPart,
  part: PingPart,
): Promise<TimedContender> {
  await play(warmUp);
  let ways: number[] = [];
  const playPart = async (): Promise<void> => {
    const times = await play({ ...part, count: UNCOUNTED + part.count });
    ways.push(...Array.from(times).slice(UNCOUNTED));
  };
  const run = async (): Promise<Run> => {
    await playPart();
    const all = ways;
    ways = [];
    return oneWay(all);
  };
  return { name, part: playPart, run, close };
}

const guests = async (name: string, mode: PingMode, { warmUp, part }: Series, loop: LoopMode = 'direct') =>
  contenderOf(name, await openGuests(mode, loop), warmUp, part);

/** Workers that only wake each other. */
const atomics = async (name: string, { warmUp, part }: Series, relayed = false) =>
  contenderOf(name, await openWords(relayed), warmUp, part);

/** A native program, which needs no engine to warm up. */
async function program(name: string, pinger: Pinger | undefined, { part }: Series): Promise<TimedContender> {
  if (!pinger) throw new Absent(`${name}: no C compiler`);
  return contenderOf(name, { play: ({ count }) => pinger.play(count), close: () => pinger.close() }, part, part);
}

export function latencySuite({ native, quick }: SuiteOptions): TimedCase[] {
  const common = { suite: 'latency', unit: 'µs one way', parts: quick ? 2 : PARTS };
  const busy: Series = quick ? QUICK_BUSY : BUSY;
  const rests: Series = quick ? QUICK_RESTS : RESTS;
  return [
    {
      ...common,
      name: 'busy, median',
      further: { [`busy, ${HIGH}`]: HIGH },
      entrants: [() => guests(OURS, 'busy', busy), () => program('c', native?.pings(0), busy)],
    },
    {
      ...common,
      name: 'notify, median',
      further: { [`notify, ${HIGH}`]: HIGH },
      entrants: [
        () => guests(OURS, 'notify', rests),
        () => guests(LOOP_THREAD, 'notify', rests, 'notify'),
        () => program('c', native?.pings(REST), rests),
        () => program('c, loop thread', native?.pings(REST, 'loop thread'), rests),
        () => atomics('Atomics', rests),
        () => atomics('Atomics, relayed', rests, true),
        () => program('futex', native?.futexes(REST), rests),
      ],
    },
  ];
}
