// One packet on its way to a port with a virtio-net header of another length (bdg_mismatch_datapath): what becomes of it,
// and then its bytes in the destination's slots. Called for each packet of a queue by translate.ts.
//
//   source    destination    header               the rest
//   0         10, 12         zeros                as it is
//   10        12             10 bytes, 2 zeros    as it is
//   12        10             10 bytes             as it is
//   10, 12    0              none                 checksum completed; a GSO packet cut into frames
//
// The source is somebody else's memory and may change at any time. Its header is read once, into struct translation, and
// payload once, while it is copied and summed. Nothing is written to it.
//
// DIFF: netmap writes behind a buffer that a fragment does not fit; here it goes on in the next slot. A header that asks
// for a checksum outside of the packet drops it. Checksums are right after fragments of odd length, wherever they lie,
// and a packet to be segmented may have indirect fragments.
import {
  KRING_BUFBASE,
  KRING_BUFSIZE,
  KRING_NBUFS,
  KRING_NSLOTS,
  KRING_RING,
  SCRATCH_ADDR,
  SCRATCH_ENTRY_SIZE,
  SCRATCH_FRAGS,
  SCRATCH_LEN,
  STAT_BAD_SLOT,
  STAT_DROP_GSO,
  STAT_DROP_HEADER,
  STAT_DROP_TOO_LONG,
  TRANS_BYTES,
  TRANS_CSUM_AT,
  TRANS_CSUM_START,
  TRANS_DST_HDR_LEN,
  TRANS_FRAMES,
  TRANS_HDR,
  TRANS_IOV,
  TRANS_IS_GSO,
  TRANS_MFS,
  TRANS_ROOM,
  TRANS_SEGMENT,
  TRANS_SEGMENT_SIZE,
  TRANS_SEGMENTER,
  TRANS_SLOTS,
  TRANS_SRC_HDR_LEN,
} from '../abi/arena';
import {
  NETMAP_MAX_FRAGS,
  NETMAP_RING_SLOT,
  NETMAP_SLOT_LEN,
  NETMAP_SLOT_SIZE,
  NS_MOREFRAG,
  NS_RFRAGS_SHIFT,
} from '../abi/netmap';
import {
  IOV_ADDR,
  IOV_LEN,
  IOV_SIZE,
  PACKET_HDR_LEN,
  SEG_COUNT,
  SEG_LEFT,
  SEG_MAX_LEN,
  SEG_MSS,
  SEG_PACKET,
} from '../abi/offload';
import {
  VIRTIO_NET_HDR_CSUM_OFFSET,
  VIRTIO_NET_HDR_CSUM_START,
  VIRTIO_NET_HDR_F_NEEDS_CSUM,
  VIRTIO_NET_HDR_GSO_NONE,
  VIRTIO_NET_HDR_GSO_TYPE,
  VIRTIO_NET_HDR_MRG_LEN,
  VIRTIO_NET_HDR_NUM_BUFFERS,
} from '../abi/virtio-net';
import { checksumCopy, checksumFold } from '../packet/checksum';
import { packetCopy } from '../packet/copy';
import { vnetRead } from '../packet/offload';
import { segmentNext, segmentPrepare } from '../packet/segment';
import { slotOffset } from '../ring/offset';
import { ringNext } from '../ring/wrap';
import { statAddShared } from '../stats/counters';

/** Added to the slot that rewritePlace returns: the receiver has put a bad index into one of the slots before it. */
export const REWRITE_FAULT: u32 = 0x10000; // above any slot index

const NO_SUM: u32 = 0xffffffff;

/**
 * Looks at the packet whose first entry is `e`. Returns the number of slots that rewritePlace will use for it, at least 1,
 * or the counter (STAT_DROP_*) of the reason why it is dropped, negated.
 */
