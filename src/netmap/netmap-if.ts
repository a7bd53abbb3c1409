// The netmap_if of an open port (the directory of its rings), and the extra buffers that hang on it. Control thread only.

import {
  NETMAP_IF_BUFS_HEAD,
  NETMAP_IF_FLAGS,
  NETMAP_IF_HOST_RX_RINGS,
  NETMAP_IF_HOST_TX_RINGS,
  NETMAP_IF_NAME,
  NETMAP_IF_RING_OFS,
  NETMAP_IF_RX_RINGS,
  NETMAP_IF_SIZE,
  NETMAP_IF_TX_RINGS,
  NETMAP_IFNAMSIZ,
  NI_PRIV_MEM,
} from '../abi.js';
import type { ArenaOwner } from '../memory/arena.js';
import { DATA_MODELS, type DataModel } from '../memory/data-model.js';
import type { Adapter } from './adapter.js';
import type { Kring } from './kring.js';

/** What a netmap_if says of the port elsewhere that its own one stands for. */
export interface ShownAs {
  readonly name: string;
  readonly hostTxRings: number;
  readonly hostRxRings: number;
}

/**
 * Makes the directory, with the offsets of the rings that are bound. Returns its address.
 * @param shownAs default: its own port, as it is
 * @throws NetmapError ENOMEM
 */
export function makeIf(
  arena: ArenaOwner,
  adapter: Adapter,
  bound: readonly Kring[],
  dataModel: DataModel,
  shownAs?: ShownAs,
): number {
  const entrySize = DATA_MODELS[dataModel].ringOfsSize;
  const { tx, rx, hostTx, hostRx } = adapter;
  // One host ring a direction is reported by adapters that have none, too, with a directory entry of 0.
  const hosts = [
    Math.max(hostTx.length, shownAs?.hostTxRings ?? 0, 1),
    Math.max(hostRx.length, shownAs?.hostRxRings ?? 0, 1),
  ];
  const entries = tx.length + hosts[0] + rx.length + hosts[1];
  const nifp = adapter.region.allocIf(NETMAP_IF_SIZE + entries * entrySize);
  const name = new TextEncoder().encode(shownAs?.name ?? adapter.name).subarray(0, NETMAP_IFNAMSIZ - 1);
  arena.u8.set(name, nifp + NETMAP_IF_NAME);
  const set = (field: number, value: number): void => arena.store(nifp + field, value);
  set(NETMAP_IF_FLAGS, adapter.region.isPrivate ? NI_PRIV_MEM : 0);
  set(NETMAP_IF_TX_RINGS, tx.length);
  set(NETMAP_IF_RX_RINGS, rx.length);
  set(NETMAP_IF_HOST_TX_RINGS, hosts[0]);
  set(NETMAP_IF_HOST_RX_RINGS, hosts[1]);
  const directions: [Kring[], Kring[], number][] = [
    [tx, hostTx, hosts[0]],
    [rx, hostRx, hosts[1]],
  ];
  let start = NETMAP_IF_RING_OFS;
  for (const [nic, host, hostEntries] of directions) {
    for (const kring of [...nic, ...host]) {
      const at = start + kring.ringId * entrySize;
      set(at, bound.includes(kring) ? kring.ring - nifp : 0);
    }
    start += (nic.length + hostEntries) * entrySize;
  }
  return nifp;
}

/**
 * Extra buffers: a list through the first word of each, the last one allocated in front. Returns how many there were; an
 * empty pool is no error.
 */
export function allocExtraBufs(arena: ArenaOwner, { region }: Adapter, nifp: number, wanted: number): number {
  let head = 0;
  let granted = 0;
  for (; granted < wanted; granted++) {
    const index = region.bufs.alloc();
    if (index < 0) break;
    arena.store(region.bufBase + index * region.pools.bufPool.objsize, head);
    head = index;
  }
  arena.store(nifp + NETMAP_IF_BUFS_HEAD, head);
  return granted;
}

/** Frees the buffers of the list, as far as it names buffers that are handed out: it is the application's. */
export function freeExtraBufs(arena: ArenaOwner, { region }: Adapter, nifp: number): void {
  let index = arena.load(nifp + NETMAP_IF_BUFS_HEAD);
  while (region.bufs.isAllocated(index)) {
    const next = arena.load(region.bufBase + index * region.pools.bufPool.objsize);
    region.freeBuf(index);
    index = next;
  }
}
