// v86's own relay client, unmodified: emulated machines of two emulators and a port of the switch are one network.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { abi, Netmap } from 'ptnet';
import { openBackend } from 'ptnet/backends';
import { WebSocket } from 'ws';
import { freePort } from '../support/free-port.js';

/** What the test uses of v86: the bus between the network card and the relay client, from the card's side. */
interface Emulator {
  add_listener(name: string, listener: () => void): void;
  readonly v86: {
    readonly bus: {
      send(name: string, data: Uint8Array): void;
      register(name: string, listener: (data: Uint8Array) => void, self: unknown): void;
    };
  };
  destroy(): Promise<void>;
}

const LIMIT = 20_000;

/** A frame from station `from` to station `to`, 0 = all. */
function frame(from: number, to: number): Uint8Array {
  const bytes = new Uint8Array(60).fill(to === 0 ? 0xff : 0, 0, 6);
  if (to !== 0) bytes.set([2, 0, 0, 0, 0, to]);
  bytes.set([2, 0, 0, 0, 0, from, 0x88, 0xb5], 6);
  return bytes;
}

test("v86's relay client finds the other machines", { timeout: 60_000 }, async (t) => {
  const entry = createRequire(import.meta.url).resolve('v86');
  const { V86 } = (await import('v86')) as unknown as { V86: new (options: object) => Emulator };
  // Browsers have it, and Node from version 22 on.
  Object.assign(globalThis, { WebSocket: globalThis.WebSocket ?? WebSocket });
  const number = await freePort();
  const netmap = await Netmap.create();
  t.after(() => netmap.close());
  const backend = await openBackend(netmap, `ws:listen:${number},name=web0`);
  t.after(() => backend.close());
  await netmap.valeAttach('vale0:web0');
  const port = await netmap.open('vale0:host');

  const emulators = [1, 2].map(async () => {
    const emulator = new V86({
      wasm_path: join(dirname(entry), 'v86.wasm'),
      network_relay_url: `ws://127.0.0.1:${number}/`,
      memory_size: 16 << 20,
      autostart: false,
      disable_speaker: true,
    });
    t.after(() => emulator.destroy());
    await new Promise<void>((resolve) => emulator.add_listener('emulator-ready', resolve));
    const frames: Uint8Array[] = [];
    const { bus } = emulator.v86;
    bus.register('net0-receive', (data) => frames.push(Uint8Array.from(data)), undefined);
    return { bus, frames };
  });
  const [a, b] = await Promise.all(emulators);
  const until = async (holds: () => boolean | Promise<boolean>): Promise<void> => {
    for (const deadline = Date.now() + LIMIT; !(await holds()); await sleep(20)) assert.ok(Date.now() < deadline);
  };
  // The client connects when its machine sends for the first time.
  await until(() => {
    for (const [i, { bus }] of [a, b].entries()) bus.send('net0-send', frame(i + 1, 0));
    return a.frames.length > 0 && b.frames.length > 0;
  });
  await sleep(200);
  a.frames.splice(0, a.frames.length, ...a.frames.filter(([to]) => to !== 0xff));
  assert.deepEqual(b.frames[0], frame(1, 0));
  assert.equal(await port.poll(abi.POLLIN, { timeout: LIMIT }), abi.POLLIN);
  const seen = port.recv().map((bytes) => bytes[11]);
  assert.deepEqual([...new Set(seen)].sort(), [1, 2]);
  b.bus.send('net0-send', frame(2, 1));
  await until(() => a.frames.length === 1);
  await port.send(frame(3, 1));
  await until(() => a.frames.length === 2);
  assert.deepEqual(a.frames, [frame(2, 1), frame(3, 1)]);
  const { relayed, refused, rxDrops, txDrops } = await backend.counters();
  assert.ok(relayed >= 2);
  assert.deepEqual([refused, rxDrops, txDrops], [0, {}, {}]);
});
