// Loops of devices at their edges: a worker that is told to end while the device is busy, a ring without room.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { abi } from '../../src/index.js';
import { COUNTERS_SIZE, CounterWriter, sumCounters } from '../../src/io/backends/counters.js';
import { transmitFrames } from '../../src/io/backends/frame-loops.js';
import type { FrameQueue } from '../../src/io/backends/frame-queue.js';
import type { BackendContext } from '../../src/io/backends/kind.js';
import { PacketReceiver } from '../../src/io/backends/packet-receiver.js';
import type { Libc } from '../../src/io/ffi.js';
import type { HostPort } from '../../src/netmap/host-port.js';
import { FakeRing } from '../support/fake-ring.js';

/** Writes ten packets to a device that has these answers, and is told to end with the last one. @returns counts, and packets that stay */
function transmitted(answers: readonly number[]): { packets: number; drops: object; left: number } {
  const fake = new FakeRing({ slots: 16, bufSize: 64 });
  for (let i = 0; i < 10; i++) assert.ok(fake.arrive(new Uint8Array(60), 0));
  const wire = {
    rxRings: [fake.ring],
    pollOnce: () => abi.POLLIN,
    waiting: { canBlock: true, service: () => {} },
  } as unknown as HostPort;
  const block = new SharedArrayBuffer(COUNTERS_SIZE);
  let calls = 0;
  const queue = {
    write: () => answers[Math.min(calls++, answers.length - 1)],
    waitWritable: () => 0,
  } as Partial<FrameQueue> as FrameQueue;
  const context = {
    wire,
    counters: new CounterWriter(block),
    get stopped() {
      return calls >= answers.length;
    },
    state: () => {},
  } as Partial<BackendContext> as BackendContext;
  transmitFrames(context, queue, 0);
  const { txPackets, txDrops } = sumCounters([block]);
  return { packets: txPackets, drops: txDrops, left: fake.ring.space };
}

test('what a busy device has not taken at the end stays in the ring', () => {
  assert.deepEqual(transmitted([60, 60, -abi.EAGAIN]), { packets: 2, drops: {}, left: 8 });
});

test('what a device refuses while it is told to end is counted', () => {
  assert.deepEqual(transmitted([60, -abi.EIO]), { packets: 1, drops: { down: 9 }, left: 0 });
});

test('a packet socket is not read while the ring has no room', () => {
  const fake = new FakeRing({ slots: 4, bufSize: 2048 });
  const libc = { address: () => 0, recvmmsg: () => 1 } as Partial<Libc> as Libc;
  const receiver = new PacketReceiver(libc, 0, fake.ring);
  assert.equal(receiver.receive(), 0);
  assert.equal(fake.ring.head, 0);
  fake.tail = 3;
  assert.equal(receiver.receive(), 1);
  assert.equal(fake.ring.head, 1);
});

test('a device gets no byte behind a buffer, and no slot of a ring whose indices others have spoilt', () => {
  const fake = new FakeRing({ slots: 4, bufSize: 64 });
  const { ring } = fake;
  const written: [slot: number, length: number][] = [];
  let polls = 0;
  const wire = {
    rxRings: [ring],
    pollOnce: () => {
      if (polls >= 5) return abi.POLLERR;
      ring.head = polls === 0 ? 0 : [4, -1, 1 << 20, 0][polls - 1];
      ring.cur = 0;
      fake.tail = polls === 4 ? 4 : 3;
      polls++;
      return abi.POLLIN;
    },
    waiting: { canBlock: true, service: () => {} },
  } as unknown as HostPort;
  for (let i = 0; i < 3; i++) ring.setSlot(i, 0xffff, i === 0 ? abi.NS_MOREFRAG : 0);
  const context = {
    wire,
    counters: new CounterWriter(new SharedArrayBuffer(COUNTERS_SIZE)),
    stopped: false,
    state: () => {},
  } as Partial<BackendContext> as BackendContext;
  const queue = {
    write: (slot: number, length: number) => written.push([slot, length]),
    writeLong: () => 1,
    resize: (slot: number, length: number) => written.push([slot, length]),
  } as Partial<FrameQueue> as FrameQueue;
  transmitFrames(context, queue, 0);
  assert.deepEqual(written, [
    [0, 64],
    [1, 64],
    [2, 64],
  ]);
});
