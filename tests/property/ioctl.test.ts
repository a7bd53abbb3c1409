// Random and spoiled requests to the device: no call throws or hangs, nothing is written outside the structures of the
// request, and what descriptors had is given back when they are closed.
// PTNET_FUZZ_RUNS: how many sequences (default 1000, of which half are run); PTNET_FUZZ_SEED and PTNET_FUZZ_PATH repeat
// a run that has failed.

import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import fc from 'fast-check';
import * as abi from '../../src/abi.js';
import { errnoName, NetmapError } from '../../src/errors.js';
import type { NetmapFile } from '../../src/ioctl/netmap-file.js';
import { IoctlWorld, SLOTS } from '../support/ioctl-world.js';

const RUNS = Number(process.env['PTNET_FUZZ_RUNS'] ?? 1000);
const TIME_LIMIT = Math.max(120_000, 200 * RUNS);
const SEED = process.env['PTNET_FUZZ_SEED'];
const PATH = process.env['PTNET_FUZZ_PATH'];
const FILES = 3;
/** What a request may take (ms): START goes on until it is stopped. */
const PATIENCE = 15;
const PERSISTENT = ['per0', 'per1'];
const NAMES = [
  ...PERSISTENT,
  'e0',
  'vale0:a',
  'vale0:b',
  'vale1:a',
  'vale0:e0',
  'vale0:per0',
  'vale1:per1',
  'p{1',
  'p}1',
  'per0{x',
];
const BAD_NAMES = ['', '{', 'p{', 'vale', 'vale0', 'eth9', 'x'.repeat(63), 'vale0123456789abcdef:a'];

/** Bytes of a request that may be written, as the layout says; the walk stops where a kernel's would. */
const BODY_SIZES = [0, 56, 32, 64, 8, 8, 8, 8, 16, 0, 16, 16, 64, 8, 0, 0];
const OPTION_SIZES = [24, 96, 0, 40, 32, 56];

interface Option {
  readonly type: number;
  readonly nroSize: number;
  readonly rest: readonly number[];
}

interface Command {
  readonly file: number;
  readonly ioctl: number;
  readonly type: number;
  readonly name: string;
  readonly body: readonly number[];
  readonly options: readonly Option[];
  /** The last option points to this one. */
  readonly loop: number | undefined;
  readonly spoiled: readonly { at: number; byte: number }[];
  readonly close: boolean;
}

const small = fc.oneof(
  { weight: 4, arbitrary: fc.integer({ min: 0, max: 10 }) },
  { weight: 1, arbitrary: fc.constantFrom(64, 255, 1024, 4096, 8192, 65535, 0x7fffffff, 0xffffffff) },
);
const option: fc.Arbitrary<Option> = fc.record({
  type: fc.oneof({ weight: 9, arbitrary: fc.integer({ min: 1, max: 7 }) }, { weight: 1, arbitrary: small }),
  nroSize: fc.oneof(fc.constantFrom(0, 24, 40, 48, 4096), small),
  rest: fc.array(fc.oneof(fc.constantFrom(0, 1, 3, 10, 11, 4096, 8192, 0xffffffff), small), { maxLength: 18 }),
});
/** Options that are taken in the right place. */
const CSB: Option = { type: abi.NETMAP_REQ_OPT_CSB, nroSize: 0, rest: [16384, 0, 32768, 0] };
const EVENTFDS: Option = { type: abi.NETMAP_REQ_OPT_SYNC_KLOOP_EVENTFDS, nroSize: 40, rest: [10, 11, 10, 11] };
const DIRECT: Option = { type: abi.NETMAP_REQ_OPT_SYNC_KLOOP_MODE, nroSize: 0, rest: [3, 0] };
const EXTMEM: Option = { type: abi.NETMAP_REQ_OPT_EXTMEM, nroSize: 0, rest: [40960, 0, 20480] };
/** The address, and the sizes, numbers and offsets of struct nmreq_pools_info. */
const extmem: fc.Arbitrary<Option> = fc
  .tuple(
    fc.constantFrom(0, 4096, 8192, 40960, 45056, 61440, 4097, 0x800000, 0xfffff000),
    fc.constantFrom(0, 1, 4095, 8192, 20480, 24576, 0xffffffff),
    fc.constantFrom(0, 0, 0, 1, 0xffffffff),
    fc.array(fc.oneof(fc.constantFrom(0, 1, 2, 4, 64, 128, 512, 1024, 4096, 0xffffffff), small), { maxLength: 15 }),
  )
  .map(([base, size, high, rest]) => ({
    type: abi.NETMAP_REQ_OPT_EXTMEM,
    nroSize: 0,
    rest: [base, 0, size, high, ...rest],
  }));
