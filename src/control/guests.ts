// The guests of a host, as one of its threads makes them and runs them.

import type { HostedMachine } from '../ptnet/driver-machine.js';
import type { Backend, NetmapHandle } from './backend.js';
import type { GuestInfo, GuestOptions } from './guest-record.js';
import type { PassthroughOptions } from './operations.js';
import { type GuestMachine, makeMachine } from './window.js';

/** Can be posted to a worker, where `Netmap.attachGuest` gives the guest's machine. */
export interface GuestHandle {
  readonly netmap: NetmapHandle;
  readonly guest: number;
}

/** A guest: RAM and a bus with ptnet devices. */
export interface Guest {
  readonly id: number;
  /**
   * Passes a host port through: opens it exclusively and puts a ptnet device on the guest's bus.
   * @throws NetmapError as `open`, and EINVAL (more than 32 rings, loop mode without loop workers)
   */
  passthrough(spec: string, options?: PassthroughOptions): Promise<void>;
  /** The machine as code in this thread sees it; the guest's interrupts come to this thread from now on. */
  machine(): Promise<HostedMachine>;
  /** For a worker that is to run the guest; pass the worker if you have it, so that its death is noticed. */
  handle(worker?: object): GuestHandle;
  /** Stops its devices, closes their ports, frees its RAM. */
  close(): Promise<void>;
}

type Call = (op: string, args: unknown) => Promise<unknown>;

export class Guests {
  readonly #backend: Backend;
  readonly #call: Call;
  /** Machines of guests in this thread, by the guest's id. */
  readonly #machines = new Map<number, GuestMachine>();

  constructor(backend: Backend, call: Call) {
    this.#backend = backend;
    this.#call = call;
  }

  /**
   * Makes a guest.
   * @param handle of the host, for a worker that is to run the guest
   * @throws NetmapError EINVAL, ENOMEM
   */
  async create(options: GuestOptions, handle: (worker?: object) => NetmapHandle): Promise<Guest> {
    const { id } = (await this.#call('createGuest', { options })) as GuestInfo;
    return {
      id,
      passthrough: async (spec, passthrough = {}) => {
        const mac = passthrough.mac === undefined ? {} : { mac: [...passthrough.mac] };
        await this.#call('passthrough', { id, spec, options: { ...passthrough, ...mac } });
      },
      machine: () => this.machine(id),
      handle: (worker) => ({ netmap: handle(worker), guest: id }),
      close: async () => {
        this.#machines.get(id)?.disconnect();
        this.#machines.delete(id);
        await this.#call('closeGuest', { id });
      },
    };
  }

  /** The machine of a guest, which runs in this thread from now on. @throws NetmapError ENXIO */
  async machine(id: number): Promise<HostedMachine> {
    const info = (await this.#call('bindGuest', { id })) as GuestInfo;
    this.#machines.get(id)?.stop();
    const made = makeMachine(this.#backend.thread, this.#backend.path, info);
    this.#machines.set(id, made);
    return made.machine;
  }

  /** Takes all machines away: this thread leaves the host. */
  disconnect(): void {
    for (const machine of this.#machines.values()) machine.disconnect();
  }
}
