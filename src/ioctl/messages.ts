// What the thread of a program and the control thread tell each other about a request; plain data.

import type { DataModel } from '../memory/data-model.js';
import type { ExtmemOptions } from '../memory/extmem.js';
import type { GlobalPoolParams } from '../memory/pools.js';
import type { ShownAs } from '../netmap/netmap-if.js';
import type { OffsetOptions } from '../netmap/offsets.js';
import type { PortInfo } from '../netmap/register.js';

/** What the CSB option names, as addresses of the arena. */
export interface CsbOption {
  readonly atok: number;
  readonly ktoa: number;
  /** The byte behind the program's memory; 0 when that is not the arena's, and no kernel loop can reach it. */
  readonly end: number;
}

/** What the EXTMEM option names, as an address of the arena. */
export interface ExtmemOption extends Required<ExtmemOptions> {
  /** Whether it is all in the program's memory; null when that is not the arena's, and no region can lie there. */
  readonly isOwn: boolean | null;
}

/** What START needs to know of the program's event descriptors. */
export interface EventfdsOption {
  /** nro_size. */
  readonly size: number;
  /** Whether the program has a table of them. */
  readonly supported: boolean;
  /** Whether every ring has one for kicks. */
  readonly allKicks: boolean;
  /** Whether some ring has one for interrupts. */
  readonly someIrqs: boolean;
  /** Whether one is not in the table. */
  readonly bad: boolean;
}

export interface DeviceRequest {
  readonly fd: number;
  /** Whether the descriptor is this thread's, and may be new. */
  readonly isOwner: boolean;
  /** Thread that a new descriptor belongs to. Default: the asking one. */
  readonly owner?: number;
  /** Of the program. Default: lp64. */
  readonly dataModel?: DataModel;
  /** REGISTER: the port elsewhere that this one stands for. */
  readonly shownAs?: ShownAs;
  /** nr_reqtype. */
  readonly type: number;
  /** nr_name; null when it is not UTF-8. */
  readonly name: string | null;
  readonly body: Readonly<Record<string, number>>;
  /** Types of all options. */
  readonly options: readonly number[];
  readonly csb?: CsbOption;
  readonly extmem?: ExtmemOption;
  readonly eventfds?: EventfdsOption;
  readonly offsets?: OffsetOptions;
  /** Bits of SYNC_KLOOP_MODE. */
  readonly mode?: number;
}

/** A request as a program makes it. */
export type ProgramRequest = Omit<DeviceRequest, 'fd' | 'isOwner' | 'owner' | 'dataModel'>;

/** A kernel loop that the asking thread is to run until it is stopped. */
export interface LoopRun {
  /** Address of the struct kloop. */
  readonly loop: number;
  /** KLOOP_STARTS of this run. */
  readonly starts: number;
  readonly isBusy: boolean;
}

export interface DeviceAnswer {
  /** 0 or a negative errno. */
  readonly errno: number;
  /** nro_status by option type; the other options stay EOPNOTSUPP. */
  readonly status: Readonly<Record<number, number>>;
  /** Fields of the body that have changed. */
  readonly body?: Readonly<Record<string, number>>;
  /** nr_name, if it has changed. */
  readonly name?: string;
  /** REGISTER: the port. */
  readonly port?: PortInfo;
  /** The pools' parameters with their defaults, if the EXTMEM option was taken. */
  readonly extmem?: GlobalPoolParams;
  /** nro_max_offset, if the OFFSETS option was taken. */
  readonly maxOffset?: number;
  /** START: the loop, unless a STOP came first. */
  readonly run?: LoopRun;
}
