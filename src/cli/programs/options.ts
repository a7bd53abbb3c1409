// What the programs are told to do, as plain data: parsed in the main thread, used in the workers.

import type { PollingOptions } from '../../index.js';
import type { ErrorJSON } from '../errors.js';

/** Addresses of one side of the UDP frames: each port of the range for each address of the range. */
export interface AddressRange {
  readonly firstIp: number;
  readonly lastIp: number;
  readonly firstPort: number;
  readonly lastPort: number;
}

/** MAC addresses as 48-bit numbers: each of them in turn. */
export interface MacRange {
  readonly first: number;
  readonly last: number;
}

/** Counts of a port that a program makes; the defaults are netmap's. */
export interface PortConfig {
  readonly txSlots?: number;
  readonly rxSlots?: number;
  readonly txRings?: number;
  readonly rxRings?: number;
  readonly extraBufs?: number;
  readonly memId?: number;
}

export interface PktGenOptions {
  readonly program: 'pkt-gen';
  readonly fn: 'tx' | 'rx' | 'ping' | 'pong';
  readonly ports: readonly string[];
  /** Packets to send or receive, Infinity = no limit. */
  readonly count: number;
  /** Bytes of a frame, without CRC. */
  readonly size: number;
  /** Below `size`: each frame has a random size from this to `size` - 1. */
  readonly minSize: number;
  /** Slots handled between two syncs. */
  readonly burst: number;
  readonly src: AddressRange;
  readonly dst: AddressRange;
  /** null: that of the port. */
  readonly srcMac: MacRange | null;
  readonly dstMac: MacRange;
  /** Addresses and ports at random within their range, instead of in turn. */
  readonly randomSrc: boolean;
  readonly randomDst: boolean;
  /** Bytes to send instead of a frame made of the above. */
  readonly frame: readonly number[] | null;
  /** Sends what lies in the buffers. */
  readonly rubbish: boolean;
  /** Dumps packets to standard error. */
  readonly dump: boolean;
  /** Seconds between the opening of the port and the first packet. */
  readonly wait: number;
  /** A receiver that finds nothing at first ends at once. */
  readonly endIfEmpty: boolean;
  /** Packets a second, Infinity = as fast as possible. */
  readonly rate: number;
  /** Milliseconds between live reports. */
  readonly report: number;
  /** Programs that this is run as, each with a ring pair of its own. */
  readonly threads: number;
  readonly config: PortConfig;
}

export interface BridgeOptions {
  readonly program: 'bridge';
  /** Whether a port has a backend: then it goes on when nothing comes for a while. */
  readonly outside?: boolean;
  readonly ports: readonly string[];
  readonly burst: number;
  readonly wait: number;
  /** Copies frames, also where buffers could be swapped. */
  readonly copy: boolean;
  /** One port, which gets back what it sends. */
  readonly loopback: boolean;
  /** Tells the frames of each direction. */
  readonly verbose: boolean;
}

export interface ValeCtlAction {
  readonly letter: string;
  /** A port or an interface, '' = none was named. */
  readonly name: string;
}

export interface ValeCtlOptions {
  readonly program: 'vale-ctl';
  readonly ports: readonly string[];
  readonly actions: readonly ValeCtlAction[];
  readonly config: PortConfig;
  /** Who polls an interface. */
  readonly polling: PollingOptions;
}

/** A C program, which opens its ports itself. */
export interface ExecProgramOptions {
  readonly program: 'exec';
  readonly ports: readonly [];
  /** Its module. */
  readonly file: string;
  readonly args: readonly string[];
}

export interface ReplayOptions {
  readonly program: 'replay';
  readonly ports: readonly string[];
  /** The capture, pcap or pcapng. */
  readonly file: string;
  /** Frames a second, Infinity = as fast as possible. */
  readonly rate: number;
  /** Keeps the distances in time of the capture. */
  readonly realtime: boolean;
  /** Replaces the source address of all frames. */
  readonly src: readonly number[] | null;
}

export interface CaptureOptions {
  readonly program: 'capture';
  readonly ports: readonly string[];
  /** The file; pcapng if its name ends so, otherwise pcap. */
  readonly file: string;
  /** Packets to capture, Infinity = no limit. */
  readonly count: number;
  /** Bytes that are kept of a packet. */
  readonly snapLength: number;
}

export type ProgramOptions =
  | ReplayOptions
  | CaptureOptions
  | PktGenOptions
  | BridgeOptions
  | ValeCtlOptions
  | ExecProgramOptions;

/** One program of a run. */
export interface ProgramSpec {
  /** As it was written, for the display. */
  readonly text: string;
  /** Host ports that are passed through to the guest that the program runs in; null: it runs on the host. */
  readonly guest: readonly string[] | null;
  readonly options: ProgramOptions;
  /** Counts of the ports that it makes, where they differ from the run's. */
  readonly config: PortConfig;
  /** The ports that it opens: those of `-i`, or in a guest its first ones. */
  readonly ports: readonly string[];
}

/** Number of the interface that a guest's port name means, -1 if it is none: `netmap:ptnet0` or `ptnet0`. */
export function ptnetUnit(port: string): number {
  return Number(/^(?:netmap:)?ptnet(0|[1-9]\d{0,3})$/.exec(port)?.[1] ?? -1);
}

/** Round-trip times in microseconds, of those that came back. */
export interface Latency {
  readonly min: number;
  readonly avg: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
  /** Pings that were not answered in time. */
  readonly lost: number;
}

/** What a program has done itself. */
export interface ProgramResult {
  /** Of a ping. */
  readonly latency?: Latency;
  /** Further lines for the summary. */
  readonly output?: readonly string[];
  readonly packets: number;
  readonly bytes: number;
  /** From the first packet to the last one. */
  readonly seconds: number;
  /** Packets that the program itself could not deal with, by reason. */
  readonly drops?: Readonly<Record<string, number>>;
  /** What it has failed with, although it has gone on to its end. */
  readonly failure?: ErrorJSON;
}
