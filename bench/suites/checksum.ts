// RFC 1071 checksums of frames in a ring's buffers, one call a frame: ours crosses from JavaScript into Wasm each time.
// The public API has no checksum, so the suite binds the built module to the memory itself.
import { readFileSync } from 'node:fs';
import { makeFrames } from '../program.js';
import { packetChecksum as plainChecksum } from '../twins/checksum.js';
import { memoryOf } from '../twins/memory.js';
import { BATCH, type Case, type Contender, type OpenCase, RING_SLOTS, type SuiteOptions } from '../types.js';
import { openHost, PIPE, type World } from '../world.js';

type Checksum = (ptr: number, len: number) => number;

function wasmChecksum(memory: WebAssembly.Memory): Checksum {
  const binary = readFileSync(new URL('../../../wasm/ptnet.shared.wasm', import.meta.url));
  const instance = new WebAssembly.Instance(new WebAssembly.Module(binary), { env: { memory } });
  return instance.exports.packetChecksum as Checksum;
}

/** A position in the ring's buffers, and the sum of the checksums so far. */
interface State {
  at: number;
  sum: number;
}

/** The first rounds are the proof: once around the ring. */
function contender(name: string, state: State, run: () => void): Contender {
  for (let k = 0; k < RING_SLOTS / BATCH; k++) run();
  return { name, run, digest: state.sum >>> 0, check: () => {} };
}

// The two loops are the same on purpose: one loop for both would call either function indirectly.

function ours({ tx, netmap }: World, size: number): Contender {
  const checksum = wasmChecksum(netmap.memory);
  const state: State = { at: 0, sum: 0 };
  const first = tx.bufAddress(0);
  makeFrames(tx, size, 1);
  return contender('ptnet', state, () => {
    let { at, sum } = state;
    for (let k = 0; k < BATCH; k++) {
      sum = (sum + checksum(first + at * tx.bufSize, size)) | 0;
      at = at + 1 === RING_SLOTS ? 0 : at + 1;
    }
    state.at = at;
    state.sum = sum;
  });
}

function plain({ tx, netmap }: World, size: number): Contender {
  const { u16, u8 } = memoryOf(netmap.memory.buffer);
  const state: State = { at: 0, sum: 0 };
  const first = tx.bufAddress(0);
  makeFrames(tx, size, 1);
  return contender('js', state, () => {
    let { at, sum } = state;
    for (let k = 0; k < BATCH; k++) {
      sum = (sum + plainChecksum(u16, u8, first + at * tx.bufSize, size)) | 0;
      at = at + 1 === RING_SLOTS ? 0 : at + 1;
    }
    state.at = at;
    state.sum = sum;
  });
}

function checksumCase(size: number): Case {
  const open = async (): Promise<OpenCase> => {
    const worlds = [await openHost(PIPE, 'ptnet'), await openHost(PIPE, 'js')];
    const contenders = [ours(worlds[0], size), plain(worlds[1], size)];
    const close = async (): Promise<void> => {
      for (const world of worlds) await world.close();
    };
    return { contenders, close };
  };
  return { suite: 'checksum', name: `${size}`, task: 'checksum', size, unit: 'ns/packet', open };
}

export function checksumSuite({ sizes }: SuiteOptions): Case[] {
  return sizes.map(checksumCase);
}
