// The ptnet driver against devices that a test controls: its errors, and what it writes to registers and CSB.
import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import {
  CSB_ATOK_APPL_NEED_KICK,
  CSB_ENTRY_SIZE,
  CSB_KTOA_HWTAIL,
  EIO,
  PTNET_IO_CSB_GH_BAH as GH_BAH,
  PTNET_IO_CSB_GH_BAL as GH_BAL,
  PTNET_IO_VNET_HDR_LEN as HDR_LEN,
  PTNET_IO_CSB_HG_BAH as HG_BAH,
  PTNET_IO_CSB_HG_BAL as HG_BAL,
  PTNET_IO_KICK_BASE as KICK_BASE,
  NR_ACCEPT_VNET_HDR,
  PTNET_IO_PTCTL as PTCTL,
  PTNET_IO_PTFEAT as PTFEAT,
  PTNET_IO_HOSTMEMID,
  PTNET_IO_NIFP_OFS,
  PTNET_IO_NUM_TX_RINGS,
} from '../../src/abi.js';
import { PtnetDriver } from '../../src/index.js';
import { FakeMachine, RAM, RX_OFS, TX_OFS } from '../support/fake-machine.js';

describe('attaching', () => {
  let fake: FakeMachine;
  beforeEach(() => {
    fake = new FakeMachine();
  });

  /** An attach that fails, and leaves device and RAM alone. */
  function fails(code: string, message: RegExp): void {
    fake.u8.fill(0x77, RAM, RAM + fake.ramSize);
    assert.throws(() => PtnetDriver.probe(fake.machine), { name: 'NetmapError', code, op: 'ptnet', message });
    assert.deepEqual(
      fake.device.writes.filter(([offset]) => offset !== PTFEAT),
      [],
    );
    assert.equal(fake.device.handler, undefined);
    assert.ok(fake.u8.subarray(RAM, RAM + fake.ramSize).every((byte) => byte === 0x77));
  }

  test('programs CSB addresses in RAM, high halves first, and asks for no header', () => {
    fake.u8.fill(0x77, RAM, RAM + 3 * 4096);
    const [driver, ...others] = PtnetDriver.probe(fake.machine);
    assert.deepEqual(others, []);
    assert.deepEqual(fake.device.writes, [
      [PTFEAT, 1],
      [GH_BAH, 0],
      [GH_BAL, 4096],
      [HG_BAH, 0],
      [HG_BAL, 4096 + 128],
    ]);
    assert.ok(fake.u8.subarray(RAM, RAM + 3 * 4096).every((byte) => byte === 0));
    assert.equal(driver.name, 'ptnet0');
    assert.deepEqual([...driver.mac], [0x02, 0x50, 0x54, 1, 2, 3]);
    assert.deepEqual([driver.txRings, driver.rxRings, driver.txSlots, driver.rxSlots, driver.memId], [1, 1, 8, 8, 7]);
    assert.equal(driver.vnetHdrLen, 0);
  });

  test('puts the arrays of the CSB apart by whole pairs of cache lines, and within its three pages with all rings', () => {
    fake.device.vectors = 64;
    for (const txRings of [1, 2, 15, 30, 63]) {
      fake.device.registers.set(PTNET_IO_NUM_TX_RINGS, txRings);
      fake.device.writes.length = 0;
      PtnetDriver.probe(fake.machine);
      const [atok, ktoa] = [GH_BAL, HG_BAL].map(
        (low) => fake.device.writes.find(([offset]) => offset === low)?.[1] ?? 0,
      );
      const bytes = 64 * (txRings + 1);
      assert.deepEqual([atok % 4096, (ktoa - atok) % 128], [0, 0]);
      assert.ok(ktoa - atok >= bytes && ktoa - atok < bytes + 128, `${txRings}`);
      assert.ok(2 * (ktoa - atok) + bytes <= 3 * 4096);
    }
  });

  test('with vnetHdr: false does not ask for the feature', () => {
    const [driver] = PtnetDriver.probe(fake.machine, { vnetHdr: false });
    assert.deepEqual(fake.device.writes[0], [PTFEAT, 0]);
    assert.equal(driver.offersHeader, false);
  });

  test('to a bus without devices gives none', () => {
    fake.functions = [fake.memdev];
    assert.deepEqual(PtnetDriver.probe(fake.machine), []);
  });

  test('fails with ENOMEM without a memdev for the port’s region', () => {
    fake.functions = [fake.device];
    fails('ENOMEM', /no memdev for mem id 7/);
    fake.functions = [fake.device, fake.memdev];
    fake.device.registers.set(PTNET_IO_HOSTMEMID, 8);
    fails('ENOMEM', /no memdev for mem id 8/);
    fake.device.registers.set(PTNET_IO_HOSTMEMID, 7);
    delete fake.memdev.memoryBar;
    fails('ENOMEM', /no memdev/);
  });

  test('fails with ENOSPC when there are fewer vectors than rings', () => {
    fake.device.vectors = 1;
    fails('ENOSPC', /1 interrupt vectors for 2 rings/);
  });

  test('fails with ENOMEM when the rings do not fit a page of the CSB', () => {
    fake.device.vectors = 100;
    fake.device.registers.set(PTNET_IO_NUM_TX_RINGS, 64);
    fails('ENOMEM', /65 rings/);
  });

  test('fails with ENOMEM when RAM has no three pages for the device', () => {
    fake.ramSize = 3 * 4096 - 1;
    fails('ENOMEM', /12288 bytes of RAM wanted/);
  });

  test('fails with ENXIO when the nifp is outside the memory BAR', () => {
    fake.device.registers.set(PTNET_IO_NIFP_OFS, 0x20000);
    fails('ENXIO', /NIFP_OFS/);
  });
});

