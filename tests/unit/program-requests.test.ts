// What a program with a memory of its own asks for, as its kernel hands it on: the real host gets the fields of a request
// and nothing else, and keeps nothing of one that fails.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { ProgramRequests } from '../../src/exec/program-requests.js';
import { hostUpstream, type Upstream } from '../../src/exec/upstream.js';
import { abi, Netmap } from '../../src/index.js';
import { REGISTER } from '../../src/ioctl/codec.js';
import type { DeviceAnswer, ProgramRequest } from '../../src/ioctl/messages.js';
import { ProgramHarness } from '../support/program-harness.js';

const BODY = { mode: abi.NR_REG_ALL_NIC, ringId: 0, memId: 0, flags: abi.NR_EXCLUSIVE };

let real: Netmap;
let own: Netmap;
/** What the real host was asked. */
let asked: ProgramRequest[];

beforeEach(async () => {
  real = await Netmap.create();
  own = await Netmap.create();
  asked = [];
});
afterEach(async () => {
  await own.close();
  await real.close();
});

/** A request of a program, or of who has written into its memory. */
async function send(request: Record<string, unknown>): Promise<DeviceAnswer> {
  const { open, ask, ...rest } = hostUpstream(real);
  const upstream: Upstream = {
    open: (given) => {
      asked.push(given);
      return open(given);
    },
    ask: (given) => {
      asked.push(given);
      return ask(given);
    },
    ...rest,
  };
  const requests = new ProgramRequests(upstream, (error) => assert.fail(error));
  requests.host = own;
  const file = own.openDevice();
  try {
    const next = (given: unknown): Promise<DeviceAnswer> => file.request(given as ProgramRequest);
    const args = {
      fd: file.fd,
      isOwner: true,
      type: abi.NETMAP_REQ_REGISTER,
      name: 'vale0:a',
      body: BODY,
      options: [],
    };
    return (await requests.intercept.device({ ...args, ...request }, next)) as DeviceAnswer;
  } finally {
    await requests.close();
    await file.close();
  }
}

test('the CSB and the offsets of a program are no addresses of the real host', async () => {
  const other = await real.open('netmap:p{1');
  const { regionBase: base } = other.info;
  const csb = { atok: base + 4096, ktoa: base + 8192, end: 2 ** 32 };
  const arrays = new Uint8Array(real.memory.buffer, base + 4096, 2 * 4096).fill(0xa5);
  const body = { ...BODY, shareRegion: 1 };
  await send({ body, options: [abi.NETMAP_REQ_OPT_CSB], csb, offsets: { max: 64, initial: 0, bits: 0 } });
  assert.ok(arrays.every((byte) => byte === 0xa5));
  assert.deepEqual(Object.keys(asked[0]).sort(), ['body', 'name', 'options', 'type']);
  assert.deepEqual(Object.keys(asked[0].body).sort(), Object.keys(REGISTER).sort());
});

test('a request that fails in the memory of the program leaves nothing behind on the host', async () => {
  const pools = { ring_num: 2 };
  await own.close();
  own = await Netmap.create({ pools });
  for (const mode of [abi.NR_REG_ALL_NIC, abi.NR_REG_NIC_SW]) {
    const nic = await real.addInterface('eth0');
    const before = await real.inspect();
    const { errno } = await send({ name: 'eth0', body: { ...BODY, mode } });
    assert.equal(errno, -abi.ENOMEM);
    assert.deepEqual((await real.inspect()).ports, before.ports);
    assert.equal((await own.inspect()).ports.length, 0);
    await nic.close();
  }
});

test('a close that overtakes a REGISTER comes after it, and a second REGISTER after the first: nothing stays bound', async () => {
  const program = await ProgramHarness.start(real);
  const before = [await real.inspect(), await program.own.inspect()];
  for (const mode of [abi.NR_REG_ALL_NIC, abi.NR_REG_NIC_SW]) {
    const nic = await real.addInterface('eth0');
    const descriptor = program.descriptor();
    const request = { name: 'eth0', body: { ...BODY, mode } };
    const answers = [descriptor.request(request), descriptor.request({ ...request, name: 'vale0:a' })];
    await descriptor.close();
    assert.deepEqual(
      (await Promise.all(answers)).map(({ errno }) => errno),
      [0, -abi.EBUSY],
    );
    await nic.close();
    assert.deepEqual([await real.inspect(), await program.own.inspect()], before);
  }
  await program.close();
});
