// Where cache and TLB begin to cost: what a case touches, by its rings, beside what the machine holds close to a core.
import type { NetmapRing } from 'ptnet';
import type { Machine } from './machine.js';
import type { Result } from './results.js';

const LINE = 64;
const SLOT = 16;
const PAGE = 4096;

/** KiB of cache lines and number of pages that programs and switch touch of slots and frames, once around the rings. */
export type Footprint = { readonly KiB: number; readonly pages: number };

export function footprintOf(rings: Iterable<NetmapRing>, size: number): Footprint {
  const lines = new Set<number>();
  const touch = (at: number, bytes: number): void => {
    for (let line = Math.floor(at / LINE); line * LINE < at + bytes; line++) lines.add(line);
  };
  for (const ring of new Set(rings)) {
    touch(4 * ring.slotBase, SLOT * ring.numSlots);
    for (let i = 0; i < ring.numSlots; i++) touch(ring.bufAddress(i), size);
  }
  const pages = new Set([...lines].map((line) => Math.floor((line * LINE) / PAGE)));
  return { KiB: (lines.size * LINE) / 1024, pages: pages.size };
}

interface Level {
  readonly name: string;
  readonly limit: number;
  readonly figure: keyof Footprint;
}

/** A step of the curve: what a packet costs at a value, after the value before it. */
function step(before: Result, after: Result): string {
  const more = Math.round(100 * (after.median / before.median - 1));
  return `${more < 0 ? '−' : '+'}${Math.abs(more)} % a packet after ${before.contender}`;
}

/**
 * What the contenders of one case, the values of a number, say about each level: where it is exceeded, and what that costs; and
 * which step costs most, whatever makes it so.
 */
export function levelLines(results: readonly Result[], { caches, tlbPages }: Machine): string[] {
  const levels: Level[] = [
    ...caches.map(({ name, KiB }): Level => ({ name: `${name} (${KiB} KiB)`, limit: KiB, figure: 'KiB' })),
    ...(tlbPages === undefined
      ? []
      : [{ name: `TLB (${tlbPages} pages)`, limit: tlbPages, figure: 'pages' } satisfies Level]),
  ];
  const lines = levels.map(({ name, limit, figure }) => {
    const first = results.findIndex(({ extra }) => (extra?.[figure] ?? 0) > limit);
    if (first < 0) return `  ${name}: never exceeded`;
    if (first === 0) return `  ${name}: always exceeded`;
    return `  ${name}: exceeded from ${results[first].contender} on, at ${step(results[first - 1], results[first])}`;
  });
  const costs = results.slice(1).map(({ median }, i) => median / results[i].median);
  const steepest = costs.indexOf(Math.max(...costs));
  return [
    ...lines,
    `  steepest step: ${results[steepest + 1].contender}, at ${step(results[steepest], results[steepest + 1])}`,
  ];
}
