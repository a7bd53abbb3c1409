// A VALE switch over backends: ports that come and go, fail and come back. What shows it, and what commands it, is
// elsewhere: this object has the state, tells events, and gives snapshots.

import { setTimeout as sleep } from 'node:timers/promises';
import type { Netmap } from '../../index.js';
import { type BackendPort, type BackendState, openBackend } from '../../io/backends/backend.js';
import { failure } from '../errors.js';
import { Captures, isCapture } from './captures.js';
import {
  addEnded,
  type Copies,
  type Drops,
  directionsOf,
  type SwitchPortSnapshot,
  type SwitchSnapshot,
  sum,
} from './snapshot.js';

/** What has happened to a port, or to a capture. */
export interface SwitchEvent {
  readonly event: 'port' | 'removed' | 'capture';
  readonly name: string;
  readonly spec: string;
  readonly state: BackendState;
  readonly reason: string;
}

export type SwitchListener = (event: SwitchEvent) => void;

/** How long (ms) packets that are on their way to the outside are waited for, and how often is looked. */
const DRAIN_LIMIT = 1000;
const DRAIN_LOOK = 10;

export class Switch {
  /** Name of the bridge. */
  readonly bridge: string;
  readonly #netmap: Netmap;
  readonly #listener: SwitchListener;
  readonly #ports = new Map<string, BackendPort>();
  readonly #removed = new Map<string, SwitchPortSnapshot>();
  readonly #started = performance.now();
  /** Changes of the ports, one after the other. */
  #changes: Promise<unknown> = Promise.resolve();
  readonly #captures: Captures;
  #closing = false;

  /** @param bridge such as `vale0`; it is there as long as it has a port */
  constructor(netmap: Netmap, bridge: string, listener: SwitchListener = () => {}) {
    this.#netmap = netmap;
    this.bridge = bridge;
    this.#listener = listener;
    this.#captures = new Captures(netmap, bridge, (name, spec, state, reason) =>
      listener({ event: 'capture', name, spec, state, reason }),
    );
  }

  /** Names of the ports, in the order in which they came. */
  get ports(): readonly string[] {
    return [...this.#ports.keys()];
  }

  /**
   * Opens a backend and puts it on the switch; a capture (`pcapng:FILE`) gets the traffic of all ports.
   * @returns its name
   * @throws NetmapError as openBackend and valeAttach; ECANCELED when the switch ends
   */
  add(spec: string): Promise<string> {
    return this.#change(async () => {
      if (this.#closing) throw failure('ECANCELED', 'the switch ends');
      if (isCapture(spec)) return this.#captures.start(spec, this.ports);
      const early: [BackendState, string][] = [];
      let name: string | undefined;
      const tell = (state: BackendState, reason: string): void => {
        if (name === undefined) early.push([state, reason]);
        else if (state === 'closed')
          this.remove(name).catch(() => {}); // by itself, with its interface; or removed already
        else this.#listener({ event: 'port', name, spec, state, reason });
      };
      const port = await openBackend(this.#netmap, spec, { onState: tell });
      try {
        await this.#netmap.valeAttach(`${this.bridge}:${port.name}`);
      } catch (error) {
        await port.close();
        throw error;
      }
      name = port.name;
      this.#ports.set(name, port);
      await this.#captures.add(name);
      for (const [state, reason] of early) tell(state, reason);
      return name;
    });
  }

  /** Takes a port away, or ends a capture; its counters stay in the snapshots. @throws NetmapError ENOENT */
  remove(name: string): Promise<void> {
    return this.#change(async () => {
      const port = this.#ports.get(name);
      if (!port) return this.#captures.stop(name);
      await port.stop();
      await this.#finish(port);
    });
  }

  /** All ports with their counters, and the forwarding table, at this moment. */
  async snapshot(): Promise<SwitchSnapshot> {
    const ports: SwitchPortSnapshot[] = [];
    const { fdb, fdbFull } = await this.#inspect();
    for (const port of this.#ports.values()) {
      const found = await this.#snapshotOf(port).catch(() => undefined); // its interface may be gone at this moment
      if (found) ports.push(found);
    }
    const seconds = (performance.now() - this.#started) / 1e3;
    const captures = this.#captures.snapshot;
    return { bridge: this.bridge, seconds, ports, removed: [...this.#removed.values()], captures, fdb, fdbFull };
  }

  /**
   * Ends the switch: what it has taken goes to the outside as far as that takes it, then the ports end.
   * @returns the totals, in which everything adds up; the ports are among the removed ones
   */
  close(): Promise<SwitchSnapshot> {
    this.#closing = true;
    return this.#change(async () => {
      await this.#drain();
      const ports = [...this.#ports.values()];
      await Promise.all(ports.map((port) => port.stop())); // from here on nothing comes in
      const { fdb, fdbFull } = await this.#inspect();
      for (const port of ports) await this.#finish(port);
      await this.#captures.close();
      return { ...(await this.snapshot()), fdb, fdbFull };
    });
  }

  /** A port whose workers have ended: takes it off the switch, and counts what was left in its rings. */
  async #finish(port: BackendPort): Promise<void> {
    const { name } = port;
    await this.#captures.remove(name);
    const copies = await this.#copies(name);
    await this.#netmap.valeDetach(`${this.bridge}:${name}`).catch(() => {}); // it may be gone with its interface
    await port.close();
    const { spec, state, reason } = port;
    const counters = await port.counters().catch(() => undefined); // the interface was taken by somebody else
    this.#ports.delete(name);
    if (counters) addEnded(this.#removed, { name, spec, state, reason, ...directionsOf(counters, copies) });
    this.#listener({ event: 'removed', name, spec, state, reason });
  }

  /** Waits until the packets that lie in the ports' rings now have gone out, or a second has passed. */
  async #drain(): Promise<void> {
    const counters = async (port: BackendPort) => port.counters().catch(() => undefined);
    const goals = new Map<BackendPort, number>();
    for (const port of this.#ports.values()) goals.set(port, (await counters(port))?.txOffered ?? 0);
    for (const until = performance.now() + DRAIN_LIMIT; performance.now() < until; ) {
      for (const [port, goal] of goals) {
        const now = await counters(port);
        if (port.state !== 'up' || !now || now.txPackets + sum(now.txDrops as Drops) - now.txCopies >= goal)
          goals.delete(port);
      }
      if (goals.size === 0) return;
      await sleep(DRAIN_LOOK);
    }
  }

  async #snapshotOf(port: BackendPort): Promise<SwitchPortSnapshot> {
    const { name, spec, state, reason } = port;
    const backend = await port.counters();
    return { name, spec, state, reason, ...directionsOf(backend, await this.#copies(name)) };
  }

  async #copies(name: string): Promise<Copies> {
    const { ports } = await this.#inspect();
    const found = ports.find((port) => port.name === `${this.bridge}:${name}`);
    const { forwarded = 0, flooded = 0, floodCopies = 0 } = found ?? {};
    return { forwarded, flooded, floodCopies };
  }

  async #inspect(): ReturnType<Netmap['valeInspect']> {
    const none = { name: this.bridge, ports: [], fdb: [], fdbFull: 0, lookup: null };
    return this.#netmap.valeInspect(this.bridge).catch(() => none); // a bridge without ports is none
  }

  #change<T>(change: () => Promise<T>): Promise<T> {
    const done = this.#changes.then(change);
    this.#changes = done.catch(() => {});
    return done;
  }
}
