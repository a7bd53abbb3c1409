// The NetmapPort of a guest: a ptnet interface opened in netmap mode (ptnet_nm_txsync, ptnet_nm_rxsync).

import { GKRING_REINITS } from '../../assembly/abi/arena.js';
import { EIO } from '../../assembly/abi/errno.js';
import { NAF_FORCE_READ, NAF_FORCE_RECLAIM, NR_NO_TX_POLL } from '../../assembly/abi/netmap.js';
import { NetmapPort, type PortCounters } from '../ring/port.js';
import type { NetmapIf, NetmapRing } from '../ring/ring.js';
import type { PtnetDriver } from './driver.js';
import type { PtnetMachine } from './driver-machine.js';

/** A kring of the guest: its struct in guest RAM, its doorbell register, its ring and its CSB entries. */
export interface GuestKring {
  readonly ptr: number;
  readonly doorbell: number;
  readonly ring: NetmapRing;
  readonly atok: number;
  readonly ktoa: number;
}

/** A ptnet interface opened in netmap mode: the NetmapPort of a guest. */
export class GuestPort extends NetmapPort {
  readonly name: string;
  readonly memId: number;
  readonly nifp: NetmapIf;
  readonly txRings: readonly NetmapRing[];
  readonly rxRings: readonly NetmapRing[];
  readonly waiting: PtnetMachine['waiting'];
  readonly #driver: PtnetDriver;
  readonly #tx: readonly GuestKring[];
  readonly #rx: readonly GuestKring[];
  readonly #flags: number;
  readonly #release: () => void;

  /** @param flags NR_NO_TX_POLL */
  constructor(
    driver: PtnetDriver,
    { tx, rx }: { readonly tx: readonly GuestKring[]; readonly rx: readonly GuestKring[] },
    flags: number,
    release: () => void,
  ) {
    super();
    this.#flags = flags;
    this.name = driver.name;
    this.memId = driver.memId;
    this.nifp = driver.nifp;
    this.waiting = driver.machine.waiting;
    this.#driver = driver;
    this.#tx = tx;
    this.#rx = rx;
    this.txRings = tx.map(({ ring }) => ring);
    this.rxRings = rx.map(({ ring }) => ring);
    this.#release = release;
  }

  /** The same port with only some of its rings, by their places, as long as it is open. */
  part({ tx, rx }: { readonly tx: readonly number[]; readonly rx: readonly number[] }): GuestPort {
    const some = { tx: tx.map((place) => this.#tx[place]), rx: rx.map((place) => this.#rx[place]) };
    return new GuestPort(this.#driver, some, this.#flags, () => {});
  }

  override txsync(): number {
    return this.#txsync(NAF_FORCE_RECLAIM);
  }

  override get vnetHdrLen(): number {
    return this.#driver.vnetHdrLen;
  }

  protected override get pushesOnPoll(): boolean {
    return (this.#flags & NR_NO_TX_POLL) === 0;
  }

  protected override get isDown(): boolean {
    return this.#driver.machine.gone || !this.#driver.isAttached || this.#driver.linkDown;
  }

  override rxsync(): number {
    if (!this.isOpen || this.isDown) return -EIO;
    for (const kring of this.#rx) this.#driver.rxsync(kring, NAF_FORCE_READ);
    return 0;
  }

  /** poll does not force the doorbell: it is rung when the host wants kicks. */
  protected override pollTxsync(): number {
    return this.#txsync(0);
  }

  #txsync(flags: number): number {
    if (!this.isOpen || this.isDown) return -EIO;
    for (const kring of this.#tx) this.#driver.txsync(kring, flags);
    return 0;
  }

  /** A guest counts doorbells, interrupts and reinits; packets, bytes and drops are counted by the host. */
  override async counters(): Promise<PortCounters> {
    const { gone, views } = this.#driver.machine;
    const reinits = [...this.#tx, ...this.#rx].reduce((n, { ptr }) => n + views.i32[(ptr + GKRING_REINITS) >>> 2], 0);
    return {
      txPackets: 0,
      txBytes: 0,
      rxPackets: 0,
      rxBytes: 0,
      drops: {},
      badSlots: 0,
      reinits: gone ? 0 : reinits,
      kicks: this.#driver.kicks,
      interrupts: this.#driver.interrupts,
    };
  }

  /** The driver's own arming (appl_need_kick) is the subscription. */
  override subscribe(): boolean {
    return false;
  }

  protected override async doClose(): Promise<void> {
    this.waiting.wake(); // waits of this port end with POLLERR
    this.#release();
  }
}
