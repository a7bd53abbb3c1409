// passt: the network of this machine for guests, without privileges. It speaks QEMU's stream protocol. We start it with one
// end of a pair of sockets, so that nothing listens, and it ends with us; or connect to one that runs.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { netmapError } from '../../errors.js';
import type { BackendContext, BackendKind, BackendPlan } from './kind.js';
import { type Address, parseAddress } from './sockets.js';
import { type BackendSpec, bad, checkKeys, wholeNumber } from './spec.js';
import { runConnected, runSocket } from './stream-session.js';

/** A running passt, or the arguments of one that we start. */
type PasstConfig = { readonly address: Address } | { readonly args: readonly string[] };

/** The descriptor at which the child finds its end. */
const CHILD_FD = 3;
/** What is kept of the last words (bytes) of a passt that has ended. */
const LAST_WORDS = 300;
/** Ports as passt's -t and -u take them, with + for the comma. */
const PORTS = /^(all|none|auto|[\d~:\-.%/\w]+(\+[\d~:\-.%/\w]+)*)$/;

function planArgs(spec: BackendSpec): string[] {
  checkKeys(spec, ['mtu', 'tcp', 'udp']);
  const mtu = wholeNumber(spec.text, 'mtu', spec.options.get('mtu') ?? '1500', 68, 65520);
  const args = ['--foreground', '--quiet', '--fd', String(CHILD_FD), '--mtu', String(mtu)];
  for (const [key, option] of [
    ['tcp', '--tcp-ports'],
    ['udp', '--udp-ports'],
  ]) {
    const ports = spec.options.get(key);
    if (ports === undefined) continue;
    if (!PORTS.test(ports)) throw bad(spec.text, `${key}=${ports}: ports as passt has them, with + for the comma`);
    args.push(option, ports.replaceAll('+', ','));
  }
  return args;
}

export const kind: BackendKind = {
  plan(spec: BackendSpec): BackendPlan {
    let config: PasstConfig;
    if (spec.target === '') {
      config = { args: planArgs(spec) };
    } else {
      checkKeys(spec, []);
      config = { address: parseAddress(spec.text, spec.target) };
    }
    return { name: 'passt%d', interface: {}, workers: [{ direction: 'both', config }] };
  },

  async run(context: BackendContext): Promise<void> {
    const config = context.config as PasstConfig;
    if ('address' in config) await runConnected(context, config.address);
    else await runChild(context, config.args);
  },
};

async function runChild(context: BackendContext, args: readonly string[]): Promise<void> {
  const child = spawn('passt', args, { stdio: ['ignore', 'ignore', 'pipe', 'pipe'] });
  let words = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    words = (words + text.replace(/^Failed to send \d+ bytes to syslog$/gm, '')).slice(-LAST_WORDS);
  });
  const exit = once(child, 'exit').catch(() => {});
  try {
    await once(child, 'spawn');
    await runSocket(context, child.stdio[CHILD_FD] as Socket, 'passt');
  } catch (error) {
    child.kill();
    await exit;
    const why = error instanceof Error ? error.message : String(error);
    throw netmapError('EIO', [why, words.trim()].join('\n').trim(), { op: 'passt', port: context.name });
  }
  child.kill();
  await exit;
}
