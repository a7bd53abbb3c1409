// Just enough of the binary format of Wasm modules: sections, imports, exports, data segments, globals, names.

import { netmapError } from '../errors.js';

export const SECTION = {
  CUSTOM: 0,
  IMPORT: 2,
  TABLE: 4,
  MEMORY: 5,
  GLOBAL: 6,
  EXPORT: 7,
  START: 8,
  CODE: 10,
  DATA: 11,
  DATA_COUNT: 12,
} as const;
const KIND = { FUNCTION: 0, TABLE: 1, MEMORY: 2, GLOBAL: 3 } as const;
const HEADER = 8;
const I32 = 0x7f;
const I32_CONST = 0x41;
const F32_CONST = 0x43;
const F64_CONST = 0x44;
const END = 0x0b;
const HAS_MAXIMUM = 1;
const FUNCTION_NAMES = 1;
const GLOBAL_NAMES = 7;

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
  return concat(parts);
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

export interface DataSegment {
  readonly start: number;
  readonly bytes: Uint8Array;
}

/** The data segments. Undefined if some has no fixed place. */
export function dataSegments(bytes: Uint8Array): DataSegment[] | undefined {
  const reader = new Reader(bytes);
  const segments: DataSegment[] = [];
  for (let left = reader.u32(); left > 0; left--) {
    if (reader.u32() !== 0) return undefined; // passive, or of another memory
    if (reader.byte() !== I32_CONST) return undefined;
    const start = reader.address();
    if (reader.byte() !== END) return undefined;
    segments.push({ start, bytes: reader.take(reader.u32()) });
  }
  return segments;
}

/** Where the data segments lie: the lowest address and the one behind the highest. */
export function dataExtent(segments: readonly DataSegment[]): { start: number; end: number } {
  const extent = { start: Infinity, end: 0 };
  for (const { start, bytes } of segments) {
    extent.start = Math.min(extent.start, start);
    extent.end = Math.max(extent.end, start + bytes.length);
  }
  return extent;
}

/** The initial value of the first global, which is the stack pointer of modules that wasm-ld has linked. */
export function stackTop(bytes: Uint8Array): number | undefined {
  const reader = new Reader(bytes);
  if (reader.u32() === 0) return undefined;
  const [type, mutable] = [reader.byte(), reader.byte()];
  const isPointer = type === I32 && mutable === 1 && reader.byte() === I32_CONST;
  return isPointer ? reader.address() : undefined;
}

/** What the module's globals that are plain i32 constants say, by index; and with them changed. */
export function readGlobals(bytes: Uint8Array): {
  values: (number | undefined)[];
  with(changed: Map<number, number>): Uint8Array;
} {
  const reader = new Reader(bytes);
  const count = reader.u32();
  const globals: { head: Uint8Array; value: number | undefined; rest: Uint8Array }[] = [];
  for (let i = 0; i < count; i++) {
    const start = reader.at;
    const type = reader.byte();
    reader.byte();
    const opcode = reader.byte();
    if (type !== I32 || opcode !== I32_CONST) {
      skipConstant(reader, opcode);
      globals.push({ head: bytes.subarray(start, reader.at), value: undefined, rest: new Uint8Array() });
      continue;
    }
    const head = bytes.subarray(start, reader.at);
    const value = reader.address();
    globals.push({ head, value, rest: Uint8Array.of(reader.byte()) });
  }
  return {
    values: globals.map(({ value }) => value),
    with: (changed) =>
      concat([
        Uint8Array.from(encodeU32(count)),
        ...globals.flatMap(({ head, value, rest }, i) =>
          value === undefined ? [head] : [head, Uint8Array.from(encodeAddress(changed.get(i) ?? value)), rest],
        ),
      ]),
  };
}

/** The rest of a constant expression of one instruction. */
function skipConstant(reader: Reader, opcode: number): void {
  if (opcode === F32_CONST) reader.take(4);
  else if (opcode === F64_CONST) reader.take(8);
  else while (reader.byte() >= 0x80);
  if (reader.byte() !== END) throw netmapError('EINVAL', 'a global of the module is no constant', { op: 'exec' });
}

/** An address as the signed LEB128 of five bytes. */
function encodeAddress(value: number): number[] {
  const signed = value | 0;
  return [0, 7, 14, 21].map((shift) => ((signed >> shift) & 0x7f) | 0x80).concat((signed >> 28) & 0x7f);
}

/** The exports, and one more: table 0. */
export function exportTable(bytes: Uint8Array, name: string): Uint8Array {
  const reader = new Reader(bytes);
  const count = reader.u32();
  const encoded = new TextEncoder().encode(name);
  const entry = Uint8Array.of(...encodeU32(encoded.length), ...encoded, KIND.TABLE, 0);
  return concat([Uint8Array.from(encodeU32(count + 1)), bytes.subarray(reader.at), entry]);
}

function concat(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

export interface Names {
  readonly functions: ReadonlySet<string>;
  readonly globals: ReadonlyMap<string, number>;
}

/** The names of functions and of globals, of the custom section `name`; undefined if the section is another one. */
export function readNames(custom: Uint8Array): Names | undefined {
  const reader = new Reader(custom);
  if (reader.text() !== 'name') return undefined;
  const functions = new Set<string>();
  const globals = new Map<string, number>();
  while (!reader.atEnd) {
    const id = reader.byte();
    const part = new Reader(reader.take(reader.u32()));
    if (id !== FUNCTION_NAMES && id !== GLOBAL_NAMES) continue;
    for (let left = part.u32(); left > 0; left--) {
      const index = part.u32();
      const name = part.text();
      if (id === FUNCTION_NAMES) functions.add(name);
      else globals.set(name, index);
    }
  }
  return { functions, globals };
}
