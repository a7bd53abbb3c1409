// Two hosts with a memory each, and a cable between a port of one and a port of the other.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  abi,
  type Cable,
  type CableOptions,
  type HostPort,
  joinPorts,
  joinPortsSync,
  Netmap,
  type NetmapPort,
  PtnetDriver,
} from '../../src/index.js';

const { NS_MOREFRAG, POLLIN } = abi;
const SIZE = 1 << 26;

let hosts: Netmap[];
let cables: Cable[];

beforeEach(() => {
  hosts = [];
  cables = [];
});

afterEach(async () => {
  for (const cable of cables) await cable.close();
  for (const host of hosts) await host.close();
});

async function makeHost(shared = true, bufSize = 2112): Promise<Netmap> {
  const host = await Netmap.create({ memorySize: SIZE, shared, privatePools: { priv_buf_size: bufSize } });
  hosts.push(host);
  return host;
}

function join(a: NetmapPort, b: NetmapPort, options?: CableOptions): Cable {
  const cable = joinPorts(a, b, options);
  cables.push(cable);
  return cable;
}

const SLOTS = { txSlots: 64, rxSlots: 64 };

/** A pipe in each host; the cable joins the second ends. Gives the first ends, which are the users'. */
async function makePipes(shared: readonly boolean[] = [true, true], bufSizes: readonly number[] = [2112, 2112]) {
  const users: HostPort[] = [];
  const joined: HostPort[] = [];
  for (const [i, isShared] of shared.entries()) {
    const host = await makeHost(isShared, bufSizes[i]);
    users.push(await host.open('vale9:p{1', SLOTS));
    joined.push(await host.open('vale9:p}1', SLOTS));
  }
  const cable = join(joined[0], joined[1]);
  return { users, joined, cable };
}

/** A frame that tells its number and its length. */
function frame(length: number, number: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => number * 31 + i * 7 + (i >> 8));
}

/** The next `count` frames. */
async function receive(port: NetmapPort, count: number): Promise<Uint8Array[]> {
  const frames: Uint8Array[] = [];
  while (frames.length < count) {
    assert.notEqual(await port.poll(POLLIN, { timeout: 2000 }), 0, `${frames.length} of ${count} frames have come`);
    frames.push(...port.recv());
  }
  return frames;
}

const memories = [
  [true, true],
  [true, false],
  [false, true],
  [false, false],
] as const;

for (const shared of memories) {
  const names = shared.map((is) => (is ? 'shared' : 'unshared')).join(' and ');

  test(`frames of all lengths pass both ways as they are, ${names} memory`, async () => {
    const { users, cable } = await makePipes(shared);
    const lengths = [1, 2, 3, 4, 5, 59, 60, 61, 63, 64, 127, 128, 129, 255, 1499, 1500, 1501, 1514, 2111, 2112];
    const frames = lengths.map(frame);
    for (const [from, to] of [
      [0, 1],
      [1, 0],
    ]) {
      const received = receive(users[to], frames.length);
      for (const bytes of frames) await users[from].send(bytes);
      assert.deepEqual(await received, frames);
    }
    const { aToB, bToA } = cable.counters();
    const bytes = lengths.reduce((sum, n) => sum + n);
    assert.deepEqual([aToB.frames, aToB.bytes, bToA.frames, bToA.bytes], [20, bytes, 20, bytes]);
  });
}

test('a packet of several slots stays one, with its lengths', async () => {
  const { users } = await makePipes();
  const [tx] = users[0].txRings;
  const lens = [60, 2112, 1, 700];
  for (const [k, len] of lens.entries()) {
    tx.u8.fill(k + 1, tx.bufAddress(k), tx.bufAddress(k) + len);
    tx.setSlot(k, len, k < lens.length - 1 ? NS_MOREFRAG : 0);
  }
  tx.advance(lens.length);
  users[0].txsync();
  await users[1].poll(POLLIN, { timeout: 2000 });
  const [rx] = users[1].rxRings;
  const slots = lens.map((_, k) => rx.slot(k));
  assert.deepEqual(
    slots.map(({ len, flags }) => [len, flags]),
    lens.map((len, k) => [len, k < lens.length - 1 ? NS_MOREFRAG : 0]),
  );
  const [packet] = users[1].recv();
  assert.deepEqual(packet, Uint8Array.from(lens.flatMap((len, k) => Array(len).fill(k + 1))));
});

