// The legacy API: struct nmreq of NIOCREGIF and NIOCGINFO, translated to requests of NIOCCTRL and back.

import * as abi from '../abi.js';
import { decode, decodeName, encode, encodeName, type Fields, type Values } from './codec.js';
import type { DeviceAnswer } from './messages.js';

const NMREQ = {
  version: [abi.NMREQ_VERSION, 4],
  offset: [abi.NMREQ_OFFSET, 4],
  memsize: [abi.NMREQ_MEMSIZE, 4],
  txSlots: [abi.NMREQ_TX_SLOTS, 4],
  rxSlots: [abi.NMREQ_RX_SLOTS, 4],
  txRings: [abi.NMREQ_TX_RINGS, 2],
  rxRings: [abi.NMREQ_RX_RINGS, 2],
  ringId: [abi.NMREQ_RINGID, 2],
  cmd: [abi.NMREQ_CMD, 2],
  arg1: [abi.NMREQ_ARG1, 2],
  arg2: [abi.NMREQ_ARG2, 2],
  arg3: [abi.NMREQ_ARG3, 4],
  flags: [abi.NMREQ_FLAGS, 4],
} as const satisfies Fields;

type Nmreq = Values<typeof NMREQ>;

/** The request of NIOCCTRL that a legacy one stands for. */
export interface LegacyRequest {
  readonly type: number;
  readonly name: string | null;
  readonly body: Readonly<Record<string, number>>;
}

const nameField = (bytes: Uint8Array): Uint8Array =>
  bytes.subarray(abi.NMREQ_NAME, abi.NMREQ_NAME + abi.NETMAP_IFNAMSIZ);

/** Translates the copy of a legacy request; a negative errno if it stands for none. */
export function fromLegacy(ioctl: number, bytes: Uint8Array): LegacyRequest | number {
  const nmreq = decode(bytes, NMREQ);
  if (nmreq.version < abi.NETMAP_MIN_API) return -abi.EINVAL;
  nameField(bytes)[abi.NETMAP_IFNAMSIZ - 1] = 0;
  const name = decodeName(nameField(bytes));
  if (ioctl === abi.NIOCREGIF) return fromRegif(nmreq, name);
  const { arg1: bridgeIndex, arg2 } = nmreq;
  if (nmreq.cmd === abi.NETMAP_BDG_LIST) {
    return { type: abi.NETMAP_REQ_VALE_LIST, name, body: { bridgeIndex, portIndex: arg2 } };
  }
  return { type: abi.NETMAP_REQ_PORT_INFO_GET, name, body: { ...counts(nmreq), memId: arg2 } };
}

function fromRegif(nmreq: Nmreq, name: string | null): LegacyRequest | number {
  const { arg1, arg2: memId } = nmreq;
  switch (nmreq.cmd) {
    case 0:
      return fromRegister(nmreq, name);
    case abi.NETMAP_BDG_ATTACH: {
      const mode = arg1 & abi.NETMAP_BDG_HOST ? abi.NR_REG_NIC_SW : abi.NR_REG_ALL_NIC;
      return { type: abi.NETMAP_REQ_VALE_ATTACH, name, body: { ...registerBody(nmreq), mode } };
    }
    case abi.NETMAP_BDG_DETACH:
      return { type: abi.NETMAP_REQ_VALE_DETACH, name, body: {} };
    case abi.NETMAP_BDG_VNET_HDR:
      return { type: abi.NETMAP_REQ_PORT_HDR_SET, name, body: { length: arg1 } };
    case abi.NETMAP_VNET_HDR_GET:
      return { type: abi.NETMAP_REQ_PORT_HDR_GET, name, body: {} };
    case abi.NETMAP_BDG_NEWIF:
      return { type: abi.NETMAP_REQ_VALE_NEWIF, name, body: { ...counts(nmreq), memId } };
    case abi.NETMAP_BDG_DELIF:
      return { type: abi.NETMAP_REQ_VALE_DELIF, name, body: {} };
    case abi.NETMAP_BDG_POLLING_ON:
      return { type: abi.NETMAP_REQ_VALE_POLLING_ENABLE, name, body: pollingBody(nmreq) };
    case abi.NETMAP_BDG_POLLING_OFF:
      return { type: abi.NETMAP_REQ_VALE_POLLING_DISABLE, name, body: pollingBody(nmreq) };
    case abi.NETMAP_PT_HOST_CREATE:
    case abi.NETMAP_PT_HOST_DELETE:
      return -abi.ENOMEM;
    default:
      return -abi.EINVAL;
  }
}

