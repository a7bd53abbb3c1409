// The TCP streams of a list of frames, to compare what was sent with what has become of it.

import * as abi from '../../src/abi.js';
import { be32, parse } from './offload-oracle.js';

interface Stream {
  /** Sequence number and length of each segment with data, in the order of the frames. */
  segments: string[];
  /** The bytes, from the lowest sequence number on; what is missing is 0 in `seen`. */
  bytes: Uint8Array;
  seen: Uint8Array;
}

/** Streams by addresses and ports. */
export function tcpStreams(frames: readonly Uint8Array[]): Map<string, Stream> {
  const parts = new Map<string, { seq: number; data: Uint8Array }[]>();
  for (const frame of frames) {
    const { result, l3, l3Proto, l4, l4Proto, hdrLen, end } = parse(frame);
    if (result !== abi.PARSED_L4 || l4Proto !== abi.IPPROTO_TCP || hdrLen === end) continue;
    const key = `${frame.subarray(l3 + (l3Proto === 0x0800 ? 12 : 8), l3 + (l3Proto === 0x0800 ? 20 : 40))} ${frame.subarray(l4, l4 + 4)}`;
    const list = parts.get(key) ?? [];
    parts.set(key, list);
    list.push({ seq: be32(frame, l4 + 4), data: frame.subarray(hdrLen, end) });
  }
  return new Map([...parts].map(([key, list]) => [key, streamOf(list)]));
}

function streamOf(list: { seq: number; data: Uint8Array }[]): Stream {
  const start = list.reduce((low, { seq }) => (((seq - low) | 0) < 0 ? seq : low), list[0].seq);
  const offset = (seq: number): number => (seq - start) >>> 0;
  const size = Math.max(...list.map(({ seq, data }) => offset(seq) + data.length));
  const bytes = new Uint8Array(size);
  const seen = new Uint8Array(size);
  for (const { seq, data } of list) {
    bytes.set(data, offset(seq));
    seen.fill(1, offset(seq), offset(seq) + data.length);
  }
  return { segments: list.map(({ seq, data }) => `${seq}+${data.length}`), bytes, seen };
}
