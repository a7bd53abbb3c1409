// Backends of frames in a stream: what comes in one piece or in many, connections that come, go and are refused, and a peer
// that does not read.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { Netmap, type NetmapPort } from '../../src/index.js';
import { openBackend } from '../../src/io/backends/backend.js';
import { frame, inWorld, receive, until } from './backend-support.js';

const TIMEOUT = { timeout: 30_000 };
const folder = mkdtempSync(join(tmpdir(), 'ptnet-stream-'));
after(() => rmSync(folder, { recursive: true }));

/** Frames as they travel. */
function framed(...frames: readonly Uint8Array[]): Buffer {
  return Buffer.concat(
    frames.flatMap((bytes) => {
      const length = Buffer.alloc(4);
      length.writeUInt32BE(bytes.length);
      return [length, bytes];
    }),
  );
}

/** Reads so many bytes. */
async function read(socket: Socket, size: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for (let have = 0; have < size; ) {
    const [chunk] = (await once(socket, 'data', { signal: AbortSignal.timeout(10_000) })) as [Buffer];
    chunks.push(chunk);
    have += chunk.length;
  }
  return Buffer.concat(chunks);
}

async function connected(path: string): Promise<Socket> {
  const socket = connect({ path });
  socket.on('error', () => {});
  await once(socket, 'connect');
  return socket;
}

const closed = (socket: Socket): Promise<unknown> => once(socket, 'close', { signal: AbortSignal.timeout(10_000) });

test('who does not answer at all is given up after a while', TIMEOUT, async () => {
  // A listener that accepts nobody, and whose queue is full: further connections are left without an answer.
  const listener = new Worker(
    `const { parentPort } = require('node:worker_threads');
    const server = require('node:net').createServer().listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
      parentPort.postMessage(server.address().port);
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
    });`,
    { eval: true },
  );
  const [port] = (await once(listener, 'message')) as [number];
  const queued = Array.from({ length: 4 }, () => connect(port, '127.0.0.1').on('error', () => {}));
  try {
    await sleep(100);
    await inWorld([`qemu:127.0.0.1:${port},mode=connect`], async ([{ backend }]) => {
      assert.equal(backend.state, 'retrying');
      assert.match(backend.reason, /nobody answers/);
    });
  } finally {
    for (const socket of queued) socket.destroy();
    await listener.terminate();
  }
});

test('frames arrive however the stream is cut into pieces, and many leave in one write', TIMEOUT, async () => {
  const path = join(folder, 'pieces.sock');
  await inWorld([`qemu:unix:${path}`], async ([{ backend, port }]) => {
    assert.equal(backend.state, 'down');
    assert.equal(statSync(path).mode & 0o777, 0o600);
    const socket = await connected(path);
    await until('up', () => backend.state === 'up');
    const frames = [frame(1), frame(2, 1514), frame(3, 14), frame(4, 65535), frame(5, 69632), frame(6, 61)];
    const bytes = framed(...frames);
    for (let at = 0; at < bytes.length; at += 1 + (at % 997)) {
      if (!socket.write(bytes.subarray(at, at + 1 + (at % 997)))) await once(socket, 'drain');
      if (at < 200) await sleep(1); // each piece by itself: also within a length
    }
    assert.deepEqual(await receive(port, frames.length), frames);
    for (const bytesOut of frames) await port.send(bytesOut);
    assert.deepEqual(await read(socket, bytes.length), bytes);
    const { rxPackets, txPackets, rxBytes, txBytes, rxDrops, txDrops } = await backend.counters();
    assert.deepEqual([rxPackets, txPackets, rxBytes, txBytes], [6, 6, bytes.length - 24, bytes.length - 24]);
    assert.deepEqual([rxDrops, txDrops], [{}, {}]);
    socket.destroy();
    await until('down', () => backend.state === 'down');
  });
  assert.equal(existsSync(path), false);
});

