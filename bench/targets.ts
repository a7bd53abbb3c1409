// What the project wants to reach: ratios to named contenders, in one run. The last table of a report.
import { OURS, type Result } from './results.js';
import { HOST_PORTS, HOST_PORTS_WASM, LOOP_THREAD, MMIO, RAM_WINDOW, SMALL_BATCHES, WASM_PROGRAM } from './types.js';

interface Target {
  readonly path: string;
  readonly suite: string;
  readonly case: string;
  /** Which of ours. Default: ptnet. */
  readonly ours?: string | undefined;
  /** The contender that ours is compared with. */
  readonly against: string;
  readonly required: number;
  readonly aim: number;
}

const WORKERS = 'workers';
const LATENCY = 'latency';

/** Paths with a program: it is C in the twin, and in ours Wasm or JavaScript. */
const PROGRAMS = [
  { path: 'checksum 1500', suite: 'checksum', case: '1500', against: 'c', required: 0.9, aim: 1 },
  { path: 'pipe', suite: 'pipe', case: 'program', against: 'c', required: 0.9, aim: 1 },
  { path: 'guest, pipe, guest', suite: 'path', case: 'pipe', against: 'c', required: 0.75, aim: 0.9 },
  { path: 'guest, VALE 60, guest', suite: 'path', case: 'vale 60', against: 'c', required: 0.65, aim: 0.85 },
].flatMap((target): Target[] => [
  { ...target, path: `${target.path}, program in Wasm`, ours: WASM_PROGRAM },
  { ...target, path: `${target.path}, program in JavaScript` },
]);

/**
 * At most twice, and 1.5 times, as long as a wake-up of the runtime's own; where kernel loops have a thread of their own a frame
 * takes two, and so does the word that it is compared with.
 */
const WAKE_UPS = [
  { path: 'wake-up, median', case: 'notify, median' },
  { path: 'wake-up, 99th percentile', case: 'notify, 99 %' },
].flatMap((target): Target[] => {
  const common = { ...target, suite: LATENCY, against: 'Atomics', required: 1 / 2, aim: 1 / 1.5 };
  const relayed = { ...common, ours: LOOP_THREAD, against: 'Atomics, relayed' };
  return [common, { ...relayed, path: `${target.path}, loop thread` }];
});

/** Guests in v86, beside its own cards. */
const EMULATED = [
  ...[60, 1500].flatMap((size) => [
    { case: `transmit ${size}`, ours: RAM_WINDOW, required: 50, aim: 50 },
    { case: `receive ${size}`, ours: RAM_WINDOW, required: 20, aim: 20 },
  ]),
  { case: 'TCP, guest to guest', ours: MMIO, required: 1, aim: 1.5 },
].map((target): Target => {
  return { ...target, path: `v86, ${target.case}`, suite: 'v86', against: 'virtio-net' };
});

export const TARGETS: readonly Target[] = [
  ...PROGRAMS,
  { path: 'VALE 60, one thread', suite: 'vale', case: 'forward 60', against: 'c', required: 0.65, aim: 0.85 },
  {
    path: 'VALE 60, one thread',
    suite: 'vale',
    case: 'forward 60',
    against: 'c, netmap table',
    required: 1.8,
    aim: 2.5,
  },
  { path: 'VALE 1500, one thread', suite: 'vale', case: 'forward 1500', against: 'c', required: 0.95, aim: 1 },
  { path: 'two workers, pipe', suite: WORKERS, case: 'pipe 60', against: 'c', required: 0.75, aim: 0.9 },
  { path: 'two workers, VALE 60', suite: WORKERS, case: 'vale 60', against: 'c', required: 0.7, aim: 0.85 },
  { path: 'two workers, VALE 60', suite: WORKERS, case: 'vale 60', against: 'testpmd memif', required: 1, aim: 1.3 },
  { path: 'two workers, VALE 60', suite: WORKERS, case: 'vale 60', against: 'testpmd vhost', required: 1, aim: 1.3 },
  {
    path: 'two workers, pipe',
    suite: WORKERS,
    case: 'pipe 60',
    against: 'messages, 256 packed',
    required: 1.5,
    aim: 2.5,
  },
  ...[undefined, WASM_PROGRAM, HOST_PORTS, HOST_PORTS_WASM].map((ours): Target => {
    const path = `two workers, pipe, slots only${ours?.slice(OURS.length) ?? ''}`;
    return { path, suite: WORKERS, case: 'pipe, slots only', ours, against: 'slot ring', required: 0.8, aim: 1.2 };
  }),
  {
    path: 'VALE 60, one thread',
    suite: 'switches',
    case: 'one core, 60',
    against: 'Open vSwitch',
    required: 2,
    aim: 4,
  },
  {
    path: 'VALE 60, one thread, batch 32',
    suite: 'switches',
    case: 'one core, 60',
    ours: SMALL_BATCHES,
    against: 'Open vSwitch',
    required: 2,
    aim: 4,
  },
  ...WAKE_UPS,
  // At most 30 %, and 20 %, more.
  {
    path: '64 guests on a switch',
    suite: 'scaling',
    case: 'guests',
    ours: '64 guests',
    against: '2 guests',
    required: 1 / 1.3,
    aim: 1 / 1.2,
  },
  ...EMULATED,
  {
    path: '32 rings',
    suite: 'scaling',
    case: 'rings',
    ours: '32 rings',
    against: '1 ring',
    required: 1 / 1.3,
    aim: 1 / 1.2,
  },
];

export type Verdict = 'aim' | 'required' | 'short' | 'not run';

export interface Judged extends Target {
  readonly ratio: number | undefined;
  readonly verdict: Verdict;
  readonly disturbed: boolean;
}

function verdictOf({ required, aim }: Target, ratio: number | undefined): Verdict {
  if (ratio === undefined) return 'not run';
  if (ratio >= aim) return 'aim';
  return ratio >= required ? 'required' : 'short';
}

/** The targets with what a run has given. */
export function judge(results: readonly Result[]): Judged[] {
  return TARGETS.map((target) => {
    const ours = results.find(({ suite, case: name, contender }) => {
      return suite === target.suite && name === target.case && contender === (target.ours ?? OURS);
    });
    const ratio = ours?.ratio?.[target.against];
    const disturbed = ratio !== undefined && ours?.disturbed !== undefined;
    return { ...target, ratio, verdict: verdictOf(target, ratio), disturbed };
  });
}