export function rewritePrepare(trans: usize, e: usize): i32 {
  const srcHdrLen = load<u32>(trans, TRANS_SRC_HDR_LEN);
  const dstHdrLen = load<u32>(trans, TRANS_DST_HDR_LEN);
  const room = load<u32>(trans, TRANS_ROOM);
  if (room <= dstHdrLen) return -STAT_DROP_TOO_LONG; // the receiver's packet offsets leave no room behind a header
  const frags = <usize>load<u16>(e, SCRATCH_FRAGS);
  const hdr = trans + TRANS_HDR;
  store<u64>(hdr, 0);
  store<u32>(hdr, 0, VIRTIO_NET_HDR_CSUM_OFFSET);
  let malformed = false;
  if (srcHdrLen != 0) {
    if (<u32>load<u16>(e, SCRATCH_LEN) < srcHdrLen) return -STAT_DROP_HEADER;
    malformed = vnetRead(load<u32>(e, SCRATCH_ADDR), hdr) != 0; // a destination with a header may still make sense of it
  }
  const iov = trans + TRANS_IOV;
  let piece = iov;
  let len: u32 = 0;
  let slots: u32 = 0;
  for (let f: usize = 0; f < frags; f++) {
    const entry = e + f * SCRATCH_ENTRY_SIZE;
    const skip: u32 = f == 0 ? srcHdrLen : 0;
    const fragLen = <u32>load<u16>(entry, SCRATCH_LEN) - skip;
    const added: u32 = f == 0 ? dstHdrLen : 0;
    if (f == 0 && fragLen + added == 0) continue; // the header had a slot of its own
    store<u32>(piece, load<u32>(entry, SCRATCH_ADDR) + skip, IOV_ADDR);
    store<u32>(piece, fragLen, IOV_LEN);
    piece += IOV_SIZE;
    len += fragLen;
    slots += slotsOf(fragLen + added, room);
  }
  if (len == 0) return -STAT_DROP_HEADER;
  store<u32>(trans, 0, TRANS_IS_GSO);
  store<u32>(trans, NO_SUM, TRANS_CSUM_START);
  if (dstHdrLen == 0) {
    if (malformed) return -STAT_DROP_HEADER;
    if (<u32>load<u8>(hdr, VIRTIO_NET_HDR_GSO_TYPE) != VIRTIO_NET_HDR_GSO_NONE) {
      return prepareSegments(trans, <u32>(piece - iov) / IOV_SIZE, room);
    }
    if ((load<u8>(hdr) & VIRTIO_NET_HDR_F_NEEDS_CSUM) != 0) {
      const start = <u32>load<u16>(hdr, VIRTIO_NET_HDR_CSUM_START);
      const at = start + <u32>load<u16>(hdr, VIRTIO_NET_HDR_CSUM_OFFSET);
      if (at + 2 > len) return -STAT_DROP_HEADER;
      store<u32>(trans, start, TRANS_CSUM_START);
      store<u32>(trans, at, TRANS_CSUM_AT);
    }
  }
  if (slots > <u32>NETMAP_MAX_FRAGS) return -STAT_DROP_TOO_LONG;
  store<u32>(trans, slots, TRANS_SLOTS);
  store<u32>(trans, 1, TRANS_FRAMES);
  store<u32>(trans, len + dstHdrLen, TRANS_BYTES);
  return slots;
}

/** Slots that `len` bytes take; a fragment of no bytes takes one too. */
function slotsOf(len: u32, room: u32): u32 {
  return len <= room ? 1 : (len + room - 1) / room;
}

function prepareSegments(trans: usize, pieces: u32, room: u32): i32 {
  const state = trans + TRANS_SEGMENTER;
  const count = segmentPrepare(trans + TRANS_IOV, pieces, trans + TRANS_HDR, load<u32>(trans, TRANS_MFS), state);
  if (count < 0) return -STAT_DROP_GSO;
  const longest = load<u32>(state, SEG_MAX_LEN);
  const perSegment = slotsOf(longest, room);
  if (perSegment > <u32>NETMAP_MAX_FRAGS) return -STAT_DROP_TOO_LONG;
  const payload = load<u32>(state, SEG_LEFT);
  const hdrLen = load<u32>(state + SEG_PACKET, PACKET_HDR_LEN);
  const lastPayload = payload - <u32>(count - 1) * load<u32>(state, SEG_MSS);
  const slots = <u32>(count - 1) * perSegment + slotsOf(hdrLen + lastPayload, room);
  store<u32>(trans, 1, TRANS_IS_GSO);
  store<u32>(trans, slots, TRANS_SLOTS);
  store<u32>(trans, count, TRANS_FRAMES);
  store<u32>(trans, <u32>count * hdrLen + payload, TRANS_BYTES);
  return slots;
}

/**
 * Writes the packet that rewritePrepare has looked at last into the slots of `dkr` from j on; there are as many as that
 * said. Returns the slot after it. With REWRITE_FAULT added, a slot had a bad index, and it and those before are empty.
 */
export function rewritePlace(trans: usize, dkr: usize, j: u32): u32 {
  return load<u32>(trans, TRANS_IS_GSO) != 0 ? placeSegments(trans, dkr, j) : placePlain(trans, dkr, j);
}

