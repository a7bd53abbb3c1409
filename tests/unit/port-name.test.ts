import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  NR_REG_ALL_NIC as ALL_NIC,
  NR_EXCLUSIVE as EXCLUSIVE,
  NR_REG_NIC_SW as NIC_SW,
  NR_REG_ONE_NIC as ONE_NIC,
  NR_REG_ONE_SW as ONE_SW,
  NR_RX_RINGS_ONLY as RX_ONLY,
  NR_REG_SW as SW,
} from '../../assembly/abi/netmap.js';
import { parseKernelName, parsePortSpec } from '../../src/netmap/port-name.js';

const EINVAL = { name: 'NetmapError', code: 'EINVAL' };
const NAME_63 = 'n'.repeat(63);
const NAME_64 = 'n'.repeat(64);

describe('specifications are read as libnetmap reads them', () => {
  // spec, name, mode, ring, flags, memory id
  const rows: [string, string, number?, number?, number?, number?][] = [
    ['netmap:eth0', 'eth0', ALL_NIC],
    ['netmap:eth0^', 'eth0', SW],
    ['netmap:eth0^0', 'eth0', ONE_SW, 0],
    ['netmap:eth0^3', 'eth0', ONE_SW, 3],
    ['netmap:eth0^4094', 'eth0', ONE_SW, 4094],
    ['netmap:eth0^3/x', 'eth0', ONE_SW, 3, EXCLUSIVE],
    ['netmap:eth0^/x', 'eth0', SW, 0, EXCLUSIVE],
    ['netmap:eth0*', 'eth0', NIC_SW],
    ['netmap:eth0*/x@7', 'eth0', NIC_SW, 0, EXCLUSIVE, 7],
    ['netmap:eth0-0', 'eth0', ONE_NIC, 0],
    ['netmap:eth0-4094', 'eth0', ONE_NIC, 4094],
    ['netmap:eth0+', 'eth0+'],
    ['netmap:eth0/xx', 'eth0', ALL_NIC, 0, 0x800],
    ['netmap:eth0/z', 'eth0', ALL_NIC, 0, 0x400],
    ['netmap:eth0/t', 'eth0', ALL_NIC, 0, 0x100],
    ['netmap:eth0/r', 'eth0', ALL_NIC, 0, 0x200],
    ['netmap:eth0/R', 'eth0', ALL_NIC, 0, 0x2000],
    ['netmap:eth0/T', 'eth0', ALL_NIC, 0, 0x4000],
    ['netmap:eth0/xzrtRT', 'eth0', ALL_NIC, 0, 0x6f00],
    ['netmap:eth0/x@5', 'eth0', ALL_NIC, 0, EXCLUSIVE, 5],
    ['netmap:eth0@5/x', 'eth0', ALL_NIC, 0, EXCLUSIVE, 5],
    ['netmap:eth0/x@5/R', 'eth0', ALL_NIC, 0, EXCLUSIVE | RX_ONLY, 5],
    ['netmap:eth0-2/Tx', 'eth0', ONE_NIC, 2, 0x4800],
    ['netmap:eth0@70000', 'eth0', ALL_NIC, 0, 0, 4464],
    ['netmap:eth0@5@5', 'eth0', ALL_NIC, 0, 0, 5],
    ['netmap:eth0-1@5', 'eth0', ONE_NIC, 1, 0, 5],
    ['netmap:eth0@2/R@2', 'eth0', ALL_NIC, 0, RX_ONLY, 2],
    ['netmap:eth0.100', 'eth0.100'],
    ['netmap:eth0:1', 'eth0:1'],
    ['netmap:eth0&', 'eth0&'],
    ['netmap:a b', 'a b'],
    ['netmap:14', '14'],
    ['netmap:p{1', 'p{1'],
    ['netmap:p}1', 'p}1'],
    ['netmap:{1', '{1'],
    ['netmap:p{-1', 'p{', ONE_NIC, 1],
    ['netmap:p{a_b-3/x', 'p{a_b', ONE_NIC, 3, EXCLUSIVE],
    ['netmap:vale0:0', 'vale0:0'],
    ['vale:1', 'vale:1'],
    ['vale0:1', 'vale0:1'],
    ['valeA_b:c', 'valeA_b:c'],
    ['vale0:', 'vale0:'],
    ['vale0:1^', 'vale0:1', SW],
    ['vale0:p}1/x', 'vale0:p}1', ALL_NIC, 0, EXCLUSIVE],
    ['vale0:a:b', 'vale0:a:b'],
    [`netmap:${NAME_63}`, NAME_63],
    [`netmap:${NAME_63}-1/x`, NAME_63, ONE_NIC, 1, EXCLUSIVE],
    [`vale:${'n'.repeat(58)}`, `vale:${'n'.repeat(58)}`],
  ];
  for (const [spec, name, mode = ALL_NIC, ringId = 0, flags = 0, memId = 0] of rows) {
    test(spec, () => assert.deepEqual(parsePortSpec(spec), { name, mode, ringId, flags, memId }));
  }
});

