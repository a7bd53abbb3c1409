// What a suite is made of: cases, and for each case the contenders that do the same work.
import type { NativeTwin } from './native.js';

/** Packets (slots, syncs, checksums) of one call of a contender. */
export const BATCH = 256;
export const RING_SLOTS = 1024;

/**
 * Further forms of ours: with an application in Wasm, in the batches of others, with kernel loops in a thread of their own, without
 * guests, in an emulator.
 */
export const WASM_PROGRAM = 'ptnet, Wasm program';
export const SMALL_BATCHES = 'ptnet, batch 32';
export const LOOP_THREAD = 'ptnet, loop thread';
export const HOST_PORTS = 'ptnet, host ports';
export const HOST_PORTS_WASM = 'ptnet, host ports, Wasm program';
export const MMIO = 'ptnet, MMIO';
export const RAM_WINDOW = 'ptnet, RAM window';

/** Something that runs in this process. */
export interface Contender {
  /** The case's `ours` (default `ptnet`) is compared with the others. */
  readonly name: string;
  /** Does the work of one batch. */
  readonly run: () => void;
  /** Digest of what a fixed workload delivered: equal in all contenders, the native one included. */
  readonly digest: number;
  /** Further figures, by their names. */
  readonly figures?: Readonly<Record<string, number>>;
  /** @throws Error when the timed runs lost something */
  check(): void;
}

/** The check of contenders whose proof can be taken again: what has run for a while has been compiled anew. */
export function checkAgain(name: string, prove: () => number, digest: number): void {
  if (prove() !== digest) throw new Error(`${name}: the answers after the timed runs are not those before`);
}

export interface OpenCase {
  readonly contenders: readonly Contender[];
  close(): Promise<void>;
}

interface CaseBase {
  readonly suite: string;
  readonly name: string;
  /** Of the values: always one of which less is better. */
  readonly unit: string;
  /** The contender that is ours. Default: ptnet. Those whose names begin with `ptnet, ` are further forms of ours. */
  readonly ours?: string;
}

/** A micro bench: benchmark.js calls the contenders, and the native twin times itself. */
export interface Case extends CaseBase {
  /** Packets of one call of a contender, if not BATCH. */
  readonly batch?: number;
  /** Bytes of a packet, where the table shall have Gbit/s. */
  readonly bytes?: number;
  /** The native twin's task (bench/native/twin.c), if it has one, and the size of its frames. */
  readonly task?: string;
  readonly size: number;
  /** Whether the twin with netmap's table, hash and strides runs too. */
  readonly netmapTable?: boolean;
  /** Whether the twin that checks a pipe's slots by vectors runs too. */
  readonly slotVectors?: boolean;
  /** Whether the twins with narrower vectors run too. */
  readonly widths?: boolean;
  open(): Promise<OpenCase>;
}

/** What one run by the clock gave: `value` in the case's unit, and other figures by their names. */
export interface Run {
  readonly value: number;
  readonly extra?: Readonly<Record<string, number>>;
}

/** Something with threads or processes of its own. */
export interface TimedContender {
  readonly name: string;
  /** As in Contender, where the contender can tell. */
  readonly digest?: number;
  /** Starts programs for each run, which takes seconds and warms them up: not in more than three rounds. */
  readonly slow?: boolean;
  /** Works for a part of a round, of a case that has several; `run` is then the last part, and gives what all of them gave. */
  part?(): Promise<void>;
  /** Works for about `seconds`. @throws Error when something was lost or is wrong, Absent when it does not work here */
  run(seconds: number): Promise<Run>;
  close(): Promise<void>;
}

/** An end-to-end bench: packets over wall time. */
export interface TimedCase extends CaseBase {
  /** Opens the contenders one after the other; one that throws Absent is named and left out. */
  readonly entrants: readonly (() => Promise<TimedContender>)[];
  /** Further cases of the same runs: their names, and the figures (`extra`) that are their values. */
  readonly further?: Readonly<Record<string, string>>;
  /** Parts of a round, in which the contenders take turns: what the machine does meanwhile meets all of them alike. Default: 1. */
  readonly parts?: number;
}

/** A contender that this machine does not have. */
export class Absent extends Error {}

export interface SuiteOptions {
  /** Frame sizes in bytes. */
  readonly sizes: readonly number[];
  /** The smallest form: that everything runs and agrees. */
  readonly quick: boolean;
  readonly native: NativeTwin | undefined;
}
