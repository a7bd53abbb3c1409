// Bridges whose destinations a function of the user's decides: what it gets, what its answers mean, what becomes of its
// mistakes.
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { KRING_PORT, NS_MOREFRAG, PORT_HDR_LEN } from '../../src/abi.js';
import { type HostPort, type LookupOptions, Netmap } from '../../src/index.js';
import { wasmLookup } from '../support/wasm-lookup.js';

const small = { txSlots: 64, rxSlots: 64 };
const privatePools = { priv_buf_size: 128, priv_buf_num: 4, priv_ring_size: 1280, priv_ring_num: 2 };
const mac = (n: number): number[] => [2, 0, 0, 0, 0, n];
const frame = (dst: number, src: number): Uint8Array => Uint8Array.of(...mac(dst), ...mac(src), 8, 0, dst, src);
/** A module from source. */
const code = (source: string): string => `data:text/javascript,${encodeURIComponent(source)}`;
const example = (name: string): URL => new URL(`../../../../examples/${name}`, import.meta.url);

/** Answers by the last byte of the destination address: `answers[byte]`, or what `data.else` says. */
const BY_BYTE = code(`export default ({ u8, broadcast, drop, learn }) => (address) => {
  switch (u8[address + 5]) {
    case 1: return 1;
    case 2: return 2;
    case 3: return broadcast;
    case 4: return drop;
    case 5: return learn;
    case 6: return 77; // no such port
    case 7: return 0; // the sender
    case 10: return undefined;
    case 11: return 1.5;
    case 12: return -1;
    case 13: throw new Error('unlucky');
    case 14: return '1';
    case 15: return { valueOf() { throw new Error('no number'); } };
    case 16: return 0x1001;
    case 17: return 2n;
    case 18: return NaN;
  }
  return drop | (3 << 8);
}`);
/** Writes down what it gets, and sends everything to port 1. */
const RECORDER = code('export default ({ data }) => (...args) => { new Uint32Array(data).set(args); return 1; }');

