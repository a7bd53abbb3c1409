// A guest that tells the tunables of its machine, and those of a guest that it makes itself.
import { parentPort, workerData } from 'node:worker_threads';
import { Netmap } from '../../src/index.js';

const { netmap, machine } = await Netmap.attachGuest(workerData);
const own = await netmap.createGuest({ tunables: { ptnet_gso: 1 } });
parentPort?.postMessage([machine.tunables, (await own.machine()).tunables]);
await netmap.close();
