// The module of a program's thread: that of the program without its data, which is in the memory already, with a stack
// and with thread-local variables of its own.

import { netmapError } from '../errors.js';
import { globalFor, initialValues, type ThreadLocals } from './thread-locals.js';
import { dataSegments, readGlobals, readSections, SECTION, writeModule } from './wasm-binary.js';

const CREATES_THREADS = 'thread_create';
const DROPPED: readonly number[] = [SECTION.DATA, SECTION.DATA_COUNT, SECTION.START];

/** What the module of a thread is made of; plain data. */
export interface ThreadTemplate {
  /** The program's module. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Index of the global that is the stack pointer. */
  readonly stack: number;
  readonly locals?: ThreadLocals;
  readonly localValues: Uint8Array;
}

/** Whether a compiled program makes threads. */
export function createsThreads(module: WebAssembly.Module): boolean {
  return WebAssembly.Module.imports(module).some(({ name }) => name === CREATES_THREADS);
}

/**
 * @param stack index of the global that is the stack pointer, if the module tells
 * @throws NetmapError EINVAL: its globals have no names to know them by, or its data has no fixed place
 */
export function threadTemplate(
  bytes: Uint8Array<ArrayBuffer>,
  stack: number | undefined,
  locals: ThreadLocals | undefined,
): ThreadTemplate {
  const refuse = (why: string): never => {
    throw netmapError('EINVAL', `the program makes threads, and ${why}`, { op: 'exec' });
  };
  const data = readSections(bytes).find(({ id }) => id === SECTION.DATA);
  const segments = data ? dataSegments(data.bytes) : [];
  if (!segments) return refuse('does not tell where its data lies: link without --shared-memory');
  if (stack === undefined) {
    return refuse('has no names: link without --strip, and without a wasm-opt on the path (npm puts one there)');
  }
  return { bytes, stack, locals, localValues: locals ? initialValues(locals, segments) : new Uint8Array() };
}

/** The module of a thread. */
export function threadModule(template: ThreadTemplate, stackTop: number, locals: number): Uint8Array<ArrayBuffer> {
  const changed = new Map([[template.stack, stackTop]]);
  if (template.locals) changed.set(template.locals.global, globalFor(template.locals, locals));
  const sections = readSections(template.bytes).filter(({ id }) => !DROPPED.includes(id));
  return writeModule(
    sections.map(({ id, bytes }) => ({
      id,
      bytes: id === SECTION.GLOBAL ? readGlobals(bytes).with(changed) : bytes,
    })),
  );
}
