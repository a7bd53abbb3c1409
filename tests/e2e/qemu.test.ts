// Debian guests under QEMU (TCG) with virtio-net, on a VALE switch over every protocol of the kind `qemu:`.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { abi, Netmap } from 'ptnet';
import { openBackend } from 'ptnet/backends';
import { freePort, freeUdpPort } from '../support/free-port.js';
import { Guest, guestImage, type Image } from './qemu-guest.js';

const image = guestImage();
const skip = typeof image === 'string' ? image : false;
const FILE_MIB = 4;

/** A host with the backends on one switch; removed after the test. */
async function switched(t: TestContext, specs: readonly string[]): Promise<Netmap> {
  const netmap = await Netmap.create();
  t.after(() => netmap.close());
  for (const spec of specs) {
    const backend = await openBackend(netmap, spec);
    t.after(() => backend.close());
    await netmap.valeAttach(`vale0:${backend.name}`);
  }
  return netmap;
}

function boot(t: TestContext, number: number, ...nics: readonly string[]): Guest {
  const guest = new Guest(image as Image, number, nics);
  t.after(() => guest.kill());
  return guest;
}

const stream = (i: number, path: string, server = 'off'): string =>
  `stream,id=n${i},server=${server},addr.type=unix,addr.path=${path}`;

/** Serves addresses and a file; @returns the file's hash */
async function serve(guest: Guest): Promise<string> {
  await guest.run('ip link set eth0 up; for i in 1 2 3 4; do ip addr add 10.77.$i.1/24 dev eth0; done');
  await guest.run(`dd if=/dev/urandom of=/www/file bs=1M count=${FILE_MIB} 2>/dev/null; httpd -h /www`);
  await guest.run('mkdir -p /var/lib/misc; : >/var/lib/misc/udhcpd.leases');
  await guest.run(
    'printf "start 10.77.1.100\\nend 10.77.1.110\\ninterface eth0\\nopt subnet 255.255.255.0\\n" >/etc/udhcpd.conf',
  );
  await guest.run('udhcpd /etc/udhcpd.conf');
  return guest.run('sha256sum </www/file');
}

const DOWNLOAD = 'wget -q -O - http://10.77.1.1/file | sha256sum';
const LEASE = 'ip link set eth0 up; udhcpc -q -n -t 20 -T 1 -i eth0 -s /etc/lease';

test('guests reach each other over streams, sockets and datagrams', { skip, timeout: 180_000 }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'ptnet-qemu-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const [a, b, listening] = ['a', 'b', 'c'].map((name) => join(folder, name));
  const [tcp, local, remote] = [await freePort(), await freeUdpPort(), await freeUdpPort()];
  await switched(t, [
    `qemu:unix:${a}`,
    `qemu:unix:${b}`,
    `qemu:127.0.0.1:${tcp}`,
    `qemu:dgram:${local}:${remote}`,
    `qemu:unix:${listening},mode=connect`,
  ]);
  const server = boot(t, 1, stream(0, b));
  const client = boot(
    t,
    2,
    stream(0, a),
    `socket,id=n1,connect=127.0.0.1:${tcp}`,
    `dgram,id=n2,local.type=inet,local.host=127.0.0.1,local.port=${remote},` +
      `remote.type=inet,remote.host=127.0.0.1,remote.port=${local}`,
    stream(3, listening, 'on'),
  );
  const started = Date.now();
  await Promise.all([server.ready(), client.ready()]);
  t.diagnostic(`both guests are up after ${Date.now() - started} ms`);
  const hash = await serve(server);
  assert.match(await client.run(LEASE), /10\.77\.1\.1\d\d/);
  for (const i of [2, 3, 4]) {
    await client.run(`ip addr add 10.77.${i}.2/24 dev eth${i - 1}; ip link set eth${i - 1} up`);
  }
  for (const i of [1, 2, 3, 4]) {
    assert.match(await client.run(`ping -c 3 -i 0.2 -W 5 10.77.${i}.1`), / 3 packets received/, `eth${i - 1}`);
  }
  const before = Date.now();
  assert.equal(await client.run(DOWNLOAD, 60), hash);
  t.diagnostic(`${FILE_MIB} MiB in ${Date.now() - before} ms`);
});

test('a guest that is killed in the middle of a download gets in again, and others lose nothing', {
  skip,
  timeout: 180_000,
}, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'ptnet-qemu-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const [a, b, c] = ['a', 'b', 'c'].map((name) => join(folder, name));
  const netmap = await switched(t, [`qemu:unix:${a}`, `qemu:unix:${b}`, `qemu:unix:${c}`]);
  const server = boot(t, 1, stream(0, b));
  const victim = boot(t, 2, stream(0, a));
  await Promise.all([server.ready(), victim.ready()]);
  const hash = await serve(server);
  await victim.run(LEASE);

  // Two others exchange numbered frames all the time: one at a socket, one at a port of the switch.
  const port = await netmap.open('vale0:other');
  const socket = connect({ path: c });
  t.after(() => socket.destroy());
  await once(socket, 'connect');
  const numbered = (n: number): Buffer => {
    const bytes = Buffer.alloc(64);
    bytes.writeUInt32BE(60);
    bytes.set([2, 0, 0, 0, 1, 1, 2, 0, 0, 0, 1, 2, 0x88, 0xb5], 4);
    bytes.writeUInt32BE(n, 20);
    return bytes;
  };
  await port.send(new Uint8Array(60).fill(0xff, 0, 6).fill(2, 6, 7).fill(1, 10, 12)); // 02:00:00:00:01:01 is here
  let isOn = true;
  let sent = 0;
  const sending = (async () => {
    for (; isOn; await sleep(2)) for (let i = 0; i < 10; i++) socket.write(numbered(sent++));
  })();
  const received: number[] = [];
  const receiving = (async () => {
    while (isOn || received.length < sent) {
      if ((await port.poll(abi.POLLIN, { timeout: 2000 })) === 0) break;
      for (const frame of port.recv()) {
        if (frame[12] === 0x88 && frame[13] === 0xb5) received.push(new DataView(frame.buffer).getUint32(16));
      }
    }
  })();

  victim.start('while true; do wget -q -O /dev/null http://10.77.1.1/file; done');
  await sleep(1500);
  await victim.kill();
  const again = boot(t, 2, stream(0, a));
  await again.ready();
  await again.run(LEASE);
  assert.equal(await again.run(DOWNLOAD, 60), hash);
  isOn = false;
  await sending;
  await receiving;
  assert.ok(sent > 1000);
  assert.deepEqual(received, [...received.keys()], 'in order');
  assert.equal(received.length, sent);
});
