// A program whose threads are workers: one binds a port in CSB mode, and blocks in START.
import assert from 'node:assert/strict';
import * as abi from '../../src/abi.js';
import type { HostPort } from '../../src/index.js';
import { IoctlWorld, named, SLOTS } from '../support/ioctl-world.js';
import { i32s, u64s } from '../support/program.js';
import type { Attach } from './ioctl-worker.js';
import { Peer, sleep, until } from './support.js';

const { NETMAP_REQ_REGISTER: REGISTER, NETMAP_REQ_SYNC_KLOOP_START: START } = abi;
export const EXCLUSIVE = { mode: abi.NR_REG_ALL_NIC, flags: abi.NR_EXCLUSIVE, ...SLOTS };
/** Kicks must not wait for the loop's safety timeout of 3 s. */
export const PROMPT = 1500;

/** A worker of the program, and its descriptor. */
export interface ProgramThread {
  readonly peer: Peer;
  readonly fd: number;
}

export class KloopProgram {
  readonly world: IoctlWorld;
  /** Words of the event descriptors, by number: two for each ring of a port with a pair of rings. */
  readonly words: readonly [number, Int32Array][];
  readonly #peers: Peer[] = [];
  #atok = 0;
  #ktoa = 0;

  private constructor(world: IoctlWorld) {
    this.world = world;
    this.words = [10, 11, 12, 13].map((fd) => [fd, new Int32Array(new SharedArrayBuffer(8))]);
    this.reset();
  }

  static async create(): Promise<KloopProgram> {
    return new KloopProgram(await IoctlWorld.create(true));
  }

  /** Forgets all requests, and the CSB. */
  reset(): void {
    this.world.program.reset();
    [this.#atok, this.#ktoa] = [this.world.program.alloc(128), this.world.program.alloc(128)];
  }

  async close(): Promise<void> {
    for (const peer of this.#peers.splice(0)) await peer.end();
    await this.world.netmap.close();
  }

  async thread(fd?: number): Promise<ProgramThread> {
    const peer = new Peer(new URL('./ioctl-worker.js', import.meta.url));
    this.#peers.push(peer);
    const handle = this.world.netmap.handle(peer.worker);
    const args: Attach = { handle, words: this.words, ...(fd === undefined ? {} : { fd }) };
    const { fd: own } = await peer.call<{ fd: number }>('attach', args);
    return { peer, fd: own };
  }

  /** Makes a request in a worker: its result, as the name of an errno or ''. */
  async ctrl(peer: Peer, ...request: Parameters<IoctlWorld['program']['request']>): Promise<string> {
    const argument = this.world.program.request(...request);
    return named(await peer.call<number>('ioctl', { request: abi.NIOCCTRL, argument }));
  }

  csb(): number {
    return this.world.program.option(abi.NETMAP_REQ_OPT_CSB, { rest: u64s(this.#atok, this.#ktoa) });
  }

  eventfds(): number {
    const rest = i32s(10, 11, 12, 13);
    return this.world.program.option(abi.NETMAP_REQ_OPT_SYNC_KLOOP_EVENTFDS, { nroSize: 24 + rest.length, rest });
  }

  /** Waits until the loop of a descriptor runs: a START that could not succeed anyway is then refused as a second one. */
  async running(fd: number): Promise<void> {
    const file = this.world.open({ fd });
    await until(PROMPT, 'the loop', async () => {
      const bad = this.world.program.option(abi.NETMAP_REQ_OPT_SYNC_KLOOP_MODE, { rest: i32s(4, 0) });
      return (await this.world.ctrl(START, { options: [bad] }, file)) === 'EBUSY' || undefined;
    });
  }

  /** Binds p{1 with a CSB in a worker. */
  async bound(): Promise<ProgramThread> {
    const made = await this.thread();
    const fields = { name: 'p{1', body: EXCLUSIVE, options: [this.csb()] };
    assert.equal(await this.ctrl(made.peer, REGISTER, fields), '');
    return made;
  }

  /** A word of the kernel's array. */
  ktoa(at: number): number {
    return Atomics.load(this.#words32(), (this.world.program.base + this.#ktoa + at) >>> 2);
  }

  publish(head: number): void {
    const at = (this.world.program.base + this.#atok) >>> 2;
    Atomics.store(this.#words32(), at + 1, head);
    Atomics.store(this.#words32(), at, head);
  }

  #words32(): Int32Array {
    return new Int32Array(this.world.program.bytes.buffer);
  }

  /** Frames from the program, each kicked if the kernel wants a kick, and one that comes back with an interrupt. */
  async exchange(other: HostPort): Promise<void> {
    const kick = this.world.netmap.eventfd(this.words[0][1]);
    for (let head = 1; head <= 4; head++) {
      await sleep(2); // the loop goes to sleep
      this.publish(head);
      if (this.ktoa(abi.CSB_KTOA_KERN_NEED_KICK) !== 0) kick.signal();
      await until(PROMPT, `the kernel takes frame ${head}`, () => this.ktoa(0) === head || undefined);
    }
    assert.equal(other.rxsync(), 0);
    const irq = this.words[3][1];
    const before = Atomics.load(irq, 0);
    await sleep(2);
    other.txRings[0].advance(1);
    assert.equal(other.txsync(), 0);
    await until(PROMPT, 'the interrupt', () => Atomics.load(irq, 0) !== before || undefined);
    assert.equal(this.ktoa(abi.CSB_ENTRY_SIZE + abi.CSB_KTOA_HWTAIL), 1);
  }

  /** Waits until everything is as it was. */
  async restored(before: unknown): Promise<void> {
    const wanted = JSON.stringify(before);
    await until(PROMPT, 'the end', async () => JSON.stringify(await this.world.state()) === wanted || undefined);
  }
}
