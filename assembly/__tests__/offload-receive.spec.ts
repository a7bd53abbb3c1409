// assembly/packet/receive: what a host may say in a virtio-net header, and what is dropped for it.
import { ETHERTYPE_IPV4 } from '../abi/ether';
import { IPPROTO_TCP } from '../abi/inet';
import {
  LRO_MAX_FRAMES,
  LRO_NOUTS,
  LRO_OUT,
  LRO_SIZE,
  OUT_VNET,
  RECEIVE_CSUM,
  RECEIVE_FULL,
  RECEIVE_HEADER,
  RECEIVE_SHORT,
  RX_ALL,
} from '../abi/offload';
import { coalesceFlush, coalesceReset } from '../packet/coalesce';
import { receiveAdd } from '../packet/receive';
import { vnetWrite } from '../packet/offload';
import { eq, guarded, guardsIntact } from './include/check';
import { ether, fill, ipv4, tcp } from './include/offload';

const lro = guarded(LRO_SIZE);
const packet = guarded(256);
const FRAME: u32 = 154; // 14 + 20 + 20 + 100

/** A packet with a header of `hdrLen` bytes that says so, of which the last two are not written. Returns the answer. */
function add(hdrLen: u32, flags: u32, gsoType: u32, gsoSize: u32, start: u32, offset: u32, len: u32 = FRAME): i32 {
  vnetWrite(packet, flags, gsoType, 0, gsoSize, start, offset);
  const frame = packet + hdrLen;
  const ip = ether(frame, 0, ETHERTYPE_IPV4);
  const l4 = ipv4(ip, IPPROTO_TCP, 120, 0, 1);
  tcp(l4, 1, 100, 0);
  fill(ip, l4, IPPROTO_TCP);
  coalesceReset(lro, 65535, RX_ALL);
  return receiveAdd(lro, packet, hdrLen + len, hdrLen);
}

describe('receiveAdd', () => {
  test('takes packets with headers of 10 and of 12 bytes, and what it validates says so', () => {
    for (let hdrLen: u32 = 10; hdrLen <= 12; hdrLen += 2) {
      eq(add(hdrLen, 0, 0, 0, 0, 0), 0);
      eq(coalesceFlush(lro), 1);
      eq(load<u8>(lro + LRO_OUT + OUT_VNET), 2);
      eq(add(hdrLen, 1, 0x81, 50, 34, 16), 0);
      eq(coalesceFlush(lro), 1);
      eq(load<u16>(lro + LRO_OUT + OUT_VNET), 0x8101);
    }
  });

  test('drops what has no room for both headers', () => {
    eq(add(12, 0, 0, 0, 0, 0, 14), 0);
    for (let len: u32 = 0; len < 26; len++) eq(receiveAdd(lro, packet, len, 12), -RECEIVE_SHORT);
    for (let len: u32 = 0; len < 24; len++) eq(receiveAdd(lro, packet, len, 10), -RECEIVE_SHORT);
    eq(load<u32>(lro, LRO_NOUTS), 1);
  });

  test('drops unknown flags and types, and a type without a size', () => {
    eq(add(12, 4, 0, 0, 0, 0), -RECEIVE_HEADER);
    eq(add(12, 0, 2, 9, 0, 0), -RECEIVE_HEADER);
    eq(add(12, 0, 5, 9, 0, 0), -RECEIVE_HEADER);
    eq(add(12, 0, 1, 0, 0, 0), -RECEIVE_HEADER);
    eq(add(12, 0, 0x80, 0, 0, 0), -RECEIVE_HEADER);
    eq(load<u32>(lro, LRO_NOUTS), 0);
  });

  test('drops a checksum that is to go outside the frame, and only then', () => {
    eq(add(12, 1, 0, 0, FRAME - 2, 0), 0);
    eq(add(12, 1, 0, 0, 0, FRAME - 2), 0);
    eq(add(12, 1, 0, 0, FRAME - 1, 0), -RECEIVE_CSUM);
    eq(add(12, 1, 0, 0, FRAME - 2, 1), -RECEIVE_CSUM);
    eq(add(12, 1, 0, 0, 0xffff, 0xffff), -RECEIVE_CSUM);
    eq(add(12, 2, 0, 0, 0xffff, 0xffff), 0); // nobody asks for it
  });

  test('takes no more than a batch holds', () => {
    eq(add(12, 0, 0, 0, 0, 0), 0);
    for (let i: u32 = 1; i < <u32>LRO_MAX_FRAMES; i++) eq(receiveAdd(lro, packet, 12 + FRAME, 12), 0);
    eq(receiveAdd(lro, packet, 12 + FRAME, 12), -RECEIVE_FULL);
    eq(guardsIntact(), 1);
  });
});
