// The life of a backend: made by name, used through its interface, failing and coming back, closed.

import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { abi, Netmap } from '../../src/index.js';
import { BackendPort, type BackendState, openBackend } from '../../src/io/backends/backend.js';
import type { BackendKind, BackendPlan } from '../../src/io/backends/kind.js';
import { parseBackendSpec } from '../../src/io/backends/spec.js';
import { freePort, freeUdpPort } from '../support/free-port.js';
import { frame } from './backend-support.js';

const TIMEOUT = { timeout: 30_000 };

async function bound(): Promise<Socket> {
  const socket = createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  return socket;
}

test('frames go out of a backend and come in, and are counted', TIMEOUT, async () => {
  const netmap = await Netmap.create();
  const peer = await bound();
  const { port: remote } = peer.address();
  const local = await freeUdpPort();
  const backend = await openBackend(netmap, `qemu:dgram:${local}:${remote},name=q0,slots=64`);
  try {
    assert.equal(backend.state, 'up');
    const port = await netmap.open('netmap:q0');
    assert.equal(port.txRings[0].numSlots, 64);
    const arrived = once(peer, 'message');
    await port.send(frame(1));
    const [message] = (await arrived) as [Uint8Array];
    assert.deepEqual(Uint8Array.from(message), frame(1));
    peer.send(frame(2), local, '127.0.0.1');
    peer.send(new Uint8Array(5), local, '127.0.0.1');
    assert.equal(await port.poll(abi.POLLIN, { timeout: 5000 }), abi.POLLIN);
    assert.deepEqual(port.recv(), [frame(2)]);
    const deadline = Date.now() + 5000;
    while ((await backend.counters()).rxDrops.runt === undefined && Date.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    const { rxPackets, rxBytes, txPackets, txBytes, rxDrops } = await backend.counters();
    assert.deepEqual(
      { rxPackets, rxBytes, txPackets, txBytes },
      { rxPackets: 1, rxBytes: 60, txPackets: 1, txBytes: 60 },
    );
    assert.deepEqual(rxDrops, { runt: 1 });
    const before = (await netmap.inspect()).threads;
    await backend.close();
    assert.equal(backend.state, 'closed');
    assert.equal(await port.poll(abi.POLLIN), abi.POLLERR);
    const gone = Date.now() + 5000;
    while ((await netmap.inspect()).threads !== before - 1 && Date.now() < gone) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    assert.equal((await netmap.inspect()).threads, before - 1);
  } finally {
    peer.close();
    await netmap.close();
  }
});

test('a backend that fails is told, started again, and what it is given meanwhile is counted', TIMEOUT, async () => {
  const netmap = await Netmap.create();
  const holder = await bound(); // has the port that the backend wants
  const { port: local } = holder.address();
  const states: BackendState[] = [];
  let up: () => void = () => {};
  const isUp = new Promise<void>((resolve) => {
    up = resolve;
  });
  const backend = await openBackend(netmap, `qemu:dgram:${local}:9`, {
    onState: (state) => {
      states.push(state);
      if (state === 'up') up();
    },
  });
  try {
    assert.equal(backend.name, 'qemu0');
    assert.equal(backend.state, 'retrying');
    assert.match(backend.reason, /EADDRINUSE/);
    const port = await netmap.open('netmap:qemu0');
    const counted = async (): Promise<number> => (await backend.counters()).txDrops.down ?? 0;
    const deadline = Date.now() + 10_000;
    while ((await counted()) === 0 && Date.now() < deadline) await port.send(frame(1));
    assert.notEqual(await counted(), 0);
    holder.close();
    await isUp;
    assert.ok((await backend.counters()).restarts >= 1);
    assert.deepEqual([...new Set(states)], ['retrying', 'up']);
  } finally {
    await netmap.close();
    await backend.close();
  }
});

test('a backend whose interface goes while it waits to be tried again ends at once', TIMEOUT, async () => {
  const netmap = await Netmap.create();
  let closed: (time: number) => void = () => {};
  const isClosed = new Promise<number>((resolve) => {
    closed = resolve;
  });
  const onState = (state: BackendState): void => {
    if (state === 'closed') closed(performance.now());
  };
  const backend = await openBackend(netmap, `qemu:127.0.0.1:${await freePort()},mode=connect`, { onState });
  while ((await backend.counters()).restarts < 5) await sleep(5);
  const since = performance.now(); // the next try is 0.8 s away, or more
  await netmap.removeInterface(backend.name);
  assert.ok((await isClosed) - since < 500);
  await netmap.close();
});

test('what was opened for an interface that is gone by then is closed', TIMEOUT, async () => {
  const netmap = await Netmap.create();
  const netif = await netmap.addInterface('gone');
  let closes = 0;
  const plan: BackendPlan = { name: 'gone', interface: {}, workers: [] };
  const kind: BackendKind = {
    plan: () => plan,
    open: async () => {
      await netif.close();
      return { data: null, close: () => void closes++ };
    },
    run: async () => {},
  };
  const backend = new BackendPort(netmap, parseBackendSpec('tap:gone'), kind, plan, netif);
  await backend.start();
  await backend.close();
  assert.equal(closes, 1);
  await netmap.close();
});

test('a backend ends with its interface, and with the host', TIMEOUT, async () => {
  for (const end of ['interface', 'host']) {
    const netmap = await Netmap.create();
    let closed: () => void = () => {};
    const isClosed = new Promise<void>((resolve) => {
      closed = resolve;
    });
    const onState = (state: BackendState): void => {
      if (state === 'closed') closed();
    };
    const backend = await openBackend(netmap, `qemu:dgram:${await freeUdpPort()}:9`, { onState });
    if (end === 'interface') await netmap.removeInterface(backend.name);
    else await netmap.close();
    await isClosed;
    await backend.close();
    await netmap.close();
  }
});

test('specifications that cannot be used are refused, and nothing is left', TIMEOUT, async () => {
  const netmap = await Netmap.create();
  try {
    const before = await netmap.inspect();
    for (const [spec, message] of [
      ['nothing:x', /there is no backend 'nothing'/],
      ['netmap:x', /no kind of backend/],
      ['vale0:x', /no kind of backend/],
      ['qemu:dgram:1', /qemu:dgram:LOCALPORT:\[REMOTEADDRESS:\]REMOTEPORT/],
      ['qemu:dgram:1:2,slots=1', /slots=1 is no whole number of 2\.\.4096/],
      ['qemu:dgram:1:2,speed=1', /no option 'speed'/],
      ['qemu:dgram:1:2,slots', /'slots' is no option/],
      ['qemu:dgram:1:2,name=a,name=b', /option 'name' is there twice/],
      ['tap:', /tap:NAME wants the name of a device/],
      ['tap:sixteen-bytes-is', /1 to 15 bytes/],
      ['tap:t%d', /name of a device/],
      ['packet:..', /name of a device/],
      ['tap:t0,vnet=11', /vnet=11 is not 0, 10 or 12/],
      ['tap:t0,queues=17', /queues=17 is no whole number of 1\.\.16/],
      ['packet:eth0,ring=2', /ring=2 is no whole number of 0\.\.1/],
      ['packet:eth0,queues=2', /no option 'queues'/],
      ['macvtap:m0,offload=1', /no option 'offload'/],
    ] as const) {
      await assert.rejects(openBackend(netmap, spec), { code: 'EINVAL', message }, spec);
    }
    assert.deepEqual(await netmap.inspect(), before);
  } finally {
    await netmap.close();
  }
});
