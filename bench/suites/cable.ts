// A cable: frames that were sent into a pipe of one memory come out of a pipe of another. The application only moves head
// and cur; what is timed is two pipes and the copy between them. The plain twin copies views of the frames.
import { joinPorts, Netmap, type NetmapRing } from 'ptnet';
import { deliveryCase } from '../delivery.js';
import { type Memory, memoryOf, ringDistance } from '../twins/memory.js';
import { ringSync } from '../twins/sync.js';
import { type Case, RING_SLOTS, type SuiteOptions } from '../types.js';
import { type Engine, PIPE, selfOf, type World } from '../world.js';

const MEMORY = 1 << 27;
const SLOTS = { txSlots: RING_SLOTS, rxSlots: RING_SLOTS };

async function openPipe() {
  const netmap = await Netmap.create({ memorySize: MEMORY });
  const [user, joined] = await Promise.all(PIPE.map((name) => netmap.open(name, SLOTS)));
  return { netmap, user, joined };
}

/** The frames of an rx ring, to a tx ring of another memory: what one would write. */
function copyFrames(src: NetmapRing, dst: NetmapRing): void {
  let r = src.head;
  let t = dst.head;
  const n = Math.min(ringDistance(r, src.tail, RING_SLOTS), ringDistance(t, dst.tail, RING_SLOTS));
  for (let k = 0; k < n; k++) {
    const { bufIdx, len, flags } = src.slot(r);
    if (bufIdx < 2 || bufIdx >= src.numBufs || len > Math.min(src.bufSize, dst.bufSize)) throw new Error('a bad slot');
    const from = src.bufBase + bufIdx * src.bufSize;
    dst.u8.set(src.u8.subarray(from, from + len), dst.bufAddress(t));
    dst.setSlot(t, len, flags);
    r = src.next(r);
    t = dst.next(t);
  }
  src.advance(n);
  dst.advance(n);
}

async function open(engine: Engine): Promise<World> {
  const a = await openPipe();
  const b = await openPipe();
  const [tx] = a.user.txRings;
  const [rx] = b.user.rxRings;
  const cable = engine === 'ptnet' ? joinPorts(a.joined, b.joined) : undefined;
  const close = async (): Promise<void> => {
    await cable?.close();
    for (const { netmap } of [a, b]) await netmap.close();
  };
  const common = { netmap: a.netmap, tx, rx: [rx], close };
  if (cable) {
    const sync = (): void => {
      a.user.txsync();
      cable.pump();
      b.user.rxsync();
    };
    return { ...common, sync, syncTx: () => a.user.txsync() };
  }
  const [memA, memB] = [a, b].map(({ netmap }): Memory => memoryOf(netmap.memory.buffer));
  const [selfA, selfB] = [selfOf(a.netmap), selfOf(b.netmap)];
  const krings = [a.user.info.tx[0], a.joined.info.rx[0], b.joined.info.tx[0], b.user.info.rx[0]];
  const [userTx, joinedRx, joinedTx, userRx] = krings.map(({ kring }) => kring);
  const [src] = a.joined.rxRings;
  const [dst] = b.joined.txRings;
  const syncTx = (): number => ringSync(memA, userTx, selfA);
  const sync = (): void => {
    syncTx();
    ringSync(memA, joinedRx, selfA);
    copyFrames(src, dst);
    ringSync(memB, joinedTx, selfB);
    ringSync(memB, userRx, selfB);
  };
  return { ...common, sync, syncTx };
}

export function cableSuite({ sizes }: SuiteOptions): Case[] {
  const common = { suite: 'cable', task: 'cable', application: 'moves' as const, open };
  return sizes.map((size) => deliveryCase({ ...common, name: `${size}`, size }));
}
