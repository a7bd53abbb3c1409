// The loop workers of a host: one that dies is replaced, and its guests go on where they were.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { KLOOP_EVENT, KLOOP_TX, KRING_BUSY, POLLIN, THREAD_ID, THREAD_LIVE, THREAD_STATE } from '../../src/abi.js';
import { Control } from '../../src/control/control.js';
import type { GuestInfo } from '../../src/control/guest-record.js';
import { makeMachine } from '../../src/control/window.js';
import type { LoopMode } from '../../src/kloop/loop.js';
import { HostPort } from '../../src/netmap/host-port.js';
import type { PortInfo } from '../../src/netmap/register.js';
import { PtnetDriver } from '../../src/ptnet/driver.js';
import type { NetmapPort } from '../../src/ring/port.js';
import { sleep, until } from './support.js';

const MEMORY = 256 << 20;
const FRAME = new Uint8Array(60).fill(0xff, 0, 6);

async function guestPort(control: Control, spec: string, loop: LoopMode = 'notify'): Promise<NetmapPort> {
  const tid = control.thread.id;
  const { id } = (await control.call(tid, 'createGuest', { options: {} })) as GuestInfo;
  await control.call(tid, 'passthrough', { id, spec, options: { loop } });
  const info = (await control.call(tid, 'bindGuest', { id })) as GuestInfo;
  const guest = control.guest(id);
  const path = {
    ioRead: ({ index, offset, size }: { index: number; offset: number; size: 1 | 2 | 4 }) =>
      guest.functionAt(index).ioRead(offset, size),
    ioWrite: (a: { index: number; offset: number; size: 1 | 2 | 4; value?: number }) =>
      guest.functionAt(a.index).ioWrite(a.offset, a.size, a.value ?? 0),
  };
  return PtnetDriver.probe(makeMachine(control.thread, path, info).machine)[0].open();
}

