// One end of a stream of numbered frames through a port: sends its own, checks the other end's. `step` does what can be
// done now and says what to wait for; runStream waits blocking, runStreamAsync awaits.
//
// Every ring has a sequence of its own. The other end must see each without a gap, unless the stream is lossy; in order
// and unchanged always. Where the medium may drop (VALE), `window` paces the sender: the receiver acknowledges through a
// shared word, after it has given its slots back. A switch drops nothing then if the window is less than half of the
// receiver's ring: the host may not have looked at the last releases yet, which are at most another window.
import assert from 'node:assert/strict';
import { abi, type NetmapPort, type NetmapRing } from '../../src/index.js';
import {
  addresses,
  checkFrame,
  FIRST_SEQ,
  frameStream,
  HELLO,
  isTestFrame,
  LAST_FRAME,
  MIN_FRAME,
  writeFrame,
} from './frames.js';
import { Random } from './support.js';

const { POLLIN, POLLOUT } = abi;
/** What `step` returns besides poll events. */
export const DONE = 0;
export const CREDIT = -1;

/** Words of the memory that the two ends of a stream and the test share. Set STOP to end a stream without a number. */
export const STOP = 0;
export const ackWord = (side: number): number => 16 + 16 * side;
export const gotWord = (side: number): number => 17 + 16 * side;
export const sentWord = (side: number): number => 18 + 16 * side;
export const sharedWords = (): SharedArrayBuffer => new SharedArrayBuffer(48 * 4);

export interface StreamOptions {
  readonly shared: SharedArrayBuffer;
  /** 0 or 1: which words of `shared` are this end's. */
  readonly side: number;
  readonly to: readonly number[];
  readonly from: readonly number[];
  /** Number of the stream, 1 or more and below 2^16. */
  readonly id: number;
  /** Frames to send, 0 = only receive. -1: until STOP. */
  readonly send: number;
  readonly receive: boolean;
  /** Frames on their way at most, 0 = as many as the ring takes. */
  readonly window?: number;
  /** Frames may be lost, and frames of others may arrive. */
  readonly lossy?: boolean;
  /** Longest frame; most are short. */
  readonly longest?: number;
  readonly seed: number;
}

export interface StreamResult {
  sent: number;
  received: number;
  lost: number;
  /** Frames of others. */
  foreign: number;
  /** Waits that slept or spun. */
  waits: number;
  sleeps: number;
}

/** After this long (ms) without an acknowledgement a lossy stream takes what is on its way for lost. */
export const LOSS_AFTER = 20;

export class Stream {
  readonly port: NetmapPort;
  readonly result: StreamResult = { sent: 0, received: 0, lost: 0, foreign: 0, waits: 0, sleeps: 0 };
  readonly random: Random;
  readonly #options: StreamOptions;
  readonly #words: Int32Array;
  readonly #macs: Int32Array;
  readonly #longest: number;
  readonly #nextSend: number[];
  readonly #nextRecv: number[];
  readonly #lastSent: boolean[];
  readonly #lastSeen: boolean[];
  #acked = 0;
  #forgiven = 0;
  #ackTime = performance.now();
  #heard = performance.now();

  constructor(port: NetmapPort, options: StreamOptions) {
    this.port = port;
    this.#options = options;
    this.#words = new Int32Array(options.shared);
    this.#macs = addresses(options.to, options.from);
    this.#longest = options.longest ?? 1514;
    this.random = new Random(options.seed);
    this.#nextSend = port.txRings.map(() => FIRST_SEQ);
    this.#nextRecv = port.rxRings.map(() => FIRST_SEQ);
    this.#lastSent = port.txRings.map(() => options.send === 0);
    this.#lastSeen = port.rxRings.map(() => !options.receive);
  }

  get lossy(): boolean {
    return this.#options.lossy === true;
  }

