// Structs of the control API as plain objects: which fields a body or an option has, and where.

import * as abi from '../abi.js';

/** Offset and bytes of each field. */
export type Fields = Readonly<Record<string, readonly [offset: number, bytes: 2 | 4 | 8]>>;
export type Values<F extends Fields> = { readonly [K in keyof F]: number };

/** Numbers carry 53 bits. A larger high half is cut to this: still above every limit, and a base can be added to it. */
const MAX_HIGH = 0xfffff;

/** Reads a 64-bit field; a value beyond 2^52 keeps its low 32 bits, and stays too large for everything. */
export function readU64(bytes: Uint8Array, offset: number): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Math.min(view.getUint32(offset + 4, true), MAX_HIGH) * 2 ** 32 + view.getUint32(offset, true);
}

export function readU32(bytes: Uint8Array, offset: number): number {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(offset, true);
}

export function readU16(bytes: Uint8Array, offset: number): number {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint16(offset, true);
}

export function writeU32(bytes: Uint8Array, offset: number, value: number): void {
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).setUint32(offset, value, true);
}

const READERS = { 2: readU16, 4: readU32, 8: readU64 };

/** The fields of a struct. */
export function decode<F extends Fields>(bytes: Uint8Array, fields: F): Values<F> {
  const entries = Object.entries(fields).map(([name, [offset, size]]) => [name, READERS[size](bytes, offset)]);
  return Object.fromEntries(entries) as Values<F>;
}

/** Writes some fields of a struct, cut to their sizes; the other bytes stay as they are. */
export function encode<F extends Fields>(bytes: Uint8Array, fields: F, values: Partial<Values<F>>): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (const [name, value] of Object.entries(values as Record<string, number>)) {
    const [offset, size] = fields[name];
    if (size === 2) view.setUint16(offset, value, true);
    else view.setUint32(offset, value, true);
    if (size === 8) view.setUint32(offset + 4, Math.floor(value / 2 ** 32), true);
  }
}

/** A name: the bytes before the first NUL. Null when they are not UTF-8, as no port has such a name. */
export function decodeName(bytes: Uint8Array): string | null {
  const nul = bytes.indexOf(0);
  try {
    const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
    return decoder.decode(nul < 0 ? bytes : bytes.subarray(0, nul));
  } catch {
    return null;
  }
}

/** Writes a name, cut so that a NUL follows. */
export function encodeName(bytes: Uint8Array, name: string): void {
  bytes.fill(0);
  bytes.set(new TextEncoder().encode(name).subarray(0, bytes.length - 1));
}

export const REGISTER = {
  offset: [abi.NMREQ_REGISTER_OFFSET, 8],
  memsize: [abi.NMREQ_REGISTER_MEMSIZE, 8],
  txSlots: [abi.NMREQ_REGISTER_TX_SLOTS, 4],
  rxSlots: [abi.NMREQ_REGISTER_RX_SLOTS, 4],
  txRings: [abi.NMREQ_REGISTER_TX_RINGS, 2],
  rxRings: [abi.NMREQ_REGISTER_RX_RINGS, 2],
  hostTxRings: [abi.NMREQ_REGISTER_HOST_TX_RINGS, 2],
  hostRxRings: [abi.NMREQ_REGISTER_HOST_RX_RINGS, 2],
  memId: [abi.NMREQ_REGISTER_MEM_ID, 2],
  ringId: [abi.NMREQ_REGISTER_RINGID, 2],
  mode: [abi.NMREQ_REGISTER_MODE, 4],
  extraBufs: [abi.NMREQ_REGISTER_EXTRA_BUFS, 4],
  flags: [abi.NMREQ_REGISTER_FLAGS, 4], // the high half has no flags, and comes back as it was
} as const satisfies Fields;

export const PORT_INFO = {
  memsize: [abi.NMREQ_PORT_INFO_GET_MEMSIZE, 8],
  txSlots: [abi.NMREQ_PORT_INFO_GET_TX_SLOTS, 4],
  rxSlots: [abi.NMREQ_PORT_INFO_GET_RX_SLOTS, 4],
  txRings: [abi.NMREQ_PORT_INFO_GET_TX_RINGS, 2],
  rxRings: [abi.NMREQ_PORT_INFO_GET_RX_RINGS, 2],
  hostTxRings: [abi.NMREQ_PORT_INFO_GET_HOST_TX_RINGS, 2],
  hostRxRings: [abi.NMREQ_PORT_INFO_GET_HOST_RX_RINGS, 2],
  memId: [abi.NMREQ_PORT_INFO_GET_MEM_ID, 2],
} as const satisfies Fields;

