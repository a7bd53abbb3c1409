// One thread: a port of ptnet's pipe beside what people use within a thread. All write and read length and number of every
// frame; where frames are cloned the receiver has a copy of its own.
import { EventEmitter } from 'node:events';
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { digestFrames, drain, fill, makeFrame, proveRing, SEQ_OFS } from '../program.js';
import { expectedSum, nowNs } from '../threads/control.js';
import { BATCH, RING_SLOTS, type Run, type SuiteOptions, type TimedCase, type TimedContender } from '../types.js';
import { openGuests, PIPE } from '../world.js';

const MASK = RING_SLOTS - 1;

/** Sends `count` frames numbered from `seq`, and resolves when all have been received. */
type Transfer = (seq: number, count: number) => Promise<void> | void;

interface Taken {
  packets: number;
  sum: number;
  /** While something is proved: copies of the frames. */
  frames: Uint8Array[] | undefined;
}

const nothing = (): Taken => ({ packets: 0, sum: 0, frames: undefined });

interface Timed {
  readonly name: string;
  readonly size: number;
  readonly got: Taken;
  readonly digest: number;
  readonly transfer: Transfer;
  readonly close: () => Promise<void>;
}

function timed({ name, size, got, digest, transfer, close }: Timed): TimedContender {
  const run = async (seconds: number): Promise<Run> => {
    got.packets = 0;
    got.sum = 0;
    let sent = 0;
    const started = nowNs();
    while (nowNs() - started < 1e9 * seconds) {
      for (let i = 0; i < 16; i++, sent += BATCH) await transfer(sent, BATCH);
    }
    const time = nowNs() - started;
    if (got.packets !== sent || got.sum !== expectedSum(sent, size)) {
      throw new Error(`${name}: what was received is not what was sent`);
    }
    return { value: time / sent };
  };
  return { name, digest, run, close };
}

/** As many frames as a ring has, whose bytes are kept: the digest of proveRing. */
async function proveFrames(got: Taken, transfer: Transfer): Promise<number> {
  const frames: Uint8Array[] = [];
  got.frames = frames;
  for (let seq = 0; seq < RING_SLOTS; seq += BATCH) await transfer(seq, BATCH);
  got.frames = undefined;
  return digestFrames(frames);
}

async function ptnet(size: number): Promise<TimedContender> {
  const { tx, rx, sync, close } = await openGuests(PIPE, 'ptnet');
  const digest = proveRing({ tx, rx, sync, batch: BATCH, size });
  const got = nothing();
  const transfer = (seq: number, count: number): void => {
    fill(tx, count, seq, size, 0);
    sync();
    drain(rx[0], got);
  };
  return timed({ name: 'ptnet', size, got, digest, transfer, close });
}

interface Frame {
  readonly bytes: Uint8Array;
  readonly view: DataView;
}

function templates(size: number): Frame[] {
  return Array.from({ length: RING_SLOTS }, (_, i) => {
    const bytes = new Uint8Array(size);
    makeFrame(bytes, 0, size, 2, 1, i);
    return { bytes, view: new DataView(bytes.buffer) };
  });
}

const numberOf = (f: Uint8Array): number =>
  f[SEQ_OFS] | (f[SEQ_OFS + 1] << 8) | (f[SEQ_OFS + 2] << 16) | (f[SEQ_OFS + 3] << 24);

function taker(got: Taken): (frame: Uint8Array) => void {
  return (frame) => {
    got.packets++;
    got.sum = (got.sum + frame.length + numberOf(frame)) | 0;
    if (got.frames !== undefined) got.frames.push(frame.slice());
  };
}

/** The next frame of a sender: its template with its number. */
function writer(size: number): (seq: number) => Uint8Array {
  const frames = templates(size);
  return (seq) => {
    const { bytes, view } = frames[seq & MASK];
    view.setInt32(SEQ_OFS, seq, true);
    return bytes;
  };
}

async function emitter(size: number): Promise<TimedContender> {
  const got = nothing();
  const events = new EventEmitter();
  events.on('frame', taker(got));
  const next = writer(size);
  const transfer = (seq: number, count: number): void => {
    for (const end = seq + count; seq < end; seq++) events.emit('frame', next(seq));
  };
  const digest = await proveFrames(got, transfer);
  return timed({ name: 'EventEmitter', size, got, digest, transfer, close: async () => {} });
}

async function messagePort(size: number): Promise<TimedContender> {
  const got = nothing();
  const { port1, port2 }: { port1: MessagePort; port2: MessagePort } = new MessageChannel();
  const take = taker(got);
  let arrived: () => void = () => {};
  port2.on('message', (frame: Uint8Array) => {
    take(frame);
    if (got.packets % BATCH === 0) arrived();
  });
  const next = writer(size);
  const transfer = (seq: number, count: number): Promise<void> => {
    for (const end = seq + count; seq < end; seq++) port1.postMessage(next(seq));
    return new Promise((resolve) => {
      arrived = resolve;
    });
  };
  const digest = await proveFrames(got, transfer);
  return timed({ name: 'MessagePort', size, got, digest, transfer, close: async () => port1.close() });
}

async function webStream(size: number): Promise<TimedContender> {
  const got = nothing();
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>({}, { highWaterMark: 2 * BATCH });
  const sender = writable.getWriter();
  const receiver = readable.getReader();
  const take = taker(got);
  const next = writer(size);
  const transfer = async (seq: number, count: number): Promise<void> => {
    for (const end = seq + count; seq < end; seq++) void sender.write(next(seq));
    for (let left = count; left > 0; left--) take((await receiver.read()).value as Uint8Array);
  };
  const digest = await proveFrames(got, transfer);
  return timed({ name: 'Web stream', size, got, digest, transfer, close: () => sender.close() });
}

export function threadSuite({ sizes: [size] }: SuiteOptions): TimedCase[] {
  const entrants = [ptnet, emitter, messagePort, webStream].map((open) => () => open(size));
  return [{ suite: 'thread', name: `frames of ${size}`, unit: 'ns/packet', entrants }];
}
