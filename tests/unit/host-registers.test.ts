// The tests that other hosts run against their glue (examples/guest), against ours, and against ours with a mistake: each
// mistake must be found.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { Netmap } from '../../src/control/netmap.js';
import { attachPtnet } from '../../src/hosts/v86.js';
import type { AccessSize } from '../../src/ptnet/device-registers.js';
import { FakeV86 } from '../support/fake-v86.js';
import {
  type HostGlue,
  listGlue,
  type MsixGlue,
  ofBytes,
  type RegisterGlue,
  type Registers,
  testMemdev,
  testMsix,
  testRegisters,
} from './register-glue.js';

let netmap: Netmap;
let glue: HostGlue;

beforeEach(async () => {
  netmap = await Netmap.create({ memorySize: 256 << 20, privatePools: { priv_buf_num: 64, priv_ring_num: 4 } });
  glue = await listGlue(netmap, 'vale0:a');
});
afterEach(() => netmap.close());

/** Has the guest on this switch receive a frame. */
async function broadcast(): Promise<void> {
  const port = await netmap.open('vale0:sender');
  await port.send(Uint8Array.from({ length: 60 }, (_, i) => (i < 6 ? 0xff : i)));
  await port.close();
}

describe('in v86', () => {
  let v86: FakeV86;
  let registers: Registers;
  const address = 0xfee01004;

  beforeEach(async () => {
    v86 = new FakeV86();
    await attachPtnet(v86, { netmap, name: 'vale0:b', txRings: 3, rxRings: 1 });
    registers = ports('ptnet');
  });

  const ports = (name: string): Registers => ({
    read: (offset, size) => v86.in(v86.bar(name, 0) + offset, size) >>> 0,
    write: (offset, size, value) => v86.out(v86.bar(name, 0) + offset, size, value),
  });
  const reset = (): void => (v86.v86.cpu['reboot_internal'] as () => void)();

  test('the registers', () => assert.deepEqual(testRegisters({ ...registers, ram: v86.ram, reset }), []));

  test('the memdev, and the region', () => {
    const load = (offset: number, size: 1 | 4): number => v86.load(v86.bar('ptnetmap-memdev', 1) + offset, size);
    assert.deepEqual(testMemdev({ ...ports('ptnetmap-memdev'), load }, registers), []);
  });

  test('the interrupts', async () => {
    const space = (): Uint8Array => new Uint8Array(v86.device('ptnet').space.buffer);
    const table = v86.bar('ptnet', 2);
    const bytes = ofBytes(
      (at) => v86.load(table + at, 1),
      (at, byte) => v86.store(table + at, 1, byte),
    );
    const msix: MsixGlue = {
      registers,
      ram: v86.ram,
      address,
      config: {
        read: ofBytes(
          (at) => space()[at],
          () => {},
        ).read,
        write: (offset, size, value) => v86.configure('ptnet', offset, size, value),
      },
      bar: () => ({
        size: 4096,
        read: (offset, size) => (size === 4 ? v86.load(table + offset, 4) : bytes.read(offset, size)),
        write: (offset, size, value) =>
          size === 4 ? v86.store(table + offset, 4, value) : bytes.write(offset, size, value),
      }),
      takeMessages: () => {
        (v86.v86.cpu['handle_irqs'] as () => void)(); // after the instruction
        return v86.taken.splice(0).map((vector) => [address, vector]);
      },
      takePulses: () => v86.pulses.splice(0).filter((pulse) => pulse.startsWith('+')).length,
      receive: broadcast,
      reset,
    };
    assert.deepEqual(await testMsix(msix), []);
  });
});

describe('of a device of its own', () => {
  test('the registers', () => assert.deepEqual(testRegisters(glue.device), []));
  test('the memdev, and the region', () => assert.deepEqual(testMemdev(glue.memdev, glue.device), []));
  test('the interrupts', async () => assert.deepEqual(await testMsix({ ...glue.msix, receive: broadcast }), []));
});

/** Registers with another read or write. */
const altered = <T extends Registers>(of: T, change: (of: T) => Partial<Registers>): T => ({ ...of, ...change(of) });
/** A register that keeps what is written to it. */
const writable =
  (offset: number) =>
  <T extends Registers>(of: T): Partial<Registers> => {
    let value: number | undefined;
    return {
      read: (at, size) => (at === offset && value !== undefined ? value : of.read(at, size)),
      write: (at, size, written) => {
        if (at === offset && size === 4) value = written >>> 0;
        of.write(at, size, written);
      },
    };
  };
const reading =
  (offset: number, wrong: (value: number, size: AccessSize) => number) =>
  <T extends Registers>(of: T): Partial<Registers> => ({
    read: (at, size) => (at === offset ? wrong(of.read(at, size), size) : of.read(at, size)),
  });
