// REGISTER as bytes: each way to fail, what is left behind, what comes back; the typed call is the same.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import * as abi from '../../src/abi.js';
import { IoctlWorld, named, SLOTS } from '../support/ioctl-world.js';
import type { HeaderFields } from '../support/program.js';
import { u64s } from '../support/program.js';

const { NETMAP_REQ_REGISTER: REGISTER, NETMAP_REQ_OPT_CSB: CSB, NETMAP_REQ_OPT_OFFSETS: OFFSETS } = abi;
const { NR_RX_RINGS_ONLY, NR_TX_RINGS_ONLY } = abi;
const ALL = { mode: abi.NR_REG_ALL_NIC, ...SLOTS };

const { EINVAL, EFAULT, EOPNOTSUPP, EBUSY } = abi;
const ERRNOS: Record<string, number> = { EINVAL, EFAULT, EOPNOTSUPP, EBUSY };

let world: IoctlWorld;
beforeEach(async () => {
  world = await IoctlWorld.create(true);
});
afterEach(() => world.netmap.close());

describe('fails, leaves nothing, and the descriptor can be bound then', () => {
  const rows: [string, string, HeaderFields][] = [
    ['a mem id that there is not', 'EINVAL', { name: 'vale0:a', body: { ...ALL, memId: 7 } }],
    ['mode DEFAULT', 'EINVAL', { name: 'vale0:a', body: { ...ALL, mode: 0 } }],
    ['mode PIPE_MASTER', 'EINVAL', { name: 'vale0:a', body: { ...ALL, mode: 5 } }],
    ['mode PIPE_SLAVE', 'EINVAL', { name: 'vale0:a', body: { ...ALL, mode: 6 } }],
    [
      'mode PIPE_MASTER without rings',
      'EINVAL',
      { name: 'vale0:a', body: { ...ALL, mode: 5, flags: NR_RX_RINGS_ONLY | NR_TX_RINGS_ONLY } },
    ],
    ['mode 9', 'EINVAL', { name: 'vale0:a', body: { ...ALL, mode: 9 } }],
    ['mode 2^32 - 1', 'EINVAL', { name: 'vale0:a', body: { ...ALL, mode: 0xffffffff } }],
    ['host rings of a port without', 'EINVAL', { name: 'vale0:a', body: { ...ALL, mode: abi.NR_REG_SW } }],
    ['NIC and host rings', 'EINVAL', { name: 'vale0:a', body: { ...ALL, mode: abi.NR_REG_NIC_SW } }],
    ['one host ring', 'EINVAL', { name: 'vale0:a', body: { ...ALL, mode: abi.NR_REG_ONE_SW } }],
    ['a ring that there is not', 'EINVAL', { name: 'vale0:a', body: { ...ALL, mode: abi.NR_REG_ONE_NIC, ringId: 1 } }],
    ['an interface that there is not', 'ENXIO', { name: 'eth0', body: ALL }],
    ['no name', 'ENXIO', { name: '', body: ALL }],
    ['a name that is not UTF-8', 'EINVAL', { name: Uint8Array.of(0x76, 0xff), body: ALL }],
    ['a pipe without id', 'EINVAL', { name: 'p{', body: ALL }],
    ['a pipe without parent', 'EINVAL', { name: '{1', body: ALL }],
    ['a pipe in mode SW', 'EINVAL', { name: 'p{1', body: { ...ALL, mode: abi.NR_REG_SW } }],
    [
      'a pipe in mode SW without rings',
      'EINVAL',
      { name: 'p{1', body: { ...ALL, mode: abi.NR_REG_SW, flags: NR_RX_RINGS_ONLY | NR_TX_RINGS_ONLY } },
    ],
    ['a switch without colon', 'EINVAL', { name: 'vale0', body: ALL }],
    ['a switch with a long name', 'EINVAL', { name: 'vale012345678901:a', body: ALL }],
    ['a null port without mem id', 'EINVAL', { name: 'n', body: { mode: abi.NR_REG_NULL } }],
    [
      'a null port with rings without slots',
      'EINVAL',
      { name: 'n', body: { mode: abi.NR_REG_NULL, memId: 1, txRings: 1 } },
    ],
    [
      'a null port with more rings than the region has',
      'ENOMEM',
      { name: 'n', body: { mode: abi.NR_REG_NULL, memId: 1, txRings: 200, txSlots: 4 } },
    ],
    [
      'a null port with rings of 2^32 - 1 slots',
      'ENOMEM',
      { name: 'n', body: { mode: abi.NR_REG_NULL, memId: 1, txRings: 1, txSlots: 2 ** 32 - 1 } },
    ],
    [
      'a null port with 65535 rings of 2^32 - 1 slots',
      'ENOMEM',
      {
        name: 'n',
        body: { mode: abi.NR_REG_NULL, memId: 1, txRings: 65535, rxRings: 65535, txSlots: 2 ** 32 - 1, rxSlots: 1 },
      },
    ],
    ['rings that do not fit the region', 'ENOMEM', { name: 'vale0:a', body: { ...ALL, memId: 1, txSlots: 4096 } }],
    ['more extra buffers than the arena', 'ENOMEM', { name: 'vale0:a', body: { ...ALL, extraBufs: 2 ** 32 - 1 } }],
  ];
  for (const [what, errno, fields] of rows) {
    test(`${what}: ${errno}`, async () => {
      const before = await world.state();
      const at = world.program.request(REGISTER, fields);
      const bytes = world.program.snapshot();
      assert.equal(named(await world.file.ioctlAsync(abi.NIOCCTRL, at)), errno);
      assert.deepEqual(world.program.bytes, bytes, 'nothing has been written');
      assert.deepEqual(await world.state(), before);
      assert.equal(await world.ctrl(REGISTER, { name: 'vale0:a', body: ALL }), '');
    });
  }

  test('a descriptor that is bound: EBUSY, before anything else', async () => {
    await world.get(REGISTER, { name: 'vale0:a', body: ALL });
    const before = await world.state();
    for (const fields of [
      { name: 'vale0:b', body: ALL },
      { name: 'eth0', body: { mode: 5, memId: 9 } },
    ]) {
      assert.equal(await world.ctrl(REGISTER, fields), 'EBUSY');
    }
    assert.deepEqual(await world.state(), before);
  });

  test('rings that are held exclusively, and exclusiveness where rings are held: EBUSY', async () => {
    const other = world.open();
    const flags = abi.NR_EXCLUSIVE;
    await world.get(REGISTER, { name: 'vale0:a', body: { ...ALL, flags } });
    const before = await world.state();
    assert.equal(await world.ctrl(REGISTER, { name: 'vale0:a', body: ALL }, other), 'EBUSY');
    assert.deepEqual(await world.state(), before);
    await world.file.close();
    await world.get(REGISTER, { name: 'vale0:a', body: ALL }, other);
    assert.equal(await world.ctrl(REGISTER, { name: 'vale0:a', body: { ...ALL, flags } }, world.open()), 'EBUSY');
  });

  test('a port with a header that is not accepted: EIO', async () => {
    await world.get(REGISTER, { name: 'vale0:a', body: ALL });
    await world.get(abi.NETMAP_REQ_PORT_HDR_SET, { name: 'vale0:a', body: { length: 12 } });
    const other = world.open();
    assert.equal(await world.ctrl(REGISTER, { name: 'vale0:a', body: ALL }, other), 'EIO');
    const flags = abi.NR_ACCEPT_VNET_HDR;
    assert.equal(await world.ctrl(REGISTER, { name: 'vale0:a', body: { ...ALL, flags } }, other), '');
  });
});