for (const shared of [true, false]) {
  describe(`lookups (${shared ? 'shared' : 'unshared'} memory)`, () => {
    let netmap: Netmap;
    const record = new SharedArrayBuffer(20);
    const table = new SharedArrayBuffer(32);
    const ports: HostPort[] = [];
    const warnings: string[] = [];
    const { warn } = console;

    const open = async (spec: string, options = {}): Promise<HostPort> => {
      const port = await netmap.open(spec, { ...small, ...options });
      ports.push(port);
      return port;
    };
    const three = (): Promise<HostPort[]> =>
      (async () => [await open('vale0:a'), await open('vale0:b'), await open('vale0:c')])();
    const push = (port: HostPort, ...frames: Uint8Array[]): void => {
      for (const one of frames) assert.ok(port.trySend(one));
      assert.equal(port.txsync(), 0);
    };
    /** Last bytes of the destination addresses of what the port has received by now. */
    const taken = (port: HostPort): number[] => {
      port.rxsync();
      return port.recv().map((bytes) => bytes[5]);
    };

    before(async () => {
      console.warn = (text: string) => warnings.push(text);
      const lookups: LookupOptions = {
        byByte: { module: BY_BYTE },
        recorder: { module: RECORDER, data: record },
        filter: { module: example('mac-filter.mjs'), data: ['02:00:00:00:00:01', '02:00:00:00:00:02'] },
        table: { module: example('static-table.mjs'), data: table },
        wasm: { wasm: wasmLookup(shared), data: Uint8Array.of(0, 1, 2, 254, 255, 13) },
        compiled: { wasm: new WebAssembly.Module(wasmLookup(shared, 'other')), export: 'other' },
      };
      netmap = await Netmap.create({ memorySize: 1 << 25, shared, privatePools, lookups });
    });
    afterEach(async () => {
      for (const port of ports.splice(0)) await port.close();
      await netmap.valeLookup('vale0');
    });
    after(async () => {
      console.warn = warn;
      await netmap.close();
    });

    test('its answers: a port, all ports, nobody, what the learning switch would do', async () => {
      await netmap.valeLookup('vale0', 'byByte');
      const [a, b, c] = await three();
      push(a, frame(1, 40), frame(2, 40), frame(3, 40), frame(4, 40), frame(5, 40));
      assert.deepEqual([taken(a), taken(b), taken(c)], [[], [1, 3, 5], [2, 3, 5]]); // 5 is not known, hence flooded
      const { drops } = await a.counters();
      assert.deepEqual([drops.filtered, drops.lookup, drops.noPort, drops.self], [1, 0, 0, 0]);
      assert.deepEqual((await netmap.valeInspect('vale0')).fdb, [{ mac: '02:00:00:00:00:28', port: 'vale0:a' }]);
    });

    test('a port that is not there, and the source itself, are drops as with the learning switch', async () => {
      await netmap.valeLookup('vale0', 'byByte');
      const [a, b, c] = await three();
      push(a, frame(6, 40), frame(7, 40), frame(99, 40));
      assert.deepEqual([taken(a), taken(b), taken(c)], [[], [], []]);
      const { drops } = await a.counters();
      assert.deepEqual([drops.noPort, drops.self, drops.filtered, drops.lookup], [1, 1, 1, 0]);
    });

    test('exceptions and nonsense are drops of their own, and the frames around them arrive', async () => {
      warnings.length = 0;
      await netmap.valeLookup('vale0', 'byByte');
      const [a, b, c] = await three();
      const bad = [10, 11, 12, 13, 14, 15, 16, 17, 18];
      for (const n of bad) push(a, frame(1, 40), frame(n, 40), frame(2, 40));
      push(a, frame(13, 40), frame(13, 40), frame(1, 40), frame(13, 40));
      assert.deepEqual(taken(b), new Array(bad.length + 1).fill(1));
      assert.deepEqual(taken(c), new Array(bad.length).fill(2));
      assert.equal((await a.counters()).drops.lookup, bad.length + 3);
      assert.deepEqual(warnings, [
        "ptnet: lookup 'byByte' has thrown 'unlucky': such frames are dropped (this is told once a thread)",
      ]);
    });

    test('what it gets: address behind the header, length of the first fragment, header, source port and ring', async () => {
      await netmap.valeLookup('vale0', 'recorder');
      const b = await open('vale0:z');
      const a = await open('vale0:a', { txRings: 2 });
      const seen = (): number[] => [...new Uint32Array(record)];
      await b.close();
      const ring = a.txRings[1];
      ring.u8.set(frame(1, 2), ring.bufAddress(0));
      ring.setSlot(0, 16, 0);
      ring.advance(1);
      a.txsync();
      assert.deepEqual(seen(), [ring.bufAddress(0), 16, 0, 1, 1]);
      ring.setSlot(1, 13, 0); // no Ethernet header: nobody is asked
      ring.advance(1);
      a.txsync();
      assert.deepEqual(seen(), [ring.bufAddress(0), 16, 0, 1, 1]);
      assert.equal((await a.counters()).drops.short, 1);
      const words = new Uint32Array(netmap.memory.buffer);
      words[(words[(a.info.tx[0].kring + KRING_PORT) >>> 2] + PORT_HDR_LEN) >>> 2] = 12;
      ring.setSlot(2, 32, 0);
      ring.setSlot(3, 12, NS_MOREFRAG); // the header alone
      ring.setSlot(4, 20, 0);
      ring.advance(1);
      a.txsync();
      assert.deepEqual(seen(), [ring.bufAddress(2) + 12, 20, 12, 1, 1]);
      ring.advance(2);
      a.txsync();
      assert.deepEqual(seen(), [ring.bufAddress(4), 20, 12, 1, 1]);
    });

    test('it is put on a bridge and taken from it while frames flow; the learning switch starts with an empty table', async () => {
      const [a, b, c] = await three();
      push(b, frame(9, 2));
      taken(a);
      taken(c);
      push(a, frame(2, 1));
      assert.deepEqual([taken(b), taken(c)], [[2], []]);
      await netmap.valeLookup('vale0', 'byByte');
      push(a, frame(2, 1));
      assert.deepEqual([taken(b), taken(c)], [[], [2]]);
      assert.equal((await netmap.inspect()).bridges[0].lookup, 'byByte');
      await netmap.valeLookup('vale0');
      assert.deepEqual((await netmap.valeInspect('vale0')).fdb, []);
      push(a, frame(2, 1));
      assert.deepEqual([taken(b), taken(c)], [[2], [2]]);
      assert.equal((await netmap.inspect()).bridges[0].lookup, null);
    });

    test('it stays with the name of the bridge', async () => {
      await netmap.valeLookup('vale0', 'byByte');
      for (let i = 0; i < 2; i++) {
        const [a, b, c] = await three();
        push(a, frame(2, 1));
        assert.deepEqual([taken(b), taken(c)], [[], [2]]);
        for (const port of ports.splice(0)) await port.close();
        assert.deepEqual((await netmap.inspect()).bridges, []);
      }
    });

    test('in Wasm: answers, data, and a trap', async () => {
      await netmap.valeLookup('vale0', 'wasm');
      const [a, b, c] = await three();
      push(a, frame(1, 40), frame(5, 40), frame(2, 40), frame(3, 40), frame(4, 40), frame(5, 40), frame(1, 40));
      assert.deepEqual([taken(a), taken(b), taken(c)], [[], [1, 3, 1], [2, 3]]);
      const { drops } = await a.counters();
      assert.deepEqual([drops.lookup, drops.filtered], [2, 1]);
      await netmap.valeLookup('vale0', 'compiled');
      push(b, frame(1, 40));
      assert.deepEqual(taken(a), [1]); // without data, it reads what lies at address 1, where nothing is
    });

    test('examples/mac-filter.mjs lets frames of known addresses through', async () => {
      await netmap.valeLookup('vale0', 'filter');
      const [a, b, c] = await three();
      push(b, frame(9, 2), frame(9, 3));
      assert.deepEqual([taken(a), taken(c)], [[9], [9]]);
      push(a, frame(2, 1));
      assert.deepEqual([taken(b), taken(c)], [[2], []]);
      assert.equal((await b.counters()).drops.filtered, 1);
    });

    test('examples/static-table.mjs sends by a table that the host changes', async () => {
      new Uint16Array(table).fill(0xffff);
      const bytes = new Uint8Array(table);
      await netmap.valeLookup('vale0', 'table');
      const [a, b, c] = await three();
      push(a, frame(5, 1));
      assert.deepEqual([taken(b), taken(c)], [[], []]);
      bytes.set([...mac(5), 2, 0]);
      push(a, frame(5, 1));
      assert.deepEqual([taken(b), taken(c)], [[], [5]]);
      bytes.set([...mac(5), 1, 0]);
      push(a, frame(5, 1), Uint8Array.of(...frame(0, 1)).fill(0xff, 0, 6));
      assert.deepEqual([taken(b), taken(c)], [[5, 0xff], [0xff]]);
      assert.equal((await a.counters()).drops.filtered, 1);
    });

    test('names that are none are refused', async () => {
      const rejects = (promise: Promise<unknown>, code: string, message: RegExp): Promise<void> =>
        assert.rejects(promise, { code, message });
      await rejects(netmap.valeLookup('vale0', 'nix'), 'ENOENT', /no lookup 'nix': the host was made with byByte, /);
      await rejects(netmap.valeLookup('vale0:a', 'filter'), 'EINVAL', /not the name of a bridge/);
      await rejects(netmap.valeLookup('eth0', 'filter'), 'EINVAL', /not the name of a bridge/);
    });
  });
}