const writing =
  (wrong: (at: number, size: AccessSize, value: number) => [number, AccessSize, number] | undefined) =>
  <T extends Registers>(of: T): Partial<Registers> => ({
    write: (at, size, value) => {
      const access = wrong(at, size, value);
      if (access) of.write(...access);
    },
  });

describe('mistakes in the registers', () => {
  const mistakes: [string, (of: RegisterGlue) => Partial<RegisterGlue>][] = [
    ['writes of bytes are lost', writing((at, size, value) => (size === 1 ? undefined : [at, size, value]))],
    ['writes of words are lost', writing((at, size, value) => (size === 2 ? undefined : [at, size, value]))],
    ['a narrow write fills the register', writing((at, _, value) => [at & ~3, 4, value])],
    ['reads are rounded down', (of) => ({ read: (at, size) => of.read(at & ~3, 4) >>> (32 - 8 * size) })],
    [
      'words are read as they lie in dwords only',
      (of) => ({ read: (at, size) => of.read(size === 2 ? at & ~1 : at, size) }),
    ],
    ['doorbells read what was rung', writable(128)],
    ['a register that is none', reading(100, () => 1)],
    ['the features take everything', writable(0)],
    ['the header takes every length', writable(44)],
    ['the number of tx rings can be written', writable(28)],
    ['the number of slots can be written', writable(40)],
    ['the MAC can be written', writable(8)],
    ['the region’s id can be written', writable(48)],
    ['a command has no result', reading(4, () => 0)],
    ['the old CSB is taken', writing((at, size, value) => [at === 16 || at === 20 ? at + 36 : at, size, value])],
    [
      'the high halves are lost',
      writing((at, size, value) => (at === 52 || at === 60 ? undefined : [at, size, value])),
    ],
    [
      'the arrays are swapped',
      writing((at, size, value) => [at >= 52 && at < 68 ? 52 + ((at - 44) % 16) : at, size, value]),
    ],
    [
      'the low halves are not looked at again',
      writing((at, size, value) => (value === 0 && (at === 56 || at === 64) ? undefined : [at, size, value])),
    ],
    ['DELETE is lost', writing((at, size, value) => (at === 4 && value === 2 ? undefined : [at, size, value]))],
    [
      'CREATE is done with every command',
      writing((at, size, value) => [at, size, at === 4 && value === 77 ? 1 : value]),
    ],
    ['doorbells are lost', writing((at, size, value) => (at >= 128 ? undefined : [at, size, value]))],
    ['a reset does nothing', () => ({ reset: () => {} })],
    [
      'a reset keeps the header',
      (of) => ({
        reset: () => {
          of.reset?.();
          of.write(44, 4, 12);
        },
      }),
    ],
    ['RAM is smaller than it is said to be', (of) => ({ ram: { ...of.ram, size: of.ram.size + 4096 } })],
    [
      'the CSB is elsewhere in RAM',
      (of) => ({
        ram: { ...of.ram, load: (at) => of.ram.load(at + 64), store: (at, value) => of.ram.store(at + 64, value) },
      }),
    ],
  ];
  for (const [what, change] of mistakes) {
    test(what, () => assert.notDeepEqual(testRegisters({ ...glue.device, ...change(glue.device) }), []));
  }
});

describe('mistakes in the memdev', () => {
  const offsets = [0, 4, 8, 64, 68, 72, 76, 80, 84, 88, 92, 96];
  for (const offset of offsets) {
    test(`register ${offset} is wrong`, () => {
      const wrong = altered(
        glue.memdev,
        reading(offset, (value) => value + 1),
      );
      assert.notDeepEqual(testMemdev(wrong, glue.device), []);
    });
    test(`register ${offset} can be written`, () => {
      assert.notDeepEqual(testMemdev(altered(glue.memdev, writable(offset)), glue.device), []);
    });
  }
  test('the registers go on where they end', () => {
    assert.notDeepEqual(
      testMemdev(
        altered(
          glue.memdev,
          reading(100, () => 7),
        ),
        glue.device,
      ),
      [],
    );
  });
  test('the window shows another place', () => {
    const load = (offset: number, size: 1 | 4): number => glue.memdev.load(offset + 64, size);
    assert.notDeepEqual(testMemdev({ ...glue.memdev, load }, glue.device), []);
  });
  test('the layout is of another data model', () => {
    assert.notDeepEqual(testMemdev(glue.memdev, glue.device, 8), []);
  });
});

