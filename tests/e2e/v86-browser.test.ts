// A Linux guest in a page of Chromium: v86 with a ptnet device, and a program on the same switch.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join, normalize } from 'node:path';
import { test } from 'node:test';
import { chromium as launcher } from 'playwright-core';
import { chromium, fixtures, root } from './support.js';
import { imageFolder, skip as noImage, v86Folder } from './v86-support.js';

/** How long (ms) the page may take to boot, and for its packets. */
const LIMIT = 600_000;
const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-sync'];
const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.wasm': 'application/wasm',
};
const FOLDERS: Readonly<Record<string, string>> = {
  dist: join(root, 'dist'),
  fixtures,
  guest: join(root, 'examples/guest'),
  image: imageFolder,
  v86: v86Folder,
};
const skip = chromium.skip || noImage;

function serve(headers: Readonly<Record<string, string>>): Promise<Server> {
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://localhost');
    const [, folder, ...rest] = normalize(pathname).split('/');
    readFile(join(FOLDERS[folder] ?? '/nowhere', ...rest)).then(
      (body) => response.writeHead(200, { ...headers, 'Content-Type': TYPES[extname(pathname)] ?? '' }).end(body),
      (error) => response.writeHead(404).end(String(error)),
    );
  });
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)));
}

interface PageResult {
  readonly error?: string;
  readonly answered: number;
  readonly said: string;
  readonly ms: number;
  readonly faults: number;
  readonly isolated: boolean;
}

test('Chromium: a Linux guest in a page answers a thousand packets', { skip, timeout: LIMIT }, async (t) => {
  const server = await serve({
    'Cross-Origin-Opener-Policy': 'same-origin',
    'Cross-Origin-Embedder-Policy': 'require-corp',
  });
  const browser = await launcher.launch({ executablePath: chromium.path, args: FLAGS });
  const said: string[] = [];
  try {
    const page = await browser.newPage();
    page.on('console', (message) => said.push(message.text()));
    page.on('pageerror', (error) => said.push(String(error)));
    await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/fixtures/v86-page.html`);
    const { error, ...result } = (await page.evaluate('globalThis.result')) as PageResult;
    assert.equal(error, undefined, said.join('\n'));
    assert.deepEqual([result.answered, result.faults, result.isolated], [1000, 0, true]);
    assert.match(result.said, /RESULT pong packets=1000 lost=0 bad=0/);
    t.diagnostic(JSON.stringify(result));
  } finally {
    await browser.close();
    server.closeAllConnections();
    server.close();
  }
});
