// A switch for as long as PTNET_SOAK says (seconds): ports that come and go, one that fails, captures that are toggled,
// frames that are none. Memory stays flat, and at the end every packet is accounted for.
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { SwitchPortSnapshot, SwitchSnapshot } from '../../src/cli/switch/snapshot.js';
import { Switch } from '../../src/cli/switch/switch.js';
import { Netmap } from '../../src/index.js';
import { CaptureReader } from '../../src/io/pcap-reader.js';
import { DatagramPeer, frameOf, type Peer, StreamPeer } from './soak-peers.js';
import { Taps, whyNoTaps } from './soak-taps.js';

const SECONDS = Number(process.env.PTNET_SOAK ?? 8);
const TICK_MS = 10;
/** Frames that each peer sends in a tick. */
const BURST = 10;
/** Time (ms) between two changes: guests that come or go, a capture that begins or ends. */
const CHANGE_MS = 700;
const MIB = 1 << 20;
const folder = mkdtempSync(join(tmpdir(), 'ptnet-soak-'));
after(() => rmSync(folder, { recursive: true }));

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

const total = (drops: Readonly<Record<string, number>>): number => Object.values(drops).reduce((sum, n) => sum + n, 0);

/** Everything that came in or was to go out is accounted for. @param refused reasons for which a packet does not come to the switch */
function checkPort(port: SwitchPortSnapshot, refused: readonly string[]): void {
  const { received, sent } = port;
  const text = JSON.stringify(port);
  const before = refused.reduce((sum, reason) => sum + (received.drops[reason] ?? 0), 0);
  assert.equal(received.packets, received.accepted + before, text);
  assert.equal(sent.waiting, 0, text);
  assert.equal(sent.packets + sent.copies, sent.transmitted + total(sent.drops), text);
  const { accepted, flooded, floodCopies, forwarded, drops } = received;
  assert.equal(accepted - flooded + floodCopies, forwarded + total(drops) - before, text);
}

