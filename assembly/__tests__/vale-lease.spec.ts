// assembly/vale, leases: several senders fill one rx ring, and their slots are published in order.
import {
  KRING_HWCUR,
  KRING_HWLEASE,
  KRING_LEASE_HEAD,
  KRING_LEASE_TAIL,
  KRING_LOCK,
  KRING_MAILTAIL,
  KRING_WAITERS,
  LEASE_DONE,
  LEASE_END,
  LEASE_OPEN,
  LEASE_OWNER,
  LEASE_START,
  LEASE_STATE,
  PORT_KIND_VALE,
} from '../abi/arena';
import { NETMAP_SLOT_LEN } from '../abi/netmap';
import { leaseComplete, leaseLock, leasePublish, leaseTake, leaseUnlock } from '../vale/lease';
import { below, check, eq, expectTable, guardsIntact, seed } from './include/check';
import {
  newPort,
  regionFor,
  rxKring,
  self,
  seq,
  setSlot,
  setWord,
  slotAt,
  slotIdx,
  slotLen,
  thread,
  turnTo,
  word,
} from './include/world';

const A = thread(2);
const B = thread(3);
const C = thread(4);
const RECEIVER = thread(9);

let rx: usize = 0;
let n: u32 = 0;

/** A fresh ring of `slots` slots at position `at`, every slot 99 bytes long, with a thread waiting for it. */
function fresh(slots: u32 = 8, at: u32 = 0): void {
  n = slots;
  rx = rxKring(newPort(PORT_KIND_VALE, 1, 1, n, regionFor(2, n, 64)));
  turnTo(rx, at);
  for (let i: u32 = 0; i < n; i++) setSlot(rx, i, slotIdx(rx, i), 99, 0x20);
  store<u64>(rx, 1 << 9, KRING_WAITERS);
}

function take(k: u32, t: usize): usize {
  leaseLock(rx, t);
  const lease = leaseTake(rx, k, t);
  leaseUnlock(rx);
  return lease;
}

function mailbox(): u32 {
  return word(rx, KRING_MAILTAIL);
}

/** Slots [from, from + k) are empty, and no others are. */
function onlyEmpty(from: u32, k: u32): bool {
  for (let i: u32 = 0; i < n; i++) {
    const inside = (i + n - from) % n < k;
    if ((slotLen(rx, i) == 0) != inside) return false;
  }
  return true;
}

describe('lease, taking', () => {
  test('is at most what is free: n - 1 less what the receiver has not released, at every position', () => {
    for (let at: u32 = 0; at < 8; at++) {
      for (let used: u32 = 0; used < 8; used++) {
        for (let want: u32 = 1; want < 9; want++) {
          const label = (at * 10 + used) * 10 + want;
          fresh(8, at);
          setWord(rx, KRING_HWLEASE, (at + used) % 8);
          setWord(rx, KRING_MAILTAIL, (at + used) % 8);
          const lease = take(want, A);
          const got = min<u32>(want, 7 - used);
          check((lease != 0) == (got != 0), label);
          check(word(rx, KRING_HWLEASE) == (at + used + got) % 8 && word(rx, KRING_HWCUR) == at, label);
          if (lease == 0) {
            check(word(rx, KRING_LEASE_TAIL) == 0, label);
            continue;
          }
          check(word(lease, LEASE_STATE) == LEASE_OPEN && word(lease, LEASE_OWNER) == 2, label);
          check(word(lease, LEASE_START) == (at + used) % 8 && word(lease, LEASE_END) == (at + used + got) % 8, label);
          check(word(rx, KRING_LEASE_TAIL) == 1 && mailbox() == (at + used) % 8, label);
        }
      }
    }
    expectTable();
  });

  test("a lock that stays taken is given up after the spin limit, and stays its holder's", () => {
    fresh();
    eq(leaseLock(rx, A), 1);
    eq(word(rx, KRING_LOCK), 2);
    eq(leaseLock(rx, B), 0);
    eq(leaseLock(rx, A), 0);
    eq(word(rx, KRING_LOCK), 2);
    leaseUnlock(rx);
    eq(leaseLock(rx, B), 1);
    eq(word(rx, KRING_LOCK), 3);
    leaseUnlock(rx);
  });
});

