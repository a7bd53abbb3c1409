// The data models that regions are made for: the columns of assembly/abi/data-model.ts.

import {
  I386_RING_BUF_ALIGN,
  I386_RING_OFFSET_MASK,
  I386_RING_TS,
  I386_TS_WORD,
  ILP32_RING_OFS_SIZE,
  LP64_TS_WORD,
} from '../../assembly/abi/data-model.js';
import {
  NETMAP_IF_RING_OFS_SIZE,
  NETMAP_RING_BUF_ALIGN,
  NETMAP_RING_OFFSET_MASK,
  NETMAP_RING_TS,
} from '../../assembly/abi/netmap.js';
import { netmapError } from '../errors.js';

/** Whose compiler laid the reader's structures out: that of a 64-bit machine, of wasm32, or of i386. */
export type DataModel = 'lp64' | 'wasm32' | 'i386';

/** Where the fields are that depend on it; bytes. */
export interface ReaderLayout {
  /** An entry of `ring_ofs` in struct netmap_if. */
  readonly ringOfsSize: number;
  /** `ts` of struct netmap_ring, and each of its two words. */
  readonly ts: number;
  readonly tsWord: number;
  readonly offsetMask: number;
  readonly bufAlign: number;
}

const LP64: ReaderLayout = {
  ringOfsSize: NETMAP_IF_RING_OFS_SIZE,
  ts: NETMAP_RING_TS,
  tsWord: LP64_TS_WORD,
  offsetMask: NETMAP_RING_OFFSET_MASK,
  bufAlign: NETMAP_RING_BUF_ALIGN,
};

export const DATA_MODELS: Readonly<Record<DataModel, ReaderLayout>> = {
  lp64: LP64,
  wasm32: { ...LP64, ringOfsSize: ILP32_RING_OFS_SIZE },
  i386: {
    ringOfsSize: ILP32_RING_OFS_SIZE,
    ts: I386_RING_TS,
    tsWord: I386_TS_WORD,
    offsetMask: I386_RING_OFFSET_MASK,
    bufAlign: I386_RING_BUF_ALIGN,
  },
};

/** @throws NetmapError EINVAL */
export function checkDataModel(name: string | null | undefined, port: string): void {
  if (name === undefined || name === null || Object.hasOwn(DATA_MODELS, name)) return;
  throw netmapError('EINVAL', `data model '${name}' is not lp64, wasm32 or i386`, { op: 'open', port });
}

/** Whether rings of a region that was made for one model can be read by the other: their directory can always be. */
export function sameRings(a: DataModel, b: DataModel): boolean {
  return DATA_MODELS[a].offsetMask === DATA_MODELS[b].offsetMask;
}