const options = fc.oneof(
  { weight: 3, arbitrary: fc.constant([]) },
  { weight: 3, arbitrary: fc.constantFrom([CSB], [EVENTFDS], [EVENTFDS, DIRECT], [CSB, EVENTFDS]) },
  { weight: 1, arbitrary: fc.array(option, { maxLength: 3 }) },
);
const command: fc.Arbitrary<Command> = fc.record({
  file: fc.constantFrom(0, 0, 0, 0, 1, 2),
  ioctl: fc.oneof(
    { weight: 12, arbitrary: fc.constant(abi.NIOCCTRL) },
    { weight: 3, arbitrary: fc.constantFrom(abi.NIOCREGIF, abi.NIOCGINFO, abi.NIOCTXSYNC, abi.NIOCRXSYNC, 0xc1106996) },
  ),
  type: fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom(abi.NETMAP_REQ_REGISTER, abi.NETMAP_REQ_SYNC_KLOOP_START) },
    { weight: 5, arbitrary: fc.integer({ min: 0, max: 16 }) },
  ),
  name: fc.oneof(
    { weight: 8, arbitrary: fc.constantFrom(...NAMES) },
    { weight: 1, arbitrary: fc.constantFrom(...BAD_NAMES) },
  ),
  body: fc.array(small, { maxLength: 16 }),
  options,
  loop: fc.oneof({ weight: 12, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: fc.nat(2) }),
  spoiled: fc.oneof(
    { weight: 4, arbitrary: fc.constant([]) },
    { weight: 1, arbitrary: fc.array(fc.record({ at: fc.nat(700), byte: fc.nat(255) }), { maxLength: 3 }) },
  ),
  close: fc.boolean(),
});

/** Requests that have a good chance. */
const likely: fc.Arbitrary<Partial<Command>> = fc.oneof(
  fc.record({
    type: fc.constant(abi.NETMAP_REQ_REGISTER),
    name: fc.constantFrom(...NAMES),
    options: fc.oneof(
      fc.constantFrom([], [CSB], [EXTMEM], [EXTMEM, CSB]),
      fc.array(extmem, { minLength: 1, maxLength: 1 }),
    ),
    // nr_tx_slots, nr_rx_slots, rings, host rings, mem id, mode, extra buffers, pad, flags
    body: fc.constantFrom(
      [8, 8, 0, 0, 0, abi.NR_REG_ALL_NIC, 2, 0, abi.NR_EXCLUSIVE],
      [8, 8, 0x20002, 0, 1, abi.NR_REG_ALL_NIC, 0, 0, 0],
      [4, 4, 1, 0, 1, abi.NR_REG_NULL, 1, 0, abi.NR_EXCLUSIVE],
    ),
  }),
  fc.record({ type: fc.constant(abi.NETMAP_REQ_CSB_ENABLE), options: fc.constant([CSB]) }),
  fc.record({
    type: fc.constant(abi.NETMAP_REQ_SYNC_KLOOP_START),
    options: fc.constantFrom([], [EVENTFDS], [EVENTFDS, DIRECT]),
    body: fc.constantFrom([0], [100]),
  }),
  fc.record({ type: fc.constant(abi.NETMAP_REQ_SYNC_KLOOP_STOP), options: fc.constant([]) }),
  fc.record({
    type: fc.constantFrom(abi.NETMAP_REQ_VALE_NEWIF, abi.NETMAP_REQ_VALE_DELIF),
    name: fc.constantFrom(...PERSISTENT),
    body: fc.constant([8, 8, 0, 0]),
  }),
  fc.record({
    type: fc.constantFrom(abi.NETMAP_REQ_VALE_POLLING_ENABLE, abi.NETMAP_REQ_VALE_POLLING_DISABLE),
    name: fc.constantFrom('vale0:e0', 'vale0:e0', 'vale0:per0'),
    body: fc.constantFrom([1, 0, 1], [2, 0, 1], [2, 1, 1], [1, 0xffffffff, 1], [3, 0, 1], []),
  }),
  fc.record({
    type: fc.constantFrom(abi.NETMAP_REQ_VALE_ATTACH, abi.NETMAP_REQ_VALE_DETACH),
    name: fc.constantFrom('vale0:e0', 'vale0:per0', 'vale1:per1'),
    body: fc.constant([0, 0, 0, 0, 0, 0, 0, 0, 0, abi.NR_REG_ALL_NIC]),
  }),
);
/** A port in CSB mode, to begin with. */
const BOUND: Command = {
  file: 0,
  ioctl: abi.NIOCCTRL,
  type: abi.NETMAP_REQ_REGISTER,
  name: 'vale0:a',
  body: [8, 8, 0, 0, 0, abi.NR_REG_ALL_NIC, 2, 0, abi.NR_EXCLUSIVE],
  options: [CSB],
  loop: undefined,
  spoiled: [],
  close: false,
};
const commands = fc.array(
  fc.oneof(
    command,
    fc.tuple(command, likely).map(([base, changes]) => ({ ...base, ioctl: abi.NIOCCTRL, ...changes })),
  ),
  { minLength: 1, maxLength: 24, size: 'max' },
);
const sequence = fc.tuple(fc.boolean(), commands).map(([bound, rest]) => (bound ? [BOUND, ...rest] : rest));

