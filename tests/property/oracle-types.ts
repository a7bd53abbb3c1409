// What the oracle's host is made of: adapters, requests, and how large a private region is. See oracle-host.ts.

import type { ErrnoCode } from '../../src/errors.js';
import { type Dir, type Kring, type PortSync, type ProgramRange, Region } from './oracle.js';
import type { Offsets } from './oracle-offsets.js';
import type { Bridge, BridgePort } from './oracle-vale.js';

export interface Geometry {
  txRings: number;
  rxRings: number;
  txSlots: number;
  rxSlots: number;
}

/** An open of a port by its name, as the harness composes a specification from it. */
export interface OpenRequest {
  readonly name: string;
  readonly config: Partial<Geometry>;
  readonly dirs: 'both' | Dir;
  readonly exclusive: boolean;
  readonly ring: number | undefined;
  readonly extraBufs?: number;
  readonly offsets?: Offsets | undefined;
  /** Suffix of the host rings: `^`, or `*` for NIC and host rings. */
  readonly host?: '^' | '*';
  /** Letters of a monitor: t, r, rt, or z. */
  readonly monitor?: string;
  /** Name of a port whose region is to be used, or `GLOBAL`. */
  readonly sameRegionAs: string | undefined;
}

/** Private pools' minimum parameters, as given to the host under test. */
export const POOLS = {
  priv_if_size: 128,
  priv_if_num: 1,
  priv_ring_size: 512,
  priv_ring_num: 2,
  priv_buf_size: 128,
  priv_buf_num: 4,
};

/** The global region's parameters: buffers of another size, and not many of anything. */
export const GLOBAL_POOLS = { if_size: 128, if_num: 32, ring_size: 512, ring_num: 16, buf_size: 64, buf_num: 128 };
export const GLOBAL = 'the global region';

export class OracleError extends Error {
  readonly code: ErrnoCode;

  constructor(code: ErrnoCode) {
    super(code);
    this.code = code;
  }
}

export interface Adapter extends Geometry {
  readonly name: string;
  readonly region: Region;
  readonly tx: Kring[];
  readonly rx: Kring[];
  readonly hostTx: Kring[];
  readonly hostRx: Kring[];
  readonly sync: PortSync;
  /** VALE ports. */
  ranges: ProgramRange[] | undefined;
  users: number;
  /** Monitors: whom they watch. */
  watched: Adapter | undefined;
  /** NICs. */
  nic: Nic | undefined;
  bridge: Bridge | undefined;
  bridgeIndex: number;
  peer: Adapter | undefined;
  parent: Adapter | undefined;
}

/** An open port: what the harness drives beside the real one. */
export interface OpenPort {
  readonly adapter: Adapter;
  /** Its first extra buffer, and how many it got. */
  readonly extra: { head: number; readonly granted: number };
  readonly maxOffset: number;
  readonly tx: Kring[];
  readonly rx: Kring[];
}

const up = (value: number, unit: number): number => Math.ceil(value / unit) * unit;

/** Objects in a pool: whole clusters, the smallest number that fills pages. */
function poolSize(num: number, size: number): number {
  let cluster = 1;
  while ((cluster * size) % 4096 !== 0) cluster++;
  return up(num, cluster);
}

/** The ends of a NIC that its owner has, and its bridge. */
export interface Nic {
  readonly wire: Adapter;
  readonly stack: Adapter;
  bridge: Bridge | undefined;
  ports: BridgePort[];
}

/** A private region: room for these rings, a pair of host rings, and pipes (two for VALE ports and NICs). */
export function privateRegion({ txRings, rxRings, txSlots, rxSlots }: Geometry, pipes = 2, extraBufs = 0): Region {
  const [t, r] = [txRings + 1, rxRings + 1];
  const ifBytes = up(Math.max(POOLS.priv_if_size, 56 + 8 * (t + r)), 64);
  const ringBytes = up(Math.max(POOLS.priv_ring_size, 256 + 16 * Math.max(txSlots, rxSlots)), 64);
  const bufs = (4 * pipes + r) * rxSlots + (4 * pipes + t) * txSlots + 2 + extraBufs;
  return new Region(
    poolSize(Math.max(bufs, POOLS.priv_buf_num), POOLS.priv_buf_size),
    POOLS.priv_buf_size,
    poolSize(2 + 4 * pipes, ifBytes),
    poolSize(t + r + 8 * pipes, ringBytes),
    ringBytes,
  );
}

export const counted = (wanted: number | undefined, fallback: number, most: number): number =>
  wanted === undefined || wanted === 0 ? fallback : Math.min(wanted, most);
