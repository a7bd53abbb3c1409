import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ENOMEM } from '../../assembly/abi/errno.js';
import {
  GLOBAL_POOLS,
  globalRegionPools,
  ObjectPool,
  type PoolKind,
  PRIVATE_MIN_POOLS,
  poolConfig,
  privateRegionPools,
  RESERVED_BUFS,
  type RegionPools,
  regionLayout,
} from '../../src/memory/pools.js';

const GLOBAL_2048 = { ...GLOBAL_POOLS, buf_size: 2048 };
const PRIVATE_2048 = { ...PRIVATE_MIN_POOLS, priv_buf_size: 2048 };
const EINVAL = { name: 'NetmapError', code: 'EINVAL' };

function valePort(rings: number, slots: number, extraBufs = 0) {
  return { txRings: rings, txSlots: slots, rxRings: rings, rxSlots: slots, extraBufs, pipes: 2 };
}

function layoutOf({ ifPool, ringPool, bufPool }: RegionPools) {
  return regionLayout(ifPool, ringPool, bufPool);
}

describe('private regions have netmap’s sizes with buffers of 2048 bytes', () => {
  const monitor = { ...valePort(1, 1024), pipes: 0 };
  const rows = [
    ['VALE 1x1, 1024 slots', valePort(1, 1024), [12, 1024], [20, 20480], [20482, 2048], 42369024],
    ['VALE 1x1, 256 slots', valePort(1, 256), [12, 1024], [20, 20480], [5122, 2048], 10911744],
    ['VALE 1x1, 16 slots', valePort(1, 16), [12, 1024], [20, 20480], [4098, 2048], 8814592],
    ['VALE 1x1, 4096 slots', valePort(1, 4096), [12, 1024], [32, 65792], [81922, 2048], 169893888],
    ['VALE 4x4, 1024 slots', valePort(4, 1024), [12, 1024], [26, 20480], [26626, 2048], 55074816],
    ['copy monitor of 1x1, 1024 slots', monitor, [4, 1024], [4, 20480], [4098, 2048], 8478720],
  ] as const;
  for (const [name, needs, ifPool, ringPool, bufPool, memsize] of rows) {
    test(name, () => {
      const pools = privateRegionPools(needs, PRIVATE_2048);
      const shape = (pool: keyof RegionPools) => [pools[pool].objtotal, pools[pool].objsize];
      assert.deepEqual(shape('ifPool'), ifPool);
      assert.deepEqual(shape('ringPool'), ringPool);
      assert.deepEqual(shape('bufPool'), bufPool);
      assert.equal(pools.ifPool.memtotal, ifPool[0] * ifPool[1]);
      assert.equal(pools.ringPool.memtotal, ringPool[0] * ringPool[1]);
      assert.equal(pools.bufPool.memtotal, bufPool[0] * bufPool[1]);
      assert.equal(layoutOf(pools).memsize, memsize);
    });
  }
});

test('the pools of a fresh VALE port start where netmap puts them', () => {
  assert.deepEqual(layoutOf(privateRegionPools(valePort(1, 1024), PRIVATE_2048)), {
    ifPoolOffset: 0,
    ringPoolOffset: 12288,
    bufPoolOffset: 421888,
    memsize: 42369024,
  });
});

test('extra buffers enlarge the buffer pool by as many', () => {
  assert.equal(privateRegionPools(valePort(1, 1024, 100), PRIVATE_2048).bufPool.objtotal, 20482 + 100);
});

test('the global region has netmap’s size with buffers of 2048 bytes', () => {
  const pools = globalRegionPools(GLOBAL_2048);
  assert.deepEqual(pools.ifPool, { objsize: 1024, objtotal: 100, clusterEntries: 4, memtotal: 102400 });
  assert.deepEqual(pools.ringPool, { objsize: 36864, objtotal: 200, clusterEntries: 1, memtotal: 7372800 });
  assert.deepEqual(pools.bufPool, { objsize: 2048, objtotal: 163840, clusterEntries: 2, memtotal: 335544320 });
  assert.equal(layoutOf(pools).memsize, 343019520);
});