test('what is no frame ends the connection and is counted; the next one is taken', TIMEOUT, async () => {
  const path = join(folder, 'framing.sock');
  await inWorld([`qemu:unix:${path}`], async ([{ backend, port }]) => {
    for (const wrong of [0, 69633, 0xffffffff]) {
      const socket = await connected(path);
      const length = Buffer.alloc(4);
      length.writeUInt32BE(wrong);
      socket.write(Buffer.concat([framed(frame(1)), length, framed(frame(2))]));
      await closed(socket);
      assert.deepEqual(await receive(port, 1), [frame(1)]);
      await until('down', () => backend.state === 'down');
      assert.match(backend.reason, /no frame/);
    }
    const cut = await connected(path);
    cut.end(framed(frame(3)).subarray(0, 20));
    await closed(cut);
    const runt = await connected(path);
    runt.write(framed(new Uint8Array(13), frame(4)));
    assert.deepEqual(await receive(port, 1), [frame(4)]);
    await until('counted', async () => (await backend.counters()).rxDrops.framing === 4);
    assert.deepEqual((await backend.counters()).rxDrops, { framing: 4, runt: 1 });
    runt.destroy();
  });
});

test('one connection at a time: a second one is refused, unless the first one ends', TIMEOUT, async () => {
  const path = join(folder, 'one.sock');
  await inWorld([`qemu:unix:${path}`], async ([{ backend, port }]) => {
    const first = await connected(path);
    await until('up', () => backend.state === 'up');
    const second = await connected(path);
    await closed(second);
    assert.equal((await backend.counters()).refused, 1);
    const third = await connected(path);
    third.write(framed(frame(3)));
    await sleep(50);
    first.write(framed(frame(1)));
    assert.deepEqual(await receive(port, 1), [frame(1)]);
    first.destroy();
    assert.deepEqual(await receive(port, 1), [frame(3)]); // it was only waiting
    assert.equal((await backend.counters()).refused, 1);
    await port.send(frame(4));
    assert.deepEqual(await read(third, 64), framed(frame(4)));
    third.destroy();
  });
});

test('a peer that does not read costs drops, and no memory and no waiting', TIMEOUT, async () => {
  const path = join(folder, 'slow.sock');
  await inWorld([`qemu:unix:${path}`], async ([{ backend, port }]) => {
    await port.send(frame(0));
    await until('nobody', async () => (await backend.counters()).txDrops.down === 1);
    const socket = await connected(path);
    await until('up', () => backend.state === 'up');
    const sent = 8000;
    for (let i = 0; i < sent; i++) await port.send(frame(1, 1500), { timeout: 5000 });
    const counts = async (): Promise<[number, number]> => {
      port.txsync(); // what has found the wire full
      const { txPackets, txDrops } = await backend.counters();
      return [txPackets, txDrops.noRoom ?? 0];
    };
    await until('all are accounted for', async () => (await counts()).reduce((a, b) => a + b) === sent);
    const [packets, dropped] = await counts();
    assert.ok(packets * 1504 < 4 << 20, `${packets} packets were kept`);
    assert.ok(dropped > 0);
    const bytes = await read(socket, packets * 1504);
    assert.equal(bytes.length, packets * 1504);
    await port.send(frame(2)); // and it goes on
    assert.deepEqual(await read(socket, 64), framed(frame(2)));
    socket.destroy();
  });
});

test('a backend that connects comes back when the other end does', TIMEOUT, async () => {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port: number } = server.address() as AddressInfo;
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  await inWorld([`qemu:127.0.0.1:${number},mode=connect`], async ([{ backend, port }]) => {
    const [first] = await accepted;
    assert.equal(backend.state, 'up');
    first.write(framed(frame(1)));
    assert.deepEqual(await receive(port, 1), [frame(1)]);
    const again = once(server, 'connection') as Promise<[Socket]>;
    first.destroy();
    const [second] = await again;
    await until('up', () => backend.state === 'up');
    second.write(framed(frame(2)));
    assert.deepEqual(await receive(port, 1), [frame(2)]);
    assert.equal((await backend.counters()).restarts, 1);
    second.destroy();
    server.close();
    await until('retrying', () => backend.state === 'retrying' && /ECONNREFUSED/.test(backend.reason));
  });
});