/** Each port adds up, and what was delivered to the ports is what was forwarded from them. */
function checkTotals({ removed, ports }: SwitchSnapshot): void {
  assert.deepEqual(ports, []);
  let [forwarded, delivered] = [0, 0];
  for (const port of removed) {
    checkPort(port, ['runt', 'oversized', 'framing']);
    forwarded += port.received.forwarded;
    delivered += port.sent.packets;
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

/** Most that the memory may grow by (bytes) while the switch does the same again and again. */
const HEAP_GROWTH = 2 * MIB;
/**
 * The workers of the runtime take a while to settle: 9 to 16 MiB were seen within two minutes. What stayed of each change,
 * some 28 of them between the samples that are compared, would be several MiB a worker. A run of seconds ends before that:
 * in Deno the growth within 5 s was more than 64 MiB, once.
 */
const RSS_GROWTH = 40 * MIB;
const RSS_SECONDS = 60;

class Memory {
  readonly #heap: number[] = [];
  readonly #rss: number[] = [];

  sample(): void {
    collect();
    const { heapUsed, rss } = process.memoryUsage();
    this.#heap.push(heapUsed);
    this.#rss.push(rss);
  }

  /** The first third is for what is made once: compiled code, pages of memory that are touched the first time. */
  check(t: TestContext): void {
    const median = (list: readonly number[]): number => [...list].sort((a, b) => a - b)[list.length >> 1];
    const ends = (list: readonly number[]): [number, number] => {
      const third = Math.floor(list.length / 3);
      return [median(list.slice(third, 2 * third)), median(list.slice(-third))];
    };
    const [heap, heapEnd] = ends(this.#heap);
    const [rss, rssEnd] = ends(this.#rss);
    const mib = (bytes: number): string => (bytes / MIB).toFixed(1);
    t.diagnostic(`heap ${mib(heap)} to ${mib(heapEnd)} MiB, RSS ${mib(rss)} to ${mib(rssEnd)} MiB`);
    assert.ok(heapEnd - heap < HEAP_GROWTH, 'the heap grows');
    if (SECONDS >= RSS_SECONDS) assert.ok(rssEnd - rss < RSS_GROWTH, 'the memory grows');
  }
}

/** A port whose guest comes and goes: with it, or before it. */
class Visitor {
  readonly #network: Switch;
  readonly #peer: Peer;
  #port: string | undefined;
  visits = 0;

  constructor(network: Switch, peer: Peer) {
    this.#network = network;
    this.#peer = peer;
  }

  get isThere(): boolean {
    return this.#port !== undefined;
  }

  async change(spec: string): Promise<void> {
    if (this.#port === undefined) {
      this.#port = await this.#network.add(spec);
      await this.#peer.come();
      return;
    }
    if (this.visits++ % 2 === 0) this.#peer.go();
    await this.#network.remove(this.#port);
    this.#peer.go();
    this.#port = undefined;
  }
}

test(`a switch for ${SECONDS} s`, { timeout: 1e3 * (SECONDS + 60) }, async (t) => {
  const netmap = await Netmap.create({ memorySize: 2048 * MIB });
  const network = new Switch(netmap, 'vale0');
  const path = (number: number): string => join(folder, `${number}.sock`);
  const residents: Peer[] = [
    ...[1, 2, 3].map((number) => new DatagramPeer(number)),
    ...[4, 5].map((number) => new StreamPeer(number, path(number))),
  ];
  const guests: Peer[] = [new DatagramPeer(6), new StreamPeer(7, path(7))];
  const visitors = guests.map((guest) => new Visitor(network, guest));
  const holder = createSocket('udp4').bind(0, '127.0.0.1');
  await once(holder, 'listening');
  const noTaps = whyNoTaps();
  const taps = noTaps ? undefined : new Taps();
  const memory = new Memory();
  try {
    for (const peer of residents) await network.add(await peer.spec()).then(() => peer.come());
    const specs: string[] = [];
    for (const guest of guests) specs.push(await guest.spec());
    const failing = await network.add(`qemu:dgram:${holder.address().port}:9`);
    await network.add(`pcapng:${join(folder, 'all.pcapng')},snaplen=64`);
    for (const spec of taps?.specs ?? []) await network.add(spec);
    await taps?.start(SECONDS - 2);
    const toggled = join(folder, 'toggled.pcapng');
    let capture: string | undefined;
    let captures = 0;
    const end = performance.now() + 1e3 * SECONDS;
    let nextChange = performance.now() + 500;
    while (performance.now() < end) {
      for (const peer of [...residents, ...guests.filter((_, i) => visitors[i].isThere)]) {
        for (let k = 0; k < BURST; k++)
          peer.send(frameOf(peer.number, 1 + (peer.number % residents.length), 60 + 100 * k));
        peer.send(frameOf(peer.number, 0xff, 60));
        peer.send(frameOf(peer.number, 0xff, 5));
      }
      await sleep(TICK_MS);
      if (performance.now() >= nextChange) {
        nextChange += CHANGE_MS;
        for (const [i, visitor] of visitors.entries()) await visitor.change(specs[i]);
        if (capture === undefined) capture = await network.add(`pcapng:${toggled},direction=both,snaplen=128`);
        else {
          await network.remove(capture);
          assert.ok(framesOf(toggled) > 0);
          capture = undefined;
          captures++;
          memory.sample(); // the guests are gone, too
        }
      }
    }
    await t.test('iperf3 between two namespaces through the same switch', { skip: noTaps }, async (st) => {
      const bytes = (await taps?.end()) ?? 0;
      st.diagnostic(`${bytes} bytes`);
      assert.ok(bytes > MIB);
    });
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
    for (const { visits } of visitors) assert.ok(visits >= 1);
    for (const peer of [...residents, ...guests]) assert.ok(peer.received > 0, `peer ${peer.number}`);
    t.diagnostic(`${accepted} frames, ${captures} captures, ${visitors[0].visits} visits`);
    memory.check(t);
  } finally {
    await network.close();
    await netmap.close();
    taps?.close();
    for (const peer of [...residents, ...guests]) peer.close();
    holder.close();
  }
});
