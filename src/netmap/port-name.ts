// Names of ports, at both of netmap's layers. A program names a port with a specification (netmap(4), and libnetmap's
// nmreq_header_decode and nmreq_register_decode), which this file turns into the fields of a REGISTER request; the
// registry then asks what kind of port the name in the request stands for (the lookups of the kernel module).

import {
  NETMAP_REQ_IFNAMSIZ,
  NM_BDG_MAX_NAME,
  NR_EXCLUSIVE,
  NR_MONITOR_RX,
  NR_MONITOR_TX,
  NR_REG_ALL_NIC,
  NR_REG_NIC_SW,
  NR_REG_ONE_NIC,
  NR_REG_ONE_SW,
  NR_REG_SW,
  NR_RX_RINGS_ONLY,
  NR_TX_RINGS_ONLY,
  NR_ZCOPY_MON,
} from '../../assembly/abi/netmap.js';
import { netmapError } from '../errors.js';
import { type PortOptions, parsePortOptions } from './port-options.js';

/** The fields of a REGISTER request that a port specification sets. */
export interface PortSpec extends PortOptions {
  /** `nr_name`: without the prefix `netmap:`, but with the whole prefix of a VALE port. */
  readonly name: string;
  /** `nr_mode`, one of `NR_REG_*`. */
  readonly mode: number;
  /** `nr_ringid`: the ring of `NR_REG_ONE_NIC` and `NR_REG_ONE_SW`, else 0. */
  readonly ringId: number;
  /** `nr_flags`, such as `NR_EXCLUSIVE`. */
  readonly flags: number;
  /** `nr_mem_id`, 0 when the specification has none. */
  readonly memId: number;
}

/** What a name stands for inside the host. */
export type KernelName =
  | {
      readonly kind: 'pipe';
      /** Name of the port that the pipe hangs on; it may be a VALE port or a pipe itself. */
      readonly parent: string;
      readonly role: 'master' | 'slave';
      /** What follows the brace; the two ends of a pipe have the same id. */
      readonly id: string;
    }
  | {
      readonly kind: 'vale';
      /** Name of the switch, such as `vale0`. */
      readonly bridge: string;
      /** Name of the port on it; netmap allows an empty one. */
      readonly port: string;
    }
  | { readonly kind: 'interface'; readonly name: string };

const PARSE_SPEC = 'parsePortSpec';
const PARSE_NAME = 'parseKernelName';
const MAX_NAME = NETMAP_REQ_IFNAMSIZ - 1;
const MAX_RING_ID = 4094;
const VALE_PREFIX = 'vale';
const FLAGS: Readonly<Record<string, number>> = {
  x: NR_EXCLUSIVE,
  z: NR_ZCOPY_MON,
  t: NR_MONITOR_TX,
  r: NR_MONITOR_RX,
  R: NR_RX_RINGS_ONLY,
  T: NR_TX_RINGS_ONLY,
};

/**
 * Parses a port specification, such as `vale0:1`, `netmap:eth0-2/x` or `netmap:pipe{1@5`:
 *
 * ```text
 * spec   = ( "netmap:" name | "vale" [id] ":" name ) [ rings ] { "/" flags | "@" mem-id } { "@" option }
 * rings  = "^" (all host rings) | "^" n (host ring n) | "*" (NIC and host rings) | "-" n (NIC ring n)
 * flags  = one or more of x (exclusive) z (zero-copy monitor) t, r (monitor tx, rx) R, T (rx, tx rings only)
 * ```
 *
 * The grammar is libnetmap's, with its habits: the name ends at any of `-*^/@` and is not checked but for its length
 * (1 to 63 bytes) and its pipe part; after the flags only `@` may follow; a memory id is cut to 16 bits.
 *
 * Options are `@conf:` with counts and `@share=` with a port whose region to use (port-options.ts).
 *
 * @throws NetmapError EINVAL if the specification is malformed (the message says which part is wrong), EOPNOTSUPP for the
 *   options `@offset` and `@extmem`
 */
