// pcapng and the piecewise reader and writer: what we write is read by us and by Wireshark's tools, what those write is
// read by us, and damaged files are refused with their offset, in bounded memory.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { NetmapError } from '../../src/errors.js';
import { readPcap, writePcap } from '../../src/io/pcap.js';
import type { CapturedFrame } from '../../src/io/pcap-frame.js';
import { CaptureReader, readCapture } from '../../src/io/pcap-reader.js';
import { CaptureWriter } from '../../src/io/pcap-writer.js';

// Seen from where the compiled test lies: build/ts/tests/unit.
const WIRE = new URL('../../../../tests/data/real-wire.pcap', import.meta.url);
const folder = mkdtempSync(join(tmpdir(), 'ptnet-pcapng-'));
after(() => rmSync(folder, { recursive: true }));

function hasTool(name: string): boolean {
  try {
    execFileSync(name, ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
const tool = (name: string, ...args: string[]): string =>
  execFileSync(name, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
const lacks = (name: string): string | false => !hasTool(name) && `no ${name} on the PATH`;

/** A capture of two interfaces, with a frame of each direction. */
function sample(): Uint8Array {
  const writer = new CaptureWriter({ format: 'pcapng' });
  const [a, b] = [writer.addInterface('qemu0'), writer.addInterface('tap-ü')];
  writer.packet(a, 1_700_000_000, 123_456_789, new Uint8Array(61).fill(0xff), 61, 'in');
  writer.packet(b, 1_700_000_001, 999_999_999, new Uint8Array(60).fill(0xee), 1500, 'out');
  writer.packet(b, 4_294_967_295, 1, new Uint8Array(64).fill(0xdd));
  writer.statistics(a, 1_700_000_002, 0, 7, 3);
  return writer.peek().slice();
}

function read(bytes: Uint8Array, chunk = Infinity): { frames: CapturedFrame[]; reader: CaptureReader } {
  const reader = new CaptureReader();
  const frames: CapturedFrame[] = [];
  for (let at = 0; at < bytes.length; at += chunk) {
    reader.push(bytes.subarray(at, Math.min(bytes.length, at + chunk)));
    for (let frame = reader.next(); frame; frame = reader.next()) frames.push({ ...frame, data: frame.data.slice() });
  }
  reader.end();
  return { frames, reader };
}

test('what is written is read again, in chunks of any size', () => {
  const bytes = sample();
  for (const chunk of [1, 3, 17, 64, Infinity]) {
    const { frames, reader } = read(bytes, chunk);
    assert.deepEqual(
      frames.map(({ data, interface: { name, nanosecond }, ...rest }) => [
        name,
        nanosecond,
        data[0],
        data.length,
        rest,
      ]),
      [
        ['qemu0', true, 0xff, 61, { ...at(1_700_000_000, 123_456_789), originalLength: 61, direction: 'in' }],
        ['tap-ü', true, 0xee, 60, { ...at(1_700_000_001, 999_999_999), originalLength: 1500, direction: 'out' }],
        ['tap-ü', true, 0xdd, 64, { ...at(4_294_967_295, 1), originalLength: 64 }],
      ],
    );
    assert.deepEqual(reader.interfaces[0].statistics, { received: 7, dropped: 3 });
    assert.deepEqual(reader.interfaces[1].statistics, {});
  }
  const capture = readPcap(bytes);
  assert.deepEqual([capture.linkType, capture.nanosecond, capture.frames.length], [1, true, 3]);
  assert.equal(capture.frames[0].data.buffer, bytes.buffer);
});

function at(seconds: number, nanoseconds: number): { seconds: number; nanoseconds: number } {
  return { seconds, nanoseconds };
}

test('a batch that could not be written leaves its headers', () => {
  const writer = new CaptureWriter({ format: 'pcapng' });
  writer.addInterface('a');
  const before = writer.peek().slice();
  writer.packet(0, 1, 2, new Uint8Array(60));
  writer.lost();
  assert.deepEqual(writer.peek(), before);
  writer.taken();
  writer.packet(0, 1, 2, new Uint8Array(60));
  writer.lost();
  assert.equal(writer.size, 0);
});

test('a pcap file in pieces is what writePcap writes', async () => {
  const { frames } = readPcap(readFileSync(WIRE));
  const writer = new CaptureWriter({ format: 'pcap' });
  writer.addInterface('any');
  for (const { data, seconds, nanoseconds, originalLength } of frames) {
    writer.packet(0, seconds, nanoseconds, data, originalLength);
  }
  assert.deepEqual(writer.peek(), writePcap(frames));
  let count = 0;
  for await (const batch of readCapture([writer.peek().subarray(0, 1000), writer.peek().subarray(1000)])) {
    count += batch.length;
  }
  assert.equal(count, frames.length);
});

test('frames that fit no capture are refused', () => {
  const writer = new CaptureWriter({ format: 'pcapng' });
  assert.throws(() => writer.packet(0, 0, 0, new Uint8Array(60)), { code: 'EINVAL' });
  writer.addInterface('a');
  assert.throws(() => writer.packet(0, 0, 0, new Uint8Array(262145)), { code: 'EMSGSIZE' });
});

describe("Wireshark's tools read what we write", () => {
  const file = join(folder, 'sample.pcapng');
  writeFileSync(file, sample());

  test('tshark: times, lengths, interfaces, directions', { skip: lacks('tshark') }, () => {
    const fields = [
      'frame.time_epoch',
      'frame.cap_len',
      'frame.len',
      'frame.interface_name',
      'frame.packet_flags_direction',
    ];
    const out = tool('tshark', '-r', file, '-T', 'fields', ...fields.flatMap((field) => ['-e', field]));
    const lines = out.trimEnd().split('\n');
    assert.match(lines[0], /^1700000000\.123456789\t61\t61\tqemu0\t(1|0x0*1)$/);
    assert.match(lines[1], /^1700000001\.999999999\t60\t1500\ttap-ü\t(2|0x0*2)$/);
    assert.match(lines[2], /^4294967295\.000000001\t64\t64\ttap-ü/);
  });

  test('capinfos: format, interfaces, drops', { skip: lacks('capinfos') }, () => {
    const out = tool('capinfos', file);
    assert.match(out, /File type:\s+Wireshark\/\.\.\. - pcapng/);
    assert.match(out, /Number of packets:\s+3/);
    assert.match(out, /Number of interfaces in file:\s+2/);
    assert.match(out, /timestamp precision:\s+nanoseconds/i);
    assert.match(out, /Name = qemu0/);
    assert.match(out, /Number of stat entries = 1/);
  });

  test('tcpdump reads both formats', { skip: lacks('tcpdump') }, () => {
    const { frames } = readPcap(readFileSync(WIRE));
    for (const format of ['pcap', 'pcapng'] as const) {
      const writer = new CaptureWriter({ format });
      writer.addInterface('eth0');
      for (const { data, seconds, nanoseconds } of frames) writer.packet(0, seconds, nanoseconds, data);
      const copy = join(folder, `copy.${format}`);
      writeFileSync(copy, writer.peek());
      assert.equal(tool('tcpdump', '-n', '-r', copy).trimEnd().split('\n').length, frames.length);
    }
  });
});

describe('we read what others write', () => {
  const formats = ['pcapng', 'pcap', 'nsecpcap', 'nseclibpcap', 'modpcap'] as const;
  for (const format of formats) {
    test(`editcap -F ${format}`, { skip: lacks('editcap') }, (t) => {
      const file = join(folder, `edited.${format}`);
      try {
        tool('editcap', '-F', format, new URL(WIRE).pathname, file);
      } catch {
        t.skip(`this editcap has no ${format}`);
        return;
      }
      if (format === 'modpcap') {
        assert.throws(() => readPcap(readFileSync(file)), { code: 'EINVAL', message: /no pcap magic/ });
        return;
      }
      const [ours, theirs] = [readPcap(readFileSync(WIRE)), readPcap(readFileSync(file))];
      assert.deepEqual(theirs.frames, ours.frames);
    });
  }

  test('mergecap: two interfaces', { skip: lacks('mergecap') }, () => {
    const file = join(folder, 'merged.pcapng');
    writeFileSync(join(folder, 'one.pcapng'), sample());
    tool('mergecap', '-w', file, join(folder, 'one.pcapng'), new URL(WIRE).pathname);
    const { frames, reader } = read(readFileSync(file), 1000);
    assert.equal(frames.length, 3 + readPcap(readFileSync(WIRE)).frames.length);
    assert.ok(reader.interfaces.length >= 2);
    assert.equal(frames.filter(({ direction }) => direction === 'in').length, 1);
  });
});

/** A block of any type, little-endian. */
function block(type: number, body: readonly number[], length = 12 + 4 * body.length): Uint8Array {
  return new Uint8Array(Uint32Array.of(type, length, ...body, length).buffer);
}
const SECTION = block(0x0a0d0d0a, [0x1a2b3c4d, 1, 0xffffffff, 0xffffffff]);
const INTERFACE = block(1, [1, 0]);
const file = (...blocks: Uint8Array[]): Uint8Array => Uint8Array.from(blocks.flatMap((bytes) => [...bytes]));

describe('damaged files are refused, and the message names the offset', () => {
  for (const [what, bytes, message] of [
    ['no section', INTERFACE, /no pcap magic number at offset 0/],
    ['another byte order magic', block(0x0a0d0d0a, [1, 1, 0, 0]), /no byte-order magic at offset 8 \(0x01000000\)/],
    ['another version', block(0x0a0d0d0a, [0x1a2b3c4d, 2, 0, 0]), /version 2 at offset 12/],
    ['a length of 0', file(SECTION, block(6, [], 0)), /block of type 6 at offset 28 has a length of 0/],
    ['an odd length', file(SECTION, block(99, [0], 17)), /block of type 99 at offset 28 has a length of 17/],
    ['a block that is too small', file(SECTION, block(6, [0])), /block of type 6 at offset 28 has a length of 16/],
    ['a block of 4 GiB', file(SECTION, block(1, [1, 0], 0xfffffffc)), /offset 28 claims 4294967292 bytes/],
    [
      'another length at the end',
      file(SECTION, new Uint8Array(Uint32Array.of(1, 20, 1, 0, 24).buffer)),
      /at offset 44 24/,
    ],
    ['an interface that is not there', file(SECTION, block(6, [3, 0, 0, 0, 0])), /offset 28 names interface 3 of 0/],
    [
      'a packet longer than its block',
      file(SECTION, INTERFACE, block(6, [0, 0, 0, 5, 5])),
      /offset 48 has 0 of 5 bytes/,
    ],
    ['a packet of 4 GiB', file(SECTION, INTERFACE, block(6, [0, 0, 0, 0xffffffff, 5])), /has 0 of 4294967295 bytes/],
    [
      'an option longer than its block',
      file(SECTION, block(1, [1, 0, 0xffff0002, 0])),
      /option at offset 44 has 4 of 65535/,
    ],
    ['an unknown block that does not end', file(SECTION, block(99, [0], 400)), /truncated: the last block ends behind/],
  ] as const) {
    test(what, () => {
      assert.throws(() => read(bytes), { name: 'NetmapError', code: 'EINVAL', message });
      assert.throws(() => read(bytes, 1), { code: 'EINVAL', message });
    });
  }

  test('a pcap record of 4 GiB', () => {
    const bytes = writePcap([{ data: new Uint8Array(4), seconds: 0, nanoseconds: 0, originalLength: 4 }]);
    new DataView(bytes.buffer).setUint32(32, 0xffffffff, true);
    assert.throws(() => read(bytes), { code: 'EINVAL', message: /frame 0 at offset 40 claims 4294967295 bytes/ });
  });

  test('a file cut anywhere', () => {
    const bytes = sample();
    let whole = 0;
    for (let length = 0; length < bytes.length; length++) {
      try {
        read(bytes.subarray(0, length));
        whole++; // between two blocks
      } catch (error) {
        assert.ok(error instanceof NetmapError && error.code === 'EINVAL', String(error));
        assert.match(error.message, /truncated/);
      }
    }
    assert.equal(whole, 6);
  });

  test('endless interfaces, endless unknown blocks: bounded memory', () => {
    const reader = new CaptureReader();
    reader.push(SECTION);
    assert.throws(
      () => {
        for (let i = 0; i < 1e6; i++) {
          reader.push(INTERFACE);
          reader.next();
        }
      },
      { code: 'EINVAL', message: /more than 4096 interfaces, at offset \d+/ },
    );
    const skipping = new CaptureReader();
    skipping.push(file(SECTION, block(99, [], 0xfffffffc).subarray(0, 8)));
    const before = process.memoryUsage().arrayBuffers;
    const chunk = new Uint8Array(1 << 20);
    for (let i = 0; i < 1000; i++) {
      skipping.push(chunk);
      assert.equal(skipping.next(), undefined);
    }
    assert.ok(process.memoryUsage().arrayBuffers - before < 64 << 20);
  });

  test('bytes changed at random: a capture, or EINVAL', () => {
    const original = file(sample(), sample());
    let seed = 1;
    const random = (limit: number): number => {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
      return (seed >>> 8) % limit;
    };
    let refused = 0;
    for (let round = 0; round < 20_000; round++) {
      const bytes = original.slice(0, random(2) ? original.length : random(original.length));
      for (let k = random(8); k >= 0; k--) bytes[random(bytes.length || 1)] = random(4) ? random(256) : 0xff;
      try {
        read(bytes, 1 + random(200));
      } catch (error) {
        assert.ok(error instanceof NetmapError && error.code === 'EINVAL', `round ${round}: ${error}`);
        refused++;
      }
    }
    assert.ok(refused > 5000);
  });
});