test('a loop worker that dies is replaced, and the guests that it served go on', { timeout: 60_000 }, async () => {
  const control = await Control.create({ threads: 1, memorySize: MEMORY });
  try {
    const a = await guestPort(control, 'netmap:p{1');
    const b = await guestPort(control, 'netmap:p}1');
    for (let round = 0; round < 5; round++) {
      await a.send(FRAME);
      assert.equal(await b.poll(POLLIN, { timeout: 10_000 }), POLLIN, `round ${round}`);
      assert.equal(b.recv().length, 1);
      const dead = control.workers.next();
      control.workers.terminate(dead);
      for (let i = 0; i < 500 && (control.workers.count === 0 || control.workers.has(dead)); i++) {
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      assert.equal(control.workers.count, 1);
    }
    assert.equal(control.workers.lostWakeups, 0);
  } finally {
    await control.close();
  }
});

test('an event for which nobody wakes the loop worker is found when its safety time has passed, and counted', {
  timeout: 60_000,
}, async () => {
  const control = await Control.create({ threads: 1, memorySize: MEMORY });
  try {
    await guestPort(control, 'vale0:a');
    const [{ devices }] = control.guests.values();
    const event = devices[0].loop.ptr + KLOOP_EVENT;
    await new Promise((resolve) => setTimeout(resolve, 100)); // the worker sleeps by now
    control.arena.store(event, 1);
    for (let i = 0; i < 500 && control.workers.lostWakeups === 0; i++) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    assert.equal(control.workers.lostWakeups, 1);
    assert.equal(control.arena.load(event), 0);
  } finally {
    await control.close();
  }
});

test('a ring whose holder dies before it has notified the loop that came in vain is looked at', {
  timeout: 60_000,
}, async () => {
  for (const letsGo of [true, false]) {
    const control = await Control.create({ threads: 1, memorySize: MEMORY });
    try {
      const { arena } = control;
      const a = await guestPort(control, 'vale0:a');
      const b = await guestPort(control, 'vale0:b');
      const [{ devices }] = control.guests.values();
      const [{ loop }] = devices;
      const tx = arena.load(loop.ptr + KLOOP_TX);
      const holder = arena.threadPtr(40);
      arena.store(holder + THREAD_ID, 40);
      arena.store(holder + THREAD_STATE, THREAD_LIVE);
      await sleep(100); // the loop worker sleeps by now
      arena.store(tx + KRING_BUSY, 40);
      a.trySend(FRAME);
      a.txsync();
      await until(5000, 'the loop comes in vain', () => (arena.load(loop.ptr + KLOOP_EVENT) === 0 ? true : undefined));
      if (letsGo) arena.wasm.kringRelease(tx);
      await control.reapThread(40);
      assert.equal(await b.poll(POLLIN, { timeout: 2000 }), POLLIN, `lets go: ${letsGo}`);
      assert.equal(control.workers.lostWakeups, 0);
    } finally {
      await control.close();
    }
  }
});

test('an idle monitor of a guest is no lost wake-up', { timeout: 60_000 }, async () => {
  const control = await Control.create({ threads: 1, memorySize: MEMORY });
  try {
    await guestPort(control, 'vale0:a');
    await guestPort(control, 'vale0:a/r');
    await sleep(7000); // twice the worker's safety time
    assert.equal(control.workers.lostWakeups, 0);
  } finally {
    await control.close();
  }
});

test('a monitor of a guest wakes its loop worker for what nobody else looks for', { timeout: 60_000 }, async () => {
  const control = await Control.create({ threads: 1, memorySize: MEMORY });
  try {
    const open = async (spec: string): Promise<HostPort> => {
      const info = (await control.call(control.thread.id, 'open', { spec, options: {} })) as PortInfo;
      return new HostPort(control.thread, info, { close: async () => {}, call: async () => {} });
    };
    const a = await open('vale0:a');
    await open('vale0:b'); // never synced
    const monitor = await guestPort(control, 'vale0:b/r');
    for (let round = 0; round < 5; round++) {
      const arrival = monitor.poll(POLLIN, { timeout: 10_000 });
      await new Promise((resolve) => setTimeout(resolve, 20)); // the worker sleeps by now
      await a.send(FRAME);
      assert.equal(await arrival, POLLIN, `round ${round}`);
      assert.equal(monitor.recv().length, 1);
    }
    assert.equal(control.workers.lostWakeups, 0);
  } finally {
    await control.close();
  }
});

test('monitors that come and go leave a guest its wake-ups', { timeout: 60_000 }, async () => {
  const control = await Control.create({ threads: 1, memorySize: MEMORY });
  try {
    const info = (await control.call(control.thread.id, 'open', { spec: 'vale0:a', options: {} })) as PortInfo;
    const a = new HostPort(control.thread, info, { close: async () => {}, call: async () => {} });
    const port = await guestPort(control, 'vale0:b');
    for (const loop of ['notify', 'busy'] as const) {
      await guestPort(control, 'vale0:b/r', loop);
      const [, monitor] = [...control.guests.keys()];
      await control.call(control.thread.id, 'closeGuest', { id: monitor });
      for (let round = 0; round < 2; round++) {
        const arrival = port.poll(POLLIN, { timeout: 10_000 });
        await new Promise((resolve) => setTimeout(resolve, 20)); // the worker sleeps by now
        await a.send(FRAME);
        assert.equal(await arrival, POLLIN);
        assert.equal(port.recv().length, 1);
      }
    }
    assert.equal(control.workers.lostWakeups, 0);
    assert.equal(control.arena.watches.size, 0);
  } finally {
    await control.close();
  }
});

test('an answer longer than the request slot arrives whole', { timeout: 60_000 }, async () => {
  const control = await Control.create({ memorySize: 1 << 30 });
  try {
    const tid = control.thread.id;
    for (let i = 0; i < 60; i++) {
      await control.call(tid, 'open', { spec: `vale0:p${i}`, options: { txSlots: 16, rxSlots: 16 } });
    }
    const { arena } = control;
    const handle = {
      memory: arena.memory,
      module: arena.module,
      arena: arena.ptr,
      token: control.newToken(),
      lookups: [],
    };
    const worker = new Worker(new URL('./inspect-worker.js', import.meta.url), { workerData: handle });
    const ended = new Promise((resolve) => worker.once('exit', resolve));
    const [ports, again] = await new Promise<[number, number]>((resolve, reject) => {
      worker.once('message', resolve);
      worker.once('error', reject);
    });
    assert.deepEqual([ports, again], [60, 60]);
    await ended;
  } finally {
    await control.close();
  }
});
