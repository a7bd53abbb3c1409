// Copy-in and copy-out of requests: the order of the checks, the limits, loops of options, what goes back when, and that
// nothing of a program's memory is read twice.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as abi from '../../src/abi.js';
import { copyIn, copyOut, type RequestCopy } from '../../src/ioctl/copy.js';
import { MemoryWindow, type UserMemory } from '../../src/ioctl/user-memory.js';
import { type HeaderFields, Program, u64s } from '../support/program.js';

const { EFAULT, EINVAL, EMSGSIZE, EOPNOTSUPP } = abi;
const UNKNOWN = 0x1000;

function setUp(): { program: Program; memory: UserMemory } {
  const program = new Program();
  return { program, memory: new MemoryWindow(program.bytes.buffer as ArrayBuffer) };
}

/** Copies in, and out again with the errno of the copy or, if that is 0, with `result`. */
function pass(memory: UserMemory, at: number, result = 0, change?: (request: RequestCopy) => void): number {
  const request = copyIn(memory, at);
  if (typeof request === 'number') return request;
  if (request.errno === 0) change?.(request);
  return copyOut(memory, request, request.errno || result);
}

describe('the header', () => {
  const REQUEST = abi.NETMAP_REQ_PORT_HDR_GET;
  const rows: [string, number, HeaderFields, number][] = [
    ['version 13', REQUEST, { version: 13 }, EINVAL],
    ['version 16', REQUEST, { version: 16 }, EINVAL],
    ['reserved bits', REQUEST, { reserved: 1 }, EINVAL],
    ['a body that is missing', REQUEST, { bodyAt: 0 }, EINVAL],
    ['a body where there is none', abi.NETMAP_REQ_VALE_DELIF, { bodyAt: 4096 }, EINVAL],
    ['a body with an unknown type', 99, { bodyAt: 4096 }, EINVAL],
    ['a body outside', REQUEST, { bodyAt: 1 << 30 }, EFAULT],
    ['a body that goes over the end', REQUEST, { bodyAt: 65536 - 7 }, EFAULT],
    ['a body at 2^63', REQUEST, { bodyAt: 2n ** 63n }, EFAULT],
    ['a body at the last address', REQUEST, { bodyAt: 2n ** 64n - 1n }, EFAULT],
  ];
  for (const [what, type, fields, errno] of rows) {
    test(`${what} fails, and nothing is written`, () => {
      const { program, memory } = setUp();
      const at = program.request(type, fields);
      const before = program.snapshot();
      assert.equal(pass(memory, at), -errno);
      assert.deepEqual(program.bytes, before);
    });
  }

  test('addresses that are none, or outside, are EFAULT', () => {
    const { memory } = setUp();
    for (const at of [0, -8, NaN, 65536 - 87, 65536, 2 ** 32, 2 ** 53, Infinity]) {
      assert.equal(pass(memory, at), -EFAULT, String(at));
    }
  });

  test('the checks come in order: version, reserved, body', () => {
    const { program, memory } = setUp();
    assert.equal(pass(memory, program.request(REQUEST, { reserved: 1, bodyAt: 1 << 30 })), -EINVAL);
    assert.equal(pass(memory, program.request(REQUEST, { bodyAt: 1 << 30, optionsAt: 1 << 30 })), -EFAULT);
  });

  test('versions 14 and 15 are accepted; the last byte of the name becomes 0', () => {
    const { program, memory } = setUp();
    for (const version of [14, 15]) {
      const at = program.request(REQUEST, { version, name: new Uint8Array(64).fill(65) });
      assert.equal(pass(memory, at), 0);
      assert.equal(program.bytes[at + 8 + 62], 65);
      assert.equal(program.bytes[at + 8 + 63], 0);
    }
  });

  test('a window has addresses of its own', () => {
    const buffer = new ArrayBuffer(8192);
    const program = new Program(buffer, 4096, 1024);
    const memory = new MemoryWindow(buffer, 4096, 1024);
    const at = program.request(REQUEST, { name: 'x' });
    assert.equal(pass(memory, at), 0);
    assert.equal(pass(memory, 1024 - 87), -EFAULT);
    assert.equal(memory.write(1020, new Uint8Array(5)), false);
    assert.equal(memory.write(1020, new Uint8Array(4)), true);
    for (const base of [8, -64, 1.5, NaN]) assert.throws(() => new MemoryWindow(buffer, base), { code: 'EINVAL' });
  });
});

