// The kernel's stack on both ends of two ptnet interfaces: two network namespaces talk through TAP devices, guests, and a
// VALE switch or a pipe.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { abi, type Capability, openTap } from 'ptnet';
import {
  address4,
  address6,
  iperf3,
  ipProgram,
  type Lab,
  type LabOptions,
  makeLab,
  ping,
  whyNoNamespaces,
} from './netns.js';
import { fixtures, run } from './support.js';

const LIMIT = 30;
const HTTP_BYTES = 20_000_000;
/** For downloads in the middle of which something happens. */
const LONG_BYTES = 5 * HTTP_BYTES;
const skip = whyNoNamespaces();
const skipIperf = skip || iperf3.skip;

/** Runs `work` in a lab that is removed afterwards; counters are told when it fails. */
async function inLab(options: LabOptions, work: (lab: Lab) => Promise<void>): Promise<void> {
  const lab = await makeLab(options);
  try {
    await work(lab);
  } catch (error) {
    if (error instanceof Error) error.message += `\n${await lab.drops()}`;
    throw error;
  } finally {
    await lab.close();
  }
}

async function pings(lab: Lab, ...args: readonly string[]): Promise<void> {
  const result = await lab.exec(0, LIMIT, ping.path, '-c', '3', '-i', '0.2', '-W', '5', ...args);
  assert.equal(result.code, 0, result.report);
  assert.match(result.stdout, / 3 received/, result.report);
}

/** Downloads over HTTP from namespace 1 to namespace 0 and compares the hashes. */
async function download(lab: Lab, bytes = HTTP_BYTES, during: () => Promise<void> = async () => {}): Promise<void> {
  const program = join(fixtures, 'tap-http.mjs');
  const server = lab.exec(1, LIMIT, process.execPath, program, 'serve', String(bytes), String(bytes));
  const client = lab.exec(0, LIMIT, process.execPath, program, 'get', `http://${address4(1)}:8077/`);
  await during();
  const [sent, received] = await Promise.all([server, client]);
  assert.equal(received.code, 0, received.report);
  assert.equal(received.stdout, sent.stdout, received.report);
  assert.match(received.stdout, new RegExp(`^${bytes} `));
}

/** Resolves when the server's interface has sent so many bytes of a download of `total`, which goes on. */
async function afterBytes(lab: Lab, bytes: number, total: number): Promise<void> {
  const sent = (): number => lab.interfaces[1].counters().obytes;
  while (sent() < bytes) await sleep(1);
  assert.ok(sent() < total, 'the transfer is over already');
}

interface IperfResult {
  readonly end: {
    readonly sum_received?: { readonly bytes: number; readonly bits_per_second: number };
    readonly sum?: { readonly packets: number; readonly lost_packets: number; readonly bits_per_second: number };
  };
}

/** One second of iperf3 from namespace 0 to namespace 1. */
async function iperf(lab: Lab, ...args: readonly string[]): Promise<IperfResult> {
  const server = lab.exec(1, LIMIT, iperf3.path, '-s', '-1');
  for (let tries = 0; ; tries++) {
    await sleep(200);
    const client = await lab.exec(0, LIMIT, iperf3.path, '-t', '1', '-J', ...args);
    if (client.code !== 0 && tries < 20 && client.stdout.includes('Connection refused')) continue;
    assert.equal(client.code, 0, client.report);
    const served = await server;
    assert.equal(served.code, 0, served.report);
    return JSON.parse(client.stdout) as IperfResult;
  }
}

async function iperfs(lab: Lab, t: TestContext): Promise<void> {
  const rates: string[] = [];
  for (const [name, address] of [
    ['TCP v4', address4(1)],
    ['TCP v6', address6(1)],
  ]) {
    const { sum_received: received } = (await iperf(lab, '-c', address)).end;
    assert.ok(received && received.bytes > 0, name);
    rates.push(`${name} ${(received.bits_per_second / 1e9).toFixed(2)} Gbit/s`);
  }
  const { sum } = (await iperf(lab, '-c', address4(1), '-u', '-b', '200M')).end;
  assert.ok(sum && sum.packets > sum.lost_packets, 'UDP');
  t.diagnostic(`${rates.join(', ')}, UDP ${sum.packets} packets, ${sum.lost_packets} lost`);
}

const both: readonly [boolean, boolean] = [true, true];
const tso: readonly Capability[] = ['tso4', 'tso6'];
const txcsum: readonly Capability[] = ['txcsum', 'txcsum6']; // tso goes with it
const rxcsum: readonly Capability[] = ['rxcsum', 'rxcsum6']; // lro goes with it
/**
 * Path, header, segmentation, checksums both ways and LRO: every pair of settings that go together. (Data goes from end 1
 * in downloads and from end 0 in iperf3.)
 */
