// assembly/nic: the ring pairs of a network interface, and forwarding between NIC and host rings.
import {
  KRING_ELSE,
  KRING_GATE,
  KRING_HWCUR,
  KRING_KIND,
  KRING_MODE,
  KRING_PEER,
  KRING_RING,
  KRING_WAITERS,
  PORT_FWD,
  PORT_KIND_LINK,
  PORT_KIND_NIC,
  STAT_DELIVERED,
  STAT_DROP_NO_PORT,
  STAT_DROP_NO_SPACE,
  STAT_DROP_SHORT,
} from '../abi/arena';
import { NETMAP_RING_FLAGS, NR_FORWARD, NS_BUF_CHANGED, NS_FORWARD, NS_MOREFRAG } from '../abi/netmap';
import { ringForward } from '../sync/sync';
import { check, eq, expectTable } from './include/check';
import {
  advance,
  avail,
  bufOf,
  newPort,
  regionFor,
  rxKring,
  self,
  seq,
  setSlot,
  setWord,
  slotFlags,
  slotIdx,
  slotLen,
  stat,
  sync,
  thread,
  turnTo,
  txKring,
  word,
} from './include/world';

const N: u32 = 8;

/** A NIC's rings and its wire. */
class Pair {
  nic: usize = newPort(PORT_KIND_NIC, 1, 1, N, regionFor(2, N));
  wire: usize = newPort(PORT_KIND_LINK, 1, 1, N, regionFor(2, N));
  constructor() {
    setWord(txKring(this.nic), KRING_PEER, <u32>rxKring(this.wire));
    setWord(rxKring(this.wire), KRING_PEER, <u32>txKring(this.nic));
    setWord(txKring(this.wire), KRING_PEER, <u32>rxKring(this.nic));
  }
}

/** Fills `k` slots with frames of 60 bytes, the first of which is `mark`, and syncs. */
function send(kr: usize, k: u32, mark: u8): void {
  const at = load<u32>(load<u32>(kr, KRING_RING), 20);
  for (let i: u32 = 0; i < k; i++) {
    const s = (at + i) % N;
    setSlot(kr, s, slotIdx(kr, s), 60, 0);
    memory.fill(bufOf(kr, s), mark, 60);
  }
  advance(kr, k);
  eq(sync(kr), 0);
}

describe('a NIC tx ring', () => {
  test('gives the wire what it has room for, at every position of both rings', () => {
    for (let at: u32 = 0; at < N; at++) {
      const p = new Pair();
      const tx = txKring(p.nic);
      const rx = rxKring(p.wire);
      turnTo(tx, at);
      turnTo(rx, (at * 3) % N);
      send(tx, 5, 1);
      check(avail(tx) == 7, at); // all taken
      send(tx, 5, 2);
      check(avail(tx) == 4, at); // two had room: three wait
      sync(rx);
      check(avail(rx) == 7 && load<u8>(bufOf(rx, (at * 3 + 6) % N)) == 2, at);
      advance(rx, 4);
      sync(rx);
      sync(tx);
      check(avail(tx) == 7, at);
      sync(rx);
      check(avail(rx) == 6, at);
    }
    expectTable();
  });

  test('waits with a whole packet, and lets one go that never fits', () => {
    const p = new Pair();
    const tx = txKring(p.nic);
    const rx = rxKring(p.wire);
    send(tx, 5, 1);
    for (let i: u32 = 5; i < 8; i++) setSlot(tx, i, slotIdx(tx, i), 60, i == 7 ? 0 : NS_MOREFRAG);
    advance(tx, 3);
    sync(tx);
    eq(word(tx, KRING_HWCUR), 5, 'two slots are free, three are needed');
    sync(rx);
    advance(rx, 5);
    sync(rx);
    sync(tx);
    eq(word(tx, KRING_HWCUR), 0);
    eq(stat(rx, STAT_DELIVERED), 6);
    const narrow = newPort(PORT_KIND_LINK, 1, 1, 2, regionFor(2, 2));
    setWord(tx, KRING_PEER, <u32>rxKring(narrow));
    for (let i: u32 = 0; i < 3; i++) setSlot(tx, i, slotIdx(tx, i), 60, i == 2 ? 0 : NS_MOREFRAG);
    advance(tx, 3);
    sync(tx);
    eq(word(tx, KRING_HWCUR), 3);
    eq(stat(tx, STAT_DROP_NO_SPACE), 1);
  });

  test('is woken when the wire releases slots, and not before', () => {
    const p = new Pair();
    const t = thread(3);
    const tx = txKring(p.nic);
    const rx = rxKring(p.wire);
    store<u64>(tx, 1 << 3, KRING_WAITERS);
    const before = seq(t);
    send(tx, 3, 1);
    sync(rx);
    eq(seq(t), before);
    advance(rx, 1);
    sync(rx);
    eq(seq(t), before + 1);
  });
});

