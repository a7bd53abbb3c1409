// What the project wants to reach: ratios to named contenders, in one run. The last table of a report.
import type { Result } from './results.js';

interface Target {
  readonly path: string;
  readonly suite: string;
  readonly case: string;
  /** The contender that ours is compared with. */
  readonly against: string;
  readonly required: number;
  readonly aim: number;
}

const WORKERS = 'workers';

export const TARGETS: readonly Target[] = [
  { path: 'pipe, one thread', suite: 'pipe', case: 'program', against: 'c', required: 0.9, aim: 1 },
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
  { path: 'checksum 1500', suite: 'checksum', case: '1500', against: 'c', required: 0.9, aim: 1 },
  { path: 'guest, pipe, guest, one thread', suite: 'path', case: 'pipe', against: 'c', required: 0.75, aim: 0.9 },
  {
    path: 'guest, VALE 60, guest, one thread',
    suite: 'path',
    case: 'vale 60',
    against: 'c',
    required: 0.65,
    aim: 0.85,
  },
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
  {
    path: 'two workers, pipe, slots only',
    suite: WORKERS,
    case: 'pipe, slots only',
    against: 'slot ring',
    required: 0.8,
    aim: 1.2,
  },
  {
    path: 'VALE 60, one thread',
    suite: 'switches',
    case: 'one core, 60',
    against: 'Open vSwitch',
    required: 2,
    aim: 4,
  },
  // At most twice, and 1.5 times, as long.
  {
    path: 'wake-up, median',
    suite: 'latency',
    case: 'notify, median',
    against: 'Atomics',
    required: 1 / 2,
    aim: 1 / 1.5,
  },
  {
    path: 'wake-up, 99th percentile',
    suite: 'latency',
    case: 'notify, 99 %',
    against: 'Atomics',
    required: 1 / 2,
    aim: 1 / 1.5,
  },
  // At most 30 %, and 20 %, more.
  {
    path: '64 guests on a switch',
    suite: 'scaling',
    case: 'guests',
    against: '2 guests',
    required: 1 / 1.3,
    aim: 1 / 1.2,
  },
  ...[60, 1500].flatMap((size) => [
    {
      path: `v86, transmit ${size}`,
      suite: 'v86',
      case: `transmit ${size}`,
      against: 'virtio-net',
      required: 50,
      aim: 50,
    },
    {
      path: `v86, receive ${size}`,
      suite: 'v86',
      case: `receive ${size}`,
      against: 'virtio-net',
      required: 20,
      aim: 20,
    },
  ]),
  { path: 'v86, TCP', suite: 'v86', case: 'TCP, guest to guest', against: 'virtio-net', required: 1, aim: 1.5 },
  { path: '32 rings', suite: 'scaling', case: 'rings', against: '1 ring', required: 1 / 1.3, aim: 1 / 1.2 },
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
    const ours = results.find(({ suite, case: name, ratio }) => {
      return suite === target.suite && name === target.case && ratio !== undefined && target.against in ratio;
    });
    const ratio = ours?.ratio?.[target.against];
    return { ...target, ratio, verdict: verdictOf(target, ratio), disturbed: ours?.disturbed !== undefined };
  });
}
