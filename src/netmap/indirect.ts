// The ranges of memory from which a VALE port sends slots with NS_INDIRECT. Control thread only.

import { PORT_KIND_VALE, PORT_RANGES, PORT_RANGES_MAX } from '../abi.js';
import { netmapError } from '../errors.js';
import type { ArenaOwner } from '../memory/arena.js';
import type { Adapter } from './adapter.js';

/** An open port, as far as its ranges go. */
interface Opener {
  readonly fd: number;
  readonly adapter: Adapter;
}

interface Entry {
  readonly fd: number;
  readonly address: number;
  readonly length: number;
}

export class IndirectRanges {
  readonly #arena: ArenaOwner;
  /** Entries of each port, as they are in its `struct port`. */
  readonly #entries = new Map<Adapter, (Entry | undefined)[]>();

  constructor(arena: ArenaOwner) {
    this.#arena = arena;
  }

  /** @throws NetmapError EOPNOTSUPP (not a VALE port), EINVAL (the range), ENOSPC (the port has 16) */
  register({ fd, adapter }: Opener, address: number, length: number): void {
    const refuse = (code: 'EINVAL' | 'EOPNOTSUPP' | 'ENOSPC', what: string): Error =>
      netmapError(code, what, { op: 'registerRange', port: adapter.name });
    if (adapter.kind !== PORT_KIND_VALE) throw refuse('EOPNOTSUPP', 'only VALE ports follow NS_INDIRECT');
    const what = `range ${address}+${length}`;
    const { length: memorySize } = this.#arena.u8;
    const isRange = Number.isSafeInteger(address) && Number.isSafeInteger(length) && address > 0 && length > 0;
    if (!isRange || address + length > memorySize) {
      throw refuse('EINVAL', `${what} is not within the memory's ${memorySize} bytes`);
    }
    if (!this.#isProgramMemory(adapter, address, address + length)) {
      throw refuse('EINVAL', `${what} overlaps memory of the host's that is not the port's region`);
    }
    const entries = this.#entries.get(adapter) ?? Array.from({ length: PORT_RANGES_MAX });
    const free = entries.indexOf(undefined);
    if (free < 0) throw refuse('ENOSPC', `the port has ${PORT_RANGES_MAX} ranges already`);
    this.#entries.set(adapter, entries);
    entries[free] = { fd, address, length };
    this.#store(adapter, free, BigInt(address) | (BigInt(length) << 32n));
  }

  /** Syncs that have begun may still read from the range. @throws NetmapError EINVAL (no such range of this port) */
  unregister({ fd, adapter }: Opener, address: number, length: number): void {
    const entries = this.#entries.get(adapter) ?? [];
    const at = entries.findIndex((e) => e?.fd === fd && e.address === address && e.length === length);
    if (at < 0) {
      const what = `there is no range ${address}+${length}`;
      throw netmapError('EINVAL', what, { op: 'unregisterRange', port: adapter.name });
    }
    this.#remove(adapter, entries, at);
  }

  /** Takes away what an open port has registered; syncs that have begun may still read from it. */
  close({ fd, adapter }: Opener): void {
    const entries = this.#entries.get(adapter);
    if (!entries) return;
    for (const [i, entry] of entries.entries()) if (entry?.fd === fd) this.#remove(adapter, entries, i);
  }

  #remove(adapter: Adapter, entries: (Entry | undefined)[], i: number): void {
    entries[i] = undefined;
    this.#store(adapter, i, 0n);
    if (entries.every((entry) => entry === undefined)) this.#entries.delete(adapter);
  }

  #store({ ptr }: Adapter, i: number, value: bigint): void {
    Atomics.store(this.#arena.u64, ((ptr + PORT_RANGES) >>> 3) + i, value);
  }

  /** Whether the range lies in the region that a program has mapped, or in none of the memory that the host hands out. */
  #isProgramMemory({ region }: Adapter, start: number, end: number): boolean {
    if (start >= region.base && end <= region.base + region.layout.memsize) return true;
    const { privates, regions } = this.#arena;
    return [privates, regions].every((range) => end <= range.start || start >= range.end);
  }
}
