// Expectations for tables: a row that does not hold is counted, and the first one's label is what the test reports.
// Also the work areas, with guard lines that tell whether somebody wrote outside, and a repeatable random generator.

let failures: u32 = 0;
let firstFailure: i64 = 0;

/** One row of a table; `label` tells which. */
export function check(holds: bool, label: i64): void {
  if (holds) return;
  if (failures++ == 0) firstFailure = label;
}

/** Ends a table: every row held. On failure the actual value is the first bad row's label, negated, minus one. */
export function expectTable(): void {
  const result: i64 = failures == 0 ? 0 : -1 - firstFailure;
  failures = 0;
  expect<i64>(result).toBe(0);
}

export function eq(actual: i64, expected: i64, what: string = ''): void {
  expect<i64>(actual).toBe(expected, what);
}

let state: u32 = 1;

export function seed(value: u32): void {
  state = value | 1;
}

/** xorshift32 */
export function random(): u32 {
  state ^= state << 13;
  state ^= state >> 17;
  state ^= state << 5;
  return state;
}

/** 0..n-1 */
export function below(n: u32): u32 {
  return (random() >> 8) % n;
}

/** `size` zeroed bytes, aligned to 64. */
export function area(size: usize): usize {
  const p = (heap.alloc(size + 64) + 63) & ~63;
  memory.fill(p, 0, size);
  return p;
}

const GUARD: u64 = 0xa5a5a5a5a5a5a5a5;
const MAX_GUARDS: u32 = 1024;
const guards = area(MAX_GUARDS * 4);
let nGuards: u32 = 0;

/** An area with a guard line before and after it. */
export function guarded(size: usize): usize {
  const room = (size + 63) & ~63;
  const p = area(room + 128) + 64;
  guardLine(p - 64);
  memory.fill(p + size, 0xa5, room - size);
  guardLine(p + room);
  return p;
}

function guardLine(p: usize): void {
  memory.fill(p, 0xa5, 64);
  if (nGuards == MAX_GUARDS) return;
  store<u32>(guards + ((<usize>nGuards) << 2), <u32>p);
  nGuards++;
}

/** Nobody wrote outside of a guarded area so far. */
export function guardsIntact(): bool {
  for (let i: u32 = 0; i < nGuards; i++) {
    const p: usize = load<u32>(guards + ((<usize>i) << 2));
    for (let k: usize = 0; k < 64; k += 8) if (load<u64>(p + k) != GUARD) return false;
  }
  return true;
}

export function forgetGuards(): void {
  nGuards = 0;
}

/** A value that changes when any of the `len` bytes at `p` changes. */
export function digest(p: usize, len: usize): u32 {
  let h: u32 = 0x811c9dc5;
  for (let i: usize = 0; i < len; i++) h = (h ^ load<u8>(p + i)) * 0x01000193;
  return h;
}

export function sameBytes(a: usize, b: usize, len: usize): bool {
  return memory.compare(a, b, len) == 0;
}

/** Every byte of [p, p + len) is `value`. */
export function allBytes(p: usize, len: usize, value: u8): bool {
  for (let i: usize = 0; i < len; i++) if (load<u8>(p + i) != value) return false;
  return true;
}
