// `ptnet sysctl`: what the tunables are, in the form of sysctl(8).

import { Command } from 'commander';
import { nearestTunable, TUNABLES, type TunableInfo } from '../index.js';
import { loaderConfOption } from './arguments.js';
import { failure, usage } from './errors.js';
import { readTunables } from './tunables.js';

interface SysctlOptions {
  /** Descriptions instead of values. */
  readonly d?: boolean;
  /** Without names. */
  readonly n?: boolean;
  readonly json?: boolean;
  readonly loaderConf?: string;
}

const HELP = `
A name such as dev.netmap means all that is below it; without names, all are shown. To set one, use a file or the
environment of the command that shall see it; the environment wins, and DEV_NETMAP_MAX_BRIDGES is dev.netmap.max_bridges
in letters that every shell can set:

  $ DEV_NETMAP_MAX_BRIDGES=16 ptnet sysctl dev.netmap.max_bridges
  $ ptnet sysctl --loader-conf /boot/loader.conf -d dev.netmap`;

/** A name with a value is a wish that nobody can grant: no kernel outlives the command. */
function refuseSetting(text: string): void {
  const at = text.indexOf('=');
  if (at < 0) return;
  const name = text.slice(0, at);
  const shell = name.toUpperCase().replaceAll('.', '_');
  throw usage(
    `${name} cannot be set here, as a host lives as long as its command: write ${text} into the file of --loader-conf ` +
      `(or PTNET_LOADER_CONF), or ${shell}${text.slice(at)} into the environment`,
  );
}

/** The tunables that a name means: itself, or all that is below it. */
function below(name: string): TunableInfo[] {
  return TUNABLES.filter((info) => info.name === name || info.name.startsWith(`${name}.`));
}

function unknownOid(name: string): string {
  const nearest = nearestTunable(name);
  return failure('ENOENT', `unknown oid '${name}'${nearest ? `: did you mean '${nearest}'?` : ''}`).message;
}

/**
 * Prints tunables.
 * @returns whether all names are known; those that are not are told on standard error
 * @throws UsageError: a setting, or a bad one in file or environment
 */
function sysctl(names: readonly string[], { d, n, json, loaderConf }: SysctlOptions): boolean {
  for (const name of names) refuseSetting(name);
  const tunables = readTunables(loaderConf);
  const unknown = names.filter((name) => below(name).length === 0);
  for (const info of names.length === 0 ? TUNABLES : names.flatMap(below)) {
    const value = tunables[info.name];
    const shown = d ? info.description : value;
    const line = json ? JSON.stringify({ ...info, value }) : n ? `${shown}` : `${info.name}: ${shown}`;
    process.stdout.write(`${line}\n`);
  }
  for (const name of unknown) process.stderr.write(`ptnet: ${unknownOid(name)}\n`);
  return unknown.length === 0;
}

/** @param finish is told whether all went well */
export function sysctlCommand(finish: (ok: boolean) => void): Command {
  return new Command('sysctl')
    .description('Shows the tunables of hosts and guests: dev.netmap.* and ptnet_gso.')
    .argument('[names...]', 'tunables, or nodes such as dev.netmap')
    .option('-d', 'descriptions instead of values')
    .option('-n', 'without names')
    .option('--json', 'one JSON object a line for each, with its default and range')
    .addOption(loaderConfOption())
    .option('--debug', 'errors with their stacks')
    .addHelpText('after', HELP)
    .action((names: string[], options: SysctlOptions) => finish(sysctl(names, options)));
}
