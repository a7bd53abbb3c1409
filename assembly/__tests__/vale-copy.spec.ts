// assembly/vale, delivery: exactly the frame's bytes, fragments, bad slots on either side.
import {
  KRING_NBUFS,
  STAT_BAD_SLOT,
  STAT_BYTES,
  STAT_DELIVERED,
  STAT_DELIVERED_BYTES,
  STAT_DROP_BAD_SLOT,
  STAT_DROP_FRAGS,
  STAT_DROP_NO_SPACE,
  STAT_DROP_TOO_LONG,
  STAT_FORWARDED,
  STAT_PACKETS,
} from '../abi/arena';
import { NETMAP_MAX_FRAGS, NS_BUF_CHANGED, NS_INDIRECT, NS_MOREFRAG } from '../abi/netmap';
import { allBytes, below, check, digest, eq, expectTable, guardsIntact, seed } from './include/check';
import { ALL, bytesAre, drain, holds, mac, newBridge, received, send, valePort } from './include/vale';
import {
  advance,
  bufOf,
  head,
  rxKring,
  setHead,
  setSlot,
  slotAt,
  slotFlags,
  slotIdx,
  slotLen,
  slots,
  stat,
  sync,
  txKring,
  turnTo,
  word,
} from './include/world';

let a: usize = 0;
let b: usize = 0;
let tx: usize = 0;
let rx: usize = 0;

/** Two ports; the second one's address is known when `known`, else everything to it is flooded. */
function two(n: u32 = 16, bufSize: u32 = 256, skew: u32 = 0, known: bool = true): void {
  const bridge = newBridge();
  a = valePort(bridge, 0, 1, n, bufSize, skew);
  b = valePort(bridge, 1, 1, n, bufSize);
  tx = txKring(a);
  rx = rxKring(b);
  if (!known) return;
  send(txKring(b), ALL, mac(1), 60, 0);
  sync(txKring(b));
  drain(a);
}

/** One frame of `len` bytes arrives exactly, and the rest of the receiver's buffer stays as it was. */
function arrivesExactly(len: u32, bufSize: u32): bool {
  const i = head(rx);
  const at = bufOf(rx, i);
  memory.fill(at, 0xee, bufSize);
  send(tx, mac(1), mac(0), len, len);
  sync(tx);
  const good = received(b) == 1 && holds(rx, 0, mac(1), mac(0), len, len) && slotFlags(rx, i) == 0x0100;
  drain(b);
  return good && allBytes(at + len, bufSize - len, 0xee);
}

/** A packet of `frags` slots of 20 bytes each. */
function sendPacket(dst: u64, frags: u32, tag: u32, more: u32 = 0): void {
  for (let f: u32 = 0; f < frags; f++) send(tx, dst, mac(0), 20, tag, f + 1 < frags ? NS_MOREFRAG : more, 20 * f);
}

/** From the k-th slot on, the receiver has a whole packet of `frags` slots. */
function holdsPacket(k: u32, dst: u64, frags: u32, tag: u32): bool {
  for (let f: u32 = 0; f < frags; f++) {
    const i = (head(rx) + k + f) % slots(rx);
    if (slotLen(rx, i) != 20 || slotFlags(rx, i) != ((frags << 8) | (f + 1 < frags ? NS_MOREFRAG : 0))) return false;
    if (!bytesAre(bufOf(rx, i), dst, mac(0), tag, 20 * f, 20)) return false;
  }
  return true;
}

