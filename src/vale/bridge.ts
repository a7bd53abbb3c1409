// A VALE bridge (nm_bridge): which adapter has which port index. Control thread only; the data path reads the struct in
// the arena, where every change is one word.

import {
  BRIDGE_ACTIVE,
  BRIDGE_FDB,
  BRIDGE_FDB_FULL,
  BRIDGE_LIST_A,
  BRIDGE_LIST_B,
  BRIDGE_LOOKUP,
  BRIDGE_PORTS,
  BRIDGE_SIZE,
  FDB_SIZE,
  NM_BDG_BROADCAST,
  NM_BDG_MAXPORTS,
  PORT_BDG_INDEX,
  PORT_BRIDGE,
} from '../abi.js';
import { netmapError } from '../errors.js';
import type { ArenaOwner } from '../memory/arena.js';

/** What a bridge needs to know of an adapter: its name, and the address of its `struct port`. */
export interface BridgePort {
  readonly name: string;
  readonly ptr: number;
}

/** A learned address. */
export interface FdbEntry {
  readonly mac: string;
  readonly port: string;
}

/** Ports that a bridge can have at a time: netmap refuses the next one when at most two indices are left. */
export const MAX_PORTS = NM_BDG_MAXPORTS - 2;

export class Bridge {
  readonly name: string;
  /** Its place in the table of bridges, the same for as long as it exists. */
  readonly index: number;
  /** Address of `struct bridge`. */
  readonly ptr: number;
  readonly #arena: ArenaOwner;
  readonly #fdb: number;
  readonly #maxPorts: number;
  readonly #ports = new Map<number, BridgePort>();
  /** Permutation of the port indices: the active ones first. */
  readonly #indices = Array.from({ length: NM_BDG_MAXPORTS }, (_, i) => i);

  /** @throws NetmapError ENOMEM */
  constructor(arena: ArenaOwner, name: string, index = 0, maxPorts = MAX_PORTS) {
    this.#arena = arena;
    this.#maxPorts = maxPorts;
    this.name = name;
    this.index = index;
    this.ptr = arena.alloc(BRIDGE_SIZE, `bridge ${name}`);
    try {
      this.#fdb = arena.alloc(FDB_SIZE, `forwarding table of ${name}`);
    } catch (error) {
      arena.free(this.ptr);
      throw error;
    }
    arena.store(this.ptr + BRIDGE_FDB, this.#fdb);
    arena.store(this.ptr + BRIDGE_ACTIVE, this.ptr + BRIDGE_LIST_A);
  }

  get isEmpty(): boolean {
    return this.#ports.size === 0;
  }

  /** Attached adapters with their port indices, in index order. */
  get ports(): { index: number; adapter: BridgePort }[] {
    return [...this.#ports].sort(([a], [b]) => a - b).map(([index, adapter]) => ({ index, adapter }));
  }

  /** Addresses that found no room in the table. */
  get fdbFull(): number {
    return this.#arena.counter(this.ptr + BRIDGE_FDB_FULL);
  }

  /** @throws NetmapError ENOMEM when the bridge has no index left */
  attach(adapter: BridgePort): void {
    const active = this.#ports.size;
    if (active >= this.#maxPorts) {
      const what = `bridge ${this.name} has ${this.#maxPorts} ports (maxBridgePorts)`;
      throw netmapError('ENOMEM', what, { op: 'attach', port: adapter.name });
    }
    const index = this.#indices[active];
    this.#ports.set(index, adapter);
    this.#arena.store(adapter.ptr + PORT_BDG_INDEX, index);
    this.#arena.store(adapter.ptr + PORT_BRIDGE, this.ptr);
    this.#arena.store(this.ptr + BRIDGE_PORTS + 4 * index, adapter.ptr);
  }

  /** Takes the port out of the tables. Its index is used again only after `forget`. */
  detach(adapter: BridgePort): void {
    const index = this.#arena.load(adapter.ptr + PORT_BDG_INDEX);
    this.#arena.store(this.ptr + BRIDGE_PORTS + 4 * index, 0);
    this.#arena.store(adapter.ptr + PORT_BRIDGE, 0);
  }

  /** When no sync is under way any more that could have seen the port: drops its learned addresses and frees its index. */
  forget(adapter: BridgePort): void {
    const index = this.#arena.load(adapter.ptr + PORT_BDG_INDEX);
    // DIFF: netmap keeps the addresses and delivers them to whoever gets the index next.
    this.#arena.wasm.fdbPurge(this.#fdb, FDB_SIZE, index);
    this.#ports.delete(index);
    const last = this.#ports.size;
    const at = this.#indices.indexOf(index);
    [this.#indices[at], this.#indices[last]] = [this.#indices[last], this.#indices[at]];
  }

  /**
   * Shows the data path the ports that broadcasts go to: written aside, then switched with one store. Nobody may still be
   * reading the list before the current one.
   */
  publishActive(): void {
    const current = this.#arena.load(this.ptr + BRIDGE_ACTIVE);
    const list = this.ptr + (current === this.ptr + BRIDGE_LIST_A ? BRIDGE_LIST_B : BRIDGE_LIST_A);
    const active = this.#indices.filter((index) => this.#arena.load(this.ptr + BRIDGE_PORTS + 4 * index) !== 0);
    for (const [i, index] of active.entries()) this.#arena.store(list + 4 + 4 * i, index);
    this.#arena.store(list, active.length);
    this.#arena.store(this.ptr + BRIDGE_ACTIVE, list);
  }

  /** The forwarding table. */
  fdb(): FdbEntry[] {
    const entries: FdbEntry[] = [];
    for (let p = this.#fdb; p < this.#fdb + FDB_SIZE; p += 8) {
      const entry = Atomics.load(this.#arena.u64, p >>> 3);
      const adapter = this.#ports.get(Number(entry >> 48n) - 1);
      if (entry === 0n || !adapter) continue;
      const mac = Array.from({ length: 6 }, (_, i) =>
        Number((entry >> BigInt(8 * i)) & 0xffn)
          .toString(16)
          .padStart(2, '0'),
      );
      entries.push({ mac: mac.join(':'), port: adapter.name });
    }
    return entries;
  }

  /**
   * Which lookup of the threads' tables decides from now on; 0 = the learning switch, which starts with an empty table
   * (netmap_bdg_regops).
   */
  setLookup(lookup: number): void {
    this.#arena.store(this.ptr + BRIDGE_LOOKUP, lookup);
    if (lookup === 0) this.clear();
  }

  /** Forgets the learned addresses of a port, or all of them. */
  clear(index: number = NM_BDG_BROADCAST): void {
    this.#arena.wasm.fdbPurge(this.#fdb, FDB_SIZE, index);
  }

  destroy(): void {
    this.#arena.free(this.#fdb);
    this.#arena.free(this.ptr);
  }
}
