// A Linux guest in v86 that sends and receives: through ptnet, by the program in the guest (examples/guest), beside v86's
// own cards, whose frames go over v86's bus and no further. One guest a card; they take turns.
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { attachPtnet, Netmap } from 'ptnet';
import type { Result } from '../results.js';
import { MMIO, RAM_WINDOW } from '../types.js';
import { inTurns, type Pausable } from './turns.js';

export interface V86BenchOptions {
  readonly rounds: number;
  /** Seconds that a receiving run lasts; frame sizes in bytes. */
  readonly seconds: number;
  readonly sizes: readonly number[];
}

interface Emulator extends Pausable {
  readonly bus: { send(event: string, data: Uint8Array): void };
  add_listener(event: string, listener: (value: never) => void): void;
  remove_listener(event: string, listener: (value: never) => void): void;
}

export interface Linux {
  readonly emulator: Emulator;
  boot(): Promise<void>;
  run(command: string, limit?: number): Promise<string>;
  prints(pattern: RegExp, limit?: number): Promise<void>;
  close(): Promise<void>;
}

interface LinuxModule {
  Linux: { prepare(V86: unknown, options: object): Promise<Linux> };
  linuxOptions(image: Record<string, ArrayBuffer>, wasm: string, options?: object): object;
}

/** Packets a second. */
interface Contender {
  readonly name: string;
  readonly linux: Linux;
  transmit(size: number, seconds: number): Promise<number>;
  receive(size: number, seconds: number): Promise<number>;
  close(): Promise<void>;
}

const FILES = ['bios.bin', 'vgabios.bin', 'vmlinuz', 'initrd.gz'];
const folder = process.env['PTNET_GUEST_IMAGE'] ?? 'build/guest';
const LIMIT = 300_000;
const PTNET_PACKETS = 4_000_000;
const CARD_PACKETS = 50_000;
/** A guess, for runs of about the wanted time. */
const RECEIVED_PER_SECOND = 4_000_000;
/** Frames that a card is given at a time: fewer than it has buffers. */
const CARD_BATCH = 64;
const CARDS = ['virtio', 'ne2k'] as const;
const WINDOWS = ['ram', 'mmio'] as const;

/** Why there is no guest to boot; undefined if there is one. */
export function whyNoV86(): string | undefined {
  const missing = FILES.filter((name) => !existsSync(join(folder, name)));
  return missing.length === 0 ? undefined : `no ${folder}/${missing[0]}: run node examples/guest/image.mjs`;
}

/** A guest with this card of v86's that is ready and does not run yet. */
export async function prepare(type: string): Promise<Linux> {
  const { Linux, linuxOptions } = (await import(pathToFileURL('examples/guest/linux.mjs').href)) as LinuxModule;
  const { V86 } = (await import('v86')) as { V86: unknown };
  const image = Object.fromEntries(
    FILES.map((name) => {
      const { buffer, byteOffset, length } = readFileSync(join(folder, name));
      return [name, buffer.slice(byteOffset, byteOffset + length) as ArrayBuffer];
    }),
  );
  const wasm = join(dirname(createRequire(import.meta.url).resolve('v86')), 'v86.wasm');
  const cmdline = 'console=ttyS0 quiet loglevel=1 panic=-1 mitigations=off acpiphp.disable=1 pci=nocrs';
  return Linux.prepare(V86, linuxOptions(image, wasm, { net_device: { type }, cmdline }));
}

/** Packets a second of a line `RESULT …`, by the guest's clock. */
function rate(text: string): number {
  const [, packets, ms] = / packets=(\d+) .* ms=(\d+)/.exec(text) ?? [];
  return (1000 * Number(packets)) / Number(ms);
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function ptnetContender(window: 'mmio' | 'ram'): Promise<Contender> {
  const netmap = await Netmap.create({ memorySize: 512 << 20, pools: { buf_num: 8192 } });
  const linux = await prepare('none');
  const ports = [
    { netmap, name: 'vale0:guest' },
    { netmap, name: 'netmap:p}1' },
  ];
  const device = await attachPtnet(linux.emulator, ports, { window });
  await linux.boot();
  return {
    name: window === 'ram' ? RAM_WINDOW : MMIO,
    linux,
    transmit: async (size) => rate(await linux.run(`ptnet-guest flood 0 ${PTNET_PACKETS} ${size}`, LIMIT)),
    receive: async (size, seconds) => {
      const packets = Math.round(RECEIVED_PER_SECOND * seconds);
      const url = new URL('./sender.js', import.meta.url);
      const sender = await netmap.spawn(url, { data: { name: 'netmap:p{1', size } });
      try {
        return rate(await linux.run(`ptnet-guest sink 1 ${packets} ${size}`, LIMIT));
      } finally {
        sender.terminate();
        await sender.ended;
      }
    },
    close: async () => {
      await device.close();
      await linux.close();
      await netmap.close();
    },
  };
}

async function cardContender(type: string): Promise<Contender> {
  const linux = await prepare(type);
  await linux.boot();
  await linux.run('ip link set eth0 up');
  const received = async (): Promise<number> =>
    Number(await linux.run('cat /sys/class/net/eth0/statistics/rx_packets'));
  return {
    name: type === 'virtio' ? 'virtio-net' : type,
    linux,
    transmit: async (size) => {
      let frames = 0;
      const count = (): void => {
        frames++;
      };
      linux.emulator.add_listener('net0-send', count);
      const result = rate(await linux.run(`ptnet-guest raw eth0 ${CARD_PACKETS} ${size}`, LIMIT));
      linux.emulator.remove_listener('net0-send', count);
      return result * Math.min(1, frames / CARD_PACKETS);
    },
    receive: async (size, seconds) => {
      const frame = new Uint8Array(size).fill(0xff, 0, 6);
      const before = await received();
      const start = performance.now();
      while (performance.now() - start < seconds * 1000) {
        for (let i = 0; i < CARD_BATCH; i++) linux.emulator.bus.send('net0-receive', frame);
        await turn();
      }
      const elapsed = performance.now() - start;
      return (1000 * ((await received()) - before)) / elapsed;
    },
    close: () => linux.close(),
  };
}

/** Rates of a guest, in thousand packets a second; `report` is given each case. */
export async function v86Results(
  { rounds, seconds, sizes }: V86BenchOptions,
  report: (results: Result[]) => void,
): Promise<void> {
  const contenders: Contender[] = [];
  const makers = [
    ...WINDOWS.map((window) => () => ptnetContender(window)),
    ...CARDS.map((type) => () => cardContender(type)),
  ];
  try {
    for (const make of makers) {
      const contender = await make();
      contenders.push(contender);
      await contender.linux.emulator.stop();
    }
    for (const size of sizes) {
      for (const what of ['transmit', 'receive'] as const) {
        const turns = contenders.map((contender) => ({
          name: contender.name,
          emulators: [contender.linux.emulator],
          run: async () => (await contender[what](size, seconds)) / 1000,
        }));
        report(await inTurns({ suite: 'v86', case: `${what} ${size}`, unit: 'kpps' }, turns, rounds));
      }
    }
  } finally {
    for (const contender of contenders) await contender.close();
  }
}
