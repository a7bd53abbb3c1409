// What comes from outside into a wire that takes nothing at the moment: it is refused, so that it can be counted.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Injector } from '../../src/io/backends/packets.js';
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
