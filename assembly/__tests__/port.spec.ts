// assembly/port: the pipe. Slots are copied, payload never; the mailbox says how far each side may go.
import {
  KRING_HWCUR,
  KRING_HWTAIL,
  KRING_MAILTAIL,
  KRING_NBUFS,
  KRING_SIZE,
  KRING_WAITERS,
  STAT_BAD_SLOT,
  STAT_BYTES,
  STAT_DROP_BAD_SLOT,
  STAT_PACKETS,
} from '../abi/arena';
import { NETMAP_SLOT_PTR, NS_BUF_CHANGED, NS_MOREFRAG } from '../abi/netmap';
import { below, check, digest, eq, expectTable, guardsIntact, seed } from './include/check';
import {
  advance,
  avail,
  bufOf,
  head,
  newPipe,
  peerOf,
  rxKring,
  self,
  seq,
  setHead,
  setSlot,
  setWord,
  slotAt,
  slotFlags,
  slotIdx,
  slotLen,
  slots,
  stat,
  sync,
  tail,
  thread,
  turnTo,
  txKring,
  word,
} from './include/world';

const SIZES: u32[] = [4, 5, 8];

/** A pipe of n slots whose a-to-b direction has already moved `at` slots. */
function pipeAt(n: u32, at: u32): usize {
  const a = newPipe(n);
  turnTo(txKring(a), at);
  turnTo(rxKring(peerOf(a)), at);
  return a;
}

/** Fills the slot at head with length `len` and a number, and moves head past it. */
function put(tx: usize, len: u32, flags: u32, number: u64): void {
  const i = head(tx);
  setSlot(tx, i, slotIdx(tx, i), len, flags);
  store<u64>(slotAt(tx, i), number, NETMAP_SLOT_PTR);
  advance(tx, 1);
}

function numberOf(kr: usize, i: u32): u64 {
  return load<u64>(slotAt(kr, i), NETMAP_SLOT_PTR);
}

describe('pipe, at the start', () => {
  test('the sender has n - 1 slots and the receiver none: mailboxes n - 1 and 0', () => {
    for (let s = 0; s < 3; s++) {
      const a = newPipe(SIZES[s]);
      const tx = txKring(a);
      const rx = rxKring(peerOf(a));
      check(word(tx, KRING_MAILTAIL) == SIZES[s] - 1 && word(rx, KRING_MAILTAIL) == 0, s);
      check(sync(tx) == 0 && sync(rx) == 0, s);
      check(avail(tx) == SIZES[s] - 1 && avail(rx) == 0, s);
      check(word(tx, KRING_MAILTAIL) == SIZES[s] - 1 && word(rx, KRING_MAILTAIL) == 0, s);
    }
    expectTable();
  });
});

