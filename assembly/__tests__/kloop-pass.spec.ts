// assembly/kloop: a thread's pass over its loops, and kicks.
import {
  KLOOP_THREAD,
  THREAD_DUE,
  KLOOP_MODE_DIRECT,
  KLOOP_BUDGET,
  KLOOP_EVENT,
  KLOOP_IDLE,
  KLOOP_MODE_BUSY,
  KLOOP_MODE_NOTIFY,
  KLOOP_OWNER,
  KLOOP_PASSES,
  KLOOP_RUNNING,
  KLOOP_SIZE,
  KLOOP_STATE,
  KRING_BUSY,
  KRING_LOCKED,
  KRING_STOP,
  KRING_STOPPED,
  PORT_KIND_NULL,
  STAT_KICKS,
  STAT_REINITS,
  STAT_SYNCS,
  THREAD_LOOPS,
  THREAD_MAX_LOOPS,
  THREAD_NLOOPS,
  THREAD_SLEEPERS,
} from '../abi/arena';
import { kloopDoorbell, kloopKick, kloopPass } from '../kloop/pass';
import { loopDue } from '../ring/notify';
import { kloopRxRing, kloopTxRing } from '../kloop/ring';
import { threadWake, threadWakeBy } from '../ring/notify';
import { check, digest, eq, expectTable, guardsIntact } from './include/check';
import { atok, hwcur, hwtail, ktoa, newLoop, publish, ringOf, serve, serveAll, setEvent, worker } from './include/loop';
import { newPipe, newPort, peerOf, regionFor, self, seq, setWord, stat, sync, word } from './include/world';
import { MODES, N, RX, TX, hostReleases, hostSends, loop, piped } from './include/piped';

