// assembly/ring: index arithmetic, the prologues' accept and reject rule, reinit, ownership of a ring, waking.
import {
  KLOOP_EVENT,
  KLOOP_SIZE,
  KRING_BUSY,
  KRING_HWCUR,
  KRING_HWTAIL,
  KRING_LOCKED,
  KRING_EVENT,
  KRING_LOOP,
  KRING_NBUFS,
  KRING_NSLOTS,
  KRING_RCUR,
  KRING_RHEAD,
  KRING_RTAIL,
  KRING_SIZE,
  KRING_STOP,
  KRING_STOPPED,
  KRING_SYNCS,
  KRING_WAITERS,
  PORT_KIND_NULL,
  STAT_BAD_SLOT,
  STAT_REINITS,
  THREAD_SLEEPERS,
} from '../abi/arena';
import { EBUSY, EIO } from '../abi/errno';
import { NS_BUF_CHANGED, NS_MOREFRAG, NETMAP_SLOT_PTR } from '../abi/netmap';
import {
  indicesValid,
  kringAcquire,
  kringFinalize,
  kringReinit,
  kringRelease,
  rxPrologue,
  txPrologue,
} from '../ring/kring';
import { kringNotify, threadWake } from '../ring/notify';
import { ringAdvance, ringDistance, ringNext, ringPrev } from '../ring/wrap';
import { area, check, digest, eq, expectTable, guarded, guardsIntact } from './include/check';
import {
  cur,
  head,
  newPort,
  newRegion,
  rxKring,
  self,
  seq,
  setHead,
  setSlot,
  slotAt,
  slotFlags,
  slotIdx,
  slotLen,
  stat,
  sync,
  tail,
  thread,
  turnTo,
  txKring,
  word,
  setWord,
} from './include/world';

/** lo <= head <= cur <= hi in ring order: walking from lo, head is met first, then cur, and hi is not passed. */
function inRingOrder(lo: u32, hi: u32, h: u32, c: u32, n: u32): bool {
  let seenHead = false;
  for (let i = lo, steps: u32 = 0; steps < n; i = (i + 1) % n, steps++) {
    if (i == h) seenHead = true;
    if (i == c) return seenHead;
    if (i == hi) return false;
  }
  return false;
}

const LARGE: u32[] = [0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff];

/** The k-th of the index values to try on a ring of n slots: 0..n+1, then the large ones. */
function tried(k: u32, n: u32): u32 {
  return k < n + 2 ? k : LARGE[k - n - 2];
}

const region = newRegion(64, 128);
const port = newPort(PORT_KIND_NULL, 1, 1, 8, region);
const before = area(KRING_SIZE);

describe('ring indices', () => {
  test('next, prev, distance and advance are arithmetic modulo n', () => {
    for (let n: u32 = 1; n <= 9; n++) {
      for (let i: u32 = 0; i < n; i++) {
        check(ringNext(i, n) == (i + 1) % n, n * 100 + i);
        check(ringPrev(i, n) == (i + n - 1) % n, n * 100 + i);
        for (let j: u32 = 0; j < n; j++) check(ringDistance(i, j, n) == (j + n - i) % n, n * 1000 + i * 10 + j);
        for (let k: u32 = 0; k <= n; k++) check(ringAdvance(i, k, n) == (i + k) % n, n * 1000 + i * 10 + k);
      }
    }
    expectTable();
  });
});

