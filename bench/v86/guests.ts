// The guests of the bench: Linux in v86 with one of v86's own cards, and ptnet devices whose rings are reached in both ways.
// What does not have its turn costs nothing: no driver holds the devices, nobody sends to the card.
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { attachPtnet, type Netmap } from 'ptnet';
import type { Pausable } from './turns.js';

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

/** A ptnet device on a switch, where nobody else is, and one on a pipe: their numbers, and the ports' names. */
export interface Devices {
  readonly onSwitch: number;
  readonly onPipe: number;
  readonly bridge: string;
  /** The host's end of the pipe. */
  readonly pipe: string;
}

/** A guest with one of v86's cards, and a ptnet device on the switch that all share: its number. */
export interface BenchGuest {
  readonly name: string;
  readonly linux: Linux;
  readonly shared: number;
  close(): Promise<void>;
}

/** Devices whose region is reached through a RAM window, and by MMIO. */
export const RAM: Devices = { onSwitch: 0, onPipe: 1, bridge: 'vale1', pipe: 'netmap:ram{1' };
export const MMIO: Devices = { onSwitch: 2, onPipe: 3, bridge: 'vale2', pipe: 'netmap:mmio{1' };

/** The switch that all guests share. */
const SHARED_BRIDGE = 'vale0';

/** How a card's contender is called. */
export const cardName = (card: string): string => (card === 'virtio' ? 'virtio-net' : card);

/** ms that a command in a guest may take. */
export const LIMIT = 300_000;
export const MEMORY = 1 << 30;
const IMAGE = ['bios.bin', 'vgabios.bin', 'vmlinuz', 'initrd.gz'];
/** Programs of the guest, which lie beside an image that has them. */
const PROGRAMS = ['ptnet-guest', 'ptnet-tap', 'tcp-rate'];
const folder = process.env['PTNET_GUEST_IMAGE'] ?? 'build/guest';

/** Why there is no guest to boot; undefined if there is one. */
export function whyNoV86(): string | undefined {
  const missing = [...IMAGE, ...PROGRAMS].find((name) => !existsSync(join(folder, name)));
  return missing === undefined ? undefined : `no ${folder}/${missing}: run node examples/guest/image.mjs`;
}

/** A guest with this card of v86's that is ready and does not run yet. */
async function prepare(type: string): Promise<Linux> {
  const { Linux, linuxOptions } = (await import(pathToFileURL('examples/guest/linux.mjs').href)) as LinuxModule;
  const { V86 } = (await import('v86')) as { V86: unknown };
  const image = Object.fromEntries(
    IMAGE.map((name) => {
      const { buffer, byteOffset, length } = readFileSync(join(folder, name));
      return [name, buffer.slice(byteOffset, byteOffset + length) as ArrayBuffer];
    }),
  );
  const wasm = join(dirname(createRequire(import.meta.url).resolve('v86')), 'v86.wasm');
  const cmdline = 'console=ttyS0 quiet loglevel=1 panic=-1 mitigations=off acpiphp.disable=1 pci=nocrs';
  return Linux.prepare(V86, linuxOptions(image, wasm, { net_device: { type }, cmdline }));
}

/** Makes and boots a guest, and stops it. The one with `all` has the devices RAM and MMIO, too. */
export async function makeGuest(netmap: Netmap, card: string, name: string, all: boolean): Promise<BenchGuest> {
  const linux = await prepare(card);
  const closing = [() => linux.close()];
  const close = async (): Promise<void> => {
    for (const undo of closing.reverse()) await undo();
  };
  const portsOf = ({ bridge, pipe }: Devices): string[] => [`${bridge}:guest`, pipe.replace('{', '}')];
  const attach = async (window: 'ram' | 'mmio', ports: readonly string[]): Promise<void> => {
    const devices = await attachPtnet(
      linux.emulator,
      ports.map((port) => ({ netmap, name: port })),
      { window },
    );
    closing.push(() => devices.close());
  };
  try {
    if (all) await attach('ram', portsOf(RAM));
    await attach('mmio', [...(all ? portsOf(MMIO) : []), `${SHARED_BRIDGE}:${name}`]);
    await linux.boot();
    await linux.emulator.stop();
    return { name, linux, shared: all ? 4 : 0, close };
  } catch (error) {
    await close();
    throw error;
  }
}
