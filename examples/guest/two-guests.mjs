// Two Linux guests in v86 on one VALE switch, in Node or in a page: each has a ptnet device, driven by the program
// ptnet-guest, and v86's own network card, driven by its kernel. They ping each other over both.
import { attachNic, attachPtnet, Netmap } from 'ptnet';
import { Linux, linuxOptions } from './linux.mjs';

/**
 * @param V86 the class of the package v86
 * @param wasm path or URL of its v86.wasm
 * @param image see linuxOptions
 * @param onByte called with a guest's name and each byte that its console prints
 * @param onCounters called with the switch's ports, and their counters, about twice a second
 */
export async function runTwoGuests({ V86, wasm, image, onByte, onCounters }) {
  const netmap = await Netmap.create({ memorySize: 512 << 20 });
  const guests = [];
  for (const name of ['a', 'b']) {
    const linux = await Linux.prepare(V86, linuxOptions(image, wasm, { net_device: { type: 'virtio' } }));
    linux.emulator.add_listener('serial0-output-byte', (byte) => onByte(name, byte));
    const ptnet = await attachPtnet(linux.emulator, { netmap, name: `vale0:${name}` });
    const nic = attachNic(linux.emulator, await netmap.open(`vale0:${name}nic`));
    guests.push({ linux, ptnet, nic });
  }
  const timer = setInterval(async () => onCounters((await netmap.valeInspect('vale0')).ports), 500);
  const [a, b] = guests.map(({ linux }) => linux);
  await Promise.all([a.boot(), b.boot()]);
  await a.run('ip addr add 10.86.0.1/24 dev eth0; ip link set eth0 up');
  await b.run('ip addr add 10.86.0.2/24 dev eth0; ip link set eth0 up');
  await a.run('ping -c 3 10.86.0.2');
  const answered = b.run('ptnet-guest pong 0 1000');
  await a.run('sleep 1; ptnet-guest ping 0 1000');
  await answered;
  clearInterval(timer);
  onCounters((await netmap.valeInspect('vale0')).ports);
  for (const { linux, ptnet, nic } of guests) {
    await ptnet.close();
    await nic.close();
    await linux.close();
  }
  await netmap.close();
}
