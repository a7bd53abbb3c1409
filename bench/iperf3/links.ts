// What connects the two namespaces: a veth pair, two TAP devices with ptnet between them, or two TAP devices with nothing
// but a loop between them, which is the most that ptnet could reach.
import { type Capability, joinInterface, Netmap, openTap, PtnetDriver, PtnetInterface, type Tap } from 'ptnet';
import type { Spaces } from '../machine/spaces.js';

/** What the kernels at both ends leave undone, and whether packets carry the header that says so. */
export interface TapKind {
  readonly header: boolean;
  readonly tso: boolean;
}

/** Connects the two ends; the returned function undoes that, but for what goes with the namespaces. */
export type Link = (spaces: Spaces) => Promise<() => Promise<void>>;

const PORTS = { VALE: ['vale0:a', 'vale0:b'], pipe: ['netmap:p{1', 'netmap:p}1'] };

/** Packets that one turn of the relay moves before the thread's other events have theirs. */
const TURN = 128;

let opened = 0;
const deviceNames = (): string[] => {
  const number = opened++;
  return ['a', 'b'].map((end) => `pt${process.pid}.${number}${end}`);
};

/** A veth pair. `features`: what ethtool switches off at both ends. */
export function vethLink(features: readonly string[] = []): Link {
  return async (spaces) => {
    const names = deviceNames();
    spaces.addVeth(names);
    const off = features.flatMap((feature) => [feature, 'off']);
    for (const [end, name] of names.entries()) {
      if (off.length > 0) await spaces.exec(end, 0, 'ethtool', ['-K', name, ...off]);
    }
    return async () => {};
  };
}

const CHECKSUMS: readonly Capability[] = ['txcsum', 'txcsum6'];
const SEGMENTATION: readonly Capability[] = ['tso4', 'tso6'];

/** One end of ptnet: a guest with an interface, joined to a TAP device. */
async function openEnd(netmap: Netmap, port: string, path: keyof typeof PORTS, name: string, kind: TapKind) {
  const guest = await netmap.createGuest();
  await guest.passthrough(port);
  const [driver] = PtnetDriver.probe(await guest.machine(), { vnetHdr: kind.header });
  const netif = new PtnetInterface(driver, { carryHeader: path === 'pipe' && kind.header });
  const joint = joinInterface(netif, await openTap({ name, vnetHdr: kind.header }));
  netif.up();
  if (kind.header && !kind.tso) netif.setCapabilities({ tso4: false, tso6: false });
  return async (): Promise<void> => {
    await joint.close();
    netif.down();
  };
}

/** TAP, interface, switch or pipe, interface, TAP, all in this thread. */
export function ptnetLink(path: keyof typeof PORTS, kind: TapKind): Link {
  return async (spaces) => {
    const names = deviceNames();
    const netmap = await Netmap.create();
    const ends: (() => Promise<void>)[] = [];
    const close = async (): Promise<void> => {
      for (const end of ends) await end();
      await netmap.close();
    };
    try {
      for (const [i, name] of names.entries()) ends.push(await openEnd(netmap, PORTS[path][i], path, name, kind));
      spaces.adopt(names);
    } catch (error) {
      await close();
      throw error;
    }
    return close;
  };
}

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Writes to one device what comes from the other. */
async function relay(from: Tap, to: Tap): Promise<void> {
  while (!from.ended && !to.ended) {
    let n = 0;
    for (let packet = from.peek(); packet && n < TURN; n++, packet = from.peek()) {
      to.write(packet);
      from.shift();
    }
    await (n === TURN ? nextTurn() : (from.idle() ?? nextTurn()));
  }
}

/** Two TAP devices and a loop in each direction, in this thread. */
export function relayLink(kind: TapKind): Link {
  return async (spaces) => {
    const names = deviceNames();
    const taps: Tap[] = [];
    let loops: Promise<void>[] = [];
    const close = async (): Promise<void> => {
      for (const tap of taps) await tap.close();
      await Promise.all(loops);
    };
    try {
      for (const name of names) {
        const tap = await openTap({ name, vnetHdr: kind.header });
        taps.push(tap);
        if (kind.header) tap.setCapabilities(new Set([...CHECKSUMS, ...(kind.tso ? SEGMENTATION : [])]));
      }
      loops = [relay(taps[0], taps[1]), relay(taps[1], taps[0])];
      spaces.adopt(names);
    } catch (error) {
      await close();
      throw error;
    }
    return close;
  };
}
