// The layouts that others rely on, three times: the constants of assembly/abi, the committed numbers, and, where there is
// a C compiler, what it makes of tests/abi/layout.c. None of the three may change without the others.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import * as abi from '../../src/abi.js';
import { exec } from '../../src/exec/exec.js';
import { Netmap } from '../../src/index.js';
import { compileWasm, wasmCompiler } from '../support/wasm-compiler.js';
import { NMREQ_LAYOUT } from './nmreq-layout.js';

type Layout = Record<string, Record<string, number>>;

// Sources are not copied to the build: from build/ts/tests/abi to tests/abi.
const here = new URL('../../../../tests/abi/', import.meta.url);
const golden = JSON.parse(readFileSync(new URL('golden/layout.json', here), 'utf8')) as Layout;

/** What each number of the golden layout is called in assembly/abi. */
const CONSTANTS: Layout = {
  netmap_slot: {
    size: abi.NETMAP_SLOT_SIZE,
    buf_idx: abi.NETMAP_SLOT_BUF_IDX,
    len: abi.NETMAP_SLOT_LEN,
    flags: abi.NETMAP_SLOT_FLAGS,
    ptr: abi.NETMAP_SLOT_PTR,
  },
  netmap_ring: {
    size: abi.NETMAP_RING_SIZE,
    buf_ofs: abi.NETMAP_RING_BUF_OFS,
    num_slots: abi.NETMAP_RING_NUM_SLOTS,
    nr_buf_size: abi.NETMAP_RING_NR_BUF_SIZE,
    ringid: abi.NETMAP_RING_RINGID,
    dir: abi.NETMAP_RING_DIR,
    head: abi.NETMAP_RING_HEAD,
    cur: abi.NETMAP_RING_CUR,
    tail: abi.NETMAP_RING_TAIL,
    flags: abi.NETMAP_RING_FLAGS,
    ts: abi.NETMAP_RING_TS,
    offset_mask: abi.NETMAP_RING_OFFSET_MASK,
    buf_align: abi.NETMAP_RING_BUF_ALIGN,
    sem: abi.NETMAP_RING_SEM,
    slot: abi.NETMAP_RING_SLOT,
    'slot[1]': abi.NETMAP_RING_SLOT + abi.NETMAP_SLOT_SIZE,
  },
  netmap_if: {
    size: abi.NETMAP_IF_SIZE,
    ni_name: abi.NETMAP_IF_NAME,
    ni_version: abi.NETMAP_IF_VERSION,
    ni_flags: abi.NETMAP_IF_FLAGS,
    ni_tx_rings: abi.NETMAP_IF_TX_RINGS,
    ni_rx_rings: abi.NETMAP_IF_RX_RINGS,
    ni_bufs_head: abi.NETMAP_IF_BUFS_HEAD,
    ni_host_tx_rings: abi.NETMAP_IF_HOST_TX_RINGS,
    ni_host_rx_rings: abi.NETMAP_IF_HOST_RX_RINGS,
    ring_ofs: abi.NETMAP_IF_RING_OFS,
    'ring_ofs[1]': abi.NETMAP_IF_RING_OFS + abi.NETMAP_IF_RING_OFS_SIZE,
  },
  nm_csb_atok: {
    size: abi.CSB_ENTRY_SIZE,
    head: abi.CSB_ATOK_HEAD,
    cur: abi.CSB_ATOK_CUR,
    appl_need_kick: abi.CSB_ATOK_APPL_NEED_KICK,
    sync_flags: abi.CSB_ATOK_SYNC_FLAGS,
  },
  nm_csb_ktoa: {
    size: abi.CSB_ENTRY_SIZE,
    hwcur: abi.CSB_KTOA_HWCUR,
    hwtail: abi.CSB_KTOA_HWTAIL,
    kern_need_kick: abi.CSB_KTOA_KERN_NEED_KICK,
  },
  ptnet_registers: {
    size: abi.PTNET_IO_SIZE,
    PTFEAT: abi.PTNET_IO_PTFEAT,
    PTCTL: abi.PTNET_IO_PTCTL,
    MAC_LO: abi.PTNET_IO_MAC_LO,
    MAC_HI: abi.PTNET_IO_MAC_HI,
    CSBBAH: abi.PTNET_IO_CSBBAH,
    CSBBAL: abi.PTNET_IO_CSBBAL,
    NIFP_OFS: abi.PTNET_IO_NIFP_OFS,
    NUM_TX_RINGS: abi.PTNET_IO_NUM_TX_RINGS,
    NUM_RX_RINGS: abi.PTNET_IO_NUM_RX_RINGS,
    NUM_TX_SLOTS: abi.PTNET_IO_NUM_TX_SLOTS,
    NUM_RX_SLOTS: abi.PTNET_IO_NUM_RX_SLOTS,
    VNET_HDR_LEN: abi.PTNET_IO_VNET_HDR_LEN,
    HOSTMEMID: abi.PTNET_IO_HOSTMEMID,
    CSB_GH_BAH: abi.PTNET_IO_CSB_GH_BAH,
    CSB_GH_BAL: abi.PTNET_IO_CSB_GH_BAL,
    CSB_HG_BAH: abi.PTNET_IO_CSB_HG_BAH,
    CSB_HG_BAL: abi.PTNET_IO_CSB_HG_BAL,
    END: abi.PTNET_IO_END,
    KICK_BASE: abi.PTNET_IO_KICK_BASE,
    'KICK_BASE[1]': abi.PTNET_IO_KICK_BASE + 4,
  },
  memdev_registers: {
    size: abi.PTNET_MDEV_IO_SIZE,
    MEMSIZE_LO: abi.PTNET_MDEV_IO_MEMSIZE_LO,
    MEMSIZE_HI: abi.PTNET_MDEV_IO_MEMSIZE_HI,
    MEMID: abi.PTNET_MDEV_IO_MEMID,
    IF_POOL_OFS: abi.PTNET_MDEV_IO_IF_POOL_OFS,
    IF_POOL_OBJNUM: abi.PTNET_MDEV_IO_IF_POOL_OBJNUM,
    IF_POOL_OBJSZ: abi.PTNET_MDEV_IO_IF_POOL_OBJSZ,
    RING_POOL_OFS: abi.PTNET_MDEV_IO_RING_POOL_OFS,
    RING_POOL_OBJNUM: abi.PTNET_MDEV_IO_RING_POOL_OBJNUM,
    RING_POOL_OBJSZ: abi.PTNET_MDEV_IO_RING_POOL_OBJSZ,
    BUF_POOL_OFS: abi.PTNET_MDEV_IO_BUF_POOL_OFS,
    BUF_POOL_OBJNUM: abi.PTNET_MDEV_IO_BUF_POOL_OBJNUM,
    BUF_POOL_OBJSZ: abi.PTNET_MDEV_IO_BUF_POOL_OBJSZ,
    END: abi.PTNET_MDEV_IO_END,
  },
  ...NMREQ_LAYOUT,
};

