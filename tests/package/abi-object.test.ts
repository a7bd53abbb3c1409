// The exported `abi` has every name of both layouts, and V8 can take its members for constants.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { abi } from 'ptnet';
import * as names from '../../src/abi.js';
import { root } from './root.js';

test('abi has the names and values of both layouts, and cannot be written', () => {
  assert.deepEqual({ ...abi }, { ...names });
  assert.ok(Object.isFrozen(abi));
});

test('abi is no dictionary to V8: a loop that reads its members has constants', () => {
  const code = "import { abi } from 'ptnet'; console.log(%HasFastProperties(abi));";
  const args = ['--allow-natives-syntax', '--input-type=module', '--eval', code];
  const { stdout, stderr } = spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8', timeout: 60_000 });
  assert.equal(stdout, 'true\n', stderr);
});
