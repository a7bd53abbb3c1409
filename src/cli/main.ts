// The command `ptnet`: arguments in, exit code out. 0 = all programs ended well, 1 = one failed, 2 = bad usage.

import { createRequire } from 'node:module';
import { Command, CommanderError } from 'commander';
import { addRunOptions, bridgeCommand, bridgeOptions, commanderText, type RunOptions } from './arguments.js';
import { captureCommand, captureOptions, replayCommand, replayOptions } from './capture-arguments.js';
import { UsageError, usage } from './errors.js';
import { execCommand } from './exec.js';
import { pktGenCommand, pktGenOptions } from './pkt-gen-arguments.js';
import type { ProgramOptions, ProgramSpec } from './programs/options.js';
import { Display } from './report.js';
import { Run } from './run.js';
import { makePrograms, parsePrograms } from './spec.js';
import { switchCommand } from './switch/command.js';
import { sysctlCommand } from './sysctl.js';
import { readTunables } from './tunables.js';
import { valeCtlCommand, valeCtlOptions } from './vale-ctl.js';

const EXIT_FAILED = 1;
const EXIT_USAGE = 2;
const EXIT_INTERRUPTED = 130;

const RUN_HELP = `
A program is 'pkt-gen …', 'bridge …', 'replay …', 'capture …' or 'vale-ctl …' on the host, or 'guest PORT[,PORT…]
pkt-gen …' in a guest, to which the ports are passed through as netmap:ptnet0, netmap:ptnet1, … Each runs in a worker of
its own; vale-ctl acts and is done. 'exec PROGRAM.wasm arguments…' is a C program (ptnet exec --help), which ends by itself or with the run.

Programs start in order, each once the one before has its ports open. A receiver or a bridge ends one second after
traffic has stopped; a sender without -n ends when all receivers have ended. Ctrl-C ends the run with its summary.

Examples:
  $ ptnet run 'guest vale0:b pkt-gen -f rx -n 10000000' 'guest vale0:a pkt-gen -f tx -l 60 -n 10000000'
  $ ptnet run 'pkt-gen -i netmap:p}1 -f rx' 'pkt-gen -i netmap:p{1 -f tx -n 1000000' --json
  $ ptnet run 'pkt-gen -i vale1:z -f rx' 'guest vale0:b,vale1:a bridge -i netmap:ptnet0 -i netmap:ptnet1' \\
      'pkt-gen -i vale0:a -f tx'`;

const PKT_GEN_HELP = `
Examples:
  $ ptnet pkt-gen -i vale0:a -f tx -n 10000000
  $ ptnet pkt-gen -i vale0:a -f tx -R 1000 --duration 5`;

const BRIDGE_HELP = `
Example:
  $ ptnet bridge -i vale0:a -i vale1:a --duration 5`;

const REPLAY_HELP = `
Examples:
  $ ptnet replay -i tap:t0 -r in.pcap --realtime
  $ ptnet run 'capture -i netmap:p}1 -w out.pcap -n 1173' 'replay -i netmap:p{1 -r in.pcap'`;

const CAPTURE_HELP = `
Example:
  $ ptnet capture -i tap:t0 -w out.pcapng --duration 5`;

const VALE_CTL_HELP = `
vale-ctl acts on the switches of its run, when its turn to start comes; letters act in the order in which they are
written. Alone it acts on a host of its own, which ends with the command: nothing that it makes is there afterwards.

Examples:
  $ ptnet run 'vale-ctl -n per0 -a vale0:per0' 'pkt-gen -i vale0:b -f rx' 'pkt-gen -i vale0:a -f tx -n 1000' 'vale-ctl -l'
  $ ptnet run --interface eth0 'vale-ctl -h vale0:eth0 -l'`;

const MAIN_HELP = `
Examples:
  $ ptnet run 'guest vale0:b pkt-gen -f rx -n 10000000' 'guest vale0:a pkt-gen -f tx -l 60 -n 10000000'
  $ ptnet sysctl -d
  $ ptnet run --help
  $ ptnet pkt-gen --help`;

/** Runs the programs; resolves with the exit code. */
async function runPrograms(specs: readonly ProgramSpec[], options: RunOptions): Promise<number> {
  const tunables = readTunables(options.loaderConf);
  const display = new Display(options, process.stdout, process.stderr);
  const run = new Run(specs, options, tunables, display);
  let asked = false;
  const onSignal = (): void => {
    if (asked) process.exit(EXIT_INTERRUPTED); // the second time
    asked = true;
    run.stop('interrupted');
  };
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  for (const signal of signals) process.on(signal, onSignal);
  try {
    return (await run.run()) ? 0 : EXIT_FAILED;
  } finally {
    display.finish();
    for (const signal of signals) process.off(signal, onSignal);
  }
}

function parseAll(texts: readonly string[]): ProgramSpec[] {
  return texts.flatMap((text, i) => {
    try {
      return parsePrograms(text);
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      throw new UsageError(error.errno, `${error.message}, in program ${i + 1}: ${text}`, { op: 'run' });
    }
  });
}

function version(): string {
  return createRequire(import.meta.url)('ptnet/package.json').version;
}

/** A program that runs alone. */
function alone(command: Command, options: (command: Command) => ProgramOptions, help: string): Command {
  addRunOptions(command).addHelpText('after', help);
  return command.action(async () => {
    const specs = makePrograms(process.argv.slice(2).join(' '), null, options(command));
    process.exitCode = await runPrograms(specs, command.opts<RunOptions>());
  });
}

function makeProgramCommand(): Command {
  const program = new Command('ptnet')
    .enablePositionalOptions()
    .description('netmap programs over pipes, VALE switches and guests with ptnet devices, in one process.')
    .version(version(), '-V, --version')
    .addHelpText('after', MAIN_HELP);
  const run = addRunOptions(new Command('run'))
    .description('Starts several netmap programs on one host, each in a worker of its own.')
    .argument('<programs...>', 'programs, each a string')
    .addHelpText('after', RUN_HELP)
    .action(async (texts: string[], options: RunOptions) => {
      process.exitCode = await runPrograms(parseAll(texts), options);
    });
  program.addCommand(run);
  program.addCommand(alone(pktGenCommand(), pktGenOptions, PKT_GEN_HELP));
  program.addCommand(alone(bridgeCommand(), bridgeOptions, BRIDGE_HELP));
  program.addCommand(alone(replayCommand(), replayOptions, REPLAY_HELP));
  program.addCommand(alone(captureCommand(), captureOptions, CAPTURE_HELP));
  program.addCommand(alone(valeCtlCommand(), valeCtlOptions, VALE_CTL_HELP));
  program.addCommand(switchCommand((code) => (process.exitCode = code)));
  program.addCommand(execCommand((code) => (process.exitCode = code)));
  program.addCommand(sysctlCommand((ok) => (process.exitCode = ok ? 0 : EXIT_FAILED)));
  for (const command of [program, ...program.commands]) {
    command.exitOverride().configureOutput({ outputError: () => {} });
  }
  return program;
}

async function main(): Promise<void> {
  // A reader that has gone (| head) is no error of ours.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : EXIT_FAILED));
  const debug = process.argv.includes('--debug');
  try {
    if (process.argv.length <= 2) throw usage('no command: see ptnet --help');
    await makeProgramCommand().parseAsync();
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return; // help or version was printed
    const known = error instanceof CommanderError ? usage(commanderText(error)) : (error as Error);
    process.stderr.write(`ptnet: ${debug ? known.stack : known.message}\n`);
    process.exitCode = known instanceof UsageError ? EXIT_USAGE : EXIT_FAILED;
  }
}

await main();
