// Which value a tunable has: its default, or what a file, the environment or a caller says; later ones win.

import { checkSetting, type GivenTunables, isNetmapName } from './check.js';
import { DEFAULT_TUNABLES, TUNABLES, type Tunables } from './table.js';

/** Where values come from; later ones win. */
export interface TunableSources {
  /** What holds where nobody says anything; the implementation's defaults, or the host's for a guest. */
  readonly defaults?: Tunables;
  /** What `parseLoaderConf` has read. */
  readonly file?: GivenTunables;
  /**
   * An environment, such as `process.env`. Names are FreeBSD's, or those that shells can set: in capitals, with an
   * underscore for a point, `DEV_NETMAP_PTNET_VNET_HDR`. If both are there, FreeBSD's wins. What is not netmap's is
   * passed over.
   */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Values of the caller. */
  readonly values?: GivenTunables;
}

const SHELL_PREFIX = 'DEV_NETMAP_';
const SHELL_NAMES = new Map(TUNABLES.map(({ name }) => [name.toUpperCase().replaceAll('.', '_'), name]));

function readEnvironment(env: Readonly<Record<string, string | undefined>>): GivenTunables {
  const shell: [string, number][] = [];
  const own: [string, number][] = [];
  for (const [name, value] of Object.entries(env)) {
    if (value === undefined) continue;
    if (isNetmapName(name)) {
      own.push(checkSetting('environment', name, value));
    } else if (SHELL_NAMES.has(name) || name.startsWith(SHELL_PREFIX)) {
      const meant = SHELL_NAMES.get(name) ?? name.toLowerCase().replace('dev_netmap_', 'dev.netmap.');
      shell.push(checkSetting(`environment, ${name}`, meant, value));
    }
  }
  return Object.fromEntries([...shell, ...own]);
}

function checkValues(source: string, values: GivenTunables): GivenTunables {
  const given = Object.entries(values).filter(([, value]) => value !== undefined);
  return Object.fromEntries(given.map(([name, value]) => checkSetting(source, name, value)));
}

/**
 * The value of every tunable.
 * @throws NetmapError EINVAL with source, name, value and range, or with the known name that is nearest
 */
export function resolveTunables(sources: TunableSources = {}): Tunables {
  const { defaults = DEFAULT_TUNABLES, file = {}, env = {}, values = {} } = sources;
  return {
    ...defaults,
    ...checkValues('file', file),
    ...readEnvironment(env),
    ...checkValues('options', values),
  };
}
