// A network interface, as the thread that made it sees it.

import type { Thread } from '../threads/thread.js';
import { HostPort, type PortControl } from './host-port.js';
import type { InterfaceInfo } from './interfaces.js';

/** The two ends of a network interface that its owner has; applications have the rings (`netmap:NAME`). */
export class NetmapInterface {
  readonly name: string;
  /**
   * The wire. Its rx rings hold what applications have transmitted, ring by ring; a transmitter waits while they are full.
   * Its tx rings take what the interface is to receive; frames without room are dropped and counted here. While no port
   * has an rx ring open, frames for it go to the host stack.
   */
  readonly wire: HostPort;
  /**
   * The host stack: `send` puts a frame into the host rx ring, or on the wire while no port has the NIC tx ring open;
   * what it receives comes from host tx rings, from the wire, and by forwarding.
   */
  readonly stack: HostPort;

  constructor(thread: Thread, info: InterfaceInfo, control: PortControl) {
    this.name = info.name;
    this.wire = new HostPort(thread, info.wire, control);
    this.stack = new HostPort(thread, info.stack, control);
  }

  /**
   * Takes the interface away, from its bridge too; closing one of its ends does so as well. Ports that have it open get
   * POLLERR, and -EIO from syncs.
   */
  async close(): Promise<void> {
    await this.wire.close();
    await this.stack.close();
  }
}
