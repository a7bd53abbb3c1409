// VALE polling: loop workers hand to the switch what a backend puts into the wire of an attached NIC.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Control } from '../../src/control/control.js';
import { errnoName } from '../../src/errors.js';
import { abi, type HostPort, Netmap, type NetmapInterface, type PollingOptions } from '../../src/index.js';
import { HostPort as Port } from '../../src/netmap/host-port.js';
import type { InterfaceInfo } from '../../src/netmap/interfaces.js';
import type { PortInfo } from '../../src/netmap/register.js';
import { Program } from '../support/program.js';
import { Peer, Random, seed, sleep, until } from './support.js';

const MEMORY = 256 << 20;
const PATIENCE = 20_000;
const SINGLE = abi.NETMAP_POLLING_MODE_SINGLE_CPU;
const MULTI = abi.NETMAP_POLLING_MODE_MULTI_CPU;

/** A broadcast with a number. */
function frame(n: number): Uint8Array {
  const bytes = new Uint8Array(60).fill(0xff, 0, 6);
  bytes.set([2, 0, 0, 0, 0, 1], 6);
  new DataView(bytes.buffer).setUint32(20, n);
  return bytes;
}

const numbers = (frames: readonly Uint8Array[]): number[] =>
  frames.map(({ buffer, byteOffset }) => new DataView(buffer, byteOffset).getUint32(20));

/** Receives until `count` frames are there, with what the sender says that it has lost. */
async function receive(port: HostPort | Port, count: number, lost: () => Promise<number>): Promise<number[]> {
  const got: number[] = [];
  await until(PATIENCE, `${count} frames`, async () => {
    await port.poll(abi.POLLIN, { timeout: 50 });
    got.push(...numbers(port.recv()));
    return got.length + (await lost()) >= count ? true : undefined;
  });
  return got;
}

const dropped = async (port: HostPort | Port): Promise<number> =>
  Object.values((await port.counters()).drops).reduce((sum, n) => sum + n, 0);

