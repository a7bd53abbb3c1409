// Backends and the Linux kernel, in namespaces of their own: machines joined by VXLAN, one of them plain Linux; and a guest
// whose outside is passt.
import assert from 'node:assert/strict';
import { type ChildProcessByStdio, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { iperf3, ipProgram, ping, whyNoNamespaces } from './netns.js';
import { Guest, guestImage, type Image } from './qemu-guest.js';
import { findProgram, fixtures, type RunResult, run } from './support.js';

const bridge = findProgram('PTNET_BRIDGE', 'bridge');
const ethtool = findProgram('PTNET_ETHTOOL', 'ethtool');
const passt = findProgram('PTNET_PASST', 'passt');
const noSpaces = whyNoNamespaces();
const VNI = 42;
const OUTER = (i: number): string => `10.66.0.${i + 1}`;
const INNER = (i: number): string => `10.88.0.${i + 1}`;

function call(path: string, ...args: readonly string[]): void {
  execFileSync(path, args, { stdio: ['ignore', 'pipe', 'pipe'] });
}

/** New namespaces, removed after the test. */
function spaces(t: TestContext, ...names: readonly string[]): string[] {
  return names.map((name) => {
    const space = `ptnet-${process.pid}-${name}`;
    call(ipProgram.path, 'netns', 'add', space);
    t.after(() => call(ipProgram.path, 'netns', 'del', space));
    call(ipProgram.path, '-n', space, 'link', 'set', 'lo', 'up');
    return space;
  });
}

const inSpace = (space: string, limit: number, ...command: readonly string[]): Promise<RunResult> =>
  run(ipProgram.path, ['netns', 'exec', space, ...command], { limit });

/** A program in a namespace that is ready when it has printed a line. */
class Machine {
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  output = '';
  errors = '';

  constructor(t: TestContext, space: string, program: string, ...args: readonly string[]) {
    this.#child = spawn(ipProgram.path, ['netns', 'exec', space, process.execPath, join(fixtures, program), ...args], {
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    this.#child.stdout.setEncoding('utf8').on('data', (text: string) => (this.output += text));
    this.#child.stderr.setEncoding('utf8').on('data', (text: string) => (this.errors += text));
    t.after(() => this.#child.kill('SIGKILL'));
  }

  async line(): Promise<string> {
    for (const deadline = Date.now() + 15_000; !this.output.includes('\n'); await sleep(20)) {
      assert.ok(Date.now() < deadline && this.#child.exitCode === null, `${this.output}\n${this.errors}`);
    }
    return this.output.slice(0, this.output.indexOf('\n'));
  }

  /** Writes a line to the program, and waits until it has said something about it. */
  async tell(line: string, answer: RegExp): Promise<void> {
    this.errors = '';
    this.#child.stdin.write(`${line}\n`);
    for (const deadline = Date.now() + 15_000; !answer.test(this.errors); await sleep(20)) {
      assert.ok(Date.now() < deadline, this.errors);
    }
  }

  /** Ends the program. @returns what it has printed after its first line */
  async end(): Promise<string> {
    const ended = once(this.#child, 'close');
    this.#child.stdin.end();
    const [code] = await ended;
    assert.equal(code, 0, this.errors);
    return this.output.slice(this.output.indexOf('\n') + 1);
  }
}

test('three machines are one network by VXLAN, the third one with the kernel alone', {
  skip: noSpaces || bridge.skip || ethtool.skip,
  timeout: 120_000,
}, async (t) => {
  const [hub, ...machines] = spaces(t, 'hub', 'a', 'b', 'c');
  call(ipProgram.path, '-n', hub, 'link', 'add', 'br0', 'type', 'bridge');
  call(ipProgram.path, '-n', hub, 'link', 'set', 'br0', 'up');
  for (const [i, space] of machines.entries()) {
    call(ipProgram.path, '-n', hub, 'link', 'add', `v${i}`, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', space);
    call(ipProgram.path, '-n', hub, 'link', 'set', `v${i}`, 'up', 'master', 'br0');
    call(ipProgram.path, '-n', space, 'addr', 'add', `${OUTER(i)}/24`, 'dev', 'eth0');
    call(ipProgram.path, '-n', space, 'link', 'set', 'eth0', 'up');
  }
  const others = (i: number): string[] => machines.flatMap((_, j) => (j === i ? [] : [OUTER(j)]));
  const ours = [0, 1].map((i) => {
    const spec = `vxlan:${VNI},local=${OUTER(i)},remote=${others(i).join('+')}`;
    return new Machine(t, machines[i], 'vxlan-machine.mjs', 'inner0', spec);
  });
  for (const machine of ours) assert.equal(await machine.line(), 'ready');
  const plain = machines[2];
  // A veth leaves checksums undone, of inner packets too, which nobody but a kernel's own tunnel would notice.
  assert.equal((await inSpace(plain, 10, ethtool.path, '-K', 'eth0', 'tx', 'off')).code, 0);
  const vxlan = ['type', 'vxlan', 'id', String(VNI), 'dstport', '4789', 'local', OUTER(2)];
  call(ipProgram.path, '-n', plain, 'link', 'add', 'inner0', ...vxlan);
  for (const other of others(2)) {
    call(bridge.path, '-n', plain, 'fdb', 'append', '00:00:00:00:00:00', 'dev', 'inner0', 'dst', other);
  }
  for (const [i, space] of machines.entries()) {
    call(ipProgram.path, '-n', space, 'addr', 'add', `${INNER(i)}/24`, 'dev', 'inner0');
    call(ipProgram.path, '-n', space, 'link', 'set', 'inner0', 'mtu', '1450', 'up');
  }
  for (const [from, to] of [
    [0, 1],
    [0, 2],
    [1, 2],
    [2, 0],
  ]) {
    // The largest packet that the inner network has, which must not be cut by the outer one.
    const options = ['-c', '3', '-i', '0.2', '-W', '5', '-M', 'do', '-s', '1422', INNER(to)];
    const result = await inSpace(machines[from], 20, ping.path, ...options);
    assert.match(result.stdout, / 3 received/, result.report);
  }
  if (iperf3.skip) t.diagnostic(`no throughput: ${iperf3.skip}`);
  for (const [from, to] of iperf3.skip
    ? []
    : [
        [0, 2],
        [2, 0],
      ]) {
    const server = inSpace(machines[to], 20, iperf3.path, '-s', '-1');
    await sleep(500);
    const client = await inSpace(machines[from], 20, iperf3.path, '-c', INNER(to), '-t', '1', '-J');
    assert.equal(client.code, 0, client.report);
    await server;
    const { end } = JSON.parse(client.stdout) as { end: { sum_received?: { bits_per_second: number } } };
    assert.ok(end.sum_received, client.report);
    t.diagnostic(`TCP ${from} to ${to}: ${(end.sum_received.bits_per_second / 1e6).toFixed(0)} Mbit/s`);
  }
  for (const machine of ours) {
    const { counters } = JSON.parse(await machine.end()) as { counters: { rxDrops: object; txDrops: object } };
    t.diagnostic(JSON.stringify(counters));
    for (const reason of Object.keys({ ...counters.rxDrops, ...counters.txDrops })) {
      assert.match(reason, /^no(Room|Space)$/, 'only what finds no room is lost');
    }
  }
});

const image = passt.skip ? passt.skip : guestImage();

test('a guest behind passt gets an address, a name, and a file of this machine', {
  skip: noSpaces || (typeof image === 'string' ? image : false),
  timeout: 120_000,
}, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'ptnet-passt-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const [space, gateway] = spaces(t, 'host', 'gateway');
  call(ipProgram.path, '-n', space, 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', gateway);
  for (const [name, address] of [
    [space, '10.66.1.2/24'],
    [gateway, '10.66.1.1/24'],
  ]) {
    call(ipProgram.path, '-n', name, 'addr', 'add', address, 'dev', 'eth0');
    call(ipProgram.path, '-n', name, 'link', 'set', 'eth0', 'up');
  }
  call(ipProgram.path, '-n', space, 'route', 'add', 'default', 'via', '10.66.1.1');
  // ip-netns(8) shows programs in the namespace this file as /etc/resolv.conf.
  const etc = `/etc/netns/${space}`;
  mkdirSync(etc, { recursive: true });
  t.after(() => rmSync(etc, { recursive: true }));
  writeFileSync(join(etc, 'resolv.conf'), 'nameserver 127.0.0.1\n');

  const path = join(folder, 'guest.sock');
  const machine = new Machine(t, space, 'passt-machine.mjs', path);
  const hash = await machine.line();
  const guest = new Guest(image as Image, 1, [`stream,id=n0,server=off,addr.type=unix,addr.path=${path}`]);
  t.after(() => guest.kill());
  await guest.ready();
  const lease = await guest.run('ip link set eth0 up; udhcpc -q -n -t 20 -T 1 -i eth0 -s /etc/lease');
  assert.match(lease, /lease of 10\.66\.1\.2 obtained/);
  assert.match(await guest.run('nslookup some.name | grep -A1 some.name'), /10\.9\.8\.7/);
  const started = Date.now();
  const got = await guest.run('wget -q -O - http://10.66.1.1:8080/file | sha256sum', 60);
  assert.equal(got.trim().split(' ')[0], hash, machine.errors);
  t.diagnostic(`4 MiB in ${Date.now() - started} ms`);
  await machine.tell('kill', /passt:: retrying [\s\S]*passt:: up/);
  assert.equal(await guest.run('wget -q -O - http://10.66.1.1:8080/file | sha256sum', 60), got);
  await guest.kill();
  await machine.end();
});
