// The packed tarball in Chromium, served from this machine: an isolated page with workers, and a page without isolation
// that has one thread and no shared memory.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join, normalize } from 'node:path';
import { after, before, test } from 'node:test';
import { type Browser, chromium as launcher } from 'playwright-core';
import { chromium, fixtures, project } from './support.js';

/** How long (ms) a page may take. */
const LIMIT = 60_000;
const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];
const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.map': 'application/json',
};
const ISOLATION = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
};

/** A file of the installed package (/dist/…) or a fixture. Workers have no import maps: names are resolved here. */
async function load(path: string): Promise<string | Buffer> {
  const [, folder, ...rest] = normalize(path).split('/');
  if (folder === 'dist') return await readFile(join(project(), 'node_modules/ptnet/dist', ...rest));
  if (folder !== 'fixtures') throw new Error(`there is no ${path}`);
  const text = await readFile(join(fixtures, ...rest), 'utf8');
  return path.endsWith('worker.mjs') || path.endsWith('packets.mjs')
    ? text.replaceAll("from 'ptnet'", "from '/dist/index.js'")
    : text;
}

function serve(headers: Readonly<Record<string, string>>): Promise<Server> {
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://localhost');
    load(pathname).then(
      (body) => response.writeHead(200, { ...headers, 'Content-Type': TYPES[extname(pathname)] ?? '' }).end(body),
      (error) => response.writeHead(404).end(String(error)),
    );
  });
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)));
}

interface PageResult {
  readonly error?: string;
  readonly shared: boolean;
  readonly isolated: boolean;
  readonly hasShared: boolean;
  readonly checks: Readonly<Record<string, { readonly ms: number; readonly packets?: number }>>;
}

let browser: Browser;

/** Opens the smoke page from a server that sends these headers, and waits for its results. */
async function smoke(headers: Readonly<Record<string, string>>): Promise<PageResult> {
  const server = await serve(headers);
  const page = await browser.newPage();
  const said: string[] = [];
  page.on('console', (message) => said.push(message.text()));
  page.on('pageerror', (error) => said.push(String(error)));
  try {
    const { port } = server.address() as AddressInfo;
    await page.goto(`http://127.0.0.1:${port}/fixtures/page.html`, { timeout: LIMIT });
    const late = new Promise<never>((_, reject) => {
      setTimeout(reject, LIMIT, new Error(`no result within ${LIMIT} ms`)).unref();
    });
    const result = page.evaluate('globalThis.result') as Promise<PageResult>;
    const found = await Promise.race([result, late]);
    assert.equal(found?.error, undefined, said.join('\n'));
    assert.ok(found, said.join('\n'));
    assert.deepEqual(said, [], 'the page has complained');
    return found;
  } finally {
    await page.close();
    server.closeAllConnections();
    server.close();
  }
}

before(
  async () => {
    if (chromium.skip) return;
    project();
    browser = await launcher.launch({ executablePath: chromium.path, args: FLAGS });
  },
  { timeout: LIMIT },
);

after(() => browser?.close());

test('Chromium: an isolated page, with guests in two workers and a loop worker', { skip: chromium.skip }, async (t) => {
  const { isolated, shared, checks } = await smoke(ISOLATION);
  assert.ok(isolated);
  assert.ok(shared);
  assert.equal(checks.workers.packets, 50_000);
  assert.equal(checks.workersSwitch.packets, 10_000);
  assert.ok(checks.closes);
  t.diagnostic(JSON.stringify(checks));
});

test('Chromium: a page without isolation, one thread, memory not shared', { skip: chromium.skip }, async (t) => {
  const { isolated, hasShared, shared, checks } = await smoke({});
  assert.ok(!isolated);
  assert.ok(!hasShared);
  assert.ok(!shared);
  assert.ok(checks.direct.packets);
  assert.ok(checks.closes);
  t.diagnostic(JSON.stringify(checks));
});
