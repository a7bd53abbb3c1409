// Opens what a bench runs on, through the public API: the ports of a pipe or a switch, or two guests on them. The plain
// JavaScript twin gets a world of its own, laid out by ptnet too, and replaces the syncs.
import { abi, type DriverOptions, Netmap, type NetmapPort, type NetmapRing, PtnetDriver } from 'ptnet';
import { macOf } from './program.js';
import { doorbell } from './twins/kloop.js';
import { type Memory, memoryOf } from './twins/memory.js';
import { ptnetRxsync, ptnetTxsync, ringSync } from './twins/sync.js';
import { RING_SLOTS } from './types.js';

const MEMORY = 1 << 28;
const SLOTS = { txSlots: RING_SLOTS, rxSlots: RING_SLOTS };

/** Who does the data path. */
export type Engine = 'ptnet' | 'js';

/** A sender, its receivers, and one sync of all of them. */
export interface World {
  readonly netmap: Netmap;
  readonly tx: NetmapRing;
  readonly rx: readonly NetmapRing[];
  /** Sends what the sender has filled; releases what the receivers have taken, and shows them what has arrived. */
  readonly sync: () => void;
  /** One sync of the sender's tx ring; 0 or a negative errno. */
  readonly syncTx: () => number;
  close(): Promise<void>;
}

/** Port names: the sender first. */
export const PIPE: readonly string[] = ['netmap:bench{1', 'netmap:bench}1'];
export const VALE: readonly string[] = ['vale0:p1', 'vale0:p2'];
export const VALE_SPREAD: readonly string[] = ['vale0:p1', 'vale0:p2', 'vale0:p3'];

/** A frame that tells the switch where port `n` is. */
export function introduction(n: number): Uint8Array {
  const frame = new Uint8Array(60);
  frame.set([...macOf(9), ...macOf(n)]);
  return frame;
}

/**
 * A switch does not know its ports' addresses yet: the receivers say who they are. (The sender does so by its first
 * frame, and starts from slot 0 as its native twin does.)
 */
export async function introduce(ports: readonly NetmapPort[], headerLength = 0): Promise<void> {
  for (const [i, port] of ports.entries()) {
    if (i === 0) continue;
    const packet = new Uint8Array(headerLength + 60);
    packet.set(introduction(i + 1), headerLength);
    await port.send(packet);
  }
  for (const port of ports) {
    port.rxsync();
    port.recv();
    port.rxsync();
  }
}

function failed(result: number): never {
  throw new Error(`a sync returned ${result}`);
}

/** The address of the calling thread's record, which all syncs name. */
export function selfOf(netmap: Netmap): number {
  const { i32 } = memoryOf(netmap.memory.buffer);
  return i32[(netmap.handle().arena + abi.ARENA_THREADS) >>> 2] + netmap.threadId * abi.THREAD_SIZE;
}

/** Ports opened on the host. */
export async function openHost(names: readonly string[], engine: Engine): Promise<World> {
  const netmap = await Netmap.create({ memorySize: MEMORY });
  const ports = await Promise.all(names.map((name) => netmap.open(name, SLOTS)));
  if (names !== PIPE) await introduce(ports);
  const [sender, ...receivers] = ports;
  const rx = receivers.map((port) => port.rxRings[0]);
  const common = { netmap, tx: sender.txRings[0], rx, close: () => netmap.close() };
  if (engine === 'ptnet') {
    const sync = (): void => {
      let result = sender.txsync();
      for (const port of receivers) result |= port.rxsync();
      if (result !== 0) failed(result);
    };
    return { ...common, sync, syncTx: () => sender.txsync() };
  }
  const mem = memoryOf(netmap.memory.buffer);
  const self = selfOf(netmap);
  const txKring = sender.info.tx[0].kring;
  const rxKrings = receivers.map(({ info }) => info.rx[0].kring);
  const sync = (): void => {
    let result = ringSync(mem, txKring, self);
    for (const kring of rxKrings) result |= ringSync(mem, kring, self);
    if (result !== 0) failed(result);
  };
  return { ...common, sync, syncTx: () => ringSync(mem, txKring, self) };
}

/** Two guests of a host of their own, one port passed through to each; their kernel loops run in this thread ("direct"). */
export async function openDrivers(names: readonly string[], options: DriverOptions): Promise<[Netmap, PtnetDriver[]]> {
  const netmap = await Netmap.create({ memorySize: MEMORY });
  const drivers: PtnetDriver[] = [];
  for (const name of names) {
    const guest = await netmap.createGuest();
    await guest.passthrough(name, { ...SLOTS, loop: 'direct' });
    drivers.push(PtnetDriver.probe(await guest.machine(), options)[0]);
  }
  return [netmap, drivers];
}

/** What the twin of a driver needs to know of it. */
export interface TwinDriver {
  readonly mem: Memory;
  /** Its krings: one tx, one rx. */
  readonly tx: number;
  readonly rx: number;
  /** The doorbells: rung, the kernel loop runs here and now. */
  readonly kickTx: () => void;
  readonly kickRx: () => void;
}

/** The twins of drivers that were opened, in the order in which they were made. */
export function twinDrivers(netmap: Netmap, drivers: readonly PtnetDriver[]): TwinDriver[] {
  const mem = memoryOf(netmap.memory.buffer);
  const self = selfOf(netmap);
  const handler = (): void => {}; // the programs poll
  return drivers.map(({ machine }, i) => {
    // Where the driver puts its krings: behind the two arrays of the CSB, of two entries each (src/ptnet/driver.ts).
    const tx = machine.ram.base + 4 * abi.CSB_ENTRY_SIZE;
    const loop = mem.i32[(self + abi.THREAD_LOOPS + 4 * i) >>> 2];
    const kickTx = (): void => doorbell(mem, loop, 0, self, handler);
    const kickRx = (): void => doorbell(mem, loop, 1, self, handler);
    return { mem, tx, rx: tx + abi.GKRING_SIZE, kickTx, kickRx };
  });
}

/** Two guests whose programs have the ports. */
export async function openGuests(names: readonly string[], engine: Engine): Promise<World> {
  const [netmap, drivers] = await openDrivers(names, { vnetHdr: false });
  const ports = drivers.map((driver) => driver.open());
  if (names !== PIPE) await introduce(ports);
  const [sender, receiver] = ports;
  const common = { netmap, tx: sender.txRings[0], rx: [receiver.rxRings[0]], close: () => netmap.close() };
  if (engine === 'ptnet') {
    const sync = (): void => {
      const result = sender.txsync() | receiver.rxsync();
      if (result !== 0) failed(result);
    };
    return { ...common, sync, syncTx: () => sender.txsync() };
  }
  const [a, b] = twinDrivers(netmap, drivers);
  const syncTx = (): number => {
    ptnetTxsync(a.mem, a.tx, abi.NAF_FORCE_RECLAIM, a.kickTx);
    return 0;
  };
  const sync = (): void => {
    syncTx();
    ptnetRxsync(b.mem, b.rx, abi.NAF_FORCE_READ, b.kickRx);
  };
  return { ...common, sync, syncTx };
}
