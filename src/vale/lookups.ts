// Lookups of the user's: functions that decide where the frames of a bridge go, in place of the learning switch (the
// lookup callback of netmap's bdg_ops). Every thread of the host loads all of them when it joins and puts them into the
// function table of its Wasm instance, so a bridge may change its lookup at any time with one store (assembly/vale/lookup).

import {
  LOOKUP_LEARN,
  LOOKUP_MAX_DEST,
  THREAD_LOOKING,
  THREAD_LOOKUP_AT,
  THREAD_LOOKUPS,
} from '../../assembly/abi/arena.js';
import { NM_BDG_BROADCAST, NM_BDG_NOPORT } from '../../assembly/abi/netmap.js';
import { NetmapError, netmapError } from '../errors.js';
import type { ArenaOwner } from '../memory/arena.js';
import type { Thread } from '../threads/thread.js';
import { asTableFunction } from './table-function.js';

/**
 * Decides where one frame goes; is called for each frame, from inside txsync.
 * @param address of the Ethernet header in the memory; the bytes are the sender's and are only to be read
 * @param length bytes of the frame's first fragment, 14 or more
 * @param headerLength bytes of the virtio-net header before `address`: 0, 10 or 12
 * @param port index of the source port
 * @param ring index of the tx ring it comes from
 * @returns `index | ring << 8` of the destination; NM_BDG_BROADCAST (254) for all ports; NM_BDG_NOPORT (255) drops the
 * frame; LOOKUP_LEARN does what the learning switch would do
 */
// DIFF: netmap's lookup gets the destination ring as a second result that starts as the source's ring; here the answer
// says it.
export type Lookup = (address: number, length: number, headerLength: number, port: number, ring: number) => number;

/** What the module of a lookup gets, once in each thread. */
export interface LookupEnvironment {
  readonly memory: WebAssembly.Memory;
  /** All of the memory, for reading frames. */
  readonly u8: Uint8Array;
  /** Answers: all ports but the source; nobody; what the learning switch would do. */
  readonly broadcast: number;
  readonly drop: number;
  readonly learn: number;
  /** As given with the lookup. */
  readonly data: unknown;
}

/** A lookup in JavaScript: a module whose default export is `(environment: LookupEnvironment) => Lookup`. */
export interface ModuleLookup {
  /** Address of the module, absolute. */
  readonly module: URL | string;
  /** Anything that can be posted to a worker; a SharedArrayBuffer can be changed later. */
  readonly data?: unknown;
}

/**
 * A lookup in Wasm: an exported function of five i32 parameters and an i32 result, as `Lookup`. The module is instantiated
 * once in each thread, with the imports `env.memory`, and `env.data` and `env.size`: address and length of a copy of `data`
 * in the memory (constant i32 globals).
 */
export interface WasmLookup {
  readonly wasm: WebAssembly.Module | BufferSource;
  /** Name of the exported function. Default `lookup`. */
  readonly export?: string;
  readonly data?: Uint8Array;
}

/** The host's lookups, by name. */
export type LookupOptions = Readonly<Record<string, ModuleLookup | WasmLookup>>;

interface ModuleSpec {
  readonly name: string;
  readonly url: string;
  readonly data: unknown;
}

interface WasmSpec {
  readonly name: string;
  readonly wasm: WebAssembly.Module;
  readonly export: string;
  /** Where its data lie in the memory, 0 = it has none. */
  readonly address: number;
  readonly size: number;
}

/** A lookup as it is handed to the threads: can be posted. */
export type LookupSpec = ModuleSpec | WasmSpec;

/** Frames between two looks at the clock, and how long (ms) a batch may take: the rest of it is then dropped. */
const FRAMES_PER_LOOK = 32;
const BATCH_LIMIT = 100;

const refuse = (name: string, why: string): Error =>
  netmapError('EINVAL', `lookup '${name}': ${why}`, { op: 'lookup' });
const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/**
 * Checks what the user gave, compiles Wasm, and copies its data into the memory. Control thread only.
 * @throws NetmapError EINVAL that names the lookup; ENOMEM
 */
export function prepareLookups(arena: ArenaOwner, options: LookupOptions): LookupSpec[] {
  return Object.entries(options).map(([name, given]): LookupSpec => {
    const { module, wasm } = (given ?? {}) as Partial<ModuleLookup & WasmLookup>;
    if ((module === undefined) === (wasm === undefined)) throw refuse(name, 'it needs either module or wasm');
    if (module !== undefined) return { name, url: absolute(name, module), data: (given as ModuleLookup).data };
    const { data = new Uint8Array(0), export: exported = 'lookup' } = given as WasmLookup;
    if (!(data instanceof Uint8Array)) throw refuse(name, 'the data of a lookup in Wasm is a Uint8Array');
    const compiled = compile(name, wasm as WasmLookup['wasm']);
    const address = data.length === 0 ? 0 : arena.alloc(data.length, `data of lookup '${name}'`);
    if (address !== 0) arena.u8.set(data, address);
    return { name, wasm: compiled, export: exported, address, size: data.length };
  });
}

