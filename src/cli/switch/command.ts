// `ptnet switch`: a VALE switch over backends, until it is told to stop.

import { setTimeout as sleep } from 'node:timers/promises';
import { Command } from 'commander';
import { Netmap } from '../../index.js';
import { isBackendSpec, parseBackendSpec } from '../../io/backends/spec.js';
import { loaderConfOption, type RunOptions } from '../arguments.js';
import { usage } from '../errors.js';
import type { Output } from '../report.js';
import { readTunables } from '../tunables.js';
import { integer, seconds } from '../values.js';
import { eventLine, JsonDisplay, type SwitchDisplay, TableDisplay } from './display.js';
import { Switch } from './switch.js';

const HELP = `
A port is a backend, KIND:TARGET[,key=value]…, as docs/backends.md has them. The switch learns addresses as a VALE switch
does. A port that fails is told and tried again, and the others go on. SIGINT and SIGTERM end the switch: what it has taken
goes out, and the totals are printed; a second signal ends it on the spot.

Examples:
  $ ptnet switch --port tap:t0 --port tap:t1
  $ ptnet switch --port qemu:unix:a.sock --port qemu:unix:b.sock --port pcapng:cap.pcapng`;

const EXIT_INTERRUPTED = 130;
const MIB = 1 << 20;

export interface SwitchOptions extends Pick<RunOptions, 'memory' | 'duration' | 'loaderConf' | 'json' | 'quiet'> {
  readonly bridge: string;
  readonly port: readonly string[];
  /** Seconds between two tables, or lines. */
  readonly interval: number;
}

/** @param exit called with the exit code of a switch that has run */
export function switchCommand(exit: (code: number) => void): Command {
  return new Command('switch')
    .description('Runs a VALE switch over backends until it is told to stop.')
    .option('--bridge <name>', 'name of the switch', 'vale0')
    .option(
      '--port <spec>',
      'a port, such as tap:t0,vnet=12 or qemu:unix:a.sock; may be repeated',
      (text: string, before: string[] = []) => [...before, text],
    )
    .option('--interval <seconds>', 'time between two tables, or lines', seconds(0.1), 1)
    .option('--memory <MiB>', 'memory of the host (default: 1024)', integer(96, 4095))
    .option('--duration <seconds>', 'end the switch after this time', seconds(0.001))
    .addOption(loaderConfOption())
    .option('--json', 'one JSON object a line, also on a terminal')
    .option('--quiet', 'events and totals only')
    .addHelpText('after', HELP)
    .action(async (options: SwitchOptions) => {
      await runSwitch(options, process.stdout, process.stderr);
      exit(0);
    });
}

/** @throws UsageError for a port that is no backend, or is there twice */
function checkPorts(ports: readonly string[]): void {
  if (ports.length === 0) throw usage('no port: ptnet switch --port SPEC --port SPEC …');
  for (const [i, port] of ports.entries()) {
    if (!isBackendSpec(port)) {
      throw usage(
        `--port ${port}: a port of this command is a backend, such as tap:t0; no program could open '${port}'`,
      );
    }
    if (ports.indexOf(port) !== i) throw usage(`--port ${port} is there twice`);
    try {
      parseBackendSpec(port);
    } catch (error) {
      throw usage(`--port ${(error as Error).message}`);
    }
  }
}

/** Runs it to its end. @throws UsageError; NetmapError when the host or a port cannot be made */
async function runSwitch(options: SwitchOptions, out: Output, err: Output): Promise<void> {
  const { bridge, port: specs = [], interval, memory, duration, json = false, quiet = false } = options;
  checkPorts(specs);
  if (!/^vale\w*$/.test(bridge)) throw usage(`--bridge ${bridge}: names of switches start with 'vale'`);
  const tunables = readTunables(options.loaderConf);
  const netmap = await Netmap.create({ tunables, ...(memory === undefined ? {} : { memorySize: memory * MIB }) });
  const isTable = out.isTTY === true && !json;
  const display: SwitchDisplay = isTable ? new TableDisplay(out) : new JsonDisplay(out);
  const ending = new AbortController();
  const unlisten = onSignals(() => ending.abort());
  const network = new Switch(netmap, bridge, (event) => {
    display.event(event);
    if (!isTable || quiet) err.write(`ptnet: ${eventLine(event)}\n`);
  });
  try {
    for (const spec of specs) if (!ending.signal.aborted) await network.add(spec);
    const until = performance.now() + 1e3 * (duration ?? Infinity);
    while (!ending.signal.aborted && performance.now() < until) {
      if (!quiet) display.stats(await network.snapshot());
      const ms = Math.min(1e3 * interval, until - performance.now());
      await sleep(Math.max(0, ms), undefined, { signal: ending.signal }).catch(() => {});
    }
    display.end(await network.close());
  } finally {
    unlisten();
    await network.close();
    await netmap.close();
  }
}

/** The second signal ends the process. @returns what stops listening */
function onSignals(stop: () => void): () => void {
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  let asked = false;
  const listener = (): void => {
    if (asked) process.exit(EXIT_INTERRUPTED);
    asked = true;
    stop();
  };
  for (const signal of signals) process.on(signal, listener);
  return () => {
    for (const signal of signals) process.off(signal, listener);
  };
}
