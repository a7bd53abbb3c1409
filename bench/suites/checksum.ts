// Checksums (RFC 1071) and copies of frames in a ring's buffers, one call a frame: ours crosses from JavaScript into Wasm
// each time. The sum of `copy and checksum` does so as a BigInt, which callers within the Wasm do without.
import type { Kind } from '../checksums.js';
import { ownCopy } from '../own-copy.js';
import { makeFrames } from '../program.js';
import type { Case, Contender, OpenCase, SuiteOptions } from '../types.js';
import { openHost, VALE, type World } from '../world.js';

function checksumCase(kind: Kind, size: number): Case {
  const start = async ({ netmap, tx, rx }: World, name: string, make: 'ours' | 'plain'): Promise<Contender> => {
    makeFrames(tx, size, 1);
    const programs = await ownCopy<typeof import('../checksums.js')>(new URL('../checksums.js', import.meta.url));
    return programs.contender(name, tx, rx[0], size, programs[make](netmap.memory, size, tx.bufSize)[kind]);
  };
  const open = async (): Promise<OpenCase> => {
    const worlds = [await openHost(VALE, 'ptnet'), await openHost(VALE, 'js')];
    const contenders = [await start(worlds[0], 'ptnet', 'ours'), await start(worlds[1], 'js', 'plain')];
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
