// Two workers, each with a guest's program, and all that moves frames between workers. `pipe`, `vale`: the programs never
// sleep, and each runs its own kernel loop. `notify`: they sleep while there is nothing to do, and the kernel loops run in
// a third worker. All contenders write and read length and number of each frame; the proof compares all bytes.
import { MessageChannel } from 'node:worker_threads';
import { type LoopMode, Netmap } from 'ptnet';
import { memifContender, vhostContender } from '../machine/testpmd.js';
import type { NativeTwin } from '../native.js';
import { byteRingMemory } from '../threads/byte-ring.js';
import type { Packing } from '../threads/messages.js';
import { openPair } from '../threads/pair.js';
import { slotRingBytes } from '../threads/slot-ring.js';
import { Absent, RING_SLOTS, type SuiteOptions, type TimedCase, type TimedContender } from '../types.js';
import { PIPE, VALE } from '../world.js';

const MEMORY = 1 << 28;
const UNIT = 'ns/packet';

interface Shape {
  readonly names: readonly string[];
  readonly size: number;
  readonly frames: boolean;
  readonly loop: LoopMode;
}

/** Kicks and interrupts since it was called, for a million packets. */
function countEvents(netmap: Netmap) {
  const count = async (): Promise<{ kicks: number; interrupts: number }> => {
    const { ports } = await netmap.inspect();
    const sum = { kicks: 0, interrupts: 0 };
    for (const { counters } of ports) {
      sum.kicks += counters.kicks;
      sum.interrupts += counters.interrupts;
    }
    return sum;
  };
  return async () => {
    const before = await count();
    return async (packets: number) => {
      const after = await count();
      const perMillion = (key: keyof typeof after): number => (1e6 * (after[key] - before[key])) / packets;
      return { 'kicks/M': perMillion('kicks'), 'irqs/M': perMillion('interrupts') };
    };
  };
}

async function ptnetPair({ names, size, frames, loop }: Shape): Promise<TimedContender> {
  const netmap = await Netmap.create({ memorySize: MEMORY, threads: loop === 'direct' ? 0 : 1 });
  const handles = [];
  for (const name of names) {
    const guest = await netmap.createGuest();
    await guest.passthrough(name, { txSlots: RING_SLOTS, rxSlots: RING_SLOTS, loop });
    handles.push({ netmap: netmap.handle(), guest: guest.id });
  }
  const [sender, receiver] = handles.map((guest) => ({
    guest,
    frames,
    sleeps: loop !== 'direct',
    introduces: names !== PIPE,
  }));
  return openPair({
    name: 'ptnet',
    transport: 'ptnet',
    size,
    lossy: names !== PIPE,
    data: { sender, receiver },
    watch: countEvents(netmap),
    close: () => netmap.close(),
  });
}

async function nativePair(native: NativeTwin | undefined, task: string, size: number): Promise<TimedContender> {
  if (!native) throw new Absent('the native twin');
  const { digest } = native.run({ task, size }, 1, 1);
  return {
    name: 'c',
    digest,
    run: async (seconds) => {
      const { ns, dropped = 0 } = native.run({ task, size }, 20, 1000 * seconds);
      return { value: ns, ...(task === 'threads-vale' && { extra: { 'dropped %': dropped } }) };
    },
    close: async () => {},
  };
}

async function slotRing(size: number, frames: boolean): Promise<TimedContender> {
  const data = { memory: new SharedArrayBuffer(slotRingBytes(size)), frames };
  return openPair({ name: 'slot ring', transport: 'slot ring', size, data: { sender: data, receiver: data } });
}

async function byteRing(size: number): Promise<TimedContender> {
  const data = { memory: await byteRingMemory(size) };
  return openPair({ name: 'ringbuf.js', transport: 'byte ring', size, data: { sender: data, receiver: data } });
}

const MESSAGES: Readonly<Record<Packing, string>> = {
  packed: 'messages, 256 packed',
  arrays: 'messages, arrays of 256',
  single: 'messages, single',
};

async function messages(size: number, packing: Packing): Promise<TimedContender> {
  const { port1, port2 } = new MessageChannel();
  return openPair({
    name: MESSAGES[packing],
    transport: 'messages',
    size,
    data: { sender: { port: port1, packing }, receiver: { port: port2, packing } },
    transfer: { sender: [port1], receiver: [port2] },
  });
}

export function workersSuite({ native, sizes, quick }: SuiteOptions): TimedCase[] {
  const suite = 'workers';
  const [size] = sizes;
  const pipe = { names: PIPE, size, frames: true, loop: 'direct' as const };
  const vale = { ...pipe, names: VALE };
  // A peer with processes of its own takes seconds to start.
  const testpmd = quick ? [] : [() => memifContender(size), () => vhostContender(size)];
  return [
    {
      suite,
      name: `pipe ${size}`,
      unit: UNIT,
      entrants: [
        () => ptnetPair(pipe),
        () => nativePair(native, 'threads-pipe', size),
        () => messages(size, 'packed'),
        () => messages(size, 'arrays'),
        () => messages(size, 'single'),
        () => byteRing(size),
        () => slotRing(size, true),
      ],
    },
    {
      suite,
      name: 'pipe, slots only',
      unit: UNIT,
      entrants: [() => ptnetPair({ ...pipe, frames: false }), () => slotRing(size, false)],
    },
    {
      suite,
      name: `vale ${size}`,
      unit: UNIT,
      entrants: [() => ptnetPair(vale), () => nativePair(native, 'threads-vale', size), ...testpmd],
    },
    { suite, name: `notify pipe ${size}`, unit: UNIT, entrants: [() => ptnetPair({ ...pipe, loop: 'notify' })] },
    { suite, name: `notify vale ${size}`, unit: UNIT, entrants: [() => ptnetPair({ ...vale, loop: 'notify' })] },
  ];
}
