// What the host's tunables mean to its registry: they are defaults for the options of the same meaning.

import { GLOBAL_POOLS, type GlobalPoolParams, PRIVATE_MIN_POOLS, type PrivatePoolParams } from '../memory/pools.js';
import type { RegistryOptions } from '../netmap/registry.js';
import type { Tunables } from '../tunables/table.js';
import { MAX_PORTS } from '../vale/bridge.js';

type PoolParam = keyof GlobalPoolParams | keyof PrivatePoolParams;

/** The parameters that `names` has, with the values of their tunables. */
function poolParams<Name extends PoolParam>(names: Readonly<Record<Name, number>>, tunables: Tunables) {
  const keys = Object.keys(names) as Name[];
  return Object.fromEntries(keys.map((name) => [name, tunables[`dev.netmap.${name}`]])) as Record<Name, number>;
}

/** The registry's options: explicit ones, and for the others the tunables. */
export function registryOptions(options: RegistryOptions, tunables: Tunables): Required<RegistryOptions> {
  return {
    pools: { ...poolParams(GLOBAL_POOLS, tunables), ...options.pools },
    privatePools: { ...poolParams(PRIVATE_MIN_POOLS, tunables), ...options.privatePools },
    fwd: options.fwd ?? tunables['dev.netmap.fwd'] !== 0,
    maxBridgePorts: options.maxBridgePorts ?? MAX_PORTS,
    maxBridges: options.maxBridges ?? tunables['dev.netmap.max_bridges'],
  };
}
