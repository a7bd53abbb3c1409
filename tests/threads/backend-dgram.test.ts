// Datagrams of QEMU: a peer that is not there yet, and one that is not the peer.

import assert from 'node:assert/strict';
import { createSocket, Socket } from 'node:dgram';
import { once } from 'node:events';
import { test } from 'node:test';
import { COUNTERS_SIZE, CounterWriter, sumCounters } from '../../src/io/backends/counters.js';
import type { BackendContext } from '../../src/io/backends/kind.js';
import { runDgram } from '../../src/io/backends/qemu-dgram.js';
import { FakeRing } from '../support/fake-ring.js';
import { freeUdpPort } from '../support/free-port.js';
import { frame, inWorld, receive, until } from './backend-support.js';

const TIMEOUT = { timeout: 30_000 };
const TELLS_REFUSALS = {
  ...TIMEOUT,
  skip: 'Deno' in globalThis && 'Deno 2.9.6 tells no ECONNREFUSED of a connected datagram socket',
};

async function bound(port = 0): Promise<Socket> {
  const socket = createSocket('udp4');
  socket.bind(port, '127.0.0.1');
  await once(socket, 'listening');
  return socket;
}

test('what strangers sent before the socket was connected is refused', TIMEOUT, async (t) => {
  const remote = await freeUdpPort();
  const connect = Socket.prototype.connect as (port: number, host: string) => void;
  t.mock.method(Socket.prototype, 'connect', function (this: Socket, port: number, host: string) {
    this.emit('message', Buffer.from(frame(1)), { address: host, port: port ^ 1 });
    this.emit('message', Buffer.from(frame(2)), { address: host, port });
    connect.call(this, port, host);
  });
  const fake = new FakeRing({ slots: 16, bufSize: 2048 });
  fake.tail = 15;
  const block = new SharedArrayBuffer(COUNTERS_SIZE);
  const context = {
    wire: { txRings: [fake.ring], txsync: () => 0, rxRings: [], rxsync: () => -1 },
    counters: new CounterWriter(block),
    signal: AbortSignal.abort(),
    state: () => {},
  } as unknown as BackendContext;
  const host = '127.0.0.1';
  await runDgram(context, { local: { host, port: await freeUdpPort() }, remote: { host, port: remote } });
  const { rxPackets, rxDrops } = sumCounters([block]);
  assert.deepEqual([rxPackets, rxDrops], [1, { source: 1 }]);
});

test('a peer that is not there costs drops, and gets what is sent when it is', TELLS_REFUSALS, async () => {
  const [local, remote] = [await freeUdpPort(), await freeUdpPort()];
  await inWorld([`qemu:dgram:${local}:${remote}`], async ([{ backend, port }]) => {
    await until('refused', async () => {
      // Several at once: the answer to one of them is then found by the next one, not by the side that receives.
      for (let i = 0; i < 20; i++) port.trySend(frame(1));
      port.txsync();
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
