// assembly/vale, rings: indices at every position, the order of frames, which ring they go to, headers.
import {
  KRING_HWCUR,
  KRING_HWTAIL,
  KRING_MODE,
  KRING_RING,
  KRING_STOP,
  KRING_STOPPED,
  PORT_HDR_LEN,
  PORT_NRX,
  STAT_BAD_SLOT,
  STAT_DROP_NO_PORT,
  STAT_DROP_NO_SPACE,
  STAT_DROP_SHORT,
  STAT_FORWARDED,
} from '../abi/arena';
import { NS_BUF_CHANGED, NS_MOREFRAG } from '../abi/netmap';
import { check, digest, eq, expectTable, guardsIntact, sameBytes } from './include/check';
import { ALL, drain, holds, mac, newBridge, putBytes, received, send, valePort } from './include/vale';
import {
  bufOf,
  head,
  rxKring,
  setHead,
  setSlot,
  setWord,
  slotFlags,
  slotIdx,
  slotLen,
  stat,
  sync,
  tail,
  turnTo,
  txKring,
  word,
} from './include/world';
import { a, b, bridge, c, three, threeKnown, tx } from './include/three';

describe('switch, indices', () => {
  test('a txsync consumes everything and frees the whole ring: hwtail is the slot before hwcur, at every position', () => {
    threeKnown();
    for (let at: u32 = 0; at < 16; at++) {
      for (let m: u32 = 0; m < 16; m++) {
        turnTo(tx, at);
        turnTo(rxKring(b), (at * 7) % 16);
        for (let k: u32 = 0; k < m; k++) send(tx, mac(1), mac(0), 40 + k, k);
        const label = at * 100 + m;
        check(sync(tx) == 0 && word(tx, KRING_HWCUR) == (at + m) % 16, label);
        check(word(tx, KRING_HWTAIL) == (at + m + 15) % 16 && tail(tx) == word(tx, KRING_HWTAIL), label);
        check(received(b) == m, label);
        for (let k: u32 = 0; k < m; k++) check(holds(rxKring(b), k, mac(1), mac(0), 40 + k, k), label);
        drain(b);
      }
    }
    expectTable();
    eq(guardsIntact(), 1);
  });

  test("a batch larger than the switch's 1024 slots arrives whole and in order", () => {
    const bridge = newBridge();
    const a = valePort(bridge, 0, 1, 2048, 64);
    const b = valePort(bridge, 1, 1, 2048, 64);
    const tx = txKring(a);
    turnTo(tx, 1500);
    turnTo(rxKring(b), 700);
    for (let k: u32 = 0; k < 2047; k++) send(tx, ALL, mac(0), 14 + (k % 50), k);
    eq(sync(tx), 0);
    eq(received(b), 2047);
    for (let k: u32 = 0; k < 2047; k++) check(holds(rxKring(b), k, ALL, mac(0), 14 + (k % 50), k), k);
    expectTable();
    eq(stat(tx, STAT_FORWARDED), 2047);
    eq(guardsIntact(), 1);
  });

  test('a receiver gets slots back only by releasing them; its rxsync clears BUF_CHANGED there and counts bad indices', () => {
    threeKnown();
    const rx = rxKring(b);
    turnTo(rx, 0);
    for (let k: u32 = 0; k < 15; k++) send(tx, mac(1), mac(0), 60, k);
    sync(tx);
    eq(received(b), 15);
    setSlot(rx, 0, slotIdx(rx, 0), 60, 0x0100 | NS_BUF_CHANGED);
    setSlot(rx, 1, 0xffffff, 60, 0x0100);
    setHead(rx, 2, 5);
    sync(rx);
    eq(slotFlags(rx, 0), 0x0100);
    eq(stat(rx, STAT_BAD_SLOT), 1);
    for (let k: u32 = 0; k < 4; k++) send(tx, mac(1), mac(0), 60, 100 + k);
    sync(tx);
    eq(received(b), 15);
    eq(stat(tx, STAT_DROP_NO_SPACE), 2);
  });
});

