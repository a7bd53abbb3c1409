// Programs as strings: words, guests, letters and ranges, and what is refused.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { PktGenOptions, ProgramSpec, ValeCtlOptions } from '../../src/cli/programs/options.js';
import { parsePrograms, splitWords } from '../../src/cli/spec.js';
import { parseMacRange, parsePortConfig, parseRange } from '../../src/cli/values.js';

/** The one program that a text means. */
const parseProgram = (text: string): ProgramSpec => {
  const programs = parsePrograms(text);
  assert.equal(programs.length, 1);
  return programs[0];
};

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
      minSize: 60,
      burst: 512,
      src: { firstIp: 0x0a000001, lastIp: 0x0a000001, firstPort: 1234, lastPort: 1234 },
      dst: { firstIp: 0x0a010001, lastIp: 0x0a010001, firstPort: 1234, lastPort: 1234 },
      srcMac: null,
      dstMac: { first: 0xffffffffffff, last: 0xffffffffffff },
      randomSrc: false,
      randomDst: false,
      frame: null,
      rubbish: false,
      dump: false,
      wait: 0,
      endIfEmpty: false,
      rate: Infinity,
      report: 1000,
      threads: 1,
      config: {},
    });
  });

  test('takes the letters of netmap', () => {
    const args = '-f tx -n 7 -l1500 -b 64 -D 02:0:0:0:0:a -S 02:00:00:00:00:0b -w 0.5 -R 1000 -T 250 -c 1 -p 1';
    const { fn, count, size, burst, dstMac, srcMac, wait, rate, report } = pktGen(args);
    assert.deepEqual([fn, count, size, burst, wait, rate, report], ['tx', 7, 1500, 64, 0.5, 1000, 250]);
    assert.deepEqual([dstMac, srcMac], [parseMacRange('02:00:00:00:00:0a'), parseMacRange('02:00:00:00:00:0b')]);
  });

  test('refuses what it does not have, and says so', () => {
    for (const [letter, message] of [
      ['-a 3', /pkt-gen -a: threads cannot be pinned/],
      ['-H 12', /pkt-gen -H: /],
      ['-F 2', /pkt-gen -F: /],
      ['-I', /pkt-gen -I: /],
      ['-6', /pkt-gen -6: /],
    ] as const) {
      refused(`pkt-gen -i vale0:a ${letter}`, message, 'EOPNOTSUPP');
    }
    for (const [args, message] of [
      ['-f txseq', /must be tx, rx, ping, pong/],
      ['-l 59', /60 to 65535 bytes/],
      ['-l 65536', /60 to 65535 bytes/],
      ['-l', /argument missing/],
      ['-n 1e6', /whole number/],
      ['-n -1', /argument '-1' is invalid/],
      ['-b 0', /1 to 8192/],
      ['-p 17', /1 to 16/],
      ['-p 2 -f ping', /-p goes with tx and rx/],
      ['-p 2 -i vale0:a-1', /takes 1 ports/],
      ['-l 60 -l 61', /the second size is not above/],
      ['-l 60 -l 60 -l 60', /once or twice/],
      ['-P nowhere.pcap -f tx', /-P: ENOENT/],
      ['-P x -f rx', /-P goes with -f tx/],
      ['-W -f tx', /-W goes with rx/],
      ['-C 1,2,3,4,5', /tx_slots/],
      ['-C x', /whole number/],
      ['-D 02:00:00:00:00:02-02:00:00:00:00:01', /not above the last/],
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

describe('pkt-gen -p', () => {
  test('is several programs, each with a ring pair and its share', () => {
    const programs = parsePrograms('pkt-gen -i vale0:a -f tx -n 10 -R 300 -p 3 -C 64');
    assert.deepEqual(
      programs.map(({ ports, config, options }) => [ports, config, (options as PktGenOptions).count]),
      [3, 3, 4].map((count, i) => [[`vale0:a-${i}`], { txSlots: 64, rxSlots: 64, txRings: 3, rxRings: 3 }, count]),
    );
    assert.equal((programs[0].options as PktGenOptions).rate, 100);
    assert.equal((parsePrograms('pkt-gen -i vale0:a -p 2')[1].options as PktGenOptions).count, Infinity);
  });

  test('is refused in a guest, and for a port of which rings were chosen', () => {
    refused('guest vale0:a pkt-gen -p 2', /the rings of a guest/);
    refused('pkt-gen -i vale0:a-0 -p 2', /needs all rings/);
    refused('pkt-gen -i vale0:a/x -p 2', /needs all rings/);
  });
});

describe('bridge', () => {
  test('of one NIC is between the NIC and its host rings', () => {
    assert.deepEqual(parseProgram('bridge -i netmap:eth0').ports, ['netmap:eth0', 'netmap:eth0^']);
    refused('bridge -i netmap:p{1', /takes 2 ports/);
  });

  test('-L takes one port', () => {
    assert.deepEqual(parseProgram('bridge -L -i vale0:a').ports, ['vale0:a']);
    assert.deepEqual(parseProgram('guest vale0:a bridge -L').ports, ['netmap:ptnet0']);
    refused('bridge -L -i vale0:a -i vale0:b', /takes 1 ports/);
  });
});

describe('vale-ctl', () => {
  const actions = (args: string): string[] =>
    (parseProgram(`vale-ctl ${args}`).options as ValeCtlOptions).actions.map(({ letter, name }) => letter + name);

  test('does what its letters say, in their order; without letters it lists', () => {
    assert.deepEqual(actions(''), ['l']);
    assert.deepEqual(actions('-l'), ['l']);
    assert.deepEqual(
      actions('-n per0 -a vale0:per0 -l -g vale0:x -h vale0:e -d vale0:per0 -r per0 -l vale0:y -n per1'),
      [...['nper0', 'avale0:per0', 'l', 'gvale0:x', 'hvale0:e', 'dvale0:per0', 'rper0', 'lvale0:y', 'nper1']],
    );
  });

  test('-C and -m are for the ports that -n makes', () => {
    const { config } = parseProgram('vale-ctl -n a -C 1,2,3,4 -m 7').options as ValeCtlOptions;
    assert.deepEqual(config, { txSlots: 1, rxSlots: 2, txRings: 3, rxRings: 4, memId: 7 });
    refused('vale-ctl -C 1 -l', /-C goes with -n, or with -p/);
    refused('vale-ctl -n a -p vale0:e -C 1', /-C goes with -n, or with -p/);
    refused('vale-ctl -n a -C 1,2,3,4,5', /tx_slots/);
    refused('vale-ctl -m 2', /-m goes with -n/);
    refused('vale-ctl -n a -m 0', /1 to 65535/);
  });

  test('-C tells -p who polls', () => {
    const polling = (text: string) => (parseProgram(text).options as ValeCtlOptions).polling;
    assert.deepEqual(polling('vale-ctl -p vale0:e -P vale0:e'), {});
    assert.deepEqual(polling('vale-ctl -p vale0:e -C 0,3'), { mode: 1, firstCpu: 3, cpus: 1 });
    assert.deepEqual(polling('vale-ctl -p vale0:e -C 1,2,4'), { mode: 2, firstCpu: 2, cpus: 4 });
    for (const bad of ['0', '2,0', '1,1,1,1', '1,x', '-1,0']) refused(`vale-ctl -p vale0:e -C ${bad}`, /-C/);
  });

  test('refuses guests, and what it does not know', () => {
    refused('guest vale0:a vale-ctl', /does not run in a guest/);
    refused('vale-ctl -z', /unknown option/);
    refused('vale-ctl -n', /argument missing/);
    refused('vale-ctl per0', /too many arguments/);
  });
});

test('a port configuration is tx_slots[,rx_slots[,tx_rings[,rx_rings]]]', () => {
  assert.deepEqual(parsePortConfig('8'), { txSlots: 8, rxSlots: 8 });
  assert.deepEqual(parsePortConfig('8,16,2'), { txSlots: 8, rxSlots: 16, txRings: 2, rxRings: 2 });
});

test('a range of MAC addresses has a first and a last one', () => {
  assert.deepEqual(parseMacRange('02:00:00:00:00:01-02:00:00:00:01:00'), {
    first: 0x020000000001,
    last: 0x020000000100,
  });
  for (const text of ['', 'a-b', '02:00:00:00:00:01-', '1:1:1:1:1:1-1:1:1:1:1:2-1:1:1:1:1:3']) {
    assert.throws(() => parseMacRange(text), /must be/, text);
  }
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
