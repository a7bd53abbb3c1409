// assembly/ptnet: the guest's txsync and rxsync over the CSB, decision by decision.
import {
  GKRING_ATOK,
  GKRING_HWCUR,
  GKRING_HWTAIL,
  GKRING_IRQ_OFF,
  GKRING_KTOA,
  GKRING_NSLOTS,
  GKRING_RCUR,
  GKRING_REINITS,
  GKRING_RHEAD,
  GKRING_RING,
  GKRING_RTAIL,
  GKRING_SIZE,
} from '../abi/arena';
import {
  CSB_ATOK_APPL_NEED_KICK,
  CSB_ATOK_CUR,
  CSB_ATOK_HEAD,
  CSB_ATOK_SYNC_FLAGS,
  CSB_ENTRY_SIZE,
  CSB_KTOA_HWCUR,
  CSB_KTOA_HWTAIL,
  CSB_KTOA_KERN_NEED_KICK,
} from '../abi/csb';
import {
  NAF_FORCE_READ,
  NAF_FORCE_RECLAIM,
  NETMAP_RING_CUR,
  NETMAP_RING_HEAD,
  NETMAP_RING_SIZE,
  NETMAP_RING_TAIL,
} from '../abi/netmap';
import { ptnetKicked, ptnetRxsync, ptnetSyncFromCsb, ptnetTxsync } from '../ptnet/driver';
import { check, digest, eq, expectTable, guarded, guardsIntact } from './include/check';
import { setWord, word } from './include/world';

const N: u32 = 8;
const gk = guarded(GKRING_SIZE);
const ring = guarded(NETMAP_RING_SIZE);
const atok = guarded(CSB_ENTRY_SIZE);
const ktoa = guarded(CSB_ENTRY_SIZE);
setWord(gk, GKRING_RING, <u32>ring);
setWord(gk, GKRING_NSLOTS, N);
setWord(gk, GKRING_ATOK, <u32>atok);
setWord(gk, GKRING_KTOA, <u32>ktoa);

/** The host's half of the CSB. */
function host(cur: u32, tail: u32, wantsKick: u32): void {
  setWord(ktoa, CSB_KTOA_HWCUR, cur % N);
  setWord(ktoa, CSB_KTOA_HWTAIL, tail % N);
  setWord(ktoa, CSB_KTOA_KERN_NEED_KICK, wantsKick);
}

/** The driver has last accepted `head` and shown `tail`; the CSB says the same. */
function settled(head: u32, tail: u32): void {
  host(head, tail, 0);
  ptnetSyncFromCsb(gk, head % N, head % N);
  setWord(atok, CSB_ATOK_HEAD, head % N);
  setWord(atok, CSB_ATOK_CUR, head % N);
  setWord(atok, CSB_ATOK_APPL_NEED_KICK, 1);
  setWord(atok, CSB_ATOK_SYNC_FLAGS, 99);
  setWord(gk, GKRING_IRQ_OFF, 0);
}

/** The application's indices. */
function app(head: u32, cur: u32): void {
  setWord(ring, NETMAP_RING_HEAD, head % N);
  setWord(ring, NETMAP_RING_CUR, cur % N);
}

function csbIs(head: u32, cur: u32, armed: bool, flags: u32): bool {
  return (
    word(atok, CSB_ATOK_HEAD) == head % N &&
    word(atok, CSB_ATOK_CUR) == cur % N &&
    word(atok, CSB_ATOK_APPL_NEED_KICK) == (armed ? 1 : 0) &&
    word(atok, CSB_ATOK_SYNC_FLAGS) == flags
  );
}

describe('after CREATE', () => {
  test('the driver takes head and cur as given, hwcur and hwtail from the CSB, into its kring and into the ring', () => {
    host(3, 2, 1);
    ptnetSyncFromCsb(gk, 4, 5);
    eq(word(gk, GKRING_RHEAD), 4);
    eq(word(gk, GKRING_RCUR), 5);
    eq(word(gk, GKRING_RTAIL), 2);
    eq(word(gk, GKRING_HWCUR), 3);
    eq(word(gk, GKRING_HWTAIL), 2);
    eq(word(ring, NETMAP_RING_HEAD), 4);
    eq(word(ring, NETMAP_RING_CUR), 5);
    eq(word(ring, NETMAP_RING_TAIL), 2);
  });
});