describe('lookups that cannot be loaded', () => {
  const cases: [string, LookupOptions, RegExp][] = [
    ['neither', { x: {} as never }, /lookup 'x': it needs either module or wasm/],
    ['both', { x: { module: BY_BYTE, wasm: wasmLookup(true) } as never }, /either module or wasm/],
    ['a relative address', { x: { module: './x.mjs' } }, /'\.\/x\.mjs' is not an absolute URL/],
    ['no such file', { x: { module: 'file:///nowhere/x.mjs' } }, /x\.mjs cannot be loaded: /],
    ['a syntax error', { x: { module: code('export default (') } }, /cannot be loaded/],
    ['no default export', { x: { module: code('export const y = 1') } }, /the default export of .* is not a function/],
    [
      'a default export that throws',
      { x: { module: code('export default () => { throw Error("no") }') } },
      /cannot be loaded: no, lookup$/,
    ],
    ['one that returns no function', { x: { module: code('export default () => 7') } }, /returns is not a function/],
    ['no Wasm', { x: { wasm: Uint8Array.of(1, 2, 3) } }, /lookup 'x': /],
    ['Wasm for another memory', { x: { wasm: wasmLookup(false) } }, /lookup 'x': .*memory/],
    ['no such export', { x: { wasm: wasmLookup(true), export: 'y' } }, /no function 'y' of five parameters/],
    ['data of another kind', { x: { wasm: wasmLookup(true), data: [1] as never } }, /is a Uint8Array/],
  ];
  for (const [what, lookups, message] of cases) {
    test(what, () => assert.rejects(Netmap.create({ memorySize: 1 << 24, lookups }), { code: 'EINVAL', message }));
  }
});

