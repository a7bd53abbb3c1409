// What a run was made on: figures of one machine say nothing about another.
import { cpus, release, totalmem, type } from 'node:os';

export interface Machine {
  readonly runtime: string;
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly system: string;
}

export function describeMachine(): Machine {
  const list = cpus();
  return {
    runtime: `Node ${process.version}, V8 ${process.versions.v8}, ${process.arch}`,
    cpu: list[0]?.model ?? 'unknown CPU',
    cores: list.length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    system: `${type()} ${release()}`,
  };
}

export const machineLine = ({ runtime, cpu, cores, memoryGiB, system }: Machine): string =>
  `${runtime}; ${cpu}, ${cores} cores, ${memoryGiB} GiB; ${system}`;