describe('a pass', () => {
  test('works on running loops with an event, and takes the event before it looks', () => {
    const states: u32[] = [KLOOP_IDLE, KLOOP_RUNNING, KLOOP_RUNNING + 1];
    for (let s = 0; s < 3; s++) {
      for (let event: u32 = 0; event < 2; event++) {
        for (let m = 0; m < 3; m++) {
          piped(MODES[m]);
          publish(loop, TX, 2);
          setWord(loop, KLOOP_STATE, states[s]);
          if (event) setEvent(loop);
          const runs: u32 = states[s] == KLOOP_RUNNING && (event || MODES[m] == KLOOP_MODE_BUSY) ? 1 : 0;
          const label = (s * 10 + event) * 10 + m;
          check(kloopPass(worker) == runs && word(loop, KLOOP_PASSES) == runs, label);
          check(hwcur(loop, TX) == 2 * runs && word(loop, KLOOP_OWNER) == 0, label);
          if (states[s] != KLOOP_RUNNING) check(word(loop, KLOOP_EVENT) == 0 - event, label);
          else if (MODES[m] != KLOOP_MODE_BUSY) check(word(loop, KLOOP_EVENT) == 0, label);
        }
      }
    }
    expectTable();
  });

  test('a busy loop has worked only if something moved', () => {
    piped(KLOOP_MODE_BUSY);
    eq(kloopPass(worker), 0);
    publish(loop, TX, 2);
    eq(kloopPass(worker), 1);
    eq(kloopPass(worker), 0);
    hostSends(1);
    eq(kloopPass(worker), 1);
    eq(kloopPass(worker), 0);
  });

  test('serves every loop in the list, over holes', () => {
    const loops: usize[] = [];
    for (let k: u32 = 0; k < 3; k++) {
      piped(KLOOP_MODE_NOTIFY);
      publish(loop, TX, k + 1);
      setEvent(loop);
      loops.push(loop);
    }
    serveAll([loops[0], 0, loops[1], loops[2]]);
    setWord(worker, THREAD_NLOOPS, 3);
    eq(kloopPass(worker), 2, 'the fourth is not counted as in use');
    eq(hwcur(loops[0], TX), 1);
    eq(hwcur(loops[1], TX), 2);
    eq(hwcur(loops[2], TX), 0);
    setWord(worker, THREAD_NLOOPS, 4);
    threadWake(worker);
    eq(kloopPass(worker), 1);
    eq(hwcur(loops[2], TX), 3);
  });

  test('a loop that another thread works on is left to it, with its event', () => {
    piped(KLOOP_MODE_NOTIFY);
    publish(loop, TX, 2);
    setEvent(loop);
    setWord(loop, KLOOP_OWNER, 33);
    eq(kloopPass(worker), 1, 'it comes back soon: nobody wakes it for that');
    eq(hwcur(loop, TX), 0);
    eq(word(loop, KLOOP_OWNER), 33);
    setWord(loop, KLOOP_OWNER, 0);
    eq(kloopPass(worker), 1, 'the event was not lost');
    eq(hwcur(loop, TX), 2);
  });

  test('a port that moves slots sets the bit of its peer in the event word of the loop that runs it', () => {
    piped(KLOOP_MODE_NOTIFY);
    hostSends(1);
    eq(word(loop, KLOOP_EVENT), 1 << RX);
    kloopPass(worker);
    eq(word(loop, KLOOP_EVENT), 0);
    publish(loop, TX, 1);
    kloopTxRing(loop, 0, worker);
    hostReleases(1);
    eq(word(loop, KLOOP_EVENT), 1 << TX);
  });

  test('activates the rings whose bits are set, and only those', () => {
    const loop = newLoop(newPort(PORT_KIND_NULL, 30, 10, N, regionFor(40, N)), KLOOP_MODE_NOTIFY);
    serve(loop);
    kloopPass(worker);
    for (let bit: u32 = 0; bit < 32; bit++) {
      const before: i64[] = [];
      for (let i: u32 = 0; i < 40; i++) before.push(stat(ringOf(loop, i), STAT_SYNCS));
      setWord(loop, KLOOP_EVENT, 1 << bit);
      threadWake(worker);
      check(kloopPass(worker) == 1 && word(loop, KLOOP_EVENT) == 0, bit * 100 + 99);
      for (let i: u32 = 0; i < 40; i++) {
        const named = i == bit || (bit == 31 && i > 31); // the last bit is for all that have none of their own
        check(stat(ringOf(loop, i), STAT_SYNCS) > before[i] == named, bit * 100 + i);
      }
    }
    expectTable();
  });

  test('comes back to the ring whose budget was used up, and to no other', () => {
    for (let ring: u32 = 0; ring < 2; ring++) {
      piped(KLOOP_MODE_NOTIFY, 0, 2);
      if (ring == TX) publish(loop, TX, 5);
      else hostSends(5);
      setEvent(loop);
      kloopPass(worker);
      check(word(loop, KLOOP_EVENT) == 1 << ring, ring);
    }
    expectTable();
  });

  test('a ring that is held, locked or stopped is passed over, its CSB untouched', () => {
    const rows: u32[] = [9, 0, 0, KRING_STOPPED, 0, KRING_LOCKED];
    for (let k = 0; k < rows.length; k += 2) {
      for (let ring: u32 = 0; ring < 2; ring++) {
        piped(KLOOP_MODE_NOTIFY);
        publish(loop, ring, 77);
        const kr = ringOf(loop, ring);
        setWord(kr, KRING_BUSY, rows[k]);
        setWord(kr, KRING_STOP, rows[k + 1]);
        const before = digest(ktoa(loop, ring), 64) ^ digest(atok(loop, ring), 64);
        const result = ring ? kloopRxRing(loop, 0, worker) : kloopTxRing(loop, 0, worker);
        check(result == 0 && (digest(ktoa(loop, ring), 64) ^ digest(atok(loop, ring), 64)) == before, k * 10 + ring);
        check(word(kr, KRING_BUSY) == rows[k] && stat(kr, STAT_REINITS) == 0, k * 10 + ring);
      }
    }
    expectTable();
  });

  test('of a ring that another thread holds, the loop has an event once it is let go', () => {
    for (let m = 1; m < 3; m++) {
      check(MODES[m] != KLOOP_MODE_BUSY, m); // that one looks in each pass
      for (let ring: u32 = 0; ring < 2; ring++) {
        piped(MODES[m]);
        hostSends(3);
        publish(loop, TX, 2);
        const kr = ringOf(loop, ring);
        setWord(kr, KRING_BUSY, 9);
        setEvent(loop);
        while (kloopPass(worker)) {}
        check(word(loop, KLOOP_EVENT) == 0, m * 10 + ring);
        check(hwcur(loop, TX) == (ring ? 2 : 0) && hwtail(loop, RX) == (ring ? 0 : 3), m * 10 + ring);
        setWord(kr, KRING_BUSY, 0);
        sync(kr); // the other thread's, which now lets go
        check(word(loop, KLOOP_EVENT) == 1 << ring && kloopPass(worker) == 1, m * 10 + ring);
        check(hwcur(loop, TX) == 2 && hwtail(loop, RX) == 3, m * 10 + ring);
      }
    }
    expectTable();
  });
});

