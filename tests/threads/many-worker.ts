// A worker with ports on several switches: sends to one or all of the others on each, in frames of one or several slots,
// as fast as it goes, and checks what the others send.
import assert from 'node:assert/strict';
import { abi, type HostPort, Netmap, type NetmapHandle, type NetmapRing } from '../../src/index.js';
import {
  addresses,
  BROADCAST,
  checkFrame,
  FIRST_SEQ,
  frameStream,
  HELLO,
  MIN_FRAME,
  mac,
  writeFrame,
} from './frames.js';
import { putFrame } from './ping-pong.js';
import { Random, serve } from './support.js';

const { NS_MOREFRAG } = abi;
const LONGEST = 4000;
/** What an unused byte of a buffer holds, as a word. */
const CANARY = 0x5ca1ab1e;

export interface ManyOptions {
  /** This worker's number, from 1, and how many there are. */
  readonly me: number;
  readonly workers: number;
  /** Frames to send on each switch, 0 = only receive. */
  readonly send: number;
  /** Whom to send to: a worker's number; 0 = anybody, now and then everybody. */
  readonly to: number;
  /** Words that all workers share: how many have sent everything. */
  readonly done: SharedArrayBuffer;
  readonly seed: number;
}

export interface ManyResult {
  unicast: number;
  broadcast: number;
  received: number;
}

let netmap: Netmap;
const ports: HostPort[] = [];
const scratch = new Int32Array(LONGEST / 4 + 1);
const scratch8 = new Uint8Array(scratch.buffer);

/** One worker on one switch. */
class Member {
  readonly port: HostPort;
  readonly result: ManyResult = { unicast: 0, broadcast: 0, received: 0 };
  readonly #options: ManyOptions;
  readonly #bridge: number;
  readonly #random: Random;
  readonly #macs: Int32Array[];
  readonly #lastSeen: number[];
  #seq = FIRST_SEQ;
  #gathered = 0;

  constructor(port: HostPort, bridge: number, options: ManyOptions) {
    this.port = port;
    this.#bridge = bridge;
    this.#options = options;
    this.#random = new Random(options.seed + 100 * bridge);
    const targets = [BROADCAST, ...Array.from({ length: options.workers }, (_, i) => mac(i + 1))];
    this.#macs = targets.map((to) => addresses(to, mac(options.me)));
    this.#lastSeen = targets.map(() => 0);
  }

  get sent(): number {
    return this.#seq - FIRST_SEQ;
  }

  /** Sends up to a batch. */
  send(): void {
    const random = this.#random;
    const [ring] = this.port.txRings;
    const batch = 1 + random.below(1 << random.below(9));
    for (let k = 0; k < batch && this.sent < this.#options.send; k++) {
      const dice = random.next();
      const long = (dice & 15) === 0;
      const len = MIN_FRAME + ((dice >>> 4) % (long ? LONGEST - MIN_FRAME : 80));
      const slots = Math.max(Math.ceil(len / ring.bufSize), long ? 1 + random.below(4) : 1);
      if (ring.space < slots) break;
      const target = this.#target();
      if (target === 0) this.result.broadcast++;
      else this.result.unicast++;
      writeFrame(scratch, scratch8, 0, len, this.#macs[target], this.#seq++, this.#options.me);
      this.#put(ring, len, slots);
    }
    assert.equal(this.port.txsync(), 0);
  }

  #target(): number {
    const { to, me, workers } = this.#options;
    if (to !== 0) return to;
    if (this.#random.below(50) === 0) return 0;
    const target = 1 + this.#random.below(workers - 1);
    return target >= me ? target + 1 : target;
  }

  /** Spreads the frame in the scratch memory over slots; the first holds at least a header. */
  #put(ring: NetmapRing, len: number, slots: number): void {
    let at = 0;
    let slot = ring.head;
    for (let left = slots; left > 0; left--, slot = ring.next(slot)) {
      const rest = len - at;
      const least = Math.max(14, rest - (left - 1) * ring.bufSize);
      const part =
        left === 1 ? rest : least + this.#random.below(Math.min(rest - 14 * (left - 1), ring.bufSize) - least);
      ring.u8.set(scratch8.subarray(at, at + part), ring.bufAddress(slot));
      ring.setSlot(slot, part, left === 1 ? 0 : NS_MOREFRAG);
      at += part;
    }
    ring.advance(slots);
  }