describe('mistakes in the interrupts', () => {
  const bar = (of: MsixGlue, change: (of: Registers) => Partial<Registers>): Partial<MsixGlue> => ({
    bar: (number) => ({ ...of.bar(number), ...change(of.bar(number)) }),
  });
  const config = (of: MsixGlue, change: (of: Registers) => Partial<Registers>): Partial<MsixGlue> => ({
    config: { ...of.config, ...change(of.config) },
  });
  const isControl = (at: number): boolean => at % 16 === 12 && at < 0x800;
  const mistakes: [string, (of: MsixGlue) => Partial<MsixGlue>][] = [
    [
      'no capabilities',
      (of) =>
        config(
          of,
          reading(6, () => 0),
        ),
    ],
    [
      'another capability',
      (of) =>
        config(
          of,
          reading(0x40, () => 5),
        ),
    ],
    [
      'a vector too few',
      (of) =>
        config(
          of,
          reading(0x42, (value) => value - 1),
        ),
    ],
    [
      'the table is in no BAR',
      (of) =>
        config(
          of,
          reading(0x44, (value) => value + 0x1000),
        ),
    ],
    [
      'the pending bits lie in the table',
      (of) =>
        config(
          of,
          reading(0x48, () => 0x12),
        ),
    ],
    [
      'the pending bits are in another BAR',
      (of) =>
        config(
          of,
          reading(0x48, (value) => value + 1),
        ),
    ],
    ['the offsets can be written', (of) => config(of, writable(0x44))],
    [
      'the enable bit is not stored',
      (of) =>
        config(
          of,
          writing((at, size, value) => [at, size, at === 0x42 ? value & 0x7fff : value]),
        ),
    ],
    [
      'the function mask is not stored',
      (of) =>
        config(
          of,
          writing((at, size, value) => [at, size, at === 0x42 ? value & 0xbfff : value]),
        ),
    ],
    [
      'the pin is not to be disabled',
      (of) =>
        config(
          of,
          writing((at, size, value) => [at, size, at === 4 ? value & ~0x400 : value]),
        ),
    ],
    [
      'entries are not masked at first',
      (of) => bar(of, (registers) => ({ read: (at, size) => (isControl(at) ? 0 : registers.read(at, size)) })),
    ],
    [
      'vectors are never masked',
      (of) =>
        bar(
          of,
          writing((at, size, value) => [at, size, isControl(at) ? 0 : value]),
        ),
    ],
    [
      'vectors are never unmasked',
      (of) =>
        bar(
          of,
          writing((at, size, value) => [at, size, isControl(at) ? 1 : value]),
        ),
    ],
    [
      'two vectors are swapped',
      (of) =>
        bar(
          of,
          writing((at, size, value) => [at < 32 ? at ^ 16 : at, size, value]),
        ),
    ],
    [
      'bytes of the table are lost',
      (of) =>
        bar(
          of,
          writing((at, size, value) => (size === 1 ? undefined : [at, size, value])),
        ),
    ],
    [
      'words of the table are lost',
      (of) =>
        bar(
          of,
          writing((at, size, value) => (size === 2 ? undefined : [at, size, value])),
        ),
    ],
    [
      'the high half of the address is lost',
      (of) => ({ takeMessages: () => of.takeMessages().map(([address, data]) => [address % 2 ** 32, data]) }),
    ],
    [
      'the data is a byte',
      (of) =>
        bar(
          of,
          writing((at, size, value) => [at, size, at % 16 === 8 ? value & 0xff : value]),
        ),
    ],
    ['pending bits can be written', (of) => bar(of, writable(0x800))],
    [
      'pending bits are not shown',
      (of) =>
        bar(
          of,
          reading(0x800, () => 0),
        ),
    ],
    [
      'messages come twice',
      (of) => ({ takeMessages: () => of.takeMessages().flatMap((message) => [message, message]) }),
    ],
    ['messages are lost', (of) => ({ takeMessages: () => of.takeMessages().slice(1) })],
    [
      'messages pulse the pin, too',
      (of) => {
        let messages = 0;
        return {
          takeMessages: () => {
            const taken = of.takeMessages();
            messages = taken.length;
            return taken;
          },
          takePulses: () => of.takePulses() + messages,
        };
      },
    ],
    ['the pin is never pulsed', () => ({ takePulses: () => 0 })],
    ['a reset does nothing', () => ({ reset: () => {} })],
    [
      'a reset leaves message control',
      (of) => ({
        reset: () => {
          const control = of.config.read(0x42, 2);
          of.reset?.();
          of.config.write(0x42, 2, control);
        },
      }),
    ],
    [
      'what unmasking lets go waits for an access',
      (of) => {
        let late: [number, number][] = [];
        return {
          takeMessages: () => {
            const now = late;
            late = of.takeMessages();
            return now;
          },
        };
      },
    ],
    ['frames do not interrupt', () => ({ receive: async () => {} })],
  ];
  for (const [what, change] of mistakes) {
    test(what, async () => {
      const whole = { ...glue.msix, receive: broadcast };
      assert.notDeepEqual(await testMsix({ ...whole, ...change(whole) }), []);
    });
  }
});