describe('options', () => {
  const csb = (atok: number | bigint, ktoa: number | bigint): number =>
    world.program.option(CSB, { rest: u64s(atok, ktoa) });
  const exclusive = { name: 'vale0:a', body: { ...ALL, flags: abi.NR_EXCLUSIVE } };

  test('that nobody takes make it fail with EOPNOTSUPP, and undo it', async () => {
    for (const type of [6, 0xffffffff, abi.NETMAP_REQ_OPT_SYNC_KLOOP_MODE, 2]) {
      const before = await world.state();
      const area = world.program.alloc(256);
      const options = [csb(area, area + 128), world.program.option(type)];
      assert.equal(await world.ctrl(REGISTER, { ...exclusive, options }), 'EOPNOTSUPP');
      assert.deepEqual(
        options.map((option) => world.program.status(option)),
        [0, abi.EOPNOTSUPP],
        String(type),
      );
      assert.deepEqual(await world.state(), before);
      world.program.reset();
    }
  });

  test('do not hide an error that comes before they are looked at', async () => {
    const option = world.program.option(99);
    assert.equal(await world.ctrl(REGISTER, { name: 'eth0', body: ALL, options: [option] }), 'ENXIO');
    assert.equal(world.program.status(option), abi.EOPNOTSUPP);
  });

  const errors: [string, string, number | bigint, number | bigint][] = [
    ['atok that is not aligned', 'EINVAL', 4100, 8192],
    ['ktoa that is not aligned', 'EINVAL', 4096, 8193],
    ['atok that is not aligned, beyond 2^53', 'EINVAL', 2n ** 64n - 1n, 8192],
    ['atok outside', 'EFAULT', 1 << 20, 8192],
    ['ktoa outside', 'EFAULT', 4096, 2n ** 64n - 64n],
    ['atok that goes over the end', 'EFAULT', 65536 - 64, 8192],
    ['atok at 0', 'EFAULT', 0, 8192],
    ['atok outside, before ktoa that is not aligned', 'EFAULT', 1 << 20, 8193],
  ];
  for (const [what, errno, atok, ktoa] of errors) {
    test(`CSB with ${what}: ${errno}, and it is undone`, async () => {
      const before = await world.state();
      const bytes = world.program.bytes.slice(4096, 16384);
      const option = csb(atok, ktoa);
      assert.equal(await world.ctrl(REGISTER, { ...exclusive, options: [option] }), errno);
      assert.equal(world.program.status(option), ERRNOS[errno]);
      assert.deepEqual(await world.state(), before);
      assert.deepEqual(world.program.bytes.slice(4096, 16384), bytes);
    });
  }

  test('CSB without NR_EXCLUSIVE: EINVAL; without rings: nothing is done', async () => {
    const option = csb(4096, 8192);
    assert.equal(await world.ctrl(REGISTER, { name: 'vale0:a', body: ALL, options: [option] }), 'EINVAL');
    assert.equal(world.program.status(option), abi.EINVAL);
    const flags = NR_RX_RINGS_ONLY | NR_TX_RINGS_ONLY;
    const idle = csb(1, 1);
    assert.equal(await world.ctrl(REGISTER, { name: 'vale0:a', body: { ...ALL, flags }, options: [idle] }), '');
    assert.equal(world.program.status(idle), 0);
  });

  test('CSB initialises both arrays: tx rings first; syncs are then refused', async () => {
    const [atok, ktoa] = [world.program.alloc(128), world.program.alloc(128)];
    world.program.bytes.fill(0xee, atok, atok + 128);
    world.program.bytes.fill(0xee, ktoa, ktoa + 128);
    const option = csb(atok, ktoa);
    assert.equal(await world.ctrl(REGISTER, { ...exclusive, options: [option] }), '');
    assert.equal(world.program.status(option), 0);
    const words = (at: number): number[] =>
      Array.from({ length: 4 }, (_, i) => world.program.view.getUint32(at + 4 * i, true));
    assert.deepEqual(
      [words(atok), words(atok + 64)],
      [
        [0, 0, 1, 1],
        [0, 0, 1, 1],
      ],
    );
    assert.deepEqual(
      [words(ktoa), words(ktoa + 64)],
      [
        [0, 7, 1, 0],
        [0, 0, 1, 0],
      ],
    );
    for (const sync of [abi.NIOCTXSYNC, abi.NIOCRXSYNC]) assert.equal(world.file.ioctl(sync), -abi.EBUSY);
    assert.ok((world.file.port?.pollOnce(abi.POLLIN) ?? 0) & abi.POLLERR);
  });

  test('CSB of a program with a memory of its own: EOPNOTSUPP, after the other checks', async () => {
    const own = await IoctlWorld.create();
    const before = await own.state();
    for (const [flags, atok, errno] of [
      [abi.NR_EXCLUSIVE, 4096, 'EOPNOTSUPP'],
      [abi.NR_EXCLUSIVE, 4097, 'EINVAL'],
      [0, 4096, 'EINVAL'],
    ] as const) {
      const option = own.program.option(CSB, { rest: u64s(atok, 8192) });
      const fields = { name: 'vale0:a', body: { ...ALL, flags }, options: [option] };
      assert.equal(await own.ctrl(REGISTER, fields), errno);
      assert.equal(own.program.status(option), ERRNOS[errno]);
      assert.deepEqual(await own.state(), before);
    }
    await own.netmap.close();
  });

  const offsets = (max: number | bigint, initial: number | bigint = 0, bits = 0): number =>
    world.program.option(OFFSETS, { rest: u64s(max, initial, bits, 0) });
  const refused: [string, string, number | bigint, number | bigint, number][] = [
    ['more than 64 bits', 'EINVAL', 16, 0, 65],
    ['more than 64 bits, before an offset beyond the buffers', 'EINVAL', 129, 0, 65],
    ['an offset beyond the buffers', 'EINVAL', 129, 0, 0],
    ['an offset beyond 2^63', 'EINVAL', 2n ** 63n, 0, 64],
    ['an offset that does not fit its bits', 'EINVAL', 16, 0, 4],
    ['an initial offset beyond the largest', 'EINVAL', 16, 17, 0],
    ['an initial offset of 2^64 - 1', 'EINVAL', 16, 2n ** 64n - 1n, 0],
  ];
  for (const [what, errno, max, initial, bits] of refused) {
    test(`OFFSETS with ${what}: ${errno}`, async () => {
      const before = await world.state();
      const option = offsets(max, initial, bits);
      assert.equal(await world.ctrl(REGISTER, { name: 'vale0:a', body: ALL, options: [option] }), errno);
      assert.equal(world.program.status(option), ERRNOS[errno]);
      assert.deepEqual(await world.state(), before);
    });
  }

  test('OFFSETS: rings that have some keep them, and say so', async () => {
    const first = offsets(64, 8, 8);
    assert.equal(await world.ctrl(REGISTER, { name: 'vale0:a', body: ALL, options: [first] }), '');
    assert.equal(world.program.status(first), 0);
    assert.equal(world.file.port?.info.maxOffset, 64);
    const second = offsets(16, 0, 5);
    assert.equal(await world.ctrl(REGISTER, { name: 'vale0:a', body: ALL, options: [second] }, world.open()), '');
    assert.equal(world.program.status(second), 0);
    assert.equal(world.program.view.getBigUint64(second + 24, true), 64n);
    const larger = offsets(65);
    assert.equal(await world.ctrl(REGISTER, { name: 'vale0:a', body: ALL, options: [larger] }, world.open()), 'EBUSY');
    assert.equal(world.program.status(larger), abi.EBUSY);
  });

  test('OFFSETS with any gap and alignment: they have no effect, and come back as they were', async () => {
    const tails = [
      u64s(8, 0n | (1n << 32n), 1),
      u64s(64, 0xffff_ffffn << 32n, 2n ** 64n - 1n),
      u64s(0, 3n << 32n, 4096),
    ];
    for (const [i, tail] of tails.entries()) {
      const option = world.program.option(OFFSETS, {
        rest: Uint8Array.from([...tail.subarray(0, 8), ...u64s(0), ...tail.subarray(8)]),
      });
      const rest = world.program.bytes.slice(option + 24, option + 56);
      const file = world.open();
      assert.equal(await world.ctrl(REGISTER, { name: `vale0:${i}`, body: ALL, options: [option] }, file), '');
      assert.equal(world.program.status(option), 0);
      assert.deepEqual(world.program.bytes.slice(option + 24, option + 56), rest);
      const rings = [...(file.port?.txRings ?? []), ...(file.port?.rxRings ?? [])];
      const view = new DataView(world.netmap.memory.buffer);
      for (const { ptr } of rings) assert.equal(view.getBigUint64(ptr + abi.NETMAP_RING_BUF_ALIGN, true), 0n);
      await file.close();
    }
  });

  test('OFFSETS of a request that fails before it, and of one that fails after it', async () => {
    const early = offsets(129);
    assert.equal(await world.ctrl(REGISTER, { name: 'eth0', body: ALL, options: [early] }), 'ENXIO');
    assert.equal(world.program.status(early), abi.EOPNOTSUPP);
    const late = [offsets(16), csb(1, 1)];
    assert.equal(await world.ctrl(REGISTER, { ...exclusive, options: late }), 'EINVAL');
    assert.deepEqual(
      late.map((option) => world.program.status(option)),
      [0, abi.EINVAL],
    );
  });
});