describe('delivery, bytes', () => {
  test('exactly len bytes are copied, for every length 14..300 and full frames, the source at any alignment', () => {
    const large: u32[] = [1499, 1500, 1514, 2047, 2048];
    for (let path: u32 = 0; path < 2; path++) {
      for (let skew: u32 = 0; skew < 4; skew++) {
        two(8, 2048, skew * skew, path == 0);
        for (let len: u32 = 14; len <= 300; len++) check(arrivesExactly(len, 2048), path * 100000 + skew * 10000 + len);
        for (let k = 0; k < large.length; k++)
          check(arrivesExactly(large[k], 2048), path * 100000 + skew * 10000 + large[k]);
      }
    }
    expectTable();
    eq(guardsIntact(), 1);
  });

  test('short and long frames in turn arrive exactly, around the end of the ring', () => {
    const lengths: u32[] = [60, 1500, 255, 256, 257, 15, 2048, 16, 1000, 300, 64];
    for (let path: u32 = 0; path < 2; path++) {
      two(16, 2048, 0, path == 0);
      const dst = path == 0 ? mac(1) : ALL;
      for (let round: u32 = 0; round < 5; round++) {
        for (let i = 0; i < lengths.length; i++) send(tx, dst, mac(0), lengths[i], round * 100 + i);
        sync(tx);
        check(received(b) == <u32>lengths.length, path * 100 + round);
        for (let i = 0; i < lengths.length; i++) {
          check(holds(rx, i, dst, mac(0), lengths[i], round * 100 + i), (path * 100 + round) * 100 + i);
        }
        drain(b);
      }
    }
    expectTable();
    eq(guardsIntact(), 1);
  });

  test("a frame is not changed in the sender's buffer, nor its slot but for BUF_CHANGED", () => {
    two();
    send(tx, mac(1), mac(0), 100, 3, NS_BUF_CHANGED | 0x0002);
    const idx = slotIdx(tx, 0);
    const before = digest(bufOf(tx, 0), 256);
    sync(tx);
    eq(digest(bufOf(tx, 0), 256), before);
    eq(slotIdx(tx, 0), idx);
    eq(slotLen(tx, 0), 100);
    eq(slotFlags(tx, 0), 0x0002);
  });

  test("a frame longer than the receiver's buffers is dropped and counted, the frames around it arrive", () => {
    for (let path: u32 = 0; path < 2; path++) {
      const bridge = newBridge();
      a = valePort(bridge, 0, 1, 16, 512);
      b = valePort(bridge, 1, 1, 16, 128);
      tx = txKring(a);
      rx = rxKring(b);
      const dst = path ? ALL : mac(1);
      if (!path) send(txKring(b), ALL, mac(1), 60, 0);
      if (!path) sync(txKring(b));
      for (let len: u32 = 126; len <= 130; len++) send(tx, dst, mac(0), len, len);
      send(tx, dst, mac(0), 256, 1);
      send(tx, dst, mac(0), 512, 1);
      send(tx, dst, mac(0), 14, 1, NS_MOREFRAG);
      send(tx, dst, mac(0), 512, 1, 0, 14);
      send(tx, dst, mac(0), 60, 60);
      check(sync(tx) == 0 && received(b) == 4, path);
      for (let k: u32 = 0; k < 3; k++) check(holds(rx, k, dst, mac(0), 126 + k, 126 + k), path * 10 + k);
      check(holds(rx, 3, dst, mac(0), 60, 60), path * 10 + 3);
      check(stat(tx, STAT_DROP_TOO_LONG) == 5 && stat(tx, STAT_DROP_NO_SPACE) == 0, path);
      check(stat(rx, STAT_DELIVERED) == 4 && stat(rx, STAT_DELIVERED_BYTES) == 126 + 127 + 128 + 60, path);
    }
    expectTable();
    eq(guardsIntact(), 1);
  });
});

