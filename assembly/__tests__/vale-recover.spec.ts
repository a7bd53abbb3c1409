// assembly/vale, leases of a thread that has died: at whatever store it stopped, the ring is whole again afterwards.
import {
  KRING_HWCUR,
  KRING_HWLEASE,
  KRING_LEASE_HEAD,
  KRING_LEASE_TAIL,
  KRING_LEASES,
  KRING_LOCK,
  KRING_MAILTAIL,
  KRING_WAITERS,
  LEASE_DONE,
  LEASE_END,
  LEASE_FREE,
  LEASE_OPEN,
  LEASE_OWNER,
  LEASE_SIZE,
  LEASE_START,
  LEASE_STATE,
  PORT_KIND_VALE,
} from '../abi/arena';
import { leaseComplete, leaseLock, leaseRecover, leaseTake, leaseUnlock } from '../vale/lease';
import { check, eq, expectTable, guardsIntact } from './include/check';
import {
  newPort,
  regionFor,
  rxKring,
  self,
  seq,
  setSlot,
  setWord,
  slotIdx,
  slotLen,
  thread,
  turnTo,
  word,
} from './include/world';

const N: u32 = 8;
const DEAD: u32 = 2;
const D = thread(DEAD);
const OLDER = thread(3);
const YOUNGER = thread(4);
const RECEIVER = thread(9);

const rx = rxKring(newPort(PORT_KIND_VALE, 1, 1, N, regionFor(2, N, 64)));

/** The ring and its list of leases as new, both at position `at`. */
function fresh(at: u32): void {
  turnTo(rx, at);
  memory.fill(word(rx, KRING_LEASES), 0, <usize>N * LEASE_SIZE);
  setWord(rx, KRING_LEASE_HEAD, at);
  setWord(rx, KRING_LEASE_TAIL, at);
  setWord(rx, KRING_LOCK, 0);
  store<u64>(rx, 1 << 9, KRING_WAITERS);
  for (let i: u32 = 0; i < N; i++) setSlot(rx, i, slotIdx(rx, i), 40, 0);
}

function take(k: u32, t: usize): usize {
  leaseLock(rx, t);
  const lease = leaseTake(rx, k, t);
  leaseUnlock(rx);
  return lease;
}

/** The first `steps` stores of taking a lease of `k` slots, the lock held: owner, start, end, state, hwlease, tail. */
function takePartly(k: u32, steps: u32): void {
  const start = word(rx, KRING_HWLEASE);
  const i = word(rx, KRING_LEASE_TAIL);
  const lease = <usize>word(rx, KRING_LEASES) + <usize>i * LEASE_SIZE;
  leaseLock(rx, D);
  if (steps > 0) setWord(lease, LEASE_OWNER, DEAD);
  if (steps > 1) setWord(lease, LEASE_START, start);
  if (steps > 2) setWord(lease, LEASE_END, (start + k) % N);
  if (steps > 3) setWord(lease, LEASE_STATE, LEASE_OPEN);
  if (steps > 4) setWord(rx, KRING_HWLEASE, (start + k) % N);
  if (steps > 5) setWord(rx, KRING_LEASE_TAIL, (i + 1) % N);
  if (steps > 6) leaseUnlock(rx);
}

/** The first `steps` stores of publishing `lease`, which is done: lock, mailbox, state, head, unlock. */
function publishPartly(lease: usize, steps: u32): void {
  if (steps > 0) leaseLock(rx, D);
  if (steps > 1) setWord(rx, KRING_MAILTAIL, word(lease, LEASE_END));
  if (steps > 2) setWord(lease, LEASE_STATE, LEASE_FREE);
  if (steps > 3) setWord(rx, KRING_LEASE_HEAD, (word(rx, KRING_LEASE_HEAD) + 1) % N);
  if (steps > 4) leaseUnlock(rx);
}