describe('the constants of assembly/abi are the committed layout', () => {
  test('which names the same structures', () => {
    assert.deepEqual(Object.keys(CONSTANTS), Object.keys(golden));
  });
  for (const [struct, fields] of Object.entries(CONSTANTS)) {
    test(struct, () => assert.deepEqual(fields, golden[struct]));
  }
});

test('structures that two sides write have a cache line for each', () => {
  assert.equal(golden['nm_csb_atok']['size'], 64);
  assert.equal(golden['nm_csb_ktoa']['size'], 64);
  assert.equal(golden['netmap_ring']['sem'] % 128, 0);
});

/** The first C compiler that answers. */
function findCompiler(): string | undefined {
  const candidates = [process.env['CC'], 'cc', 'gcc', 'clang'].filter((name) => name !== undefined && name !== '');
  return candidates.find((name) => spawnSync(name as string, ['--version']).status === 0);
}

const root = fileURLToPath(new URL('../../', here));
const include = `-I${join(root, 'include')}`;
const scratch = mkdtempSync(join(tmpdir(), 'ptnet-abi-'));
after(() => rmSync(scratch, { recursive: true }));
const compiler = findCompiler();
const skip = compiler ? false : 'no C compiler';

/** Runs a program of this machine; what it printed. */
function runNative(source: string): string {
  const program = join(scratch, 'program');
  const built = spawnSync(compiler as string, ['-std=gnu11', '-Wall', '-Werror', include, '-o', program, source], {
    encoding: 'utf8',
  });
  assert.equal(built.status, 0, built.stderr);
  const ran = spawnSync(program, { encoding: 'utf8' });
  assert.equal(ran.status, 0, ran.stderr);
  return ran.stdout;
}

/** The same for wasm32, in `exec`. */
async function runWasm(source: string): Promise<string> {
  const binary = compileWasm(source, join(scratch, 'program.wasm'));
  const netmap = await Netmap.create();
  let printed = '';
  const stdout = (bytes: Uint8Array): void => void (printed += new TextDecoder().decode(bytes));
  const { ended } = await exec(netmap, binary, { stdout });
  assert.deepEqual(await ended, { code: 0 });
  await netmap.close();
  return printed;
}