export const VALE_ATTACH = {
  ...REGISTER,
  portIndex: [abi.NMREQ_VALE_ATTACH_PORT_INDEX, 4],
} as const satisfies Fields;

export const VALE_DETACH = { portIndex: [abi.NMREQ_VALE_DETACH_PORT_INDEX, 4] } as const satisfies Fields;

export const VALE_LIST = {
  bridgeIndex: [abi.NMREQ_VALE_LIST_BRIDGE_IDX, 2],
  portIndex: [abi.NMREQ_VALE_LIST_PORT_IDX, 4],
} as const satisfies Fields;

export const PORT_HDR = { length: [abi.NMREQ_PORT_HDR_HDR_LEN, 4] } as const satisfies Fields;

export const VALE_NEWIF = {
  txSlots: [abi.NMREQ_VALE_NEWIF_TX_SLOTS, 4],
  rxSlots: [abi.NMREQ_VALE_NEWIF_RX_SLOTS, 4],
  txRings: [abi.NMREQ_VALE_NEWIF_TX_RINGS, 2],
  rxRings: [abi.NMREQ_VALE_NEWIF_RX_RINGS, 2],
  memId: [abi.NMREQ_VALE_NEWIF_MEM_ID, 2],
} as const satisfies Fields;

export const VALE_POLLING = {
  mode: [abi.NMREQ_VALE_POLLING_MODE, 4],
  firstCpu: [abi.NMREQ_VALE_POLLING_FIRST_CPU_ID, 4],
  cpus: [abi.NMREQ_VALE_POLLING_NUM_POLLING_CPUS, 4],
} as const satisfies Fields;

export const POOLS_INFO = {
  memsize: [abi.NMREQ_POOLS_INFO_MEMSIZE, 8],
  memId: [abi.NMREQ_POOLS_INFO_MEM_ID, 2],
  ifPoolOffset: [abi.NMREQ_POOLS_INFO_IF_POOL_OFFSET, 8],
  ifPoolObjtotal: [abi.NMREQ_POOLS_INFO_IF_POOL_OBJTOTAL, 4],
  ifPoolObjsize: [abi.NMREQ_POOLS_INFO_IF_POOL_OBJSIZE, 4],
  ringPoolOffset: [abi.NMREQ_POOLS_INFO_RING_POOL_OFFSET, 8],
  ringPoolObjtotal: [abi.NMREQ_POOLS_INFO_RING_POOL_OBJTOTAL, 4],
  ringPoolObjsize: [abi.NMREQ_POOLS_INFO_RING_POOL_OBJSIZE, 4],
  bufPoolOffset: [abi.NMREQ_POOLS_INFO_BUF_POOL_OFFSET, 8],
  bufPoolObjtotal: [abi.NMREQ_POOLS_INFO_BUF_POOL_OBJTOTAL, 4],
  bufPoolObjsize: [abi.NMREQ_POOLS_INFO_BUF_POOL_OBJSIZE, 4],
} as const satisfies Fields;

export const KLOOP_START = { sleepUs: [abi.NMREQ_SYNC_KLOOP_START_SLEEP_US, 4] } as const satisfies Fields;

export const OPT_EXTMEM = {
  base: [abi.NMREQ_OPT_EXTMEM_USRPTR, 8],
  size: [abi.NMREQ_OPT_EXTMEM_INFO + abi.NMREQ_POOLS_INFO_MEMSIZE, 8],
  if_num: [abi.NMREQ_OPT_EXTMEM_INFO + abi.NMREQ_POOLS_INFO_IF_POOL_OBJTOTAL, 4],
  if_size: [abi.NMREQ_OPT_EXTMEM_INFO + abi.NMREQ_POOLS_INFO_IF_POOL_OBJSIZE, 4],
  ring_num: [abi.NMREQ_OPT_EXTMEM_INFO + abi.NMREQ_POOLS_INFO_RING_POOL_OBJTOTAL, 4],
  ring_size: [abi.NMREQ_OPT_EXTMEM_INFO + abi.NMREQ_POOLS_INFO_RING_POOL_OBJSIZE, 4],
  buf_num: [abi.NMREQ_OPT_EXTMEM_INFO + abi.NMREQ_POOLS_INFO_BUF_POOL_OBJTOTAL, 4],
  buf_size: [abi.NMREQ_OPT_EXTMEM_INFO + abi.NMREQ_POOLS_INFO_BUF_POOL_OBJSIZE, 4],
} as const satisfies Fields;

