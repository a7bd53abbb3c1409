// Opens what a bench runs on, through the public API: the ports of a pipe or a switch, or two guests on them. The plain
// JavaScript twin gets a world of its own, laid out by ptnet too, and replaces the syncs.
import { abi, Netmap, type NetmapPort, type NetmapRing, PtnetDriver } from 'ptnet';
import { macOf } from './program.js';
import { kick } from './twins/kloop.js';
import { memoryOf } from './twins/memory.js';
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

/**
 * A switch does not know its ports' addresses yet: the receivers say who they are. (The sender does so by its first
 * frame, and starts from slot 0 as its native twin does.)
 */
async function introduce(ports: readonly NetmapPort[]): Promise<void> {
  for (const [i, port] of ports.entries()) {
    if (i === 0) continue;
    const frame = new Uint8Array(60);
    frame.set([...macOf(9), ...macOf(i + 1)]);
    await port.send(frame);
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
function selfOf(netmap: Netmap): number {
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

/** Two guests, one port passed through to each; their kernel loops run in this thread ("direct" mode). */
export async function openGuests(names: readonly string[], engine: Engine): Promise<World> {
  const netmap = await Netmap.create({ memorySize: MEMORY });
  const drivers: PtnetDriver[] = [];
  const ports: NetmapPort[] = [];
  for (const name of names) {
    const guest = await netmap.createGuest();
    await guest.passthrough(name, { ...SLOTS, loop: 'direct' });
    const [driver] = PtnetDriver.probe(await guest.machine());
    drivers.push(driver);
    ports.push(driver.open());
  }
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
  const mem = memoryOf(netmap.memory.buffer);
  const self = selfOf(netmap);
  // Where the driver puts its krings: one tx, one rx, behind the two pages of the CSB (src/ptnet/driver.ts).
  const gkrings = drivers.map(({ machine }) => machine.ram.base + 2 * abi.NETMAP_PAGE_SIZE);
  const gtx = gkrings[0];
  const grx = gkrings[1] + abi.GKRING_SIZE;
  const [loopA, loopB] = [0, 1].map((i) => mem.i32[(self + abi.THREAD_LOOPS + 4 * i) >>> 2]);
  const handler = (): void => {}; // the programs poll
  const syncTx = (): number => {
    if (ptnetTxsync(mem, gtx, abi.NAF_FORCE_RECLAIM)) kick(mem, loopA, 0, self, handler);
    return 0;
  };
  const sync = (): void => {
    syncTx();
    if (ptnetRxsync(mem, grx, abi.NAF_FORCE_READ)) kick(mem, loopB, 1, self, handler);
  };
  return { ...common, sync, syncTx };
}
