// Persistent VALE ports, and interfaces on bridges: VALE_NEWIF, VALE_DELIF, VALE_ATTACH, VALE_DETACH, VALE_LIST.
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { POLLIN } from '../../src/abi.js';
import type { ErrnoCode } from '../../src/errors.js';
import { type HostPort, Netmap, type NetmapInterface } from '../../src/index.js';

const small = { txSlots: 8, rxSlots: 8 };
const privatePools = { priv_buf_size: 128, priv_buf_num: 4, priv_ring_size: 512, priv_ring_num: 2 };
const mac = (n: number): number[] => [2, 0, 0, 0, 0, n];
const frame = (dst: number, src: number): Uint8Array => Uint8Array.of(...mac(dst), ...mac(src), 8, 0, dst, src);
const BROADCAST = 0xff;
const broadcast = (src: number): Uint8Array => frame(BROADCAST, src).fill(0xff, 0, 6);

/** Source addresses' last bytes of what the port has received by now. */
function taken(port: HostPort): number[] {
  port.rxsync();
  return port.recv().map((bytes) => bytes[11]);
}
function push(port: HostPort, ...frames: Uint8Array[]): void {
  for (const one of frames) assert.ok(port.trySend(one));
  port.txsync();
}

for (const shared of [true, false]) {
  describe(`interfaces on bridges (${shared ? 'shared' : 'unshared'} memory)`, () => {
    let netmap: Netmap;
    let clean: unknown;
    const opened: { close(): Promise<void> }[] = [];
    const persistent: string[] = [];
    const open = async (spec: string): Promise<HostPort> => {
      const port = await netmap.open(spec, small);
      opened.push(port);
      return port;
    };
    const add = async (name: string): Promise<NetmapInterface> => {
      const made = await netmap.addInterface(name, small);
      opened.push(made);
      return made;
    };
    const newif = async (name: string): Promise<void> => {
      await netmap.newInterface(name, small);
      persistent.push(name);
    };
    const rejects = (promise: Promise<unknown>, code: ErrnoCode): Promise<void> => assert.rejects(promise, { code });
    before(async () => {
      netmap = await Netmap.create({ memorySize: 1 << 25, shared, privatePools, maxBridges: 2 });
      clean = await netmap.inspect();
    });
    afterEach(async () => {
      for (const one of opened.splice(0)) await one.close();
      for (const { name } of await netmap.valeList()) await netmap.valeDetach(name).catch(() => {});
      for (const name of persistent.splice(0)) await netmap.deleteInterface(name).catch(() => {});
      assert.deepEqual(await netmap.inspect(), clean, 'something is left behind');
    });
    after(() => netmap.close());

    test('a persistent port exists unopened, and is used alone: what it sends is lost', async () => {
      const made = await netmap.newInterface('per0', { txRings: 99, rxSlots: 16, txSlots: 8 });
      persistent.push('per0');
      const { name, txRings, rxRings, txSlots, rxSlots } = made;
      assert.deepEqual([name, txRings, rxRings, txSlots, rxSlots], ['per0', 16, 1, 8, 16]);
      const port = await open('netmap:per0');
      assert.equal(port.memId, made.memId);
      push(port, frame(1, 2));
      assert.equal((await port.counters()).drops['noPort'], 1);
      await rejects(netmap.deleteInterface('per0'), 'EBUSY');
      await port.close();
      await netmap.deleteInterface('per0');
      await rejects(netmap.open('netmap:per0'), 'ENXIO');
    });

    test('NEWIF and DELIF refuse what netmap refuses', async () => {
      await newif('per0');
      await add('eth0');
      await rejects(netmap.newInterface('per0'), 'EEXIST');
      await rejects(netmap.newInterface('eth0'), 'EEXIST');
      await rejects(netmap.addInterface('per0'), 'EEXIST');
      await rejects(netmap.newInterface('vale0:a'), 'EINVAL');
      await rejects(netmap.newInterface('p'.repeat(16)), 'EINVAL');
      await rejects(netmap.newInterface('per1', { memId: 99 }), 'EINVAL');
      await rejects(netmap.newInterface('per1', { txSlots: -1 }), 'EINVAL');
      await rejects(netmap.deleteInterface('none'), 'ENXIO');
      await rejects(netmap.deleteInterface('eth0'), 'EINVAL');
      await rejects(netmap.removeInterface('per0'), 'EINVAL');
      const pipe = await open('netmap:p{1');
      await rejects(netmap.deleteInterface('p'), 'EINVAL');
      await rejects(netmap.valeAttach('vale0:p'), 'EINVAL');
      await pipe.close();
      const end = await open('netmap:per0{1');
      await rejects(netmap.deleteInterface('per0'), 'EBUSY');
      await end.close();
      await netmap.valeAttach('vale0:per0');
      await rejects(netmap.deleteInterface('per0'), 'EBUSY');
      await netmap.valeDetach('vale0:per0');
      await netmap.deleteInterface('per0');
    });

    test('a persistent port joins and leaves a bridge, open or not', async () => {
      await newif('per0');
      const a = await open('vale0:a');
      assert.equal(await netmap.valeAttach('vale0:per0'), 1);
      const port = await open('netmap:per0');
      push(port, frame(1, 9));
      push(a, frame(9, 1));
      assert.deepEqual([taken(a), taken(port)], [[9], [1]]);
      assert.equal(await netmap.valeDetach('vale0:per0'), 1);
      push(port, frame(1, 9));
      push(a, frame(9, 1), broadcast(1));
      assert.deepEqual([taken(a), taken(port)], [[], []]);
      await rejects(netmap.valeAttach('vale0:per0'), 'EBUSY');
      await port.close();
      assert.equal(await netmap.valeAttach('vale1:per0'), 0);
    });

    test('a NIC on a bridge: its wire is a port; nobody opens it meanwhile', async () => {
      const eth0 = await add('eth0');
      const a = await open('vale0:a');
      assert.equal(await netmap.valeAttach('vale0:eth0'), 1);
      push(eth0.wire, frame(1, 9));
      assert.deepEqual(taken(a), [9]);
      push(a, frame(9, 1), broadcast(1));
      assert.deepEqual(taken(eth0.wire), [1, 1]);
      assert.deepEqual(taken(eth0.stack), [], 'the host stack is not on the bridge');
      push(eth0.stack, frame(1, 8));
      assert.deepEqual([taken(a), taken(eth0.wire)], [[], []]);
      assert.equal((await eth0.stack.counters()).drops['noPort'], 1);
      for (const spec of ['netmap:eth0', 'netmap:eth0^', 'netmap:eth0{1']) await rejects(netmap.open(spec), 'EBUSY');
      await rejects(netmap.open('vale0:eth0'), 'EINVAL');
      await netmap.valeDetach('vale0:eth0');
      push(eth0.wire, frame(1, 9));
      assert.deepEqual([taken(a), taken(eth0.stack)], [[], [9]]);
      await open('netmap:eth0');
    });

    test('with its host rings, the host stack is a second port', async () => {
      const eth0 = await add('eth0');
      const a = await open('vale0:a');
      assert.equal(await netmap.valeAttach('vale0:eth0*'), 1);
      push(eth0.stack, broadcast(8));
      assert.deepEqual([taken(a), taken(eth0.wire)], [[8], [8]]);
      push(eth0.wire, frame(8, 9));
      assert.deepEqual([taken(a), taken(eth0.stack)], [[], [9]]);
      assert.deepEqual(await netmap.valeList(), [
        { name: 'vale0:a', bridgeIndex: 0, portIndex: 0 },
        { name: 'vale0:eth0', bridgeIndex: 0, portIndex: 1 },
        { name: 'vale0:eth0^', bridgeIndex: 0, portIndex: 2 },
      ]);
      await netmap.valeDetach('vale0:eth0');
      assert.equal((await netmap.valeList()).length, 1);
    });

    test('ATTACH and DETACH refuse what netmap refuses, and leave nothing behind', async () => {
      await add('eth0');
      await newif('per0');
      for (const spec of ['vale0:none', 'netmap:eth0', 'eth0', 'vale0:eth0^', 'vale0:eth0-0', 'vale-0:eth0', 'vale0']) {
        await rejects(netmap.valeAttach(spec), 'EINVAL');
      }
      assert.deepEqual(await netmap.valeList(), []);
      const port = await open('netmap:eth0-0/T');
      await rejects(netmap.valeAttach('vale0:eth0'), 'EBUSY');
      await port.close();
      await netmap.valeAttach('vale0:eth0');
      await rejects(netmap.valeAttach('vale0:eth0'), 'EBUSY');
      await rejects(netmap.valeAttach('vale1:eth0'), 'EBUSY');
      await netmap.valeAttach('vale1:per0');
      await add('eth1');
      await rejects(netmap.valeAttach('vale2:eth1'), 'ENOMEM');
      for (const spec of ['vale0:none', 'vale1:eth0', 'vale0:per0', 'vale2:eth0'])
        await rejects(netmap.valeDetach(spec), 'ENXIO');
      for (const spec of ['netmap:eth0', 'eth0', 'vale0']) await rejects(netmap.valeDetach(spec), 'EINVAL');
      assert.deepEqual(await netmap.valeList('vale0:none'), [{ name: 'vale0:none', bridgeIndex: 0, portIndex: 255 }]);
      await rejects(netmap.valeList('vale7:a'), 'ENOENT');
      await rejects(netmap.valeList('eth0'), 'EINVAL');
    });

    test('a NIC that is taken away leaves its bridge', async () => {
      const eth0 = await add('eth0');
      const a = await open('vale0:a');
      await netmap.valeAttach('vale0:eth0*');
      push(eth0.wire, frame(1, 9));
      const waits = a.poll(POLLIN, { timeout: 100 });
      await eth0.close();
      assert.equal(await waits, POLLIN);
      assert.equal((await netmap.valeList()).length, 1);
      push(a, frame(9, 1));
      assert.deepEqual((await netmap.inspect()).bridges[0].fdb, [{ mac: '02:00:00:00:00:01', port: 'vale0:a' }]);
    });
  });
}
