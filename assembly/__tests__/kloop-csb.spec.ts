// assembly/kloop, what a guest may write into its CSB: bad indices change nothing but a counter, at any time and place.
import {
  KLOOP_KTOA,
  KLOOP_MODE_BUSY,
  KLOOP_MODE_DIRECT,
  KLOOP_MODE_NOTIFY,
  KRING_HWCUR,
  KRING_HWTAIL,
  KRING_MAILTAIL,
  KRING_NBUFS,
  KRING_NSLOTS,
  KRING_PEER,
  KRING_RCUR,
  KRING_RHEAD,
  KRING_RTAIL,
  STAT_FORWARDED,
  STAT_PACKETS,
  STAT_REINITS,
} from '../abi/arena';
import { CSB_ENTRY_SIZE, CSB_KTOA_HWCUR, CSB_KTOA_HWTAIL } from '../abi/csb';
import { NETMAP_RING_SLOT, NS_MOREFRAG } from '../abi/netmap';
import { kloopPass } from '../kloop/pass';
import { kloopRxRing, kloopTxRing } from '../kloop/ring';
import { area, below, check, digest, eq, expectTable, forgetGuards, guardsIntact, random, seed } from './include/check';
import { atok, hwcur, hwtail, kicks, ktoa, newLoop, publish, ringOf, serve, setEvent, worker } from './include/loop';
import { ALL, drain, mac, newBridge, received, send, valePort } from './include/vale';
import {
  advance,
  avail,
  newPipe,
  peerOf,
  rxKring,
  setWord,
  slotAt,
  slotFlags,
  slots,
  stat,
  sync,
  txKring,
  turnTo,
  word,
} from './include/world';

const N: u32 = 6;
const TX: u32 = 0;
const RX: u32 = 1;
const MODES: u32[] = [KLOOP_MODE_BUSY, KLOOP_MODE_NOTIFY, KLOOP_MODE_DIRECT];
const LARGE: u32[] = [0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff];
const TRIED: u32 = N + 2 + 4;

function tried(k: u32): u32 {
  return k < N + 2 ? k : LARGE[k - N - 2];
}

function inRingOrder(lo: u32, hi: u32, h: u32, c: u32): bool {
  let seenHead = false;
  for (let i = lo, steps: u32 = 0; steps < N; i = (i + 1) % N, steps++) {
    if (i == h) seenHead = true;
    if (i == c) return seenHead;
    if (i == hi) return false;
  }
  return false;
}

let loop: usize = 0;
let host: usize = 0;

/** At position `at`: the tx ring has 2 slots in flight, the rx ring 3 packets that the guest has seen. */
function inUse(mode: u32, at: u32): void {
  forgetGuards();
  const port = newPipe(N, 64);
  host = peerOf(port);
  turnTo(txKring(port), at);
  turnTo(rxKring(port), at);
  turnTo(txKring(host), at);
  turnTo(rxKring(host), at);
  loop = newLoop(port, mode);
  serve(loop);
  publish(loop, TX, (at + 2) % N);
  advance(txKring(host), 3);
  sync(txKring(host));
  kloopTxRing(loop, 0, worker);
  kloopRxRing(loop, 0, worker);
}

/** The indices of a kring, its mailbox and its peer's, and everything of its ring. */
function stateOf(kr: usize): u32 {
  const p = area(64);
  setWord(p, 0, word(kr, KRING_RHEAD));
  setWord(p, 4, word(kr, KRING_RCUR));
  setWord(p, 8, word(kr, KRING_RTAIL));
  setWord(p, 12, word(kr, KRING_HWCUR));
  setWord(p, 16, word(kr, KRING_HWTAIL));
  setWord(p, 20, word(kr, KRING_MAILTAIL));
  setWord(p, 24, word(word(kr, KRING_PEER), KRING_MAILTAIL));
  setWord(p, 28, digest(slotAt(kr, 0) - NETMAP_RING_SLOT, <usize>slots(kr) * 16 + NETMAP_RING_SLOT));
  return digest(p, 64);
}

