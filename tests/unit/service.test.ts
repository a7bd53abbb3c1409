// What others leave to a thread: which services a wake-up runs, and what one that throws costs the others.
import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import {
  ATTENTION_ALL,
  ATTENTION_LOOPS,
  KLOOP_ATTENTION,
  KLOOP_EVENT,
  KLOOP_IRQ_PENDING,
  KLOOP_PASSES,
  KLOOP_RUNNING,
  KLOOP_STATE,
  THREAD_ATTENTION,
  THREAD_LOOKING,
} from '../../src/abi.js';
import { runLoop } from '../../src/ioctl/run-loop.js';
import { KernelLoop } from '../../src/kloop/loop.js';
import { DeviceWorld } from '../support/device-world.js';

let world: DeviceWorld;
let words: number;
let ran: string[];

beforeEach(() => {
  world = new DeviceWorld();
  words = world.arena.alloc(64, 'words');
  ran = [];
});

/** Sets bits of the thread's attention and has it serve; what ran. */
function attend(bits: number): string[] {
  Atomics.or(world.arena.u32, (world.thread.ptr + THREAD_ATTENTION) >>> 2, bits);
  ran = [];
  world.thread.service();
  return ran;
}

function add(name: string, attention: number, word?: number, run = (): void => {}): () => void {
  const service = {
    attention,
    run: (): void => {
      ran.push(name);
      run();
    },
  };
  return world.thread.addService(word === undefined ? service : { ...service, word: words + 4 * word });
}

const setWord = (word: number, value: number): void => world.arena.store(words + 4 * word, value);

describe('a service', () => {
  test('runs when its bit is set and there is work, or when everything is to be looked at', () => {
    add('requests', ATTENTION_ALL);
    for (let bit = 1; bit < 32; bit++) add(`${bit}`, 1 << bit, 0);
    setWord(0, 1);
    attend(0); // each runs once, as it may have come after its work
    for (let bit = 1; bit < 32; bit++) assert.deepEqual(attend(1 << bit), [`${bit}`]);
    assert.deepEqual(attend((1 << 31) | (1 << 30) | 2), ['1', '30', '31']);
    assert.equal(attend(ATTENTION_ALL).length, 32);
    assert.deepEqual(attend(0), []);
    setWord(0, 0);
    assert.deepEqual(attend(-1), ['requests']);
  });

  test('shares its bit with others, until it is taken back', () => {
    setWord(1, 1);
    add('a', 4, 0);
    const end = add('b', 4, 1);
    assert.deepEqual(attend(4), ['b']);
    setWord(0, 1);
    assert.deepEqual(attend(4), ['a', 'b']);
    end();
    assert.deepEqual(attend(4), ['a']);
    assert.deepEqual(attend(ATTENTION_ALL), ['a']);
  });

  test('that comes after its work finds it', () => {
    setWord(0, 1);
    attend(0);
    add('late', 8, 0);
    assert.deepEqual(attend(0), ['late']);
    assert.deepEqual(attend(0), []);
  });

  test('that throws leaves the others their work, for the next call', () => {
    for (const word of [0, 1, 2]) setWord(word, 1);
    add('a', 2, 0);
    add('throws', 4, 1, () => {
      setWord(1, 0);
      throw new Error('a handler');
    });
    add('same bit', 4, 2);
    add('later bit', 8, 0);
    const seen = world.thread.seq();
    assert.throws(() => attend(0), /a handler/);
    assert.notEqual(world.thread.seq(), seen, 'the thread does not sleep on it');
    assert.deepEqual(ran, ['a', 'throws']);
    assert.deepEqual(attend(0), ['same bit', 'later bit']);
    assert.deepEqual(attend(0), []);
  });
});

