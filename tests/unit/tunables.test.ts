// Tunables: the table, settings in the form of loader.conf(5), and which source wins.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  DEFAULT_TUNABLES,
  type GivenTunables,
  Netmap,
  parseLoaderConf,
  resolveTunables,
  TUNABLES,
  type TunableSources,
} from '../../src/index.js';

const HDR = 'dev.netmap.ptnet_vnet_hdr';
const BRIDGES = 'dev.netmap.max_bridges';
const BATCH = 'dev.netmap.bridge_batch';

/** An error of a setting, by its whole message. */
const einval = (message: string): object => ({ name: 'NetmapError', code: 'EINVAL', message: `EINVAL: ${message}` });

describe('the table', () => {
  test('defaults are in range, and a constant has no other value', () => {
    for (const info of TUNABLES) {
      assert.ok(info.min <= info.default && info.default <= info.max, info.name);
      assert.equal(info.writable, info.min < info.max, info.name);
      assert.match(info.description, /^[A-Z][^\n]+[^.]$/);
    }
    assert.equal(new Set(TUNABLES.map(({ name }) => name)).size, TUNABLES.length);
  });

  test('defaults are what a host has without options', async () => {
    assert.deepEqual(
      { ...DEFAULT_TUNABLES },
      {
        [BATCH]: 1024,
        [BRIDGES]: 8,
        [HDR]: 1,
        'dev.netmap.fwd': 0,
        'dev.netmap.if_size': 1024,
        'dev.netmap.if_num': 100,
        'dev.netmap.ring_size': 36864,
        'dev.netmap.ring_num': 200,
        'dev.netmap.buf_size': 2112,
        'dev.netmap.buf_num': 163840,
        'dev.netmap.priv_if_size': 1024,
        'dev.netmap.priv_if_num': 2,
        'dev.netmap.priv_ring_size': 20480,
        'dev.netmap.priv_ring_num': 4,
        'dev.netmap.priv_buf_size': 2112,
        'dev.netmap.priv_buf_num': 4098,
        ptnet_gso: 1,
      },
    );
    assert.deepEqual(resolveTunables(), DEFAULT_TUNABLES);
  });

  // A limit that the table allows and the allocator refuses would be found only when a host is made.
  test('the allocator takes the limits of every tunable', async () => {
    for (const { name, min, max, writable } of TUNABLES) {
      if (!writable) continue;
      for (const value of [min, max]) {
        const netmap = await Netmap.create({ memorySize: 1 << 27, shared: false, tunables: { [name]: value } });
        await netmap.close();
      }
    }
  });
});

describe('parseLoaderConf', () => {
  for (const [what, text, expected] of [
    ['nothing', '', {}],
    ['blank lines and comments', '\n  \n# dev.netmap.max_bridges="x"\n\t# more\n', {}],
    ['a value in quotes', `${BRIDGES}="16"`, { [BRIDGES]: 16 }],
    ['a value without quotes', `${BRIDGES}=16`, { [BRIDGES]: 16 }],
    ['blanks around', `  ${BRIDGES} = "16"\t`, { [BRIDGES]: 16 }],
    ['a comment behind', `${BRIDGES}="16" # "sixteen"\n${HDR}=0# off`, { [BRIDGES]: 16, [HDR]: 0 }],
    ['hexadecimal', `${BRIDGES}="0x10"\n${HDR}=0X0`, { [BRIDGES]: 16, [HDR]: 0 }],
    ['zeros in front, which are not octal', `${BRIDGES}="010"`, { [BRIDGES]: 10 }],
    ['the last one counts', `${HDR}=0\n${HDR}=1\n${HDR}=0`, { [HDR]: 0 }],
    ['line ends of DOS, and a byte order mark', `\uFEFF${HDR}=0\r\n${BRIDGES}=3\r\n`, { [HDR]: 0, [BRIDGES]: 3 }],
    ['the value that a constant has', `${BATCH}=1024`, { [BATCH]: 1024 }],
    ["Linux's name", 'ptnet_gso="0"', { ptnet_gso: 0 }],
    [
      'the rest of a machine',
      'console="comconsole,vidconsole"\nif_vtnet_load=YES # x\nhw.a.b="say \\"hi\\" # no"\nexec="unload"\ndev.re.0.x=-1\nmodules+="a b"',
      {},
    ],
  ] as [string, string, GivenTunables][]) {
    test(what, () => assert.deepEqual(parseLoaderConf(text, 'f'), expected));
  }

  for (const [text, message] of [
    ['\n\nnetmap on', `loader.conf:3: 'netmap on' is not a setting: name="value"`],
    [`${BRIDGES}`, `loader.conf:1: '${BRIDGES}' is not a setting: name="value"`],
    [`${BRIDGES}=`, `loader.conf:1: '${BRIDGES}=' is not a setting: name="value"`],
    [`${BRIDGES}="4`, `loader.conf:1: '${BRIDGES}="4' is not a setting: name="value"`],
    [`${BRIDGES}='4'`, `loader.conf:1: '${BRIDGES}='4'' is not a setting: name="value"`],
    [`${BRIDGES}=4 ${HDR}=0`, `loader.conf:1: '${BRIDGES}=4 ${HDR}=0' is not a setting: name="value"`],
    ['="4"', `loader.conf:1: '="4"' is not a setting: name="value"`],
    [`${BRIDGES}=""`, `loader.conf:1: ${BRIDGES}='' is not a whole number within 1..65535`],
    [`${BRIDGES}="0"`, `loader.conf:1: ${BRIDGES}='0' is not a whole number within 1..65535`],
    [`#\n${BRIDGES}="65536"`, `loader.conf:2: ${BRIDGES}='65536' is not a whole number within 1..65535`],
    [`${HDR}="YES"`, `loader.conf:1: ${HDR}='YES' is not a whole number within 0..1`],
    [`${HDR}="-0"`, `loader.conf:1: ${HDR}='-0' is not a whole number within 0..1`],
    [`${HDR}="1.0"`, `loader.conf:1: ${HDR}='1.0' is not a whole number within 0..1`],
    [`${HDR}="1e0"`, `loader.conf:1: ${HDR}='1e0' is not a whole number within 0..1`],
    [`${HDR}=" 1"`, `loader.conf:1: ${HDR}=' 1' is not a whole number within 0..1`],
    [`${HDR}="0x"`, `loader.conf:1: ${HDR}='0x' is not a whole number within 0..1`],
    [`${BATCH}="512"`, `loader.conf:1: ${BATCH} is a constant, 1024: it cannot be '512'`],
    [
      'dev.netmap.max_bridge=4',
      `loader.conf:1: there is no tunable 'dev.netmap.max_bridge': did you mean '${BRIDGES}'?`,
    ],
    [`${HDR}+=1`, `loader.conf:1: there is no tunable '${HDR}+': did you mean '${HDR}'?`],
    ['dev.netmap.admode=2', "loader.conf:1: there is no tunable 'dev.netmap.admode'"],
    ['dev.netmap.__proto__=2', "loader.conf:1: there is no tunable 'dev.netmap.__proto__'"],
  ] as const) {
    test(`refused: ${JSON.stringify(text)}`, () => {
      assert.throws(() => parseLoaderConf(text, 'loader.conf'), einval(message));
    });
  }
});

