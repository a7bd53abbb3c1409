// The shortest form of the benches of backends with devices: packets go both ways, beside the bare loop in C.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Result } from '../../bench/results.js';
import { assertNoBenchSpaces, whyNoNamespaces } from './netns.js';
import { findProgram, root, run } from './support.js';

const compiler = findProgram('PTNET_CC', 'cc');
const skip = whyNoNamespaces() || compiler.skip;

test('the device benches measure both directions of a TAP device, and nothing is left', { skip }, async () => {
  const main = join(root, 'build/ts/bench/devices/main.js');
  const args = [main, 'tap', '--rounds', '1', '--seconds', '0.2', '--json'];
  const { code, stdout, report } = await run(process.execPath, args, { limit: 120 });
  assert.equal(code, 0, report);
  const lines = stdout.trim().split('\n');
  const results = lines.map((line) => JSON.parse(line) as Result);
  const rows = results.map(({ case: name, contender }) => `${name}, ${contender}`);
  for (const direction of ['receive', 'transmit']) {
    for (const contender of ['node', 'c']) assert.ok(rows.includes(`tap ${direction} 60 B, ${contender}`), report);
  }
  for (const { median, contender, ratio } of results) {
    assert.ok(median > 0, report);
    assert.equal('c' in (ratio ?? {}), contender !== 'c', report);
  }
  await assertNoBenchSpaces();
});
