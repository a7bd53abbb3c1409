// assembly/stats: 64-bit counters behind a kring.
import { KRING_SIZE, KRING_STATS, STAT_COUNT } from '../abi/arena';
import { statAdd, statAddShared } from '../stats/counters';
import { allBytes, check, eq, expectTable, guarded, guardsIntact } from './include/check';
import { stat } from './include/world';

const kr = guarded(KRING_SIZE);

function clear(): void {
  memory.fill(kr, 0, KRING_SIZE);
}

describe('counters', () => {
  test('each counter has its own 8 bytes inside the kring', () => {
    for (let shared: u32 = 0; shared < 2; shared++) {
      for (let s: u32 = 0; s < <u32>STAT_COUNT; s++) {
        clear();
        if (shared) statAddShared(kr, s, 3);
        else statAdd(kr, s, 3);
        check(stat(kr, s) == 3, s);
        const at = KRING_STATS + (s << 3);
        check(at + 8 <= KRING_SIZE, s);
        check(allBytes(kr, at, 0) && allBytes(kr + at + 8, KRING_SIZE - at - 8, 0), s);
      }
    }
    expectTable();
    eq(guardsIntact(), 1);
  });

  test('counts go on past 32 bits', () => {
    clear();
    statAdd(kr, 0, 0xffffffff);
    statAdd(kr, 0, 2);
    eq(stat(kr, 0), 0x100000001);
    statAddShared(kr, 1, 0xffffffff);
    statAddShared(kr, 1, 0x200000002);
    eq(stat(kr, 1), 0x300000001);
  });

  test('adding nothing changes nothing', () => {
    clear();
    statAdd(kr, 2, 0);
    statAddShared(kr, 3, 0);
    eq(allBytes(kr, KRING_SIZE, 0), 1);
  });
});