function absolute(name: string, module: URL | string): string {
  try {
    return new URL(module).href;
  } catch {
    throw refuse(name, `'${module}' is not an absolute URL: new URL('./file.mjs', import.meta.url) makes one`);
  }
}

function compile(name: string, wasm: WebAssembly.Module | BufferSource): WebAssembly.Module {
  if (wasm instanceof WebAssembly.Module) return wasm;
  try {
    return new WebAssembly.Module(wasm);
  } catch (error) {
    throw refuse(name, textOf(error));
  }
}

/**
 * Loads all lookups in this thread.
 * @throws NetmapError EINVAL: one cannot be loaded, or is none
 */
export async function loadLookups(thread: Thread, specs: readonly LookupSpec[]): Promise<void> {
  if (specs.length === 0) return;
  const { arena, ptr } = thread;
  const functions: unknown[] = [];
  for (const spec of specs) {
    functions.push(
      'wasm' in spec ? instantiate(thread, spec) : asTableFunction(await importLookup(thread, spec), 5, 1),
    );
  }
  const { table } = arena.wasm;
  table.grow(functions.length);
  table.set(0, asTableFunction(guard(thread, specs), 7, 0));
  for (const [i, lookup] of functions.entries()) table.set(i + 1, lookup);
  arena.store(ptr + THREAD_LOOKUPS, functions.length);
}

async function importLookup({ arena }: Thread, spec: ModuleSpec): Promise<Lookup> {
  const { name, url, data } = spec;
  let lookup: unknown;
  try {
    const { default: make } = await import(/* @vite-ignore */ /* webpackIgnore: true */ url);
    if (typeof make !== 'function') throw refuse(name, `the default export of ${url} is not a function`);
    const answers = { broadcast: NM_BDG_BROADCAST, drop: NM_BDG_NOPORT, learn: LOOKUP_LEARN };
    const environment: LookupEnvironment = {
      memory: arena.memory,
      get u8() {
        return arena.u8;
      },
      ...answers,
      data,
    };
    lookup = make(environment);
  } catch (error) {
    if (error instanceof NetmapError) throw error;
    throw refuse(name, `${url} cannot be loaded: ${textOf(error)}`);
  }
  if (typeof lookup !== 'function') throw refuse(name, `what the default export of ${url} returns is not a function`);
  const decide = lookup as Lookup;
  // What is not a number, or not whole, would become a port on its way into Wasm.
  return (address, length, headerLength, port, ring) => {
    const answer: unknown = decide(address, length, headerLength, port, ring);
    const isSound = Number.isInteger(answer) && (answer as number) >= 0 && (answer as number) <= LOOKUP_LEARN;
    return isSound ? (answer as number) : LOOKUP_LEARN + LOOKUP_MAX_DEST;
  };
}

function instantiate({ arena }: Thread, spec: WasmSpec): unknown {
  const { name, wasm, export: exported, address, size } = spec;
  let found: unknown;
  try {
    const env = {
      memory: arena.memory,
      data: new WebAssembly.Global({ value: 'i32' }, address | 0),
      size: new WebAssembly.Global({ value: 'i32' }, size),
    };
    found = new WebAssembly.Instance(wasm, { env }).exports[exported];
  } catch (error) {
    throw refuse(name, textOf(error));
  }
  if (typeof found !== 'function' || found.length !== 5) {
    throw refuse(name, `it exports no function '${exported}' of five parameters`);
  }
  return found;
}

/** Entry 0 of the table: one batch, with whatever a lookup does wrong turned into drops. */
function guard(thread: Thread, specs: readonly LookupSpec[]): (...args: number[]) => void {
  const { arena, ptr } = thread;
  const { wasm } = arena;
  const looking = (ptr + THREAD_LOOKING) >>> 2;
  const told = new Set<number>();
  let batches = 0;
  const tell = (lookup: number, what: string): void => {
    if (told.has(lookup)) return;
    told.add(lookup);
    console.warn(
      `ptnet: lookup '${specs[lookup - 1].name}' ${what}: such frames are dropped (this is told once a thread)`,
    );
  };
  return (kring, port, scratch, count, ring, self, lookup) => {
    // The control thread sees who is in a lookup, and whether it is the same batch as before.
    batches = (batches + 1) & 0x7fffffff || 1;
    Atomics.store(arena.u32, looking, batches);
    const until = performance.now() + BATCH_LIMIT;
    for (let at = 0; at < count; ) {
      try {
        at = wasm.valeLookup(kring, port, scratch, at, count, FRAMES_PER_LOOK, ring, self, lookup);
      } catch (error) {
        at = wasm.valeLookupFailed(kring, scratch, arena.u32[(ptr + THREAD_LOOKUP_AT) >>> 2], count, 1);
        tell(lookup, `has thrown '${textOf(error)}'`);
      }
      if (at >= count || performance.now() <= until) continue;
      at = wasm.valeLookupFailed(kring, scratch, at, count, count);
      tell(lookup, `takes more than ${BATCH_LIMIT} ms for a batch`);
    }
    Atomics.store(arena.u32, looking, 0);
  };
}