describe('a NIC on a bridge', { timeout: 120_000 }, () => {
  let netmap: Netmap;
  let clean: unknown;
  let eth0: NetmapInterface;
  let a: HostPort;
  const whole = async (): Promise<unknown> => ({ ...(await netmap.inspect()), lostWakeups: 0 });
  beforeEach(async () => {
    netmap = await Netmap.create({ threads: 2, memorySize: MEMORY });
    clean = await whole();
    eth0 = await netmap.addInterface('eth0', { rxRings: 2, txSlots: 64, rxSlots: 64 });
    a = await netmap.open('vale0:a', { txSlots: 64, rxSlots: 1024 });
    await netmap.valeAttach('vale0:eth0');
  });
  afterEach(async () => {
    await netmap.close();
  });
  const end = async (): Promise<void> => {
    await a.close();
    await eth0.close();
    assert.deepEqual(await whole(), clean, 'something is left behind');
  };

  const refused: [what: string, code: string, name: string, options: PollingOptions][] = [
    ['no VALE name', 'EINVAL', 'netmap:eth0', {}],
    ['another bridge', 'ENXIO', 'vale1:eth0', {}],
    ['nobody', 'ENXIO', 'vale0:nobody', {}],
    ['an ephemeral port', 'EOPNOTSUPP', 'vale0:a', {}],
    ['a persistent port', 'EOPNOTSUPP', 'vale0:per0', {}],
    ['no thread', 'EINVAL', 'vale0:eth0', { cpus: 0 }],
    ['more threads than there are', 'EINVAL', 'vale0:eth0', { mode: MULTI, cpus: 3 }],
    ['two threads in the mode of one', 'EINVAL', 'vale0:eth0', { mode: SINGLE, cpus: 2 }],
    ['a ring that is not there', 'EINVAL', 'vale0:eth0', { mode: MULTI, firstCpu: 1, cpus: 2 }],
    ['mode 0', 'EINVAL', 'vale0:eth0', { mode: 0 }],
    ['mode 3', 'EINVAL', 'vale0:eth0', { mode: 3 }],
    ['half a thread', 'EINVAL', 'vale0:eth0', { cpus: 0.5 }],
  ];
  test('is refused with the errnos of netmap, and left as it was', async () => {
    await netmap.newInterface('per0', { txSlots: 8, rxSlots: 8 });
    await netmap.valeAttach('vale0:per0');
    const before = await whole();
    for (const [what, code, name, options] of refused) {
      await assert.rejects(netmap.valePollingEnable(name, options), { code }, what);
    }
    await assert.rejects(netmap.valePollingDisable('vale0:eth0'), { code: 'EFAULT' });
    await assert.rejects(netmap.valePollingDisable('vale0:a'), { code: 'EOPNOTSUPP' });
    assert.deepEqual(await whole(), before);
    await netmap.valePollingEnable('vale0:eth0');
    await assert.rejects(netmap.valePollingEnable('vale0:eth0', { cpus: 0 }), { code: 'EFAULT' });
    await assert.rejects(netmap.valeDetach('vale0:eth0'), { code: 'EBUSY' });
    const polled = async (): Promise<number[]> =>
      (await netmap.valeInspect('vale0')).ports.map(({ polledRings }) => polledRings);
    assert.deepEqual(await polled(), [0, 2, 0]);
    await netmap.valePollingDisable('vale0:eth0');
    assert.deepEqual(await polled(), [0, 0, 0]);
    assert.deepEqual(await whole(), before);
    await netmap.valeDetach('vale0:eth0');
    await netmap.valeDetach('vale0:per0');
    await netmap.deleteInterface('per0');
    await end();
  });

  test('is polled by requests as bytes', async () => {
    const program = new Program();
    const file = netmap.openDevice({ memory: program.bytes.buffer as ArrayBuffer });
    const ask = async (type: number, body: Record<string, number>): Promise<string> => {
      const at = program.request(type, { name: 'vale0:eth0', body });
      const before = program.snapshot();
      const result = await file.ioctlAsync(abi.NIOCCTRL, at);
      assert.deepEqual(program.bytes, before, 'the request comes back as it was');
      return result === 0 ? '' : errnoName(result);
    };
    const [on, off] = [abi.NETMAP_REQ_VALE_POLLING_ENABLE, abi.NETMAP_REQ_VALE_POLLING_DISABLE];
    assert.equal(await ask(off, {}), 'EFAULT');
    assert.equal(await ask(on, { mode: 1, firstCpu: 0, cpus: 2 }), 'EINVAL');
    assert.equal(await ask(on, { mode: 1, firstCpu: 0xffffffff, cpus: 1 }), '');
    assert.equal(await ask(on, { mode: 9 }), 'EFAULT');
    assert.equal(await ask(off, { mode: 9 }), '');
    assert.equal(await ask(on, { mode: 2, firstCpu: 0xffffffff, cpus: 1 }), 'EINVAL');
    assert.equal(await ask(on, { mode: 2, firstCpu: 0, cpus: 2 }), '');
    await file.close();
    await end();
  });

  for (const options of [{}, { firstCpu: 7 }, { mode: MULTI, cpus: 2 }, { mode: MULTI, firstCpu: 1 }]) {
    test(`hands on all that its backend publishes, once and in order (${JSON.stringify(options)})`, async () => {
      await netmap.valePollingEnable('vale0:eth0', options);
      const random = new Random(seed);
      const { wire } = eth0;
      const sent = [0, 0];
      const got: number[] = [];
      for (let round = 0; round < 2000; round++) {
        const r = random.below(2);
        const ring = wire.txRings[r];
        for (let n = Math.min(1 + random.below(40), ring.space); n > 0; n--) {
          const i = ring.head;
          ring.buf(i).set(frame(r * 1e6 + sent[r]++));
          ring.setSlot(i, 60, 0);
          ring.advance(1);
        }
        assert.equal(wire.txsync(), 0);
        if (random.below(4) === 0) await a.poll(abi.POLLIN, { timeout: 0 });
        else a.rxsync();
        got.push(...numbers(a.recv()));
      }
      got.push(...(await receive(a, sent[0] + sent[1] - got.length, () => dropped(wire))));
      assert.equal(got.length + (await dropped(wire)), sent[0] + sent[1], `seed ${seed}`);
      for (const r of [0, 1]) {
        const of = got.filter((n) => Math.floor(n / 1e6) === r);
        assert.ok(
          of.every((n, i) => i === 0 || n > of[i - 1]),
          `ring ${r} in order, seed ${seed}`,
        );
      }
      await end();
    });
  }

  test('has its frames sent without another sync, also those of its last moment', async () => {
    for (let round = 0; round < 50; round++) {
      await netmap.valePollingEnable('vale0:eth0');
      assert.ok(eth0.wire.trySend(frame(2 * round)));
      eth0.wire.txsync();
      assert.deepEqual(await receive(a, 1, async () => 0), [2 * round]);
      assert.ok(eth0.wire.trySend(frame(2 * round + 1)));
      eth0.wire.txsync();
      await netmap.valePollingDisable('vale0:eth0');
      a.rxsync();
      assert.deepEqual(numbers(a.recv()), [2 * round + 1]);
    }
    await end();
  });

  for (const [how, take] of [
    ['taken away', () => netmap.removeInterface('eth0')],
    ['closed', () => eth0.close()],
    ['closed by its wire', () => eth0.wire.close()],
  ] as const) {
    test(`is polled no more when it is ${how}`, async () => {
      await netmap.valePollingEnable('vale0:eth0', { mode: MULTI, cpus: 2 });
      for (let n = 0; n < 20; n++) assert.ok(eth0.wire.trySend(frame(n)));
      eth0.wire.txsync();
      await take();
      assert.deepEqual(
        await receive(a, 20, async () => 0),
        Array.from({ length: 20 }, (_, n) => n),
      );
      await end();
    });
  }

  test('shows each frame to its monitor once', async () => {
    const monitor = await netmap.open('vale0:eth0/t', { rxSlots: 4096 });
    await netmap.valePollingEnable('vale0:eth0');
    for (let n = 0; n < 500; n++) {
      assert.ok(eth0.wire.trySend(frame(n)));
      eth0.wire.txsync();
      if (n % 50 === 0) await sleep(1);
    }
    await netmap.valePollingDisable('vale0:eth0');
    monitor.rxsync();
    // In any order: a frame that finds the first ring full takes the second.
    assert.deepEqual(
      numbers(monitor.recv()).sort((x, y) => x - y),
      Array.from({ length: 500 }, (_, n) => n),
    );
    await monitor.close();
    await end();
  });

  test('is polled when the host closes', async () => {
    await netmap.valePollingEnable('vale0:eth0', { mode: MULTI, cpus: 2 });
  });
});