describe('switch, order', () => {
  test('unicast and broadcast frames to one port keep the order in which they were sent, for every mix of 8', () => {
    threeKnown();
    for (let mix: u32 = 0; mix < 256; mix++) {
      turnTo(tx, 0);
      let unicasts: u32 = 0;
      for (let k: u32 = 0; k < 8; k++) {
        if ((mix >> k) & 1) send(tx, ALL, mac(0), 50 + k, k);
        else send(tx, mac(1), mac(0), 50 + k, k);
        unicasts += 1 - ((mix >> k) & 1);
      }
      sync(tx);
      check(received(b) == 8 && received(c) == 8 - unicasts, mix);
      for (let k: u32 = 0; k < 8; k++) {
        check(holds(rxKring(b), k, (mix >> k) & 1 ? ALL : mac(1), mac(0), 50 + k, k), mix * 10 + k);
      }
      drain(b);
      drain(c);
    }
    expectTable();
  });

  test('frames to several ports in any interleaving arrive at each in order', () => {
    threeKnown();
    for (let mix: u32 = 0; mix < 256; mix++) {
      turnTo(tx, 0);
      for (let k: u32 = 0; k < 8; k++) send(tx, mac(1 + ((mix >> k) & 1)), mac(0), 50 + k, k);
      sync(tx);
      check(received(b) + received(c) == 8, mix);
      let nb: u32 = 0;
      let nc: u32 = 0;
      for (let k: u32 = 0; k < 8; k++) {
        if ((mix >> k) & 1) check(holds(rxKring(c), nc++, mac(2), mac(0), 50 + k, k), mix * 10 + k);
        else check(holds(rxKring(b), nb++, mac(1), mac(0), 50 + k, k), mix * 10 + k);
      }
      drain(b);
      drain(c);
    }
    expectTable();
  });

  test('a full destination drops the rest of its frames, counts them, and does not hold up the others', () => {
    for (let room: u32 = 0; room < 15; room++) {
      threeKnown();
      turnTo(rxKring(b), 9);
      for (let k: u32 = 0; k < 15 - room; k++) send(tx, mac(1), mac(0), 60, 50);
      sync(tx);
      const before = stat(tx, STAT_FORWARDED);
      for (let k: u32 = 0; k < 14; k += 2) {
        send(tx, mac(1), mac(0), 60, k);
        send(tx, mac(2), mac(0), 61, k);
      }
      sync(tx);
      const fit = min<u32>(room, 7);
      check(received(c) == 7 && received(b) == 15 - room + fit, room);
      for (let k: u32 = 0; k < fit; k++) check(holds(rxKring(b), 15 - room + k, mac(1), mac(0), 60, 2 * k), room);
      check(stat(tx, STAT_DROP_NO_SPACE) == 7 - fit && stat(tx, STAT_FORWARDED) - before == 7 + fit, room);
    }
    expectTable();
  });
});

