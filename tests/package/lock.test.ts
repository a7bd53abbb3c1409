// The lock file serves every platform and every registry.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { root } from './root.js';

test('the lock file has the native packages of every platform (else run tools/complete-lock.mjs)', () => {
  execFileSync(process.execPath, [join(root, 'tools/complete-lock.mjs'), '--check'], { stdio: 'pipe' });
});

test('the lock file has no registry addresses', () => {
  assert.doesNotMatch(readFileSync(join(root, 'package-lock.json'), 'utf8'), /"resolved"/);
});
