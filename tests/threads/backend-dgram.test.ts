// Datagrams of QEMU: a peer that is not there yet, and one that is not the peer.

import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { test } from 'node:test';
import { Netmap } from '../../src/index.js';
import { openBackend } from '../../src/io/backends/backend.js';
import { frame, inWorld, receive, until } from './backend-support.js';

const TIMEOUT = { timeout: 30_000 };

async function bound(port = 0): Promise<Socket> {
  const socket = createSocket('udp4');
  socket.bind(port, '127.0.0.1');
  await once(socket, 'listening');
  return socket;
}

async function freePort(): Promise<number> {
  const socket = await bound();
  const { port } = socket.address();
  socket.close();
  return port;
}

test('what strangers sent before the socket was connected is refused', TIMEOUT, async () => {
  const [local, remote] = [await freePort(), await freePort()];
  const stranger = await bound();
  const flood = setInterval(() => {
    for (let i = 0; i < 50; i++) stranger.send(frame(1), local, '127.0.0.1', () => {});
  });
  const netmap = await Netmap.create();
  try {
    for (let round = 0; round < 10; round++) {
      const backend = await openBackend(netmap, `qemu:dgram:${local}:${remote}`);
      await backend.close();
      assert.equal((await backend.counters()).rxPackets, 0);
    }
  } finally {
    clearInterval(flood);
    stranger.close();
    await netmap.close();
  }
});

test('a peer that is not there costs drops, and gets what is sent when it is', TIMEOUT, async () => {
  const [local, remote] = [await freePort(), await freePort()];
  await inWorld([`qemu:dgram:${local}:${remote}`], async ([{ backend, port }]) => {
    await until('refused', async () => {
      await port.send(frame(1));
      return ((await backend.counters()).txDrops.down ?? 0) > 0;
    });
    assert.equal(backend.state, 'up');
    const peer = await bound(remote);
    const arrived: number[] = [];
    peer.on('message', (message) => arrived.push(message[20]));
    await until('sent', async () => {
      await port.send(frame(2));
      return arrived.includes(2);
    });
    assert.equal((await backend.counters()).restarts, 0);
    const stranger = await bound();
    stranger.send(frame(3), local, '127.0.0.1');
    await new Promise((resolve) => setTimeout(resolve, 50));
    peer.send(frame(4), local, '127.0.0.1');
    assert.deepEqual(await receive(port, 1), [frame(4)]);
    peer.close();
    stranger.close();
  });
});
