// Facts of the two Wasm binaries that let any number of threads instantiate them over live memory: nothing is imported
// but the memory, and nothing happens, or is kept, outside it.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { root } from './root.js';

const SECTION_IMPORT = 2;
const SECTION_TABLE = 4;
const SECTION_MEMORY = 5;
const SECTION_GLOBAL = 6;
const SECTION_EXPORT = 7;
const SECTION_START = 8;
const SECTION_ELEMENT = 9;
const SECTION_DATA = 11;
const SECTION_DATA_COUNT = 12;
const KIND_FUNCTION = 0;
const KIND_TABLE = 1;
const KIND_MEMORY = 2;
const FUNCREF = 0x70;

/** Reads LEB128 numbers, bytes and names from `bytes`, from `at` on. */
class Reader {
  readonly bytes: Uint8Array;
  at: number;

  constructor(bytes: Uint8Array, at = 0) {
    this.bytes = bytes;
    this.at = at;
  }

  byte(): number {
    assert.ok(this.at < this.bytes.length, 'the section ends early');
    return this.bytes[this.at++];
  }

  /** An unsigned LEB128 number; signed ones are skipped with it too. */
  leb(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.byte();
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  }

  name(): string {
    const length = this.leb();
    this.at += length;
    return new TextDecoder().decode(this.bytes.subarray(this.at - length, this.at));
  }
}

interface Import {
  name: string;
  kind: number;
  flags: number;
}

function readSections(bytes: Uint8Array): Map<number, Uint8Array> {
  assert.deepEqual([...bytes.subarray(0, 8)], [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0], 'a Wasm binary of version 1');
  const sections = new Map<number, Uint8Array>();
  const reader = new Reader(bytes, 8);
  while (reader.at < bytes.length) {
    const id = reader.byte();
    const length = reader.leb();
    sections.set(id, bytes.subarray(reader.at, reader.at + length));
    reader.at += length;
  }
  return sections;
}

function readImports(section: Uint8Array): Import[] {
  const reader = new Reader(section);
  return Array.from({ length: reader.leb() }, () => {
    const name = `${reader.name()}.${reader.name()}`;
    const kind = reader.byte();
    assert.equal(kind, KIND_MEMORY, `${name} is imported and is not a memory`);
    const flags = reader.leb();
    reader.leb();
    if (flags & 1) reader.leb();
    return { name, kind, flags };
  });
}

/** Whether each global is mutable. Its initial value is a constant expression of a known form. */
function readGlobals(section: Uint8Array): boolean[] {
  const reader = new Reader(section);
  return Array.from({ length: reader.leb() }, () => {
    reader.byte();
    const mutable = reader.byte() === 1;
    const opcode = reader.byte();
    if (opcode === 0x41 || opcode === 0x42) reader.leb();
    else if (opcode === 0x43) reader.at += 4;
    else if (opcode === 0x44) reader.at += 8;
    else if (opcode === 0xfd) reader.at += 17;
    else assert.fail(`a global starts with opcode ${opcode}`);
    assert.equal(reader.byte(), 0x0b);
    return mutable;
  });
}

function readExports(section: Uint8Array): Map<string, number> {
  const reader = new Reader(section);
  return new Map(
    Array.from({ length: reader.leb() }, () => {
      const name = reader.name();
      const kind = reader.byte();
      reader.leb();
      return [name, kind];
    }),
  );
}

const file = (name: string): string => join(root, 'build/wasm', name);
const load = (target: string): Map<number, Uint8Array> =>
  readSections(new Uint8Array(readFileSync(file(`ptnet.${target}.wasm`))));

for (const target of ['shared', 'unshared']) {
  describe(`the ${target} binary`, () => {
    const sections = load(target);

    test('imports env.memory and nothing else', () => {
      const imports = readImports(sections.get(SECTION_IMPORT) ?? new Uint8Array(1));
      assert.deepEqual(
        imports.map((found) => found.name),
        ['env.memory'],
      );
      assert.equal((imports[0].flags & 2) !== 0, target === 'shared', 'whether the memory is shared');
      assert.equal(sections.has(SECTION_MEMORY), false, 'it has no memory of its own');
    });

    test('writes nothing and runs nothing when it is instantiated', () => {
      for (const id of [SECTION_DATA, SECTION_DATA_COUNT, SECTION_START]) {
        assert.equal(sections.has(id), false, `section ${id}`);
      }
    });

    test('has one table, for lookups, which is empty until its thread fills it', () => {
      assert.equal(sections.has(SECTION_ELEMENT), false);
      assert.deepEqual([...(sections.get(SECTION_TABLE) ?? [])], [1, FUNCREF, 0, 1], 'one entry, and no maximum');
      const text = readFileSync(file(`ptnet.${target}.wat`), 'utf8');
      assert.equal(text.match(/call_indirect/g)?.length, 2, 'the guard of lookups, and the lookups');
    });

    test('keeps no state outside its memory: no global is mutable', () => {
      const globals = readGlobals(sections.get(SECTION_GLOBAL) ?? new Uint8Array(1));
      assert.equal(globals.includes(true), false);
    });

    test('exports functions, and the table', () => {
      const exported = readExports(sections.get(SECTION_EXPORT) ?? new Uint8Array(1));
      assert.ok(exported.size > 0);
      for (const [name, kind] of exported) assert.equal(kind, name === 'table' ? KIND_TABLE : KIND_FUNCTION, name);
    });

    test('never sleeps and has no fence: sleeping is for JavaScript, and asc may drop a fence', () => {
      const text = readFileSync(file(`ptnet.${target}.wat`), 'utf8');
      assert.match(text, /^\(module/);
      assert.deepEqual(text.match(/memory\.atomic\.wait(32|64)|atomic\.fence/g), null);
    });
  });
}

test('the two binaries export the same functions', () => {
  const [shared, unshared] = ['shared', 'unshared'].map((target) => [
    ...readExports(load(target).get(SECTION_EXPORT) ?? new Uint8Array(1)).keys(),
  ]);
  assert.deepEqual(shared, unshared);
});
