// Contenders of two threads: two workers with a guest each, the same natively, and what else moves frames between workers.
import { MessageChannel } from 'node:worker_threads';
import { type LoopMode, Netmap } from 'ptnet';
import type { NativeTwin } from './native.js';
import { byteRingMemory } from './threads/byte-ring.js';
import type { Packing } from './threads/messages.js';
import { openPair } from './threads/pair.js';
import { slotRingBytes } from './threads/slot-ring.js';
import { Absent, HOST_PORTS, HOST_PORTS_WASM, RING_SLOTS, type TimedContender, WASM_PROGRAM } from './types.js';
import { PIPE } from './world.js';

const MEMORY = 1 << 28;

export interface PairShape {
  readonly names: readonly string[];
  readonly size: number;
  readonly frames: boolean;
  readonly loop: LoopMode;
  /** Whether the programs, which do not touch the frames, are in Wasm. */
  readonly inWasm?: boolean;
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

export async function ptnetPair({ names, size, frames, loop, inWasm = false }: PairShape): Promise<TimedContender> {
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
    inWasm,
    sleeps: loop !== 'direct',
    introduces: names !== PIPE,
  }));
  return openPair({
    name: inWasm ? WASM_PROGRAM : 'ptnet',
    transport: 'ptnet',
    size,
    lossy: names !== PIPE,
    data: { sender, receiver },
    watch: countEvents(netmap),
    close: () => netmap.close(),
  });
}

/** Two workers that have the ends of a pipe open themselves, without guests, CSB and kernel loops. */
export async function hostPair(size: number, frames: boolean, inWasm = false): Promise<TimedContender> {
  const netmap = await Netmap.create({ memorySize: MEMORY });
  const end = (name: string) => {
    const host = { netmap: netmap.handle(), name };
    return { host, frames, inWasm, sleeps: false, introduces: false };
  };
  const [sender, receiver] = PIPE.map(end);
  return openPair({
    name: inWasm ? HOST_PORTS_WASM : HOST_PORTS,
    transport: 'ptnet',
    size,
    data: { sender, receiver },
    close: () => netmap.close(),
  });
}

export async function nativePair(native: NativeTwin | undefined, task: string, size: number): Promise<TimedContender> {
  if (!native) throw new Absent('the native twin');
  const { digest } = native.run({ task, size }, 1, 1);
  return {
    name: 'c',
    digest,
    run: async (seconds) => {
      const { ns, dropped = 0 } = native.run({ task, size }, 20, 1000 * seconds);
      return { value: ns, ...(task.endsWith('vale') && { extra: { 'dropped %': dropped } }) };
    },
    close: async () => {},
  };
}

export async function slotRing(size: number, frames: boolean, copies = false): Promise<TimedContender> {
  const data = { memory: new SharedArrayBuffer(slotRingBytes(size)), frames, copies };
  const name = copies ? 'slot ring, copy' : 'slot ring';
  return openPair({ name, transport: 'slot ring', size, data: { sender: data, receiver: data } });
}

export async function byteRing(size: number): Promise<TimedContender> {
  const data = { memory: await byteRingMemory(size) };
  return openPair({ name: 'ringbuf.js', transport: 'byte ring', size, data: { sender: data, receiver: data } });
}

const MESSAGES: Readonly<Record<Packing, string>> = {
  packed: 'messages, 256 packed',
  arrays: 'messages, arrays of 256',
  single: 'messages, single',
};

export async function messages(size: number, packing: Packing): Promise<TimedContender> {
  const { port1, port2 } = new MessageChannel();
  return openPair({
    name: MESSAGES[packing],
    transport: 'messages',
    size,
    data: { sender: { port: port1, packing }, receiver: { port: port2, packing } },
    transfer: { sender: [port1], receiver: [port2] },
  });
}
