// docs/abi.md is made from the constants.
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { root } from './root.js';

test('docs/abi.md is up to date with assembly/abi (else run tools/abi-doc.mjs)', () => {
  execFileSync(process.execPath, [join(root, 'tools/abi-doc.mjs'), '--check'], { stdio: 'pipe' });
});
