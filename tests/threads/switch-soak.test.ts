// A switch for as long as PTNET_SOAK says (seconds): ports that come and go, one that fails, captures that are toggled,
// frames that are none. Memory stays flat, and at the end every packet is accounted for.
import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { SwitchPortSnapshot, SwitchSnapshot } from '../../src/cli/switch/snapshot.js';
import { Switch } from '../../src/cli/switch/switch.js';
import { Netmap } from '../../src/index.js';
import { CaptureReader } from '../../src/io/pcap-reader.js';

const SECONDS = Number(process.env.PTNET_SOAK ?? 8);
const TICK_MS = 10;
/** Frames that each peer sends in a tick. */
const BURST = 10;
const MIB = 1 << 20;
const folder = mkdtempSync(join(tmpdir(), 'ptnet-soak-'));
after(() => rmSync(folder, { recursive: true }));

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** What is at the other end of a port: it sends to its neighbours, and counts what it gets. */
class Peer {
  readonly socket: Socket = createSocket('udp4');
  readonly number: number;
  #local = 0;
  sent = 0;
  received = 0;

  constructor(number: number) {
    this.number = number;
    this.socket.on('message', () => this.received++);
  }

  async spec(): Promise<string> {
    this.socket.bind(0, '127.0.0.1');
    const other = createSocket('udp4').bind(0, '127.0.0.1');
    await Promise.all([once(this.socket, 'listening'), once(other, 'listening')]);
    this.#local = (other.address() as AddressInfo).port;
    other.close();
    await once(other, 'close');
    return `qemu:dgram:${this.#local}:${this.socket.address().port}`;
  }

  /** @param to number of another peer, 0xff = everybody */
  send(to: number, length: number): void {
    const frame = new Uint8Array(length).fill(to === 0xff ? 0xff : 0x02, 0, 6);
    if (to !== 0xff && length >= 14) frame[5] = to;
    if (length >= 12) frame.set([2, 2, 2, 2, 2, this.number], 6);
    this.socket.send(frame, this.#local, '127.0.0.1');
    this.sent++;
  }
}

const total = (drops: Readonly<Record<string, number>>): number => Object.values(drops).reduce((sum, n) => sum + n, 0);

/** @param refused reasons for which a packet does not come to the switch */
function checkPort(port: SwitchPortSnapshot, refused: readonly string[]): void {
  const { received, sent } = port;
  const text = JSON.stringify(port);
  const before = refused.reduce((sum, reason) => sum + (received.drops[reason] ?? 0), 0);
  assert.equal(received.packets, received.accepted + before, text);
  assert.equal(sent.waiting, 0, text);
  assert.equal(sent.packets, sent.transmitted + total(sent.drops), text);
}

/** What was delivered to the ports is what was forwarded from them; nothing that was accepted is unaccounted for. */
function checkTotals({ removed, ports }: SwitchSnapshot): void {
  assert.deepEqual(ports, []);
  let [forwarded, delivered] = [0, 0];
  for (const port of removed) {
    checkPort(port, ['runt', 'oversized']);
    forwarded += port.received.forwarded;
    delivered += port.sent.packets;
    const { accepted, drops } = port.received;
    const beyond = total(drops) - (drops.runt ?? 0) - (drops.oversized ?? 0);
    assert.ok(port.received.forwarded + beyond >= accepted, JSON.stringify(port)); // floods count once a destination
  }
  assert.equal(forwarded, delivered);
  assert.ok(forwarded > 0);
}

function framesOf(file: string): number {
  const reader = new CaptureReader();
  reader.push(readFileSync(file));
  let frames = 0;
  while (reader.next()) frames++;
  reader.end();
  return frames;
}

test(`a switch for ${SECONDS} s`, { timeout: 1e3 * (SECONDS + 60) }, async (t) => {
  const netmap = await Netmap.create({ memorySize: 2048 * MIB });
  const network = new Switch(netmap, 'vale0');
  const peers = [1, 2, 3, 4].map((number) => new Peer(number));
  const guest = new Peer(5);
  const holder = createSocket('udp4').bind(0, '127.0.0.1');
  await once(holder, 'listening');
  const memory: { heap: number; rss: number }[] = [];
  try {
    for (const peer of peers) await network.add(await peer.spec());
    const guestSpec = await guest.spec();
    const failing = await network.add(`qemu:dgram:${holder.address().port}:9`);
    await network.add(`pcapng:${join(folder, 'all.pcapng')},snaplen=64`);
    let guestPort: string | undefined;
    const toggled = join(folder, 'toggled.pcapng');
    let capture: string | undefined;
    let captures = 0;
    const end = performance.now() + 1e3 * SECONDS;
    let nextSample = performance.now();
    let nextChange = nextSample + 500;
    while (performance.now() < end) {
      for (const peer of [...peers, ...(guestPort ? [guest] : [])]) {
        for (let k = 0; k < BURST; k++) peer.send(1 + (peer.number % 4), 60 + 100 * k);
        peer.send(0xff, 60);
        peer.send(0xff, 5);
      }
      await sleep(TICK_MS);
      if (performance.now() >= nextChange) {
        nextChange += 700;
        if (guestPort === undefined) guestPort = await network.add(guestSpec);
        else await network.remove(guestPort).then(() => (guestPort = undefined));
        if (capture === undefined) capture = await network.add(`pcapng:${toggled},direction=both`);
        else {
          await network.remove(capture);
          assert.ok(framesOf(toggled) > 0);
          capture = undefined;
          captures++;
        }
      }
      if (performance.now() >= nextSample) {
        nextSample += (1e3 * SECONDS) / 16;
        collect();
        const { heapUsed: heap, rss } = process.memoryUsage();
        memory.push({ heap, rss });
      }
    }
    await sleep(200);
    const now = await network.snapshot();
    const failed = now.ports.find(({ name }) => name === failing);
    assert.equal(failed?.state, 'retrying');
    assert.ok((failed?.restarts ?? 0) >= 2 && (failed?.sent.drops.down ?? 0) > 0, JSON.stringify(failed));
    const totals = await network.close();
    checkTotals(totals);
    const all = totals.captures.find(({ name }) => name.endsWith('all.pcapng'));
    const accepted = totals.removed.reduce((sum, port) => sum + port.received.accepted, 0);
    assert.equal((all?.packets ?? 0) + total(all?.drops ?? {}), accepted);
    assert.equal(framesOf(join(folder, 'all.pcapng')), all?.packets);
    assert.ok(captures >= 1);
    for (const peer of peers) assert.ok(peer.received > 0);
    // The first third is for what is made once: compiled code, pages of memory that are touched the first time.
    const settled = memory.slice(Math.ceil(memory.length / 3));
    const [first, last] = [settled[0], settled[settled.length - 1]];
    t.diagnostic(
      `${accepted} frames; heap ${first.heap / MIB} to ${last.heap / MIB} MiB, RSS ${first.rss / MIB} to ${last.rss / MIB} MiB`,
    );
    assert.ok(last.heap - first.heap < 8 * MIB, 'the heap grows');
    assert.ok(last.rss - first.rss < 128 * MIB, 'the memory grows');
  } finally {
    await network.close();
    await netmap.close();
    for (const peer of [...peers, guest]) peer.socket.close();
    holder.close();
  }
});
