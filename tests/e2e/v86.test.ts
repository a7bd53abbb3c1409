// Real kernels on the other side: two Debian guests for i386 in v86, each with ptnet devices on a switch and on a pipe, and
// v86's own network card on a second switch. The program in the guests is examples/guest/ptnet-guest.c.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { attachNic, attachPtnet, type HostPort, Netmap, type V86Nic, type V86Ptnet } from 'ptnet';
import { type Linux, prepare, skip, values } from './v86-support.js';

/** The ptnet devices of each guest, by number. */
const SWITCH = 0;
const PIPE = 1;
/** The kernel's drivers of the guests' cards. */
const CARDS = ['virtio_net', 'ne2k-pci'];
/** How long (ms) a run of packets may take on a busy machine. */
const LONG = 240_000;

interface Guest {
  readonly linux: Linux;
  readonly ptnet: V86Ptnet;
  readonly nic: V86Nic;
}

let netmap: Netmap;
let a: Guest;
let b: Guest;

async function makeGuest(name: string, pipe: string, type: string): Promise<Guest> {
  const linux = await prepare({ net_device: { type } });
  const ptnet = await attachPtnet(linux.emulator, [
    { netmap, name: `vale0:${name}`, txRings: 2, rxRings: 1 },
    { netmap, name: pipe, txSlots: 512, rxSlots: 512 },
  ]);
  const nic = attachNic(linux.emulator, await netmap.open(`vale1:${name}`));
  return { linux, ptnet, nic };
}

/** Runs the program in b and, when it is up, in a: what both have counted. */
async function both(
  first: string,
  second: string,
): Promise<[receiver: Record<string, number>, sender: Record<string, number>]> {
  const receiver = b.linux.run(`ptnet-guest ${first}`, LONG);
  await new Promise((resolve) => setTimeout(resolve, 500));
  const sender = a.linux.run(`ptnet-guest ${second}`, LONG);
  return [values(await receiver, 'RESULT'), values(await sender, 'RESULT')];
}

const countersOf = async (name: string) => {
  const found = (await netmap.inspect()).ports.find((port) => port.name === name);
  assert.ok(found, name);
  return found.counters;
};

