// A program's module, made ready: its memory becomes an import that threads can share, and what is known of its layout.
//
// A C compiler gives a program a memory that it makes itself, and that no other thread can see. The code does not depend
// on that: memory 0 is rewritten to the import `env.memory`, shared, and the function table becomes an export, through
// which the host calls handlers of signals and the functions that threads begin with.

import { netmapError } from '../errors.js';
import { findThreadLocals, globalFor, type ThreadLocals } from './thread-locals.js';
import {
  dataExtent,
  dataSegments,
  encodeU32,
  exportTable,
  type Names,
  Reader,
  readGlobals,
  readNames,
  readSections,
  SECTION,
  type Section,
  splitImports,
  stackTop,
  writeModule,
} from './wasm-binary.js';

export const PAGE = 65536;
export const WASI_MODULE = 'wasi_snapshot_preview1';
/** What include/wasi declares. */
const PTNET_IMPORTS = [
  'alarm',
  'ioctl',
  'mmap',
  'munmap',
  'poll',
  'eventfd',
  'signals',
  'signal_mask',
  'signal_raise',
  'signal_wait',
  'thread_create',
  'thread_exit',
  'thread_kill',
  'thread_tls_size',
  'futex_wait',
  'sleep',
  'processors',
];
/** The export that the function table gets. */
export const FUNCTION_TABLE = 'ptnet_functions';
/** Functions of heaps that take memory behind the program: libc's, and that of include/wasi/ptnet/heap.h. */
const GROWING_HEAPS = ['sbrk', 'dlmalloc', 'ptnet_grow_memory'];
const SHARED_WITH_MAXIMUM = 3;
const MEMORY_KIND = 2;

/** What the binary tells of where a program's memory is used from the start. */
export interface ProgramLayout {
  /** Data segments. Undefined: they have no fixed place. */
  readonly data: { readonly start: number; readonly end: number } | undefined;
  /** Where the stack begins, downwards. */
  readonly stackTop: number | undefined;
  /** Whether it takes memory beyond that (the heap of libc). Undefined: it has no names. */
  readonly growsHeap: boolean | undefined;
}

export interface PreparedModule {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Pages that it wants at the start. */
  readonly initial: number;
  readonly layout: ProgramLayout;
  /** Index of the global that is the stack pointer; undefined: it has no names. */
  readonly stack: number | undefined;
  readonly locals: ThreadLocals | undefined;
}

/** A memory with a name, imported from `env`. */
function memoryImport(initial: number, maximum: number): Uint8Array {
  const name = (text: string): number[] => [text.length, ...new TextEncoder().encode(text)];
  const limits = [SHARED_WITH_MAXIMUM, ...encodeU32(initial), ...encodeU32(maximum)];
  return Uint8Array.of(...name('env'), ...name('memory'), MEMORY_KIND, ...limits);
}

