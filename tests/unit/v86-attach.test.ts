// attachPtnet that fails half way, in a v86 that is only pretended: the emulator and the host are as they were.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { Netmap } from '../../src/control/netmap.js';
import { attachPtnet, type V86Port } from '../../src/hosts/v86.js';
import { FakeV86 } from '../support/fake-v86.js';

let netmap: Netmap;
let v86: FakeV86;
let ports: V86Port[];

beforeEach(async () => {
  netmap = await Netmap.create({ memorySize: 512 << 20, privatePools: { priv_buf_num: 64, priv_ring_num: 4 } });
  v86 = new FakeV86();
  const small = { netmap, txSlots: 8, rxSlots: 8 };
  ports = [
    { ...small, name: 'vale0:a' },
    { ...small, name: 'vale0:b' },
  ];
});
afterEach(() => netmap.close());

/** What can be seen of the host. */
async function hostState(): Promise<object> {
  const { ports: open, guests, regions, bridges } = await netmap.inspect();
  return { names: open.map(({ name }) => name), guests, regions, bridges: bridges.length };
}

/** Attaching what fails, and then what does not. */
async function failsWhole(attach: () => Promise<unknown>, expected: object): Promise<void> {
  const [emulator, host] = [v86.state, await hostState()];
  await assert.rejects(attach(), expected);
  assert.deepEqual(v86.state, emulator);
  assert.deepEqual(await hostState(), host);
}

test('a fault at every step', { timeout: 120_000 }, async () => {
  let steps = 0;
  v86.onChange = () => void steps++;
  await (await attachPtnet(v86, ports)).close();
  assert.ok(steps > 2 * 2 * (128 + 256), 'all ports of the BARs');
  for (let n = 1; n <= steps; n++) {
    v86 = new FakeV86();
    let step = 0;
    v86.onChange = () => {
      if (++step === n) throw new Error(`step ${n}`);
    };
    await failsWhole(() => attachPtnet(v86, ports), { message: `step ${n}` });
  }
  await attachPtnet(v86, ports);
});

test('no slot left for the second device', async () => {
  for (let i = 0; i < 5; i++) await attachPtnet(v86, { ...ports[0], name: `vale1:${i}` }); // a memdev and a ptnet each
  await failsWhole(() => attachPtnet(v86, ports), { code: 'ENOSPC' });
});

test('no address left for the second region’s BAR, no memory left for the region', async () => {
  await netmap.close();
  netmap = await Netmap.create({ memorySize: 1 << 30, privatePools: { priv_buf_num: 64, priv_ring_num: 4 } });
  const port = (name: string, extraBufs: number): V86Port => ({ netmap, name, txSlots: 8, rxSlots: 8, extraBufs });
  const large = 140_000; // buffers: more than 256 MiB, so a BAR of 512
  const mine = [port('vale0:a', 8), port('vale0:b', large)];
  await attachPtnet(v86, port('vale1:a', 8));
  await attachPtnet(v86, port('vale1:b', large));
  await failsWhole(() => attachPtnet(v86, mine), { code: 'ENOSPC' });
  const twice = [port('vale0:a', 8), port('vale0:b', 3 * large)];
  await failsWhole(() => attachPtnet(v86, twice), { code: 'ENOMEM' });
});

test('a name that cannot be opened, a host that is full, a make that is not known', async () => {
  await failsWhole(() => attachPtnet(v86, [...ports, { netmap, name: 'netmap:nothing' }]), { code: 'ENXIO' });
  await failsWhole(() => attachPtnet(v86, [...ports, { netmap, name: 'vale0:a' }]), { code: 'EBUSY' });
  const { io } = v86.v86.cpu;
  v86.v86.cpu['io'] = { ...(io as object), ports: undefined };
  await failsWhole(() => attachPtnet(v86, ports), { code: 'EOPNOTSUPP' });
});