class Fuzz {
  #world: IoctlWorld | undefined;
  #clean: unknown;
  /** Names in requests: some have made an interface. */
  readonly #named = new Set<string>();
  readonly #inArena: boolean;
  readonly #threads: number;

  constructor(inArena: boolean, threads: number) {
    this.#inArena = inArena;
    this.#threads = threads;
  }

  async run(commands: readonly Command[]): Promise<void> {
    if (!this.#world) {
      this.#world = await IoctlWorld.create(this.#inArena, {}, this.#threads);
      const { netmap } = this.#world;
      await netmap.addInterface('e0', { ...SLOTS, memId: 1 });
      this.#clean = await this.#world.state();
    }
    const world = this.#world;
    const eventfds = new Map(
      [10, 11].map((fd) => [fd, world.netmap.eventfd(new Int32Array(new SharedArrayBuffer(8)))]),
    );
    const files = Array.from({ length: FILES }, () => world.open(this.#inArena ? { eventfds } : {}));
    const calls: Promise<number>[] = [];
    try {
      for (const one of commands) {
        if (one.close && one.spoiled.length !== 0) {
          await files[one.file].close();
          files[one.file] = world.open();
        }
        calls.push(this.#call(world, files[one.file], one));
        const patience = new Promise((resolve) => setTimeout(resolve, PATIENCE));
        await Promise.race(this.#inArena ? [calls.at(-1), patience] : [calls.at(-1)]);
      }
      for (const file of files) await file.close();
      for (const result of await Promise.all(calls)) {
        assert.ok(Number.isInteger(result) && result <= 0, `result ${result}`);
        if (result !== 0) assert.notEqual(errnoName(result), 'UNKNOWN', `result ${result}`);
      }
      await cleanUp(world, this.#named);
      assert.deepEqual(await world.state(), this.#clean, 'something is left behind');
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  async #call(world: IoctlWorld, file: NetmapFile, one: Command): Promise<number> {
    const at = build(world, one);
    const { program } = world;
    for (const offset of [at, at + abi.NMREQ_HEADER_NAME]) this.#named.add(nameAt(program.bytes, offset));
    if (this.#inArena) return file.ioctlAsync(one.ioctl, at);
    const before = program.snapshot();
    const allowed = one.ioctl === abi.NIOCCTRL ? structures(before, at) : mask(before.length, [[at, 60]]);
    const result = await file.ioctlAsync(one.ioctl, at);
    for (const [i, byte] of program.bytes.entries()) {
      if (byte !== before[i] && allowed[i] === 0) assert.fail(`byte ${i} was written by ${JSON.stringify(one)}`);
    }
    return result;
  }

  async close(): Promise<void> {
    await this.#world?.netmap.close();
    this.#world = undefined;
  }
}

/** Takes away what is not bound to a descriptor. */
async function cleanUp({ netmap }: IoctlWorld, names: Set<string>): Promise<void> {
  const ignore = (error: unknown): void => {
    if (!(error instanceof NetmapError)) throw error;
  };
  for (const { name } of await netmap.valeList()) {
    await netmap.valePollingDisable(name).catch(ignore);
    await netmap.valeDetach(name).catch(ignore);
  }
  for (const name of names) await netmap.deleteInterface(name).catch(ignore);
  names.clear();
}

function nameAt(bytes: Uint8Array, at: number): string {
  const name = bytes.slice(at, at + 64);
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(name.subarray(0, name.indexOf(0)));
}

/** Puts a request at the start of the program's memory: header, body, options. */
function build({ program }: IoctlWorld, one: Command): number {
  program.reset();
  const { view, bytes } = program;
  if (one.ioctl === abi.NIOCREGIF || one.ioctl === abi.NIOCGINFO) {
    const at = program.alloc(60);
    for (const [i, value] of one.body.entries()) view.setUint32(at + Math.min(4 * i, 56), value, true);
    bytes.fill(0, at, at + 16);
    bytes.set(new TextEncoder().encode(one.name).subarray(0, 16), at);
    view.setUint32(at + 16, 14, true);
    return at;
  }
  const size = BODY_SIZES[one.type] ?? 0;
  const options = one.options.map(({ type, nroSize, rest }) =>
    program.option(type, { nroSize, rest: new Uint8Array(Uint32Array.from(rest).buffer) }),
  );
  const bodyAt = size === 0 ? 0 : program.alloc(size);
  // The words of a REGISTER follow its two results.
  const first = one.type === abi.NETMAP_REQ_REGISTER ? 16 : 0;
  for (const [i, value] of one.body.entries()) {
    if (first + 4 * i + 4 <= size) view.setUint32(bodyAt + first + 4 * i, value, true);
  }
  const at = program.request(one.type, { name: one.name, options, bodyAt });
  const last = options.at(-1);
  if (last !== undefined && one.loop !== undefined)
    view.setBigUint64(last, BigInt(options[one.loop % options.length]), true);
  for (const { at: offset, byte } of one.spoiled) bytes[64 + offset] = byte;
  return at;
}

function mask(length: number, ranges: readonly (readonly [number, number])[]): Uint8Array {
  const allowed = new Uint8Array(length);
  for (const [at, size] of ranges) allowed.fill(1, at, at + size);
  return allowed;
}

/** The bytes of a request of NIOCCTRL that may be written. */
function structures(bytes: Uint8Array, at: number): Uint8Array {
  const view = new DataView(bytes.buffer);
  const word64 = (address: number): number => Number(view.getBigUint64(address, true));
  const ranges: [number, number][] = [[at, 88]];
  const type = view.getUint16(at + 2, true);
  if (word64(at + 80) < bytes.length) ranges.push([word64(at + 80), BODY_SIZES[type] ?? 0]);
  for (let next = word64(at + 72), n = 0; next !== 0 && next + 24 <= bytes.length && n < 130; n++) {
    const option = view.getUint32(next + 8, true);
    ranges.push([next, option === 2 ? Math.max(24, word64(next + 16)) : (OPTION_SIZES[option] ?? 24)]);
    next = word64(next);
  }
  return mask(bytes.length, ranges);
}

describe('requests of any kind', () => {
  for (const [where, inArena, threads] of [
    ['in a memory of the program, with a loop worker that polls', false, 1],
    ["in the arena's memory, with CSBs and kernel loops", true, 0],
  ] as const) {
    const fuzz = new Fuzz(inArena, threads);
    after(() => fuzz.close());
    test(where, { timeout: TIME_LIMIT }, () =>
      fc.assert(
        fc.asyncProperty(sequence, (commands) => fuzz.run(commands)),
        {
          numRuns: Math.ceil(RUNS / 2),
          includeErrorInReport: true,
          ...(SEED === undefined ? {} : { seed: Number(SEED) }),
          ...(PATH === undefined ? {} : { path: PATH }),
        },
      ),
    );
  }
});
