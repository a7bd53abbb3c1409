// A program that uses a host with loop workers and a guest, and then has nothing more to do: it must end by itself.
import { abi, Netmap, PtnetDriver } from '../../src/index.js';

const netmap = await Netmap.create({ threads: 2 });
const guest = await netmap.createGuest();
await guest.passthrough('vale0:guest', { loop: 'notify' });
const [driver] = PtnetDriver.probe(await guest.machine());
const port = driver.open();
const other = await netmap.open('vale0:host');
const wait = port.poll(abi.POLLIN);
await other.send(new Uint8Array(60).fill(0xff, 0, 6)); // a broadcast
await wait;
await other.poll(abi.POLLIN, { timeout: 10 });
if (process.argv.at(-1) === 'closed') await netmap.close();
console.log('end');
