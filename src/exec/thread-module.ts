// The module of a program's thread: that of the program without its data, which is in the memory already, with a stack
// and with thread-local variables of its own.
//
// wasm-ld puts these variables into one block, whose address is the global __tls_base. In a module that was not linked for
// threads it is a constant; here every thread gets its own.

import { netmapError } from '../errors.js';
import {
  type DataSegment,
  dataSegments,
  readGlobals,
  readNames,
  readSections,
  SECTION,
  writeModule,
} from './wasm-binary.js';

const STACK_POINTER = '__stack_pointer';
const TLS_BASE = '__tls_base';
const CREATES_THREADS = 'thread_create';
/** Bytes that the last segment of data may go on for with zeros, which are not in the module. */
const MAX_ZEROS = 65536;

export interface ThreadTemplate {
  /** Bytes of thread-local variables. */
  readonly tlsSize: number;
  /** The module of a thread; its variables have to be given their initial values. */
  module(stackTop: number, tls: number): Uint8Array<ArrayBuffer>;
  /** Those values: tlsSize bytes. */
  readonly tlsImage: Uint8Array;
}

/** Whether a compiled program makes threads. */
export function createsThreads(module: WebAssembly.Module): boolean {
  return WebAssembly.Module.imports(module).some(({ name }) => name === CREATES_THREADS);
}

/**
 * @param bytes a prepared module of a program that makes threads
 * @throws NetmapError EINVAL: its globals have no names to know them by, or its data has no fixed place
 */
export function threadTemplate(bytes: Uint8Array): ThreadTemplate {
  const refuse = (why: string): never => {
    throw netmapError('EINVAL', `the program makes threads, and ${why}`, { op: 'exec' });
  };
  const sections = readSections(bytes);
  const find = (id: number): Uint8Array => sections.find((section) => section.id === id)?.bytes ?? Uint8Array.of(0);
  const names = sections
    .filter(({ id }) => id === SECTION.CUSTOM)
    .map((section) => readNames(section.bytes))
    .find((found) => found !== undefined);
  const stack = names?.globals.get(STACK_POINTER);
  const tls = names?.globals.get(TLS_BASE);
  if (stack === undefined) {
    return refuse('has no names: link without --strip, and without a wasm-opt on the path (npm puts one there)');
  }
  const segments = dataSegments(find(SECTION.DATA));
  if (!segments) return refuse('does not tell where its data lies: link without --shared-memory');
  const globals = readGlobals(find(SECTION.GLOBAL));
  const base = tls === undefined ? undefined : globals.values[tls];
  const tlsSize = base === undefined ? 0 : sizeFrom(base, segments);
  const dropped: number[] = [SECTION.DATA, SECTION.DATA_COUNT, SECTION.START];
  const kept = sections.filter(({ id }) => !dropped.includes(id));
  return {
    tlsSize,
    tlsImage: base === undefined ? new Uint8Array() : imageOf(base, tlsSize, segments),
    module: (stackTop, ownTls) => {
      const changed = new Map([[stack, stackTop]]);
      if (tls !== undefined) changed.set(tls, ownTls);
      const own = { id: SECTION.GLOBAL, bytes: globals.with(changed) };
      return writeModule(kept.map((section) => (section.id === SECTION.GLOBAL ? own : section)));
    },
  };
}

/** The block ends where the next segment begins, at the latest. */
function sizeFrom(base: number, segments: readonly DataSegment[]): number {
  const next = segments.map(({ start }) => start).filter((start) => start > base);
  return next.length === 0 ? MAX_ZEROS : Math.min(...next) - base;
}

function imageOf(base: number, size: number, segments: readonly DataSegment[]): Uint8Array {
  const image = new Uint8Array(size);
  const own = segments.find(({ start }) => start === base);
  if (own) image.set(own.bytes.subarray(0, size));
  return image;
}
