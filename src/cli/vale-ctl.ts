// vale-ctl (valectl(8) of FreeBSD): makes persistent ports, puts interfaces on switches, lists what is there. It acts on
// the run's host when its turn to start comes, in the main thread.

import { Command, Option } from 'commander';
import type { Netmap, PollingOptions } from '../index.js';
import { failure, usage } from './errors.js';
import type { PortConfig, ValeCtlAction, ValeCtlOptions } from './programs/options.js';
import { integer, parsePolling, parsePortConfig } from './values.js';

const ACTIONS = 'actions';

/** DIFF: netmap's does what the last letter says; here letters act in the order in which they are written. */
function action(letter: string, argument: string, description: string): Option {
  return new Option(`-${letter} ${argument}`, description);
}

export function valeCtlCommand(): Command {
  const command = new Command('vale-ctl')
    .helpOption('--help', 'display help for command')
    .description('Manages the VALE switches of a run: persistent ports, interfaces on switches, lists (valectl(8)).');
  const options = [
    action('g', '<port>', 'the rings and slots of a port, as vale0:a'),
    action('a', '<port>', 'attach an interface to a switch, as vale0:eth0'),
    action('h', '<port>', 'the same, with its host rings'),
    action('d', '<port>', 'detach it'),
    action('n', '<name>', 'make a persistent port'),
    action('r', '<name>', 'remove it'),
    action('l', '[port]', 'numbers of a port and of its switch; without a port, of all'),
    action('p', '<port>', 'have loop workers (--threads) poll an attached interface'),
    action('P', '<port>', 'end that'),
  ];
  const actions: ValeCtlAction[] = [];
  for (const option of options) {
    command.addOption(option);
    const letter = option.name();
    command.on(`option:${letter}`, (name: string | null) => {
      actions.push({ letter, name: typeof name === 'string' ? name : '' });
    });
  }
  command.setOptionValue(ACTIONS, actions);
  return command
    .addOption(
      new Option(
        '-C <config>',
        'with -n: tx_slots[,rx_slots[,tx_rings[,rx_rings]]]; with -p: 0,CPU or 1,CPU[,COUNT], all rings or one a CPU',
      ),
    )
    .option('-m <memid>', 'with -n: mem id of the memory to use', integer(1, 65535));
}

export function valeCtlOptions(command: Command): ValeCtlOptions {
  const { C: config, m: memId } = command.opts();
  const actions = command.getOptionValue(ACTIONS) as ValeCtlAction[];
  const [makes, polls] = ['n', 'p'].map((one) => actions.some(({ letter }) => letter === one));
  if (memId !== undefined && !makes) throw usage('vale-ctl -m goes with -n');
  if (config !== undefined && makes === polls) throw usage('vale-ctl -C goes with -n, or with -p, not with both');
  return {
    program: 'vale-ctl',
    ports: [],
    actions: actions.length === 0 ? [{ letter: 'l', name: '' }] : actions,
    config: {
      ...(config !== undefined && makes ? configOf(config, parsePortConfig) : {}),
      ...(memId === undefined ? {} : { memId }),
    },
    polling: config !== undefined && polls ? configOf(config, parsePolling) : {},
  };
}

function configOf<T>(text: string, parse: (text: string) => T): T {
  try {
    return parse(text);
  } catch (error) {
    throw usage(`vale-ctl -C ${text}: ${(error as Error).message}`);
  }
}

/**
 * Does what the letters say, in order.
 * @returns what is to be told
 * @throws NetmapError of the first that fails
 */
export async function valeCtl(netmap: Netmap, { actions, config, polling }: ValeCtlOptions): Promise<string[]> {
  const lines: string[] = [];
  for (const one of actions) lines.push(...(await act(netmap, one, config, polling)));
  return lines;
}

async function act(
  netmap: Netmap,
  { letter, name }: ValeCtlAction,
  config: PortConfig,
  polling: PollingOptions,
): Promise<string[]> {
  if (letter === 'n') {
    const { txRings, rxRings, txSlots, rxSlots, memId } = await netmap.newInterface(name, config);
    return [`${name}: tx ${txRings} x ${txSlots}, rx ${rxRings} x ${rxSlots}, mem id ${memId}`];
  }
  if (letter === 'r') {
    await netmap.deleteInterface(name);
    return [`${name}: removed`];
  }
  if (letter === 'a' || letter === 'h') {
    const index = await netmap.valeAttach(letter === 'h' ? `${name}*` : name);
    return [`${name}: attached as port ${index}`];
  }
  if (letter === 'd') return [`${name}: detached, it was port ${await netmap.valeDetach(name)}`];
  if (letter === 'p') {
    await netmap.valePollingEnable(name, polling);
    return [`${name}: polled`];
  }
  if (letter === 'P') {
    await netmap.valePollingDisable(name);
    return [`${name}: not polled any more`];
  }
  if (letter === 'g') return [await ringsOf(netmap, name)];
  const entries = await netmap.valeList(name === '' ? undefined : name);
  return entries.map((entry) => `bridge:${entry.bridgeIndex} port:${entry.portIndex} ${entry.name}`);
}

async function ringsOf(netmap: Netmap, name: string): Promise<string> {
  const { ports } = await netmap.valeInspect(name.split(':')[0]);
  const port = ports.find((one) => one.name === name);
  if (!port) throw failure('ENXIO', `there is no port '${name}'`);
  const { txRings, rxRings, txSlots, rxSlots } = port;
  return `${name}: tx ${txRings} x ${txSlots}, rx ${rxRings} x ${rxSlots}`;
}
