// Random packets: well-formed ones of every shape, broken ones, flows of segments with something odd in them now and then.

import fc from 'fast-check';
import * as abi from '../../src/abi.js';
import { concat, fillChecksums, put16, put32 } from './offload-oracle.js';

/** A repeatable byte sequence. */
export function noise(length: number, seed: number): Uint8Array {
  let state = (seed * 2654435761) >>> 0 || 1;
  return Uint8Array.from({ length }, () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state & 255;
  });
}

export interface Shape {
  vlans: number[];
  v6: boolean;
  /** IPv4: words of options. */
  options: number;
  /** IPv6: extension headers. */
  extensions: { proto: number; words: number; segmentsLeft: number; fragment: number }[];
  /** IPv4: flags and offset. */
  fragment: number;
  proto: number;
  /** TCP: words of options. */
  tcpOptions: number;
  flags: number;
  payload: number;
  /** Bytes behind the packet, and (UDP) behind the datagram. */
  padding: number;
  slack: number;
  seed: number;
}

const vlan = fc.constantFrom(0x8100, 0x88a8);
const extension = fc.record({
  proto: fc.constantFrom(0, 43, 44, 60, 51),
  words: fc.integer({ min: 0, max: 3 }),
  segmentsLeft: fc.constantFrom(0, 0, 1),
  fragment: fc.constantFrom(0, 0, 0, 1, 8),
});

export const shape: fc.Arbitrary<Shape> = fc.record({
  vlans: fc.oneof(fc.constant<Shape['vlans']>([]), fc.array(vlan, { maxLength: 9 })),
  v6: fc.boolean(),
  options: fc.constantFrom(0, 0, 1, 3, 10),
  extensions: fc.oneof(fc.constant<Shape['extensions']>([]), fc.array(extension, { maxLength: 9 })),
  fragment: fc.constantFrom(0, 0, 0x4000, 0x4000, 0x2000, 0x2001, 1),
  proto: fc.constantFrom(6, 6, 17, 17, 1, 58),
  tcpOptions: fc.constantFrom(0, 3, 10),
  flags: fc.integer({ min: 0, max: 255 }),
  payload: fc.oneof(fc.integer({ min: 0, max: 40 }), fc.integer({ min: 0, max: 5000 })),
  padding: fc.constantFrom(0, 0, 0, 1, 18),
  slack: fc.constantFrom(0, 0, 0, 3),
  seed: fc.nat(),
});

/** Of the kind that can be cut: TCP or UDP, whole, nothing that changes the checksum's meaning. */
export const cuttable: fc.Arbitrary<Shape> = shape.map((any) => ({
  ...any,
  vlans: any.vlans.slice(0, 8),
  extensions: any.extensions
    .slice(0, 4)
    .map((ext) => ({ ...ext, proto: ext.proto === 51 ? 60 : ext.proto, segmentsLeft: 0, fragment: 0 })),
  fragment: any.fragment & 0x4000,
  proto: any.proto === 17 ? 17 : 6,
}));

function l4Of({ proto, tcpOptions, flags, payload, slack, seed }: Shape): Uint8Array {
  if (proto === 6) {
    const tcp = noise(20 + tcpOptions * 4 + payload, seed);
    tcp[12] = ((5 + tcpOptions) << 4) | (tcp[12] & 15);
    tcp[13] = flags;
    return tcp;
  }
  if (proto !== 17) return noise(payload, seed);
  const udp = noise(8 + payload + slack, seed);
  put16(udp, 4, 8 + payload);
  return udp;
}

function ipv6Of(shape: Shape, l4: Uint8Array): Uint8Array {
  const extensions = shape.extensions.map(({ proto, words, segmentsLeft, fragment }, i) => {
    // The fragment header has no length; that of the authentication header is in words of 4 bytes, less 2.
    const bytes = noise(proto === 44 ? 8 : 8 + words * 8, shape.seed + i);
    bytes[0] = shape.extensions[i + 1]?.proto ?? shape.proto;
    bytes[1] = proto === 44 ? 77 : proto === 51 ? words * 2 : words;
    if (proto === 43) bytes[3] = segmentsLeft;
    if (proto === 44) put16(bytes, 2, fragment);
    return bytes;
  });
  const ip = noise(40, shape.seed + 1);
  ip[0] = 0x60 | (ip[0] & 15);
  ip[6] = shape.extensions[0]?.proto ?? shape.proto;
  const rest = concat(...extensions, l4);
  put16(ip, 4, rest.length);
  return concat(ip, rest);
}