/** The syncs as the driver makes them: whether the doorbell rang. The host answers when it wants. */
function txsync(flags: u32): u32 {
  const doorbell = ptnetTxsync(gk, flags);
  if (doorbell) ptnetKicked(gk);
  return doorbell;
}

function rxsync(flags: u32): u32 {
  const doorbell = ptnetRxsync(gk, flags);
  if (doorbell) ptnetKicked(gk);
  return doorbell;
}

describe('guest txsync', () => {
  test('publishes, decides on doorbell, flags, fetch and arming as in the table of new, full, moved, kick, reclaim and off', () => {
    for (let at: u32 = 0; at < N; at++) {
      for (let row: u32 = 0; row < 64; row++) {
        const isNew = (row & 1) != 0; // slots to send
        const full = (row & 2) != 0; // cur at the tail known
        const moved = (row & 4) != 0; // the host has freed slots since
        const wantsKick = (row & 8) != 0;
        const reclaim = (row & 16) != 0;
        const off = (row & 32) != 0;
        settled(at, at + 4);
        const head = isNew ? at + 2 : at;
        const cur = full ? at + 4 : head;
        app(head, cur);
        host(at, moved ? at + 6 : at + 4, wantsKick ? 1 : 0);
        setWord(gk, GKRING_IRQ_OFF, off ? 1 : 0);
        const flags: u32 = reclaim ? NAF_FORCE_RECLAIM : 0;
        const doorbell = txsync(flags);
        const notify = ((isNew || full) && wantsKick) || reclaim;
        const fetched = full || notify;
        const tail = (fetched && moved ? at + 6 : at + 4) % N;
        const label = at * 100 + row;
        check(doorbell == (notify ? 1 : 0), label);
        check(csbIs(head, cur, full && !moved && !off, notify ? flags : 99), label);
        check(word(ring, NETMAP_RING_TAIL) == tail && word(gk, GKRING_RTAIL) == tail, label);
        check(word(gk, GKRING_RHEAD) == head % N && word(gk, GKRING_RCUR) == cur % N, label);
      }
    }
    expectTable();
    eq(guardsIntact(), 1);
  });

  test('reads hwtail only when it would block or has rung the doorbell', () => {
    settled(0, 4);
    app(1, 1);
    host(1, 5, 0);
    ptnetTxsync(gk, NAF_FORCE_READ);
    eq(word(ring, NETMAP_RING_TAIL), 4);
    app(4, 4);
    ptnetTxsync(gk, NAF_FORCE_READ);
    eq(word(ring, NETMAP_RING_TAIL), 5);
    eq(word(atok, CSB_ATOK_APPL_NEED_KICK), 0);
  });
});

describe('a host that answers a doorbell at once', () => {
  test('is not asked for an interrupt, and its answer is seen', () => {
    for (let way: u32 = 0; way < 2; way++) {
      for (let answers: u32 = 0; answers < 2; answers++) {
        settled(0, 3);
        app(3, 3);
        host(0, 3, 1);
        eq(way ? ptnetRxsync(gk, 0) : ptnetTxsync(gk, 0), 1);
        eq(word(atok, CSB_ATOK_APPL_NEED_KICK), 0, 'nobody waits yet');
        if (answers) host(3, 5, 1);
        ptnetKicked(gk);
        check(word(ring, NETMAP_RING_TAIL) == (answers ? 5 : 3), way * 10 + answers);
        check(word(atok, CSB_ATOK_APPL_NEED_KICK) == (answers ? 0 : 1), way * 10 + answers);
      }
    }
    expectTable();
  });
});

