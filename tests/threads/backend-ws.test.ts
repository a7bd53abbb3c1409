// WebSockets: clients as machines on a switch, who may connect, and messages that are no frame.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { connect } from 'node:net';
import { test } from 'node:test';
import { WebSocket, WebSocketServer } from 'ws';
import { Netmap } from '../../src/index.js';
import { openBackend } from '../../src/io/backends/backend.js';
import { freePort } from '../support/free-port.js';
import { frame, inWorld, receive, until } from './backend-support.js';

const TIMEOUT = { timeout: 30_000 };
const COUNTS_REFUSED = {
  ...TIMEOUT,
  skip:
    'Deno' in globalThis && "Deno 2.9.6 closes connections beyond the limit and emits no 'drop': nobody counts them",
};

/** A client that keeps what it gets. */
class Machine {
  readonly socket: WebSocket;
  readonly #frames: Uint8Array[] = [];

  constructor(port: number, origin?: string) {
    this.socket = new WebSocket(`ws://127.0.0.1:${port}/any/path`, origin === undefined ? {} : { origin });
    this.socket.on('message', (data) => this.#frames.push(Uint8Array.from(data as Buffer)));
    this.socket.on('error', () => {});
  }

  async open(): Promise<this> {
    await once(this.socket, 'open');
    return this;
  }

  send(bytes: Uint8Array | string): void {
    this.socket.send(bytes);
  }

  has(count: number): boolean {
    return this.#frames.length >= count;
  }

  /** The next frames, and no more. */
  async take(count: number): Promise<Uint8Array[]> {
    await until(`${count} frames`, () => this.has(count));
    return this.#frames.splice(0);
  }
}

test('each client is a machine: broadcasts reach all, unicasts one, on either side', TIMEOUT, async () => {
  const number = await freePort();
  await inWorld([`ws:listen:${number}`], async ([{ backend, port }]) => {
    assert.equal(backend.state, 'down');
    const a = await new Machine(number).open();
    const b = await new Machine(number).open();
    await until('up', () => backend.state === 'up');
    a.send(frame(1, 60, 0xa));
    assert.deepEqual(await receive(port, 1), [frame(1, 60, 0xa)]);
    assert.deepEqual(await b.take(1), [frame(1, 60, 0xa)]);
    b.send(frame(2, 1514, 0xb, 0xa)); // a is known: nobody else gets it
    assert.deepEqual(await a.take(1), [frame(2, 1514, 0xb, 0xa)]);
    await port.send(frame(3, 60, 0xc));
    assert.deepEqual(await a.take(1), [frame(3, 60, 0xc)]);
    assert.deepEqual(await b.take(1), [frame(3, 60, 0xc)]);
    assert.equal((await backend.counters()).txCopies, 1);
    await port.send(frame(4, 60, 0xc, 0xb));
    assert.deepEqual(await b.take(1), [frame(4, 60, 0xc, 0xb)]);
    b.send(frame(5, 60, 0xb, 0xc)); // behind the interface, and known
    assert.deepEqual(await receive(port, 1), [frame(5, 60, 0xb, 0xc)]);
    await port.send(frame(6, 60, 0xd, 0xc));
    await until('not for clients', async () => (await backend.counters()).txDrops.self === 1);
    b.socket.close();
    await until('a is alone', async () => {
      await port.send(frame(7, 60, 0xc, 0xb)); // b is forgotten: for all
      return a.has(1);
    });
    const { relayed, rxPackets, rxDrops } = await backend.counters();
    assert.deepEqual([relayed, rxPackets, rxDrops], [2, 2, {}]);
    a.socket.close();
    await until('down', () => backend.state === 'down');
  });
});

test('connections that ask for nothing are limited, and end with the backend', COUNTS_REFUSED, async () => {
  const number = await freePort();
  await inWorld([`ws:listen:${number},clients=2`], async ([{ backend }]) => {
    const ends = Array.from({ length: 100 }, () => {
      const socket = connect(number, '127.0.0.1').on('error', () => {});
      return new Promise((resolve) => socket.resume().once('close', resolve));
    });
    await until('refused', async () => (await backend.counters()).refused === 34);
    const since = performance.now();
    await backend.close();
    await Promise.all(ends);
    assert.ok(performance.now() - since < 1500, 'its worker ends by itself');
  });
});

test('messages that are no frame are counted; one that is too long ends its connection', TIMEOUT, async () => {
  const number = await freePort();
  await inWorld([`ws:listen:${number}`], async ([{ backend, port }]) => {
    const a = await new Machine(number).open();
    a.send('text');
    a.send(new Uint8Array(0));
    a.send(new Uint8Array(13));
    a.send(frame(1, 65536));
    assert.deepEqual(await receive(port, 1), [frame(1, 65536)]);
    const closed = once(a.socket, 'close');
    a.send(frame(2, 65537));
    assert.equal((await closed)[0], 1009); // RFC 6455: a message that is too big
    assert.deepEqual((await backend.counters()).rxDrops, { framing: 1, runt: 2, oversized: 1 });
  });
});

test('pages of other places and clients beyond the limit are refused', TIMEOUT, async () => {
  const number = await freePort();
  await inWorld([`ws:listen:${number},clients=2`], async ([{ backend }]) => {
    await new Machine(number, 'http://localhost:8000').open();
    await assert.rejects(new Machine(number, 'https://example.org').open());
    await assert.rejects(new Machine(number, 'null').open());
    await new Machine(number).open();
    await assert.rejects(new Machine(number).open());
    assert.equal((await backend.counters()).refused, 3);
  });
  const other = await freePort();
  await inWorld([`ws:listen:${other},origin=https://example.org`], async () => {
    await new Machine(other, 'https://example.org').open();
    await assert.rejects(new Machine(other, 'http://localhost').open());
  });
});

test('a client that does not read costs drops, and the others nothing', TIMEOUT, async () => {
  const number = await freePort();
  await inWorld([`ws:listen:${number}`], async ([{ backend, port }]) => {
    const slow = await new Machine(number).open();
    const fast = await new Machine(number).open();
    slow.socket.pause();
    let sent = 0;
    let got = 0;
    for (; ((await backend.counters()).txDrops.noRoom ?? 0) === 0; sent += 50) {
      assert.ok(sent < 100_000, 'nothing is dropped');
      for (let i = 0; i < 50; i++) await port.send(frame(1, 1500, 0xc));
      got += (await fast.take(50)).length;
    }
    assert.equal(got, sent);
    slow.socket.terminate();
  });
});

test('as a client of a relay it comes back when the relay does', TIMEOUT, async () => {
  const relay = new WebSocketServer({ host: '127.0.0.1', port: 0 });
  await once(relay, 'listening');
  const { port: number } = relay.address() as AddressInfo;
  const connection = (): Promise<[WebSocket]> => once(relay, 'connection') as Promise<[WebSocket]>;
  const first = connection();
  await inWorld([`ws://127.0.0.1:${number}/relay`], async ([{ backend, port }]) => {
    const [socket] = await first;
    await until('up', () => backend.state === 'up');
    socket.send(frame(1));
    assert.deepEqual(await receive(port, 1), [frame(1)]);
    const arrived = once(socket, 'message');
    await port.send(frame(2));
    assert.deepEqual(Uint8Array.from((await arrived)[0] as Buffer), frame(2));
    const second = connection();
    socket.terminate();
    const [again] = await second;
    await until('up', () => backend.state === 'up');
    again.send(frame(3));
    assert.deepEqual(await receive(port, 1), [frame(3)]);
    assert.equal((await backend.counters()).restarts, 1);
    again.terminate();
    relay.close();
    await until('retrying', () => backend.state === 'retrying' && /ECONNREFUSED/.test(backend.reason));
  });
});

test('what is no WebSocket address is refused', TIMEOUT, async () => {
  const netmap = await Netmap.create();
  try {
    for (const [spec, message] of [
      ['ws:8080', /ws:listen:PORT or/],
      ['wss:listen:8080', /ws:listen:PORT or/],
      ['ws:listen:0', /no port/],
      ['ws:listen:80,clients=0', /clients=0/],
      ['ws:listen:80,listen=me', /no IP address/],
      ['ws://', /ws:\/\/HOST:PORT\/PATH/],
    ] as const) {
      await assert.rejects(openBackend(netmap, spec), { code: 'EINVAL', message }, spec);
    }
  } finally {
    await netmap.close();
  }
});
