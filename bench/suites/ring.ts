// What an application pays on a ring: writing a slot, reading one, and a sync that finds nothing to do. Ours writes
// words (ring.i32, ring.slotBase), and for comparison uses the accessors; the plain twin has a DataView over the same
// bytes.
import { ownCopy } from '../own-copy.js';
import { SIZE } from '../ring-program.js';
import { BATCH, type Case, type Contender, type OpenCase } from '../types.js';
import { openHost, PIPE, type World } from '../world.js';

function syncer(name: string, { tx, syncTx }: World): Contender {
  let result = 0;
  const run = (): void => {
    for (let k = 0; k < BATCH; k++) result |= syncTx();
  };
  run();
  const check = (): void => {
    if (result !== 0) throw new Error(`a sync returned ${result}`);
  };
  return { name, run, digest: (result + tx.tail) >>> 0, check };
}

/** Each contender has a ring of its own. */
type Make = (ours: World, other: World, plain: World) => Promise<Contender[]>;

function ringCase(name: string, task: string, unit: string, make: Make): Case {
  const open = async (): Promise<OpenCase> => {
    const ours = await openHost(PIPE, 'ptnet');
    const other = await openHost(PIPE, 'ptnet');
    const plain = await openHost(PIPE, 'js');
    const close = async (): Promise<void> => {
      for (const world of [ours, other, plain]) await world.close();
    };
    return { contenders: await make(ours, other, plain), close };
  };
  return { suite: 'ring', name, task, size: SIZE, unit, open };
}

type Programs = typeof import('../ring-program.js');

/** One contender, with a program of its own. */
async function programmed(make: (programs: Programs) => Contender): Promise<Contender> {
  return make(await ownCopy<Programs>(new URL('../ring-program.js', import.meta.url)));
}

function slotCase(name: string, kind: 'filler' | 'reader'): Case {
  return ringCase(name, `ring-${name}`, 'ns/slot', async (ours, other, plain) => [
    await programmed((own) => own[kind](own.words, ours)),
    await programmed((own) => own[kind](own.accessors, other)),
    await programmed((own) => own[kind](own.dataView(plain.netmap.memory), plain)),
  ]);
}

export function ringSuite(): Case[] {
  return [
    slotCase('fill', 'filler'),
    slotCase('read', 'reader'),
    ringCase('sync', 'ring-sync', 'ns/sync', async (ours, _, plain) => [syncer('ptnet', ours), syncer('js', plain)]),
  ];
}
