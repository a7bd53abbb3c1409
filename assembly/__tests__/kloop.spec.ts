// assembly/kloop: one activation of a ring: kicks, interrupts, budget.
import {
  KLOOP_EVENT,
  KLOOP_IRQS_ON,
  KLOOP_MODE_NOTIFY,
  KRING_BUSY,
  KRING_RTAIL,
  PORT_KIND_NULL,
  STAT_INTERRUPTS,
  THREAD_ATTENTION,
} from '../abi/arena';
import { CSB_KTOA_KERN_NEED_KICK } from '../abi/csb';
import { kloopPass } from '../kloop/pass';
import { ACTIVATION_MORE, ACTIVATION_MOVED, kloopRxRing, kloopTxRing } from '../kloop/ring';
import { check, eq, expectTable, guardsIntact } from './include/check';
import {
  guest,
  hwcur,
  hwtail,
  kicks,
  ktoa,
  newLoop,
  publish,
  ringOf,
  setEvent,
  takeIrqs,
  wantIrq,
  worker,
} from './include/loop';
import { avail, newPort, regionFor, rxKring, seq, setWord, stat, sync, txKring, word } from './include/world';
import { MODES, N, RX, TX, host, hostReleases, hostSends, loop, piped } from './include/piped';

describe('tx activation', () => {
  test('sends what the CSB says, publishes, and ends with kicks off (busy), on (notify), untouched (direct)', () => {
    for (let m = 0; m < 3; m++) {
      for (let at: u32 = 0; at < N; at++) {
        for (let k: u32 = 0; k < N; k++) {
          for (let kick: u32 = 0; kick < 2; kick++) {
            const label = ((m * 10 + at) * 10 + k) * 10 + kick;
            piped(MODES[m], at);
            setWord(ktoa(loop, TX), CSB_KTOA_KERN_NEED_KICK, kick);
            publish(loop, TX, (at + k) % N);
            const result = kloopTxRing(loop, 0, worker);
            check(result == (k ? ACTIVATION_MOVED : 0), label);
            check(hwcur(loop, TX) == (at + k) % N && hwtail(loop, TX) == (at + N - 1) % N, label);
            sync(rxKring(host));
            check(avail(rxKring(host)) == k, label);
            check(kicks(loop, TX) == (m == 0 ? 0 : m == 1 ? 1 : kick), label);
            check(word(ringOf(loop, TX), KRING_BUSY) == 0, label);
          }
        }
      }
    }
    expectTable();
    eq(guardsIntact(), 1);
  });

  test('shows slots that came back, whether or not there is something to send', () => {
    for (let k: u32 = 0; k < N; k++) {
      piped(KLOOP_MODE_NOTIFY, 3);
      publish(loop, TX, (3 + N - 1) % N);
      kloopTxRing(loop, 0, worker);
      hostReleases(k);
      kloopTxRing(loop, 0, worker);
      check(hwtail(loop, TX) == (3 + N - 1 + k) % N && hwcur(loop, TX) == (3 + N - 1) % N, k);
    }
    expectTable();
  });
});

describe('rx activation', () => {
  test('shows what has arrived; kicks end off (busy), untouched (direct), and in notify mode on when the guest holds packets', () => {
    for (let m = 0; m < 3; m++) {
      for (let at: u32 = 0; at < N; at++) {
        for (let k: u32 = 0; k < N; k++) {
          for (let kick: u32 = 0; kick < 2; kick++) {
            const label = ((m * 10 + at) * 10 + k) * 10 + kick;
            piped(MODES[m], at);
            setWord(ktoa(loop, RX), CSB_KTOA_KERN_NEED_KICK, kick);
            hostSends(k);
            const result = kloopRxRing(loop, 0, worker);
            check(result == (k ? ACTIVATION_MOVED : 0), label);
            check(hwcur(loop, RX) == at && hwtail(loop, RX) == (at + k) % N, label);
            check(kicks(loop, RX) == (m == 0 ? 0 : m == 1 ? (k ? 1 : 0) : kick), label);
          }
        }
      }
    }
    expectTable();
    eq(guardsIntact(), 1);
  });

  test('a ring full of packets enables kicks again, a ring that the guest has emptied leaves them to the port', () => {
    piped(KLOOP_MODE_NOTIFY, 5);
    hostSends(7);
    kloopRxRing(loop, 0, worker);
    eq(kicks(loop, RX), 1);
    publish(loop, RX, (5 + 7) % N);
    kloopRxRing(loop, 0, worker);
    eq(kicks(loop, RX), 0);
    sync(txKring(host));
    eq(avail(txKring(host)), 7, 'the sender has its slots back');
  });

  test('released slots go back to the port, for every position and number', () => {
    for (let at: u32 = 0; at < N; at++) {
      for (let k: u32 = 0; k < N; k++) {
        for (let r: u32 = 0; r <= k; r++) {
          piped(KLOOP_MODE_NOTIFY, at);
          hostSends(k);
          kloopRxRing(loop, 0, worker);
          publish(loop, RX, (at + r) % N, (at + k) % N);
          kloopRxRing(loop, 0, worker);
          const label = (at * 10 + k) * 10 + r;
          check(hwcur(loop, RX) == (at + r) % N && hwtail(loop, RX) == (at + k) % N, label);
          sync(txKring(host));
          check(avail(txKring(host)) == N - 1 - k + r, label);
        }
      }
    }
    expectTable();
  });
});

