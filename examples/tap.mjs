// Two TAP devices, tap-a and tap-b, on the ptnet interfaces of two guests on one VALE switch: what one device's kernel
// stack sends, the other one's receives, segmentation and checksums left undone on the way. Needs Linux, root (or
// CAP_NET_ADMIN) and, in Node, the package koffi. Runs until it is interrupted: node examples/tap.mjs
import { once } from 'node:events';
import { joinInterface, Netmap, openTap, PtnetDriver, PtnetInterface } from 'ptnet';

const netmap = await Netmap.create();
const ends = [];
for (const name of ['a', 'b']) {
  const guest = await netmap.createGuest();
  await guest.passthrough(`vale0:${name}`);
  const [driver] = PtnetDriver.probe(await guest.machine());
  const netif = new PtnetInterface(driver);
  const tap = await openTap({ name: `tap-${name}` });
  const joint = joinInterface(netif, tap);
  netif.up();
  ends.push({ tap, netif, joint });
}
console.log('ready');

await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')]);
for (const { tap, netif, joint } of ends) {
  console.log(tap.name, netif.counters());
  await joint.close();
  netif.down();
}
await netmap.close();
