// A kernel loop over a port, with its CSB arrays, as CSB_ENABLE and SYNC_KLOOP_START leave it.
import {
  KLOOP_ATOK,
  KLOOP_ATTENTION,
  KLOOP_BUDGET,
  KLOOP_EVENT,
  KLOOP_EVENT_ALL,
  KLOOP_EVENT_REST,
  KLOOP_GUEST,
  KLOOP_IRQ_PENDING,
  KLOOP_IRQS_ON,
  KLOOP_KTOA,
  KLOOP_MODE,
  KLOOP_NRX,
  KLOOP_NTX,
  KLOOP_PLACE,
  KLOOP_RUNNING,
  KLOOP_RX,
  KLOOP_SIZE,
  KLOOP_STATE,
  KLOOP_THREAD,
  KLOOP_TX,
  KRING_EVENT,
  KRING_LOOP,
  KRING_PORT,
  KRING_WAITERS,
  PORT_NRX,
  PORT_NTX,
  PORT_RX,
  PORT_TX,
  THREAD_LOOPS,
  THREAD_NLOOPS,
} from '../../abi/arena';
import {
  CSB_ATOK_APPL_NEED_KICK,
  CSB_ATOK_CUR,
  CSB_ATOK_HEAD,
  CSB_ENTRY_SIZE,
  CSB_KTOA_HWCUR,
  CSB_KTOA_HWTAIL,
  CSB_KTOA_KERN_NEED_KICK,
} from '../../abi/csb';
import { csbInit } from '../../csb/kernel';
import { threadWake } from '../../ring/notify';
import { guarded } from './check';
import { rxKring, setWord, thread, txKring, word } from './world';

/** The thread that serves the loops, and the one that takes their interrupts. */
const WORKER: u32 = 20;
export const worker = thread(WORKER);
export const guest = thread(21);

export function newLoop(port: usize, mode: u32, budget: u32 = 4096): usize {
  const loop = guarded(KLOOP_SIZE);
  const ntx = word(port, PORT_NTX);
  const nrx = word(port, PORT_NRX);
  setWord(loop, KLOOP_MODE, mode);
  setWord(loop, KLOOP_NTX, ntx);
  setWord(loop, KLOOP_NRX, nrx);
  setWord(loop, KLOOP_TX, word(port, PORT_TX));
  setWord(loop, KLOOP_RX, word(port, PORT_RX));
  setWord(loop, KLOOP_BUDGET, budget);
  setWord(loop, KLOOP_ATOK, <u32>guarded((ntx + nrx) * CSB_ENTRY_SIZE));
  setWord(loop, KLOOP_KTOA, <u32>guarded((ntx + nrx) * CSB_ENTRY_SIZE));
  setWord(loop, KLOOP_THREAD, <u32>worker);
  setWord(loop, KLOOP_GUEST, <u32>guest);
  setWord(loop, KLOOP_ATTENTION, 2);
  setWord(loop, KLOOP_IRQS_ON, 1);
  setWord(loop, KLOOP_STATE, KLOOP_RUNNING);
  enableCsb(loop);
  return loop;
}

export function ringOf(loop: usize, i: u32): usize {
  const ntx = word(loop, KLOOP_NTX);
  const port = word(word(loop, KLOOP_TX), KRING_PORT);
  return i < ntx ? txKring(port, i) : rxKring(port, i - ntx);
}

export function enableCsb(loop: usize): void {
  const count = word(loop, KLOOP_NTX) + word(loop, KLOOP_NRX);
  for (let i: u32 = 0; i < count; i++) {
    csbInit(ringOf(loop, i), atok(loop, i), ktoa(loop, i));
    setWord(ringOf(loop, i), KRING_EVENT, 1 << min(i, <u32>KLOOP_EVENT_REST));
    setWord(ringOf(loop, i), KRING_LOOP, <u32>loop);
  }
}

/** Hands the loop to the worker, as the only one. */
export function serve(loop: usize): void {
  serveAll([loop]);
}

/** Hands the loops to the worker, in these places of its list; 0 is a hole. The ports' notifications come to it. */
export function serveAll(loops: usize[]): void {
  const bit: u64 = (<u64>1) << WORKER;
  for (let place = 0; place < loops.length; place++) {
    const loop = loops[place];
    setWord(worker, THREAD_LOOPS + 4 * place, <u32>loop);
    if (loop == 0) continue;
    setWord(loop, KLOOP_PLACE, place);
    const count = word(loop, KLOOP_NTX) + word(loop, KLOOP_NRX);
    for (let i: u32 = 0; i < count; i++) {
      const kr = ringOf(loop, i);
      store<u64>(kr, load<u64>(kr, KRING_WAITERS) | bit, KRING_WAITERS);
    }
  }
  setWord(worker, THREAD_NLOOPS, loops.length);
  threadWake(worker);
}

/** Sets an event of all rings, and wakes the worker, as everybody does who sets one for another thread. */
export function setEvent(loop: usize): void {
  setWord(loop, KLOOP_EVENT, KLOOP_EVENT_ALL);
  threadWake(worker);
}

export function atok(loop: usize, i: u32): usize {
  return <usize>word(loop, KLOOP_ATOK) + <usize>i * CSB_ENTRY_SIZE;
}

export function ktoa(loop: usize, i: u32): usize {
  return <usize>word(loop, KLOOP_KTOA) + <usize>i * CSB_ENTRY_SIZE;
}

/** What the guest does for ring i: publishes head and cur. */
export function publish(loop: usize, i: u32, head: u32, cur: u32 = head): void {
  setWord(atok(loop, i), CSB_ATOK_CUR, cur);
  setWord(atok(loop, i), CSB_ATOK_HEAD, head);
}

export function wantIrq(loop: usize, i: u32, on: u32): void {
  setWord(atok(loop, i), CSB_ATOK_APPL_NEED_KICK, on);
}

export function hwcur(loop: usize, i: u32): u32 {
  return word(ktoa(loop, i), CSB_KTOA_HWCUR);
}

export function hwtail(loop: usize, i: u32): u32 {
  return word(ktoa(loop, i), CSB_KTOA_HWTAIL);
}

export function kicks(loop: usize, i: u32): u32 {
  return word(ktoa(loop, i), CSB_KTOA_KERN_NEED_KICK);
}

/** The vectors raised since the last call, as bits. */
export function takeIrqs(loop: usize): u32 {
  const pending = word(loop, KLOOP_IRQ_PENDING);
  setWord(loop, KLOOP_IRQ_PENDING, 0);
  return pending;
}
