// Makes what a v86 guest boots: `node examples/guest/image.mjs [FOLDER]` (default build/guest). Downloads Debian's kernel for
// i386, busybox and SeaBIOS as packages, unpacks them without installing anything, and packs an initramfs with the
// programs of this folder. What has been downloaded stays in the folder and is used again.
// Needs apt-get and dpkg-deb (Debian or a relative), and gcc.
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { initramfs } from './initramfs.mjs';

const folder = resolve(process.argv[2] ?? 'build/guest');
const LIMIT = 300_000;
/** Kernel modules of the guests' other NICs, and of TAP devices, in the order in which they are loaded. */
const MODULES = [
  'failover',
  'net_failover',
  'virtio',
  'virtio_ring',
  'virtio_pci_legacy_dev',
  'virtio_pci_modern_dev',
  'virtio_pci',
  'virtio_net',
  '8390',
  'ne2k-pci',
  'tun',
];

function run(command, args, options = {}) {
  try {
    return execFileSync(command, args, {
      encoding: 'utf8',
      timeout: LIMIT,
      stdio: ['ignore', 'pipe', 'pipe'],
      ...options,
    });
  } catch (error) {
    throw new Error(`${command} ${args.join(' ')}: ${(error.stderr || error.message).trim().split('\n').at(-1)}`);
  }
}

/** Downloads the packages of i386 with lists of their own, and unpacks them; nothing of the system's apt is touched. */
function unpackPackages() {
  const tree = join(folder, 'tree');
  if (existsSync(join(folder, 'unpacked'))) return tree;
  rmSync(tree, { recursive: true, force: true });
  const packages = join(folder, 'packages');
  for (const name of ['lists/partial', 'cache', 'packages']) mkdirSync(join(folder, name), { recursive: true });
  const options = [
    `Dir::State::Lists=${join(folder, 'lists')}`,
    `Dir::Cache=${join(folder, 'cache')}`,
    'APT::Architecture=i386',
    'APT::Architectures::=i386',
    'APT::Sandbox::User=root',
  ].flatMap((option) => ['-o', option]);
  try {
    run('apt-get', [...options, 'update']);
  } catch {
    // It fails when one index of several cannot be had; whether the packages are known shows below.
  }
  const depends = run('apt-cache', [...options, 'depends', 'linux-image-686']);
  const kernel = /Depends: (linux-image-\S+)/.exec(depends)?.[1];
  if (!kernel) throw new Error('apt knows no linux-image-686 for i386');
  run('apt-get', [...options, 'download', kernel, 'busybox-static', 'seabios'], { cwd: packages });
  for (const name of readdirSync(packages)) run('dpkg-deb', ['-x', join(packages, name), tree]);
  writeFileSync(join(folder, 'unpacked'), '');
  return tree;
}

const PROGRAMS = ['ptnet-guest', 'ptnet-tap', 'tcp-rate'];
const FLAGS =
  '-m32 -static -nostdlib -ffreestanding -fno-pic -no-pie -fno-stack-protector -fno-builtin -march=i586 -O2 -Wall -Wextra';

/** A program of this folder; it needs no libraries. */
function compile(name) {
  const program = join(folder, name);
  const source = fileURLToPath(new URL(`${name}.c`, import.meta.url));
  run(process.env.CC ?? 'gcc', [...FLAGS.split(' '), '-o', program, source]);
  return [`bin/${name}`, readFileSync(program)];
}

try {
  mkdirSync(folder, { recursive: true });
  const tree = unpackPackages();
  writeFileSync(join(folder, 'initrd.gz'), initramfs(tree, MODULES, PROGRAMS.map(compile)));
  const kernel = readdirSync(join(tree, 'boot')).find((name) => name.startsWith('vmlinuz'));
  copyFileSync(join(tree, 'boot', kernel), join(folder, 'vmlinuz'));
  copyFileSync(join(tree, 'usr/share/seabios/bios.bin'), join(folder, 'bios.bin'));
  copyFileSync(join(tree, 'usr/share/seabios/vgabios-stdvga.bin'), join(folder, 'vgabios.bin'));
  process.stdout.write(`${folder}\n`);
} catch (error) {
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
}