test('a host without loop workers says that it cannot poll', async () => {
  const netmap = await Netmap.create({ memorySize: MEMORY });
  const eth0 = await netmap.addInterface('eth0', { txSlots: 64, rxSlots: 64 });
  await netmap.valeAttach('vale0:eth0');
  await assert.rejects(netmap.valePollingEnable('vale0:eth0'), { code: 'EOPNOTSUPP', message: /loop workers/ });
  await eth0.close();
  await netmap.close();
});

describe('a backend in a thread of its own', { timeout: 120_000 }, () => {
  let netmap: Netmap;
  let clean: unknown;
  let a: HostPort;
  const peers: Peer[] = [];
  const running = new SharedArrayBuffer(4);
  const whole = async (): Promise<unknown> => ({ ...(await netmap.inspect()), lostWakeups: 0 });
  const backend = async (): Promise<Peer> => {
    const handle = netmap.handle();
    const peer = new Peer(new URL('./polling-worker.js', import.meta.url), { handle, running });
    peers.push(peer);
    void peer.exited.then(() => netmap.release(handle));
    await peer.call('open');
    await netmap.valeAttach('vale0:eth0');
    return peer;
  };
  beforeEach(async () => {
    netmap = await Netmap.create({ threads: 1, memorySize: MEMORY });
    clean = await whole();
  });
  afterEach(async () => {
    for (const peer of peers.splice(0)) await peer.end();
    await netmap.close();
  });

  test('publishes while others switch: each frame once, in order, and none waits for another sync', async () => {
    a = await netmap.open('vale0:a', { rxSlots: 4096 });
    const peer = await backend();
    await netmap.valePollingEnable('vale0:eth0');
    const random = new Random(seed);
    let first = 0;
    let lost = 0;
    for (let round = 0; round < 60; round++) {
      const count = 1 + random.below(3000);
      await peer.call('feed', { first, count, batch: 1 + random.below(40) });
      const got = await receive(a, count, async () => (await peer.call<number>('drops')) - lost);
      lost = await peer.call<number>('drops');
      assert.ok(got.every((n, i) => n >= first && n < first + count && (i === 0 || n > got[i - 1])));
      if (got.length === count) assert.deepEqual([got[0], got.at(-1)], [first, first + count - 1]);
      first += count;
      if (round % 8 === 3) await netmap.valePollingDisable('vale0:eth0');
      if (round % 8 === 7) await netmap.valePollingEnable('vale0:eth0');
    }
  });

  test('sends nothing twice and nothing old while polling comes and goes', async () => {
    a = await netmap.open('vale0:a', { rxSlots: 4096 });
    Atomics.store(new Int32Array(running), 0, 0);
    const peer = await backend();
    void peer.call('feed', { first: 0, count: Infinity, batch: 3 }).catch(() => {});
    let last = -1;
    const take = async (): Promise<void> => {
      a.rxsync();
      for (const n of numbers(a.recv())) {
        assert.ok(n > last, `${n} after ${last}`);
        last = n;
      }
      await nextTurn();
    };
    for (let round = 0; round < 200; round++) {
      await netmap.valePollingEnable('vale0:eth0');
      for (let i = 0; i < 3; i++) await take();
      await netmap.valePollingDisable('vale0:eth0');
      for (let i = 0; i < 3; i++) await take();
    }
    assert.ok(last > 0);
  });

  test('is killed while it is polled, again and again: its interface goes, and nothing is left', async () => {
    for (let round = 0; round < 10; round++) {
      a = await netmap.open('vale0:a', { rxSlots: 64 });
      Atomics.store(new Int32Array(running), 0, 0);
      const peer = await backend();
      await netmap.valePollingEnable('vale0:eth0');
      void peer.call('feed', { first: 0, count: Infinity, batch: 1 + (round % 40) }).catch(() => {});
      await until(PATIENCE, 'traffic', () => (Atomics.load(new Int32Array(running), 0) === 1 ? true : undefined));
      await peer.end();
      await until(PATIENCE, 'the interface taken away', async () =>
        (await netmap.valeList()).some(({ name }) => name === 'vale0:eth0') ? undefined : true,
      );
      await a.close();
      await until(PATIENCE, 'everything given back', async () =>
        JSON.stringify(await whole()) === JSON.stringify(clean) ? true : undefined,
      );
    }
  });
});

