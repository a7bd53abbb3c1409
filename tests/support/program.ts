// A program that makes requests to /dev/netmap: builds them in a memory of its own, and reads the answers.

import {
  NETMAP_API,
  NMREQ_HEADER_BODY,
  NMREQ_HEADER_NAME,
  NMREQ_HEADER_OPTIONS,
  NMREQ_HEADER_REQTYPE,
  NMREQ_HEADER_RESERVED,
  NMREQ_HEADER_SIZE,
  NMREQ_HEADER_VERSION,
  NMREQ_OPTION_NEXT,
  NMREQ_OPTION_NRO_SIZE,
  NMREQ_OPTION_REQTYPE,
  NMREQ_OPTION_STATUS,
} from '../../src/abi.js';
import { BODIES, decode, encode, type Fields, optionSize, type Values } from '../../src/ioctl/codec.js';

export interface HeaderFields {
  readonly version?: number;
  readonly reserved?: number;
  readonly name?: string | Uint8Array;
  readonly body?: Readonly<Record<string, number>>;
  /** Where the body lies, in the place of one that is made here. */
  readonly bodyAt?: number | bigint;
  readonly options?: readonly number[];
  /** Where the first option lies. */
  readonly optionsAt?: number | bigint;
}

export interface OptionFields {
  readonly next?: number;
  readonly nroSize?: number | bigint;
  readonly status?: number;
  /** Bytes behind the header. */
  readonly rest?: Uint8Array;
}

/** What a request has come back with. */
export interface Reply {
  readonly body: Readonly<Record<string, number>>;
  readonly name: string;
}

const ALIGN = 64;
const FILL = 0xa5;

export class Program {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly base: number;
  #next = ALIGN;

  /** @param base where the program's memory starts in the buffer; its own addresses count from there */
  constructor(buffer: ArrayBuffer | SharedArrayBuffer = new ArrayBuffer(65536), base = 0, size = buffer.byteLength) {
    this.bytes = new Uint8Array(buffer, base, size);
    this.view = new DataView(buffer, base, size);
    this.base = base;
    this.bytes.fill(FILL);
  }

  alloc(size: number): number {
    const address = this.#next;
    this.#next += Math.ceil((size + 1) / ALIGN) * ALIGN;
    this.bytes.fill(0, address, address + size);
    return address;
  }

  /** Forgets all requests. */
  reset(): void {
    this.#next = ALIGN;
    this.bytes.fill(FILL);
  }

  snapshot(): Uint8Array {
    return this.bytes.slice();
  }

  /** A request of NIOCCTRL: its address. */
  request(type: number, fields: HeaderFields = {}): number {
    const header = this.alloc(NMREQ_HEADER_SIZE);
    const { view } = this;
    view.setUint16(header + NMREQ_HEADER_VERSION, fields.version ?? NETMAP_API, true);
    view.setUint16(header + NMREQ_HEADER_REQTYPE, type, true);
    view.setUint32(header + NMREQ_HEADER_RESERVED, fields.reserved ?? 0, true);
    const { name = '' } = fields;
    const bytes = typeof name === 'string' ? new TextEncoder().encode(name) : name;
    this.bytes.set(bytes.subarray(0, 64), header + NMREQ_HEADER_NAME);
    view.setBigUint64(header + NMREQ_HEADER_BODY, BigInt(fields.bodyAt ?? this.#body(type, fields.body ?? {})), true);
    const options = fields.options ?? [];
    for (const [i, option] of options.entries()) {
      view.setBigUint64(option + NMREQ_OPTION_NEXT, BigInt(options[i + 1] ?? 0), true);
    }
    view.setBigUint64(header + NMREQ_HEADER_OPTIONS, BigInt(fields.optionsAt ?? options[0] ?? 0), true);
    return header;
  }

  #body(type: number, values: Readonly<Record<string, number>>): number {
    const layout = BODIES[type];
    if (!layout) return 0;
    const address = this.alloc(layout.size);
    encode(this.bytes.subarray(address, address + layout.size), layout.fields, values);
    return address;
  }

  /** An option: its address. */
  option(type: number, fields: OptionFields = {}): number {
    const nroSize = BigInt(fields.nroSize ?? 0);
    const size = Math.min(Math.max(24 + (fields.rest?.length ?? 0), optionSize(type, Number(nroSize))), 8192);
    const address = this.alloc(size);
    this.view.setBigUint64(address + NMREQ_OPTION_NEXT, BigInt(fields.next ?? 0), true);
    this.view.setUint32(address + NMREQ_OPTION_REQTYPE, type, true);
    this.view.setUint32(address + NMREQ_OPTION_STATUS, fields.status ?? 0x7777, true);
    this.view.setBigUint64(address + NMREQ_OPTION_NRO_SIZE, nroSize, true);
    if (fields.rest) this.bytes.set(fields.rest, address + 24);
    return address;
  }

  status(option: number): number {
    return this.view.getUint32(option + NMREQ_OPTION_STATUS, true);
  }

  /** A struct at an address. */
  struct<F extends Fields>(address: number, fields: F): Values<F> {
    return decode(this.bytes.subarray(address, address + 128), fields);
  }

  reply(header: number): Reply {
    const type = this.view.getUint16(header + NMREQ_HEADER_REQTYPE, true);
    const body = Number(this.view.getBigUint64(header + NMREQ_HEADER_BODY, true));
    const name = this.bytes.slice(header + NMREQ_HEADER_NAME, header + NMREQ_HEADER_NAME + 64);
    return {
      body: body === 0 ? {} : this.struct(body, BODIES[type].fields),
      name: new TextDecoder().decode(name.subarray(0, name.indexOf(0))),
    };
  }
}

/** A number as 8 little-endian bytes, and so on for several. */
export function u64s(...values: (number | bigint)[]): Uint8Array {
  return new Uint8Array(BigUint64Array.from(values.map(BigInt)).buffer);
}

export function i32s(...values: number[]): Uint8Array {
  return new Uint8Array(Int32Array.from(values).buffer);
}
