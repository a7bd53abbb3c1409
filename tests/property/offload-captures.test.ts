// Real traffic through the offload functions: what a stack with offloads handed to its device is cut and completed, and
// what came over a wire is merged and cut again. The frames must be right for the oracle, and for tshark and tcpdump.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import * as abi from '../../src/abi.js';
import { readPcap } from '../../src/io/pcap.js';
import { checksumPlaces, TOOLS } from './checksum-tools.js';
import type { Output } from './offload-coalesce-oracle.js';
import * as oracle from './offload-oracle.js';
import { tcpStreams } from './offload-streams.js';
import { Offload } from './offload-wasm.js';

// Seen from where the compiled test lies: build/ts/tests/property.
const DATA = new URL('../../../../tests/data/', import.meta.url);
const MTU = 1500;
const MAX_FRAME = 14 + MTU;

const wasm = new Offload(false);
const capture = (name: string): Uint8Array[] =>
  readPcap(readFileSync(new URL(name, DATA))).frames.map(({ data }) => data);

/** Somewhere to cut a packet, differently for each. */
const cutsFor = (index: number): number[] =>
  Array.from({ length: index % 7 }, (_, i) => ((index * 37 + i * 211) % 997) / (i % 2 === 0 ? 997 : 9970));

/** What the device makes of a frame with partial checksums, and of one that is to be cut. */
function transmit(frame: Uint8Array, index: number): Uint8Array[] {
  const packet = oracle.parse(frame);
  const { l3Proto, l4, l4Proto, hdrLen, end } = packet;
  if (frame.length > MAX_FRAME) {
    const type = l3Proto === abi.ETHERTYPE_IPV4 ? abi.VIRTIO_NET_HDR_GSO_TCPV4 : abi.VIRTIO_NET_HDR_GSO_TCPV6;
    const segments = wasm.segment(frame, cutsFor(index), type, MAX_FRAME - hdrLen, MAX_FRAME);
    assert.ok(typeof segments !== 'number' && segments.length > 1, `frame ${index}: ${segments}`);
    return segments;
  }
  if (packet.result !== abi.PARSED_L4 || oracle.validate(frame) !== abi.CSUM_BAD) return [frame];
  // The stack has left the checksum to the device: the field has the pseudo header's sum.
  const offset = l4Proto === abi.IPPROTO_TCP ? abi.TCP_CSUM : abi.UDP_CSUM;
  const pseudo = oracle.sum(oracle.pseudoHeader(frame, packet, end - l4));
  assert.equal(
    oracle.be16(frame, l4 + offset),
    pseudo,
    `frame ${index} has a checksum that is neither right nor partial`,
  );
  const complete = wasm.complete(frame, cutsFor(index), l4, offset);
  assert.ok(complete);
  return [complete];
}

/** Frames with a wrong checksum, by number. */
function wrong(frames: readonly Uint8Array[]): number[] {
  return frames.flatMap((frame, i) => {
    assert.equal(wasm.validate(frame), oracle.validate(frame));
    return oracle.validate(frame) === abi.CSUM_BAD ? [i] : [];
  });
}

function inBatches(frames: readonly Uint8Array[], size: number, limit: number): Output[] {
  const outputs: Output[] = [];
  for (let i = 0; i < frames.length; i += size) {
    outputs.push(
      ...wasm.coalesce(
        frames.slice(i, i + size).map((bytes) => ({ bytes })),
        limit,
      ),
    );
  }
  return outputs;
}

/** The frames of an output packet. */
function cutAgain({ bytes, pieces, vnet }: Output, index: number): Uint8Array[] {
  if (vnet.gsoType === abi.VIRTIO_NET_HDR_GSO_NONE) return [bytes];
  const segments = wasm.segment(bytes, cutsFor(index), vnet.gsoType, vnet.gsoSize, 65535);
  assert.ok(typeof segments !== 'number' && segments.length === pieces);
  return segments;
}

const sent = capture('real-gso.pcap');
const received = capture('real-wire.pcap');
const transmitted = sent.flatMap(transmit);
const outputs = inBatches(received, 64, 65535);
const restored = outputs.flatMap(cutAgain);

