// Two guests on one VALE switch, in one thread: each sees a ptnet device, and nothing of the host.
import { Netmap, PtnetDriver } from 'ptnet';

const netmap = await Netmap.create();
const ports = [];
for (const name of ['vale0:a', 'vale0:b']) {
  const guest = await netmap.createGuest();
  await guest.passthrough(name);
  const [driver] = PtnetDriver.probe(await guest.machine());
  ports.push(driver.open());
}
const [a, b] = ports;
await a.send(new Uint8Array(60).fill(0xff, 0, 6)); // a broadcast
for await (const frames of b) {
  console.log(`guest b received ${frames.length} frame of ${frames[0].length} bytes`);
  break;
}
await netmap.close();
