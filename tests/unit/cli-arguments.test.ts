// Programs as strings: words, guests, letters and ranges, and what is refused.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseMac, parseRange } from '../../src/cli/arguments.js';
import type { PktGenOptions } from '../../src/cli/programs/options.js';
import { parseProgram, splitWords } from '../../src/cli/spec.js';

const refused = (text: string, message: RegExp, code = 'EINVAL'): void => {
  assert.throws(() => parseProgram(text), { name: 'NetmapError', code, message });
};

const pktGen = (args: string): PktGenOptions => parseProgram(`pkt-gen -i vale0:a ${args}`).options as PktGenOptions;

describe('words are split as by a shell', () => {
  for (const [text, words] of [
    ['', []],
    ['  a\tb\n c ', ['a', 'b', 'c']],
    [`'a b' "c d"`, ['a b', 'c d']],
    [`a'b'"c"d`, ['abcd']],
    [`'' ""`, ['', '']],
    [`'a\\b' "a\\b"`, ['a\\b', 'a\\b']],
    [`a\\ b \\'c "\\"\\$\\\`\\\\"`, ['a b', "'c", '"$`\\']],
    [`'it'\\''s' netmap:p{1`, ["it's", 'netmap:p{1']],
  ] as const) {
    test(JSON.stringify(text), () => assert.deepEqual(splitWords(text), words));
  }

  test('a quote must be closed, and a backslash must quote something', () => {
    for (const text of [`'a`, `"a`, `"a\\"`, 'a\\']) assert.throws(() => splitWords(text), { code: 'EINVAL' });
  });
});

describe('a program', () => {
  test('on the host has the ports of -i', () => {
    const { guest, ports, text } = parseProgram('pkt-gen -i vale0:a -f tx');
    assert.deepEqual([guest, ports, text], [null, ['vale0:a'], 'pkt-gen -i vale0:a -f tx']);
  });

  test('in a guest has the first interfaces by default', () => {
    const rx = parseProgram('guest vale0:b pkt-gen -f rx');
    assert.deepEqual([rx.guest, rx.ports], [['vale0:b'], ['netmap:ptnet0']]);
    const bridge = parseProgram('guest vale0:b,netmap:p{1 bridge');
    assert.deepEqual(
      [bridge.guest, bridge.ports],
      [
        ['vale0:b', 'netmap:p{1'],
        ['netmap:ptnet0', 'netmap:ptnet1'],
      ],
    );
    assert.deepEqual(parseProgram('guest vale0:b,vale1:b pkt-gen -i ptnet1').ports, ['ptnet1']);
  });

  test('must be there, be known, and have its ports', () => {
    refused('', /no program/);
    refused('guest', /guest needs its ports/);
    refused('guest vale0:a,', /guest needs its ports/);
    refused('guest vale0:a', /no program after the ports/);
    refused('pktgen -i vale0:a', /no program 'pktgen'/);
    refused('pkt-gen -f tx', /pkt-gen needs a port/);
    refused('bridge', /bridge needs two ports/);
    refused('bridge -i vale0:a', /takes 2 ports \(-i\), not 1/);
    refused('pkt-gen -i vale0:a -i vale0:b', /takes 1 ports \(-i\), not 2/);
    refused('bridge -i vale0:a -i vale0:a', /named twice/);
  });

  test('in a guest reaches the interfaces of the guest only', () => {
    refused('guest vale0:a pkt-gen -i vale0:a', /not a port of a guest/);
    refused('guest vale0:a pkt-gen -i ptnet1', /there is no 'ptnet1'/);
    refused('guest vale0:a bridge', /there is no 'netmap:ptnet1'/);
    refused('guest vale0:a,vale1:a bridge -i ptnet0 -i netmap:ptnet0', /named twice/);
  });
});

describe('pkt-gen', () => {
  test('has the defaults of netmap', () => {
    assert.deepEqual(pktGen(''), {
      program: 'pkt-gen',
      fn: 'rx',
      ports: ['vale0:a'],
      count: Infinity,
      size: 60,
      burst: 512,
      src: { firstIp: 0x0a000001, lastIp: 0x0a000001, firstPort: 1234, lastPort: 1234 },
      dst: { firstIp: 0x0a010001, lastIp: 0x0a010001, firstPort: 1234, lastPort: 1234 },
      srcMac: null,
      dstMac: [255, 255, 255, 255, 255, 255],
      wait: 0,
      rate: Infinity,
      report: 1000,
    });
  });

  test('takes the letters of netmap', () => {
    const args = '-f tx -n 7 -l1500 -b 64 -D 02:0:0:0:0:a -S 02:00:00:00:00:0b -w 0.5 -R 1000 -T 250 -c 1 -p 1 -a 3';
    const { fn, count, size, burst, dstMac, srcMac, wait, rate, report } = pktGen(args);
    assert.deepEqual([fn, count, size, burst, wait, rate, report], ['tx', 7, 1500, 64, 0.5, 1000, 250]);
    assert.deepEqual([dstMac, srcMac], [parseMac('02:00:00:00:00:0a'), parseMac('02:00:00:00:00:0b')]);
  });

  test('refuses what it does not have, and says so', () => {
    for (const fn of ['ping', 'pong']) {
      refused(`pkt-gen -i vale0:a -f ${fn}`, new RegExp(`-f ${fn} is not there yet`), 'EOPNOTSUPP');
    }
    for (const [args, message] of [
      ['-f txseq', /must be tx or rx/],
      ['-l 59', /60 to 65535 bytes/],
      ['-l 65536', /60 to 65535 bytes/],
      ['-l', /argument missing/],
      ['-n 1e6', /whole number/],
      ['-n -1', /argument '-1' is invalid/],
      ['-b 0', /1 to 8192/],
      ['-p 2', /one thread/],
      ['-c 4', /one core/],
      ['-w soon', /number of seconds/],
      ['-D ff:ff', /MAC address/],
      ['-d 10.0.0.256', /not an IPv4 address/],
      ['-d 10.0.0.1:70000', /not a UDP port/],
      ['-x', /unknown option '-x'/],
      ['vale0:b', /too many arguments/],
    ] as const) {
      refused(`pkt-gen -i vale0:a ${args}`, message);
    }
  });

  test('a message is one line', () => {
    for (const text of ['pkt-gen -i a -lll', 'pkt-gen -i a --lentgh 3', 'bridge -f tx']) {
      assert.throws(
        () => parseProgram(text),
        (error: Error) => !error.message.includes('\n'),
      );
    }
  });
});

test('a range of addresses is ip[:port[-ip:port]], in either order', () => {
  assert.deepEqual(parseRange('1.2.3.4'), {
    firstIp: 0x01020304,
    lastIp: 0x01020304,
    firstPort: 1234,
    lastPort: 1234,
  });
  assert.deepEqual(parseRange('255.0.0.9:20-255.0.0.1:10'), {
    firstIp: 0xff000001,
    lastIp: 0xff000009,
    firstPort: 10,
    lastPort: 20,
  });
  for (const text of ['', '1.2.3', '1.2.3.4:', '1.2.3.4:1:2', '1.2.3.4-', '1.2.3.4-1.2.3.5-1.2.3.6', '::1']) {
    assert.throws(() => parseRange(text), /Error|must be|not a/, text);
  }
});
