// One netmap program in a worker of its own: a sender, a receiver or a bridge, on the host or in a guest.

import { parentPort } from 'node:worker_threads';
import { abi, moveSlots, Netmap, PtnetDriver, pollManySync, receiveWorkerData } from 'ptnet';
import { drain, fill, writeFrames } from './hot.mjs';

const { POLLIN, POLLOUT } = abi;
const BATCH = 256;
const { netmap: handle, data } = await receiveWorkerData();
const { control, macA, macB } = data;
const running = () => Atomics.load(control, 0) === 0;

async function openPorts() {
  if (data.guest === undefined) {
    const netmap = await Netmap.attach(handle);
    return { netmap, ports: [await netmap.open(data.spec)] };
  }
  const { netmap, machine } = await Netmap.attachGuest({ netmap: handle, guest: data.guest });
  return { netmap, ports: PtnetDriver.probe(machine).map((driver) => driver.open()) };
}

function send(port) {
  const [ring] = port.txRings;
  writeFrames(ring, macB, macA);
  let packets = 0;
  while (running()) {
    const n = Math.min(BATCH, ring.space);
    if (n === 0) {
      port.pollSync(POLLOUT, 10);
      continue;
    }
    fill(ring, n, 60);
    packets += n;
    port.pollOnce(0); // as poll does it: pushes the slots, rings the doorbell only if the host wants it
  }
  return packets;
}

function receive(port) {
  const [ring] = port.rxRings;
  const [tx] = port.txRings;
  writeFrames(tx, macA, macB);
  fill(tx, 1, 60); // so that the switch knows where we are
  port.txsync();
  let packets = 0;
  while (running()) {
    port.pollSync(POLLIN, 10);
    packets += drain(ring);
  }
  return packets;
}

function bridge([a, b]) {
  let packets = 0;
  while (running()) {
    pollManySync(
      [
        { port: a, events: POLLIN },
        { port: b, events: POLLIN },
      ],
      10,
    );
    packets += moveSlots(a.rxRings[0], b.txRings[0], BATCH) + moveSlots(b.rxRings[0], a.txRings[0], BATCH);
  }
  return packets;
}

const { netmap, ports } = await openPorts();
parentPort.postMessage({ ready: true });
const programs = { tx: () => send(ports[0]), rx: () => receive(ports[0]), bridge: () => bridge(ports) };
const packets = programs[data.program]();
parentPort.postMessage({ packets });
Atomics.wait(control, 0, 1, 10_000); // the host reads the counters before the ports close
for (const port of ports) await port.close();
await netmap.close();