describe('pipe, every wrap position', () => {
  test('a batch of any size arrives whole, in order, with buffers, lengths, flags and offsets; nothing else changes', () => {
    for (let s = 0; s < 3; s++) {
      const n = SIZES[s];
      for (let at: u32 = 0; at < n; at++) {
        for (let m: u32 = 0; m < n; m++) {
          const label = (n * 10 + at) * 10 + m;
          const a = pipeAt(n, at);
          const tx = txKring(a);
          const rx = rxKring(peerOf(a));
          for (let k: u32 = 0; k < m; k++) put(tx, 10 + k, 0x0002, 100 + k);
          check(sync(tx) == 0, label);
          check(word(tx, KRING_HWCUR) == (at + m) % n && tail(tx) == (at + n - 1) % n, label);
          check(tail(rx) == at, label); // not before the receiver syncs
          check(sync(rx) == 0 && head(rx) == at && avail(rx) == m, label);
          for (let k: u32 = 0; k < m; k++) {
            const i = (at + k) % n;
            check(slotIdx(rx, i) == slotIdx(tx, i) && slotLen(rx, i) == 10 + k, label);
            check(slotFlags(rx, i) == 0x0002 && numberOf(rx, i) == 100 + k, label);
          }
          for (let k = m; k < n; k++) check(numberOf(rx, (at + k) % n) == 0, label);
          check(
            stat(rx, STAT_PACKETS) == m && stat(rx, STAT_BYTES) == 10 * m + ((m * (m - 1)) / 2) * (m ? 1 : 0),
            label,
          );
          check(stat(rx, STAT_DROP_BAD_SLOT) == 0 && stat(rx, STAT_BAD_SLOT) == 0, label);
        }
      }
    }
    expectTable();
    eq(guardsIntact(), 1);
  });

  test("slots come back as far as the receiver has released them, at the sender's next sync", () => {
    for (let s = 0; s < 3; s++) {
      const n = SIZES[s];
      for (let at: u32 = 0; at < n; at++) {
        for (let m: u32 = 0; m < n; m++) {
          for (let r: u32 = 0; r <= m; r++) {
            const label = ((n * 10 + at) * 10 + m) * 10 + r;
            const a = pipeAt(n, at);
            const tx = txKring(a);
            const rx = rxKring(peerOf(a));
            for (let k: u32 = 0; k < m; k++) put(tx, 10, 0, k);
            check(sync(tx) == 0 && sync(rx) == 0, label);
            advance(rx, r);
            check(sync(rx) == 0 && word(rx, KRING_HWCUR) == (at + r) % n && avail(rx) == m - r, label);
            check(avail(tx) == n - 1 - m, label);
            check(sync(tx) == 0 && avail(tx) == n - 1 - m + r, label);
            check(tail(tx) == (at + r + n - 1) % n, label);
          }
        }
      }
    }
    expectTable();
  });

  test('hwtail is the mailbox as it was when the sync began', () => {
    const a = pipeAt(8, 6);
    const tx = txKring(a);
    const rx = rxKring(peerOf(a));
    for (let k: u32 = 0; k < 3; k++) put(tx, 10, 0, k);
    sync(tx);
    eq(word(rx, KRING_MAILTAIL), 1);
    eq(word(rx, KRING_HWTAIL), 6);
    sync(rx);
    eq(word(rx, KRING_HWTAIL), 1);
    advance(rx, 2);
    sync(rx);
    eq(word(tx, KRING_MAILTAIL), 7);
    eq(word(tx, KRING_HWTAIL), 5);
    sync(tx);
    eq(word(tx, KRING_HWTAIL), 7);
  });

  test('numbered packets of random sizes and batches arrive in order over many rounds, both ways', () => {
    seed(2);
    const a = newPipe(8);
    for (let way: u32 = 0; way < 2; way++) {
      const tx = txKring(way ? peerOf(a) : a);
      const rx = rxKring(way ? a : peerOf(a));
      let sent: u32 = 0;
      let got: u32 = 0;
      for (let round = 0; round < 5000; round++) {
        for (let k = below(avail(tx) + 1); k != 0; k--) {
          store<u32>(bufOf(tx, head(tx)), sent);
          put(tx, 4 + (sent & 63), 0, sent++);
        }
        sync(tx);
        sync(rx);
        for (let k = below(avail(rx) + 1); k != 0; k--) {
          check(numberOf(rx, head(rx)) == got && slotLen(rx, head(rx)) == 4 + (got & 63), got);
          check(load<u32>(bufOf(rx, head(rx))) == got, got);
          advance(rx, 1);
          got++;
        }
        sync(rx);
        check(sent - got <= 7, round);
      }
      check(got > 5000 && stat(rx, STAT_PACKETS) == sent, way);
    }
    expectTable();
    eq(guardsIntact(), 1);
  });
});

describe('pipe, fragments', () => {
  test('a packet is published when its last fragment is sent, at every position and for every split in two syncs', () => {
    for (let at: u32 = 0; at < 8; at++) {
      for (let first: u32 = 1; first < 7; first++) {
        for (let rest: u32 = 1; first + rest <= 7; rest++) {
          const label = (at * 10 + first) * 10 + rest;
          const a = pipeAt(8, at);
          const tx = txKring(a);
          const rx = rxKring(peerOf(a));
          for (let k: u32 = 0; k < first; k++) put(tx, 50, NS_MOREFRAG, k);
          check(sync(tx) == 0 && word(tx, KRING_HWCUR) == (at + first) % 8, label);
          check(sync(rx) == 0 && avail(rx) == 0 && stat(rx, STAT_PACKETS) == 0, label);
          for (let k: u32 = 1; k < rest; k++) put(tx, 50, NS_MOREFRAG, k);
          put(tx, 50, 0, 99);
          check(sync(tx) == 0 && sync(rx) == 0 && avail(rx) == first + rest, label);
          check(stat(rx, STAT_PACKETS) == 1 && stat(rx, STAT_BYTES) == 50 * (first + rest), label);
          for (let k: u32 = 0; k < first + rest; k++) {
            check(slotFlags(rx, (at + k) % 8) == (k + 1 < first + rest ? NS_MOREFRAG : 0), label);
          }
        }
      }
    }
    expectTable();
  });

  test('complete packets before an unfinished one are published without it', () => {
    for (let at: u32 = 0; at < 8; at++) {
      for (let whole: u32 = 0; whole < 6; whole++) {
        for (let open: u32 = 0; whole + open <= 7; open++) {
          const a = pipeAt(8, at);
          const tx = txKring(a);
          const rx = rxKring(peerOf(a));
          for (let k: u32 = 0; k < whole; k++) put(tx, 50, k + 1 < whole && (k & 1) == 0 ? NS_MOREFRAG : 0, k);
          for (let k: u32 = 0; k < open; k++) put(tx, 50, NS_MOREFRAG, k);
          check(sync(tx) == 0 && sync(rx) == 0 && avail(rx) == whole, (at * 10 + whole) * 10 + open);
        }
      }
    }
    expectTable();
  });
});

