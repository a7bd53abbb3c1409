// A memory that holds an arena among other things, and how it is seen whether only the arena's ranges were written.
import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import type { NetmapOptions } from '../../src/index.js';

interface Range {
  readonly base: number;
  readonly size: number;
}

const MIB = 1 << 20;
const SIZE = 256 * MIB;
/** Bytes that belong to nobody in the arena, before, between and behind its ranges. */
const FOREIGN: readonly Range[] = [
  { base: 0, size: MIB },
  { base: 33 * MIB, size: MIB },
  { base: 254 * MIB, size: 2 * MIB },
];
export const PRIVATE: Range = { base: MIB, size: 32 * MIB };
export const REGIONS: Range = { base: 34 * MIB, size: 220 * MIB };
const CANARY = 0x0ddba11e;

export function makeMemory(): WebAssembly.Memory {
  const pages = SIZE / 65536;
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  for (const { base, size } of FOREIGN) new Uint32Array(memory.buffer, base, size / 4).fill(CANARY);
  return memory;
}

export function arenaIn(memory: WebAssembly.Memory): NetmapOptions {
  return { memory, privateRange: PRIVATE, regionRange: REGIONS };
}

export function assertForeignUntouched(memory: WebAssembly.Memory): void {
  for (const { base, size } of FOREIGN) {
    const at = new Uint32Array(memory.buffer, base, size / 4).findIndex((word) => word !== CANARY);
    assert.equal(at, -1, `the byte at ${base + 4 * at} was written`);
  }
}

/** Whole MiBs. */
export function assertZero(memory: WebAssembly.Memory, { base, size }: Range): void {
  const zeros = Buffer.alloc(MIB);
  for (let at = base; at < base + size; at += MIB) {
    const bytes = Buffer.from(memory.buffer as unknown as SharedArrayBuffer, at, MIB);
    if (!bytes.equals(zeros)) assert.fail(`the byte at ${at + bytes.findIndex((byte) => byte !== 0)} was written`);
  }
}