test('slots that are larger than the buffers of the other side are split', async () => {
  const { users, cable } = await makePipes([true, true], [2112, 576]);
  const frames = [575, 576, 577, 1500, 2112].map(frame);
  for (const bytes of frames) await users[0].send(bytes);
  assert.deepEqual(await receive(users[1], frames.length), frames);
  const [rx] = users[1].rxRings;
  const lens = Array.from({ length: 11 }, (_, k) => rx.slot(k)).map(({ len, flags }) => [len, flags]);
  const more = (len: number): number[] => [len, NS_MOREFRAG];
  const last = (len: number): number[] => [len, 0];
  assert.deepEqual(lens.slice(0, 7), [last(575), last(576), more(576), last(1), more(576), more(576), last(348)]);
  assert.deepEqual(lens.slice(7), [more(576), more(576), more(576), last(384)]);
  for (const bytes of frames) await users[1].send(bytes);
  assert.deepEqual(await receive(users[0], frames.length), frames);
  assert.equal(cable.counters().bToA.frames, frames.length);
});

test('a packet that would have more than 64 slots on the other side is dropped, the next one passes', async () => {
  const { users, cable } = await makePipes([true, true], [2112, 576]);
  await users[0].send(frame(17 * 2112, 1)); // 17 slots, of 4 parts each
  await users[0].send(frame(16 * 2112, 2)); // would be 64 parts, and the ring holds 63
  await users[0].send(frame(15 * 2112, 3));
  assert.deepEqual(await receive(users[1], 1), [frame(15 * 2112, 3)]);
  const { frames, drops } = cable.counters().aToB;
  assert.deepEqual([frames, drops.fragments, drops.tooLong], [1, 1, 1]);
});

test('what finds no room stays where it is: the sender of a pipe waits, and nothing is lost', async () => {
  const { users, cable } = await makePipes();
  const total = 1000;
  let sent = 0;
  const sender = (async () => {
    for (; sent < total; sent++) await users[0].send(frame(100, sent));
  })();
  await sleep(50);
  assert.ok(sent >= 63 && sent <= 4 * 63, `${sent} frames were taken although nobody reads`);
  const received = await receive(users[1], total);
  await sender;
  assert.deepEqual(
    received,
    Array.from({ length: total }, (_, i) => frame(100, i)),
  );
  const { frames, stalls, drops } = cable.counters().aToB;
  assert.equal(frames, total);
  assert.ok(stalls > 0);
  assert.deepEqual(drops, { badSlot: 0, badBuffer: 0, fragments: 0, tooLong: 0, empty: 0 });
});

/** An Ethernet frame from address `from` to address `to`. */
function ethernet(to: number, from: number, length: number): Uint8Array {
  const bytes = frame(length, from);
  bytes.set([2, 0, 0, 0, 0, to, 2, 0, 0, 0, 0, from]);
  return bytes;
}

test('two switches in two memories are one network: each learns the addresses behind the cable', async () => {
  const [one, two] = [await makeHost(), await makeHost(false)];
  const a = await one.open('vale0:a', SLOTS);
  const bystander = await one.open('vale0:c', SLOTS);
  const b = await two.open('vale0:b', SLOTS);
  join(await one.open('vale0:cable', SLOTS), await two.open('vale0:cable', SLOTS));
  await a.send(ethernet(2, 1, 60)); // unknown yet: to everybody
  assert.deepEqual(await receive(b, 1), [ethernet(2, 1, 60)]);
  assert.deepEqual(await receive(bystander, 1), [ethernet(2, 1, 60)]);
  await b.send(ethernet(1, 2, 1514));
  assert.deepEqual(await receive(a, 1), [ethernet(1, 2, 1514)]);
  await a.send(ethernet(2, 1, 61));
  assert.deepEqual(await receive(b, 1), [ethernet(2, 1, 61)]);
  bystander.rxsync();
  assert.deepEqual(bystander.recv(), []);
  const { bridges } = await two.inspect();
  assert.deepEqual(bridges[0].fdb.map(({ mac, port }) => [mac.slice(-2), port]).sort(), [
    ['01', 'vale0:cable'],
    ['02', 'vale0:b'],
  ]);
});

