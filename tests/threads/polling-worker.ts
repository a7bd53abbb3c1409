// The backend of an interface, in a thread of its own: feeds its wire with numbered broadcasts.
import { workerData } from 'node:worker_threads';
import { Netmap, type NetmapHandle, type NetmapInterface } from '../../src/index.js';
import { serve } from './support.js';

const { handle, running } = workerData as { handle: NetmapHandle; running: SharedArrayBuffer };
let nic: NetmapInterface;

serve({
  open: async () => {
    nic = await (await Netmap.attach(handle)).addInterface('eth0', { txSlots: 64, rxSlots: 64 });
  },
  /** Puts `count` frames into the wire, numbered from `first`, with a txsync after every `batch` of them. */
  feed: ({ first, count, batch }: { first: number; count: number; batch: number }): number => {
    const words = new Int32Array(running);
    const [ring] = nic.wire.txRings;
    let sent = 0;
    while (sent < count) {
      for (let k = 0; k < batch && sent < count && ring.space > 0; k++) {
        const frame = ring.buf(ring.head, 60);
        frame.fill(0xff, 0, 6);
        frame.set([2, 0, 0, 0, 0, 1], 6);
        new DataView(frame.buffer, frame.byteOffset).setUint32(20, first + sent++);
        ring.setSlot(ring.head, 60, 0);
        ring.advance(1);
      }
      nic.wire.txsync();
      Atomics.store(words, 0, 1);
    }
    return sent;
  },
  /** Sends a frame into the wire of an interface that another thread has made. */
  send: async (frame: Uint8Array): Promise<number> => {
    const wire = await (await Netmap.attach(handle)).openWire('eth0');
    wire.trySend(frame);
    Atomics.store(new Int32Array(running), 0, 1);
    return wire.txsync();
  },
  drops: async () => Object.values((await nic.wire.counters()).drops).reduce((sum, n) => sum + n, 0),
});