describe('prologue', () => {
  test('accepts exactly lo <= head <= cur <= hi in ring order, for every lo, hi, head and cur of small rings', () => {
    for (let n: u32 = 3; n <= 6; n++) {
      for (let lo: u32 = 0; lo < n; lo++) {
        for (let hi: u32 = 0; hi < n; hi++) {
          for (let h: u32 = 0; h < n + 6; h++) {
            for (let c: u32 = 0; c < n + 6; c++) {
              const accept = h < n && c < n && inRingOrder(lo, hi, h, c, n);
              check(
                indicesValid(tried(h, n), tried(c, n), lo, hi, n) == accept,
                (((n * 10 + lo) * 10 + hi) * 100 + h) * 100 + c,
              );
            }
          }
        }
      }
    }
    expectTable();
  });

  test('never lets an index out of range through, whatever the limits are', () => {
    for (let n: u32 = 3; n <= 6; n++) {
      for (let lo: u32 = 0; lo < n + 2; lo++) {
        for (let hi: u32 = 0; hi < n + 2; hi++) {
          for (let h: u32 = 0; h < n + 6; h++) {
            for (let c: u32 = 0; c < n + 6; c++) {
              const accepted = indicesValid(tried(h, n), tried(c, n), lo, hi, n);
              check(!accepted || (h < n && c < n), (((n * 10 + lo) * 10 + hi) * 100 + h) * 100 + c);
            }
          }
        }
      }
    }
    expectTable();
  });

  test('tx: between the last accepted head and the tail shown; success stores head and cur, failure nothing', () => {
    const kr = txKring(port);
    for (let n: u32 = 3; n <= 5; n++) {
      for (let lo: u32 = 0; lo < n; lo++) {
        for (let hi: u32 = 0; hi < n; hi++) {
          for (let h: u32 = 0; h < n + 6; h++) {
            for (let c: u32 = 0; c < n + 6; c++) {
              const label = (((n * 10 + lo) * 10 + hi) * 100 + h) * 100 + c;
              setWord(kr, KRING_NSLOTS, n);
              setWord(kr, KRING_RHEAD, lo);
              setWord(kr, KRING_RCUR, lo);
              setWord(kr, KRING_RTAIL, hi);
              setWord(kr, KRING_HWCUR, 1); // play no part
              setWord(kr, KRING_HWTAIL, 2);
              const old = digest(kr, KRING_SIZE);
              const accept = h < n && c < n && inRingOrder(lo, hi, h, c, n);
              check(txPrologue(kr, tried(h, n), tried(c, n)) == accept, label);
              if (accept) check(word(kr, KRING_RHEAD) == h && word(kr, KRING_RCUR) == c, label);
              else check(digest(kr, KRING_SIZE) == old, label);
            }
          }
        }
      }
    }
    setWord(kr, KRING_NSLOTS, 8);
    turnTo(kr, 0);
    expectTable();
  });

  test('rx: between hwcur and hwtail; success stores head and cur, failure nothing', () => {
    const kr = rxKring(port);
    for (let n: u32 = 3; n <= 5; n++) {
      for (let lo: u32 = 0; lo < n; lo++) {
        for (let hi: u32 = 0; hi < n; hi++) {
          for (let h: u32 = 0; h < n + 6; h++) {
            for (let c: u32 = 0; c < n + 6; c++) {
              const label = (((n * 10 + lo) * 10 + hi) * 100 + h) * 100 + c;
              setWord(kr, KRING_NSLOTS, n);
              setWord(kr, KRING_HWCUR, lo);
              setWord(kr, KRING_HWTAIL, hi);
              setWord(kr, KRING_RHEAD, 1); // play no part
              setWord(kr, KRING_RCUR, 2);
              setWord(kr, KRING_RTAIL, 1);
              const old = digest(kr, KRING_SIZE);
              const accept = h < n && c < n && inRingOrder(lo, hi, h, c, n);
              check(rxPrologue(kr, tried(h, n), tried(c, n)) == accept, label);
              if (accept) check(word(kr, KRING_RHEAD) == h && word(kr, KRING_RCUR) == c, label);
              else check(digest(kr, KRING_SIZE) == old, label);
            }
          }
        }
      }
    }
    setWord(kr, KRING_NSLOTS, 8);
    turnTo(kr, 0);
    expectTable();
  });

  test('finalize shows hwtail to the application', () => {
    const kr = rxKring(port);
    turnTo(kr, 0);
    setWord(kr, KRING_HWTAIL, 5);
    kringFinalize(kr);
    eq(tail(kr), 5);
    eq(word(kr, KRING_RTAIL), 5);
    turnTo(kr, 0);
  });
});

describe('reinit', () => {
  test('repairs slots with a bad index or length, leaves good ones and all flags alone, and counts', () => {
    const kr = txKring(port);
    const reinits = stat(kr, STAT_REINITS);
    const bad = stat(kr, STAT_BAD_SLOT);
    const flags = NS_BUF_CHANGED | NS_MOREFRAG;
    const nbufs = word(kr, KRING_NBUFS);
    setSlot(kr, 0, 0, 5, flags); // reserved
    setSlot(kr, 1, 1, 5, flags); // reserved
    setSlot(kr, 2, 2, 128, flags); // lowest, full length
    setSlot(kr, 3, nbufs - 1, 0, flags); // highest, empty
    setSlot(kr, 4, nbufs, 5, flags); // too high
    setSlot(kr, 5, 0xffffffff, 5, flags);
    setSlot(kr, 6, 7, 129, flags); // too long
    setSlot(kr, 7, 8, 0xffff, flags);
    for (let i: u32 = 0; i < 8; i++) store<u64>(slotAt(kr, i), 0x1122334455667788, NETMAP_SLOT_PTR);
    kringReinit(kr);
    const idx: u32[] = [0, 0, 2, nbufs - 1, 0, 0, 7, 8];
    const len: u32[] = [0, 0, 128, 0, 0, 0, 0, 0];
    for (let i: u32 = 0; i < 8; i++) {
      check(slotIdx(kr, i) == idx[i] && slotLen(kr, i) == len[i] && slotFlags(kr, i) == flags, i);
      check(load<u64>(slotAt(kr, i), NETMAP_SLOT_PTR) == 0x1122334455667788, i);
    }
    expectTable();
    eq(stat(kr, STAT_REINITS) - reinits, 1);
    eq(stat(kr, STAT_BAD_SLOT) - bad, 6);
    for (let i: u32 = 0; i < 8; i++) setSlot(kr, i, 2 + i, 64, 0);
  });

  test('puts head and cur back to hwcur and tail to hwtail, in the ring and in the kring', () => {
    const kr = txKring(port);
    const bad = stat(kr, STAT_BAD_SLOT);
    turnTo(kr, 3);
    setWord(kr, KRING_HWCUR, 4);
    setHead(kr, 99, 0xffffffff);
    kringReinit(kr);
    eq(head(kr), 4);
    eq(cur(kr), 4);
    eq(tail(kr), 2);
    eq(word(kr, KRING_RHEAD), 4);
    eq(word(kr, KRING_RCUR), 4);
    eq(word(kr, KRING_RTAIL), 2);
    eq(stat(kr, STAT_BAD_SLOT), bad, 'good slots are not counted');
    turnTo(kr, 0);
  });

  test('an application with illegal indices is never stuck: the sync after the failed one is accepted', () => {
    const kr = txKring(port);
    for (let h: u32 = 0; h < 14; h++) {
      for (let c: u32 = 0; c < 14; c++) {
        turnTo(kr, 5);
        setHead(kr, tried(h, 8), tried(c, 8));
        const valid = h < 8 && c < 8 && inRingOrder(5, 4, h, c, 8);
        const reinits = stat(kr, STAT_REINITS);
        check(sync(kr) == 0, h * 100 + c);
        check(stat(kr, STAT_REINITS) - reinits == (valid ? 0 : 1), h * 100 + c);
        if (!valid) check(head(kr) == 5 && cur(kr) == 5 && tail(kr) == 4, h * 100 + c);
        check(sync(kr) == 0 && stat(kr, STAT_REINITS) - reinits == (valid ? 0 : 1), h * 100 + c);
      }
    }
    turnTo(kr, 0);
    expectTable();
    eq(guardsIntact(), 1);
  });
});