describe('success', () => {
  test('byte for byte: what is in, what is out', async () => {
    const { program } = world;
    const { view } = program;
    const [header, body] = [program.alloc(88), program.alloc(56)];
    view.setUint16(header, 14, true);
    view.setUint16(header + 2, 1, true);
    program.bytes.set(new TextEncoder().encode('vale7:x'), header + 8);
    view.setBigUint64(header + 80, BigInt(body), true);
    view.setUint32(body + 16, 16, true); // nr_tx_slots
    view.setUint32(body + 20, 32, true); // nr_rx_slots
    view.setUint16(body + 24, 2, true); // nr_tx_rings
    view.setUint16(body + 26, 100, true); // nr_rx_rings: too many
    view.setUint16(body + 28, 5, true); // nr_host_tx_rings
    view.setUint16(body + 34, 3, true); // nr_ringid: not used
    view.setUint32(body + 36, 1, true); // nr_mode
    view.setUint32(body + 40, 3, true); // nr_extra_bufs
    view.setBigUint64(body + 48, 0x8000_0000_8003_0800n, true); // nr_flags, some unknown
    assert.equal(await world.file.ioctlAsync(0xc0586997, header), 0);
    const { port } = world.file;
    assert.ok(port);
    assert.equal(view.getBigUint64(body, true), BigInt(port.info.offset));
    assert.equal(view.getBigUint64(body + 8, true), BigInt(port.info.memsize));
    assert.deepEqual(
      [16, 20].map((at) => view.getUint32(body + at, true)),
      [16, 32],
    );
    assert.deepEqual(
      [24, 26, 28, 30, 32, 34].map((at) => view.getUint16(body + at, true)),
      [2, 16, 0, 0, port.memId, 3],
    );
    assert.deepEqual(
      [36, 40, 44].map((at) => view.getUint32(body + at, true)),
      [1, 3, 0],
    );
    assert.equal(view.getBigUint64(body + 48, true), 0x8000_0000_8003_0800n);
    assert.equal(port.txRings.length, 2);
    assert.equal(port.rxRings.length, 16);
    assert.ok(port.info.flags & abi.NR_EXCLUSIVE);
  });

  test('is what the typed call gives', async () => {
    const rows: { spec: string; name: string; mode: number; body: Record<string, number> }[] = [
      { spec: 'vale0:a', name: 'vale0:a', mode: abi.NR_REG_ALL_NIC, body: {} },
      { spec: 'vale0:b-1', name: 'vale0:b', mode: abi.NR_REG_ONE_NIC, body: { ringId: 1, txRings: 2, rxRings: 3 } },
      { spec: 'vale0:c/R', name: 'vale0:c', mode: abi.NR_REG_ALL_NIC, body: { extraBufs: 5, flags: NR_RX_RINGS_ONLY } },
      { spec: 'netmap:p{1/x', name: 'p{1', mode: abi.NR_REG_ALL_NIC, body: { flags: abi.NR_EXCLUSIVE } },
      { spec: 'netmap:n@1', name: 'n', mode: abi.NR_REG_NULL, body: { memId: 1, txRings: 1, rxRings: 1 } },
    ];
    for (const { spec, name, mode, body } of rows) {
      const asked: Record<string, number> = { txSlots: 16, rxSlots: 8, mode, ...body };
      const typed = await world.netmap.open(spec, { ...asked, mode });
      const { info } = typed;
      await typed.close();
      const file = world.open();
      const reply = await world.get(REGISTER, { name, body: asked }, file);
      // A region of its own gets the next mem id.
      const { fd: _fd, memId, ...rest } = info;
      const { fd: _fd2, memId: memId2, ...rest2 } = file.port?.info ?? assert.fail();
      const numbers = ({ tx: t, rx: r, name: n, ...left }: typeof rest) => ({
        ...left,
        tx: t.length,
        rx: r.length,
        n: n.replace(/#.*/, ''),
      });
      assert.deepEqual(numbers(rest2), numbers(rest), spec);
      assert.equal(memId2 === 1, memId === 1);
      const { offset, memsize, txSlots, rxSlots, extraBufs } = info;
      const got = reply.body;
      assert.deepEqual({ ...got, offset, memsize, txSlots, rxSlots, extraBufs, memId: memId2 }, got, spec);
      await file.close();
    }
  });

  test('of descriptors that are closed leaves the pools as they were', async () => {
    const keeper = await world.netmap.open('vale0:keeper', SLOTS);
    const before = await world.state();
    for (let i = 0; i < 3; i++) {
      const file = world.open();
      const body = { ...ALL, memId: keeper.memId, extraBufs: 2, flags: abi.NR_EXCLUSIVE };
      const area = world.program.alloc(256);
      const options = [world.program.option(CSB, { rest: u64s(area, area + 128) })];
      assert.equal(await world.ctrl(REGISTER, { name: `vale0:x${i}`, body, options }, file), '');
      if (i === 1) await file.port?.close();
      else await file.close();
      assert.equal(await file.ioctlAsync(abi.NIOCTXSYNC), -abi.EBADF);
      assert.equal(file.port?.isOpen, false);
    }
    assert.deepEqual(await world.state(), before);
  });
});

describe('monitors', () => {
  test('of a port that is not open: EINVAL; of an interface that there is not: ENXIO', async () => {
    const body = { ...ALL, flags: abi.NR_MONITOR_RX };
    const before = await world.state();
    assert.equal(await world.ctrl(REGISTER, { name: 'vale0:a', body }), 'EINVAL');
    assert.equal(await world.ctrl(REGISTER, { name: 'eth0', body }), 'ENXIO');
    assert.equal(await world.ctrl(REGISTER, { name: 'vale0:a', body: { ...body, memId: 9 } }), 'EINVAL');
    assert.deepEqual(await world.state(), before);
  });

  test('are bound; a zero-copy one is said to be one of both directions', async () => {
    const parent = await world.netmap.open('netmap:p{1', SLOTS);
    const before = await world.state();
    for (const [flags, expected] of [
      [abi.NR_MONITOR_TX, abi.NR_MONITOR_TX],
      [abi.NR_ZCOPY_MON, abi.NR_ZCOPY_MON | abi.NR_MONITOR_TX | abi.NR_MONITOR_RX],
    ]) {
      const file = world.open();
      const { body } = await world.get(REGISTER, { name: 'p{1', body: { ...ALL, flags } }, file);
      assert.equal(body['flags'], expected);
      assert.equal(body['memId'] === parent.memId, (flags & abi.NR_ZCOPY_MON) !== 0);
      assert.equal(body['offset'], file.port?.info.offset);
      await file.close();
    }
    assert.deepEqual(await world.state(), before);
  });
});

test('syncs of a descriptor that is not bound are ENXIO; other ioctls EOPNOTSUPP', async () => {
  for (const sync of [abi.NIOCTXSYNC, abi.NIOCRXSYNC, abi.NIOCTXSYNC_BSD, abi.NIOCRXSYNC_BSD]) {
    assert.equal(await world.file.ioctlAsync(sync), -abi.ENXIO);
  }
  for (const other of [0, 0xc1106996, 0x5421, NaN, -1]) {
    assert.equal(await world.file.ioctlAsync(other, 64), -abi.EOPNOTSUPP, String(other));
  }
  assert.equal(world.file.ioctl(abi.NIOCCTRL, world.program.request(REGISTER)), -abi.EOPNOTSUPP, 'it may not block');
});

test('syncs move slots; numbers of ioctls and pointers may come as signed ones', async () => {
  const at = world.program.request(REGISTER, { name: 'p{1', body: ALL });
  assert.equal(await world.file.ioctlAsync(abi.NIOCCTRL | 0, at), 0);
  const other = world.open();
  await world.get(REGISTER, { name: 'p}1', body: ALL }, other);
  const [ring] = world.file.port?.txRings ?? assert.fail();
  ring.setSlot(0, 60, 0);
  ring.advance(1);
  assert.equal(world.file.ioctl(abi.NIOCTXSYNC), 0);
  assert.equal(other.ioctl(abi.NIOCRXSYNC_BSD), 0);
  assert.equal(other.port?.rxRings[0].tail, 1);
  assert.equal(await world.file.ioctlAsync(abi.NIOCCTRL, -64), -abi.EFAULT);
});
