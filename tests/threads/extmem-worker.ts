// A worker with a port whose region lies in memory that the main thread has reserved: sends until it is killed.
import { workerData } from 'node:worker_threads';
import { type HostPort, Netmap, type NetmapHandle } from '../../src/index.js';
import { serve } from './support.js';

const { handle, base, size } = workerData as { handle: NetmapHandle; base: number; size: number };
let port: HostPort;

serve({
  open: async (spec: string): Promise<number> => {
    port = await (await Netmap.attach(handle)).open(spec, { txSlots: 64, rxSlots: 64, extmem: { base, size } });
    return port.memId;
  },
  storm: () => {
    const frame = new Uint8Array(60).fill(0xff, 0, 6);
    for (;;) {
      while (port.trySend(frame));
      port.txsync();
    }
  },
});
