// The guest's side of a passed-through port: a gkring per ring of the loop, as the driver sets them up after CREATE.
import {
  GKRING_ATOK,
  GKRING_KTOA,
  GKRING_NSLOTS,
  GKRING_RING,
  GKRING_SIZE,
  KRING_NSLOTS,
  KRING_RING,
} from '../../abi/arena';
import { CSB_ATOK_CUR, CSB_ATOK_HEAD } from '../../abi/csb';
import { ptnetSyncFromCsb } from '../../ptnet/driver';
import { guarded } from './check';
import { atok, ktoa, ringOf } from './loop';
import { setWord, word } from './world';

export function newGkring(loop: usize, i: u32): usize {
  const gk = guarded(GKRING_SIZE);
  setWord(gk, GKRING_RING, word(ringOf(loop, i), KRING_RING));
  setWord(gk, GKRING_NSLOTS, word(ringOf(loop, i), KRING_NSLOTS));
  setWord(gk, GKRING_ATOK, <u32>atok(loop, i));
  setWord(gk, GKRING_KTOA, <u32>ktoa(loop, i));
  ptnetSyncFromCsb(gk, word(atok(loop, i), CSB_ATOK_HEAD), word(atok(loop, i), CSB_ATOK_CUR));
  return gk;
}