describe('the list of options', () => {
  const REGISTER = abi.NETMAP_REQ_REGISTER;

  test('what no handler takes comes back as EOPNOTSUPP, with its next, whatever the request ends with', () => {
    const { program, memory } = setUp();
    const options = [UNKNOWN, abi.NETMAP_REQ_OPT_CSB, 6].map((type) => program.option(type));
    const at = program.request(abi.NETMAP_REQ_VALE_DELIF, { options });
    for (const result of [0, -EINVAL]) {
      assert.equal(pass(memory, at, result), result);
      assert.deepEqual(
        options.map((option) => program.status(option)),
        [EOPNOTSUPP, EOPNOTSUPP, EOPNOTSUPP],
      );
      assert.equal(program.view.getBigUint64(options[0], true), BigInt(options[1]));
      assert.equal(program.view.getBigUint64(at + 72, true), BigInt(options[0]));
    }
  });

  test('an option of type 0 is EINVAL; the ones behind it are not looked at', () => {
    const { program, memory } = setUp();
    const options = [UNKNOWN, 0, abi.NETMAP_REQ_OPT_CSB].map((type) => program.option(type));
    assert.equal(pass(memory, program.request(REGISTER, { options })), -EINVAL);
    assert.deepEqual(
      options.map((option) => program.status(option)),
      [0, EINVAL, 0x7777],
    );
  });

  test('two options of one known type are EINVAL, both; unknown types may come twice', () => {
    const { program, memory } = setUp();
    const types = [UNKNOWN, abi.NETMAP_REQ_OPT_CSB, UNKNOWN, abi.NETMAP_REQ_OPT_CSB];
    const options = types.map((type) => program.option(type));
    assert.equal(pass(memory, program.request(REGISTER, { options })), -EINVAL);
    assert.deepEqual(
      options.map((option) => program.status(option)),
      [0, EINVAL, 0, EINVAL],
    );
  });

  test('a loop of a known option ends as a duplicate', () => {
    const { program, memory } = setUp();
    const option = program.option(abi.NETMAP_REQ_OPT_OFFSETS);
    program.view.setBigUint64(option, BigInt(option), true);
    assert.equal(pass(memory, program.request(REGISTER, { optionsAt: option })), -EINVAL);
    assert.equal(program.status(option), EINVAL);
  });

  test('a loop of an unknown option is EMSGSIZE, and no option is copied back', () => {
    const { program, memory } = setUp();
    const option = program.option(UNKNOWN);
    program.view.setBigUint64(option, BigInt(option), true);
    assert.equal(pass(memory, program.request(REGISTER, { optionsAt: option })), -EMSGSIZE);
    assert.equal(program.status(option), 0x7777);
  });

  // 4208 bytes of buffer, less 16, 48 and the body, hold so many options of 32 bytes.
  for (const [type, most] of [
    [REGISTER, 127],
    [abi.NETMAP_REQ_VALE_DELIF, 129],
    [abi.NETMAP_REQ_PORT_HDR_GET, 129],
    [abi.NETMAP_REQ_PORT_INFO_GET, 128],
  ]) {
    test(`request ${type} has room for ${most} unknown options`, () => {
      const { program, memory } = setUp();
      const options = Array.from({ length: most }, () => program.option(UNKNOWN));
      assert.equal(pass(memory, program.request(type, { options })), 0);
      const one = program.option(UNKNOWN);
      assert.equal(pass(memory, program.request(type, { options: [...options, one] })), -EMSGSIZE);
      assert.equal(program.status(one), 0x7777);
      assert.ok(
        options.every((option) => program.status(option) === EOPNOTSUPP),
        'as the first request left them',
      );
    });
  }

  const EVENTFDS = abi.NETMAP_REQ_OPT_SYNC_KLOOP_EVENTFDS;
  const START = abi.NETMAP_REQ_SYNC_KLOOP_START;
  const sizes: [string, number | bigint, number][] = [
    ['0: the header', 0, 0],
    ['23: the header', 23, 0],
    ['24', 24, 0],
    ['4088: with the body the limit', 4088, 0],
    ['4089', 4089, EMSGSIZE],
    ['4096', 4096, EMSGSIZE],
    ['4097', 4097, EMSGSIZE],
    ['2^32', 2 ** 32, EMSGSIZE],
    ['2^53', 2n ** 53n, EMSGSIZE],
    ['2^64 - 1', 2n ** 64n - 1n, EMSGSIZE],
    ['2^64 - 24: a sum that wraps', 2n ** 64n - 24n, EMSGSIZE],
  ];
  for (const [what, nroSize, errno] of sizes) {
    test(`an option of variable size ${what}`, () => {
      const { program, memory } = setUp();
      const option = program.option(EVENTFDS, { nroSize });
      assert.equal(pass(memory, program.request(START, { options: [option] })), errno === 0 ? 0 : -errno);
      // A size that is too large fails before the presets, so the header comes back with status 0.
      assert.equal(program.status(option), errno === 0 ? EOPNOTSUPP : 0);
    });
  }

  test('the size of an option of fixed size is bounded too, and otherwise ignored', () => {
    const { program, memory } = setUp();
    const large = program.option(abi.NETMAP_REQ_OPT_CSB, { nroSize: 4097 });
    assert.equal(pass(memory, program.request(REGISTER, { options: [large] })), -EMSGSIZE);
    const odd = program.option(abi.NETMAP_REQ_OPT_CSB, { nroSize: 3 });
    assert.equal(pass(memory, program.request(REGISTER, { options: [odd] })), 0);
  });

  test('headers, bodies and the request together have 4096 bytes', () => {
    const { program, memory } = setUp();
    const unknown = program.option(UNKNOWN);
    const fits = program.option(EVENTFDS, { nroSize: 4088 - 24 });
    assert.equal(pass(memory, program.request(START, { options: [unknown, fits] })), 0);
    const exceeds = program.option(EVENTFDS, { nroSize: 4088 - 23 });
    assert.equal(pass(memory, program.request(START, { options: [unknown, exceeds] })), -EMSGSIZE);
  });

  test('an option that is outside, or whose body is, is EFAULT; the ones before it come back', () => {
    const { program, memory } = setUp();
    const first = program.option(UNKNOWN);
    program.view.setBigUint64(first, 65536n - 8n, true);
    assert.equal(pass(memory, program.request(REGISTER, { optionsAt: first })), -EFAULT);
    assert.equal(program.status(first), 0);
    const last = 65536 - 24;
    program.bytes.fill(0, last);
    program.view.setUint32(last + 8, abi.NETMAP_REQ_OPT_CSB, true);
    program.view.setUint32(last + 12, 0x7777, true);
    assert.equal(pass(memory, program.request(REGISTER, { optionsAt: last })), -EFAULT);
    assert.equal(program.status(last), 0, 'its header was read');
  });
});