/** Loops on pipes of their own, in these places of the worker's list and nowhere else; each has looked once. */
function loopsAt(places: i32[]): usize[] {
  const loops: usize[] = [];
  const list: usize[] = [];
  for (let k = 0; k < places.length; k++) {
    loops.push(newLoop(newPipe(N), KLOOP_MODE_NOTIFY));
    while (list.length < places[k]) list.push(0);
    list.push(loops[k]);
  }
  serveAll(list);
  kloopPass(worker);
  return loops;
}

describe('which loops a pass looks at', () => {
  test('all of them once somebody else has woken the thread, none else', () => {
    const loops = loopsAt([0, 5, 63, 64, 200, THREAD_MAX_LOOPS - 1]);
    for (let k = 0; k < loops.length; k++) {
      publish(loops[k], TX, 3);
      setWord(loops[k], KLOOP_EVENT, 1);
    }
    eq(kloopPass(worker), 0, 'whoever sets an event wakes the thread afterwards');
    threadWake(worker);
    eq(kloopPass(worker), loops.length);
    for (let k = 0; k < loops.length; k++) check(hwcur(loops[k], TX) == 3, k);
    eq(kloopPass(worker), 0);
    expectTable();
  });

  test('all of as many as a word has bits, and of one more or less', () => {
    for (let n = 63; n <= 65; n++) {
      const loops = loopsAt([0, n - 1]);
      for (let k = 0; k < 2; k++) {
        publish(loops[k], TX, 3);
        setEvent(loops[k]);
      }
      check(kloopPass(worker) == 2 && hwcur(loops[0], TX) == 3 && hwcur(loops[1], TX) == 3, n);
    }
    expectTable();
  });

  test('those that the thread itself has kicked, wherever they are in the list', () => {
    const places = [0, 1, 62, 63, 64, 65, 127, 128, 448, THREAD_MAX_LOOPS - 1];
    const loops = loopsAt(places);
    for (let k = 0; k < loops.length; k++) {
      publish(loops[k], TX, 2);
      kloopKick(loops[k], TX, worker);
      for (let other = 0; other < loops.length; other++) {
        if (places[other] % 64 != places[k] % 64) setWord(loops[other], KLOOP_EVENT, 1);
      }
      check(kloopPass(worker) == 1 && hwcur(loops[k], TX) == 2, k);
      for (let other = 0; other < loops.length; other++) {
        if (places[other] % 64 != places[k] % 64) check(word(loops[other], KLOOP_EVENT) == 1, k * 100 + other);
        setWord(loops[other], KLOOP_EVENT, 0);
      }
    }
    expectTable();
  });

  test('those whose rings the thread has moved: behind the one that did so in the same pass, before it in the next', () => {
    for (let swapped = 0; swapped < 2; swapped++) {
      const port = newPipe(N);
      const a = newLoop(port, KLOOP_MODE_NOTIFY);
      const b = newLoop(peerOf(port), KLOOP_MODE_NOTIFY);
      const last = newLoop(newPipe(N), KLOOP_MODE_NOTIFY);
      serveAll(swapped ? [b, a, last] : [a, b, last]);
      kloopPass(worker);
      publish(a, TX, 4);
      const woken = seq(worker);
      kloopKick(a, TX, worker);
      kloopKick(last, TX, worker);
      check(kloopPass(worker) == (swapped ? 2 : 3), swapped);
      check(seq(worker) != woken, swapped); // for the polls of the thread
      check(kloopPass(worker) == (swapped ? 1 : 0), 10 + swapped);
      check(hwtail(b, RX) == 4, 20 + swapped);
      check(kloopPass(worker) == 0, 30 + swapped);
    }
    expectTable();
  });

  test('what the thread adds to its own word hides nothing that somebody else has added, and makes nothing due', () => {
    for (let row = 0; row < 16; row++) {
      const loops = loopsAt([0, 1]);
      publish(loops[1], TX, 1);
      setWord(loops[1], KLOOP_EVENT, 1);
      setWord(worker, THREAD_SLEEPERS, row & 8 ? 1 : 0); // a wait of the thread's, which its own additions end
      if (row & 1) threadWakeBy(worker, worker);
      if (row & 2) threadWakeBy(worker, self);
      if (row & 4) threadWakeBy(worker, worker);
      check(kloopPass(worker) == (row & 2 ? 1 : 0), row);
      if (row & 7) check(word(worker, THREAD_SLEEPERS) == 0, row);
      setWord(worker, THREAD_SLEEPERS, 0);
    }
    expectTable();
  });

  test('one whose event had to stay, in each pass until it is taken', () => {
    const loops = loopsAt([7, 8]);
    setWord(loops[1], KLOOP_OWNER, 33);
    publish(loops[1], TX, 2);
    kloopKick(loops[1], TX, worker);
    for (let k = 0; k < 3; k++) eq(kloopPass(worker), 1);
    setWord(loops[1], KLOOP_OWNER, 0);
    eq(kloopPass(worker), 1);
    eq(hwcur(loops[1], TX), 2);
  });

  test('a busy one in each pass, until it is stopped', () => {
    piped(KLOOP_MODE_BUSY);
    for (let k: u32 = 1; k <= 3; k++) {
      kloopPass(worker);
      eq(word(loop, KLOOP_PASSES), k);
    }
    setWord(loop, KLOOP_STATE, KLOOP_IDLE);
    kloopPass(worker);
    setWord(loop, KLOOP_STATE, KLOOP_RUNNING);
    kloopPass(worker);
    eq(word(loop, KLOOP_PASSES), 3, 'START wakes the thread');
    serve(loop);
    kloopPass(worker);
    eq(word(loop, KLOOP_PASSES), 4);
  });
});