describe('pipe, what has been published and not been taken', () => {
  test('a sender that writes to it changes its own packets, and the receiver sees whole packets only', () => {
    for (let at: u32 = 0; at < 8; at++) {
      for (let more: u32 = 0; more < 8; more++) {
        // of three packets, those with a bit in `more` are no ends any more when the receiver looks
        const label = at * 10 + more;
        const a = pipeAt(8, at);
        const tx = txKring(a);
        const rx = rxKring(peerOf(a));
        for (let k: u32 = 0; k < 3; k++) put(tx, 50, 0, k);
        check(sync(tx) == 0, label);
        for (let k: u32 = 0; k < 3; k++) {
          const i = (at + k) % 8;
          setSlot(tx, i, slotIdx(tx, i), 60 + k, (more >> k) & 1 ? NS_MOREFRAG : 0);
        }
        const whole: u32 = (more & 4) == 0 ? 3 : (more & 2) == 0 ? 2 : (more & 1) == 0 ? 1 : 0;
        for (let again = 0; again < 3; again++) check(sync(rx) == 0 && avail(rx) == whole, label);
        let ends: u32 = 0;
        for (let k: u32 = 0; k < whole; k++) ends += (more >> k) & 1 ? 0 : 1;
        check(stat(rx, STAT_PACKETS) == ends && stat(rx, STAT_BYTES) == 60 * whole + (whole * (whole - 1)) / 2, label);
        // Once they are whole again, and another one has come, the rest is there.
        for (let k: u32 = 0; k < 3; k++) {
          const i = (at + k) % 8;
          setSlot(tx, i, slotIdx(tx, i), 60 + k, 0);
        }
        put(tx, 63, 0, 3);
        check(sync(tx) == 0 && sync(rx) == 0 && avail(rx) == 4, label);
        check(slotLen(rx, (at + 2) % 8) == 62 && slotLen(rx, (at + 3) % 8) == 63, label);
      }
    }
    expectTable();
    eq(guardsIntact(), 1);
  });

  test('is there for a receiver that syncs later, after any number of syncs of the sender', () => {
    for (let m: u32 = 1; m < 8; m++) {
      const a = newPipe(8);
      const tx = txKring(a);
      const rx = rxKring(peerOf(a));
      for (let k: u32 = 0; k < m; k++) {
        put(tx, 60 + k, 0, k);
        sync(tx);
      }
      check(stat(rx, STAT_PACKETS) == 0 && avail(tx) == 7 - m, m);
      check(sync(rx) == 0 && avail(rx) == m && stat(rx, STAT_PACKETS) == m, m);
      for (let k: u32 = 0; k < m; k++) check(slotLen(rx, k) == 60 + k && numberOf(rx, k) == k, m);
    }
    expectTable();
  });
});

describe('pipe, released slots', () => {
  test('one whose length alone is another reaches the sender, at every place of a run', () => {
    for (let at: u32 = 0; at < 16; at++) {
      for (let changed: u32 = 0; changed < 11; changed++) {
        const label = at * 100 + changed; // of 10, none is
        const a = newPipe(16);
        const tx = txKring(a);
        const rx = rxKring(peerOf(a));
        turnTo(tx, at);
        turnTo(rx, at);
        for (let k: u32 = 0; k < 10; k++) put(tx, 50 + k, 0, k);
        check(sync(tx) == 0 && sync(rx) == 0 && avail(rx) == 10, label);
        const i = (at + changed) % 16;
        if (changed < 10) setSlot(rx, i, slotIdx(rx, i), 77, 0);
        advance(rx, 10);
        check(sync(rx) == 0 && sync(tx) == 0 && avail(tx) == 15, label);
        for (let k: u32 = 0; k < 10; k++) {
          const i = (at + k) % 16;
          check(numberOf(tx, i) == k && slotLen(tx, i) == (k == changed ? 77 : 50 + k), label);
          check(slotIdx(tx, i) == slotIdx(rx, i), label);
        }
      }
    }
    expectTable();
    eq(guardsIntact(), 1);
  });
});

