// Linux guests in pages of Chromium: v86 with a ptnet device, and a program on the same switch; and the page of the examples.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join, normalize } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { chromium as launcher, type Page } from 'playwright-core';
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
/** What is served, by the beginning of its path: as in a checkout, and what the first page wants. */
const FOLDERS: Readonly<Record<string, string>> = {
  '/dist/': join(root, 'dist'),
  '/examples/': join(root, 'examples'),
  '/build/guest/': imageFolder,
  '/node_modules/v86/build/': v86Folder,
  '/fixtures/': fixtures,
  '/guest/': join(root, 'examples/guest'),
  '/image/': imageFolder,
  '/v86/': v86Folder,
};
const skip = chromium.skip || noImage;

async function serve(): Promise<Server> {
  const headers = { 'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'require-corp' };
  const server = createServer((request, response) => {
    const path = normalize(new URL(request.url ?? '/', 'http://localhost').pathname);
    const prefix = Object.keys(FOLDERS).find((at) => path.startsWith(at)) ?? '';
    readFile(join(FOLDERS[prefix] ?? '/nowhere', path.slice(prefix.length))).then(
      (body) => response.writeHead(200, { ...headers, 'Content-Type': TYPES[extname(path)] ?? '' }).end(body),
      (error) => response.writeHead(404).end(String(error)),
    );
  });
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)));
}

/** Opens a page; `use` is given it, and what it has said so far. */
async function open(path: string, use: (page: Page, said: readonly string[]) => Promise<void>): Promise<void> {
  const server = await serve();
  const browser = await launcher.launch({ executablePath: chromium.path, args: FLAGS });
  const said: string[] = [];
  try {
    const page = await browser.newPage();
    page.on('console', (message) => said.push(message.text()));
    page.on('pageerror', (error) => said.push(String(error)));
    await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`);
    await use(page, said);
  } finally {
    await browser.close();
    server.closeAllConnections();
    server.close();
  }
}

interface PageResult {
  readonly error?: string;
  readonly answered: number;
  readonly said: string;
  readonly ms: number;
  readonly faults: number;
  readonly isolated: boolean;
}

test('Chromium: a Linux guest in a page answers a thousand packets', { skip, timeout: LIMIT }, (t) =>
  open('/fixtures/v86-page.html', async (page, said) => {
    const { error, ...result } = (await page.evaluate('globalThis.result')) as PageResult;
    assert.equal(error, undefined, said.join('\n'));
    assert.deepEqual([result.answered, result.faults, result.isolated], [1000, 0, true]);
    assert.match(result.said, /RESULT pong packets=1000 lost=0 bad=0/);
    t.diagnostic(JSON.stringify(result));
  }),
);

test(
  'Chromium: the page of the examples, two Linux guests beside the switch’s counters',
  { skip, timeout: LIMIT },
  () =>
    open('/examples/v86-two-guests.html', async (page, said) => {
      const rows = async (): Promise<string[][]> =>
        page.$$eval('#ports tr', (all) => all.map((row) => [...row.children].map((cell) => cell.textContent ?? '')));
      const shows = async (id: string, pattern: RegExp): Promise<void> => {
        const console = page.locator(`#${id}`);
        const end = Date.now() + LIMIT;
        while (!pattern.test((await console.textContent()) ?? '')) {
          assert.ok(Date.now() < end && !page.isClosed(), `no ${pattern} in ${id}: ${said.join('\n')}`);
          await sleep(200);
        }
      };
      await shows('a', /3 packets transmitted, 3 packets received/);
      await shows('b', /RESULT pong packets=1000 lost=0 bad=0/);
      await shows('a', /RESULT ping packets=1000 lost=0 bad=0/);
      while (!(await rows()).some(([name, sent]) => name === 'vale0:a' && sent === '1000')) await sleep(200);
      const ports = await rows();
      assert.deepEqual(ports.map(([name]) => name).sort(), ['vale0:a', 'vale0:anic', 'vale0:b', 'vale0:bnic']);
      for (const [name, sent, received, drops] of ports) {
        const least = name.endsWith('nic') ? 3 : 1000;
        assert.ok(Number(sent) >= least && Number(received) >= least && Number(drops) >= 0, ports.join('; '));
      }
    }),
);
