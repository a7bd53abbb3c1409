// A small switch in front of an interface: clients that come and go, each one or more machines. They reach each other and
// the interface; who a frame is for is learned from source addresses.

import type { BackendContext } from './kind.js';
import { MacTable } from './mac-table.js';
import { Drainer, Injector, MIN_PACKET, oversizedOrRunt } from './packets.js';

const MAX_STATIONS = 4096;

/** One of those who are behind the interface. */
export interface Client {
  /** Whether it keeps up: if not, what is for it is dropped. */
  readonly hasRoom: boolean;
  /** Sends a frame; the bytes stay as they are. */
  send(frame: Uint8Array): void;
  /** What was sent since the last time may leave now. */
  flush(): void;
}

/** The interface, among the peers of the table. */
const WIRE = 'wire';

export class Hub {
  readonly #context: BackendContext;
  readonly #injector: Injector;
  readonly #drainer: Drainer;
  readonly #stations = new MacTable<Client | typeof WIRE>(MAX_STATIONS);
  readonly #clients = new Set<Client>();
  readonly #maxFrame: number;
  #now = performance.now();

  /** @param maxFrame bytes of the longest frame that clients take */
  constructor(context: BackendContext, maxFrame: number) {
    this.#context = context;
    this.#maxFrame = maxFrame;
    this.#injector = new Injector(context.wire);
    this.#drainer = new Drainer(context.wire);
  }

  get size(): number {
    return this.#clients.size;
  }

  add(client: Client): void {
    this.#clients.add(client);
  }

  remove(client: Client): void {
    this.#clients.delete(client);
    this.#stations.forget(client);
  }

  /** A client has sent a frame. */
  receive(client: Client, frame: Uint8Array): void {
    const { counters } = this.#context;
    const { length } = frame;
    if (length < MIN_PACKET || length > this.#maxFrame) {
      counters.rxDrop(oversizedOrRunt(length));
      return;
    }
    this.#now = performance.now();
    this.#stations.learn(frame, 0, client, this.#now);
    const to = this.#stations.lookup(frame, 0, this.#now);
    if (to === client) {
      counters.rxDrop('self');
      return;
    }
    if (to === undefined || to === WIRE) {
      const refused = this.#injector.push(frame);
      if (refused) counters.rxDrop(refused);
      else counters.received(1, length);
      this.#injector.flushSoon();
    }
    if (to === WIRE) return;
    for (const other of to === undefined ? this.#clients : [to]) {
      if (other === client) continue;
      if (!other.hasRoom) {
        counters.rxDrop('noRoom');
        continue;
      }
      other.send(frame);
      other.flush();
      counters.relay();
    }
  }

  /** Sends clients what the interface has transmitted. */
  transmit(): void {
    this.#now = performance.now();
    this.#drainer.drain((packet) => {
      this.#send(packet);
      return true;
    });
    for (const client of this.#clients) client.flush();
  }

  #send(packet: Uint8Array): void {
    const { counters } = this.#context;
    const { length } = packet;
    if (length < MIN_PACKET || length > this.#maxFrame) {
      counters.txDrop(oversizedOrRunt(length));
      return;
    }
    this.#stations.learn(packet, 0, WIRE, this.#now);
    const to = this.#stations.lookup(packet, 0, this.#now);
    if (to === WIRE) {
      counters.txDrop('self');
    } else if (this.#clients.size === 0) {
      counters.txDrop('down');
    } else {
      const copy = Uint8Array.from(packet); // clients keep it until it has left
      if (to !== undefined) this.#sendTo(to, copy);
      else this.#flood(copy);
    }
  }

  #flood(frame: Uint8Array): void {
    this.#context.counters.flooded(this.#clients.size);
    for (const client of this.#clients) this.#sendTo(client, frame);
  }

  #sendTo(client: Client, frame: Uint8Array): void {
    const { counters } = this.#context;
    if (!client.hasRoom) {
      counters.txDrop('noRoom');
      return;
    }
    client.send(frame);
    counters.transmitted(1, frame.length);
  }
}