function placePlain(trans: usize, dkr: usize, j: u32): u32 {
  const n = load<u32>(dkr, KRING_NSLOTS);
  const room = load<u32>(trans, TRANS_ROOM);
  const count = load<u32>(trans, TRANS_SLOTS);
  const csumStart = load<u32>(trans, TRANS_CSUM_START);
  const csumAt = load<u32>(trans, TRANS_CSUM_AT);
  const start = j;
  let hdrLen = load<u32>(trans, TRANS_DST_HDR_LEN); // of the first slot
  let left = count;
  let at: u32 = 0; // bytes of the frame copied
  let sum: u64 = 0;
  let first: usize = 0; // where the two bytes of the checksum are now: slots apart, maybe
  let second: usize = 0;
  for (let piece = trans + TRANS_IOV; left != 0; piece += IOV_SIZE) {
    let src = <usize>load<u32>(piece, IOV_ADDR);
    let len = load<u32>(piece, IOV_LEN);
    do {
      const buf = bufferOf(dkr, j, room);
      if (buf == 0) return fault(dkr, start, j);
      if (hdrLen != 0) putHeader(buf, trans + TRANS_HDR, hdrLen);
      const dst = buf + hdrLen;
      const m = min(len, room - hdrLen);
      if (at + m <= csumStart) {
        packetCopy(dst, src, m);
      } else {
        const plain = csumStart > at ? csumStart - at : 0;
        if (plain != 0) packetCopy(dst, src, plain);
        const odd = (at + plain - csumStart) & 1;
        sum += checksumCopy(dst + plain, src + plain, m - plain, 0) << (odd << 3);
        if (csumAt - at < m) first = dst + (csumAt - at);
        if (csumAt + 1 - at < m) second = dst + (csumAt + 1 - at);
      }
      left--;
      setSlot(dkr, j, hdrLen + m, (count << NS_RFRAGS_SHIFT) | (left != 0 ? NS_MOREFRAG : 0));
      hdrLen = 0;
      src += m;
      len -= m;
      at += m;
      j = ringNext(j, n);
    } while (len != 0);
  }
  if (csumStart != NO_SUM) {
    const value = checksumFold(sum);
    const stored: u32 = value == 0 ? 0xffff : value; // as offloadComplete does
    store<u8>(first, stored);
    store<u8>(second, stored >> 8);
  }
  return j;
}

function putHeader(dst: usize, hdr: usize, len: u32): void {
  store<u64>(dst, load<u64>(hdr));
  store<u16>(dst, load<u16>(hdr, VIRTIO_NET_HDR_CSUM_OFFSET), VIRTIO_NET_HDR_CSUM_OFFSET);
  if (len == VIRTIO_NET_HDR_MRG_LEN) store<u16>(dst, 0, VIRTIO_NET_HDR_NUM_BUFFERS);
}

/** Each segment is a frame of its own; in one slot its flags are 0, as in netmap. */
function placeSegments(trans: usize, dkr: usize, j: u32): u32 {
  const n = load<u32>(dkr, KRING_NSLOTS);
  const room = load<u32>(trans, TRANS_ROOM);
  const state = trans + TRANS_SEGMENTER;
  const whole = load<u32>(state, SEG_MAX_LEN) <= room;
  const start = j;
  for (let count = load<u32>(state, SEG_COUNT); count != 0; count--) {
    let src = trans + TRANS_SEGMENT;
    if (whole) {
      const dst = bufferOf(dkr, j, room);
      if (dst == 0) return fault(dkr, start, j);
      setSlot(dkr, j, segmentNext(state, dst, room), 0);
      j = ringNext(j, n);
      continue;
    }
    let len = <u32>segmentNext(state, src, TRANS_SEGMENT_SIZE);
    const frags: u32 = slotsOf(len, room);
    for (let left = frags; left != 0; left--) {
      const dst = bufferOf(dkr, j, room);
      if (dst == 0) return fault(dkr, start, j);
      const m = min(len, room);
      packetCopy(dst, src, m);
      setSlot(dkr, j, m, frags == 1 ? 0 : (frags << NS_RFRAGS_SHIFT) | (left != 1 ? NS_MOREFRAG : 0));
      src += m;
      len -= m;
      j = ringNext(j, n);
    }
  }
  return j;
}

function slotOf(dkr: usize, j: u32): usize {
  return <usize>load<u32>(dkr, KRING_RING) + NETMAP_RING_SLOT + <usize>j * NETMAP_SLOT_SIZE;
}

/**
 * Where the packet starts in the buffer that the receiver's slot j names, or 0 if that is none. `room` bytes are there,
 * even if the ring has been given larger offsets since the packet was prepared.
 */
function bufferOf(dkr: usize, j: u32, room: u32): usize {
  const slot = slotOf(dkr, j);
  const idx = load<u32>(slot); // the receiver's: read once
  if (idx - 2 >= load<u32>(dkr, KRING_NBUFS) - 2) return 0;
  const bufSize = load<u32>(dkr, KRING_BUFSIZE);
  return <usize>load<u32>(dkr, KRING_BUFBASE) + <usize>idx * bufSize + min(slotOffset(dkr, slot), bufSize - room);
}

function setSlot(dkr: usize, j: u32, len: u32, flags: u32): void {
  store<u32>(slotOf(dkr, j), len | (flags << 16), NETMAP_SLOT_LEN);
}

/** Slots from `start` to j are used up, and empty: given back, the bad one would stop the next packet too. */
function fault(dkr: usize, start: u32, j: u32): u32 {
  const n = load<u32>(dkr, KRING_NSLOTS);
  const end = ringNext(j, n);
  for (let k = start; k != end; k = ringNext(k, n)) setSlot(dkr, k, 0, 0);
  statAddShared(dkr, STAT_BAD_SLOT, 1);
  return end | REWRITE_FAULT;
}