describe('pipe, flags and buffers', () => {
  test('all flags are copied; BUF_CHANGED is cleared on the side that synced, and only there', () => {
    for (let flags: u32 = 0; flags < 0x80; flags++) {
      const a = newPipe(8);
      const tx = txKring(a);
      const rx = rxKring(peerOf(a));
      put(tx, 50, flags, 1);
      put(tx, 50, 0, 2);
      check(sync(tx) == 0 && sync(rx) == 0, flags);
      check(slotFlags(rx, 0) == flags && slotFlags(tx, 0) == (flags & ~NS_BUF_CHANGED), flags);
      setSlot(rx, 0, slotIdx(rx, 0), 40, flags | 0x8000);
      setHead(rx, 1);
      check(sync(rx) == 0, flags);
      check(slotFlags(tx, 0) == (flags | 0x8000) && slotLen(tx, 0) == 40, flags);
      check(slotFlags(rx, 0) == ((flags | 0x8000) & ~NS_BUF_CHANGED), flags);
    }
    expectTable();
  });

  test('a buffer swapped in by the receiver reaches the sender, and the one it replaced is gone from both rings', () => {
    const a = newPipe(8);
    const tx = txKring(a);
    const rx = rxKring(peerOf(a));
    const spare = word(tx, KRING_NBUFS) - 1;
    for (let at: u32 = 0; at < 8; at++) {
      const own = slotIdx(tx, at);
      put(tx, 50, 0, at);
      sync(tx);
      sync(rx);
      check(slotIdx(rx, at) == own, at);
      setSlot(rx, at, spare - at, 50, NS_BUF_CHANGED);
      store<u64>(slotAt(rx, at), 1000 + at, NETMAP_SLOT_PTR);
      advance(rx, 1);
      sync(rx);
      sync(tx);
      check(slotIdx(tx, at) == spare - at && slotFlags(tx, at) == NS_BUF_CHANGED && numberOf(tx, at) == 1000 + at, at);
      for (let i: u32 = 0; i < 8; i++) check(slotIdx(tx, i) != own && slotIdx(rx, i) != own, at);
    }
    expectTable();
  });

  test('slots with and without NS_BUF_CHANGED follow one another, and a bad one, at every place of a run', () => {
    for (let at: u32 = 0; at < 4; at++) {
      for (let pattern: u32 = 0; pattern < 64; pattern++) {
        for (let bad: u32 = 0; bad <= 10; bad++) {
          const label = (at * 64 + pattern) * 16 + bad; // of 10, none is bad
          const a = newPipe(16);
          const tx = txKring(a);
          const rx = rxKring(peerOf(a));
          turnTo(tx, 4 * at);
          turnTo(rx, 4 * at);
          const first = head(tx);
          for (let k: u32 = 0; k < 10; k++) {
            put(tx, 50 + k, (pattern >> (k % 6)) & 1 ? NS_BUF_CHANGED : 0, k);
            if (k == bad) setSlot(tx, (first + k) % 16, 1, 50 + k, (pattern >> (k % 6)) & 1 ? NS_BUF_CHANGED : 0);
          }
          const bytesBefore = stat(rx, STAT_BYTES);
          const packetsBefore = stat(rx, STAT_PACKETS);
          check(sync(tx) == 0 && sync(rx) == 0 && avail(rx) == 10, label);
          check(stat(rx, STAT_BYTES) - bytesBefore == 545 - (bad < 10 ? 50 + bad : 0), label);
          check(
            stat(rx, STAT_PACKETS) - packetsBefore == 10 && stat(rx, STAT_DROP_BAD_SLOT) == (bad < 10 ? 1 : 0),
            label,
          );
          for (let k: u32 = 0; k < 10; k++) {
            const i = (first + k) % 16;
            const flags: u32 = (pattern >> (k % 6)) & 1 ? NS_BUF_CHANGED : 0;
            if (k == bad) {
              check(slotLen(rx, i) == 0 && slotFlags(rx, i) == 0 && slotFlags(tx, i) == flags, label);
              continue;
            }
            check(slotIdx(rx, i) == slotIdx(tx, i) && slotLen(rx, i) == 50 + k && slotFlags(rx, i) == flags, label);
            check(slotFlags(tx, i) == 0 && slotLen(tx, i) == 50 + k && numberOf(rx, i) == k, label);
          }
        }
      }
    }
    expectTable();
    eq(guardsIntact(), 1);
  });

  test("a sender's slot with a bad index or length is counted, and arrives as an empty slot of the receiver's buffer", () => {
    // index, length, good
    const rows: u32[] = [
      0, 50, 0, 1, 50, 0, 2, 50, 1, 49, 256, 1, 49, 257, 0, 49, 0xffff, 0, 50, 50, 0, 51, 0, 0, 0x80000002, 50, 0,
      0xffffffff, 50, 0, 0, 0xffff, 0,
    ];
    for (let k = 0; k < rows.length; k += 3) {
      const a = newPipe(8);
      const tx = txKring(a);
      const rx = rxKring(peerOf(a));
      check(word(tx, KRING_NBUFS) == 50, k);
      const own = slotIdx(rx, 1);
      put(tx, 60, 0, 1);
      setSlot(tx, 1, rows[k], rows[k + 1], NS_MOREFRAG | NS_BUF_CHANGED);
      setHead(tx, 2);
      put(tx, 70, 0, 3);
      check(sync(tx) == 0 && sync(rx) == 0 && avail(rx) == 3, k);
      if (rows[k + 2]) {
        check(slotIdx(rx, 1) == rows[k] && slotLen(rx, 1) == rows[k + 1] && stat(rx, STAT_DROP_BAD_SLOT) == 0, k);
        check(stat(rx, STAT_BYTES) == 130 + rows[k + 1], k);
      } else {
        check(slotIdx(rx, 1) == own && slotLen(rx, 1) == 0 && slotFlags(rx, 1) == NS_MOREFRAG, k);
        check(stat(rx, STAT_DROP_BAD_SLOT) == 1 && stat(rx, STAT_BYTES) == 130, k);
      }
      check(slotLen(rx, 0) == 60 && slotLen(rx, 2) == 70, k);
    }
    expectTable();
    eq(guardsIntact(), 1);
  });

  test("a receiver's slot with a bad index or length is counted, and the sender keeps the buffer it has", () => {
    const rows: u32[] = [0, 50, 1, 50, 49, 257, 50, 50, 0xffffffff, 50];
    for (let k = 0; k < rows.length; k += 2) {
      const a = newPipe(8);
      const tx = txKring(a);
      const rx = rxKring(peerOf(a));
      const own = slotIdx(tx, 0);
      put(tx, 60, 0, 1);
      sync(tx);
      sync(rx);
      setSlot(rx, 0, rows[k], rows[k + 1], 0);
      setHead(rx, 1);
      check(sync(rx) == 0 && stat(rx, STAT_BAD_SLOT) == 1, k);
      check(sync(tx) == 0 && avail(tx) == 7 && slotIdx(tx, 0) == own && slotLen(tx, 0) == 60, k);
    }
    expectTable();
  });
});

