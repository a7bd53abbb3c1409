// assembly/sync: one ring of NIOCTXSYNC and NIOCRXSYNC.
import {
  KRING_BUSY,
  KRING_HWCUR,
  KRING_HWTAIL,
  KRING_LOCKED,
  KRING_MAILTAIL,
  KRING_RCUR,
  KRING_RHEAD,
  KRING_RING,
  KRING_RTAIL,
  KRING_SIZE,
  KRING_STOP,
  KRING_STOPPED,
  KRING_SYNCS,
  PORT_KIND_NULL,
  PORT_KIND_VALE,
  STAT_PACKETS,
  STAT_REINITS,
  STAT_SYNCS,
} from '../abi/arena';
import { EBUSY, EIO } from '../abi/errno';
import { NETMAP_RING_TAIL } from '../abi/netmap';
import { check, digest, eq, expectTable } from './include/check';
import {
  avail,
  cur,
  head,
  newPipe,
  newPort,
  peerOf,
  regionFor,
  rxKring,
  setHead,
  setWord,
  stat,
  sync,
  tail,
  txKring,
  turnTo,
  word,
} from './include/world';

describe('ringSync', () => {
  test('a null port consumes nothing: head is accepted, hwcur and tail stay', () => {
    const port = newPort(PORT_KIND_NULL, 1, 1, 8, regionFor(2, 8));
    const tx = txKring(port);
    setHead(tx, 3, 4);
    eq(sync(tx), 0);
    eq(word(tx, KRING_RHEAD), 3);
    eq(word(tx, KRING_RCUR), 4);
    eq(word(tx, KRING_HWCUR), 0);
    eq(tail(tx), 7);
    eq(sync(rxKring(port)), 0);
    eq(avail(rxKring(port)), 0);
  });

  test('each kind of port has its own sync, per direction', () => {
    const pipe = newPipe(8);
    const tx = txKring(pipe);
    setHead(tx, 3);
    eq(sync(tx), 0);
    eq(word(rxKring(peerOf(pipe)), KRING_MAILTAIL), 3, 'pipe tx publishes to the peer');
    const vale = newPort(PORT_KIND_VALE, 1, 1, 8, regionFor(2, 8));
    setHead(txKring(vale), 3);
    eq(sync(txKring(vale)), 0);
    eq(tail(txKring(vale)), 2, 'VALE tx frees the whole ring');
    setWord(rxKring(vale), KRING_MAILTAIL, 2);
    eq(sync(rxKring(vale)), 0);
    eq(avail(rxKring(vale)), 2, 'VALE rx shows the mailbox');
  });

  test('a sync counts itself, once in the counters and once at the release, and leaves the ring free', () => {
    const tx = txKring(newPipe(8));
    for (let k: u32 = 1; k <= 3; k++) {
      check(sync(tx) == 0 && stat(tx, STAT_SYNCS) == k && word(tx, KRING_SYNCS) == k, k);
      check(word(tx, KRING_BUSY) == 0, k);
    }
    expectTable();
  });

  test('a held or locked ring answers EBUSY, a stopped one EIO, and nothing of the ring is touched', () => {
    const tx = txKring(newPipe(8));
    setHead(tx, 5);
    // busy, stop, answer
    const rows: i32[] = [
      9,
      0,
      -EBUSY,
      1,
      0,
      -EBUSY,
      9,
      KRING_STOPPED,
      -EBUSY,
      0,
      KRING_STOPPED,
      -EIO,
      0,
      KRING_LOCKED,
      -EBUSY,
    ];
    for (let k = 0; k < rows.length; k += 3) {
      setWord(tx, KRING_BUSY, rows[k]);
      setWord(tx, KRING_STOP, rows[k + 1]);
      check(sync(tx) == rows[k + 2], k);
      check(word(tx, KRING_BUSY) == rows[k] && stat(tx, STAT_SYNCS) == 0, k);
      check(word(tx, KRING_HWCUR) == 0 && head(tx) == 5 && tail(tx) == 7, k);
    }
    expectTable();
    setWord(tx, KRING_BUSY, 0);
    setWord(tx, KRING_STOP, 0);
    eq(sync(tx), 0);
    eq(word(tx, KRING_HWCUR), 5);
  });

  test('a tx ring with illegal indices is reset and sends nothing', () => {
    const pipe = newPipe(8);
    const tx = txKring(pipe);
    const rx = rxKring(peerOf(pipe));
    turnTo(tx, 2);
    turnTo(rx, 2);
    const bad: u32[] = [8, 8, 9, 3, 0xffffffff, 3, 3, 8, 3, 0xffffffff, 4, 3, 2, 1 + 8];
    const peer = digest(rx, KRING_SIZE);
    for (let k = 0; k < bad.length; k += 2) {
      setHead(tx, bad[k], bad[k + 1]);
      check(sync(tx) == 0, k);
      check(head(tx) == 2 && cur(tx) == 2 && tail(tx) == 1, k);
      check(stat(tx, STAT_REINITS) == k / 2 + 1 && stat(tx, STAT_PACKETS) == 0 && stat(tx, STAT_SYNCS) == 0, k);
      check(digest(rx, KRING_SIZE) == peer && word(tx, KRING_BUSY) == 0, k);
    }
    expectTable();
  });

  test('an rx ring with illegal indices is reset, and still receives', () => {
    const pipe = newPipe(8);
    const tx = txKring(pipe);
    const rx = rxKring(peerOf(pipe));
    setHead(tx, 3);
    sync(tx);
    setHead(rx, 5);
    eq(sync(rx), 0);
    eq(head(rx), 0);
    eq(avail(rx), 3);
    eq(stat(rx, STAT_REINITS), 1);
    eq(word(tx, KRING_MAILTAIL), 7, 'nothing was released');
  });

  test('the tail that the application sees is hwtail, whatever it wrote there', () => {
    const pipe = newPipe(8);
    const tx = txKring(pipe);
    setWord(word(tx, KRING_RING), NETMAP_RING_TAIL, 99);
    eq(sync(tx), 0);
    eq(tail(tx), 7);
    eq(word(tx, KRING_RTAIL), 7);
    eq(word(tx, KRING_HWTAIL), 7);
  });
});
