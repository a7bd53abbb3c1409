// The tunables: the variables that netmap has below dev.netmap (netmap(4)), and the module parameter of the Linux driver
// of ptnet. Only those are here that do something, or that tell a number that this implementation has.

import { NM_BDG_BATCH, NM_BRIDGES } from '../abi.js';
import {
  GLOBAL_POOLS,
  type GlobalPoolParams,
  POOL_LIMITS,
  type PoolLimits,
  PRIVATE_IF_LIMITS,
  PRIVATE_MIN_POOLS,
  type PrivatePoolParams,
} from '../memory/pools.js';

/** FreeBSD's name of a tunable; `ptnet_gso` is Linux's. */
export type TunableName =
  | `dev.netmap.${'ptnet_vnet_hdr' | 'max_bridges' | 'bridge_batch' | 'fwd' | keyof GlobalPoolParams | keyof PrivatePoolParams}`
  | 'ptnet_gso';

/** A value for each tunable. */
export type Tunables = Readonly<Record<TunableName, number>>;

/** What there is to know about a tunable. */
export interface TunableInfo {
  readonly name: TunableName;
  readonly default: number;
  /** Least and greatest value. */
  readonly min: number;
  readonly max: number;
  /** False for a constant of this implementation. */
  readonly writable: boolean;
  /** One line. */
  readonly description: string;
}

/** Bridges that an arena can be asked for: far more than its memory has room for. */
const MAX_BRIDGES = 0xffff;

function tunable(name: TunableName, value: number, min: number, max: number, description: string): TunableInfo {
  return { name, default: value, min, max, writable: true, description };
}

function constant(name: TunableName, value: number, description: string): TunableInfo {
  return { name, default: value, min: value, max: value, writable: false, description };
}

const POOLS = [
  ['if', 'netmap_if', POOL_LIMITS.if, PRIVATE_IF_LIMITS],
  ['ring', 'netmap_ring', POOL_LIMITS.ring, POOL_LIMITS.ring],
  ['buf', 'packet buffer', POOL_LIMITS.buf, POOL_LIMITS.buf],
] as const;

function poolTunables(): TunableInfo[] {
  const numbers = (limits: PoolLimits): [number, number] => [limits.minNum, limits.maxNum];
  const sizes = (limits: PoolLimits): [number, number] => [limits.minSize, limits.maxSize];
  return POOLS.flatMap(([kind, what, limits, priv]) => [
    tunable(`dev.netmap.${kind}_size`, GLOBAL_POOLS[`${kind}_size`], ...sizes(limits), `Requested size of a ${what}`),
    tunable(`dev.netmap.${kind}_num`, GLOBAL_POOLS[`${kind}_num`], ...numbers(limits), `Requested number of ${what}s`),
    tunable(
      `dev.netmap.priv_${kind}_size`,
      PRIVATE_MIN_POOLS[`priv_${kind}_size`],
      ...sizes(priv),
      `Least size of a ${what} in private regions`,
    ),
    tunable(
      `dev.netmap.priv_${kind}_num`,
      PRIVATE_MIN_POOLS[`priv_${kind}_num`],
      ...numbers(priv),
      `Least number of ${what}s in private regions`,
    ),
  ]);
}

/** All tunables, in the order of their names. */
export const TUNABLES: readonly TunableInfo[] = [
  constant('dev.netmap.bridge_batch', NM_BDG_BATCH, 'Slots that a VALE switch forwards at a time'),
  tunable('dev.netmap.fwd', 0, 0, 1, 'Forward every released frame between NIC and host rings'),
  tunable('dev.netmap.max_bridges', NM_BRIDGES, 1, MAX_BRIDGES, 'VALE switches that may exist at a time'),
  tunable('dev.netmap.ptnet_vnet_hdr', 1, 0, 1, 'Whether ptnet drivers ask for virtio-net headers'),
  ...poolTunables(),
  tunable('ptnet_gso', 1, 0, 1, 'Whether ptnet interfaces have segmentation offload'),
].sort((a, b) => (a.name < b.name ? -1 : 1));

/** The value of each tunable when nobody says anything. */
export const DEFAULT_TUNABLES: Tunables = Object.freeze(
  Object.fromEntries(TUNABLES.map((info) => [info.name, info.default])) as Record<TunableName, number>,
);
