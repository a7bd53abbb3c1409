// What other programs do meanwhile: the machine's busy time without that of this process and of its children, by
// /proc (Linux). Children count when they have ended.
import { readFileSync } from 'node:fs';

export interface Load {
  /** Cores that others kept busy, on average. */
  readonly foreign: number;
}

/** Clock ticks a second in /proc: 100 on every architecture that Node runs on. */
const TICKS = 100;

interface Ticks {
  readonly all: number;
  readonly own: number;
}

function ticks(): Ticks | undefined {
  try {
    // user nice system idle iowait irq softirq steal
    const cpu = readFileSync('/proc/stat', 'latin1').split('\n')[0].split(/\s+/).slice(1).map(Number);
    const stat = readFileSync('/proc/self/stat', 'latin1');
    // Behind the name, which may contain anything: fields 14 … 17, utime, stime, cutime, cstime.
    const own = stat
      .slice(stat.lastIndexOf(')') + 2)
      .split(' ')
      .slice(11, 15)
      .map(Number);
    const sum = (list: readonly number[]): number => list.reduce((a, b) => a + b, 0);
    return { all: sum([...cpu.slice(0, 3), ...cpu.slice(5, 8)]), own: sum(own) };
  } catch {
    return undefined; // not Linux, or no /proc
  }
}

/** Starts watching; the returned function says what others did since. Undefined where it cannot be known. */
export function watchLoad(): () => Load | undefined {
  const before = ticks();
  const started = performance.now();
  return () => {
    const after = ticks();
    const seconds = (performance.now() - started) / 1000;
    if (!before || !after || seconds < 0.2) return undefined;
    const foreign = after.all - before.all - (after.own - before.own);
    return { foreign: Math.max(0, foreign / TICKS / seconds) };
  };
}