describe('delivery, fragments', () => {
  test("fragments are kept: count in the high byte of every slot's flags, MOREFRAG on all but the last", () => {
    for (let path: u32 = 0; path < 2; path++) {
      two(16, 256, 0, path == 0);
      for (let at: u32 = 0; at < 16; at++) {
        for (let frags: u32 = 1; frags <= 13; frags++) {
          turnTo(tx, at);
          turnTo(rx, (at + 5) % 16);
          send(tx, mac(1), mac(0), 60, 7);
          sendPacket(mac(1), frags, 8);
          send(tx, mac(1), mac(0), 61, 9);
          const label = (path * 100 + at) * 100 + frags;
          check(sync(tx) == 0 && received(b) == frags + 2, label);
          check(holds(rx, 0, mac(1), mac(0), 60, 7) && holds(rx, frags + 1, mac(1), mac(0), 61, 9), label);
          check(holdsPacket(1, mac(1), frags, 8), label);
          drain(b);
        }
      }
      check(stat(tx, STAT_PACKETS) == 16 * 13 * 3 && stat(tx, STAT_FORWARDED) == 16 * 13 * 3, path);
      check(stat(rx, STAT_DELIVERED) == 16 * 13 * 3, path);
      check(stat(rx, STAT_DELIVERED_BYTES) == 16 * (13 * 121 + 20 * 91), path);
    }
    expectTable();
  });

  test('a packet cut off by head goes out with the fragments seen, the rest is a packet of its own', () => {
    for (let frags: u32 = 1; frags <= 12; frags++) {
      two();
      sendPacket(mac(1), frags, 1, NS_MOREFRAG);
      check(sync(tx) == 0 && received(b) == frags && holdsPacket(0, mac(1), frags, 1), frags);
      send(tx, mac(1), mac(0), 60, 2);
      check(sync(tx) == 0 && received(b) == frags + 1 && holds(rx, frags, mac(1), mac(0), 60, 2), frags);
    }
    expectTable();
  });

  test('64 fragments pass; more are dropped and counted once, and the packets after it pass', () => {
    for (let frags: u32 = 60; frags <= 140; frags++) {
      two(512);
      turnTo(tx, 450);
      turnTo(rx, 420);
      sendPacket(mac(1), 2, 1);
      sendPacket(mac(1), frags, 2);
      sendPacket(mac(1), 3, 3);
      send(tx, mac(1), mac(0), 60, 4);
      sync(tx);
      const fits: u32 = frags <= <u32>NETMAP_MAX_FRAGS ? frags : 0;
      check(received(b) == 6 + fits && stat(tx, STAT_DROP_FRAGS) == (fits ? 0 : 1), frags);
      check(holdsPacket(0, mac(1), 2, 1) && holdsPacket(2 + fits, mac(1), 3, 3), frags);
      check(holds(rx, 5 + fits, mac(1), mac(0), 60, 4), frags);
      if (fits) check(holdsPacket(2, mac(1), frags, 2), frags);
      check(stat(tx, STAT_PACKETS) == 4 && stat(tx, STAT_BAD_SLOT) == 0, frags);
    }
    expectTable();
    eq(guardsIntact(), 1);
  });

  test('packets across the end of a batch of 1024 slots stay whole, wherever it falls', () => {
    two(2048, 64);
    for (let shift: u32 = 0; shift < 66; shift++) {
      turnTo(tx, 100);
      turnTo(rx, 1200);
      const singles: u32 = shift + 960;
      for (let k: u32 = 0; k < singles; k++) send(tx, mac(1), mac(0), 14, k);
      sendPacket(mac(1), 64, 5);
      sendPacket(mac(1), 64, 6);
      send(tx, mac(1), mac(0), 60, 7);
      check(sync(tx) == 0 && received(b) == singles + 129, shift);
      check(holdsPacket(singles, mac(1), 64, 5) && holdsPacket(singles + 64, mac(1), 64, 6), shift);
      check(holds(rx, singles + 128, mac(1), mac(0), 60, 7), shift);
      drain(b);
    }
    expectTable();
    eq(guardsIntact(), 1);
  });

  test('single packets behind one that crosses the end of a batch wait for the next batch', () => {
    two(2048, 64);
    for (let frags: u32 = 2; frags <= 64; frags += 31) {
      turnTo(tx, 100);
      turnTo(rx, 1200);
      for (let k: u32 = 0; k < 1023; k++) send(tx, mac(1), mac(0), 14, k);
      sendPacket(mac(1), frags, 5);
      for (let k: u32 = 0; k < 900; k++) send(tx, mac(1), mac(0), 60, k);
      check(sync(tx) == 0 && received(b) == 1923 + frags, frags);
      check(holdsPacket(1023, mac(1), frags, 5), frags);
      for (let k: u32 = 0; k < 900; k++) check(holds(rx, 1023 + frags + k, mac(1), mac(0), 60, k), frags * 1000 + k);
      drain(b);
    }
    expectTable();
    eq(guardsIntact(), 1);
  });

  test('exactly len bytes of each fragment are copied, for every length 14..200, and one of another length', () => {
    for (let path: u32 = 0; path < 2; path++) {
      two(8, 256, 0, path == 0);
      for (let len: u32 = 14; len <= 200; len++) {
        const first = head(rx);
        const label = path * 1000 + len;
        for (let k: u32 = 0; k < 3; k++) memory.fill(bufOf(rx, (first + k) % 8), 0xee, 256);
        send(tx, mac(1), mac(0), len, len, NS_MOREFRAG);
        send(tx, mac(1), mac(0), 5, len, NS_MOREFRAG, len);
        send(tx, mac(1), mac(0), len, len, 0, len + 5);
        check(sync(tx) == 0 && received(b) == 3, label);
        for (let k: u32 = 0, from: u32 = 0; k < 3; k++) {
          const at = bufOf(rx, (first + k) % 8);
          const m: u32 = k == 1 ? 5 : len;
          check(slotLen(rx, (first + k) % 8) == m && bytesAre(at, mac(1), mac(0), len, from, m), label);
          check(allBytes(at + m, 256 - m, 0xee), label);
          from += m;
        }
        drain(b);
        send(tx, mac(1), mac(0), len, len + 1, NS_MOREFRAG);
        send(tx, mac(1), mac(0), len, len + 1, 0, len);
        check(sync(tx) == 0 && received(b) == 2 && holds(rx, 0, mac(1), mac(0), len, len + 1), label);
        check(bytesAre(bufOf(rx, (head(rx) + 1) % 8), mac(1), mac(0), len + 1, len, len), label);
        drain(b);
      }
    }
    expectTable();
    eq(guardsIntact(), 1);
  });

  test('a packet that does not fit is dropped with all later ones of the batch, and the slots left are free again', () => {
    for (let path: u32 = 0; path < 2; path++) {
      for (let room: u32 = 0; room <= 6; room++) {
        two(16, 256, 0, path == 0);
        turnTo(rx, 11);
        for (let k: u32 = 0; k < 15 - room; k++) send(tx, mac(1), mac(0), 60, 1);
        sync(tx);
        sendPacket(mac(1), 2, 2);
        sendPacket(mac(1), 3, 3);
        send(tx, mac(1), mac(0), 60, 4);
        sync(tx);
        const used: u32 = room < 2 ? 0 : room < 5 ? 2 : room == 5 ? 5 : 6;
        const label = path * 100 + room;
        check(received(b) == 15 - room + used, label);
        if (used >= 2) check(holdsPacket(15 - room, mac(1), 2, 2), label);
        if (used >= 5) check(holdsPacket(17 - room, mac(1), 3, 3), label);
        check(stat(tx, STAT_DROP_NO_SPACE) == (used == 0 ? 3 : used == 2 ? 2 : used == 5 ? 1 : 0), label);
        for (let k: u32 = 0; k < room - used; k++) send(tx, mac(1), mac(0), 60, 5);
        sync(tx);
        check(received(b) == 15, label);
        check(room == used || holds(rx, 14, mac(1), mac(0), 60, 5), label);
      }
    }
    expectTable();
  });
});