describe('pipe, waking', () => {
  test('the peer is woken by a packet end and by a release, never by an unfinished packet or an empty sync', () => {
    const a = newPipe(8);
    const tx = txKring(a);
    const rx = rxKring(peerOf(a));
    const receiver = thread(5);
    const sender = thread(6);
    store<u64>(rx, 1 << 5, KRING_WAITERS);
    store<u64>(tx, 1 << 6, KRING_WAITERS);
    sync(tx);
    sync(rx);
    put(tx, 10, NS_MOREFRAG, 0);
    sync(tx);
    eq(seq(receiver), 0);
    put(tx, 10, 0, 0);
    put(tx, 10, 0, 0);
    sync(tx);
    eq(seq(receiver), 1, 'once a sync');
    sync(rx);
    eq(seq(sender), 0);
    advance(rx, 1);
    sync(rx);
    eq(seq(sender), 1);
    eq(seq(receiver), 1);
    eq(seq(self), 0);
  });

  test("a sync changes nothing of the peer's kring but the mailbox", () => {
    const a = newPipe(8);
    const tx = txKring(a);
    const rx = rxKring(peerOf(a));
    put(tx, 10, 0, 0);
    const before = digest(rx, KRING_SIZE);
    sync(tx);
    eq(word(rx, KRING_MAILTAIL), 1);
    setWord(rx, KRING_MAILTAIL, 0);
    eq(digest(rx, KRING_SIZE), before);
  });
});