describe('a link', () => {
  test('goes elsewhere while its gate is not in netmap mode, and nowhere is counted', () => {
    const p = new Pair();
    const stack = newPort(PORT_KIND_LINK, 1, 1, N, regionFor(2, N));
    const tx = txKring(p.wire);
    setWord(tx, KRING_GATE, <u32>rxKring(p.nic));
    setWord(tx, KRING_ELSE, <u32>rxKring(stack));
    send(tx, 2, 1);
    setWord(rxKring(p.nic), KRING_MODE, 0);
    send(tx, 3, 1);
    setWord(tx, KRING_ELSE, 0);
    send(tx, 1, 1);
    eq(stat(rxKring(p.nic), STAT_DELIVERED), 2);
    eq(stat(rxKring(stack), STAT_DELIVERED), 3);
    eq(stat(tx, STAT_DROP_NO_PORT), 1);
    eq(avail(tx), 7, 'it never waits');
  });

  test('drops what is shorter than an Ethernet header, wherever it stands', () => {
    const p = new Pair();
    const tx = txKring(p.wire);
    const rx = rxKring(p.nic);
    for (let mask: u32 = 0; mask < 64; mask++) {
      const from = word(tx, KRING_HWCUR);
      const before = stat(tx, STAT_DROP_SHORT);
      for (let i: u32 = 0; i < 6; i++) {
        const s = (from + i) % N;
        setSlot(tx, s, slotIdx(tx, s), (mask >> i) & 1 ? 13 : 14 + i, 0);
      }
      advance(tx, 6);
      sync(tx);
      sync(rx);
      const shorts = popcnt<u32>(mask);
      check(stat(tx, STAT_DROP_SHORT) - before == shorts && avail(rx) == 6 - shorts, mask);
      let at = load<u32>(load<u32>(rx, KRING_RING), 20);
      for (let i: u32 = 0; i < 6; i++) {
        if ((mask >> i) & 1) continue;
        check(slotLen(rx, at) == 14 + i, mask);
        at = (at + 1) % N;
      }
      advance(rx, avail(rx));
      sync(rx);
    }
    expectTable();
  });
});

describe('forwarding', () => {
  test('up: marked slots only, or all; the mark goes', () => {
    const p = new Pair();
    const stack = newPort(PORT_KIND_LINK, 1, 1, N, regionFor(2, N));
    const rx = rxKring(p.nic);
    setWord(rx, KRING_ELSE, <u32>rxKring(stack));
    send(txKring(p.wire), 4, 1);
    sync(rx);
    for (let i: u32 = 0; i < 4; i += 2) setSlot(rx, i, slotIdx(rx, i), 60, NS_FORWARD);
    advance(rx, 4);
    sync(rx);
    eq(stat(rxKring(stack), STAT_DELIVERED), 0, 'not without NR_FORWARD');
    store<u32>(load<u32>(rx, KRING_RING), NR_FORWARD, NETMAP_RING_FLAGS);
    send(txKring(p.wire), 3, 1);
    sync(rx);
    setSlot(rx, 5, slotIdx(rx, 5), 60, NS_FORWARD);
    advance(rx, 3);
    sync(rx);
    eq(stat(rxKring(stack), STAT_DELIVERED), 1);
    eq(slotFlags(rx, 5) & NS_FORWARD, 0);
    store<u32>(p.nic, 1, PORT_FWD);
    send(txKring(p.wire), 3, 1);
    sync(rx);
    advance(rx, 3);
    sync(rx);
    eq(stat(rxKring(stack), STAT_DELIVERED), 4);
  });

  test('down: buffers are swapped, the first ring with room is taken, the rest is dropped', () => {
    const region = regionFor(6, N);
    const nic = newPort(PORT_KIND_NIC, 2, 1, N, region);
    const host = newPort(PORT_KIND_LINK, 1, 1, N, region);
    const rx = rxKring(host);
    store<u32>(load<u32>(rx, KRING_RING), NR_FORWARD, NETMAP_RING_FLAGS);
    advance(txKring(nic, 0), 5); // two free
    advance(txKring(nic, 1), 6); // one free
    const stack = newPort(PORT_KIND_LINK, 1, 1, N, regionFor(2, N));
    setWord(txKring(stack), KRING_PEER, <u32>rx);
    send(txKring(stack), 5, 7);
    sync(rx);
    for (let i: u32 = 0; i < 5; i++) setSlot(rx, i, slotIdx(rx, i), 40 + i, NS_FORWARD);
    const moved = slotIdx(rx, 0);
    const given = slotIdx(txKring(nic, 0), 5);
    advance(rx, 5);
    ringForward(rx, txKring(nic, 0), 2, self);
    eq(sync(rx), 0);
    eq(slotIdx(txKring(nic, 0), 5), moved);
    eq(slotIdx(rx, 0), given);
    eq(slotFlags(txKring(nic, 0), 5), NS_BUF_CHANGED);
    eq(slotLen(txKring(nic, 1), 6), 42);
    eq(avail(txKring(nic, 0)), 0);
    eq(avail(txKring(nic, 1)), 0);
    eq(stat(rx, STAT_DROP_NO_SPACE), 2);
    eq(word(rx, KRING_KIND), PORT_KIND_LINK);
  });
});
