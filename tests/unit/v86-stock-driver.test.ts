// What the drivers of FreeBSD and Linux rely on, by a driver that does as they do: as an interface, in netmap mode, as both,
// loaded again, and with several devices in one region.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { NR_ACCEPT_VNET_HDR } from '../../src/abi.js';
import { Netmap } from '../../src/control/netmap.js';
import { attachPtnet, type V86Ptnet } from '../../src/hosts/v86.js';
import type { HostPort } from '../../src/netmap/host-port.js';
import { FakeV86 } from '../support/fake-v86.js';
import { StockDriver } from './stock-driver.js';

const [CSB, OTHER_CSB] = [0x10000, 0x20000];
let netmap: Netmap;
let v86: FakeV86;
let ptnet: V86Ptnet;

beforeEach(async () => {
  netmap = await Netmap.create({ memorySize: 256 << 20, privatePools: { priv_buf_num: 64, priv_ring_num: 4 } });
  v86 = new FakeV86();
});
afterEach(async () => {
  assert.equal(ptnet.faults + ptnet.lostMessages, 0);
  await netmap.close();
});

async function attach(...ports: { name: string; [option: string]: unknown }[]): Promise<void> {
  ptnet = await attachPtnet(
    v86,
    ports.map((port) => ({ netmap, txSlots: 64, rxSlots: 64, ...port })),
  );
}

/** A broadcast with a number. */
function frame(n: number): Uint8Array {
  const bytes = new Uint8Array(60).fill(0xff, 0, 6);
  bytes.set([2, 0, 0, 0, 0, 1, 0x88, 0xb5, n & 255, n >> 8], 6);
  return bytes;
}
const numberOf = (bytes: Uint8Array): number => bytes[14] | (bytes[15] << 8);
/** Of the rx rings: those of tx rings come after each doorbell, as CREATE has asked for them and no driver says otherwise. */
const interrupts = ({ rx }: StockDriver): number => rx.reduce((sum, ring) => sum + ring.interrupts, 0);
const count = (n: number, from = 0): number[] => Array.from({ length: n }, (_, i) => from + i);

function numbers(port: HostPort): number[] {
  port.rxsync();
  return port.recv().map(numberOf);
}

for (const header of [12, 0]) {
  describe(`an interface, frames with ${header} bytes of header on the other side`, () => {
    let other: HostPort;
    let driver: StockDriver;
    beforeEach(async () => {
      await attach({ name: 'vale0:a', txRings: 2, rxRings: 2 });
      other = await netmap.open('vale0:other');
      if (header) {
        await netmap.setPortHeader('vale0:other', header);
        other = await netmap.open('vale0:other', { flags: NR_ACCEPT_VNET_HDR });
      }
      driver = new StockDriver(v86, 0, CSB);
      driver.attach();
      driver.register('interface');
    });

    test('sends and receives; interrupts come on the vector of the ring, and once for what is taken together', async () => {
      assert.equal(driver.header, 12);
      for (const n of count(200)) {
        assert.ok(driver.transmit(frame(n), n & 1));
        other.rxsync();
        const [got] = other.recv();
        assert.equal(numberOf(got.subarray(header)), n);
      }
      for (const n of count(200)) {
        await other.send(Uint8Array.from([...new Uint8Array(header), ...frame(n)]));
        driver.takeInterrupts();
      }
      assert.deepEqual(driver.received.map(numberOf), count(200));
      assert.equal(interrupts(driver), 200);
      driver.received.length = 0;
      for (const n of count(40)) other.trySend(Uint8Array.from([...new Uint8Array(header), ...frame(n)]));
      other.txsync();
      other.waiting.service();
      driver.takeInterrupts();
      assert.deepEqual(driver.received.map(numberOf), count(40));
      assert.equal(interrupts(driver), 201);
    });
  });
}

test('an interface whose ring is full stops, and goes on at the tx interrupt', async () => {
  await attach({ name: 'netmap:p{1' });
  const other = await netmap.open('netmap:p}1', { txSlots: 64, rxSlots: 64 });
  const driver = new StockDriver(v86, 0, CSB);
  driver.attach();
  driver.register('interface');
  assert.equal(driver.header, 0, 'a pipe has no headers');
  const got: number[] = [];
  let stops = 0;
  for (let n = 0; n < 1000; ) {
    if (driver.transmit(frame(n))) {
      n++;
      continue;
    }
    stops++;
    got.push(...numbers(other));
    other.rxsync();
    other.waiting.service();
    driver.takeInterrupts();
    assert.ok(!driver.stopped, `woken after ${n}`);
  }
  got.push(...numbers(other));
  assert.deepEqual(got, count(1000));
  assert.ok(stops >= 10);
});

