// assembly/packet/receive: what a host may say in a virtio-net header, what is dropped for it, and where the packets are
// afterwards.
import { ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_QINQ, ETHERTYPE_VLAN } from '../abi/ether';
import { IPPROTO_TCP } from '../abi/inet';
import {
  LRO_DROPS,
  LRO_OUT,
  LRO_SIZE,
  OUT_FIRST,
  OUT_IOV,
  OUT_LEN,
  OUT_SIZE,
  RECEIVE_CSUM,
  RECEIVE_HEADER,
  RECEIVE_SHORT,
  RX_ALL,
  RX_CSUM,
  RX_CSUM6,
  RX_LRO,
} from '../abi/offload';
import { packetChecksum } from '../packet/checksum';
import { vnetWrite } from '../packet/offload';
import { receiveBatch } from '../packet/receive';
import { eq, guarded, guardsIntact } from './include/check';
import { ether, fill, ipv4, ipv6, put16, setPiece, tcp } from './include/offload';

const lro = guarded(LRO_SIZE);
const packets = guarded(4 * 256);
const list = guarded(4 * 8);
const room = guarded(4 * 256);
const FRAME: u32 = 154; // 14 + 20 + 20 + 100

/** Segment `i` of a stream, `tags` deep, behind a header of `hdrLen` bytes that says so. Returns the packet's length. */
function make(
  i: u32,
  hdrLen: u32,
  flags: u32 = 0,
  gsoType: u32 = 0,
  gsoSize: u32 = 0,
  start: u32 = 0,
  offset: u32 = 0,
  v6: bool = false,
  tags: u32 = 0,
): u32 {
  const packet = packets + i * 256;
  memory.fill(packet, 0xee, 256);
  vnetWrite(packet, flags, gsoType, 0, gsoSize, start, offset);
  const ip = ether(packet + hdrLen, tags, v6 ? ETHERTYPE_IPV6 : ETHERTYPE_IPV4);
  const l4 = v6 ? ipv6(ip, IPPROTO_TCP, 120) : ipv4(ip, IPPROTO_TCP, 120, 0, 1 + i);
  tcp(l4, 1 + i * 100, 100, 0);
  fill(ip, l4, IPPROTO_TCP);
  return <u32>(l4 - packet) + 120;
}

/** One packet as a batch: its fate, 0 or why it was dropped. */
function one(hdrLen: u32, flags: u32, gsoType: u32, gsoSize: u32, start: u32, offset: u32): i32 {
  setPiece(list, 0, packets, make(0, hdrLen, flags, gsoType, gsoSize, start, offset));
  const count = receiveBatch(lro, list, 1, hdrLen, RX_ALL, room);
  eq(load<u32>(lro, LRO_DROPS), 1 - count);
  if (count == 1) return 0;
  eq(load<u32>(list), 0);
  return load<i32>(list, 4);
}

function out(i: u32, field: u32): u32 {
  return load<u32>(lro + LRO_OUT + <usize>i * OUT_SIZE + field);
}

describe('headers', () => {
  test('of 10 and of 12 bytes are read, and what is validated says so', () => {
    for (let hdrLen: u32 = 10; hdrLen <= 12; hdrLen += 2) {
      eq(one(hdrLen, 0, 0, 0, 0, 0), 0);
      eq(out(0, OUT_IOV), packets);
      eq(out(0, OUT_LEN), hdrLen + FRAME);
      eq(out(0, OUT_FIRST), 0);
      eq(load<u64>(packets), 2);
      eq(one(hdrLen, 1, 0x81, 50, 34, 16), 0);
      eq(load<u64>(packets), 0x8101 | ((<u64>50) << 32) | ((<u64>34) << 48));
    }
  });

  test('without room for the frame’s header too are dropped', () => {
    for (let hdrLen: u32 = 10; hdrLen <= 12; hdrLen += 2) {
      for (let len: u32 = 0; len <= hdrLen + 14; len++) {
        make(0, hdrLen);
        setPiece(list, 0, packets, len);
        const count = receiveBatch(lro, list, 1, hdrLen, RX_ALL, room);
        eq(count, len < hdrLen + 14 ? 0 : 1);
        if (count == 0) eq(load<i32>(list, 4), -RECEIVE_SHORT);
      }
    }
  });

  test('with unknown flags or types, or a type without a size, are dropped', () => {
    eq(one(12, 4, 0, 0, 0, 0), -RECEIVE_HEADER);
    eq(one(12, 0, 2, 9, 0, 0), -RECEIVE_HEADER);
    eq(one(12, 0, 5, 9, 0, 0), -RECEIVE_HEADER);
    eq(one(12, 0, 1, 0, 0, 0), -RECEIVE_HEADER);
    eq(one(12, 0, 0x80, 0, 0, 0), -RECEIVE_HEADER);
  });

  test('with a checksum that is to go outside the frame are dropped, and only they', () => {
    eq(one(12, 1, 0, 0, FRAME - 2, 0), 0);
    eq(one(12, 1, 0, 0, 0, FRAME - 2), 0);
    eq(one(12, 1, 0, 0, FRAME - 1, 0), -RECEIVE_CSUM);
    eq(one(12, 1, 0, 0, FRAME - 2, 1), -RECEIVE_CSUM);
    eq(one(12, 1, 0, 0, 0xffff, 0xffff), -RECEIVE_CSUM);
    eq(one(12, 2, 0, 0, 0xffff, 0xffff), 0); // nobody asks for it
  });
});

