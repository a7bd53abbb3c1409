// assembly/vale, packets for a port with another header: a ring that is given packet offsets after a packet was prepared.
import { KRING_OFS_MASK, KRING_OFS_MAX, SCRATCH_NEXT, SCRATCH_RUN_END, THREAD_SCRATCH } from '../abi/arena';
import { NETMAP_SLOT_PTR } from '../abi/netmap';
import { QUEUE_END } from '../vale/classify';
import { valeGather } from '../vale/gather';
import { leaseComplete, leaseLock, leaseTake, leaseUnlock } from '../vale/lease';
import { translateCopy, translatePrepare } from '../vale/translate';
import { check, eq, expectTable, guardsIntact } from './include/check';
import { askCut, frameGood, makePacket, submit, TCP4 } from './include/packets';
import { arrived, b, dst, rx, tx, unlike } from './include/unlike';
import { mac, received } from './include/vale';
import { bufOf, head, self, setWord, slotAt, slotLen, slots } from './include/world';

/** Prepares the packet made last, gives the receiver's ring offsets of a whole buffer, and then copies it. */
function sendLate(from: u32, to: u32): u32 {
  submit(tx, []);
  const scratch: usize = load<u32>(self, THREAD_SCRATCH);
  const count = valeGather(tx, scratch, head(tx));
  store<u32>(scratch, count, SCRATCH_RUN_END);
  store<u32>(scratch, QUEUE_END, SCRATCH_NEXT);
  const taken = translatePrepare(tx, rx, scratch, 0, QUEUE_END, from, to, 1514);
  setWord(rx, KRING_OFS_MAX, 2048);
  store<u64>(rx, 0xffff, KRING_OFS_MASK);
  for (let i: u32 = 0; i < slots(rx); i++) store<u64>(slotAt(rx, i), 2048, NETMAP_SLOT_PTR);
  leaseLock(rx, self);
  const lease = leaseTake(rx, <u32>taken, self);
  leaseUnlock(rx);
  leaseComplete(rx, lease, translateCopy(tx, rx, scratch, 0, QUEUE_END, <u32>(taken >> 32), lease), self);
  return <u32>taken;
}

describe('translation, offsets that come late', () => {
  test('a packet stays in the room that was there when it was prepared', () => {
    unlike(0, 12);
    makePacket(0, TCP4, 1000, dst, mac(0));
    eq(sendLate(0, 12), 1);
    eq(received(b), 1);
    eq(arrived(0, 1, 12), 1);
    eq(guardsIntact(), 1);
  });

  test('so do the frames that a GSO packet is cut into', () => {
    unlike(12, 0);
    makePacket(12, TCP4, 5000, dst, mac(0));
    askCut(TCP4, 1000);
    eq(sendLate(12, 0), 5);
    eq(received(b), 5);
    for (let k: u32 = 0; k < 5; k++) check(slotLen(rx, k) == 1054 && frameGood(bufOf(rx, k), 1054, TCP4), k);
    expectTable();
    eq(guardsIntact(), 1);
  });
});
