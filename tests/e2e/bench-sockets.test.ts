// The shortest form of the socket benches: frames arrive in every case.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { findProgram, root, run } from './support.js';

const compiler = findProgram('PTNET_CC', 'gcc');
const skip = process.platform === 'linux' ? compiler.skip : 'Linux only';

test('the socket benches measure every contender', { skip }, async () => {
  const main = join(root, 'build/ts/bench/sockets/main.js');
  const { code, stdout, report } = await run(process.execPath, [main, '--rounds', '1', '--time', '50'], { limit: 120 });
  assert.equal(code, 0, report);
  const rates = [...stdout.matchAll(/ ([\d.]+) Mpps /g)].map(([, rate]) => Number(rate));
  assert.ok(rates.length >= 16, report);
  assert.ok(
    rates.every((rate) => rate > 0),
    report,
  );
});