describe('batches', () => {
  test('merged segments lie in the room, the others where they came; dropped ones are told', () => {
    for (let hdrLen: u32 = 10; hdrLen <= 12; hdrLen += 2) {
      setPiece(list, 0, packets, make(0, hdrLen));
      setPiece(list, 1, packets + 256, make(1, hdrLen));
      setPiece(list, 2, packets + 512, make(2, hdrLen, 8));
      setPiece(list, 3, packets + 768, make(3, hdrLen, 0, 0, 0, 0, 0, true));
      eq(receiveBatch(lro, list, 4, hdrLen, RX_ALL, room), 2);
      eq(load<u32>(lro, LRO_DROPS), 1);
      eq(load<u32>(list, 16), 0);
      eq(load<i32>(list, 20), -RECEIVE_HEADER);
      eq(out(0, OUT_IOV), room);
      eq(out(0, OUT_LEN), hdrLen + FRAME + 100);
      eq(load<u16>(room), 0x0101);
      eq(memory.compare(room + hdrLen, packets + hdrLen, FRAME), 0);
      eq(memory.compare(room + hdrLen + FRAME, packets + 256 + hdrLen + 54, 100), 0);
      eq(out(1, OUT_LEN), hdrLen + FRAME + 20);
      eq(out(1, OUT_IOV), packets + 768);
    }
  });

  test('checksums are completed, and packets are to be cut, where the stack does not know them', () => {
    for (let v6: u32 = 0; v6 < 2; v6++) {
      for (let tags: u32 = 0; tags < 2; tags++) {
        const l4: u32 = 14 + tags * 4 + (v6 == 0 ? 20 : 40);
        const knowing: u32 = v6 == 0 ? RX_CSUM : RX_CSUM6;
        for (let caps: u32 = 0; caps <= <u32>RX_ALL; caps++) {
          const knows = (caps & knowing) != 0;
          let len = make(0, 12, 1, 0, 0, l4, 16, v6 != 0, tags);
          const tcpAt = packets + 12 + l4;
          const right = load<u16>(tcpAt + 16);
          // The pseudo header's sum is what the packet's sum is without the right checksum and without the segment.
          store<u16>(tcpAt + 16, 0);
          const sum = <u32>(~packetChecksum(tcpAt, 120) & 0xffff);
          let partial = <u32>(~right & 0xffff) + 0xffff - sum;
          partial = (partial & 0xffff) + (partial >> 16);
          store<u16>(tcpAt + 16, partial);
          setPiece(list, 0, packets, len);
          eq(receiveBatch(lro, list, 1, 12, caps, room), 1);
          eq(out(0, OUT_FIRST), 0);
          eq(load<u64>(packets), knows ? <u64>1 | ((<u64>l4) << 48) : 0);
          eq(load<u16>(tcpAt + 16), knows ? partial : right);
          len = make(0, 12, 1, v6 == 0 ? 1 : 4, 50, l4, 16, v6 != 0, tags);
          setPiece(list, 0, packets, len);
          eq(receiveBatch(lro, list, 1, 12, caps, room), 1);
          eq(out(0, OUT_FIRST), knows && (caps & RX_LRO) != 0 ? 0 : 1);
        }
      }
    }
  });

  test('what a header says of a frame that ends in its tags is believed for no version of IP in particular', () => {
    const frame = packets + 12;
    make(0, 12, 2);
    put16(frame + 12, ETHERTYPE_VLAN);
    put16(frame + 16, ETHERTYPE_QINQ);
    for (let len: u32 = 14; len < 20; len++) {
      setPiece(list, 0, packets, 12 + len);
      eq(receiveBatch(lro, list, 1, 12, RX_ALL, room), 1);
    }
    eq(guardsIntact(), 1);
  });
});
