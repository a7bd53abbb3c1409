// assembly/csb: both halves of the CSB protocol touch exactly the words that are theirs.
import { KRING_HWCUR, KRING_HWTAIL, KRING_RCUR, KRING_RHEAD, KRING_SIZE } from '../abi/arena';
import {
  CSB_ATOK_APPL_NEED_KICK,
  CSB_ATOK_CUR,
  CSB_ATOK_HEAD,
  CSB_ATOK_SYNC_FLAGS,
  CSB_ENTRY_SIZE,
  CSB_KTOA_HWCUR,
  CSB_KTOA_HWTAIL,
  CSB_KTOA_KERN_NEED_KICK,
} from '../abi/csb';
import { NAF_FORCE_READ } from '../abi/netmap';
import {
  csbApplNeedIrq,
  csbApplPublish,
  csbApplSyncFlags,
  csbHwcur,
  csbHwtail,
  csbKernWantsKick,
} from '../csb/application';
import { csbApplNeedKick, csbCur, csbHead, csbInit, csbKernNeedKick, csbKernPublish } from '../csb/kernel';
import { area, check, eq, expectTable, guarded, guardsIntact } from './include/check';
import { setWord, word } from './include/world';

const atok = guarded(CSB_ENTRY_SIZE);
const ktoa = guarded(CSB_ENTRY_SIZE);
const kr = area(KRING_SIZE);
const FILL: u32 = 0x5a5a5a5a;

function fill(): void {
  memory.fill(atok, 0x5a, CSB_ENTRY_SIZE);
  memory.fill(ktoa, 0x5a, CSB_ENTRY_SIZE);
}

/** The words of an entry are those given, everything else is as `fill` left it. */
function entryIs(entry: usize, w0: u32, w1: u32, w2: u32, w3: u32): bool {
  for (let i: usize = 16; i < <usize>CSB_ENTRY_SIZE; i += 4) if (load<u32>(entry + i) != FILL) return false;
  return load<u32>(entry) == w0 && load<u32>(entry, 4) == w1 && load<u32>(entry, 8) == w2 && load<u32>(entry, 12) == w3;
}

describe('CSB', () => {
  test('CSB_ENABLE: head, cur, hwcur and hwtail of the kring, kicks and interrupts wanted, FORCE_READ', () => {
    fill();
    setWord(kr, KRING_RHEAD, 3);
    setWord(kr, KRING_RCUR, 4);
    setWord(kr, KRING_HWCUR, 5);
    setWord(kr, KRING_HWTAIL, 6);
    csbInit(kr, atok, ktoa);
    eq(word(atok, CSB_ATOK_HEAD), 3);
    eq(word(atok, CSB_ATOK_CUR), 4);
    eq(word(atok, CSB_ATOK_APPL_NEED_KICK), 1);
    eq(word(atok, CSB_ATOK_SYNC_FLAGS), NAF_FORCE_READ);
    eq(word(ktoa, CSB_KTOA_HWCUR), 5);
    eq(word(ktoa, CSB_KTOA_HWTAIL), 6);
    eq(word(ktoa, CSB_KTOA_KERN_NEED_KICK), 1);
    check(entryIs(atok, 3, 4, 1, 1), 0);
    check(entryIs(ktoa, 5, 6, 1, FILL), 1);
    expectTable();
  });

  test('an application writes head, cur, appl_need_kick and sync_flags, each alone, and nothing of ktoa', () => {
    fill();
    csbApplPublish(atok, 7, 6);
    check(entryIs(atok, 6, 7, FILL, FILL), 1);
    csbApplNeedIrq(atok, 1);
    check(entryIs(atok, 6, 7, 1, FILL), 2);
    csbApplSyncFlags(atok, 2);
    check(entryIs(atok, 6, 7, 1, 2), 3);
    csbApplNeedIrq(atok, 0);
    check(entryIs(atok, 6, 7, 0, 2), 4);
    check(entryIs(ktoa, FILL, FILL, FILL, FILL), 5);
    expectTable();
  });

  test('a kernel writes hwcur, hwtail and kern_need_kick, each alone, and nothing of atok', () => {
    fill();
    csbKernPublish(ktoa, 8, 9);
    check(entryIs(ktoa, 8, 9, FILL, FILL), 1);
    csbKernNeedKick(ktoa, 1);
    check(entryIs(ktoa, 8, 9, 1, FILL), 2);
    csbKernNeedKick(ktoa, 0);
    check(entryIs(ktoa, 8, 9, 0, FILL), 3);
    check(entryIs(atok, FILL, FILL, FILL, FILL), 4);
    expectTable();
  });

  test('each side reads what the other published, and any non-zero wish counts', () => {
    fill();
    csbApplPublish(atok, 11, 10);
    csbKernPublish(ktoa, 12, 13);
    eq(csbHead(atok), 10);
    eq(csbCur(atok), 11);
    eq(csbHwcur(ktoa), 12);
    eq(csbHwtail(ktoa), 13);
    const wishes: u32[] = [0, 1, 2, 0x100, 0x80000000, 0xffffffff];
    for (let i = 0; i < wishes.length; i++) {
      csbApplNeedIrq(atok, wishes[i]);
      csbKernNeedKick(ktoa, wishes[i]);
      check(csbApplNeedKick(atok) == (wishes[i] != 0), i);
      check(csbKernWantsKick(ktoa) == (wishes[i] != 0), i);
    }
    expectTable();
    eq(guardsIntact(), 1);
  });
});
