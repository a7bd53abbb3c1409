// Guest driver and kernel loop over one memory: numbered packets through a pipe and a switch, every actor running only
// when something has woken it. A lost wake-up ends with everybody asleep.
import {
  KLOOP_IRQ_PENDING,
  KLOOP_MODE_BUSY,
  KLOOP_MODE_DIRECT,
  KLOOP_MODE_NOTIFY,
  KRING_HWCUR,
  KRING_MAILTAIL,
  KRING_WAITERS,
  PORT_BRIDGE,
  STAT_DELIVERED,
  STAT_REINITS,
} from '../abi/arena';
import { NS_MOREFRAG } from '../abi/netmap';
import { kloopKick, kloopPass } from '../kloop/pass';
import { ptnetKicked, ptnetRxsync, ptnetTxsync } from '../ptnet/driver';
import { below, check, eq, expectTable, forgetGuards, guardsIntact, seed } from './include/check';
import { newGkring } from './include/guest';
import { newLoop, ringOf, serve, setEvent, worker } from './include/loop';
import { ALL, bytesAre, mac, newBridge, putBytes, valePort } from './include/vale';
import {
  advance,
  avail,
  bufOf,
  cur,
  head,
  newPipe,
  peerOf,
  rxKring,
  self,
  seq,
  setHead,
  setSlot,
  slotIdx,
  slotLen,
  slots,
  stat,
  sync,
  tail,
  thread,
  txKring,
  turnTo,
  word,
} from './include/world';

const HOST = thread(30); // the application on the host, at the far end
const MODES: u32[] = [KLOOP_MODE_NOTIFY, KLOOP_MODE_DIRECT, KLOOP_MODE_BUSY];

let loop: usize = 0;
let mode: u32 = 0;
let switched = false;
let tx: usize = 0; // of the guest
let rx: usize = 0;
let gtx: usize = 0;
let grx: usize = 0;
let peerTx: usize = 0;
let peerRx: usize = 0;
let sent: u32[] = [0, 0]; // guest to host, host to guest
let got: u32[] = [0, 0];
let guestTxWaits = false;
let guestRxWaits = false;
let hostSeen: u32 = 0;

function lengthOf(number: u32): u32 {
  return 60 + ((number * 7) % 100);
}

function begin(port: usize, far: usize, loopMode: u32): void {
  mode = loopMode;
  switched = word(port, PORT_BRIDGE) != 0;
  loop = newLoop(port, mode);
  serve(loop);
  tx = txKring(port);
  rx = rxKring(port);
  gtx = newGkring(loop, 0);
  grx = newGkring(loop, 1);
  peerTx = txKring(far);
  peerRx = rxKring(far);
  store<u64>(peerTx, 1 << 30, KRING_WAITERS);
  store<u64>(peerRx, 1 << 30, KRING_WAITERS);
  sent = [0, 0];
  got = [0, 0];
  guestTxWaits = false;
  guestRxWaits = false;
  hostSeen = seq(HOST) - 1;
}

/** The guest's doorbell. In direct mode the kernel loop runs inside it. */
function ring(gk: usize, i: u32, doorbell: u32): void {
  if (doorbell == 0) return;
  kloopKick(loop, i, self);
  if (mode == KLOOP_MODE_DIRECT) for (let k = 0; k < 9 && kloopPass(worker) != 0; k++) {}
  ptnetKicked(gk);
}

/** Fills a slot at the application's head with a numbered frame. */
function fill(kr: usize, way: u32): void {
  const number = sent[way]++;
  const i = head(kr);
  putBytes(bufOf(kr, i), ALL, mac(way), number, 0, lengthOf(number));
  setSlot(kr, i, slotIdx(kr, i), lengthOf(number), 0);
  advance(kr, 1);
}

function take(kr: usize, way: u32): void {
  const number = got[way]++;
  const i = head(kr);
  check(slotLen(kr, i) == lengthOf(number), way * 1000000 + number);
  check(bytesAre(bufOf(kr, i), ALL, mac(way), number, 0, lengthOf(number)), way * 1000000 + number);
  advance(kr, 1);
}

/** How many more packets may be sent: a switch drops what does not fit, so its senders look at the receiver's ring. */
function window(way: u32, total: u32): u32 {
  if (!switched) return total - sent[way];
  const to = way ? rx : peerRx;
  const n = slots(to);
  const used = (word(to, KRING_MAILTAIL) + n - word(to, KRING_HWCUR)) % n;
  const underWay = sent[way] - <u32>stat(to, STAT_DELIVERED);
  return min(n - 1 - used - underWay, total - sent[way]);
}

function guestSends(total: u32): bool {
  if (guestTxWaits) return false;
  const k = min(min(below(6), avail(tx)), window(0, total));
  for (let i: u32 = 0; i < k; i++) fill(tx, 0);
  if (avail(tx) == 0 || k == 0) ring(gtx, 0, ptnetTxsync(gtx, 0));
  else if (below(2)) ring(gtx, 0, ptnetTxsync(gtx, 0));
  guestTxWaits = cur(tx) == tail(tx); // it sleeps in poll until its interrupt
  return k != 0;
}

