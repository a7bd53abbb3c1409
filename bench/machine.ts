// What a run was made on: figures of one machine say nothing about another.
import { readFileSync } from 'node:fs';
import { cpus, release, totalmem, type } from 'node:os';

export interface Machine {
  readonly runtime: string;
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly system: string;
  /** Data caches, the nearest first; none where nobody says (other systems than Linux). */
  readonly caches: readonly { readonly name: string; readonly KiB: number }[];
  /** Pages of 4 KiB that the TLB holds, where the kernel knows. */
  readonly tlbPages?: number;
}

/** A file's text, or nothing. */
function textOf(path: string): string {
  try {
    return readFileSync(path, 'latin1').trim();
  } catch {
    return '';
  }
}

function caches(): Machine['caches'] {
  const folder = '/sys/devices/system/cpu/cpu0/cache';
  return [0, 1, 2, 3, 4].flatMap((index) => {
    const [level, kind, size] = ['level', 'type', 'size'].map((name) => textOf(`${folder}/index${index}/${name}`));
    const KiB = Number(/^(\d+)K$/.exec(size)?.[1]);
    return KiB > 0 && kind !== 'Instruction' ? [{ name: `L${level}${kind === 'Data' ? 'd' : ''}`, KiB }] : [];
  });
}

export function describeMachine(): Machine {
  const list = cpus();
  const tlb = /^TLB size\s*: (\d+) 4K pages/m.exec(textOf('/proc/cpuinfo'));
  return {
    runtime: `Node ${process.version}, V8 ${process.versions.v8}, ${process.arch}`,
    cpu: list[0]?.model ?? 'unknown CPU',
    cores: list.length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    system: `${type()} ${release()}`,
    caches: caches(),
    ...(tlb && { tlbPages: Number(tlb[1]) }),
  };
}

export const machineLine = ({ runtime, cpu, cores, memoryGiB, system }: Machine): string =>
  `${runtime}; ${cpu}, ${cores} cores, ${memoryGiB} GiB; ${system}`;