describe('switch, rings', () => {
  test("a unicast goes to the ring with the index of the source's, modulo the destination's rings", () => {
    for (let nrx: u32 = 1; nrx <= 4; nrx++) {
      const bridge = newBridge();
      const a = valePort(bridge, 0, 4);
      const b = valePort(bridge, 1, nrx);
      send(txKring(b), ALL, mac(1), 60, 0);
      sync(txKring(b));
      for (let r: u32 = 0; r < 4; r++) {
        send(txKring(a, r), mac(1), mac(0), 60, r);
        sync(txKring(a, r));
        for (let q: u32 = 0; q < nrx; q++) check(received(b, q) == (q == r % nrx ? 1 : 0), nrx * 100 + r * 10 + q);
        check(holds(rxKring(b, r % nrx), 0, mac(1), mac(0), 60, r), nrx * 10 + r);
        drain(b, r % nrx);
      }
    }
    expectTable();
  });

  test('a broadcast goes to ring 0 only, once, also when unicasts of the batch go to another ring of the port', () => {
    const bridge = newBridge();
    const a = valePort(bridge, 0, 4);
    const b = valePort(bridge, 1, 4);
    send(txKring(b), ALL, mac(1), 60, 0);
    sync(txKring(b));
    for (let r: u32 = 0; r < 4; r++) {
      const kr = txKring(a, r);
      send(kr, mac(1), mac(0), 60, 1);
      send(kr, ALL, mac(0), 61, 2);
      send(kr, mac(1), mac(0), 62, 3);
      sync(kr);
      for (let q: u32 = 0; q < 4; q++) {
        check(received(b, q) == (q == 0 ? 1 : 0) + (q == r ? 2 : 0), r * 10 + q);
      }
      check(holds(rxKring(b, 0), r == 0 ? 1 : 0, ALL, mac(0), 61, 2), r);
      drain(b, 0);
      drain(b, r);
    }
    expectTable();
  });

  test('frames for a ring that is stopped, closed or not in netmap mode are dropped and counted; it is not touched', () => {
    for (let how = 0; how < 4; how++) {
      threeKnown();
      const rx = rxKring(b);
      if (how == 0) setWord(rx, KRING_STOP, KRING_STOPPED);
      else if (how == 1) setWord(rx, KRING_MODE, 0);
      else if (how == 2) setWord(rx, KRING_RING, 0);
      else setWord(b, PORT_NRX, 0);
      const before = digest(rx, 256);
      send(tx, mac(1), mac(0), 60, 1);
      send(tx, ALL, mac(0), 60, 2);
      send(tx, mac(2), mac(0), 60, 3);
      check(sync(tx) == 0 && received(c) == 2, how);
      check(stat(tx, STAT_DROP_NO_PORT) == 2 && digest(rx, 256) == before, how);
    }
    expectTable();
  });

  test('with headers of one length the frame behind the header decides, and the header passes as it is', () => {
    const lengths: u32[] = [0, 10, 12];
    for (let s = 0; s < 3; s++) {
      three();
      const hdr = lengths[s];
      setWord(a, PORT_HDR_LEN, hdr);
      setWord(b, PORT_HDR_LEN, hdr);
      setWord(c, PORT_HDR_LEN, hdr);
      const i = head(tx);
      send(tx, ALL, mac(0), 60, 1);
      memory.copy(bufOf(tx, i) + hdr, bufOf(tx, i), 60); // the header's bytes are left as they are
      setSlot(tx, i, slotIdx(tx, i), 60 + hdr, 0);
      sync(tx);
      check(received(b) == 1 && received(c) == 1, s);
      check(slotLen(rxKring(b), 0) == 60 + hdr && sameBytes(bufOf(rxKring(b), 0), bufOf(tx, i), 60 + hdr), s);
      send(txKring(b), ALL, mac(0), 60, 1);
      memory.copy(bufOf(txKring(b), 0) + hdr, bufOf(txKring(b), 0), 60);
      for (let k: u32 = 0; k < 6; k++) store<u8>(bufOf(txKring(b), 0) + hdr + k, <u8>(mac(0) >> (8 * k)));
      for (let k: u32 = 0; k < 6; k++) store<u8>(bufOf(txKring(b), 0) + hdr + 6 + k, <u8>(mac(1) >> (8 * k)));
      setSlot(txKring(b), 0, slotIdx(txKring(b), 0), 60 + hdr, 0);
      sync(txKring(b));
      check(received(a) == 1 && received(c) == 1, s); // c has the broadcast only
    }
    expectTable();
  });

  test('with a header, a first slot that is too short for header and Ethernet is dropped, one of just the header is not', () => {
    for (let first: u32 = 0; first <= 26; first++) {
      three();
      setWord(a, PORT_HDR_LEN, 12);
      setWord(b, PORT_HDR_LEN, 12);
      setWord(c, PORT_HDR_LEN, 12);
      const i = head(tx);
      putBytes(bufOf(tx, i) + 12, ALL, mac(0), 1, 0, 14);
      setSlot(tx, i, slotIdx(tx, i), first, NS_MOREFRAG);
      setHead(tx, i + 1);
      send(tx, ALL, mac(0), 60, 1);
      sync(tx);
      const arrives = first == 12 || first >= 26;
      check(received(b) == (arrives ? 2 : 0), first);
      check(stat(tx, STAT_DROP_SHORT) == (arrives ? 0 : 1), first);
    }
    expectTable();
    eq(guardsIntact(), 1);
  });
});