describe('interrupts', () => {
  test('one is raised iff the tail moved, the guest asked for it and the loop has interrupts, in every mode', () => {
    for (let m = 0; m < 3; m++) {
      for (let ring: u32 = 0; ring < 2; ring++) {
        for (let row: u32 = 0; row < 8; row++) {
          const label = (m * 10 + ring) * 10 + row;
          piped(MODES[m]);
          publish(loop, TX, 3);
          kloopTxRing(loop, 0, worker);
          takeIrqs(loop);
          const kr = ringOf(loop, ring);
          const before = stat(kr, STAT_INTERRUPTS);
          const woken = seq(guest);
          setWord(guest, THREAD_ATTENTION, 0);
          if (row & 1) hostSends(2);
          if (row & 1) hostReleases(2);
          wantIrq(loop, ring, row & 2);
          setWord(loop, KLOOP_IRQS_ON, row & 4);
          if (ring == TX) kloopTxRing(loop, 0, worker);
          else kloopRxRing(loop, 0, worker);
          const raised: u32 = row == 7 ? 1 : 0;
          check(takeIrqs(loop) == raised << ring && seq(guest) - woken == raised, label);
          check(stat(kr, STAT_INTERRUPTS) - before == raised && word(guest, THREAD_ATTENTION) == 2 * raised, label);
          // the same again, asked for: nothing has moved since
          wantIrq(loop, ring, 1);
          if (ring == TX) kloopTxRing(loop, 0, worker);
          else kloopRxRing(loop, 0, worker);
          check(takeIrqs(loop) == 0, label);
        }
      }
    }
    expectTable();
  });

  test('vectors are numbered tx rings first, and pending ones are kept', () => {
    const port = newPort(PORT_KIND_NULL, 3, 2, N, regionFor(5, N));
    const loop = newLoop(port, KLOOP_MODE_NOTIFY);
    for (let i: u32 = 0; i < 5; i++) setWord(ringOf(loop, i), KRING_RTAIL, 5); // what the guest was told last
    for (let i: u32 = 0; i < 3; i++) kloopTxRing(loop, i, worker);
    eq(takeIrqs(loop), 7);
    for (let i: u32 = 0; i < 2; i++) kloopRxRing(loop, i, worker);
    eq(takeIrqs(loop), 0x18);
  });
});

/** The result of an activation that moved k slots. */
function outcome(k: u32, budget: u32): u32 {
  return (k ? ACTIVATION_MOVED : 0) | (k >= budget ? ACTIVATION_MORE : 0);
}

describe('budget', () => {
  test('tx: an activation ends after it and asks for another, until all is sent; nothing is sent twice', () => {
    for (let budget: u32 = 1; budget < 9; budget++) {
      for (let k: u32 = 0; k < N; k++) {
        piped(KLOOP_MODE_NOTIFY, 6, budget);
        publish(loop, TX, (6 + k) % N);
        let left = k;
        for (let turn: u32 = 0; turn < 9; turn++) {
          const result = kloopTxRing(loop, 0, worker);
          const step = min(left, budget);
          const label = (budget * 10 + k) * 10 + turn;
          check(result == outcome(step, budget), label);
          left -= step;
          check(hwcur(loop, TX) == (6 + k - left) % N, label);
          if (step == budget) check(kicks(loop, TX) == 0, label);
          if (result == 0) break;
        }
        sync(rxKring(host));
        check(left == 0 && avail(rxKring(host)) == k && kicks(loop, TX) == 1, budget * 10 + k);
      }
    }
    expectTable();
  });

  test('rx: an activation that moved as many slots asks for another one', () => {
    for (let budget: u32 = 1; budget < 9; budget++) {
      for (let k: u32 = 0; k < N; k++) {
        piped(KLOOP_MODE_NOTIFY, 6, budget);
        hostSends(k);
        check(kloopRxRing(loop, 0, worker) == outcome(k, budget), budget * 10 + k);
        check(hwtail(loop, RX) == (6 + k) % N, budget * 10 + k);
        check(kloopRxRing(loop, 0, worker) == 0, budget * 10 + k);
      }
    }
    expectTable();
  });

  test('a loop whose budget ran out has its event set again, and comes to rest by passes alone', () => {
    piped(KLOOP_MODE_NOTIFY, 0, 3);
    publish(loop, TX, 7);
    setEvent(loop);
    eq(kloopPass(worker), 1);
    eq(word(loop, KLOOP_EVENT), 1);
    eq(hwcur(loop, TX), 3);
    eq(kloopPass(worker), 1);
    eq(hwcur(loop, TX), 6);
    eq(kloopPass(worker), 1);
    eq(hwcur(loop, TX), 7);
    eq(word(loop, KLOOP_EVENT), 0);
    eq(kloopPass(worker), 0);
  });
});
