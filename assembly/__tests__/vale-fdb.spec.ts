// assembly/vale, forwarding table: spreading, learning, moving, full buckets, purging.
import { BRIDGE_FDB, BRIDGE_FDB_FULL, BRIDGE_LOCK, FDB_BUCKETS, FDB_SIZE, FDB_WAYS } from '../abi/arena';
import { NM_BDG_BROADCAST } from '../abi/netmap';
import { fdbBucket, fdbLearn, fdbLookup, fdbPurge } from '../vale/fdb';
import { allBytes, area, below, check, eq, expectTable, guardsIntact, random, seed } from './include/check';
import { newBridge, mac } from './include/vale';
import { self, word } from './include/world';

const bridge = newBridge();
const fdb: usize = word(bridge, BRIDGE_FDB);

function clear(): void {
  memory.fill(fdb, 0, FDB_SIZE);
  store<u64>(bridge, 0, BRIDGE_FDB_FULL);
}

function learn(address: u64, port: u32): usize {
  return fdbLearn(bridge, address, port, self);
}

function full(): i64 {
  return load<i64>(bridge, BRIDGE_FDB_FULL);
}

/** The k-th address after `from` whose bucket is that of mac(0); tables of them are made once. */
const colliding = new StaticArray<u64>(64);
const target = fdbBucket(fdb, mac(0));
for (let i: u32 = 0, k = 0; k < 64; i++) {
  const address = mac(i & 0xffff) | ((<u64>(i >> 16)) << 24);
  if (fdbBucket(fdb, address) == target) unchecked((colliding[k++] = address));
}

function vendor(i: u32): u64 {
  return 0x123456 | ((<u64>i) << 24);
}

/** Largest number of addresses in one bucket, for `count` addresses of a kind. */
function largestBucket(kind: u32, count: u32): u32 {
  const counts = area(FDB_BUCKETS * 4);
  let largest: u32 = 0;
  seed(77);
  for (let i: u32 = 0; i < count; i++) {
    let address = mac(i);
    if (kind == 1) address = vendor(i);
    else if (kind == 2) address = ((<u64>random()) << 16) | (random() & 0xfffe);
    else if (kind == 3) address = 2 | ((<u64>i) << 8);
    const b = <u32>(fdbBucket(fdb, address) - fdb) >> 6;
    const n = load<u32>(counts + (b << 2)) + 1;
    store<u32>(counts + (b << 2), n);
    largest = max(largest, n);
  }
  return largest;
}

