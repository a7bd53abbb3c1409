// assembly/vale, a header that gets another length: what lies in the rx ring is gone, whoever comes next.
import {
  KRING_HWCUR,
  KRING_HWLEASE,
  KRING_HWTAIL,
  KRING_LEASE_HEAD,
  KRING_LEASE_TAIL,
  KRING_MAILTAIL,
  PORT_KIND_VALE,
  STAT_DROP_HEADER,
} from '../abi/arena';
import { leaseDiscard, leaseIsOpen } from '../vale/header';
import { leaseComplete, leaseLock, leaseTake, leaseUnlock } from '../vale/lease';
import { check, eq, expectTable, guardsIntact } from './include/check';
import {
  newPort,
  regionFor,
  rxKring,
  setHead,
  setSlot,
  slotIdx,
  stat,
  sync,
  thread,
  turnTo,
  word,
} from './include/world';

const N: u32 = 8;
const CONTROL = thread(1);
const A = thread(2);
const B = thread(3);

describe('leases, when the header changes', () => {
  test('packets that a sender has left unpublished are dropped, also if another sender has the lock next', () => {
    for (let at: u32 = 0; at < N; at++) {
      const rx = rxKring(newPort(PORT_KIND_VALE, 1, 1, N, regionFor(2, N, 64)));
      turnTo(rx, at);
      for (let i: u32 = 0; i < N; i++) setSlot(rx, i, slotIdx(rx, i), 60, 0);
      leaseLock(rx, A);
      const left = leaseTake(rx, 3, A);
      leaseUnlock(rx);
      check(leaseIsOpen(rx), at);
      leaseLock(rx, CONTROL);
      const end = (at + 3) % N;
      leaseComplete(rx, left, end, A); // finds the lock taken
      check(!leaseIsOpen(rx) && word(rx, KRING_MAILTAIL) == at, at);
      leaseDiscard(rx);
      leaseUnlock(rx);
      check(stat(rx, STAT_DROP_HEADER) == 3 && word(rx, KRING_HWCUR) == end, at);
      leaseLock(rx, B); // before the control thread publishes
      const next = leaseTake(rx, 7, B);
      leaseUnlock(rx);
      check(next != 0 && word(rx, KRING_HWLEASE) == (end + 7) % N, at);
      setHead(rx, end);
      sync(rx);
      check(word(rx, KRING_HWTAIL) == end, at); // nothing is there until B is done
      leaseComplete(rx, next, (end + 2) % N, B);
      sync(rx);
      check(word(rx, KRING_HWTAIL) == (end + 2) % N, at);
      check(word(rx, KRING_LEASE_HEAD) == word(rx, KRING_LEASE_TAIL), at);
    }
    expectTable();
    eq(guardsIntact(), 1);
  });
});
