// Two network namespaces whose Ethernet devices are TAPs on two ptnet interfaces of two guests, joined by a VALE switch or
// by a pipe; and what a machine needs for that.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { type Capability, joinInterface, Netmap, openTap, PtnetDriver, PtnetInterface } from 'ptnet';
import { findProgram, type RunResult, run } from './support.js';

export const ipProgram = findProgram('PTNET_IP', 'ip');
export const iperf3 = findProgram('PTNET_IPERF3', 'iperf3');
export const ping = findProgram('PTNET_PING', 'ping');

const ip = (...args: readonly string[]): string =>
  execFileSync(ipProgram.path, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });

/** Why this machine cannot have the two namespaces; false if it can. */
export function whyNoNamespaces(): string | false {
  if (process.platform !== 'linux') return 'Linux only';
  if (process.getuid?.() !== 0) return 'not root';
  if (!existsSync('/dev/net/tun')) return 'no /dev/net/tun';
  if (ipProgram.skip) return ipProgram.skip;
  if (ping.skip) return ping.skip;
  const name = `ptnet-${process.pid}`;
  try {
    ip('netns', 'add', name);
    ip('netns', 'del', name);
    return false;
  } catch (error) {
    return `no network namespaces: ${String(error)}`;
  }
}

/** No namespace is left of a bench that has ended. Others may run the benches at this moment, too. */
export async function assertNoBenchSpaces(): Promise<void> {
  const { stdout } = await run(ipProgram.path, ['netns', 'list'], { limit: 10 });
  const left = [...stdout.matchAll(/ptnet-bench-(\d+)/g)].filter(([, pid]) => !existsSync(`/proc/${pid}`));
  assert.deepEqual(left, []);
}

export interface LabOptions {
  readonly path: 'vale' | 'pipe';
  /** Whether each end has the virtio-net header. */
  readonly header: readonly [boolean, boolean];
  /** Capabilities that are switched off at both ends. */
  readonly off?: readonly Capability[];
}

export interface Lab {
  readonly netmap: Netmap;
  readonly interfaces: readonly PtnetInterface[];
  /** Drops of the switch or pipe, the TAPs and the joints, as text. */
  drops(): Promise<string>;
  /** Runs a program in namespace 0 or 1. */
  exec(end: number, limit: number, command: string, ...args: readonly string[]): Promise<RunResult>;
  /** ip(8) in a namespace. */
  ip(end: number, ...args: readonly string[]): string;
  close(): Promise<void>;
}

/** IPv4 and IPv6 address of an end. */
export const address4 = (end: number): string => `10.77.0.${end + 1}`;
export const address6 = (end: number): string => `fd77::${end + 1}`;

const PORTS = { vale: ['vale0:a', 'vale0:b'], pipe: ['netmap:p{1', 'netmap:p}1'] };
let labs = 0;

/** Makes the two namespaces, up and with addresses. `close` removes them; so does the end of the process. */
export async function makeLab({ path, header, off = [] }: LabOptions): Promise<Lab> {
  const undo: (() => unknown)[] = [];
  const spaces: string[] = [];
  const removeSpaces = (): void => {
    for (const space of spaces.splice(0)) ip('netns', 'del', space);
  };
  process.once('exit', removeSpaces);
  const close = async (): Promise<void> => {
    for (const step of undo.reverse().splice(0)) await step();
    removeSpaces();
    process.off('exit', removeSpaces);
  };
  const number = labs++;
  try {
    const netmap = await Netmap.create();
    undo.push(() => netmap.close());
    const interfaces: PtnetInterface[] = [];
    const counters: (() => unknown)[] = [];
    for (const end of [0, 1]) {
      const vnetHdr = header[end];
      const guest = await netmap.createGuest();
      await guest.passthrough(PORTS[path][end]);
      const [driver] = PtnetDriver.probe(await guest.machine(), { vnetHdr });
      const netif = new PtnetInterface(driver, { carryHeader: path === 'pipe' && vnetHdr });
      const device = `pt${process.pid}n${number}${'ab'[end]}`;
      const tap = await openTap({ name: device, vnetHdr });
      const joint = joinInterface(netif, tap);
      netif.setCapabilities(Object.fromEntries(off.map((capability) => [capability, false])));
      undo.push(() => joint.close());
      netif.up();
      undo.push(() => netif.down());
      interfaces.push(netif);
      counters.push(() => ({ tap: tap.counters(), joint: joint.counters(), interface: netif.counters() }));

      const space = `ptnet-${process.pid}-${number}${'ab'[end]}`;
      ip('netns', 'add', space);
      spaces.push(space);
      ip('link', 'set', tap.name, 'netns', space);
      ip('-n', space, 'link', 'set', tap.name, 'name', 'eth0');
      ip('-n', space, 'link', 'set', 'lo', 'up');
      ip('-n', space, 'addr', 'add', `${address4(end)}/24`, 'dev', 'eth0');
      ip('-n', space, 'addr', 'add', `${address6(end)}/64`, 'dev', 'eth0', 'nodad');
      ip('-n', space, 'link', 'set', 'eth0', 'up');
    }
    return {
      netmap,
      interfaces,
      drops: async () => {
        const ports = (await netmap.inspect()).ports.map((port) => [port.name, port.counters.drops]);
        return JSON.stringify({ ports, ends: counters.map((count) => count()) });
      },
      exec: (end, limit, command, ...args) =>
        run(ipProgram.path, ['netns', 'exec', spaces[end], command, ...args], { limit }),
      ip: (end, ...args) => ip('-n', spaces[end], ...args),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}
