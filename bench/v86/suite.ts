// A Linux guest in v86 that sends and receives: through ptnet, by the program in the guest (examples/guest), beside v86's
// own cards, whose frames go over v86's bus and no further. Two guests a card; one of them is in all cases, the other is at
// the end of its TCP connection. They take turns.
import { Netmap } from 'ptnet';
import type { Result } from '../results.js';
import { MMIO as MMIO_NAME, RAM_WINDOW } from '../types.js';
import { type BenchGuest, cardName, type Devices, LIMIT, type Linux, MEMORY, MMIO, makeGuest, RAM } from './guests.js';
import { proveCard, proveDevices, resultOf } from './proof.js';
import { tcpResults } from './tcp.js';
import { inTurns } from './turns.js';

export interface V86BenchOptions {
  readonly rounds: number;
  /** Seconds that a receiving run and a TCP connection last; frame sizes in bytes. */
  readonly seconds: number;
  readonly sizes: readonly number[];
  /** The smallest form: one of v86's cards, and a fraction of each run. */
  readonly quick: boolean;
}

/** Packets a second. */
interface Contender {
  readonly name: string;
  readonly linux: Linux;
  transmit(size: number): Promise<number>;
  receive(size: number): Promise<number>;
}

const PTNET_PACKETS = 4_000_000;
const CARD_PACKETS = 50_000;
/** A guess, for runs of about the wanted time. */
const RECEIVED_PER_SECOND = 4_000_000;
/** Frames that a card is given at a time: fewer than it has buffers. */
const CARD_BATCH = 64;
const QUICK_SHARE = 1 / 20;

const rate = (text: string): number => {
  const { packets, ms } = resultOf(text);
  return (1000 * packets) / ms;
};
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** `share` of a run is run. */
function ptnetContender(
  netmap: Netmap,
  name: string,
  linux: Linux,
  { onSwitch, onPipe, pipe }: Devices,
  seconds: number,
  share: number,
): Contender {
  const received = Math.round(RECEIVED_PER_SECOND * seconds * share);
  return {
    name,
    linux,
    transmit: async (size) =>
      rate(await linux.run(`ptnet-guest flood ${onSwitch} ${PTNET_PACKETS * share} ${size}`, LIMIT)),
    receive: async (size) => {
      const url = new URL('./sender.js', import.meta.url);
      const sender = await netmap.spawn(url, { data: { name: pipe, size } });
      try {
        return rate(await linux.run(`ptnet-guest sink ${onPipe} ${received} ${size}`, LIMIT));
      } finally {
        sender.terminate();
        await sender.ended;
      }
    },
  };
}

async function cardContender(card: string, linux: Linux, seconds: number, share: number): Promise<Contender> {
  await linux.emulator.run();
  await linux.run('ip link set eth0 up');
  await linux.emulator.stop();
  const received = async (): Promise<number> =>
    Number(await linux.run('cat /sys/class/net/eth0/statistics/rx_packets'));
  const packets = CARD_PACKETS * share;
  return {
    name: cardName(card),
    linux,
    transmit: async (size) => {
      let frames = 0;
      const count = (): void => {
        frames++;
      };
      linux.emulator.add_listener('net0-send', count);
      const result = rate(await linux.run(`ptnet-guest raw eth0 ${packets} ${size}`, LIMIT));
      linux.emulator.remove_listener('net0-send', count);
      return result * Math.min(1, frames / packets);
    },
    receive: async (size) => {
      const frame = new Uint8Array(size).fill(0xff, 0, 6);
      const before = await received();
      const start = performance.now();
      while (performance.now() - start < seconds * 1000 * share) {
        for (let i = 0; i < CARD_BATCH; i++) linux.emulator.bus.send('net0-receive', frame);
        await turn();
      }
      const elapsed = performance.now() - start;
      return (1000 * ((await received()) - before)) / elapsed;
    },
  };
}

/** Rates of a guest in thousand packets a second, and of a connection in Mbit/s; `report` is given each case. */
export async function v86Results(
  { rounds, seconds, sizes, quick }: V86BenchOptions,
  report: (results: Result[]) => void,
): Promise<void> {
  const netmap = await Netmap.create({ memorySize: MEMORY, pools: { buf_num: 8192 } });
  const guests: BenchGuest[] = [];
  const share = quick ? QUICK_SHARE : 1;
  try {
    const pairs = new Map<string, readonly [BenchGuest, BenchGuest]>();
    for (const card of quick ? ['virtio'] : ['virtio', 'ne2k']) {
      for (const end of ['a', 'b']) guests.push(await makeGuest(netmap, card, `${card}${end}`, guests.length === 0));
      pairs.set(card, [guests[guests.length - 2], guests[guests.length - 1]]);
    }
    const [{ linux }] = guests;
    const contenders = [
      ptnetContender(netmap, RAM_WINDOW, linux, RAM, seconds, share),
      ptnetContender(netmap, MMIO_NAME, linux, MMIO, seconds, share),
    ];
    for (const [card, [guest]] of pairs) contenders.push(await cardContender(card, guest.linux, seconds, share));
    for (const size of sizes) {
      for (const devices of [RAM, MMIO]) await proveDevices(netmap, linux, devices, size);
      for (const [guest] of pairs.values()) await proveCard(guest.linux, size);
      for (const what of ['transmit', 'receive'] as const) {
        const turns = contenders.map((contender) => ({
          name: contender.name,
          emulators: [contender.linux.emulator],
          run: async () => (await contender[what](size)) / 1000,
        }));
        report(await inTurns({ suite: 'v86', case: `${what} ${size}`, unit: 'kpps' }, turns, rounds));
      }
    }
    report(await tcpResults(netmap, pairs, { rounds, ms: Math.ceil(1000 * seconds * share), warm: !quick }));
  } finally {
    for (const guest of guests) await guest.close();
    await netmap.close();
  }
}
