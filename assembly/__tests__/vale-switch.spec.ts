// assembly/vale, forwarding: who gets which frame, in which order, on which ring, and what is dropped and counted.
import {
  KRING_HWCUR,
  KRING_HWTAIL,
  KRING_MODE,
  KRING_RING,
  KRING_STOP,
  KRING_STOPPED,
  PORT_HDR_LEN,
  PORT_KIND_VALE,
  PORT_NRX,
  STAT_BAD_SLOT,
  STAT_BYTES,
  STAT_DELIVERED,
  STAT_DELIVERED_BYTES,
  STAT_DROP_HEADER,
  STAT_DROP_NO_PORT,
  STAT_DROP_NO_SPACE,
  STAT_DROP_SELF,
  STAT_DROP_SHORT,
  STAT_FORWARDED,
  STAT_PACKETS,
} from '../abi/arena';
import { NS_BUF_CHANGED, NS_MOREFRAG } from '../abi/netmap';
import { check, digest, eq, expectTable, guardsIntact } from './include/check';
import { ALL, detach, drain, holds, mac, newBridge, putBytes, received, send, valePort } from './include/vale';
import {
  avail,
  bufOf,
  head,
  newPort,
  newRegion,
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

let bridge: usize = 0;
let a: usize = 0;
let b: usize = 0;
let c: usize = 0;
let tx: usize = 0;

/** Three ports of one ring on a fresh bridge, at indices 0, 1 and 2. */
function three(): void {
  bridge = newBridge();
  a = valePort(bridge, 0);
  b = valePort(bridge, 1);
  c = valePort(bridge, 2);
  tx = txKring(a);
}

/** The switch has learned mac(p) for each port p. */
function introduce(): void {
  send(txKring(a), ALL, mac(0), 60, 0);
  sync(txKring(a));
  send(txKring(b), ALL, mac(1), 60, 0);
  sync(txKring(b));
  send(txKring(c), ALL, mac(2), 60, 0);
  sync(txKring(c));
  drain(a);
  drain(b);
  drain(c);
}

function threeKnown(): void {
  three();
  introduce();
}

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
    bridge = newBridge();
    a = valePort(bridge, 0, 1, 2048, 64);
    b = valePort(bridge, 1, 1, 2048, 64);
    tx = txKring(a);
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
      bridge = newBridge();
      a = valePort(bridge, 0, 4);
      b = valePort(bridge, 1, nrx);
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
    bridge = newBridge();
    a = valePort(bridge, 0, 4);
    b = valePort(bridge, 1, 4);
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

  test('ports with headers of different lengths do not talk; with equal ones the frame behind the header decides', () => {
    const lengths: u32[] = [0, 10, 12];
    for (let s = 0; s < 3; s++) {
      for (let d = 0; d < 3; d++) {
        three();
        setWord(a, PORT_HDR_LEN, lengths[s]);
        setWord(b, PORT_HDR_LEN, lengths[d]);
        setWord(c, PORT_HDR_LEN, lengths[d]);
        const i = head(tx);
        const hdr = lengths[s];
        send(tx, ALL, mac(0), 60, 1);
        memory.copy(bufOf(tx, i) + hdr, bufOf(tx, i), 60); // the header's bytes are left as they are
        setSlot(tx, i, slotIdx(tx, i), 60 + hdr, 0);
        sync(tx);
        const arrives: u32 = s == d ? 1 : 0;
        check(received(b) == arrives && received(c) == arrives, s * 10 + d);
        check(stat(tx, STAT_DROP_HEADER) == (arrives ? 0 : 2), s * 10 + d);
        if (!arrives) continue;
        check(slotLen(rxKring(b), 0) == 60 + hdr, s * 10 + d);
        send(txKring(b), ALL, mac(0), 60, 1);
        memory.copy(bufOf(txKring(b), 0) + hdr, bufOf(txKring(b), 0), 60);
        for (let k: u32 = 0; k < 6; k++) store<u8>(bufOf(txKring(b), 0) + hdr + k, <u8>(mac(0) >> (8 * k)));
        for (let k: u32 = 0; k < 6; k++) store<u8>(bufOf(txKring(b), 0) + hdr + 6 + k, <u8>(mac(1) >> (8 * k)));
        setSlot(txKring(b), 0, slotIdx(txKring(b), 0), 60 + hdr, 0);
        sync(txKring(b));
        check(received(a) == 1 && received(c) == 1, s * 10 + d); // c has the broadcast only
      }
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
