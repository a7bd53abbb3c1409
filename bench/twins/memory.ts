// The plain JavaScript twin: the data path of assembly/ written in JavaScript over the very memory that ptnet laid out,
// with atomics where the Wasm has them. Paths that no bench takes end in notInTheBench(), behind the same tests.
import { abi } from 'ptnet';

const { ARENA_THREADS, KLOOP_EVENT, KLOOP_PLACE, KLOOP_THREAD, KRING_EVENT, KRING_LOOP, KRING_STATS, KRING_WAITERS } =
  abi;
const { KRING_WATCHERS, THREAD_ARENA, THREAD_DUE, THREAD_SEQ, THREAD_SIZE, THREAD_SLEEPERS } = abi;

/** Typed arrays over the arena's memory. */
export interface Memory {
  readonly i32: Int32Array;
  readonly u32: Uint32Array;
  readonly u16: Uint16Array;
  readonly u8: Uint8Array;
  readonly view: DataView;
}

export function memoryOf(buffer: ArrayBufferLike): Memory {
  return {
    i32: new Int32Array(buffer),
    u32: new Uint32Array(buffer),
    u16: new Uint16Array(buffer),
    u8: new Uint8Array(buffer),
    view: new DataView(buffer),
  };
}

export function notInTheBench(): never {
  throw new Error('the JavaScript twin met a case that it does not have');
}

export function ringNext(i: number, n: number): number {
  return i + 1 === n ? 0 : i + 1;
}
export function ringPrev(i: number, n: number): number {
  return (i === 0 ? n : i) - 1;
}
export function ringDistance(from: number, to: number, n: number): number {
  return to >= from ? to - from : to - from + n;
}
export function ringAdvance(i: number, k: number, n: number): number {
  return i + k >= n ? i + k - n : i + k;
}

/** Adds to a 64-bit counter of a kring; the caller holds the ring. */
export function statAdd({ u32 }: Memory, kr: number, stat: number, n: number): void {
  const w = (kr + KRING_STATS + 8 * stat) >>> 2;
  const low = u32[w] + n;
  u32[w] = low;
  if (low > 0xffffffff) u32[w + 1]++;
}

/** The same where several threads may add at once. */
export function statAddShared({ u32 }: Memory, kr: number, stat: number, n: number): void {
  const w = (kr + KRING_STATS + 8 * stat) >>> 2;
  if (Atomics.add(u32, w, n) + n > 0xffffffff) Atomics.add(u32, w + 1, 1);
}

export function threadWake({ i32 }: Memory, thread: number): void {
  Atomics.add(i32, (thread + THREAD_SEQ) >>> 2, 1);
  const sleepers = (thread + THREAD_SLEEPERS) >>> 2;
  if (Atomics.load(i32, sleepers) === 0) return;
  Atomics.store(i32, sleepers, 0);
  Atomics.add(i32, (thread + THREAD_SEQ) >>> 2, 1);
  Atomics.notify(i32, (thread + THREAD_SEQ) >>> 2);
}

/** Has thread `self`, which serves the loop, look at it in its next pass: a bit by its place, of the first 32. */
export function loopDue({ i32 }: Memory, loop: number, self: number): void {
  i32[(self + THREAD_DUE) >>> 2] |= 1 << i32[(loop + KLOOP_PLACE) >>> 2];
}

export function kringNotify(mem: Memory, kr: number, self: number): void {
  const { i32 } = mem;
  const loop = Atomics.load(i32, (kr + KRING_LOOP) >>> 2);
  // Two halves of a 64-bit word: the benches have one thread, whose bit is in the first.
  let waiters = Atomics.load(i32, (kr + KRING_WATCHERS) >>> 2);
  if (loop !== 0) {
    const event = i32[(kr + KRING_EVENT) >>> 2];
    if ((Atomics.load(i32, (loop + KLOOP_EVENT) >>> 2) & event) === 0) {
      Atomics.or(i32, (loop + KLOOP_EVENT) >>> 2, event);
      waiters |= Atomics.load(i32, (kr + KRING_WAITERS) >>> 2);
    }
    if (Atomics.load(i32, (loop + KLOOP_THREAD) >>> 2) === self) loopDue(mem, loop, self);
  } else {
    waiters |= Atomics.load(i32, (kr + KRING_WAITERS) >>> 2);
  }
  if (waiters === 0) return;
  const threads = i32[(i32[(self + THREAD_ARENA) >>> 2] + ARENA_THREADS) >>> 2];
  while (waiters !== 0) {
    threadWake(mem, threads + (31 - Math.clz32(waiters & -waiters)) * THREAD_SIZE);
    waiters &= waiters - 1;
  }
}
