// VXLAN over loopback addresses: what goes to whom, and what is refused.

import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { test } from 'node:test';
import { Netmap } from '../../src/index.js';
import { openBackend } from '../../src/io/backends/backend.js';
import { COUNTERS_SIZE, CounterWriter, sumCounters } from '../../src/io/backends/counters.js';
import { DatagramSender } from '../../src/io/backends/datagrams.js';
import { frame, inWorld, receive, until } from './backend-support.js';

const TIMEOUT = { timeout: 30_000 };
const PORT = 14789;

test('frames for all go to each remote, and answers to where the station is', TIMEOUT, async () => {
  const spec = (own: number, others: string): string =>
    `vxlan:42,local=127.0.0.${own},remote=${others},port=${PORT},name=v${own}`;
  const specs = [spec(1, '127.0.0.2+127.0.0.3'), spec(2, '127.0.0.1'), spec(3, '127.0.0.1')];
  await inWorld(specs, async ([a, b, c]) => {
    await a.port.send(frame(1, 60, 0xa));
    assert.deepEqual(await receive(b.port, 1), [frame(1, 60, 0xa)]);
    assert.deepEqual(await receive(c.port, 1), [frame(1, 60, 0xa)]);
    await b.port.send(frame(2, 1468, 0xb, 0xa));
    assert.deepEqual(await receive(a.port, 1), [frame(2, 1468, 0xb, 0xa)]);
    await a.port.send(frame(3, 60, 0xa, 0xb)); // b is known now
    await a.port.send(frame(4, 60, 0xa, 0xc)); // c is not
    assert.deepEqual(await receive(b.port, 2), [frame(3, 60, 0xa, 0xb), frame(4, 60, 0xa, 0xc)]);
    assert.deepEqual(await receive(c.port, 1), [frame(4, 60, 0xa, 0xc)]);
    await a.port.send(frame(5, 1469, 0xa));
    await until('counted', async () => (await a.backend.counters()).txDrops.oversized === 1);
    const { txOffered, txCopies, txPackets } = await a.backend.counters();
    assert.deepEqual([txOffered, txCopies, txPackets], [4, 2, 5], 'and one is too long');
  });
});

test('many frames go through, as far as there is room', TIMEOUT, async () => {
  const spec = (own: number, other: number): string =>
    `vxlan:1,local=127.0.0.${own},remote=127.0.0.${other},port=${PORT},name=v${own}`;
  await inWorld([spec(1, 2), spec(2, 1)], async ([a, b]) => {
    const sent = 5000;
    for (let i = 0; i < sent; i++) await a.port.send(frame(i & 255), { timeout: 5000 });
    await until('sent or dropped', async () => {
      a.port.txsync(); // what has found the wire full
      const { txPackets, txDrops } = await a.backend.counters();
      return txPackets + (txDrops.noRoom ?? 0) === sent;
    });
    assert.ok((await b.backend.counters()).rxPackets > 0);
  });
});

test('a sender that is asked to settle has sent all that it was given', TIMEOUT, async () => {
  const socket = createSocket('udp4').bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const block = new SharedArrayBuffer(COUNTERS_SIZE);
  const sender = new DatagramSender(socket, new CounterWriter(block));
  for (let i = 0; i < 200; i++) assert.ok(sender.send(frame(i), socket.address().port, '127.0.0.1'));
  assert.equal(sumCounters([block]).txPackets, 0, 'it takes a while');
  await sender.settle();
  socket.close();
  assert.equal(sumCounters([block]).txPackets, 200);
});

test('what was transmitted before the end goes out, and is counted', TIMEOUT, async () => {
  for (let round = 0; round < 5; round++) {
    await inWorld([`vxlan:1,local=127.0.0.1,remote=127.0.0.2,port=${PORT}`], async ([{ backend, port }]) => {
      for (let i = 0; i < 200; i++) assert.ok(port.trySend(frame(i)));
      const closed = backend.close();
      port.txsync();
      await closed;
      const { txOffered, txPackets, txDrops } = await backend.counters();
      assert.equal(txOffered, 200);
      assert.equal(txPackets + (txDrops.noRoom ?? 0) + (txDrops.down ?? 0), 200);
    });
  }
});