describe('lease, publishing', () => {
  test('A takes, B takes, B completes: nothing is published until A completes, then both are', () => {
    fresh();
    const woken = seq(RECEIVER);
    const a = take(3, A);
    const b = take(2, B);
    leaseComplete(rx, b, 5, B);
    eq(mailbox(), 0);
    eq(word(b, LEASE_STATE), LEASE_DONE);
    eq(seq(RECEIVER), woken, 'nobody is woken for nothing');
    leaseComplete(rx, a, 3, A);
    eq(mailbox(), 5);
    eq(seq(RECEIVER), woken + 1);
    eq(word(rx, KRING_LEASE_HEAD), word(rx, KRING_LEASE_TAIL));
    eq(onlyEmpty(0, 0), 1);
  });

  test('in whatever order three leases are completed, the mailbox stands at the end of the done ones in front', () => {
    const orders: u32[] = [0, 1, 2, 0, 2, 1, 1, 0, 2, 1, 2, 0, 2, 0, 1, 2, 1, 0];
    for (let at: u32 = 0; at < 16; at++) {
      for (let o = 0; o < 18; o += 3) {
        fresh(16, at);
        const leases: usize[] = [take(1, A), take(4, B), take(2, C)];
        const ends: u32[] = [1, 5, 7];
        const owners: usize[] = [A, B, C];
        let done: u32 = 0;
        for (let k = 0; k < 3; k++) {
          const which = orders[o + k];
          leaseComplete(rx, leases[which], (at + ends[which]) % 16, owners[which]);
          done |= 1 << which;
          const front: u32 = done & 1 ? (done & 2 ? (done & 4 ? 7 : 5) : 1) : 0;
          check(mailbox() == (at + front) % 16, (at * 100 + o) * 10 + k);
        }
        check(word(rx, KRING_LOCK) == 0, at * 100 + o);
      }
    }
    expectTable();
  });

  test('a done lease is left to the holder of the lock, who publishes it when he looks again', () => {
    fresh();
    const a = take(2, A);
    leaseLock(rx, B);
    leaseComplete(rx, a, 2, A);
    eq(mailbox(), 0);
    eq(word(rx, KRING_LOCK), 3);
    leaseUnlock(rx);
    leasePublish(rx, B);
    eq(mailbox(), 2);
  });

  test('publishing with nothing done changes nothing and wakes nobody', () => {
    fresh();
    const woken = seq(RECEIVER);
    leasePublish(rx, A);
    take(2, A);
    leasePublish(rx, B);
    eq(mailbox(), 0);
    eq(seq(RECEIVER), woken);
    eq(word(rx, KRING_LOCK), 0);
  });
});