describe('an interface', () => {
  let fake: FakeMachine;
  let driver: PtnetDriver;
  beforeEach(() => {
    fake = new FakeMachine();
    [driver] = PtnetDriver.probe(fake.machine);
    fake.device.writes.length = 0;
  });

  test('is opened with CREATE, and takes its positions from the CSB', () => {
    const port = driver.open();
    assert.deepEqual(fake.device.writes, [
      [HDR_LEN, 0],
      [PTCTL, 1],
    ]);
    const [tx] = port.txRings;
    const [rx] = port.rxRings;
    assert.deepEqual([tx.head, tx.cur, tx.tail], [2, 2, 1]);
    assert.deepEqual([rx.head, rx.cur, rx.tail], [0, 0, 0]);
    assert.deepEqual([tx.numSlots, tx.bufSize, tx.numBufs], [8, 512, 64]);
    assert.equal(driver.netmapMode, true);
  });

  test('has a header when the device has agreed to one and the first user asks for it; what it gets counts', async () => {
    fake.device.registers.set(PTFEAT, 1);
    fake.device.registers.set(HDR_LEN, 10); // what this port has, whatever is asked for
    const [able] = PtnetDriver.probe(fake.machine);
    assert.equal(able.offersHeader, true);
    fake.device.writes.length = 0;
    const port = able.open({ flags: NR_ACCEPT_VNET_HDR });
    assert.deepEqual(fake.device.writes[0], [HDR_LEN, 12]);
    assert.equal(able.vnetHdrLen, 10);
    await port.close();
    assert.throws(() => able.open(), { code: 'EIO', message: /NR_ACCEPT_VNET_HDR/ });
    assert.deepEqual(fake.device.writes.slice(-3), [
      [HDR_LEN, 0],
      [PTCTL, 1],
      [PTCTL, 2],
    ]);
    assert.equal(able.netmapMode, false);
  });

  test('that could not be started has the header that it had', () => {
    fake.device.registers.set(PTFEAT, 1);
    const [able] = PtnetDriver.probe(fake.machine);
    fake.result = 12;
    fake.device.writes.length = 0;
    assert.throws(() => able.open({ flags: NR_ACCEPT_VNET_HDR }), { code: 'ENOMEM' });
    assert.deepEqual(fake.device.writes, [
      [HDR_LEN, 12],
      [PTCTL, 1],
      [HDR_LEN, 0],
    ]);
  });

  test('sees what the host has answered to a doorbell, and is armed, also when ringing it throws', () => {
    const port = driver.open();
    const [rx] = port.rxRings;
    const { atok, ktoa } = fake.csb;
    for (const [arrives, throws] of [
      [2, false],
      [3, true],
      [3, true],
    ] as const) {
      rx.advance(rx.space);
      fake.device.onWrite = (offset) => {
        if (offset < KICK_BASE) return;
        assert.equal(fake.view.getUint32(atok + CSB_ENTRY_SIZE + CSB_ATOK_APPL_NEED_KICK, true), 0, 'nobody waits yet');
        fake.view.setUint32(ktoa + CSB_ENTRY_SIZE + CSB_KTOA_HWTAIL, arrives, true);
        if (throws) throw new Error('a handler');
      };
      if (throws) assert.throws(() => port.rxsync(), { message: 'a handler' });
      else port.rxsync();
      assert.equal(rx.tail, arrives);
      const armed = fake.view.getUint32(atok + CSB_ENTRY_SIZE + CSB_ATOK_APPL_NEED_KICK, true);
      assert.equal(armed, rx.space === 0 ? 1 : 0);
    }
  });

  test('touches neither RAM nor rings any more when the machine was taken away while the doorbell rang', () => {
    const port = driver.open();
    let before = '';
    fake.device.onWrite = (offset) => {
      if (offset < KICK_BASE) return;
      fake.gone = true;
      fake.u8.fill(0xa5, RAM, RAM + fake.ramSize); // somebody else's by now
      before = Buffer.from(fake.u8).toString('base64');
    };
    port.rxsync();
    assert.equal(fake.gone, true);
    assert.equal(Buffer.from(fake.u8).toString('base64'), before);
    assert.equal(port.rxsync(), -EIO);
  });

  test('opened twice starts the loop once, and stops it with the last close', async () => {
    const ports = [driver.open(), driver.open()];
    await ports[0].close();
    await ports[0].close();
    const opening = [
      [HDR_LEN, 0],
      [PTCTL, 1],
    ];
    assert.deepEqual(fake.device.writes, opening);
    await ports[1].close();
    assert.deepEqual(fake.device.writes, [...opening, [PTCTL, 2]]);
    assert.equal(driver.netmapMode, false);
  });

  test('is refused with what PTCTL says, EIO for a number without a name, and can be opened later', () => {
    for (const [result, code] of [
      [12, 'ENOMEM'],
      [6, 'ENXIO'],
      [22, 'EINVAL'],
      [9999, 'EIO'],
    ] as const) {
      fake.result = result;
      assert.throws(() => driver.open(), { name: 'NetmapError', code, port: 'ptnet0' });
      assert.equal(driver.netmapMode, false);
    }
    fake.result = 0;
    assert.equal(driver.open().isOpen, true);
  });

  test('with a directory entry of 0, or one outside the region, is refused with ENXIO before CREATE', () => {
    for (const [entry, ofs] of [
      [0, 0],
      [0, -4096],
      [0, 0x20000],
      [2, 0],
      [2, 0x1ffff],
    ]) {
      fake.setDirectory(entry, ofs);
      assert.throws(() => driver.open(), { code: 'ENXIO', message: /directory entry/ });
      fake.setDirectory(0, TX_OFS);
      fake.setDirectory(2, RX_OFS);
    }
    assert.ok(fake.device.writes.every(([offset]) => offset === HDR_LEN));
    assert.equal(driver.open().isOpen, true);
  });

  test('rings the doorbell of a tx ring at each txsync, and of an rx ring when the host wants kicks', async () => {
    const port = driver.open();
    fake.device.writes.length = 0;
    port.txsync();
    assert.deepEqual(fake.device.writes, [[128, 1]]);
    port.rxsync();
    assert.deepEqual(fake.device.writes, [
      [128, 1],
      [132, 1],
    ]);
    fake.view.setUint32(fake.csb.ktoa + 64 + 8, 0, true); // kern_need_kick off
    port.rxsync();
    assert.equal(fake.device.writes.length, 2);
    assert.equal(driver.kicks, 2);
    assert.deepEqual([(await port.counters()).kicks, (await port.counters()).interrupts], [2, 0]);
  });

  test('publishes cur and head, and sees hwtail; what the application may not do never reaches the CSB', async () => {
    const port = driver.open();
    const [tx] = port.txRings;
    tx.advance(3);
    port.txsync();
    const word = (at: number): number => fake.view.getUint32(at, true);
    assert.deepEqual([word(fake.csb.atok), word(fake.csb.atok + 4)], [5, 5]);
    fake.view.setUint32(fake.csb.ktoa + 4, 4, true); // hwtail
    port.txsync();
    assert.equal(tx.tail, 4);
    for (const head of [4, 7, 8, 0xffffffff]) {
      tx.head = head;
      tx.cur = 5;
      assert.equal(port.txsync(), 0);
      assert.deepEqual([tx.head, tx.cur, word(fake.csb.atok)], [5, 5, 5]);
    }
    assert.equal((await port.counters()).reinits, 4);
  });

  test('detached stops and unmaps the device and takes no interrupts; a port left open changes nothing', async () => {
    const port = driver.open();
    fake.device.handler?.(0);
    assert.equal(driver.interrupts, 1);
    fake.device.writes.length = 0;
    driver.detach();
    driver.detach();
    const expected = [PTCTL, GH_BAH, GH_BAL, HG_BAH, HG_BAL].map((offset) => [offset, offset === PTCTL ? 2 : 0]);
    assert.deepEqual(fake.device.writes, expected);
    assert.equal(fake.device.handler, undefined);
    assert.throws(() => driver.open(), { code: 'ENXIO' });
    await port.close();
    assert.deepEqual(fake.device.writes, expected);
  });
});