describe('malformed specifications are refused, and the message names the part', () => {
  const rows: [string, RegExp][] = [
    ['netmap:eth0*3', /'3' where '\/' or '@' or the end was expected/],
    ['netmap:eth0-4095', /ring number 4095 is not in 0\.\.4094/],
    ['netmap:eth0^4095', /ring number 4095 is not in 0\.\.4094/],
    [`netmap:eth0-${'9'.repeat(400)}`, /ring number/],
    ['netmap:eth0-x', /no ring number after '-'/],
    ['netmap:eth0-', /no ring number after '-'/],
    ['netmap:eth0-1-2', /'-2' where/],
    ['netmap:eth0^x', /'x' where/],
    ['netmap:eth0/', /no flag \(one of xztrRT\) after '\/'/],
    ['netmap:eth0/q', /no flag/],
    ['netmap:eth0/xq', /'q' where a flag/],
    ['netmap:eth0/x/R', /'\/R' where a flag/],
    ['netmap:eth0/x-1', /'-1' where a flag/],
    ['netmap:eth0@0', /memory id 0/],
    ['netmap:eth0@', /no memory id after '@'/],
    ['netmap:eth0/x@', /no memory id after '@'/],
    ['netmap:eth0@5@6', /memory id 6 contradicts 5/],
    ['netmap:eth0@2/R@3', /memory id 3 contradicts 2/],
    ['netmap:eth0@5-1', /'-1' where/],
    ['netmap:p{', /no pipe id after '\{'/],
    ['netmap:{', /no pipe id/],
    ['netmap:p{1}2', /pipe id '1\}2'/],
    ['netmap:p{1{2', /pipe id '1\{2'/],
    ['netmap:p{a.b', /pipe id 'a\.b'/],
    ['netmap:', /no name/],
    ['netmap:^', /no name/],
    ['netmap', /no ':' after the prefix 'netmap'/],
    ['netmapXXX:eth0', /no ':' after the prefix 'netmap'/],
    ['eth0', /prefix/],
    ['foo:eth0', /prefix/],
    ['Netmap:eth0', /prefix/],
    ['', /prefix/],
    ['vale-x:1', /no ':' after the prefix 'vale'/],
    ['vale.x:1', /no ':' after the prefix 'vale'/],
    ['vale0', /no ':' after the prefix 'vale0'/],
    [`netmap:${NAME_64}`, /64 bytes, more than 63/],
    [`netmap:${'é'.repeat(32)}`, /64 bytes/],
    [`vale:${'n'.repeat(59)}`, /64 bytes/],
    ['netmap:a\0b', /NUL/],
  ];
  for (const [spec, message] of rows) {
    test(JSON.stringify(spec), () => {
      assert.throws(() => parsePortSpec(spec), { ...EINVAL, op: 'parsePortSpec', port: spec, message });
    });
  }
});

describe('options set fields of the request', () => {
  const rows: [string, object][] = [
    ['rings=4', { txRings: 4, rxRings: 4 }],
    ['rings=4,tx-rings=2', { txRings: 2, rxRings: 4 }],
    ['tx-rings=2,rings=4', { txRings: 2, rxRings: 4 }],
    ['tx_rings=2,rx-slots=128', { txRings: 2, rxSlots: 128 }],
    ['slots=256,rx-slots=128,host-rings=3', { txSlots: 256, rxSlots: 128, hostTxRings: 3, hostRxRings: 3 }],
    ['rings=2@conf:slots=64', { txRings: 2, rxRings: 2, txSlots: 64, rxSlots: 64 }],
    ['rings=2,slots=', { txRings: 2, rxRings: 2 }],
  ];
  for (const [text, conf] of rows) {
    test(text, () => assert.deepEqual(parsePortSpec(`netmap:eth0@conf:${text}`).conf, conf));
  }

  test('none are set by an empty list, and the register part stays', () => {
    for (const spec of ['netmap:eth0@conf:', 'netmap:eth0@conf:rings='])
      assert.equal(parsePortSpec(spec).conf, undefined);
    const { memId, flags, conf } = parsePortSpec('netmap:eth0/x@3@conf:rings=2');
    assert.deepEqual([memId, flags, conf], [3, EXCLUSIVE, { txRings: 2, rxRings: 2 }]);
  });

  test('@share names a port', () => {
    assert.equal(parsePortSpec('vale0:1@share=vale1:a').share, 'vale1:a');
    assert.equal(parsePortSpec('vale0:1@share:port=netmap:eth0').share, 'netmap:eth0');
  });

  const bad: [string, RegExp][] = [
    ['@conf=4', /wants keys/],
    ['@conf', /no ':' or '='/],
    ['@conf:rings', /no '=' after 'rings'/],
    ['@conf:rings=2,rings=3', /'rings' twice/],
    ['@conf:foo=1', /no key 'foo'/],
    ['@conf:rings=two', /'two' of 'rings'/],
    ['@foo', /no option '@foo'/],
    ['@constructor=4', /no option '@constructor'/],
    ['@conf:rings=2@', /no option '@'/],
    ['@share', /no ':' or '='/],
    ['@share=', /no value/],
    ['@share:a', /':port='/],
    ['@share=a@share=b', /'a' and of 'b'/],
    ['@5@share=a', /beside memory id 5/],
  ];
  for (const [option, message] of bad) {
    const spec = `netmap:eth0${option}`;
    test(`${spec} EINVAL`, () => assert.throws(() => parsePortSpec(spec), { ...EINVAL, port: spec, message }));
  }

  test('@offset and @extmem are not supported', () => {
    const specs = [
      'offset=12',
      'offset:initial=2,bits=8',
      'extmem=file',
      'extmem:buf-num=4,file=/a=b',
      'extmem=a@conf:x=1',
    ];
    for (const spec of specs.map((option) => `vale0:1@${option}`)) {
      assert.throws(() => parsePortSpec(spec), {
        name: 'NetmapError',
        code: 'EOPNOTSUPP',
        message: /not supported.*use the option (offsets|extmem) of open/,
      });
    }
    const bad: [option: string, message: RegExp][] = [
      ['extmem:', /wants '=' or ':file='/],
      ['extmem=', /wants '=' or ':file='/],
      ['extmem:if_num=3', /wants '=' or ':file='/],
      ['extmem:file=a,pages=1', /no key 'pages'/],
      ['extmem:file=a,file=b', /'file' twice/],
      ['extmem:file=a,if_num', /no '=' after 'if_num'/],
      ['offset:bits=3', /wants '=' or ':initial='/],
    ];
    for (const [option, message] of bad) {
      assert.throws(() => parsePortSpec(`vale0:1@${option}`), { code: 'EINVAL', message }, option);
    }
  });
});

