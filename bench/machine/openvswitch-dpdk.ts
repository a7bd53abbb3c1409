// Open vSwitch on DPDK, one core that polls: a bridge between two ports that make and swallow frames as fast as they are asked
// (net_null). Those have no bytes to look at, so a proof goes before: the frames that all contenders get, from one capture
// file through such a bridge to another (net_pcap).
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type PcapFrame, readPcap, writePcap } from 'ptnet';
import { digestFrames, proofFrames } from '../program.js';
import { PROOF_FRAMES } from '../threads/control.js';
import { Absent, type Run, type TimedContender } from '../types.js';
import { makeFolder, removeFolder } from './children.js';
import { orAbsent } from './find.js';
import { OpenVSwitch } from './openvswitch.js';
import { Spaces } from './spaces.js';

const NAME = 'Open vSwitch';
const PORTS = ['p0', 'p1'];
/** Milliseconds that the switch gets to warm up, and longest that the proof may take. */
const SETTLE = 500;
const PATIENCE = 10_000;
/** Frames before the proof: a new port's first frames are lost until the switch has settled. */
const LOST = 1 << 16;

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** A bridge between two devices of DPDK: what comes from one goes to the other. */
async function withBridge<T>(devices: readonly string[], use: (bridge: OpenVSwitch) => Promise<T>): Promise<T> {
  if (process.getuid?.() !== 0) throw new Absent(`${NAME}: it wants root, for a network namespace`);
  const spaces = new Spaces(1);
  const bridge = new OpenVSwitch(NAME, (program, args) => spaces.command(0, program, args));
  try {
    const memory = `--no-huge --legacy-mem -m 1024 --no-pci --file-prefix=ptnet${process.pid}`;
    await bridge.start(['dpdk-init=true', 'pmd-cpu-mask=0x2', `dpdk-extra="${memory}"`]);
    bridge.control('del-flows');
    for (const [from, to] of [
      [1, 2],
      [2, 1],
    ]) {
      bridge.control('add-flow', `in_port=${from},actions=output:${to}`);
    }
    for (const [i, device] of devices.entries()) {
      bridge.addPort(PORTS[i], ['type=dpdk', `options:dpdk-devargs="${device}"`, `ofport_request=${i + 1}`]);
    }
    return await use(bridge);
  } finally {
    await bridge.close();
    spaces.close();
  }
}

/** Frames that the bridge has sent since it was made. */
function framesSent(bridge: OpenVSwitch): number {
  const ports = bridge.control('dump-ports').matchAll(/port +\d.*\n.*tx pkts=(\d+)/g);
  return [...ports].reduce((sum, [, packets]) => sum + Number(packets), 0);
}

/** The digest of what has come through the bridge. */
async function prove(size: number): Promise<number> {
  const folder = makeFolder();
  const path = (name: string): string => join(folder, name);
  const capture = (data: Uint8Array): PcapFrame => ({ data, originalLength: data.length, seconds: 0, nanoseconds: 0 });
  try {
    const others = new Uint8Array(60).fill(2, 0, 12);
    const frames = [...Array.from({ length: LOST }, () => others), ...proofFrames(size)].map(capture);
    writeFileSync(path('in'), writePcap(frames));
    writeFileSync(path('none'), writePcap([]));
    // A queue for each thread that may send: that which polls, and the main one.
    const device = (i: number, from: string): string =>
      `net_pcap${i},rx_pcap=${path(from)},tx_pcap=${path(`${i}a`)},tx_pcap=${path(`${i}b`)}`;
    // The receiver is there before the sender: the order in which they become ports.
    return await withBridge([device(0, 'none'), device(1, 'in')], async (bridge) => {
      for (let ms = 0, before = -1, now = 0; ms < PATIENCE && (now === 0 || now !== before); ms += 200) {
        await pause(200);
        [before, now] = [now, framesSent(bridge)];
      }
      bridge.deletePort(PORTS[0]); // which writes the rest of its files
      const arrived = ['0a', '0b'].flatMap((name) => readPcap(readFileSync(path(name))).frames.map(({ data }) => data));
      const proof = arrived.filter((frame) => frame[12] === 0x88 && frame[13] === 0xb5);
      if (proof.length !== PROOF_FRAMES) throw new Absent(`${NAME}: frames of the proof are lost`);
      return digestFrames(proof);
    });
  } finally {
    removeFolder(folder);
  }
}

/** The switch polls, and uses its core, only while it is open: each run opens one. */
export async function openVSwitch(size: number): Promise<TimedContender> {
  OpenVSwitch.need(NAME);
  const digest = await orAbsent(NAME, () => prove(size));
  const devices = [0, 1].map((i) => `net_null${i},size=${Math.max(64, size)}`);
  const measure = async (bridge: OpenVSwitch, seconds: number): Promise<Run> => {
    await pause(SETTLE);
    const before = framesSent(bridge);
    const started = performance.now(); // each look takes as long as the other
    await pause(1000 * Math.max(0.5, seconds));
    const packets = framesSent(bridge) - before;
    const time = performance.now() - started;
    if (packets === 0) throw new Absent(`${NAME}: nothing was forwarded`);
    return { value: (1e6 * time) / packets };
  };
  const run = (seconds: number): Promise<Run> =>
    orAbsent(NAME, () => withBridge(devices, (bridge) => measure(bridge, seconds)));
  return { name: NAME, digest, slow: true, run, close: async () => {} };
}
