// Segmentation: a TCP packet of 64 KiB in the slots of a ring, its virtio-net header first, becomes frames of 1514 bytes
// with checksums. Ours crosses from JavaScript into Wasm once a segment; within the switch it does not.
import { abi, type NetmapRing } from 'ptnet';
import { FULL_FRAME, headersOf, type IpVersion, tcpPacket } from '../packets.js';
import { digestFrames } from '../program.js';
import { type Memory, memoryOf } from '../twins/memory.js';
import { newSegmenter, segmentNext, segmentPrepare } from '../twins/segment.js';
import { type Case, type Contender, checkAgain, type OpenCase } from '../types.js';
import { wasmFunctions } from '../wasm.js';
import { openHost, PIPE } from '../world.js';

/** Segments of the packet. */
const SEGMENTS = 45;
// Buffers of the tx ring: the packet in the first ones, its frames, and working memory.
const FRAMES = 64;
const IOV = 900;
const HEADER = 901;
const STATE = 902;

/** The packet of `SEGMENTS` full segments. */
function wholePacket(version: IpVersion): Uint8Array {
  const headers = headersOf(version);
  const size = headers + SEGMENTS * (FULL_FRAME - headers);
  return tcpPacket({ version, flow: 0, index: 0, size, flags: abi.TH_ACK | abi.TH_PUSH });
}

/** Lays the packet, list of pieces and header down. Returns the number of pieces. */
function prepare(ring: NetmapRing, version: IpVersion): number {
  const { u8, i32, bufSize } = ring;
  const packet = wholePacket(version);
  const view = new DataView(u8.buffer);
  const iov = ring.bufAddress(IOV) >>> 2;
  const hdr = ring.bufAddress(HEADER);
  const gsoType = version === 4 ? abi.VIRTIO_NET_HDR_GSO_TCPV4 : abi.VIRTIO_NET_HDR_GSO_TCPV6;
  u8.set([abi.VIRTIO_NET_HDR_F_NEEDS_CSUM, gsoType], hdr);
  view.setUint16(hdr + abi.VIRTIO_NET_HDR_GSO_SIZE, FULL_FRAME - headersOf(version), true);
  let n = 0;
  let used = abi.VIRTIO_NET_HDR_MRG_LEN; // the header comes before the frame in the first slot
  for (let from = 0; from < packet.length; used = 0) {
    const piece = packet.subarray(from, from + bufSize - used);
    u8.set(piece, ring.bufAddress(n) + used);
    i32[iov + 2 * n] = ring.bufAddress(n) + used;
    i32[iov + 2 * n + 1] = piece.length;
    from += piece.length;
    n++;
  }
  return n;
}

/** A run is the proof. */
function contender(name: string, ring: NetmapRing, version: IpVersion, cut: () => number): Contender {
  let wrong = 0;
  const run = (): void => {
    if (cut() !== SEGMENTS) wrong++;
  };
  const frames = Array.from({ length: SEGMENTS }, (_, i) => ring.buf(FRAMES + i));
  const prove = (): number => {
    for (const frame of frames) frame.fill(0);
    run();
    return digestFrames(frames.map((bytes) => bytes.subarray(0, frameLength(bytes, version))));
  };
  const digest = prove();
  const check = (): void => {
    if (wrong !== 0) throw new Error(`${name}: ${wrong} packets were not cut`);
    checkAgain(name, prove, digest);
  };
  return { name, run, digest, check };
}

/** Length of the frame at the start of `bytes`, by its IP header. */
function frameLength(bytes: Uint8Array, version: IpVersion): number {
  const at = abi.ETHER_HDR_LEN + (version === 4 ? abi.IPV4_TOT_LEN : abi.IPV6_PLEN);
  const before = abi.ETHER_HDR_LEN + (version === 4 ? 0 : abi.IPV6_HDR_LEN);
  return before + ((bytes[at] << 8) | bytes[at + 1]);
}

function ours(memory: WebAssembly.Memory, ring: NetmapRing, version: IpVersion): Contender {
  const pieces = prepare(ring, version);
  const wasm = wasmFunctions(memory);
  const { bufSize } = ring;
  const iov = ring.bufAddress(IOV);
  const hdr = ring.bufAddress(HEADER);
  const state = ring.bufAddress(STATE);
  const first = ring.bufAddress(FRAMES);
  return contender('ptnet', ring, version, () => {
    wasm.segmentPrepare(iov, pieces, hdr, FULL_FRAME, state);
    let n = 0;
    for (let dst = first; wasm.segmentNext(state, dst, bufSize) > 0; dst += bufSize) n++;
    return n;
  });
}

function plain(mem: Memory, ring: NetmapRing, version: IpVersion): Contender {
  const pieces = prepare(ring, version);
  const { bufSize } = ring;
  const iov = ring.bufAddress(IOV);
  const hdr = ring.bufAddress(HEADER);
  const state = newSegmenter();
  const first = ring.bufAddress(FRAMES);
  return contender('js', ring, version, () => {
    segmentPrepare(mem, iov, pieces, hdr, FULL_FRAME, state);
    let n = 0;
    for (let dst = first; segmentNext(mem, state, dst, bufSize) > 0; dst += bufSize) n++;
    return n;
  });
}

function segmentCase(version: IpVersion): Case {
  const open = async (): Promise<OpenCase> => {
    const worlds = [await openHost(PIPE, 'ptnet'), await openHost(PIPE, 'js')];
    const memories = worlds.map(({ netmap }) => netmap.memory);
    const contenders = [
      ours(memories[0], worlds[0].tx, version),
      plain(memoryOf(memories[1].buffer), worlds[1].tx, version),
    ];
    const close = async (): Promise<void> => {
      for (const world of worlds) await world.close();
    };
    return { contenders, close };
  };
  return {
    suite: 'segment',
    name: `IPv${version}`,
    task: `segment-v${version}`,
    size: wholePacket(version).length,
    unit: 'ns/segment',
    batch: SEGMENTS,
    bytes: FULL_FRAME,
    open,
  };
}

export function segmentSuite(): Case[] {
  return [segmentCase(4), segmentCase(6)];
}
