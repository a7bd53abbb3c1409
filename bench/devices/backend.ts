// A backend at work, in a process that is put into a namespace: `backend.js KIND receive|transmit DEVICE SIZE SECONDS` prints
// packets a second. What it receives goes to a switch without another port; what it transmits comes from this thread.

import { setTimeout as sleep } from 'node:timers/promises';
import { abi, Netmap } from 'ptnet';
import { openBackend } from 'ptnet/backends';

const LIMIT = 5000;

const [kind, direction, device, size, seconds] = process.argv.slice(2);
const ms = 1e3 * Number(seconds);
const netmap = await Netmap.create();
const backend = await openBackend(netmap, `${kind}:${device}`);
const rate = direction === 'receive' ? await receive() : await transmit(Number(size));
console.log(rate.toFixed(0));
await backend.close();
await netmap.close();

async function receive(): Promise<number> {
  await netmap.valeAttach(`vale0:${backend.name}`);
  console.log('ready');
  const packets = async (): Promise<number> => (await backend.counters()).rxPackets;
  const first = performance.now();
  while ((await packets()) === 0 && performance.now() - first < LIMIT) await sleep(5);
  const [before, start] = [await packets(), performance.now()];
  await sleep(ms);
  return (((await packets()) - before) / (performance.now() - start)) * 1e3;
}

async function transmit(length: number): Promise<number> {
  const port = await netmap.open(`netmap:${backend.name}`);
  const [ring] = port.txRings;
  const frame = Uint8Array.of(
    255,
    255,
    255,
    255,
    255,
    255,
    2,
    0,
    0,
    0,
    0,
    1,
    0x88,
    0xb5,
    ...new Uint8Array(length - 14),
  );
  for (let i = 0; i < ring.numSlots; i++) {
    ring.buf(i, length).set(frame);
    ring.setSlot(i, length);
  }
  console.log('ready');
  await sleep(100); // whoever brings the device up
  const start = performance.now();
  const { txPackets: before } = await backend.counters();
  while (performance.now() - start < ms) {
    ring.advance(ring.space);
    port.txsync();
    if (ring.space === 0) await port.poll(abi.POLLOUT, { timeout: 100 });
  }
  const { txPackets } = await backend.counters();
  return ((txPackets - before) / (performance.now() - start)) * 1e3;
}
