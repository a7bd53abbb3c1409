// poll(2) as docs/ports.md has it: each row of its table, over ports of the host and of guests, awaited and blocked.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { abi, type Guest, Netmap, pollManySync } from '../../src/index.js';
import { type Form, type Kind, type Row, rows, SLOTS, type Stage } from './poll-table.js';
import type { Ended } from './poll-worker.js';
import { Peer, sleep, within } from './support.js';

const url = new URL('./poll-worker.js', import.meta.url);
const SMALL = { txSlots: SLOTS, rxSlots: SLOTS };
/** Long enough for a wait to be asleep. */
const ASLEEP = 60;
const LIMIT = 15_000;

/** Whose port it is; a guest's is served by a loop worker (notify) or by the guest's own thread (direct). */
const owners: readonly { readonly kind: Kind; readonly loop?: 'notify' | 'direct' }[] = [
  { kind: 'host' },
  { kind: 'guest', loop: 'notify' },
  { kind: 'guest', loop: 'direct' },
];

async function run(row: Row, form: Form, loop?: 'notify' | 'direct'): Promise<void> {
  const netmap = await Netmap.create({ memorySize: 1 << 28, threads: loop === 'notify' ? 1 : 0 });
  const peer = new Peer(url);
  try {
    const made = await row.make?.(netmap);
    const specs = row.specs ?? Array.from({ length: row.pipes ?? 1 }, (_, i) => `netmap:p${i}{1`);
    let guest: Guest | undefined;
    const which = { row: rows.indexOf(row) };
    if (loop === undefined) {
      await peer.call('openHost', { handle: netmap.handle(peer.worker), specs, ...which });
    } else {
      guest = await netmap.createGuest();
      for (const spec of specs) await guest.passthrough(spec, { loop, ...SMALL });
      await peer.call('openGuest', { handle: guest.handle(peer.worker), ...which });
    }
    const peers = await Promise.all(row.specs ? [] : specs.map((spec) => netmap.open(spec.replace('{', '}'), SMALL)));
    const stage: Stage = { netmap, peers, guest, made };
    await row.prepare?.(stage);
    await peer.call('before', which);
    const wait = peer.call<Ended>('poll', { ...which, form }, LIMIT);
    if (row.meanwhile) {
      assert.equal(await Promise.race([wait, sleep(ASLEEP)]), undefined, 'it waits');
      await row.meanwhile(stage);
    }
    const { answer, ms } = await wait;
    assert.deepEqual(answer, row.answer);
    const { timeout = 10_000 } = row;
    const timedOut = typeof answer !== 'string' && answer.every((events) => events === 0);
    if (timedOut) assert.ok(ms >= timeout - 1, `${ms} ms`);
    else assert.ok(ms < 5000, `${ms} ms`);
    await peer.call('after', which);
    await row.check?.(stage);
    assert.equal((await netmap.inspect().catch(() => ({ lostWakeups: 0 }))).lostWakeups, 0);
  } finally {
    await peer.end();
    await netmap.close();
  }
}

for (const { kind, loop } of owners) {
  for (const form of ['await', 'blocked'] as const) {
    describe(`${form}, a port of a ${kind}${loop ? ` (${loop})` : ''}`, { concurrency: 4 }, () => {
      for (const row of rows) {
        if (row.kinds?.includes(kind) === false || row.forms?.includes(form) === false) continue;
        const name = row.what === undefined ? row.situation : `${row.situation}: ${row.what}`;
        test(name, () => run(row, form, loop));
      }
    });
  }
}

const MAIN = 'the blocking form on a main thread, or in unshared memory';
for (const shared of [true, false]) {
  test(`${MAIN}: ${shared ? 'main' : 'unshared'}`, async () => {
    const netmap = await Netmap.create({ shared });
    const port = await netmap.open('netmap:p{1');
    assert.throws(() => port.pollSync(abi.POLLIN, 1), { code: 'EOPNOTSUPP' });
    assert.throws(() => pollManySync([{ port, events: abi.POLLIN }], 0), { code: 'EOPNOTSUPP' });
    await within(LIMIT, 'the end', netmap.close());
  });
}

test('the documentation has these situations, and no others', () => {
  const text = readFileSync(new URL('../../../../docs/ports.md', import.meta.url), 'utf8');
  const from = text.indexOf('\n## poll\n');
  const section = text.slice(from, text.indexOf('\n## ', from + 1));
  const lines = section.split('\n').filter((line) => line.startsWith('| '));
  const documented = lines.slice(2).map((line) => line.split(' | ')[0].replace('| ', '').trim());
  assert.deepEqual(
    [...new Set(documented)].sort(),
    [...new Set([...rows.map(({ situation }) => situation), MAIN])].sort(),
  );
});
