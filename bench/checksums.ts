// The programs of the suite checksum. Each contender has a copy of this module (bench/own-copy.ts).
import type { NetmapRing } from 'ptnet';
import { wasmProgram } from './compile.js';
import { digestFrames } from './program.js';
import { checksumCopy, checksumFold, packetChecksum } from './twins/checksum.js';
import { memoryOf } from './twins/memory.js';
import { packetCopy } from './twins/vale.js';
import { BATCH, type Contender, checkAgain, RING_SLOTS } from './types.js';
import { wasmFunctions } from './wasm.js';

export type Kind = 'checksum' | 'copy' | 'copy and checksum';

/** Does frames from address `src` to `end`, and copies them to `dst`: returns the sum of the checksums. */
type Work = (src: number, end: number, dst: number) => number;

/** From the sender's buffers to the receiver's: a batch a call, around the ring. A round is the proof. */
export function contender(name: string, tx: NetmapRing, rx: NetmapRing, size: number, does: Work): Contender {
  const work = does; // a constant, which a parameter is not
  const { bufSize, u8 } = tx;
  const src = tx.bufAddress(0);
  const dst = rx.bufAddress(0);
  let at = 0;
  let sum = 0;
  const run = (): void => {
    sum = (sum + work(src + at * bufSize, src + (at + BATCH) * bufSize, dst + at * bufSize)) | 0;
    at = at + BATCH === RING_SLOTS ? 0 : at + BATCH;
  };
  const prove = (): number => {
    while (at !== 0) run();
    for (let i = 0; i < RING_SLOTS; i++) u8.fill(0, rx.bufAddress(i), rx.bufAddress(i) + size);
    sum = 0;
    for (let k = 0; k < RING_SLOTS / BATCH; k++) run();
    const copies = Array.from({ length: RING_SLOTS }, (_, i) => u8.subarray(rx.bufAddress(i), rx.bufAddress(i) + size));
    return digestFrames(copies, sum);
  };
  const digest = prove();
  return { name, run, digest, check: () => checkAgain(name, prove, digest) };
}

// The loops are the same on purpose: one loop for all would call the functions indirectly.

export function ours(memory: WebAssembly.Memory, frameSize: number, distance: number): Record<Kind, Work> {
  const size = frameSize;
  const stride = distance;
  const wasm = wasmFunctions(memory);
  const { packetChecksum, packetCopy, checksumCopy, checksumFold } = wasm;
  return {
    checksum: (src, end) => {
      let sum = 0;
      for (; src < end; src += stride) sum = (sum + packetChecksum(src, size)) | 0;
      return sum;
    },
    copy: (src, end, dst) => {
      for (; src < end; src += stride, dst += stride) packetCopy(dst, src, size);
      return 0;
    },
    'copy and checksum': (src, end, dst) => {
      let sum = 0;
      for (; src < end; src += stride, dst += stride) {
        sum = (sum + checksumFold(checksumCopy(dst, src, size, 0n))) | 0;
      }
      return sum;
    },
  };
}

export function plain(memory: WebAssembly.Memory, frameSize: number, distance: number): Record<Kind, Work> {
  const size = frameSize;
  const stride = distance;
  const mem = memoryOf(memory.buffer);
  return {
    checksum: (src, end) => {
      let sum = 0;
      for (; src < end; src += stride) sum = (sum + packetChecksum(mem, src, size)) | 0;
      return sum;
    },
    copy: (src, end, dst) => {
      for (; src < end; src += stride, dst += stride) packetCopy(mem, dst, src, size);
      return 0;
    },
    'copy and checksum': (src, end, dst) => {
      let sum = 0;
      for (; src < end; src += stride, dst += stride) {
        sum = (sum + checksumFold(checksumCopy(mem, dst, src, size, 0))) | 0;
      }
      return sum;
    },
  };
}

type Program = (src: number, end: number, dst: number, size: number, stride: number) => number;

interface Programs {
  readonly checksum: Program;
  readonly copy: Program;
  readonly copyAndChecksum: Program;
}

/** The loops in Wasm, too: one call a batch. */
export function inWasm(memory: WebAssembly.Memory, size: number, stride: number): Record<Kind, Work> {
  const imports = ['packet/checksum.ts', 'packet/copy.ts', 'abi/offload.ts'];
  const programs = wasmProgram('checksums', imports, memory) as unknown as Programs;
  const { checksum, copy, copyAndChecksum } = programs;
  return {
    checksum: (src, end, dst) => checksum(src, end, dst, size, stride),
    copy: (src, end, dst) => copy(src, end, dst, size, stride),
    'copy and checksum': (src, end, dst) => copyAndChecksum(src, end, dst, size, stride),
  };
}