describe('a kernel loop', () => {
  const makeLoop = async (spec: string): Promise<KernelLoop> => {
    const loop = new KernelLoop(world.arena, await world.openExclusive(spec));
    const csb = world.arena.allocRegion(8192, 'CSB');
    assert.equal(loop.enableCsb(csb, csb + 4096), 0);
    return loop;
  };

  test('has one bit of attention, and loops in a row have different ones', async () => {
    const bits = new Set<number>();
    for (let i = 0; i < 4; i++) {
      const loop = await makeLoop(`vale0:p${i}`);
      const bit = Math.log2(world.arena.load(loop.ptr + KLOOP_ATTENTION));
      assert.ok(Number.isInteger(bit) && bit >= 1 && bit <= ATTENTION_LOOPS, `${bit}`);
      bits.add(bit);
    }
    assert.ok(bits.size > 1);
  });

  test('that another thread takes over brings its pending interrupts along, and says so', async () => {
    const { arena, thread } = world;
    const loop = await makeLoop('vale0:a');
    const guest = arena.threadPtr(3);
    assert.equal(loop.start({ mode: 'notify', thread: thread.ptr, guest }), 0);
    arena.store(loop.ptr + KLOOP_IRQ_PENDING, 2);
    const seen = arena.load(guest);
    loop.moveTo(arena.threadPtr(2));
    assert.equal(arena.load(loop.ptr + KLOOP_IRQ_PENDING), 2);
    assert.equal(arena.load(guest + THREAD_ATTENTION), ATTENTION_ALL);
    assert.notEqual(arena.load(guest), seen);
  });

  test('of the thread that rings is run by each doorbell, and what others have set by one of 32', async () => {
    const { arena, thread } = world;
    const loop = await makeLoop('vale0:a');
    assert.equal(loop.start({ mode: 'direct', thread: thread.ptr, guest: 0 }), 0);
    thread.service();
    let taken = 0;
    for (let i = 1; i <= 96; i++) {
      arena.store(loop.ptr + KLOOP_EVENT, 2);
      arena.wasm.threadWake(thread.ptr);
      const passes = arena.load(loop.ptr + KLOOP_PASSES);
      thread.doorbell(loop.ptr, 0);
      assert.ok(arena.load(loop.ptr + KLOOP_PASSES) > passes, `doorbell ${i}`);
      if (arena.load(loop.ptr + KLOOP_EVENT) === 0) taken++;
    }
    assert.equal(taken, 3);
    loop.halt();
  });

  test('whose doorbell is rung in a lookup of the user’s has its turn later, and the thread does not sleep before', async () => {
    const { arena, thread } = world;
    const loop = await makeLoop('vale0:a');
    assert.equal(loop.start({ mode: 'direct', thread: thread.ptr, guest: 0 }), 0);
    thread.service();
    const passes = arena.load(loop.ptr + KLOOP_PASSES);
    const seen = thread.seq();
    arena.store(thread.ptr + THREAD_LOOKING, 1);
    thread.doorbell(loop.ptr, 1);
    assert.equal(arena.load(loop.ptr + KLOOP_PASSES), passes, 'the scratch is in use');
    assert.equal(arena.load(loop.ptr + KLOOP_EVENT), 2);
    assert.notEqual(thread.seq(), seen);
    arena.store(thread.ptr + THREAD_LOOKING, 0);
    thread.service();
    assert.equal(arena.load(loop.ptr + KLOOP_EVENT), 0);
    assert.equal(arena.load(loop.ptr + KLOOP_PASSES), passes + 1);
    loop.halt();
  });

  test('that a program runs is looked at when its safety time has passed, even if nobody has woken the thread', async () => {
    const { arena, thread } = world;
    const loop = await makeLoop('vale0:a');
    assert.equal(loop.start({ mode: 'notify', thread: thread.ptr, guest: 0 }), 0);
    const run = { loop: loop.ptr, starts: loop.starts, isBusy: false };
    const running = runLoop(thread, run, { kicks: [], irqs: [] }, 0, () => true);
    const sleep = running.next().value;
    assert.ok(sleep && sleep.timeout > 0);
    arena.store(loop.ptr + KLOOP_EVENT, 1);
    assert.equal(arena.wasm.kloopPass(thread.ptr), 0, 'nothing but the event says so');
    assert.equal(running.next().done, false);
    assert.equal(arena.load(loop.ptr + KLOOP_EVENT), 0);
    assert.equal(arena.load(loop.ptr + KLOOP_STATE), KLOOP_RUNNING);
    loop.stop();
    assert.equal(running.next().done, true);
  });
});
