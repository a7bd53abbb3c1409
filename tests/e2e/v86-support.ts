// Linux guests in v86 for the tests: Debian's kernel for i386, made ready by examples/guest.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { root } from './support.js';

/** class Linux of examples/guest/linux.mjs. */
export interface Linux {
  readonly emulator: {
    add_listener(event: string, listener: (value: never) => void): void;
    remove_listener(event: string, listener: (value: never) => void): void;
  };
  boot(limit?: number): Promise<void>;
  run(command: string, limit?: number): Promise<string>;
  prints(pattern: RegExp, limit?: number): Promise<void>;
  close(): Promise<void>;
}

interface LinuxModule {
  Linux: { prepare(V86: unknown, options: object): Promise<Linux> };
  linuxOptions(image: Record<string, ArrayBuffer>, wasm: string, options?: object): object;
}

const FILES = ['bios.bin', 'vgabios.bin', 'vmlinuz', 'initrd.gz'];
export const imageFolder = process.env['PTNET_GUEST_IMAGE'] ?? join(root, 'build/guest');
export const v86Folder = dirname(createRequire(import.meta.url).resolve('v86'));

/** Makes the image; why there is none, or false. */
function makeImage(): string | false {
  const made = spawnSync(process.execPath, [join(root, 'examples/guest/image.mjs'), imageFolder], {
    encoding: 'utf8',
    timeout: 600_000,
  });
  return made.status === 0 ? false : `no Linux image for v86: ${made.stderr.trim() || made.error?.message}`;
}

export const skip = makeImage();

function bytesOf(name: string): ArrayBuffer {
  const { buffer, byteOffset, length } = readFileSync(join(imageFolder, name));
  return buffer.slice(byteOffset, byteOffset + length) as ArrayBuffer;
}

/** An emulator that is ready and does not run yet; options are those of v86. */
export async function prepare(options: object = {}): Promise<Linux> {
  const module = pathToFileURL(join(root, 'examples/guest/linux.mjs')).href;
  const { Linux, linuxOptions } = (await import(module)) as LinuxModule;
  const { V86 } = (await import('v86')) as { V86: unknown };
  const image = Object.fromEntries(FILES.map((name) => [name, bytesOf(name)]));
  return Linux.prepare(V86, linuxOptions(image, join(v86Folder, 'v86.wasm'), options));
}

/** A line of name=value pairs that the guest's program has printed, after its first word. */
export function values(text: string, word: string): Record<string, number> {
  const line = text.split('\n').find((at) => at.startsWith(`${word} `));
  if (line === undefined) throw new Error(`no ${word} in:\n${text}`);
  return Object.fromEntries([...line.matchAll(/(\w+)=(\d+)/g)].map(([, name, value]) => [name, Number(value)]));
}
