// Just enough of the binary format of Wasm modules: sections, imports, data segments, the first global, names.

import { netmapError } from '../errors.js';

export const SECTION = { CUSTOM: 0, IMPORT: 2, MEMORY: 5, GLOBAL: 6, DATA: 11 } as const;
const KIND = { FUNCTION: 0, TABLE: 1, MEMORY: 2, GLOBAL: 3 } as const;
const HEADER = 8;
const I32_CONST = 0x41;
const END = 0x0b;
const HAS_MAXIMUM = 1;
const FUNCTION_NAMES = 1;

export interface Section {
  readonly id: number;
  /** The content. */
  readonly bytes: Uint8Array;
}

/** Pages of 64 KiB. */
export interface Limits {
  readonly initial: number;
  readonly maximum: number | undefined;
}

/** Reads the numbers and vectors of the format. @throws NetmapError EINVAL when the bytes end too early */
export class Reader {
  readonly bytes: Uint8Array;
  at: number;

  constructor(bytes: Uint8Array, at = 0) {
    this.bytes = bytes;
    this.at = at;
  }

  get atEnd(): boolean {
    return this.at >= this.bytes.length;
  }

  byte(): number {
    if (this.atEnd) throw netmapError('EINVAL', 'the module ends in the middle of a section', { op: 'exec' });
    return this.bytes[this.at++];
  }

  /** An unsigned number of 32 bits (LEB128). */
  u32(): number {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.byte();
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    throw netmapError('EINVAL', 'a number in the module is too long', { op: 'exec' });
  }

  /** A signed number of 32 bits, as the unsigned one of the same bits: an address. */
  address(): number {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.byte();
      value |= (byte & 0x7f) << shift;
      if (byte >= 0x80) continue;
      if (byte & 0x40 && shift + 7 < 32) value |= -1 << (shift + 7);
      return value >>> 0;
    }
    throw netmapError('EINVAL', 'a number in the module is too long', { op: 'exec' });
  }

  take(length: number): Uint8Array {
    if (this.at + length > this.bytes.length) {
      throw netmapError('EINVAL', 'the module ends in the middle of a section', { op: 'exec' });
    }
    const taken = this.bytes.subarray(this.at, this.at + length);
    this.at += length;
    return taken;
  }

  text(): string {
    return new TextDecoder().decode(this.take(this.u32()));
  }

  limits(): Limits {
    const flags = this.byte();
    const initial = this.u32();
    return { initial, maximum: flags & HAS_MAXIMUM ? this.u32() : undefined };
  }
}

/** The sections of a module that `WebAssembly.validate` accepts. */
export function readSections(module: Uint8Array): Section[] {
  const reader = new Reader(module, HEADER);
  const sections: Section[] = [];
  while (!reader.atEnd) sections.push({ id: reader.byte(), bytes: reader.take(reader.u32()) });
  return sections;
}

/** A number as LEB128. */
export function encodeU32(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 0x7f; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 0x80);
  return [...bytes, rest];
}

export function writeModule(sections: readonly Section[]): Uint8Array<ArrayBuffer> {
  const parts: Uint8Array[] = [Uint8Array.of(0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0)];
  for (const { id, bytes } of sections) parts.push(Uint8Array.of(id, ...encodeU32(bytes.length)), bytes);
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** The import of a memory, if there is one, and the bytes of the others. */
export function splitImports(bytes: Uint8Array): { count: number; others: Uint8Array[]; memory: Limits | undefined } {
  const reader = new Reader(bytes);
  const others: Uint8Array[] = [];
  let memory: Limits | undefined;
  for (let left = reader.u32(); left > 0; left--) {
    const start = reader.at;
    reader.text();
    reader.text();
    const kind = reader.byte();
    if (kind === KIND.MEMORY) {
      memory = reader.limits();
      continue;
    }
    if (kind === KIND.FUNCTION) {
      reader.u32();
    } else if (kind === KIND.TABLE) {
      reader.byte();
      reader.limits();
    } else {
      reader.take(2);
    }
    others.push(bytes.subarray(start, reader.at));
  }
  return { count: others.length, others, memory };
}

/** Where the data segments lie: the lowest address and the one behind the highest. Undefined if some has no fixed place. */
export function dataExtent(bytes: Uint8Array): { start: number; end: number } | undefined {
  const reader = new Reader(bytes);
  let start = Infinity;
  let end = 0;
  for (let left = reader.u32(); left > 0; left--) {
    if (reader.u32() !== 0) return undefined; // passive, or of another memory
    if (reader.byte() !== I32_CONST) return undefined;
    const address = reader.address();
    if (reader.byte() !== END) return undefined;
    const size = reader.u32();
    reader.take(size);
    start = Math.min(start, address);
    end = Math.max(end, address + size);
  }
  return { start, end };
}

/** The initial value of the first global, which is the stack pointer of modules that wasm-ld has linked. */
export function stackTop(bytes: Uint8Array): number | undefined {
  const reader = new Reader(bytes);
  if (reader.u32() === 0) return undefined;
  const [type, mutable] = [reader.byte(), reader.byte()];
  const isPointer = type === 0x7f && mutable === 1 && reader.byte() === I32_CONST;
  return isPointer ? reader.address() : undefined;
}

/** The names of functions, of the custom section `name`; undefined if the section is another one. */
export function functionNames(custom: Uint8Array): Set<string> | undefined {
  const reader = new Reader(custom);
  if (reader.text() !== 'name') return undefined;
  const names = new Set<string>();
  while (!reader.atEnd) {
    const id = reader.byte();
    const part = new Reader(reader.take(reader.u32()));
    if (id !== FUNCTION_NAMES) continue;
    for (let left = part.u32(); left > 0; left--) {
      part.u32();
      names.add(part.text());
    }
  }
  return names;
}
