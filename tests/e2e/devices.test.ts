// Backends with Linux devices against the kernel: TAP, macvtap and packet sockets, between network namespaces.
import assert from 'node:assert/strict';
import { copyFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { joinInterface, Netmap, openTap, PtnetDriver, PtnetInterface } from 'ptnet';
import { openBackend } from 'ptnet/backends';
import { type DeviceLab, inLab, MIDDLE, Switch, withSwitch } from './device-lab.js';
import { address4, iperf3, ipProgram, ping, whyNoNamespaces } from './netns.js';
import { bun, deno, findProgram, fixtures, project, root, run } from './support.js';

const skip = whyNoNamespaces() || iperf3.skip;
const tc = findProgram('PTNET_TC', 'tc');

/** A folder with the fixture, and no package but ours. */
function emptyProject(): string {
  const folder = project();
  copyFileSync(join(fixtures, 'backends.mjs'), join(folder, 'backends.mjs'));
  return folder;
}

/** Pings, fragments and a TCP connection through a switch. */
async function traffic(lab: DeviceLab, made: Switch, t: TestContext): Promise<void> {
  await lab.pings();
  await lab.pings('-s', '4000');
  t.diagnostic(`${(await lab.iperf()).toFixed(2)} Gbit/s`);
  for (const { rxPackets, txPackets, restarts } of await made.counters()) {
    assert.ok(rxPackets > 100 && txPackets > 100);
    assert.equal(restarts, 0);
  }
}

for (const [a, b] of [
  ['tap:t0', 'tap:t1'],
  ['tap:t0,vnet=12', 'tap:t1,vnet=12'],
  ['tap:t0,vnet=12', 'tap:t1'],
  ['tap:t0,vnet=10,queues=2', 'tap:t1,vnet=12,queues=2,slots=256'],
]) {
  test(`ping and iperf3 through ${a} and ${b}`, { skip }, (t) =>
    inLab(async (lab) => {
      await withSwitch(await Switch.start(lab, a, b), async (made) => {
        for (const end of [0, 1]) lab.give(end, `t${end}`);
        await traffic(lab, made, t);
      });
    }),
  );
}

for (const [name, found, args] of [
  ['Deno', deno, ['run', '--allow-all']],
  ['Bun', bun, ['run']],
] as const) {
  test(`${name}: ping and iperf3 through tap and packet`, { skip: skip || found.skip }, (t) =>
    inLab(async (lab) => {
      lab.addCables();
      lab.ip(0, 'link', 'del', 'eth0');
      const made = new Switch(lab, [found.path, ...args], ['tap:t0,vnet=12', 'packet:c1'], emptyProject());
      await withSwitch(made, async () => {
        await made.next(({ ready }) => ready !== undefined);
        lab.give(0, 't0');
        await traffic(lab, made, t);
      });
    }),
  );
}

for (const [mtu, ring] of [
  [1500, 0],
  [9000, 0],
  [1500, 1],
  [9000, 1],
]) {
  test(`ping and iperf3 through two packet sockets, MTU ${mtu}, ring=${ring}`, { skip }, (t) =>
    inLab(async (lab) => {
      lab.addCables(mtu);
      const specs = [`packet:c0,ring=${ring}`, `packet:c1,ring=${ring},vnet=12`];
      await withSwitch(await Switch.start(lab, ...specs), async (made) => {
        await lab.pings('-M', 'do', '-s', `${mtu - 28}`);
        await traffic(lab, made, t);
      });
    }),
  );
}

/** A macvtap device on each cable, in the middle. */
function addMacvtaps(lab: DeviceLab): void {
  lab.addCables();
  for (const end of [0, 1]) addMacvtap(lab, end);
}

function addMacvtap(lab: DeviceLab, end: number): void {
  lab.ip(MIDDLE, 'link', 'add', 'link', `c${end}`, 'name', `m${end}`, 'type', 'macvtap', 'mode', 'passthru');
  lab.ip(MIDDLE, 'link', 'set', `m${end}`, 'up');
}

test('ping and iperf3 through two macvtap devices', { skip }, (t) =>
  inLab(async (lab) => {
    addMacvtaps(lab);
    await withSwitch(await Switch.start(lab, 'macvtap:m0', 'macvtap:m1,vnet=12,queues=2'), (made) =>
      traffic(lab, made, t),
    );
  }),
);

test('ping and iperf3 through two macvtap devices, in Node without koffi', { skip }, (t) =>
  inLab(async (lab) => {
    addMacvtaps(lab);
    const made = new Switch(lab, [process.execPath], ['macvtap:m0', 'macvtap:m1'], emptyProject());
    await withSwitch(made, async () => {
      await made.next(({ ready }) => ready !== undefined);
      await traffic(lab, made, t);
    });
  }),
);

test('a TAP device that somebody deletes in the middle of a transfer comes back', { skip }, () =>
  inLab(async (lab) => {
    await withSwitch(await Switch.start(lab, 'tap:t0', 'tap:t1'), async (made) => {
      for (const end of [0, 1]) lab.give(end, `t${end}`);
      await lab.pings();
      const flood = lab.exec(0, ping.path, '-f', '-w', '2', address4(1));
      await sleep(300);
      lab.ip(1, 'link', 'del', 't1');
      assert.match(await made.state('tap:t1', 'retrying'), /ENXIO: the device is gone/);
      await made.state('tap:t1', 'up');
      lab.give(1, 't1');
      await flood;
      lab.ip(0, 'neigh', 'flush', 'dev', 't0'); // the new device has another address
      await lab.pings();
      const [other, deleted] = await made.counters();
      assert.equal(other.restarts, 0);
      assert.equal(deleted.restarts, 1);
    });
  }),
);

test('a packet socket and a macvtap device whose devices go down, or away, come back', { skip }, () =>
  inLab(async (lab) => {
    lab.addCables();
    addMacvtap(lab, 1);
    await withSwitch(await Switch.start(lab, 'packet:c0,ring=1', 'macvtap:m1'), async (made) => {
      await lab.pings();
      const flood = lab.exec(0, ping.path, '-f', '-w', '1', address4(1));
      await sleep(300);
      lab.ip(MIDDLE, 'link', 'set', 'c0', 'down');
      assert.match(await made.state('packet:c0,ring=1', 'retrying'), /ENETDOWN/);
      lab.ip(MIDDLE, 'link', 'set', 'c0', 'up');
      await made.state('packet:c0,ring=1', 'up');
      await flood;
      lab.ip(MIDDLE, 'link', 'del', 'm1');
      assert.match(await made.state('macvtap:m1', 'retrying'), /ENXIO: the device is gone/);
      addMacvtap(lab, 1);
      await made.state('macvtap:m1', 'up');
      await lab.pings();
      assert.ok((await made.counters()).every(({ restarts }) => restarts >= 1));
    });
  }),
);

test('a packet socket sees what tc drops before the kernel does', { skip: skip || tc.skip }, () =>
  inLab(async (lab) => {
    lab.addCables();
    const drop = ['bpf', 'da', 'bytecode', '1,6 0 0 2'];
    for (const line of [
      ['qdisc', 'add', 'dev', 'c0', 'clsact'],
      ['filter', 'add', 'dev', 'c0', 'ingress', ...drop],
    ]) {
      const result = await lab.exec(MIDDLE, tc.path, ...line);
      assert.equal(result.code, 0, result.report);
    }
    await withSwitch(await Switch.start(lab, 'packet:c0', 'packet:c1'), () => lab.pings());
  }),
);

for (const ring of ['0', '1'])
  test(`frames of all lengths, and VLAN tags, come through packet sockets byte for byte, ring=${ring}`, { skip }, () =>
    inLab(async (lab) => {
      const MTU = '9000';
      lab.ip(MIDDLE, 'link', 'add', 'x0', 'mtu', MTU, 'type', 'veth', 'peer', 'name', 'x1', 'mtu', MTU);
      for (const device of ['x0', 'x1']) lab.ip(MIDDLE, 'link', 'set', device, 'up');
      const program = join(fixtures, 'packet-frames.mjs');
      const result = await lab.exec(MIDDLE, process.execPath, program, 'x0', 'x1', MTU, ring);
      assert.equal(result.code, 0, result.report);
      assert.match(result.stdout, /^\d+ frames each way\n$/);
    }),
  );

test('a guest has a TAP device, through the command', { skip }, () =>
  inLab(async (lab) => {
    const command = ['run', '--json', '--duration', '10', 'guest tap:t0,vnet=12 pkt-gen -f rx -n 20'];
    const running = lab.exec(MIDDLE, process.execPath, join(root, 'dist/cli.js'), ...command);
    while (!lab.ip(MIDDLE, '-brief', 'link').includes('t0')) await sleep(50);
    lab.give(0, 't0');
    lab.ip(0, 'neigh', 'add', address4(1), 'lladdr', '02:00:00:00:00:01', 'dev', 't0');
    await lab.exec(0, ping.path, '-c', '40', '-i', '0.1', '-W', '1', address4(1));
    const { code, stdout, report } = await running;
    assert.equal(code, 0, report);
    assert.equal((JSON.parse(stdout) as { packets: number }).packets, 20, report);
  }),
);

for (const vnetHdr of [true, false]) {
  const how = vnetHdr ? 'with the header, unparsed' : 'without the header, translated';
  test(`a guest's interface on a TAP device with vnet=12: ${how}`, { skip }, (t) =>
    inLab(async (lab) => {
      const give = async (end: number, device: string): Promise<void> => {
        await run(ipProgram.path, ['link', 'set', device, 'netns', lab.space(end)], { limit: 10 });
        lab.addressEnd(end, device);
      };
      // Kernel, TAP backend, ptnet, guest, another TAP as the guest's stack, kernel.
      const netmap = await Netmap.create();
      const outside = `pt${process.pid}o`;
      const backend = await openBackend(netmap, `tap:${outside},vnet=12`);
      const guest = await netmap.createGuest();
      await guest.passthrough(`netmap:${backend.name}`);
      const [driver] = PtnetDriver.probe(await guest.machine(), { vnetHdr });
      const netif = new PtnetInterface(driver);
      const stack = await openTap({ name: `pt${process.pid}i`, vnetHdr });
      const joint = joinInterface(netif, stack);
      netif.up();
      try {
        assert.equal(netif.headerLength, vnetHdr ? 12 : 0);
        await give(0, outside);
        await give(1, stack.name);
        await lab.pings();
        t.diagnostic(`${(await lab.iperf()).toFixed(2)} Gbit/s`);
        const { rxPackets, rxBytes, rxDrops } = await backend.counters();
        assert.ok(rxBytes / rxPackets > 3000, 'the kernel has cut packets that it need not cut');
        assert.deepEqual(
          Object.keys(rxDrops).filter((reason) => reason !== 'noSpace'),
          [],
        );
      } finally {
        netif.down();
        await joint.close();
        await backend.close();
        await netmap.close();
      }
    }),
  );
}

test('devices that cannot be opened are refused, and closed ones leave nothing', { skip }, async () => {
  const netmap = await Netmap.create();
  const device = `pt${process.pid}z`;
  try {
    await (await openBackend(netmap, `tap:${device}`)).close(); // loads what is loaded once
    const before = [readdirSync('/proc/self/fd').length, await netmap.inspect()];
    const backend = await openBackend(netmap, `tap:${device},queues=2,vnet=10`);
    for (const [spec, error] of [
      [`tap:${device},name=other`, { code: 'EINVAL', op: 'TUNSETIFF' }], // it has queues
      [`macvtap:${device},name=other`, { code: 'EINVAL', message: /ip link add link .* type macvtap/ }],
      ['macvtap:none', { code: 'ENODEV' }],
      ['packet:none', { code: 'ENODEV' }],
      [`packet:lo,name=${device}`, { code: 'EEXIST' }],
    ] as const) {
      await assert.rejects(openBackend(netmap, spec), error, spec);
    }
    await backend.close();
    assert.deepEqual([readdirSync('/proc/self/fd').length, await netmap.inspect()], before);
  } finally {
    await netmap.close();
  }
});