export function parsePortSpec(spec: string): PortSpec {
  const nameEnd = findNameEnd(spec);
  const name = spec.slice(spec.startsWith('netmap:') ? 'netmap:'.length : 0, nameEnd);
  if (name === '') throw bad(spec, 'no name after the prefix');
  checkLength(PARSE_SPEC, spec, name);
  const rings = parseRings(spec, nameEnd);
  return { name, mode: rings.mode, ringId: rings.ringId, ...parseFlagsAndMemId(spec, rings.end) };
}

/**
 * Says what kind of port a name stands for, as the kernel module does, in its order: pipe, VALE port, interface. Null
 * ports and monitors are chosen by mode and flags, not by name.
 *
 * @param name `nr_name`, up to its NUL
 * @throws NetmapError EINVAL if the name is longer than 63 bytes, a pipe without parent or id, or not a valid VALE name
 */
export function parseKernelName(name: string): KernelName {
  // DIFF: netmap cuts longer names at byte 63, so that two of them may silently mean one port.
  checkLength(PARSE_NAME, name, name);
  return classify(name, name);
}

function bad(spec: string, what: string): Error {
  return netmapError('EINVAL', what, { op: PARSE_SPEC, port: spec });
}

function checkLength(op: string, port: string, name: string): void {
  // Bytes, because nr_name is an array of 64.
  const length = new TextEncoder().encode(name).length;
  if (length > MAX_NAME) throw netmapError('EINVAL', `name has ${length} bytes, more than ${MAX_NAME}`, { op, port });
  if (name.includes('\0')) throw netmapError('EINVAL', 'name has a NUL character', { op, port });
}

/** Index of the first character after the name; checks the prefix and the pipe part. */
function findNameEnd(spec: string): number {
  const prefix = /^(?:netmap|vale\w*)/.exec(spec)?.[0];
  if (prefix === undefined) throw bad(spec, "prefix is neither 'netmap:' nor 'vale…:'");
  if (spec[prefix.length] !== ':') throw bad(spec, `no ':' after the prefix '${prefix}'`);
  const nameStart = prefix.length + 1;
  const nameEnd = indexOfAny(spec, /[-*^/@]/g, nameStart);
  const brace = indexOfAny(spec, /[{}]/g, nameStart);
  if (brace < nameEnd) {
    // As in libnetmap, the id may be empty if something follows the name ("p{-1"). The kernel side refuses such names.
    if (brace === spec.length - 1) throw bad(spec, `no pipe id after '${spec[brace]}'`);
    const id = spec.slice(brace + 1, nameEnd);
    if (!/^\w*$/.test(id)) throw bad(spec, `pipe id '${id}' is not made of letters, digits and '_'`);
  }
  return nameEnd;
}

function parseRings(spec: string, start: number): { mode: number; ringId: number; end: number } {
  const isNumber = isDigit(spec[start + 1]);
  switch (spec[start]) {
    case '*':
      return { mode: NR_REG_NIC_SW, ringId: 0, end: start + 1 };
    case '^':
      if (!isNumber) return { mode: NR_REG_SW, ringId: 0, end: start + 1 };
      return { mode: NR_REG_ONE_SW, ...parseRingId(spec, start + 1) };
    case '-':
      if (!isNumber) throw bad(spec, "no ring number after '-'");
      return { mode: NR_REG_ONE_NIC, ...parseRingId(spec, start + 1) };
    default:
      return { mode: NR_REG_ALL_NIC, ringId: 0, end: start };
  }
}

function parseRingId(spec: string, start: number): { ringId: number; end: number } {
  const end = indexOfAny(spec, /\D/g, start);
  const ringId = Number(spec.slice(start, end));
  if (ringId > MAX_RING_ID) throw bad(spec, `ring number ${spec.slice(start, end)} is not in 0..${MAX_RING_ID}`);
  return { ringId, end };
}