test('a guest joins with the port of its driver', async () => {
  const [one, two] = [await makeHost(), await makeHost()];
  const guest = await one.createGuest();
  await guest.passthrough('netmap:p{1', SLOTS);
  const [driver] = PtnetDriver.probe(await guest.machine());
  const far = await one.open('netmap:p}1', SLOTS);
  const near = await two.open('vale0:b', SLOTS);
  const cable = join(driver.open(), await two.open('vale0:cable', SLOTS));
  const frames = Array.from({ length: 200 }, (_, i) => ethernet(1, 2, 60 + i));
  const received = receive(far, frames.length);
  for (const [i, bytes] of frames.entries()) {
    await near.send(bytes);
    // A switch drops what its receiver has no room for.
    while (i % 32 === 31 && cable.counters().bToA.frames <= i) await sleep(1);
  }
  assert.deepEqual(await received, frames);
  const back = receive(near, frames.length);
  for (const bytes of frames) await far.send(bytes);
  assert.deepEqual(await back, frames);
  assert.equal(cable.counters().aToB.frames, frames.length);
});

test('each rx ring has its lane, whatever the number of tx rings', async () => {
  const users: HostPort[] = [];
  const joined: HostPort[] = [];
  for (const rings of [4, 3]) {
    const host = await makeHost();
    const config = { ...SLOTS, txRings: rings, rxRings: rings };
    users.push(await host.open('vale9:p{1', config));
    joined.push(await host.open('vale9:p}1', config));
  }
  const cable = join(joined[0], joined[1]);
  const total = 300; // of each ring
  const seen = [0, 0, 0, 0];
  const next = [0, 0, 0, 0];
  while (seen.some((n) => n < total)) {
    for (const [r, ring] of users[0].txRings.entries()) {
      for (; next[r] < total && ring.space > 0; next[r]++) {
        ring.u8.set([r, next[r] & 255, next[r] >> 8], ring.bufAddress(ring.head));
        ring.setSlot(ring.head, 60);
        ring.advance(1);
      }
    }
    users[0].txsync();
    assert.notEqual(await users[1].poll(POLLIN, { timeout: 2000 }), 0, `${seen}`);
    for (const [k, ring] of users[1].rxRings.entries()) {
      for (; ring.space > 0; ring.advance(1)) {
        const [r, low, high] = ring.buf(ring.head);
        assert.deepEqual([r % 3, low + 256 * high], [k, seen[r]++]);
      }
    }
  }
  assert.equal(cable.counters().aToB.frames, 4 * total);
});

test('a burst costs one wake-up, and a cable that is busy asks for none', async () => {
  const { users, cable } = await makePipes();
  const [tx] = users[0].txRings;
  await sleep(5);
  for (let burst = 0; burst < 20; burst++) {
    for (let i = 0; i < 50; i++) tx.setSlot((tx.head + i) % tx.numSlots, 60);
    tx.advance(50);
    users[0].txsync();
    await sleep(2);
    users[1].rxsync();
    assert.equal(users[1].recv().length, 50);
    users[1].rxsync();
    await sleep(2);
    users[0].txsync();
  }
  const { aToB, bToA } = cable.counters();
  assert.equal(aToB.frames, 1000);
  // The other direction waits at the same two sides: the room that is given back wakes it, once a burst, too.
  for (const { wakeUps } of [aToB, bToA]) assert.ok(wakeUps > 0 && wakeUps <= 20, `${wakeUps} wake-ups for 20 bursts`);
});

test('close() takes the ports apart and leaves them open', async () => {
  const { users, joined, cable } = await makePipes();
  await users[0].send(frame(60, 1));
  await receive(users[1], 1);
  await cable.close();
  assert.equal(await cable.ended, undefined);
  await users[0].send(frame(60, 2));
  await sleep(10);
  users[1].rxsync();
  assert.deepEqual(users[1].recv(), []);
  assert.deepEqual(await receive(joined[0], 1), [frame(60, 2)]);
  join(joined[0], joined[1]); // and they can be joined again
  joined[0].rxsync();
  await users[0].send(frame(60, 3));
  assert.deepEqual(await receive(users[1], 1), [frame(60, 3)]);
});

test('a cable ends when one of its ports is closed, and says so', async () => {
  const { users, joined, cable: first } = await makePipes();
  await first.close();
  const cable = join(joined[0], joined[1], { keepAlive: true }); // or nothing holds the process while it waits
  await joined[1].close();
  const reason = await cable.ended;
  assert.equal(reason?.code, 'EIO');
  assert.equal(reason?.port, joined[1].name);
  await users[0].send(frame(60, 1));
  assert.deepEqual(await receive(joined[0], 1), [frame(60, 1)]);
});

