// What people use between workers: messages with a frame each, with an array of frames, or with 256 frames packed into
// one buffer that is transferred. The packed buffers travel in circles: the receiver transfers them back, so that none is
// ever allocated, and a frame that has been there before needs only its number. Frames of the others are cloned.
import type { MessagePort } from 'node:worker_threads';
import { FNV_BASIS, FNV_PRIME, makeFrame, SEQ_OFS } from '../program.js';
import { BATCH, RING_SLOTS } from '../types.js';
import { nowNs, PROOF_FRAMES, type Program, type Report, STOP, TAKEN, type WorkerTask } from './control.js';

export type Packing = 'single' | 'arrays' | 'packed';

export interface MessagesData {
  readonly port: MessagePort;
  readonly packing: Packing;
}

/** Frames under way at most. */
const WINDOW = 4096;
const MASK = RING_SLOTS - 1;

/** A packed frame is a word with its length, and its bytes up to the next word. */
const packedStride = (size: number): number => 4 + ((size + 3) & ~3);

type Message = { readonly end: number } | { readonly frames: ArrayBuffer | readonly Uint8Array[] } | Uint8Array;

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function template(size: number, i: number): Uint8Array {
  const frame = new Uint8Array(size);
  makeFrame(frame, 0, size, 2, 1, i);
  return frame;
}

/** Sends the next frames in a message, `vary` as in bench/program.ts; false when it must wait. */
type Post = (seq: number, vary: number) => number;

function packedPost({ size, data: { port } }: WorkerTask<MessagesData>): Post {
  const stride = packedStride(size);
  const free = Array.from({ length: WINDOW / BATCH }, (_, k) => {
    const buffer = new ArrayBuffer(BATCH * stride);
    for (let i = 0; i < BATCH; i++) {
      makeFrame(new Uint8Array(buffer), i * stride + 4, size, 2, 1, (k * BATCH + i) & MASK);
    }
    return buffer;
  });
  port.on('message', (buffer: ArrayBuffer) => free.push(buffer));
  return (seq, vary) => {
    const buffer = free.shift();
    if (!buffer) return 0;
    const words = new Int32Array(buffer);
    const step = stride >>> 2;
    for (let i = 0, at = 0; i < BATCH; i++, at += step, seq++) {
      words[at] = size - (seq & vary);
      words[at + 1 + SEQ_OFS / 4] = seq;
    }
    port.postMessage({ frames: buffer }, [buffer]);
    return BATCH;
  };
}

function clonedPost({ size, control, data: { port, packing } }: WorkerTask<MessagesData>): Post {
  const words = new Int32Array(control);
  const templates = Array.from({ length: RING_SLOTS }, (_, i) => template(size, i));
  const views = templates.map((frame) => new DataView(frame.buffer));
  const next = (seq: number, vary: number): Uint8Array => {
    views[seq & MASK].setInt32(SEQ_OFS, seq, true);
    const frame = templates[seq & MASK];
    return vary === 0 ? frame : frame.slice(0, size - (seq & vary));
  };
  return (seq, vary) => {
    if (seq - Atomics.load(words, TAKEN) > WINDOW - BATCH) return 0;
    if (packing === 'arrays') {
      port.postMessage({ frames: Array.from({ length: BATCH }, (_, k) => next(seq + k, vary)) });
    } else {
      for (let k = 0; k < BATCH; k++) port.postMessage(next(seq + k, vary));
    }
    return BATCH;
  };
}

export function sendingProgram(task: WorkerTask<MessagesData>): Program {
  const words = new Int32Array(task.control);
  const { port, packing } = task.data;
  const post = packing === 'packed' ? packedPost(task) : clonedPost(task);
  /** Messages from the other side arrive only between two turns of the event loop. */
  const send = async (more: (seq: number) => boolean, varyOf: (seq: number) => number): Promise<Report> => {
    const started = nowNs();
    let seq = 0;
    while (more(seq)) {
      const n = post(seq, varyOf(seq));
      seq += n;
      if (n === 0) await nextTurn();
    }
    port.postMessage({ end: seq });
    return { packets: seq, sum: 0, digest: 0, started, ended: nowNs() };
  };
  return {
    prove: () =>
      send(
        (seq) => seq < PROOF_FRAMES,
        (seq) => (seq < PROOF_FRAMES / 2 ? 7 : 0),
      ),
    run: () =>
      send(
        (seq) => seq === 0 || Atomics.load(words, STOP) === 0,
        () => 0,
      ),
    close: async () => port.close(),
  };
}

const numberOf = (f: Uint8Array): number =>
  f[SEQ_OFS] | (f[SEQ_OFS + 1] << 8) | (f[SEQ_OFS + 2] << 16) | (f[SEQ_OFS + 3] << 24);

export function receivingProgram({ size, control, data: { port } }: WorkerTask<MessagesData>): Program {
  const shared = new Int32Array(control);
  const stride = packedStride(size);
  let report = { packets: 0, sum: 0, digest: FNV_BASIS };
  let proving = false;
  let ended: (packets: number) => void = () => {};

  const takeOne = (frame: Uint8Array): void => {
    report.packets++;
    report.sum = (report.sum + frame.length + numberOf(frame)) | 0;
    if (!proving) return;
    report.digest = Math.imul(report.digest ^ frame.length, FNV_PRIME);
    for (const byte of frame) report.digest = Math.imul(report.digest ^ byte, FNV_PRIME);
  };
  const takePacked = (buffer: ArrayBuffer): void => {
    const words = new Int32Array(buffer);
    const step = stride >>> 2;
    if (proving) {
      for (let i = 0; i < BATCH; i++) takeOne(new Uint8Array(buffer, i * stride + 4, words[i * step]));
      return;
    }
    let sum = 0;
    for (let at = 0, end = BATCH * step; at < end; at += step) {
      sum = (sum + words[at] + words[at + 1 + SEQ_OFS / 4]) | 0;
    }
    report.packets += BATCH;
    report.sum = (report.sum + sum) | 0;
  };
  port.on('message', (message: Message) => {
    if ('end' in message) {
      ended(message.end);
      return;
    }
    if (!('frames' in message)) {
      takeOne(message);
    } else if (message.frames instanceof ArrayBuffer) {
      takePacked(message.frames);
      port.postMessage(message.frames, [message.frames]);
    } else {
      for (const frame of message.frames) takeOne(frame);
    }
    Atomics.store(shared, TAKEN, report.packets);
  });
  const receive = async (isProof: boolean): Promise<Report> => {
    report = { packets: 0, sum: 0, digest: FNV_BASIS };
    proving = isProof;
    const started = nowNs();
    await new Promise<number>((resolve) => {
      ended = resolve;
    });
    return { ...report, digest: report.digest >>> 0, started, ended: nowNs() };
  };
  return { prove: () => receive(true), run: () => receive(false), close: async () => port.close() };
}
