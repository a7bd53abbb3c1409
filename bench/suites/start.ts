// Start-up and memory: how long until the first packet has been from guest to guest, step by step, in a fresh host each
// time; and what a port and a guest take.
import { Netmap, PtnetDriver } from 'ptnet';
import type { Run, TimedCase, TimedContender } from '../types.js';

const SIZE = 60;
const STEPS = ['create', 'open', 'passthrough', 'driver', 'first packet'] as const;
type Step = (typeof STEPS)[number];

/** ms of each step. */
async function start(): Promise<Record<Step, number>> {
  const times: number[] = [];
  let last = performance.now();
  const step = (): void => {
    const now = performance.now();
    times.push(now - last);
    last = now;
  };
  const netmap = await Netmap.create();
  step();
  await (await netmap.open('vale0:host')).close();
  step();
  const machines = [];
  for (const name of ['vale0:a', 'vale0:b']) {
    const guest = await netmap.createGuest();
    await guest.passthrough(name, { loop: 'direct' });
    machines.push(await guest.machine());
  }
  step();
  const [a, b] = machines.map((machine) => PtnetDriver.probe(machine)[0].open());
  step();
  await a.send(new Uint8Array(SIZE).fill(255));
  b.rxsync();
  if (b.recv()[0]?.length !== SIZE) throw new Error('the first packet did not arrive');
  step();
  await netmap.close();
  return Object.fromEntries(STEPS.map((name, i) => [name, times[i]])) as Record<Step, number>;
}

/** Bytes of the memory that `open` takes: the host's private state and regions. */
async function taken(count: number, open: (netmap: Netmap, i: number) => Promise<unknown>): Promise<number> {
  const netmap = await Netmap.create({ memorySize: 1 << 30 });
  const before = await inUse(netmap);
  for (let i = 0; i < count; i++) await open(netmap, i);
  const after = await inUse(netmap);
  await netmap.close();
  return (after - before) / count;
}

async function inUse(netmap: Netmap): Promise<number> {
  const { memory } = await netmap.inspect();
  return memory.private + memory.regions;
}

function measured(name: string, run: () => Promise<Run>): () => Promise<TimedContender> {
  return async () => ({ name, run, close: async () => {} });
}

export function startSuite(): TimedCase[] {
  const suite = 'start';
  const open = (netmap: Netmap, i: number): Promise<unknown> => netmap.open(`vale0:p${i}`);
  const openGuest = async (netmap: Netmap, i: number): Promise<void> => {
    const guest = await netmap.createGuest();
    await guest.passthrough(`vale0:p${i}`, { loop: 'direct' });
  };
  return [
    {
      suite,
      name: 'to the first packet',
      unit: 'ms',
      entrants: [
        measured('ptnet', async () => {
          const steps = await start();
          return { value: STEPS.reduce((sum, step) => sum + steps[step], 0), extra: steps };
        }),
      ],
    },
    {
      suite,
      name: 'memory',
      unit: 'KiB',
      ours: 'a VALE port',
      entrants: [
        measured('a VALE port', async () => ({ value: (await taken(8, open)) / 1024 })),
        measured('a guest with one', async () => ({ value: (await taken(8, openGuest)) / 1024 })),
      ],
    },
  ];
}