describe('guest rxsync', () => {
  test('fetches, publishes, arms and decides on the doorbell as in the table of release, would-block, kick and off', () => {
    for (let at: u32 = 0; at < N; at++) {
      for (let row: u32 = 0; row < 32; row++) {
        const release = (row & 1) != 0; // slots to give back
        const caughtUp = (row & 2) != 0; // cur at the tail known
        const moved = (row & 4) != 0; // packets have arrived since
        const wantsKick = (row & 8) != 0;
        const off = (row & 16) != 0;
        settled(at, at + 3);
        const head = release ? at + 2 : at;
        const cur = caughtUp ? at + 3 : head;
        app(head, cur);
        host(at, moved ? at + 5 : at + 3, wantsKick ? 1 : 0);
        setWord(gk, GKRING_IRQ_OFF, off ? 1 : 0);
        const doorbell = rxsync(NAF_FORCE_READ);
        const blocked = caughtUp && !moved;
        const notify = (release || blocked) && wantsKick;
        const tail = (moved ? at + 5 : at + 3) % N;
        const label = at * 100 + row;
        check(doorbell == (notify ? 1 : 0), label);
        // head and cur are published together, when there is something to release
        check(csbIs(release ? head : at, release ? cur : at, blocked && !off, notify ? NAF_FORCE_READ : 99), label);
        check(word(ring, NETMAP_RING_TAIL) == tail && word(gk, GKRING_RTAIL) == tail, label);
        check(word(gk, GKRING_RHEAD) == head % N && word(gk, GKRING_RCUR) == cur % N, label);
      }
    }
    expectTable();
    eq(guardsIntact(), 1);
  });

  test('slots published before and not yet consumed count as released: the host is told again', () => {
    settled(0, 5);
    app(3, 3);
    host(0, 5, 1);
    eq(rxsync(0), 1);
    eq(rxsync(0), 1, 'hwcur has not moved');
    host(3, 5, 1);
    eq(rxsync(0), 0);
  });
});

const LARGE: u32[] = [0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff];

function inRingOrder(lo: u32, hi: u32, h: u32, c: u32): bool {
  let seenHead = false;
  for (let i = lo, steps: u32 = 0; steps < N; i = (i + 1) % N, steps++) {
    if (i == h) seenHead = true;
    if (i == c) return seenHead;
    if (i == hi) return false;
  }
  return false;
}

describe('an application in the guest', () => {
  test('with illegal head or cur is put back to what was accepted last; nothing is published and no doorbell rings', () => {
    for (let way: u32 = 0; way < 2; way++) {
      for (let at: u32 = 0; at < N; at++) {
        for (let h: u32 = 0; h < N + 6; h++) {
          for (let c: u32 = 0; c < N + 6; c++) {
            const head = h < N + 2 ? h : LARGE[h - N - 2];
            const cur = c < N + 2 ? c : LARGE[c - N - 2];
            if (h < N && c < N && inRingOrder(at, (at + 3) % N, h, c)) continue;
            const label = ((way * 10 + at) * 100 + h) * 100 + c;
            settled(at, at + 3);
            host(at, at + 5, 1);
            setWord(ring, NETMAP_RING_HEAD, head);
            setWord(ring, NETMAP_RING_CUR, cur);
            const before = digest(atok, CSB_ENTRY_SIZE);
            const reinits = word(gk, GKRING_REINITS);
            const doorbell = way ? rxsync(0) : txsync(NAF_FORCE_RECLAIM);
            check(doorbell == 0 && digest(atok, CSB_ENTRY_SIZE) == before, label);
            check(word(ring, NETMAP_RING_HEAD) == at && word(ring, NETMAP_RING_CUR) == at, label);
            check(word(gk, GKRING_RHEAD) == at && word(gk, GKRING_RCUR) == at, label);
            check(word(gk, GKRING_REINITS) == reinits + 1, label);
            // and goes on at the next sync
            if (way) rxsync(0);
            else txsync(NAF_FORCE_RECLAIM);
            check(word(gk, GKRING_REINITS) == reinits + 1 && word(ring, NETMAP_RING_TAIL) == (at + 5) % N, label);
          }
        }
      }
    }
    expectTable();
  });
});