describe('lease, unused slots', () => {
  test('the newest lease gives them back, at every position and for every number used', () => {
    for (let at: u32 = 0; at < 8; at++) {
      for (let used: u32 = 0; used <= 5; used++) {
        fresh(8, at);
        const a = take(5, A);
        leaseComplete(rx, a, (at + used) % 8, A);
        const label = at * 10 + used;
        check(mailbox() == (at + used) % 8 && word(rx, KRING_HWLEASE) == (at + used) % 8, label);
        check(onlyEmpty(0, 0), label);
        const b = take(8, B);
        check((b == 0) == (used == 7), label);
        check(word(b, LEASE_START) == (at + used) % 8 && word(b, LEASE_END) == (at + 7) % 8, label);
      }
    }
    expectTable();
  });

  test('an older lease turns them into empty slots, at every position and for every number used', () => {
    for (let at: u32 = 0; at < 8; at++) {
      for (let used: u32 = 0; used <= 4; used++) {
        fresh(8, at);
        const a = take(4, A);
        const b = take(2, B);
        leaseComplete(rx, a, (at + used) % 8, A);
        const label = at * 10 + used;
        check(mailbox() == (at + 4) % 8 && word(rx, KRING_HWLEASE) == (at + 6) % 8, label);
        check(onlyEmpty((at + used) % 8, 4 - used), label);
        leaseComplete(rx, b, (at + 6) % 8, B);
        check(mailbox() == (at + 6) % 8, label);
      }
    }
    expectTable();
  });

  test('an empty slot has no flags either: no MOREFRAG joins it to the next packet', () => {
    fresh();
    const a = take(2, A);
    take(1, B);
    leaseComplete(rx, a, 1, A);
    eq(load<u32>(slotAt(rx, 1), NETMAP_SLOT_LEN), 0);
  });

  test('the newest lease too makes empty slots when the lock stays taken', () => {
    fresh();
    const a = take(4, A);
    leaseLock(rx, B);
    leaseComplete(rx, a, 1, A);
    eq(onlyEmpty(1, 3), 1);
    eq(mailbox(), 0);
    leaseUnlock(rx);
    leasePublish(rx, B);
    eq(mailbox(), 4);
    eq(word(rx, KRING_HWLEASE), 4);
  });

  test('leases that end up empty behind an open one never overwrite it, however many there are', () => {
    for (let used: u32 = 0; used < 2; used++) {
      fresh(8);
      const a = take(2, A);
      let intact = true;
      for (let k: u32 = 0; k < 40 && intact; k++) {
        const b = take(3, B);
        if (b != 0) leaseComplete(rx, b, word(b, LEASE_START), B);
        intact = word(a, LEASE_STATE) == LEASE_OPEN && word(a, LEASE_OWNER) == 2 && word(a, LEASE_END) == 2;
        check(intact && mailbox() == 0, k);
      }
      if (!intact) break;
      leaseComplete(rx, a, used, A);
      check(word(rx, KRING_HWLEASE) == 2, 100);
      check(mailbox() == 2 && word(rx, KRING_LEASE_HEAD) == word(rx, KRING_LEASE_TAIL), 101);
      const b = take(3, B);
      check(b != 0, 102);
      leaseComplete(rx, b, 5, B);
      check(mailbox() == 5, 103);
    }
    expectTable();
  });
});

/** The model: leases in the order of taking, positions counted without wrapping. */
const owners = new StaticArray<u32>(64);
const starts = new StaticArray<u32>(64);
const ends = new StaticArray<u32>(64);
const done = new StaticArray<bool>(64);
const addresses = new StaticArray<usize>(64);

describe('lease, many rounds', () => {
  test('random senders and a random receiver agree with a model over many turns of ring and lease array', () => {
    fresh(8, 5);
    seed(41);
    let first: u32 = 0; // leases first..last are not published
    let last: u32 = 0;
    let published: u32 = 5;
    let leased: u32 = 5;
    let released: u32 = 5;
    for (let round: u32 = 0; round < 50000; round++) {
      const t = 2 + below(4);
      let mine = last;
      for (let i = first; i < last; i++) if (owners[i & 63] == t && !done[i & 63]) mine = i;
      if (below(4) == 0) {
        released += below(published - released + 1);
        setWord(rx, KRING_HWCUR, released % 8);
      } else if (mine == last) {
        if (last - first >= 7) continue; // the array of leases is full
        const want = 1 + below(4);
        const k = min<u32>(want, 7 - (leased - released));
        const address = take(want, thread(t));
        check((address != 0) == (k != 0), round);
        if (k == 0) continue;
        owners[last & 63] = t;
        starts[last & 63] = leased;
        ends[last & 63] = leased + k;
        done[last & 63] = false;
        addresses[last & 63] = address;
        leased += k;
        last++;
        for (let i = leased - k; i < leased; i++) setSlot(rx, i % 8, slotIdx(rx, i % 8), 99, 0);
      } else {
        const j = mine & 63;
        const end = below(3) == 0 ? starts[j] + below(ends[j] - starts[j] + 1) : ends[j];
        leaseComplete(rx, addresses[j], end % 8, thread(t));
        done[j] = true;
        if (mine + 1 == last) {
          leased = end;
          ends[j] = end;
        }
        for (let i = starts[j]; i < ends[j]; i++) check((slotLen(rx, i % 8) == 0) == i >= end, round);
        while (first < last && done[first & 63]) published = ends[first++ & 63];
      }
      check(mailbox() == published % 8 && word(rx, KRING_HWLEASE) == leased % 8 && word(rx, KRING_LOCK) == 0, round);
    }
    expectTable();
    eq(published > 10000, 1);
    eq(seq(self), 0);
    eq(guardsIntact(), 1);
  });
});
