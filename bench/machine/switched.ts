// Switches of the machine between two native programs, a thread each: vde_switch with two clients, and the kernel's bridge
// and Open vSwitch's user-space datapath between two veth pairs, in namespaces that are made for it and removed. The
// programs (bench/native/switched.c) send and take the frames that ours do, and prove them alike.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { NativeRun, NativeTwin } from '../native.js';
import { Absent, type TimedContender } from '../types.js';
import { makeFolder, removeFolder, tie } from './children.js';
import { findProgram, needProgram, orAbsent } from './find.js';
import { OpenVSwitch } from './openvswitch.js';
import { Spaces } from './spaces.js';

/** Milliseconds in which a switch must have started. */
const START = 5000;
const WARM_UP = 20;
/** A frame with an MTU of 1500: what they all carry. */
const LONGEST = 1514;

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

interface Path {
  readonly name: string;
  readonly size: number;
  /** Where the programs are: the arguments of bench/native/switched.c. */
  readonly path: readonly string[];
  readonly close: () => Promise<void>;
}

async function contender(native: NativeTwin, { name, size, path, close }: Path): Promise<TimedContender> {
  const work = (warmup: number, ms: number): Promise<NativeRun> =>
    orAbsent(name, () => native.runSwitched(path, size, warmup, ms));
  try {
    const { digest } = await work(1, 1);
    const run: TimedContender['run'] = async (seconds) => {
      const { ns, dropped = 0 } = await work(WARM_UP, 1000 * seconds);
      return { value: ns, extra: { 'dropped %': dropped } };
    };
    return { name, digest, run, close };
  } catch (error) {
    await close();
    throw error;
  }
}

function needNative(native: NativeTwin | undefined, name: string, size: number): NativeTwin {
  if (size > LONGEST) throw new Absent(`${name}: no frames longer than ${LONGEST} bytes`);
  if (!native) throw new Absent(`${name}: no C compiler for its programs`);
  return native;
}

export async function vdeSwitch(native: NativeTwin | undefined, size: number): Promise<TimedContender> {
  const name = 'vde_switch';
  const twin = needNative(native, name, size);
  const program = needProgram(name, name, 'vde2');
  const folder = makeFolder();
  const control = join(folder, 'vde');
  // It ends with its standard input.
  const daemon = tie(spawn(program, ['-s', control], { stdio: ['pipe', 'ignore', 'ignore'] }));
  const ended = once(daemon, 'close');
  const close = async (): Promise<void> => {
    daemon.stdin.end();
    daemon.kill();
    await ended;
    removeFolder(folder);
  };
  for (let ms = 0; !existsSync(join(control, 'ctl')); ms += 20) {
    if (ms > START || daemon.exitCode !== null) {
      await close();
      throw new Absent(`${name}: it does not start here`);
    }
    await pause(20);
  }
  return contender(twin, { name, size, path: ['vde', control], close });
}

const SENDER = 0;
const RECEIVER = 1;
const SWITCH = 2;
/** Devices of the two programs, and the other ends of their cables, at the switch. */
const DEVICES = ['eth0', 'eth1'];
const PORTS = ['port0', 'port1'];

/** Three namespaces: a program's, another's, and the switch's. */
function cabled(name: string): Spaces {
  if (process.platform !== 'linux') throw new Absent(`${name}: Linux only`);
  if (process.getuid?.() !== 0) throw new Absent(`${name}: it wants root, for network namespaces`);
  if (!findProgram('ip')) throw new Absent(`${name}: no ip (Debian: iproute2)`);
  try {
    const spaces = new Spaces(3);
    for (const end of [SENDER, RECEIVER]) {
      spaces.addCable(end, DEVICES[end], SWITCH, PORTS[end]);
      spaces.ip(end, 'link', 'set', 'dev', DEVICES[end], 'up');
      spaces.ip(SWITCH, 'link', 'set', 'dev', PORTS[end], 'up');
    }
    return spaces;
  } catch (error) {
    throw new Absent(`${name}: no network namespaces here: ${String(error).split('\n')[0]}`);
  }
}

const between = ({ names }: Spaces): string[] => [
  'packet',
  ...[SENDER, RECEIVER].flatMap((end) => [names[end], DEVICES[end]]),
];

export async function kernelBridge(native: NativeTwin | undefined, size: number): Promise<TimedContender> {
  const name = 'kernel bridge';
  const twin = needNative(native, name, size);
  const spaces = cabled(name);
  const close = async (): Promise<void> => spaces.close();
  try {
    spaces.ip(SWITCH, 'link', 'add', 'name', 'bridge0', 'type', 'bridge');
    for (const port of PORTS) spaces.ip(SWITCH, 'link', 'set', 'dev', port, 'master', 'bridge0');
    spaces.ip(SWITCH, 'link', 'set', 'dev', 'bridge0', 'up');
  } catch (error) {
    await close();
    throw new Absent(`${name}: ${String(error).split('\n')[0]}`);
  }
  return contender(twin, { name, size, path: between(spaces), close });
}

export async function openVSwitchVeth(native: NativeTwin | undefined, size: number): Promise<TimedContender> {
  const name = 'Open vSwitch, veth';
  const twin = needNative(native, name, size);
  OpenVSwitch.need(name);
  const spaces = cabled(name);
  const bridge = new OpenVSwitch(name, (program, args) => spaces.command(SWITCH, program, args));
  const close = async (): Promise<void> => {
    await bridge.close();
    spaces.close();
  };
  try {
    await orAbsent(name, async () => {
      await bridge.start([]);
      for (const port of PORTS) bridge.addPort(port, []);
    });
  } catch (error) {
    await close();
    throw error;
  }
  return contender(twin, { name, size, path: between(spaces), close });
}