test('our default buffers are 33 cache lines, in whole clusters', () => {
  assert.deepEqual(globalRegionPools().bufPool, {
    objsize: 2112,
    objtotal: 163840,
    clusterEntries: 64,
    memtotal: 346030080,
  });
  const { bufPool } = privateRegionPools(valePort(1, 1024));
  assert.deepEqual([bufPool.objsize, bufPool.objtotal], [2112, 20544]); // 20482 rounded up to clusters of 64
});

test('sizes are rounded up to cache lines, counts to clusters that are whole pages', () => {
  assert.deepEqual(poolConfig('buf', { num: 4, size: 1 }, false), {
    objsize: 64,
    objtotal: 64,
    clusterEntries: 64,
    memtotal: 4096,
  });
  assert.deepEqual(poolConfig('buf', { num: 5, size: 1500 }, false), {
    objsize: 1536,
    objtotal: 8,
    clusterEntries: 8,
    memtotal: 12288,
  });
});

describe('sizes and numbers have limits', () => {
  const rows: [PoolKind, boolean, 'size' | 'num', number, number][] = [
    ['if', false, 'size', 1, 4096],
    ['if', false, 'num', 10, 10000],
    ['if', true, 'num', 1, 100],
    ['ring', false, 'size', 193, 131072],
    ['ring', false, 'num', 2, 1024],
    ['ring', true, 'num', 2, 1024],
    ['buf', false, 'size', 1, 65536],
    ['buf', false, 'num', 4, 1000000],
    ['buf', true, 'num', 4, 1000000],
  ];
  for (const [kind, isPrivate, field, least, most] of rows) {
    test(`${isPrivate ? 'private' : 'global'} ${kind} pool: ${field} ${least}..${most}`, () => {
      const config = (value: number) => poolConfig(kind, { num: 10, size: 4096, [field]: value }, isPrivate);
      config(least);
      config(most);
      for (const value of [least - 1, most + 1, -1, least + 0.5, Number.NaN, Number.POSITIVE_INFINITY]) {
        assert.throws(() => config(value), EINVAL, `${field} ${value}`);
      }
    });
  }
});

test('the message of a limit names pool, value and range', () => {
  assert.throws(() => poolConfig('ring', { num: 1, size: 4096 }, false), {
    message: "EINVAL: number 1 of the ring pool's objects is not in 2..1024, poolConfig",
  });
});

test('a size that fills pages only in clusters above 4 MiB is refused', () => {
  assert.equal(poolConfig('ring', { num: 2, size: 65792 }, true).clusterEntries, 16);
  assert.throws(() => poolConfig('ring', { num: 2, size: 65600 }, true), EINVAL);
  // so that these ring sizes, as in netmap, do not exist
  const accepted = (slots: number) => {
    try {
      return Boolean(privateRegionPools(valePort(1, slots)));
    } catch {
      return false;
    }
  };
  const refused = Array.from({ length: 4096 }, (_, i) => i + 1).filter((slots) => !accepted(slots));
  assert.deepEqual(refused, [4081, 4082, 4083, 4084, 4089, 4090, 4091, 4092]);
});

test('needs that are not whole numbers, or exceed the pools, are refused', () => {
  assert.throws(() => privateRegionPools({ ...valePort(1, 1024), txSlots: -1 }), EINVAL);
  assert.throws(() => privateRegionPools({ ...valePort(1, 1024), extraBufs: 0.5 }), EINVAL);
  assert.throws(() => privateRegionPools({ ...valePort(1, 1024), pipes: 64 }), EINVAL);
  assert.throws(() => privateRegionPools(valePort(1, 1024, 1000000)), EINVAL);
});