const combinations: [string, LabOptions][] = [
  ['VALE, all capabilities', { path: 'vale', header: both }],
  ['VALE, no TSO', { path: 'vale', header: both, off: tso }],
  ['VALE, no TSO, no LRO', { path: 'vale', header: both, off: [...tso, 'lro'] }],
  ['VALE, no TX checksums', { path: 'vale', header: both, off: txcsum }],
  ['VALE, no TX checksums, no LRO', { path: 'vale', header: both, off: [...txcsum, 'lro'] }],
  ['VALE, no LRO', { path: 'vale', header: both, off: ['lro'] }],
  ['VALE, no RX checksums', { path: 'vale', header: both, off: rxcsum }],
  ['VALE, no TSO, no RX checksums', { path: 'vale', header: both, off: [...tso, ...rxcsum] }],
  ['VALE, header and no capabilities', { path: 'vale', header: both, off: [...txcsum, ...rxcsum] }],
  ['VALE, IPv4 only', { path: 'vale', header: both, off: ['tso6', 'rxcsum6'] }],
  ['VALE, no header', { path: 'vale', header: [false, false] }],
  ['VALE, header at one end', { path: 'vale', header: [true, false] }],
  ['VALE, header at the other end', { path: 'vale', header: [false, true] }],
  ['VALE, header at one end, no TX checksums', { path: 'vale', header: [true, false], off: txcsum }],
  ['VALE, header at the other end, no RX checksums', { path: 'vale', header: [false, true], off: rxcsum }],
  ['pipe, all capabilities', { path: 'pipe', header: both }],
  ['pipe, no TSO', { path: 'pipe', header: both, off: tso }],
  ['pipe, no TX checksums, no LRO', { path: 'pipe', header: both, off: [...txcsum, 'lro'] }],
  ['pipe, no RX checksums', { path: 'pipe', header: both, off: rxcsum }],
  ['pipe, no header', { path: 'pipe', header: [false, false] }],
];

for (const [name, options] of combinations) {
  test(`ping, fragments and HTTP between two namespaces: ${name}`, { skip }, () =>
    inLab(options, async (lab) => {
      await pings(lab, address4(1));
      await pings(lab, '-s', '4000', address4(1));
      await pings(lab, address6(1));
      await download(lab);
    }),
  );

  test(`iperf3 between two namespaces: ${name}`, { skip: skipIperf }, (t) =>
    inLab(options, async (lab) => {
      await pings(lab, address4(1));
      await iperfs(lab, t);
    }),
  );
}

for (const path of ['vale', 'pipe'] as const) {
  test(`an interface goes down and up in the middle of a transfer (${path})`, { skip }, () =>
    inLab({ path, header: both }, async (lab) => {
      await download(lab, LONG_BYTES, async () => {
        for (const [end, netif] of lab.interfaces.entries()) {
          await afterBytes(lab, (end + 1) * 0.2 * LONG_BYTES, LONG_BYTES);
          netif.down();
          await sleep(100);
          netif.up();
        }
      });
    }),
  );

  test(`a netmap application takes an interface over in the middle of a transfer (${path})`, { skip }, () =>
    inLab({ path, header: both }, async (lab) => {
      await download(lab, LONG_BYTES, async () => {
        for (const [end, netif] of lab.interfaces.entries()) {
          await afterBytes(lab, (end + 1) * 0.2 * LONG_BYTES, LONG_BYTES);
          const port = netif.driver.open({ flags: abi.NR_ACCEPT_VNET_HDR });
          assert.equal(netif.isRunning, false);
          await sleep(100);
          port.recv();
          await port.close();
          assert.equal(netif.isRunning, true);
        }
      });
    }),
  );
}

test('capabilities go off and on in the middle of a transfer', { skip }, () =>
  inLab({ path: 'vale', header: both }, async (lab) => {
    await download(lab, LONG_BYTES, async () => {
      for (const [step, off] of [tso, ['lro'] as const, txcsum, rxcsum].entries()) {
        await afterBytes(lab, (step + 1) * 0.15 * LONG_BYTES, LONG_BYTES);
        for (const on of [false, true]) {
          const changes = Object.fromEntries(off.map((capability) => [capability, on]));
          const rest = on ? { tso4: true, tso6: true, lro: true } : {};
          for (const netif of lab.interfaces) netif.setCapabilities({ ...changes, ...rest });
          if (!on) await sleep(50);
        }
      }
    });
  }),
);

test('the MTU changes to 9000 and back in the middle of a transfer', { skip }, () =>
  inLab({ path: 'vale', header: both, off: [...txcsum, 'lro'] }, async (lab) => {
    const setMtu = (mtu: number): void => {
      for (const end of [0, 1]) {
        lab.interfaces[end].mtu = mtu;
        lab.ip(end, 'link', 'set', 'eth0', 'mtu', String(mtu));
      }
    };
    await download(lab, HTTP_BYTES, async () => {
      await afterBytes(lab, 0.2 * HTTP_BYTES, HTTP_BYTES);
      setMtu(9000);
    });
    await pings(lab, '-M', 'do', '-s', '8900', address4(1));
    setMtu(1500);
    await download(lab);
  }),
);

test('a TAP device that somebody deletes has ended; what is written to it is counted', { skip }, async () => {
  const tap = await openTap({ name: `pt${process.pid}x` });
  const frame = new Uint8Array(12 + 60);
  tap.write(frame);
  assert.deepEqual(tap.counters().drops, { 5: 1 }, 'it is down: EIO');
  await assert.rejects(openTap({ name: tap.name }), { code: 'EBUSY', op: 'TUNSETIFF' });
  const { code, report } = await run(ipProgram.path, ['link', 'del', tap.name], { limit: LIMIT });
  assert.equal(code, 0, report);
  for (let i = 0; i < 1000 && !tap.ended; i++) await sleep(1);
  assert.ok(tap.ended);
  tap.write(frame);
  assert.equal(tap.counters().writtenPackets, 0);
  await tap.close();
});
