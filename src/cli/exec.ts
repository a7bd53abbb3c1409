// `ptnet exec`: one C program on a host of its own.

import { constants } from 'node:os';
import { Command } from 'commander';
import { SIGKILL } from '../exec/exec.js';
import { Netmap } from '../index.js';
import { loaderConfOption, type RunOptions } from './arguments.js';
import { startProgram } from './programs/exec.js';
import { readTunables } from './tunables.js';

const HELP = `
The program is compiled for wasm32 against the package's headers:

  $ clang --target=wasm32-wasi -O2 -I node_modules/ptnet/include -I node_modules/ptnet/include/wasi prog.c -o prog.wasm
  $ ptnet exec prog.wasm -i vale0:a

To run several on one host, or with other programs: ptnet run 'exec a.wasm …' 'exec b.wasm …'. The exit code is the
program's. Signals go to the program; the second one ends it.`;

/** @param exit called with the program's exit code */
export function execCommand(exit: (code: number) => void): Command {
  return new Command('exec')
    .description('Runs a C program of netmap, compiled for wasm32.')
    .argument('<program.wasm>', 'the program')
    .argument('[arguments...]', 'its arguments')
    .passThroughOptions()
    .addOption(loaderConfOption())
    .addHelpText('after', HELP)
    .action(async (file: string, args: string[], { loaderConf }: Pick<RunOptions, 'loaderConf'>) =>
      exit(await execAlone(file, args, loaderConf)),
    );
}

async function execAlone(file: string, args: readonly string[], loaderConf: string | undefined): Promise<number> {
  const netmap = await Netmap.create({ tunables: readTunables(loaderConf) });
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  let onSignal: ((name: NodeJS.Signals) => void) | undefined;
  try {
    const running = await startProgram(netmap, { program: 'exec', ports: [], file, args }, { out: process.stdout });
    let asked = false;
    onSignal = (name) => {
      running.kill(asked ? SIGKILL : constants.signals[name]);
      asked = true;
    };
    for (const signal of signals) process.on(signal, onSignal);
    const { code, reason } = await running.ended;
    if (reason !== undefined) process.stderr.write(`ptnet: ${file}: ${reason}\n`);
    return code;
  } finally {
    if (onSignal) for (const signal of signals) process.off(signal, onSignal);
    await netmap.close();
  }
}
