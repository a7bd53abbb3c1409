// The thread-local variables of a program. wasm-ld puts them into one block, whose address is the global __tls_base. In a
// module that was not linked for threads that is a constant; here every thread gets its own.
//
// What the code adds to it differs: places in the block, or, from wasm-ld 14, addresses, so that nothing is where it should
// be even in the first thread. Which of the two it is can be seen in the code.

import { type DataSegment, Reader } from './wasm-binary.js';

export interface ThreadLocals {
  /** Index of the global. */
  readonly global: number;
  /** Where the block of the first thread is, and its bytes. */
  readonly base: number;
  readonly size: number;
  /** Whether the code adds addresses. */
  readonly addsAddresses: boolean;
}

const GLOBAL_GET = 0x23;
const LOCAL_SET = 0x21;
const LOCAL_TEE = 0x22;
const I32_CONST = 0x41;
/** Bytes of a constant that the linker has filled in; and of that and the local that keeps it, whose number has 1 or 2. */
const CONSTANT = 6;
const BEFORE = [CONSTANT + 2, CONSTANT + 3];
/** Bytes that the block may go on for with zeros, which are not in the module, when no segment follows. */
const MAX_ZEROS = 65536;

/**
 * @param base value of the global
 * @param code the code section
 */
export function findThreadLocals(
  global: number,
  base: number,
  segments: readonly DataSegment[],
  code: Uint8Array,
): ThreadLocals {
  const next = segments.map(({ start }) => start).filter((start) => start > base);
  const size = next.length === 0 ? MAX_ZEROS : Math.min(...next) - base;
  const added = addedTo(global, code);
  const addsAddresses = added.some((value) => value >= Math.max(base, size) && value < base + size);
  return { global, base, size, addsAddresses };
}

/** What the global has to be, for a block at an address. */
export function globalFor({ base, addsAddresses }: ThreadLocals, block: number): number {
  return addsAddresses ? block - base : block;
}

/** The values that variables begin with. */
export function initialValues({ base, size }: ThreadLocals, segments: readonly DataSegment[]): Uint8Array {
  const image = new Uint8Array(size);
  const own = segments.find(({ start }) => start === base);
  if (own) image.set(own.bytes.subarray(0, size));
  return image;
}

/** Constants beside reads of the global: behind it, maybe kept in a local, or, in code that is not optimised, before it. */
function addedTo(global: number, code: Uint8Array): number[] {
  const found: number[] = [];
  for (let at = 0; at < code.length; at++) {
    if (code[at] !== GLOBAL_GET) continue;
    const reader = new Reader(code, at + 1);
    if (attempt(() => reader.u32()) !== global) continue;
    const values = [constantBehind(reader), ...BEFORE.map((distance) => constantBefore(code, at, distance))];
    found.push(...values.filter((value) => value !== undefined));
  }
  return found;
}

function constantBehind(reader: Reader): number | undefined {
  return attempt(() => {
    let opcode = reader.byte();
    if (opcode === LOCAL_SET || opcode === LOCAL_TEE) {
      reader.u32();
      opcode = reader.byte();
    }
    return opcode === I32_CONST ? reader.address() : undefined;
  });
}

function constantBefore(code: Uint8Array, at: number, distance: number): number | undefined {
  const start = at - distance;
  if (start < 0 || code[start] !== I32_CONST || code[start + CONSTANT] !== LOCAL_SET) return undefined;
  return attempt(() => new Reader(code, start + 1).address());
}

/** Undefined for other bytes that look like these. */
function attempt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