const layout = fileURLToPath(new URL('layout.c', here));
test('a C compiler lays the structures of include/net/netmap.h out in the same way', { skip }, () => {
  assert.deepEqual(JSON.parse(runNative(layout)), golden);
});

test('and for wasm32, but for the width of ring_ofs', { skip: wasmCompiler.skip }, async () => {
  const expected = { ...golden, netmap_if: { ...golden['netmap_if'], 'ring_ofs[1]': abi.NETMAP_IF_RING_OFS + 4 } };
  assert.deepEqual(JSON.parse(await runWasm(layout)), expected);
});

/** The golden layout as a 32-bit compiler for i386 has it (32-bit time_t). */
const I386_CHANGES: Layout = {
  netmap_ring: { ts: abi.I386_RING_TS, offset_mask: abi.I386_RING_OFFSET_MASK, buf_align: abi.I386_RING_BUF_ALIGN },
  netmap_if: { 'ring_ofs[1]': abi.NETMAP_IF_RING_OFS + abi.ILP32_RING_OFS_SIZE },
};
/** Structures without 64-bit fields that i386 would pack more tightly. */
const I386_STRUCTS = ['netmap_slot', 'netmap_ring', 'netmap_if', 'nm_csb_atok', 'nm_csb_ktoa'];

/** Compiles for i386 with the headers of this machine's libc; the one that a 64-bit libc lacks is empty. */
function checkI386(source: string): { status: number | null; stderr: string } {
  mkdirSync(join(scratch, 'gnu'), { recursive: true });
  writeFileSync(join(scratch, 'gnu/stubs-32.h'), '');
  const multiarch = spawnSync(compiler as string, ['-print-multiarch'], { encoding: 'utf8' }).stdout.trim();
  const headers = `-I/usr/include/${multiarch}`;
  const flags = [
    '-m32',
    '-std=gnu11',
    '-Wall',
    '-Werror',
    '-fsyntax-only',
    include,
    headers,
    `-I${scratch}`,
    '-x',
    'c',
    '-',
  ];
  return spawnSync(compiler as string, flags, { input: source, encoding: 'utf8' });
}

const noI386 =
  skip ||
  (checkI386('#include <sys/time.h>\n_Static_assert(sizeof(long) == 4, "");').status === 0
    ? false
    : 'the C compiler has no i386');
test('and for i386, but for ring_ofs and what follows a struct timeval', { skip: noI386 }, () => {
  const asserts = I386_STRUCTS.flatMap((struct) =>
    Object.entries({ ...golden[struct], ...I386_CHANGES[struct] }).map(([field, value]) => {
      const what = field === 'size' ? `sizeof(struct ${struct})` : `offsetof(struct ${struct}, ${field})`;
      return `_Static_assert(${what} == ${value}, "${struct}.${field}");`;
    }),
  );
  asserts.push(`_Static_assert(sizeof(struct timeval) == ${2 * abi.I386_TS_WORD}, "timeval");`);
  const source = ['#include <net/netmap.h>', '#include <stddef.h>', '#include <sys/time.h>', ...asserts, ''].join('\n');
  const { status, stderr } = checkI386(source);
  assert.equal(status, 0, stderr);
});

/** Numbers that the header defines, by the names that assembly/abi has for them, too. */
const SHARED_NAMES = /^(NIOC|NR_|NS_|NI_|NETMAP_REQ_|NETMAP_(API|MIN_API|MAX_API|MAX_FRAGS)$)/;
/** Of ours, or of netmap's kernel. */
const NOT_PUBLIC = /_BSD$|_SHIFT$|^NR_(TX|RX)$|_MASK$/;

test('the numbers of include/net/netmap.h are those of assembly/abi', { skip }, () => {
  const names = Object.keys(abi).filter((name) => SHARED_NAMES.test(name) && !NOT_PUBLIC.test(name));
  assert.ok(names.length > 50);
  const lines = names.map((name) => `  printf("${name} %lu\\n", (unsigned long)${name});`);
  const source = join(scratch, 'numbers.c');
  writeFileSync(
    source,
    ['#include <net/netmap.h>', '#include <stdio.h>', 'int main(void) {', ...lines, '}'].join('\n'),
  );
  const numbers = abi as unknown as Record<string, number>;
  assert.deepEqual(
    runNative(source).trimEnd().split('\n'),
    names.map((name) => `${name} ${numbers[name]}`),
  );
});
