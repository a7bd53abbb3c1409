// Checksums (RFC 1071) and copies of frames in a ring's buffers, one call a frame: ours crosses from JavaScript into Wasm
// each time. The sum of `copy and checksum` does so as a BigInt, which callers within the Wasm do without.
import type { NetmapRing } from 'ptnet';
import { digestFrames, makeFrames } from '../program.js';
import { checksumCopy, checksumFold, packetChecksum } from '../twins/checksum.js';
import { memoryOf } from '../twins/memory.js';
import { packetCopy } from '../twins/vale.js';
import { BATCH, type Case, type Contender, type OpenCase, RING_SLOTS, type SuiteOptions } from '../types.js';
import { wasmFunctions } from '../wasm.js';
import { openHost, VALE, type World } from '../world.js';

type Kind = 'checksum' | 'copy' | 'copy and checksum';

/** Does frames from address `src` to `end`, and copies them to `dst`: returns the sum of the checksums. */
type Work = (src: number, end: number, dst: number) => number;

/** From the sender's buffers to the receiver's: a batch a call, around the ring. The first round is the proof. */
function contender(name: string, tx: NetmapRing, rx: NetmapRing, size: number, work: Work): Contender {
  const { bufSize, u8 } = tx;
  const src = tx.bufAddress(0);
  const dst = rx.bufAddress(0);
  let at = 0;
  let sum = 0;
  const run = (): void => {
    sum = (sum + work(src + at * bufSize, src + (at + BATCH) * bufSize, dst + at * bufSize)) | 0;
    at = at + BATCH === RING_SLOTS ? 0 : at + BATCH;
  };
  for (let i = 0; i < RING_SLOTS; i++) u8.fill(0, rx.bufAddress(i), rx.bufAddress(i) + size);
  for (let k = 0; k < RING_SLOTS / BATCH; k++) run();
  const copies = Array.from({ length: RING_SLOTS }, (_, i) => u8.subarray(rx.bufAddress(i), rx.bufAddress(i) + size));
  return { name, run, digest: digestFrames(copies, sum), check: () => {} };
}

// The loops are the same on purpose: one loop for all would call the functions indirectly.

function ours(memory: WebAssembly.Memory, size: number, stride: number): Record<Kind, Work> {
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

function plain(memory: WebAssembly.Memory, size: number, stride: number): Record<Kind, Work> {
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

function checksumCase(kind: Kind, size: number): Case {
  const start = ({ netmap, tx, rx }: World, name: string, make: typeof ours): Contender => {
    makeFrames(tx, size, 1);
    return contender(name, tx, rx[0], size, make(netmap.memory, size, tx.bufSize)[kind]);
  };
  const open = async (): Promise<OpenCase> => {
    const worlds = [await openHost(VALE, 'ptnet'), await openHost(VALE, 'js')];
    const contenders = [start(worlds[0], 'ptnet', ours), start(worlds[1], 'js', plain)];
    const close = async (): Promise<void> => {
      for (const world of worlds) await world.close();
    };
    return { contenders, close };
  };
  const name = kind === 'checksum' ? `${size}` : `${kind} ${size}`;
  const task = kind.replaceAll(' ', '-');
  return { suite: 'checksum', name, task, size, unit: 'ns/packet', bytes: size, open };
}

export function checksumSuite({ sizes }: SuiteOptions): Case[] {
  const kinds: readonly Kind[] = ['checksum', 'copy', 'copy and checksum'];
  return kinds.flatMap((kind) => sizes.map((size) => checksumCase(kind, size)));
}