test('an IPv6 address is the same however it is written', TIMEOUT, async () => {
  await inWorld([`vxlan:1,local=::1,remote=0:0:0:0:0:0:0:1,port=${PORT}`], async ([{ port }]) => {
    const peer = createSocket('udp6');
    peer.bind(0, '::1');
    await once(peer, 'listening');
    peer.send(Buffer.concat([Uint8Array.of(8, 0, 0, 0, 0, 0, 1, 0), frame(1)]), PORT, '::1');
    assert.deepEqual(await receive(port, 1), [frame(1)]);
    peer.close();
  });
});

test('what is not for us is counted by its reason', TIMEOUT, async () => {
  await inWorld([`vxlan:42,local=127.0.0.1,remote=127.0.0.2,port=${PORT}`], async ([a]) => {
    const peer = createSocket('udp4');
    const stranger = createSocket('udp4');
    peer.bind(0, '127.0.0.2');
    stranger.bind(0, '127.0.0.3');
    await Promise.all([once(peer, 'listening'), once(stranger, 'listening')]);
    const packet = (flags: number, vni: number, inner: Uint8Array): Buffer =>
      Buffer.concat([Uint8Array.of(flags, 0, 0, 0, 0, vni >> 8, vni, 0xff), inner]);
    const send = (socket: typeof peer, bytes: Uint8Array): void => socket.send(bytes, PORT, '127.0.0.1');
    send(stranger, packet(8, 42, frame(1)));
    send(peer, packet(8, 43, frame(2)));
    send(peer, packet(0, 42, frame(3)));
    send(peer, new Uint8Array(0));
    send(peer, Uint8Array.of(8, 0, 0, 0, 0, 0, 42));
    send(peer, packet(8, 42, new Uint8Array(13)));
    send(peer, packet(8, 42, frame(4, 1469)));
    send(peer, packet(0xff, 42, frame(5))); // reserved bits are ignored
    assert.deepEqual(await receive(a.port, 1), [frame(5)]);
    const { rxDrops, rxPackets } = await a.backend.counters();
    assert.deepEqual(rxDrops, { runt: 1, oversized: 1, framing: 3, vni: 1, source: 1 });
    assert.equal(rxPackets, 1);
    peer.close();
    stranger.close();
  });
});

test('peers that are not named are taken and learned where that is asked for', TIMEOUT, async () => {
  const hub = `vxlan:7,local=127.0.0.1,peers=any,port=${PORT},name=hub`;
  const leaf = `vxlan:7,local=127.0.0.2,remote=127.0.0.1,port=${PORT},name=leaf`;
  await inWorld([hub, leaf], async ([a, b]) => {
    await a.port.send(frame(1, 60, 0xa, 0xb));
    await until('nobody is known', async () => (await a.backend.counters()).txDrops.down === 1);
    await b.port.send(frame(2, 60, 0xb));
    assert.deepEqual(await receive(a.port, 1), [frame(2, 60, 0xb)]);
    await a.port.send(frame(3, 60, 0xa, 0xb));
    assert.deepEqual(await receive(b.port, 1), [frame(3, 60, 0xa, 0xb)]);
  });
});

test('tunnels that cannot be are refused', TIMEOUT, async () => {
  const netmap = await Netmap.create();
  try {
    for (const [spec, message] of [
      ['vxlan:16777216,local=127.0.0.1,remote=127.0.0.2', /VNI=16777216 is no whole number/],
      ['vxlan:1,remote=127.0.0.2', /local=ADDRESS/],
      ['vxlan:1,local=127.0.0.1', /remote=ADDRESS/],
      ['vxlan:1,local=127.0.0.1,remote=::1', /local's family/],
      ['vxlan:1,local=127.0.0.1,remote=127.0.0.2+127.0.0.2', /twice/],
      ['vxlan:1,local=10.0.0.1,remote=127.0.0.2', /do not reach each other/],
      ['vxlan:1,local=127.0.0.1,remote=127.0.0.2,peers=all', /neither remote nor any/],
      ['vxlan:1,local=127.0.0.1,remote=127.0.0.2,mtu=0', /mtu=0/],
    ] as const) {
      await assert.rejects(openBackend(netmap, spec), { code: 'EINVAL', message }, spec);
    }
  } finally {
    await netmap.close();
  }
});