function expectRefusals(ring: u32): void {
  for (let m = 0; m < 3; m++) {
    for (let at: u32 = 0; at < N; at++) {
      inUse(MODES[m], at);
      const kr = ringOf(loop, ring);
      for (let h: u32 = 0; h < TRIED; h++) {
        for (let c: u32 = 0; c < TRIED; c++) {
          const lo = word(kr, ring == TX ? KRING_RHEAD : KRING_HWCUR);
          if (inRingOrder(lo, word(kr, KRING_HWTAIL), tried(h), tried(c)) && h < N && c < N) continue;
          const label = ((m * 10 + at) * 100 + h) * 100 + c;
          const state = stateOf(kr);
          const refused = stat(kr, STAT_REINITS);
          publish(loop, ring, tried(h), tried(c));
          setWord(ktoa(loop, ring), CSB_KTOA_HWCUR, 77);
          setWord(ktoa(loop, ring), CSB_KTOA_HWTAIL, 78);
          check((ring == TX ? kloopTxRing(loop, 0, worker) : kloopRxRing(loop, 0, worker)) == 0, label);
          check(stateOf(kr) == state && stat(kr, STAT_REINITS) == refused + 1, label);
          check(hwcur(loop, ring) == word(kr, KRING_HWCUR) && hwtail(loop, ring) == word(kr, KRING_HWTAIL), label);
          check(kicks(loop, ring) == (m == 0 ? 0 : 1), label);
        }
      }
      // and good ones are accepted again
      const good = ring == TX ? (at + 3) % N : (at + 1) % N;
      publish(loop, ring, good);
      if (ring == TX) kloopTxRing(loop, 0, worker);
      else kloopRxRing(loop, 0, worker);
      check(hwcur(loop, ring) == good, (m * 10 + at) * 10000);
      check(guardsIntact(), (m * 10 + at) * 10000);
    }
  }
  expectTable();
}

describe('illegal head and cur in the CSB', () => {
  test('tx: nothing is sent, the ring stays as it is, hwcur and hwtail are published again, kicks enabled, one count', () => {
    expectRefusals(TX);
  });

  test('rx: nothing is released, the ring stays as it is, hwcur and hwtail are published again, kicks enabled, one count', () => {
    expectRefusals(RX);
  });

  test('what the kernel publishes is only ever written, never read back', () => {
    inUse(KLOOP_MODE_NOTIFY, 4);
    memory.fill(word(loop, KLOOP_KTOA), 0xff, 2 * CSB_ENTRY_SIZE);
    publish(loop, TX, (4 + 4) % N);
    publish(loop, RX, (4 + 1) % N);
    setEvent(loop);
    kloopPass(worker);
    eq(hwcur(loop, TX), (4 + 4) % N);
    eq(hwtail(loop, TX), (4 + N - 1) % N);
    eq(hwcur(loop, RX), (4 + 1) % N);
    eq(hwtail(loop, RX), (4 + 3) % N);
    eq(guardsIntact(), 1);
  });
});

describe('a hostile guest', () => {
  test('that writes anything into CSB and slots never makes the loop write elsewhere, and indices stay in range: pipe', () => {
    seed(61);
    for (let m = 0; m < 3; m++) {
      inUse(MODES[m], 0);
      for (let round = 0; round < 20000; round++) {
        vandalize();
        setEvent(loop);
        kloopPass(worker);
        if (below(3) == 0) hostMoves();
        if ((round & 63) == 0) check(guardsIntact(), round);
        check(inRange(ringOf(loop, TX)) && inRange(ringOf(loop, RX)), round);
        check(hwcur(loop, TX) < N && hwtail(loop, TX) < N && hwcur(loop, RX) < N && hwtail(loop, RX) < N, round);
      }
      check(
        stat(word(ringOf(loop, TX), KRING_PEER), STAT_PACKETS) > 100 && stat(ringOf(loop, TX), STAT_REINITS) > 100,
        m,
      );
    }
    expectTable();
    eq(guardsIntact(), 1);
  });

  test('the same on a switch, and its neighbours keep talking', () => {
    seed(67);
    forgetGuards();
    const bridge = newBridge();
    const port = valePort(bridge, 0, 1, N, 64);
    const a = valePort(bridge, 1, 1, N, 64);
    const b = valePort(bridge, 2, 1, N, 64);
    loop = newLoop(port, KLOOP_MODE_NOTIFY);
    serve(loop);
    for (let round: u32 = 0; round < 20000; round++) {
      vandalize();
      setEvent(loop);
      kloopPass(worker);
      drain(a);
      drain(b);
      send(txKring(a), ALL, mac(1), 60, round);
      sync(txKring(a));
      check(received(b) == 1, round);
      send(txKring(b), ALL, mac(2), 60, round);
      sync(txKring(b));
      check(received(a) == 1, round);
      if ((round & 63) == 0) check(guardsIntact(), round);
      check(inRange(ringOf(loop, TX)) && inRange(ringOf(loop, RX)), round);
    }
    check(stat(ringOf(loop, TX), STAT_PACKETS) > 100, 0);
    expectTable();
    eq(guardsIntact(), 1);
  });
});

