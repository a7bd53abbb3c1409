// Arguments: netmap's letters of pkt-gen, bridge and vale-ctl, and the options of a run, as commander options.

import { Command, CommanderError, Option } from 'commander';
import type { LoopMode } from '../index.js';
import { captureCommand, captureOptions, replayCommand, replayOptions } from './capture-arguments.js';
import { usage } from './errors.js';
import { pktGenCommand, pktGenOptions } from './pkt-gen-arguments.js';
import type { BridgeOptions, PortConfig, ProgramOptions } from './programs/options.js';
import { valeCtlCommand, valeCtlOptions } from './vale-ctl.js';
import { integer, MAX_BURST, portOption, seconds } from './values.js';

/** Names the file with tunables if no option does. */
const LOADER_CONF = 'PTNET_LOADER_CONF';

/** Options of `ptnet run`, and of a program that runs alone. */
export interface RunOptions {
  readonly loop: LoopMode;
  readonly threads?: number;
  readonly slots?: number;
  readonly rings?: number;
  /** MiB. */
  readonly memory?: number;
  /** Network interfaces: `eth0`, or `eth0,eth1`, or a backend's specification. */
  readonly interface?: readonly string[];
  /** Seconds. */
  readonly duration?: number;
  /** File with tunables. */
  readonly loaderConf?: string;
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly debug?: boolean;
}

/** Counts of the ports and interfaces that a run makes, as far as its options say them. */
export function portCounts({ slots, rings }: RunOptions): PortConfig {
  return {
    ...(slots === undefined ? {} : { txSlots: slots, rxSlots: slots }),
    ...(rings === undefined ? {} : { txRings: rings, rxRings: rings }),
  };
}

export function bridgeCommand(): Command {
  return new Command('bridge')
    .description('Forwards frames between two ports, both ways; without a copy where they share a memory region.')
    .addOption(
      portOption('one of the two ports; a NIC alone is bridged with its host rings; in a guest ptnet0 and ptnet1'),
    )
    .option('-b <burst>', 'slots moved between two syncs', integer(1, MAX_BURST), 1024)
    .option('-w <seconds>', 'wait before the first packet', seconds(0), 0)
    .option('-c', 'copy frames, also where buffers could be swapped')
    .option('-L', 'loopback: one port, which gets back what it sends')
    .option('-v', 'tell the frames of each direction');
}

export function bridgeOptions(command: Command): BridgeOptions {
  const { i = [], b, w, c = false, L = false, v = false } = command.opts();
  return { program: 'bridge', ports: i, burst: b, wait: w, copy: c, loopback: L, verbose: v };
}

/** The option that names the file with tunables. */
export function loaderConfOption(): Option {
  return new Option('--loader-conf <file>', 'tunables, in the form of loader.conf(5)').env(LOADER_CONF);
}

export function addRunOptions(command: Command): Command {
  return command
    .optionsGroup('Options of the run:')
    .addOption(
      new Option(
        '--loop <mode>',
        'how the kernel loop of a guest runs: in the thread of the guest, or in a loop worker',
      )
        .choices(['direct', 'notify', 'busy'])
        .default('direct'),
    )
    .option('--threads <n>', 'loop workers (default: 0, or 1 if the loop mode needs it)', integer(0, 31))
    .option('--slots <n>', 'slots of each ring', integer(2, 16384))
    .option('--rings <n>', 'ring pairs of each port', integer(1, 64))
    .option('--memory <MiB>', 'memory of the host (default: 1024)', integer(96, 4095))
    .option(
      '--interface <name[,name]>',
      'a network interface whose wire leads back to it, two with a cable between them, or one with a backend, such as tap:t0; may be repeated',
      (text: string, before: string[] = []) => [...before, text],
    )
    .option('--duration <seconds>', 'end the run after this time', seconds(0.001))
    .addOption(loaderConfOption())
    .option('--json', 'one JSON object a line for each program at its end, instead of the summary')
    .option('--quiet', 'no live rates')
    .option('--debug', 'errors with their stacks');
}

/** The programs of a run, with what reads their letters. */
const PROGRAMS: Readonly<Record<string, { command(): Command; options(command: Command): ProgramOptions }>> = {
  'pkt-gen': { command: pktGenCommand, options: pktGenOptions },
  bridge: { command: bridgeCommand, options: bridgeOptions },
  replay: { command: replayCommand, options: replayOptions },
  capture: { command: captureCommand, options: captureOptions },
  'vale-ctl': { command: valeCtlCommand, options: valeCtlOptions },
};

/**
 * Arguments of a program in a string of `ptnet run`.
 * @throws UsageError; CommanderError when the help of the program was asked for and printed
 */
export function parseProgramArguments(name: string, args: readonly string[]): ProgramOptions {
  if (name === 'exec') {
    const [file, ...rest] = args;
    if (file === undefined) throw usage('exec needs a program: exec PROGRAM.wasm arguments…');
    return { program: 'exec', ports: [], file, args: rest };
  }
  const program = Object.hasOwn(PROGRAMS, name) ? PROGRAMS[name] : undefined;
  if (!program) throw usage(`there is no program '${name}': ${[...Object.keys(PROGRAMS), 'exec'].join(', ')} are`);
  const command = program.command();
  command.exitOverride().configureOutput({ outputError: () => {} });
  try {
    command.parse(args, { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode !== 0) throw usage(commanderText(error));
    throw error;
  }
  return program.options(command);
}

/** The message of a commander error on one line, without its prefix and its full stop. */
export function commanderText(error: Error): string {
  const line = error.message.replace(/\s+/g, ' ').trim();
  return line.replace(/^error: /, '').replace(/\.$/, '');
}
