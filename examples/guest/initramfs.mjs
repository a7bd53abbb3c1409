// What a guest's kernel unpacks as its first file system: busybox, kernel modules, and an init that takes commands from the
// serial line.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';

const EXECUTABLE = 0o100755;

/** Reads commands from the serial line, one a line, and answers each with its exit status. */
const init = (modules) => `#!/bin/busybox sh
/bin/busybox mount -t proc none /proc
/bin/busybox mount -t sysfs none /sys
/bin/busybox mount -t devtmpfs none /dev
/bin/busybox --install -s /bin
export PATH=/bin
stty -F /dev/ttyS0 -echo
exec </dev/ttyS0 >/dev/ttyS0 2>&1
for module in ${modules.join(' ')}; do insmod /modules/$module.ko; done
ip link set lo up
echo "@@ ready"
while read -r line; do
  eval "$line"
  echo "@@ $?"
done
`;

/** An archive of cpio's "newc" format. Files are [name, mode, bytes]. */
function cpio(files) {
  const pad = (n) => Buffer.alloc((4 - (n % 4)) % 4);
  const parts = [...files, ['TRAILER!!!', 0]].flatMap(([name, mode, bytes = Buffer.alloc(0)], i) => {
    const path = Buffer.from(`${name}\0`);
    const fields = [i + 1, mode, 0, 0, 1, 0, bytes.length, 0, 0, 0, 0, path.length, 0];
    const header = `070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}`;
    const head = Buffer.concat([Buffer.from(header), path]);
    return [head, pad(head.length), bytes, pad(bytes.length)];
  });
  return Buffer.concat(parts);
}

/**
 * Packs an initramfs.
 * @param tree where Debian's packages of the kernel and of busybox-static are unpacked
 * @param modules names of kernel modules, in the order in which they are loaded
 * @param programs further executables, as [name, bytes]
 * @returns the archive, gzipped
 * @throws Error when the kernel has no such module
 */
export function initramfs(tree, modules, programs) {
  const base = join(tree, 'lib/modules');
  const found = readdirSync(base, { recursive: true, encoding: 'utf8' });
  const objects = modules.map((name) => {
    const path = found.find((at) => at.endsWith(`/${name}.ko`));
    if (path === undefined) throw new Error(`the kernel's package has no ${name}.ko`);
    return [`modules/${name}.ko`, 0o100644, readFileSync(join(base, path))];
  });
  const folders = ['bin', 'dev', 'etc', 'modules', 'proc', 'sys', 'tmp', 'www'].map((name) => [name, 0o40755]);
  const executables = [
    ['bin/busybox', readFileSync(join(tree, 'bin/busybox'))],
    ['init', Buffer.from(init(modules))],
    ...programs,
  ].map(([name, bytes]) => [name, EXECUTABLE, bytes]);
  return gzipSync(cpio([...folders, ...executables, ...objects]), { level: 1 });
}