describe('delivery, bad slots', () => {
  test("a packet with a bad slot of the sender's is dropped whole and counted, the packets around it pass", () => {
    two();
    const nbufs = word(tx, KRING_NBUFS);
    // index, length, flags
    const rows: u32[] = [
      0,
      20,
      0,
      1,
      20,
      0,
      nbufs,
      20,
      0,
      0x10000002,
      20,
      0,
      0xffffffff,
      20,
      0,
      5,
      257,
      0,
      5,
      0xffff,
      0,
      5,
      20,
      NS_INDIRECT,
    ];
    for (let k = 0; k < rows.length; k += 3) {
      for (let frags: u32 = 1; frags <= 4; frags++) {
        for (let at: u32 = 0; at < frags; at++) {
          two();
          send(tx, mac(1), mac(0), 60, 1);
          sendPacket(mac(1), frags, 2);
          const flags = slotFlags(tx, 1 + at);
          setSlot(tx, 1 + at, rows[k], rows[k + 1], flags | rows[k + 2]);
          send(tx, mac(1), mac(0), 61, 3);
          const label = k * 100 + frags * 10 + at;
          check(sync(tx) == 0 && received(b) == 2, label);
          check(holds(rx, 0, mac(1), mac(0), 60, 1) && holds(rx, 1, mac(1), mac(0), 61, 3), label);
          check(
            stat(tx, STAT_DROP_BAD_SLOT) == 1 && stat(tx, STAT_BAD_SLOT) == 1 && stat(tx, STAT_PACKETS) == 3,
            label,
          );
        }
      }
    }
    expectTable();
    eq(guardsIntact(), 1);
  });

  test('a length of the whole buffer and the last buffer are good', () => {
    two();
    const last = word(tx, KRING_NBUFS) - 1;
    setSlot(tx, 0, last, 256, 0);
    send(tx, mac(1), mac(0), 256, 1);
    eq(slotIdx(tx, 0), last);
    sync(tx);
    eq(received(b), 1);
    eq(holds(rx, 0, mac(1), mac(0), 256, 1), 1);
    eq(stat(tx, STAT_BYTES), 256);
  });

  test("a bad buffer index of the receiver's is counted, gives an empty slot, and no memory is written", () => {
    const bad: u32[] = [0, 1, 34, 35, 0x1000000, 0x80000000, 0xffffffff];
    for (let path: u32 = 0; path < 3; path++) {
      for (let k = 0; k < bad.length; k++) {
        two(16, 256, 0, path == 0);
        const label = path * 100 + k;
        check(word(rx, KRING_NBUFS) == 34, label);
        for (let i: u32 = 0; i < 16; i++) memory.fill(bufOf(rx, i), 0xee, 256);
        setSlot(rx, 1, bad[k], 77, 0x0002);
        const base = bufOf(rx, 0) - <usize>slotIdx(rx, 0) * 256;
        const reserved = digest(base, 512);
        send(tx, mac(1), mac(0), 60, 1);
        if (path == 2) sendPacket(mac(1), 2, 2);
        else send(tx, mac(1), mac(0), 60, 2);
        if (path < 2) send(tx, mac(1), mac(0), 60, 3);
        check(sync(tx) == 0 && received(b) == 3, label);
        check(holds(rx, 0, mac(1), mac(0), 60, 1) && slotIdx(rx, 1) == bad[k] && slotLen(rx, 1) == 0, label);
        if (path < 2) check(holds(rx, 2, mac(1), mac(0), 60, 3), label);
        else check(slotLen(rx, 2) == 0, label); // the whole packet is gone
        check(slotFlags(rx, 1) == 0 && (path < 2 || slotFlags(rx, 2) == 0), label);
        check(digest(base, 512) == reserved && stat(rx, STAT_BAD_SLOT) == 1, label);
        for (let i: u32 = 3; i < 16; i++) check(allBytes(bufOf(rx, i), 256, 0xee), label);
        const arrived: u32 = path < 2 ? 2 : 1;
        check(stat(tx, STAT_DROP_BAD_SLOT) == 1 && stat(tx, STAT_FORWARDED) == arrived, label);
        check(stat(rx, STAT_DELIVERED) == arrived, label);
      }
    }
    expectTable();
    eq(guardsIntact(), 1);
  });

  test("random slots of both sides never make the switch write outside of the receiver's buffers", () => {
    two(64, 128);
    seed(31);
    const source = bufOf(tx, 0) - <usize>slotIdx(tx, 0) * 128;
    const target = bufOf(rx, 0) - <usize>slotIdx(rx, 0) * 128;
    const sourceBytes = word(tx, KRING_NBUFS) * 128;
    for (let round = 0; round < 1000; round++) {
      for (let i: u32 = 0; i < 64; i++) {
        store<u64>(slotAt(tx, i), randomSlot());
        store<u64>(slotAt(rx, i), randomSlot());
      }
      setHead(tx, (head(tx) + below(64)) % 64);
      const before = digest(source, sourceBytes);
      const reserved = digest(target, 256);
      check(sync(tx) == 0 && digest(source, sourceBytes) == before && digest(target, 256) == reserved, round);
      if ((round & 3) == 0) drain(b);
      else advance(rx, below(received(b) + 1));
    }
    expectTable();
    eq(guardsIntact(), 1);
  });
});

/** buf_idx, len and flags, good ones more often than not. */
function randomSlot(): u64 {
  const idx = below(8) == 0 ? below(0xffffff) * 257 : below(136);
  const len = below(8) == 0 ? below(0x10000) : below(129);
  const flags = below(4) == 0 ? NS_MOREFRAG : below(64) == 0 ? below(0x10000) : 0;
  return <u64>idx | ((<u64>len) << 32) | ((<u64>flags) << 48);
}