test('netmap mode, and the interface with it: positions go on, the loop runs while one of them does', async () => {
  await attach({ name: 'vale0:a' });
  const other = await netmap.open('vale0:other');
  const driver = new StockDriver(v86, 0, CSB);
  driver.attach();
  driver.register('interface');
  assert.ok(driver.transmit(frame(0)) && driver.transmit(frame(1)));
  assert.deepEqual(numbers(other), [0, 1]);
  driver.register('netmap');
  const [[tx], [rx]] = [driver.tx, driver.rx];
  driver.fill(tx, tx.head, frame(2));
  tx.head = tx.cur = tx.next(tx.head);
  tx.sync();
  assert.deepEqual(numbers(other), [2]);
  driver.unregister('interface');
  rx.sync(); // poll: nothing is there, and the application wants to be told
  await other.send(frame(3));
  driver.takeInterrupts();
  assert.equal(interrupts(driver), 1);
  rx.sync();
  assert.deepEqual([rx.head, rx.hwtail, numberOf(driver.take(rx, rx.head))], [0, 1, 3]);
  rx.head = rx.cur = 1;
  rx.sync();
  assert.equal(rx.ktoa(0), 1, 'released: hwcur');
  for (const n of count(100, 4)) {
    driver.fill(tx, tx.head, frame(n));
    tx.head = tx.cur = tx.next(tx.head);
    tx.sync(2); // NIOCTXSYNC: always rings
    assert.deepEqual(numbers(other), [n]);
    assert.notEqual(tx.cur, tx.hwtail);
  }
  driver.unregister('netmap');
  const before = rx.ktoa(4);
  await other.send(frame(200));
  assert.equal(rx.ktoa(4), before, 'DELETE: nothing is written any more');
  driver.register('interface'); // CREATE again: positions from the CSB
  await other.send(frame(201));
  driver.takeInterrupts();
  assert.equal(driver.received.map(numberOf).at(-1), 201);
});

test('unloaded and loaded again, with its CSB elsewhere: the old pages are left alone', async () => {
  await attach({ name: 'vale0:a' });
  const other = await netmap.open('vale0:other');
  for (const [round, csb] of [CSB, OTHER_CSB, CSB].entries()) {
    const driver = new StockDriver(v86, 0, csb);
    driver.attach();
    driver.register('interface');
    assert.ok(driver.transmit(frame(round)));
    assert.deepEqual(numbers(other), [round]);
    await other.send(frame(100 + round));
    driver.takeInterrupts();
    // What came while no driver was there has waited in the ring.
    assert.deepEqual(driver.received.map(numberOf), round === 0 ? [100] : [99, 100 + round]);
    driver.unregister('interface');
    driver.detach();
    const pages = (): number[] => count(2048).map((i) => v86.ram.load(csb + 4 * i));
    for (const i of count(2048)) v86.ram.store(csb + 4 * i, 0x5a5a5a5a);
    const before = pages();
    await other.send(frame(99));
    assert.deepEqual(pages(), before);
    assert.equal(v86.taken.length, 0);
    other.recv();
  }
});

test('devices of one region have one memdev; one is unloaded while the other runs', async () => {
  await attach({ name: 'netmap:p{1' }, { name: 'netmap:p{2' });
  assert.equal(v86.devices.filter(({ name }) => name === 'ptnetmap-memdev').length, 1);
  const share = { shareRegion: true };
  const others = [await netmap.open('netmap:p}1', share), await netmap.open('netmap:p}2', share)];
  const drivers = [new StockDriver(v86, 0, CSB), new StockDriver(v86, 1, OTHER_CSB)];
  for (const driver of drivers) {
    driver.attach();
    driver.register('interface');
  }
  const exchange = async (i: number, n: number): Promise<void> => {
    assert.ok(drivers[i].transmit(frame(n)));
    assert.deepEqual(numbers(others[i]), [n]);
    await others[i].send(frame(n + 1));
    for (const driver of drivers) if (driver.rx.length > 0) driver.takeInterrupts();
    assert.equal(numberOf(drivers[i].received.at(-1) ?? new Uint8Array(60)), n + 1);
  };
  for (let n = 0; n < 100; n += 2) await exchange((n >> 1) & 1, n);
  drivers[0].unregister('interface');
  drivers[0].detach();
  for (let n = 100; n < 120; n += 2) await exchange(1, n);
});
