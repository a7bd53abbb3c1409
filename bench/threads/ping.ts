// Latency: one frame to and fro between two guests, or a word between two workers that sleep in Atomics.wait. Without a
// rest before each frame a way is half a round trip, measured where it starts. With a rest, long enough that the other side
// sleeps, it is the time from before the sending to after the receiving, by the clock that all threads have.
import { parentPort, workerData } from 'node:worker_threads';
import { abi, type GuestHandle, Netmap, type NetmapPort, PtnetDriver } from 'ptnet';
import { makeFrame, SEQ_OFS } from '../program.js';
import { nowNs } from './control.js';

export type PingMode = 'busy' | 'notify' | 'atomics';

export interface PingTask {
  readonly role: 'first' | 'second' | 'relay';
  readonly mode: PingMode;
  readonly guest?: GuestHandle;
  /** Words, a cache line each: how far the two are, and what a relay has passed on of each; then when the last frame was sent. */
  readonly words: SharedArrayBuffer;
  /** Whether each word goes through a third worker. */
  readonly relayed?: boolean;
}

/** What the two are asked for: frames, with as many milliseconds before each. No frames: the end. */
export interface PingPart {
  readonly count: number;
  readonly rest: number;
}

const SIZE = 60;
const WAIT = 10_000;
const LINE = 16;
/** Where in the words is when the last frame was sent. */
const SENT_BYTE = 256;

/** Sends the next one, and waits for the next one. */
interface Ends {
  send(seq: number): void;
  receive(seq: number): void;
  close(): Promise<void>;
}

/** Words of the first and of the second; what a relay has passed on of each lies behind them. */
const [FIRST, SECOND] = [0, LINE];
const PASSED_ON = 2 * LINE;

function atomicsEnds(words: SharedArrayBuffer, mine: number, other: number): Ends {
  const i32 = new Int32Array(words);
  return {
    send: (seq) => {
      Atomics.store(i32, mine, seq + 1);
      Atomics.notify(i32, mine);
    },
    receive: (seq) => {
      while (Atomics.load(i32, other) <= seq) {
        if (Atomics.wait(i32, other, seq, WAIT) === 'timed-out') throw new Error('nobody answers');
      }
    },
    close: async () => {},
  };
}

function looker(port: NetmapPort, mode: PingMode): () => void {
  if (mode === 'busy') return () => void port.pollOnce(abi.POLLIN);
  return () => {
    if (port.pollSync(abi.POLLIN, WAIT) !== abi.POLLIN) throw new Error('nobody answers');
  };
}

async function portEnds({ guest, mode }: PingTask): Promise<Ends> {
  if (!guest) throw new Error('a guest is wanted');
  const { netmap, machine } = await Netmap.attachGuest(guest);
  const port = PtnetDriver.probe(machine, { vnetHdr: false })[0].open();
  const [tx] = port.txRings;
  const [rx] = port.rxRings;
  for (let i = 0; i < tx.numSlots; i++) makeFrame(tx.u8, tx.bufAddress(i), SIZE, 2, 1, i);
  const look = looker(port, mode);
  return {
    send: (seq) => {
      tx.i32[(tx.bufAddress(tx.head) + SEQ_OFS) >>> 2] = seq;
      tx.setSlot(tx.head, SIZE);
      tx.advance(1);
      port.pollOnce(abi.POLLOUT);
    },
    receive: (seq) => {
      while (rx.space === 0) look();
      const found = rx.i32[(rx.bufAddress(rx.head) + SEQ_OFS) >>> 2];
      if (found !== seq) throw new Error(`frame ${found} instead of ${seq}`);
      rx.advance(1);
    },
    close: async () => {
      await port.close();
      await netmap.close();
    },
  };
}

const task = workerData as PingTask;
const main = parentPort;
if (!main) throw new Error('this is a worker');
const { role, mode, words, relayed } = task;
const [mine, other] = role === 'second' ? [SECOND, FIRST] : [FIRST, SECOND];
const ends = mode === 'atomics' ? atomicsEnds(words, mine, relayed ? other + PASSED_ON : other) : await portEnds(task);
let seq = 0;

const sent = new Float64Array(words, SENT_BYTE, 1);
const nobody = new Int32Array(new SharedArrayBuffer(4));

/** Plays a part; ns of each frame's way, from the side that measures. */
function play({ count, rest }: PingPart): Float64Array {
  const starts = role === 'first';
  const measures = starts === (rest === 0);
  const times = new Float64Array(measures ? count : 0);
  for (let i = 0; i < count; i++, seq++) {
    if (starts) {
      if (rest > 0) Atomics.wait(nobody, 0, 0, rest);
      sent[0] = nowNs();
      ends.send(seq);
    }
    ends.receive(seq);
    if (measures) times[i] = (nowNs() - sent[0]) / (rest === 0 ? 2 : 1);
    if (!starts) ends.send(seq);
  }
  return times;
}

/** Passes on what comes from either side. */
function relay({ count }: PingPart): Float64Array {
  const there = atomicsEnds(words, FIRST + PASSED_ON, FIRST);
  const back = atomicsEnds(words, SECOND + PASSED_ON, SECOND);
  for (let i = 0; i < count; i++, seq++) {
    for (const side of [there, back]) {
      side.receive(seq);
      side.send(seq);
    }
  }
  return new Float64Array(0);
}

main.on('message', (part: PingPart) => {
  if (part.count > 0) {
    main.postMessage(role === 'relay' ? relay(part) : play(part));
    return;
  }
  void ends.close().then(() => main.close());
});
main.postMessage('ready');