function fromRegister(nmreq: Nmreq, name: string | null): LegacyRequest {
  const type = abi.NETMAP_REQ_REGISTER;
  const body = registerBody(nmreq);
  const brace = { [abi.NR_REG_PIPE_MASTER]: '{', [abi.NR_REG_PIPE_SLAVE]: '}' }[body.mode];
  if (brace === undefined) return { type, name, body };
  const pipe = name === null ? null : `${name}${brace}${body.ringId}`;
  return { type, name: pipe, body: { ...body, mode: abi.NR_REG_ALL_NIC, ringId: 0 } };
}

function registerBody(nmreq: Nmreq): Record<string, number> & { mode: number; ringId: number } {
  const { ringId, flags, arg2: memId, arg3: extraBufs } = nmreq;
  let newFlags = flags & ~abi.NR_REG_MASK;
  if (ringId & abi.NETMAP_NO_TX_POLL) newFlags |= abi.NR_NO_TX_POLL;
  if (ringId & abi.NETMAP_DO_RX_POLL) newFlags |= abi.NR_DO_RX_POLL;
  return {
    ...counts(nmreq),
    memId,
    extraBufs,
    flags: newFlags,
    mode: legacyMode(nmreq),
    ringId: ringId & abi.NETMAP_RING_MASK,
  };
}

function legacyMode({ ringId, flags }: Nmreq): number {
  const mode = flags & abi.NR_REG_MASK;
  if (mode !== abi.NR_REG_DEFAULT) return mode;
  if (ringId & abi.NETMAP_SW_RING) return abi.NR_REG_SW;
  return ringId & abi.NETMAP_HW_RING ? abi.NR_REG_ONE_NIC : abi.NR_REG_ALL_NIC;
}

/** The mode of an nmreq_vale_polling; 0 is none, and refused. */
const POLLING_MODES: Readonly<Record<number, number>> = {
  [abi.NR_REG_ONE_NIC]: abi.NETMAP_POLLING_MODE_MULTI_CPU,
  [abi.NR_REG_ALL_NIC]: abi.NETMAP_POLLING_MODE_SINGLE_CPU,
};

function pollingBody(nmreq: Nmreq): Record<string, number> {
  const mode = POLLING_MODES[legacyMode(nmreq)] ?? 0;
  return { mode, firstCpu: nmreq.ringId & abi.NETMAP_RING_MASK, cpus: nmreq.arg1 };
}

function counts({ txSlots, rxSlots, txRings, rxRings }: Nmreq): Record<string, number> {
  return { txSlots, rxSlots, txRings, rxRings };
}

/** What the fields of an answer are called in a legacy request; the others have no place there. */
const RESULTS: Readonly<Record<number, Readonly<Record<string, keyof Nmreq>>>> = {
  [abi.NETMAP_REQ_REGISTER]: { offset: 'offset', memsize: 'memsize', memId: 'arg2', extraBufs: 'arg3' },
  [abi.NETMAP_REQ_PORT_INFO_GET]: { memsize: 'memsize', memId: 'arg2' },
  [abi.NETMAP_REQ_VALE_NEWIF]: { memId: 'arg2' },
  [abi.NETMAP_REQ_VALE_LIST]: { bridgeIndex: 'arg1', portIndex: 'arg2' },
  [abi.NETMAP_REQ_PORT_HDR_GET]: { length: 'arg1' },
};
const COUNTS = { txSlots: 'txSlots', rxSlots: 'rxSlots', txRings: 'txRings', rxRings: 'rxRings' } as const;

/** Writes the answer to a request into the copy of the legacy one. 64-bit sizes are cut to 32 bits. */
export function toLegacy(bytes: Uint8Array, type: number, answer: DeviceAnswer): void {
  const names: Readonly<Record<string, keyof Nmreq>> = { ...COUNTS, ...RESULTS[type] };
  const values = Object.entries(answer.body ?? {}).flatMap(([name, value]) =>
    names[name] === undefined ? [] : [[names[name], value]],
  );
  encode(bytes, NMREQ, Object.fromEntries(values) as Partial<Nmreq>);
  if (answer.name !== undefined) encodeName(nameField(bytes), answer.name);
}