test('a ring of its wire that somebody does not let go of makes attaching fail, without a trace', async () => {
  const control = await Control.create({ memorySize: MEMORY });
  const call = (op: string, args: unknown): Promise<unknown> => control.call(control.thread.id, op, args);
  const { wire } = (await call('addInterface', { name: 'eth0', options: {} })) as InterfaceInfo;
  const busy = wire.tx[0].kring + abi.KRING_BUSY;
  control.arena.store(busy, 9);
  const before = control.inspect();
  await assert.rejects(call('valeAttach', { spec: 'vale0:eth0*' }), { code: 'EIO' });
  assert.deepEqual(control.inspect(), before);
  control.arena.store(busy, 0);
  assert.equal(await call('valeAttach', { spec: 'vale0:eth0*' }), 0);
  assert.deepEqual(await call('valeDetach', { spec: 'vale0:eth0' }), 0);
  await control.close();
});

/** A lookup that never returns from frame 66. */
const code = 'export default ({ u8, broadcast }) => (at) => { while (u8[at + 23] === 66); return broadcast; }';
const module = `data:text/javascript,${encodeURIComponent(code)}`;

test('a backend that hangs in a lookup makes polling fail, and its ring is as it was', {
  timeout: 120_000,
}, async () => {
  const netmap = await Netmap.create({ threads: 1, memorySize: MEMORY, lookups: { test: { module } } });
  await netmap.valeLookup('vale0', 'test');
  const eth0 = await netmap.addInterface('eth0', { txSlots: 64, rxSlots: 64 });
  const a = await netmap.open('vale0:a');
  await netmap.valeAttach('vale0:eth0');
  const before = await netmap.inspect();
  const handle = netmap.handle();
  const running = new SharedArrayBuffer(4);
  const peer = new Peer(new URL('./polling-worker.js', import.meta.url), { handle, running });
  void peer.call('send', frame(66)).catch(() => {});
  await until(PATIENCE, 'a sync', () => (Atomics.load(new Int32Array(running), 0) === 1 ? true : undefined));
  await sleep(50);
  await assert.rejects(netmap.valePollingEnable('vale0:eth0'), { code: 'EIO' });
  await assert.rejects(netmap.valePollingDisable('vale0:eth0'), { code: 'EFAULT' });
  await peer.end();
  netmap.release(handle);
  await until(PATIENCE, 'its end', async () =>
    (await netmap.inspect()).threads === before.threads ? true : undefined,
  );
  assert.deepEqual((await netmap.inspect()).memory, before.memory);
  assert.ok(eth0.wire.trySend(frame(1)));
  eth0.wire.txsync();
  assert.ok((await receive(a, 1, async () => 0)).includes(1));
  await netmap.close();
});

