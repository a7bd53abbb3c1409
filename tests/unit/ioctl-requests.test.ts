// The requests about ports, regions and switches, as bytes.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import * as abi from '../../src/abi.js';
import { IoctlWorld, named, SLOTS } from '../support/ioctl-world.js';
import type { HeaderFields } from '../support/program.js';

const { NETMAP_REQ_PORT_INFO_GET: PORT_INFO, NETMAP_REQ_POOLS_INFO_GET: POOLS_INFO } = abi;
const { NETMAP_REQ_PORT_HDR_SET: HDR_SET, NETMAP_REQ_PORT_HDR_GET: HDR_GET, NETMAP_REQ_VALE_LIST: LIST } = abi;
const { NETMAP_REQ_VALE_ATTACH: ATTACH, NETMAP_REQ_VALE_DETACH: DETACH } = abi;
const { NETMAP_REQ_VALE_NEWIF: NEWIF, NETMAP_REQ_VALE_DELIF: DELIF } = abi;
const { NETMAP_REQ_VALE_POLLING_ENABLE: POLL_ON, NETMAP_REQ_VALE_POLLING_DISABLE: POLL_OFF } = abi;
const NIC = { ...SLOTS, memId: 1 };

let world: IoctlWorld;
beforeEach(async () => {
  world = await IoctlWorld.create();
});
afterEach(() => world.netmap.close());

/** Each row fails with its errno, writes nothing but headers of options, and leaves everything as it was. */
function refuses(rows: [what: string, errno: string, type: number, fields: HeaderFields][]): void {
  for (const [what, errno, type, fields] of rows) {
    test(`${what}: ${errno}`, async () => {
      await setUp();
      const before = await world.state();
      const option = world.program.option(77);
      const at = world.program.request(type, { ...fields, options: [option] });
      const bytes = world.program.snapshot();
      assert.equal(named(await world.file.ioctlAsync(abi.NIOCCTRL, at)), errno);
      assert.equal(world.program.status(option), abi.EOPNOTSUPP);
      new DataView(bytes.buffer).setUint32(option + 12, abi.EOPNOTSUPP, true);
      assert.deepEqual(world.program.bytes, bytes);
      assert.deepEqual(await world.state(), before);
    });
  }
}

/** A NIC e0, attached NIC e1 and persistent ports per0 and (attached, as is e1, to vale1) per1. */
async function setUp(): Promise<void> {
  const { netmap } = world;
  for (const name of ['e0', 'e1']) await netmap.addInterface(name, NIC);
  for (const name of ['per0', 'per1']) await netmap.newInterface(name, SLOTS);
  for (const name of ['e1', 'per1']) await netmap.valeAttach(`vale1:${name}`);
  await netmap.open('vale2:open', SLOTS);
  await netmap.open('netmap:per2{1', SLOTS);
}

describe('requests that are no requests', () => {
  refuses([
    ['type 0', 'EINVAL', 0, {}],
    ['type 16', 'EINVAL', 16, {}],
    ['type 65535', 'EINVAL', 65535, {}],
  ]);
});

