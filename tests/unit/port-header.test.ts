// PORT_HDR_SET and PORT_HDR_GET: which ports have headers of which lengths, and what becomes of their frames.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { NR_ACCEPT_VNET_HDR, PTNET_IO_VNET_HDR_LEN } from '../../src/abi.js';
import type { ErrnoCode } from '../../src/errors.js';
import { Netmap, PtnetDriver } from '../../src/index.js';

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

const withHeader = (length: number): Uint8Array => Uint8Array.of(...new Uint8Array(length), ...frame());

test('packets of an interface with a header pass unparsed', async () => {
  const eth0 = await netmap.addInterface('eth0', { vnetHdrLen: 12 });
  assert.deepEqual([await netmap.portHeader('netmap:eth0'), eth0.wire.vnetHdrLen, eth0.stack.vnetHdrLen], [12, 12, 0]);
  await failsWith('EIO', netmap.open('netmap:eth0'));
  const port = await netmap.open('netmap:eth0', { flags: NR_ACCEPT_VNET_HDR });
  const packet = withHeader(12).fill(0xee, 0, 12);
  await port.send(packet);
  await eth0.wire.send(packet);
  for (const end of [eth0.wire, port]) {
    end.rxsync();
    assert.deepEqual(end.recv(), [packet]);
  }
  const host = await netmap.open('netmap:eth0^', { flags: NR_ACCEPT_VNET_HDR });
  assert.equal(host.vnetHdrLen, 12);
  await host.send(withHeader(12));
  eth0.stack.rxsync();
  assert.deepEqual(eth0.stack.recv(), [frame()], 'the host stack has none');
});

for (const [own, wire] of [
  [0, 10],
  [12, 10],
  [10, 12],
]) {
  test(`an interface with ${own} bytes of header and ${wire} at its wire translates`, async () => {
    const eth0 = await netmap.addInterface('eth0', { vnetHdrLen: own, wireHdrLen: wire });
    const port = await netmap.open('netmap:eth0', { flags: NR_ACCEPT_VNET_HDR });
    await port.send(withHeader(own));
    await eth0.wire.send(withHeader(wire));
    eth0.wire.rxsync();
    port.rxsync();
    assert.deepEqual([eth0.wire.recv(), port.recv()], [[withHeader(wire)], [withHeader(own)]]);
    await failsWith('EINVAL', netmap.addInterface('eth1', { vnetHdrLen: 11 }));
    await failsWith('EINVAL', netmap.addInterface('eth1', { wireHdrLen: -1 }));
  });
}

test('a guest negotiates the header of an interface that has one; with the guest goes its choice', async () => {
  const eth0 = await netmap.addInterface('eth0', { vnetHdrLen: 12 });
  await netmap.addInterface('eth1');
  const guest = await netmap.createGuest();
  await guest.passthrough('netmap:eth0');
  await guest.passthrough('netmap:eth1');
  const [driver, plain] = PtnetDriver.probe(await guest.machine());
  assert.deepEqual([driver.offersHeader, plain.offersHeader], [true, false]);
  for (const [flags, length] of [
    [0, 0],
    [NR_ACCEPT_VNET_HDR, 12],
    [0, 0],
  ]) {
    const port = driver.open({ flags });
    assert.equal(await netmap.portHeader('netmap:eth0'), length);
    await port.send(withHeader(length));
    eth0.wire.rxsync();
    assert.deepEqual(eth0.wire.recv(), [withHeader(12)]);
    await port.close();
  }
  await guest.close();
  assert.equal(await netmap.portHeader('netmap:eth0'), 12);
});
