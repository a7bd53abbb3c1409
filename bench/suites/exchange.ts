// What moves no bytes: received slots that are forwarded by exchanging buffers, between two rings of one region; a buffer
// that is kept, in exchange for an extra one; and a zero-copy monitor, which sees a port's frames in their own buffers.
// `forward` of the plain twin is the application of netmap's bridge in JavaScript. What the monitor costs is seen beside the
// same pipe without one.
import { abi, moveSlots, Netmap, type NetmapRing } from 'ptnet';
import { digestSlots, drain, fill, makeFrames, SEQ_OFS } from '../program.js';
import { expectedSum } from '../threads/control.js';
import { memoryOf } from '../twins/memory.js';
import { ringSync } from '../twins/sync.js';
import { BATCH, type Case, type Contender, type OpenCase, RING_SLOTS } from '../types.js';
import { selfOf } from '../world.js';

const MEMORY = 1 << 28;
const SIZE = 60;
const PROOF = 16;
const CHANGED = abi.NS_BUF_CHANGED << 16; // of a slot's second word, len | flags << 16
const SLOTS = { txSlots: RING_SLOTS, rxSlots: RING_SLOTS };

interface Setup {
  readonly netmap: Netmap;
  readonly tx: NetmapRing;
  readonly rx: NetmapRing;
  /** Moves what was sent until it has been received; called once a batch. */
  readonly move: () => void;
  /** Reads and releases what has been received. */
  readonly take: typeof drain;
}

function contender(name: string, { tx, rx, move, take }: Setup): Contender {
  const got = { packets: 0, sum: 0 };
  let sent = 0;
  makeFrames(tx, SIZE, 1);
  const run = (): void => {
    fill(tx, BATCH, sent, SIZE, 0);
    sent += BATCH;
    move();
    take(rx, got);
  };
  const check = (): void => {
    const first = tx.head;
    fill(tx, BATCH, sent, SIZE, 0);
    sent += BATCH;
    const bytes = digestSlots(tx, first, tx.head);
    move();
    const same = digestSlots(rx, rx.head, rx.tail) === bytes;
    take(rx, got);
    if (!same || got.packets !== sent || got.sum !== expectedSum(sent, SIZE)) {
      throw new Error(`${name}: what was received is not what was sent`);
    }
  };
  for (let i = 1; i < PROOF; i++) run();
  check(); // the last batch of the proof
  return { name, run, digest: got.sum >>> 0, check };
}

type Port = Awaited<ReturnType<Netmap['open']>>;

async function openPorts(names: readonly string[], extraBufs = 0): Promise<[Netmap, Port[]]> {
  const tunables = { 'dev.netmap.priv_ring_num': 16, 'dev.netmap.priv_buf_num': 16 * RING_SLOTS };
  const netmap = await Netmap.create({ memorySize: MEMORY, tunables });
  const ports: Port[] = [];
  for (const name of names) ports.push(await netmap.open(name, { ...SLOTS, extraBufs }));
  return [netmap, ports];
}

/** Two pipes of one parent, and so of one region: from one into the other. */
async function forward(plain: boolean): Promise<Setup> {
  const [netmap, [a, left, right, b]] = await openPorts(['netmap:x{1', 'netmap:x}1', 'netmap:x{2', 'netmap:x}2']);
  const [from] = left.rxRings;
  const [to] = right.txRings;
  const exchange = plain ? swapSlots : moveSlots;
  const move = (): void => {
    a.txsync();
    left.rxsync();
    if (exchange(from, to, BATCH) !== BATCH) throw new Error('slots are left');
    right.txsync();
    b.rxsync();
    left.rxsync();
  };
  return { netmap, tx: a.txRings[0], rx: b.rxRings[0], move, take: drain };
}

function swapSlots(rx: NetmapRing, tx: NetmapRing, limit: number): number {
  const n = Math.min(rx.space, tx.space, limit);
  const { i32 } = rx;
  let [r, t] = [rx.head, tx.head];
  for (let k = 0; k < n; k++) {
    const from = rx.slotBase + 4 * r;
    const to = tx.slotBase + 4 * t;
    const index = i32[to];
    i32[to] = i32[from];
    i32[to + 1] = (i32[from + 1] & 0xffff) | CHANGED;
    i32[from] = index;
    i32[from + 1] = CHANGED;
    r = rx.next(r);
    t = tx.next(t);
  }
  rx.advance(n);
  tx.advance(n);
  return n;
}

