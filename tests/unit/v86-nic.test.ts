// v86's own network card on a port, of a v86 that is only pretended: frames both ways, and what happens when one of the
// two fails or ends.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { NR_ACCEPT_VNET_HDR } from '../../src/abi.js';
import { Netmap } from '../../src/control/netmap.js';
import { attachNic } from '../../src/hosts/v86-nic.js';
import type { HostPort } from '../../src/netmap/host-port.js';
import { FakeV86 } from '../support/fake-v86.js';

let netmap: Netmap;
let v86: FakeV86;
let port: HostPort;
let other: HostPort;
const unhandled: unknown[] = [];
const note = (error: unknown): void => void unhandled.push(error);

beforeEach(async () => {
  netmap = await Netmap.create({ memorySize: 256 << 20, privatePools: { priv_buf_num: 64, priv_ring_num: 4 } });
  v86 = new FakeV86();
  port = await netmap.open('vale0:card');
  other = await netmap.open('vale0:other');
  unhandled.splice(0);
  process.on('unhandledRejection', note);
});
afterEach(async () => {
  await netmap.close();
  await turn();
  process.off('unhandledRejection', note);
  assert.deepEqual(unhandled, []);
});

const turn = (): Promise<void> => new Promise((go) => setTimeout(go, 1));
const broadcast = (): Uint8Array => Uint8Array.from({ length: 60 }, (_, i) => (i < 6 ? 0xff : i));
const send = (frame: Uint8Array): void => v86.listeners.get('net0-send')?.(frame);

async function until(what: () => boolean): Promise<void> {
  const end = performance.now() + 10_000;
  while (!what() && performance.now() < end) await turn();
  assert.ok(what(), String(what));
}

test('sends to a port and gets what the port receives, until it is taken off', async () => {
  const nic = attachNic(v86, port);
  send(broadcast());
  other.rxsync();
  assert.deepEqual(other.recv(), [broadcast()]);
  for (let i = 0; i < 100; i++) await other.send(broadcast());
  await until(() => v86.sent.length === 100);
  assert.deepEqual(v86.sent[99], ['net0-receive', broadcast()]);
  send(new Uint8Array(0)); // nothing that a port takes
  send(new Uint8Array(1 << 22));
  assert.deepEqual(nic.counters, { sent: 1, received: 100, drops: 2, errors: 0 });
  await nic.close();
  await nic.ended;
  assert.equal(v86.listeners.get('net0-send'), undefined);
  assert.ok(port.isOpen);
});

test('goes on when the emulator’s card throws: counted, and told', async () => {
  const told: unknown[] = [];
  const nic = attachNic(v86, port, { onError: (error) => told.push(error) });
  const failure = new Error('the ring of the card is broken');
  let calls = 0;
  v86.onSend = () => {
    if (++calls % 3 === 0) throw failure;
  };
  for (let i = 0; i < 30; i++) await other.send(broadcast());
  await until(() => calls === 30);
  await turn();
  assert.deepEqual(nic.counters, { sent: 0, received: 20, drops: 0, errors: 10 });
  assert.deepEqual(told, Array(10).fill(failure));
  await nic.close();
});

test('goes on when nobody is to be told, and after a sync that was refused', async () => {
  const nic = attachNic(v86, port);
  v86.onSend = () => {
    throw new Error('the card is broken');
  };
  await other.send(broadcast());
  await until(() => nic.counters.errors === 1);
  v86.onSend = () => {};
  const [ring] = port.rxRings;
  ring.head = ring.numSlots + 7;
  await other.send(broadcast());
  await until(() => ring.head < ring.numSlots);
  await other.send(broadcast());
  await until(() => nic.counters.received >= 1);
  assert.equal((await port.counters()).reinits, 1);
  await nic.close();
});

test('ends with its port: told, and the guest’s frames are counted as lost', async () => {
  const nic = attachNic(v86, port);
  await port.close();
  await nic.ended;
  send(broadcast());
  assert.deepEqual(nic.counters, { sent: 0, received: 0, drops: 1, errors: 0 });
  await nic.close();
});

test('ends with its host', async () => {
  const nic = attachNic(v86, port);
  await netmap.close();
  await nic.ended;
  send(broadcast());
  assert.equal(nic.counters.drops, 1);
});

test('a port that is closed inside a delivery ends it', async () => {
  const nic = attachNic(v86, port);
  v86.onSend = () => void port.close();
  await other.send(broadcast());
  await other.send(broadcast());
  await nic.ended;
  assert.ok(nic.counters.received >= 1);
});

test('is refused by an emulator without a bus, and by a port with virtio-net headers', async () => {
  assert.throws(() => attachNic({ add_listener() {}, remove_listener() {} }, port), { code: 'EOPNOTSUPP' });
  await netmap.setPortHeader('vale0:card', 12);
  const withHeaders = await netmap.open('vale0:card', { flags: NR_ACCEPT_VNET_HDR });
  assert.throws(() => attachNic(v86, withHeaders), { code: 'EINVAL' });
});