function joinImports(others: readonly Uint8Array[], memory: Uint8Array): Uint8Array {
  const parts = [Uint8Array.from(encodeU32(others.length + 1)), memory, ...others];
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

/**
 * Rewrites a module.
 * @param maximum pages that its memory may have
 * @throws NetmapError EINVAL: not a Wasm module; no memory, or one that wants more than `maximum` pages
 */
export function prepareModule(binary: Uint8Array, maximum: number): PreparedModule {
  const copy = Uint8Array.from(binary);
  if (!WebAssembly.validate(copy)) throw netmapError('EINVAL', 'this is no WebAssembly module', { op: 'exec' });
  const sections = readSections(copy);
  const find = (id: number): Uint8Array | undefined => sections.find((section) => section.id === id)?.bytes;
  const imports = splitImports(find(SECTION.IMPORT) ?? Uint8Array.of(0));
  const own = find(SECTION.MEMORY);
  const limits = imports.memory ?? (own && new Reader(own, 1).limits());
  if (!limits) throw netmapError('EINVAL', 'the module has no memory: it is no C program', { op: 'exec' });
  if (limits.initial > maximum) {
    throw netmapError('EINVAL', `the program wants ${limits.initial} pages of memory, and may have ${maximum}`, {
      op: 'exec',
    });
  }
  const rewritten: Section = {
    id: SECTION.IMPORT,
    bytes: joinImports(imports.others, memoryImport(limits.initial, maximum)),
  };
  const kept = sections.filter(({ id }) => id !== SECTION.IMPORT && id !== SECTION.MEMORY);
  // After the types, which are the first section but for custom ones.
  const place = kept.findIndex(({ id }) => id > SECTION.IMPORT);
  kept.splice(place < 0 ? kept.length : place, 0, rewritten);
  const names = namesOf(sections);
  const locals = localsOf(sections, names, limits.initial * PAGE);
  const hasTable = sections.some(({ id }) => id === SECTION.TABLE);
  const whole = kept.map((section) => withLocals(hasTable ? withTable(section) : section, locals));
  return {
    bytes: writeModule(whole),
    initial: limits.initial,
    layout: readLayout(sections, names),
    stack: names?.globals.get('__stack_pointer'),
    locals,
  };
}

function withTable({ id, bytes }: Section): Section {
  return { id, bytes: id === SECTION.EXPORT ? exportTable(bytes, FUNCTION_TABLE) : bytes };
}

/** The first thread's variables are where they should be. */
function withLocals({ id, bytes }: Section, locals: ThreadLocals | undefined): Section {
  if (id !== SECTION.GLOBAL || !locals) return { id, bytes };
  return { id, bytes: readGlobals(bytes).with(new Map([[locals.global, globalFor(locals, locals.base)]])) };
}

function namesOf(sections: readonly Section[]): Names | undefined {
  return sections
    .filter(({ id }) => id === SECTION.CUSTOM)
    .map(({ bytes }) => readNames(bytes))
    .find((found) => found !== undefined);
}

/** @param memory bytes that it has at the start: with data behind them it cannot begin, and no block goes on there */
function localsOf(sections: readonly Section[], names: Names | undefined, memory: number): ThreadLocals | undefined {
  const find = (wanted: number): Uint8Array => sections.find(({ id }) => id === wanted)?.bytes ?? Uint8Array.of(0);
  const global = names?.globals.get('__tls_base');
  const segments = dataSegments(find(SECTION.DATA))?.filter(({ start }) => start < memory);
  if (global === undefined || !segments) return undefined;
  const base = readGlobals(find(SECTION.GLOBAL)).values[global];
  return base === undefined ? undefined : findThreadLocals(global, base, segments, find(SECTION.CODE));
}

function readLayout(sections: readonly Section[], names: Names | undefined): ProgramLayout {
  const data = sections.find(({ id }) => id === SECTION.DATA);
  const segments = data ? dataSegments(data.bytes) : [];
  const globals = sections.find(({ id }) => id === SECTION.GLOBAL);
  return {
    data: segments && dataExtent(segments),
    stackTop: globals ? stackTop(globals.bytes) : undefined,
    growsHeap: names && GROWING_HEAPS.some((name) => names.functions.has(name)),
  };
}

/**
 * Whether a program keeps to a range of a memory that others use, too: its data, its stack, and no heap beside.
 * @throws NetmapError EINVAL, with what is wrong
 */
export function checkLayout({ data, stackTop: stack, growsHeap }: ProgramLayout, base: number, size: number): void {
  const end = base + size;
  const range = `${base}..${end}`;
  const refuse = (why: string): never => {
    throw netmapError('EINVAL', `${why}; the range that it may use is ${range}`, { op: 'exec' });
  };
  if (data === undefined) refuse('the module does not tell where its data lies: link without --shared-memory');
  else if (data.end > data.start && (data.start < base || data.end > end)) {
    refuse(`the data lies at ${data.start}..${data.end}: link with --global-base=${base}`);
  }
  if (stack === undefined) refuse('the module does not tell where its stack is');
  else if (stack <= base || stack > end) refuse(`the stack begins at ${stack}: link with --global-base=${base}`);
  else if (data !== undefined && stack < data.end) refuse('the stack lies below the data: link without --stack-first');
  if (growsHeap === undefined)
    refuse(
      'the module has no names to tell whether it has a heap: link without --strip, and without a wasm-opt on the path (npm puts one there)',
    );
  else if (growsHeap) refuse('its heap would take all memory: compile with -include ptnet/heap.h');
}

/**
 * Whether all that a compiled module imports is provided. Functions of WASI that nobody here knows answer ENOSYS.
 * @throws NetmapError EINVAL with the name of one that is not
 */
export function checkImports(module: WebAssembly.Module): void {
  for (const { module: from, name, kind } of WebAssembly.Module.imports(module)) {
    const isFunction =
      kind === 'function' && (from === WASI_MODULE || (from === 'ptnet' && PTNET_IMPORTS.includes(name)));
    if (isFunction || (from === 'env' && name === 'memory')) continue;
    throw netmapError('EINVAL', `the program wants '${from}.${name}', which is not provided`, { op: 'exec' });
  }
  if (WebAssembly.Module.exports(module).some(({ name, kind }) => name === '_start' && kind === 'function')) return;
  throw netmapError('EINVAL', 'the module has no function _start: it is no program', { op: 'exec' });
}
