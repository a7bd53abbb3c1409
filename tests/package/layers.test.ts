// Who may import whom. `layers` is the table of docs/architecture.md as data; the tests read the import statements of
// every source file. A file may always import from its own layer; a folder that no row names fails.
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { test } from 'node:test';
import { root } from './root.js';

const PLATFORM = 'platform'; // node:* and packages
const SELF = 'ptnet'; // the package by its name

const assemblyPort = ['abi', 'ring', 'mem', 'packet', 'stats'].map((name) => `assembly/${name}`);
const assemblyAll = [
  'abi',
  'ring',
  'csb',
  'mem',
  'packet',
  'stats',
  'port',
  'vale',
  'nic',
  'monitor',
  'sync',
  'kloop',
  'ptnet',
].map((name) => `assembly/${name}`);
const constants = ['assembly/abi', 'src/abi', 'src/errors'];
const base = [...constants, 'src/wasm', 'src/memory', 'src/ring', 'src/threads'];
const host = [...base, 'src/netmap', 'src/vale', 'src/kloop'];
const devices = [...host, 'src/tunables', 'src/ptnet/device', 'src/ptnet/driver'];
const library = [...devices, 'src/cable', 'src/ioctl', 'src/control', 'src/index'];

/** Each layer, and the layers that it may import besides itself. */
const layers: Record<string, string[]> = {
  'assembly/abi': [],
  'assembly/ring': ['assembly/abi', 'assembly/stats'],
  'assembly/csb': ['assembly/abi'],
  'assembly/mem': ['assembly/abi', 'assembly/packet', 'assembly/ring'],
  'assembly/packet': ['assembly/abi'],
  'assembly/stats': ['assembly/abi'],
  'assembly/port': assemblyPort,
  'assembly/vale': [...assemblyPort, 'assembly/port'],
  'assembly/nic': [...assemblyPort, 'assembly/vale'],
  'assembly/monitor': [...assemblyPort, 'assembly/vale'],
  'assembly/sync': [
    'assembly/abi',
    'assembly/ring',
    'assembly/port',
    'assembly/vale',
    'assembly/nic',
    'assembly/monitor',
    'assembly/stats',
  ],
  'assembly/kloop': ['assembly/abi', 'assembly/ring', 'assembly/csb', 'assembly/sync', 'assembly/stats'],
  'assembly/ptnet': ['assembly/abi', 'assembly/ring', 'assembly/csb'],
  'assembly/index': assemblyAll,
  'assembly/__tests__': [...assemblyAll, 'assembly/index'],

  'src/abi': ['assembly/abi'],
  'src/abi-object': ['src/abi'],
  'src/errors': ['assembly/abi'],
  'src/wasm': constants,
  'src/memory': [...constants, 'src/wasm'],
  'src/ring': constants,
  'src/tunables': [...constants, 'src/memory'],
  'src/threads': [...constants, 'src/memory', PLATFORM],
  'src/netmap': host,
  'src/vale': host,
  'src/kloop': host,
  'src/cable': ['assembly/abi', 'src/errors', 'src/ring', 'src/threads'],
  'src/ptnet/device': host,
  'src/ptnet/driver': [...base, 'src/tunables'],
  'src/ioctl': host,
  'src/control': [...devices, 'src/ioctl'],
  'src/io': [...library, 'src/hosts', PLATFORM],
  'src/hosts': [...library, 'src/io', PLATFORM],
  'src/index': [...library, 'src/abi-object', 'src/io', 'src/hosts'],
  'src/exec': [...library, PLATFORM],
  'src/cli': ['src/index', 'src/exec', 'src/io', 'src/hosts', PLATFORM],

  examples: [SELF, PLATFORM],
  bench: [SELF, PLATFORM],
  'bench/assembly': ['assembly/abi', 'assembly/packet'],
  'tests/support': [...library, PLATFORM],
  'tests/e2e': [SELF, PLATFORM, 'tests/support', 'bench'],
};