  /** Word to wait on for an acknowledgement, and its value now. */
  get ack(): { words: Int32Array; index: number; value: number } {
    const index = ackWord(1 - this.#options.side);
    return { words: this.#words, index, value: Atomics.load(this.#words, index) };
  }

  /** Receives and sends what can be. Returns the events to wait for, CREDIT, or DONE. */
  step(): number {
    const received = this.#options.receive ? this.#receive() : 0;
    const { window = 0, lossy } = this.#options;
    const room = window === 0 ? Infinity : Math.max(window - this.#onTheWay(), 0);
    if (!this.#sendingDone) this.#send(room);
    Atomics.store(this.#words, sentWord(this.#options.side), this.result.sent);
    const sending = !this.#sendingDone;
    const receiving = !this.#receivingDone(received);
    if (!sending && !receiving) return DONE;
    let want = receiving ? POLLIN : 0;
    if (sending && room > 0) want |= POLLOUT;
    return want === 0 || (lossy && sending && room <= 0) ? CREDIT : want;
  }

  get #sendingDone(): boolean {
    return this.#lastSent.every(Boolean);
  }

  #receivingDone(received: number): boolean {
    if (!this.#options.lossy) return this.#lastSeen.every(Boolean);
    const now = performance.now();
    if (received !== 0) this.#heard = now;
    return Atomics.load(this.#words, STOP) !== 0 && now - this.#heard > 10 * LOSS_AFTER;
  }

  #onTheWay(): number {
    const acked = this.ack.value;
    if (acked !== this.#acked) {
      this.#acked = acked;
      this.#forgiven = 0;
      this.#ackTime = performance.now();
    }
    let out = this.result.sent - this.#forgiven - acked;
    if (this.#options.lossy && out > 0 && performance.now() - this.#ackTime > LOSS_AFTER) {
      this.#forgiven += out;
      out = 0;
    }
    return out;
  }

  #send(room: number): void {
    const { send, id } = this.#options;
    const stop = send < 0 && Atomics.load(this.#words, STOP) !== 0;
    let left = stop ? 0 : Math.min(room, send < 0 ? Infinity : send - this.result.sent);
    const over = stop || (send >= 0 && this.result.sent === send);
    for (const [r, ring] of this.port.txRings.entries()) {
      if (over) {
        if (this.#lastSent[r] || ring.space === 0) continue;
        this.#fill(ring, r, 1, id | LAST_FRAME);
        this.#lastSent[r] = true;
        continue;
      }
      const n = Math.min(ring.space, left, 1 + this.random.below(1 << this.random.below(10)));
      this.#fill(ring, r, n, id);
      left -= n;
      this.result.sent += n;
    }
    if (this.#sendingDone || this.random.below(8) === 0) this.port.txsync();
  }

  #fill(ring: NetmapRing, r: number, count: number, stream: number): void {
    const { i32, u8, slotBase } = ring;
    let seq = this.#nextSend[r];
    let slot = ring.head;
    for (let k = 0; k < count; k++) {
      const dice = this.random.next();
      const spread = (dice & 31) === 0 ? this.#longest - MIN_FRAME + 1 : 64;
      const len = MIN_FRAME + ((dice >>> 8) % spread);
      writeFrame(i32, u8, ring.bufAddress(slot), len, this.#macs, seq++, stream);
      i32[slotBase + 4 * slot + 1] = len;
      slot = ring.next(slot);
    }
    this.#nextSend[r] = seq;
    ring.advance(count);
  }

  #receive(): number {
    let taken = 0;
    let position = 0;
    for (const [r, ring] of this.port.rxRings.entries()) {
      taken += this.#take(ring, r);
      position += this.#nextRecv[r] - FIRST_SEQ;
    }
    const { side } = this.#options;
    Atomics.store(this.#words, gotWord(side), this.result.received);
    if (taken === 0) return 0;
    if (this.#options.window) this.port.rxsync(); // the slots are the host's before we say so
    Atomics.store(this.#words, ackWord(side), position);
    Atomics.notify(this.#words, ackWord(side));
    return taken;
  }

  #take(ring: NetmapRing, r: number): number {
    const { i32, u8, slotBase } = ring;
    const ready = ring.space;
    // Now and then not all of it, so that slots are released in other places than they were sent in.
    const count = this.random.below(8) === 0 ? 1 + this.random.below(ready || 1) : ready;
    let slot = ring.head;
    for (let k = 0; k < Math.min(count, ready); k++, slot = ring.next(slot)) {
      this.#frame(i32, u8, ring.bufAddress(slot), i32[slotBase + 4 * slot + 1] & 0xffff, r);
    }
    if (ready !== 0) ring.advance(Math.min(count, ready));
    return Math.min(count, ready);
  }

  #frame(i32: Int32Array, u8: Uint8Array, at: number, len: number, r: number): void {
    const { lossy, id } = this.#options;
    const stream = isTestFrame(i32, at, len) ? frameStream(i32, at) : -1;
    if (stream === HELLO) return;
    if ((stream & ~LAST_FRAME) !== id || stream < 0) {
      assert.ok(lossy, `stream ${id}, ring ${r}: a frame of ${len} bytes that nobody sent (stream ${stream})`);
      this.result.foreign++;
      return;
    }
    const seq = checkFrame(i32, u8, at, len);
    const wanted = this.#nextRecv[r];
    if (seq !== wanted) {
      assert.notEqual(seq, -1, `stream ${id}, ring ${r}: frame ${wanted - FIRST_SEQ} is corrupted`);
      const what = seq < wanted ? 'came again or late' : 'came although earlier ones are missing';
      assert.ok(
        lossy && seq > wanted,
        `stream ${id}, ring ${r}: ${seq - FIRST_SEQ} ${what}, ${wanted - FIRST_SEQ} was next`,
      );
      this.result.lost += seq - wanted;
    }
    this.#nextRecv[r] = seq + 1;
    if (stream & LAST_FRAME) this.#lastSeen[r] = true;
    else this.result.received++;
  }

  /** What a wait that took too long looked like. */
  describe(want: number): string {
    const ring = (r: NetmapRing): string => `${r.head}/${r.cur}/${r.tail}`;
    const { txRings, rxRings, name } = this.port;
    const rings = `tx ${txRings.map(ring).join(' ')} rx ${rxRings.map(ring).join(' ')} (head/cur/tail)`;
    return `${name}, stream ${this.#options.id}, wanted ${want}: ${rings} ${JSON.stringify(this.result)}`;
  }
}
