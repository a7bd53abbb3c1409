// The main job (npm start): real traffic through a pipe and a VALE switch between guests, compared byte for byte; the
// middlebox of ptnet(4); and full-rate runs. Everything that is printed was counted by the host or measured here.
import { readFile } from 'node:fs/promises';
import { Netmap, PtnetDriver, readPcap } from 'ptnet';
import { receiveCapture, sendCapture } from './main-job/capture.mjs';
import { drain, fill, writeFrames } from './main-job/hot.mjs';
import { portCounters, row, table } from './main-job/report.mjs';

const SECONDS = Number(process.env.PTNET_SECONDS ?? 2);
const BATCH = 256;
const MAC_A = [0x02, 0, 0, 0, 0x0a, 0x01];
const MAC_B = [0x02, 0, 0, 0, 0x0b, 0x01];
const rows = [];

const capture = async (name) => readPcap(await readFile(new URL(`../tests/data/${name}`, import.meta.url))).frames;

async function guestWith(netmap, ...specs) {
  const guest = await netmap.createGuest();
  for (const spec of specs) await guest.passthrough(spec, { loop: 'direct' });
  const drivers = PtnetDriver.probe(await guest.machine());
  return { guest, ports: drivers.map((driver) => driver.open()) };
}

/** A capture from one guest to another over a pipe, whole; then over VALE, each guest sending the frames of its own MAC. */
async function captures(netmap) {
  for (const file of ['real-wire.pcap', 'real-gso.pcap']) {
    const frames = (await capture(file)).map(({ data }) => data);
    const {
      guest: ga,
      ports: [a],
    } = await guestWith(netmap, 'netmap:c{1');
    const {
      guest: gb,
      ports: [b],
    } = await guestWith(netmap, 'netmap:c}1');
    const started = performance.now();
    await Promise.all([receiveCapture(b, frames), sendCapture(a, frames)]);
    const seconds = (performance.now() - started) / 1e3;
    rows.push(row(`${file} over a pipe`, frames.length, frames, seconds, await portCounters(netmap, 'c{1', 'c}1')));
    await ga.close();
    await gb.close();
  }
  const frames = (await capture('real-wire.pcap')).map(({ data }) => data);
  const from = (mac) => frames.filter((frame) => mac.every((byte, i) => frame[6 + i] === byte));
  const [fromA, fromB] = [from(MAC_A), from(MAC_B)];
  const {
    guest: ga,
    ports: [a],
  } = await guestWith(netmap, 'vale9:a');
  const {
    guest: gb,
    ports: [b],
  } = await guestWith(netmap, 'vale9:b');
  const started = performance.now();
  await Promise.all([
    receiveCapture(b, fromA),
    receiveCapture(a, fromB),
    sendCapture(a, fromA, 16),
    sendCapture(b, fromB, 16),
  ]);
  const seconds = (performance.now() - started) / 1e3;
  rows.push(
    row(
      'real-wire.pcap over VALE',
      fromA.length + fromB.length,
      frames,
      seconds,
      await portCounters(netmap, 'vale9:a', 'vale9:b'),
    ),
  );
  await ga.close();
  await gb.close();
}

/** generator → guest with two passed-through ports bridging them → sink, each program in a worker of its own. */
async function middlebox(netmap) {
  const sink = await worker(netmap, { program: 'rx', spec: 'vale1:sink' });
  const guest = await netmap.createGuest();
  await guest.passthrough('vale0:box', { loop: 'direct' });
  await guest.passthrough('vale1:box', { loop: 'direct' });
  const box = await worker(netmap, { program: 'bridge', guest: guest.id });
  const generator = await worker(netmap, { program: 'tx', spec: 'vale0:gen' });
  const seconds = await measure([generator, box, sink]);
  const { packets } = await sink.result;
  rows.push(
    row(
      'middlebox: VALE → guest → VALE',
      packets,
      60,
      seconds,
      await portCounters(netmap, 'vale0:gen', 'vale0:box', 'vale1:box'),
    ),
  );
  await finish([generator, box, sink]);
  await guest.close();
}

