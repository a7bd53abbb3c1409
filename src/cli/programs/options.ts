// What the programs are told to do, as plain data: parsed in the main thread, used in the workers.

/** Addresses of one side of the UDP frames: each port of the range for each address of the range. */
export interface AddressRange {
  readonly firstIp: number;
  readonly lastIp: number;
  readonly firstPort: number;
  readonly lastPort: number;
}

export interface PktGenOptions {
  readonly program: 'pkt-gen';
  readonly fn: 'tx' | 'rx';
  readonly ports: readonly string[];
  /** Packets to send or receive, Infinity = no limit. */
  readonly count: number;
  /** Bytes of a frame, without CRC. */
  readonly size: number;
  /** Slots handled between two syncs. */
  readonly burst: number;
  readonly src: AddressRange;
  readonly dst: AddressRange;
  readonly srcMac: readonly number[] | null;
  readonly dstMac: readonly number[];
  /** Seconds between the opening of the port and the first packet. */
  readonly wait: number;
  /** Packets a second, Infinity = as fast as possible. */
  readonly rate: number;
  /** Milliseconds between live reports. */
  readonly report: number;
}

export interface BridgeOptions {
  readonly program: 'bridge';
  readonly ports: readonly string[];
  readonly burst: number;
  readonly wait: number;
}

/** A C program, which opens its ports itself. */
export interface ExecProgramOptions {
  readonly program: 'exec';
  readonly ports: readonly [];
  /** Its module. */
  readonly file: string;
  readonly args: readonly string[];
}

export type ProgramOptions = PktGenOptions | BridgeOptions | ExecProgramOptions;

/** One program of a run. */
export interface ProgramSpec {
  /** As it was written, for the display. */
  readonly text: string;
  /** Host ports that are passed through to the guest that the program runs in; null: it runs on the host. */
  readonly guest: readonly string[] | null;
  readonly options: ProgramOptions;
  /** The ports that it opens: those of `-i`, or in a guest its first ones. */
  readonly ports: readonly string[];
}

/** Number of the interface that a guest's port name means, -1 if it is none: `netmap:ptnet0` or `ptnet0`. */
export function ptnetUnit(port: string): number {
  return Number(/^(?:netmap:)?ptnet(0|[1-9]\d{0,3})$/.exec(port)?.[1] ?? -1);
}

/** What a program has done itself. */
export interface ProgramResult {
  readonly packets: number;
  readonly bytes: number;
  /** From the first packet to the last one. */
  readonly seconds: number;
}
