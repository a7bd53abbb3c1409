// Tells whether somebody has written where nothing belongs to him: fills a memory around some ranges with a pattern, and
// looks for it later.

import assert from 'node:assert/strict';
import type { MemoryRange } from '../../src/memory/arena.js';

const CHUNK = 65536;

/** Word `i` of the pattern: no two near ones are equal, and none is 0. */
const word = (i: number): number => (Math.imul(i, 0x9e3779b1) ^ 0x5a5a5a5a) | 1;

/** The ranges of `whole` that are not in `holes`. */
function without(whole: MemoryRange, holes: readonly MemoryRange[]): MemoryRange[] {
  const rest: MemoryRange[] = [];
  let at = whole.base;
  const end = whole.base + whole.size;
  for (const { base, size } of [...holes].sort((a, b) => a.base - b.base)) {
    if (base + size <= at || base >= end) continue;
    if (base > at) rest.push({ base: at, size: base - at });
    at = Math.max(at, base + size);
  }
  if (at < end) rest.push({ base: at, size: end - at });
  return rest;
}

export class Canary {
  readonly #bytes: Uint8Array;
  readonly #ranges: readonly MemoryRange[];

  /**
   * Fills `watched` (default: all of the memory), but not `holes`. All of them are whole words.
   */
  constructor(memory: WebAssembly.Memory, holes: readonly MemoryRange[], watched?: readonly MemoryRange[]) {
    this.#bytes = new Uint8Array(memory.buffer);
    const all = watched ?? [{ base: 0, size: this.#bytes.length }];
    this.#ranges = all.flatMap((range) => without(range, holes));
    this.#each((at, expected) => this.#bytes.set(expected, at));
  }

  /** Bytes that are watched. */
  get size(): number {
    return this.#ranges.reduce((sum, { size }) => sum + size, 0);
  }

  /** Fails if a byte has changed. */
  check(when: string): void {
    this.#each((at, expected) => {
      const found = this.#bytes.subarray(at, at + expected.length);
      if (Buffer.compare(found, expected) === 0) return;
      const i = found.findIndex((byte, k) => byte !== expected[k]);
      assert.fail(`${when}: byte ${at + i} of the memory was overwritten`);
    });
  }

  #each(visit: (at: number, expected: Uint8Array) => void): void {
    for (const { base, size } of this.#ranges) {
      for (let at = base; at < base + size; at += CHUNK) {
        const words = new Int32Array(Math.min(CHUNK, base + size - at) >>> 2);
        for (let i = 0; i < words.length; i++) words[i] = word((at >>> 2) + i);
        visit(at, new Uint8Array(words.buffer));
      }
    }
  }
}

/** Fails unless every byte of a range is 0. */
export function assertZero(memory: WebAssembly.Memory, { base, size }: MemoryRange, what: string): void {
  const zeros = new Uint8Array(CHUNK);
  for (let at = base; at < base + size; at += CHUNK) {
    const found = new Uint8Array(memory.buffer, at, Math.min(CHUNK, base + size - at));
    if (Buffer.compare(found, zeros.subarray(0, found.length)) === 0) continue;
    assert.fail(`${what}: byte ${at + found.findIndex((byte) => byte !== 0)} is not zero`);
  }
}
