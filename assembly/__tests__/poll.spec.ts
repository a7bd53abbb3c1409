// assembly/sync/poll: a tx ring that one thread fills and another hands to the switch.
import {
  KRING_ASKED,
  KRING_BUSY,
  KRING_HWCUR,
  KRING_KIND,
  KRING_LOCKED,
  KRING_RHEAD,
  KRING_RING,
  KRING_RUN,
  KRING_STOP,
  KRING_WAITERS,
  PORT_KIND_POLLED,
  PORT_KIND_VALE,
} from '../abi/arena';
import { EBUSY } from '../abi/errno';
import { pollRing, pollTake } from '../sync/poll';
import { check, eq, expectTable } from './include/check';
import { mac, received, send } from './include/vale';
import { self, seq, setHead, setWord, sync, tail, thread, word } from './include/world';
import { b, threeKnown, tx } from './include/three';

const poller = thread(5);

/** Ports that know each other; a's tx ring is polled. */
function polled(): void {
  threeKnown();
  setWord(tx, KRING_KIND, PORT_KIND_POLLED);
}

describe('a polled ring', () => {
  test('keeps what its owner publishes until it is polled', () => {
    polled();
    send(tx, mac(1), mac(0), 60, 1);
    send(tx, mac(1), mac(0), 60, 2);
    const before = word(tx, KRING_HWCUR);
    eq(sync(tx), 0);
    eq(word(tx, KRING_HWCUR), before);
    eq(received(b), 0);
    check(pollRing(tx, poller), 1);
    eq(received(b), 2);
    eq(word(tx, KRING_HWCUR), word(tx, KRING_RHEAD));
    check(!pollRing(tx, poller), 2);
    expectTable();
  });

  test('is handed over by its owner when it is half full', () => {
    polled();
    for (let i: u32 = 0; i < 7; i++) send(tx, mac(1), mac(0), 60, i);
    sync(tx);
    eq(received(b), 0);
    send(tx, mac(1), mac(0), 60, 7);
    sync(tx);
    eq(received(b), 8);
    check(!pollRing(tx, poller), 0);
    expectTable();
  });

  test('is handed over up to the head that its owner has asked for in vain', () => {
    polled();
    send(tx, mac(1), mac(0), 60, 1);
    setWord(tx, KRING_BUSY, 9);
    eq(sync(tx), -EBUSY);
    check(!pollRing(tx, poller), 0);
    setWord(tx, KRING_BUSY, 0);
    check(pollRing(tx, poller), 1);
    eq(received(b), 1);
    eq(word(tx, KRING_ASKED), 0);
    expectTable();
  });

  test('forgets an older head when its owner comes again', () => {
    polled();
    send(tx, mac(1), mac(0), 60, 1);
    setWord(tx, KRING_BUSY, 9);
    eq(sync(tx), -EBUSY);
    setWord(tx, KRING_BUSY, 0);
    send(tx, mac(1), mac(0), 60, 2);
    eq(sync(tx), 0);
    eq(word(tx, KRING_ASKED), 0);
    check(pollRing(tx, poller), 0);
    eq(received(b), 2);
    check(!pollRing(tx, poller), 1);
    expectTable();
  });

  test('sends nothing twice for a head that was left when polling ended: its owner has synced since', () => {
    polled();
    send(tx, mac(1), mac(0), 60, 1);
    setWord(tx, KRING_BUSY, 9);
    eq(sync(tx), -EBUSY);
    setWord(tx, KRING_BUSY, 0);
    setWord(tx, KRING_KIND, PORT_KIND_VALE);
    send(tx, mac(1), mac(0), 60, 2);
    eq(sync(tx), 0);
    eq(received(b), 2);
    pollRing(tx, poller);
    eq(received(b), 2);
    eq(word(tx, KRING_HWCUR), word(tx, KRING_RHEAD));
    expectTable();
  });

  test('takes a head that was left with it when polling ends', () => {
    polled();
    send(tx, mac(1), mac(0), 60, 1);
    setWord(tx, KRING_BUSY, 9);
    eq(sync(tx), -EBUSY);
    setWord(tx, KRING_BUSY, 0);
    setWord(tx, KRING_KIND, PORT_KIND_VALE);
    pollTake(tx);
    check(pollRing(tx, poller), 0);
    eq(received(b), 1);
    expectTable();
  });

  test('does not move for a head that is none; its owner’s next sync repairs it', () => {
    const heads: u32[] = [16, 17, 0x7fffffff, 0xfffffffe, 0xffffffff];
    for (let i = 0; i < heads.length; i++) {
      polled();
      const at = word(tx, KRING_HWCUR);
      setHead(tx, heads[i], heads[i]);
      setWord(tx, KRING_BUSY, 9);
      eq(sync(tx), -EBUSY);
      setWord(tx, KRING_BUSY, 0);
      pollRing(tx, poller);
      check(word(tx, KRING_HWCUR) == at && word(tx, KRING_RHEAD) == at && word(tx, KRING_ASKED) == 0, i);
      sync(tx);
      check(word(tx, KRING_RHEAD) == at, i);
    }
    expectTable();
  });

  test('is left alone while it is locked or gone', () => {
    polled();
    send(tx, mac(1), mac(0), 60, 1);
    sync(tx);
    setWord(tx, KRING_STOP, KRING_LOCKED);
    check(!pollRing(tx, poller), 0);
    setWord(tx, KRING_STOP, KRING_RUN);
    const ring = word(tx, KRING_RING);
    setWord(tx, KRING_RING, 0);
    check(!pollRing(tx, poller), 1);
    eq(word(tx, KRING_BUSY), 0);
    setWord(tx, KRING_RING, ring);
    check(pollRing(tx, poller), 2);
    eq(received(b), 1);
    expectTable();
  });

  test('wakes its owner, and shows it the room', () => {
    polled();
    const full = tail(tx);
    send(tx, mac(1), mac(0), 60, 1);
    sync(tx);
    eq(tail(tx), full);
    store<u64>(tx, 1 << 1, KRING_WAITERS);
    const before = seq(self);
    pollRing(tx, poller);
    check(seq(self) == before + 1, 0);
    check(tail(tx) != full, 1);
    store<u64>(tx, 0, KRING_WAITERS);
    expectTable();
  });
});