/** Layers within a folder: the two sides of the ptnet device never meet, and what asc compiles is not the rest of the benches. */
const sides: [RegExp, string][] = [
  [/^bench\/assembly\//, 'bench/assembly'],
  [/^src\/ptnet\/(device|memdev)\b/, 'src/ptnet/device'],
  [/^src\/ptnet\/(driver|interface)\b/, 'src/ptnet/driver'],
];

/** The layer of a file, by its path without a suffix; undefined if no row names it. */
function layerOf(path: string): string | undefined {
  const side = sides.find(([pattern]) => pattern.test(path));
  if (side) return side[1];
  const depth = /^(assembly|src|tests)\//.test(path) ? 2 : 1;
  const name = path.split('/').slice(0, depth).join('/');
  return Object.hasOwn(layers, name) ? name : undefined;
}

const withoutComments = (text: string): string => text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '');

/** What a source text imports or re-exports, statically, dynamically or by URL. */
function importsOf(text: string): string[] {
  const code = withoutComments(text);
  const forms = [
    /^\s*(?:import|export)\b[^'";]*?\bfrom\s*['"]([^'"]+)['"]/gm,
    /^\s*import\s*['"]([^'"]+)['"]/gm,
    /\bimport\(\s*['"]([^'"]+)['"]/g,
    /\bnew URL\(\s*['"](\.[^'"]+\.(?:js|ts))['"]\s*,\s*import\.meta\.url/g,
  ];
  return forms.flatMap((form) => [...code.matchAll(form)].map((found) => found[1]));
}

/** The layer that `specifier` reaches from the file at `path`. */
function targetOf(path: string, specifier: string): string {
  if (specifier === SELF || specifier.startsWith(`${SELF}/`)) return SELF;
  if (!specifier.startsWith('.')) return PLATFORM;
  const target = posix.join(posix.dirname(path), specifier).replace(/\.(js|mjs|ts)$/, '');
  return layerOf(target) ?? target;
}

function sourceFiles(): string[] {
  const folders = ['assembly', 'src', 'examples', 'bench', 'tests/e2e'].filter((name) => existsSync(join(root, name)));
  return folders.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .map((name) => posix.join(folder, name.replaceAll('\\', '/')))
      .filter((path) => /\.(ts|mjs|js)$/.test(path) && !path.includes('node_modules/')),
  );
}

interface Edge {
  path: string;
  from: string;
  to: string;
}

const files = sourceFiles();
const edges: Edge[] = files.flatMap((path) => {
  const from = layerOf(path.replace(/\.(ts|mjs|js)$/, ''));
  if (from === undefined) return [];
  const found = importsOf(readFileSync(join(root, path), 'utf8')).map((specifier) => targetOf(path, specifier));
  return found.filter((to) => to !== from).map((to) => ({ path, from, to }));
});

test('every source file belongs to a layer of the table', () => {
  assert.ok(files.length > 0);
  const strays = files.filter((path) => layerOf(path.replace(/\.(ts|mjs|js)$/, '')) === undefined);
  assert.deepEqual(strays, []);
});

test('a layer imports only what its row of the table names', () => {
  const wrong = edges.filter(({ from, to }) => !layers[from].includes(to));
  assert.deepEqual(
    wrong.map(({ path, to }) => `${path} imports ${to}`),
    [],
  );
});

test('no two layers import each other, directly or through others', () => {
  const next = new Map<string, Set<string>>();
  for (const { from, to } of edges) next.set(from, (next.get(from) ?? new Set()).add(to));
  const finished = new Set<string>();
  const visit = (layer: string, path: string[]): void => {
    assert.ok(!path.includes(layer), `a cycle: ${[...path, layer].join(' → ')}`);
    if (finished.has(layer)) return;
    for (const to of next.get(layer) ?? []) visit(to, [...path, layer]);
    finished.add(layer);
  };
  for (const layer of next.keys()) visit(layer, []);
});

test('the reader of import statements sees every form, and no comment', () => {
  const text = [
    "import { a,\n  b } from '../a.js';",
    "import type { T } from './t.js';",
    "export * from './b.js';",
    "export { c } from './c.js';",
    "import './d.js';",
    "const e = await import('./e.js');",
    "new Worker(new URL('./f.js', import.meta.url));",
    "// import './no.js';",
    "/* import './no.js'; */",
    "export const from = 'no.js';",
  ].join('\n');
  const expected = ['../a.js', './t.js', './b.js', './c.js', './d.js', './e.js', './f.js'];
  assert.deepEqual(importsOf(text), expected);
});