describe('copy-out', () => {
  const change = (request: RequestCopy): void => {
    request.body.fill(0x11);
    request.options[0].bytes.fill(0x22, 24);
    request.options[0].status = 0;
    request.options[1].bytes.fill(0x33, 24);
    request.options[1].status = EINVAL;
  };

  function setUpOptions() {
    const { program, memory } = setUp();
    const csb = program.option(abi.NETMAP_REQ_OPT_CSB, { rest: u64s(1, 2) });
    const mode = program.option(abi.NETMAP_REQ_OPT_SYNC_KLOOP_MODE, { rest: u64s(3) });
    const at = program.request(abi.NETMAP_REQ_PORT_HDR_GET, { options: [csb, mode] });
    const body = Number(program.view.getBigUint64(at + 80, true));
    const bytes = (from: number, size: number) => [...program.bytes.subarray(from, from + size)];
    return { program, memory, csb, mode, at, body, bytes };
  }

  test('a success returns the body, and the bodies of options with status 0', () => {
    const { memory, program, csb, mode, at, body, bytes } = setUpOptions();
    assert.equal(pass(memory, at, 0, change), 0);
    assert.deepEqual(bytes(body, 8), Array(8).fill(0x11));
    assert.deepEqual(bytes(csb + 24, 16), Array(16).fill(0x22));
    assert.deepEqual(bytes(mode + 24, 8), [3, 0, 0, 0, 0, 0, 0, 0]);
    assert.deepEqual([program.status(csb), program.status(mode)], [0, EINVAL]);
    assert.equal(program.view.getBigUint64(at + 80, true), BigInt(body));
  });

  test('a failure returns headers only', () => {
    const { memory, program, csb, mode, at, body, bytes } = setUpOptions();
    assert.equal(pass(memory, at, -abi.EBUSY, change), -abi.EBUSY);
    assert.deepEqual(bytes(body, 8), Array(8).fill(0));
    assert.deepEqual(bytes(csb + 24, 16), [...u64s(1, 2)]);
    assert.deepEqual([program.status(csb), program.status(mode)], [0, EINVAL]);
  });

  test('to a memory that has gone away is EFAULT', () => {
    const memory = new WebAssembly.Memory({ initial: 1 });
    const program = new Program(memory.buffer as ArrayBuffer);
    const at = program.request(abi.NETMAP_REQ_PORT_HDR_GET);
    const request = copyIn(new MemoryWindow(program.bytes.buffer as ArrayBuffer), at) as RequestCopy;
    memory.grow(1); // detaches the buffer
    assert.equal(copyOut(new MemoryWindow(program.bytes.buffer as ArrayBuffer), request, 0), -EFAULT);
    assert.equal(copyOut(new MemoryWindow(memory), request, 0), 0, 'a memory that grows is followed');
  });
});

test('every byte of a request is read once, and a memory that changes afterwards changes nothing', () => {
  const { program, memory } = setUp();
  const eventfds = program.option(abi.NETMAP_REQ_OPT_SYNC_KLOOP_EVENTFDS, { nroSize: 40, rest: u64s(7, 8) });
  const options = [program.option(UNKNOWN), program.option(abi.NETMAP_REQ_OPT_CSB, { rest: u64s(1, 2) }), eventfds];
  const at = program.request(abi.NETMAP_REQ_REGISTER, { name: 'vale0:a', options, body: { mode: 1 } });
  const quiet = copyIn(memory, at) as RequestCopy;
  const reads = new Uint8Array(program.bytes.length);
  const hostile: UserMemory = {
    read(address, length) {
      const copy = memory.read(address, length);
      for (let i = address; i < address + length; i++) {
        reads[i]++;
        program.bytes[i] ^= 0xff;
      }
      return copy;
    },
    write: memory.write.bind(memory),
  };
  assert.deepEqual(copyIn(hostile, at), quiet);
  assert.deepEqual([...new Set(reads)], [1, 0].sort(), 'no byte was read twice');
  assert.equal(
    reads.reduce((sum, n) => sum + n, 0),
    88 + 56 + 24 + 40 + 40,
  );
});