export const OPT_CSB = {
  atok: [abi.NMREQ_OPT_CSB_ATOK, 8],
  ktoa: [abi.NMREQ_OPT_CSB_KTOA, 8],
} as const satisfies Fields;

export const OPT_OFFSETS = {
  max: [abi.NMREQ_OPT_OFFSETS_MAX_OFFSET, 8],
  initial: [abi.NMREQ_OPT_OFFSETS_INITIAL_OFFSET, 8],
  bits: [abi.NMREQ_OPT_OFFSETS_OFFSET_BITS, 4],
} as const satisfies Fields;

/** Size and fields of the body of each request type that has one. */
export const BODIES: Readonly<Record<number, { readonly size: number; readonly fields: Fields }>> = {
  [abi.NETMAP_REQ_REGISTER]: { size: abi.NMREQ_REGISTER_SIZE, fields: REGISTER },
  [abi.NETMAP_REQ_PORT_INFO_GET]: { size: abi.NMREQ_PORT_INFO_GET_SIZE, fields: PORT_INFO },
  [abi.NETMAP_REQ_VALE_ATTACH]: { size: abi.NMREQ_VALE_ATTACH_SIZE, fields: VALE_ATTACH },
  [abi.NETMAP_REQ_VALE_DETACH]: { size: abi.NMREQ_VALE_DETACH_SIZE, fields: VALE_DETACH },
  [abi.NETMAP_REQ_VALE_LIST]: { size: abi.NMREQ_VALE_LIST_SIZE, fields: VALE_LIST },
  [abi.NETMAP_REQ_PORT_HDR_SET]: { size: abi.NMREQ_PORT_HDR_SIZE, fields: PORT_HDR },
  [abi.NETMAP_REQ_PORT_HDR_GET]: { size: abi.NMREQ_PORT_HDR_SIZE, fields: PORT_HDR },
  [abi.NETMAP_REQ_VALE_NEWIF]: { size: abi.NMREQ_VALE_NEWIF_SIZE, fields: VALE_NEWIF },
  [abi.NETMAP_REQ_VALE_POLLING_ENABLE]: { size: abi.NMREQ_VALE_POLLING_SIZE, fields: VALE_POLLING },
  [abi.NETMAP_REQ_VALE_POLLING_DISABLE]: { size: abi.NMREQ_VALE_POLLING_SIZE, fields: VALE_POLLING },
  [abi.NETMAP_REQ_POOLS_INFO_GET]: { size: abi.NMREQ_POOLS_INFO_SIZE, fields: POOLS_INFO },
  [abi.NETMAP_REQ_SYNC_KLOOP_START]: { size: abi.NMREQ_SYNC_KLOOP_START_SIZE, fields: KLOOP_START },
};

/** Sizes of the options; the event descriptors have one of their own. */
const OPTION_SIZES: Readonly<Record<number, number>> = {
  [abi.NETMAP_REQ_OPT_EXTMEM]: abi.NMREQ_OPT_EXTMEM_SIZE,
  [abi.NETMAP_REQ_OPT_CSB]: abi.NMREQ_OPT_CSB_SIZE,
  [abi.NETMAP_REQ_OPT_SYNC_KLOOP_MODE]: abi.NMREQ_OPT_SYNC_KLOOP_MODE_SIZE,
  [abi.NETMAP_REQ_OPT_OFFSETS]: abi.NMREQ_OPT_OFFSETS_SIZE,
};

/** Bytes of an option of a known type, its header included. */
export function optionSize(type: number, nroSize: number): number {
  return OPTION_SIZES[type] ?? Math.max(nroSize, abi.NMREQ_OPTION_SIZE);
}
