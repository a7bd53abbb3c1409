// VALE_POLLING_ENABLE and DISABLE: threads that do nothing else hand to the switch what the backend of an attached NIC puts
// into its wire. The backend's own txsync then only publishes. Control thread only.

import { NETMAP_POLLING_MODE_MULTI_CPU, NETMAP_POLLING_MODE_SINGLE_CPU } from '../abi.js';
import { netmapError } from '../errors.js';
import type { Kring } from './kring.js';
import type { Nic } from './nic.js';

/** Who polls what (nmreq_vale_polling). */
export interface PollingOptions {
  /** NETMAP_POLLING_MODE_SINGLE_CPU, the default: one thread, all rings. MULTI_CPU: a thread for each ring. */
  readonly mode?: number;
  /** Number of the thread; MULTI_CPU: and of the ring, of the first one. Modulo the threads that there are. Default 0. */
  readonly firstCpu?: number;
  /** How many threads. Default 1. */
  readonly cpus?: number;
}

/** Rings, one behind the other, that one thread polls. */
export interface PolledRings {
  /** Number of the thread, modulo their count. */
  readonly cpu: number;
  readonly krings: readonly Kring[];
}

/** The threads that can poll. */
export interface RingPollers {
  /** How many there are. */
  readonly threads: number;
  /**
   * Starts to poll; the function that it returns ends it.
   * @throws NetmapError ENXIO, ENOMEM, and then nothing polls
   */
  start(groups: readonly PolledRings[]): () => Promise<void>;
}

interface Polling {
  readonly krings: readonly Kring[];
  readonly stop: () => Promise<void>;
}

/** What polling needs of the host: to change the kind of rings while nobody is at them, and to sync what is left. */
export interface RingControl {
  whileLocked(krings: readonly Kring[], change: () => void): Promise<void>;
  flush(kring: Kring): void;
}

export class ValePolling {
  readonly #pollers: RingPollers;
  readonly #rings: RingControl;
  readonly #active = new Map<Nic, Polling>();

  constructor(pollers: RingPollers, rings: RingControl) {
    this.#pollers = pollers;
    this.#rings = rings;
  }

  isOn(nic: Nic | undefined): boolean {
    return nic !== undefined && this.#active.has(nic);
  }

  /** @throws NetmapError EFAULT (polled already), EOPNOTSUPP (no threads), EINVAL (mode, threads, rings), ENXIO, ENOMEM */
  async enable(nic: Nic, options: PollingOptions, port: string): Promise<void> {
    if (this.#active.has(nic)) throw netmapError('EFAULT', 'it is polled already', { op: OP, port });
    const groups = groupsOf(nic.wire.tx, options, this.#pollers.threads, port);
    const stop = this.#pollers.start(groups);
    const krings = groups.flatMap((group) => group.krings);
    try {
      await this.#rings.whileLocked(krings, () => nic.poll(krings, true));
    } catch (error) {
      await stop();
      throw error;
    }
    this.#active.set(nic, { krings, stop });
  }

  /** @throws NetmapError EFAULT (not polled) */
  async disable(nic: Nic, port: string): Promise<void> {
    if (!this.#active.has(nic)) throw netmapError('EFAULT', 'it is not polled', { op: OP, port });
    await this.end(nic);
  }

  /** The same, of what may not be polled. Frames that were published are sent. */
  async end(nic: Nic): Promise<void> {
    const polling = this.#active.get(nic);
    if (!polling) return;
    const { krings, stop } = polling;
    await this.#rings.whileLocked(krings, () => nic.poll(krings, false));
    await stop();
    for (const kring of krings) this.#rings.flush(kring);
    this.#active.delete(nic);
  }
}

const OP = 'valePolling';

function groupsOf(rings: readonly Kring[], options: PollingOptions, threads: number, port: string): PolledRings[] {
  const { mode = NETMAP_POLLING_MODE_SINGLE_CPU, firstCpu = 0, cpus = 1 } = options;
  const where = { op: OP, port };
  if (threads === 0) throw netmapError('EOPNOTSUPP', 'the host has no loop workers that could poll (threads)', where);
  for (const [name, value] of Object.entries({ firstCpu, cpus })) {
    if (!Number.isSafeInteger(value) || value < 0) throw netmapError('EINVAL', `${name} ${value} is no number`, where);
  }
  // netmap leaves one CPU alone; here that is the control thread's.
  if (cpus < 1 || cpus > threads) throw netmapError('EINVAL', `${cpus} threads, of ${threads} loop workers`, where);
  if (mode === NETMAP_POLLING_MODE_SINGLE_CPU) {
    if (cpus !== 1) throw netmapError('EINVAL', `${cpus} threads in the mode of a single one`, where);
    return [{ cpu: firstCpu, krings: rings }];
  }
  if (mode !== NETMAP_POLLING_MODE_MULTI_CPU) throw netmapError('EINVAL', `there is no polling mode ${mode}`, where);
  if (firstCpu + cpus > rings.length) {
    throw netmapError('EINVAL', `rings ${firstCpu}..${firstCpu + cpus - 1}, of ${rings.length}`, where);
  }
  return rings.slice(firstCpu, firstCpu + cpus).map((kring, i) => ({ cpu: firstCpu + i, krings: [kring] }));
}