describe('names stand for pipes, VALE ports or interfaces', () => {
  const fifteen = 'abcdefghijklmno';
  const rows: [string, object][] = [
    ['eth0', { kind: 'interface', name: 'eth0' }],
    ['eth0:1', { kind: 'interface', name: 'eth0:1' }],
    ['valid0', { kind: 'interface', name: 'valid0' }], // DIFF
    ['val:1', { kind: 'interface', name: 'val:1' }], // DIFF
    ['Vale0:1', { kind: 'interface', name: 'Vale0:1' }],
    ['', { kind: 'interface', name: '' }], // fails at lookup, as in netmap
    [NAME_63, { kind: 'interface', name: NAME_63 }],
    ['vale0:1', { kind: 'vale', bridge: 'vale0', port: '1' }],
    ['vale:1', { kind: 'vale', bridge: 'vale', port: '1' }],
    ['vale0:', { kind: 'vale', bridge: 'vale0', port: '' }],
    ['vale0:a:b.c', { kind: 'vale', bridge: 'vale0', port: 'a:b.c' }],
    [`vale5678901_345:${fifteen}`, { kind: 'vale', bridge: 'vale5678901_345', port: fifteen }],
    ['p{1', { kind: 'pipe', parent: 'p', role: 'master', id: '1' }],
    ['p}1', { kind: 'pipe', parent: 'p', role: 'slave', id: '1' }],
    ['p{a}b', { kind: 'pipe', parent: 'p', role: 'master', id: 'a}b' }],
    ['p}a{b', { kind: 'pipe', parent: 'p}a', role: 'master', id: 'b' }],
    ['p{1{2', { kind: 'pipe', parent: 'p{1', role: 'master', id: '2' }],
    ['p}1}2', { kind: 'pipe', parent: 'p}1', role: 'slave', id: '2' }],
    ['vale0:1{x', { kind: 'pipe', parent: 'vale0:1', role: 'master', id: 'x' }],
    ['vale0:1}x', { kind: 'pipe', parent: 'vale0:1', role: 'slave', id: 'x' }],
  ];
  for (const [name, expected] of rows) {
    test(JSON.stringify(name), () => assert.deepEqual(parseKernelName(name), expected));
  }
});

describe('names that stand for nothing are refused', () => {
  const rows: [string, RegExp][] = [
    ['{1', /no parent port before '\{'/],
    ['}1', /no parent port before '\}'/],
    ['p{', /no pipe id after '\{'/],
    ['p}', /no pipe id after '\}'/],
    ['p}1{', /no pipe id after '\{'/],
    ['{1}2{3', /no parent port/],
    ['vale0', /no ':'/],
    ['valentine', /no ':'/],
    ['vale0.1:1', /'\.' in the name of the switch/],
    ['vale 0:1', /' ' in the name of the switch/],
    ['vale56789012_456:1', /longer than 15 characters/],
    ['vale0:abcdefghijklmnop', /longer than 15 bytes/],
    [`vale0:${'é'.repeat(8)}`, /longer than 15 bytes/],
    ['vale-x:1{2', /'-' in the name of the switch/],
    [NAME_64, /64 bytes, more than 63/],
    [`${'é'.repeat(31)}ab`, /64 bytes/],
    ['a\0b', /NUL/],
  ];
  for (const [name, message] of rows) {
    test(JSON.stringify(name), () => {
      assert.throws(() => parseKernelName(name), { ...EINVAL, op: 'parseKernelName', port: name, message });
    });
  }
});