describe('resolveTunables', () => {
  for (const [what, sources, expected] of [
    ['a file', { file: { [BRIDGES]: 9 } }, { [BRIDGES]: 9 }],
    ["FreeBSD's name in the environment", { env: { [HDR]: '0', PATH: '/bin' } }, { [HDR]: 0 }],
    [
      "a shell's name in the environment",
      { env: { DEV_NETMAP_PTNET_VNET_HDR: '0x0', PTNET_GSO: '0' } },
      { [HDR]: 0, ptnet_gso: 0 },
    ],
    [
      "FreeBSD's name wins over the shell's",
      { env: { [BRIDGES]: '5', DEV_NETMAP_MAX_BRIDGES: '6' } },
      { [BRIDGES]: 5 },
    ],
    ['whichever comes first', { env: { DEV_NETMAP_MAX_BRIDGES: '6', [BRIDGES]: '5' } }, { [BRIDGES]: 5 }],
    [
      'the environment wins over the file',
      { file: { [BRIDGES]: 9, [HDR]: 0 }, env: { [BRIDGES]: '5' } },
      { [BRIDGES]: 5, [HDR]: 0 },
    ],
    [
      'options win over the environment',
      { file: { [BRIDGES]: 9 }, env: { [BRIDGES]: '5' }, values: { [BRIDGES]: 4 } },
      { [BRIDGES]: 4 },
    ],
    ['what is undefined says nothing', { env: { [BRIDGES]: undefined }, values: { [HDR]: undefined } }, {}],
    [
      'other defaults',
      { defaults: { ...DEFAULT_TUNABLES, [BRIDGES]: 3, [HDR]: 0 }, values: { [HDR]: 1 } },
      { [BRIDGES]: 3 },
    ],
  ] as [string, TunableSources, GivenTunables][]) {
    test(what, () => assert.deepEqual(resolveTunables(sources), { ...DEFAULT_TUNABLES, ...expected }));
  }

  for (const [sources, message] of [
    [{ env: { [HDR]: '2' } }, `environment: ${HDR}='2' is not a whole number within 0..1`],
    [
      { env: { DEV_NETMAP_PTNET_VNET_HDR: '' } },
      `environment, DEV_NETMAP_PTNET_VNET_HDR: ${HDR}='' is not a whole number within 0..1`,
    ],
    [{ env: { PTNET_GSO: 'no' } }, "environment, PTNET_GSO: ptnet_gso='no' is not a whole number within 0..1"],
    [
      { env: { 'dev.netmap.if_numb': '1' } },
      "environment: there is no tunable 'dev.netmap.if_numb': did you mean 'dev.netmap.if_num'?",
    ],
    [
      { env: { DEV_NETMAP_IF_NUMB: '1' } },
      "environment, DEV_NETMAP_IF_NUMB: there is no tunable 'dev.netmap.if_numb': did you mean 'dev.netmap.if_num'?",
    ],
    [{ values: { [HDR]: 0.5 } }, `options: ${HDR}='0.5' is not a whole number within 0..1`],
    [{ values: { [HDR]: Number.NaN } }, `options: ${HDR}='NaN' is not a whole number within 0..1`],
    [{ values: { [HDR]: null as unknown as number } }, `options: ${HDR}='null' is not a whole number within 0..1`],
    [{ values: { [BATCH]: 1 } }, `options: ${BATCH} is a constant, 1024: it cannot be '1'`],
    [{ values: { maxBridges: 1 } as GivenTunables }, "options: there is no tunable 'maxBridges'"],
    [{ file: { [BRIDGES]: -1 } }, `file: ${BRIDGES}='-1' is not a whole number within 1..65535`],
  ] as [TunableSources, string][]) {
    test(`refused: ${message}`, () => assert.throws(() => resolveTunables(sources), einval(message)));
  }
});
