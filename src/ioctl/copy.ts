// Copy-in and copy-out of a NIOCCTRL request (nmreq_copyin, nmreq_copyout): the order of the checks, the limits, and what
// goes back to the program when. Pure: no port is touched here.

import {
  EFAULT,
  EINVAL,
  EMSGSIZE,
  EOPNOTSUPP,
  NETMAP_MAX_API,
  NETMAP_MIN_API,
  NETMAP_REQ_IFNAMSIZ,
  NETMAP_REQ_OPT_MAX,
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
  NMREQ_OPTION_SIZE,
  NMREQ_OPTION_STATUS,
} from '../abi.js';
import { BODIES, optionSize, readU16, readU32, readU64, writeU32 } from './codec.js';
import type { UserMemory } from './user-memory.js';

/** netmap's limit for a body and all options together, bytes. */
const MAX_SIZE = 4096;
/** netmap's buffer for the copy of a request on 64-bit machines, bytes, and what of it is taken from the start. */
const BUFFER_SIZE = 4208;
const SAVED_POINTERS = 16;
const OPTION_TABLE = 8 * NETMAP_REQ_OPT_MAX;
/** The buffer holds this before the header of each option. */
const OPTION_LINK = 8;

/** The private copy of an option. */
export interface OptionCopy {
  readonly address: number;
  readonly type: number;
  /** Header and, for known types, body. */
  readonly bytes: Uint8Array;
  /** nro_status. */
  status: number;
}

/** The private copy of a request. */
export interface RequestCopy {
  readonly address: number;
  readonly header: Uint8Array;
  readonly type: number;
  readonly body: Uint8Array;
  readonly bodyAddress: number;
  /** As far as they were copied in; empty if none may be copied back. */
  readonly options: readonly OptionCopy[];
  /** 0, or the negative errno that the request has failed with already. */
  readonly errno: number;
}

/** The name in the copy of a header. */
export function nameField(header: Uint8Array): Uint8Array {
  return header.subarray(NMREQ_HEADER_NAME, NMREQ_HEADER_NAME + NETMAP_REQ_IFNAMSIZ);
}

/** Copies a request in; a negative errno if nothing of it is to be copied back. */
export function copyIn(memory: UserMemory, address: number): RequestCopy | number {
  const header = memory.read(address, NMREQ_HEADER_SIZE);
  if (!header) return -EFAULT;
  const version = readU16(header, NMREQ_HEADER_VERSION);
  if (version < NETMAP_MIN_API || version > NETMAP_MAX_API) return -EINVAL;
  if (readU32(header, NMREQ_HEADER_RESERVED) !== 0) return -EINVAL;
  nameField(header)[NETMAP_REQ_IFNAMSIZ - 1] = 0;
  const type = readU16(header, NMREQ_HEADER_REQTYPE);
  const size = BODIES[type]?.size ?? 0;
  const bodyAddress = readU64(header, NMREQ_HEADER_BODY);
  if ((size !== 0) !== (bodyAddress !== 0)) return -EINVAL;
  const body = size === 0 ? new Uint8Array() : memory.read(bodyAddress, size);
  if (!body) return -EFAULT;
  const walked = copyOptionsIn(memory, readU64(header, NMREQ_HEADER_OPTIONS), size);
  return { address, header, type, body, bodyAddress, ...walked };
}

/** Walks the list of options. Loops end: known types must not come twice, and there is no room for many unknown ones. */
function copyOptionsIn(memory: UserMemory, first: number, bodySize: number): { options: OptionCopy[]; errno: number } {
  const options: OptionCopy[] = [];
  let used = SAVED_POINTERS + bodySize + OPTION_TABLE;
  let total = bodySize;
  for (let next = first; next !== 0; ) {
    used += OPTION_LINK + NMREQ_OPTION_SIZE;
    if (used > BUFFER_SIZE) return { options: [], errno: -EMSGSIZE };
    total += NMREQ_OPTION_SIZE;
    const header = memory.read(next, NMREQ_OPTION_SIZE);
    if (!header) return { options, errno: -EFAULT };
    const type = readU32(header, NMREQ_OPTION_REQTYPE);
    const twin = type < NETMAP_REQ_OPT_MAX ? options.find((option) => option.type === type) : undefined;
    const refused = type === 0 || twin ? EINVAL : 0;
    const option: OptionCopy = { address: next, type, bytes: header, status: refused };
    options.push(option);
    if (twin) twin.status = EINVAL;
    if (refused !== 0) return { options, errno: -refused };
    next = readU64(header, NMREQ_OPTION_NEXT);
    if (type >= NETMAP_REQ_OPT_MAX) continue;
    const nroSize = readU64(header, NMREQ_OPTION_NRO_SIZE);
    const rest = optionSize(type, nroSize) - NMREQ_OPTION_SIZE;
    if (nroSize > MAX_SIZE || total + rest > MAX_SIZE || used + rest > BUFFER_SIZE) {
      return { options, errno: -EMSGSIZE };
    }
    total += rest;
    used += rest;
    const body = rest === 0 ? new Uint8Array() : memory.read(option.address + NMREQ_OPTION_SIZE, rest);
    if (!body) return { options, errno: -EFAULT };
    const bytes = new Uint8Array(NMREQ_OPTION_SIZE + rest);
    bytes.set(header);
    bytes.set(body, NMREQ_OPTION_SIZE);
    options[options.length - 1] = { ...option, bytes };
  }
  // What no handler takes stays unsupported.
  for (const option of options) option.status = EOPNOTSUPP;
  return { options, errno: 0 };
}

/**
 * Copies a request out: the header and the headers of options always, the body and the bodies of options that have status
 * 0 if the request succeeded.
 * @param errno what the request ends with, 0 or negative
 * @param statusOf the program's number for a status of an option
 * @returns the same, or -EFAULT if the program's memory has gone away
 */
export function copyOut(
  memory: UserMemory,
  request: RequestCopy,
  errno: number,
  statusOf: (errno: number) => number = (status) => status,
): number {
  const { address, header, body, bodyAddress, options } = request;
  let whole = true;
  if (errno === 0 && body.length !== 0) whole = memory.write(bodyAddress, body);
  for (const { address: at, bytes, status } of options) {
    writeU32(bytes, NMREQ_OPTION_STATUS, statusOf(status));
    const isWanted = errno === 0 && status === 0;
    whole = memory.write(at, isWanted ? bytes : bytes.subarray(0, NMREQ_OPTION_SIZE)) && whole;
  }
  whole = memory.write(address, header) && whole;
  return whole ? errno : -EFAULT;
}
