// Large receive offload: the segments of a receive batch, in order, become packets of up to 64 KiB, their checksums
// validated. As the first frame of a packet gets its headers, each run first puts those back that came.
import { abi, type NetmapRing } from 'ptnet';
import { FULL_FRAME, headersOf, tcpPacket } from '../packets.js';
import { digestWords } from '../program.js';
import { coalesceBatch } from '../twins/coalesce.js';
import { Lro } from '../twins/flow.js';
import { type Memory, memoryOf } from '../twins/memory.js';
import { packetCopy } from '../twins/vale.js';
import { type Case, type Contender, checkAgain, type OpenCase } from '../types.js';
import { wasmFunctions } from '../wasm.js';
import { openHost, PIPE } from '../world.js';

interface Shape {
  readonly name: string;
  readonly task: string;
  readonly flows: number;
  /** Segments of each flow; the flows take turns. */
  readonly segments: number;
}

const SHAPES: readonly Shape[] = [
  { name: 'one flow', task: 'coalesce-1', flows: 1, segments: 44 },
  // As many frames as the interface hands over at a time.
  { name: '8 flows', task: 'coalesce-8', flows: 8, segments: 21 },
];
const HEADERS = headersOf(4);
// Buffers of the tx ring: the frames in the first ones, then the headers that came, pairs, and working memory.
const SAVED = 600;
const PAIRS = 700;
const LRO = 800;

/** A packet that came out, in words: lengths and the virtio-net header; and its bytes. */
interface Merged {
  readonly words: readonly number[];
  readonly pieces: readonly Uint8Array[];
}

function prepare(ring: NetmapRing, { flows, segments }: Shape): void {
  const { u8, i32 } = ring;
  for (let i = 0; i < flows * segments; i++) {
    const index = Math.floor(i / flows);
    const flags = abi.TH_ACK | (index === segments - 1 ? abi.TH_PUSH : 0);
    const at = ring.bufAddress(i);
    u8.set(tcpPacket({ version: 4, flow: i % flows, index, size: FULL_FRAME, flags }), at);
    i32.set([at, FULL_FRAME], (ring.bufAddress(PAIRS) + i * abi.IOV_SIZE) >>> 2);
    if (index === 0) u8.copyWithin(ring.bufAddress(SAVED + i), at, at + HEADERS);
  }
}

/** A run is the proof. */
function contender(name: string, shape: Shape, merge: () => number, merged: (i: number) => Merged): Contender {
  let wrong = 0;
  const run = (): void => {
    if (merge() !== shape.flows) wrong++;
  };
  const prove = (): number => {
    run();
    const words: number[] = [];
    for (let i = 0; i < shape.flows; i++) {
      const packet = merged(i);
      words.push(...packet.words);
      for (const bytes of packet.pieces) for (const byte of bytes) words.push(byte);
    }
    return digestWords(words);
  };
  const digest = prove();
  const check = (): void => {
    if (wrong !== 0) throw new Error(`${name}: ${wrong} batches became something else`);
    checkAgain(name, prove, digest);
  };
  return { name, run, digest, check };
}

function ours(memory: WebAssembly.Memory, ring: NetmapRing, shape: Shape): Contender {
  prepare(ring, shape);
  const wasm = wasmFunctions(memory);
  const { bufSize, i32, u8 } = ring;
  const [first, saved, pairs, lro] = [0, SAVED, PAIRS, LRO].map((i) => ring.bufAddress(i));
  const n = shape.flows * shape.segments;
  const merge = (): number => {
    for (let f = 0; f < shape.flows; f++) wasm.packetCopy(first + f * bufSize, saved + f * bufSize, HEADERS);
    return wasm.coalesceBatch(lro, pairs, n, abi.LRO_MAX_LIMIT);
  };
  const merged = (i: number): Merged => {
    const out = lro + abi.LRO_OUT + i * abi.OUT_SIZE;
    const word = (at: number): number => i32[at >>> 2];
    const header = new DataView(u8.buffer, out + abi.OUT_VNET);
    const fields = [2, 4, 6, 8].map((at) => header.getUint16(at, true));
    const pieces = Array.from({ length: word(out + abi.OUT_PIECES) }, (_, k) => {
      const pair = word(out + abi.OUT_IOV) + k * abi.IOV_SIZE;
      return u8.subarray(word(pair), word(pair) + word(pair + abi.IOV_LEN));
    });
    const words = [word(out + abi.OUT_LEN), pieces.length, header.getUint8(0), header.getUint8(1), ...fields];
    return { words, pieces };
  };
  return contender('ptnet', shape, merge, merged);
}

function plain(mem: Memory, ring: NetmapRing, shape: Shape): Contender {
  prepare(ring, shape);
  const lro = new Lro();
  const { bufSize, u8 } = ring;
  const [first, saved, pairs] = [0, SAVED, PAIRS].map((i) => ring.bufAddress(i));
  const n = shape.flows * shape.segments;
  const merge = (): number => {
    for (let f = 0; f < shape.flows; f++) packetCopy(mem, first + f * bufSize, saved + f * bufSize, HEADERS);
    return coalesceBatch(mem, lro, pairs, n, abi.LRO_MAX_LIMIT);
  };
  const merged = (i: number): Merged => {
    const { iov, len, pieces, flags, gsoType, hdrLen, gsoSize, csumStart, csumOffset } = lro.outs[i];
    const words = [len, pieces, flags, gsoType, hdrLen, gsoSize, csumStart, csumOffset];
    const bytes = Array.from({ length: pieces }, (_, k) => {
      const [at, length] = lro.iov.subarray(iov + 2 * k);
      return u8.subarray(at, at + length);
    });
    return { words, pieces: bytes };
  };
  return contender('js', shape, merge, merged);
}

function coalesceCase(shape: Shape): Case {
  const open = async (): Promise<OpenCase> => {
    const worlds = [await openHost(PIPE, 'ptnet'), await openHost(PIPE, 'js')];
    const [{ memory }, other] = worlds.map(({ netmap }) => netmap);
    const contenders = [ours(memory, worlds[0].tx, shape), plain(memoryOf(other.memory.buffer), worlds[1].tx, shape)];
    const close = async (): Promise<void> => {
      for (const world of worlds) await world.close();
    };
    return { contenders, close };
  };
  const { name, task, flows, segments } = shape;
  const common = { suite: 'coalesce', unit: 'ns/segment', size: FULL_FRAME, bytes: FULL_FRAME };
  return { ...common, name, task, batch: flows * segments, open };
}

export function coalesceSuite(): Case[] {
  return SHAPES.map(coalesceCase);
}
