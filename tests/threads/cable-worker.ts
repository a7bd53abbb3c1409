// A worker that holds a cable between two hosts: from its event loop, or one direction of it, blocking.
import {
  type Cable,
  type DirectionCounters,
  joinPorts,
  joinPortsSync,
  Netmap,
  type NetmapHandle,
  type NetmapPort,
  type OpenOptions,
} from '../../src/index.js';
import { serve } from './support.js';

const hosts: Netmap[] = [];
const ports: NetmapPort[] = [];
let cable: Cable | undefined;

serve({
  /** Opens a port of each host. */
  open: async ({ handles, specs, options }: { handles: NetmapHandle[]; specs: string[]; options?: OpenOptions }) => {
    for (const [i, handle] of handles.entries()) {
      hosts.push(await Netmap.attach(handle));
      ports.push(await hosts[i].open(specs[i], options));
    }
  },
  join: () => {
    cable = joinPorts(ports[0], ports[1], { keepAlive: true });
  },
  counters: () => cable?.counters(),
  /** Why the cable has ended, once it has. */
  ended: async () => (await cable?.ended)?.toJSON(),
  close: async () => {
    await cable?.close();
    for (const port of ports) await port.close();
    for (const host of hosts) await host.close();
  },
  /** Passes packets from the first port to the second, until the word is not 0 any more. */
  run: ({ stop }: { stop: Int32Array }): DirectionCounters => {
    const half = joinPortsSync(ports[0], ports[1]);
    while (Atomics.load(stop, 0) === 0) half.run(100);
    return half.counters();
  },
});
