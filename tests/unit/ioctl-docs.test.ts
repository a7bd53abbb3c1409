// The README's example of a program that makes requests, as it is printed.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import * as abi from '../../src/abi.js';
import { Netmap } from '../../src/control/netmap.js';

test('the example of the README binds a port', async () => {
  const readme = readFileSync(new URL('../../../../README.md', import.meta.url), 'utf8');
  const [block] = [...readme.matchAll(/```js\n(.*?)```/gs)]
    .map(([, text]) => text)
    .filter((text) => text.includes('openDevice'));
  const run = new Function('netmap', 'abi', `return (async () => { ${block}\n return { device, view, body }; })()`);
  const netmap = await Netmap.create({ memorySize: 256 << 20 });
  const { device, view, body } = await run(netmap, abi);
  assert.equal(device.port?.name, 'vale0:a');
  assert.equal(view.getUint32(body + abi.NMREQ_REGISTER_TX_SLOTS, true), 1024);
  await netmap.close();
});
