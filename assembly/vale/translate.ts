// A queue for a port whose virtio-net header has another length than the source's (the mismatch branch of nm_vale_flush).
// Ports with headers of one length never come here: for them a header is bytes like others (place.ts).
//
// Before the lease each packet is looked at, so that as many slots are leased as will be used; then it is looked at again
// and written. In between its sender may change it, so the second look decides, within the slots that there are.
// DIFF: netmap leases slots * source mfs / (destination mfs - 114) + 1, and gives back, or leaves empty, what is too much.
import {
  KRING_BUFSIZE,
  KRING_NSLOTS,
  KRING_OFS_MAX,
  LEASE_END,
  LEASE_START,
  SCRATCH_ENTRY_SIZE,
  SCRATCH_FRAGS,
  SCRATCH_NEXT,
  SCRATCH_RUN_END,
  SCRATCH_TRANSLATION,
  STAT_DELIVERED,
  STAT_DELIVERED_BYTES,
  STAT_DROP_BAD_SLOT,
  STAT_DROP_NO_SPACE,
  STAT_FORWARDED,
  TRANS_BROADCAST,
  TRANS_BYTES,
  TRANS_DST_HDR_LEN,
  TRANS_FRAMES,
  TRANS_MFS,
  TRANS_ROOM,
  TRANS_SEGMENT_SIZE,
  TRANS_SRC_HDR_LEN,
  TRANS_UNICAST,
  WALK_NEXT_RUN,
  WALK_PACKET,
  WALK_RUN_END,
} from '../abi/arena';
import { ringDistance } from '../ring/wrap';
import { statAdd, statAddShared } from '../stats/counters';
import { QUEUE_END } from './classify';
import { REWRITE_FAULT, rewritePlace, rewritePrepare } from './rewrite';

const MAX_LEN: u32 = 0xffff; // of a slot

/**
 * Begins with the queues `unicast` and `broadcast` (first runs, or QUEUE_END), to be delivered to `dkr`: drops and counts
 * the packets that cannot be translated. Returns the slots that the others take, and how many those are << 32.
 */
export function translatePrepare(
  kr: usize,
  dkr: usize,
  scratch: usize,
  unicast: u32,
  broadcast: u32,
  srcHdrLen: u32,
  dstHdrLen: u32,
  mfs: u32,
): u64 {
  const trans = scratch + SCRATCH_TRANSLATION;
  store<u32>(trans, srcHdrLen, TRANS_SRC_HDR_LEN);
  store<u32>(trans, dstHdrLen, TRANS_DST_HDR_LEN);
  store<u32>(trans, min<u32>(mfs, TRANS_SEGMENT_SIZE - 1), TRANS_MFS);
  // Behind the largest offset: a slot's own may change between the two looks.
  store<u32>(trans, min(load<u32>(dkr, KRING_BUFSIZE) - load<u32>(dkr, KRING_OFS_MAX), MAX_LEN), TRANS_ROOM);
  let slots: u64 = 0;
  let packets: u64 = 0;
  walkFrom(scratch, unicast, broadcast);
  for (let i = walkNext(scratch); i != QUEUE_END; i = walkNext(scratch)) {
    const taken = rewritePrepare(trans, scratch + <usize>i * SCRATCH_ENTRY_SIZE);
    if (taken < 0) {
      statAdd(kr, -taken, 1);
    } else {
      slots += taken;
      packets++;
    }
  }
  return min<u64>(slots, u32.MAX_VALUE) | (packets << 32);
}

/**
 * Delivers the queues that translatePrepare has begun with, of which `packets` are left, into the leased slots. A packet
 * that does not fit what is left of them is dropped whole, and the next one is tried. Returns the slot after the last used.
 */
export function translateCopy(
  kr: usize,
  dkr: usize,
  scratch: usize,
  unicast: u32,
  broadcast: u32,
  packets: u32,
  lease: usize,
): u32 {
  const trans = scratch + SCRATCH_TRANSLATION;
  const n = load<u32>(dkr, KRING_NSLOTS);
  const end = load<u32>(lease, LEASE_END);
  let j = load<u32>(lease, LEASE_START);
  let forwarded: u32 = 0;
  let faults: u32 = 0;
  let frames: u64 = 0;
  let bytes: u64 = 0;
  walkFrom(scratch, unicast, broadcast);
  while (j != end) {
    const i = walkNext(scratch);
    if (i == QUEUE_END) break;
    const taken = rewritePrepare(trans, scratch + <usize>i * SCRATCH_ENTRY_SIZE);
    if (taken < 0 || <u32>taken > ringDistance(j, end, n)) continue;
    const r = rewritePlace(trans, dkr, j);
    j = r & ~REWRITE_FAULT;
    if ((r & REWRITE_FAULT) != 0) {
      faults++;
    } else {
      forwarded++;
      frames += load<u32>(trans, TRANS_FRAMES);
      bytes += load<u32>(trans, TRANS_BYTES);
    }
  }
  statAdd(kr, STAT_FORWARDED, forwarded);
  if (faults != 0) statAdd(kr, STAT_DROP_BAD_SLOT, faults);
  // What its sender has spoiled since the first look is among them; what he has mended was counted then.
  if (packets > forwarded + faults) statAdd(kr, STAT_DROP_NO_SPACE, packets - forwarded - faults);
  statAddShared(dkr, STAT_DELIVERED, frames);
  statAddShared(dkr, STAT_DELIVERED_BYTES, bytes);
  return j;
}

/** Goes to the first packets of the two queues. */
function walkFrom(scratch: usize, unicast: u32, broadcast: u32): void {
  const trans = scratch + SCRATCH_TRANSLATION;
  enterRun(scratch, trans + TRANS_UNICAST, unicast);
  enterRun(scratch, trans + TRANS_BROADCAST, broadcast);
}

/** The next packet's entry, in the order in which they were sent, or QUEUE_END. */
function walkNext(scratch: usize): u32 {
  const trans = scratch + SCRATCH_TRANSLATION;
  const unicast = load<u32>(trans + TRANS_UNICAST, WALK_PACKET);
  const broadcast = load<u32>(trans + TRANS_BROADCAST, WALK_PACKET);
  const i = min(unicast, broadcast); // QUEUE_END is larger than any index
  if (i == QUEUE_END) return i;
  const walk = trans + (i == unicast ? TRANS_UNICAST : TRANS_BROADCAST);
  const after = i + <u32>load<u16>(scratch + <usize>i * SCRATCH_ENTRY_SIZE, SCRATCH_FRAGS);
  if (after != load<u32>(walk, WALK_RUN_END)) store<u32>(walk, after, WALK_PACKET);
  else enterRun(scratch, walk, load<u32>(walk, WALK_NEXT_RUN));
  return i;
}

function enterRun(scratch: usize, walk: usize, run: u32): void {
  store<u32>(walk, run, WALK_PACKET);
  if (run == QUEUE_END) return;
  const e = scratch + <usize>run * SCRATCH_ENTRY_SIZE;
  store<u32>(walk, load<u32>(e, SCRATCH_RUN_END), WALK_RUN_END);
  store<u32>(walk, load<u32>(e, SCRATCH_NEXT), WALK_NEXT_RUN);
}