function parseFlagsAndMemId(spec: string, start: number): { flags: number; memId: number } & PortOptions {
  let flags = 0;
  let memId = 0;
  let mayHaveFlags = true;
  for (let at = start; at < spec.length; ) {
    if (spec[at] === '@' && at + 1 < spec.length && !isDigit(spec[at + 1])) {
      const refuse = (code: 'EINVAL' | 'EOPNOTSUPP', what: string): Error =>
        netmapError(code, what, { op: PARSE_SPEC, port: spec });
      const options = parsePortOptions(spec.slice(at), refuse);
      if (options.share !== undefined && memId !== 0) throw bad(spec, `'@share' beside memory id ${memId}`);
      return { flags, memId, ...options };
    }
    if (spec[at] === '@') {
      const parsed = parseMemId(spec, at + 1, memId);
      memId = parsed.memId;
      at = parsed.end;
      mayHaveFlags = true;
    } else if (spec[at] === '/' && mayHaveFlags) {
      const end = indexOfAny(spec, /[^xztrRT]/g, at + 1);
      if (end === at + 1) throw bad(spec, "no flag (one of xztrRT) after '/'");
      for (const letter of spec.slice(at + 1, end)) flags |= FLAGS[letter];
      at = end;
      mayHaveFlags = false;
    } else {
      const wanted = mayHaveFlags ? "'/' or '@'" : "a flag (one of xztrRT) or '@'";
      throw bad(spec, `'${spec.slice(at)}' where ${wanted} or the end was expected`);
    }
  }
  return { flags, memId };
}

function parseMemId(spec: string, start: number, previous: number): { memId: number; end: number } {
  if (start === spec.length) throw bad(spec, "no memory id after '@'");
  const end = indexOfAny(spec, /\D/g, start);
  const digits = spec.slice(start, end);
  if (/^0+$/.test(digits)) throw bad(spec, 'memory id 0 is not valid');
  const memId = Number(BigInt(digits) & 0xffffn);
  if (previous !== 0 && memId !== previous) throw bad(spec, `memory id ${digits} contradicts ${previous}`);
  return { memId, end };
}

function classify(name: string, whole: string): KernelName {
  const open = name.lastIndexOf('{');
  const brace = open >= 0 ? open : name.lastIndexOf('}');
  if (brace < 0) return name.startsWith(VALE_PREFIX) ? parseValeName(name, whole) : { kind: 'interface', name };
  const parent = name.slice(0, brace);
  const id = name.slice(brace + 1);
  if (parent === '') throw badName(whole, `no parent port before '${name[brace]}'`);
  if (id === '') throw badName(whole, `no pipe id after '${name[brace]}'`);
  classify(parent, whole); // a pipe on an invalid parent is refused here rather than when the parent is looked up
  return { kind: 'pipe', parent, role: open >= 0 ? 'master' : 'slave', id };
}

// DIFF: netmap compares three letters only, and so takes an interface 'valid0' for a VALE port. It answers ENOMEM or
// ENXIO to an invalid VALE name, as if the port could not be made or were missing; the fault is the name's.
function parseValeName(name: string, whole: string): KernelName {
  const colon = indexOfAny(name, /\W/g, 0);
  const bridge = name.slice(0, colon);
  const port = name.slice(colon + 1);
  if (colon === name.length) throw badName(whole, "no ':' in a name that starts with 'vale'");
  if (name[colon] !== ':') throw badName(whole, `'${name[colon]}' in the name of the switch`);
  if (bridge.length >= NM_BDG_MAX_NAME) {
    throw badName(whole, `switch '${bridge}' is longer than ${NM_BDG_MAX_NAME - 1} characters`);
  }
  if (new TextEncoder().encode(port).length >= NM_BDG_MAX_NAME) {
    throw badName(whole, `port '${port}' is longer than ${NM_BDG_MAX_NAME - 1} bytes`);
  }
  return { kind: 'vale', bridge, port };
}

function badName(name: string, what: string): Error {
  return netmapError('EINVAL', what, { op: PARSE_NAME, port: name });
}

function isDigit(char: string | undefined): boolean {
  return char !== undefined && char >= '0' && char <= '9';
}

/** Index of the first match of a global pattern from `start` on, or the length of the text. */
function indexOfAny(text: string, pattern: RegExp, start: number): number {
  pattern.lastIndex = start;
  return pattern.exec(text)?.index ?? text.length;
}