describe('PORT_INFO_GET', () => {
  refuses([
    ['an interface that there is not', 'ENXIO', PORT_INFO, { name: 'eth9' }],
    ['a mem id that there is not', 'EINVAL', PORT_INFO, { name: 'vale0:a', body: { memId: 99 } }],
    ['a bad name', 'EINVAL', PORT_INFO, { name: 'vale0' }],
    ['no name, a mem id that there is not', 'EINVAL', PORT_INFO, { body: { memId: 99 } }],
    [
      'a port that does not fit',
      'ENOMEM',
      PORT_INFO,
      { name: 'vale0:a', body: { txSlots: 4096, rxSlots: 4096, txRings: 16, rxRings: 16 } },
    ],
  ]);

  test('makes the port for as long as it takes', async () => {
    const before = await world.state();
    const { body } = await world.get(PORT_INFO, { name: 'vale0:a', body: { txSlots: 16, rxSlots: 0, rxRings: 99 } });
    const { memsize, memId, ...counts } = body;
    assert.deepEqual(counts, { txSlots: 16, rxSlots: 1024, txRings: 1, rxRings: 16, hostTxRings: 0, hostRxRings: 0 });
    assert.ok(memsize > 0 && memId > 1);
    assert.deepEqual(await world.state(), before);
  });

  test('of an open port, of an attached one and of a NIC with host rings', async () => {
    await setUp();
    const port = await world.netmap.open('vale0:a', { ...SLOTS, rxRings: 2 });
    const { body } = await world.get(PORT_INFO, { name: 'vale0:a', body: { txSlots: 16 } });
    const { memsize, memId, txSlots, rxSlots } = port.info;
    assert.deepEqual(body, {
      memsize,
      memId,
      txSlots,
      rxSlots,
      txRings: 1,
      rxRings: 2,
      hostTxRings: 0,
      hostRxRings: 0,
    });
    for (const name of ['e0', 'e1']) {
      const nic = await world.get(PORT_INFO, { name });
      assert.deepEqual([nic.body['hostTxRings'], nic.body['hostRxRings'], nic.body['memId']], [1, 1, 1]);
    }
  });

  test('without a name is about a region; the rest of the body stays as it is', async () => {
    const body = { txSlots: 7, rxRings: 9, memsize: 3 };
    const unused = await world.get(PORT_INFO, { body });
    const keep = await world.netmap.open('netmap:n@1', { mode: abi.NR_REG_NULL });
    for (const memId of [0, 1]) {
      const reply = await world.get(PORT_INFO, { body: { ...body, memId } });
      assert.deepEqual(reply.body, { ...reply.body, ...body, memsize: keep.info.memsize, memId: 1 });
      assert.deepEqual(reply.body, unused.body, 'the size is known before anybody uses the region');
    }
  });
});

describe('POOLS_INFO_GET', () => {
  refuses([
    ['no name', 'ENXIO', POOLS_INFO, {}],
    ['a mem id that there is not', 'EINVAL', POOLS_INFO, { name: 'vale0:a', body: { memId: 99 } }],
  ]);

  test('says where the pools of a region are', async () => {
    const port = await world.netmap.open('vale0:a', SLOTS);
    const { body } = await world.get(POOLS_INFO, { name: 'vale0:a' });
    const [region] = (await world.netmap.inspect()).regions;
    const { memId, memsize, ...rest } = body;
    assert.deepEqual([memId, memsize], [region.memId, region.memsize]);
    assert.equal(rest['ifPoolOffset'], 0);
    const end = (pool: string): number =>
      rest[`${pool}PoolOffset`] + rest[`${pool}PoolObjtotal`] * rest[`${pool}PoolObjsize`];
    assert.equal(end('if'), rest['ringPoolOffset']);
    assert.equal(end('ring'), rest['bufPoolOffset']);
    assert.equal(end('buf'), memsize);
    assert.equal(rest['bufPoolObjsize'], port.txRings[0].bufSize);
    assert.equal(rest['bufPoolObjtotal'], port.info.numBufs);
  });
});

describe('PORT_HDR_SET and PORT_HDR_GET', () => {
  refuses([
    ['a length of 11', 'EINVAL', HDR_SET, { name: 'vale2:open', body: { length: 11 } }],
    ['a length of 2^32 - 1', 'EINVAL', HDR_SET, { name: 'vale2:open', body: { length: 2 ** 32 - 1 } }],
    ['a length of 11 of a port that there is not', 'EINVAL', HDR_SET, { name: 'vale2:none', body: { length: 11 } }],
    ['a port that there is not', 'ENXIO', HDR_SET, { name: 'vale2:none', body: { length: 12 } }],
    ['a NIC', 'ENXIO', HDR_SET, { name: 'e0', body: { length: 12 } }],
    ['a pipe', 'ENXIO', HDR_SET, { name: 'per2{1', body: { length: 12 } }],
    ['the length of a port that there is not', 'ENXIO', HDR_GET, { name: 'vale2:none' }],
    ['the length of no name', 'ENXIO', HDR_GET, {}],
    ['the length of a bad name', 'EINVAL', HDR_GET, { name: 'p{' }],
  ]);

  test('0, 10 and 12; pipes and NICs have 0', async () => {
    await setUp();
    for (const length of [12, 10, 0]) {
      await world.get(HDR_SET, { name: 'vale2:open', body: { length } });
      assert.deepEqual((await world.get(HDR_GET, { name: 'vale2:open', body: { length: 99 } })).body, { length });
    }
    for (const name of ['per2{1', 'e0', 'per0'])
      assert.deepEqual((await world.get(HDR_GET, { name })).body, { length: 0 });
  });
});

