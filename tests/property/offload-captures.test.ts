// Real traffic through the offload functions: what a stack with offloads handed to its device is cut and completed, and
// what came over a wire is merged and cut again. The frames must be right for the oracle, and for tshark and tcpdump.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import * as abi from '../../src/abi.js';
import { readPcap, writePcap } from '../../src/io/pcap.js';
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

/** Runs a tool over the frames, as a file; undefined if there is no such tool. */
function inspect(frames: readonly Uint8Array[], tool: string, args: readonly string[]): string | undefined {
  const folder = mkdtempSync(join(tmpdir(), 'ptnet-offload-'));
  try {
    const file = join(folder, 'frames.pcap');
    const records = frames.map((data, i) => ({ data, seconds: i, nanoseconds: 0, originalLength: data.length }));
    writeFileSync(file, writePcap(records));
    const { error, status, stdout, stderr } = spawnSync(tool, [...args, '-r', file], {
      encoding: 'utf8',
      maxBuffer: 1 << 28,
    });
    if (error && 'code' in error && error.code === 'ENOENT') return undefined;
    assert.equal(status, 0, stderr);
    return stdout;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const TSHARK = [
  ...['ip', 'tcp', 'udp'].flatMap((proto) => ['-o', `${proto}.check_checksum:TRUE`]),
  ...['-n', '-T', 'fields', '-E', 'separator=,'],
  ...['ip', 'tcp', 'udp', 'icmp', 'icmpv6'].flatMap((proto) => ['-e', `${proto}.checksum.status`]),
];

for (const [name, frames] of [
  ['real-gso.pcap, segmented and completed', transmitted],
  ['real-wire.pcap, coalesced and cut again', restored],
] as const) {
  test(`${name}: tshark finds no wrong checksum`, (context) => {
    const found = inspect(frames, 'tshark', TSHARK);
    if (found === undefined) return context.skip('no tshark');
    const lines = found.trimEnd().split('\n');
    assert.equal(lines.length, frames.length);
    const status = lines.map((line) => line.split(','));
    assert.deepEqual(
      status.flatMap((fields, i) => (fields.includes('0') ? [i] : [])),
      [],
    );
    assert.ok(status.filter(([, tcp]) => tcp === '1').length > frames.length / 2, 'tshark has looked at TCP');
  });

  test(`${name}: tcpdump finds no wrong checksum`, (context) => {
    const found = inspect(frames, 'tcpdump', ['-nvv']);
    if (found === undefined) return context.skip('no tcpdump');
    assert.match(found, /cksum 0x[0-9a-f]+ \(correct\)/);
    assert.deepEqual(found.match(/.*(incorrect|bad \w*cksum|bad-len).*/g), null);
  });
}
