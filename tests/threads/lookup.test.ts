// Lookups of the user's in several threads, and those that misbehave: who else is on the bridge does not notice.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { Netmap, type NetmapHandle, PtnetDriver } from '../../src/index.js';
import { Peer, until, within } from './support.js';

/** Counts its calls. By the last byte of the destination: 66 never returns, 67 takes 20 ms, 68 throws; else the port of it. */
const MODULE = `export default ({ u8, data }) => {
  const calls = new Int32Array(data);
  return (address) => {
    Atomics.add(calls, 0, 1);
    const byte = u8[address + 5];
    while (byte === 66);
    for (const end = performance.now() + 20; byte === 67 && performance.now() < end; );
    if (byte === 68) throw new Error('unlucky');
    return byte < 60 ? byte : 0;
  };
};`;
const PATIENCE = 20_000;
const calls = new Int32Array(new SharedArrayBuffer(4));
const frame = (to: number, from: number): Uint8Array => Uint8Array.of(2, 0, 0, 0, 0, to, 2, 0, 0, 0, 0, from, 8, 0);

let netmap: Netmap;
const peers: Peer[] = [];
const handles = new Map<Peer, NetmapHandle>();

/** A worker with a port; its index on the bridge is its number, in the order of opening. */
async function peer(spec: string): Promise<Peer> {
  const handle = netmap.handle();
  const made = new Peer(new URL('./lookup-worker.js', import.meta.url), { handle, spec });
  peers.push(made);
  handles.set(made, handle);
  await made.call('open');
  return made;
}

async function end(one: Peer): Promise<void> {
  await one.end();
  netmap.release(handles.get(one) as NetmapHandle);
}

beforeEach(async () => {
  calls.fill(0);
  const module = `data:text/javascript,${encodeURIComponent(MODULE)}`;
  netmap = await Netmap.create({ threads: 1, lookups: { test: { module, data: calls.buffer } } });
  await netmap.valeLookup('vale0', 'test');
});
afterEach(async () => {
  for (const one of peers.splice(0)) await end(one);
  await netmap.close();
});

test('several workers ask at the same time; each frame is asked about once, and goes where the answer says', async () => {
  const all = [await peer('vale0:a'), await peer('vale0:b'), await peer('vale0:c')];
  const count = 900;
  await Promise.all(all.map((one, i) => one.call('send', { to: (i + 1) % 3, from: i, count })));
  const received = await Promise.all(all.map((one) => one.call('received')));
  assert.deepEqual(received, [{ 2: count }, { 0: count }, { 1: count }]);
  assert.equal(calls[0], 3 * count);
});

test('a lookup that throws for one thread is that thread’s drops alone', async () => {
  const [a, b, c] = [await peer('vale0:a'), await peer('vale0:b'), await peer('vale0:c')];
  await Promise.all([a.call('send', { to: 68, from: 0, count: 500 }), b.call('send', { to: 2, from: 1, count: 500 })]);
  assert.deepEqual(await c.call('received'), { 1: 500 });
  assert.equal((await a.call<Record<string, number>>('drops')).lookup, 500);
  assert.equal((await b.call<Record<string, number>>('drops')).lookup, 0);
});

test('a slow lookup loses the rest of its batch, and its thread goes on', async () => {
  const [a] = [await peer('vale0:a'), await peer('vale0:b')];
  const started = performance.now();
  await a.call('send', { to: 67, from: 0, count: 200, batch: 200 });
  assert.ok(performance.now() - started < 3000, 'all 200 would take 4 s');
  const drops = await a.call<Record<string, number>>('drops');
  assert.equal(drops.lookup + drops.self, 200);
  assert.ok(drops.lookup >= 100 && drops.self > 0, JSON.stringify(drops));
});

test('a lookup that never returns holds its own thread; others send, and ports open and close', async () => {
  const stuck = await peer('vale0:a');
  const [b, c] = [await peer('vale0:b'), await peer('vale0:c')];
  const never = stuck.call('send', { to: 66, from: 0, count: 1 }).catch((error: Error) => error.message);
  await until(PATIENCE, 'the lookup that never returns', () => (calls[0] > 0 ? true : undefined));
  for (let round = 1; round <= 3; round++) {
    await b.call('send', { to: 2, from: 1, count: 100 });
    assert.deepEqual(await c.call('received'), { 1: 100 });
    const other = await within(2000, 'an open', netmap.open('vale0:d'));
    await within(2000, 'a close', other.close());
    await within(2000, 'a change', netmap.valeLookup('vale0', round % 2 === 0 ? 'test' : undefined));
    await within(2000, 'a change', netmap.valeLookup('vale0', 'test'));
  }
  await end(stuck);
  assert.match(String(await never), /has ended/);
  await until(PATIENCE, 'the port of the dead worker, closed', async () => {
    const { ports } = await netmap.valeInspect('vale0');
    return ports.some(({ name }) => name === 'vale0:a') ? undefined : true;
  });
});

test('a loop worker that does not come back from a lookup is replaced, and its guests are served again', async () => {
  const guests = await Promise.all([netmap.createGuest(), netmap.createGuest()]);
  await guests[0].passthrough('vale0:a', { loop: 'notify' });
  await guests[1].passthrough('vale0:b', { loop: 'notify' });
  const ports = [];
  for (const guest of guests) ports.push(PtnetDriver.probe(await guest.machine())[0].open());
  const [a, b] = ports;
  await a.send(frame(1, 0));
  await b.poll(1, { timeout: PATIENCE });
  assert.equal(b.recv().length, 1);
  await a.send(frame(66, 0));
  await until(PATIENCE, 'another loop worker', async () =>
    (await netmap.inspect()).lostWorkers === 1 ? true : undefined,
  );
  await b.send(frame(0, 1));
  await a.poll(1, { timeout: PATIENCE });
  assert.equal(a.recv().length, 1);
  await a.send(frame(1, 0));
  await b.poll(1, { timeout: PATIENCE });
  assert.equal(b.recv().length, 1);
});