describe('ownership of a ring', () => {
  test('a free, running ring is taken and holds the owner id until it is released', () => {
    const kr = txKring(port);
    const syncs = word(kr, KRING_SYNCS);
    eq(kringAcquire(kr, 7), 0);
    eq(word(kr, KRING_BUSY), 7);
    eq(kringAcquire(kr, 8), -EBUSY, 'held by somebody else');
    eq(kringAcquire(kr, 7), -EBUSY, 'not recursive');
    eq(word(kr, KRING_BUSY), 7);
    eq(word(kr, KRING_SYNCS), syncs, 'no release, no count');
    kringRelease(kr);
    eq(word(kr, KRING_BUSY), 0);
    eq(word(kr, KRING_SYNCS), syncs + 1);
  });

  test('a stopped ring is refused with EIO, a locked one with EBUSY, and neither stays held', () => {
    const kr = txKring(port);
    setWord(kr, KRING_STOP, KRING_STOPPED);
    eq(kringAcquire(kr, 7), -EIO);
    eq(word(kr, KRING_BUSY), 0);
    setWord(kr, KRING_STOP, KRING_LOCKED);
    eq(kringAcquire(kr, 7), -EBUSY);
    eq(word(kr, KRING_BUSY), 0);
    setWord(kr, KRING_STOP, 0);
    eq(kringAcquire(kr, 7), 0);
    kringRelease(kr);
  });
});

describe('waking', () => {
  test('a wake increments the waiter word, and takes the word of the sleepers back', () => {
    const t = thread(9);
    const old = seq(t);
    threadWake(t);
    eq(seq(t), old + 1);
    store<u32>(t, 1, THREAD_SLEEPERS);
    threadWake(t);
    eq(seq(t), old + 3); // once more after the word of the sleepers was cleared
    eq(load<u32>(t, THREAD_SLEEPERS), 0);
    threadWake(t);
    eq(seq(t), old + 4);
  });

  test("a ring wakes exactly the threads in its waiter set, and sets its bit in its loop's event word", () => {
    const kr = rxKring(port);
    const loop = guarded(KLOOP_SIZE);
    const sets: u64[] = [0, 2, 1 << 63, (1 << 63) | 2 | (1 << 31) | (1 << 32), 0xfffffffffffffffe];
    for (let s = 0; s < sets.length; s++) {
      for (let withLoop: u32 = 0; withLoop < 2; withLoop++) {
        const old = area(64 * 4);
        for (let t: u32 = 1; t < 64; t++) store<u32>(old + ((<usize>t) << 2), seq(thread(t)));
        store<u64>(kr, sets[s], KRING_WAITERS);
        setWord(kr, KRING_LOOP, withLoop ? <u32>loop : 0);
        setWord(kr, KRING_EVENT, 8);
        setWord(loop, KLOOP_EVENT, 1);
        kringNotify(kr, self);
        for (let t: u32 = 1; t < 64; t++) {
          check(seq(thread(t)) - load<u32>(old + ((<usize>t) << 2)) == <u32>((sets[s] >> t) & 1), s * 100 + t);
        }
        check(word(loop, KLOOP_EVENT) == (withLoop ? 9 : 1), s); // its bit comes to the others
      }
    }
    store<u64>(kr, 0, KRING_WAITERS);
    setWord(kr, KRING_LOOP, 0);
    setWord(kr, KRING_EVENT, 0);
    expectTable();
  });
});