function guestReceives(): bool {
  if (guestRxWaits) return false;
  const k = min<u32>(below(6), avail(rx));
  for (let i: u32 = 0; i < k; i++) take(rx, 1);
  ring(grx, 1, ptnetRxsync(grx, 0));
  guestRxWaits = cur(rx) == tail(rx);
  return true;
}

function interrupts(): bool {
  const pending = word(loop, KLOOP_IRQ_PENDING);
  store<u32>(loop, 0, KLOOP_IRQ_PENDING);
  if (pending & 1) guestTxWaits = false;
  if (pending & 2) guestRxWaits = false;
  return pending != 0;
}

function hostWorks(total: u32): bool {
  if (seq(HOST) == hostSeen) return false;
  hostSeen = seq(HOST);
  sync(peerRx);
  for (let k = avail(peerRx); k != 0; k--) take(peerRx, 0);
  sync(peerRx);
  sync(peerTx);
  const k = min(avail(peerTx), window(1, total));
  for (let i: u32 = 0; i < k; i++) fill(peerTx, 1);
  sync(peerTx);
  return true;
}

/** Runs the actors in random turns until all packets have arrived, or nobody moves any more. */
function run(total: u32): void {
  let idle: u32 = 0;
  for (let steps = 0; steps < 50000 && idle < 200 && (got[0] < total || got[1] < total); steps++) {
    const actor = below(5);
    let moved = false;
    if (actor == 0) moved = guestSends(total);
    else if (actor == 1) moved = guestReceives();
    else if (actor == 2) moved = interrupts();
    else if (actor == 3) moved = hostWorks(total);
    else moved = kloopPass(worker) != 0;
    idle = moved ? 0 : idle + 1;
    // a sender that waits for the other side's progress looks again by itself
    if (switched && idle > 20) {
      guestTxWaits = false;
      hostSeen = seq(HOST) - 1;
    }
  }
  check(got[0] == total && got[1] == total, 90000000 + got[0]);
  check(stat(ringOf(loop, 0), STAT_REINITS) == 0 && stat(ringOf(loop, 1), STAT_REINITS) == 0, 91000000);
}

describe('guest and host', () => {
  test('numbered packets cross a pipe both ways, all and in order, with interrupts and doorbells only', () => {
    for (let m = 0; m < 3; m++) {
      for (let n: u32 = 3; n <= 9; n++) {
        for (let at: u32 = 0; at < n; at += 2) {
          seed(n * 100 + at);
          forgetGuards();
          const port = newPipe(n);
          turnTo(txKring(port), at);
          turnTo(rxKring(port), at);
          turnTo(txKring(peerOf(port)), at);
          turnTo(rxKring(peerOf(port)), at);
          begin(port, peerOf(port), MODES[m]);
          setEvent(loop);
          run(600);
          check(guardsIntact(), 92000000);
        }
      }
    }
    expectTable();
  });

  test('numbered packets cross a switch both ways, all and in order, while no more are under way than fit', () => {
    for (let m = 0; m < 3; m++) {
      for (let n: u32 = 4; n <= 9; n++) {
        for (let at: u32 = 0; at < n; at += 3) {
          seed(n * 100 + at);
          forgetGuards();
          const bridge = newBridge();
          const port = valePort(bridge, 0, 1, n);
          const far = valePort(bridge, 1, 1, n);
          turnTo(rxKring(port), at);
          turnTo(txKring(far), at);
          begin(port, far, MODES[m]);
          setEvent(loop);
          run(600);
          check(stat(rx, STAT_DELIVERED) == 600 && stat(peerRx, STAT_DELIVERED) == 600, 93000000);
          check(guardsIntact(), 92000000);
        }
      }
    }
    expectTable();
  });

  test('packets of several slots stay whole from guest to host, however the guest cuts its syncs, over a pipe', () => {
    seed(5);
    forgetGuards();
    const port = newPipe(8);
    begin(port, peerOf(port), KLOOP_MODE_NOTIFY);
    let out: u32 = 0; // slots
    let back: u32 = 0;
    for (let round = 0; round < 20000; round++) {
      // packet p has 1 + p % 5 slots: in 15 slots there are 5 packets
      for (let k = min<u32>(below(4), avail(tx)); k != 0; k--) {
        const i = head(tx);
        store<u32>(bufOf(tx, i), out);
        setSlot(tx, i, slotIdx(tx, i), 4, endsPacket(out) ? 0 : NS_MOREFRAG);
        setHead(tx, (i + 1) % 8);
        out++;
      }
      ring(gtx, 0, ptnetTxsync(gtx, 0));
      kloopPass(worker);
      sync(peerRx);
      check(avail(peerRx) == 0 || endsPacket(back + avail(peerRx) - 1), back);
      for (let k = avail(peerRx); k != 0; k--) {
        check(load<u32>(bufOf(peerRx, head(peerRx))) == back, back);
        advance(peerRx, 1);
        back++;
      }
      sync(peerRx);
      kloopPass(worker);
    }
    check(back > 10000, back);
    expectTable();
    eq(guardsIntact(), 1);
  });
});

/** Slot number s is the last of its packet; packets have 1, 2, 3, 4, 5, 1, 2... slots. */
function endsPacket(s: u32): bool {
  const r = s % 15;
  return r == 0 || r == 2 || r == 5 || r == 9 || r == 14;
}
