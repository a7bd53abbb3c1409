// The programs of the suite checksum in Wasm: what bench/checksums.ts does with the frames from address `src` to `end`.
import { checksumCopy, checksumFold, packetChecksum } from '../../assembly/packet/checksum';
import { packetCopy } from '../../assembly/packet/copy';

export function checksum(src: usize, end: usize, dst: usize, size: u32, stride: u32): u32 {
  let sum: u32 = 0;
  for (; src < end; src += stride) sum += packetChecksum(src, size);
  return sum;
}

export function copy(src: usize, end: usize, dst: usize, size: u32, stride: u32): u32 {
  for (; src < end; src += stride, dst += stride) packetCopy(dst, src, size);
  return 0;
}

export function copyAndChecksum(src: usize, end: usize, dst: usize, size: u32, stride: u32): u32 {
  let sum: u32 = 0;
  for (; src < end; src += stride, dst += stride) sum += checksumFold(checksumCopy(dst, src, size, 0));
  return sum;
}
