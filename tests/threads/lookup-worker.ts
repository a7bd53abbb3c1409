// A worker with one port: sends frames to addresses, and tells what came.
import { workerData } from 'node:worker_threads';
import { type HostPort, Netmap, type NetmapHandle } from '../../src/index.js';
import { serve } from './support.js';

const { handle, spec } = workerData as { handle: NetmapHandle; spec: string };
let port: HostPort | undefined;

async function opened(): Promise<HostPort> {
  port ??= await (await Netmap.attach(handle)).open(spec, { txSlots: 256, rxSlots: 1024 });
  return port;
}

serve({
  open: async () => void (await opened()),
  /** Sends `count` frames to the address that ends in `to`, in one batch or in batches of `batch`. */
  send: async ({ to, from, count, batch = 100 }: { to: number; from: number; count: number; batch?: number }) => {
    const out = await opened();
    for (let sent = 0; sent < count; ) {
      for (let i = 0; i < batch && sent < count; i++, sent++) {
        out.trySend(Uint8Array.of(2, 0, 0, 0, 0, to, 2, 0, 0, 0, 0, from, 8, 0));
      }
      out.txsync();
    }
  },
  /** Last bytes of the source addresses of what has come, with how often. */
  received: async () => {
    const counts: Record<number, number> = {};
    const from = await opened();
    from.rxsync();
    for (const frame of from.recv()) counts[frame[11]] = (counts[frame[11]] ?? 0) + 1;
    return counts;
  },
  drops: async () => (await (await opened()).counters()).drops,
});