describe('a lookup that calls back', () => {
  test('syncs of its own thread are skipped, and work afterwards', async () => {
    const calls: number[] = [];
    const key = `lookup${Math.random()}`;
    const module = code(`export default () => () => globalThis[${JSON.stringify(key)}]()`);
    const netmap = await Netmap.create({ memorySize: 1 << 25, privatePools, lookups: { back: { module } } });
    try {
      const [a, b, other, far] = await Promise.all(
        ['vale0:a', 'vale0:b', 'vale1:x', 'vale1:y'].map((spec) => netmap.open(spec, small)),
      );
      Object.assign(globalThis, {
        [key]: () => {
          other.trySend(frame(1, 2));
          calls.push(other.txsync(), a.txsync(), b.rxsync());
          return 1;
        },
      });
      await netmap.valeLookup('vale0', 'back');
      for (let i = 0; i < 3; i++) a.trySend(frame(i, 9));
      a.txsync();
      assert.deepEqual(calls, new Array(9).fill(0));
      b.rxsync();
      far.rxsync();
      assert.deepEqual([b.recv().length, far.recv().length], [3, 0]);
      other.txsync();
      far.rxsync();
      assert.equal(far.recv().length, 3);
    } finally {
      await netmap.close();
    }
  });
});

describe('one bridge', () => {
  test('is shown with the counters of its ports, and its table is cleared whole or for one port', async () => {
    const netmap = await Netmap.create({ memorySize: 1 << 25, privatePools, maxBridgePorts: 2 });
    try {
      const [a, b] = [await netmap.open('vale0:a', small), await netmap.open('vale0:b', small)];
      for (const port of [a, b]) for (const n of [1, 2]) await port.send(frame(9, 10 * (port === a ? 1 : 2) + n));
      const shown = await netmap.valeInspect('vale0');
      const brief = shown.ports.map(({ index, name, counters }) => [
        index,
        name,
        counters.txPackets,
        counters.rxPackets,
      ]);
      assert.deepEqual(brief, [
        [0, 'vale0:a', 2, 2],
        [1, 'vale0:b', 2, 2],
      ]);
      assert.deepEqual([shown.name, shown.fdb.length, shown.fdbFull, shown.lookup], ['vale0', 4, 0, null]);
      await netmap.valeClear('vale0', 'vale0:a');
      const left = (await netmap.valeInspect('vale0')).fdb;
      assert.deepEqual(
        left.map(({ port }) => port),
        ['vale0:b', 'vale0:b'],
      );
      await netmap.valeClear('vale0');
      assert.deepEqual((await netmap.valeInspect('vale0')).fdb, []);
      await assert.rejects(netmap.valeClear('vale0', 'vale0:z'), { code: 'ENOENT' });
      await assert.rejects(netmap.valeInspect('vale7'), { code: 'ENOENT', message: /no bridge 'vale7'/ });
      await assert.rejects(netmap.open('vale0:c', small), {
        code: 'ENOMEM',
        message: /has 2 ports \(maxBridgePorts\)/,
      });
    } finally {
      await netmap.close();
    }
    for (const maxBridgePorts of [0, 253, 1.5]) {
      await assert.rejects(Netmap.create({ memorySize: 1 << 24, maxBridgePorts }), { code: 'EINVAL' });
    }
  });
});