test('a socket file that nobody listens on is replaced, any other file is not', TIMEOUT, async () => {
  const path = join(folder, 'stale.sock');
  const netmap = await Netmap.create();
  try {
    const script = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 9))`;
    spawnSync(process.execPath, ['-e', script]);
    assert.ok(existsSync(path));
    const backend = await openBackend(netmap, `qemu:unix:${path}`);
    assert.equal(backend.state, 'down');
    const other = await openBackend(netmap, `qemu:unix:${path}`);
    assert.equal(other.state, 'retrying');
    assert.match(other.reason, /EADDRINUSE/);
    await other.close();
    assert.ok(existsSync(path), 'the socket of the first one stays');
    await backend.close();
    writeFileSync(path, 'mine');
    const file = await openBackend(netmap, `qemu:unix:${path}`);
    assert.match(file.reason, /no socket/);
    await file.close();
    assert.equal(statSync(path).size, 4);
  } finally {
    await netmap.close();
  }
});

test('addresses that cannot be used, or listen to the world unasked, are refused', TIMEOUT, async () => {
  const netmap = await Netmap.create();
  try {
    for (const [spec, message] of [
      ['qemu:x', /neither unix:PATH nor HOST:PORT/],
      ['qemu:127.0.0.1:0', /'0' is no port/],
      ['qemu:127.0.0.1:65536', /'65536' is no port/],
      ['qemu:0.0.0.0:5000', /say listen=ADDRESS/],
      ['qemu:example.org:5000', /say listen=ADDRESS/],
      ['qemu::5000,listen=all', /listen=all is no IP address/],
      ['qemu:unix:a,listen=0.0.0.0', /TCP ports that listen/],
      ['qemu:unix:a,mode=both', /neither listen nor connect/],
      [`qemu:unix:${'a'.repeat(99)}`, /98 bytes/],
      ['qemu:dgram:unix:a:b', /no unix datagram sockets/],
      ['qemu:dgram:1:10.0.0.1:2', /say listen=ADDRESS/],
    ] as const) {
      await assert.rejects(openBackend(netmap, spec), { code: 'EINVAL', message }, spec);
    }
  } finally {
    await netmap.close();
  }
});

test('what was sent before the end leaves first', TIMEOUT, async () => {
  const path = join(folder, 'last.sock');
  const sent = 700;
  let bytes: Promise<Buffer> | undefined;
  await inWorld([`qemu:unix:${path}`], async ([{ backend, port }]) => {
    const socket = await connected(path);
    await until('up', () => backend.state === 'up');
    bytes = read(socket, sent * 64);
    for (let i = 0; i < sent; i++) assert.ok(port.trySend(frame(i & 255)));
    port.txsync();
  });
  assert.equal((await bytes)?.length, sent * 64);
});

test('backends that were opened and closed again and again are woken as the first ones', TIMEOUT, async () => {
  const netmap = await Netmap.create();
  try {
    for (let round = 0; round < 12; round++) {
      const path = join(folder, `again${round}.sock`);
      const backends = [await openBackend(netmap, `qemu:unix:${path}`)];
      backends.push(await openBackend(netmap, `qemu:unix:${path},mode=connect`));
      const ports: NetmapPort[] = [];
      for (const { name } of backends) ports.push(await netmap.open(`netmap:${name}`));
      await until('up', () => backends.every(({ state }) => state === 'up'));
      for (const [from, to] of [ports, [...ports].reverse()]) {
        for (let k = 0; k < 3; k++) {
          await from.send(frame(k));
          assert.deepEqual(await receive(to, 1), [frame(k)], `round ${round}`);
        }
      }
      for (const port of ports) await port.close();
      for (const backend of backends) await backend.close();
    }
  } finally {
    await netmap.close();
  }
});