  /** Checks everything that has arrived. Returns how many slots that was. */
  receive(): number {
    assert.equal(this.port.rxsync(), 0);
    let slots = 0;
    for (const ring of this.port.rxRings) {
      const count = ring.space;
      let slot = ring.head;
      for (let k = 0; k < count; k++, slot = ring.next(slot)) this.#slot(ring, slot);
      ring.advance(count);
      slots += count;
    }
    return slots;
  }

  #slot(ring: NetmapRing, i: number): void {
    const { len, flags } = ring.slot(i);
    const at = ring.bufAddress(i);
    this.#checkUnused(ring, at, len);
    scratch8.set(ring.u8.subarray(at, at + len), this.#gathered);
    mark(ring, i, len);
    this.#gathered += len;
    if (flags & NS_MOREFRAG) return;
    const whole = this.#gathered;
    this.#gathered = 0;
    if (whole === 0) return; // a slot that was leased and not needed
    const seq = checkFrame(scratch, scratch8, 0, whole);
    const source = frameStream(scratch, 0);
    if (source === HELLO) return;
    assert.notEqual(seq, -1, `worker ${this.#options.me}, switch ${this.#bridge}: a corrupted frame of ${whole} bytes`);
    const last = this.#lastSeen[source];
    assert.ok(seq > last, `worker ${this.#options.me}, switch ${this.#bridge}: ${seq} of ${source} after ${last}`);
    this.#lastSeen[source] = seq;
    this.result.received++;
  }

  /** The switch writes `len` bytes and not one more. */
  #checkUnused(ring: NetmapRing, at: number, len: number): void {
    const end = (at + ring.bufSize) >>> 2;
    for (let p = at + len; p & 3; p++)
      assert.equal(ring.u8[p], (CANARY >>> (8 * (p & 3))) & 0xff, 'a byte after the frame');
    let damaged = 0;
    for (let w = (at + len + 3) >>> 2; w < end; w++) damaged |= ring.i32[w] ^ CANARY;
    assert.equal(damaged, 0, `bytes after a frame of ${len} bytes were written`);
  }
}

function mark(ring: NetmapRing, i: number, len = ring.bufSize): void {
  const w = ring.bufAddress(i) >>> 2;
  ring.i32.fill(CANARY, w, w + ((len + 3) >>> 2));
}

serve({
  open: async ({ handle, specs }: { handle: NetmapHandle; specs: string[] }) => {
    netmap = await Netmap.attach(handle);
    for (const spec of specs) {
      const port = await netmap.open(spec);
      for (const ring of port.rxRings) for (let i = 0; i < ring.numSlots; i++) mark(ring, i);
      ports.push(port);
    }
  },
  hello: ({ me }: { me: number }) => {
    for (const port of ports) {
      putFrame(port.txRings[0], BROADCAST, mac(me), 0, HELLO);
      port.txsync();
    }
  },
  counters: () => Promise.all(ports.map((port) => port.counters())),
  run: (options: ManyOptions): ManyResult[] => {
    const members = ports.map((port, bridge) => new Member(port, bridge, options));
    const done = new Int32Array(options.done);
    let told = false;
    for (;;) {
      for (const member of members) {
        if (member.sent < options.send) member.send();
        member.receive();
      }
      if (!told && members.every((member) => member.sent === options.send)) {
        told = true;
        Atomics.add(done, 0, 1);
      }
      // Deliveries end before the txsync that makes them does: one more look after everybody has finished sees all.
      if (Atomics.load(done, 0) !== options.workers) continue;
      while (members.reduce((slots, member) => slots + member.receive(), 0) !== 0);
      return members.map(({ result }) => result);
    }
  },
  close: () => netmap.close(),
});
