// A cable whose ends lie in memories that their owners grow at any moment, as an emulator does: what is sent into a pipe on
// one side comes out of the pipe on the other, in order, with its bytes.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { type Cable, type HostPort, joinPorts, Netmap } from '../../src/index.js';

const RUNS = Number(process.env['PTNET_FUZZ_RUNS'] ?? 1000) / 5;
const SLOTS = { txSlots: 16, rxSlots: 16 };
const POOLS = { priv_buf_size: 256, priv_buf_num: 64, priv_ring_num: 4 };
const MEMORY_PAGES = 128;

interface Side {
  readonly netmap: Netmap;
  readonly user: HostPort;
  readonly end: HostPort;
  readonly grow: () => void;
}

/** `grows`: in a memory of somebody else's. */
async function makeSide(grows: boolean): Promise<Side> {
  const memory = grows ? new WebAssembly.Memory({ initial: MEMORY_PAGES }) : undefined;
  const where = memory ? { memory } : { memorySize: MEMORY_PAGES << 16 };
  const netmap = await Netmap.create({ ...where, privatePools: POOLS });
  const user = await netmap.open('vale9:p{1', SLOTS);
  const end = await netmap.open('vale9:p}1', SLOTS);
  return { netmap, user, end, grow: () => void memory?.grow(0) };
}

const side = fc.constantFrom(0, 1);
const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ op: fc.constant('send' as const), side, length: fc.integer({ min: 1, max: 600 }) }),
  },
  { weight: 3, arbitrary: fc.record({ op: fc.constant('receive' as const), side }) },
  { weight: 3, arbitrary: fc.record({ op: fc.constant('grow' as const), side }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('pump' as const) }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('turn' as const) }) },
);

for (const grows of [
  [true, false],
  [true, true],
]) {
  const sides: Side[] = [];
  let cable: Cable;

  before(async () => {
    for (const one of grows) sides.push(await makeSide(one));
    cable = joinPorts(sides[0].end, sides[1].end);
  });
  after(async () => {
    await cable.close();
    for (const { netmap } of sides) await netmap.close();
  });

  /** What side `i` has received must be what the other side has sent first. */
  function receive(i: number, sent: Uint8Array[][]): void {
    const { user } = sides[i];
    user.rxsync();
    for (const got of user.recv()) assert.deepEqual(got, sent[1 - i].shift());
    user.rxsync();
  }

  test(`nothing is lost over ${grows.filter((one) => one).length} memories that grow`, () =>
    fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 120, size: 'max' }), async (steps) => {
        const sent: Uint8Array[][] = [[], []];
        for (const [n, at] of steps.entries()) {
          if (at.op === 'grow') sides[at.side].grow();
          else if (at.op === 'pump') cable.pump();
          else if (at.op === 'turn') await new Promise(setImmediate);
          else if (at.op === 'receive') receive(at.side, sent);
          else {
            const frame = Uint8Array.from({ length: at.length }, (_, k) => 31 * n + 7 * k);
            const { user } = sides[at.side];
            if (user.trySend(frame)) sent[at.side].push(frame);
            user.txsync();
          }
        }
        for (let turns = 0; sent[0].length + sent[1].length > 0; turns++) {
          assert.ok(turns < 100, 'what was sent comes out');
          for (const i of [0, 1]) {
            sides[i].grow();
            cable.pump();
            receive(i, sent);
          }
        }
        const { aToB, bToA } = cable.counters();
        for (const { drops } of [aToB, bToA]) assert.ok(Object.values(drops).every((count) => count === 0));
      }),
      { numRuns: RUNS },
    ));
}
