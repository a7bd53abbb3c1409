// PORT_HDR_SET and PORT_HDR_GET: which ports have headers of which lengths, and what becomes of their frames.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { NR_ACCEPT_VNET_HDR, PTNET_IO_VNET_HDR_LEN } from '../../src/abi.js';
import type { ErrnoCode } from '../../src/errors.js';
import { Netmap } from '../../src/index.js';

const failsWith = (code: ErrnoCode, call: Promise<unknown>): Promise<void> => assert.rejects(call, { code });
const frame = (length = 60): Uint8Array => Uint8Array.from({ length }, (_, i) => (i < 6 ? 0xff : i));

let netmap: Netmap;
beforeEach(async () => {
  netmap = await Netmap.create({ memorySize: 1 << 29 });
});
afterEach(() => netmap.close());

test('a VALE port has a header of 0, 10 or 12 bytes', async () => {
  const port = await netmap.open('vale0:a');
  for (const length of [10, 12, 0, 12]) {
    await netmap.setPortHeader('vale0:a', length);
    assert.deepEqual([await netmap.portHeader('vale0:a'), port.vnetHdrLen], [length, length]);
  }
  for (const length of [1, 11, 13, -1, 0.5, Number.NaN, 2 ** 32]) {
    await failsWith('EINVAL', netmap.setPortHeader('vale0:a', length));
    assert.equal(await netmap.portHeader('vale0:a'), 12);
  }
  await failsWith('EIO', netmap.open('vale0:a'));
  const again = await netmap.open('vale0:a', { flags: NR_ACCEPT_VNET_HDR });
  assert.equal(again.vnetHdrLen, 12);
  await port.close();
  assert.equal(port.vnetHdrLen, 0, 'what it was when the port was opened');
  await again.close();
});

test('what is no VALE port has none, and a port is not made for the asking', async () => {
  await netmap.open('netmap:p{1');
  await netmap.addInterface('eth0');
  await netmap.newInterface('per0');
  for (const name of ['netmap:p{1', 'netmap:p}1', 'netmap:eth0']) {
    assert.equal(await netmap.portHeader(name), 0);
    await failsWith('ENXIO', netmap.setPortHeader(name, 12));
    await failsWith('EINVAL', netmap.setPortHeader(name, 11));
  }
  await netmap.setPortHeader('netmap:per0', 10);
  assert.equal(await netmap.portHeader('netmap:per0'), 10);
  for (const [name, code] of [
    ['vale0:none', 'ENXIO'],
    ['netmap:none', 'ENXIO'],
    ['none', 'EINVAL'],
    ['vale0:a{', 'EINVAL'],
  ] as const) {
    await failsWith(code, netmap.portHeader(name));
    await failsWith(code, netmap.setPortHeader(name, 12));
  }
  assert.deepEqual((await netmap.inspect()).bridges, []);
});

test('it is for the packets from then on, in both directions', async () => {
  const a = await netmap.open('vale0:a');
  const b = await netmap.open('vale0:b');
  await a.send(frame());
  await netmap.setPortHeader('vale0:b', 12);
  await a.send(frame());
  b.rxsync();
  assert.deepEqual(b.recv(), [frame(), Uint8Array.of(...new Uint8Array(12), ...frame())]);
  await netmap.setPortHeader('vale0:a', 12);
  await a.send(Uint8Array.of(...new Uint8Array(12), ...frame()));
  await netmap.setPortHeader('vale0:b', 0);
  await a.send(Uint8Array.of(...new Uint8Array(12), ...frame()));
  b.rxsync();
  assert.deepEqual(b.recv(), [Uint8Array.of(...new Uint8Array(12), ...frame()), frame()]);
});

test('a guest reads what is in force', async () => {
  const guest = await netmap.createGuest();
  await guest.passthrough('vale0:g');
  const { functions } = await guest.machine();
  const device = functions.find(({ vectors }) => vectors > 0);
  await netmap.setPortHeader('vale0:g', 10);
  assert.equal(device?.ioRead(PTNET_IO_VNET_HDR_LEN, 4), 10);
  device?.ioWrite(PTNET_IO_VNET_HDR_LEN, 4, 12);
  assert.equal(await netmap.portHeader('vale0:g'), 12);
});
