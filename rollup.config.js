// tsc has already put ES modules in build/ts; rollup only bundles them. The workers are entries of their own, so that
// `new Worker(new URL('./loop-worker.js', import.meta.url))` finds them beside the main module.
import { existsSync, readFileSync } from 'node:fs';
import commonjs from '@rollup/plugin-commonjs';
import nodeResolve from '@rollup/plugin-node-resolve';

const entries = [
  ['index', 'build/ts/src/index.js'],
  ['cli', 'build/ts/src/cli/main.js'],
  ['program-worker', 'build/ts/src/cli/program-worker.js'],
  ['loop-worker', 'build/ts/src/kloop/loop-worker.js'],
  ['tap-worker', 'build/ts/src/io/tap-worker.js'],
  ['backend-worker', 'build/ts/src/io/backends/backend-worker.js'],
  ['port-capture-worker', 'build/ts/src/io/backends/port-capture-worker.js'],
  ['backends', 'build/ts/src/io/backends/backend.js'],
  ['exec', 'build/ts/src/exec/exec.js'],
  ['exec-kernel', 'build/ts/src/exec/exec-kernel.js'],
  ['exec-program', 'build/ts/src/exec/exec-program.js'],
];

/** Chains tsc's source maps, and keeps the embedded binaries and bundled packages out of them. */
const sourceMaps = {
  name: 'source-maps',
  load(id) {
    if (!/^[^\0?]*\.m?js$/.test(id)) return null;
    // The `#!` line is the banner's business, below.
    const code = readFileSync(id, 'utf8').replace(/^#!/, '//');
    const map = existsSync(`${id}.map`) ? JSON.parse(readFileSync(`${id}.map`, 'utf8')) : { mappings: '' };
    return { code, map };
  },
};

/** The licence texts of the packages that a bundle contains. */
const licences = {
  name: 'licences',
  generateBundle(_options, bundle) {
    const names = new Set();
    for (const chunk of Object.values(bundle)) {
      for (const id of chunk.moduleIds ?? []) {
        const name = /node_modules\/((?:@[^/]+\/)?[^/]+)\/(?!.*node_modules\/)/.exec(id)?.[1];
        if (name) names.add(name);
      }
    }
    if (names.size === 0) return;
    const texts = [...names].sort().map((name) => `${name}\n\n${readFileSync(`node_modules/${name}/LICENSE`, 'utf8')}`);
    this.emitFile({ type: 'asset', fileName: 'THIRD-PARTY-LICENSES.txt', source: texts.join('\n\n') });
  },
};

export default {
  input: Object.fromEntries(entries),
  external: [/^node:/],
  plugins: [sourceMaps, nodeResolve({ exportConditions: ['node'] }), commonjs(), licences],
  output: {
    dir: 'dist',
    format: 'es',
    entryFileNames: '[name].js',
    chunkFileNames: 'chunk-[hash].js',
    banner: (chunk) => (chunk.name === 'cli' && chunk.isEntry ? '#!/usr/bin/env node' : ''),
    sourcemap: true,
  },
};
