// The switch of docs/cli.md with two Debian guests under QEMU, as its user has them: they ping each other, one is killed
// and comes back, SIGTERM ends the switch, and its totals and its capture tell what has happened.
import assert from 'node:assert/strict';
import { type ChildProcessByStdio, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { readPcap } from 'ptnet';
import { Guest, guestImage, type Image } from './qemu-guest.js';
import { findProgram, project, root } from './support.js';

const image = guestImage();
const skip = typeof image === 'string' ? image : false;
const tshark = findProgram('PTNET_TSHARK', 'tshark');
const PINGS = 5;

interface Port {
  readonly name: string;
  readonly spec: string;
  readonly received: { packets: number; accepted: number; forwarded: number; drops: Record<string, number> };
  readonly sent: { packets: number; transmitted: number; waiting: number; drops: Record<string, number> };
}

interface Totals {
  readonly event: string;
  readonly removed: readonly Port[];
  readonly captures: readonly { packets: number; drops: Record<string, number> }[];
}

const sum = (drops: Record<string, number>): number => Object.values(drops).reduce((all, n) => all + n, 0);

/** The command, in an empty project. */
class Network {
  readonly #child: ChildProcessByStdio<null, Readable, Readable>;
  readonly #ended: Promise<unknown>;
  #output = '';
  #errors = '';

  constructor(t: TestContext, command: string) {
    // In a group of its own, which a signal is sent to as a terminal does it.
    this.#child = spawn('sh', ['-c', `exec ${command}`], {
      cwd: project(),
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child.stdout.setEncoding('utf8').on('data', (text: string) => (this.#output += text));
    this.#child.stderr.setEncoding('utf8').on('data', (text: string) => (this.#errors += text));
    this.#ended = once(this.#child, 'close');
    t.after(() => {
      try {
        process.kill(-(this.#child.pid as number), 'SIGKILL');
      } catch {
        // it has ended
      }
    });
  }

  async until(isThere: () => boolean): Promise<void> {
    for (const deadline = Date.now() + 30_000; !isThere(); await sleep(20)) {
      assert.ok(Date.now() < deadline && this.#child.exitCode === null, this.#output + this.#errors);
    }
  }

  async end(): Promise<Totals> {
    process.kill(-(this.#child.pid as number), 'SIGTERM');
    const isLate = await Promise.race([this.#ended.then(() => false), sleep(20_000, true, { ref: false })]);
    assert.ok(!isLate, this.#output + this.#errors);
    return JSON.parse(this.#output.trimEnd().split('\n').at(-1) ?? '') as Totals;
  }
}

test('two guests on the switch of docs/cli.md ping each other, also when one was killed; totals and capture', {
  skip,
  timeout: 240_000,
}, async (t) => {
  const page = readFileSync(join(root, 'docs/cli.md'), 'utf8');
  const [command] = /^npx ptnet switch .*qemu:unix:a\.sock.*$/m.exec(page) ?? [];
  const [, netdev] = /^qemu-system-x86_64 .*-netdev (\S*path=a\.sock)/m.exec(page) ?? [];
  assert.ok(command && netdev, 'docs/cli.md has the example');
  const folder = project();
  const network = new Network(t, command);
  await network.until(() => ['a.sock', 'b.sock', 'cap.pcapng'].every((name) => existsSync(join(folder, name))));

  const boot = async (number: number): Promise<Guest> => {
    const path = join(folder, `${'ab'[number - 1]}.sock`);
    const guest = new Guest(image as Image, number, [netdev.replace('id=net0', 'id=n0').replace('a.sock', path)]);
    t.after(() => guest.kill());
    await guest.ready();
    await guest.run(`ip addr add 10.5.0.${number}/24 dev eth0; ip link set eth0 up`);
    return guest;
  };
  const [a, b] = await Promise.all([boot(1), boot(2)]);
  const ping = (guest: Guest, to: number): Promise<string> =>
    guest.run(`ping -c ${PINGS} -i 0.2 -W 5 -s 100 10.5.0.${to}`, 60);
  const all = new RegExp(` ${PINGS} packets received`);
  assert.match(await ping(a, 2), all);
  assert.match(await ping(b, 1), all);

  a.start('ping -i 0.01 -s 1000 10.5.0.2');
  await sleep(500);
  await a.kill();
  const again = await boot(1);
  assert.match(await ping(again, 2), all);
  await again.kill();
  await b.kill();

  const { event, removed, captures } = await network.end();
  assert.equal(event, 'end');
  assert.deepEqual(
    removed.map(({ spec }) => spec),
    ['qemu:unix:a.sock', 'qemu:unix:b.sock'],
  );
  let [accepted, forwarded, delivered] = [0, 0, 0];
  for (const port of removed) {
    const { received, sent } = port;
    const text = JSON.stringify(port);
    assert.ok(received.accepted > PINGS && sent.transmitted > PINGS, text);
    assert.equal(received.packets, received.accepted, text); // guests send no bad frames
    assert.equal(received.accepted, received.forwarded + sum(received.drops), text); // there is one other port
    assert.equal(sent.packets, sent.transmitted + sum(sent.drops), text);
    assert.deepEqual([sent.waiting, Object.keys(sent.drops).filter((why) => why !== 'down')], [0, []], text);
    accepted += received.accepted;
    forwarded += received.forwarded;
    delivered += sent.packets;
  }
  assert.equal(forwarded, delivered);
  const frames = readPcap(readFileSync(join(folder, 'cap.pcapng'))).frames.length;
  assert.deepEqual(
    captures.map(({ packets, drops }) => [packets, drops]),
    [[accepted, {}]],
  );
  assert.equal(frames, accepted);

  if (tshark.skip) return t.diagnostic(`the capture is not read: ${tshark.skip}`);
  const fields = ['frame.interface_name', 'ip.src', 'icmp.type'].flatMap((field) => ['-e', field]);
  const args = ['-r', join(folder, 'cap.pcapng'), '-Y', 'icmp && frame.len == 142', '-T', 'fields', ...fields];
  const kinds: Record<string, number> = {};
  for (const line of execFileSync(tshark.path, args, { encoding: 'utf8' }).trimEnd().split('\n')) {
    kinds[line] = (kinds[line] ?? 0) + 1;
  }
  const [port1, port2] = removed.map(({ name }) => name);
  // Two runs of pings from a, one from b: the echo requests (8), and the replies (0) from the other port.
  assert.deepEqual(kinds, {
    [`${port1}\t10.5.0.1\t8`]: 2 * PINGS,
    [`${port2}\t10.5.0.2\t0`]: 2 * PINGS,
    [`${port2}\t10.5.0.2\t8`]: PINGS,
    [`${port1}\t10.5.0.1\t0`]: PINGS,
  });
});