test('a fresh buffer pool hands out 2, 3, 4 …, and never buffers 0 and 1', () => {
  const pool = new ObjectPool('buf', 70);
  assert.equal(pool.freeCount, 70 - RESERVED_BUFS);
  const taken = Array.from({ length: 68 }, () => pool.alloc());
  assert.deepEqual(
    taken,
    Array.from({ length: 68 }, (_, i) => i + 2),
  );
  assert.equal(pool.freeCount, 0);
  assert.equal(pool.alloc(), -ENOMEM);
});

test('if and ring pools start at 0', () => {
  assert.equal(new ObjectPool('if', 4).alloc(), 0);
  assert.equal(new ObjectPool('ring', 4).alloc(), 0);
  assert.equal(new ObjectPool('ring', 100, 40).alloc(), 40);
});

test('the lowest free index is handed out next, whatever the order of frees', () => {
  const pool = new ObjectPool('ring', 130);
  while (pool.alloc() >= 0);
  for (const index of [129, 31, 64, 32, 0]) pool.free(index);
  assert.equal(pool.freeCount, 5);
  assert.deepEqual([pool.alloc(), pool.alloc(), pool.alloc()], [0, 31, 32]);
  pool.free(5);
  assert.deepEqual([pool.alloc(), pool.alloc(), pool.alloc(), pool.alloc()], [5, 64, 129, -ENOMEM]);
});

test('random allocations and frees agree with a sorted list', () => {
  const pool = new ObjectPool('buf', 200);
  const free = Array.from({ length: 198 }, (_, i) => i + 2);
  const taken: number[] = [];
  let seed = 1;
  for (let step = 0; step < 20000; step++) {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    // long runs of allocations and of frees, so that both ends are reached
    if ((step >> 8) % 2 === 0 ? seed % 4 !== 0 : seed % 4 === 0) {
      const expected = free.shift();
      assert.equal(pool.alloc(), expected ?? -ENOMEM);
      if (expected !== undefined) taken.push(expected);
    } else if (taken.length > 0) {
      const [index] = taken.splice((seed >>> 8) % taken.length, 1);
      pool.free(index);
      free.push(index);
      free.sort((a, b) => a - b);
    }
    assert.equal(pool.freeCount, free.length);
  }
});

test('a double free is refused and changes nothing', () => {
  const pool = new ObjectPool('buf', 10);
  assert.throws(() => pool.free(2), { ...EINVAL, message: 'EINVAL: buf 2 is already free, free' });
  const index = pool.alloc();
  pool.free(index);
  assert.throws(() => pool.free(index), EINVAL);
  assert.equal(pool.freeCount, 8);
  assert.deepEqual([pool.alloc(), pool.alloc()], [2, 3]);
});

test('reserved and out-of-range indices cannot be freed', () => {
  const pool = new ObjectPool('buf', 10);
  for (const index of [-1, 0, 1, 10, 42, 2.5, 2 ** 32 + 2, Number.NaN]) {
    assert.equal(pool.isAllocated(index), false);
    assert.throws(() => pool.free(index), { ...EINVAL, message: `EINVAL: buf ${index} is not in 2..9, free` });
  }
  assert.equal(pool.freeCount, 8);
});

test('isAllocated follows alloc and free, and reset frees all', () => {
  const pool = new ObjectPool('buf', 64);
  assert.equal(pool.isAllocated(2), false);
  while (pool.alloc() >= 0);
  assert.equal(pool.isAllocated(2), true);
  assert.equal(pool.isAllocated(63), true);
  pool.reset();
  assert.equal(pool.isAllocated(2), false);
  assert.equal(pool.freeCount, 62);
  assert.equal(pool.alloc(), 2);
});

test('a pool without room for its reserved objects is refused', () => {
  assert.throws(() => new ObjectPool('buf', 1), EINVAL);
  assert.throws(() => new ObjectPool('if', -1), EINVAL);
  assert.throws(() => new ObjectPool('if', 1.5), EINVAL);
  assert.equal(new ObjectPool('buf', 2).alloc(), -ENOMEM);
});
