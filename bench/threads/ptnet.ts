// Two guests, each with a program and its kernel loop in a worker of its own: ptnet as a transport between two workers.
import { abi, type GuestHandle, Netmap, type NetmapPort, PtnetDriver } from 'ptnet';
import { digestRing, drain, FNV_PRIME, fill, makeFrames } from '../program.js';
import { introduction } from '../world.js';
import type { WorkerTask } from './control.js';
import type { PolledReceiver, PolledSender } from './polled.js';
import { digestSlots, drainSlots, fillSlots } from './slots.js';

export interface PtnetData {
  readonly guest: GuestHandle;
  /** Whether the programs touch the frames; otherwise slots only. */
  readonly frames: boolean;
  /** Whether the receiver says where it is: to a switch. */
  readonly introduces: boolean;
  /** Whether they sleep while there is nothing to do. */
  readonly sleeps: boolean;
}

const WAIT = 100;

async function openPort(task: WorkerTask<PtnetData>): Promise<{ port: NetmapPort; close: () => Promise<void> }> {
  const { netmap, machine } = await Netmap.attachGuest(task.data.guest);
  const [driver] = PtnetDriver.probe(machine, { vnetHdr: false });
  // poll() shall look at what it is asked for, and not at the other direction too.
  const port = driver.open({ flags: abi.NR_NO_TX_POLL });
  const close = async (): Promise<void> => {
    await port.close();
    await netmap.close();
  };
  return { port, close };
}

export async function openSender(task: WorkerTask<PtnetData>): Promise<PolledSender> {
  const { port, close } = await openPort(task);
  const { size, data } = task;
  const [ring] = port.txRings;
  makeFrames(ring, size, 1);
  const write = data.frames ? fill : fillSlots;
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
  const { port, close } = await openPort(task);
  const [ring] = port.rxRings;
  if (task.data.introduces) await port.send(introduction(2));
  const { sleeps } = task.data;
  const read = task.data.frames ? drain : drainSlots;
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
