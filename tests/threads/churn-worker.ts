// A worker that makes, opens, uses, attaches, detaches and closes ports of all kinds at random, while others do the same
// with the same names. Every answer must be success or an errno that the documentation allows there.
import { abi, type HostPort, Netmap, NetmapError, type NetmapHandle, type NetmapInterface } from '../../src/index.js';
import { BROADCAST, HELLO, mac } from './frames.js';
import { putFrame, takeFrames } from './ping-pong.js';
import { Random, serve, within } from './support.js';

export interface ChurnOptions {
  readonly handle: NetmapHandle;
  readonly cycles: number;
  readonly seed: number;
}

/** How often each kind of call has succeeded, and how often it was refused, as `call: errno`. */
export type Tally = Record<string, number>;

interface Spec {
  readonly kind: string;
  readonly name: string;
  /** What `open` may be refused with. */
  readonly refusals: readonly string[];
}

const kinds = (kind: string, refusals: readonly string[], ...names: string[]): Spec[] =>
  names.map((name) => ({ kind, name, refusals }));

/** docs/ports.md, and the docstring of `Netmap.open`. ENOMEM nowhere: the arena and its pools are large enough. */
const specs: readonly Spec[] = [
  ...kinds('VALE', [], 'vale0:a', 'vale0:b', 'vale1:a', 'vale2:a-0/R'),
  ...kinds('VALE of an interface', ['EINVAL'], 'vale0:eth0', 'vale1:per0'),
  ...kinds('pipe', [], 'netmap:p{1', 'netmap:p}1', 'vale0:a{1', 'vale0:a}1'),
  ...kinds('exclusive pipe', ['EBUSY'], 'netmap:p{2/x', 'netmap:p{2'),
  ...kinds('persistent', ['ENXIO', 'EBUSY'], 'netmap:per0', 'netmap:per1'),
  ...kinds('NIC', ['ENXIO', 'EBUSY'], 'netmap:eth0', 'netmap:eth0*', 'netmap:eth1^', 'netmap:eth1-0/T'),
  ...kinds('copy monitor', ['ENXIO', 'EINVAL'], 'vale0:a/rt', 'netmap:p{1/r', 'netmap:eth0*/rt', 'netmap:per0/t'),
  ...kinds('zero-copy monitor', ['ENXIO', 'EINVAL'], 'vale0:a/z', 'netmap:p}1/z', 'netmap:eth0/z', 'netmap:per1/z'),
];

const EVENTS = abi.POLLIN | abi.POLLOUT;
const BOTH = ['0', '1'];
/** At most so many ports of a worker are open. */
const MOST = 6;
/** A call that takes longer (ms) hangs. */
const PATIENCE = 10_000;

class Churn {
  readonly #netmap: Netmap;
  readonly #random: Random;
  readonly #open: HostPort[] = [];
  readonly #made: NetmapInterface[] = [];
  readonly tally: Tally = {};

  constructor(netmap: Netmap, seed: number) {
    this.#netmap = netmap;
    this.#random = new Random(seed);
  }

  #pick<T>(from: readonly T[]): T {
    return from[this.#random.below(from.length)];
  }

  /** Makes a call that may be refused with one of `refusals`: what it gave, undefined when it was refused. */
  async #try<T>(call: string, name: string, refusals: readonly string[], made: Promise<T> | T): Promise<T | undefined> {
    const count = (key: string): void => {
      this.tally[key] = (this.tally[key] ?? 0) + 1;
    };
    try {
      const result = await within(PATIENCE, `${call} ${name}`, Promise.resolve(made));
      count(call);
      return result;
    } catch (error) {
      if (!(error instanceof NetmapError) || !refusals.includes(error.code)) throw error;
      count(`${call}: ${error.code}`);
      return undefined;
    }
  }

  async cycle(): Promise<void> {
    const dice = this.#random.below(20);
    if (dice < 9 && this.#open.length < MOST) await this.#openOne();
    else if (dice < 13 && this.#open.length !== 0) await this.#closeOne();
    else if (dice < 16) await this.#interface();
    else if (dice < 18) await this.#attachment();
    else await this.#use();
  }

  async #openOne(): Promise<void> {
    const { kind, name, refusals } = this.#pick(specs);
    const slots = (): number => 8 << this.#random.below(3);
    const counts = { txSlots: slots(), rxSlots: slots(), txRings: 1 + this.#random.below(2), extraBufs: 2 };
    const port = await this.#try(`open ${kind}`, name, refusals, this.#netmap.open(name, counts));
    if (port) this.#open.push(port);
  }

  async #closeOne(): Promise<void> {
    const [port] = this.#open.splice(this.#random.below(this.#open.length), 1);
    await this.#try('close', port.name, [], port.close());
  }

  /** Makes an interface, or takes one away. */
  async #interface(): Promise<void> {
    const netmap = this.#netmap;
    const [eth, per] = [`eth${this.#pick(BOTH)}`, `per${this.#pick(BOTH)}`];
    const dice = this.#random.below(8);
    if (dice < 2) {
      const made = await this.#try(
        'addInterface',
        eth,
        ['EEXIST'],
        netmap.addInterface(eth, { txSlots: 32, rxSlots: 16 }),
      );
      if (made) this.#made.push(made);
    } else if (dice < 3) {
      await this.#try('removeInterface', eth, ['ENXIO'], netmap.removeInterface(eth));
    } else if (dice < 4) {
      const made = this.#made.splice(0, 1)[0];
      if (made) await this.#try('close of an interface', made.name, [], made.close());
    } else if (dice < 7) {
      await this.#try('newInterface', per, ['EEXIST'], netmap.newInterface(per, { txSlots: 16, rxSlots: 32 }));
    } else {
      await this.#try('deleteInterface', per, ['ENXIO', 'EBUSY'], netmap.deleteInterface(per));
    }
  }

  async #attachment(): Promise<void> {
    const name = `vale${this.#pick(BOTH)}:${this.#pick(['eth0', 'eth0*', 'eth1', 'per0', 'per1'])}`;
    if (this.#random.below(2) === 0) {
      await this.#try('valeAttach', name, ['EINVAL', 'EBUSY'], this.#netmap.valeAttach(name));
    } else {
      await this.#try('valeDetach', name, ['ENXIO'], this.#netmap.valeDetach(name.replace('*', '')));
    }
  }

  /** Sends to everybody and takes what has come, through all its ports. Rings that are gone answer with an error. */
  async #use(): Promise<void> {
    for (const port of [...this.#open, ...this.#made.flatMap(({ wire, stack }) => [wire, stack])]) {
      const wait = this.#random.below(2) === 0 ? port.poll(EVENTS, { timeout: 1 }) : port.pollSync(EVENTS, 1);
      const ready = await this.#try('poll', port.name, [], wait);
      if ((ready ?? 0) & abi.POLLERR) continue;
      for (const ring of port.txRings) if (ring.space !== 0) putFrame(ring, BROADCAST, mac(1), 0, HELLO);
      takeFrames(port);
      port.txsync();
      port.rxsync();
    }
  }

  async end(): Promise<void> {
    for (const port of this.#open.splice(0)) await this.#try('close', port.name, [], port.close());
    for (const made of this.#made.splice(0)) await this.#try('close of an interface', made.name, [], made.close());
  }
}

serve({
  run: async ({ handle, cycles, seed }: ChurnOptions): Promise<Tally> => {
    const netmap = await Netmap.attach(handle);
    const churn = new Churn(netmap, seed);
    for (let i = 0; i < cycles; i++) await churn.cycle();
    await churn.end();
    await netmap.close();
    return churn.tally;
  },
});
