// A victim: opens ports, says that it runs, and syncs flat out until it is killed.
import { parentPort } from 'node:worker_threads';
import { type GuestHandle, Netmap, type NetmapHandle, type NetmapPort, PtnetDriver } from '../../src/index.js';
import { BROADCAST, mac } from './frames.js';
import { putFrame, takeFrames } from './ping-pong.js';
import { Random } from './support.js';

export interface VictimStart {
  /** A handle of the host with the names of ports to open there, or of a guest. */
  readonly netmap?: NetmapHandle;
  readonly guest?: GuestHandle;
  readonly specs: readonly string[];
  /** Word that is set to 1 when frames go out of the first port. */
  readonly running: SharedArrayBuffer;
  readonly from: readonly number[];
  readonly seed: number;
}

async function open({ netmap, guest, specs }: VictimStart): Promise<NetmapPort[]> {
  if (guest) {
    const { machine } = await Netmap.attachGuest(guest);
    return PtnetDriver.probe(machine).map((driver) => driver.open());
  }
  const host = await Netmap.attach(netmap as NetmapHandle);
  const ports: NetmapPort[] = [];
  for (const spec of specs) ports.push(await host.open(spec));
  return ports;
}

/** The frames are written once and sent again and again: nearly all time goes into syncs, and so do the kills. */
function runFlatOut(ports: readonly NetmapPort[], { running, from, seed }: VictimStart): never {
  const random = new Random(seed);
  const word = new Int32Array(running);
  const targets = [mac(1), mac(2), mac(77), BROADCAST];
  for (const port of ports) {
    const [ring] = port.txRings;
    const { head } = ring;
    for (let i = ring.space; i > 0; i--) putFrame(ring, targets[random.below(targets.length)], from, i, 9999, 600);
    ring.head = head;
    ring.cur = head;
  }
  for (let round = 0; ; round++) {
    for (const port of ports) {
      const [ring] = port.txRings;
      ring.advance(Math.min(ring.space, 1 << random.below(10)));
      port.txsync();
      port.rxsync();
      takeFrames(port);
    }
    // If the ring were held by a dead thread, or its loop not run, nothing would be taken from it. The switch takes all.
    if (round > 100 && word[0] === 0 && ports[0].txRings[0].space > 0) Atomics.store(word, 0, 1);
  }
}

parentPort?.once('message', async (start: VictimStart) => {
  runFlatOut(await open(start), start);
});