/** Syncs of both ends of a pipe, by ours or by the plain twin. */
function syncsOf(netmap: Netmap, a: Port, b: Port, plain: boolean): () => void {
  if (!plain) {
    return () => {
      a.txsync();
      b.rxsync();
    };
  }
  const mem = memoryOf(netmap.memory.buffer);
  const self = selfOf(netmap);
  const [tx, rx] = [a.info.tx[0].kring, b.info.rx[0].kring];
  return () => {
    ringSync(mem, tx, self);
    ringSync(mem, rx, self);
  };
}

/** A pipe whose receiver keeps each buffer, and gives back one that it has kept before. */
async function keep(plain: boolean): Promise<Setup> {
  const [netmap, [a, b]] = await openPorts(['netmap:x{1', 'netmap:x}1'], BATCH);
  const [rx] = b.rxRings;
  const kept: number[] = [];
  for (let index = b.nifp.bufsHead; index !== 0; index = rx.i32[(rx.bufBase + index * rx.bufSize) >>> 2]) {
    kept.push(index);
  }
  if (kept.length !== BATCH) throw new Error(`${kept.length} extra buffers instead of ${BATCH}`);
  const shelf = Int32Array.from(kept);
  const take: typeof drain = (ring, into) => {
    const { i32, slotBase, bufBase, bufSize, numSlots, tail } = ring;
    const numbers = (bufBase + SEQ_OFS) >>> 2;
    const stride = bufSize >>> 2;
    let sum = 0;
    let k = 0;
    into.packets += ring.space;
    for (let i = ring.head; i !== tail; ) {
      const next = i < tail ? tail : numSlots;
      const end = slotBase + 4 * next;
      for (let slot = slotBase + 4 * i; slot < end; slot += 4, k++) {
        const index = i32[slot];
        const len = i32[slot + 1] & 0xffff;
        sum = (sum + len + i32[numbers + Math.imul(index, stride)]) | 0;
        i32[slot] = shelf[k];
        i32[slot + 1] = len | CHANGED;
        shelf[k] = index;
      }
      i = next === numSlots ? 0 : next;
    }
    into.sum = (into.sum + sum) | 0;
    ring.head = tail;
    ring.cur = tail;
  };
  return { netmap, tx: a.txRings[0], rx, move: syncsOf(netmap, a, b, plain), take };
}

/** The same pipe without a monitor. */
async function unwatched(): Promise<Setup> {
  const [netmap, [a, b]] = await openPorts(['netmap:x{1', 'netmap:x}1']);
  return { netmap, tx: a.txRings[0], rx: b.rxRings[0], move: syncsOf(netmap, a, b, false), take: drain };
}

/** A pipe, and a monitor on its sender that takes every frame. */
async function monitor(): Promise<Setup> {
  const [netmap, [a, b]] = await openPorts(['netmap:x{1', 'netmap:x}1']);
  const watcher = await netmap.open('netmap:x{1/z', { flags: abi.NR_MONITOR_TX, ...SLOTS });
  const [seen] = watcher.rxRings;
  const count = { packets: 0, sum: 0 };
  const sync = syncsOf(netmap, a, b, false);
  let moved = 0;
  const move = (): void => {
    sync();
    watcher.rxsync();
    drain(seen, count);
    moved += BATCH;
    // It sees frames when the sender has their slots back: some batches later.
    const missing = moved - count.packets;
    if (missing < 0 || missing > RING_SLOTS || count.sum !== expectedSum(count.packets, SIZE)) {
      throw new Error('the monitor has seen something else');
    }
  };
  return { netmap, tx: a.txRings[0], rx: b.rxRings[0], move, take: drain };
}

type Open = () => Promise<Setup>;

function exchangeCase(name: string, contenders: Readonly<Record<string, Open>>, task?: string): Case {
  const open = async (): Promise<OpenCase> => {
    const opened: Netmap[] = [];
    const list: Contender[] = [];
    for (const [who, setUp] of Object.entries(contenders)) {
      const setup = await setUp();
      opened.push(setup.netmap);
      list.push(contender(who, setup));
    }
    const close = async (): Promise<void> => {
      for (const netmap of opened) await netmap.close();
    };
    return { contenders: list, close };
  };
  return { suite: 'exchange', name, ...(task && { task }), size: SIZE, unit: 'ns/packet', open };
}

export function exchangeSuite(): Case[] {
  return [
    exchangeCase('forward', { ptnet: () => forward(false), js: () => forward(true) }, 'exchange-forward'),
    exchangeCase('extra buffers', { ptnet: () => keep(false), js: () => keep(true) }, 'exchange-keep'),
    exchangeCase('zero-copy monitor', { ptnet: monitor, 'no monitor': unwatched }),
  ];
}