test('an exception in the code of a side ends the cable, and the other side goes on', async () => {
  const { users, joined, cable } = await makePipes();
  joined[0].pollOnce = () => {
    throw new WebAssembly.RuntimeError('memory access out of bounds');
  };
  assert.equal(cable.pump(), false);
  const reason = await cable.ended;
  assert.deepEqual([reason?.code, reason?.port], ['EIO', joined[0].name]);
  assert.match(reason?.message ?? '', /out of bounds/);
  assert.equal(cable.pump(), false);
  await users[1].send(frame(60, 1));
  assert.deepEqual(await receive(joined[1], 1), [frame(60, 1)]);
});

test('pump() passes on what there is, and the cable asks for wake-ups again', async () => {
  const { users, cable } = await makePipes();
  for (let round = 0; round < 5; round++) {
    for (let i = 0; i < 10; i++) users[0].trySend(frame(60, i));
    users[0].txsync();
    assert.equal(cable.pump(), false);
    users[1].rxsync();
    assert.equal(users[1].recv().length, 10);
    await users[0].send(frame(61, round)); // by itself
    assert.deepEqual(await receive(users[1], 1), [frame(61, round)]);
  }
});

test('ports that have rings for one direction only are joined in that one', async () => {
  const [one, two] = [await makeHost(), await makeHost()];
  const [user, joinedA] = [await one.open('vale9:p{1', SLOTS), await one.open('vale9:p}1/R', SLOTS)];
  const [target, joinedB] = [await two.open('vale9:p{1', SLOTS), await two.open('vale9:p}1/T', SLOTS)];
  const cable = join(joinedA, joinedB);
  await user.send(frame(60, 1));
  assert.deepEqual(await receive(target, 1), [frame(60, 1)]);
  assert.equal(cable.counters().bToA.frames, 0);
});

test('rings with packet offsets are joined with others, whoever has asked for the offsets', async () => {
  const [one, two] = [await makeHost(), await makeHost()];
  const a = await one.open('vale9:p{1', { ...SLOTS, offsets: { max: 64, initial: 32 } });
  const b = await two.open('vale9:p{1', SLOTS);
  const asks = await two.open('vale9:p}1', { offsets: { max: 128, initial: 100 } });
  const ends = [await one.open('vale9:p}1'), await two.open('vale9:p}1')];
  assert.deepEqual(
    ends.map(({ maxOffset, rxRings }) => [maxOffset, rxRings[0].offsetMask]),
    [
      [0, -1],
      [0, -1],
    ],
  );
  join(ends[0], ends[1]);
  for (const [from, to, at] of [
    [a, b, 100],
    [b, a, 0],
  ] as const) {
    const frame = Uint8Array.from({ length: 700 }, (_, i) => i);
    await from.send(frame);
    await to.poll(POLLIN);
    const { bufBase, bufSize, head } = to.rxRings[0];
    const slot = to.rxRings[0].slot(head);
    assert.equal(slot.len, 700);
    if (to === a) assert.deepEqual(to.recv(), [frame]);
    else assert.deepEqual(to.rxRings[0].u8.slice(bufBase + slot.bufIdx * bufSize + at).subarray(0, 700), frame);
  }
  await asks.close();
});

test('what cannot be joined is refused', async () => {
  const [one, two] = [await makeHost(), await makeHost()];
  const a = await one.open('vale0:a', SLOTS);
  const b = await two.open('vale0:b', SLOTS);
  assert.throws(() => joinPorts(a, a), { code: 'EINVAL' });
  const neighbour = await one.open('vale0:c', SLOTS);
  assert.throws(() => joinPorts(a, neighbour), { code: 'EINVAL', message: /moveSlots/ });
  const [sends, receives] = [await one.open('vale1:d/T', SLOTS), await two.open('vale1:d/T', SLOTS)];
  assert.throws(() => joinPorts(sends, receives), { code: 'EINVAL', message: /no rx ring/ });
  assert.throws(() => joinPortsSync(a, b), { code: 'EOPNOTSUPP' });
  const guest = await one.createGuest();
  await guest.passthrough('vale0:guest', SLOTS);
  const [driver] = PtnetDriver.probe(await guest.machine(), { vnetHdr: true });
  assert.throws(() => joinPorts(driver.open({ flags: abi.NR_ACCEPT_VNET_HDR }), b), {
    code: 'EINVAL',
    message: /12 and 0/,
  });
  await neighbour.close();
  assert.throws(() => joinPorts(neighbour, b), { code: 'EINVAL', message: /closed/ });
});
