// QEMU's network back ends: `-netdev stream` and `-netdev socket`, frames in a stream; `-netdev dgram`, bare frames in
// datagrams.

import type { BackendContext, BackendKind, BackendPlan } from './kind.js';
import { type DgramConfig, planDgram, runDgram } from './qemu-dgram.js';
import { type Address, listenHost, parseAddress } from './sockets.js';
import { type BackendSpec, bad, checkKeys } from './spec.js';
import { runConnected, runListening } from './stream-session.js';

interface StreamConfig {
  readonly mode: 'listen' | 'connect';
  readonly address: Address;
}

function planStream(spec: BackendSpec): StreamConfig {
  checkKeys(spec, ['mode', 'listen']);
  const mode = spec.options.get('mode') ?? 'listen';
  const listen = spec.options.get('listen');
  if (mode !== 'listen' && mode !== 'connect') throw bad(spec.text, `mode=${mode} is neither listen nor connect`);
  const address = parseAddress(spec.text, spec.target);
  if (listen !== undefined && ('path' in address || mode === 'connect')) {
    throw bad(spec.text, 'listen= is for TCP ports that listen');
  }
  if (mode === 'connect' || 'path' in address) return { mode, address };
  return { mode, address: { host: listenHost(spec.text, address.host, listen), port: address.port } };
}

export const kind: BackendKind = {
  plan(spec: BackendSpec): BackendPlan {
    const config = spec.target.startsWith('dgram:') ? planDgram(spec) : planStream(spec);
    return { name: 'qemu%d', interface: {}, workers: [{ direction: 'both', config }] };
  },

  run(context: BackendContext): Promise<void> {
    const config = context.config as StreamConfig | DgramConfig;
    if ('remote' in config) return runDgram(context, config);
    const run = config.mode === 'connect' ? runConnected : runListening;
    return run(context, config.address);
  },
};
