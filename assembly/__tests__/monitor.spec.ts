// assembly/monitor: copies and swaps of the slots of watched rings, at every position and with every room.
import {
  KRING_KIND,
  KRING_MAILTAIL,
  KRING_MONITORED,
  KRING_MONITORS,
  KRING_ZMON,
  MONITOR_RING,
  MONITOR_SIZE,
  PORT_KIND_MONITOR,
  PORT_KIND_NULL,
  PORT_KIND_VALE,
  STAT_DELIVERED,
  STAT_DROP_NO_SPACE,
} from '../abi/arena';
import { NS_BUF_CHANGED, NS_MOREFRAG, NS_TXMON } from '../abi/netmap';
import { check, eq, expectTable, guarded } from './include/check';
import {
  advance,
  avail,
  bufOf,
  newPort,
  regionFor,
  rxKring,
  setSlot,
  setWord,
  slotFlags,
  slotIdx,
  slotLen,
  stat,
  sync,
  turnTo,
  txKring,
  word,
} from './include/world';

const N: u32 = 8;

/** A VALE port without a bridge, watched by a copy monitor whose buffers are of 128 bytes. */
function watched(): usize {
  const port = newPort(PORT_KIND_VALE, 1, 1, N, regionFor(2, N));
  return port;
}

function watchBy(kr: usize, monitor: usize): void {
  const m = guarded(MONITOR_SIZE);
  store<u32>(m, <u32>rxKring(monitor), MONITOR_RING);
  setWord(kr, KRING_MONITORS, <u32>m);
  setWord(kr, KRING_KIND, PORT_KIND_VALE | KRING_MONITORED);
}

/** Puts frames `from`, `from` + 1, … of 60 bytes into the next `k` slots and syncs. */
function send(tx: usize, at: u32, k: u32, from: u8): void {
  for (let i: u32 = 0; i < k; i++) {
    const s = (at + i) % N;
    setSlot(tx, s, slotIdx(tx, s), 60, 0);
    memory.fill(bufOf(tx, s), from + <u8>i, 60);
  }
  advance(tx, k);
  eq(sync(tx), 0);
}

describe('a copy monitor', () => {
  test('gets the newest frames that fit, at every position of both rings', () => {
    for (let at: u32 = 0; at < N; at++) {
      for (let held: u32 = 0; held < N; held++) {
        const tx = txKring(watched());
        const monitor = newPort(PORT_KIND_MONITOR, 1, 1, N, regionFor(2, N, 128));
        const rx = rxKring(monitor);
        turnTo(tx, at);
        turnTo(rx, (at * 5) % N);
        watchBy(tx, monitor);
        send(tx, at, held, 1);
        send(tx, (at + held) % N, 5, 11);
        sync(rx);
        const room = min(N - 1 - held, 5);
        check(avail(rx) == held + room && stat(rx, STAT_DROP_NO_SPACE) == 5 - room, at * N + held);
        for (let i: u32 = 0; i < room; i++) {
          const s = (at * 5 + held + i) % N;
          check(load<u8>(bufOf(rx, s)) == 16 - room + i && slotFlags(rx, s) == NS_TXMON, at * N + held);
        }
      }
    }
    expectTable();
  });

  test('cuts frames to its buffers, keeps flags, and skips slots that name no buffer', () => {
    const tx = txKring(watched());
    const monitor = newPort(PORT_KIND_MONITOR, 1, 1, N, regionFor(2, N, 128));
    watchBy(tx, monitor);
    setSlot(tx, 0, slotIdx(tx, 0), 200, NS_MOREFRAG | NS_BUF_CHANGED);
    setSlot(tx, 1, 0xffffff, 60, 0);
    setSlot(tx, 2, slotIdx(tx, 2), 257, 0);
    setSlot(tx, 3, slotIdx(tx, 3), 0, 0);
    advance(tx, 4);
    sync(tx);
    const rx = rxKring(monitor);
    sync(rx);
    eq(avail(rx), 2);
    eq(slotLen(rx, 0), 128);
    eq(slotFlags(rx, 0), NS_MOREFRAG | NS_TXMON);
    eq(slotLen(rx, 1), 0);
    eq(stat(rx, STAT_DELIVERED), 2);
  });
});

describe('a zero-copy monitor', () => {
  test('exchanges buffers with the newest released slots, and nothing is lost or doubled', () => {
    for (let at: u32 = 0; at < N; at++) {
      for (let held: u32 = 0; held < N; held++) {
        const region = regionFor(4, N);
        const tx = txKring(newPort(PORT_KIND_VALE, 1, 1, N, region));
        const rx = rxKring(newPort(PORT_KIND_MONITOR, 1, 1, N, region));
        turnTo(tx, at);
        turnTo(rx, (at * 3) % N);
        setWord(tx, KRING_ZMON, <u32>rx);
        setWord(tx, KRING_KIND, PORT_KIND_VALE | KRING_MONITORED);
        let before: u64 = 0;
        for (let i: u32 = 0; i < N; i++) before += ((<u64>1) << slotIdx(tx, i)) + ((<u64>1) << slotIdx(rx, i));
        send(tx, at, held, 1);
        send(tx, (at + held) % N, 4, 11);
        sync(rx);
        const room = min(N - 1 - held, 4);
        check(avail(rx) == held + room && stat(rx, STAT_DROP_NO_SPACE) == 4 - room, at * N + held);
        let after: u64 = 0;
        for (let i: u32 = 0; i < N; i++) after |= ((<u64>1) << slotIdx(tx, i)) | ((<u64>1) << slotIdx(rx, i));
        check(before == after, at * N + held);
        for (let i: u32 = 0; i < room; i++) {
          const s = (at * 3 + held + i) % N;
          check(load<u8>(bufOf(rx, s)) == 15 - room + i && slotFlags(rx, s) == NS_TXMON, at * N + held);
          check((slotFlags(tx, (at + held + 4 - room + i) % N) & NS_BUF_CHANGED) != 0, at * N + held);
        }
      }
    }
    expectTable();
  });

  test('does not touch slots that name no buffer, on either side', () => {
    const region = regionFor(4, N);
    const port = newPort(PORT_KIND_NULL, 1, 1, N, region);
    const rx = rxKring(port);
    const mon = rxKring(newPort(PORT_KIND_MONITOR, 1, 1, N, region));
    setWord(rx, KRING_ZMON, <u32>mon);
    setWord(rx, KRING_KIND, PORT_KIND_VALE | KRING_MONITORED);
    setWord(rx, KRING_MAILTAIL, 4);
    sync(rx);
    const idx = slotIdx(mon, 0);
    setSlot(mon, 1, 1, 60, 0);
    setSlot(rx, 0, 0, 60, 0);
    setSlot(rx, 1, 0xffffff, 60, 0);
    const third = slotIdx(rx, 2);
    advance(rx, 4);
    sync(rx);
    sync(mon);
    eq(avail(mon), 1);
    eq(slotIdx(mon, 0), third);
    eq(slotIdx(rx, 2), idx);
    eq(slotIdx(mon, 1), 1);
    eq(word(rx, KRING_MAILTAIL), 4);
  });
});