describe('forwarding table', () => {
  test('every bucket is one cache line inside the table', () => {
    seed(5);
    for (let i: u32 = 0; i < 20000; i++) {
      const address = (((<u64>random()) << 32) | random()) & 0xffffffffffff;
      const b = fdbBucket(fdb, address);
      check(b >= fdb && b + FDB_WAYS * 8 <= fdb + FDB_SIZE && (b & 63) == 0, i);
    }
    expectTable();
  });

  test("1024 addresses of one kind spread: none of a running number, a vendor's or random ones overfills a bucket", () => {
    for (let kind: u32 = 0; kind < 4; kind++) check(largestBucket(kind, 1024) <= <u32>FDB_WAYS, kind);
    expectTable();
  });

  test('what is learned is found, what is not is for everybody', () => {
    clear();
    for (let i: u32 = 0; i < 1024; i++) check(learn(mac(i), i % 254) != 0, i);
    for (let i: u32 = 0; i < 1024; i++) check(fdbLookup(fdb, mac(i)) == i % 254, i);
    for (let i: u32 = 1024; i < 4096; i++) check(fdbLookup(fdb, mac(i)) == NM_BDG_BROADCAST, i);
    expectTable();
    eq(full(), 0);
  });

  test('an empty table knows nobody, the all-zero address included', () => {
    clear();
    eq(fdbLookup(fdb, 0), NM_BDG_BROADCAST);
    eq(fdbLookup(fdb, mac(1)), NM_BDG_BROADCAST);
    learn(0, 0);
    eq(fdbLookup(fdb, 0), 0);
    learn(0xffffffffffff, 253);
    eq(fdbLookup(fdb, 0xffffffffffff), 253);
  });

  test('an address that moves keeps its entry and changes its port', () => {
    clear();
    const entry = learn(mac(1), 3);
    eq(learn(mac(1), 3), entry);
    eq(learn(mac(1), 4), entry);
    eq(fdbLookup(fdb, mac(1)), 4);
    eq(load<i64>(entry), <i64>(mac(1) | (5 << 48)));
    store<u64>(entry, 0);
    eq(allBytes(fdb, FDB_SIZE, 0), 1, 'and there is only one');
  });

  test('addresses of one bucket live side by side, 8 of them', () => {
    clear();
    for (let i: u32 = 0; i < 8; i++) learn(colliding[i], i);
    for (let i: u32 = 0; i < 8; i++) check(fdbLookup(fdb, colliding[i]) == i, i);
    expectTable();
  });

  test("a full bucket of eight ports' single addresses takes no newcomer, and that is counted", () => {
    clear();
    for (let i: u32 = 0; i < 8; i++) learn(colliding[i], i);
    eq(learn(colliding[8], 9), 0);
    eq(full(), 1);
    eq(fdbLookup(fdb, colliding[8]), NM_BDG_BROADCAST);
    for (let i: u32 = 0; i < 8; i++) check(fdbLookup(fdb, colliding[i]) == i, i);
    expectTable();
  });

  test('a port with one address in a full bucket of single ones replaces its own', () => {
    clear();
    for (let i: u32 = 0; i < 8; i++) learn(colliding[i], i);
    check(learn(colliding[8], 3) != 0, 0);
    for (let i: u32 = 0; i < 8; i++) check(fdbLookup(fdb, colliding[i]) == (i == 3 ? <u32>NM_BDG_BROADCAST : i), i);
    check(fdbLookup(fdb, colliding[8]) == 3, 8);
    expectTable();
  });

  test('a port that has most of a full bucket gives way to a newcomer', () => {
    for (let hoard: u32 = 2; hoard <= 8; hoard++) {
      clear();
      for (let i: u32 = 0; i < 8; i++) learn(colliding[i], i < hoard ? 100 : i);
      check(learn(colliding[8], 9) != 0, hoard);
      let left: u32 = 0;
      for (let i: u32 = 0; i < hoard; i++) left += fdbLookup(fdb, colliding[i]) == 100 ? 1 : 0;
      check(left == hoard - 1, hoard);
      for (let i = hoard; i < 8; i++) check(fdbLookup(fdb, colliding[i]) == i, hoard);
      check(fdbLookup(fdb, colliding[8]) == 9, hoard);
    }
    expectTable();
  });

  test("a port that floods addresses evicts its own and never another port's single one, in any order of learning", () => {
    for (let round: u32 = 0; round < 50; round++) {
      clear();
      seed(round + 1);
      const others: u32 = below(8) + 1; // ports 1..others have one address each
      let known: u32 = 0;
      for (let i: u32 = 8; i < 64; i++) {
        learn(colliding[i], 200);
        if (known < others && below(6) == 0) {
          learn(colliding[known], known + 1);
          known++;
        }
      }
      for (let i: u32 = 0; i < known; i++) check(fdbLookup(fdb, colliding[i]) == i + 1, round * 100 + i);
      if (known < 8) check(fdbLookup(fdb, colliding[63]) == 200, round);
    }
    expectTable();
  });

  test('a flood of any addresses by one port leaves every other port reachable', () => {
    clear();
    seed(9);
    for (let i: u32 = 0; i < 100; i++) learn(mac(i), i);
    for (let i: u32 = 0; i < 50000; i++)
      learn((((<u64>random()) << 24) | 0x010000 | (random() & 0xfffe)) & 0xfffffffffffe, 200);
    let unreachable: u32 = 0;
    for (let i: u32 = 0; i < 100; i++) if (fdbLookup(fdb, mac(i)) != i) unreachable++;
    eq(unreachable, 0);
  });

  test('purging a port forgets its addresses and no others; purging all forgets all', () => {
    clear();
    for (let i: u32 = 0; i < 512; i++) learn(mac(i), i % 5);
    fdbPurge(fdb, FDB_SIZE, 3);
    for (let i: u32 = 0; i < 512; i++) {
      check(fdbLookup(fdb, mac(i)) == (i % 5 == 3 ? <u32>NM_BDG_BROADCAST : i % 5), i);
    }
    check(learn(mac(3), 3) != 0 && fdbLookup(fdb, mac(3)) == 3, 1000);
    fdbPurge(fdb, FDB_SIZE, NM_BDG_BROADCAST);
    expectTable();
    eq(allBytes(fdb, FDB_SIZE, 0), 1);
  });

  test('while another thread learns, nothing is learned and nothing is counted', () => {
    clear();
    store<u32>(bridge, 9, BRIDGE_LOCK);
    eq(learn(mac(1), 1), 0);
    eq(word(bridge, BRIDGE_LOCK), 9);
    eq(allBytes(fdb, FDB_SIZE, 0), 1);
    eq(full(), 0);
    store<u32>(bridge, 0, BRIDGE_LOCK);
    check(learn(mac(1), 1) != 0 && word(bridge, BRIDGE_LOCK) == 0, 0);
    expectTable();
    eq(guardsIntact(), 1);
  });
});
