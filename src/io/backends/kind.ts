// What a kind of backend is: something that reads a specification, may open what its workers share, and runs in workers
// that have the wire of its network interface.

import type { Netmap } from '../../control/netmap.js';
import type { HostPort } from '../../netmap/host-port.js';
import type { InterfaceOptions } from '../../netmap/nic.js';
import type { CounterWriter } from './counters.js';
import type { BackendSpec } from './spec.js';

/** Which rings of the wire a worker has: it puts what it receives into tx rings, and transmits what rx rings hold. */
export type Direction = 'receive' | 'transmit' | 'both';

/** A worker that a backend needs. Its configuration is plain data. */
export interface WorkerPlan {
  readonly direction: Direction;
  /** The ring pair that it has; all of them by default. */
  readonly ring?: number;
  readonly config: unknown;
}

/** What a specification comes to. */
export interface BackendPlan {
  /** Name of the interface unless the specification says another; a text with `%d` gets the first free number. */
  readonly name: string;
  readonly interface: InterfaceOptions;
  readonly workers: readonly WorkerPlan[];
}

/** What the workers of a backend share while it is up. */
export interface Session {
  /** Plain data for all workers. */
  readonly data: unknown;
  /** Rouses workers that block in a call of the system: they are to end. */
  wake?(): void;
  /** Gives up what was opened. The workers have ended. */
  close(): void | Promise<void>;
}

export interface BackendKind {
  /** Reads the target and the options. @throws NetmapError EINVAL */
  plan(spec: BackendSpec): BackendPlan;
  /** Opens what the workers share, in the control thread. An error is final at the first start, and retried later. */
  open?(spec: BackendSpec): Promise<Session>;
  /**
   * Runs in a worker until `context.stopped`. An end before that, or an error, is a failure: the backend is started again.
   */
  run(context: BackendContext): Promise<void>;
}

/** What a worker of a backend has. */
export interface BackendContext {
  readonly netmap: Netmap;
  /** Name of the interface. */
  readonly name: string;
  /** The wire, with the rings of the worker's direction. POLLERR: the backend is to end. */
  readonly wire: HostPort;
  /** Of the plan. */
  readonly config: unknown;
  /** Of the session. */
  readonly data: unknown;
  readonly counters: CounterWriter;
  /** Whether the worker is to end. For workers that block, which have no events; their netmap waits are woken. */
  readonly stopped: boolean;
  /** The same for those that have. */
  readonly signal: AbortSignal;
  /** Tells the owner that the outside is there, or why it is not. At first it is not. */
  state(state: 'up' | 'down', reason?: string): void;
}