describe('real-gso.pcap, segmented and completed', () => {
  test('frames fit the MTU, and every checksum is right', () => {
    assert.ok(sent.some((frame) => frame.length > 60000));
    assert.ok(wrong(sent).length > 0);
    assert.ok(transmitted.every((frame) => frame.length <= MAX_FRAME));
    assert.deepEqual(wrong(transmitted), []);
  });

  test('every TCP stream has the bytes that it had', () => {
    const [before, after] = [sent, transmitted].map(tcpStreams);
    assert.ok(before.size > 1);
    assert.deepEqual([...after.keys()], [...before.keys()]);
    for (const [key, { bytes, seen }] of before) {
      assert.deepEqual(after.get(key)?.bytes, bytes);
      assert.deepEqual(after.get(key)?.seen, seen);
    }
  });
});

describe('real-wire.pcap, coalesced', () => {
  test('packets are merged, and only those change', () => {
    const merged = outputs.filter(({ pieces }) => pieces > 1);
    assert.ok(merged.length > 10 && outputs.length < received.length / 2, `${outputs.length} of ${received.length}`);
    for (const { vnet, bytes } of merged) {
      assert.equal(vnet.flags, abi.VIRTIO_NET_HDR_F_NEEDS_CSUM);
      const packet = oracle.parse(bytes);
      const pseudo = oracle.sum(oracle.pseudoHeader(bytes, packet, bytes.length - packet.l4));
      assert.equal(oracle.be16(bytes, packet.l4 + abi.TCP_CSUM), pseudo);
    }
    const originals = new Set(received.map(String));
    for (const { bytes, pieces } of outputs) assert.ok(pieces > 1 || originals.has(String(bytes)));
  });

  test('cut again, the streams are the same, segment for segment, and every checksum is right', () => {
    assert.equal(restored.length, received.length);
    assert.deepEqual(wrong(restored), wrong(received));
    assert.deepEqual(wrong(received), []);
    assert.deepEqual(tcpStreams(restored), tcpStreams(received));
  });

  test('a smaller limit is kept', () => {
    const small = inBatches(received, 64, 5000);
    assert.ok(small.some(({ pieces }) => pieces > 1) && small.every(({ bytes }) => bytes.length <= 5000));
    assert.deepEqual(tcpStreams(small.flatMap(cutAgain)), tcpStreams(received));
  });
});

/** Copies in which each kind of checksum has one byte inverted in one frame, and the numbers of those frames. */
function damage(frames: readonly Uint8Array[]): { damaged: Uint8Array[]; kinds: Map<string, number> } {
  const damaged = frames.map((frame) => frame.slice());
  const kinds = new Map<string, number>();
  const used = new Set<number>();
  for (const [i, frame] of damaged.entries()) {
    const place = used.has(i) ? undefined : checksumPlaces(frame).find(([kind]) => !kinds.has(kind));
    if (place === undefined) continue;
    const [kind, at] = place;
    frame[at + (kinds.size % 2)] ^= 0xff;
    kinds.set(kind, i);
    used.add(i);
  }
  return { damaged, kinds };
}

for (const [tool, look] of Object.entries(TOOLS)) {
  for (const [name, frames] of [
    ['real-gso.pcap, segmented and completed', transmitted],
    ['real-wire.pcap, coalesced and cut again', restored],
  ] as const) {
    test(`${name}: ${tool} finds no wrong checksum`, (context) => {
      const verdict = look(frames);
      if (verdict === undefined) return context.skip(`no ${tool}`);
      const isTcp = (frame: Uint8Array): boolean => checksumPlaces(frame).some(([kind]) => kind.endsWith(' 6'));
      const tcp = frames.flatMap((frame, i) => (isTcp(frame) ? [i] : []));
      assert.ok(tcp.length > 10);
      assert.deepEqual(verdict, { wrong: [], tcp });
    });

    test(`${name}: ${tool} finds one inverted byte in a checksum of each kind`, (context) => {
      const { damaged, kinds } = damage(frames);
      assert.deepEqual([...kinds.keys()].sort(), ['ip', 'ip 1', 'ip 17', 'ip 6', 'ip6 58', 'ip6 6']);
      const verdict = look(damaged);
      if (verdict === undefined) return context.skip(`no ${tool}`);
      assert.deepEqual(
        verdict.wrong,
        [...kinds.values()].sort((a, b) => a - b),
      );
    });
  }
}

test('tshark and tcpdump find the partial checksums of a stack', (context) => {
  const verdicts = Object.values(TOOLS).flatMap((look) => look(sent) ?? []);
  const partial = wrong(sent);
  if (verdicts.length === 0) return context.skip('no tshark, no tcpdump');
  for (const verdict of verdicts) assert.deepEqual(verdict.wrong, partial);
});
