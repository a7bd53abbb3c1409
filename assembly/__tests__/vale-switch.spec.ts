// assembly/vale, forwarding: who gets which frame, and what is dropped and counted.
import {
  BRIDGE_LOOKUP,
  KRING_HWCUR,
  PORT_KIND_VALE,
  STAT_BYTES,
  STAT_DELIVERED,
  STAT_DELIVERED_BYTES,
  STAT_DROP_LOOKUP,
  STAT_DROP_NO_PORT,
  STAT_DROP_SELF,
  STAT_DROP_SHORT,
  STAT_FORWARDED,
  STAT_PACKETS,
} from '../abi/arena';
import { check, eq, expectTable } from './include/check';
import { ALL, detach, drain, holds, mac, received, send } from './include/vale';
import { avail, newPort, newRegion, rxKring, stat, sync, turnTo, txKring, word } from './include/world';
import { a, b, bridge, c, three, threeKnown, tx } from './include/three';

describe('switch, who gets a frame', () => {
  test('a broadcast goes to every port but its source', () => {
    three();
    send(tx, ALL, mac(0), 60, 1);
    eq(sync(tx), 0);
    check(received(a) == 0, 0);
    check(received(b) == 1 && holds(rxKring(b), 0, ALL, mac(0), 60, 1), 1);
    check(received(c) == 1 && holds(rxKring(c), 0, ALL, mac(0), 60, 1), 2);
    expectTable();
    eq(stat(tx, STAT_PACKETS), 1);
    eq(stat(tx, STAT_BYTES), 60);
    eq(stat(tx, STAT_FORWARDED), 2);
    eq(stat(rxKring(b), STAT_DELIVERED), 1);
    eq(stat(rxKring(b), STAT_DELIVERED_BYTES), 60);
  });

  test('a frame for an unknown address is flooded, and so is a multicast', () => {
    const unknown: u64[] = [mac(77), 0, 0x0000fb5e0001, mac(0) | 1];
    for (let k = 0; k < unknown.length; k++) {
      three();
      send(tx, unknown[k], mac(0), 60, k);
      sync(tx);
      check(received(a) == 0 && received(b) == 1 && received(c) == 1, k);
    }
    expectTable();
  });

  test('a learned address gets its frames alone', () => {
    threeKnown();
    send(tx, mac(2), mac(0), 64, 1);
    send(tx, mac(1), mac(0), 65, 2);
    sync(tx);
    eq(received(a), 0);
    eq(received(b), 1);
    eq(received(c), 1);
    eq(holds(rxKring(c), 0, mac(2), mac(0), 64, 1), 1);
    eq(holds(rxKring(b), 0, mac(1), mac(0), 65, 2), 1);
    eq(stat(tx, STAT_FORWARDED), 4);
  });

  test('a lookup that the thread has not loaded drops everything, and nothing is learned', () => {
    threeKnown();
    const before = stat(tx, STAT_FORWARDED);
    store<u32>(bridge, 1, BRIDGE_LOOKUP);
    for (let i = 0; i < 3; i++) send(tx, mac(1), mac(9), 60, i);
    eq(sync(tx), 0);
    check(received(b) == 0 && received(c) == 0, 0);
    eq(stat(tx, STAT_DROP_LOOKUP), 3);
    eq(stat(tx, STAT_FORWARDED), before);
    store<u32>(bridge, 0, BRIDGE_LOOKUP);
    send(txKring(b), mac(9), mac(1), 60, 4);
    sync(txKring(b));
    eq(received(a), 1, 'flooded');
    eq(received(c), 1, 'flooded');
    expectTable();
  });

  test('a multicast source address is not learned', () => {
    three();
    send(tx, ALL, mac(5) | 1, 60, 1);
    sync(tx);
    drain(b);
    send(txKring(b), mac(5) | 1, mac(1), 60, 2);
    sync(txKring(b));
    eq(received(a), 1);
    eq(received(c), 2, 'flooded');
  });

  test('an address that moves is followed at once, also when it moves back', () => {
    threeKnown();
    const bx = txKring(b);
    const cx = txKring(c);
    send(cx, ALL, mac(1), 60, 0);
    sync(cx);
    drain(a);
    drain(b);
    send(tx, mac(1), mac(0), 60, 1);
    sync(tx);
    eq(received(c), 1);
    eq(received(b), 0);
    drain(c);
    send(bx, ALL, mac(1), 60, 0);
    sync(bx);
    drain(a);
    drain(c);
    send(tx, mac(1), mac(0), 60, 2);
    sync(tx);
    eq(received(b), 1, 'although it is the last source of both ports');
    eq(received(c), 0);
  });

  test('an address learned within a batch counts for the frames after it', () => {
    three();
    send(tx, mac(9), mac(0), 60, 1); // unknown
    send(tx, mac(0), mac(9), 60, 2); // our own address: dropped, but 9 is learned here
    send(tx, mac(9), mac(0), 60, 3); // now known to be ourselves
    sync(tx);
    eq(received(b), 1);
    eq(stat(tx, STAT_DROP_SELF), 2);
  });

  test('a frame for its own port is dropped and counted', () => {
    threeKnown();
    send(tx, mac(0), mac(0), 60, 1);
    sync(tx);
    eq(received(a) + received(b) + received(c), 0);
    eq(stat(tx, STAT_DROP_SELF), 1);
  });

  test('a frame shorter than an Ethernet header is dropped and counted, and teaches nothing', () => {
    three();
    for (let len: u32 = 0; len < 14; len++) send(tx, ALL, mac(0), len, len);
    sync(tx);
    eq(received(b), 0);
    eq(stat(tx, STAT_DROP_SHORT), 14);
    send(tx, ALL, mac(0), 14, 0);
    sync(tx);
    eq(received(b), 1);
    eq(stat(tx, STAT_DROP_SHORT), 14);
  });

  test('nothing is delivered to a port that has left; frames for its addresses are dropped and counted', () => {
    threeKnown();
    detach(bridge, 2);
    send(tx, mac(2), mac(0), 60, 1);
    sync(tx);
    send(tx, ALL, mac(0), 60, 2);
    sync(tx);
    eq(received(c), 0);
    eq(received(b), 1);
    eq(stat(tx, STAT_DROP_NO_PORT), 1);
  });

  test('a port without a bridge consumes silently', () => {
    const lonely = newPort(PORT_KIND_VALE, 1, 1, 16, newRegion(40, 256));
    for (let at: u32 = 0; at < 16; at++) {
      turnTo(txKring(lonely), at);
      for (let k: u32 = 0; k < 15; k++) send(txKring(lonely), ALL, mac(0), 60, k);
      check(sync(txKring(lonely)) == 0 && avail(txKring(lonely)) == 15, at);
      check(word(txKring(lonely), KRING_HWCUR) == (at + 15) % 16, at);
    }
    expectTable();
    eq(stat(txKring(lonely), STAT_DROP_NO_PORT), 240);
  });
});