test('a backend that hangs in a lookup holds up the end of another one of its interface, and no longer', {
  timeout: 120_000,
}, async () => {
  const netmap = await Netmap.create({ memorySize: MEMORY, lookups: { test: { module } } });
  const threads = async (): Promise<number> => (await netmap.inspect()).threads;
  await netmap.valeLookup('vale0', 'test');
  const before = await netmap.inspect();
  const running = new SharedArrayBuffer(4);
  const start = (): { peer: Peer; end: () => Promise<void> } => {
    const handle = netmap.handle();
    const peer = new Peer(new URL('./polling-worker.js', import.meta.url), { handle, running });
    return { peer, end: () => peer.end().then(() => netmap.release(handle)) };
  };
  const [owner, other] = [start(), start()];
  await owner.peer.call('open');
  await netmap.valeAttach('vale0:eth0');
  void other.peer.call('send', frame(66)).catch(() => {});
  await until(PATIENCE, 'a sync', () => (Atomics.load(new Int32Array(running), 0) === 1 ? true : undefined));
  await sleep(50);
  await owner.end(); // no rejection that nobody handles
  assert.equal((await netmap.valeList()).length, 1, 'the interface is still there');
  await other.end();
  await until(PATIENCE, 'both ends', async () => ((await threads()) === before.threads ? true : undefined));
  assert.deepEqual(await netmap.inspect(), before);
  await netmap.close();
});

test('a lookup that never returns ends the worker that polls, not the polling', { timeout: 120_000 }, async () => {
  const netmap = await Netmap.create({ threads: 1, memorySize: MEMORY, lookups: { test: { module } } });
  await netmap.valeLookup('vale0', 'test');
  const eth0 = await netmap.addInterface('eth0', { txSlots: 64, rxSlots: 64 });
  const a = await netmap.open('vale0:a');
  await netmap.valeAttach('vale0:eth0');
  await netmap.valePollingEnable('vale0:eth0');
  assert.ok(eth0.wire.trySend(frame(66)));
  eth0.wire.txsync();
  const replaced = (): Promise<true | undefined> =>
    netmap.inspect().then(({ lostWorkers }) => lostWorkers === 1 || undefined);
  await until(PATIENCE, 'another worker', replaced);
  assert.ok(eth0.wire.trySend(frame(1)));
  eth0.wire.txsync();
  assert.ok((await receive(a, 1, async () => 0)).includes(1));
  await netmap.valePollingDisable('vale0:eth0');
  await netmap.valeDetach('vale0:eth0');
  await netmap.close();
});

test('a loop worker that dies while it polls is replaced, and its rings go on', { timeout: 120_000 }, async () => {
  const control = await Control.create({ threads: 2, memorySize: MEMORY });
  const tid = control.thread.id;
  const call = (op: string, args: unknown): Promise<unknown> => control.call(tid, op, args);
  const portControl = { close: async () => {}, call };
  try {
    const options = { rxRings: 2, txSlots: 64, rxSlots: 64 };
    const info = (await call('addInterface', { name: 'eth0', options })) as InterfaceInfo;
    const wire = new Port(control.thread, info.wire, portControl);
    const opened = (await call('open', { spec: 'vale0:a', options: { rxSlots: 4096 } })) as PortInfo;
    const a = new Port(control.thread, opened, portControl);
    const lost = (): Promise<number> => dropped(wire);
    await call('valeAttach', { spec: 'vale0:eth0' });
    await call('valePollingEnable', { spec: 'vale0:eth0', options: { mode: MULTI, cpus: 2 } });
    const random = new Random(seed);
    let sent = 0;
    let received = 0;
    for (let kills = 0; kills < 8; kills++) {
      const dead = control.workers.at(random.below(2));
      const instant = random.below(300);
      for (let n = 0; n < 600; n++) {
        if (n === instant) control.workers.terminate(dead);
        if (wire.trySend(frame(sent))) sent++;
        wire.txsync();
        a.rxsync();
        received += a.recv().length;
        if (n % 50 === 0) await sleep(1);
      }
      await until(PATIENCE, 'another worker', () =>
        Promise.resolve(control.workers.count === 2 && !control.workers.has(dead) ? true : undefined),
      );
    }
    assert.ok(wire.trySend(frame(sent++)));
    wire.txsync();
    // The last one comes; of those before it, what a thread died with is not waited for.
    const last: number[] = [];
    await until(PATIENCE, 'the last frame', async () => {
      await a.poll(abi.POLLIN, { timeout: 50 });
      last.push(...numbers(a.recv()));
      return last.includes(sent - 1) ? true : undefined;
    });
    await sleep(200); // what the other ring has
    a.rxsync();
    received += last.length + a.recv().length;
    // The frames of a batch that its thread died in the middle of may come twice, or not at all.
    assert.ok(Math.abs(received + (await lost()) - sent) <= 8 * 64, `sent ${sent}, received ${received}, seed ${seed}`);
    await call('valePollingDisable', { spec: 'vale0:eth0' });
    await call('removeInterface', { name: 'eth0' });
  } finally {
    await control.close();
  }
});