describe('two Linux guests in v86', { skip }, () => {
  before(
    async () => {
      netmap = await Netmap.create({ memorySize: 512 << 20 });
      a = await makeGuest('a', 'netmap:p{1', 'virtio');
      b = await makeGuest('b', 'netmap:p}1', 'ne2k');
      await Promise.all([a.linux.boot(300_000), b.linux.boot(300_000)]);
    },
    { timeout: 400_000 },
  );
  after(async () => {
    for (const guest of [a, b]) {
      await guest?.ptnet.close();
      await guest?.linux.close();
    }
    await netmap?.close();
  });

  test('the kernel finds the devices: BARs, MSI-X, registers in all widths', async () => {
    const info = values(await a.linux.run(`ptnet-guest info ${SWITCH}`), 'INFO');
    const lo = info['maclo'];
    const { slot, io, memid, maclo, machi, ...rest } = info;
    assert.deepEqual(rest, {
      iosize: 256,
      msixsize: 4096,
      tx: 2,
      rx: 1,
      txslots: 1024,
      rxslots: 1024,
      unaligned: ((lo >>> 16) | ((machi & 0xffff) << 16)) >>> 0,
      words: lo,
      bytes: lo,
      feat: 1,
      nofeat: 0,
      nocsb: 6,
      capability: 0x11,
      vectors: 3,
      status: 1,
    });
    assert.equal(machi >>> 8, 2, 'a locally administered address');
    const pipe = values(await a.linux.run(`ptnet-guest info ${PIPE}`), 'INFO');
    assert.deepEqual([pipe['txslots'], pipe['feat'], pipe['vectors']], [512, 0, 2]);
    assert.notEqual(pipe['slot'], slot);
    assert.notEqual(pipe['memid'], memid);
    const devices = await a.linux.run('cat /proc/bus/pci/devices');
    assert.equal([...devices.matchAll(/\t1b36000c\t/g)].length, 2, 'a memdev for each region');
  });

  test('ping-pong over the switch', async () => {
    const [pong, ping] = await both(`pong ${SWITCH} 1000`, `ping ${SWITCH} 1000`);
    assert.deepEqual([pong['packets'], pong['bad'], ping['packets'], ping['bad']], [1000, 0, 1000, 0]);
  });

  test('a switch loses what the receiver has no room for, and counts it', async () => {
    const drops = (await countersOf('vale0:a')).drops['noSpace'];
    const packets = 500_000;
    // More than the last frame may be lost: one comes alone afterwards, with the last number.
    const receiver = b.linux.run(`ptnet-guest rx ${SWITCH} ${packets + 1}`, LONG);
    await new Promise((resolve) => setTimeout(resolve, 500));
    await a.linux.run(`ptnet-guest tx ${SWITCH} ${packets}`, LONG);
    const last = await netmap.open('vale0:last');
    await last.send(frame(packets, 60));
    const result = values(await receiver, 'RESULT');
    await last.close();
    const lost = (await countersOf('vale0:a')).drops['noSpace'] - drops;
    assert.deepEqual([result['packets'], result['lost'], result['bad']], [packets + 1 - lost, lost, 0]);
  });

  test('a pipe loses nothing: millions of packets, in order, with their bytes', async () => {
    for (const [packets, length] of [
      [2_000_000, 60],
      [100_000, 1500],
    ]) {
      const [rx, tx] = await both(`rx ${PIPE} ${packets} ${length}`, `tx ${PIPE} ${packets} ${length}`);
      assert.deepEqual([rx['packets'], rx['lost'], rx['bad'], tx['packets']], [packets, 0, 0, packets]);
    }
    assert.deepEqual(sumOf((await countersOf('p{1')).drops), 0);
  });

  test('a message interrupt is held back while masked, and reaches the kernel', async () => {
    await b.linux.run('dmesg -c > /dev/null');
    const run = b.linux.run(`ptnet-guest msix ${SWITCH} 85`, LONG);
    await b.linux.prints(/^WAITING/m);
    await a.linux.run(`ptnet-guest tx ${SWITCH} 1`);
    assert.deepEqual(values(await run, 'MSIX'), { masked: 1, pending: 1, after: 0 });
    assert.match(await b.linux.run('dmesg'), /0\.85 No irq handler for vector/);
    assert.equal(b.ptnet.lostMessages, 0);
  });

  test('v86’s own cards, virtio and ne2k: the guests’ TCP/IP, a file by its hash', async () => {
    const guests = [a.linux, b.linux];
    for (const [i, guest] of guests.entries()) {
      assert.match(await guest.run('ls -l /sys/class/net/eth0/device/driver'), new RegExp(`/${CARDS[i]}`));
      await guest.run(`ip addr add 10.86.0.${i + 1}/24 dev eth0; ip link set eth0 up; httpd -h /www`);
      await guest.run('dd if=/dev/urandom of=/www/file bs=65536 count=64 2>/dev/null');
    }
    assert.match(await a.linux.run('ping -c 3 -W 5 10.86.0.2'), / 3 packets received/);
    for (const [i, guest] of guests.entries()) {
      const [sent] = (await guests[1 - i].run('sha256sum /www/file')).split(' ');
      const get = `wget -q -O /file http://10.86.0.${2 - i}/file; sha256sum /file`;
      const [got] = (await guest.run(get, LONG)).split(' ');
      assert.match(sent, /^[0-9a-f]{64}$/);
      assert.equal(got, sent);
    }
    for (const { nic } of [a, b]) {
      assert.ok(nic.counters.received > 2000 && nic.counters.sent > 2000);
      assert.equal(nic.counters.errors, 0);
    }
  });

  test('the device as an interface of the guests’ kernels, by a TAP device: TCP/IP, segments, a file by its hash', async () => {
    const guests = [a.linux, b.linux];
    const frames = (await countersOf('vale0:a')).txPackets;
    const bytes = (await countersOf('vale0:a')).txBytes;
    for (const [i, guest] of guests.entries()) {
      await guest.run(
        `ptnet-tap ${SWITCH} ptn0 > /tmp/tap & until ip link show ptn0 > /dev/null 2>&1; do sleep 1; done`,
      );
      await guest.run(
        `ip addr add 10.87.0.${i + 1}/24 dev ptn0; ip link set ptn0 up; pidof httpd > /dev/null || httpd -h /www`,
      );
      await guest.run('dd if=/dev/urandom of=/www/file bs=65536 count=64 2>/dev/null');
    }
    assert.match(await a.linux.run('ping -c 3 -W 5 10.87.0.2'), / 3 packets received/);
    for (const [i, guest] of guests.entries()) {
      const [sent] = (await guests[1 - i].run('sha256sum /www/file')).split(' ');
      const get = `wget -q -O /file http://10.87.0.${2 - i}/file; sha256sum /file`;
      assert.equal((await guest.run(get, LONG)).split(' ')[0], sent);
    }
    const counters = await countersOf('vale0:a');
    assert.ok(counters.txBytes - bytes > 4 << 20);
    assert.ok((counters.txBytes - bytes) / (counters.txPackets - frames) > 1514, 'segments larger than a frame');
    const stop = 'killall ptnet-tap; while pidof ptnet-tap > /dev/null; do sleep 1; done; cat /tmp/tap';
    const ends = await Promise.all(guests.map((guest) => guest.run(stop)));
    for (const { errors, sent, received } of ends.map((text) => values(text, 'TAP'))) {
      assert.equal(errors, 0);
      assert.ok(sent > 50 && received > 50);
    }
  });

  test('a hostile guest stops neither the host nor the other guest', async () => {
    const attack = a.linux.run(`ptnet-guest hostile ${SWITCH} 200000 77`, LONG);
    const more = attack.then(() => a.linux.run(`ptnet-guest hostile ${PIPE} 200000 78`, LONG));
    const failure = more.then(
      () => undefined,
      (error: unknown) => error,
    );
    const c = await netmap.open('vale0:c');
    const echo = b.linux.run(`ptnet-guest pong ${SWITCH} 200`, LONG);
    await new Promise((resolve) => setTimeout(resolve, 500));
    for (let seq = 0; seq < 199; seq++) await exchange(c, seq);
    assert.equal(await failure, undefined);
    await exchange(c, 199); // the last one: nobody floods the switch any more
    assert.ok(values(await echo, 'RESULT')['packets'] >= 200);
    await c.close();
    assert.deepEqual([a.ptnet.faults, b.ptnet.faults], [0, 0]);
    // For a program that behaves, the device is as good as new.
    const [pong, ping] = await both(`pong ${SWITCH} 100`, `ping ${SWITCH} 100`);
    assert.deepEqual([pong['packets'], ping['packets']], [100, 100]);
  });
});

const sumOf = (counts: Readonly<Record<string, number>>): number =>
  Object.values(counts).reduce((sum, n) => sum + n, 0);

/** A frame as the guest's program writes it. */
function frame(seq: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  bytes.fill(0xff, 0, 6).set([2, 0, 9, 0, 0, 0, 0x88, 0xb5], 6);
  view.setUint32(14, seq, true);
  for (let i = 18; i + 4 <= length; i += 4) view.setUint32(i, (seq ^ i) >>> 0, true);
  return bytes;
}

/** Sends a frame until the guest has answered it: others may fill the guest's ring. */
async function exchange(port: HostPort, seq: number): Promise<void> {
  const end = Date.now() + LONG;
  const wanted = frame(seq, 60);
  while (Date.now() < end) {
    await port.send(wanted);
    await port.poll(1, { timeout: 200 });
    const answers = port
      .recv()
      .filter((got) => got.length === 60 && new DataView(got.buffer).getUint32(14, true) === seq);
    if (answers.length > 0) return;
  }
  throw new Error(`no answer to ${seq}`);
}
