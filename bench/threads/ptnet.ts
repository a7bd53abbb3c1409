// Two guests, each with a program and its kernel loop in a worker of its own, or two workers with a port of the host each: ptnet
// as a transport between two workers.
import { abi, type GuestHandle, Netmap, type NetmapHandle, type NetmapPort, PtnetDriver } from 'ptnet';
import { type GuestProgram, guestProgram } from '../guest-program.js';
import { digestRing, drain, FNV_PRIME, fill, makeFrames } from '../program.js';
import { RING_SLOTS } from '../types.js';
import { introduction } from '../world.js';
import type { WorkerTask } from './control.js';
import type { PolledReceiver, PolledSender } from './polled.js';
import { digestSlots, drainSlots, fillSlots } from './slots.js';

export interface PtnetData {
  /** The guest, or else the port of the host, that the program uses. */
  readonly guest?: GuestHandle;
  readonly host?: { readonly netmap: NetmapHandle; readonly name: string };
  /** Whether the programs touch the frames; otherwise slots only. */
  readonly frames: boolean;
  /** Whether programs that do not touch the frames are in Wasm. */
  readonly inWasm?: boolean;
  /** Whether the receiver says where it is: to a switch. */
  readonly introduces: boolean;
  /** Whether they sleep while there is nothing to do. */
  readonly sleeps: boolean;
}

const WAIT = 100;
/** poll() shall look at what it is asked for, and not at the other direction too. */
const FLAGS = abi.NR_NO_TX_POLL;

async function attach({ guest, host }: PtnetData): Promise<{ netmap: Netmap; port: NetmapPort }> {
  if (host) {
    const netmap = await Netmap.attach(host.netmap);
    const port = await netmap.open(host.name, { txSlots: RING_SLOTS, rxSlots: RING_SLOTS, flags: FLAGS });
    return { netmap, port };
  }
  if (!guest) throw new Error('neither a guest nor a port');
  const { netmap, machine } = await Netmap.attachGuest(guest);
  const [driver] = PtnetDriver.probe(machine, { vnetHdr: false });
  return { netmap, port: driver.open({ flags: FLAGS }) };
}

interface Side {
  readonly port: NetmapPort;
  readonly write: GuestProgram['fill'];
  readonly read: GuestProgram['drain'];
  readonly close: () => Promise<void>;
}

function programOf({ frames, inWasm }: PtnetData, memory: WebAssembly.Memory): Pick<Side, 'write' | 'read'> {
  if (frames) return { write: fill, read: drain };
  if (!inWasm) return { write: fillSlots, read: drainSlots };
  const program = guestProgram(memory, 'slots');
  return { write: program.fill, read: program.drain };
}

async function openPort(task: WorkerTask<PtnetData>): Promise<Side> {
  const { netmap, port } = await attach(task.data);
  const close = async (): Promise<void> => {
    await port.close();
    await netmap.close();
  };
  return { port, ...programOf(task.data, netmap.memory), close };
}

export async function openSender(task: WorkerTask<PtnetData>): Promise<PolledSender> {
  const { port, write, close } = await openPort(task);
  const { size, data } = task;
  const [ring] = port.txRings;
  makeFrames(ring, size, 1);
  const send = (seq: number, count: number, vary: number): number => {
    const n = Math.min(count, ring.space);
    write(ring, n, seq, size, vary);
    // As poll does it: pushes the slots, and rings the doorbell if the host wants it.
    if (n === 0 && data.sleeps && count !== 0) port.pollSync(abi.POLLOUT, WAIT);
    else port.pollOnce(abi.POLLOUT);
    return n;
  };
  return { send, close };
}

export async function openReceiver(task: WorkerTask<PtnetData>): Promise<PolledReceiver> {
  const { port, read, close } = await openPort(task);
  const [ring] = port.rxRings;
  if (task.data.introduces) await port.send(introduction(2));
  const { sleeps } = task.data;
  return {
    sleeps,
    take: (into, waits) => {
      if (sleeps && waits) port.pollSync(abi.POLLIN, WAIT);
      else port.pollOnce(abi.POLLIN);
      read(ring, into);
    },
    digest: (hash, into) => {
      port.rxsync();
      into.packets += ring.space;
      const after = task.data.frames ? digestRing(ring, hash) : digestSlots(ring, hash, FNV_PRIME);
      port.rxsync();
      return after;
    },
    close,
  };
}
