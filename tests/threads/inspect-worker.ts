// Asks twice for an inspection, and tells how many ports each shows.
import { parentPort, workerData } from 'node:worker_threads';
import { Netmap } from '../../src/control/netmap.js';

const netmap = await Netmap.attach(workerData);
const ports = (await netmap.inspect()).ports.length;
const again = (await netmap.inspect()).ports.length;
parentPort?.postMessage([ports, again]);
await netmap.close();
