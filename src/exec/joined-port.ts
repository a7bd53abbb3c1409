// A port that descriptors of a program have bound, and what stands for it in the program's memory. Each descriptor opens
// its rings on both, so that the real port has those open that some descriptor has bound, and the errors are its own. Each
// ring is joined once, by a cable over the openings of one descriptor; when that one closes, by those of another.

import { NIOCTXSYNC } from '../abi.js';
import { type Cable, joinPorts } from '../cable/cable.js';
import type { Netmap } from '../control/netmap.js';
import { NetmapError } from '../errors.js';
import type { HostPort } from '../netmap/host-port.js';
import type { NetmapPort } from '../ring/port.js';
import type { NetmapRing } from '../ring/ring.js';
import type { StandIn } from './stand-in.js';
import { crossed, hostView, isDown, type Places, type UpstreamPort } from './upstream.js';

/** What a descriptor of the program has opened. */
export interface Binding {
  readonly upstream: UpstreamPort;
  /** The other side of the stand-in's rings, ring by ring as the real port's. */
  readonly end: HostPort;
}

interface Bound extends Binding {
  /** `fd` of the program's port in its host. */
  readonly port: number;
  isLeaving: boolean;
}

/** What a cable has joined. */
interface Joint {
  /** Whose openings. */
  readonly bound: Bound;
  /** Addresses of the real rings. */
  readonly rings: readonly number[];
}

/** How long the close of a port waits for what was sent (ms), and how often it looks. */
const LINGER = 2000;
const LINGER_LOOK = 2;

export class JoinedPort {
  readonly standIn: StandIn;
  /** Of the real port. */
  readonly name: string;
  /** A monitor is the descriptor's that has opened it. */
  readonly isMonitor: boolean;
  readonly #onEnd: (error: NetmapError) => void;
  readonly #bindings = new Map<number, Bound>();
  readonly #joints = new Map<Cable, Joint>();

  /** @param onEnd a cable has ended by itself */
  constructor(standIn: StandIn, { port, isMonitor }: UpstreamPort, onEnd: (error: NetmapError) => void) {
    this.standIn = standIn;
    this.name = port.name;
    this.isMonitor = isMonitor;
    this.#onEnd = onEnd;
  }

  get isUsed(): boolean {
    return this.#bindings.size !== 0;
  }

  /** Ports of the program's host whose real port works no more. */
  get gone(): number[] {
    return [...this.#bindings.values()].filter(({ upstream }) => isDown(upstream.port)).map(({ port }) => port);
  }

  /** Places of the rings of an opening that are not joined yet. */
  unjoined({ port }: UpstreamPort): Places {
    const joined = new Set([...this.#joints.values()].flatMap(({ rings }) => rings));
    return placesOf(port, (ring) => !joined.has(ring));
  }

  /** @param fd the program's descriptor. @param port its port in the program's host. @throws NetmapError as joinPorts */
  add(fd: number, port: number, binding: Binding): void {
    const bound: Bound = { ...binding, port, isLeaving: false };
    this.#join(bound);
    this.#bindings.set(fd, bound);
  }

  /** Joins those rings of an opening that are not. */
  #join(bound: Bound): void {
    const { upstream, end } = bound;
    const places = this.unjoined(upstream);
    if (places.tx.length + places.rx.length === 0) return;
    const real = upstream.part(places);
    const options = { keepAlive: true, standIn: true, indirect: upstream.hasIndirect };
    const cable = joinPorts(hostView(end, crossed(places)), real, options);
    this.#joints.set(cable, { bound, rings: [...real.txRings, ...real.rxRings].map(({ ptr }) => ptr) });
    void cable.ended.then((error) => {
      if (error && this.#joints.has(cable)) this.#onEnd(error);
    });
  }

  /** What a descriptor has sent is not lost with its rings, unless nobody takes it for a while. */
  async drain(fd: number, host: Netmap): Promise<void> {
    const bound = this.#bindings.get(fd);
    if (!bound) return;
    bound.isLeaving = true;
    const { end, upstream } = bound;
    const others = [...this.#bindings.values()].filter(({ isLeaving }) => !isLeaving);
    const kept = new Set(others.flatMap((other) => other.upstream.port.txRings.map(({ ptr }) => ptr)));
    const { tx } = placesOf(upstream.port, (ring) => !kept.has(ring));
    if (tx.length === 0) return;
    const until = performance.now() + LINGER;
    const file = host.openDevice({ fd });
    while (performance.now() < until && !isDown(upstream.port)) {
      // What the wire had no room for is in the program's own rings still.
      if (this.standIn.hasWire) await file.ioctlAsync(NIOCTXSYNC);
      end.rxsync();
      const isPassed = tx.every((place) => end.rxRings[place].head === end.rxRings[place].tail);
      if (isPassed && upstream.unsent(tx) === 0) break;
      if (!this.#pump()) await new Promise((resolve) => setTimeout(resolve, LINGER_LOOK));
    }
    await file.close();
  }

  #pump(): boolean {
    return [...this.#joints.keys()].map((cable) => cable.pump()).includes(true);
  }

  /** Closes what a descriptor has opened. Other descriptors that have bound its rings go on with them. */
  async remove(fd: number): Promise<void> {
    const bound = this.#bindings.get(fd);
    if (!bound) return;
    this.#bindings.delete(fd);
    try {
      for (const [cable, joint] of [...this.#joints]) {
        if (joint.bound !== bound) continue;
        this.#joints.delete(cable);
        await cable.close();
      }
      for (const other of this.#bindings.values()) this.#rejoin(other);
      await bound.end.close(); // may fail where the program has destroyed its memory
      if (!this.isUsed) await this.standIn.close();
    } finally {
      await bound.upstream.close();
    }
  }

  #rejoin(bound: Bound): void {
    try {
      this.#join(bound);
    } catch (error) {
      if (!(error instanceof NetmapError)) throw error;
      this.#onEnd(error);
    }
  }
}

function placesOf({ txRings, rxRings }: NetmapPort, wanted: (ring: number) => boolean): Places {
  const pick = (rings: readonly NetmapRing[]): number[] =>
    [...rings.keys()].filter((place) => wanted(rings[place].ptr));
  return { tx: pick(txRings), rx: pick(rxRings) };
}