describe('VALE_LIST', () => {
  refuses([
    ['no VALE name', 'EINVAL', LIST, { name: 'e0' }],
    ['a bridge that there is not', 'ENOENT', LIST, { name: 'vale9:a' }],
    ['a position behind all', 'ENOENT', LIST, { body: { bridgeIndex: 9 } }],
    ['a port index behind all', 'ENOENT', LIST, { body: { bridgeIndex: 7, portIndex: 2 ** 32 - 1 } }],
  ]);

  test('by name', async () => {
    await setUp();
    const named1 = await world.get(LIST, { name: 'vale1:per1', body: { bridgeIndex: 7, portIndex: 7 } });
    assert.deepEqual(named1, { name: 'vale1:per1', body: { bridgeIndex: 0, portIndex: 1 } });
    const missing = await world.get(LIST, { name: 'vale2:none' });
    assert.deepEqual(missing.body, { bridgeIndex: 1, portIndex: abi.NM_BDG_NOPORT });
  });

  test('one after the other, as a caller iterates; indices of bridges do not move', async () => {
    await setUp();
    await world.netmap.valeDetach('vale1:e1');
    await world.netmap.valeDetach('vale1:per1');
    const found: unknown[] = [];
    for (let next = { bridgeIndex: 0, portIndex: 0 }; ; next.portIndex++) {
      const at = world.program.request(LIST, { body: next });
      const result = await world.file.ioctlAsync(abi.NIOCCTRL, at);
      if (result !== 0) {
        assert.equal(named(result), 'ENOENT');
        break;
      }
      const { name, body } = world.program.reply(at);
      found.push([name, body['bridgeIndex'], body['portIndex']]);
      next = body as typeof next;
    }
    assert.deepEqual(found, [['vale2:open', 1, 0]]);
    await world.netmap.valeAttach('vale3:e0*');
    assert.deepEqual((await world.get(LIST)).body, { bridgeIndex: 0, portIndex: 0 }, 'the free place is taken again');
    assert.equal((await world.get(LIST, { body: { portIndex: 1 } })).name, 'vale3:e0^');
  });
});

describe('VALE_ATTACH and VALE_DETACH', () => {
  const body = { mode: abi.NR_REG_ALL_NIC };
  refuses([
    ['attach: a mem id that there is not', 'EINVAL', ATTACH, { name: 'vale0:e0', body: { ...body, memId: 99 } }],
    ['attach: no VALE name', 'EINVAL', ATTACH, { name: 'e0', body }],
    ['attach: a bad switch', 'EINVAL', ATTACH, { name: 'vale0', body }],
    ['attach: an interface that there is not', 'EINVAL', ATTACH, { name: 'vale0:e9', body }],
    ['attach: what is attached', 'EBUSY', ATTACH, { name: 'vale1:e1', body }],
    ['attach: what is attached elsewhere', 'EBUSY', ATTACH, { name: 'vale0:per1', body }],
    ['attach: mode DEFAULT', 'EINVAL', ATTACH, { name: 'vale0:e0', body: {} }],
    ['attach: one ring', 'EINVAL', ATTACH, { name: 'vale0:e0', body: { mode: abi.NR_REG_ONE_NIC } }],
    ['attach: a ring id', 'EINVAL', ATTACH, { name: 'vale0:e0', body: { ...body, ringId: 1 } }],
    ['detach: what is not attached', 'ENXIO', DETACH, { name: 'vale1:e0' }],
    ['detach: from another switch', 'ENXIO', DETACH, { name: 'vale2:e1' }],
    ['detach: a port that is no interface', 'ENXIO', DETACH, { name: 'vale2:open' }],
    ['detach: no VALE name', 'EINVAL', DETACH, { name: 'e1' }],
  ]);

  test('an interface that is open: EBUSY', async () => {
    await setUp();
    const port = await world.netmap.open('netmap:e0');
    assert.equal(await world.ctrl(ATTACH, { name: 'vale0:e0', body }), 'EBUSY');
    await port.close();
    assert.equal(await world.ctrl(ATTACH, { name: 'vale0:e0', body }), '');
  });

  test('give the port index; the rest of the body comes back as it was', async () => {
    await setUp();
    const asked = { ...body, txSlots: 77, memId: 1, flags: 0x800 };
    const attached = await world.get(ATTACH, { name: 'vale1:per0', body: asked });
    assert.deepEqual(attached.body, { ...attached.body, ...asked, memsize: 0, portIndex: 2 });
    assert.deepEqual((await world.get(DETACH, { name: 'vale1:per0' })).body, { portIndex: 2 });
    await world.get(ATTACH, { name: 'vale4:e0', body: { mode: abi.NR_REG_NIC_SW } });
    assert.deepEqual(
      (await world.netmap.valeList()).filter(({ name }) => name.startsWith('vale4')).map(({ name }) => name),
      ['vale4:e0', 'vale4:e0^'],
    );
  });
});

