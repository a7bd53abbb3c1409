// Checksums (RFC 1071) and copies of frames in a ring's buffers. One call a frame: ours crosses from JavaScript into Wasm
// each time, and the sum of `copy and checksum` does so as a BigInt. The Wasm program does without, as callers within the
// Wasm do: one call a batch.
import type { Kind } from '../checksums.js';
import { ownCopy } from '../own-copy.js';
import { makeFrames } from '../program.js';
import { type Case, type Contender, type OpenCase, type SuiteOptions, WASM_PROGRAM } from '../types.js';
import { type Engine, openHost, VALE, type World } from '../world.js';

function checksumCase(kind: Kind, size: number): Case {
  const open = async (): Promise<OpenCase> => {
    const worlds: World[] = [];
    const start = async (name: string, engine: Engine, make: 'ours' | 'plain' | 'inWasm'): Promise<Contender> => {
      const world = await openHost(VALE, engine);
      worlds.push(world);
      const { netmap, tx, rx } = world;
      makeFrames(tx, size, 1);
      const programs = await ownCopy<typeof import('../checksums.js')>(new URL('../checksums.js', import.meta.url));
      return programs.contender(name, tx, rx[0], size, programs[make](netmap.memory, size, tx.bufSize)[kind]);
    };
    const contenders = [
      await start('ptnet', 'ptnet', 'ours'),
      await start('js', 'js', 'plain'),
      await start(WASM_PROGRAM, 'ptnet', 'inWasm'),
    ];
    const close = async (): Promise<void> => {
      for (const world of worlds) await world.close();
    };
    return { contenders, close };
  };
  const name = kind === 'checksum' ? `${size}` : `${kind} ${size}`;
  const task = kind.replaceAll(' ', '-');
  return { suite: 'checksum', name, task, size, unit: 'ns/packet', bytes: size, widths: true, open };
}

export function checksumSuite({ sizes }: SuiteOptions): Case[] {
  const kinds: readonly Kind[] = ['checksum', 'copy', 'copy and checksum'];
  return kinds.flatMap((kind) => sizes.map((size) => checksumCase(kind, size)));
}