function ipv4Of(shape: Shape, l4: Uint8Array): Uint8Array {
  const ip = noise(20 + shape.options * 4, shape.seed + 1);
  ip[0] = 0x40 | (ip.length / 4);
  put16(ip, 2, ip.length + l4.length);
  put16(ip, 6, shape.fragment);
  ip[9] = shape.proto;
  return concat(ip, l4);
}

/** The frame of a shape, with right lengths and checksums. */
export function build(shape: Shape): Uint8Array {
  const l4 = l4Of(shape);
  const ether = noise(12, shape.seed + 2);
  const types = [...shape.vlans, shape.v6 ? 0x86dd : 0x0800];
  const tags = types.flatMap((type, i) => [...(i > 0 ? noise(2, shape.seed + i) : []), type >> 8, type & 255]);
  const ip = shape.v6 ? ipv6Of(shape, l4) : ipv4Of(shape, l4);
  const frame = concat(ether, tags, ip, noise(shape.padding, shape.seed + 3));
  fillChecksums(frame);
  return frame;
}

/** A part of something. Not fc.double, most of whose numbers are next to nothing. */
export const portion = fc.integer({ min: 0, max: 10000 }).map((part) => part / 10000);

/** Bytes to overwrite, near the front where the headers are, and how much to cut off. */
export const damage = fc.record({
  bytes: fc.array(fc.tuple(fc.integer({ min: 0, max: 130 }), fc.integer({ min: 0, max: 255 })), { maxLength: 3 }),
  keep: fc.oneof(fc.constant(1), portion),
});

export function spoil(frame: Uint8Array, how: { bytes: [number, number][]; keep: number }): Uint8Array {
  const out = frame.slice(0, Math.ceil(frame.length * how.keep));
  for (const [at, value] of how.bytes) if (at < out.length) out[at] = value;
  return out;
}

export const cuts = fc.array(portion, { maxLength: 12 });

/** One step of a flow: the next segment of flow `flow`, with what is odd about it. */
export interface Step {
  flow: number;
  payload: number;
  odd: string;
  ackStep: number;
}

export const step: fc.Arbitrary<Step> = fc.record({
  flow: fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, fc.integer({ min: 0, max: 19 })),
  payload: fc.oneof({ weight: 4, arbitrary: fc.constant(100) }, fc.integer({ min: 0, max: 120 })),
  odd: fc.oneof(
    { weight: 12, arbitrary: fc.constant('') },
    fc.constantFrom(
      ...['push', 'fin', 'ece', 'gap', 'again', 'tos', 'ttl', 'df', 'id', 'sameId', 'mac', 'ackBack', 'stampBack'],
      ...[
        'option',
        'ipOption',
        'sum',
        'fragment',
        'udp',
        'arp',
        'pad',
        'reserved',
        'window',
        'short',
        'valid',
        'gso',
        'gsoValid',
        'partial',
        'partialOther',
      ],
    ),
  ),
  ackStep: fc.constantFrom(0, 0, 1, 5000),
});

interface Flow {
  seq: number;
  ack: number;
  id: number;
  stamp: number;
}

/** Makes the frames of a batch out of steps: even flows are IPv4, every third has time stamps, flows 4 to 7 tags. */
export class Batch {
  readonly #flows = new Map<number, Flow>();