describe('VALE_NEWIF and VALE_DELIF', () => {
  refuses([
    ['newif: a VALE name', 'EINVAL', NEWIF, { name: 'vale0:a' }],
    ['newif: no name', 'EINVAL', NEWIF, {}],
    ['newif: a name of 16 bytes', 'EINVAL', NEWIF, { name: '0123456789abcdef' }],
    ['newif: an interface that there is', 'EEXIST', NEWIF, { name: 'per0', body: { txSlots: 9 } }],
    ['newif: a NIC that there is', 'EEXIST', NEWIF, { name: 'e0' }],
    ['newif: a mem id that there is not', 'EINVAL', NEWIF, { name: 'per9', body: { memId: 99 } }],
    ['delif: an interface that there is not', 'ENXIO', DELIF, { name: 'per9' }],
    ['delif: a NIC', 'EINVAL', DELIF, { name: 'e0' }],
    ['delif: an ephemeral port, which is no interface', 'ENXIO', DELIF, { name: 'vale2:open' }],
    ['delif: a pipe, which is none', 'ENXIO', DELIF, { name: 'per2{1' }],
    ["delif: a pipe's own parent", 'EINVAL', DELIF, { name: 'per2' }],
    ['delif: what is attached', 'EBUSY', DELIF, { name: 'per1' }],
  ]);

  test('clamp the counts, and give a port that can be opened', async () => {
    const before = await world.state();
    const { body } = await world.get(NEWIF, {
      name: 'per0',
      body: { txSlots: 16, rxSlots: 8, txRings: 0, rxRings: 99 },
    });
    assert.deepEqual({ ...body, memId: 0 }, { txSlots: 16, rxSlots: 8, txRings: 1, rxRings: 16, memId: 0 });
    const port = await world.netmap.open('netmap:per0');
    assert.equal(port.memId, body['memId']);
    assert.equal(await world.ctrl(DELIF, { name: 'per0' }), 'EBUSY');
    await port.close();
    assert.equal(await world.ctrl(DELIF, { name: 'per0' }), '');
    assert.deepEqual(await world.state(), before);
  });
});

describe('VALE_POLLING_ENABLE and DISABLE', () => {
  refuses(
    [POLL_ON, POLL_OFF].flatMap((type): Parameters<typeof refuses>[0] => [
      [`${type}: no VALE name`, 'EINVAL', type, { name: 'e1' }],
      [`${type}: what is not attached`, 'ENXIO', type, { name: 'vale1:e0' }],
      [`${type}: a persistent port`, 'EOPNOTSUPP', type, { name: 'vale1:per1', body: { mode: 1, cpus: 1 } }],
      [`${type}: nobody`, 'ENXIO', type, { name: 'vale1:no', body: { mode: 1, cpus: 1 } }],
    ]),
  );
  // With loop workers: tests/threads/polling.test.ts.
  refuses([
    ['no loop worker', 'EOPNOTSUPP', POLL_ON, { name: 'vale1:e1', body: { mode: 1, cpus: 1 } }],
    ['what is not polled', 'EFAULT', POLL_OFF, { name: 'vale1:e1' }],
  ]);
});
