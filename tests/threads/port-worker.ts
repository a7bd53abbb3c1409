// A worker that opens ports, on the host or through the ptnet driver of a guest, and does with them what a test asks.
import type { GuestHandle, NetmapHandle, OpenOptions } from '../../src/index.js';
import { abi, Netmap, NetmapError, type NetmapPort, PtnetDriver } from '../../src/index.js';
import { type Bursts, runBursts } from './bursts.js';
import { BROADCAST, HELLO } from './frames.js';
import { type PingPong, pingPong, putFrame, takeFrames } from './ping-pong.js';
import { Stream, type StreamOptions } from './stream.js';
import { type Pacing, runStream, runStreamAsync } from './stream-run.js';
import { pause, Random, serve } from './support.js';

interface Which {
  /** Index of the port, in the order of opening. Default 0. */
  readonly port?: number;
}

interface Hammer {
  readonly from: readonly number[];
  readonly to: readonly number[];
  readonly len?: number;
  /** A rest (ms) now and then. */
  readonly rest?: number;
}

let netmap: Netmap | undefined;
const ports: NetmapPort[] = [];

async function closeAll(): Promise<void> {
  for (const port of ports.splice(0)) await port.close();
  await netmap?.close();
  netmap = undefined;
}

/** Opens and closes ports with these names at random, as fast as it goes. Returns how often a port was refused. */
async function storm(specs: readonly string[], rounds: number, start: number): Promise<number> {
  const random = new Random(start);
  const open: NetmapPort[] = [];
  let refused = 0;
  for (let round = 0; round < rounds; round++) {
    if (open.length > 3 || (open.length !== 0 && random.below(2) === 0)) {
      const [port] = open.splice(random.below(open.length), 1);
      port.txsync();
      await port.close();
      continue;
    }
    const counts = { txSlots: 16 << random.below(4), extraBufs: random.below(4), txRings: 1 + random.below(3) };
    try {
      open.push((await netmap?.open(specs[random.below(specs.length)], counts)) as NetmapPort);
    } catch (error) {
      if (!(error instanceof NetmapError) || error.code !== 'EBUSY') throw error;
      refused++;
    }
  }
  for (const port of open) await port.close();
  return refused;
}

/** Sends and receives until a sync fails, as fast as it goes but for a rest now and then. Returns how it failed. */
function hammer(port: NetmapPort, { from, to, len, rest = 0 }: Hammer): number {
  for (let seq = 0; ; seq++) {
    if (seq % 256 === 0) pause(rest);
    for (const ring of port.txRings) if (ring.space !== 0) putFrame(ring, to, from, seq, HELLO, len);
    takeFrames(port);
    const result = port.txsync() || port.rxsync();
    if (result < 0) return result;
  }
}

serve({
  /** Opens a port of the host. */
  openHost: async ({ handle, spec, options }: { handle: NetmapHandle; spec: string; options?: OpenOptions }) => {
    netmap ??= await Netmap.attach(handle);
    ports.push(await netmap.open(spec, options));
    return netmap.threadId;
  },
  /** Opens all ptnet interfaces of a guest. */
  openGuest: async ({ handle }: { handle: GuestHandle }) => {
    const guest = await Netmap.attachGuest(handle);
    netmap = guest.netmap;
    for (const driver of PtnetDriver.probe(guest.machine)) ports.push(driver.open());
    return netmap.threadId;
  },
  /** Lets the switch learn an address. */
  hello: ({ port = 0, from, len }: Which & { from: number[]; len?: number }) => {
    putFrame(ports[port].txRings[0], BROADCAST, from, 0, HELLO, len);
    return ports[port].txsync();
  },
  /** Fills all buffers of a port with a pattern. */
  paint: ({ port = 0, pattern }: Which & { pattern: Uint8Array }) => {
    for (const ring of [...ports[port].txRings, ...ports[port].rxRings]) {
      for (let i = 0; i < ring.numSlots; i++) {
        const buf = ring.buf(i);
        for (let at = 0; at < buf.length; at += pattern.length) buf.set(pattern, at);
      }
    }
  },
  /** Sends frames and does not wait for anything. */
  put: ({ port = 0, count, from, to }: Which & { count: number; from: number[]; to: number[] }) => {
    for (let i = 0; i < count; i++) putFrame(ports[port].txRings[0], to, from, i, HELLO);
    return ports[port].txsync();
  },
  /** Takes what is there: how many frames. */
  take: ({ port = 0 }: Which) => {
    ports[port].rxsync();
    return takeFrames(ports[port]);
  },
  /** Blocks until one of the events, or for `timeout` ms. Returns the ready events. */
  poll: ({ port = 0, events, timeout = 1e9 }: Which & { events: number; timeout?: number }) =>
    ports[port].pollSync(events, timeout),
  pollAsync: ({ port = 0, events, timeout }: Which & { events: number; timeout?: number }) =>
    ports[port].poll(events, timeout === undefined ? {} : { timeout }),
  /** Asks for more room than there is: cur at the tail. Blocks until there is more. Returns the slots then free. */
  pollForMore: ({ port = 0, timeout }: Which & { timeout: number }) => {
    const [ring] = ports[port].txRings;
    ring.cur = ring.tail;
    return ports[port].pollSync(abi.POLLOUT, timeout) === 0 ? -1 : ring.space;
  },
  run: ({ port = 0, stream, pacing }: Which & { stream: StreamOptions; pacing: Pacing }) =>
    runStream(new Stream(ports[port], stream), pacing),
  runAsync: ({ port = 0, stream, pacing }: Which & { stream: StreamOptions; pacing: Pacing }) =>
    runStreamAsync(new Stream(ports[port], stream), pacing),
  pingPong: ({ port = 0, game }: Which & { game: PingPong }) => pingPong(ports[port], game),
  bursts: ({ port = 0, game }: Which & { game: Bursts }) => runBursts(ports[port], game),
  storm: ({ specs, rounds, seed }: { specs: string[]; rounds: number; seed: number }) => storm(specs, rounds, seed),
  attach: async ({ handle }: { handle: NetmapHandle }) => {
    netmap = await Netmap.attach(handle);
    return netmap.threadId;
  },
  hammer: ({ port = 0, ...how }: Which & Hammer) => hammer(ports[port], how),
  counters: ({ port = 0 }: Which) => ports[port].counters(),
  closePort: ({ port = 0 }: Which) => ports[port].close(),
  close: closeAll,
});