/** Good or bad values into the CSB and into a slot of each ring. */
function vandalize(): void {
  for (let ring: u32 = 0; ring < 2; ring++) {
    const kr = ringOf(loop, ring);
    const head = below(2) ? (word(kr, KRING_RHEAD) + below(2)) % N : tried(below(TRIED));
    publish(loop, ring, head, below(2) ? head : tried(below(TRIED)));
    setWord(atok(loop, ring), 8, below(2) ? 0 : random());
    setWord(atok(loop, ring), 12, random());
    const i = below(N);
    if (below(3) == 0) store<u64>(slotAt(kr, i), ((<u64>random()) << 32) | random());
    else store<u64>(slotAt(kr, i), ((<u64>below(65)) << 32) | (2 + below(word(kr, KRING_NBUFS) - 2)));
  }
}

function hostMoves(): void {
  const tx = txKring(host);
  const rx = rxKring(host);
  sync(tx);
  advance(tx, below(avail(tx) + 1));
  sync(tx);
  sync(rx);
  advance(rx, below(avail(rx) + 1));
  sync(rx);
}

function inRange(kr: usize): bool {
  const n = word(kr, KRING_NSLOTS);
  if (word(kr, KRING_RHEAD) >= n || word(kr, KRING_RCUR) >= n || word(kr, KRING_RTAIL) >= n) return false;
  return word(kr, KRING_HWCUR) < n && word(kr, KRING_HWTAIL) < n && word(kr, KRING_MAILTAIL) < n;
}

describe('budget and packets', () => {
  test('a packet of several slots is never cut by the budget, at every budget and position', () => {
    for (let budget: u32 = 1; budget < 16; budget++) {
      for (let at: u32 = 0; at < 16; at++) {
        forgetGuards();
        const bridge = newBridge();
        const port = valePort(bridge, 0);
        const peer = valePort(bridge, 1);
        const tx = txKring(port);
        turnTo(tx, at);
        loop = newLoop(port, KLOOP_MODE_NOTIFY, budget);
        // packets of 1, 2, 3, 4 and 5 slots
        for (let size: u32 = 1; size <= 5; size++) {
          for (let f: u32 = 0; f < size; f++) send(tx, ALL, mac(0), 20, size, f + 1 < size ? NS_MOREFRAG : 0, 20 * f);
        }
        publish(loop, TX, (at + 15) % 16);
        for (let turn = 0; turn < 16; turn++) kloopTxRing(loop, 0, worker);
        const label = budget * 100 + at;
        check(hwcur(loop, TX) == (at + 15) % 16, label);
        check(received(peer) == 15 && stat(tx, STAT_FORWARDED) == 5, label);
        let i: u32 = 0;
        for (let size: u32 = 1; size <= 5; size++) {
          for (let f: u32 = 0; f < size; f++) {
            check(slotFlags(rxKring(peer), i++) == ((size << 8) | (f + 1 < size ? NS_MOREFRAG : 0)), label);
          }
        }
      }
    }
    expectTable();
  });
});