describe('a kick', () => {
  test('is counted on its ring (tx rings first), sets the bit of the ring and wakes the thread that serves the loop', () => {
    const loop = newLoop(newPort(PORT_KIND_NULL, 2, 3, N, regionFor(5, N)), KLOOP_MODE_NOTIFY);
    for (let i: u32 = 0; i < 5; i++) {
      setWord(loop, KLOOP_EVENT, 0);
      const woken = seq(worker);
      kloopKick(loop, i, self);
      check(word(loop, KLOOP_EVENT) == 1 << i && seq(worker) == woken + 1, i);
      for (let j: u32 = 0; j < 5; j++) check(stat(ringOf(loop, j), STAT_KICKS) == (j <= i ? 1 : 0), i * 10 + j);
    }
    const woken = seq(worker);
    kloopKick(loop, 0, worker);
    check(seq(worker) == woken && word(loop, KLOOP_EVENT) == 17, 100); // it is awake
    expectTable();
  });

  test('of a loop that no thread serves is only noted, by whoever', () => {
    const loop = newLoop(newPort(PORT_KIND_NULL, 2, 3, N, regionFor(5, N)), KLOOP_MODE_NOTIFY);
    setWord(loop, KLOOP_THREAD, 0);
    const at0 = load<u64>(0, THREAD_DUE);
    kloopKick(loop, 1, 0); // by the device model, which is no thread of the arena
    eq(word(loop, KLOOP_EVENT), 2);
    check(load<u64>(0, THREAD_DUE) == at0, 0);
    expectTable();
    eq(guardsIntact(), 1);
  });

  test('of a ring that does not exist is ignored', () => {
    const loop = newLoop(newPort(PORT_KIND_NULL, 2, 3, N, regionFor(5, N)), KLOOP_MODE_NOTIFY);
    const before = digest(loop, KLOOP_SIZE);
    const woken = seq(worker);
    const bad: u32[] = [5, 6, 31, 32, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff];
    for (let k = 0; k < bad.length; k++) kloopKick(loop, bad[k], self);
    eq(digest(loop, KLOOP_SIZE), before);
    eq(seq(worker), woken);
    eq(guardsIntact(), 1);
  });
});