  frame({ flow, payload, odd, ackStep }: Step): Uint8Array {
    const found = this.#flows.get(flow);
    const state = found ?? { seq: (0xffffff00 + flow) >>> 0, ack: 0xfffffff0, id: 0xfffe, stamp: 0xfffffffe };
    this.#flows.set(flow, state);
    const isV4 = flow % 2 === 0;
    const tcp = new Uint8Array(flow % 3 === 0 ? 32 : 20);
    put16(tcp, 0, 1000 + flow);
    put16(tcp, 2, 80);
    if (odd === 'gap') state.seq = (state.seq + 7) >>> 0;
    state.ack = (state.ack + ackStep) >>> 0;
    put32(tcp, 4, odd === 'again' ? (state.seq - payload) >>> 0 : state.seq);
    put32(tcp, 8, odd === 'ackBack' ? (state.ack - 1) >>> 0 : state.ack);
    tcp[12] = (tcp.length * 4) | (odd === 'reserved' ? 1 : 0);
    tcp[13] = abi.TH_ACK | (odd === 'push' ? abi.TH_PUSH : odd === 'fin' ? abi.TH_FIN : odd === 'ece' ? abi.TH_ECE : 0);
    put16(tcp, 14, odd === 'window' ? 17 : 501);
    if (tcp.length === 32) {
      put32(tcp, 20, odd === 'option' ? 0x01010105 : 0x0101080a);
      put32(tcp, 24, odd === 'stampBack' ? (state.stamp - 1) >>> 0 : state.stamp);
      put32(tcp, 28, state.stamp ^ 0x5555);
      state.stamp = (state.stamp + ackStep) >>> 0;
    }
    state.seq = (state.seq + payload) >>> 0;
    const data = noise(payload, state.seq);
    if (odd === 'id') state.id += 3;
    if (odd !== 'sameId') state.id++;
    const ip = isV4 ? this.#ipv4(flow, state.id, odd) : this.#ipv6(flow, odd);
    put16(ip, isV4 ? 2 : 4, (isV4 ? ip.length : 0) + tcp.length + payload);
    const type = odd === 'arp' ? [8, 6] : isV4 ? [8, 0] : [0x86, 0xdd];
    const tag = flow === 7 ? [0x88, 0xa8, 0, 7] : flow === 6 ? [0x81, 0, 0, 7, 0x81, 0, 0, 7] : [0x81, 0, 0, 7];
    const tags = flow >= 4 && flow <= 7 ? tag : [];
    const ether = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, odd === 'mac' ? 3 : 2, ...tags, ...type];
    const frame = concat(ether, ip, tcp, data, odd === 'pad' ? [1, 2, 3] : []);
    fillChecksums(frame);
    if (odd === 'sum') frame[frame.length - 1] ^= 1;
    return odd === 'short' ? frame.slice(0, frame.length - 1) : frame;
  }

  #ipv4(flow: number, id: number, odd: string): Uint8Array {
    const ip = new Uint8Array(odd === 'ipOption' ? 24 : 20);
    ip.set([0x40 | (ip.length / 4), odd === 'tos' ? 1 : 0]);
    put16(ip, 4, id & 0xffff);
    const df = (flow === 2) !== (odd === 'df') ? 0 : 0x4000; // flow 2 has none
    put16(ip, 6, odd === 'fragment' ? 0x2000 : df);
    ip[8] = odd === 'ttl' ? 63 : 64;
    ip[9] = odd === 'udp' ? 17 : 6;
    ip.set([10, 0, 0, 1, 10, 0, 0, 2], 12);
    return ip;
  }

  #ipv6(flow: number, odd: string): Uint8Array {
    const ip = new Uint8Array(40);
    put32(ip, 0, 0x60000000 + (odd === 'tos' ? 1 << 20 : 0) + (odd === 'df' ? 1 : 0));
    ip[6] = odd === 'udp' ? 17 : 6;
    ip[7] = odd === 'ttl' ? 63 : 64;
    ip.set([0xfd, 0x77], 8);
    ip.set([0xfd, 0x77], 24);
    ip[23] = 1;
    ip[39] = 2 + (flow % 5);
    return ip;
  }
}

/** The first ten bytes that are sure to be one of the virtio-net headers, or not. */
export const vnetBytes = fc.uint8Array({ minLength: 10, maxLength: 10 }).chain((bytes) =>
  fc
    .tuple(fc.constantFrom(0, 1, 2, 3, 4, 128), fc.constantFrom(0, 1, 2, 3, 4, 5, 0x80, 0x81, 0x83, 0x84, 0x85))
    .map(([flags, type]) => {
      const out = bytes.slice();
      out[0] = flags;
      out[1] = type;
      return out;
    }),
);
