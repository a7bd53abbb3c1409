// A worker of a backend: opens its part of the wire, and runs what the kind does there.

import { NR_RX_RINGS_ONLY, NR_TX_RINGS_ONLY } from '../../abi.js';
import { Netmap } from '../../control/netmap.js';
import { NetmapError, netmapError } from '../../errors.js';
import { endWorker, onParentMessage, parentPoster, receiveWorkerData } from '../../threads/platform.js';
import { CounterWriter } from './counters.js';
import type { BackendContext } from './kind.js';
import { KINDS } from './kinds.js';
import type { BackendMessage, BackendWorkerData } from './messages.js';

const FLAGS = { receive: NR_TX_RINGS_ONLY, transmit: NR_RX_RINGS_ONLY, both: 0 };

const { netmap: handle, data } = await receiveWorkerData<BackendWorkerData>();
const post: (message: BackendMessage) => void = await parentPoster();
const stop = new Int32Array(data.stop);
const ending = new AbortController();
const stopListening = await onParentMessage(() => ending.abort());

try {
  const { kind } = await KINDS[data.kind]();
  const netmap = await Netmap.attach(handle);
  post({ type: 'joined', thread: netmap.threadId });
  try {
    const wire = await netmap.openWire(data.name, {
      flags: FLAGS[data.direction],
      ...(data.ring === undefined ? {} : { ring: data.ring }),
    });
    const context: BackendContext = {
      netmap,
      name: data.name,
      wire,
      config: data.config,
      data: data.session,
      counters: new CounterWriter(data.counters),
      get stopped() {
        return Atomics.load(stop, 0) !== 0;
      },
      signal: ending.signal,
      state: (state, reason = '') => post({ type: 'state', state, reason }),
    };
    await kind.run(context);
    if (!context.stopped) throw netmapError('EIO', 'the backend has ended', { op: 'backend', port: data.name });
  } finally {
    // What was put into the wire and counted, and is not sent yet, leaves: flushes that are due come before this.
    await new Promise((resolve) => setImmediate(resolve));
    await netmap.close();
  }
} catch (error) {
  const known = error instanceof NetmapError ? error : netmapError('EIO', String(error), { op: 'backend' });
  if (Atomics.load(stop, 0) === 0) post({ type: 'failed', error: known.toJSON() });
}
stopListening();
endWorker();
