// C programs in the manner of netmap's tools: nm_open() and its family, a generator with threads, a tool for switches, and
// what network programs include.
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { SIGINT } from '../../src/exec/exec.js';
import { PtnetDriver } from '../../src/index.js';
import { root } from '../support/wasm-compiler.js';
import { EXAMPLE, FIXTURE, FRAMES, onHost, program, Running, receive, skip, THREADED } from './exec-support.js';

const NEEDS_THREADS = ['pthread.h', 'pthread_np.h', 'semaphore.h'];
const generator = (): Uint8Array => program(EXAMPLE('generator'), ...THREADED);

describe('C programs like tools', { skip }, () => {
  test('a checker of the control API, with threads that share descriptors', () =>
    onHost(async (netmap) => {
      const running = await Running.start(netmap, program(FIXTURE('control'), ...THREADED), ['vale4:me']);
      const { code, reason } = await running.ended();
      assert.equal(code, 0, `${reason} ${running.out}`);
      assert.match(running.out, /^[1-9]\d+ checks, 0 failures\n$/);
    }));

  test('nm_open() and its family', () =>
    onHost(async (netmap) => {
      const running = await Running.start(netmap, program(FIXTURE('nmopen')), []);
      assert.deepEqual([await running.ended(), running.out], [{ code: 0 }, '0 failures\n']);
    }));

  test('headers of network programs, and what cannot be done', () =>
    onHost(async (netmap) => {
      for (const flags of [[], THREADED]) {
        const running = await Running.start(netmap, program(FIXTURE('headers'), ...flags), ['x'], { name: 'dir/name' });
        const ended = await running.ended();
        assert.deepEqual([running.out, ended], ['0 failures\n', { code: 9 }]);
        assert.equal(running.err, 'logged 1\nname 2\nwarning: No such file or directory\nend: I/O error\n');
      }
    }));

  test('every header can be included alone, without warnings', () => {
    const folder = join(root, 'include/wasi');
    const headers = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.h'));
    assert.ok(headers.length > 30);
    for (const header of headers.filter((name) => !name.startsWith('ptnet'))) {
      for (const flags of NEEDS_THREADS.includes(header) ? [THREADED] : [[], THREADED]) {
        program(FIXTURE('header'), `-DHEADER=<${header}>`, '-std=c11', '-O0', ...flags);
      }
    }
    for (const header of NEEDS_THREADS) {
      const compile = (): unknown => program(FIXTURE('header'), `-DHEADER=<${header}>`);
      assert.throws(compile, /programs with threads are compiled with -matomics -mbulk-memory/);
    }
  });

  test('a generator sends to a generator over a pipe: every frame', () =>
    onHost(async (netmap) => {
      const rx = ['-i', 'netmap:p}1', '-f', 'rx', '-n', `${FRAMES}`];
      const receiver = await Running.start(netmap, generator(), rx);
      await receiver.ready();
      const tx = ['-i', 'netmap:p{1', '-f', 'tx', '-n', `${FRAMES}`, '-a', '0'];
      const sender = await Running.start(netmap, generator(), tx);
      assert.deepEqual([await sender.ended(), await receiver.ended()], [{ code: 0 }, { code: 0 }]);
      assert.match(sender.out, new RegExp(`sending on 1 rings of p\\{1\n(.*\n)*sent ${FRAMES} packets`));
      assert.match(receiver.out, new RegExp(`received ${FRAMES} packets`));
    }));

  test('a generator sends to a program here over VALE, reports its rate, and ends by a signal', () =>
    onHost(async (netmap) => {
      const port = await netmap.open('vale0:ts');
      const sender = await Running.start(netmap, generator(), ['-i', 'vale0:c', '-f', 'tx', '-l', '100']);
      const frames = await receive(port, 1000);
      assert.ok(frames.every((frame) => frame.length === 100));
      await sender.saying('packets/s');
      sender.kill(SIGINT);
      assert.deepEqual(await sender.ended(), { code: 0 });
      assert.match(sender.out, /[1-9]\d* packets\/s\nsent [1-9]\d+ packets/);
      await port.close();
    }));

  test('a generator sends on two rings of an interface, with a thread for each', () =>
    onHost(async (netmap) => {
      const eth = await netmap.addInterface('eth0', { txRings: 2, rxRings: 2 });
      const sender = await Running.start(netmap, generator(), ['-i', 'netmap:eth0', '-f', 'tx', '-n', '3000']);
      assert.equal((await receive(eth.wire, 3000)).length, 3000);
      assert.deepEqual(await sender.ended(), { code: 0 });
      assert.match(sender.out, /^sending on 2 rings of eth0\n(.*\n)*sent 3000 packets/);
      await eth.close();
    }));

  test('a generator receives in a guest, behind a passed-through port', () =>
    onHost(async (netmap) => {
      const guest = await netmap.createGuest();
      await guest.passthrough('netmap:p}1');
      const rx = ['-i', 'netmap:ptnet0', '-f', 'rx', '-n', '5000'];
      const receiver = await Running.start(netmap, generator(), rx, { guest });
      await receiver.ready();
      const port = await netmap.open('netmap:p{1');
      for (let i = 0; i < 5000; i++) await port.send(new Uint8Array(60));
      assert.deepEqual(await receiver.ended(), { code: 0 });
      assert.match(receiver.out, /received 5000 packets/);
      await port.close();
      await guest.close();
    }));

  test('a guest beside a generator on a switch', () =>
    onHost(async (netmap) => {
      const guest = await netmap.createGuest();
      await guest.passthrough('vale0:guest');
      const [driver] = PtnetDriver.probe(await guest.machine());
      const port = driver.open();
      const sender = await Running.start(netmap, generator(), ['-i', 'vale0:c', '-f', 'tx', '-n', '500']);
      assert.equal((await receive(port, 500)).length, 500);
      assert.deepEqual(await sender.ended(), { code: 0 });
      await port.close();
      await guest.close();
    }));

  test('ports and switches are listed, looked at and changed', () =>
    onHost(async (netmap) => {
      const port = await netmap.open('vale1:other');
      const args = ['-n', 'v0', '-a', 'vale3:v0', '-l', '-i', 'v0', '-d', 'vale3:v0', '-l', '-r', 'v0', '-i', 'v0'];
      const running = await Running.start(netmap, program(EXAMPLE('ports')), args);
      assert.deepEqual(await running.ended(), { code: 1 });
      assert.equal(running.err, "cannot look at 'v0': No such device or address\n");
      const [attached, ...lines] = running.out.trimEnd().split('\n');
      assert.equal(attached, 'vale3:v0 is port 0');
      assert.deepEqual(lines.slice(0, 2).sort(), ['vale1:other bridge 0 port 0', 'vale3:v0 bridge 1 port 0']);
      assert.match(lines[2], /^v0: 1 tx rings of 1024 slots, 1 rx rings of 1024 slots, memory \d+ of \d+ bytes$/);
      assert.deepEqual(lines.slice(3), ['vale3:v0 was port 0', 'vale1:other bridge 0 port 0']);
      await port.close();
    }));
});
