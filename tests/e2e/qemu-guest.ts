// Debian guests under QEMU: an image of the distribution's kernel and busybox, made once and kept in build/guest-amd64, and
// a machine whose shell is on its serial line.
import { type ChildProcessByStdio, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { pathToFileURL } from 'node:url';
import { findProgram, root } from './support.js';

export const qemu = findProgram('PTNET_QEMU', 'qemu-system-x86_64');
const aptGet = findProgram('PTNET_APT_GET', 'apt-get');
const dpkgDeb = findProgram('PTNET_DPKG_DEB', 'dpkg-deb');

const { initramfs } = (await import(pathToFileURL(join(root, 'examples/guest/initramfs.mjs')).href)) as {
  initramfs(
    tree: string,
    modules: readonly string[],
    programs: readonly (readonly [name: string, bytes: Buffer])[],
  ): Buffer;
};

const FOLDER = join(root, 'build/guest-amd64');
const DOWNLOAD_LIMIT = 200_000;
/** Modules of the guest's network card, in the order in which they are loaded. */
const MODULES = [
  'virtio_ring',
  'virtio',
  'virtio_pci_legacy_dev',
  'virtio_pci_modern_dev',
  'virtio_pci',
  'failover',
  'net_failover',
  'virtio_net',
];

/** What busybox's DHCP client does with its lease. */
const LEASE = `#!/bin/sh
[ "$1" = bound ] || exit 0
ip addr add $ip/$mask dev $interface
for gateway in $router; do ip route add default via $gateway; done
: >/etc/resolv.conf
for server in $dns; do echo nameserver $server >>/etc/resolv.conf; done
`;

function command(path: string, args: readonly string[], cwd = FOLDER): string {
  return execFileSync(path, args, {
    cwd,
    encoding: 'utf8',
    timeout: DOWNLOAD_LIMIT,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

/** Downloads the packages of kernel and busybox, and unpacks them; nothing is installed. */
function unpack(): string {
  const tree = join(FOLDER, 'tree');
  if (existsSync(tree)) return tree;
  const packages = join(FOLDER, 'packages');
  const unpacked = join(FOLDER, 'unpacked');
  for (const folder of [packages, unpacked]) mkdirSync(folder, { recursive: true });
  const depends = command('apt-cache', ['depends', 'linux-image-cloud-amd64']);
  const kernel = /Depends: (linux-image-\S+)/.exec(depends)?.[1];
  if (kernel === undefined) throw new Error('apt knows no linux-image-cloud-amd64');
  command(aptGet.path, ['-o', 'APT::Sandbox::User=root', 'download', kernel, 'busybox-static'], packages);
  for (const name of readdirSync(packages)) command(dpkgDeb.path, ['-x', join(packages, name), unpacked]);
  renameSync(unpacked, tree);
  return tree;
}

export interface Image {
  readonly kernel: string;
  readonly initrd: string;
}

/** @throws Error when the packages cannot be had */
function makeImage(): Image {
  mkdirSync(FOLDER, { recursive: true });
  const tree = unpack();
  const initrd = join(FOLDER, 'initrd.gz');
  writeFileSync(initrd, initramfs(tree, MODULES, [['etc/lease', Buffer.from(LEASE)]]));
  const kernel = readdirSync(join(tree, 'boot')).find((name) => name.startsWith('vmlinuz'));
  if (kernel === undefined) throw new Error("the kernel's package has no kernel");
  return { kernel: join(tree, 'boot', kernel), initrd };
}

let image: Image | string | undefined;

/** The image, or why this machine cannot have it. */
export function guestImage(): Image | string {
  image ??= ((): Image | string => {
    if (process.platform !== 'linux' || process.arch !== 'x64') return 'Linux on x64 only';
    for (const program of [qemu, aptGet, dpkgDeb]) if (program.skip !== false) return program.skip;
    try {
      return makeImage();
    } catch (error) {
      return `no image of a guest: ${String(error).split('\n')[0]}`;
    }
  })();
  return image;
}

const MARK = /^@@ (\w+)\r?$/m;
const SHOWN = 4000;

/** A running machine. */
export class Guest {
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #ended: Promise<void>;
  #output = '';
  #wake: () => void = () => {};
  #isOver = false;

  /** @param nics arguments of -netdev, with the id n0, n1, …; addresses end in `number` */
  constructor({ kernel, initrd }: Image, number: number, nics: readonly string[]) {
    const devices = nics.flatMap((netdev, i) => {
      const mac = `02:00:00:00:0${i}:0${number}`;
      return ['-netdev', netdev, '-device', `virtio-net-pci,netdev=n${i},mac=${mac},romfile=`];
    });
    const child = spawn(
      qemu.path,
      [
        ...['-M', 'q35,accel=tcg', '-cpu', 'max', '-m', '256', '-display', 'none', '-nodefaults', '-serial', 'stdio'],
        ...['-no-reboot', '-kernel', kernel, '-initrd', initrd],
        ...['-append', 'console=ttyS0 quiet mitigations=off panic=-1'],
        ...devices,
      ],
      { stdio: ['pipe', 'pipe', 'pipe'] },
    );
    this.#child = child;
    const take = (text: string): void => {
      this.#output += text;
      this.#wake();
    };
    child.stdout.setEncoding('utf8').on('data', take);
    child.stderr.setEncoding('utf8').on('data', take);
    child.stdin.on('error', () => {});
    const kill = (): void => void child.kill('SIGKILL');
    process.once('exit', kill);
    this.#ended = new Promise((resolve) => {
      child.once('close', () => {
        process.off('exit', kill);
        this.#isOver = true;
        this.#wake();
        resolve();
      });
    });
  }

  /** Resolves when the shell is there. */
  async ready(seconds = 60): Promise<void> {
    await this.#answer('the start', seconds);
  }

  /** Runs a command. @returns what it has printed @throws Error when it fails, or takes too long */
  async run(line: string, seconds = 30): Promise<string> {
    this.#child.stdin.write(`${line}\n`);
    const { status, output } = await this.#answer(line, seconds);
    if (status !== '0') throw new Error(`${line}: status ${status}\n${output}`);
    return output;
  }

  /** Starts a command and does not wait for its end; nothing else may be run any more. */
  start(line: string): void {
    this.#child.stdin.write(`${line}\n`);
  }

  async #answer(what: string, seconds: number): Promise<{ status: string; output: string }> {
    const deadline = Date.now() + 1000 * seconds;
    for (;;) {
      const found = MARK.exec(this.#output);
      if (found) {
        const output = this.#output.slice(0, found.index).replaceAll('\r', '');
        this.#output = this.#output.slice(found.index + found[0].length);
        return { status: found[1], output };
      }
      const left = deadline - Date.now();
      if (left <= 0 || this.#isOver) {
        const why = this.#isOver ? 'the machine has ended' : `no answer after ${seconds} s`;
        throw new Error(`${what}: ${why}\n${this.#output.slice(-SHOWN)}`);
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  /** kill -9. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#ended;
  }
}
