// npm leaves an optional package out of the lock file when the registry in use does not serve it, as a mirror for one
// platform may not, and `npm ci` then refuses the lock. This writes the missing entries of native packages, whose names
// tell their platform: `node tools/complete-lock.mjs`, after `npm install` has changed package-lock.json.
// With --check it only tells what is missing.
import { readFileSync, writeFileSync } from 'node:fs';

const file = new URL('../package-lock.json', import.meta.url);
const lock = JSON.parse(readFileSync(file, 'utf8'));
const systems = ['android', 'darwin', 'freebsd', 'linux', 'netbsd', 'openbsd', 'openharmony', 'sunos', 'win32'];
const processors = ['arm64', 'x64', 'arm', 'ia32', 'loong64', 'ppc64', 'riscv64', 's390x'];

/** The lock entry of a native package such as `@rollup/rollup-linux-x64-musl`. */
function entry(name, version) {
  const words = name.split(/[/-]/);
  const os = systems.filter((system) => words.includes(system));
  const cpu = processors.filter((processor) => words.includes(processor));
  if (os.length !== 1 || cpu.length !== 1) throw new Error(`${name} does not tell its platform`);
  const musl = words.some((word) => word.startsWith('musl'));
  const glibc = words.some((word) => word.startsWith('gnu')) && os[0] === 'linux';
  const libc = musl ? { libc: ['musl'] } : glibc ? { libc: ['glibc'] } : {};
  return { version, cpu, dev: true, ...libc, optional: true, os };
}

const missing = [];
for (const holder of Object.values(lock.packages)) {
  for (const [name, version] of Object.entries(holder.optionalDependencies ?? {})) {
    const path = `node_modules/${name}`;
    if (Object.keys(lock.packages).some((known) => known === path || known.endsWith(`/${path}`))) continue;
    missing.push([path, name, version]);
  }
}

if (process.argv.includes('--check')) {
  for (const [path] of missing) console.error(`missing: ${path}`);
  process.exitCode = missing.length > 0 ? 1 : 0;
} else {
  for (const [path, name, version] of missing) lock.packages[path] = entry(name, version);
  const [root, ...rest] = Object.entries(lock.packages);
  const sorted = rest.sort(([a], [b]) => a.localeCompare(b, 'en'));
  lock.packages = Object.fromEntries([root, ...sorted]);
  writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`);
  console.log(`${missing.length} entries added`);
}