/** Guest to guest at full rate, in one thread. */
async function oneThread(netmap, label, specA, specB) {
  const {
    guest: ga,
    ports: [a],
  } = await guestWith(netmap, specA);
  const {
    guest: gb,
    ports: [b],
  } = await guestWith(netmap, specB);
  const [tx] = a.txRings;
  const [rx] = b.rxRings;
  writeFrames(tx, MAC_B, MAC_A);
  writeFrames(b.txRings[0], MAC_A, MAC_B);
  fill(b.txRings[0], 1, 60); // so that the switch knows where b is
  b.txsync();
  a.rxsync();
  drain(a.rxRings[0]);
  let packets = 0;
  const until = performance.now() + 1e3 * SECONDS;
  const started = performance.now();
  while (performance.now() < until) {
    for (let i = 0; i < 64; i++) {
      fill(tx, Math.min(BATCH, tx.space), 60);
      a.txsync();
      b.rxsync();
      packets += drain(rx);
    }
    await new Promise(setImmediate);
  }
  const seconds = (performance.now() - started) / 1e3;
  rows.push(
    row(
      label,
      packets,
      60,
      seconds,
      await portCounters(netmap, specA.replace('netmap:', ''), specB.replace('netmap:', '')),
    ),
  );
  await ga.close();
  await gb.close();
}

/** Guest to guest at full rate, each in a worker. */
async function twoWorkers(netmap, label, specA, specB, loop) {
  const [ga, gb] = [await netmap.createGuest(), await netmap.createGuest()];
  await ga.passthrough(specA, { loop });
  await gb.passthrough(specB, { loop });
  const receiver = await worker(netmap, { program: 'rx', guest: gb.id });
  const sender = await worker(netmap, { program: 'tx', guest: ga.id });
  const seconds = await measure([sender, receiver]);
  const { packets } = await receiver.result;
  rows.push(
    row(
      label,
      packets,
      60,
      seconds,
      await portCounters(netmap, specA.replace('netmap:', ''), specB.replace('netmap:', '')),
    ),
  );
  await finish([sender, receiver]);
  await ga.close();
  await gb.close();
}

async function worker(netmap, task) {
  let ready;
  let done;
  const isReady = new Promise((resolve) => (ready = resolve));
  const result = new Promise((resolve) => (done = resolve));
  const control = new Int32Array(new SharedArrayBuffer(4)); // 1 = stop sending and report, 2 = close
  const handle = await netmap.spawn(new URL('./main-job/worker.mjs', import.meta.url), {
    data: { ...task, control, macA: MAC_A, macB: MAC_B },
    keepAlive: true,
    onMessage: (message) => (message.ready ? ready() : done(message)),
    onError: (error) => {
      throw error;
    },
  });
  await isReady;
  return { control, result, ended: handle.ended };
}

/** Lets the programs run; stops the senders first, so that what is under way arrives. */
async function measure(programs) {
  const started = performance.now();
  await new Promise((resolve) => setTimeout(resolve, 1e3 * SECONDS));
  const seconds = (performance.now() - started) / 1e3;
  for (const { control, result } of programs) {
    Atomics.store(control, 0, 1);
    await result;
  }
  return seconds;
}

async function finish(programs) {
  for (const { control, ended } of programs) {
    Atomics.store(control, 0, 2);
    Atomics.notify(control, 0);
    await ended;
  }
}

const netmap = await Netmap.create({ threads: 1 });
await captures(netmap);
await middlebox(netmap);
await oneThread(netmap, 'pipe, one thread', 'netmap:q{1', 'netmap:q}1');
await oneThread(netmap, 'VALE, one thread', 'vale2:a', 'vale2:b');
await twoWorkers(netmap, 'pipe, two workers, direct', 'netmap:r{1', 'netmap:r}1', 'direct');
await twoWorkers(netmap, 'VALE, two workers, direct', 'vale3:a', 'vale3:b', 'direct');
await twoWorkers(netmap, 'pipe, two workers, notify', 'netmap:s{1', 'netmap:s}1', 'notify');
await twoWorkers(netmap, 'VALE, two workers, notify', 'vale4:a', 'vale4:b', 'notify');
const { lostWakeups } = await netmap.inspect();
await netmap.close();
console.log(table(rows));
console.log(`captures compared byte for byte; wake-ups lost: ${lostWakeups}`);