/** Nothing is open, everything leased is published, the lock is free, and every slot can be leased again. */
function whole(label: i64): void {
  check(word(rx, KRING_LOCK) == 0, label);
  check(word(rx, KRING_MAILTAIL) == word(rx, KRING_HWLEASE), label);
  check(word(rx, KRING_LEASE_HEAD) == word(rx, KRING_LEASE_TAIL), label);
  setWord(rx, KRING_HWCUR, word(rx, KRING_MAILTAIL));
  const from = word(rx, KRING_HWLEASE);
  for (let k: u32 = 0; k < N - 1; k++) {
    const lease = take(1, YOUNGER);
    check(lease != 0 && word(lease, LEASE_START) == (from + k) % N, label);
    if (lease == 0) return;
    leaseComplete(rx, lease, word(lease, LEASE_END), YOUNGER);
    check(word(rx, KRING_MAILTAIL) == (from + k + 1) % N, label);
  }
  check(take(1, YOUNGER) == 0, label);
}

/** Slot at + k is empty exactly for from <= k < to. */
function emptyBetween(at: u32, from: u32, to: u32): bool {
  for (let k: u32 = 0; k < N; k++) {
    if ((slotLen(rx, (at + k) % N) == 0) != (k >= from && k < to)) return false;
  }
  return true;
}

