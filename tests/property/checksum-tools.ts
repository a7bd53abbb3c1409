// What others say about the checksums of frames: tshark and tcpdump, if the machine has them.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as abi from '../../src/abi.js';
import { writePcap } from '../../src/io/pcap.js';
import { be16 } from './offload-oracle.js';

export interface Verdict {
  /** Numbers of the frames with a checksum that is not right. */
  readonly wrong: readonly number[];
  /** Numbers of the frames in which the tool has found a TCP checksum right. */
  readonly tcp: readonly number[];
}

/** Runs a tool over the frames, as a file whose times are the frames' numbers; undefined if there is no such tool. */
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

const numbers = (lines: readonly string[], is: (line: string) => boolean): number[] =>
  lines.flatMap((line, i) => (is(line) ? [i] : []));

const TSHARK = [
  ...['ip', 'tcp', 'udp'].flatMap((proto) => ['-o', `${proto}.check_checksum:TRUE`]),
  ...['-n', '-T', 'fields', '-E', 'separator=,'],
  ...['tcp', 'ip', 'udp', 'icmp', 'icmpv6'].flatMap((proto) => ['-e', `${proto}.checksum.status`]),
];

/** One line a frame, with the states of its checksums: 1 is right; 0 is wrong; others say that it was not looked at. */
function tshark(frames: readonly Uint8Array[]): Verdict | undefined {
  const lines = inspect(frames, 'tshark', TSHARK)?.trimEnd().split('\n');
  if (lines === undefined) return undefined;
  assert.equal(lines.length, frames.length);
  return { wrong: numbers(lines, (line) => /[^1,]/.test(line)), tcp: numbers(lines, (line) => line.startsWith('1')) };
}

/** One or more lines a frame; the first one begins with the time. */
function tcpdump(frames: readonly Uint8Array[]): Verdict | undefined {
  const found = inspect(frames, 'tcpdump', ['-tt', '-nvv'])
    ?.split(/^(?=\d+\.\d{6} )/m)
    .filter((text) => text !== '');
  if (found === undefined) return undefined;
  assert.deepEqual(
    found.map((text) => Number.parseInt(text, 10)),
    frames.map((_, i) => i),
  );
  return {
    wrong: numbers(found, (text) => /\(incorrect|\b(bad|wrong) (\w+ )?cksum|bad-len/.test(text)),
    tcp: numbers(found, (text) => /Flags .*cksum 0x[\da-f]+ \(correct\)/.test(text)),
  };
}

/** Each says undefined if it is not there. */
export const TOOLS = { tshark, tcpdump };

/** Where an Ethernet frame without VLAN tags and extension headers has its checksums, by what they are of. */
export function checksumPlaces(frame: Uint8Array): [string, number][] {
  const type = be16(frame, 12);
  if (type !== abi.ETHERTYPE_IPV4 && type !== abi.ETHERTYPE_IPV6) return [];
  const v4 = type === abi.ETHERTYPE_IPV4;
  const l4 = v4 ? 14 + 4 * (frame[14] & 15) : 54;
  const name = v4 ? 'ip' : 'ip6';
  const places: [string, number][] = v4 ? [['ip', 14 + 10]] : [];
  const isFragment = v4 && (be16(frame, 14 + 6) & 0x3fff) !== 0;
  const offset = { 1: 2, 6: abi.TCP_CSUM, 17: abi.UDP_CSUM, 58: 2 }[frame[v4 ? 23 : 20]];
  if (!isFragment && offset !== undefined) places.push([`${name} ${frame[v4 ? 23 : 20]}`, l4 + offset]);
  return places;
}