describe('a doorbell', () => {
  test('of a direct loop in the thread that rings runs its ring at once, and leaves what others have set', () => {
    for (let others: u32 = 0; others < 4; others++) {
      piped(KLOOP_MODE_DIRECT);
      kloopPass(worker); // nothing else is left to do
      hostSends(3);
      publish(loop, TX, 2);
      setWord(loop, KLOOP_EVENT, others);
      const woken = seq(worker);
      eq(kloopDoorbell(loop, TX, worker), 1);
      check(hwcur(loop, TX) == 2 && hwtail(loop, RX) == 0 && stat(ringOf(loop, TX), STAT_KICKS) == 1, others);
      eq(kloopDoorbell(loop, RX, worker), 1);
      check(hwtail(loop, RX) == 3 && stat(ringOf(loop, RX), STAT_KICKS) == 1, others);
      check(word(loop, KLOOP_EVENT) == others && seq(worker) == woken && word(loop, KLOOP_OWNER) == 0, others);
    }
    expectTable();
    eq(guardsIntact(), 1);
  });

  test('says so when the next pass has something to do: the rest of a budget, a loop that is taken, another loop', () => {
    piped(KLOOP_MODE_DIRECT);
    setWord(loop, KLOOP_BUDGET, 1);
    publish(loop, TX, 3);
    eq(kloopDoorbell(loop, TX, worker), 0, 'the rest of a budget');
    eq(word(loop, KLOOP_EVENT), 1);
    while (kloopPass(worker)) {}
    eq(hwcur(loop, TX), 3);

    piped(KLOOP_MODE_DIRECT);
    publish(loop, TX, 3);
    setWord(loop, KLOOP_OWNER, 33);
    eq(kloopDoorbell(loop, TX, worker), 0, 'a loop that is taken');
    check(hwcur(loop, TX) == 0 && word(loop, KLOOP_EVENT) == 1, 0);
    setWord(loop, KLOOP_OWNER, 0);
    eq(kloopPass(worker), 1);
    eq(hwcur(loop, TX), 3);

    piped(KLOOP_MODE_DIRECT);
    loopDue(loop, worker);
    eq(kloopDoorbell(loop, TX, worker), 0, 'a loop that is due');
    kloopPass(worker);
    eq(kloopDoorbell(loop, TX, worker), 1);
    expectTable();
  });

  test('of a loop of another mode, or of another thread, is a kick; of a ring that does not exist, or a loop that has stopped, nothing', () => {
    for (let m = 0; m < 3; m++) {
      for (let mine: u32 = 0; mine < 2; mine++) {
        piped(MODES[m]);
        if (mine && MODES[m] == KLOOP_MODE_DIRECT) continue;
        publish(loop, TX, 2);
        const woken = seq(worker);
        eq(kloopDoorbell(loop, TX, mine ? worker : self), 0);
        const label = m * 10 + mine;
        check(hwcur(loop, TX) == 0 && word(loop, KLOOP_EVENT) == 1, label);
        check(seq(worker) == woken + (mine ? 0 : 1), label);
        while (kloopPass(worker)) {}
        check(hwcur(loop, TX) == 2, label);
      }
    }
    piped(KLOOP_MODE_DIRECT);
    kloopPass(worker);
    publish(loop, TX, 2);
    eq(kloopDoorbell(loop, 2, worker), 1);
    eq(kloopDoorbell(loop, 0xffffffff, worker), 1);
    setWord(loop, KLOOP_STATE, KLOOP_IDLE);
    eq(kloopDoorbell(loop, TX, worker), 1);
    check(hwcur(loop, TX) == 0 && word(loop, KLOOP_OWNER) == 0, 0);
    expectTable();
    eq(guardsIntact(), 1);
  });
});