describe('recovery', () => {
  test('a thread that held nothing leaves nothing to do', () => {
    for (let at: u32 = 0; at < N; at++) {
      fresh(at);
      const lease = take(3, OLDER);
      leaseRecover(rx, DEAD, self);
      check(word(rx, KRING_MAILTAIL) == at && word(lease, LEASE_STATE) == LEASE_OPEN && emptyBetween(at, 0, 0), at);
      leaseLock(rx, OLDER);
      leaseRecover(rx, DEAD, self);
      check(word(rx, KRING_LOCK) == 3, at); // a living thread keeps its lock
      leaseUnlock(rx);
      leaseComplete(rx, lease, (at + 3) % N, OLDER);
      check(emptyBetween(at, 0, 0), at);
      whole(at);
    }
    expectTable();
  });

  test('died at any store of taking a lease: without the last one it never was, with it its slots are empty', () => {
    for (let at: u32 = 0; at < N; at++) {
      for (let steps: u32 = 0; steps <= 7; steps++) {
        for (let older: u32 = 0; older < 2; older++) {
          const label = (at * 10 + steps) * 10 + older;
          fresh(at);
          const lease = older ? take(2, OLDER) : 0;
          const first: u32 = older ? 2 : 0;
          takePartly(3, steps);
          leaseRecover(rx, DEAD, self);
          const committed: u32 = steps >= 6 ? 3 : 0;
          check(word(rx, KRING_LOCK) == 0, label);
          check(word(rx, KRING_HWLEASE) == (at + first + committed) % N, label);
          check(word(rx, KRING_MAILTAIL) == (older ? at : (at + committed) % N), label);
          check(emptyBetween(at, first, first + committed), label);
          if (older) leaseComplete(rx, lease, (at + 2) % N, OLDER);
          check(word(rx, KRING_MAILTAIL) == (at + first + committed) % N, label);
          whole(label);
        }
      }
    }
    expectTable();
  });

  test('died while copying, between living senders: its slots are empty, theirs are not, and order is kept', () => {
    for (let at: u32 = 0; at < N; at++) {
      for (let order: u32 = 0; order < 6; order++) {
        fresh(at);
        const older = take(2, OLDER);
        take(2, D);
        const younger = take(2, YOUNGER);
        const label = at * 10 + order;
        // the six orders of: older completes, younger completes, the dead one is recovered
        const third: u32 = order % 3;
        for (let k: u32 = 0; k < 3; k++) {
          const event = order < 3 ? (third + k) % 3 : (third + 3 - k) % 3;
          if (event == 0) leaseComplete(rx, older, (at + 2) % N, OLDER);
          else if (event == 1) leaseRecover(rx, DEAD, self);
          else leaseComplete(rx, younger, (at + 6) % N, YOUNGER);
          if (k == 1 && event == 2 && order == 2) check(word(rx, KRING_MAILTAIL) == (at + 2) % N, label);
        }
        check(word(rx, KRING_MAILTAIL) == (at + 6) % N && emptyBetween(at, 2, 4), label);
        whole(label);
      }
    }
    expectTable();
  });

  test('died at any store of publishing a done lease: its packets are published once, and none is lost', () => {
    for (let at: u32 = 0; at < N; at++) {
      for (let steps: u32 = 0; steps <= 5; steps++) {
        for (let younger: u32 = 0; younger < 3; younger++) {
          const label = (at * 10 + steps) * 10 + younger;
          fresh(at);
          const lease = take(3, D);
          const next = younger ? take(2, YOUNGER) : 0;
          const behind: u32 = younger ? 2 : 0;
          setWord(lease, LEASE_STATE, LEASE_DONE);
          if (younger == 1) setWord(next, LEASE_STATE, LEASE_DONE); // left to the dead thread, which held the lock
          publishPartly(lease, steps);
          leaseRecover(rx, DEAD, self);
          const published: u32 = younger == 2 ? 3 : 3 + behind;
          check(word(rx, KRING_MAILTAIL) == (at + published) % N, label);
          check(word(rx, KRING_HWLEASE) == (at + 3 + behind) % N, label);
          if (younger == 2) leaseComplete(rx, next, (at + 5) % N, YOUNGER);
          check(emptyBetween(at, 0, 0), label);
          whole(label);
        }
      }
    }
    expectTable();
  });

  test('died at any store of giving slots back: neither slots nor packets of others are lost', () => {
    for (let at: u32 = 0; at < N; at++) {
      for (let steps: u32 = 0; steps <= 4; steps++) {
        for (let older: u32 = 0; older < 2; older++) {
          const label = (at * 10 + steps) * 10 + older;
          fresh(at);
          const before = older ? take(2, OLDER) : 0;
          const first: u32 = older ? 2 : 0;
          const lease = take(4, D);
          leaseLock(rx, D);
          if (steps > 0) setWord(lease, LEASE_END, (at + first + 1) % N);
          if (steps > 1) setWord(rx, KRING_HWLEASE, (at + first + 1) % N);
          if (steps > 2) leaseUnlock(rx);
          if (steps > 3) setWord(lease, LEASE_STATE, LEASE_DONE);
          leaseRecover(rx, DEAD, self);
          const kept: u32 = steps == 0 ? 4 : 1;
          check(word(rx, KRING_HWLEASE) == (at + first + kept) % N, label);
          check(emptyBetween(at, first, steps == 4 ? first : first + kept), label);
          if (older) leaseComplete(rx, before, (at + 2) % N, OLDER);
          check(word(rx, KRING_MAILTAIL) == (at + first + kept) % N, label);
          whole(label);
        }
      }
    }
    expectTable();
  });

  test('the receiver is woken, also when the dead thread had moved the mailbox and died before waking it', () => {
    for (let steps: u32 = 0; steps <= 5; steps++) {
      fresh(3);
      const lease = take(3, D);
      setWord(lease, LEASE_STATE, LEASE_DONE);
      publishPartly(lease, steps);
      const woken = seq(RECEIVER);
      leaseRecover(rx, DEAD, self);
      check(seq(RECEIVER) != woken, steps);
    }
    expectTable();
  });

  test('every list of up to 7 leases of the dead and the living, done or open, is ended in order', () => {
    for (let count: u32 = 1; count <= 7; count++) {
      for (let kinds: u32 = 0; kinds < 1 << (2 * count); kinds++) {
        const at = kinds % N;
        fresh(at);
        // per lease 2 bits: owner dead or living, open or done
        for (let i: u32 = 0; i < count; i++) {
          const kind = (kinds >> (2 * i)) & 3;
          const lease = take(1, kind & 1 ? D : OLDER);
          if (kind & 2) setWord(lease, LEASE_STATE, LEASE_DONE);
        }
        leaseRecover(rx, DEAD, self);
        let published: u32 = 0;
        while (published < count && ((kinds >> (2 * published)) & 3) != 0) published++;
        const label = count * 100000 + kinds;
        check(word(rx, KRING_MAILTAIL) == (at + published) % N && word(rx, KRING_LOCK) == 0, label);
        for (let i: u32 = 0; i < count; i++) {
          check((slotLen(rx, (at + i) % N) == 0) == (((kinds >> (2 * i)) & 3) == 1), label);
        }
      }
    }
    expectTable();
    eq(guardsIntact(), 1);
  });
});
