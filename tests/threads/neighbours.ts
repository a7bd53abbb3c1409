// Two workers that exchange numbered frames all the time, as the neighbours of somebody who is killed or means harm.
import assert from 'node:assert/strict';
import type { Guest, Netmap, OpenOptions } from '../../src/index.js';
import { mac } from './frames.js';
import { gotWord, STOP, type StreamOptions, type StreamResult, sharedWords } from './stream.js';
import { Peer, seed, until } from './support.js';

/** A neighbour that gets nothing for this long (ms) has been stalled. */
const STALL = 10_000;
/** Index of the neighbours' ports. */
export const PIPE = 0;
export const SWITCH = 1;
/** Longest frame: the bytes behind it in a buffer are never written. */
const LONGEST = 128;
/** Number of the stream on the pipe; not one that somebody writes by chance. */
const STREAM = 0x5a17;

/** Over a pipe of their own, where nothing may be lost, and over the switch `vale0`, which others flood. */
export class Neighbours {
  readonly peers = [0, 1].map(() => new Peer(new URL('./port-worker.js', import.meta.url)));
  readonly #shared = [sharedWords(), sharedWords()];
  readonly #patience: number;
  #guest: Guest | undefined;
  #runs: Promise<StreamResult>[] = [];

  /** @param patience a wait that takes this long (ms) has been forgotten */
  constructor(patience: number) {
    this.#patience = patience;
  }

  /** The first has ports of the host, the second is a guest whose loops run in a loop worker. */
  async open(netmap: Netmap, options: OpenOptions = {}): Promise<void> {
    const [one, two] = this.peers;
    const handle = netmap.handle(one.worker);
    for (const spec of ['netmap:n{1', 'vale0:n1']) {
      await one.call('openHost', { handle, spec, options });
    }
    this.#guest = await netmap.createGuest();
    for (const spec of ['netmap:n}1', 'vale0:n2']) {
      await this.#guest.passthrough(spec, { ...options, loop: 'notify' });
    }
    await two.call('openGuest', { handle: this.#guest.handle(two.worker) });
    // Once the switch knows both, nobody else sees their stream.
    await until(10_000, 'learning two addresses', async () => {
      await this.sayHello([1, 2]);
      const { fdb } = (await netmap.inspect()).bridges.find(({ name }) => name === 'vale0') ?? { fdb: [] };
      return [one, two].every((_, i) => fdb.some(({ mac }) => mac.endsWith(`0${1 + i}`))) || undefined;
    });
  }

  /** A broadcast of each on the switch, from the addresses with these numbers: a byte more than the stream's frames. */
  async sayHello(numbers: readonly number[]): Promise<void> {
    for (const [i, peer] of this.peers.entries()) {
      await peer.call('hello', { port: SWITCH, from: mac(numbers[i]), len: LONGEST + 1 });
    }
  }

  /** Starts the streams, and waits until frames arrive. */
  async start(): Promise<void> {
    for (const [side, peer] of this.peers.entries()) {
      for (const port of [PIPE, SWITCH]) {
        const lossy = port === SWITCH;
        const stream: StreamOptions = {
          shared: this.#shared[port],
          side,
          to: mac(2 - side),
          from: mac(1 + side),
          id: STREAM + port,
          send: -1,
          receive: true,
          window: lossy ? 200 : 0,
          lossy,
          longest: LONGEST,
          seed: seed + side + 2 * port,
        };
        this.#runs.push(peer.call('runAsync', { port, stream, pacing: { patience: this.#patience } }, 3_600_000));
      }
    }
    for (const run of this.#runs) run.catch(() => {}); // reported by stop()
    await this.moveOn();
  }

  /** Resolves when each of the four streams has moved on from here. */
  async moveOn(): Promise<void> {
    const counts = (): number[] =>
      this.#shared.flatMap((shared) => [0, 1].map((side) => Atomics.load(new Int32Array(shared), gotWord(side))));
    const before = counts();
    const moved = until(STALL, `neighbours that go on (${before})`, () =>
      counts().every((count, i) => count > before[i]) ? true : undefined,
    );
    await Promise.race([moved, Promise.all(this.#runs).then(() => assert.fail('a stream has ended'))]);
  }

  async stop(): Promise<StreamResult[]> {
    for (const shared of this.#shared) Atomics.store(new Int32Array(shared), STOP, 1);
    const results = await Promise.all(this.#runs);
    for (const peer of this.peers) await peer.call('close');
    await this.end();
    await this.#guest?.close();
    return results;
  }

  async end(): Promise<void> {
    for (const peer of this.peers) await peer.end();
  }
}
