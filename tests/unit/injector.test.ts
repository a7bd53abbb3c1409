// What comes from outside into a wire that takes nothing at the moment: it is refused, so that it can be counted.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Drainer, Injector } from '../../src/io/backends/packets.js';
import type { NetmapPort } from '../../src/ring/port.js';
import { FakeRing } from '../support/fake-ring.js';

test('a packet that finds no room is not taken, and the next one is once there is some', () => {
  const fake = new FakeRing({ slots: 4, bufSize: 64 });
  fake.tail = 3;
  const wire = { txRings: [fake.ring], txsync: () => 0 } as unknown as NetmapPort;
  const injector = new Injector(wire);
  const packet = new Uint8Array(60).fill(7);
  assert.deepEqual(
    [1, 2, 3, 4].map(() => injector.push(packet)),
    [undefined, undefined, undefined, 'noRoom'],
  );
  assert.equal(injector.packets, 3);
  assert.equal(injector.push(packet.subarray(0, 13)), 'runt');
  fake.tail = 0; // the first one was sent
  assert.equal(injector.push(packet), undefined);
  assert.equal(injector.packets, 4);
});

test('a ring whose indices others have spoilt takes and gives nothing until a sync has repaired it', () => {
  for (const bad of [4, 5, 1 << 20, 0x7fffffff, -1, -(2 ** 31)]) {
    const fake = new FakeRing({ slots: 4, bufSize: 64 });
    const { ring } = fake;
    const wire = { txRings: [ring], rxRings: [ring], txsync: () => 0 } as unknown as NetmapPort;
    const packet = new Uint8Array(60).fill(7);
    const before = fake.u8.slice();
    for (const spoil of [
      (): void => {
        ring.head = bad;
        fake.tail = 3;
      },
      (): void => {
        ring.head = 0;
        fake.tail = bad;
      },
    ]) {
      spoil();
      const injector = new Injector(wire);
      assert.equal(injector.push(packet), 'noRoom');
      spoil();
      assert.equal(
        new Drainer(wire).drain(() => true),
        0,
      );
      ring.head = 0;
      ring.cur = 0;
      fake.tail = 0;
      assert.deepEqual(fake.u8, before);
      fake.tail = 3;
      injector.flush();
      ring.head = 0;
      injector.flush();
      fake.tail = 0;
      ring.head = 0;
      ring.cur = 0;
    }
  }
});
