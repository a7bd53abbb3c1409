import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inspect } from 'node:util';
import * as errnos from '../../assembly/abi/errno.js';
import { check, errnoName, NetmapError, netmapError } from '../../src/errors.js';

test('the numbers are those of Linux', () => {
  assert.deepEqual(
    { ...errnos },
    {
      EPERM: 1,
      ENOENT: 2,
      ESRCH: 3,
      EINTR: 4,
      EIO: 5,
      ENXIO: 6,
      E2BIG: 7,
      EBADF: 9,
      EAGAIN: 11,
      ENOMEM: 12,
      EACCES: 13,
      EFAULT: 14,
      EBUSY: 16,
      EEXIST: 17,
      ENODEV: 19,
      EINVAL: 22,
      ENOSPC: 28,
      EPIPE: 32,
      ENOSYS: 38,
      EOVERFLOW: 75,
      EMSGSIZE: 90,
      EOPNOTSUPP: 95,
      ENETDOWN: 100,
      ENOBUFS: 105,
      ETIMEDOUT: 110,
      ECANCELED: 125,
    },
  );
});

test('every number has its name, for both signs', () => {
  for (const [name, number] of Object.entries(errnos)) {
    assert.equal(errnoName(number), name);
    assert.equal(errnoName(-number), name);
  }
  assert.equal(errnoName(0), 'UNKNOWN');
  assert.equal(errnoName(9999), 'UNKNOWN');
});

test('an error carries code, positive errno, call and port', () => {
  const error = netmapError('EBUSY', 'ring 0 is held exclusively', { op: 'register', port: 'vale0:1' });
  assert.ok(error instanceof NetmapError);
  assert.ok(error instanceof Error);
  assert.equal(error.name, 'NetmapError');
  assert.equal(error.code, 'EBUSY');
  assert.equal(error.errno, 16);
  assert.equal(error.op, 'register');
  assert.equal(error.port, 'vale0:1');
  assert.equal(error.message, "EBUSY: ring 0 is held exclusively, register 'vale0:1'");
  assert.match(String(error.stack), /^NetmapError: EBUSY: ring 0/);
  assert.deepEqual(Object.keys(error).sort(), ['code', 'errno', 'op', 'port']);
  assert.ok(!inspect(error).includes('Symbol(ptnet'));
});

test('call and port are optional, and leave no trace in the message', () => {
  assert.equal(netmapError('EINVAL', 'bad').message, 'EINVAL: bad');
  assert.equal(netmapError('EINVAL', 'bad', { op: 'open' }).message, 'EINVAL: bad, open');
  assert.equal(netmapError('EINVAL', 'bad', { port: 'p' }).message, "EINVAL: bad, 'p'");
  assert.equal(netmapError('EINVAL', 'bad').op, '');
});

test('check passes counts and throws negative results', () => {
  assert.equal(check(0, 'txsync', 'p'), 0);
  assert.equal(check(17), 17);
  assert.throws(() => check(-12, 'register', 'vale0:1'), {
    name: 'NetmapError',
    code: 'ENOMEM',
    errno: 12,
    op: 'register',
    port: 'vale0:1',
    message: "ENOMEM: out of memory, register 'vale0:1'",
  });
  assert.throws(() => check(-9999), { code: 'UNKNOWN', errno: 9999, message: 'UNKNOWN: error number 9999' });
  assert.throws(() => check(Number.NaN), { code: 'UNKNOWN' });
});

test('two copies of the package recognise each other’s errors', async () => {
  // A query makes the loader evaluate the module a second time.
  const copyUrl = `${new URL('../../src/errors.js', import.meta.url).href}?copy`;
  const copy = (await import(copyUrl)) as typeof import('../../src/errors.js');
  assert.notEqual(copy.NetmapError, NetmapError);
  assert.ok(copy.netmapError('EINVAL', 'theirs') instanceof NetmapError);
  assert.ok(netmapError('EINVAL', 'ours') instanceof copy.NetmapError);
});

test('other values are not NetmapErrors, and subclasses keep their own identity', () => {
  class Special extends NetmapError {}
  assert.ok(new Special(22, 'x') instanceof NetmapError);
  assert.ok(new Special(22, 'x') instanceof Special);
  assert.ok(!(netmapError('EINVAL', 'x') instanceof Special));
  for (const other of [null, undefined, 22, 'EINVAL', {}, new Error('EINVAL'), { code: 'EINVAL', errno: 22 }]) {
    assert.ok(!((other as unknown) instanceof NetmapError));
  }
});

test('an error crosses threads as JSON or by structured clone', () => {
  const error = netmapError('ENXIO', 'no such port', { op: 'open', port: 'netmap:nope' });
  for (const json of [structuredClone(error.toJSON()), JSON.parse(JSON.stringify(error))]) {
    const arrived = NetmapError.fromJSON(json);
    assert.ok(arrived instanceof NetmapError);
    assert.deepEqual(arrived.toJSON(), error.toJSON());
    assert.equal(arrived.stack, error.stack);
  }
});

test('an error that arrives without a stack gets one', () => {
  const { stack: _, ...json } = netmapError('ENXIO', 'no such port').toJSON();
  assert.match(String(NetmapError.fromJSON(json).stack), /^NetmapError: ENXIO/);
});
