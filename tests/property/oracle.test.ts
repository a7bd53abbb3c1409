// Random sequences of commands, given to the host and to the oracle, must have the same outcome after every command.
// PTNET_FUZZ_RUNS: how many sequences (default 1000); PTNET_FUZZ_SEED and PTNET_FUZZ_PATH repeat a run that has failed.

import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import fc from 'fast-check';
import type { Netmap } from '../../src/index.js';
import { type Command, command, openCommand, portsCommand, portsStart } from './commands.js';
import type { OpenRequest } from './oracle-host.js';
import { type MemoryKind, makeHost, World } from './world.js';

const RUNS = Number(process.env['PTNET_FUZZ_RUNS'] ?? 1000);
const TIME_LIMIT = Math.max(60_000, 100 * RUNS);
const SEED = process.env['PTNET_FUZZ_SEED'];
const PATH = process.env['PTNET_FUZZ_PATH'];

/** Some opens first, so that there is something to do. */
const sequence = fc
  .tuple(fc.array(openCommand, { minLength: 2, maxLength: 8 }), fc.array(command, { maxLength: 40, size: 'max' }))
  .map(([opens, commands]) => [...opens, ...commands]);

/** Hosts are used again, so that a run also finds what an earlier one has left behind. */
class Hosts {
  #netmap: Netmap | undefined;
  #clean = '';
  readonly #kind: MemoryKind;

  constructor(kind: MemoryKind) {
    this.#kind = kind;
  }

  async run(guests: readonly OpenRequest[], commands: readonly Command[]): Promise<void> {
    if (!this.#netmap) {
      this.#netmap = await makeHost(this.#kind);
      this.#clean = JSON.stringify(await this.#netmap.inspect());
    }
    const world = new World(this.#netmap, this.#kind);
    try {
      if (guests.length > 0) await world.addGuest(guests);
      await world.run(commands);
      await world.close();
      assert.equal(JSON.stringify(await this.#netmap.inspect()), this.#clean, 'something is left behind');
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.#netmap?.close();
    this.#netmap = undefined;
  }
}

const portsSequence = fc
  .tuple(portsStart, fc.array(portsCommand, { maxLength: 50, size: 'max' }))
  .map(([start, commands]) => [...start, ...commands]);

function check(
  hosts: Hosts,
  guests: fc.Arbitrary<OpenRequest[]>,
  share: number,
  commands: fc.Arbitrary<Command[]> = sequence,
): Promise<void> {
  return fc.assert(
    fc.asyncProperty(guests, commands, (requests, sent) => hosts.run(requests, sent)),
    {
      numRuns: Math.ceil(RUNS * share),
      includeErrorInReport: true,
      interruptAfterTimeLimit: TIME_LIMIT, // the best counterexample so far is reported then
      markInterruptAsFailure: false,
      ...(SEED === undefined ? {} : { seed: Number(SEED) }),
      ...(PATH === undefined ? {} : { path: PATH }),
    },
  );
}

const passedThrough = (...names: string[]): fc.Arbitrary<OpenRequest> =>
  fc.record({
    name: fc.constantFrom(...names),
    config: fc.record({
      txRings: fc.constantFrom(1, 2),
      rxRings: fc.constantFrom(1, 2),
      txSlots: fc.constantFrom(2, 5, 8),
      rxSlots: fc.constantFrom(2, 5, 8),
    }),
    dirs: fc.constant('both' as const),
    exclusive: fc.constant(true),
    ring: fc.constant(undefined),
    sameRegionAs: fc.constant(undefined),
  });
const GUESTS: fc.Arbitrary<OpenRequest[]> = fc.tuple(
  passedThrough('vale0:g', 'vale0:a'),
  passedThrough('p{1', 'p}1', 'vale0:h'),
);

for (const kind of ['shared', 'unshared', 'growing'] as const) {
  describe(`the host and the oracle agree (${kind} memory)`, () => {
    const hosts = new Hosts(kind);
    const shared = kind === 'shared';
    after(() => hosts.close());

    test('on ports of the host', () => check(hosts, fc.constant([]), shared ? 0.5 : 0.1));
    test('on interfaces, their host rings and bridges, and monitors', () =>
      check(hosts, fc.constant([]), shared ? 0.4 : 0.1, portsSequence));
    test('on monitors of a guest’s ports', () => check(hosts, GUESTS, 0.1, portsSequence));
    test('on ports of a guest, in direct mode', () => check(hosts, GUESTS, shared ? 0.3 : 0.1));
  });
}
